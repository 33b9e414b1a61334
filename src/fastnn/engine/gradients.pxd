# The use of the gradient of a tile: penalties, clipping, the optimizer, moving averages. Not here:
# the computation of gradients (stages/), and the choice of their use in a step (step.pxd).

from libc.math cimport sqrt
from libc.stdint cimport int64_t

from fastnn.engine.leaves cimport (
    PANEL,
    fastnn_hyper,
    fastnn_learning_rate,
    fastnn_pair,
    fastnn_step,
    real,
)
from fastnn.engine.net cimport (
    BIAS_PANELS,
    BY_VALUE,
    Net,
    Stage,
    Tile,
    Update,
    W_size,
    padded_pairs,
    panels_of,
)


# ---- a thread's update --------------------------------------------------------------------------

cdef inline double rate_at(const Net *net, int64_t step) noexcept nogil:
    """Return the learning rate of the next update after `step` updates."""
    if net.schedule.rule == NULL:
        return net.hyper.learning_rate
    return fastnn_learning_rate(&net.schedule, <double>step, <double>net.epoch)


cdef inline void begin_update(Update *update, const Net *net, int64_t t, double penalty_scale,
                              real *scratch) noexcept nogil:
    """Set the constants of update t; `scratch` has room for the gradients of two tiles."""
    update.t = t
    prepare(update, net, 1)
    if net.has_ema:
        update.momentum = <real>net.momentum if t > 1 else 0  # it starts as w after update 1
    update.penalty_scale = penalty_scale
    update.scratch, update.pending_gradient = scratch, scratch + PANEL * PANEL
    update.pending_W, update.pending_n, update.pending_operands = NULL, 0, NULL
    update.bias_panels = 0


cdef inline void prepare(Update *update, const Net *net, double rate_multiplier) noexcept nogil:
    """Set the constants of the update for stages with this multiplier of the learning rate."""
    cdef fastnn_hyper hyper = net.hyper
    if net.schedule.rule != NULL:
        hyper.learning_rate = rate_at(net, update.t - 1)
    hyper.learning_rate *= rate_multiplier
    net.optimizer.prepare(&hyper, <double>update.t, &update.weights)
    update.biases = update.weights
    update.biases.shrink = 1
    update.rate_multiplier = rate_multiplier


cdef inline void begin_stage(const Net *net, const Stage *stage, Update *update) noexcept nogil:
    """Set the constants of the update for a stage.

    If they change, the deferred update of the previous tile is made first, with its own constants.
    It is also made first if the previous tile has operands and this stage has none.
    """
    cdef bint has_own = stage.rate_multiplier != update.rate_multiplier
    if has_own or (update.pending_operands != NULL and stage.operands == NULL):
        finish_update(net, update)
    if has_own:
        prepare(update, net, stage.rate_multiplier)


cdef inline void finish_update(const Net *net, Update *update) noexcept nogil:
    """Make the deferred updates of the previous tile and of biases, if there are any."""
    net.optimizer.rule(update.pending_n, &update.weights, update.pending_gradient,
                       update.pending_W, net.block)
    average_updated(net, update, update.pending_W, update.pending_n)
    renew_operands(net, update.pending_W, update.pending_n, update.pending_operands)
    update.pending_W, update.pending_n, update.pending_operands = NULL, 0, NULL
    finish_biases(net, update)


