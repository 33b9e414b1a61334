/* check_embeddings.c - the leaves of embeddings (embeddings.h). */
#include "formulas.h"
#include "harness.h"

#include <math.h>
#include <string.h>

/* ---- copies ---- */

static void check_one_copy(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t first, ptrdiff_t to) {
    begin_case("rows=%td n=%td first=%td to=%td", rows, n, first, to);
    matrix x = new_matrix("x", rows, first + n, 0, 0), y = new_matrix("y", rows, to + n, 0, 0);
    randomize_matrix(&x, FINITE);
    ptrdiff_t jump = x.jump; /* of both: rows PANEL */
    CALL(ops->copy_columns(rows, n, x.at, first, y.at, to, jump));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < n; i++)
            expect_bits(y.at, offset(&y, r, to + i), x.at[offset(&x, r, first + i)]);
    end_case();
}

void check_copy_columns(void) {
    for (const ptrdiff_t *n = sizes; *n; n++)
        for (ptrdiff_t rows = 1; rows < 4; rows++)
            for (ptrdiff_t first = 0; first < 2 * PANEL; first += 5)
                check_one_copy(rows, *n, first, random_below(2 * PANEL));
}

/* ---- piecewise linear ---- */

typedef struct {
    matrix x, z;
    fastnn_piecewise_args args;
    int32_t *source;
    real *numbers;
} piecewise_case;

/* Columns of z from random columns of x, some of which stay as they are. */
static piecewise_case new_piecewise(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out) {
    static int32_t source[4 * PANEL * 8];
    ptrdiff_t panels = panels_of(n_out);
    piecewise_case made = {.x = new_matrix("x", rows, n_in, 0, 0),
                           .z = new_matrix("z", rows, n_out, 0, 0),
                           .source = source,
                           .numbers = new_reals("numbers", 4 * panels * PANEL, 0)};
    memset(source, 0, sizeof source);
    randomize_matrix(&made.x, FINITE);
    for (ptrdiff_t j = 0; j < panels * PANEL; j++) {
        real *at = made.numbers + j / PANEL * 4 * PANEL + j % PANEL;
        bool stays = random_below(3) == 0;
        source[j] = j < n_out ? (int32_t)random_below(n_in) : 0;
        at[0] = stays ? 0 : (real)uniform(-1, 1);
        at[PANEL] = stays ? 1 : (real)uniform(0.25, 4);
        at[2 * PANEL] = stays || random_below(4) == 0 ? -INFINITY : 0;
        at[3 * PANEL] = stays || random_below(4) == 0 ? INFINITY : 1;
    }
    made.args = (fastnn_piecewise_args){.rows = rows,
                                        .columns = n_out,
                                        .panels = panels,
                                        .jump = made.x.jump,
                                        .source = source,
                                        .numbers = made.numbers};
    return made;
}

static void check_one_piecewise(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out) {
    begin_case("rows=%td n_in=%td n_out=%td", rows, n_in, n_out);
    piecewise_case made = new_piecewise(rows, n_in, n_out);
    CALL(ops->piecewise_forward(&made.args, made.x.at, made.z.at));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < panels_of(n_out) * PANEL; j++) {
            const real *at = made.numbers + j / PANEL * 4 * PANEL + j % PANEL;
            real u = (made.x.at[offset(&made.x, r, made.source[j])] - at[0]) * at[PANEL];
            u = at[2 * PANEL] > u ? at[2 * PANEL] : u;
            expect_bits(made.z.at, offset(&made.z, r, j), at[3 * PANEL] < u ? at[3 * PANEL] : u);
        }
    end_case();
}

void check_piecewise_forward(void) {
    for (const ptrdiff_t *n_out = sizes; *n_out; n_out++)
        for (ptrdiff_t rows = 1; rows < 4; rows++)
            for (ptrdiff_t n_in = 1; n_in < 40; n_in += 13) check_one_piecewise(rows, n_in, *n_out);
}

static void check_one_piecewise_backward(ptrdiff_t rows, ptrdiff_t n_in, ptrdiff_t n_out) {
    begin_case("rows=%td n_in=%td n_out=%td", rows, n_in, n_out);
    piecewise_case made = new_piecewise(rows, n_in, n_out);
    matrix delta = new_matrix("delta", rows, n_out, 0, 0);
    matrix below = new_matrix("below", rows, n_in, 0, 0);
    randomize_matrix(&delta, ZERO);
    randomize_matrix(&made.z, FINITE); /* some of them between the bounds */
    double truth[3][MOST_COLUMNS] = {{0}}, size[3][MOST_COLUMNS] = {{0}};
    memset(below.at, 0, (size_t)(panels_of(n_in) * below.jump) * sizeof(real));
    CALL(ops->piecewise_backward(&made.args, made.z.at, delta.at, below.at));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < n_out; j++) {
            const real *at = made.numbers + j / PANEL * 4 * PANEL + j % PANEL;
            real z = made.z.at[offset(&made.z, r, j)];
            if (!(z > at[2 * PANEL] && z < at[3 * PANEL])) continue;
            double slope = element(&delta, r, j) * (double)at[PANEL];
            truth[r][made.source[j]] += slope, size[r][made.source[j]] += fabs(slope);
        }
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < n_in; c++)
            expect(below.at, offset(&below, r, c), truth[r][c], rounding(n_out, size[r][c]));
    expect_zero_padding(&below);
    end_case();
}

void check_piecewise_backward(void) {
    for (const ptrdiff_t *n_out = sizes; *n_out; n_out++)
        for (ptrdiff_t rows = 1; rows < 4; rows++)
            for (ptrdiff_t n_in = 1; n_in < 40; n_in += 13)
                check_one_piecewise_backward(rows, n_in, *n_out);
}

