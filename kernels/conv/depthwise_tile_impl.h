/* The tiles of depthwise_tile.h for one instruction set, a register of channels at a time, and the kernels that use
 * them. With DW_MASKS, where masks cost nothing, the last channels need not fill a register. */
#include "depthwise_tile.h"
#include "vec16.h"

#ifdef DW_MASKS
enum { DW_TILE_LANES = 1 };
INGOT_INLINE vreg dw_load(const float *p, int64_t n) { return v16_load_n(p, n); }
INGOT_INLINE void dw_store(float *p, vreg x, int64_t n) { v16_store_n(p, x, n); }
#else
enum { DW_TILE_LANES = VREG_LANES };
INGOT_INLINE vreg dw_load(const float *p, int64_t n) { return vreg_load(p); }
INGOT_INLINE void dw_store(float *p, vreg x, int64_t n) { vreg_store(p, x); }
#endif

INGOT_INLINE void dw_tile(const ingot_dw_tile *t, const int stride) {
    enum { LINES = INGOT_DW_TILE_LINES, COLUMNS = INGOT_DW_TILE_COLUMNS, KERNEL = INGOT_DW_TILE_KERNEL };
    const int in_lines = (LINES - 1) * stride + KERNEL, in_columns = (COLUMNS - 1) * stride + KERNEL;
    const int64_t moved = t->moved;
    const vreg lo = vreg_set1(t->lo), hi = vreg_set1(t->hi);
    for (int64_t c = 0; c < t->channels; c += VREG_LANES) {
        const float *weights = t->weights + c / INGOT_DW_LANES * INGOT_DW_LANES * KERNEL * KERNEL + c % INGOT_DW_LANES;
        const int64_t left = t->channels - c, n = left < VREG_LANES ? left : VREG_LANES;
        const vreg bias = t->bias != NULL ? dw_load(t->bias + c, n) : vreg_set1(0.0f);
        vreg sum[LINES][COLUMNS];
        INGOT_UNROLL(8)
        for (int i = 0; i < LINES * COLUMNS; i++) {
            sum[i / COLUMNS][i % COLUMNS] = bias;
        }
        INGOT_UNROLL(5)
        for (int line = 0; line < in_lines; line++) {
            vreg x[2 * (COLUMNS - 1) + KERNEL];
            INGOT_UNROLL(9)
            for (int i = 0; i < in_columns; i++) {
                x[i] = dw_load((const float *)t->in[line * in_columns + i] + (moved + c), n);
            }
            INGOT_UNROLL(2)
            for (int y = 0; y < LINES; y++) {
                const int ky = line - y * stride;
                if (ky < 0 || ky >= KERNEL) {
                    continue;
                }
                INGOT_UNROLL(3)
                for (int kx = 0; kx < KERNEL; kx++) {
                    const vreg weight = vreg_load(weights + (ky * KERNEL + kx) * INGOT_DW_LANES);
                    INGOT_UNROLL(4)
                    for (int i = 0; i < COLUMNS; i++) {
                        sum[y][i] = vreg_fma(x[i * stride + kx], weight, sum[y][i]);
                    }
                }
            }
        }
        INGOT_UNROLL(8)
        for (int i = 0; i < LINES * COLUMNS; i++) {
            vreg y = sum[i / COLUMNS][i % COLUMNS];
            if (t->residual != NULL) {
                y = vreg_add(y, dw_load((const float *)t->residual[i] + c, n));
            }
            dw_store((float *)t->out[i] + c, vreg_min(hi, vreg_max(lo, y)), n);
        }
    }
}

static void dw_tile_1(const ingot_dw_tile *t) { dw_tile(t, 1); }
static void dw_tile_2(const ingot_dw_tile *t) { dw_tile(t, 2); }

static const ingot_dw_tile_isa tiles = {
    .gemm = &INGOT_PASTE(ingot_, gemm_f32, INGOT_ISA),
    .tile = {dw_tile_1, dw_tile_2},
    .lanes = DW_TILE_LANES,
};

INGOT_KERNEL_FN(conv_f32_dw_tile) { return ingot_conv_dw_tile_run(call, begin, end, scratch, &tiles); }

INGOT_KERNEL_FN(conv_f32_dw_pw) { return ingot_conv_dw_pw_run(call, begin, end, scratch, &tiles); }
