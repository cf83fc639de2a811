#include "sha256.h"

#include <string.h>

#include "isa.h"

static const uint32_t initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* Aligned: the path by instructions loads four at a time. */
static const _Alignas(16) uint32_t k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static uint32_t load_be(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void store_be(uint8_t *to, uint32_t word) {
    for (int i = 0; i < 4; ++i) {
        to[i] = (uint8_t)(word >> (24 - 8 * i));
    }
}

void ingot_sha256_blocks_portable(uint32_t state[8], const uint8_t *data, size_t count) {
    for (; count != 0; --count, data += 64) {
        uint32_t w[64];
        for (int i = 0; i < 16; ++i) {
            w[i] = load_be(data + 4 * i);
        }
        for (int i = 16; i < 64; ++i) {
            const uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            const uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; ++i) {
            const uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
            const uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + k[i] + w[i];
            const uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
            const uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1;
            d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* The instructions keep the eight words in two registers as ABEF and CDGH, highest first, and do four rounds a pair.
 * m is a ring of the last sixteen words of the message schedule. */
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_by_instruction(uint32_t state[8], const uint8_t *data,
                                                                              size_t count) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

    for (; count != 0; --count, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i m[4];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            __m128i *const now = &m[i & 3];
            const __m128i last = m[(i + 3) & 3];
            if (i < 4) {
                *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
            } else {
                const __m128i seventh = _mm_alignr_epi8(last, m[(i + 2) & 3], 4); /* w[t - 7] */
                *now = _mm_sha256msg1_epu32(*now, m[(i + 1) & 3]);
                *now = _mm_sha256msg2_epu32(_mm_add_epi32(*now, seventh), last);
            }
            const __m128i wk = _mm_add_epi32(*now, _mm_load_si128((const __m128i *)(k + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#elif defined(__aarch64__) && !defined(__clang__) /* clang 14 hides these intrinsics unless the whole file has them */
#include <arm_neon.h>

__attribute__((target("+crypto"))) static void blocks_by_instruction(uint32_t state[8], const uint8_t *data,
                                                                     size_t count) {
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; count != 0; --count, data += 64) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t m[4];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            if (i < 4) {
                m[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
            } else {
                const uint32x4_t partial = vsha256su0q_u32(m[i & 3], m[(i + 1) & 3]);
                m[i & 3] = vsha256su1q_u32(partial, m[(i + 2) & 3], m[(i + 3) & 3]);
            }
            const uint32x4_t wk = vaddq_u32(m[i & 3], vld1q_u32(k + 4 * i));
            const uint32x4_t abcd_in = abcd;
            abcd = vsha256hq_u32(abcd, efgh, wk);
            efgh = vsha256h2q_u32(efgh, abcd_in, wk);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#else
#define blocks_by_instruction ingot_sha256_blocks_portable
#endif

static void blocks(uint32_t state[8], const uint8_t *data, size_t count) {
    if (ingot_cpu_has(INGOT_CPU_SHA256)) {
        blocks_by_instruction(state, data, count);
    } else {
        ingot_sha256_blocks_portable(state, data, count);
    }
}

void ingot_sha256_init(ingot_sha256_stream *stream) {
    memcpy(stream->state, initial, sizeof initial);
    stream->length = 0;
}

void ingot_sha256_update(ingot_sha256_stream *stream, const void *data, size_t n) {
    const uint8_t *p = data;
    const size_t waiting = stream->length % 64;
    stream->length += n;
    if (waiting != 0 && n >= 64 - waiting) {
        memcpy(stream->block + waiting, p, 64 - waiting);
        blocks(stream->state, stream->block, 1);
        p += 64 - waiting;
        n -= 64 - waiting;
    } else if (waiting != 0) {
        if (n != 0) {
            memcpy(stream->block + waiting, p, n);
        }
        return;
    }
    blocks(stream->state, p, n / 64);
    if (n % 64 != 0) {
        memcpy(stream->block, p + n / 64 * 64, n % 64);
    }
}

void ingot_sha256_final(ingot_sha256_stream *stream, uint8_t digest[INGOT_SHA256_SIZE]) {
    const uint64_t bits = stream->length * 8;
    size_t used = stream->length % 64;
    stream->block[used++] = 0x80;
    if (used > 56) {
        memset(stream->block + used, 0, 64 - used);
        blocks(stream->state, stream->block, 1);
        used = 0;
    }
    memset(stream->block + used, 0, 56 - used);
    store_be(stream->block + 56, (uint32_t)(bits >> 32));
    store_be(stream->block + 60, (uint32_t)bits);
    blocks(stream->state, stream->block, 1);
    for (int i = 0; i < 8; ++i) {
        store_be(digest + 4 * i, stream->state[i]);
    }
}

void ingot_sha256(const void *data, size_t n, uint8_t digest[INGOT_SHA256_SIZE]) {
    ingot_sha256_stream stream;
    ingot_sha256_init(&stream);
    ingot_sha256_update(&stream, data, n);
    ingot_sha256_final(&stream, digest);
}
