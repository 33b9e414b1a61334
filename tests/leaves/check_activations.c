/* check_activations.c - activations.h, losses.h and the functions of vmath.h over arrays. */
#include "formulas.h"
#include "harness.h"

#include <string.h>

static real *copy_of(const char *name, const real *x, ptrdiff_t n) {
    real *copy = new_reals(name, n, 0);
    memcpy(copy, x, (size_t)n * sizeof(real));
    return copy;
}

/* n pre-activations, some at the edges. */
static real *new_pre_activations(ptrdiff_t n) {
    static const double edges[] = {0, -0.0, 30, -30, 80, -80, 1e-30, -1e-30, NAN};
    real *a = new_reals("a", n, 0);
    for (ptrdiff_t i = 0; i < n; i++)
        a[i] = (real)(random_below(8) ? uniform(-10, 10) : edges[random_below(9)]);
    return a;
}

/* How much an activation's rounding may exceed that of a number of its size. */
static double excess(const char *name, double a) {
    if (strcmp(name, "gelu") == 0) return 1 + a * a;                /* of erfc's rounded argument */
    if (strcmp(name, "gelu_tanh") == 0) return 1 + fabs(a * a * a); /* of tanh's */
    return 1;
}

static void check_point_wise(const fastnn_activation *activation, ptrdiff_t n, bool keep) {
    double alpha = (double)(real)0.3;
    begin_case("%s n=%td keep=%d", activation->name, n, keep);
    real *a = new_pre_activations(n), *z = copy_of("z", a, n), *slope = NULL, *delta, *above;
    if (keep) slope = new_reals("slope", n, 0);
    above = new_reals("delta before", n, 0);
    randomize(above, n);
    delta = copy_of("delta", above, n);
    const activation_formula *formula = find_activation_formula(activation->name);
    if (formula == NULL) return;
    CALL(activation->forward(n, (real)alpha, z, slope));
    for (ptrdiff_t i = 0; i < n; i++) {
        double x = (double)a[i], truth = formula->value(x, alpha);
        double least = (double)(FASTNN_BITS == 32 ? 0x1p-149 : 0x1p-1074) * (1 + fabs(x));
        expect(z, i, truth, rounding(1, fabs(truth) * excess(activation->name, x)) + least);
        if (keep && !activation->keeps_slope) continue; /* which must be as it was */
        if (keep) expect(slope, i, formula->slope(x, alpha), rounding(1, fmax(1, fabs(truth))));
    }
    if (activation->keeps_slope == keep) {
        CALL(activation->backward(n, (real)alpha, keep ? slope : z, delta));
        for (ptrdiff_t i = 0; i < n; i++) {
            double x = (double)a[i], d = (double)above[i], size = fabs(formula->value(x, alpha));
            expect(delta, i, d * formula->slope(x, alpha), rounding(1, fabs(d) * fmax(1, size)));
        }
    }
    end_case();
}

/* z and delta of whole rows; h is softmax. The last row alone gives the same bits. */
static void check_row_wise(const fastnn_activation *activation, ptrdiff_t rows, ptrdiff_t columns,
                           ptrdiff_t gap) {
    begin_case("%s rows=%td columns=%td gap=%td", activation->name, rows, columns, gap);
    if (strcmp(activation->name, "softmax") != 0) fail("formulas.c has no %s", activation->name);
    matrix a = new_matrix("a", rows, columns, gap, 0), z = new_matrix("z", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of z", 1, columns, gap, 0);
    matrix above = new_matrix("delta before", rows, columns, gap, 0);
    matrix delta = new_matrix("delta", rows, columns, gap, 0);
    double truth[MOST_COLUMNS], row[MOST_COLUMNS] = {0};
    randomize_matrix(&a, FINITE);
    randomize_matrix(&above, ZERO);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++) {
            z.at[offset(&z, r, c)] = a.at[offset(&a, r, c)];
            delta.at[offset(&z, r, c)] = above.at[offset(&a, r, c)];
            alone.at[offset(&alone, 0, c)] = a.at[offset(&a, r, c)];
        }
    CALL(activation->row_forward(rows, columns, z.jump, z.at));
    for (ptrdiff_t r = 0; r < rows; r++) {
        for (ptrdiff_t c = 0; c < columns; c++) row[c] = element(&a, r, c);
        softmax_formula(columns, row, truth);
        for (ptrdiff_t c = 0; c < columns; c++)
            expect(z.at, offset(&z, r, c), truth[c], rounding(columns, 4 * truth[c]));
    }
    expect_zero_padding(&z);
    CALL(activation->row_forward(1, columns, alone.jump, alone.at));
    for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++)
        expect_bits(alone.at, offset(&alone, 0, c), z.at[offset(&z, rows - 1, c)]);
    CALL(activation->row_backward(rows, columns, z.jump, z.at, delta.at));
    for (ptrdiff_t r = 0; r < rows; r++) {
        double dot = 0;
        for (ptrdiff_t c = 0; c < columns; c++) dot += element(&z, r, c) * element(&above, r, c);
        for (ptrdiff_t c = 0; c < columns; c++)
            expect(delta.at, offset(&delta, r, c),
                   element(&z, r, c) * (element(&above, r, c) - dot),
                   rounding(columns, 4 * element(&z, r, c)));
    }
    expect_zero_padding(&delta);
    end_case();
}

