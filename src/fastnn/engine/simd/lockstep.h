/* lockstep.h - on-line training of several tiny networks of one shape at once (tiny.c trains one).
 * A panel has one number of each network, that of network l in its column l, or lane l.
 *
 * The operations in a step of one network wait for each other and fill a few lanes. A panel of
 * networks fills all lanes, and operations of different networks run side by side. Every number is
 * computed by the operations of tiny.c, in their order, and so has the same bits. Here: plain
 * gradient descent on squared errors, the usual rule for on-line training.
 */
#ifndef FASTNN_LOCKSTEP_H
#define FASTNN_LOCKSTEP_H

#include "activations.h"
#include "losses.h"

/* The sum of n vectors, each of one column of a panel, in the order of sum_panel: in halves. Other
 * columns of the panel, if there are any, are 0, and added once: -0 + 0 is 0. x is overwritten. */
INLINE vec sum_of_columns(ptrdiff_t n, vec x[PANEL]) {
    ptrdiff_t half = PANEL / 2;
    while (half >= n && half > 0) half /= 2;
    for (ptrdiff_t i = 0; n < PANEL && i < n; i++) x[i] += splat(0);
    for (ptrdiff_t i = n; i < 2 * half; i++) x[i] = splat(0);
    for (; half > 0; half /= 2)
        for (ptrdiff_t i = 0; i < half; i++) x[i] += x[i + half];
    return x[0];
}

/* z = h(z_prev @ W + b) */
static void lockstep_forward(const fastnn_lockstep_layer *layer, const real *z_prev) {
    const fastnn_activation *activation = layer->activation;
    for (ptrdiff_t j = 0; j < layer->n_out; j++)
        for (int l = 0; l < PANEL; l += LANES) {
            const real *W = layer->W + j * layer->n_in * PANEL + l;
            vec a = layer->b ? load(layer->b + j * PANEL + l) : splat(0);
            for (ptrdiff_t k = 0; k < layer->n_in; k++)
                a = multiply_add(load(z_prev + k * PANEL + l), load(W + k * PANEL), a);
            store(layer->z + j * PANEL + l, a);
        }
    if (activation->forward)
        activation->forward(layer->n_out * PANEL, layer->alpha, layer->z, layer->slope);
}

/* delta *= h'(a) */
static void lockstep_slope(const fastnn_lockstep_layer *layer) {
    const fastnn_activation *activation = layer->activation;
    if (activation->backward)
        activation->backward(layer->n_out * PANEL, layer->alpha,
                             activation->keeps_slope ? layer->slope : layer->z, layer->delta);
}

/* Adds the loss of each network to `loss`, and computes delta of the last layer. */
static void lockstep_loss(const fastnn_lockstep_layer *last, const real *t, double *loss) {
    vec columns[PANEL] = {{0}};
    for (int l = 0; l < PANEL; l += LANES) {
        real row[LANES] __attribute__((aligned(64)));
        for (ptrdiff_t j = 0; j < last->n_out; j++) {
            ptrdiff_t at = j * PANEL + l;
            vec slope;
            columns[j] = squared_error(load(last->z + at), load(t + at), splat(0), &slope);
            store(last->delta + at, slope);
        }
        store(row, sum_of_columns(last->n_out, columns));
        for (int i = 0; i < LANES; i++) loss[l + i] += (double)row[i];
    }
    lockstep_slope(last);
}

/* delta_prev = (delta @ W.T) * h'(a_prev) */
static void lockstep_delta(const fastnn_lockstep_layer *layer, const fastnn_lockstep_layer *below) {
    vec columns[PANEL] = {{0}};
    for (ptrdiff_t k = 0; k < layer->n_in; k++)
        for (int l = 0; l < PANEL; l += LANES) {
            for (ptrdiff_t j = 0; j < layer->n_out; j++)
                columns[j] =
                    multiply_add(load(layer->delta + j * PANEL + l),
                                 load(layer->W + (j * layer->n_in + k) * PANEL + l), splat(0));
            store(below->delta + k * PANEL + l, sum_of_columns(layer->n_out, columns));
        }
    lockstep_slope(below);
}

/* W -= rate * z_prev.T @ delta;  b -= rate * delta */
static void lockstep_update(const fastnn_lockstep_layer *layer, const real *z_prev,
                            const real *rate) {
    for (ptrdiff_t j = 0; j < layer->n_out; j++)
        for (int l = 0; l < PANEL; l += LANES) {
            real *W = layer->W + j * layer->n_in * PANEL + l, *b = layer->b + j * PANEL + l;
            vec down = -load(rate + l), delta = load(layer->delta + j * PANEL + l);
            for (ptrdiff_t k = 0; k < layer->n_in; k++) {
                vec g = load(z_prev + k * PANEL + l) * delta + splat(0);
                store(W + k * PANEL, multiply_add(down, g, load(W + k * PANEL)));
            }
            if (layer->b) store(b, multiply_add(down, delta, load(b)));
        }
}

/* Updates all layers. Not inlined, since compilers move arithmetic past changes of the mode. */
static void __attribute__((noinline)) lockstep_updates(const fastnn_lockstep *nets, const real *x) {
    const fastnn_lockstep_layer *first = nets->layers, *last = first + nets->n_layers - 1;
    for (const fastnn_lockstep_layer *layer = first; layer <= last; layer++)
        lockstep_update(layer, layer == first ? x : (layer - 1)->z, nets->rate);
}

/* Gathers inputs and targets of the next `rows` rows of each network. */
static void lockstep_gather(const fastnn_lockstep *nets, ptrdiff_t first, ptrdiff_t rows) {
    ptrdiff_t n_in = nets->layers[0].n_in, n_out = nets->layers[nets->n_layers - 1].n_out;
    for (int l = 0; l < PANEL; l++) {
        const fastnn_lockstep_rows *of = &nets->rows[l];
        for (ptrdiff_t r = 0; of->X && r < rows; r++) {
            ptrdiff_t row = of->first + first + r;
            real *x = nets->x + r * n_in * PANEL + l, *t = nets->t + r * n_out * PANEL + l;
            if (of->order) row = (ptrdiff_t)of->order[row];
            for (ptrdiff_t k = 0; k < n_in; k++) x[k * PANEL] = of->X[row * n_in + k];
            for (ptrdiff_t j = 0; j < n_out; j++)
                t[j * PANEL] = of->labels ? of->labels[row] == j : of->T[row * n_out + j];
        }
    }
}

static void lockstep(const fastnn_lockstep *nets, ptrdiff_t n) {
    const fastnn_lockstep_layer *first = nets->layers, *last = first + nets->n_layers - 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t r = i % LOCKSTEP_ROWS;
        if (r == 0) lockstep_gather(nets, i, n - i < LOCKSTEP_ROWS ? n - i : LOCKSTEP_ROWS);
        const real *x = nets->x + r * first->n_in * PANEL;
        for (const fastnn_lockstep_layer *layer = first; layer <= last; layer++)
            lockstep_forward(layer, layer == first ? x : (layer - 1)->z);
        lockstep_loss(last, nets->t + r * last->n_out * PANEL, nets->loss);
        for (const fastnn_lockstep_layer *layer = last; layer > first; layer--)
            lockstep_delta(layer, layer - 1);
        lockstep_updates(nets, x);
    }
}

#endif
