/* Attention in float32: a block has a tile of queries and goes through the keys in tiles of 64, two of each lane. The
 * largest score and the sum of exponentials go along (M. Milakov, N. Gimelshein, "Online normalizer calculation for
 * softmax", 2018); nothing of the size [Lq, Lk] is stored. */
#include "attention/cuda_attention.h"

namespace ingot {

struct any_real; /* operands of several types */

template <class T> DEVICE four<float> attention_read(const ingot_cuda_arg &a, int64_t at, int32_t count, bool wide) {
    const four<T> x = load_four(static_cast<const T *>(a.data) + at, count, wide);
    return {to_float(x.at[0]), to_float(x.at[1]), to_float(x.at[2]), to_float(x.at[3])};
}
template <>
DEVICE four<float> attention_read<any_real>(const ingot_cuda_arg &a, int64_t at, int32_t count, bool wide) {
    four<float> x = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i < count) x.at[i] = load_real(a, at + i);
    }
    return x;
}

/* q, k and v in T; ROWS queries of each of four warps, up to 32 COLUMNS of v. Dynamic shared memory: see `floats`. */
template <class T, int ROWS, int COLUMNS> struct attention {
    static constexpr int threads = 128, blocks = 2;
    static constexpr int warps = threads / 32, queries = warps * ROWS, each = 2, keys = 32 * each;
    static constexpr int depth = 64, k_pitch = depth + 4, v_pitch = 32 * COLUMNS; /* columns of q and k at a time */
    static constexpr int floats = queries * depth + keys * k_pitch + keys * v_pitch + queries * keys;
    using call = ingot::call<5, ingot_attention_params>;

    /* Columns [column, column + width) of `count` rows from `at` on, zeros around them. */
    static DEVICE void stage(float *to, int pitch, int rows, int width, const ingot_cuda_arg &from, int64_t at,
                             int64_t row_step, int32_t count, int32_t column, int32_t columns, float scale, bool wide) {
        const int quads = width / 4;
        for (int i = threadIdx.x; i < rows * quads; i += threads) {
            const int row = i / quads, j = i % quads * 4;
            const int32_t left = row < count ? columns - column - j : 0;
            four<float> x = attention_read<T>(from, at + row * row_step + column + j, left, wide);
#pragma unroll
            for (int q = 0; q < 4; q++) x.at[q] *= scale;
            *reinterpret_cast<four<float> *>(to + row * pitch + j) = x;
        }
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        float *const q_tile = reinterpret_cast<float *>(bytes), *const k_tile = q_tile + queries * depth;
        float *const v_tile = k_tile + keys * k_pitch, *const p_tile = v_tile + keys * v_pitch;
        const attention_shape s(c);
        const ingot_attention_params &p = c.params;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

        const uint32_t chunks = (s.v.width + v_pitch - 1) / v_pitch, tiles = (s.q.rows + queries - 1) / queries;
        uint32_t index = blockIdx.x;
        const int32_t first = index % tiles * queries;
        index /= tiles;
        const int32_t column = index % chunks * v_pitch;
        index /= chunks;
        const int32_t head = index % s.q.heads, batch = index / s.q.heads;
        if (batch >= s.batch) return;
        const int32_t shared = head / (s.q.heads / s.k.heads), mine = first + warp * ROWS;
        const int64_t q_at = s.q.at(batch, head) + first * s.q.row_step, k_at = s.k.at(batch, shared);
        const int64_t v_at = s.v.at(batch, shared);
        const attention_mask mask(c.arg[ATTENTION_MASK], batch, head);
        const int size = sizeof_of(c.arg[ATTENTION_Q]);
        const bool q_wide = s.q.in(4, c.arg[ATTENTION_Q], size), k_wide = s.k.in(4, c.arg[ATTENTION_K], size);
        const bool v_wide = s.v.in(4, c.arg[ATTENTION_V], size);

        float largest[ROWS], sum[ROWS], out[ROWS][COLUMNS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            largest[r] = -__builtin_inff();
            sum[r] = 0.0f;
#pragma unroll
            for (int i = 0; i < COLUMNS; i++) out[r][i] = 0.0f;
        }
        const int32_t last = first + queries < s.q.rows ? first + queries - 1 : s.q.rows - 1;
        const int32_t seen = attention_visible(p, last, s.k.rows); /* rows before see no more */
        for (int32_t key = 0; key < seen; key += keys) {
            const int32_t some = s.k.rows - key < keys ? s.k.rows - key : keys;
            float score[ROWS][each] = {};
            for (int32_t d = 0; d < s.q.width; d += depth) {
                sync_block();
                if (key == 0 || s.q.width > depth) {
                    stage(q_tile, depth, queries, depth, c.arg[ATTENTION_Q], q_at, s.q.row_step, last + 1 - first, d,
                          s.q.width, p.scale, q_wide);
                }
                stage(k_tile, k_pitch, keys, depth, c.arg[ATTENTION_K], k_at + key * s.k.row_step, s.k.row_step, some, d,
                      s.k.width, 1.0f, k_wide);
                if (d == 0) {
                    stage(v_tile, v_pitch, keys, v_pitch, c.arg[ATTENTION_V], v_at + key * s.v.row_step, s.v.row_step,
                          some, column, s.v.width, 1.0f, v_wide);
                }
                sync_block();
                const int32_t wide = s.q.width - d < depth ? (s.q.width - d + 3) / 4 * 4 : depth;
                for (int32_t j = 0; j < wide; j += 4) {
                    four<float> k[each];
#pragma unroll
                    for (int n = 0; n < each; n++) {
                        k[n] = *reinterpret_cast<const four<float> *>(k_tile + (n * 32 + lane) * k_pitch + j);
                    }
#pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        const four<float> q =
                            *reinterpret_cast<const four<float> *>(q_tile + (warp * ROWS + r) * depth + j);
#pragma unroll
                        for (int n = 0; n < each; n++) {
#pragma unroll
                            for (int i = 0; i < 4; i++) score[r][n] += q.at[i] * k[n].at[i];
                        }
                    }
                }
            }
            float *const mine_p = p_tile + warp * ROWS * keys;
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int32_t row = mine + r, visible = attention_visible(p, row, s.k.rows);
                float top = -__builtin_inff();
#pragma unroll
                for (int n = 0; n < each; n++) {
                    const int32_t at = key + n * 32 + lane;
                    const bool sees = row < s.q.rows && at < visible;
                    score[r][n] = sees ? attention_adjust(p, score[r][n], c.arg[ATTENTION_MASK], mask.at(row, at))
                                       : -__builtin_inff();
                    top = score[r][n] > top ? score[r][n] : top;
                }
#pragma unroll
                for (int delta = 16; delta > 0; delta /= 2) {
                    const float other = shuffle_xor(top, delta);
                    top = other > top ? other : top;
                }
                top = top > largest[r] ? top : largest[r];
                const float base = top == -__builtin_inff() ? 0.0f : top;
                const float rest = ingot_exp_nonpositive_f32(largest[r] - base);
                largest[r] = top;
                sum[r] *= rest;
#pragma unroll
                for (int n = 0; n < each; n++) {
                    const float e = ingot_exp_nonpositive_f32(score[r][n] - base);
                    sum[r] += e;
                    mine_p[r * keys + n * 32 + lane] = e;
                }
#pragma unroll
                for (int i = 0; i < COLUMNS; i++) out[r][i] *= rest;
            }
            sync_warp();
#pragma unroll 2
            for (int j = 0; j < keys; j += 4) {
                float v[4][COLUMNS];
#pragma unroll
                for (int i = 0; i < 4; i++) {
#pragma unroll
                    for (int e = 0; e < COLUMNS; e++) v[i][e] = v_tile[(j + i) * v_pitch + e * 32 + lane];
                }
#pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    const four<float> w = *reinterpret_cast<const four<float> *>(mine_p + r * keys + j);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
#pragma unroll
                        for (int e = 0; e < COLUMNS; e++) out[r][e] += w.at[i] * v[i][e];
                    }
                }
            }
        }
        const int64_t y_at = s.out.at(batch, head);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float total = sum[r];
#pragma unroll
            for (int delta = 16; delta > 0; delta /= 2) total += shuffle_xor(total, delta);
            const int32_t row = mine + r;
            const float inverse = attention_inverse(total, attention_visible(p, row, s.k.rows) > 0);
#pragma unroll
            for (int e = 0; e < COLUMNS; e++) {
                const int32_t at = column + e * 32 + lane;
                if (row < s.q.rows && at < s.v.width) {
                    store_real(c.arg[ATTENTION_OUT], y_at + row * s.out.row_step + at, out[r][e] * inverse);
                }
            }
        }
    }

    static DEVICE int sizeof_of(const ingot_cuda_arg &a) { return a.dtype == DTYPE_F32 ? 4 : 2; }
};

} // namespace ingot
