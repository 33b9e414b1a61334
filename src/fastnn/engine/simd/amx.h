/* amx.h - products of bfloat16 by the tiles of AMX. bfloat16.h includes it, and says what a product
 * is and how numbers are paired.
 *
 * A tile register has up to 16 rows of 64 bytes. tdpbf16ps adds the products of a block of the
 * depth to a tile of 16 x 16 sums: of a tile of A, with a row of the block's pairs for each row of
 * the sums, and a tile of B, with a row of PANEL columns for each pair. It takes 16 cycles, even if
 * each adds to the sums of the one before; loading a tile takes 8 (measured on a Xeon, model 167).
 * Registers: 4 tiles of sums, side by side; 1 of A, which they share; 3 of B.
 *
 * A thread needs a configuration of its tiles, the number of rows of each. To load one takes as
 * long as 10 products, so the gradients of all tiles of weights have one in common (begin_outers).
 *
 * Order of the sums: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
 * TDPBF16PS.
 */
#ifndef FASTNN_AMX_H
#define FASTNN_AMX_H

/* Configures tiles of `rows` rows: 0 ... 3 for sums, 4 for A; and of PAIRS rows: 5 ... 7 for B. */
INLINE void configure_tiles(ptrdiff_t rows) {
    enum { TILES = 8, OF_B = 5 };
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes_of_row[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    _Static_assert(sizeof shapes == 64, "the operand of ldtilecfg");
    for (int i = 0; i < TILES; i++) {
        shapes.bytes_of_row[i] = 64;
        shapes.rows[i] = i < OF_B ? (uint8_t)rows : PAIRS;
    }
    _tile_loadconfig(&shapes);
}

static void begin_outers(void) { configure_tiles(PANEL); }

static void end_outers(void) { _tile_release(); }

/* ---- the left operand of a gradient: for each block of rows, the pairs of each column ---- */

/* Columns of a panel of x, from row `row` on, as rows of pairs: those of rows before `begin` and
 * from `end` on are 0. */
INLINE void pairs_of_columns(const real *x, ptrdiff_t row, ptrdiff_t begin, ptrdiff_t end,
                             vec lanes[LANES]) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) {
        ptrdiff_t r = row + 2 * i;
        lanes[i] = (vec){0};
        if (r >= begin && r < end)
            lanes[i] = (vec)pair_of(load(x + r * PANEL), row_or_zeros(x, r + 1, end));
    }
    transpose_lanes(lanes);
}

static void pair_left(ptrdiff_t first, ptrdiff_t rows, int last, ptrdiff_t panels, const real *x,
                      ptrdiff_t jump, fastnn_pair *out, ptrdiff_t out_jump) {
    ptrdiff_t end = first + rows;
    for (; panels > 0; panels--, x += jump, out += out_jump)
        for (ptrdiff_t row = first / BLOCK * BLOCK; row < end; row += BLOCK) {
            ptrdiff_t begins = first > row ? (first - row) / 2 : 0;
            ptrdiff_t ends = end - row < BLOCK && !last ? (end - row + 1) / 2 : PAIRS;
            __mmask16 written = (__mmask16)((1u << ends) - (1u << begins));
            vec lanes[LANES];
            pairs_of_columns(x - first * PANEL, row, first, end, lanes);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                _mm512_mask_storeu_epi32(out + (row / 2 + i) * PANEL, written, (__m512i)lanes[i]);
        }
}

/* ---- products ---- */

/* Tile T of sums begins at the bias of its columns, in every row, or at 0; with `more` at c. */
#define START_SUMS(T)                                                                              \
    do {                                                                                           \
        if (more)                                                                                  \
            _tile_loadd(T, c + (T) * c_jump, PANEL * sizeof(real));                                \
        else if (bias)                                                                             \
            _tile_loadd(T, bias + (T) * PANEL, 0);                                                 \
        else                                                                                       \
            _tile_zero(T);                                                                         \
    } while (0)

/* Adds to tile T of sums the products of A with a tile of B, which is loaded to register B. */
#define ADD_PRODUCTS(T, B)                                                                         \
    do {                                                                                           \
        _tile_loadd(B, b + (T) * b_jump, PANEL * sizeof(fastnn_pair));                             \
        _tile_dpbf16ps(T, 4, B);                                                                   \
    } while (0)

/* clang-format off */
#define FOR_PANELS(DO_0, DO_1, DO_2, DO_3)                                                         \
    do {                                                                                           \
        DO_0;                                                                                      \
        if (panels > 1) DO_1;                                                                      \
        if (panels > 2) DO_2;                                                                      \
        if (panels > 3) DO_3;                                                                      \
    } while (0)
/* clang-format on */

/* c (rows of the configuration, panels) = or += A @ b over `blocks` blocks; `panels` is a constant
 * wherever this is inlined, at most 4. */
