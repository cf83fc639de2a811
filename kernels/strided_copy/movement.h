/* What the kernels that move data without computing share: element sizes, row strides, short copies, even splits. */
#ifndef INGOT_MOVEMENT_H
#define INGOT_MOVEMENT_H

#include <stdbool.h>
#include <string.h>

#include "kernel.h"

/* Bytes of one element; 0 for types that have no byte address of their own or are unknown. */
static inline int64_t ingot_element_size(uint8_t dtype) {
    switch (dtype) {
    case INGOT_I8:
    case INGOT_U8:
    case INGOT_BOOL:
    case INGOT_F8E4M3:
    case INGOT_F8E5M2: return 1;
    case INGOT_F16:
    case INGOT_BF16:
    case INGOT_I16:
    case INGOT_U16: return 2;
    case INGOT_F32:
    case INGOT_I32:
    case INGOT_U32: return 4;
    case INGOT_F64:
    case INGOT_I64:
    case INGOT_U64: return 8;
    default: return 0;
    }
}

/* Elements from one index of an axis to the next. Only for operands that have elements: the framework's proof that
 * they lie in memory is what keeps the products small. */
static inline void ingot_strides(const ingot_arg *arg, int64_t stride[INGOT_MAX_RANK]) {
    int64_t step = arg->pitch;
    for (int axis = arg->rank - 1; axis >= 0; axis--) {
        if (axis == arg->rank - 1) {
            stride[axis] = 1;
        } else {
            stride[axis] = step;
            step *= arg->dims[axis];
        }
    }
}

/* Product of the extents of axes [begin, end) of an operand that has elements. */
static inline int64_t ingot_extent(const ingot_arg *arg, int begin, int end) {
    int64_t product = 1;
    for (int axis = begin; axis < end; axis++) {
        product *= arg->dims[axis];
    }
    return product;
}

static inline int64_t ingot_last_extent(const ingot_arg *arg) { return arg->rank ? arg->dims[arg->rank - 1] : 1; }

static inline bool ingot_same_shape(const ingot_arg *a, const ingot_arg *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int axis = 0; axis < a->rank; axis++) {
        if (a->dims[axis] != b->dims[axis]) {
            return false;
        }
    }
    return true;
}

static inline bool ingot_is_index(const ingot_arg *arg) { return arg->dtype == INGOT_I64 || arg->dtype == INGOT_I32; }

/* Index `i` of an operand that ingot_is_index, counted from the front of an axis of `extent`; -1 when out of range. */
static inline int64_t ingot_index_at(const ingot_arg *arg, int64_t i, int64_t extent) {
    int64_t index = arg->dtype == INGOT_I64 ? ((const int64_t *)arg->data)[i] : ((const int32_t *)arg->data)[i];
    index += index < 0 ? extent : 0;
    return index < 0 || index >= extent ? -1 : index;
}

/* Enough work for a unit to be worth handing to a thread, few enough units that 32 bits and a fixed pool do. */
enum { INGOT_UNIT_BYTES = 16384, INGOT_UNITS_MAX = 1024 };

static inline uint32_t ingot_units_for(int64_t items, int64_t bytes_per_item) {
    if (items <= 1) {
        return 1;
    }
    int64_t per_unit =
        bytes_per_item >= INGOT_UNIT_BYTES ? 1 : INGOT_UNIT_BYTES / (bytes_per_item > 0 ? bytes_per_item : 1);
    int64_t units = (items - 1) / per_unit + 1;
    return (uint32_t)(units < INGOT_UNITS_MAX ? units : INGOT_UNITS_MAX);
}

/* First of `items` that belongs to `unit`; unit == units gives the end. */
static inline int64_t ingot_unit_begin(int64_t items, uint32_t units, uint32_t unit) {
    int64_t share = items / units, rest = items % units;
    return share * unit + (unit < rest ? unit : rest);
}

typedef uint16_t ingot_u16_any __attribute__((aligned(1), may_alias));
typedef uint32_t ingot_u32_any __attribute__((aligned(1), may_alias));
typedef uint64_t ingot_u64_any __attribute__((aligned(1), may_alias));
typedef uint32_t ingot_u128_any __attribute__((vector_size(16), aligned(1), may_alias));

/* memcpy for the short runs that data movement is made of; a call costs more than such a run. */
static inline void ingot_copy_run(void *to, const void *from, int64_t bytes) {
    char *t = to;
    const char *f = from;
    if (bytes > 256) {
        memcpy(t, f, (size_t)bytes);
    } else if (bytes >= 16) {
        int64_t at = 0;
        for (; at + 16 <= bytes; at += 16) {
            *(ingot_u128_any *)(t + at) = *(const ingot_u128_any *)(f + at);
        }
        *(ingot_u128_any *)(t + bytes - 16) = *(const ingot_u128_any *)(f + bytes - 16);
    } else if (bytes >= 8) {
        uint64_t head = *(const ingot_u64_any *)f, tail = *(const ingot_u64_any *)(f + bytes - 8);
        *(ingot_u64_any *)t = head;
        *(ingot_u64_any *)(t + bytes - 8) = tail;
    } else if (bytes >= 4) {
        uint32_t head = *(const ingot_u32_any *)f, tail = *(const ingot_u32_any *)(f + bytes - 4);
        *(ingot_u32_any *)t = head;
        *(ingot_u32_any *)(t + bytes - 4) = tail;
    } else {
        for (int64_t at = 0; at < bytes; at++) {
            t[at] = f[at];
        }
    }
}

#define INGOT_COPY_ROWS(TYPE)                                                                                          \
    for (int64_t row = 0; row < rows; row++, t += to_step, f += from_step) {                                           \
        *(TYPE *)t = *(const TYPE *)f;                                                                                 \
    }

/* `rows` rows of `bytes` each, `to_step` and `from_step` bytes apart. */
static inline void ingot_copy_rows(void *to, int64_t to_step, const void *from, int64_t from_step, int64_t rows,
                                   int64_t bytes) {
    if (to_step == bytes && from_step == bytes) {
        ingot_copy_run(to, from, rows * bytes);
        return;
    }
    char *t = to;
    const char *f = from;
    switch (bytes) { /* a known size is one load and one store */
    case 4: INGOT_COPY_ROWS(ingot_u32_any) break;
    case 8: INGOT_COPY_ROWS(ingot_u64_any) break;
    case 16: INGOT_COPY_ROWS(ingot_u128_any) break;
    default:
        for (int64_t row = 0; row < rows; row++, t += to_step, f += from_step) {
            ingot_copy_run(t, f, bytes);
        }
    }
}

/* Copies the one element of `size` bytes (1, 2, 4 or 8) at `value` to `count` places side by side. */
static inline void ingot_fill_run(void *to, const void *value, int64_t size, int64_t count) {
    if (size == 1) {
        memset(to, *(const uint8_t *)value, (size_t)count);
    } else if (size == 2) {
        uint16_t v = *(const ingot_u16_any *)value;
        for (int64_t i = 0; i < count; i++) {
            ((ingot_u16_any *)to)[i] = v;
        }
    } else if (size == 4) {
        uint32_t v = *(const ingot_u32_any *)value;
        for (int64_t i = 0; i < count; i++) {
            ((ingot_u32_any *)to)[i] = v;
        }
    } else {
        uint64_t v = *(const ingot_u64_any *)value;
        for (int64_t i = 0; i < count; i++) {
            ((ingot_u64_any *)to)[i] = v;
        }
    }
}

#endif
