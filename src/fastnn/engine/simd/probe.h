/* probe.h - functions that measure the peak speeds of this CPU, in multiply-adds and in reading
 * memory, with which other speeds are compared. */
#ifndef FASTNN_PROBE_H
#define FASTNN_PROBE_H

#include "ops.h"

/* Independent chains of fused multiply-adds in registers: enough chains to fill two units with a
 * latency of four cycles, few enough for 16 registers. Returns the number of operations. */
enum { CHAINS = 12 };

static double multiply_adds(ptrdiff_t n, real *sink) {
    vec chain[CHAINS], factor = splat((real)0.999), term = splat((real)0.001);
    for (int j = 0; j < CHAINS; j++) chain[j] = splat((real)j);
    for (ptrdiff_t i = 0; i < n; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) chain[j] = multiply_add(chain[j], factor, term);
    vec sum = {0};
    for (int j = 0; j < CHAINS; j++) sum += chain[j];
    *sink = sum_lanes(sum); /* keeps the compiler from removing the loop */
    return 2.0 * CHAINS * LANES * (double)n;
}

/* The sum of n reals, n a multiple of 8 PANEL. READS consecutive loads go to READS chains of
 * additions, so that the additions don't wait for each other. The sum keeps the compiler from
 * removing the loads. */
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
