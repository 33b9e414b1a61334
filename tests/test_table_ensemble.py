"""The networks that suit most tables: when their training ends, and their probabilities.

Not here: the estimators (test_sklearn_tabular.py) and the command (test_cli_good.py) that train
them, and the codes of columns (test_table_codes.py).
"""

from dataclasses import replace

import numpy as np
import pytest

from fastnn import MLP, Dense, EarlyStopping
from fastnn.tabular import ensemble
from fastnn.tabular.calibration import sharpen, sharpness
from fastnn.tabular.ensemble import Settings, pick

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype("f4")
LABELS = (X[:, 0] + RNG.normal(size=400) > 0).astype(int)

SMALL = Settings(hidden=(16, 16), epochs=120, label_smoothing=0.0)


def trained(labels=LABELS, settings=SMALL, weight=None):
    return ensemble.train(settings, X, labels, n_classes=2, seeds=[0, 1, 2], sample_weight=weight)


# ---- validation rows ----------------------------------------------------------------------------


def counts_of(labels, fraction, seed=0):
    """Return how many rows of each class are picked, and how many there are."""
    picked = pick(np.random.default_rng(seed), labels, len(labels), fraction)
    sizes = np.bincount(labels)
    return np.bincount(labels[picked], minlength=len(sizes)), sizes


@pytest.mark.parametrize("fraction", [0.1, 0.15, 0.2, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(
    "sizes", [[4] + [5] * 40, [9] + [10] * 40, [994, 5], [2] * 50, [1, 7, 1, 2, 30], [3]]
)
def test_of_each_class_its_fraction_is_picked(sizes, fraction):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    counts, sizes = counts_of(labels, fraction)
    shares = sizes * fraction
    assert (counts <= np.minimum(np.floor(shares) + 1, sizes - 1)).all()
    assert (counts >= np.minimum(np.ceil(shares) - 1, sizes - 1)).all()


def test_a_class_whose_first_row_is_chosen_has_its_rows():
    labels = np.r_[np.zeros(4, int), np.repeat(np.arange(1, 41), 5)]
    assert counts_of(labels, 0.2)[0].tolist() == [0] + [1] * 40
    assert counts_of(np.repeat([0, 1], [994, 5]), 0.2)[0].tolist() == [198, 1]


def test_other_rows_do_not_depend_on_where_classes_begin():
    labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [62, 68, 70]))
    order = np.random.default_rng(0).permutation(200)
    order = order[np.argsort(labels[order], kind="stable")]
    expected = np.arange(6, 200, 7)
    assert 62 in expected  # the first row of class 1
    expected[expected == 62] = 63
    picked = pick(np.random.default_rng(0), labels, 200, 1 / 7 + 1e-12)
    assert np.flatnonzero(picked).tolist() == sorted(order[expected])


def test_a_row_is_picked_where_most_classes_have_one_row():
    labels = np.r_[np.arange(15), np.full(4, 15), 16]
    assert counts_of(labels, 0.05)[0].tolist() == [0] * 15 + [1, 0]
    assert not pick(np.random.default_rng(0), np.arange(9), 9, 0.5).any()
    assert pick(np.random.default_rng(0), np.zeros(0, int), 0, 0.5).shape == (0,)


def test_a_few_rows_are_validated_by_one_of_them():
    found = ensemble.train(SMALL, X[:4], X[:4, 0], n_classes=None, seeds=[0, 1], output="identity",
                           loss="squared_error")  # fmt: skip
    assert [len(rows) for rows in found.validation] == [1, 1]
    assert "val_loss" in found.fits.histories[0].history


def test_rows_that_cannot_be_held_out_are_an_error():
    with pytest.raises(ValueError, match=r"0\.15 needs a row .* is the only one of its class"):
        ensemble.train(SMALL, X[:2], np.arange(2), n_classes=2, seeds=[0])
    settings = replace(SMALL, validation=0.0)
    found = ensemble.train(settings, X[:2], np.arange(2), n_classes=2, seeds=[0])
    assert found.validation == []


