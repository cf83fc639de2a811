/* depthwise_windows.cu for INT8, exact: bytes of four taps are turned so that each word has those of one channel, which
 * dot4 takes at once. With windows of 3x3 these are the lines of a column, and two rows of results share the words of
 * four lines where windows move by one; else they are taps as they follow each other.
 *
 * weights: as conv_s8_dw has them, column by column for 3x3 and else by taps: blocks of 64 channels [steps][256]. */
#include "conv/conv.h"
#include "conv/cuda_depthwise_s8.h"
#include "cuda_window_tile.h"

namespace ingot {

/* What the ends of V channels take, read early. */
template <int V> struct ends_s8 {
    uint32_t offset[V];
    float scale[V], bias[V];

    DEVICE ends_s8(const ingot_cuda_arg &biases, const ingot_cuda_arg &sums, const ingot_cuda_arg &scales,
                   int32_t input_zero, int channel) {
        const uint32_t *const of_sums = static_cast<const uint32_t *>(sums.data) + channel;
        const float *const of_scales = static_cast<const float *>(scales.data) + channel;
        const bool whole = biases.dtype == DTYPE_I32, real = biases.dtype == DTYPE_F32;
        const uint32_t *const of_biases = static_cast<const uint32_t *>(biases.data) + channel;
#pragma unroll
        for (int i = 0; i < V; i += 4) {
            const four<uint32_t> sum = load_constant(reinterpret_cast<const four<uint32_t> *>(of_sums + i));
            const four<float> each = load_constant(reinterpret_cast<const four<float> *>(of_scales + i));
            four<uint32_t> add = {};
            if (whole || real) add = load_constant(reinterpret_cast<const four<uint32_t> *>(of_biases + i));
#pragma unroll
            for (int j = 0; j < 4; j++) {
                offset[i + j] = sum.at[j] * (0u - (uint32_t)input_zero) + (whole ? add.at[j] : 0u);
                scale[i + j] = each.at[j];
                bias[i + j] = real ? float_of(add.at[j]) : 0.0f;
            }
        }
    }
};

template <int WIDTH, int STRIDE, int V, int ROWS, int PIXELS> struct depthwise_windows_s8 {
    static constexpr int threads = 128, blocks = V * WIDTH > 30 ? 2 : 4;
    static constexpr bool waits_itself = true; /* weights and what the ends take are constants */
    using call = ingot::call<7, ingot_conv_s8_params>;
    using tile = window_tile<WIDTH, STRIDE, V, ROWS, PIXELS>;
    using pixel = window_piece<V>;
    static constexpr bool columns = WIDTH == 3, pairs = columns && ROWS == 2 && STRIDE == 1;
    static constexpr int TAPS = WIDTH * WIDTH, STEPS = columns ? 3 : (TAPS + 3) / 4;
    enum { IMAGE, WEIGHTS, BIAS, OLD, SUMS, SCALE, RESULT };
    using words = pixel[tile::LINES][tile::COLUMNS];
    using sums = int32_t[ROWS][PIXELS][V];
    using steps = four<uint32_t>[STEPS][V / 4];

    /* The word of a line of the tile; behind the window any will do, since its weights are zeros. */
    static DEVICE uint32_t word(const words &read, int line, int column, int quarter) {
        return line < tile::LINES ? read[line][column].words[quarter] : 0u;
    }

    static DEVICE void add_columns(sums &sum, const words &read, const steps &w, int i) {
#pragma unroll
        for (int column = 0; column < tile::COLUMNS; column++) {
#pragma unroll
            for (int r = 0; r < (pairs ? 1 : ROWS); r++) {
                uint32_t taps[4];
#pragma unroll
                for (int l = 0; l < 4; l++) {
                    taps[l] = l < 3 || pairs ? word(read, r * STRIDE + l, column, i) : 0u;
                }
                transpose_bytes(taps);
#pragma unroll
                for (int p = 0; p < PIXELS; p++) {
                    const int k = column - p * STRIDE;
                    if (k < 0 || k >= 3) continue;
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        int32_t &first = sum[r][p][4 * i + j];
                        first = dot4(taps[j], w[k][i].at[j], first);
                        if constexpr (pairs) {
                            int32_t &second = sum[1][p][4 * i + j];
                            second = dot4(taps[j], w[k][i].at[j] << 8, second);
                        }
                    }
                }
            }
        }
    }

