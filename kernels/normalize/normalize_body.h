/* The loops of one element type: included with T and NAME(x).
 *
 * Input and output may be the same bytes: what is written goes through a local array, so that the compiler need not
 * ask whether they overlap. Sums over a row have 32 accumulators a block, joined by halves; blocks are added, and
 * groups summed, in float64, since a feature map may have very many rows. */

enum { NAME(lanes) = 32 };

static T NAME(join_sum)(T lane[NAME(lanes)]) {
    for (int width = NAME(lanes) / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) lane[j] += lane[j + width];
    }
    return lane[0];
}

static T NAME(sum_block)(const T *x, int64_t n) {
    T lane[NAME(lanes)] = {0};
    int64_t i = 0;
    for (; i + NAME(lanes) <= n; i += NAME(lanes)) {
        for (int j = 0; j < NAME(lanes); j++) lane[j] += x[i + j];
    }
    for (int j = 0; j < n - i; j++) lane[j] += x[i + j];
    return NAME(join_sum)(lane);
}

static T NAME(sum_squares_block)(const T *x, int64_t n, T mean) {
    T lane[NAME(lanes)] = {0};
    int64_t i = 0;
    for (; i + NAME(lanes) <= n; i += NAME(lanes)) {
        for (int j = 0; j < NAME(lanes); j++) lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    }
    for (int j = 0; j < n - i; j++) lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
    return NAME(join_sum)(lane);
}

static double NAME(sum)(const T *x, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; i += NORMALIZE_BLOCK) {
        total += (double)NAME(sum_block)(x + i, n - i < NORMALIZE_BLOCK ? n - i : NORMALIZE_BLOCK);
    }
    return total;
}

static double NAME(sum_of_squares)(const T *x, int64_t n, T mean) {
    double total = 0;
    for (int64_t i = 0; i < n; i += NORMALIZE_BLOCK) {
        total += (double)NAME(sum_squares_block)(x + i, n - i < NORMALIZE_BLOCK ? n - i : NORMALIZE_BLOCK, mean);
    }
    return total;
}

static inline __attribute__((always_inline)) void NAME(scale_some)(T *y, const T *x, int n, T mean, T inv,
                                                                   const T *scale, const T *bias) {
    T e[NAME(lanes)];
    for (int j = 0; j < n; j++) e[j] = (x[j] - mean) * inv;
    if (scale != NULL) {
        for (int j = 0; j < n; j++) e[j] *= scale[j];
    }
    if (bias != NULL) {
        for (int j = 0; j < n; j++) e[j] += bias[j];
    }
    memcpy(y, e, (size_t)n * sizeof *y);
}

static void NAME(row_unit)(const ingot_call *call, const normalize_shape *shape, int64_t unit) {
    const ingot_normalize_params *p = call->params;
    const T *scale = normalize_optional_in(call, 1), *bias = normalize_optional_in(call, 2);
    T *means = normalize_optional_out(call, 1), *inverses = normalize_optional_out(call, 2);
    int64_t n = shape->inner, row = unit * shape->grain;
    int64_t end = shape->outer - row < shape->grain ? shape->outer : row + shape->grain;
    for (; row < end; row++) {
        const T *x = (const T *)call->in[0].data + row * n;
        T *y = (T *)call->out[0].data + row * n;
        T mean = p->kind == INGOT_NORMALIZE_RMS ? 0 : (T)(NAME(sum)(x, n) / (double)n);
        T inv = (T)(1 / sqrt(NAME(sum_of_squares)(x, n, mean) / (double)n + p->epsilon));
        int64_t i = 0;
        for (; i + NAME(lanes) <= n; i += NAME(lanes)) {
            NAME(scale_some)(y + i, x + i, NAME(lanes), mean, inv, scale ? scale + i : NULL, bias ? bias + i : NULL);
        }
        NAME(scale_some)(y + i, x + i, (int)(n - i), mean, inv, scale ? scale + i : NULL, bias ? bias + i : NULL);
        if (means != NULL) means[row] = mean;
        if (inverses != NULL) inverses[row] = inv;
    }
}

/* Replaces the per-channel sums by the sum of each channel's group. */
static void NAME(share_in_groups)(double *sum, int64_t channels, int64_t of_group) {
    for (int64_t first = 0; first < channels; first += of_group) {
        double total = 0;
        for (int64_t c = 0; c < of_group; c++) total += sum[first + c];
        for (int64_t c = 0; c < of_group; c++) sum[first + c] = total;
    }
}

static void NAME(group_unit)(const ingot_call *call, const normalize_shape *shape, int64_t unit, void *scratch) {
    const ingot_normalize_params *p = call->params;
    const T *scale = normalize_optional_in(call, 1), *bias = normalize_optional_in(call, 2);
    int64_t first = unit % shape->blocks * shape->block;
    int64_t channels = shape->inner - first < shape->block ? shape->inner - first : shape->block;
    int64_t at = unit / shape->blocks * shape->rows * shape->inner + first;
    const T *x = (const T *)call->in[0].data + at;
    T *y = (T *)call->out[0].data + at;
    double count = (double)(shape->rows * shape->of_group);
    double *sum = scratch;
    T *mean = (T *)(sum + shape->block), *factor = mean + shape->block, *offset = factor + shape->block;
    for (int64_t c = 0; c < channels; c++) sum[c] = 0;
    for (int64_t row = 0; row < shape->rows; row++) {
        const T *q = x + row * shape->inner;
        for (int64_t c = 0; c < channels; c++) sum[c] += (double)q[c];
    }
    NAME(share_in_groups)(sum, channels, shape->of_group);
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = (T)(sum[c] / count);
        sum[c] = 0;
    }
    for (int64_t row = 0; row < shape->rows; row++) {
        const T *q = x + row * shape->inner;
        for (int64_t c = 0; c < channels; c++) sum[c] += (double)((q[c] - mean[c]) * (q[c] - mean[c]));
    }
    NAME(share_in_groups)(sum, channels, shape->of_group);
    for (int64_t c = 0; c < channels; c++) {
        T inv = (T)(1 / sqrt(sum[c] / count + p->epsilon));
        factor[c] = scale ? inv * scale[first + c] : inv;
        offset[c] = bias ? bias[first + c] : 0;
    }
    for (int64_t row = 0; row < shape->rows; row++) {
        for (int64_t c = 0; c < channels; c += NAME(lanes)) {
            const T *q = x + row * shape->inner + c;
            int n = channels - c < NAME(lanes) ? (int)(channels - c) : NAME(lanes);
            T e[NAME(lanes)];
            for (int j = 0; j < n; j++) e[j] = (q[j] - mean[c + j]) * factor[c + j] + offset[c + j];
            memcpy(y + row * shape->inner + c, e, (size_t)n * sizeof *e);
        }
    }
}

#undef T
#undef NAME
