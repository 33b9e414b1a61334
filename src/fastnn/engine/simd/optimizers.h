/* optimizers.h - each update rule, and the list of all rules. To add a rule, see "Adding to fastnn"
 * in ARCHITECTURE.md.
 *
 * A rule is written for one vector of weights w and gradients g = dE/dw; its moments are `block`,
 * 2 `block`, ... reals after w. OPTIMIZER (update_loops.h) defines the loops that apply it, with
 * and without decoupled weight decay, w <- w - lr decay w before the step (Loshchilov, Hutter
 * 2019). All loops give the same bits: where a product is added to another, the rule states which
 * of them is fused. Padding lanes have g = 0 and w = 0, and every rule leaves such a w at 0.
 *
 * An optimizer that maximizes has a negative rate, and so ascends the gradient. In Adam's rules the
 * constants of the denominator are negative instead.
 */
#ifndef FASTNN_OPTIMIZERS_H
#define FASTNN_OPTIMIZERS_H

#include "../maths.h"
#include "root.h"
#include "update_loops.h"

/* The weights from which a step starts: shrink w = w - lr decay w if the rule decays, else w. */
INLINE vec remaining(const fastnn_step *step, const real *w, int decays) {
    if (decays) return splat(step->shrink) * load(w);
    return load(w);
}

/* The weights after a step: the same plus `change`. */
INLINE vec moved(const fastnn_step *step, const real *w, vec change, int decays) {
    if (decays) return multiply_add(splat(step->shrink), load(w), change);
    return load(w) + change;
}

static real shrink_of(const fastnn_hyper *hyper) {
    return (real)(1 - hyper->learning_rate * hyper->weight_decay);
}

INLINE vec root(const fastnn_step *step, vec s) {
    return step->beside_products ? vsqrt(s) : root_by_products(s);
}

static void prepare_plain(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    (void)t;
    *step = (fastnn_step){
        .rate = (real)(hyper->maximize ? -hyper->learning_rate : hyper->learning_rate),
        .momentum = (real)hyper->momentum,
        .keep_2 = (real)hyper->rho,
        .new_2 = (real)(1 - hyper->rho),
        .epsilon = (real)hyper->epsilon,
        .shrink = shrink_of(hyper),
    };
}

/* sgd: w <- w - lr g */
INLINE void sgd(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    (void)block;
    store(w, multiply_add(splat(-step->rate), g, remaining(step, w, decays)));
}

OPTIMIZER(sgd, 0)

/* momentum: v <- momentum v - lr g;  w <- w + v   (Polyak 1964) */
INLINE void momentum(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec v = multiply_add(splat(-step->rate), g, splat(step->momentum) * load(w + block));
    store(w + block, v);
    store(w, moved(step, w, v, decays));
}

OPTIMIZER(momentum, 1)

/* nesterov: v <- momentum v - lr g;  w <- w + momentum v - lr g   (Sutskever et al. 2013) */
INLINE void nesterov(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec mu = splat(step->momentum), down = splat(step->rate) * g;
    vec v = multiply_add(mu, load(w + block), -down);
    store(w + block, v);
    store(w, moved(step, w, multiply_add(mu, v, -down), decays));
}

OPTIMIZER(nesterov, 1)

/* adagrad: s <- s + g^2;  w <- w - lr g / (sqrt(s) + eps)   (Duchi et al. 2011) */
INLINE vec over_root(const fastnn_step *step, vec g, vec s) {
    return splat(step->rate) * g / (root(step, s) + splat(step->epsilon));
}

INLINE void adagrad(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec s = multiply_add(g, g, load(w + block));
    store(w + block, s);
    store(w, moved(step, w, -over_root(step, g, s), decays));
}

OPTIMIZER(adagrad, 1)

/* rmsprop: s <- rho s + (1 - rho) g^2;  w <- w - lr g / (sqrt(s) + eps)   (Hinton 2012) */
INLINE vec second_moment(const fastnn_step *step, vec g, real *moment) {
    vec s = multiply_add(splat(step->new_2) * g, g, splat(step->keep_2) * load(moment));
    store(moment, s);
    return s;
}

INLINE void rmsprop(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec s = second_moment(step, g, w + block);
    store(w, moved(step, w, -over_root(step, g, s), decays));
}

OPTIMIZER(rmsprop, 1)

/* with momentum: v <- momentum v - change;  w <- w + v */
INLINE void roll(const fastnn_step *step, vec change, real *w, real *velocity, int decays) {
    vec v = multiply_add(splat(step->momentum), load(velocity), -change);
    store(velocity, v);
    store(w, moved(step, w, v, decays));
}

INLINE void rmsprop_momentum(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec s = second_moment(step, g, w + block);
    roll(step, over_root(step, g, s), w, w + 2 * block, decays);
}

OPTIMIZER(rmsprop_momentum, 2)

/* centered: m <- rho m + (1 - rho) g, and the root is that of s - m^2, the variance of g   (Graves
 * 2013, section 4.2), or of 0 where rounding makes the variance negative */
