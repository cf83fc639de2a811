/* Everything that CUDA kernels need of the machine, and the only file with inline PTX. tests/emulator has a header of
 * the same name for the host, with the same functions: kernels use no other built-in than threadIdx, blockIdx,
 * blockDim, gridDim and what stands here.
 *
 * A kernel is a class:
 *
 *     template <int TILE> struct copy_rows {
 *         static constexpr int threads = 128;   // of a block, 1-D
 *         static constexpr int blocks = 1;      // that the compiler must leave room for on a multiprocessor
 *         using call = ingot::call<2, ingot_copy_params>;  // operands (inputs, then outputs), parameter struct
 *         static DEVICE void run(const call &c) { ... }
 *     };
 *
 * and a compiled instance is INGOT_CUDA_ENTRY(name, ingot::copy_rows<4>). Kernels are right for any grid that the
 * operator's `launch` could give, read what the operands' extents say and never trust the grid for bounds.
 *
 * From sm_90 on a kernel may start while those it waits for still run (docs/cuda.md, "Overlap"). The entry point waits
 * for their end before `run`; a kernel that has something to do with constants alone says `static constexpr bool
 * waits_itself = true` and calls await_kernels itself. */
#ifndef INGOT_CUDA_DEVICE_H
#define INGOT_CUDA_DEVICE_H

#include <stdint.h>

#include "cuda_call.h"

#define DEVICE __device__ __forceinline__
/* What is large, used in many places, and waited for in none. */
#define DEVICE_CALL __device__ __noinline__

/* What the headers that kernels share with C use of gcc's and clang's built-ins, and of C11. Their functions become
 * device functions by --device-as-default-execution-space. */
#define __builtin_sqrtf(x) __fsqrt_rn(x)
#define __builtin_sqrt(x) __dsqrt_rn(x)
#define __builtin_floor(x) floor(x)
#define __builtin_rint(x) rint(x)
#define __builtin_fmaf(a, b, c) __fmaf_rn(a, b, c)
#define __builtin_fma(a, b, c) __fma_rn(a, b, c)
#define __builtin_inff() __int_as_float(0x7f800000)
#define __builtin_nanf(text) __int_as_float(0x7fc00000)
#define __FMA__ 1 /* rounded once */
#define _Static_assert static_assert

/* Dynamic shared memory of the block, as much as the launch says; aligned to 1024 bytes where there is no other. */
#define INGOT_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
/* A variable of the block: INGOT_SHARED(float, sums, [32]). */
#define INGOT_SHARED(type, name, extents) __shared__ __align__(16) type name extents

/* What a source that is for clusters of blocks, on sm_90a, defines before the entry: __cluster_dims__(2, 1, 1). */
#ifndef INGOT_ENTRY_CLUSTER
#define INGOT_ENTRY_CLUSTER
#endif

