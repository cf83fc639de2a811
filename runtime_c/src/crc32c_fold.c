/* CRC-32C of long runs by carry-less products, after V. Gopal et al., "Fast CRC Computation for Generic Polynomials
 * Using PCLMULQDQ Instruction", Intel, 2009: as fast as memory gives the bytes, which three streams of the crc32
 * instruction are not. Products of 128 bits are no faster than that instruction, so it takes those of 512. */
#include "crc32c.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,vpclmulqdq,sse4.2")))

/* Bytes follow each other as powers fall, and a register holds them bit-reversed: bit i of a half is x^(63 - i), of a
 * product x^(126 - i), which read as 128 bits is x times too much. What lies D bits ahead of other bytes counts x^D as
 * much: its halves are multiplied by x^(D + 63) and x^(D - 1), each mod P and so 32 bits at the top of a half. */
#define FOLD(by_d_and_63, by_d_less_1)                                                                                 \
    _mm512_broadcast_i32x4(_mm_set_epi32((int)(by_d_less_1), 0, (int)(by_d_and_63), 0))
#define BY_4096 FOLD(0x75bda454U, 0xe986c148U)
#define BY_2048 FOLD(0xe9a5d8beU, 0x1426a815U)
#define BY_1024 FOLD(0x6577b245U, 0x7417153fU)
#define BY_512 FOLD(0x1c19243bU, 0x75bba45bU)

TARGET static inline __m512i fold(__m512i ahead, __m512i by, __m512i next) {
    const __m512i low = _mm512_clmulepi64_epi128(ahead, by, 0x00);
    return _mm512_ternarylogic_epi64(low, _mm512_clmulepi64_epi128(ahead, by, 0x11), next, 0x96); /* exclusive or */
}

TARGET uint32_t ingot_crc32c_fold(uint32_t crc, const uint8_t *p, size_t blocks) {
    enum { LANES = INGOT_CRC32C_BLOCK / 64, AHEAD = 2048 };
    __m512i lanes[LANES];
    for (int i = 0; i < LANES; ++i) {
        lanes[i] = _mm512_loadu_si512(p + 64 * i);
    }
    lanes[0] = _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)~crc)));
    for (const __m512i by = BY_4096; --blocks != 0;) {
        p += INGOT_CRC32C_BLOCK;
        for (int i = 0; i < LANES; ++i) {
            /* The processor's own prefetching ends at each page. */
            _mm_prefetch((const char *)p + AHEAD + 64 * i, _MM_HINT_T0);
            lanes[i] = fold(lanes[i], by, _mm512_loadu_si512(p + 64 * i));
        }
    }
    for (int i = 0; i < 4; ++i) {
        lanes[i] = fold(lanes[i], BY_2048, lanes[i + 4]);
    }
    lanes[0] = fold(lanes[0], BY_1024, lanes[2]);
    lanes[1] = fold(lanes[1], BY_1024, lanes[3]);
    uint64_t last[8]; /* as many bytes with the same remainder: the instruction's work */
    _mm512_storeu_si512(last, fold(lanes[0], BY_512, lanes[1]));
    uint64_t rest = 0;
    for (int i = 0; i < 8; ++i) {
        rest = _mm_crc32_u64(rest, last[i]);
    }
    return (uint32_t)~rest;
}

#endif
