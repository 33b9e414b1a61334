# fastnn's networks for Cython: `from fastnn cimport ...`, compiled with the include folder
# fastnn.get_include(). Names only: numbers, types and descriptions are in capi/include/fastnn.h.

from libc.stdint cimport int64_t

cdef extern from "fastnn.h" nogil:
    cdef enum:
        FASTNN_OK
        FASTNN_NULL
        FASTNN_ROWS
        FASTNN_PRECISION
        FASTNN_NOT_FINITE
        FASTNN_TARGETS
        FASTNN_KIND_OF_TARGET
        FASTNN_NOT_FOR_TRAINING
        FASTNN_BUSY
        FASTNN_DIVERGED
        FASTNN_MEMORY
        FASTNN_NOT_ADAPTED
        FASTNN_ABI
        FASTNN_CATEGORIES

    cdef enum:
        FASTNN_N_IN
        FASTNN_N_OUT
        FASTNN_DTYPE_BITS
        FASTNN_N_LAYERS
        FASTNN_N_PARAMETERS
        FASTNN_TAKES_LABELS
        FASTNN_STEP

    ctypedef struct fastnn_model:
        pass

    ctypedef struct fastnn_workspace:
        pass

    const char *fastnn_message(int status)
    int64_t fastnn_get(const fastnn_model *model, int which)
    int fastnn_workspace_new(fastnn_model *model, Py_ssize_t rows, int training,
                             fastnn_workspace **workspace)
    void fastnn_workspace_free(fastnn_workspace *workspace)
    int fastnn_predict_f32(fastnn_workspace *workspace, Py_ssize_t rows, const float *X, float *out)
    int fastnn_predict_f64(fastnn_workspace *workspace, Py_ssize_t rows, const double *X,
                           double *out)
    int fastnn_train_f32(fastnn_workspace *workspace, Py_ssize_t rows, const float *X,
                         const float *targets, double *loss)
    int fastnn_train_f64(fastnn_workspace *workspace, Py_ssize_t rows, const double *X,
                         const double *targets, double *loss)
    int fastnn_train_labels_f32(fastnn_workspace *workspace, Py_ssize_t rows, const float *X,
                                const int64_t *labels, double *loss)
    int fastnn_train_labels_f64(fastnn_workspace *workspace, Py_ssize_t rows, const double *X,
                                const int64_t *labels, double *loss)
    double fastnn_evaluate(int n, double *x, void *workspace)

cdef extern from "fastnn.h":
    int fastnn_import() except -1
    fastnn_model *fastnn_model_of(object net) except NULL
