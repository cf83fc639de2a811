/* recurrent: the checks of RNN, GRU and LSTM. */
#include "recurrent/recurrent_impl.h"

static const char *check_params(const ingot_recurrent_params *p) {
    if (p->kind >= INGOT_RECURRENT_KIND_COUNT || p->direction >= INGOT_RECURRENT_DIRECTION_COUNT ||
        p->linear_before_reset > 1 || p->input_forget > 1 || p->reserved != 0 || !(p->clip >= 0)) {
        return "recurrent: a kind, direction, flag or clip out of range";
    }
    for (int i = 0; i < 6; i++) {
        const ingot_activation *act = &p->activations[i];
        if (act->kind != INGOT_RECURRENT_AFFINE && act->kind != INGOT_RECURRENT_SCALED_TANH &&
            !ingot_activation_valid(act)) {
            return "recurrent: an activation out of range";
        }
    }
    return NULL;
}

/* How the weights lie: as in ONNX, or in panels of float32 or of half. */
typedef enum weights_form { PLAIN, PACKED, HALF } weights_form;

static const char *check(const ingot_call *call, weights_form form) {
    const int plain = form == PLAIN;
    const ingot_recurrent_params *p = call->params;
    const ingot_arg *in = call->in, *out = call->out;
    const char *bad = check_params(p);
    if (bad != NULL) {
        return bad;
    }
    if (in[RECURRENT_X].rank != 3 || out[0].rank != 4 || out[0].dims[3] < 1 || out[0].dims[3] > INT32_MAX ||
        in[RECURRENT_X].dims[1] > INT32_MAX) {
        return "recurrent: x or Y of the wrong rank, an empty state or a batch that is too large";
    }
    const recurrent_shape s = recurrent_f32_shape_of(call);
    EXPECT(&in[RECURRENT_X], INGOT_F32, s.steps, s.batch, s.inputs);
    EXPECT(&out[0], INGOT_F32, s.steps, s.directions, s.batch, s.hidden);
    EXPECT(&out[1], INGOT_F32, s.directions, s.batch, s.hidden);
    if (plain) {
        EXPECT(&in[RECURRENT_W], INGOT_F32, s.directions, s.gates * s.hidden, s.inputs);
        EXPECT(&in[RECURRENT_R], INGOT_F32, s.directions, s.gates * s.hidden, s.hidden);
    } else if (form == HALF) {
        const uint8_t dtype = in[RECURRENT_W].dtype;
        if (!ingot_is_half(dtype)) {
            return "recurrent: weights that are not half";
        }
        EXPECT(&in[RECURRENT_W], dtype, s.directions, s.width / 16, ingot_half_steps(s.inputs), INGOT_HALF_BLOCK);
        EXPECT(&in[RECURRENT_R], dtype, s.directions, s.width / 16, ingot_half_steps(s.hidden), INGOT_HALF_BLOCK);
    } else {
        EXPECT(&in[RECURRENT_W], INGOT_F32, s.directions, s.width / 16, s.inputs, 16);
        EXPECT(&in[RECURRENT_R], INGOT_F32, s.directions, s.width / 16, s.hidden, 16);
    }
    for (uint32_t i = RECURRENT_BIAS; i < call->in_count; i++) {
        if (in[i].dtype == INGOT_DTYPE_NONE) {
            continue;
        }
        if (i == RECURRENT_BIAS && plain) {
            EXPECT(&in[i], INGOT_F32, s.directions, 2 * s.gates * s.hidden);
        } else if (i == RECURRENT_BIAS) {
            EXPECT(&in[i], INGOT_F32, s.directions, 2, s.width);
        } else if (i == RECURRENT_LENS) {
            EXPECT(&in[i], INGOT_I32, s.batch);
        } else if (i == RECURRENT_PEEPHOLES) {
            EXPECT(&in[i], INGOT_F32, s.directions, 3 * s.hidden);
        } else {
            EXPECT(&in[i], INGOT_F32, s.directions, s.batch, s.hidden);
        }
    }
    if (call->out_count > 2) {
        if (p->kind != INGOT_RECURRENT_LSTM) {
            return "recurrent: only LSTM has a third output";
        }
        EXPECT(&out[2], INGOT_F32, s.directions, s.batch, s.hidden);
    }
    return NULL;
}

static const char *check_packed(const ingot_call *call) { return check(call, PACKED); }
static const char *check_half(const ingot_call *call) { return check(call, HALF); }
static const char *check_plain(const ingot_call *call) { return check(call, PLAIN); }

static uint32_t units(const ingot_call *call) {
    const recurrent_shape s = recurrent_f32_shape_of(call);
    return (uint32_t)(s.directions * s.blocks);
}

static uint64_t scratch_bytes(const ingot_call *call, int plain) {
    const recurrent_shape s = recurrent_f32_shape_of(call);
    recurrent_scratch scratch;
    return recurrent_layout(&s, plain, NULL, &scratch) * sizeof(float) * 2; /* two directions in lockstep */
}

static uint64_t scratch_packed(const ingot_call *call) { return scratch_bytes(call, 0); }
static uint64_t scratch_plain(const ingot_call *call) { return scratch_bytes(call, 1); }

#define FAMILY(check_, scratch_)                                                                                       \
    {                                                                                                                  \
        .params_size = sizeof(ingot_recurrent_params), .in_min = 3, .in_max = RECURRENT_INPUTS, .out_min = 2,          \
        .out_max = 3, .check = check_, .units = units, .scratch_size = scratch_,                                       \
    }
const ingot_family ingot_family_recurrent_f32_n16 = FAMILY(check_packed, scratch_packed);
const ingot_family ingot_family_recurrent_half = FAMILY(check_half, scratch_packed);
const ingot_family ingot_family_recurrent_f32 = FAMILY(check_plain, scratch_plain);
