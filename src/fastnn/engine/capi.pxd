# The functions of capi/include/fastnn.h for one precision. They run on the calling thread, in the
# buffers of a workspace, without Python objects and without the GIL. Not here: the checks for NULL
# pointers and for the other precision, which capi/functions.c makes first.

from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastnn cimport (
    FASTNN_BUSY,
    FASTNN_CATEGORIES,
    FASTNN_DIVERGED,
    FASTNN_DTYPE_BITS,
    FASTNN_KIND_OF_TARGET,
    FASTNN_MEMORY,
    FASTNN_N_IN,
    FASTNN_N_LAYERS,
    FASTNN_N_OUT,
    FASTNN_N_PARAMETERS,
    FASTNN_NOT_ADAPTED,
    FASTNN_NOT_FINITE,
    FASTNN_NOT_FOR_TRAINING,
    FASTNN_OK,
    FASTNN_ROWS,
    FASTNN_STEP,
    FASTNN_TAKES_LABELS,
    FASTNN_TARGETS,
)
from fastnn.engine.averages cimport begin_training, end_training
from fastnn.engine.buffers cimport allocate_buffers, free_buffers
from fastnn.engine.evaluation cimport evaluate_task, net_to_predict, next_slice
from fastnn.engine.leaves cimport (
    fastnn_allocate,
    fastnn_free,
    fastnn_model,
    fastnn_precision,
    fastnn_release_exclusive,
    fastnn_run,
    fastnn_take_exclusive,
    fastnn_workspace,
    real,
)
from fastnn.engine.net cimport (
    INFERENCE,
    TRAINING,
    Buffers,
    Net,
    Pass,
    chunk_rows,
    round_rows,
)
from fastnn.engine.parameters cimport parameter_count
from fastnn.engine.passes cimport begin_pass, forward, write_outputs
from fastnn.engine.rows cimport (
    Rows,
    are_accepted,
    describe_dense_rows,
    gather_inputs,
    set_labels,
    set_real_targets,
    targets_fit,
)
from fastnn.engine.run cimport DIVERGED, Evaluation, Run, reduced
from fastnn.engine.tasks cimport prepare_run, train_task, train_tiny_slice
from fastnn.engine.zeros cimport predicts_zeros

cdef struct Workspace:            # its first member is declared in capi/precision.h
    fastnn_workspace head
    Net *net
    Buffers inference             # separate, since they have no room for dropout
    Buffers training
    Py_ssize_t rows               # of the largest training batch; 0: not for training
    real *before                  # a tiny network's arena from before a step; or NULL
    real *row                     # (n_in,) the input of `evaluate`


cdef inline int64_t get_property(const fastnn_model *model, int which) noexcept nogil:
    cdef const Net *net = <const Net *>model.net
    if which == FASTNN_N_IN:
        return net.n_in
    if which == FASTNN_N_OUT:
        return net.n_out
    if which == FASTNN_DTYPE_BITS:
        return 8 * sizeof(real)
    if which == FASTNN_N_LAYERS:
        return stages_with_parameters(net)
    if which == FASTNN_N_PARAMETERS:
        return parameter_count(net)
    if which == FASTNN_TAKES_LABELS:
        return net.targets.labels
    return net.step if which == FASTNN_STEP else -1


cdef inline Py_ssize_t stages_with_parameters(const Net *net) noexcept nogil:
    cdef Py_ssize_t i, count = 0
    for i in range(net.n_stages):
        count += net.stages[i].n_tiles > 0
    return count


cdef inline int new_workspace(fastnn_model *model, Py_ssize_t rows, int training,
                              fastnn_workspace **workspace) noexcept nogil:
    cdef Net *net = <Net *>model.net
    cdef Workspace *made = <Workspace *>calloc(1, sizeof(Workspace))
    if made == NULL:
        return FASTNN_MEMORY
    made.head.precision, made.net = model.precision, net
    made.rows = rows if training else 0
    made.row = <real *>fastnn_allocate(net.n_in * sizeof(real))
    if not (made.row != NULL
            and allocate_buffers(&made.inference, net, min(rows, chunk_rows(net)), 1, INFERENCE,
                                 False)
            and (not training or allocate_training(made))):
        free_workspace(&made.head)
        return FASTNN_MEMORY
    workspace[0] = &made.head
    return FASTNN_OK


cdef inline bint allocate_training(Workspace *workspace) noexcept nogil:
    """Allocate the buffers for training batches; return False if there is not enough memory."""
    cdef const Net *net = workspace.net
    if net.tiny.layers != NULL:
        workspace.before = <real *>fastnn_allocate(net.n_blocks * net.block * sizeof(real))
        if workspace.before == NULL:
            return False
    return allocate_buffers(&workspace.training, net, min(workspace.rows, round_rows(net)), 1,
                            TRAINING, workspace.rows > round_rows(net))


