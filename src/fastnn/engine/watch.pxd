# Rules that follow the losses and metrics of a run's epochs, and end the run or lower the learning
# rate. They do the same as the callbacks EarlyStopping and ReduceLROnPlateau (callbacks/) and as
# scikit-learn's estimators. Not here: the evaluation of validation rows (epochs.pxd).

from libc.math cimport isfinite, isnan
from libc.string cimport memcpy

from fastnn.engine.averages cimport restart_average
from fastnn.engine.gradients cimport rate_at, renew_all_operands
from fastnn.engine.leaves cimport fastnn_power, real
from fastnn.engine.net cimport Net, Stage, W_size, b_size, evaluates_average
from fastnn.engine.run cimport (
    CONVERGES,
    STOPPED,
    STOPS,
    Judge,
    Rule,
    Run,
    Value,
)


cdef inline void follow(Run *run, double loss, double val_loss) noexcept nogil:
    """Apply every rule to the losses and metrics of the epoch that was counted last."""
    cdef Py_ssize_t i, epoch = run.epoch - 1
    cdef Rule *rule
    cdef double value
    if run.watch.rates != NULL:
        run.watch.rates[epoch] = rate_before(run)
    for i in range(run.watch.n_rules):
        rule = &run.watch.rules[i]
        if rule.kind == CONVERGES:
            follow_to_converge(run, rule, run.watch.row_losses[epoch] if rule.by_rows else loss,
                               val_loss)
            continue
        value = val_loss if rule.value.on_validation else loss
        if rule.value.metric >= 0:
            value = metric_of(run, &rule.value)
        if rule.kind == STOPS:
            follow_to_stop(run, rule, value, epoch)
        else:
            follow_to_lower(run, rule, value)
    if run.watch.stop_flag != NULL and run.watch.stop_flag[0]:
        run.ended = STOPPED


cdef inline double rate_before(const Run *run) noexcept nogil:
    """Return the learning rate at the end of the epoch that was counted last.

    A schedule may depend on Net.epoch, which counts that epoch already.
    """
    run.net.epoch -= 1
    cdef double rate = rate_at(run.net, run.net.step)
    run.net.epoch += 1
    return rate


cdef inline bint is_better(const Rule *rule, double value) noexcept nogil:
    """Whether a value is better than the best by more than min_delta; NaN and infinity never
    are."""
    if not isfinite(value) or not rule.has_best:
        return isfinite(value)
    if rule.higher:
        return value > rule.best + rule.min_delta
    return value < rule.best - rule.min_delta


cdef inline bint beats_baseline(const Rule *rule, double value) noexcept nogil:
    if not rule.has_baseline:
        return True
    if rule.higher:
        return value > rule.baseline + rule.min_delta
    return value < rule.baseline - rule.min_delta


cdef inline void copy_judged(const Net *net, bint averages, real *to) noexcept nogil:
    """Copy the parameters that validation evaluates (judged_net in evaluation.pxd)."""
    cdef const real *average = net.arena + (net.n_blocks - 1) * net.block
    cdef const Stage *stage
    cdef Py_ssize_t i, at
    memcpy(to, net.arena, net.block * sizeof(real))
    if not evaluates_average(net, averages):
        return
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL and not stage.frozen:
            at = stage.W - net.arena
            memcpy(to + at, average + at, W_size(stage) * sizeof(real))
        if stage.b != NULL and not stage.frozen:
            at = stage.b - net.arena
            memcpy(to + at, average + at, b_size(stage) * sizeof(real))


cdef inline void follow_to_stop(Run *run, Rule *rule, double value,
                                Py_ssize_t epoch) noexcept nogil:
    """Do the same as EarlyStopping.on_epoch_end."""
    cdef bint better
    if epoch < rule.start_from:
        return
    rule.wait += 1
    better = is_better(rule, value)
    if better or (rule.restores and rule.best_epoch < 0):
        rule.best_epoch = epoch
        if rule.restores:
            copy_judged(run.net, run.watch.judges_averages, rule.best_parameters)
    if better:
        rule.has_best, rule.best = True, value
        if beats_baseline(rule, value):
            rule.wait = 0
    elif rule.wait >= rule.patience and epoch > 0:
        rule.stopped_epoch = epoch
        run.ended = STOPPED


