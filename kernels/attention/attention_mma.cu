/* Attention of half operands on tensor cores: tiles of sixteen queries, and keys in tiles of which the next is under
 * way while one is multiplied. Scores and results stay in registers; as the accumulators of one product lie, they are
 * the left operand of the next (T. Dao, "FlashAttention-2", 2023). Scores count in powers of two, from a base that
 * follows the largest so far at a distance, so that what has been summed is seldom scaled again.
 *
 * The warps of a block are ROWS x PARTS: ROWS of them have different queries and the same keys, and the tiles of keys
 * go to the PARTS in turn, whose results are joined at the end in one order. */
#include "attention/cuda_attention.h"

namespace ingot {

/* q, k and v in T, the result in Y, the mask in any real type; widths of up to 16 DEPTH and 16 WIDE columns; TILES of
 * queries a warp; KEYS of a tile; PLAIN: neither a mask nor a cap, and a positive scale. */
template <class T, class Y, int DEPTH, int WIDE, int TILES, int ROWS, int PARTS, int KEYS, bool PLAIN>
struct attention_mma {
    static constexpr int threads = 32 * ROWS * PARTS, blocks = 1, team = 32 * ROWS;
    static constexpr int rows = 16 * TILES, queries = ROWS * rows, depth = 16 * DEPTH, columns = 16 * WIDE;
    static constexpr int k_pitch = depth + 8, v_pitch = columns + 8; /* rows of a matrix fall into different banks */
    static constexpr int stage_elements = KEYS * (k_pitch + v_pitch);
    static constexpr bool keeps = TILES * DEPTH <= 8; /* queries in registers, or read again for every tile of keys */
    static constexpr int join_pitch = columns + 8;    /* floats */
    static constexpr bool waits_itself = true;        /* once it knows where its operands lie */
    using call = ingot::call<5, ingot_attention_params>;

    /* Starts copying `count` rows of up to `width` elements, zeros around them, by COUNT threads. */
    template <int PITCH, int WIDTH, int LINES, int COUNT>
    static DEVICE void fetch(T *to, const T *from, int64_t row_step, int32_t count, int32_t width, bool wide) {
        constexpr int pieces = WIDTH / 8, all = LINES * pieces, down = COUNT / pieces;
        const int me = threadIdx.x % COUNT;
        if (!wide) {
#pragma unroll 1
            for (int i = me; i < LINES * WIDTH; i += COUNT) {
                const int row = i / WIDTH, at = i % WIDTH;
                T x = {};
                if (row < count && at < width) x = from[row * row_step + at];
                to[row * PITCH + at] = x;
            }
        } else if constexpr (COUNT % pieces == 0) { /* a thread stays in its columns */
            const int at = me % pieces * 8, row = me / pieces;
            const int32_t there = at < width ? count - row : 0;
            const T *source = there > 0 ? from + row * row_step + at : from;
            T *place = to + row * PITCH + at;
            const int64_t step = down * row_step;
#pragma unroll
            for (int i = 0; i < LINES; i += down) {
                if (LINES % down != 0 && row + i >= LINES) break;
                copy_async<16>(place, i < there ? source : from, i < there ? 16 : 0);
                source += step;
                place += down * PITCH;
            }
        } else {
#pragma unroll 1
            for (int i = me; i < all; i += COUNT) {
                const int row = i / pieces, at = i % pieces * 8;
                const bool there = row < count && at < width;
                copy_async<16>(to + row * PITCH + at, there ? from + row * row_step + at : from, there ? 16 : 0);
            }
        }
    }

