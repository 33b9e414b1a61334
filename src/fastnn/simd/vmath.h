/* vmath.h - exp, log, tanh and their kin over a vec.
 *
 * Written in real.h's types alone, so one text serves both precisions and every instruction set; it
 * is right whether the compiler fuses a*b+c or rounds it twice. The argument is reduced by exact
 * steps; a short polynomial, fitted for the least greatest relative error with its coefficients
 * already rounded, does the rest. No branches and no tables: every input costs the same.
 *
 * Here: functions of one real variable, each with its measured error in units in the last place
 * (ulp), subnormals counted in their own spacing. Not here: activations and their derivatives
 * (activations.h), or anything that walks over an array.
 */
#ifndef FASTNN_VMATH_H
#define FASTNN_VMATH_H

#include "real.h"

/* The format: FRACTION bits below an exponent stored with BIAS added. 2^LIFT takes every subnormal,
 * and every e^x that would round to one, into the normal range. */
#if FASTNN_BITS == 32
typedef uint32_t ureal;
enum { FRACTION = 23, BIAS = 127, LIFT = 32 };
#define SQRT_HALF_BITS 0x3f3504f3u
#define TWO_TO_MINUS_LIFT 0x1p-32f
#else
typedef uint64_t ureal;
enum { FRACTION = 52, BIAS = 1023, LIFT = 64 };
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdu
#define TWO_TO_MINUS_LIFT 0x1p-64
#endif
#define ONE_BITS ((ureal)BIAS << FRACTION)
#define EXPONENT_BITS ((ureal)(2 * BIAS + 1) << FRACTION)

/* real.h's ivec without a sign: its shift to the right brings in zeros and its sums may wrap. */
typedef ureal uvec __attribute__((vector_size(FASTNN_VECTOR_BYTES), may_alias));

/* The high part is short enough for its product with any exponent to be exact. */
#if FASTNN_BITS == 32
static const real LN2_HIGH = 0.693145751953125f, LN2_LOW = 1.42860677e-06f;
#else
static const real LN2_HIGH = 0.6931471805601177, LN2_LOW = -1.7239444525614835e-13;
#endif

/* c[0] + c[1] x + ... + c[count - 1] x^(count - 1), from the highest power down. */
INLINE vec horner(vec x, const real *c, int count, int stride) {
    vec sum = splat(c[(count - 1) * stride]);
    for (int i = count - 2; i >= 0; i--) sum = sum * x + splat(c[i * stride]);
    return sum;
}

/* The same; a long sum takes its even and odd powers side by side, to halve the wait. Measured over
 * an array, each form is 5 % faster than the other on its side of this length. */
INLINE vec polynomial(vec x, const real *c, int count) {
    if (count < 6) return horner(x, c, count, 1);
    vec even = horner(x * x, c, (count + 1) / 2, 2), odd = horner(x * x, c + 1, count / 2, 2);
    return odd * x + even;
}

/* x + low = n ln 2 + r, |r| <= ln 2 / 2: returns e^r - 1, and n + bias in the low bits of *n. A sum
 * as large as shift has a spacing of 1, so adding rounds to an integer; its high bits are for the
 * caller to shift out. r = head - rest is rounded, the head is not: where e^x itself is wanted r will
 * do, but beside a -1 the careful sum is worth its two more operations (tanh: 2.1 ulp without). */
INLINE vec expm1_remainder(vec x, vec low, int careful, int bias, uvec *n) {
#if FASTNN_BITS == 32
    static const real c[] = {0.49999997f, 0.166665465f, 0.0416674353f, 0.0083662644f,
                             0.00138706667f};
#else
    static const real c[] = {0.5000000000000006,     0.16666666666666644,   0.04166666666657591,
                             0.008333333333363068,   0.0013888888931541745, 0.00019841269765022467,
                             2.480150541048666e-05,  2.755737337145301e-06, 2.762597188164562e-07,
                             2.5063008487876747e-08};
#endif
    vec shift = splat((real)((ureal)3 << (FRACTION - 1)) + (real)bias);
    vec sum = x * splat((real)1.4426950408889634) + shift, whole = sum - shift;
    vec head = x - whole * splat(LN2_HIGH);
    vec rest = whole * splat(LN2_LOW) - low, r = head - rest;
    vec curve = r * r * polynomial(r, c, sizeof c / sizeof *c);
    *n = (uvec)sum;
    return careful ? head + (curve - rest) : r + curve;
}

