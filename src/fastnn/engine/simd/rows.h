/* rows.h - copies between panels and row-major arrays, one-hot targets, and other loops over panels
 * that are no products. Shapes: ops.h. Not here: which rows are copied when (engine/rows.pxd).
 */
#ifndef FASTNN_ROWS_H
#define FASTNN_ROWS_H

#include <string.h>

#include "../prefetch.h"
#include "ops.h"

/* Rows are used in a random order, so CPUs prefetch none of them. A long row is prefetched here,
 * while the second row before it is copied. Measured on Zen 4 with 60,000 rows of 784 columns:
 * a step of 784-256-128-10 takes 0.95 times as long with 32 rows, 0.98 times with 128, and with
 * 1,024 in bfloat16 0.9 times. The engine prefetches short rows a chunk ahead (engine/rows.pxd). */
enum { ROWS_AHEAD = 2 };

static void gather(ptrdiff_t rows, ptrdiff_t columns, const real *source, const int64_t *order,
                   real *panels, ptrdiff_t jump) {
    ptrdiff_t whole = columns / PANEL, rest = columns % PANEL;
    size_t size = (size_t)columns * sizeof(real);
    ptrdiff_t ahead = order && size >= FASTNN_LONG_ROW ? ROWS_AHEAD : rows;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *from = source + (order ? order[r] : r) * columns;
        if (r + ahead < rows) fastnn_prefetch(source + order[r + ahead] * columns, size);
        real *to = panels + r * PANEL;
        for (ptrdiff_t q = 0; q < whole; q++, from += PANEL, to += jump)
            for (int v = 0; v < PANEL_VECTORS; v++)
                store(to + v * LANES, load_unaligned(from + v * LANES));
        if (rest) {
            memset(to, 0, PANEL * sizeof(real));
            memcpy(to, from, (size_t)rest * sizeof(real));
        }
    }
}

static void scatter(ptrdiff_t rows, ptrdiff_t columns, const real *panels, ptrdiff_t jump,
                    real *out) {
    ptrdiff_t whole = columns / PANEL, rest = columns % PANEL;
    for (ptrdiff_t r = 0; r < rows; r++, out += columns) {
        const real *from = panels + r * PANEL;
        real *to = out;
        for (ptrdiff_t q = 0; q < whole; q++, from += jump, to += PANEL)
            for (int v = 0; v < PANEL_VECTORS; v++)
                store_unaligned(to + v * LANES, load(from + v * LANES));
        if (rest) memcpy(to, from, (size_t)rest * sizeof(real));
    }
}

/* A label that another thread has put out of range gives a row of zeros. */
static void one_hot(ptrdiff_t rows, ptrdiff_t columns, const int64_t *labels, const int64_t *order,
                    real *panels, ptrdiff_t jump) {
    for (ptrdiff_t c = 0; c < columns; c += PANEL, panels += jump) {
        ptrdiff_t width = columns - c < PANEL ? columns - c : PANEL;
        memset(panels, 0, (size_t)(rows * PANEL) * sizeof(real));
        for (ptrdiff_t r = 0; r < rows; r++) {
            ptrdiff_t label = (ptrdiff_t)labels[order ? order[r] : r] - c;
            if (label >= 0 && label < width) panels[r * PANEL + label] = 1;
        }
    }
}

/* Padding has mean and inverse 0, and stays 0. */
static void standardize(ptrdiff_t rows, const real *mean, const real *inverse, real *x) {
    for (int v = 0; v < PANEL; v += LANES) {
        vec middle = load(mean + v), scale = load(inverse + v);
        for (ptrdiff_t r = 0; r < rows; r++)
            store(x + r * PANEL + v, (load(x + r * PANEL + v) - middle) * scale);
    }
}

static void add(ptrdiff_t n, const real *x, const real *y, real *out) {
    for (ptrdiff_t i = 0; i < n; i += LANES) store(out + i, load(x + i) + load(y + i));
}

/* x - x is 0 if x is finite, and NaN otherwise. */
static ptrdiff_t first_nonfinite(ptrdiff_t n, const real *x) {
    enum { SUMS = 4, CHUNK = 16 * LANES };
    ptrdiff_t i = 0;
    for (; i + CHUNK <= n; i += CHUNK) {
        vec sums[SUMS] = {{0}};
#pragma GCC unroll 4
        for (int j = 0; j < CHUNK; j += SUMS * LANES)
#pragma GCC unroll 4
            for (int s = 0; s < SUMS; s++) {
                vec lanes = load_unaligned(x + i + j + s * LANES);
                sums[s] += lanes - lanes;
            }
        if (any_lane((sums[0] + sums[1]) + (sums[2] + sums[3]) != splat(0))) break;
    }
    for (; i < n; i++)
        if (x[i] - x[i] != 0) return i;
    return -1;
}

#endif
