#define _DEFAULT_SOURCE /* sysconf of caches and cores */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "isa.h"

static int read_line(const char *path, char *line, int size) {
    FILE *file = fopen(path, "r");
    int ok = file && fgets(line, size, file);
    if (file) fclose(file);
    line[ok ? strcspn(line, "\n") : 0] = 0;
    return ok;
}

/* Linux tells of each cache of a core; where it does not (some emulators), the C library may know. */
static void read_caches(ingot_machine *m) {
    for (int index = 0; index < 8; index++) {
        char path[96], level[16], type[32], size[32];
        const char *format = "/sys/devices/system/cpu/cpu0/cache/index%d/%s";
        snprintf(path, sizeof path, format, index, "level");
        if (!read_line(path, level, sizeof level)) break;
        snprintf(path, sizeof path, format, index, "type");
        if (!read_line(path, type, sizeof type) || strcmp(type, "Instruction") == 0) continue;
        snprintf(path, sizeof path, format, index, "size");
        if (!read_line(path, size, sizeof size)) continue;
        char *unit;
        uint64_t bytes = strtoull(size, &unit, 10);
        bytes <<= *unit == 'M' ? 20 : *unit == 'K' ? 10 : 0;
        if (level[0] == '1') m->l1d = bytes;
        if (level[0] == '2') m->l2 = bytes;
        if (bytes > m->last) m->last = bytes;
    }
#ifdef _SC_LEVEL2_CACHE_SIZE
    if (!m->last) {
        long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), l2 = sysconf(_SC_LEVEL2_CACHE_SIZE),
             l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
        m->l1d = l1 > 0 ? (uint64_t)l1 : 0;
        m->l2 = l2 > 0 ? (uint64_t)l2 : 0;
        m->last = l3 > 0 ? (uint64_t)l3 : m->l2;
    }
#endif
}

/* A board's name says more than what its cores call themselves, which on ARM is a number. */
static void read_model(ingot_machine *m) {
    char line[256];
    const char *found = "unknown";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", 10) == 0) {
            found = colon + 1;
            break;
        }
    }
    if (file) fclose(file);
    if (strcmp(found, "unknown") == 0 && read_line("/proc/device-tree/model", line, sizeof line)) found = line;
    size_t length = 0;
    for (found += strspn(found, " \t"); *found && *found != '\n' && length + 1 < sizeof m->model; found++)
        m->model[length++] = *found < 0x20 || *found > 0x7e ? '?' : *found;
}

void ingot_machine_read(ingot_machine *m) {
    memset(m, 0, sizeof *m);
#if defined(__x86_64__)
    m->arch = "x86-64";
#elif defined(__aarch64__)
    m->arch = "aarch64";
#else
    m->arch = "unknown";
#endif
    m->isa = ingot_isa_name(ingot_isa_best());
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    m->cores = cores > 0 ? (uint32_t)cores : 1;
    read_caches(m);
    read_model(m);
}
