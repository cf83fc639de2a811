/* What a device must have, and which one is taken. */
#include "device.h"

int ingot_cuda_ask(const ingot_driver *driver, int ordinal, ingot_cuda_properties *found) {
    int major = 0, minor = 0;
    const struct {
        int attribute, *value;
    } asked[] = {{CU_ATTRIBUTE_MAJOR, &major},
                 {CU_ATTRIBUTE_MINOR, &minor},
                 {CU_ATTRIBUTE_MULTIPROCESSOR_COUNT, &found->multiprocessors},
                 {CU_ATTRIBUTE_MAX_SHARED_OPTIN, &found->shared},
                 {CU_ATTRIBUTE_INTEGRATED, &found->integrated}};
    CUdevice device = 0;
    CUresult result = driver->cuDeviceGet(&device, ordinal);
    if (!result) result = driver->cuDeviceGetName(found->name, sizeof found->name, device);
    for (size_t i = 0; !result && i < sizeof asked / sizeof asked[0]; i++)
        result = driver->cuDeviceGetAttribute(asked[i].value, asked[i].attribute, device);
    found->arch = 10 * major + minor;
    return result;
}

/* The most dynamic shared memory that a step of the variant asks for. */
static uint32_t shared_bytes(const ingot_file *f, const ingot_variant *v) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < v->programs.count; i++) {
        const ingot_program *p =
            (const ingot_program *)ingot_record(&f->tables[INGOT_SECTION_PROGRAMS], v->programs.first + i);
        for (uint32_t s = 0; s < p->steps.count; s++) {
            uint32_t own = ingot_get_launch(f, ingot_get_step(f, p, s))->shared_bytes;
            if (own > most) most = own;
        }
    }
    return most;
}

ingot_status ingot_cuda_find_device(const ingot_file *f, const ingot_variant *v, uint32_t wanted, int *device,
                                    ingot_error *error) {
    const char *target = ingot_file_string(f, v->name);
    uint64_t at = ingot_record_offset(&f->tables[INGOT_SECTION_VARIANTS], 0) +
                  (uint64_t)((const uint8_t *)v - f->tables[INGOT_SECTION_VARIANTS].base);
    ingot_error reason;
    const ingot_driver *driver = ingot_driver_get(&reason);
    if (!driver)
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, at,
                          "built for %.40s: wanted a CUDA device sm_%u, found none: %s", target, v->arch,
                          reason.message);
    if ((uint32_t)driver->version < v->min_driver)
        return ingot_fail(error, INGOT_ERR_NO_VARIANT, at,
                          "built for %.60s: wanted a driver for CUDA %u.%u or newer, found one for %d.%d", target,
                          v->min_driver / 1000, v->min_driver % 1000 / 10, driver->version / 1000,
                          driver->version % 1000 / 10);
    int count = 0, taken = -1, exact = 0;
    CUresult result = driver->cuDeviceGetCount(&count);
    if (result) return ingot_driver_fail(driver, result, "cuDeviceGetCount", NULL, error);
    uint32_t shared = shared_bytes(f, v);
    ingot_status status =
        ingot_fail(error, INGOT_ERR_NO_VARIANT, at, "built for %.60s: wanted a CUDA device sm_%u, found %d devices",
                   target, v->arch, count);
    for (int i = 0; i < count; i++) {
        ingot_cuda_properties p;
        if (wanted && (uint32_t)i + 1 != wanted) continue;
        result = ingot_cuda_ask(driver, i, &p);
        if (result) {
            status = ingot_driver_fail(driver, result, "cuDeviceGetAttribute", NULL, error);
        } else if ((uint32_t)p.arch != v->arch || (uint32_t)p.shared < shared) {
            status = ingot_fail(error, INGOT_ERR_NO_VARIANT, at,
                                "built for %.40s: wanted sm_%u with %u bytes of shared memory (tuned for %u "
                                "multiprocessors), found device %d, %.40s: sm_%d with %d (%d)",
                                target, v->arch, shared, v->sm_count, i, p.name, p.arch, p.shared, p.multiprocessors);
        } else if (taken < 0 || (!exact && (uint32_t)p.multiprocessors == v->sm_count)) {
            taken = i;
            exact = (uint32_t)p.multiprocessors == v->sm_count;
        }
    }
    if (taken < 0) return status;
    *device = taken;
    ingot_clear(error);
    return INGOT_OK;
}
