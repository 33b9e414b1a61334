/* fastnn.h - networks of fastnn called from C: predictions and training steps without Python
 * objects, without its lock (GIL), without an allocation.
 *
 *     #include <Python.h>
 *     #include <fastnn.h>                          // in the folder fastnn.get_include()
 *
 *     if (fastnn_import() < 0) return NULL;        // once, with the GIL; sets Python's error
 *     fastnn_model *model = fastnn_model_of(net);  // of an MLP; NULL with Python's error
 *     fastnn_workspace *room;
 *     int status = fastnn_workspace_new(model, 1, 0, &room);
 *     ...
 *     status = fastnn_predict_f32(room, 1, x, out);     // from here on without the GIL
 *     if (status != FASTNN_OK) puts(fastnn_message(status));
 *     ...
 *     fastnn_workspace_free(room);                 // before net is gone
 *
 * A model is the network itself, not a copy: it lives as long as the MLP or its `c_model` capsule
 * does, and whoever trains it changes it. A workspace holds what one call needs beside it. Threads
 * that each have a workspace of their own predict at once, without locks; one at a time trains,
 * another meanwhile gets FASTNN_BUSY. Every call runs on the thread that makes it, and gives the
 * bits that Python's `predict` and `train_on_batch` give.
 *
 * Without Python.h everything but fastnn_import and fastnn_model_of is here, too: whoever has the
 * address of the functions (`fastnn.embedding.api_address()`) gives it to fastnn_use.
 *
 * C99, and C++ as well. Only ever appended to: what is compiled with this header runs with every
 * later version of fastnn of the same FASTNN_ABI_VERSION.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTNN_ABI_VERSION 1

typedef struct fastnn_model fastnn_model;         /* a network that Python holds */
typedef struct fastnn_workspace fastnn_workspace; /* one thread's buffers for one model */

/* What a call returns; fastnn_message has a sentence for each. Unless it is FASTNN_OK, nothing has
 * changed. */
enum fastnn_status {
    FASTNN_OK = 0,
    FASTNN_NULL = 1,             /* a pointer is NULL */
    FASTNN_ROWS = 2,             /* rows below 1, or more than the workspace was made for */
    FASTNN_PRECISION = 3,        /* the model's numbers are of the other type */
    FASTNN_NOT_FINITE = 4,       /* X has NaN or infinity */
    FASTNN_TARGETS = 5,          /* targets that the loss doesn't take: labels, signs, NaN */
    FASTNN_KIND_OF_TARGET = 6,   /* numbers where the loss takes labels, or labels for numbers */
    FASTNN_NOT_FOR_TRAINING = 7, /* the workspace was made for predictions alone */
    FASTNN_BUSY = 8,             /* another thread is training the model */
    FASTNN_DIVERGED = 9,         /* the loss isn't finite; the step was not made */
    FASTNN_MEMORY = 10,          /* there isn't enough */
    FASTNN_NOT_ADAPTED = 11,     /* a Standardize layer hasn't seen data yet */
    FASTNN_ABI = 12              /* compiled for a version that the installed one can't serve */
};

/* What fastnn_get tells of a model. */
enum fastnn_property {
    FASTNN_N_IN = 0,         /* columns of X */
    FASTNN_N_OUT = 1,        /* columns of out */
    FASTNN_DTYPE_BITS = 2,   /* 32 for float, 64 for double */
    FASTNN_N_LAYERS = 3,     /* Dense layers */
    FASTNN_N_PARAMETERS = 4, /* weights and biases */
    FASTNN_TAKES_LABELS = 5, /* 1 where targets are class labels, 0 where they are numbers */
    FASTNN_STEP = 6          /* updates made so far */
};

/* The functions, as the capsule fastnn._C_API has them. Each is described below, where a function
 * of this header calls it. */
typedef struct fastnn_api {
    uint32_t abi_version;
    uint32_t struct_size; /* bytes: functions beyond it aren't there */
    const char *(*message)(int status);
    int64_t (*get)(const fastnn_model *model, int property);
    int (*workspace_new)(fastnn_model *model, ptrdiff_t rows, int training,
                         fastnn_workspace **workspace);
    void (*workspace_free)(fastnn_workspace *workspace);
    int (*predict_f32)(fastnn_workspace *workspace, ptrdiff_t rows, const float *X, float *out);
    int (*predict_f64)(fastnn_workspace *workspace, ptrdiff_t rows, const double *X, double *out);
    int (*train_f32)(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                     const float *targets, double *loss);
    int (*train_f64)(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                     const double *targets, double *loss);
    int (*train_labels_f32)(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                            const int64_t *labels, double *loss);
    int (*train_labels_f64)(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                            const int64_t *labels, double *loss);
    double (*evaluate)(int n, double *x, void *workspace);
} fastnn_api;

