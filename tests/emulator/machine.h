/* Between a kernel compiled for the host and the machine that runs it.
 *
 * An instance is a shared object with one symbol, the entry's name, of type ingot_emulated_kernel. It knows the machine
 * by the table below alone, which whoever loaded it puts into `*kernel->machine` before the first launch. */
#ifndef INGOT_EMULATOR_MACHINE_H
#define INGOT_EMULATOR_MACHINE_H

#include <stddef.h>
#include <stdint.h>

struct ingot_emulated_index {
    uint32_t x, y, z;
};

/* Where the thread stands that runs now, and how much static shared memory the kernel has taken so far. */
struct ingot_emulated_position {
    ingot_emulated_index thread, block, threads, blocks;
    uint32_t shared;
};

enum ingot_shuffle { INGOT_SHUFFLE_LANE, INGOT_SHUFFLE_XOR, INGOT_SHUFFLE_DOWN, INGOT_SHUFFLE_UP };
enum ingot_product { INGOT_PRODUCT_F16, INGOT_PRODUCT_BF16, INGOT_PRODUCT_TF32, INGOT_PRODUCT_S8 };

/* Where in a source a thread waits. */
struct ingot_emulated_site {
    const char *file;
    uint32_t line;
};

/* What a thread does of a product of its warp group. */
using ingot_group_product = void (*)(void *d, const void *a, const void *b);

/* What copy_box is told of an operand, in the 128 bytes of a tensor map; the stand-in for the driver writes it. */
struct ingot_emulated_map {
    uint64_t mark;                          /* INGOT_EMULATED_MAP */
    uint64_t address, rows, columns, pitch; /* pitch: bytes of a row */
    uint64_t size;                          /* bytes of an element */
    uint64_t unused[10];
};
constexpr uint64_t INGOT_EMULATED_MAP = 0x70616d20666f2061;

/* What a thread may ask of the machine. Each may run other threads before it returns, or never return. */
struct ingot_machine {
    void (*sync_block)(ingot_emulated_site);
    void (*sync_some)(ingot_emulated_site, int barrier, int count);
    void (*sync_warp)(ingot_emulated_site);
    void (*await_kernels)();
    uint32_t (*shuffle)(uint32_t x, ingot_shuffle how, int by);
    uint32_t (*ballot)(bool condition);
    void (*load_matrix)(uint32_t *words, int matrices, const void *row, bool transposed);
    void (*multiply)(ingot_product product, void *d, const uint32_t *a, const uint32_t *b);
    void (*copy_async)(void *to, const void *from, int bytes, int there);
    void (*copy_commit)();
    void (*copy_wait)(ingot_emulated_site, int groups);
    /* `held`: a is not in shared memory, and given back by free when it was multiplied. */
    void (*group_multiply)(ingot_group_product run, void *d, const void *a, const void *b, bool held);
    void (*group_commit)();
    void (*group_wait)(ingot_emulated_site, int groups);
    void (*barrier_init)(uint64_t *barrier, int arrivals);
    void (*barrier_arrive)(uint64_t *barrier, int bytes);
    void (*barrier_wait)(ingot_emulated_site, uint64_t *barrier, uint32_t parity);
    void (*copy_box)(void *to, const void *map, int column, int row, uint64_t *barrier);
    uint32_t (*cluster_rank)();
    void (*sync_cluster)(ingot_emulated_site);
    void *(*memory_of)(uint32_t rank, const void *p); /* of another block, what is at p in this one */
    unsigned char *(*dynamic_shared)();
    unsigned char *(*static_shared)(uint32_t *place, size_t bytes); /* place: 0 before the first time */
    uint32_t (*shared_address)(const void *p);
    void (*check_global)(const void *p, size_t bytes);
    void (*poll)(); /* a thread reads what another block may write */
    void (*fail)(const char *what);
};

struct ingot_emulated_kernel {
    uint32_t threads; /* the most a block may have */
    uint32_t blocks;
    bool waits_itself; /* await_kernels is not the first thing that a thread does */
    uint32_t cluster;  /* blocks that run together: 1 to 8, side by side along x */
    uint64_t call_size;
    void (*run)(const void *call); /* one thread */
    const ingot_machine **machine;
    ingot_emulated_position *position;
};

struct ingot_emulated_launch {
    uint32_t grid[3], block[3];
    uint32_t shared;       /* bytes of dynamic shared memory */
    uint32_t shared_limit; /* that the device allows a block, static shared memory included */
    uint64_t seed;         /* of the order of blocks and threads */
    const void *call;
    uint64_t call_size;
    /* Allocations (memory.h) that other kernels may still write or read until a block has called await_kernels: it may
     * not touch them before. */
    void *const *others;
    uint64_t others_count;
};

extern "C" {
/* Runs all blocks. NULL, or what went wrong, in a buffer that the next launch overwrites. */
const char *ingot_emulator_launch(const ingot_emulated_kernel *kernel, const ingot_emulated_launch *launch);
/* Loads the bytes of an instance; NULL with the reason in `*error`. */
void *ingot_emulator_load(const void *bytes, size_t size, const char **error);
const ingot_emulated_kernel *ingot_emulator_kernel(void *module, const char *name);
void ingot_emulator_unload(void *module);

/* Places where threads waited in all launches since the last call with forget, at most `size`: the number of them. */
size_t ingot_emulator_sites(ingot_emulated_site *sites, size_t size, int forget);
/* From now on nobody waits there, as if the call were missing in the source. NULL: all wait again. */
void ingot_emulator_skip(const ingot_emulated_site *site);
}

#endif
