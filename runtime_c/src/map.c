#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise, preadv2 */
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static _Alignas(64) const char nothing[64]; /* what an empty file maps to: mmap takes no length of 0 */

static int fail(const char **failed, const char *call, int error) {
    *failed = call;
    return error;
}

/* A FIFO would block in open without O_NONBLOCK, which regular files ignore. */
static int open_regular(const char *path, size_t *size, int *descriptor, const char **failed) {
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return fail(failed, "open", errno);
    }
    struct stat status;
    int error = 0;
    if (fstat(fd, &status) != 0) {
        error = fail(failed, "fstat", errno);
    } else if (!S_ISREG(status.st_mode)) {
        error = fail(failed, "open (not a regular file)", S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
    } else if (status.st_size < 0 || (uintmax_t)status.st_size > PTRDIFF_MAX) {
        error = fail(failed, "fstat", EFBIG);
    }
    if (error) {
        close(fd);
        return error;
    }
    *size = (size_t)status.st_size;
    *descriptor = fd;
    return 0;
}

static int read_all(int fd, char *to, size_t size, const char **failed) {
    for (size_t done = 0; done < size;) {
        const ssize_t got = read(fd, to + done, size - done);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return fail(failed, "read (the file became shorter)", EIO);
        } else if (errno != EINTR) {
            return fail(failed, "read", errno);
        }
    }
    return 0;
}

/* Locking comes before reading, so that every page is made once, by mlock. */
static int copy_locked(ingot_map *map, int fd, const char **failed) {
    char *copy = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        return fail(failed, "mmap", errno);
    }
    madvise(copy, map->size, MADV_HUGEPAGE); /* a wish: fewer pages to make, and to look up in every run */
    map->lock_error = mlock(copy, map->size) == 0 ? 0 : errno;
    int error = read_all(fd, copy, map->size, failed);
    if (!error && mprotect(copy, map->size, PROT_READ) != 0) {
        error = fail(failed, "mprotect", errno);
    }
    if (error) {
        munmap(copy, map->size);
        return error;
    }
    map->bytes = copy;
    return 0;
}

/* Whether the page cache has bytes that lie two megabytes apart, and the last. */
static int is_cached(int fd, size_t size) {
#ifdef RWF_NOWAIT
    const size_t apart = (size_t)2 << 20, last = size - 1;
    for (size_t i = 0; i <= last / apart + 1; ++i) {
        char byte;
        const struct iovec to = {.iov_base = &byte, .iov_len = 1};
        if (preadv2(fd, &to, 1, (off_t)(i <= last / apart ? i * apart : last), RWF_NOWAIT) != 1) {
            return 0;
        }
    }
    return 1;
#else
    (void)fd, (void)size;
    return 0;
#endif
}

static int map_pages(ingot_map *map, int fd, const char **failed) {
    /* Plain: faults bring 16 pages and more at a time, and MAP_POPULATE was no faster (25 MiB with its checksum: 1.6 ms
     * either way on ext4, 3.0 against 3.3 ms on tmpfs) but would read all of a file whose constants nobody asks for. */
    void *bytes = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        return fail(failed, "mmap", errno);
    }
    /* A cold file is read ahead while the first bytes are checked. For a cached one the advice would take a third as
     * long as the checksum. */
    if (!is_cached(fd, map->size)) {
        madvise(bytes, map->size, MADV_WILLNEED);
    }
    map->bytes = bytes;
    return 0;
}

int ingot_map_open(ingot_map *map, const char *path, ingot_map_mode mode, const char **failed) {
    *map = (ingot_map){0};
    *failed = "";
    int fd = -1;
    int error = open_regular(path, &map->size, &fd, failed);
    if (error) {
        return error;
    }
    if (map->size == 0) {
        map->bytes = nothing;
    } else if (mode == INGOT_MAP_LOCKED) {
        error = copy_locked(map, fd, failed);
    } else {
        error = map_pages(map, fd, failed);
    }
    close(fd); /* a mapping outlives its descriptor */
    if (error) {
        *map = (ingot_map){0};
    }
    return error;
}

void ingot_map_close(ingot_map *map) {
    if (map->size) {
        munmap((void *)(uintptr_t)map->bytes, map->size);
    }
    *map = (ingot_map){0};
}

void *ingot_map_allocate(size_t align, size_t size) {
    const size_t large = (size_t)2 << 20;
    /* Large pages where they are filled, and one more rather than hundreds of small ones. */
    const size_t covered = (size / large + (size % large > large / 2)) * large;
    if (covered == 0 || size > SIZE_MAX - large) {
        return aligned_alloc(align, size);
    }
    /* The standard wants a multiple of the alignment; what nobody touches takes no memory. */
    void *block = aligned_alloc(large, (size + large - 1) / large * large);
    if (block != NULL) {
        madvise(block, covered, MADV_HUGEPAGE); /* a wish, as above */
    }
    return block;
}
