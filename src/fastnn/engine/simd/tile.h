/* tile.h - matrix products over panels: a register tile and the loops around it; sums of columns.
 * Shapes and layout: ops.h. Not here: the loops over layers, batches and threads (engine/).
 *
 * One tile serves all three products of back-propagation. It holds TILE_ROWS x PANEL results in
 * registers and adds one outer product for each step of the depth:
 *
 *     forward   a = z_prev @ W         depth: inputs    A: z_prev's rows       B: a panel of W
 *     delta     delta @ W.T            depth: outputs   A: delta's rows        B: a panel of W.T
 *     gradient  z_prev.T @ delta       depth: rows      A: z_prev's columns    B: a panel of delta
 *
 * Each of its results is one chain of additions in the order of the depth, whatever the number of
 * rows. Sums across lanes (narrow, dots) have a fixed order, too. So the result of a row depends
 * neither on the rows around it nor on the thread that computes it.
 */
#ifndef FASTNN_TILE_H
#define FASTNN_TILE_H

#include <string.h>

#include "../prefetch.h"
#include "ops.h"

/* Register budget, accumulators + B + A:
 *   AVX-512   12 x 2 + 2 + 1 of 32 for two panels at a time, 16 x 1 + 1 + 0 for one (A is broadcast
 *             from memory)
 *   AVX2       6 x 2 + 2 + 1 of 16
 *   NEON       6 x 4 + 4 + 1 of 32
 *   SSE2       3 x 4 + 0 (B stays in memory) + 1 of 16
 *
 * With AVX-512 a panel is one vector, so each number of A would be loaded for a single
 * multiply-add, and loads would limit the speed. Two panels share each load. Measured on a Xeon
 * (model 167), one thread: forward 5 to 12 % faster, 23 % at 1024 x 784 x 256. */
#if FASTNN_VECTOR_BYTES == 64
#define TILE_ROWS 16
#define TILE_PANELS 2
#define ROWS_OF_TWO_PANELS 12
#elif FASTNN_VECTOR_BYTES == 32 || defined(__ARM_NEON)
#define TILE_ROWS 6
#define TILE_PANELS 1
#else
#define TILE_ROWS 3
#define TILE_PANELS 1
#endif

enum { TILE_VECTORS = TILE_PANELS * PANEL_VECTORS };

/* Panels that are multiplied side by side for a single row: 4 x 1, 4 x 2 or 2 x 4 accumulators. */
#define ROW_PANELS (FASTNN_VECTOR_BYTES == 16 ? 2 : 4)

/* acc (n, PANEL) += A (n, depth) @ b (depth, PANEL) for each of `panels` panels of b, b_jump apart,
 * where A's element (i, k) is a[i * a_row + k * a_step]; n and `panels` are constants wherever this
 * is inlined. */
INLINE void add_outer_products(int n, int panels, ptrdiff_t depth, const real *a, ptrdiff_t a_row,
                               ptrdiff_t a_step, const real *b, ptrdiff_t b_jump,
                               vec acc[][TILE_VECTORS]) {
#pragma GCC unroll 4
    for (ptrdiff_t k = 0; k < depth; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < n; i++) {
            vec x = splat(a[i * a_row + k * a_step]);
#pragma GCC unroll 2
            for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vec *sum = &acc[i][q * PANEL_VECTORS + v];
                    *sum = multiply_add(x, load(b + q * b_jump + k * PANEL + v * LANES), *sum);
                }
        }
    }
}

/* acc (n, panels) starts at the bias of its columns, or at 0; with `more` at the sums in c. */
INLINE void start_product(int n, int panels, const real *bias, int more, const real *c,
                          ptrdiff_t c_jump, vec acc[][TILE_VECTORS]) {
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
            for (int v = 0; v < PANEL_VECTORS; v++) {
                vec start = bias ? load(bias + q * PANEL + v * LANES) : (vec){0};
                if (more) start = load(c + q * c_jump + i * PANEL + v * LANES);
                acc[i][q * PANEL_VECTORS + v] = start;
            }
}

