/* The kernel, compiled for each instruction set: the loops worth vectorising, and the interpreter over blocks. */
#include <string.h>

#include "activation.h"
#include "elementwise_loops.h"
#include "elementwise_scaled_s8.h"
#include "requantize.h"

/* -- float32 ------------------------------------------------------------------------------------------------------- */

/* Arguments too large for the reduction in vmath.h are rare: one in a block sends the block to a scalar loop, in
 * which each element still gets the function its own magnitude asks for. */
static int ew_has_large_argument(const float *a, int64_t n) {
    int large = 0;
    for (int64_t i = 0; i < n; i++) large |= ingot_abs_f32(a[i]) > INGOT_TRIG_LIMIT_F32;
    return large;
}

#define EW_TRIG(f, e, libm)                                                                                            \
    EW_LOOP_1(f32_reduced_##f, float, float, float, e)                                                                 \
    EW_FN(f32_##f) {                                                                                                   \
        const float *a = a_;                                                                                           \
        float *d = dst;                                                                                                \
        if (!ew_has_large_argument(a, n)) {                                                                            \
            f32_reduced_##f(dst, a_, b_, c_, n, alpha_, beta_);                                                        \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const float x = a[i];                                                                                      \
            d[i] = ingot_abs_f32(x) > INGOT_TRIG_LIMIT_F32 ? libm : e;                                                 \
        }                                                                                                              \
    }
#define EW_ACT(f)                                                                                                      \
    EW_FN(f32_##f) {                                                                                                   \
        (void)b_, (void)c_;                                                                                            \
        const ingot_activation activation = {INGOT_ACT_##f, alpha_, beta_, 0};                                         \
        INGOT_ACTIVATE_REST(&activation, dst, a_, n);                                                                  \
    }
#define EW_1(f, e) EW_LOOP_1(f32_##f, float, float, float, e)
#define EW_2(f, e) EW_LOOP_2(f32_##f, float, float, float, e)
#define EW_1B(f, e) EW_LOOP_1(f32_##f, uint8_t, float, float, e)
#define EW_2B(f, e) EW_LOOP_2(f32_##f, uint8_t, float, float, e)
#include "functions_f32.inc"
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B
#undef EW_TRIG
#undef EW_ACT

/* -- int32 --------------------------------------------------------------------------------------------------------- */

#define EW_T int32_t
#define EW_U uint32_t
#define EW_BITS 32
#define EW_NEGATIVE(x) ((x) < 0)
#define EW_1(f, e) EW_LOOP_1(i32_##f, int32_t, int32_t, float, e)
#define EW_2(f, e) EW_LOOP_2(i32_##f, int32_t, int32_t, float, e)
#define EW_2B(f, e) EW_LOOP_2(i32_##f, uint8_t, int32_t, float, e)
#include "functions_int.inc"
#undef EW_1
#undef EW_2
#undef EW_2B

/* -- conversions, selection, logic --------------------------------------------------------------------------------- */

#define EW_WHERE(column, T)                                                                                            \
    EW_FN(where_##column) {                                                                                            \
        T *const d = dst;                                                                                              \
        const uint8_t *const condition = a_;                                                                           \
        const T *const yes = b_;                                                                                       \
        const T *const no = c_;                                                                                        \
        (void)alpha_, (void)beta_;                                                                                     \
        n = INGOT_WHOLE_LANES(n);                                                                                      \
        INGOT_VECTOR_LOOP                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const T x = yes[i], y = no[i];                                                                             \
            d[i] = condition[i] ? x : y;                                                                               \
        }                                                                                                              \
    }
#define EW_COPY(column, T) EW_LOOP_1(copy_##column, T, T, float, x)
#define EW_LOGIC(f, e) EW_LOOP(logic_##f, uint8_t, uint8_t, float, EW_LOGIC_OPERAND_##f, e)
#define EW_LOGIC_OPERAND_AND const uint8_t y = b[i];
#define EW_LOGIC_OPERAND_OR const uint8_t y = b[i];
#define EW_LOGIC_OPERAND_XOR const uint8_t y = b[i];
#define EW_LOGIC_OPERAND_NOT
#define EW_CAST(from, to, T, R, e) EW_LOOP_1(cast_##from##_##to, R, T, float, e)
#define EW_QUANT(f, from, to, T, R, e) EW_LOOP_1(quant_##f, R, T, float, e)
#include "functions_move.inc"
#include "functions_quantize.inc"
#undef EW_WHERE
#undef EW_COPY
#undef EW_LOGIC
#undef EW_CAST
#undef EW_QUANT

/* -- the table ----------------------------------------------------------------------------------------------------- */

#define EW_ENTRY(f) [EW_SLOT(f, F32)] = f32_##f,
#define EW_1(f, e) EW_ENTRY(f)
#define EW_2(f, e) EW_ENTRY(f)
#define EW_1B(f, e) EW_ENTRY(f)
#define EW_2B(f, e) EW_ENTRY(f)
#define EW_TRIG(f, e, libm) EW_ENTRY(f)
#define EW_ACT(f) EW_ENTRY(f)
#define EW_WHERE(column, T) [EW_SLOT(WHERE, column)] = where_##column,
#define EW_COPY(column, T) [EW_SLOT(BIT_CAST, column)] = copy_##column,
#define EW_LOGIC(f, e) [EW_SLOT(f, BYTE)] = logic_##f,
#define EW_CAST(from, to, T, R, e) [INGOT_EW_CAST_##from##_##to * EW_COLUMNS] = cast_##from##_##to,
#define EW_QUANT(f, from, to, T, R, e) [INGOT_EW_##f * EW_COLUMNS] = quant_##f,
static const ingot_ew_fn hot[EW_SLOTS] = {
#include "functions_f32.inc"
#include "functions_move.inc"
#include "functions_quantize.inc"
#undef EW_ENTRY
#define EW_ENTRY(f) [EW_SLOT(f, I32)] = i32_##f,
#include "functions_int.inc"
#undef EW_ENTRY
};
#undef EW_1
#undef EW_2
#undef EW_1B
#undef EW_2B
#undef EW_TRIG
#undef EW_ACT
#undef EW_WHERE
#undef EW_COPY
#undef EW_LOGIC
#undef EW_CAST
#undef EW_QUANT

static inline ingot_ew_fn ew_lookup(uint32_t slot) { return hot[slot] ? hot[slot] : ingot_ew_cold[slot]; }

/* -- the interpreter ----------------------------------------------------------------------------------------------- */

INGOT_KERNEL_FN(elementwise) {
    const ingot_ew_state *state = call->state;
    const ingot_elementwise_params *params = call->params;
    const int64_t first = (int64_t)begin * EW_CHUNK;
    const int64_t last = (int64_t)end * EW_CHUNK < state->count ? (int64_t)end * EW_CHUNK : state->count;
    if (first >= last) return INGOT_KERNEL_OK;
    char *const memory = scratch;
    const int64_t rounded = INGOT_WHOLE_LANES(last - first + INGOT_LANES - 1);
    const int64_t block = state->unblocked ? rounded : EW_BLOCK;
    const int64_t widest = rounded < EW_BLOCK ? rounded : EW_BLOCK;
    char *const out = call->out[0].data;

    void *operand[EW_OPERANDS];
    ew_cursor cursor[INGOT_EW_MAX_INPUTS];
    for (uint32_t k = 0; k < state->input_count; k++) {
        const ew_input *input = &state->inputs[k];
        operand[k] = memory + input->buffer;
        if (input->fetch == EW_SPLAT)
            ingot_ew_splat(operand[k], call->in[k].data, input->size, widest);
        else if (input->fetch == EW_PATTERN)
            ingot_ew_pattern(operand[k], call->in[k].data, input->size, input->dims[1], widest);
        else if (input->fetch == EW_GATHER)
            ingot_ew_seek(input, &cursor[k], first);
    }
    for (uint32_t r = 0; r < state->register_count; r++)
        operand[INGOT_EW_MAX_INPUTS + r] = memory + state->registers + (size_t)r * state->register_stride;

    uint64_t tail[INGOT_EW_MAX_INPUTS + 1][INGOT_LANES]; /* fewer elements than lanes are done here */
    int64_t n;
    for (int64_t at = first; at < last; at += n) {
        n = last - at < block ? last - at : block;
        const int64_t whole = INGOT_WHOLE_LANES(n);
        n = whole ? whole : n;
        const int64_t lanes = whole ? whole : INGOT_LANES;
        for (uint32_t k = 0; k < state->input_count; k++) {
            const ew_input *input = &state->inputs[k];
            char *const data = call->in[k].data;
            const size_t size = input->size;
            if (input->fetch == EW_DIRECT) {
                operand[k] = data + (size_t)at * size;
                if (!whole) {
                    memset(tail[k], 0, INGOT_LANES * size);
                    memcpy(tail[k], operand[k], (size_t)n * size);
                    operand[k] = tail[k];
                }
            } else if (input->fetch == EW_PATTERN) {
                operand[k] = memory + input->buffer + (size_t)(at % input->dims[1]) * size;
            } else if (input->fetch == EW_GATHER) {
                operand[k] = (void *)(uintptr_t)ingot_ew_gather(input, data, &cursor[k], memory + input->buffer, n);
            }
        }
        char *const result = out + (size_t)at * state->output_size;
        operand[EW_OUTPUT] = whole ? result : (char *)tail[INGOT_EW_MAX_INPUTS];
        if (state->scaled.is) {
            ew_scaled_s8(&state->scaled, params->insns, operand, lanes);
        }
        for (uint32_t i = state->scaled.is ? state->insn_count : 0; i < state->insn_count; i++) {
            const ew_code *code = &state->code[i];
            const ingot_ew_insn *insn = &params->insns[i];
            ew_lookup(code->slot)(operand[code->dst], operand[code->args[0]], operand[code->args[1]],
                                  operand[code->args[2]], lanes, insn->alpha, insn->beta);
        }
        if (!whole) memcpy(result, tail[INGOT_EW_MAX_INPUTS], (size_t)n * state->output_size);
    }
    return INGOT_KERNEL_OK;
}
