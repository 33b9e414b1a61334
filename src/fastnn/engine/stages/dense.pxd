# Dense: z = h(a), a = z_prev @ W + b.
#
#     delta = dE/da = dE/dz * h'(a)      dW = z_prev.T @ delta      db = delta.sum(0)
#     dE/dz_prev = delta @ W.T
#
# The panels of W divide n_out. With few outputs, NARROW at most, they would be mostly padding, so W
# is then stored transposed, with panels that divide n_in, if n_in has more than one panel.

from libc.string cimport memcpy

from fastnn.engine.gradients cimport (
    average_updated,
    finish_gradient,
    update_biases_by_rows,
    update_weights,
    weights_are_finite,
)
from fastnn.engine.leaves cimport (
    NARROW,
    PANEL,
    fastnn_activation,
    fastnn_allocate,
    fastnn_tiny_layer,
    real,
)
from fastnn.engine.net cimport (
    BY_VALUE,
    INFERENCE,
    STRIP_PANELS,
    Columns,
    Kind,
    Net,
    Nonzeros,
    Pass,
    Purpose,
    Stage,
    StageBuffers,
    Strip,
    Tile,
    Update,
    first_panel_here,
    panels_here,
    panels_of,
    place,
    share,
)
from fastnn.engine.registry cimport find_activation

cdef struct Dense:
    const fastnn_activation *activation
    real parameter                # of the activation
    bint linear                   # h(a) = a: there is nothing to compute
    bint row_wise                 # h needs whole rows


# Zeros are skipped in layers with at least SKIPPING_IN inputs and more than SKIPPING_OUT outputs.
# Listing the nonzeros costs about as much as the products with one panel of weights, and each row
# costs some loads besides its products, so that smaller layers gain nothing.
cdef enum:
    SKIPPING_IN = 64
    SKIPPING_OUT = 32


cdef inline dict specification(units, str activation, real parameter, bint use_bias):
    """Return the specification that `build` takes, for a layer without penalties."""
    return {"kind": "dense", "units": units, "activation": activation, "parameter": parameter,
            "use_bias": use_bias, "l1": 0.0, "l2": 0.0}


cdef inline int build(const Net *net, Stage *stage, dict spec) except -1:
    """Build from units, activation, parameter, use_bias, l1 and l2."""
    cdef Dense *dense = <Dense *>fastnn_allocate(sizeof(Dense))
    stage.own = dense
    if dense == NULL:
        raise MemoryError("cannot allocate a layer")
    dense.activation = find_activation(net.ops, spec["activation"])
    dense.parameter = spec["parameter"]
    dense.row_wise = dense.activation.row_forward != NULL
    dense.linear = dense.activation.forward == NULL and not dense.row_wise
    stage.n_out, stage.l1, stage.l2 = spec["units"], spec["l1"], spec["l2"]
    stage.b_columns = stage.n_out if spec["use_bias"] else 0
    stage.flops = 6.0 * stage.n_in * stage.n_out
    return 0


cdef inline void shape_parameters(Stage *stage) noexcept nogil:
    # With one panel of inputs, there is nothing to gain from transposed weights.
    stage.transposed = stage.n_out <= NARROW and stage.n_in > PANEL
    stage.W_rows = stage.n_out if stage.transposed else stage.n_in
    stage.W_columns = stage.n_in if stage.transposed else stage.n_out
    stage.may_postpone = (not stage.transposed and stage.l1 == 0 and stage.l2 == 0
                          and not stage.frozen)
    stage.n_tiles = panels_of(stage.n_in) * panels_of(stage.n_out)
    stage.tile_rows = stage.n_out if stage.transposed else min(PANEL, stage.n_in)
    stage.by_columns = not stage.transposed and not (<Dense *>stage.own).row_wise
    stage.skips_zeros = (not stage.transposed and stage.n_in >= SKIPPING_IN
                         and stage.n_out > SKIPPING_OUT)
    # The rank-one update of a single row supports neither penalties nor padding of z_prev.
    stage.on_line = (stage.l1 == 0 and stage.l2 == 0
                     and not (stage.transposed and stage.n_in % PANEL != 0))


