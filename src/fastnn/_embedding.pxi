# A network as C sees it (capi/include/fastnn.h): calls of one thread in buffers of its own, without
# Python's objects or its lock. Part of _kernels.pyx. Not here: pointers that are NULL, or of the
# other precision (capi/functions.c looks at them first).

cdef struct Room:                 # a workspace; what capi/precision.h knows of it comes first
    fastnn_workspace head
    Net *net
    Space inference               # apart: it has no room for dropout
    Space training
    Py_ssize_t rows               # of a batch, at most; 0 where it isn't for training
    real *before                  # a tiny network's arena, before a step
    real *row                     # (n_in,) of `evaluate`


cdef int64_t embedded_get(const fastnn_model *model, int which) noexcept nogil:
    cdef const Net *net = <const Net *>model.net
    cdef const Layer *layer
    cdef int64_t count = 0
    cdef Py_ssize_t l
    if which == FASTNN_N_IN:
        return net.layers[0].n_in
    if which == FASTNN_N_OUT:
        return net.layers[net.n_layers - 1].n_out
    if which == FASTNN_DTYPE_BITS:
        return 8 * sizeof(real)
    if which == FASTNN_N_LAYERS:
        return net.n_layers
    if which == FASTNN_N_PARAMETERS:
        for l in range(net.n_layers):
            layer = &net.layers[l]
            count += layer.n_out * (layer.n_in + (layer.b != NULL))
        return count
    if which == FASTNN_TAKES_LABELS:
        return net.targets.labels
    return net.step if which == FASTNN_STEP else -1


cdef int embedded_workspace_new(fastnn_model *model, Py_ssize_t rows, int training,
                                fastnn_workspace **workspace) noexcept nogil:
    cdef Net *net = <Net *>model.net
    cdef Room *room = <Room *>calloc(1, sizeof(Room))
    if room == NULL:
        return FASTNN_MEMORY
    room.head.precision, room.net = &PRECISION, net
    room.rows = rows if training else 0
    room.row = <real *>fastnn_allocate(net.layers[0].n_in * sizeof(real))
    if not (room.row != NULL and furnish(&room.inference, net, min(rows, CHUNK), 1, False, False,
                                         False)
            and (not training or furnish_training(room))):
        embedded_workspace_free(&room.head)
        return FASTNN_MEMORY
    workspace[0] = &room.head
    return FASTNN_OK


cdef bint furnish_training(Room *room) noexcept nogil:
    """Room for training batches, too."""
    cdef const Net *net = room.net
    if net.tiny.layers != NULL:
        room.before = <real *>fastnn_allocate(net.n_blocks * net.block * sizeof(real))
        if room.before == NULL:
            return False
    return furnish(&room.training, net, min(room.rows, ROUND), 1, True, True, room.rows > ROUND)


cdef void embedded_workspace_free(fastnn_workspace *workspace) noexcept nogil:
    cdef Room *room = <Room *>workspace
    clear(&room.inference)
    clear(&room.training)
    free(room.before)
    free(room.row)
    free(room)


cdef int begin(Job *job, Room *room, Py_ssize_t rows, const void *X) noexcept nogil:
    """A job with the rows of X, or what is wrong with them."""
    memset(job, 0, sizeof(Job))
    job.net, job.X, job.n_rows = room.net, <const real *>X, rows
    if room.net.waits_for_data:
        return FASTNN_NOT_ADAPTED
    if room.net.ops.first_nonfinite(rows * room.net.layers[0].n_in, job.X) >= 0:
        return FASTNN_NOT_FINITE
    return FASTNN_OK


cdef int embedded_predict(fastnn_workspace *workspace, Py_ssize_t rows, const void *X,
                          void *out) noexcept nogil:
    cdef Room *room = <Room *>workspace
    cdef Job job
    cdef int status = begin(&job, room, rows, X)
    if status != FASTNN_OK:
        return status
    job.space, job.out = &room.inference, <real *>out
    while job.first < rows:
        job.stop = min(rows, job.first + room.inference.rows)
        fastnn_run(1, evaluate_task, &job)
        job.first = job.stop
    return FASTNN_OK


cdef int embedded_train(fastnn_workspace *workspace, Py_ssize_t rows, const void *X,
                        const void *targets, const int64_t *labels, double *loss) noexcept nogil:
    cdef Room *room = <Room *>workspace
    cdef Job job
    cdef int status
    if room.rows == 0:
        return FASTNN_NOT_FOR_TRAINING
    if rows > room.rows:
        return FASTNN_ROWS
    if (labels != NULL) != room.net.targets.labels:
        return FASTNN_KIND_OF_TARGET
    status = begin(&job, room, rows, X)
    if status != FASTNN_OK:
        return status
    job.space, job.T, job.labels = &room.training, <const real *>targets, labels
    job.batch = job.stop = rows
    if not targets_are_fit(&job):
        return FASTNN_TARGETS
    if not fastnn_claim(&room.net.claimed):
        return FASTNN_BUSY
    job.tiny = rows == 1 and room.before != NULL
    if job.tiny:
        train_tiny_slice(&job, room.before)
    if not job.tiny:
        fastnn_run(1, train_task, &job)
    fastnn_release(&room.net.claimed)
    if job.end == DIVERGED:
        return FASTNN_DIVERGED
    loss[0] = reduced(&job)
    return FASTNN_OK


cdef double embedded_evaluate(fastnn_workspace *workspace, Py_ssize_t n,
                              const double *x) noexcept nogil:
    """The first output for a row."""
    cdef Room *room = <Room *>workspace
    cdef const Net *net = room.net
    cdef Py_ssize_t i, last = net.n_layers - 1
    cdef Job job
    if n != net.layers[0].n_in:
        return NAN
    for i in range(n):
        room.row[i] = <real>x[i]
    if begin(&job, room, 1, room.row) != FASTNN_OK:
        return NAN
    job.space, job.stop = &room.inference, 1
    gather_rows(&job, 0, 0, 1)
    forward(net, job.space, Masks(step=0, before=0), 0, 1, False)
    return room.inference.layers[last].z[0]


cdef fastnn_precision PRECISION
PRECISION.bits = 8 * sizeof(real)
PRECISION.get = embedded_get
PRECISION.workspace_new = embedded_workspace_new
PRECISION.workspace_free = embedded_workspace_free
PRECISION.predict = embedded_predict
PRECISION.train = embedded_train
PRECISION.evaluate = embedded_evaluate


cdef void let_go(capsule) noexcept:
    """The network is no longer kept for a capsule that is gone."""
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


def c_api():
    """The capsule fastnn._C_API: all functions of capi/include/fastnn.h, of both precisions."""
    return PyCapsule_New(<void *>&fastnn_functions, "fastnn._C_API", NULL)
