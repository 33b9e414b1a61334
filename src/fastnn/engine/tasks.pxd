# The tasks of the threads of a team: the steps of a slice of a run, and predictions. Also how a run
# is cut into slices, and what happens between its epochs.

from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from fastnn.engine.buffers cimport reserve_nonzeros
from fastnn.engine.gradients cimport penalties_of, rate_at
from fastnn.engine.leaves cimport (
    fastnn_attendance,
    fastnn_flush_subnormals,
    fastnn_now_ns,
    fastnn_pace_note,
    fastnn_pace_size,
    fastnn_restore_subnormals,
    fastnn_run,
    fastnn_take_next,
    fastnn_team,
    fastnn_team_size,
    real,
)
from fastnn.engine.net cimport (
    Net,
    Nonzeros,
    Pass,
    Stage,
    W_size,
    chunk_rows,
    chunks_of,
    clips_norm,
    evaluates_average,
    lowest_with_parameters,
    round_rows,
)
from fastnn.engine.metrics cimport Judged, has_nan, judging_room, value_of
from fastnn.engine.passes cimport begin_pass, forward, output_loss, write_outputs
from fastnn.engine.orders cimport draw_order
from fastnn.engine.rows cimport (
    Rows,
    are_nonzeros,
    batch_weight,
    gather_inputs,
    gather_targets,
    index_of,
    most_nonzeros,
    row_weight,
    weigh,
)
from fastnn.engine.run cimport (
    DIVERGED,
    INTERRUPTED,
    KEEP_ROWS,
    LAST_DIVERGED,
    NO_MEMORY,
    NOT_YET,
    Evaluation,
    Judge,
    Run,
    Watch,
    has_diverged,
    reduced,
)
from fastnn.engine.row_phase cimport sum_of, trains_by_columns
from fastnn.engine.shares cimport ThreadState, postpones_updates, thread_state
from fastnn.engine.step cimport catch_up_all, mark_all, train_batch
from fastnn.engine.team cimport LONG_FLOPS, inference_rows, team_size, training_rows
from fastnn.engine.watch cimport follow
from fastnn.engine.zeros cimport have_zeros, is_finite


# ---- training -----------------------------------------------------------------------------------

# Updates are postponed if a batch reads fewer than one in POSTPONING rows of W. A row that is
# postponed is loaded twice in a step, and from anywhere in memory; all rows are loaded once, in
# order. Measured on a Zen 4 with Adam, as the time of a step relative to one that updates all rows:
# W of 100,000 x 100, 0.69 with 10,000 nonzeros (0.56 on two threads), 0.86 (0.73) with 20,000, 0.94
# (1.02) with 30,000; W of 20,000 x 100, 0.76, 0.89 and 0.98 with 10, 30 and 50 % as many nonzeros.
cdef enum:
    POSTPONING = 4

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
    catch_up_all(run, rank, fastnn_team_size(team), run.net.step)


cdef inline void make_postponed_updates(const Run *run, int n_threads) noexcept nogil:
    """Make all postponed updates."""
    cdef Nonzeros *indexed = run.buffers.indexed
    if indexed.caught_up != run.net.step:
        fastnn_run(n_threads, postponed_updates_task, <void *>run)
        indexed.caught_up = run.net.step


cdef inline void arrange_updates(const Run *run) noexcept nogil:
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
    cdef uint64_t before = fastnn_flush_subnormals()
    while position < run.stop:
        net.hyper.learning_rate = rate_at(net, net.step)
        skip = position if rows.order == NULL else 0
        run.loss += net.ops.tiny_steps(&net.tiny, <double>(net.step + 1), n,
                                       rows.X + skip * net.n_in,
                                       rows.T + skip * net.n_out if rows.T != NULL else NULL,
                                       rows.labels + skip if rows.labels != NULL else NULL,
                                       rows.order + position if rows.order != NULL else NULL)
        run.total += <double>n
        net.step += n
        position += n
    fastnn_restore_subnormals(before)
    run.first = position


