/* Convolution of an image as it comes: channels first, up to four of them, in float32 that is quantised or rounded on
 * its way, or in what is multiplied.
 *
 * A block makes 16 pixels of some neighbouring lines. What their windows cover lies in shared memory as pixels of four
 * channels, absent ones zero, so that four taps side by side are a fragment of the left operand: lane 4 g + t reads tap
 * t of pixels g and g + 8. Nothing else has to be arranged, and a pixel is quantised about once.
 *
 * weights: [O / 32][steps][1024 bytes], the fragments of the right operand. A step is 32 bytes of the depth: eight taps
 * of int8, four of half. Lines of the window are padded to four taps. */
#include "cuda_gemm_finish.h"
#include "image_conv/image_conv.h"

namespace ingot {

/* Warps have DOWN lines of 16 pixels, and 32 columns. */
template <int DOWN, int WARPS_M, int WARPS_N> struct image_tile {
    static constexpr int down = DOWN, warps_m = WARPS_M, warps_n = WARPS_N, threads = 32 * WARPS_M * WARPS_N;
    static constexpr int width = 16, height = DOWN * WARPS_M, rows = width * height, across = 4;
    static constexpr int columns = INGOT_IMAGE_COLUMNS * WARPS_N, sum_pitch = columns + 8;
    static constexpr int warps_k = 1, sum_count = rows * sum_pitch; /* nobody shares the depth */
};

/* Which pixels of the result a block makes. */
template <class Tile> struct image_place {
    int image, y, x, height, width;
    bool exists;

    DEVICE explicit image_place(const ingot_cuda_arg &out) {
        height = out.dims[1];
        width = out.dims[2];
        const int across = (width + Tile::width - 1) / Tile::width, down = (height + Tile::height - 1) / Tile::height;
        const int block = (int)blockIdx.x, lines = across > 0 ? block / across : 0;
        exists = across > 0 && down > 0 && lines / down < out.dims[0];
        image = exists ? lines / down : 0;
        y = exists ? lines % down * Tile::height : 0;
        x = exists ? block % across * Tile::width : 0;
    }
    DEVICE bool has(int row) const { return y + row / Tile::width < height && x + row % Tile::width < width; }
    DEVICE int64_t at(int row) const {
        return ((int64_t)image * height + y + row / Tile::width) * width + x + row % Tile::width;
    }
};

/* A number of the image as it is multiplied. */
template <class T> struct narrowed {
    uint32_t outside; /* what four channels of a pixel outside of the image are */
    DEVICE explicit narrowed(const ingot_image_conv_params &) : outside(0) {}
    template <class X> DEVICE uint32_t operator()(X x) const {
        if constexpr (sizeof(X) == sizeof(T)) {
            return x.bits;
        } else {
            return from_float<T>(to_float(x)).bits;
        }
    }
};
/* The bits of INGOT_EW_QUANTIZE_LINEAR. */
DEVICE_CALL uint32_t quantize_linear(float x, float scale, float lo, float hi, int32_t zero) {
    return (uint8_t)(nearest_s32(min_or_nan(max_or_nan(div_f32(x, scale), lo), hi)) + zero);
}

template <> struct narrowed<int8_t> {
    uint32_t outside;
    float scale, inverse, lo, hi;
    int32_t zero;

    DEVICE explicit narrowed(const ingot_image_conv_params &p) : scale(p.scale), zero(p.numbers.input_zero) {
        outside = (uint8_t)zero * 0x01010101u;
        lo = (float)(-128 - zero);
        hi = (float)(127 - zero);
        inverse = scale > 1e-30f && scale < 1e30f ? div_f32(1.0f, scale) : __builtin_nanf("");
    }
    DEVICE uint32_t operator()(int8_t x) const { return (uint8_t)x; }
    /* The same bits. Up to 256, and all that is more is clamped, a product by the inverse is less than 2^-14 from the
     * quotient, so that both are rounded to one whole number unless they are that near to the middle of two. */
    DEVICE uint32_t operator()(float x) const {
        const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers, the low bits then */
        const float near = min_or_nan(max_or_nan(x * inverse, lo), hi), sum = near + magic, off = near - (sum - magic);
        if (!(off > -0.4999f && off < 0.4999f)) return quantize_linear(x, scale, lo, hi, zero);
        return (uint8_t)(bits_of(sum) + (uint32_t)zero);
    }
};

/* Four channels. */
template <class T> struct alignas(4 * sizeof(T)) image_pixel { uint32_t at[sizeof(T)]; };

/* The pixels of the image that the windows of a block cover, those outside of it too. */
template <class T, class X, class Tile> struct image_patch {
    static constexpr int AT_ONCE = 4, CHANNELS = INGOT_IMAGE_CHANNELS;

    image_pixel<T> *pixels;
    int width, height, quads; /* quads: of taps in a line */

    DEVICE image_patch(const ingot_conv_params &p, uint8_t *shared) {
        pixels = reinterpret_cast<image_pixel<T> *>(shared);
        quads = (p.kernel[2] + INGOT_IMAGE_TAPS - 1) / INGOT_IMAGE_TAPS;
        width = (Tile::width - 1) * p.strides[2] + quads * INGOT_IMAGE_TAPS;
        height = (Tile::height - 1) * p.strides[1] + p.kernel[1];
    }

    DEVICE void fill(const ingot_cuda_arg &x, const ingot_image_conv_params &params, const image_place<Tile> &place) {
        const ingot_conv_params &p = params.conv;
        const narrowed<T> narrow(params);
        const int channels = x.dims[1], lines = x.dims[2], length = x.dims[3], count = width * height;
        const int64_t plane = (int64_t)lines * length;
        const X *const data = static_cast<const X *>(x.data) + place.image * channels * plane;
        const int top = place.y * p.strides[1] - p.pads_begin[1], left = place.x * p.strides[2] - p.pads_begin[2];
#pragma unroll 1
        for (int first = (int)threadIdx.x; first < count; first += AT_ONCE * Tile::threads) {
            X read[AT_ONCE][CHANNELS];
            bool inside[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                const int at = first + i * Tile::threads, line = at / width;
                const int down = top + line, across = left + at - line * width;
                inside[i] = at < count && (uint32_t)down < (uint32_t)lines && (uint32_t)across < (uint32_t)length;
                const X *const from = data + (inside[i] ? (int64_t)down * length + across : 0);
#pragma unroll
                for (int c = 0; c < CHANNELS; c++) {
                    read[i][c] = X();
                    if (inside[i] && c < channels) read[i][c] = load_input(from + c * plane);
                }
            }
#pragma unroll
            for (int i = 0; i < AT_ONCE; i++) {
                image_pixel<T> pixel;
#pragma unroll
                for (int k = 0; k < (int)sizeof(T); k++) pixel.at[k] = inside[i] ? 0 : narrow.outside;
#pragma unroll
                for (int c = 0; c < CHANNELS; c++) {
                    if (inside[i] && c < channels)
                        pixel.at[c * sizeof(T) / 4] |= narrow(read[i][c]) << (c * sizeof(T) % 4 * 8);
                }
                if (first + i * Tile::threads < count) pixels[first + i * Tile::threads] = pixel;
            }
        }
    }
};

/* Goes through quads of taps: lines of a window from left to right. */
struct image_quads {
    int offset, quad; /* pixels from the first of a window; which of its line */

