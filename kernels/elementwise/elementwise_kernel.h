/* What the files of this kernel share with each other and with nobody else. */
#ifndef INGOT_ELEMENTWISE_KERNEL_H
#define INGOT_ELEMENTWISE_KERNEL_H

#include "elementwise.h"
#include "kernel.h"
#include "loop.h"

enum {
    EW_BLOCK = 512,  /* elements an instruction does at a time: a few registers of it fit in the first-level cache */
    EW_CHUNK = 8192, /* elements of a work unit, whole blocks */
    EW_OUTPUT = INGOT_EW_MAX_INPUTS + INGOT_EW_MAX_REGISTERS, /* index of the output among the operands */
    EW_OPERANDS
};

/* Functions are looked up by function and column. Types without a column are converted to one that has. */
enum { EW_F32, EW_I32, EW_F64, EW_I64, EW_U64, EW_BYTE, EW_HALF, EW_COLUMNS };
#define EW_SLOT(function, column) (INGOT_EW_##function * EW_COLUMNS + EW_##column)
enum { EW_SLOTS = INGOT_EW_FUNCTION_COUNT * EW_COLUMNS };

/* dst[i] = f(a[i], b[i], c[i]) for i < n, n a multiple of INGOT_LANES; dst may be an operand of its size. */
typedef void (*ingot_ew_fn)(void *dst, const void *a, const void *b, const void *c, int64_t n, float alpha, float beta);

/* Functions that gain little from wide vectors, compiled once; each instruction set has a table of the others. */
extern const ingot_ew_fn ingot_ew_cold[EW_SLOTS];

/* How an input's elements are brought under those of the output. */
typedef enum ew_fetch {
    EW_DIRECT,  /* like the output: used where it lies */
    EW_SPLAT,   /* one element: a block of copies, made once */
    EW_PATTERN, /* a short row repeated: enough repetitions to read a block from any phase, made once */
    EW_GATHER   /* anything else: block by block, run by run */
} ew_fetch;

/* An input. Its extents are the output's with neighbours merged that it has both, or broadcasts over both. */
typedef struct ew_input {
    uint32_t fetch; /* ew_fetch */
    uint32_t size;  /* bytes of an element */
    uint32_t rank;  /* at least 1 */
    uint32_t reserved;
    uint64_t buffer; /* of SPLAT, PATTERN, GATHER, in scratch */
    int64_t dims[INGOT_MAX_RANK];
    int64_t strides[INGOT_MAX_RANK]; /* in elements; 0 where broadcast */
} ew_input;

typedef struct ew_code {
    uint16_t slot;
    uint8_t dst; /* operand index */
    uint8_t args[INGOT_EW_MAX_ARGS];
} ew_code;

/* A program that the kernel does in one loop: int8 x to int8 by dequantisation, times `factor`, plus `term`, maybe a
 * ReLU, quantisation. What batch normalisation is where no product takes it in. */
typedef struct ew_scaled {
    uint8_t is, relu, x, factor, term; /* the last three: indices of inputs */
    uint8_t reserved[3];
} ew_scaled;

/* The step's state: how each input is fetched, and the decoded program. */
typedef struct ingot_ew_state {
    int64_t count;
    uint32_t input_count;
    uint32_t insn_count;
    uint32_t unblocked; /* one instruction, all inputs direct: no reason to work in blocks */
    uint32_t output_size;
    uint32_t register_stride; /* bytes */
    uint32_t register_count;
    uint64_t registers; /* in scratch */
    uint64_t scratch;   /* bytes */
    ew_scaled scaled;
    ew_input inputs[INGOT_EW_MAX_INPUTS];
    ew_code code[INGOT_EW_MAX_INSNS];
} ingot_ew_state;

/* A place in the output, seen from a gathered input. */
typedef struct ew_cursor {
    int64_t index[INGOT_MAX_RANK];
    int64_t offset; /* of the input's element */
} ew_cursor;

void ingot_ew_splat(void *buffer, const void *element, uint32_t size, int64_t n);
void ingot_ew_pattern(void *buffer, const void *row, uint32_t size, int64_t period, int64_t n);
void ingot_ew_seek(const ew_input *input, ew_cursor *cursor, int64_t at);
/* The next n elements: where they lie when they are contiguous and n is whole lanes, else collected in `buffer`. */
const void *ingot_ew_gather(const ew_input *input, const void *data, ew_cursor *cursor, void *buffer, int64_t n);

#endif
