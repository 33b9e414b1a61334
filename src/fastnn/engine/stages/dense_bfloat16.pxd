# Dense with operands of bfloat16: z = h(a), a = bf(z_prev) @ bf(W) + b, bf rounding to bfloat16.
#
#     delta = dE/da = dE/dz * h'(a)      dW = bf(z_prev).T @ bf(delta)      db = delta.sum(0)
#     dE/dz_prev = bf(delta) @ bf(W).T
#
# Parameters, moments, sums, activations and deltas are float32. Rounded operands are stored in
# pairs (simd/bfloat16.h): W in Stage.operands, which every update of W renews; z_prev and delta in
# pairs of columns for products of rows, and in pairs of rows for gradients. Not here: narrow
# layers, which gain nothing and stay Dense (training/binding.py chooses).

from fastnn.engine.gradients cimport (
    average_updated,
    finish_gradient,
    renew_operands,
    update_biases_by_rows,
)
from fastnn.engine.leaves cimport PANEL, fastnn_pair, real
from fastnn.engine.net cimport (
    BY_VALUE,
    INFERENCE,
    TRANSPOSED,
    Kind,
    Net,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Tile,
    Update,
    padded_pairs,
    panels_of,
    place,
)
from fastnn.engine.stages cimport dense

cdef enum:
    BLOCK = 2 * PANEL             # numbers in a block of a product's depth (simd/bfloat16.h)


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from the specification of a Dense."""
    dense.build(net, stage, spec)
    stage.has_operands = True
    return 0


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    dense.shape_parameters(stage)
    stage.transposed, stage.W_rows, stage.W_columns = False, stage.n_in, stage.n_out
    stage.tile_rows = min(PANEL, stage.n_in)
    stage.may_postpone = stage.on_line = stage.skips_zeros = stage.by_columns = False


cdef inline Py_ssize_t blocks_of(Py_ssize_t columns) noexcept nogil:
    return (panels_of(columns) + 1) // 2


cdef inline Py_ssize_t odd_rows(Py_ssize_t stride) noexcept nogil:
    """Return the rows of pairs in a panel: odd, so that panels don't share cache sets."""
    return padded_pairs(stride) | 1


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t columns = stride * PANEL, rows = odd_rows(stride) * PANEL
    at = dense.lay_out(stage, buffers, stride, purpose, base, at)
    at = place(<real **>&buffers.z_by_columns, base, at, blocks_of(stage.n_in) * columns)
    if purpose != INFERENCE:
        at = place(<real **>&buffers.z_by_rows, base, at, panels_of(stage.n_in) * rows)
        at = place(<real **>&buffers.delta_by_columns, base, at, blocks_of(stage.n_out) * columns)
        at = place(<real **>&buffers.delta_by_rows, base, at, panels_of(stage.n_out) * rows)
    return at


# ---- rows ---------------------------------------------------------------------------------------

cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    """Compute z = h(a), or z = a in the last layer if the loss takes pre-activations."""
    cdef Py_ssize_t jump = work.buffers.stride * PANEL, at = work.at - work.shift
    cdef Py_ssize_t by_rows = odd_rows(work.buffers.stride) * PANEL
    cdef const real *z = buffers.z_prev + (at if stage.index == 0 else work.at) * PANEL
    cdef fastnn_pair *operands = buffers.z_by_columns + at * PANEL
    work.net.ops.pair_columns(work.rows, stage.n_in, z, jump, operands, jump)
    if buffers.z_by_rows != NULL:
        work.net.ops.pair_left(work.at, work.rows, work.last, panels_of(stage.n_in), z, jump,
                               buffers.z_by_rows, by_rows)
    work.net.ops.pair_product(work.rows, stage.n_in, panels_of(stage.n_out), operands, jump,
                              stage.operands, padded_pairs(stage.n_in) * PANEL, stage.b,
                              buffers.z + work.at * PANEL, jump)
    if stage != work.raw:
        dense.activate(stage, buffers, work)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Compute delta = dE/dz * h'(a), unless the loss has; then dE/dz of the stage below."""
    cdef Py_ssize_t jump = work.buffers.stride * PANEL
    cdef const real *delta = buffers.delta + work.at * PANEL
    if stage != work.raw:
        dense.differentiate(stage, buffers, work)
    work.net.ops.pair_rows(work.at, work.rows, work.last, panels_of(stage.n_out), delta, jump,
                           buffers.delta_by_rows, odd_rows(work.buffers.stride) * PANEL)
    if work.carry:
        work.net.ops.pair_columns(work.rows, stage.n_out, delta, jump,
                                  buffers.delta_by_columns + work.at * PANEL, jump)
        carry_back(stage, buffers, work)


