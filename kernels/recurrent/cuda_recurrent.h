/* What the CUDA kernels of recurrent layers share: extents, where a block keeps what it works on, results.
 *
 * A block does one direction of up to ROWS batch rows from the first step to the last, so that a sequence is one
 * launch. The product with x, which nothing waits for, is made for some steps ahead. Warps take panels of sixteen
 * columns: four lanes the columns of a panel, eight their terms in turn. */
#ifndef INGOT_CUDA_RECURRENT_H
#define INGOT_CUDA_RECURRENT_H

#include "cuda_epilogue.h"
#include "recurrent/recurrent.h"
#include "recurrent/recurrent_math.h"

namespace ingot {

enum { RECURRENT_AHEAD_ROWS = 8 }; /* rows of x that are multiplied at a time */
/* Dynamic shared memory of a block of a cluster, at most, and from how many steps on it keeps weights there. */
enum { RECURRENT_TEAM_SHARED = 200 << 10, RECURRENT_TEAM_STEPS = 4 };

struct recurrent_extents {
    int32_t steps, batch, inputs, hidden, directions, gates, padded, width;

    DEVICE recurrent_extents(const ingot_cuda_arg &x, const ingot_cuda_arg &y, uint32_t kind)
        : steps(x.dims[0]), batch(x.dims[1]), inputs(x.dims[2]), hidden(y.dims[3]), directions(y.dims[1]) {
        gates = kind == INGOT_RECURRENT_LSTM ? 4 : kind == INGOT_RECURRENT_GRU ? 3 : 1;
        padded = (hidden + 15) / 16 * 16;
        width = gates * padded;
    }
};

/* The direction and the batch rows of a block, or of several that share them. */
struct recurrent_part {
    int32_t direction, first, rows;
    bool reverse;

    DEVICE recurrent_part(const recurrent_extents &s, uint32_t direction_kind, int32_t most, uint32_t block) {
        const int32_t parts = (s.batch + most - 1) / most;
        direction = block / (uint32_t)(parts > 0 ? parts : 1);
        first = (block - direction * parts) * most;
        rows = s.batch - first < most ? s.batch - first : most;
        reverse = direction_kind == INGOT_RECURRENT_REVERSE || direction == 1;
    }
};

/* Cuts memory into arrays. */
struct recurrent_memory {
    unsigned char *at;

    template <class T> DEVICE T *take(int64_t count) {
        T *const p = reinterpret_cast<T *>(at);
        at += (count * (int64_t)sizeof(T) + 15) / 16 * 16;
        return p;
    }
};

/* The sum of a number over the lanes that share columns. */
template <class T> DEVICE T recurrent_join(T x) {
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2) x += shuffle_xor(x, mask);
    return x;
}

} // namespace ingot

#endif
