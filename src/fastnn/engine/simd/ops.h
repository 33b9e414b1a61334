/* ops.h - the table of leaves: the C functions of one build (a precision, an instruction set) that
 * the engine calls. The same header describes every build; ops.c fills its table, dispatch.c lists
 * the tables that this CPU can run.
 *
 * Panels. Every matrix the leaves see is stored in panels one cache line wide (PANEL columns: 16
 * floats or 8 doubles): element (r, c) of a matrix with `stride` rows a panel lies at
 *
 *     (c / PANEL) * stride * PANEL + r * PANEL + c % PANEL
 *
 * A panel is thus contiguous, and so is any run of its rows. The layout is the same for all
 * instruction sets. Weights (n_in, n_out) have stride n_in; those of layers with few outputs, n_out
 * <= NARROW, and more than one panel of inputs are stored transposed, (n_out, n_in). Rows of a
 * batch have the stride of their buffers. Columns past the last are padding: zero in weights and
 * deltas; any number in outputs of layers, also NaN, since 0 times an infinite input is NaN. All
 * panels are 64-byte aligned. Lengths `n` of flat arrays are multiples of PANEL.
 */
#ifndef FASTNN_OPS_H
#define FASTNN_OPS_H

#include "real.h"

/* tile.h: products over panels. */

/* c = bias + a @ b for `panels` panels of columns. a is (rows, depth) in panels `a_jump` reals
 * apart, b (depth, columns) `b_jump` apart, c (rows, columns) `c_jump` apart. bias is (columns,)
 * padded, or NULL. */
typedef void fastnn_product_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const real *a,
                               ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias,
                               real *c, ptrdiff_t c_jump);

/* c = a @ w.T: a (rows, depth), w (columns, depth), c (rows, columns), with zeros in the columns of
 * padding. w is transposed by parts to `scratch`, which has room for 2 panels of (depth, PANEL)
 * with the depth rounded up to a multiple of PANEL. w is read in whole panels of the depth. */
typedef void fastnn_product_transposed_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                                          const real *a, ptrdiff_t a_jump, const real *w,
                                          ptrdiff_t w_jump, real *scratch, real *c,
                                          ptrdiff_t c_jump);

/* The same for products that are too small to transpose w, here b, first. Sums run across
 * the lanes without the padding, which may be any number. LANES rows are read at a time, so that up
 * to PANEL - 1 rows past the end of a (narrow) or of b (dots) must be readable.
 *
 * narrow: c = bias + a @ b.T, a (rows, depth), b (width <= NARROW, depth), c (rows, width), a panel
 * dots:   c = a @ b.T, a (rows, depth), b (columns, depth), c (rows, columns) */
enum { NARROW = PANEL / 4 };
typedef void fastnn_narrow_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width, const real *a,
                              ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias,
                              real *c);
typedef void fastnn_dots_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a,
                            ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, real *c,
                            ptrdiff_t c_jump);

/* g = z.T @ delta for one tile of weights: z (rows, width <= PANEL) and delta (rows, PANEL) are one
 * panel each, g is (width, PANEL). With `more` the products are added to g. */
typedef void fastnn_outer_fn(ptrdiff_t rows, ptrdiff_t width, const real *z, const real *delta,
                             int more, real *g);

/* The same for a strip of tiles: products of z with each of `panels` panels of delta are added to
 * the gradients `before`, or to 0 if `before` is NULL. z has one panel of `width` columns, or
 * several whole ones; panels of z and of delta are `jump` reals apart, those of `before`
 * `before_jump` reals. g is (panels of z, panels, PANEL, PANEL). */
typedef void fastnn_outer_strip_fn(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, const real *z,
                                   const real *delta, ptrdiff_t jump, const real *before,
                                   ptrdiff_t before_jump, real *g);

/* sparse.h: the same products, to the same bits, of rows that are given as their nonzeros. */