void check_activations(void) {
    for (const fastnn_activation *it = ops->activations; it->name; it++) {
        if (it->forward)
            for (const ptrdiff_t *panels = sizes; *panels; panels++)
                for (int keep = 0; keep < 2; keep++) check_point_wise(it, *panels * PANEL, keep);
        if (it->row_forward)
            for (const ptrdiff_t *rows = sizes; *rows; rows++)
                for (const ptrdiff_t *columns = sizes; *columns; columns++)
                    check_row_wise(it, *rows, *columns, random_below(3));
    }
}

/* ---- losses ---- */

/* t (rows, columns) that the loss takes. */
static void randomize_targets(const fastnn_loss *loss, const matrix *t) {
    randomize_matrix(t, ZERO);
    for (ptrdiff_t r = 0; r < t->rows; r++) {
        double row[MOST_COLUMNS], sum = 1;
        for (ptrdiff_t c = 0; c < t->columns; c++) row[c] = random_target(loss);
        if (strcmp(loss->name, "cross_entropy") == 0) {
            sum = 0;
            for (ptrdiff_t c = 0; c < t->columns; c++) sum += row[c];
        }
        for (ptrdiff_t c = 0; c < t->columns; c++) t->at[offset(t, r, c)] = (real)(row[c] / sum);
    }
}

/* One row of what a loss gave. */
static void expect_loss(const fastnn_loss *loss, const fastnn_loss_args *args, const matrix *y,
                        const matrix *t, const matrix *delta, ptrdiff_t r) {
    double row[MOST_COLUMNS] = {0}, target[MOST_COLUMNS] = {0}, parameter[MOST_COLUMNS] = {0};
    double slope[MOST_COLUMNS], squares = 0;
    double weight = (double)args->weight[r];
    ptrdiff_t columns = args->columns, depth = strcmp(loss->name, "cross_entropy") ? 1 : columns;
    for (ptrdiff_t c = 0; c < columns; c++) {
        row[c] = element(y, r, c), target[c] = element(t, r, c);
        parameter[c] = args->parameter ? (double)args->parameter[c] : 0;
    }
    double truth = loss_formula(loss, columns, row, target, parameter, slope);
    for (ptrdiff_t c = 0; c < columns; c++) {
        double size = 1 + fabs(row[c]) + fabs(target[c]);
        if (loss->activation) size += exp(row[c]) + fabs(slope[c]);
        squares += size * size;
        expect(delta->at, offset(delta, r, c), weight * slope[c], rounding(depth, weight * size));
    }
    expect_double(args->loss, r, weight * truth, rounding(columns, weight * squares));
}

/* Padded with zeros; NULL for a loss without one, and sometimes for one that may do without. */
static real *new_parameter(const fastnn_loss *loss, ptrdiff_t columns) {
    if (!draws_parameter(loss)) return NULL;
    ptrdiff_t n = panels_of(columns) * PANEL;
    real *parameter = new_reals("parameter", n, 0);
    for (ptrdiff_t c = 0; c < n; c++) parameter[c] = c < columns ? (real)uniform(0.1, 0.9) : 0;
    return parameter;
}

/* And the bits of the last row alone. */
static void check_one_loss(const fastnn_loss *loss, ptrdiff_t rows, ptrdiff_t columns,
                           ptrdiff_t gap) {
    begin_case("%s %s rows=%td columns=%td gap=%td", loss->name,
               loss->activation ? loss->activation : "any", rows, columns, gap);
    matrix y = new_matrix("y", rows, columns, gap, 0), t = new_matrix("t", rows, columns, gap, 0);
    matrix delta = new_matrix("delta", rows, columns, gap, 0);
    matrix alone = new_matrix("a row of delta", 1, columns, rows - 1 + gap, 0);
    real *weight = new_reals("weight", rows, 0), *parameter = new_parameter(loss, columns);
    double *losses = new_doubles("loss", rows), *loss_alone = new_doubles("a row's loss", 1);
    randomize_matrix(&y, FINITE);
    randomize_targets(loss, &t);
    for (ptrdiff_t r = 0; r < rows; r++) weight[r] = (real)uniform(0, 2);
    const fastnn_loss_args all = {rows,      columns, y.jump,   y.at,  t.at,
                                  parameter, weight,  delta.at, losses};
    CALL(loss->run(&all));
    for (ptrdiff_t r = 0; r < rows; r++) expect_loss(loss, &all, &y, &t, &delta, r);
    expect_zero_padding(&delta);
    ptrdiff_t last = (rows - 1) * PANEL;
    const fastnn_loss_args one = {1,         columns,           y.jump,   y.at + last, t.at + last,
                                  parameter, weight + rows - 1, alone.at, loss_alone};
    CALL(loss->run(&one));
    for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++)
        expect_bits(alone.at, offset(&alone, 0, c), delta.at[offset(&delta, rows - 1, c)]);
    expect_double(loss_alone, 0, losses[rows - 1], 0);
    end_case();
}

