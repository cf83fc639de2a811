/* The portable kernel, and what all instruction sets share: the check, the plan of a step. */
#include "elementwise_impl.h"

/* -- what the functions take and give ------------------------------------------------------------------------------ */

typedef struct ew_signature {
    uint8_t arity;
    uint8_t from; /* dtype of the operands; NONE: any that has the function */
    uint8_t to;   /* dtype of the result; NONE: that of the operands */
} ew_signature;

#define EW_1(f, e) [INGOT_EW_##f] = {1, 0, 0},
#define EW_2(f, e) [INGOT_EW_##f] = {2, 0, 0},
#define EW_1B(f, e) [INGOT_EW_##f] = {1, 0, INGOT_BOOL},
#define EW_2B(f, e) [INGOT_EW_##f] = {2, 0, INGOT_BOOL},
#define EW_TRIG(f, e, libm) [INGOT_EW_##f] = {1, 0, 0},
#define EW_ACT(f) [INGOT_EW_##f] = {1, 0, 0},
#define EW_WHERE(column, T)
#define EW_COPY(column, T)
#define EW_LOGIC(f, e)
#define EW_CAST(from, to, T, R, e) [INGOT_EW_CAST_##from##_##to] = {1, INGOT_##from, INGOT_##to},
#define EW_QUANT(f, from, to, T, R, e) [INGOT_EW_##f] = {1, INGOT_##from, INGOT_##to},
static const ew_signature signatures[INGOT_EW_FUNCTION_COUNT] = {
#include "functions_f32.inc"
#include "functions_f32_rare.inc"
#include "functions_move.inc"
#include "functions_cast_rare.inc"
#include "functions_quantize.inc"
    [INGOT_EW_WHERE] = {3, 0, 0}, /* the condition is bool and comes first */
    [INGOT_EW_BIT_CAST] = {1, 0, 0},
    [INGOT_EW_AND] = {2, INGOT_BOOL, INGOT_BOOL},
    [INGOT_EW_OR] = {2, INGOT_BOOL, INGOT_BOOL},
    [INGOT_EW_XOR] = {2, INGOT_BOOL, INGOT_BOOL},
    [INGOT_EW_NOT] = {1, INGOT_BOOL, INGOT_BOOL},
    [INGOT_EW_BITWISE_AND] = {2, 0, 0},
    [INGOT_EW_BITWISE_OR] = {2, 0, 0},
    [INGOT_EW_BITWISE_XOR] = {2, 0, 0},
    [INGOT_EW_BITWISE_NOT] = {1, 0, 0},
    [INGOT_EW_SHIFT_LEFT] = {2, 0, 0},
    [INGOT_EW_SHIFT_RIGHT] = {2, 0, 0},
};

static uint32_t size_of(uint8_t dtype) {
    static const uint8_t sizes[INGOT_DTYPE_COUNT] = {
        [INGOT_F32] = 4, [INGOT_F64] = 8, [INGOT_F16] = 2,  [INGOT_BF16] = 2, [INGOT_I8] = 1,
        [INGOT_I16] = 2, [INGOT_I32] = 4, [INGOT_I64] = 8,  [INGOT_U8] = 1,   [INGOT_U16] = 2,
        [INGOT_U32] = 4, [INGOT_U64] = 8, [INGOT_BOOL] = 1,
    };
    return dtype < INGOT_DTYPE_COUNT ? sizes[dtype] : 0;
}

