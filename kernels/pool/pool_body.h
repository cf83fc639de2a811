/* The plain loops of one element type: included with T, NAME(x), LOWEST, and FABS(x), POW(x, y) where IS_FLOAT. */

static T NAME(pool_value)(const ingot_pool_params *params, const pool_plan *plan, const T *in, const pool_span span[3],
                          int64_t *at) {
    T best = LOWEST, sum = 0;
    *at = -1;
    for (int64_t a = 0; a < span[0].count; a++) {
        int64_t z = span[0].first + a * plan->axis[0].dilation;
        for (int64_t b = 0; b < span[1].count; b++) {
            int64_t y = span[1].first + b * plan->axis[1].dilation;
            for (int64_t c = 0; c < span[2].count; c++) {
                int64_t x = span[2].first + c * plan->axis[2].dilation;
                T value = in[z * plan->axis[0].in_step + y * plan->axis[1].in_step + x * plan->axis[2].in_step];
                if (value > best || *at < 0) {
                    best = value;
                    *at = pool_index(plan, params->storage_order, z, y, x);
                }
#if IS_FLOAT
                sum += params->kind != INGOT_POOL_LP ? value
                       : params->p == 1              ? FABS(value)
                       : params->p == 2              ? value * value
                                                     : POW(FABS(value), (T)params->p);
#endif
            }
        }
    }
#if IS_FLOAT
    if (params->kind == INGOT_POOL_LP) {
        return params->p == 1 ? sum : POW(sum, 1 / (T)params->p);
    }
    if (params->kind != INGOT_POOL_MAX) {
        int padded = params->kind == INGOT_POOL_AVERAGE_PADDED;
        double count = 1;
        for (int i = 0; i < 3; i++) count *= (double)(padded ? span[i].counted : span[i].count);
        return count > 0 ? sum / (T)count : 0;
    }
#else
    (void)sum;
#endif
    return best;
}

static void NAME(pool_unit)(const ingot_call *call, const pool_plan *plan, int64_t unit) {
    const pool_axis *axis = plan->axis;
    int64_t n = unit / (axis[0].out * axis[1].out), z = unit / axis[1].out % axis[0].out, y = unit % axis[1].out;
    int64_t plane = call->in[0].count > 0 ? axis[0].in * axis[1].in * axis[2].in : 0;
    const T *in = (const T *)call->in[0].data + n * plan->in_batch_step;
    int64_t pixel = unit * axis[2].out;
    pool_span span[3] = {pool_span_of(&axis[0], z), pool_span_of(&axis[1], y), {0, 0, 0}};
    for (int64_t x = 0; x < axis[2].out; x++, pixel++) {
        span[2] = pool_span_of(&axis[2], x);
        T *out = (T *)call->out[0].data + pixel * call->out[0].pitch;
        for (int64_t c = 0; c < plan->channels; c++) {
            int64_t at;
            out[c] = NAME(pool_value)(call->params, plan, in + c, span, &at);
            if (call->out_count > 1) {
                int64_t *index = (int64_t *)call->out[1].data + pixel * call->out[1].pitch + c;
                *index = at < 0 ? 0 : (n * plan->channels + c) * plane + at;
            }
        }
    }
}

#undef T
#undef NAME
#undef LOWEST
#undef IS_FLOAT
#undef FABS
#undef POW
