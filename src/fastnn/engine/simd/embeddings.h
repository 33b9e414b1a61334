/* embeddings.h - leaves of the stages that replace a column of a row by several columns: piecewise
 * linear and periodic encodings of numbers (Gorishniy, Rubachev, Babenko, NeurIPS 2022), and rows
 * of a table for categories.
 *
 * A column is given by a pointer to its number in the first row; the number of the next row is
 * PANEL reals on. Not here: which columns are replaced, and the products after the encodings
 * (engine/stages/).
 */
#ifndef FASTNN_EMBEDDINGS_H
#define FASTNN_EMBEDDINGS_H

#include <string.h>

#include "ops.h"
#include "vmath.h"

/* Copies n columns first, first + 1, ... of x to columns to, to + 1, ... of y. */
static void copy_columns(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t first, real *y,
                         ptrdiff_t to, ptrdiff_t jump) {
    while (n > 0) {
        ptrdiff_t here = PANEL - first % PANEL, there = PANEL - to % PANEL, some = n;
        if (some > here) some = here;
        if (some > there) some = there;
        const real *source = x + first / PANEL * jump + first % PANEL;
        real *target = y + to / PANEL * jump + to % PANEL;
        if (some == PANEL)
            memcpy(target, source, (size_t)(rows * PANEL) * sizeof(real));
        else
            for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL)
                for (ptrdiff_t i = 0; i < some; i++) target[r + i] = source[r + i];
        n -= some, first += some, to += some;
    }
}

/* ---- piecewise linear ---- */

/* Gathers the inputs of row r that a panel of z is computed from, one for each column of z. */
INLINE void sources_of_panel(const fastnn_piecewise_args *args, const real *x, ptrdiff_t r,
                             ptrdiff_t panel, real *numbers) {
    const int32_t *source = args->source + panel * PANEL;
    for (int i = 0; i < PANEL; i++)
        numbers[i] = x[source[i] / PANEL * args->jump + r * PANEL + source[i] % PANEL];
}

/* z = (x - low) * inverse, clipped to [least, most] */
static void piecewise_forward(const fastnn_piecewise_args *args, const real *x, real *z) {
    for (ptrdiff_t q = 0; q < args->panels; q++)
        for (ptrdiff_t r = 0; r < args->rows; r++) {
            _Alignas(64) real numbers[PANEL];
            sources_of_panel(args, x, r, q, numbers);
            for (int v = 0; v < PANEL; v += LANES) {
                const real *at = args->numbers + q * 4 * PANEL + v;
                vec u = (load(numbers + v) - load(at)) * load(at + PANEL);
                u = vmin(load(at + 3 * PANEL), vmax(load(at + 2 * PANEL), u));
                store(z + q * args->jump + r * PANEL + v, u);
            }
        }
}

/* Adds to each column of `below` the products delta * inverse of the columns of z that are computed
 * from it, in their order. A number at a bound has slope 0. */
static void piecewise_backward(const fastnn_piecewise_args *args, const real *z, const real *delta,
                               real *below) {
    for (ptrdiff_t q = 0; q < args->panels; q++)
        for (ptrdiff_t r = 0; r < args->rows; r++) {
            _Alignas(64) real slopes[PANEL];
            const int32_t *source = args->source + q * PANEL;
            for (int v = 0; v < PANEL; v += LANES) {
                const real *at = args->numbers + q * 4 * PANEL + v;
                vec value = load(z + q * args->jump + r * PANEL + v);
                ivec inside = (value > load(at + 2 * PANEL)) & (value < load(at + 3 * PANEL));
                vec d = load(delta + q * args->jump + r * PANEL + v);
                store(slopes + v, keep(inside, d * load(at + PANEL)));
            }
            for (int i = 0; i < PANEL && q * PANEL + i < args->columns; i++)
                below[source[i] / PANEL * args->jump + r * PANEL + source[i] % PANEL] += slopes[i];
        }
}

/* ---- periodic ---- */

/* sin(2 pi c x) and cos(2 pi c x) of a column x and frequencies c (PANEL,): (rows, PANEL) each. */
static void periodic_forward(ptrdiff_t rows, const real *x, const real *c, real *sine,
                             real *cosine) {
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL)
        for (int v = 0; v < PANEL; v += LANES) {
            vec other, value = vsine(splat(x[r]) * load(c + v), &other);
            store(sine + r + v, value);
            store(cosine + r + v, other);
        }
}

/* dE/d(c x) = 2 pi (cosine dE/dsine - sine dE/dcosine) of n numbers, which overwrite the sines. */
static void periodic_backward(ptrdiff_t n, real *sine, const real *cosine, const real *d_sine,
                              const real *d_cosine) {
    vec two_pi = splat((real)6.283185307179586);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        vec one = load(cosine + i) * load(d_sine + i);
        store(sine + i, two_pi * multiply_add(-load(sine + i), load(d_cosine + i), one));
    }
}

/* ---- categories ---- */

/* Returns x as the number of one of n categories, or -1 if it is none. */
INLINE ptrdiff_t category_of(real x, ptrdiff_t n) {
    if (!(x >= 0 && x < (real)n)) return -1;
    ptrdiff_t i = (ptrdiff_t)x;
    return (real)i == x ? i : -1;
}

/* z = row x of w for each number x of a column: `panels` panels of w, `w_jump` apart, and of z,
 * `z_jump` apart. A number that is none of the n categories gives NaN. */
static void look_up(ptrdiff_t rows, const real *x, ptrdiff_t n, ptrdiff_t panels, const real *w,
                    ptrdiff_t w_jump, real *z, ptrdiff_t z_jump) {
    vec nan = real_of(splat_bits((ureal)-1));
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
        ptrdiff_t i = category_of(x[r], n);
        for (ptrdiff_t q = 0; q < panels; q++)
            for (int v = 0; v < PANEL; v += LANES) {
                vec found = i < 0 ? nan : load(w + q * w_jump + i * PANEL + v);
                store(z + q * z_jump + r + v, found);
            }
    }
}

/* Row i of g (n, PANEL) is the sum of delta (rows, PANEL) over the rows with category first + i in
 * column x. With `more` the sums are added to g. */
static void sum_by_category(ptrdiff_t rows, const real *x, ptrdiff_t first, ptrdiff_t n,
                            const real *delta, int more, real *g) {
    if (!more) memset(g, 0, (size_t)(n * PANEL) * sizeof(real));
    for (ptrdiff_t r = 0; r < rows * PANEL; r += PANEL) {
        real i = x[r] - (real)first;
        if (!(i >= 0 && i < (real)n)) continue;
        real *sum = g + (ptrdiff_t)i * PANEL;
        for (int v = 0; v < PANEL; v += LANES) store(sum + v, load(sum + v) + load(delta + r + v));
    }
}

#endif
