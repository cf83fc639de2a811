/* damage ENGINE...: every length, and every byte changed in three ways, is refused by open and by check. */
#include "check.h"
#include "harness.h"

static int refused(const uint8_t *bytes, size_t size) {
    ingot_engine *engine = NULL;
    ingot_error error;
    if (ingot_engine_open(bytes, size, NULL, &engine, &error) == INGOT_OK) {
        ingot_engine_close(engine);
        return 0;
    }
    CHECK(engine == NULL && error.status != INGOT_OK && error.message[0]);
    return ingot_engine_check(bytes, size, NULL, &error) == error.status && error.status != INGOT_OK;
}

static void lengths(const char *path, const uint8_t *bytes, size_t size) {
    for (size_t length = 0; length <= size + 64; length++) {
        /* A block of exactly that length: a sanitizer sees whoever looks behind it. Past one page a step is enough to
         * copy, since the header alone decides. */
        if (length == size) continue;
        uint8_t *copy = harness_allocate(length, 256);
        size_t have = length < size ? length : size;
        memcpy(copy, bytes, have < 65536 ? have : 65536);
        if (length > size) memset(copy + size, 0, length - size);
        if (!refused(copy, length)) {
            fprintf(stderr, "%s: accepted with %zu of %zu bytes\n", path, length, size);
            exit(1);
        }
        free(copy);
    }
}

static void bytes_changed(const char *path, uint8_t *bytes, size_t size) {
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    for (size_t at = 0; at < size; at++)
        for (size_t k = 0; k < sizeof flips; k++) {
            bytes[at] ^= flips[k];
            if (!refused(bytes, size)) {
                fprintf(stderr, "%s: accepted with byte %zu ^ 0x%02x\n", path, at, flips[k]);
                exit(1);
            }
            bytes[at] ^= flips[k];
        }
}

int main(int count, char **paths) {
    CHECK(count > 1);
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *bytes = harness_read(paths[i], &size);
        ingot_error error;
        if (ingot_engine_check(bytes, size, NULL, &error)) {
            fprintf(stderr, "%s: %s\n", paths[i], error.message);
            return 1;
        }
        lengths(paths[i], bytes, size);
        bytes_changed(paths[i], bytes, size);
        CHECK(ingot_engine_check(bytes, size, NULL, NULL) == INGOT_OK);
        printf("%s: every length but %zu and all %zu changes of a byte refused\n", paths[i], size, 3 * size);
        free(bytes);
    }
    return 0;
}
