/* test_tune_cuda DRIVER FOLDER: a tuning pack for CUDA on a driver that is none (fake_cuda.c), whose times are all the
 * same: what is measured, dropped, refused and given back. */
#include <dlfcn.h>

#include "check.h"
#include "fake_cuda.h"
#include "harness.h"
#include "tune/tune.h"

enum { HONEST = 0, LYING = 1, OF_A_PROBLEM = 2, LOST = 999 };

static fake_cuda *fake;

typedef struct opened {
    ingot_engine *engine;
    ingot_tuner *tuner;
    ingot_error error;
    uint8_t *bytes;
} opened;

static ingot_status open_pack(opened *o, const char *folder, uint32_t threads) {
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "%s/pack.ingot", folder);
    *o = (opened){.bytes = harness_read(path, &size)};
    ingot_status status = ingot_engine_open(o->bytes, size, NULL, &o->engine, &o->error);
    return status ? status : ingot_tuner_create(o->engine, threads, &o->tuner, &o->error);
}

static void end(opened *o) {
    ingot_tuner_destroy(o->tuner);
    ingot_engine_close(o->engine);
    free(o->bytes);
}

static ingot_status measure_all(opened *o, const volatile int *stop, ingot_timing timings[][OF_A_PROBLEM]) {
    ingot_status status = INGOT_OK;
    for (uint32_t first = 0; first < ingot_tuner_count(o->tuner) && !status; first += OF_A_PROBLEM) {
        CHECK(ingot_tuner_next(o->tuner, first) == first + OF_A_PROBLEM);
        status = ingot_tuner_measure(o->tuner, first, 0, stop, timings[first / OF_A_PROBLEM], &o->error);
    }
    return status;
}

static void test_measures(const char *folder) {
    opened o;
    ingot_timing timings[2][OF_A_PROBLEM];
    CHECK(open_pack(&o, folder, 1) == INGOT_OK && ingot_tuner_count(o.tuner) == 4);
    CHECK(strstr(ingot_tuner_machine(o.tuner), "cuda sm_87, 8 multiprocessors, "));
    for (uint32_t p = 0; p < 2; p++) {
        CHECK(ingot_tuner_measure(o.tuner, p * 2, 0, NULL, timings[p], &o.error) == INGOT_OK);
        const ingot_timing *t = timings[p];
        CHECK(t[HONEST].samples >= INGOT_TUNER_SAMPLES && t[HONEST].median_ns > 0 && t[HONEST].runs >= 1);
        CHECK(t[HONEST].median_ns < INGOT_TUNER_WRONG_NS && ingot_tuner_context(o.tuner, 2 * p) != NULL);
        CHECK(t[LYING].median_ns == INGOT_TUNER_WRONG_NS && t[LYING].samples >= INGOT_TUNER_SAMPLES);
        CHECK(ingot_tuner_reason(o.tuner, 2 * p) == NULL && ingot_tuner_context(o.tuner, 2 * p + 1) == NULL);
        CHECK(strstr(ingot_tuner_reason(o.tuner, 2 * p + 1), "output y differs"));
    }
    const int stop = 1;
    CHECK(measure_all(&o, &stop, timings) == INGOT_OK);
    for (int i = 0; i < 4; i++) CHECK(timings[i / 2][i % 2].samples == 0);
    end(&o);
    CHECK(fake->alive == 0 && fake->current == 0);
}

static void test_refuses(const char *folder) {
    opened o;
    CHECK(open_pack(&o, folder, 2) == INGOT_ERR_ARGUMENT && strstr(o.error.message, "1 thread"));
    end(&o);
    fake->multiprocessors++;
    CHECK(open_pack(&o, folder, 1) == INGOT_ERR_NO_VARIANT && strstr(o.error.message, "with 8 multiprocessors, found"));
    end(&o);
    fake->multiprocessors--;
    fake->arch = 90;
    CHECK(open_pack(&o, folder, 1) == INGOT_ERR_NO_VARIANT && strstr(o.error.message, "wanted sm_87"));
    end(&o);
    fake->arch = 87;
    CHECK(fake->alive == 0 && fake->current == 0);
}

/* Calls of the driver fail in turn: a clear status, nothing left behind, and the next tuner measures everything. */
static void test_failures(const char *folder) {
    opened o;
    ingot_timing timings[2][OF_A_PROBLEM];
    int refused = 0;
    fake->error = LOST;
    for (long n = 1; n < 2000; n += n < 150 ? 1 : 400) {
        fake->calls = 0;
        fake->failed = NULL;
        fake->fail_at = n;
        ingot_status status = open_pack(&o, folder, 1);
        if (!status) status = measure_all(&o, NULL, timings);
        if (status) CHECK(status == INGOT_ERR_DEVICE || status == INGOT_ERR_NO_VARIANT);
        if (status) CHECK(o.error.status == status && strstr(o.error.message, "999"));
        refused += status != INGOT_OK;
        end(&o);
        fake->fail_at = 0;
        CHECK(fake->alive == 0 && fake->current == 0);
    }
    CHECK(refused > 100);
    test_measures(folder);
}

/* Short steps stand many times in a sample; each run of a cold one reads constants of its own. */
static void test_repeats(const char *folder) {
    opened o;
    ingot_timing timings[2][OF_A_PROBLEM];
    fake->milliseconds = 0.001f;
    CHECK(open_pack(&o, folder, 1) == INGOT_OK && measure_all(&o, NULL, timings) == INGOT_OK);
    CHECK(timings[0][HONEST].runs == 256 && timings[1][HONEST].runs == 256);
    end(&o);
    fake->milliseconds = 0.25f;
    CHECK(open_pack(&o, folder, 1) == INGOT_OK && measure_all(&o, NULL, timings) == INGOT_OK);
    CHECK(timings[0][HONEST].runs == 1);
    end(&o);
    CHECK(fake->alive == 0 && fake->current == 0);
}

/* Where the device has no room for a candidate the others are measured. */
static void test_memory(const char *folder) {
    opened o;
    ingot_timing timings[OF_A_PROBLEM];
    const uint64_t memory = fake->memory;
    CHECK(open_pack(&o, folder, 1) == INGOT_OK);
    fake->memory = 1;
    CHECK(ingot_tuner_measure(o.tuner, 0, 0, NULL, timings, &o.error) == INGOT_OK);
    CHECK(timings[HONEST].samples == 0 && strstr(ingot_tuner_reason(o.tuner, 0), "no memory on the device"));
    fake->memory = memory;
    CHECK(ingot_tuner_measure(o.tuner, 0, 0, NULL, timings, &o.error) == INGOT_OK);
    CHECK(timings[HONEST].samples >= INGOT_TUNER_SAMPLES);
    end(&o);
    CHECK(fake->alive == 0 && fake->current == 0);
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    /* By its path first: the runtime asks for the name. */
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    CHECK(library);
    fake = dlsym(library, "fake_cuda_state");
    CHECK(fake);
    test_measures(arguments[2]);
    test_refuses(arguments[2]);
    test_repeats(arguments[2]);
    test_failures(arguments[2]);
    test_memory(arguments[2]);
    return 0;
}
