/* check_zeros.c - the leaves of zeros.h: the products give the bits that the leaves of tile.h,
 * which have checks of their own, give for the same numbers. Biases and sums that begin as -0 are
 * among these, since products with zero make them +0. */
#include "harness.h"

/* So many per cent of nonzeros; 0 and -0; and columns without nonzeros. */
static void scatter_zeros(const matrix *m, int density) {
    for (ptrdiff_t r = 0; r < m->rows; r++)
        for (ptrdiff_t c = 0; c < m->columns; c++)
            if (random_below(100) >= density || c % 10 == 3)
                m->at[offset(m, r, c)] = random_below(2) ? 0 : -(real)0;
}

static matrix new_rows(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap, int density) {
    matrix m = new_matrix("rows with zeros", rows, columns, gap, 0);
    randomize_matrix(&m, ZERO);
    scatter_zeros(&m, density);
    return m;
}

void check_count_nonzeros(void) {
    for (const ptrdiff_t *n = sizes; *n; n++)
        for (ptrdiff_t panels = 1; panels < 4; panels++) {
            begin_case("n=%td panels=%td", *n, panels);
            ptrdiff_t gap = panels > 1 ? random_below(3) : 0, count = 0;
            real *x = new_reals("x", panels * (*n + gap) - gap, 0);
            randomize(x, panels * (*n + gap) - gap);
            for (ptrdiff_t q = 0; q < panels; q++)
                for (ptrdiff_t i = 0; i < *n; i++) {
                    real *at = x + q * (*n + gap) + i;
                    if (random_below(2)) *at = random_below(2) ? 0 : -(real)0;
                    if (random_below(9) == 0) *at = (real)NAN;
                    count += *at != 0;
                }
            ptrdiff_t found = 0;
            CALL(found = ops->count_nonzeros(*n, panels, x, *n + gap));
            expect_returned((double)found, (double)count, 0);
            end_case();
        }
}

static void check_one_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, int density) {
    ptrdiff_t gap = random_below(3);
    begin_case("rows=%td depth=%td columns=%td density=%d", rows, depth, columns, density);
    matrix a = new_rows(rows, depth, gap, density), b = new_matrix("b", depth, columns, gap, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0),
           same = new_matrix("same", rows, columns, 0, 0);
    real *bias = gap == 1 ? NULL : new_reals("bias", panels_of(columns) * PANEL, 0);
    if (bias) {
        randomize(bias, panels_of(columns) * PANEL);
        put_minus_zeros(bias, panels_of(columns) * PANEL);
    }
    randomize_matrix(&b, ZERO);
    CALL(ops->product(rows, depth, panels_of(columns), a.at, a.jump, b.at, b.jump, bias, same.at,
                      same.jump));
    accept_matrix(&same);
    CALL(ops->product_of_nonzeros(rows, depth, panels_of(columns), a.at, a.jump, b.at, b.jump, bias,
                                  c.at, c.jump));
    expect_same_matrix(&c, &same);
    end_case();
}

void check_product_of_nonzeros(void) {
    static const ptrdiff_t blocks[] = {63, 64, 65, 128, 200, 0};
    for (int density = 0; density <= 100; density += 25) {
        for (const ptrdiff_t *depth = sizes; *depth; depth++)
            for (ptrdiff_t panels = 1; panels <= 17; panels += panels < 9 ? 1 : 8)
                check_one_product(1 + random_below(9), *depth, panels * PANEL - random_below(PANEL),
                                  density);
        for (const ptrdiff_t *depth = blocks; *depth; depth++)
            check_one_product(*depth == 128 ? 200 : 97, *depth, 2 * PANEL + 1, density);
    }
}

/* The lists of z (rows, PANEL), of which nobody reads what is behind their ends. */
static ptrdiff_t new_lists(ptrdiff_t rows, const matrix *z, fastnn_column_lists **lists) {
    ptrdiff_t slices = (rows + SLICE - 1) / SLICE, found = 0;
    ptrdiff_t size = slices * (ptrdiff_t)(sizeof(fastnn_column_lists) / sizeof(real));
    real *room = new_reals("lists", size, 0);
    *lists = (fastnn_column_lists *)room;
    CALL(found = ops->list_columns(rows, z->at, *lists));
    expect_anything(room, size);
    return found;
}

