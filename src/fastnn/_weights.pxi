# What is done weight by weight: gradients and updates, tile by tile. A thread does it for its
# tiles, once every delta is known. Part of _kernels.pyx.

cdef struct Tile:                 # PANEL rows of a panel of W, or the fewer at its end
    const Layer *layer
    Py_ssize_t rows               # of the tile, PANEL reals each
    real *W
    const real *left              # g = left.T @ right: one panel each of z_prev and delta,
    const real *right             # in this order, or the other where W is stored transposed
    Py_ssize_t columns            # of the right one that aren't padding
    double *penalty
    real *b                       # biases that go with this tile, or NULL
    const real *delta             # of these biases


cdef Tile tile_at(const Net *net, const Space *space, Py_ssize_t l, Py_ssize_t q,
                  Py_ssize_t p) noexcept nogil:
    """Tile p down panel q of layer l's weights; the first of a panel brings the biases."""
    cdef const Layer *layer = &net.layers[l]
    cdef const Buffers *buffers = &space.layers[l]
    cdef const real *z = buffers.dropped if buffers.dropped != NULL else buffers.z_prev
    cdef Py_ssize_t jump = space.stride * PANEL
    cdef Py_ssize_t width = min(PANEL, layer.n_in - p * PANEL)
    cdef Tile tile
    tile.layer, tile.delta = layer, buffers.delta + q * jump
    tile.b = layer.b + q * PANEL if p == 0 and layer.b != NULL else NULL
    if layer.narrow:
        tile.rows, tile.columns = layer.n_out, width
        tile.left, tile.right = tile.delta, z + p * jump
        tile.W = layer.W + p * layer.n_out * PANEL
    else:
        tile.rows, tile.columns = width, PANEL
        tile.left, tile.right = z + p * jump, tile.delta
        tile.W = layer.W + (q * layer.n_in + p * PANEL) * PANEL
    return tile


cdef struct Round:                # rows of a batch whose part in the gradients is added up now
    Py_ssize_t rows
    bint first, last              # of the batch


cdef struct Update:               # a thread's, in one step
    fastnn_step weights
    fastnn_step biases            # which don't decay
    real *free                    # room for a tile's gradient, and
    real *known                   # that of the tile before, whose weights wait for their update:
    real *W                       # these,
    Py_ssize_t n                  # and their number


cdef Update update_at(const Net *net, int64_t t, real *scratch) noexcept nogil:
    cdef Update update
    net.optimizer.prepare(&net.hyper, <double>t, &update.weights)
    update.biases = update.weights
    update.biases.shrink = 1
    update.free, update.known, update.W, update.n = scratch, scratch + PANEL * PANEL, NULL, 0
    return update


cdef void finish_gradient(const Net *net, const Tile *tile, real *g) noexcept nogil:
    """What the product lacks: zeros in W's padding, for z_prev's isn't, and the penalties."""
    cdef const Layer *layer = tile.layer
    cdef Py_ssize_t i, j
    for i in range(tile.rows):
        for j in range(tile.columns, PANEL):
            g[i * PANEL + j] = 0
    if layer.l1 > 0 or layer.l2 > 0:
        tile.penalty[0] = net.ops.penalty(tile.rows * PANEL, layer.l1, layer.l2, tile.W, g)


cdef void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                      Update *update) noexcept nogil:
    """dW = z_prev.T @ delta over the batch's rows and the optimizer; the same for the biases.

    The weights wait for the next tile's gradient, whose multiply-adds hide the roots and divisions.
    """
    cdef real *g = update.free
    net.optimizer.meanwhile(rows, tile.rows, tile.left, tile.right, g, update.n, &update.weights,
                            update.known, update.W, net.block)
    finish_gradient(net, tile, g)
    update.free, update.known = update.known, g
    update.W, update.n = tile.W, tile.rows * PANEL
    if tile.b != NULL:
        net.ops.column_sums(rows, tile.delta, False, update.free)
        net.optimizer.rule(PANEL, &update.biases, update.free, tile.b, net.block)


cdef void finish_update(const Net *net, const Update *update) noexcept nogil:
    net.optimizer.rule(update.n, &update.weights, update.known, update.W, net.block)


