/* The engine file, format 1: this header is the schema. C compiles it, cffi parses it (between the cffi markers),
 * and the Python writer packs with the structs that cffi makes of it. docs/engine-format.md tells the same in prose.
 *
 * Little-endian. The file is: header, section table, sections in ascending order of offset, zero bytes between them.
 * All offsets are absolute unless a field says otherwise. Records may grow at their end in a later minor version:
 * readers stride by the entry_size of the section. Strings are offsets into the STRINGS section, NUL-terminated. */
#ifndef INGOT_FORMAT_H
#define INGOT_FORMAT_H

#include <stdint.h>

#define INGOT_MAGIC "\x89INGOT\r\n"
#define INGOT_FORMAT_MAJOR 1
#define INGOT_FORMAT_MINOR 1 /* 1: CUDA. Writers give the oldest that says all they write */

/* cffi:begin */
enum {
    INGOT_MAX_RANK = 8,
    INGOT_SECTION_ALIGN = 64,
    INGOT_CONSTANT_ALIGN = 256,
    INGOT_TAIL_BYTES = 64 /* readable bytes behind every arena and constant tensor */
};

typedef enum ingot_dtype {
    INGOT_DTYPE_NONE = 0, /* an absent optional operand */
    INGOT_F32 = 1,
    INGOT_F64 = 2,
    INGOT_F16 = 3,
    INGOT_BF16 = 4,
    INGOT_I8 = 5,
    INGOT_I16 = 6,
    INGOT_I32 = 7,
    INGOT_I64 = 8,
    INGOT_U8 = 9,
    INGOT_U16 = 10,
    INGOT_U32 = 11,
    INGOT_U64 = 12,
    INGOT_BOOL = 13,   /* one byte, 0 or 1 */
    INGOT_F8E4M3 = 14, /* reserved: no kernel of this version takes the types from here on */
    INGOT_F8E5M2 = 15,
    INGOT_F4E2M1 = 16, /* two to a byte, low nibble first */
    INGOT_I4 = 17,     /* two to a byte, low nibble first */
    INGOT_U4 = 18,
    INGOT_DTYPE_COUNT = 19
} ingot_dtype;

typedef enum ingot_storage {
    INGOT_STORAGE_ARENA = 0,    /* the context's, placed by the plan, undefined between runs */
    INGOT_STORAGE_CONSTANT = 1, /* in the CONSTANTS section, read-only */
    INGOT_STORAGE_INPUT = 2,    /* bound by the caller, or the context's own buffer */
    INGOT_STORAGE_OUTPUT = 3,
    INGOT_STORAGE_STATE = 4,     /* the context's, kept from run to run, zero when created */
    INGOT_STORAGE_GENERATED = 5, /* the context's, read-only: constants that FILLS make; kernels see CONSTANT */
    INGOT_STORAGE_COUNT = 6
} ingot_storage;

typedef enum ingot_backend { INGOT_BACKEND_CPU = 0, INGOT_BACKEND_CUDA = 1, INGOT_BACKEND_COUNT = 2 } ingot_backend;

typedef enum ingot_section_kind {
    INGOT_SECTION_STRINGS = 1,
    INGOT_SECTION_VARIANTS = 2,
    INGOT_SECTION_PROGRAMS = 3,
    INGOT_SECTION_BUFFERS = 4,
    INGOT_SECTION_TENSORS = 5,
    INGOT_SECTION_IO = 6,
    INGOT_SECTION_KERNELS = 7,
    INGOT_SECTION_STEPS = 8,
    INGOT_SECTION_OPERANDS = 9,
    INGOT_SECTION_EDGES = 10,
    INGOT_SECTION_PARAMS = 11,
    INGOT_SECTION_SHAPE_CODE = 12,
    INGOT_SECTION_PATCHES = 13,
    INGOT_SECTION_FILLS = 14,
    INGOT_SECTION_QUANT = 15,
    INGOT_SECTION_LAUNCHES = 16, /* CUDA */
    INGOT_SECTION_MODULES = 17,  /* CUDA: machine code, in place */
    INGOT_SECTION_SELFTEST = 18,
    INGOT_SECTION_CONSTANTS = 19,
    INGOT_SECTION_METADATA = 20, /* JSON for people; the runtime never reads it */
    INGOT_SECTION_SIGNATURE = 21,
    INGOT_SECTION_MODULE_INDEX = 22, /* CUDA: what lies where in MODULES */
    INGOT_SECTION_KIND_COUNT = 23
} ingot_section_kind;

