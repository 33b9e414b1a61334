# The task of the threads of a team that train a slice of a run; how a run begins and is cut into
# slices. Not here: what happens between epochs (epochs.pxd); predictions (evaluation.pxd).

from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from fastnn.engine.buffers cimport reserve_nonzeros
from fastnn.engine.epochs cimport begin_epoch, finish_epoch
from fastnn.engine.gradients cimport rate_at
from fastnn.engine.leaves cimport (
    fastnn_attendance,
    fastnn_flush_subnormals,
    fastnn_now_ns,
    fastnn_pace_note,
    fastnn_pace_size,
    fastnn_restore_subnormals,
    fastnn_run,
    fastnn_team,
    fastnn_team_size,
    real,
)
from fastnn.engine.net cimport (
    Net,
    Nonzeros,
    Stage,
    W_size,
    clips_norm,
    lowest_with_parameters,
    round_rows,
)
from fastnn.engine.row_phase cimport sum_of, trains_by_columns
from fastnn.engine.rows cimport Rows, are_nonzeros, batch_weight, most_nonzeros
from fastnn.engine.run cimport (
    DIVERGED,
    KEEP_ROWS,
    NO_MEMORY,
    NOT_YET,
    Run,
    Watch,
    has_diverged,
    reduced,
)
from fastnn.engine.shares cimport ThreadState, postpones_updates, thread_state
from fastnn.engine.step cimport catch_up_all, mark_all, train_batch
from fastnn.engine.team cimport LONG_FLOPS, team_size, training_rows
from fastnn.engine.zeros cimport multiplies_zeros, trains_on_zeros


# ---- training -----------------------------------------------------------------------------------

cdef inline void train_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Train one slice of an epoch: the batches from run.first to run.stop, or fewer if the run
    ends."""
    cdef Run *run = <Run *>context
    cdef Net *net = run.net
    cdef Py_ssize_t position = run.first, rows
    cdef int64_t step = net.step
    cdef ThreadState thread
    cdef double weight, loss
    if run.tiny:
        train_tiny(run)
        return
    thread = thread_state(run, team, rank)
    while position < run.stop:
        rows = min(run.batch, run.end - position)
        weight = batch_weight(&run.rows, position, rows)
        loss = 0.0
        if not train_batch(run, team, &thread, step, position, rows, weight if net.is_mean else 1.0,
                           &loss):
            break
        if rank == 0:
            finish_batch(run, loss, weight, rows)
        position += rows
        step += 1
    if rank == 0 and run.gradient == NULL:
        net.step = step
        run.first = position


cdef inline void postponed_updates_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Make this thread's part of all postponed updates."""
    cdef Run *run = <Run *>context
    cdef uint64_t modes = fastnn_flush_subnormals()
    catch_up_all(run, rank, fastnn_team_size(team), run.net.step)
    fastnn_restore_subnormals(modes)


cdef inline void make_postponed_updates(const Run *run, int n_threads) noexcept nogil:
    """Make all postponed updates."""
    cdef Nonzeros *indexed = run.buffers.indexed
    if indexed.caught_up != run.net.step:
        fastnn_run(n_threads, postponed_updates_task, <void *>run)
        indexed.caught_up = run.net.step


cdef inline void finish_batch(Run *run, double loss, double weight,
                              Py_ssize_t rows) noexcept nogil:
    """Add the loss of a batch to that of the epoch. If its penalties overflow, end the run, which
    threads see after the next barrier."""
    if run.net.penalized:
        loss += sum_of(run.buffers.penalty, run.net.n_tiles)
        if run.gradient == NULL and not isfinite(loss):
            run.ended, run.last_loss, run.overflowed = DIVERGED, loss, True
    loss *= weight if run.net.is_mean else 1.0
    run.loss += loss
    run.total += weight
    run.row_loss += rows * reduced(run.net, loss, weight)


cdef inline void train_tiny(Run *run) noexcept nogil:
    """Train one slice of an epoch of a tiny network, one row a step."""
    cdef Net *net = run.net
    cdef const Rows *rows = &run.rows
    cdef Py_ssize_t position = run.first, skip = 0
    cdef Py_ssize_t n = 1 if net.schedule.rule != NULL else run.stop - run.first
    cdef uint64_t modes = fastnn_flush_subnormals()
    while position < run.stop:
        net.hyper.learning_rate = rate_at(net, net.step)
        skip = position if rows.order == NULL else 0
        run.loss = net.ops.tiny_steps(&net.tiny, <double>(net.step + 1), n,
                                      rows.X + skip * net.n_in,
                                      rows.T + skip * net.n_out if rows.T != NULL else NULL,
                                      rows.labels + skip if rows.labels != NULL else NULL,
                                      rows.order + position if rows.order != NULL else NULL,
                                      run.loss)
        run.total += <double>n
        net.step += n
        position += n
    fastnn_restore_subnormals(modes)
    run.first = position


