/* The self-test: inputs and expected outputs that the builder put into the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fpenv.h"
#include "half.h"
#include "internal.h"

static double element(const uint8_t *data, uint32_t dtype, uint64_t i) {
    if (dtype == INGOT_F64) {
        double value;
        memcpy(&value, data + i * 8, 8);
        return value;
    }
    if (dtype == INGOT_F16 || dtype == INGOT_BF16) {
        uint16_t bits;
        memcpy(&bits, data + i * 2, 2);
        return (double)(dtype == INGOT_F16 ? ingot_f32_of_f16(bits) : ingot_float_of_bits((uint32_t)bits << 16));
    }
    float value;
    memcpy(&value, data + i * 4, 4);
    return (double)value;
}

typedef struct comparison {
    const uint8_t *got, *expected; /* got at every stride-th element, expected densely */
    uint64_t count, stride, width;
    uint32_t dtype;
} comparison;

/* Norm of the difference over norm of the expected, and the largest single difference. NaN must meet NaN. */
static void differences(const comparison *c, double *relative, double *absolute) {
    double difference = 0, norm = 0;
    *absolute = 0;
    for (uint64_t i = 0; i < c->count; i++) {
        double a = element(c->got, c->dtype, i * c->stride), b = element(c->expected, c->dtype, i);
        if (a == b || (isnan(a) && isnan(b))) {
            norm += isfinite(b) ? b * b : 0;
            continue;
        }
        if (!isfinite(a) || !isfinite(b)) {
            *relative = *absolute = INFINITY;
            return;
        }
        difference += (a - b) * (a - b);
        norm += b * b;
        if (fabs(a - b) > *absolute) *absolute = fabs(a - b);
    }
    *relative = difference == 0 ? 0 : sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
}

static ingot_status compare(const comparison *c, const ingot_selftest *test, const char *name, ingot_error *error) {
    if (test->mode == INGOT_SELFTEST_EXACT) {
        for (uint64_t i = 0; i < c->count; i++)
            if (memcmp(c->got + i * c->stride * c->width, c->expected + i * c->width, c->width) != 0)
                return ingot_fail(error, INGOT_ERR_SELFTEST, INGOT_NO_OFFSET,
                                  "self-test: output %.80s differs from what is "
                                  "expected, first in element %llu",
                                  name, (unsigned long long)(i * c->stride));
        return INGOT_OK;
    }
    double relative, absolute;
    differences(c, &relative, &absolute);
    if (relative <= (double)test->relative && absolute <= (double)test->absolute) return INGOT_OK;
    return ingot_fail(error, INGOT_ERR_SELFTEST, INGOT_NO_OFFSET,
                      "self-test: output %.80s is off by %.3g relative and %.3g "
                      "absolute, allowed are %.3g and %.3g",
                      name, relative, absolute, (double)test->relative, (double)test->absolute);
}

/* Whether the record fits the program that runs. */
static int fits(const ingot_selftest *test, const ingot_io_info *info) {
    uint64_t width = ingot_dtype_bits(info->dtype) / 8;
    if (!info->is_output) return test->size == 0 || test->size == info->bytes;
    if (width == 0 || test->stride == 0 ||
        (test->mode == INGOT_SELFTEST_TOLERANCE && (info->dtype < INGOT_F32 || info->dtype > INGOT_BF16)))
        return 0;
    uint64_t elements = info->bytes / width, count = elements ? (elements - 1) / test->stride + 1 : 0;
    return test->size == count * width;
}

ingot_status ingot_self_test_output(const ingot_file *f, const ingot_program *p, uint32_t index,
                                    const ingot_selftest *test, const void *got, ingot_error *error) {
    const ingot_io *io = ingot_get_io(f, p, index);
    const ingot_tensor *t = ingot_get_tensor(f, p, io->tensor);
    const ingot_io_info info = {.dtype = t->dtype,
                                .name = ingot_file_string(f, io->name),
                                .is_output = io->is_output,
                                .bytes = ingot_get_buffer(f, p, t->buffer)->size};
    if (!info.is_output || !fits(test, &info))
        return ingot_fail(error, INGOT_ERR_FORMAT, INGOT_NO_OFFSET, "the self-test is of another program");
    const uint64_t width = ingot_dtype_bits(info.dtype) / 8;
    const uint8_t *expected = f->tables[INGOT_SECTION_CONSTANTS].base + test->data;
    const comparison c = {got, expected, test->size / width, test->stride, width, info.dtype};
    return compare(&c, test, info.name, error);
}

ingot_status ingot_self_test(const ingot_engine *engine, ingot_error *error) {
    ingot_clear(error);
    if (!engine) return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "engine is NULL");
    const ingot_file *f = &engine->file;
    const ingot_table *table = &f->tables[INGOT_SECTION_SELFTEST];
    const uint8_t *constants = f->tables[INGOT_SECTION_CONSTANTS].base;
    if (table->count == 0)
        return ingot_fail(error, INGOT_ERR_UNSUPPORTED, INGOT_NO_OFFSET, "the engine has no self-test");
    ingot_context *context;
    ingot_status status = ingot_context_create(engine, NULL, &context, error);
    if (status) return status;
    for (uint32_t i = 0; i < table->count && !status; i++) {
        const ingot_selftest *test = (const ingot_selftest *)ingot_record(table, i);
        ingot_io_info info = {.size = sizeof info};
        if (ingot_engine_io_info(engine, test->io, &info) || !fits(test, &info)) {
            status = ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i),
                                "the self-test is of another program");
        } else if (!info.is_output) {
            void *data = ingot_context_data(context, test->io);
            if (test->size)
                memcpy(data, constants + test->data, test->size);
            else if (info.dtype <= INGOT_BF16 || info.dtype == INGOT_BOOL) {
                ingot_fpenv mode = ingot_fpenv_enter();
                ingot_fill_random(data, info.dtype, info.bytes, test->seed);
                ingot_fpenv_leave(mode);
            }
        }
    }
    if (!status) status = ingot_context_run(context, error);
    for (uint32_t i = 0; !status && i < table->count; i++) {
        const ingot_selftest *test = (const ingot_selftest *)ingot_record(table, i);
        const ingot_program *p = engine->programs[0].record;
        if (!ingot_get_io(f, p, test->io)->is_output) continue;
        status = ingot_self_test_output(f, p, test->io, test, ingot_context_data(context, test->io), error);
    }
    ingot_context_destroy(context);
    return status;
}
