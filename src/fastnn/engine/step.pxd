# A training step, on each thread of a team:
#
#     its rows of the batch:    gather, forward, loss, deltas
#     ------------------------- barrier: all deltas are known -----------------------------------
#     its tiles of parameters:  gradients and their use (GradientUse)
#     ------------------------- barrier: all parameters are updated -----------------------------
#
# shares.pxd divides rows and tiles among the threads, in long steps by portions. A step by columns
# has no portions of rows: there is a barrier after each layer.
#
# Every number is computed by one thread, in one order of summation, so the bits depend neither on
# the size of the team nor on which thread takes a portion. All deltas of a step use the parameters
# from before the step. Nothing allocates memory.

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastnn.engine.clock cimport UPDATE, WAIT, record_time
from fastnn.engine.gradients cimport (
    begin_gradients,
    begin_stage,
    begin_update,
    clip_factor,
    end_gradients,
    finish_update,
    measure_gradient,
    penalize,
    store_gradient,
    update_stored,
    weights_are_finite,
)
from fastnn.engine.leaves cimport (
    FASTNN_NEAR_BYTES,
    PANEL,
    PAST,
    STRIP,
    fastnn_column_lists,
    fastnn_flush_subnormals,
    fastnn_past,
    fastnn_restore_subnormals,
    fastnn_team,
    fastnn_team_barrier,
    real,
)
from fastnn.engine.net cimport (
    BY_GLOBAL_NORM,
    BY_NORM,
    STRIP_PANELS,
    Buffers,
    Columns,
    Net,
    Nonzeros,
    Stage,
    StageBuffers,
    Strip,
    Tile,
    Update,
    clips_norm,
    has_strips,
    lowest_with_parameters,
    panels_of,
    row_share,
    rows_of_tiles,
    share,
)
from fastnn.engine.row_phase cimport sum_of, train_columns, train_rows
from fastnn.engine.rows cimport index_columns
from fastnn.engine.run cimport INTERRUPTED, NOT_YET, Run
from fastnn.engine.postponed cimport (
    catch_up_rows,
    catch_up_used,
    mark_rows,
    update_all_biases,
    update_used,
)
from fastnn.engine.shares cimport (
    Round,
    ThreadState,
    TileShare,
    next_portion,
    postpones_updates,
    round_from,
    share_of_tiles,
    tiles_of,
)

cdef enum GradientUse:            # use of the gradients, decided once a round, in use_of
    UPDATE_NOW                    # the optimizer runs tile by tile; no gradient is stored
    UPDATE_ON_LINE                # the same for a batch of one row, whose gradient has rank one
    STORE                         # gradients are summed in memory; more rounds follow
    STORE_AND_UPDATE              # the last round of several
    STORE_AND_CLIP                # all gradients and their norms are known before the first update
    RETURN                        # gradients are returned to the caller; there is no update

cdef inline bint train_batch(Run *run, fastnn_team *team, const ThreadState *thread, int64_t step,
                             Py_ssize_t position, Py_ssize_t rows, double divisor,
                             double *loss) noexcept nogil:
    """Train one step over the `rows` rows from `position`; on rank 0, add their losses to `loss`.
    Return whether the step was made."""
    cdef bint is_made
    fastnn_flush_subnormals()
    is_made = train_rounds(run, team, thread, step, position, rows, divisor, loss)
    fastnn_restore_subnormals(thread.modes)
    return is_made


