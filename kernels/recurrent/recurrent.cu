/* RNN, GRU and LSTM with weights in float32 or half; arithmetic is float32. */
#include "recurrent/cuda_recurrent_float.h"

namespace ingot {

/* As in ONNX, [gates * hidden][n], and its bias [2][gates * hidden]. */
struct recurrent_plain {
    static constexpr bool is_plain = true;
    static constexpr int together(int rows) { return rows > 4 ? 1 : 4; }
    const float *at;
    int32_t n, hidden, padded;

    DEVICE recurrent_plain(const ingot_cuda_arg &w, const recurrent_extents &s, int32_t direction)
        : at(static_cast<const float *>(w.data) + (int64_t)direction * s.gates * s.hidden * w.dims[2]), n(w.dims[2]),
          hidden(s.hidden), padded(s.padded) {}
    struct columns {
        const float *at;
        int32_t n, count;
        DEVICE four<float> operator()(int32_t k) const {
            four<float> y = {};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                if (i < count) y.at[i] = at[(int64_t)i * n + k];
            }
            return y;
        }
    };
    DEVICE columns panel(int32_t panel, int32_t column) const {
        const int32_t all = panel * 16 + column, gate = all / padded, unit = all % padded;
        return {at + (int64_t)(gate * hidden + unit) * n, n, hidden - unit};
    }
};

/* An activation that is known at run time, those of recurrent layers alone among them. */
DEVICE_CALL float recurrent_activate(const ingot_activation &a, float x) {
    switch (a.kind) {
    case INGOT_RECURRENT_AFFINE: return a.alpha * x + a.beta;
    case INGOT_RECURRENT_SCALED_TANH: return a.alpha * ingot_tanh_f32(a.beta * x);
#define INGOT_CASE(kind)                                                                                               \
    case kind: return activation<kind>(a)(x);
        INGOT_CASE(INGOT_ACT_LEAKY_RELU)
        INGOT_CASE(INGOT_ACT_SIGMOID)
        INGOT_CASE(INGOT_ACT_TANH)
        INGOT_CASE(INGOT_ACT_SILU)
        INGOT_CASE(INGOT_ACT_ELU)
        INGOT_CASE(INGOT_ACT_HARD_SIGMOID)
        INGOT_CASE(INGOT_ACT_HARD_SWISH)
        INGOT_CASE(INGOT_ACT_GELU)
        INGOT_CASE(INGOT_ACT_GELU_TANH)
        INGOT_CASE(INGOT_ACT_SOFTPLUS)
        INGOT_CASE(INGOT_ACT_MISH)
        INGOT_CASE(INGOT_ACT_SOFTSIGN)
        INGOT_CASE(INGOT_ACT_SELU)
        INGOT_CASE(INGOT_ACT_CELU)
        INGOT_CASE(INGOT_ACT_THRESHOLDED_RELU)
        INGOT_CASE(INGOT_ACT_SWISH)
#undef INGOT_CASE
    default: return activation<INGOT_ACT_NONE>(a)(x);
    }
}

