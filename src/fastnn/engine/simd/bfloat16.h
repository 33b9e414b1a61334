/* bfloat16.h - operands rounded to bfloat16, and products of panels of them. Shapes: ops.h.
 *
 * A bfloat16 is the upper half of a float. The depth of a product is divided into blocks of BLOCK
 * numbers. In a block, the products of the numbers with even places are one chain of fma, those
 * with odd places another; both begin at 0:
 *
 *     sum <- sum + (even + odd)      even <- fma(x_i, y_i, even), i = 0, 2, 4, ...
 *
 * Subnormal numbers are treated as 0. This is the order of the instruction tdpbf16ps of AMX, which
 * multiplies a whole block at a time (amx.h). Other sets compute the two chains side by side, to
 * the same bits.
 *
 * Operands are stored in pairs of numbers, 32 bits each. tdpbf16ps takes pairs of neighbours, one
 * number for each chain. vdpbf16ps computes fma(x_1, y_1, fma(x_0, y_0, sum)), so that both numbers
 * of a pair belong to the same chain: they are two places apart. Without these instructions, two
 * fma are computed from such a pair.
 *
 * If a block is not full, it ends with pairs of 0. Their products change nothing but the sign of a
 * chain that is -0.
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

#if defined(__AMX_BF16__) && MULTIPLIES_PAIRS
#define MULTIPLIES_TILES 1
#else
#define MULTIPLIES_TILES 0
#endif

#if FASTNN_BITS == 32

enum {
    PAIRS = PANEL,                   /* pairs of a block of the depth */
    BLOCK = 2 * PAIRS,               /* numbers of a block */
    APART = MULTIPLIES_TILES ? 1 : 2 /* places from the first number of a pair to the second */
};

/* The pairs for a depth: whole groups of APART pairs. */
INLINE ptrdiff_t pairs_of(ptrdiff_t depth) { return (depth + 2 * APART - 1) / (2 * APART) * APART; }

INLINE ptrdiff_t blocks_of(ptrdiff_t depth) { return (depth + BLOCK - 1) / BLOCK; }

INLINE uvec load_pairs(const fastnn_pair *p) { return *(const uvec *)p; }

INLINE void store_pairs(fastnn_pair *p, uvec x) { *(uvec *)p = x; }

/* ---- rounding: to nearest, ties to even; subnormal numbers to 0 ---- */

#if MULTIPLIES_PAIRS
INLINE uvec pair_of(vec first, vec second) {
    static const uint16_t order[32] __attribute__((aligned(64))) = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512 upper = (__m512)first, lower = (__m512)second;
    if (MULTIPLIES_TILES) upper = (__m512)second, lower = (__m512)first;
    __m512bh both = _mm512_cvtne2ps_pbh(upper, lower);
    return (uvec)_mm512_permutexvar_epi16(*(const __m512i *)order, (__m512i)both);
}

/* Stores the pairs of the lanes, half a vector. */
INLINE void store_lanes(fastnn_pair *out, vec x) {
    __m256i lanes = (__m256i)_mm512_cvtneps_pbh((__m512)x);
    if (!MULTIPLIES_TILES) { /* 0 1 2 3 -> 2 0 3 1: the first of a pair is the upper half */
        lanes = _mm256_shufflelo_epi16(lanes, _MM_SHUFFLE(1, 3, 0, 2));
        lanes = _mm256_shufflehi_epi16(lanes, _MM_SHUFFLE(1, 3, 0, 2));
    }
    *(__m256i *)out = lanes;
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

/* Stores the pairs of the lanes, half a vector. */
INLINE void store_lanes(fastnn_pair *out, vec x) {
    typedef uint64_t wide __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
    wide lanes = (wide)rounded(x);
    for (int i = 0; i < LANES / 4; i++) {
        uint64_t two = lanes[2 * i] | lanes[2 * i + 1] >> 16; /* two pairs */
        memcpy(out + 2 * i, &two, sizeof two);
    }
}
#endif

static void pair_columns(ptrdiff_t rows, ptrdiff_t columns, const real *x, ptrdiff_t jump,
                         fastnn_pair *out, ptrdiff_t out_jump) {
    for (ptrdiff_t c = 0; c < columns; c += BLOCK, out += out_jump)
        for (ptrdiff_t half = 0; half < BLOCK; half += PANEL, x += jump)
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t v = 0; v < PANEL; v += LANES) {
                    vec lanes = {0};
                    if (c + half < columns)
                        lanes = keep(lanes_below(columns - c - half - v), load(x + r * PANEL + v));
                    store_lanes(out + r * PAIRS + (half + v) / 2, lanes);
                }
}

/* Row r of a panel, or zeros if there are not as many rows. */
INLINE vec row_or_zeros(const real *panel, ptrdiff_t r, ptrdiff_t rows) {
    return r < rows ? load(panel + r * PANEL) : (vec){0};
}

