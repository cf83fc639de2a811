/* Bringing broadcast inputs under the output's elements. Compiled once: it moves bytes. */
#include <string.h>

#include "elementwise_kernel.h"

#define EW_FILL(type)                                                                                                  \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy(&value, element, sizeof value);                                                                         \
        type *out = buffer;                                                                                            \
        for (int64_t i = 0; i < n; i++) out[i] = value;                                                                \
        break;                                                                                                         \
    }

void ingot_ew_splat(void *buffer, const void *element, uint32_t size, int64_t n) {
    switch (size) {
    case 1: memset(buffer, *(const uint8_t *)element, (size_t)n); break;
    case 2: EW_FILL(uint16_t)
    case 4: EW_FILL(uint32_t)
    default: EW_FILL(uint64_t)
    }
}

/* For rows of few bytes a store each is faster than a call of memcpy each. */
#define EW_FILL_ROWS(type)                                                                                             \
    {                                                                                                                  \
        type value;                                                                                                    \
        memcpy(&value, row, sizeof value);                                                                             \
        for (size_t i = 0; i + sizeof value <= total; i += sizeof value) memcpy(out + i, &value, sizeof value);        \
        have = total - total % sizeof value;                                                                           \
        break;                                                                                                         \
    }

typedef struct ew_bytes16 {
    uint64_t words[2];
} ew_bytes16;

typedef struct ew_bytes32 {
    uint64_t words[4];
} ew_bytes32;

/* A row again and again until `n` elements are there; n is at least the row. */
static void fill_with_rows(void *buffer, const void *row, uint32_t size, int64_t period, int64_t n) {
    const size_t total = (size_t)n * size;
    char *const out = buffer;
    size_t have = (size_t)period * size;
    switch (have) {
    case 8: EW_FILL_ROWS(uint64_t)
    case 16: EW_FILL_ROWS(ew_bytes16)
    case 32: EW_FILL_ROWS(ew_bytes32)
    default: memcpy(buffer, row, have);
    }
    while (have < total) { /* what is there already is a whole number of periods */
        const size_t more = have < total - have ? have : total - have;
        memcpy(out + have, out, more);
        have += more;
    }
}

void ingot_ew_pattern(void *buffer, const void *row, uint32_t size, int64_t period, int64_t n) {
    fill_with_rows(buffer, row, size, period, period + n);
}

void ingot_ew_seek(const ew_input *input, ew_cursor *cursor, int64_t at) {
    cursor->offset = 0;
    for (uint32_t j = input->rank; j-- > 0;) {
        cursor->index[j] = at ? at % input->dims[j] : 0;
        at = at ? at / input->dims[j] : 0;
        cursor->offset += cursor->index[j] * input->strides[j];
    }
}

/* Moves `steps` along an axis, at most to its end, from where it carries over. */
static void advance(const ew_input *input, ew_cursor *cursor, uint32_t axis, int64_t steps) {
    cursor->index[axis] += steps;
    cursor->offset += steps * input->strides[axis];
    while (cursor->index[axis] == input->dims[axis]) {
        cursor->offset -= input->dims[axis] * input->strides[axis];
        cursor->index[axis] = 0;
        if (axis == 0) return;
        axis--;
        cursor->index[axis]++;
        cursor->offset += input->strides[axis];
    }
}

#define EW_REPEAT(type)                                                                                                \
    {                                                                                                                  \
        const type *in = from;                                                                                         \
        type *out = buffer;                                                                                            \
        for (int64_t r = 0; r < rows; r++)                                                                             \
            for (int64_t i = 0; i < times; i++) *out++ = in[r];                                                        \
        break;                                                                                                         \
    }

/* Each of `rows` elements as often as `times` says. */
static void repeat(void *buffer, const void *from, uint32_t size, int64_t rows, int64_t times) {
    switch (size) {
    case 1: EW_REPEAT(uint8_t)
    case 2: EW_REPEAT(uint16_t)
    case 4: EW_REPEAT(uint32_t)
    default: EW_REPEAT(uint64_t)
    }
}

/* Short runs are common here, and a call of memcpy costs more than they do. */
static void copy_run(char *out, const char *in, size_t bytes) {
    if (bytes >= 64)
        memcpy(out, in, bytes);
    else
        for (size_t i = 0; i < bytes; i++) out[i] = in[i];
}

const void *ingot_ew_gather(const ew_input *input, const void *data, ew_cursor *cursor, void *buffer, int64_t n) {
    const uint32_t inner = input->rank - 1;
    const uint32_t size = input->size;
    const int64_t extent = input->dims[inner];
    const int contiguous = input->strides[inner] != 0;
    if (contiguous && extent - cursor->index[inner] >= n && INGOT_WHOLE_LANES(n) == n) {
        const void *here = (const char *)data + (size_t)cursor->offset * size;
        advance(input, cursor, inner, n);
        return here;
    }
    char *out = buffer;
    for (int64_t left = n; left > 0;) {
        const char *from = (const char *)data + (size_t)cursor->offset * size;
        const int64_t rest = extent - cursor->index[inner];
        int64_t run = rest < left ? rest : left;
        if (inner > 0 && cursor->index[inner] == 0 && left >= 2 * extent) { /* several rows at once */
            const int64_t there = input->dims[inner - 1] - cursor->index[inner - 1];
            const int64_t rows = left / extent < there ? left / extent : there;
            run = rows * extent;
            if (contiguous) /* the axis before is broadcast, or it would have been merged with this one */
                fill_with_rows(out, from, size, extent, run);
            else
                repeat(out, from, size, rows, extent);
            advance(input, cursor, inner - 1, rows);
        } else {
            if (contiguous)
                copy_run(out, from, (size_t)run * size);
            else
                ingot_ew_splat(out, from, size, run);
            advance(input, cursor, inner, run);
        }
        out += (size_t)run * size;
        left -= run;
    }
    if (INGOT_WHOLE_LANES(n) != n) memset(out, 0, (size_t)(INGOT_LANES - (n & (INGOT_LANES - 1))) * size);
    return buffer;
}
