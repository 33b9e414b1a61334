/* vmath.h - exp, log, tanh and similar functions of a vec.
 *
 * The functions use the types of real.h only, so one source serves both precisions and every
 * instruction set. They are accurate whether multiply_add rounds once or twice. Each reduces its
 * argument to a short interval and evaluates a polynomial there: a minimax fit of the relative
 * error by coefficients that are already rounded. There are no branches and no tables.
 *
 * Here: functions of one real variable, each with its greatest measured error in units in the last
 * place (ulp; that of a subnormal is the spacing of subnormals): for float over every float, for
 * double over at least a million points where the function is hardest, with and without fused
 * products. Infinities give the limit, NaN gives NaN. Not here: activations and their derivatives
 * (activations.h), or loops over arrays.
 *
 * The sections between `c-source` markers are also copied into networks as C source, where a vec
 * may be one real (exchange/c_source.h): they are C99, and call only the sections that their
 * markers name.
 */
#ifndef FASTNN_VMATH_H
#define FASTNN_VMATH_H

#include "real.h"

/* c-source: begin maths */
/* The format: FRACTION bits below an exponent stored with BIAS added. 2^LIFT takes every subnormal,
 * and every e^x that would round to one, into the normal range. */
#if FASTNN_BITS == 32
enum { FRACTION = 23, BIAS = 127, LIFT = 32 };
#define SQRT_HALF_BITS 0x3f3504f3u
#define TWO_TO_MINUS_LIFT 0x1p-32f
#else
enum { FRACTION = 52, BIAS = 1023, LIFT = 64 };
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdu
#define TWO_TO_MINUS_LIFT 0x1p-64
#endif
#define ONE_BITS ((ureal)BIAS << FRACTION)
#define EXPONENT_BITS ((ureal)(2 * BIAS + 1) << FRACTION)

/* From here on a real has a spacing of 1: its low bits are an integer. */
#define INTEGER_SHIFT ((real)((ureal)3 << (FRACTION - 1)))
/* c-source: end */

/* c-source: begin ln2 */
/* The high part is short enough for its product with any exponent to be exact. */
#if FASTNN_BITS == 32
static const real LN2_HIGH = 0.693145751953125f, LN2_LOW = 1.42860677e-06f;
#else
static const real LN2_HIGH = 0.6931471805601177, LN2_LOW = -1.7239444525614835e-13;
#endif
/* c-source: end */

/* c-source: begin polynomial (needs multiply_add) */
/* c[0] + c[stride] x + c[2 stride] x^2 + ..., count terms, from the highest power down. */
INLINE vec horner(vec x, const real *c, int count, int stride) {
    vec sum = splat(c[(count - 1) * stride]);
    for (int i = count - 2; i >= 0; i--) sum = multiply_add(sum, x, splat(c[i * stride]));
    return sum;
}

/* c[0] + c[1] x + ..., count terms; a long sum takes its even and odd powers side by side, all but
 * the first, to halve the wait. Measured over an array, each form is 5 % faster than the other on
 * its side of this length. */
INLINE vec polynomial(vec x, const real *c, int count) {
    if (count < 6) return horner(x, c, count, 1);
    vec odd = horner(x * x, c + 1, count / 2, 2), even = horner(x * x, c + 2, (count - 1) / 2, 2);
    return multiply_add(multiply_add(even, x, odd), x, splat(c[0]));
}
/* c-source: end */

/* c-source: begin exp_curve (needs ln2, maths, polynomial) */
/* x = n ln 2 + r, |r| <= ln 2 / 2: returns r, and n + bias in the low bits of *n. A sum as large
 * as shift has a spacing of 1, so adding rounds to an integer; its high bits are the caller's to
 * drop. */
INLINE vec ln2_remainder(vec x, int bias, uvec *n) {
    vec shift = splat(INTEGER_SHIFT + (real)bias);
    vec sum = multiply_add(x, splat((real)1.4426950408889634), shift), whole = sum - shift;
    *n = bits_of(sum);
    return multiply_add(whole, splat(-LN2_LOW), multiply_add(whole, splat(-LN2_HIGH), x));
}

/* P(r) of e^r - 1 - r = r^2 P(r) for |r| <= ln 2 / 2. */
INLINE vec exp_curve(vec r) {
#if FASTNN_BITS == 32
    static const real c[] = {0.49999997f, 0.166665465f, 0.0416674353f, 0.0083662644f,
                             0.00138706667f};
#else
    static const real c[] = {0.5000000000000006,    0.16666666666666644,   0.04166666666657591,
                             0.008333333333363068,  0.0013888888931541745, 0.00019841269765022467,
                             2.480150541048666e-05, 2.755737337145301e-06, 2.762597188164562e-07,
                             2.5063008487876747e-08};
#endif
    return polynomial(r, c, sizeof c / sizeof *c);
}

