/* The work of strided_copy, compiled once for each instruction set. Loads and stores go through types that need no
 * alignment: a wide element may be two narrow ones of a bound input. */
#include "strided_copy/movement.h"
#include "strided_copy/strided_copy_plan.h"

#ifdef INGOT_ISA_avx2
enum { BLOCK = 8 };
#else
enum { BLOCK = 4 };
#endif
typedef uint32_t block_vector __attribute__((vector_size(BLOCK * 4)));
typedef uint32_t block_vector_any __attribute__((vector_size(BLOCK * 4), aligned(1), may_alias));

/* BLOCK x BLOCK elements of 4 bytes: out[i][j] = in[j][i]. */
static inline void transpose_block(const uint32_t *in, int64_t in_step, uint32_t *out, int64_t out_step) {
    block_vector v[BLOCK], w[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        v[j] = *(const block_vector_any *)(in + j * in_step);
    }
#ifdef INGOT_ISA_avx2
    for (int j = 0; j < 4; j++) {
        w[j] = __builtin_shufflevector(v[j], v[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        w[j + 4] = __builtin_shufflevector(v[j], v[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int j = 0; j < 8; j += 4) {
        for (int k = 0; k < 2; k++) {
            v[j + 2 * k] = __builtin_shufflevector(w[j + k], w[j + k + 2], 0, 8, 1, 9, 4, 12, 5, 13);
            v[j + 2 * k + 1] = __builtin_shufflevector(w[j + k], w[j + k + 2], 2, 10, 3, 11, 6, 14, 7, 15);
        }
        w[j] = __builtin_shufflevector(v[j], v[j + 2], 0, 8, 1, 9, 4, 12, 5, 13);
        w[j + 1] = __builtin_shufflevector(v[j], v[j + 2], 2, 10, 3, 11, 6, 14, 7, 15);
        w[j + 2] = __builtin_shufflevector(v[j + 1], v[j + 3], 0, 8, 1, 9, 4, 12, 5, 13);
        w[j + 3] = __builtin_shufflevector(v[j + 1], v[j + 3], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#else
    block_vector a = __builtin_shufflevector(v[0], v[2], 0, 4, 1, 5),
                 b = __builtin_shufflevector(v[0], v[2], 2, 6, 3, 7);
    block_vector c = __builtin_shufflevector(v[1], v[3], 0, 4, 1, 5),
                 d = __builtin_shufflevector(v[1], v[3], 2, 6, 3, 7);
    w[0] = __builtin_shufflevector(a, c, 0, 4, 1, 5);
    w[1] = __builtin_shufflevector(a, c, 2, 6, 3, 7);
    w[2] = __builtin_shufflevector(b, d, 0, 4, 1, 5);
    w[3] = __builtin_shufflevector(b, d, 2, 6, 3, 7);
#endif
    for (int i = 0; i < BLOCK; i++) {
        *(block_vector_any *)(out + i * out_step) = w[i];
    }
}

#define STRIDED_TILE(NAME, TYPE)                                                                                       \
    static void NAME##_spread(const TYPE *in, int64_t in_step, TYPE *out, int64_t n) {                                 \
        if (in_step == 0) {                                                                                            \
            TYPE value = *in;                                                                                          \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                out[i] = value;                                                                                        \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        if (in_step == 2) { /* a constant step lets the compiler shuffle instead of gathering */                       \
            for (int64_t i = 0; i < n; i++) {                                                                          \
                out[i] = in[i * 2];                                                                                    \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            out[i] = in[i * in_step];                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    /* out[i][j] = in[j][i] for i < rows, j < cols, reading a few lines at a time so that they stay in the cache */    \
    static void NAME##_flip(const TYPE *in, int64_t in_step, TYPE *out, int64_t out_step, int64_t rows,                \
                            int64_t cols) {                                                                            \
        for (int64_t j = 0; j < cols; j += 16) {                                                                       \
            int64_t n = cols - j < 16 ? cols - j : 16;                                                                 \
            for (int64_t i = 0; i < rows; i++) {                                                                       \
                NAME##_spread(in + j * in_step + i, in_step, out + i * out_step + j, n);                               \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef uint8_t u8_any __attribute__((may_alias));
STRIDED_TILE(b1, u8_any)
STRIDED_TILE(b2, ingot_u16_any)
STRIDED_TILE(b4, ingot_u32_any)
STRIDED_TILE(b8, ingot_u64_any)
STRIDED_TILE(b16, ingot_u128_any)

/* Few channels: pixels of an image in, or out, of one piece. Constant counts let the compiler shuffle. */
#define FEW_CHANNELS(N)                                                                                                \
    static void split_##N(const ingot_u32_any *in, ingot_u32_any *out, int64_t out_step, int64_t cols) {               \
        for (int64_t j = 0; j < cols; j++) {                                                                           \
            for (int64_t i = 0; i < N; i++) {                                                                          \
                out[i * out_step + j] = in[j * N + i];                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void join_##N(const ingot_u32_any *in, int64_t in_step, ingot_u32_any *out, int64_t rows) {                 \
        for (int64_t i = 0; i < rows; i++) {                                                                           \
            for (int64_t j = 0; j < N; j++) {                                                                          \
                out[i * N + j] = in[j * in_step + i];                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }
FEW_CHANNELS(2)
FEW_CHANNELS(3)

static bool flip_few_channels(const ingot_u32_any *in, int64_t in_step, ingot_u32_any *out, int64_t out_step,
                              int64_t rows, int64_t cols) {
    if (rows == 2 && in_step == 2) {
        split_2(in, out, out_step, cols);
    } else if (rows == 3 && in_step == 3) {
        split_3(in, out, out_step, cols);
    } else if (cols == 2 && out_step == 2) {
        join_2(in, in_step, out, rows);
    } else if (cols == 3 && out_step == 3) {
        join_3(in, in_step, out, rows);
    } else {
        return false;
    }
    return true;
}

static void flip_blocks(const ingot_u32_any *in, int64_t in_step, ingot_u32_any *out, int64_t out_step, int64_t rows,
                        int64_t cols) {
    if (flip_few_channels(in, in_step, out, out_step, rows, cols)) {
        return;
    }
    int64_t whole_rows = rows - rows % BLOCK, whole_cols = cols - cols % BLOCK;
    for (int64_t i = 0; i < whole_rows; i += BLOCK) {
        for (int64_t j = 0; j < whole_cols; j += BLOCK) {
            transpose_block((const uint32_t *)(in + j * in_step + i), in_step, (uint32_t *)(out + i * out_step + j),
                            out_step);
        }
    }
    b4_flip(in + whole_cols * in_step, in_step, out + whole_cols, out_step, whole_rows, cols - whole_cols);
    b4_flip(in + whole_rows, in_step, out + whole_rows * out_step, out_step, rows - whole_rows, cols);
}

static void copy_tile(const strided_plan *plan, const char *in, char *out, int64_t rows, int64_t cols) {
    int64_t size = plan->element, step = plan->cols.in, in_row = plan->rows.in, out_row = plan->rows.out;
    if (step == 1) {
        ingot_copy_rows(out, out_row * size, in, in_row * size, rows, cols * size);
        return;
    }
    if (plan->transpose) {
        switch (size) {
        case 1: b1_flip((const void *)in, step, (void *)out, out_row, rows, cols); break;
        case 2: b2_flip((const void *)in, step, (void *)out, out_row, rows, cols); break;
        case 4: flip_blocks((const void *)in, step, (void *)out, out_row, rows, cols); break;
        case 8: b8_flip((const void *)in, step, (void *)out, out_row, rows, cols); break;
        default: b16_flip((const void *)in, step, (void *)out, out_row, rows, cols); break;
        }
        return;
    }
    for (int64_t row = 0; row < rows; row++) {
        const void *from = in + row * in_row * size;
        void *to = out + row * out_row * size;
        switch (size) {
        case 1: b1_spread(from, step, to, cols); break;
        case 2: b2_spread(from, step, to, cols); break;
        case 4: b4_spread(from, step, to, cols); break;
        case 8: b8_spread(from, step, to, cols); break;
        default: b16_spread(from, step, to, cols); break;
        }
    }
}

INGOT_KERNEL_FN(strided_copy) {
    (void)scratch;
    const strided_plan *plan = call->state;
    uint32_t units = ingot_units_for(plan->items, plan->row_chunk * plan->col_chunk * plan->element);
    int64_t item = ingot_unit_begin(plan->items, units, begin), end_item = ingot_unit_begin(plan->items, units, end);
    if (item >= end_item) {
        return INGOT_KERNEL_OK;
    }
    int64_t chunks = plan->row_chunks * plan->col_chunks, chunk = item % chunks, rest = item / chunks;
    int64_t index[INGOT_MAX_RANK], in = plan->offset, out = 0; /* where the outer loops stand */
    for (uint32_t i = plan->outer_count; i-- > 0;) {
        index[i] = rest % plan->outer[i].extent;
        rest /= plan->outer[i].extent;
        in += index[i] * plan->outer[i].in;
        out += index[i] * plan->outer[i].out;
    }
    for (;;) {
        int64_t row = chunk / plan->col_chunks * plan->row_chunk, col = chunk % plan->col_chunks * plan->col_chunk;
        int64_t rows = plan->rows.extent - row, cols = plan->cols.extent - col;
        rows = rows < plan->row_chunk ? rows : plan->row_chunk;
        cols = cols < plan->col_chunk ? cols : plan->col_chunk;
        copy_tile(plan,
                  (const char *)call->in[0].data + (in + row * plan->rows.in + col * plan->cols.in) * plan->element,
                  (char *)call->out[0].data + (out + row * plan->rows.out + col) * plan->element, rows, cols);
        if (++item == end_item) {
            return INGOT_KERNEL_OK;
        }
        if (++chunk < chunks) {
            continue;
        }
        chunk = 0;
        for (uint32_t i = plan->outer_count; i-- > 0;) {
            const strided_loop *loop = &plan->outer[i];
            in += loop->in;
            out += loop->out;
            if (++index[i] < loop->extent) {
                break;
            }
            in -= loop->in * loop->extent;
            out -= loop->out * loop->extent;
            index[i] = 0;
        }
    }
}