/* A row's nonzeros, their columns in ascending order. */
typedef struct {
    const int32_t *columns;
    const real *values;
    ptrdiff_t n;
} fastnn_sparse_row;

/* A nonzero of a column, its row in a round, and its column in a panel. */
typedef struct {
    real value;
    uint16_t row, lane;
} fastnn_entry;

/* fastnn_product_fn and fastnn_narrow_fn of sparse rows a (rows, depth). With `whole`, b is not
 * finite, and products with zeros are computed, too. */
typedef void fastnn_sparse_product_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels,
                                      const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                                      const real *bias, int whole, real *c, ptrdiff_t c_jump);
typedef void fastnn_sparse_narrow_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width,
                                     const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                                     const real *bias, int whole, real *c);

/* fastnn_outer_fn of `width` sparse columns: column i has count[i] nonzeros from z[first[i]] on, in
 * the order of the rows. With `ordered`, those of all columns follow each other. With `whole`,
 * delta is not finite, and products with zeros are computed, too. The narrow function computes g of
 * transposed weights, (n_out <= NARROW, PANEL). */
typedef void fastnn_sparse_outer_fn(ptrdiff_t rows, ptrdiff_t width, const fastnn_entry *z,
                                    const ptrdiff_t *first, const int32_t *count, int ordered,
                                    const real *delta, int whole, int more, real *g);
typedef void fastnn_sparse_outer_narrow_fn(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n_out,
                                           const fastnn_entry *z, const ptrdiff_t *first,
                                           const int32_t *count, const real *delta, int whole,
                                           int more, real *g);

/* g = z.T @ delta for one column z of n nonzeros: delta is (rows, columns) in panels `jump` reals
 * apart; g, the gradient of one row of weights, is (panels, PANEL). */
typedef void fastnn_sparse_column_fn(ptrdiff_t rows, ptrdiff_t panels, const fastnn_entry *z,
                                     ptrdiff_t n, const real *delta, ptrdiff_t jump, real *g);

/* bfloat16.h, for floats only: the same products with operands rounded to bfloat16, in pairs. */

/* Two bfloat16 numbers of the depth of a product. A block of the depth has 2 PANEL numbers. Which
 * of them make a pair, and where it is stored, depends on the instruction set. */
typedef uint32_t fastnn_pair;

/* Round x (rows, columns), in panels `jump` reals apart, to the left operand of a product, a: for
 * each block of columns, `out_jump` pairs apart, (rows, PANEL). */
typedef void fastnn_pair_columns_fn(ptrdiff_t rows, ptrdiff_t columns, const real *x,
                                    ptrdiff_t jump, fastnn_pair *out, ptrdiff_t out_jump);

/* Round `panels` panels of x to the right operand of a product or a gradient, b or delta, whose
 * depth is the rows: for each panel, `out_jump` pairs apart, PANEL rows of PANEL pairs for each
 * block of rows. x has rows first, ..., first + rows - 1 of the operand; first is a multiple of 4.
 * With `last` they end the operand: the block of the last row is filled with pairs of 0 where
 * products read these. Operands that are not written this way are 0 from the beginning. */
typedef void fastnn_pair_rows_fn(ptrdiff_t first, ptrdiff_t rows, int last, ptrdiff_t panels,
                                 const real *x, ptrdiff_t jump, fastnn_pair *out,
                                 ptrdiff_t out_jump);

/* The same for the left operand of a gradient, z. */
typedef fastnn_pair_rows_fn fastnn_pair_left_fn;

/* Round one panel of w.T to the right operand of a product: w is (width <= PANEL, columns) in
 * panels `w_jump` reals apart, out PANEL rows of PANEL pairs for each block of the columns. */
typedef void fastnn_pair_transposed_fn(ptrdiff_t width, ptrdiff_t columns, const real *w,
                                       ptrdiff_t w_jump, fastnn_pair *out);

