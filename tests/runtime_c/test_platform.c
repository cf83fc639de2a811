/* What the runtime asks of the machine: instruction sets, the floating-point mode, files as memory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "fpenv.h"
#include "isa.h"
#include "map.h"

#define SET(isa) (1U << INGOT_ISA_##isa)

static void isa_names(void) {
    for (int i = 0; i < INGOT_ISA_COUNT; ++i) {
        CHECK(ingot_isa_from_name(ingot_isa_name((ingot_isa)i)) == (ingot_isa)i);
    }
    CHECK(ingot_isa_from_name("sse9") == INGOT_ISA_COUNT);
    CHECK(ingot_isa_from_name("") == INGOT_ISA_COUNT);
    CHECK(strcmp(ingot_isa_name(INGOT_ISA_COUNT), "unknown") == 0);
}

static void isa_sets(void) {
    const ingot_isa_set all = ingot_isa_allowed(NULL);
    CHECK(all & SET(PORTABLE));
    CHECK(ingot_isa_allowed("") == all);
    CHECK(ingot_isa_allowed("portable") == SET(PORTABLE));
    CHECK(ingot_isa_allowed("sse9") == 0 && ingot_isa_allowed("AVX2") == 0);
    CHECK(ingot_isa_available(ingot_isa_best()) && all >> ingot_isa_best() == 1);
    CHECK(!ingot_isa_available(INGOT_ISA_COUNT));
    for (int i = 0; i < INGOT_ISA_COUNT; ++i) {
        const ingot_isa isa = (ingot_isa)i;
        const ingot_isa_set allowed = ingot_isa_allowed(ingot_isa_name(isa));
        CHECK(ingot_isa_available(isa) == (int)(all >> i & 1));
        CHECK(ingot_isa_available(isa) ? (allowed & ~all) == 0 && (allowed >> i & 1) : allowed == 0);
    }
    if (all & SET(AVX512)) {
        CHECK(ingot_isa_allowed("avx512") == (SET(PORTABLE) | SET(AVX2) | SET(AVX512)));
    }
    if (all & SET(AVX512VNNI)) {
        CHECK(ingot_isa_allowed("avx512vnni") == (all & 0x1f));
    }
    if (all & SET(AVX512BF16)) {
        CHECK(ingot_isa_allowed("avx512bf16") == (all & 0x3f));
    }
    if (all & SET(NEONDOT)) {
        CHECK(ingot_isa_allowed("neon") == (SET(PORTABLE) | SET(NEON)));
    }
}

static void floating_point_mode(void) {
    const volatile double one = 1, three = 3;
    const double third = one / three;
    ingot_fpenv saved = ingot_fpenv_enter();
    ingot_fpenv_leave(saved);
    fesetround(FE_UPWARD);
    CHECK(one / three != third);
    saved = ingot_fpenv_enter();
    CHECK(one / three == third);
    ingot_fpenv_leave(saved);
    CHECK(one / three != third && fegetround() == FE_UPWARD);
    fesetround(FE_TONEAREST);
#if defined(__x86_64__)
    const uint32_t flush = 0x9fc0 | 1; /* flush-to-zero, denormals-are-zero, and one sticky flag */
    const volatile float tiny = 1e-40F;
    const volatile float half = 0.5F;
    _mm_setcsr(flush);
    CHECK(tiny * half == 0);
    saved = ingot_fpenv_enter();
    CHECK(tiny * half > 0);
    ingot_fpenv_leave(saved);
    CHECK(tiny * half == 0);
    CHECK((_mm_getcsr() & ~0x3fU) == (flush & ~0x3fU));
    _mm_setcsr(0x1f80);
#elif defined(__aarch64__)
    const volatile float tiny = 1e-40F;
    const volatile float half = 0.5F;
    ingot_fpenv_write(1U << 24); /* FZ */
    CHECK(tiny * half == 0);
    saved = ingot_fpenv_enter();
    CHECK(tiny * half > 0);
    ingot_fpenv_leave(saved);
    CHECK(tiny * half == 0);
    ingot_fpenv_write(0);
#endif
}

static void map_reads(const char *path, const uint8_t *expected, size_t size) {
    const ingot_map_mode modes[2] = {INGOT_MAP_SHARED_PAGES, INGOT_MAP_LOCKED};
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(expected, 1, size, file) == size && fclose(file) == 0);
    for (int i = 0; i < 2; ++i) {
        ingot_map map;
        const char *failed;
        CHECK(ingot_map_open(&map, path, modes[i], &failed) == 0);
        CHECK(map.size == size && map.bytes != NULL && (uintptr_t)map.bytes % 64 == 0);
        CHECK(memcmp(map.bytes, expected, size) == 0);
        CHECK(map.lock_error == 0 || modes[i] == INGOT_MAP_LOCKED); /* a limit on locked memory is no failure here */
        ingot_map_close(&map);
        ingot_map_close(&map);
        CHECK(map.bytes == NULL && map.size == 0);
    }
}

static void map_refuses(const char *path, int expected, const char *call) {
    ingot_map map;
    const char *failed;
    CHECK(ingot_map_open(&map, path, INGOT_MAP_SHARED_PAGES, &failed) == expected);
    CHECK(strncmp(failed, call, strlen(call)) == 0);
    CHECK(map.bytes == NULL && map.size == 0);
    ingot_map_close(&map);
}

static void maps(void) {
    static uint8_t data[100001];
    char folder[] = "/tmp/ingot-test-XXXXXX", path[64], pipe_path[64];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", folder);
    fill(data, sizeof data, 3);
    map_reads(path, data, sizeof data);
    map_reads(path, data, 4096);
    map_reads(path, data, 1);
    map_reads(path, data, 0);
    CHECK(mkfifo(pipe_path, 0600) == 0);
    map_refuses(pipe_path, EINVAL, "open (not a regular file)"); /* and does not wait for a writer */
    map_refuses(folder, EISDIR, "open (not a regular file)");
    unlink(path);
    map_refuses(path, ENOENT, "open");
    unlink(pipe_path);
    rmdir(folder);
}

int main(void) {
    isa_names();
    isa_sets();
    floating_point_mode();
    maps();
    return 0;
}
