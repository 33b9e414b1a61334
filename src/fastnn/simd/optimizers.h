/* optimizers.h - each update rule as one flat loop over weights, gradients and moments, and the list
 * of them all. To add one: its block, its line in the list, its class in fastnn/optimizers.py, its
 * lines in fastnn/reference.py.
 *
 * g = dE/dw. A rule's moments lie `block`, 2 `block`, ... reals after the weights. Padding lanes have
 * g = 0 and w = 0, and every rule leaves such a w at 0.
 */
#ifndef FASTNN_OPTIMIZERS_H
#define FASTNN_OPTIMIZERS_H

#include "ops.h"

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
static void sgd(ptrdiff_t n, const fastnn_step *step, const real *g, real *w, ptrdiff_t block) {
    (void)block;
    vec rate = splat(step->rate);
    for (ptrdiff_t i = 0; i < n; i += LANES) store(w + i, load(w + i) - rate * load(g + i));
}

/* momentum: v <- momentum v - lr g;  w <- w + v   (Polyak 1964) */
static void momentum(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                     ptrdiff_t block) {
    real *velocity = w + block;
    vec rate = splat(step->rate), mu = splat(step->momentum);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec v = mu * load(velocity + i) - rate * load(g + i);
        store(velocity + i, v);
        store(w + i, load(w + i) + v);
    }
}

/* nesterov: v <- momentum v - lr g;  w <- w + momentum v - lr g   (Sutskever et al. 2013) */
static void nesterov(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                     ptrdiff_t block) {
    real *velocity = w + block;
    vec rate = splat(step->rate), mu = splat(step->momentum);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec down = rate * load(g + i), v = mu * load(velocity + i) - down;
        store(velocity + i, v);
        store(w + i, load(w + i) + (mu * v - down));
    }
}

/* adagrad: s <- s + g^2;  w <- w - lr g / (sqrt(s) + eps)   (Duchi et al. 2011) */
static void adagrad(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                    ptrdiff_t block) {
    real *squares = w + block;
    vec rate = splat(step->rate), epsilon = splat(step->epsilon);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec d = load(g + i), s = load(squares + i) + d * d;
        store(squares + i, s);
        store(w + i, load(w + i) - rate * d / (vsqrt(s) + epsilon));
    }
}

/* rmsprop: s <- rho s + (1 - rho) g^2;  w <- w - lr g / (sqrt(s) + eps)   (Hinton 2012) */
INLINE vec rmsprop_change(const fastnn_step *step, vec g, real *squares) {
    vec s = splat(step->keep_2) * load(squares) + splat(step->new_2) * g * g;
    store(squares, s);
    return splat(step->rate) * g / (vsqrt(s) + splat(step->epsilon));
}

static void rmsprop(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                    ptrdiff_t block) {
    for (ptrdiff_t i = 0; i < n; i += LANES)
        store(w + i, load(w + i) - rmsprop_change(step, load(g + i), w + block + i));
}

/* with momentum: v <- momentum v - change;  w <- w + v */
static void rmsprop_momentum(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                             ptrdiff_t block) {
    real *velocity = w + 2 * block;
    vec mu = splat(step->momentum);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec v = mu * load(velocity + i) - rmsprop_change(step, load(g + i), w + block + i);
        store(velocity + i, v);
        store(w + i, load(w + i) + v);
    }
}

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

/* The loop of Adam; with amsgrad the root is of the largest v so far (Reddi et al. 2018). */
INLINE void adam_loop(int amsgrad, ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                      ptrdiff_t block) {
    vec keep_1 = splat(step->keep_1), new_1 = splat(step->new_1);
    vec keep_2 = splat(step->keep_2), new_2 = splat(step->new_2);
    vec rate = splat(step->rate), root_scale = splat(step->root_scale);
    vec epsilon = splat(step->epsilon), shrink = splat(step->shrink);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec d = load(g + i);
        vec m = keep_1 * load(w + block + i) + new_1 * d;
        vec v = keep_2 * load(w + 2 * block + i) + new_2 * d * d;
        store(w + block + i, m);
        store(w + 2 * block + i, v);
        if (amsgrad) {
            v = vmax(load(w + 3 * block + i), v);
            store(w + 3 * block + i, v);
        }
        store(w + i, shrink * load(w + i) - rate * m / (vsqrt(v) * root_scale + epsilon));
    }
}

static void adam(ptrdiff_t n, const fastnn_step *step, const real *g, real *w, ptrdiff_t block) {
    adam_loop(0, n, step, g, w, block);
}

static void amsgrad(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                    ptrdiff_t block) {
    adam_loop(1, n, step, g, w, block);
}

static const fastnn_optimizer optimizers[] = {
    {"sgd", 0, prepare_plain, sgd},
    {"momentum", 1, prepare_plain, momentum},
    {"nesterov", 1, prepare_plain, nesterov},
    {"adagrad", 1, prepare_plain, adagrad},
    {"rmsprop", 1, prepare_plain, rmsprop},
    {"rmsprop_momentum", 2, prepare_plain, rmsprop_momentum},
    {"adam", 2, prepare_adam, adam},
    {"amsgrad", 3, prepare_adam, amsgrad},
    {NULL, 0, NULL, NULL},
};

/* l1 sum|w| + l2 sum w^2;  d/dw = l1 sign(w) + 2 l2 w, 0 at 0 */
static double penalty(ptrdiff_t n, real l1, real l2, const real *w, real *g) {
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
