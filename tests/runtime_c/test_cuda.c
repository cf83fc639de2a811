/* test_cuda DRIVER FOLDER: CUDA engines on a driver that is none (fake_cuda.c), or without one when DRIVER is "none".
 */
#include <dlfcn.h>

#include "check.h"
#include "fake_cuda.h"
#include "harness.h"

enum { LENGTH = 64, LOST = 700 };

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static long until_failure = -1; /* allocations of the host that still succeed; negative: all */
static int fails(void) { return until_failure >= 0 && until_failure-- == 0; }
void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : __real_calloc(count, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

static fake_cuda *fake;
static int *lose;
static void *(*allocate)(uint64_t);
static void (*release)(void *), (*write_device)(void *, const void *, uint64_t),
    (*read_device)(void *, const void *, uint64_t);
static const char *folder;

typedef struct opened {
    ingot_engine *engine;
    ingot_context *context;
    ingot_error error;
    uint8_t *bytes;
} opened;

static ingot_status open_engine(opened *o, const char *name, uint32_t flags) {
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "%s/%s.ingot", folder, name);
    *o = (opened){.bytes = harness_read(path, &size)};
    const ingot_options options = {.size = sizeof options, .flags = flags};
    return ingot_engine_open(o->bytes, size, &options, &o->engine, &o->error);
}

static ingot_status make(opened *o, const char *name, uint32_t wait) {
    const ingot_context_options options = {.size = sizeof options, .wait = wait};
    ingot_status status = open_engine(o, name, 0);
    return status ? status : ingot_context_create(o->engine, &options, &o->context, &o->error);
}

static void end(opened *o) {
    ingot_context_destroy(o->context);
    ingot_engine_close(o->engine);
    free(o->bytes);
}

static float weight(int i) { return (float)(i - 32) / 8; }

/* What the engine "branches" computes. */
static float expected(float x, int i) {
    const float w = weight(i), start = x * w;
    return -(start > 0 ? start : 0) + (start + w) * (start + w);
}

static void give(float *x, float seed) {
    for (int i = 0; i < LENGTH; i++) x[i] = seed + (float)i / 16;
}

