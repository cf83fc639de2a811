/* The largest element of a row, and the sum of its exponentials. Included with T, NAME(x), EXP(x) for x <= 0, LOWEST.
 *
 * Input and output may be the same bytes, so what is written goes through a local array: the compiler then need not
 * ask whether they overlap. Sums are made in 32 accumulators, joined by halves. */

enum { NAME(lanes) = 32 };

static inline T NAME(join_sum)(T lane[NAME(lanes)]) {
    for (int width = NAME(lanes) / 2; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) lane[j] += lane[j + width];
    }
    return lane[0];
}

static inline T NAME(largest)(const T *x, int64_t n) {
    T lane[NAME(lanes)], m = LOWEST;
    int64_t i = 0;
    if (n >= NAME(lanes)) {
        for (int j = 0; j < NAME(lanes); j++) lane[j] = x[j];
        for (i = NAME(lanes); i + NAME(lanes) <= n; i += NAME(lanes)) {
            for (int j = 0; j < NAME(lanes); j++) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
        }
        for (int j = 0; j < NAME(lanes); j++) m = lane[j] > m ? lane[j] : m;
    }
    for (; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

/* y = e^(x - m), and its sum; y may be NULL. */
static inline T NAME(exp_row)(T *y, const T *x, int64_t n, T m) {
    T lane[NAME(lanes)] = {0}, e[NAME(lanes)];
    int64_t i = 0;
    for (; i + NAME(lanes) <= n; i += NAME(lanes)) {
        for (int j = 0; j < NAME(lanes); j++) e[j] = EXP(x[i + j] - m);
        for (int j = 0; j < NAME(lanes); j++) lane[j] += e[j];
        if (y != NULL) memcpy(y + i, e, sizeof e);
    }
    if (i < n) {
        int rest = (int)(n - i);
        for (int j = 0; j < NAME(lanes); j++) e[j] = j < rest ? x[i + (j < rest ? j : 0)] - m : LOWEST;
        for (int j = 0; j < NAME(lanes); j++) e[j] = EXP(e[j]);
        for (int j = 0; j < NAME(lanes); j++) lane[j] += e[j];
        if (y != NULL) memcpy(y + i, e, (size_t)rest * sizeof *e);
    }
    return NAME(join_sum)(lane);
}
