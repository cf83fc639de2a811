/* The loops of one element type: included with T, NAME(x) and MANY.
 *
 * First the extreme value, in four accumulators, then the place where it stands: no chain of selects from element to
 * element. A NaN is larger and smaller than anything, as in NumPy. */

#define EXTREME(name, better)                                                                                          \
    static T NAME(name)(const T *x, int64_t n, int64_t step) {                                                         \
        T m[4] = {x[0], x[0], x[0], x[0]};                                                                             \
        int64_t i = 0;                                                                                                 \
        for (; i + 4 <= n; i += 4) {                                                                                   \
            for (int k = 0; k < 4; k++) m[k] = x[(i + k) * step] better m[k] ? x[(i + k) * step] : m[k];               \
        }                                                                                                              \
        for (; i < n; i++) m[0] = x[i * step] better m[0] ? x[i * step] : m[0];                                        \
        for (int k = 1; k < 4; k++) m[0] = m[k] better m[0] ? m[k] : m[0];                                             \
        return m[0];                                                                                                   \
    }

EXTREME(largest, >)
EXTREME(smallest, <)

static int64_t NAME(place)(const T *x, int64_t n, int64_t step, int smallest, int last) {
    T m = smallest ? NAME(smallest)(x, n, step) : NAME(largest)(x, n, step);
    int unordered = 0;
    for (int64_t i = 0; i < n; i++) unordered |= x[i * step] != x[i * step];
    if (last) {
        for (int64_t i = n - 1; i >= 0; i--) {
            if (unordered ? x[i * step] != x[i * step] : x[i * step] == m) return i;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        if (unordered ? x[i * step] != x[i * step] : x[i * step] == m) return i;
    }
    return 0;
}

static void NAME(arg_reduce_unit)(const ingot_call *call, const arg_reduce_shape *shape, int64_t unit) {
    const ingot_arg_reduce_params *p = call->params;
    int64_t at = unit * shape->grain;
    int64_t end = shape->outer * shape->inner - at < shape->grain ? shape->outer * shape->inner : at + shape->grain;
    while (at < end) {
        at = MANY(call, shape, at, end); /* how far a faster loop came */
        if (at == end) {
            break;
        }
        const T *x = (const T *)call->in[0].data + at / shape->inner * shape->inner * shape->n + at % shape->inner;
        ((int64_t *)call->out[0].data)[at] = NAME(place)(x, shape->n, shape->inner, p->smallest, p->last);
        at++;
    }
}

#undef EXTREME
#undef T
#undef NAME
