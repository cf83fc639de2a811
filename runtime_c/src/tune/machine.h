/* The processor that runs this, for people who read a timing cache and for what measurement must know of caches. */
#ifndef INGOT_MACHINE_H
#define INGOT_MACHINE_H

#include <stdint.h>

typedef struct ingot_machine {
    const char *arch; /* "x86-64", "aarch64", "unknown" */
    const char *isa;  /* the best instruction set that kernels have and it has */
    char model[64];   /* as the system calls it, printable ASCII; "unknown" */
    uint32_t cores;   /* on line */
    uint64_t l1d, l2; /* bytes of data cache that the first core sees; 0: unknown */
    uint64_t last;    /* the largest level */
} ingot_machine;

void ingot_machine_read(ingot_machine *machine);

#endif
