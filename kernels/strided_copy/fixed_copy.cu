/* strided_copy for one shape, whose numbers are constants: what a small copy takes is the time to find out where its
 * elements lie. Only pitches are looked up, so that operands may be rows of wider tensors.
 *
 * The rows of the result, all axes but the last, are numbered through; LOOPS take such a number apart, innermost loop
 * first, and say where it lies in the input: extent, and rows and elements there from one step to the next. */
#include "strided_copy/movement_cuda.h"
#include "strided_copy/strided_copy.h"

namespace ingot {

template <int... LOOPS> struct fixed_loops {
    static DEVICE int64_t offset(uint32_t, int64_t) { return 0; }
};
template <int EXTENT, int ROWS, int COLUMNS, int... REST> struct fixed_loops<EXTENT, ROWS, COLUMNS, REST...> {
    static DEVICE int64_t offset(uint32_t row, int64_t pitch) {
        const uint32_t rest = sizeof...(REST) > 0 ? row / EXTENT : 0, step = row - rest * EXTENT;
        return (int64_t)step * (ROWS * pitch + COLUMNS) + fixed_loops<REST...>::offset(rest, pitch);
    }
};

template <int BYTES> struct unit_of { using type = bytes16; };
template <> struct unit_of<1> { using type = uint8_t; };
template <> struct unit_of<2> { using type = uint16_t; };
template <> struct unit_of<4> { using type = uint32_t; };
template <> struct unit_of<8> { using type = uint64_t; };

/* Whether addresses and pitches are multiples of a unit. */
template <int BYTES> DEVICE bool are_units(const ingot_cuda_arg &in, const ingot_cuda_arg &out, int size) {
    const uint64_t pitches = (uint64_t)in.pitch | (uint64_t)out.pitch;
    return ((address(in) | address(out) | pitches * (uint64_t)size) & (BYTES - 1)) == 0;
}

/* Elements of SIZE bytes, a row of the result COUNT of them, which in the input are STEP_ROWS rows and STEP_COLUMNS
 * elements apart. A thread moves one unit of UNIT bytes, or its elements one after the other. */
template <int SIZE, int UNIT, int COUNT, int STEP_ROWS, int STEP_COLUMNS, int FIRST_ROW, int FIRST_COLUMN, int ROWS,
          int... LOOPS>
struct fixed_copy {
    static constexpr int threads = 128, blocks = 8;
    static constexpr bool waits_itself = true; /* after addresses */
    using call = ingot::call<2, ingot_strided_copy_params>;
    using element = typename unit_of<SIZE>::type;
    using unit = typename unit_of<UNIT>::type;
    static constexpr int EACH = UNIT / SIZE, UNITS = COUNT / EACH;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const uint32_t index = blockIdx.x * threads + threadIdx.x, row = index / UNITS, place = index % UNITS * EACH;
        if (row >= ROWS) return await_kernels();
        const int64_t step = STEP_ROWS * in.pitch + STEP_COLUMNS;
        const element *const from = pointer<const element>(in) + FIRST_ROW * in.pitch + FIRST_COLUMN +
                                    fixed_loops<LOOPS...>::offset(row, in.pitch) + place * step;
        element *const to = pointer<element>(out) + row * out.pitch + place;
        await_kernels();
        if (EACH == 1 || are_units<UNIT>(in, out, SIZE)) {
            *reinterpret_cast<unit *>(to) = *reinterpret_cast<const unit *>(from);
        } else {
#pragma unroll 1
            for (int i = 0; i < EACH; i++) to[i] = from[i];
        }
    }
};

/* Planes to pixels of few channels: a row of the result is one pixel, of CHANNELS, which in the input are STEP_ROWS
 * rows and STEP_COLUMNS elements apart; WIDTH pixels side by side are elements side by side there. A thread has four of
 * them. ROWS and LOOPS count lines of pixels. */
template <int SIZE, int CHANNELS, int WIDTH, int STEP_ROWS, int STEP_COLUMNS, int FIRST_ROW, int FIRST_COLUMN, int ROWS,
          int... LOOPS>
struct fixed_pixels {
    static constexpr int threads = 128, blocks = 8;
    static constexpr bool waits_itself = true; /* after addresses */
    using call = ingot::call<2, ingot_strided_copy_params>;
    using element = typename unit_of<SIZE>::type;
    struct alignas(4 * SIZE) piece {
        element at[4];
    };
    static constexpr int PIECES = WIDTH / 4;

    static DEVICE void run(const call &c) {
        const ingot_cuda_arg &in = c.arg[0], &out = c.arg[1];
        const uint32_t index = blockIdx.x * threads + threadIdx.x, line = index / PIECES, first = index % PIECES * 4;
        if (line >= ROWS) return await_kernels();
        const int64_t step = STEP_ROWS * in.pitch + STEP_COLUMNS;
        const element *const from = pointer<const element>(in) + FIRST_ROW * in.pitch + FIRST_COLUMN +
                                    fixed_loops<LOOPS...>::offset(line, in.pitch) + first;
        element *const to = pointer<element>(out) + ((int64_t)line * WIDTH + first) * out.pitch;
        await_kernels();
        if (out.pitch == CHANNELS && are_units<4 * SIZE>(in, in, SIZE) && address(out) % (4 * SIZE) == 0) {
            piece plane[CHANNELS], pixels[CHANNELS];
#pragma unroll
            for (int i = 0; i < CHANNELS; i++) plane[i] = *reinterpret_cast<const piece *>(from + i * step);
#pragma unroll
            for (int i = 0; i < 4 * CHANNELS; i++) pixels[i / 4].at[i % 4] = plane[i % CHANNELS].at[i / CHANNELS];
#pragma unroll
            for (int i = 0; i < CHANNELS; i++) reinterpret_cast<piece *>(to)[i] = pixels[i];
        } else {
#pragma unroll 1
            for (int i = 0; i < 4 * CHANNELS; i++) {
                to[i / CHANNELS * out.pitch + i % CHANNELS] = from[i % CHANNELS * step + i / CHANNELS];
            }
        }
    }
};

} // namespace ingot
