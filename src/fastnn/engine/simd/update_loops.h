/* update_loops.h - the loops that apply an update rule, the same for all rules.
 *
 * A rule updates one vector of weights (optimizers.h). OPTIMIZER compiles it twice, as NAME and as
 * NAME_decayed, which shrinks the weights before the step. Each has a loop over stored gradients;
 * over the gradients of a batch of one row, g = z.T @ delta, which are never stored; over stored
 * gradients while those of the next tile are computed; and over the updates of one row of weights.
 */
#ifndef FASTNN_UPDATE_LOOPS_H
#define FASTNN_UPDATE_LOOPS_H

#include "bfloat16.h"
#include "tile.h"

/* The constants of a step, for updates that are not made between the products of a gradient. */
INLINE fastnn_step without_products(const fastnn_step *step) {
    fastnn_step constants = *step;
    constants.beside_products = 0;
    return constants;
}

typedef void update_rule(const fastnn_step *step, vec g, real *w, ptrdiff_t block);

enum { MOST_MOMENTS = 3 }; /* of any rule */

INLINE void update(update_rule *rule, ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                   ptrdiff_t block) {
    for (ptrdiff_t i = 0; i < n; i += LANES) rule(step, load(g + i), w + i, block);
}

/* Prefetches a cache line of weights and those of their moments: to L2, or to L1. */
INLINE void fetch_weights(int to_l1, int n_moments, const real *w, ptrdiff_t block) {
    for (int m = 0; m <= n_moments; m++)
        to_l1 ? __builtin_prefetch(w + m * block, 1, 3) : __builtin_prefetch(w + m * block, 1, 2);
}

/* The same as `update`; far weights are prefetched while others are updated (fastnn_step). */
INLINE void update_and_fetch(update_rule *rule, int n_moments, ptrdiff_t n, const fastnn_step *step,
                             const real *g, real *w, ptrdiff_t block) {
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        if (step->ahead) fetch_weights(0, n_moments, w + i + step->ahead, block);
        rule(step, load(g + i), w + i, block);
    }
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

/* Prefetches the vector of weights a tile after w, which the next call mostly updates, and its
 * moments. Measured on a Xeon with AMX (model 167), steps of Adam: 1024-4096-1024 with 256 rows
 * 0.94 times the time, in bfloat16 0.91 times; 784-256-128-10 with 32 rows 0.98 times. Other CPUs
 * have not been measured, and prefetch nothing here. */
INLINE void fetch_next(int n_moments, const real *w, ptrdiff_t block) {
    if (MULTIPLIES_TILES) fetch_weights(1, n_moments, w + PANEL * PANEL, block);
}

/* If 32 registers hold a whole tile and the variables of a rule, some vectors are updated after
 * every few rows of the product: square roots, divisions and memory accesses then overlap with the
 * multiply-adds. Measured with Adam on 784-256-128-10: 32 rows 2 % faster, on two threads 11 %; 128
 * rows 1 and 5 %. With fewer registers, spills would make it 10 % slower. */
INLINE void update_during_outer(update_rule *rule, int n_moments, ptrdiff_t rows, ptrdiff_t width,
                                const real *z, const real *delta, real *g, ptrdiff_t n,
                                const fastnn_step *step, const real *known, real *w,
                                ptrdiff_t block) {
#if FASTNN_VECTOR_BYTES == 64
    enum { PARTS = 8 };
    if (width == PANEL && rows >= PARTS) {
        fastnn_step now = *step;
        vec acc[PANEL][TILE_VECTORS];
        now.beside_products = 1;
        ptrdiff_t row = 0, i = 0;
        clear_tile(PANEL, 1, acc);
        for (ptrdiff_t part = 1; part <= PARTS; part++) {
            ptrdiff_t depth = rows * part / PARTS - row;
            add_outer_products(PANEL, 1, depth, z + row * PANEL, 1, PANEL, delta + row * PANEL, 0,
                               acc);
            for (row += depth; i < n * part / PARTS; i += LANES) {
                fetch_next(n_moments, w + i, block);
                rule(&now, load(known + i), w + i, block);
            }
        }
        store_tile(PANEL, 1, acc, g, 0);
        return;
    }
#endif
    (void)n_moments;
    outer(rows, width, z, delta, 0, g);
    update(rule, n, step, known, w, block);
}

#if FASTNN_BITS == 32
#if MULTIPLIES_PAIRS
enum {
    GROUP = 2 * APART, /* rows of weights that make whole pairs */
    PARTS = PANEL / GROUP,
    FEWEST_ROWS = MULTIPLIES_TILES ? 1 : PANEL /* of a batch, to update between products */
};

