/* Kernels that show what the emulator does, and mistakes that it must find. */
#include "cuda_device.h"

namespace ingot {

enum mistake {
    NONE,
    NO_BARRIER,
    NO_SECOND_BARRIER,
    NO_WAIT,
    NO_COMMIT,
    OUTSIDE,
    NOT_SHARED,
    NOT_ALIGNED,
    TOO_MUCH,
    TOO_OFTEN
};

template <class T> DEVICE T *data(const ingot_cuda_arg &a) { return static_cast<T *>(a.data); }

/* Rows of 128 numbers, each turned around by its block. */
template <int MISTAKE> struct turn_around {
    static constexpr int threads = 128, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        INGOT_SHARED(float, row, [128]);
        const float *x = data<float>(c.arg[0]) + blockIdx.x * c.arg[0].pitch;
        row[threadIdx.x] = x[threadIdx.x];
        if (MISTAKE != NO_BARRIER) sync_block();
        data<float>(c.arg[1])[blockIdx.x * c.arg[1].pitch + threadIdx.x] = row[127 - threadIdx.x];
    }
};

/* Each block of a cluster gives its 32 numbers to the next one. */
template <int MISTAKE, int CLUSTER> struct pass_on {
    static constexpr int threads = 32, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        INGOT_SHARED(float, row, [32]);
        float *const y = data<float>(c.arg[1]) + blockIdx.x * c.arg[1].pitch;
        const uint32_t next = MISTAKE == OUTSIDE ? CLUSTER : (cluster_rank() + 1) % CLUSTER;
        sync_cluster();
        store_to_block(next, (MISTAKE == NOT_SHARED ? y : row) + threadIdx.x,
                       data<float>(c.arg[0])[blockIdx.x * c.arg[0].pitch + threadIdx.x]);
        if (MISTAKE != NO_BARRIER) sync_cluster();
        y[threadIdx.x] = row[threadIdx.x];
    }
};

/* A box of 64 rows of 32 numbers that a tensor map brings, from row 2 and column 4 of a smaller matrix on. */
template <int MISTAKE> struct box_of_rows {
    static constexpr int threads = 64, blocks = 1;
    using call = mapped_call<2, no_params, 1>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(memory);
        uint64_t *const barrier = reinterpret_cast<uint64_t *>(memory + 2 * 8192);
        if (threadIdx.x == 0) {
            barrier_init(barrier, 1);
            publish_barriers();
        }
        sync_block();
        if (threadIdx.x == 0) {
            copy_box(memory + (MISTAKE == NOT_ALIGNED ? 128 : 0), c.map[0], 4, 2, barrier);
            barrier_expect(barrier, MISTAKE == TOO_MUCH ? 8208 : 8192);
            if (MISTAKE == TOO_OFTEN) barrier_arrive(barrier);
        }
        if (MISTAKE != NO_WAIT) barrier_wait(barrier, 0);
        const float *const row = reinterpret_cast<const float *>(memory) + threadIdx.x * 32;
        for (uint32_t i = 0; i < 32; i++)
            data<float>(c.arg[1])[threadIdx.x * 32 + i] = row[(i / 4 ^ threadIdx.x % 8) * 4 + i % 4];
    }
};

/* y[i] = sum over tiles k of x[k][(i + k) % 64]: tiles come by copies in two stages. */
template <int MISTAKE> struct sum_of_tiles {
    static constexpr int threads = 64, blocks = 1;
    using call = ingot::call<2>;

    static DEVICE void fetch(float *tiles, const ingot_cuda_arg &x, int tile) {
        if (tile < x.dims[0])
            copy_async<4>(tiles + tile % 2 * 64 + threadIdx.x, data<float>(x) + tile * x.pitch + threadIdx.x);
        if (MISTAKE != NO_COMMIT) copy_commit();
    }

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(memory);
        float *tiles = reinterpret_cast<float *>(memory);
        float sum = 0.0f;
        fetch(tiles, c.arg[0], 0);
        for (int k = 0; k < c.arg[0].dims[0]; k++) {
            fetch(tiles, c.arg[0], k + 1);
            if (MISTAKE != NO_WAIT) copy_wait<1>();
            if (MISTAKE != NO_BARRIER) sync_block();
            sum += tiles[k % 2 * 64 + (threadIdx.x + k) % 64];
            if (MISTAKE != NO_SECOND_BARRIER) sync_block();
        }
        data<float>(c.arg[1])[threadIdx.x] = sum;
    }
};