typedef struct ingot_header { /* 128 bytes at offset 0 */
    uint8_t magic[8];         /* 89 'I' 'N' 'G' 'O' 'T' 0D 0A: damage by text-mode transfer shows */
    uint16_t format_major;    /* a reader refuses another major */
    uint16_t format_minor;    /* a newer minor is read if all required_features are known */
    uint32_t header_size;     /* 128 */
    uint32_t section_count;   /* the section table follows the header */
    uint32_t section_entry_size;
    uint64_t file_size;
    uint64_t required_features; /* an unknown bit refuses the file */
    uint64_t optional_features; /* an unknown bit is ignored */
    uint8_t digest[32];         /* the identity: SHA-256 of this header with digest and both CRCs zero, then the section
                                   table with the crc32c of the SIGNATURE section zero */
    uint32_t table_crc32c;      /* of the section table */
    uint32_t header_crc32c;     /* of this header with this field zero */
    uint8_t reserved[40];       /* 0 */
} ingot_header;

typedef struct ingot_section { /* 80 bytes */
    uint32_t kind;             /* ingot_section_kind; each kind at most once */
    uint32_t flags;            /* bit 0: a reader that does not know the kind refuses the file */
    uint64_t offset;           /* aligned to 64; CONSTANTS to 256 */
    uint64_t size;             /* bytes */
    uint32_t entry_size;       /* 0 for sections that are plain bytes */
    uint32_t entry_count;
    uint32_t crc32c; /* of the section's bytes */
    uint32_t reserved;
    uint8_t sha256[32]; /* of the section's bytes; of the SIGNATURE section all zero */
    uint8_t reserved2[8];
} ingot_section;

typedef struct ingot_range { /* entries [first, first + count) of a section */
    uint32_t first;
    uint32_t count;
} ingot_range;

/* What a tuning pack for the CPU must be measured on: times of another processor would be of no use. */
typedef enum ingot_cpu_level {
    INGOT_CPU_ANY = 0,
    INGOT_CPU_X86_64_V3 = 1, /* AVX2 and FMA; measured without AVX-512 where the processor has it */
    INGOT_CPU_X86_64_V4 = 2, /* AVX-512 F, BW, DQ, VL */
    INGOT_CPU_AARCH64 = 3,
    INGOT_CPU_LEVEL_COUNT = 4
} ingot_cpu_level;

typedef struct ingot_variant { /* one target's programs; the loader takes the best variant the machine can run */
    uint32_t name;             /* the target's name */
    uint32_t backend;          /* ingot_backend */
    uint32_t arch;             /* CPU: 0; of a tuning pack: ingot_cpu_level. CUDA: 10 * major + minor of the machine
                                  code, e.g. 87 */
    uint32_t preference;       /* among runnable variants the highest wins; ties: the first */
    uint32_t min_driver;       /* CUDA: e.g. 12060; CPU: 0 */
    uint32_t sm_count;         /* CUDA: tuned for; CPU: 0 */
    ingot_range programs;      /* all of one role. RUN: program first + p runs profile p */
    uint32_t reserved[4];
} ingot_variant;

/* A candidate is a step of a tuning pack, to be measured and never run for its results: its inputs and outputs are
 * activations, which no caller binds, and its weights fills or constants. Its name is the tab-separated key under which
 * its time is noted. docs/timing-cache.md says more. */
