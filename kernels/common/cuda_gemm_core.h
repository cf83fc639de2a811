/* Cores of matrix products: what one stage in shared memory adds to the sums that the warps hold. See cuda_gemm.h. */
#ifndef INGOT_CUDA_GEMM_CORE_H
#define INGOT_CUDA_GEMM_CORE_H

#include "cuda_gemm.h"

namespace ingot {

/* Which part of a tile a warp makes. */
template <class Tile> struct warp_place {
    int m, n, k;

    DEVICE warp_place() {
        const int warp = (int)threadIdx.x / 32;
        n = warp % Tile::warps_n;
        m = warp / Tile::warps_n % Tile::warps_m;
        k = warp / (Tile::warps_n * Tile::warps_m);
    }
};

template <class S> struct alignas(2 * sizeof(S)) sum_pair { S low, high; };

/* What cores do that read a stage while they are at it, and nothing later. */
struct prompt_core {
    static constexpr int lag = 0;
    static DEVICE void publish() {}
    DEVICE void finish() {}
};

template <class S> struct alignas(16) four_sums { S at[4]; };

/* Each group of warps along the depth has written a tile of sums of its own: adds them to the first, in their order, as
 * the finish does where nobody has. What reads the sums waits for all threads. */
template <class Tile, class S> DEVICE void add_groups(S *tile) {
    if constexpr (Tile::warps_k > 1) {
        sync_block();
        constexpr int QUADS = Tile::columns / 4;
#pragma unroll 1
        for (int i = (int)threadIdx.x; i < Tile::rows * QUADS; i += Tile::threads) {
            four_sums<S> *const to =
                reinterpret_cast<four_sums<S> *>(tile + i / QUADS * Tile::sum_pitch + i % QUADS * 4);
            four_sums<S> all = *to;
#pragma unroll
            for (int k = 1; k < Tile::warps_k; k++) {
                const four_sums<S> more = to[k * Tile::sum_count / 4];
#pragma unroll
                for (int n = 0; n < 4; n++) all.at[n] += more.at[n];
            }
            *to = all;
        }
    }
}

/* -- tensor cores -------------------------------------------------------------------------------------------------
 * All element types have the same fragments when they are counted in bytes: 16 rows of A and 8 columns of B by 32
 * bytes of the  * depth. float32 takes three products of tf32, which leaves the error of float32; but an infinity
 * becomes NaN. */

template <class T> struct sum_of { typedef float type; };
template <> struct sum_of<int8_t> { typedef int32_t type; };

template <class T> DEVICE void multiply_fragments(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply<T>(d, a, b);
}
template <> DEVICE void multiply_fragments<float>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply_tf32(d, a, b);
}
template <class T> DEVICE void multiply_fragments(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply_s8(d, a, b);
}

/* float32 as a sum of two tf32, which has it but for three bits: large parts stay, small ones go to `rest`. */
template <int N> DEVICE void split_fragment(uint32_t (&x)[N], uint32_t (&rest)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        const uint32_t large = to_tf32(float_of(x[i]));
        rest[i] = to_tf32(float_of(x[i]) - float_of(large));
        x[i] = large;
    }
}

/* TOTALS: those of the rows of A and the columns of B are made too, by products with ones; `centre` takes from the sums
 * what zero points have added to them. */
template <class T, class Tile, bool TOTALS = false> struct mma_core : prompt_core {
    typedef typename sum_of<T>::type sum;
    static constexpr int down = Tile::rows / Tile::warps_m / 16, across = Tile::columns / Tile::warps_n / 8;
    static constexpr int turns = Tile::bytes / 32 / Tile::warps_k;
    static constexpr bool splits = sizeof(T) == 4;
    static_assert(down >= 1 && across >= 2 && across % 2 == 0 && turns >= 1, "a tile too small for its warps");

    sum sums[down][across][4];
    sum row_totals[TOTALS ? down : 1][4], column_totals[TOTALS ? across : 1][4];

    DEVICE mma_core() {
        if constexpr (TOTALS) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int m = 0; m < down; m++) row_totals[m][i] = 0;
#pragma unroll
                for (int n = 0; n < across; n++) column_totals[n][i] = 0;
            }
        }