/* e^r - 1 for the same r. */
INLINE vec exp_rest(vec r) { return multiply_add(r * r, exp_curve(r), r); }
/* c-source: end */

/* c-source: begin exp_parts (needs exp_curve) */
/* e^(x - low) 2^lift = scale (1 + p): returns p. low is what x could not hold, far below ln 2. */
INLINE vec exp_parts(vec x, vec low, int lift, vec *scale) {
    uvec n;
    vec r = ln2_remainder(x, BIAS + lift, &n) - low;
    *scale = real_of(n << FRACTION);
    return exp_rest(r);
}
/* c-source: end */

/* c-source: begin vexp (needs exp_curve) */
/* e^x = 2^n e^r; 2^n is applied as two halves, for n may lie outside what one exponent can hold. x
 * is clamped where the result is 0 or infinity anyway; vmax and vmin let NaN, their second operand,
 * pass. float 1.04 ulp, double 1.1. */
INLINE vec vexp(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -104 : -746), most = splat(FASTNN_BITS == 32 ? 89 : 710);
    uvec n;
    vec r = ln2_remainder(vmin(most, vmax(least, x)), 2 * BIAS, &n), p = exp_rest(r);
    uvec half = (n << (FRACTION - 1)) & EXPONENT_BITS;
    vec scale = real_of(half), rest = real_of((n << FRACTION) - half);
    return multiply_add(scale, p, scale) * rest;
}
/* c-source: end */

/* c-source: begin vexpm1 (needs exp_curve) */
/* e^x - 1 = 2 (h (e^r - 1) + (h - 1/2)) with h = 2^(n-1), which exists even where 2^n overflows;
 * r joins h - 1/2 first, where it is exact near 0. e^x - 1 >= x, so the maximum only repairs what
 * h = 1/2 does to subnormals and to -0. float 1.32 ulp, double 1.7. */
INLINE vec vexpm1(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -18 : -38), most = splat(FASTNN_BITS == 32 ? 89 : 710);
    uvec n;
    vec r = ln2_remainder(vmin(most, vmax(least, x)), BIAS - 1, &n), h = real_of(n << FRACTION);
    vec y = multiply_add(h, r * r * exp_curve(r), multiply_add(h, r, h - splat((real)0.5)));
    return vmax(y + y, x);
}
/* c-source: end */

/* c-source: begin log_sum (needs ln2, maths, polynomial) */
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
    vec rest = multiply_add(-z, polynomial(z, c, sizeof c / sizeof *c), f);
    return multiply_add(k, splat(LN2_HIGH), f - multiply_add(s, rest, -(k * splat(LN2_LOW))));
}

/* The exponent, as a number: below 2^FRACTION an integer is the fraction of a real. */
INLINE vec exponent(uvec bits) {
    vec shift = splat((real)((ureal)1 << FRACTION));
    return real_of((bits >> FRACTION) | bits_of(shift)) - (shift + splat(BIAS));
}
/* c-source: end */

/* c-source: begin vlog (needs log_sum) */
/* log x = k ln 2 + log m, x = 2^k m, sqrt(1/2) <= m < sqrt 2; subnormals are lifted first. log 0 is
 * -infinity, of less NaN. float 0.96 ulp, double 0.96. */
INLINE vec vlog(vec x) {
    vec infinity = real_of(splat_bits(EXPONENT_BITS));
    ivec subnormal = x < splat(FASTNN_BITS == 32 ? (real)0x1p-126 : (real)0x1p-1022);
    vec exponent_of_lift = real_of(splat_bits((ureal)LIFT << FRACTION));
    uvec lift = bits_of(keep(subnormal, exponent_of_lift)) + ONE_BITS;
    uvec bits = bits_of(x * real_of(lift)) - (SQRT_HALF_BITS - ONE_BITS);
    vec m = real_of((bits & (((ureal)1 << FRACTION) - 1)) + SQRT_HALF_BITS);
    vec k = exponent(bits) - keep(subnormal, splat(LIFT));
    vec y = log_sum(k, m - splat(1)) - keep(x == splat(0), infinity);
    y = choose(x < splat(0), real_of(splat_bits((ureal)-1)), y);
    return choose(x < infinity, y, x);
}
/* c-source: end */

