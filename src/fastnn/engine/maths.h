/* maths.h - the functions of doubles outside the kernels that weights depend on: powers (Adam's
 * bias correction, schedules) and half a cosine (schedules).
 *
 * C libraries differ in the last digit of pow and cos, from system to system and even from CPU to
 * CPU. These functions use only additions, multiplications and divisions, each rounded separately,
 * and so give the same bits everywhere. The series are Taylor series: on a short interval they need
 * only a few terms more than the best polynomial, and their coefficients need no explanation.
 */
#ifndef FASTNN_MATHS_H
#define FASTNN_MATHS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* log2 x for normal x > 0: x = 2^k m with sqrt(1/2) <= m < sqrt 2; with f = m - 1, s = f / (2 + f)
 * and z = s^2, log m = 2 atanh s = f - s (f - z P(z)), P(z) = 2/3 + 2/5 z + 2/7 z^2 + ... */
static inline double fastnn_log2(double x) {
    enum { TERMS = 11, FRACTION = 52 };
    const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd);
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t k = (int64_t)(bits - root_half) >> FRACTION;
    bits -= (uint64_t)k << FRACTION;
    double m;
    memcpy(&m, &bits, sizeof m);
    double f = m - 1, s = f / (2 + f), z = s * s, p = 0;
    for (int n = TERMS; n > 0; n--) p = p * z + 2.0 / (2 * n + 1);
    return (double)k + (f - s * (f - z * p)) * 1.4426950408889634;
}

/* 2^x; 0 where the result would be subnormal, infinity where it would overflow.
 * 2^x = 2^n e^r, |r| <= ln 2 / 2. */
static inline double fastnn_exp2(double x) {
    static const double c[] = {1,
                               1,
                               1.0 / 2,
                               1.0 / 6,
                               1.0 / 24,
                               1.0 / 120,
                               1.0 / 720,
                               1.0 / 5040,
                               1.0 / 40320,
                               1.0 / 362880,
                               1.0 / 3628800,
                               1.0 / 39916800,
                               1.0 / 479001600,
                               1.0 / 6227020800};
    if (!(x >= -1022)) return x < -1022 ? 0 : x;
    if (x >= 1024) return INFINITY;
    double n = floor(x + 0.5), r = (x - n) * 0.6931471805599453, squared = r * r, even = 0, odd = 0;
    for (int i = 12; i >= 0; i -= 2) {
        even = even * squared + c[i];
        odd = odd * squared + c[i + 1];
    }
    uint64_t bits = (uint64_t)((int64_t)n + 1022) << 52; /* 2^(n - 1), which is finite */
    double half;
    memcpy(&half, &bits, sizeof half);
    return half * (even + odd * r) * 2;
}

/* x^y for x >= 0. Small integers y use multiplications, so that 0.1^2 equals 0.1 * 0.1. */
static inline double fastnn_power(double x, double y) {
    enum { SMALL = 16 };
    if (y == floor(y) && fabs(y) <= SMALL) {
        double product = 1;
        for (int n = (int)fabs(y); n > 0; n--) product *= x;
        return y < 0 ? 1 / product : product;
    }
    if (!(x >= 0x1p-1022)) return y > 0 ? 0 : INFINITY;
    return fastnn_exp2(y * fastnn_log2(x));
}

/* (1 + cos(pi x)) / 2 for 0 <= x <= 1, from the sine of the smaller angle: sin^2(pi (1 - x) / 2) or
 * 1 - sin^2(pi x / 2). So it is exactly 1 at 0, and 0 at 1. */
static inline double fastnn_half_cosine(double x) {
    enum { LAST = 17 };
    int is_early = x < 0.5;
    double u = 1.5707963267948966 * (is_early ? x : 1 - x), squared = u * u, sine = 0;
    for (int n = LAST; n > 1; n -= 2) sine = (1 + sine) * -squared / (n * (n - 1));
    sine = (1 + sine) * u;
    return is_early ? 1 - sine * sine : sine * sine;
}

#endif
