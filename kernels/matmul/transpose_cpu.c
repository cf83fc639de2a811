/* Transposing copies for operands that lie the wrong way round. */
#include "matmul_f32.h"

#include <string.h>

enum { BLOCK = 16 }; /* floats of a cache line: whole lines are written while the lines read stay in the cache */

static void transpose_edge(const float *from, int64_t from_pitch, int64_t columns, int64_t rows, float scale, float *to,
                           int64_t to_pitch) {
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < columns; i++) {
            to[r * to_pitch + i] = scale * from[i * from_pitch + r];
        }
    }
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
#endif
#endif

#ifdef HAVE_SHUFFLE
typedef float vec4 __attribute__((vector_size(16)));

static inline vec4 load4(const float *p) {
    vec4 x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void store4(float *p, vec4 x) { memcpy(p, &x, sizeof x); }

static inline void transpose_4x4(const float *from, int64_t from_pitch, vec4 scale, float *to, int64_t to_pitch) {
    const vec4 a = load4(from) * scale, b = load4(from + from_pitch) * scale;
    const vec4 c = load4(from + 2 * from_pitch) * scale, d = load4(from + 3 * from_pitch) * scale;
    const vec4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const vec4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    store4(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    store4(to + to_pitch, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    store4(to + 2 * to_pitch, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    store4(to + 3 * to_pitch, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

static void transpose_block(const float *from, int64_t from_pitch, int64_t rows, float scale, float *to,
                            int64_t to_pitch) {
    const vec4 scales = {scale, scale, scale, scale};
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        for (int i = 0; i < BLOCK; i += 4) {
            transpose_4x4(from + i * from_pitch + r, from_pitch, scales, to + r * to_pitch + i, to_pitch);
        }
    }
    transpose_edge(from + r, from_pitch, BLOCK, rows - r, scale, to + r * to_pitch, to_pitch);
}
#else
static void transpose_block(const float *from, int64_t from_pitch, int64_t rows, float scale, float *to,
                            int64_t to_pitch) {
    transpose_edge(from, from_pitch, BLOCK, rows, scale, to, to_pitch);
}
#endif

void ingot_matmul_transpose(const float *from, int64_t from_pitch, int64_t columns, int64_t rows, float scale,
                            float *to, int64_t to_pitch) {
    int64_t i = 0;
    for (; i + BLOCK <= columns; i += BLOCK) {
        transpose_block(from + i * from_pitch, from_pitch, rows, scale, to + i, to_pitch);
    }
    transpose_edge(from + i * from_pitch, from_pitch, columns - i, rows, scale, to + i, to_pitch);
}