cdef inline void train_tiny_slice(Run *run, real *before) noexcept nogil:
    """Train a slice of a tiny network's rows; copy the arena to `before` first.

    tiny.c does not check the loss of each row: if the sum of the losses isn't finite, the state
    from before the slice is restored and run.tiny is cleared, so that the general step repeats the
    slice and finds the row.
    """
    cdef Net *net = run.net
    cdef Py_ssize_t size = net.n_blocks * net.block * sizeof(real), first = run.first
    cdef int64_t step = net.step
    cdef double loss = run.loss, total = run.total
    memcpy(before, net.arena, size)
    fastnn_run(1, train_task, run)
    if not isfinite(run.loss):
        memcpy(net.arena, before, size)
        run.first, net.step, run.loss, run.total, run.tiny = first, step, loss, total, False


# ---- the beginning of a run ---------------------------------------------------------------------

# Flops of the update of a weight. Updates are most of a step if the inputs are nonzeros.
cdef enum:
    UPDATE_FLOPS = 10


cdef inline void plan_run(Run *run) noexcept nogil:
    """Decide how a run is carried out, from the shapes of the network and its batches."""
    cdef const Net *net = run.net
    cdef double flops, row_flops = net.row_flops - run.rows.flops_less
    run.batch = min(run.batch, run.end - run.begin)
    if are_nonzeros(&run.rows):
        row_flops += UPDATE_FLOPS * <double>W_size(&net.stages[0]) / run.batch
    flops = run.batch * row_flops
    run.tiny = (run.batch == 1 and run.rows.n_weights == 0 and run.out == NULL
                and (run.watch == NULL or run.watch.judge.n_metrics == 0)
                and net.tiny.layers != NULL and run.rows.loss == net.loss and run.rows.X != NULL)
    run.polls = flops > LONG_FLOPS()
    # tiny.c uses one thread, for any depth of the network.
    run.n_threads = 1 if run.tiny else team_size(flops, run.most_threads)
    run.by_columns = trains_by_columns(run, run.n_threads)
    run.slice_rows = training_rows(run.batch, row_flops)


cdef inline void prepare_run(Run *run) noexcept nogil:
    """Decide what a run does with zeros and with postponed updates, in its buffers.

    Call begin_training first: the W that is trained must be finite, not its average. finite_until
    is cleared last, since multiplies_zeros and trains_on_zeros read it; the steps then change W.
    """
    if run.buffers.nonzeros != NULL:
        run.buffers.nonzeros.whole = multiplies_zeros(run.net)
    run.skips_zeros = trains_on_zeros(run)
    plan_updates(run)
    run.net.finite_until = 0


# Updates are postponed if a batch reads fewer than one in POSTPONING rows of W. A row that is
# postponed is loaded twice in a step, and from anywhere in memory; all rows are loaded once, in
# order. Measured on a Zen 4 with Adam, as the time of a step relative to one that updates all rows:
# W of 100,000 x 100, 0.69 with 10,000 nonzeros (0.56 on two threads), 0.86 (0.73) with 20,000, 0.94
# (1.02) with 30,000; W of 20,000 x 100, 0.76, 0.89 and 0.98 with 10, 30 and 50 % as many nonzeros.
cdef enum:
    POSTPONING = 4

cdef inline void plan_updates(const Run *run) noexcept nogil:
    """Decide whether updates of the lowest W are postponed until its rows are read.

    They are if a batch reads few rows of W. They are not with penalties, clipping by a norm, or
    batches of several rounds, which need all weights or all gradients in each step.
    """
    cdef const Net *net = run.net
    cdef const Stage *stage = lowest_with_parameters(net)
    cdef Nonzeros *indexed = run.buffers.indexed
    cdef double read = stage.rows_read
    if indexed == NULL:
        return
    if run.buffers.nonzeros != NULL:
        read = run.rows.nonzeros_each
    indexed.postpones = (
        stage.may_postpone and not clips_norm(net) and run.batch <= round_rows(net)
        and run.end - run.begin > run.batch and run.batch * read * POSTPONING < indexed.n_in)
    if run.buffers.nonzeros == NULL:
        indexed.postpones = (indexed.postpones and run.rows.X != NULL
                             and reserve_nonzeros(indexed, run.batch * stage.rows_read))
    indexed.rests = not (net.averaged or net.hyper.weight_decay != 0 or net.hyper.maximize != 0)
    if indexed.postpones:
        mark_all(run, 0, 1, net.step)
        indexed.begun = indexed.caught_up = net.step


# ---- slices -------------------------------------------------------------------------------------

