/* The table of kernels, made of every kernels/<op>/kernels.inc. */
#include <string.h>

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
#include "ingot_kernel_lists.inc"
#undef INGOT_KERNEL

/* Second pass: the table. */
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
#define INGOT_KERNEL(name, abi, family, isas)                                                                          \
    {#name, abi, &ingot_family_##family, {INGOT_ENTRY(name, portable, INGOT_ISA_PORTABLE) isas}},
static const ingot_kernel kernels[] = {
#include "ingot_kernel_lists.inc"
};

const ingot_kernel *ingot_kernel_find(const char *name) {
    /* Lists come in the order of folders, names within a list in any order: a linear search, at open only. */
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
        if (strcmp(kernels[i].name, name) == 0) return &kernels[i];
    return NULL;
}

const ingot_kernel *ingot_kernel_at(uint32_t index) {
    return index < sizeof kernels / sizeof kernels[0] ? &kernels[index] : NULL;
}

ingot_run_fn ingot_kernel_select(const ingot_kernel *kernel, ingot_isa_set isas, ingot_isa *isa) {
    for (int i = INGOT_ISA_COUNT - 1; i > 0; i--)
        if (kernel->run[i] && (isas >> i & 1)) {
            if (isa) *isa = (ingot_isa)i;
            return kernel->run[i];
        }
    if (isa) *isa = INGOT_ISA_PORTABLE;
    return kernel->run[INGOT_ISA_PORTABLE];
}