cdef inline Py_ssize_t lay_out(const Stage *stage, StageBuffers *buffers, Py_ssize_t stride,
                               Purpose purpose, real *base, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t size = panels_of(stage.n_out) * stride * PANEL
    at = place(&buffers.z, base, at, size)
    if purpose != INFERENCE:
        if (<Dense *>stage.own).activation.keeps_slope:
            at = place(&buffers.kept, base, at, size)
        at = place(&buffers.delta, base, at, size)
    return at


# ---- rows ---------------------------------------------------------------------------------------

cdef inline void forward(const Stage *stage, const StageBuffers *buffers,
                         const Pass *work) noexcept nogil:
    """Compute z = h(a), or z = a in the last layer if the loss takes pre-activations."""
    multiply(stage, buffers, work)
    if stage != work.raw:
        activate(stage, buffers, work)


cdef inline void multiply(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Compute z = a = z_prev @ W + b."""
    cdef Py_ssize_t shift = work.at * PANEL, jump = work.buffers.stride * PANEL, first
    if buffers.nonzeros != NULL:
        multiply_nonzeros(stage, buffers, work)
    elif work.skips_zeros and stage.skips_zeros and is_sparse(work.net, work.rows, stage.n_in,
                                                              buffers.z_prev + shift, jump):
        work.net.ops.product_of_nonzeros(work.rows, stage.n_in, panels_of(stage.n_out),
                                         buffers.z_prev + shift, jump, stage.W, stage.n_in * PANEL,
                                         stage.b, buffers.z + shift, jump)
    elif stage.transposed:
        work.net.ops.narrow(work.rows, stage.n_in, stage.n_out, buffers.z_prev + shift, jump,
                            stage.W, stage.n_out * PANEL, stage.b, buffers.z + shift)
    else:
        first = first_panel_here(stage.n_out, work.by_columns, work)
        work.net.ops.product(work.rows, stage.n_in,
                             panels_here(stage.n_out, work.by_columns, work),
                             buffers.z_prev + shift, jump,
                             stage.W + first * stage.n_in * PANEL, stage.n_in * PANEL,
                             stage.b + first * PANEL if stage.b != NULL else NULL,
                             buffers.z + first * jump + shift, jump)


cdef inline bint is_sparse(const Net *net, Py_ssize_t rows, Py_ssize_t columns, const real *z,
                           Py_ssize_t jump) noexcept nogil:
    """Whether few enough numbers of a chunk are nonzero for products from lists to be faster.

    If half of them are nonzero, on Zen 4, a forward pass takes 0.75 to 0.9 times as long, a
    gradient 0.85 to 1.
    """
    return net.ops.count_nonzeros(rows * PANEL, panels_of(columns), z, jump) * 2 <= rows * columns


cdef inline void multiply_nonzeros(const Stage *stage, const StageBuffers *buffers,
                                   const Pass *work) noexcept nogil:
    """Compute z = a = z_prev @ W + b from the nonzeros of the rows."""
    cdef const Nonzeros *nonzeros = buffers.nonzeros
    cdef real *z = buffers.z + work.at * PANEL
    if stage.transposed:
        work.net.ops.sparse_narrow(work.rows, stage.n_in, stage.n_out, nonzeros.rows + work.at,
                                   stage.W, stage.n_out * PANEL, stage.b, nonzeros.whole, z)
    else:
        work.net.ops.sparse_product(work.rows, stage.n_in, panels_of(stage.n_out),
                                    nonzeros.rows + work.at, stage.W, stage.n_in * PANEL, stage.b,
                                    nonzeros.whole, z, work.buffers.stride * PANEL)


cdef inline (Py_ssize_t, Py_ssize_t) contiguous_runs(const Stage *stage,
                                                     const Pass *work) noexcept nogil:
    """Return the number and length of contiguous runs of z: one run if the rows fill the panels."""
    cdef Py_ssize_t panels = panels_here(stage.n_out, work.by_columns, work)
    if work.rows == work.buffers.stride:
        return 1, panels * work.rows * PANEL
    return panels, work.rows * PANEL


cdef inline void activate(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Apply h to z in place, and store h'(a) in `kept` if the activation keeps its slope."""
    cdef const Dense *dense = <const Dense *>stage.own
    cdef Py_ssize_t q, shift, first, runs, n, jump = work.buffers.stride * PANEL
    if dense.linear:
        return
    if dense.row_wise:
        dense.activation.row_forward(work.rows, stage.n_out, jump, buffers.z + work.at * PANEL)
        return
    runs, n = contiguous_runs(stage, work)
    first = first_panel_here(stage.n_out, work.by_columns, work)
    for q in range(first, first + runs):
        shift = q * jump + work.at * PANEL
        dense.activation.forward(n, dense.parameter, buffers.z + shift,
                                 buffers.kept + shift if buffers.kept != NULL else NULL)


cdef inline void differentiate(const Stage *stage, const StageBuffers *buffers,
                               const Pass *work) noexcept nogil:
    """Multiply delta by h'(a), unless the loss has computed delta = dE/da."""
    cdef const Dense *dense = <const Dense *>stage.own
    cdef const real *z = buffers.kept if buffers.kept != NULL else buffers.z
    cdef Py_ssize_t q, shift, first, runs, n, jump = work.buffers.stride * PANEL
    if stage == work.raw or dense.linear:
        return
    if dense.row_wise:
        dense.activation.row_backward(work.rows, stage.n_out, jump, z + work.at * PANEL,
                                      buffers.delta + work.at * PANEL)
        return
    runs, n = contiguous_runs(stage, work)
    first = first_panel_here(stage.n_out, work.by_columns, work)
    for q in range(first, first + runs):
        shift = q * jump + work.at * PANEL
        dense.activation.backward(n, dense.parameter, z + shift, buffers.delta + shift)


cdef inline void backward(const Stage *stage, const StageBuffers *buffers,
                          const Pass *work) noexcept nogil:
    """Compute delta = dE/dz * h'(a), then dE/dz of the stage below if work.carry."""
    differentiate(stage, buffers, work)
    if work.carry:
        carry_back(stage, buffers, work)


cdef inline void carry_back(const Stage *stage, const StageBuffers *buffers,
                            const Pass *work) noexcept nogil:
    """Write delta @ W.T to the delta of the stage below.

    work.few depends on the whole batch, not on this thread's share of it: `dots` sums in another
    order than `product`, and the bits must not depend on the number of threads.
    """
    cdef Py_ssize_t first, panels, jump = work.buffers.stride * PANEL
    cdef const real *delta = buffers.delta + work.at * PANEL
    cdef real *below = (buffers - 1).delta + work.at * PANEL
    first = first_panel_here(stage.n_in, work.below_by_columns, work)
    panels = panels_here(stage.n_in, work.below_by_columns, work)
    if stage.transposed:
        work.net.ops.product(work.rows, stage.n_out, panels, delta, jump,
                             stage.W + first * stage.n_out * PANEL, stage.n_out * PANEL, NULL,
                             below + first * jump, jump)
    elif work.few:
        work.net.ops.dots(work.rows, stage.n_out,
                          min(stage.n_in - first * PANEL, panels * PANEL), delta, jump,
                          stage.W + first * PANEL * PANEL, stage.n_in * PANEL,
                          below + first * jump, jump)
    else:
        work.net.ops.product_transposed(work.rows, stage.n_out,
                                        min(stage.n_in - first * PANEL, panels * PANEL), delta,
                                        jump, stage.W + first * PANEL * PANEL, stage.n_in * PANEL,
                                        work.scratch, below + first * jump, jump)


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void place_tile(const Stage *stage, const StageBuffers *buffers, Py_ssize_t stride,
                            Py_ssize_t number, Tile *tile) noexcept nogil:
    """Describe the tile of PANEL inputs, or fewer at the end, and one panel of outputs.

    Tiles are numbered along the inputs, then the outputs. The first tile of each panel of outputs
    has the biases of the panel.
    """
    cdef Py_ssize_t down = panels_of(stage.n_in), q = number // down, p = number % down
    cdef Py_ssize_t jump = stride * PANEL, width = min(PANEL, stage.n_in - p * PANEL)
    cdef const real *z = buffers.z_prev + p * jump
    tile.first_column = p * PANEL
    tile.delta = buffers.delta + q * jump
    tile.b = stage.b + q * PANEL if p == 0 and stage.b != NULL else NULL
    if stage.transposed:
        tile.rows, tile.columns = stage.n_out, width
        tile.left, tile.right = tile.delta, z
        tile.W = stage.W + p * stage.n_out * PANEL
    else:
        tile.rows, tile.columns = width, PANEL
        tile.left, tile.right = z, tile.delta
        tile.W = stage.W + (q * stage.n_in + p * PANEL) * PANEL


cdef inline void add_gradient(const Net *net, const Tile *tile, Py_ssize_t rows, bint more,
                              real *g) noexcept nogil:
    cdef const Columns *z = tile.nonzeros
    cdef Py_ssize_t first = tile.first_column
    if tile.ready != NULL:
        memcpy(g, tile.ready, tile.rows * PANEL * sizeof(real))
    elif z == NULL:
        net.ops.outer(rows, tile.rows, tile.left, tile.right, more, g)
    elif tile.stage.transposed:
        net.ops.sparse_outer_narrow(rows, tile.columns, tile.rows, z.entries, z.first + first,
                                    z.count + first, tile.delta, z.whole, more, g)
    else:
        net.ops.sparse_outer(rows, tile.rows, z.entries, z.first + first, z.count + first,
                             z.ordered, tile.delta, z.whole, more, g)


cdef inline void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                             Update *update) noexcept nogil:
    """Compute dW = z_prev.T @ delta over the rows of the batch, and update the biases.

    The weights of this tile are updated while the gradient of the next tile is computed, whose
    multiply-adds hide the latency of square roots and divisions.
    """
    cdef real *g = update.scratch
    if tile.nonzeros != NULL or tile.ready != NULL:
        update_at_once(net, tile, rows, update)
        return
    net.optimizer.outer_and_update(rows, tile.rows, tile.left, tile.right, g, update.pending_n,
                                   &update.weights, update.pending_gradient, update.pending_W,
                                   net.block)
    average_updated(net, update, update.pending_W, update.pending_n)
    finish_gradient(net, tile, update.penalty_scale, g)
    if net.clip == BY_VALUE:
        net.ops.limit(tile.rows * PANEL, 1, net.bound, g)
    update.scratch, update.pending_gradient = update.pending_gradient, g
    update.pending_W, update.pending_n = tile.W, tile.rows * PANEL
    if tile.b != NULL:
        update_biases_by_rows(net, update, rows, tile.delta, tile.b)


cdef inline void update_at_once(const Net *net, const Tile *tile, Py_ssize_t rows,
                                Update *update) noexcept nogil:
    """Update a tile at once, where dW is ready or z_prev is given as columns of nonzeros."""
    cdef real *g = tile.ready
    if g == NULL:
        g = update.scratch
        add_gradient(net, tile, rows, False, g)
    finish_gradient(net, tile, update.penalty_scale, g)
    update_weights(net, tile, update, g)
    if tile.b != NULL:
        update_biases_by_rows(net, update, rows, tile.delta, tile.b)


cdef inline void update_on_line(const Net *net, const Stage *stage, const StageBuffers *buffers,
                                int rank, int size, Update *update) noexcept nogil:
    """Update this thread's panels of W by z_prev.T @ delta of one row; rank 0 updates biases."""
    cdef const real *left = buffers.delta if stage.transposed else buffers.z_prev
    cdef const real *right = buffers.z_prev if stage.transposed else buffers.delta
    cdef Py_ssize_t panel = stage.W_rows * PANEL, panels = panels_of(stage.W_columns), q
    cdef Py_ssize_t first = share(panels, rank, size), stop = share(panels, rank + 1, size)
    if buffers.nonzeros != NULL:
        # If neither condition holds, update_used of postponed.pxd has updated W.
        if not buffers.nonzeros.postpones or buffers.nonzeros.columns[rank].whole:
            update_panels(net, stage, buffers, &buffers.nonzeros.columns[rank], first, stop, update)
    else:
        for q in range(first, stop):
            net.optimizer.rank_one(stage.W_rows, &update.weights, left, right + q * PANEL,
                                   stage.W + q * panel, net.block)
        average_updated(net, update, stage.W + first * panel, (stop - first) * panel)
    if stage.b != NULL and rank == 0:
        net.optimizer.rule(panels_of(stage.n_out) * PANEL, &update.biases, buffers.delta, stage.b,
                           net.block)
        average_updated(net, update, stage.b, panels_of(stage.n_out) * PANEL)


cdef inline void update_panels(const Net *net, const Stage *stage, const StageBuffers *buffers,
                               const Columns *columns, Py_ssize_t first, Py_ssize_t stop,
                               Update *update) noexcept nogil:
    """Update panels first ... stop of W, where z_prev is one row of nonzeros."""
    cdef Py_ssize_t number, tiles = 1 if stage.transposed else panels_of(stage.n_in)
    cdef Tile tile
    tile.stage, tile.nonzeros, tile.ready, tile.operands = stage, columns, NULL, NULL
    for number in range(first * tiles, stop * tiles):
        place_tile(stage, buffers, 1, number, &tile)
        add_gradient(net, &tile, 1, False, update.scratch)
        update_weights(net, &tile, update, update.scratch)
        if not weights_are_finite(net, &tile):
            buffers.nonzeros.whole = True


# ---- strips -------------------------------------------------------------------------------------
#
# The tiles of a strip follow each other along the panels of delta. If zeros are skipped, the
# nonzeros of a panel of z_prev are listed once and multiplied by all panels of delta. Otherwise
# several panels of z_prev are multiplied by each part of delta before the next part is read.

cdef inline Py_ssize_t strip_tile(const Stage *stage, Py_ssize_t i) noexcept nogil:
    cdef Py_ssize_t across = panels_of(stage.n_out)
    return i % across * panels_of(stage.n_in) + i // across


cdef inline Py_ssize_t add_strip(const Net *net, const Stage *stage, const StageBuffers *buffers,
                                 Py_ssize_t stride, Py_ssize_t rows, Py_ssize_t i, Py_ssize_t stop,
                                 const real *before, Strip *strip) noexcept nogil:
    cdef Py_ssize_t across = panels_of(stage.n_out), p = i // across, q = i % across, panels
    cdef Py_ssize_t n = min(strip.most, across - q, stop - i), jump = stride * PANEL
    cdef Py_ssize_t width = min(PANEL, stage.n_in - p * PANEL), column = stage.n_in * PANEL
    cdef const real *z = buffers.z_prev + p * jump
    cdef const real *delta = buffers.delta + q * jump
    strip.n_panels = 1
    if before != NULL:
        before += q * column + p * PANEL * PANEL
    if strip.lists == NULL:
        panels = min(<Py_ssize_t>STRIP_PANELS, (stop - i) // n, stage.n_in // PANEL - p)
        if n == across and panels > 1:  # whole panels of z_prev, each with all panels of delta
            strip.n_panels, width = panels, panels * PANEL
    elif strip.panel != p:
        strip.panel = p
        strip.is_sparse = net.ops.list_columns(rows, z, strip.lists) * 2 <= rows * width
    if strip.is_sparse:
        net.ops.outer_of_nonzeros(rows, width, n, z, strip.lists, delta, jump, before, column,
                                  strip.g)
    else:
        net.ops.outer_strip(rows, width, n, z, delta, jump, before, column, strip.g)
    return strip.n_panels * n


cdef inline const real *delta_of_row(const Stage *stage, const StageBuffers *buffers,
                                     Py_ssize_t stride, Py_ssize_t row) noexcept nogil:
    return buffers.delta


cdef inline bint describe_tiny(const Net *net, const Stage *stage,
                               fastnn_tiny_layer *layer) noexcept nogil:
    cdef const Dense *dense = <const Dense *>stage.own
    if (stage.n_in > PANEL or stage.n_out > PANEL or stage.l1 > 0 or stage.l2 > 0 or stage.frozen
            or stage.rate_multiplier != 1
            or (dense.row_wise and not (stage.index == net.n_stages - 1
                                        and net.loss.activation != NULL))):
        return False
    layer.n_in, layer.n_out, layer.W, layer.b = stage.n_in, stage.n_out, stage.W, stage.b
    layer.activation = dense.activation - net.ops.activations
    layer.alpha = dense.parameter
    return True


cdef inline void define_dense(Kind *kind) noexcept:
    kind.name = "dense"
    kind.takes_nonzeros = kind.in_parts = True
    kind.build = build
    kind.shape_parameters = shape_parameters
    kind.lay_out = lay_out
    kind.forward = forward
    kind.backward = backward
    kind.differentiate = differentiate
    kind.carry_back = carry_back
    kind.place_tile = place_tile
    kind.add_gradient = add_gradient
    kind.update_tile = update_tile
    kind.strip_tile = strip_tile
    kind.add_strip = add_strip
    kind.update_on_line = update_on_line
    kind.delta_of_row = delta_of_row
    kind.describe_tiny = describe_tiny
