/* losses.h - each loss and its derivative, and the list of all losses. Each has its block, between
 * `c-source` markers (see vmath.h) with its name or NAME_activation. To add a loss, see "Adding to
 * fastnn" in ARCHITECTURE.md.
 *
 * Every loss that is a sum over the outputs is in a second list, too, of functions that take a
 * weight for each output.
 *
 * Most losses take the output y of any activation and compute dE/dy, which is then multiplied by
 * the derivative of the activation. Likelihoods take the pre-activation a of the one activation
 * that they pair with, since their formulas in a are stable, and compute delta = dE/da at once.
 */
#ifndef FASTNN_LOSSES_H
#define FASTNN_LOSSES_H

#include "activations.h"

/* c-source: begin loss_rows (needs loss_args, panel_sums) */
/* Needs vec NAME(vec y, vec t, vec parameter, vec *slope): the losses of LANES outputs. With one
 * output, all other lanes are 0 and need no sum. */
#define ELEMENTWISE_LOSS(NAME)                                                                     \
    static void NAME##_rows(const fastnn_loss_args *args) {                                        \
        for (ptrdiff_t r = 0; r < args->rows; r++) {                                               \
            vec weight = splat(args->weight[r]);                                                   \
            panel_sums sum = {{splat(0)}};                                                         \
            for (ptrdiff_t c = 0; c < args->columns; c += PANEL)                                   \
                for (int v = 0; v < PANEL_VECTORS; v++) {                                          \
                    ptrdiff_t column = c + v * LANES;                                              \
                    ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;                 \
                    ivec real_column = lanes_below(args->columns - column);                        \
                    vec parameter = args->parameter ? load(args->parameter + column) : splat(0);   \
                    vec slope,                                                                     \
                        loss = NAME(load(args->y + at), load(args->t + at), parameter, &slope);    \
                    sum.lanes[v] += keep(real_column, loss);                                       \
                    store(args->delta + at, keep(real_column, slope * weight));                    \
                }                                                                                  \
            real total = args->columns == 1 ? first_of_panel(&sum) : sum_panel(&sum);              \
            args->loss[r] = (double)total * (double)args->weight[r];                               \
        }                                                                                          \
    }
/* c-source: end */

/* c-source: begin squared_error (needs loss_rows) */
/* squared_error: E = 1/2 (y - t)^2;  dE/dy = y - t */
INLINE vec squared_error(vec y, vec t, vec parameter, vec *slope) {
    (void)parameter;
    *slope = y - t;
    return splat((real)0.5) * *slope * *slope;
}

ELEMENTWISE_LOSS(squared_error)
/* c-source: end */

/* c-source: begin absolute_error (needs loss_rows) */
/* absolute_error: E = |y - t|;  dE/dy = sign(y - t), 0 at 0 */
INLINE vec absolute_error(vec y, vec t, vec parameter, vec *slope) {
    (void)parameter;
    vec r = y - t;
    *slope = keep(r != splat(0), copy_sign(splat(1), r));
    return vabs(r);
}

ELEMENTWISE_LOSS(absolute_error)
/* c-source: end */

/* c-source: begin huber (needs loss_rows, multiply_add) */
/* huber: r = y - t; E = 1/2 r^2 where |r| <= d, else d (|r| - d/2);  dE/dy = c = r clipped to
 * [-d, d]; and so E = c (r - c/2) */
INLINE vec huber(vec y, vec t, vec d, vec *slope) {
    vec r = y - t, c = vmin(d, vmax(-d, r));
    *slope = c;
    return c * multiply_add(splat((real)-0.5), c, r);
}

ELEMENTWISE_LOSS(huber)
/* c-source: end */

/* c-source: begin quantile (needs loss_rows) */
/* quantile: u = t - y; E = max(q u, (q - 1) u);  dE/dy = -q where u > 0, 1 - q where u < 0, 0 at 0
 */
INLINE vec quantile(vec y, vec t, vec q, vec *slope) {
    vec u = t - y, over = q - splat(1);
    *slope = keep(u != splat(0), -choose(u > splat(0), q, over));
    return vmax(q * u, over * u);
}

ELEMENTWISE_LOSS(quantile)
/* c-source: end */

/* c-source: begin linear (needs loss_rows) */
/* linear: E = t y;  dE/dy = t: the targets are the derivatives themselves */
INLINE vec linear(vec y, vec t, vec parameter, vec *slope) {
    (void)parameter;
    *slope = t;
    return t * y;
}

ELEMENTWISE_LOSS(linear)
/* c-source: end */

