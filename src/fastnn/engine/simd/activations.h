/* activations.h - the value of each activation and, beneath it, its derivative; at the end, the
 * list of all activations. Each has its block, between `c-source` markers (see vmath.h) with its
 * name. To add an activation, see "Adding to fastnn" in ARCHITECTURE.md.
 *
 * If the derivative is a function of the output z, nothing else is kept (OUTPUT_ACTIVATION).
 * Otherwise the forward pass computes it together with the value and keeps it (SLOPE_ACTIVATION).
 */
#ifndef FASTNN_ACTIVATIONS_H
#define FASTNN_ACTIVATIONS_H

#include "ops.h"
#include "vmath.h"

/* Needs vec NAME_value(vec a, vec alpha) and vec NAME_slope(vec z, vec alpha). */
#define OUTPUT_ACTIVATION(NAME)                                                                    \
    static void NAME##_forward(ptrdiff_t n, real alpha, real *z, real *slope) {                    \
        (void)slope;                                                                               \
        for (ptrdiff_t i = 0; i < n; i += LANES)                                                   \
            store(z + i, NAME##_value(load(z + i), splat(alpha)));                                 \
    }                                                                                              \
    static void NAME##_backward(ptrdiff_t n, real alpha, const real *z, real *delta) {             \
        for (ptrdiff_t i = 0; i < n; i += LANES)                                                   \
            store(delta + i, load(delta + i) * NAME##_slope(load(z + i), splat(alpha)));           \
    }

/* Needs vec NAME_value(vec a, vec *slope). */
#define SLOPE_ACTIVATION(NAME)                                                                     \
    static void NAME##_forward(ptrdiff_t n, real alpha, real *z, real *slope) {                    \
        (void)alpha;                                                                               \
        for (ptrdiff_t i = 0; i < n; i += LANES) {                                                 \
            vec h;                                                                                 \
            store(z + i, NAME##_value(load(z + i), &h));                                           \
            if (slope) store(slope + i, h);                                                        \
        }                                                                                          \
    }                                                                                              \
    static void NAME##_backward(ptrdiff_t n, real alpha, const real *slope, real *delta) {         \
        (void)alpha;                                                                               \
        for (ptrdiff_t i = 0; i < n; i += LANES)                                                   \
            store(delta + i, load(delta + i) * load(slope + i));                                   \
    }

/* identity: z = a;  dz/da = 1 */
INLINE vec identity_value(vec a, vec alpha) {
    (void)alpha;
    return a;
}

INLINE vec identity_slope(vec z, vec alpha) {
    (void)z, (void)alpha;
    return splat(1);
}

/* c-source: begin sigmoid (needs vsigmoid) */
/* sigmoid: z = 1 / (1 + e^-a);  dz/da = z (1 - z) */
INLINE vec sigmoid_value(vec a, vec alpha) {
    (void)alpha;
    return vsigmoid(a);
}

INLINE vec sigmoid_slope(vec z, vec alpha) {
    (void)alpha;
    return z * (splat(1) - z);
}
/* c-source: end */

OUTPUT_ACTIVATION(sigmoid)

/* c-source: begin tanh (needs vtanh, multiply_add) */
/* tanh: z = tanh a;  dz/da = 1 - z^2 */
INLINE vec tanh_value(vec a, vec alpha) {
    (void)alpha;
    return vtanh(a);
}

INLINE vec tanh_slope(vec z, vec alpha) {
    (void)alpha;
    return multiply_add(-z, z, splat(1));
}
/* c-source: end */

OUTPUT_ACTIVATION(tanh)

/* c-source: begin relu */
/* relu: z = max(0, a);  dz/da = 1 where a > 0, which is where z > 0 */
INLINE vec relu_value(vec a, vec alpha) {
    (void)alpha;
    return choose(a <= splat(0), splat(0), a); /* NaN stays NaN */
}

INLINE vec relu_slope(vec z, vec alpha) {
    (void)alpha;
    return keep(z > splat(0), splat(1));
}
/* c-source: end */

OUTPUT_ACTIVATION(relu)

/* c-source: begin leaky_relu */
/* leaky_relu: z = a where a > 0, else alpha a (alpha >= 0);  dz/da = 1 or alpha */
INLINE vec leaky_relu_value(vec a, vec alpha) { return choose(a > splat(0), a, alpha * a); }

