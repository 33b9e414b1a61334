# Tiny members of one shape, trained side by side by simd/lockstep.h. Each is in a lane, a column of
# the panels, and gets the bits that tiny.c gives for it alone. A slice ends where it would end if
# the member were alone. The member then leaves its lane, and another slice, its own next one or
# another member's, takes the lane. Not here: which members are trained together (members.pxd).

from libc.math cimport isfinite
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset, strcmp

from fastnn.engine.leaves cimport (
    LOCKSTEP_ROWS,
    PANEL,
    fastnn_allocate,
    fastnn_flush_subnormals,
    fastnn_free,
    fastnn_lockstep,
    fastnn_lockstep_layer,
    fastnn_lockstep_rows,
    fastnn_restore_subnormals,
    fastnn_step,
    fastnn_tiny_layer,
    real,
)
from fastnn.engine.net cimport Net
from fastnn.engine.run cimport KEEP_ROWS, Run


cdef enum:
    MOST_LANES = 16               # PANEL for floats

cdef struct Lockstep:
    fastnn_lockstep nets
    const Net *net                # a network of the shape that all have
    fastnn_lockstep_layer *layers
    fastnn_lockstep_rows *rows    # (PANEL,)
    real *rate                    # (PANEL,)
    double *loss                  # (PANEL,)
    Run *runs[MOST_LANES]         # (PANEL,) the run in each lane, or NULL
    Py_ssize_t left[MOST_LANES]   # (PANEL,) rows of its slice still to train


cdef inline bint fits_lane(const Run *run) noexcept nogil:
    """Whether a run can be trained in a lane: plain descent on squared errors, row by row."""
    cdef const Net *net = run.net
    return (run.tiny and run.losses != NULL and net.schedule.rule == NULL
            and strcmp(net.optimizer.name, b"sgd") == 0
            and strcmp(net.loss.name, b"squared_error") == 0)


cdef inline bint have_one_shape(const Net *one, const Net *other) noexcept nogil:
    """Whether the layers of two tiny networks have the same sizes, biases and activations."""
    cdef const fastnn_tiny_layer *first
    cdef const fastnn_tiny_layer *second
    cdef Py_ssize_t i
    if one.ops != other.ops or one.tiny.n_layers != other.tiny.n_layers:
        return False
    for i in range(one.tiny.n_layers):
        first, second = &one.tiny.layers[i], &other.tiny.layers[i]
        if (first.n_in != second.n_in or first.n_out != second.n_out
                or first.activation != second.activation or first.alpha != second.alpha
                or (first.b == NULL) != (second.b == NULL)):
            return False
    return True


# ---- memory -------------------------------------------------------------------------------------

cdef inline bint make_lockstep(Lockstep *lockstep, const Net *net) noexcept nogil:
    """Allocate PANEL lanes for networks of the shape of `net`; False without enough memory."""
    cdef Py_ssize_t n = net.tiny.n_layers
    memset(lockstep, 0, sizeof(Lockstep))
    lockstep.net = net
    lockstep.layers = <fastnn_lockstep_layer *>fastnn_allocate(n * sizeof(fastnn_lockstep_layer))
    lockstep.rows = <fastnn_lockstep_rows *>fastnn_allocate(PANEL * sizeof(fastnn_lockstep_rows))
    lockstep.loss = <double *>fastnn_allocate(PANEL * sizeof(double))
    lockstep.rate = <real *>fastnn_allocate(lockstep_size(net) * sizeof(real))
    if (lockstep.layers == NULL or lockstep.rows == NULL or lockstep.loss == NULL
            or lockstep.rate == NULL):
        free_lockstep(lockstep)
        return False
    place_lockstep(lockstep)
    return True


cdef inline void free_lockstep(Lockstep *lockstep) noexcept nogil:
    fastnn_free(lockstep.layers)
    fastnn_free(lockstep.rows)
    fastnn_free(lockstep.loss)
    fastnn_free(lockstep.rate)


cdef inline Py_ssize_t lockstep_size(const Net *net) noexcept nogil:
    """The size of the memory that begins with the rates, in reals."""
    cdef Py_ssize_t i, n = 1 + LOCKSTEP_ROWS * (net.n_in + net.n_out)
    for i in range(net.tiny.n_layers):
        n += net.tiny.layers[i].n_out * (net.tiny.layers[i].n_in + 4)
    return n * PANEL


