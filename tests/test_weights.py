"""Weights of rows and of outputs: missing targets, signed weights, the divisor of a mean.

Losses and gradients agree with the reference and with PyTorch to 1e-10 in float64, and every way
of passing weights has the same bits. Not here: class weights (test_fit.py), the leaves
(test_leaves.py), errors about shapes and values of one array (test_bad_input.py).
"""

import copy

import numpy as np
import pytest

from fastnn import MLP, SGD, Adam, Callback, Dense, Dropout, losses, metrics, reference

EXACT = {"rtol": 1e-10, "atol": 1e-12}
N = 130  # more than a chunk of rows


def network(loss="squared_error", n_out=3, output=None, dtype="float64", **options):
    activation = output or (losses.get(loss).outputs or ("tanh",))[0]
    layers = [Dense(17, "tanh"), Dropout(0.2), Dense(n_out, activation)]
    options = {"optimizer": Adam(0.01), "seed": 1, "dtype": dtype} | options
    return MLP(5, layers, loss=loss, **options)


def data(rng, n_out=3, n=N):
    """X, targets from 0 to 1, and weights of outputs of which some are 0."""
    weights = rng.uniform(0.1, 2, (n, n_out)) * (rng.random((n, n_out)) < 0.7)
    return rng.normal(size=(n, 5)), rng.uniform(0, 1, (n, n_out)), weights


def assert_same(found, expected):
    (loss, gradients), (expected_loss, expected_gradients) = found, expected
    assert np.isclose(loss, expected_loss, **EXACT)
    for g, truth in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(g, truth, **EXACT)


BY_OUTPUT = [
    (name, output)
    for name in losses.NAMES
    if losses.get(name).by_output
    for output in losses.get(name).outputs or ("identity", "sigmoid", "softmax")
]
#: Losses with a target for each output; tests/test_likelihood.py is about the others.
EACH = [name for name in losses.NAMES if losses.get(name).n_targets(2) == 2]
SIGNED = [name for name in losses.NAMES if losses.get(name).signed_weights]


# ---- weights of outputs -------------------------------------------------------------------------


