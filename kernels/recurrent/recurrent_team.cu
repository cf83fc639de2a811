/* RNN, GRU and LSTM of many hidden units: the blocks of a cluster share the units of a direction and some batch rows.
 *
 * A block has the same units of each gate, so it can do their states alone. What it reads of the weights at every step
 * is an eighth of them, which stays in its first-level cache where it fits. It leaves new states in its shared memory,
 * in two places in turn, so that who writes the next ones does not meet who still reads the last. */
#include "recurrent/cuda_recurrent_float.h"

#undef INGOT_ENTRY_CLUSTER
#define INGOT_ENTRY_CLUSTER __cluster_dims__(8, 1, 1)

namespace ingot {

/* The units of a block: panels [first, first + panels) of each gate of `all`; `most`: units of any block. */
struct recurrent_units {
    int32_t all, first, panels, most, team;

    DEVICE recurrent_units(const recurrent_extents &s, int32_t rank, int32_t team) : all(s.padded / 16), team(team) {
        first = all * rank / team;
        panels = all * (rank + 1) / team - first;
        most = (all + team - 1) / team * 16;
    }
    DEVICE int32_t block_of(int32_t unit) const { return (unit / 16 * team + team - 1) / all; }
    DEVICE int32_t first_of(int32_t block) const { return all * block / team * 16; }
    DEVICE int32_t begin() const { return first * 16; }
    DEVICE int32_t count() const { return panels * 16; }
    /* Own panels and columns follow each other, gate by gate: where they are among all. */
    DEVICE int32_t panel(int32_t own) const { return own / panels * all + first + own % panels; }
    DEVICE int32_t column(int32_t own) const { return panel(own / 16) * 16 + own % 16; }
};

/* OUTPUTS 2 or 3; ROWS batch rows of a cluster. Activations are sigmoid and tanh, and nothing is special. */
template <class T, int OUTPUTS, int ROWS> struct recurrent_team {
    static constexpr int threads = 128, blocks = 1, warps = threads / 32, team = 8;
    static constexpr int ahead_steps = RECURRENT_AHEAD_ROWS / ROWS, together = 2 * recurrent_packed<T>::together;
    using call = ingot::call<8 + OUTPUTS, ingot_recurrent_params>;
    using weights = recurrent_packed<T>;

    /* end(row, first of four own columns, sums of row . weights) for own panels [panel, last). Rows are elements of x
     * from `at` on; zeros where that is negative. */
    template <int COUNT, class End>
    static DEVICE void multiply(const weights &w, const recurrent_units &u, const float *x, const int32_t (&at)[COUNT],
                                int32_t n, int32_t panel, int32_t last, const End &end) {
        const int lane = threadIdx.x % 32;
        for (panel += threadIdx.x / 32; panel < last; panel += warps) {
            const auto columns = w.panel(u.panel(panel), lane % 4 * 4);
            float sum[COUNT][4] = {};
#pragma unroll(COUNT > 4 ? 2 : COUNT > 1 ? 8 : together)
            for (int32_t k = lane / 4; k < n; k += 8) {
                const four<float> f = columns(k);
#pragma unroll
                for (int r = 0; r < COUNT; r++) {
                    const float v = at[r] >= 0 ? x[at[r] + k] : 0.0f;
#pragma unroll
                    for (int i = 0; i < 4; i++) sum[r][i] += v * f.at[i];
                }
            }
#pragma unroll
            for (int r = 0; r < COUNT; r++) {
#pragma unroll
                for (int i = 0; i < 4; i++) sum[r][i] = recurrent_join(sum[r][i]);
                if (lane / 4 == r % 8) end(r, panel * 16 + lane % 4 * 4, sum[r]);
            }
        }
    }

    /* The states that all blocks have in `round`, [ROWS][most], go to `to`, [ROWS][padded]. */
    static DEVICE void gather(float *to, const float *round, const recurrent_units &u, int32_t padded) {
        sync_cluster();
        for (int32_t i = threadIdx.x; i < ROWS * padded; i += threads) {
            const int32_t row = i / padded, unit = i % padded, block = u.block_of(unit);
            to[i] = load_from_block((uint32_t)block, round + row * u.most + unit - u.first_of(block));
        }
        sync_block();
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        const ingot_recurrent_params &p = c.params;
        const ingot_cuda_arg &x = c.arg[REC_X], &y = c.arg[REC_Y];
        const recurrent_extents s(x, y, p.kind);
        const uint32_t group = blockIdx.x / team;
        const recurrent_part part(s, p.direction, ROWS, group);
        if (part.direction >= s.directions || part.rows < 1) return; /* all blocks of the team */
        const recurrent_units u(s, (int32_t)cluster_rank(), team);
        const bool gru = p.kind == INGOT_RECURRENT_GRU, after = gru && p.linear_before_reset;
        const int32_t own = u.count(), width = s.gates * own, wide = width + (after ? own : 0), state = ROWS * s.padded;

        /* recurrent_cuda.c counts these. They lie at the same place in all blocks. */
        recurrent_memory memory = {bytes};
        float *const ahead = memory.take<float>(RECURRENT_AHEAD_ROWS * (s.gates + after) * u.most);
        float *const gates = memory.take<float>(ROWS * s.gates * u.most), *const cell = memory.take<float>(ROWS * u.most);
        float *const h = memory.take<float>(state), *const kept = memory.take<float>(state);
        float *const rounds = memory.take<float>(4 * ROWS * u.most); /* two of h, two of what is kept of it */

        const weights w(c.arg[REC_W], s, part.direction), r(c.arg[REC_R], s, part.direction);
        const float *const bias = static_cast<const float *>(c.arg[REC_BIAS].data);
        const auto bias_of = [&](int which, int32_t column) {
            return bias == nullptr ? 0.0f : bias[((int64_t)part.direction * 2 + which) * s.width + u.column(column)];
        };

        int32_t length[ROWS];
        const int32_t *const lens = static_cast<const int32_t *>(c.arg[REC_LENS].data);
        bool sound = true;
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            length[i] = i >= part.rows ? 0 : lens == nullptr ? s.steps : lens[part.first + i];
            sound = sound && length[i] >= 0 && length[i] <= s.steps;
        }
        if (!sound) {
            if (threadIdx.x == 0) *c.tail.status = c.tail.step;
            return;
        }
        const int64_t state_at = ((int64_t)part.direction * s.batch + part.first) * s.hidden;
        const float *const h0 = static_cast<const float *>(c.arg[REC_H0].data);
        const float *const c0 = static_cast<const float *>(c.arg[REC_C0].data);
        for (int32_t i = threadIdx.x; i < state; i += threads) {
            const int32_t row = i / s.padded, j = i % s.padded;
            const bool there = row < part.rows && j < s.hidden;
            h[i] = there && h0 != nullptr ? h0[state_at + row * s.hidden + j] : 0.0f;
        }
        for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
            const int32_t row = i / own, j = u.begin() + i % own;
            const bool there = row < part.rows && j < s.hidden;
            cell[i] = there && c0 != nullptr ? c0[state_at + row * s.hidden + j] : 0.0f;
        }
        int32_t states[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) states[i] = i * s.padded;
        sync_block();

