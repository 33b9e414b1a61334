"""Outputs that describe a distribution: the Gaussian likelihood, and quantiles that do not cross.

Proves values and gradients for widths around a panel, in both precisions and on every instruction
set; that all ways of passing targets give the same bits; and that what has another meaning with
such outputs is refused. Quantiles are the how-to guide's network, whose outputs are in order to the
last bit.
"""

import numpy as np
import pytest
from comparing import sha256

import fastnn
from fastnn import MLP, Adam, Dense, GaussianNLL, Quantile, kernels, reference

WIDTHS = [2, 4, 14, 16, 18, 30, 32, 34, 62, 70]


def network(n_out=2, **options):
    settings = {"loss": "gaussian_nll", "optimizer": Adam(0.01), "seed": 1} | options
    return MLP(3, [Dense(20, "tanh"), Dense(n_out)], **settings)


def data(rng, n_out=2, rows=11):
    return rng.normal(size=(rows, 3)), rng.normal(size=(rows, n_out // 2))


@pytest.mark.parametrize("n_out", WIDTHS)
def test_terms_are_those_of_the_reference(kernels, isa, rng, n_out):
    net = network(n_out, dtype=kernels.DTYPE)
    X, y = data(rng, n_out)
    w = rng.uniform(0.1, 2, len(X))
    found, gradients = net.loss_and_gradients(X, y, w)
    twin = reference.Network.like(net.copy(dtype="float64"))
    truth, expected = twin.loss_and_gradients(X, np.hstack([y, y]), w)
    rounding = 64 * np.finfo(kernels.DTYPE).eps
    assert np.isclose(found, truth, rtol=rounding, atol=rounding)
    for g, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(g, other, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("n_out", WIDTHS)
def test_values_are_pytorchs(rng, n_out):
    torch = pytest.importorskip("torch")
    a, t = rng.normal(0, 2, (9, n_out)), rng.normal(0, 2, (9, n_out // 2))
    rows, delta = kernels.output_delta(a, t, "gaussian_nll", "identity")
    outputs = torch.from_numpy(a).requires_grad_()
    mean, log_variance = outputs.chunk(2, dim=1)
    loss = torch.nn.GaussianNLLLoss(reduction="none", eps=1e-300)
    each = loss(mean, torch.from_numpy(t), log_variance.exp()).sum(1)
    each.sum().backward()
    np.testing.assert_allclose(rows, each.detach().numpy(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(delta, outputs.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n_out", [2, 18])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_central_differences(rng, n_out, reduction):
    net = network(n_out, dtype="float64", reduction=reduction)
    X, y = data(rng, n_out)
    fastnn.check_gradients(net, X, y)
    fastnn.check_gradients(net, X, y, sample_weight=rng.uniform(0.1, 2, len(X)))


@pytest.mark.parametrize("hidden", [20, 3])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_fit_is_that_of_the_reference(rng, hidden, batch_size):
    """Of networks that fit one panel on-line, too."""
    layers = [Dense(hidden, "tanh"), Dense(2)]
    net = MLP(3, layers, loss="gaussian_nll", optimizer=Adam(0.01), dtype="float64", seed=1)
    twin = reference.Network.like(net)
    X, y = data(rng)
    curve = net.fit(X, y, batch_size=batch_size, epochs=4, shuffle=False).history["loss"]
    order = np.arange(len(X))
    expected = [twin.fit_epoch(X, np.hstack([y, y]), order, batch_size) for _ in range(4)]
    np.testing.assert_allclose(curve, expected, rtol=1e-9)
    for w, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(w, truth, rtol=1e-9, atol=1e-9)


def test_targets_in_every_form_give_the_same_bits(rng):
    X, y = data(rng)
    X, y = X.astype(np.float32), y.astype(np.float32)
    forms = [y, y[:, 0], y.tolist(), y.astype(np.float64), np.asfortranarray(y)]
    trained = [network() for _ in range(2 * len(forms) + 2)]
    for net, form in zip(trained, forms * 2, strict=False):
        net.train_on_batch(X, form)
    trained[-2].fit(X, y[:, 0], batch_size=len(X), shuffle=False)
    trained[-1].fit([(X, y)], epochs=1)
    assert len(set(map(sha256, trained))) == 1


def test_members_of_many_are_their_own_fits(rng):
    X, y = data(rng, rows=50)
    nets = [network(seed=seed) for seed in range(3)]
    fastnn.fit_many(nets, X, y, epochs=3, n_threads=2)
    for seed, net in enumerate(nets):
        alone = network(seed=seed)
        alone.fit(X, y, epochs=3)
        assert sha256(net) == sha256(alone)


def test_means_and_deviations_are_learned(rng):
    X = rng.uniform(-1, 1, (4000, 3))
    mean, deviation = X[:, :2] @ [[1, 2], [3, -1]], np.exp([-2.0, -1.0] + X[:, [2, 0]])
    net = network(4)
    net.fit(X, mean + deviation * rng.normal(size=mean.shape), epochs=40)
    y = net.predict(X)
    assert np.abs(y[:, :2] - mean).mean() < 0.1
    assert np.abs(y[:, 2:] / 2 - np.log(deviation)).mean() < 0.2


def test_a_file_keeps_the_loss(rng, tmp_path):
    net = network()
    X, y = data(rng)
    net.save(tmp_path / "net.safetensors")
    again = fastnn.load(tmp_path / "net.safetensors")
    assert again.loss == GaussianNLL()
    assert net.train_on_batch(X, y) == again.train_on_batch(X, y)
    assert sha256(net) == sha256(again)


@pytest.mark.parametrize("n_out", [1, 3, 17])
def test_an_odd_number_of_outputs(n_out):
    with pytest.raises(ValueError, match=rf"two outputs.*has {n_out}.*Dense\({2 * n_out}\)"):
        network(n_out)
    with pytest.raises(ValueError, match="two outputs"):
        kernels.output_delta(np.ones((2, n_out)), np.ones((2, n_out)), "gaussian_nll", "identity")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_target_for_each_output(rng, dtype):
    """Arrays that the kernels could read as they are are refused, too."""
    net, X = network(dtype=dtype), rng.normal(size=(5, 3)).astype(dtype)
    before = sha256(net)
    for call in (net.train_on_batch, net.evaluate, net.fit):
        with pytest.raises(ValueError, match=r"pass y of shape \(5, 1\), or .*Dense\(4\)"):
            call(X, np.ones((5, 2), dtype))
    with pytest.raises(ValueError, match=r"pass y of shape \(5, 2\), or end .*Dense\(2\)"):
        network(4).train_on_batch(X, np.ones(5, dtype))
    assert sha256(net) == before


def test_other_activations_and_weights_of_outputs(rng):
    with pytest.raises(ValueError, match="needs 'identity'"):
        MLP(3, [Dense(2, "softplus")], loss="gaussian_nll", optimizer="sgd")
    net, (X, y) = network(), data(rng)
    with pytest.raises(ValueError, match="sample_weight"):
        net.train_on_batch(X, y, np.ones((len(X), 2)))
    with pytest.raises(ValueError, match="0 or more"):
        net.train_on_batch(X, y, -np.ones(len(X)))


def test_metrics_are_functions(rng):
    """Named ones would compare deviations with targets."""
    net, (X, y) = network(4), data(rng, 4)
    with pytest.raises(ValueError, match=r"'r2' needs loss .*'gaussian_nll'; pass a function"):
        net.evaluate(X, y, metrics=["r2"])

    def error_of_means(y_true, y_pred):
        return np.abs(y_true[:, :2] - y_pred[:, :2]).mean()

    found = net.evaluate(X, y, metrics=[error_of_means])["error_of_means"]
    assert found == pytest.approx(np.abs(y - net.predict(X)[:, :2]).mean(), rel=1e-6)


def test_a_sure_mean_that_is_right_has_a_finite_loss(kernels, isa):
    """There r^2 e^-s is 0, though e^-s is too large for a real."""
    s = {"float32": -90.0, "float64": -800.0}[np.dtype(kernels.DTYPE).name]
    a = np.array([[3.0, s], [-0.0, s], [3.0, 0.5]], kernels.DTYPE)
    t = np.array([[3.0], [0.0], [3.0]], kernels.DTYPE)
    loss, delta = fastnn.kernels.output_delta(a, t, "gaussian_nll", "identity")
    np.testing.assert_array_equal(loss, [s / 2, s / 2, 0.25])
    np.testing.assert_array_equal(delta, [[0, 0.5]] * 3)
    truth, expected = reference.LOSSES["gaussian_nll"][0](a, a, np.hstack([t, t]), "identity")
    np.testing.assert_array_equal(truth.sum(axis=1), loss)
    np.testing.assert_array_equal(expected, delta)


def test_estimators_of_numbers_have_no_such_loss(rng):
    sklearn = pytest.importorskip("fastnn.sklearn")
    X, y = data(rng)
    for loss in ("gaussian_nll", GaussianNLL()):
        with pytest.raises(ValueError, match="loss"):
            sklearn.MLPRegressor(loss=loss).fit(X, y[:, 0])


# ---- quantiles that do not cross ----------------------------------------------------------------


def in_order(n, dtype="float32", **options):
    """The network of the how-to guide: fixed sums of softplus units."""
    sums = np.ones((n + 1, n))
    sums[1] = -1
    sums[2:] = np.triu(sums[2:], 1)
    layers = [Dense(20, "tanh"), Dense(n + 1, "softplus")]
    layers += [Dense(n, use_bias=False, trainable=False)]
    levels = (np.arange(n) + 0.5) / n
    net = MLP(3, layers, loss=Quantile(levels), optimizer=Adam(0.1), seed=1, dtype=dtype, **options)
    net.set_weights([*net.get_weights()[:-1], sums])
    return net


@pytest.mark.parametrize("n", [2, 3, 5, 16, 17, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_quantiles_do_not_cross(rng, n, dtype):
    """For any weights and inputs, of one row and of many."""
    net = in_order(n, dtype)
    X = 10.0 ** rng.uniform(-3, 3, (200, 1)) * rng.normal(size=(200, 3))
    for scale in (1.0, 1e-6, 1e3):
        *weights, sums = net.get_weights()
        net.set_weights([*(scale * rng.normal(size=w.shape) for w in weights), sums])
        y = net.predict(X)
        assert (np.diff(y, axis=1) >= 0).all()
        assert y[7].tobytes() == net.predict(X[7:8]).tobytes()
    net.fit(X, X[:, 0], epochs=3)
    assert (np.diff(net.predict(X), axis=1) >= 0).all()
    assert np.array_equal(net.get_weights()[-1], sums)


def test_gradients_of_quantiles_in_order(rng):
    net = in_order(5, "float64")
    X = rng.normal(size=(9, 3))
    fastnn.check_gradients(net, X, net.predict(X)[:, 2] + rng.choice([-3.0, 3.0], 9))
