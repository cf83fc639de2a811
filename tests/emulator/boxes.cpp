/* Barriers in shared memory, and boxes of tensors that arrive at them: whenever chance decides, or when nobody else can
 * go on. Where a box is under way its destination is poisoned. */
#include <string.h>

#include <map>

#include "launch.h"

namespace emulation {

namespace {

constexpr int BOX_ROWS = 64, BOX_BYTES = 128;

/* What a barrier's eight bytes hold. */
struct state {
    uint16_t arrivals, missing, phase, unused;
};

struct box {
    const ingot_emulated_map *map;
    int column, row;
    unsigned char *to;
    uint64_t *barrier;
};

struct sleeper {
    thread *who;
    uint64_t *barrier;
    uint32_t parity;
    ingot_emulated_site site;
};

std::vector<box> boxes;
std::vector<sleeper> sleepers;
std::map<uint64_t *, int64_t> bytes; /* of each barrier that was made: those that its phase waits for */

state read(const uint64_t *barrier) {
    state s;
    memcpy(&s, barrier, sizeof s);
    return s;
}

void settle(uint64_t *barrier) {
    state s = read(barrier);
    if (s.missing || bytes[barrier]) return;
    s.phase ^= 1;
    s.missing = s.arrivals;
    memcpy(barrier, &s, sizeof s);
    size_t kept = 0;
    for (const sleeper &each : sleepers) {
        if (each.barrier == barrier && each.parity != s.phase)
            wake(each.who);
        else
            sleepers[kept++] = each;
    }
    sleepers.resize(kept);
}

void known(const char *what, uint64_t *barrier) {
    if (!bytes.count(barrier)) fail("%s: %p is no barrier", what, (void *)barrier);
}

/* Rows of 128 bytes whose chunks change places; what the tensor does not have is zero. */
void fill(const box &b) {
    const ingot_emulated_map &m = *b.map;
    for (int r = 0; r < BOX_ROWS; r++)
        for (int c = 0; c < BOX_BYTES / 16; c++) {
            unsigned char chunk[16] = {};
            for (size_t i = 0; i < 16 / m.size; i++) {
                const int64_t row = (int64_t)b.row + r, column = (int64_t)b.column + (int64_t)(c * 16 / m.size + i);
                if (row < 0 || row >= (int64_t)m.rows || column < 0 || column >= (int64_t)m.columns) continue;
                memcpy(chunk + i * m.size, (const char *)m.address + row * (int64_t)m.pitch + column * (int64_t)m.size,
                       m.size);
            }
            memcpy(b.to + r * BOX_BYTES + ((c ^ (r & 7)) * 16), chunk, sizeof chunk);
        }
}

} // namespace

void forget_boxes() {
    boxes.clear();
    sleepers.clear();
    bytes.clear();
}

void barrier_init(uint64_t *barrier, int arrivals) {
    if ((uintptr_t)barrier % 8 || !is_shared(barrier, 8)) fail("barrier_init: %p", (void *)barrier);
    if (arrivals < 1 || arrivals > 0x7fff) fail("barrier_init: %d arrivals", arrivals);
    const state s = {(uint16_t)arrivals, (uint16_t)arrivals, 0, 0};
    memcpy(barrier, &s, sizeof s);
    bytes[barrier] = 0;
}

void barrier_arrive(uint64_t *barrier, int more) {
    known("barrier_arrive", barrier);
    state s = read(barrier);
    if (!s.missing) fail("barrier_arrive: more arrivals than the %u of the barrier", s.arrivals);
    s.missing--;
    memcpy(barrier, &s, sizeof s);
    bytes[barrier] += more;
    settle(barrier);
}

void barrier_wait(ingot_emulated_site site, uint64_t *barrier, uint32_t parity) {
    if (skips(site)) return;
    known("barrier_wait", barrier);
    if (read(barrier).phase != parity) return;
    sleepers.push_back({self, barrier, parity, site});
    sleep();
}

void copy_box(void *to, const void *map, int column, int row, uint64_t *barrier) {
    const ingot_emulated_map *m = (const ingot_emulated_map *)map;
    if ((uintptr_t)map % 64 || m->mark != INGOT_EMULATED_MAP) fail("copy_box: %p is no tensor map", map);
    if (!is_shared(to, BOX_ROWS * BOX_BYTES) || ((const unsigned char *)to - dynamic_shared()) % 1024)
        fail("copy_box: to %p, which is not in shared memory or no multiple of 1024", to);
    if (!now.awaited) (void)*(const volatile unsigned char *)m->address; /* read now, or behind await_kernels */
    known("copy_box", barrier);
    memset(to, 0xFF, BOX_ROWS * BOX_BYTES);
    boxes.push_back({m, column, row, (unsigned char *)to, barrier});
}

bool deliver_box() {
    if (boxes.empty()) return false;
    const size_t which = chance.below((uint32_t)boxes.size());
    const box b = boxes[which];
    boxes.erase(boxes.begin() + (ptrdiff_t)which);
    fill(b);
    bytes[b.barrier] -= BOX_ROWS * BOX_BYTES;
    settle(b.barrier);
    return true;
}

const ingot_emulated_site *box_sleeper(size_t index) {
    return index < sleepers.size() ? &sleepers[index].site : nullptr;
}

} // namespace emulation
