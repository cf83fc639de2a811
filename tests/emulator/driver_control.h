/* What tests may ask of the stand-in for the driver, and do to it. Python: driver.py. */
#ifndef INGOT_EMULATOR_DRIVER_CONTROL_H
#define INGOT_EMULATOR_DRIVER_CONTROL_H

#include <stdint.h>

extern "C" {
/* "devices", "arch" (87), "multiprocessors", "integrated", "version" (12060), "memory" (bytes), "seed". Also by
 * environment: INGOT_EMULATOR_ARCH and so on, when the library is loaded. 0 for a name it does not know. */
int ingot_driver_set(const char *name, uint64_t value);
/* The call of `function` (any when NULL) after `skip` others answers `result`, once. Real failures are not that rare:
 * call it again for more. */
void ingot_driver_fail(const char *function, uint64_t skip, int result);
/* The last function that failed so; "" when none has. */
const char *ingot_driver_failed(void);
/* From now on every call answers `result`, as after a kernel that touched what is not its own; 0: no more. */
void ingot_driver_lose(int result);
/* Forgets failures that were asked for, a lost device, and counts of calls. Objects stay. */
void ingot_driver_forgive(void);
/* Calls of a function, of all when NULL; those of failures included. */
uint64_t ingot_driver_calls(const char *function);
/* How many there are: "contexts", "modules", "streams", "events", "graphs", "executables", "device", "pinned",
 * "registered"; or were: "kernels", "blocks", "threads", "damaged". */
uint64_t ingot_driver_count(const char *what);
/* Why the device was lost, in words; "" when it was not. */
const char *ingot_driver_reason(void);
}

#endif