INLINE vec mean(vec fresh, vec g, real *moment) {
    vec m = load(moment);
    m = multiply_add(fresh, g - m, m); /* (1 - fresh) m + fresh g, with one multiplication less */
    store(moment, m);
    return m;
}

INLINE vec variance(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {
    vec s = second_moment(step, g, w + block), m = mean(splat(step->new_2), g, w + 2 * block);
    return vmax(splat(0), multiply_add(-m, m, s));
}

INLINE void rmsprop_centered(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec s = variance(step, g, w, block);
    store(w, moved(step, w, -over_root(step, g, s), decays));
}

OPTIMIZER(rmsprop_centered, 2)

INLINE void rmsprop_centered_momentum(const fastnn_step *step, vec g, real *w, ptrdiff_t block,
                                      int decays) {
    vec s = variance(step, g, w, block);
    roll(step, over_root(step, g, s), w, w + 3 * block, decays);
}

OPTIMIZER(rmsprop_centered_momentum, 3)

/* x, clipped to the range of normal numbers: a constant of 0 or infinity would make unused weights
 * NaN, by 0 / 0. */
static real normal(double x) {
    double least = FASTNN_BITS == 32 ? 0x1p-126 : 0x1p-1022;
    return (real)fmin(fmax(x, least), FASTNN_BITS == 32 ? 0x1p127 : 0x1p1023);
}

/* adam: m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
 *       w <- w - lr m^ / (sqrt(v^) + eps),  m^ = m / (1 - b1^t),  v^ = v / (1 - b2^t)
 * (Kingma, Ba 2015).
 *
 * With epsilon_hat, eps is divided by sqrt(1 - b2^t): the denominator is (sqrt(v) + eps) /
 * sqrt(1 - b2^t). The learning rate and the bias corrections are folded into two constants,
 * w <- w - m / (root_scale sqrt(v) + epsilon), both multiplied by (1 - b1^t) / lr. */
static void prepare_adam(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    double per_rate = (1 - fastnn_power(hyper->beta_1, t)) / hyper->learning_rate;
    double root = sqrt(1 - fastnn_power(hyper->beta_2, t));
    real direction = hyper->maximize ? -1 : 1;
    *step = (fastnn_step){
        .new_1 = (real)(1 - hyper->beta_1),
        .keep_2 = (real)hyper->beta_2,
        .new_2 = (real)(1 - hyper->beta_2),
        .root_scale = direction * normal(per_rate / root),
        .epsilon = direction * normal(per_rate * hyper->epsilon / (hyper->epsilon_hat ? root : 1)),
        .shrink = shrink_of(hyper),
    };
}

INLINE vec adam_change(const fastnn_step *step, vec m, vec v) {
    return m / multiply_add(root(step, v), splat(step->root_scale), splat(step->epsilon));
}

INLINE void adam(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec m = mean(splat(step->new_1), g, w + block), v = second_moment(step, g, w + 2 * block);
    store(w, moved(step, w, -adam_change(step, m, v), decays));
}

OPTIMIZER(adam, 2)

/* amsgrad: Adam with the root of the largest v so far   (Reddi et al. 2018) */
INLINE void amsgrad(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec m = mean(splat(step->new_1), g, w + block), v = second_moment(step, g, w + 2 * block);
    vec largest = vmax(load(w + 3 * block), v);
    store(w + 3 * block, largest);
    store(w, moved(step, w, -adam_change(step, m, largest), decays));
}

OPTIMIZER(amsgrad, 3)

/* nadam: m and v of Adam, w <- w - lr m^ / (sqrt(v^) + eps) with
 * m^ = mu_{t+1} m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g / (1 - mu_1 ... mu_t)   (Dozat 2016),
 * mu_t = b1 (1 - 0.96^(t momentum_decay) / 2). */
static double nadam_momentum(const fastnn_hyper *hyper, double power) {
    return hyper->beta_1 * (1 - power / 2);
}

/* mu_1 ... mu_t. The loop ends when the product or the power of 0.96 is below 2^-60, too small to
 * change the 1 that it is subtracted from. It is short: while the powers fall slowly, mu stays near
 * b1 / 2, and the product falls quickly. */
static double nadam_product(const fastnn_hyper *hyper, double t) {
    double decay = fastnn_power(0.96, hyper->momentum_decay), power = decay, product = 1;
    for (double i = 1; i <= t && product > 0x1p-60; i++) {
        if (power < 0x1p-60) return product * fastnn_power(hyper->beta_1, t - i + 1);
        product *= nadam_momentum(hyper, power);
        power *= decay;
    }
    return product;
}

/* The weights of g and m in m^ are `rate` and `momentum`. */
static void prepare_nadam(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    double root = sqrt(1 - fastnn_power(hyper->beta_2, t)), product = nadam_product(hyper, t);
    double mu = nadam_momentum(hyper, fastnn_power(0.96, t * hyper->momentum_decay));
    double next = nadam_momentum(hyper, fastnn_power(0.96, (t + 1) * hyper->momentum_decay));
    real direction = hyper->maximize ? -1 : 1;
    *step = (fastnn_step){
        .rate = (real)((1 - mu) / (1 - product)),
        .momentum = (real)(next / (1 - product * next)),
        .new_1 = (real)(1 - hyper->beta_1),
        .keep_2 = (real)hyper->beta_2,
        .new_2 = (real)(1 - hyper->beta_2),
        .root_scale = direction * normal(1 / (hyper->learning_rate * root)),
        .epsilon = direction * normal(hyper->epsilon / hyper->learning_rate),
        .shrink = shrink_of(hyper),
    };
}

INLINE void nadam(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec m = mean(splat(step->new_1), g, w + block), v = second_moment(step, g, w + 2 * block);
    vec ahead = multiply_add(splat(step->momentum), m, splat(step->rate) * g);
    store(w, moved(step, w, -adam_change(step, ahead, v), decays));
}

OPTIMIZER(nadam, 2)

/* lion: w <- w - lr sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g   (Chen et al. 2023) */
static void prepare_lion(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    (void)t;
    *step = (fastnn_step){
        .rate = (real)(hyper->maximize ? -hyper->learning_rate : hyper->learning_rate),
        .new_1 = (real)(1 - hyper->beta_1),
        .new_2 = (real)(1 - hyper->beta_2),
        .shrink = shrink_of(hyper),
    };
}

INLINE void lion(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec m = load(w + block), down = splat(-step->rate);
    vec c = multiply_add(splat(step->new_1), g - m, m);
    mean(splat(step->new_2), g, w + block);
    vec change = choose(c > splat(0), down, choose(c < splat(0), -down, c)); /* NaN stays NaN */
    store(w, moved(step, w, change, decays));
}

OPTIMIZER(lion, 1)

/* schedule_free: v <- b2 v + (1 - b2) g^2;  z <- z - lr_t (g / (sqrt(v^) + eps) + decay w);
 *                x <- x + c_t (z - x);  w <- z + b1 (x - z)   (Defazio et al. 2024, AdamW)
 * Gradients are taken at w; z is the first moment; x, the last moment, is the average of all z. The
 * rate rises to lr in the first steps, lr_t = s_t lr with s_t = min(1, t / warmup_steps). The z of
 * step t has the weight s_t^2 in the average, so that c_t = s_t^2 / (s_1^2 + ... + s_t^2). */
static void prepare_schedule_free(const fastnn_hyper *hyper, double t, fastnn_step *step) {
    double steps = fmax(1, hyper->warmup_steps), slow = fmin(1, t / steps);
    double rising = floor(fmin(t, steps));
    double sum = rising * (rising + 1) * (2 * rising + 1) / (6 * steps * steps) + (t - rising);
    double root = sqrt(1 - fastnn_power(hyper->beta_2, t));
    real direction = hyper->maximize ? -1 : 1;
    fastnn_hyper now = *hyper;
    now.learning_rate *= slow;
    *step = (fastnn_step){
        .momentum = (real)hyper->beta_1,
        .new_1 = (real)(slow * slow / sum),
        .keep_2 = (real)hyper->beta_2,
        .new_2 = (real)(1 - hyper->beta_2),
        .root_scale = direction * normal(1 / (now.learning_rate * root)),
        .epsilon = direction * normal(hyper->epsilon / now.learning_rate),
        .shrink = shrink_of(&now),
    };
}

INLINE void schedule_free(const fastnn_step *step, vec g, real *w, ptrdiff_t block, int decays) {
    vec v = second_moment(step, g, w + 2 * block);
    vec z = load(w + block) - adam_change(step, g, v);
    if (decays) z = multiply_add(splat(step->shrink - 1), load(w), z);
    store(w + block, z);
    vec x = mean(splat(step->new_1), z, w + 3 * block);
    store(w, multiply_add(splat(step->momentum), x - z, z));
}

OPTIMIZER(schedule_free, 3)

static const fastnn_optimizer optimizers[] = {
    ENTRIES(sgd, RESTS, .prepare = prepare_plain),
    ENTRIES(momentum, MOVES, .prepare = prepare_plain),
    ENTRIES(nesterov, MOVES, .prepare = prepare_plain),
    ENTRIES(adagrad, RESTS, .prepare = prepare_plain),
    ENTRIES(rmsprop, MOVES, .prepare = prepare_plain),
    ENTRIES(rmsprop_momentum, MOVES, .prepare = prepare_plain),
    ENTRIES(rmsprop_centered, MOVES, .prepare = prepare_plain),
    ENTRIES(rmsprop_centered_momentum, MOVES, .prepare = prepare_plain),
    ENTRIES(adam, MOVES, .prepare = prepare_adam),
    ENTRIES(amsgrad, MOVES, .prepare = prepare_adam),
    ENTRIES(nadam, MOVES, .prepare = prepare_nadam),
    ENTRIES(lion, MOVES, .prepare = prepare_lion),
    ENTRIES(schedule_free, MOVES, .prepare = prepare_schedule_free, .averages = 1),
    {0},
};

#endif
