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

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fiber.h"
#include "memory.h"
#include "random.h"
#include "warp.h"

namespace {

constexpr uint32_t LANES = 32, MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / LANES, BARRIERS = 16;
constexpr size_t STACK = 128 << 10, STATIC_SHARED = 48 << 10, DYNAMIC_SHARED = 256 << 10;
constexpr size_t BEFORE = 4096; /* bytes in front of dynamic shared memory that are looked at */
constexpr size_t MAX_CALL = 4096;
constexpr uint64_t MAX_POLLS = 1u << 24;
constexpr unsigned char AROUND = 0xA5;

struct copy {
    void *to;
    const void *from;
    int bytes, there;
    uint32_t group;
};

struct thread {
    fiber place;
    ingot_emulated_index index;
    std::vector<copy> copies;
    uint32_t groups; /* committed */
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

struct block {
    uint32_t threads, warps, returned;
    uint32_t ready[MAX_WARPS], ready_warps;
    uint32_t warp, patience; /* who runs, and for how many turns */
    meeting meetings[MAX_WARPS];
    barrier barriers[BARRIERS]; /* 0: sync_block */
};

std::mutex one_launch;
thread threads[MAX_THREADS];
thread *self;
block now;
fiber scheduler;
random_bits chance;
const ingot_emulated_kernel *kernel;
const ingot_emulated_launch *launch;
unsigned char *stacks, *shared, *dynamic_end, *call_page;
uint64_t polls;
std::set<std::pair<std::string, uint32_t>> visited;
std::pair<std::string, uint32_t> skipped;
std::pair<std::string_view, uint32_t> last_site; /* of an instance that is still loaded */
pthread_t launching;
const char *error; /* what stopped the launch */
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

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

/* Ends the launch, from a fiber; those of the block are never resumed. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
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

/* -- who runs ------------------------------------------------------------------------------------------------------ */

uint32_t random_bit(uint32_t mask) {
    const uint32_t turn = chance.below(32);
    const uint32_t turned = turn ? mask >> turn | mask << (32 - turn) : mask;
    return ((uint32_t)__builtin_ctz(turned) + turn) % 32;
}

[[noreturn]] void report_deadlock() {
    char text[800];
    int at = 0;
    const auto add = [&](const char *format, auto... values) {
        if (at < (int)sizeof text) at += snprintf(text + at, sizeof text - (size_t)at, format, values...);
    };
    for (uint32_t b = 0; b < BARRIERS; b++) {
        const barrier &it = now.barriers[b];
        if (!it.here) continue;
        if (b)
            add("; %d of %d threads wait at sync_some(%u), %s:%u", it.here, it.count, b, it.site.file, it.site.line);
        else
            add("; %d of %u threads wait at sync_block, %s:%u", it.here, now.threads, it.site.file, it.site.line);
    }
    for (uint32_t w = 0; w < now.warps; w++)
        if (now.meetings[w].here)
            add("; %d lanes of warp %u wait at %s", __builtin_popcount(now.meetings[w].here), w,
                now.meetings[w].operation->name);
    fail("no thread can go on: %u of %u have returned%s", now.returned, now.threads, text);
}

thread *choose() {
    if (!now.ready_warps) {
        if (now.returned == now.threads) return nullptr;
        report_deadlock();
    }
    if (!now.ready[now.warp] || now.patience == 0) {
        static const uint32_t turns[4] = {1, 40, 400, ~0u};
        now.warp = random_bit(now.ready_warps);
        now.patience = turns[chance.below(4)];
    }
    now.patience--;
    const uint32_t lane = random_bit(now.ready[now.warp]);
    now.ready[now.warp] &= ~(1u << lane);
    if (!now.ready[now.warp]) now.ready_warps &= ~(1u << now.warp);
    return &threads[now.warp * LANES + lane];
}

void make_ready(uint32_t warp, uint32_t lanes) {
    now.ready[warp] |= lanes;
    if (now.ready[warp]) now.ready_warps |= 1u << warp;
}

/* Goes on with another thread, or the scheduler when all have returned. */
void others() {
    thread *next = choose(), *before = self;
    if (next == before) return;
    self = next;
    if (next) kernel->position->thread = next->index;
    fiber_switch(&before->place, next ? &next->place : &scheduler);
}

void thread_main() {
    kernel->run(call_page);
    now.returned++;
    others();
    abort();
}

uint32_t my_warp() { return (uint32_t)(self - threads) / LANES; }
uint32_t my_lane() { return (uint32_t)(self - threads) % LANES; }

/* -- barriers ------------------------------------------------------------------------------------------------------ */

/* Notes that a thread has come here; whether it is to go on as if this were not there. */
bool skips(ingot_emulated_site site) {
    const std::pair<std::string_view, uint32_t> key(site.file, site.line);
    if (key != last_site) {
        visited.insert({std::string(key.first), key.second});
        last_site = key;
    }
    return site.line == skipped.second && skipped.first == site.file;
}

void wait_at(barrier &b, ingot_emulated_site site) {
    b.site = site;
    b.waiting[my_warp()] |= 1u << my_lane();
    if (++b.here == b.count) {
        for (uint32_t w = 0; w < now.warps; w++) make_ready(w, std::exchange(b.waiting[w], 0u));
        b.here = 0;
    }
    others();
}

void sync_block(ingot_emulated_site site) {
    if (!skips(site)) wait_at(now.barriers[0], site);
}

void sync_some(ingot_emulated_site site, int index, int count) {
    if (skips(site)) return;
    if (index < 1 || index >= (int)BARRIERS) fail("sync_some(%d, %d): barriers are 1 to 15", index, count);
    if (count <= 0 || count % LANES) fail("sync_some(%d, %d): the count is no multiple of 32", index, count);
    barrier &b = now.barriers[index];
    if (b.here && b.count != count) fail("sync_some(%d, %d): others wait for %d threads", index, count, b.count);
    b.count = count;
    wait_at(b, site);
}

/* -- warp operations ----------------------------------------------------------------------------------------------- */

void meet(const warp_operation &operation, void *record) {
    meeting &m = now.meetings[my_warp()];
    if (m.here && m.operation != &operation)
        fail("%s, while other lanes of the warp are at %s", operation.name, m.operation->name);
    m.operation = &operation;
    m.lanes[my_lane()] = record;
    m.here |= 1u << my_lane();
    if (m.here == ~0u) {
        m.here = 0;
        operation.all(m.lanes);
        make_ready(my_warp(), ~0u);
    }
    others();
}

void sync_warp(ingot_emulated_site site) {
    if (!skips(site)) meet(warp_sync, nullptr);
}

uint32_t shuffle(uint32_t x, ingot_shuffle how, int by) {
    shuffle_record record = {x, how, by, 0};
    meet(warp_shuffle[how], &record);
    return record.result;
}

uint32_t ballot(bool condition) {
    shuffle_record record = {condition, INGOT_SHUFFLE_LANE, 0, 0};
    meet(warp_ballot, &record);
    return record.result;
}

unsigned char *dynamic_shared() { return dynamic_end - (launch->shared + 127) / 128 * 128; }

bool is_shared(const void *p, size_t bytes) {
    const unsigned char *q = (const unsigned char *)p;
    return (q >= dynamic_shared() && q + bytes <= dynamic_shared() + launch->shared) ||
           (q >= shared && q + bytes <= shared + kernel->position->shared);
}

void load_matrix(uint32_t *words, int matrices, const void *row, bool transposed) {
    if ((int)my_lane() < matrices * 8) {
        if ((uintptr_t)row % 16) fail("load_matrix: %p is no multiple of 16", row);
        if (!is_shared(row, 16)) fail("load_matrix: %p is not in shared memory", row);
    }
    matrix_record record = {words, row, matrices};
    meet(transposed ? warp_load_transposed : warp_load, &record);
}

void multiply(ingot_product product, void *d, const uint32_t *a, const uint32_t *b) {
    product_record record = {d, a, b};
    meet(warp_multiply[product], &record);
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

void check_global(const void *p, size_t bytes) {
    if ((uintptr_t)p % bytes) fail("load_constant: %p is no multiple of %zu", p, bytes);
    if (is_shared(p, bytes)) fail("load_constant: %p is in shared memory", p);
}

void copy_async(void *to, const void *from, int bytes, int there) {
    if ((uintptr_t)to % (size_t)bytes || (uintptr_t)from % (size_t)bytes)
        fail("copy_async: %p or %p is no multiple of %d", to, from, bytes);
    if (!is_shared(to, (size_t)bytes)) fail("copy_async: to %p, which is not in shared memory", to);
    if (is_shared(from, 1)) fail("copy_async: from %p, which is in shared memory", from);
    if (there < 0 || there > bytes) fail("copy_async: %d of %d bytes", there, bytes);
    memset(to, 0xFF, (size_t)bytes);
    self->copies.push_back({to, from, bytes, there, self->groups});
}

void copy_commit() { self->groups++; }

void copy_wait(ingot_emulated_site site, int groups) {
    if (skips(site)) return;
    size_t kept = 0;
    for (const copy &c : self->copies) {
        if ((int64_t)c.group >= (int64_t)self->groups - groups) {
            self->copies[kept++] = c;
            continue;
        }
        memcpy(c.to, c.from, (size_t)c.there);
        memset((char *)c.to + c.there, 0, (size_t)(c.bytes - c.there));
    }
    self->copies.resize(kept);
}

unsigned char *static_shared(uint32_t *place, size_t bytes) {
    uint32_t &used = kernel->position->shared;
    if (!*place) {
        *place = 1 + used;
        used += (uint32_t)((bytes + 15) / 16 * 16);
        if (used > STATIC_SHARED) fail("more than %zu bytes of static shared memory", STATIC_SHARED);
    }
    return shared + (*place - 1);
}

uint32_t shared_address(const void *p) {
    if (!is_shared(p, 0)) fail("shared_address: %p is not in shared memory", p);
    return (uint32_t)((const unsigned char *)p - shared);
}

void poll() {
    if (++polls > MAX_POLLS) fail("load_volatile in a loop: a block may not wait for another");
}

void fail_with(const char *what) { fail("%s", what); }

const ingot_machine table = {
    sync_block,  sync_some, sync_warp,      shuffle,       ballot,         load_matrix,  multiply, copy_async,
    copy_commit, copy_wait, dynamic_shared, static_shared, shared_address, check_global, poll,     fail_with,
};

/* -- a launch ------------------------------------------------------------------------------------------------------ */

unsigned char *guarded(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(nullptr, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect((char *)p + page, bytes, PROT_READ | PROT_WRITE)) return nullptr;
    return (unsigned char *)p + page;
}

bool make_memory() {
    if (stacks) return true;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    shared = guarded(STATIC_SHARED + page + DYNAMIC_SHARED);
    call_page = guarded(MAX_CALL);
    unsigned char *made = guarded(STACK * MAX_THREADS);
    if (!shared || !call_page || !made) return false;
    for (size_t i = 0; i < MAX_THREADS; i++) mprotect(made + i * STACK, page, PROT_NONE);
    mprotect(shared + STATIC_SHARED, page, PROT_NONE);
    dynamic_end = shared + STATIC_SHARED + page + DYNAMIC_SHARED;
    stacks = made;
    return true;
}

/* Behind what a launch asked for comes the rest of the last 128 bytes; in front of it, what it did not ask for. */
void poison_shared() {
    const unsigned char poison = launch->seed % 2 ? 0x7F : 0xFF;
    unsigned char *first = dynamic_shared();
    memset(first - BEFORE, AROUND, BEFORE);
    memset(first, poison, launch->shared);
    memset(first + launch->shared, AROUND, (size_t)(dynamic_end - first) - launch->shared);
    memset(shared, poison, STATIC_SHARED);
}

void check_shared() {
    const uint32_t fixed = kernel->position->shared;
    if (fixed + launch->shared > launch->shared_limit)
        return complain("%u bytes of shared memory, %u of them static; a block has %u", fixed + launch->shared, fixed,
                        launch->shared_limit);
    unsigned char *first = dynamic_shared(), *behind = first + launch->shared;
    for (const unsigned char *p = first - BEFORE; p < first; p++)
        if (*p != AROUND) return complain("a byte in front of the dynamic shared memory was written");
    for (const unsigned char *p = behind; p < dynamic_end; p++)
        if (*p != AROUND) return complain("a byte behind the %u of dynamic shared memory was written", launch->shared);
}

void run_block(uint32_t index) {
    const uint32_t *grid = launch->grid, *extents = launch->block;
    ingot_emulated_position &position = *kernel->position;
    position.block = {index % grid[0], index / grid[0] % grid[1], index / grid[0] / grid[1]};
    now.returned = now.ready_warps = now.patience = 0;
    now.threads = extents[0] * extents[1] * extents[2];
    now.warps = (now.threads + LANES - 1) / LANES;
    memset(now.ready, 0, sizeof now.ready);
    memset(now.meetings, 0, sizeof now.meetings);
    memset(now.barriers, 0, sizeof now.barriers);
    now.barriers[0].count = (int)now.threads;
    now.warp = 0;
    poison_shared();
    for (uint32_t i = 0; i < now.threads; i++) {
        thread &t = threads[i];
        t.index = {i % extents[0], i / extents[0] % extents[1], i / extents[0] / extents[1]};
        t.copies.clear();
        t.groups = 0;
        fiber_start(&t.place, stacks + i * STACK, STACK, thread_main);
        make_ready(i / LANES, 1u << i % LANES);
    }
    self = choose();
    position.thread = self->index;
    fiber_switch(&scheduler, &self->place);
    if (!error) check_shared();
}

const char *refuse() {
    const uint32_t *grid = launch->grid, *extents = launch->block;
    const uint64_t count = (uint64_t)extents[0] * extents[1] * extents[2];
    if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
        return "a grid that no device takes";
    if (!count || count > kernel->threads || count > MAX_THREADS || extents[2] > 64)
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

void on_signal(int signal, siginfo_t *info, void *) {
    if (!self || !pthread_equal(launching, pthread_self())) { /* not the kernel's doing */
        ::signal(signal, SIG_DFL);
        return;
    }
    char where[200];
    if (signal == SIGFPE) fail("division of an integer by zero");
    if (signal == SIGILL) fail("unreachable code was reached");
    const unsigned char *address = (const unsigned char *)info->si_addr;
    if (address >= stacks && address < stacks + STACK * MAX_THREADS) fail("more than %zu bytes of stack", STACK);
    if (address >= shared && address < dynamic_end) fail("an access behind static shared memory");
    if (address >= dynamic_end && address < dynamic_end + 4096)
        fail("an access %zd bytes behind the %u of dynamic shared memory", address - dynamic_end, launch->shared);
    if (address >= call_page && address < call_page + MAX_CALL) fail("an operand or parameter was written");
    if (ingot_emulator_describe(address, where, sizeof where)) fail("an access out of bounds: %s", where);
    fail("an access to %p, where nothing is", (const void *)address);
}

/* Faults of kernels become errors of the launch, and go to whoever had them before when it ends. */
class faults {
  public:
    faults() {
        stack_t mine = {};
        mine.ss_sp = stack;
        mine.ss_size = sizeof stack;
        sigaltstack(&mine, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &action, &before[i]);
    }
    ~faults() {
        for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }

  private:
    static constexpr int COUNT = 4, SIGNALS[COUNT] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static unsigned char stack[64 << 10];
    stack_t stack_before;
    struct sigaction before[COUNT];
};
unsigned char faults::stack[64 << 10];

void run_blocks() {
    const uint32_t *grid = launch->grid;
    std::vector<uint32_t> order((size_t)grid[0] * grid[1] * grid[2]);
    std::iota(order.begin(), order.end(), 0u);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[chance.below((uint32_t)i)]);
    for (size_t i = 0; i < order.size() && !error; i++) run_block(order[i]);
}

} // namespace

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
    launching = pthread_self();
    memset(call_page, AROUND, MAX_CALL);
    memcpy(call_page, l->call, l->call_size);
    mprotect(call_page, MAX_CALL, PROT_READ);
    error = nullptr;
    run_blocks();
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
