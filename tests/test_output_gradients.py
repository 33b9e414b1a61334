"""Gradients that users handle: of outputs, of single rows, of all weights as one vector.

`train_on_output_gradients` is compared with `train_on_batch` bit by bit where the loss is computed
from the outputs. Not here: losses that are Python functions (test_custom_losses.py).
"""

import numpy as np
import pytest

from fastnn import MLP, SGD, Adam, Dense, Dropout, LayerNorm, Residual, Standardize, reference

LAYERS = {
    "dense": [Dense(20, "gelu"), Dense(3)],
    "narrow": [Dense(1, "tanh"), Dense(2, "softmax")],
    "penalties": [Dense(17, "tanh", l2=0.05), Dense(3, "sigmoid", l1=0.01)],
    "dropout": [Dropout(0.2), Dense(20, "relu"), Dropout(0.5), Dense(3)],
    "frozen": [Dense(20, "tanh", trainable=False), Dense(3)],
    "residual": [Dense(18), Residual([LayerNorm(), Dense(18, "silu")]), Dense(3, "softplus")],
    "tiny": [Dense(4, "tanh"), Dense(2)],
}


def network(layers="dense", *, loss="squared_error", optimizer=None, n_in=6, **options):
    optimizer = Adam(0.01) if optimizer is None else optimizer
    return MLP(n_in, LAYERS[layers], loss=loss, optimizer=optimizer, seed=3, **options)


def rows(net, n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, net.n_in)).astype(net.dtype)
    return X, rng.uniform(0, 1, (n, net.n_out)).astype(net.dtype), rng.uniform(0.5, 2, n)


# ---- a step from gradients of the outputs -------------------------------------------------------


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("n", [1, 3, 50, 1100])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradients_of_a_loss_make_its_step(layers, n, reduction, dtype):
    """Bit for bit, with and without weights; the outputs are those of training."""
    ours = network(layers, reduction=reduction, dtype=dtype)
    theirs = ours.copy()
    X, y, w = rows(ours, n)
    for weights in (None, w, None):
        theirs.train_on_batch(X, y, weights)
        ours.train_on_output_gradients(X, ours(X, training=True) - y, weights)
        assert np.array_equal(ours.get_flat_weights(), theirs.get_flat_weights())
    assert ours.step == theirs.step == 3


