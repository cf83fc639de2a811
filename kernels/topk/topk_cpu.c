/* topk: the k largest (or smallest) elements along an axis, best first, and where they stood. Equal elements come in
 * the order of their indices; NaN counts as larger than everything.
 *
 * Every element becomes a 64-bit key whose unsigned order is the wanted one, so one heap serves all types. The heap
 * holds the best k so far with the worst of them at its root. */
#include "topk/topk.h"

#include "strided_copy/movement.h"

typedef struct entry {
    uint64_t key;
    int64_t index;
} entry;

static const char *check(const ingot_call *call) {
    const ingot_topk_params *p = call->params;
    const ingot_arg *in = &call->in[0], *values = &call->out[0], *indices = &call->out[1];
    if (values->dtype != in->dtype || indices->dtype != INGOT_I64 || ingot_element_size(in->dtype) == 0 ||
        in->dtype > INGOT_BOOL || in->dtype == INGOT_F16 || in->dtype == INGOT_BF16) {
        return "topk: wrong element types";
    }
    if (p->axis >= in->rank || p->smallest > 1 || values->rank != in->rank || !ingot_same_shape(values, indices)) {
        return "topk: axis, shapes or parameters do not go together";
    }
    for (uint32_t axis = 0; axis < in->rank; axis++) {
        if (axis == p->axis ? values->dims[axis] > in->dims[axis] : values->dims[axis] != in->dims[axis]) {
            return "topk: the output has another shape, or is longer than the input";
        }
    }
    return NULL;
}

static uint64_t scratch_size(const ingot_call *call) {
    const ingot_topk_params *p = call->params;
    const ingot_arg *out = &call->out[0];
    if (out->count == 0) {
        return 0;
    }
    return (uint64_t)call->in[0].dims[p->axis] * sizeof(uint64_t) + (uint64_t)out->dims[p->axis] * sizeof(entry);
}

static uint32_t units(const ingot_call *call) {
    const ingot_topk_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (out->count == 0) {
        return 1;
    }
    int64_t n = in->dims[p->axis];
    return ingot_units_for(in->count / n, n * 8);
}

/* The bits of a float, of `sign` as the sign bit, in an order that unsigned comparison gives. */
static uint64_t ordered(uint64_t bits, uint64_t sign) {
    return bits & sign ? ~bits & (sign | (sign - 1)) : bits | sign;
}

static uint64_t key_f32(float x) {
    x += 0.0f; /* -0 becomes 0: they are equal */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? UINT64_MAX >> 1 : ordered(bits, (uint64_t)1 << 31);
}

static uint64_t key_f64(double x) {
    x += 0.0;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? UINT64_MAX : ordered(bits, (uint64_t)1 << 63);
}

static uint64_t key_int(int64_t x) { return (uint64_t)x ^ ((uint64_t)1 << 63); }

#define KEYS(DTYPE, TYPE, KEY)                                                                                         \
    case DTYPE:                                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            keys[i] = flip ^ KEY(((const TYPE *)in->data)[at + i * step]);                                             \
        }                                                                                                              \
        break;

static void make_keys(const ingot_arg *in, int64_t at, int64_t step, int64_t n, uint64_t flip, uint64_t *keys) {
    switch (in->dtype) {
        KEYS(INGOT_F32, float, key_f32)
        KEYS(INGOT_F64, double, key_f64)
        KEYS(INGOT_I8, int8_t, key_int)
        KEYS(INGOT_I16, int16_t, key_int)
        KEYS(INGOT_I32, int32_t, key_int)
        KEYS(INGOT_I64, int64_t, key_int)
        KEYS(INGOT_U16, uint16_t, (uint64_t))
        KEYS(INGOT_U32, uint32_t, (uint64_t))
        KEYS(INGOT_U64, uint64_t, (uint64_t))
        KEYS(INGOT_U8, uint8_t, (uint64_t))
    default: /* bool */ KEYS(INGOT_BOOL, uint8_t, (uint64_t))
    }
}

static bool worse(entry a, entry b) { return a.key != b.key ? a.key < b.key : a.index > b.index; }

/* Lets the entry at the root of heap[0, n) sink to its place. */
static void sink(entry *heap, int64_t n) {
    entry moving = heap[0];
    int64_t at = 0;
    for (int64_t child = 1; child < n; child = 2 * at + 1) {
        child += child + 1 < n && worse(heap[child + 1], heap[child]);
        if (!worse(heap[child], moving)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

static void select_best(const uint64_t *keys, int64_t n, entry *heap, int64_t k) {
    for (int64_t i = 0; i < k; i++) { /* rise */
        entry moving = {keys[i], i};
        int64_t at = i;
        for (; at > 0 && worse(moving, heap[(at - 1) / 2]); at = (at - 1) / 2) {
            heap[at] = heap[(at - 1) / 2];
        }
        heap[at] = moving;
    }
    for (int64_t i = k; i < n; i++) {
        if (keys[i] > heap[0].key) {
            heap[0] = (entry){keys[i], i};
            sink(heap, k);
        }
    }
    for (int64_t rest = k - 1; rest > 0; rest--) { /* the worst goes to the end */
        entry worst = heap[0];
        heap[0] = heap[rest];
        heap[rest] = worst;
        sink(heap, rest);
    }
}

INGOT_KERNEL_FN(topk) {
    const ingot_topk_params *p = call->params;
    const ingot_arg *in = &call->in[0], *values = &call->out[0];
    if (values->count == 0) {
        return INGOT_KERNEL_OK;
    }
    int64_t n = in->dims[p->axis], k = values->dims[p->axis], inner = ingot_extent(in, (int)p->axis + 1, in->rank);
    int64_t size = ingot_element_size(in->dtype), lines = in->count / n;
    entry *heap = scratch;
    uint64_t *keys = (uint64_t *)(heap + k);
    uint32_t all = units(call);
    int64_t last = ingot_unit_begin(lines, all, end);
    for (int64_t line = ingot_unit_begin(lines, all, begin); line < last; line++) {
        int64_t from = line / inner * n * inner + line % inner, to = line / inner * k * inner + line % inner;
        make_keys(in, from, inner, n, p->smallest ? UINT64_MAX : 0, keys);
        select_best(keys, n, heap, k);
        for (int64_t i = 0; i < k; i++) {
            int64_t index = heap[i].index;
            ingot_copy_run((char *)values->data + (to + i * inner) * size,
                           (const char *)in->data + (from + index * inner) * size, size);
            ((int64_t *)call->out[1].data)[to + i * inner] = index;
        }
    }
    return INGOT_KERNEL_OK;
}

const ingot_family ingot_family_topk = {
    .params_size = sizeof(ingot_topk_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 1,
    .out_min = 2,
    .out_max = 2,
    .check = check,
    .units = units,
    .scratch_size = scratch_size,
};
