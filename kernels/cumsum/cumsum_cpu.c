/* cumsum: running sums (or products) along an axis, in the order of the axis, in the type of the elements. Integers
 * wrap, which C spells with unsigned types. */
#include "cumsum/cumsum.h"

#include "strided_copy/movement.h"

static const char *check(const ingot_call *call) {
    const ingot_cumsum_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->dtype != out->dtype || ingot_element_size(in->dtype) < 4) {
        return "cumsum: elements of a type that has no sums here";
    }
    if (p->axis >= in->rank || !ingot_same_shape(in, out) || p->exclusive > 1 || p->reverse > 1 || p->product > 1) {
        return "cumsum: axis, shapes or parameters do not go together";
    }
    return NULL;
}

static uint32_t units(const ingot_call *call) {
    const ingot_cumsum_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t outer = ingot_extent(out, 0, (int)p->axis);
    return ingot_units_for(outer, out->count / outer * ingot_element_size(out->dtype));
}

/* One block of `n` slices of `inner` elements, `step` apart (negative: from the end). */
#define CUMSUM(NAME, TYPE)                                                                                             \
    static void NAME(const void *from, void *to, int64_t n, int64_t inner, int64_t step, bool exclusive,               \
                     bool product) {                                                                                   \
        const TYPE *in = from;                                                                                         \
        TYPE *out = to;                                                                                                \
        for (int64_t i = 0; i < inner; i++) {                                                                          \
            out[i] = exclusive ? (TYPE)product : in[i];                                                                \
        }                                                                                                              \
        for (int64_t k = 1; k < n; k++) {                                                                              \
            const TYPE *next = in + (exclusive ? k - 1 : k) * step, *sum = out + (k - 1) * step;                       \
            TYPE *result = out + k * step;                                                                             \
            for (int64_t i = 0; i < inner; i++) {                                                                      \
                result[i] = product ? sum[i] * next[i] : sum[i] + next[i];                                             \
            }                                                                                                          \
        }                                                                                                              \
    }
CUMSUM(cumsum_f32, float)
CUMSUM(cumsum_f64, double)
CUMSUM(cumsum_u32, uint32_t)
CUMSUM(cumsum_u64, uint64_t)

INGOT_KERNEL_FN(cumsum) {
    (void)scratch;
    const ingot_cumsum_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t size = ingot_element_size(out->dtype), outer = ingot_extent(out, 0, (int)p->axis);
    int64_t n = out->dims[p->axis], inner = ingot_extent(out, (int)p->axis + 1, out->rank);
    uint32_t all = units(call);
    int64_t last = ingot_unit_begin(outer, all, end), first_slice = p->reverse ? (n - 1) * inner : 0;
    int64_t step = p->reverse ? -inner : inner;
    for (int64_t block = ingot_unit_begin(outer, all, begin); block < last; block++) {
        const void *from = (const char *)in->data + (block * n * inner + first_slice) * size;
        void *to = (char *)out->data + (block * n * inner + first_slice) * size;
        if (out->dtype == INGOT_F32) {
            cumsum_f32(from, to, n, inner, step, p->exclusive, p->product);
        } else if (out->dtype == INGOT_F64) {
            cumsum_f64(from, to, n, inner, step, p->exclusive, p->product);
        } else if (size == 4) {
            cumsum_u32(from, to, n, inner, step, p->exclusive, p->product);
        } else {
            cumsum_u64(from, to, n, inner, step, p->exclusive, p->product);
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_cumsum = {
    .params_size = sizeof(ingot_cumsum_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = check,
    .units = units,
};