typedef enum ingot_program_role { INGOT_ROLE_RUN = 0, INGOT_ROLE_CANDIDATE = 1 } ingot_program_role;

enum {
    INGOT_PROGRAM_SERIAL = 1,  /* steps run in file order: an edge from each step to the next is implied */
    INGOT_PROGRAM_OVERLAPS = 2 /* CUDA sm_90 or newer: a kernel may start while those run that it has an edge from; each
                                  waits for their end before it touches what is no constant */
};

typedef struct ingot_program {
    uint32_t name;
    uint32_t role;  /* ingot_program_role */
    uint32_t flags; /* INGOT_PROGRAM_SERIAL, INGOT_PROGRAM_OVERLAPS */
    uint32_t register_count;
    ingot_range buffers;
    ingot_range tensors;
    ingot_range io;
    ingot_range steps;
    ingot_range edges;
    ingot_range shape_code;
    ingot_range patches;
    uint32_t group; /* CANDIDATE: the problem it solves; candidates of one lie side by side and are measured together */
    uint32_t reserved;
    uint64_t arena_size;     /* bytes, a multiple of 64, tail included */
    uint64_t state_size;     /* bytes of STATE storage */
    uint64_t lower_bound;    /* largest sum of buffers alive at once, for people */
    uint64_t between_bytes;  /* CANDIDATE: what the model's other steps touch between two runs of this one */
    uint64_t generated_size; /* bytes of GENERATED storage */
} ingot_program;

/* A buffer is a piece of memory with one life: from the first step that writes it to the last that touches it.
 * Tensors are views of a buffer. Buffers may share arena bytes when every use of the one is an ancestor of all
 * definitions of the other, which the loader proves. */
typedef struct ingot_buffer {
    uint32_t storage; /* ingot_storage */
    uint32_t reserved;
    uint64_t offset; /* ARENA, STATE, GENERATED: from their start. CONSTANT: from the start of the section. INPUT,
                        OUTPUT: 0 */
    uint64_t size;   /* bytes, the tail not counted */
} ingot_buffer;

enum { INGOT_NO_INDEX = 0xffffffff };

typedef struct ingot_tensor {
    uint32_t name;
    uint32_t buffer; /* index, relative to the program's buffers */
    uint8_t dtype;   /* ingot_dtype */
    uint8_t rank;
    uint8_t reserved[2];
    uint32_t quant;  /* index into QUANT, or INGOT_NO_INDEX */
    uint64_t offset; /* bytes from the buffer's start; aligned to the element */
    int64_t pitch;   /* elements from one row (last axis) to the next; the last extent when dense; 1 for rank 0 */
    int64_t dims[INGOT_MAX_RANK]; /* row-major; unused ones 1. With a shape program: the largest, later patched */
} ingot_tensor;

typedef struct ingot_io {
    uint32_t name;
    uint32_t tensor; /* relative to the program's tensors; a dense view of a whole INPUT or OUTPUT buffer */
    uint32_t is_output;
    uint32_t reserved;
    int64_t dims_min[INGOT_MAX_RANK]; /* inputs: accepted extents, equal to dims where the shape is fixed */
    int64_t dims_max[INGOT_MAX_RANK];
} ingot_io;

typedef struct ingot_kernel_ref { /* what the engine needs of the runtime, or of its own modules */
    uint32_t name;
    uint32_t abi;
    uint32_t params_size;
    uint32_t reserved;
} ingot_kernel_ref;

typedef struct ingot_step {
    uint32_t name;   /* names of the model's nodes that this step does, for people */
    uint32_t kernel; /* index into KERNELS */
    uint32_t
        operands; /* first of in_count + out_count entries of OPERANDS: tensors of the program, or INGOT_NO_INDEX */
    uint16_t in_count; /* inputs first, then outputs */
    uint16_t out_count;
    uint32_t workspace;   /* tensor, or INGOT_NO_INDEX */
    uint32_t params_size; /* equals the kernel's */
    uint64_t params;      /* bytes from the start of PARAMS, a multiple of 16 */
    uint32_t launch;      /* CUDA: index into LAUNCHES, else INGOT_NO_INDEX */
    uint32_t queue;       /* CUDA: stream hint; CPU: 0 */
    uint32_t reserved[2];
} ingot_step;

