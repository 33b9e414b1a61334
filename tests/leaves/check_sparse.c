/* check_sparse.c - the leaves of sparse.h: each gives the bits that a leaf of tile.h, which has a
 * check of its own, gives for the rows with their zeros. Biases and sums that begin as -0 are among
 * the numbers, since products with zero make them +0. */
#include "harness.h"

#include <stdlib.h>

/* Sparse rows, and their nonzeros by rows and by columns. */
typedef struct {
    matrix dense;
    fastnn_sparse_row *rows;
    fastnn_entry *entries;
    ptrdiff_t *first;
    int32_t *count, *columns;
} sparse;

static sparse new_sparse(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t gap, int density) {
    sparse s = {.dense = new_matrix("rows with zeros", rows, columns, gap, (PANEL - 1) * PANEL)};
    size_t cells = (size_t)(rows * columns);
    real *values = new_reals("values", rows * columns, 0);
    ptrdiff_t n = 0, at = 0;
    s.rows = calloc((size_t)rows, sizeof *s.rows), s.columns = calloc(cells, sizeof *s.columns);
    s.entries = calloc(cells, sizeof *s.entries);
    s.first = calloc((size_t)columns, sizeof *s.first);
    s.count = calloc((size_t)columns, sizeof *s.count);
    if (!s.rows || !s.columns || !s.entries || !s.first || !s.count) abort();
    randomize_matrix(&s.dense, ZERO);
    randomize(values, rows * columns);
    for (ptrdiff_t r = 0; r < rows; r++) {
        s.rows[r] = (fastnn_sparse_row){s.columns + n, values + n, 0};
        for (ptrdiff_t c = 0; c < columns; c++) {
            real *x = s.dense.at + offset(&s.dense, r, c);
            if (random_below(100) >= density) *x = 0;
            if (*x == 0) continue;
            s.columns[n] = (int32_t)c, values[n++] = *x, s.rows[r].n++;
        }
    }
    for (ptrdiff_t c = 0; c < columns; c++) {
        s.first[c] = at;
        for (ptrdiff_t r = 0; r < rows; r++) {
            real x = s.dense.at[offset(&s.dense, r, c)];
            if (x == 0) continue;
            s.entries[at++] = (fastnn_entry){x, (uint16_t)r, (uint16_t)(c % PANEL)}, s.count[c]++;
        }
    }
    return s;
}

static void free_sparse(sparse *s) {
    free(s->rows), free(s->columns), free(s->entries), free(s->first), free(s->count);
}

static real *new_bias(ptrdiff_t columns) {
    ptrdiff_t n = panels_of(columns) * PANEL;
    real *bias = new_reals("bias", n, 0);
    randomize(bias, n);
    put_minus_zeros(bias, n);
    for (ptrdiff_t j = columns; j < n; j++) bias[j] = 0;
    return bias;
}

static void check_one_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, int density,
                              int whole) {
    ptrdiff_t gap = random_below(3);
    begin_case("rows=%td depth=%td columns=%td density=%d whole=%d", rows, depth, columns, density,
               whole);
    sparse a = new_sparse(rows, depth, gap, density);
    matrix b = new_matrix("b", depth, columns, gap, 0);
    matrix c = new_matrix("c", rows, columns, gap, 0),
           same = new_matrix("same", rows, columns, 0, 0);
    real *bias = gap == 1 ? NULL : new_bias(columns);
    randomize_matrix(&b, ZERO);
    CALL(ops->product(rows, depth, panels_of(columns), a.dense.at, a.dense.jump, b.at, b.jump, bias,
                      same.at, same.jump));
    accept_matrix(&same);
    CALL(ops->sparse_product(rows, depth, panels_of(columns), a.rows, b.at, b.jump, bias, whole,
                             c.at, c.jump));
    expect_same_matrix(&c, &same);
    end_case();
    free_sparse(&a);
}

void check_sparse_product(void) {
    for (const ptrdiff_t *depth = sizes; *depth; depth++)
        for (ptrdiff_t panels = 1; panels <= 17; panels += panels < 9 ? 1 : 8)
            for (int density = 0; density < 100; density += 30)
                check_one_product(1 + random_below(9), *depth, panels * PANEL - random_below(PANEL),
                                  density, density == 60);
    for (int i = 0; i < 8; i++) /* more rows than are multiplied at a time; many without nonzeros */
        check_one_product(800, 40, 3 * PANEL, i < 6 ? 3 : 30, 0);
}