@pytest.mark.parametrize("clip", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_gradients_are_clipped(clip):
    ours = network(optimizer=SGD(0.1, **{clip: 0.01}))
    theirs, (X, y, _) = ours.copy(), rows(ours, 40)
    before = ours.get_flat_weights()
    theirs.train_on_batch(X, y)
    ours.train_on_output_gradients(X, ours(X) - y)
    assert np.array_equal(ours.get_flat_weights(), theirs.get_flat_weights())
    assert np.abs(ours.get_flat_weights() - before).max() <= 0.1 * 0.01 * 1.001


@pytest.mark.parametrize(
    ("loss", "output", "slope"),
    [
        ("binary_cross_entropy", "sigmoid", lambda y, t: (y - t) / (y * (1 - y))),
        ("cross_entropy", "softmax", lambda y, t: -t / y),
        ("poisson", "exp", lambda y, t: 1 - t / y),
        ("poisson", "softplus", lambda y, t: 1 - t / y),
    ],
)
def test_losses_of_pre_activations_agree_up_to_rounding(kernels, loss, output, slope):
    dtype = kernels.DTYPE
    options = {"loss": loss, "optimizer": SGD(0.5), "seed": 0, "dtype": dtype}
    ours = MLP(5, [Dense(9, "tanh"), Dense(4, output)], **options)
    theirs, (X, t, _) = ours.copy(), rows(ours, 30)
    t /= t.sum(axis=1, keepdims=True)
    theirs.train_on_batch(X, t)
    ours.train_on_output_gradients(X, slope(ours(X), t))
    difference = ours.get_flat_weights() - theirs.get_flat_weights()
    assert np.abs(difference).max() < 64 * np.finfo(dtype).eps


def test_softmax_has_its_whole_jacobian():
    """Any gradients, not only those of a cross-entropy: compared with the reference."""
    net = network("narrow", loss="cross_entropy", optimizer=SGD(1.0), dtype="float64")
    twin = reference.Network.like(net)
    X, dY, _ = rows(net, 20)
    twin.loss, twin.parameters = "linear", {}
    twin.train_on_batch(X, dY)
    net.train_on_output_gradients(X, dY)
    for ours, theirs in zip(net.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(ours, theirs, rtol=0, atol=1e-14)


def test_a_step_is_one_of_the_linear_loss():
    ours, theirs = network("residual"), network("residual", loss="linear")
    X, dY, _ = rows(ours, 33)
    theirs.train_on_batch(X, dY)
    ours.train_on_output_gradients(X, dY)
    assert np.array_equal(ours.get_flat_weights(), theirs.get_flat_weights())


def test_threads_make_no_difference():
    found = []
    for n_threads in (1, 3):
        net = MLP(64, [Dense(256, "tanh"), Dense(3)], loss="huber", optimizer="adam", seed=0,
                  n_threads=n_threads)  # fmt: skip
        X, dY, _ = rows(net, 256)
        net.train_on_output_gradients(X, dY)
        found.append(net.get_flat_weights())
    assert np.array_equal(*found)


def test_one_output_takes_a_vector():
    ours = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    theirs, X = ours.copy(), np.eye(2)
    ours.train_on_output_gradients(X, [1.0, -2.0])
    theirs.train_on_output_gradients(X, [[1.0], [-2.0]])
    assert np.array_equal(ours.get_flat_weights(), theirs.get_flat_weights())


@pytest.mark.parametrize(
    ("dY", "message"),
    [
        (np.zeros((4, 2)), r"dY has shape \(4, 2\) but .* shape \(4, 3\)"),
        (np.zeros((3, 3)), r"dY has shape \(3, 3\)"),
        (np.zeros(4), r"dY has shape \(4,\)"),
        (np.full((4, 3), np.nan), r"dY\[0, 0\] is nan"),
        (np.full((4, 3), 1e300), r"dY\[0, 0\] is 1e\+300, too large for float32"),
    ],
)
def test_wrong_gradients_are_refused(dY, message):
    net = network()
    before = net.get_flat_weights()
    with pytest.raises(ValueError, match=message):
        net.train_on_output_gradients(rows(net, 4)[0], dY)
    assert np.array_equal(net.get_flat_weights(), before)
    assert net.step == 0


def test_outputs_that_are_not_finite_make_no_step():
    net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
    net.set_weights([[[1e38]], [0.0]])
    message = r"sum of the outputs times dY became inf, so no update was made; .* X and dY"
    with pytest.raises(FloatingPointError, match=message):
        net.train_on_output_gradients([[100.0]], [[1.0]])
    assert net.step == 0
    assert net.get_weights()[0] == np.float32(1e38)


def test_a_standardize_layer_must_have_seen_data():
    net = MLP(2, [Standardize(), Dense(1)], loss="squared_error", optimizer="sgd")
    for call in (net, lambda X: net.train_on_output_gradients(X, [[1.0]])):
        with pytest.raises(ValueError, match="Standardize"):
            call([[1.0, 2.0]])


# ---- calling a network --------------------------------------------------------------------------


def test_a_call_predicts():
    net = network("dropout")
    X = rows(net, 9)[0]
    assert np.array_equal(net(X), net.predict(X))
    assert np.array_equal(net(X.tolist()), net.predict(X))


@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_call_in_training_has_the_masks_of_the_next_update(n_threads):
    net = network("dropout", n_threads=n_threads)
    X, y, _ = rows(net, 1200)
    seen = []

    def look(y_true, y_pred):
        seen.append(y_pred.copy())
        return 0.0

    for _ in range(2):
        outputs = net(X, training=True)
        assert not np.array_equal(outputs, net(X))
        assert np.array_equal(outputs, net(X, training=True))
        net.fit(X, y, batch_size=None, shuffle=False, metrics=[look])
        assert np.array_equal(outputs, seen[-1])


def test_training_must_be_a_flag():
    with pytest.raises(TypeError, match="training must be True or False; got 1"):
        network()(np.zeros((1, 6)), training=1)


# ---- gradients of single rows -------------------------------------------------------------------


@pytest.mark.parametrize("layers", ["dense", "narrow", "frozen", "residual", "tiny"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_row_is_that_of_a_batch_of_it(layers, dtype):
    net = network(layers, dtype=dtype)
    X, y, _ = rows(net, 100)
    found = net.per_sample_gradients(X, y)
    flat = net.per_sample_gradients(X, y, flat=True)
    assert flat.shape == (100, net.n_parameters)
    for i in range(100):
        _, expected = net.loss_and_gradients(X[i : i + 1], y[i : i + 1])
        assert all(np.array_equal(ours[i], one) for ours, one in zip(found, expected, strict=True))
        assert np.array_equal(flat[i], np.concatenate([one.ravel() for one in expected]))


def test_gradients_of_rows_without_penalties_and_dropout():
    bare = [Dense(17, "tanh"), Dropout(0.5), Dense(3, "sigmoid")]
    full = [Dense(17, "tanh", l2=0.5), Dropout(0.5), Dense(3, "sigmoid", l1=0.1)]
    one, other = (MLP(6, layers, loss="huber", optimizer="sgd", seed=0) for layers in (bare, full))
    X, y, _ = rows(one, 5)
    assert np.array_equal(
        one.per_sample_gradients(X, y, flat=True), other.per_sample_gradients(X, y, flat=True)
    )
    assert np.array_equal(
        one.per_sample_gradients(X, y, flat=True)[2],
        one.loss_and_gradients(X[2:3], y[2:3], flat=True)[1],
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_of_rows_make_that_of_the_batch(reduction):
    net = network(reduction=reduction, dtype="float64")
    X, y, _ = rows(net, 200)
    found = net.per_sample_gradients(X, y, flat=True)
    combined = found.mean(axis=0) if reduction == "mean" else found.sum(axis=0)
    assert np.allclose(combined, net.loss_and_gradients(X, y, flat=True)[1], rtol=0, atol=1e-12)


def test_gradients_of_rows_against_central_differences():
    net = network("residual", loss="squared_error", dtype="float64")
    X, y, _ = rows(net, 4)
    found = net.per_sample_gradients(X, y)
    twin = reference.Network.like(net)
    for i in range(4):

        def loss(weights, i=i):
            twin.set_weights(weights)
            return twin.evaluate(X[i : i + 1], y[i : i + 1])

        differences = reference.central_differences(loss, net.get_weights())
        for ours, theirs in zip(found, differences, strict=True):
            assert np.allclose(ours[i], theirs, rtol=1e-6, atol=1e-8)


def test_gradients_of_rows_against_torch():
    torch = pytest.importorskip("torch")
    from torch.func import functional_call, grad, vmap

    net = MLP(7, [Dense(11, "tanh"), Dense(4, "softmax")], loss="cross_entropy", optimizer="sgd",
              seed=0, dtype="float64")  # fmt: skip
    X, labels = rows(net, 50)[0], np.random.default_rng(0).integers(4, size=50)
    module = torch.nn.Sequential(torch.nn.Linear(7, 11), torch.nn.Tanh(), torch.nn.Linear(11, 4))
    module = module.double()
    W0, b0, W1, b1 = net.get_weights()
    for parameter, value in zip(module.parameters(), (W0.T, b0, W1.T, b1), strict=True):
        parameter.data = torch.tensor(value.copy())

    def loss(parameters, x, label):
        logits = functional_call(module, parameters, (x[None],))
        return torch.nn.functional.cross_entropy(logits, label[None])

    parameters = {name: p.detach() for name, p in module.named_parameters()}
    theirs = vmap(grad(loss), in_dims=(None, 0, 0))(
        parameters, torch.tensor(X), torch.tensor(labels)
    )
    dW0, db0, dW1, db1 = (g.numpy() for g in theirs.values())
    expected = dW0.transpose(0, 2, 1), db0, dW1.transpose(0, 2, 1), db1
    for ours, truth in zip(net.per_sample_gradients(X, labels), expected, strict=True):
        assert np.allclose(ours, truth, rtol=0, atol=1e-13)


def test_gradients_of_rows_on_threads():
    nets = [
        MLP(64, [Dense(256, "tanh"), Dense(3)], loss="huber", optimizer="sgd", seed=0, n_threads=n)
        for n in (1, 3)
    ]
    X, y, _ = rows(nets[0], 500)
    assert np.array_equal(*(net.per_sample_gradients(X, y, flat=True) for net in nets))


# ---- one vector ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_vector_has_the_weights_in_their_order(layers, dtype):
    net = network(layers, dtype=dtype)
    flat = net.get_flat_weights()
    assert flat.dtype == net.dtype
    assert np.array_equal(flat, np.concatenate([w.ravel() for w in net.get_weights()]))
    twin = network(layers, dtype=dtype)
    twin.set_flat_weights(flat[::-1])
    assert np.array_equal(twin.get_flat_weights(), flat[::-1])
    twin.set_flat_weights(flat.tolist())
    assert all(map(np.array_equal, twin.get_weights(), net.get_weights()))
    X = rows(net, 5)[0]
    assert np.array_equal(net(X), twin(X))


def test_gradients_as_a_vector():
    net = network("penalties")
    X, y, w = rows(net, 30)
    loss, gradients = net.loss_and_gradients(X, y, w)
    same, flat = net.loss_and_gradients(X, y, w, flat=True)
    assert loss == same
    assert np.array_equal(flat, np.concatenate([g.ravel() for g in gradients]))


def test_scipy_can_minimize_the_loss():
    from scipy.optimize import minimize

    net = network(dtype="float64", loss="squared_error")
    X, _, _ = rows(net, 60)
    y = np.sin(X[:, :3])

    def loss(weights):
        net.set_flat_weights(weights)
        return net.loss_and_gradients(X, y, flat=True)

    before = net.evaluate(X, y)
    found = minimize(loss, net.get_flat_weights(), jac=True, method="L-BFGS-B")
    net.set_flat_weights(found.x)
    assert net.evaluate(X, y) == pytest.approx(found.fun)
    assert found.fun < 0.02 * before


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(5), r"weights has shape \(5,\) but this MLP has 203 weights and biases"),
        (np.zeros((1, 203)), r"weights has shape \(1, 203\)"),
        (np.full(203, np.inf), r"weights\[0\] is inf"),
    ],
)
def test_a_wrong_vector_is_refused(weights, message):
    net = network()
    before = net.get_flat_weights()
    with pytest.raises(ValueError, match=message):
        net.set_flat_weights(weights)
    assert np.array_equal(net.get_flat_weights(), before)
