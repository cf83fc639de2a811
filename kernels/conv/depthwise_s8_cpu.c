/* conv_s8_dw; see depthwise_s8.h. */
#include "depthwise_s8.h"

typedef struct dw_plan {
    ingot_conv_shape shape; /* whose rows of results are pairs, if it goes in pairs */
    ingot_conv_band band;
    int64_t steps;   /* of four taps, or columns of four lines */
    int64_t blocks;  /* of weights and columns */
    int32_t joined;  /* pixels are one run */
    int32_t columns; /* goes column by column */
    int32_t pairs;   /* and by two rows */
    int32_t tame;    /* see ingot_depthwise_s8 */
    int64_t height;  /* rows of results */
} dw_plan;

static ingot_depthwise_columns *columns_of(const dw_plan *plan) {
    return (ingot_depthwise_columns *)(uintptr_t)((const char *)plan + (sizeof *plan + 63) / 64 * 64);
}

/* Weights of the lower row of a pair. */
static uint32_t *lower_of(const dw_plan *plan) { return (uint32_t *)(void *)(columns_of(plan) + plan->blocks); }

static uint64_t lower_size(const dw_plan *plan) {
    return plan->pairs ? (uint64_t)(plan->blocks * plan->steps * INGOT_S8_LANES_BLOCK) : 0;
}

static int64_t common_divisor(int64_t a, int64_t b) { return b == 0 ? a : common_divisor(b, a % b); }

static int is_by_columns(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    return p->tuning.way != INGOT_DEPTHWISE_S8_LANES;
}

static int is_by_pairs(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    return p->tuning.way == INGOT_DEPTHWISE_S8_PAIRS;
}

/* Blocks until channels repeat, or of one pixel. */
static int64_t count_blocks(const ingot_call *call, int64_t channels, int *repeats) {
    const int64_t blocks = channels / common_divisor(channels, INGOT_S8_LANES);
    *repeats = blocks <= INGOT_DW_S8_REPEAT && !is_by_columns(call);
    return *repeats ? blocks : (channels + INGOT_S8_LANES - 1) / INGOT_S8_LANES;
}

/* 0 when no memory would do. */
static int plan_make(const ingot_call *call, dw_plan *plan) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *residual = &call->in[INGOT_CONV_RESIDUAL];
    ingot_conv_shape *s = &plan->shape;
    int repeats;
    ingot_conv_shape_read(call, s);
    s->taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    plan->columns = is_by_columns(call);
    plan->pairs = is_by_pairs(call);
    plan->height = s->out[1];
    if (plan->pairs) { /* a row of windows one line higher, which moves by two */
        s->kernel[1]++;
        s->stride[1] = 2;
        s->out[1] = (s->out[1] + 1) / 2;
    }
    plan->steps = plan->columns ? s->kernel[2] : ingot_s8_padded(s->taps) / INGOT_S8_STEP;
    plan->blocks = count_blocks(call, s->in_channels, &repeats);
    plan->joined = repeats && s->out_pitch == s->in_channels &&
                   (residual->dtype == INGOT_DTYPE_NONE || residual->pitch == s->in_channels);
    return ingot_conv_band_make(s, plan->joined ? s->stride[2] : 1, (uint8_t)p->numbers.input_zero, &plan->band);
}

static const char *dw_check(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const ingot_arg *w = &call->in[INGOT_CONV_W], *bias = &call->in[INGOT_CONV_BIAS];
    ingot_conv_shape s;
    dw_plan plan;
    int repeats;
    const char *reason = ingot_conv_s8_operands_check(call);
    if (reason != NULL) {
        return reason;
    }
    if (w->rank != 3 || w->count < 1 || w->pitch != INGOT_S8_LANES_BLOCK || w->dims[2] != INGOT_S8_LANES_BLOCK) {
        return "conv: weights";
    }
    reason = ingot_conv_shape_check_from(call, ingot_conv_count_taps(&p->conv, w->count), 0, &s);
    if (reason != NULL) {
        return reason;
    }
    if (s.groups != s.in_channels || s.groups != s.out_channels) {
        return "conv: not depthwise";
    }
    if (!ingot_s8_tuning_valid(&p->tuning, INGOT_DEPTHWISE_S8_WAYS) || p->tuning.rows != 0 || p->tuning.slice != 0) {
        return "conv: tuning";
    }
    if (is_by_columns(call) &&
        (s.kernel[0] * s.kernel[1] > INGOT_S8_STEP || s.kernel[2] != 3 || s.dilation[2] != 1 || s.stride[2] > 2)) {
        return "conv: a window that does not go column by column";
    }
    if (is_by_pairs(call) && (s.kernel[0] != 1 || s.kernel[1] >= INGOT_S8_STEP || s.dilation[1] != 1 ||
                              s.stride[1] != 1 || s.stride[2] != 1)) {
        return "conv: a window that does not go in pairs of rows";
    }
    if (is_by_pairs(call) && w->storage != INGOT_STORAGE_CONSTANT) {
        return "conv: weights that go in pairs of rows are not constants"; /* prepare reads them */
    }
    const int64_t steps = is_by_columns(call) ? s.kernel[2] : ingot_s8_padded(s.taps) / INGOT_S8_STEP;
    if (w->dims[0] != count_blocks(call, s.in_channels, &repeats) || w->dims[1] != steps) {
        return "conv: weights";
    }
    if (call->in[INGOT_CONV_SUMS].storage != INGOT_STORAGE_CONSTANT ||
        call->in[INGOT_CONV_SCALE].storage != INGOT_STORAGE_CONSTANT ||
        (bias->dtype != INGOT_DTYPE_NONE && bias->storage != INGOT_STORAGE_CONSTANT)) {
        return "conv: sums, scale and bias are not constants";
    }
    if (!plan_make(call, &plan)) {
        return "conv: a window too large";
    }
    return call->out[0].count / s.out_channels > UINT32_MAX ? "conv: too many work units" : NULL;
}

