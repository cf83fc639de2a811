/* Checks of the records that CUDA programs have, part of those of verify.c. No device is asked. */
#include "internal.h"

static ingot_status check_modules(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_MODULE_INDEX];
    uint64_t room = f->tables[INGOT_SECTION_MODULES].size;
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_module *m = (const ingot_module *)ingot_record(table, i);
        if (!ingot_file_string(f, m->name) || m->offset % 64 || m->offset > room || m->size == 0 ||
            m->size > room - m->offset)
            return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i), "module %u is out of range", i);
    }
    return INGOT_OK;
}

/* What every device allows at most. What the one at hand allows is asked when a context is made. */
ingot_status ingot_verify_launches(const ingot_file *f, ingot_error *error) {
    static const uint32_t most_grid[3] = {0x7fffffff, 65535, 65535}, most_block[3] = {1024, 1024, 64};
    enum { MOST_THREADS = 1024, MOST_SHARED = 227 * 1024, MOST_COUNTERS = 65536 };
    const ingot_table *table = &f->tables[INGOT_SECTION_LAUNCHES];
    ingot_status status = check_modules(f, error);
    if (status) return status;
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_launch *l = (const ingot_launch *)ingot_record(table, i);
        uint64_t at = ingot_record_offset(table, i);
        const char *function = ingot_file_string(f, l->function);
        if (!function || !*function || l->module >= f->tables[INGOT_SECTION_MODULE_INDEX].count)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "launch %u: its module or function is out of range", i);
        for (uint32_t d = 0; d < 3; d++)
            if (l->grid[d] - 1 >= most_grid[d] || l->block[d] - 1 >= most_block[d])
                return ingot_fail(error, INGOT_ERR_FORMAT, at,
                                  "launch %u: extent %u of its grid or block is out of range", i, d);
        if (l->block[0] * l->block[1] * l->block[2] > MOST_THREADS || l->shared_bytes > MOST_SHARED ||
            l->counters > MOST_COUNTERS)
            return ingot_fail(error, INGOT_ERR_FORMAT, at,
                              "launch %u: too many threads or counters, or too much shared memory", i);
    }
    return INGOT_OK;
}

enum { FIRST_OVERLAPPING = 90 }; /* architecture whose kernels can wait for each other */

/* Programs are for one backend: all their steps have a launch, with code for one architecture, or none has. */
ingot_status ingot_verify_backend(const ingot_file *f, const ingot_program *p, ingot_error *error) {
    const ingot_table *launches = &f->tables[INGOT_SECTION_LAUNCHES], *modules = &f->tables[INGOT_SECTION_MODULE_INDEX];
    uint32_t arch = 0;
    for (uint32_t i = 0; i < p->steps.count; i++) {
        const ingot_step *s = ingot_get_step(f, p, i), *first = ingot_get_step(f, p, 0);
        uint64_t at = ingot_record_offset(&f->tables[INGOT_SECTION_STEPS], p->steps.first + i);
        if ((s->launch == INGOT_NO_INDEX) != (first->launch == INGOT_NO_INDEX))
            return ingot_fail(error, INGOT_ERR_FORMAT, at,
                              "step %u: some steps of its program have a launch, some none", i);
        if (s->launch == INGOT_NO_INDEX) continue;
        const ingot_launch *launch = (const ingot_launch *)ingot_record(launches, s->launch);
        uint32_t own = ((const ingot_module *)ingot_record(modules, launch->module))->arch;
        if (i && own != arch)
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "step %u: its code is for sm_%u, that of others for sm_%u",
                              i, own, arch);
        arch = own;
    }
    if (p->flags & INGOT_PROGRAM_OVERLAPS && arch < FIRST_OVERLAPPING)
        return ingot_fail(error, INGOT_ERR_FORMAT, INGOT_NO_OFFSET,
                          "a program whose kernels overlap: wanted code for sm_%d or newer, found sm_%u",
                          FIRST_OVERLAPPING, arch);
    return INGOT_OK;
}

/* A variant's programs are for its backend and its architecture. One without steps is for all. */
ingot_status ingot_verify_variants(const ingot_file *f, ingot_error *error) {
    const ingot_table *table = &f->tables[INGOT_SECTION_VARIANTS];
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_variant *v = (const ingot_variant *)ingot_record(table, i);
        for (uint32_t k = 0; k < v->programs.count; k++) {
            const ingot_program *p =
                (const ingot_program *)ingot_record(&f->tables[INGOT_SECTION_PROGRAMS], v->programs.first + k);
            if (p->steps.count == 0) continue;
            uint32_t launch = ingot_get_step(f, p, 0)->launch;
            int cuda = launch != INGOT_NO_INDEX;
            uint32_t module =
                cuda ? ((const ingot_launch *)ingot_record(&f->tables[INGOT_SECTION_LAUNCHES], launch))->module : 0;
            if (cuda != (v->backend == INGOT_BACKEND_CUDA) ||
                (cuda &&
                 ((const ingot_module *)ingot_record(&f->tables[INGOT_SECTION_MODULE_INDEX], module))->arch != v->arch))
                return ingot_fail(error, INGOT_ERR_FORMAT, ingot_record_offset(table, i),
                                  "variant %u: program %u is for another backend or architecture", i, k);
        }
    }
    return INGOT_OK;
}