def test_the_validation_rows_of_a_training_are_stratified():
    labels = np.repeat([0, 1], [340, 60])
    settings = replace(SMALL, epochs=1)
    found = ensemble.train(settings, X, labels, n_classes=2, seeds=range(8))
    assert [np.bincount(labels[rows]).tolist() for rows in found.validation] == [[51, 9]] * 8
    assert len({tuple(rows) for rows in found.validation}) == 8


# ---- networks -----------------------------------------------------------------------------------


def test_a_network_has_the_settings():
    """Those that no option of the estimators and the command line changes, too."""
    net = Settings().network(20, 3, "softmax", "cross_entropy", 6400, seed=0)
    *hidden, last = net.dense
    assert [d.units for d in hidden] == [192] * 3
    assert {d.activation.name for d in hidden} == {"silu"}
    assert {d.bias_initializer for d in hidden} == {"standard_normal"}
    assert [d.learning_rate_multiplier for d in net.dense] == [4.0, 1.0, 1.0, 1.0]
    assert (last.units, last.bias_initializer) == (3, "zeros")
    assert net.dropout_rates == pytest.approx([0.0, 0.05, 0.05, 0.05])
    rule = net.optimizer
    assert (rule.name, rule.weight_decay) == ("adamw", 0.02)
    assert (rule.use_ema, rule.ema_momentum) == (True, 0.99)
    n = 100 * Settings().n_epochs(6400)  # updates
    rates = rule.learning_rate(np.arange(n + 1))
    assert (rates[0], rates.argmax(), rates[-1]) == (0, 0.05 * n, 0)
    assert rates.max() == pytest.approx(3e-3)


def test_the_averages_of_the_best_epoch_are_kept():
    found = trained()
    for net, rows, history in zip(found.fits, found.validation, found.fits.histories, strict=True):
        best = min(history.history["val_loss"])
        assert net.evaluate(X[rows], LABELS[rows]) == best


@pytest.mark.parametrize("validation", [0.0, 0.15])
@pytest.mark.parametrize("is_class", [False, True])
def test_the_moving_averages_are_the_kept_weights(is_class, validation):
    settings = replace(SMALL, epochs=30, validation=validation, label_smoothing=0.2)
    y = LABELS if is_class else 1000 + 100 * X[:, 0]
    of_numbers = {"n_classes": None, "output": "identity", "loss": "squared_error"}
    options = {"n_classes": 2} if is_class else of_numbers
    for net in ensemble.train(settings, X, y, seeds=[0, 1], **options).fits:
        assert (net.averaged().predict(X) == net.predict(X)).all()


# ---- the end of a training ----------------------------------------------------------------------


def test_a_training_whose_best_epoch_is_long_past_ends(monkeypatch):
    labels = RNG.integers(2, size=400)  # of which nothing can be learned for long
    found = trained(labels=labels)
    epochs = [status.epochs for status in found.fits.statuses]
    assert sum(epochs) < 3 * 120
    assert epochs == [min(120, best + 1 + 18) for best in found.fits.best_epochs]
    never = EarlyStopping(patience=2**31 - 1, restore_best_weights=True)
    monkeypatch.setattr(Settings, "stopping", lambda *_: never)
    whole = trained(labels=labels)
    assert [status.epochs for status in whole.fits.statuses] == [120] * 3
    assert whole.fits.best_epochs == found.fits.best_epochs
    for a, b in zip(found.fits, whole.fits, strict=True):
        np.testing.assert_array_equal(a.get_flat_weights(), b.get_flat_weights())


@pytest.mark.parametrize(("epochs", "patience"), [(1, 5), (33, 5), (34, 6), (150, 23)])
def test_the_patience_is_a_part_of_the_epochs(epochs, patience):
    assert Settings(epochs=epochs).stopping(100).patience == patience


