#include "timings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sha256.h"

#define HEADER "ingot timing cache 1\n"
#define SEAL "sha256 "
enum { KEY_FIELDS = 5, VALUE_FIELDS = 3, SEAL_LENGTH = 7 + 64 + 1, PATH_ROOM = 4096 };

static int by_key(const void *a, const void *b) {
    return strcmp(((const ingot_timings_line *)a)->key, ((const ingot_timings_line *)b)->key);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ingot_status read_all(ingot_timings *t, const char *path, size_t *size, ingot_error *error) {
    FILE *file = fopen(path, "rb");
    size_t room = 1 << 16, used = 0;
    int system = file ? 0 : errno;
    char *text = file ? malloc(room) : NULL;
    while (text && !system) {
        used += fread(text + used, 1, room - used, file);
        if (used < room) {
            system = ferror(file) ? errno : 0;
            break;
        }
        char *larger = realloc(text, room *= 2);
        if (!larger) system = ENOMEM;
        if (larger) text = larger;
    }
    if (file) fclose(file);
    t->text = text;
    *size = used;
    if (system || !text)
        return ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET, "%.160s: %s", path,
                          strerror(system ? system : ENOMEM));
    return INGOT_OK;
}

/* The seal is the last line, or there is none. */
static ingot_status check_seal(const char *text, size_t *size, const char *path, ingot_error *error) {
    const char *last = text + *size - SEAL_LENGTH;
    if (*size < SEAL_LENGTH + sizeof HEADER || memcmp(last, SEAL, sizeof SEAL - 1) != 0 || last[-1] != '\n')
        return INGOT_OK;
    uint8_t digest[INGOT_SHA256_SIZE];
    ingot_sha256(text, *size - SEAL_LENGTH, digest);
    char hex[2 * INGOT_SHA256_SIZE + 2];
    for (int i = 0; i < INGOT_SHA256_SIZE; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    hex[2 * INGOT_SHA256_SIZE] = '\n';
    if (memcmp(last + sizeof SEAL - 1, hex, sizeof hex - 1) != 0)
        return ingot_fail(error, INGOT_ERR_CHECKSUM, *size - SEAL_LENGTH,
                          "%.160s is damaged: its SHA-256 is not that of its last line", path);
    *size -= SEAL_LENGTH;
    return INGOT_OK;
}

static int is_number(const char *field, int whole) {
    size_t digits = strspn(field, "0123456789");
    if (digits == 0) return 0;
    if (!whole && field[digits] == '.') {
        size_t more = strspn(field + digits + 1, "0123456789");
        if (more == 0) return 0;
        digits += 1 + more;
    }
    return field[digits] == 0 || field[digits] == '\t';
}

/* Cuts a line behind its key; 0 when it is no entry. */
static int take_entry(char *line, ingot_timings_line *entry) {
    char *fields[KEY_FIELDS + VALUE_FIELDS] = {line};
    int count = 1;
    for (char *at = line; *at; at++) {
        if (*at == '\t' && count == KEY_FIELDS + VALUE_FIELDS) return 0;
        if (*at == '\t') fields[count++] = at + 1;
    }
    if (count != KEY_FIELDS + VALUE_FIELDS) return 0;
    for (int i = 0; i < 3; i++)
        if (*fields[i] == '\t') return 0;
    for (int i = 3; i < count; i++)
        if (!is_number(fields[i], i < KEY_FIELDS || i == count - 1)) return 0;
    fields[KEY_FIELDS][-1] = 0;
    *entry = (ingot_timings_line){.key = line, .value = fields[KEY_FIELDS]};
    return 1;
}

static ingot_status parse(ingot_timings *t, size_t size, const char *path, ingot_error *error) {
    char *line = t->text, *end = t->text + size;
    for (uint32_t number = 1; line < end; number++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) break; /* cut off while it was written: what stands before it counts */
        *stop = 0;
        if (number > 1 && *line == '#')
            t->machines[t->machine_count++] = line;
        else if (number > 1 && (strlen(line) != (size_t)(stop - line) || !take_entry(line, &t->lines[t->count++])))
            return ingot_fail(error, INGOT_ERR_FORMAT, (uint64_t)(line - t->text),
                              "%.160s is damaged: line %u is no timing", path, number);
        line = stop + 1;
    }
    qsort(t->lines, t->count, sizeof *t->lines, by_key);
    for (uint32_t i = 1; i < t->count; i++)
        if (strcmp(t->lines[i - 1].key, t->lines[i].key) == 0)
            return ingot_fail(error, INGOT_ERR_FORMAT, (uint64_t)(t->lines[i].key - t->text),
                              "%.160s is damaged: two timings of one candidate", path);
    return INGOT_OK;
}