/* The slot of a function for operands of a type; -1 when there is none. */
static int slot_of(uint32_t function, uint8_t dtype) {
    static const int8_t own[INGOT_DTYPE_COUNT] = {
        [INGOT_F32] = 1 + EW_F32, [INGOT_I32] = 1 + EW_I32, [INGOT_F64] = 1 + EW_F64,
        [INGOT_I64] = 1 + EW_I64, [INGOT_U64] = 1 + EW_U64, [INGOT_BOOL] = 1 + EW_BYTE,
    };
    static const int8_t by_size[9] = {[1] = EW_BYTE, [2] = EW_HALF, [4] = EW_I32, [8] = EW_I64};
    int column;
    if (function == INGOT_EW_WHERE || function == INGOT_EW_BIT_CAST)
        column = by_size[size_of(dtype)];
    else if (function >= INGOT_EW_CAST_I8_I32 && function <= INGOT_EW_QUANTIZE_LINEAR)
        column = 0; /* the function names its operand */
    else
        column = own[dtype] - 1;
    if (column < 0) return -1;
    const int slot = (int)function * EW_COLUMNS + column;
    return ew_lookup((uint32_t)slot) ? slot : -1;
}

/* -- check --------------------------------------------------------------------------------------------------------- */

static const char *check_shapes(const ingot_call *call) {
    const ingot_arg *out = &call->out[0];
    if (out->count > (int64_t)EW_CHUNK * UINT32_MAX) return "elementwise: the output is too large";
    if (!size_of(out->dtype)) return "elementwise: the output's element type is not supported";
    for (uint32_t k = 0; k < call->in_count; k++) {
        const ingot_arg *in = &call->in[k];
        if (!size_of(in->dtype)) return "elementwise: an input's element type is not supported";
        if (in->rank > out->rank) return "elementwise: an input has a higher rank than the output";
        for (uint32_t j = 0; j < in->rank; j++)
            if (in->dims[j] != 1 && in->dims[j] != out->dims[j + out->rank - in->rank])
                return "elementwise: an input does not broadcast to the output";
    }
    return NULL;
}

/* `types` holds the element type of each operand, NONE for registers that are not written yet. */
static const char *check_insn(const ingot_ew_insn *insn, const uint8_t *types) {
    if (insn->function == INGOT_EW_NONE || insn->function >= INGOT_EW_FUNCTION_COUNT)
        return "elementwise: unknown function";
    if (insn->reserved[0] || insn->reserved[1]) return "elementwise: a reserved field is not zero";
    const ew_signature *signature = &signatures[insn->function];
    for (uint32_t a = 0; a < INGOT_EW_MAX_ARGS; a++) {
        if (a >= signature->arity) {
            if (insn->args[a]) return "elementwise: an unused argument is not zero";
        } else if (insn->args[a] >= EW_OUTPUT || types[insn->args[a]] == INGOT_DTYPE_NONE) {
            return "elementwise: an argument is neither an input nor a register written before";
        }
    }
    const uint8_t type = types[insn->args[signature->arity - 1]];
    for (uint32_t a = 0; a + 1 < signature->arity; a++)
        if (types[insn->args[a]] != (insn->function == INGOT_EW_WHERE && a == 0 ? INGOT_BOOL : type))
            return "elementwise: arguments of unlike types";
    if (signature->from != INGOT_DTYPE_NONE && signature->from != type)
        return "elementwise: the function does not take this type";
    if (slot_of(insn->function, type) < 0) return "elementwise: the function does not take this type";
    const int quantises = insn->function >= INGOT_EW_DEQUANTIZE && insn->function <= INGOT_EW_QUANTIZE_LINEAR;
    if (quantises && !(insn->beta >= -128.0f && insn->beta <= 127.0f && insn->beta == (float)(int)insn->beta))
        return "elementwise: a zero point out of range";
    if (insn->function == INGOT_EW_BIT_CAST)
        return size_of(insn->dtype) == size_of(type) ? NULL : "elementwise: wrong type of a result";
    if (insn->dtype != (signature->to != INGOT_DTYPE_NONE ? signature->to : type))
        return "elementwise: wrong type of a result";
    return NULL;
}

