/* harness.h - guarded buffers, comparisons and reports, which the checks of all leaves share.
 *
 * A check of a leaf runs through its sizes. For each it begins a case, makes the buffers of the
 * call, calls the leaf, and names every result with an `expect_...`:
 *
 *     begin_case("rows=%td", rows);
 *     real *x = new_reals("x", n, 0);
 *     ...
 *     CALL(ops->leaf(rows, x));
 *     expect(x, i, truth, bound);
 *     end_case();
 *
 * Everything else in and around the buffers must still be as it was: a new buffer is full of
 * signalling NaN, and so are the guards beside it, between two pages that cannot be accessed. All
 * checks run twice: with each buffer right behind the first of these pages, and right before the
 * second. So a read or write beyond a buffer ends the program, and a number from there that reaches
 * a result makes it NaN. Not here: leaves and what they compute (check_*.c). */
#ifndef CHECK_LEAVES_HARNESS_H
#define CHECK_LEAVES_HARNESS_H

#include "ops.h"

#include <stdbool.h>
#include <stdint.h>

/* The table under test. */
extern const fastnn_ops *ops;

/* 2^-23 or 2^-52 */
extern const double eps;

/* Sizes around each number of lanes, PANEL and more, ascending; 0 at the end. And every size that
 * leaves a tile of rows another remainder. */
extern const ptrdiff_t sizes[], row_counts[];
enum { MOST_COLUMNS = 67 };

/* ---- Cases. What a case is called follows printf. */
__attribute__((format(printf, 1, 2))) void begin_case(const char *format, ...);
void end_case(void);
__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);

/* Between the two nothing but the leaf is run: a fault is the leaf's. A case may have several
 * calls; between them results are compared, and buffers made, but none is changed. */
void enter_leaf(void);
void leave_leaf(void);
#define CALL(...) (enter_leaf(), (void)(__VA_ARGS__), leave_leaf())

/* ---- Buffers. `slack` reals behind the n may be read, but neither used nor written. */
real *new_reals(const char *name, ptrdiff_t n, ptrdiff_t slack);
double *new_doubles(const char *name, ptrdiff_t n);
int64_t *new_integers(const char *name, ptrdiff_t n);
uint16_t *new_masks(const char *name, ptrdiff_t n);

/* A matrix in panels, as ops.h has them: (rows, columns), with `gap` more rows in each panel, which
 * belong to nobody. */
typedef struct {
    real *at;
    ptrdiff_t rows, columns, jump;
} matrix;

matrix new_matrix(const char *name, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap,
                  ptrdiff_t slack);

static inline ptrdiff_t panels_of(ptrdiff_t columns) { return (columns + PANEL - 1) / PANEL; }

static inline ptrdiff_t offset(const matrix *m, ptrdiff_t r, ptrdiff_t c) {
    return c / PANEL * m->jump + r * PANEL + c % PANEL;
}

static inline double element(const matrix *m, ptrdiff_t r, ptrdiff_t c) {
    return (double)m->at[offset(m, r, c)];
}

/* ---- Numbers, the same in every run. */
uint64_t random_bits(void);
double uniform(double low, double high);
ptrdiff_t random_below(ptrdiff_t n);

/* n numbers in (-2, 2); a matrix of them with zeros, large numbers or NaN in the padding. */
void randomize(real *x, ptrdiff_t n);
enum padding { ZERO, FINITE, NOT_A_NUMBER };
void randomize_matrix(const matrix *m, enum padding padding);
/* A third of the numbers is -0. */
void put_minus_zeros(real *x, ptrdiff_t n);

/* ---- Results. The first wrong one of each case is reported. */
void expect(real *x, ptrdiff_t i, double truth, double bound);
void expect_bits(real *x, ptrdiff_t i, real same);
void expect_double(double *x, ptrdiff_t i, double truth, double bound);
void expect_mask(uint16_t *x, ptrdiff_t i, unsigned same);
/* Of a result that is returned, not stored. */
void expect_returned(double returned, double truth, double bound);
/* n results that mean nothing, or nothing yet, and may be anything. */
void expect_anything(real *x, ptrdiff_t n);
/* Of a matrix that another leaf gives, which has a check elsewhere; and of one with the same bits.
 */
void accept_matrix(const matrix *m);
void expect_same_matrix(const matrix *found, const matrix *same);
/* The padding of a matrix is zero. */
void expect_zero_padding(const matrix *m);

/* What rounding may do to a sum of `depth` products that add up to `magnitude` without signs. */
double rounding(ptrdiff_t depth, double magnitude);

/* ---- One check for each leaf. A leaf without a check is an error of the linker. */
#define CHECK_DECLARATION(leaf) void check_##leaf(void);
FASTNN_LEAVES(CHECK_DECLARATION)
FASTNN_FLOAT_LEAVES(CHECK_DECLARATION)
void check_tiny_steps(void);
void check_activations(void);
void check_losses(void);
void check_losses_by_output(void);
void check_optimizers(void);
void check_functions(void);

#endif
