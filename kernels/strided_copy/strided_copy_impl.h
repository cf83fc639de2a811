/* The work of strided_copy, compiled once for each instruction set. Loads and stores go through types that need no
 * alignment: a wide element may be two narrow ones of a bound input. */
#include "strided_copy/movement.h"
#include "strided_copy/strided_copy_plan.h"
#include "strided_copy/transpose_blocks.h"

#define STRIDED_TILE(NAME, TYPE)                                                                                       \
    static __attribute__((noinline)) void NAME##_spread(const TYPE *in, int64_t in_step, TYPE *out, int64_t n) {       \
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
    static __attribute__((noinline)) void NAME##_flip(const TYPE *in, int64_t in_step, TYPE *out, int64_t out_step,    \
                                                      int64_t rows, int64_t cols) {                                    \
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

/* Squares of SIZE, and what they leave at the far ends to REST. */
#define FLIP_SQUARES(NAME, SIZE, REST)                                                                                 \
    static void NAME(const ingot_u32_any *in, int64_t in_step, ingot_u32_any *out, int64_t out_step, int64_t rows,     \
                     int64_t cols) {                                                                                   \
        int64_t whole_rows = rows - rows % SIZE, whole_cols = cols - cols % SIZE;                                      \
        for (int64_t i = 0; i < whole_rows; i += SIZE) {                                                               \
            for (int64_t j = 0; j < whole_cols; j += SIZE) {                                                           \
                transpose_##SIZE##x##SIZE(in + j * in_step + i, in_step, out + i * out_step + j, out_step);            \
            }                                                                                                          \
        }                                                                                                              \
        REST(in + whole_cols * in_step, in_step, out + whole_cols, out_step, whole_rows, cols - whole_cols);           \
        REST(in + whole_rows, in_step, out + whole_rows * out_step, out_step, rows - whole_rows, cols);                \
    }
FLIP_SQUARES(flip_4, 4, b4_flip)
#ifdef INGOT_ISA_avx2
FLIP_SQUARES(flip_8, 8, flip_4)
#define FLIP flip_8
#else
#define FLIP flip_4
#endif

static void flip_blocks(const ingot_u32_any *in, int64_t in_step, ingot_u32_any *out, int64_t out_step, int64_t rows,
                        int64_t cols) {
    if (!flip_few_channels(in, in_step, out, out_step, rows, cols)) {
        FLIP(in, in_step, out, out_step, rows, cols);
    }
}

static void flip_bytes(const u8_any *in, int64_t in_step, u8_any *out, int64_t out_step, int64_t rows, int64_t cols) {
    int64_t done = 0;
#ifdef INGOT_HAVE_JOIN_16X3
    if (cols == 3 && out_step == 3) { /* an image in planes becomes one of pixels */
        for (; done + 16 <= rows; done += 16) join_16x3(in + done, in_step, out + 3 * done);
    }
#endif
    b1_flip(in + done, in_step, out + done * out_step, out_step, rows - done, cols);
}

static void copy_tile(const strided_plan *plan, const char *in, char *out, int64_t rows, int64_t cols) {
    int64_t size = plan->element, step = plan->cols.in, in_row = plan->rows.in, out_row = plan->rows.out;
    if (step == 1) {
        ingot_copy_rows(out, out_row * size, in, in_row * size, rows, cols * size);
        return;
    }
    if (plan->transpose) {
        switch (size) {
        case 1: flip_bytes((const void *)in, step, (void *)out, out_row, rows, cols); break;
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