/* ---- periodic ---- */

static const double two_pi = 6.283185307179586476925;

void check_periodic_forward(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++) {
        ptrdiff_t lane = random_below(PANEL), n = *rows * PANEL;
        begin_case("rows=%td lane=%td", *rows, lane);
        real *x = new_reals("x", n, 0), *c = new_reals("c", PANEL, 0);
        real *sine = new_reals("sine", n, 0), *cosine = new_reals("cosine", n, 0);
        randomize(x, n);
        randomize(c, PANEL);
        CALL(ops->periodic_forward(*rows, x + lane, c, sine, cosine));
        for (ptrdiff_t i = 0; i < n; i++) {
            double turns = (double)(x[i / PANEL * PANEL + lane] * c[i % PANEL]);
            double s = find_function_formula("sine_of_turns")->value(turns);
            double t = find_function_formula("cosine_of_turns")->value(turns);
            expect(sine, i, s, rounding(1, fabs(s)));
            expect(cosine, i, t, rounding(1, fabs(t)));
        }
        end_case();
    }
}

void check_periodic_backward(void) {
    for (const ptrdiff_t *panels = sizes; *panels; panels++) {
        ptrdiff_t n = *panels * PANEL;
        begin_case("n=%td", n);
        real *sine = new_reals("sine", n, 0), *cosine = new_reals("cosine", n, 0);
        real *d_sine = new_reals("d_sine", n, 0), *d_cosine = new_reals("d_cosine", n, 0);
        double truth[MOST_COLUMNS * PANEL], size[MOST_COLUMNS * PANEL];
        randomize(sine, n);
        randomize(cosine, n);
        randomize(d_sine, n);
        randomize(d_cosine, n);
        for (ptrdiff_t i = 0; i < n; i++) {
            double one = (double)cosine[i] * (double)d_sine[i];
            double other = (double)sine[i] * (double)d_cosine[i];
            truth[i] = two_pi * (one - other), size[i] = two_pi * (fabs(one) + fabs(other));
        }
        CALL(ops->periodic_backward(n, sine, cosine, d_sine, d_cosine));
        for (ptrdiff_t i = 0; i < n; i++) expect(sine, i, truth[i], rounding(2, size[i]));
        end_case();
    }
}

/* ---- categories ---- */

/* A column of n categories in rows of panels, of which some numbers are none. */
static real *new_categories(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t lane, bool valid) {
    real *x = new_reals("x", rows * PANEL, 0);
    randomize(x, rows * PANEL);
    for (ptrdiff_t r = 0; r < rows; r++) {
        real *at = x + r * PANEL + lane;
        *at = (real)random_below(n);
        if (valid) continue;
        const real others[] = {*at, -1, (real)n, *at + (real)0.5, NAN, INFINITY, (real)-0.0};
        *at = others[random_below((ptrdiff_t)(sizeof others / sizeof *others))];
    }
    return x;
}

static void check_one_look_up(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t columns, bool valid) {
    ptrdiff_t lane = random_below(PANEL);
    begin_case("rows=%td n=%td columns=%td valid=%d", rows, n, columns, valid);
    matrix w = new_matrix("w", n, columns, 2, 0), z = new_matrix("z", rows, columns, 1, 0);
    real *x = new_categories(rows, n, lane, valid);
    randomize_matrix(&w, ZERO);
    CALL(ops->look_up(rows, x + lane, n, panels_of(columns), w.at, w.jump, z.at, z.jump));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++) {
            real given = x[r * PANEL + lane];
            bool known = given >= 0 && given < (real)n && given == (real)floor((double)given);
            ptrdiff_t at = offset(&z, r, c);
            if (known)
                expect_bits(z.at, at, w.at[offset(&w, (ptrdiff_t)given, c)]);
            else if (isnan(z.at[at]))
                expect_bits(z.at, at, z.at[at]);
            else
                fail("row %td is no category, but no NaN", r);
        }
    end_case();
}

void check_look_up(void) {
    for (const ptrdiff_t *columns = sizes; *columns; columns++)
        for (ptrdiff_t rows = 1; rows < 9; rows++)
            for (ptrdiff_t n = 1; n < 40; n += 19)
                check_one_look_up(rows, n, *columns, rows % 2 == 0);
}

void check_sum_by_category(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t n = 1; n <= PANEL; n += 5) {
            ptrdiff_t lane = random_below(PANEL), first = random_below(20), half = *rows / 2;
            begin_case("rows=%td first=%td n=%td", *rows, first, n);
            real *x = new_categories(*rows, 40, lane, true);
            real *delta = new_reals("delta", *rows * PANEL, 0);
            real *g = new_reals("g", n * PANEL, 0), *parts = new_reals("parts", n * PANEL, 0);
            randomize(delta, *rows * PANEL);
            CALL(ops->sum_by_category(*rows, x + lane, first, n, delta, 0, g));
            for (ptrdiff_t i = 0; i < n * PANEL; i++) {
                double truth = 0, size = 0;
                for (ptrdiff_t r = 0; r < *rows; r++) {
                    if (x[r * PANEL + lane] != (real)(first + i / PANEL)) continue;
                    double d = (double)delta[r * PANEL + i % PANEL];
                    truth += d, size += fabs(d);
                }
                expect(g, i, truth, rounding(*rows, size));
            }
            CALL(ops->sum_by_category(half, x + lane, first, n, delta, 0, parts));
            expect_anything(parts, n * PANEL);
            CALL(ops->sum_by_category(*rows - half, x + half * PANEL + lane, first, n,
                                      delta + half * PANEL, 1, parts));
            for (ptrdiff_t i = 0; i < n * PANEL; i++) expect_bits(parts, i, g[i]);
            end_case();
        }
}