/* e^(x + low) 2^lift = scale (1 + p): returns p. low is what x could not hold, far below ln 2. */
INLINE vec exp_parts(vec x, vec low, int careful, int lift, vec *scale) {
    uvec n;
    vec p = expm1_remainder(x, low, careful, BIAS + lift, &n);
    *scale = (vec)(n << FRACTION);
    return p;
}

/* e^x = 2^n e^r. 2^n is applied as two halves, for n may lie outside what one exponent can hold. */
INLINE vec vexp(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -104 : -746), most = splat(FASTNN_BITS == 32 ? 89 : 710);
    uvec n;
    vec p = expm1_remainder(vmin(most, vmax(least, x)), splat(0), 0, 2 * BIAS, &n);
    uvec half = (n << (FRACTION - 1)) & EXPONENT_BITS;
    vec scale = (vec)half, rest = (vec)((n << FRACTION) - half);
    return (scale * p + scale) * rest;
}

/* e^x - 1 = 2 (h (e^r - 1) + (h - 1/2)) with h = 2^(n-1), which exists even where 2^n overflows.
 * e^x - 1 >= x, so the maximum only repairs what h = 1/2 does to subnormals and to -0. */
INLINE vec vexpm1(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -18 : -38), most = splat(FASTNN_BITS == 32 ? 89 : 710);
    vec h, p = exp_parts(vmin(most, vmax(least, x)), splat(0), 1, -1, &h);
    vec y = h * p + (h - splat((real)0.5));
    return vmax(y + y, x);
}

/* k ln 2 + log(1 + f) for sqrt(1/2) <= 1 + f < sqrt 2; with s = f / (2 + f), log(1 + f) =
 * 2 atanh s = f - s (f - s^2 P(s^2)): only the last, small term sees the rounding of s. */
INLINE vec log_sum(vec k, vec f) {
#if FASTNN_BITS == 32
    static const real c[] = {0.666667759f, 0.399775505f, 0.298723042f};
#else
    static const real c[] = {0.6666666666666735,  0.39999999999408437, 0.28571428744042743,
                             0.22222198379503713, 0.18183575511267314, 0.1531373792706447,
                             0.1479932578836081};
#endif
    vec s = f / (splat(2) + f), z = s * s;
    vec small = s * (f - z * polynomial(z, c, sizeof c / sizeof *c)) - k * splat(LN2_LOW);
    return k * splat(LN2_HIGH) + (f - small);
}

/* The exponent, as a number: below 2^FRACTION an integer is the fraction of a real. */
INLINE vec exponent(uvec bits) {
    vec shift = splat((real)((ureal)1 << FRACTION));
    return (vec)((bits >> FRACTION) | (uvec)shift) - (shift + splat(BIAS));
}

/* log x = k ln 2 + log m, x = 2^k m, sqrt(1/2) <= m < sqrt 2; subnormals are lifted first. */
INLINE vec vlog(vec x) {
    vec infinity = (vec)(EXPONENT_BITS - (uvec){0});
    ivec subnormal = x < splat(FASTNN_BITS == 32 ? (real)0x1p-126 : (real)0x1p-1022);
    uvec lift = ((uvec)subnormal & ((ureal)LIFT << FRACTION)) + ONE_BITS;
    uvec bits = (uvec)(x * (vec)lift) - (SQRT_HALF_BITS - ONE_BITS);
    vec m = (vec)((bits & (((ureal)1 << FRACTION) - 1)) + SQRT_HALF_BITS);
    vec k = exponent(bits) - keep(subnormal, splat(LIFT));
    vec y = log_sum(k, m - splat(1)) - keep(x == splat(0), infinity);
    return choose(x < infinity, (vec)((ivec)y | (x < splat(0))), x);
}