/* fastnn_product_fn and fastnn_outer_fn of such operands. The second is called between begin_outers
 * and end_outers on the same thread, while subnormal numbers are flushed (subnormals.h). With
 * `more`, blocks are counted from its first row again. */
typedef void fastnn_pair_product_fn(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels,
                                    const fastnn_pair *a, ptrdiff_t a_jump, const fastnn_pair *b,
                                    ptrdiff_t b_jump, const real *bias, real *c, ptrdiff_t c_jump);
typedef void fastnn_pair_outer_fn(ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z,
                                  const fastnn_pair *delta, int more, real *g);
typedef void fastnn_begin_outers_fn(void);
typedef void fastnn_end_outers_fn(void);

/* zeros.h: products of panels with many zeros. The other factor must be finite, padding zero. */

/* The number of nonzeros in `panels` runs of n reals, `jump` reals apart (any n, any alignment). */
typedef ptrdiff_t fastnn_count_nonzeros_fn(ptrdiff_t n, ptrdiff_t panels, const real *x,
                                           ptrdiff_t jump);

/* The nonzeros of SLICE rows of a panel, column by column: their values, and their places, the
 * offsets of their rows in any panel. SLICE rows of a panel of delta take a quarter of an L1 cache
 * of 32 KB. */
enum { SLICE = 128 };
typedef struct {
    real values[PANEL][SLICE + PANEL];
    int32_t places[PANEL][SLICE + PANEL];
    int32_t counts[PANEL];
} fastnn_column_lists;

/* Fills the lists of a panel z (rows, PANEL), one for each SLICE rows; returns the number of
 * nonzeros. */
typedef ptrdiff_t fastnn_list_columns_fn(ptrdiff_t rows, const real *z, fastnn_column_lists *lists);

/* fastnn_outer_strip_fn from the lists of z, with at most STRIP panels. */
enum { STRIP = 4 };
typedef void fastnn_outer_of_nonzeros_fn(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels,
                                         const real *z, const fastnn_column_lists *lists,
                                         const real *delta, ptrdiff_t jump, const real *before,
                                         ptrdiff_t before_jump, real *g);
typedef fastnn_product_fn fastnn_product_of_nonzeros_fn;

/* g = delta.sum(0) for each of `panels` panels of delta (rows, PANEL), which are `jump` reals
 * apart: g is (panels, PANEL). With `more` the sums are added to g. */
typedef void fastnn_column_sums_fn(ptrdiff_t rows, ptrdiff_t panels, const real *delta,
                                   ptrdiff_t jump, int more, real *g);

/* rows.h: copies between panels and row-major arrays, and other loops. */

/* gather: copy rows order[0], order[1], ... (0, 1, ... if order is NULL) of the row-major array
 * `source` (.., columns) to panels `jump` reals apart, with padding of zeros. scatter: copy all
 * rows of panels to a row-major array (rows, columns). */
typedef void fastnn_gather_fn(ptrdiff_t rows, ptrdiff_t columns, const real *source,
                              const int64_t *order, real *panels, ptrdiff_t jump);
typedef void fastnn_scatter_fn(ptrdiff_t rows, ptrdiff_t columns, const real *panels,
                               ptrdiff_t jump, real *out);

/* gather for class labels: rows of zeros with a one in the column of the label. */
typedef void fastnn_one_hot_fn(ptrdiff_t rows, ptrdiff_t columns, const int64_t *labels,
                               const int64_t *order, real *panels, ptrdiff_t jump);

/* x <- (x - mean) * inverse for one panel x (rows, PANEL); mean and inverse are (PANEL,). */
typedef void fastnn_standardize_fn(ptrdiff_t rows, const real *mean, const real *inverse, real *x);

/* out = x + y over n reals; out may be x. */
typedef void fastnn_add_fn(ptrdiff_t n, const real *x, const real *y, real *out);

/* The index of the first NaN or infinity among n reals (any n, any alignment), or -1. */
typedef ptrdiff_t fastnn_first_nonfinite_fn(ptrdiff_t n, const real *x);

