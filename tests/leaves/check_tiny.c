/* check_tiny.c - tiny.c: on-line steps of networks whose every layer fits one panel, against the
 * same steps in doubles. Two layers of up to four inputs and units, plain descent on squared errors
 * have a way of their own there. */
#include "formulas.h"
#include "harness.h"

#include <string.h>

enum { MOST_LAYERS = 3, ROWS = 5 };

/* A network: what it is made of, its arrays, and its weights with their moments in doubles. */
typedef struct {
    fastnn_tiny net;
    fastnn_tiny_layer layers[MOST_LAYERS];
    const activation_formula *formulas[MOST_LAYERS];
    fastnn_hyper hyper;
    real *arena; /* W and b of each layer, then the moments */
    double W[MOST_LAYERS][PANEL][PANEL][MOST_STATE], b[MOST_LAYERS][PANEL][MOST_STATE];
    double largest; /* number in a step */
} network;

/* Widths from `n_in` on, activations of hidden layers and of the output. */
typedef struct {
    int n_layers;
    ptrdiff_t widths[MOST_LAYERS + 1];
    const char *hidden, *output;
    bool has_bias;
} shape;

static ptrdiff_t index_of(const char *name) {
    for (const fastnn_activation *it = ops->activations; it->name; it++)
        if (strcmp(it->name, name) == 0) return it - ops->activations;
    return -1;
}

/* Padding of weights and deltas is zero, that of z is finite. */
static void make_layer(network *it, const shape *shape, int i, real *W) {
    fastnn_tiny_layer *layer = &it->layers[i];
    const char *name = i + 1 < shape->n_layers ? shape->hidden : shape->output;
    ptrdiff_t n_in = shape->widths[i], n_out = shape->widths[i + 1];
    *layer = (fastnn_tiny_layer){
        .n_in = n_in,
        .n_out = n_out,
        .activation = index_of(name),
        .alpha = (real)0.3,
        .W = W,
        .b = shape->has_bias ? W + PANEL * PANEL : NULL,
        .z_prev = i ? it->layers[i - 1].z : NULL,
        .z = new_reals("z", PANEL, 0),
        .slope = new_reals("slope", PANEL, 0),
        .delta = new_reals("delta", PANEL, 0),
    };
    it->formulas[i] = strcmp(name, "softmax") == 0 ? NULL : find_activation_formula(name);
    randomize(layer->z, PANEL);
    randomize(layer->slope, PANEL);
    for (ptrdiff_t j = 0; j < PANEL; j++) layer->delta[j] = 0;
    for (int m = 0; m <= it->net.optimizer->n_moments; m++) {
        real *at = W + m * it->net.block;
        for (ptrdiff_t j = 0; j < PANEL; j++) {
            for (ptrdiff_t k = 0; k < n_in; k++) {
                double w = m ? uniform(0, 0.1) : uniform(-0.5, 0.5) / sqrt((double)n_in);
                at[k * PANEL + j] = j < n_out ? (real)w : 0;
                it->W[i][k][j][m] = (double)at[k * PANEL + j];
            }
            if (!shape->has_bias) continue;
            at[PANEL * PANEL + j] =
                j < n_out ? (real)(m ? uniform(0, 0.1) : uniform(-0.5, 0.5)) : 0;
            it->b[i][j][m] = (double)at[PANEL * PANEL + j];
        }
    }
}

static void make_network(network *it, const shape *shape, const fastnn_loss *loss,
                         const fastnn_optimizer *optimizer) {
    ptrdiff_t layer_size = (PANEL + 1) * PANEL, block = shape->n_layers * layer_size;
    it->hyper = (fastnn_hyper){.learning_rate = 0.05,
                               .momentum = 0.9,
                               .rho = 0.95,
                               .beta_1 = 0.9,
                               .beta_2 = 0.999,
                               .epsilon = 0.1,
                               .momentum_decay = 0.5,
                               .warmup_steps = 3,
                               .weight_decay = 0.1};
    it->net = (fastnn_tiny){shape->n_layers, it->layers, loss, NULL, optimizer, &it->hyper, block};
    it->arena = new_reals("weights", (1 + optimizer->n_moments) * block, 0);
    it->largest = 1;
    for (int i = 0; i < shape->n_layers; i++) make_layer(it, shape, i, it->arena + i * layer_size);
    if (draws_parameter(loss)) {
        real *parameter = new_reals("parameter", PANEL, 0);
        for (ptrdiff_t j = 0; j < PANEL; j++)
            parameter[j] = j < shape->widths[shape->n_layers] ? (real)uniform(0.1, 0.9) : 0;
        it->net.loss_parameter = parameter;
    }
}