#pragma unroll
        for (int m = 0; m < down; m++) {
#pragma unroll
            for (int n = 0; n < across; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) sums[m][n][i] = 0;
            }
        }
    }

    DEVICE void step(const uint8_t *a, const uint8_t *b) {
        const warp_place<Tile> at;
        const int lane = (int)threadIdx.x % 32;
        const int row = at.m * down * 16 + lane % 16, row_chunk = lane / 16;
        const int column = at.n * across * 8 + lane / 16 * 8 + lane % 8, column_chunk = lane / 8 % 2;
#pragma unroll
        for (int turn = 0; turn < turns; turn++) {
            const int chunk = 2 * (turn * Tile::warps_k + at.k);
            uint32_t x[down][4], w[across][2], x_rest[splits ? down : 1][4], w_rest[splits ? across : 1][2];
#pragma unroll
            for (int m = 0; m < down; m++) {
                load_matrix_x4(x[m], a + staged<Tile::bytes>(row + 16 * m, chunk + row_chunk));
                if constexpr (splits) split_fragment(x[m], x_rest[m]);
            }
#pragma unroll
            for (int n = 0; n < across; n += 2) {
                uint32_t both[4];
                load_matrix_x4(both, b + staged<Tile::bytes>(column + 8 * n, chunk + column_chunk));
                w[n][0] = both[0];
                w[n][1] = both[1];
                w[n + 1][0] = both[2];
                w[n + 1][1] = both[3];
                if constexpr (splits) {
                    split_fragment(w[n], w_rest[n]);
                    split_fragment(w[n + 1], w_rest[n + 1]);
                }
            }
#pragma unroll
            for (int m = 0; m < down; m++) {
#pragma unroll
                for (int n = 0; n < across; n++) {
                    if constexpr (splits) {
                        multiply_fragments<T>(sums[m][n], x_rest[m], w[n]);
                        multiply_fragments<T>(sums[m][n], x[m], w_rest[n]);
                    }
                    multiply_fragments<T>(sums[m][n], x[m], w[n]);
                }
            }
            if constexpr (TOTALS) {
                const uint32_t ones[4] = {0x01010101u, 0x01010101u, 0x01010101u, 0x01010101u};
                const uint32_t few[2] = {0x01010101u, 0x01010101u};
#pragma unroll
                for (int m = 0; m < down; m++) multiply_s8(row_totals[m], x[m], few);
#pragma unroll
                for (int n = 0; n < across; n++) multiply_s8(column_totals[n], ones, w[n]);
            }
        }
    }

    /* Sums of a b become those of (a - a_zero) (b - b_zero), over `depth` products; integers wrap around. */
    DEVICE void centre(int32_t a_zero, int32_t b_zero, int32_t depth) {
        const warp_place<Tile> at;
        const uint32_t both = at.k == 0 ? (uint32_t)depth * (uint32_t)a_zero * (uint32_t)b_zero : 0u;
#pragma unroll
        for (int m = 0; m < down; m++) {
#pragma unroll
            for (int n = 0; n < across; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const uint32_t row = (uint32_t)row_totals[m][i] * (uint32_t)b_zero;
                    const uint32_t column = (uint32_t)column_totals[n][i] * (uint32_t)a_zero;
                    sums[m][n][i] = (int32_t)((uint32_t)sums[m][n][i] - row - column + both);
                }
            }
        }
    }

    /* Writes the sums to the tile of sums; each group of warps along the depth has one of its own. */
    DEVICE void place(sum *tile) const {
        const warp_place<Tile> at;
        const int lane = (int)threadIdx.x % 32;
        sum *const own = tile + at.k * Tile::sum_count + (at.m * down * 16 + lane / 4) * Tile::sum_pitch +
                         at.n * across * 8 + lane % 4 * 2;
#pragma unroll
        for (int m = 0; m < down; m++) {
#pragma unroll
            for (int n = 0; n < across; n++) {
                sum *const to = own + 16 * m * Tile::sum_pitch + 8 * n;
                *reinterpret_cast<sum_pair<sum> *>(to) = {sums[m][n][0], sums[m][n][1]};
                *reinterpret_cast<sum_pair<sum> *>(to + 8 * Tile::sum_pitch) = {sums[m][n][2], sums[m][n][3]};
            }
        }
    }
};

/* -- plain arithmetic of float32 -----------------------------------------------------------------------------------
 * The lanes of a warp are 8 x 4; each has every 8th row and every 4th column of the warp's part. A sum is made in the
 * order of the depth. */