/* acc (n, PANEL) starts at 0; with `more` at the sums in g. */
INLINE void start_outer(int n, int more, const real *g, vec acc[][TILE_VECTORS]) {
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[i][v] = more ? load(g + i * PANEL + v * LANES) : (vec){0};
}

INLINE void clear_tile(int n, int panels, vec acc[][TILE_VECTORS]) {
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int v = 0; v < panels * PANEL_VECTORS; v++) acc[i][v] = (vec){0};
}

INLINE void store_tile(int n, int panels, vec acc[][TILE_VECTORS], real *c, ptrdiff_t c_jump) {
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
            for (int v = 0; v < PANEL_VECTORS; v++)
                store(c + q * c_jump + i * PANEL + v * LANES, acc[i][q * PANEL_VECTORS + v]);
}

/* Whether the caches near a core cannot hold `panels` panels of b. */
INLINE int are_far(ptrdiff_t panels, ptrdiff_t b_jump) {
    return panels * b_jump * (ptrdiff_t)sizeof(real) > FASTNN_NEAR_BYTES;
}

/* Prefetches n rows of each of `panels` panels of b to L2. b_jump is in bytes, since operands may
 * be numbers or pairs of them. */
INLINE void fetch_rows(int panels, ptrdiff_t n, const void *b, ptrdiff_t b_jump) {
    const char *line = b;
    for (; n > 0; n--, line += FASTNN_CACHE_LINE)
#pragma GCC unroll 4
        for (int q = 0; q < panels; q++) __builtin_prefetch(line + q * b_jump, 0, 2);
}

/* c = or += A @ b. In each PANEL of the depth, n_later rows of b at `later` are prefetched. */
INLINE void product_tile(int n, int panels, ptrdiff_t depth, const real *a, ptrdiff_t a_jump,
                         const real *b, ptrdiff_t b_jump, const real *bias, int more, real *c,
                         ptrdiff_t c_jump, const real *later, ptrdiff_t n_later) {
    vec acc[TILE_ROWS][TILE_VECTORS];
    start_product(n, panels, bias, more, c, c_jump, acc);
    for (; depth >= PANEL; depth -= PANEL, a += a_jump, b += PANEL * PANEL) {
        fetch_rows(panels, n_later, later, b_jump * (ptrdiff_t)sizeof *b);
        later += n_later * PANEL;
        add_outer_products(n, panels, PANEL, a, PANEL, 1, b, b_jump, acc);
    }
    add_outer_products(n, panels, depth, a, PANEL, 1, b, b_jump, acc);
    store_tile(n, panels, acc, c, c_jump);
}

/* One row of a with `n` panels of b side by side: a single panel's chains of additions are too few
 * to keep the multipliers busy. */
INLINE void row_tile(int n, ptrdiff_t depth, const real *a, ptrdiff_t a_jump, const real *b,
                     ptrdiff_t b_jump, const real *bias, real *c, ptrdiff_t c_jump) {
    vec acc[ROW_PANELS][PANEL_VECTORS];
#pragma GCC unroll 4
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[q][v] = bias ? load(bias + q * PANEL + v * LANES) : (vec){0};
    for (; depth > 0; depth -= PANEL, a += a_jump, b += PANEL * PANEL) {
        ptrdiff_t steps = depth < PANEL ? depth : PANEL;
#pragma GCC unroll 4
        for (ptrdiff_t k = 0; k < steps; k++)
#pragma GCC unroll 4
            for (int q = 0; q < n; q++)
#pragma GCC unroll 4
                for (int v = 0; v < PANEL_VECTORS; v++)
                    acc[q][v] = multiply_add(
                        splat(a[k]), load(b + q * b_jump + k * PANEL + v * LANES), acc[q][v]);
    }
#pragma GCC unroll 4
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) store(c + q * c_jump + v * LANES, acc[q][v]);
}

INLINE void outer_tile(int n, ptrdiff_t rows, const real *z, const real *delta, int more, real *g) {
    vec acc[TILE_ROWS][TILE_VECTORS];
    start_outer(n, more, g, acc);
    add_outer_products(n, 1, rows, z, 1, PANEL, delta, 0, acc);
    store_tile(n, 1, acc, g, 0);
}

