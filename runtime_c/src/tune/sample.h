/* The inside of a tuner. */
#ifndef INGOT_SAMPLE_H
#define INGOT_SAMPLE_H

#include "context.h"
#include "machine.h"
#include "tune.h"

enum {
    INGOT_TUNE_L2_CACHE = 1 << 20,    /* where the system does not tell */
    INGOT_TUNE_LAST_CACHE = 32 << 20, /* likewise */
    INGOT_TUNE_MAX_SAMPLES = 64
};

typedef struct ingot_tune_clock {
    double tick;     /* nanoseconds: what two readings differ by at least */
    double overhead; /* nanoseconds between two readings with nothing in between */
} ingot_tune_clock;

typedef struct ingot_tune_entry { /* a candidate of the problem at hand */
    ingot_context *context;       /* NULL: it cannot run */
    uint32_t runs;                /* of a sample */
    uint32_t count;               /* samples so far */
    uint32_t retired;             /* too slow to win */
    double samples[INGOT_TUNE_MAX_SAMPLES];
} ingot_tune_entry;

struct ingot_tuner {
    const ingot_engine *engine;
    ingot_isa_set isas;
    uint32_t threads;
    ingot_workers *workers;
    void *workers_memory;
    uint64_t l2, last; /* bytes: beyond the one caches count as cold, and the most that is read to make them so */
    ingot_tune_clock clock;
    uint8_t *block; /* the contexts of one problem */
    uint64_t block_size;
    uint8_t *other; /* stands for what the model's other steps touch */
    uint64_t other_size;
    uint32_t first, count; /* the problem at hand */
    uint32_t largest_group;
    ingot_tune_entry *entries;
};

void ingot_sample_clock(ingot_tune_clock *clock);

#endif
