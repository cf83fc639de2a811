/* pool_half: maxima and averages along one or two axes of images stored in half, by pool_f32.
 *
 * A unit is that of pool_f32, a row of results: the lines of the image that it reads are widened in scratch, and are an
 * image of their own to that kernel. */
#include "integers.h"
#include "pool/pool_half.h"

static const char *half_check(const ingot_call *call) {
    const ingot_pool_params *p = call->params;
    const uint8_t in = call->in[0].dtype, out = call->out[0].dtype;
    const int known = (ingot_is_half(in) && (out == in || out == INGOT_F32)) || (in == INGOT_F32 && ingot_is_half(out));
    if (!known || p->kind == INGOT_POOL_LP || call->in[0].rank > 4) {
        return "pool_half: maxima and averages along one or two axes only";
    }
    return ingot_pool_check(call, out);
}

/* Scratch in floats: lines of the image, a row of results, what pool_f32 itself asks for. */
typedef struct half_room {
    int64_t result, rest, all;
} half_room;

static half_room room_of(const pool_plan *plan) {
    const pool_axis *y = &plan->axis[1], *x = &plan->axis[2];
    const int64_t lines = ingot_min64((y->kernel - 1) * y->dilation + 1, y->in);
    half_room room = {.result = lines * x->in * plan->channels};
    room.rest = room.result + x->out * plan->channels;
    room.all = room.rest + x->in * plan->channels + 16;
    return room;
}

static uint64_t half_scratch_size(const ingot_call *call) {
    if (call->in[0].count == 0 || call->out[0].count == 0) {
        return 0;
    }
    const pool_plan plan = pool_plan_of(call);
    return (uint64_t)room_of(&plan).all * sizeof(float);
}

/* An operand of float32 with that many lines. */
static ingot_arg lines_of(const ingot_arg *arg, float *data, int64_t lines) {
    ingot_arg image = *arg;
    image.data = data;
    image.dtype = INGOT_F32;
    image.pitch = arg->dims[arg->rank - 1];
    image.dims[0] = 1;
    if (arg->rank == 4) {
        image.dims[1] = lines;
    }
    image.count = lines * arg->dims[arg->rank - 2] * image.pitch;
    return image;
}

int ingot_pool_half_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch, const ingot_half_isa *isa,
                        ingot_run_fn pool) {
    const ingot_pool_params *p = call->params;
    const ingot_arg *in = &call->in[0], *out = &call->out[0];
    if (in->count == 0 || out->count == 0) {
        return INGOT_KERNEL_OK;
    }
    const pool_plan plan = pool_plan_of(call);
    const pool_axis *y = &plan.axis[1], *x = &plan.axis[2];
    const half_room room = room_of(&plan);
    float *image = scratch, *result = image + room.result;
    const int64_t line = x->in * plan.channels;
    for (uint32_t unit = begin; unit < end; unit++) {
        const int64_t batch = unit / y->out, top = unit % y->out * y->stride - y->pad_begin;
        const int64_t last = ingot_min64(ingot_max64(top + (y->kernel - 1) * y->dilation + 1, 0), y->in);
        const int64_t first = ingot_min64(ingot_max64(top, 0), last);
        for (int64_t i = first; i < last; i++) {
            const int64_t at = batch * plan.in_batch_step + i * y->in_step;
            const void *from = (const char *)in->data + at * ingot_half_size(in->dtype);
            if (in->dtype == INGOT_F32) {
                for (int64_t j = 0; j < x->in; j++) {
                    memcpy(image + (i - first) * line + j * plan.channels, (const float *)from + j * x->in_step,
                           (size_t)plan.channels * sizeof *image);
                }
            } else {
                isa->widen(in->dtype, from, x->in_step, image + (i - first) * line, plan.channels, x->in,
                           plan.channels);
            }
        }
        ingot_pool_params params = *p;
        ingot_call row = *call;
        ingot_arg images[] = {lines_of(in, image, last - first)}, results[] = {lines_of(out, result, 1)};
        if (in->rank == 4) {
            params.pad_begin[0] = (int32_t)(first - top);
            params.pad_end[0] = (int32_t)(y->in - last + y->pad_end);
        }
        row.in = images;
        row.out = results;
        row.params = &params;
        const int status = pool(&row, 0, 1, image + room.rest);
        if (status != INGOT_KERNEL_OK) {
            return status;
        }
        const int64_t at = (int64_t)unit * x->out * x->out_step;
        if (out->dtype == INGOT_F32) {
            for (int64_t j = 0; j < x->out; j++) {
                memcpy((float *)out->data + at + j * x->out_step, result + j * plan.channels,
                       (size_t)plan.channels * sizeof *result);
            }
        } else {
            isa->narrow(out->dtype, result, plan.channels, (uint16_t *)out->data + at, x->out_step, x->out,
                        plan.channels);
        }
    }
    return INGOT_KERNEL_OK;
}

POOL_HALF_KERNEL(portable)

const ingot_family ingot_family_pool_half = {
    .params_size = sizeof(ingot_pool_params),
    .flags = INGOT_KERNEL_PITCHED,
    .in_min = 1,
    .in_max = 1,
    .out_min = 1,
    .out_max = 1,
    .check = half_check,
    .units = ingot_pool_units,
    .scratch_size = half_scratch_size,
};
