/* check_optimizers.c - optimizers.h, update_loops.h and penalties.h: each rule and its loops,
 * penalties, clipping, averages. */
#include "formulas.h"
#include "harness.h"

#include <float.h>
#include <string.h>

/* Weights and their moments, `block` reals apart, and as they were before the update. */
typedef struct {
    real *at, *before;
    ptrdiff_t n, block;
    int n_moments;
} weights;

/* Some weights are unused: zero like their gradients and moments. */
static bool is_used(ptrdiff_t i) { return i % 7 != 3; }

static weights new_weights(const char *name, const fastnn_optimizer *optimizer, ptrdiff_t n,
                           ptrdiff_t gap) {
    weights w = {.n = n, .block = n + gap * PANEL, .n_moments = optimizer->n_moments};
    ptrdiff_t size = w.n_moments * w.block + n;
    w.at = new_reals(name, size, 0);
    w.before = new_reals("state before", size, 0);
    for (int k = 0; k <= w.n_moments; k++)
        for (ptrdiff_t i = 0; i < n; i++) /* second moments are sums of squares */
            w.at[k * w.block + i] = is_used(i) ? (real)(k ? uniform(0, 1) : uniform(-2, 2)) : 0;
    memcpy(w.before, w.at, (size_t)size * sizeof(real));
    return w;
}

/* Other weights of the same numbers. */
static weights twin_of(const char *name, const weights *w) {
    weights twin = *w;
    ptrdiff_t size = w->n_moments * w->block + w->n;
    twin.at = new_reals(name, size, 0);
    memcpy(twin.at, w->at, (size_t)size * sizeof(real));
    return twin;
}

static void expect_update(const weights *w, const fastnn_optimizer *optimizer,
                          const fastnn_hyper *hyper, double t, bool decays, const real *g) {
    for (ptrdiff_t i = 0; i < w->n; i++) {
        double state[MOST_STATE], magnitude[MOST_STATE];
        for (int k = 0; k <= w->n_moments; k++) state[k] = (double)w->before[k * w->block + i];
        update_formula(optimizer, hyper, t, decays, (double)g[i], state, magnitude);
        for (int k = 0; k <= w->n_moments; k++)
            expect(w->at, k * w->block + i, state[k], rounding(2, magnitude[k]));
    }
}

static void expect_same_weights(const weights *w, const weights *same) {
    for (int k = 0; k <= w->n_moments; k++)
        for (ptrdiff_t i = 0; i < w->n; i++)
            expect_bits(w->at, k * w->block + i, same->at[k * w->block + i]);
}

/* The constants of a step, and what they are made of. */
typedef struct {
    fastnn_hyper hyper;
    double t;
    bool decays;
    fastnn_step constants;
} step;

static step random_step(const fastnn_optimizer *optimizer) {
    static const double steps[] = {1, 2, 1000};
    step s = {.hyper = {.learning_rate = 0.05,
                        .momentum = 0.9,
                        .rho = 0.95,
                        .beta_1 = 0.9,
                        .beta_2 = 0.999,
                        .epsilon = 1e-3,
                        .epsilon_hat = (double)random_below(2),
                        .momentum_decay = 0.5,
                        .warmup_steps = (double)random_below(5),
                        .weight_decay = 0.1,
                        .maximize = (double)random_below(2)},
              .t = steps[random_below(3)],
              .decays = random_below(2)};
    CALL(optimizer->prepare(&s.hyper, s.t, &s.constants));
    s.constants.ahead = random_below(2) * PANEL;
    if (!s.decays) s.constants.shrink = 1;
    return s;
}

static real *new_gradients(ptrdiff_t n) {
    real *g = new_reals("g", n, 0);
    for (ptrdiff_t i = 0; i < n; i++) g[i] = is_used(i) ? (real)uniform(-2, 2) : 0;
    return g;
}

static void check_rule(const fastnn_optimizer *optimizer, ptrdiff_t n, ptrdiff_t gap) {
    begin_case("%s rule n=%td gap=%td", optimizer->name, n, gap);
    const step s = random_step(optimizer);
    weights w = new_weights("w", optimizer, n, gap);
    real *g = new_gradients(n);
    CALL(optimizer->rule(n, &s.constants, g, w.at, w.block));
    expect_update(&w, optimizer, &s.hyper, s.t, s.decays, g);
    end_case();
}

