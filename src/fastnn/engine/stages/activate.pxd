# Activate: z = h(z_prev), an activation without a matrix product before it. It has no parameters.
#
#     dE/dz_prev = dE/dz * h'(z_prev)
#
# `own` is the struct of a Dense, whose functions compute h in place: the forward pass first copies
# z_prev to z.

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
from fastnn.engine.registry cimport find_activation
from fastnn.engine.stages.dense cimport Dense, activate, differentiate


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from activation, which is not row-wise, and parameter."""
    cdef Dense *own = <Dense *>fastnn_allocate(sizeof(Dense))
    stage.own = own
    if own == NULL:
        raise MemoryError("cannot allocate a layer")
    own.activation = find_activation(net.ops, spec["activation"])
    own.parameter, own.row_wise = spec["parameter"], False
    own.linear = own.activation.forward == NULL
    stage.n_out, stage.on_line = stage.n_in, True
    return 0


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    """Place z and, if the activation keeps it, the slope; delta is that of the stage below."""
    cdef Py_ssize_t size = panels_of(stage.n_in) * stride * PANEL
    buffers.delta = (buffers - 1).delta
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE and (<const Dense *>stage.own).activation.keeps_slope:
        at = place(&buffers.kept, base, at, size)
    return at


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef Py_ssize_t q, shift
    for q in range(panels_of(stage.n_in)):
        shift = (q * work.buffers.stride + work.at) * PANEL
        memcpy(buffers.z + shift, buffers.z_prev + shift, work.rows * PANEL * sizeof(real))
    activate(stage, buffers, work)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Multiply delta by h'(z_prev) in place: the stage below has the same delta buffer."""
    if work.carry:
        differentiate(stage, buffers, work)


cdef inline void define_activate(Kind *kind) noexcept:
    kind.name = "activate"
    kind.build = build
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
