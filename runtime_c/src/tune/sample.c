/* One problem: contexts side by side, repetitions calibrated, samples in rounds, median and spread. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "sample.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum {
    RESOLUTION = 100,    /* ticks that a sample must last at least: 1% */
    WARM_SAMPLE = 50000, /* nanoseconds that one lasts where it costs nothing: the system's own work averages out */
    WARM_UP = 5000000,   /* nanoseconds that the candidates run before anything counts */
    MAX_RUNS = 1 << 20,  /* of a sample */
    JUDGED = 5,          /* samples after which candidates may be judged */
    INPUT_SEED = 0x1a607,
};
static const double SLOWER = 1.5;    /* times the best: no need to know how much slower */
static const double LEAST = 0.1;     /* nanoseconds of a run: nothing takes no time */
static const double CERTAIN = 0.005; /* of the median: a spread that is small enough */

static double now(void) {
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
        double before = now(), after = now();
        gaps[i] = after - before;
        while (after <= before) after = now();
        if (after - before < clock->tick) clock->tick = after - before;
    }
    sort(gaps, INGOT_TUNE_MAX_SAMPLES);
    clock->overhead = quantile(gaps, INGOT_TUNE_MAX_SAMPLES, 0.5);
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

typedef struct sweep {
    ingot_tuner *tuner;
    const ingot_context *context;
    uint64_t between;
} sweep;

/* A thread's share of the bytes, one word a line. */
static void read_share(const uint8_t *bytes, uint64_t size, uint32_t thread, uint32_t threads) {
    uint64_t end = size / threads * (thread + 1), sum = 0;
    for (uint64_t at = size / threads * thread; at < end; at += 64) sum += bytes[at];
    volatile uint64_t kept = sum;
    (void)kept;
}

static void do_sweep(void *user, uint32_t thread) {
    const sweep *s = user;
    const ingot_context *c = s->context;
    read_share(s->tuner->other, s->between, thread, s->tuner->threads);
    for (uint32_t i = 0; i < c->program->record->io.count; i++)
        if (!ingot_get_io(&c->engine->file, c->program->record, i)->is_output)
            read_share(c->io_data[i], c->io_bytes[i], thread, s->tuner->threads);
}

/* What happens between two runs in the model, on every thread: its own caches hold what it touched. */
static void other_steps(ingot_tuner *t, const ingot_context *c, uint64_t between) {
    sweep s = {t, c, between};
    if (t->workers)
        ingot_workers_run(t->workers, do_sweep, &s);
    else
        do_sweep(&s, 0);
}

/* Nanoseconds of one run, the mean of the entry's repetitions. */
static double sample(ingot_tuner *t, const ingot_tune_entry *e) {
    ingot_context *c = e->context;
    uint64_t between = c->program->record->between_bytes;
    double sum = 0;
    if (between <= t->l2) {
        ingot_context_run(c, NULL); /* others have run since */
        double before = now();
        for (uint32_t i = 0; i < e->runs; i++) ingot_context_run(c, NULL);
        sum = now() - before - t->clock.overhead;
    } else {
        if (between > t->last) between = t->last;
        for (uint32_t i = 0; i < e->runs; i++) {
            other_steps(t, c, between);
            now(); /* the clock's own code and data are cold as well */
            double before = now();
            ingot_context_run(c, NULL);
            sum += now() - before - t->clock.overhead;
        }
    }
    return sum > LEAST * e->runs ? sum / e->runs : LEAST;
}

/* ---- one problem ------------------------------------------------------------------------------------------------- */

/* Activations: numbers of moderate size, bytes of any value, and wider integers, which may be indices, zero. */
static void fill_inputs(ingot_context *c) {
    const ingot_program *p = c->program->record;
    for (uint32_t i = 0; i < p->io.count; i++) {
        const ingot_io *io = ingot_get_io(&c->engine->file, p, i);
        uint32_t dtype = ingot_get_tensor(&c->engine->file, p, io->tensor)->dtype;
        int index = dtype >= INGOT_I8 && dtype <= INGOT_U64 && ingot_dtype_bits(dtype) > 8;
        if (!io->is_output && !index)
            ingot_fill_moderate(c->io_data[i], dtype, c->io_bytes[i], INPUT_SEED + ((uint64_t)i << 32));
    }
}