static void pair_rows(ptrdiff_t first, ptrdiff_t rows, int last, ptrdiff_t panels, const real *x,
                      ptrdiff_t jump, fastnn_pair *out, ptrdiff_t out_jump) {
    ptrdiff_t begin = first / 2, end = begin + pairs_of(rows);
    ptrdiff_t rest = MULTIPLIES_TILES && last ? blocks_of(first + rows) * PAIRS - end : 0;
    for (; panels > 0; panels--, x += jump, out += out_jump) {
        fastnn_pair *to = out + begin * PANEL;
        for (ptrdiff_t r = 0; r < rows; r += 2 * APART)
            for (ptrdiff_t i = r; i < r + APART; i++, to += PANEL)
                for (int v = 0; v < PANEL; v += LANES)
                    store_pairs(to + v, pair_of(row_or_zeros(x + v, i, rows),
                                                row_or_zeros(x + v, i + APART, rows)));
        memset(to, 0, (size_t)(rest * PANEL) * sizeof *to);
    }
}

static void pair_transposed(ptrdiff_t width, ptrdiff_t columns, const real *w, ptrdiff_t w_jump,
                            fastnn_pair *out) {
    ptrdiff_t c = 0;
    for (; c < columns; c += PANEL, w += w_jump, out += PANEL / 2 * PANEL)
        for (ptrdiff_t j = 0; j < PANEL && c + j < columns; j += LANES)
            for (ptrdiff_t i = 0; i < PANEL; i += LANES) {
                vec block[LANES];
#pragma GCC unroll 16
                for (int n = 0; n < LANES; n++)
                    block[n] = i + n < width ? load(w + (i + n) * PANEL + j) : (vec){0};
                transpose_lanes(block);
#pragma GCC unroll 8
                for (int n = 0; n < LANES; n += 2 * APART)
#pragma GCC unroll 2
                    for (int k = n; k < n + APART; k++)
                        store_pairs(out + ((j + n) / 2 + k - n) * PANEL + i,
                                    pair_of(block[k], block[k + APART]));
            }
    if (MULTIPLIES_TILES && c % BLOCK != 0) memset(out, 0, PANEL / 2 * PANEL * sizeof *out);
}

#if MULTIPLIES_TILES
#include "amx.h"
#else

static void pair_left(ptrdiff_t first, ptrdiff_t rows, int last, ptrdiff_t panels, const real *x,
                      ptrdiff_t jump, fastnn_pair *out, ptrdiff_t out_jump) {
    pair_rows(first, rows, last, panels, x, jump, out, out_jump);
}

/* ---- products ---- */

INLINE vec add_pair(uvec x, uvec y, vec sum) {
#if MULTIPLIES_PAIRS
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#else
    uvec upper = splat_bits(0xffff0000);
    sum = multiply_add(real_of(x & upper), real_of(y & upper), sum);
    return multiply_add(real_of(x << 16), real_of(y << 16), sum);
#endif
}

/* Rows of a tile, half of those of tile.h: a tile has two chains. */
#if TILE_ROWS == 16
#define PAIR_ROWS 8
#define PAIR_ROWS_OF_TWO_PANELS 6
#elif TILE_ROWS == 6
#define PAIR_ROWS 3
#else
#define PAIR_ROWS 1
#endif

/* acc[0] and acc[1] (n, panels), the even and the odd chains, += A @ b over 2 `steps` pairs, which
 * belong to the two in turn. A's pair (i, k) is a[i * a_row + k * a_step]. */
INLINE void add_pair_products(int n, int panels, ptrdiff_t steps, const fastnn_pair *a,
                              ptrdiff_t a_row, ptrdiff_t a_step, const fastnn_pair *b,
                              ptrdiff_t b_jump, vec acc[][PAIR_ROWS][TILE_VECTORS]) {
#pragma GCC unroll 4
    for (ptrdiff_t k = 0; k < 2 * steps; k += 2)
#pragma GCC unroll 2
        for (int chain = 0; chain < 2; chain++)
#pragma GCC unroll 8
            for (int i = 0; i < n; i++) {
                uvec x = splat_bits(a[i * a_row + (k + chain) * a_step]);
#pragma GCC unroll 2
                for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
                    for (int v = 0; v < PANEL_VECTORS; v++) {
                        const fastnn_pair *y = b + q * b_jump + (k + chain) * PANEL + v * LANES;
                        vec *sum = &acc[chain][i][q * PANEL_VECTORS + v];
                        *sum = add_pair(x, load_pairs(y), *sum);
                    }
            }
}

INLINE void clear_chains(int n, int panels, vec acc[][PAIR_ROWS][TILE_VECTORS]) {
#pragma GCC unroll 2
    for (int chain = 0; chain < 2; chain++) clear_tile(n, panels, acc[chain]);
}

/* c += even + odd, or c = bias + (even + odd). A block that is not full ends with pairs of 0. */
INLINE void add_chains(int n, int panels, vec acc[][PAIR_ROWS][TILE_VECTORS], int full,
                       const real *bias, int more, real *c, ptrdiff_t c_jump) {
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int q = 0; q < panels; q++)
#pragma GCC unroll 4
            for (int v = 0; v < PANEL_VECTORS; v++) {
                real *sum = c + q * c_jump + i * PANEL + v * LANES;
                vec start = bias ? load(bias + q * PANEL + v * LANES) : (vec){0};
                vec odd = acc[1][i][q * PANEL_VECTORS + v];
                if (more) start = load(sum);
                if (!full) odd += (vec){0};
                store(sum, start + (acc[0][i][q * PANEL_VECTORS + v] + odd));
            }
}

