/* Warp operations; the PTX manual says which lane holds what of a matrix. */
#include "warp.h"

#include <string.h>

#include "numbers.h"

namespace {

constexpr int LANES = 32;

template <class Record> Record &of(void *lane) { return *static_cast<Record *>(lane); }

void nothing(void *const *) {}

void shuffle(void *const *lanes) {
    for (int i = 0; i < LANES; i++) {
        shuffle_record &mine = of<shuffle_record>(lanes[i]);
        int from = mine.by % LANES;
        if (mine.how == INGOT_SHUFFLE_XOR) from = i ^ mine.by;
        if (mine.how == INGOT_SHUFFLE_DOWN) from = i + mine.by;
        if (mine.how == INGOT_SHUFFLE_UP) from = i - mine.by;
        mine.result = of<shuffle_record>(lanes[from < 0 || from >= LANES ? i : from]).x;
    }
}

void ballot(void *const *lanes) {
    uint32_t all = 0;
    for (int i = 0; i < LANES; i++) all |= (of<shuffle_record>(lanes[i]).x != 0 ? 1u : 0u) << i;
    for (int i = 0; i < LANES; i++) of<shuffle_record>(lanes[i]).result = all;
}

template <bool TRANSPOSED> void load(void *const *lanes) {
    const int matrices = of<matrix_record>(lanes[0]).matrices;
    for (int m = 0; m < matrices; m++) {
        uint16_t matrix[8][8];
        for (int r = 0; r < 8; r++) memcpy(matrix[r], of<matrix_record>(lanes[m * 8 + r]).row, sizeof matrix[r]);
        for (int i = 0; i < LANES; i++) {
            const int g = i / 4, t = i % 4 * 2;
            const uint32_t low = TRANSPOSED ? matrix[t][g] : matrix[g][t];
            const uint32_t high = TRANSPOSED ? matrix[t + 1][g] : matrix[g][t + 1];
            of<matrix_record>(lanes[i]).words[m] = low | high << 16;
        }
    }
}

struct f16_numbers {
    using element = float;
    using sum = double;
    static constexpr int in_word = 2;
    static element get(uint32_t word, int i) { return ingot_emulated_of_f16((uint16_t)(word >> 16 * i)); }
};
struct bf16_numbers {
    using element = float;
    using sum = double;
    static constexpr int in_word = 2;
    static element get(uint32_t word, int i) { return ingot_emulated_of_bf16((uint16_t)(word >> 16 * i)); }
};
struct tf32_numbers {
    using element = float;
    using sum = double;
    static constexpr int in_word = 1;
    static element get(uint32_t word, int) { return ingot_emulated_float(word & 0xffffe000u); }
};
struct s8_numbers {
    using element = int32_t;
    using sum = uint32_t; /* wraps, as the device does */
    static constexpr int in_word = 4;
    static element get(uint32_t word, int i) { return (int8_t)(word >> 8 * i); }
};

/* d += a b for m16n8k(8 in_word). */
template <class Numbers> void multiply(void *const *lanes) {
    using element = typename Numbers::element;
    using sum = typename Numbers::sum;
    constexpr int in_word = Numbers::in_word, K = 8 * in_word;
    element a[16][K], b[K][8];
    for (int i = 0; i < LANES; i++) {
        const product_record &mine = of<product_record>(lanes[i]);
        const int g = i / 4, t = i % 4;
        for (int w = 0; w < 4; w++)
            for (int e = 0; e < in_word; e++)
                a[g + w % 2 * 8][(t + w / 2 * 4) * in_word + e] = Numbers::get(mine.a[w], e);
        for (int w = 0; w < 2; w++)
            for (int e = 0; e < in_word; e++) b[(t + w * 4) * in_word + e][g] = Numbers::get(mine.b[w], e);
    }
    sum products[16][8];
    for (int m = 0; m < 16; m++) {
        for (int n = 0; n < 8; n++) products[m][n] = 0;
        for (int k = 0; k < K; k++)
            for (int n = 0; n < 8; n++) products[m][n] += (sum)a[m][k] * (sum)b[k][n];
    }
    for (int i = 0; i < LANES; i++) {
        element *d = static_cast<element *>(of<product_record>(lanes[i]).d);
        for (int e = 0; e < 4; e++) d[e] = (element)((sum)d[e] + products[i / 4 + e / 2 * 8][i % 4 * 2 + e % 2]);
    }
}

} // namespace

const warp_operation warp_sync = {"sync_warp", nothing};
const warp_operation warp_ballot = {"ballot", ballot};
const warp_operation warp_load = {"load_matrix", load<false>};
const warp_operation warp_load_transposed = {"load_matrix_transposed", load<true>};
const warp_operation warp_shuffle[4] = {
    {"shuffle", shuffle},
    {"shuffle_xor", shuffle},
    {"shuffle_down", shuffle},
    {"shuffle_up", shuffle},
};
const warp_operation warp_multiply[4] = {
    {"multiply<f16>", multiply<f16_numbers>},
    {"multiply<bf16>", multiply<bf16_numbers>},
    {"multiply_tf32", multiply<tf32_numbers>},
    {"multiply_s8", multiply<s8_numbers>},
};
