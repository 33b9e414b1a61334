/* check_rows.c - the leaves that rows pass on their way in and out: between row-major arrays and
 * panels (rows.h), dropout (dropout.h); and the probes of the machine (probe.h). */
#include "harness.h"

#include <float.h>
#include <string.h>

#if FASTNN_BITS == 32
#define LARGEST FLT_MAX
#else
#define LARGEST DBL_MAX
#endif

/* An order of `rows` out of `n` rows, or NULL. */
static int64_t *new_order(bool ordered, ptrdiff_t rows, ptrdiff_t n) {
    if (!ordered) return NULL;
    int64_t *order = new_integers("order", rows);
    for (ptrdiff_t r = 0; r < rows; r++) order[r] = random_below(n);
    order[random_below(rows)] = n - 1;
    return order;
}

static void check_one_gather(ptrdiff_t rows, ptrdiff_t columns, bool ordered) {
    ptrdiff_t n = ordered ? rows / 2 + 1 : rows;
    begin_case("rows=%td columns=%td ordered=%d", rows, columns, ordered);
    real *source = new_reals("source", n * columns, 0);
    int64_t *order = new_order(ordered, rows, n);
    matrix m = new_matrix("panels", rows, columns, random_below(3), 0);
    randomize(source, n * columns);
    CALL(ops->gather(rows, columns, source, order, m.at, m.jump));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < columns; c++)
            expect_bits(m.at, offset(&m, r, c), source[(order ? order[r] : r) * columns + c]);
    expect_zero_padding(&m);
    end_case();
}

void check_gather(void) {
    for (const ptrdiff_t *rows = sizes; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            for (int ordered = 0; ordered < 2; ordered++)
                check_one_gather(*rows, *columns, ordered);
}

void check_scatter(void) {
    for (const ptrdiff_t *rows = sizes; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++) {
            begin_case("rows=%td columns=%td", *rows, *columns);
            matrix m = new_matrix("panels", *rows, *columns, random_below(3), 0);
            real *out = new_reals("out", *rows * *columns, 0);
            randomize_matrix(&m, FINITE);
            CALL(ops->scatter(*rows, *columns, m.at, m.jump, out));
            for (ptrdiff_t i = 0; i < *rows * *columns; i++)
                expect_bits(out, i, m.at[offset(&m, i / *columns, i % *columns)]);
            end_case();
        }
}

static void check_one_one_hot(ptrdiff_t rows, ptrdiff_t columns, bool ordered) {
    ptrdiff_t n = ordered ? rows / 2 + 1 : rows;
    begin_case("rows=%td columns=%td ordered=%d", rows, columns, ordered);
    int64_t *labels = new_integers("labels", n), *order = new_order(ordered, rows, n);
    matrix m = new_matrix("panels", rows, columns, random_below(3), 0);
    for (ptrdiff_t i = 0; i < n; i++) labels[i] = random_below(columns);
    labels[random_below(n)] = columns - 1;
    CALL(ops->one_hot(rows, columns, labels, order, m.at, m.jump));
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < columns; c++)
            expect(m.at, offset(&m, r, c), labels[order ? order[r] : r] == c, 0);
    expect_zero_padding(&m);
    end_case();
}

void check_one_hot(void) {
    for (const ptrdiff_t *rows = sizes; *rows; rows++)
        for (const ptrdiff_t *columns = sizes; *columns; columns++)
            for (int ordered = 0; ordered < 2; ordered++)
                check_one_one_hot(*rows, *columns, ordered);
}

/* Padding has mean and inverse 0. */
void check_add(void) {
    for (ptrdiff_t n = PANEL; n <= 5 * PANEL; n += PANEL)
        for (int in_place = 0; in_place < 2; in_place++) {
            begin_case("n=%td in_place=%d", n, in_place);
            real *x = new_reals("x", n, 0), *y = new_reals("y", n, 0);
            real *before = new_reals("x before", n, 0);
            real *out = in_place ? x : new_reals("out", n, 0);
            randomize(x, n);
            randomize(y, n);
            memcpy(before, x, (size_t)n * sizeof(real));
            CALL(ops->add(n, x, y, out));
            for (ptrdiff_t i = 0; i < n; i++) expect_bits(out, i, before[i] + y[i]);
            end_case();
        }
}

void check_standardize(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t columns = 1; columns <= PANEL; columns++) {
            begin_case("rows=%td columns=%td", *rows, columns);
            matrix mean = new_matrix("mean", 1, columns, 0, 0), x, before;
            matrix inverse = new_matrix("inverse", 1, columns, 0, 0);
            x = new_matrix("x", *rows, columns, 0, 0);
            before = new_matrix("x before", *rows, columns, 0, 0);
            randomize_matrix(&mean, ZERO);
            randomize_matrix(&inverse, ZERO);
            randomize_matrix(&x, ZERO);
            memcpy(before.at, x.at, (size_t)(*rows * PANEL) * sizeof(real));
            CALL(ops->standardize(*rows, mean.at, inverse.at, x.at));
            for (ptrdiff_t r = 0; r < *rows; r++)
                for (ptrdiff_t c = 0; c < columns; c++) {
                    double scale = element(&inverse, 0, c), old = element(&before, r, c);
                    double truth = (old - element(&mean, 0, c)) * scale;
                    expect(x.at, offset(&x, r, c), truth, rounding(1, fabs(truth)));
                }
            expect_zero_padding(&x);
            end_case();
        }
}

