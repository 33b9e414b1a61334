/* check_bfloat16.c - the leaves of bfloat16.h and amx.h: rounding number by number, and products of
 * what was rounded. How operands are stored is a matter of the instruction set: numbers are read
 * from an operand by products with ones. Doubles have none of these leaves. */
#include "harness.h"

#if FASTNN_BITS == 32

#include <string.h>

enum { BLOCK = 2 * PANEL };

/* To nearest, ties to even, by comparing with both neighbours; subnormal numbers to 0. */
static real rounded(real x) {
    uint32_t bits, sign;
    memcpy(&bits, &x, sizeof bits);
    sign = bits & 0x80000000;
    uint32_t below = bits & 0xffff0000, rest = bits & 0xffff;
    bool up = rest > 0x8000 || (rest == 0x8000 && (below & 0x10000));
    bits = fabs((double)x) < 0x1p-126 ? sign : up ? below + 0x10000 : below;
    memcpy(&x, &bits, sizeof bits);
    return x;
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

static fastnn_pair *pairs_at(real *x) { return (fastnn_pair *)(void *)x; }

static ptrdiff_t blocks_of(ptrdiff_t depth) { return (depth + BLOCK - 1) / BLOCK; }

/* ---- operands, as the leaves make them; the pairs are in reals, which have the same size ---- */

/* x as a, in blocks of columns, `jump` pairs apart. */
static real *new_a(const char *name, const matrix *x, ptrdiff_t gap, ptrdiff_t *jump) {
    *jump = (x->rows + gap) * PANEL;
    return new_reals(name, (blocks_of(x->columns) - 1) * *jump + x->rows * PANEL, 0);
}

static real *a_of(const matrix *x, ptrdiff_t *jump) {
    real *a = new_a("a", x, 0, jump);
    ops->pair_columns(x->rows, x->columns, x->at, x->jump, pairs_at(a), *jump);
    return a;
}

/* x as b or delta, in panels, `jump` pairs apart. */
static real *new_rows(const char *name, const matrix *x, ptrdiff_t *jump) {
    *jump = blocks_of(x->rows) * PANEL * PANEL;
    return new_reals(name, panels_of(x->columns) * *jump, 0);
}

static real *rows_of(fastnn_pair_rows_fn *leaf, const matrix *x, ptrdiff_t *jump) {
    real *b = new_rows("operand", x, jump);
    leaf(0, x->rows, 1, panels_of(x->columns), x->at, x->jump, pairs_at(b), *jump);
    return b;
}

/* Ones on the diagonal, which begins in row `first`. */
static matrix new_ones(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t first) {
    matrix m = new_matrix("ones", rows, columns, 0, 0);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++)
            m.at[offset(&m, r, c)] = c < columns && r == first + c ? 1 : 0;
    return m;
}

static void expect_rounded(const matrix *found, const matrix *x) {
    for (ptrdiff_t r = 0; r < x->rows; r++)
        for (ptrdiff_t c = 0; c < x->columns; c++)
            expect(found->at, offset(found, r, c), (double)rounded(x->at[offset(x, r, c)]), 0);
}

/* ---- roundings ---- */

static void check_one_pair_columns(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap) {
    ptrdiff_t a_jump, b_jump;
    begin_case("rows=%td columns=%td gap=%td", rows, columns, gap);
    matrix x = new_matrix("x", rows, columns, gap, 0), ones = new_ones(columns, columns, 0);
    matrix c = new_matrix("c", rows, columns, 0, 0);
    randomize_matrix(&x, NOT_A_NUMBER);
    add_edges(&x);
    real *a = new_a("a", &x, gap, &a_jump), *b = rows_of(ops->pair_rows, &ones, &b_jump);
    CALL(ops->pair_columns(rows, columns, x.at, x.jump, pairs_at(a), a_jump));
    for (ptrdiff_t q = 0; q < blocks_of(columns); q++)
        expect_anything(a + q * a_jump, rows * PANEL);
    CALL(ops->pair_product(rows, columns, panels_of(columns), pairs_at(a), a_jump, pairs_at(b),
                           b_jump, NULL, c.at, c.jump));
    expect_rounded(&c, &x);
    expect_zero_padding(&c);
    end_case();
}

void check_pair_columns(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            check_one_pair_columns(*rows, *columns, random_below(3));
}