/* ---- a step in doubles ---- */

static void grow(network *it, double x) { it->largest = fmax(it->largest, fabs(x)); }

typedef struct {
    double z[MOST_LAYERS + 1][PANEL], slope[MOST_LAYERS][PANEL], delta[PANEL];
} pass;

static void go_forward(network *it, pass *p) {
    for (int i = 0; i < it->net.n_layers; i++) {
        const fastnn_tiny_layer *layer = &it->layers[i];
        bool raw = i + 1 == it->net.n_layers && it->net.loss->activation;
        for (ptrdiff_t j = 0; j < layer->n_out; j++) {
            double a = layer->b ? it->b[i][j][0] : 0, alpha = (double)layer->alpha;
            for (ptrdiff_t k = 0; k < layer->n_in; k++) a += p->z[i][k] * it->W[i][k][j][0];
            p->z[i + 1][j] = raw ? a : it->formulas[i]->value(a, alpha);
            p->slope[i][j] = raw ? 1 : it->formulas[i]->slope(a, alpha);
            grow(it, a);
            grow(it, p->z[i + 1][j]);
        }
    }
}

/* delta of layer i into delta of the layer below; then the update of layer i. */
static void go_back(network *it, pass *p, int i, double t) {
    const fastnn_tiny_layer *layer = &it->layers[i];
    double below[PANEL] = {0}, magnitude[MOST_STATE];
    for (ptrdiff_t k = 0; k < layer->n_in && i > 0; k++) {
        for (ptrdiff_t j = 0; j < layer->n_out; j++) below[k] += p->delta[j] * it->W[i][k][j][0];
        below[k] *= p->slope[i - 1][k];
    }
    for (ptrdiff_t j = 0; j < layer->n_out; j++) {
        grow(it, p->delta[j]);
        for (ptrdiff_t k = 0; k < layer->n_in; k++)
            update_formula(it->net.optimizer, &it->hyper, t, true, p->z[i][k] * p->delta[j],
                           it->W[i][k][j], magnitude);
        if (layer->b)
            update_formula(it->net.optimizer, &it->hyper, t, false, p->delta[j], it->b[i][j],
                           magnitude);
    }
    memcpy(p->delta, below, sizeof below);
}

static double step_in_doubles(network *it, double t, const double *x, const double *target) {
    pass p;
    int last = (int)it->net.n_layers - 1;
    double parameter[PANEL];
    for (ptrdiff_t j = 0; j < PANEL; j++)
        parameter[j] = it->net.loss_parameter ? (double)it->net.loss_parameter[j] : 0;
    memcpy(p.z[0], x, sizeof p.z[0]);
    go_forward(it, &p);
    double loss = loss_formula(it->net.loss, it->layers[last].n_out, p.z[last + 1], target,
                               parameter, p.delta);
    for (ptrdiff_t j = 0; j < it->layers[last].n_out; j++) p.delta[j] *= p.slope[last][j];
    for (int i = last; i >= 0; i--) go_back(it, &p, i, t);
    return loss;
}

/* ---- comparison ---- */

/* Errors grow from step to step, with what they are multiplied with. */
static double tolerance(const network *it, ptrdiff_t steps) {
    return rounding((it->net.n_layers + 1) * PANEL * steps, it->largest * it->largest);
}

static void expect_weights(const network *it, ptrdiff_t steps) {
    double bound = tolerance(it, steps);
    for (int m = 0; m <= it->net.optimizer->n_moments; m++)
        for (int i = 0; i < it->net.n_layers; i++) {
            const fastnn_tiny_layer *layer = &it->layers[i];
            ptrdiff_t shift = layer->W - it->arena + m * it->net.block;
            for (ptrdiff_t j = 0; j < PANEL; j++) {
                double exact = j < layer->n_out ? bound : 0; /* padding stays zero */
                for (ptrdiff_t k = 0; k < layer->n_in; k++)
                    expect(it->arena, shift + k * PANEL + j, it->W[i][k][j][m], exact);
                if (layer->b) expect(it->arena, shift + PANEL * PANEL + j, it->b[i][j][m], exact);
            }
        }
    for (int i = 0; i < it->net.n_layers; i++) {
        expect_anything(it->layers[i].z, PANEL);
        expect_anything(it->layers[i].slope, PANEL);
        expect_anything(it->layers[i].delta, PANEL);
    }
}

/* Rows of inputs and of targets or labels. */
typedef struct {
    real *X, *T;
    int64_t *labels, *order;
} samples;

