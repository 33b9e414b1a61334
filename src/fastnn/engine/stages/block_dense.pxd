# Block-dense: a dense layer of its own for each block of columns, z_k = h(x_k @ W_k + b_k). All of
# these layers have the same number of units, and other columns are copied. NumericEmbedding uses it
# after an encoding.
#
#     delta_k = dE/dz_k * h'(a_k)     dW_k = x_k.T @ delta_k     db_k = delta_k.sum(0)
#     dE/dx_k = delta_k @ W_k.T
#
# W is W_0, W_1, ... stacked by rows; b is a matrix with a row for each block. Products and
# gradients read aligned copies of x and delta (blocks.pxd).

from fastnn.engine.gradients cimport update_tile
from fastnn.engine.leaves cimport PANEL, fastnn_activation, real
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
from fastnn.engine.registry cimport find_activation
from fastnn.engine.stages.blocks cimport (
    Block,
    Blocks,
    Part,
    align_inputs,
    align_outputs,
    allocate_blocks,
    copy_other_columns,
    parts_of,
    place_blocks,
)

cdef struct BlockDense:
    Blocks blocks
    const fastnn_activation *activation
    real parameter                # of the activation
    bint linear                   # h(a) = a
    bint keeps_slope


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from starts, widths, units, activation, which is not row-wise, and parameter."""
    cdef Blocks blocks
    cdef BlockDense *own
    cdef Py_ssize_t k
    starts, widths = spec["starts"], spec["widths"]
    if starts is None:
        starts = list(range(0, stage.n_in, widths[0]))
        widths = widths * len(starts)
    own = <BlockDense *>allocate_blocks(sizeof(BlockDense), len(starts), parts_of(widths), &blocks)
    stage.own = own
    place_blocks(stage, &blocks, list(starts), list(widths), [spec["units"]] * len(starts),
                 list(widths))
    own.blocks = blocks
    own.activation = find_activation(net.ops, spec["activation"])
    own.parameter = spec["parameter"]
    own.linear = own.activation.forward == NULL
    own.keeps_slope = own.activation.keeps_slope
    stage.b_rows, stage.b_columns = blocks.n, spec["units"]
    stage.flops = 0.0
    for k in range(blocks.n):
        stage.flops += 6.0 * blocks.block[k].n_in * blocks.block[k].n_out
    return 0


cdef inline const BlockDense *own_of(const Stage *stage) noexcept nogil:
    return <const BlockDense *>stage.own


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    cdef const BlockDense *own = own_of(stage)
    stage.W_rows, stage.W_columns = own.blocks.n_rows, stage.b_columns
    stage.n_tiles = own.blocks.n_parts * own.blocks.panels_each
    stage.tile_rows = min(PANEL, own.blocks.n_rows // own.blocks.n)


# `kept` has the aligned panels of x, z, delta, dE/dx and, if the activation keeps it, the slope, in
# this order; for inference, those of x and z.

cdef inline real *aligned_z(const Stage *stage, const StageBuffers *buffers,
                            Py_ssize_t stride) noexcept nogil:
    return buffers.kept + own_of(stage).blocks.panels_in * stride * PANEL


cdef inline real *aligned_delta(const Stage *stage, const StageBuffers *buffers,
                                Py_ssize_t stride) noexcept nogil:
    return aligned_z(stage, buffers, stride) + own_of(stage).blocks.panels_out * stride * PANEL


cdef inline real *aligned_below(const Stage *stage, const StageBuffers *buffers,
                                Py_ssize_t stride) noexcept nogil:
    return aligned_delta(stage, buffers, stride) + own_of(stage).blocks.panels_out * stride * PANEL


cdef inline real *aligned_slope(const Stage *stage, const StageBuffers *buffers,
                                Py_ssize_t stride) noexcept nogil:
    return aligned_below(stage, buffers, stride) + own_of(stage).blocks.panels_in * stride * PANEL


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t panels = own.blocks.panels_in + own.blocks.panels_out
    at = place(&buffers.z, base, at, padded_out(stage) * stride)
    if purpose != INFERENCE:
        panels += own.blocks.panels_in + own.blocks.panels_out * (1 + own.keeps_slope)
        at = place(&buffers.delta, base, at, padded_out(stage) * stride)
    return place(&buffers.kept, base, at, panels * stride * PANEL)


cdef inline Py_ssize_t padded_out(const Stage *stage) noexcept nogil:
    return panels_of(stage.n_out) * PANEL


# ---- rows ---------------------------------------------------------------------------------------

cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t stride = work.buffers.stride, jump = stride * PANEL, shift = work.at * PANEL
    cdef Py_ssize_t k, q, n = own.blocks.n
    cdef const Block *block
    cdef real *x = buffers.kept + shift
    cdef real *z = aligned_z(stage, buffers, stride) + shift
    copy_other_columns(stage, &own.blocks, work, buffers.z_prev + shift, buffers.z + shift, False)
    align_inputs(&own.blocks, work, buffers.z_prev + shift, x, False)
    for k in range(n):
        block = &own.blocks.block[k]
        for q in range(own.blocks.panels_each):
            work.net.ops.product(
                work.rows, block.n_in, 1, x + block.panel_in * jump, jump,
                stage.W + (q * stage.W_rows + block.row) * PANEL, stage.W_rows * PANEL,
                stage.b + (q * n + k) * PANEL, z + (k * own.blocks.panels_each + q) * jump, jump)
    activate(stage, buffers, work, z)
    align_outputs(&own.blocks, work, buffers.z + shift, z, True)


cdef inline void activate(const Stage *stage, const StageBuffers *buffers, const Pass *work,
                          real *z) noexcept nogil:
    """Apply h to z, and store h'(a) if the activation keeps it, except in inference."""
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t q, jump = work.buffers.stride * PANEL
    cdef bint keeps = own.keeps_slope and buffers.delta != NULL
    cdef real *slope = NULL
    if own.linear:
        return
    for q in range(own.blocks.panels_out):
        if keeps:
            slope = (aligned_slope(stage, buffers, work.buffers.stride) + q * jump
                     + work.at * PANEL)
        own.activation.forward(work.rows * PANEL, own.parameter, z + q * jump, slope)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t q, stride = work.buffers.stride, jump = stride * PANEL
    cdef Py_ssize_t shift = work.at * PANEL
    cdef real *delta = aligned_delta(stage, buffers, stride) + shift
    cdef const real *z = aligned_z(stage, buffers, stride) + shift
    if own.keeps_slope:
        z = aligned_slope(stage, buffers, stride) + shift
    align_outputs(&own.blocks, work, buffers.delta + shift, delta, False)
    for q in range(0 if own.linear else own.blocks.panels_out):
        own.activation.backward(work.rows * PANEL, own.parameter, z + q * jump, delta + q * jump)
    if work.carry:
        carry_back(stage, buffers, work, delta)


