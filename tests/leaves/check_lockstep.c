/* check_lockstep.c - lockstep.h: on-line steps of a panel of tiny networks, against those of each
 * network by itself, which tiny.c makes: to the last bit. */
#include "harness.h"

#include <string.h>

enum { MOST_LAYERS = 3, ROWS = 2 * LOCKSTEP_ROWS + 3 };

/* The networks: as tiny.c takes them, with buffers that they share, and side by side. Column
 * `nobody` is empty, unless it is below 0. */
typedef struct {
    ptrdiff_t n_layers, widths[MOST_LAYERS + 1];
    bool has_bias;
    int nobody;
    fastnn_tiny_layer alone[PANEL][MOST_LAYERS];
    fastnn_lockstep_layer layers[MOST_LAYERS];
    fastnn_lockstep_rows rows[PANEL];
    fastnn_lockstep nets;
    real *rate;
    double *loss;
} party;

/* Any but softmax, which needs rows, and exp, of which a network may overflow. */
static ptrdiff_t tame_activation(void) {
    ptrdiff_t n = 0, i;
    while (ops->activations[n].name && ops->activations[n].row_forward == NULL) n++;
    do i = random_below(n);
    while (strcmp(ops->activations[i].name, "exp") == 0);
    return i;
}

static void make_alone(party *it, int l, ptrdiff_t i, ptrdiff_t activation) {
    ptrdiff_t n_in = it->widths[i], n_out = it->widths[i + 1];
    fastnn_tiny_layer *layer = &it->alone[l][i];
    const fastnn_tiny_layer *shared = &it->alone[0][i];
    *layer =
        (fastnn_tiny_layer){n_in, n_out, activation, (real)0.3, NULL, NULL, NULL, NULL, NULL, NULL};
    layer->W =
        l ? it->alone[l - 1][i].W + n_in * PANEL : new_reals("W alone", PANEL * n_in * PANEL, 0);
    if (it->has_bias)
        layer->b = l ? it->alone[l - 1][i].b + PANEL : new_reals("b alone", PANEL * PANEL, 0);
    for (ptrdiff_t j = 0; j < PANEL; j++) {
        for (ptrdiff_t k = 0; k < n_in; k++)
            layer->W[k * PANEL + j] = j < n_out ? (real)uniform(-0.5, 0.5) : 0;
        if (layer->b) layer->b[j] = j < n_out && random_below(3) ? (real)uniform(-0.5, 0.5) : 0;
    }
    layer->z_prev = i ? it->alone[0][i - 1].z : NULL;
    layer->z = l ? shared->z : new_reals("z alone", PANEL, 0);
    layer->slope = l ? shared->slope : new_reals("slope alone", PANEL, 0);
    layer->delta = l ? shared->delta : new_reals("delta alone", PANEL, 0);
    memset(layer->delta, 0, PANEL * sizeof(real));
}

static void make_layer(party *it, ptrdiff_t i) {
    ptrdiff_t n_in = it->widths[i], n_out = it->widths[i + 1];
    fastnn_lockstep_layer *layer = &it->layers[i];
    ptrdiff_t activation = tame_activation();
    for (int l = 0; l < PANEL; l++) make_alone(it, l, i, activation);
    *layer = (fastnn_lockstep_layer){
        .n_in = n_in,
        .n_out = n_out,
        .activation = &ops->activations[activation],
        .alpha = (real)0.3,
        .W = new_reals("W", n_in * n_out * PANEL, 0),
        .b = it->has_bias ? new_reals("b", n_out * PANEL, 0) : NULL,
        .z = new_reals("z", n_out * PANEL, 0),
        .slope = new_reals("slope", n_out * PANEL, 0),
        .delta = new_reals("delta", n_out * PANEL, 0),
    };
    for (int l = 0; l < PANEL; l++)
        for (ptrdiff_t j = 0; j < n_out; j++) {
            for (ptrdiff_t k = 0; k < n_in; k++)
                layer->W[(j * n_in + k) * PANEL + l] = it->alone[l][i].W[k * PANEL + j];
            if (layer->b) layer->b[j * PANEL + l] = it->alone[l][i].b[j];
        }
}

/* Rows of one table for all, in orders of their own; some have labels. */
static void make_rows(party *it) {
    ptrdiff_t n_in = it->widths[0], n_out = it->widths[it->n_layers];
    real *X = new_reals("X", ROWS * n_in, 0), *T = new_reals("T", ROWS * n_out, 0);
    int64_t *order = new_integers("order", PANEL * ROWS), *labels = new_integers("labels", ROWS);
    randomize(X, ROWS * n_in);
    randomize(T, ROWS * n_out);
    for (int i = 0; i < PANEL * ROWS; i++) order[i] = random_below(ROWS);
    for (int r = 0; r < ROWS; r++) labels[r] = random_below(n_out);
    for (int l = 0; l < PANEL; l++) {
        bool labelled = random_below(2);
        it->rows[l].X = l == it->nobody ? NULL : X;
        it->rows[l].T = labelled ? NULL : T;
        it->rows[l].labels = labelled ? labels : NULL;
        it->rows[l].order = random_below(2) ? order + l * ROWS : NULL;
        it->rate[l] = l == it->nobody ? 0 : (real)uniform(1e-3, 1e-2);
        it->loss[l] = 0;
    }
}