INLINE vec leaky_relu_slope(vec z, vec alpha) { return choose(z > splat(0), splat(1), alpha); }
/* c-source: end */

OUTPUT_ACTIVATION(leaky_relu)

/* c-source: begin elu (needs vexpm1) */
/* elu: z = a where a > 0, else alpha (e^a - 1);  dz/da = 1 or z + alpha */
INLINE vec elu_value(vec a, vec alpha) { return choose(a > splat(0), a, alpha * vexpm1(a)); }

INLINE vec elu_slope(vec z, vec alpha) { return choose(z > splat(0), splat(1), z + alpha); }
/* c-source: end */

OUTPUT_ACTIVATION(elu)

/* c-source: begin selu (needs elu) */
/* selu: z = scale elu(a), alpha of its own (Klambauer et al. 2017);  dz/da = scale or
 * z + scale alpha */
#define SELU_SCALE ((real)1.0507009873554804934193349852946)
#define SELU_ALPHA ((real)1.6732632423543772848170429916717)

INLINE vec selu_value(vec a, vec alpha) {
    (void)alpha;
    return splat(SELU_SCALE) * elu_value(a, splat(SELU_ALPHA));
}

INLINE vec selu_slope(vec z, vec alpha) {
    (void)alpha;
    return choose(z > splat(0), splat(SELU_SCALE), z + splat(SELU_SCALE * SELU_ALPHA));
}
/* c-source: end */

OUTPUT_ACTIVATION(selu)

/* c-source: begin relu6 */
/* relu6: z = min(max(0, a), 6);  dz/da = 1 where 0 < z < 6 */
INLINE vec relu6_value(vec a, vec alpha) {
    (void)alpha;
    return choose(a <= splat(0), splat(0), choose(a >= splat(6), splat(6), a));
}

INLINE vec relu6_slope(vec z, vec alpha) {
    (void)alpha;
    return choose(z > splat(0), choose(z < splat(6), splat(1), splat(0)), splat(0));
}
/* c-source: end */

OUTPUT_ACTIVATION(relu6)

/* c-source: begin hard_tanh */
/* hard_tanh: z = min(max(-1, a), 1);  dz/da = 1 where -1 < z < 1 */
INLINE vec hard_tanh_value(vec a, vec alpha) {
    (void)alpha;
    return choose(a <= splat(-1), splat(-1), choose(a >= splat(1), splat(1), a));
}

INLINE vec hard_tanh_slope(vec z, vec alpha) {
    (void)alpha;
    return choose(vabs(z) < splat(1), splat(1), splat(0));
}
/* c-source: end */

OUTPUT_ACTIVATION(hard_tanh)

/* c-source: begin hard_sigmoid */
/* hard_sigmoid: z = min(max(0, (a + 3) / 6), 1);  dz/da = 1/6 where 0 < z < 1 */
INLINE vec hard_sigmoid_value(vec a, vec alpha) {
    (void)alpha;
    vec z = (a + splat(3)) / splat(6);
    return choose(a <= splat(-3), splat(0), choose(a >= splat(3), splat(1), z));
}

INLINE vec hard_sigmoid_slope(vec z, vec alpha) {
    (void)alpha;
    vec slope = splat((real)(1.0 / 6.0));
    return choose(z > splat(0), choose(z < splat(1), slope, splat(0)), splat(0));
}
/* c-source: end */

OUTPUT_ACTIVATION(hard_sigmoid)

/* c-source: begin exp (needs vexp) */
/* exp: z = e^a;  dz/da = z */
INLINE vec exp_value(vec a, vec alpha) {
    (void)alpha;
    return vexp(a);
}

INLINE vec exp_slope(vec z, vec alpha) {
    (void)alpha;
    return z;
}
/* c-source: end */

OUTPUT_ACTIVATION(exp)

/* c-source: begin gelu (needs vnormal_cdf) */
/* gelu: z = a Phi(a), Phi the normal distribution (the exact form);  dz/da = Phi(a) + a phi(a) */
INLINE vec gelu_value(vec a, vec *slope) {
    vec density, below = vnormal_cdf(a, &density);
    *slope = multiply_add(a, density, below);
    return a * below;
}
/* c-source: end */

SLOPE_ACTIVATION(gelu)

