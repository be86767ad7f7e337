// Flips single bits of registers and memories in a verilated AXI4-Stream design, one flip a run, and
// looks whether anything shows at the output: a beat, its tlast, their number, or the protocol.
//
// Every run streams the same few vectors, from reset, with one of a few patterns of pauses on both
// sides. It needs a design whose registers are public. It ends with one line of JSON.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_syms.h"

namespace {

constexpr int kResetCycles = 4;
constexpr int kDrainCycles = 16;   // listened to after the last beat, in which nothing may come
constexpr uint64_t kPatterns = 4;  // of pauses; the first has none
constexpr std::size_t kExamples = 8;

// Marsaglia's xorshift64*.
class Random {
  public:
    explicit Random(uint64_t seed) : state_{seed * 0x9E3779B97F4A7C15ULL + 1} {
        for (int i = 0; i < 4; ++i) next();
    }
    uint32_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 0x2545F4914F6CDD1DULL) >> 32);
    }
    uint64_t below(uint64_t bound) {
        const uint64_t high = next();
        return ((high << 32) | next()) % bound;
    }

  private:
    uint64_t state_;
};

// A register, or a memory of several entries, as Verilator stores it.
struct Register {
    std::string name;
    uint8_t* at;
    std::size_t bytes, stride, entry_bits, bits;
    bool memory;
    std::vector<uint8_t> initial;
    void flip(std::size_t bit) const {
        at[bit / entry_bits * stride + bit % entry_bits / 8] ^=
            static_cast<uint8_t>(1U << (bit % entry_bits % 8));
    }
};

bool is_port(const std::string& name) {
    return name == "clk_i" || name == "rst_ni" || name.rfind("s_axis_", 0) == 0 ||
           name.rfind("m_axis_", 0) == 0;
}

std::vector<Register> registers() {
    std::vector<Register> found;
    std::set<const void*> known;
    for (const auto& [path, scope] : *Verilated::scopeNameMap()) {
        if (scope->varsp() == nullptr) continue;
        for (const auto& [name, var] : *scope->varsp()) {
            if (var.isParam() || is_port(name) || !known.insert(var.datap()).second) continue;
            std::size_t entries = 1;
            for (const auto& range : var.unpackedRanges()) entries *= range.elements();
            const std::size_t bits = var.entBits();
            found.push_back({std::string{path} + "." + name, static_cast<uint8_t*>(var.datap()),
                             entries * var.entSize(), var.entSize(), bits, entries * bits,
                             var.udims() > 0, {}});
        }
    }
    return found;
}

std::vector<uint8_t> whole_file(const char* path) {
    std::vector<uint8_t> content;
    std::FILE* const file = std::fopen(path, "rb");
    uint8_t buffer[1 << 16];
    std::size_t count = 0;
    while (file != nullptr && (count = std::fread(buffer, 1, sizeof buffer, file)) > 0)
        content.insert(content.end(), buffer, buffer + count);
    if (file == nullptr || std::ferror(file) != 0) {
        std::fprintf(stderr, "cannot read %s\n", path);
        std::exit(2);
    }
    std::fclose(file);
    return content;
}

