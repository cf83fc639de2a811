/* lookup_s8 by table instructions: 64 entries each, indices beyond them leave what the others found. */
#include <arm_neon.h>

#include "lookup/lookup_body.h"

enum { WIDTH = 16, PART = 64 };

static void translate(int8_t *y, const int8_t *x, int64_t n, const int8_t *table) {
    const int8x16x4_t first = vld1q_s8_x4(table), second = vld1q_s8_x4(table + PART),
                      third = vld1q_s8_x4(table + 2 * PART), fourth = vld1q_s8_x4(table + 3 * PART);
    const uint8x16_t part = vdupq_n_u8(PART), sign = vdupq_n_u8(128);
    int64_t i = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        uint8x16_t index = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(x + i)), sign);
        int8x16_t found = vqtbl4q_s8(first, index);
        index = vsubq_u8(index, part);
        found = vqtbx4q_s8(found, second, index);
        index = vsubq_u8(index, part);
        found = vqtbx4q_s8(found, third, index);
        index = vsubq_u8(index, part);
        vst1q_s8(y + i, vqtbx4q_s8(found, fourth, index));
    }
    lookup_each(y + i, x + i, n - i, table);
}

LOOKUP_S8(translate)
