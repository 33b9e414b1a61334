# The rows phase of a step, on each thread of a team: gather, forward, loss and deltas. Threads
# divide the rows of a batch; or, in some networks, the columns of each layer:
#
#     by rows      each thread reads all weights, most of which other threads have just updated
#     by columns   a thread keeps its columns of W in its caches. z and delta move between caches
#                  instead, and threads meet at a barrier between two layers. A layer with few
#                  columns is computed by rows.
#
# Every number is the same chain of multiply-adds either way. Two cases are trained by rows, since
# they were slower by columns on Zen 3 with two threads. A LayerNorm after each hidden layer needs
# whole rows, and so two more barriers in each direction (784-256-128-10 with 32 rows: 464 us a
# step, 422 by rows). If zeros are skipped, every thread has to list the nonzeros of all rows (128
# rows: 1.10 times as fast as one thread, 1.43 by rows).
#
# Not here: the parameters phase (step.pxd); the division of rows among threads (shares.pxd).

from libc.math cimport isfinite

from fastnn.engine.clock cimport DELTA, FORWARD, INPUT, LOSS, WAIT, Phase, record_time
from fastnn.engine.leaves cimport (
    fastnn_flush_subnormals,
    fastnn_restore_subnormals,
    fastnn_team,
    fastnn_team_barrier,
)
from fastnn.engine.net cimport (
    CHUNK,
    Net,
    Pass,
    Stage,
    W_size,
    chunk_rows,
    divides_columns,
    row_share,
)
from fastnn.engine.passes cimport backward, begin_pass, forward, output_loss, write_outputs
from fastnn.engine.rows cimport (
    are_nonzeros,
    gather_inputs,
    gather_targets,
    prefetch_rows,
    weigh,
)
from fastnn.engine.run cimport DIVERGED, INTERRUPTED, NOT_YET, Run
from fastnn.engine.shares cimport Round, ThreadState


cdef inline double sum_of(const double *x, Py_ssize_t n) noexcept nogil:
    cdef double total = 0.0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return total


cdef inline bint is_interrupted(Run *run, const ThreadState *thread) noexcept nogil:
    """Let Python handle signals, in the thread's own modes; return whether to end the run."""
    cdef bint ends
    fastnn_restore_subnormals(thread.modes)
    ends = run.interrupted(run.owner)
    fastnn_flush_subnormals()
    return ends


cdef inline void weigh_in_batch(const Run *run, const ThreadState *thread, const Round *round,
                                Py_ssize_t row, Py_ssize_t at, Py_ssize_t rows) noexcept nogil:
    """Compute the factors of `rows` rows of a round in the loss; users' weights may be
    subnormal."""
    if run.rows.n_weights > 0:
        fastnn_restore_subnormals(thread.modes)
    weigh(run.net, &run.rows, run.buffers, round.divisor, round.position + row, at, rows)
    if run.rows.n_weights > 0:
        fastnn_flush_subnormals()


