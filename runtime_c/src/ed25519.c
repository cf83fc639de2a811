#include "ed25519.h"

#include <string.h>

#include "sha512.h"

/* ---- numbers of 256 bits, eight limbs, least first ------------------------------------------------------------- */

typedef struct u256 {
    uint32_t limb[8];
} u256;

/* out = a + b, returns the carry. Any of the operands may be the same. */
static uint32_t add_carry(u256 *out, const u256 *a, const u256 *b) {
    uint64_t carry = 0;
    for (int i = 0; i < 8; ++i) {
        carry += (uint64_t)a->limb[i] + b->limb[i];
        out->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    return (uint32_t)carry;
}

/* out = a - b, returns the borrow. */
static uint32_t sub_borrow(u256 *out, const u256 *a, const u256 *b) {
    uint32_t borrow = 0;
    for (int i = 0; i < 8; ++i) {
        const uint64_t difference = (uint64_t)a->limb[i] - b->limb[i] - borrow;
        out->limb[i] = (uint32_t)difference;
        borrow = (uint32_t)(difference >> 63);
    }
    return borrow;
}

static int less(const u256 *a, const u256 *b) {
    u256 unused;
    return (int)sub_borrow(&unused, a, b);
}

static uint32_t bit(const u256 *a, int index) { return a->limb[index / 32] >> index % 32 & 1; }

static u256 load_le(const uint8_t *from) {
    u256 out;
    for (int i = 0; i < 8; ++i, from += 4) {
        out.limb[i] = (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
    }
    return out;
}

/* ---- the field of integers mod p = 2^255 - 19 ------------------------------------------------------------------
 * An element is any u256 of the right remainder: 2^256 = 38 mod p takes carries back in. Only `reduce` makes it the
 * least one. */

typedef u256 fe;

static const u256 p = {
    {0xffffffed, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fffffff}};
static const fe zero = {{0}};
static const fe one = {{1}};
/* The curve's d = -121665 / 121666, twice d, and a square root of -1: 2^((p - 1) / 4). */
static const fe d = {{0x135978a3, 0x75eb4dca, 0x4141d8ab, 0x00700a4d, 0x7779e898, 0x8cc74079, 0x2b6ffe73, 0x52036cee}};
static const fe d2 = {{0x26b2f159, 0xebd69b94, 0x8283b156, 0x00e0149a, 0xeef3d130, 0x198e80f2, 0x56dffce7, 0x2406d9dc}};
static const fe root_of_minus_one = {
    {0x4a0ea0b0, 0xc4ee1b27, 0xad2fe478, 0x2f431806, 0x3dfbd7a7, 0x2b4d0099, 0x4fc1df0b, 0x2b832480}};
/* Exponents: p - 2 inverts (Fermat), (p - 5) / 8 helps to take roots. */
static const u256 p_minus_2 = {
    {0xffffffeb, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fffffff}};
static const u256 p_minus_5_over_8 = {
    {0xfffffffd, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x0fffffff}};

/* Adds carry * 2^256 = carry * 38. A second round can be needed, a third cannot. */
static void fold(fe *a, uint64_t carry) {
    while (carry != 0) {
        carry *= 38;
        for (int i = 0; i < 8; ++i) {
            carry += a->limb[i];
            a->limb[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

static fe fe_add(const fe *a, const fe *b) {
    fe out;
    fold(&out, add_carry(&out, a, b));
    return out;
}

static fe fe_sub(const fe *a, const fe *b) {
    static const u256 thirty_eight = {{38}};
    fe out;
    uint32_t borrow = sub_borrow(&out, a, b);
    while (borrow != 0) { /* twice at most */
        borrow = sub_borrow(&out, &out, &thirty_eight);
    }
    return out;
}

static fe fe_mul(const fe *a, const fe *b) {
    uint32_t product[16] = {0};
    for (int i = 0; i < 8; ++i) {
        uint64_t carry = 0;
        for (int j = 0; j < 8; ++j) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + product[i + j]; /* at most 2^64 - 1 */
            product[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product[i + 8] = (uint32_t)carry;
    }
    fe out;
    uint64_t carry = 0;
    for (int i = 0; i < 8; ++i) {
        carry += (uint64_t)product[i + 8] * 38 + product[i];
        out.limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    fold(&out, carry);
    return out;
}

static fe fe_pow(const fe *a, const u256 *exponent) {
    fe out = one;
    for (int i = 255; i >= 0; --i) {
        out = fe_mul(&out, &out);
        if (bit(exponent, i)) {
            out = fe_mul(&out, a);
        }
    }
    return out;
}

static u256 reduce(const fe *a) {
    u256 out = *a;
    while (!less(&out, &p)) { /* 2^256 < 3p: twice at most */
        sub_borrow(&out, &out, &p);
    }
    return out;
}

static int fe_equal(const fe *a, const fe *b) {
    const u256 x = reduce(a), y = reduce(b);
    return memcmp(&x, &y, sizeof x) == 0;
}

/* ---- points of the curve -x^2 + y^2 = 1 + d x^2 y^2 -------------------------------------------------------------
 * In extended coordinates x = X/Z, y = Y/Z, x y = T/Z (RFC 8032, section 5.1.4). */

typedef struct point {
    fe x, y, z, t;
} point;

/* The formula is complete: it also doubles, and adds the neutral point. */
static point add(const point *p1, const point *p2) {
    const fe minus1 = fe_sub(&p1->y, &p1->x), minus2 = fe_sub(&p2->y, &p2->x);
    const fe plus1 = fe_add(&p1->y, &p1->x), plus2 = fe_add(&p2->y, &p2->x);
    const fe a = fe_mul(&minus1, &minus2), b = fe_mul(&plus1, &plus2);
    const fe td = fe_mul(&p1->t, &d2), c = fe_mul(&td, &p2->t);
    const fe zz = fe_mul(&p1->z, &p2->z), dd = fe_add(&zz, &zz);
    const fe e = fe_sub(&b, &a), f = fe_sub(&dd, &c), g = fe_add(&dd, &c), h = fe_add(&b, &a);
    return (point){.x = fe_mul(&e, &f), .y = fe_mul(&g, &h), .z = fe_mul(&f, &g), .t = fe_mul(&e, &h)};
}

static point affine(const fe *x, const fe *y) { return (point){.x = *x, .y = *y, .z = one, .t = fe_mul(x, y)}; }

/* RFC 8032, section 5.1.3: y and the lowest bit of x. Returns 0 if no point has this encoding. */
static int decode(point *out, const uint8_t encoded[32]) {
    u256 y = load_le(encoded);
    const uint32_t sign = bit(&y, 255);
    y.limb[7] &= 0x7fffffff;
    if (!less(&y, &p)) {
        return 0;
    }
    /* x^2 = u/v with u = y^2 - 1, v = d y^2 + 1; the candidate is u v^3 (u v^7)^((p - 5) / 8). */
    const fe yy = fe_mul(&y, &y), dyy = fe_mul(&d, &yy);
    const fe u = fe_sub(&yy, &one), v = fe_add(&dyy, &one);
    const fe vv = fe_mul(&v, &v), v3 = fe_mul(&vv, &v), v6 = fe_mul(&v3, &v3), v7 = fe_mul(&v6, &v);
    const fe uv3 = fe_mul(&u, &v3), uv7 = fe_mul(&u, &v7), power = fe_pow(&uv7, &p_minus_5_over_8);
    fe x = fe_mul(&uv3, &power);
    const fe xx = fe_mul(&x, &x), vxx = fe_mul(&v, &xx), minus_u = fe_sub(&zero, &u);
    if (fe_equal(&vxx, &minus_u)) {
        x = fe_mul(&x, &root_of_minus_one); /* for u = 0 as well, where x stays 0 */
    } else if (!fe_equal(&vxx, &u)) {
        return 0;
    }
    x = reduce(&x);
    if (bit(&x, 0) != sign) {
        if (fe_equal(&x, &zero)) {
            return 0;
        }
        x = fe_sub(&p, &x);
    }
    *out = affine(&x, &y);
    return 1;
}

static void encode(uint8_t out[32], const point *a) {
    const fe inverse = fe_pow(&a->z, &p_minus_2);
    const fe fx = fe_mul(&a->x, &inverse), fy = fe_mul(&a->y, &inverse);
    const u256 x = reduce(&fx);
    u256 y = reduce(&fy);
    y.limb[7] |= bit(&x, 0) << 31;
    for (int i = 0; i < 32; ++i) {
        out[i] = (uint8_t)(y.limb[i / 4] >> 8 * (i % 4));
    }
}

/* ---- signatures ------------------------------------------------------------------------------------------------ */

/* The order of the base point, 2^252 + 27742317777372353535851937790883648493. */
static const u256 order = {
    {0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de, 0x00000000, 0x00000000, 0x00000000, 0x10000000}};
static const fe base_x = {
    {0x8f25d51a, 0xc9562d60, 0x9525a7b2, 0x692cc760, 0xfdd6dc5c, 0xc0a4e231, 0xcd6e53fe, 0x216936d3}};
static const fe base_y = {
    {0x66666658, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666}};

/* The remainder of 64 little-endian bytes by the order, a bit at a time: twice a remainder never leaves 254 bits. */
static u256 mod_order(const uint8_t bytes[64]) {
    u256 out = {{0}};
    for (int i = 511; i >= 0; --i) {
        add_carry(&out, &out, &out);
        out.limb[0] |= (uint32_t)bytes[i / 8] >> i % 8 & 1;
        if (!less(&out, &order)) {
            sub_borrow(&out, &out, &order);
        }
    }
    return out;
}

/* a * point1 + b * point2, both scalars read together from the top ("Shamir's trick"). */
static point multiply_two(const u256 *a, const point *point1, const u256 *b, const point *point2) {
    const point table[4] = {affine(&zero, &one), *point1, *point2, add(point1, point2)};
    point sum = table[0];
    for (int i = 255; i >= 0; --i) {
        sum = add(&sum, &sum);
        const uint32_t which = bit(a, i) | bit(b, i) << 1;
        if (which != 0) {
            sum = add(&sum, &table[which]);
        }
    }
    return sum;
}

int ingot_ed25519_verify(const uint8_t public_key[32], const uint8_t *message, size_t n, const uint8_t signature[64]) {
    const u256 s = load_le(signature + 32);
    point key;
    if (!less(&s, &order) || !decode(&key, public_key)) {
        return 0;
    }
    const ingot_bytes parts[3] = {{signature, 32}, {public_key, 32}, {message, n}};
    uint8_t digest[64], expected[32];
    ingot_sha512(parts, 3, digest);
    const u256 h = mod_order(digest);

    /* R = s B - h A. Comparing encodings also refuses an R that is not canonical. */
    const point base = affine(&base_x, &base_y);
    const point minus_key = {fe_sub(&zero, &key.x), key.y, key.z, fe_sub(&zero, &key.t)};
    const point r = multiply_two(&s, &base, &h, &minus_key);
    encode(expected, &r);
    return memcmp(expected, signature, 32) == 0;
}
