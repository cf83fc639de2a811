/* libFuzzer target: whatever bytes come, checksums are made right, the engine is opened, and run if it is accepted. */
#include <stdlib.h>
#include <string.h>

#include "harness.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Mutants enter the corpus with right checksums: their offspring differ where it matters. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed) {
    (void)seed;
    size = LLVMFuzzerMutate(data, size, room);
    harness_reseal(data, size);
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = harness_allocate(size, 256);
    memcpy(bytes, data, size);
    harness_reseal(bytes, size);
    const harness_limits limits = {.memory = 1 << 20, .threads = 1, .apart = 1};
    ingot_error error;
    harness_exercise(bytes, size, &limits, &error);
    free(bytes);
    return 0;
}
