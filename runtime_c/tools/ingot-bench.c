/* ingot-bench ENGINE [THREADS [ITERATIONS]]: how long loading takes, from the file to a context, and a run; in
 * microseconds. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingot.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments) {
    const long threads = count > 2 ? strtol(arguments[2], NULL, 10) : 1;
    const long iterations = count > 3 ? strtol(arguments[3], NULL, 10) : 1000;
    const int help = count == 2 && strcmp(arguments[1], "--help") == 0;
    if (help || count < 2 || count > 4 || threads < 1 || threads > 64 || iterations < 1 || iterations > 100000000) {
        fprintf(help ? stdout : stderr, "usage: ingot-bench ENGINE [THREADS (1..64) [ITERATIONS]]\n");
        return help ? 0 : 2;
    }
    const size_t runs = (size_t)iterations;
    double *times = malloc(runs * sizeof *times);
    ingot_engine *engine;
    ingot_context *context;
    ingot_error error;
    const ingot_context_options options = {
        .size = sizeof options, .threads = (uint32_t)threads, .wait = INGOT_WAIT_SPIN};
    const double start = now();
    if (!times || ingot_engine_open_file(arguments[1], NULL, &engine, &error) ||
        ingot_context_create(engine, &options, &context, &error)) {
        fprintf(stderr, "ingot-bench: %s\n", times ? error.message : "no memory");
        return 1;
    }
    const double loaded = now() - start;
    const size_t warm_up = runs / 10 + 1;
    for (size_t i = 0; i < warm_up; i++) ingot_context_run(context, NULL);
    ingot_status status = INGOT_OK;
    for (size_t i = 0; i < runs && !status; i++) {
        const double before = now();
        status = ingot_context_run(context, &error);
        times[i] = now() - before;
    }
    if (status) {
        fprintf(stderr, "ingot-bench: %s\n", error.message);
        return 1;
    }
    qsort(times, runs, sizeof *times, by_value);
    printf("load %.1f us; p50 %.2f us, p99 %.2f us, max %.2f us (%zu runs, %ld threads)\n", loaded, times[runs / 2],
           times[runs * 99 / 100], times[runs - 1], runs, threads);
    ingot_context_destroy(context);
    ingot_engine_close(engine);
    free(times);
    return 0;
}