/* activations.h. forward: replace a in z by h(a); if the activation keeps its slope and `slope`
 * isn't NULL, store h'(a) there. backward: delta *= h'(a), given z or, if kept, the slope. */
typedef void fastnn_forward_fn(ptrdiff_t n, real alpha, real *z, real *slope);
typedef void fastnn_backward_fn(ptrdiff_t n, real alpha, const real *z_or_slope, real *delta);
/* The same for an activation that needs whole rows: (rows, columns) in panels `jump` apart. */
typedef void fastnn_row_forward_fn(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t jump, real *z);
typedef void fastnn_row_backward_fn(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t jump,
                                    const real *z, real *delta);

typedef struct {
    const char *name;
    int keeps_slope;
    fastnn_forward_fn *forward; /* NULL if h needs whole rows, or is the identity */
    fastnn_backward_fn *backward;
    fastnn_row_forward_fn *row_forward;
    fastnn_row_backward_fn *row_backward;
} fastnn_activation;

/* losses.h. The loss of each row and its derivative, both multiplied by the weight of the row; in
 * the list losses_by_output, by a weight for each output, which delta holds before the call. An
 * entry without `activation` takes outputs y of any activation and computes dE/dy; an entry with
 * one takes the pre-activations a of that activation and computes delta = dE/da. */
/* c-source: begin loss_args */
typedef struct {
    ptrdiff_t rows, columns, jump; /* shape and panel distance of y, t and delta */
    const real *y;                 /* outputs, or pre-activations */
    const real *t;                 /* targets */
    const real *parameter;         /* (columns,) padded, for losses that have one */
    const real *weight;            /* (rows,) */
    real *delta;
    double *loss; /* (rows,) */
} fastnn_loss_args;
/* c-source: end */

typedef void fastnn_loss_fn(const fastnn_loss_args *args);

typedef struct {
    const char *name;
    const char *activation;
    fastnn_loss_fn *run;
} fastnn_loss;

/* optimizers.h, update_loops.h. fastnn_hyper: hyper-parameters as the user gave them. fastnn_step:
 * the constants of a step, derived from them. fastnn_rule_fn: updates n weights w by gradients g;
 * the moments are `block`, 2 `block`, ... reals after w. */
#define FASTNN_HYPER_PARAMETERS(EACH)                                                              \
    EACH(learning_rate)                                                                            \
    EACH(momentum)                                                                                 \
    EACH(rho)                                                                                      \
    EACH(beta_1)                                                                                   \
    EACH(beta_2)                                                                                   \
    EACH(epsilon)                                                                                  \
    EACH(epsilon_hat)    /* 1: Adam adds epsilon to sqrt(v), before the bias correction */         \
    EACH(momentum_decay) /* of NAdam */                                                            \
    EACH(warmup_steps)   /* of schedule_free */                                                    \
    EACH(weight_decay)                                                                             \
    EACH(maximize) /* 1: gradient ascent */

#define FASTNN_FIELD(name) double name;
typedef struct {
    FASTNN_HYPER_PARAMETERS(FASTNN_FIELD)
} fastnn_hyper;

#define FASTNN_NAME(name) #name,
enum { FASTNN_HYPER_COUNT = sizeof(fastnn_hyper) / sizeof(double) };
static const char *const fastnn_hyper_names[] = {FASTNN_HYPER_PARAMETERS(FASTNN_NAME)};

