/* check_bfloat16.c - the leaves of bfloat16.h: rounding number by number, and products of what was
 * rounded. Doubles have none of them. */
#include "harness.h"

#if FASTNN_BITS == 32

#include <string.h>

enum { PAIRS = PANEL / 2 };

/* To nearest, ties to even, by comparing with both neighbours; subnormal numbers to 0. */
static uint32_t rounded(real x) {
    uint32_t bits, sign;
    memcpy(&bits, &x, sizeof bits);
    sign = bits & 0x80000000;
    if (fabs((double)x) < 0x1p-126) return sign;
    uint32_t below = bits & 0xffff0000, rest = bits & 0xffff;
    bool up = rest > 0x8000 || (rest == 0x8000 && (below & 0x10000));
    return up ? below + 0x10000 : below;
}

static fastnn_pair pair_of(real first, real second) {
    return rounded(first) | rounded(second) >> 16;
}

static double upper(fastnn_pair pair) {
    float x;
    fastnn_pair bits = pair & 0xffff0000;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* Some of the numbers at which rounding goes wrong. */
static void add_edges(const matrix *m) {
    static const real edges[] = {1.00390625F, 1.01171875F, -0x1.8p-127F, 0x1.fffffep-127F,
                                 0x1p-126F,   -0.0F,       3.3e38F,      -1.00390637F};
    for (int i = 0; i < 8; i++) {
        ptrdiff_t r = random_below(m->rows), c = random_below(m->columns);
        m->at[offset(m, r, c)] = edges[random_below(8)];
    }
}

static real *new_pairs(const char *name, ptrdiff_t n) {
    return new_reals(name, (n + PANEL - 1) / PANEL * PANEL, 0);
}

static fastnn_pair *pairs_at(real *x) { return (fastnn_pair *)(void *)x; }

static void expect_pair(real *x, ptrdiff_t i, fastnn_pair pair) {
    real same;
    memcpy(&same, &pair, sizeof same);
    expect_bits(x, i, same);
}

/* The element of a matrix, or 0 in the row behind the last. */
static real element_or_0(const matrix *m, ptrdiff_t r, ptrdiff_t c) {
    return r < m->rows ? m->at[offset(m, r, c)] : 0;
}

static void expect_pairs(const matrix *x, real *by_columns, ptrdiff_t columns_jump, real *by_rows,
                         ptrdiff_t rows_jump) {
    for (ptrdiff_t q = 0; q < panels_of(x->columns); q++)
        for (ptrdiff_t r = 0; r < x->rows; r++)
            for (ptrdiff_t c = 0; c < PANEL; c++) {
                real here = x->at[offset(x, r, q * PANEL + c)];
                if (by_columns && c % 2 == 0)
                    expect_pair(by_columns, q * columns_jump + r * PAIRS + c / 2,
                                pair_of(here, x->at[offset(x, r, q * PANEL + c + 1)]));
                if (by_rows && r % 2 == 0)
                    expect_pair(by_rows, q * rows_jump + r / 2 * PANEL + c,
                                pair_of(here, element_or_0(x, r + 1, q * PANEL + c)));
            }
}

static void check_one_pair_up(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap) {
    ptrdiff_t panels = panels_of(columns), each = (rows + 2 * gap) * PAIRS;
    ptrdiff_t pairs = ((rows + 1) / 2 + gap) * PANEL;
    begin_case("rows=%td columns=%td gap=%td", rows, columns, gap);
    matrix x = new_matrix("x", rows, columns, gap, 0);
    randomize_matrix(&x, ZERO);
    add_edges(&x);
    real *by_columns = new_pairs("by columns", panels * each);
    real *by_rows = new_pairs("by rows", panels * pairs);
    real *alone = new_pairs("by rows alone", panels * pairs);
    CALL(ops->pair_up(rows, panels, x.at, x.jump, pairs_at(by_columns), each, pairs_at(by_rows),
                      pairs));
    expect_pairs(&x, by_columns, each, by_rows, pairs);
    CALL(ops->pair_up(rows, panels, x.at, x.jump, NULL, 0, pairs_at(alone), pairs));
    expect_pairs(&x, NULL, 0, alone, pairs);
    end_case();
}

void check_pair_up(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            check_one_pair_up(*rows, *columns, random_below(3));
}

static void check_one_pair_transposed(ptrdiff_t width, ptrdiff_t columns, ptrdiff_t gap) {
    begin_case("width=%td columns=%td gap=%td", width, columns, gap);
    matrix w = new_matrix("w", width, columns, gap, 0);
    ptrdiff_t room = panels_of(columns) * PAIRS * PANEL, used = (columns + 1) / 2 * PANEL;
    real *out = new_reals("out", room, 0);
    randomize_matrix(&w, ZERO);
    add_edges(&w);
    CALL(ops->pair_transposed(width, columns, w.at, w.jump, pairs_at(out)));
    for (ptrdiff_t c = 0; c < columns; c += 2)
        for (ptrdiff_t i = 0; i < PANEL; i++)
            expect_pair(out, c / 2 * PANEL + i,
                        i < width ? pair_of(w.at[offset(&w, i, c)], w.at[offset(&w, i, c + 1)])
                                  : 0);
    expect_anything(out + used, room - used);
    end_case();
}

void check_pair_transposed(void) {
    for (ptrdiff_t width = 1; width <= PANEL; width++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            check_one_pair_transposed(width, *columns, random_below(3));
}

/* ---- products ---- */

/* The pairs of a new matrix: by columns, (rows, PAIRS) a panel, or by rows. */
static real *paired(const matrix *x, bool by_rows, ptrdiff_t *jump) {
    *jump = by_rows ? (x->rows + 1) / 2 * PANEL : x->rows * PAIRS;
    ptrdiff_t n = panels_of(x->columns) * *jump;
    real *out = new_pairs(by_rows ? "by rows" : "by columns", n);
    memset(out, 0, (size_t)((n + PANEL - 1) / PANEL * PANEL) * sizeof *out);
    for (ptrdiff_t c = 0; c < panels_of(x->columns) * PANEL; c++)
        for (ptrdiff_t r = 0; r < x->rows; r++) {
            ptrdiff_t panel = c / PANEL * *jump;
            ptrdiff_t at = by_rows ? r / 2 * PANEL + c % PANEL : r * PAIRS + c % PANEL / 2;
            bool is_first = (by_rows ? r : c) % 2 == 0;
            uint32_t bits = rounded(x->at[offset(x, r, c)]);
            pairs_at(out)[panel + at] |= is_first ? bits : bits >> 16;
        }
    return out;
}

/* A number as products take it. */
static double operand(const matrix *m, ptrdiff_t r, ptrdiff_t c) {
    return upper(rounded(m->at[offset(m, r, c)]));
}

static void check_one_pair_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                                   ptrdiff_t gap) {
    ptrdiff_t last = rows - 1, panels = panels_of(columns), a_jump, b_jump;
    begin_case("rows=%td depth=%td columns=%td gap=%td", rows, depth, columns, gap);
    matrix x = new_matrix("x", rows, depth, 0, 0), w = new_matrix("w", depth, columns, 0, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of c", 1, columns, gap, 0);
    real *bias = gap == 1 ? NULL : new_reals("bias", panels * PANEL, 0);
    if (bias) randomize(bias, panels * PANEL);
    randomize_matrix(&x, ZERO);
    randomize_matrix(&w, FINITE);
    real *a = paired(&x, false, &a_jump), *b = paired(&w, true, &b_jump);
    CALL(ops->pair_product(rows, depth, panels, pairs_at(a), a_jump, pairs_at(b), b_jump, bias,
                           c.at, c.jump));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t j = 0; j < panels * PANEL; j++) {
            double truth = bias ? (double)bias[j] : 0, magnitude = fabs(truth);
            for (ptrdiff_t k = 0; k < depth; k++) {
                double term = operand(&x, r, k) * operand(&w, k, j);
                truth += term, magnitude += fabs(term);
            }
            expect(c.at, offset(&c, r, j), truth, rounding(depth, magnitude));
        }
    CALL(ops->pair_product(1, depth, panels, pairs_at(a) + last * PAIRS, a_jump, pairs_at(b),
                           b_jump, bias, alone.at, alone.jump));
    for (ptrdiff_t j = 0; j < panels * PANEL; j++)
        expect_bits(alone.at, offset(&alone, 0, j), c.at[offset(&c, last, j)]);
    end_case();
}

void check_pair_product(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *depth = sizes; *depth; depth++)
            check_one_pair_product(*rows, *depth, 1 + random_below(5 * PANEL), random_below(3));
    for (int i = 0; i < 8; i++) /* deep enough to be multiplied by parts */
        check_one_pair_product(2 + random_below(40), 1000 + random_below(1200),
                               1 + random_below(3 * PANEL), random_below(3));
}

