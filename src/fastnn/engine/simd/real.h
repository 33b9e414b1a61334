/* real.h - the precision and the vector width of this translation unit.
 *
 * Every other header here is written once, in terms of `real` and `vec`; the build compiles it for
 * FASTNN_BITS 32 and 64 and for each instruction set. Vectors are the vector extensions of GCC and
 * Clang: + - * / and comparisons work on them, and a comparison gives an `ivec` of 0 and -1.
 *
 * Here: types, loads and stores, and the few operations that the extensions lack. Not here:
 * mathematics (vmath.h), or anything about networks.
 */
#ifndef FASTNN_REAL_H
#define FASTNN_REAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef FASTNN_BITS
#error "define FASTNN_BITS as 32 or 64: the precision to compile for"
#elif FASTNN_BITS == 32
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#elif FASTNN_BITS == 64
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#endif

/* Bytes in the widest registers. */
#if defined(__AVX512F__)
#define REGISTER_BYTES 64
#elif defined(__AVX__)
#define REGISTER_BYTES 32
#else
#define REGISTER_BYTES 16
#endif

/* FASTNN_VECTOR_BYTES may be defined, to compile code for vectors of one width with the
 * instructions of another: a vector that is wider than a register is split into registers. */
#ifndef FASTNN_VECTOR_BYTES
#define FASTNN_VECTOR_BYTES REGISTER_BYTES
#endif
#if FASTNN_VECTOR_BYTES < REGISTER_BYTES
#define PART_BYTES FASTNN_VECTOR_BYTES
#else
#define PART_BYTES REGISTER_BYTES
#endif

typedef real vec __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias));
typedef ireal ivec __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias));
/* An unsigned ivec: a shift to the right fills with zeros, and sums may wrap around. */
typedef ureal uvec __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias));
typedef real unaligned_vec
    __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias, aligned(sizeof(real))));

enum {
    LANES = FASTNN_VECTOR_BYTES / (int)sizeof(real), /* reals in a vector */
    PANEL = 64 / (int)sizeof(real),                  /* columns of a panel: one cache line */
    PANEL_VECTORS = PANEL / LANES                    /* vectors across a panel */
};

/* LANES for the preprocessor. */
#define LANE_COUNT (FASTNN_VECTOR_BYTES * 8 / FASTNN_BITS)

#define INLINE static inline __attribute__((always_inline, unused))
/* One copy of a large function, where GCC would make one more for each set of constant arguments.
 */
#if defined(__clang__)
#define SINGLE static __attribute__((noinline))
#else
#define SINGLE static __attribute__((noinline, noclone))
#endif

INLINE vec load(const real *p) { return *(const vec *)p; }

INLINE vec load_unaligned(const real *p) { return *(const unaligned_vec *)p; }

INLINE void store(real *p, vec x) { *(vec *)p = x; }

INLINE void store_unaligned(real *p, vec x) { *(unaligned_vec *)p = x; }

/* The same number in every lane. x - 0 costs nothing; x + 0 is an addition, since -0 + 0 = 0. */
INLINE vec splat(real x) { return x - (vec){0}; }

/* A number's bits, and back. */
INLINE uvec bits_of(vec x) { return (uvec)x; }

INLINE vec real_of(uvec bits) { return (vec)bits; }

INLINE uvec splat_bits(ureal bits) { return bits - (uvec){0}; }

/* Lane by lane: a where the mask is -1, b where it is 0. */
INLINE vec choose(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }

/* a where the mask is -1, else 0. */
INLINE vec keep(ivec mask, vec a) { return (vec)(mask & (ivec)a); }

INLINE vec vabs(vec x) { return (vec)((ivec)x & ~(ivec)(-(vec){0})); }

/* -1 in the lanes that are -0. */
INLINE ivec minus_zeros(vec x) { return (ivec)x == (ivec)(-(vec){0}); }

/* |x| with the sign of y. GCC would use two instructions of AVX-512 where one does. */
INLINE vec copy_sign(vec x, vec y) {
    ivec sign = (ivec)(-(vec){0});
#if defined(__AVX512F__) && FASTNN_VECTOR_BYTES == 64
    enum { SECOND_WHERE_FIRST = 0xca };
    return (vec)_mm512_ternarylogic_epi64((__m512i)sign, (__m512i)y, (__m512i)x,
                                          SECOND_WHERE_FIRST);
#else
    return (vec)(((ivec)x & ~sign) | ((ivec)y & sign));
#endif
}

/* Whether a lane of a mask is -1. */
INLINE int any_lane(ivec mask) {
#if defined(__AVX512F__) && FASTNN_VECTOR_BYTES == 64
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#else
    union {
        ivec lanes;
        int64_t parts[FASTNN_VECTOR_BYTES / 8];
    } all = {mask};
    int64_t any = 0;
    for (int i = 0; i < FASTNN_VECTOR_BYTES / 8; i++) any |= all.parts[i];
    return any != 0;
#endif
}

