"""Losses that are Python functions: as a built-in loss wherever they say the same.

Not here: steps from gradients that a user computed (test_output_gradients.py).
"""

import pickle
import re

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Adam,
    CosineDecay,
    CustomLoss,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    ModelCheckpoint,
    check_gradients,
    load,
)
from fastnn.training import rows as row_sources


def half_square(y_true, y_pred):
    error = y_pred - y_true
    return 0.5 * (error * error).sum(axis=1), error


def log_likelihood(y_true, y_pred):
    """Cross-entropy behind softmax, of labels or of rows."""
    t = np.eye(y_pred.shape[1], dtype=y_pred.dtype)[y_true] if y_true.ndim == 1 else y_true
    return -(t * np.log(y_pred)).sum(axis=1), -t / y_pred


LAYERS = {
    "plain": [Dense(16, "gelu"), Dense(2)],
    "dropout": [Dropout(0.2), Dense(16, "tanh"), Dropout(0.5), Dense(2, "sigmoid")],
    "penalties": [Dense(16, "tanh", l2=0.1), LayerNorm(), Dense(2, l1=0.01)],
    "tiny": [Dense(3, "tanh"), Dense(2)],
}


def networks(layers="plain", **options):
    """Return the same network with the built-in squared error, and with a function for it."""
    options = {"optimizer": Adam(0.01), "seed": 2, **options}
    return [MLP(5, LAYERS[layers], loss=loss, **options) for loss in ("squared_error", half_square)]


@pytest.fixture
def data(rng):
    return rng.standard_normal((150, 5)), rng.uniform(-1, 1, (150, 2)), rng.uniform(0, 2, 150)


def assert_same(nets, histories):
    """Check that weights are equal, and losses up to the rounding of their sums."""
    assert np.array_equal(*(net.get_flat_weights() for net in nets))
    theirs, ours = histories
    assert theirs.keys() == ours.keys()
    for name in theirs:
        assert np.allclose(theirs[name], ours[name], rtol=1e-5, atol=1e-7), name


# ---- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_size", [1, 32, None])
def test_a_fit_has_the_bits_of_the_built_in_loss(layers, reduction, dtype, batch_size, data):
    X, y, _ = data
    nets = networks(layers, reduction=reduction, dtype=dtype)
    fits = [net.fit(X, y, batch_size=batch_size, epochs=3) for net in nets]
    assert_same(nets, [fit.history for fit in fits])
    assert nets[0].epoch == nets[1].epoch == 3


@pytest.mark.parametrize("scale_penalties", [True, False])
def test_a_fit_with_everything(scale_penalties, data):
    X, y, w = data
    optimizer = Adam(CosineDecay(0.01, 9, per="epoch"), global_clipnorm=0.05)
    nets = networks("penalties", optimizer=optimizer, scale_penalties=scale_penalties)
    options = {
        "sample_weight": w,
        "validation_split": 0.3,
        "metrics": ["mae", "r2"],
        "epochs": 3,
        "callbacks": [EarlyStopping("val_loss")],
    }
    assert_same(nets, [net.fit(X, y, **options).history for net in nets])


def test_a_batch_of_several_rounds(rng):
    X, y = rng.standard_normal((2500, 5)), rng.uniform(-1, 1, (2500, 2))
    nets = networks("dropout")
    assert_same(nets, [net.fit(X, y, batch_size=2100, epochs=2).history for net in nets])


def narrow(X, y):
    return X.astype(np.uint8), y


def batches(X, y):
    return ([(X[:50], y[:50]), (X[50:], y[50:])],)


@pytest.mark.parametrize("make", [narrow, batches])
def test_rows_from_elsewhere(make, data, monkeypatch):
    monkeypatch.setattr(row_sources, "LARGE_BYTES", 100)
    monkeypatch.setattr(row_sources, "BLOCK_BYTES", 1000)
    X, y, _ = data
    rows = make(np.abs(X).round(), y)
    nets = networks()
    assert_same(nets, [net.fit(*rows, epochs=2).history for net in nets])
    if len(rows) == 2:
        X, _ = rows
        assert nets[1].evaluate(X, y) == nets[1].evaluate(X.astype(float), y)