    /* The warps that share tiles of keys wait for each other. */
    static DEVICE void sync_team(int part) {
        if constexpr (PARTS == 1) {
            sync_block();
        } else if constexpr (ROWS == 1) {
            sync_warp();
        } else {
            sync_some(1 + part, team);
        }
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        const attention_shape s(c);
        const ingot_attention_params &p = c.params;
        const ingot_cuda_arg &mask_arg = c.arg[ATTENTION_MASK];
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % ROWS, part = threadIdx.x / team;

        /* Late rows see more keys: those blocks first. */
        const int32_t first = (int32_t)(p.causal ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * queries;
        const int32_t head = blockIdx.y, batch = blockIdx.z;
        if (batch >= s.batch || head >= s.q.heads || first >= s.q.rows) return await_kernels();
        const int32_t shared = s.k.heads == s.q.heads ? head : head / (s.q.heads / s.k.heads);
        const T *q = static_cast<const T *>(c.arg[ATTENTION_Q].data) + s.q.at(batch, head) + first * s.q.row_step;
        const T *k = static_cast<const T *>(c.arg[ATTENTION_K].data) + s.k.at(batch, shared);
        const T *v = static_cast<const T *>(c.arg[ATTENTION_V].data) + s.v.at(batch, shared);
        const bool q_wide = s.q.in(8, c.arg[ATTENTION_Q], 2), k_wide = s.k.in(8, c.arg[ATTENTION_K], 2);
        const bool v_wide = s.v.in(8, c.arg[ATTENTION_V], 2);
        T *const q_tile = reinterpret_cast<T *>(bytes);
        T *const tiles = q_tile + queries * k_pitch; /* of every part two stages, of k, then v */

        const int32_t last = first + queries < s.q.rows ? first + queries - 1 : s.q.rows - 1;
        const int32_t seen = attention_visible(p, last, s.k.rows), steps = (seen + KEYS - 1) / KEYS;
        const auto start = [&](int32_t step) {
            if (step < steps) {
                const int32_t key = step * KEYS, some = s.k.rows - key;
                T *const to = tiles + step % (2 * PARTS) * stage_elements;
                fetch<k_pitch, depth, KEYS, team>(to, k + key * s.k.row_step, s.k.row_step, some, s.k.width, k_wide);
                fetch<v_pitch, columns, KEYS, team>(to + KEYS * k_pitch, v + key * s.v.row_step, s.v.row_step, some,
                                                    s.v.width, v_wide);
            }
            copy_commit();
        };
        await_kernels();
        fetch<k_pitch, depth, queries, threads>(q_tile, q, s.q.row_step, last + 1 - first, s.q.width, q_wide);
        start(part);
        copy_wait<0>();
        sync_block();

        uint32_t query[TILES][keeps ? DEPTH : 1][4];
        const T *const my_queries = q_tile + (warp * rows + lane % 16) * k_pitch + lane / 16 * 8;
        const auto read_queries = [&](int d) {
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                load_matrix_x4(query[t][keeps ? d : 0], my_queries + t * 16 * k_pitch + d * 16);
            }
        };
        if constexpr (keeps) {
#pragma unroll
            for (int d = 0; d < DEPTH; d++) read_queries(d);
        }

        /* Of rows lane / 4 and the eighth behind it, of each tile. */
        float base[TILES][2], sum[TILES][2], out[TILES][2 * WIDE][4] = {};
        int32_t visible[TILES][2];
        const int32_t mine = first + warp * rows;
#pragma unroll
        for (int t = 0; t < TILES; t++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                base[t][r] = -__builtin_inff();
                sum[t][r] = 0.0f;
                visible[t][r] = attention_visible(p, row_of(mine, t, r, lane), s.k.rows);
            }
        }
        const int32_t all_see = attention_visible(p, mine, s.k.rows); /* rows behind see no less */
        const attention_mask mask(mask_arg, batch, head);
        const float log2e = 1.44269504088896341f, unit = PLAIN ? p.scale * log2e : log2e;

        for (int32_t step = part; step < steps; step += PARTS) {
            if (step != part) {
                copy_wait<0>();
                sync_team(part);
            }
            start(step + PARTS);
            const T *const k_tile = tiles + step % (2 * PARTS) * stage_elements, *const v_tile =
                                                                                     k_tile + KEYS * k_pitch;

            float score[TILES][KEYS / 8][4] = {};
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                if constexpr (!keeps) read_queries(d);
#pragma unroll
                for (int j = 0; j < KEYS / 16; j++) {
                    uint32_t b[4];
                    const int row = j * 16 + lane / 16 * 8 + lane % 8, at = d * 16 + lane / 8 % 2 * 8;
                    load_matrix_x4(b, k_tile + row * k_pitch + at);
#pragma unroll
                    for (int t = 0; t < TILES; t++) {
                        multiply<T>(score[t][2 * j], query[t][keeps ? d : 0], {b[0], b[1]});
                        multiply<T>(score[t][2 * j + 1], query[t][keeps ? d : 0], {b[2], b[3]});
                    }
                }
            }

