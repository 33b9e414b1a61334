/* formulas.h - activations, losses, update rules and functions in doubles, by the names that the
 * tables have them under. Not here: leaves, buffers, comparisons (harness.h). */
#ifndef CHECK_LEAVES_FORMULAS_H
#define CHECK_LEAVES_FORMULAS_H

#include "ops.h"

#include <stdbool.h>

/* z = h(a) and h'(a). Softmax, which needs a whole row, is not among them. A name without a formula
 * gives NULL, and fails the case. */
typedef struct {
    const char *name;
    double (*value)(double a, double alpha), (*slope)(double a, double alpha);
} activation_formula;

const activation_formula *find_activation_formula(const char *name);

/* y = softmax(a) of one row. */
void softmax_formula(ptrdiff_t n, const double *a, double *y);

/* One row's loss, and its derivative by y, or by a for losses that take pre-activations. */
double loss_formula(const fastnn_loss *loss, ptrdiff_t n, const double *y_or_a, const double *t,
                    const double *parameter, double *slope);

/* A target that the loss allows. */
double random_target(const fastnn_loss *loss);

/* Whether a case has the loss's parameter: always, never, or at random where it may be left out. */
bool draws_parameter(const fastnn_loss *loss);

/* The t-th update of one weight, state[0], and its moments, state[1], ...; `magnitude` is how large
 * each new number is without cancellation. */
enum { MOST_STATE = 4 };
void update_formula(const fastnn_optimizer *optimizer, const fastnn_hyper *hyper, double t,
                    bool decays, double g, double *state, double *magnitude);

/* A function of vmath.h, and an interval to try it on. */
typedef struct {
    const char *name;
    double (*value)(double x);
    double low, high;
} function_formula;

const function_formula *find_function_formula(const char *name);

#endif
