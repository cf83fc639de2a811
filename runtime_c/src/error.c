/* Statuses and messages. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

uint32_t ingot_version_number(void) {
    return INGOT_VERSION_MAJOR << 16 | INGOT_VERSION_MINOR << 8 | INGOT_VERSION_PATCH;
}

const char *ingot_status_name(ingot_status status) {
    switch (status) {
    case INGOT_OK: return "ok";
    case INGOT_ERR_TRUNCATED: return "truncated";
    case INGOT_ERR_MAGIC: return "magic";
    case INGOT_ERR_VERSION: return "version";
    case INGOT_ERR_CHECKSUM: return "checksum";
    case INGOT_ERR_FORMAT: return "format";
    case INGOT_ERR_KERNEL: return "kernel";
    case INGOT_ERR_STEP: return "step";
    case INGOT_ERR_PLAN: return "plan";
    case INGOT_ERR_SIGNATURE: return "signature";
    case INGOT_ERR_SELFTEST: return "selftest";
    case INGOT_ERR_ARGUMENT: return "argument";
    case INGOT_ERR_SHAPE: return "shape";
    case INGOT_ERR_ALIGNMENT: return "alignment";
    case INGOT_ERR_MEMORY: return "memory";
    case INGOT_ERR_FILE: return "file";
    case INGOT_ERR_THREAD: return "thread";
    case INGOT_ERR_NO_VARIANT: return "no variant";
    case INGOT_ERR_DEVICE: return "device";
    case INGOT_ERR_ISA: return "isa";
    case INGOT_ERR_INDEX: return "index";
    case INGOT_ERR_UNSUPPORTED: return "unsupported";
    }
    return "unknown";
}

void ingot_clear(ingot_error *error) {
    if (error) {
        error->status = INGOT_OK;
        error->reserved = 0;
        error->offset = INGOT_NO_OFFSET;
        error->message[0] = '\0';
    }
}

ingot_status ingot_fail(ingot_error *error, ingot_status status, uint64_t offset, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        int length = vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        if (offset != INGOT_NO_OFFSET && length >= 0 && (size_t)length < sizeof error->message)
            snprintf(error->message + length, sizeof error->message - (size_t)length, " (at byte %llu)",
                     (unsigned long long)offset);
        /* Names come from the file: a message stays one printable line whatever they hold. */
        for (char *c = error->message; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
        error->status = status;
        error->reserved = 0;
        error->offset = offset;
    }
    return status;
}
