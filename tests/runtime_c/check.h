/* The C tests are plain programs: exit status 0, or 1 after a line that says where. assert would vanish with NDEBUG. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Bytes that look random and are the same every time (xorshift). */
static inline void fill(uint8_t *to, size_t n, uint64_t seed) {
    uint64_t x = seed * 0x9e3779b97f4a7c15U + 1;
    for (size_t i = 0; i < n; ++i) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        to[i] = (uint8_t)(x >> 32);
    }
}

/* Reads hexadecimal digits into `to`, which holds `room` bytes; returns how many were written. */
static inline size_t from_hex(uint8_t *to, size_t room, const char *hex) {
    size_t n = 0;
    for (unsigned byte; n < room && sscanf(hex + 2 * n, "%2x", &byte) == 1; ++n) {
        to[n] = (uint8_t)byte;
    }
    return n;
}

#endif