/* Calls TILE(n, ...) with n as a constant, for n in 1 ... TILE_ROWS. */
/* clang-format off */
#define CASE(n, TILE, ...) case n: TILE(n, __VA_ARGS__); break;
#define TO_1(...) CASE(1, __VA_ARGS__)
#define TO_3(...) TO_1(__VA_ARGS__) CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__)
#define TO_6(...) TO_3(__VA_ARGS__) CASE(4, __VA_ARGS__) CASE(5, __VA_ARGS__) CASE(6, __VA_ARGS__)
#define TO_8(...) TO_6(__VA_ARGS__) CASE(7, __VA_ARGS__) CASE(8, __VA_ARGS__)
#define TO_12(...)                                                                                 \
    TO_8(__VA_ARGS__) CASE(9, __VA_ARGS__) CASE(10, __VA_ARGS__)                                   \
    CASE(11, __VA_ARGS__) CASE(12, __VA_ARGS__)
#define TO_16(...)                                                                                 \
    TO_12(__VA_ARGS__) CASE(13, __VA_ARGS__) CASE(14, __VA_ARGS__) CASE(15, __VA_ARGS__)           \
    CASE(16, __VA_ARGS__)
#define TO_(rows, ...) TO_##rows(__VA_ARGS__)
#define TO(rows, ...) TO_(rows, __VA_ARGS__)
#define WITH_CONSTANT(n, ...) switch (n) { TO(TILE_ROWS, __VA_ARGS__) }
/* clang-format on */

