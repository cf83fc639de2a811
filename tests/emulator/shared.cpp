/* Shared memory, copies to it, and what reads it later. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "launch.h"

namespace emulation {

namespace {

constexpr size_t BEFORE = 4096; /* bytes in front of dynamic shared memory that are looked at */

} // namespace

unsigned char *shared, *dynamic_end;

namespace {

size_t of_a_block() { return STATIC_SHARED + DYNAMIC_SHARED + 2 * (size_t)sysconf(_SC_PAGESIZE); }
unsigned char *static_begin(uint32_t rank) { return shared + rank * of_a_block(); }
unsigned char *dynamic_begin(uint32_t rank) {
    return dynamic_end + rank * of_a_block() - (launch->shared + 127) / 128 * 128;
}

} // namespace

bool make_shared() {
    if (shared) return true;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *made = guarded(MAX_CLUSTER * of_a_block());
    if (!made) return false;
    for (size_t at = 0; at < MAX_CLUSTER * of_a_block(); at += of_a_block())
        if (mprotect(made + at + STATIC_SHARED, page, PROT_NONE) ||
            mprotect(made + at + of_a_block() - page, page, PROT_NONE))
            return false;
    dynamic_end = made + STATIC_SHARED + page + DYNAMIC_SHARED;
    shared = made;
    return true;
}

unsigned char *dynamic_shared() { return dynamic_begin(my_rank()); }

bool is_shared(const void *p, size_t bytes) {
    const unsigned char *q = (const unsigned char *)p;
    return (q >= dynamic_shared() && q + bytes <= dynamic_shared() + launch->shared) ||
           (q >= static_begin(my_rank()) && q + bytes <= static_begin(my_rank()) + kernel->position->shared);
}

void *memory_of(uint32_t rank, const void *p) {
    if (rank >= kernel->cluster) fail("store_to_block: block %u of a cluster of %u", rank, kernel->cluster);
    if (!is_shared(p, 4)) fail("store_to_block: %p is not in shared memory", p);
    return (unsigned char *)p + ((int64_t)rank - (int64_t)my_rank()) * (int64_t)of_a_block();
}

/* Behind what a launch asked for comes the rest of the last 128 bytes; in front of it, what it did not ask for. */
void poison_shared() {
    const unsigned char poison = launch->seed % 2 ? 0x7F : 0xFF;
    for (uint32_t rank = 0; rank < kernel->cluster; rank++) {
        unsigned char *first = dynamic_begin(rank);
        memset(first - BEFORE, AROUND, BEFORE);
        memset(first, poison, launch->shared);
        memset(first + launch->shared, AROUND, (size_t)(dynamic_end - dynamic_begin(0)) - launch->shared);
        memset(static_begin(rank), poison, STATIC_SHARED);
    }
}

void check_shared() {
    const uint32_t fixed = kernel->position->shared;
    if (fixed + launch->shared > launch->shared_limit)
        return complain("%u bytes of shared memory, %u of them static; a block has %u", fixed + launch->shared, fixed,
                        launch->shared_limit);
    for (uint32_t rank = 0; rank < kernel->cluster; rank++) {
        unsigned char *first = dynamic_begin(rank), *behind = first + launch->shared;
        for (const unsigned char *p = first - BEFORE; p < first; p++)
            if (*p != AROUND) return complain("a byte in front of the dynamic shared memory was written");
        for (const unsigned char *p = behind; p < dynamic_end + rank * of_a_block(); p++)
            if (*p != AROUND)
                return complain("a byte behind the %u of dynamic shared memory was written", launch->shared);
    }
}

void check_global(const void *p, size_t bytes) {
    if ((uintptr_t)p % bytes) fail("load_constant: %p is no multiple of %zu", p, bytes);
    if (is_shared(p, bytes)) fail("load_constant: %p is in shared memory", p);
}

void copy_async(void *to, const void *from, int bytes, int there) {
    if ((uintptr_t)to % (size_t)bytes || (uintptr_t)from % (size_t)bytes)
        fail("copy_async: %p or %p is no multiple of %d", to, from, bytes);
    if (!is_shared(to, (size_t)bytes)) fail("copy_async: to %p, which is not in shared memory", to);
    if (is_shared(from, 1)) fail("copy_async: from %p, which is in shared memory", from);
    if (there > 0 && !now.awaited) (void)*(const volatile unsigned char *)from; /* read now, or behind await_kernels */
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

/* Products read shared memory, and change their sums, when they are waited for. */
void group_multiply(ingot_group_product run, void *d, const void *a, const void *b, bool held) {
    for (const void *p : {held ? b : a, b})
        if ((uintptr_t)p % 16 || !is_shared(p, 32)) fail("group_multiply: %p", p);
    self->products.push_back({run, d, a, b, self->product_groups, held});
}

void group_commit() { self->product_groups++; }

void group_wait(ingot_emulated_site site, int groups) {
    if (skips(site)) return;
    size_t kept = 0;
    for (const product &p : self->products) {
        if ((int64_t)p.group >= (int64_t)self->product_groups - groups)
            self->products[kept++] = p;
        else {
            p.run(p.d, p.a, p.b);
            if (p.held) free(const_cast<void *>(p.a));
        }
    }
    self->products.resize(kept);
}

unsigned char *static_shared(uint32_t *place, size_t bytes) {
    uint32_t &used = kernel->position->shared;
    if (!*place) {
        *place = 1 + used;
        used += (uint32_t)((bytes + 15) / 16 * 16);
        if (used > STATIC_SHARED) fail("more than %zu bytes of static shared memory", STATIC_SHARED);
    }
    return static_begin(my_rank()) + (*place - 1);
}

uint32_t shared_address(const void *p) {
    if (!is_shared(p, 0)) fail("shared_address: %p is not in shared memory", p);
    return (uint32_t)((const unsigned char *)p - static_begin(my_rank()));
}

} // namespace emulation
