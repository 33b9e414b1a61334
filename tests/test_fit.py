"""The options of fit on real data: validation, metrics, class weights, hooks and callbacks.

Expected values come from scikit-learn, from the same work done by hand with predict, evaluate and
train_on_batch, or from the same training in another form, which must give the same bits.

Not here: steps (test_training.py), callbacks on made-up sequences (test_callbacks.py), metrics of
made-up outputs (test_metrics.py), rows that aren't in memory (test_data.py).
"""

import copy
import csv
import dataclasses
import fcntl
import math
import os
import pty
import struct
import sys
import termios
import threading

import numpy as np
import pandas as pd
import pytest
from comparing import bits, sha256
from conditions import LONG, EachBatch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)
from sklearn.preprocessing import scale
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import fastnn
from fastnn import MLP, SGD, Adam, Callback, Dense, Dropout, callbacks
from fastnn.metrics import TopKAccuracy

RNG = np.random.default_rng(0)


def shuffled(X, y):
    order = np.random.default_rng(1).permutation(len(X))
    return X[order], y[order]


DIGITS, DIGIT = shuffled(load_digits().data / 16, load_digits().target)
TUMOURS, BENIGN = shuffled(scale(load_breast_cancer().data), load_breast_cancer().target)
PATIENTS, COURSE = shuffled(scale(load_diabetes().data), scale(load_diabetes().target))
WINES, CULTIVAR = shuffled(scale(load_wine().data), load_wine().target)
TWO_COURSES = np.column_stack([COURSE, COURSE**2])


def classifier(X=DIGITS, dtype="float64", dropout=0.0, optimizer="adam", units=32, **kwargs):
    n_classes = 10 if X.shape[1] == 64 else 3
    layers = [Dense(units, "relu", l2=1e-4), Dropout(dropout), Dense(n_classes, "softmax")]
    return MLP(X.shape[1], layers, loss="cross_entropy", optimizer=optimizer, dtype=dtype, seed=0,
               **kwargs)  # fmt: skip