static void row_product(ptrdiff_t depth, ptrdiff_t panels, const real *a, ptrdiff_t a_jump,
                        const real *b, ptrdiff_t b_jump, const real *bias, real *c,
                        ptrdiff_t c_jump) {
    for (; panels > 0; panels -= ROW_PANELS) {
        if (panels >= ROW_PANELS)
            row_tile(ROW_PANELS, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        else if (panels == 3)
            row_tile(3, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        else if (panels == 2)
            row_tile(2, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        else
            row_tile(1, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        b += ROW_PANELS * b_jump, c += ROW_PANELS * c_jump;
        bias = bias ? bias + ROW_PANELS * PANEL : NULL;
    }
}

/* The depth is divided into parts of this many rows of b or more, which stay in L1 while all rows
 * of a are multiplied by them. Measured on Zen 3 with 96 rows: depth 1024 is 1 to 4 % faster,
 * 2048 6 %, 4096 15 %. */
enum { DEPTH = 256 };

INLINE ptrdiff_t depth_of_parts(ptrdiff_t depth, ptrdiff_t width) {
    ptrdiff_t parts = depth / DEPTH;
    return parts < 2 ? depth : (depth / parts + width - 1) / width * width;
}

/* Defines NAME, which computes c for PANELS panels of b, by parts of the depth and tiles of ROWS
 * rows. The last two tiles are made as equal as possible: 32 rows are 4 tiles of 6 and 2 of 4,
 * since a tile of 2 has too few chains of additions. Measured on Zen 3 with AVX2: 32 rows are
 * 4 to 5 % faster. Operands are of type OPERAND, WIDTH of them in a row of a panel of a.
 *
 * While a part is multiplied, the next one is prefetched, unless `after`, the panels after these,
 * is NULL: the first tile of a part would wait for memory, the others find it in L1. Measured on a
 * Xeon (model 167): 96 rows of depth 1024 with 256 panels 12 % faster. */
#define PRODUCT_OF_PANELS(NAME, TILE, OPERAND, WIDTH, PANELS, ROWS)                                \
    SINGLE void NAME##_part(ptrdiff_t rows, ptrdiff_t depth, const OPERAND *a, ptrdiff_t a_jump,   \
                            const OPERAND *b, ptrdiff_t b_jump, const real *bias, int more,        \
                            real *c, ptrdiff_t c_jump, const OPERAND *later) {                     \
        ptrdiff_t tiles = (rows + ROWS - 1) / ROWS;                                                \
        ptrdiff_t n_later = later ? (PANEL + tiles - 1) / tiles : 0;                               \
        while (rows > 0) {                                                                         \
            ptrdiff_t n = rows >= 2 * ROWS ? ROWS : rows > ROWS ? (rows + 1) / 2 : rows;           \
            switch (n) {                                                                           \
                TO(ROWS, TILE, PANELS, depth, a, a_jump, b, b_jump, bias, more, c, c_jump, later,  \
                   n_later)                                                                        \
            }                                                                                      \
            rows -= n, a += n * WIDTH, c += n * PANEL, later += depth * n_later;                   \
        }                                                                                          \
    }                                                                                              \
    static void NAME(ptrdiff_t rows, ptrdiff_t depth, const OPERAND *a, ptrdiff_t a_jump,          \
                     const OPERAND *b, ptrdiff_t b_jump, const OPERAND *after, const real *bias,   \
                     int more, real *c, ptrdiff_t c_jump) {                                        \
        ptrdiff_t part = depth_of_parts(depth, WIDTH);                                             \
        for (ptrdiff_t k = 0; k < depth; k += part)                                                \
            NAME##_part(rows, depth - k < part ? depth - k : part, a + k / WIDTH * a_jump, a_jump, \
                        b + k * PANEL, b_jump, bias, more || k > 0, c, c_jump,                     \
                        after && k + part < depth ? b + (k + part) * PANEL : after);               \
    }

PRODUCT_OF_PANELS(product_of_one, product_tile, real, PANEL, 1, TILE_ROWS)
#if TILE_PANELS == 2
PRODUCT_OF_PANELS(product_of_two, product_tile, real, PANEL, 2, ROWS_OF_TWO_PANELS)
#endif

/* c = or += A @ b, a few panels after the other. */
static void product_of_panels(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const real *a,
                              ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias,
                              int more, real *c, ptrdiff_t c_jump) {
    int is_far = are_far(panels, b_jump);
#if TILE_PANELS == 2
    for (; panels >= 2; panels -= 2, b += 2 * b_jump, c += 2 * c_jump) {
        const real *after = is_far ? b + 2 * b_jump : NULL;
        product_of_two(rows, depth, a, a_jump, b, b_jump, after, bias, more, c, c_jump);
        bias = bias ? bias + 2 * PANEL : NULL;
    }
#endif
    for (; panels > 0; panels--, b += b_jump, c += c_jump) {
        const real *after = is_far ? b + b_jump : NULL;
        product_of_one(rows, depth, a, a_jump, b, b_jump, after, bias, more, c, c_jump);
        bias = bias ? bias + PANEL : NULL;
    }
}

/* How much of the depth is multiplied by all panels of b before the rest: usually the whole. If the
 * caches near a core cannot hold a, they hold a part of it, so a is read from memory once, and c
 * several times instead. Measured on a Xeon (model 167): 96 rows of depth 4096 are 1.15 times as
 * fast in float32 and 1.5 times in float64, 256 rows of depth 1024 in float64 1.2 times. */
INLINE ptrdiff_t depth_at_a_time(ptrdiff_t rows, ptrdiff_t depth) {
    int is_far = rows * depth * (ptrdiff_t)sizeof(real) > FASTNN_NEAR_BYTES;
    return is_far ? depth_of_parts(depth, PANEL) : depth;
}

static void product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const real *a,
                    ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias, real *c,
                    ptrdiff_t c_jump) {
    if (rows == 1) {
        row_product(depth, panels, a, a_jump, b, b_jump, bias, c, c_jump);
        return;
    }
    ptrdiff_t step = depth_at_a_time(rows, depth);
    for (ptrdiff_t k = 0; k < depth; k += step)
        product_of_panels(rows, depth - k < step ? depth - k : step, panels, a + k / PANEL * a_jump,
                          a_jump, b + k * PANEL, b_jump, bias, k > 0, c, c_jump);
}

/* One panel of w.T: w is (width <= PANEL, columns) in panels `w_jump` reals apart, out (columns,
 * PANEL); lanes past the width are zero. w is read in whole panels, and out has room for them. */
static void transpose(ptrdiff_t width, ptrdiff_t columns, const real *w, ptrdiff_t w_jump,
                      real *out) {
    for (ptrdiff_t c = 0; c < columns; c += PANEL, w += w_jump, out += PANEL * PANEL)
        for (ptrdiff_t j = 0; j < PANEL && c + j < columns; j += LANES)
            for (ptrdiff_t i = 0; i < PANEL; i += LANES) {
                vec block[LANES];
#pragma GCC unroll 16
                for (int n = 0; n < LANES; n++)
                    block[n] = i + n < width ? load(w + (i + n) * PANEL + j) : (vec){0};
                transpose_lanes(block);
#pragma GCC unroll 16
                for (int n = 0; n < LANES; n++) store(out + (j + n) * PANEL + i, block[n]);
            }
}

/* c = or += A @ w.T for one panel of c, or two if the tile has two; they have `columns` columns. */
INLINE void transposed_tiles(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a,
                             ptrdiff_t a_jump, const real *w, ptrdiff_t w_jump, int more,
                             real *scratch, real *c, ptrdiff_t c_jump) {
    ptrdiff_t jump = (depth + PANEL - 1) / PANEL * PANEL * PANEL;
    transpose(columns < PANEL ? columns : PANEL, depth, w, w_jump, scratch);
#if TILE_PANELS == 2
    if (columns > PANEL) {
        transpose(columns - PANEL, depth, w + PANEL * PANEL, w_jump, scratch + jump);
        product_of_two_part(rows, depth, a, a_jump, scratch, jump, NULL, more, c, c_jump, NULL);
        return;
    }
#endif
    product_of_one_part(rows, depth, a, a_jump, scratch, jump, NULL, more, c, c_jump, NULL);
}

/* A part of w.T is read by all rows of a right after it has been transposed, while it is in L1. */
static void product_transposed(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a,
                               ptrdiff_t a_jump, const real *w, ptrdiff_t w_jump, real *scratch,
                               real *c, ptrdiff_t c_jump) {
    enum { WIDTH = TILE_PANELS * PANEL };
    ptrdiff_t step = depth_at_a_time(rows, depth), part = depth_of_parts(depth, PANEL);
    for (ptrdiff_t from = 0; from < depth; from += step)
        for (ptrdiff_t j = 0; j < columns; j += WIDTH)
            for (ptrdiff_t k = from; k < from + step && k < depth; k += part)
                transposed_tiles(rows, depth - k < part ? depth - k : part,
                                 columns - j < WIDTH ? columns - j : WIDTH, a + k / PANEL * a_jump,
                                 a_jump, w + k / PANEL * w_jump + j * PANEL, w_jump, k > 0, scratch,
                                 c + j / PANEL * c_jump, c_jump);
}

/* Vectors of a panel that `add_dots` sums in one pass over the depth, for LANES rows: as many as
 * have accumulators in registers, 16 x 1 of 32, 8 x 1 of 16; NEON 4 x 4 of 32, SSE2 4 x 2 of 16. */
#if FASTNN_VECTOR_BYTES >= 32
#define DOT_VECTORS 1
#elif defined(__ARM_NEON)
#define DOT_VECTORS PANEL_VECTORS
#else
#define DOT_VECTORS 2
#endif

/* Products of n rows of x with the row y, both in panels, summed along the depth for each column of
 * DOT_VECTORS vectors of a panel, which begin with column `first`. */
INLINE void add_dots(int n, int first, ptrdiff_t depth, const real *x, ptrdiff_t x_jump,
                     const real *y, ptrdiff_t y_jump, vec acc[][DOT_VECTORS]) {
#pragma GCC unroll 16
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int v = 0; v < DOT_VECTORS; v++) acc[i][v] = (vec){0};
    x += first, y += first;
    for (; depth >= PANEL; depth -= PANEL, x += x_jump, y += y_jump) {
#pragma GCC unroll 4
        for (int v = 0; v < DOT_VECTORS; v++) {
            vec other = load(y + v * LANES);
#pragma GCC unroll 16
            for (int i = 0; i < n; i++)
                acc[i][v] = multiply_add(load(x + i * PANEL + v * LANES), other, acc[i][v]);
        }
    }
    if (depth == 0) return;
#pragma GCC unroll 4
    for (int v = 0; v < DOT_VECTORS; v++) {
        ivec inside = lanes_below(depth - first - v * LANES);
        vec other = keep(inside, load(y + v * LANES));
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
            acc[i][v] =
                multiply_add(keep(inside, load(x + i * PANEL + v * LANES)), other, acc[i][v]);
    }
}

