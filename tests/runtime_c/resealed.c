/* resealed ENGINE...: every byte outside the constants set to 0, 0xff, ^ 1 and ^ 0x80 with all checksums made right
 * again. The engine is refused, or opens and runs and touches nothing it should not, which a sanitizer judges. */
#define _POSIX_C_SOURCE 200809L /* alarm, sigaction */
#include <signal.h>
#include <unistd.h>

#include "check.h"
#include "harness.h"
#include "ingot_format.h"

enum { SECONDS = 30 }; /* for one engine to open and run: more is a loop that hostile numbers drive */

static char now[256]; /* what is being tried, for the report of whoever ends us */
static size_t now_length;

static void report(int signal_number) {
    ssize_t written = write(2, now, now_length);
    (void)written;
    _exit(signal_number == SIGALRM ? 3 : 4);
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_set_death_callback(void (*callback)(void));
#endif
static void report_death(void) {
    ssize_t written = write(2, now, now_length);
    (void)written;
}

static int in_constants(const uint8_t *bytes, size_t at) {
    ingot_header header;
    memcpy(&header, bytes, sizeof header);
    for (uint32_t i = 0; i < header.section_count; i++) {
        ingot_section section;
        memcpy(&section, bytes + sizeof header + i * sizeof section, sizeof section);
        if (section.kind == INGOT_SECTION_CONSTANTS && at >= section.offset && at < section.offset + section.size)
            return 1;
    }
    return 0;
}

static void try_all(const char *path, const uint8_t *original, size_t size) {
    harness_limits limits = {.memory = 64 << 20, .threads = 1, .apart = 1};
    uint8_t *bytes = harness_allocate(size, 256);
    size_t tried = 0, opened = 0;
    for (size_t at = 0; at < size; at++) {
        if (in_constants(original, at)) continue;
        const uint8_t values[] = {0, 0xff, original[at] ^ 1, original[at] ^ 0x80};
        for (size_t k = 0; k < sizeof values; k++) {
            if (values[k] == original[at]) continue;
            int length = snprintf(now, sizeof now, "%.180s: byte %zu set to 0x%02x\n", path, at, values[k]);
            now_length = (size_t)length;
            memcpy(bytes, original, size);
            bytes[at] = values[k];
            harness_reseal(bytes, size);
            alarm(SECONDS);
            ingot_error error;
            opened += harness_exercise(bytes, size, &limits, &error) == INGOT_OK;
            tried++;
        }
    }
    alarm(0);
    printf("%s: %zu changes, %zu of them ran\n", path, tried, opened);
    fflush(stdout);
    free(bytes);
}

int main(int count, char **paths) {
    CHECK(count > 1);
    struct sigaction action = {.sa_handler = report};
    sigaction(SIGALRM, &action, NULL);
#if defined(__SANITIZE_ADDRESS__)
    __asan_set_death_callback(report_death);
#else
    sigaction(SIGSEGV, &action, NULL);
    (void)report_death;
#endif
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *bytes = harness_read(paths[i], &size);
        ingot_error error;
        harness_limits limits = {.memory = 1 << 30, .threads = 2, .apart = 1};
        if (harness_exercise(bytes, size, &limits, &error)) {
            fprintf(stderr, "%s: %s\n", paths[i], error.message);
            return 1;
        }
        try_all(paths[i], bytes, size);
        free(bytes);
    }
    return 0;
}