cdef inline void train_tiny_slice(Run *run, real *before) noexcept nogil:
    """Train a slice of a tiny network's rows; copy the arena to `before` first.

    tiny.c does not check the loss of each row. If the sum of the losses isn't finite, the state
    from before the slice is restored and run.tiny is cleared, so that the general step repeats the
    slice and finds the row.
    """
    cdef Net *net = run.net
    cdef Py_ssize_t first = run.first, size = net.n_blocks * net.block
    cdef double loss = run.loss, total = run.total
    cdef int64_t step = net.step
    memcpy(before, net.arena, size * sizeof(real))
    fastnn_run(1, train_task, run)
    if not isfinite(run.loss):
        memcpy(net.arena, before, size * sizeof(real))
        run.first, run.loss, run.total, net.step = first, loss, total, step
        run.tiny = False


# ---- slices -------------------------------------------------------------------------------------

# Operations of the update of a weight, which are most of a step if the inputs are nonzeros.
cdef enum:
    UPDATE_FLOPS = 10


cdef inline void arrange(Run *run) noexcept nogil:
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


cdef inline void advance(Run *run, Py_ssize_t rows) noexcept nogil:
    """Train whole slices of at most `rows` rows in all, over several epochs if need be; at least
    one slice.

    No slice is cut, since sums may be rounded in another way at the beginning of a slice (tiny.c).
    """
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
            make_postponed_updates(run, fastnn_pace_size(&run.net.pace, run.n_threads))
        end_slice(run)
        if postpones_updates(run) and run.ended != NOT_YET:
            make_postponed_updates(run, fastnn_pace_size(&run.net.pace, run.n_threads))


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


cdef inline void train_slice(Run *run) noexcept nogil:
    """Train a slice on the number of threads that has been fastest (pace.h); with clocks, on
    all."""
    cdef Net *net = run.net
    cdef Py_ssize_t first = run.first
    cdef int64_t began
    cdef fastnn_attendance ran
    if run.n_threads == 1 or run.clocks != NULL:
        fastnn_run(run.n_threads, train_task, run)
        return
    began = fastnn_now_ns()
    ran = fastnn_run(fastnn_pace_size(&net.pace, run.n_threads), train_task, run)
    # Postponed updates are made before a copy: the time of such a slice is not typical.
    if run.copy_to == NULL or not postpones_updates(run):
        fastnn_pace_note(&net.pace, ran.size, (run.first - first) * net.row_flops,
                         fastnn_now_ns() - began, ran.waited_ns)


cdef inline void train_kept_tiny(Run *run) noexcept nogil:
    """Train a slice of a tiny network's rows; keep the parameters from before the slice."""
    cdef int64_t step = run.net.step
    cdef Py_ssize_t block = run.net.block
    train_tiny_slice(run, run.keep.memory + block)
    if run.tiny:
        memcpy(run.keep.memory, run.keep.memory + block, block * sizeof(real))
        run.keep.step, run.keep.rows = step, KEEP_ROWS


# ---- epochs -------------------------------------------------------------------------------------

cdef inline void begin_epoch(Run *run) noexcept nogil:
    """Begin the next epoch, in a new order of the rows if orders are drawn."""
    cdef Py_ssize_t i
    run.begun = True
    run.first, run.epoch_step = run.begin, run.net.step
    run.loss = run.total = run.row_loss = 0.0
    if run.generator != NULL:
        if run.draw != NULL:
            run.draw(run)
        else:
            draw_order(run.generator, run.order, run.rows.n)
        if run.compounds:
            compound(run)
        if run.numbers != NULL:
            for i in range(run.rows.n):
                run.order[i] = run.numbers[run.order[i]]
        run.rows.order = run.order


cdef inline void compound(Run *run) noexcept nogil:
    """Apply the order that was drawn to the order of the last epoch."""
    cdef Py_ssize_t i
    if run.epoch > 0:
        for i in range(run.rows.n):
            run.order[i] = run.last_order[run.order[i]]
    memcpy(run.last_order, run.order, run.rows.n * sizeof(int64_t))