/* ---- maximum, minimum, square root, fused multiply-add: of one register, then of a vector ---- */

typedef real part __attribute__((vector_size(PART_BYTES), may_alias));
typedef ireal ipart __attribute__((vector_size(PART_BYTES), may_alias));

#if FASTNN_BITS == 32
#define PER_TYPE(name) name##ps
#else
#define PER_TYPE(name) name##pd
#endif

#if defined(__AVX512F__) && PART_BYTES == 64
#define NATIVE(name) PER_TYPE(_mm512_##name##_)
#elif defined(__AVX__) && PART_BYTES == 32
#define NATIVE(name) PER_TYPE(_mm256_##name##_)
#elif defined(__SSE2__) && PART_BYTES == 16
#define NATIVE(name) PER_TYPE(_mm_##name##_)
#endif

/* Bit i is set if lane i of the mask is -1. */
INLINE unsigned part_bits(ipart mask) {
#if defined(__AVX512DQ__) && PART_BYTES == 64 && FASTNN_BITS == 32
    return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX512DQ__) && PART_BYTES == 64
    return _mm512_movepi64_mask((__m512i)mask);
#elif defined(NATIVE)
    return (unsigned)NATIVE(movemask)((part)mask);
#else
    unsigned bits = 0;
    for (int i = 0; i < PART_BYTES / (int)sizeof(real); i++) bits |= (unsigned)(mask[i] & 1) << i;
    return bits;
#endif
}

/* max and min as x86 defines them: the second operand if either is NaN. */
#ifdef NATIVE
INLINE part part_max(part a, part b) { return (part)NATIVE(max)(a, b); }

INLINE part part_min(part a, part b) { return (part)NATIVE(min)(a, b); }

INLINE part part_sqrt(part x) { return (part)NATIVE(sqrt)(x); }
#else
INLINE part part_choose(ipart mask, part a, part b) {
    return (part)((mask & (ipart)a) | (~mask & (ipart)b));
}

INLINE part part_max(part a, part b) { return part_choose(a > b, a, b); }

INLINE part part_min(part a, part b) { return part_choose(a < b, a, b); }

INLINE part part_sqrt(part x) {
    for (int i = 0; i < PART_BYTES / (int)sizeof(real); i++)
        x[i] = sizeof(real) == 4 ? (real)__builtin_sqrtf((float)x[i]) : (real)__builtin_sqrt(x[i]);
    return x;
}
#endif

/* a * b + c with one rounding: by the hardware, or by the C library if FASTNN_FUSED is defined.
 * With neither, it has two roundings, which give other bits. Only calls of this function are fused:
 * the build turns contraction off, since each compiler contracts other sums. */
#define FUSES 1
#if defined(NATIVE) && defined(__FMA__)
INLINE part part_fma(part a, part b, part c) { return (part)NATIVE(fmadd)(a, b, c); }
#elif defined(__ARM_FEATURE_FMA) && FASTNN_BITS == 32
INLINE part part_fma(part a, part b, part c) { return (part)vfmaq_f32(c, a, b); }
#elif defined(__ARM_FEATURE_FMA)
INLINE part part_fma(part a, part b, part c) { return (part)vfmaq_f64(c, a, b); }
#elif defined(FASTNN_FUSED)
INLINE part part_fma(part a, part b, part c) {
    for (int i = 0; i < PART_BYTES / (int)sizeof(real); i++)
        c[i] = sizeof(real) == 4 ? (real)fmaf((float)a[i], (float)b[i], (float)c[i])
                                 : (real)fma(a[i], b[i], c[i]);
    return c;
}
#else
#undef FUSES
#define FUSES 0
INLINE part part_fma(part a, part b, part c) { return a * b + c; }
#endif

#if PART_BYTES == FASTNN_VECTOR_BYTES
INLINE vec vmax(vec a, vec b) { return part_max(a, b); }

INLINE vec vmin(vec a, vec b) { return part_min(a, b); }

INLINE vec vsqrt(vec x) { return part_sqrt(x); }

INLINE vec multiply_add(vec a, vec b, vec c) { return part_fma(a, b, c); }

INLINE unsigned bits_of_lanes(ivec mask) { return part_bits(mask); }
#else
enum { PARTS = FASTNN_VECTOR_BYTES / PART_BYTES };
typedef union {
    vec whole;
    part parts[PARTS];
} in_parts;

INLINE vec vmax(vec a, vec b) {
    in_parts x = {a}, y = {b};
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++) x.parts[i] = part_max(x.parts[i], y.parts[i]);
    return x.whole;
}

