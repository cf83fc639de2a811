/* Modules: the bytes of shared objects, loaded without a file. The loader tells them apart by their paths, hence by the
 * numbers of their files, which stay open as long as they are loaded. */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

#include "machine.h"

static std::mutex lock;
static std::map<void *, int> files; /* of each module */

void *ingot_emulator_load(const void *bytes, size_t size, const char **error) {
    *error = "memfd_create failed";
    const int file = memfd_create("ingot_emulated_module", MFD_CLOEXEC);
    if (file < 0) return nullptr;
    size_t written = 0;
    while (written < size) {
        const ssize_t n = write(file, (const char *)bytes + written, size - written);
        if (n <= 0) break;
        written += (size_t)n;
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    void *module = written == size ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    *error = module ? nullptr : dlerror();
    if (module) {
        const std::lock_guard<std::mutex> held(lock);
        files[module] = file;
    } else {
        close(file);
    }
    return module;
}

const ingot_emulated_kernel *ingot_emulator_kernel(void *module, const char *name) {
    return (const ingot_emulated_kernel *)dlsym(module, name);
}

void ingot_emulator_unload(void *module) {
    const std::lock_guard<std::mutex> held(lock);
    dlclose(module);
    close(files[module]);
    files.erase(module);
}
