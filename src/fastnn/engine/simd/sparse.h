/* sparse.h - the products of tile.h for rows that are given as their nonzeros. Shapes: ops.h.
 *
 * A result is one chain of fused multiply-adds in the order of the depth. A product with zero adds
 * 0 to it, so the chain over the nonzeros has the bits of the whole chain, with two exceptions, for
 * which the whole chain is computed:
 *
 *   - The other factor is not finite: 0 * infinity is NaN. The caller then passes `whole`.
 *   - A sum is -0, and a product of +0 in the whole chain would make it +0. Any further term but -0
 *     makes the two sums equal again. So the results are equal unless the chain over the nonzeros
 *     ends with -0: then the whole chain is computed.
 */
#ifndef FASTNN_SPARSE_H
#define FASTNN_SPARSE_H

#include <string.h>

#include "../prefetch.h"
#include "ops.h"

/* Panels that are summed side by side, with eight vectors of accumulators. */
enum { SPARSE_PANELS = 8 / PANEL_VECTORS };

/* Calls TILE(n, ...) with n as a constant, for n in 1 ... SPARSE_PANELS. */
/* clang-format off */
#define PANELS_CASE(n, TILE, ...) case n: TILE(n, __VA_ARGS__); break;
#define TO_2_PANELS(...) PANELS_CASE(1, __VA_ARGS__) PANELS_CASE(2, __VA_ARGS__)
#define TO_4_PANELS(...)                                                                           \
    TO_2_PANELS(__VA_ARGS__) PANELS_CASE(3, __VA_ARGS__) PANELS_CASE(4, __VA_ARGS__)
#define TO_8_PANELS(...)                                                                           \
    TO_4_PANELS(__VA_ARGS__) PANELS_CASE(5, __VA_ARGS__) PANELS_CASE(6, __VA_ARGS__)               \
    PANELS_CASE(7, __VA_ARGS__) PANELS_CASE(8, __VA_ARGS__)
#if LANE_COUNT * FASTNN_BITS == 512
#define WITH_PANELS(n, ...) switch (n) { TO_8_PANELS(__VA_ARGS__) }
#elif LANE_COUNT * FASTNN_BITS == 256
#define WITH_PANELS(n, ...) switch (n) { TO_4_PANELS(__VA_ARGS__) }
#else
#define WITH_PANELS(n, ...) switch (n) { TO_2_PANELS(__VA_ARGS__) }
#endif
/* clang-format on */

/* ---- z_prev @ W ---- */

/* The nonzeros of a row are read from the caller's memory. A column out of range, which another
 * thread may have written there, is read as the last column; a stored -0 is read as +0. */
INLINE ptrdiff_t column_of(const fastnn_sparse_row *row, ptrdiff_t k, ptrdiff_t depth) {
    ptrdiff_t column = row->columns[k];
    return (size_t)column < (size_t)depth ? column : depth - 1;
}

INLINE void add_products(int n, real x, const real *b, ptrdiff_t b_jump, vec acc[][PANEL_VECTORS]) {
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[q][v] = multiply_add(splat(x), load(b + q * b_jump + v * LANES), acc[q][v]);
}

/* If the caches near a core cannot hold the panels of b, rows of b are prefetched twice: to L2 many
 * nonzeros before they are multiplied, and to L1 few before. */
enum { TO_L2_AHEAD = 32, TO_L1_AHEAD = 2 };

/* Prefetches n panels of the row of b for nonzero k of a row, if the row has so many. */
INLINE void fetch_row(int n, int to_l1, const fastnn_sparse_row *row, ptrdiff_t k, ptrdiff_t depth,
                      const real *b, ptrdiff_t b_jump) {
    if (k >= row->n) return;
    b += column_of(row, k, depth) * PANEL;
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
        to_l1 ? __builtin_prefetch(b + q * b_jump, 0, 3) : __builtin_prefetch(b + q * b_jump, 0, 2);
}

/* Adds the products with nonzeros first ... stop of a row. While nonzero k is multiplied, the row
 * of b for nonzero k + ahead of `fetched` is prefetched to L2, unless `fetched` is NULL. */
INLINE void add_nonzeros(int n, ptrdiff_t first, ptrdiff_t stop, const fastnn_sparse_row *row,
                         const fastnn_sparse_row *fetched, ptrdiff_t ahead, ptrdiff_t depth,
                         const real *b, ptrdiff_t b_jump, vec acc[][PANEL_VECTORS]) {
    for (ptrdiff_t k = first; k < stop; k++) {
        if (fetched) {
            fetch_row(n, 0, fetched, k + ahead, depth, b, b_jump);
            fetch_row(n, 1, row, k + TO_L1_AHEAD, depth, b, b_jump);
        }
        add_products(n, row->values[k] + 0, b + column_of(row, k, depth) * PANEL, b_jump, acc);
    }
}

