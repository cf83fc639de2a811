/* Weights and bias as ONNX has them, packed at each run: for weights that are no constants. */
#ifndef INGOT_RECURRENT_PACK_H
#define INGOT_RECURRENT_PACK_H

#include <string.h>

#include "recurrent/recurrent_cells.h"
#include "recurrent/recurrent_shape.h"

/* [gates * hidden][n] -> panels [gates * padded / 16][n][16]. */
static RECURRENT_RARE void recurrent_pack(const recurrent_shape *s, float *to, const float *from, int64_t n) {
    memset(to, 0, (size_t)(s->width * n) * sizeof *to);
    for (int64_t gate = 0; gate < s->gates; gate++) {
        for (int64_t unit = 0; unit < s->hidden; unit++) {
            const float *row = from + (gate * s->hidden + unit) * n;
            int64_t at = gate * s->padded + unit;
            float *panel = to + at / 16 * n * 16 + at % 16;
            for (int64_t k = 0; k < n; k++) panel[k * 16] = row[k];
        }
    }
}

/* ONNX's bias [2][gates * hidden] -> [2][width]: what is added to the gates, and what to R h alone. */
static RECURRENT_RARE void recurrent_pack_bias(const ingot_recurrent_params *p, const recurrent_shape *s, float *to,
                                               const float *from) {
    memset(to, 0, (size_t)(2 * s->width) * sizeof *to);
    for (int64_t gate = 0; gate < s->gates; gate++) {
        const int apart = p->kind == INGOT_RECURRENT_GRU && gate == 2 && p->linear_before_reset;
        for (int64_t unit = 0; unit < s->hidden; unit++) {
            float of_w = from[gate * s->hidden + unit], of_r = from[(s->gates + gate) * s->hidden + unit];
            to[gate * s->padded + unit] = apart ? of_w : of_w + of_r;
            to[s->width + gate * s->padded + unit] = apart ? of_r : 0.0f;
        }
    }
}

#endif
