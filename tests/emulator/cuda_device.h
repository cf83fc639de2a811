/* kernels/common/cuda_device.h for the host: the same functions with the same meaning, so that every CUDA kernel also
 * compiles as C++17 and is tested where there is no GPU. machine.cpp runs what this makes.
 *
 * Where the device leaves something open, this is unkind: approximations have the device's largest error, memory that
 * nobody wrote is poisoned, a copy under way has not arrived, threads run in any order. */
#ifndef INGOT_CUDA_DEVICE_H
#define INGOT_CUDA_DEVICE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_call.h"
#include "machine.h"
#include "numbers.h"

#define DEVICE inline
#define DEVICE_CALL inline

#ifndef __FMA__
#define __FMA__ 1 /* fmaf of libm is rounded once too */
#endif
#define _Static_assert static_assert

#define INGOT_DYNAMIC_SHARED(name) unsigned char *const name = ingot::machine->dynamic_shared()
#define INGOT_SHARED(type, name, extents)                                                                              \
    typedef type name##_type extents;                                                                                  \
    static uint32_t name##_place;                                                                                      \
    name##_type &name =                                                                                                \
        *reinterpret_cast<name##_type *>(ingot::machine->static_shared(&name##_place, sizeof(name##_type)))

#define INGOT_CLUSTERS 1
#define __cluster_dims__(x, y, z) x
#ifndef INGOT_ENTRY_CLUSTER
#define INGOT_ENTRY_CLUSTER 1
#endif
#define INGOT_CUDA_ENTRY(name, ...)                                                                                    \
    extern "C" __attribute__((visibility("default")))                                                                  \
    const ingot_emulated_kernel name = {(__VA_ARGS__::threads),                                                        \
                                        (__VA_ARGS__::blocks),                                                         \
                                        ingot::waits_itself<__VA_ARGS__>::value,                                       \
                                        INGOT_ENTRY_CLUSTER,                                                           \
                                        sizeof(__VA_ARGS__::call),                                                     \
                                        [](const void *call) {                                                         \
                                            if constexpr (!ingot::waits_itself<__VA_ARGS__>::value)                    \
                                                ingot::await_kernels();                                                \
                                            __VA_ARGS__::run(*static_cast<const __VA_ARGS__::call *>(call));           \
                                        },                                                                             \
                                        &ingot::machine,                                                               \
                                        &ingot::position};

namespace ingot {

static const ingot_machine *machine;
static ingot_emulated_position position;

} // namespace ingot

static const ingot_emulated_index &threadIdx = ingot::position.thread, &blockIdx = ingot::position.block,
                                  &blockDim = ingot::position.threads, &gridDim = ingot::position.blocks;

/* What -fsanitize puts into the code; the first thing each is given says where. */
struct ingot_emulated_place {
    const char *file;
    uint32_t line, column;
};
static void ingot_emulated_undefined(const void *at, const char *what) {
    const ingot_emulated_place *place = static_cast<const ingot_emulated_place *>(at);
    char text[512];
    __builtin_snprintf(text, sizeof text, "%s:%u: %s", place->file, place->line, what);
    ingot::machine->fail(text);
}
extern "C" {
inline __attribute__((used)) void __ubsan_handle_type_mismatch_v1(void *at, uintptr_t p) {
    ingot_emulated_undefined(at, p ? "an address that is not aligned to its type" : "an access to NULL");
}
inline __attribute__((used)) void __ubsan_handle_out_of_bounds(void *at, uintptr_t) {
    ingot_emulated_undefined(at, "an index outside of its array");
}
inline __attribute__((used)) void __ubsan_handle_divrem_overflow(void *at, uintptr_t, uintptr_t) {
    ingot_emulated_undefined(at, "a division by zero, or whose result does not fit");
}
inline __attribute__((used)) void __ubsan_handle_shift_out_of_bounds(void *at, uintptr_t, uintptr_t) {
    ingot_emulated_undefined(at, "a shift by more than the bits there are");
}
}

