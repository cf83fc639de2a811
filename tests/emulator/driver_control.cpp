/* The state of the stand-in for the driver, failures on demand, and counts. */
#include "driver_control.h"

#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "memory.h"

namespace {

struct failure {
    std::string function; /* any when empty */
    uint64_t skip;
    CUresult result;
};
std::list<failure> failures;
std::string failed; /* the last call that did because of one of them */

struct number {
    const char *name, *variable;
    uint64_t first; /* when nobody says */
    void (*set)(uint64_t);
};
const number numbers[] = {
    {"devices", "INGOT_EMULATOR_DEVICES", 1, [](uint64_t x) { driver.set.devices = (int)x; }},
    {"arch", "INGOT_EMULATOR_ARCH", 87, [](uint64_t x) { driver.set.arch = (int)x; }},
    {"multiprocessors", "INGOT_EMULATOR_MULTIPROCESSORS", 8, [](uint64_t x) { driver.set.multiprocessors = (int)x; }},
    {"integrated", "INGOT_EMULATOR_INTEGRATED", 0, [](uint64_t x) { driver.set.integrated = (int)x; }},
    {"version", "INGOT_EMULATOR_VERSION", 13000, [](uint64_t x) { driver.set.version = (int)x; }},
    {"memory", "INGOT_EMULATOR_MEMORY", 4ull << 30, [](uint64_t x) { driver.set.memory = x; }},
    {"seed", "INGOT_EMULATOR_SEED", 1,
     [](uint64_t x) {
         driver.set.seed = x;
         driver.chance.seed(x);
     }},
};

struct from_environment {
    from_environment() {
        driver.set.name = "Emulated device";
        for (const number &n : numbers) {
            const char *said = getenv(n.variable);
            n.set(said ? strtoull(said, nullptr, 0) : n.first);
        }
    }
};

uint64_t count_spans(decltype(span::kind) kind) {
    uint64_t count = 0;
    for (const auto &each : driver.spans) count += each.second.kind == kind;
    return count;
}

const struct {
    const char *name;
    uint64_t (*get)();
} counts[] = {
    {"contexts",
     [] {
         uint64_t retained = 0;
         for (const CUctx_st &c : driver.primaries) retained += (uint64_t)c.retained;
         return retained;
     }},
    {"modules", [] { return (uint64_t)driver.modules.size(); }},
    {"streams", [] { return (uint64_t)driver.streams.size(); }},
    {"events", [] { return (uint64_t)driver.events.size(); }},
    {"graphs", [] { return (uint64_t)driver.graphs.size(); }},
    {"executables", [] { return (uint64_t)driver.executables.size(); }},
    {"device", [] { return count_spans(span::DEVICE); }},
    {"pinned", [] { return count_spans(span::PINNED); }},
    {"registered", [] { return count_spans(span::REGISTERED); }},
    {"kernels", [] { return driver.kernels; }},
    {"blocks", [] { return driver.blocks; }},
    {"threads", [] { return driver.threads; }},
    {"early", [] { return driver.early; }},
    {"copies", [] { return driver.copies; }},
    {"damaged",
     [] {
         uint64_t damaged = driver.damaged;
         for (const auto &[address, each] : driver.spans)
             damaged += each.kind != span::REGISTERED && !ingot_emulator_intact((const void *)address);
         return damaged;
     }},
};

} // namespace

driver_state driver;
static const from_environment set_up; /* after the state it fills in */

CUresult driver_enter(const char *name, needs what) {
    driver.calls[name]++;
    for (auto it = failures.begin(); it != failures.end(); ++it) {
        if (!it->function.empty() && it->function != name) continue;
        if (it->skip) {
            it->skip--;
            continue;
        }
        const CUresult result = it->result;
        failures.erase(it);
        failed = name;
        return result;
    }
    if (what != NOTHING && !driver.started) return CUDA_ERROR_NOT_INITIALIZED;
    if (what == CONTEXT && driver.lost) return driver.lost;
    return what >= CONTEXT && !driver_context() ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
}

API int ingot_driver_set(const char *name, uint64_t value) {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    for (const number &n : numbers)
        if (!strcmp(n.name, name)) {
            n.set(value);
            return 1;
        }
    return 0;
}

API void ingot_driver_fail(const char *function, uint64_t skip, int result) {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    failures.push_back({function ? function : "", skip, result});
}

API void ingot_driver_lose(int result) {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    driver.lost = result;
    driver.reason = result ? "a test said so" : "";
}

API void ingot_driver_forgive() {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    failures.clear();
    failed.clear();
    driver.calls.clear();
    driver.lost = CUDA_SUCCESS;
    driver.reason.clear();
}

API uint64_t ingot_driver_calls(const char *function) {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    uint64_t calls = 0;
    for (const auto &each : driver.calls)
        if (!function || each.first == function) calls += each.second;
    return calls;
}

API uint64_t ingot_driver_count(const char *what) {
    const std::lock_guard<std::recursive_mutex> hold(driver.lock);
    for (const auto &each : counts)
        if (!strcmp(each.name, what)) return each.get();
    return UINT64_MAX;
}

API const char *ingot_driver_failed() { return failed.c_str(); }

API const char *ingot_driver_reason() { return driver.reason.c_str(); }