/* A rule reads the constants that are in its formula:
 *
 *     rate        factor of g, or of the sign in lion, below 0 for gradient ascent; in nadam the
 *                 weight of g in m^
 *     momentum    factor of the velocity; in nadam the weight of m in m^, in schedule_free that of
 *                 x in w
 *     new_1       weight of g in the new m; in lion that of g in the sum whose sign is taken, in
 *                 schedule_free that of z in x
 *     keep_2      factor of the second moment
 *     new_2       weight of g^2 in the new second moment; in rmsprop_centered also, in lion only,
 *                 that of g in the new m
 *     root_scale  in adam, amsgrad, nadam and schedule_free: factor of the root in the denominator,
 *                 below 0 for gradient ascent
 *     epsilon     added to the root; in the rules with root_scale, to the scaled root with its
 *                 sign
 *     shrink      factor of w, decoupled weight decay
 *
 * beside_products and ahead are for the loops (update_loops.h). beside_products: the update is made
 * between multiply-adds of a product, which hide the time of a square root. ahead: the weights so
 * many reals after those being updated are prefetched, with their moments; 0: none are.
 */
typedef struct {
    real rate, momentum, new_1, keep_2, new_2, root_scale, epsilon, shrink;
    int beside_products;
    ptrdiff_t ahead;
} fastnn_step;

/* The constants of the t-th update (t = 1, 2, ...). */
typedef void fastnn_prepare_fn(const fastnn_hyper *hyper, double t, fastnn_step *step);
typedef void fastnn_rule_fn(ptrdiff_t n, const fastnn_step *step, const real *g, real *w,
                            ptrdiff_t block);

/* The same for a batch of one row, whose gradient g = z.T @ delta, (n, PANEL), is never stored. */
typedef void fastnn_rank_one_fn(ptrdiff_t n, const fastnn_step *step, const real *z,
                                const real *delta, real *w, ptrdiff_t block);

/* Compute g = z.T @ delta for one tile of weights, as fastnn_outer_fn does, and at the same time
 * update the n weights w of another tile by the gradients `known`. */
typedef void fastnn_outer_and_update_fn(ptrdiff_t rows, ptrdiff_t width, const real *z,
                                        const real *delta, real *g, ptrdiff_t n,
                                        const fastnn_step *step, const real *known, real *w,
                                        ptrdiff_t block);

/* The same as fastnn_pair_outer_fn does, with its operands z and delta. The new weights w are also
 * rounded to a right operand, `operands`, unless that is NULL. */
typedef void fastnn_pair_outer_and_update_fn(ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z,
                                             const fastnn_pair *delta, real *g, ptrdiff_t n,
                                             const fastnn_step *step, const real *known, real *w,
                                             ptrdiff_t block, fastnn_pair *operands);

/* The constants of a step, stored for updates that are made later (engine/postponed.pxd), and the
 * momentum of the moving average of the weights. Those of update t are stored at t % PAST. */
enum { PAST = 1024 };
typedef struct {
    fastnn_step step;
    real momentum;
} fastnn_past;

/* Updates `from`, ..., `to` of one row of weights w: PANEL reals in each of `panels` panels, `jump`
 * reals apart. g (panels, PANEL) is the gradient of a single update (from = to); NULL: the
 * gradients of all updates are 0. The moving average of w is `average` reals after w; 0: there is
 * none. Returns whether the weights are finite, or that nothing has changed. */
typedef struct {
    ptrdiff_t panels, jump, block, average;
    const fastnn_past *past;
    const real *next, *later; /* rows that are updated soon and later, to be prefetched */
    int64_t from, to;
    int n_moments; /* 0 if no moment changes an update with a gradient of 0 */
    int rests;     /* make no updates with gradients of 0 that change nothing */
} fastnn_row_updates;
typedef enum { ROW_NOT_FINITE, ROW_FINITE, ROW_RESTS } fastnn_row_result;
typedef fastnn_row_result fastnn_update_row_fn(const fastnn_row_updates *updates, const real *g,
                                               real *w);

typedef struct {
    const char *name;
    int n_moments;
    int rests; /* an update with gradient 0 changes nothing */
    /* The last moment is an average, at which the network is evaluated. Before the first update,
     * the first moment and the average are equal to the weights. */
    int averages;
    fastnn_prepare_fn *prepare;
    fastnn_rule_fn *rule;
    fastnn_rank_one_fn *rank_one;
    fastnn_outer_and_update_fn *outer_and_update;
    fastnn_pair_outer_and_update_fn *pair_outer_and_update; /* NULL for doubles */
    fastnn_update_row_fn *update_row;
} fastnn_optimizer;

