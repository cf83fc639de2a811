/* A timing cache as text: read, added to, written. docs/timing-cache.md describes the format. */
#ifndef INGOT_TIMINGS_H
#define INGOT_TIMINGS_H

#include "tune.h"

typedef struct ingot_timings_line {
    char *key;         /* five fields, tab-separated */
    const char *value; /* three fields; in the file's text or in `room` */
    char room[72];
} ingot_timings_line;

typedef struct ingot_timings {
    char *text;      /* of the file that was read */
    char **machines; /* lines that begin with '#', each once */
    uint32_t machine_count;
    ingot_timings_line *lines;
    uint32_t count, capacity;
} ingot_timings;

/* Reads the file at `path`, or nothing where `path` is NULL; `more` entries and a machine can be added then without
 * allocating. INGOT_ERR_FILE: it cannot be read; INGOT_ERR_FORMAT, CHECKSUM: it is no timing cache, or damaged. */
ingot_status ingot_timings_open(ingot_timings *timings, const char *path, uint32_t more, ingot_error *error);
void ingot_timings_close(ingot_timings *timings);

int ingot_timings_has(const ingot_timings *timings, const char *key);
/* Adds or replaces. `key` and `line` are borrowed. */
void ingot_timings_put(ingot_timings *timings, char *key, const ingot_timing *timing);
void ingot_timings_add_machine(ingot_timings *timings, char *line);

/* Writes PATH.part and renames it. With `finished` the last line is the SHA-256 of those before it. */
ingot_status ingot_timings_save(ingot_timings *timings, const char *path, int finished, ingot_error *error);

#endif
