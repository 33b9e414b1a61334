/* optimizers.h - each update rule, and the list of all rules. To add a rule, see "Adding to fastnn"
 * in ARCHITECTURE.md.
 *
 * A rule is written for one vector of weights w and gradients g = dE/dw; its moments are `block`,
 * 2 `block`, ... reals after w. Each is compiled twice: as NAME, and as NAME_decayed with decoupled
 * weight decay, w <- w - lr decay w before the step (Loshchilov, Hutter 2019). Loops over both are
 * defined: over stored gradients; over the gradients of a batch of one row, g = z.T @ delta, which
 * are never stored; over stored gradients while those of the next tile are computed; and over the
 * updates of one row of weights. All give the same bits: where a product is added to another, the
 * rule states which of them is fused. Padding lanes have g = 0 and w = 0, and every rule leaves
 * such a w at 0.
 *
 * An optimizer that maximizes has a negative rate, and so ascends the gradient. In Adam's rules the
 * constants of the denominator are negative instead.
 */
#ifndef FASTNN_OPTIMIZERS_H
#define FASTNN_OPTIMIZERS_H

#include "../maths.h"
#include "bfloat16.h"
#include "sparse.h"
#include "tile.h"

typedef void update_rule(const fastnn_step *step, vec g, real *w, ptrdiff_t block);

INLINE void update(update_rule *rule, ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                   ptrdiff_t block) {
    for (ptrdiff_t i = 0; i < n; i += LANES) rule(step, load(g + i), w + i, block);
}

/* The gradient is a product added to 0, so that -0 becomes 0. CPUs with separate adders do this
 * addition beside the multiply-add of the rule: measured on Zen 4, SGD takes 161 ns for 64 x 64
 * weights, and 222 if the gradient is a multiply-add, too. */
INLINE void update_by_rank_one(update_rule *rule, ptrdiff_t n, const fastnn_step *step,
                               const real *z, const real *delta, real *w, ptrdiff_t block) {
    vec d[PANEL_VECTORS];
    for (int v = 0; v < PANEL_VECTORS; v++) d[v] = load(delta + v * LANES);
    for (ptrdiff_t i = 0; i < n; i++, w += PANEL)
        for (int v = 0; v < PANEL_VECTORS; v++)
            rule(step, splat(z[i]) * d[v] + (vec){0}, w + v * LANES, block);
}

/* If 32 registers hold a whole tile and the variables of a rule, some vectors are updated after
 * every few rows of the product: square roots, divisions and memory accesses then overlap with the
 * multiply-adds. Measured with Adam on 784-256-128-10: 32 rows 2 % faster, on two threads 11 %; 128
 * rows 1 and 5 %. With fewer registers, spills would make it 10 % slower. */
INLINE void update_during_outer(update_rule *rule, ptrdiff_t rows, ptrdiff_t width, const real *z,
                                const real *delta, real *g, ptrdiff_t n, const fastnn_step *step,
                                const real *known, real *w, ptrdiff_t block) {
#if FASTNN_VECTOR_BYTES == 64
    enum { PARTS = 8 };
    if (width == PANEL && rows >= PARTS) {
        vec acc[PANEL][TILE_VECTORS];
        ptrdiff_t row = 0, i = 0;
        clear_tile(PANEL, acc);
        for (ptrdiff_t part = 1; part <= PARTS; part++) {
            ptrdiff_t depth = rows * part / PARTS - row;
            add_outer_products(PANEL, 1, depth, z + row * PANEL, 1, PANEL, delta + row * PANEL, 0,
                               acc);
            for (row += depth; i < n * part / PARTS; i += LANES)
                rule(step, load(known + i), w + i, block);
        }
        store_tile(PANEL, 1, acc, g, 0);
        return;
    }
#endif
    outer(rows, width, z, delta, 0, g);
    update(rule, n, step, known, w, block);
}

#if FASTNN_BITS == 32
/* The same with pairs of bfloat16. The new w are also stored in pairs of rows, in `operands`,
 * unless that is NULL. */
INLINE void update_during_pair_outer(update_rule *rule, ptrdiff_t rows, ptrdiff_t width,
                                     const fastnn_pair *z, const fastnn_pair *delta, real *g,
                                     ptrdiff_t n, const fastnn_step *step, const real *known,
                                     real *w, ptrdiff_t block, fastnn_pair *operands) {
#if MULTIPLIES_PAIRS
    enum { PARTS = PANEL / 2 };
    if (width == PANEL && rows >= 2 * PARTS && n == PANEL * PANEL) {
        vec acc[PANEL][TILE_VECTORS];
        ptrdiff_t pairs = (rows + 1) / 2, pair = 0;
        clear_tile(PANEL, acc);
        for (ptrdiff_t part = 0; part < PARTS; part++) {
            ptrdiff_t depth = pairs * (part + 1) / PARTS - pair;
            add_pair_products(PANEL, 1, depth, z + pair * PANEL, 1, PANEL, delta + pair * PANEL, 0,
                              acc);
            pair += depth;
            rule(step, load(known), w, block);
            rule(step, load(known + PANEL), w + PANEL, block);
            if (operands) store_pairs(operands, pair_of(load(w), load(w + PANEL)));
            known += 2 * PANEL, w += 2 * PANEL, operands = operands ? operands + PANEL : NULL;
        }
        store_tile(PANEL, 1, acc, g, 0);
        return;
    }
#endif
    pair_outer(rows, width, z, delta, 0, g);
    update(rule, n, step, known, w, block);
    if (operands) pair_up(n / PANEL, 1, w, 0, NULL, 0, operands, 0);
}
#endif