/* penalties.h. penalty: l1 sum|w| + l2 sum w^2; its gradient is added to g unless g is NULL. */
typedef double fastnn_penalty_fn(ptrdiff_t n, real l1, real l2, const real *w, real *g);

/* sum_squares: sum g^2. limit: g <- factor g, clipped to [-bound, bound]. average:
 * average <- momentum average + (1 - momentum) w. */
typedef double fastnn_sum_squares_fn(ptrdiff_t n, const real *g);
typedef void fastnn_limit_fn(ptrdiff_t n, real factor, real bound, real *g);
typedef void fastnn_average_fn(ptrdiff_t n, real momentum, const real *w, real *average);

/* dropout.h. One panel of a batch's rows: out = z * mask / (1 - rate). The forward pass writes the
 * masks, the lowest bit of kept[r] for the first column; the backward pass reads them. */
typedef struct {
    uint64_t seed, step, layer; /* with row and column they determine a mask's element */
    double rate;
    ptrdiff_t rows, first_row;              /* of the batch */
    ptrdiff_t columns, first_column, units; /* of the panel; of the whole layer */
} fastnn_dropout_args;

typedef void fastnn_dropout_forward_fn(const fastnn_dropout_args *args, const real *z, real *out,
                                       uint16_t *kept);
typedef void fastnn_dropout_backward_fn(ptrdiff_t rows, double rate, const uint16_t *kept,
                                        real *delta);

/* c-source: begin layer_norm_args */
/* layer_norm.h. Rows in panels; `unit` are the rows with mean 0 and variance 1, in panels `jump`
 * apart, `scale` (rows,) what they were multiplied by. The forward pass writes both, unless they
 * are NULL; the backward pass reads them. */
typedef struct {
    ptrdiff_t rows, columns, jump;
    real epsilon;
    const real *gain, *bias; /* (columns,) padded with zeros */
    real *unit, *scale;
} fastnn_layer_norm_args;
/* c-source: end */

typedef void fastnn_layer_norm_forward_fn(const fastnn_layer_norm_args *args, const real *x,
                                          real *z);
typedef void fastnn_layer_norm_backward_fn(const fastnn_layer_norm_args *args, const real *delta,
                                           real *below);
typedef void fastnn_column_dots_fn(ptrdiff_t rows, const real *unit, const real *delta, int more,
                                   real *g);

/* embeddings.h. Some columns of x are replaced by several columns of z; the others are copied. */
typedef void fastnn_copy_columns_fn(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t first,
                                    real *y, ptrdiff_t to, ptrdiff_t jump);

/* Column j of z is (x - low) * inverse of column source[j] of x, clipped to [least, most]. For each
 * panel of z, `numbers` has PANEL numbers each of low, inverse, least and most. A column that is
 * copied has low 0, inverse 1 and infinite bounds. Padding of z reads column 0. */
typedef struct {
    ptrdiff_t rows, columns, panels, jump; /* columns and panels of z */
    const int32_t *source;                 /* (columns,) padded with 0 */
    const real *numbers;
} fastnn_piecewise_args;

typedef void fastnn_piecewise_forward_fn(const fastnn_piecewise_args *args, const real *x, real *z);
typedef void fastnn_piecewise_backward_fn(const fastnn_piecewise_args *args, const real *z,
                                          const real *delta, real *below);
typedef void fastnn_periodic_forward_fn(ptrdiff_t rows, const real *x, const real *c, real *sine,
                                        real *cosine);
typedef void fastnn_periodic_backward_fn(ptrdiff_t n, real *sine, const real *cosine,
                                         const real *d_sine, const real *d_cosine);
