"""Metrics: values equal scikit-learn's, and a network takes only metrics that suit its loss.

Proves the values for every metric, kind of targets, precision, number of outputs and weights, with
many ties; properties of all metrics (rows of weight 0 are absent, the order of rows is irrelevant);
the ends of the ranges; and that names, objects, functions and dicts are resolved, or refused with a
remedy.
"""

import dataclasses
import functools
import math
import pickle
import re
import warnings

import numpy as np
import pytest
import sklearn.metrics
from comparing import refuses
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from fastnn import MLP, Dense, losses, metrics
from fastnn.metrics import (
    R2,
    ROCAUC,
    Accuracy,
    BalancedAccuracy,
    F1Score,
    LogLoss,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopKAccuracy,
)

NAN, INF = float("nan"), float("inf")
EVERY = [metrics.get(name) for name in metrics.NAMES]
WITH_KIND = [pytest.param(m, kind, id=f"{m.name}-{kind}") for m in EVERY for kind in m.targets]
TOLERANCE = 1e-12
LOSS_OF = {losses.get(name).targets: losses.get(name) for name in reversed(losses.NAMES)}


def case(id, *values):
    return pytest.param(*values, id=id)


def data(kind, n, n_out, rng, dtype=np.float64):
    """Targets and outputs of a network; many outputs are equal."""
    y = rng.integers(1, 6, (n, n_out)) / 5
    if kind == "class":
        y /= y.sum(axis=1, keepdims=True)
        return rng.permutation(np.arange(n) % n_out), y.astype(dtype)
    if kind == "probability":
        t = rng.permuted(np.arange(n)[:, None] % 3 == np.zeros(n_out), axis=0).astype(float)
        return t, (y - 0.1).astype(dtype)  # 0.5 is among them
    t = rng.normal(3, 2, (n, n_out))
    if kind == "positive":
        t = np.floor(np.abs(t))
    return t, (t + rng.normal(0, 1, t.shape)).round(1).astype(dtype)


def average(terms, w):
    """The mean over rows and outputs, by NumPy's sums."""
    if w is not None and w.ndim == 2:
        return np.average(terms, weights=w)
    return np.average(terms.mean(axis=1), weights=w)


def r2_of_an_output(t, y, w):
    e, t = t - y, t - t[0]
    largest = np.abs(t).max()
    e, t = e / largest, t / largest
    t = t - np.average(t, weights=w)
    return 1.0 - np.average(e * e, weights=w) / np.average(t * t, weights=w)


@pytest.mark.parametrize("n", [2, 7, 8, 129, 1000, 8193])
@pytest.mark.parametrize("n_out", [1, 3, 8, 130])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_numpys_bit_for_bit(n, n_out, dtype):
    rng = np.random.default_rng(n)
    t, y = (rng.normal(size=(n, n_out)).astype(dtype) for _ in range(2))
    labels, sides = rng.integers(0, n_out, n), (t > 0).astype(dtype)
    exact = t.astype(np.float64), y.astype(np.float64)
    for weights in (None, rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, (n, n_out))):
        w = None if weights is None else weights / weights.max()
        e = exact[0] - exact[1]
        assert MeanAbsoluteError()(t, y, weights) == average(np.abs(e), w)
        assert MeanSquaredError()(t, y, weights) == average(e * e, w)
        found = Accuracy()(sides, y, weights, targets="probability")
        assert found == average((y > 0.5) == (sides > 0.5), w)
        columns = [w if w is None or w.ndim == 1 else w[:, k] for k in range(n_out)]
        each = [r2_of_an_output(exact[0][:, k], exact[1][:, k], columns[k]) for k in range(n_out)]
        assert R2()(t, y, weights) == np.mean(each)
        if n_out > 1 and (w is None or w.ndim == 1):
            right = y.argmax(axis=1) == labels
            assert Accuracy()(labels, y, weights, targets="class") == np.average(right, weights=w)


WEIGHTS = {
    "unweighted": lambda n, rng: None,
    "weighted": lambda n, rng: rng.uniform(0.1, 3, n),
    "some-0": lambda n, rng: rng.integers(0, 3, n).astype(float),
    "float32": lambda n, rng: rng.uniform(0.1, 3, n).astype(np.float32),
}


def of_columns(score, t, y, **options):
    return np.mean([score(t[:, k], y[:, k], **options) for k in range(t.shape[1])])


def of_predictions(score, kind, t, y, **options):
    """A score of predicted classes: of both or several classes, or the mean over outputs."""
    if kind == "class":
        return score(t, y.argmax(1), **options)
    return of_columns(score, t, y > 0.5, **options)


COUNTED = {
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
    "f1": sklearn.metrics.f1_score,
}


def in_scikit_learn(metric, kind, t, y, w):
    y, n_out, of_class = y.astype(np.float64), y.shape[1], kind == "class"
    w = None if w is None else w.astype(np.float64)
    match metric.name:
        case "accuracy" if of_class:
            return sklearn.metrics.accuracy_score(t, y.argmax(1), sample_weight=w)
        case "accuracy":
            return of_columns(sklearn.metrics.accuracy_score, t, y > 0.5, sample_weight=w)
        case "top_k_accuracy":  # there the last of equal outputs ranks higher
            options = {"k": metric.k, "labels": range(n_out), "sample_weight": w}
            return sklearn.metrics.top_k_accuracy_score(n_out - 1 - t, y[:, ::-1], **options)
        case "roc_auc" if of_class and n_out == 2:
            return sklearn.metrics.roc_auc_score(t, y[:, 1], sample_weight=w)
        case "roc_auc" if of_class:
            return sklearn.metrics.roc_auc_score(t, y, multi_class="ovr", sample_weight=w)
        case "roc_auc":
            return of_columns(sklearn.metrics.roc_auc_score, t, y, sample_weight=w)
        case "precision" | "recall" | "f1":
            average = "macro" if of_class and n_out > 2 else "binary"
            score, options = COUNTED[metric.name], {"average": average, "sample_weight": w}
            return of_predictions(score, kind, t, y, **options)
        case "balanced_accuracy":
            score = sklearn.metrics.balanced_accuracy_score
            return of_predictions(score, kind, t, y, sample_weight=w)
        case "log_loss" if of_class:
            with warnings.catch_warnings():  # that rows sum to 1 in float32 only
                warnings.simplefilter("ignore", UserWarning)
                return sklearn.metrics.log_loss(t, y, sample_weight=w)
        case "log_loss":
            return of_columns(sklearn.metrics.log_loss, t, y, sample_weight=w)
        case "r2":
            return sklearn.metrics.r2_score(t, y, sample_weight=w)
        case "mae":
            return sklearn.metrics.mean_absolute_error(t, y, sample_weight=w)
        case "mse":
            return sklearn.metrics.mean_squared_error(t, y, sample_weight=w)


