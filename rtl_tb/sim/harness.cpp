// Drives a verilated AXI4-Stream design with whole vectors from a file, and writes what comes out.
//
// One beat is one vector: 32-bit words, least significant first, `words` of them per beat. Around
// each clock edge the harness counts handshakes, watches the rules of AXI4-Stream on the output,
// and measures cycles. It judges no value: the caller compares. It ends with one line of JSON.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_fst_c.h"

namespace {

constexpr int kResetCycles = 8;
constexpr int kDrainCycles = 64;  // listened to after the last beat, in which nothing may come

// Marsaglia's xorshift64*: the same stalls for the same seed on every machine.
class Random {
  public:
    explicit Random(uint64_t seed) : state_{seed * 0x9E3779B97F4A7C15ULL + 1} {}
    uint32_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1DULL) >> 32);
    }

  private:
    uint64_t state_;
};

// Whether one side pauses in this cycle: never without a seed; otherwise with a probability that
// changes every few dozen cycles, so that bursts, trickles and long waits all occur.
class Pauses {
  public:
    Pauses(uint64_t seed, bool wanted) : random_{seed}, wanted_{wanted} {}
    bool now() {
        if (!wanted_) return false;
        if (left_-- == 0) {
            static constexpr uint32_t kEighths[] = {0, 1, 4, 7, 8};
            eighths_ = kEighths[random_.next() % 5];
            left_ = 8 + random_.next() % 56;
        }
        return random_.next() % 8 < eighths_;
    }

  private:
    Random random_;
    bool wanted_;
    uint32_t left_ = 0;
    uint32_t eighths_ = 0;
};

// A rule of the protocol, how often it was broken, and at which output beat first.
struct Rule {
    const char* name;
    uint64_t broken = 0;
    uint64_t first = 0;
    void check(bool kept, uint64_t beat) {
        if (!kept && broken++ == 0) first = beat;
    }
};

// Bytes of a beat in a file.
std::size_t whole_words(const WidePort& port) { return (port.bytes + 3) / 4 * 4; }

[[noreturn]] void fail(const char* what, const char* path) {
    std::fprintf(stderr, "cannot %s %s\n", what, path);
    std::exit(2);
}

// Words for the stream that loads weights, given once that many vectors are through.
struct Load {
    uint64_t after, words;
};

// From "after:words,after:words", in this order.
std::vector<Load> loads_from(const char* text) {
    std::vector<Load> loads;
    for (char* at = const_cast<char*>(text); *at != '\0'; at += *at == ',') {
        const uint64_t after = std::strtoull(at, &at, 10);
        if (*at != ':') fail("read the loads", text);
        loads.push_back({after, std::strtoull(at + 1, &at, 10)});
    }
    return loads;
}

std::vector<uint32_t> load_words(const char* path, const std::vector<Load>& loads) {
    uint64_t count = 0;
    for (const Load& load : loads) count += load.words;
    std::vector<uint32_t> words(count);
    std::FILE* const file = std::fopen(path, "rb");
    if (file == nullptr || std::fread(words.data(), 4, count, file) != count) fail("read", path);
    std::fclose(file);
    return words;
}

