/* tiny.c - on-line training of networks whose every layer fits one panel: the whole step in one
 * function, since a call for each of its parts would cost more than the arithmetic.
 *
 * Rows are trained one at a time. z, slope and delta of a layer are one panel each, weights are
 * (n_in, PANEL). The operations of a step wait for each other, so every instruction set uses short
 * vectors, of four reals: their divisions and sums across lanes are faster, and wider vectors would
 * hold padding. Every number has the bits that the stages give for a batch of one row: its terms
 * are added in the same order, also where a term is 0, since -0 + 0 is 0.
 */
#undef FASTNN_VECTOR_BYTES
#define FASTNN_VECTOR_BYTES (FASTNN_BITS / 2)

#include <string.h>

#include "activations.h"
#include "losses.h"

/* z = h(z_prev @ W + b), or the pre-activations if the loss takes these. */
INLINE void tiny_forward(const fastnn_tiny_layer *layer, const real *z_prev, int activate) {
    for (ptrdiff_t v = 0; v < layer->n_out; v += LANES) {
        vec a = layer->b ? load(layer->b + v) : (vec){0}, slope = splat(1);
        for (ptrdiff_t k = 0; k < layer->n_in; k++)
            a = multiply_add(splat(z_prev[k]), load(layer->W + k * PANEL + v), a);
        if (activate) a = value_and_slope(layer->activation, a, layer->alpha, &slope);
        store(layer->z + v, a);
        store(layer->slope + v, slope);
    }
}

/* The products of two rows of n columns, added in halves down to one vector (panel_sums). */
INLINE vec tiny_products(ptrdiff_t n, const real *x, const real *y) {
    panel_sums sums;
    if (n <= LANES) return multiply_add(load(x), load(y), (vec){0}) + (vec){0};
#pragma GCC unroll 4
    for (int v = 0; v < PANEL_VECTORS; v++)
        sums.lanes[v] = multiply_add(load(x + v * LANES), load(y + v * LANES), (vec){0});
    return fold_panel(&sums);
}

/* delta_prev = (delta @ W.T) * h'(a_prev). Each sum is put into its lane of a register: scalars
 * that are stored one by one would have to reach memory before they could be loaded as a vector. */
INLINE void tiny_delta(const fastnn_tiny_layer *layer, const fastnn_tiny_layer *below) {
    for (ptrdiff_t u = 0; u < layer->n_in; u += LANES) {
        vec delta = {0};
        for (ptrdiff_t k = u; k < layer->n_in && k < u + LANES; k++) {
            vec products = tiny_products(layer->n_out, layer->delta, layer->W + k * PANEL);
            delta = choose(lane_numbers() == (ivec){0} + (ireal)(k - u), sum_everywhere(products),
                           delta);
        }
        store(below->delta + u, delta * load(below->slope + u));
    }
}

/* w - rate * x * delta, as `sgd` in update_by_rank_one. */
INLINE vec descended(vec down, vec x, vec delta, vec w) {
    return multiply_add(down, x * delta + (vec){0}, w);
}

INLINE void descend(vec down, vec x, vec delta, real *w) {
    store(w, descended(down, x, delta, load(w)));
}

/* Plain gradient descent, the usual rule of on-line training, is inlined. Others cost two calls. */
INLINE void tiny_update(const fastnn_tiny *net, const fastnn_tiny_layer *layer, const real *z_prev,
                        int plain, const fastnn_step *step, const fastnn_step *bias_step) {
    if (!plain) {
        net->optimizer->rank_one(layer->n_in, step, z_prev, layer->delta, layer->W, net->block);
        if (layer->b) net->optimizer->rule(PANEL, bias_step, layer->delta, layer->b, net->block);
        return;
    }
    for (ptrdiff_t v = 0; v < layer->n_out; v += LANES) {
        vec down = splat(-step->rate), delta = load(layer->delta + v);
        for (ptrdiff_t k = 0; k < layer->n_in; k++)
            descend(down, splat(z_prev[k]), delta, layer->W + k * PANEL + v);
        if (layer->b) store(layer->b + v, multiply_add(down, delta, load(layer->b + v)));
    }
}