/* At once, and by rows in two goes. */
static void check_one_pair_rows(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap) {
    ptrdiff_t first = random_below((rows + 3) / 4) * 4, panels = panels_of(columns), a_jump, jump;
    begin_case("rows=%td columns=%td gap=%td first=%td", rows, columns, gap, first);
    matrix x = new_matrix("x", rows, columns, gap, 0), ones = new_ones(rows, rows, 0);
    matrix c = new_matrix("c", rows, columns, 0, 0);
    randomize_matrix(&x, ZERO);
    add_edges(&x);
    real *a = a_of(&ones, &a_jump), *b = new_rows("b", &x, &jump),
         *same = new_rows("same", &x, &jump);
    CALL(ops->pair_rows(0, rows, 1, panels, x.at, x.jump, pairs_at(b), jump));
    expect_anything(b, panels * jump);
    CALL(ops->pair_rows(0, first, 0, panels, x.at, x.jump, pairs_at(same), jump));
    expect_anything(same, panels * jump);
    CALL(ops->pair_rows(first, rows - first, 1, panels, x.at + first * PANEL, x.jump,
                        pairs_at(same), jump));
    for (ptrdiff_t i = 0; i < panels * jump; i++) expect_bits(same, i, b[i]);
    CALL(ops->pair_product(rows, rows, panels, pairs_at(a), a_jump, pairs_at(b), jump, NULL, c.at,
                           c.jump));
    expect_rounded(&c, &x);
    expect_zero_padding(&c);
    end_case();
}

void check_pair_rows(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            check_one_pair_rows(*rows, *columns, random_below(3));
}

/* The same for the left operand; PANEL rows at a time are read from it. */
static void check_one_pair_left(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t gap) {
    ptrdiff_t first = random_below((rows + 3) / 4) * 4, jump, ones_jump;
    begin_case("rows=%td width=%td gap=%td first=%td", rows, width, gap, first);
    matrix x = new_matrix("x", rows, width, gap, 0);
    randomize_matrix(&x, NOT_A_NUMBER);
    add_edges(&x);
    real *z = new_rows("z", &x, &jump), *same = new_rows("same", &x, &jump);
    CALL(ops->pair_left(0, rows, 1, panels_of(width), x.at, x.jump, pairs_at(z), jump));
    expect_anything(z, panels_of(width) * jump);
    CALL(ops->pair_left(0, first, 0, panels_of(width), x.at, x.jump, pairs_at(same), jump));
    expect_anything(same, panels_of(width) * jump);
    CALL(ops->pair_left(first, rows - first, 1, panels_of(width), x.at + first * PANEL, x.jump,
                        pairs_at(same), jump));
    for (ptrdiff_t i = 0; i < panels_of(width) * jump; i++) expect_bits(same, i, z[i]);
    for (ptrdiff_t base = 0; base < rows; base += PANEL) {
        matrix ones = new_ones(rows, PANEL, base);
        real *delta = rows_of(ops->pair_rows, &ones, &ones_jump);
        for (ptrdiff_t q = 0; q < panels_of(width); q++) {
            ptrdiff_t n = width - q * PANEL < PANEL ? width - q * PANEL : PANEL;
            real *g = new_reals("g", n * PANEL, 0);
            CALL(ops->begin_outers(),
                 ops->pair_outer(rows, n, pairs_at(z) + q * jump, pairs_at(delta), 0, g),
                 ops->end_outers());
            for (ptrdiff_t i = 0; i < n; i++)
                for (ptrdiff_t j = 0; j < PANEL; j++) {
                    bool is_row = base + j < rows;
                    real truth = is_row ? x.at[offset(&x, base + j, q * PANEL + i)] : 0;
                    expect(g, i * PANEL + j, (double)rounded(truth), 0);
                }
        }
    }
    end_case();
}

void check_pair_left(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *width = sizes; *width; width++)
            check_one_pair_left(*rows, *width, random_below(3));
}

static void check_one_pair_transposed(ptrdiff_t width, ptrdiff_t columns, ptrdiff_t gap) {
    begin_case("width=%td columns=%td gap=%td", width, columns, gap);
    matrix w = new_matrix("w", width, columns, gap, 0), ones = new_ones(columns, columns, 0);
    matrix c = new_matrix("c", columns, PANEL, 0, 0);
    ptrdiff_t room = blocks_of(columns) * PANEL * PANEL, a_jump;
    real *out = new_reals("out", room, 0), *a = a_of(&ones, &a_jump);
    randomize_matrix(&w, ZERO);
    add_edges(&w);
    CALL(ops->pair_transposed(width, columns, w.at, w.jump, pairs_at(out)));
    expect_anything(out, room);
    CALL(ops->pair_product(columns, columns, 1, pairs_at(a), a_jump, pairs_at(out), room, NULL,
                           c.at, c.jump));
    for (ptrdiff_t k = 0; k < columns; k++)
        for (ptrdiff_t i = 0; i < PANEL; i++) {
            real truth = i < width ? w.at[offset(&w, i, k)] : 0;
            expect(c.at, offset(&c, k, i), (double)rounded(truth), 0);
        }
    end_case();
}

