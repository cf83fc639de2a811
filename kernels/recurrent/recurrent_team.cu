/* RNN, GRU and LSTM of many hidden units: the blocks of a cluster share the units of a direction and some batch rows.
 *
 * A block has the same units of each gate, so it can do their states alone. Of the weights that it needs at every step
 * it keeps as many panels in shared memory as fit. New states go to all blocks, into one of two places in turn, so that
 * who writes the next ones does not meet who still reads the last. */
#include "cuda_rows.h"
#include "recurrent/cuda_recurrent_float.h"

#undef INGOT_ENTRY_CLUSTER
#define INGOT_ENTRY_CLUSTER __cluster_dims__(8, 1, 1)

namespace ingot {

/* The units of a block: panels [first, first + panels) of each gate of `all`; `most`: units of any block. */
struct recurrent_units {
    int32_t all, first, panels, most;

    DEVICE recurrent_units(const recurrent_extents &s, int32_t rank, int32_t team) {
        all = s.padded / 16;
        first = all * rank / team;
        panels = all * (rank + 1) / team - first;
        most = (all + team - 1) / team * 16;
    }
    DEVICE int32_t begin() const { return first * 16; }
    DEVICE int32_t count() const { return panels * 16; }
    /* Own panels and columns follow each other, gate by gate: where they are among all. */
    DEVICE int32_t panel(int32_t own) const { return own / panels * all + first + own % panels; }
    DEVICE int32_t column(int32_t own) const { return panel(own / 16) * 16 + own % 16; }
};

/* Four columns of a panel of weights, in shared memory or not. */
template <class T> struct recurrent_columns { /* [k][16] */
    const T *at;
    DEVICE recurrent_columns(const T *panel, int32_t column) : at(panel + column) {}
    DEVICE four<float> operator()(int32_t k) const {
        const four<T> x = *reinterpret_cast<const four<T> *>(at + k * 16);
        return {to_real(x.at[0]), to_real(x.at[1]), to_real(x.at[2]), to_real(x.at[3])};
    }
};
template <> struct recurrent_columns<bf16> { /* [k / 2][16][2] */
    const bf16 *at;
    DEVICE recurrent_columns(const bf16 *panel, int32_t column) : at(panel + column * 2) {}
    DEVICE four<float> operator()(int32_t k) const {
        const four<uint32_t> x = *reinterpret_cast<const four<uint32_t> *>(at + k / 2 * 32);
        four<float> y;
#pragma unroll
        for (int i = 0; i < 4; i++) y.at[i] = float_of(k & 1 ? x.at[i] & 0xffff0000u : x.at[i] << 16);
        return y;
    }
};

/* OUTPUTS 2 or 3; ROWS batch rows of a cluster. Activations are sigmoid and tanh, and nothing is special. */
template <class T, int OUTPUTS, int ROWS> struct recurrent_team {
    static constexpr int threads = 128, blocks = 1, warps = threads / 32, team = 8;
    static constexpr int ahead_steps = RECURRENT_AHEAD_ROWS / ROWS;
    using call = ingot::call<8 + OUTPUTS, ingot_recurrent_params>;

    /* The weights of own units; the first `held` of their panels lie in shared memory. */
    struct weights {
        static constexpr int together(int rows) { return rows > 4 ? 2 : rows > 1 || sizeof(T) == 4 ? 8 : 16; }
        const T *at, *kept;
        int32_t size, held; /* size: of a panel */
        recurrent_units u;

        DEVICE weights(const ingot_cuda_arg &w, int32_t direction, const recurrent_units &u)
            : at(panel_at<T>(w, direction)), kept(nullptr), size(w.dims[2] * w.dims[3]), held(0), u(u) {}
        DEVICE const T *place(int32_t own) const {
            return own < held ? kept + own * size : at + (int64_t)u.panel(own) * size;
        }
        DEVICE recurrent_columns<T> panel(int32_t own, int32_t column) const { return {place(own), column}; }
        /* All threads; they see it after sync_block. */
        DEVICE void hold(T *memory, int32_t count) {
            constexpr int V = 16 / (int)sizeof(T);
            for (int32_t own = 0; own < count; own++) {
                const T *const from = place(own);
#pragma unroll 8
                for (int32_t i = threadIdx.x * V; i < size; i += threads * V) {
                    *reinterpret_cast<some<T, V> *>(memory + own * size + i) =
                        load_constant(reinterpret_cast<const some<T, V> *>(from + i));
                }
            }
            kept = memory;
            held = count;
        }
    };

    /* To all blocks, who see it after sync_cluster. */
    static DEVICE void publish(float *place, float x) {
#pragma unroll
        for (uint32_t rank = 0; rank < team; rank++) store_to_block(rank, place, x);
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        const ingot_recurrent_params &p = c.params;
        const ingot_cuda_arg &y = c.arg[REC_Y];
        const recurrent_extents s(c.arg[REC_X], y, p.kind);
        const uint32_t group = blockIdx.x / team;
        const recurrent_part part(s, p.direction, ROWS, group);
        if (part.direction >= s.directions || part.rows < 1) return; /* all blocks of the team */
        const recurrent_units u(s, (int32_t)cluster_rank(), team);
        const bool gru = p.kind == INGOT_RECURRENT_GRU, after = gru && p.linear_before_reset;
        const int32_t own = u.count(), width = s.gates * own, wide = width + (after ? own : 0), state = ROWS * s.padded;

        /* recurrent_cuda.c counts these. They lie at the same place in all blocks. */
        recurrent_memory memory = {bytes};
        float *const ahead = memory.take<float>(RECURRENT_AHEAD_ROWS * (s.gates + after) * u.most);
        float *const gates = memory.take<float>(ROWS * s.gates * u.most), *const cell =
                                                                              memory.take<float>(ROWS * u.most);
        float *const states = memory.take<float>(2 * state), *const kept = memory.take<float>(state);

        const weights w(c.arg[REC_W], part.direction, u);
        weights r(c.arg[REC_R], part.direction, u);
        if (s.steps >= RECURRENT_TEAM_STEPS) {
            const int32_t fits = (RECURRENT_TEAM_SHARED - (int32_t)(memory.at - bytes)) / (r.size * (int32_t)sizeof(T));
            r.hold(reinterpret_cast<T *>(memory.at), smaller(s.gates * u.panels, fits));
        }
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
            states[i] = there && h0 != nullptr ? h0[state_at + row * s.hidden + j] : 0.0f;
        }
        for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
            const int32_t row = i / own, j = u.begin() + i % own;
            const bool there = row < part.rows && j < s.hidden;
            cell[i] = there && c0 != nullptr ? c0[state_at + row * s.hidden + j] : 0.0f;
        }
        int32_t rows[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; i++) rows[i] = i * s.padded;
        sync_cluster(); /* all blocks have begun: they may be written to */

