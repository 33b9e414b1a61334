# Dropout, inverted: z = z_prev * mask / (1 - rate) in training, z = z_prev in prediction. The
# backward pass multiplies delta by the same factors. Masks: simd/dropout.h.

from libc.stdint cimport uint16_t, uint64_t

from fastnn.engine.leaves cimport PANEL, fastnn_allocate, fastnn_dropout_args, real
from fastnn.engine.net cimport (
    TRAINING,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    first_panel_here,
    panels_here,
    panels_of,
    place,
)

cdef struct Dropout:
    double rate
    uint64_t mask                 # number of this stage's masks, unique in the network


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from rate and mask."""
    cdef Dropout *dropout = <Dropout *>fastnn_allocate(sizeof(Dropout))
    stage.own = dropout
    if dropout == NULL:
        raise MemoryError("cannot allocate a layer")
    dropout.rate, dropout.mask = spec["rate"], spec["mask"]
    stage.n_out, stage.on_line, stage.keep_rate = stage.n_in, True, 1 - dropout.rate
    return 0


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    """Place z and the masks for training; otherwise z is z_prev. delta is the one below."""
    cdef Py_ssize_t rows = panels_of(stage.n_in) * stride
    buffers.z, buffers.delta = buffers.z_prev, (buffers - 1).delta
    if purpose == TRAINING:
        at = place(&buffers.z, base, at, rows * PANEL)
        at = place(&buffers.kept, base, at, rows * sizeof(uint16_t) // sizeof(real) + 1)
    return at


cdef inline uint16_t *masks(const StageBuffers *buffers, const Pass *work,
                            Py_ssize_t panel) noexcept nogil:
    """Return where the masks of the pass's rows are, for a panel."""
    return <uint16_t *>buffers.kept + panel * work.buffers.stride + work.at


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef const Dropout *dropout = <const Dropout *>stage.own
    cdef fastnn_dropout_args args
    cdef Py_ssize_t p, shift, first = first_panel_here(stage.n_in, work.by_columns, work)
    if buffers.z == buffers.z_prev:
        return
    args.seed, args.step, args.layer = work.net.seed, work.step, dropout.mask
    args.rate = dropout.rate
    args.rows, args.first_row = work.rows, work.before + work.at
    args.units = stage.n_in
    for p in range(first, first + panels_here(stage.n_in, work.by_columns, work)):
        shift = (p * work.buffers.stride + work.at) * PANEL
        args.first_column = p * PANEL
        args.columns = min(PANEL, args.units - args.first_column)
        work.net.ops.dropout_forward(&args, buffers.z_prev + shift, buffers.z + shift,
                                     masks(buffers, work, p))


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    if work.carry:
        differentiate(stage, buffers, work)


cdef inline void differentiate(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work) noexcept nogil:
    """Apply the masks to delta in place: the stage below has the same delta buffer."""
    cdef const Dropout *dropout = <const Dropout *>stage.own
    cdef Py_ssize_t p, first = first_panel_here(stage.n_in, work.by_columns, work)
    if buffers.z == buffers.z_prev:
        return
    for p in range(first, first + panels_here(stage.n_in, work.by_columns, work)):
        work.net.ops.dropout_backward(
            work.rows, dropout.rate, masks(buffers, work, p),
            buffers.delta + (p * work.buffers.stride + work.at) * PANEL,
        )


cdef inline void define_dropout(Kind *kind) noexcept:
    kind.name = "dropout"
    kind.keeps_zeros = kind.in_parts = kind.is_elementwise = True
    kind.build = build
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.differentiate = differentiate
