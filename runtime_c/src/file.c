/* The outer file: header, section table, checksums, identity, signature. Nothing of the content is believed here. */
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "ed25519.h"
#include "internal.h"
#include "sha256.h"

enum { KNOWN_SECTION_FLAGS = 1, MAX_SECTIONS = 64 };
static const uint64_t KNOWN_FEATURES = 0;

typedef struct section_rule {
    const char *name;
    uint32_t entry_size; /* 0: plain bytes */
    uint8_t in_place;    /* used where it lies instead of being copied */
    uint8_t required;
} section_rule;

static const section_rule rules[INGOT_SECTION_KIND_COUNT] = {
    [INGOT_SECTION_STRINGS] = {"strings", 0, 0, 1},
    [INGOT_SECTION_VARIANTS] = {"variants", sizeof(ingot_variant), 0, 1},
    [INGOT_SECTION_PROGRAMS] = {"programs", sizeof(ingot_program), 0, 1},
    [INGOT_SECTION_BUFFERS] = {"buffers", sizeof(ingot_buffer), 0, 1},
    [INGOT_SECTION_TENSORS] = {"tensors", sizeof(ingot_tensor), 0, 1},
    [INGOT_SECTION_IO] = {"io", sizeof(ingot_io), 0, 1},
    [INGOT_SECTION_KERNELS] = {"kernels", sizeof(ingot_kernel_ref), 0, 0},
    [INGOT_SECTION_STEPS] = {"steps", sizeof(ingot_step), 0, 0},
    [INGOT_SECTION_OPERANDS] = {"operands", sizeof(uint32_t), 0, 0},
    [INGOT_SECTION_EDGES] = {"edges", sizeof(ingot_edge), 0, 0},
    [INGOT_SECTION_PARAMS] = {"params", 0, 0, 0},
    [INGOT_SECTION_SHAPE_CODE] = {"shape code", sizeof(ingot_shape_insn), 0, 0},
    [INGOT_SECTION_PATCHES] = {"patches", sizeof(ingot_patch), 0, 0},
    [INGOT_SECTION_FILLS] = {"fills", sizeof(ingot_fill), 0, 0},
    [INGOT_SECTION_QUANT] = {"quant", sizeof(ingot_quant), 0, 0},
    [INGOT_SECTION_LAUNCHES] = {"launches", sizeof(ingot_launch), 0, 0},
    [INGOT_SECTION_MODULES] = {"modules", 0, 1, 0},
    [INGOT_SECTION_MODULE_INDEX] = {"module index", sizeof(ingot_module), 0, 0},
    [INGOT_SECTION_SELFTEST] = {"selftest", sizeof(ingot_selftest), 0, 0},
    [INGOT_SECTION_CONSTANTS] = {"constants", 0, 1, 0},
    [INGOT_SECTION_METADATA] = {"metadata", 0, 1, 0},
    [INGOT_SECTION_SIGNATURE] = {"signature", sizeof(ingot_signature), 0, 0},
};

static int all_zero(const uint8_t *bytes, uint64_t size) {
    uint64_t i = 0, any = 0, word;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, bytes + i, 8);
        any |= word;
    }
    for (; i < size; i++) any |= bytes[i];
    return any == 0;
}

