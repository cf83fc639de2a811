/* SHA-512 (FIPS 180-4) of a message in parts: what Ed25519 needs. Allocates nothing. */
#ifndef INGOT_SHA512_H
#define INGOT_SHA512_H

#include <stddef.h>
#include <stdint.h>

typedef struct ingot_bytes {
    const uint8_t *data;
    size_t size;
} ingot_bytes;

/* The digest of the parts joined. Any part may be empty. */
void ingot_sha512(const ingot_bytes *parts, size_t part_count, uint8_t digest[64]);

#endif
