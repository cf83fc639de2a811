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

/* Of three channels, and a fourth that is zero: a pixel is two pairs. */
static void join_half(const ingot_image_line *line) {
    const uint16_t *a = line->planes[0], *b = line->planes[1], *c = line->planes[2], *d = line->planes[3];
    const int64_t count = line->count;
    uint32_t *to = line->to;
    if (line->pitch == 4) {
        INGOT_VECTOR_LOOP
        for (int64_t i = 0; i < count; i++) {
            to[2 * i] = a[i] | (uint32_t)b[i] << 16;
            to[2 * i + 1] = c[i] | (uint32_t)d[i] << 16;
        }
        return;
    }
    INGOT_VECTOR_LOOP
    for (int64_t i = 0; i < count; i++) {
        to[i] = a[i] | (uint32_t)b[i] << 16;
    }
}

const ingot_image_joins INGOT_PASTE(ingot_, image_joins, INGOT_ISA) = {join_f32, join_half};
