/* check_products.c - the leaves of tile.h that multiply and add up. */
#include "harness.h"

/* sum over k of a[r, k] b[k, c], and of the absolute values; with b[c, k] for `transposed`. */
static double product_of(const matrix *a, const matrix *b, bool transposed, ptrdiff_t r,
                         ptrdiff_t c, double *magnitude) {
    double sum = 0;
    *magnitude = 0;
    for (ptrdiff_t k = 0; k < a->columns; k++) {
        double x = element(a, r, k), y = transposed ? element(b, c, k) : element(b, k, c);
        sum += x * y;
        *magnitude += fabs(x * y);
    }
    return sum;
}

/* c = bias + a @ b; the rows' padding, which is behind the first `columns`, is zero. */
static void expect_product(const matrix *c, const matrix *a, const matrix *b, bool transposed,
                           const real *bias) {
    for (ptrdiff_t r = 0; r < c->rows; r++)
        for (ptrdiff_t j = 0; j < c->columns; j++) {
            double magnitude, start = bias ? (double)bias[j] : 0;
            double truth = start + product_of(a, b, transposed, r, j, &magnitude);
            expect(c->at, offset(c, r, j), truth, rounding(a->columns, magnitude + fabs(start)));
        }
    expect_zero_padding(c);
}

/* The bits of a row that was computed alone. */
static void expect_row_of(const matrix *alone, const matrix *all, ptrdiff_t r) {
    for (ptrdiff_t j = 0; j < panels_of(all->columns) * PANEL; j++)
        expect_bits(alone->at, offset(alone, 0, j), all->at[offset(all, r, j)]);
}

static real *new_bias(ptrdiff_t columns) {
    ptrdiff_t n = panels_of(columns) * PANEL;
    real *bias = new_reals("bias", n, 0);
    for (ptrdiff_t j = 0; j < n; j++) bias[j] = j < columns ? (real)uniform(-2, 2) : 0;
    return bias;
}

/* An a that the caches near a core do not hold: it is multiplied by parts of the depth. */
enum { FAR_ROWS = 300, FAR_DEPTH = 900 };

static void check_one_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, ptrdiff_t gap) {
    ptrdiff_t last = rows - 1, panels = panels_of(columns);
    begin_case("rows=%td depth=%td columns=%td gap=%td", rows, depth, columns, gap);
    matrix a = new_matrix("a", rows, depth, gap, 0);
    matrix b = new_matrix("b", depth, columns, gap, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of c", 1, columns, gap, 0);
    real *bias = gap == 1 ? NULL : new_bias(columns);
    randomize_matrix(&a, FINITE);
    randomize_matrix(&b, ZERO);
    CALL(ops->product(rows, depth, panels, a.at, a.jump, b.at, b.jump, bias, c.at, c.jump));
    expect_product(&c, &a, &b, false, bias);
    CALL(ops->product(1, depth, panels, a.at + last * PANEL, a.jump, b.at, b.jump, bias, alone.at,
                      alone.jump));
    expect_row_of(&alone, &c, last);
    end_case();
}

void check_product(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *depth = sizes; *depth; depth++)
            for (ptrdiff_t panels = 1; panels <= 9; panels += panels < 5 ? 1 : 4)
                check_one_product(*rows, *depth, panels * PANEL - random_below(PANEL),
                                  random_below(3));
    for (int i = 0; i < 8; i++) /* deep enough to be multiplied by parts */
        check_one_product(2 + random_below(40), 500 + random_below(600),
                          1 + random_below(3 * PANEL), random_below(3));
    check_one_product(FAR_ROWS, FAR_DEPTH, 5 * PANEL - 1, 0);
}