SIZES = [
    case(f"{m.name}-{kind}-{n_out}", m, kind, n_out)
    for m in [TopKAccuracy(2) if m.name == "top_k_accuracy" else m for m in EVERY]
    for kind in m.targets
    for n_out in (1, 2, 3, 7)
    # No softmax has one output; the best 2 of 2 are no question.
    if n_out > getattr(m, "k", int(kind == "class"))
]


# ---- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize(("metric", "kind", "n_out"), SIZES)
def test_a_metric_is_what_scikit_learn_computes(metric, kind, n_out, weighting, dtype, rng):
    t, y = data(kind, 211, n_out, rng, dtype)
    w = WEIGHTS[weighting](len(y), rng)
    found = metric(t, y, w, targets=kind)
    assert type(found) is float
    assert found == pytest.approx(in_scikit_learn(metric, kind, t, y, w), rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("k", [1, 2, 3, 6, 7])
def test_top_k_accuracy_of_every_k(k, rng):
    t, y = data("class", 100, 7, rng)
    found = TopKAccuracy(k)(t, y)
    if k < 7:
        assert found == in_scikit_learn(TopKAccuracy(k), "class", t, y, None)
    else:
        assert found == 1.0
    if k == 1:
        assert found == Accuracy()(t, y)


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_a_row_of_weight_0_is_absent_and_of_weight_2_there_twice(metric, kind, rng):
    t, y = data(kind, 60, 5, rng)
    w = rng.integers(0, 3, 60)
    expected = metric(np.repeat(t, w, axis=0), np.repeat(y, w, axis=0), targets=kind)
    assert metric(t, y, w, targets=kind) == pytest.approx(expected, rel=0, abs=TOLERANCE)
    y[w == 0] = NAN
    assert metric(t, y, w, targets=kind) == pytest.approx(expected, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("factor", [1e-300, 1e-9, 1e9, 1e305])
@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_only_ratios_of_weights_count(metric, kind, factor, rng):
    t, y = data(kind, 60, 5, rng)
    w = rng.uniform(0.1, 1, 60)
    expected = metric(t, y, w, targets=kind)
    assert metric(t, y, factor * w, targets=kind) == pytest.approx(expected, rel=0, abs=TOLERANCE)
    expected = metric(t, y, targets=kind)
    found = metric(t, y, np.full(60, factor), targets=kind)
    assert found == pytest.approx(expected, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_neither_the_order_of_rows_nor_the_layout_counts(metric, kind, rng):
    t, y = data(kind, 60, 5, rng)
    expected = metric(t, y, targets=kind)
    order = rng.permutation(60)
    found = [
        metric(t[order], y[order], targets=kind),
        metric(t.tolist(), np.asfortranarray(y), targets=kind),
        metric(np.repeat(t, 2, axis=0)[::2], np.repeat(y, 2, axis=0)[::2], targets=kind),
        metric(t.astype(t.dtype.newbyteorder()), y.astype(">f8"), targets=kind),
    ]
    assert found == pytest.approx([expected] * 4, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_nothing_that_is_passed_changes(metric, kind, rng):
    t, y = data(kind, 60, 5, rng)
    w = rng.integers(0, 3, 60).astype(float)
    passed = [t, y, w]
    copies = [array.copy() for array in passed]
    for array in passed:
        array.flags.writeable = False
    metric(t, y, w, targets=kind)
    assert all(map(np.array_equal, passed, copies))


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_perfect_predictions_have_the_best_value(metric, kind, rng):
    t, _ = data(kind, 999, 7, rng)
    y = np.eye(7)[t] if kind == "class" else t
    best = {"max": 1.0, "min": 0.0}[metric.best]
    for w in (None, rng.uniform(0.1, 1, 999)):
        assert metric(t, y, w, targets=kind) == best
        assert metric(t, y.astype(np.float32), w, targets=kind) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_an_output_that_is_nan_makes_every_metric_nan(metric, kind, rng):
    t, y = data(kind, 60, 5, rng)
    y[17, 3] = NAN
    assert math.isnan(metric(t, y, targets=kind))


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(metric, kind, n, rng):
    t, y = data(kind, n, 5, rng)
    found = metric(t, y, targets=kind)
    undefined = (metric.name == "r2" and n < 2) or (
        metric.name == "roc_auc" and (kind == "class" or n == 1)
    )
    assert math.isnan(found) == undefined


@pytest.mark.parametrize("rows", ["one-hot", "probability", "column", "float", "bool"])
@pytest.mark.parametrize("name", [m.name for m in EVERY if "class" in m.targets])
def test_classes_come_as_labels_or_rows(name, rows, rng):
    n_out = 2 if rows == "bool" else 5
    metric = TopKAccuracy(1) if name == "top_k_accuracy" else metrics.get(name)
    labels, y = data("class", 50, n_out, rng)
    forms = {
        "one-hot": np.eye(n_out)[labels],
        "probability": 0.5 * np.eye(n_out)[labels] + 0.5 / n_out,
        "column": labels[:, None],
        "float": labels.astype(np.float32),
        "bool": labels == 1,
    }
    found = metric(forms[rows], y, targets="class")
    if (name, rows) == ("log_loss", "probability"):
        assert found == pytest.approx(-(forms[rows] * np.log(y)).sum() / 50, rel=1e-15)
    else:
        assert found == metric(labels, y)


@pytest.mark.parametrize("name", [m.name for m in EVERY if "class" not in m.targets])
def test_one_output_may_come_as_a_vector(name, rng):
    metric = metrics.get(name)
    t, y = data("real", 50, 1, rng)
    forms = [metric(t, y), metric(t[:, 0], y), metric(t, y[:, 0]), metric(t[:, 0], y[:, 0])]
    assert forms == [forms[0]] * 4


# ---- each at its ends ---------------------------------------------------------------------------


def test_accuracy_takes_the_first_of_equal_outputs():
    assert Accuracy()([0, 1, 2], np.ones((3, 3))) == pytest.approx(1 / 3)


def test_accuracy_takes_one_half_as_below():
    assert Accuracy()([0, 1, 1, 0], [0.5, 0.5, np.nextafter(0.5, 1), 0.1]) == 0.75
    assert Accuracy()([0.5, 0.51, 0.2, 0.8], [0.1, 0.9, 0.4, 0.6]) == 1.0


@pytest.mark.parametrize("value", [0.1, 1e-300, 1e300, 0.0, -7.3])
def test_r2_of_constant_targets_is_1_if_perfect_else_0(value):
    t = np.full((1000, 1), value)
    assert R2()(t, t) == 1.0
    y = t.copy()
    y[3] = np.nextafter(y[3], INF)
    assert R2()(t, y) == 0.0
    assert R2()(np.hstack([t, t]), np.hstack([t, y])) == 0.5
    assert R2()(np.hstack([t, t]), np.hstack([t, y]), np.arange(1000)) == 0.5


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e20, 1e300])
def test_r2_has_no_units(scale, rng):
    t, y = data("real", 100, 3, rng)
    assert R2()(scale * t, scale * y) == pytest.approx(R2()(t, y), rel=0, abs=TOLERANCE)


def test_r2_far_from_0_keeps_its_digits(rng):
    t = rng.integers(0, 1000, (500, 2)).astype(float)
    y = t + rng.integers(-100, 100, t.shape)
    assert R2()(t + 2**40, y + 2**40) == pytest.approx(R2()(t, y), rel=0, abs=TOLERANCE)


def test_r2_of_the_mean_is_0(rng):
    t = rng.normal(5, 1, (100, 1))
    w = rng.uniform(0, 1, 100)
    y = np.full_like(t, np.average(t[:, 0], weights=w))
    assert R2()(t, y, w) == pytest.approx(0, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["mae", "mse"])
def test_errors_are_summed_in_float64(name, rng):
    largest = np.finfo(np.float32).max
    y = np.full((1000, 2), largest)
    e = 2 * float(largest)
    assert metrics.get(name)(-y, y) == pytest.approx(e if name == "mae" else e * e, rel=1e-15)
    t = np.full((10**5, 1), 0.1, np.float32)
    expected = float(t[0, 0]) if name == "mae" else float(t[0, 0]) ** 2
    assert metrics.get(name)(t, np.zeros_like(t)) == pytest.approx(expected, rel=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "expected"), [("mae", INF), ("mse", INF), ("r2", -INF), ("roc_auc", 1.0)]
)
@pytest.mark.parametrize("w", [None, [1, 2, 3, 4]])
def test_infinite_outputs(name, expected, w):
    assert metrics.get(name)([0, 0, 1, 1], [-INF, 1.0, 2.0, INF], w) == expected


def test_roc_auc_of_one_class_only_is_undefined():
    y = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])
    assert math.isnan(ROCAUC()([1, 1, 1], y[:, 0]))
    assert math.isnan(ROCAUC()([0, 0, 0], y[:, 0]))
    assert math.isnan(ROCAUC()([0, 0, 1], y[:, 0], [1, 1, 0]))
    assert math.isnan(ROCAUC()([[0, 1], [1, 1], [0, 1]], y, targets="probability"))
    assert math.isnan(ROCAUC()([0, 1, 1], np.hstack([y, y[:, :1]])))


