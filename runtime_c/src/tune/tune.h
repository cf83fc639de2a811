/* Measuring the candidates of a tuning pack, problem by problem. Linked into ingot-tune and the Python extension, not
 * into libingot.so; not part of the public API.
 *
 * The candidates of a problem are measured in rounds, one sample of each in turn, so that a drift of the clock or a
 * neighbour on the machine hits all alike. A sample is as many runs as it takes for the clock's resolution to be below
 * 1% of it. Where the model's other steps touch more than the second-level cache between two runs of the step, each run
 * is timed alone, after as many other bytes have been read (twice the largest cache at most) and then the step's
 * inputs, which their producer would just have written: so weights lie where they will lie in the model. Else the runs
 * of a sample follow each other.
 *
 * On a CUDA device a sample is a graph in which the candidate stands many times, one after the other, between two
 * events of the device, which has worked up to the first: it never waits for the host. Where the model touches more
 * than the second-level cache, that is emptied before a sample, and each run has weights of its own. What two events
 * cost is taken off. Candidates whose results are not those that the pack expects are dropped. */
#ifndef INGOT_TUNE_H
#define INGOT_TUNE_H

#include "ingot.h"

/* cffi:begin */
typedef struct ingot_tuner ingot_tuner;

enum { INGOT_TUNER_SAMPLES = 3 };           /* fewer say nothing of the spread */
enum { INGOT_TUNER_WRONG_NS = 1000000000 }; /* the time of a candidate whose results are wrong: nobody takes it */

typedef struct ingot_timing {
    double median_ns; /* of a run, over the samples */
    double spread_ns; /* standard error of the median, 0.93 times the interquartile range over the root of samples */
    uint32_t samples; /* 0: it cannot run, or was not reached */
    uint32_t runs;    /* of which a sample is the mean */
} ingot_timing;

/* The tuner of a pack, which must stay open. All memory and threads are taken here. Refuses an engine that is no pack,
 * one whose target is not this machine, more threads than 64, and more than one where the pack is for CUDA. */
ingot_status ingot_tuner_create(const ingot_engine *engine, uint32_t threads, ingot_tuner **tuner, ingot_error *error);
void ingot_tuner_destroy(ingot_tuner *tuner);

/* Candidates of one problem lie side by side. */
uint32_t ingot_tuner_count(const ingot_tuner *tuner);
const char *ingot_tuner_name(const ingot_tuner *tuner, uint32_t candidate); /* of its program */
uint32_t ingot_tuner_next(const ingot_tuner *tuner, uint32_t candidate); /* the first of the next problem, or count */

/* Measures the problem whose first candidate is `first`. Rounds end when the order of the candidates is certain, after
 * `seconds`, or when *stop (may be NULL) becomes other than 0; all but a stop still makes INGOT_TUNER_SAMPLES.
 * `timings` has an entry for each candidate of the problem. */
ingot_status ingot_tuner_measure(ingot_tuner *tuner, uint32_t first, double seconds, const volatile int *stop,
                                 ingot_timing *timings, ingot_error *error);

/* What input number `input` of a candidate holds: numbers of moderate size, bytes of any value; and zeros where wider
 * integers may be indices. */
void ingot_tuner_fill(void *data, uint32_t dtype, uint64_t bytes, uint32_t input);

/* Why a candidate of the problem measured last has no time, or a wrong result; NULL for others. */
const char *ingot_tuner_reason(const ingot_tuner *tuner, uint32_t candidate);

/* The context of a candidate of the problem measured last; NULL for others. */
ingot_context *ingot_tuner_context(ingot_tuner *tuner, uint32_t candidate);

/* One line about the machine that it measures on, for the head of a timing cache. */
const char *ingot_tuner_machine(const ingot_tuner *tuner);
/* cffi:end */

#endif