void check_list_columns(void) {
    static const ptrdiff_t slices[] = {127, 128, 129, 300, 0};
    for (int density = 0; density <= 100; density += 50)
        for (int many = 0; many < 2; many++)
            for (const ptrdiff_t *rows = many ? slices : row_counts; *rows; rows++) {
                begin_case("rows=%td density=%d", *rows, density);
                matrix z = new_rows(*rows, PANEL, 0, density);
                fastnn_column_lists *lists;
                ptrdiff_t found = new_lists(*rows, &z, &lists), total = 0;
                for (ptrdiff_t first = 0; first < *rows; first += SLICE, lists++)
                    for (ptrdiff_t i = 0; i < PANEL; i++) {
                        ptrdiff_t n = 0;
                        for (ptrdiff_t r = first; r < *rows && r < first + SLICE; r++) {
                            real x = z.at[r * PANEL + i];
                            if (x == 0) continue;
                            if (lists->values[i][n] != x ||
                                lists->places[i][n] != (r - first) * PANEL)
                                fail("nonzero %td of column %td is not that of row %td", n, i, r);
                            n++;
                        }
                        if (lists->counts[i] != n)
                            fail("column %td has %td nonzeros, not %d", i, n, lists->counts[i]);
                        total += n;
                    }
                expect_returned((double)found, (double)total, 0);
                end_case();
            }
}

static void check_one_outer(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, int density,
                            int more) {
    begin_case("rows=%td width=%td panels=%td density=%d more=%d", rows, width, panels, density,
               more);
    ptrdiff_t gap = random_below(3), jump = (width + gap) * PANEL;
    matrix z = new_rows(rows, width, 0, density);
    matrix delta = new_matrix("delta", rows, panels * PANEL, gap, 0);
    matrix before = new_matrix("before", width, panels * PANEL, gap, 0);
    matrix g = new_matrix("g", PANEL, panels * PANEL, 0, 0),
           same = new_matrix("same", width, panels * PANEL, 0, 0);
    fastnn_column_lists *lists;
    randomize_matrix(&delta, ZERO), randomize_matrix(&before, ZERO);
    for (ptrdiff_t q = 0; q < panels; q++) {
        put_minus_zeros(delta.at + q * delta.jump, rows * PANEL);
        put_minus_zeros(before.at + q * jump, width * PANEL);
        for (ptrdiff_t i = 0; i < width * PANEL; i++)
            same.at[q * same.jump + i] = before.at[q * jump + i];
    }
    new_lists(rows, &z, &lists);
    for (ptrdiff_t q = 0; q < panels; q++) {
        CALL(ops->outer(rows, width, z.at, delta.at + q * delta.jump, more,
                        same.at + q * same.jump));
        expect_anything(same.at + q * same.jump, width * PANEL);
    }
    CALL(ops->outer_of_nonzeros(rows, width, panels, z.at, lists, delta.at, delta.jump,
                                more ? before.at : NULL, jump, g.at));
    for (ptrdiff_t q = 0; q < panels; q++)
        for (ptrdiff_t i = 0; i < width * PANEL; i++)
            expect_bits(g.at, q * PANEL * PANEL + i, same.at[q * same.jump + i]);
    end_case();
}

void check_outer_of_nonzeros(void) {
    static const ptrdiff_t slices[] = {127, 128, 129, 300, 0};
    for (int density = 0; density <= 100; density += 25)
        for (int more = 0; more < 2; more++) {
            for (const ptrdiff_t *rows = row_counts; *rows; rows++)
                for (ptrdiff_t width = 1; width <= PANEL; width++)
                    check_one_outer(*rows, width, 1 + random_below(STRIP), density, more);
            for (const ptrdiff_t *rows = slices; *rows; rows++)
                for (ptrdiff_t panels = 1; panels <= STRIP; panels++)
                    check_one_outer(*rows, PANEL - random_below(2), panels, density, more);
        }
}
