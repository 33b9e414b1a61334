# cython: language_level=3, boundscheck=False, wraparound=False
"""A network of float32 with one output, and one thread's buffers for it."""

from libc.time cimport clock, clock_t, CLOCKS_PER_SEC

from fastnn cimport (
    FASTNN_N_IN,
    FASTNN_OK,
    fastnn_get,
    fastnn_import,
    fastnn_message,
    fastnn_model,
    fastnn_model_of,
    fastnn_predict_f32,
    fastnn_train_f32,
    fastnn_workspace,
    fastnn_workspace_free,
    fastnn_workspace_new,
)

fastnn_import()


cdef int check(int status) except -1:
    """Raise a ValueError with the message of a status other than FASTNN_OK."""
    if status != FASTNN_OK:
        raise ValueError(fastnn_message(status).decode())
    return 0


cdef class Scorer:
    cdef object net  # keeps the weights that the workspace uses alive
    cdef fastnn_workspace *workspace
    cdef Py_ssize_t n_in

    def __cinit__(self, net, Py_ssize_t rows=1):
        cdef fastnn_model *model = fastnn_model_of(net)
        self.net, self.n_in = net, fastnn_get(model, FASTNN_N_IN)
        check(fastnn_workspace_new(model, rows, True, &self.workspace))

    def __dealloc__(self):
        fastnn_workspace_free(self.workspace)

    def predict(self, const float[:, ::1] X, float[::1] out):
        """Write the scores of the rows of X (n, n_in) to out (n,)."""
        cdef int status
        self.check_shape(X)
        with nogil:
            status = fastnn_predict_f32(self.workspace, X.shape[0], &X[0, 0], &out[0])
        check(status)

    def best(self, const float[:, ::1] candidates):
        """Return the index of the row with the highest score, found row by row."""
        cdef Py_ssize_t i, best = 0
        cdef float score, highest
        cdef int status
        self.check_shape(candidates)
        with nogil:
            for i in range(candidates.shape[0]):
                status = fastnn_predict_f32(self.workspace, 1, &candidates[i, 0], &score)
                if status != FASTNN_OK:
                    break
                if i == 0 or score > highest:
                    best, highest = i, score
        check(status)
        return best

    def step(self, const float[:, ::1] X, const float[::1] y):
        """Make one update from rows and targets; return the loss before it."""
        cdef double loss
        cdef int status
        self.check_shape(X)
        with nogil:
            status = fastnn_train_f32(self.workspace, X.shape[0], &X[0, 0], &y[0], &loss)
        check(status)
        return loss

    def seconds_a_row(self, const float[:, ::1] X, int times):
        """Return the time of the prediction of one row."""
        cdef float score
        cdef int i
        cdef clock_t began = clock()
        self.check_shape(X)
        with nogil:
            for i in range(times):
                fastnn_predict_f32(self.workspace, 1, &X[0, 0], &score)
        return <double>(clock() - began) / CLOCKS_PER_SEC / times

    cdef int check_shape(self, const float[:, ::1] X) except -1:
        if X.shape[0] < 1 or X.shape[1] != self.n_in:
            raise ValueError(f"X has shape ({X.shape[0]}, {X.shape[1]}); pass rows of {self.n_in}")
        return 0
