/* What the CUDA kernels of gemm.cu ask of a matrix product. */
#include "gemm_half.h"
#include "gemm_split.h"
#include "matmul_s8.h"
#include "matmul_shape.h"

enum { CHUNK_BYTES = 16, SUMS = 4, SCALE = 5, PARTS_MAX = 3 };

/* b packed as [N][parts x depth], each part in whole chunks; the matrices of a are stacked. */
static const char *packed_check(const ingot_call *call, int64_t size, int64_t most_parts) {
    const ingot_matmul_params *p = call->params; /* those of int8 begin with the same */
    const ingot_arg *a = &call->in[INGOT_MATMUL_A], *b = &call->in[INGOT_MATMUL_B], *out = &call->out[0];
    if (a->rank < 2 || a->rank != out->rank || b->rank != 2 || p->trans_a != 0 || p->trans_b != 0 || p->alpha != 1.0f ||
        p->reserved != 0 || !ingot_activation_valid(&p->activation)) {
        return "matmul: parameters of a packed product";
    }
    for (int i = 0; i < a->rank - 1; i++) {
        if (a->dims[i] != out->dims[i]) {
            return "matmul: rows or batch axes";
        }
    }
    const int64_t vec = CHUNK_BYTES / size, k = a->dims[a->rank - 1];
    const int64_t padded = k / vec * vec + (k % vec != 0 ? vec : 0);
    const int64_t parts = padded == 0 ? 1 : b->dims[1] / padded;
    if (b->dims[0] != out->dims[out->rank - 1] || b->pitch != b->dims[1] || parts < 1 || parts > most_parts ||
        b->dims[1] != parts * padded) {
        return "matmul: weights";
    }
    return ingot_gemm_split_check(call);
}

static const char *real_check(const ingot_call *call) {
    const ingot_arg *b = &call->in[INGOT_MATMUL_B], *residual = &call->in[INGOT_MATMUL_RESIDUAL], *out = &call->out[0];
    const char *reason = NULL;
    if (b->dtype != INGOT_F32) {
        reason = ingot_half_types_check(call);
    } else if (call->in[INGOT_MATMUL_A].dtype != INGOT_F32 || out->dtype != INGOT_F32) {
        reason = "matmul: element type";
    }
    if (reason == NULL) {
        reason = packed_check(call, b->dtype == INGOT_F32 ? 4 : 2, 1);
    }
    return reason != NULL ? reason
                          : ingot_matmul_sides_check(&call->in[INGOT_MATMUL_BIAS], INGOT_F32, residual,
                                                     b->dtype == INGOT_F32 ? INGOT_F32 : residual->dtype, out);
}

/* `weights`: b is a constant, with a sum and a scale for each column. */
static const char *s8_operands_check(const ingot_call *call, int weights) {
    const ingot_matmul_s8_params *p = call->params;
    const ingot_arg *out = &call->out[0], *sums = &call->in[SUMS], *scale = &call->in[SCALE];
    const uint8_t bias = weights ? ingot_s8_bias_type(&call->in[INGOT_MATMUL_BIAS]) : INGOT_F32;
    const char *reason = ingot_matmul_types_check(call, INGOT_I8, out->dtype, bias);
    if (reason != NULL) {
        return reason;
    }
    const int64_t columns = out->dims[out->rank - 1];
    if (out->dtype != INGOT_I8 && out->dtype != INGOT_F32) {
        return "matmul: element type";
    }
    if (!ingot_s8_numbers_valid(&p->numbers, &p->matmul.activation) || p->b_zero < -128 || p->b_zero > 127 ||
        p->reserved != 0 || p->matmul.alpha != 1.0f) {
        return "matmul: quantisation";
    }
    if (weights ? !ingot_s8_vector_valid(sums, INGOT_I32, columns) : sums->dtype != INGOT_DTYPE_NONE) {
        return "matmul: sums";
    }
    return ingot_s8_vector_valid(scale, INGOT_F32, weights ? columns : 1) ? NULL : "matmul: scale";
}

static const char *s8_check(const ingot_call *call) {
    const ingot_matmul_s8_params *p = call->params;
    const char *reason = s8_operands_check(call, 1);
    if (reason == NULL && p->b_zero != 0) {
        reason = "matmul: parameters of a packed product";
    }
    return reason != NULL ? reason : packed_check(call, 1, PARTS_MAX);
}

/* Tensor maps bring both operands as they are. */
static const char *tma_check(const ingot_call *call) {
    const ingot_arg *b = &call->in[INGOT_MATMUL_B];
    if (b->dtype == INGOT_F32 || call->in[INGOT_MATMUL_A].dtype != b->dtype) {
        return "matmul: element type";
    }
    return real_check(call);
}

static const char *free_check(const ingot_call *call) {
    ingot_matmul_shape s;
    const char *reason = ingot_matmul_operands_check(call, INGOT_F32);
    return reason != NULL ? reason : ingot_matmul_shape_read(call, 0, &s);
}

static const char *free_s8_check(const ingot_call *call) {
    ingot_matmul_shape s;
    const char *reason = s8_operands_check(call, call->in[SUMS].dtype != INGOT_DTYPE_NONE);
    return reason != NULL ? reason : ingot_matmul_shape_read(call, 0, &s);
}

#define FAMILY(name, params, count, more, mapped, test)                                                                \
    const ingot_family ingot_family_##name = {                                                                         \
        .params_size = sizeof(params),                                                                                 \
        .flags = INGOT_KERNEL_PITCHED | (more),                                                                        \
        .in_min = count,                                                                                               \
        .in_max = count,                                                                                               \
        .out_min = 1,                                                                                                  \
        .out_max = 1,                                                                                                  \
        .maps = mapped,                                                                                                \
        .inplace = 1u << INGOT_MATMUL_RESIDUAL,                                                                        \
        .check = test,                                                                                                 \
    }

FAMILY(matmul_gemm_cuda, ingot_matmul_params, 4, 0, 0, real_check);
FAMILY(matmul_gemm_s8_cuda, ingot_matmul_s8_params, 6, INGOT_KERNEL_EXACT, 0, s8_check);
FAMILY(matmul_tma_cuda, ingot_matmul_params, 4, 0, 2, tma_check);
FAMILY(matmul_tma_s8_cuda, ingot_matmul_s8_params, 6, INGOT_KERNEL_EXACT, 2, s8_check);
FAMILY(matmul_free_cuda, ingot_matmul_params, 4, 0, 0, free_check);
FAMILY(matmul_free_s8_cuda, ingot_matmul_s8_params, 6, INGOT_KERNEL_EXACT, 0, free_s8_check);
