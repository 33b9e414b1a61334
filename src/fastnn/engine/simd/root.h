/* root.h - square roots by multiply-adds, with the bits of the hardware's.
 *
 * A CPU computes square roots and divisions one after the other in the same unit. An update rule
 * has one of each: while the unit divides, multiply-adds compute the root. Measured on a Xeon with
 * AMX (model 167), a step of Adam: 16-64-64-1 with batches of one row 1.3 times as fast, with 4
 * rows 1.17 times; 784-256-128-10 with one row 1.17 times. Other CPUs have not been measured and
 * use their own root, as do updates beside products, which keep the multiply-adds busy. Not here:
 * other functions (vmath.h).
 *
 * Goldschmidt's iteration and Markstein's correction (Markstein, "Software Division and Square Root
 * Using Goldschmidt's Algorithms", 2004). The result is correctly rounded whatever the error of the
 * first approximation, up to the 2^-14 that the instruction set allows: tried with every such
 * approximation for each fraction and either parity of the exponent.
 */
#ifndef FASTNN_ROOT_H
#define FASTNN_ROOT_H

#include "real.h"

#if defined(__AMX_TILE__) && FASTNN_VECTOR_BYTES == 64 && FASTNN_BITS == 32
/* Below LEAST the error x - g^2 may be subnormal, and treated as 0. 0 is handled by the mask. */
INLINE vec root_by_products(vec x) {
    enum { LEAST = 0x12800000, MOST = 0x7f7fffff }; /* 2^-90; the largest number */
    __m512i bits = (__m512i)x, beyond = _mm512_sub_epi32(bits, _mm512_set1_epi32(LEAST));
    __mmask16 usual = _mm512_cmple_epu32_mask(beyond, _mm512_set1_epi32(MOST - LEAST));
    if (usual != 0xffff && (usual | _mm512_testn_epi32_mask(bits, bits)) != 0xffff) return vsqrt(x);
    vec half = splat(0.5F), y = (vec)_mm512_maskz_rsqrt14_ps(usual, (__m512)x);
    vec g = x * y, h = half * y;
    vec r = multiply_add(-h, g, half);
    g = multiply_add(g, r, g), h = multiply_add(h, r, h);
    return multiply_add(multiply_add(-g, g, x), h, g);
}
#else
INLINE vec root_by_products(vec x) { return vsqrt(x); }
#endif

#endif
