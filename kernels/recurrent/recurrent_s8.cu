/* RNN, GRU and LSTM of int8 products and float32 cells, exact: recurrent_s8.h has the formulas. */
#include "recurrent/cuda_recurrent.h"
#include "scales_s8.h"

namespace ingot {

enum { RECS_X, RECS_W, RECS_R, RECS_BIAS, RECS_H0, RECS_C0, RECS_SUMS, RECS_SCALE, RECS_Y };

/* Rows of eight or fifteen bits in shared memory, as words of four: the high parts, `stride` bytes, then the low ones. */
struct recurrent_words {
    int8_t *at;
    int32_t stride, row;

    DEVICE uint32_t word(int r, int part, int32_t step) const {
        return *reinterpret_cast<const uint32_t *>(at + r * row + part * stride + step * 4);
    }
    DEVICE void split(int r, int32_t j, float x) const {
        const int32_t q = recurrent_fifteen_bits(x);
        at[r * row + j] = recurrent_high_part(q);
        at[r * row + stride + j] = recurrent_low_part(q);
    }
};

/* OUTPUTS 2 or 3; ROWS batch rows of a block; FINE: x is float32 and taken apart. */
template <int OUTPUTS, int ROWS, bool FINE> struct recurrent_s8 {
    static constexpr int threads = ROWS == 1 && !FINE ? 512 : 256, blocks = 1, warps = threads / 32;
    static constexpr int ahead_steps = RECURRENT_AHEAD_ROWS / ROWS;
    using call = ingot::call<8 + OUTPUTS, ingot_recurrent_s8_params>;

    /* end(row, first of four columns, exact sums) for panels [panel, last) of weights [panels][steps][16][4]. */
    template <int COUNT, int PARTS, class End>
    static DEVICE void multiply(const uint32_t *w, const recurrent_words &x, int32_t steps, int32_t panel, int32_t last,
                                const End &end) {
        const int lane = threadIdx.x % 32, column = lane % 4 * 4;
        for (panel += threadIdx.x / 32; panel < last; panel += warps) {
            int32_t sum[COUNT][PARTS][4] = {};
#pragma unroll(COUNT > 1 ? 1 : 4)
            for (int32_t k = lane / 4; k < steps; k += 8) {
                const uint32_t *const at = w + ((int64_t)panel * steps + k) * 16 + column;
                const four<uint32_t> f = load_constant(reinterpret_cast<const four<uint32_t> *>(at));
#pragma unroll
                for (int r = 0; r < COUNT; r++) {
#pragma unroll
                    for (int part = 0; part < PARTS; part++) {
                        const uint32_t v = x.word(r, part, k);
#pragma unroll
                        for (int i = 0; i < 4; i++) sum[r][part][i] = dot4(v, f.at[i], sum[r][part][i]);
                    }
                }
            }
#pragma unroll
            for (int r = 0; r < COUNT; r++) {
                int32_t found[4];
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    uint32_t whole = (uint32_t)sum[r][0][i];
                    if constexpr (PARTS == 2) whole = whole * 128u + (uint32_t)sum[r][1][i];
                    found[i] = (int32_t)recurrent_join(whole);
                }
                if (lane / 4 == r % 8) end(r, panel * 16 + column, found);
            }
        }
    }

