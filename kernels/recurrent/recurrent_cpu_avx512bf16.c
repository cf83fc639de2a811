/* vdpbf16ps: the driver is that of avx512. */
#include "recurrent/recurrent_bf16.h"

static void units(float *sums, const float *init, const float *x, int64_t n, const float *panels, int64_t apart,
                  int gates, const recurrent_slice *slice) {
    if (gates == 4) {
        recurrent_units(sums, init, x, n, panels, apart, 4, slice);
    } else {
        recurrent_units(sums, init, x, n, panels, apart, 3, slice);
    }
}

INGOT_KERNEL_FN(recurrent_bf16_n16k2) {
    static const recurrent_bf16 bf16 = {.dot = &ingot_bf16_dot__avx512bf16, .units = units};
    return ingot_recurrent_bf16_run(call, begin, end, scratch, &bf16);
}
