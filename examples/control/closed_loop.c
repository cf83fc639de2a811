/* A control loop at 1 kHz: an engine swings up an inverted pendulum on a cart and keeps it up while its target moves.
 *
 *     closed_loop policy.ingot [--seconds 10] [--fast] [--log run.csv]
 *
 * Every millisecond of wall time: observe the simulated plant, run the engine, act on the plant, sleep until the next
 * absolute deadline. The loop allocates nothing and opens nothing; what it records goes to memory taken before it and
 * to the log after it. --fast does not sleep, to see the same trajectory at once. Exit status: 0 when the pole went up
 * and stayed there, 3 when it did not, 1 when something failed, 2 on bad usage. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "ingot.h"
#include "plant.h"

enum { PERIOD_NS = 1000000, SECOND_NS = 1000000000, WARM_UP_RUNS = 100, FIFO_PRIORITY = 50 };

static const double pi = 3.14159265358979323846;

/* The scenario: hanging still, a little off so that there is a side to begin with. */
static const plant_state initial_state = {.x = 0.4, .theta = 3.1};
static const double swing_up_seconds = 3.0; /* the time the pole has to get up */
static const double upright_cosine = 0.866; /* up means within 30 degrees */
static const double target_amplitude = 0.4; /* m: there the target rests, and from then on swings around 0 ... */
static const double target_seconds = 4.0;   /* ... once in so many seconds */
static const double push_begin = 7.0, push_end = 7.1, push_newtons = 0.5; /* and someone nudges the tip */

typedef struct sample {
    plant_state state;
    plant_target target;
    double action, push;
    int64_t late_ns; /* from the period's begin until the loop was awake */
    int64_t run_ns;  /* in ingot_context_run */
    bool missed;     /* the period's work ended after the next one's begin */
} sample;

typedef struct settings {
    const char *engine, *log;
    double seconds;
    bool fast;
} settings;

typedef struct policy {
    ingot_engine *engine;
    ingot_context *context;
    float *observation, *action;
} policy;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(int64_t deadline) {
    struct timespec when = {.tv_sec = deadline / SECOND_NS, .tv_nsec = deadline % SECOND_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
}

static plant_target target_at(double time) {
    double rate = 2.0 * pi / target_seconds, angle = rate * (time - swing_up_seconds);
    if (time < swing_up_seconds) {
        return (plant_target){.x = target_amplitude};
    }
    double x = target_amplitude * cos(angle), v = -target_amplitude * rate * sin(angle);
    return (plant_target){.x = x, .v = v, .a = -rate * rate * x, .j = -rate * rate * v};
}

/* Opens the engine and finds its input and output. The file is locked into memory if the system lets us. */
static bool policy_open(policy *p, const char *path) {
    ingot_error error = {0};
    ingot_options locked = {.size = sizeof locked, .flags = INGOT_OPEN_LOCK};
    if (ingot_engine_open_file(path, &locked, &p->engine, &error) != INGOT_OK &&
        ingot_engine_open_file(path, NULL, &p->engine, &error) != INGOT_OK) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        return false;
    }
    if (ingot_context_create(p->engine, NULL, &p->context, &error) != INGOT_OK) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        return false;
    }
    uint32_t input = ingot_engine_io_find(p->engine, "observation");
    uint32_t output = ingot_engine_io_find(p->engine, "action");
    ingot_io_info in = {.size = sizeof in}, out = {.size = sizeof out};
    if (ingot_engine_io_info(p->engine, input, &in) != INGOT_OK ||
        ingot_engine_io_info(p->engine, output, &out) != INGOT_OK || in.dtype != 1 || out.dtype != 1 ||
        in.bytes != PLANT_OBSERVATIONS * sizeof(float) || out.bytes != sizeof(float)) {
        fprintf(stderr, "%s: not a policy of 'observation' [1, 8] to 'action' [1, 1], float32\n", path);
        return false;
    }
    p->observation = ingot_context_data(p->context, input);
    p->action = ingot_context_data(p->context, output);
    return true;
}

static void policy_close(policy *p) {
    ingot_context_destroy(p->context);
    ingot_engine_close(p->engine);
}

/* Asks for what a real-time loop wants of Linux, and says what was granted: without the right to it, the loop runs
 * all the same and wakes up later now and then. */
static void prepare_process(void) {
    struct sched_param priority = {.sched_priority = FIFO_PRIORITY};
    bool memory = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
    bool scheduling = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* ns; ordinary processes are woken up to 50 us late by default */
    printf("scheduling: %s; memory %s\n", scheduling ? "SCHED_FIFO" : "ordinary (no right to SCHED_FIFO)",
           memory ? "locked" : "not locked (no right to)");
}

static bool run_loop(policy *p, const settings *set, sample *samples, int64_t count) {
    const plant_params params = plant_default();
    plant_state state = initial_state;
    ingot_error error = {0};
    int64_t start = now_ns() + PERIOD_NS;
    for (int64_t i = 0; i < count; ++i) {
        sample *s = &samples[i];
        double time = (double)i * PERIOD_NS / SECOND_NS;
        int64_t begin = start + i * PERIOD_NS;
        if (!set->fast) {
            sleep_until(begin);
        }
        s->late_ns = set->fast ? 0 : now_ns() - begin;
        s->state = state;
        s->target = target_at(time);
        s->push = time >= push_begin && time < push_end ? push_newtons : 0.0;
        plant_observe(&state, &s->target, p->observation);

        int64_t before = now_ns();
        ingot_status status = ingot_context_run(p->context, &error);
        s->run_ns = now_ns() - before;
        if (status != INGOT_OK) {
            fprintf(stderr, "run %lld: %s\n", (long long)i, error.message);
            return false;
        }
        s->action = (double)p->action[0];
        plant_step(&params, &state, s->action, s->push, (double)PERIOD_NS / SECOND_NS);
        s->missed = !set->fast && now_ns() > begin + PERIOD_NS;
    }
    return true;
}