cdef inline void renew_operands(const Net *net, const real *W, Py_ssize_t n,
                                fastnn_pair *operands) noexcept nogil:
    """Renew the operands of n weights of a tile, and those of their averages, unless NULL."""
    if operands == NULL:
        return
    net.ops.pair_rows(0, n // PANEL, False, 1, W, 0, operands, 0)
    if net.averaged:
        net.ops.pair_rows(0, n // PANEL, False, 1, W + (net.n_blocks - 1) * net.block, 0,
                          operands + net.operands_block, 0)


cdef inline void renew_stage(const Net *net, const Stage *stage) noexcept nogil:
    """Renew the operands of a stage, after its weights have been written."""
    cdef Py_ssize_t q, size = stage.W_rows * PANEL, pairs = padded_pairs(stage.W_rows) * PANEL
    for q in range(panels_of(stage.W_columns) if stage.operands != NULL else 0):
        renew_operands(net, stage.W + q * size, size, stage.operands + q * pairs)


cdef inline void renew_all_operands(const Net *net) noexcept nogil:
    """Renew the operands of all stages."""
    cdef Py_ssize_t i
    for i in range(net.n_stages if net.operands != NULL else 0):
        renew_stage(net, &net.stages[i])


cdef inline void average_updated(const Net *net, const Update *update, const real *w,
                                 Py_ssize_t n) noexcept nogil:
    """Update the moving average of n parameters that have just been updated."""
    if net.has_ema and n > 0:
        net.ops.average(n, update.momentum, w,
                        <real *>w + (1 + net.optimizer.n_moments) * net.block)


# ---- gradients of a thread's tiles --------------------------------------------------------------

cdef inline void begin_gradients(const Net *net) noexcept nogil:
    """Prepare this thread for gradients."""
    if net.operands != NULL:
        net.ops.begin_outers()


cdef inline void end_gradients(const Net *net) noexcept nogil:
    if net.operands != NULL:
        net.ops.end_outers()


# ---- one tile -----------------------------------------------------------------------------------

cdef inline void penalize(const Net *net, const Tile *tile, double scale, real *g) noexcept nogil:
    """Compute the penalty of the tile, and add its gradient to g unless g is NULL."""
    cdef double l1 = tile.stage.l1, l2 = tile.stage.l2
    if l1 > 0 or l2 > 0:
        tile.penalty[0] = net.ops.penalty(tile.rows * PANEL, <real>(l1 * scale),
                                          <real>(l2 * scale), tile.W, g)


cdef inline double penalties_of(const Net *net, double weight) noexcept nogil:
    """Return l1 sum|W| + l2 sum W^2 over the layers, scaled as in a loss of rows with this
    weight."""
    cdef const Stage *stage
    cdef Py_ssize_t i
    cdef double total = 0.0
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.l1 > 0 or stage.l2 > 0:
            total += net.ops.penalty(W_size(stage), <real>stage.l1, <real>stage.l2, stage.W, NULL)
    if net.scales_penalties and net.is_mean:
        return total / weight if weight > 0 else 0.0
    return total


cdef inline void finish_gradient(const Net *net, const Tile *tile, double scale,
                                 real *g) noexcept nogil:
    """Set the padding of a gradient to zero, since the padding of z_prev may be nonzero; add the
    gradient of the penalties."""
    cdef Py_ssize_t i, j
    for i in range(tile.rows):
        for j in range(tile.columns, PANEL):
            g[i * PANEL + j] = 0
    penalize(net, tile, scale, g)


cdef inline const fastnn_step *constants_of(const Tile *tile, const Update *update) noexcept nogil:
    """Return the constants for the tile's W: without weight decay for vectors and some matrices."""
    if tile.stage.is_vector or tile.stage.no_weight_decay:
        return &update.biases
    return &update.weights


cdef inline void update_weights(const Net *net, const Tile *tile, const Update *update,
                                real *g) noexcept nogil:
    """Update the W of a tile by the optimizer from its gradient g."""
    cdef Py_ssize_t n = tile.rows * PANEL
    if net.clip == BY_VALUE:
        net.ops.limit(n, 1, net.bound, g)
    net.optimizer.rule(n, constants_of(tile, update), g, tile.W, net.block)
    average_updated(net, update, tile.W, n)
    if tile.stage.operands != NULL:
        renew_operands(net, tile.W, n, tile.operands)


cdef inline bint weights_are_finite(const Net *net, const Tile *tile) noexcept nogil:
    """Whether the weights of a tile are finite, so that their products with zeros can be
    skipped."""
    return net.ops.first_nonfinite(tile.rows * PANEL, tile.W) < 0


cdef inline void update_biases(const Net *net, const Update *update, Py_ssize_t panels, real *b,
                               real *g) noexcept nogil:
    """Update panels of b by the optimizer from their gradient g."""
    if net.clip == BY_VALUE:
        net.ops.limit(panels * PANEL, 1, net.bound, g)
    net.optimizer.rule(panels * PANEL, &update.biases, g, b, net.block)
    average_updated(net, update, b, panels * PANEL)


cdef inline void update_biases_by_rows(const Net *net, Update *update, Py_ssize_t rows,
                                       const real *delta, real *b) noexcept nogil:
    """Update a panel of b by the sum of `rows` rows of a panel of delta.

    The update is deferred until there are BIAS_PANELS neighbours, whose chains of additions run
    side by side. A single row is used as it is, as in Kind.update_on_line: adding it to 0 would
    turn -0 into +0. Networks that are `on_line` do not clip, which would change delta.
    """
    cdef Py_ssize_t n = update.bias_panels
    if rows == 1 and net.on_line:
        update_biases(net, update, 1, b, <real *>delta)
        return
    if n == 1:
        update.bias_jump = delta - update.bias_delta
    if n > 0 and (n == BIAS_PANELS or rows != update.bias_rows or b != update.b + n * PANEL
                  or delta != update.bias_delta + n * update.bias_jump):
        finish_biases(net, update)
        n = 0
    if n == 0:
        update.b, update.bias_delta, update.bias_rows, update.bias_jump = b, delta, rows, 0
    update.bias_panels = n + 1


cdef inline void finish_biases(const Net *net, Update *update) noexcept nogil:
    """Make the deferred update of biases, if there is one."""
    if update.bias_panels > 0:
        net.ops.column_sums(update.bias_rows, update.bias_panels, update.bias_delta,
                            update.bias_jump, False, update.scratch)
        update_biases(net, update, update.bias_panels, update.b, update.scratch)
        update.bias_panels = 0


cdef inline void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                             Update *update) noexcept nogil:
    """Update the parameters of a tile by their gradient; for Kind.update_tile."""
    tile.stage.kind.add_gradient(net, tile, rows, False, update.scratch)
    finish_gradient(net, tile, update.penalty_scale, update.scratch)
    update_weights(net, tile, update, update.scratch)
    if tile.b != NULL:
        update_biases_by_rows(net, update, rows, tile.delta, tile.b)


