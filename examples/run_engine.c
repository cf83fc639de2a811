/* Runs an engine once: run_engine ENGINE [FILE ...], one raw file an input in order; inputs without a file are zero. */
#include <ingot.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

int main(int argc, char **argv) {
    ingot_engine *engine = NULL;
    ingot_context *context = NULL;
    ingot_error error;
    if (argc < 2) return fail("usage", "run_engine ENGINE [RAW_INPUT_FILE ...]");
    if (ingot_engine_open_file(argv[1], NULL, &engine, &error)) return fail(argv[1], error.message);
    if (ingot_context_create(engine, NULL, &context, &error)) return fail(argv[1], error.message);

    for (uint32_t i = 0; i < ingot_engine_io_count(engine); ++i) {
        ingot_io_info io = {.size = sizeof io};
        ingot_engine_io_info(engine, i, &io);
        printf("%s %s: dtype %u, shape", io.is_output ? "output" : "input", io.name, io.dtype);
        for (uint32_t axis = 0; axis < io.rank; ++axis) printf(" %lld", (long long)io.dims[axis]);
        printf(", %llu bytes\n", (unsigned long long)io.bytes);
        if (io.is_output) continue;
        memset(ingot_context_data(context, i), 0, io.bytes);
        if (i + 2 >= (uint32_t)argc) continue;
        FILE *file = fopen(argv[i + 2], "rb");
        if (!file || fread(ingot_context_data(context, i), 1, io.bytes, file) != io.bytes)
            return fail(argv[i + 2], "cannot be read, or is shorter than the input");
        fclose(file);
    }
    if (ingot_context_run(context, &error)) return fail("run", error.message);

    for (uint32_t i = 0; i < ingot_engine_io_count(engine); ++i) {
        ingot_io_info io = {.size = sizeof io};
        ingot_engine_io_info(engine, i, &io);
        const float *values = ingot_context_data(context, i);
        if (!io.is_output || io.dtype != 1) continue; /* 1: float32 */
        printf("%s =", io.name);
        for (uint64_t k = 0; k < io.bytes / sizeof *values && k < 16; ++k) printf(" %g", (double)values[k]);
        puts("");
    }
    ingot_context_destroy(context);
    ingot_engine_close(engine);
}