static void make_party(party *it) {
    ptrdiff_t n_in = it->widths[0], n_out = it->widths[it->n_layers];
    it->rate = new_reals("rate", PANEL, 0);
    it->loss = new_doubles("loss", PANEL);
    for (ptrdiff_t i = 0; i < it->n_layers; i++) make_layer(it, i);
    make_rows(it);
    it->nets = (fastnn_lockstep){
        .n_layers = it->n_layers,
        .layers = it->layers,
        .rows = it->rows,
        .rate = it->rate,
        .loss = it->loss,
        .x = new_reals("x", LOCKSTEP_ROWS * n_in * PANEL, 0),
        .t = new_reals("t", LOCKSTEP_ROWS * n_out * PANEL, 0),
    };
    memset(it->nets.x, 0, (size_t)(LOCKSTEP_ROWS * n_in * PANEL) * sizeof(real));
    memset(it->nets.t, 0, (size_t)(LOCKSTEP_ROWS * n_out * PANEL) * sizeof(real));
}

/* What tiny.c makes of the network in column l by itself; returns the loss. */
static double train_alone(const party *it, int l, ptrdiff_t first, ptrdiff_t steps) {
    const fastnn_lockstep_rows *rows = &it->rows[l];
    fastnn_hyper hyper = {.learning_rate = (double)it->rate[l]};
    fastnn_tiny net = {it->n_layers, it->alone[l], ops->losses, NULL, ops->optimizers, &hyper, 0};
    ptrdiff_t skip = rows->order ? 0 : first, n_out = it->widths[it->n_layers];
    if (l == it->nobody) return 0;
    return ops->tiny_steps(
        &net, 1, steps, rows->X + skip * it->widths[0], rows->T ? rows->T + skip * n_out : NULL,
        rows->labels ? rows->labels + skip : NULL, rows->order ? rows->order + first : NULL, 0);
}

static void expect_column(party *it, int l, double loss) {
    for (ptrdiff_t i = 0; i < it->n_layers; i++) {
        const fastnn_lockstep_layer *layer = &it->layers[i];
        for (ptrdiff_t j = 0; j < layer->n_out; j++) {
            for (ptrdiff_t k = 0; k < layer->n_in; k++)
                expect_bits(layer->W, (j * layer->n_in + k) * PANEL + l,
                            it->alone[l][i].W[k * PANEL + j]);
            if (layer->b) expect_bits(layer->b, j * PANEL + l, it->alone[l][i].b[j]);
        }
    }
    expect_double(it->loss, l, l == it->nobody ? it->loss[l] : loss, 0);
}

/* What is written and means nothing afterwards. */
static void expect_room(const party *it) {
    for (ptrdiff_t i = 0; i < it->n_layers; i++) {
        const fastnn_lockstep_layer *layer = &it->layers[i];
        expect_anything(layer->z, layer->n_out * PANEL);
        expect_anything(layer->slope, layer->n_out * PANEL);
        expect_anything(layer->delta, layer->n_out * PANEL);
    }
    expect_anything(it->nets.x, LOCKSTEP_ROWS * it->widths[0] * PANEL);
    expect_anything(it->nets.t, LOCKSTEP_ROWS * it->widths[it->n_layers] * PANEL);
}

void check_lockstep(void) {
    static party it;
    for (int i = 0; i < 150; i++) {
        it.n_layers = 1 + random_below(MOST_LAYERS);
        for (ptrdiff_t k = 0; k <= it.n_layers; k++) it.widths[k] = 1 + random_below(PANEL);
        if (i % 3 == 0) /* widths for which tiny.c keeps two layers in registers */
            for (ptrdiff_t k = 0; k <= it.n_layers; k++) it.widths[k] = 1 + random_below(4);
        it.has_bias = random_below(2);
        it.nobody = (int)random_below(2 * PANEL);
        ptrdiff_t steps = 1 + random_below(ROWS), first = random_below(ROWS - steps + 1);
        begin_case("%td-%td-%td-%td (%td layers), bias=%d, %td steps from %td, nobody in %d",
                   it.widths[0], it.widths[1], it.widths[2], it.widths[3], it.n_layers, it.has_bias,
                   steps, first, it.nobody);
        make_party(&it);
        double alone[PANEL];
        for (int l = 0; l < PANEL; l++) {
            it.rows[l].first = first;
            alone[l] = train_alone(&it, l, first, steps);
        }
        CALL(ops->lockstep(&it.nets, steps));
        for (int l = 0; l < PANEL; l++) expect_column(&it, l, alone[l]);
        expect_room(&it);
        end_case();
    }
}
