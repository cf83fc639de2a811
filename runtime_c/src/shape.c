/* The shape program: straight-line integer code, checked once by verify.c, run when a shape is set. */
#include "internal.h"

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

ingot_status ingot_shape_run(const ingot_file *f, const ingot_program *p, const int64_t *io_dims, int64_t *registers,
                             ingot_error *error) {
    const ingot_table *code = &f->tables[INGOT_SECTION_SHAPE_CODE];
    for (uint32_t i = 0; i < p->shape_code.count; i++) {
        const ingot_shape_insn *s = (const ingot_shape_insn *)ingot_record(code, p->shape_code.first + i);
        int64_t a = 0, b = 0, value = 0;
        int bad = 0;
        if (s->op > INGOT_SHAPE_DIM) a = registers[s->a], b = registers[s->b];
        int divides = s->op == INGOT_SHAPE_FLOORDIV || s->op == INGOT_SHAPE_CEILDIV || s->op == INGOT_SHAPE_MOD;
        if (divides && (b == 0 || (a == INT64_MIN && b == -1)))
            return ingot_fail(error, INGOT_ERR_SHAPE, ingot_record_offset(code, p->shape_code.first + i),
                              "the shape makes a size that divides by zero");
        switch (s->op) {
        case INGOT_SHAPE_CONST: value = s->imm; break;
        case INGOT_SHAPE_DIM: value = io_dims[s->a * INGOT_MAX_RANK + s->b]; break;
        case INGOT_SHAPE_ADD: bad = __builtin_add_overflow(a, b, &value); break;
        case INGOT_SHAPE_SUB: bad = __builtin_sub_overflow(a, b, &value); break;
        case INGOT_SHAPE_MUL: bad = __builtin_mul_overflow(a, b, &value); break;
        case INGOT_SHAPE_FLOORDIV: value = floor_div(a, b); break;
        case INGOT_SHAPE_CEILDIV: value = floor_div(a, b) + (a % b != 0); break;
        case INGOT_SHAPE_MOD: value = a % b != 0 && (a < 0) != (b < 0) ? a % b + b : a % b; break;
        case INGOT_SHAPE_MIN: value = a < b ? a : b; break;
        case INGOT_SHAPE_MAX: value = a > b ? a : b; break;
        case INGOT_SHAPE_REQUIRE_EQ:
        case INGOT_SHAPE_REQUIRE_LE:
            if (s->op == INGOT_SHAPE_REQUIRE_EQ ? a != b : a > b)
                return ingot_fail(error, INGOT_ERR_SHAPE, ingot_record_offset(code, p->shape_code.first + i),
                                  "the shapes do not go together: the engine needs %lld %s %lld", (long long)a,
                                  s->op == INGOT_SHAPE_REQUIRE_EQ ? "==" : "<=", (long long)b);
            value = a;
            break;
        default: bad = 1; break;
        }
        if (bad)
            return ingot_fail(error, INGOT_ERR_SHAPE, ingot_record_offset(code, p->shape_code.first + i),
                              "the shape makes a size that overflows");
        registers[s->dst] = value;
    }
    return INGOT_OK;
}
