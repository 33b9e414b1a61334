/* bfloat16.h - products of panels whose operands are rounded to bfloat16. Shapes: ops.h.
 *
 * A bfloat16 is the upper half of a float. Two neighbours in the depth of a product make a pair:
 * the first in the upper half of 32 bits, the second in the lower. A step of a product takes a pair
 * of each operand:
 *
 *     sum <- fma(x_1, y_1, fma(x_0, y_0, sum))
 *
 * so that a result is one chain in the order of the depth, as in tile.h. An odd depth ends with the
 * pair of the last number and 0. The instruction for this step, vdpbf16ps, treats subnormal numbers
 * as 0, whatever the floating-point mode of the thread. Without the instruction, the thread is set
 * to that mode and two fma are computed from the halves, to the same bits.
 */
#ifndef FASTNN_BFLOAT16_H
#define FASTNN_BFLOAT16_H

#include "../subnormals.h"
#include "tile.h"

#if defined(__AVX512BF16__) && FASTNN_VECTOR_BYTES == 64 && FASTNN_BITS == 32
#define MULTIPLIES_PAIRS 1
#else
#define MULTIPLIES_PAIRS 0
#endif

#if FASTNN_BITS == 32

enum { PAIRS = PANEL / 2 }; /* pairs of columns in one row of a panel */

INLINE uvec load_pairs(const fastnn_pair *p) { return *(const uvec *)p; }

INLINE void store_pairs(fastnn_pair *p, uvec x) { *(uvec *)p = x; }

INLINE vec add_pair(uvec x, uvec y, vec sum) {
#if MULTIPLIES_PAIRS
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#else
    uvec upper = splat_bits(0xffff0000);
    sum = multiply_add(real_of(x & upper), real_of(y & upper), sum);
    return multiply_add(real_of(x << 16), real_of(y << 16), sum);
#endif
}

/* Treat subnormal numbers as 0 during products, unless the instruction does. The products between
 * these calls are not inlined, since compilers move arithmetic past changes of the mode. */
INLINE uint64_t begin_pairs(void) { return MULTIPLIES_PAIRS ? 0 : fastnn_flush_subnormals(); }

INLINE void end_pairs(uint64_t before) {
    if (!MULTIPLIES_PAIRS) fastnn_restore_subnormals(before);
}

/* ---- rounding: to nearest, ties to even; subnormal numbers to 0 ---- */

#if MULTIPLIES_PAIRS
INLINE uvec pair_of(vec first, vec second) {
    static const uint16_t order[32] __attribute__((aligned(64))) = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512bh both =
        _mm512_cvtne2ps_pbh((__m512)first, (__m512)second); /* second is the lower half */
    return (uvec)_mm512_permutexvar_epi16(*(const __m512i *)order, (__m512i)both);
}

INLINE void store_neighbours(fastnn_pair *out, vec x) {
    __m256i halves = (__m256i)_mm512_cvtneps_pbh((__m512)x);
    *(__m256i *)out = _mm256_rol_epi32(halves, 16);
}
#else
/* Rounds to bfloat16, in the upper halves of the lanes; NaN stays NaN. */
INLINE uvec rounded(vec x) {
    uvec bits = bits_of(x), upper = splat_bits(0xffff0000), one = splat_bits(1);
    ivec is_normal = (ivec)((bits & splat_bits(0x7f800000)) != splat_bits(0));
    ivec is_nan = (ivec)(x != x);
    uvec nearest = (bits + splat_bits(0x7fff) + (bits >> 16 & one)) & upper;
    uvec quiet = (bits | splat_bits(0x400000)) & upper;
    uvec found = ((uvec)is_nan & quiet) | (~(uvec)is_nan & nearest);
    return ((uvec)is_normal & found) | (~(uvec)is_normal & bits & splat_bits(0x80000000));
}

INLINE uvec pair_of(vec first, vec second) { return rounded(first) | rounded(second) >> 16; }

/* Stores neighbouring lanes as pairs, half a vector. */
INLINE void store_neighbours(fastnn_pair *out, vec x) {
    typedef uint64_t wide __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
    wide both = (wide)rounded(x); /* little-endian: the first of a pair is the lower */
    both = (both & 0xffff0000) | both >> 48;
    for (int i = 0; i < LANES / 2; i++) out[i] = (fastnn_pair)both[i];
}
#endif

static void pair_up(ptrdiff_t rows, ptrdiff_t panels, const real *x, ptrdiff_t jump,
                    fastnn_pair *by_columns, ptrdiff_t columns_jump, fastnn_pair *by_rows,
                    ptrdiff_t rows_jump) {
    for (; panels > 0; panels--, x += jump) {
        if (by_columns) {
            for (ptrdiff_t i = 0; i < rows * PANEL; i += LANES)
                store_neighbours(by_columns + i / 2, load(x + i));
            by_columns += columns_jump;
        }
        if (by_rows) {
            for (ptrdiff_t r = 0; r < rows; r += 2)
                for (int v = 0; v < PANEL; v += LANES) {
                    const real *at = x + r * PANEL + v;
                    vec second = r + 1 < rows ? load(at + PANEL) : (vec){0};
                    store_pairs(by_rows + r / 2 * PANEL + v, pair_of(load(at), second));
                }
            by_rows += rows_jump;
        }
    }
}

