/* root.h - square roots by multiply-adds, with the bits of the hardware's.
 *
 * A CPU computes square roots and divisions one after the other in the same unit. An update rule
 * has one of each: while the unit divides, multiply-adds compute the root. Measured on a Xeon with
 * AMX (model 167), a step of Adam in float32: 16-64-64-1 with batches of one row 1.3 times as fast,
 * with 4 rows 1.17 times; 784-256-128-10 with one row 1.17 times; in float64 the first 1.8 times.
 * Other CPUs have not been measured and use their own root in float32, as do updates beside
 * products, which keep the multiply-adds busy. Not here: other functions (vmath.h).
 *
 * Goldschmidt's iteration and Markstein's correction (Markstein, "Software Division and Square Root
 * Using Goldschmidt's Algorithms", 2004). The result is correctly rounded whatever the error of the
 * first approximation, up to the 2^-14 that the instruction set allows. In float32 this was tried
 * with every such approximation for each fraction and either parity of the exponent; in float64
 * with 20 million for each of the 1458 fractions whose roots are nearest to the middle between two
 * numbers. Only the fraction 1 + 2^-52 failed, with about one in 36,000 of them. */
#ifndef FASTNN_ROOT_H
#define FASTNN_ROOT_H

#include "real.h"

#if FASTNN_VECTOR_BYTES == 64 && defined(__AVX512F__) &&                                           \
    (defined(__AMX_TILE__) || FASTNN_BITS == 64)
#if FASTNN_BITS == 32
/* The lanes whose root is computed. Below 2^-90 the error x - g^2 may be subnormal, and treated as
 * 0. */
INLINE __mmask16 usual_roots(__m512i bits) {
    enum { LEAST = 0x12800000, MOST = 0x7f7fffff }; /* 2^-90; the largest number */
    __m512i beyond = _mm512_sub_epi32(bits, _mm512_set1_epi32(LEAST));
    return _mm512_cmple_epu32_mask(beyond, _mm512_set1_epi32(MOST - LEAST));
}

INLINE __mmask16 other_than_0(__m512i bits) { return _mm512_test_epi32_mask(bits, bits); }

INLINE vec inverse_root(__mmask16 lanes, vec x) {
    return (vec)_mm512_maskz_rsqrt14_ps(lanes, (__m512)x);
}

enum { REFINEMENTS = 1 };
#else
INLINE __mmask8 usual_roots(__m512i bits) {
    const int64_t least = 0x07b0000000000000, most = 0x7fefffffffffffff; /* 2^-900; the largest */
    const int64_t fraction = 0xfffffffffffff;
    __m512i beyond = _mm512_sub_epi64(bits, _mm512_set1_epi64(least));
    __m512i past_1 = _mm512_sub_epi64(bits, _mm512_set1_epi64(1)); /* fraction 0 if that was 1 */
    return _mm512_mask_test_epi64_mask(
        _mm512_cmple_epu64_mask(beyond, _mm512_set1_epi64(most - least)), past_1,
        _mm512_set1_epi64(fraction));
}

INLINE __mmask8 other_than_0(__m512i bits) { return _mm512_test_epi64_mask(bits, bits); }

INLINE vec inverse_root(__mmask8 lanes, vec x) {
    return (vec)_mm512_maskz_rsqrt14_pd(lanes, (__m512d)x);
}

enum { REFINEMENTS = 2 };
#endif

/* Lanes that are 0 have approximations of 0, and the root 0. */
INLINE vec root_by_products(vec x) {
    __m512i bits = (__m512i)x;
    unsigned usual = usual_roots(bits);
    if (usual != (1U << LANES) - 1 && (other_than_0(bits) & ~usual) != 0) return vsqrt(x);
    vec half = splat((real)0.5), y = inverse_root(usual, x);
    vec g = x * y, h = half * y; /* the root, and half of its inverse */
#pragma GCC unroll 2
    for (int i = 0; i < REFINEMENTS; i++) {
        vec r = multiply_add(-h, g, half);
        g = multiply_add(g, r, g), h = multiply_add(h, r, h);
    }
    return multiply_add(multiply_add(-g, g, x), h, g);
}
#else
INLINE vec root_by_products(vec x) { return vsqrt(x); }
#endif

#endif
