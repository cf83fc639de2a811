/* Copies of input rows; see conv_band.h. */
#include "conv_band.h"
#include "integers.h"

#include <string.h>

enum {
    CHUNK = 64,              /* pixels: whole vectors of lanes, however many channels there are */
    CHUNK_BYTES = 24 * 1024, /* most of a first-level cache */
    RING_BYTES = 128 * 1024, /* part of a second-level one */
    SLACK = 64,              /* may be read behind a row */
    MOST_LOG = 30,           /* logarithm of the largest band */
};

static int64_t align64(int64_t n) { return (n + 63) / 64 * 64; }

/* a * b + c, unless that is too large: then 0. All are at least 1 but c, which is at least 0. */
static int64_t sized(int64_t a, int64_t b, int64_t c) {
    const int64_t most = INT64_C(1) << MOST_LOG;
    return a == 0 || b == 0 || a > most / b || c > most - a * b ? 0 : a * b + c;
}

int ingot_conv_band_make(const ingot_conv_shape *s, int64_t phases, uint8_t fill, ingot_conv_band *band) {
    const int64_t planes = s->dilation[0] == 0 ? 1 : s->kernel[0]; /* weights in parts read the same rows */
    const int64_t lines = planes * s->kernel[1], reach = sized(s->kernel[2] - 1, s->dilation[2], 1);
    const int64_t covered = s->kernel[2] == 1 ? 1 : reach;
    const int64_t pixel = ingot_min64(s->stride[2], ingot_max64(s->in[2], 1)) * s->in_channels * lines;
    band->pixels = ingot_max64(CHUNK_BYTES / ingot_max64(pixel, 1) / CHUNK, 1) * CHUNK;
    band->pixels = ingot_max64(ingot_min64(band->pixels, s->out[2]), 1);
    band->chunks = (s->out[2] + band->pixels - 1) / band->pixels;
    band->columns = covered == 0 ? 0 : band->pixels == 1 ? covered : sized(band->pixels - 1, s->stride[2], covered);
    band->phases = phases;
    band->fill = fill;
    band->phase_bytes = sized((band->columns + phases - 1) / phases, s->in_channels, 0);
    band->row_bytes = align64(sized(band->phase_bytes, phases, SLACK));
    const int64_t ring = s->kernel[1] == 1 ? 1 : sized(s->kernel[1] - 1, s->dilation[1], 1);
    band->ring = planes == 1 && ring != 0 && sized(ring, band->row_bytes, 0) != 0 &&
                 (ring == s->kernel[1] || ring * band->row_bytes <= RING_BYTES);
    band->slots = band->ring ? ring : lines;
    return band->columns != 0 && band->phase_bytes != 0 && band->row_bytes != 0 &&
           sized(band->slots + 1, band->row_bytes, band->slots * 8) != 0;
}

static int64_t tags_bytes(const ingot_conv_band *band) { return align64(band->slots * (int64_t)sizeof(int64_t)); }

/* The tags of the slots, a row of padding, the slots. */
uint64_t ingot_conv_band_size(const ingot_conv_band *band) {
    return (uint64_t)(tags_bytes(band) + (band->slots + 1) * band->row_bytes);
}

void ingot_conv_band_clear(const ingot_conv_band *band, void *scratch) {
    int64_t *tags = scratch;
    for (int64_t i = 0; i < band->slots; i++) {
        tags[i] = -1;
    }
    memset((char *)scratch + tags_bytes(band), band->fill, (size_t)band->row_bytes);
}

ingot_conv_strip ingot_conv_band_strip(const ingot_conv_shape *s, const ingot_conv_band *band, int64_t unit) {
    ingot_conv_strip strip;
    strip.y = unit % s->out[1];
    unit /= s->out[1];
    strip.chunk = unit % band->chunks;
    unit /= band->chunks;
    strip.z = unit % s->out[0];
    strip.batch = unit / s->out[0];
    strip.x = strip.chunk * band->pixels;
    strip.count = ingot_min64(band->pixels, s->out[2] - strip.x);
    return strip;
}

/* `count` pixels of `bytes`, which lie apart. */
static void copy_pixels(int8_t *to, const int8_t *from, int64_t step, int64_t count, int64_t bytes) {
#define COPY_CASE(size)                                                                                                \
    case size:                                                                                                         \
        for (int64_t i = 0; i < count; i++, to += (size), from += step) memcpy(to, from, size);                        \
        return;
    switch (bytes) {
        COPY_CASE(1)
        COPY_CASE(4)
        COPY_CASE(8)
        COPY_CASE(16)
        COPY_CASE(24)
        COPY_CASE(32)
    default:
        for (int64_t i = 0; i < count; i++, to += bytes, from += step) memcpy(to, from, (size_t)bytes);
    }
#undef COPY_CASE
}

/* Input columns from `first` on, every `phases`th of them, `count` in all. */
static void copy_phase(const ingot_conv_shape *s, const ingot_conv_band *band, const int8_t *line, int64_t first,
                       int64_t count, int8_t *to) {
    const int64_t bytes = s->in_channels, step = band->phases;
    const int64_t begin = ingot_min64(first < 0 ? (step - 1 - first) / step : 0, count);
    const int64_t end =
        ingot_max64(ingot_min64(first < s->in[2] ? (s->in[2] - first + step - 1) / step : 0, count), begin);
    const int64_t inside = end - begin;
    memset(to, band->fill, (size_t)(begin * bytes));
    if (inside > 0) {
        const int8_t *from = line + (first + begin * step) * s->in_pitch;
        if (step * s->in_pitch == bytes) {
            memcpy(to + begin * bytes, from, (size_t)(inside * bytes));
        } else {
            copy_pixels(to + begin * bytes, from, step * s->in_pitch, inside, bytes);
        }
    }
    memset(to + end * bytes, band->fill, (size_t)((count - end) * bytes));
}

void ingot_conv_band_rows(const ingot_conv_shape *s, const ingot_conv_band *band, const void *x,
                          const ingot_conv_strip *strip, void *scratch, const int8_t **rows) {
    int64_t *tags = scratch;
    int8_t *const padding = (int8_t *)scratch + tags_bytes(band);
    const int64_t first = strip->x * s->stride[2] - s->pad[2];
    for (int64_t line = 0; line < s->kernel[0] * s->kernel[1]; line++) {
        if (s->dilation[0] == 0 && line >= s->kernel[1]) {
            rows[line] = rows[line - s->kernel[1]];
            continue;
        }
        const int64_t z = strip->z * s->stride[0] - s->pad[0] + line / s->kernel[1] * s->dilation[0];
        const int64_t y = strip->y * s->stride[1] - s->pad[1] + line % s->kernel[1] * s->dilation[1];
        if (z < 0 || z >= s->in[0] || y < 0 || y >= s->in[1]) {
            rows[line] = padding;
            continue;
        }
        const int64_t index = (strip->batch * s->in[0] + z) * s->in[1] + y, tag = index * band->chunks + strip->chunk;
        const int64_t slot = band->ring ? y % band->slots : line;
        int8_t *row = padding + (slot + 1) * band->row_bytes;
        rows[line] = row;
        if (tags[slot] != tag) {
            const int8_t *from = (const int8_t *)x + index * s->in[2] * s->in_pitch;
            for (int64_t phase = 0; phase < band->phases; phase++) {
                const int64_t count = (band->columns - phase + band->phases - 1) / band->phases;
                copy_phase(s, band, from, first + phase, count, row + phase * band->phase_bytes);
            }
            tags[slot] = tag;
        }
    }
}