static bool write_log(const char *path, const sample *samples, int64_t count) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file, "time_s,target_m,x_m,v_m_s,theta_rad,omega_rad_s,action,push_n,late_ns,run_ns,missed\n");
    for (int64_t i = 0; i < count; ++i) {
        const sample *s = &samples[i];
        fprintf(file, "%.3f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.3f,%lld,%lld,%d\n", (double)i * PERIOD_NS / SECOND_NS,
                s->target.x, s->state.x, s->state.v, s->state.theta, s->state.omega, s->action, s->push,
                (long long)s->late_ns, (long long)s->run_ns, s->missed);
    }
    bool good = ferror(file) == 0;
    if (fclose(file) != 0 || !good) {
        fprintf(stderr, "%s: cannot be written\n", path);
        return false;
    }
    return true;
}

static int compare_ns(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Sorts values and prints percentiles (nearest rank) in microseconds. */
static void print_percentiles(const char *what, int64_t *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, compare_ns);
    int64_t tail = (count * 999 + 999) / 1000 - 1;
    printf("%s: p50 %.2f us, p99.9 %.2f us, max %.2f us\n", what, (double)values[(count - 1) / 2] / 1e3,
           (double)values[tail] / 1e3, (double)values[count - 1] / 1e3);
}

/* Prints how it went; true if the pole was up from the end of the swing-up on. `scratch` holds count entries. */
static bool report(const settings *set, const sample *samples, int64_t count, int64_t *scratch) {
    int64_t missed = 0, tracked = 0, last_down = -1;
    double squared = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        const sample *s = &samples[i];
        scratch[i] = s->run_ns;
        missed += s->missed;
        if (!(cos(s->state.theta) >= upright_cosine)) { /* a NaN is not up */
            last_down = i;
        }
        if ((double)i * PERIOD_NS >= swing_up_seconds * SECOND_NS) {
            squared += (s->state.x - s->target.x) * (s->state.x - s->target.x);
            ++tracked;
        }
    }
    print_percentiles("engine latency", scratch, count);
    if (!set->fast) {
        for (int64_t i = 0; i < count; ++i) {
            scratch[i] = samples[i].late_ns;
        }
        print_percentiles("wake-up lateness (the system's)", scratch, count);
        printf("deadline misses: %lld of %lld periods\n", (long long)missed, (long long)count);
    }
    double up_after = (double)(last_down + 1) * PERIOD_NS / SECOND_NS;
    bool up = up_after <= swing_up_seconds && last_down + 1 < count;
    if (up) {
        printf("the pole was up after %.2f s and stayed up", up_after);
    } else {
        printf("the pole did NOT stay up: last seen down at %.2f s", up_after);
    }
    if (tracked > 0) {
        printf("; the cart was %.1f cm (rms) from its moving target", 100.0 * sqrt(squared / (double)tracked));
    }
    puts("");
    return up;
}

static bool parse(int argc, char **argv, settings *set) {
    *set = (settings){.seconds = 10.0};
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--fast") == 0) {
            set->fast = true;
        } else if (strcmp(argv[i], "--log") == 0 && i + 1 < argc) {
            set->log = argv[++i];
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            set->seconds = strtod(argv[++i], NULL);
        } else if (argv[i][0] != '-' && set->engine == NULL) {
            set->engine = argv[i];
        } else {
            return false;
        }
    }
    return set->engine != NULL && set->seconds >= 0.001 && set->seconds <= 3600.0;
}

int main(int argc, char **argv) {
    settings set;
    if (!parse(argc, argv, &set)) {
        fprintf(stderr, "usage: %s ENGINE [--seconds 10] [--fast] [--log FILE.csv]\n", argv[0]);
        return 2;
    }
    int64_t count = (int64_t)llround(set.seconds * SECOND_NS / PERIOD_NS);
    sample *samples = malloc((size_t)count * sizeof *samples);
    int64_t *scratch = malloc((size_t)count * sizeof *scratch);
    policy p = {0};
    int result = 1;
    if (samples == NULL || scratch == NULL) {
        fprintf(stderr, "no memory for %lld samples\n", (long long)count);
    } else if (policy_open(&p, set.engine)) {
        memset(samples, 0xff, (size_t)count * sizeof *samples); /* touches every page before the loop does */
        if (!set.fast) {
            prepare_process();
        }
        for (int i = 0; i < WARM_UP_RUNS; ++i) { /* caches and branch predictors, as after the first moments */
            ingot_context_run(p.context, NULL);
        }
        bool good = run_loop(&p, &set, samples, count);
        if (good && (set.log == NULL || write_log(set.log, samples, count))) {
            result = report(&set, samples, count, scratch) ? 0 : 3;
        }
    }
    policy_close(&p);
    free(scratch);
    free(samples);
    return result;
}
