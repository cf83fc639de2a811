/* The threads of a block: who runs, barriers, and what lanes of a warp do together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"

namespace emulation {

namespace {

uint32_t random_bit(uint32_t mask) {
    const uint32_t turn = chance.below(32);
    const uint32_t turned = turn ? mask >> turn | mask << (32 - turn) : mask;
    return ((uint32_t)__builtin_ctz(turned) + turn) % 32;
}

uint32_t random_warp(uint64_t mask) {
    const uint32_t low = (uint32_t)mask, high = (uint32_t)(mask >> 32);
    return high && (!low || chance.below(2)) ? 32 + random_bit(high) : random_bit(low);
}

[[noreturn]] void report_deadlock() {
    char text[800];
    int at = 0;
    const auto add = [&](const char *format, auto... values) {
        if (at < (int)sizeof text) at += snprintf(text + at, sizeof text - (size_t)at, format, values...);
    };
    for (uint32_t i = 0; i < MAX_CLUSTER * BARRIERS; i++) {
        const uint32_t b = i % BARRIERS;
        const barrier &it = now.barriers[i / BARRIERS][b];
        if (!it.here) continue;
        if (b)
            add("; %d of %d threads wait at sync_some(%u), %s:%u", it.here, it.count, b, it.site.file, it.site.line);
        else
            add("; %d of %u threads wait at sync_block, %s:%u", it.here, now.threads, it.site.file, it.site.line);
    }
    if (now.cluster.here) add("; %d threads wait at sync_cluster", now.cluster.here);
    for (size_t i = 0; const ingot_emulated_site *site = box_sleeper(i); i++)
        add("; a thread waits at barrier_wait, %s:%u", site->file, site->line);
    for (uint32_t w = 0; w < now.warps; w++)
        if (now.meetings[w].here)
            add("; %d lanes of warp %u wait at %s", __builtin_popcount(now.meetings[w].here), w,
                now.meetings[w].operation->name);
    fail("no thread can go on: %u of %u have returned%s", now.returned, now.all, text);
}

void make_ready(uint32_t warp, uint32_t lanes) {
    now.ready[warp] |= lanes;
    if (now.ready[warp]) now.ready_warps |= UINT64_C(1) << warp;
}

/* The kernels before end when no thread can go on without that: as late as can be. */
bool end_others() {
    if (now.awaited) return false;
    bool some = false;
    for (uint32_t w = 0; w < now.warps; w++) {
        some |= now.awaiting[w] != 0;
        make_ready(w, std::exchange(now.awaiting[w], 0u));
    }
    if (!some) return false;
    now.awaited = true;
    show_others(true);
    return true;
}

thread *choose() {
    if (chance.below(8) == 0) deliver_box();
    while (!now.ready_warps) {
        if (now.returned == now.all) return nullptr;
        if (!deliver_box() && !end_others()) report_deadlock();
    }
    if (!now.ready[now.warp] || now.patience == 0) {
        static const uint32_t turns[4] = {1, 40, 400, ~0u};
        now.warp = random_warp(now.ready_warps);
        now.patience = turns[chance.below(4)];
    }
    now.patience--;
    const uint32_t lane = random_bit(now.ready[now.warp]);
    now.ready[now.warp] &= ~(1u << lane);
    if (!now.ready[now.warp]) now.ready_warps &= ~(UINT64_C(1) << now.warp);
    return &threads[now.warp * LANES + lane];
}

/* Goes on with another thread, or the scheduler when all have returned. */
void others() {
    thread *next = choose(), *before = self;
    if (next == before) return;
    self = next;
    if (next) {
        kernel->position->thread = next->index;
        kernel->position->block = next->block;
    }
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

void wait_at(barrier &b, ingot_emulated_site site) {
    b.site = site;
    b.waiting[my_warp()] |= 1u << my_lane();
    if (++b.here == b.count) {
        for (uint32_t w = 0; w < now.warps; w++) make_ready(w, std::exchange(b.waiting[w], 0u));
        b.here = 0;
    }
    others();
}

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

} // namespace

void run_threads() {
    const uint32_t *extents = launch->block;
    now.returned = now.patience = 0;
    now.ready_warps = 0;
    now.threads = extents[0] * extents[1] * extents[2];
    now.all = now.threads * kernel->cluster;
    now.warps = (now.all + LANES - 1) / LANES;
    memset(now.ready, 0, sizeof now.ready);
    memset(now.meetings, 0, sizeof now.meetings);
    memset(now.barriers, 0, sizeof now.barriers);
    memset(&now.cluster, 0, sizeof now.cluster);
    for (auto &barriers : now.barriers) barriers[0].count = (int)now.threads;
    now.cluster.count = (int)now.all;
    forget_boxes();
    memset(now.awaiting, 0, sizeof now.awaiting);
    now.awaited = false;
    show_others(false);
    now.warp = 0;
    for (uint32_t i = 0; i < now.all; i++) {
        thread &t = threads[i];
        const uint32_t own = i % now.threads;
        t.index = {own % extents[0], own / extents[0] % extents[1], own / extents[0] / extents[1]};
        t.block = kernel->position->block;
        t.block.x += i / now.threads;
        t.copies.clear();
        t.groups = 0;
        for (const product &p : t.products) {
            if (p.held) free(const_cast<void *>(p.a));
        }
        t.products.clear();
        t.product_groups = 0;
        fiber_start(&t.place, stacks + i * STACK, STACK, thread_main);
        make_ready(i / LANES, 1u << i % LANES);
    }
    self = choose();
    kernel->position->thread = self->index;
    kernel->position->block = self->block;
    fiber_switch(&scheduler, &self->place);
    if (!error && !now.awaited) complain("the block ended without await_kernels");
}

void await_kernels() {
    if (now.awaited) return;
    if (!launch->others_count || !kernel->waits_itself) {
        now.awaited = true;
        return;
    }
    now.awaiting[my_warp()] |= 1u << my_lane();
    others();
}

void sync_block(ingot_emulated_site site) {
    if (!skips(site)) wait_at(now.barriers[my_rank()][0], site);
}

void sync_cluster(ingot_emulated_site site) {
    if (!skips(site)) wait_at(now.cluster, site);
}

uint32_t my_rank() { return self ? (uint32_t)(self - threads) / now.threads : 0; }

void sleep() { others(); }

void wake(thread *sleeper) { make_ready((uint32_t)(sleeper - threads) / LANES, 1u << (sleeper - threads) % LANES); }

void sync_some(ingot_emulated_site site, int index, int count) {
    if (skips(site)) return;
    if (index < 1 || index >= (int)BARRIERS) fail("sync_some(%d, %d): barriers are 1 to 15", index, count);
    if (count <= 0 || count % LANES) fail("sync_some(%d, %d): the count is no multiple of 32", index, count);
    barrier &b = now.barriers[my_rank()][index];
    if (b.here && b.count != count) fail("sync_some(%d, %d): others wait for %d threads", index, count, b.count);
    b.count = count;
    wait_at(b, site);
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

} // namespace emulation
