/* The loops of one element type: included with T, NAME(x), SQRT(x) and POW(x, y). Channels lie side by side. */

static void NAME(lrn_pixel)(const ingot_lrn_params *p, T *restrict y, const T *restrict x, int64_t channels,
                            T *restrict square, T *restrict sum) {
    int64_t below = (p->size - 1) / 2, above = p->size / 2;
    int64_t first = below < channels - 1 ? -below : 1 - channels, last = above < channels - 1 ? above : channels - 1;
    for (int64_t c = 0; c < channels; c++) {
        square[c] = x[c] * x[c];
        sum[c] = 0;
    }
    for (int64_t shift = first; shift <= last; shift++) {
        int64_t begin = shift < 0 ? -shift : 0, end = shift > 0 ? channels - shift : channels;
        for (int64_t c = begin; c < end; c++) sum[c] += square[c + shift];
    }
    T scale = (T)(p->alpha / (double)p->size), bias = (T)p->bias, beta = (T)p->beta;
    if (p->beta == 0.75) {
        for (int64_t c = 0; c < channels; c++) {
            T root = SQRT(bias + scale * sum[c]);
            y[c] = x[c] / (root * SQRT(root));
        }
    } else {
        for (int64_t c = 0; c < channels; c++) y[c] = x[c] / POW(bias + scale * sum[c], beta);
    }
}

INGOT_KERNEL_FN(KERNEL) {
    const ingot_arg *in = &call->in[0];
    int64_t channels = in->dims[in->rank - 1], pixels = channels > 0 ? in->count / channels : 0;
    T *square = scratch;
    for (uint32_t unit = begin; unit < end; unit++) {
        int64_t pixel = (int64_t)unit * LRN_PIXELS;
        int64_t stop = pixels - pixel < LRN_PIXELS ? pixels : pixel + LRN_PIXELS;
        for (; pixel < stop; pixel++) {
            NAME(lrn_pixel)
            (call->params, (T *)call->out[0].data + pixel * channels, (const T *)in->data + pixel * channels, channels,
             square, square + channels);
        }
    }
    return INGOT_KERNEL_OK;
}

#undef T
#undef NAME
#undef SQRT
#undef POW
#undef KERNEL