typedef void fastnn_look_up_fn(ptrdiff_t rows, const real *x, ptrdiff_t n, ptrdiff_t panels,
                               const real *w, ptrdiff_t w_jump, real *z, ptrdiff_t z_jump);
typedef void fastnn_sum_by_category_fn(ptrdiff_t rows, const real *x, ptrdiff_t first, ptrdiff_t n,
                                       const real *delta, int more, real *g);

/* vmath.h. Each function applied to n reals, for tests and other callers. */
typedef struct {
    const char *name;
    void (*run)(ptrdiff_t n, const real *x, real *out);
} fastnn_function;

/* probe.h. n rounds of fused multiply-adds in registers; returns the number of operations. */
typedef double fastnn_multiply_adds_fn(ptrdiff_t n, real *sink);

/* The sum of n reals, n a multiple of 8 PANEL. */
typedef real fastnn_read_all_fn(ptrdiff_t n, const real *x);

/* tiny.c. A network whose every layer fits one panel. fastnn_tiny_fn trains it by n on-line steps,
 * of which the first is update t, and returns `total` plus the rows' losses, added one by one.
 * There are no dropout, no penalties and no sample weights. */
typedef struct {
    ptrdiff_t n_in, n_out;
    ptrdiff_t activation; /* its index in the list of activations */
    real alpha;
    real *W, *b;                      /* (n_in, PANEL); (PANEL,) or NULL */
    real *z_prev, *z, *slope, *delta; /* (PANEL,); z_prev is the z of the layer below */
} fastnn_tiny_layer;

typedef struct {
    ptrdiff_t n_layers;
    const fastnn_tiny_layer *layers;
    const fastnn_loss *loss;
    const real *loss_parameter;
    const fastnn_optimizer *optimizer;
    const fastnn_hyper *hyper;
    ptrdiff_t block;
} fastnn_tiny;

typedef double fastnn_tiny_fn(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X,
                              const real *T, const int64_t *labels, const int64_t *order,
                              double total);

/* lockstep.h. PANEL networks of one shape, trained side by side with the results of tiny.c, by
 * plain gradient descent on squared errors. Each panel of an array has one number of every network,
 * that of network l in column l. A column without a network has a rate of 0 and is not used. */
enum {
    LOCKSTEP_ROWS = 16 /* rows that are gathered at once */
};

typedef struct {
    ptrdiff_t n_in, n_out;
    const fastnn_activation *activation;
    real alpha;
    real *W, *b;             /* (n_out, n_in, PANEL), the transpose; (n_out, PANEL) or NULL */
    real *z, *slope, *delta; /* (n_out, PANEL) */
} fastnn_lockstep_layer;

typedef struct {
    const real *X, *T; /* as tiny.c takes them; X is NULL in a column without a network */
    const int64_t *labels, *order;
    ptrdiff_t first; /* the row of the first step, or its position in `order` */
} fastnn_lockstep_rows;

typedef struct {
    ptrdiff_t n_layers;
    const fastnn_lockstep_layer *layers;
    const fastnn_lockstep_rows *rows; /* (PANEL,) */
    const real *rate;                 /* (PANEL,) */
    double *loss;                     /* (PANEL,) the rows' losses are added to these */
    real *x, *t; /* buffers: (LOCKSTEP_ROWS, n_in, PANEL) and (LOCKSTEP_ROWS, n_out, PANEL) */
} fastnn_lockstep;

/* Makes n steps of each network. */
typedef void fastnn_lockstep_fn(const fastnn_lockstep *nets, ptrdiff_t n);

/* The leaves, in the order of the table. The fields of the table, their values (ops.c) and the
 * checks of the tests (tests/leaves/) are generated from this list. A new leaf needs its type
 * fastnn_NAME_fn above, a row here, its function NAME in a header that ops.c includes, its
 * declaration in engine/leaves.pxd, and its check. */
