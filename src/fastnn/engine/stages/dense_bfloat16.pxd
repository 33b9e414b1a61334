# Dense with operands of bfloat16: z = h(a), a = bf(z_prev) @ bf(W) + b, bf rounding to bfloat16.
#
#     delta = dE/da = dE/dz * h'(a)      dW = bf(z_prev).T @ bf(delta)      db = delta.sum(0)
#     dE/dz_prev = bf(delta) @ bf(W).T
#
# Parameters, moments, sums, activations and deltas are float32. Rounded operands are stored in
# pairs of neighbours (simd/bfloat16.h): W in Stage.operands, which every update of W renews; z_prev
# and delta in pairs of columns for products of rows, and in pairs of rows for gradients. Not here:
# narrow layers, which gain nothing and stay Dense (training/binding.py chooses).

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
    pairs_of,
    panels_of,
    place,
)
from fastnn.engine.stages cimport dense

# Pairs of columns in one row of a panel.
cdef enum:
    PAIRS = PANEL // 2


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


cdef inline Py_ssize_t pair_rows(Py_ssize_t stride) noexcept nogil:
    """Return the pairs of rows in a panel: odd, so that panels don't share cache sets."""
    return pairs_of(stride) | 1


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t columns = stride * PAIRS, rows = pair_rows(stride) * PANEL
    cdef Py_ssize_t panels_in = panels_of(stage.n_in), panels_out = panels_of(stage.n_out)
    at = dense.lay_out(stage, buffers, stride, purpose, base, at)
    at = place(<real **>&buffers.z_by_columns, base, at, panels_in * columns)
    if purpose != INFERENCE:
        at = place(<real **>&buffers.z_by_rows, base, at, panels_in * rows)
        at = place(<real **>&buffers.delta_by_columns, base, at, panels_out * columns)
        at = place(<real **>&buffers.delta_by_rows, base, at, panels_out * rows)
    return at


# ---- rows ---------------------------------------------------------------------------------------

cdef inline void pair_up(const Pass *work, Py_ssize_t columns, const real *x,
                         fastnn_pair *by_columns, fastnn_pair *by_rows) noexcept nogil:
    """Round the rows of the pass to pairs of columns and, unless by_rows is NULL, of rows.

    An odd number of columns ends with pairs of the last column and 0. What follows it in x is
    padding, which may be NaN.
    """
    cdef Py_ssize_t stride = work.buffers.stride, r
    cdef fastnn_pair *last
    if by_rows != NULL:
        by_rows += work.at // 2 * PANEL
    work.net.ops.pair_up(work.rows, panels_of(columns), x, stride * PANEL,
                         by_columns + (work.at - work.shift) * PAIRS, stride * PAIRS,
                         by_rows, pair_rows(stride) * PANEL)
    if columns % 2 == 1:
        last = by_columns + (columns // PANEL * stride + work.at - work.shift) * PAIRS
        last += columns % PANEL // 2
        for r in range(work.rows):
            last[r * PAIRS] = last[r * PAIRS] >> 16 << 16  # the first number is the upper half


cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    """Compute z = h(a), or z = a in the last layer if the loss takes pre-activations."""
    cdef Py_ssize_t jump = work.buffers.stride * PANEL, at = work.at - work.shift
    pair_up(work, stage.n_in, buffers.z_prev + (at if stage.place == 0 else work.at) * PANEL,
            buffers.z_by_columns, buffers.z_by_rows)
    work.net.ops.pair_product(work.rows, stage.n_in, panels_of(stage.n_out),
                              buffers.z_by_columns + at * PAIRS, jump // 2, stage.operands,
                              pairs_of(stage.n_in) * PANEL, stage.b,
                              buffers.z + work.at * PANEL, jump)
    if stage != work.raw:
        dense.activate(stage, buffers, work)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Compute delta = dE/dz * h'(a), unless the loss has; then dE/dz of the stage below."""
    if stage != work.raw:
        dense.differentiate(stage, buffers, work)
    pair_up(work, stage.n_out, buffers.delta + work.at * PANEL, buffers.delta_by_columns,
            buffers.delta_by_rows)
    if work.carry:
        carry_back(stage, buffers, work)


cdef inline void carry_back(const Stage *stage, const StageBuffers *buffers,
                            const Pass *work) noexcept nogil:
    """Write bf(delta) @ bf(W).T to the delta of the stage below."""
    cdef Py_ssize_t p = 0, i, some, jump = work.buffers.stride * PANEL
    cdef Py_ssize_t panels = panels_of(stage.n_in), apart = panels_of(stage.n_out) * PAIRS * PANEL
    cdef fastnn_pair *turned = <fastnn_pair *>work.scratch
    cdef real *below = (buffers - 1).delta + work.at * PANEL
    while p < panels:
        some = min(<Py_ssize_t>TRANSPOSED, panels - p)
        for i in range(p, p + some):
            work.net.ops.pair_transposed(min(PANEL, stage.n_in - i * PANEL), stage.n_out,
                                         stage.W + i * PANEL * PANEL, stage.n_in * PANEL,
                                         turned + (i - p) * apart)
        work.net.ops.pair_product(work.rows, stage.n_out, some,
                                  buffers.delta_by_columns + work.at * PAIRS, jump // 2, turned,
                                  apart, NULL, below + p * jump, jump)
        p += some


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe a tile of a Dense, with its operands."""
    cdef Py_ssize_t down = panels_of(stage.n_in), q = number // down, p = number % down
    cdef Py_ssize_t jump = pair_rows(stride) * PANEL
    dense.place_tile(stage, buffers, stride, number, tile)
    tile.left_pairs = buffers.z_by_rows + p * jump
    tile.right_pairs = buffers.delta_by_rows + q * jump
    tile.operands = stage.operands + (q * pairs_of(stage.n_in) + p * PAIRS) * PANEL


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    """Compute the gradient over the rows; the pairs of a single row, or of a tile without, are made
    here."""
    cdef fastnn_pair[2 * PANEL + PANEL] room
    cdef fastnn_pair *pairs = room
    cdef Py_ssize_t r, some
    if rows > 1 and tile.left_pairs != NULL:
        net.ops.pair_outer(rows, tile.rows, tile.left_pairs, tile.right_pairs, more, g)
        return
    pairs += (-(<size_t>pairs // sizeof(fastnn_pair))) % PANEL  # on a cache line
    for r in range(0, rows, 2):
        some = min(<Py_ssize_t>2, rows - r)
        net.ops.pair_up(some, 1, tile.left + r * PANEL, 0, NULL, 0, pairs, 0)
        net.ops.pair_up(some, 1, tile.right + r * PANEL, 0, NULL, 0, pairs + PANEL, 0)
        net.ops.pair_outer(some, tile.rows, pairs, pairs + PANEL, more or r > 0, g)


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
