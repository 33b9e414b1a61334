"""Losses at the output: stable for any pre-activation, correct for every legal pair.

The networks here pass their inputs through as pre-activations (W = 1, b = 0), as large as the
exponents of either precision, and beyond.
"""

import numpy as np
import pytest

import fastnn
from fastnn import MLP, Activation, Dense, Quantile, losses, reference
from fastnn import kernels as public_kernels

LOGITS = [-1e4, -745.0, -88.8, -20.0, -1e-3, 0.0, 1e-3, 20.0, 88.8, 745.0, 1e4]


def pass_through(n, loss, output, dtype):
    """A network whose pre-activations are its n inputs."""
    options = {"loss": loss, "optimizer": "sgd", "reduction": "sum", "dtype": dtype}
    net = MLP(n, [Dense(n, output)], **options)
    net.set_weights([np.eye(n), np.zeros(n)])
    return net


def assert_like_the_reference(net, X, t, dtype):
    loss, gradients = net.loss_and_gradients(X, t)
    expected_loss, expected = reference.Network.like(net.copy(dtype="float64")).loss_and_gradients(
        np.asarray(X, dtype).astype(float), np.asarray(t, dtype).astype(float)
    )
    rounding = 16 * np.finfo(dtype).eps
    assert np.isfinite(loss)
    assert np.isclose(loss, expected_loss, rtol=rounding, atol=rounding)
    for gradient, truth in zip(gradients, expected, strict=True):
        assert np.isfinite(gradient).all()
        size = np.abs(X).max() + 1
        assert np.allclose(gradient, truth, rtol=rounding, atol=rounding * size)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("a", LOGITS)
def test_binary_cross_entropy_of_any_logit(kernels, isa, a, t):
    net = pass_through(1, "binary_cross_entropy", "sigmoid", kernels.DTYPE)
    assert_like_the_reference(net, [[a]], [[t]], kernels.DTYPE)


@pytest.mark.parametrize("a", [5.0, 10.0, 15.0, 20.0, 40.0, 80.0])
def test_a_confident_loss_keeps_its_digits(kernels, isa, a):
    """log(1 + e^-a) behind a right prediction, where log(1 + e^a) - a would cancel."""
    net = pass_through(1, "binary_cross_entropy", "sigmoid", kernels.DTYPE)
    expected = np.log1p(np.exp(-a))
    assert np.allclose([net.evaluate([[a]], [1]), net.evaluate([[-a]], [0])], expected, 1e-6, 0)


@pytest.mark.parametrize("t", [0, 1, 2])
@pytest.mark.parametrize("a", LOGITS)
def test_cross_entropy_of_any_logit(kernels, isa, a, t):
    net = pass_through(3, "cross_entropy", "softmax", kernels.DTYPE)
    for row in ([a, -a, 0.0], [a, a, a], [a, a - 1, a + 1]):
        assert_like_the_reference(net, [row], np.eye(3)[[t]], kernels.DTYPE)
        labelled = net.loss_and_gradients([row], [t])
        one_hot = net.loss_and_gradients([row], np.eye(3)[[t]])
        assert labelled[0] == one_hot[0]
        assert all(map(np.array_equal, labelled[1], one_hot[1]))


@pytest.mark.parametrize("t", [0.0, 1.0, 7.0])
@pytest.mark.parametrize("a", LOGITS)
def test_poisson_of_any_logit(kernels, isa, a, t):
    net = pass_through(1, "poisson", "softplus", kernels.DTYPE)
    assert_like_the_reference(net, [[a]], [[t]], kernels.DTYPE)
    if a <= 20:  # e^a overflows where the expected count would
        net = pass_through(1, "poisson", "exp", kernels.DTYPE)
        assert_like_the_reference(net, [[a]], [[t]], kernels.DTYPE)