def test_roc_auc_of_weights_far_apart():
    w = [1e-200, 1e200, 1e-100, 1e-250]
    assert ROCAUC()([0, 0, 1, 1], [0.2, 0.1, 0.15, 0.3], w) == pytest.approx(1.0)
    assert ROCAUC()([0, 0, 1, 1], [0.1, 0.2, 0.15, 0.3], w) == pytest.approx(0.0)


def test_roc_auc_is_at_most_1(rng):
    y = np.arange(300.0)
    for _ in range(30):
        assert 1 - TOLERANCE < ROCAUC()(y > 100, y, rng.uniform(0.1, 1, 300)) <= 1


def test_roc_auc_of_two_classes_is_that_of_the_second():
    """In float32 outputs may be equal in one column and differ in the other."""
    y = np.array([[1e-9, 1], [1e-10, 1], [1e-12, 1]], np.float32)
    assert ROCAUC()([0, 1, 1], y) == ROCAUC()([0, 1, 1], y[:, 1]) == 0.5
    assert ROCAUC()([0, 1, 1], y[:, ::-1]) == 0.0


ROWS = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40
)


@given(ROWS, st.booleans())
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows, weighted):
    rows = rows if weighted else [(y, t, 1) for y, t, _ in rows]
    hits = [(y, w) for y, t, w in rows if t]
    misses = [(y, w) for y, t, w in rows if not t]
    right = sum(v * w * ((a > b) + 0.5 * (a == b)) for a, v in hits for b, w in misses)
    pairs = sum(v * w for _, v in hits for _, w in misses)
    y, t, w = map(np.array, zip(*rows, strict=True))
    if not w.any():
        return
    found = ROCAUC()(t, y, w if weighted else None)
    if pairs == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(right / pairs, rel=1e-15)
        mirrored = ROCAUC()(t, -y, w if weighted else None)
        assert mirrored == pytest.approx(1 - found, rel=0, abs=1e-15)


@pytest.mark.parametrize("zero_division", [0.0, 1.0, NAN])
@pytest.mark.parametrize("average", ["binary", "macro"])
@pytest.mark.parametrize("of", [Precision, Recall, F1Score])
@pytest.mark.parametrize(
    ("t", "predicted"),
    [
        case("none-of-either", [0, 0, 0], [0, 0, 0]),
        case("none-predicted", [0, 1, 1], [0, 0, 0]),
        case("none-there", [0, 0, 0], [0, 1, 0]),
        case("all-of-one", [1, 1, 1], [1, 1, 1]),
        case("all-wrong", [0, 1, 1], [1, 0, 0]),
        case("some", [0, 1, 1], [1, 1, 0]),
    ],
)
def test_division_by_zero_is_scikit_learns(of, average, zero_division, t, predicted):
    metric = of(average, zero_division)
    options = {"average": average, "zero_division": zero_division}
    expected = COUNTED[metric.name](t, predicted, **options)
    found = [
        metric(t, np.array(predicted, float)),
        metric(t, np.eye(2)[predicted], targets="class"),
    ]
    assert found == pytest.approx([expected] * 2, rel=0, abs=TOLERANCE, nan_ok=True)