static void check_one_narrow(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width, int density,
                             int whole) {
    ptrdiff_t gap = random_below(3);
    begin_case("rows=%td depth=%td width=%td density=%d whole=%d", rows, depth, width, density,
               whole);
    sparse a = new_sparse(rows, depth, gap, density);
    matrix b = new_matrix("b", width, depth, gap, 0);
    matrix c = new_matrix("c", rows, width, 0, 0), same = new_matrix("same", rows, width, 0, 0);
    real *bias = gap == 1 ? NULL : new_bias(width);
    randomize_matrix(&b, ZERO);
    CALL(ops->narrow(rows, depth, width, a.dense.at, a.dense.jump, b.at, b.jump, bias, same.at));
    accept_matrix(&same);
    CALL(ops->sparse_narrow(rows, depth, width, a.rows, b.at, b.jump, bias, whole, c.at));
    expect_same_matrix(&c, &same);
    end_case();
    free_sparse(&a);
}

void check_sparse_narrow(void) {
    for (const ptrdiff_t *depth = sizes; *depth; depth++)
        for (ptrdiff_t width = 1; width <= NARROW; width++)
            for (int density = 0; density < 100; density += 30)
                check_one_narrow(1 + random_below(9), *depth, width, density, density == 60);
}

/* g of one tile; with `narrow` of transposed weights, whose delta has few columns. */
static void check_one_outer(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t narrow, int density,
                            int whole, int more) {
    begin_case("rows=%td width=%td n_out=%td density=%d whole=%d more=%d", rows, width, narrow,
               density, whole, more);
    sparse z = new_sparse(rows, width, 0, density);
    matrix delta = new_matrix("delta", rows, narrow ? narrow : PANEL, 0, 0);
    ptrdiff_t height = narrow ? narrow : width;
    matrix g = new_matrix("g", height, PANEL, 0, 0), same = new_matrix("same", height, PANEL, 0, 0);
    randomize_matrix(&delta, ZERO);
    put_minus_zeros(delta.at, narrow ? 0 : rows * PANEL);
    randomize_matrix(&g, ZERO);
    put_minus_zeros(g.at, height * PANEL);
    for (ptrdiff_t i = 0; i < height * PANEL; i++) {
        if (narrow && i % PANEL >= width) g.at[i] = 0; /* padding */
        same.at[i] = g.at[i];
    }
    if (narrow) {
        CALL(ops->outer(rows, narrow, delta.at, z.dense.at, more, same.at));
        accept_matrix(&same);
        CALL(ops->sparse_outer_narrow(rows, width, narrow, z.entries, z.first, z.count, delta.at,
                                      whole, more, g.at));
    } else {
        CALL(ops->outer(rows, width, z.dense.at, delta.at, more, same.at));
        accept_matrix(&same);
        matrix one = new_matrix("g from one list", height, PANEL, 0, 0);
        for (ptrdiff_t i = 0; i < height * PANEL; i++) one.at[i] = g.at[i];
        CALL(ops->sparse_outer(rows, width, z.entries, z.first, z.count, 1, delta.at, whole, more,
                               one.at));
        expect_same_matrix(&one, &same);
        CALL(ops->sparse_outer(rows, width, z.entries, z.first, z.count, 0, delta.at, whole, more,
                               g.at));
    }
    expect_same_matrix(&g, &same);
    end_case();
    free_sparse(&z);
}

static void check_outers(ptrdiff_t narrow) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t width = 1; width <= PANEL; width++)
            for (int density = 0; density < 100; density += 30)
                for (int more = 0; more < 2; more++)
                    check_one_outer(*rows, width, narrow, density, density == 60, more);
}

void check_sparse_outer(void) { check_outers(0); }

void check_sparse_outer_narrow(void) {
    for (ptrdiff_t narrow = 1; narrow <= NARROW; narrow++) check_outers(narrow);
}

void check_sparse_column(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t panels = 1; panels <= 17; panels += panels < 9 ? 1 : 8)
            for (int density = 0; density < 100; density += 30) {
                begin_case("rows=%td panels=%td density=%d", *rows, panels, density);
                sparse z = new_sparse(*rows, 1, 0, density);
                matrix delta = new_matrix("delta", *rows, panels * PANEL, random_below(3), 0);
                matrix g = new_matrix("g", 1, panels * PANEL, 0, 0);
                matrix same = new_matrix("same", 1, panels * PANEL, 0, 0);
                randomize_matrix(&delta, ZERO);
                for (ptrdiff_t q = 0; q < panels; q++)
                    put_minus_zeros(delta.at + q * delta.jump, *rows * PANEL);
                for (ptrdiff_t q = 0; q < panels; q++) {
                    CALL(ops->outer(*rows, 1, z.dense.at, delta.at + q * delta.jump, 0,
                                    same.at + q * same.jump));
                    expect_anything(same.at + q * same.jump, PANEL);
                }
                CALL(ops->sparse_column(*rows, panels, z.entries, z.count[0], delta.at, delta.jump,
                                        g.at));
                expect_same_matrix(&g, &same);
                end_case();
                free_sparse(&z);
            }
}
