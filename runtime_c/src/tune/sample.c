/* One problem: samples in rounds, median and spread. What a sample is, its way says. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "sample.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum {
    JUDGED = 5, /* samples after which candidates may be judged */
    INPUT_SEED = 0x1a607,
};
static const double SLOWER = 1.5;    /* times the best: no need to know how much slower */
static const double CERTAIN = 0.005; /* of the median: a spread that is small enough */

double ingot_sample_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec; /* exact to a nanosecond for 100 days */
}

static void sort(double *values, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        double value = values[i];
        uint32_t at = i;
        for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
        values[at] = value;
    }
}

/* Of sorted values, between two of them where it falls so. */
static double quantile(const double *sorted, uint32_t count, double share) {
    double at = share * (count - 1);
    uint32_t below = (uint32_t)at, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

void ingot_sample_clock(ingot_tune_clock *clock) {
    double gaps[INGOT_TUNE_MAX_SAMPLES];
    clock->tick = 1e9;
    for (uint32_t i = 0; i < INGOT_TUNE_MAX_SAMPLES; i++) {
        double before = ingot_sample_now(), after = ingot_sample_now();
        gaps[i] = after - before;
        while (after <= before) after = ingot_sample_now();
        if (after - before < clock->tick) clock->tick = after - before;
    }
    sort(gaps, INGOT_TUNE_MAX_SAMPLES);
    clock->overhead = quantile(gaps, INGOT_TUNE_MAX_SAMPLES, 0.5);
}

void ingot_tuner_fill(void *data, uint32_t dtype, uint64_t bytes, uint32_t input) {
    int index = dtype >= INGOT_I8 && dtype <= INGOT_U64 && ingot_dtype_bits(dtype) > 8;
    if (index)
        memset(data, 0, bytes);
    else
        ingot_fill_moderate(data, dtype, bytes, INPUT_SEED + ((uint64_t)input << 32));
}

void ingot_sample_fill(ingot_context *c) {
    const ingot_program *p = c->program->record;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(&c->engine->file, p, i);
        uint32_t dtype = ingot_get_tensor(&c->engine->file, p, io->tensor)->dtype;
        if (!io->is_output) ingot_tuner_fill(c->io_data[i], dtype, c->io_bytes[i], i);
    }
}

uint32_t ingot_sample_runs(double wanted, double taken, uint32_t runs, uint32_t most) {
    double needed = taken > 0 ? ceil(wanted * runs / taken) : most;
    return needed < 1 ? 1 : needed > most ? most : (uint32_t)needed;
}

static ingot_timing summarise(const ingot_tune_entry *e) {
    ingot_timing timing = {.samples = e->count, .runs = e->runs};
    if (e->wrong) return (ingot_timing){.median_ns = INGOT_TUNER_WRONG_NS, .samples = INGOT_TUNER_SAMPLES, .runs = 1};
    if (!e->count) return timing;
    double sorted[INGOT_TUNE_MAX_SAMPLES];
    memcpy(sorted, e->samples, e->count * sizeof *sorted);
    sort(sorted, e->count);
    timing.median_ns = quantile(sorted, e->count, 0.5);
    double range = quantile(sorted, e->count, 0.75) - quantile(sorted, e->count, 0.25);
    timing.spread_ns = 0.93 * range / sqrt(e->count);
    return timing;
}

/* Retires candidates that cannot win. Returns whether the times of the others are as certain as they need be. */
static int judge(ingot_tuner *t) {
    double best = INFINITY;
    int certain = 1;
    for (uint32_t i = 0; i < t->count; i++) {
        ingot_timing timing = summarise(&t->entries[i]);
        if (timing.samples && timing.median_ns < best) best = timing.median_ns;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        ingot_tune_entry *e = &t->entries[i];
        if (!e->context || e->retired) continue;
        ingot_timing timing = summarise(e);
        if (timing.median_ns - 3 * timing.spread_ns > SLOWER * best)
            e->retired = 1;
        else if (timing.spread_ns > CERTAIN * timing.median_ns)
            certain = 0;
    }
    return certain;
}

static int running(const ingot_tuner *t) {
    int count = 0;
    for (uint32_t i = 0; i < t->count; i++) count += t->entries[i].context != NULL;
    return count;
}

static ingot_status measure(ingot_tuner *t, double end, const volatile int *stop, ingot_error *error) {
    ingot_status status = INGOT_OK;
    for (uint32_t round = 0; round < INGOT_TUNE_MAX_SAMPLES && running(t); round++) {
        if (round >= INGOT_TUNER_SAMPLES && ingot_sample_now() > end) break;
        if (round >= JUDGED && judge(t)) break;
        for (uint32_t i = 0; i < t->count && !(stop && *stop); i++) {
            ingot_tune_entry *e = &t->entries[round % 2 ? t->count - 1 - i : i]; /* nobody always follows the same */
            if (!e->context || e->retired) continue;
            status = t->way->sample(t, e, &e->samples[e->count++], error);
            if (status) return status;
        }
        if (stop && *stop) break;
    }
    return status;
}

ingot_status ingot_tuner_measure(ingot_tuner *t, uint32_t first, double seconds, const volatile int *stop,
                                 ingot_timing *timings, ingot_error *error) {
    ingot_clear(error);
    if (first >= t->engine->program_count || !timings)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "timings is NULL, or no candidate %u", first);
    if (t->way->finish) t->way->finish(t);
    t->first = first;
    t->count = ingot_tuner_next(t, first) - first;
    memset(timings, 0, t->count * sizeof *timings);
    memset(t->entries, 0, t->count * sizeof *t->entries);
    const double end = ingot_sample_now() + seconds * 1e9;
    ingot_status status = t->way->prepare(t, seconds, stop, error);
    if (!status) status = measure(t, end, stop, error);
    for (uint32_t i = 0; i < t->count && !status; i++) timings[i] = summarise(&t->entries[i]);
    if (status && t->way->finish) t->way->finish(t);
    return status;
}
