/* The inside of a tuner: sample.c has the rounds, and a way to measure knows what a sample is: on the CPU
 * (sample_cpu.c) or on a CUDA device (sample_cuda.c). */
#ifndef INGOT_SAMPLE_H
#define INGOT_SAMPLE_H

#include "context.h"
#include "cuda/repeat.h"
#include "machine.h"
#include "tune.h"

enum {
    INGOT_TUNE_L2_CACHE = 1 << 20,    /* where the system does not tell */
    INGOT_TUNE_LAST_CACHE = 32 << 20, /* likewise */
    INGOT_TUNE_MAX_SAMPLES = 64,
    INGOT_TUNE_MACHINE = 256, /* characters of a line about it */
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
    uint32_t wrong;               /* its results are not those that the pack expects */
    double samples[INGOT_TUNE_MAX_SAMPLES];
    char reason[200];         /* why it is not measured */
    void *host;               /* CUDA: the host's block of the context */
    ingot_cuda_repeat repeat; /* CUDA: a sample */
} ingot_tune_entry;

typedef struct ingot_tune_cuda {
    const ingot_driver *driver;
    CUdevice device;
    CUcontext primary; /* kept from the first problem to the last: making one takes long, and its clocks sink */
    CUdeviceptr other; /* written to empty the second-level cache; 0: no step needs that */
    uint64_t other_size;
    uint32_t spun; /* clocks are up */
} ingot_tune_cuda;

/* How one kind of machine measures. */
typedef struct ingot_tune_way {
    /* Contexts for all candidates at hand, warm and with their numbers of runs. Those that cannot run have none. */
    ingot_status (*prepare)(ingot_tuner *tuner, double seconds, const volatile int *stop, ingot_error *error);
    /* Nanoseconds of one run, the mean of the entry's. */
    ingot_status (*sample)(ingot_tuner *tuner, ingot_tune_entry *entry, double *nanoseconds, ingot_error *error);
    void (*finish)(ingot_tuner *tuner);  /* after a problem; NULL: nothing */
    void (*destroy)(ingot_tuner *tuner); /* what the tuner took for it; NULL: nothing */
} ingot_tune_way;

struct ingot_tuner {
    const ingot_engine *engine;
    const ingot_tune_way *way;
    char machine[INGOT_TUNE_MACHINE];
    ingot_isa_set isas;
    uint32_t threads;
    ingot_workers *workers;
    void *workers_memory;
    uint64_t l2, last; /* bytes: beyond the one caches count as cold, and the most that is read to make them so */
    ingot_tune_clock clock;
    uint8_t *block; /* CPU: the contexts of one problem */
    uint64_t block_size;
    uint8_t *other; /* CPU: stands for what the model's other steps touch */
    uint64_t other_size;
    ingot_tune_cuda cuda;
    uint32_t first, count; /* the problem at hand */
    uint32_t largest_group;
    ingot_tune_entry *entries;
};

extern const ingot_tune_way ingot_tune_cpu, ingot_tune_on_cuda;

/* sample.c, for all ways. */
double ingot_sample_now(void);
void ingot_sample_clock(ingot_tune_clock *clock);
void ingot_sample_fill(ingot_context *context);
/* Runs of a sample that lasts `wanted` nanoseconds, `most` at most, found by `taken`, nanoseconds of the runs it had.
 */
uint32_t ingot_sample_runs(double wanted, double taken, uint32_t runs, uint32_t most);

/* sample_cuda.c: the tuner's part on the device that the engine was opened for. INGOT_ERR_NO_VARIANT where that is not
 * of the pack's target. */
ingot_status ingot_tune_cuda_create(ingot_tuner *tuner, ingot_error *error);

#endif