def test_calls_with_batches(data):
    X, y, w = data
    nets = networks("dropout")
    losses = [[net.train_on_batch(X, y), net.train_on_batch(X[:3], y[:3], w[:3])] for net in nets]
    assert_same(nets, [{"loss": loss} for loss in losses])
    both = [net.loss_and_gradients(X, y, w, training=True, flat=True) for net in nets]
    assert both[0][0] == pytest.approx(both[1][0])
    assert np.array_equal(both[0][1], both[1][1])
    assert np.array_equal(*(net.per_sample_gradients(X, y, flat=True) for net in nets))
    assert nets[0].evaluate(X, y, w) == pytest.approx(nets[1].evaluate(X, y, w))


@pytest.mark.parametrize("as_rows", [True, False])
def test_classes(as_rows, rng):
    """The function is given what the user passed, labels or rows."""
    X, labels = rng.standard_normal((90, 4)), rng.integers(3, size=90)
    y, layers = np.eye(3)[labels] if as_rows else labels, [Dense(8, "tanh"), Dense(3, "softmax")]
    losses = "cross_entropy", CustomLoss(log_likelihood, targets="class")
    nets = [MLP(4, layers, loss=loss, optimizer="adam", seed=0) for loss in losses]
    options = {"metrics": ["accuracy"], "class_weight": "balanced", "validation_split": 0.2}
    histories = [net.fit(X, y, epochs=3, **options).history for net in nets]
    assert np.allclose(*(net.get_flat_weights() for net in nets), rtol=0, atol=1e-6)
    assert np.allclose(*(history["val_loss"] for history in histories), rtol=1e-5)


def test_targets_of_any_width(rng):
    """Outputs are mean and log variance of one target."""

    def gaussian(y_true, y_pred):
        mean, log_variance = y_pred.T
        error = mean - y_true[:, 0]
        scaled = error * np.exp(-log_variance)
        losses = 0.5 * (log_variance + error * scaled)
        return losses, np.stack([scaled, 0.5 * (1 - error * scaled)], axis=1)

    X = rng.uniform(-1, 1, (400, 1))
    y = X[:, 0] + (0.1 + 0.4 * (X[:, 0] > 0)) * rng.standard_normal(400)
    net = MLP(1, [Dense(16, "tanh"), Dense(2)], loss=CustomLoss(gaussian, targets="any"),
              optimizer=Adam(0.02), seed=0)  # fmt: skip
    assert check_gradients(net, X[:5], y[:5]) < 1e-6
    net.fit(X, y, epochs=60, validation_data=(X[:9], y[:9]))
    left, right = np.exp(0.5 * net([[-0.5], [0.5]])[:, 1])
    assert left < 0.2 < 0.35 < right
    with pytest.raises(ValueError, match=r"metric 'mae' needs .* a function"):
        net.fit(X, y, metrics=["mae"])


