/* tiny.h - on-line training of networks whose every layer fits one panel: the whole step in one
 * function, since a call for each of its parts would cost more than the arithmetic.
 *
 * One row at a time. z, slope and delta of a layer are one panel each, weights (n_in, PANEL).
 */
#ifndef FASTNN_TINY_H
#define FASTNN_TINY_H

#include <string.h>

#include "activations.h"
#include "losses.h"
#include "optimizers.h"

/* h(z_prev @ W + b), or the pre-activations where the loss wants these. */
INLINE void tiny_forward(const fastnn_tiny_layer *layer, int activate) {
    for (int v = 0; v < PANEL; v += LANES) {
        vec a = layer->b ? load(layer->b + v) : (vec){0}, slope = splat(1);
        for (ptrdiff_t k = 0; k < layer->n_in; k++)
            a = multiply_add(splat(layer->z_prev[k]), load(layer->W + k * PANEL + v), a);
        if (activate) a = value_and_slope(layer->activation, a, layer->alpha, &slope);
        store(layer->z + v, a);
        store(layer->slope + v, slope);
    }
}

/* delta_prev = (delta @ W.T) * h'(a_prev); padding stays 0. */
INLINE void tiny_delta(const fastnn_tiny_layer *layer, const fastnn_tiny_layer *below) {
    for (ptrdiff_t k = 0; k < layer->n_in; k++) {
        vec sum = {0};
        for (int v = 0; v < PANEL; v += LANES)
            sum = multiply_add(load(layer->delta + v), load(layer->W + k * PANEL + v), sum);
        below->delta[k] = sum_lanes(sum) * below->slope[k];
    }
}

/* Few are the nets that are this small and the optimizers that they are trained on-line with: plain
 * descent is inlined, the others cost a call. */
INLINE void tiny_update(const fastnn_tiny *net, const fastnn_tiny_layer *layer,
                        const fastnn_step *step, const fastnn_step *bias_step) {
    if (net->optimizer->rank_one == sgd_rank_one) {
        for (int v = 0; v < PANEL; v += LANES) {
            vec change = splat(step->rate) * load(layer->delta + v);
            for (ptrdiff_t k = 0; k < layer->n_in; k++) {
                real *w = layer->W + k * PANEL + v;
                store(w, load(w) - splat(layer->z_prev[k]) * change);
            }
            if (layer->b) store(layer->b + v, load(layer->b + v) - change);
        }
    } else {
        net->optimizer->rank_one(layer->n_in, step, layer->z_prev, layer->delta, layer->W,
                                 net->block);
        if (layer->b) net->optimizer->rule(PANEL, bias_step, layer->delta, layer->b, net->block);
    }
}

static double tiny_steps(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X,
                         const real *T, const int64_t *labels, const int64_t *order) {
    const fastnn_tiny_layer *first = net->layers, *last = net->layers + net->n_layers - 1;
    int canonical = net->loss->activation != NULL;
    double loss, total = 0;
    real target[PANEL] __attribute__((aligned(64))) = {0}, weight = 1;
    fastnn_loss_args args = {.rows = 1,
                             .columns = last->n_out,
                             .jump = PANEL,
                             .y = last->z,
                             .t = target,
                             .parameter = net->loss_parameter,
                             .weight = &weight,
                             .delta = last->delta,
                             .loss = &loss};
    fastnn_step step, bias_step;
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t row = order ? (ptrdiff_t)order[i] : i;
        for (ptrdiff_t k = 0; k < first->n_in; k++) first->z_prev[k] = X[row * first->n_in + k];
        for (const fastnn_tiny_layer *layer = first; layer < last; layer++) tiny_forward(layer, 1);
        tiny_forward(last, !canonical);
        for (ptrdiff_t k = 0; k < last->n_out; k++)
            target[k] = labels ? labels[row] == k : T[row * last->n_out + k];
        net->loss->run(&args);
        for (int v = 0; v < PANEL; v += LANES)
            store(last->delta + v, load(last->delta + v) * load(last->slope + v));
        for (const fastnn_tiny_layer *layer = last; layer > first; layer--)
            tiny_delta(layer, layer - 1);
        net->optimizer->prepare(net->hyper, t + (double)i, &step);
        bias_step = step;
        bias_step.shrink = 1;
        for (const fastnn_tiny_layer *layer = first; layer <= last; layer++)
            tiny_update(net, layer, &step, &bias_step);
        total += loss;
    }
    return total;
}

#endif