/* The same for whole panels, with the sums of each row of x folded into one vector. */
INLINE void panel_dots(int n, ptrdiff_t depth, const real *x, ptrdiff_t x_jump, const real *y,
                       ptrdiff_t y_jump, vec *sums) {
    panel_sums whole[LANES];
#pragma GCC unroll 4
    for (int first = 0; first < PANEL_VECTORS; first += DOT_VECTORS) {
        vec acc[LANES][DOT_VECTORS];
        add_dots(n, first * LANES, depth, x, x_jump, y, y_jump, acc);
#pragma GCC unroll 16
        for (int i = 0; i < n; i++)
#pragma GCC unroll 4
            for (int v = 0; v < DOT_VECTORS; v++) whole[i].lanes[first + v] = acc[i][v];
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) sums[i] = fold_panel(whole + i);
}

INLINE real dot(ptrdiff_t depth, const real *x, ptrdiff_t x_jump, const real *y, ptrdiff_t y_jump) {
    vec sum;
    panel_dots(1, depth, x, x_jump, y, y_jump, &sum);
    return sum_lanes(sum);
}

/* The dot products of LANES rows of x with y, one in each lane. */
INLINE vec block_of_dots(ptrdiff_t depth, const real *x, ptrdiff_t x_jump, const real *y,
                         ptrdiff_t y_jump) {
    vec sums[LANES];
    panel_dots(LANES, depth, x, x_jump, y, y_jump, sums);
    return sums_of_lanes(sums);
}