enum { MOST_MOMENTS = 3 }; /* of any rule */

/* Whether all moments are +0. */
INLINE int moments_are_zero(const fastnn_row_updates *u, const real *w) {
    ivec any = {0};
    for (ptrdiff_t q = 0; q < u->panels; q++)
        for (int v = 0; v < PANEL_VECTORS; v++)
            for (int m = 1; m <= u->n_moments; m++)
                any |= (ivec)load(w + q * u->jump + v * LANES + m * u->block);
    return !any_lane(any);
}

/* Rows of weights are far apart in memory: the next row is prefetched while this row is updated. */
INLINE void prefetch_panel(const fastnn_row_updates *u, ptrdiff_t q, int n_moments) {
    if (!u->next) return;
    for (int m = 0; m <= n_moments; m++)
        __builtin_prefetch(u->next + q * u->jump + m * u->block, 1);
    if (u->average) __builtin_prefetch(u->next + q * u->jump + u->average, 1);
}

INLINE real *vector_of_row(const fastnn_row_updates *u, ptrdiff_t i, real *w) {
    return w + i / PANEL_VECTORS * u->jump + i % PANEL_VECTORS * LANES;
}

/* Makes all updates of vectors i, ..., i + n - 1 of a row, n <= TOGETHER; returns -1 in lanes whose
 * weights are not finite. The updates of a vector depend on each other: two vectors side by side
 * hide each other's latency. */
enum { TOGETHER = 2 };
INLINE ivec update_vectors(int n, update_rule *rule, int n_moments, const fastnn_row_updates *u,
                           ptrdiff_t i, const real *g, real *w) {
    real own[TOGETHER][MOST_MOMENTS + 1][LANES] __attribute__((aligned(64))); /* in registers */
    vec mean[TOGETHER];
    ivec any = {0};
#pragma GCC unroll 2
    for (int k = 0; k < n; k++) {
        const real *at = vector_of_row(u, i + k, w);
        for (int m = 0; m <= n_moments; m++) store(own[k][m], load(at + m * u->block));
        mean[k] = u->average ? load(at + u->average) : (vec){0};
    }
    for (int64_t t = u->from; t <= u->to; t++) {
        const fastnn_past *past = &u->past[t % PAST];
#pragma GCC unroll 2
        for (int k = 0; k < n; k++) {
            rule(&past->step, g ? load(g + (i + k) * LANES) : (vec){0}, own[k][0], LANES);
            if (u->average)
                mean[k] =
                    multiply_add(splat(1 - past->momentum), load(own[k][0]) - mean[k], mean[k]);
        }
    }
#pragma GCC unroll 2
    for (int k = 0; k < n; k++) {
        real *at = vector_of_row(u, i + k, w);
        for (int m = 0; m <= n_moments; m++) store(at + m * u->block, load(own[k][m]));
        if (u->average) store(at + u->average, mean[k]);
        any |= load(own[k][0]) - load(own[k][0]) != splat(0);
    }
    return any;
}

INLINE int update_row_by(update_rule *rule, int n_moments, const fastnn_row_updates *u,
                         const real *g, real *w) {
    ptrdiff_t i = 0, n = u->panels * PANEL_VECTORS;
    ivec any = {0};
    if (!g && u->rests && moments_are_zero(u, w)) return 1;
    for (; i + TOGETHER <= n; i += TOGETHER) {
        for (ptrdiff_t k = i; k < i + TOGETHER; k++)
            if (k % PANEL_VECTORS == 0) prefetch_panel(u, k / PANEL_VECTORS, n_moments);
        any |= update_vectors(TOGETHER, rule, n_moments, u, i, g, w);
    }
    if (i < n) {
        prefetch_panel(u, i / PANEL_VECTORS, n_moments);
        any |= update_vectors(1, rule, n_moments, u, i, g, w);
    }
    return !any_lane(any);
}

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

