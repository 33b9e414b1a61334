/* layer_norm.h - layer normalization (Ba, Kiros, Hinton 2016) of rows in panels:
 *
 *     x^ = (x - mean) s,  s = 1 / sqrt(var + epsilon);  z = gain x^ + bias
 *     dE/dx = s (d - mean(d) - x^ mean(d x^)),  d = gain dE/dz
 *
 * mean and var are those of one row; var divides by the number of columns. Padding of x may hold
 * any numbers, also NaN; padding of x^ is 0.
 *
 * The sections between `c-source` markers (see vmath.h) are also copied into networks as C source.
 */
#ifndef FASTNN_LAYER_NORM_H
#define FASTNN_LAYER_NORM_H

#include "ops.h"

/* c-source: begin layer_norm_forward (needs layer_norm_args, panel_sums, multiply_add, vsqrt) */
INLINE void layer_norm_forward(const fastnn_layer_norm_args *args, const real *x, real *z) {
    const real *gain = args->gain, *bias = args->bias;
    real n = (real)args->columns;
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        panel_sums sum = {{splat(0)}}, squares = {{splat(0)}};
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;
                sum.lanes[v] += keep(lanes_below(args->columns - c - v * LANES), load(x + at));
            }
        vec mean = splat(sum_panel(&sum) / n);
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;
                vec apart = keep(lanes_below(args->columns - c - v * LANES), load(x + at) - mean);
                squares.lanes[v] = multiply_add(apart, apart, squares.lanes[v]);
            }
        vec scale = splat(1) / vsqrt(splat(sum_panel(&squares) / n + args->epsilon));
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;
                vec unit =
                    keep(lanes_below(args->columns - c - v * LANES), (load(x + at) - mean) * scale);
                if (args->unit) store(args->unit + at, unit);
                store(z + at,
                      multiply_add(load(gain + c + v * LANES), unit, load(bias + c + v * LANES)));
            }
        if (args->scale) args->scale[r] = *(const real *)&scale; /* the same in every lane */
    }
}
/* c-source: end */

/* c-source: begin layer_norm_backward (needs layer_norm_args, panel_sums, multiply_add) */
/* below = dE/dx from delta = dE/dz. */
INLINE void layer_norm_backward(const fastnn_layer_norm_args *args, const real *delta,
                                real *below) {
    real n = (real)args->columns;
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        panel_sums sum = {{splat(0)}}, products = {{splat(0)}};
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;
                vec d = load(args->gain + c + v * LANES) * load(delta + at);
                sum.lanes[v] += d;
                products.lanes[v] = multiply_add(d, load(args->unit + at), products.lanes[v]);
            }
        vec mean = splat(sum_panel(&sum) / n), tilt = splat(sum_panel(&products) / n);
        vec scale = splat(args->scale[r]);
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;
                vec d = multiply_add(load(args->gain + c + v * LANES), load(delta + at), -mean);
                vec slope = multiply_add(-load(args->unit + at), tilt, d) * scale;
                store(below + at, keep(lanes_below(args->columns - c - v * LANES), slope));
            }
    }
}
/* c-source: end */

/* g = sum over rows of unit * delta, one panel each. With `more` the sums are added to g. */
static void column_dots(ptrdiff_t rows, const real *unit, const real *delta, int more, real *g) {
    for (int v = 0; v < PANEL; v += LANES) {
        vec sum = more ? load(g + v) : (vec){0};
        for (ptrdiff_t r = 0; r < rows; r++)
            sum = multiply_add(load(unit + r * PANEL + v), load(delta + r * PANEL + v), sum);
        store(g + v, sum);
    }
}

#endif
