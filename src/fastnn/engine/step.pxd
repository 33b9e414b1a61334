# A training step, on each thread of a team:
#
#     its rows of the batch:    gather, forward, loss, deltas
#     ------------------------- barrier: all deltas are known -----------------------------------
#     its tiles of parameters:  gradients and their use (GradientUse)
#     ------------------------- barrier: all parameters are updated -----------------------------
#
# In long steps, rows and tiles are divided into portions: a thread that is done with its own takes
# portions that others have not begun, since one CPU may be slower than another for a while. A step
# by columns has no portions of rows: there is a barrier after each layer.
#
# Every number is computed by one thread, in one order of summation, so the bits depend neither on
# the size of the team nor on which thread takes a portion. All deltas of a step use the parameters
# from before the step. Nothing allocates memory.

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from fastnn.engine.clock cimport (
    UPDATE,
    WAIT,
    record_time,
)
from fastnn.engine.gradients cimport (
    begin_update,
    clip_factor,
    finish_update,
    measure_gradient,
    penalize,
    store_gradient,
    turn_to,
    update_stored,
    weights_are_finite,
)
from fastnn.engine.leaves cimport (
    PANEL,
    PAST,
    fastnn_column_lists,
    fastnn_flush_subnormals,
    fastnn_past,
    fastnn_restore_subnormals,
    fastnn_team,
    fastnn_team_barrier,
    fastnn_team_take,
    real,
)
from fastnn.engine.net cimport (
    BY_GLOBAL_NORM,
    BY_NORM,
    FEW_ROWS,
    Buffers,
    Columns,
    Net,
    Stage,
    Strip,
    Tile,
    Update,
    chunk_rows,
    clips_norm,
    divides_columns,
    lowest_with_parameters,
    panels_of,
    round_rows,
    row_share,
    rows_of_tiles,
    share,
)
from fastnn.engine.row_phase cimport (
    ThreadState,
    postpones_updates,
    sum_of,
    train_columns,
    train_rows,
)
from fastnn.engine.rows cimport index_columns
from fastnn.engine.run cimport INTERRUPTED, NOT_YET, Run
from fastnn.engine.team cimport MOST_PORTIONS, PORTION_FLOPS, SEVERAL_CHUNKS
from fastnn.engine.postponed cimport catch_up_rows, catch_up_tiles, mark_tiles, update_rows

cdef enum GradientUse:            # use of the gradients, decided once a round, in use_of
    UPDATE_NOW                    # the optimizer runs tile by tile; no gradient is stored
    UPDATE_ON_LINE                # the same for a batch of one row, whose gradient has rank one
    STORE                         # gradients are summed in memory; more rounds follow
    STORE_AND_UPDATE              # the last round of several
    STORE_AND_CLIP                # all gradients and their norms are known before the first update
    RETURN                        # gradients are returned to the caller; there is no update

cdef struct Round:                # rows of a batch that go through a step together
    Py_ssize_t rows
    bint first, last              # whether it is the first or the last round of the batch
    double penalty_scale          # factor of the penalties in the batch's loss
    bint skips_zeros              # gradients skip zeros of the inputs, in strips of tiles
    bint by_columns               # threads divide the columns of some stages, not the rows
    int row_portions              # portions of each thread's rows; 1: no thread takes others' rows
    int tile_portions             # the same for its tiles
    int64_t t                     # number of the step, from 1

cdef struct TileShare:            # tiles of the parameters: those of a thread, or a portion of them
    bint by_columns               # divided by the columns of each stage,
    int team                      # for a team of this size:
    int number, count             # share `number` of `count`
    Py_ssize_t first, stop        # otherwise these, counted over all stages