#define INGOT_CUDA_ENTRY(name, ...)                                                                                    \
    extern "C" __global__ void INGOT_ENTRY_CLUSTER __launch_bounds__((__VA_ARGS__::threads), (__VA_ARGS__::blocks))    \
        name(const __grid_constant__ __VA_ARGS__::call call) {                                                         \
        if constexpr (!ingot::waits_itself<__VA_ARGS__>::value) ingot::await_kernels();                                \
        __VA_ARGS__::run(call);                                                                                        \
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

/* What the driver says of an operand, for copy_box. */
struct alignas(64) tensor_map {
    uint8_t opaque[128];
};

/* The same with maps of the first operands behind the parameters: of a family with `mapped` (kernel.h). */
template <int N, class Params, int MAPS> struct mapped_call {
    static constexpr int operands = N;
    ingot_cuda_arg arg[N];
    ingot_cuda_tail tail;
    alignas(16) Params params;
    tensor_map map[MAPS];
};

/* -- overlap ------------------------------------------------------------------------------------------------------- */

/* Waits until the kernels before this one have ended, and with them all that those waited for: what they wrote is
 * there, what they read may be overwritten. Before it a kernel may touch shared memory and constants of the file,
 * nothing else. At least one thread of each block calls it, and what others touch is behind a barrier behind that call.
 * Kernels behind this one may start from now on: they wait for its end. */
DEVICE void await_kernels() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

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
DEVICE float to_float(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}
DEVICE float to_float(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

/* To nearest, ties to even. */
template <class T> DEVICE T from_float(float x);
template <> DEVICE float from_float<float>(float x) { return x; }
template <> DEVICE f16 from_float<f16>(float x) {
    f16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}
template <> DEVICE bf16 from_float<bf16>(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

/* Two numbers in one word, the first in the low half. */
template <class T> DEVICE uint32_t pack2(float low, float high);
template <> DEVICE uint32_t pack2<f16>(float low, float high) {
    uint32_t y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
template <> DEVICE uint32_t pack2<bf16>(float low, float high) {
    uint32_t y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

/* The nearest number that tensor cores take as tf32, ties away from zero. */
DEVICE uint32_t to_tf32(float x) {
    uint32_t y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}

/* -- arithmetic with one meaning everywhere ------------------------------------------------------------------------ */

DEVICE float fma_f32(float a, float b, float c) { return __fmaf_rn(a, b, c); }
DEVICE float div_f32(float a, float b) { return __fdiv_rn(a, b); }
DEVICE float sqrt_f32(float x) { return __fsqrt_rn(x); }
/* The larger one; the number, where the other one is none. */
DEVICE float max_f32(float a, float b) { return fmaxf(a, b); }
/* float64, within some ulp of the exact number. */
DEVICE double exp_f64(double x) { return exp(x); }
DEVICE double log_f64(double x) { return log(x); }
DEVICE double pow_f64(double x, double y) { return pow(x, y); }
DEVICE uint32_t bits_of(float x) { return __float_as_uint(x); }
DEVICE float float_of(uint32_t bits) { return __uint_as_float(bits); }
/* The bytes of a (0 to 3) and b (4 to 7) that the nibbles of `which` name, the lowest first. */
DEVICE uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t which) { return __byte_perm(a, b, which); }
/* The same number, of which the compiler knows nothing. */
DEVICE int opaque(int x) {
    asm volatile("" : "+r"(x));
    return x;
}
/* The larger and the smaller of two numbers, NaN where one is. */
DEVICE float max_or_nan(float a, float b) {
    float y;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
    return y;
}
DEVICE float min_or_nan(float a, float b) {
    float y;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
    return y;
}
/* The nearest whole number, ties to even; 0 of NaN, and the last there is of what is larger. */
DEVICE int32_t nearest_s32(float x) {
    int32_t y;
    asm("cvt.rni.s32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}
/* Four numbers as signed bytes, which saturate, the first in the lowest. */
DEVICE uint32_t pack4_s8(int32_t a, int32_t b, int32_t c, int32_t d) {
    uint32_t high, y;
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(d), "r"(c));
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(y) : "r"(b), "r"(a), "r"(high));
    return y;
}
/* c + the four products of signed bytes. */
DEVICE int32_t dot4(uint32_t a, uint32_t b, int32_t c) {
    int32_t d;
    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

/* -- fast, within some ulp: for FP16 and "fast" tactics alone ------------------------------------------------------ */

DEVICE float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float reciprocal_fast(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float rsqrt_fast(float x) {
    float y;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
DEVICE float tanh_fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* -- threads of a block, lanes of a warp --------------------------------------------------------------------------- */

DEVICE void sync_block() { __syncthreads(); }
/* Lanes of a warp wait for each other, and see what each has written to memory. All 32 take part. */
DEVICE void sync_warp() { __syncwarp(); }
/* `count` threads (a multiple of 32), which name the same barrier 1..15, wait for each other. */
DEVICE void sync_some(int barrier, int count) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(count) : "memory");
}

/* The value of another lane; all 32 take part. T has 4 bytes. */
template <class T> DEVICE T shuffle(T x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }
template <class T> DEVICE T shuffle_xor(T x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
template <class T> DEVICE T shuffle_down(T x, int delta) { return __shfl_down_sync(0xffffffffu, x, delta); }
template <class T> DEVICE T shuffle_up(T x, int delta) { return __shfl_up_sync(0xffffffffu, x, delta); }
DEVICE uint32_t ballot(bool condition) { return __ballot_sync(0xffffffffu, condition); }
/* How many bits are set. */
DEVICE uint32_t count_bits(uint32_t x) { return (uint32_t)__popc(x); }

/* -- memory -------------------------------------------------------------------------------------------------------- */

/* Reads what nobody writes while the kernel lives: constants of the file. T has 1, 2, 4, 8 or 16 bytes and p is aligned
 * to them. */
template <class T> DEVICE T load_constant(const T *p) {
    if constexpr (sizeof(T) == 16) {
        const uint4 v = __ldg(reinterpret_cast<const uint4 *>(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 8) {
        const uint2 v = __ldg(reinterpret_cast<const uint2 *>(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 4) {
        const uint32_t v = __ldg(reinterpret_cast<const unsigned int *>(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 2) {
        const uint16_t v = __ldg(reinterpret_cast<const unsigned short *>(p));
        return *reinterpret_cast<const T *>(&v);
    } else {
        const uint8_t v = __ldg(reinterpret_cast<const unsigned char *>(p));
        return *reinterpret_cast<const T *>(&v);
    }
}

/* The same of what kernels before this one may have written, behind await_kernels: they may still run when this one
 * starts, so for the compiler it is no constant. */
template <class T> DEVICE T load_input(const T *p) {
#if __CUDA_ARCH__ >= 900
    if constexpr (sizeof(T) == 16) {
        uint4 v;
        asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 8) {
        uint2 v;
        asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 4) {
        uint32_t v;
        asm volatile("ld.global.u32 %0, [%1];" : "=r"(v) : "l"(p));
        return *reinterpret_cast<const T *>(&v);
    } else if constexpr (sizeof(T) == 2) {
        uint16_t v;
        asm volatile("ld.global.u16 %0, [%1];" : "=h"(v) : "l"(p));
        return *reinterpret_cast<const T *>(&v);
    } else {
        uint32_t v;
        asm volatile("ld.global.u8 %0, [%1];" : "=r"(v) : "l"(p));
        const uint8_t byte = (uint8_t)v;
        return *reinterpret_cast<const T *>(&byte);
    }
#else
    return load_constant(p);
#endif
}

/* Between threads of different blocks of one launch: what was written before is seen by whoever sees what comes later.
 */
DEVICE void fence_device() { __threadfence(); }
/* Adds and gives what was there: for counters alone, never for floating-point sums (D1). */
DEVICE uint32_t atomic_add(uint32_t *p, uint32_t x) { return atomicAdd(p, x); }
/* Reads and writes that are not kept in a register or the first-level cache. */
DEVICE uint32_t load_volatile(const uint32_t *p) { return *reinterpret_cast<const volatile uint32_t *>(p); }
DEVICE void store_volatile(uint32_t *p, uint32_t x) { *reinterpret_cast<volatile uint32_t *>(p) = x; }

DEVICE uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

/* Starts a copy of BYTES (4, 8 or 16) from global to shared memory, both aligned to them; of the source only the first
 * `there` bytes are read, the rest becomes zero. `from` must be a valid address even when `there` is 0. */
template <int BYTES> DEVICE void copy_async(void *to, const void *from, int there = BYTES) {
    if constexpr (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(there)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES),
                     "r"(there)
                     : "memory");
    }
}
/* Ends the group of the copies started since the last one, by this thread. */
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most N groups of this thread are under way. Others see the bytes after sync_block. */
template <int N> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

/* -- tensor cores -------------------------------------------------------------------------------------------------- */

/* Four 8x8 matrices of 16-bit elements: lane i gives the address of row i % 8 of matrix i / 8, and gets of each matrix
 * the elements 2 (i % 4) and the next of row i / 4. All lanes of the warp take part; addresses are aligned to 16. */
DEVICE void load_matrix_x4(uint32_t (&d)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row))
                 : "memory");
}
/* The same of transposed matrices: elements of column i / 4. */
DEVICE void load_matrix_x4_transposed(uint32_t (&d)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void load_matrix_x2(uint32_t (&d)[2], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(d[0]), "=r"(d[1])
                 : "r"(shared_address(row))
                 : "memory");
}

/* d += a b for a [16][K], b [K][8], d [16][8], spread over the lanes as the PTX manual says (mma.m16n8k*): with
 * g = lane / 4 and t = lane % 4 d holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). K is 16 for f16 and bf16,
 * 8 for tf32, 32 for signed bytes. */
template <class T> DEVICE void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <> DEVICE void multiply<f16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <> DEVICE void multiply<bf16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void multiply_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void multiply_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* -- warp groups: four warps that multiply from shared memory, on sm_90a ------------------------------------------- */

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define INGOT_WARP_GROUPS 1

/* What this thread wrote to shared memory, by asynchronous copies too, is there for warp groups; others see it after
 * sync_block. */
DEVICE void publish_to_groups() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
/* Before the first product, and after sums were touched otherwise. */
DEVICE void group_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/* Ends the group of the products started since the last one. */
DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/* Waits until at most N groups are under way. */
template <int N> DEVICE void group_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
/* Sums are not looked at before this. */
template <int N> DEVICE void group_settle(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i])::"memory");
}
template <int N> DEVICE void group_settle(int32_t (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+r"(d[i])::"memory");
}
/* Operands in registers are not written before this. */
template <int N> DEVICE void group_settle(uint32_t (&a)[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+r"(a[i])::"memory");
}

/* Rows of 128 bytes, of which eight each begin at a multiple of 1024; chunks of 16 bytes of row r lie where their
 * number xor r % 8 says. */
DEVICE uint64_t group_operand(const void *first) {
    const uint64_t rows = 1024 >> 4, swizzled = 1;
    return (shared_address(first) & 0x3ffffu) >> 4 | 1u << 16 | rows << 32 | swizzled << 62;
}

#define INGOT_SUM_4(d, t, i) "+" t(d[i]), "+" t(d[i + 1]), "+" t(d[i + 2]), "+" t(d[i + 3])
#define INGOT_SUM_16(d, t, i)                                                                                          \
    INGOT_SUM_4(d, t, i), INGOT_SUM_4(d, t, i + 4), INGOT_SUM_4(d, t, i + 8), INGOT_SUM_4(d, t, i + 12)
#define INGOT_SUM_32(d, t) INGOT_SUM_16(d, t, 0), INGOT_SUM_16(d, t, 16)
#define INGOT_SUM_64(d, t) INGOT_SUM_32(d, t), INGOT_SUM_16(d, t, 32), INGOT_SUM_16(d, t, 48)
#define INGOT_SUM_128(d, t)                                                                                            \
    INGOT_SUM_64(d, t), INGOT_SUM_16(d, t, 64), INGOT_SUM_16(d, t, 80), INGOT_SUM_16(d, t, 96), INGOT_SUM_16(d, t, 112)
#define INGOT_SUM_NAMES_32                                                                                             \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                                           \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define INGOT_SUM_AFTER_32 "%32, %33"
#define INGOT_SUM_NAMES_64                                                                                             \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                                           \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"                                                 \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                                                 \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define INGOT_SUM_AFTER_64 "%64, %65"
#define INGOT_SUM_NAMES_128                                                                                            \
    "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                                           \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"                                                 \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                                                 \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"                                                 \
    "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"                                                 \
    "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"                                                 \
    "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"                                     \
    "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define INGOT_SUM_AFTER_128 "%128, %129"

/* d += a b^T for the 32 bytes of the depth that `a` and `b` point at: a [64][32 bytes] of the group's own rows, b
 * [2 N][32 bytes], d [64][2 N]. Lane and warp have of it, with g = lane / 4 and t = lane % 4, in d[4 j] to d[4 j + 3]:
 * (16 warp + g, 8 j + 2 t), the next column, and the same 8 rows below. All lanes of four warps take part. */
template <class T, int N> DEVICE void group_multiply(float (&d)[N], const void *a, const void *b);
template <class T, int N> DEVICE void group_multiply(int32_t (&d)[N], const void *a, const void *b);
#define INGOT_GROUP_MULTIPLY(type, sum, letter, count, columns, shape, tail)                                           \
    template <> DEVICE void group_multiply<type, count>(sum(&d)[count], const void *a, const void *b) {                \
        asm volatile("{ .reg .pred p; setp.eq.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n" columns shape            \
                     " {" INGOT_SUM_NAMES_##count "}, " INGOT_SUM_AFTER_##count ", p" tail "; }"                       \
                     : INGOT_SUM_##count(d, letter)                                                                    \
                     : "l"(group_operand(a)), "l"(group_operand(b))                                                    \
                     : "memory");                                                                                      \
    }
#define INGOT_GROUP_MULTIPLIES(type, sum, letter, shape, tail)                                                         \
    INGOT_GROUP_MULTIPLY(type, sum, letter, 32, "64", shape, tail)                                                     \
    INGOT_GROUP_MULTIPLY(type, sum, letter, 64, "128", shape, tail)                                                    \
    INGOT_GROUP_MULTIPLY(type, sum, letter, 128, "256", shape, tail)
INGOT_GROUP_MULTIPLIES(f16, float, "f", "k16.f32.f16.f16", ", 1, 1, 0, 0")
INGOT_GROUP_MULTIPLIES(bf16, float, "f", "k16.f32.bf16.bf16", ", 1, 1, 0, 0")
INGOT_GROUP_MULTIPLIES(int8_t, int32_t, "r", "k32.s32.s8.s8", "")

/* The same for a in registers, as `multiply` has the sixteen rows of a warp, and b [16 of the depth][64], whose rows of
 * 128 bytes are those of the depth. What `a` is in stays until the product is waited for. */
template <class T> DEVICE void group_multiply_turned(float (&d)[32], const uint32_t (&a)[4], const void *b);
#define INGOT_GROUP_MULTIPLY_TURNED(type, shape)                                                                       \
    template <> DEVICE void group_multiply_turned<type>(float(&d)[32], const uint32_t(&a)[4], const void *b) {         \
        asm volatile("{ .reg .pred p; setp.eq.b32 p, 0, 0; wgmma.mma_async.sync.aligned.m64n64" shape                  \
                     " {" INGOT_SUM_NAMES_32 "}, {%32, %33, %34, %35}, %36, p, 1, 1, 1; }"                             \
                     : INGOT_SUM_32(d, "f")                                                                            \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(group_operand(b))                               \
                     : "memory");                                                                                      \
    }
INGOT_GROUP_MULTIPLY_TURNED(f16, "k16.f32.f16.f16")
INGOT_GROUP_MULTIPLY_TURNED(bf16, "k16.f32.bf16.bf16")

/* -- boxes of tensors that are copied by themselves, and barriers in shared memory, on sm_90a -----------------------
 */

/* Barriers are words of 8 bytes. A phase ends when `arrivals` have come and all bytes that were expected. */
DEVICE void barrier_init(uint64_t *barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
/* After barrier_init and before sync_block: copies see them too. */
DEVICE void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void barrier_arrive(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/* Arrives, and lets the phase wait for so many bytes of copies. */
DEVICE void barrier_expect(uint64_t *barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
/* Waits until the phase of that parity has ended: 0, 1, 0 and so on; before the first one is one of parity 1. */
DEVICE void barrier_wait(uint64_t *barrier, uint32_t parity) {
    uint32_t done;
    do {
        asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p; }"
                     : "=r"(done)
                     : "r"(shared_address(barrier)), "r"(parity)
                     : "memory");
    } while (!done);
}
/* Starts the copy of a box of 64 rows of 128 bytes, zeros where the tensor ends, to where group_operand wants them. The
 * barrier hears of all 8192 bytes. One thread calls it; `column` is in elements. */
DEVICE void copy_box(void *to, const tensor_map &map, int column, int row, uint64_t *barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(column), "r"(row), "r"(shared_address(barrier))
        : "memory");
}
/* The map will be used soon. */
DEVICE void prefetch_map(const tensor_map &map) { asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory"); }

/* The threads of a warp group give registers back, or take more: N, a multiple of 8, are what each then has. */
template <int N> DEVICE void fewer_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N> DEVICE void more_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
#endif

/* -- clusters of blocks that run together, from sm_90 on ----------------------------------------------------------- */

#if __CUDA_ARCH__ >= 900
#define INGOT_CLUSTERS 1

/* The number of this block in its cluster. */
DEVICE uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
/* All threads of all blocks of a cluster wait for each other. */
DEVICE void sync_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/* To that place of another block's shared memory, or of this one's; both have begun, and see it after sync_cluster. */
DEVICE void store_to_block(uint32_t rank, float *p, float x) {
    asm volatile(
        "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; st.shared::cluster.f32 [there], %2; }" ::"r"(
            shared_address(p)),
        "r"(rank), "f"(x)
        : "memory");
}
/* 16 bytes, aligned to them, that a block has at that place: written before a sync_cluster and kept until the next
 * one. */
template <class T> DEVICE T load_16_from_block(uint32_t rank, const T *p) {
    static_assert(sizeof(T) == 16, "four words");
    uint4 x;
    asm volatile("{ .reg .b32 there; mapa.shared::cluster.u32 there, %4, %5; "
                 "ld.shared::cluster.v4.b32 {%0, %1, %2, %3}, [there]; }"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(shared_address(p)), "r"(rank)
                 : "memory");
    return *reinterpret_cast<const T *>(&x);
}
#endif

} // namespace ingot

#endif