    DEVICE image_quads() : offset(0), quad(0) {}
    DEVICE void next(int width, int quads) {
        const bool ends = quad + 1 == quads;
        offset += ends ? width - quad * INGOT_IMAGE_TAPS : INGOT_IMAGE_TAPS;
        quad = ends ? 0 : quad + 1;
    }
};

template <class T> DEVICE void multiply_image(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply<T>(d, a, b);
}
template <class T> DEVICE void multiply_image(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    multiply_s8(d, a, b);
}

struct alignas(16) four_registers {
    uint32_t at[4];
};

constexpr int STEP_BYTES = 1024;

/* Starts the copy of a block's weights to the begin of the shared memory. */
template <class Tile> DEVICE void copy_weights(const ingot_cuda_arg &w, int column, uint8_t *shared) {
    const int bytes = w.dims[1] * STEP_BYTES, group = column / INGOT_IMAGE_COLUMNS, groups = w.dims[0];
    const uint8_t *const packed = static_cast<const uint8_t *>(w.data);
    for (int at = (int)threadIdx.x * 16; at < Tile::warps_n * bytes; at += Tile::threads * 16) {
        const bool there = at / bytes + group < groups;
        copy_async<16>(shared + at, packed + (there ? (int64_t)group * bytes + at : 0), there ? 16 : 0);
    }
    copy_commit();
}

/* Makes the sums of a block, whose weights are on their way, and leaves them at the begin of the shared memory. */
template <class T, class X, class Sum, class Tile, class Finish>
DEVICE void image_sums(const ingot_cuda_arg &x, const ingot_image_conv_params &params, const image_place<Tile> &place,
                       int steps, uint8_t *shared, Finish &finish) {
    constexpr int QUADS = sizeof(T) == 1 ? 2 : 1; /* of a step */
    const ingot_conv_params &p = params.conv;
    image_patch<T, X, Tile> patch(p, shared + Tile::warps_n * steps * STEP_BYTES);
    patch.fill(x, params, place);
    finish.begin();
    copy_wait<0>();
    sync_block();

    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int m = warp / Tile::warps_n, n = warp % Tile::warps_n;
    const uint8_t *const fragments = shared + n * steps * STEP_BYTES + lane * 16;
    const image_pixel<T> *const first =
        patch.pixels + m * Tile::down * p.strides[1] * patch.width + g * p.strides[2] + t;
    const int below = p.strides[1] * patch.width, right = 8 * p.strides[2];
    const int all = p.kernel[1] * patch.quads;
    Sum sums[Tile::down][Tile::across][4];
#pragma unroll
    for (int i = 0; i < Tile::down; i++) {
#pragma unroll
        for (int j = 0; j < Tile::across; j++) {
#pragma unroll
            for (int k = 0; k < 4; k++) sums[i][j][k] = 0;
        }
    }
    image_quads at;
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
        uint32_t a[Tile::down][4], b[Tile::across][2];
#pragma unroll
        for (int j = 0; j < Tile::across; j += 2) {
            const four_registers both =
                *reinterpret_cast<const four_registers *>(fragments + step * STEP_BYTES + j / 2 * 512);
            b[j][0] = both.at[0];
            b[j][1] = both.at[1];
            b[j + 1][0] = both.at[2];
            b[j + 1][1] = both.at[3];
        }
        if constexpr (sizeof(T) == 1) {
#pragma unroll
            for (int q = 0; q < QUADS; q++) {
                const image_pixel<T> *const from = first + at.offset;
#pragma unroll
                for (int i = 0; i < Tile::down; i++) {
                    a[i][2 * q] = from[i * below].at[0];
                    a[i][2 * q + 1] = from[i * below + right].at[0];
                }
                /* Where a step is half full its last quad is taken again, by weights of zero. */
                if (QUADS * step + q + 1 < all) at.next(patch.width, patch.quads);
            }
        } else {
            const image_pixel<T> *const from = first + at.offset;
            const bool there = at.quad * INGOT_IMAGE_TAPS + t < p.kernel[2]; /* zero times infinity is not zero */
#pragma unroll
            for (int i = 0; i < Tile::down; i++) {
                const image_pixel<T> one = from[i * below], other = from[i * below + right];
                a[i][0] = there ? one.at[0] : 0u;
                a[i][1] = there ? other.at[0] : 0u;
                a[i][2] = there ? one.at[sizeof(T) - 1] : 0u;
                a[i][3] = there ? other.at[sizeof(T) - 1] : 0u;
            }
            at.next(patch.width, patch.quads);
        }
#pragma unroll
        for (int i = 0; i < Tile::down; i++) {
#pragma unroll
            for (int j = 0; j < Tile::across; j++) multiply_image<T>(sums[i][j], a[i], b[j]);
        }
    }
    sync_block(); /* before sums take the place of what they were made of */
    Sum *const to =
        reinterpret_cast<Sum *>(shared) + (m * Tile::down * 16 + g) * Tile::sum_pitch + n * INGOT_IMAGE_COLUMNS + 2 * t;
    struct alignas(2 * sizeof(Sum)) pair {
        Sum low, high;
    };
#pragma unroll
    for (int i = 0; i < Tile::down; i++) {
#pragma unroll
        for (int j = 0; j < Tile::across; j++) {
            Sum *const here = to + i * 16 * Tile::sum_pitch + j * 8;
            *reinterpret_cast<pair *>(here) = {sums[i][j][0], sums[i][j][1]};
            *reinterpret_cast<pair *>(here + 8 * Tile::sum_pitch) = {sums[i][j][2], sums[i][j][3]};
        }
    } /* others see them behind the barrier of the finish */
}