/* Updates GROUP rows of weights, number `part` of a tile, and pairs them in `operands`, unless that
 * is NULL. */
INLINE void update_group(update_rule *rule, int n_moments, ptrdiff_t part, const fastnn_step *step,
                         const real *known, real *w, ptrdiff_t block, fastnn_pair *operands) {
    known += part * GROUP * PANEL, w += part * GROUP * PANEL;
    for (int i = 0; i < GROUP; i++) {
        fetch_next(n_moments, w + i * PANEL, block);
        rule(step, load(known + i * PANEL), w + i * PANEL, block);
    }
    for (int i = 0; operands && i < APART; i++)
        store_pairs(operands + (part * APART + i) * PANEL,
                    pair_of(load(w + i * PANEL), load(w + (i + APART) * PANEL)));
}
#endif

#if MULTIPLIES_TILES
/* g = z.T @ delta while a tile of PANEL rows of weights is updated: the products of a part of the
 * blocks begin before each group of rows is updated. */
INLINE void update_tile_during(update_rule *rule, int n_moments, ptrdiff_t rows,
                               const fastnn_pair *z, const fastnn_pair *delta, real *g,
                               const fastnn_step *step, const real *known, real *w, ptrdiff_t block,
                               fastnn_pair *operands) {
    ptrdiff_t blocks = blocks_of(rows), done = 0;
    fastnn_step now = *step;
    now.beside_products = 1;
    _tile_zero(0);
    for (ptrdiff_t part = 0; part < PARTS; part++) {
        ptrdiff_t stop = (blocks * (part + 1) + PARTS - 1) / PARTS;
        add_blocks_of_rows(done, stop, z, delta);
        done = stop;
        update_group(rule, n_moments, part, &now, known, w, block, operands);
    }
    _tile_stored(0, g, PANEL * sizeof(real));
}
#elif MULTIPLIES_PAIRS
/* g = z.T @ delta while a tile of PANEL rows of weights is updated: a group of rows after each half
 * of a block for half of g, or less often if there are more blocks. */
INLINE void update_tile_during(update_rule *rule, int n_moments, ptrdiff_t rows,
                               const fastnn_pair *z, const fastnn_pair *delta, real *g,
                               const fastnn_step *step, const real *known, real *w, ptrdiff_t block,
                               fastnn_pair *operands) {
    ptrdiff_t halves = 2 * (PANEL / PAIR_ROWS) * blocks_of(rows), half = 0, part = 0;
    fastnn_step now = *step;
    now.beside_products = 1;
    for (ptrdiff_t i = 0; i < PANEL; i += PAIR_ROWS)
        for (ptrdiff_t pairs = pairs_of(rows), at = 0; pairs > 0; pairs -= PAIRS) {
            ptrdiff_t steps = (pairs < PAIRS ? pairs : PAIRS) / 2;
            vec acc[2][PAIR_ROWS][TILE_VECTORS];
            clear_chains(PAIR_ROWS, 1, acc);
            for (ptrdiff_t k = 0, n = steps / 2; k < steps; k += n, n = steps - n) {
                ptrdiff_t pair = (at + 2 * k) * PANEL;
                add_pair_products(PAIR_ROWS, 1, n, z + pair + i, 1, PANEL, delta + pair, 0, acc);
                if (part * halves < ++half * PARTS)
                    update_group(rule, n_moments, part++, &now, known, w, block, operands);
            }
            add_chains(PAIR_ROWS, 1, acc, pairs >= PAIRS, NULL, at > 0, g + i * PANEL, 0);
            at += PAIRS;
        }
}
#endif

/* The same with pairs of bfloat16. The new w are also stored in pairs of rows, in `operands`,
 * unless that is NULL. */
INLINE void update_during_pair_outer(update_rule *rule, int n_moments, ptrdiff_t rows,
                                     ptrdiff_t width, const fastnn_pair *z,
                                     const fastnn_pair *delta, real *g, ptrdiff_t n,
                                     const fastnn_step *step, const real *known, real *w,
                                     ptrdiff_t block, fastnn_pair *operands) {
#if MULTIPLIES_PAIRS
    if (width == PANEL && rows >= FEWEST_ROWS && n == PANEL * PANEL) {
        update_tile_during(rule, n_moments, rows, z, delta, g, step, known, w, block, operands);
        return;
    }
#endif
    (void)n_moments;
    pair_outer(rows, width, z, delta, 0, g);
    update(rule, n, step, known, w, block);
    if (operands) pair_rows(0, n / PANEL, 0, 1, w, 0, operands, 0);
}
#endif