def yes_or_no(dtype="float64", optimizer="adam"):
    return MLP(30, [Dense(20, "tanh"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
               optimizer=optimizer, dtype=dtype, seed=0)  # fmt: skip


def regressor(n_out=1, units=24, optimizer="adam", dtype="float64", **kwargs):
    return MLP(10, [Dense(units, "tanh"), Dense(n_out)], loss="squared_error",
               optimizer=optimizer, dtype=dtype, seed=0, **kwargs)  # fmt: skip


# ---- targets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_targets_that_are_missing_are_named(method):
    with pytest.raises(TypeError, match=r"^y is None; give the targets of the rows of X$"):
        getattr(classifier(WINES), method)(WINES, None)
    with pytest.raises(TypeError, match=r"^validation y is None; give"):
        classifier(WINES).fit(WINES, CULTIVAR, validation_data=(WINES, None))


@pytest.mark.parametrize("kind", [iter, list])
def test_batches_have_their_own_targets(kind):
    with pytest.raises(TypeError, match=r"^X is the iterable .*; leave y out"):
        classifier(WINES).fit(kind([(WINES, CULTIVAR)]), CULTIVAR)


# ---- validation ---------------------------------------------------------------------------------


class Look(Callback):
    """Keeps what `look(model)` returns after every epoch."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_epoch_end(self, epoch, logs):
        self.seen.append(self.look(self.model))


@pytest.mark.parametrize("weighted", [False, True])
def test_validation_is_evaluate_after_every_epoch(weighted):
    V, t = DIGITS[1200:], DIGIT[1200:]
    w = RNG.random(len(V)) * (RNG.random(len(V)) > 0.3) if weighted else None
    metrics = ["accuracy", TopKAccuracy(3)]
    look = Look(lambda model: (model.evaluate(V, t, w, metrics=metrics), model.predict(V)))
    history = classifier(dropout=0.2).fit(
        DIGITS[:1200], DIGIT[:1200], epochs=4, validation_data=(V, t, w) if weighted else (V, t),
        metrics=metrics, callbacks=[look],
    ).history  # fmt: skip
    for i, (found, y) in enumerate(look.seen):
        assert {name: history[f"val_{name}"][i] for name in found} == found
        score = accuracy_score(t, y.argmax(axis=1), sample_weight=w)
        assert history["val_accuracy"][i] == pytest.approx(score, abs=1e-12)
        score = top_k_accuracy_score(t, y, k=3, sample_weight=w)
        assert history["val_top_k_accuracy"][i] == pytest.approx(score, abs=1e-12)
    assert len(look.seen) == len(history["val_loss"]) == 4


def test_validation_losses_are_scikit_learns():
    w = RNG.random(169)
    net = yes_or_no()
    history = net.fit(TUMOURS[:400], BENIGN[:400], epochs=2,
                      validation_data=(TUMOURS[400:], BENIGN[400:], w))  # fmt: skip
    expected = log_loss(BENIGN[400:], net.predict(TUMOURS[400:]).ravel(), sample_weight=w)
    assert history.history["val_loss"][-1] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.2, 1438), (0.05, 1707), (1 / 3, 1198), (0.9, 180), (1e-9, 1796)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_split_equals_a_split_by_hand(fraction, kept, weighted):
    w = RNG.random(1797) if weighted else None
    one, other = classifier(dropout=0.2), classifier(dropout=0.2)
    common = {"epochs": 3, "batch_size": 50, "metrics": ["accuracy"]}
    history = one.fit(DIGITS, DIGIT, validation_split=fraction, sample_weight=w, **common)
    parts = [(DIGITS[rows], DIGIT[rows], None if w is None else w[rows])
             for rows in (slice(kept), slice(kept, None))]  # fmt: skip
    by_hand = other.fit(*parts[0][:2], sample_weight=parts[0][2], validation_data=parts[1],
                        **common)  # fmt: skip
    assert bits(one, history) == bits(other, by_hand)
    assert one.step == 3 * math.ceil(kept / 50)


def test_validation_changes_no_weight():
    one, other = classifier(dropout=0.2), classifier(dropout=0.2)
    one.fit(DIGITS[:500], DIGIT[:500], epochs=3)
    other.fit(DIGITS[:500], DIGIT[:500], epochs=3, validation_data=(DIGITS[500:], DIGIT[500:]),
              metrics=["accuracy"])  # fmt: skip
    assert sha256(one) == sha256(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_split": 0.5, "validation_data": (WINES, CULTIVAR)}, "are both given"),
        ({"validation_split": 0.999}, "leaves none of 178 rows"),
        ({"validation_split": 1.0}, "validation_split must be"),
        ({"validation_data": (WINES, CULTIVAR[1:])}, "validation y has 177 rows"),
        ({"validation_data": (WINES[:, 1:], CULTIVAR)}, "validation X has 12 columns"),
        ({"validation_data": (WINES, CULTIVAR, np.full(178, np.nan))}, "validation sample_weight"),
    ],
)
def test_unfit_validation_leaves_the_network_as_it_was(options, message):
    net = classifier(WINES)
    before = sha256(net)
    with pytest.raises(ValueError, match=message):
        net.fit(WINES, CULTIVAR, **options)
    assert (sha256(net), net.step, net.epoch) == (before, 0, 0)


@pytest.mark.parametrize(
    ("rows", "place"), [(slice(140), "to train on"), (slice(140, None), "for validation")]
)
def test_a_split_that_leaves_a_part_without_weight(rows, place):
    w = np.ones(178)
    w[rows] = 0
    net = classifier(WINES)
    before = sha256(net)
    with pytest.raises(ValueError, match=f"sample_weight is 0 for every row {place}"):
        net.fit(WINES, CULTIVAR, validation_split=38 / 178, sample_weight=w, metrics=["accuracy"])
    assert (sha256(net), net.step) == (before, 0)


# ---- metrics in training ------------------------------------------------------------------------


class Outputs:
    """A metric that keeps what it is given."""

    def __init__(self):
        self.seen = []

    def __call__(self, y_true, y_pred, sample_weight):
        self.seen.append((y_true.copy(), y_pred.copy(), sample_weight))
        return len(y_true)


def epoch_by_hand(net, X, y, w, order, batch):
    """Train an epoch with train_on_batch; return its loss, and the outputs before each update."""
    outputs, loss, total = [], 0.0, 0.0
    for first in range(0, len(X), batch):
        rows = order[first : first + batch]
        outputs.append(net.predict(X[rows]))
        weight = len(rows) if w is None else w[rows].sum()
        loss += weight * net.train_on_batch(X[rows], y[rows], None if w is None else w[rows])
        total += weight
    return loss / total, np.concatenate(outputs)


def digits_scores(t, y, w):
    return {
        "accuracy": accuracy_score(t, y.argmax(axis=1), sample_weight=w),
        "top_k_accuracy": top_k_accuracy_score(t, y, k=5, sample_weight=w),
        "roc_auc": np.mean([roc_auc_score(t == k, y[:, k], sample_weight=w) for k in range(10)]),
    }


def tumours_scores(t, y, w):
    return {
        "accuracy": accuracy_score(t, y.ravel() > 0.5, sample_weight=w),
        "roc_auc": roc_auc_score(t, y.ravel(), sample_weight=w),
        "mse": mean_squared_error(t, y.ravel(), sample_weight=w),
    }


def courses_scores(t, y, w):
    return {
        "r2": r2_score(t, y, sample_weight=w),
        "mae": mean_absolute_error(t, y, sample_weight=w),
        "mse": mean_squared_error(t, y, sample_weight=w),
    }


PROBLEMS = {
    "digits": (classifier, DIGITS, DIGIT, digits_scores),
    "tumours": (yes_or_no, TUMOURS, BENIGN, tumours_scores),
    "courses": (lambda: regressor(2), PATIENTS, TWO_COURSES, courses_scores),
}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("batch_size", [1, 100, 333, None])
def test_training_metrics_are_of_the_outputs_before_each_update(
    problem, weighted, shuffle, batch_size
):
    build, X, y, scores = PROBLEMS[problem]
    n = 200 if batch_size == 1 else len(X)
    X, y, w = X[:n], y[:n], RNG.random(n) if weighted else None
    net, twin, outputs = build(), build(), Outputs()
    names = list(scores(y, twin.predict(X), w))
    shuffler = copy.deepcopy(net._state.shuffler)
    history = net.fit(X, y, epochs=2, batch_size=batch_size, shuffle=shuffle, sample_weight=w,
                      metrics=[*names, {"outputs": outputs}]).history  # fmt: skip
    for epoch in range(2):
        order = shuffler.permutation(n) if shuffle else np.arange(n)
        loss, expected = epoch_by_hand(twin, X, y, w, order, batch_size or n)
        assert history["loss"][epoch] == pytest.approx(loss, rel=1e-10)
        targets, found, weights = outputs.seen[epoch]
        np.testing.assert_array_equal(targets.reshape(y[order].shape), y[order])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(weights, None if w is None else w[order])
        wanted = scores(y[order], expected, None if w is None else w[order])
        for name in names:
            assert history[name][epoch] == pytest.approx(wanted[name], rel=1e-10, abs=1e-10)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_dropout_acts_on_training_metrics():
    """The loss is of the outputs with dropout; so are the outputs that metrics get."""
    net, outputs = classifier(dropout=0.5, optimizer=SGD(1e-300)), Outputs()
    still = net.predict(DIGITS)
    penalty = net.evaluate(DIGITS, DIGIT) - log_loss(DIGIT, still)
    history = net.fit(DIGITS, DIGIT, shuffle=False, metrics=[{"outputs": outputs}])
    dropped = outputs.seen[0][1]
    assert np.abs(dropped - still).max() > 0.01
    assert history.history["loss"][0] == pytest.approx(
        log_loss(DIGIT, dropped) + penalty, rel=1e-10
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_metrics_change_no_bit_of_training(dtype, threads):
    nets = [classifier(dtype=dtype, dropout=0.2, units=200, n_threads=threads) for _ in range(2)]
    common = {"epochs": 2, "batch_size": 90}
    plain = nets[0].fit(DIGITS, DIGIT, **common)
    judged = nets[1].fit(DIGITS, DIGIT, metrics=["accuracy", "roc_auc"], **common)
    assert plain.history["loss"] == judged.history["loss"]
    assert sha256(nets[0]) == sha256(nets[1])


def test_evaluate_with_metrics_is_scikit_learns():
    for build, X, y, scores in PROBLEMS.values():
        net = build()
        net.fit(X, y, epochs=2)
        w = RNG.random(len(X))
        expected = scores(y, net.predict(X), w)
        found = net.evaluate(X, y, w, metrics=list(expected))
        assert list(found) == ["loss", *expected]
        assert found.pop("loss") == net.evaluate(X, y, w)
        assert found == pytest.approx(expected, rel=1e-10)


def test_single_precision_metrics_are_scikit_learns():
    net = classifier(dtype="float32")
    history = net.fit(DIGITS, DIGIT, epochs=2, validation_split=0.3, metrics=["accuracy"]).history
    kept = 1797 - round(0.3 * 1797)
    score = accuracy_score(DIGIT[kept:], net.predict(DIGITS[kept:]).argmax(axis=1))
    assert history["val_accuracy"][-1] == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_of_1_for_each_output_change_no_bit_of_the_updates(dtype):
    """Losses are sums of weighted terms, and are equal up to rounding."""
    nets = [regressor(2, dtype=dtype) for _ in range(2)]
    plain, weighted = (net.fit(PATIENTS, TWO_COURSES, epochs=3, sample_weight=w)
                       for net, w in zip(nets, (None, np.ones((442, 2))), strict=True))  # fmt: skip
    assert sha256(nets[0]) == sha256(nets[1])
    losses = plain.history["loss"], weighted.history["loss"]
    assert np.allclose(*losses, rtol=64 * np.finfo(dtype).eps, atol=0)


# ---- class weights ------------------------------------------------------------------------------

BY_CLASS = {0: 3.0, 1: 0.25, 2: 0.0}
TARGETS = {
    "labels": (classifier, WINES, CULTIVAR, CULTIVAR),
    "one-hot": (classifier, WINES, CULTIVAR, np.eye(3)[CULTIVAR]),
    "binary": (None, TUMOURS, BENIGN, BENIGN),
    "binary column": (None, TUMOURS, BENIGN, BENIGN[:, None].astype(bool)),
}


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["dict", "balanced"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_class_weights_are_sample_weights(targets, weighted, kind, dtype):
    build, X, classes, y = TARGETS[targets]
    one, other = (yes_or_no(dtype) if build is None else build(X, dtype) for _ in range(2))
    n, by_class = len(X) - 60, BY_CLASS if kind == "dict" else "balanced"
    if kind == "dict" and build is None:
        by_class = {0: 3.0, 1: 0.25}
    present = np.unique(classes)
    table = dict(zip(present, compute_class_weight(by_class, classes=present, y=classes[:n]),
                     strict=True))  # fmt: skip
    own = RNG.random(len(X)).astype(dtype) if weighted else np.ones(len(X), dtype)
    w = compute_sample_weight(table, classes) * own
    given = own if weighted else None
    common = {"epochs": 3, "batch_size": 25}
    history = one.fit(
        X[:n], y[:n], class_weight=by_class, sample_weight=None if given is None else given[:n],
        validation_data=(X[n:], y[n:]) if given is None else (X[n:], y[n:], given[n:]), **common,
    )  # fmt: skip
    by_hand = other.fit(X[:n], y[:n], sample_weight=w[:n], validation_data=(X[n:], y[n:], w[n:]),
                        **common)  # fmt: skip
    assert bits(one, history) == bits(other, by_hand)
    assert history.history["val_loss"][-1] != one.evaluate(X[n:], y[n:])


def test_balanced_counts_the_rows_that_are_trained_on():
    one, other = classifier(WINES), classifier(WINES)
    kept = 178 - round(0.4 * 178)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=CULTIVAR[:kept])
    history = one.fit(WINES, CULTIVAR, validation_split=0.4, class_weight="balanced")
    by_hand = other.fit(WINES, CULTIVAR, validation_split=0.4,
                        class_weight=dict(enumerate(weights)))  # fmt: skip
    assert bits(one, history) == bits(other, by_hand)


def test_classes_without_a_stated_weight_have_weight_1():
    one, other = classifier(), classifier()
    history = one.fit(DIGITS, DIGIT, class_weight={np.int64(3): 2, 8: np.float32(0.5)})
    w = np.where(DIGIT == 3, 2.0, np.where(DIGIT == 8, 0.5, 1.0))
    assert bits(one, history) == bits(other, other.fit(DIGITS, DIGIT, sample_weight=w))
    none = classifier()
    assert bits(none, none.fit(DIGITS, DIGIT, class_weight={}))[1] == (
        (plain := classifier()).fit(DIGITS, DIGIT) and sha256(plain)
    )


def test_balanced_without_rows_of_a_class():
    """As in scikit-learn, the weight is divided among the classes that occur."""
    rows = DIGIT != 4
    one, other = classifier(), classifier()
    history = one.fit(DIGITS[rows], DIGIT[rows], class_weight="balanced")
    w = compute_sample_weight("balanced", DIGIT[rows])
    by_hand = other.fit(DIGITS[rows], DIGIT[rows], sample_weight=w)
    assert bits(one, history) == bits(other, by_hand)


def test_class_weights_leave_metrics_alone():
    one, other = classifier(WINES, optimizer=SGD(1e-300)), classifier(WINES, optimizer=SGD(1e-300))
    common = {"validation_data": (WINES, CULTIVAR), "metrics": ["accuracy"]}
    weighed = one.fit(WINES, CULTIVAR, class_weight=BY_CLASS, **common).history
    plain = other.fit(WINES, CULTIVAR, **common).history
    for name in ("accuracy", "val_accuracy"):
        assert weighed[name] == plain[name]
    for name in ("loss", "val_loss"):
        assert weighed[name] != plain[name]


def test_class_weights_that_leave_no_row_have_a_remedy():
    message = "makes every row weigh 0, so no row would count; give one of their classes a weight"
    with pytest.raises(ValueError, match=message):
        classifier().fit(DIGITS, DIGIT, class_weight=dict.fromkeys(range(10), 0.0))


@pytest.mark.parametrize("as_batches", [False, True])
@pytest.mark.parametrize(
    ("class_weight", "sample_weight", "message"),
    [
        (1e30, 1e30, r"class_weight makes row 0 weigh 1e\+60, too much for float32; scale it or"),
        (1e300, None, r"class_weight\[0\] must be at least 0 and at most 3.4e\+38; got 1e\+300"),
        (1e-30, 1e-30, "makes every row weigh 0, rounded to float32, so no row .*; scale it up"),
        (1.0, 1e-60, "sample_weight rounds to 0 in float32 for every row; scale it up"),
    ],
)
def test_weights_that_float32_cannot_hold(class_weight, sample_weight, message, as_batches):
    net = classifier(dtype="float32")
    before = [w.tobytes() for w in net.get_weights()]
    weight = None if sample_weight is None else np.full(40, sample_weight)
    rows, given = [DIGITS[:40], DIGIT[:40]], {"sample_weight": weight}
    if as_batches:
        rows, given = [[(*rows, weight)]], {}
    with pytest.raises(ValueError, match=message):
        net.fit(*rows, class_weight=dict.fromkeys(range(10), class_weight), **given)
    assert [w.tobytes() for w in net.get_weights()] == before


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({3: 1.0}, ValueError, "class_weight's label must be from 0 to 2; got 3"),
        ({-1: 1.0}, ValueError, "class_weight's label must be from 0 to 2; got -1"),
        ({"one": 1.0}, TypeError, "class_weight's label must be an integer"),
        ({True: 1.0}, TypeError, "class_weight's label must be an integer"),
        ({1: -1.0}, ValueError, r"class_weight\[1\] must be at least 0"),
        ({1: math.nan}, ValueError, r"class_weight\[1\] must be at least 0"),
        ({1: "2"}, TypeError, r"class_weight\[1\] must be a number"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "every row weigh 0"),
        ("balance", ValueError, "or 'balanced'; got 'balance'"),
        ([1.0, 1.0, 1.0], TypeError, "must be a dict"),
    ],
)
def test_unfit_class_weights_leave_the_network_as_it_was(value, error, message):
    net = classifier(WINES)
    before = sha256(net)
    with pytest.raises(error, match=message):
        net.fit(WINES, CULTIVAR, class_weight=value)
    assert (sha256(net), net.step) == (before, 0)


@pytest.mark.parametrize("value", [{0: 2.0}, "balanced"])
def test_class_weights_need_classes(value):
    with pytest.raises(ValueError, match="loss 'squared_error' and 1 output: pass sample_weight"):
        regressor().fit(PATIENTS, COURSE, class_weight=value)
    several = MLP(10, [Dense(3, "sigmoid")], loss="binary_cross_entropy", optimizer="sgd")
    y = np.ones((len(PATIENTS), 3))
    with pytest.raises(ValueError, match=r"3 outputs: pass sample_weight of shape \(n, 3\)"):
        several.fit(PATIENTS, y, class_weight=value)
    own = fastnn.CustomLoss(lambda y_true, y_pred: None, targets="probability")
    several = MLP(10, [Dense(3, "sigmoid")], loss=own, optimizer="sgd")
    with pytest.raises(ValueError, match=r"3 outputs: pass sample_weight$"):
        several.fit(PATIENTS, y, class_weight=value)


def test_balanced_finds_more_of_a_rare_class():
    eight = DIGIT == 8
    recalls = []
    for class_weight in (None, "balanced"):
        net = MLP(64, [Dense(16, "relu"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
                  optimizer="adam", seed=0)  # fmt: skip
        net.fit(DIGITS[:1000], eight[:1000], epochs=6, class_weight=class_weight)
        says = net.predict(DIGITS[1000:]).ravel() > 0.5
        recalls.append(recall_score(eight[1000:], says))
    assert recalls[1] > recalls[0] + 0.1


# ---- hooks --------------------------------------------------------------------------------------


class Epochs(Callback):
    """Records every call of a hook, except the hooks for batches."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append(("train begin", logs))

    def on_train_end(self, logs):
        self.calls.append(("train end", logs))

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(("epoch begin", epoch, logs))

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch end", epoch, dict(logs)))

    def on_progress(self, rows, logs):
        self.calls.append(("progress", rows, logs))

    def on_nonfinite_loss(self, error):
        self.calls.append(("nonfinite", str(error)))
        return False

    def close(self):
        self.calls.append(("close",))


class Batches(Epochs):
    """Records the hooks for batches as well."""

    def on_train_batch_begin(self, batch, logs):
        self.calls.append(("batch begin", batch, logs))

    def on_train_batch_end(self, batch, logs):
        self.calls.append(("batch end", batch, logs))


@pytest.mark.parametrize("kind", [Epochs, Batches])
def test_every_hook_is_called_in_its_place(kind, clock):
    """By the clock of the test, a batch takes a second, so progress is reported after each."""
    recorder, net, twin = kind(), classifier(WINES), classifier(WINES)
    history = net.fit(WINES, CULTIVAR, batch_size=70, epochs=2, shuffle=False, metrics=["accuracy"],
                      validation_data=(WINES, CULTIVAR), callbacks=[recorder])  # fmt: skip

    def close(value):
        return pytest.approx(value, rel=1e-12)

    expected = [("train begin", {})]
    for epoch in range(2):
        expected.append(("epoch begin", epoch, {}))
        total, logs = 0.0, {}
        for batch, (first, stop) in enumerate([(0, 70), (70, 140), (140, 178)]):
            loss = twin.train_on_batch(WINES[first:stop], CULTIVAR[first:stop])
            total += loss * (stop - first)
            logs = {"loss": close(total / stop)}
            if kind is Batches:
                expected.append(("batch begin", batch, {}))
                expected.append(("batch end", batch, {"loss": close(loss)}))
            expected.append(("progress", stop, logs))
        expected.append(("progress", 178, logs))
        of_epoch = {name: values[epoch] for name, values in history.history.items()}
        assert list(of_epoch) == ["loss", "accuracy", "val_loss", "val_accuracy"]
        expected.append(("epoch end", epoch, of_epoch))
    expected += [("train end", {}), ("close",)]
    assert recorder.calls == expected
    assert recorder.model is net
    assert list(recorder.params.pop("metrics")) == ["accuracy"]
    assert recorder.params == {
        "epochs": 2, "steps": 3, "samples": 178, "batch_size": 70, "verbose": 0,
        "monitors": ["loss", "accuracy", "val_loss", "val_accuracy"], "judges_averages": False,
    }  # fmt: skip


@pytest.mark.parametrize("kind", [Epochs, Batches])
@pytest.mark.parametrize("handled", [False, True])
def test_hooks_of_a_loss_that_is_not_finite(kind, handled, monkeypatch):
    class Listens(kind):
        def on_nonfinite_loss(self, error):
            super().on_nonfinite_loss(error)
            return handled

    recorder, other = Listens(), Epochs()
    net = regressor(optimizer=SGD(1e30))
    if handled:
        net.fit(PATIENTS, COURSE, epochs=3, callbacks=[recorder, other])
    else:
        with pytest.raises(FloatingPointError, match="epoch 1, step"):
            net.fit(PATIENTS, COURSE, epochs=3, callbacks=[recorder, other])
    ends = ["nonfinite", *(["train end"] if handled else []), "close"]
    for each in (recorder, other):  # both are called, whichever handles it
        assert [call[0] for call in each.calls if call[0] in ends] == ends
        assert "epoch end" not in [call[0] for call in each.calls]
    begins = [call for call in recorder.calls if call[0] == "batch begin"]
    ended = [call for call in recorder.calls if call[0] == "batch end"]
    assert len(begins) - len(ended) == (kind is Batches)


class Progress(Callback):
    def on_progress(self, rows, logs):
        pass


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("metrics", [(), ("accuracy",)])
@pytest.mark.parametrize("weighted", [False, True])
def test_callbacks_do_not_change_the_bits(dtype, metrics, weighted, clock):
    w = RNG.random(1797) if weighted else None
    found = []
    for listeners in ((), (EachBatch(),), (Progress(),), (EachBatch(), Progress())):
        for threads in (1, 2):
            net = classifier(dtype=dtype, dropout=0.3, units=150, n_threads=threads)
            history = net.fit(DIGITS, DIGIT, batch_size=100, epochs=2, metrics=metrics,
                              sample_weight=w, callbacks=listeners)  # fmt: skip
            found.append(bits(net, history))
    assert all(each == found[0] for each in found)


#: Inputs and layers of networks whose batches of one row a function of its own trains (tiny.c).
TINY = {
    "pair": (2, [Dense(3, "sigmoid"), Dense(1)]),
    "pair of fours": (4, [Dense(4, "tanh"), Dense(4, "sigmoid", use_bias=False)]),
    "narrow": (10, [Dense(5, "tanh"), Dense(1)]),
    "deep": (6, [Dense(8, "tanh"), Dense(16, "gelu"), Dense(9, "relu"), Dense(2)]),
    "wide": (16, [Dense(16, "relu"), Dense(12)]),
}


@pytest.mark.parametrize("batch_size", [1, 8, 11, 32])  # the last batch has one row, but of 11
@pytest.mark.parametrize("optimizer", [SGD(1e-3), SGD(1e-3, momentum=0.9), Adam()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", TINY)
def test_no_way_to_train_changes_the_bits_of_a_tiny_network(kind, dtype, optimizer, batch_size):
    n_in, layers = TINY[kind]
    rng = np.random.default_rng(0)
    X, y = (rng.normal(size=(33, n)).astype(dtype) for n in (n_in, layers[-1].units))
    found = set()

    def trained(rule=optimizer, epochs=2, **options):
        rows = options.pop("rows", (X, y))
        net = MLP(n_in, layers, loss="squared_error", optimizer=rule, dtype=dtype, seed=0)
        history = net.fit(*rows, epochs=epochs, **options).history
        found.add((net.get_flat_weights().tobytes(), tuple(history["loss"])))

    batches = [(X[i : i + batch_size], y[i : i + batch_size]) for i in range(0, 33, batch_size)]
    trained(rows=(batches,))
    options = {"batch_size": batch_size, "shuffle": False}
    for more in (
        {},
        {"callbacks": [EachBatch()]},
        {"callbacks": [Progress()]},
        {"metrics": ["mae"]},
        {"sample_weight": np.ones(33)},
        {"rule": dataclasses.replace(optimizer, use_ema=True)},
        {"rule": dataclasses.replace(optimizer, clipnorm=1e30)},
    ):
        trained(**options, **more)
    assert len(found) == 1


@pytest.mark.parametrize("hook", ["begin", "end"])
def test_stopping_in_a_batch_hook_ends_the_epoch_after_that_batch(hook):
    class Stop(Callback):
        def stop(self, batch, logs):
            if self.model.epoch == 1 and batch == 4:
                self.model.stop_training = True

    setattr(Stop, f"on_train_batch_{hook}", Stop.stop)
    recorder, outputs = Batches(), Outputs()
    net, twin = classifier(dropout=0.2), classifier(dropout=0.2)
    history = net.fit(DIGITS, DIGIT, batch_size=100, epochs=5, shuffle=False,
                      metrics=[{"outputs": outputs}], callbacks=[Stop(), recorder])  # fmt: skip
    assert history.epoch == [0, 1]
    assert (net.step, net.epoch) == (18 + 5, 2)
    twin.fit(DIGITS, DIGIT, batch_size=100, shuffle=False)
    losses = [twin.train_on_batch(DIGITS[i : i + 100], DIGIT[i : i + 100])
              for i in range(0, 500, 100)]  # fmt: skip
    assert history.history["loss"][1] == pytest.approx(np.mean(losses), rel=1e-12)
    assert [len(t) for t, _, _ in outputs.seen] == [1797, 500]
    assert net.fit(DIGITS, DIGIT, epochs=2).epoch == [0, 1]  # it is no longer to stop
    assert [call[:2] for call in recorder.calls[-4:]] == [
        ("progress", 500), ("epoch end", 1), ("train end", {}), ("close",)
    ]  # fmt: skip


HOOKS = {
    "on_train_begin": 0, "on_epoch_begin": 0, "on_train_batch_begin": 0, "on_train_batch_end": 1,
    "on_progress": 1, "on_epoch_end": 6, "on_train_end": 18, "close": 18,
}  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_raises_leaves_the_network_usable(hook):
    def fail(self, *args):
        raise OSError("disk full")

    closed = Epochs()
    net, twin = classifier(WINES), classifier(WINES)
    failing = type("Failing", (Callback,), {hook: fail})()
    with pytest.raises(OSError, match="disk full"):
        net.fit(WINES, CULTIVAR, epochs=3, shuffle=False, callbacks=[closed, failing])
    assert closed.calls[-1] == ("close",)
    assert net.step == HOOKS[hook]
    for first in (*range(0, 178, 32),) * 3:
        if twin.step < net.step:
            twin.train_on_batch(WINES[first : first + 32], CULTIVAR[first : first + 32])
    assert sha256(net) == sha256(twin)
    assert net.fit(WINES, CULTIVAR).epoch == [0]


REFUSING = {
    "no value to monitor": lambda folder: [callbacks.EarlyStopping()],
    "no moving averages": lambda folder: [callbacks.SwapEMAWeights()],
    "an unknown field": lambda folder: [
        callbacks.ModelCheckpoint(str(folder / "{recall}.safetensors"))],
    "a negative rate": lambda folder: [callbacks.LearningRateScheduler(lambda epoch: -1.0)],
    "a second rate": lambda folder: [callbacks.LearningRateScheduler(lambda epoch: 0.5),
                                     callbacks.LearningRateScheduler(lambda epoch: -1.0)],
}  # fmt: skip


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("case", REFUSING)
def test_a_refused_fit_leaves_the_network_unchanged(case, trained, tmp_path):
    """Otherwise the next fit would use the scale of the rows that were refused."""
    layers = [fastnn.Standardize(), Dense(4, "tanh"), Dense(2, "softmax")]
    net, twin = (MLP(2, layers, loss="cross_entropy", optimizer="adam", seed=0) for _ in "ab")
    rows, labels = RNG.normal(size=(40, 2)), np.where(RNG.random(40) < 0.5, "yes", "no")
    frame = pd.DataFrame(rows, columns=["a", "b"])
    if trained:
        net.fit(frame, labels)
        twin.fit(frame, labels)
    with pytest.raises(ValueError, match=r"monitor|average|field|must be"):
        net.fit(1000 * frame + 5, np.char.add(labels, "!" * (not trained)),
                callbacks=REFUSING[case](tmp_path))  # fmt: skip
    assert net.classes == twin.classes
    assert net.feature_names == twin.feature_names
    assert net.learning_rate == twin.learning_rate
    assert (net.standardization is None) == (twin.standardization is None)
    for each in (net, twin):
        each.fit(frame, labels)
    np.testing.assert_array_equal(net.get_flat_weights(), twin.get_flat_weights())


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_a_refused_fit_leaves_the_generator_of_orders_unchanged(kind):
    class Failing(Callback):
        def on_train_batch_begin(self, batch, logs):
            raise OSError("disk full")

    generator, net = kind(3), regressor()
    with pytest.raises(OSError, match="disk full"):
        net.fit(PATIENTS, COURSE, shuffle=generator, callbacks=[Failing()])
    np.testing.assert_array_equal(generator.permutation(50), kind(3).permutation(50))


@pytest.mark.parametrize("value", ["hello", None, np.zeros(2), [1.0]])
@pytest.mark.parametrize("kind", [callbacks.CSVLogger, callbacks.ModelCheckpoint])
def test_logs_that_are_not_numbers_are_named(tmp_path, value, kind):
    class Logging(Callback):
        def on_epoch_end(self, epoch, logs):
            logs["note"] = value

    message = r"^Logging has put note=.* into the logs of epoch 1; log a number"
    with pytest.raises(TypeError, match=message):
        regressor().fit(PATIENTS, COURSE, callbacks=[Logging(), kind(tmp_path / "file")])


def test_names_in_logs_that_are_not_text_are_named(tmp_path):
    class Logging(Callback):
        def on_epoch_end(self, epoch, logs):
            logs[3] = 1.0

    keep = callbacks.ModelCheckpoint(tmp_path / "file")
    with pytest.raises(TypeError, match=r"^Logging has put 3 into the logs of epoch 1; .* '3'$"):
        regressor().fit(PATIENTS, COURSE, callbacks=[Logging(), keep])


def test_logs_hold_floats_and_not_the_arrays_of_a_callback():
    class Counting(Callback):
        def __init__(self):
            self.n = np.zeros(())

        def on_train_begin(self, logs):
            self.params["monitors"] += ["n", "half", "whole"]

        def on_epoch_end(self, epoch, logs):
            self.n += 1
            logs |= {"n": self.n, "half": np.float32(0.5), "whole": 3}

    stop = callbacks.EarlyStopping("n", mode="max")
    history = regressor().fit(PATIENTS, COURSE, epochs=3, callbacks=[Counting(), stop]).history
    assert history["n"] == [1.0, 2.0, 3.0]
    assert {type(value) for values in history.values() for value in values} == {float}
    assert stop.best == 3.0


def test_a_network_without_inputs_is_not_advised():
    with pytest.raises(ValueError, match=r"X has 0 columns but this MLP takes 10; reshape X$"):
        regressor().fit(PATIENTS[:, :0], COURSE)


@pytest.mark.parametrize(
    "clip", [{}, {"clipvalue": 1.0}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0}]
)
def test_clipping_is_advised_unless_gradients_are_clipped(clip):
    net = regressor(optimizer=SGD(1e38, **clip), dtype="float32")
    with pytest.raises(FloatingPointError, match="lower the learning rate") as caught:
        net.fit(1e3 * PATIENTS, COURSE, epochs=5)
    assert ("clip the gradients" in str(caught.value)) == (not clip)


def test_logs_may_be_numbers_of_any_kind(tmp_path):
    class Logging(Callback):
        def on_epoch_end(self, epoch, logs):
            logs |= {"a": np.float32(0.5), "b": np.int64(2), "c": True, "d": np.array(3.0)}

    log = callbacks.CSVLogger(tmp_path / "log.csv")
    regressor().fit(PATIENTS, COURSE, callbacks=[Logging(), log])
    assert (tmp_path / "log.csv").read_text().splitlines()[1].endswith(",0.5,2.0,1.0,3.0")


def test_the_same_callback_twice_is_refused():
    stop, other = callbacks.EarlyStopping("loss"), callbacks.EarlyStopping("loss")
    with pytest.raises(ValueError, match=r"callbacks\[2\] and callbacks\[0\] are the same EarlyS"):
        regressor().fit(PATIENTS, COURSE, callbacks=[stop, other, stop])
    assert regressor().fit(PATIENTS, COURSE, callbacks=[stop, other]).epoch == [0]


def test_a_callback_that_raises_of_a_loss_that_is_not_finite():
    class Failing(Callback):
        def on_nonfinite_loss(self, error):
            raise OSError("disk full") from error

    net = regressor(optimizer=SGD(1e30))
    with pytest.raises(OSError, match="disk full"):
        net.fit(PATIENTS, COURSE, callbacks=[Failing()])
    assert np.isfinite(net.predict(PATIENTS)).all()
    net.learning_rate = 1e-3
    assert net.fit(PATIENTS, COURSE).epoch == [0]


# ---- callbacks of fastnn ------------------------------------------------------------------------

TRAIN, TEST = (PATIENTS[:300], COURSE[:300]), (PATIENTS[300:], COURSE[300:])


def learns_too_much(listeners, epochs=60, **kwargs):
    """Fit a network that is too large for its data; return it with its history."""
    net = regressor(units=100, optimizer=Adam(0.01))
    return net, net.fit(*TRAIN, epochs=epochs, validation_data=TEST, callbacks=listeners, **kwargs)


def test_early_stopping_restores_the_best_weights():
    stop = callbacks.EarlyStopping(patience=5, restore_best_weights=True)
    net, history = learns_too_much([stop])
    losses = history.history["val_loss"]
    best = int(np.argmin(losses))
    assert 0 < best == len(losses) - 6 < 54
    assert net.evaluate(*TEST) == stop.best == losses[best]
    assert (stop.best_epoch, stop.stopped_epoch) == (best, best + 5)
    twin, _ = learns_too_much([], epochs=best + 1)
    assert sha256(net) == sha256(twin)


def test_early_stopping_on_a_score():
    stop = callbacks.EarlyStopping("val_r2", patience=3, restore_best_weights=True)
    net, history = learns_too_much([stop], metrics=["r2"])
    scores = history.history["val_r2"]
    assert len(scores) == int(np.argmax(scores)) + 4
    assert net.evaluate(*TEST, metrics=["r2"])["r2"] == max(scores)


def test_the_best_checkpoint_loads(tmp_path):
    keep = callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True)
    net, history = learns_too_much([keep], epochs=15)
    loaded = fastnn.load(tmp_path / "best")
    assert loaded.evaluate(*TEST) == min(history.history["val_loss"]) < net.evaluate(*TEST)
    assert loaded.epoch == int(np.argmin(history.history["val_loss"])) + 1


def test_checkpoints_every_few_epochs_load(tmp_path):
    keep = callbacks.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.4f}", period=3)
    _, history = learns_too_much([keep], epochs=7)
    losses = history.history["val_loss"]
    paths = [tmp_path / f"{epoch:02d}-{losses[epoch - 1]:.4f}" for epoch in (3, 6, 7)]
    assert sorted(tmp_path.iterdir()) == paths
    for path, epoch in zip(paths, (3, 6, 7), strict=True):
        net = fastnn.load(path)
        assert (net.epoch, net.evaluate(*TEST)) == (epoch, losses[epoch - 1])
        assert net.step == 10 * epoch


def test_the_rate_is_lowered_on_a_plateau():
    lower = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=1e-3)
    net, history = learns_too_much([lower], epochs=30)
    rate, best, wait, expected = 0.01, math.inf, 0, []
    for loss in history.history["val_loss"]:
        expected.append(rate)
        best, wait = (loss, 0) if loss < best - 1e-4 else (best, wait + 1)
        if wait == 2:
            rate, wait = max(rate / 2, 1e-3), 0
    assert history.history["learning_rate"] == expected
    assert net.learning_rate == rate < 0.01
    twin = regressor(units=100, optimizer=Adam(0.01))
    for rate in expected:
        twin.learning_rate = rate
        twin.fit(*TRAIN)
    assert sha256(net) == sha256(twin)