namespace ingot {

struct no_params {
    uint32_t unused[4];
};

template <int N, class Params = no_params> struct call {
    static constexpr int operands = N;
    ingot_cuda_arg arg[N];
    ingot_cuda_tail tail;
    alignas(16) Params params;
};

struct alignas(64) tensor_map {
    uint8_t opaque[128];
};
static_assert(sizeof(tensor_map) == sizeof(ingot_emulated_map));

template <int N, class Params, int MAPS> struct mapped_call {
    static constexpr int operands = N;
    ingot_cuda_arg arg[N];
    ingot_cuda_tail tail;
    alignas(16) Params params;
    tensor_map map[MAPS];
};

/* -- overlap ------------------------------------------------------------------------------------------------------- */

DEVICE void await_kernels() { machine->await_kernels(); }

template <class Kernel, class = void> struct waits_itself { static constexpr bool value = false; };
template <class Kernel> struct waits_itself<Kernel, decltype((void)Kernel::waits_itself)> {
    static constexpr bool value = Kernel::waits_itself;
};

/* -- element types ------------------------------------------------------------------------------------------------- */

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(f16 x) { return ingot_emulated_of_f16(x.bits); }
DEVICE float to_float(bf16 x) { return ingot_emulated_of_bf16(x.bits); }

template <class T> DEVICE T from_float(float x);
template <> DEVICE float from_float<float>(float x) { return x; }
template <> DEVICE f16 from_float<f16>(float x) { return {ingot_emulated_f16(x)}; }
template <> DEVICE bf16 from_float<bf16>(float x) { return {ingot_emulated_bf16(x)}; }

template <class T> DEVICE uint32_t pack2(float low, float high);
template <> DEVICE uint32_t pack2<f16>(float low, float high) {
    return ingot_emulated_f16(low) | (uint32_t)ingot_emulated_f16(high) << 16;
}
template <> DEVICE uint32_t pack2<bf16>(float low, float high) {
    return ingot_emulated_bf16(low) | (uint32_t)ingot_emulated_bf16(high) << 16;
}

DEVICE uint32_t to_tf32(float x) { return ingot_emulated_tf32(x); }

/* -- arithmetic with one meaning everywhere ------------------------------------------------------------------------ */

DEVICE float fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float div_f32(float a, float b) { return a / b; }
DEVICE float sqrt_f32(float x) { return __builtin_sqrtf(x); }
/* The larger one; the number, where the other one is none. */
DEVICE float max_f32(float a, float b) { return __builtin_fmaxf(a, b); }
/* float64, within some ulp of the exact number. */
DEVICE double exp_f64(double x) { return __builtin_exp(x); }
DEVICE double log_f64(double x) { return __builtin_log(x); }
DEVICE double pow_f64(double x, double y) { return __builtin_pow(x, y); }
DEVICE uint32_t bits_of(float x) { return ingot_emulated_bits(x); }
DEVICE float float_of(uint32_t bits) { return ingot_emulated_float(bits); }
DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t which) {
    uint32_t y = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t from = which >> (4 * i) & 7;
        y |= ((from < 4 ? a >> (8 * from) : b >> (8 * (from - 4))) & 255u) << (8 * i);
    }
    return y;
}
/* The same number, of which the compiler of the device knows nothing. */
DEVICE int opaque(int x) { return x; }
/* The larger and the smaller of two numbers, NaN where one is. */
DEVICE float max_or_nan(float a, float b) { return a != a || b != b ? float_of(0x7fffffffu) : a > b ? a : b; }
DEVICE float min_or_nan(float a, float b) { return a != a || b != b ? float_of(0x7fffffffu) : a < b ? a : b; }
/* The nearest whole number, ties to even; 0 of NaN, and the last there is of what is larger. */
DEVICE int32_t nearest_s32(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0f) return INT32_MAX;
    if (x <= -2147483648.0f) return INT32_MIN;
    return (int32_t)__builtin_rintf(x);
}
DEVICE int32_t saturate_s8(int32_t x) { return x < -128 ? -128 : x > 127 ? 127 : x; }
/* Four numbers as signed bytes, which saturate, the first in the lowest. */
DEVICE uint32_t pack4_s8(int32_t a, int32_t b, int32_t c, int32_t d) {
    const uint8_t bytes[4] = {(uint8_t)saturate_s8(a), (uint8_t)saturate_s8(b), (uint8_t)saturate_s8(c),
                              (uint8_t)saturate_s8(d)};
    uint32_t y;
    memcpy(&y, bytes, 4);
    return y;
}
/* c + the four products of signed bytes. */
DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
    uint32_t sum = (uint32_t)c;
    for (int i = 0; i < 32; i += 8) sum += (uint32_t)((int8_t)(a >> i) * (int8_t)(b >> i));
    return (int32_t)sum;
}

/* -- fast, within some ulp: for FP16 and "fast" tactics alone ------------------------------------------------------ */

