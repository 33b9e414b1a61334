# What follows the losses of a run's epochs: rules that end the run or lower the learning rate, with
# the meaning of the callbacks of these names (callbacks/). Not here: how validation rows are
# evaluated (tasks.pxd).

from libc.math cimport isfinite
from libc.string cimport memcpy

from fastnn.engine.gradients cimport rate_at, renew_all_operands
from fastnn.engine.leaves cimport PANEL, real
from fastnn.engine.net cimport Net, Stage, W_size, panels_of
from fastnn.engine.run cimport NOT_YET, STOPPED, STOPS, Rule, Run


cdef inline void follow(Run *run, double loss, double val_loss) noexcept nogil:
    """Lets every rule see the losses of the epoch that was counted last."""
    cdef Py_ssize_t i, epoch = run.epoch - 1
    cdef Rule *rule
    cdef double value
    if run.watch.rates != NULL:
        run.watch.rates[epoch] = rate_before(run)
    for i in range(run.watch.n_rules):
        rule = &run.watch.rules[i]
        value = val_loss if rule.on_validation else loss
        if rule.kind == STOPS:
            follow_to_stop(run, rule, value, epoch)
        else:
            follow_to_lower(run, rule, value)
    if run.watch.stop != NULL and run.watch.stop[0]:
        run.ended = STOPPED


cdef inline double rate_before(const Run *run) noexcept nogil:
    """The learning rate at the end of the epoch, before the next one is counted."""
    run.net.epoch -= 1
    cdef double rate = rate_at(run.net, run.net.step)
    run.net.epoch += 1
    return rate


cdef inline bint is_better(const Rule *rule, double value) noexcept nogil:
    """Whether a value beats the best by min_delta; NaN and infinity never do."""
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
    """The parameters that validation judges (judged_net in tasks.pxd)."""
    cdef const real *average = net.arena + (net.n_blocks - 1) * net.block
    cdef const Stage *stage
    cdef Py_ssize_t i, at
    memcpy(to, net.arena, net.block * sizeof(real))
    if not averages or not net.averaged or net.step == 0:
        return
    for i in range(net.n_stages):
        stage = &net.stages[i]
        if stage.W != NULL and not stage.frozen:
            at = stage.W - net.arena
            memcpy(to + at, average + at, W_size(stage) * sizeof(real))
        if stage.b != NULL and not stage.frozen:
            at = stage.b - net.arena
            memcpy(to + at, average + at, panels_of(stage.b_columns) * PANEL * sizeof(real))


cdef inline void follow_to_stop(Run *run, Rule *rule, double value,
                                Py_ssize_t epoch) noexcept nogil:
    """EarlyStopping.on_epoch_end."""
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
    """ReduceLROnPlateau.on_epoch_end."""
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


cdef inline void restore_best(Run *run) noexcept nogil:
    """Back to the parameters of the best epoch, where a rule keeps them."""
    cdef Py_ssize_t i
    cdef const Rule *rule
    for i in range(run.watch.n_rules):
        rule = &run.watch.rules[i]
        if rule.kind == STOPS and rule.restores and rule.best_epoch >= 0:
            memcpy(run.net.arena, rule.best_parameters, run.net.block * sizeof(real))
            renew_all_operands(run.net)
