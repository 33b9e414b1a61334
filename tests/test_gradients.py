"""Back-propagation agrees with central differences, which also find planted errors.

In float64, for every hidden activation with every output and loss: weights, biases, penalties,
sample weights, dropout with fixed masks, both reductions. Pre-activations and residuals are placed
away from kinks; tolerances are not widened for them.
"""

import numpy as np
import pytest

from fastnn import MLP, Dense, Dropout, check_gradients, reference

TOLERANCE = 1e-6
CLEAR = 0.01, 3.0  # |pre-activations|: away from the kink at 0, and where exp's curvature is mild

EVERYTHING = {"l1": 0.03, "l2": 0.05, "weighted": True, "rate": 0.4, "reduction": "sum"}
CASES = {
    "no bias": {"use_bias": False},
    "l1": {"l1": 0.03},
    "l2": {"l2": 0.05},
    "sample weights": {"weighted": True},
    "dropout": {"rate": 0.4},
    "sum": {"reduction": "sum"},
    "scaled penalties": {"l1": 0.03, "l2": 0.05, "weighted": True, "scale_penalties": True},
    "scaled penalties, sum": {"l2": 0.05, "reduction": "sum", "scale_penalties": True},
}


def problem(hidden, pair, targets, *, rate=0.0, weighted=False, reduction="mean",
            scale_penalties=False, **layer):  # fmt: skip
    """(net, X, t, sample_weight) of a 3-4-3-2 network, the first seed's away from every kink."""
    loss, output = pair
    layers = [Dense(4, hidden, **layer), Dense(3, hidden, **layer), Dense(2, output, **layer)]
    if rate:
        layers = [x for dense in layers for x in (Dropout(rate), dense)]
    options = {"loss": loss, "optimizer": "sgd", "reduction": reduction, "dtype": "float64",
               "scale_penalties": scale_penalties}  # fmt: skip
    for seed in range(100):
        rng = np.random.default_rng(seed)
        net = MLP(3, layers, seed=seed, **options)
        net.set_weights([w + rng.choice([-0.1, 0.1], w.shape) for w in net.get_weights()])
        X = rng.uniform(-1, 1, (5, 3))
        twin = reference.Network.like(net)
        y = twin.forward(X, training=rate > 0)
        sizes = [a[a.nonzero()] for _, _, a, _ in twin.tape]  # 0 where all is dropped, and stays so
        sizes += [w[w.nonzero()] for w in net.get_weights()] if "l1" in layer else []
        sizes = np.abs(np.concatenate(sizes))
        if sizes.min() < CLEAR[0] or sizes.max() > CLEAR[1]:
            continue
        sample_weight = rng.uniform(0.5, 2.0, 5) if weighted else None
        t = targets(loss, y, rng)
        _, gradients = twin.loss_and_gradients(X, t, sample_weight, training=rate > 0)
        if min(np.abs(g).max() for g in gradients) > 1e-3:
            return net, X, t, sample_weight
    raise AssertionError("no network away from its kinks")


def test_every_activation_with_every_loss(hidden, pair, targets):
    net, X, t, _ = problem(hidden, pair, targets)
    assert check_gradients(net, X, t) <= TOLERANCE
    net, X, t, sample_weight = problem(hidden, pair, targets, **EVERYTHING)
    assert check_gradients(net, X, t, sample_weight, training=True) <= TOLERANCE


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_thing_at_a_time(pair, targets, case):
    net, X, t, sample_weight = problem("tanh", pair, targets, **case)
    assert check_gradients(net, X, t, sample_weight, training="rate" in case) <= TOLERANCE


def test_on_every_instruction_set(isa, hidden, targets):
    pair = "squared_error", "identity"
    net, X, t, weight = problem(hidden, pair, targets, **EVERYTHING)
    assert net._network.instruction_set == isa
    assert check_gradients(net, X, t, weight, training=True) <= TOLERANCE


def test_against_differences_of_the_reference(pair, targets):
    """The same with differences that never saw fastnn: of the reference's loss."""
    net, X, t, sample_weight = problem("tanh", pair, targets, **EVERYTHING)
    twin = reference.Network.like(net)

    def loss(weights):
        twin.set_weights(weights)
        return twin.loss_and_gradients(X, t, sample_weight, training=True)[0]

    differences = reference.central_differences(loss, net.get_weights())
    _, gradients = net.loss_and_gradients(X, t, sample_weight, training=True)
    for g, d in zip(gradients, differences, strict=True):
        assert np.linalg.norm(g - d) <= TOLERANCE * (np.linalg.norm(g) + np.linalg.norm(d))


@pytest.mark.parametrize("array", range(6))
def test_a_planted_error_is_found(monkeypatch, targets, array):
    """One of dW0, db0, ... is too large by a thousandth."""
    net, X, t, sample_weight = problem("tanh", ("squared_error", "identity"), targets)
    honest = MLP.loss_and_gradients

    def planted(self, *args, **options):
        loss, gradients = honest(self, *args, **options)
        gradients[array] *= 1.001
        return loss, gradients

    assert check_gradients(net, X, t, sample_weight) <= TOLERANCE
    monkeypatch.setattr(MLP, "loss_and_gradients", planted)
    assert check_gradients(net, X, t, sample_weight) > 100 * TOLERANCE


@pytest.mark.parametrize("y", [1e160, -1e200])
def test_gradients_that_are_not_finite_cannot_be_checked(y):
    net = MLP(3, [Dense(4, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    with pytest.raises(FloatingPointError, match="scale X and y"):
        check_gradients(net, np.ones((2, 3)), [y, y])


def test_weights_that_are_not_finite_cannot_be_checked(diverged):
    with pytest.raises(FloatingPointError, match="a weight of the network is not finite"):
        check_gradients(diverged, np.ones((2, 2)), [1.0, 2.0])


@pytest.mark.filterwarnings("error")
def test_differences_that_overflow_cannot_be_checked():
    net = MLP(1, [Dense(1, "exp")], loss="poisson", optimizer="sgd", dtype="float64", seed=0)
    net.set_weights([[[70.977]], [0.0]])
    with pytest.raises(FloatingPointError, match="scale X and y"):
        check_gradients(net, [[10.0]], [1.0])


def test_the_network_is_left_as_it_was(targets):
    net, X, t, sample_weight = problem("tanh", ("squared_error", "identity"), targets)
    before, step = net.get_weights(), net.step
    check_gradients(net, X, t, sample_weight)
    assert net.step == step
    assert all(map(np.array_equal, net.get_weights(), before))