# ---- probabilities ------------------------------------------------------------------------------


def drawn(factor, n=20000, n_classes=3):
    """Return probabilities (n, n_classes), and labels drawn from those sharper by a factor."""
    logits = RNG.normal(size=(n, n_classes)) * 1.5
    sharp = np.exp(factor * logits)
    sharp /= sharp.sum(axis=1, keepdims=True)
    labels = (RNG.random((n, 1)) > sharp.cumsum(axis=1)).sum(axis=1)
    mild = np.exp(logits)
    return mild / mild.sum(axis=1, keepdims=True), labels.clip(max=n_classes - 1)


@pytest.mark.parametrize(("factor", "expected"), [(0.1, 0.25), (0.5, 0.5), (1.0, 1.0), (1.5, 1.5),
                                                  (9.0, 9.0), (40.0, 16.0)])  # fmt: skip
def test_the_sharpness_that_labels_show(factor, expected):
    assert sharpness([(*drawn(factor), None)]) == pytest.approx(expected, rel=0.06)


def test_the_sharpness_has_the_smallest_log_loss():
    P, labels = drawn(5.0, n=500)

    def loss(factor):
        sharper = P**factor / (P**factor).sum(axis=1, keepdims=True)
        of_random_labels = -np.log(sharper).mean()  # of one average row
        return -np.log(sharper[np.arange(500), labels]).sum() + of_random_labels

    found = sharpness([(P, labels, None)])
    assert loss(found) <= min(loss(found * 0.98), loss(found * 1.02))


def test_weights_count():
    mild, sharp = drawn(1.0), drawn(1.6)
    P, labels = (np.concatenate(pair) for pair in zip(mild, sharp, strict=True))
    for weights, expected in (([1.0, 0.0], 1.0), ([0.0, 1.0], 1.6)):
        found = sharpness([(P, labels, np.repeat(weights, 20000))])
        assert found == pytest.approx(expected, abs=0.06)
    assert sharpness([]) == 1.0


def test_certain_probabilities_have_a_sharpness():
    P = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert np.isfinite(sharpness([(P, np.array([0, 1]), None)]))
    assert np.isfinite(sharpness([(P, np.array([1, 0]), None)]))


def test_the_sharpness_is_moderate_if_all_predictions_are_right():
    P = np.tile([0.95, 0.05], (40, 1))
    assert 1 < sharpness([(P, np.zeros(40, int), None)]) < 2


def test_a_sharper_network_has_its_logits_times_the_factor():
    net = MLP(6, [Dense(8, "tanh"), Dense(3, "softmax")], loss="cross_entropy", optimizer="adam",
              seed=0, dtype="float64")  # fmt: skip
    before = net.predict(X.astype(float))
    sharpen(net, 1.5)
    expected = before**1.5
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.predict(X.astype(float)), expected, rtol=1e-12)


def test_strongly_smoothed_labels_are_sharpened_as_far_as_the_log_loss_falls(monkeypatch):
    factors = []
    monkeypatch.setattr(ensemble, "sharpen", lambda _, factor: factors.append(factor))
    trained(settings=replace(SMALL, label_smoothing=0.8))
    assert factors[0] > 2


@pytest.mark.parametrize("weight", [None, np.where(LABELS, 0.1, 4.0)])
def test_networks_of_smoothed_labels_are_sharpened_together(monkeypatch, weight):
    factors = []
    monkeypatch.setattr(ensemble, "sharpen", lambda _, factor: factors.append(factor))
    found = trained(settings=replace(SMALL, label_smoothing=0.3), weight=weight)
    assert len(factors) == 3
    assert len(set(factors)) == 1
    assert factors[0] > 1.05
    pairs = [(net.predict(X[rows]), LABELS[rows], None if weight is None else weight[rows])
             for net, rows in zip(found.fits, found.validation, strict=True)]  # fmt: skip
    assert sharpness(pairs) == factors[0]
    factors.clear()
    trained()
    assert factors == []