def test_losses_and_gradients_of_extreme_pre_activations_are_finite(kernels, isa, pair):
    """Finite losses and gradients wherever the output itself is finite."""
    loss, output = pair
    net = pass_through(2, loss, output, kernels.DTYPE)
    for a in [a for a in LOGITS if output != "exp" or abs(a) <= 20]:  # e^a overflows, as it must
        value, gradients = net.loss_and_gradients([[a, -a]], [[1.0, 0.0]])
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("n", [2, 3, 17, 100])
def test_softmax_sums_to_one(kernels, isa, rng, n):
    net = pass_through(n, "cross_entropy", "softmax", kernels.DTYPE)
    for scale in (0, 1, 88.8, 745, 1e4):
        y = net.predict(scale * rng.uniform(-1, 1, (50, n)))
        assert (y >= 0).all()
        assert np.abs(y.sum(1, dtype=np.float64) - 1).max() < 1e-6


# ---- label smoothing ----------------------------------------------------------------------------

SMOOTH = {
    "binary_cross_entropy": ("sigmoid", losses.BinaryCrossEntropy, lambda t: 0.9 * t + 0.05),
    "cross_entropy": ("softmax", losses.CrossEntropy, lambda t: 0.9 * t + 0.1 / t.shape[1]),
}


@pytest.mark.parametrize("n", [1, 3, 17])
@pytest.mark.parametrize("name", SMOOTH)
def test_label_smoothing_is_keras_formula(kernels, isa, rng, name, n):
    output, loss, smoothed = SMOOTH[name]
    n = max(n, 2) if output == "softmax" else n
    X = rng.normal(size=(9, n))
    t = np.eye(n)[rng.integers(0, n, 9)] if output == "softmax" else rng.integers(0, 2, (9, n))
    net = pass_through(n, loss(label_smoothing=0.1), output, kernels.DTYPE)
    assert_like_the_reference(net, X, t, kernels.DTYPE)
    plain = pass_through(n, name, output, kernels.DTYPE)
    rounding = 64 * np.finfo(kernels.DTYPE).eps
    value, gradients = net.loss_and_gradients(X, t)
    expected, slopes = plain.loss_and_gradients(X, smoothed(t.astype(float)))
    assert np.isclose(value, expected, rtol=rounding)
    for g, truth in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(g, truth, rtol=0, atol=rounding * 9)
    assert not np.isclose(value, plain.evaluate(X, t), rtol=1e-6)


@pytest.mark.parametrize("name", SMOOTH)
def test_label_smoothing_of_0_changes_no_bit(kernels, isa, rng, name):
    """Targets of rows, each with a weight of its own."""
    output, loss, _ = SMOOTH[name]
    X, t = rng.normal(size=(50, 4)), np.eye(4)[rng.integers(0, 4, 50)]
    found = [
        pass_through(4, kind, output, kernels.DTYPE).loss_and_gradients(X, t, rng_weights)
        for kind in (name, loss(label_smoothing=0.0))
        for rng_weights in [np.linspace(0.5, 2, 50)]
    ]
    assert found[0][0] == found[1][0]
    assert all(map(np.array_equal, found[0][1], found[1][1]))


def test_label_smoothing_of_each_output_has_its_weight(kernels, isa, rng):
    X, t = rng.normal(size=(9, 3)), rng.integers(0, 2, (9, 3)).astype(float)
    weights = rng.uniform(0.5, 2, (9, 3))
    net = pass_through(3, losses.BinaryCrossEntropy(label_smoothing=0.2), "sigmoid", kernels.DTYPE)
    plain = pass_through(3, "binary_cross_entropy", "sigmoid", kernels.DTYPE)
    value = net.evaluate(X, t, weights)
    expected = plain.evaluate(X, 0.8 * t + 0.1, weights)
    assert np.isclose(value, expected, rtol=64 * np.finfo(kernels.DTYPE).eps)


def test_label_smoothing_is_saved(tmp_path):
    net = pass_through(3, losses.CrossEntropy(label_smoothing=0.2), "softmax", "float64")
    net.save(tmp_path / "net.safetensors")
    assert fastnn.load(tmp_path / "net.safetensors").loss == net.loss


# ---- pairs --------------------------------------------------------------------------------------


def test_legal_pairs(kernels, isa, rng, pair, targets):
    loss, output = pair
    net = pass_through(5, loss, output, kernels.DTYPE)
    X = rng.uniform(-2, 2, (8, 5))
    t = targets(loss, reference.Network.like(net.copy(dtype="float64")).predict(X), rng)
    assert_like_the_reference(net, X, t, kernels.DTYPE)
    expected = reference.Network.like(net).evaluate(X, t)
    assert np.isclose(net.evaluate(X, t), expected, rtol=16 * np.finfo(kernels.DTYPE).eps)