/* Where this file's functions find them: one place for each source file that includes this. */
static inline const fastnn_api **fastnn_slot(void) {
    static const fastnn_api *api;
    return &api;
}

/* Take the functions from `api`; FASTNN_ABI if they are not what this header was written for. */
static inline int fastnn_use(const fastnn_api *api) {
    if (api == NULL) return FASTNN_NULL;
    if (api->abi_version != FASTNN_ABI_VERSION || api->struct_size < sizeof(fastnn_api))
        return FASTNN_ABI;
    *fastnn_slot() = api;
    return FASTNN_OK;
}

/* A sentence on a status: what is wrong, and the remedy. */
static inline const char *fastnn_message(int status) { return (*fastnn_slot())->message(status); }

/* One of enum fastnn_property; -1 for what this version doesn't know. */
static inline int64_t fastnn_get(const fastnn_model *model, int property) {
    return (*fastnn_slot())->get(model, property);
}

/* Make a workspace; with `training`, one for batches of up to `rows` rows as well. Predictions may
 * have any number of rows, but those beyond `rows`, and beyond 96, go through it in turns. */
static inline int fastnn_workspace_new(fastnn_model *model, ptrdiff_t rows, int training,
                                       fastnn_workspace **workspace) {
    return (*fastnn_slot())->workspace_new(model, rows, training, workspace);
}

/* Free one; NULL is allowed. */
static inline void fastnn_workspace_free(fastnn_workspace *workspace) {
    (*fastnn_slot())->workspace_free(workspace);
}

/* out (rows, n_out) = the outputs of X (rows, n_in); both row after row, without gaps. */
static inline int fastnn_predict_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                                     float *out) {
    return (*fastnn_slot())->predict_f32(workspace, rows, X, out);
}

static inline int fastnn_predict_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                                     double *out) {
    return (*fastnn_slot())->predict_f64(workspace, rows, X, out);
}

/* One update from X (rows, n_in) and targets (rows, n_out), or class labels (rows,); *loss, which
 * may be NULL, is the batch's before it. */
static inline int fastnn_train_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                                   const float *targets, double *loss) {
    return (*fastnn_slot())->train_f32(workspace, rows, X, targets, loss);
}

static inline int fastnn_train_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                                   const double *targets, double *loss) {
    return (*fastnn_slot())->train_f64(workspace, rows, X, targets, loss);
}

static inline int fastnn_train_labels_f32(fastnn_workspace *workspace, ptrdiff_t rows,
                                          const float *X, const int64_t *labels, double *loss) {
    return (*fastnn_slot())->train_labels_f32(workspace, rows, X, labels, loss);
}

static inline int fastnn_train_labels_f64(fastnn_workspace *workspace, ptrdiff_t rows,
                                          const double *X, const int64_t *labels, double *loss) {
    return (*fastnn_slot())->train_labels_f64(workspace, rows, X, labels, loss);
}

/* The first output for one row of n numbers, whatever the model's precision; NaN if n is not n_in
 * or a number isn't finite. Integrators and optimizers take a function of this form. */
static inline double fastnn_evaluate(int n, double *x, void *workspace) {
    return (*fastnn_slot())->evaluate(n, x, workspace);
}

#ifdef Py_PYTHON_H

/* Import fastnn and take its functions; -1 with Python's error set. */
static inline int fastnn_import(void) {
    const fastnn_api *api = (const fastnn_api *)PyCapsule_Import("fastnn._C_API", 0);
    if (api == NULL) return -1;
    if (fastnn_use(api) == FASTNN_OK) return 0;
    PyErr_Format(PyExc_ImportError,
                 "compiled for fastnn's C interface %d with %u bytes, but the installed fastnn has "
                 "interface %u with %u; install the newer fastnn, or compile anew",
                 FASTNN_ABI_VERSION, (unsigned)sizeof(fastnn_api), (unsigned)api->abi_version,
                 (unsigned)api->struct_size);
    return -1;
}

/* The model of an MLP, alive as long as that; NULL with Python's error set. */
static inline fastnn_model *fastnn_model_of(PyObject *net) {
    PyObject *capsule = PyObject_GetAttrString(net, "c_model");
    fastnn_model *model;
    if (capsule == NULL) return NULL;
    model = (fastnn_model *)PyCapsule_GetPointer(capsule, "fastnn.model");
    Py_DECREF(capsule);
    return model;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