cdef inline void advance(Run *run, Py_ssize_t rows) noexcept nogil:
    """Train whole slices of at most `rows` rows in all, over several epochs if need be; at least
    one slice."""
    cdef bint any = False
    while run.ended == NOT_YET and run.epoch < run.until:
        begin_slice(run)
        rows -= run.stop - run.first
        if any and rows < 0:
            return
        any = True
        if not has_room_for_nonzeros(run):
            run.ended = NO_MEMORY
        elif run.tiny:
            train_kept_tiny(run)
        else:
            train_kept(run)
        if postpones_updates(run) and parameters_are_read(run):
            make_postponed_updates(run, threads_of_slice(run))
        end_slice(run)
        if postpones_updates(run) and run.ended != NOT_YET:
            make_postponed_updates(run, threads_of_slice(run))


cdef inline bint has_room_for_nonzeros(Run *run) noexcept nogil:
    """Make room for the nonzeros of a round of the slice; return False if there is no memory."""
    cdef Nonzeros *nonzeros = run.buffers.nonzeros
    return nonzeros == NULL or reserve_nonzeros(
        nonzeros, most_nonzeros(&run.rows, run.first, run.stop, run.batch, round_rows(run.net)))


cdef inline bint parameters_are_read(const Run *run) noexcept nogil:
    """Whether all parameters must be up to date after a slice: at the end of the run, and of an
    epoch whose parameters are validated, judged by metrics, tried or kept by a rule."""
    cdef const Watch *watch = run.watch
    cdef Py_ssize_t i
    if run.ended != NOT_YET:
        return True
    if run.first < run.end:
        return False
    if run.losses == NULL or run.epoch + 1 >= run.until:
        return True
    if watch == NULL:
        return False
    for i in range(watch.n_rules):
        if watch.rules[i].restores:
            return True
    return watch.tries_each_epoch or watch.has_validation or watch.judge.n_metrics > 0


cdef inline void begin_slice(Run *run) noexcept nogil:
    """Begin the next slice, and an epoch if it is the first slice of one."""
    if run.losses != NULL and not run.begun:
        begin_epoch(run)
    run.stop = min(run.end, run.first + run.slice_rows)


cdef inline void end_slice(Run *run) noexcept nogil:
    """End a slice, and the epoch if this was its last slice."""
    if run.first >= run.end and run.ended == NOT_YET:
        finish_epoch(run)
    if has_diverged(run):
        run.failed_step = run.net.step - run.epoch_step + (not run.overflowed)
        run.failed_rate = rate_at(run.net, run.net.step)


cdef inline void train_kept(Run *run) noexcept nogil:
    """Train a slice; copy the parameters to run.keep if the last copy is KEEP_ROWS rows old."""
    cdef Py_ssize_t began = run.first
    cdef int64_t step = run.net.step
    run.copy_to = NULL
    if run.keep != NULL:
        if run.keep.step >= 0 and run.keep.rows < KEEP_ROWS:
            run.keep.rows += run.stop - began
        else:
            run.keep.rows = run.stop - began
            run.copy_to = run.keep.memory
    train_slice(run)
    if run.copy_to != NULL and run.first > began:
        run.keep.step = step


cdef inline int threads_of_slice(const Run *run) noexcept nogil:
    """Return the number of threads that has been fastest (pace.h); with clocks, all of the run.

    A run of one thread does not ask for it, which would discard the measurements of larger teams.
    """
    if run.n_threads == 1 or run.clocks != NULL:
        return run.n_threads
    return fastnn_pace_size(&run.net.pace, run.n_threads)


cdef inline void train_slice(Run *run) noexcept nogil:
    """Train a slice on the number of threads that has been fastest, and record its speed."""
    cdef Net *net = run.net
    cdef Py_ssize_t first = run.first
    cdef int64_t began
    cdef fastnn_attendance ran
    if run.n_threads == 1 or run.clocks != NULL:
        fastnn_run(run.n_threads, train_task, run)
        return
    began = fastnn_now_ns()
    ran = fastnn_run(threads_of_slice(run), train_task, run)
    # Postponed updates are made before a copy: the time of such a slice is not typical.
    if run.copy_to == NULL or not postpones_updates(run):
        fastnn_pace_note(&net.pace, ran.size, (run.first - first) * net.row_flops, began,
                         fastnn_now_ns(), ran.waited_ns)


cdef inline void train_kept_tiny(Run *run) noexcept nogil:
    """Train a slice of a tiny network's rows; keep the parameters from before the slice."""
    cdef int64_t step = run.net.step
    cdef Py_ssize_t block = run.net.block
    train_tiny_slice(run, run.keep.memory + block)
    if run.tiny:
        memcpy(run.keep.memory, run.keep.memory + block, block * sizeof(real))
        run.keep.step, run.keep.rows = step, KEEP_ROWS