@pytest.mark.parametrize(("loss", "output"), BY_OUTPUT)
@pytest.mark.parametrize("n_out", [3, 20])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_outputs(isa, rng, loss, output, n_out, reduction):
    """All calls agree with the reference; a target with weight 0 may be NaN."""
    net = network(loss, n_out, output, reduction=reduction)
    twin = reference.Network.like(net)
    X, y, w = data(rng, n_out)
    missing = np.where(w == 0, np.nan, y)
    for training in (False, True):
        found = net.loss_and_gradients(X, missing, w, training=training)
        assert_same(found, twin.loss_and_gradients(X, y, w, training=training))
    assert np.isclose(net.evaluate(X, missing, w), twin.evaluate(X, y, w), **EXACT)
    if reduction == "sum":
        return  # whose steps are too long to compare
    assert np.isclose(net.train_on_batch(X, missing, w), twin.train_on_batch(X, y, w), **EXACT)
    order = copy.deepcopy(net._state.shuffler).permutation(N)
    history = net.fit(X, missing, batch_size=32, sample_weight=w,
                      validation_data=(X, missing, w)).history  # fmt: skip
    assert np.isclose(history["loss"][0], twin.fit_epoch(X, y, order, 32, w), rtol=1e-9)
    assert np.isclose(history["val_loss"][0], twin.evaluate(X, y, w), rtol=1e-9)
    for v, truth in zip(net.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(v, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_weights_are_those_of_the_row(isa, rng, dtype):
    net = network(dtype=dtype)
    X, y, _ = data(rng)
    rows = rng.uniform(0, 2, N)
    some = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else EXACT
    for of_rows, of_outputs in (
        (rows, np.repeat(rows[:, None], 3, axis=1)),
        (None, np.ones((N, 3), bool)),
    ):
        a, b = (net.loss_and_gradients(X, y, w) for w in (of_rows, of_outputs))
        assert np.isclose(a[0], b[0], **some)
        for g, same in zip(a[1], b[1], strict=True):
            np.testing.assert_allclose(g, same, **some)
    single = network(n_out=1, dtype=dtype)
    a, b = (single.loss_and_gradients(X, y[:, :1], w) for w in (rows, rows[:, None]))
    assert a[0] == b[0]


def test_a_mask_is_pytorchs_mean_over_known_targets(rng):
    """The mean over the known targets, times the number of outputs: over rows if all are known."""
    torch = pytest.importorskip("torch")
    X, y, w = data(rng)
    known = w > 0
    net = MLP(5, [Dense(7, "tanh"), Dense(3)], loss="squared_error", optimizer="sgd", seed=1,
              dtype="float64")  # fmt: skip
    W, b, V, c = tensors = [torch.from_numpy(v).requires_grad_() for v in net.get_weights()]
    out = torch.tanh(torch.from_numpy(X) @ W + b) @ V + c
    errors = (out - torch.from_numpy(y)) ** 2 / 2
    loss = 3 * errors[torch.from_numpy(known)].mean()
    loss.backward()
    expected = loss.item(), [v.grad.numpy() for v in tensors]
    assert_same(net.loss_and_gradients(X, np.where(known, y, np.nan), known), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ways_of_passing_weights_have_the_same_bits(isa, rng, dtype):
    X, y, w = (a.astype(dtype) for a in data(rng, n=1500))
    for weights in (w, w[:, 0] - 1):
        results = set()
        for threads in range(1, 9):
            net = network("huber", dtype=dtype, n_threads=threads)
            net.fit(X, y, batch_size=250, shuffle=False, sample_weight=weights)
            results.add(tuple(v.tobytes() for v in net.get_weights()))
        items = [(X[i : i + 250], y[i : i + 250], weights[i : i + 250])
                 for i in range(0, 1500, 250)]  # fmt: skip
        net = network("huber", dtype=dtype)
        net.fit(items)
        results.add(tuple(v.tobytes() for v in net.get_weights()))
        net = network("huber", dtype=dtype)
        for item in items:
            net.train_on_batch(*item)
        results.add(tuple(v.tobytes() for v in net.get_weights()))
        assert len(results) == 1


def test_rows_whose_every_output_is_unknown_change_nothing(rng):
    X, y, w = data(rng)
    w[::2] = 0
    nets = network(), network()
    nets[0].fit(X, np.where(w == 0, np.nan, y), batch_size=None, sample_weight=w)
    nets[1].fit(X, np.where(w == 0, 1e3, y), batch_size=None, sample_weight=w)
    for v, same in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_array_equal(v, same)


def test_a_batch_whose_every_target_is_missing_is_a_batch_of_its_fit(rng):
    X, y, _ = data(rng, n=64)
    weights = np.repeat([1.0, 0.0, 1.0, 1.0], 16)
    y[weights == 0] = np.nan
    net, twin, epoch = network(), network(), [slice(i, i + 16) for i in range(0, 64, 16)]
    whole = net.fit(X, y, sample_weight=weights, batch_size=16, shuffle=False)
    parts = twin.fit([(X[rows], y[rows], weights[rows]) for rows in epoch])
    assert whole.history == parts.history
    np.testing.assert_array_equal(net.get_flat_weights(), twin.get_flat_weights())


def test_a_batch_whose_class_weights_are_all_0_is_a_batch_of_its_fit(rng):
    X, labels = rng.normal(size=(64, 5)), np.repeat([0, 1, 2, 0], 16)
    net, twin = (network("cross_entropy", output="softmax") for _ in "ab")
    net.fit(X, labels, class_weight={1: 0.0}, batch_size=16, shuffle=False)
    batches = [(X[i : i + 16], labels[i : i + 16]) for i in range(0, 64, 16)]
    twin.fit(batches, class_weight={1: 0.0})
    np.testing.assert_array_equal(net.get_flat_weights(), twin.get_flat_weights())


def test_rows_of_weight_0_alone_are_refused(rng):
    X, y, _ = data(rng)
    with pytest.raises(ValueError, match="all rows of epoch 1 have weight 0, so no row would"):
        network().fit([(X, y, np.zeros(N))] * 2)
    classifier, labels = network("cross_entropy", output="softmax"), np.arange(N) % 3
    with pytest.raises(ValueError, match="all rows of epoch 1 have weight 0, so no row would"):
        classifier.fit([(X, labels)], class_weight={0: 0.0, 1: 0.0, 2: 0.0})
    for call in (network().evaluate, network().train_on_batch):
        with pytest.raises(ValueError, match="sample_weight is 0 for every row, so no row would"):
            call(X, y, np.zeros(N))


def test_any_value_may_mark_a_missing_target(rng):
    """The mark need not be from 0 to 1, the range of the loss, as its weight is 0."""
    net = network("binary_cross_entropy")
    X, y, w = data(rng)
    marked = [np.where(w == 0, mark, y) for mark in (np.nan, -1.0, 99.0, 0.0)]
    assert len({net.evaluate(X, t, w) for t in marked}) == 1
    rows = w.max(axis=1) * (np.arange(N) % 3 > 0)
    t = np.where(rows[:, None] == 0, np.nan, y)
    assert net.evaluate(X, t, rows) == net.evaluate(X, y, rows)
    w[3, 1], y[3, 1] = 1.0, np.nan
    with pytest.raises(ValueError, match=r"y\[3, 1\] is nan"):
        net.evaluate(X, y, w)


@pytest.mark.parametrize("mark", [np.inf, -999.0, 1e20, -9.96921e36, 1e39])
@pytest.mark.parametrize("loss", ["squared_error", "huber", losses.Quantile((0.1, 0.5, 0.9))])
def test_a_large_mark_of_a_missing_target_has_no_effect(rng, loss, mark):
    """Files mark missing values by numbers up to 1e37, whose squares float32 cannot hold."""
    X, y, w = data(rng)
    rows = rng.uniform(0.1, 2, N) * (np.arange(N) % 3 > 0)
    for weights in (w, rows):
        fits = []
        for value in (0.0, mark):
            t = np.where(weights.reshape(N, -1) == 0, value, y)
            net = network(loss, dtype="float32")
            history = net.fit(X, t, sample_weight=weights, metrics=["mae"]).history
            fits.append((history, net.evaluate(X, t, weights), net.get_flat_weights().tobytes()))
        assert fits[0] == fits[1]


def test_a_large_mark_of_a_missing_target_of_several_outputs(rng):
    net = network(losses.Quantile((0.1, 0.5, 0.9)), dtype="float32")
    X, y, w = data(rng)
    w[5], t = 0.0, y[:, :1].copy()
    expected = net.evaluate(X, t, w)
    t[5] = 1e39
    assert net.evaluate(X, t, w) == expected


def test_a_metric_without_weights_sees_ordinary_targets_of_weight_0(rng):
    def error(y_true, y_pred):
        return float(np.abs(y_true - y_pred).mean())

    net, (X, y, _) = network(), data(rng)
    weights = (np.arange(N) % 3 > 0).astype(float)
    found = net.evaluate(X, y, weights, metrics=[error])["error"]
    assert found == error(y, net.predict(X))


def test_weights_of_outputs_need_a_loss_that_is_their_sum(rng):
    net = network("cross_entropy")
    X, y, w = data(rng)
    with pytest.raises(
        ValueError, match=r"'cross_entropy' is one number for all outputs .* \(130,\)"
    ):
        net.fit(X, y.argmax(axis=1), sample_weight=w)
    assert net.step == 0


# ---- signed weights -----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", SIGNED)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_signed_weights(isa, rng, loss, reduction):
    """A mean is divided by the sum of the absolute weights, also if the sum of the weights is 0."""
    net = network(loss, output="identity" if losses.get(loss).outputs is None else None,
                  reduction=reduction, scale_penalties=True)  # fmt: skip
    twin = reference.Network.like(net)
    X, y, _ = data(rng)
    y = y / y.sum(axis=1, keepdims=True)
    w = rng.normal(size=N)
    w -= w.mean()
    assert_same(net.loss_and_gradients(X, y, w), twin.loss_and_gradients(X, y, w))
    assert np.isclose(net.evaluate(X, y, w), twin.evaluate(X, y, w), **EXACT)
    flipped = net.loss_and_gradients(X, y, -w)
    loss, gradients = net.loss_and_gradients(X, y, w)
    assert_same((-flipped[0], [-g for g in flipped[1]]), (loss, gradients))
    if reduction == "mean":
        curve = net.fit(X, y, batch_size=32, shuffle=False, sample_weight=w).history["loss"]
        assert np.allclose(curve, [twin.fit_epoch(X, y, np.arange(N), 32, w)], rtol=1e-9)


def test_advantages_weigh_actions_as_in_reinforce(rng):
    """With reduction "sum" and advantages over n it is the usual -(log p(action) A).mean()."""
    torch = pytest.importorskip("torch")
    X, actions, advantages = rng.normal(size=(N, 5)), rng.integers(4, size=N), rng.normal(size=N)
    net = MLP(5, [Dense(7, "tanh"), Dense(4, "softmax")], loss="cross_entropy", optimizer=SGD(0.1),
              reduction="sum", seed=1, dtype="float64")  # fmt: skip
    W, b, V, c = tensors = [torch.from_numpy(v).requires_grad_() for v in net.get_weights()]
    log_p = torch.log_softmax(torch.tanh(torch.from_numpy(X) @ W + b) @ V + c, dim=1)
    loss = -(log_p[np.arange(N), actions] * torch.from_numpy(advantages)).mean()
    loss.backward()
    expected = loss.item(), [v.grad.numpy() for v in tensors]
    assert_same(net.loss_and_gradients(X, actions, advantages / N), expected)


@pytest.mark.parametrize("loss", sorted(set(EACH) - set(SIGNED)))
def test_losses_of_unbounded_slope_refuse_signed_weights(rng, loss):
    net = network(loss)
    X, y, w = data(rng)
    for weights in (w - 1, w[:, 0] - 1):
        with pytest.raises(
            ValueError, match=r"is -1\.0; weights must be 0 or more for loss .*'hub"
        ):
            net.train_on_batch(X, y, weights)
    assert net.step == 0


@pytest.mark.parametrize("loss", sorted(set(EACH) - {"linear"}))
def test_slopes_of_losses_with_signed_weights_are_bounded(loss):
    """And those of the others are not. The slopes of "linear" are the targets."""
    a, t = np.array([[60.0, -60.0, 60.0]]), np.array([[0.0, 0.0, 1.0]])
    function, outputs = reference.LOSSES[loss]
    if outputs is reference.ANY:
        _, slope = function(a, t)
    else:
        z = reference.ACTIVATIONS[outputs[0]][0](a, 0.0)
        _, slope = function(a, z, t, outputs[0])
    assert (np.abs(slope).max() <= 1) == losses.get(loss).signed_weights


def test_signed_weights_of_output_gradients(rng):
    """Weights times gradients, divided by the sum of the absolute weights."""
    X, dY, w = data(rng)
    nets = [network(), network()]
    rows = w[:, 0] - 1
    nets[0].train_on_output_gradients(X, dY, rows)
    nets[1].train_on_output_gradients(X, dY * rows[:, None] * (N / np.abs(rows).sum()))
    for v, same in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_allclose(v, same, rtol=1e-9, atol=1e-9)


# ---- metrics ------------------------------------------------------------------------------------


def test_metrics_of_weighted_outputs(rng):
    y, w = rng.integers(2, size=(N, 3)).astype(float), data(rng)[2]
    out = rng.uniform(0, 1, (N, 3))
    known = [w[:, k] > 0 for k in range(3)]
    for name in ("r2", "roc_auc"):  # of each output by itself
        metric = metrics.get(name)
        each = [metric(y[i, k], out[i, k], w[i, k], targets="probability")
                for k, i in enumerate(known)]  # fmt: skip
        assert np.isclose(metric(y, out, w, targets="probability"), np.mean(each))
    for name, terms in (
        ("mae", np.abs(y - out)),
        ("mse", (y - out) ** 2),
        ("accuracy", (y > 0.5) == (out > 0.5)),
    ):
        found = metrics.get(name)(y, out, w, targets="probability")
        assert np.isclose(found, (w * terms).sum() / w.sum())
    with pytest.raises(ValueError, match=r"sample_weight has shape \(130, 3\)"):
        metrics.get("accuracy")(y[:, 0], out, w, targets="class")


def test_metrics_in_a_fit_do_not_see_missing_targets(rng):
    X, y, w = data(rng)
    missing = np.where(w == 0, np.nan, y)

    def largest(y_true, y_pred, sample_weight):
        return np.abs(sample_weight * (y_true - y_pred)).max()

    net = network()
    history = net.fit(X, missing, batch_size=32, sample_weight=w, metrics=["mae", "r2", largest],
                      validation_data=(X, missing, w)).history  # fmt: skip
    found = net.evaluate(X, missing, w, metrics=["mae", "r2", largest])
    assert np.isclose(found["mae"], (w * np.abs(y - net.predict(X))).sum() / w.sum())
    assert [history[f"val_{name}"][0] for name in found] == [*found.values()]
    items = [(X[:64], missing[:64], w[:64]), (X[64:], y[64:])]
    assert np.isfinite(net.fit(items, metrics=["mae"]).history["mae"][0])


def test_metrics_that_weights_do_not_suit_are_refused_before_anything_changes(rng):
    X, y, w = data(rng)
    net = network("huber")

    def unweighted(y_true, y_pred):
        raise AssertionError("called")

    class Begins(Callback):
        def on_train_begin(self, logs):
            raise AssertionError("begun")

    for weights, metric, said in (
        (w, unweighted, "'unweighted' would count targets of weight 0"),
        (w - 1, "mae", "holds -1.0, but metrics need weights of 0 or more"),
        (w[:, 0] - 1, "mae", "holds -1.0, but metrics need"),
    ):
        with pytest.raises(ValueError, match=said):
            net.fit(X, y, sample_weight=weights, metrics=[metric], callbacks=[Begins()])
        with pytest.raises(ValueError, match=f"validation sample_weight {said}|{said}"):
            net.fit(X, y, validation_data=(X, y, weights), metrics=[metric], callbacks=[Begins()])
        with pytest.raises(ValueError, match=said):
            net.evaluate(X, y, weights, metrics=[metric])
        with pytest.raises(ValueError, match=said):
            net.fit([(X, y, weights)], metrics=[metric])
    assert net.step == 0