/* Contexts for all candidates. One whose generated data its kernel refuses has none. */
static ingot_status place(ingot_tuner *t, ingot_error *error) {
    uint8_t *at = t->block;
    memset(t->entries, 0, t->count * sizeof *t->entries);
    for (uint32_t i = 0; i < t->count; i++) {
        const ingot_bound_program *program = &t->engine->programs[t->first + i];
        ingot_context *c;
        ingot_status status = ingot_context_place(t->engine, program, t->threads, t->workers, at, &c, error);
        if (status) return status;
        for (uint32_t s = 0; s < c->step_count; s++)
            c->steps[s].run = ingot_kernel_select(program->steps[s].kernel, t->isas, NULL);
        fill_inputs(c);
        if (ingot_context_run(c, NULL) == INGOT_OK) t->entries[i].context = c;
        at += ingot_context_need(t->engine, program, t->threads);
    }
    return INGOT_OK;
}

/* Runs of a sample, so that it lasts long enough for the clock. */
static void calibrate(ingot_tuner *t, ingot_tune_entry *e) {
    int warm = e->context->program->record->between_bytes <= t->l2;
    double wanted = RESOLUTION * t->clock.tick, taken = 0;
    if (warm && wanted < WARM_SAMPLE) wanted = WARM_SAMPLE;
    for (e->runs = 1; e->runs < MAX_RUNS; e->runs *= 2) {
        taken = sample(t, e) * e->runs;
        if (taken >= wanted / 4) break;
    }
    double needed = taken > 0 ? ceil(wanted * e->runs / taken) : MAX_RUNS;
    e->runs = needed < 1 ? 1 : needed > MAX_RUNS ? MAX_RUNS : (uint32_t)needed;
}

static ingot_timing summarise(const ingot_tune_entry *e) {
    ingot_timing timing = {.samples = e->count, .runs = e->runs};
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

ingot_status ingot_tuner_measure(ingot_tuner *t, uint32_t first, double seconds, const volatile int *stop,
                                 ingot_timing *timings, ingot_error *error) {
    ingot_clear(error);
    if (first >= t->engine->program_count || !timings)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "timings is NULL, or no candidate %u", first);
    t->first = first;
    t->count = ingot_tuner_next(t, first) - first;
    memset(timings, 0, t->count * sizeof *timings);
    ingot_status status = place(t, error);
    if (status) return status;
    double begun = now(), end = begun + seconds * 1e9;
    int running = 0;
    do
        for (uint32_t i = 0; i < t->count && !(stop && *stop); i++)
            if (t->entries[i].context) running |= ingot_context_run(t->entries[i].context, NULL) == INGOT_OK;
    while (running && now() - begun < WARM_UP && now() < end && !(stop && *stop));
    for (uint32_t i = 0; i < t->count && !(stop && *stop); i++)
        if (t->entries[i].context) calibrate(t, &t->entries[i]);
    for (uint32_t round = 0; running && round < INGOT_TUNE_MAX_SAMPLES; round++) {
        if (round >= INGOT_TUNER_SAMPLES && now() > end) break;
        if (round >= JUDGED && judge(t)) break;
        for (uint32_t i = 0; i < t->count && !(stop && *stop); i++) {
            ingot_tune_entry *e = &t->entries[round % 2 ? t->count - 1 - i : i]; /* nobody always follows the same */
            if (e->context && !e->retired) e->samples[e->count++] = sample(t, e);
        }
        if (stop && *stop) break;
    }
    for (uint32_t i = 0; i < t->count; i++) timings[i] = summarise(&t->entries[i]);
    return INGOT_OK;
}
