// The two functions of LZ4 that Verilator's FST writer calls, so that no LZ4 has to be installed to
// record waves: a greedy compressor into the LZ4 block format (lz4_Block_format.md of the LZ4
// project, version 1.6).

#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    constexpr int kMinMatch = 4, kHashBits = 13;
    // The format's end conditions: the last match starts 12 bytes before the end or earlier, and
    // the last 5 bytes are literals.
    constexpr int kLastMatch = 12, kLastLiterals = 5;
    if (capacity < LZ4_compressBound(size)) return 0;
    const auto* const in = reinterpret_cast<const uint8_t*>(source);
    auto* out = reinterpret_cast<uint8_t*>(target);
    const auto word = [&](int at) {
        uint32_t value;
        std::memcpy(&value, in + at, sizeof(value));
        return value;
    };
    const auto put_length = [&](int rest) {
        for (; rest >= 255; rest -= 255) *out++ = 255;
        *out++ = static_cast<uint8_t>(rest);
    };
    // One sequence: literals, then a match of `length` bytes, or no match at the very end.
    const auto put = [&](int literals_at, int literals, int offset, int length) {
        const int extra = length - kMinMatch;
        uint8_t* const token = out++;
        *token = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4);
        if (literals >= 15) put_length(literals - 15);
        if (literals > 0) std::memcpy(out, in + literals_at, literals);
        out += literals;
        if (length == 0) return;
        *token |= static_cast<uint8_t>(extra < 15 ? extra : 15);
        *out++ = offset & 0xFF;
        *out++ = static_cast<uint8_t>(offset >> 8);
        if (extra >= 15) put_length(extra - 15);
    };

    std::vector<int> seen(1 << kHashBits, -1);
    int at = 0, literals_at = 0;
    while (at + kLastMatch <= size) {
        int& slot = seen[(word(at) * 2654435761U) >> (32 - kHashBits)];
        const int candidate = slot;
        slot = at;
        if (candidate < 0 || at - candidate > 65535 || word(candidate) != word(at)) {
            ++at;
            continue;
        }
        int length = kMinMatch;
        while (at + length < size - kLastLiterals && in[candidate + length] == in[at + length])
            ++length;
        put(literals_at, at - literals_at, at - candidate, length);
        at += length;
        literals_at = at;
    }
    put(literals_at, size - literals_at, 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
