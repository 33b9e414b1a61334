/* zeros.h - the products of tile.h for rows with many zeros, to the same bits. Shapes: ops.h.
 *
 * The nonzeros are listed first, and the products are computed from the lists. As sparse.h
 * explains, a chain of fused multiply-adds may leave out products with zero if the other factors
 * are finite, unless it ends with -0: such results are computed again from all numbers. The caller
 * must make sure that the other factors are finite.
 */
#ifndef FASTNN_ZEROS_H
#define FASTNN_ZEROS_H

#include <string.h>

#include "sparse.h"
#include "tile.h"

/* Counts in `panels` runs of n reals. NaN is a nonzero. */
static ptrdiff_t count_nonzeros(ptrdiff_t n, ptrdiff_t panels, const real *x, ptrdiff_t jump) {
    ptrdiff_t count = 0;
    ivec zeros = {0};
    for (; panels > 0; panels--, x += jump) {
        ptrdiff_t i = 0;
        for (; i + LANES <= n; i += LANES) zeros -= load_unaligned(x + i) == splat(0);
        count += i;
        for (; i < n; i++) count += x[i] != 0;
    }
    for (int lane = 0; lane < LANES; lane++) count -= (ptrdiff_t)zeros[lane];
    return count;
}

/* ---- lists ---- */

/* A place for each lane of a vec. */
typedef int32_t places __attribute__((vector_size(LANES * 4), may_alias));
typedef int32_t unaligned_places
    __attribute__((vector_size(LANES * 4), may_alias, aligned(sizeof(int32_t))));

/* Columns and rows of a block, whose nonzeros are listed together. BLOCK_COLUMNS rows of W, eight
 * panels side by side, fill an L1 cache of 32 KB. On Zen 4 blocks of 48 to 128 differ by 5 %. */
enum { BLOCK_COLUMNS = 64, BLOCK_ROWS = 96 };

typedef struct { /* the nonzeros of a block, row by row, and the offsets of their rows of W */
    real values[BLOCK_ROWS * BLOCK_COLUMNS + PANEL];
    int32_t places[BLOCK_ROWS * BLOCK_COLUMNS + PANEL];
    int32_t counts[BLOCK_ROWS];
} row_lists;

/* Appends the nonzeros of x to `values` and the places of their lanes to `found`; returns how many.
 * Both lists have room for LANES more numbers. */
#if defined(__AVX512VL__) && FASTNN_VECTOR_BYTES == 64
INLINE ptrdiff_t append_nonzeros(vec x, places at, real *values, int32_t *found) {
#if FASTNN_BITS == 32
    __mmask16 nonzero = _mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    /* A compress to memory is much slower on Zen 4 than one to a register. */
    store_unaligned(values, (vec)_mm512_maskz_compress_ps(nonzero, (__m512)x));
    at = (places)_mm512_maskz_compress_epi32(nonzero, (__m512i)at);
#else
    __mmask8 nonzero = _mm512_cmp_pd_mask((__m512d)x, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    store_unaligned(values, (vec)_mm512_maskz_compress_pd(nonzero, (__m512d)x));
    at = (places)_mm256_maskz_compress_epi32(nonzero, (__m256i)at);
#endif
    *(unaligned_places *)found = at;
    return __builtin_popcount(nonzero);
}
#else
INLINE ptrdiff_t append_nonzeros(vec x, places at, real *values, int32_t *found) {
    ptrdiff_t n = 0;
    for (int lane = 0; lane < LANES; lane++) {
        values[n] = x[lane], found[n] = at[lane];
        n += x[lane] != 0;
    }
    return n;
}
#endif

/* The places of a vector's lanes, `step` apart. */
INLINE places first_places(int32_t step) {
    places at;
    for (int lane = 0; lane < LANES; lane++) at[lane] = lane * step;
    return at;
}

/* Lists a block of a, (rows <= BLOCK_ROWS, width <= BLOCK_COLUMNS). Padding must be zero. */
static void list_rows(ptrdiff_t rows, ptrdiff_t width, const real *a, ptrdiff_t a_jump,
                      row_lists *lists) {
    ptrdiff_t n = 0;
    for (ptrdiff_t r = 0; r < rows; r++, a += PANEL) {
        ptrdiff_t before = n;
        places at = first_places(PANEL);
        const real *x = a;
        for (ptrdiff_t d = 0; d < width; d += PANEL, x += a_jump)
            for (int v = 0; v < PANEL; v += LANES, at += LANES * PANEL)
                n += append_nonzeros(load(x + v), at, lists->values + n, lists->places + n);
        lists->counts[r] = (int32_t)(n - before);
    }
}

/* Lists one slice of a panel z, (rows <= SLICE, PANEL), column by column; returns the number of
 * nonzeros. */
static ptrdiff_t list_slice(ptrdiff_t rows, const real *z, fastnn_column_lists *lists) {
    ptrdiff_t total = 0;
    for (int first = 0; first < PANEL; first += LANES) {
        ptrdiff_t n[LANES] = {0};
        places at = first_places(PANEL);
        for (ptrdiff_t r = 0; r < rows; r += LANES, at += LANES * PANEL) {
            vec x[LANES];
            const real *from = z + r * PANEL + first;
            if (rows - r >= LANES) {
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++) x[i] = load(from + i * PANEL);
            } else {
                for (int i = 0; i < LANES; i++)
                    x[i] = r + i < rows ? load(from + i * PANEL) : (vec){0};
            }
            transpose_lanes(x);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                n[i] += append_nonzeros(x[i], at, lists->values[first + i] + n[i],
                                        lists->places[first + i] + n[i]);
        }
        for (int i = 0; i < LANES; i++) lists->counts[first + i] = (int32_t)n[i], total += n[i];
    }
    return total;
}

