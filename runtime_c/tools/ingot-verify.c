/* ingot-verify [--self-test] ENGINE...: every check of the loader, of every variant, and the SHA-256 identity. For each
 * file a line on standard output: OK, or the reason and the byte. No device is needed but for the self-test. */
#include <stdio.h>
#include <string.h>

#include "ingot.h"

static int refuse(const char *path, const ingot_error *error) {
    printf("%s: %s: %s\n", path, ingot_status_name(error->status), error->message);
    return 1;
}

static int verify(const char *path, int self_test) {
    ingot_options options = {.size = sizeof options, .flags = INGOT_OPEN_CHECK_SHA256 | INGOT_OPEN_ANY_MACHINE};
    ingot_engine *engine;
    ingot_error error;
    if (ingot_engine_open_file(path, &options, &engine, &error)) return refuse(path, &error);
    ingot_status tested = self_test ? ingot_self_test(engine, &error) : INGOT_OK;
    int none = tested == INGOT_ERR_UNSUPPORTED, failed = tested && !none ? refuse(path, &error) : 0;
    ingot_engine_info info = {.size = sizeof info};
    ingot_engine_get_info(engine, &info);
    if (!failed)
        printf("%s: OK (%s, %s, %u steps%s%s%s)\n", path, info.variant, info.isa, info.step_count,
               none ? ", no self-test" : "", info.unfit ? "; this machine cannot run it: " : "",
               info.unfit ? info.unfit : "");
    ingot_engine_close(engine);
    return failed;
}

int main(int count, char **arguments) {
    int first = 1, self_test = 0, failed = 0;
    if (count > 1 && strcmp(arguments[1], "--self-test") == 0) self_test = 1, first = 2;
    const int help = count == 2 && strcmp(arguments[1], "--help") == 0;
    if (first >= count || arguments[first][0] == '-') {
        fprintf(help ? stdout : stderr, "usage: ingot-verify [--self-test] ENGINE...\n");
        return help ? 0 : 2;
    }
    for (int i = first; i < count; i++) failed |= verify(arguments[i], self_test);
    return failed;
}
