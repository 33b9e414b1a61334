# Where the rows of a step come from. The kind of the inputs and of the targets is chosen once, when
# the rows are described, with the loss that takes these targets: the network's own, or the linear
# one for given gradients of the outputs. A new kind needs a function that gathers its rows, and one
# that describes them.

from libc.stdint cimport int64_t
from libc.string cimport memset

from fastnn.engine.leaves cimport PANEL, fastnn_loss, real
from fastnn.engine.net cimport Buffers, Net

cdef struct Rows

cdef struct Rows:
    Py_ssize_t n
    # Rows from `position`, in order, into rows `at`, ... of the buffers.
    void (*gather_inputs)(const Net *net, const Rows *rows, const Buffers *buffers,
                          Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil
    void (*gather_targets)(const Net *net, const Rows *rows, const Buffers *buffers,
                           Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil
    const fastnn_loss *loss       # what takes the targets; NULL without targets
    bint weighted                 # rows have sample weights; otherwise each has weight 1
    const real *X                 # (n, n_in)
    const real *T                 # (n, n_out) of real targets
    const int64_t *labels         # (n,) of classes
    const real *sample_weight     # (n,)
    const int64_t *order          # the order in which rows are used; NULL: as they are stored


# ---- inputs -------------------------------------------------------------------------------------

cdef inline void take_rows_of_reals(Rows *rows, Py_ssize_t n, const real *X) noexcept nogil:
    """n rows of X, of the network's precision, without targets."""
    memset(rows, 0, sizeof(Rows))
    rows.n, rows.X, rows.gather_inputs = n, X, gather_reals


cdef inline void gather_reals(const Net *net, const Rows *rows, const Buffers *buffers,
                              Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    gather(net, rows, buffers, position, n, rows.X, net.n_in,
           buffers.stages[0].z_prev + at * PANEL)


cdef inline void gather(const Net *net, const Rows *rows, const Buffers *buffers,
                        Py_ssize_t position, Py_ssize_t n, const real *source, Py_ssize_t columns,
                        real *panels) noexcept nogil:
    """n rows of a row-major array into panels."""
    if rows.order != NULL:
        net.ops.gather(n, columns, source, rows.order + position, panels, buffers.stride * PANEL)
    else:
        net.ops.gather(n, columns, source + position * columns, NULL, panels,
                       buffers.stride * PANEL)


# ---- targets ------------------------------------------------------------------------------------

cdef inline void take_reals(Rows *rows, const fastnn_loss *loss, const real *T) noexcept nogil:
    rows.loss, rows.T, rows.gather_targets = loss, T, gather_real_targets


cdef inline void gather_real_targets(const Net *net, const Rows *rows, const Buffers *buffers,
                                     Py_ssize_t position, Py_ssize_t at,
                                     Py_ssize_t n) noexcept nogil:
    gather(net, rows, buffers, position, n, rows.T, net.n_out, buffers.target + at * PANEL)


cdef inline void take_labels(Rows *rows, const fastnn_loss *loss,
                             const int64_t *labels) noexcept nogil:
    rows.loss, rows.labels, rows.gather_targets = loss, labels, gather_labels


cdef inline void gather_labels(const Net *net, const Rows *rows, const Buffers *buffers,
                               Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Labels become one-hot rows."""
    cdef real *target = buffers.target + at * PANEL
    if rows.order != NULL:
        net.ops.one_hot(n, net.n_out, rows.labels, rows.order + position, target,
                        buffers.stride * PANEL)
    else:
        net.ops.one_hot(n, net.n_out, rows.labels + position, NULL, target, buffers.stride * PANEL)


cdef inline bint targets_fit(const Net *net, const Rows *rows) noexcept nogil:
    """Whether the loss accepts the targets."""
    cdef Py_ssize_t i
    if net.targets.labels:
        for i in range(rows.n):
            if not 0 <= rows.labels[i] < net.n_out:
                return False
        return True
    for i in range(rows.n * net.n_out):
        if not net.targets.low <= rows.T[i] <= net.targets.high:
            return False
    return net.ops.first_nonfinite(rows.n * net.n_out, rows.T) < 0


# ---- sample weights -----------------------------------------------------------------------------

cdef inline void take_sample_weight(Rows *rows, const real *sample_weight) noexcept nogil:
    rows.weighted, rows.sample_weight = True, sample_weight


cdef inline double batch_weight(const Rows *rows, Py_ssize_t position, Py_ssize_t n) noexcept nogil:
    """The total weight of n rows: n if they have no sample weights."""
    cdef double total = 0.0
    cdef Py_ssize_t r
    if not rows.weighted:
        return <double>n
    for r in range(position, position + n):
        total += rows.sample_weight[rows.order[r] if rows.order != NULL else r]
    return total


cdef inline void weigh_rows(const Rows *rows, const Buffers *buffers, double divisor,
                            Py_ssize_t position, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Each row's factor in the batch's loss; all are 0 if the batch has no weight."""
    cdef double weight = 1.0
    cdef Py_ssize_t r, i
    for r in range(n):
        if rows.weighted:
            i = rows.order[position + r] if rows.order != NULL else position + r
            weight = rows.sample_weight[i]
        # Not times 1 / divisor, which is infinite where all weights are subnormal.
        buffers.weight[at + r] = <real>(weight / divisor) if divisor > 0 else 0