cdef inline void finish_epoch(Run *run) noexcept nogil:
    """Validate, judge and count an epoch; it is not counted if its last update diverged, or if
    a signal ends the run."""
    cdef double loss = reduced(run.net, run.loss, run.total), val_loss = 0.0
    if run.watch != NULL:
        if not try_last(run):
            return
        judge(&run.watch.judge, run.net, &run.rows, run.epoch)
        if not validate(run, &val_loss):
            return
        judge(&run.watch.validation_judge, run.net, &run.watch.validation.rows, run.epoch)
        if run.watch.row_losses != NULL:
            run.watch.row_losses[run.epoch] = run.row_loss / (run.end - run.begin)
    if run.losses != NULL:
        run.losses[run.epoch] = loss
        run.net.epoch += 1
    run.epoch += 1
    if run.watch != NULL:
        follow(run, loss, val_loss)
    run.begun = False


cdef inline void judge(const Judge *judge, const Net *net, const Rows *rows,
                       Py_ssize_t epoch) noexcept nogil:
    """Compute the metrics of rows from their outputs in judge.out."""
    cdef Judged judged
    cdef Py_ssize_t i, needed = judging_room(rows.n, net.n_out)
    cdef double *values
    cdef double most = 0.0
    if judge.n_metrics == 0:
        return
    values = judge.values + epoch * judge.n_metrics
    judged.n, judged.n_out, judged.y = rows.n, net.n_out, judge.out
    judged.T, judged.labels, judged.order = rows.T, rows.labels, rows.order
    judged.n_weights, judged.w, judged.room = 0, judge.room + needed, judge.room
    if judge.sample_weight != NULL:
        judged.n_weights = 1
        for i in range(rows.n):
            most = max(most, <double>judge.sample_weight[index_of(rows, i)])
        for i in range(rows.n):
            judge.room[needed + i] = <double>judge.sample_weight[index_of(rows, i)] / most
    for i in range(judge.n_metrics):
        values[i] = NAN if has_nan(&judged) else value_of(&judge.metrics[i], &judged)


cdef inline bint try_last(Run *run) noexcept nogil:
    """Whether the loss is finite with the parameters after an epoch's last update.

    No step of the epoch computes that loss.
    """
    cdef double loss, total
    if not (run.watch.tries_each_epoch or run.epoch + 1 == run.epochs):
        return True
    loss = total = 0.0
    if not evaluate_rows(run, &run.watch.last, 1, &loss, &total):
        return False
    run.last_loss = reduced_with_penalties(run.net, loss, total)
    if not isfinite(run.last_loss):
        run.overflowed = isfinite(loss)
        run.ended = LAST_DIVERGED
        return False
    return True


cdef inline bint validate(Run *run, double *value) noexcept nogil:
    """Compute the loss of the validation rows; False if a signal ended the evaluation."""
    cdef Evaluation *asked = &run.watch.validation
    cdef double loss = 0.0, total = 0.0
    cdef Net judged
    cdef bint is_done
    if not run.watch.has_validation:
        return True
    judged = judged_net(run.net, run.watch.judges_averages)
    asked.net = &judged
    is_done = evaluate_rows(run, asked, evaluation_team(run.net, &asked.rows, run.most_threads),
                            &loss, &total)
    asked.net = run.net
    if not is_done:
        return False
    value[0] = reduced_with_penalties(&judged, loss, total)
    run.watch.val_losses[run.epoch] = value[0]
    return True


cdef inline Net judged_net(const Net *net, bint averages) noexcept nogil:
    """Return the network that validation evaluates, for forward passes: `net` or its copy whose
    parameters are the last block of the arena.

    The copy is returned if `evaluates_average`. The last block has the moving averages; of an
    optimizer that averages, its average in training and its parameters outside of training
    (averages.pxd). Frozen stages keep their parameters.
    """
    cdef Net judged = net[0]
    if evaluates_average(net, averages):
        judged.stages, judged.last = net.averaged_stages, &net.averaged_stages[net.n_stages - 1]
        judged.finite_until = 0  # it is known for the parameters of `net` only
    return judged


cdef inline double reduced_with_penalties(const Net *net, double loss, double total) noexcept nogil:
    return reduced(net, loss, total) + penalties_of(net, total)


