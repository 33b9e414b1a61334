/* functions.c - the functions of fastnn.h: pointers and precisions are checked, then the model's
 * own precision does the work. */
#include "precision.h"

#include <math.h>

static const char *const MESSAGES[] = {
    [FASTNN_OK] = "fine",
    [FASTNN_NULL] = "a pointer is NULL; pass the address of an array, a workspace or a model",
    [FASTNN_ROWS] = "the number of rows is below 1, or above what the workspace was made to train; "
                    "pass 1 or more, and make the workspace for the largest batch",
    [FASTNN_PRECISION] =
        "the model's numbers are of the other type; call the function that ends in "
        "_f64 for a float64 model, in _f32 for a float32 one",
    [FASTNN_NOT_FINITE] = "X has NaN or infinity; clean the rows first",
    [FASTNN_TARGETS] = "a target is not one that the loss takes; labels go from 0 to n_out - 1, "
                       "numbers are finite and in the loss's range",
    [FASTNN_KIND_OF_TARGET] = "the loss takes the other kind of target; call train_labels for "
                              "cross_entropy, train for the others",
    [FASTNN_NOT_FOR_TRAINING] = "the workspace was made for predictions; make one with training on",
    [FASTNN_BUSY] = "another thread is training this model; wait for it, or train a copy",
    [FASTNN_DIVERGED] = "the loss is not finite, so the step was not made; lower the learning rate "
                        "or scale X",
    [FASTNN_MEMORY] = "there is not enough memory for the workspace; make it for fewer rows",
    [FASTNN_NOT_ADAPTED] = "the Standardize layer has not seen data yet; fit the network, or adapt "
                           "it, from Python first",
    [FASTNN_ABI] = "compiled for another version of the interface; install the newer fastnn, or "
                   "compile anew",
};

static const char *message(int status) {
    int known = sizeof MESSAGES / sizeof *MESSAGES;
    return status >= 0 && status < known ? MESSAGES[status] : "an unknown status";
}

static int64_t get(const fastnn_model *model, int property) {
    return model == NULL ? -1 : model->precision->get(model, property);
}

static int workspace_new(fastnn_model *model, ptrdiff_t rows, int training,
                         fastnn_workspace **workspace) {
    if (model == NULL || workspace == NULL) return FASTNN_NULL;
    *workspace = NULL;
    if (rows < 1) return FASTNN_ROWS;
    return model->precision->workspace_new(model, rows, training, workspace);
}

static void workspace_free(fastnn_workspace *workspace) {
    if (workspace != NULL) workspace->precision->workspace_free(workspace);
}

static int predict(fastnn_workspace *workspace, int bits, ptrdiff_t rows, const void *X,
                   void *out) {
    if (workspace == NULL || X == NULL || out == NULL) return FASTNN_NULL;
    if (workspace->precision->bits != bits) return FASTNN_PRECISION;
    if (rows < 1) return FASTNN_ROWS;
    return workspace->precision->predict(workspace, rows, X, out);
}

static int predict_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X, float *out) {
    return predict(workspace, 32, rows, X, out);
}

static int predict_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X, double *out) {
    return predict(workspace, 64, rows, X, out);
}

static int train(fastnn_workspace *workspace, int bits, ptrdiff_t rows, const void *X,
                 const void *targets, const int64_t *labels, double *loss) {
    double unread;
    if (workspace == NULL || X == NULL || (targets == NULL && labels == NULL)) return FASTNN_NULL;
    if (workspace->precision->bits != bits) return FASTNN_PRECISION;
    if (rows < 1) return FASTNN_ROWS;
    if (loss == NULL) loss = &unread;
    return workspace->precision->train(workspace, rows, X, targets, labels, loss);
}

static int train_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                     const float *targets, double *loss) {
    return train(workspace, 32, rows, X, targets, NULL, loss);
}

static int train_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                     const double *targets, double *loss) {
    return train(workspace, 64, rows, X, targets, NULL, loss);
}

static int train_labels_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                            const int64_t *labels, double *loss) {
    return train(workspace, 32, rows, X, NULL, labels, loss);
}

static int train_labels_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                            const int64_t *labels, double *loss) {
    return train(workspace, 64, rows, X, NULL, labels, loss);
}

static double evaluate(int n, double *x, void *workspace) {
    fastnn_workspace *room = workspace;
    return room == NULL || x == NULL ? (double)NAN : room->precision->evaluate(room, n, x);
}

const fastnn_api fastnn_functions = {
    .abi_version = FASTNN_ABI_VERSION,
    .struct_size = sizeof(fastnn_api),
    .message = message,
    .get = get,
    .workspace_new = workspace_new,
    .workspace_free = workspace_free,
    .predict_f32 = predict_f32,
    .predict_f64 = predict_f64,
    .train_f32 = train_f32,
    .train_f64 = train_f64,
    .train_labels_f32 = train_labels_f32,
    .train_labels_f64 = train_labels_f64,
    .evaluate = evaluate,
};