std::size_t whole_words(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

struct Flip {
    std::size_t index, bit;
    uint64_t cycle;
};

class Bench {
  public:
    Bench(char** argv)
        : stimulus_{whole_file(argv[1])},
          expected_{whole_file(argv[2])},
          in_each_{std::strtoull(argv[5], nullptr, 10)},
          out_each_{std::strtoull(argv[6], nullptr, 10)},
          framed_{argv[7][0] == '1'},
          patience_{std::strtoull(argv[8], nullptr, 10)} {
        in_beats_ = stimulus_.size() / whole_words(top_.s_axis_tdata.bytes);
        out_beats_ = expected_.size() / whole_words(top_.m_axis_tdata.bytes);
        top_.rst_ni = 0;
        top_.s_axis_tvalid = 0;
        top_.m_axis_tready = 0;
        for (int i = 0; i < kResetCycles; ++i) clock();
        registers_ = registers();
        for (auto& one : registers_) one.initial.assign(one.at, one.at + one.bytes);
    }

    const std::vector<Register>& all() const { return registers_; }

    // Whether fault_o was high in the last run.
    bool noticed() const { return noticed_; }

    // What showed, or null. cycles: of the run, those after the last beat not counted.
    const char* run(uint64_t pattern, const Flip* flip, uint64_t* cycles) {
        for (const auto& one : registers_) std::memcpy(one.at, one.initial.data(), one.bytes);
        top_.rst_ni = 0;
        top_.s_axis_tvalid = 0;
        top_.m_axis_tready = 0;
        for (int i = 0; i < kResetCycles; ++i) clock();
        top_.rst_ni = 1;

        noticed_ = false;
        Random pauses{pattern};
        const WidePort &in = top_.s_axis_tdata, &out = top_.m_axis_tdata;
        uint64_t accepted = 0, emitted = 0, idle = 0, drain = 0;
        bool offering = false, stalled = false;
        for (uint64_t cycle = 0; drain < kDrainCycles; ++cycle) {
            if (flip != nullptr && cycle == flip->cycle)
                registers_[flip->index].flip(flip->bit);
            const uint32_t dice = pauses.next();
            offering = accepted < in_beats_ && (offering || pattern == 0 || dice % 4 != 0);
            top_.s_axis_tvalid = offering;
            if (in_beats_ > 0) {
                const uint64_t beat = offering ? accepted : (dice >> 8) % in_beats_;
                std::memcpy(in.at, &stimulus_[beat * whole_words(in.bytes)], in.bytes);
                top_.s_axis_tlast = is_last(beat);
            }
            top_.m_axis_tready = pattern == 0 || (dice >> 4) % 8 < 3 + pattern;
            top_.clk_i = 0;
            top_.eval_step();

            noticed_ = noticed_ || (top_.fault_o != nullptr && *top_.fault_o);
            const bool takes = offering && top_.s_axis_tready;
            const bool valid = top_.m_axis_tvalid;
            const bool gives = valid && top_.m_axis_tready;
            if (stalled && !valid) return "m_axis_tvalid dropped before the handshake";
            if (valid) {  // looked at in every cycle in which it is offered, so that it must hold
                if (emitted == out_beats_) return "a beat came out that no vector accounts for";
                if (std::memcmp(out.at, &expected_[emitted * whole_words(out.bytes)], out.bytes))
                    return "m_axis_tdata differs";
                const bool last =
                    framed_ ? emitted % out_each_ == out_each_ - 1 : is_last(emitted);
                if (top_.m_axis_tlast != last) return "m_axis_tlast differs";
            }
            stalled = valid && !gives;
            accepted += takes;
            emitted += gives;
            if (takes) offering = false;
            idle = takes || gives ? 0 : idle + 1;
            if (idle > patience_) return "the design stopped";
            drain = accepted == in_beats_ && emitted == out_beats_ ? drain + 1 : 0;
            if (drain == 1) *cycles = cycle + 1;
            top_.clk_i = 1;
            top_.eval_step();
        }
        return nullptr;
    }

  private:
    void clock() {
        top_.clk_i = 0;
        top_.eval_step();
        top_.clk_i = 1;
        top_.eval_step();
    }

    static bool is_last(uint64_t beat) { return Random{beat}.next() % 4 == 0; }

    Vtop top_;
    const std::vector<uint8_t> stimulus_, expected_;
    const uint64_t in_each_, out_each_;
    const bool framed_;
    const uint64_t patience_;
    uint64_t in_beats_, out_beats_;
    bool noticed_ = false;
    std::vector<Register> registers_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 9) {
        std::fprintf(stderr,
                     "usage: %s IN EXPECTED SEED FLIPS IN_EACH OUT_EACH FRAMED PATIENCE\nIN, "
                     "EXPECTED: beats of 32-bit words; FLIPS 0: every bit in every cycle; FRAMED 1 "
                     "if\ntlast marks the last beat of every tensor, 0 if it is passed along\n",
                     argv[0]);
        return 2;
    }
    const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
    const uint64_t wanted = std::strtoull(argv[4], nullptr, 10);
    Verilated::randReset(2);  // registers without a reset begin at random
    Verilated::randSeed(static_cast<int>(seed % 0x7fffffff) + 1);
    Bench bench{argv};

    uint64_t cycles[kPatterns] = {};
    for (uint64_t pattern = 0; pattern < kPatterns; ++pattern) {
        if (const char* shown = bench.run(pattern, nullptr, &cycles[pattern])) {
            std::printf("{\"wrong\": \"%s\"}\n", shown);
            return 0;
        }
        if (bench.noticed()) {
            std::printf("{\"wrong\": \"fault_o is high\"}\n");
            return 0;
        }
    }
    const auto& all = bench.all();
    uint64_t bits = 0, memory_bits = 0;
    for (const auto& one : all) {
        bits += one.bits;
        if (one.memory) memory_bits += one.bits;
    }
    Random random{seed};
    uint64_t tried = 0, shown = 0, noticed = 0, unused = 0;
    std::string examples;
    const auto attempt = [&](uint64_t pattern, uint64_t position, uint64_t cycle) {
        Flip flip{0, position, cycle};
        while (flip.bit >= all[flip.index].bits) flip.bit -= all[flip.index++].bits;
        const char* what = bench.run(pattern, &flip, &unused);
        ++tried;
        noticed += bench.noticed();
        if (what == nullptr) return;
        if (shown++ < kExamples) {
            if (!examples.empty()) examples += ", ";
            examples += "\"" + all[flip.index].name + " bit " + std::to_string(flip.bit) +
                        " in cycle " + std::to_string(cycle) + ": " + what + "\"";
        }
    };
    if (wanted == 0) {
        for (uint64_t position = 0; position < bits; ++position)
            for (uint64_t cycle = 0; cycle < cycles[1]; ++cycle) attempt(1, position, cycle);
    } else if (bits > 0) {
        for (uint64_t i = 0; i < wanted; ++i) {
            const uint64_t pattern = i % kPatterns;
            attempt(pattern, random.below(bits), random.below(cycles[pattern]));
        }
    }
    std::printf("{\"register_bits\": %llu, \"memory_bits\": %llu, \"cycles\": %llu, "
                "\"tried\": %llu, \"shown\": %llu, \"noticed\": %llu, \"examples\": [%s]}\n",
                static_cast<unsigned long long>(bits - memory_bits),
                static_cast<unsigned long long>(memory_bits),
                static_cast<unsigned long long>(cycles[1]), static_cast<unsigned long long>(tried),
                static_cast<unsigned long long>(shown),
                static_cast<unsigned long long>(noticed), examples.c_str());
    return 0;
}