            const bool whole = (step + 1) * KEYS <= all_see;
#pragma unroll
            for (int t = 0; t < TILES; t++) {
                if (!PLAIN || !whole) {
#pragma unroll
                    for (int j = 0; j < KEYS / 8; j++) {
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            const int32_t at = step * KEYS + j * 8 + lane % 4 * 2 + i % 2;
                            const int32_t row = row_of(mine, t, i / 2, lane);
                            float &x = score[t][j][i];
                            if (at >= visible[t][i / 2]) {
                                x = -__builtin_inff();
                            } else if (!PLAIN && row < s.q.rows) {
                                x = attention_adjust(p, p.scale * x, mask_arg, mask.at(row, at));
                            }
                        }
                    }
                }
                soften(score[t], unit, base[t], sum[t], out[t]);
            }

#pragma unroll
            for (int j = 0; j < KEYS / 16; j++) {
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
                    uint32_t b[4];
                    load_matrix_x4_transposed(b, v_tile + (j * 16 + lane % 16) * v_pitch + e * 16 + lane / 16 * 8);
#pragma unroll
                    for (int t = 0; t < TILES; t++) {
                        multiply<T>(out[t][2 * e], weights[t], {b[0], b[1]});
                        multiply<T>(out[t][2 * e + 1], weights[t], {b[2], b[3]});
                    }
                }
            }
        }
#pragma unroll
        for (int t = 0; t < TILES; t++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                sum[t][r] += shuffle_xor(sum[t][r], 1);
                sum[t][r] += shuffle_xor(sum[t][r], 2);
            }
        }

        Y *const y = static_cast<Y *>(c.arg[ATTENTION_OUT].data) + s.out.at(batch, head);
        if constexpr (PARTS == 1) {
            const bool pairs = s.out.in(2, c.arg[ATTENTION_OUT], sizeof(Y));
#pragma unroll
            for (int t = 0; t < TILES; t++) {
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const float inverse = attention_inverse(sum[t][r], visible[t][r] > 0);
                    const int32_t row = row_of(mine, t, r, lane);
                    if (row >= s.q.rows) continue;
#pragma unroll
                    for (int e = 0; e < 2 * WIDE; e++) {
                        const int32_t at = e * 8 + lane % 4 * 2;
                        const float low = out[t][e][2 * r] * inverse, high = out[t][e][2 * r + 1] * inverse;
                        const pair<Y> x = {{from_float<Y>(low), from_float<Y>(high)}};
                        Y *const to = y + row * s.out.row_step + at;
                        if (pairs && at < s.v.width) {
                            *reinterpret_cast<pair<Y> *>(to) = x;
                        } else {
                            if (at < s.v.width) to[0] = x.at[0];
                            if (at + 1 < s.v.width) to[1] = x.at[1];
                        }
                    }
                }
            }
        } else {
            float *const parts = reinterpret_cast<float *>(bytes), *const ends = parts + PARTS * queries * join_pitch;
            sync_block(); /* nobody needs keys and values any more */
#pragma unroll
            for (int t = 0; t < TILES; t++) {
#pragma unroll
                for (int r = 0; r < 2; r++) {
                    const int at = part * queries + row_of(warp * rows, t, r, lane);
#pragma unroll
                    for (int e = 0; e < 2 * WIDE; e++) {
                        *reinterpret_cast<pair<float> *>(parts + at * join_pitch + e * 8 +
                                                         lane % 4 * 2) = {{out[t][e][2 * r], out[t][e][2 * r + 1]}};
                    }
                    if (lane % 4 == 0) *reinterpret_cast<pair<float> *>(ends + 2 * at) = {{base[t][r], sum[t][r]}};
                }
            }
            sync_block();
            join(c, s, y, first, unit, parts, ends);
        }
    }

    /* The results of all parts, whose sums and bases lie in `ends`, become that of each query. */
    static DEVICE void join(const call &c, const attention_shape &s, Y *y, int32_t first, float unit,
                            const float *parts, const float *ends) {
        const bool wide = s.out.in(4, c.arg[ATTENTION_OUT], sizeof(Y));
        for (int i = threadIdx.x; i < queries * columns / 4; i += threads) {
            const int line = i / (columns / 4), at = i % (columns / 4) * 4;
            const int32_t row = first + line;
            if (row >= s.q.rows || at >= s.v.width) continue;
            float top = -__builtin_inff(), total = 0.0f;
            pair<float> end[PARTS];
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                end[part] = *reinterpret_cast<const pair<float> *>(ends + 2 * (part * queries + line));
                top = max_f32(top, end[part].at[0]);
            }
            if (top == -__builtin_inff()) top = 0.0f;
            four<float> x = {};
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
                const float share = exp2_fast((end[part].at[0] - top) * unit);
                const four<float> more =
                    *reinterpret_cast<const four<float> *>(parts + (part * queries + line) * join_pitch + at);
                total += share * end[part].at[1];
#pragma unroll
                for (int j = 0; j < 4; j++) x.at[j] += share * more.at[j];
            }
            const float inverse = attention_inverse(total, attention_visible(c.params, row, s.k.rows) > 0);
            four<Y> result;