template <class Tile> struct fma_core : prompt_core {
    typedef float sum;
    static constexpr int down = Tile::rows / Tile::warps_m / 8, across = Tile::columns / Tile::warps_n / 4;
    static constexpr int turns = Tile::bytes / 16 / Tile::warps_k;
    static_assert(down >= 1 && across >= 1 && turns >= 1, "a tile too small for its warps");

    struct alignas(16) quad {
        float at[4];
    };

    float sums[down][across];

    DEVICE fma_core() {
#pragma unroll
        for (int m = 0; m < down; m++) {
#pragma unroll
            for (int n = 0; n < across; n++) sums[m][n] = 0.0f;
        }
    }

    static DEVICE int first_row(const warp_place<Tile> &at) { return at.m * down * 8 + (int)threadIdx.x % 32 / 4; }
    static DEVICE int first_column(const warp_place<Tile> &at) { return at.n * across * 4 + (int)threadIdx.x % 4; }

    DEVICE void step(const uint8_t *a, const uint8_t *b) {
        const warp_place<Tile> at;
        const int row = first_row(at), column = first_column(at);
#pragma unroll
        for (int turn = 0; turn < turns; turn++) {
            const int chunk = turn * Tile::warps_k + at.k;
            quad x[down], w[across];
#pragma unroll
            for (int m = 0; m < down; m++) {
                x[m] = *reinterpret_cast<const quad *>(a + staged<Tile::bytes>(row + 8 * m, chunk));
            }
#pragma unroll
            for (int n = 0; n < across; n++) {
                w[n] = *reinterpret_cast<const quad *>(b + staged<Tile::bytes>(column + 4 * n, chunk));
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int m = 0; m < down; m++) {
#pragma unroll
                    for (int n = 0; n < across; n++) sums[m][n] = fma_f32(x[m].at[i], w[n].at[i], sums[m][n]);
                }
            }
        }
    }

    DEVICE void place(float *tile) const {
        const warp_place<Tile> at;
        float *const to = tile + at.k * Tile::sum_count + first_row(at) * Tile::sum_pitch + first_column(at);
#pragma unroll
        for (int m = 0; m < down; m++) {
#pragma unroll
            for (int n = 0; n < across; n++) to[8 * m * Tile::sum_pitch + 4 * n] = sums[m][n];
        }
    }
};

/* -- warp groups ----------------------------------------------------------------------------------------------------
 * They multiply from shared memory, one step behind. Each has 64 rows and all columns of the tile. */

#if defined(INGOT_WARP_GROUPS)
template <class T, class Tile> struct group_core {
    typedef typename sum_of<T>::type sum;
    static constexpr int lag = 1, count = Tile::columns / 2;
    static_assert(Tile::bytes == 128 && Tile::rows == 16 * Tile::warps_m && Tile::warps_n == 1 && Tile::warps_k == 1 &&
                      Tile::warps_m % 4 == 0,
                  "a warp group has 64 rows");

    sum sums[count];

    DEVICE group_core() {
#pragma unroll
        for (int i = 0; i < count; i++) sums[i] = 0;
    }

    static DEVICE void publish() { publish_to_groups(); }

    DEVICE void step(const uint8_t *a, const uint8_t *b) {
        const uint8_t *const rows = a + (int)threadIdx.x / 128 * 64 * Tile::bytes;
        group_begin();
#pragma unroll
        for (int k = 0; k < Tile::bytes; k += 32) group_multiply<T>(sums, rows + k, b + k);
        group_commit();
        group_wait<1>();
    }

    DEVICE void finish() {
        group_wait<0>();
        group_settle(sums);
    }

    DEVICE void place(sum *tile) const {
        const int lane = (int)threadIdx.x % 32;
        sum *const to = tile + ((int)threadIdx.x / 32 * 16 + lane / 4) * Tile::sum_pitch + lane % 4 * 2;
#pragma unroll
        for (int i = 0; i < count; i += 4) {
            *reinterpret_cast<sum_pair<sum> *>(to + 2 * i) = {sums[i], sums[i + 1]};
            *reinterpret_cast<sum_pair<sum> *>(to + 2 * i + 8 * Tile::sum_pitch) = {sums[i + 2], sums[i + 3]};
        }
    }
};

template <class Tile> using f16_group_core = group_core<f16, Tile>;
template <class Tile> using bf16_group_core = group_core<bf16, Tile>;
template <class Tile> using s8_group_core = group_core<int8_t, Tile>;
#endif

template <class Tile> using f16_core = mma_core<f16, Tile>;
template <class Tile> using bf16_core = mma_core<bf16, Tile>;
template <class Tile> using tf32_core = mma_core<float, Tile>;
template <class Tile> using s8_core = mma_core<int8_t, Tile>;

} // namespace ingot

#endif