/* Starts the sums of a row at the bias, or at 0; with `more` at the sums in c. */
INLINE void start_row(int n, const real *bias, int more, const real *c, ptrdiff_t c_jump,
                      vec acc[][PANEL_VECTORS]) {
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vec start = bias ? load(bias + q * PANEL + v * LANES) : (vec){0};
            acc[q][v] = more ? load(c + q * c_jump + v * LANES) : start;
        }
}

/* Stores the sums of a row. Returns whether one is -0. */
INLINE int store_row(int n, vec acc[][PANEL_VECTORS], real *c, ptrdiff_t c_jump) {
    ivec found = {0};
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) {
            found |= minus_zeros(acc[q][v]);
            store(c + q * c_jump + v * LANES, acc[q][v]);
        }
    return any_lane(found);
}

/* The products of one row, which `next` follows or NULL, with n panels of b. Returns whether a
 * result is -0. */
INLINE int sparse_row_tile(int n, int whole, ptrdiff_t depth, const fastnn_sparse_row *row,
                           const fastnn_sparse_row *next, const real *b, ptrdiff_t b_jump,
                           const real *bias, real *c, ptrdiff_t c_jump) {
    vec acc[SPARSE_PANELS][PANEL_VECTORS];
    start_row(n, bias, 0, c, c_jump, acc);
    if (whole) {
        for (ptrdiff_t d = 0, k = 0; d < depth; d++) {
            real x = k < row->n && row->columns[k] == d ? row->values[k++] + 0 : 0;
            add_products(n, x, b + d * PANEL, b_jump, acc);
        }
    } else {
        int is_far = n * depth * (ptrdiff_t)(PANEL * sizeof(real)) > FASTNN_NEAR_BYTES;
        ptrdiff_t most = row->n > TO_L2_AHEAD ? row->n - TO_L2_AHEAD : 0;
        add_nonzeros(n, 0, most, row, is_far ? row : NULL, TO_L2_AHEAD, depth, b, b_jump, acc);
        add_nonzeros(n, most, row->n, row, is_far ? next : NULL, -most, depth, b, b_jump, acc);
    }
    return store_row(n, acc, c, c_jump);
}

/* How far the products of a row have been added. */
typedef struct {
    int32_t next;          /* the first nonzero whose product is not */
    int32_t is_minus_zero; /* whether a sum is -0 */
} row_progress;

/* Adds the products of a row with rows of b before row `stop`. */
INLINE void sparse_row_part(int n, ptrdiff_t stop, ptrdiff_t depth, const fastnn_sparse_row *row,
                            const real *b, ptrdiff_t b_jump, const real *bias, int more, real *c,
                            ptrdiff_t c_jump, row_progress *done) {
    ptrdiff_t k = done->next, column;
    vec acc[SPARSE_PANELS][PANEL_VECTORS];
    if (more && (k == row->n || column_of(row, k, depth) >= stop)) return;
    start_row(n, bias, more, c, c_jump, acc);
    for (; k < row->n && (column = column_of(row, k, depth)) < stop; k++)
        add_products(n, row->values[k] + 0, b + column * PANEL, b_jump, acc);
    done->is_minus_zero = store_row(n, acc, c, c_jump);
    done->next = (int32_t)k;
}

/* From MANY_ROWS on, all rows are multiplied by a part of the depth that the caches near a core
 * hold, then by the next part: rows have nonzeros in the same and in neighbouring columns. Measured
 * on a Xeon (model 167) with 7 panels of float32 and 100 nonzeros a row: 0.6 times the time with
 * depths of 20,000 and 100,000. Fewer rows share too little of a part. */
enum { MANY_ROWS = 256, MOST_ROWS = 768, PART_OF_DEPTH = 2 * FASTNN_NEAR_BYTES };

INLINE void sparse_many_rows_tile(int n, ptrdiff_t rows, ptrdiff_t depth,
                                  const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                                  const real *bias, real *c, ptrdiff_t c_jump) {
    row_progress done[MOST_ROWS];
    ptrdiff_t part = PART_OF_DEPTH / (n * (ptrdiff_t)(PANEL * sizeof(real)));
    memset(done, 0, (size_t)rows * sizeof *done);
    for (ptrdiff_t d = 0; d < depth; d += part)
        for (ptrdiff_t r = 0; r < rows; r++)
            sparse_row_part(n, depth - d < part ? depth : d + part, depth, a + r, b, b_jump, bias,
                            d > 0, c + r * PANEL, c_jump, done + r);
    for (ptrdiff_t r = 0; r < rows; r++)
        if (done[r].is_minus_zero)
            sparse_row_tile(n, 1, depth, a + r, NULL, b, b_jump, bias, c + r * PANEL, c_jump);
}