cdef inline bint train_batch(Run *run, fastnn_team *team, const ThreadState *thread, int64_t step,
                             Py_ssize_t position, Py_ssize_t rows, double divisor,
                             double *loss) noexcept nogil:
    """Train one step over the `rows` rows from `position`; on rank 0, add their losses to `loss`.

    Return whether the step was made. All threads read run.ended between the same two barriers, so
    they return the same.
    """
    cdef Net *net = run.net
    cdef Py_ssize_t at = 0
    cdef bint few = rows * net.members <= FEW_ROWS
    cdef Round now
    cdef double mine
    while at < rows:
        now = round_from(run, at, rows, divisor, thread.size)
        now.t = step + 1
        if thread.columns != NULL:
            index_and_catch_up(run, team, thread, position + at, &now)
        if now.by_columns:
            mine = train_columns(run, team, thread, step, position + at, at, divisor, now.rows,
                                 few)
        else:
            mine = train_portions(run, team, thread, step, position + at, at, divisor, &now, few)
        fastnn_team_barrier(team)
        record_time(thread.clock, WAIT)
        if thread.rank == 0:  # in the order of the rows, for any team
            loss[0] += mine if thread.size == 1 else sum_of(run.buffers.loss,
                                                            now.rows * net.members)
        if run.ended != NOT_YET:
            if thread.rank == 0 and isfinite(run.last_loss):
                run.last_loss = loss[0]
            return False
        if run.copy_to != NULL and now.last and position == run.first:
            keep_parameters(run, team, thread, step)
        check_deltas(run, thread, &now)
        train_parameters(run, team, thread, &now)
        record_time(thread.clock, UPDATE)
        fastnn_team_barrier(team)
        record_time(thread.clock, WAIT)
        at += now.rows
    return True


cdef inline Round round_from(const Run *run, Py_ssize_t at, Py_ssize_t rows, double divisor,
                             int size) noexcept nogil:
    """Return the round of a batch of `rows` rows that begins at its row `at`, for a team of `size`
    threads; the number of the step is left to the caller."""
    cdef const Net *net = run.net
    cdef Py_ssize_t most = round_rows(net)
    cdef Round now
    now.rows = min(most, rows - at)
    now.first, now.last = at == 0, rows - at <= most
    now.penalty_scale = 1.0
    if net.scales_penalties:
        now.penalty_scale = 1.0 / divisor if divisor > 0 else 0.0
    now.skips_zeros = run.skips_zeros  # read here by all threads; one may clear it later
    now.by_columns = run.by_columns and not now.skips_zeros and size > 1
    now.row_portions = now.tile_portions = 1
    if size > 1:
        set_portions(run, &now, size)
    return now


