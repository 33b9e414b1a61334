/* tiny.c - on-line training of networks whose every layer fits one panel: the whole step in one
 * function, since a call for each of its parts would cost more than the arithmetic.
 *
 * Rows are trained one at a time. z, slope and delta of a layer are one panel each, weights are
 * (n_in, PANEL). The operations of a step wait for each other, so every instruction set uses short
 * vectors, of four reals: their divisions and sums across lanes are faster, and wider vectors would
 * hold padding. The width is the same in all builds because it determines the order of sums.
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

/* delta_prev = (delta @ W.T) * h'(a_prev). Each sum is put into its lane of a register: scalars
 * that are stored one by one would have to reach memory before they could be loaded as a vector. */
INLINE void tiny_delta(const fastnn_tiny_layer *layer, const fastnn_tiny_layer *below) {
    for (ptrdiff_t u = 0; u < layer->n_in; u += LANES) {
        vec delta = {0};
        for (ptrdiff_t k = u; k < layer->n_in && k < u + LANES; k++) {
            vec sum = {0};
            for (ptrdiff_t v = 0; v < layer->n_out; v += LANES)
                sum = multiply_add(load(layer->delta + v), load(layer->W + k * PANEL + v), sum);
            delta =
                choose(lane_numbers() == (ivec){0} + (ireal)(k - u), sum_everywhere(sum), delta);
        }
        store(below->delta + u, delta * load(below->slope + u));
    }
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
        vec change = splat(step->rate) * load(layer->delta + v);
        for (ptrdiff_t k = 0; k < layer->n_in; k++) {
            real *w = layer->W + k * PANEL + v;
            store(w, multiply_add(-splat(z_prev[k]), change, load(w)));
        }
        if (layer->b) store(layer->b + v, load(layer->b + v) - change);
    }
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
    vec sum = {0}, slope;
    for (ptrdiff_t v = 0; v < last->n_out; v += LANES) {
        ivec real_column = lanes_below(last->n_out - v);
        vec loss = squared_error(load(last->z + v), load(args->t + v), (vec){0}, &slope);
        sum += keep(real_column, loss);
        store(last->delta + v, keep(real_column, slope * load(last->slope + v)));
    }
    return (double)sum_lanes(sum);
}

/* ---- two layers of at most LANES inputs and units, trained in registers by plain gradient descent
 * on squared errors. The weights of the output layer are stored by columns, V[j] over the hidden
 * units, so that the hidden delta needs no sums across lanes. Lanes and vectors past the last unit
 * are zero in all weights, and stay zero. ---- */

typedef struct {
    vec W[LANES], b; /* hidden layer: W[k] are the weights of input k */
    vec V[LANES], c; /* output layer: V[j] are the weights of output j */
} pair_weights;

INLINE void load_pair(const fastnn_tiny_layer *hidden, const fastnn_tiny_layer *output,
                      pair_weights *p) {
    memset(p, 0, sizeof *p);
    for (ptrdiff_t k = 0; k < hidden->n_in; k++) p->W[k] = load(hidden->W + k * PANEL);
    for (ptrdiff_t j = 0; j < output->n_out; j++)
        for (ptrdiff_t k = 0; k < output->n_in; k++) p->V[j][k] = output->W[k * PANEL + j];
    if (hidden->b) p->b = load(hidden->b);
    if (output->b) p->c = load(output->b);
}