cdef inline void carry_back(const Stage *stage, const StageBuffers *buffers, const Pass *work,
                            const real *delta) noexcept nogil:
    """Write delta_k @ W_k.T, and the deltas of copied columns, to the delta of the stage below."""
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t k, stride = work.buffers.stride, jump = stride * PANEL
    cdef Py_ssize_t shift = work.at * PANEL
    cdef const Block *block
    cdef real *aligned = aligned_below(stage, buffers, stride) + shift
    cdef real *below = (buffers - 1).delta + shift
    for k in range(own.blocks.n):
        block = &own.blocks.block[k]
        work.net.ops.product_transposed(work.rows, block.n_out, block.n_in,
                                        delta + k * own.blocks.panels_each * jump, jump,
                                        stage.W + block.row * PANEL, stage.W_rows * PANEL,
                                        work.scratch, aligned + block.panel_in * jump, jump)
    align_inputs(&own.blocks, work, below, aligned, True)
    copy_other_columns(stage, &own.blocks, work, buffers.delta + shift, below, True)


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile: PANEL rows, or fewer, of a panel of W_k; the first one also has b_k."""
    cdef const BlockDense *own = own_of(stage)
    cdef Py_ssize_t q = number // own.blocks.n_parts, jump = stride * PANEL
    cdef const Part *part = &own.blocks.parts[number % own.blocks.n_parts]
    cdef const Block *block = &own.blocks.block[part.block]
    tile.left = buffers.kept + (block.panel_in + part.number) * jump
    place_block_tile(stage, &own.blocks, number, tile)
    tile.right = (aligned_delta(stage, buffers, stride)
                  + (part.block * own.blocks.panels_each + q) * jump)
    tile.delta = tile.right
    tile.b = NULL
    if part.number == 0:
        tile.b = stage.b + (q * own.blocks.n + part.block) * PANEL


cdef inline void place_block_tile(const Stage *stage, const Blocks *blocks, Py_ssize_t number,
                                  Tile *tile) noexcept nogil:
    """Set the place of a tile in W. Tiles are numbered along each panel of W, panel by panel."""
    cdef Py_ssize_t q = number // blocks.n_parts
    cdef const Part *part = &blocks.parts[number % blocks.n_parts]
    cdef const Block *block = &blocks.block[part.block]
    tile.first_column = part.number * PANEL
    tile.rows = min(PANEL, block.rows - tile.first_column)
    tile.columns = min(PANEL, stage.W_columns - q * PANEL)
    tile.W = stage.W + (q * stage.W_rows + block.row + tile.first_column) * PANEL


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    net.ops.outer(rows, tile.rows, tile.left, tile.right, more, g)


cdef inline void define_block_dense(Kind *kind) noexcept:
    kind.name = "block_dense"
    kind.build = build
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