bool is_last(uint64_t seed, uint64_t beat) {
    return Random{seed ^ (beat << 20)}.next() % 4 == 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 10 && argc != 12) {
        std::fprintf(stderr,
                     "usage: %s IN OUT TENSORS SEED PATIENCE WAVES IN_BEATS OUT_BEATS FRAMED "
                     "[WORDS LOADS]\n"
                     "SEED 0 for no pauses, WAVES - for none, beats of a tensor; FRAMED 1 if\n"
                     "tlast marks the last beat of every tensor, 0 if it is passed along;\n"
                     "WORDS: a file for the stream that loads weights, LOADS after:words,after:words\n",
                     argv[0]);
        return 2;
    }
    const char *in_path = argv[1], *out_path = argv[2], *waves_path = argv[6];
    const uint64_t seed = std::strtoull(argv[4], nullptr, 10);
    const uint64_t patience = std::strtoull(argv[5], nullptr, 10);
    const uint64_t in_each = std::strtoull(argv[7], nullptr, 10);
    const uint64_t out_each = std::strtoull(argv[8], nullptr, 10);
    const bool framed = argv[9][0] == '1';
    const uint64_t beats = std::strtoull(argv[3], nullptr, 10) * in_each;
    const uint64_t out_beats = beats / in_each * out_each;
    const auto out_is_last = [&](uint64_t beat) {
        return framed ? beat % out_each == out_each - 1 : is_last(seed, beat);
    };

    Verilated::randReset(2);  // registers without a reset begin at random
    Verilated::randSeed(static_cast<int>(seed % 0x7fffffff) + 1);
    const bool tracing = std::strcmp(waves_path, "-") != 0;
    Verilated::traceEverOn(tracing);
    const auto top = std::make_unique<Vtop>();
    const WidePort &in = top->s_axis_tdata, &out = top->m_axis_tdata;
    const std::size_t in_stride = whole_words(in), out_stride = whole_words(out);

    const std::size_t in_bytes = beats * in_stride;
    const int in_file = open(in_path, O_RDONLY);
    struct stat in_stat {};
    if (in_file < 0 || fstat(in_file, &in_stat) != 0) fail("open", in_path);
    if (static_cast<std::size_t>(in_stat.st_size) != in_bytes) fail("use the size of", in_path);
    void* const mapped = mmap(nullptr, in_bytes, PROT_READ, MAP_PRIVATE, in_file, 0);
    if (mapped == MAP_FAILED) fail("map", in_path);
    const auto* const stimulus = static_cast<const char*>(mapped);
    std::FILE* const out_file = std::fopen(out_path, "wb");
    if (out_file == nullptr) fail("create", out_path);

    VerilatedFstC waves;
    if (tracing) {
        top->trace(&waves, 99);
        waves.open(waves_path);
        if (!waves.isOpen()) fail("create", waves_path);
    }

    uint64_t time_ns = 0;
    // Half a clock period of 10 ns, ending in the given level.
    const auto half_period = [&](bool level) {
        top->clk_i = level;
        top->eval_step();
        if (tracing) waves.dump(time_ns);
        time_ns += 5;
    };

    top->rst_ni = 0;
    top->s_axis_tvalid = 0;
    top->s_axis_tlast = 0;
    top->m_axis_tready = 0;
    for (int i = 0; i < kResetCycles; ++i) {
        half_period(false);
        half_period(true);
    }
    top->rst_ni = 1;

    std::vector<Load> loads;
    std::vector<uint32_t> words;
    if (argc == 12) {
        if (top->s_load.tvalid == nullptr) fail("load weights into a design without them from",
                                                argv[10]);
        loads = loads_from(argv[11]);
        words = load_words(argv[10], loads);
    }
    std::size_t load = 0;
    uint64_t loaded = 0, load_begun = 0;  // words, and those of the loads before this one
    bool load_offering = false;

    Pauses source{2 * seed, seed != 0}, sink{2 * seed + 1, seed != 0};
    Pauses loader{2 * seed + 2, seed != 0};
    Rule valid_held{"m_axis_tvalid dropped before the handshake"};
    Rule data_held{"m_axis_tdata changed while stalled"};
    Rule last_held{"m_axis_tlast changed while stalled"};
    Rule last_right{framed ? "m_axis_tlast is not on the last beat of a tensor alone"
                           : "m_axis_tlast differs from that of the vector that went in"};
    Rule not_early{"a beat came out that no vector accounts for"};

    uint64_t accepted = 0, emitted = 0, cycle = 0, idle = 0, drain = 0;
    uint64_t first_in = 0, latency = 0, interval = 0, previous_out = 0;
    bool offering = false, stalled = false, held_last = false;
    std::vector<char> held(out.bytes), record(out_stride);
    Random noise{seed + 7};

    // Ends when all is done and quiet, when nothing moves, or when beats come out of nothing.
    const auto begun = [&] { return (accepted + in_each - 1) / in_each * out_each; };
    while (drain < kDrainCycles && idle < patience && emitted < begun() + kDrainCycles) {
        // The source may withhold a beat, but keeps one that it has offered.
        // Loads wait for the vectors before them, and the vectors after them for the loads.
        const bool waits = load < loads.size() && accepted >= loads[load].after * in_each;
        offering = accepted < beats && !waits && (offering || !source.now());
        top->s_axis_tvalid = offering;
        if (offering) {
            std::memcpy(in.at, stimulus + accepted * in_stride, in.bytes);
            top->s_axis_tlast = is_last(seed, accepted);
        } else if (beats > 0) {  // what a design must not look at
            std::memcpy(in.at, stimulus + noise.next() % beats * in_stride, in.bytes);
            top->s_axis_tlast = noise.next() & 1;
        }
        top->m_axis_tready = !sink.now();
        if (!loads.empty()) {
            const bool due = waits && emitted >= loads[load].after * out_each;
            load_offering = due && (load_offering || !loader.now());
            *top->s_load.tvalid = load_offering;
            *top->s_load.tdata = load_offering ? words[loaded] : noise.next();
            *top->s_load.tlast = due && loaded + 1 == load_begun + loads[load].words;
        }
        half_period(false);

        const bool takes = offering && top->s_axis_tready;
        const bool valid = top->m_axis_tvalid;
        const bool gives = valid && top->m_axis_tready;
        if (stalled) {
            valid_held.check(valid, emitted);
            if (valid) {
                data_held.check(std::memcmp(out.at, held.data(), out.bytes) == 0, emitted);
                last_held.check(top->m_axis_tlast == held_last, emitted);
            }
        }
        stalled = valid && !gives;
        if (stalled) {
            std::memcpy(held.data(), out.at, out.bytes);
            held_last = top->m_axis_tlast;
        }
        if (gives) {
            not_early.check(emitted < begun(), emitted);
            last_right.check(top->m_axis_tlast == out_is_last(emitted), emitted);
            if (emitted % out_each == out_each - 1) {  // a whole tensor
                if (emitted < out_each) {
                    latency = cycle - first_in;
                } else if (cycle - previous_out > interval) {
                    interval = cycle - previous_out;
                }
                previous_out = cycle;
            }
            if (emitted < out_beats) {
                std::memcpy(record.data(), out.at, out.bytes);
                if (std::fwrite(record.data(), out_stride, 1, out_file) != 1)
                    fail("write", out_path);
            }
            ++emitted;
        }
        if (takes) {
            if (accepted++ == 0) first_in = cycle;
            offering = false;
        }
        const bool loads_word = load_offering && *top->s_load.tready;
        if (loads_word) {
            load_offering = false;
            if (++loaded == load_begun + loads[load].words) {
                load_begun = loaded;
                ++load;
            }
        }
        idle = takes || gives || loads_word ? 0 : idle + 1;
        drain = accepted == beats && emitted >= out_beats ? drain + 1 : 0;
        half_period(true);
        ++cycle;
    }
    top->final();
    if (tracing) waves.close();
    if (std::fclose(out_file) != 0) fail("write", out_path);

    std::printf("{\"accepted\": %llu, \"emitted\": %llu, \"cycles\": %llu, \"latency\": %llu, "
                "\"interval\": %llu, \"broken\": [",
                static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(emitted),
                static_cast<unsigned long long>(cycle), static_cast<unsigned long long>(latency),
                static_cast<unsigned long long>(interval));
    const char* separator = "";
    for (const Rule& rule : {valid_held, data_held, last_held, last_right, not_early}) {
        if (rule.broken == 0) continue;
        std::printf("%s[\"%s\", %llu, %llu]", separator, rule.name,
                    static_cast<unsigned long long>(rule.broken),
                    static_cast<unsigned long long>(rule.first));
        separator = ", ";
    }
    std::printf("]}\n");
    return 0;
}
