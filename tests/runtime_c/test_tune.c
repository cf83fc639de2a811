/* test_tune FOLDER: what a tuner measures and refuses, with the packs and the engines of this folder; and the text of a
 * timing cache. */
#include <unistd.h>

#include "check.h"
#include "context.h"
#include "harness.h"
#include "internal.h"
#include "tune/timings.h"

/* ---- allocations, counted ---------------------------------------------------------------------------------------- */

static int allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size) { return allocations++, __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return allocations++, __real_calloc(count, size); }
void *__wrap_realloc(void *block, size_t size) { return allocations++, __real_realloc(block, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return allocations++, __real_aligned_alloc(alignment, size);
}

/* ---- packs ------------------------------------------------------------------------------------------------------- */

static const char *folder;

static const char *path_of(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s.ingot", folder, name);
    return path;
}

static ingot_engine *open_engine(const char *name) {
    ingot_engine *engine;
    ingot_error error;
    if (ingot_engine_open_file(path_of(name), NULL, &engine, &error)) {
        fprintf(stderr, "%s: %s\n", name, error.message);
        exit(1);
    }
    return engine;
}

static void measures(const char *name, uint32_t threads) {
    ingot_engine *engine = open_engine(name);
    ingot_tuner *tuner;
    ingot_error error;
    CHECK(ingot_tuner_create(engine, threads, &tuner, &error) == INGOT_OK);
    const uint32_t count = ingot_tuner_count(tuner);
    CHECK(count > 2 && ingot_tuner_name(tuner, count) == NULL);
    ingot_timing timings[32];
    uint32_t problems = 0;
    for (uint32_t first = 0, next; first < count; first = next, problems++) {
        next = ingot_tuner_next(tuner, first);
        CHECK(next > first && next <= count && next - first <= 32);
        const int before = allocations;
        CHECK(ingot_tuner_measure(tuner, first, 0.05, NULL, timings, &error) == INGOT_OK);
        CHECK(allocations == before);
        for (uint32_t i = 0; i < next - first; i++) {
            CHECK(timings[i].samples >= INGOT_TUNER_SAMPLES && timings[i].runs >= 1);
            CHECK(timings[i].median_ns > 0 && timings[i].spread_ns >= 0);
            CHECK(ingot_tuner_context(tuner, first + i) != NULL);
        }
        CHECK(ingot_tuner_context(tuner, next) == NULL);
        const int stop = 1;
        CHECK(ingot_tuner_measure(tuner, first, 1, &stop, timings, &error) == INGOT_OK);
        for (uint32_t i = 0; i < next - first; i++) CHECK(timings[i].samples == 0);
    }
    CHECK(problems == 2);
    CHECK(ingot_tuner_measure(tuner, count, 1, NULL, timings, &error) == INGOT_ERR_ARGUMENT);
    CHECK(ingot_tuner_measure(tuner, 0, 1, NULL, NULL, &error) == INGOT_ERR_ARGUMENT);
    ingot_tuner_destroy(tuner);
    ingot_engine_close(engine);
}

static void refuses(void) {
    ingot_engine *pack = open_engine("packs/warm"), *engine = open_engine("corpus/counter");
    ingot_tuner *tuner;
    ingot_error error;
    CHECK(ingot_tuner_create(engine, 1, &tuner, &error) == INGOT_ERR_UNSUPPORTED && tuner == NULL);
    CHECK(strstr(error.message, "not a tuning pack"));
    CHECK(ingot_tuner_create(pack, 0, &tuner, &error) == INGOT_ERR_ARGUMENT);
    CHECK(ingot_tuner_create(pack, 65, &tuner, &error) == INGOT_ERR_ARGUMENT);
    CHECK(ingot_tuner_create(NULL, 1, &tuner, &error) == INGOT_ERR_ARGUMENT);
    ingot_context *context;
    CHECK(ingot_context_create(pack, NULL, &context, &error) == INGOT_ERR_UNSUPPORTED && context == NULL);
    CHECK(strstr(error.message, "this is a tuning pack"));
    CHECK(ingot_self_test(pack, &error) != INGOT_OK);
    ingot_tuner_destroy(NULL);
    ingot_engine_close(pack);
    ingot_engine_close(engine);
#if defined(__x86_64__)
    const char *foreign = "packs/aarch64", *wanted = "wanted aarch64, found x86-64";
#else
    const char *foreign = "packs/x86-64", *wanted = "wanted x86-64-v3, found aarch64";
#endif
    pack = open_engine(foreign);
    CHECK(ingot_tuner_create(pack, 1, &tuner, &error) == INGOT_ERR_NO_VARIANT);
    CHECK(strstr(error.message, wanted));
    ingot_engine_close(pack);
}

/* A pack for x86-64-v3 is measured with the kernels of such a processor, whatever this one has. */
static void takes_the_kernels_of_the_level(void) {
#if defined(__x86_64__)
    if (!ingot_isa_available(INGOT_ISA_AVX2)) return;
    ingot_engine *engine = open_engine("packs/x86-64");
    ingot_tuner *tuner;
    ingot_timing timings[32];
    CHECK(ingot_tuner_create(engine, 1, &tuner, NULL) == INGOT_OK);
    for (uint32_t first = 0; first < ingot_tuner_count(tuner); first = ingot_tuner_next(tuner, first)) {
        CHECK(ingot_tuner_measure(tuner, first, 0, NULL, timings, NULL) == INGOT_OK);
        for (uint32_t i = first; i < ingot_tuner_next(tuner, first); i++) {
            const ingot_kernel *kernel = engine->programs[i].steps[0].kernel;
            ingot_run_fn wanted = ingot_kernel_run(kernel, INGOT_ISA_AVX2);
            if (!wanted) wanted = ingot_kernel_run(kernel, INGOT_ISA_PORTABLE);
            CHECK(ingot_tuner_context(tuner, i)->steps[0].run == wanted);
        }
    }
    ingot_tuner_destroy(tuner);
    ingot_engine_close(engine);
#endif
}

static void floats_are_moderate(void) {
    float values[1000];
    int negative = 0;
    ingot_fill_moderate(values, INGOT_F32, sizeof values, 7);
    for (int i = 0; i < 1000; i++) {
        float size = values[i] < 0 ? -values[i] : values[i];
        CHECK(size >= 0.5f && size < 1);
        negative += values[i] < 0;
    }
    CHECK(negative > 400 && negative < 600);
    uint16_t halves[1000];
    ingot_fill_moderate(halves, INGOT_F16, sizeof halves, 7);
    for (int i = 0; i < 1000; i++) CHECK((halves[i] & 0x7c00) == 0x3800);
    ingot_fill_moderate(halves, INGOT_BF16, sizeof halves, 7);
    for (int i = 0; i < 1000; i++) CHECK((halves[i] & 0x7f80) == 0x3f00);
    uint8_t bytes[1000], random[1000];
    ingot_fill_moderate(bytes, INGOT_I8, sizeof bytes, 7);
    ingot_fill_random(random, INGOT_I8, sizeof random, 7);
    CHECK(memcmp(bytes, random, sizeof bytes) == 0);
}

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static char file[64]; /* of this process, in the folder the test runs in */

static size_t read_file(char *text, size_t room) {
    FILE *f = fopen(file, "rb");
    CHECK(f);
    size_t size = fread(text, 1, room - 1, f);
    text[size] = 0;
    fclose(f);
    return size;
}

static void write_file(const char *text, size_t size) {
    FILE *f = fopen(file, "wb");
    CHECK(f && fwrite(text, 1, size, f) == size && fclose(f) == 0);
}

static ingot_status opens(const char *text, size_t size, uint32_t count) {
    write_file(text, size);
    ingot_timings timings;
    ingot_error error;
    ingot_status status = ingot_timings_open(&timings, file, 0, &error);
    if (!status) {
        CHECK(timings.count == count);
        ingot_timings_close(&timings);
    } else {
        CHECK(strstr(error.message, file));
    }
    return status;
}

static void text(void) {
    char b[] = "t\tb\tk\t1\t2", a[] = "t\ta\tk v\t1\t2", machine[] = "# machine m";
    ingot_timings timings;
    ingot_error error;
    CHECK(ingot_timings_open(&timings, NULL, 2, &error) == INGOT_OK);
    ingot_timings_put(&timings, b, &(ingot_timing){.median_ns = 1234.56, .spread_ns = 0.04, .samples = 5});
    ingot_timings_put(&timings, a, &(ingot_timing){.median_ns = 1, .samples = 3});
    ingot_timings_put(&timings, a, &(ingot_timing){.median_ns = 2, .samples = 4});
    ingot_timings_add_machine(&timings, machine);
    ingot_timings_add_machine(&timings, machine);
    CHECK(timings.count == 2 && timings.machine_count == 1);
    CHECK(ingot_timings_has(&timings, "t\ta\tk v\t1\t2") && !ingot_timings_has(&timings, "t\ta\tk v\t1\t1"));
    CHECK(ingot_timings_save(&timings, file, 0, &error) == INGOT_OK);
    char found[512], path[512];
    size_t size; /* of what Python writes of the same; the last 72 bytes are its checksum */
    snprintf(path, sizeof path, "%s/example.timings", folder);
    uint8_t *expected = harness_read(path, &size);
    CHECK(read_file(found, sizeof found) == size - 72 && memcmp(found, expected, size - 72) == 0);
    CHECK(ingot_timings_save(&timings, file, 1, &error) == INGOT_OK);
    ingot_timings_close(&timings);
    const size_t sealed = read_file(found, sizeof found);
    CHECK(sealed == size && memcmp(found, expected, size) == 0);
    free(expected);

    CHECK(opens(found, sealed, 2) == INGOT_OK);
    for (size_t cut = 0; cut < sealed; cut++) { /* what was cut off while it was written keeps its whole lines */
        uint32_t lines = 0;                     /* the first two are none of timings */
        for (size_t i = 33; i < cut && i < sealed - 72; i++) lines += found[i] == '\n';
        ingot_status wanted = cut < 21 ? INGOT_ERR_FORMAT : INGOT_OK;
        CHECK(opens(found, cut, lines) == wanted);
    }
    for (size_t at = 0; at < sealed; at++) { /* of a finished file every change shows */
        char was = found[at];
        found[at] ^= 1;
        ingot_status status = opens(found, sealed, 2);
        CHECK(status == INGOT_ERR_FORMAT || status == INGOT_ERR_CHECKSUM);
        found[at] = was;
    }
    static const char *const damaged[] = {
        "",
        "\n",
        "ingot timing cache 2\n",
        "ingot timing cache 1\nx\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\t1.0\t0.0\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\t1.0\t0.0\t3\t4\n",
        "ingot timing cache 1\nt\tb\tk\tx\t2\t1.0\t0.0\t3\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\tnan\t0.0\t3\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\t1.\t0.0\t3\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\t1.0\t-1\t3\n",
        "ingot timing cache 1\nt\t\tk\t1\t2\t1.0\t0.0\t3\n",
        "ingot timing cache 1\nt\tb\tk\t1\t2\t1.0\t0.0\t3\nt\tb\tk\t1\t2\t1.0\t0.0\t3\n",
    };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++)
        CHECK(opens(damaged[i], strlen(damaged[i]), 0) == INGOT_ERR_FORMAT);
    CHECK(remove(file) == 0);
    CHECK(ingot_timings_open(&timings, file, 0, &error) == INGOT_ERR_FILE && strstr(error.message, file));
    CHECK(ingot_timings_open(&timings, NULL, 0, &error) == INGOT_OK);
    CHECK(ingot_timings_save(&timings, "no/such/folder/timings", 1, &error) == INGOT_ERR_FILE);
    ingot_timings_close(&timings);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    folder = arguments[1];
    snprintf(file, sizeof file, "test_tune_%ld.timings", (long)getpid());
    for (uint32_t threads = 1; threads <= 2; threads++) {
        measures("packs/warm", threads);
        measures("packs/cold", threads);
    }
    refuses();
    takes_the_kernels_of_the_level();
    floats_are_moderate();
    text();
    return 0;
}