cdef inline void set_portions(const Run *run, Round *now, int size) noexcept nogil:
    """Decide into how many portions the rows and the tiles of each thread are divided, if any.

    Rows are divided if each thread has several chunks, which are the portions: deltas read W again
    for each portion. Tiles are not divided if updates are postponed: each thread updates its own
    part of the indexed rows of W.
    """
    cdef Py_ssize_t chunk = chunk_rows(run.net) * size
    cdef int most = <int>min(MOST_PORTIONS, now.rows * run.net.row_flops / (PORTION_FLOPS() * size))
    if most < 2:
        return
    if now.rows >= SEVERAL_CHUNKS * chunk:
        now.row_portions = <int>min(most, (now.rows + chunk - 1) // chunk)
    if not postpones_updates(run):
        now.tile_portions = most


cdef inline int next_portion(fastnn_team *team, const ThreadState *thread, int portions,
                             int before) noexcept nogil:
    """Return the portion of work that this thread does after portion `before`, -1 for its first; -1
    if nothing is left. Each thread has `portions` portions; a single one is never another's."""
    if portions > 1:
        return fastnn_team_take(team, thread.rank, portions)
    return thread.rank if before < 0 else -1


cdef inline double train_portions(Run *run, fastnn_team *team, const ThreadState *thread,
                                  int64_t step, Py_ssize_t position, Py_ssize_t before,
                                  double divisor, const Round *now, bint few) noexcept nogil:
    """Train this thread's share of the rows, and portions of other threads' rows; a team of one
    returns their loss."""
    cdef const Net *net = run.net
    cdef int number = next_portion(team, thread, now.row_portions, -1)
    cdef int count = thread.size * now.row_portions
    cdef double loss = 0.0
    while number >= 0 and run.ended != INTERRUPTED:
        loss = train_rows(run, thread, step, position, before, divisor,
                          row_share(net, now.rows, number, count),
                          row_share(net, now.rows, number + 1, count), few)
        number = next_portion(team, thread, now.row_portions, number)
    return loss


cdef inline void keep_parameters(const Run *run, fastnn_team *team, const ThreadState *thread,
                                 int64_t t) noexcept nogil:
    """Copy the parameters after update t, whose loss is known to be finite."""
    if postpones_updates(run):
        catch_up_all(run, thread.rank, thread.size, t)
        fastnn_team_barrier(team)
    if thread.rank == 0:
        memcpy(run.copy_to, run.net.arena, run.net.block * sizeof(real))
    fastnn_team_barrier(team)


# ---- postponed updates (postponed.pxd) ----------------------------------------------------------

cdef inline void index_and_catch_up(const Run *run, fastnn_team *team, const ThreadState *thread,
                                    Py_ssize_t position, const Round *now) noexcept nogil:
    """List the rows of the lowest W that the round's inputs read, from `position` on; if updates
    are postponed, make those of these rows."""
    index_inputs(run, position, now.rows, thread.columns)
    if postpones_updates(run):
        catch_up_in_use(run, thread, now.t - 1)
        if thread.rank == 0:
            keep_constants(run, now, thread.scratch)
        fastnn_team_barrier(team)


cdef inline void index_inputs(const Run *run, Py_ssize_t position, Py_ssize_t rows,
                              Columns *columns) noexcept nogil:
    """List the rows of the lowest W that `rows` rows of inputs read."""
    cdef const Stage *stage = lowest_with_parameters(run.net)
    if run.buffers.nonzeros != NULL:
        index_columns(run.net, &run.rows, position, rows, columns)
    else:
        stage.kind.index_rows(stage, run.rows.X, run.rows.order, position, rows, columns)


cdef inline void keep_constants(const Run *run, const Round *now, real *scratch) noexcept nogil:
    """Store the constants of this step for updates that are made later."""
    cdef Update update
    cdef fastnn_past *past = &run.buffers.indexed.past[now.t % PAST]
    begin_update(&update, run.net, now.t, now.penalty_scale, scratch)
    turn_to(run.net, lowest_with_parameters(run.net), &update)
    past.step = update.weights
    if run.net.has_ema:
        past.momentum = update.momentum


cdef inline (Py_ssize_t, Py_ssize_t) indexed_tiles(const Net *net, int rank,
                                                   int size) noexcept nogil:
    """Return the first tile of a thread's part of the lowest W, and the tile after its last one.

    Tiles are PANEL rows of a panel of W.
    """
    cdef const Stage *stage = lowest_with_parameters(net)
    cdef Py_ssize_t tiles = panels_of(stage.W_rows) * panels_of(stage.W_columns)
    return (min(tiles, first_tile(net, rank, size, False)),
            min(tiles, first_tile(net, rank + 1, size, False)))


cdef inline void catch_up_in_use(const Run *run, const ThreadState *thread,
                                 int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of the rows of the lowest W in use: this
    thread's part."""
    cdef const Net *net = run.net
    cdef Py_ssize_t first, stop
    cdef uint64_t before = fastnn_flush_subnormals()
    first, stop = indexed_tiles(net, thread.rank, thread.size)
    catch_up_rows(net, lowest_with_parameters(net), run.buffers.indexed, thread.columns, first,
                  stop, t)
    fastnn_restore_subnormals(before)


cdef inline void catch_up_all(const Run *run, int rank, int size, int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of all rows of the lowest W: a thread's part."""
    cdef const Net *net = run.net
    cdef Py_ssize_t first, stop
    cdef uint64_t before = fastnn_flush_subnormals()
    first, stop = indexed_tiles(net, rank, size)
    catch_up_tiles(net, lowest_with_parameters(net), run.buffers.indexed, first, stop, t)
    fastnn_restore_subnormals(before)


cdef inline void mark_all(const Run *run, int rank, int size, int64_t t) noexcept nogil:
    """Record that t updates have been made of all rows of the lowest W: a thread's part."""
    cdef Py_ssize_t first, stop
    first, stop = indexed_tiles(run.net, rank, size)
    mark_tiles(run.buffers.indexed, first, stop, t)


cdef inline void update_in_use(const Run *run, const ThreadState *thread, const Round *now,
                               const Update *update, bint biases) noexcept nogil:
    """Make update now.t of the rows of the lowest W in use: this thread's part; with `biases`, also
    of b."""
    cdef const Net *net = run.net
    cdef const Stage *stage = lowest_with_parameters(net)
    cdef Py_ssize_t first, stop
    first, stop = indexed_tiles(net, thread.rank, thread.size)
    update_rows(net, stage, &run.buffers.stages[stage.place], run.buffers.stride,
                run.buffers.indexed, thread.columns, first, stop, now.rows, now.t, update, biases)


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void check_deltas(Run *run, const ThreadState *thread, Round *now) noexcept nogil:
    """Skip no zeros in this round if a delta of the lowest W is not finite: the product with 0 is
    NaN."""
    if run.buffers.nonzeros != NULL:
        thread.columns.whole = not deltas_are_finite(run, now.rows)
    if now.skips_zeros and not deltas_are_finite(run, now.rows):
        now.skips_zeros = run.skips_zeros = False


cdef inline bint deltas_are_finite(const Run *run, Py_ssize_t rows) noexcept nogil:
    """Whether the deltas of the lowest stage with parameters are finite, for `rows` rows of inputs;
    True if no delta of it is computed."""
    cdef const Net *net = run.net
    cdef Py_ssize_t q, place = net.first_parameters
    cdef const real *delta = run.buffers.stages[place].delta
    if run.gradient == NULL and net.first_updated > place:
        return True
    for q in range(panels_of(net.stages[place].n_out)):
        if net.ops.first_nonfinite(rows * net.members * PANEL,
                                   delta + q * run.buffers.stride * PANEL) >= 0:
            return False
    return True


cdef inline GradientUse use_of(const Run *run, const Round *now) noexcept nogil:
    """Decide how the gradients of a round are used."""
    cdef const Net *net = run.net
    if run.gradient != NULL:
        return RETURN
    if not now.last:
        return STORE
    if clips_norm(net):
        return STORE_AND_CLIP
    if not now.first:
        return STORE_AND_UPDATE
    if now.rows == 1 and run.buffers.stride == 1 and net.on_line:
        return UPDATE_ON_LINE
    return UPDATE_NOW


cdef inline void train_parameters(Run *run, fastnn_team *team, const ThreadState *thread,
                                  const Round *now) noexcept nogil:
    """Compute and use the gradients of this thread's share of the parameters."""
    cdef TileShare mine
    cdef GradientUse use = use_of(run, now)
    cdef uint64_t before = fastnn_flush_subnormals()
    if postpones_updates(run) and thread.columns.whole:  # no row of W is known to have gradient 0
        catch_up_all(run, thread.rank, thread.size, now.t - 1)
        fastnn_team_barrier(team)
    if use == UPDATE_ON_LINE:
        update_on_line(run, thread, now)
    else:
        train_tile_portions(run, team, thread, use, now)
        if use == STORE_AND_CLIP:
            fastnn_team_barrier(team)  # all gradients are known
            mine = share_of_tiles(run.net, now, thread.size, thread.rank, 1)
            update_clipped(run, now, &mine, thread)
    if postpones_updates(run):
        if thread.columns.whole:
            mark_all(run, thread.rank, thread.size, now.t)
        elif (now.t - run.buffers.indexed.begun) % (PAST - 1) == 0:
            catch_up_all(run, thread.rank, thread.size, now.t)
    fastnn_restore_subnormals(before)


cdef inline void train_tile_portions(Run *run, fastnn_team *team, const ThreadState *thread,
                                     GradientUse use, const Round *now) noexcept nogil:
    """Compute and use the gradients of this thread's share of the tiles, and of portions of other
    threads' tiles."""
    cdef TileShare part
    cdef int number = next_portion(team, thread, now.tile_portions, -1)
    while number >= 0:
        part = share_of_tiles(run.net, now, thread.size, number, now.tile_portions)
        train_tiles(run, use, now, &part, thread)
        number = next_portion(team, thread, now.tile_portions, number)


cdef inline void update_on_line(const Run *run, const ThreadState *thread,
                                const Round *now) noexcept nogil:
    """Update this thread's panels of each stage from a batch of one row."""
    cdef const Net *net = run.net
    cdef const Stage *stage
    cdef Py_ssize_t i
    cdef Update update
    begin_update(&update, net, now.t, now.penalty_scale, thread.scratch)
    if postpones_updates(run) and not thread.columns.whole:
        update_in_use(run, thread, now, &update, False)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL and not stage.frozen:
            turn_to(net, stage, &update)
            stage.kind.update_on_line(net, stage, &run.buffers.stages[i], thread.rank, thread.size,
                                      &update)


cdef inline void train_tiles(Run *run, GradientUse use, const Round *now, const TileShare *mine,
                             const ThreadState *thread) noexcept nogil:
    """Compute and use the gradients of a share of the tiles of all stages."""
    cdef const Net *net = run.net
    cdef const Stage *stage
    cdef Py_ssize_t i, number, first, stop, below = 0
    cdef Update update
    cdef Tile here
    begin_update(&update, net, now.t, now.penalty_scale, thread.scratch)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        here.stage, here.nonzeros = stage, thread.columns if i == net.first_parameters else NULL
        if stage.n_tiles > 0:
            turn_to(net, stage, &update)
        if here.nonzeros != NULL and postpones_updates(run) and not here.nonzeros.whole:
            update_in_use(run, thread, now, &update, True)
            below += stage.n_tiles
            continue
        first, stop = tiles_of(mine, stage, below)
        if now.skips_zeros and stage.skips_zeros and not (stage.frozen and use != RETURN):
            train_strips(run, use, now, stage, below, first, stop, thread, &update)
        else:
            here.ready = NULL
            for number in range(first, stop):
                train_tile(run, use, now, &here, below, number, &update)
        below += stage.n_tiles
    finish_update(net, &update)


cdef inline void train_strips(Run *run, GradientUse use, const Round *now, const Stage *stage,
                              Py_ssize_t below, Py_ssize_t at, Py_ssize_t stop,
                              const ThreadState *thread, Update *update) noexcept nogil:
    """Compute and use the gradients of tiles at ... stop of a stage, in the order of strips.

    Products with zeros are skipped; `below` tiles precede those of the stage.
    """
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const real *before = NULL
    cdef Py_ssize_t n, k
    cdef Strip strip
    cdef Tile here
    strip.panel, strip.lists = -1, <fastnn_column_lists *>thread.strips
    strip.g = thread.strips + buffers.lists_stretch
    here.stage, here.nonzeros = stage, NULL
    if not now.first:
        before = stored_gradients(run, use) + (stage.W - net.arena)
    while at < stop:
        n = stage.kind.add_strip(net, stage, &buffers.stages[stage.place], buffers.stride,
                                 rows_of_tiles(net, stage, now.rows), at, stop, before, &strip)
        for k in range(n):
            here.ready = strip.g + k * PANEL * PANEL
            train_tile(run, use, now, &here, below, stage.kind.strip_tile(stage, at + k), update)
        at += n


cdef inline void train_tile(Run *run, GradientUse use, const Round *now, Tile *tile,
                            Py_ssize_t below, Py_ssize_t number, Update *update) noexcept nogil:
    """Compute and use the gradient of a tile of a stage, which `below` tiles of others precede."""
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const Stage *stage = tile.stage
    tile.penalty = &buffers.penalty[below + number]
    stage.kind.place_tile(stage, &buffers.stages[stage.place], buffers.stride, number, tile)
    if use == UPDATE_NOW and not stage.frozen:
        stage.kind.update_tile(net, tile, rows_of_tiles(net, stage, now.rows), update)
    else:
        store_tile_gradient(run, tile, use, now, below + number, update)
    watch_weights(run, now, tile)


cdef inline void watch_weights(Run *run, const Round *now, const Tile *tile) noexcept nogil:
    """Stop skipping zeros if a weight of the lowest W is not finite: its product with 0 is NaN."""
    if tile.nonzeros == NULL and not (now.skips_zeros and tile.stage.skips_zeros):
        return
    if not weights_are_finite(run.net, tile):
        run.skips_zeros = False
        if run.buffers.nonzeros != NULL:
            run.buffers.nonzeros.whole = True


cdef inline real *stored_gradients(const Run *run, GradientUse use) noexcept nogil:
    return run.gradient if use == RETURN else run.buffers.gradient


cdef inline void store_tile_gradient(const Run *run, const Tile *tile, GradientUse use,
                                     const Round *now, Py_ssize_t number,
                                     Update *update) noexcept nogil:
    """Store the gradient of a tile and use it; for a frozen tile, compute its penalty alone."""
    cdef const Net *net = run.net
    cdef real *gradient = stored_gradients(run, use)
    if tile.stage.frozen and use != RETURN:
        penalize(net, tile, now.penalty_scale, NULL)
        return
    store_gradient(net, tile, rows_of_tiles(net, tile.stage, now.rows), now.first, now.last,
                   now.penalty_scale, gradient)
    if use == STORE_AND_CLIP:
        measure_gradient(net, tile, gradient, &run.buffers.squares[2 * number])
    elif use == STORE_AND_UPDATE:
        update_stored(net, tile, update, gradient)


cdef inline void update_clipped(Run *run, const Round *now, const TileShare *mine,
                                const ThreadState *thread) noexcept nogil:
    """Clip the stored gradients of this thread's tiles by their norms, and update the tiles."""
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const double *squares = buffers.squares
    cdef const Stage *stage
    cdef Py_ssize_t i, number, first, stop, below = 0
    cdef real of_W = 1, of_b = 1
    cdef Update update
    cdef Tile here
    begin_update(&update, net, now.t, now.penalty_scale, thread.scratch)
    if net.clip == BY_GLOBAL_NORM:
        of_W = of_b = clip_factor(net, squares, 2 * net.n_tiles, 1)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        here.stage, here.nonzeros = stage, thread.columns if i == net.first_parameters else NULL
        first, stop = tiles_of(mine, stage, below)
        if net.clip == BY_NORM and first < stop:
            of_W = clip_factor(net, squares + 2 * below, stage.n_tiles, 2)
            of_b = clip_factor(net, squares + 2 * below + 1, stage.n_tiles, 2)
        if stage.n_tiles > 0:
            turn_to(net, stage, &update)
        for number in range(first, stop if not stage.frozen else first):
            stage.kind.place_tile(stage, &buffers.stages[i], buffers.stride, number, &here)
            net.ops.limit(here.rows * PANEL, of_W, INFINITY,
                          buffers.gradient + (here.W - net.arena))
            if here.b != NULL:
                net.ops.limit(PANEL, of_b, INFINITY, buffers.gradient + (here.b - net.arena))
            update_stored(net, &here, &update, buffers.gradient)
            watch_weights(run, now, &here)
        below += stage.n_tiles


cdef inline TileShare share_of_tiles(const Net *net, const Round *now, int team, int number,
                                     int portions) noexcept nogil:
    """Return portion `number` of the tiles, counted over all threads of a team, each of which has
    `portions`; with now.by_columns, a thread's tiles are those of the columns that it computes."""
    cdef TileShare part
    part.by_columns, part.team = now.by_columns, team
    part.number, part.count = number, team * portions
    part.first = first_tile(net, number, part.count, now.skips_zeros)
    part.stop = first_tile(net, number + 1, part.count, now.skips_zeros)
    return part


cdef inline (Py_ssize_t, Py_ssize_t) tiles_of(const TileShare *part, const Stage *stage,
                                              Py_ssize_t below) noexcept nogil:
    """Return the first tile of a share in a stage, and the tile after its last one; `below` tiles
    precede those of the stage."""
    cdef Py_ssize_t panels, down
    if not part.by_columns:
        return max(0, part.first - below), min(stage.n_tiles, part.stop - below)
    if divides_columns(stage, part.team):
        panels = panels_of(stage.n_out)
        down = stage.n_tiles // panels
        return (share(panels, part.number, part.count) * down,
                share(panels, part.number + 1, part.count) * down)
    return (share(stage.n_tiles, part.number, part.count),
            share(stage.n_tiles, part.number + 1, part.count))


cdef inline Py_ssize_t first_tile(const Net *net, int rank, int size,
                                  bint skips_zeros) noexcept nogil:
    """Return the first tile of thread `rank`, among all tiles; n_tiles for rank `size`."""
    cdef const Stage *stage
    cdef Py_ssize_t i, rows, before = 0, work = 0
    if rank == 0 or rank == size:
        return 0 if rank == 0 else net.n_tiles
    for i in range(net.n_stages):
        work += tile_cost(&net.stages[i], skips_zeros) * net.stages[i].n_tiles
    work = share(work, rank, size)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        rows = tile_cost(stage, skips_zeros)
        if work < stage.n_tiles * rows:
            return before + work // rows
        work -= stage.n_tiles * rows
        before += stage.n_tiles
    return net.n_tiles


cdef inline Py_ssize_t tile_cost(const Stage *stage, bint skips_zeros) noexcept nogil:
    """Return the relative cost of a tile's gradient: half of the usual one if zeros are skipped."""
    if skips_zeros and stage.skips_zeros:
        return 0 if stage.frozen else stage.tile_rows // 2
    return 0 if stage.frozen else stage.tile_rows