@pytest.mark.parametrize("zero_division", [0.0, 1.0, NAN])
@pytest.mark.parametrize("of", [Precision, Recall, F1Score])
def test_macro_averages_leave_out_classes_that_are_neither_there_nor_predicted(of, zero_division):
    """Of 6 classes 4 has rows alone, 3 predictions alone, 2 and 5 neither."""
    t, predicted = [0, 0, 1, 1, 4, 0], [0, 1, 1, 1, 3, 0]
    options = {"average": "macro", "zero_division": zero_division}
    expected = COUNTED[of.name](t, predicted, **options)
    found = [of(average, zero_division)(t, np.eye(6)[predicted]) for average in (None, "macro")]
    assert found == pytest.approx([expected] * 2, rel=0, abs=TOLERANCE)


@pytest.mark.parametrize("zero_division", [0.0, 1.0, NAN])
@pytest.mark.parametrize("of", [Precision, Recall, F1Score])
def test_several_sigmoid_outputs_are_averaged_as_in_scikit_learn(of, zero_division):
    t = np.array([[0, 1, 0], [0, 1, 1], [0, 0, 0]])
    y = np.array([[0, 1, 1], [0, 0, 1], [0, 1, 0]])
    options = {"average": "macro", "zero_division": zero_division}
    expected = COUNTED[of.name](t, y, **options)
    found = of("macro", zero_division)(t, y.astype(float), targets="probability")
    assert found == pytest.approx(expected, rel=0, abs=TOLERANCE)
    w = np.array([[1, 2, 1], [1, 1, 0], [1, 0, 3.0]])
    of_outputs = of(None, zero_division)
    each = [of_outputs(t[:, k], y[:, k].astype(float), w[:, k]) for k in range(3)]
    found = of_outputs(t, y.astype(float), w, targets="probability")
    assert found == pytest.approx(np.nanmean(each), rel=0, abs=TOLERANCE)