cdef inline void carry_back(const Stage *stage, const StageBuffers *buffers,
                            const Pass *work) noexcept nogil:
    """Write bf(delta) @ bf(W).T to the delta of the stage below."""
    cdef Py_ssize_t p = 0, i, some, jump = work.buffers.stride * PANEL
    cdef Py_ssize_t panels = panels_of(stage.n_in), apart = padded_pairs(stage.n_out) * PANEL
    cdef fastnn_pair *W_transposed = <fastnn_pair *>work.scratch
    cdef real *below = (buffers - 1).delta + work.at * PANEL
    while p < panels:
        some = min(<Py_ssize_t>TRANSPOSED, panels - p)
        for i in range(p, p + some):
            work.net.ops.pair_transposed(min(PANEL, stage.n_in - i * PANEL), stage.n_out,
                                         stage.W + i * PANEL * PANEL, stage.n_in * PANEL,
                                         W_transposed + (i - p) * apart)
        work.net.ops.pair_product(work.rows, stage.n_out, some,
                                  buffers.delta_by_columns + work.at * PANEL, jump, W_transposed,
                                  apart, NULL, below + p * jump, jump)
        p += some


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile of a Dense, with its operands."""
    cdef Py_ssize_t down = panels_of(stage.n_in), q = number // down, p = number % down
    cdef Py_ssize_t jump = odd_rows(stride) * PANEL
    dense.place_tile(stage, buffers, stride, number, tile)
    tile.left_pairs = buffers.z_by_rows + p * jump
    tile.right_pairs = buffers.delta_by_rows + q * jump
    tile.operands = stage.operands + (q * padded_pairs(stage.n_in) + p * PANEL // 2) * PANEL


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    """Compute the gradient over the rows; if the tile has no pairs, make them block by block."""
    cdef fastnn_pair[2 * PANEL * PANEL + PANEL] room
    cdef fastnn_pair *left = room
    cdef fastnn_pair *right
    cdef Py_ssize_t r = 0, some
    if tile.left_pairs != NULL:
        net.ops.pair_outer(rows, tile.rows, tile.left_pairs, tile.right_pairs, more, g)
        return
    left += (-(<size_t>left // sizeof(fastnn_pair))) % PANEL  # on a cache line
    right = left + PANEL * PANEL
    while r < rows:
        some = min(<Py_ssize_t>BLOCK, rows - r)
        net.ops.pair_left(0, some, True, 1, tile.left + r * PANEL, 0, left, 0)
        net.ops.pair_rows(0, some, True, 1, tile.right + r * PANEL, 0, right, 0)
        net.ops.pair_outer(some, tile.rows, left, right, more or r > 0, g)
        r += some


cdef inline void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                             Update *update) noexcept nogil:
    """Compute dW over the rows of the batch, and update the biases.

    The weights of this tile are updated while the gradient of the next tile is computed, whose
    products hide the latency of square roots and divisions.
    """
    cdef real *g = update.scratch
    net.optimizer.pair_outer_and_update(rows, tile.rows, tile.left_pairs, tile.right_pairs, g,
                                        update.pending_n, &update.weights,
                                        update.pending_gradient, update.pending_W, net.block,
                                        update.pending_operands)
    average_updated(net, update, update.pending_W, update.pending_n)
    if net.averaged:
        renew_operands(net, update.pending_W, update.pending_n, update.pending_operands)
    finish_gradient(net, tile, update.penalty_scale, g)
    if net.clip == BY_VALUE:
        net.ops.limit(tile.rows * PANEL, 1, net.bound, g)
    update.scratch, update.pending_gradient = update.pending_gradient, g
    update.pending_W, update.pending_n = tile.W, tile.rows * PANEL
    update.pending_operands = tile.operands
    if tile.b != NULL:
        update_biases_by_rows(net, update, rows, tile.delta, tile.b)


cdef inline void define_dense_bfloat16(Kind *kind) noexcept:
    kind.name = "dense_bfloat16"
    kind.build = build
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
    kind.strip_tile = dense.strip_tile
