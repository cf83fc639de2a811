/* allocation ENGINE...: the n-th allocation of the library fails, for every n: open and create answer with a clean
 * status and leave nothing behind. Linked with --wrap, so that only the library's own calls fail. */
#include "check.h"
#include "harness.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

static long until_failure = -1; /* allocations that still succeed; negative: all */
static long alive;

static int fails(void) { return until_failure >= 0 && until_failure-- == 0; }
static void *counted(void *block) {
    alive += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : counted(__real_malloc(size)); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : counted(__real_calloc(count, size)); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}
void __wrap_free(void *block) {
    alive -= block != NULL;
    __real_free(block);
}

/* Returns whether all went well. */
static int attempt(const uint8_t *bytes, size_t size, const char *path, uint32_t threads) {
    ingot_engine *engine = NULL;
    ingot_context *context = NULL;
    ingot_error error;
    ingot_context_options options = {.size = sizeof options, .threads = threads};
    ingot_status status = path ? ingot_engine_open_file(path, NULL, &engine, &error)
                               : ingot_engine_open(bytes, size, NULL, &engine, &error);
    if (status == INGOT_OK) status = ingot_context_create(engine, &options, &context, &error);
    if (status == INGOT_OK) {
        ingot_context_run(context, &error);
        status = ingot_self_test(engine, &error);
        if (status == INGOT_ERR_UNSUPPORTED) status = INGOT_OK; /* it has none */
    } else {
        CHECK(context == NULL);
    }
    ingot_context_destroy(context);
    ingot_engine_close(engine);
    CHECK(status == INGOT_OK || (status == INGOT_ERR_MEMORY && error.status == status && error.message[0]));
    return status == INGOT_OK;
}

int main(int count, char **paths) {
    CHECK(count > 1);
    long ladder = 0;
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *bytes = harness_read(paths[i], &size);
        for (int way = 0; way < 3; way++) {
            long before = alive;
            for (long n = 0;; n++) {
                until_failure = n;
                int done = attempt(bytes, size, way == 1 ? paths[i] : NULL, way == 2 ? 2 : 1);
                int untouched = until_failure > 0 || (until_failure == 0 && done);
                until_failure = -1;
                CHECK(alive == before);
                CHECK(done == untouched);
                ladder++;
                if (done) break;
            }
        }
        free(bytes);
    }
    printf("%ld allocations failed one after the other, none of them did harm\n", ladder);
    return 0;
}
