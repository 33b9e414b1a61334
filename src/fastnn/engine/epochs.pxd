# What happens between the epochs of a run: a new order of the rows, the trial of the last update,
# metrics, validation. Not here: the slices of an epoch (tasks.pxd), and the rules that follow its
# losses (watch.pxd).

from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from fastnn.engine.evaluation cimport evaluate_rows, evaluation_team, judged_net
from fastnn.engine.gradients cimport penalties_of
from fastnn.engine.metrics cimport Judged, has_nan, metric_scratch_size, value_of
from fastnn.engine.net cimport Net
from fastnn.engine.orders cimport draw_order
from fastnn.engine.rows cimport Rows, index_of
from fastnn.engine.run cimport LAST_DIVERGED, Evaluation, Judge, Run, reduced
from fastnn.engine.watch cimport follow


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
    """Apply the permutation that was drawn to the order of the epoch before."""
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
    cdef Py_ssize_t i, needed = metric_scratch_size(rows.n, net.n_out)
    cdef double *values
    cdef double most = 0.0
    if judge.n_metrics == 0:
        return
    values = judge.values + epoch * judge.n_metrics
    judged.n, judged.n_out, judged.y = rows.n, net.n_out, judge.out
    judged.T, judged.labels, judged.order = rows.T, rows.labels, rows.order
    judged.n_weights, judged.w, judged.scratch = 0, judge.scratch + needed, judge.scratch
    if judge.sample_weight != NULL:
        judged.n_weights = 1
        for i in range(rows.n):
            most = max(most, <double>judge.sample_weight[index_of(rows, i)])
        for i in range(rows.n):
            judge.scratch[needed + i] = <double>judge.sample_weight[index_of(rows, i)] / most
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
    cdef Evaluation *evaluation = &run.watch.validation
    cdef double loss = 0.0, total = 0.0
    cdef Net judged
    cdef int threads
    cdef bint is_done
    if not run.watch.has_validation:
        return True
    judged = judged_net(run.net, run.watch.judges_averages)
    evaluation.net = &judged
    threads = evaluation_team(run.net, &evaluation.rows, run.most_threads)
    is_done = evaluate_rows(run, evaluation, threads, &loss, &total)
    evaluation.net = run.net
    if not is_done:
        return False
    value[0] = reduced_with_penalties(&judged, loss, total)
    run.watch.val_losses[run.epoch] = value[0]
    return True


cdef inline double reduced_with_penalties(const Net *net, double loss, double total) noexcept nogil:
    return reduced(net, loss, total) + penalties_of(net, total)