/* Fewer than 4 rows are faster one by one; the sums have the same order either way. */
static void narrow(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width, const real *a,
                   ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias, real *c) {
    memset(c, 0, (size_t)(rows * PANEL) * sizeof(real));
    for (; rows > 0; rows -= LANES, a += LANES * PANEL, c += LANES * PANEL)
        for (ptrdiff_t j = 0; j < width; j++) {
            const real *y = b + j * PANEL;
            real start = bias ? bias[j] : 0;
            if (rows < 4) {
                for (ptrdiff_t i = 0; i < rows; i++)
                    c[i * PANEL + j] = start + dot(depth, a + i * PANEL, a_jump, y, b_jump);
            } else {
                vec sums = block_of_dots(depth, a, a_jump, y, b_jump);
                for (ptrdiff_t i = 0; i < LANES && i < rows; i++)
                    c[i * PANEL + j] = start + sums[i];
            }
        }
}

static void dots(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t columns, const real *a,
                 ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, real *c, ptrdiff_t c_jump) {
    for (ptrdiff_t k = 0; k < columns; k += PANEL, b += PANEL * PANEL, c += c_jump)
        for (int v = 0; v < PANEL; v += LANES) {
            ivec inside = lanes_below(columns - k - v);
            for (ptrdiff_t r = 0; r < rows; r++) {
                vec sums = block_of_dots(depth, b + v * PANEL, b_jump, a + r * PANEL, a_jump);
                store(c + r * PANEL + v, keep(inside, sums));
            }
        }
}

/* The width is divided into tiles that are as equal as possible: 16 = 6 + 5 + 5 keeps more chains
 * of additions in flight than 6 + 6 + 4. */
