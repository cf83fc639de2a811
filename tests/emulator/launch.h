/* A launch under way: what the files of the machine share. There is one at a time in a process. */
#ifndef INGOT_EMULATOR_LAUNCH_H
#define INGOT_EMULATOR_LAUNCH_H

#include <pthread.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fiber.h"
#include "machine.h"
#include "random.h"
#include "warp.h"

namespace emulation {

constexpr uint32_t LANES = 32, MAX_THREADS = 2048, MAX_WARPS = MAX_THREADS / LANES, BARRIERS = 16, MAX_CLUSTER = 8;
constexpr size_t STACK = 128 << 10, STATIC_SHARED = 48 << 10, DYNAMIC_SHARED = 256 << 10, MAX_CALL = 4096;
constexpr unsigned char AROUND = 0xA5; /* bytes around memory, which nobody may write */

struct copy {
    void *to;
    const void *from;
    int bytes, there;
    uint32_t group;
};

struct product {
    ingot_group_product run;
    void *d;
    const void *a, *b;
    uint32_t group;
    bool held; /* a is to be freed */
};

struct thread {
    fiber place;
    ingot_emulated_index index, block;
    std::vector<copy> copies;
    uint32_t groups; /* of copies, committed */
    std::vector<product> products;
    uint32_t product_groups;
};

/* What lanes of a warp meet for: each brings a record, the last one to come does the work of all. */
struct meeting {
    uint32_t here; /* a bit a lane */
    const warp_operation *operation;
    void *lanes[LANES];
};

struct barrier {
    int count; /* of threads it waits for */
    int here;
    ingot_emulated_site site; /* where the last one came */
    uint32_t waiting[MAX_WARPS];
};

/* The block that runs, or the blocks of a cluster; their threads follow each other. */
struct block {
    uint32_t threads, all, warps, returned; /* threads: of a block */
    uint32_t ready[MAX_WARPS];
    uint64_t ready_warps;    /* bits, as those of lanes */
    uint32_t warp, patience; /* who runs, and for how many turns */
    bool awaited;            /* the kernels before have ended */
    uint32_t awaiting[MAX_WARPS];
    meeting meetings[MAX_WARPS];
    barrier barriers[MAX_CLUSTER][BARRIERS]; /* 0: sync_block */
    barrier cluster;
};

/* -- machine.cpp ----------------------------------------------------------------------------------------------------
 */

extern const ingot_emulated_kernel *kernel;
extern const ingot_emulated_launch *launch;
extern random_bits chance;
extern thread threads[MAX_THREADS];
extern thread *self; /* who runs; NULL between blocks */
extern block now;
extern fiber scheduler;
extern const char *error; /* what stopped the launch */
extern unsigned char *call_page, *stacks;
extern std::set<std::pair<std::string, uint32_t>> visited;
extern std::pair<std::string, uint32_t> skipped;
extern std::pair<std::string_view, uint32_t> last_site; /* of an instance that is still loaded */

/* Writes what is wrong. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and ends the launch, from a fiber; those of the block are never resumed. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Notes that a thread has come here; whether it is to go on as if this were not there. */
bool skips(ingot_emulated_site site);
/* Whether what other kernels may write or read can be touched. */
void show_others(bool shown);
/* Bytes between forbidden pages. */
unsigned char *guarded(size_t bytes);

/* -- threads.cpp ----------------------------------------------------------------------------------------------------
 */

/* Runs the block whose position was set, from its first thread to the last. */
void run_threads();
void sync_block(ingot_emulated_site site);
void sync_some(ingot_emulated_site site, int index, int count);
void sync_warp(ingot_emulated_site site);
void await_kernels();
uint32_t shuffle(uint32_t x, ingot_shuffle how, int by);
uint32_t ballot(bool condition);
void load_matrix(uint32_t *words, int matrices, const void *row, bool transposed);
void multiply(ingot_product product, void *d, const uint32_t *a, const uint32_t *b);
void sync_cluster(ingot_emulated_site site);
uint32_t my_rank(); /* of the block of the thread that runs; 0 when none does */
/* The thread that runs sleeps until somebody makes it ready. */
void sleep();
void wake(thread *sleeper);

/* -- shared.cpp -----------------------------------------------------------------------------------------------------
 */

/* Of the first block: static shared memory, a forbidden page, dynamic shared memory, a forbidden page. */
extern unsigned char *shared, *dynamic_end;
/* The place in the shared memory of a block of the cluster that four bytes have in that of this one. */
void *memory_of(uint32_t rank, const void *p);
bool make_shared();
void poison_shared();
void check_shared();
bool is_shared(const void *p, size_t bytes);
unsigned char *dynamic_shared();
unsigned char *static_shared(uint32_t *place, size_t bytes);
uint32_t shared_address(const void *p);
void check_global(const void *p, size_t bytes);
void copy_async(void *to, const void *from, int bytes, int there);
void copy_commit();
void copy_wait(ingot_emulated_site site, int groups);
void group_multiply(ingot_group_product run, void *d, const void *a, const void *b, bool held);
void group_commit();
void group_wait(ingot_emulated_site site, int groups);

/* -- boxes.cpp ------------------------------------------------------------------------------------------------------
 */

void forget_boxes();
void barrier_init(uint64_t *barrier, int arrivals);
void barrier_arrive(uint64_t *barrier, int bytes);
void barrier_wait(ingot_emulated_site site, uint64_t *barrier, uint32_t parity);
void copy_box(void *to, const void *map, int column, int row, uint64_t *barrier);
/* One of the copies under way arrives; false when there is none. */
bool deliver_box();
/* Threads that wait at such barriers, for a report; NULL behind the last one. */
const ingot_emulated_site *box_sleeper(size_t index);

/* -- faults.cpp -----------------------------------------------------------------------------------------------------
 */

/* Faults of kernels become errors of the launch, and go to whoever had them before when it ends. */
class faults {
  public:
    faults();
    ~faults();
    faults(const faults &) = delete;
    faults &operator=(const faults &) = delete;
};

} // namespace emulation

#endif
