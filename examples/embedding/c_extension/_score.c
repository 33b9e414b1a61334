/* _score: predictions and training steps of a float32 network for any object with a buffer, without
 * NumPy, and without the GIL while they run. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <fastnn.h>

/* A workspace for one call, for simplicity; a server would keep one for each of its threads. */
static fastnn_workspace *workspace_of(PyObject *net, Py_ssize_t rows, int training) {
    fastnn_workspace *workspace = NULL;
    fastnn_model *model = fastnn_model_of(net);
    int status;
    if (model == NULL) return NULL;
    status = fastnn_workspace_new(model, rows, training, &workspace);
    if (status != FASTNN_OK) PyErr_SetString(PyExc_MemoryError, fastnn_message(status));
    return workspace;
}

/* Return whether a buffer holds floats (rows, columns); otherwise set an error. The sizes are
 * compared by division, since a product could overflow. */
static int is_floats(const Py_buffer *buffer, Py_ssize_t rows, Py_ssize_t columns) {
    Py_ssize_t row = columns * (Py_ssize_t)sizeof(float);
    if (rows >= 1 && buffer->len % row == 0 && buffer->len / row == rows) return 1;
    PyErr_Format(PyExc_ValueError,
                 "a buffer has %zd bytes, not %zd rows of %zd bytes; pass the number of its rows, "
                 "at least 1",
                 buffer->len, rows, row);
    return 0;
}

static int are_floats(PyObject *net, Py_ssize_t rows, const Py_buffer *X, const Py_buffer *y) {
    const fastnn_model *model = fastnn_model_of(net);
    if (model == NULL) return 0;
    return is_floats(X, rows, (Py_ssize_t)fastnn_get(model, FASTNN_N_IN)) &&
           is_floats(y, rows, (Py_ssize_t)fastnn_get(model, FASTNN_N_OUT));
}

static PyObject *predict(PyObject *self, PyObject *args) {
    PyObject *net;
    Py_buffer X, out;
    Py_ssize_t rows;
    int status = FASTNN_NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "Ony*w*:predict", &net, &rows, &X, &out)) return NULL;
    fastnn_workspace *workspace = are_floats(net, rows, &X, &out) ? workspace_of(net, 1, 0) : NULL;
    if (workspace != NULL) {
        Py_BEGIN_ALLOW_THREADS status = fastnn_predict_f32(workspace, rows, X.buf, out.buf);
        Py_END_ALLOW_THREADS if (status != FASTNN_OK)
            PyErr_SetString(PyExc_ValueError, fastnn_message(status));
        fastnn_workspace_free(workspace);
    }
    PyBuffer_Release(&X);
    PyBuffer_Release(&out);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *step(PyObject *self, PyObject *args) {
    PyObject *net;
    Py_buffer X, y;
    Py_ssize_t rows;
    double loss = 0;
    int status;
    (void)self;
    if (!PyArg_ParseTuple(args, "Ony*y*:step", &net, &rows, &X, &y)) return NULL;
    fastnn_workspace *workspace = are_floats(net, rows, &X, &y) ? workspace_of(net, rows, 1) : NULL;
    if (workspace != NULL) {
        Py_BEGIN_ALLOW_THREADS status = fastnn_train_f32(workspace, rows, X.buf, y.buf, &loss);
        Py_END_ALLOW_THREADS if (status != FASTNN_OK)
            PyErr_SetString(PyExc_ValueError, fastnn_message(status));
        fastnn_workspace_free(workspace);
    }
    PyBuffer_Release(&X);
    PyBuffer_Release(&y);
    return PyErr_Occurred() ? NULL : PyFloat_FromDouble(loss);
}

static PyMethodDef methods[] = {
    {"predict", predict, METH_VARARGS, "predict(net, rows, X, out)"},
    {"step", step, METH_VARARGS, "step(net, rows, X, y) -> loss"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_score", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__score(void);

PyMODINIT_FUNC PyInit__score(void) {
    if (fastnn_import() < 0) return NULL;
    return PyModule_Create(&module);
}
