/* penalties.h - penalties of weights, norms and clipping of gradients, moving averages of weights:
 * the parts of an update besides its rule. */
#ifndef FASTNN_PENALTIES_H
#define FASTNN_PENALTIES_H

#include "real.h"

/* l1 sum|w| + l2 sum w^2;  d/dw = l1 sign(w) + 2 l2 w, 0 at 0 */
static inline double penalty(ptrdiff_t n, real l1, real l2, const real *w, real *g) {
    vec lasso = splat(l1), ridge = splat(l2);
    panel_sums sum = {{{0}}};
    for (ptrdiff_t i = 0; i < n; i += PANEL)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vec x = load(w + i + v * LANES), slope = multiply_add(ridge, vabs(x), lasso);
            sum.lanes[v] = multiply_add(slope, vabs(x), sum.lanes[v]);
            if (g) {
                real *at = g + i + v * LANES;
                vec sign = keep(x != splat(0), copy_sign(splat(1), x));
                store(at, load(at) + multiply_add(splat(2) * ridge, x, lasso * sign));
            }
        }
    return (double)sum_panel(&sum);
}

/* sum g^2, for clipping by norms; summed again in doubles, one by one, if reals overflow */
static double sum_squares(ptrdiff_t n, const real *g) {
    panel_sums sum = {{{0}}};
    for (ptrdiff_t i = 0; i < n; i += PANEL)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vec x = load(g + i + v * LANES);
            sum.lanes[v] = multiply_add(x, x, sum.lanes[v]);
        }
    double total = (double)sum_panel(&sum);
    if (total - total == 0) return total;
    double scale = sizeof(real) == sizeof(double) ? FASTNN_SQUARES_SCALE : 1, sum_of_scaled = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        double x = (double)g[i] * scale;
        sum_of_scaled += x * x;
    }
    return scale == 1 ? sum_of_scaled : -sum_of_scaled;
}

/* g <- factor g, clipped to [-bound, bound]; NaN stays NaN */
static void limit(ptrdiff_t n, real factor, real bound, real *g) {
    vec low = splat(-bound), high = splat(bound);
    for (ptrdiff_t i = 0; i < n; i += LANES)
        store(g + i, vmin(high, vmax(low, splat(factor) * load(g + i))));
}

/* average <- momentum average + (1 - momentum) w, with one multiplication less */
static void average(ptrdiff_t n, real momentum, const real *w, real *mean) {
    vec fresh = splat(1 - momentum);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec old = load(mean + i);
        store(mean + i, multiply_add(fresh, load(w + i) - old, old));
    }
}

#endif
