#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <mutex>

namespace {

constexpr unsigned char AROUND = 0xA5, FRESH = 0xFF;

struct allocation {
    size_t bytes;
    unsigned char *pages; /* without the forbidden ones */
    size_t length;
    bool read_only, hidden;
};

std::mutex lock;
std::map<uintptr_t, allocation> live;
const size_t PAGE = (size_t)sysconf(_SC_PAGESIZE);

bool is(const unsigned char *from, const unsigned char *to, unsigned char byte) {
    for (; from < to; from++)
        if (*from != byte) return false;
    return true;
}

} // namespace

void *ingot_emulator_allocate(size_t bytes, size_t align) {
    const size_t span = (bytes + align - 1) / align * align, length = (span + PAGE - 1) / PAGE * PAGE + PAGE * !span;
    void *mapped =
        mmap(nullptr, length + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    unsigned char *pages = (unsigned char *)mapped + PAGE, *p = pages + length - span;
    mprotect(mapped, PAGE, PROT_NONE);
    mprotect(pages + length, PAGE, PROT_NONE);
    memset(pages, AROUND, (size_t)(p - pages));
    memset(p, FRESH, bytes);
    memset(p + bytes, AROUND, span - bytes);
    const std::lock_guard<std::mutex> hold(lock);
    live[(uintptr_t)p] = {bytes, pages, length, false, false};
    return p;
}

int ingot_emulator_intact(const void *p) {
    const std::lock_guard<std::mutex> hold(lock);
    const allocation &a = live.at((uintptr_t)p);
    const unsigned char *first = (const unsigned char *)p;
    return is(a.pages, first, AROUND) && is(first + a.bytes, a.pages + a.length, AROUND);
}

void ingot_emulator_protect(void *p, int read_only) {
    const std::lock_guard<std::mutex> hold(lock);
    allocation &a = live.at((uintptr_t)p);
    a.read_only = read_only != 0;
    mprotect(a.pages, a.length, read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

void ingot_emulator_hide(void *p, int hidden) {
    const std::lock_guard<std::mutex> hold(lock);
    allocation &a = live.at((uintptr_t)p);
    a.hidden = hidden != 0;
    mprotect(a.pages, a.length, hidden ? PROT_NONE : a.read_only ? PROT_READ : PROT_READ | PROT_WRITE);
}

void ingot_emulator_free(void *p) {
    const std::lock_guard<std::mutex> hold(lock);
    const auto at = live.find((uintptr_t)p);
    munmap(at->second.pages - PAGE, at->second.length + 2 * PAGE);
    live.erase(at);
}

size_t ingot_emulator_live() {
    const std::lock_guard<std::mutex> hold(lock);
    return live.size();
}

bool ingot_emulator_describe(const void *address, char *text, size_t size) {
    const uintptr_t x = (uintptr_t)address;
    for (const auto &[start, a] : live) { /* no lock: the launch that failed may hold it */
        const uintptr_t end = start + a.bytes, low = (uintptr_t)a.pages - PAGE, high = low + a.length + 2 * PAGE;
        if (x < low || x >= high) continue;
        if (x < start)
            snprintf(text, size, "%zu bytes before an allocation of %zu", (size_t)(start - x), a.bytes);
        else if (x < end && a.hidden)
            snprintf(text, size, "byte %zu of %zu was touched before await_kernels", (size_t)(x - start), a.bytes);
        else if (x < end)
            snprintf(text, size, "byte %zu of an input of %zu was written", (size_t)(x - start), a.bytes);
        else
            snprintf(text, size, "%zu bytes behind an allocation of %zu", (size_t)(x - end), a.bytes);
        return true;
    }
    return false;
}
