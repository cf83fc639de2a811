/* Depthwise convolution with square windows: a thread has V channels of ROWS by PIXELS neighbouring pixels. It asks for
 * everything that it reads before it uses any of it, from addresses that are valid even where a window hangs over the
 * border, so that no read waits for another one or for a branch: what small images take is the time of one read.
 *
 * weights: [taps][C], in float32 or in the half type that x or y is stored in. */
#include "conv/conv.h"
#include "cuda_epilogue.h"
#include "cuda_rows.h"
#include "cuda_window_tile.h"

namespace ingot {

/* V numbers that lie side by side, in words: two halves or one float each. */
template <class T, int V> DEVICE void numbers_of(float (&x)[V], const uint32_t (&words)[sizeof(T) * V / 4]) {
#pragma unroll
    for (int j = 0; j < V; j++) {
        if constexpr (sizeof(T) == 4) {
            x[j] = float_of(words[j]);
        } else {
            x[j] = to_float(T{(uint16_t)(words[j / 2] >> 16 * (j % 2))});
        }
    }
}

/* V constants from p on, which is aligned to all of them, up to 16 bytes. */
template <class T, int V> struct constants {
    static constexpr int BYTES = sizeof(T) * V < 16 ? sizeof(T) * V : 16, EACH = BYTES / (int)sizeof(T);
    some<T, EACH> part[V / EACH];

    DEVICE void load(const T *p) {
#pragma unroll
        for (int i = 0; i < V / EACH; i++) {
            part[i] = load_constant(reinterpret_cast<const some<T, EACH> *>(p + i * EACH));
        }
    }
    DEVICE float operator[](int j) const { return to_float(part[j / EACH].at[j % EACH]); }
};

/* X and Y: what x and y are stored in; W: weights. RESIDUAL: there is one, of float32 or half. */
template <class X, class Y, class W, int WIDTH, int STRIDE, int V, int ROWS, int PIXELS, int KIND, bool RESIDUAL>
struct depthwise_windows {
    static constexpr int threads = 128, blocks = 2;
    static constexpr bool waits_itself = true; /* weights and bias are constants */
    using call = ingot::call<5, ingot_conv_params>;
    using tile = window_tile<WIDTH, STRIDE, V, ROWS, PIXELS>;
    using pixel = window_piece<sizeof(X) * V>;
    enum { IMAGE, WEIGHTS, BIAS, OLD, RESULT };

    static DEVICE void finish(const call &c, float (&sum)[V], int64_t row, int channel, const activation<KIND> &act,
                              bool wide) {
        if constexpr (RESIDUAL) {
            const ingot_cuda_arg &old = c.arg[OLD];
#pragma unroll
            for (int j = 0; j < V; j++) sum[j] += load_real(old, row * old.pitch + channel + j);
        }
#pragma unroll
        for (int j = 0; j < V; j++) sum[j] = act(sum[j]);
        store_some<V>(static_cast<Y *>(c.arg[RESULT].data) + row * c.arg[RESULT].pitch + channel, sum, wide, V);
    }

    static DEVICE void work(const call &c, const tile &t) {
        const ingot_cuda_arg &x = c.arg[IMAGE], &y = c.arg[RESULT];
        constants<W, V> w[WIDTH * WIDTH];
        constants<float, V> bias = {};
        const W *const weights = static_cast<const W *>(c.arg[WEIGHTS].data) + t.channel;
#pragma unroll
        for (int k = 0; k < WIDTH * WIDTH; k++) w[k].load(weights + k * t.channels);
        if (c.arg[BIAS].data != nullptr) bias.load(static_cast<const float *>(c.arg[BIAS].data) + t.channel);

        await_kernels();
        pixel read[tile::LINES][tile::COLUMNS];
        t.load(read, static_cast<const X *>(x.data), x.pitch);

        float sum[ROWS][PIXELS][V];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int p = 0; p < PIXELS; p++) {
#pragma unroll
                for (int j = 0; j < V; j++) sum[r][p][j] = bias[j];
            }
        }
#pragma unroll
        for (int line = 0; line < tile::LINES; line++) {
#pragma unroll
            for (int column = 0; column < tile::COLUMNS; column++) {
                float v[V];
                read[line][column].keep(t.inside(line, column), 0);
                numbers_of<X, V>(v, read[line][column].words);
#pragma unroll
                for (int r = 0; r < ROWS; r++) {
#pragma unroll
                    for (int p = 0; p < PIXELS; p++) {
                        const int ky = line - r * STRIDE, kx = column - p * STRIDE;
                        if (ky < 0 || ky >= WIDTH || kx < 0 || kx >= WIDTH) continue;
#pragma unroll
                        for (int j = 0; j < V; j++) sum[r][p][j] += v[j] * w[ky * WIDTH + kx][j];
                    }
                }
            }
        }
        const activation<KIND> act(c.params.activation);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int p = 0; p < PIXELS; p++) {
                if (t.there(r, p)) finish(c, sum[r][p], t.row(r, p), t.channel, act, true);
            }
        }
    }

    /* Number by number: operands that are not aligned. */
    static DEVICE void plain(const call &c, const tile &t) {
        const ingot_cuda_arg &x = c.arg[IMAGE], &y = c.arg[RESULT];
        const activation<KIND> act(c.params.activation);
        await_kernels();
#pragma unroll 1
        for (int i = 0; i < ROWS * PIXELS; i++) {
            const int r = i / PIXELS, p = i % PIXELS;
            if (!t.there(r, p)) continue;
            float sum[V];
#pragma unroll
            for (int j = 0; j < V; j++) {
                sum[j] = c.arg[BIAS].data != nullptr ? static_cast<const float *>(c.arg[BIAS].data)[t.channel + j] : 0;
            }
#pragma unroll 1
            for (int k = 0; k < WIDTH * WIDTH; k++) {
                const int line = r * STRIDE + k / WIDTH, column = p * STRIDE + k % WIDTH;
                if (!t.inside(line, column)) continue;
                const X *const from = static_cast<const X *>(x.data) + t.pixel(line, column) * x.pitch + t.channel;
                const W *const w = static_cast<const W *>(c.arg[WEIGHTS].data) + k * t.channels + t.channel;
#pragma unroll
                for (int j = 0; j < V; j++) sum[j] += to_float(from[j]) * to_float(w[j]);
            }
            finish(c, sum, t.row(r, p), t.channel, act, false);
        }
    }

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &x = c.arg[IMAGE], &w = c.arg[WEIGHTS], &bias = c.arg[BIAS], &y = c.arg[RESULT];
        const tile t(x, y, c.params.pads_begin[1], c.params.pads_begin[2]);
        if (!t.there(0, 0)) return await_kernels();
        const uint64_t ends = (uintptr_t)w.data | (uintptr_t)bias.data;
        const bool wide = are_pieces<X, V>(x) && are_pieces<Y, V>(y) && ends % (sizeof(float) * V) == 0;
        if (wide) {
            work(c, t);
        } else {
            plain(c, t);
        }
    }
};

} // namespace ingot