static ingot_status check_header(const uint8_t *bytes, uint64_t size, ingot_file *file, ingot_error *error) {
    const ingot_header *h = &file->header;
    if (size < sizeof file->header)
        return ingot_fail(error, INGOT_ERR_TRUNCATED, size, "the file has %llu bytes, an engine has at least %zu",
                          (unsigned long long)size, sizeof file->header);
    memcpy(&file->header, bytes, sizeof file->header);
    if (memcmp(h->magic, INGOT_MAGIC, 8) != 0)
        return ingot_fail(error, INGOT_ERR_MAGIC, 0, "this is not an Ingot engine");
    if (h->format_major != INGOT_FORMAT_MAJOR)
        return ingot_fail(error, INGOT_ERR_VERSION, 8,
                          "the engine has format %u.%u, this runtime reads %u.x: build the engine again, or %s",
                          h->format_major, h->format_minor, INGOT_FORMAT_MAJOR,
                          h->format_major > INGOT_FORMAT_MAJOR ? "update the runtime" : "use an older runtime");
    ingot_header zeroed = *h;
    zeroed.header_crc32c = 0;
    if (ingot_crc32c(0, &zeroed, sizeof zeroed) != h->header_crc32c)
        return ingot_fail(error, INGOT_ERR_CHECKSUM, 0, "the header is damaged");
    uint64_t unknown = h->required_features & ~KNOWN_FEATURES;
    if (unknown)
        return ingot_fail(error, INGOT_ERR_VERSION, 32,
                          "the engine (format %u.%u) needs features 0x%llx that this runtime lacks: update the runtime",
                          h->format_major, h->format_minor, (unsigned long long)unknown);
    if (h->file_size != size)
        return ingot_fail(error, INGOT_ERR_TRUNCATED, 24, "the file has %llu bytes, its header says %llu",
                          (unsigned long long)size, (unsigned long long)h->file_size);
    if (h->header_size != sizeof *h || h->section_entry_size != sizeof(ingot_section) || !h->section_count ||
        h->section_count > MAX_SECTIONS)
        return ingot_fail(error, INGOT_ERR_FORMAT, 12, "header size, section size or section count is out of range");
    if (!all_zero(h->reserved, sizeof h->reserved))
        return ingot_fail(error, INGOT_ERR_FORMAT, 88, "reserved bytes of the header are not zero");
    if (size - sizeof *h < (uint64_t)h->section_count * sizeof(ingot_section))
        return ingot_fail(error, INGOT_ERR_TRUNCATED, sizeof *h, "the section table reaches past the end");
    return INGOT_OK;
}

static ingot_status check_section(const uint8_t *bytes, const ingot_section *s, uint64_t at, uint64_t end,
                                  uint64_t file_size, ingot_error *error) {
    const section_rule *rule = s->kind < INGOT_SECTION_KIND_COUNT ? &rules[s->kind] : NULL;
    if ((!rule || !rule->name) && (s->flags & 1))
        return ingot_fail(error, INGOT_ERR_VERSION, at, "section kind %u is needed and unknown: update the runtime",
                          s->kind);
    if (s->flags & ~(uint32_t)KNOWN_SECTION_FLAGS || s->reserved || !all_zero(s->reserved2, sizeof s->reserved2))
        return ingot_fail(error, INGOT_ERR_FORMAT, at, "section kind %u has unknown flags", s->kind);
    uint64_t alignment = s->kind == INGOT_SECTION_CONSTANTS ? INGOT_CONSTANT_ALIGN : INGOT_SECTION_ALIGN;
    if (s->offset < end || s->offset % alignment || s->offset > file_size || s->size > file_size - s->offset)
        return ingot_fail(error, INGOT_ERR_FORMAT, at,
                          "section kind %u lies outside the file, overlaps or is not aligned", s->kind);
    if (!all_zero(bytes + end, s->offset - end))
        return ingot_fail(error, INGOT_ERR_FORMAT, end, "bytes between two sections are not zero");
    if (rule && rule->name) {
        if (rule->entry_size) {
            /* Records may have grown, but keep their alignment of 8 (4 for words). */
            uint32_t alignment_of = rule->entry_size % 8 ? 4 : 8;
            if (s->entry_size < rule->entry_size || s->entry_size % alignment_of ||
                (uint64_t)s->entry_size * s->entry_count != s->size)
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "section %s: entry size times count is not its size",
                                  rule->name);
        } else if (s->entry_size || s->entry_count) {
            return ingot_fail(error, INGOT_ERR_FORMAT, at, "section %s has no entries", rule->name);
        }
    }
    return INGOT_OK;
}