/* The last bits of an approximation are nobody's business; tiny numbers are zero. */
DEVICE float approximate(float x, int bits) {
    if (x != x) return float_of(0x7fffffffu);
    const uint32_t kept = bits_of(x) & ~((1u << bits) - 1u);
    return float_of((kept & 0x7f800000u) == 0 ? kept & 0x80000000u : kept);
}
DEVICE float exp2_fast(float x) { return approximate(__builtin_exp2f(approximate(x, 0)), 1); }
DEVICE float reciprocal_fast(float x) { return approximate(1.0f / approximate(x, 0), 1); }
DEVICE float rsqrt_fast(float x) { return approximate(1.0f / __builtin_sqrtf(approximate(x, 0)), 1); }
DEVICE float tanh_fast(float x) { return approximate(__builtin_tanhf(x), 12); }

/* -- threads of a block, lanes of a warp --------------------------------------------------------------------------- */

/* The last arguments say where the call stands. */
DEVICE void sync_block(const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->sync_block({file, line});
}
DEVICE void sync_warp(const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->sync_warp({file, line});
}
DEVICE void sync_some(int barrier, int count, const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->sync_some({file, line}, barrier, count);
}

template <class T> DEVICE T shuffle_by(T x, ingot_shuffle how, int by) {
    static_assert(sizeof(T) == 4, "shuffles move 4 bytes");
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = machine->shuffle(bits, how, by);
    memcpy(&x, &bits, 4);
    return x;
}
template <class T> DEVICE T shuffle(T x, int lane) { return shuffle_by(x, INGOT_SHUFFLE_LANE, lane); }
template <class T> DEVICE T shuffle_xor(T x, int mask) { return shuffle_by(x, INGOT_SHUFFLE_XOR, mask); }
template <class T> DEVICE T shuffle_down(T x, int delta) { return shuffle_by(x, INGOT_SHUFFLE_DOWN, delta); }
template <class T> DEVICE T shuffle_up(T x, int delta) { return shuffle_by(x, INGOT_SHUFFLE_UP, delta); }
DEVICE uint32_t ballot(bool condition) { return machine->ballot(condition); }
DEVICE uint32_t count_bits(uint32_t x) { return (uint32_t)__builtin_popcount(x); }

/* -- memory -------------------------------------------------------------------------------------------------------- */

template <class T> DEVICE T load_constant(const T *p) {
    static_assert(sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16);
    machine->check_global(p, sizeof(T));
    return *p;
}

template <class T> DEVICE T load_input(const T *p) { return load_constant(p); }

DEVICE void fence_device() {}
DEVICE uint32_t atomic_add(uint32_t *p, uint32_t x) {
    const uint32_t before = *p;
    *p = before + x;
    return before;
}
DEVICE uint32_t load_volatile(const uint32_t *p) {
    machine->poll();
    return *p;
}
DEVICE void store_volatile(uint32_t *p, uint32_t x) { *p = x; }

DEVICE uint32_t shared_address(const void *p) { return machine->shared_address(p); }

template <int BYTES> DEVICE void copy_async(void *to, const void *from, int there = BYTES) {
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16);
    machine->copy_async(to, from, BYTES, there);
}
DEVICE void copy_commit() { machine->copy_commit(); }
template <int N> DEVICE void copy_wait(const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->copy_wait({file, line}, N);
}

/* -- tensor cores -------------------------------------------------------------------------------------------------- */

DEVICE void load_matrix_x4(uint32_t (&d)[4], const void *row) { machine->load_matrix(d, 4, row, false); }
DEVICE void load_matrix_x4_transposed(uint32_t (&d)[4], const void *row) { machine->load_matrix(d, 4, row, true); }
DEVICE void load_matrix_x2(uint32_t (&d)[2], const void *row) { machine->load_matrix(d, 2, row, false); }

template <class T> DEVICE void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <> DEVICE void multiply<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    machine->multiply(INGOT_PRODUCT_F16, d, a, b);
}
template <> DEVICE void multiply<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    machine->multiply(INGOT_PRODUCT_BF16, d, a, b);
}
DEVICE void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    machine->multiply(INGOT_PRODUCT_TF32, d, a, b);
}
DEVICE void multiply_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    machine->multiply(INGOT_PRODUCT_S8, d, a, b);
}

/* -- warp groups --------------------------------------------------------------------------------------------------- */

#define INGOT_WARP_GROUPS 1

/* Each thread makes its own sums, when it waits for them. */
DEVICE void publish_to_groups() {}
DEVICE void group_begin() {}
DEVICE void group_commit() { machine->group_commit(); }
template <int N> DEVICE void group_wait(const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->group_wait({file, line}, N);
}
template <class S, int N> DEVICE void group_settle(S (&)[N]) {}