def test_balanced_accuracy_leaves_out_classes_without_rows():
    assert BalancedAccuracy()([0, 0, 1, 1], np.eye(3)[[0, 1, 2, 1]]) == 0.5
    assert BalancedAccuracy()([1, 1, 1], np.array([0.9, 0.2, 0.7])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("of", [BalancedAccuracy, ROCAUC])
def test_an_output_without_rows_is_undefined(of):
    t, y = np.array([[0, 1], [1, 1], [1, 0]]), np.array([[0.2, 0.9], [0.6, 0.7], [0.3, 0.4]])
    w = np.array([[1, 0], [2, 0], [1, 0]])
    assert math.isnan(of()(t, y, w, targets="probability"))
    assert not math.isnan(of()(t, y, targets="probability"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_a_sure_and_wrong_output_is_finite(dtype):
    eps = float(np.finfo(dtype).eps)
    worst = -math.log(eps)
    y = np.array([[0, 1], [1, 0]], dtype)
    assert LogLoss()([0, 0], y) == pytest.approx(worst / 2, rel=1e-15)
    assert LogLoss()([1, 1], y[:, 0]) == pytest.approx(worst / 2, rel=1e-15)
    expected = sklearn.metrics.log_loss([0, 0], y, labels=[0, 1])
    assert LogLoss()([0, 0], y) == pytest.approx(expected, rel=4 * eps)


@pytest.mark.parametrize("n_out", [1, 3])
def test_log_loss_is_the_cross_entropy(n_out, rng):
    X = rng.normal(size=(50, 4))
    if n_out == 1:
        net = MLP(4, [Dense(1, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd")
    else:
        net = MLP(4, [Dense(n_out, "softmax")], loss="cross_entropy", optimizer="sgd")
    logs = net.evaluate(X, rng.integers(0, max(2, n_out), 50), metrics=["log_loss"])
    assert logs["log_loss"] == pytest.approx(logs["loss"], rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("w", [None, np.arange(50) % 4.0])
def test_log_loss_of_rows_of_probabilities_is_the_cross_entropy(dtype, w, rng):
    X, T = rng.normal(size=(50, 4)).astype(dtype), rng.dirichlet([1.0, 1.0, 1.0], 50).astype(dtype)
    T[:9] = np.eye(3)[np.arange(9) % 3]
    net = MLP(4, [Dense(3, "softmax")], loss="cross_entropy", optimizer="sgd", dtype=dtype, seed=0)
    logs = net.evaluate(X, T, metrics=["log_loss"], sample_weight=w)
    y, direct = net.predict(X), functools.partial(LogLoss(), targets="class")
    assert logs["log_loss"] == pytest.approx(logs["loss"], rel=8 * float(np.finfo(dtype).eps))
    assert logs["log_loss"] == direct(T, y, w)
    expected = np.average(-(T * np.log(y.astype(float))).sum(axis=1), weights=w)
    assert direct(T, y, w) == pytest.approx(expected, rel=1e-13)
    fitted = net.fit(X, T, validation_data=(X, T), metrics=["log_loss"], verbose=False).history
    assert fitted["val_log_loss"][-1] == direct(T, net.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 50])
def test_log_loss_of_one_hot_rows_has_the_bits_of_labels(n, dtype, rng):
    labels, y = data("class", n, 5, rng, dtype)
    for outputs in (y, np.eye(5, dtype=dtype)[labels]):
        found = LogLoss()(np.eye(5)[labels], outputs, targets="class")
        assert found.hex() == LogLoss()(labels, outputs).hex()  # hex tells 0 from -0


@pytest.mark.parametrize(
    ("t", "message"),
    [
        case("sum", [[0.5, 0.5], [0.5, 0.4]], r"y_true\[1\] sums to 0.9; .* divide each row"),
        case("several", [[0.5, 0.5], [1, 1]], r"y_true\[1\] sums to 2; .* targets=\"probability\""),
        case("range", [[0.5, 0.5], [1.5, -0.5]], "holds -0.5 but metric 'log_loss' takes prob"),
    ],
)
def test_log_loss_takes_only_rows_that_are_probabilities(t, message):
    y = [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(ValueError, match=message):
        LogLoss()(t, y, targets="class")
    assert Accuracy()(t, y, targets="class") == 1


def test_a_class_derived_from_log_loss_computes_its_own_value():
    class Doubled(LogLoss):
        def value(self, t, y, w):
            return 2 * super().value(t, y, w)

    y = np.array([[0.9, 0.1], [0.4, 0.6]])
    assert Doubled()(np.eye(2), y, targets="class") == 2 * LogLoss()([0, 1], y)


def test_log_loss_of_weighted_outputs_is_the_cross_entropy(rng):
    X, T = rng.normal(size=(50, 4)), rng.integers(0, 2, (50, 3)).astype(float)
    w = rng.integers(0, 4, (50, 3)).astype(float)
    net = MLP(4, [Dense(3, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd", seed=0,
              dtype="float64")  # fmt: skip
    y = net.predict(X)
    expected = -np.average(np.where(T == 1, np.log(y), np.log(1 - y)), weights=w)
    assert LogLoss()(T, y, w, targets="probability") == pytest.approx(expected, rel=1e-13)
    loss = net.evaluate(X, T, sample_weight=w)
    assert loss == pytest.approx(3 * expected, rel=1e-13)


def test_a_fit_stops_by_f1_as_the_engine_computes_it(rng):
    """The engine's fit without Python is the one of the loop, which a callback makes."""
    X = rng.normal(size=(200, 4))
    y = rng.integers(0, 3, 200)
    names = ["f1", "precision", "recall", "balanced_accuracy", "log_loss"]
    found = []
    for callbacks in ([], [fastnn.Callback()]):
        net = MLP(4, [Dense(8, "relu"), Dense(3, "softmax")], loss="cross_entropy",
                  optimizer=fastnn.Adam(0.01), seed=3)  # fmt: skip
        stopping = fastnn.EarlyStopping("val_f1", patience=3, restore_best_weights=True)
        history = net.fit(X, y, epochs=30, validation_split=0.25, metrics=names,
                          callbacks=[stopping, *callbacks])  # fmt: skip
        found.append((history.history, net.get_weights()))
    (first, weights), (second, others) = found
    assert first == second
    assert len(first["val_f1"]) < 30
    assert [w.tobytes() for w in weights] == [w.tobytes() for w in others]


# ---- the registry -------------------------------------------------------------------------------


def test_names_give_objects_and_objects_themselves():
    assert metrics.NAMES == (
        "accuracy", "top_k_accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc",
        "log_loss", "r2", "mae", "mse",
    )  # fmt: skip
    for name in metrics.NAMES:
        metric = metrics.get(name)
        assert metric.name == name
        assert metrics.get(metric) is metric
        assert metric == metrics.get(name) == pickle.loads(pickle.dumps(metric))
        assert metric.best in ("max", "min")
        assert set(metric.targets) <= set(LOSS_OF)
        with pytest.raises(dataclasses.FrozenInstanceError):
            metric.k = 3


@pytest.mark.parametrize("loss", losses.NAMES)
@pytest.mark.parametrize("metric", EVERY, ids=metrics.NAMES)
def test_a_metric_goes_with_losses_of_its_targets(metric, loss):
    loss = losses.get(loss)
    if loss.predicts_targets and loss.targets in metric.targets:
        for given_as in (metric, metric.name):
            assert list(metrics.resolve(given_as, loss, 5)) == [metric.name]
        return
    with pytest.raises(ValueError, match=f"metric '{metric.name}' needs loss '") as caught:
        metrics.resolve([metric], loss, 5)
    known, remedy = str(caught.value).split(f" but this network has '{loss.name}'; ")
    for name in losses.NAMES:
        other = losses.get(name)
        suits = other.predicts_targets and other.targets in metric.targets
        assert (repr(name) in known) == suits
    if not loss.predicts_targets:
        assert remedy == "pass a function f(y_true, y_pred)"
        return
    suggested = re.findall(r"'(\w+)'", remedy)
    assert suggested
    assert list(metrics.resolve(suggested, loss, 5)) == suggested


@pytest.mark.parametrize(("metric", "kind"), WITH_KIND)
def test_a_resolved_metric_knows_the_kind_of_targets(metric, kind, rng):
    t, y = data(kind, 60, 5, rng)
    f = metrics.resolve(metric, LOSS_OF[kind], 5)[metric.name]
    w = rng.uniform(0.1, 1, 60)
    assert f(t, y) == metric(t, y, targets=kind)
    assert f(t, y, w) == f(t, y, sample_weight=w) == metric(t, y, w, targets=kind)
    assert f.best == metric.best
    assert pickle.loads(pickle.dumps(f))(t, y) == f(t, y)
    if kind == "class":
        assert f(np.eye(5)[t], y) == f(t, y)
        f.check_targets("y", None)
    else:
        f.check_targets("y", t)


# ---- functions ----------------------------------------------------------------------------------

CLASSES = losses.CrossEntropy()
NUMBERS = losses.SquaredError()


def plain(y_true, y_pred):
    return np.abs(y_pred - y_true).max()


def weighted(y_true, y_pred, sample_weight=None):
    return -1.0 if sample_weight is None else sample_weight.sum()


def by_keyword(y_true, y_pred, *, sample_weight=None):
    return weighted(y_true, y_pred, sample_weight)


def always_weighted(y_true, y_pred, sample_weight):
    return weighted(y_true, y_pred, sample_weight)


def f1(y_true, y_pred, sample_weight=None):
    options = {"average": "macro", "sample_weight": sample_weight}
    return sklearn.metrics.f1_score(y_true, y_pred.argmax(1), **options)


class Scorer:
    def __call__(self, y_true, y_pred):
        return 1

    def method(self, y_true, y_pred):
        return 2


def test_a_function_is_a_metric_under_its_name(rng):
    t, y = data("real", 20, 2, rng)
    f = metrics.resolve(plain, NUMBERS, 2)
    assert list(f) == ["plain"]
    assert f["plain"](t, y) == f["plain"](t, y, np.ones(20)) == plain(t, y)
    assert type(f["plain"](t, y.astype(np.float32))) is float
    assert f["plain"].check_targets("y", t) is None


@pytest.mark.parametrize("function", [weighted, by_keyword, always_weighted])
def test_a_function_gets_weights_if_there_are_any_and_it_takes_them(function, rng):
    t, y = data("real", 20, 2, rng)
    f = metrics.resolve(function, NUMBERS, 2)[function.__name__]
    assert f(t, y) == -1.0
    assert f(t, y, np.full(20, 2.0)) == 40.0


@pytest.mark.parametrize(
    ("function", "loss", "n_out"),
    [
        case("f1", f1, CLASSES, 5),
        case("r2_score", sklearn.metrics.r2_score, NUMBERS, 3),
        case("mean_absolute_error", sklearn.metrics.mean_absolute_error, NUMBERS, 3),
        case("max_error", sklearn.metrics.max_error, NUMBERS, 1),
        case("log_loss", sklearn.metrics.log_loss, CLASSES, 5),
        case("brier", sklearn.metrics.brier_score_loss, losses.BinaryCrossEntropy(), 1),
    ],
)
def test_functions_of_scikit_learn_are_metrics(function, loss, n_out, rng):
    t, y = data(loss.targets, 60, n_out, rng)
    f = metrics.resolve([function], loss, n_out)[function.__name__]
    w = rng.uniform(0.1, 1, 60)
    assert f(t, y) == function(t, y)
    if function is sklearn.metrics.max_error:
        assert f(t, y, w) == function(t, y)
    else:
        assert f(t, y, w) == function(t, y, sample_weight=w) != f(t, y)


@pytest.mark.parametrize(
    ("given_as", "names"),
    [
        case("none", [], []),
        case("tuple", ("mae", "r2"), ["mae", "r2"]),
        case("generator", (name for name in ["mae", "r2"]), ["mae", "r2"]),
        case("name", "mse", ["mse"]),
        case("object", R2(), ["r2"]),
        case("function", plain, ["plain"]),
        case("method", Scorer().method, ["method"]),
        case("builtin", math.dist, ["dist"]),
        case("c-function", np.vdot, ["vdot"]),
        case("dict", {"worst": plain, "error": "mae"}, ["worst", "error"]),
        case("lambda", [{"one": lambda y_true, y_pred: 1}], ["one"]),
        case("partial", {"two": functools.partial(plain)}, ["two"]),
        case("callable", {"three": Scorer()}, ["three"]),
        case("mixed", ["mae", {"e": R2()}, plain, {}, {"g": plain}], ["mae", "e", "plain", "g"]),
        case("same-twice", ["mae", {"again": "mae"}], ["mae", "again"]),
    ],
)
def test_metrics_are_given_in_many_forms(given_as, names):
    assert list(metrics.resolve(given_as, NUMBERS, 2)) == names


def test_a_dict_tells_two_of_a_kind_apart(rng):
    t, y = data("class", 60, 5, rng)
    f = metrics.resolve([{f"top{k}": TopKAccuracy(k)} for k in (1, 4)], CLASSES, 5)
    assert [f["top1"](t, y), f["top4"](t, y)] == [TopKAccuracy(1)(t, y), TopKAccuracy(4)(t, y)]


@pytest.mark.parametrize("value", [1, True, 0.5, NAN, np.float32(2), np.array(3), np.bool_(0)])
def test_a_function_may_return_any_kind_of_number(value):
    found = metrics.resolve({"f": lambda y_true, y_pred: value}, NUMBERS, 1)["f"](None, None)
    assert type(found) is float
    assert found == float(value) or math.isnan(value)


@pytest.mark.parametrize(
    "value", [None, "0.5", b"1", 1j, [1.0], np.ones(1), np.ones(2), {}, [[1], [1, 2]], 10**400]
)
def test_a_function_must_return_a_number(value):
    f = metrics.resolve({"mine": lambda y_true, y_pred: value}, NUMBERS, 1)["mine"]
    with pytest.raises(TypeError, match="metric 'mine' must return a number; it returned") as error:
        f(None, None)
    assert repr(value)[:40] in str(error.value)
    assert type(value).__name__ in str(error.value)


def spoil(y_true, y_pred, sample_weight):
    y_pred -= y_true
    y_true[:], sample_weight[:] = 0, 0
    return np.abs(y_pred).max()


class Spoil(Metric):
    def value(self, t, y, w):
        return spoil(t, y, w)


@pytest.mark.parametrize("metric", [spoil, Spoil()])
def test_a_metric_that_changes_its_arrays_spoils_no_other(metric, rng):
    X, y, w = rng.normal(size=(50, 3)), rng.normal(size=(50, 2)), rng.uniform(1, 2, 50)
    found = []
    for listed in (["mae", "r2"], ["mae", {"one": metric}, "r2", {"two": metric}]):
        net = MLP(3, [Dense(2)], loss="squared_error", optimizer="sgd", seed=0, dtype="float64")
        history = net.fit(X, y, sample_weight=w, epochs=2, metrics=listed, validation_split=0.2)
        found.append({**history.history, "evaluated": net.evaluate(X, y, w, metrics=listed)})
    alone, beside = found
    assert beside.pop("one") == beside.pop("two")
    assert beside.pop("val_one") == beside.pop("val_two")
    assert beside["evaluated"].pop("one") == beside["evaluated"].pop("two")
    assert beside == alone


def test_errors_of_a_function_are_its_own():
    def broken(y_true, y_pred):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        metrics.resolve(broken, NUMBERS, 1)["broken"](None, None)


# ---- what is refused ----------------------------------------------------------------------------


def loss(y_true, y_pred):
    return 0


def val_error(y_true, y_pred):
    return 0


@pytest.mark.parametrize(
    ("given_as", "loss", "error", "fragments"),
    [
        case("unknown", "acuracy", CLASSES, ValueError,
             ["metrics must be one of 'accuracy'", "'acuracy'", "did you mean 'accuracy'?"]),
        case("unknown-second", ["accuracy", "rocauc"], CLASSES, ValueError,
             ["metrics[1]", "'rocauc'", "did you mean 'roc_auc'?"]),
        case("unknown-in-dict", {"a": "maee"}, NUMBERS, ValueError,
             ["metrics['a']", "'maee'", "did you mean 'mae'?"]),
        case("none", None, NUMBERS, TypeError, ["metrics must be a list of names", "got None"]),
        case("number", 3, NUMBERS, TypeError, ["metrics must be a list of names", "got 3"]),
        case("bytes", b"mae", NUMBERS, TypeError, ["metrics must be a list", "b'mae'"]),
        case("array", np.array(["mae"]), NUMBERS, TypeError, ["metrics must be a list", "array"]),
        case("none-in-list", ["mae", None], NUMBERS, TypeError, ["metrics[1]", "None", "a name"]),
        case("list-in-list", [["mae"]], NUMBERS, TypeError, ["metrics[0]", "['mae']", "a name"]),
        case("none-in-dict", [{"a": None}], NUMBERS, TypeError, ["metrics[0]['a']", "None"]),
        case("class", Accuracy, CLASSES, TypeError, ["Accuracy", "pass an object"]),
        case("class-in-list", [R2], NUMBERS, TypeError, ["metrics[0]", "pass an object"]),
        case("other-class", [Scorer], NUMBERS, TypeError, ["metrics[0]", "Scorer", "a function"]),
        case("lambda", [lambda t, y: 0], NUMBERS, ValueError,
             ["metrics[0] is <function", "no name", "use def", '{"name": function}']),
        case("partial", functools.partial(plain), NUMBERS, ValueError,
             ["metrics is functools.partial", "no name", "use def", '{"name": function}']),
        case("callable", [Scorer()], NUMBERS, ValueError, ["metrics[0]", "Scorer", "no name"]),
        case("twice", ["mae", "mse", "mae"], NUMBERS, ValueError,
             ["metrics[2]", "second", "'mae'", "leave it out", '{"another name": metric}']),
        case("name-and-object", [R2(), "r2"], NUMBERS, ValueError, ["metrics[1]", "'r2'"]),
        case("function-of-its-name", ["mae", {"mae": plain}], NUMBERS, ValueError,
             ["metrics[1]['mae']", "second", "'mae'"]),
        case("loss", loss, NUMBERS, ValueError, ["metrics", "'loss'", '{"another name": metric}']),
        case("validation", [val_error], NUMBERS, ValueError, ["'val_error'", "'val_...'"]),
        case("key-loss", {"loss": "mae"}, NUMBERS, ValueError, ["metrics['loss']", "'loss'"]),
        *[case(f"key-{name}", {name: "mae"}, NUMBERS, ValueError, [f"has the name '{name}'"])
          for name in ("epoch", "learning_rate")],
        case("key-validation", {"val_x": R2()}, NUMBERS, ValueError, ["'val_x'", "'val_...'"]),
        case("key-empty", {"": "mae"}, NUMBERS, ValueError, ["metrics['']", "another name"]),
        case("key-number", {1: "mae"}, NUMBERS, TypeError,
             ["metrics[1]", "must be a str", "got 1"]),
        case("few-parameters", {"f": lambda y: 0}, NUMBERS, TypeError,
             ["metric 'f' is called as f(y_true, y_pred)", "(y)", "too many", "wrap it"]),
        case("more-parameters", {"f": lambda t, y, z: 0}, NUMBERS, TypeError,
             ["metric 'f'", "(t, y, z)", "'z'", "change it"]),
        case("keyword-needed", {"f": sklearn.metrics.fbeta_score}, CLASSES, TypeError,
             ["metric 'f'", "'beta'", "wrap it in a def"]),
        case("weights-second", {"f": lambda y, sample_weight: 0}, NUMBERS, TypeError,
             ["metric 'f'", "sample_weight", "change it"]),
        case("top-k", TopKAccuracy(4), CLASSES, ValueError,
             ["'top_k_accuracy' has k=4", "3 outputs", "TopKAccuracy(k)", "at most 3"]),
        case("top-k-name", ["top_k_accuracy"], CLASSES, ValueError, ["k=5", "at most 3"]),
        case("average", F1Score("binary"), CLASSES, ValueError,
             ["'f1' has average='binary'", "3 outputs", "average='macro'"]),
        case("pair", ["accuracy"], NUMBERS, ValueError,
             ["metric 'accuracy' needs loss 'binary_cross_entropy' or 'cross_entropy'",
              "this network has 'squared_error'; use 'r2', 'mae' or 'mse'"]),
    ],
)  # fmt: skip
def test_metrics_that_a_network_cannot_have(given_as, loss, error, fragments):
    refuses(error, fragments, lambda: metrics.resolve(given_as, loss, 3))


@pytest.mark.parametrize("of", [Precision, Recall, F1Score])
def test_averages_and_values_of_zero_division(of):
    assert of() == of(None, 0) == of(average=None, zero_division=np.float32(0))
    refuses(ValueError, ["average must be one of", "'micro'"], lambda: of("micro"))
    for value in (0.5, -1, INF):
        refuses(ValueError, ["zero_division must be 0, 1 or nan"], lambda v=value: of(None, v))
    for value in ("warn", None, True):
        refuses(TypeError, ["zero_division must be 0, 1 or nan"], lambda v=value: of(None, v))
    t = np.array([[0, 1], [1, 0]])
    refuses(ValueError, ["average='binary'", "2 outputs"],
            lambda: of("binary")(t, t, targets="probability"))  # fmt: skip
    refuses(ValueError, ["takes 0 and 1 only"], lambda: of()([0.5], [0.5]))


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "5", None])
def test_k_is_an_integer_of_1_or_more(value):
    error = ValueError if type(value) is int else TypeError
    refuses(error, ["k must be", repr(value)], lambda: TopKAccuracy(value))


@pytest.mark.parametrize("value", ["acuracy", 3, None, plain, Accuracy])
def test_get_takes_names_and_objects_only(value):
    error = ValueError if isinstance(value, str) else TypeError
    refuses(error, ["metric must be one of 'accuracy'"], lambda: metrics.get(value))


ONES = np.ones((4, 3))
SURE = np.full(4, 0.5)


@pytest.mark.parametrize(
    ("call", "error", "fragments"),
    [
        case("rows", lambda: R2()(SURE[:3], SURE), ValueError,
             ["y_true has shape (3,)", "4 rows", "(4, 1)"]),
        case("columns", lambda: R2()(ONES[:, :2], ONES), ValueError,
             ["y_true has 2 columns", "y_pred has 3", "(4, 3)"]),
        case("vector", lambda: R2()(SURE, ONES), ValueError, ["y_true has 1 column", "(4, 3)"]),
        case("0-d", lambda: R2()(1.0, [1.0]), ValueError, ["y_true has shape ()", "(1,)"]),
        case("3-d", lambda: R2()(ONES[:, None], ONES), ValueError, ["y_true has shape (4, 1, 3)"]),
        case("no-rows", lambda: R2()([], []), ValueError, ["y_pred has shape (0, 1)", "predict"]),
        case("outputs-3-d", lambda: R2()(ONES, ONES[None]), ValueError, ["y_pred has shape"]),
        case("outputs-text", lambda: R2()(SURE, ["a"] * 4), TypeError, ["y_pred", "text"]),
        case("nan", lambda: R2()([1, NAN], [1, 2]), ValueError, ["y_true[1, 0] is nan", "drop"]),
        case("none", lambda: R2()(None, [1, 2]), TypeError, ["y_true", "objects", "convert"]),
        case("label-high", lambda: Accuracy()([0, 1, 2, 3], ONES), ValueError,
             ["y_true[3] is class 3", "0 to 2"]),
        case("label-fraction", lambda: Accuracy()(SURE, ONES), ValueError,
             ["y_true[0] is 0.5", "integers 0 to 2"]),
        case("label-negative", lambda: TopKAccuracy(1)([0, 1, 2, -1], ONES), ValueError,
             ["y_true[3] is class -1", "0 to 2"]),
        case("labels-of-one-output", lambda: Accuracy()([0, 1, 2, 1], SURE), ValueError,
             ["y_true must be from 0 to 1", "'accuracy'", "it holds 2", "one output per class"]),
        case("one-hot-or-labels", lambda: Accuracy()(ONES, ONES), ValueError,
             ["y_true has shape (4, 3)", "targets='class' or targets='probability'"]),
        case("auc-fraction", lambda: ROCAUC()([0, 1, 0.7, 0], SURE), ValueError,
             ["y_true[2, 0] is 0.7", "'roc_auc' takes 0 and 1 only", "round", "'mae'"]),
        case("targets", lambda: Accuracy()(SURE, SURE, targets="real"), ValueError,
             ["targets must be one of 'probability', 'class'", "'real'"]),
        case("top-k", lambda: TopKAccuracy(4)([0, 1, 2, 0], ONES), ValueError, ["at most 3"]),
        case("weights-shape", lambda: R2()(SURE, SURE, [1]), ValueError,
             ["sample_weight has shape (1,)", "y_pred has 4 rows", "(4,)"]),
        case("weights-negative", lambda: R2()(SURE, SURE, [1, 1, -1, 1]), ValueError,
             ["sample_weight[2] is -1.0", "0 or more"]),
        case("weights-0", lambda: R2()(SURE, SURE, 0 * SURE), ValueError, ["0 for every row"]),
    ],
)  # fmt: skip
def test_arguments_that_a_metric_refuses(call, error, fragments):
    refuses(error, fragments, call)


def test_targets_can_be_checked_before_training():
    auc = metrics.resolve("roc_auc", losses.BinaryCrossEntropy(), 2)["roc_auc"]
    auc.check_targets("y", np.array([[0.0, 1.0]]))
    refuses(
        ValueError,
        ["validation y[1, 1] is 0.25", "'roc_auc' takes 0 and 1 only"],
        lambda: auc.check_targets("validation y", np.array([[0.0, 1.0], [1.0, 0.25]])),
    )


# ---- metrics of a user ---------------------------------------------------------------------------


class Within(metrics.Metric):
    best = "max"

    def __init__(self, distance):
        self.distance = distance

    def value(self, t, y, w):
        return np.average(np.abs(t - y).max(axis=1) <= self.distance, weights=w)


class Called(metrics.Metric):
    name, best = "called", "max"

    def __call__(self, y_true, y_pred):
        return len(y_true) + y_pred.shape[1]


class Share(metrics.Metric):
    name, targets = "share", ("class",)

    def value(self, t, y, w):
        return np.float32((t == 0).mean())


def small(loss="squared_error"):
    last = Dense(2, "softmax") if loss == "cross_entropy" else Dense(1)
    return MLP(1, [last], loss=loss, optimizer="sgd", seed=0)


def test_classes_derived_from_metric_are_computed():
    net = small()
    net.set_weights([[[1.0]], [0.0]])
    X, y = [[1.0], [2.0], [3.0]], [1.25, 9.0, 3.0]
    found = net.evaluate(
        X, y, [1.0, 1.0, 2.0], metrics=[Within(0.5), Called(), {"near": Within(0)}]
    )
    assert (found["Within"], found["called"], found["near"]) == (0.75, 4, 0.5)
    assert Within(0.5)(y, net.predict(X)) == pytest.approx(2 / 3)
    history = net.fit(X, y, validation_data=(X, y), metrics=Within(0.5)).history
    assert list(history) == ["loss", "Within", "val_loss", "val_Within"]
    classes = small("cross_entropy")
    assert classes.evaluate(X, [0, 1, 0], metrics=[Share()])["share"] == pytest.approx(2 / 3)


def test_callbacks_go_by_a_metrics_own_best():
    net, values = small(), []

    class Rising(metrics.Metric):
        name, best = "rising", "max"

        def value(self, t, y, w):
            values.append(len(values))
            return values[-1]

    class Falling(Rising):
        name, best = "falling_accuracy", "min"

    for metric, epochs in ((Rising(), 6), (Falling(), 3)):
        stop = fastnn.EarlyStopping(metric.name, patience=2)
        history = net.fit([[0.0]], [0.0], epochs=6, metrics=[metric], callbacks=[stop])
        assert len(history.epoch) == epochs


@pytest.mark.parametrize(
    ("metric", "error", "fragments"),
    [
        (type("Empty", (metrics.Metric,), {})(), TypeError, ["metrics[0]", "Empty has no method"]),
        (Share(), ValueError, ["'share' needs loss 'cross_entropy'"]),
        (Within, TypeError, ["pass an object"]),
    ],
)
def test_classes_derived_from_metric_that_are_refused(metric, error, fragments):
    net = small()
    refuses(error, fragments, lambda: net.fit([[0.0]], [0.0], metrics=[metric]))
    assert net.step == 0


def test_what_a_derived_class_returns_is_checked():
    class Wrong(metrics.Metric):
        name = "wrong"

        def value(self, t, y, w):
            return [1.0, 2.0]

    wanted = ["'wrong' must return a number", "[1.0, 2.0]"]
    refuses(TypeError, wanted, lambda: Wrong()([0.0], [[1.0]]))


# ---- which way is up ----------------------------------------------------------------------------


@pytest.mark.parametrize("metric", EVERY, ids=metrics.NAMES)
def test_a_metric_says_which_way_is_up(metric):
    for name in (metric.name, f"val_{metric.name}"):
        assert metrics.higher_is_better(name) is (metric.best == "max")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[(name, True) for name in ("acc", "my_accuracy", "AUC", "r2_score", "macro_F1", "recall")],
        *[(name, True) for name in ("val_precision", "val_r2", "balanced_acc")],
        *[(name, False) for name in ("loss", "val_loss", "rmse", "max_error", "f1_error", "val_")],
    ],
)
def test_other_names_tell_by_their_end(name, expected):
    assert metrics.higher_is_better(name) is expected


def test_a_metric_under_another_name_still_says_which_way_is_up():
    resolved = metrics.resolve([{"top2": TopKAccuracy(2)}, f1, {"off": plain}], CLASSES, 3)
    assert [metric.best for metric in resolved.values()] == ["max", "max", "min"]
    assert metrics.higher_is_better("val_top2", resolved)
    assert metrics.higher_is_better("f1", resolved)
    assert not metrics.higher_is_better("val_off", resolved)
    assert not metrics.higher_is_better("val_loss", resolved)
    errors = metrics.resolve({"auc": MeanAbsoluteError()}, NUMBERS, 1)
    assert not metrics.higher_is_better("auc", errors)


def test_a_metric_without_arithmetic_says_so():
    class Empty(Metric):
        targets = ("real",)

    with pytest.raises(NotImplementedError):
        Empty()([1.0], [1.0])