/* c-source: begin gelu_tanh (needs vsigmoid, multiply_add) */
/* gelu_tanh: z = a (1 + tanh u) / 2 = a s with s = sigmoid(2u), u = sqrt(2/pi) (a + 0.044715 a^3)
 * (Hendrycks, Gimpel 2016);  dz/da = s + a s (1 - s) 2 u'. Beyond 40, s is 0 or 1 to the last bit.
 */
#define GELU_TANH_SCALE ((real)1.5957691216057307117597842397375) /* 2 sqrt(2/pi) */
#define GELU_TANH_CUBIC ((real)0.044715)

INLINE vec gelu_tanh_value(vec a, vec *slope) {
    vec b = choose(a > splat(40), splat(40), choose(a < splat(-40), splat(-40), a));
    vec bent = splat(GELU_TANH_CUBIC) * b, scale = splat(GELU_TANH_SCALE);
    vec s = vsigmoid(scale * b * multiply_add(bent, b, splat(1)));
    vec rise = scale * multiply_add(splat(3) * bent, b, splat(1));
    *slope = multiply_add(b * s * (splat(1) - s), rise, s);
    return a * s;
}
/* c-source: end */

SLOPE_ACTIVATION(gelu_tanh)

/* c-source: begin silu (needs vsigmoid) */
/* silu: z = a s with s = sigmoid(a);  dz/da = s + z (1 - s) */
INLINE vec silu_value(vec a, vec *slope) {
    vec s = vsigmoid(a), z = a * s;
    *slope = multiply_add(z, splat(1) - s, s);
    return z;
}
/* c-source: end */

SLOPE_ACTIVATION(silu)

/* c-source: begin hard_silu */
/* hard_silu: z = a min(max(0, (a + 3) / 6), 1);  dz/da = 0, a / 3 + 1/2, or 1 */
INLINE vec hard_silu_value(vec a, vec *slope) {
    ivec low = a <= splat(-3), high = a > splat(3);
    *slope = choose(low, splat(0), choose(high, splat(1), a / splat(3) + splat((real)0.5)));
    return choose(low, splat(0), choose(high, a, a * ((a + splat(3)) / splat(6))));
}
/* c-source: end */

SLOPE_ACTIVATION(hard_silu)

/* c-source: begin mish (needs vsigmoid, vexp, multiply_add) */
/* mish: z = a t with t = tanh(softplus(a)) (Misra 2019);  dz/da = t + a (1 - t^2) sigmoid(a).
 * With u = e^-|a|, t is (1 + 2u) / (1 + 2u + 2u^2) from 0 on, and u (u + 2) / (u (u + 2) + 2)
 * below, where nothing cancels. */
INLINE vec mish_value(vec a, vec *slope) {
    vec u = vexp(-vabs(a)), two = splat(2), right = multiply_add(two, u, splat(1));
    vec above = right / multiply_add(two * u, u, right);
    vec below = u * (u + two) / multiply_add(u, u + two, two);
    vec t = choose(a >= splat(0), above, below);
    *slope = multiply_add(a * multiply_add(-t, t, splat(1)), vsigmoid(a), t);
    return a * t;
}
/* c-source: end */

SLOPE_ACTIVATION(mish)

/* c-source: begin softplus (needs vsigmoid, vlog1p, vexp) */
/* softplus: z = log(1 + e^a) = max(a, 0) + log(1 + e^-|a|);  dz/da = sigmoid(a) */
INLINE vec softplus_value(vec a, vec *slope) {
    *slope = vsigmoid(a);
    return vmax(splat(0), a) + vlog1p(vexp(-vabs(a)));
}
/* c-source: end */

SLOPE_ACTIVATION(softplus)

/* softmax: y = e^(a - max a) / sum e^(a - max a) along the row;
 * delta <- y (delta - sum delta y), its Jacobian times delta */

/* c-source: begin exp_row (needs vexp, panel_sums) */
/* e^(a - max a) of one row into e (padding zero); returns their sum. */
INLINE real exp_row(ptrdiff_t columns, ptrdiff_t jump, const real *a, real *max, real *e) {
    vec top = splat(a[0]);
    panel_sums sum = {{splat(0)}};
    for (ptrdiff_t c = 0; c < columns; c += LANES) {
        vec x = load(a + c / PANEL * jump + c % PANEL);
        top = vmax(choose(lanes_below(columns - c), x, top), top);
    }
    *max = max_lanes(top);
    for (ptrdiff_t c = 0; c < columns; c += PANEL)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            ptrdiff_t at = c / PANEL * jump + v * LANES;
            vec x = keep(lanes_below(columns - c - v * LANES), vexp(load(a + at) - splat(*max)));
            store(e + at, x);
            sum.lanes[v] += x;
        }
    return sum_panel(&sum);
}
/* c-source: end */

