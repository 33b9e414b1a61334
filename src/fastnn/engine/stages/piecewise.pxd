# Piecewise linear features: a column is replaced by a column for each of its bins, which is 0 below
# the bin, 1 above it and linear within it (Gorishniy, Rubachev, Babenko 2022). The first bin has no
# lower bound, the last one no upper bound. Other columns are copied. There are no parameters.
#
#     z_t = (x - low_t) / (high_t - low_t), clipped to [0, 1] where the bin has bounds
#     dE/dx = sum_t dE/dz_t / (high_t - low_t) over the bins that x is in

from libc.math cimport INFINITY
from libc.stdint cimport int32_t
from libc.string cimport memset

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, fastnn_piecewise_args, real
from fastnn.engine.net cimport (
    INFERENCE,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    panels_of,
    place,
)


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from columns and bins, the edges of the bins of each column.

    `own` is a fastnn_piecewise_args, followed by the arrays that it points to.
    """
    cdef Py_ssize_t panels, j = 0
    cdef fastnn_piecewise_args *own
    columns, bins = spec["columns"], spec["bins"]
    bins = {k: b for k, b in zip(range(stage.n_in) if columns is None else columns, bins)}
    stage.n_out = stage.n_in + sum([len(edges) - 2 for edges in bins.values()])
    panels = panels_of(stage.n_out)
    own = <fastnn_piecewise_args *>fastnn_allocate(
        PANEL * sizeof(real) * (2 + 5 * panels) + sizeof(fastnn_piecewise_args))
    stage.own = own
    if own == NULL:
        raise MemoryError("cannot allocate a layer")
    own.columns, own.panels = stage.n_out, panels
    own.numbers = <const real *>own + lines_of(sizeof(fastnn_piecewise_args)) * PANEL
    own.source = <const int32_t *>(own.numbers + 4 * panels * PANEL)
    for i in range(stage.n_in):
        edges = bins.get(i)
        if edges is None:
            put_column(own, j, i, 0.0, 1.0, -INFINITY, INFINITY)
            j += 1
            continue
        last = len(edges) - 2
        for t in range(last + 1):
            put_column(own, j, i, edges[t], 1.0 / (edges[t + 1] - edges[t]),
                       -INFINITY if t == 0 else 0.0, INFINITY if t == last else 1.0)
            j += 1
    stage.on_line = True
    return 0


cdef inline Py_ssize_t lines_of(size_t size) noexcept nogil:
    """Return the number of cache lines that `size` bytes take."""
    return (size + 63) // 64


cdef inline void put_column(fastnn_piecewise_args *own, Py_ssize_t j, Py_ssize_t source,
                            double low, double inverse, double least, double most) noexcept:
    """Define column j of z as (x - low) * inverse of column `source`, clipped to [least, most]."""
    cdef real *numbers = <real *>own.numbers + j // PANEL * 4 * PANEL + j % PANEL
    (<int32_t *>own.source)[j] = <int32_t>source
    numbers[0], numbers[PANEL] = <real>low, <real>inverse
    numbers[2 * PANEL], numbers[3 * PANEL] = <real>least, <real>most


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t size = panels_of(stage.n_out) * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        at = place(&buffers.delta, base, at, size)
    return at


cdef inline fastnn_piecewise_args arguments(const Stage *stage, const Pass *work) noexcept nogil:
    cdef fastnn_piecewise_args args = (<const fastnn_piecewise_args *>stage.own)[0]
    args.rows, args.jump = work.rows, work.buffers.stride * PANEL
    return args


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef fastnn_piecewise_args args = arguments(stage, work)
    work.net.ops.piecewise_forward(&args, buffers.z_prev + work.at * PANEL,
                                   buffers.z + work.at * PANEL)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    cdef fastnn_piecewise_args args
    cdef Py_ssize_t q, shift = work.at * PANEL
    cdef real *below = (buffers - 1).delta
    if not work.carry:
        return
    args = arguments(stage, work)
    for q in range(panels_of(stage.n_in)):
        memset(below + q * args.jump + shift, 0, work.rows * PANEL * sizeof(real))
    work.net.ops.piecewise_backward(&args, buffers.z + shift, buffers.delta + shift, below + shift)


cdef inline void define_piecewise(Kind *kind) noexcept:
    kind.name = "piecewise"
    kind.build = build
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