static uint32_t dw_units(const ingot_call *call) {
    dw_plan plan;
    (void)plan_make(call, &plan);
    return call->out[0].count == 0 ? 0 : (uint32_t)ingot_conv_band_units(&plan.shape, &plan.band);
}

static uint64_t dw_state_size(const ingot_call *call) {
    dw_plan plan;
    (void)plan_make(call, &plan);
    return (sizeof plan + 63) / 64 * 64 + (uint64_t)plan.blocks * sizeof(ingot_depthwise_columns) + lower_size(&plan);
}

/* Whether |2^31 scale| + |bias| + |residual|, over the output's scale, stays below 2^30. */
static int is_tame(const ingot_s8_numbers *numbers, float scale, float bias) {
    const double largest = 2147483648.0 * (double)scale, residual = 256.0 * (double)numbers->residual_scale;
    const double sum = (largest < 0.0 ? -largest : largest) + (double)(bias < 0.0f ? -bias : bias) +
                       (residual < 0.0 ? -residual : residual);
    return sum * (double)numbers->inverse_scale < 1073741824.0;
}

static void dw_prepare(const ingot_call *call) {
    const ingot_conv_s8_params *p = call->params;
    const int32_t *sums = call->in[INGOT_CONV_SUMS].data;
    const float *scale = call->in[INGOT_CONV_SCALE].data;
    ingot_gemm_s8 bias;
    dw_plan *plan = call->state;
    int repeats;
    (void)plan_make(call, plan);
    ingot_depthwise_columns *columns = columns_of(plan);
    const int64_t channels = plan->shape.in_channels;
    (void)count_blocks(call, channels, &repeats);
    memset(columns, 0, (size_t)plan->blocks * sizeof *columns);
    ingot_gemm_s8_set_bias(&call->in[INGOT_CONV_BIAS], &bias);
    plan->tame = 1;
    for (int64_t i = 0; i < plan->blocks * INGOT_S8_LANES && (repeats || i < channels); i++) {
        ingot_depthwise_columns *c = &columns[i / INGOT_S8_LANES];
        const int place = ingot_depthwise_place((int)(i % INGOT_S8_LANES));
        const uint32_t sum = (uint32_t)sums[i % channels], zero = (uint32_t)p->numbers.input_zero;
        const uint32_t whole = bias.whole_bias != NULL ? (uint32_t)bias.whole_bias[i % channels] : 0;
        c->offset[0][place] = (int32_t)(whole - sum * zero);
        c->offset[1][place] = (int32_t)(whole - sum * (zero + 128u));
        c->scale[place] = scale[i % channels];
        c->bias[place] = bias.bias != NULL ? bias.bias[i % channels] : 0.0f;
        plan->tame &= is_tame(&p->numbers, c->scale[place], c->bias[place]);
    }
    const char *upper = call->in[INGOT_CONV_W].data;
    uint32_t *lower = lower_of(plan);
    for (uint64_t i = 0; i < lower_size(plan) / INGOT_S8_STEP; i++) {
        uint32_t lines; /* little-endian */
        memcpy(&lines, upper + i * INGOT_S8_STEP, sizeof lines);
        lower[i] = lines << 8;
    }
}

/* Where the parts of scratch lie: the band, a pointer for each tap and each row of the kernel. */
typedef struct dw_scratch {
    uint64_t taps, rows, size;
} dw_scratch;

static dw_scratch scratch_of(const dw_plan *plan) {
    const ingot_conv_shape *s = &plan->shape;
    dw_scratch at;
    at.taps = ingot_conv_band_size(&plan->band);
    at.rows = at.taps + (uint64_t)(plan->steps * INGOT_S8_STEP) * sizeof(void *);
    at.size = at.rows + (uint64_t)(s->kernel[0] * s->kernel[1]) * sizeof(void *);
    return at;
}

