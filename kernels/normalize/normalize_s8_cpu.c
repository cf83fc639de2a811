/* normalize_s8: layer, RMS and group normalisation of int8. Of n numbers d = q - zero, sum and sum of squares are
 * exact; (n d - sum) / sqrt(n squares - sum^2 + n^2 epsilon / scale^2) is what they are normalised to, with one square
 * root and one division, both in float64, and a product in float32. RMS: as if the sum were 0. */
#include "normalize/normalize_s8_impl.h"

typedef struct normalize_s8_unit {
    const ingot_call *call;
    const normalize_s8_steps *steps;
    const normalize_shape *shape;
    ingot_requantize result;
    float ones[INGOT_S8_GROUP], zeros[INGOT_S8_GROUP];
} normalize_s8_unit;

static float inverse_of(const ingot_call *call, int64_t n, int64_t sum, int64_t squares) {
    const ingot_normalize_s8_params *p = call->params;
    const double scale = p->scales.input_scale, count = (double)n;
    const double epsilon = count * count * (p->normalize.epsilon / (scale * scale));
    return (float)(1.0 / __builtin_sqrt((double)(n * squares - sum * sum) + epsilon));
}

/* n elements side by side from element `at` on; factors and offsets from `factor` on. `columns` has their sums and
 * inverses. */
static void apply(const normalize_s8_unit *u, int64_t at, int64_t n, int64_t factor, normalize_s8_columns columns) {
    const ingot_arg *out = &u->call->out[0];
    const float *scale = normalize_optional_in(u->call, 1), *bias = normalize_optional_in(u->call, 2);
    const int64_t size = ingot_s8_result_size(out->dtype);
    for (int64_t i = 0; i < n; i += INGOT_S8_GROUP) {
        const int64_t some = n - i < INGOT_S8_GROUP ? n - i : INGOT_S8_GROUP;
        columns.scale = scale != NULL ? scale + factor + i : u->ones;
        columns.bias = bias != NULL ? bias + factor + i : u->zeros;
        u->steps->apply(&u->result, out->dtype, (char *)out->data + (at + i) * size,
                        (const int8_t *)u->call->in[0].data + at + i, some, &columns);
        columns.sum += columns.step * some;
        columns.inverse += columns.step * some;
    }
}

static void rows_unit(const normalize_s8_unit *u, int64_t unit) {
    const ingot_normalize_s8_params *p = u->call->params;
    const normalize_shape *shape = u->shape;
    const int64_t n = shape->inner;
    int64_t row = unit * shape->grain;
    const int64_t end = shape->outer - row < shape->grain ? shape->outer : row + shape->grain;
    for (; row < end; row++) {
        const int8_t *x = (const int8_t *)u->call->in[0].data + row * n;
        normalize_s8_moments m = u->steps->moments(x, n, p->scales.input_zero);
        m.sum = p->normalize.kind == INGOT_NORMALIZE_RMS ? 0 : m.sum;
        const float inverse = inverse_of(u->call, n, m.sum, m.squares);
        const int32_t sum = (int32_t)m.sum;
        apply(u, row * n, n, 0,
              (normalize_s8_columns){(int32_t)n, p->scales.input_zero, 0, &sum, &inverse, NULL, NULL});
    }
}

static void group_unit(const normalize_s8_unit *u, int64_t unit, void *scratch) {
    const ingot_normalize_s8_params *p = u->call->params;
    const normalize_shape *shape = u->shape;
    const int64_t first = unit % shape->blocks * shape->block;
    const int64_t channels = shape->inner - first < shape->block ? shape->inner - first : shape->block;
    const int64_t at = unit / shape->blocks * shape->rows * shape->inner + first;
    const int64_t count = shape->rows * shape->of_group;
    const int8_t *x = (const int8_t *)u->call->in[0].data + at;
    int64_t *squares = scratch;
    int32_t *sums = (int32_t *)(squares + shape->block);
    float *inverses = (float *)(sums + shape->block);
    for (int64_t c = 0; c < channels; c++) sums[c] = 0;
    for (int64_t c = 0; c < channels; c++) squares[c] = 0;
    for (int64_t row = 0; row < shape->rows; row++) {
        for (int64_t c = 0; c < channels; c++) {
            const int32_t d = x[row * shape->inner + c] - p->scales.input_zero;
            sums[c] += d;
            squares[c] += d * d;
        }
    }
    for (int64_t group = 0; group < channels; group += shape->of_group) {
        int64_t sum = 0, square = 0;
        for (int64_t c = group; c < group + shape->of_group; c++) {
            sum += sums[c];
            square += squares[c];
        }
        const float inverse = inverse_of(u->call, count, sum, square);
        for (int64_t c = group; c < group + shape->of_group; c++) {
            sums[c] = (int32_t)sum;
            inverses[c] = inverse;
        }
    }
    const normalize_s8_columns columns = {(int32_t)count, p->scales.input_zero, 1, sums, inverses, NULL, NULL};
    for (int64_t row = 0; row < shape->rows; row++) {
        apply(u, at + row * shape->inner, channels, first, columns);
    }
}

int ingot_normalize_s8_run(const ingot_call *call, uint32_t begin, uint32_t end, void *scratch,
                           const normalize_s8_steps *steps) {
    const ingot_normalize_s8_params *p = call->params;
    const normalize_shape shape = normalize_shape_of(call);
    normalize_s8_unit u = {.call = call, .steps = steps, .shape = &shape};
    u.result = ingot_s8_result(&p->scales, (float)(1.0 / p->scales.output_scale));
    for (int j = 0; j < INGOT_S8_GROUP; j++) u.ones[j] = 1.0f;
    for (uint32_t unit = begin; unit < end; unit++) {
        if (p->normalize.kind == INGOT_NORMALIZE_GROUP) {
            group_unit(&u, unit, scratch);
        } else {
            rows_unit(&u, unit);
        }
    }
    return INGOT_KERNEL_OK;
}

static const char *check(const ingot_call *call) {
    const ingot_normalize_s8_params *p = call->params;
    const uint8_t result = call->out[0].dtype;
    const char *wrong = ingot_s8_scales_check(&p->scales, result);
    if (wrong == NULL) {
        wrong = ingot_normalize_check(call, INGOT_I8, INGOT_F32, result);
    }
    if (wrong != NULL) {
        return wrong;
    }
    const normalize_shape shape = normalize_shape_of(call);
    const int64_t n = p->normalize.kind == INGOT_NORMALIZE_GROUP ? shape.rows * shape.of_group : shape.inner;
    return n > INGOT_S8_TERMS_MAX ? "normalize_s8: a sum may overflow" : NULL;
}

const ingot_family ingot_family_normalize_s8 = {
    .params_size = sizeof(ingot_normalize_s8_params),
    .flags = INGOT_KERNEL_EXACT,
    .in_min = 1,
    .in_max = 3,
    .out_min = 1,
    .out_max = 1,
    .inplace = 1,
    .check = check,
    .units = ingot_normalize_units,
    .scratch_size = ingot_normalize_scratch_size,
};