typedef struct ingot_edge { /* `to` starts after `from` has ended; from < to, relative to the program's steps */
    uint32_t from;
    uint32_t to;
} ingot_edge;

/* The shape program: straight-line code over int64 registers, run when an input's shape is set. Registers are written
 * before they are read. Overflow and division by zero refuse the shape. */
typedef enum ingot_shape_op {
    INGOT_SHAPE_CONST = 0, /* dst = imm */
    INGOT_SHAPE_DIM = 1,   /* dst = extent b of io a */
    INGOT_SHAPE_ADD = 2,   /* dst = a + b */
    INGOT_SHAPE_SUB = 3,
    INGOT_SHAPE_MUL = 4,
    INGOT_SHAPE_FLOORDIV = 5, /* rounds toward minus infinity */
    INGOT_SHAPE_CEILDIV = 6,
    INGOT_SHAPE_MOD = 7, /* a - b * floor(a / b) */
    INGOT_SHAPE_MIN = 8,
    INGOT_SHAPE_MAX = 9,
    INGOT_SHAPE_REQUIRE_EQ = 10, /* refuses the shape unless a == b */
    INGOT_SHAPE_REQUIRE_LE = 11,
    INGOT_SHAPE_OP_COUNT = 12
} ingot_shape_op;

typedef struct ingot_shape_insn {
    uint16_t op;  /* ingot_shape_op */
    uint16_t dst; /* register */
    uint16_t a;   /* register; for DIM: io index */
    uint16_t b;   /* register; for DIM: axis */
    int64_t imm;
} ingot_shape_insn;

typedef enum ingot_patch_kind {
    INGOT_PATCH_DIM = 0,       /* extent `field` of tensor `index`; the pitch of a dense tensor follows */
    INGOT_PATCH_PARAM_I32 = 1, /* 4 bytes at byte `field` of the params of step `index`; the value must fit */
    INGOT_PATCH_PARAM_I64 = 2,
    INGOT_PATCH_LAUNCH = 3, /* CUDA: 32-bit word `field` of the launch record of step `index` */
    INGOT_PATCH_KIND_COUNT = 4
} ingot_patch_kind;

typedef struct ingot_patch {
    uint16_t kind; /* ingot_patch_kind */
    uint16_t reg;
    uint32_t index;
    uint32_t field;
    uint32_t reserved;
} ingot_patch;

typedef enum ingot_fill_kind {
    INGOT_FILL_BYTES = 0,   /* every byte is `value` */
    INGOT_FILL_UNIFORM = 1, /* floats uniform in [-1, 1), 16-bit ones of either sign and any exponent below that of 2 */
    INGOT_FILL_MODERATE = 2,  /* floats of either sign with magnitudes in [0.5, 1): no product of two is subnormal */
    INGOT_FILL_KIND_COUNT = 3 /* integers have their full range and booleans are 0 or 1 in both */
} ingot_fill_kind;

/* Values that the runtime makes instead of reading them, so that tuning packs stay small: from SplitMix64 of seed plus
 * element index. The tensor's buffer is GENERATED, or STATE, whose first value it then is. */
typedef struct ingot_fill {
    uint32_t program;
    uint32_t tensor; /* relative to the program's tensors */
    uint32_t kind;   /* ingot_fill_kind */
    uint32_t value;  /* BYTES */
    uint64_t seed;
} ingot_fill;

typedef enum ingot_quant_kind {
    INGOT_QUANT_TENSOR = 0, /* one scale */
    INGOT_QUANT_AXIS = 1,   /* a scale for each index of `axis` */
    INGOT_QUANT_BLOCK = 2   /* a scale for each `block` elements along `axis` */
} ingot_quant_kind;