    /* Rows of x for some steps, padded with zeros. */
    static DEVICE void read_x(const call &c, const recurrent_extents &s, const recurrent_part &part, int32_t step,
                              const recurrent_words &to) {
        const ingot_cuda_arg &x = c.arg[RECS_X];
        for (int32_t i = threadIdx.x; i < RECURRENT_AHEAD_ROWS * to.stride; i += threads) {
            const int32_t r = i / to.stride, j = i % to.stride, at = step + r / ROWS, row = r % ROWS;
            const bool there = at < s.steps && row < part.rows && j < s.inputs;
            const int32_t time = part.reverse ? s.steps - 1 - at : at;
            const int64_t from = ((int64_t)time * s.batch + part.first + row) * s.inputs + j;
            if constexpr (FINE) {
                to.split(r, j, there ? static_cast<const float *>(x.data)[from] * c.params.fine : 0.0f);
            } else {
                to.at[r * to.row + j] = there ? static_cast<const int8_t *>(x.data)[from] : (int8_t)0;
            }
        }
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        const ingot_recurrent_s8_params &p = c.params;
        const ingot_cuda_arg &y = c.arg[RECS_Y];
        const recurrent_extents s(c.arg[RECS_X], y, p.kind);
        const recurrent_part part(s, p.direction, ROWS, blockIdx.x);
        if (part.direction >= s.directions || part.rows < 1) return;
        const bool gru = p.kind == INGOT_RECURRENT_GRU, after = gru && p.linear_before_reset;
        const int32_t state = ROWS * s.padded, inputs = (s.inputs + 15) / 16 * 16;
        const int32_t x_steps = (s.inputs + 3) / 4, h_steps = (s.hidden + 3) / 4;

        /* recurrent_cuda.c counts these. */
        const int64_t size = 4 * ((int64_t)RECURRENT_AHEAD_ROWS * s.width + ROWS * s.width + 2 * state) + 4 * state +
                             2 * RECURRENT_AHEAD_ROWS * (int64_t)inputs;
        unsigned char *const workspace = static_cast<unsigned char *>(c.tail.workspace);
        recurrent_memory memory = {workspace != nullptr ? workspace + blockIdx.x * size : bytes};
        float *const ahead = memory.take<float>((int64_t)RECURRENT_AHEAD_ROWS * s.width);
        float *const gates = memory.take<float>(ROWS * s.width), *const h = memory.take<float>(state);
        float *const cell = memory.take<float>(state);
        const recurrent_words parts = {memory.take<int8_t>(2 * state), s.padded, 2 * s.padded};
        const recurrent_words kept = {memory.take<int8_t>(2 * state), s.padded, 2 * s.padded};
        const recurrent_words x = {memory.take<int8_t>(2 * RECURRENT_AHEAD_ROWS * (int64_t)inputs), inputs, 2 * inputs};

        const int64_t row_at = (int64_t)part.direction * 2 * s.width; /* sums, scales and biases: of W, then of R */
        const int32_t *const sums = static_cast<const int32_t *>(c.arg[RECS_SUMS].data) + row_at;
        const float *const scale = static_cast<const float *>(c.arg[RECS_SCALE].data) + row_at;
        const float *const bias = static_cast<const float *>(c.arg[RECS_BIAS].data) + row_at;
        const int64_t panels = (int64_t)part.direction * s.width / 16;
        const uint32_t *const w = static_cast<const uint32_t *>(c.arg[RECS_W].data) + panels * x_steps * 16;
        const uint32_t *const r = static_cast<const uint32_t *>(c.arg[RECS_R].data) + panels * h_steps * 16;

        const int64_t state_at = ((int64_t)part.direction * s.batch + part.first) * s.hidden;
        for (int32_t i = threadIdx.x; i < state; i += threads) {
            const int32_t row = i / s.padded, j = i % s.padded;
            const bool there = row < part.rows && j < s.hidden;
            const float *const h0 = static_cast<const float *>(c.arg[RECS_H0].data);
            const float *const c0 = static_cast<const float *>(c.arg[RECS_C0].data);
            h[i] = there && h0 != nullptr ? h0[state_at + row * s.hidden + j] : 0.0f;
            cell[i] = there && c0 != nullptr ? c0[state_at + row * s.hidden + j] : 0.0f;
            parts.split(row, j, h[i] * RECURRENT_S8_STATE);
            kept.split(row, j, 0.0f);
        }
        const ingot_s8_scales stored = {0.0, 0.0, 0, p.output_zero}, none = {0.0, 0.0, 0, 0};
        const ingot_requantize result = ingot_s8_result(&stored, p.inverse_scale), real = ingot_s8_result(&none, 1.0f);
        sync_block();

        for (int32_t step = 0; step < s.steps; step++) {
            const int32_t slot = step % ahead_steps;
            if (slot == 0) {
                read_x(c, s, part, step, x);
                sync_block();
                multiply<RECURRENT_AHEAD_ROWS, FINE ? 2 : 1>(
                    w, x, x_steps, 0, s.width / 16, [&](int row, int32_t column, const int32_t(&sum)[4]) {
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            const int32_t at = column + i;
                            const uint32_t zero = FINE ? 0u : (uint32_t)p.input_zero;
                            const int32_t whole = (int32_t)((uint32_t)sum[i] - (uint32_t)sums[at] * zero);
                            ahead[(int64_t)row * s.width + at] = fma_f32((float)whole, scale[at], bias[at]);
                        }
                    });
                sync_block();
            }
            const float *const start = ahead + (int64_t)slot * ROWS * s.width;
            const int32_t apart = after ? 2 * s.padded : s.width; /* from there on the bias of R h stands in for x */
            const auto add = [&](int row, int32_t column, const int32_t(&sum)[4]) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int32_t at = column + i;
                    const float from = at < apart ? start[(int64_t)row * s.width + at] : bias[s.width + at];
                    gates[row * s.width + at] = fma_f32((float)sum[i], scale[s.width + at], from);
                }
            };
            const bool resets_first = gru && !after;
            multiply<ROWS, 2>(r, parts, h_steps, 0, (resets_first ? 2 * s.padded : s.width) / 16, add);
            sync_block();
            if (resets_first) {
                for (int32_t i = threadIdx.x; i < part.rows * s.hidden; i += threads) {
                    const int32_t row = i / s.hidden, j = i % s.hidden;
                    const float gate = gates[row * s.width + s.padded + j];
                    kept.split(row, j, recurrent_reset(0.0f, gate, h[row * s.padded + j]) * RECURRENT_S8_STATE);
                }
                sync_block();
                multiply<ROWS, 2>(r, kept, h_steps, 2 * s.padded / 16, s.width / 16, add);
                sync_block();
            }
            const int32_t time = part.reverse ? s.steps - 1 - step : step;
            for (int32_t i = threadIdx.x; i < part.rows * s.hidden; i += threads) {
                const int32_t row = i / s.hidden, j = i % s.hidden, at = row * s.padded + j;
                const float *const mine = gates + row * s.width;
                const int32_t gap = s.padded;
                float state_of = h[at];
                if (p.kind == INGOT_RECURRENT_LSTM) {
                    cell[at] = recurrent_lstm_c(mine[j], mine[2 * gap + j], mine[3 * gap + j], cell[at]);
                    state_of = recurrent_lstm_h(mine[gap + j], cell[at]);
                } else if (gru) {
                    float candidate = mine[2 * gap + j];
                    if (after) {
                        const float from = start[(int64_t)row * s.width + 2 * gap + j];
                        candidate = recurrent_reset(from, mine[gap + j], candidate);
                    }
                    state_of = recurrent_gru_h(mine[j], candidate, state_of);
                } else {
                    state_of = recurrent_rnn_h(mine[j]);
                }
                h[at] = state_of;
                parts.split(row, j, state_of * RECURRENT_S8_STATE);
                const int64_t to = (((int64_t)time * s.directions + part.direction) * s.batch + part.first) * s.hidden + i;
                if (y.dtype == DTYPE_F32) {
                    static_cast<float *>(y.data)[to] = ingot_clamp_f32(&result, state_of * result.inverse_scale);
                } else {
                    static_cast<int8_t *>(y.data)[to] = ingot_requantize_s8(&result, state_of);
                }
            }
            sync_block();
        }
        for (int32_t i = threadIdx.x; i < part.rows * s.hidden; i += threads) {
            const int32_t from = i / s.hidden * s.padded + i % s.hidden;
            static_cast<float *>(c.arg[RECS_Y + 1].data)[state_at + i] = ingot_clamp_f32(&real, h[from]);
            if constexpr (OUTPUTS == 3) {
                static_cast<float *>(c.arg[RECS_Y + 2].data)[state_at + i] = ingot_clamp_f32(&real, cell[from]);
            }
        }
    }
};

} // namespace ingot