static const char *check(const ingot_call *call) {
    const ingot_elementwise_params *params = call->params;
    uint8_t types[EW_OPERANDS] = {0};
    if (params->insn_count < 1 || params->insn_count > INGOT_EW_MAX_INSNS) return "elementwise: bad instruction count";
    if (params->register_count > INGOT_EW_MAX_REGISTERS) return "elementwise: too many registers";
    const char *reason = check_shapes(call);
    if (reason) return reason;
    for (uint32_t k = 0; k < call->in_count; k++) types[k] = call->in[k].dtype;
    for (uint32_t i = 0; i < params->insn_count; i++) {
        const ingot_ew_insn *insn = &params->insns[i];
        reason = check_insn(insn, types);
        if (reason) return reason;
        if (i + 1 == params->insn_count) {
            if (insn->dst) return "elementwise: the last instruction names a register";
            if (insn->dtype != call->out[0].dtype) return "elementwise: the result is not of the output's type";
            break;
        }
        if (insn->dst >= params->register_count) return "elementwise: no such register";
        for (uint32_t a = 0; a < signatures[insn->function].arity; a++)
            if (insn->args[a] == INGOT_EW_MAX_INPUTS + insn->dst &&
                size_of(types[insn->args[a]]) != size_of(insn->dtype))
                return "elementwise: a result overwrites an operand of another size";
        types[INGOT_EW_MAX_INPUTS + insn->dst] = insn->dtype;
    }
    return NULL;
}

/* -- plan ---------------------------------------------------------------------------------------------------------- */

/* Merges neighbouring axes that the input has both, or broadcasts over both, and drops extents of 1. */
static void plan_extents(const ingot_arg *in, const ingot_arg *out, ew_input *input) {
    const uint32_t missing = (uint32_t)(out->rank - in->rank);
    int has_last = -1;
    input->rank = 0;
    for (uint32_t j = 0; j < out->rank; j++) {
        if (out->dims[j] == 1) continue;
        const int has = j >= missing && in->dims[j - missing] != 1;
        if (has == has_last) {
            input->dims[input->rank - 1] *= out->dims[j];
        } else {
            input->strides[input->rank] = has; /* made a distance below */
            input->dims[input->rank++] = out->dims[j];
        }
        has_last = has;
    }
    if (input->rank == 0) {
        input->strides[0] = 1;
        input->dims[input->rank++] = 1;
    }
    int64_t stride = 1;
    for (uint32_t j = input->rank; j-- > 0;) {
        input->strides[j] *= stride;
        if (input->strides[j]) stride *= input->dims[j];
    }
}

static void plan_input(const ingot_call *call, ingot_ew_state *state, uint32_t k) {
    ew_input *input = &state->inputs[k];
    input->size = size_of(call->in[k].dtype);
    plan_extents(&call->in[k], &call->out[0], input);
    uint64_t elements = EW_BLOCK;
    if (call->in[k].count == state->count) {
        input->fetch = EW_DIRECT;
        return;
    }
    if (call->in[k].count == 1) {
        input->fetch = EW_SPLAT;
    } else if (input->rank == 2 && input->strides[0] == 0 && input->dims[1] <= EW_BLOCK) {
        input->fetch = EW_PATTERN;
        elements += (uint64_t)input->dims[1];
    } else {
        input->fetch = EW_GATHER;
    }
    input->buffer = state->scratch;
    state->scratch += (elements * input->size + 63) / 64 * 64;
}

/* The one of an instruction's two arguments that is an input, where the other is the result of the instruction before;
 * else EW_OUTPUT. */
static uint8_t beside(const ingot_ew_insn *insn, const ingot_ew_insn *before) {
    for (uint32_t a = 0; a < 2; a++) {
        if (insn->args[a] == INGOT_EW_MAX_INPUTS + before->dst && insn->args[1 - a] < INGOT_EW_MAX_INPUTS)
            return insn->args[1 - a];
    }
    return EW_OUTPUT;
}