typedef struct ingot_quant {
    uint32_t kind; /* ingot_quant_kind */
    int32_t axis;
    uint32_t block;
    int32_t zero_point;
    uint64_t scales; /* bytes from the start of CONSTANTS, float32 each */
    uint64_t count;
} ingot_quant;

typedef struct ingot_module { /* CUDA: an image that the driver loads, machine code for one architecture */
    uint64_t offset;          /* bytes from the start of MODULES, a multiple of 64 */
    uint64_t size;
    uint32_t name; /* what was compiled, for people */
    uint32_t arch; /* that of every variant whose steps use it */
    uint32_t reserved[2];
} ingot_module;

typedef struct ingot_launch { /* CUDA: how a step is started; every step of a CUDA program has one */
    uint32_t module;          /* index into MODULE_INDEX */
    uint32_t function;        /* name of the entry point in it */
    uint32_t grid[3];         /* blocks: at least 1, at most 2^31 - 1, 65535, 65535 */
    uint32_t block[3];        /* threads: at least 1, at most 1024, 1024, 64, and 1024 together */
    uint32_t shared_bytes;    /* dynamic shared memory of a block, at most 227 KiB */
    uint32_t counters;        /* words of its own that each step with this record has, at most 65536; zero before it */
    uint32_t reserved[2];
} ingot_launch;

typedef enum ingot_tolerance { INGOT_SELFTEST_EXACT = 0, INGOT_SELFTEST_TOLERANCE = 1 } ingot_tolerance;

/* One input or expected output of the self-test, which runs the first program of the chosen variant. An input with
 * size 0 is made of its seed as a fill of kind 1 (integers: all zero). An output is compared at every stride-th
 * element, from the first on. */
typedef struct ingot_selftest {
    uint32_t io;     /* relative to the first program's io, which stands first; in a tuning pack of any program's */
    uint32_t mode;   /* ingot_tolerance; outputs only */
    uint64_t data;   /* bytes from the start of CONSTANTS, a multiple of 64; 0 when size is 0 */
    uint64_t size;   /* bytes there */
    uint64_t seed;   /* inputs with size 0; else 0 */
    uint64_t stride; /* outputs: elements, at least 1; inputs: 0 */
    float relative;  /* TOLERANCE: norm of the difference over norm of the expected, at most this */
    float absolute;  /* and no element further off than this */
} ingot_selftest;

typedef struct ingot_signature { /* Ed25519 (RFC 8032) over the header's digest field */
    uint8_t public_key[32];
    uint8_t signature[64];
} ingot_signature;
/* cffi:end */

_Static_assert(sizeof(ingot_header) == 128, "ingot_header");
_Static_assert(sizeof(ingot_section) == 80, "ingot_section");
_Static_assert(sizeof(ingot_variant) == 48, "ingot_variant");
_Static_assert(sizeof(ingot_program) == 120, "ingot_program");
_Static_assert(sizeof(ingot_buffer) == 24, "ingot_buffer");
_Static_assert(sizeof(ingot_tensor) == 96, "ingot_tensor");
_Static_assert(sizeof(ingot_io) == 144, "ingot_io");
_Static_assert(sizeof(ingot_kernel_ref) == 16, "ingot_kernel_ref");
_Static_assert(sizeof(ingot_step) == 48, "ingot_step");
_Static_assert(sizeof(ingot_shape_insn) == 16, "ingot_shape_insn");
_Static_assert(sizeof(ingot_patch) == 16, "ingot_patch");
_Static_assert(sizeof(ingot_fill) == 24, "ingot_fill");
_Static_assert(sizeof(ingot_quant) == 32, "ingot_quant");
_Static_assert(sizeof(ingot_module) == 32, "ingot_module");
_Static_assert(sizeof(ingot_launch) == 48, "ingot_launch");
_Static_assert(sizeof(ingot_selftest) == 48, "ingot_selftest");
_Static_assert(sizeof(ingot_signature) == 96, "ingot_signature");

#endif
