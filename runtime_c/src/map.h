/* A whole file as read-only memory. */
#ifndef INGOT_MAP_H
#define INGOT_MAP_H

#include <stddef.h>

typedef struct ingot_map {
    const void *bytes; /* aligned to a page; never NULL while open */
    size_t size;
    int lock_error; /* why the memory could not be locked (an errno), or 0 */
} ingot_map;

typedef enum ingot_map_mode {
    INGOT_MAP_SHARED_PAGES, /* the page cache's own pages: nothing is copied */
    INGOT_MAP_LOCKED        /* a private copy, present and locked: no page fault later, whatever happens to the file */
} ingot_map_mode;

/* Opens a regular file. Returns 0, or an errno with the name of the call that failed in *failed (a static string).
 * A copy that cannot be locked is still a success: lock_error tells, and the caller decides. */
int ingot_map_open(ingot_map *map, const char *path, ingot_map_mode mode, const char **failed);
/* Closing twice, or what never opened but is zero, is fine. */
void ingot_map_close(ingot_map *map);

/* Memory for `free`, NULL when there is none: in large pages where the system has them, since making small ones would
 * be most of what a context costs. `size` must be a multiple of `align`, a power of two. */
void *ingot_map_allocate(size_t align, size_t size);

#endif
