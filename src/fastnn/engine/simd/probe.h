/* probe.h - the peaks of this CPU in multiply-adds and in reading, which other speeds are compared
 * with. */
#ifndef FASTNN_PROBE_H
#define FASTNN_PROBE_H

#include "ops.h"

/* Chains of fused multiply-adds that need nothing but registers: enough of them to fill two units
 * of four cycles' latency, few enough for 16 registers. Returns the number of operations done. */
enum { CHAINS = 12 };

static double multiply_adds(ptrdiff_t n, real *sink) {
    vec chain[CHAINS], factor = splat((real)0.999), term = splat((real)0.001);
    for (int j = 0; j < CHAINS; j++) chain[j] = splat((real)j);
    for (ptrdiff_t i = 0; i < n; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) chain[j] = multiply_add(chain[j], factor, term);
    vec sum = {0};
    for (int j = 0; j < CHAINS; j++) sum += chain[j];
    *sink = sum_lanes(sum); /* or the compiler would drop it all */
    return 2.0 * CHAINS * LANES * (double)n;
}

/* The sum of n reals, n a multiple of 8 PANEL: loads in a row, and as many chains of additions, so
 * that the latter don't wait for each other. The sum keeps the compiler from dropping the loads. */
enum { READS = 8 };

static real read_all(ptrdiff_t n, const real *x) {
    vec chain[READS] = {{0}};
    for (ptrdiff_t i = 0; i < n; i += READS * LANES)
#pragma GCC unroll 8
        for (int j = 0; j < READS; j++) chain[j] += load(x + i + j * LANES);
    vec sum = {0};
    for (int j = 0; j < READS; j++) sum += chain[j];
    return sum_lanes(sum);
}

#endif