cdef inline void place_lockstep(Lockstep *lockstep) noexcept nogil:
    """Place all arrays of reals in the memory that begins with the rates."""
    cdef const fastnn_tiny_layer *tiny
    cdef fastnn_lockstep_layer *layer
    cdef real *at = lockstep.rate + PANEL
    cdef Py_ssize_t i, size
    for i in range(lockstep.net.tiny.n_layers):
        tiny, layer = &lockstep.net.tiny.layers[i], &lockstep.layers[i]
        layer.n_in, layer.n_out, layer.alpha = tiny.n_in, tiny.n_out, tiny.alpha
        layer.activation = &lockstep.net.ops.activations[tiny.activation]
        size = tiny.n_out * PANEL
        layer.W, at = at, at + size * tiny.n_in
        layer.b = at if tiny.b != NULL else NULL
        layer.z, layer.slope, layer.delta = at + size, at + 2 * size, at + 3 * size
        at += 4 * size
    lockstep.nets.n_layers, lockstep.nets.layers, lockstep.nets.rows = (
        lockstep.net.tiny.n_layers, lockstep.layers, lockstep.rows)
    lockstep.nets.rate, lockstep.nets.loss = lockstep.rate, lockstep.loss
    lockstep.nets.x, lockstep.nets.t = at, at + LOCKSTEP_ROWS * lockstep.net.n_in * PANEL


# ---- slices -------------------------------------------------------------------------------------

cdef inline void enter_lane(Lockstep *lockstep, int l, Run *run) noexcept nogil:
    """Put a run's next slice, from run.first to run.stop, into lane l."""
    cdef fastnn_lockstep_rows *rows = &lockstep.rows[l]
    cdef fastnn_step constants
    lockstep.runs[l], lockstep.left[l] = run, run.stop - run.first
    rows.X, rows.T, rows.labels = run.rows.X, run.rows.T, run.rows.labels
    rows.order, rows.first = run.rows.order, run.first
    run.net.optimizer.prepare(&run.net.hyper, <double>(run.net.step + 1), &constants)
    lockstep.rate[l], lockstep.loss[l] = constants.rate, run.loss
    copy_lane(lockstep, l, True)


cdef inline void leave_lane(Lockstep *lockstep, int l) noexcept nogil:
    """Copy the parameters of a finished slice to its network; run.keep gets those from before it.

    If the loss is not finite, the network stays as it was before the slice and run.tiny is cleared,
    so that the general step repeats the slice and finds the row, as in train_tiny_slice.
    """
    cdef Run *run = lockstep.runs[l]
    cdef Py_ssize_t n = run.stop - run.first
    if isfinite(lockstep.loss[l]):
        memcpy(run.keep.memory, run.net.arena, run.net.block * sizeof(real))
        run.keep.step, run.keep.rows = run.net.step, KEEP_ROWS
        copy_lane(lockstep, l, False)
        run.loss = lockstep.loss[l]
        run.total += <double>n
        run.net.step += n
        run.first = run.stop
    else:
        run.tiny = False
    empty_lane(lockstep, l)


cdef inline void empty_lane(Lockstep *lockstep, int l) noexcept nogil:
    """Mark lane l as empty: it is still computed, with a learning rate of 0, and not used."""
    lockstep.runs[l], lockstep.rows[l].X, lockstep.rate[l] = NULL, NULL, 0


cdef inline void copy_lane(Lockstep *lockstep, int l, bint enters) noexcept nogil:
    """Copy the parameters of lane l's network into the lane, or back."""
    cdef const fastnn_tiny_layer *tiny
    cdef fastnn_lockstep_layer *layer
    cdef Py_ssize_t i, j, k
    for i in range(lockstep.nets.n_layers):
        tiny, layer = &lockstep.runs[l].net.tiny.layers[i], &lockstep.layers[i]
        for j in range(layer.n_out):
            for k in range(layer.n_in):
                copy_number(&tiny.W[k * PANEL + j], &layer.W[(j * layer.n_in + k) * PANEL + l],
                            enters)
            if layer.b != NULL:
                copy_number(&tiny.b[j], &layer.b[j * PANEL + l], enters)


cdef inline void copy_number(real *here, real *there, bint enters) noexcept nogil:
    if enters:
        there[0] = here[0]
    else:
        here[0] = there[0]


cdef inline void train_lanes(Lockstep *lockstep, Py_ssize_t most) noexcept nogil:
    """Train all lanes until the first slice ends, for `most` steps at most."""
    cdef Py_ssize_t n = most
    cdef uint64_t before
    cdef int l
    for l in range(PANEL):
        if lockstep.runs[l] != NULL:
            n = min(n, lockstep.left[l])
    before = fastnn_flush_subnormals()  # as train_batch does
    lockstep.net.ops.lockstep(&lockstep.nets, n)
    fastnn_restore_subnormals(before)
    for l in range(PANEL):
        if lockstep.runs[l] != NULL:
            lockstep.left[l] -= n
            lockstep.rows[l].first += n


cdef inline bint is_empty(const Lockstep *lockstep) noexcept nogil:
    cdef int l
    for l in range(PANEL):
        if lockstep.runs[l] != NULL:
            return False
    return True