/* g = z.T @ delta; and once more in two goes, the second of which adds to the first. */
static void check_one_pair_outer(ptrdiff_t rows, ptrdiff_t width) {
    ptrdiff_t first = random_below((rows + 1) / 2), jump;
    begin_case("rows=%td width=%td first=%td", rows, width, 2 * first);
    matrix z = new_matrix("z", rows, width, 0, 0), delta = new_matrix("delta", rows, PANEL, 0, 0);
    matrix g = new_matrix("g", width, PANEL, 0, 0);
    matrix sum = new_matrix("g + more", width, PANEL, 0, 0);
    randomize_matrix(&z, FINITE);
    randomize_matrix(&delta, ZERO);
    const fastnn_pair *left = pairs_at(paired(&z, true, &jump));
    const fastnn_pair *right = pairs_at(paired(&delta, true, &jump));
    CALL(ops->pair_outer(rows, width, left, right, 0, g.at));
    for (ptrdiff_t i = 0; i < width; i++)
        for (ptrdiff_t j = 0; j < PANEL; j++) {
            double truth = 0, magnitude = 0;
            for (ptrdiff_t r = 0; r < rows; r++) {
                double term = operand(&z, r, i) * operand(&delta, r, j);
                truth += term, magnitude += fabs(term);
            }
            expect(g.at, i * PANEL + j, truth, rounding(rows, magnitude));
        }
    CALL(ops->pair_outer(2 * first, width, left, right, 0, sum.at));
    expect_anything(sum.at, width * PANEL);
    CALL(ops->pair_outer(rows - 2 * first, width, left + first * PANEL, right + first * PANEL, 1,
                         sum.at));
    for (ptrdiff_t i = 0; i < width * PANEL; i++) expect_bits(sum.at, i, g.at[i]);
    end_case();
}

void check_pair_outer(void) {
    for (ptrdiff_t width = 1; width <= PANEL; width++) {
        for (const ptrdiff_t *rows = row_counts; *rows; rows++) check_one_pair_outer(*rows, width);
        check_one_pair_outer(301, width);
    }
}

#endif