    static DEVICE void add_taps(sums &sum, const words &read, const steps &w, int i) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int p = 0; p < PIXELS; p++) {
#pragma unroll
                for (int step = 0; step < STEPS; step++) {
                    uint32_t taps[4];
#pragma unroll
                    for (int t = 0; t < 4; t++) {
                        const int k = step * 4 + t;
                        taps[t] = k < TAPS ? read[r * STRIDE + k / WIDTH][p * STRIDE + k % WIDTH].words[i] : 0u;
                    }
                    transpose_bytes(taps);
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        sum[r][p][4 * i + j] = dot4(taps[j], w[step][i].at[j], sum[r][p][4 * i + j]);
                    }
                }
            }
        }
    }

    static DEVICE void finish(const call &c, const int32_t (&sum)[V], const ends_s8<V> &ends, const end_s8 &end,
                              int64_t row, int channel) {
        const ingot_cuda_arg &old = c.arg[OLD], &y = c.arg[RESULT];
        float v[V];
#pragma unroll
        for (int j = 0; j < V; j++) {
            v[j] = end.scaled((int32_t)((uint32_t)sum[j] + ends.offset[j]), ends.scale[j], ends.bias[j]);
        }
        if (old.data != nullptr) {
            const int8_t *const from = static_cast<const int8_t *>(old.data) + row * old.pitch + channel;
#pragma unroll
            for (int j = 0; j < V; j++) v[j] = end.with_residual(v[j], from[j]);
        }
        if (y.dtype == DTYPE_F32) {
            float *const to = static_cast<float *>(y.data) + row * y.pitch + channel;
#pragma unroll
            for (int j = 0; j < V; j += 4) {
                const four<float> all = {end.real(v[j]), end.real(v[j + 1]), end.real(v[j + 2]), end.real(v[j + 3])};
                *reinterpret_cast<four<float> *>(to + j) = all;
            }
        } else {
            struct alignas(V) bytes {
                int8_t at[V];
            } all;
#pragma unroll
            for (int j = 0; j < V; j++) all.at[j] = end.stored(v[j]);
            *reinterpret_cast<bytes *>(static_cast<int8_t *>(y.data) + row * y.pitch + channel) = all;
        }
    }

    static DEVICE void work(const call &c, const tile &t) {
        const ingot_cuda_arg &x = c.arg[IMAGE];
        const int32_t zero = c.params.numbers.input_zero;
        const uint32_t zeros = (uint32_t)(zero & 255) * 0x01010101u;
        four<uint32_t> w[STEPS][V / 4];
#pragma unroll
        for (int i = 0; i < V / 4; i++) {
            const uint32_t *const from = dw_weights_s8(c.arg[WEIGHTS], t.channel + 4 * i);
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                w[k][i] = load_constant(reinterpret_cast<const four<uint32_t> *>(from + k * 64));
            }
        }
        const ends_s8<V> ends(c.arg[BIAS], c.arg[SUMS], c.arg[SCALE], zero, t.channel);
        const end_s8 end(c.params.numbers, c.params.conv.activation);

        await_kernels();
        pixel read[tile::LINES][tile::COLUMNS];
        t.load(read, static_cast<const int8_t *>(x.data), x.pitch);
#pragma unroll
        for (int line = 0; line < tile::LINES; line++) {
#pragma unroll
            for (int column = 0; column < tile::COLUMNS; column++) {
                read[line][column].keep(t.inside(line, column), zeros);
            }
        }

        int32_t sum[ROWS][PIXELS][V] = {};
#pragma unroll
        for (int i = 0; i < V / 4; i++) {
            if constexpr (columns) {
                add_columns(sum, read, w, i);
            } else {
                add_taps(sum, read, w, i);
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
#pragma unroll
            for (int p = 0; p < PIXELS; p++) {
                if (t.there(r, p)) finish(c, sum[r][p], ends, end, t.row(r, p), t.channel);
            }
        }
    }

    /* Byte by byte: operands that are not aligned, and images without pixels. */
    static DEVICE void plain(const call &c, const tile &t) {
        const ingot_cuda_arg &x = c.arg[IMAGE], &old = c.arg[OLD], &y = c.arg[RESULT];
        const int32_t zero = c.params.numbers.input_zero;
        const end_s8 end(c.params.numbers, c.params.conv.activation);
        await_kernels();
#pragma unroll 1
        for (int i = 0; i < ROWS * PIXELS * V; i++) {
            const int r = i / V / PIXELS, p = i / V % PIXELS, channel = t.channel + i % V;
            if (!t.there(r, p)) continue;
            const int8_t *const w = reinterpret_cast<const int8_t *>(dw_weights_s8(c.arg[WEIGHTS], channel));
            int32_t sum = 0;
#pragma unroll 1
            for (int k = 0; k < TAPS; k++) {
                const int line = r * STRIDE + k / WIDTH, column = p * STRIDE + k % WIDTH;
                int32_t value = zero;
                if (t.inside(line, column)) {
                    value = static_cast<const int8_t *>(x.data)[t.pixel(line, column) * x.pitch + channel];
                }
                sum += value * (columns ? w[k % 3 * 256 + k / 3] : w[k / 4 * 256 + k % 4]);
            }
            const column_s8 column(c.arg[BIAS], c.arg[SUMS], c.arg[SCALE], zero, 0, channel);
            const int64_t row = t.row(r, p);
            float v = end.scaled((int32_t)((uint32_t)sum + column.offset), column.scale, column.bias);
            if (old.data != nullptr) {
                v = end.with_residual(v, static_cast<const int8_t *>(old.data)[row * old.pitch + channel]);
            }
            if (y.dtype == DTYPE_F32) {
                static_cast<float *>(y.data)[row * y.pitch + channel] = end.real(v);
            } else {
                static_cast<int8_t *>(y.data)[row * y.pitch + channel] = end.stored(v);
            }
        }
    }

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &x = c.arg[IMAGE], &y = c.arg[RESULT];
        const int32_t *const pads = c.params.conv.pads_begin;
        const tile t(x, y, pads[1], pads[2]);
        if (!t.there(0, 0)) return await_kernels();
        const uint64_t ends = (uintptr_t)c.arg[BIAS].data | (uintptr_t)c.arg[SUMS].data | (uintptr_t)c.arg[SCALE].data |
                              (uintptr_t)c.arg[WEIGHTS].data;
        const bool stores = y.dtype == DTYPE_F32 ? are_pieces<float, 4>(y) : are_pieces<int8_t, V>(y);
        const bool there = t.height > 0 && t.width > 0;
        if (there && stores && are_pieces<int8_t, V>(x) && ends % 16 == 0) {
            work(c, t);
        } else {
            plain(c, t);
        }
    }
};

} // namespace ingot
