/* Attention of half operands on tensor cores: each of four warps has some tiles of sixteen queries, and goes through the
 * keys in tiles of 64, the next of which is under way while one is multiplied. Scores and results stay in registers; as
 * the accumulators of one product lie, they are the left operand of the next (T. Dao, "FlashAttention-2", 2023). Scores
 * count in powers of two. */
#include "attention/cuda_attention.h"

namespace ingot {

/* q, k and v in T, the result in Y, the mask in any real type; widths of up to 16 DEPTH and 16 WIDE columns; TILES of
 * queries a warp; PLAIN: neither a mask nor a cap. */
template <class T, class Y, int DEPTH, int WIDE, int TILES, bool PLAIN> struct attention_mma {
    static constexpr int threads = 128, blocks = 1;
    static constexpr int rows = 16 * TILES, queries = 4 * rows, keys = 64, depth = 16 * DEPTH, columns = 16 * WIDE;
    static constexpr int k_pitch = depth + 8, v_pitch = columns + 8; /* rows of a matrix fall into different banks */
    static constexpr int stage_elements = keys * (k_pitch + v_pitch);
    using call = ingot::call<5, ingot_attention_params>;

    /* Starts copying `count` rows of up to `width` elements; zeros around them. */
    template <int PITCH, int WIDTH, int ROWS>
    static DEVICE void fetch(T *to, const T *from, int64_t row_step, int32_t count, int32_t width, bool wide) {
        constexpr int pieces = WIDTH / 8;
        for (int i = threadIdx.x; i < ROWS * pieces; i += threads) {
            const int row = i / pieces, at = i % pieces * 8;
            const bool there = row < count && at < width;
            T *const place = to + row * PITCH + at;
            if (wide) {
                copy_async<16>(place, there ? from + row * row_step + at : from, there ? 16 : 0);
            } else {
                for (int j = 0; j < 8; j++) {
                    T x = {};
                    if (there && at + j < width) x = from[row * row_step + at + j];
                    place[j] = x;
                }
            }
        }
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        T *const tiles = reinterpret_cast<T *>(bytes); /* two stages of k, then v; q at first */
        const attention_shape s(c);
        const ingot_attention_params &p = c.params;
        const ingot_cuda_arg &mask_arg = c.arg[ATTENTION_MASK];
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

        uint32_t index = blockIdx.x;
        const uint32_t blocks_of_head = (s.q.rows + queries - 1) / queries;
        const int32_t first = index % blocks_of_head * queries;
        index /= blocks_of_head;
        const int32_t head = index % s.q.heads, batch = index / s.q.heads;
        if (batch >= s.batch) return;
        const int32_t shared = head / (s.q.heads / s.k.heads);
        const T *q = static_cast<const T *>(c.arg[ATTENTION_Q].data) + s.q.at(batch, head) + first * s.q.row_step;
        const T *k = static_cast<const T *>(c.arg[ATTENTION_K].data) + s.k.at(batch, shared);
        const T *v = static_cast<const T *>(c.arg[ATTENTION_V].data) + s.v.at(batch, shared);
        const attention_mask mask(mask_arg, batch, head);
        const bool q_wide = s.q.in(8, c.arg[ATTENTION_Q], 2), k_wide = s.k.in(8, c.arg[ATTENTION_K], 2);
        const bool v_wide = s.v.in(8, c.arg[ATTENTION_V], 2);

        /* Queries: to shared memory and from there to registers, in the form of the left operand. */
        const int32_t last = first + queries < s.q.rows ? first + queries - 1 : s.q.rows - 1;
        fetch<k_pitch, depth, queries>(tiles, q, s.q.row_step, last + 1 - first, s.q.width, q_wide);
        copy_commit();
        copy_wait<0>();
        sync_block();
        uint32_t query[TILES][DEPTH][4];
#pragma unroll
        for (int t = 0; t < TILES; t++) {
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                const int row = warp * rows + t * 16 + lane % 16;
                load_matrix_x4(query[t][d], tiles + row * k_pitch + d * 16 + lane / 16 * 8);
            }
        }
        sync_block();

        /* Of rows lane / 4 and the eighth behind it, of each tile. */
        float largest[TILES][2], sum[TILES][2], out[TILES][2 * WIDE][4] = {};
        int32_t visible[TILES][2];
        const int32_t mine = first + warp * rows;
#pragma unroll
        for (int t = 0; t < TILES; t++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                largest[t][r] = -__builtin_inff();
                sum[t][r] = 0.0f;
                visible[t][r] = attention_visible(p, row_of(mine, t, r, lane), s.k.rows);
            }
        }
        const int32_t seen = attention_visible(p, last, s.k.rows), steps = (seen + keys - 1) / keys;
        const int32_t all_see = attention_visible(p, mine, s.k.rows); /* rows behind see no less */
        const float log2e = 1.44269504088896341f, scale = p.scale * (PLAIN ? log2e : 1.0f);

        const auto start = [&](int32_t step) {
            if (step < steps) {
                const int32_t key = step * keys, some = s.k.rows - key;
                T *const to = tiles + step % 2 * stage_elements;
                fetch<k_pitch, depth, keys>(to, k + key * s.k.row_step, s.k.row_step, some, s.k.width, k_wide);
                fetch<v_pitch, columns, keys>(to + keys * k_pitch, v + key * s.v.row_step, s.v.row_step, some, s.v.width,
                                              v_wide);
            }
            copy_commit();
        };
        start(0);
        for (int32_t step = 0; step < steps; step++) {
            start(step + 1);
            copy_wait<1>();
            sync_block();
            const T *const k_tile = tiles + step % 2 * stage_elements, *const v_tile = k_tile + keys * k_pitch;

            float score[TILES][keys / 8][4] = {};
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
#pragma unroll
                for (int j = 0; j < keys / 16; j++) {
                    uint32_t b[4];
                    const int row = j * 16 + lane / 16 * 8 + lane % 8, at = d * 16 + lane / 8 % 2 * 8;
                    load_matrix_x4(b, k_tile + row * k_pitch + at);
#pragma unroll
                    for (int t = 0; t < TILES; t++) {
                        multiply<T>(score[t][2 * j], query[t][d], {b[0], b[1]});
                        multiply<T>(score[t][2 * j + 1], query[t][d], {b[2], b[3]});
                    }
                }
            }