/* c-source: begin poisson_exp (needs loss_rows, multiply_add, vexp) */
/* poisson: E = y - t log y.  Behind exp: y = e^a, E = e^a - t a;  dE/da = y - t */
INLINE vec poisson_exp(vec a, vec t, vec parameter, vec *slope) {
    (void)parameter;
    vec y = vexp(a);
    *slope = y - t;
    return multiply_add(-t, a, y);
}

ELEMENTWISE_LOSS(poisson_exp)
/* c-source: end */

/* c-source: begin poisson_softplus (needs loss_rows, multiply_add, softplus, vlog) */
/* Behind softplus, s = sigmoid(a): dE/da = s (1 - t / y). Far below zero y and s underflow
 * together; there log y -> a and s / y -> 1. */
INLINE vec poisson_softplus(vec a, vec t, vec parameter, vec *slope) {
    (void)parameter;
    vec s, y = softplus_value(a, &s);
    ivec far = a < splat(sizeof(real) == 4 ? -30 : -60);
    *slope = multiply_add(-t, choose(far, splat(1), s / y), s);
    return multiply_add(-t, choose(far, a, vlog(y)), y);
}

ELEMENTWISE_LOSS(poisson_softplus)
/* c-source: end */

/* c-source: begin binary_cross_entropy (needs loss_rows, multiply_add, vsigmoid, vlog1p, vexp) */
/* binary_cross_entropy behind sigmoid: E = -[t log y + (1 - t) log(1 - y)]
 *   = max(a, 0) - t a + log(1 + e^-|a|);  dE/da = y - t.  Label smoothing s: t <- t + s (1/2 - t)
 */
INLINE vec binary_cross_entropy(vec a, vec t, vec smoothing, vec *slope) {
    t = multiply_add(smoothing, splat((real)0.5) - t, t);
    *slope = vsigmoid(a) - t;
    vec rest = vlog1p(vexp(-vabs(a)));
    return multiply_add(-t, a, vmax(splat(0), a)) + rest; /* rest alone if a is right and certain */
}

ELEMENTWISE_LOSS(binary_cross_entropy)
/* c-source: end */

/* c-source: begin cross_entropy (needs loss_args, exp_row, multiply_add, vlog) */
/* cross_entropy behind softmax: E = -sum_g t_g log y_g = sum_g t_g (log sum_j e^(a_j - m) + m -
 * a_g), m = max a; dE/da = y - t.  Label smoothing s: t <- t + s (1/n - t), which is 0 in the
 * padding, as s is there. */
static void cross_entropy_rows(const fastnn_loss_args *args) {
    vec uniform = splat(1 / (real)args->columns);
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        const real *a = args->y + r * PANEL, *t = args->t + r * PANEL;
        real *delta = args->delta + r * PANEL, max;
        real sum = exp_row(args->columns, args->jump, a, &max, delta);
        vec top = splat(max), log_sum = vlog(splat(sum));
        panel_sums loss = {{splat(0)}};
        vec inverse = splat(1 / sum), weight = splat(args->weight[r]);
        for (ptrdiff_t c = 0; c < args->columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * args->jump + v * LANES;
                vec log_inverse = log_sum + (top - load(a + at)); /* -log y */
                vec target = load(t + at);
                if (args->parameter)
                    target = multiply_add(load(args->parameter + c + v * LANES), uniform - target,
                                          target);
                loss.lanes[v] = multiply_add(target, log_inverse, loss.lanes[v]);
                store(delta + at, multiply_add(load(delta + at), inverse, -target) * weight);
            }
        args->loss[r] = (double)sum_panel(&loss) * (double)args->weight[r];
    }
}
/* c-source: end */

/* c-source: begin gaussian_nll (needs loss_args, panel_sums, vexp) */
/* gaussian_nll: n = columns / 2 means m, then n logarithms of variances s; targets t of the means.
 * E = sum (s + r^2 e^-s) / 2, r = m - t;  dE/dm = r e^-s, dE/ds = (1 - r^2 e^-s) / 2. Where r = 0,
 * r e^-s is 0 even if e^-s is too large for a real.
 * A vector of m and one of s start at any lane of a panel: numbers are copied one by one. */
INLINE ptrdiff_t column_place(const fastnn_loss_args *args, ptrdiff_t row, ptrdiff_t column) {
    return column / PANEL * args->jump + row * PANEL + column % PANEL;
}

/* Up to n columns of a row as a vector, with 0 in its other lanes; and back. */
INLINE vec read_columns(const fastnn_loss_args *args, const real *from, ptrdiff_t row,
                        ptrdiff_t first, ptrdiff_t n) {
    vec x = {0};
    real *lanes = (real *)&x;
    for (ptrdiff_t i = 0; i < LANES && i < n; i++)
        lanes[i] = from[column_place(args, row, first + i)];
    return x;
}

