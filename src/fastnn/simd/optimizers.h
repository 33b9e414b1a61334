/* optimizers.h - each update rule, and the list of them all. To add one: its block, its line in the
 * list, its class in fastnn/optimizers.py, its lines in fastnn/reference.py.
 *
 * A rule is written for one vector of weights w and gradients g = dE/dw; its moments lie `block`,
 * 2 `block`, ... reals after w. Two loops are made of each: over stored gradients, and over those
 * of a single row of a batch, g = z.T @ delta, which are never stored. Padding lanes have g = 0 and
 * w = 0, and every rule leaves such a w at 0.
 */
#ifndef FASTNN_OPTIMIZERS_H
#define FASTNN_OPTIMIZERS_H

#include "ops.h"

/* Needs void NAME(const fastnn_step *step, vec g, real *w, ptrdiff_t block). */
#define OPTIMIZER(NAME)                                                                            \
    static void NAME##_rule(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,          \
                            ptrdiff_t block) {                                                     \
        fastnn_step constants = *step;                                                             \
        for (ptrdiff_t i = 0; i < n; i += LANES) NAME(&constants, load(g + i), w + i, block);      \
    }                                                                                              \
    static void NAME##_rank_one(ptrdiff_t n, const fastnn_step *step, const real *z,               \
                                const real *delta, real *w, ptrdiff_t block) {                     \
        fastnn_step constants = *step;                                                             \
        vec d[PANEL_VECTORS];                                                                      \
        for (int v = 0; v < PANEL_VECTORS; v++) d[v] = load(delta + v * LANES);                    \
        for (ptrdiff_t i = 0; i < n; i++, w += PANEL)                                              \
            for (int v = 0; v < PANEL_VECTORS; v++)                                                \
                NAME(&constants, splat(z[i]) * d[v], w + v * LANES, block);                        \
    }

static void prepare_plain(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    (void)t;
    *step = (fastnn_step){
        .rate = (real)hyper->learning_rate,
        .momentum = (real)hyper->momentum,
        .keep_2 = (real)hyper->rho,
        .new_2 = (real)(1 - hyper->rho),
        .epsilon = (real)hyper->epsilon,
        .shrink = 1,
    };
}

/* sgd: w <- w - lr g */
INLINE void sgd(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    (void)block;
    store(w, load(w) - splat(step->rate) * g);
}

OPTIMIZER(sgd)

/* momentum: v <- momentum v - lr g;  w <- w + v   (Polyak 1964) */
INLINE void momentum(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec v = splat(step->momentum) * load(w + block) - splat(step->rate) * g;
    store(w + block, v);
    store(w, load(w) + v);
}

OPTIMIZER(momentum)

/* nesterov: v <- momentum v - lr g;  w <- w + momentum v - lr g   (Sutskever et al. 2013) */
INLINE void nesterov(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec mu = splat(step->momentum), down = splat(step->rate) * g;
    vec v = mu * load(w + block) - down;
    store(w + block, v);
    store(w, load(w) + (mu * v - down));
}

OPTIMIZER(nesterov)

/* adagrad: s <- s + g^2;  w <- w - lr g / (sqrt(s) + eps)   (Duchi et al. 2011) */
INLINE void adagrad(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec s = load(w + block) + g * g;
    store(w + block, s);
    store(w, load(w) - splat(step->rate) * g / (vsqrt(s) + splat(step->epsilon)));
}

OPTIMIZER(adagrad)

/* rmsprop: s <- rho s + (1 - rho) g^2;  w <- w - lr g / (sqrt(s) + eps)   (Hinton 2012) */
INLINE vec rmsprop_change(const fastnn_step *step, vec g, real *squares) {
    vec s = splat(step->keep_2) * load(squares) + splat(step->new_2) * g * g;
    store(squares, s);
    return splat(step->rate) * g / (vsqrt(s) + splat(step->epsilon));
}

INLINE void rmsprop(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    store(w, load(w) - rmsprop_change(step, g, w + block));
}