/* The product z delta, stored, gives the rule the same bits. */
static void check_rank_one(const fastnn_optimizer *optimizer, ptrdiff_t n, ptrdiff_t gap) {
    begin_case("%s rank_one n=%td gap=%td", optimizer->name, n, gap);
    const step s = random_step(optimizer);
    real *z = new_reals("z", n, 0), *delta = new_reals("delta", PANEL, 0);
    real *g = new_reals("g", n * PANEL, 0);
    weights w = new_weights("w", optimizer, n * PANEL, gap), same = twin_of("the rule's w", &w);
    randomize(z, n);
    randomize(delta, PANEL);
    for (ptrdiff_t i = 0; i < n * PANEL; i++) g[i] = z[i / PANEL] * delta[i % PANEL];
    CALL(optimizer->rank_one(n, &s.constants, z, delta, w.at, w.block));
    expect_update(&w, optimizer, &s.hyper, s.t, s.decays, g);
    CALL(optimizer->rule(n * PANEL, &s.constants, g, same.at, same.block));
    expect_same_weights(&same, &w);
    end_case();
}

/* The rule gives the same bits for panels that are one row each. */
static void check_update_row(const fastnn_optimizer *optimizer, ptrdiff_t n, ptrdiff_t gap) {
    static fastnn_past past[PAST];
    begin_case("%s update_row n=%td gap=%td", optimizer->name, n, gap);
    const step s = random_step(optimizer);
    real *g = new_gradients(n);
    weights w = new_weights("w", optimizer, n, gap), same = twin_of("the rule's w", &w);
    past[PAST - 1].step = s.constants;
    const fastnn_row_updates updates = {.panels = n / PANEL,
                                        .jump = PANEL,
                                        .block = w.block,
                                        .past = past,
                                        .next = w.at,
                                        .later = w.at,
                                        .from = 2 * PAST - 1,
                                        .to = 2 * PAST - 1,
                                        .n_moments = optimizer->n_moments};
    CALL(optimizer->update_row(&updates, g, w.at));
    expect_update(&w, optimizer, &s.hyper, s.t, s.decays, g);
    CALL(optimizer->rule(n, &s.constants, g, same.at, same.block));
    expect_same_weights(&same, &w);
    end_case();
}

/* outer and rule one after the other give the same bits. */
static void check_outer_and_update(const fastnn_optimizer *optimizer, ptrdiff_t rows,
                                   ptrdiff_t width, ptrdiff_t n, ptrdiff_t gap) {
    begin_case("%s outer_and_update rows=%td width=%td n=%td gap=%td", optimizer->name, rows, width,
               n, gap);
    const step s = random_step(optimizer);
    matrix z = new_matrix("z", rows, width, 0, 0), delta = new_matrix("delta", rows, PANEL, 0, 0);
    real *g = new_reals("g", width * PANEL, 0), *outer = new_reals("outer's g", width * PANEL, 0);
    weights w = {0}, same = {0};
    real *known = NULL;
    if (n > 0) {
        w = new_weights("w", optimizer, n, gap);
        same = twin_of("the rule's w", &w);
        known = new_gradients(n);
    }
    randomize_matrix(&z, FINITE);
    randomize_matrix(&delta, ZERO);
    CALL(optimizer->outer_and_update(rows, width, z.at, delta.at, g, n, &s.constants, known, w.at,
                                     w.block));
    if (n > 0) expect_update(&w, optimizer, &s.hyper, s.t, s.decays, known);
    for (ptrdiff_t i = 0; i < width * PANEL; i++) {
        double truth = 0, magnitude = 0;
        for (ptrdiff_t r = 0; r < rows; r++) {
            double term = element(&z, r, i / PANEL) * element(&delta, r, i % PANEL);
            truth += term;
            magnitude += fabs(term);
        }
        expect(g, i, truth, rounding(rows, magnitude));
    }
    CALL(ops->outer(rows, width, z.at, delta.at, 0, outer));
    for (ptrdiff_t i = 0; i < width * PANEL; i++) expect_bits(outer, i, g[i]);
    if (n > 0) {
        CALL(optimizer->rule(n, &s.constants, known, same.at, same.block));
        expect_same_weights(&same, &w);
    }
    end_case();
}