/* Updates all layers from a row x. */
INLINE void tiny_updates(const fastnn_tiny *net, const real *x, int plain, const fastnn_step *step,
                         const fastnn_step *bias_step) {
    const fastnn_tiny_layer *first = net->layers, *last = first + net->n_layers - 1;
    for (const fastnn_tiny_layer *layer = first; layer <= last; layer++)
        tiny_update(net, layer, layer == first ? x : layer->z_prev, plain, step, bias_step);
}

/* Returns the loss of the row, and computes delta of the last layer. */
INLINE double tiny_loss(const fastnn_tiny *net, const fastnn_tiny_layer *last, int squared,
                        const fastnn_loss_args *args) {
    if (!squared) {
        net->loss->run(args);
        for (int v = 0; v < PANEL; v += LANES)
            store(last->delta + v, load(last->delta + v) * load(last->slope + v));
        return *args->loss;
    }
    panel_sums sums = {{{0}}};
    for (ptrdiff_t v = 0; v < last->n_out; v += LANES) {
        ivec real_column = lanes_below(last->n_out - v);
        vec slope, loss = squared_error(load(last->z + v), load(args->t + v), (vec){0}, &slope);
        sums.lanes[v / LANES] = keep(real_column, loss);
        store(last->delta + v, keep(real_column, slope) * load(last->slope + v));
    }
    return (double)sum_panel(&sums);
}

/* ---- two layers of at most LANES inputs and units, trained in registers by plain gradient descent
 * on squared errors. The weights of the output layer are stored by rows, for the outputs, and by
 * columns, so that the hidden delta needs no sums across lanes. Lanes and vectors past the last
 * unit are zero in all weights, and stay zero. ---- */

typedef struct {
    vec W[LANES], b;    /* hidden layer: W[k] are the weights of input k */
    vec V[LANES], c;    /* output layer: V[k] are the weights of hidden unit k */
    vec columns[LANES]; /* columns[j] are those of output j */
} two_layers;

INLINE void load_two_layers(const fastnn_tiny_layer *hidden, const fastnn_tiny_layer *output,
                            two_layers *p) {
    memset(p, 0, sizeof *p);
    for (ptrdiff_t k = 0; k < hidden->n_in; k++) p->W[k] = load(hidden->W + k * PANEL);
    for (ptrdiff_t k = 0; k < output->n_in; k++) p->V[k] = load(output->W + k * PANEL);
    for (ptrdiff_t j = 0; j < output->n_out; j++)
        for (ptrdiff_t k = 0; k < output->n_in; k++) p->columns[j][k] = output->W[k * PANEL + j];
    if (hidden->b) p->b = load(hidden->b);
    if (output->b) p->c = load(output->b);
}

INLINE void store_two_layers(const fastnn_tiny_layer *hidden, const fastnn_tiny_layer *output,
                             const two_layers *p) {
    for (ptrdiff_t k = 0; k < hidden->n_in; k++) store(hidden->W + k * PANEL, p->W[k]);
    for (ptrdiff_t k = 0; k < output->n_in; k++) store(output->W + k * PANEL, p->V[k]);
    if (hidden->b) store(hidden->b, p->b);
    if (output->b) store(output->b, p->c);
}

/* The n reals of x, with zeros in the other lanes. */
INLINE vec load_few(const real *x, ptrdiff_t n) {
    vec few = {0};
#pragma GCC unroll 4
    for (int k = 0; k < LANES; k++)
        if (k < n) few[k] = x[k];
    return few;
}

/* x @ W + b, for the first n numbers of x. */
INLINE vec product_in_registers(ptrdiff_t n, vec x, const vec W[LANES], vec b) {
#pragma GCC unroll 4
    for (int k = 0; k < LANES; k++)
        if (k < n) b = multiply_add(splat(x[k]), W[k], b);
    return b;
}

/* delta @ V.T, for the first n numbers of delta: the sums of tiny_products. Products past n are +0,
 * so that only with n = LANES all products can be -0. */
INLINE vec delta_in_registers(ptrdiff_t n, vec delta, const vec columns[LANES]) {
    vec zero = {0}, product[LANES], sum;
#pragma GCC unroll 4
    for (int j = 0; j < LANES; j++) product[j] = multiply_add(splat(delta[j]), columns[j], zero);
    if (n == 1) return product[0] + zero;
    sum = (product[0] + product[2]) + (product[1] + product[3]);
    if (n < LANES) return sum;
    return sum + zero;
}