INLINE void sparse_rows_tile(int n, ptrdiff_t rows, int whole, ptrdiff_t depth,
                             const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                             const real *bias, real *c, ptrdiff_t c_jump) {
    if (rows >= MANY_ROWS && !whole) {
        sparse_many_rows_tile(n, rows, depth, a, b, b_jump, bias, c, c_jump);
        return;
    }
    for (; rows > 0; rows--, a++, c += PANEL) {
        const fastnn_sparse_row *next = rows > 1 ? a + 1 : NULL;
        if (whole || sparse_row_tile(n, 0, depth, a, next, b, b_jump, bias, c, c_jump))
            sparse_row_tile(n, 1, depth, a, NULL, b, b_jump, bias, c, c_jump);
    }
}

static void sparse_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels,
                           const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                           const real *bias, int whole, real *c, ptrdiff_t c_jump) {
    for (; rows > 0; rows -= MOST_ROWS, a += MOST_ROWS, c += MOST_ROWS * PANEL)
        for (ptrdiff_t q = 0, n; q < panels; q += n) {
            ptrdiff_t some = rows < MOST_ROWS ? rows : MOST_ROWS;
            n = panels - q < SPARSE_PANELS ? panels - q : SPARSE_PANELS;
            WITH_PANELS(n, sparse_rows_tile, some, whole, depth, a, b + q * b_jump, b_jump,
                        bias ? bias + q * PANEL : NULL, c + q * c_jump, c_jump)
        }
}

/* The products of one row with a transposed b: whole panels of the row, except panels of zeros.
 * Returns whether a result is -0. */
INLINE int sparse_narrow_row(int whole, ptrdiff_t depth, ptrdiff_t width,
                             const fastnn_sparse_row *row, const real *b, ptrdiff_t b_jump,
                             const real *bias, real *c) {
    panel_sums sums[NARROW] = {{{{0}}}};
    ptrdiff_t k = 0;
    int is_minus_zero = 0;
    for (ptrdiff_t p = 0; p * PANEL < depth; p++) {
        real z[PANEL] __attribute__((aligned(64))) = {0};
        if (!whole) {
            if (k == row->n) break;
            p = column_of(row, k, depth) / PANEL;
        }
        for (; k < row->n && column_of(row, k, depth) / PANEL == p; k++)
            z[column_of(row, k, depth) % PANEL] = row->values[k] + 0;
        for (ptrdiff_t j = 0; j < width; j++)
            for (int v = 0; v < PANEL_VECTORS; v++)
                sums[j].lanes[v] =
                    multiply_add(load(z + v * LANES), load(b + p * b_jump + j * PANEL + v * LANES),
                                 sums[j].lanes[v]);
    }
    for (ptrdiff_t j = 0; j < width; j++) {
        c[j] = (bias ? bias[j] : 0) + sum_panel(&sums[j]);
        is_minus_zero |= c[j] == 0 && signbit(c[j]);
    }
    return is_minus_zero;
}

static void sparse_narrow(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width,
                          const fastnn_sparse_row *a, const real *b, ptrdiff_t b_jump,
                          const real *bias, int whole, real *c) {
    memset(c, 0, (size_t)(rows * PANEL) * sizeof(real));
    for (; rows > 0; rows--, a++, c += PANEL)
        if (whole || sparse_narrow_row(0, depth, width, a, b, b_jump, bias, c))
            sparse_narrow_row(1, depth, width, a, b, b_jump, bias, c);
}

/* ---- z_prev.T @ delta ---- */

/* acc += the products of one column of z_prev with a panel of delta. */
INLINE void add_column(int whole, ptrdiff_t rows, const fastnn_entry *column, ptrdiff_t n,
                       const real *delta, vec acc[PANEL_VECTORS]) {
    for (ptrdiff_t k = 0, r = 0; whole ? r < rows : k < n; r++) {
        real x = 0;
        if (!whole) r = column[k].row;
        if (!whole || (k < n && column[k].row == r)) x = column[k++].value;
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[v] = multiply_add(splat(x), load(delta + r * PANEL + v * LANES), acc[v]);
    }
}

/* The products of all columns of a tile. Returns whether a result is -0. */
INLINE int sparse_outer_tile(int whole, ptrdiff_t rows, ptrdiff_t width, const fastnn_entry *z,
                             const ptrdiff_t *first, const int32_t *count, const real *delta,
                             int more, real *g) {
    ivec found = {0};
    for (ptrdiff_t i = 0; i < width; i++, g += PANEL) {
        vec acc[PANEL_VECTORS];
        for (int v = 0; v < PANEL_VECTORS; v++) acc[v] = more ? load(g + v * LANES) : (vec){0};
        if (whole || count[i] > 0) add_column(whole, rows, z + first[i], count[i], delta, acc);
        for (int v = 0; v < PANEL_VECTORS; v++) {
            found |= minus_zeros(acc[v]);
            store(g + v * LANES, acc[v]);
        }
    }
    return any_lane(found);
}

