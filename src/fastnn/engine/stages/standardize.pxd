# Standardize: z = (x - mean) / scale of the network's inputs, in place. Mean and scale are learnt
# from data before training; no delta goes further down.

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, real
from fastnn.engine.net cimport Kind, Net, Pass, Purpose, Stage, StageBuffers, panels_of


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """From nothing. `own` is mean, then 1 / scale, both (n_in,) padded."""
    stage.own = fastnn_allocate(2 * panels_of(stage.n_in) * PANEL * sizeof(real))
    if stage.own == NULL:
        raise MemoryError(f"cannot allocate the mean and scale of {stage.n_in} inputs")
    stage.n_out, stage.on_line = stage.n_in, True
    return 0


cdef inline void set_scaling(Stage *stage, const double[::1] mean,
                             const double[::1] inverse) noexcept:
    """z = (x - mean) * inverse from here on."""
    cdef Py_ssize_t i
    cdef real *own = <real *>stage.own
    for i in range(stage.n_in):
        own[i], own[panels_of(stage.n_in) * PANEL + i] = <real>mean[i], <real>inverse[i]


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    buffers.z = buffers.z_prev
    return at


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef Py_ssize_t q, panels = panels_of(stage.n_in), jump = work.buffers.stride * PANEL
    cdef const real *mean = <const real *>stage.own
    for q in range(panels):
        work.net.ops.standardize(work.rows, mean + q * PANEL, mean + (panels + q) * PANEL,
                                 buffers.z + q * jump + work.at * PANEL)


cdef inline void define_standardize(Kind *kind) noexcept:
    kind.name, kind.waits_for_data = "standardize", True
    kind.build = build
    kind.lay_out = lay_out
    kind.forward = forward