static void outer(ptrdiff_t rows, ptrdiff_t width, const real *z, const real *delta, int more,
                  real *g) {
    for (ptrdiff_t tiles = (width + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; tiles--) {
        ptrdiff_t n = (width + tiles - 1) / tiles;
        WITH_CONSTANT(n, outer_tile, rows, z, delta, more, g)
        width -= n, z += n, g += n * PANEL;
    }
}

#if TILE_PANELS == 2
/* The rows of a block, of which a panel takes a sixth of an L1 cache of 48 KB; and the columns of z
 * in a register tile. */
enum { STRIP_BLOCK = 128, STRIP_WIDTH = 8 };

INLINE void strip_tile(int panels, ptrdiff_t rows, const real *z, const real *delta, ptrdiff_t jump,
                       int more, real *g) {
    vec acc[TILE_ROWS][TILE_VECTORS];
    start_product(STRIP_WIDTH, panels, NULL, more, g, PANEL * PANEL, acc);
    add_outer_products(STRIP_WIDTH, panels, rows, z, 1, PANEL, delta, jump, acc);
    store_tile(STRIP_WIDTH, panels, acc, g, PANEL * PANEL);
}

/* g = or += the products of a block of rows: two panels of delta with all columns of z, then the
 * next two. */
INLINE void outer_block(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, const real *z,
                        const real *delta, ptrdiff_t jump, int more, real *g) {
    for (ptrdiff_t q = 0; q < panels; q += 2)
        for (ptrdiff_t i = 0; i < width; i += STRIP_WIDTH) {
            const real *column = z + i / PANEL * jump + i % PANEL;
            real *tile = g + ((i / PANEL * panels + q) * PANEL + i % PANEL) * PANEL;
            q + 1 < panels ? strip_tile(2, rows, column, delta + q * jump, jump, more, tile)
                           : strip_tile(1, rows, column, delta + q * jump, jump, more, tile);
        }
}
#endif

static void outer_strip(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, const real *z,
                        const real *delta, ptrdiff_t jump, const real *before,
                        ptrdiff_t before_jump, real *g) {
    for (ptrdiff_t i = 0; before && i < width; i += PANEL)
        for (ptrdiff_t q = 0; q < panels; q++)
            memcpy(g + (i / PANEL * panels + q) * PANEL * PANEL,
                   before + q * before_jump + i * PANEL,
                   (size_t)((width - i < PANEL ? width - i : PANEL) * PANEL) * sizeof(real));
#if TILE_PANELS == 2
    if (width % STRIP_WIDTH == 0) {
        for (ptrdiff_t r = 0; r < rows; r += STRIP_BLOCK)
            outer_block(rows - r < STRIP_BLOCK ? rows - r : STRIP_BLOCK, width, panels,
                        z + r * PANEL, delta + r * PANEL, jump, before || r > 0, g);
        return;
    }
#endif
    for (; width > 0; width -= PANEL, z += jump)
        for (ptrdiff_t q = 0; q < panels; q++, g += PANEL * PANEL)
            outer(rows, width < PANEL ? width : PANEL, z, delta + q * jump, before != NULL, g);
}

/* Panels whose sums are computed side by side, since each sum is one chain of additions. */
#define SUM_PANELS (FASTNN_VECTOR_BYTES == 16 ? 1 : 4)

INLINE void sums_of_panels(int n, ptrdiff_t rows, const real *delta, ptrdiff_t jump, int more,
                           real *g) {
    vec sum[SUM_PANELS][PANEL_VECTORS];
#pragma GCC unroll 4
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            sum[q][v] = more ? load(g + q * PANEL + v * LANES) : (vec){0};
    for (ptrdiff_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int q = 0; q < n; q++)
#pragma GCC unroll 4
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum[q][v] += load(delta + q * jump + r * PANEL + v * LANES);
#pragma GCC unroll 4
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) store(g + q * PANEL + v * LANES, sum[q][v]);
}

static void column_sums(ptrdiff_t rows, ptrdiff_t panels, const real *delta, ptrdiff_t jump,
                        int more, real *g) {
    for (; panels >= SUM_PANELS; panels -= SUM_PANELS, delta += SUM_PANELS * jump) {
        sums_of_panels(SUM_PANELS, rows, delta, jump, more, g);
        g += SUM_PANELS * PANEL;
    }
    for (; panels > 0; panels--, delta += jump, g += PANEL)
        sums_of_panels(1, rows, delta, 0, more, g);
}

#endif
