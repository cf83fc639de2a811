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

void ingot_ew_pattern(void *buffer, const void *row, uint32_t size, int64_t period, int64_t n) {
    const size_t total = (size_t)(period + n) * size;
    size_t have = (size_t)period * size;
    memcpy(buffer, row, have);
    while (have < total) { /* what is there already is a whole number of periods */
        const size_t more = have < total - have ? have : total - have;
        memcpy((char *)buffer + have, buffer, more);
        have += more;
    }
}

void ingot_ew_seek(const ingot_ew_state *state, const ew_input *input, ew_cursor *cursor, int64_t at) {
    cursor->offset = 0;
    for (uint32_t j = state->rank; j-- > 0;) {
        cursor->index[j] = at ? at % state->dims[j] : 0;
        at = at ? at / state->dims[j] : 0;
        cursor->offset += cursor->index[j] * input->strides[j];
    }
}

static void advance(const ingot_ew_state *state, const ew_input *input, ew_cursor *cursor, int64_t run) {
    uint32_t j = state->rank - 1;
    cursor->index[j] += run;
    cursor->offset += run * input->strides[j];
    while (cursor->index[j] == state->dims[j]) {
        cursor->offset -= state->dims[j] * input->strides[j];
        cursor->index[j] = 0;
        if (j == 0) return;
        j--;
        cursor->index[j]++;
        cursor->offset += input->strides[j];
    }
}

/* Short runs are common here, and a call of memcpy costs more than they do. */
static void copy_run(char *out, const char *in, size_t bytes) {
    if (bytes >= 64)
        memcpy(out, in, bytes);
    else
        for (size_t i = 0; i < bytes; i++) out[i] = in[i];
}

const void *ingot_ew_gather(const ingot_ew_state *state, const ew_input *input, const void *data, ew_cursor *cursor,
                            void *buffer, int64_t n) {
    const uint32_t inner = state->rank - 1;
    const uint32_t size = input->size;
    const int64_t extent = state->dims[inner];
    const int contiguous = input->strides[inner] != 0;
    if (contiguous && extent - cursor->index[inner] >= n && INGOT_WHOLE_LANES(n) == n) {
        const void *here = (const char *)data + (size_t)cursor->offset * size;
        advance(state, input, cursor, n);
        return here;
    }
    char *out = buffer;
    for (int64_t left = n; left > 0;) {
        const char *from = (const char *)data + (size_t)cursor->offset * size;
        const int64_t rest = extent - cursor->index[inner];
        const int64_t run = rest < left ? rest : left;
        if (contiguous)
            copy_run(out, from, (size_t)run * size);
        else
            ingot_ew_splat(out, from, size, run);
        out += (size_t)run * size;
        left -= run;
        advance(state, input, cursor, run);
    }
    if (INGOT_WHOLE_LANES(n) != n) memset(out, 0, (size_t)(INGOT_LANES - (n & (INGOT_LANES - 1))) * size);
    return buffer;
}