/* c-source: begin softmax (needs exp_row) */
static void softmax_forward(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t jump, real *z) {
    for (ptrdiff_t r = 0; r < rows; r++, z += PANEL) {
        real max;
        vec sum = splat(exp_row(columns, jump, z, &max, z));
        for (ptrdiff_t c = 0; c < columns; c += LANES) {
            real *at = z + c / PANEL * jump + c % PANEL;
            store(at, load(at) / sum);
        }
    }
}
/* c-source: end */

/* c-source: begin softmax_backward (needs panel_sums, multiply_add) */
static void softmax_backward(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t jump, const real *z,
                             real *delta) {
    for (ptrdiff_t r = 0; r < rows; r++, z += PANEL, delta += PANEL) {
        panel_sums dot = {{splat(0)}};
        for (ptrdiff_t c = 0; c < columns; c += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++) {
                ptrdiff_t at = c / PANEL * jump + v * LANES;
                dot.lanes[v] = multiply_add(load(z + at), load(delta + at), dot.lanes[v]);
            }
        vec sum = splat(sum_panel(&dot));
        for (ptrdiff_t c = 0; c < columns; c += LANES) {
            ptrdiff_t at = c / PANEL * jump + c % PANEL;
            store(delta + at, load(z + at) * (load(delta + at) - sum));
        }
    }
}
/* c-source: end */

/* All elementwise activations: LINEAR changes nothing, OUTPUT has a derivative that is a function
 * of z, SLOPE keeps the slope. */
#define ACTIVATIONS(LINEAR, OUTPUT, SLOPE)                                                         \
    LINEAR(identity)                                                                               \
    OUTPUT(sigmoid)                                                                                \
    OUTPUT(tanh)                                                                                   \
    OUTPUT(relu)                                                                                   \
    OUTPUT(leaky_relu)                                                                             \
    OUTPUT(elu)                                                                                    \
    OUTPUT(selu)                                                                                   \
    OUTPUT(exp)                                                                                    \
    OUTPUT(relu6)                                                                                  \
    OUTPUT(hard_tanh)                                                                              \
    OUTPUT(hard_sigmoid)                                                                           \
    SLOPE(gelu)                                                                                    \
    SLOPE(gelu_tanh)                                                                               \
    SLOPE(silu)                                                                                    \
    SLOPE(hard_silu)                                                                               \
    SLOPE(mish)                                                                                    \
    SLOPE(softplus)

#define OUTPUT_ENTRY(NAME) {#NAME, 0, NAME##_forward, NAME##_backward, NULL, NULL},
#define SLOPE_ENTRY(NAME) {#NAME, 1, NAME##_forward, NAME##_backward, NULL, NULL},
#define LINEAR_ENTRY(NAME) {#NAME, 0, NULL, NULL, NULL, NULL},

/* clang-format off */
static const fastnn_activation activations[] = {
    ACTIVATIONS(LINEAR_ENTRY, OUTPUT_ENTRY, SLOPE_ENTRY)
    {"softmax", 0, NULL, NULL, softmax_forward, softmax_backward},
    {NULL, 0, NULL, NULL, NULL, NULL},
};
/* clang-format on */

#define ACTIVATION_INDEX(NAME) NAME##_index,
enum { ACTIVATIONS(ACTIVATION_INDEX, ACTIVATION_INDEX, ACTIVATION_INDEX) };

#define OUTPUT_CASE(NAME)                                                                          \
    case NAME##_index:                                                                             \
        a = NAME##_value(a, splat(alpha));                                                         \
        *slope = NAME##_slope(a, splat(alpha));                                                    \
        return a;
#define SLOPE_CASE(NAME)                                                                           \
    case NAME##_index: return NAME##_value(a, slope);

/* Returns h(a) of one vector, and h'(a) in *slope, for layers so small that a call for each would
 * cost more than the arithmetic. `index` is the place of the activation in the list. */
INLINE vec value_and_slope(ptrdiff_t index, vec a, real alpha, vec *slope) {
    switch (index) { ACTIVATIONS(OUTPUT_CASE, OUTPUT_CASE, SLOPE_CASE) }
    *slope = splat(1);
    return a;
}

#endif