/* Element `i` of the 32 bytes of row `row` behind `first`, in memory that is swizzled by the low bits of rows. */
template <class T> DEVICE T group_element(const void *first, int row, int i) {
    const uintptr_t at = (uintptr_t)first, rows = at & ~(uintptr_t)127; /* of the first row */
    const uintptr_t chunk = (at & 127) / 16 + (uintptr_t)i * sizeof(T) / 16;
    T x;
    memcpy(&x,
           (const void *)(rows + (uintptr_t)row * 128 + ((chunk ^ (uintptr_t)(row & 7)) * 16) +
                          (uintptr_t)i * sizeof(T) % 16),
           sizeof x);
    return x;
}

template <class T, class S, int N> DEVICE void group_product(void *sums, const void *a, const void *b) {
    S *d = static_cast<S *>(sums);
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32 % 4;
    for (int j = 0; j < N; j++) {
        const int row = 16 * warp + lane / 4 + (j & 2) * 4, column = j / 4 * 8 + lane % 4 * 2 + (j & 1);
        for (int k = 0; k < 32 / (int)sizeof(T); k++) {
            const T x = group_element<T>(a, row, k), w = group_element<T>(b, column, k);
            if constexpr (sizeof(T) == 1) {
                d[j] = (S)((uint32_t)d[j] + (uint32_t)(x * w));
            } else {
                d[j] += to_float(x) * to_float(w);
            }
        }
    }
}

template <class T, class S, int N> DEVICE void group_multiply(S (&d)[N], const void *a, const void *b) {
    machine->group_multiply(group_product<T, S, N>, d, a, b, false);
}

/* The two rows of a lane, each of sixteen elements, which are spread over the lanes of four. */
template <class T> struct group_rows { T row[2][16]; };
template <class T> DEVICE void group_product_turned(void *sums, const void *a, const void *b) {
    float *d = static_cast<float *>(sums);
    const group_rows<T> &rows = *static_cast<const group_rows<T> *>(a);
    for (int j = 0; j < 32; j++) {
        const int column = j / 4 * 8 + (int)threadIdx.x % 4 * 2 + (j & 1);
        for (int k = 0; k < 16; k++) {
            d[j] += to_float(rows.row[j / 2 % 2][k]) * to_float(group_element<T>(b, k, column));
        }
    }
}
template <class T> DEVICE void group_multiply_turned(float (&d)[32], const uint32_t (&a)[4], const void *b) {
    group_rows<T> *const rows = static_cast<group_rows<T> *>(malloc(sizeof(group_rows<T>)));
    for (int i = 0; i < 4; i++) {
        for (int t = 0; t < 4; t++) {
            const uint32_t both = shuffle(a[i], (int)threadIdx.x % 32 / 4 * 4 + t);
            memcpy(&rows->row[i % 2][i / 2 * 8 + 2 * t], &both, sizeof both);
        }
    }
    machine->group_multiply(group_product_turned<T>, d, rows, b, true);
}

/* -- boxes of tensors, barriers in shared memory ------------------------------------------------------------------- */

DEVICE void barrier_init(uint64_t *barrier, int arrivals) { machine->barrier_init(barrier, arrivals); }
DEVICE void publish_barriers() {}
DEVICE void barrier_arrive(uint64_t *barrier) { machine->barrier_arrive(barrier, 0); }
DEVICE void barrier_expect(uint64_t *barrier, int bytes) { machine->barrier_arrive(barrier, bytes); }
DEVICE void barrier_wait(uint64_t *barrier, uint32_t parity, const char *file = __builtin_FILE(),
                         uint32_t line = __builtin_LINE()) {
    machine->barrier_wait({file, line}, barrier, parity);
}
DEVICE void copy_box(void *to, const tensor_map &map, int column, int row, uint64_t *barrier) {
    machine->copy_box(to, &map, column, row, barrier);
}
DEVICE void prefetch_map(const tensor_map &) {}
template <int N> DEVICE void fewer_registers() {}
template <int N> DEVICE void more_registers() {}

/* -- clusters ------------------------------------------------------------------------------------------------------ */

DEVICE uint32_t cluster_rank() { return machine->cluster_rank(); }
DEVICE void store_to_block(uint32_t rank, float *p, float x) { *static_cast<float *>(machine->memory_of(rank, p)) = x; }
template <class T> DEVICE T load_16_from_block(uint32_t rank, const T *p) {
    static_assert(sizeof(T) == 16, "four words");
    return *static_cast<const T *>(machine->memory_of(rank, p));
}
DEVICE void sync_cluster(const char *file = __builtin_FILE(), uint32_t line = __builtin_LINE()) {
    machine->sync_cluster({file, line});
}

} // namespace ingot

#endif