static samples new_samples(const shape *shape, const fastnn_loss *loss, bool labelled,
                           bool ordered) {
    samples s = {0};
    ptrdiff_t n_in = shape->widths[0], n_out = shape->widths[shape->n_layers];
    s.X = new_reals("X", ROWS * n_in, 0);
    randomize(s.X, ROWS * n_in);
    if (labelled) {
        s.labels = new_integers("labels", ROWS);
        for (int r = 0; r < ROWS; r++) s.labels[r] = random_below(n_out);
    } else {
        s.T = new_reals("T", ROWS * n_out, 0);
        for (ptrdiff_t i = 0; i < ROWS * n_out; i++) s.T[i] = (real)random_target(loss);
    }
    if (ordered) {
        s.order = new_integers("order", ROWS);
        for (int r = 0; r < ROWS; r++) s.order[r] = random_below(ROWS);
    }
    return s;
}

static void check_network(const shape *shape, const fastnn_loss *loss,
                          const fastnn_optimizer *optimizer, ptrdiff_t steps, bool ordered) {
    static network it;
    bool labelled = strcmp(loss->name, "cross_entropy") == 0 && random_below(2);
    begin_case("%s, %s, %td-%td-%td-%td (%d layers) %s, %s, bias=%d steps=%td ordered=%d",
               loss->name, optimizer->name, shape->widths[0], shape->widths[1], shape->widths[2],
               shape->widths[3], shape->n_layers, shape->hidden, shape->output, shape->has_bias,
               steps, ordered);
    make_network(&it, shape, loss, optimizer);
    samples s = new_samples(shape, loss, labelled, ordered);
    double before = (double)random_below(9), truth = before, found = 0;
    double t = 1 + (double)random_below(3);
    ptrdiff_t n_in = shape->widths[0], n_out = shape->widths[shape->n_layers];
    for (ptrdiff_t i = 0; i < steps; i++) {
        ptrdiff_t row = s.order ? (ptrdiff_t)s.order[i] : i;
        double x[PANEL] = {0}, target[PANEL] = {0};
        for (ptrdiff_t k = 0; k < n_in; k++) x[k] = (double)s.X[row * n_in + k];
        for (ptrdiff_t j = 0; j < n_out; j++)
            target[j] = labelled ? s.labels[row] == j : (double)s.T[row * n_out + j];
        truth += step_in_doubles(&it, t + (double)i, x, target);
    }
    CALL(found = ops->tiny_steps(&it.net, t, steps, s.X, s.T, s.labels, s.order, before));
    expect_weights(&it, steps);
    expect_returned(found, truth, tolerance(&it, steps) + rounding(1, truth));
    end_case();
}

static shape random_shape(int n_layers, const char *hidden, const char *output, ptrdiff_t most) {
    shape s = {n_layers, {0}, hidden, output, random_below(2)};
    for (int i = 0; i <= n_layers; i++) s.widths[i] = 1 + random_below(most);
    return s;
}

static bool is_elementwise(const fastnn_activation *activation) {
    return activation->row_forward == NULL;
}

void check_tiny_steps(void) {
    const fastnn_optimizer *sgd = ops->optimizers;
    const fastnn_loss *squared_error = ops->losses;
    /* Two small layers, of every shape. */
    for (ptrdiff_t n_in = 1; n_in <= 5; n_in++)
        for (ptrdiff_t units = 1; units <= 5; units++)
            for (ptrdiff_t n_out = 1; n_out <= 5; n_out++)
                for (int kind = 0; kind < 4; kind++) {
                    shape s = {2, {n_in, units, n_out}, "tanh", "sigmoid", kind & 1};
                    check_network(&s, squared_error, sgd, 1 + random_below(ROWS), kind & 2);
                }
    /* Every activation, in networks small and large; every loss with every optimizer. */
    for (const fastnn_activation *h = ops->activations; h->name; h++)
        for (int i = 0; is_elementwise(h) && i < 30; i++) {
            shape s = random_shape(1 + i % 3, h->name, h->name, i % 2 ? 4 : PANEL);
            check_network(&s, squared_error, sgd, 1 + random_below(ROWS), random_below(2));
        }
    for (const fastnn_loss *loss = ops->losses; loss->name; loss++)
        for (const fastnn_optimizer *optimizer = sgd; optimizer->name; optimizer++)
            for (int i = 0; i < 30; i++) {
                const char *output = loss->activation ? loss->activation : "tanh";
                shape s = random_shape(1 + i % 3, "silu", output, i % 2 ? 4 : PANEL);
                check_network(&s, loss, optimizer, 1 + random_below(ROWS), random_below(2));
            }
}