/* Rows of 64 numbers, scaled by constants that are read while other kernels may still run. */
enum early { IN_TIME, NEVER, EARLY_READ, EARLY_COPY, EARLY_WRITE, IN_SOME_BLOCKS };
template <int WHEN> struct scale_rows {
    static constexpr int threads = 64, blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<3>;
    static DEVICE void run(const call &c) {
        INGOT_SHARED(float, row, [64]);
        const float scale = load_constant(data<float>(c.arg[1]) + threadIdx.x);
        const float *x = data<float>(c.arg[0]) + blockIdx.x * c.arg[0].pitch;
        float *y = data<float>(c.arg[2]) + blockIdx.x * c.arg[2].pitch;
        float first = 0.0f;
        if (WHEN == EARLY_READ) first = x[0];
        if (WHEN == EARLY_WRITE) y[threadIdx.x] = first;
        if (WHEN == EARLY_COPY) copy_async<4>(row + threadIdx.x, x + threadIdx.x);
        /* One warp waits, the other for that one: enough. */
        if (WHEN != NEVER && !(WHEN == IN_SOME_BLOCKS && blockIdx.x) && threadIdx.x < 32) await_kernels();
        if (WHEN == NEVER || (WHEN == IN_SOME_BLOCKS && blockIdx.x)) return;
        sync_block();
        if (WHEN != EARLY_COPY) copy_async<4>(row + threadIdx.x, x + threadIdx.x);
        copy_commit();
        copy_wait<0>();
        y[threadIdx.x] = row[threadIdx.x] * scale + (WHEN == EARLY_READ ? first : 0.0f);
    }
};

/* What a launch must not do, one at a time. */
enum harm {
    STORE_BEHIND,
    STORE_BEFORE,
    LOAD_BEHIND,
    STORE_INPUT,
    STORE_PARAMS,
    STORE_NULL,
    SHARED_BEHIND,
    SHARED_BEFORE,
    SHARED_INDEX,
    MISALIGNED,
    MISALIGNED_CONSTANT,
    MISALIGNED_COPY,
    COPY_FROM_SHARED,
    MATRIX_NOT_SHARED,
    DIVERGENT_BLOCK,
    RETURNED_BLOCK,
    HALF_WARP,
    TWO_OPERATIONS,
    WRONG_COUNT,
    TWO_COUNTS,
    SPIN,
    DEEP_STACK,
    DIVIDE,
};

struct alignas(16) sixteen {
    uint32_t at[4];
};

DEVICE int depth(volatile int *below, int left) {
    volatile int here[1024];
    here[left % 1024] = *below;
    return left ? depth(here, left - 1) + here[0] : 0;
}

template <int HARM> struct harmful {
    static constexpr int threads = 64, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(memory);
        INGOT_SHARED(uint32_t, table, [64]);
        uint32_t *x = data<uint32_t>(c.arg[0]), *y = data<uint32_t>(c.arg[1]);
        const int me = (int)threadIdx.x, count = c.arg[1].dims[0];
        uint32_t words[4] = {};
        if (HARM == STORE_BEHIND) y[me + 1] = 1;
        if (HARM == STORE_BEFORE) y[me - 1] = 1;
        if (HARM == LOAD_BEHIND) y[me] = x[me + 1];
        if (HARM == STORE_INPUT) x[me] = 1;
        if (HARM == STORE_PARAMS) const_cast<call &>(c).params.unused[0] = 1;
        if (HARM == STORE_NULL) *reinterpret_cast<volatile uint32_t *>(c.tail.workspace) = 1;
        if (HARM == SHARED_BEHIND) memory[count * 4] = 1;
        if (HARM == SHARED_BEFORE) memory[-1] = 1;
        if (HARM == SHARED_INDEX) table[me + c.arg[0].dims[1]] = 1;
        if (HARM == MISALIGNED) y[me] = reinterpret_cast<sixteen *>(x + 1)->at[0];
        if (HARM == MISALIGNED_CONSTANT) y[me] = load_constant(reinterpret_cast<sixteen *>(x + 1)).at[0];
        if (HARM == MISALIGNED_COPY) copy_async<16>(memory, x + 1);
        if (HARM == COPY_FROM_SHARED) copy_async<4>(memory, table);
        if (HARM == MATRIX_NOT_SHARED) load_matrix_x4(words, x);
        if (HARM == DIVERGENT_BLOCK && me < 32) sync_block();
        if (HARM == RETURNED_BLOCK && me < 8) return;
        if (HARM == RETURNED_BLOCK) sync_block();
        if (HARM == HALF_WARP && me < 16) y[me] = shuffle(x[me], 0);
        if (HARM == TWO_OPERATIONS) {
            if (me % 2)
                sync_warp();
            else
                y[me] = ballot(true);
        }
        if (HARM == WRONG_COUNT) sync_some(1, 48);
        if (HARM == TWO_COUNTS) sync_some(1, me < 32 ? 32 : 64);
        if (HARM == SPIN)
            while (load_volatile(y) == 0xffffffffu) {
            }
        if (HARM == DEEP_STACK) y[me] = (uint32_t)depth(reinterpret_cast<int *>(words), 4096);
        if (HARM == DIVIDE) y[me] = (uint32_t)(me / (c.arg[0].dims[1] - 1));
    }
};

