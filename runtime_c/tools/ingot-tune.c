/* ingot-tune PACK -o TIMINGS: measures the candidates of a tuning pack on this machine, without Python. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime, sigaction, isatty */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tune/timings.h"
#include "tune/tune.h"

static const char USAGE[] =
    "usage: ingot-tune PACK -o TIMINGS [--threads N] [--seconds S] [--resume]\n"
    "\n"
    "Measures every candidate of a tuning pack on this machine and writes a timing cache,\n"
    "from which `ingot build --timing-cache TIMINGS` chooses tactics on any other machine.\n"
    "A pack for CUDA is measured on the device that it was made for, with its driver alone.\n"
    "\n"
    "  -o TIMINGS     the file to write; kept up to date as problems are done\n"
    "  --threads N    threads of a run, 1 to 64 (default 1); timings of other numbers are others;\n"
    "                 CUDA: 1\n"
    "  --seconds S    for all of it, as far as three samples of each candidate allow\n"
    "                 (default: one second at most for each problem)\n"
    "  --resume       keep what TIMINGS holds and measure the rest\n"
    "  --help         this text\n"
    "\n"
    "An interrupt (Ctrl-C) writes what was measured and ends with status 130.\n"
    "Example: ingot-tune mobilenet.pack -o orin.timings --threads 4\n";

static const double PROBLEM_SECONDS = 1;

typedef struct arguments {
    const char *pack, *output;
    uint32_t threads;
    double seconds; /* 0: not given */
    int resume;
} arguments;

static volatile int stopped;
static void stop(int signal_number) {
    (void)signal_number;
    stopped = 1;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int fail(const char *message) {
    fprintf(stderr, "ingot-tune: %s\n", message);
    return 1;
}

/* 0, or what is wrong. */
static const char *parse(int count, char **words, arguments *a) {
    *a = (arguments){.threads = 1};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        int takes_value = strcmp(word, "-o") == 0 || strcmp(word, "--threads") == 0 || strcmp(word, "--seconds") == 0;
        char *end = NULL;
        if (takes_value && !value) return "an option lacks its value";
        if (strcmp(word, "-o") == 0) {
            a->output = value;
        } else if (strcmp(word, "--threads") == 0) {
            long threads = strtol(value, &end, 10);
            if (*end || end == value || threads < 1 || threads > 64) return "--threads takes 1 to 64";
            a->threads = (uint32_t)threads;
        } else if (strcmp(word, "--seconds") == 0) {
            a->seconds = strtod(value, &end);
            if (*end || end == value || !(a->seconds > 0 && a->seconds < 1e9))
                return "--seconds takes a number above 0";
        } else if (strcmp(word, "--resume") == 0) {
            a->resume = 1;
        } else if (word[0] == '-' || a->pack) {
            return "unknown option, or a second pack";
        } else {
            a->pack = word;
        }
        i += takes_value;
    }
    return !a->pack ? "a pack is missing" : !a->output ? "-o TIMINGS is missing" : NULL;
}

/* Keys as they stand in a timing cache: the programs' names with the number of threads. */
static char **make_keys(const ingot_tuner *tuner, uint32_t threads) {
    uint32_t count = ingot_tuner_count(tuner);
    size_t bytes = count * sizeof(char *);
    for (uint32_t i = 0; i < count; i++) bytes += strlen(ingot_tuner_name(tuner, i)) + 4;
    char **keys = malloc(bytes), *at = (char *)(keys + count);
    for (uint32_t i = 0; keys && i < count; i++) {
        keys[i] = at;
        at += sprintf(at, "%s\t%u", ingot_tuner_name(tuner, i), threads) + 1;
    }
    return keys;
}

typedef struct tally {
    uint32_t problems, done, measured, known, failed;
} tally;

static void show(const tally *t, double begun, int last) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%u of %u problems, %u candidates, %.0f s%s", t->done, t->problems, t->measured,
                now() - begun, last ? "\n" : "");
}

/* The candidates of a problem compare only if all of them were measured in the same rounds. */
static int is_known(const ingot_timings *timings, char **keys, uint32_t first, uint32_t next) {
    for (uint32_t i = first; i < next; i++)
        if (!ingot_timings_has(timings, keys[i])) return 0;
    return 1;
}