static void check_one_first_nonfinite(ptrdiff_t n, ptrdiff_t at, real bad) {
    begin_case("n=%td at=%td bad=%g", n, at, (double)bad);
    real *x = new_reals("x", n, 0);
    for (ptrdiff_t i = 0; i < n; i++) x[i] = i % 2 ? (real)LARGEST : -(real)LARGEST;
    ptrdiff_t found = 0;
    if (at >= 0) {
        x[at] = bad;
        x[at + random_below(n - at)] = bad; /* and perhaps another */
    }
    CALL(found = ops->first_nonfinite(n, x));
    expect_returned((double)found, (double)at, 0);
    end_case();
}

void check_first_nonfinite(void) {
    static const real bad[] = {(real)NAN, (real)INFINITY, -(real)INFINITY};
    for (const ptrdiff_t *n = sizes; *n; n++) {
        check_one_first_nonfinite(*n, -1, 0);
        for (ptrdiff_t at = 0; at < *n; at++) check_one_first_nonfinite(*n, at, bad[at % 3]);
    }
    for (ptrdiff_t n = 1; n < 300; n++) {
        check_one_first_nonfinite(n, -1, 0);
        check_one_first_nonfinite(n, n - 1, bad[n % 3]);
    }
}

/* ---- dropout ---- */

/* The n-th number, n = 1, 2, ..., of splitmix64 (Steele, Lea, Flood 2014) from a seed. */
static uint64_t splitmix(uint64_t seed, uint64_t n) {
    uint64_t z = seed + n * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void check_one_dropout_forward(fastnn_dropout_args args) {
    begin_case("rows=%td columns=%td first_row=%td first_column=%td rate=%g", args.rows,
               args.columns, args.first_row, args.first_column, args.rate);
    matrix z = new_matrix("z", args.rows, args.columns, 0, 0);
    matrix out = new_matrix("out", args.rows, args.columns, 0, 0);
    uint16_t *masks = new_masks("masks", args.rows);
    randomize_matrix(&z, FINITE);
    CALL(ops->dropout_forward(&args, z.at, out.at, masks));
    uint64_t key = splitmix(splitmix(args.seed, args.step + 1), args.layer + 1);
    real scale = (real)(1 / (1 - args.rate));
    for (ptrdiff_t r = 0; r < args.rows; r++) {
        unsigned mask = 0;
        for (ptrdiff_t c = 0; c < args.columns; c++) {
            ptrdiff_t number = (args.first_row + r) * args.units + args.first_column + c + 1;
            double bits = (double)(splitmix(key, (uint64_t)number) >> 32);
            bool kept = bits >= floor(args.rate * 0x1p32);
            mask |= (unsigned)kept << c;
            expect_bits(out.at, offset(&out, r, c), kept ? z.at[offset(&z, r, c)] * scale : 0);
        }
        expect_mask(masks, r, mask);
    }
    expect_zero_padding(&out);
    end_case();
}

void check_dropout_forward(void) {
    static const double rates[] = {0, 0.1, 0.5, 0.999};
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t columns = 1; columns <= PANEL; columns++)
            check_one_dropout_forward((fastnn_dropout_args){
                .seed = random_bits(),
                .step = (uint64_t)random_below(1000),
                .layer = (uint64_t)random_below(4),
                .rate = rates[random_below(4)],
                .rows = *rows,
                .first_row = random_below(100),
                .columns = columns,
                .first_column = PANEL * random_below(3),
                .units = 2 * PANEL + columns,
            });
}

void check_dropout_backward(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++)
        for (ptrdiff_t columns = 1; columns <= PANEL; columns++) {
            begin_case("rows=%td columns=%td", *rows, columns);
            matrix before = new_matrix("before", *rows, columns, 0, 0);
            matrix delta = new_matrix("delta", *rows, columns, 0, 0);
            uint16_t *masks = new_masks("masks", *rows);
            randomize_matrix(&before, FINITE);
            memcpy(delta.at, before.at, (size_t)(*rows * PANEL) * sizeof(real));
            for (ptrdiff_t r = 0; r < *rows; r++)
                masks[r] = (uint16_t)(random_bits() & ((1u << columns) - 1));
            CALL(ops->dropout_backward(*rows, 0.3, masks, delta.at));
            for (ptrdiff_t r = 0; r < *rows; r++)
                for (ptrdiff_t c = 0; c < columns; c++) {
                    real x = before.at[offset(&before, r, c)] * (real)(1 / (1 - 0.3));
                    expect_bits(delta.at, offset(&delta, r, c), masks[r] >> c & 1 ? x : 0);
                }
            expect_zero_padding(&delta);
            end_case();
        }
}

/* ---- probes ---- */

void check_multiply_adds(void) {
    for (ptrdiff_t n = 1; n < 20; n++) {
        begin_case("n=%td", n);
        real *sink = new_reals("sink", 1, 0);
        double once = 0, done = 0;
        CALL(once = ops->multiply_adds(1, sink));
        expect_anything(sink, 1);
        CALL(done = ops->multiply_adds(n, sink));
        expect_returned(done, once * (double)n, 0);
        if (!(once > 0 && isfinite(*sink))) fail("%g operations in a round", once);
        expect_anything(sink, 1);
        end_case();
    }
}

void check_read_all(void) {
    for (ptrdiff_t n = 8 * PANEL; n <= 80 * PANEL; n += 8 * PANEL) {
        begin_case("n=%td", n);
        real *x = new_reals("x", n, 0);
        randomize(x, n);
        double sum = 0, magnitude = 0, found = 0;
        for (ptrdiff_t i = 0; i < n; i++) {
            sum += (double)x[i];
            magnitude += fabs((double)x[i]);
        }
        CALL(found = (double)ops->read_all(n, x));
        expect_returned(found, sum, rounding(n, magnitude));
        end_case();
    }
}