/* Whether updates with gradients of 0 change nothing: if all moments are +0 and no weight is -0,
 * which becomes +0 if a velocity of +0 is added. Not compiled for each rule, which would make the
 * module larger. */
static __attribute__((noinline)) int row_rests(const fastnn_row_updates *u, const real *w) {
    ivec any = {0};
    if (u->n_moments == 0) return 1;
    for (ptrdiff_t q = 0; q < u->panels; q++)
        for (int v = 0; v < PANEL_VECTORS; v++) {
            const real *at = w + q * u->jump + v * LANES;
            any |= minus_zeros(load(at));
            for (int m = 1; m <= u->n_moments; m++) any |= (ivec)load(at + m * u->block);
        }
    return !any_lane(any);
}

/* Rows of weights are far apart in memory: they are prefetched to L2 long before their updates,
 * since memory is slow, and to L1 shortly before. This prefetches the panel that begins with
 * vector i, of both rows. A core keeps few prefetches in flight, and stops at further ones; so they
 * are spread over the updates of a row. Measured on a Xeon (model 167), fits with 100,000 columns
 * take 0.9 times as long. */
INLINE void fetch_vectors(const fastnn_row_updates *u, ptrdiff_t i, int n_moments) {
    ptrdiff_t at = i / PANEL_VECTORS * u->jump;
    if (i % PANEL_VECTORS != 0) return;
    fetch_weights(0, n_moments, u->later + at, u->block);
    fetch_weights(1, n_moments, u->next + at, u->block);
    __builtin_prefetch(u->later + at + u->average, 1, 2); /* without averages, the weights again */
}

INLINE real *vector_of_row(const fastnn_row_updates *u, ptrdiff_t i, real *w) {
    return w + i / PANEL_VECTORS * u->jump + i % PANEL_VECTORS * LANES;
}

/* Makes all updates of vectors i, ..., i + n - 1 of a row, n <= TOGETHER; returns -1 in lanes whose
 * weights are not finite. The updates of a vector depend on each other: vectors side by side hide
 * each other's latency. 32 registers hold three vectors with the moments of any rule, 16 two. */
#if FASTNN_VECTOR_BYTES == 64
enum { TOGETHER = 3 };
#else
enum { TOGETHER = 2 };
#endif
INLINE ivec update_vectors(int n, update_rule *rule, int n_moments, const fastnn_row_updates *u,
                           ptrdiff_t i, const real *g, real *w) {
    real own[TOGETHER][MOST_MOMENTS + 1][LANES] __attribute__((aligned(64))); /* in registers */
    vec mean[TOGETHER];
    ivec any = {0};
    for (int k = 0; k < n; k++) fetch_vectors(u, i + k, n_moments);
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) {
        const real *at = vector_of_row(u, i + k, w);
        for (int m = 0; m <= n_moments; m++) store(own[k][m], load(at + m * u->block));
        mean[k] = u->average ? load(at + u->average) : (vec){0};
    }
    for (int64_t t = u->from; t <= u->to; t++) {
        const fastnn_past *past = &u->past[t % PAST];
        fastnn_step now = without_products(&past->step);
#pragma GCC unroll 4
        for (int k = 0; k < n; k++) {
            rule(&now, g ? load(g + (i + k) * LANES) : (vec){0}, own[k][0], LANES);
            if (u->average)
                mean[k] =
                    multiply_add(splat(1 - past->momentum), load(own[k][0]) - mean[k], mean[k]);
        }
    }
#pragma GCC unroll 4
    for (int k = 0; k < n; k++) {
        real *at = vector_of_row(u, i + k, w);
        for (int m = 0; m <= n_moments; m++) store(at + m * u->block, load(own[k][m]));
        if (u->average) store(at + u->average, mean[k]);
        any |= load(own[k][0]) - load(own[k][0]) != splat(0);
    }
    return any;
}

INLINE fastnn_row_result update_row_by(update_rule *rule, int n_moments,
                                       const fastnn_row_updates *u, const real *g, real *w) {
    ptrdiff_t i = 0, n = u->panels * PANEL_VECTORS;
    ivec any = {0};
    if (!g && u->rests && row_rests(u, w)) {
        for (; i < n; i++) fetch_vectors(u, i, n_moments);
        return ROW_RESTS;
    }
    for (; i + TOGETHER <= n; i += TOGETHER)
        any |= update_vectors(TOGETHER, rule, n_moments, u, i, g, w);
    for (; i < n; i++) any |= update_vectors(1, rule, n_moments, u, i, g, w);
    return any_lane(any) ? ROW_NOT_FINITE : ROW_FINITE;
}

