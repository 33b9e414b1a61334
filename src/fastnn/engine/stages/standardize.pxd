# Standardize: z = (x - mean) / scale of the network's inputs, in place. Mean and scale are computed
# from data before training.
#
#     dE/dx = dE/dz / scale

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, real
from fastnn.engine.net cimport Kind, Net, Pass, Purpose, Stage, StageBuffers, panels_of


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Allocate `own`: mean, 1 / scale and zeros, each (n_in,) padded; `spec` is not read."""
    stage.own = fastnn_allocate(3 * panels_of(stage.n_in) * PANEL * sizeof(real))
    if stage.own == NULL:
        raise MemoryError(f"cannot allocate the mean and scale of {stage.n_in} inputs")
    stage.n_out, stage.on_line = stage.n_in, True
    return 0


cdef inline void set_scaling(Stage *stage, const double[::1] mean,
                             const double[::1] inverse) noexcept:
    """Set mean and inverse of z = (x - mean) * inverse."""
    cdef Py_ssize_t i
    cdef real *own = <real *>stage.own
    for i in range(stage.n_in):
        own[i], own[panels_of(stage.n_in) * PANEL + i] = <real>mean[i], <real>inverse[i]


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    buffers.z, buffers.delta = buffers.z_prev, (buffers - 1).delta
    return at


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef Py_ssize_t q, panels = panels_of(stage.n_in), jump = work.buffers.stride * PANEL
    cdef const real *mean = <const real *>stage.own
    for q in range(panels):
        work.net.ops.standardize(work.rows, mean + q * PANEL, mean + (panels + q) * PANEL,
                                 buffers.z + q * jump + work.at * PANEL)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Multiply delta by 1 / scale in place, as the forward pass changes z."""
    cdef Py_ssize_t q, panels = panels_of(stage.n_in), jump = work.buffers.stride * PANEL
    cdef const real *mean = <const real *>stage.own
    cdef const real *zeros = mean + 2 * panels * PANEL
    if not work.carry:
        return
    for q in range(panels):
        work.net.ops.standardize(work.rows, zeros, mean + (panels + q) * PANEL,
                                 buffers.delta + q * jump + work.at * PANEL)


cdef inline void define_standardize(Kind *kind) noexcept:
    kind.name, kind.waits_for_data = "standardize", True
    kind.in_parts = True  # the lowest stage: training needs no delta below it
    kind.build = build
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
