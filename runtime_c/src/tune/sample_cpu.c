/* Samples on the CPU: contexts side by side, repetitions calibrated, caches as they are in the model. */
#include <math.h>
#include <string.h>

#include "sample.h"

enum {
    RESOLUTION = 100,    /* ticks that a sample must last at least: 1% */
    WARM_SAMPLE = 50000, /* nanoseconds that one lasts where it costs nothing: the system's own work averages out */
    WARM_UP = 5000000,   /* nanoseconds that the candidates run before anything counts */
    MAX_RUNS = 1 << 20,  /* of a sample */
};
static const double LEAST = 0.1; /* nanoseconds of a run: nothing takes no time */

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

static double sample(ingot_tuner *t, const ingot_tune_entry *e) {
    ingot_context *c = e->context;
    uint64_t between = c->program->record->between_bytes;
    double sum = 0;
    if (between <= t->l2) {
        ingot_context_run(c, NULL); /* others have run since */
        double before = ingot_sample_now();
        for (uint32_t i = 0; i < e->runs; i++) ingot_context_run(c, NULL);
        sum = ingot_sample_now() - before - t->clock.overhead;
    } else {
        if (between > t->last) between = t->last;
        for (uint32_t i = 0; i < e->runs; i++) {
            other_steps(t, c, between);
            ingot_sample_now(); /* the clock's own code and data are cold as well */
            double before = ingot_sample_now();
            ingot_context_run(c, NULL);
            sum += ingot_sample_now() - before - t->clock.overhead;
        }
    }
    return sum > LEAST * e->runs ? sum / e->runs : LEAST;
}

static ingot_status take(ingot_tuner *t, ingot_tune_entry *e, double *nanoseconds, ingot_error *error) {
    (void)error;
    *nanoseconds = sample(t, e);
    return INGOT_OK;
}

/* ---- one problem ------------------------------------------------------------------------------------------------- */

/* Contexts for all candidates. One whose generated data its kernel refuses has none. */
static ingot_status place(ingot_tuner *t, ingot_error *error) {
    uint8_t *at = t->block;
    for (uint32_t i = 0; i < t->count; i++) {
        const ingot_bound_program *program = &t->engine->programs[t->first + i];
        ingot_context *c;
        ingot_status status = ingot_context_place(t->engine, program, t->threads, t->workers, at, &c, error);
        if (status) return status;
        for (uint32_t s = 0; s < c->step_count; s++)
            c->steps[s].run = ingot_kernel_select(program->steps[s].kernel, t->isas, NULL);
        ingot_sample_fill(c);
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
    e->runs = ingot_sample_runs(wanted, taken, e->runs, MAX_RUNS);
}

static ingot_status prepare(ingot_tuner *t, double seconds, const volatile int *stop, ingot_error *error) {
    ingot_status status = place(t, error);
    if (status) return status;
    double begun = ingot_sample_now(), end = begun + seconds * 1e9;
    int running = 0;
    do
        for (uint32_t i = 0; i < t->count && !(stop && *stop); i++)
            if (t->entries[i].context) running |= ingot_context_run(t->entries[i].context, NULL) == INGOT_OK;
    while (running && ingot_sample_now() - begun < WARM_UP && ingot_sample_now() < end && !(stop && *stop));
    for (uint32_t i = 0; i < t->count && !(stop && *stop); i++)
        if (t->entries[i].context) calibrate(t, &t->entries[i]);
    return INGOT_OK;
}

const ingot_tune_way ingot_tune_cpu = {.prepare = prepare, .sample = take};