INLINE void store_pair(const fastnn_tiny_layer *hidden, const fastnn_tiny_layer *output,
                       const pair_weights *p) {
    for (ptrdiff_t k = 0; k < hidden->n_in; k++) store(hidden->W + k * PANEL, p->W[k]);
    for (ptrdiff_t j = 0; j < output->n_out; j++)
        for (ptrdiff_t k = 0; k < output->n_in; k++) output->W[k * PANEL + j] = p->V[j][k];
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

/* x @ W: two chains of two products each. */
INLINE vec pair_product(vec x, const vec W[LANES]) {
    vec even = multiply_add(splat(x[2]), W[2], splat(x[0]) * W[0]);
    vec odd = multiply_add(splat(x[3]), W[3], splat(x[1]) * W[1]);
    return even + odd;
}

/* x @ W + b */
INLINE vec pair_activation(const pair_weights *p, vec x) { return pair_product(x, p->W) + p->b; }

static double pair_steps(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X,
                         const real *T, const int64_t *order) {
    const fastnn_tiny_layer hidden = net->layers[0], output = net->layers[1];
    pair_weights now;
    fastnn_step constants;
    load_pair(&hidden, &output, &now);
    net->optimizer->prepare(net->hyper, t, &constants);
    vec rate = splat(constants.rate), total = {0}, terms[LANES];
    vec hidden_rate = keep(lanes_below(hidden.n_out), rate);
    vec output_rate = keep(lanes_below(output.n_out), rate);
    vec x = load_few(X + (order ? order[0] : 0) * hidden.n_in, hidden.n_in);
    vec a = pair_activation(&now, x);
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t row = order ? order[i] : i, next = i + 1 == n ? i : i + 1;
        vec t = load_few(T + row * output.n_out, output.n_out);
        vec x_next = load_few(X + (order ? order[next] : next) * hidden.n_in, hidden.n_in);
        vec z, slope, y, y_slope, error;
        /* z = h(a);  y = sigma(z @ V.T + c) */
        z = value_and_slope(hidden.activation, a, hidden.alpha, &slope);
#pragma GCC unroll 4
        for (int j = 0; j < LANES; j++) terms[j] = z * now.V[j];
        y = value_and_slope(output.activation, sums_of_lanes(terms) + now.c, output.alpha,
                            &y_slope);
        total += keep(lanes_below(output.n_out), squared_error(y, t, (vec){0}, &error));
        /* delta_y = (y - t) sigma';  delta = (delta_y @ V) h'; factors that are known go first */
        vec delta_y = error * y_slope, change = output_rate * delta_y, step;
        slope *= hidden_rate;
#pragma GCC unroll 4
        for (int j = 0; j < LANES; j++) terms[j] = now.V[j] * slope;
        step = pair_product(delta_y, terms);
        /* a of the next row is computed from the weights before this update and corrected by the
         * change of the update, so that the next row waits for `step` only. With
         * W' = W - x.T @ step and b' = b - step,
         * x_next @ W' + b' = x_next @ W + b - (x_next . x + 1) step. */
        vec both = sum_everywhere(x_next * x) + splat(hidden.b ? 1 : 0);
        a = multiply_add(-both, step, pair_activation(&now, x_next));
#pragma GCC unroll 4
        for (int j = 0; j < LANES; j++) {
            vec units = keep(lanes_below(hidden.n_out), z);
            now.V[j] = multiply_add(-splat(change[j]), units, now.V[j]);
            now.W[j] = multiply_add(-splat(x[j]), step, now.W[j]);
        }
        if (output.b) now.c -= change;
        if (hidden.b) now.b -= step;
        x = x_next;
    }
    store_pair(&hidden, &output, &now);
    return (double)sum_lanes(total);
}

/* Whether pair_steps can train a network. */
static int is_pair(const fastnn_tiny *net, int plain, int squared) {
    const fastnn_tiny_layer *hidden = net->layers, *output = net->layers + 1;
    return net->n_layers == 2 && plain && squared && hidden->n_in <= LANES &&
           hidden->n_out <= LANES && output->n_out <= LANES;
}

extern fastnn_tiny_fn TINY_STEPS;

double TINY_STEPS(const fastnn_tiny *net, double t, ptrdiff_t n, const real *X, const real *T,
                  const int64_t *labels, const int64_t *order) {
    const fastnn_tiny_layer *first = net->layers, *last = net->layers + net->n_layers - 1;
    int plain = strcmp(net->optimizer->name, "sgd") == 0;
    int squared = strcmp(net->loss->name, "squared_error") == 0;
    int canonical = net->loss->activation != NULL;
    if (is_pair(net, plain, squared)) return pair_steps(net, t, n, X, T, order);
    double loss, total = 0;
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
        for (const fastnn_tiny_layer *layer = first; layer <= last; layer++)
            tiny_update(net, layer, layer == first ? x : layer->z_prev, plain, &step, &bias_step);
    }
    return total;
}
