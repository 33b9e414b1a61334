# The two ends of a Residual, a sequence of stages whose input is added to its output: a fork before
# the first stage, a sum after the last. z of the fork is z_prev; z of the sum is z_prev + z of the
# fork.
#
#     at the sum    dE/dz_prev = delta
#     at the fork   dE/dz_prev = delta + delta of the sum
#
# A sum belongs to the last fork before it that has no sum yet.

from libc.string cimport memcpy

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, real
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

cdef struct ResidualEnd:          # of a Residual
    Py_ssize_t partner            # index of the stage of the other end; -1 until it is built


cdef inline int build_end(const Net *net, Stage *stage, dict spec) except -1:
    """Build an end whose partner is not built yet; it takes nothing from the specification."""
    stage.own = fastnn_allocate(sizeof(ResidualEnd))
    if stage.own == NULL:
        raise MemoryError("cannot allocate a layer")
    (<ResidualEnd *>stage.own).partner = -1
    stage.n_out, stage.on_line = stage.n_in, True
    return 0


cdef inline int build_sum(const Net *net, Stage *stage, dict spec) except -1:
    """Build a sum, and link it to its fork; it takes nothing from the specification."""
    cdef const Stage *fork = stage - 1
    build_end(net, stage, spec)
    while fork.kind.build != build_end or (<ResidualEnd *>fork.own).partner >= 0:
        fork -= 1
    (<ResidualEnd *>stage.own).partner = fork.index
    (<ResidualEnd *>fork.own).partner = stage.index
    return 0


cdef inline const StageBuffers *partner_of(const Stage *stage,
                                           const StageBuffers *buffers) noexcept nogil:
    return buffers + ((<const ResidualEnd *>stage.own).partner - stage.index)


cdef inline Py_ssize_t lay_out_fork(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                                    Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    buffers.z, buffers.delta = buffers.z_prev, (buffers - 1).delta
    return at


cdef inline Py_ssize_t lay_out_sum(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                                   Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    """Place z and delta in buffers of their own.

    Both terms of the sum are still needed, and the fork reads the delta of the sum.
    """
    cdef Py_ssize_t size = panels_of(stage.n_in) * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        at = place(&buffers.delta, base, at, size)
    return at


cdef inline void forward_fork(const Stage *stage, const StageBuffers *buffers,
                              const Pass *work) noexcept nogil:
    """Do nothing: z is z_prev."""


cdef inline void forward_sum(const Stage *stage, const StageBuffers *buffers,
                             const Pass *work) noexcept nogil:
    add(stage, work, buffers.z_prev, partner_of(stage, buffers).z, buffers.z)


cdef inline void backward_sum(const Stage *stage, const StageBuffers *buffers,
                              const Pass *work) noexcept nogil:
    """Copy delta to the stage below, which changes its copy; the fork reads the original."""
    cdef Py_ssize_t q, shift
    if not work.carry:
        return
    for q in range(panels_of(stage.n_in)):
        shift = (q * work.buffers.stride + work.at) * PANEL
        memcpy((buffers - 1).delta + shift, buffers.delta + shift,
               work.rows * PANEL * sizeof(real))


cdef inline void backward_fork(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work) noexcept nogil:
    """Add the delta of the sum in place: the stage below has the same buffer as the fork."""
    if work.carry:
        add(stage, work, buffers.delta, partner_of(stage, buffers).delta, buffers.delta)


cdef inline void add(const Stage *stage, const Pass *work, const real *x, const real *y,
                     real *out) noexcept nogil:
    """Compute out = x + y in the rows of the pass."""
    cdef Py_ssize_t q, shift
    for q in range(panels_of(stage.n_in)):
        shift = (q * work.buffers.stride + work.at) * PANEL
        work.net.ops.add(work.rows * PANEL, x + shift, y + shift, out + shift)


cdef inline void define_fork(Kind *kind) noexcept:
    kind.name = "fork"
    kind.build = build_end
    kind.lay_out = lay_out_fork
    kind.forward = forward_fork
    kind.backward = backward_fork


cdef inline void define_sum(Kind *kind) noexcept:
    kind.name = "sum"
    kind.build = build_sum
    kind.lay_out = lay_out_sum
    kind.forward = forward_sum
    kind.backward = backward_sum