static ingot_status measure_all(ingot_tuner *tuner, const arguments *a, char **keys, ingot_timing *found,
                                ingot_timings *timings, tally *t, ingot_error *error) {
    const double begun = now();
    const uint32_t count = ingot_tuner_count(tuner);
    for (uint32_t first = 0; first < count; first = ingot_tuner_next(tuner, first)) t->problems++;
    for (uint32_t first = 0, next; first < count && !stopped; first = next) {
        next = ingot_tuner_next(tuner, first);
        if (is_known(timings, keys, first, next)) {
            t->done++, t->known += next - first;
            continue;
        }
        double left = a->seconds - (now() - begun), share = left / (t->problems - t->done);
        double seconds = a->seconds == 0 || share > PROBLEM_SECONDS ? PROBLEM_SECONDS : share;
        ingot_status status = ingot_tuner_measure(tuner, first, seconds, &stopped, found, error);
        if (status) return status;
        uint32_t sampled = 0;
        for (uint32_t i = 0; i < next - first; i++) sampled += found[i].samples >= INGOT_TUNER_SAMPLES;
        int complete = !stopped || sampled == next - first; /* an interrupt may leave some with too few */
        for (uint32_t i = 0; complete && i < next - first; i++) {
            if (found[i].samples) ingot_timings_put(timings, keys[first + i], &found[i]);
            const char *reason = ingot_tuner_reason(tuner, first + i);
            if (reason || !found[i].samples)
                fprintf(stderr, "ingot-tune: %s: left out: %s\n", keys[first + i], reason ? reason : "cannot run");
        }
        if (complete) t->done++, t->measured += sampled, t->failed += next - first - sampled;
        status = ingot_timings_save(timings, a->output, 0, error);
        if (status) return status;
        show(t, begun, 0);
    }
    show(t, begun, 1);
    return stopped ? INGOT_OK : ingot_timings_save(timings, a->output, 1, error);
}

static int tune(ingot_tuner *tuner, const arguments *a) {
    char machine[300];
    snprintf(machine, sizeof machine, "# machine %.280s", ingot_tuner_machine(tuner));
    const uint32_t count = ingot_tuner_count(tuner);
    char **keys = make_keys(tuner, a->threads);
    ingot_timing *found = calloc(count, sizeof *found);
    ingot_timings timings = {0};
    ingot_error error = {.message = "no memory"};
    tally t = {0};
    const char *existing = access(a->output, F_OK) == 0 ? a->output : NULL;
    ingot_status status = keys && found ? INGOT_OK : INGOT_ERR_MEMORY;
    if (!status && existing && !a->resume) {
        snprintf(error.message, sizeof error.message, "%.160s exists: --resume keeps what it holds, or remove it",
                 existing);
        status = INGOT_ERR_FILE;
    }
    if (!status) status = ingot_timings_open(&timings, existing, count, &error);
    if (!status) {
        ingot_timings_add_machine(&timings, machine);
        status = ingot_timings_save(&timings, a->output, 0, &error); /* before the work, not after it */
    }
    if (!status) status = measure_all(tuner, a, keys, found, &timings, &t, &error);
    if (status)
        fail(error.message);
    else if (stopped)
        fprintf(stderr, "ingot-tune: interrupted: %s has %u of %u problems; go on with --resume\n", a->output, t.done,
                t.problems);
    else
        printf("%s: %u problems, %u candidates measured, %u known before, %u cannot run\n", a->output, t.problems,
               t.measured, t.known, t.failed);
    ingot_timings_close(&timings);
    free(found), free(keys);
    return status ? 1 : stopped ? 130 : 0;
}

int main(int count, char **words) {
    arguments a;
    if (count == 2 && strcmp(words[1], "--help") == 0) return fputs(USAGE, stdout) < 0;
    const char *wrong = parse(count, words, &a);
    if (wrong) {
        fprintf(stderr, "ingot-tune: %s\nusage: ingot-tune PACK -o TIMINGS [--threads N] [--seconds S] [--resume]\n",
                wrong);
        return 2;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    ingot_engine *engine;
    ingot_tuner *tuner;
    ingot_error error;
    char message[sizeof error.message + 256];
    ingot_status status = ingot_engine_open_file(a.pack, NULL, &engine, &error);
    if (status) {
        int named = status == INGOT_ERR_FILE; /* such a message begins with the path */
        snprintf(message, sizeof message, "%.200s%s%s", named ? "" : a.pack, named ? "" : ": ", error.message);
        return fail(message);
    }
    status = ingot_tuner_create(engine, a.threads, &tuner, &error);
    if (status) snprintf(message, sizeof message, "%.200s: %s", a.pack, error.message);
    int result = status ? fail(message) : tune(tuner, &a);
    if (!status) ingot_tuner_destroy(tuner);
    ingot_engine_close(engine);
    return result;
}