/* log(1 + x) for x >= 0 only: 1 + x = 2^k (1 + f) gives k, and f = 2^-k x + (2^-k - 1) does not
 * suffer from the rounding of 1 + x. x's exponent is lowered in place; 2^(1-k) is 0 for k = BIAS + 1. */
INLINE vec vlog1p(vec x) {
    vec infinity = (vec)(EXPONENT_BITS - (uvec){0});
    uvec bits = (uvec)(splat(1) + x) - (SQRT_HALF_BITS - ONE_BITS);
    uvec k = (bits & EXPONENT_BITS) - ONE_BITS;
    vec twice = (vec)((uvec)splat(2) - k);
    vec f = (vec)((uvec)x - k) + (twice * splat((real)0.5) - splat(1));
    return choose(x < infinity, log_sum(exponent(bits), f), x);
}

/* tanh |x| = (1 - e^y) / (1 + e^y), y = -2|x|; e^y = s (1 + p) enters both sides unrounded. */
INLINE vec vtanh(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -20 : -40);
    vec s, p = exp_parts(vmax(least, splat(-2) * vabs(x)), splat(0), 1, 0, &s);
    return copy_sign(((splat(1) - s) - s * p) / ((splat(1) + s) + s * p), x);
}

/* With e = e^-|x| and t = e / (1 + e): 1 - t, or e (1 - t) for x < 0. e is small where its rounding
 * matters most, and there 1 + e, whose rounding would weigh as much, is seen only by t. */
INLINE vec vsigmoid(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -104 : -746);
    vec s, p = exp_parts(vmax(least, copy_sign(x, splat(-1))), splat(0), 0, LIFT, &s);
    vec e = (s * p + s) * splat(TWO_TO_MINUS_LIFT);
    vec numerator = vmax(keep(x >= splat(0), splat(1)), e);
    return numerator - numerator * (e / (splat(1) + e));
}

/* Phi(x), and its density phi(x) = e^(-x^2/2) / sqrt(2 pi). Phi(-u) = e^(-u^2/2) P(u) / Q(u) for
 * u >= 0, all coefficients positive, Phi(u) = 1 - Phi(-u). u is split into a head whose square is
 * exact and a rest, or the rounding of u^2 would be felt u^2 times. P takes the lift of e^ back. */
INLINE vec vnormal_cdf(vec x, vec *density) {
#if FASTNN_BITS == 32
    static const real least = 14.5f, peak = 9.28859906e-11f;
    static const real p[] = {1.16415322e-10f, 1.01886326e-10f, 4.25361343e-11f, 9.41605648e-12f,
                             9.51215669e-13f};
    static const real q[] = {1, 1.67308176f, 1.20030463f, 0.468027532f, 0.101378769f,
                             0.0102405576f};
#else
    static const real least = 38.7, peak = 2.162670435537773e-20;
    static const real p[] = {2.710505431213761e-20,  4.1985782264818554e-20, 3.217366132338748e-20,
                             1.566333803063869e-20,  5.286570255824545e-21,  1.2775672414995995e-21,
                             2.210345928842567e-22,  2.649042743732376e-23,  2.0107409529737884e-24,
                             7.471637948664394e-26};
    static const real q[] = {1,                     2.3468865211500614,    2.5595431138757077,
                             1.7126133689422716,    0.780917732923605,     0.2544808963373613,
                             0.06029158322637976,   0.010313422235993974,  0.0012283491457920977,
                             9.297491286167e-05,    3.4548204043994674e-06};
#endif
    vec u = vmin(splat(least), vabs(x)), half = splat((real)0.5);
    vec head = (vec)((uvec)u & ((ureal)-1 << (FRACTION + 2) / 2));
    vec s, grown = exp_parts(-half * head * head, half * (u + head) * (head - u), 0, LIFT, &s);
    vec over = splat(p[0]) + u * polynomial(u, p + 1, sizeof p / sizeof *p - 1);
    vec under = splat(q[0]) + u * polynomial(u, q + 1, sizeof q / sizeof *q - 1);
    vec ratio = s * (over / under), top = s * splat(peak);
    *density = top * grown + top;
    return vabs(keep(x > splat(0), splat(1)) - (ratio * grown + ratio));
}

#endif