/* Defines the loops of a rule NAME(step, g, w, block, decays), as NAME and as NAME_decayed. */
#define OPTIMIZER(NAME, N_MOMENTS)                                                                 \
    enum { NAME##_MOMENTS = N_MOMENTS };                                                           \
    _Static_assert(N_MOMENTS <= MOST_MOMENTS, #NAME " has more moments than MOST_MOMENTS");        \
    INLINE void NAME##_plain(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {           \
        NAME(step, g, w, block, 0);                                                                \
    }                                                                                              \
    INLINE void NAME##_shrinking(const fastnn_step *step, vec g, real *w, ptrdiff_t block) {       \
        NAME(step, g, w, block, 1);                                                                \
    }                                                                                              \
    LOOPS(NAME, N_MOMENTS, NAME##_plain)                                                           \
    LOOPS(NAME##_decayed, N_MOMENTS, NAME##_shrinking)

#if FASTNN_BITS == 32
#define PAIR_LOOP(NAME, N_MOMENTS, RULE)                                                           \
    static void NAME##_pair_outer_and_update(                                                      \
        ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z, const fastnn_pair *delta, real *g,  \
        ptrdiff_t n, const fastnn_step *step, const real *known, real *w, ptrdiff_t block,         \
        fastnn_pair *operands) {                                                                   \
        fastnn_step constants = without_products(step);                                            \
        update_during_pair_outer(RULE, N_MOMENTS, rows, width, z, delta, g, n, &constants, known,  \
                                 w, block, operands);                                              \
    }
#define PAIR_ENTRY(NAME) NAME##_pair_outer_and_update
#else
#define PAIR_LOOP(NAME, N_MOMENTS, RULE)
#define PAIR_ENTRY(NAME) NULL
#endif

#define LOOPS(NAME, N_MOMENTS, RULE)                                                               \
    static void NAME##_rule(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,          \
                            ptrdiff_t block) {                                                     \
        fastnn_step constants = without_products(step);                                            \
        update_and_fetch(RULE, N_MOMENTS, n, &constants, g, w, block);                             \
    }                                                                                              \
    static void NAME##_rank_one(ptrdiff_t n, const fastnn_step *step, const real *z,               \
                                const real *delta, real *w, ptrdiff_t block) {                     \
        fastnn_step constants = without_products(step);                                            \
        update_by_rank_one(RULE, n, &constants, z, delta, w, block);                               \
    }                                                                                              \
    static void NAME##_outer_and_update(                                                           \
        ptrdiff_t rows, ptrdiff_t width, const real *z, const real *delta, real *g, ptrdiff_t n,   \
        const fastnn_step *step, const real *known, real *w, ptrdiff_t block) {                    \
        fastnn_step constants = without_products(step);                                            \
        update_during_outer(RULE, N_MOMENTS, rows, width, z, delta, g, n, &constants, known, w,    \
                            block);                                                                \
    }                                                                                              \
    PAIR_LOOP(NAME, N_MOMENTS, RULE)                                                               \
    static fastnn_row_result NAME##_update_row(const fastnn_row_updates *updates, const real *g,   \
                                               real *w) {                                          \
        return update_row_by(RULE, N_MOMENTS, updates, g, w);                                      \
    }

/* Two entries of the list of rules: NAME and NAME_decayed. RESTING is RESTS if an update of NAME
 * with gradients of 0 changes nothing, and MOVES otherwise; NAME_decayed always shrinks w. The
 * arguments after it set further fields of fastnn_optimizer. */
enum { MOVES, RESTS };
#define ENTRIES(NAME, RESTING, ...)                                                                \
    ENTRY(NAME, NAME##_MOMENTS, RESTING, __VA_ARGS__),                                             \
        ENTRY(NAME##_decayed, NAME##_MOMENTS, MOVES, __VA_ARGS__)

#define ENTRY(NAME, N_MOMENTS, RESTING, ...)                                                       \
    {.name = #NAME,                                                                                \
     .n_moments = N_MOMENTS,                                                                       \
     .rests = RESTING,                                                                             \
     .rule = NAME##_rule,                                                                          \
     .rank_one = NAME##_rank_one,                                                                  \
     .outer_and_update = NAME##_outer_and_update,                                                  \
     .pair_outer_and_update = PAIR_ENTRY(NAME),                                                    \
     .update_row = NAME##_update_row,                                                              \
     __VA_ARGS__}

#endif