@pytest.mark.parametrize(
    "schedule",
    [lambda epoch: 0.01 * 0.5**epoch, lambda epoch, rate: rate if epoch < 2 else rate * 0.9],
)
def test_a_scheduler_sets_each_epochs_rate(schedule):
    net, history = learns_too_much([callbacks.LearningRateScheduler(schedule)], epochs=5)
    twin = regressor(units=100, optimizer=Adam(0.01))
    rates = []
    for epoch in range(5):
        takes_rate = schedule.__code__.co_argcount == 2
        twin.learning_rate = schedule(epoch, twin.learning_rate) if takes_rate else schedule(epoch)
        rates.append(twin.learning_rate)
        twin.fit(*TRAIN)
    assert history.history["learning_rate"] == rates
    assert len(set(rates)) > 2
    assert sha256(net) == sha256(twin)


def test_the_log_reads_back_as_the_history(tmp_path):
    listeners = [callbacks.CSVLogger(tmp_path / "log.csv"),
                 callbacks.LearningRateScheduler(lambda epoch: 0.01 / (epoch + 3))]  # fmt: skip
    _, history = learns_too_much(listeners, epochs=4, metrics=["r2", "mae"])
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("epoch")) for row in rows] == history.epoch == [0, 1, 2, 3]
    logged = {name: [float(row[name]) for row in rows] for name in rows[0]}
    known = [name for name in history.history if name != "learning_rate"]
    assert [name for name in logged if name != "learning_rate"] == known
    assert {name: logged[name] for name in known} == {name: history.history[name] for name in known}