/* The same from one list of n nonzeros of all columns. If most columns have none, one or two, a
 * loop over the nonzeros of each column would end in a way that the CPU cannot predict. If they
 * have more, such a loop is faster, since its sums stay in registers. */
enum { MOST_LISTED = 2 };
INLINE int sparse_outer_list(ptrdiff_t width, const fastnn_entry *z, ptrdiff_t n, const real *delta,
                             int more, real *g) {
    ivec found = {0};
    if (!more) memset(g, 0, (size_t)(width * PANEL) * sizeof(real));
    for (ptrdiff_t k = 0; k < n; k++) {
        ptrdiff_t lane = z[k].lane < width ? z[k].lane : 0; /* another program may change a file */
        real *row = g + lane * PANEL;
#pragma GCC unroll 4
        for (int v = 0; v < PANEL; v += LANES)
            store(row + v, multiply_add(splat(z[k].value), load(delta + z[k].row * PANEL + v),
                                        load(row + v)));
    }
    for (ptrdiff_t i = 0; i < width * PANEL; i += LANES) found |= minus_zeros(load(g + i));
    return any_lane(found);
}

static void sparse_outer(ptrdiff_t rows, ptrdiff_t width, const fastnn_entry *z,
                         const ptrdiff_t *first, const int32_t *count, int ordered,
                         const real *delta, int whole, int more, real *g) {
    real before[PANEL * PANEL] __attribute__((aligned(64)));
    size_t size = (size_t)(width * PANEL) * sizeof(real);
    if (!whole) {
        ptrdiff_t n = first[width - 1] + count[width - 1] - first[0];
        if (more) memcpy(before, g, size);
        if (!(ordered && n <= MOST_LISTED * width
                  ? sparse_outer_list(width, z + first[0], n, delta, more, g)
                  : sparse_outer_tile(0, rows, width, z, first, count, delta, more, g)))
            return;
        if (more) memcpy(g, before, size);
    }
    sparse_outer_tile(1, rows, width, z, first, count, delta, more, g);
}

/* The same for transposed weights: g is (n_out <= NARROW, PANEL). */
static void sparse_outer_narrow(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t n_out,
                                const fastnn_entry *z, const ptrdiff_t *first, const int32_t *count,
                                const real *delta, int whole, int more, real *g) {
    real transposed[PANEL * PANEL] __attribute__((aligned(64))) = {0};
    for (ptrdiff_t i = 0; more && i < width; i++)
        for (ptrdiff_t j = 0; j < n_out; j++) transposed[i * PANEL + j] = g[j * PANEL + i];
    sparse_outer(rows, width, z, first, count, 0, delta, whole, more, transposed);
    memset(g, 0, (size_t)(n_out * PANEL) * sizeof(real));
    for (ptrdiff_t i = 0; i < width; i++)
        for (ptrdiff_t j = 0; j < n_out; j++) g[j * PANEL + i] = transposed[i * PANEL + j];
}

/* The products of one column with n panels of delta. Returns whether a result is -0. */
INLINE int sparse_column_tile(int n, int whole, ptrdiff_t rows, const fastnn_entry *z,
                              ptrdiff_t count, const real *delta, ptrdiff_t jump, real *g) {
    vec acc[SPARSE_PANELS][PANEL_VECTORS];
    start_row(n, NULL, 0, g, PANEL, acc);
    if (whole) {
        for (ptrdiff_t r = 0, k = 0; r < rows; r++)
            add_products(n, k < count && z[k].row == r ? z[k++].value : 0, delta + r * PANEL, jump,
                         acc);
    } else {
        for (ptrdiff_t k = 0; k < count; k++)
            add_products(n, z[k].value, delta + z[k].row * PANEL, jump, acc);
    }
    return store_row(n, acc, g, PANEL);
}

INLINE void sparse_column_panels(int n, ptrdiff_t rows, const fastnn_entry *z, ptrdiff_t count,
                                 const real *delta, ptrdiff_t jump, real *g) {
    if (sparse_column_tile(n, 0, rows, z, count, delta, jump, g))
        sparse_column_tile(n, 1, rows, z, count, delta, jump, g);
}

static void sparse_column(ptrdiff_t rows, ptrdiff_t panels, const fastnn_entry *z, ptrdiff_t n,
                          const real *delta, ptrdiff_t jump, real *g) {
    while (panels > 0) {
        ptrdiff_t some = panels < SPARSE_PANELS ? panels : SPARSE_PANELS;
        WITH_PANELS(some, sparse_column_panels, rows, z, n, delta, jump, g)
        panels -= some, delta += some * jump, g += some * PANEL;
    }
}

#endif