/* What depends on the signature (its own checksum, and those over that one) stays out of what is signed. */
static void identity(const ingot_header *header, const ingot_section *sections, uint8_t digest[32]) {
    ingot_header zeroed = *header;
    memset(zeroed.digest, 0, sizeof zeroed.digest);
    zeroed.table_crc32c = zeroed.header_crc32c = 0;
    ingot_sha256_stream state;
    ingot_sha256_init(&state);
    ingot_sha256_update(&state, &zeroed, sizeof zeroed);
    for (uint32_t i = 0; i < header->section_count; i++) {
        ingot_section section = sections[i];
        if (section.kind == INGOT_SECTION_SIGNATURE) section.crc32c = 0;
        ingot_sha256_update(&state, &section, sizeof section);
    }
    ingot_sha256_final(&state, digest);
}

static ingot_status check_signature(const ingot_file *file, const ingot_options *options, ingot_error *error) {
    const ingot_table *table = &file->tables[INGOT_SECTION_SIGNATURE];
    if (!options->public_keys || !options->key_count)
        return ingot_fail(error, INGOT_ERR_ARGUMENT, INGOT_NO_OFFSET, "a signature is required but no key was given");
    if (table->count == 0)
        return ingot_fail(error, INGOT_ERR_SIGNATURE, INGOT_NO_OFFSET, "a signature is required, the engine has none");
    for (uint32_t i = 0; i < table->count; i++) {
        const ingot_signature *s = (const ingot_signature *)ingot_record(table, i);
        for (uint32_t k = 0; k < options->key_count; k++) {
            if (memcmp(s->public_key, options->public_keys + 32 * (size_t)k, 32) != 0) continue;
            if (ingot_ed25519_verify(s->public_key, file->header.digest, 32, s->signature)) return INGOT_OK;
            return ingot_fail(error, INGOT_ERR_SIGNATURE, ingot_record_offset(table, i), "the signature is wrong");
        }
    }
    return ingot_fail(error, INGOT_ERR_SIGNATURE, table->file_offset,
                      "the engine is not signed by a key that was given");
}

static ingot_status check_strings(const ingot_file *file, ingot_error *error) {
    const ingot_table *strings = &file->tables[INGOT_SECTION_STRINGS];
    if (strings->size == 0 || strings->base[0] != 0 || strings->base[strings->size - 1] != 0)
        return ingot_fail(error, INGOT_ERR_FORMAT, strings->file_offset,
                          "the strings do not begin and end with a NUL byte");
    return INGOT_OK;
}

const char *ingot_file_string(const ingot_file *file, uint32_t offset) {
    const ingot_table *strings = &file->tables[INGOT_SECTION_STRINGS];
    return offset < strings->size ? (const char *)strings->base + offset : NULL;
}