INLINE void write_columns(const fastnn_loss_args *args, real *to, ptrdiff_t row, ptrdiff_t first,
                          ptrdiff_t n, vec x) {
    const real *lanes = (const real *)&x;
    for (ptrdiff_t i = 0; i < LANES && i < n; i++)
        to[column_place(args, row, first + i)] = lanes[i];
}

INLINE vec gaussian_terms(const fastnn_loss_args *args, ptrdiff_t row, ptrdiff_t first,
                          vec weight) {
    ptrdiff_t n = args->columns / 2, left = n - first;
    vec m = read_columns(args, args->y, row, first, left);
    vec s = read_columns(args, args->y, row, n + first, left);
    vec t = read_columns(args, args->t, row, first, left);
    vec r = m - t, half = splat((real)0.5), precision = vexp(-s);
    vec of_mean = choose(r != splat(0), r * precision, r), square = r * of_mean;
    write_columns(args, args->delta, row, first, left, of_mean * weight);
    write_columns(args, args->delta, row, n + first, left, half * (splat(1) - square) * weight);
    return keep(lanes_below(left), half * (s + square));
}

static void gaussian_nll_rows(const fastnn_loss_args *args) {
    for (ptrdiff_t r = 0; r < args->rows; r++) {
        vec weight = splat(args->weight[r]);
        panel_sums sum = {{splat(0)}};
        for (ptrdiff_t c = args->columns / 2 * 2; c < args->columns || c % PANEL; c++)
            args->delta[column_place(args, r, c)] = 0;
        for (ptrdiff_t c = 0; c < args->columns / 2; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum.lanes[v] += gaussian_terms(args, r, c + v * LANES, weight);
        args->loss[r] = (double)sum_panel(&sum) * (double)args->weight[r];
    }
}
/* c-source: end */

/* A loss that is a sum over the outputs, with a weight for each output. delta holds the weights
 * before the call and the derivatives after it. The loss of a row is sum_k weight_k E_k;
 * args->weight is not read. */
#define LOSS_BY_OUTPUT(FUNCTION, name, activation)                                                 \
    static void FUNCTION##_by_output(const fastnn_loss_args *args) {                               \
        for (ptrdiff_t r = 0; r < args->rows; r++) {                                               \
            panel_sums sum = {{splat(0)}};                                                         \
            for (ptrdiff_t c = 0; c < args->columns; c += PANEL)                                   \
                for (int v = 0; v < PANEL_VECTORS; v++) {                                          \
                    ptrdiff_t column = c + v * LANES;                                              \
                    ptrdiff_t at = c / PANEL * args->jump + r * PANEL + v * LANES;                 \
                    ivec real_column = lanes_below(args->columns - column);                        \
                    vec parameter = args->parameter ? load(args->parameter + column) : splat(0);   \
                    vec weight = load(args->delta + at), slope, loss;                              \
                    loss = FUNCTION(load(args->y + at), load(args->t + at), parameter, &slope);    \
                    loss = keep(real_column, loss);                                                \
                    sum.lanes[v] = multiply_add(loss, weight, sum.lanes[v]);                       \
                    store(args->delta + at, keep(real_column, slope * weight));                    \
                }                                                                                  \
            args->loss[r] = (double)sum_panel(&sum);                                               \
        }                                                                                          \
    }

/* The losses that are sums over the outputs: EACH(its function, its name, its activation). */
#define SUMS_OVER_OUTPUTS(EACH)                                                                    \
    EACH(squared_error, "squared_error", NULL)                                                     \
    EACH(absolute_error, "absolute_error", NULL)                                                   \
    EACH(huber, "huber", NULL)                                                                     \
    EACH(quantile, "quantile", NULL)                                                               \
    EACH(linear, "linear", NULL)                                                                   \
    EACH(poisson_exp, "poisson", "exp")                                                            \
    EACH(poisson_softplus, "poisson", "softplus")                                                  \
    EACH(binary_cross_entropy, "binary_cross_entropy", "sigmoid")

SUMS_OVER_OUTPUTS(LOSS_BY_OUTPUT)

/* clang-format off */
#define ROWS_ENTRY(FUNCTION, name, activation) {name, activation, FUNCTION##_rows},
static const fastnn_loss losses[] = {
    SUMS_OVER_OUTPUTS(ROWS_ENTRY)
    {"cross_entropy", "softmax", cross_entropy_rows},
    {"gaussian_nll", "identity", gaussian_nll_rows},
    {NULL, NULL, NULL},
};

#define BY_OUTPUT_ENTRY(FUNCTION, name, activation) {name, activation, FUNCTION##_by_output},
static const fastnn_loss losses_by_output[] = {
    SUMS_OVER_OUTPUTS(BY_OUTPUT_ENTRY)
    {NULL, NULL, NULL},
};
/* clang-format on */

#endif
