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
    double share                  # of the penalty in this batch
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
    double share                  # of the penalties in it


cdef struct Update:               # a thread's, in one step
    fastnn_step weights
    fastnn_step biases            # which don't decay
    real momentum                 # of the weights' moving average
    real *free                    # room for a tile's gradient, and
    real *known                   # that of the tile before, whose weights wait for their update:
    real *W                       # these,
    Py_ssize_t n                  # and their number


cdef inline double rate_at(const Net *net, int64_t step) noexcept nogil:
    """The learning rate of the update after `step` of them."""
    if net.schedule.rule == NULL:
        return net.hyper.learning_rate
    return fastnn_learning_rate(&net.schedule, <double>step, <double>net.epoch)


cdef inline Update update_at(const Net *net, int64_t t, real *scratch) noexcept nogil:
    cdef Update update
    cdef fastnn_hyper hyper
    if net.schedule.rule == NULL:
        net.optimizer.prepare(&net.hyper, <double>t, &update.weights)
    else:
        hyper = net.hyper
        hyper.learning_rate = rate_at(net, t - 1)
        net.optimizer.prepare(&hyper, <double>t, &update.weights)
    update.biases = update.weights
    update.biases.shrink = 1
    if net.averaged:
        update.momentum = <real>net.momentum if t > 1 else 0  # it starts at the first weights
    update.free, update.known, update.W, update.n = scratch, scratch + PANEL * PANEL, NULL, 0
    return update


cdef inline void follow(const Net *net, const Update *update, const real *w,
                        Py_ssize_t n) noexcept nogil:
    """The moving average of n weights that have just been updated."""
    if net.averaged and n > 0:
        net.ops.average(n, update.momentum, w,
                        <real *>w + (1 + net.optimizer.n_moments) * net.block)


cdef void penalize(const Net *net, const Tile *tile, real *g) noexcept nogil:
    """The tile's penalty, and its gradient added to g unless that is NULL."""
    cdef const Layer *layer = tile.layer
    if layer.l1 > 0 or layer.l2 > 0:
        tile.penalty[0] = net.ops.penalty(tile.rows * PANEL, <real>(layer.l1 * tile.share),
                                          <real>(layer.l2 * tile.share), tile.W, g)


cdef void finish_gradient(const Net *net, const Tile *tile, real *g) noexcept nogil:
    """What the product lacks: zeros in W's padding, for z_prev's isn't, and the penalties."""
    cdef Py_ssize_t i, j
    for i in range(tile.rows):
        for j in range(tile.columns, PANEL):
            g[i * PANEL + j] = 0
    penalize(net, tile, g)


cdef void update_biases(const Net *net, const Tile *tile, const Update *update,
                        real *g) noexcept nogil:
    """The optimizer on the biases that go with a tile."""
    if net.clip == BY_VALUE:
        net.ops.limit(PANEL, 1, net.bound, g)
    net.optimizer.rule(PANEL, &update.biases, g, tile.b, net.block)
    follow(net, update, tile.b, PANEL)


cdef void update_tile(const Net *net, const Tile *tile, Py_ssize_t rows,
                      Update *update) noexcept nogil:
    """dW = z_prev.T @ delta over the batch's rows and the optimizer; the same for the biases.

    The weights wait for the next tile's gradient, whose multiply-adds hide the roots and divisions.
    """
    cdef real *g = update.free
    net.optimizer.meanwhile(rows, tile.rows, tile.left, tile.right, g, update.n, &update.weights,
                            update.known, update.W, net.block)
    follow(net, update, update.W, update.n)
    finish_gradient(net, tile, g)
    if net.clip == BY_VALUE:
        net.ops.limit(tile.rows * PANEL, 1, net.bound, g)
    update.free, update.known = update.known, g
    update.W, update.n = tile.W, tile.rows * PANEL
    if tile.b != NULL:
        net.ops.column_sums(rows, tile.delta, False, update.free)
        update_biases(net, tile, update, update.free)


cdef void finish_update(const Net *net, const Update *update) noexcept nogil:
    net.optimizer.rule(update.n, &update.weights, update.known, update.W, net.block)
    follow(net, update, update.W, update.n)


cdef void update_stored(const Net *net, const Tile *tile, const Update *update,
                        real *gradient) noexcept nogil:
    """The optimizer on a tile whose gradients are stored, in a block like the arena's."""
    cdef real *g = gradient + (tile.W - net.arena)
    cdef Py_ssize_t n = tile.rows * PANEL
    if net.clip == BY_VALUE:
        net.ops.limit(n, 1, net.bound, g)
    net.optimizer.rule(n, &update.weights, g, tile.W, net.block)
    follow(net, update, tile.W, n)
    if tile.b != NULL:
        update_biases(net, tile, update, gradient + (tile.b - net.arena))


cdef void add_gradient_tile(const Net *net, const Tile *tile, Round round,
                            real *gradient) noexcept nogil:
    """The round's part of the gradients, into a block like the arena's; whole after the last."""
    cdef real *g = gradient + (tile.W - net.arena)
    net.ops.outer(round.rows, tile.rows, tile.left, tile.right, not round.first, g)
    if round.last:
        finish_gradient(net, tile, g)
    if tile.b != NULL:
        net.ops.column_sums(round.rows, tile.delta, not round.first,
                            gradient + (tile.b - net.arena))


cdef struct Place:                # of a tile among all
    Py_ssize_t layer
    Py_ssize_t below              # tiles of the layers before it


