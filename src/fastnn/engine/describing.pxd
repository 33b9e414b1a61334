# Metrics and rules of a whole fit, described by dicts; the state of rules as dicts. Not here: what
# metrics and rules do (metrics.pxd, watch.pxd); the description of a network (building.pxd).

from libc.stdlib cimport calloc

from fastnn.engine.arrays cimport require
from fastnn.engine.metrics cimport (
    ACCURACY,
    ALL_CORRECT,
    BALANCED_ACCURACY,
    F1,
    LOG_LOSS,
    MAE,
    MSE,
    PRECISION,
    R2,
    RECALL,
    ROC_AUC,
    TOP_K_ACCURACY,
    Metric,
    MetricKind,
)
from fastnn.engine.run cimport CONVERGES, LOWERS, STOPS, Judge, Rule, RuleKind, Value, Watch


cdef inline int describe_metric(Metric *metric, dict given) except -1:
    """Describe a metric: "kind" is its name, and the other entries are fields of `Metric`."""
    kinds = {
        "accuracy": ACCURACY, "top_k_accuracy": TOP_K_ACCURACY, "r2": R2, "mae": MAE, "mse": MSE,
        "roc_auc": ROC_AUC, "precision": PRECISION, "recall": RECALL, "f1": F1,
        "balanced_accuracy": BALANCED_ACCURACY, "log_loss": LOG_LOSS, "all_correct": ALL_CORRECT,
    }
    metric.kind, metric.are_classes = <MetricKind><int>kinds[given["kind"]], given["are_classes"]
    metric.k, metric.is_macro = given.get("k", 1), given.get("is_macro", False)
    metric.zero_division = given.get("zero_division", 0.0)
    return 0


# ---- rules --------------------------------------------------------------------------------------

cdef inline int describe_rules(Watch *watch, list rules) except -1:
    """Describe the rules that follow a run, whose metrics are known.

    Of each rule, "kind" is "stops", "lowers" or "converges", "value" is (on_validation, index of a
    metric or -1 for the loss), and the other entries are fields of `Rule`.
    """
    watch.rules = <Rule *>calloc(max(1, len(rules)), sizeof(Rule))
    if watch.rules == NULL:
        raise MemoryError("cannot allocate the rules")
    watch.n_rules = len(rules)
    for i, given in enumerate(rules):
        describe_rule(watch, &watch.rules[<Py_ssize_t>i], given)
    return 0


cdef inline int describe_rule(Watch *watch, Rule *rule, dict given) except -1:
    kinds = {"stops": STOPS, "lowers": LOWERS, "converges": CONVERGES}
    rule.kind, rule.higher = <RuleKind><int>kinds[given["kind"]], given["higher"]
    rule.value.on_validation, rule.value.metric = given["value"]
    require(has_value(watch, &rule.value), "the value of a rule")
    rule.min_delta, rule.patience = given["min_delta"], given["patience"]
    rule.best_epoch = -1
    if rule.kind == CONVERGES:
        describe_convergence(watch, rule, given)
    elif rule.kind == STOPS:
        rule.start_from, rule.restores = given["start_from"], given["restores"]
        rule.has_baseline = given["baseline"] is not None
        rule.baseline = given["baseline"] or 0.0
    else:
        rule.factor, rule.least = given["factor"], given["least"]
        rule.cooldown = given["cooldown"]
    return 0


cdef inline int describe_convergence(Watch *watch, Rule *rule, dict given) except -1:
    cdef Value squares
    rule.restores, rule.score = given["restores"], given["score"]
    rule.best, rule.wait, rule.rows = given["best"], given["wait"], given["rows"]
    rule.offset, rule.squares = given["offset"], given["squares"]
    rule.squares_factor = given["squares_factor"]
    rule.adapts, rule.power = given["adapts"], given["power"]
    rule.first_rate, rule.rate = given["first_rate"], given["rate"]
    rule.by_rows = given["by_rows"]
    squares.on_validation, squares.metric = rule.restores, rule.squares
    require(has_value(watch, &squares), "the squares of a rule")
    require(not rule.restores or 0 <= rule.score < watch.validation_judge.n_metrics,
            "the score of a rule")
    watch.settles_divergence = True
    return 0


cdef inline bint has_value(const Watch *watch, const Value *value) noexcept:
    cdef const Judge *judge = &watch.judge
    if value.on_validation:
        judge = &watch.validation_judge
    return (-1 <= value.metric < judge.n_metrics
            and (watch.has_validation or not value.on_validation))


cdef inline dict state_of_rule(const Rule *rule):
    """Return the state of a rule, a dict of its fields."""
    return {
        "best": rule.best if rule.has_best else None, "wait": rule.wait,
        "best_epoch": rule.best_epoch if rule.best_epoch >= 0 else None,
        "stopped_epoch": rule.stopped_epoch, "cooldown_counter": rule.cooldown_counter,
        "score": rule.score if rule.kind == CONVERGES else -1, "by_rows": rule.by_rows,
    }