#if FASTNN_BITS == 32
/* The same of pairs: pair_outer, rule and pair_rows one after the other. */
static void check_pair_outer_and_update(const fastnn_optimizer *optimizer, ptrdiff_t rows,
                                        ptrdiff_t width, ptrdiff_t n, bool with_operands) {
    ptrdiff_t jump = (rows / (2 * PANEL) + 1) * PANEL * PANEL, pairs = PANEL / 2 * PANEL;
    begin_case("%s pair_outer_and_update rows=%td width=%td n=%td operands=%d", optimizer->name,
               rows, width, n, with_operands);
    const step s = random_step(optimizer);
    matrix x = new_matrix("x", rows, PANEL, 0, 0), y = new_matrix("y", rows, PANEL, 0, 0);
    fastnn_pair *z = (fastnn_pair *)(void *)new_reals("z", jump, 0);
    fastnn_pair *delta = (fastnn_pair *)(void *)new_reals("delta", jump, 0);
    real *g = new_reals("g", width * PANEL, 0), *outer = new_reals("outer's g", width * PANEL, 0);
    weights w = {0}, same = {0};
    real *known = NULL, *operands = NULL, *again = NULL;
    if (n > 0) {
        w = new_weights("w", optimizer, n, 0);
        same = twin_of("the rule's w", &w);
        known = new_gradients(n);
    }
    if (n > 0 && with_operands) {
        operands = new_reals("operands", pairs, 0);
        again = new_reals("pair_rows' operands", pairs, 0);
    }
    randomize_matrix(&x, FINITE);
    randomize_matrix(&y, ZERO);
    ops->pair_left(0, rows, 1, 1, x.at, 0, z, 0);
    ops->pair_rows(0, rows, 1, 1, y.at, 0, delta, 0);
    CALL(ops->begin_outers(),
         optimizer->pair_outer_and_update(rows, width, z, delta, g, n, &s.constants, known, w.at,
                                          w.block, (fastnn_pair *)(void *)operands));
    if (n > 0) expect_update(&w, optimizer, &s.hyper, s.t, s.decays, known);
    if (operands) expect_anything(operands, pairs);
    expect_anything(g, width * PANEL);
    CALL(ops->pair_outer(rows, width, z, delta, 0, outer), ops->end_outers());
    for (ptrdiff_t i = 0; i < width * PANEL; i++) expect_bits(outer, i, g[i]);
    if (n > 0) {
        CALL(optimizer->rule(n, &s.constants, known, same.at, same.block));
        expect_same_weights(&same, &w);
    }
    if (operands) {
        CALL(ops->pair_rows(0, n / PANEL, 0, 1, w.at, 0, (fastnn_pair *)(void *)again, 0));
        for (ptrdiff_t i = 0; i < pairs; i++) expect_bits(again, i, operands[i]);
    }
    end_case();
}

static void check_pair_outers_and_update(const fastnn_optimizer *optimizer, ptrdiff_t rows) {
    check_pair_outer_and_update(optimizer, rows, PANEL, PANEL * random_below(PANEL + 1), true);
    check_pair_outer_and_update(optimizer, rows, PANEL, PANEL * PANEL, true);
    check_pair_outer_and_update(optimizer, rows, PANEL, PANEL * PANEL, false);
    check_pair_outer_and_update(optimizer, rows, 1 + random_below(PANEL), PANEL * 3, true);
    check_pair_outer_and_update(optimizer, rows, 1 + random_below(PANEL), 0, false);
}
#endif

void check_optimizers(void) {
    for (const fastnn_optimizer *it = ops->optimizers; it->name; it++) {
        for (const ptrdiff_t *panels = sizes; *panels; panels++)
            for (ptrdiff_t gap = 0; gap < 3; gap++) {
                check_rule(it, *panels * PANEL, gap);
                check_rank_one(it, *panels, gap);
                check_update_row(it, *panels * PANEL, gap);
            }
        for (const ptrdiff_t *rows = row_counts; *rows; rows++) {
            check_outer_and_update(it, *rows, PANEL, PANEL * random_below(PANEL + 1),
                                   random_below(3));
            check_outer_and_update(it, *rows, PANEL, PANEL * PANEL, random_below(3));
            check_outer_and_update(it, *rows, 1 + random_below(PANEL), PANEL * 3, random_below(3));
            check_outer_and_update(it, *rows, 1 + random_below(PANEL), 0, 0);
#if FASTNN_BITS == 32
            check_pair_outers_and_update(it, *rows);
#endif
        }
    }
}