def test_a_loss_may_depend_on_the_whole_batch(rng):
    """The gradients are those of the sum of the losses."""

    def with_mean(y_true, y_pred):
        mean = y_pred.mean(axis=0)
        return (y_pred * mean).sum(axis=1), np.tile(2 * mean, (len(y_pred), 1))

    net = MLP(3, [Dense(8, "tanh"), Dense(2)], loss=with_mean, optimizer="sgd", seed=0)
    assert check_gradients(net, rng.standard_normal((20, 3)), np.zeros((20, 2))) < 1e-6


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_gradient_that_is_0_but_for_rounding_is_right(rng, factor):
    """The output biases do not change a loss of differences between rows."""

    def centred(y_true, y_pred):
        error = y_pred - y_true
        error -= error.mean(axis=0)
        return 0.5 * (error**2).sum(axis=1), factor * error

    net = MLP(3, [Dense(8, "tanh"), Dense(2)], loss=centred, optimizer="sgd", seed=0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    assert 0 < np.abs(net.copy(dtype="float64").loss_and_gradients(X, y)[1][-1]).max() < 1e-15
    assert (check_gradients(net, X, y) < 1e-6) == (factor == 1)


def test_a_wrong_gradient_is_found(data):
    net = networks()[1]

    def doubled(y_true, y_pred):
        losses, gradients = half_square(y_true, y_pred)
        return losses, 2 * gradients

    X, y, _ = data
    assert check_gradients(net, X[:9], y[:9]) < 1e-6
    wrong = MLP(5, LAYERS["plain"], loss=doubled, optimizer="sgd", seed=2)
    assert check_gradients(wrong, X[:9], y[:9]) > 0.1


def test_it_is_called_once_a_batch_with_that_batch(data):
    seen = []

    def look(y_true, y_pred):
        seen.append((y_true.copy(), y_pred.shape, y_true.dtype))
        return half_square(y_true, y_pred)

    X, y, _ = data
    net = MLP(5, [Dense(2)], loss=look, optimizer="sgd", seed=0)
    net.fit(X, y, batch_size=60, shuffle=False, epochs=2)
    sizes = [len(t) for t, _, _ in seen]
    assert sizes[:6] == [60, 60, 30] * 2
    assert np.array_equal(seen[1][0], y[60:120].astype(np.float32))
    assert {dtype for _, _, dtype in seen} == {np.dtype(np.float32)}


# ---- what the function does ---------------------------------------------------------------------


def test_it_cannot_change_the_targets(data):
    def rude(y_true, y_pred):
        y_true += 1
        return half_square(y_true, y_pred)

    X, y, _ = data
    net = MLP(5, [Dense(2)], loss=rude, optimizer="sgd", dtype="float64")
    y, kept = y.copy(), y.copy()
    for call in (net.fit, net.evaluate, net.train_on_batch, net.loss_and_gradients):
        with pytest.raises(ValueError, match="read-only"):
            call(X, y)
    assert np.array_equal(y, kept)
    assert net.step == 0


def test_it_may_work_in_place_on_the_outputs(data):
    def in_place(y_true, y_pred):
        y_pred -= y_true
        return 0.5 * (y_pred * y_pred).sum(axis=1), y_pred

    X, y, _ = data
    theirs, _ = networks()
    ours = MLP(5, LAYERS["plain"], loss=in_place, optimizer=Adam(0.01), seed=2)
    options = {"metrics": ["mae"], "validation_split": 0.2}
    assert_same([theirs, ours], [net.fit(X, y, **options).history for net in (theirs, ours)])


def wide(y_true, y_pred):
    return np.zeros(len(y_pred)), np.zeros((len(y_pred), 3))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda t, y: 0.5, TypeError, r"must return \(losses, gradients\), .* it returned 0.5"),
        (lambda t, y: (0.5, y), ValueError, r"losses of shape \(\) for 32 rows; return one loss"),
        (lambda t, y: (y, y), ValueError, r"losses of shape \(32, 2\)"),
        (wide, ValueError, r"gradients of the loss function has shape \(32, 3\)"),
        (lambda t, y: (y[:, 0], y * np.nan), ValueError, r"gradients .*\[0, 0\] is nan"),
        (lambda t, y: (["a"] * len(y), y), TypeError, "losses of the loss function must hold"),
    ],
)
def test_what_it_returns_is_checked(function, error, message, data):
    X, y, _ = data
    net = MLP(5, [Dense(2)], loss=function, optimizer="sgd", seed=0)
    before = net.get_flat_weights()
    with pytest.raises(error, match=message):
        net.fit(X, y)
    assert np.array_equal(net.get_flat_weights(), before)
    assert net.step == 0


def test_its_own_error_is_raised_unchanged(data):
    def broken(y_true, y_pred):
        raise LookupError("mine")

    X, y, _ = data
    with pytest.raises(LookupError, match="mine"):
        MLP(5, [Dense(2)], loss=broken, optimizer="sgd").fit(X, y)


def test_a_loss_that_is_not_finite_ends_the_fit(data):
    X, y, _ = data
    calls = []

    def diverges(y_true, y_pred):
        calls.append(1)
        losses, gradients = half_square(y_true, y_pred)
        return losses + (np.nan if len(calls) > 3 else 0), gradients

    net = MLP(5, [Dense(2)], loss=diverges, optimizer="sgd", seed=0)
    with pytest.raises(
        FloatingPointError, match="became nan in epoch 1, step 4: the network was restored"
    ):
        net.fit(X, y)
    assert np.isfinite(net.get_flat_weights()).all()
    before = net.get_flat_weights()
    with pytest.raises(FloatingPointError, match="became nan, so no update was made"):
        net.train_on_batch(X, y)
    assert np.array_equal(net.get_flat_weights(), before)


def test_predictions_within_it_are_allowed(data):
    X, y, _ = data

    def nosy(y_true, y_pred):
        net.predict(X)
        return half_square(y_true, y_pred)

    net = MLP(5, LAYERS["plain"], loss=nosy, optimizer=Adam(0.01), seed=2)
    theirs, _ = networks()
    assert_same([theirs, net], [n.fit(X, y, epochs=2).history for n in (theirs, net)])


def test_steps_within_it_are_refused(data):
    X, y, _ = data

    def training(y_true, y_pred):
        net.train_on_batch(X, y)
        return half_square(y_true, y_pred)

    net = MLP(5, LAYERS["plain"], loss=training, optimizer=Adam(0.01), seed=2)
    with pytest.raises(RuntimeError, match=r"a loss function that trains .* work on a copy"):
        net.fit(X, y)


