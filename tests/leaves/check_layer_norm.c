/* check_layer_norm.c - the leaves of layer normalization (layer_norm.h). */
#include "harness.h"

#include <string.h>

typedef struct {
    matrix x, z, unit, gain, bias, delta, below;
    real *scale;
    fastnn_layer_norm_args args;
} norm_case;

static norm_case new_norm(ptrdiff_t rows, ptrdiff_t columns, bool keeps) {
    ptrdiff_t gap = random_below(3);
    norm_case made = {
        .x = new_matrix("x", rows, columns, gap, 0),
        .z = new_matrix("z", rows, columns, gap, 0),
        .unit = new_matrix("unit", rows, columns, gap, 0),
        .gain = new_matrix("gain", 1, columns, 0, 0),
        .bias = new_matrix("bias", 1, columns, 0, 0),
        .delta = new_matrix("delta", rows, columns, gap, 0),
        .below = new_matrix("below", rows, columns, gap, 0),
        .scale = new_reals("scale", rows, 0),
    };
    randomize_matrix(&made.x, FINITE);
    randomize_matrix(&made.gain, ZERO);
    randomize_matrix(&made.bias, ZERO);
    randomize_matrix(&made.delta, ZERO);
    made.args = (fastnn_layer_norm_args){.rows = rows,
                                         .columns = columns,
                                         .jump = made.x.jump,
                                         .epsilon = (real)0.25,
                                         .gain = made.gain.at,
                                         .bias = made.bias.at,
                                         .unit = keeps ? made.unit.at : NULL,
                                         .scale = keeps ? made.scale : NULL};
    return made;
}

/* 1 / sqrt(var + epsilon) of row r, and its mean. */
static double scale_of(const norm_case *made, ptrdiff_t r, double *mean) {
    ptrdiff_t n = made->x.columns;
    double squares = 0;
    *mean = 0;
    for (ptrdiff_t c = 0; c < n; c++) *mean += element(&made->x, r, c) / (double)n;
    for (ptrdiff_t c = 0; c < n; c++) {
        double apart = element(&made->x, r, c) - *mean;
        squares += apart * apart / (double)n;
    }
    return 1 / sqrt(squares + (double)made->args.epsilon);
}

static void check_one_forward(ptrdiff_t rows, ptrdiff_t columns, bool keeps) {
    begin_case("rows=%td columns=%td keeps=%d", rows, columns, keeps);
    norm_case made = new_norm(rows, columns, keeps);
    CALL(ops->layer_norm_forward(&made.args, made.x.at, made.z.at));
    double bound = rounding(columns, 64);
    for (ptrdiff_t r = 0; r < rows; r++) {
        double mean, scale = scale_of(&made, r, &mean);
        for (ptrdiff_t c = 0; c < columns; c++) {
            double unit = (element(&made.x, r, c) - mean) * scale;
            expect(made.z.at, offset(&made.z, r, c),
                   element(&made.gain, 0, c) * unit + element(&made.bias, 0, c), bound);
            if (keeps) expect(made.unit.at, offset(&made.unit, r, c), unit, bound);
        }
        if (keeps) expect(made.scale, r, scale, bound);
    }
    expect_zero_padding(&made.z);
    if (keeps) expect_zero_padding(&made.unit);
    end_case();
}

void check_layer_norm_forward(void) {
    for (const ptrdiff_t *columns = sizes; *columns; columns++)
        for (ptrdiff_t rows = 1; rows < 4; rows++)
            for (int keeps = 0; keeps < 2; keeps++) check_one_forward(rows, *columns, keeps);
}

static void check_one_backward(ptrdiff_t rows, ptrdiff_t columns) {
    begin_case("rows=%td columns=%td", rows, columns);
    norm_case made = new_norm(rows, columns, true);
    randomize_matrix(&made.unit, ZERO);
    randomize(made.scale, rows);
    CALL(ops->layer_norm_backward(&made.args, made.delta.at, made.below.at));
    double n = (double)columns, bound = rounding(columns, 64);
    for (ptrdiff_t r = 0; r < rows; r++) {
        double sum = 0, tilt = 0;
        for (ptrdiff_t c = 0; c < columns; c++) {
            double d = element(&made.gain, 0, c) * element(&made.delta, r, c);
            sum += d, tilt += d * element(&made.unit, r, c);
        }
        for (ptrdiff_t c = 0; c < columns; c++) {
            double d = element(&made.gain, 0, c) * element(&made.delta, r, c);
            double slope = d - sum / n - element(&made.unit, r, c) * tilt / n;
            expect(made.below.at, offset(&made.below, r, c), (double)made.scale[r] * slope, bound);
        }
    }
    expect_zero_padding(&made.below);
    end_case();
}

void check_layer_norm_backward(void) {
    for (const ptrdiff_t *columns = sizes; *columns; columns++)
        for (ptrdiff_t rows = 1; rows < 4; rows++) check_one_backward(rows, *columns);
}

void check_column_dots(void) {
    for (const ptrdiff_t *rows = row_counts; *rows; rows++) {
        begin_case("rows=%td", *rows);
        real *unit = new_reals("unit", *rows * PANEL, 0);
        real *delta = new_reals("delta", *rows * PANEL, 0);
        real *whole = new_reals("g", PANEL, 0), *parts = new_reals("g in parts", PANEL, 0);
        ptrdiff_t half = *rows / 2;
        randomize(unit, *rows * PANEL);
        randomize(delta, *rows * PANEL);
        CALL(ops->column_dots(*rows, unit, delta, 0, whole));
        for (ptrdiff_t c = 0; c < PANEL; c++) {
            double truth = 0, size = 0;
            for (ptrdiff_t r = 0; r < *rows; r++) {
                double product = (double)unit[r * PANEL + c] * (double)delta[r * PANEL + c];
                truth += product, size += fabs(product);
            }
            expect(whole, c, truth, rounding(*rows, size));
        }
        CALL(ops->column_dots(half, unit, delta, 0, parts));
        expect_anything(parts, PANEL);
        CALL(ops->column_dots(*rows - half, unit + half * PANEL, delta + half * PANEL, 1, parts));
        for (ptrdiff_t c = 0; c < PANEL; c++) expect_bits(parts, c, whole[c]); /* as in one go */
        end_case();
    }
}
