/* SHA-256 (FIPS 180-4), in one call or piece by piece. Allocates nothing. */
#ifndef INGOT_SHA256_H
#define INGOT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { INGOT_SHA256_SIZE = 32 };

typedef struct ingot_sha256_stream {
    uint32_t state[8];
    uint64_t length; /* bytes so far; length % 64 of them wait in block */
    uint8_t block[64];
} ingot_sha256_stream;

void ingot_sha256_init(ingot_sha256_stream *stream);
void ingot_sha256_update(ingot_sha256_stream *stream, const void *data, size_t n);
/* The stream must be initialised again before further use. */
void ingot_sha256_final(ingot_sha256_stream *stream, uint8_t digest[INGOT_SHA256_SIZE]);

void ingot_sha256(const void *data, size_t n, uint8_t digest[INGOT_SHA256_SIZE]);

/* What a processor without the instructions does, for tests: hashes `count` blocks of 64 bytes into `state`. */
void ingot_sha256_blocks_portable(uint32_t state[8], const uint8_t *data, size_t count);

#endif