def test_the_log_has_what_callbacks_before_it_add(tmp_path):
    listeners = [callbacks.LearningRateScheduler(lambda epoch: 0.01 / (epoch + 3)),
                 callbacks.CSVLogger(tmp_path / "log.csv")]  # fmt: skip
    _, history = learns_too_much(listeners, epochs=3)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {name: [float(row[name]) for row in rows] for name in rows[0] if name != "epoch"} == (
        history.history
    )


def test_divergence_ends_training_with_a_warning():
    net = regressor(optimizer=SGD(1e30))
    with pytest.warns(RuntimeWarning, match="the loss became .* in epoch 1") as caught:
        history = net.fit(PATIENTS, COURSE, epochs=5, callbacks=[callbacks.TerminateOnNaN()])
    assert [warning.filename for warning in caught] == [__file__]
    assert history.epoch == []
    assert np.isfinite(net.predict(PATIENTS)).all()


def written_to_a_terminal(call):
    """Return what `call(stream)` writes to a pseudo-terminal of 120 columns."""
    try:
        master, slave = pty.openpty()
    except OSError as error:  # a container may have none
        pytest.skip(f"no pseudo-terminal: {error}")
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    written = bytearray()

    def read():
        try:
            while part := os.read(master, 65536):
                written.extend(part)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with open(slave, "w", encoding="utf-8", newline="") as stream:
            call(stream)
    finally:
        reader.join(LONG)
        os.close(master)
    return written.decode()


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_a_progress_bar_on_a_terminal(with_tqdm, monkeypatch, clock):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)  # import tqdm raises ImportError
    monkeypatch.setenv("COLUMNS", "120")

    def call(stream):
        monkeypatch.setattr(sys, "stderr", stream)
        _, history = learns_too_much([callbacks.ProgressBar()], epochs=12, metrics=["r2"])
        losses.append(history.history["loss"][-1])

    losses = []
    written = written_to_a_terminal(call)
    last = written.rstrip().splitlines()[-1].split("\r")[-1]
    assert written.count("\r") > 2
    name_and_value = f"loss={losses[0]:.4g}" if with_tqdm else f"loss {losses[0]:.4g}"
    assert name_and_value in last
    assert "12/12" in last
    for name in ("val_loss", "r2", "val_r2"):
        assert name in last
    assert ("100%" in last) == with_tqdm
    assert ("3.60k/3.60k" in last) == with_tqdm
    assert written.endswith("\n")