#pragma unroll
            for (int j = 0; j < 4; j++) result.at[j] = from_float<Y>(x.at[j] * inverse);
            store_four(y + row * s.out.row_step + at, result, s.v.width - at, wide);
        }
    }

    /* The query of a lane: the first or the second eight of tile t. */
    static DEVICE int32_t row_of(int32_t first, int t, int half, int lane) {
        return first + t * 16 + half * 8 + lane / 4;
    }

    /* Scores to powers of two of their distance from the base, `unit` each. The base rises, and what has been summed
     * shrinks with it, where it is 8 behind the largest score: no power is larger than 2^8. */
    static DEVICE void soften(float (&score)[KEYS / 8][4], float unit, float (&base)[2], float (&sum)[2],
                              float (&out)[2 * WIDE][4]) {
        float top[2];
        bool behind = false;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[r] = score[0][2 * r];
#pragma unroll
            for (int j = 0; j < KEYS / 8; j++) {
                top[r] = max_f32(top[r], max_f32(score[j][2 * r], score[j][2 * r + 1]));
            }
            top[r] = max_f32(top[r], shuffle_xor(top[r], 1));
            top[r] = max_f32(top[r], shuffle_xor(top[r], 2));
            behind = behind || (top[r] - base[r]) * unit > 8.0f;
        }
        if (ballot(behind)) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                if ((top[r] - base[r]) * unit > 8.0f) {
                    const float rest = exp2_fast((base[r] - top[r]) * unit);
                    base[r] = top[r];
                    sum[r] *= rest;
#pragma unroll
                    for (int e = 0; e < 2 * WIDE; e++) {
                        out[e][2 * r] *= rest;
                        out[e][2 * r + 1] *= rest;
                    }
                }
            }
        }
#pragma unroll
        for (int r = 0; r < 2; r++) {
            const float from = base[r] == -__builtin_inff() ? 0.0f : base[r];
#pragma unroll
            for (int j = 0; j < KEYS / 8; j++) {
                score[j][2 * r] = exp2_fast(distance(score[j][2 * r], from, unit));
                score[j][2 * r + 1] = exp2_fast(distance(score[j][2 * r + 1], from, unit));
                sum[r] += score[j][2 * r] + score[j][2 * r + 1];
            }
        }
    }

    /* A mask may hold the lowest number there is, of which no multiple is one. */
    static DEVICE float distance(float score, float from, float unit) {
        return PLAIN ? fma_f32(score, unit, -from * unit) : (score - from) * unit;
    }

    template <class Z> struct alignas(2 * sizeof(Z)) pair { Z at[2]; };
};

} // namespace ingot