cdef Tile tile_number(const Job *job, Py_ssize_t tile, Place *place) noexcept nogil:
    """Tiles are counted along each panel, panel by panel; `place` is that of an earlier one."""
    cdef const Net *net = job.net
    cdef Py_ssize_t down
    cdef Tile found
    while tile >= place.below + layer_tiles(&net.layers[place.layer]):
        place.below += layer_tiles(&net.layers[place.layer])
        place.layer += 1
    down = panels_of(net.layers[place.layer].n_in)
    found = tile_at(net, job.space, place.layer, (tile - place.below) // down,
                    (tile - place.below) % down)
    found.penalty = &job.space.penalty[tile]
    return found


cdef void train_tiles(const Job *job, int64_t t, Round round, Py_ssize_t tile, Py_ssize_t stop,
                      real *scratch) noexcept nogil:
    """Tiles tile ... stop of all the weights: gradients, and updates unless norms come first."""
    cdef const Net *net = job.net
    cdef Tile here
    cdef Place place
    cdef Update update = update_at(net, t, scratch)
    place.layer, place.below = 0, 0
    while tile < stop:
        here = tile_number(job, tile, &place)
        here.share = round.share
        if job.gradient != NULL:
            add_gradient_tile(net, &here, round, job.gradient)
        elif here.layer.frozen:
            penalize(net, &here, NULL)
        elif clips_norm(net):
            add_gradient_tile(net, &here, round, job.space.gradient)
            if round.last:
                measure_tile(net, &here, job.space.gradient, &job.space.squares[2 * tile])
        elif round.first and round.last:
            update_tile(net, &here, round.rows, &update)
        else:
            add_gradient_tile(net, &here, round, job.space.gradient)
            if round.last:
                update_stored(net, &here, &update, job.space.gradient)
        tile += 1
    finish_update(net, &update)


# ---- clipping by norms: all gradients are stored and measured before any weight changes ----------


cdef void measure_tile(const Net *net, const Tile *tile, const real *gradient,
                       double *squares) noexcept nogil:
    """Sums of squared gradients: of the tile's weights, of the biases that go with it."""
    squares[0] = net.ops.sum_squares(tile.rows * PANEL, gradient + (tile.W - net.arena))
    squares[1] = 0.0
    if tile.b != NULL:
        squares[1] = net.ops.sum_squares(PANEL, gradient + (tile.b - net.arena))


cdef real clip_factor(const Net *net, const double *squares, Py_ssize_t n,
                      Py_ssize_t step) noexcept nogil:
    """bound / max(norm, bound), of the norm whose squares are n numbers `step` apart."""
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += squares[i * step]
    return <real>(net.bound / max(sqrt(total), <double>net.bound))


cdef void update_clipped(const Job *job, int64_t t, Py_ssize_t tile, Py_ssize_t stop,
                         real *scratch) noexcept nogil:
    """The optimizer on tiles whose gradients are stored and measured, as all others' are."""
    cdef const Net *net = job.net
    cdef const double *squares = job.space.squares
    cdef real *gradient = job.space.gradient
    cdef Py_ssize_t known = -1    # layer whose factors these are
    cdef real of_weights = 1, of_biases = 1
    cdef Tile here
    cdef Place place
    cdef Update update = update_at(net, t, scratch)
    place.layer, place.below = 0, 0
    if net.clip == BY_GLOBAL_NORM:
        of_weights = of_biases = clip_factor(net, squares, 2 * net.n_tiles, 1)
    while tile < stop:
        here = tile_number(job, tile, &place)
        if net.clip == BY_NORM and place.layer != known:
            known = place.layer
            of_weights = clip_factor(net, squares + 2 * place.below, layer_tiles(here.layer), 2)
            of_biases = clip_factor(net, squares + 2 * place.below + 1, layer_tiles(here.layer), 2)
        if not here.layer.frozen:
            net.ops.limit(here.rows * PANEL, of_weights, INFINITY, gradient + (here.W - net.arena))
            if here.b != NULL:
                net.ops.limit(PANEL, of_biases, INFINITY, gradient + (here.b - net.arena))
            update_stored(net, &here, &update, gradient)
        tile += 1


cdef inline Py_ssize_t share(Py_ssize_t work, int rank, int size) noexcept nogil:
    """Where a thread's share begins; `size` gives the end of the last one's."""
    return work * rank if size == 1 else work * rank // size


cdef Py_ssize_t tile_rows(const Layer *layer) noexcept nogil:
    """Rows of a whole tile of the layer's weights: what one costs, for the batch is the same."""
    if layer.frozen:
        return 0
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
        if layer.frozen:
            continue
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
    if net.averaged:
        follow_on_line(net, &update, rank, size)


cdef void follow_on_line(const Net *net, const Update *update, int rank, int size) noexcept nogil:
    """The moving averages of the weights that this thread has just updated."""
    cdef const Layer *layer
    cdef Py_ssize_t l, panels, panel, first
    for l in range(net.n_layers):
        layer = &net.layers[l]
        if layer.frozen:
            continue
        panels = panels_of(layer.n_in if layer.narrow else layer.n_out)
        panel = (layer.n_out if layer.narrow else layer.n_in) * PANEL
        first = share(panels, rank, size)
        panels = share(panels, rank + 1, size) - first
        follow(net, update, layer.W + first * panel, panels * panel)
        if layer.b != NULL and rank == 0:
            follow(net, update, layer.b, panels_of(layer.n_out) * PANEL)
