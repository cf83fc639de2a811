/* Attention of half operands on tensor cores: a block has 64 queries, sixteen a warp, and goes through the keys in
 * tiles of 64, the next of which is under way while one is multiplied. Scores and results stay in registers; as the
 * accumulators of one product lie, they are the left operand of the next (T. Dao, "FlashAttention-2", 2023). */
#include "attention/cuda_attention.h"

namespace ingot {

/* q, k and v in T, the result in Y, the mask in any real type; widths of up to 16 DEPTH and 16 WIDE columns. */
template <class T, class Y, int DEPTH, int WIDE> struct attention_mma {
    static constexpr int threads = 128, blocks = 1;
    static constexpr int queries = 64, keys = 64, depth = 16 * DEPTH, columns = 16 * WIDE;
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
        uint32_t query[DEPTH][4];
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            load_matrix_x4(query[d], tiles + (warp * 16 + lane % 16) * k_pitch + d * 16 + lane / 16 * 8);
        }
        sync_block();

        float largest[2] = {-__builtin_inff(), -__builtin_inff()}, sum[2] = {0.0f, 0.0f}, out[2 * WIDE][4] = {};
        const int32_t rows[2] = {first + warp * 16 + lane / 4, first + warp * 16 + lane / 4 + 8};
        const int32_t visible[2] = {attention_visible(p, rows[0], s.k.rows), attention_visible(p, rows[1], s.k.rows)};
        const int32_t seen = attention_visible(p, last, s.k.rows), steps = (seen + keys - 1) / keys;
        const float log2e = 1.44269504088896341f;

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

            float score[keys / 8][4] = {};
#pragma unroll
            for (int d = 0; d < DEPTH; d++) {
#pragma unroll
                for (int j = 0; j < keys / 16; j++) {
                    uint32_t b[4];
                    const int row = j * 16 + lane / 16 * 8 + lane % 8, at = d * 16 + lane / 8 % 2 * 8;
                    load_matrix_x4(b, k_tile + row * k_pitch + at);
                    multiply<T>(score[2 * j], query[d], {b[0], b[1]});
                    multiply<T>(score[2 * j + 1], query[d], {b[2], b[3]});
                }
            }

            float top[2] = {largest[0], largest[1]};
#pragma unroll
            for (int j = 0; j < keys / 8; j++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int32_t at = step * keys + j * 8 + lane % 4 * 2 + i % 2;
                    const bool sees = at < visible[i / 2] && rows[i / 2] < s.q.rows;
                    float x = score[j][i] * p.scale;
                    x = sees ? attention_adjust(p, x, mask_arg, mask.at(rows[i / 2], at)) : -__builtin_inff();
                    top[i / 2] = x > top[i / 2] ? x : top[i / 2];
                    score[j][i] = x;
                }
            }
            float base[2];
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float other = shuffle_xor(top[r], 1);
                top[r] = other > top[r] ? other : top[r];
                other = shuffle_xor(top[r], 2);
                top[r] = other > top[r] ? other : top[r];
                base[r] = top[r] == -__builtin_inff() ? 0.0f : top[r] * log2e;
                const float rest = exp2_fast(largest[r] * log2e - base[r]);
                largest[r] = top[r];
                sum[r] *= rest;
#pragma unroll
                for (int e = 0; e < 2 * WIDE; e++) {
                    out[e][2 * r] *= rest;
                    out[e][2 * r + 1] *= rest;
                }
            }
#pragma unroll
            for (int j = 0; j < keys / 8; j++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    score[j][i] = exp2_fast(score[j][i] * log2e - base[i / 2]);
                    sum[i / 2] += score[j][i];
                }
            }

#pragma unroll
            for (int j = 0; j < keys / 16; j++) {
                const float(&a)[4] = score[2 * j], (&b)[4] = score[2 * j + 1];
                const uint32_t weights[4] = {pack2<T>(a[0], a[1]), pack2<T>(a[2], a[3]), pack2<T>(b[0], b[1]),
                                             pack2<T>(b[2], b[3])};
#pragma unroll
                for (int e = 0; e < WIDE; e++) {
                    uint32_t x[4];
                    load_matrix_x4_transposed(x, v_tile + (j * 16 + lane % 16) * v_pitch + e * 16 + lane / 16 * 8);
                    multiply<T>(out[2 * e], weights, {x[0], x[1]});
                    multiply<T>(out[2 * e + 1], weights, {x[2], x[3]});
                }
            }
            sync_block();
        }
        copy_wait<0>();

        Y *const y = static_cast<Y *>(c.arg[ATTENTION_OUT].data) + s.out.at(batch, head);
#pragma unroll
        for (int r = 0; r < 2; r++) {
            sum[r] += shuffle_xor(sum[r], 1);
            sum[r] += shuffle_xor(sum[r], 2);
            const float inverse = attention_inverse(sum[r], visible[r] > 0);
            const bool pairs = ((uintptr_t)y & (2 * sizeof(Y) - 1)) == 0 && s.v.width % 2 == 0;
            if (rows[r] < s.q.rows) {
#pragma unroll
                for (int e = 0; e < 2 * WIDE; e++) {
                    const int32_t at = e * 8 + lane % 4 * 2;
                    const pair x = {{from_float<Y>(out[e][2 * r] * inverse), from_float<Y>(out[e][2 * r + 1] * inverse)}};
                    Y *const to = y + rows[r] * s.out.row_step + at;
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

    struct alignas(2 * sizeof(Y)) pair {
        Y at[2];
    };
};

} // namespace ingot
