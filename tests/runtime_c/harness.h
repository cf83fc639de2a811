/* What the programs share that open engines on purpose damaged: reading, resealing, and running without trust. */
#ifndef HARNESS_H
#define HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "ingot.h"

/* Reads a file into memory aligned to 256 whose end is the file's end, so that reading behind it is seen. Exits when
 * the file cannot be read. */
uint8_t *harness_read(const char *path, size_t *size);
uint8_t *harness_allocate(size_t size, size_t alignment);

/* Makes all CRC-32C right again, as far as the section table makes sense, and the file's size. The identity (SHA-256)
 * is left alone: opening checks it on request only. */
void harness_reseal(uint8_t *bytes, size_t size);

typedef struct harness_limits {
    uint64_t memory;  /* bytes; engines that want more are left alone once opened */
    uint32_t threads; /* of the context; 0: as 1 */
    uint32_t apart;   /* also run every step alone, each operand in a block of its own */
} harness_limits;

/* Opens an engine, makes a context in memory of exactly the size asked for, binds buffers of exactly their size, runs
 * once and closes. Returns what the first call that failed returned. */
ingot_status harness_exercise(const uint8_t *bytes, size_t size, const harness_limits *limits, ingot_error *error);

#endif