void check_losses(void) {
    for (const fastnn_loss *it = ops->losses; it->name; it++)
        for (const ptrdiff_t *rows = sizes; *rows; rows++)
            for (const ptrdiff_t *columns = sizes; *columns; columns++)
                check_one_loss(it, *rows, *columns, random_below(3));
}

/* With weights of 1 in every output, the loss of rows of weight 1; with others, each output's. */
static void check_one_by_output(const fastnn_loss *loss, ptrdiff_t rows, ptrdiff_t columns,
                                ptrdiff_t gap) {
    begin_case("%s %s rows=%td columns=%td gap=%td", loss->name,
               loss->activation ? loss->activation : "any", rows, columns, gap);
    matrix y = new_matrix("y", rows, columns, gap, 0), t = new_matrix("t", rows, columns, gap, 0);
    matrix delta = new_matrix("delta", rows, columns, gap, 0);
    matrix weight = new_matrix("weight", rows, columns, gap, 0);
    real *parameter = new_parameter(loss, columns);
    double *losses = new_doubles("loss", rows);
    randomize_matrix(&y, FINITE);
    randomize_targets(loss, &t);
    randomize_matrix(&weight, ZERO);
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < columns; c++) {
            ptrdiff_t at = offset(&delta, r, c);
            weight.at[at] = random_below(4) ? (real)uniform(-2, 2) : 0;
        }
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t c = 0; c < panels_of(columns) * PANEL; c++)
            delta.at[offset(&delta, r, c)] = weight.at[offset(&delta, r, c)];
    const fastnn_loss_args all = {rows,      columns, y.jump,   y.at,  t.at,
                                  parameter, NULL,    delta.at, losses};
    CALL(loss->run(&all));
    for (ptrdiff_t r = 0; r < rows; r++) {
        double truth = 0, magnitude = 0;
        for (ptrdiff_t c = 0; c < columns; c++) {
            double a = element(&y, r, c), target = element(&t, r, c), slope;
            double own = element(&weight, r, c), p = parameter ? (double)parameter[c] : 0;
            double size = 1 + fabs(a) + fabs(target) + (loss->activation ? exp(a) : 0);
            truth += own * loss_formula(loss, 1, &a, &target, &p, &slope);
            magnitude += fabs(own) * size * size;
            expect(delta.at, offset(&delta, r, c), own * slope, rounding(1, fabs(own) * size));
        }
        expect_double(losses, r, truth, rounding(columns, magnitude));
    }
    expect_zero_padding(&delta);
    end_case();
}

void check_losses_by_output(void) {
    for (const fastnn_loss *it = ops->losses_by_output; it->name; it++)
        for (const ptrdiff_t *rows = sizes; *rows; rows++)
            for (const ptrdiff_t *columns = sizes; *columns; columns++)
                check_one_by_output(it, *rows, *columns, random_below(3));
}

/* ---- functions ---- */

void check_functions(void) {
    for (const fastnn_function *it = ops->functions; it->name; it++)
        for (const ptrdiff_t *panels = sizes; *panels; panels++) {
            ptrdiff_t n = *panels * PANEL;
            begin_case("%s n=%td", it->name, n);
            real *x = new_reals("x", n, 0), *out = new_reals("out", n, 0);
            const function_formula *formula = find_function_formula(it->name);
            if (formula == NULL) continue;
            for (ptrdiff_t i = 0; i < n; i++) x[i] = (real)uniform(formula->low, formula->high);
            CALL(it->run(n, x, out));
            for (ptrdiff_t i = 0; i < n; i++) {
                double truth = formula->value((double)x[i]), square = (double)x[i] * (double)x[i];
                bool normal = strncmp(it->name, "normal", 6) == 0;
                double bound = rounding(1, fabs(truth) * (normal ? 1 + square : 1));
                expect(out, i, truth, bound + (double)(FASTNN_BITS == 32 ? 0x1p-149 : 0));
            }
            end_case();
        }
}