cdef inline void free_workspace(fastnn_workspace *handle) noexcept nogil:
    cdef Workspace *workspace = <Workspace *>handle
    free_buffers(&workspace.inference)
    free_buffers(&workspace.training)
    fastnn_free(workspace.before)
    fastnn_free(workspace.row)
    free(workspace)


cdef inline int check_rows(const Net *net, Py_ssize_t rows, const void *X) noexcept nogil:
    """Check X (rows, n_in); return FASTNN_OK or the status for the first problem found."""
    if net.waits_for_data:
        return FASTNN_NOT_ADAPTED
    if net.ops.first_nonfinite(rows * net.n_in, <const real *>X) >= 0:
        return FASTNN_NOT_FINITE
    if not are_accepted(net, rows, <const real *>X):
        return FASTNN_CATEGORIES
    return FASTNN_OK


cdef inline int predict(fastnn_workspace *handle, Py_ssize_t rows, const void *X,
                        void *out) noexcept nogil:
    cdef Workspace *workspace = <Workspace *>handle
    cdef Net copy
    cdef Net *net = net_to_predict(workspace.net, False, &copy)
    cdef Evaluation evaluation
    cdef int status = check_rows(net, rows, X)
    if status != FASTNN_OK:
        return status
    evaluation.net, evaluation.buffers = net, &workspace.inference
    describe_dense_rows(&evaluation.rows, rows, <const real *>X)
    evaluation.out, evaluation.chunk_losses, evaluation.stop = <real *>out, NULL, 0
    evaluation.skips_zeros = predicts_zeros(net, &evaluation.rows, False)
    while next_slice(&evaluation, workspace.inference.rows):
        fastnn_run(1, evaluate_task, &evaluation)
    return FASTNN_OK


cdef inline int train(fastnn_workspace *handle, Py_ssize_t rows, const void *X,
                      const void *targets, const int64_t *labels, double *loss) noexcept nogil:
    cdef Workspace *workspace = <Workspace *>handle
    cdef Net *net = workspace.net
    cdef Run run
    cdef int status
    if workspace.rows == 0:
        return FASTNN_NOT_FOR_TRAINING
    if rows > workspace.rows:
        return FASTNN_ROWS
    if (labels != NULL) != net.targets.labels:
        return FASTNN_KIND_OF_TARGET
    status = check_rows(net, rows, X)
    if status != FASTNN_OK:
        return status
    memset(&run, 0, sizeof(Run))
    run.net, run.buffers = net, &workspace.training
    describe_dense_rows(&run.rows, rows, <const real *>X)
    if labels != NULL:
        set_labels(&run.rows, net.loss, labels)
    else:
        set_real_targets(&run.rows, net.loss, <const real *>targets)
    if not targets_fit(net, &run.rows):
        return FASTNN_TARGETS
    if not fastnn_take_exclusive(&net.claim):
        return FASTNN_BUSY
    run.batch = run.stop = run.end = rows
    run.tiny = rows == 1 and workspace.before != NULL
    begin_training(net)
    prepare_run(&run)
    if run.tiny:
        train_tiny_slice(&run, workspace.before)
    if not run.tiny:
        fastnn_run(1, train_task, &run)
    end_training(net)
    fastnn_release_exclusive(&net.claim)
    if run.ended == DIVERGED:
        return FASTNN_DIVERGED
    loss[0] = reduced(net, run.loss, run.total)
    return FASTNN_OK


cdef inline double evaluate(fastnn_workspace *handle, Py_ssize_t n,
                            const double *x) noexcept nogil:
    """The first output for one row x (n,); NaN if the row cannot be predicted."""
    cdef Workspace *workspace = <Workspace *>handle
    cdef Net copy
    cdef const Net *net = net_to_predict(workspace.net, False, &copy)
    cdef Py_ssize_t i
    cdef Rows rows
    cdef Pass work
    if n != net.n_in:
        return NAN
    for i in range(n):
        workspace.row[i] = <real>x[i]
    if check_rows(net, 1, workspace.row) != FASTNN_OK:
        return NAN
    describe_dense_rows(&rows, 1, workspace.row)
    gather_inputs(net, &rows, &workspace.inference, 0, 0, 1)
    begin_pass(&work, net, &workspace.inference, 0, NULL)
    work.rows = net.members
    forward(&work)
    write_outputs(&work, workspace.inference.target)  # unused by predictions, and large enough
    return workspace.inference.target[0]


cdef inline void define_precision(fastnn_precision *precision) noexcept:
    precision.bits = 8 * sizeof(real)
    precision.get = get_property
    precision.workspace_new = new_workspace
    precision.workspace_free = free_workspace
    precision.predict = predict
    precision.train = train
    precision.evaluate = evaluate