/* W - rate * x.T @ delta, for the first n numbers of x. */
INLINE void update_in_registers(ptrdiff_t n, vec down, vec x, vec delta, vec W[LANES]) {
#pragma GCC unroll 4
    for (int k = 0; k < LANES; k++)
        if (k < n) W[k] = descended(down, splat(x[k]), delta, W[k]);
}

static double two_layer_steps(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X,
                              const real *T, const int64_t *order, double total) {
    const fastnn_tiny_layer hidden = net->layers[0], output = net->layers[1];
    const ptrdiff_t inputs = hidden.n_in, units = hidden.n_out, outputs = output.n_out;
    two_layers weights;
    fastnn_step constants;
    load_two_layers(&hidden, &output, &weights);
    net->optimizer->prepare(net->hyper, t, &constants);
    vec down = splat(-constants.rate);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t row = order ? order[i] : i;
        vec x = load_few(X + row * inputs, inputs), t = load_few(T + row * outputs, outputs);
        vec slope, y_slope, error, delta, delta_y;
        /* z = h(x @ W + b);  y = sigma(z @ V + c) */
        vec z = value_and_slope(hidden.activation,
                                product_in_registers(inputs, x, weights.W, weights.b), hidden.alpha,
                                &slope);
        vec y =
            value_and_slope(output.activation, product_in_registers(units, z, weights.V, weights.c),
                            output.alpha, &y_slope);
        vec loss = squared_error(y, t, (vec){0}, &error);
        total += (double)sum_lanes(keep(lanes_below(outputs), loss));
        /* delta_y = (y - t) sigma';  delta = (delta_y @ V.T) h' */
        delta_y = keep(lanes_below(outputs), error) * y_slope;
        delta = delta_in_registers(outputs, delta_y, weights.columns) * slope;
        update_in_registers(inputs, down, x, delta, weights.W);
        update_in_registers(units, down, z, delta_y, weights.V);
        update_in_registers(outputs, down, delta_y, keep(lanes_below(units), z), weights.columns);
        if (hidden.b) weights.b = multiply_add(down, delta, weights.b);
        if (output.b) weights.c = multiply_add(down, delta_y, weights.c);
    }
    store_two_layers(&hidden, &output, &weights);
    return total;
}

/* Whether two_layer_steps can train a network. */
static int fits_two_layer_steps(const fastnn_tiny *net, int plain, int squared) {
    const fastnn_tiny_layer *hidden = net->layers, *output = net->layers + 1;
    return net->n_layers == 2 && plain && squared && hidden->n_in <= LANES &&
           hidden->n_out <= LANES && output->n_out <= LANES;
}

extern fastnn_tiny_fn TINY_STEPS;

double TINY_STEPS(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X, const real *T,
                  const int64_t *labels, const int64_t *order, double total) {
    const fastnn_tiny_layer *first = net->layers, *last = net->layers + net->n_layers - 1;
    int plain = strcmp(net->optimizer->name, "sgd") == 0;
    int squared = strcmp(net->loss->name, "squared_error") == 0;
    int canonical = net->loss->activation != NULL;
    if (!labels && fits_two_layer_steps(net, plain, squared))
        return two_layer_steps(net, t, n, X, T, order, total);
    double loss;
    real target[PANEL] __attribute__((aligned(64))) = {0}, weight = 1;
    const fastnn_loss_args args = {.rows = 1,
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
        const real *x = X + row * first->n_in;
        for (ptrdiff_t k = 0; k < last->n_out; k++)
            target[k] = labels ? labels[row] == k : T[row * last->n_out + k];
        for (const fastnn_tiny_layer *layer = first; layer <= last; layer++)
            tiny_forward(layer, layer == first ? x : layer->z_prev, layer < last || !canonical);
        total += tiny_loss(net, last, squared, &args);
        for (const fastnn_tiny_layer *layer = last; layer > first; layer--)
            tiny_delta(layer, layer - 1);
        if (i == 0 || !plain) {
            net->optimizer->prepare(net->hyper, t + (double)i, &step);
            bias_step = step;
            bias_step.shrink = 1;
        }
        tiny_updates(net, x, plain, &step, &bias_step);
    }
    return total;
}
