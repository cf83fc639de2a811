#include "crc32c.h"

#include <string.h>

#include "isa.h"

/* The register holds the polynomial bit-reversed: bit 31 is x^0. */
#define POLYNOMIAL 0x82f63b78U

/* A table entry is linear in the bits of its index, so eight entries (those of 1, 2, 4, ... 128) make all 256. */
#define ENTRY(i, b0, b1, b2, b3, b4, b5, b6, b7)                                                                       \
    ((1 & (i) ? b0 : 0) ^ (2 & (i) ? b1 : 0) ^ (4 & (i) ? b2 : 0) ^ (8 & (i) ? b3 : 0) ^ (16 & (i) ? b4 : 0) ^         \
     (32 & (i) ? b5 : 0) ^ (64 & (i) ? b6 : 0) ^ (128 & (i) ? b7 : 0))
#define ROW4(i, ...)                                                                                                   \
    ENTRY(i, __VA_ARGS__), ENTRY(i + 1, __VA_ARGS__), ENTRY(i + 2, __VA_ARGS__), ENTRY(i + 3, __VA_ARGS__)
#define ROW16(i, ...)                                                                                                  \
    ROW4(i, __VA_ARGS__), ROW4(i + 4, __VA_ARGS__), ROW4(i + 8, __VA_ARGS__), ROW4(i + 12, __VA_ARGS__)
#define ROW64(i, ...)                                                                                                  \
    ROW16(i, __VA_ARGS__), ROW16(i + 16, __VA_ARGS__), ROW16(i + 32, __VA_ARGS__), ROW16(i + 48, __VA_ARGS__)
#define TABLE(...)                                                                                                     \
    { ROW64(0, __VA_ARGS__), ROW64(64, __VA_ARGS__), ROW64(128, __VA_ARGS__), ROW64(192, __VA_ARGS__) }

/* tables[k][b]: the remainder of byte b with k zero bytes behind it ("slicing by 4", after Kounavis and Berry 2005).
 * Processors without the instruction are rare, and eight tables would be 4 KiB more. */
static const uint32_t tables[4][256] = {
    TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
};

uint32_t ingot_crc32c_portable(uint32_t crc, const void *data, size_t n) {
    const uint8_t *p = data;
    crc = ~crc;
    for (; n >= 4; n -= 4, p += 4) {
        uint32_t word;
        memcpy(&word, p, sizeof word); /* little-endian, as all of Ingot */
        word ^= crc;
        crc =
            tables[3][word & 0xff] ^ tables[2][word >> 8 & 0xff] ^ tables[1][word >> 16 & 0xff] ^ tables[0][word >> 24];
    }
    for (; n != 0; --n, ++p) {
        crc = crc >> 8 ^ tables[0][(crc ^ *p) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__) || defined(__aarch64__)

/* The instruction takes 8 bytes a cycle but answers after three, so three streams of STREAM bytes run side by side. */
enum { STREAM = 8192 };
#define SHIFT_1 0x28461564U /* x^(8 * STREAM) mod P: what STREAM zero bytes do to a register */
#define SHIFT_2 0xbf455269U /* x^(16 * STREAM) mod P */

static uint64_t load64(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* The product of two polynomials mod P. Twice for each 24 KiB: a few percent of the time, and no table. */
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; --bit) {
        product ^= b & (0U - (a >> bit & 1U));
        b = b >> 1 ^ (POLYNOMIAL & (0U - (b & 1U)));
    }
    return product;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#define CRC8(crc, byte) _mm_crc32_u8((uint32_t)(crc), byte)
#define CRC64(crc, word) _mm_crc32_u64(crc, word)
typedef uint64_t register_type; /* as wide as the instruction's result, or compilers extend it every time */
#else
/* Assembler, because the intrinsics of clang and gcc ask for different command lines. */
#define TARGET
typedef uint32_t register_type;
static inline uint32_t CRC8(uint32_t crc, uint8_t byte) {
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
    return crc;
}
static inline uint32_t CRC64(uint32_t crc, uint64_t word) {
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}
#endif

TARGET static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *p, size_t n) {
    register_type c0 = (uint32_t)~crc;
    for (; n >= 3 * STREAM; n -= 3 * STREAM, p += 3 * STREAM) {
        register_type c1 = 0, c2 = 0;
        for (size_t i = 0; i < STREAM; i += 8) {
            c0 = CRC64(c0, load64(p + i));
            c1 = CRC64(c1, load64(p + STREAM + i));
            c2 = CRC64(c2, load64(p + 2 * STREAM + i));
        }
        c0 = multiply((uint32_t)c0, SHIFT_2) ^ multiply((uint32_t)c1, SHIFT_1) ^ (uint32_t)c2;
    }
    for (; n >= 8; n -= 8, p += 8) {
        c0 = CRC64(c0, load64(p));
    }
    for (; n != 0; --n, ++p) {
        c0 = CRC8(c0, *p);
    }
    return (uint32_t)~c0;
}

uint32_t ingot_crc32c(uint32_t crc, const void *data, size_t n) {
#if defined(__x86_64__)
    const size_t blocks = n / INGOT_CRC32C_BLOCK;
    if (blocks > 1 && ingot_cpu_has(INGOT_CPU_VPCLMULQDQ)) {
        crc = ingot_crc32c_fold(crc, data, blocks);
        data = (const uint8_t *)data + blocks * INGOT_CRC32C_BLOCK;
        n %= INGOT_CRC32C_BLOCK;
    }
#endif
    return ingot_cpu_has(INGOT_CPU_CRC32C) ? crc_by_instruction(crc, data, n) : ingot_crc32c_portable(crc, data, n);
}

#else

uint32_t ingot_crc32c(uint32_t crc, const void *data, size_t n) { return ingot_crc32c_portable(crc, data, n); }

#endif