        for (int32_t step = 0; step < s.steps; step++) {
            const int32_t slot = step % ahead_steps;
            if (slot == 0) {
                int32_t from[RECURRENT_AHEAD_ROWS];
#pragma unroll
                for (int i = 0; i < RECURRENT_AHEAD_ROWS; i++) {
                    const int32_t at = step + i / ROWS, row = i % ROWS, time = part.reverse ? length[row] - 1 - at : at;
                    from[i] = at < length[row] ? (time * s.batch + part.first + row) * s.inputs : -1;
                }
                const int32_t before = after ? width - own : width; /* columns that are no candidate apart */
                multiply(w, u, static_cast<const float *>(x.data), from, s.inputs, 0, width / 16,
                         [&](int row, int32_t column, const float(&sum)[4]) {
                             float *const to = ahead + (int64_t)row * wide + column + (column < before ? 0 : own);
#pragma unroll
                             for (int i = 0; i < 4; i++) {
                                 to[i] = sum[i] + bias_of(0, column + i);
                                 if (column >= before) to[i - own] = bias_of(1, column + i);
                             }
                         });
                sync_block();
            }
            const float *const start = ahead + (int64_t)slot * ROWS * wide;
            const auto add = [&](int row, int32_t column, const float(&sum)[4]) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    gates[row * width + column + i] = start[(int64_t)row * wide + column + i] + sum[i];
                }
            };
            const bool resets_first = gru && !after;
            multiply(r, u, h, states, s.hidden, 0, (resets_first ? 2 * own : width) / 16, add);
            sync_block();
            if (resets_first) {
                float *const round = rounds + (2 + step % 2) * ROWS * u.most;
                for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
                    const int32_t row = i / own, j = i % own;
                    const float reset = recurrent_short_sigmoid(gates[row * width + own + j]);
                    round[row * u.most + j] = reset * h[row * s.padded + u.begin() + j];
                }
                gather(kept, round, u, s.padded);
                multiply(r, u, kept, states, s.hidden, 2 * own / 16, width / 16, add);
                sync_block();
            }
            float *const round = rounds + step % 2 * ROWS * u.most;
            for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
                const int32_t row = i / own, j = i % own, unit = u.begin() + j;
                const bool there = row < part.rows && unit < s.hidden;
                const float *const mine = gates + row * width + j;
                float next = h[row * s.padded + unit];
                const int32_t steps = !there ? 0 : lens == nullptr ? s.steps : lens[part.first + row];
                const bool live = step < steps;
                const int32_t time = live && part.reverse ? steps - 1 - step : step;
                if (live && p.kind == INGOT_RECURRENT_LSTM) {
                    const float sum = recurrent_short_sigmoid(mine[2 * own]) * cell[i] +
                                      recurrent_short_sigmoid(mine[0]) * recurrent_short_tanh(mine[3 * own]);
                    cell[i] = sum;
                    next = recurrent_short_sigmoid(mine[own]) * recurrent_short_tanh(sum);
                } else if (live && gru) {
                    float candidate = mine[2 * own];
                    if (after) {
                        candidate = start[(int64_t)row * wide + width + j] +
                                    recurrent_short_sigmoid(mine[own]) * candidate;
                    }
                    const float z = recurrent_short_sigmoid(mine[0]);
                    next = (1.0f - z) * recurrent_short_tanh(candidate) + z * next;
                } else if (live) {
                    next = recurrent_short_tanh(mine[0]);
                }
                round[row * u.most + j] = next;
                const int64_t at = ((int64_t)time * s.directions + part.direction) * s.batch + part.first + row;
                if (there) static_cast<float *>(y.data)[at * s.hidden + unit] = live ? next : 0.0f;
            }
            gather(h, round, u, s.padded);
        }
        sync_cluster(); /* others may still read what this block leaves */
        for (int32_t i = threadIdx.x; i < part.rows * own; i += threads) {
            const int32_t row = i / own, unit = u.begin() + i % own;
            if (unit >= s.hidden) continue;
            static_cast<float *>(c.arg[REC_Y + 1].data)[state_at + row * s.hidden + unit] = h[row * s.padded + unit];
            if constexpr (OUTPUTS == 3) {
                static_cast<float *>(c.arg[REC_Y + 2].data)[state_at + row * s.hidden + unit] = cell[i];
            }
        }
    }
};

} // namespace ingot