/* OUTPUTS 2 or 3; ROWS batch rows of a block; USUAL: sigmoid and tanh, no clip, no peepholes, no coupled gates. */
template <class Weights, int OUTPUTS, int ROWS, bool USUAL> struct recurrent {
    static constexpr int threads = ROWS == 1 && USUAL && !Weights::is_plain ? 512 : 256, blocks = 1, warps = threads / 32;
    static constexpr int ahead_steps = RECURRENT_AHEAD_ROWS / ROWS;
    using call = ingot::call<8 + OUTPUTS, ingot_recurrent_params>;

    /* What is added to the gates (of 0) or to R h alone (of 1), as packed by pack_bias. */
    static DEVICE float bias_of(const call &c, const recurrent_extents &s, int32_t direction, int which, int32_t column) {
        const ingot_cuda_arg &bias = c.arg[REC_BIAS];
        if (bias.data == nullptr) return 0.0f;
        const float *at = static_cast<const float *>(bias.data);
        if constexpr (!Weights::is_plain) return at[((int64_t)direction * 2 + which) * s.width + column];
        const int32_t gate = column / s.padded, unit = column % s.padded;
        if (unit >= s.hidden) return 0.0f;
        at += (int64_t)direction * 2 * s.gates * s.hidden + gate * s.hidden + unit;
        const float of_w = at[0], of_r = at[s.gates * s.hidden];
        const bool apart = c.params.kind == INGOT_RECURRENT_GRU && gate == 2 && c.params.linear_before_reset;
        return which == 0 ? (apart ? of_w : of_w + of_r) : apart ? of_r : 0.0f;
    }

    static DEVICE float clipped(const call &c, const ingot_activation &a, float x) {
        return recurrent_activate(a, ingot_clip_f32(x, -c.params.clip, c.params.clip));
    }

    /* The gates of unit j of a row, `padded` apart, to c and h. */
    static DEVICE void lstm(const call &c, const ingot_activation *act, const float *peepholes, const recurrent_extents &s,
                            const float *gates, float *h, float *cell, int32_t j) {
        float in = gates[j], out = gates[s.padded + j], forget = gates[2 * s.padded + j];
        float kept = cell[j], candidate = gates[3 * s.padded + j];
        if constexpr (USUAL) {
            kept = recurrent_short_sigmoid(forget) * kept;
            kept += recurrent_short_sigmoid(in) * recurrent_short_tanh(candidate);
            cell[j] = kept;
            h[j] = recurrent_short_sigmoid(out) * recurrent_short_tanh(kept);
        } else {
            if (peepholes != nullptr) {
                in += peepholes[j] * kept;
                forget += peepholes[2 * s.hidden + j] * kept;
            }
            in = clipped(c, act[0], in);
            forget = c.params.input_forget ? 1.0f - in : clipped(c, act[0], forget);
            kept = forget * kept + in * clipped(c, act[1], candidate);
            if (peepholes != nullptr) out += peepholes[s.hidden + j] * kept;
            cell[j] = kept;
            h[j] = clipped(c, act[0], out) * recurrent_activate(act[2], kept);
        }
    }

    static DEVICE float sigmoid_of(const call &c, const ingot_activation *act, float x) {
        if constexpr (USUAL) return recurrent_short_sigmoid(x);
        return clipped(c, act[0], x);
    }
    static DEVICE float tanh_of(const call &c, const ingot_activation *act, float x) {
        if constexpr (USUAL) return recurrent_short_tanh(x);
        return clipped(c, act[c.params.kind == INGOT_RECURRENT_GRU ? 1 : 0], x);
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        const ingot_recurrent_params &p = c.params;
        const ingot_cuda_arg &x = c.arg[REC_X], &y = c.arg[REC_Y];
        const recurrent_extents s(x, y, p.kind);
        const recurrent_part part(s, p.direction, ROWS, blockIdx.x);
        if (part.direction >= s.directions || part.rows < 1) return;
        const bool gru = p.kind == INGOT_RECURRENT_GRU, after = gru && p.linear_before_reset;
        const int32_t wide = s.width + (after ? s.padded : 0), state = ROWS * s.padded;

        /* recurrent_cuda.c counts these. */
        const int64_t floats = (int64_t)RECURRENT_AHEAD_ROWS * wide + ROWS * s.width + 3 * state;
        unsigned char *const workspace = static_cast<unsigned char *>(c.tail.workspace);
        recurrent_memory memory = {workspace != nullptr ? workspace + blockIdx.x * floats * 4 : bytes};
        float *const ahead = memory.take<float>((int64_t)RECURRENT_AHEAD_ROWS * wide);
        float *const gates = memory.take<float>(ROWS * s.width), *const h = memory.take<float>(state);
        float *const cell = memory.take<float>(state), *const kept = memory.take<float>(state);

        const Weights w(c.arg[REC_W], s, part.direction), r(c.arg[REC_R], s, part.direction);
        const ingot_activation *const act = p.activations + 3 * part.direction;
        const float *peepholes = static_cast<const float *>(c.arg[REC_PEEPHOLES].data);
        if (peepholes != nullptr) peepholes += part.direction * 3 * s.hidden;

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
        for (int32_t i = threadIdx.x; i < state; i += threads) {
            const int32_t row = i / s.padded, j = i % s.padded;
            const bool there = row < part.rows && j < s.hidden;
            const float *const h0 = static_cast<const float *>(c.arg[REC_H0].data);
            const float *const c0 = static_cast<const float *>(c.arg[REC_C0].data);
            h[i] = there && h0 != nullptr ? h0[state_at + row * s.hidden + j] : 0.0f;
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
                const int32_t before = after ? s.width - s.padded : s.width; /* columns that are no candidate apart */
                recurrent_multiply<warps>(w, static_cast<const float *>(x.data), from, s.inputs, 0, s.width / 16, [&](int row, int32_t column, const float(&sum)[4]) {
                    float *const to = ahead + (int64_t)row * wide + column + (column < before ? 0 : s.padded);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        to[i] = sum[i] + bias_of(c, s, part.direction, 0, column + i);
                        if (column >= before) to[i - s.padded] = bias_of(c, s, part.direction, 1, column + i);
                    }
                });
                sync_block();
            }
            const float *const start = ahead + (int64_t)slot * ROWS * wide;
            const auto add = [&](int row, int32_t column, const float(&sum)[4]) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    gates[row * s.width + column + i] = start[(int64_t)row * wide + column + i] + sum[i];
                }
            };
            const bool resets_first = gru && !after;
            recurrent_multiply<warps>(r, h, states, s.hidden, 0, (resets_first ? 2 * s.padded : s.width) / 16, add);
            sync_block();
            if (resets_first) {
                for (int32_t i = threadIdx.x; i < state; i += threads) {
                    const int32_t row = i / s.padded, j = i % s.padded;
                    kept[i] = sigmoid_of(c, act, gates[row * s.width + s.padded + j]) * h[i];
                }
                sync_block();
                recurrent_multiply<warps>(r, kept, states, s.hidden, 2 * s.padded / 16, s.width / 16, add);
                sync_block();
            }
            for (int32_t i = threadIdx.x; i < part.rows * s.hidden; i += threads) {
                const int32_t row = i / s.hidden, j = i % s.hidden;
                const float *const mine = gates + row * s.width;
                float *const own = h + row * s.padded;
                const int32_t steps = lens == nullptr ? s.steps : lens[part.first + row];
                const bool live = step < steps;
                const int32_t time = live && part.reverse ? steps - 1 - step : step;
                if (live && p.kind == INGOT_RECURRENT_LSTM) {
                    lstm(c, act, peepholes, s, mine, own, cell + row * s.padded, j);
                } else if (live && gru) {
                    float candidate = mine[2 * s.padded + j];
                    if (after) {
                        candidate = start[(int64_t)row * wide + s.width + j] +
                                    sigmoid_of(c, act, mine[s.padded + j]) * candidate;
                    }
                    const float z = sigmoid_of(c, act, mine[j]);
                    own[j] = (1.0f - z) * tanh_of(c, act, candidate) + z * own[j];
                } else if (live) {
                    own[j] = tanh_of(c, act, mine[j]);
                }
                const int64_t at = ((int64_t)time * s.directions + part.direction) * s.batch + part.first + row;
                static_cast<float *>(y.data)[at * s.hidden + j] = live ? own[j] : 0.0f;
            }
            sync_block();
        }
        for (int32_t i = threadIdx.x; i < part.rows * s.hidden; i += threads) {
            const int32_t from = i / s.hidden * s.padded + i % s.hidden;
            static_cast<float *>(c.arg[REC_Y + 1].data)[state_at + i] = h[from];
            if constexpr (OUTPUTS == 3) static_cast<float *>(c.arg[REC_Y + 2].data)[state_at + i] = cell[from];
        }
    }
};

} // namespace ingot