INLINE void multiply_tiles(int panels, ptrdiff_t blocks, const fastnn_pair *a, ptrdiff_t a_jump,
                           const fastnn_pair *b, ptrdiff_t b_jump, const real *bias, int more,
                           real *c, ptrdiff_t c_jump, const fastnn_pair *later, ptrdiff_t n_later) {
    enum { ROW = PANEL * sizeof(real) };
    FOR_PANELS(START_SUMS(0), START_SUMS(1), START_SUMS(2), START_SUMS(3));
    for (; blocks > 0; blocks--, a += a_jump, b += PAIRS * PANEL) {
        fetch_rows(panels, n_later, later, b_jump * (ptrdiff_t)sizeof *b);
        later += n_later * PANEL;
        _tile_loadd(4, a, PAIRS * sizeof(fastnn_pair));
        FOR_PANELS(ADD_PRODUCTS(0, 5), ADD_PRODUCTS(1, 6), ADD_PRODUCTS(2, 7), ADD_PRODUCTS(3, 5));
    }
    FOR_PANELS(_tile_stored(0, c, ROW), _tile_stored(1, c + c_jump, ROW),
               _tile_stored(2, c + 2 * c_jump, ROW), _tile_stored(3, c + 3 * c_jump, ROW));
}

/* The same for all rows, by parts of the depth: a part of 4 panels of b stays in L1. The next part
 * is prefetched, unless `after`, the panels after these, is NULL. */
INLINE void multiply_panels(int panels, ptrdiff_t rows, ptrdiff_t blocks, const fastnn_pair *a,
                            ptrdiff_t a_jump, const fastnn_pair *b, ptrdiff_t b_jump,
                            const fastnn_pair *after, const real *bias, real *c, ptrdiff_t c_jump) {
    enum { PART = 8 };
    ptrdiff_t tiles = (rows + PANEL - 1) / PANEL, n_later = after ? (PAIRS + tiles - 1) / tiles : 0;
    for (ptrdiff_t k = 0; k < blocks; k += PART) {
        const fastnn_pair *later =
            after && k + PART < blocks ? b + (k + PART) * PAIRS * PANEL : after;
        for (ptrdiff_t r = 0; r < rows; r += PANEL, later += PART * n_later * PANEL)
            multiply_tiles(panels, blocks - k < PART ? blocks - k : PART,
                           a + k * a_jump + r * PAIRS, a_jump, b + k * PAIRS * PANEL, b_jump, bias,
                           k > 0, c + r * PANEL, c_jump, later, n_later);
    }
}

/* The same for any number of panels, and tiles of as many rows as are configured. */
static void multiply_rows(ptrdiff_t rows, ptrdiff_t blocks, ptrdiff_t panels, const fastnn_pair *a,
                          ptrdiff_t a_jump, const fastnn_pair *b, ptrdiff_t b_jump,
                          const real *bias, real *c, ptrdiff_t c_jump) {
    enum { MOST = 4 };
    int is_far = are_far(panels, b_jump);
    for (; panels >= MOST; panels -= MOST, b += MOST * b_jump, c += MOST * c_jump) {
        const fastnn_pair *after = is_far ? b + MOST * b_jump : NULL;
        multiply_panels(MOST, rows, blocks, a, a_jump, b, b_jump, after, bias, c, c_jump);
        bias = bias ? bias + MOST * PANEL : NULL;
    }
    if (panels == 3) multiply_panels(3, rows, blocks, a, a_jump, b, b_jump, NULL, bias, c, c_jump);
    if (panels == 2) multiply_panels(2, rows, blocks, a, a_jump, b, b_jump, NULL, bias, c, c_jump);
    if (panels == 1) multiply_panels(1, rows, blocks, a, a_jump, b, b_jump, NULL, bias, c, c_jump);
}

static void pair_product(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t panels, const fastnn_pair *a,
                         ptrdiff_t a_jump, const fastnn_pair *b, ptrdiff_t b_jump, const real *bias,
                         real *c, ptrdiff_t c_jump) {
    ptrdiff_t rest = rows % PANEL, whole = rows - rest, blocks = blocks_of(depth);
    if (whole > 0) {
        configure_tiles(PANEL);
        multiply_rows(whole, blocks, panels, a, a_jump, b, b_jump, bias, c, c_jump);
    }
    if (rest > 0) {
        configure_tiles(rest);
        multiply_rows(rest, blocks, panels, a + whole * PAIRS, a_jump, b, b_jump, bias,
                      c + whole * PANEL, c_jump);
    }
    _tile_release();
}

/* Add to tile 0 the products of blocks first ... stop of the rows. */
INLINE void add_blocks_of_rows(ptrdiff_t first, ptrdiff_t stop, const fastnn_pair *z,
                               const fastnn_pair *delta) {
    for (ptrdiff_t i = first; i < stop; i++) {
        _tile_loadd(4, z + i * PAIRS * PANEL, PAIRS * sizeof(fastnn_pair));
        _tile_loadd(5, delta + i * PAIRS * PANEL, PANEL * sizeof(fastnn_pair));
        _tile_dpbf16ps(0, 4, 5);
    }
}

/* A tile of sums has PANEL rows: if g has fewer, it is copied. */
static void pair_outer(ptrdiff_t rows, ptrdiff_t width, const fastnn_pair *z,
                       const fastnn_pair *delta, int more, real *g) {
    real whole[PANEL * PANEL] __attribute__((aligned(64)));
    size_t size = (size_t)(width * PANEL) * sizeof(real);
    real *sums = width == PANEL ? g : whole;
    if (more && sums == whole) memcpy(whole, g, size);
    if (more)
        _tile_loadd(0, sums, PANEL * sizeof(real));
    else
        _tile_zero(0);
    add_blocks_of_rows(0, blocks_of(rows), z, delta);
    _tile_stored(0, sums, PANEL * sizeof(real));
    if (sums == whole) memcpy(g, whole, size);
}

#endif