static ew_scaled plan_scaled(const ingot_elementwise_params *params) {
    const ingot_ew_insn *insn = params->insns, *last = &insn[params->insn_count - 1];
    const int relu = params->insn_count == 5 && insn[3].function == INGOT_EW_RELU;
    ew_scaled scaled = {.relu = (uint8_t)relu};
    if (params->insn_count != (relu ? 5u : 4u) || insn[0].function != INGOT_EW_DEQUANTIZE ||
        insn[0].args[0] >= INGOT_EW_MAX_INPUTS || insn[1].function != INGOT_EW_MUL || insn[1].dtype != INGOT_F32 ||
        insn[2].function != INGOT_EW_ADD || last->function != INGOT_EW_QUANTIZE || !(last->alpha > 0.0f))
        return scaled;
    scaled.x = insn[0].args[0];
    scaled.factor = beside(&insn[1], &insn[0]);
    scaled.term = beside(&insn[2], &insn[1]);
    scaled.is = scaled.factor != EW_OUTPUT && scaled.term != EW_OUTPUT &&
                (!relu || insn[3].args[0] == INGOT_EW_MAX_INPUTS + insn[2].dst) &&
                last->args[0] == INGOT_EW_MAX_INPUTS + last[-1].dst;
    return scaled;
}

static void plan(const ingot_call *call, ingot_ew_state *state) {
    const ingot_elementwise_params *params = call->params;
    *state = (ingot_ew_state){.count = call->out[0].count,
                              .input_count = call->in_count,
                              .insn_count = params->insn_count,
                              .register_count = params->register_count,
                              .scaled = plan_scaled(params),
                              .output_size = size_of(call->out[0].dtype)};
    uint32_t direct = 0;
    for (uint32_t k = 0; k < call->in_count; k++) {
        plan_input(call, state, k);
        direct += state->inputs[k].fetch == EW_DIRECT;
    }
    state->unblocked = params->insn_count == 1 && direct == call->in_count;

    uint8_t types[EW_OPERANDS] = {0};
    uint32_t widest = 1;
    for (uint32_t k = 0; k < call->in_count; k++) types[k] = call->in[k].dtype;
    for (uint32_t i = 0; i < params->insn_count; i++) {
        const ingot_ew_insn *insn = &params->insns[i];
        const uint8_t arity = signatures[insn->function].arity;
        ew_code *code = &state->code[i];
        code->slot = (uint16_t)slot_of(insn->function, types[insn->args[arity - 1]]);
        /* Unused arguments are 0, the first input: harmless. */
        for (uint32_t a = 0; a < INGOT_EW_MAX_ARGS; a++) code->args[a] = insn->args[a];
        code->dst = i + 1 == params->insn_count ? (uint8_t)EW_OUTPUT : (uint8_t)(INGOT_EW_MAX_INPUTS + insn->dst);
        types[code->dst] = insn->dtype;
        if (size_of(insn->dtype) > widest) widest = size_of(insn->dtype);
    }
    /* A line between registers keeps them from falling on the same cache sets. */
    state->registers = state->scratch;
    state->register_stride = EW_BLOCK * widest + 64;
    state->scratch += (uint64_t)state->register_stride * state->register_count;
}

static uint32_t units(const ingot_call *call) {
    return (uint32_t)((call->out[0].count + EW_CHUNK - 1) / EW_CHUNK); /* fits: see check_shapes */
}

static uint64_t state_size(const ingot_call *call) {
    (void)call;
    return sizeof(ingot_ew_state);
}

static void prepare(const ingot_call *call) { plan(call, call->state); }

static uint64_t scratch_size(const ingot_call *call) {
    ingot_ew_state state;
    plan(call, &state);
    return state.scratch;
}

const ingot_family ingot_family_elementwise = {
    .params_size = sizeof(ingot_elementwise_params),
    .in_min = 1,
    .in_max = INGOT_EW_MAX_INPUTS,
    .out_min = 1,
    .out_max = 1,
    .inplace = (1u << INGOT_EW_MAX_INPUTS) - 1,
    .check = check,
    .units = units,
    .state_size = state_size,
    .prepare = prepare,
    .scratch_size = scratch_size,
};