            const bool whole = (step + 1) * keys <= all_see;
#pragma unroll
            for (int t = 0; t < TILES; t++) {
#pragma unroll
                for (int j = 0; j < keys / 8; j++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const int32_t at = step * keys + j * 8 + lane % 4 * 2 + i % 2;
                        score[t][j][i] *= scale;
                        if constexpr (!PLAIN) {
                            const int32_t row = row_of(mine, t, i / 2, lane);
                            if (row < s.q.rows && at < visible[t][i / 2]) {
                                score[t][j][i] = log2e * attention_adjust(p, score[t][j][i], mask_arg, mask.at(row, at));
                            }
                        }
                    }
                }
                if (!whole) {
#pragma unroll
                    for (int j = 0; j < keys / 8; j++) {
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            const int32_t at = step * keys + j * 8 + lane % 4 * 2 + i % 2;
                            if (at >= visible[t][i / 2]) score[t][j][i] = -__builtin_inff();
                        }
                    }
                }
                soften(score[t], largest[t], sum[t], out[t]);
            }

#pragma unroll
            for (int j = 0; j < keys / 16; j++) {
                uint32_t weights[TILES][4];
#pragma unroll
                for (int t = 0; t < TILES; t++) {
                    const float(&a)[4] = score[t][2 * j], (&b)[4] = score[t][2 * j + 1];
                    weights[t][0] = pack2<T>(a[0], a[1]);
                    weights[t][1] = pack2<T>(a[2], a[3]);
                    weights[t][2] = pack2<T>(b[0], b[1]);
                    weights[t][3] = pack2<T>(b[2], b[3]);
                }
#pragma unroll
                for (int e = 0; e < WIDE; e++) {
                    uint32_t x[4];
                    load_matrix_x4_transposed(x, v_tile + (j * 16 + lane % 16) * v_pitch + e * 16 + lane / 16 * 8);
#pragma unroll
                    for (int t = 0; t < TILES; t++) {
                        multiply<T>(out[t][2 * e], weights[t], {x[0], x[1]});
                        multiply<T>(out[t][2 * e + 1], weights[t], {x[2], x[3]});
                    }
                }
            }
            sync_block();
        }
        copy_wait<0>();

        Y *const y = static_cast<Y *>(c.arg[ATTENTION_OUT].data) + s.out.at(batch, head);
        const bool pairs = ((uintptr_t)y & (2 * sizeof(Y) - 1)) == 0 && s.v.width % 2 == 0;
#pragma unroll
        for (int t = 0; t < TILES; t++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float total = sum[t][r];
                total += shuffle_xor(total, 1);
                total += shuffle_xor(total, 2);
                const float inverse = attention_inverse(total, visible[t][r] > 0);
                const int32_t row = row_of(mine, t, r, lane);
                if (row >= s.q.rows) continue;
#pragma unroll
                for (int e = 0; e < 2 * WIDE; e++) {
                    const int32_t at = e * 8 + lane % 4 * 2;
                    const float low = out[t][e][2 * r] * inverse, high = out[t][e][2 * r + 1] * inverse;
                    const pair x = {{from_float<Y>(low), from_float<Y>(high)}};
                    Y *const to = y + row * s.out.row_step + at;
                    if (pairs && at < s.v.width) {
                        *reinterpret_cast<pair *>(to) = x;
                    } else {
                        if (at < s.v.width) to[0] = x.at[0];
                        if (at + 1 < s.v.width) to[1] = x.at[1];
                    }
                }
            }
        }
    }

    /* The query of a lane: the first or the second eight of tile t. */
    static DEVICE int32_t row_of(int32_t first, int t, int half, int lane) {
        return first + t * 16 + half * 8 + lane / 4;
    }

    /* Scores to exponentials, with the largest so far; sums and results so far shrink with it. */
    static DEVICE void soften(float (&score)[keys / 8][4], float (&largest)[2], float (&sum)[2], float (&out)[2 * WIDE][4]) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float top = largest[r];
#pragma unroll
            for (int j = 0; j < keys / 8; j++) {
                top = score[j][2 * r] > top ? score[j][2 * r] : top;
                top = score[j][2 * r + 1] > top ? score[j][2 * r + 1] : top;
            }
            float other = shuffle_xor(top, 1);
            top = other > top ? other : top;
            other = shuffle_xor(top, 2);
            top = other > top ? other : top;
            const float base = top == -__builtin_inff() ? 0.0f : top, rest = exp2_fast(largest[r] - base);
            largest[r] = top;
            sum[r] *= rest;
#pragma unroll
            for (int j = 0; j < keys / 8; j++) {
                score[j][2 * r] = exp2_fast(score[j][2 * r] - base);
                score[j][2 * r + 1] = exp2_fast(score[j][2 * r + 1] - base);
                sum[r] += score[j][2 * r] + score[j][2 * r + 1];
            }
#pragma unroll
            for (int e = 0; e < 2 * WIDE; e++) {
                out[e][2 * r] *= rest;
                out[e][2 * r + 1] *= rest;
            }
        }
    }

    struct alignas(2 * sizeof(Y)) pair {
        Y at[2];
    };
};

} // namespace ingot