INLINE vec vmin(vec a, vec b) {
    in_parts x = {a}, y = {b};
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++) x.parts[i] = part_min(x.parts[i], y.parts[i]);
    return x.whole;
}

INLINE vec vsqrt(vec x) {
    in_parts root = {x};
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++) root.parts[i] = part_sqrt(root.parts[i]);
    return root.whole;
}

INLINE vec multiply_add(vec a, vec b, vec c) {
    in_parts x = {a}, y = {b}, z = {c};
#pragma GCC unroll 4
    for (int i = 0; i < PARTS; i++) z.parts[i] = part_fma(x.parts[i], y.parts[i], z.parts[i]);
    return z.whole;
}

INLINE unsigned bits_of_lanes(ivec mask) {
    in_parts x = {(vec)mask};
    unsigned bits = 0;
    for (int i = 0; i < PARTS; i++) bits |= part_bits((ipart)x.parts[i]) << i * (LANES / PARTS);
    return bits;
}
#endif

/* The lower (or upper) halves of a and b, interleaved: a0 b0 a1 b1 ... */
#if LANE_COUNT == 16
#define LOW_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANE_COUNT == 8
#define LOW_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif LANE_COUNT == 4
#define LOW_HALVES 0, 4, 1, 5
#define HIGH_HALVES 2, 6, 3, 7
#else
#define LOW_HALVES 0, 2
#define HIGH_HALVES 1, 3
#endif

INLINE vec interleave_low(vec a, vec b) { return __builtin_shufflevector(a, b, LOW_HALVES); }

INLINE vec interleave_high(vec a, vec b) { return __builtin_shufflevector(a, b, HIGH_HALVES); }

/* Lane i of the result is the sum of the lanes of x[i], in the same order for all i: each stage
 * adds the upper half of a vector to the lower half, for two vectors at once. x is overwritten. */
INLINE vec sums_of_lanes(vec x[LANES]) {
#pragma GCC unroll 4
    for (int n = LANES / 2; n > 0; n /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            x[i] = interleave_low(x[i], x[i + n]) + interleave_high(x[i], x[i + n]);
    return x[0];
}

/* x[i][j] <-> x[j][i]: log2(LANES) perfect shuffles of the rows. */
INLINE void transpose_lanes(vec x[LANES]) {
#pragma GCC unroll 4
    for (int stage = 1; stage < LANES; stage *= 2) {
        vec y[LANES];
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            y[2 * i] = interleave_low(x[i], x[i + LANES / 2]);
            y[2 * i + 1] = interleave_high(x[i], x[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) x[i] = y[i];
    }
}

/* 0, 1, ..., LANES - 1 */
INLINE ivec lane_numbers(void) {
    ivec lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    return lane;
}

/* -1 in lane i if bit i is set. */
INLINE ivec lanes_of_bits(unsigned bits) {
    ivec bit = ((ivec){0} + 1) << lane_numbers();
    return (((ivec){0} + (ireal)bits) & bit) == bit;
}

/* -1 in the first n lanes (all for n >= LANES, none for n <= 0). */
INLINE ivec lanes_below(ptrdiff_t n) {
    return lane_numbers() < (ivec){0} + (ireal)(n < LANES ? n : LANES);
}

/* The sum of the lanes in every lane, in the order of sums_of_lanes. For a panel: sum_panel. */
INLINE vec sum_everywhere(vec x) {
#pragma GCC unroll 4
    for (int n = LANES / 2; n > 0; n /= 2) x = interleave_low(x, x) + interleave_high(x, x);
    return x;
}

INLINE real sum_lanes(vec x) { return sum_everywhere(x)[0]; }

/* c-source: begin panel_sums */
/* A sum across lanes has one order, whatever the width of a vector: an accumulator for each column
 * of a panel, and these added in halves: 8 + 8 columns, 4 + 4, 2 + 2, 1 + 1. */
typedef struct {
    vec lanes[PANEL_VECTORS];
} panel_sums;

/* The halves down to one vector; the panel is overwritten. */
INLINE vec fold_panel(panel_sums *sums) {
    for (int n = PANEL_VECTORS / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) sums->lanes[i] += sums->lanes[i + n];
    return sums->lanes[0];
}

INLINE real sum_panel(panel_sums *sums) { return sum_lanes(fold_panel(sums)); }

/* The same where all lanes but the first are 0. */
INLINE real first_of_panel(const panel_sums *sums) { return *(const real *)sums->lanes; }
/* c-source: end */

INLINE real max_lanes(vec x) {
    real m = x[0];
    for (int i = 1; i < LANES; i++) m = x[i] > m ? x[i] : m;
    return m;
}

#endif