# ---- gradients that are stored, in a block like the arena's -------------------------------------

cdef inline void store_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint first,
                                bint last, double scale, real *gradient) noexcept nogil:
    """Add the tile's gradients over the rows of a round to those of earlier rounds."""
    cdef real *g = gradient + (tile.W - net.arena)
    tile.stage.kind.add_gradient(net, tile, rows, not first, g)
    if last:
        finish_gradient(net, tile, scale, g)
    if tile.b != NULL:
        net.ops.column_sums(rows, 1, tile.delta, 0, not first, gradient + (tile.b - net.arena))


cdef inline void update_stored(const Net *net, const Tile *tile, const Update *update,
                               real *gradient) noexcept nogil:
    """Update a tile by the optimizer from its stored gradients."""
    update_weights(net, tile, update, gradient + (tile.W - net.arena))
    if tile.b != NULL:
        update_biases(net, update, 1, tile.b, gradient + (tile.b - net.arena))


cdef inline void measure_gradient(const Net *net, const Tile *tile, const real *gradient,
                                  double *squares) noexcept nogil:
    """Compute squares (2,): the sums of squared gradients of the tile's W, and of its b."""
    squares[0] = net.ops.sum_squares(tile.rows * PANEL, gradient + (tile.W - net.arena))
    squares[1] = 0.0
    if tile.b != NULL:
        squares[1] = net.ops.sum_squares(PANEL, gradient + (tile.b - net.arena))


cdef inline real clip_factor(const Net *net, const double *squares, Py_ssize_t n,
                             Py_ssize_t step) noexcept nogil:
    """Return bound / max(norm, bound), where norm^2 is the sum of n numbers that are `step`
    apart."""
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += squares[i * step]
    return <real>(net.bound / max(sqrt(total), <double>net.bound))
