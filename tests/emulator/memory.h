/* Device memory of the emulator: allocations that end at a page nobody may touch, with a pattern around them. */
#ifndef INGOT_EMULATOR_MEMORY_H
#define INGOT_EMULATOR_MEMORY_H

#include <stddef.h>

extern "C" {
/* `bytes` at a multiple of `align` (a power of two up to a page), as near as that allows to a forbidden page behind
 * them; a forbidden page stands in front too. Contents are 0xFF. NULL when there is no memory. */
void *ingot_emulator_allocate(size_t bytes, size_t align);
/* Whether the bytes around it, up to the forbidden pages, are as they were. */
int ingot_emulator_intact(const void *p);
/* Writing becomes an error of the launch, or is allowed again. */
void ingot_emulator_protect(void *p, int read_only);
/* Touching it becomes an error of the launch, or is allowed again as it was before. */
void ingot_emulator_hide(void *p, int hidden);
void ingot_emulator_free(void *p);
size_t ingot_emulator_live();
}

/* "4 bytes behind an allocation of 64", for an address that a launch should not have touched; false when it is near
 * no allocation. */
bool ingot_emulator_describe(const void *address, char *text, size_t size);

#endif
