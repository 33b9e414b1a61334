/* fastnn.h - call fastnn's networks from C: predictions and training steps that use no Python
 * objects, need no GIL and allocate no memory.
 *
 *     #include <Python.h>
 *     #include <fastnn.h>     // compile with -I and the folder fastnn.get_include()
 *
 *     if (fastnn_import() < 0) return NULL;   // once in each source file, with the GIL; sets
 *                                             // Python's error
 *     fastnn_model *model = fastnn_model_of(net);
 *     if (model == NULL) return NULL;         // net is no MLP; Python's error is set
 *
 *     fastnn_workspace *workspace;
 *     int status = fastnn_workspace_new(model, 1, 0, &workspace);  // 1 row, no training
 *     if (status == FASTNN_OK) {
 *         status = fastnn_predict_f32(workspace, 1, x, out);       // needs no GIL
 *         fastnn_workspace_free(workspace);                        // before net is deallocated
 *     }
 *     if (status != FASTNN_OK) puts(fastnn_message(status));
 *
 * A model is the network itself, not a copy: it lives as long as the MLP or its `c_model` capsule,
 * and training changes it. After `freeze` or `unfreeze`, which make a new network, a model is the
 * network as it was before; get the new one. A workspace holds the buffers of one call. Threads
 * that each have a workspace may predict with one model at the same time, without locks. Only one
 * thread at a time may train a model; a concurrent call gets FASTNN_BUSY. Every call runs on the
 * calling thread, and its results are those of Python's `predict` and `train_on_batch`, to the bit;
 * for a CustomLoss, whose function is Python, those of `train_on_output_gradients`.
 *
 * Without Python.h, all functions except fastnn_import and fastnn_model_of are available: pass the
 * address `fastnn.embedding.api_address()` to fastnn_use. Each source file that includes this
 * header calls fastnn_import or fastnn_use itself. Before that, only fastnn_message and
 * fastnn_workspace_free(NULL) may be called.
 *
 * The header is C99 and C++. The interface is only ever appended to: a program compiled with this
 * header runs with every later version of fastnn that has the same FASTNN_ABI_VERSION.
 */
#ifndef FASTNN_H
#define FASTNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTNN_ABI_VERSION 1

typedef struct fastnn_model fastnn_model;         /* a network that Python owns */
typedef struct fastnn_workspace fastnn_workspace; /* buffers of one thread for one model */

/* All statuses: name, number, and the sentence that fastnn_message returns. A call that does not
 * return FASTNN_OK has changed nothing; the one exception is described at FASTNN_DIVERGED. */
/* clang-format off */
#define FASTNN_STATUSES(STATUS)                                                                    \
    STATUS(FASTNN_OK, 0, "success")                                                                \
    STATUS(FASTNN_NULL, 1,                                                                         \
           "a pointer is NULL; pass the address of an array, a workspace or a model")              \
    STATUS(FASTNN_ROWS, 2,                                                                         \
           "the number of rows is below 1, or above the rows of the workspace; pass 1 or more, "   \
           "and make the workspace for the largest batch")                                         \
    STATUS(FASTNN_PRECISION, 3,                                                                    \
           "the model has the other precision; call the function that ends in _f64 for a float64 " \
           "model, in _f32 for a float32 one")                                                     \
    STATUS(FASTNN_NOT_FINITE, 4, "X has NaN or infinity; clean the rows first")                    \
    STATUS(FASTNN_TARGETS, 5,                                                                      \
           "a target is out of the loss's range; labels go from 0 to n_out - 1, numbers are "      \
           "finite and in the loss's range")                                                       \
    STATUS(FASTNN_KIND_OF_TARGET, 6,                                                               \
           "the loss takes the other kind of target; call train_labels for cross_entropy, train "  \
           "for the other losses")                                                                 \
    STATUS(FASTNN_NOT_FOR_TRAINING, 7,                                                             \
           "the workspace was made for predictions; make one with training on")                    \
    STATUS(FASTNN_BUSY, 8, "another thread is training this model; wait for it, or train a copy")  \
    STATUS(FASTNN_DIVERGED, 9,                                                                     \
           "the loss is not finite, so the step was not made (it was if only the penalties of the " \
           "weights are not finite); lower the learning rate or scale X")                          \
    STATUS(FASTNN_MEMORY, 10,                                                                      \
           "there is not enough memory for the workspace; make it for fewer rows")                 \
    STATUS(FASTNN_NOT_ADAPTED, 11,                                                                 \
           "the Standardize layer has not seen data; fit the network, or adapt it, from Python "   \
           "first")                                                                                \
    STATUS(FASTNN_ABI, 12,                                                                         \
           "the program was compiled for another version of the interface; install the newer "     \
           "fastnn, or compile it again")                                                          \
    STATUS(FASTNN_CATEGORIES, 13,                                                                  \
           "a column of an Embedding layer holds a number that is no category; the categories of " \
           "a column are 0, 1, ... below their number")
/* clang-format on */

#define FASTNN_STATUS_NUMBER(NAME, NUMBER, SENTENCE) NAME = NUMBER,
enum fastnn_status { FASTNN_STATUSES(FASTNN_STATUS_NUMBER) };
#undef FASTNN_STATUS_NUMBER

