/* Loading the driver, and its errors. */
#define _POSIX_C_SOURCE 200809L
#include "driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static const char LIBRARY[] = "libcuda.so.1";

/* What loading found, for all threads that ask. */
static struct {
    pthread_once_t once;
    ingot_driver driver;
    int usable;
    ingot_error error;
} loaded = {.once = PTHREAD_ONCE_INIT};

/* As symbols are called, and where each goes in the table. */
static const struct {
    const char *symbol;
    size_t at;
    int optional;
} functions[] = {
#define INGOT_CUDA_ENTRY(name, version, arguments) {#name #version, offsetof(ingot_driver, name), 0},
#define INGOT_CUDA_EXTRA(name, version, arguments) {#name #version, offsetof(ingot_driver, name), 1},
    INGOT_CUDA_FUNCTIONS(INGOT_CUDA_ENTRY) INGOT_CUDA_OPTIONAL(INGOT_CUDA_EXTRA)
#undef INGOT_CUDA_EXTRA
#undef INGOT_CUDA_ENTRY
};

static ingot_status load(ingot_driver *driver, ingot_error *error) {
    /* Never closed: the driver keeps threads and handlers of its own. */
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET, "there is no CUDA driver (%.120s)", dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *symbol = dlsym(library, functions[i].symbol);
        if (!symbol && !functions[i].optional)
            return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET,
                              "the CUDA driver lacks %s: wanted one of CUDA 11.4 or newer", functions[i].symbol);
        memcpy((char *)driver + functions[i].at, &symbol, sizeof symbol);
    }
    const char *name = NULL;
    CUresult result = driver->cuInit(0);
    if (!result) result = driver->cuDriverGetVersion(&driver->version);
    if (result && driver->cuGetErrorName(result, &name)) name = NULL;
    if (result)
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, INGOT_NO_OFFSET, "the CUDA driver does not start: %.60s (%d)",
                          name ? name : "unknown error", result);
    return INGOT_OK;
}

static void load_once(void) {
    ingot_clear(&loaded.error);
    loaded.usable = load(&loaded.driver, &loaded.error) == INGOT_OK;
}

const ingot_driver *ingot_driver_get(ingot_error *error) {
    pthread_once(&loaded.once, load_once);
    if (loaded.usable) return &loaded.driver;
    if (error) *error = loaded.error;
    return NULL;
}

ingot_status ingot_driver_fail(const ingot_driver *driver, CUresult result, const char *what, const char *step,
                               ingot_error *error) {
    const char *name = NULL;
    if (driver->cuGetErrorName(result, &name) || !name) name = "unknown error";
    return ingot_fail(error, result == CUDA_ERROR_OUT_OF_MEMORY ? INGOT_ERR_MEMORY : INGOT_ERR_DEVICE, INGOT_NO_OFFSET,
                      "%s: %.60s (%d)%s%.80s%s", what, name, result, step ? ", step (" : "", step ? step : "",
                      step ? ")" : "");
}
