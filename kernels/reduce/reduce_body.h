/* The loops of one element type. Included with
 *   T                the element type
 *   U                the type sums and products are formed in (unsigned for integers, so that they wrap)
 *   NAME(x)          x with the type's suffix
 *   LOWEST, HIGHEST  the identities of max and min
 *   LANES            accumulators held in registers
 *   FEW_LANES        accumulators for the last columns, fewer; 1 when they are folded one by one
 *   IS_FLOAT         1: EXP(x), LOG(x) and SQRT(x) exist; ONLY_ORDER 1: nothing but max and min
 *
 * Columns are folded side by side in blocks of rows; a run is taken for rows of LANES columns, which are then
 * joined by halves. The order depends on the shape alone and no step fuses: the bits are the same for every split and,
 * exponentials aside, on every instruction set. */

/* Folds `lanes` columns side by side into total while there are so many. */
#define FOLD_COLUMNS(lanes, step, join)                                                                                \
    for (; column + (lanes) <= n; column += (lanes)) {                                                                 \
        T part[lanes];                                                                                                 \
        for (int j = 0; j < (lanes); j++) part[j] = init;                                                              \
        for (int64_t row = 0; row < some; row++) {                                                                     \
            for (int j = 0; j < (lanes); j++) {                                                                        \
                T a = part[j], x = p[row * row_step + column + j];                                                     \
                SHIFT(column + j)                                                                                      \
                part[j] = (step);                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (int j = 0; j < (lanes); j++) {                                                                            \
            T a = total[column + j], x = part[j];                                                                      \
            total[column + j] = (join);                                                                                \
        }                                                                                                              \
    }

/* Folds each of n columns into total. `step` folds element x into accumulator a, `join` accumulator x into a; `shift`
 * is what sum_exp subtracts. */
#define FOLD(fold, step, join)                                                                                         \
    static void NAME(fold)(T *restrict total, const T *restrict p, int64_t rows, int64_t row_step, int64_t n,          \
                           const T *restrict shifts, T init) {                                                         \
        (void)shifts;                                                                                                  \
        for (; rows > 0; rows -= REDUCE_ROWS, p += REDUCE_ROWS * row_step) {                                           \
            int64_t some = rows < REDUCE_ROWS ? rows : REDUCE_ROWS, column = 0;                                        \
            FOLD_COLUMNS(LANES, step, join)                                                                            \
            if (FEW_LANES > 1) FOLD_COLUMNS(FEW_LANES, step, join)                                                     \
            FOLD_COLUMNS(1, step, join)                                                                                \
        }                                                                                                              \
    }

#define IS_BOOL(call) ((call)->in[0].dtype == INGOT_BOOL)
#define PLUS(a, b) (T)((U)(a) + (U)(b))
#define TIMES(a, b) (T)((U)(a) * (U)(b))
#define SHIFT(j)

/* A NaN wins, as in NumPy. */
FOLD(max, x > a || x != x ? x : a, x > a || x != x ? x : a)
FOLD(min, x < a || x != x ? x : a, x < a || x != x ? x : a)
#if !ONLY_ORDER
FOLD(sum, PLUS(a, x), PLUS(a, x))
FOLD(sum_abs, PLUS(a, x < 0 ? (T)((U)0 - (U)x) : x), PLUS(a, x))
FOLD(sum_square, PLUS(a, TIMES(x, x)), PLUS(a, x))
FOLD(product, TIMES(a, x), TIMES(a, x))
#endif
#if IS_FLOAT
#undef SHIFT
#define SHIFT(j) T shift = shifts[j];
FOLD(sum_exp, a + EXP(x - shift), a + x)
#endif

typedef struct NAME(folding) {
    void (*fold)(T *restrict, const T *restrict, int64_t, int64_t, int64_t, const T *restrict, T);
    void (*join)(T *restrict, const T *restrict, int64_t, int64_t, int64_t, const T *restrict, T);
    T init;
} NAME(folding);

static NAME(folding) NAME(folding_of)(uint32_t kind) {
    switch (kind) {
    case INGOT_REDUCE_MIN: return (NAME(folding)){NAME(min), NAME(min), HIGHEST};
#if !ONLY_ORDER
    case INGOT_REDUCE_PROD: return (NAME(folding)){NAME(product), NAME(product), 1};
    case INGOT_REDUCE_L1: return (NAME(folding)){NAME(sum_abs), NAME(sum), 0};
    case INGOT_REDUCE_L2:
    case INGOT_REDUCE_SUM_SQUARE: return (NAME(folding)){NAME(sum_square), NAME(sum), 0};
#if IS_FLOAT
    case INGOT_REDUCE_LOG_SUM_EXP: return (NAME(folding)){NAME(sum_exp), NAME(sum), 0};
#endif
    case INGOT_REDUCE_SUM:
    case INGOT_REDUCE_MEAN:
    case INGOT_REDUCE_LOG_SUM: return (NAME(folding)){NAME(sum), NAME(sum), 0};
#endif
    default: return (NAME(folding)){NAME(max), NAME(max), LOWEST};
    }
}

/* Folds n elements side by side into *total. */
static void NAME(fold_run)(NAME(folding) how, const T *p, int64_t n, T *total, T shift) {
    if (n < 2 * LANES) {
        how.fold(total, p, n, 1, 1, &shift, how.init);
        return;
    }
    T lane[LANES], shifts[LANES];
    for (int j = 0; j < LANES; j++) {
        lane[j] = how.init;
        shifts[j] = shift;
    }
    int64_t rows = n / LANES, rest = n % LANES;
    how.fold(lane, p, rows, LANES, LANES, shifts, how.init);
    how.fold(lane, p + rows * LANES, 1, 1, rest, shifts, how.init);
    for (int64_t width = LANES / 2; width > 0; width /= 2) {
        how.join(lane, lane + width, 1, 1, width, shifts, how.init);
    }
    how.join(total, lane, 1, 1, 1, shifts, how.init);
}

/* Folds all blocks that begin at p, columns [0, n), into total. */
static void NAME(fold_blocks)(const reduce_plan *plan, NAME(folding) how, const T *p, int64_t n, T *total,
                              const T *shifts) {
    for (int64_t j = 0; j < n; j++) {
        total[j] = how.init;
    }
    for (int64_t block = 0; block < plan->blocks; block++) {
        const T *q = p + reduce_offset(plan->reduced, plan->reduced_count, block);
        if (plan->in_runs) {
            NAME(fold_run)(how, q, plan->rows, total, shifts[0]);
        } else {
            how.fold(total, q, plan->rows, plan->row_step, n, shifts, how.init);
        }
    }
}

static void NAME(finish)(uint32_t kind, int64_t count, T *x, int64_t n) {
    (void)x, (void)n, (void)count;
    switch (kind) {
#if IS_FLOAT
    case INGOT_REDUCE_MEAN:
        for (int64_t j = 0; j < n; j++) x[j] = x[j] / (T)count;
        break;
    case INGOT_REDUCE_L2:
        for (int64_t j = 0; j < n; j++) x[j] = SQRT(x[j]);
        break;
    case INGOT_REDUCE_LOG_SUM:
        for (int64_t j = 0; j < n; j++) x[j] = LOG(x[j]);
        break;
#elif !ONLY_ORDER
    case INGOT_REDUCE_MEAN:
        for (int64_t j = 0; j < n; j++) x[j] = count > 0 ? (T)((int64_t)x[j] / count) : 0;
        break;
    case INGOT_REDUCE_L2:
        for (int64_t j = 0; j < n; j++) x[j] = (T)__builtin_sqrt((double)x[j]);
        break;
#endif
    default: break;
    }
}

static void NAME(reduce_unit)(const ingot_call *call, const reduce_plan *plan, int64_t unit) {
    static const T zeros[REDUCE_COLUMNS] = {0};
    const ingot_reduce_params *params = call->params;
    NAME(folding) how = NAME(folding_of)(params->kind);
    if (IS_BOOL(call) && params->kind == INGOT_REDUCE_MIN) {
        how.init = 1;
    }
    int64_t first = unit % plan->units_across * REDUCE_COLUMNS;
    int64_t n = plan->columns - first < REDUCE_COLUMNS ? plan->columns - first : REDUCE_COLUMNS;
    int64_t outer = unit / plan->units_across * plan->grain;
    int64_t end = plan->outer - outer < plan->grain ? plan->outer : outer + plan->grain;
    for (; outer < end; outer++) {
        const T *p = (const T *)call->in[0].data + reduce_offset(plan->kept, plan->kept_count, outer) + first;
        T *out = (T *)call->out[0].data + outer * plan->columns + first;
#if IS_FLOAT
        if (params->kind == INGOT_REDUCE_LOG_SUM_EXP) {
            T shift[REDUCE_COLUMNS] = {0};
            NAME(fold_blocks)(plan, NAME(folding_of)(INGOT_REDUCE_MAX), p, n, shift, zeros);
            for (int64_t j = 0; j < n; j++) {
                shift[j] = shift[j] - shift[j] == 0 ? shift[j] : 0; /* an infinite one would give inf - inf */
            }
            NAME(fold_blocks)(plan, how, p, n, out, shift);
            for (int64_t j = 0; j < n; j++) {
                out[j] = LOG(out[j]) + shift[j];
            }
            continue;
        }
#endif
        NAME(fold_blocks)(plan, how, p, n, out, zeros);
        NAME(finish)(params->kind, plan->reduced_extent, out, n);
    }
}

#undef FOLD
#undef FOLD_COLUMNS
#undef SHIFT
#undef IS_BOOL
#undef PLUS
#undef TIMES
#undef T
#undef U
#undef NAME
#undef LOWEST
#undef HIGHEST
#undef IS_FLOAT
#undef ONLY_ORDER
#undef LANES
#undef FEW_LANES
#undef EXP
#undef LOG
#undef SQRT