/* Rows of w past its columns are readable, and zero in the product. */
static void check_one_product_transposed(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns,
                                         ptrdiff_t gap) {
    ptrdiff_t last = rows - 1, room = 2 * panels_of(depth) * PANEL * PANEL;
    begin_case("rows=%td depth=%td columns=%td gap=%td", rows, depth, columns, gap);
    matrix a = new_matrix("a", rows, depth, gap, 0);
    matrix w = new_matrix("w", columns, depth, gap, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of c", 1, columns, gap, 0);
    real *scratch = new_reals("scratch", room, 0);
    randomize_matrix(&a, FINITE);
    randomize_matrix(&w, ZERO);
    CALL(ops->product_transposed(rows, depth, columns, a.at, a.jump, w.at, w.jump, scratch, c.at,
                                 c.jump));
    expect_product(&c, &a, &w, true, NULL);
    expect_anything(scratch, room);
    CALL(ops->product_transposed(1, depth, columns, a.at + last * PANEL, a.jump, w.at, w.jump,
                                 scratch, alone.at, alone.jump));
    expect_row_of(&alone, &c, last);
    expect_anything(scratch, room);
    end_case();
}

void check_product_transposed(void) {
    for (const ptrdiff_t *depth = sizes; *depth; depth++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            for (int i = 0; i < 3; i++)
                check_one_product_transposed(1 + random_below(40), *depth, *columns, i);
    for (int i = 0; i < 8; i++)
        check_one_product_transposed(2 + random_below(40), 500 + random_below(600),
                                     1 + random_below(5 * PANEL), random_below(3));
    check_one_product_transposed(FAR_ROWS, FAR_DEPTH, 5 * PANEL - 1, 0);
}

/* The padding of a or of b holds any numbers; that of the other is zero. */
static void check_one_narrow(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width, ptrdiff_t gap) {
    ptrdiff_t last = rows - 1;
    begin_case("rows=%td depth=%td width=%td gap=%td", rows, depth, width, gap);
    matrix a = new_matrix("a", rows, depth, gap, (PANEL - 1) * PANEL);
    matrix b = new_matrix("b", width, depth, gap, 0);
    matrix c = new_matrix("c", rows, width, 0, 0), alone = new_matrix("a row of c", 1, width, 0, 0);
    real *bias = gap == 1 ? NULL : new_bias(width);
    randomize_matrix(&a, gap == 0 ? FINITE : gap == 1 ? NOT_A_NUMBER : ZERO);
    randomize_matrix(&b, gap == 2 ? NOT_A_NUMBER : ZERO);
    CALL(ops->narrow(rows, depth, width, a.at, a.jump, b.at, b.jump, bias, c.at));
    expect_product(&c, &a, &b, true, bias);
    CALL(ops->narrow(1, depth, width, a.at + last * PANEL, a.jump, b.at, b.jump, bias, alone.at));
    expect_row_of(&alone, &c, last);
    end_case();
}

void check_narrow(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (const ptrdiff_t *depth = sizes; *depth; depth++)
            for (ptrdiff_t width = 1; width <= NARROW; width++)
                for (ptrdiff_t gap = 0; gap < 3; gap++) check_one_narrow(*rows, *depth, width, gap);
}

static void check_one_dots(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, ptrdiff_t gap) {
    ptrdiff_t last = rows - 1;
    begin_case("rows=%td depth=%td columns=%td gap=%td", rows, depth, columns, gap);
    matrix a = new_matrix("a", rows, depth, gap, 0);
    matrix b = new_matrix("b", columns, depth, gap, (PANEL - 1) * PANEL);
    matrix c = new_matrix("c", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of c", 1, columns, gap, 0);
    randomize_matrix(&a, gap == 0 ? FINITE : gap == 1 ? NOT_A_NUMBER : ZERO);
    randomize_matrix(&b, gap == 2 ? NOT_A_NUMBER : ZERO);
    CALL(ops->dots(rows, depth, columns, a.at, a.jump, b.at, b.jump, c.at, c.jump));
    expect_product(&c, &a, &b, true, NULL);
    CALL(ops->dots(1, depth, columns, a.at + last * PANEL, a.jump, b.at, b.jump, alone.at,
                   alone.jump));
    expect_row_of(&alone, &c, last);
    end_case();
}

void check_dots(void) {
    for (const ptrdiff_t *rows = sizes; *rows; rows++)
        for (const ptrdiff_t *depth = sizes; *depth; depth++)
            for (const ptrdiff_t *columns = sizes; *columns; columns++)
                check_one_dots(*rows, *depth, *columns, random_below(3));
}

/* g = z.T @ delta; and once more in two goes, the second of which adds to the first. */
static void check_one_outer(ptrdiff_t rows, ptrdiff_t width) {
    ptrdiff_t first = random_below(rows);
    begin_case("rows=%td width=%td first=%td", rows, width, first);
    matrix z = new_matrix("z", rows, width, 0, 0), delta = new_matrix("delta", rows, PANEL, 0, 0);
    matrix g = new_matrix("g", width, PANEL, 0, 0),
           sum = new_matrix("g + more", width, PANEL, 0, 0);
    randomize_matrix(&z, FINITE);
    randomize_matrix(&delta, ZERO);
    CALL(ops->outer(rows, width, z.at, delta.at, 0, g.at));
    for (ptrdiff_t i = 0; i < width; i++)
        for (ptrdiff_t j = 0; j < PANEL; j++) {
            double truth = 0, magnitude = 0;
            for (ptrdiff_t r = 0; r < rows; r++) {
                double term = element(&z, r, i) * element(&delta, r, j);
                truth += term;
                magnitude += fabs(term);
            }
            expect(g.at, i * PANEL + j, truth, rounding(rows, magnitude));
        }
    CALL(ops->outer(first, width, z.at, delta.at, 0, sum.at));
    expect_anything(sum.at, width * PANEL);
    CALL(
        ops->outer(rows - first, width, z.at + first * PANEL, delta.at + first * PANEL, 1, sum.at));
    for (ptrdiff_t i = 0; i < width * PANEL; i++) expect_bits(sum.at, i, g.at[i]);
    end_case();
}

void check_outer(void) {
    for (ptrdiff_t width = 1; width <= PANEL; width++) {
        for (const ptrdiff_t *rows = row_counts; *rows; rows++) check_one_outer(*rows, width);
        check_one_outer(300, width);
    }
}

/* The columns of z in panel p. */
static ptrdiff_t height_of(ptrdiff_t p, ptrdiff_t width) {
    return width - p * PANEL < PANEL ? width - p * PANEL : PANEL;
}

/* Each tile of a strip has the bits of `outer`. */
static void check_one_strip(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, int more) {
    begin_case("rows=%td width=%td panels=%td more=%d", rows, width, panels, more);
    ptrdiff_t gap = random_below(3), n = panels_of(width) * panels;
    matrix z = new_matrix("z", rows, width, gap, 0);
    matrix delta = new_matrix("delta", rows, panels * PANEL, gap, 0);
    matrix before = new_matrix("before", width, panels * PANEL, gap, 0);
    real *g = new_reals("g", n * PANEL * PANEL, 0);
    real *same = new_reals("same", n * PANEL * PANEL, 0);
    randomize_matrix(&z, FINITE), randomize_matrix(&delta, ZERO), randomize_matrix(&before, ZERO);
    for (ptrdiff_t k = 0; k < n; k++) {
        const real *start = before.at + k % panels * before.jump + k / panels * PANEL * PANEL;
        for (ptrdiff_t i = 0; i < height_of(k / panels, width) * PANEL; i++)
            same[k * PANEL * PANEL + i] = start[i];
    }
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t p = k / panels, q = k % panels;
        real *tile = same + k * PANEL * PANEL;
        CALL(ops->outer(rows, height_of(p, width), z.at + p * z.jump, delta.at + q * delta.jump,
                        more, tile));
        expect_anything(tile, height_of(p, width) * PANEL);
    }
    CALL(ops->outer_strip(rows, width, panels, z.at, delta.at, delta.jump, more ? before.at : NULL,
                          before.jump, g));
    for (ptrdiff_t k = 0; k < n; k++)
        for (ptrdiff_t i = 0; i < height_of(k / panels, width) * PANEL; i++)
            expect_bits(g, k * PANEL * PANEL + i, same[k * PANEL * PANEL + i]);
    end_case();
}

void check_outer_strip(void) {
    static const ptrdiff_t blocks[] = {127, 128, 129, 300, 0};
    for (int more = 0; more < 2; more++)
        for (ptrdiff_t panels = 1; panels <= 5; panels++) {
            for (ptrdiff_t width = 1; width <= PANEL; width++)
                check_one_strip(1 + random_below(20), width, panels, more);
            for (const ptrdiff_t *rows = blocks; *rows; rows++)
                for (ptrdiff_t deep = 1; deep <= 3; deep++)
                    check_one_strip(*rows, deep * PANEL, panels, more);
        }
}

static void check_one_column_sums(ptrdiff_t rows, ptrdiff_t panels, ptrdiff_t gap) {
    ptrdiff_t first = random_below(rows), columns = panels * PANEL;
    begin_case("rows=%td panels=%td first=%td", rows, panels, first);
    matrix delta = new_matrix("delta", rows, columns, gap, 0);
    real *g = new_reals("g", columns, 0), *sum = new_reals("g + more", columns, 0);
    randomize_matrix(&delta, ZERO);
    CALL(ops->column_sums(rows, panels, delta.at, delta.jump, 0, g));
    for (ptrdiff_t j = 0; j < columns; j++) {
        double truth = 0, magnitude = 0;
        for (ptrdiff_t r = 0; r < rows; r++) {
            truth += element(&delta, r, j);
            magnitude += fabs(element(&delta, r, j));
        }
        expect(g, j, truth, rounding(rows, magnitude));
    }
    CALL(ops->column_sums(first, panels, delta.at, delta.jump, 0, sum));
    expect_anything(sum, columns);
    CALL(ops->column_sums(rows - first, panels, delta.at + first * PANEL, delta.jump, 1, sum));
    for (ptrdiff_t j = 0; j < columns; j++) expect_bits(sum, j, g[j]);
    end_case();
}

void check_column_sums(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t panels = 1; panels <= 9; panels++)
            check_one_column_sums(*rows, panels, random_below(3));
    check_one_column_sums(300, 1, 0);
}