cdef inline bint train_rounds(Run *run, fastnn_team *team, const ThreadState *thread, int64_t step,
                              Py_ssize_t position, Py_ssize_t rows, double divisor,
                              double *loss) noexcept nogil:
    """Train the step round by round.

    All threads read run.ended between the same two barriers, so they return the same.
    """
    cdef Py_ssize_t before = 0
    cdef Round round
    cdef double loss_here
    while before < rows:
        round = round_from(run, step + 1, position, before, rows, divisor, thread.size)
        if thread.columns != NULL:
            index_and_catch_up(run, team, thread, &round)
        if round.by_columns:
            loss_here = train_columns(run, team, thread, &round)
        else:
            loss_here = train_portions(run, team, thread, &round)
        fastnn_team_barrier(team)
        record_time(thread.clock, WAIT)
        if thread.rank == 0:  # in the order of the rows, for any team
            if thread.size > 1:
                loss_here = sum_of(run.buffers.loss, round.rows * run.net.members)
            loss[0] += loss_here
        if run.ended != NOT_YET:
            if thread.rank == 0 and isfinite(run.last_loss):
                run.last_loss = loss[0]
            return False
        if run.copy_to != NULL and round.last and position == run.first:
            keep_parameters(run, team, thread, step)
        check_deltas(run, thread, &round)
        train_parameters(run, team, thread, &round)
        record_time(thread.clock, UPDATE)
        fastnn_team_barrier(team)
        record_time(thread.clock, WAIT)
        before += round.rows
    return True


cdef inline double train_portions(Run *run, fastnn_team *team, const ThreadState *thread,
                                  const Round *round) noexcept nogil:
    """Train this thread's share of the rows, and portions of other threads' rows; a team of one
    returns their loss."""
    cdef const Net *net = run.net
    cdef int number = next_portion(team, thread, round.row_portions, -1)
    cdef int count = thread.size * round.row_portions
    cdef double loss = 0.0
    while number >= 0 and run.ended != INTERRUPTED:
        loss = train_rows(run, thread, round, row_share(net, round.rows, number, count),
                          row_share(net, round.rows, number + 1, count))
        number = next_portion(team, thread, round.row_portions, number)
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
                                    const Round *round) noexcept nogil:
    """List the rows of the lowest W that the round's inputs read; if updates are postponed, make
    those of these rows."""
    index_inputs(run, round.position, round.rows, thread.columns)
    if postpones_updates(run):
        catch_up_in_use(run, thread, round.t - 1)
        if thread.rank == 0:
            keep_constants(run, round, thread.scratch)
        fastnn_team_barrier(team)


cdef inline void index_inputs(const Run *run, Py_ssize_t position, Py_ssize_t rows,
                              Columns *columns) noexcept nogil:
    """List the rows of the lowest W that `rows` rows of inputs read."""
    cdef const Stage *stage = lowest_with_parameters(run.net)
    if run.buffers.nonzeros != NULL:
        index_columns(run.net, &run.rows, position, rows, columns)
    else:
        stage.kind.index_rows(stage, run.rows.X, run.rows.order, position, rows, columns)


cdef inline void keep_constants(const Run *run, const Round *round, real *scratch) noexcept nogil:
    """Store the constants of this step for updates that are made later."""
    cdef Update update
    cdef fastnn_past *past = &run.buffers.indexed.past[round.t % PAST]
    begin_update(&update, run.net, round.t, round.penalty_scale, scratch)
    begin_stage(run.net, lowest_with_parameters(run.net), &update)
    past.step = update.weights
    if run.net.has_ema:
        past.momentum = update.momentum


