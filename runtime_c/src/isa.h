/* What this processor can do, asked once and remembered. */
#ifndef INGOT_ISA_H
#define INGOT_ISA_H

#include <stdint.h>

#include "kernel.h" /* ingot_isa */

/* A set of instruction sets: bit `1 << isa`. Availability is a set and no order: a processor may have avx512vnni and
 * no avxvnni. A kernel takes the highest member of its set that it implements. */
typedef uint32_t ingot_isa_set;

/* Whether the processor and the operating system support it. Portable always is. */
int ingot_isa_available(ingot_isa isa);
/* The highest available one. */
ingot_isa ingot_isa_best(void);

/* "portable", "avx2", ...; "unknown" out of range. Never NULL. */
const char *ingot_isa_name(ingot_isa isa);
/* INGOT_ISA_COUNT for a name that is not one of the above. */
ingot_isa ingot_isa_from_name(const char *name);

/* The sets that may be used when the user asked for `name` (the value of the environment's INGOT_ISA): that one and
 * those it builds on. NULL or "" asks for nothing in particular and allows all that are available.
 * 0 means an error: the name is unknown, or the processor lacks it. */
ingot_isa_set ingot_isa_allowed(const char *name);

/* Single instructions that speed up checksums; not part of any kernel's instruction set. */
typedef enum ingot_cpu_feature {
    INGOT_CPU_CRC32C = 1 << 16,    /* x86: SSE4.2; ARM: FEAT_CRC32 */
    INGOT_CPU_SHA256 = 1 << 17,    /* x86: SHA and SSE4.1; ARM: FEAT_SHA256 */
    INGOT_CPU_VPCLMULQDQ = 1 << 18 /* x86: products of 512 bits, and AVX-512 */
} ingot_cpu_feature;
int ingot_cpu_has(ingot_cpu_feature feature);

#endif