static ptrdiff_t list_columns(ptrdiff_t rows, const real *z, fastnn_column_lists *lists) {
    ptrdiff_t total = 0;
    for (; rows > 0; rows -= SLICE, z += SLICE * PANEL)
        total += list_slice(rows < SLICE ? rows : SLICE, z, lists++);
    return total;
}

/* ---- z_prev @ W ---- */

typedef struct { /* panels of c, to which the products of a block are added */
    const real *b;
    ptrdiff_t b_jump;
    const real *bias;
    real *c;
    ptrdiff_t c_jump;
    int begins, ends; /* whether the block is the first, the last of the depth */
} block_product;

/* The products of one row with n panels of b. Returns whether a final result is -0. */
INLINE int add_listed_row(int n, const block_product *block, ptrdiff_t count, const real *values,
                          const int32_t *at, real *c) {
    vec acc[SPARSE_PANELS][PANEL_VECTORS];
    const real *start = block->begins ? block->bias : c;
    ptrdiff_t jump = block->begins ? PANEL : block->c_jump;
    ivec found = {0};
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[q][v] = start ? load(start + q * jump + v * LANES) : (vec){0};
    for (ptrdiff_t k = 0; k < count; k++)
        add_products(n, values[k], block->b + at[k], block->b_jump, acc);
#pragma GCC unroll 8
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) {
            found |= minus_zeros(acc[q][v]);
            store(c + q * block->c_jump + v * LANES, acc[q][v]);
        }
    return block->ends && any_lane(found);
}

INLINE void add_listed_rows(int n, ptrdiff_t rows, const row_lists *lists,
                            const block_product *block, char *is_minus_zero) {
    block_product here = *block;
    const real *values = lists->values;
    const int32_t *at = lists->places;
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t count = lists->counts[r];
        if (count > 0 || here.begins || here.ends)
            is_minus_zero[r] |=
                (char)add_listed_row(n, &here, count, values, at, here.c + r * PANEL);
        values += count, at += count;
    }
}

/* Adds a block to all panels of c, as many side by side as the registers hold. */
static void add_block(ptrdiff_t rows, ptrdiff_t panels, const row_lists *lists, block_product block,
                      char *is_minus_zero) {
    while (panels > 0) {
        ptrdiff_t n = panels < SPARSE_PANELS ? panels : SPARSE_PANELS;
        WITH_PANELS(n, add_listed_rows, rows, lists, &block, is_minus_zero)
        panels -= n, block.b += n * block.b_jump, block.c += n * block.c_jump;
        if (block.bias) block.bias += n * PANEL;
    }
}