/* ---- besides the rules ---- */

static void check_one_penalty(ptrdiff_t n, double l1, double l2, bool with_gradient) {
    begin_case("n=%td l1=%g l2=%g with_gradient=%d", n, l1, l2, with_gradient);
    real *w = new_reals("w", n, 0), *before = new_reals("g before", n, 0), *g = NULL;
    randomize(w, n);
    randomize(before, n);
    w[random_below(n)] = 0;
    if (with_gradient) {
        g = new_reals("g", n, 0);
        memcpy(g, before, (size_t)n * sizeof(real));
    }
    double sum = 0, found = 0;
    CALL(found = ops->penalty(n, (real)l1, (real)l2, w, g));
    for (ptrdiff_t i = 0; i < n; i++) {
        double x = (double)w[i], slope = l1 * ((x > 0) - (x < 0)) + 2 * l2 * x;
        sum += l1 * fabs(x) + l2 * x * x;
        if (g)
            expect(g, i, (double)before[i] + slope,
                   rounding(1, fabs((double)before[i]) + fabs(slope)));
    }
    expect_returned(found, sum, rounding(n, sum));
    end_case();
}

void check_penalty(void) {
    for (const ptrdiff_t *panels = sizes; *panels; panels++)
        for (int kind = 0; kind < 8; kind++)
            check_one_penalty(*panels * PANEL, kind & 1 ? 0.25 : 0, kind & 2 ? 0.125 : 0, kind & 4);
}

/* The sum also where it is larger than any float; in doubles it is infinite then. */
void check_sum_squares(void) {
    for (const ptrdiff_t *panels = sizes; *panels; panels++)
        for (int large = 0; large < 2; large++) {
            ptrdiff_t n = *panels * PANEL;
            begin_case("n=%td large=%d", n, large);
            real *g = new_reals("g", n, 0);
            randomize(g, n);
            if (large) g[random_below(n)] = (real)(FASTNN_BITS == 32 ? 1e30 : 1e200);
            double sum = 0, found = 0;
            for (ptrdiff_t i = 0; i < n; i++) sum += (double)g[i] * (double)g[i];
            CALL(found = ops->sum_squares(n, g));
            expect_returned(found, sum, rounding(n, sum));
            end_case();
        }
}

void check_limit(void) {
    for (const ptrdiff_t *panels = sizes; *panels; panels++)
        for (int clipped = 0; clipped < 2; clipped++) {
            ptrdiff_t n = *panels * PANEL;
            real factor = clipped ? 1 : (real)0.3, bound = clipped ? 1 : (real)INFINITY;
            begin_case("n=%td factor=%g bound=%g", n, (double)factor, (double)bound);
            real *g = new_reals("g", n, 0), *before = new_reals("g before", n, 0);
            randomize(g, n);
            g[random_below(n)] = (real)NAN;
            memcpy(before, g, (size_t)n * sizeof(real));
            CALL(ops->limit(n, factor, bound, g));
            for (ptrdiff_t i = 0; i < n; i++) {
                double x = (double)(factor * before[i]), most = (double)bound;
                expect(g, i, x > most ? most : x < -most ? -most : x, 0);
            }
            end_case();
        }
}

void check_average(void) {
    for (const ptrdiff_t *panels = sizes; *panels; panels++)
        for (int kind = 0; kind < 3; kind++) {
            ptrdiff_t n = *panels * PANEL;
            real momentum = (real)(kind * 0.45);
            begin_case("n=%td momentum=%g", n, (double)momentum);
            real *w = new_reals("w", n, 0), *mean = new_reals("average", n, 0);
            real *before = new_reals("average before", n, 0);
            randomize(w, n);
            randomize(mean, n);
            memcpy(before, mean, (size_t)n * sizeof(real));
            CALL(ops->average(n, momentum, w, mean));
            for (ptrdiff_t i = 0; i < n; i++) {
                double mu = (double)momentum, old = (double)before[i], x = (double)w[i];
                expect(mean, i, mu * old + (1 - mu) * x, rounding(1, fabs(old) + fabs(x)));
            }
            end_case();
        }
}
