/* Modules and their functions. A module is the shared object that compile.py made, where a real one is a cubin. */
#include <elf.h>
#include <string.h>

#include "driver.h"

namespace {

enum { MAX_THREADS = 0, STATIC_SHARED = 1, REGISTERS = 4, MAX_DYNAMIC_SHARED = 8 }; /* CUfunction_attribute */
enum { NOT_ASKED_FOR = 48 << 10 }; /* the dynamic shared memory of a function that nobody gave more */

#if defined(__x86_64__)
constexpr int MACHINE = EM_X86_64;
#else
constexpr int MACHINE = EM_AARCH64;
#endif

/* Bytes of an image: linkers put the table of sections at its end. */
size_t size_of(const Elf64_Ehdr *head) { return head->e_shoff + (size_t)head->e_shnum * head->e_shentsize; }

} // namespace

API CUresult cuModuleLoadData(CUmodule *module, const void *image) {
    ENTER(CONTEXT);
    Elf64_Ehdr head;
    memcpy(&head, image, sizeof head.e_ident);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64) return CUDA_ERROR_INVALID_IMAGE;
    memcpy(&head, image, sizeof head);
    if (head.e_machine != MACHINE) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    const char *error;
    void *loaded = ingot_emulator_load(image, size_of(&head), &error);
    if (!loaded) {
        driver.reason = error;
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *module = driver.modules.add(new CUmod_st{loaded});
    return CUDA_SUCCESS;
}

API CUresult cuModuleUnload(CUmodule module) {
    ENTER(END);
    if (!driver.modules.has(module)) return CUDA_ERROR_INVALID_HANDLE;
    const CUresult result = driver_drain_all();
    const std::vector<CUfunc_st *> all(driver.functions.begin(), driver.functions.end());
    for (CUfunc_st *function : all)
        if (function->module == module) driver.functions.remove(function);
    ingot_emulator_unload(module->loaded);
    driver.modules.remove(module);
    return result;
}

API CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    ENTER(CONTEXT);
    if (!driver.modules.has(module)) return CUDA_ERROR_INVALID_HANDLE;
    const ingot_emulated_kernel *kernel = ingot_emulator_kernel(module->loaded, name);
    if (!kernel) return CUDA_ERROR_NOT_FOUND;
    for (CUfunc_st *known : driver.functions)
        if (known->module == module && known->kernel == kernel) {
            *function = known;
            return CUDA_SUCCESS;
        }
    *function = driver.functions.add(new CUfunc_st{module, kernel, NOT_ASKED_FOR});
    return CUDA_SUCCESS;
}

API CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
    ENTER(CONTEXT);
    if (!driver.functions.has(function)) return CUDA_ERROR_INVALID_HANDLE;
    switch (attribute) {
    case MAX_THREADS: *value = (int)function->kernel->threads; break;
    case STATIC_SHARED: *value = (int)function->kernel->position->shared; break;
    case REGISTERS: *value = 32; break;
    case MAX_DYNAMIC_SHARED: *value = function->dynamic_shared; break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

API CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value) {
    ENTER(CONTEXT);
    if (!driver.functions.has(function)) return CUDA_ERROR_INVALID_HANDLE;
    if (attribute != MAX_DYNAMIC_SHARED || value < 0 || value > driver_shared_limit()) return CUDA_ERROR_INVALID_VALUE;
    function->dynamic_shared = value;
    return CUDA_SUCCESS;
}

/* What a driver looks at before a launch; the rest is found when it runs. */
CUresult driver_launch(CUfunc_st *function, const launch_shape &shape, void **params, void **extra, work *what) {
    if (!driver.functions.has(function)) return CUDA_ERROR_INVALID_HANDLE;
    const ingot_emulated_kernel *kernel = function->kernel;
    const uint64_t threads = (uint64_t)shape.block[0] * shape.block[1] * shape.block[2];
    const uint64_t blocks = (uint64_t)shape.grid[0] * shape.grid[1] * shape.grid[2];
    if (!params || !params[0] || extra) return CUDA_ERROR_INVALID_VALUE;
    if (!threads || threads > kernel->threads || shape.block[2] > 64) return CUDA_ERROR_INVALID_VALUE;
    if (!blocks || shape.grid[0] > 0x7fffffffu || shape.grid[1] > 65535 || shape.grid[2] > 65535)
        return CUDA_ERROR_INVALID_VALUE;
    if ((int64_t)shape.shared > function->dynamic_shared) return CUDA_ERROR_INVALID_VALUE;
    const unsigned char *given = (const unsigned char *)params[0];
    const std::vector<unsigned char> call(given, given + kernel->call_size);
    *what = [=]() -> const char * {
        ingot_emulated_launch launch = {};
        memcpy(launch.grid, shape.grid, sizeof launch.grid);
        memcpy(launch.block, shape.block, sizeof launch.block);
        launch.shared = shape.shared;
        launch.shared_limit = (uint32_t)driver_shared_limit();
        launch.seed = driver.chance.next();
        launch.call = call.data();
        launch.call_size = call.size();
        driver.kernels++;
        driver.blocks += blocks;
        driver.threads += blocks * threads;
        return ingot_emulator_launch(kernel, &launch);
    };
    return CUDA_SUCCESS;
}
