/* precision.h - the functions for one precision, which functions.c calls. */
#ifndef FASTNN_PRECISION_H
#define FASTNN_PRECISION_H

#include "include/fastnn.h"

/* engine/capi.pxd implements them. `bits` is 32 for float, 64 for double. */
typedef struct fastnn_precision {
    int bits;
    int64_t (*get)(const fastnn_model *model, int property);
    int (*workspace_new)(fastnn_model *model, ptrdiff_t rows, int training,
                         fastnn_workspace **workspace);
    void (*workspace_free)(fastnn_workspace *workspace);
    int (*predict)(fastnn_workspace *workspace, ptrdiff_t rows, const void *X, void *out);
    int (*train)(fastnn_workspace *workspace, ptrdiff_t rows, const void *X, const void *targets,
                 const int64_t *labels, double *loss);
    double (*evaluate)(fastnn_workspace *workspace, ptrdiff_t n, const double *x);
} fastnn_precision;

struct fastnn_model {
    const fastnn_precision *precision;
    void *net;
};

struct fastnn_workspace { /* the first member of a precision's own struct */
    const fastnn_precision *precision;
};

extern const fastnn_api fastnn_functions;

#endif
