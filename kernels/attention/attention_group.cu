/* Attention of many queries on warp groups (sm_90a): each of GROUPS groups of four warps has 64 queries, and all go
 * through the same tiles of 128 keys. The scores of a tile are under way together with the results of the one before, so
 * that exponentials are made while the group multiplies (J. Shah et al., "FlashAttention-3", 2024). Scores count as in
 * attention_mma.cu. */
#include "attention/cuda_attention.h"

namespace ingot {

#if INGOT_WARP_GROUPS

/* q, k and v in T, the result in Y; SLABS of 64 columns each. Neither a mask nor a cap, a positive scale. */
template <class T, class Y, int SLABS, int GROUPS> struct attention_group {
    static constexpr int threads = 128 * GROUPS, blocks = 1, rows = 64, queries = rows * GROUPS, keys = 128;
    static constexpr int columns = 64 * SLABS, line = 64; /* elements of 128 bytes */
    static constexpr int tile = keys * columns;
    static constexpr bool waits_itself = true;
    using call = ingot::call<5, ingot_attention_params>;
    typedef float numbers[keys / 2];
    typedef float results[SLABS][32];
    typedef uint32_t shares[keys / 16][4];

    /* Starts copying `count` of LINES rows, zeros behind them: slabs of rows of 128 bytes, as groups read them. */
    template <int LINES> static DEVICE void fetch(T *to, const T *from, int64_t row_step, int32_t count, bool wide) {
        constexpr int pieces = columns / 8, down = threads / pieces;
        const int piece = threadIdx.x % pieces, first = threadIdx.x / pieces;
        T *const slab = to + piece / 8 * LINES * line;
        from += piece * 8;
        if (wide) {
            const T *source = from + first * row_step;
            const int64_t step = down * row_step;
#pragma unroll
            for (int i = 0; i < LINES; i += down, source += step) {
                const int row = first + i;
                T *const place = slab + row * line + (piece % 8 ^ (row & 7)) * 8;
                copy_async<16>(place, row < count ? source : from, row < count ? 16 : 0);
            }
        } else {
#pragma unroll 1
            for (int i = 0; i < 8 * LINES; i += down) {
                const int row = first + i / 8, at = i % 8;
                T *const place = slab + row * line + (piece % 8 ^ (row & 7)) * 8;
                place[at] = row < count ? from[row * row_step + at] : T{};
            }
        }
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(bytes);
        T *const q_tile = reinterpret_cast<T *>(bytes), *const k_tiles = q_tile + queries * columns;
        T *const v_tiles = k_tiles + 2 * tile;
        const attention_shape s(c);
        const ingot_attention_params &p = c.params;
        const int lane = threadIdx.x % 32, group = threadIdx.x / 128, warp = threadIdx.x / 32 % 4;

        const int32_t first = (int32_t)(p.causal ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * queries;
        const int32_t head = blockIdx.y, batch = blockIdx.z;
        if (batch >= s.batch || head >= s.q.heads || first >= s.q.rows) return await_kernels();
        const int32_t shared = s.k.heads == s.q.heads ? head : head / (s.q.heads / s.k.heads);
        const T *q = static_cast<const T *>(c.arg[ATTENTION_Q].data) + s.q.at(batch, head) + first * s.q.row_step;
        const T *k = static_cast<const T *>(c.arg[ATTENTION_K].data) + s.k.at(batch, shared);
        const T *v = static_cast<const T *>(c.arg[ATTENTION_V].data) + s.v.at(batch, shared);
        const bool q_wide = s.q.in(8, c.arg[ATTENTION_Q], 2), k_wide = s.k.in(8, c.arg[ATTENTION_K], 2);
        const bool v_wide = s.v.in(8, c.arg[ATTENTION_V], 2);
        const int32_t last = first + queries < s.q.rows ? first + queries - 1 : s.q.rows - 1;
        const int32_t seen = attention_visible(p, last, s.k.rows), steps = (seen + keys - 1) / keys;
        const int32_t mine = first + group * rows + warp * 16 + lane / 4;
        const int32_t visible[2] = {attention_visible(p, mine, s.k.rows), attention_visible(p, mine + 8, s.k.rows)};
        const int32_t all_see = attention_visible(p, mine - lane / 4, s.k.rows);
        const float unit = p.scale * 1.44269504088896341f;
        const auto start_keys = [&](int32_t step) {
            if (step >= steps) return;
            const int32_t key = step * keys;
            fetch<keys>(k_tiles + step % 2 * tile, k + key * s.k.row_step, s.k.row_step, s.k.rows - key, k_wide);
        };
        const auto start_values = [&](int32_t step) {
            if (step >= steps) return;
            const int32_t key = step * keys;
            fetch<keys>(v_tiles + step % 2 * tile, v + key * s.v.row_step, s.v.row_step, s.v.rows - key, v_wide);
        };
        /* What was started is there, and nobody reads any more what comes next will be written over. */
        const auto arrive = [] {
            copy_commit();
            copy_wait<0>();
            publish_to_groups();
            sync_block();
        };
        const T *const my_queries = q_tile + group * rows * line;
        const auto multiply_keys = [&](numbers &score, int32_t step) {
            const T *const k_tile = k_tiles + step % 2 * tile;
#pragma unroll
            for (int d = 0; d < columns / 16; d++) {
                const int slab = d / 4, at = d % 4 * 16;
                group_multiply<T>(score, my_queries + slab * queries * line + at, k_tile + slab * keys * line + at);
            }
            group_commit();
        };
        const auto multiply_values = [&](results &out, const shares &weights, int32_t step) {
            const T *const v_tile = v_tiles + step % 2 * tile;
#pragma unroll
            for (int j = 0; j < keys / 16; j++) {
#pragma unroll
                for (int e = 0; e < SLABS; e++) {
                    group_multiply_turned<T>(out[e], weights[j], v_tile + (e * keys + j * 16) * line);
                }
            }
            group_commit();
        };
        /* Scores beyond what a row sees are hidden; the others become weights. */
        const auto soften_tile = [&](numbers &score, int32_t step, float(&base)[2], float(&sum)[2], float(&rest)[2]) {
            if ((step + 1) * keys > all_see) hide(score, step * keys + lane % 4 * 2, visible);
            return soften(score, unit, base, sum, rest);
        };

        await_kernels();
        float base[2] = {-__builtin_inff(), -__builtin_inff()}, sum[2] = {0.0f, 0.0f}, rest[2];
        results out = {};
        if (steps > 0) {
            shares weights;
            fetch<queries>(q_tile, q, s.q.row_step, last + 1 - first, q_wide);
            start_keys(0);
            arrive();
            start_keys(1);
            start_values(0);
            {
                numbers score = {};
                group_begin();
                multiply_keys(score, 0);
                group_wait<0>();
                group_settle(score);
                soften_tile(score, 0, base, sum, rest);
                pack(weights, score);
            }
#pragma unroll 1
            for (int32_t step = 1; step < steps; step++) {
                arrive();
                start_keys(step + 1);
                start_values(step);
                numbers score = {};
                group_begin();
                multiply_keys(score, step);
                multiply_values(out, weights, step - 1);
                group_wait<1>();
                group_settle(score);
                const bool shrinks = soften_tile(score, step, base, sum, rest);
                group_wait<0>();
#pragma unroll
                for (int e = 0; e < SLABS; e++) group_settle(out[e]);
#pragma unroll
                for (int j = 0; j < keys / 16; j++) group_settle(weights[j]);
                if (shrinks) {
#pragma unroll
                    for (int i = 0; i < 32 * SLABS; i++) out[i / 32][i % 32] *= rest[i / 2 % 2];
                }
                pack(weights, score);
            }
            arrive();
            group_begin();
            multiply_values(out, weights, steps - 1);
            group_wait<0>();
#pragma unroll
            for (int e = 0; e < SLABS; e++) group_settle(out[e]);
        }

        Y *const y = static_cast<Y *>(c.arg[ATTENTION_OUT].data) + s.out.at(batch, head);
        const bool pairs = s.out.in(2, c.arg[ATTENTION_OUT], sizeof(Y));
#pragma unroll
        for (int r = 0; r < 2; r++) {
            sum[r] += shuffle_xor(sum[r], 1);
            sum[r] += shuffle_xor(sum[r], 2);
            const float inverse = attention_inverse(sum[r], visible[r] > 0);
            const int32_t row = mine + 8 * r;
            if (row >= s.q.rows) continue;
            Y *const to = y + row * s.out.row_step + lane % 4 * 2;
#pragma unroll
            for (int j = 0; j < columns / 8; j++) {
                const float(&x)[32] = out[j / 8];
                const int at = j % 8 * 4 + 2 * r;
                const pair both = {{from_float<Y>(x[at] * inverse), from_float<Y>(x[at + 1] * inverse)}};
                if (pairs) {
                    *reinterpret_cast<pair *>(to + j * 8) = both;
                } else {
                    to[j * 8] = both.at[0];
                    to[j * 8 + 1] = both.at[1];
                }
            }
        }
    }

    /* Of a lane: rows lane / 4 and the eighth behind it, in turn two columns of eight of each. */
    static DEVICE void hide(numbers &score, int32_t key, const int32_t (&visible)[2]) {
#pragma unroll
        for (int i = 0; i < keys / 2; i++) {
            if (key + i / 4 * 8 + i % 2 >= visible[i / 2 % 2]) score[i] = -__builtin_inff();
        }
    }

    /* As in attention_mma.cu, but what was multiplied so far is under way and shrinks later: whether it does, by `rest`. */
    static DEVICE bool soften(numbers &score, float unit, float (&base)[2], float (&sum)[2], float (&rest)[2]) {
        float top[2] = {-__builtin_inff(), -__builtin_inff()};
#pragma unroll
        for (int i = 0; i < keys / 2; i++) top[i / 2 % 2] = max_f32(top[i / 2 % 2], score[i]);
        bool behind = false;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            top[r] = max_f32(top[r], shuffle_xor(top[r], 1));
            top[r] = max_f32(top[r], shuffle_xor(top[r], 2));
            const bool far = (top[r] - base[r]) * unit > 8.0f;
            rest[r] = far ? exp2_fast((base[r] - top[r]) * unit) : 1.0f;
            base[r] = far ? top[r] : base[r];
            sum[r] *= rest[r];
            behind = behind || far;
        }
        const float shift[2] = {base[0] == -__builtin_inff() ? 0.0f : -base[0] * unit,
                                base[1] == -__builtin_inff() ? 0.0f : -base[1] * unit};
#pragma unroll
        for (int i = 0; i < keys / 2; i++) {
            score[i] = exp2_fast(fma_f32(score[i], unit, shift[i / 2 % 2]));
            sum[i / 2 % 2] += score[i];
        }
        return ballot(behind) != 0;
    }

    /* As they lie, sums of one product are the left operand of the next. */
    static DEVICE void pack(shares &weights, const numbers &score) {
#pragma unroll
        for (int i = 0; i < keys / 4; i++) weights[i / 4][i % 4] = pack2<T>(score[2 * i], score[2 * i + 1]);
    }

    struct alignas(2 * sizeof(Y)) pair {
        Y at[2];
    };
};

#endif

} // namespace ingot