/* The properties of a model that fastnn_get returns. */
enum fastnn_property {
    FASTNN_N_IN = 0,         /* columns of X */
    FASTNN_N_OUT = 1,        /* columns of out */
    FASTNN_DTYPE_BITS = 2,   /* 32 for float, 64 for double */
    FASTNN_N_LAYERS = 3,     /* layers with weights, also those within other layers; a periodic
                              * NumericEmbedding and the factors of an Ensemble are several */
    FASTNN_N_PARAMETERS = 4, /* weights and biases */
    FASTNN_TAKES_LABELS = 5, /* 1 if targets are class labels, 0 if they are numbers */
    FASTNN_STEP = 6          /* updates made so far */
};

/* The functions in the capsule fastnn._C_API. Each is described below, at the function of this
 * header that calls it. */
typedef struct fastnn_api {
    uint32_t abi_version;
    uint32_t struct_size; /* in bytes; functions beyond it are missing */
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

/* The struct that the functions below call, or NULL; each source file that includes this header has
 * its own pointer to it. */
static inline const fastnn_api **fastnn_slot(void) {
    static const fastnn_api *api;
    return &api;
}

/* Use the functions in `api`; return FASTNN_ABI if they do not fit this header. */
static inline int fastnn_use(const fastnn_api *api) {
    if (api == NULL) return FASTNN_NULL;
    if (api->abi_version != FASTNN_ABI_VERSION || api->struct_size < sizeof(fastnn_api))
        return FASTNN_ABI;
    *fastnn_slot() = api;
    return FASTNN_OK;
}

/* Return a sentence for a status: what is wrong, and the remedy. If fastnn_use has failed, there is
 * no function to call, and the sentence is that of the header. */
static inline const char *fastnn_message(int status) {
    const fastnn_api *api = *fastnn_slot();
    if (api != NULL) return api->message(status);
#define FASTNN_STATUS_CASE(NAME, NUMBER, SENTENCE)                                                 \
    case NUMBER: return SENTENCE;
    switch (status) { FASTNN_STATUSES(FASTNN_STATUS_CASE) }
#undef FASTNN_STATUS_CASE
    return "an unknown status";
}

/* Return a property of enum fastnn_property; -1 for one that this version does not know. */
static inline int64_t fastnn_get(const fastnn_model *model, int property) {
    return (*fastnn_slot())->get(model, property);
}

/* Make a workspace for predictions; with `training`, also for training batches of up to `rows`
 * rows. Predictions may have any number of rows, and are computed in chunks of `rows` rows, at most
 * 96. */
static inline int fastnn_workspace_new(fastnn_model *model, ptrdiff_t rows, int training,
                                       fastnn_workspace **workspace) {
    return (*fastnn_slot())->workspace_new(model, rows, training, workspace);
}

/* Free a workspace; NULL is allowed. */
static inline void fastnn_workspace_free(fastnn_workspace *workspace) {
    if (workspace != NULL) (*fastnn_slot())->workspace_free(workspace);
}

/* out (rows, n_out) = the outputs for X (rows, n_in); both are C-contiguous. */
static inline int fastnn_predict_f32(fastnn_workspace *workspace, ptrdiff_t rows, const float *X,
                                     float *out) {
    return (*fastnn_slot())->predict_f32(workspace, rows, X, out);
}

static inline int fastnn_predict_f64(fastnn_workspace *workspace, ptrdiff_t rows, const double *X,
                                     double *out) {
    return (*fastnn_slot())->predict_f64(workspace, rows, X, out);
}

/* Make one update from X (rows, n_in) and targets (rows, n_out), or class labels (rows,), or for a
 * CustomLoss the derivatives of the loss with respect to the outputs (rows, n_out). The targets of
 * gaussian_nll also have n_out columns: first the targets of the means, then as many finite numbers
 * that have no effect. *loss becomes the loss of the batch before the update, which has no meaning
 * for a CustomLoss; loss may be NULL. */
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

/* Return the first output for one row of n doubles, for models of both precisions; NaN if n is not
 * n_in, or if a prediction of this row would return an error. Integrators and optimizers take
 * functions with this signature. */
static inline double fastnn_evaluate(int n, double *x, void *workspace) {
    return (*fastnn_slot())->evaluate(n, x, workspace);
}

#ifdef Py_PYTHON_H

/* Import fastnn and use its functions; return -1 and set Python's error if that fails. */
static inline int fastnn_import(void) {
    const fastnn_api *api = (const fastnn_api *)PyCapsule_Import("fastnn._C_API", 0);
    if (api == NULL) return -1;
    if (fastnn_use(api) == FASTNN_OK) return 0;
    PyErr_Format(PyExc_ImportError,
                 "compiled for fastnn's C interface %d with %u bytes, but the installed fastnn has "
                 "interface %u with %u; install the newer fastnn, or compile it again",
                 FASTNN_ABI_VERSION, (unsigned)sizeof(fastnn_api), (unsigned)api->abi_version,
                 (unsigned)api->struct_size);
    return -1;
}

/* Return the model of an MLP, which lives as long as the MLP; NULL sets Python's error. */
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