/* Checks the sections, then copies the small ones in two walks: sizes, then bytes and their checksums. */
static ingot_status load_sections(const uint8_t *bytes, ingot_file *file, const ingot_section *sections, uint32_t flags,
                                  ingot_error *error) {
    const ingot_header *h = &file->header;
    uint64_t table_at = sizeof *h, end = table_at + (uint64_t)h->section_count * sizeof(ingot_section);
    uint64_t copy_size = 0;
    for (uint32_t i = 0; i < h->section_count; i++) {
        const ingot_section *s = &sections[i];
        uint64_t at = table_at + i * sizeof *s;
        ingot_status status = check_section(bytes, s, at, end, h->file_size, error);
        if (status) return status;
        for (uint32_t j = 0; j < i; j++)
            if (sections[j].kind == s->kind)
                return ingot_fail(error, INGOT_ERR_FORMAT, at, "section kind %u stands twice", s->kind);
        end = s->offset + s->size;
        if (s->kind < INGOT_SECTION_KIND_COUNT && rules[s->kind].name && !rules[s->kind].in_place)
            copy_size += ingot_align(s->size, 64);
    }
    if (!all_zero(bytes + end, h->file_size - end))
        return ingot_fail(error, INGOT_ERR_FORMAT, end, "bytes behind the last section are not zero");

    uint8_t *copy = copy_size ? aligned_alloc(64, copy_size) : NULL;
    if (copy_size && !copy)
        return ingot_fail(error, INGOT_ERR_MEMORY, INGOT_NO_OFFSET, "no memory for %llu bytes of tables",
                          (unsigned long long)copy_size);
    file->copy = copy;
    for (uint32_t i = 0; i < h->section_count; i++) {
        const ingot_section *s = &sections[i];
        const uint8_t *data = bytes + s->offset;
        const section_rule *rule = s->kind < INGOT_SECTION_KIND_COUNT ? &rules[s->kind] : NULL;
        if (rule && rule->name) {
            if (!rule->in_place) {
                memcpy(copy, data, s->size);
                data = copy;
                copy += ingot_align(s->size, 64);
            }
            file->tables[s->kind] = (ingot_table){data, s->offset, s->size, s->entry_size, s->entry_count};
        }
        int trusted = s->kind == INGOT_SECTION_CONSTANTS && (flags & INGOT_OPEN_TRUST_CONSTANTS);
        if (!trusted && ingot_crc32c(0, data, s->size) != s->crc32c)
            return ingot_fail(error, INGOT_ERR_CHECKSUM, s->offset, "section %s is damaged",
                              rule && rule->name ? rule->name : "of unknown kind");
        if ((flags & INGOT_OPEN_CHECK_SHA256) && s->kind != INGOT_SECTION_SIGNATURE) {
            uint8_t digest[32];
            ingot_sha256(data, s->size, digest);
            if (memcmp(digest, s->sha256, 32) != 0)
                return ingot_fail(error, INGOT_ERR_CHECKSUM, s->offset, "section %s is damaged: its SHA-256 differs",
                                  rule && rule->name ? rule->name : "of unknown kind");
        }
        if (s->kind == INGOT_SECTION_SIGNATURE && !all_zero(s->sha256, 32))
            return ingot_fail(error, INGOT_ERR_FORMAT, table_at + i * sizeof *s, "the signature section has a SHA-256");
    }
    for (uint32_t kind = 0; kind < INGOT_SECTION_KIND_COUNT; kind++)
        if (rules[kind].required && file->tables[kind].size == 0)
            return ingot_fail(error, INGOT_ERR_FORMAT, table_at, "section %s is missing", rules[kind].name);
    return INGOT_OK;
}

ingot_status ingot_file_open(const void *bytes, uint64_t size, const ingot_options *options, ingot_file *file,
                             ingot_error *error) {
    uint32_t flags = options ? options->flags : 0;
    if (flags & INGOT_OPEN_REQUIRE_SIGNATURE) flags |= INGOT_OPEN_CHECK_SHA256;
    memset(file, 0, sizeof *file);
    file->bytes = bytes;
    file->size = size;
    ingot_status status = check_header(bytes, size, file, error);
    if (status) return status;

    ingot_section sections[MAX_SECTIONS];
    size_t table_size = file->header.section_count * sizeof(ingot_section);
    memcpy(sections, file->bytes + sizeof(ingot_header), table_size);
    if (ingot_crc32c(0, sections, table_size) != file->header.table_crc32c)
        return ingot_fail(error, INGOT_ERR_CHECKSUM, sizeof(ingot_header), "the section table is damaged");
    status = load_sections(bytes, file, sections, flags, error);
    if (!status && (flags & INGOT_OPEN_CHECK_SHA256)) {
        uint8_t digest[32];
        identity(&file->header, sections, digest);
        if (memcmp(digest, file->header.digest, 32) != 0)
            status = ingot_fail(error, INGOT_ERR_CHECKSUM, 48, "the SHA-256 identity of the file differs");
    }
    if (!status && (flags & INGOT_OPEN_REQUIRE_SIGNATURE)) status = check_signature(file, options, error);
    if (!status) status = check_strings(file, error);
    if (status) ingot_file_close(file);
    return status;
}

void ingot_file_close(ingot_file *file) {
    free(file->copy);
    file->copy = NULL;
}
