#include "isa.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1UL << 6)
#endif
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1UL << 7)
#endif
#ifndef HWCAP_ASIMDDP
#define HWCAP_ASIMDDP (1UL << 20)
#endif
#endif

#if defined(__aarch64__) && !defined(HWCAP2_BF16)
#define HWCAP2_BF16 (1UL << 14)
#endif

#define BIT(isa) (1U << INGOT_ISA_##isa)

enum { DETECTED = 1U << 31 }; /* tells a remembered answer from none */

static const struct {
    const char *name;
    ingot_isa_set builds_on; /* itself and every set that a processor with it also runs */
} isas[INGOT_ISA_COUNT] = {
    [INGOT_ISA_PORTABLE] = {"portable", BIT(PORTABLE)},
    [INGOT_ISA_AVX2] = {"avx2", BIT(PORTABLE) | BIT(AVX2)},
    [INGOT_ISA_AVXVNNI] = {"avxvnni", BIT(PORTABLE) | BIT(AVX2) | BIT(AVXVNNI)},
    [INGOT_ISA_AVX512] = {"avx512", BIT(PORTABLE) | BIT(AVX2) | BIT(AVX512)},
    [INGOT_ISA_AVX512VNNI] = {"avx512vnni", BIT(PORTABLE) | BIT(AVX2) | BIT(AVXVNNI) | BIT(AVX512) | BIT(AVX512VNNI)},
    [INGOT_ISA_AVX512BF16] = {"avx512bf16", BIT(PORTABLE) | BIT(AVX2) | BIT(AVXVNNI) | BIT(AVX512) | BIT(AVX512VNNI) |
                                                BIT(AVX512BF16)},
    [INGOT_ISA_NEON] = {"neon", BIT(PORTABLE) | BIT(NEON)},
    [INGOT_ISA_NEONDOT] = {"neondot", BIT(PORTABLE) | BIT(NEON) | BIT(NEONDOT)},
    [INGOT_ISA_NEONBF16] = {"neonbf16", BIT(PORTABLE) | BIT(NEON) | BIT(NEONDOT) | BIT(NEONBF16)},
};

#if defined(__x86_64__)
static uint32_t has_all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

static uint32_t detect(void) {
    enum { XCR0_YMM = 0x06, XCR0_ZMM = 0xe6 }; /* SSE and AVX state; with opmask, ZMM0-15 and ZMM16-31 */
    uint32_t found = BIT(PORTABLE);
    uint32_t last = 0, a = 0, b = 0, c = 0, d = 0;
    __cpuid(0, last, b, c, d);
    uint32_t c1 = 0, b7 = 0, c7 = 0, a71 = 0;
    __cpuid(1, a, b, c1, d);
    if (has_all(c1, bit_SSE4_2)) {
        found |= INGOT_CPU_CRC32C;
    }
    if (last >= 7) {
        __cpuid_count(7, 0, a, b7, c7, d);
        if (a >= 1) {
            __cpuid_count(7, 1, a71, b, c, d);
        }
    }
    const uint32_t avx512 = 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31; /* F, DQ, BW, VL */
    const uint32_t sha = 1U << 29, vpclmulqdq = 1U << 10, vnni = 1U << 11, avxvnni = 1U << 4, avx512bf16 = 1U << 5;
    if (has_all(b7, sha) && has_all(c1, bit_SSE4_1 | bit_SSSE3)) {
        found |= INGOT_CPU_SHA256;
    }
    /* Wide registers count only if the operating system saves them. */
    if (!has_all(c1, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) {
        return found;
    }
    uint32_t xcr0 = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if (!has_all(xcr0, XCR0_YMM) || !has_all(b7, bit_AVX2)) {
        return found;
    }
    found |= BIT(AVX2);
    if (has_all(a71, avxvnni)) {
        found |= BIT(AVXVNNI);
    }
    if (has_all(xcr0, XCR0_ZMM) && has_all(b7, avx512)) {
        found |= BIT(AVX512);
        if (has_all(c7, vnni)) {
            found |= BIT(AVX512VNNI);
        }
        if (has_all(c7, vpclmulqdq)) {
            found |= INGOT_CPU_VPCLMULQDQ;
        }
        if (has_all(a71, avx512bf16)) {
            found |= BIT(AVX512BF16);
        }
    }
    return found;
}
#elif defined(__aarch64__)
static uint32_t detect(void) {
    const unsigned long capabilities = getauxval(AT_HWCAP);
    uint32_t found = BIT(PORTABLE) | BIT(NEON);
    if (capabilities & HWCAP_ASIMDDP) {
        found |= BIT(NEONDOT);
    }
    if (getauxval(AT_HWCAP2) & HWCAP2_BF16) {
        found |= BIT(NEONBF16);
    }
    if (capabilities & HWCAP_CRC32) {
        found |= INGOT_CPU_CRC32C;
    }
    if (capabilities & HWCAP_SHA2) {
        found |= INGOT_CPU_SHA256;
    }
    return found;
}
#else
static uint32_t detect(void) { return BIT(PORTABLE); }
#endif

/* Asked once: CPUID traps to the hypervisor of a virtual machine, which takes longer than all else in loading a small
 * engine. Two threads that both find nothing remembered find out the same. */
static uint32_t detected(void) {
    static _Atomic uint32_t remembered;
    uint32_t found = atomic_load_explicit(&remembered, memory_order_relaxed);
    if (!found) {
        found = detect() | DETECTED;
        atomic_store_explicit(&remembered, found, memory_order_relaxed);
    }
    return found;
}

/* As the library is loaded, so that no engine waits for it. */
__attribute__((constructor)) static void ask_early(void) { (void)detected(); }

int ingot_cpu_has(ingot_cpu_feature feature) { return (detected() & (uint32_t)feature) != 0; }

int ingot_isa_available(ingot_isa isa) { return (uint32_t)isa < INGOT_ISA_COUNT && (detected() >> isa & 1U) != 0; }

ingot_isa ingot_isa_best(void) {
    uint32_t isa = INGOT_ISA_COUNT - 1;
    while (!ingot_isa_available((ingot_isa)isa)) {
        --isa; /* ends at portable */
    }
    return (ingot_isa)isa;
}

const char *ingot_isa_name(ingot_isa isa) { return (uint32_t)isa < INGOT_ISA_COUNT ? isas[isa].name : "unknown"; }

ingot_isa ingot_isa_from_name(const char *name) {
    uint32_t isa = 0;
    while (isa < INGOT_ISA_COUNT && strcmp(name, isas[isa].name) != 0) {
        ++isa;
    }
    return (ingot_isa)isa;
}

ingot_isa_set ingot_isa_allowed(const char *name) {
    const ingot_isa_set available = detected() & ((1U << INGOT_ISA_COUNT) - 1);
    if (name == NULL || *name == '\0') {
        return available;
    }
    const ingot_isa isa = ingot_isa_from_name(name);
    return ingot_isa_available(isa) ? isas[isa].builds_on & available : 0;
}
