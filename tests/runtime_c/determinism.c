/* determinism ENGINE...: the same bits for 1, 2, 3 and 5 threads, on a second run, whatever floating-point mode the
 * caller is in while a context is made and run; and a context keeps to memory of exactly the size it asked for. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <fenv.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "check.h"
#include "harness.h"
#include "internal.h"

enum { MAX_IO = 64, PAGE = 4096 };

/* Round up, subnormals flushed: what a robot linked with -ffast-math and a careless library may leave behind. */
static void spoil_mode(void) {
    fesetround(FE_UPWARD);
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" : : "r"(mode | UINT64_C(1) << 24));
#endif
}
static uint64_t current_mode(void) {
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3fU;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return (uint64_t)fegetround();
#endif
}
static void right_mode(void) { fesetenv(FE_DFL_ENV); }

typedef struct outputs {
    uint8_t *data[MAX_IO];
    uint64_t size[MAX_IO];
    ingot_status status; /* an index out of range in made-up data is fine, if it always is */
} outputs;

/* Numbers of every size: every fourth is subnormal, where flushing to zero would show. */
static void fill_input(uint8_t *data, const ingot_io_info *info, uint32_t index) {
    if (info->dtype >= INGOT_I8 && info->dtype <= INGOT_U64) {
        memset(data, 0, info->bytes);
        return;
    }
    ingot_fill_random(data, info->dtype, info->bytes, index + 1);
    for (uint64_t i = 0; info->dtype == INGOT_F32 && i + 4 <= info->bytes; i += 16) {
        uint32_t bits;
        memcpy(&bits, data + i, 4);
        bits &= 0x807fffff;
        memcpy(data + i, &bits, 4);
    }
}

/* The block lies between two pages that nobody may touch. */
static outputs run(const ingot_engine *engine, uint32_t threads, int spoilt) {
    if (spoilt) spoil_mode();
    ingot_context_options options = {.size = sizeof options, .threads = threads};
    ingot_memory memory = {.size = sizeof memory};
    ingot_error error;
    CHECK(ingot_context_memory(engine, &options, &memory, &error) == INGOT_OK);
    uint8_t *pages = mmap(NULL, memory.host_size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages + PAGE, memory.host_size, PROT_READ | PROT_WRITE) == 0);
    memory.host = pages + PAGE;
    memset(memory.host, 0xff, memory.host_size); /* NaN in every type of float, in case a step reads it unwritten */
    memory.host_size--;
    ingot_context *context;
    CHECK(ingot_context_init(engine, &options, &memory, &context, &error) == INGOT_ERR_MEMORY && !context);
    memory.host_size++;
    if (ingot_context_init(engine, &options, &memory, &context, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    uint32_t count = ingot_engine_io_count(engine);
    CHECK(count <= MAX_IO);
    ingot_io_info info = {.size = sizeof info};
    right_mode(); /* the same inputs in every mode */
    for (uint32_t i = 0; i < count; i++) {
        CHECK(ingot_engine_io_info(engine, i, &info) == INGOT_OK);
        if (!info.is_output) fill_input(ingot_context_data(context, i), &info, i);
    }
    if (spoilt) spoil_mode();
    outputs result = {0};
    uint64_t mode = current_mode();
    result.status = ingot_context_run(context, &error);
    CHECK(ingot_context_reset(context) == INGOT_OK && ingot_context_run(context, &error) == result.status);
    CHECK(mode == current_mode());
    for (uint32_t i = 0; i < count; i++) {
        CHECK(ingot_engine_io_info(engine, i, &info) == INGOT_OK);
        if (!info.is_output) continue;
        result.data[i] = harness_allocate(info.bytes, 64);
        result.size[i] = info.bytes;
        memcpy(result.data[i], ingot_context_data(context, i), info.bytes);
    }
    ingot_context_destroy(context);
    munmap(pages, memory.host_size + 2 * PAGE);
    right_mode();
    return result;
}

static void compare(const char *path, const char *what, const outputs *a, const outputs *b) {
    CHECK(a->status == b->status);
    for (uint32_t i = 0; i < MAX_IO; i++)
        for (uint64_t k = 0; a->status == INGOT_OK && k < a->size[i]; k++)
            if (a->data[i][k] != b->data[i][k]) {
                fprintf(stderr, "%s: %s: byte %llu of output %u differs\n", path, what, (unsigned long long)k, i);
                exit(1);
            }
}

static void release(outputs *o) {
    for (uint32_t i = 0; i < MAX_IO; i++) free(o->data[i]);
}

int main(int count, char **paths) {
    static const struct {
        const char *what;
        uint32_t threads;
        int spoilt;
    } runs[] = {{"one thread again", 1, 0},
                {"2 threads", 2, 0},
                {"3 threads", 3, 0},
                {"5 threads", 5, 0},
                {"another rounding mode", 1, 1},
                {"another rounding mode and 2 threads", 2, 1}};
    CHECK(count > 1);
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *bytes = harness_read(paths[i], &size);
        ingot_engine *engine;
        ingot_error error;
        if (ingot_engine_open(bytes, size, NULL, &engine, &error)) {
            fprintf(stderr, "%s: %s\n", paths[i], error.message);
            return 1;
        }
        outputs first = run(engine, 1, 0);
        for (size_t k = 0; k < sizeof runs / sizeof runs[0]; k++) {
            outputs other = run(engine, runs[k].threads, runs[k].spoilt);
            compare(paths[i], runs[k].what, &first, &other);
            release(&other);
        }
        release(&first);
        ingot_engine_close(engine);
        free(bytes);
    }
    printf("%d engines: the same bits in every way\n", count - 1);
    return 0;
}