cdef void add_gradient_tile(const Net *net, const Tile *tile, Round round, real *gradient,
                            const Update *update) noexcept nogil:
    """The round's part of the gradients, into a block like the arena's.

    The last round brings the optimizer too, unless the caller wants the gradients (`update` NULL).
    """
    cdef real *g = gradient + (tile.W - net.arena)
    net.ops.outer(round.rows, tile.rows, tile.left, tile.right, not round.first, g)
    if round.last:
        finish_gradient(net, tile, g)
        if update != NULL:
            net.optimizer.rule(tile.rows * PANEL, &update.weights, g, tile.W, net.block)
    if tile.b != NULL:
        g = gradient + (tile.b - net.arena)
        net.ops.column_sums(round.rows, tile.delta, not round.first, g)
        if round.last and update != NULL:
            net.optimizer.rule(PANEL, &update.biases, g, tile.b, net.block)


cdef void train_tiles(const Job *job, int64_t t, Round round, Py_ssize_t tile, Py_ssize_t stop,
                      real *scratch) noexcept nogil:
    """Tiles tile ... stop of all the weights, counted along each panel, panel by panel."""
    cdef const Net *net = job.net
    cdef Py_ssize_t l = 0, down = panels_of(net.layers[0].n_in)
    cdef Py_ssize_t below = 0     # tiles of the layers before l
    cdef Tile here
    cdef Update update = update_at(net, t, scratch)
    while tile < stop:
        while tile >= below + layer_tiles(&net.layers[l]):
            below += layer_tiles(&net.layers[l])
            l += 1
            down = panels_of(net.layers[l].n_in)
        here = tile_at(net, job.space, l, (tile - below) // down, (tile - below) % down)
        here.penalty = &job.space.penalty[tile]
        if job.gradient != NULL:
            add_gradient_tile(net, &here, round, job.gradient, NULL)
        elif round.first and round.last:
            update_tile(net, &here, round.rows, &update)
        else:
            add_gradient_tile(net, &here, round, job.space.gradient, &update)
        tile += 1
    finish_update(net, &update)


cdef inline Py_ssize_t share(Py_ssize_t work, int rank, int size) noexcept nogil:
    """Where a thread's share begins; `size` gives the end of the last one's."""
    return work * rank if size == 1 else work * rank // size


cdef Py_ssize_t tile_rows(const Layer *layer) noexcept nogil:
    """Rows of a whole tile of the layer's weights: what one costs, for the batch is the same."""
    return layer.n_out if layer.narrow else min(PANEL, layer.n_in)


cdef Py_ssize_t first_tile(const Net *net, int rank, int size) noexcept nogil:
    """Where a thread's share of all the tiles begins; `size` gives the end of the last one's."""
    cdef const Layer *layer
    cdef Py_ssize_t l, tiles, before = 0, work = 0
    if rank == 0 or rank == size:
        return 0 if rank == 0 else net.n_tiles
    for l in range(net.n_layers):
        work += layer_tiles(&net.layers[l]) * tile_rows(&net.layers[l])
    work = share(work, rank, size)
    for l in range(net.n_layers):
        layer = &net.layers[l]
        tiles = layer_tiles(layer)
        if work < tiles * tile_rows(layer):
            return before + work // tile_rows(layer)
        work -= tiles * tile_rows(layer)
        before += tiles
    return net.n_tiles


# ---- a batch of one row: its gradient is of rank one, and is not formed --------------------------


cdef bint is_on_line(const Job *job, Round round) noexcept nogil:
    """Whether a batch is one row, in a workspace of one: its panels are then single runs."""
    return (round.rows == 1 and round.first and job.space.stride == 1 and job.net.on_line
            and job.gradient == NULL)


cdef void update_on_line(const Job *job, int64_t t, int rank, int size,
                         real *scratch) noexcept nogil:
    """W <- rule(z_prev.T @ delta), this thread's panels of each layer; the biases are rank 0's."""
    cdef const Net *net = job.net
    cdef const Layer *layer
    cdef const Buffers *buffers
    cdef const real *z
    cdef Py_ssize_t l, q, panels
    cdef Update update = update_at(net, t, scratch)
    for l in range(net.n_layers):
        layer, buffers = &net.layers[l], &job.space.layers[l]
        z = buffers.dropped if buffers.dropped != NULL else buffers.z_prev
        panels = panels_of(layer.n_in if layer.narrow else layer.n_out)
        for q in range(share(panels, rank, size), share(panels, rank + 1, size)):
            if layer.narrow:
                net.optimizer.rank_one(layer.n_out, &update.weights, buffers.delta, z + q * PANEL,
                                       layer.W + q * layer.n_out * PANEL, net.block)
            else:
                net.optimizer.rank_one(layer.n_in, &update.weights, z, buffers.delta + q * PANEL,
                                       layer.W + q * layer.n_in * PANEL, net.block)
        if layer.b != NULL and rank == 0:
            net.optimizer.rule(panels_of(layer.n_out) * PANEL, &update.biases, buffers.delta,
                               layer.b, net.block)