static void pair_transposed(ptrdiff_t width, ptrdiff_t columns, const real *w, ptrdiff_t w_jump,
                            fastnn_pair *out) {
    for (ptrdiff_t c = 0; c < columns; c += PANEL, w += w_jump, out += PAIRS * PANEL)
        for (ptrdiff_t j = 0; j < PANEL && c + j < columns; j += LANES)
            for (ptrdiff_t i = 0; i < PANEL; i += LANES) {
                vec block[LANES];
#pragma GCC unroll 16
                for (int n = 0; n < LANES; n++)
                    block[n] = i + n < width ? load(w + (i + n) * PANEL + j) : (vec){0};
                transpose_lanes(block);
#pragma GCC unroll 8
                for (int n = 0; n < LANES; n += 2)
                    store_pairs(out + (j + n) / 2 * PANEL + i, pair_of(block[n], block[n + 1]));
            }
}

/* ---- products ---- */

/* acc (n, PANEL) += A @ b for each of `panels` panels of b, b_jump apart, over `depth` pairs. */
INLINE void add_pair_products(int n, int panels, ptrdiff_t depth, const fastnn_pair *a,
                              ptrdiff_t a_row, ptrdiff_t a_step, const fastnn_pair *b,
                              ptrdiff_t b_jump, vec acc[][TILE_VECTORS]) {
#pragma GCC unroll 4
    for (ptrdiff_t k = 0; k < depth; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < n; i++) {
            uvec x = splat_bits(a[i * a_row + k * a_step]);
#pragma GCC unroll 2
            for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vec *sum = &acc[i][q * PANEL_VECTORS + v];
                    *sum = add_pair(x, load_pairs(b + q * b_jump + k * PANEL + v * LANES), *sum);
                }
        }
    }
}

INLINE void pair_tile(int n, int panels, ptrdiff_t depth, const fastnn_pair *a, ptrdiff_t a_jump,
                      const fastnn_pair *b, ptrdiff_t b_jump, const real *bias, int more, real *c,
                      ptrdiff_t c_jump) {
    vec acc[TILE_ROWS][TILE_VECTORS];
    start_product(n, panels, bias, more, c, c_jump, acc);
    for (; depth >= PAIRS; depth -= PAIRS, a += a_jump, b += PAIRS * PANEL)
        add_pair_products(n, panels, PAIRS, a, PAIRS, 1, b, b_jump, acc);
    add_pair_products(n, panels, depth, a, PAIRS, 1, b, b_jump, acc);
    store_tile(n, panels, acc, c, c_jump);
}

PRODUCT_OF_PANELS(pair_product_of_one, pair_tile, fastnn_pair, PAIRS, 1, TILE_ROWS)
#if TILE_PANELS == 2
PRODUCT_OF_PANELS(pair_product_of_two, pair_tile, fastnn_pair, PAIRS, 2, ROWS_OF_TWO_PANELS)
#endif

static void __attribute__((noinline)) pair_product_flushed(ptrdiff_t rows, ptrdiff_t depth,
                                                           ptrdiff_t panels, const fastnn_pair *a,
                                                           ptrdiff_t a_jump, const fastnn_pair *b,
                                                           ptrdiff_t b_jump, const real *bias,
                                                           real *c, ptrdiff_t c_jump) {
#if TILE_PANELS == 2
    for (; panels >= 2; panels -= 2, b += 2 * b_jump, c += 2 * c_jump) {
        pair_product_of_two(rows, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        bias = bias ? bias + 2 * PANEL : NULL;
    }
#endif
    for (; panels > 0; panels--, b += b_jump, c += c_jump) {
        pair_product_of_one(rows, depth, a, a_jump, b, b_jump, bias, c, c_jump);
        bias = bias ? bias + PANEL : NULL;
    }
}

static void pair_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const fastnn_pair *a,
                         ptrdiff_t a_jump, const fastnn_pair *b, ptrdiff_t b_jump, const real *bias,
                         real *c, ptrdiff_t c_jump) {
    uint64_t before = begin_pairs();
    pair_product_flushed(rows, (depth + 1) / 2, panels, a, a_jump, b, b_jump, bias, c, c_jump);
    end_pairs(before);
}

INLINE void pair_outer_tile(int n, ptrdiff_t pairs, const fastnn_pair *z, const fastnn_pair *delta,
                            int more, real *g) {
    vec acc[TILE_ROWS][TILE_VECTORS];
    start_outer(n, more, g, acc);
    add_pair_products(n, 1, pairs, z, 1, PANEL, delta, 0, acc);
    store_tile(n, 1, acc, g, 0);
}

static void __attribute__((noinline)) pair_outer_flushed(ptrdiff_t pairs, ptrdiff_t width,
                                                         const fastnn_pair *z,
                                                         const fastnn_pair *delta, int more,
                                                         real *g) {
    for (ptrdiff_t tiles = (width + TILE_ROWS - 1) / TILE_ROWS; tiles > 0; tiles--) {
        ptrdiff_t n = (width + tiles - 1) / tiles;
        WITH_CONSTANT(n, pair_outer_tile, pairs, z, delta, more, g)
        width -= n, z += n, g += n * PANEL;
    }
}

static void pair_outer(ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z,
                       const fastnn_pair *delta, int more, real *g) {
    uint64_t before = begin_pairs();
    pair_outer_flushed((rows + 1) / 2, width, z, delta, more, g);
    end_pairs(before);
}

#endif

#endif