        for (int32_t step = 0; step < s.steps; step++) {
            const float *const h = states + step % 2 * state;
            float *const next = states + (step + 1) % 2 * state;
            const int32_t slot = step % ahead_steps;
            if (slot == 0) {
                int32_t from[RECURRENT_AHEAD_ROWS];
#pragma unroll
                for (int i = 0; i < RECURRENT_AHEAD_ROWS; i++) {
                    const int32_t at = step + i / ROWS, row = i % ROWS, time = part.reverse ? length[row] - 1 - at : at;
                    from[i] = at < length[row] ? (time * s.batch + part.first + row) * s.inputs : -1;
                }
                const int32_t before = after ? width - own : width; /* columns that are no candidate apart */
                recurrent_multiply<warps>(w, static_cast<const float *>(c.arg[REC_X].data), from, s.inputs, 0,
                                          width / 16, [&](int row, int32_t column, const float(&sum)[4]) {
                                              float *const to =
                                                  ahead + (int64_t)row * wide + column + (column < before ? 0 : own);
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
            recurrent_multiply<warps>(r, h, rows, s.hidden, 0, (resets_first ? 2 * own : width) / 16, add);
            sync_block();
            if (resets_first) {
                for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
                    const int32_t row = i / own, j = i % own, at = row * s.padded + u.begin() + j;
                    publish(kept + at, recurrent_short_sigmoid(gates[row * width + own + j]) * h[at]);
                }
                sync_cluster();
                recurrent_multiply<warps>(r, kept, rows, s.hidden, 2 * own / 16, width / 16, add);
                sync_block();
            }
            for (int32_t i = threadIdx.x; i < ROWS * own; i += threads) {
                const int32_t row = i / own, j = i % own, unit = u.begin() + j;
                const bool there = row < part.rows && unit < s.hidden;
                const float *const mine = gates + row * width + j;
                float x = h[row * s.padded + unit];
                const int32_t steps = !there ? 0 : lens == nullptr ? s.steps : lens[part.first + row];
                const bool live = step < steps;
                const int32_t time = live && part.reverse ? steps - 1 - step : step;
                if (live && p.kind == INGOT_RECURRENT_LSTM) {
                    const float sum = recurrent_short_sigmoid(mine[2 * own]) * cell[i] +
                                      recurrent_short_sigmoid(mine[0]) * recurrent_short_tanh(mine[3 * own]);
                    cell[i] = sum;
                    x = recurrent_short_sigmoid(mine[own]) * recurrent_short_tanh(sum);
                } else if (live && gru) {
                    float candidate = mine[2 * own];
                    if (after) {
                        candidate =
                            start[(int64_t)row * wide + width + j] + recurrent_short_sigmoid(mine[own]) * candidate;
                    }
                    const float z = recurrent_short_sigmoid(mine[0]);
                    x = (1.0f - z) * recurrent_short_tanh(candidate) + z * x;
                } else if (live) {
                    x = recurrent_short_tanh(mine[0]);
                }
                publish(next + row * s.padded + unit, x);
                const int64_t at = ((int64_t)time * s.directions + part.direction) * s.batch + part.first + row;
                if (there) static_cast<float *>(y.data)[at * s.hidden + unit] = live ? x : 0.0f;
            }
            sync_cluster();
        }
        const float *const last = states + s.steps % 2 * state;
        for (int32_t i = threadIdx.x; i < part.rows * own; i += threads) {
            const int32_t row = i / own, unit = u.begin() + i % own;
            if (unit >= s.hidden) continue;
            static_cast<float *>(c.arg[REC_Y + 1].data)[state_at + row * s.hidden + unit] = last[row * s.padded + unit];
            if constexpr (OUTPUTS == 3) {
                static_cast<float *>(c.arg[REC_Y + 2].data)[state_at + row * s.hidden + unit] = cell[i];
            }
        }
    }
};

} // namespace ingot