static void compare(const float *y, float seed) {
    for (int i = 0; i < LENGTH; i++) CHECK(y[i] == expected(seed + (float)i / 16, i));
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static void refuses(const char *name, const char *what, const char *found) {
    opened o;
    CHECK(make(&o, name, 0) == INGOT_ERR_NO_VARIANT);
    CHECK(strstr(o.error.message, what) && strstr(o.error.message, found) && strstr(o.error.message, "jetson"));
    CHECK(o.error.offset != UINT64_MAX);
    end(&o);
    /* It can still be looked at, and checked completely. */
    CHECK(open_engine(&o, name, INGOT_OPEN_ANY_MACHINE) == INGOT_OK);
    CHECK(ingot_engine_io_count(o.engine) == 2);
    CHECK(ingot_context_create(o.engine, NULL, &o.context, &o.error) == INGOT_ERR_NO_VARIANT);
    CHECK(strstr(o.error.message, found));
    CHECK(ingot_self_test(o.engine, &o.error) == INGOT_ERR_NO_VARIANT);
    end(&o);
}

static void test_machines(void) {
    const fake_cuda usual = *fake;
    fake->arch = 90;
    refuses("branches", "sm_87", "sm_90");
    *fake = usual;
    refuses("newest", "13.0", "12.6");
    *fake = usual, fake->devices = 0;
    refuses("branches", "sm_87", "0 devices");
    *fake = usual, fake->shared = 49152;
    refuses("branches", "60000", "49152");
    *fake = usual, fake->memory = 1000;
    opened o;
    CHECK(make(&o, "branches", 0) == INGOT_ERR_MEMORY);
    CHECK(strstr(o.error.message, "1000"));
    end(&o);
    fake->memory = usual.memory;
    const ingot_options second = {.size = sizeof second, .device = 2};
    size_t size;
    char path[512];
    snprintf(path, sizeof path, "%s/branches.ingot", folder);
    o = (opened){.bytes = harness_read(path, &size)};
    CHECK(ingot_engine_open(o.bytes, size, &second, &o.engine, &o.error) == INGOT_ERR_NO_VARIANT);
    fake->devices = 2;
    CHECK(ingot_engine_open(o.bytes, size, &second, &o.engine, &o.error) == INGOT_OK);
    end(&o);
    CHECK(open_engine(&o, "branches", INGOT_OPEN_SAME_BITS) == INGOT_ERR_NO_VARIANT);
    end(&o);
    *fake = usual;
}

/* ---- running
 * --------------------------------------------------------------------------------------------------------- */

static void test_runs(uint32_t wait, int integrated) {
    opened o;
    fake->integrated = integrated;
    CHECK(make(&o, "branches", wait) == INGOT_OK);
    ingot_engine_info info = {.size = sizeof info};
    CHECK(ingot_engine_get_info(o.engine, &info) == INGOT_OK);
    CHECK(strcmp(info.isa, "sm_87") == 0 && strcmp(info.variant, "jetson") == 0);
    float *x = ingot_context_data(o.context, 0), *y = ingot_context_data(o.context, 1);
    const long copies = fake->copies, runs = wait == INGOT_WAIT_POLL ? 100 : 1000; /* the fake never writes by itself */
    for (long i = 0; i < runs; i++) {
        const fake_cuda before = *fake;
        give(x, (float)(i % 7));
        CHECK(ingot_context_run(o.context, &o.error) == INGOT_OK);
        compare(y, (float)(i % 7));
        /* A launch, a wait, and the context made current for both: nothing else, and nothing is made. */
        const int block = wait == INGOT_WAIT_BLOCK;
        const long slept = fake->synchronisations - before.synchronisations, asked = fake->queries - before.queries;
        CHECK(fake->launches == before.launches + 1 && fake->alive == before.alive && fake->current == 0);
        CHECK(asked >= 1 && slept == (block && fake->slow) && fake->records == before.records + block);
        CHECK(fake->calls == before.calls + 3 + asked + slept + block);
        if (block) fake->slow = i % 2 != 0;
    }
    fake->slow = 0;
    /* An integrated device uses pinned memory in place; the word that is polled is copied everywhere. */
    CHECK(fake->copies - copies == runs * ((integrated ? 0 : 2) + (wait == INGOT_WAIT_POLL)));
    ingot_stats stats = {.size = sizeof stats};
    CHECK(ingot_context_stats(o.context, &stats) == INGOT_OK);
    CHECK(stats.runs == (uint64_t)runs && stats.device_bytes > 3 * 256 && stats.pinned_bytes >= 512 &&
          stats.host_bytes);
    uint64_t times[6];
    give(x, 3);
    CHECK(ingot_context_profile(o.context, times, 6, &o.error) == INGOT_OK);
    compare(y, 3);
    for (int i = 0; i < 6; i++) CHECK(times[i] == 250000);
    CHECK(ingot_self_test(o.engine, &o.error) == INGOT_OK);
    end(&o);
    fake->integrated = 0;
    CHECK(fake->alive == 0 && fake->current == 0);
}

static void test_enqueue(uint32_t wait) {
    opened o;
    int stream;
    CHECK(make(&o, "branches", wait) == INGOT_OK);
    float *x = ingot_context_data(o.context, 0), *y = ingot_context_data(o.context, 1);
    CHECK(ingot_context_wait(o.context, &o.error) == INGOT_OK); /* nothing to wait for */
    void *streams[] = {&stream, NULL};
    for (int i = 0; i < 2; i++) {
        give(x, (float)i);
        CHECK(ingot_context_enqueue(o.context, streams[i], &o.error) == INGOT_OK);
        CHECK(ingot_context_wait(o.context, &o.error) == INGOT_OK);
        compare(y, (float)i);
    }
    float elsewhere[LENGTH];
    CHECK(ingot_context_bind(o.context, 0, elsewhere, sizeof elsewhere, &o.error) == INGOT_OK);
    CHECK(ingot_context_enqueue(o.context, NULL, &o.error) == INGOT_ERR_UNSUPPORTED);
    CHECK(strstr(o.error.message, "pinned"));
    CHECK(ingot_context_bind(o.context, 0, NULL, 0, &o.error) == INGOT_OK);
    CHECK(ingot_context_enqueue(o.context, NULL, &o.error) == INGOT_OK);
    end(&o); /* while it is under way */
    CHECK(fake->alive == 0 && fake->current == 0);
}

/* Any of the four kinds of memory for the input with any for the output. */
static void test_bind(int integrated) {
    opened o;
    fake->integrated = integrated;
    CHECK(make(&o, "branches", INGOT_WAIT_SPIN) == INGOT_OK);
    opened pinned; /* another context's own buffers are pinned memory */
    CHECK(make(&pinned, "branches", INGOT_WAIT_SPIN) == INGOT_OK);
    float plain[2][LENGTH], values[LENGTH];
    const size_t size = sizeof values;
    void *device[2] = {allocate(size), allocate(size)};
    for (int k = 0; k < 16; k++) {
        void *places[2][4] = {{NULL, plain[0], ingot_context_data(pinned.context, 0), device[0]},
                              {NULL, plain[1], ingot_context_data(pinned.context, 1), device[1]}};
        void *from = places[0][k % 4], *to = places[1][k / 4];
        CHECK(ingot_context_bind(o.context, 0, from, from ? size : 0, &o.error) == INGOT_OK);
        CHECK(ingot_context_bind(o.context, 1, to, to ? size : 0, &o.error) == INGOT_OK);
        give(values, (float)k);
        float *x = ingot_context_data(o.context, 0), *y = ingot_context_data(o.context, 1);
        CHECK((!from || x == from) && (!to || y == to));
        if (from == device[0])
            write_device(from, values, size);
        else
            memcpy(x, values, size);
        CHECK(ingot_context_run(o.context, &o.error) == INGOT_OK);
        if (to == device[1])
            read_device(values, to, size);
        else
            memcpy(values, y, size);
        compare(values, (float)k);
        uint64_t times[6];
        CHECK(ingot_context_profile(o.context, times, 6, &o.error) == INGOT_OK);
    }
    CHECK(ingot_context_bind(o.context, 0, device[0], size - 4, &o.error) == INGOT_ERR_SHAPE);
    CHECK(ingot_context_bind(o.context, 0, (uint8_t *)device[0] + 2, size, &o.error) == INGOT_ERR_ALIGNMENT);
    release(device[0]), release(device[1]);
    end(&o), end(&pinned);
    fake->integrated = 0;
    CHECK(fake->alive == 0);
}

static void test_state(void) {
    opened o;
    const uint32_t bits = 0x40404040;
    float first;
    memcpy(&first, &bits, sizeof first);
    CHECK(make(&o, "counter", INGOT_WAIT_BLOCK) == INGOT_OK);
    float *x = ingot_context_data(o.context, 0), *y = ingot_context_data(o.context, 1);
    for (int round = 0; round < 2; round++) {
        float total = first;
        for (int i = 0; i < 3; i++) {
            for (int k = 0; k < 16; k++) x[k] = 1;
            CHECK(ingot_context_run(o.context, &o.error) == INGOT_OK);
            total += 1;
            for (int k = 0; k < 16; k++) CHECK(y[k] == -total);
        }
        CHECK(ingot_context_reset(o.context) == INGOT_OK);
    }
    end(&o);
}

static void test_index(uint32_t wait) {
    opened o;
    CHECK(make(&o, "gather", wait) == INGOT_OK);
    int64_t *index = ingot_context_data(o.context, 0);
    const float *y = ingot_context_data(o.context, 1);
    for (int round = 0; round < 2; round++) {
        index[3] = 64;
        CHECK(ingot_context_run(o.context, &o.error) == INGOT_ERR_INDEX);
        CHECK(strstr(o.error.message, "look it up"));
        index[3] = 63;
        CHECK(ingot_context_run(o.context, &o.error) == INGOT_OK);
        CHECK(y[3] == weight(63) && y[0] == weight(0));
    }
    end(&o);
}

/* The caller's blocks: pinned memory that the driver does not know is registered as long as the context lives. */
static void test_blocks(void) {
    opened o;
    CHECK(open_engine(&o, "branches", 0) == INGOT_OK);
    ingot_memory memory = {.size = sizeof memory};
    CHECK(ingot_context_memory(o.engine, NULL, &memory, &o.error) == INGOT_OK);
    CHECK(memory.host_size % 4096 == 0 && memory.pinned_size % 4096 == 0 && memory.device_size % 256 == 0);
    memory.host = harness_allocate(memory.host_size, 4096);
    memory.pinned = harness_allocate(memory.pinned_size, 4096);
    memory.device = allocate(memory.device_size);
    const long alive = fake->alive;
    CHECK(ingot_context_init(o.engine, NULL, &memory, &o.context, &o.error) == INGOT_OK);
    uint8_t *x = ingot_context_data(o.context, 0);
    CHECK(x >= (uint8_t *)memory.pinned && x < (uint8_t *)memory.pinned + memory.pinned_size);
    CHECK(fake->registered == 1);
    give((float *)(void *)x, 2);
    CHECK(ingot_context_run(o.context, &o.error) == INGOT_OK);
    compare(ingot_context_data(o.context, 1), 2);
    ingot_context_destroy(o.context);
    o.context = NULL;
    CHECK(fake->alive == alive);
    memory.device_size -= 256;
    CHECK(ingot_context_init(o.engine, NULL, &memory, &o.context, &o.error) == INGOT_ERR_MEMORY);
    memory.device_size += 256, memory.pinned_size -= 1;
    CHECK(ingot_context_init(o.engine, NULL, &memory, &o.context, &o.error) == INGOT_ERR_MEMORY);
    release(memory.device), free(memory.pinned), free(memory.host);
    end(&o);
    CHECK(fake->alive == 0);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static ingot_status whole_life(opened *o, uint32_t wait) {
    ingot_status status = make(o, "branches", wait);
    float plain[LENGTH];
    void *device = allocate(sizeof plain);
    uint64_t times[6];
    give(plain, 0);
    write_device(device, plain, sizeof plain);
    if (!status) status = ingot_context_bind(o->context, 0, device, sizeof plain, &o->error);
    if (!status) status = ingot_context_bind(o->context, 1, plain, sizeof plain, &o->error);
    if (!status) status = ingot_context_run(o->context, &o->error);
    if (!status) compare(plain, 0);
    if (!status) status = ingot_context_profile(o->context, times, 6, &o->error);
    if (!status) status = ingot_context_bind(o->context, 1, NULL, 0, &o->error);
    if (!status) status = ingot_context_enqueue(o->context, NULL, &o->error);
    if (!status) status = ingot_context_wait(o->context, &o->error);
    if (!status && (status = ingot_context_reset(o->context))) /* gives no message */
        o->error = (ingot_error){.status = status, .message = "reset"};
    end(o);
    release(device);
    return status;
}

/* Every call of the driver fails in turn: a clear status with the call's name, nothing left behind. */
static void test_failures(uint32_t wait) {
    opened o;
    fake->error = 2; /* out of memory */
    int refused = 0;
    for (long n = 1;; n++) {
        fake->calls = 0;
        fake->failed = NULL;
        fake->fail_at = n;
        ingot_status status = whole_life(&o, wait);
        fake->fail_at = 0;
        CHECK(fake->alive == 0 && fake->current == 0);
        if (!fake->failed) break;
        if (status == INGOT_OK) continue; /* a call whose failure says nothing, such as those of the end */
        CHECK(status == INGOT_ERR_MEMORY || status == INGOT_ERR_DEVICE || status == INGOT_ERR_NO_VARIANT);
        CHECK(o.error.status == status && o.error.message[0]);
        refused++;
    }
    CHECK(refused > 60);
}

/* The host has no memory for one of the things that a context takes. */
static void test_host_memory(void) {
    opened o;
    CHECK(open_engine(&o, "branches", 0) == INGOT_OK);
    long n = 0;
    for (ingot_status status = INGOT_ERR_MEMORY; status; n++) {
        until_failure = n;
        status = ingot_context_create(o.engine, NULL, &o.context, &o.error);
        until_failure = -1;
        CHECK(status == INGOT_OK || (status == INGOT_ERR_MEMORY && !o.context && o.error.message[0]));
        CHECK(status == INGOT_OK || (fake->alive == 0 && fake->current == 0));
    }
    CHECK(n > 6);
    end(&o);
}

static void test_lost(uint32_t wait) {
    opened o;
    CHECK(make(&o, "branches", wait) == INGOT_OK);
    *lose = 1;
    CHECK(ingot_context_run(o.context, &o.error) == INGOT_ERR_DEVICE);
    CHECK(strstr(o.error.message, "CUDA_ERROR_ILLEGAL_ADDRESS"));
    *lose = 0;
    const long launches = fake->launches;
    CHECK(ingot_context_run(o.context, &o.error) == INGOT_ERR_DEVICE);
    CHECK(strstr(o.error.message, "lost") && fake->launches == launches);
    CHECK(ingot_context_wait(o.context, &o.error) == INGOT_ERR_DEVICE);
    CHECK(ingot_context_reset(o.context) == INGOT_ERR_DEVICE);
    end(&o);
    CHECK(fake->alive == 0 && fake->current == 0);
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found);
    return found;
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    folder = arguments[2];
    if (strcmp(arguments[1], "none") == 0) {
        refuses("branches", "sm_87", "no CUDA driver");
        return 0;
    }
    /* By its path first: the runtime asks for the name. */
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    fake = symbol(library, "fake_cuda_state");
    lose = symbol(library, "fake_cuda_lose");
    *(void **)&allocate = symbol(library, "fake_cuda_allocate");
    *(void **)&release = symbol(library, "fake_cuda_free");
    *(void **)&write_device = symbol(library, "fake_cuda_write");
    *(void **)&read_device = symbol(library, "fake_cuda_read");
    test_machines();
    for (uint32_t wait = INGOT_WAIT_BLOCK; wait <= INGOT_WAIT_POLL; wait++) {
        test_runs(wait, 0);
        test_runs(wait, 1);
        test_enqueue(wait);
        test_index(wait);
        test_failures(wait);
        test_lost(wait);
    }
    test_bind(0);
    test_bind(1);
    test_state();
    test_blocks();
    test_host_memory();
    return 0;
}