def test_no_progress_bar_is_drawn_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    bar = callbacks.ProgressBar()
    net, _ = learns_too_much([bar], epochs=2)
    assert capsys.readouterr() == ("", "")
    assert sha256(net) == sha256(learns_too_much([], epochs=2)[0])


def test_a_progress_bar_changes_no_bit():
    def call(stream):
        net, _ = learns_too_much([callbacks.ProgressBar(stream=stream)], epochs=2)
        assert sha256(net) == sha256(learns_too_much([], epochs=2)[0])

    assert "loss=" in written_to_a_terminal(call)


# ---- what comes back ----------------------------------------------------------------------------


def test_the_history_of_a_real_fit_is_drawn_and_made_a_table(tmp_path):
    _, history = learns_too_much([], epochs=3, metrics=["r2"])
    figure = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    curves = [line.get_ydata() for ax in figure.axes for line in ax.lines]
    for values in history.history.values():
        assert any(np.array_equal(values, curve) for curve in curves)
    table = history.to_dataframe()
    assert table.to_dict("list") == history.history
    assert table.index.tolist() == [0, 1, 2]
    assert table.index.name == "epoch"


def test_no_epochs_with_everything_on(tmp_path):
    recorder = Batches()
    listeners = [
        recorder,
        callbacks.EarlyStopping(restore_best_weights=True),
        callbacks.ModelCheckpoint(tmp_path / "net"),
        callbacks.ReduceLROnPlateau(),
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.ProgressBar(show=True),
        callbacks.TerminateOnNaN(),
    ]
    net = yes_or_no()
    before = sha256(net)
    history = net.fit(TUMOURS, BENIGN, epochs=0, validation_split=0.3, metrics=["accuracy"],
                      class_weight="balanced", sample_weight=np.ones(569), callbacks=listeners,
                      verbose=1)  # fmt: skip
    assert (history.epoch, history.history) == ([], {})
    assert (sha256(net), net.step, net.epoch) == (before, 0, 0)
    assert [call[0] for call in recorder.calls] == ["train begin", "train end", "close"]
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


class CountedOrders:
    """Draws orders, and counts them."""

    def __init__(self):
        self.drawn, self.rng = 0, np.random.default_rng(0)

    def permutation(self, n):
        self.drawn += 1
        return self.rng.permutation(n)


def test_a_users_generator_draws_no_order_ahead():
    """A fit that ends early draws no further order, on any machine."""
    rate = SGD(1.01)  # errors grow by 2 % a step, so that the loss overflows after many epochs
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer=rate, seed=0)
    orders = CountedOrders()
    with pytest.raises(FloatingPointError, match="in epoch") as caught:
        net.fit(np.ones((4, 1)), np.ones(4), batch_size=1, epochs=10_000, shuffle=orders)
    assert f"in epoch {orders.drawn}," in str(caught.value)
