/* Ed25519 signatures (RFC 8032): verification only. */
#ifndef INGOT_ED25519_H
#define INGOT_ED25519_H

#include <stddef.h>
#include <stdint.h>

/* 1 if `signature` is that of `message` by the owner of `public_key`, else 0.
 *
 * Strict: S must be below the group's order, and the encodings of the key and of R canonical; the equation is checked
 * without the cofactor. Nothing here is secret, so the time depends on the data. Allocates nothing; under a
 * millisecond and 2 KiB of stack. */
int ingot_ed25519_verify(const uint8_t public_key[32], const uint8_t *message, size_t n, const uint8_t signature[64]);

#endif
