/* The emulator: runs CUDA kernels that were compiled for the host.
 *
 * A kernel's source is compiled against cuda_device.h of this folder, whose functions call the table below. The threads
 * of a block are fibers of one thread of the process. One runs until it waits for others, at a barrier or a warp
 * operation, so a value that is read without a barrier after its writer is read too early under some order of threads;
 * the seed of a launch decides that order, and the order of blocks. To make such mistakes show:
 *  - a warp runs on its own for as long as it can, mostly, so that it is far ahead of the others or far behind;
 *  - shared memory is poisoned before each block, and the destination of a copy_async until copy_wait;
 *  - approximations of the device err as much as the device may (cuda_device.h);
 *  - operands end at forbidden pages (memory.cpp), and so does dynamic shared memory;
 *  - when no thread can go on, some wait for threads that returned or wait elsewhere: that is reported, not a hang. */
#include "machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>
#include <numeric>

#include "launch.h"
#include "memory.h"

namespace emulation {

const ingot_emulated_kernel *kernel;
const ingot_emulated_launch *launch;
random_bits chance;
thread threads[MAX_THREADS];
thread *self;
block now;
fiber scheduler;
const char *error;
unsigned char *call_page, *stacks;
std::set<std::pair<std::string, uint32_t>> visited;
std::pair<std::string, uint32_t> skipped;
std::pair<std::string_view, uint32_t> last_site;

namespace {

constexpr uint64_t MAX_POLLS = 1u << 24;

std::mutex one_launch;
uint64_t polls;
char message[1024];

/* Writes what is wrong, for the thread that runs. */
void say(const char *format, va_list arguments) {
    const ingot_emulated_position &p = *kernel->position;
    int at = snprintf(message, sizeof message, "block (%u, %u, %u)", p.block.x, p.block.y, p.block.z);
    if (self) at += snprintf(message + at, sizeof message - (size_t)at, " thread %u", (uint32_t)(self - threads));
    at += snprintf(message + at, sizeof message - (size_t)at, ": ");
    vsnprintf(message + at, sizeof message - (size_t)at, format, arguments);
    error = message;
}

} // namespace

void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    self = nullptr;
    fiber abandoned;
    fiber_switch(&abandoned, &scheduler);
    abort();
}

bool skips(ingot_emulated_site site) {
    const std::pair<std::string_view, uint32_t> key(site.file, site.line);
    if (key != last_site) {
        visited.insert({std::string(key.first), key.second});
        last_site = key;
    }
    return site.line == skipped.second && skipped.first == site.file;
}

unsigned char *guarded(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(nullptr, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect((char *)p + page, bytes, PROT_READ | PROT_WRITE)) return nullptr;
    return (unsigned char *)p + page;
}

void show_others(bool shown) {
    if (!kernel->waits_itself) return; /* before that there is nothing to find */
    for (size_t i = 0; i < launch->others_count; i++) ingot_emulator_hide(launch->others[i], !shown);
}

namespace {

void poll() {
    if (++polls > MAX_POLLS) fail("load_volatile in a loop: a block may not wait for another");
}

void fail_with(const char *what) { fail("%s", what); }

const ingot_machine table = {
    sync_block,     sync_some,      sync_warp,      await_kernels, shuffle,        ballot,       load_matrix,
    multiply,       copy_async,     copy_commit,    copy_wait,     group_multiply, group_commit, group_wait,
    barrier_init,   barrier_arrive, barrier_wait,   copy_box,      my_rank,        sync_cluster, memory_of,
    dynamic_shared, static_shared,  shared_address, check_global,  poll,           fail_with,
};

bool make_memory() {
    if (stacks) return true;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    call_page = guarded(MAX_CALL);
    unsigned char *made = guarded(STACK * MAX_THREADS);
    if (!make_shared() || !call_page || !made) return false;
    for (size_t i = 0; i < MAX_THREADS; i++) mprotect(made + i * STACK, page, PROT_NONE);
    stacks = made;
    return true;
}

const char *refuse() {
    const uint32_t *grid = launch->grid, *extents = launch->block;
    const uint64_t count = (uint64_t)extents[0] * extents[1] * extents[2];
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
        return "a grid that no device takes";
    if (kernel->cluster > 1 && (grid[0] % kernel->cluster || kernel->cluster > MAX_CLUSTER || count % LANES))
        return "a grid that is not made of whole clusters";
    if (!count || count > 1024 || count > kernel->threads || count * kernel->cluster > MAX_THREADS || extents[2] > 64)
        return "a block of no threads, or of more than the kernel was compiled for";
    if (launch->call_size != kernel->call_size || launch->call_size > MAX_CALL) {
        snprintf(message, sizeof message, "the kernel takes %llu bytes of operands and parameters, the launch has %llu",
                 (unsigned long long)kernel->call_size, (unsigned long long)launch->call_size);
        return message;
    }
    if (launch->shared > launch->shared_limit || launch->shared > DYNAMIC_SHARED)
        return "more dynamic shared memory than a block has";
    return make_memory() ? nullptr : "no memory for stacks";
}

void run_block(uint32_t index) {
    const uint32_t *grid = launch->grid;
    kernel->position->block = {index % grid[0], index / grid[0] % grid[1], index / grid[0] / grid[1]};
    poison_shared();
    run_threads();
    if (!error) check_shared();
}

void run_blocks() {
    const uint32_t *grid = launch->grid;
    std::vector<uint32_t> order((size_t)grid[0] * grid[1] * grid[2] / kernel->cluster);
    std::iota(order.begin(), order.end(), 0u);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[chance.below((uint32_t)i)]);
    for (size_t i = 0; i < order.size() && !error; i++) run_block(order[i] * kernel->cluster);
}

} // namespace

} // namespace emulation

using namespace emulation;

const char *ingot_emulator_launch(const ingot_emulated_kernel *k, const ingot_emulated_launch *l) {
    const std::lock_guard<std::mutex> hold(one_launch);
    kernel = k;
    launch = l;
    if (const char *reason = refuse()) return reason;
    const faults caught;
    *kernel->machine = &table;
    kernel->position->threads = {l->block[0], l->block[1], l->block[2]};
    kernel->position->blocks = {l->grid[0], l->grid[1], l->grid[2]};
    chance.seed(l->seed);
    polls = 0;
    last_site = {};
    self = nullptr;
    memset(call_page, AROUND, MAX_CALL);
    memcpy(call_page, l->call, l->call_size);
    mprotect(call_page, MAX_CALL, PROT_READ);
    error = nullptr;
    run_blocks();
    show_others(true);
    mprotect(call_page, MAX_CALL, PROT_READ | PROT_WRITE);
    return error;
}

size_t ingot_emulator_sites(ingot_emulated_site *sites, size_t size, int forget) {
    const std::lock_guard<std::mutex> hold(one_launch);
    static std::set<std::string> names; /* outlive the set of sites */
    size_t count = 0;
    for (const auto &[file, line] : visited) {
        if (count < size) sites[count] = {names.insert(file).first->c_str(), line};
        count++;
    }
    if (forget) visited.clear();
    return count;
}

void ingot_emulator_skip(const ingot_emulated_site *site) {
    const std::lock_guard<std::mutex> hold(one_launch);
    skipped = {site ? site->file : "", site ? site->line : 0};
}
