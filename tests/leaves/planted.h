/* planted.h - leaves that are wrong on purpose, in ways that leaves go wrong: one that forgets the
 * last step of a remainder, one that writes a row too many, one that reads a number too many. */
#ifndef CHECK_LEAVES_PLANTED_H
#define CHECK_LEAVES_PLANTED_H

#include "harness.h"

#include <string.h>

static const fastnn_ops *right; /* the table that the wrong leaves were put into, as it was */

static void wrong_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const real *a,
                          ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias,
                          real *c, ptrdiff_t c_jump) {
    right->product(rows, depth % PANEL == 3 ? depth - 1 : depth, panels, a, a_jump, b, b_jump, bias,
                   c, c_jump);
}

static void wrong_outer(ptrdiff_t rows, ptrdiff_t width, const real *z, const real *delta, int more,
                        real *g) {
    right->outer(rows, width % 4 == 3 ? width + 1 : width, z, delta, more, g);
}

static ptrdiff_t wrong_first_nonfinite(ptrdiff_t n, const real *x) {
    volatile real next = x[n];
    (void)next;
    return right->first_nonfinite(n, x);
}

/* Put a wrong leaf into a table; false if there is none of that name. */
static bool plant_leaf(fastnn_ops *table, const char *name) {
    static fastnn_ops before;
    before = *table;
    right = &before;
    if (strcmp(name, "product") == 0)
        table->product = wrong_product;
    else if (strcmp(name, "outer") == 0)
        table->outer = wrong_outer;
    else if (strcmp(name, "first_nonfinite") == 0)
        table->first_nonfinite = wrong_first_nonfinite;
    else
        return false;
    return true;
}

#endif
