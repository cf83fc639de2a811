/* The tables of kernels, made of every kernels/<op>/kernels.inc: one for the CPU, and one for CUDA, whose kernels have
 * rules here and their code in the engines. */
#include <string.h>

#include "cuda_call.h"
#include "internal.h"

#define INGOT_DECLARE(name, isa) extern int ingot_k_##name##__##isa(const ingot_call *, uint32_t, uint32_t, void *);
#define INGOT_ENTRY(name, isa, index) [index] = ingot_k_##name##__##isa,

/* First pass: declarations. */
#if defined(__x86_64__)
#define INGOT_AVX2(name) INGOT_DECLARE(name, avx2)
#define INGOT_AVXVNNI(name) INGOT_DECLARE(name, avxvnni)
#define INGOT_AVX512(name) INGOT_DECLARE(name, avx512)
#define INGOT_AVX512VNNI(name) INGOT_DECLARE(name, avx512vnni)
#define INGOT_AVX512BF16(name) INGOT_DECLARE(name, avx512bf16)
#else
#define INGOT_AVX2(name)
#define INGOT_AVXVNNI(name)
#define INGOT_AVX512(name)
#define INGOT_AVX512VNNI(name)
#define INGOT_AVX512BF16(name)
#endif
#if defined(__aarch64__)
#define INGOT_NEON(name) INGOT_DECLARE(name, neon)
#define INGOT_NEONDOT(name) INGOT_DECLARE(name, neondot)
#define INGOT_NEONBF16(name) INGOT_DECLARE(name, neonbf16)
#else
#define INGOT_NEON(name)
#define INGOT_NEONDOT(name)
#define INGOT_NEONBF16(name)
#endif
#define INGOT_KERNEL(name, abi, family, isas)                                                                          \
    extern const ingot_family ingot_family_##family;                                                                   \
    INGOT_DECLARE(name, portable) isas
#define INGOT_CUDA_KERNEL(name, abi, family) extern const ingot_family ingot_family_##family;
#include "ingot_kernel_lists.inc"
#undef INGOT_KERNEL
#undef INGOT_CUDA_KERNEL

/* Second pass: the table of the CPU. */
#if defined(__x86_64__)
#undef INGOT_AVX2
#undef INGOT_AVXVNNI
#undef INGOT_AVX512
#undef INGOT_AVX512VNNI
#undef INGOT_AVX512BF16
#define INGOT_AVX2(name) INGOT_ENTRY(name, avx2, INGOT_ISA_AVX2)
#define INGOT_AVXVNNI(name) INGOT_ENTRY(name, avxvnni, INGOT_ISA_AVXVNNI)
#define INGOT_AVX512(name) INGOT_ENTRY(name, avx512, INGOT_ISA_AVX512)
#define INGOT_AVX512VNNI(name) INGOT_ENTRY(name, avx512vnni, INGOT_ISA_AVX512VNNI)
#define INGOT_AVX512BF16(name) INGOT_ENTRY(name, avx512bf16, INGOT_ISA_AVX512BF16)
#endif
#if defined(__aarch64__)
#undef INGOT_NEON
#undef INGOT_NEONDOT
#undef INGOT_NEONBF16
#define INGOT_NEON(name) INGOT_ENTRY(name, neon, INGOT_ISA_NEON)
#define INGOT_NEONDOT(name) INGOT_ENTRY(name, neondot, INGOT_ISA_NEONDOT)
#define INGOT_NEONBF16(name) INGOT_ENTRY(name, neonbf16, INGOT_ISA_NEONBF16)
#endif
typedef struct cpu_kernel {
    ingot_kernel kernel; /* first: a pointer to it points to the whole */
    ingot_run_fn run[INGOT_ISA_COUNT];
} cpu_kernel;
#define INGOT_KERNEL(name, abi, family, isas)                                                                          \
    {{#name, abi, INGOT_BACKEND_CPU, &ingot_family_##family}, {INGOT_ENTRY(name, portable, INGOT_ISA_PORTABLE) isas}},
#define INGOT_CUDA_KERNEL(name, abi, family)
static const cpu_kernel cpu_kernels[] = {
#include "ingot_kernel_lists.inc"
};
#undef INGOT_KERNEL
#undef INGOT_CUDA_KERNEL

/* Third pass: the table of CUDA. */
#define INGOT_KERNEL(name, abi, family, isas)
#define INGOT_CUDA_KERNEL(name, abi, family)                                                                           \
    {#name, 100 * INGOT_CUDA_CALL_ABI + (abi), INGOT_BACKEND_CUDA, &ingot_family_##family},
static const ingot_kernel cuda_kernels[] = {
#include "ingot_kernel_lists.inc"
    {0} /* an end, since there may be none */
};

const ingot_kernel *ingot_kernel_at(uint32_t index) {
    const uint32_t on_cpu = sizeof cpu_kernels / sizeof cpu_kernels[0];
    if (index < on_cpu) return &cpu_kernels[index].kernel;
    const uint32_t behind = index - on_cpu, entries = sizeof cuda_kernels / sizeof cuda_kernels[0];
    return behind < entries && cuda_kernels[behind].name ? &cuda_kernels[behind] : NULL;
}

const ingot_kernel *ingot_kernel_find(uint32_t backend, const char *name) {
    /* Lists come in the order of folders, names within a list in any order: a linear search, at open only. */
    const ingot_kernel *kernel;
    for (uint32_t i = 0; (kernel = ingot_kernel_at(i)); i++)
        if (kernel->backend == backend && strcmp(kernel->name, name) == 0) return kernel;
    return NULL;
}

ingot_run_fn ingot_kernel_run(const ingot_kernel *kernel, ingot_isa isa) {
    return kernel->backend == INGOT_BACKEND_CPU ? ((const cpu_kernel *)kernel)->run[isa] : NULL;
}

ingot_run_fn ingot_kernel_select(const ingot_kernel *kernel, ingot_isa_set isas, ingot_isa *isa) {
    int best = INGOT_ISA_COUNT - 1;
    while (best > INGOT_ISA_PORTABLE && !(ingot_kernel_run(kernel, (ingot_isa)best) && (isas >> best & 1))) best--;
    if (isa) *isa = (ingot_isa)best;
    return ingot_kernel_run(kernel, (ingot_isa)best);
}
