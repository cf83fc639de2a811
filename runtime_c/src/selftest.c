/* The self-test: inputs and expected outputs that the builder put into the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static double element(const uint8_t *data, uint32_t dtype, uint64_t i) {
    if (dtype == INGOT_F64) {
        double value;
        memcpy(&value, data + i * 8, 8);
        return value;
    }
    float value;
    memcpy(&value, data + i * 4, 4);
    return (double)value;
}

/* Norm of the difference over norm of the expected, and the largest single difference. NaN must meet NaN. */
static int within(const uint8_t *got, const uint8_t *expected, uint64_t size, uint32_t dtype, const ingot_selftest *test,
                  double *relative, double *absolute) {
    double difference = 0, norm = 0;
    *absolute = 0;
    for (uint64_t i = 0; i < size / (dtype == INGOT_F64 ? 8 : 4); i++) {
        double a = element(got, dtype, i), b = element(expected, dtype, i);
        if (a == b || (isnan(a) && isnan(b))) {
            norm += isfinite(b) ? b * b : 0;
            continue;
        }
        if (!isfinite(a) || !isfinite(b)) {
            *relative = *absolute = INFINITY;
            return 0;
        }
        difference += (a - b) * (a - b);
        norm += b * b;
        if (fabs(a - b) > *absolute) *absolute = fabs(a - b);
    }
    *relative = difference == 0 ? 0 : sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
    return *relative <= (double)test->relative && *absolute <= (double)test->absolute;
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
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_selftest *test = (const ingot_selftest *)ingot_record(table, i);
        ingot_io_info info = {.size = sizeof info};
        if (ingot_engine_io_info(engine, test->io, &info) || info.bytes != test->size) {
            status = ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i), "the self-test is of another program");
            break;
        }
        if (!info.is_output) memcpy(ingot_context_data(context, test->io), constants + test->data, test->size);
    }
    if (!status) status = ingot_context_run(context, error);
    for (uint32_t i = 0; !status && i < table->count; i++) {
        const ingot_selftest *test = (const ingot_selftest *)ingot_record(table, i);
        ingot_io_info info = {.size = sizeof info};
        ingot_engine_io_info(engine, test->io, &info);
        if (!info.is_output) continue;
        const uint8_t *got = ingot_context_data(context, test->io), *expected = constants + test->data;
        double relative = 0, absolute = 0;
        if (test->mode == INGOT_SELFTEST_EXACT) {
            uint64_t at = 0;
            while (at < test->size && got[at] == expected[at]) at++;
            if (at < test->size)
                status = ingot_fail(error, INGOT_ERR_SELFTEST, test->data + f->tables[INGOT_SECTION_CONSTANTS].file_offset + at,
                                    "self-test: output %.80s differs from what is expected, first in byte %llu", info.name,
                                    (unsigned long long)at);
        } else if (!within(got, expected, test->size, info.dtype, test, &relative, &absolute)) {
            status = ingot_fail(error, INGOT_ERR_SELFTEST, INGOT_NO_OFFSET, "self-test: output %.80s is off by %.3g relative and "
                                "%.3g absolute, allowed are %.3g and %.3g", info.name, relative, absolute,
                                (double)test->relative, (double)test->absolute);
        }
    }
    ingot_context_destroy(context);
    return status;
}