OPTIMIZER(rmsprop)

/* with momentum: v <- momentum v - change;  w <- w + v */
INLINE void rmsprop_momentum(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    real *velocity = w + 2 * block;
    vec v = splat(step->momentum) * load(velocity) - rmsprop_change(step, g, w + block);
    store(velocity, v);
    store(w, load(w) + v);
}

OPTIMIZER(rmsprop_momentum)

/* adam: m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
 *       w <- w - lr m^ / (sqrt(v^) + eps),  m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t)
 * (Kingma, Ba 2015); first w <- (1 - lr decay) w for adamw (Loshchilov, Hutter 2019) */
static void prepare_adam(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    *step = (fastnn_step){
        .rate = (real)(hyper->learning_rate / (1 - pow(hyper->beta_1, t))),
        .keep_1 = (real)hyper->beta_1,
        .new_1 = (real)(1 - hyper->beta_1),
        .keep_2 = (real)hyper->beta_2,
        .new_2 = (real)(1 - hyper->beta_2),
        .root_scale = (real)(1 / sqrt(1 - pow(hyper->beta_2, t))),
        .epsilon = (real)hyper->epsilon,
        .shrink = (real)(1 - hyper->learning_rate * hyper->weight_decay),
    };
}

INLINE void adam_change(const fastnn_step *step, vec m, vec v, real *w) {
    vec root = vsqrt(v) * splat(step->root_scale) + splat(step->epsilon);
    store(w, splat(step->shrink) * load(w) - splat(step->rate) * m / root);
}

INLINE void adam(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec m = splat(step->keep_1) * load(w + block) + splat(step->new_1) * g;
    vec v = splat(step->keep_2) * load(w + 2 * block) + splat(step->new_2) * g * g;
    store(w + block, m);
    store(w + 2 * block, v);
    adam_change(step, m, v, w);
}

OPTIMIZER(adam)

/* amsgrad: the root is of the largest v so far   (Reddi et al. 2018) */
INLINE void amsgrad(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec m = splat(step->keep_1) * load(w + block) + splat(step->new_1) * g;
    vec v = splat(step->keep_2) * load(w + 2 * block) + splat(step->new_2) * g * g;
    vec largest = vmax(load(w + 3 * block), v);
    store(w + block, m);
    store(w + 2 * block, v);
    store(w + 3 * block, largest);
    adam_change(step, m, largest, w);
}

OPTIMIZER(amsgrad)

static const fastnn_optimizer optimizers[] = {
    {"sgd", 0, prepare_plain, sgd_rule, sgd_rank_one},
    {"momentum", 1, prepare_plain, momentum_rule, momentum_rank_one},
    {"nesterov", 1, prepare_plain, nesterov_rule, nesterov_rank_one},
    {"adagrad", 1, prepare_plain, adagrad_rule, adagrad_rank_one},
    {"rmsprop", 1, prepare_plain, rmsprop_rule, rmsprop_rank_one},
    {"rmsprop_momentum", 2, prepare_plain, rmsprop_momentum_rule, rmsprop_momentum_rank_one},
    {"adam", 2, prepare_adam, adam_rule, adam_rank_one},
    {"amsgrad", 3, prepare_adam, amsgrad_rule, amsgrad_rank_one},
    {NULL, 0, NULL, NULL, NULL},
};

/* l1 sum|w| + l2 sum w^2;  d/dw = l1 sign(w) + 2 l2 w, 0 at 0 */
static inline double penalty(ptrdiff_t n, real l1, real l2, const real *w, real *g) {
    vec sum = {0}, lasso = splat(l1), ridge = splat(l2);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec x = load(w + i);
        sum += (lasso + ridge * vabs(x)) * vabs(x);
        if (g) {
            vec sign = keep(x != splat(0), copy_sign(splat(1), x));
            store(g + i, load(g + i) + (lasso * sign + splat(2) * ridge * x));
        }
    }
    return (double)sum_lanes(sum);
}

#endif