#define FASTNN_LEAVES(EACH)                                                                        \
    EACH(product)                                                                                  \
    EACH(product_transposed)                                                                       \
    EACH(narrow)                                                                                   \
    EACH(dots)                                                                                     \
    EACH(outer)                                                                                    \
    EACH(outer_strip)                                                                              \
    EACH(sparse_product)                                                                           \
    EACH(sparse_narrow)                                                                            \
    EACH(sparse_outer)                                                                             \
    EACH(sparse_outer_narrow)                                                                      \
    EACH(sparse_column)                                                                            \
    EACH(count_nonzeros)                                                                           \
    EACH(product_of_nonzeros)                                                                      \
    EACH(list_columns)                                                                             \
    EACH(outer_of_nonzeros)                                                                        \
    EACH(column_sums)                                                                              \
    EACH(gather)                                                                                   \
    EACH(scatter)                                                                                  \
    EACH(one_hot)                                                                                  \
    EACH(standardize)                                                                              \
    EACH(add)                                                                                      \
    EACH(first_nonfinite)                                                                          \
    EACH(penalty)                                                                                  \
    EACH(sum_squares)                                                                              \
    EACH(limit)                                                                                    \
    EACH(average)                                                                                  \
    EACH(dropout_forward)                                                                          \
    EACH(dropout_backward)                                                                         \
    EACH(layer_norm_forward)                                                                       \
    EACH(layer_norm_backward)                                                                      \
    EACH(column_dots)                                                                              \
    EACH(copy_columns)                                                                             \
    EACH(piecewise_forward)                                                                        \
    EACH(piecewise_backward)                                                                       \
    EACH(periodic_forward)                                                                         \
    EACH(periodic_backward)                                                                        \
    EACH(look_up)                                                                                  \
    EACH(sum_by_category)                                                                          \
    EACH(lockstep)                                                                                 \
    EACH(multiply_adds)                                                                            \
    EACH(read_all)

/* Leaves for floats only; NULL for doubles. */
#define FASTNN_FLOAT_LEAVES(EACH)                                                                  \
    EACH(pair_columns)                                                                             \
    EACH(pair_rows)                                                                                \
    EACH(pair_left)                                                                                \
    EACH(pair_transposed)                                                                          \
    EACH(pair_product)                                                                             \
    EACH(pair_outer)                                                                               \
    EACH(begin_outers)                                                                             \
    EACH(end_outers)

/* The arrays of activations, losses, optimizers and functions end with an entry without a name. */
#define FASTNN_POINTER(leaf) fastnn_##leaf##_fn *leaf;
typedef struct {
    int fuses;            /* multiply_add rounds once; all such tables give the same bits */
    int multiplies_pairs; /* one instruction multiplies pairs of bfloat16 */
    int multiplies_tiles; /* one multiplies blocks of pairs, once the system allows it */
    int prefers_strips;   /* of many rows, outer_strip is faster than outer for each tile */
    FASTNN_LEAVES(FASTNN_POINTER)
    FASTNN_FLOAT_LEAVES(FASTNN_POINTER)
    fastnn_tiny_fn *tiny_steps; /* not among the leaves: tiny.c is compiled by itself */
    const fastnn_activation *activations;
    const fastnn_loss *losses;
    const fastnn_loss *losses_by_output;
    const fastnn_optimizer *optimizers;
    const fastnn_function *functions;
} fastnn_ops;

/* The names of the table (ops.c) and of tiny.c's function for FASTNN_BITS and FASTNN_ISA. */
#define FASTNN_JOIN_(prefix, bits, isa) fastnn_##prefix##_##bits##_##isa
#define FASTNN_JOIN(prefix, bits, isa) FASTNN_JOIN_(prefix, bits, isa)
#define OPS_TABLE FASTNN_JOIN(ops, FASTNN_BITS, FASTNN_ISA)
#define TINY_STEPS FASTNN_JOIN(tiny_steps, FASTNN_BITS, FASTNN_ISA)

#endif