/* One block of `pairs` pairs, or of PAIRS if it is full. */
INLINE void add_pair_block(int n, int panels, ptrdiff_t pairs, int full, const fastnn_pair *a,
                           ptrdiff_t a_row, ptrdiff_t a_step, const fastnn_pair *b,
                           ptrdiff_t b_jump, const real *bias, int more, real *c,
                           ptrdiff_t c_jump) {
    vec acc[2][PAIR_ROWS][TILE_VECTORS];
    clear_chains(n, panels, acc);
    add_pair_products(n, panels, full ? PAIRS / 2 : pairs / 2, a, a_row, a_step, b, b_jump, acc);
    add_chains(n, panels, acc, full, bias, more, c, c_jump);
}

INLINE void pair_tile(int n, int panels, ptrdiff_t pairs, const fastnn_pair *a, ptrdiff_t a_jump,
                      const fastnn_pair *b, ptrdiff_t b_jump, const real *bias, int more, real *c,
                      ptrdiff_t c_jump, const fastnn_pair *later, ptrdiff_t n_later) {
    for (; pairs >= PAIRS; pairs -= PAIRS, a += a_jump, b += PAIRS * PANEL, more = 1) {
        fetch_rows(panels, n_later, later, b_jump * (ptrdiff_t)sizeof *b);
        later += n_later * PANEL;
        add_pair_block(n, panels, PAIRS, 1, a, PAIRS, 1, b, b_jump, bias, more, c, c_jump);
    }
    if (pairs > 0)
        add_pair_block(n, panels, pairs, 0, a, PAIRS, 1, b, b_jump, bias, more, c, c_jump);
}

PRODUCT_OF_PANELS(pair_product_of_one, pair_tile, fastnn_pair, PAIRS, 1, PAIR_ROWS)
#if TILE_PANELS == 2
PRODUCT_OF_PANELS(pair_product_of_two, pair_tile, fastnn_pair, PAIRS, 2, PAIR_ROWS_OF_TWO_PANELS)
#endif

static void __attribute__((noinline)) pair_product_flushed(ptrdiff_t rows, ptrdiff_t depth,
                                                           ptrdiff_t panels, const fastnn_pair *a,
                                                           ptrdiff_t a_jump, const fastnn_pair *b,
                                                           ptrdiff_t b_jump, const real *bias,
                                                           real *c, ptrdiff_t c_jump) {
    int is_far = are_far(panels, b_jump);
#if TILE_PANELS == 2
    for (; panels >= 2; panels -= 2, b += 2 * b_jump, c += 2 * c_jump) {
        const fastnn_pair *after = is_far ? b + 2 * b_jump : NULL;
        pair_product_of_two(rows, depth, a, a_jump, b, b_jump, after, bias, 0, c, c_jump);
        bias = bias ? bias + 2 * PANEL : NULL;
    }
#endif
    for (; panels > 0; panels--, b += b_jump, c += c_jump) {
        pair_product_of_one(rows, depth, a, a_jump, b, b_jump, is_far ? b + b_jump : NULL, bias, 0,
                            c, c_jump);
        bias = bias ? bias + PANEL : NULL;
    }
}

/* Subnormal numbers are treated as 0 during products. The products between these calls are not
 * inlined, since compilers move arithmetic past changes of the mode. */
static void pair_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const fastnn_pair *a,
                         ptrdiff_t a_jump, const fastnn_pair *b, ptrdiff_t b_jump, const real *bias,
                         real *c, ptrdiff_t c_jump) {
    uint64_t before = fastnn_flush_subnormals();
    pair_product_flushed(rows, pairs_of(depth), panels, a, a_jump, b, b_jump, bias, c, c_jump);
    fastnn_restore_subnormals(before);
}

static void begin_outers(void) {}

static void end_outers(void) {}

INLINE void pair_outer_tile(int n, ptrdiff_t pairs, const fastnn_pair *z, const fastnn_pair *delta,
                            int more, real *g) {
    for (; pairs >= PAIRS; pairs -= PAIRS, z += PAIRS * PANEL, delta += PAIRS * PANEL, more = 1)
        add_pair_block(n, 1, PAIRS, 1, z, 1, PANEL, delta, 0, NULL, more, g, 0);
    if (pairs > 0) add_pair_block(n, 1, pairs, 0, z, 1, PANEL, delta, 0, NULL, more, g, 0);
}

static void pair_outer(ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z,
                       const fastnn_pair *delta, int more, real *g) {
    for (ptrdiff_t tiles = (width + PAIR_ROWS - 1) / PAIR_ROWS; tiles > 0; tiles--) {
        ptrdiff_t n = (width + tiles - 1) / tiles;
        switch (n) { TO(PAIR_ROWS, pair_outer_tile, pairs_of(rows), z, delta, more, g) }
        width -= n, z += n, g += n * PANEL;
    }
}

#endif
#endif

#endif