void check_pair_transposed(void) {
    for (ptrdiff_t width = 1; width <= PANEL; width++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            check_one_pair_transposed(width, *columns, random_below(3));
}

/* ---- products ---- */

/* start + sum over k of x[k] y[k] in the order that bfloat16.h states, if the table fuses; the
 * numbers are `x_step` and `y_step` apart as matrices count them. */
static void expect_chains(real *found, ptrdiff_t i, real start, const real *x, const real *y,
                          ptrdiff_t depth) {
    double truth = (double)start, magnitude = fabs(truth);
    real sum = start, chains[2];
    for (ptrdiff_t k = 0; k < depth; k++) {
        truth += (double)x[k] * (double)y[k];
        magnitude += fabs((double)x[k] * (double)y[k]);
    }
    for (ptrdiff_t block = 0; block < depth; block += BLOCK) {
        chains[0] = chains[1] = 0;
        for (ptrdiff_t k = block; k < depth && k < block + BLOCK; k++)
            chains[k % 2] = fmaf(x[k], y[k], chains[k % 2]);
        sum += chains[0] + chains[1];
    }
    if (ops->fuses)
        expect_bits(found, i, sum);
    else
        expect(found, i, truth, rounding(depth, magnitude));
}

enum { MOST_DEPTH = 2400 };
static real x_row[MOST_DEPTH], y_column[MOST_DEPTH];

static void check_one_pair_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                                   ptrdiff_t gap) {
    ptrdiff_t last = rows - 1, panels = panels_of(columns), a_jump, b_jump;
    begin_case("rows=%td depth=%td columns=%td gap=%td", rows, depth, columns, gap);
    matrix x = new_matrix("x", rows, depth, 0, 0), w = new_matrix("w", depth, columns, 0, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of c", 1, columns, gap, 0);
    real *bias = gap == 1 ? NULL : new_reals("bias", panels * PANEL, 0);
    if (bias) randomize(bias, panels * PANEL);
    randomize_matrix(&x, NOT_A_NUMBER);
    randomize_matrix(&w, FINITE);
    real *a = a_of(&x, &a_jump), *b = rows_of(ops->pair_rows, &w, &b_jump);
    CALL(ops->pair_product(rows, depth, panels, pairs_at(a), a_jump, pairs_at(b), b_jump, bias,
                           c.at, c.jump));
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t k = 0; k < depth; k++) x_row[k] = rounded(x.at[offset(&x, r, k)]);
        for (ptrdiff_t j = 0; j < panels * PANEL; j++) {
            for (ptrdiff_t k = 0; k < depth; k++) y_column[k] = rounded(w.at[offset(&w, k, j)]);
            expect_chains(c.at, offset(&c, r, j), bias ? bias[j] : 0, x_row, y_column, depth);
        }
    }
    CALL(ops->pair_product(1, depth, panels, pairs_at(a) + last * PANEL, a_jump, pairs_at(b),
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
    ptrdiff_t first = random_below(blocks_of(rows)) * BLOCK, jump, skip = first / 2 * PANEL;
    begin_case("rows=%td width=%td first=%td", rows, width, first);
    matrix z = new_matrix("z", rows, width, 0, 0), delta = new_matrix("delta", rows, PANEL, 0, 0);
    matrix g = new_matrix("g", width, PANEL, 0, 0);
    matrix sum = new_matrix("g + more", width, PANEL, 0, 0);
    randomize_matrix(&z, FINITE);
    randomize_matrix(&delta, ZERO);
    const fastnn_pair *left = pairs_at(rows_of(ops->pair_left, &z, &jump));
    const fastnn_pair *right = pairs_at(rows_of(ops->pair_rows, &delta, &jump));
    CALL(ops->begin_outers(), ops->pair_outer(rows, width, left, right, 0, g.at));
    for (ptrdiff_t i = 0; i < width; i++)
        for (ptrdiff_t j = 0; j < PANEL; j++) {
            for (ptrdiff_t r = 0; r < rows; r++) {
                x_row[r] = rounded(z.at[offset(&z, r, i)]);
                y_column[r] = rounded(delta.at[offset(&delta, r, j)]);
            }
            expect_chains(g.at, i * PANEL + j, 0, x_row, y_column, rows);
        }
    CALL(ops->pair_outer(first, width, left, right, 0, sum.at));
    expect_anything(sum.at, width * PANEL);
    if (first == 0) memset(sum.at, 0, (size_t)(width * PANEL) * sizeof(real));
    expect_anything(sum.at, width * PANEL);
    CALL(ops->pair_outer(rows - first, width, left + skip, right + skip, 1, sum.at),
         ops->end_outers());
    for (ptrdiff_t i = 0; i < width * PANEL; i++) expect_bits(sum.at, i, g.at[i]);
    end_case();
}

void check_pair_outer(void) {
    for (ptrdiff_t width = 1; width <= PANEL; width++) {
        for (const ptrdiff_t *rows = row_counts; *rows; rows++) check_one_pair_outer(*rows, width);
        check_one_pair_outer(301, width);
    }
}

/* Other code of the thread may use the tiles before and after. */
void check_begin_outers(void) { check_one_pair_outer(67, PANEL); }

void check_end_outers(void) {
    check_one_pair_product(17, 67, PANEL, 0);
    check_one_pair_outer(67, PANEL);
}

#endif