# ---- copies, files, other forms -----------------------------------------------------------------


def test_copies_have_the_function(data):
    X, y, _ = data
    net = networks()[1]
    net.fit(X, y)
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.loss == net.loss
        assert twin.train_on_batch(X, y) == net.copy().train_on_batch(X, y)
    assert net.copy(dtype="float64").evaluate(X, y) == pytest.approx(net.evaluate(X, y))


def test_a_file_has_the_name_of_the_function_alone(data, tmp_path):
    X, y, _ = data
    path, net = tmp_path / "net.safetensors", networks()[1]
    net.fit(X, y)
    net.save(path)
    assert b"half_square" in path.read_bytes()
    twin = load(path)
    assert np.array_equal(twin(X), net(X))
    before = twin.get_flat_weights()
    remedy = "the function 'half_square', which files do not store; .* loss=half_square"
    for call in (twin.fit, twin.evaluate, twin.train_on_batch, twin.loss_and_gradients):
        with pytest.raises(ValueError, match=remedy):
            call(X, y)
    assert np.array_equal(twin.get_flat_weights(), before)
    twin = load(path, loss=half_square)
    assert twin.loss == net.loss
    fits = [each.fit(X, y, epochs=2).history for each in (net, twin)]
    assert fits[0] == fits[1]
    assert np.array_equal(net.get_flat_weights(), twin.get_flat_weights())


def test_a_function_for_a_file_keeps_its_targets(tmp_path):
    path = tmp_path / "net.safetensors"
    loss = CustomLoss(log_likelihood, targets="class")
    MLP(2, [Dense(3, "softmax")], loss=loss, optimizer="sgd").save(path)
    assert load(path, loss=log_likelihood).loss == loss
    assert load(path, loss=CustomLoss(half_square)).loss == CustomLoss(half_square)


@pytest.mark.parametrize(
    ("own", "loss", "error", "message"),
    [
        (False, half_square, ValueError, "this file has 'squared_error': leave loss out"),
        (True, 3, TypeError, "loss must be a function"),
        (True, "huber", TypeError, "loss must be a function"),
        (True, lambda y: y, TypeError, "but the signature of"),
    ],
)
def test_a_loss_for_a_file_is_checked(own, loss, error, message, tmp_path):
    path = tmp_path / "net.safetensors"
    networks()[own].save(path)
    with pytest.raises(error, match=message):
        load(path, loss=loss)


def test_a_fit_is_resumed(data, tmp_path):
    X, y, _ = data
    whole, path = networks("dropout")[1], tmp_path / "net.safetensors"
    short = whole.copy()
    whole.fit(X, y, epochs=5)
    kept = {"callbacks": [ModelCheckpoint(path, "loss")]}
    short.fit(X, y, epochs=2, **kept)
    resumed = networks("dropout")[1]
    resumed.fit(X, y, epochs=5, resume=path, **kept)
    assert np.array_equal(whole.get_flat_weights(), resumed.get_flat_weights())


def test_plain_data():
    net = networks()[1]
    config = net.get_config()
    assert config["loss"] == {"name": "custom", "function": "half_square", "targets": "real"}
    assert MLP.from_config(config).get_config() == config
    for wrong in ({"name": "custom"}, {**config["loss"], "function": 3}):
        with pytest.raises((TypeError, ValueError), match=re.escape("config['loss']")):
            MLP.from_config({**config, "loss": wrong})


def test_what_a_function_cannot_be_used_for(data, tmp_path):
    net = networks()[1]
    with pytest.raises(ValueError, match="training=True needs a built-in loss"):
        net.to_c(tmp_path / "net.c", training=True)
    net.to_c(tmp_path / "net.c")
    with pytest.raises(ValueError, match=r"profile needs .* loss='linear'"):
        fastnn.profile(net, *data[:2])


@pytest.mark.parametrize("value", [3, int, lambda y: y, lambda y, p, q: y])
def test_it_must_be_a_function_of_two(value):
    with pytest.raises(TypeError, match=r"loss must be one of|called as f|must be a function"):
        MLP(2, [Dense(1)], loss=value, optimizer=SGD(0.1))


def test_kinds_of_targets_have_names():
    with pytest.raises(ValueError, match="targets must be one of 'real', 'positive'"):
        CustomLoss(half_square, targets="labels")
