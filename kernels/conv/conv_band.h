/* The band of input rows that a row of windows reads, for convolutions of bytes.
 *
 * Each row is copied into scratch once, with the padding to its left and right in place, and stays there while the
 * windows move down: windows then have no borders, and their taps lie at the same distances everywhere. With a stride
 * of s along the row its columns may be sorted into s phases, so that what neighbouring windows read at one tap lies
 * side by side. */
#ifndef INGOT_CONV_BAND_H
#define INGOT_CONV_BAND_H

#include "conv_shape.h"

typedef struct ingot_conv_band {
    int64_t pixels, chunks; /* output pixels of a chunk of a row, all but the last of them; how many chunks */
    int64_t columns;        /* of the input, that the windows of a chunk cover */
    int64_t phases, phase_bytes;
    int64_t slots, row_bytes; /* rows held, and from one to the next; 64 bytes behind a row may be read */
    int32_t ring;             /* input row y is in slot y mod slots; else a slot belongs to a row of the kernel */
    int32_t fill;             /* the byte that padding consists of */
} ingot_conv_band;

/* A chunk of an output row: what a work unit does. Units that follow each other lie below each other. */
typedef struct ingot_conv_strip {
    int64_t batch, z, y, chunk; /* of the output */
    int64_t x, count;           /* first pixel, and how many */
} ingot_conv_strip;

/* Plans the band; 0 when it would be too large for any memory. */
int ingot_conv_band_make(const ingot_conv_shape *s, int64_t phases, uint8_t fill, ingot_conv_band *band);

/* Bytes of scratch. */
uint64_t ingot_conv_band_size(const ingot_conv_band *band);

/* Makes scratch an empty band. */
void ingot_conv_band_clear(const ingot_conv_band *band, void *scratch);

static inline int64_t ingot_conv_band_units(const ingot_conv_shape *s, const ingot_conv_band *band) {
    return s->batch * s->out[0] * band->chunks * s->out[1];
}

ingot_conv_strip ingot_conv_band_strip(const ingot_conv_shape *s, const ingot_conv_band *band, int64_t unit);

/* Brings the rows of a strip into the band and gives where they begin, one for each row of the kernel. */
void ingot_conv_band_rows(const ingot_conv_shape *s, const ingot_conv_band *band, const void *x,
                          const ingot_conv_strip *strip, void *scratch, const int8_t **rows);

#endif
