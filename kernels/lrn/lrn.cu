/* lrn: a thread a channel of a pixel, which sums the squares around it itself: its neighbours have them in the cache.
 */
#include "cuda_rows.h"
#include "lrn/lrn.h"
#include "vmath.h"

namespace ingot {

DEVICE float root_of(float x) { return __builtin_sqrtf(x); }
DEVICE double root_of(double x) { return __builtin_sqrt(x); }
DEVICE float power_of(float x, float y) { return ingot_pow_f32(x, y); }
DEVICE double power_of(double x, double y) { return pow_f64(x, y); }

template <class T> struct lrn {
    static constexpr int threads = 256;
    static constexpr int blocks = 1;
    using call = ingot::call<2, ingot_lrn_params>;

    static DEVICE void run(const call &c) {
        const lines l = lines_of(c.arg[0], c.arg[0].rank - 1);
        const int64_t below = (c.params.size - 1) / 2, above = c.params.size / 2;
        const T scale = (T)(c.params.alpha / (double)c.params.size), bias = (T)c.params.bias, beta = (T)c.params.beta;
        const int all = l.outer * l.n;
        for (int i = (int)(blockIdx.x * threads + threadIdx.x); i < all; i += (int)gridDim.x * threads) {
            const int channel = i % l.n;
            const T *pixel = static_cast<const T *>(c.arg[0].data) + (i - channel);
            const int first = channel > below ? channel - (int)below : 0;
            const int last = l.n - 1 - channel > above ? channel + (int)above : l.n - 1;
            T sum = 0;
            for (int k = first; k <= last; k++) sum += pixel[k] * pixel[k];
            const T base = bias + scale * sum, root = root_of(base);
            const T by = c.params.beta == 0.75 ? root * root_of(root) : power_of(base, beta);
            static_cast<T *>(c.arg[1].data)[i] = pixel[channel] / by;
        }
    }
};

} // namespace ingot
