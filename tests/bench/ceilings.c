/* What one core reaches at most: ceilings KIND, one number on stdout: operations or bytes a nanosecond.
 * Multiply-adds count as two operations; twelve independent sums hide their latency. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* LOOP(type, sums' start, statement on sum, lanes x 2): operations a nanosecond, the best of several tries */
#define SUMS 12
#define LOOP(name, type, start, body, ops)                                                                             \
    static double name(void) {                                                                                         \
        double best = 0;                                                                                               \
        for (int t = 0; t < 9; t++) {                                                                                  \
            type s[SUMS];                                                                                              \
            for (int j = 0; j < SUMS; j++) s[j] = start;                                                               \
            const double begin = now();                                                                                \
            for (int i = 0; i < 2000000; i++) {                                                                        \
                _Pragma("GCC unroll 12") for (int j = 0; j < SUMS; j++) {                                              \
                    body;                                                                                              \
                    __asm__ volatile("" : VECTOR(s[j]));                                                               \
                }                                                                                                      \
            }                                                                                                          \
            const double rate = 2000000.0 * SUMS * (ops) / (now() - begin);                                            \
            if (rate > best) best = rate;                                                                              \
        }                                                                                                              \
        return best;                                                                                                   \
    }

#if defined(__AVX512F__)
#define VECTOR(x) "+v"(x)
LOOP(fp32, __m512, _mm512_set1_ps(0.5f), s[j] = _mm512_fmadd_ps(s[j], s[j], s[j]), 32)
#ifdef __AVX512BF16__
LOOP(bf16, __m512, _mm512_set1_ps(0.5f),
     s[j] = _mm512_dpbf16_ps(s[j], (__m512bh)_mm512_set1_epi32(1), (__m512bh)_mm512_set1_epi32(1)), 64)
#define HAS_BF16
#endif
#ifdef __AVX512VNNI__
LOOP(int8, __m512i, _mm512_set1_epi32(1), s[j] = _mm512_dpbusd_epi32(s[j], s[j], s[j]), 128)
#define HAS_INT8
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#define VECTOR(x) "+x"(x)
LOOP(fp32, __m256, _mm256_set1_ps(0.5f), s[j] = _mm256_fmadd_ps(s[j], s[j], s[j]), 16)
#elif defined(__aarch64__)
#define VECTOR(x) "+w"(x)
LOOP(fp32, float32x4_t, vdupq_n_f32(0.5f), s[j] = vfmaq_f32(s[j], s[j], s[j]), 8)
#ifdef __ARM_FEATURE_DOTPROD
LOOP(int8, int32x4_t, vdupq_n_s32(1), s[j] = vdotq_s32(s[j], vreinterpretq_s8_s32(s[j]), vreinterpretq_s8_s32(s[j])),
     32)
#define HAS_INT8
#endif
#else
#error "no ceilings for this machine"
#endif

/* Bytes a nanosecond read of a block of that size, again and again. */
static double reading(size_t bytes) {
    char *block = aligned_alloc(64, bytes);
    if (!block) return 0;
    memset(block, 1, bytes);
    double best = 0;
    const size_t rounds = bytes < (1u << 28) / 16 ? (1u << 28) / bytes : 4;
    for (int t = 0; t < 5; t++) {
        const double begin = now();
        for (size_t r = 0; r < rounds; r++) {
#if defined(__AVX512F__)
            for (size_t i = 0; i < bytes; i += 256) {
                __m512i a = _mm512_load_si512(block + i), b = _mm512_load_si512(block + i + 64);
                __m512i c = _mm512_load_si512(block + i + 128), d = _mm512_load_si512(block + i + 192);
                __asm__ volatile("" ::"v"(a), "v"(b), "v"(c), "v"(d));
            }
#else
            for (size_t i = 0; i < bytes; i += 64) {
                uint64_t a[8];
                memcpy(a, block + i, 64);
                __asm__ volatile("" ::"r"(a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7]));
            }
#endif
        }
        const double rate = (double)bytes * (double)rounds / (now() - begin);
        if (rate > best) best = rate;
    }
    free(block);
    return best;
}

int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "fp32";
    double rate = 0;
    if (!strcmp(kind, "fp32")) rate = fp32();
#ifdef HAS_BF16
    if (!strcmp(kind, "bf16")) rate = bf16();
#endif
#ifdef HAS_INT8
    if (!strcmp(kind, "int8")) rate = int8();
#endif
    if (!strcmp(kind, "l2")) rate = reading(512u << 10);
    if (!strcmp(kind, "l3")) rate = reading(12u << 20);
    if (!strcmp(kind, "dram")) rate = reading(512u << 20);
    printf("%.1f\n", rate);
    return 0;
}