# ---- predictions and losses ---------------------------------------------------------------------

cdef inline int evaluation_team(const Net *net, const Rows *rows, int n_threads) noexcept nogil:
    """Return the number of threads that predict rows, `n_threads` at most."""
    return team_size(rows.n * (net.row_flops - rows.flops_less) / 3, n_threads)


cdef inline bint evaluate_rows(Run *run, Evaluation *asked, int threads, double *loss,
                               double *total) noexcept nogil:
    """Add up the losses of all rows, and their weights; False if a signal ended the run."""
    cdef Py_ssize_t stride = inference_rows(run.net, threads,
                                            run.net.row_flops - asked.rows.flops_less)
    asked.stop = 0
    if asked.buffers.nonzeros != NULL:
        asked.buffers.nonzeros.whole = run.buffers.nonzeros.whole
    asked.skips_zeros = (
        run.skips_zeros and have_zeros(asked.net, &asked.rows, 0, asked.rows.n, False)
        and (asked.net == run.net or is_finite(asked.net, lowest_with_parameters(asked.net))))
    while next_slice(asked, stride):
        fastnn_run(threads, evaluate_task, asked)
        if asked.stop < asked.rows.n and run.interrupted(run.owner):
            run.ended = INTERRUPTED
            return False
    add_up(asked, loss, total)
    return True


cdef inline bint next_slice(Evaluation *asked, Py_ssize_t rows) noexcept nogil:
    """Go on to the next slice, of at most `rows` rows; False if there is none."""
    asked.first, asked.taken = asked.stop, 0
    asked.stop = min(asked.rows.n, asked.first + rows)
    return asked.first < asked.stop


cdef inline void add_up(const Evaluation *asked, double *loss, double *total) noexcept nogil:
    """Add up the losses of all chunks, and the weights of all rows."""
    cdef Py_ssize_t i
    for i in range(chunks_of(asked.net, asked.rows.n)):
        loss[0] += asked.chunk_losses[i]
    if asked.rows.n_weights == 0:
        total[0] += asked.rows.n
    else:
        for i in range(asked.rows.n):
            total[0] += row_weight(&asked.rows, index_of(&asked.rows, i))


cdef inline void evaluate_task(void *context, fastnn_team *team, int rank) noexcept nogil:
    """Compute the outputs of a slice, the losses, or both, in chunks of rows.

    Each thread computes one chunk, then takes further chunks until none is left; it has its own
    rows of the buffers. For losses, chunks consist of the same rows for every size of the team,
    since losses are summed by chunks; for predictions, chunks may be smaller. In buffers for
    training, outputs have dropout, with the masks of the next step.
    """
    cdef Evaluation *asked = <Evaluation *>context
    cdef const Net *net = asked.net
    cdef Py_ssize_t size = fastnn_team_size(team), most = chunk_rows(net), chunk = most
    cdef Py_ssize_t number, row, rows, k = net.members
    cdef Pass work
    begin_pass(&work, net, asked.buffers, rank * most * k,
               asked.rows.loss if asked.chunk_losses != NULL else NULL)
    work.step, work.skips_zeros = net.step, asked.skips_zeros
    if asked.chunk_losses == NULL:
        chunk = min(most, (asked.stop - asked.first + size - 1) // size)
    number = rank
    while asked.first + number * chunk < asked.stop:
        row = asked.first + number * chunk
        rows = min(chunk, asked.stop - row)
        work.rows, work.before = rows * k, row * k - work.at
        gather_inputs(net, &asked.rows, asked.buffers, row, work.at, rows)
        forward(&work)
        if asked.out != NULL:
            write_outputs(&work, asked.out + row * net.n_out)
        if asked.chunk_losses != NULL:
            gather_targets(net, &asked.rows, asked.buffers, row, work.at, rows)
            weigh(net, &asked.rows, asked.buffers, 1.0, row, work.at, rows)
            output_loss(&work)
            asked.chunk_losses[row // most] = sum_of(asked.buffers.loss + work.at, work.rows)
        number = number + 1 if size == 1 else size + fastnn_take_next(&asked.taken)