/* c-source: begin vlog1p (needs log_sum) */
/* log(1 + x) for x >= 0 only: 1 + x = 2^k (1 + f) gives k, and f = 2^-k x + (2^-k - 1) does not
 * suffer from the rounding of 1 + x. x's exponent is lowered in place; 2^(1-k) is 0 for k = BIAS +
 * 1. float 1.54 ulp, double 1.5. */
INLINE vec vlog1p(vec x) {
    vec infinity = real_of(splat_bits(EXPONENT_BITS));
    uvec bits = bits_of(splat(1) + x) - (SQRT_HALF_BITS - ONE_BITS);
    uvec k = (bits & EXPONENT_BITS) - ONE_BITS;
    vec twice = real_of(bits_of(splat(2)) - k);
    vec f = real_of(bits_of(x) - k) + multiply_add(twice, splat((real)0.5), splat(-1));
    return choose(x < infinity, log_sum(exponent(bits), f), x);
}
/* c-source: end */

/* c-source: begin vtanh (needs ln2, maths, polynomial) */
/* |x| = n ln 2 / 2 + r, s = 2^n, T = tanh r = r + r^3 P(r^2), then tanh |x| =
 * (s - 1 + (s + 1) T) / (s + 1 + (s - 1) T), which is T itself where n = 0. -1/4 before rounding
 * lets n grow at |x| = 0.26 and 0.61, just past tanh = 1/4 and 1/2, where an ulp has become larger.
 * The denominator is built from the numerator for their roundings to cancel as the ratio nears 1.
 * float 1.75 ulp, double 1.9. */
INLINE vec vtanh(vec x) {
#if FASTNN_BITS == 32
    static const real c[] = {-0.333332151f, 0.133226871f, -0.0512248874f};
#else
    static const real c[] = {-0.3333333333333241,   0.13333333332984726,   -0.053968253522677964,
                             0.021869461499534497,  -0.008862356198431027, 0.0035763419671676557,
                             -0.0013073587207152826};
#endif
    vec u = vmin(splat(FASTNN_BITS == 32 ? 10 : 20), vabs(x));
    vec shift = splat(INTEGER_SHIFT + (real)BIAS);
    vec sum = multiply_add(u, splat((real)2.8853900817779268), splat((real)-0.25)) + shift;
    vec n = sum - shift, s = real_of(bits_of(sum) << FRACTION);
    vec r = multiply_add(n, splat(-LN2_LOW / 2), multiply_add(n, splat(-LN2_HIGH / 2), u));
    vec z = r * r, t = multiply_add(z * r, polynomial(z, c, sizeof c / sizeof *c), r);
    vec above = multiply_add(s + splat(1), t, s - splat(1));
    vec below = above + multiply_add(splat(-2), t, splat(2));
    return copy_sign(above / below, x);
}
/* c-source: end */

/* c-source: begin vsigmoid (needs exp_parts) */
/* With e = e^-|x| and t = e / (1 + e): 1 - t, or e (1 - t) for x < 0. e is small where its rounding
 * matters most, and there 1 + e, whose rounding would weigh as much, is seen only by t. t is formed
 * of the lifted e: a multiplication less to wait for. float 1.87 ulp, double 1.9. */
INLINE vec vsigmoid(vec x) {
    vec least = splat(FASTNN_BITS == 32 ? -104 : -746);
    vec s, p = exp_parts(vmax(least, copy_sign(x, splat(-1))), splat(0), LIFT, &s);
    vec lifted = multiply_add(s, p, s), t = lifted / (splat(1 / TWO_TO_MINUS_LIFT) + lifted);
    vec numerator = vmax(keep(x >= splat(0), splat(1)), lifted * splat(TWO_TO_MINUS_LIFT));
    return multiply_add(-numerator, t, numerator);
}
/* c-source: end */

/* c-source: begin vnormal_cdf (needs exp_parts) */
/* Phi(x), and its density phi(x) = e^(-x^2/2) / sqrt(2 pi), from one e^: for u >= 0, Phi(-u) =
 * e^(-u^2/2) P(u) / Q(u), Phi(u) = 1 - Phi(-u). Q = (a u + b) P + S: where u is large and P has
 * gathered rounding, S is small beside Q and dividing by Q cancels it. u is split into a head whose
 * square is exact and a rest, or the rounding of u^2 would be felt u^2 times. P's coefficients and
 * the density's hold 2^-LIFT, and so a and b 2^LIFT. Phi: float 3.8 ulp, double 4.1; phi: float
 * 1.93 ulp, double 1.6; as good in the far tail. */