cdef inline double train_rows(Run *run, const ThreadState *thread, const Round *round,
                              Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """Compute outputs, losses and deltas of rows first ... stop of a round; return their loss.

    If the loss isn't finite or a signal arrives, set run.ended and compute no deltas.
    """
    cdef const Net *net = run.net
    cdef Py_ssize_t row = first, rows, ahead, k = net.members, most = chunk_rows(net)
    cdef Py_ssize_t position = round.position
    cdef Pass work
    cdef double loss
    begin_pass(&work, net, run.buffers, first * k, run.rows.loss)
    work.step, work.before, work.few = round.t - 1, round.before * k, round.few
    work.scratch = thread.scratch
    work.skips_zeros = run.skips_zeros
    while row < stop:
        rows = min(most, stop - row)
        work.at, work.rows, work.last = row * k, rows * k, row + rows == round.rows
        work.shift = work.at - first * k if net.stages[0].has_operands else 0
        gather_inputs(net, &run.rows, run.buffers, position + row, work.at - work.shift, rows)
        gather_targets(net, &run.rows, run.buffers, position + row, work.at, rows)
        ahead = position + (row + rows if row + rows < stop else round.rows + first)
        prefetch_rows(net, &run.rows, ahead, min(ahead + most, run.end))
        record_time(thread.clock, INPUT)
        forward(&work)
        record_time(thread.clock, FORWARD)
        if run.out != NULL:
            write_outputs(&work, run.out + (position + row) * net.n_out)
        weigh_in_batch(run, thread, round, row, work.at, rows)
        output_loss(&work)
        record_time(thread.clock, LOSS)
        row += rows
        if thread.polls and is_interrupted(run, thread):
            run.ended = INTERRUPTED
            return 0.0
    loss = sum_of(run.buffers.loss + first * k, (stop - first) * k)
    if not isfinite(loss) and run.gradient == NULL:
        run.ended = DIVERGED
    elif stop > first:
        work.at, work.rows, work.shift = first * k, (stop - first) * k, 0
        work.last = stop == round.rows
        backward(&work, net.first_updated if run.gradient == NULL else net.first_parameters)
    record_time(thread.clock, DELTA)
    return loss


# ---- by columns ---------------------------------------------------------------------------------

cdef inline bint trains_by_columns(const Run *run, int size) noexcept nogil:
    """Whether a team of this size divides columns: if all stages can be divided, and there are more
    weights, which threads exchange by rows, than numbers z, which they exchange by columns.

    Long steps are divided by rows, since they check for signals between chunks of rows.
    """
    cdef const Net *net = run.net
    cdef Py_ssize_t i, weights = 0, numbers = net.n_in
    cdef bint any = False
    if size == 1 or run.polls or are_nonzeros(&run.rows) or run.out != NULL:
        return False
    for i in range(net.n_stages):
        if not net.stages[i].kind.in_parts:
            return False
        any = any or divides_columns(&net.stages[i], size)
        weights += W_size(&net.stages[i])
        numbers += net.stages[i].n_out
    return any and weights > numbers * run.batch


cdef inline double train_columns(Run *run, fastnn_team *team, const ThreadState *thread,
                                 const Round *round) noexcept nogil:
    """Compute outputs, losses and deltas of all rows of a round, by columns in wide stages; return
    the loss of this thread's rows."""
    cdef const Net *net = run.net
    cdef Py_ssize_t i, position = round.position, rows = round.rows, ahead
    cdef Py_ssize_t first = row_share(net, rows, thread.rank, thread.size)
    cdef Py_ssize_t stop = row_share(net, rows, thread.rank + 1, thread.size)
    cdef Pass work
    cdef double loss
    begin_pass(&work, net, run.buffers, first, run.rows.loss)
    work.step, work.before, work.few = round.t - 1, round.before, round.few
    work.scratch = thread.scratch
    work.rank, work.size, work.rows = thread.rank, thread.size, stop - first
    run.rows.gather_inputs(net, &run.rows, run.buffers, position + first, first, work.rows)
    run.rows.gather_targets(net, &run.rows, run.buffers, position + first, first, work.rows)
    weigh_in_batch(run, thread, round, first, first, work.rows)
    ahead = position + rows + first
    prefetch_rows(net, &run.rows, ahead, min(ahead + work.rows, run.end))
    record_time(thread.clock, INPUT)
    for i in range(net.n_stages):
        forward_part(&work, i, team, thread, first, stop, rows)
    if divides_columns(net.last, thread.size):
        meet(team, thread, FORWARD)
    work.at, work.rows, work.by_columns = first, stop - first, False
    output_loss(&work)
    record_time(thread.clock, LOSS)
    loss = sum_of(run.buffers.loss + first, stop - first)
    if not isfinite(loss) and run.gradient == NULL:
        run.ended = DIVERGED
    if divides_columns(net.last, thread.size):
        meet(team, thread, LOSS)  # the loss is divided by rows: all rows of delta are known
    backward_parts(run, &work, team, thread, first, stop, rows)
    record_time(thread.clock, DELTA)
    return loss


cdef inline void meet(fastnn_team *team, const ThreadState *thread, Phase phase) noexcept nogil:
    """Wait at a barrier in the course of a phase; record the times of the phase and the wait."""
    record_time(thread.clock, phase)
    fastnn_team_barrier(team)
    record_time(thread.clock, WAIT)


cdef inline void forward_part(Pass *work, Py_ssize_t i, fastnn_team *team,
                              const ThreadState *thread, Py_ssize_t first, Py_ssize_t stop,
                              Py_ssize_t rows) noexcept nogil:
    """Compute z of stage i: this thread's columns of all rows, or its rows first ... stop."""
    cdef const Stage *stage = &work.net.stages[i]
    cdef bint below = i > 0 and divides_columns(stage - 1, work.size)
    work.by_columns = divides_columns(stage, work.size)
    # An elementwise stage is divided like the stage below it, so it reads only this thread's
    # z_prev.
    if (work.by_columns or below) and not stage.kind.is_elementwise:
        meet(team, thread, FORWARD)  # z_prev is complete
    if work.by_columns:
        first, stop = 0, rows
    work.at = first
    while work.at < stop:
        work.rows = min(CHUNK, stop - work.at)
        stage.kind.forward(stage, &work.buffers.stages[i], work)
        work.at += work.rows
    record_time(thread.clock, FORWARD)


cdef inline void set_pass_rows(Pass *work, bint all, Py_ssize_t first, Py_ssize_t stop,
                               Py_ssize_t rows) noexcept nogil:
    """Set the rows of a pass: all `rows` rows, or first ... stop."""
    work.at, work.rows = 0 if all else first, rows if all else stop - first


cdef inline void backward_parts(Run *run, Pass *work, fastnn_team *team, const ThreadState *thread,
                                Py_ssize_t first, Py_ssize_t stop,
                                Py_ssize_t rows) noexcept nogil:
    """Compute the deltas of all stages that need one, unless the run has ended.

    All threads read run.ended after the same barrier.
    """
    cdef const Net *net = run.net
    cdef const Stage *stage
    cdef Py_ssize_t i, lowest = net.first_updated
    cdef bint carries, is_last
    if run.gradient != NULL:
        lowest = net.first_parameters
    for i in range(net.n_stages - 1, max(lowest, 0) - 1, -1):
        stage = &net.stages[i]
        carries, is_last = stage.kind.carry_back != NULL, i == net.n_stages - 1
        work.by_columns = divides_columns(stage, work.size)
        set_pass_rows(work, work.by_columns, first, stop, rows)
        if work.rows > 0 and stage.kind.differentiate != NULL:
            stage.kind.differentiate(stage, &work.buffers.stages[i], work)
        if i <= lowest:
            break
        work.below_by_columns = divides_columns(stage - 1, work.size)
        if is_last or (carries and (work.by_columns or work.below_by_columns)):
            meet(team, thread, DELTA)  # delta is complete
        if is_last and run.ended != NOT_YET:
            break
        set_pass_rows(work, work.below_by_columns, first, stop, rows)
        if work.rows > 0 and carries:
            stage.kind.carry_back(stage, &work.buffers.stages[i], work)