/* Each warp of 64 threads at its own barrier turns 32 numbers around; then both exchange. */
struct named_barriers {
    static constexpr int threads = 64, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        INGOT_SHARED(float, row, [64]);
        INGOT_SHARED(float, turned, [64]);
        const int me = (int)threadIdx.x, warp = me / 32, lane = me % 32;
        row[me] = data<float>(c.arg[0])[me];
        sync_some(1 + warp, 32);
        turned[me] = row[warp * 32 + 31 - lane];
        sync_some(15, 64);
        data<float>(c.arg[1])[me] = turned[(1 - warp) * 32 + lane];
    }
};

/* One warp; y is [6][32]. */
struct exchange {
    static constexpr int threads = 32, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        const int lane = (int)threadIdx.x;
        const int32_t x = data<int32_t>(c.arg[0])[lane];
        int32_t *y = data<int32_t>(c.arg[1]) + lane;
        y[0] = shuffle(x, (lane + 3) % 32);
        y[32] = shuffle_xor(x, 5);
        y[64] = shuffle_down(x, 4);
        y[96] = shuffle_up(x, 4);
        y[128] = (int32_t)ballot(x > 10);
        y[160] = bits_of(shuffle((float)x, 7)) == bits_of((float)shuffle(x, 7));
    }
};

struct last_block {
    static constexpr int threads = 32, blocks = 1;
    using call = ingot::call<1>;
    static DEVICE void run(const call &c) { data<uint32_t>(c.arg[0])[threadIdx.x] = blockIdx.x; }
};

/* d [16][8] = a [16][K] b [K][8] + c; a and b, whose columns lie behind each other ([8][K]), come by load_matrix. */
template <class T> struct product {
    static constexpr int threads = 32, blocks = 1;
    static constexpr int row = 32; /* bytes of a row of a and of a column of b */
    using sum = typename T::sum;
    using call = ingot::call<4>;
    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(memory);
        unsigned char *a = memory, *b = memory + 16 * row;
        const int lane = (int)threadIdx.x;
        copy_async<16>(a + lane * 16, data<unsigned char>(c.arg[0]) + lane * 16);
        if (lane < 16) copy_async<16>(b + lane * 16, data<unsigned char>(c.arg[1]) + lane * 16);
        copy_commit();
        copy_wait<0>();
        sync_warp();
        uint32_t wa[4], wb[2];
        load_matrix_x4(wa, a + lane % 16 * row + lane / 16 * 16);
        load_matrix_x2(wb, b + lane % 8 * row + lane / 8 % 2 * 16);
        sum d[4];
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) d[i] = data<sum>(c.arg[2])[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
        T::apply(d, wa, wb);
        for (int i = 0; i < 4; i++) data<sum>(c.arg[3])[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
    }
};
template <class H> struct of_half {
    using sum = float;
    static DEVICE void apply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply<H>(d, a, b); }
};
struct of_tf32 {
    using sum = float;
    static DEVICE void apply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply_tf32(d, a, b); }
};
struct of_s8 {
    using sum = int32_t;
    static DEVICE void apply(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { multiply_s8(d, a, b); }
};

/* y[i][j] = x[j][i] for 16-bit x [16][16]: one matrix is a quarter. */
struct transpose16 {
    static constexpr int threads = 32, blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(memory);
        const int lane = (int)threadIdx.x, g = lane / 4, t = lane % 4;
        copy_async<16>(memory + lane * 16, data<unsigned char>(c.arg[0]) + lane * 16);
        copy_commit();
        copy_wait<0>();
        sync_warp();
        uint32_t words[4];
        load_matrix_x4_transposed(words, memory + lane % 16 * 32 + lane / 16 * 16);
        for (int m = 0; m < 4; m++) {
            const int rows = m % 2 * 8, columns = m / 2 * 8;
            data<uint32_t>(c.arg[1])[((columns + g) * 16 + rows) / 2 + t] = words[m];
        }
    }
};

/* Halves to floats, floats to halves and tf32. */
struct conversions {
    static constexpr int threads = 256, blocks = 1;
    using call = ingot::call<7>;
    static DEVICE void run(const call &c) {
        const uint32_t i = blockIdx.x * threads + threadIdx.x;
        const float x = data<float>(c.arg[1])[i];
        data<float>(c.arg[2])[i] = to_float(f16{data<uint16_t>(c.arg[0])[i]});
        data<float>(c.arg[3])[i] = to_float(bf16{data<uint16_t>(c.arg[0])[i]});
        data<uint16_t>(c.arg[4])[i] = (uint16_t)pack2<f16>(x, 0.0f);
        data<uint16_t>(c.arg[5])[i] = (uint16_t)(pack2<bf16>(0.0f, x) >> 16);
        data<uint32_t>(c.arg[6])[i] = to_tf32(x);
    }
};

} // namespace ingot