static void product_of_nonzeros(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const real *a,
                                ptrdiff_t a_jump, const real *b, ptrdiff_t b_jump, const real *bias,
                                real *c, ptrdiff_t c_jump) {
    row_lists lists;
    for (; rows > 0; rows -= BLOCK_ROWS, a += BLOCK_ROWS * PANEL, c += BLOCK_ROWS * PANEL) {
        ptrdiff_t n = rows < BLOCK_ROWS ? rows : BLOCK_ROWS;
        char is_minus_zero[BLOCK_ROWS] = {0};
        for (ptrdiff_t d = 0; d < depth; d += BLOCK_COLUMNS) {
            ptrdiff_t left = depth - d;
            block_product block = {b + d * PANEL,        b_jump, bias, c, c_jump, d == 0,
                                   left <= BLOCK_COLUMNS};
            list_rows(n, left < BLOCK_COLUMNS ? left : BLOCK_COLUMNS, a + d / PANEL * a_jump,
                      a_jump, &lists);
            add_block(n, panels, &lists, block, is_minus_zero);
        }
        for (ptrdiff_t r = 0; r < n; r++)
            if (is_minus_zero[r])
                row_product(depth, panels, a + r * PANEL, a_jump, b, b_jump, bias, c + r * PANEL,
                            c_jump);
    }
}

/* ---- z_prev.T @ delta ---- */

/* The products of one column of a slice with n panels of delta, side by side; -1 in `found` where a
 * sum is -0. */
INLINE void add_listed_column(int n, ptrdiff_t count, const real *values, const int32_t *at,
                              const real *delta, ptrdiff_t jump, const real *start,
                              ptrdiff_t start_jump, real *g, ivec found[STRIP]) {
    vec acc[STRIP][PANEL_VECTORS];
#pragma GCC unroll 4
    for (int q = 0; q < n; q++)
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++)
            acc[q][v] = start ? load(start + q * start_jump + v * LANES) : (vec){0};
    for (ptrdiff_t k = 0; k < count; k++) add_products(n, values[k], delta + at[k], jump, acc);
#pragma GCC unroll 4
    for (int q = 0; q < n; q++) {
        found[q] = (ivec){0};
#pragma GCC unroll 4
        for (int v = 0; v < PANEL_VECTORS; v++) {
            found[q] |= minus_zeros(acc[q][v]);
            store(g + q * PANEL * PANEL + v * LANES, acc[q][v]);
        }
    }
}

/* The products of all columns; -1 in `found` where a sum of a tile ends with -0. */
INLINE void add_listed_columns(int n, ptrdiff_t rows, ptrdiff_t width,
                               const fastnn_column_lists *lists, const real *delta, ptrdiff_t jump,
                               const real *before, ptrdiff_t before_jump, real *g,
                               ivec found[STRIP]) {
    const real *start = before;
    ptrdiff_t start_jump = before_jump;
    for (; rows > 0; rows -= SLICE, lists++, delta += SLICE * PANEL) {
        for (int q = 0; q < n; q++) found[q] = (ivec){0};
        for (ptrdiff_t i = 0; i < width; i++) {
            ivec here[STRIP];
            add_listed_column(n, lists->counts[i], lists->values[i], lists->places[i], delta, jump,
                              start ? start + i * PANEL : NULL, start_jump, g + i * PANEL, here);
            for (int q = 0; q < n; q++) found[q] |= here[q];
        }
        start = g, start_jump = PANEL * PANEL;
    }
}

static void outer_of_nonzeros(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t panels, const real *z,
                              const fastnn_column_lists *lists, const real *delta, ptrdiff_t jump,
                              const real *before, ptrdiff_t before_jump, real *g) {
    ivec found[STRIP];
    switch (panels) {
#define STRIP_CASE(n)                                                                              \
    case n:                                                                                        \
        add_listed_columns(n, rows, width, lists, delta, jump, before, before_jump, g, found);     \
        break;
        STRIP_CASE(1)
        STRIP_CASE(2)
        STRIP_CASE(3)
        STRIP_CASE(4)
#undef STRIP_CASE
    }
    for (ptrdiff_t q = 0; q < panels; q++, g += PANEL * PANEL) {
        if (!any_lane(found[q])) continue;
        if (before) memcpy(g, before + q * before_jump, (size_t)(width * PANEL) * sizeof(real));
        outer(rows, width, z, delta + q * jump, before != NULL, g);
    }
}

#endif