cdef inline void follow_to_lower(Run *run, Rule *rule, double value) noexcept nogil:
    """Do the same as ReduceLROnPlateau.on_epoch_end."""
    cdef double rate = run.net.hyper.learning_rate, lower
    if rule.cooldown_counter > 0:
        rule.cooldown_counter -= 1
        rule.wait = 0
    if is_better(rule, value):
        rule.has_best, rule.best, rule.wait = True, value, 0
        return
    if rule.cooldown_counter > 0:
        return
    rule.wait += 1
    lower = max(rate * rule.factor, rule.least)
    if rule.wait >= rule.patience and 0 < lower < rate:
        run.net.hyper.learning_rate = lower
        rule.cooldown_counter, rule.wait = rule.cooldown, 0


# ---- scikit-learn's rule ------------------------------------------------------------------------

# The rule lowers rates above LEAST_RATE only, and divides them by DIVISOR.
cdef inline double LEAST_RATE() noexcept nogil:
    return 1e-6

cdef inline double DIVISOR() noexcept nogil:
    return 5.0


cdef inline void follow_to_converge(Run *run, Rule *rule, double loss,
                                    double val_loss) noexcept nogil:
    """Do the same as Epochs.on_epoch_end of fastnn.sklearn."""
    cdef double rate = rule.rate
    if has_improved(run, rule, val_loss if rule.restores else loss):
        rule.wait = 0
    else:
        rule.wait += 1
    rule.rows += run.rows.n
    if rule.power != 0:
        rate = rule.first_rate / fastnn_power(1 + <double>rule.rows, rule.power)
    if rule.wait > rule.patience:
        if rule.adapts and rate > LEAST_RATE():
            rate /= DIVISOR()
            rule.wait = 0
        else:
            run.ended = STOPPED
    if rate != rule.rate:
        rule.rate = run.net.hyper.learning_rate = rate


cdef inline bint has_improved(Run *run, Rule *rule, double loss) noexcept nogil:
    """Whether the loss, or the score of validation rows, is better than the best by at
    least min_delta, or NaN; update the best."""
    cdef Value value
    cdef double found = loss + rule.offset
    cdef bint improved
    value.on_validation = rule.restores
    if rule.squares >= 0:
        value.metric = rule.squares
        found -= rule.squares_factor * metric_of(run, &value)
    if not rule.restores:
        improved = not found > rule.best - rule.min_delta
        if found < rule.best:
            rule.best = found
        return improved
    value.metric = rule.score
    if not isnan(found):
        found = metric_of(run, &value)
    improved = not found < rule.best + rule.min_delta
    if found > rule.best:
        rule.best, rule.best_epoch = found, run.epoch - 1
        copy_judged(run.net, run.watch.judges_averages, rule.best_parameters)
    return improved


cdef inline double metric_of(const Run *run, const Value *value) noexcept nogil:
    """Return a metric of the epoch that was counted last."""
    cdef const Judge *judge = &run.watch.judge
    if value.on_validation:
        judge = &run.watch.validation_judge
    return judge.values[(run.epoch - 1) * judge.n_metrics + value.metric]


# ---- the best parameters ------------------------------------------------------------------------

cdef inline bint keeps_best(const Rule *rule) noexcept nogil:
    return rule.kind in (STOPS, CONVERGES) and rule.restores


cdef inline void begin_best(const Run *run) noexcept nogil:
    """Set the best parameters of scikit-learn's rule to those from before the run, which are the
    best until a score is better."""
    cdef Py_ssize_t i
    cdef const Rule *rule
    for i in range(run.watch.n_rules):
        rule = &run.watch.rules[i]
        if rule.kind == CONVERGES and rule.restores:
            memcpy(rule.best_parameters, run.net.arena, run.net.block * sizeof(real))


cdef inline void restore_best(Run *run) noexcept nogil:
    """Restore the parameters of the best epoch, if a rule keeps them."""
    cdef Py_ssize_t i
    cdef const Rule *rule
    for i in range(run.watch.n_rules):
        rule = &run.watch.rules[i]
        if keeps_best(rule) and (rule.kind == CONVERGES or rule.best_epoch >= 0):
            memcpy(run.net.arena, rule.best_parameters, run.net.block * sizeof(real))
            restart_average(run.net)
            renew_all_operands(run.net)