def test_illegal_pairs_raise_when_built(illegal_pair):
    loss, output = illegal_pair
    with pytest.raises(ValueError, match=f"{loss}.*last layer.*{output}"):
        MLP(2, [Dense(2, output)], loss=loss, optimizer="sgd")
    with pytest.raises(ValueError, match=f"{loss}.*last layer.*{output}"):
        public_kernels.output_delta([[0.0, 1.0]], [[0.0, 1.0]], loss, output)


def test_softmax_over_one_unit_raises():
    with pytest.raises(ValueError, match="softmax over 1 unit"):
        MLP(2, [Dense(1, "softmax")], loss="cross_entropy", optimizer="sgd")


def test_softmax_in_a_hidden_layer_raises():
    with pytest.raises(ValueError, match="output layer only"):
        MLP(2, [Dense(3, "softmax"), Dense(1)], loss="squared_error", optimizer="sgd")


# ---- parameters ---------------------------------------------------------------------------------


def test_a_quantile_for_each_output(kernels, isa):
    """E = max(q u, (q - 1) u) with u = t - y."""
    q = (0.1, 0.5, 0.9)
    net = pass_through(3, Quantile(q), "identity", kernels.DTYPE)
    for u in (2.0, -2.0):
        loss, (_, db) = net.loss_and_gradients([[0.0, 0.0, 0.0]], [[u, u, u]])
        assert np.isclose(loss, sum(max(qk * u, (qk - 1) * u) for qk in q))
        assert np.allclose(db, [-qk if u > 0 else 1 - qk for qk in q])


def test_as_many_quantiles_as_outputs():
    with pytest.raises(ValueError, match="q has 2 values but the network has 3 outputs"):
        pass_through(3, Quantile((0.1, 0.9)), "identity", "float32")


@pytest.mark.parametrize("delta", [0.1, 1.0, 3.0])
def test_huber_is_continuous_at_delta(kernels, isa, delta):
    """1/2 r^2 up to delta, then a line of slope delta: value and slope are continuous."""
    net = pass_through(1, losses.Huber(delta), "identity", kernels.DTYPE)
    for r in (delta / 2, delta * (1 - 1e-5), delta, delta * (1 + 1e-5), 10 * delta):
        loss, (_, db) = net.loss_and_gradients([[r]], [[0.0]])
        assert np.isclose(loss, r**2 / 2 if r <= delta else delta * (r - delta / 2), rtol=1e-6)
        assert np.isclose(db[0], min(r, delta), rtol=1e-6)


# ---- kinks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["absolute_error", "quantile", "huber", "squared_error"])
def test_slope_of_a_loss_at_its_target(kernels, isa, loss):
    net = pass_through(1, loss, "identity", kernels.DTYPE)
    value, gradients = net.loss_and_gradients([[0.75]], [[0.75]])
    assert value == 0
    assert all((g == 0).all() for g in gradients)


@pytest.mark.parametrize(
    ("activation", "left_slope"),
    [
        (Activation("relu"), 0.0),
        (Activation("leaky_relu", 0.2), 0.2),
        (Activation("elu", 0.7), 0.7),
        (Activation("selu"), reference.SELU * reference.SELU_ALPHA),
    ],
    ids=str,
)
def test_slope_of_an_activation_at_zero(kernels, isa, activation, left_slope):
    """At a = 0 the derivative from the left holds, whatever the sign of the zero."""
    for zero in (0.0, -0.0):
        a, one = np.full((1, 1), zero, kernels.DTYPE), np.ones((1, 1), kernels.DTYPE)
        delta = np.empty_like(a)
        kernels.delta_arrays(a, activation.name, activation.alpha or 0.0, one, one, delta, isa)
        assert np.isclose(delta[0, 0], left_slope, rtol=1e-6)


def test_several_quantiles_are_of_the_same_target():
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)
    net = MLP(2, [Dense(3)], loss=Quantile((0.1, 0.5, 0.9)), optimizer="adam", seed=0)
    expected = net.evaluate(X, np.repeat(y[:, None], 3, axis=1))
    assert net.evaluate(X, y) == net.evaluate(X, y[:, None]) == expected
