/* Modules: the bytes of shared objects, loaded without a file. */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"

namespace {

/* The loader takes two objects of one path for the same, so the descriptor that is in the path lives as long. */
struct module {
    void *object;
    int file;
};

bool write_all(int file, const char *bytes, size_t size) {
    while (size) {
        const ssize_t n = write(file, bytes, size);
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

} // namespace

void *ingot_emulator_load(const void *bytes, size_t size, const char **error) {
    *error = "no memory for a module";
    const int file = memfd_create("ingot_emulated_module", MFD_CLOEXEC);
    if (file < 0) return nullptr;
    if (write_all(file, (const char *)bytes, size)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
        if (void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL)) return new module{object, file};
        *error = dlerror();
    }
    close(file);
    return nullptr;
}

const ingot_emulated_kernel *ingot_emulator_kernel(void *loaded, const char *name) {
    return (const ingot_emulated_kernel *)dlsym(((module *)loaded)->object, name);
}

void ingot_emulator_unload(void *loaded) {
    module *mine = (module *)loaded;
    dlclose(mine->object);
    close(mine->file);
    delete mine;
}
