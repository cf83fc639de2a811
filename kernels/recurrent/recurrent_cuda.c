/* recurrent on CUDA: operands lie as those of the CPU's kernels, all of them given, and a block has the memory that
 * recurrent.cu and recurrent_s8.cu cut up: dynamic shared memory, or a workspace with a part for each block. Blocks of
 * recurrent_team.cu, TEAM times as many, have dynamic shared memory. */
#include <stdbool.h>

#include "recurrent/recurrent_s8.h"

extern const ingot_family ingot_family_recurrent_f32_n16, ingot_family_recurrent_half, ingot_family_recurrent_f32,
    ingot_family_recurrent_s8_n16k4;

enum { AHEAD_ROWS = 8, MOST_ROWS = 4, LEAST_INPUTS_PADDING = 16 };
/* Blocks of a cluster, shared memory of each at most, and from how many steps on it keeps weights there. */
enum { TEAM = 8, TEAM_SHARED = 200 << 10, TEAM_STEPS = 4 };

static const char *size_check(const recurrent_shape *s) {
    return s->padded > INT32_MAX / 64 || s->inputs > INT32_MAX / 64 ? "recurrent: too large" : NULL;
}

/* Batch rows of a block. */
static int64_t block_rows(const recurrent_shape *s) { return s->batch > 1 ? MOST_ROWS : 1; }

static const char *memory_check(const ingot_call *call, const recurrent_shape *s, int64_t bytes) {
    const int64_t blocks = s->directions * ((s->batch + block_rows(s) - 1) / block_rows(s));
    if (call->workspace_size > 0) {
        return (uint64_t)bytes > call->workspace_size / (uint64_t)(blocks > 0 ? blocks : 1)
                   ? "recurrent: a workspace that is too small"
                   : NULL;
    }
    return (uint64_t)bytes > call->grid->shared_bytes ? "recurrent: too little shared memory" : NULL;
}

/* Bytes that recurrent_team.cu cuts up: the blocks of a cluster have up to `most` units each, and keep panels of R. */
static uint64_t team_bytes(const ingot_call *call, const recurrent_shape *s, int64_t rows) {
    const ingot_arg *r = &call->in[RECURRENT_R];
    const int64_t panels = s->padded / 16, most = (panels + TEAM - 1) / TEAM * 16;
    const int64_t ahead = s->padded > 0 ? s->ahead / s->padded : s->gates;
    const int64_t least = 4 * ((AHEAD_ROWS * ahead + rows * (s->gates + 1)) * most + 3 * rows * s->padded);
    const int64_t panel = r->dims[2] * r->dims[3] * (r->dtype == INGOT_F32 ? 4 : 2);
    if (s->steps < TEAM_STEPS || least > TEAM_SHARED || panel <= 0) {
        return (uint64_t)least;
    }
    const int64_t fits = (TEAM_SHARED - least) / panel, all = s->gates * most / 16;
    return (uint64_t)(least + (all < fits ? all : fits) * panel);
}

/* `shares`: there are kernels whose blocks share units. */
static const char *real_check(const ingot_call *call, const ingot_family *family, bool shares) {
    const char *reason = family->check(call);
    if (reason != NULL) {
        return reason;
    }
    const recurrent_shape s = recurrent_f32_shape_of(call);
    reason = size_check(&s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t rows = block_rows(&s);
    const int64_t blocks = s.directions * ((s.batch + rows - 1) / rows);
    if (shares && blocks > 0 && call->grid->grid[0] == (uint64_t)blocks * TEAM) {
        const bool fits = team_bytes(call, &s, rows) <= call->grid->shared_bytes;
        return fits ? NULL : "recurrent: too little shared memory for blocks that share units";
    }
    const int64_t floats = AHEAD_ROWS * s.ahead + rows * s.width + 3 * rows * s.padded;
    return memory_check(call, &s, 4 * floats);
}

static const char *packed_check(const ingot_call *call) {
    return real_check(call, &ingot_family_recurrent_f32_n16, true);
}
static const char *half_check(const ingot_call *call) { return real_check(call, &ingot_family_recurrent_half, true); }
static const char *plain_check(const ingot_call *call) { return real_check(call, &ingot_family_recurrent_f32, false); }

static const char *s8_check(const ingot_call *call) {
    const char *reason = ingot_family_recurrent_s8_n16k4.check(call);
    if (reason != NULL) {
        return reason;
    }
    const ingot_recurrent_s8_params *p = call->params;
    const recurrent_shape s = recurrent_shape_of(call, p->kind, p->direction);
    reason = size_check(&s);
    if (reason != NULL) {
        return reason;
    }
    const int64_t rows = block_rows(&s), state = rows * s.padded;
    const int64_t inputs = (s.inputs + LEAST_INPUTS_PADDING - 1) / LEAST_INPUTS_PADDING * LEAST_INPUTS_PADDING;
    const int64_t floats = AHEAD_ROWS * s.width + rows * s.width + 2 * state;
    return memory_check(call, &s, 4 * floats + 4 * state + 2 * AHEAD_ROWS * inputs);
}

#define FAMILY(name, params_, flags_, check_)                                                                          \
    const ingot_family ingot_family_##name = {                                                                         \
        .params_size = sizeof(params_),                                                                                \
        .flags = flags_,                                                                                               \
        .in_min = 8,                                                                                                   \
        .in_max = 8,                                                                                                   \
        .out_min = 2,                                                                                                  \
        .out_max = 3,                                                                                                  \
        .check = check_,                                                                                               \
    }
FAMILY(recurrent_f32_cuda, ingot_recurrent_params, 0, packed_check);
FAMILY(recurrent_half_cuda, ingot_recurrent_params, 0, half_check);
FAMILY(recurrent_plain_cuda, ingot_recurrent_params, 0, plain_check);
FAMILY(recurrent_s8_cuda, ingot_recurrent_s8_params, INGOT_KERNEL_EXACT, s8_check);
