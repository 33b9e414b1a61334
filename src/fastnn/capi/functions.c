/* functions.c - the functions of fastnn.h. They check pointers and the precision, then call the
 * functions of the model's own precision (precision.h). */
#include "precision.h"

#include <math.h>

#define MESSAGE(NAME, NUMBER, SENTENCE) [NUMBER] = SENTENCE,
static const char *const MESSAGES[] = {FASTNN_STATUSES(MESSAGE)};

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

static double evaluate(int n, double *x, void *address) {
    fastnn_workspace *workspace = address;
    if (workspace == NULL || x == NULL) return (double)NAN;
    return workspace->precision->evaluate(workspace, n, x);
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