/* Defines the loops of a rule NAME(step, g, w, block, decays), as NAME and as NAME_decayed. */
#define OPTIMIZER(NAME, N_MOMENTS)                                                                 \
    INLINE void NAME##_plain(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {           \
        NAME(step, g, w, block, 0);                                                                \
    }                                                                                              \
    INLINE void NAME##_shrinking(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {       \
        NAME(step, g, w, block, 1);                                                                \
    }                                                                                              \
    LOOPS(NAME, N_MOMENTS, NAME##_plain)                                                           \
    LOOPS(NAME##_decayed, N_MOMENTS, NAME##_shrinking)

#if FASTNN_BITS == 32
#define PAIR_LOOP(NAME, RULE)                                                                      \
    static void NAME##_pair_outer_and_update(                                                      \
        ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z, const fastnn_pair *delta, real *g,  \
        ptrdiff_t n, const fastnn_step *step, const real *known, real *w, ptrdiff_t block,         \
        fastnn_pair *operands) {                                                                   \
        fastnn_step constants = *step;                                                             \
        update_during_pair_outer(RULE, rows, width, z, delta, g, n, &constants, known, w, block,   \
                                 operands);                                                        \
    }
#define PAIR_ENTRY(NAME) NAME##_pair_outer_and_update
#else
#define PAIR_LOOP(NAME, RULE)
#define PAIR_ENTRY(NAME) NULL
#endif

#define LOOPS(NAME, N_MOMENTS, RULE)                                                               \
    static void NAME##_rule(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,          \
                            ptrdiff_t block) {                                                     \
        fastnn_step constants = *step;                                                             \
        update(RULE, n, &constants, g, w, block);                                                  \
    }                                                                                              \
    static void NAME##_rank_one(ptrdiff_t n, const fastnn_step *step, const real *z,               \
                                const real *delta, real *w, ptrdiff_t block) {                     \
        fastnn_step constants = *step;                                                             \
        update_by_rank_one(RULE, n, &constants, z, delta, w, block);                               \
    }                                                                                              \
    static void NAME##_outer_and_update(                                                           \
        ptrdiff_t rows, ptrdiff_t width, const real *z, const real *delta, real *g, ptrdiff_t n,   \
        const fastnn_step *step, const real *known, real *w, ptrdiff_t block) {                    \
        fastnn_step constants = *step;                                                             \
        update_during_outer(RULE, rows, width, z, delta, g, n, &constants, known, w, block);       \
    }                                                                                              \
    PAIR_LOOP(NAME, RULE)                                                                          \
    static int NAME##_update_row(const fastnn_row_updates *updates, const real *g, real *w) {      \
        return update_row_by(RULE, N_MOMENTS, updates, g, w);                                      \
    }

#define ENTRY(NAME, n_moments, rests, averages, prepare)                                           \
    {#NAME,                                                                                        \
     n_moments,                                                                                    \
     rests,                                                                                        \
     averages,                                                                                     \
     prepare,                                                                                      \
     NAME##_rule,                                                                                  \
     NAME##_rank_one,                                                                              \
     NAME##_outer_and_update,                                                                      \
     PAIR_ENTRY(NAME),                                                                             \
     NAME##_update_row}

#define ENTRIES(NAME, n_moments, rests, averages, prepare)                                         \
    ENTRY(NAME, n_moments, rests, averages, prepare),                                              \
        ENTRY(NAME##_decayed, n_moments, 0, averages, prepare)

static real shrink_of(const fastnn_hyper *hyper) {
    return (real)(1 - hyper->learning_rate * hyper->weight_decay);
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
    return splat(step->rate) * g / (vsqrt(s) + splat(step->epsilon));
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
    return m / multiply_add(vsqrt(v), splat(step->root_scale), splat(step->epsilon));
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
    ENTRIES(sgd, 0, 1, 0, prepare_plain),
    ENTRIES(momentum, 1, 0, 0, prepare_plain),
    ENTRIES(nesterov, 1, 0, 0, prepare_plain),
    ENTRIES(adagrad, 1, 1, 0, prepare_plain),
    ENTRIES(rmsprop, 1, 0, 0, prepare_plain),
    ENTRIES(rmsprop_momentum, 2, 0, 0, prepare_plain),
    ENTRIES(rmsprop_centered, 2, 0, 0, prepare_plain),
    ENTRIES(rmsprop_centered_momentum, 3, 0, 0, prepare_plain),
    ENTRIES(adam, 2, 0, 0, prepare_adam),
    ENTRIES(amsgrad, 3, 0, 0, prepare_adam),
    ENTRIES(nadam, 2, 0, 0, prepare_nadam),
    ENTRIES(lion, 1, 0, 0, prepare_lion),
    ENTRIES(schedule_free, 3, 0, 1, prepare_schedule_free),
    {0},
};

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

/* ---- options of an optimizer besides its rule ---- */

/* sum g^2, for clipping by norms; summed again in doubles, one by one, if floats overflow */
static double sum_squares(ptrdiff_t n, const real *g) {
    panel_sums sum = {{{0}}};
    for (ptrdiff_t i = 0; i < n; i += PANEL)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vec x = load(g + i + v * LANES);
            sum.lanes[v] = multiply_add(x, x, sum.lanes[v]);
        }
    double total = (double)sum_panel(&sum);
    if (total - total == 0 || sizeof(real) == sizeof(double)) return total;
    total = 0;
    for (ptrdiff_t i = 0; i < n; i++) total += (double)g[i] * (double)g[i];
    return total;
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