cdef inline void catch_up_in_use(const Run *run, const ThreadState *thread,
                                 int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of the rows of the lowest W in use: this
    thread's part."""
    cdef Py_ssize_t n = thread.columns.n_used
    catch_up_used(run.net, lowest_with_parameters(run.net), run.buffers.indexed, thread.columns,
                  share(n, thread.rank, thread.size), share(n, thread.rank + 1, thread.size), t)


cdef inline void catch_up_all(const Run *run, int rank, int size, int64_t t) noexcept nogil:
    """Make the postponed updates, up to update t, of all rows of the lowest W: a thread's part."""
    cdef Nonzeros *indexed = run.buffers.indexed
    catch_up_rows(run.net, lowest_with_parameters(run.net), indexed,
                  share(indexed.n_in, rank, size), share(indexed.n_in, rank + 1, size), t)


cdef inline void mark_all(const Run *run, int rank, int size, int64_t t) noexcept nogil:
    """Record that t updates have been made of all rows of the lowest W: a thread's part."""
    cdef Nonzeros *indexed = run.buffers.indexed
    mark_rows(indexed, share(indexed.n_in, rank, size), share(indexed.n_in, rank + 1, size), t)


cdef inline void update_in_use(const Run *run, const ThreadState *thread, const Round *round,
                               Update *update, bint biases) noexcept nogil:
    """Make the update of this thread's part of the rows of the lowest W in use; with `biases`, of
    its part of b, too."""
    cdef const Stage *stage = lowest_with_parameters(run.net)
    cdef const StageBuffers *buffers = &run.buffers.stages[stage.index]
    cdef Py_ssize_t n = thread.columns.n_used, panels = panels_of(stage.b_columns)
    update_used(run.net, stage, buffers, run.buffers.stride, run.buffers.indexed, thread.columns,
                share(n, thread.rank, thread.size), share(n, thread.rank + 1, thread.size),
                round.rows, round.t, update)
    if biases and stage.b != NULL:
        update_all_biases(run.net, stage, buffers, run.buffers.stride,
                          share(panels, thread.rank, thread.size),
                          share(panels, thread.rank + 1, thread.size), round.rows, update)


# ---- parameters ---------------------------------------------------------------------------------

cdef inline void check_deltas(Run *run, const ThreadState *thread, Round *round) noexcept nogil:
    """Do not skip zeros in this round if a delta of the lowest W is not finite: its product with 0
    is NaN."""
    if run.buffers.nonzeros != NULL:
        thread.columns.whole = not deltas_are_finite(run, round.rows)
        round.postpones = round.postpones and not thread.columns.whole
    if round.skips_zeros and not deltas_are_finite(run, round.rows):
        round.skips_zeros = run.skips_zeros = False


cdef inline bint deltas_are_finite(const Run *run, Py_ssize_t rows) noexcept nogil:
    """Whether the deltas of the lowest stage with parameters are finite, for `rows` rows of inputs;
    True if these deltas are not computed."""
    cdef const Net *net = run.net
    cdef Py_ssize_t q, lowest = net.first_parameters
    cdef const real *delta = run.buffers.stages[lowest].delta
    if run.gradient == NULL and net.first_updated > lowest:
        return True
    for q in range(panels_of(net.stages[lowest].n_out)):
        if net.ops.first_nonfinite(rows * net.members * PANEL,
                                   delta + q * run.buffers.stride * PANEL) >= 0:
            return False
    return True


cdef inline GradientUse use_of(const Run *run, const Round *round) noexcept nogil:
    """Decide how the gradients of a round are used."""
    cdef const Net *net = run.net
    if run.gradient != NULL:
        return RETURN
    if not round.last:
        return STORE
    if clips_norm(net):
        return STORE_AND_CLIP
    if not round.first:
        return STORE_AND_UPDATE
    if round.rows == 1 and run.buffers.stride == 1 and net.on_line:
        return UPDATE_ON_LINE
    return UPDATE_NOW


cdef inline void train_parameters(Run *run, fastnn_team *team, const ThreadState *thread,
                                  const Round *round) noexcept nogil:
    """Compute and use the gradients of this thread's share of the parameters."""
    cdef TileShare part
    cdef GradientUse use = use_of(run, round)
    begin_gradients(run.net)
    if postpones_updates(run) and not round.postpones:  # any row of W may have a gradient
        catch_up_all(run, thread.rank, thread.size, round.t - 1)
        fastnn_team_barrier(team)
    if use == UPDATE_ON_LINE:
        update_on_line(run, thread, round)
    else:
        train_tile_portions(run, team, thread, use, round)
        if use == STORE_AND_CLIP:
            fastnn_team_barrier(team)  # all gradients are known
            part = share_of_tiles(run.net, round, thread.size, thread.rank, 1)
            update_clipped(run, round, &part, thread)
    if postpones_updates(run):
        if not round.postpones:
            mark_all(run, thread.rank, thread.size, round.t)
        elif (round.t - run.buffers.indexed.begun) % (PAST - 1) == 0:
            fastnn_team_barrier(team)  # the rows in use are updated, each by some thread
            catch_up_all(run, thread.rank, thread.size, round.t)
    end_gradients(run.net)


cdef inline void train_tile_portions(Run *run, fastnn_team *team, const ThreadState *thread,
                                     GradientUse use, const Round *round) noexcept nogil:
    """Compute and use the gradients of this thread's share of the tiles, and of portions of other
    threads' tiles."""
    cdef TileShare part
    cdef int number = next_portion(team, thread, round.tile_portions, -1)
    while number >= 0:
        part = share_of_tiles(run.net, round, thread.size, number, round.tile_portions)
        train_tiles(run, use, round, &part, thread)
        number = next_portion(team, thread, round.tile_portions, number)


cdef inline void update_on_line(const Run *run, const ThreadState *thread,
                                const Round *round) noexcept nogil:
    """Update this thread's panels of each stage from a batch of one row."""
    cdef const Net *net = run.net
    cdef const Stage *stage
    cdef Py_ssize_t i
    cdef Update update
    begin_update(&update, net, round.t, round.penalty_scale, thread.scratch)
    if round.postpones:
        update_in_use(run, thread, round, &update, False)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL and not stage.frozen:
            begin_stage(net, stage, &update)
            stage.kind.update_on_line(net, stage, &run.buffers.stages[i], thread.rank, thread.size,
                                      &update)


cdef inline void train_tiles(Run *run, GradientUse use, const Round *round, const TileShare *part,
                             const ThreadState *thread) noexcept nogil:
    """Compute and use the gradients of a share of the tiles of all stages."""
    cdef const Net *net = run.net
    cdef const Stage *stage
    cdef Py_ssize_t i, first, stop, below = 0
    cdef Update update
    cdef Tile tile
    cdef Strip strip
    begin_update(&update, net, round.t, round.penalty_scale, thread.scratch)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        tile.stage, tile.nonzeros = stage, thread.columns if i == net.first_parameters else NULL
        if stage.n_tiles > 0:
            begin_stage(net, stage, &update)
        if tile.nonzeros != NULL and round.postpones:
            update_in_use(run, thread, round, &update, True)
            below += stage.n_tiles
            continue
        first, stop = tiles_of(part, stage, below)
        if tile.nonzeros == NULL and set_strip(run, use, round, stage, thread, &strip):
            train_strips(run, use, round, stage, below, first, stop, &strip, &update)
        else:
            train_tiles_of(run, use, round, &tile, below, first, stop, &update)
        below += stage.n_tiles
    finish_update(net, &update)


# Parameters and moments of so many bytes do not fit in the caches near a core.
cdef enum:
    FAR_WEIGHT_BYTES = 1 << 22


cdef inline bint are_far(const Net *net) noexcept nogil:
    return net.n_blocks * net.block * <Py_ssize_t>sizeof(real) >= FAR_WEIGHT_BYTES


cdef inline bint uses_strip_order(const Net *net, const Stage *stage,
                                  const Round *round) noexcept nogil:
    """Whether the tiles of a stage are computed in the order of strips: those with the same columns
    of z_prev follow each other, instead of those with the same columns of delta.

    In this order, each thread reads a part of the columns of z_prev once, and delta several times.
    It is used if z_prev has more columns than delta and does not fit in the caches. Measured on a
    Xeon (model 167), 784-256-128-10, relative to the time in the order of numbers: 0.9 on one
    thread with batches of 4,096 rows, 0.98 with 1,024, 0.94 in bfloat16; on two threads 0.92 with
    1,024. z_prev counts as dense even if it is given as nonzeros: with 2,000 columns and batches of
    200 rows, an epoch takes 0.85 times as long.
    """
    cdef double size = <double>rows_of_tiles(net, stage, round.rows) * stage.n_in * sizeof(real)
    return (size > FASTNN_NEAR_BYTES and stage.n_in > stage.n_out and not round.by_columns
            and stage.kind.strip_tile != NULL)


cdef inline void train_tiles_of(Run *run, GradientUse use, const Round *round, Tile *tile,
                                Py_ssize_t below, Py_ssize_t first, Py_ssize_t stop,
                                Update *update) noexcept nogil:
    """Compute and use the gradients of tiles first ... stop of a stage; `below` tiles precede those
    of the stage.

    If z_prev is given as nonzeros, its few products leave memory bandwidth unused. If the weights
    are also far from the core, tiles are computed in the order of memory, and prefetched. Measured
    on a Xeon (model 167) with 20,000 columns, a fit takes 0.87 times as long. With dense rows,
    prefetching made steps slower on Zen 4.
    """
    cdef const Stage *stage = tile.stage
    cdef bint along_memory = tile.nonzeros != NULL and are_far(run.net)
    cdef bint in_strip_order = not along_memory and uses_strip_order(run.net, stage, round)
    cdef Py_ssize_t i
    tile.ready = NULL
    update.weights.ahead = 2 * PANEL * PANEL if along_memory else 0
    for i in range(first, stop):
        train_tile(run, use, round, tile, below,
                   stage.kind.strip_tile(stage, i) if in_strip_order else i, update)


cdef inline bint set_strip(const Run *run, GradientUse use, const Round *round, const Stage *stage,
                           const ThreadState *thread, Strip *strip) noexcept nogil:
    """Whether the gradients of a stage, whose inputs are in panels, are computed strip by strip. If
    so, set the memory of the strips.

    The scratch of a thread begins with room for two tiles, which updates use.
    """
    if stage.frozen and use != RETURN:
        return False
    strip.panel, strip.is_sparse = -1, False
    if round.skips_zeros and stage.skips_zeros:
        strip.lists, strip.most = <fastnn_column_lists *>thread.strips, STRIP
        strip.g = thread.strips + run.buffers.lists_size
        return True
    if not has_strips(run.net, stage, round.rows) or round.by_columns:
        return False
    strip.lists, strip.most = NULL, STRIP_PANELS * panels_of(stage.n_out)
    strip.g = thread.scratch + 2 * PANEL * PANEL
    return True


cdef inline void train_strips(Run *run, GradientUse use, const Round *round, const Stage *stage,
                              Py_ssize_t below, Py_ssize_t at, Py_ssize_t stop, Strip *strip,
                              Update *update) noexcept nogil:
    """Compute and use the gradients of tiles at ... stop of a stage, in the order of strips;
    `below` tiles precede those of the stage.

    In a strip, the tiles with one panel of delta are neighbours in memory and are updated one after
    the other. If weights are far from the core, the tiles with the next panel are prefetched.
    """
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const real *before = NULL
    cdef Py_ssize_t n, k, i
    cdef Tile tile
    tile.stage, tile.nonzeros = stage, NULL
    if not round.first:
        before = stored_gradients(run, use) + (stage.W - net.arena)
    update.weights.ahead = stage.n_in * PANEL if strip.lists == NULL and are_far(net) else 0
    while at < stop:
        n = stage.kind.add_strip(net, stage, &buffers.stages[stage.index], buffers.stride,
                                 rows_of_tiles(net, stage, round.rows), at, stop, before, strip)
        for k in range(n):
            i = k % strip.n_panels * (n // strip.n_panels) + k // strip.n_panels
            tile.ready = strip.g + i * PANEL * PANEL
            train_tile(run, use, round, &tile, below, stage.kind.strip_tile(stage, at + i), update)
        at += n


cdef inline void train_tile(Run *run, GradientUse use, const Round *round, Tile *tile,
                            Py_ssize_t below, Py_ssize_t number, Update *update) noexcept nogil:
    """Compute and use the gradient of a tile; `below` tiles precede those of its stage."""
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const Stage *stage = tile.stage
    tile.penalty = &buffers.penalty[below + number]
    stage.kind.place_tile(stage, &buffers.stages[stage.index], buffers.stride, number, tile)
    if use == UPDATE_NOW and not stage.frozen:
        stage.kind.update_tile(net, tile, rows_of_tiles(net, stage, round.rows), update)
    else:
        store_tile_gradient(run, tile, use, round, below + number, update)
    watch_weights(run, round, tile)


cdef inline void watch_weights(Run *run, const Round *round, const Tile *tile) noexcept nogil:
    """Stop skipping zeros if a weight of the lowest W is not finite: its product with 0 is NaN."""
    if tile.nonzeros == NULL and not (round.skips_zeros and tile.stage.skips_zeros):
        return
    if not weights_are_finite(run.net, tile):
        run.skips_zeros = False
        if run.buffers.nonzeros != NULL:
            run.buffers.nonzeros.whole = True


cdef inline real *stored_gradients(const Run *run, GradientUse use) noexcept nogil:
    return run.gradient if use == RETURN else run.buffers.gradient


cdef inline void store_tile_gradient(const Run *run, const Tile *tile, GradientUse use,
                                     const Round *round, Py_ssize_t number,
                                     Update *update) noexcept nogil:
    """Store the gradient of a tile and use it; for a frozen tile, compute its penalty alone."""
    cdef const Net *net = run.net
    cdef real *gradient = stored_gradients(run, use)
    if tile.stage.frozen and use != RETURN:
        penalize(net, tile, round.penalty_scale, NULL)
        return
    store_gradient(net, tile, rows_of_tiles(net, tile.stage, round.rows), round.first, round.last,
                   round.penalty_scale, gradient)
    if use == STORE_AND_CLIP:
        measure_gradient(net, tile, gradient, &run.buffers.squares[2 * number])
    elif use == STORE_AND_UPDATE:
        update_stored(net, tile, update, gradient)


cdef inline void update_clipped(Run *run, const Round *round, const TileShare *part,
                                const ThreadState *thread) noexcept nogil:
    """Clip the stored gradients of this thread's tiles by their norms, and update the tiles."""
    cdef const Net *net = run.net
    cdef const Buffers *buffers = run.buffers
    cdef const double *squares = buffers.squares
    cdef const Stage *stage
    cdef Py_ssize_t i, number, first, stop, below = 0
    cdef real of_W = 1, of_b = 1
    cdef Update update
    cdef Tile tile
    begin_update(&update, net, round.t, round.penalty_scale, thread.scratch)
    if net.clip == BY_GLOBAL_NORM:
        of_W = of_b = clip_factor(net, squares, 2 * net.n_tiles, 1)
    for i in range(net.n_stages):
        stage = &net.stages[i]
        tile.stage, tile.nonzeros = stage, thread.columns if i == net.first_parameters else NULL
        first, stop = tiles_of(part, stage, below)
        if net.clip == BY_NORM and first < stop:
            of_W = clip_factor(net, squares + 2 * below, stage.n_tiles, 2)
            of_b = clip_factor(net, squares + 2 * below + 1, stage.n_tiles, 2)
        if stage.n_tiles > 0:
            begin_stage(net, stage, &update)
        for number in range(first, stop if not stage.frozen else first):
            stage.kind.place_tile(stage, &buffers.stages[i], buffers.stride, number, &tile)
            net.ops.limit(tile.rows * PANEL, of_W, INFINITY,
                          buffers.gradient + (tile.W - net.arena))
            if tile.b != NULL:
                net.ops.limit(PANEL, of_b, INFINITY, buffers.gradient + (tile.b - net.arena))
            update_stored(net, &tile, &update, buffers.gradient)
            watch_weights(run, round, &tile)
        below += stage.n_tiles