INLINE vec vnormal_cdf(vec x, vec *density) {
#if FASTNN_BITS == 32
    static const real most = 14.5f, peak = 9.28859906e-11f, a = 1.07657626e+10f, b = 7946240;
    static const real p[] = {1.16415322e-10f, 1.01967809e-10f, 4.25941088e-11f, 9.43493027e-12f,
                             9.53812333e-13f};
    static const real s[] = {0.999074936f, 0.419671655f, 0.103261694f, 0.0100492574f};
#else
    static const real most = 38.7, peak = 2.162670435537773e-20;
    static const real a = 4.623913027018235e+19, b = -32754335744;
    static const real p[] = {2.710505431213761e-20,  4.199085627440326e-20,  3.218100946410033e-20,
                             1.5668584296244046e-20, 5.288923854750196e-21,  1.2782859156214105e-21,
                             2.2118714129876466e-22, 2.6512471115034934e-23, 2.0127411122572163e-24,
                             7.480533425231488e-26};
    static const real s[] = {1.000000000887808,     1.0937595831186182,    0.6183429023676142,
                             0.22502691393441798,   0.05668983767555525,   0.010041354441970338,
                             0.0012189961760680444, 9.306738799196586e-05, 3.4589338597616577e-06};
#endif
    vec u = vmin(splat(most), vabs(x)), half = splat((real)0.5);
    vec head = real_of(bits_of(u) & ((ureal)-1 << (FRACTION + 2) / 2));
    vec scale, grown = exp_parts(-half * head * head, half * (u + head) * (u - head), LIFT, &scale);
    vec above = polynomial(u, p, sizeof p / sizeof *p);
    vec rest = polynomial(u, s, sizeof s / sizeof *s);
    vec below = multiply_add(multiply_add(u, splat(a), splat(b)), above, rest);
    vec ratio = scale * (above / below), top = scale * splat(peak);
    *density = multiply_add(top, grown, top);
    return vabs(keep(x > splat(0), splat(1)) - multiply_add(ratio, grown, ratio));
}
/* c-source: end */

/* c-source: begin vsine (needs maths, polynomial) */
/* sin(2 pi t), and cos(2 pi t) in *cosine. Whole turns are subtracted first, which is exact: from
 * 2^FRACTION on t consists of them. t = q / 4 + s with |s| <= 1/8 is exact, too; the low bits of q,
 * an integer, say which of the two functions of s is which, and its sign. 2 pi has two parts, so
 * that only its product with s is rounded at full size. For all t: sine float 0.94 ulp, double
 * 1.0; cosine float 0.97 ulp, double 1.01; without fused products 1.59 ulp. */
INLINE vec vsine(vec t, vec *cosine) {
#if FASTNN_BITS == 32
    static const real two_pi = 6.2831855f;
    static const real p[] = {-1.74845553e-07f, -41.341671f, 81.5937653f, -75.4456482f};
    static const real q[] = {-19.7392082f, 64.9393234f, -85.4437408f, 59.246006f};
#else
    static const real two_pi = 6.283185307179586;
    static const real p[] = {2.4492935982947064e-16, -41.34170224039967, 81.60524927596529,
                             -76.70585970791963,     42.05868539568885,  -15.0938228488694,
                             3.781226010926235};
    static const real q[] = {-19.739208802178716, 64.93939402266801,   -85.45681720654012,
                             60.24464133162376,   -26.426251141502902, 7.903101685678835,
                             -1.6970209182214318};
#endif
    vec shift = splat(INTEGER_SHIFT), quarter = splat((real)0.25);
    vec size = vabs(t);
    ivec has_fraction = size < splat((real)((ureal)1 << FRACTION));
    vec part = choose(has_fraction, size - ((size + shift) - shift), t * splat(0)); /* NaN stays */
    vec turn = real_of(bits_of(part) ^ (bits_of(t) & bits_of(splat((real)-0.0))));
    vec sum = multiply_add(turn, splat(4), shift), s = multiply_add(shift - sum, quarter, turn);
    uvec n = bits_of(sum), one = splat_bits(1), two = splat_bits(2);
    vec x = s * s, tail = s * polynomial(x, p, sizeof p / sizeof *p);
    vec odd = multiply_add(s, splat(two_pi), tail);
    vec even = multiply_add(x, polynomial(x, q, sizeof q / sizeof *q), splat(1));
    vec swapped = real_of(splat_bits(ONE_BITS) & (splat_bits(0) - (n & one)));
    ivec swaps = swapped > splat(0);
    uvec sine = bits_of(choose(swaps, even, odd)) ^ ((n & two) << (FASTNN_BITS - 2));
    uvec other = bits_of(choose(swaps, odd, even)) ^ (((n + one) & two) << (FASTNN_BITS - 2));
    *cosine = real_of(other);
    return real_of(sine);
}
/* c-source: end */

#endif