/* Operands: x, weights, bias, result in half or float32. */
template <class T, class X, int KIND, class Tile> struct conv_image {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<4, ingot_image_conv_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[3], none = {};
        const image_place<Tile> place(out);
        const int column = (int)blockIdx.y * Tile::columns;
        if (!place.exists || column >= out.dims[3]) return await_kernels();
        copy_weights<Tile>(c.arg[1], column, shared);
        await_kernels();
        finish_real<KIND, T, Tile, image_place<Tile>> finish(c.arg[2], none, out, column, place);
        image_sums<T, X, float, Tile>(c.arg[0], c.params, place, c.arg[1].dims[1], shared, finish);
        finish(reinterpret_cast<const float *>(shared), c.params.conv.activation, 1.0f);
    }
};

/* Operands: x, weights, bias, sums of weights, scale, result; exact integers. */
template <class X, class Tile> struct conv_image_s8 {
    static constexpr int threads = Tile::threads;
    static constexpr int blocks = 1;
    static constexpr bool waits_itself = true;
    using call = ingot::call<6, ingot_image_conv_params>;

    static DEVICE void run(const call &c) {
        INGOT_DYNAMIC_SHARED(shared);
        const ingot_cuda_arg &out = c.arg[5], none = {};
        const image_place<Tile> place(out);
        const int column = (int)blockIdx.y * Tile::columns;
        if (!place.exists || column >= out.dims[3]) return await_kernels();
        copy_weights<Tile>(c.arg[1], column, shared);
        finish_s8<Tile, image_place<Tile>> finish(c.arg[2], none, c.arg[3], c.arg[4], out, c.params.numbers,
                                                  c.params.conv.activation, column, place);
        await_kernels();
        image_sums<int8_t, X, int32_t, Tile>(c.arg[0], c.params, place, c.arg[1].dims[1], shared, finish);
        finish(reinterpret_cast<const int32_t *>(shared));
    }
};

} // namespace ingot
