// The one function of zlib that Verilator's FST writer calls, as "stored" blocks without any
// compression (RFC 1950, RFC 1951 section 3.2.4), so that no zlib has to be installed to record
// waves. The writer stores plainly what does not get smaller, and compresses with LZ4 the value
// changes, which are the bulk.

#pragma once

#include <cstdint>
#include <cstring>

using Bytef = unsigned char;
using uLong = unsigned long;
using uLongf = unsigned long;
enum { Z_OK = 0, Z_BUF_ERROR = -5 };

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* out, uLongf* out_size, const Bytef* in, uLong size, int /*level*/) {
    if (*out_size < compressBound(size)) return Z_BUF_ERROR;
    Bytef* p = out;
    *p++ = 0x78;  // deflate with a window of 32 KiB, no dictionary
    *p++ = 0x01;
    uint32_t a = 1, b = 0;  // Adler-32
    uLong left = size;
    do {
        const uLong length = left < 65535 ? left : 65535;
        left -= length;
        *p++ = left == 0;  // the last block?
        *p++ = length & 0xFF;
        *p++ = length >> 8;
        *p++ = ~length & 0xFF;
        *p++ = (~length >> 8) & 0xFF;
        std::memcpy(p, in, length);
        p += length;
        for (uLong i = 0; i < length; ++i) {
            a = (a + *in++) % 65521;
            b = (b + a) % 65521;
        }
    } while (left != 0);
    const uint32_t sum = b << 16 | a;
    for (int shift = 24; shift >= 0; shift -= 8) *p++ = (sum >> shift) & 0xFF;
    *out_size = p - out;
    return Z_OK;
}