ingot_status ingot_timings_open(ingot_timings *t, const char *path, uint32_t more, ingot_error *error) {
    memset(t, 0, sizeof *t);
    size_t size = 0;
    uint32_t lines = 0;
    ingot_status status = path ? read_all(t, path, &size, error) : INGOT_OK;
    if (!status && path && (size < sizeof HEADER - 1 || memcmp(t->text, HEADER, sizeof HEADER - 1) != 0))
        status = ingot_fail(error, INGOT_ERR_FORMAT, 0, "%.160s is no timing cache: its first line is not '%.20s'",
                            path, HEADER);
    if (!status && path) status = check_seal(t->text, &size, path, error);
    for (size_t i = 0; !status && i < size; i++) lines += t->text[i] == '\n';
    t->capacity = lines + more;
    t->lines = calloc((size_t)t->capacity + 1, sizeof *t->lines);
    t->machines = calloc((size_t)lines + 1, sizeof *t->machines);
    if (!status && (!t->lines || !t->machines))
        status = ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for %u timings", t->capacity);
    if (!status) status = parse(t, size, path, error);
    if (status) ingot_timings_close(t);
    return status;
}

void ingot_timings_close(ingot_timings *t) {
    free(t->text), free(t->machines), free(t->lines);
    memset(t, 0, sizeof *t);
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static ingot_timings_line *find(const ingot_timings *t, const char *key) {
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->lines[i].key, key) == 0) return &t->lines[i];
    return NULL;
}

int ingot_timings_has(const ingot_timings *t, const char *key) { return find(t, key) != NULL; }

void ingot_timings_put(ingot_timings *t, char *key, const ingot_timing *timing) {
    ingot_timings_line *line = find(t, key);
    if (!line) line = &t->lines[t->count++];
    line->key = key;
    line->value = NULL; /* in its room, which moves when lines are sorted */
    snprintf(line->room, sizeof line->room, "%.1f\t%.1f\t%u", timing->median_ns, timing->spread_ns, timing->samples);
}

void ingot_timings_add_machine(ingot_timings *t, char *line) {
    for (uint32_t i = 0; i < t->machine_count; i++)
        if (strcmp(t->machines[i], line) == 0) return;
    t->machines[t->machine_count++] = line;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void write_words(FILE *file, ingot_sha256_stream *hash, const char *first, ...) {
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *)) {
        ingot_sha256_update(hash, word, strlen(word));
        fputs(word, file);
    }
    va_end(words);
}

ingot_status ingot_timings_save(ingot_timings *t, const char *path, int finished, ingot_error *error) {
    char part[PATH_ROOM];
    int length = snprintf(part, sizeof part, "%s.part", path);
    if (length < 0 || length >= (int)sizeof part)
        return ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET, "%.160s: the path is too long", path);
    FILE *file = fopen(part, "wb");
    if (!file) return ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET, "%.160s: %s", part, strerror(errno));
    qsort(t->lines, t->count, sizeof *t->lines, by_key);
    qsort(t->machines, t->machine_count, sizeof *t->machines, by_text);
    ingot_sha256_stream hash;
    ingot_sha256_init(&hash);
    write_words(file, &hash, HEADER, NULL);
    for (uint32_t i = 0; i < t->machine_count; i++) write_words(file, &hash, t->machines[i], "\n", NULL);
    for (uint32_t i = 0; i < t->count; i++) {
        const ingot_timings_line *line = &t->lines[i];
        write_words(file, &hash, line->key, "\t", line->value ? line->value : line->room, "\n", NULL);
    }
    if (finished) {
        uint8_t digest[INGOT_SHA256_SIZE];
        ingot_sha256_final(&hash, digest);
        fputs(SEAL, file);
        for (int i = 0; i < INGOT_SHA256_SIZE; i++) fprintf(file, "%02x", digest[i]);
        fputc('\n', file);
    }
    int failed = ferror(file) | fflush(file);
    failed |= fclose(file);
    if (failed || rename(part, path) != 0) {
        ingot_status status = ingot_fail(error, INGOT_ERR_FILE, INGOT_NO_OFFSET, "%.160s: %s", path, strerror(errno));
        remove(part);
        return status;
    }
    return INGOT_OK;
}
