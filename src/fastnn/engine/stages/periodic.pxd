# Periodic features: a column x is replaced by sin(2 pi c x) for each of its frequencies c, then by
# cos(2 pi c x) for each (Gorishniy, Rubachev, Babenko 2022). Other columns are copied.
#
#     w = 2 pi (cos * dE/dsin - sin * dE/dcos) = dE/d(c x)
#     dc = (x * w).sum(0)      dE/dx = w @ c
#
# A row of W has the frequencies of one column. They have no weight decay.

from fastnn.engine.gradients cimport update_tile
from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport (
    INFERENCE,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Tile,
    panels_of,
    place,
)
from fastnn.engine.stages.block_dense cimport add_gradient, place_block_tile
from fastnn.engine.stages.blocks cimport (
    Blocks,
    Part,
    allocate_blocks,
    column_at,
    copy_other_columns,
    place_blocks,
    starts_of,
)

cdef struct Periodic:
    Blocks blocks
    Py_ssize_t frequencies        # of each column
    Py_ssize_t panels             # of the frequencies of a column


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from columns and frequencies, their number for each column."""
    cdef Blocks blocks
    cdef Periodic *own
    starts, frequencies = starts_of(stage, spec), spec["frequencies"]
    n = len(starts)
    own = <Periodic *>allocate_blocks(sizeof(Periodic), n, n, &blocks)
    stage.own = own
    place_blocks(stage, &blocks, starts, [1] * n, [2 * frequencies] * n, [1] * n)
    own.blocks, own.frequencies, own.panels = blocks, frequencies, panels_of(frequencies)
    stage.no_weight_decay = True
    stage.flops = 100.0 * n * frequencies
    return 0


cdef inline const Periodic *own_of(const Stage *stage) noexcept nogil:
    return <const Periodic *>stage.own


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    cdef const Periodic *own = own_of(stage)
    stage.W_rows, stage.W_columns = own.blocks.n, own.frequencies
    stage.n_tiles, stage.tile_rows = own.blocks.n * own.panels, 1


# `kept` has four arrays, each with panels of all columns: the sines, which w overwrites; the
# cosines; dE/dsin; dE/dcos. For inference it has the first two.

cdef inline real *kept_at(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                          int number) noexcept nogil:
    return buffers.kept + number * own_of(stage).blocks.n * own_of(stage).panels * stride * PANEL


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t size = panels_of(stage.n_out) * stride * PANEL
    cdef Py_ssize_t each = own_of(stage).blocks.n * own_of(stage).panels * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        at = place(&buffers.delta, base, at, size)
    # `narrow` may read some rows past the end.
    return place(&buffers.kept, base, at, each * (2 if purpose == INFERENCE else 4)
                 + PANEL * PANEL)


cdef inline void copy_features(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work, real *z, int sines, bint back) noexcept nogil:
    """Copy two arrays of `kept`, number `sines` and the next one, to z, or from z if `back`."""
    cdef const Periodic *own = own_of(stage)
    cdef Py_ssize_t k, i, column, stride = work.buffers.stride, jump = stride * PANEL
    cdef real *aligned
    for i in range(2):
        aligned = kept_at(stage, buffers, stride, sines + i) + work.at * PANEL
        for k in range(own.blocks.n):
            column = own.blocks.block[k].first_out + i * own.frequencies
            if back:
                work.net.ops.copy_columns(work.rows, own.frequencies, z, column, aligned,
                                          k * own.panels * PANEL, jump)
            else:
                work.net.ops.copy_columns(work.rows, own.frequencies, aligned,
                                          k * own.panels * PANEL, z, column, jump)


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef const Periodic *own = own_of(stage)
    cdef Py_ssize_t k, q, at, n = own.blocks.n, stride = work.buffers.stride
    cdef Py_ssize_t jump = stride * PANEL, shift = work.at * PANEL
    cdef real *sines = kept_at(stage, buffers, stride, 0) + shift
    cdef real *cosines = kept_at(stage, buffers, stride, 1) + shift
    cdef const real *x
    copy_other_columns(stage, &own.blocks, work, buffers.z_prev + shift, buffers.z + shift, False)
    for k in range(n):
        x = column_at(buffers.z_prev + shift, jump, own.blocks.block[k].first_in)
        for q in range(own.panels):
            at = (k * own.panels + q) * jump
            work.net.ops.periodic_forward(work.rows, x, stage.W + (q * n + k) * PANEL, sines + at,
                                          cosines + at)
    copy_features(stage, buffers, work, buffers.z + shift, 0, False)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    cdef const Periodic *own = own_of(stage)
    cdef Py_ssize_t p, stride = work.buffers.stride, jump = stride * PANEL
    cdef Py_ssize_t shift = work.at * PANEL
    cdef real *w = kept_at(stage, buffers, stride, 0) + shift
    copy_features(stage, buffers, work, buffers.delta + shift, 2, True)
    for p in range(own.blocks.n * own.panels):
        work.net.ops.periodic_backward(
            work.rows * PANEL, w + p * jump, kept_at(stage, buffers, stride, 1) + shift + p * jump,
            kept_at(stage, buffers, stride, 2) + shift + p * jump,
            kept_at(stage, buffers, stride, 3) + shift + p * jump)
    if work.carry:
        carry_back(stage, buffers, work, w)


cdef inline void carry_back(const Stage *stage, const StageBuffers *buffers, const Pass *work,
                            const real *w) noexcept nogil:
    """Write w @ c, and the deltas of copied columns, to the delta of the stage below."""
    cdef const Periodic *own = own_of(stage)
    cdef Py_ssize_t k, n = own.blocks.n, stride = work.buffers.stride, jump = stride * PANEL
    cdef Py_ssize_t shift = work.at * PANEL
    cdef real *below = (buffers - 1).delta + shift
    cdef real *column = kept_at(stage, buffers, stride, 2) + shift  # dE/dsin is not needed again
    for k in range(n):
        work.net.ops.narrow(work.rows, own.frequencies, 1, w + k * own.panels * jump, jump,
                            stage.W + k * PANEL, n * PANEL, NULL, column)
        work.net.ops.copy_columns(work.rows, 1, column, 0, below, own.blocks.block[k].first_in,
                                  jump)
    copy_other_columns(stage, &own.blocks, work, buffers.delta + shift, below, True)


cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: a panel of the frequencies of one column."""
    cdef const Periodic *own = own_of(stage)
    cdef const Part *part = &own.blocks.parts[number % own.blocks.n]
    cdef Py_ssize_t q = number // own.blocks.n, jump = stride * PANEL
    place_block_tile(stage, &own.blocks, number, tile)
    tile.left = column_at(buffers.z_prev, jump, own.blocks.block[part.block].first_in)
    tile.right = kept_at(stage, buffers, stride, 0) + (part.block * own.panels + q) * jump
    tile.b, tile.delta = NULL, NULL


cdef inline void define_periodic(Kind *kind) noexcept:
    kind.name = "periodic"
    kind.build = build
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
