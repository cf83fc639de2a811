/* Lines of an image, channels last, for one instruction set: loops that compilers make vector code of. */
#include "image_conv_cpu.h"
#include "kernel.h"
#include "loop.h"

/* Images of other than three channels are rare. */
static void join_f32(const ingot_image_line *line) {
    float *to = line->to;
    const float *a = line->planes[0], *b = line->planes[1], *c = line->planes[2];
    if (line->pitch == 3) {
        INGOT_VECTOR_LOOP
        for (int64_t i = 0; i < line->count; i++) {
            to[3 * i] = a[i];
            to[3 * i + 1] = b[i];
            to[3 * i + 2] = c[i];
        }
        return;
    }
    for (int64_t channel = 0; channel < line->pitch; channel++) {
        const float *from = line->planes[channel];
        for (int64_t i = 0; i < line->count; i++) {
            to[line->pitch * i + channel] = from[i];
        }
    }
}

/* Of three channels, and a fourth that is zero: a pixel is one integer. */
static void join_half(const ingot_image_line *line) {
    const uint16_t *a = line->planes[0], *b = line->planes[1], *c = line->planes[2], *d = line->planes[3];
    if (line->pitch == 4) {
        uint64_t *to = line->to;
        INGOT_VECTOR_LOOP
        for (int64_t i = 0; i < line->count; i++) {
            to[i] = a[i] | (uint64_t)b[i] << 16 | (uint64_t)c[i] << 32 | (uint64_t)d[i] << 48;
        }
        return;
    }
    uint32_t *to = line->to;
    for (int64_t i = 0; i < line->count; i++) {
        to[i] = a[i] | (uint32_t)b[i] << 16;
    }
}

const ingot_image_joins INGOT_PASTE(ingot_, image_joins, INGOT_ISA) = {join_f32, join_half};