static uint64_t dw_scratch_size(const ingot_call *call) {
    dw_plan plan;
    (void)plan_make(call, &plan);
    return scratch_of(&plan).size;
}

/* Points at what the first pixel of a strip reads for each tap; the taps added have weights of zero. */
static void point_taps(const dw_plan *plan, const int8_t *const *rows, const int8_t **taps) {
    const ingot_conv_shape *s = &plan->shape;
    int64_t tap = 0;
    for (; plan->columns && tap < INGOT_S8_STEP; tap++) {
        taps[tap] = rows[tap < s->kernel[0] * s->kernel[1] ? tap : 0];
    }
    if (plan->columns) {
        return;
    }
    for (int64_t line = 0; line < s->kernel[0] * s->kernel[1]; line++) {
        for (int64_t x = 0; x < s->kernel[2]; x++, tap++) {
            const int64_t column = x * s->dilation[2], phases = plan->band.phases;
            taps[tap] = rows[line] + column % phases * plan->band.phase_bytes + column / phases * s->in_channels;
        }
    }
    for (; tap < plan->steps * INGOT_S8_STEP; tap++) {
        taps[tap] = rows[0];
    }
}

int ingot_conv_s8_dw_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                         const ingot_gemm_s8_isa *isa) {
    const ingot_conv_s8_params *p = call->params;
    const dw_plan *plan = call->state;
    const ingot_conv_shape *s = &plan->shape;
    const ingot_arg *out = &call->out[0], *residual = &call->in[INGOT_CONV_RESIDUAL];
    const dw_scratch at = scratch_of(plan);
    const int8_t **taps = (const int8_t **)(void *)((char *)scratch + at.taps);
    const int8_t **rows = (const int8_t **)(void *)((char *)scratch + at.rows);
    ingot_depthwise_s8 both[2] = {{
        .taps = taps,
        .steps = plan->steps,
        .weights = call->in[INGOT_CONV_W].data,
        .blocks = plan->blocks,
        .columns = columns_of(plan),
        .tame = plan->tame,
        .stride = s->stride[2],
        .out_pitch = out->pitch,
        .residual_pitch = residual->pitch,
    }};
    ingot_depthwise_s8 *const run = &both[0], *const lower = &both[1];
    if (begin >= end) {
        return INGOT_KERNEL_OK;
    }
    ingot_gemm_s8_describe(&p->numbers, &p->conv.activation, out, &run->tile);
    const int64_t element = run->tile.float_out ? (int64_t)sizeof(float) : 1;
    const int64_t pixel_bytes = plan->joined ? 0 : s->stride[2] * s->in_channels;
    ingot_conv_band_clear(&plan->band, scratch);
    for (uint32_t unit = begin; unit < end; unit++) {
        const ingot_conv_strip strip = ingot_conv_band_strip(s, &plan->band, unit);
        ingot_conv_band_rows(s, &plan->band, call->in[INGOT_CONV_X].data, &strip, scratch, rows);
        point_taps(plan, rows, taps);
        const int64_t y = strip.y * (plan->pairs ? 2 : 1);
        const int64_t pixel = ((strip.batch * s->out[0] + strip.z) * plan->height + y) * s->out[2] + strip.x;
        const int64_t runs = plan->joined || plan->columns ? 1 : strip.count;
        run->pixels = strip.count;
        run->lanes = plan->joined ? strip.count * s->in_channels : s->in_channels;
        run->offset = 0;
        for (int64_t i = 0; i < runs; i++, run->offset += pixel_bytes) {
            run->out = (char *)out->data + (pixel + i) * out->pitch * element;
            if (residual->data != NULL) {
                run->residual = (const int8_t *)residual->data + (pixel + i) * residual->pitch;
            }
            if (plan->pairs && y + 1 < plan->height) {
                *lower = *run;
                lower->weights = (const int8_t *)lower_of(plan);
                lower->out = (char *)run->out + s->out[2] * out->pitch * element;
                lower->residual = run->residual != NULL ? run->residual + s->out[2] * residual->pitch : NULL;
                isa->depthwise_pairs(both);
            } else if (plan->columns) {
                isa->depthwise_columns(run);
            } else {
                isa->depthwise(run);
            }
        }
    }
    return INGOT_KERNEL_OK;
}

INGOT_CONV_S8_DW_KERNEL

const ingot_family ingot_family_conv_s8_dw = {
    .params_size = sizeof(ingot_conv_s8_params),
    .flags = INGOT_KERNEL_PITCHED | INGOT_KERNEL_EXACT,
    .in_min = 6,
    .in_max = 6,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1u << INGOT_CONV_RESIDUAL,
    .check = dw_check,
    .units = dw_units,
    .state_size = dw_state_size,
    .prepare = dw_prepare,
    .scratch_size = dw_scratch_size,
};
