"""The kernels agree with the reference, to the rounding of their precision.

For every instruction set, precision and remainder of a vector or a tile: forward, delta, output
delta and update, with bounds counted in eps; whole networks; nothing is read or written outside the
arrays; no row depends on its neighbours.
"""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastnn import MLP, Dense, Dropout, losses, reference

REMAINDERS = range(1, 68)  # past four tiles of 16 rows, four panels of 16 columns, and a bit
SHAPES = [  # (rows, n_in, n_out)
    *((rows, 5, 7) for rows in REMAINDERS),
    *((9, n_in, 7) for n_in in REMAINDERS),
    *((9, 5, n_out) for n_out in REMAINDERS),
    (1, 1, 1),
    (1, 784, 10),
    (97, 300, 130),
    (513, 33, 65),
]

# ---- bounds and guards --------------------------------------------------------------------------


def rounding(kernels, depth, magnitude):
    """Return the bound on the error of a sum of `depth` products: 4 sqrt(depth) eps |a|.|b|."""
    return 4 * np.sqrt(depth) * np.finfo(kernels.DTYPE).eps * magnitude


def assert_within(bound, actual, expected, what=""):
    """Assert that each element of `actual` is within `bound` of the expected one."""
    error = np.abs(np.asarray(actual, np.float64) - expected)
    wrong = ~(error <= bound)  # NaN is wrong too
    worst = np.max(error / (bound + 1e-300))
    assert not wrong.any(), f"{what}: {wrong.sum()} of {wrong.size} off by up to {worst:.3g} bounds"


SENTINEL = {4: np.uint32(0x7FC0_DEAD), 8: np.uint64(0x7FF8_0000_DEAD_BEEF)}  # a NaN of our own
FEW_ROWS = 4  # as in engine/net.pxd
GUARD = 37  # odd, so that no array is aligned to a vector


def guarded(kernels, array):
    """Return a copy within a larger buffer of NaN, so that reading outside it gives NaN."""
    size = kernels.DTYPE.itemsize
    buffer = np.full(np.size(array) + 2 * GUARD, SENTINEL[size]).view(kernels.DTYPE)
    view = buffer[GUARD:-GUARD].reshape(np.shape(array))
    view[...] = array
    return view


def assert_guards(*views):
    """Assert that nothing was written outside the arrays."""
    for view in views:
        bits = view.base.view(f"u{view.itemsize}")
        around = np.concatenate([bits[:GUARD], bits[-GUARD:]])
        assert (around == SENTINEL[view.itemsize]).all(), "written outside of an array"


def numbers(kernels, rng, *shape):
    """Normal numbers, guarded, and what they are in float64."""
    array = guarded(kernels, rng.normal(size=shape))
    return array, array.astype(np.float64)


# ---- one kernel each ----------------------------------------------------------------------------


def check_forward(kernels, isa, rng, rows, n_in, n_out):
    z_prev, Z = numbers(kernels, rng, rows, n_in)
    W_, W = numbers(kernels, rng, n_in, n_out)
    b_, b = numbers(kernels, rng, n_out)
    for bias_, bias in ((b_, b), (None, np.zeros(n_out))):
        a, z = (guarded(kernels, np.zeros((rows, n_out))) for _ in range(2))
        kernels.forward_arrays(z_prev, W_, bias_, "identity", 0.0, a, z, isa)
        bound = rounding(kernels, n_in, np.abs(Z) @ np.abs(W) + np.abs(bias))
        assert_within(bound, a, Z @ W + bias, f"a of {rows}x{n_in}x{n_out}")
        assert np.array_equal(a, z)
        assert_guards(a, z)


def check_delta(kernels, isa, rng, rows, n_in, n_out):
    a_, a = numbers(kernels, rng, rows, n_in)
    W_, W = numbers(kernels, rng, n_in, n_out)
    above_, above = numbers(kernels, rng, rows, n_out)
    delta = guarded(kernels, np.zeros((rows, n_in)))
    kernels.delta_arrays(a_, "tanh", 0.0, W_, above_, delta, isa)
    expected = reference.through("tanh", above @ W.T, a, np.tanh(a), 0.0)
    bound = rounding(kernels, n_out, np.abs(above) @ np.abs(W.T))
    assert_within(bound, delta, expected, f"delta of {rows}x{n_in}x{n_out}")
    assert_guards(delta)


def check_update(kernels, isa, rng, rows, n_in, n_out):
    """From W = 0 and b = 0, gradient descent with learning rate 1 leaves -dW and -db."""
    z_prev, Z = numbers(kernels, rng, rows, n_in)
    delta_, delta = numbers(kernels, rng, rows, n_out)
    W, b = guarded(kernels, np.zeros((n_in, n_out))), guarded(kernels, np.zeros(n_out))
    state = kernels.LayerState.of(n_in, n_out, "sgd", {"learning_rate": 1.0}, 0.0, isa)
    state.update(W, b, z_prev, delta_)
    what = f"of {rows}x{n_in}x{n_out}"
    bound = rounding(kernels, rows, np.abs(Z.T) @ np.abs(delta))
    assert_within(bound, -W, Z.T @ delta, f"dW {what}")
    assert_within(rounding(kernels, rows, np.abs(delta).sum(0)), -b, delta.sum(0), f"db {what}")
    assert_guards(W, b)


def check_output_delta(kernels, isa, rng, rows, n_out, loss, activation, targets):
    a_, a = numbers(kernels, rng, rows, n_out)
    alpha = reference.ALPHA.get(activation, 0.0)
    y = reference.ACTIVATIONS[activation][0](a, alpha)
    t_ = guarded(kernels, targets(loss, y, rng))
    t = t_.astype(np.float64)
    rows_ = np.full(rows + 2 * GUARD, np.nan)
    delta = guarded(kernels, np.zeros((rows, n_out)))
    parameter = losses.get(loss).parameter(n_out)
    kernels.output_delta_arrays(
        a_, t_, loss, parameter, activation, alpha, rows_[GUARD:-GUARD], delta, isa
    )
    expected_rows, expected = reference.loss_and_delta(loss, activation, alpha, a, y, t)
    what, depth = f"of {rows}x{n_out}", n_out if activation == "softmax" else 1
    size = 1 + np.abs(a) + np.abs(y) + np.abs(t)  # of the terms of a loss and its derivative
    bound = rounding(kernels, n_out, (size * size).sum(1))
    assert_within(bound, rows_[GUARD:-GUARD], expected_rows, f"loss {what}")
    assert np.isnan(rows_[:GUARD]).all()
    assert np.isnan(rows_[-GUARD:]).all()
    bound = rounding(kernels, depth, size * np.maximum(1, np.abs(y)))
    assert_within(bound, delta, expected, f"delta {what}")
    assert_guards(delta)


@pytest.mark.parametrize("check", [check_forward, check_delta, check_update])
def test_every_remainder(kernels, isa, rng, check):
    for shape in SHAPES:
        check(kernels, isa, rng, *shape)


@given(rows=st.integers(1, 130), n_in=st.integers(1, 130), n_out=st.integers(1, 130))
@settings(max_examples=30)
def test_any_shape(kernels, isa, rows, n_in, n_out):
    for check in (check_forward, check_delta, check_update):
        check(kernels, isa, np.random.default_rng(rows), rows, n_in, n_out)


def test_output_delta(kernels, isa, rng, pair, targets):
    for rows, n_out in [(3, n_out) for n_out in REMAINDERS] + [(1, 2), (1, 130), (41, 3)]:
        if n_out > 1 or pair[1] != "softmax":
            check_output_delta(kernels, isa, rng, rows, n_out, *pair, targets)


def test_activation(kernels, isa, activation):
    """z = h(a) and h'(a), the latter as delta behind W = 1 and delta_next = 1, for many a."""
    tiny = float(np.finfo(kernels.DTYPE).tiny)
    a = np.concatenate([np.linspace(-30, 30, 1999), [-80, -1e-3, -tiny, 0.0, tiny, 1e-3, 80]])
    a = a[:, None].astype(kernels.DTYPE)
    alpha, one = activation.alpha or 0.0, np.ones((1, 1), kernels.DTYPE)
    if activation.name == "softmax":
        a = a[:2000].reshape(-1, 50)
        one = np.eye(50, dtype=kernels.DTYPE)
    a_copy, z = np.empty_like(a), np.empty_like(a)
    kernels.forward_arrays(a, one, None, activation.name, alpha, a_copy, z, isa)
    exact = a.astype(np.float64)
    value, slope = reference.ACTIVATIONS[activation.name]
    expected = value(exact, alpha)
    relative = 1.0
    if activation.name == "softmax":
        relative = 1 + np.max(exact, 1, keepdims=True) - exact  # the exponent's rounding
    elif activation.name == "gelu":
        relative = 1 + exact**2  # that of the reference, whose erfc takes a rounded argument
    elif activation.name == "gelu_tanh":
        relative = 1 + abs(exact) ** 3  # that of tanh's rounded argument
    floor = np.finfo(kernels.DTYPE).smallest_subnormal * (1 + np.abs(exact))  # gelu's a * subnormal
    assert np.array_equal(a_copy, a)
    assert_within(rounding(kernels, 1, np.abs(expected) * relative) + floor, z, expected, "z")
    if slope is None:
        return  # a Jacobian: its delta is tested behind losses
    delta = np.empty_like(a)
    kernels.delta_arrays(a, activation.name, alpha, one, np.ones_like(a), delta, isa)
    steep = 2 if activation.name == "gelu_tanh" else 1  # its slope has the rounded argument twice
    bound = rounding(kernels, 1, steep * np.maximum(1, np.abs(expected)))
    assert_within(bound, delta, slope(exact, expected, alpha), "slope")


def test_a_result_beyond_the_bound_fails_the_comparison(kernels, isa, rng):
    """A result with one element that is wrong by four times the bound fails the comparison."""
    z_prev, Z = numbers(kernels, rng, 20, 50)
    W_, W = numbers(kernels, rng, 50, 30)
    a, z = np.empty((20, 30), kernels.DTYPE), np.empty((20, 30), kernels.DTYPE)
    kernels.forward_arrays(z_prev, W_, None, "identity", 0.0, a, z, isa)
    bound = rounding(kernels, 50, np.abs(Z) @ np.abs(W))
    assert_within(bound, a, Z @ W)
    for planted in (a[7, 11] + 4 * bound[7, 11], a[7, 11] - 4 * bound[7, 11], np.nan):
        wrong = a.copy()
        wrong[7, 11] = planted
        with pytest.raises(AssertionError, match="1 of 600 off"):
            assert_within(bound, wrong, Z @ W)


def test_a_write_outside_an_array_is_found(kernels):
    for index in (GUARD - 1, -GUARD):
        array = guarded(kernels, np.zeros((2, 3)))
        array.base[index] = 0
        with pytest.raises(AssertionError, match="outside"):
            assert_guards(array)


# ---- rows ---------------------------------------------------------------------------------------


def test_rows_do_not_depend_on_their_neighbours(kernels, isa, rng, pair, targets):
    """The first n rows alone have the bits that they have among 40."""
    loss, activation = pair
    alpha = reference.ALPHA.get(activation, 0.0)
    X, W, b = (numbers(kernels, rng, *shape)[0] for shape in ((40, 21), (21, 19), (19,)))
    t = targets(loss, np.zeros((40, 19)), rng).astype(kernels.DTYPE)
    parameter = losses.get(loss).parameter(19)

    def outputs(n):
        a, z, delta = (np.empty((n, 19), kernels.DTYPE) for _ in range(3))
        rows, below = np.empty(n), np.empty((n, 21), kernels.DTYPE)
        kernels.forward_arrays(X[:n], W, b, activation, alpha, a, z, isa)
        kernels.output_delta_arrays(a, t[:n], loss, parameter, activation, alpha, rows, delta, isa)
        kernels.delta_arrays(X[:n], "gelu", 0.0, W, delta, below, isa)
        return a, z, rows, delta, below

    def assert_same(outputs_of_n, outputs_of_more, n):
        for alone, among in zip(outputs_of_n, outputs_of_more, strict=True):
            assert np.array_equal(alone, among[:n], equal_nan=True), n

    everything, few = outputs(40), outputs(FEW_ROWS)
    for n in range(1, 40):
        assert_same(outputs(n)[:4], everything[:4], n)
        # As in training, the delta below a layer has one order of sums in batches of few rows, and
        # another in larger ones.
        assert_same(outputs(n)[4:], (few if n <= FEW_ROWS else everything)[4:], n)


def test_predictions_do_not_depend_on_the_batch(kernels, isa, rng, activation):
    layers = [Dense(33, "gelu"), Dense(18, activation)]
    net = MLP(21, layers, loss="squared_error", optimizer="sgd", dtype=kernels.DTYPE, seed=1)
    X = rng.normal(size=(250, 21))  # three chunks of rows
    everything = net.predict(X)
    for n in [*range(1, 41), 95, 96, 97, 193]:
        out = guarded(kernels, np.zeros((n, 18)))
        assert np.array_equal(net.predict(X[:n], out), everything[:n]), n
        assert np.array_equal(net.predict(X[-n:]), everything[-n:]), n
        assert_guards(out)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 40, 1100])
@pytest.mark.parametrize("units", [1, 3, 9, 33])
def test_a_step_by_functions_of_arrays_has_the_bits_of_training(isa, units, n):
    """Forward, delta and update of arrays are the stages that training runs, bit by bit."""
    from fastnn import Adam, kernels

    rng = np.random.default_rng(units)
    layers = [Dense(32, "tanh"), Dense(units)]
    net = MLP(20, layers, loss="squared_error", optimizer=Adam(0.01), reduction="sum", seed=0)
    X, t = (rng.normal(size=(n, k)).astype("f4") for k in (20, units))
    W0, b0, W1, b1 = net.get_weights()
    a0, z0 = kernels.forward(X, W0, b0, "tanh")
    a1, _ = kernels.forward(z0, W1, b1)
    rows, delta1 = kernels.output_delta(a1, t, "squared_error", "identity")
    delta0 = kernels.delta(a0, "tanh", W1, delta1)
    kernels.update(W1, b1, z0, delta1, Adam(0.01))
    kernels.update(W0, b0, X, delta0, Adam(0.01))
    loss = net.train_on_batch(X, t)
    assert loss == pytest.approx(rows.sum())
    for ours, theirs in zip((W0, b0, W1, b1), net.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


# ---- whole networks -----------------------------------------------------------------------------


def rounding_errors(twin, delta, share, t):
    """What rounding may do to the loss and the gradients of the reference's last pass, in eps.

    To first order: a product adds |a|.|b| to what its factors bring along; h' and h'' are at most
    2 max(1, |z|). `delta` is the output's, `share` each row's weight in the loss.
    """
    z_error, on_tape = 0.0, []
    for layer, (z_prev, keep, _, z) in zip(twin.layers, twin.tape, strict=True):
        z_error = (z_error + np.abs(z_prev)) * (1 if keep is None else keep)
        a_error = z_error @ np.abs(layer.W) + (0 if layer.b is None else np.abs(layer.b))
        slope = 2 * np.maximum(1, np.abs(z))
        on_tape.append((z_error, a_error, slope))
        z_error = a_error * slope + np.abs(z)
    _, _, a, y = twin.tape[-1]
    size = 1 + np.abs(a) + np.abs(y) + np.abs(t) + z_error
    loss = share @ (size * size).sum(1) + sum(layer.penalty() for layer in twin.layers)
    error, found = share[:, None] * size * slope, []
    for index in reversed(range(len(twin.layers))):
        layer, (z_prev, keep, _, _) = twin.layers[index], twin.tape[index]
        dW = on_tape[index][0].T @ np.abs(delta) + np.abs(z_prev.T) @ error
        dW += layer.l1 + 2 * layer.l2 * np.abs(layer.W)
        found[:0] = [dW] if layer.b is None else [dW, error.sum(0)]
        if index:
            below, (_, _, a, z) = twin.layers[index - 1], twin.tape[index - 1]
            _, a_error, slope = on_tape[index - 1]
            mask = 1 if keep is None else keep
            g = delta @ layer.W.T * mask
            g_error = (np.abs(delta) + error) @ np.abs(layer.W.T) * mask
            delta = reference.through(below.activation, g, a, z, below.alpha)
            error = (g_error + np.abs(g) * (a_error + 1)) * slope
    return loss, found


def check_network(kernels, net, X, y, sample_weight):
    """One loss and its gradients, dropout on, against the float64 twin."""
    twin = reference.Network.like(net.copy(dtype="float64"))
    y, weight = (v.astype(kernels.DTYPE).astype(np.float64) for v in (y, sample_weight))
    expected_loss, expected = twin.loss_and_gradients(X, y, weight, training=True)
    loss, gradients = net.loss_and_gradients(X, y, weight, training=True)
    share = weight / weight.sum() if net.reduction == "mean" else weight
    delta = twin._loss_and_delta(y, weight)[1]
    loss_error, errors = rounding_errors(twin, delta, share, y)
    assert_within(rounding(kernels, 1, loss_error), loss, expected_loss, "loss")
    for i, (error, *both) in enumerate(zip(errors, gradients, expected, strict=True)):
        assert_within(rounding(kernels, 1, error), *both, f"gradient {i}")


@st.composite
def networks(draw):
    """Depths 1 to 4, widths 1 to 40, biases, penalties, dropout: the arguments of an MLP."""
    loss = draw(st.sampled_from([n for n in losses.NAMES if losses.get(n).n_targets(2) == 2]))
    output = draw(st.sampled_from(losses.get(loss).outputs or reference.ANY))
    hidden = st.sampled_from([name for name in reference.ANY if name != "softmax"])
    widths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    if output == "softmax":
        widths[-1] += 1
    layers = []
    for i, units in enumerate(widths):
        h = output if i == len(widths) - 1 else draw(hidden)
        l1, l2, rate = draw(st.sampled_from([(0, 0, 0), (0.01, 0, 0.3), (0, 0.01, 0), (0, 0, 0.5)]))
        layers += [Dropout(rate), Dense(units, h, use_bias=draw(st.booleans()), l1=l1, l2=l2)]
    reduction = draw(st.sampled_from(["mean", "sum"]))
    n_in, seed = draw(st.integers(1, 40)), draw(st.integers(0, 99))
    return (n_in, layers), {"loss": loss, "reduction": reduction, "seed": seed}


@given(network=networks(), rows=st.integers(1, 40))
@settings(max_examples=100)
def test_networks(kernels, isa, targets, network, rows):
    args, options = network
    net = MLP(*args, **options, optimizer="sgd", dtype=kernels.DTYPE)
    rng = np.random.default_rng(options["seed"])
    net.set_weights([w + rng.normal(0, 0.1, w.shape) for w in net.get_weights()])
    X = rng.normal(size=(rows, net.n_in)).astype(kernels.DTYPE)
    twin = reference.Network.like(net.copy(dtype="float64"))
    y = twin.forward(X, training=True)
    pre_activations = np.concatenate([np.abs(a).ravel() for _, _, a, _ in twin.tape])
    assume(pre_activations.max() < 20)  # stacks of exp
    assume(not ((pre_activations > 0) & (pre_activations < 1e-4)).any())  # close to a kink
    check_network(kernels, net, X, targets(net.loss.name, y, rng), rng.uniform(0.5, 2, rows))


def test_dropout_masks(kernels, isa):
    """Row r of the mask is read from the gradient of a linear unit if only row r has a weight."""
    rows = 5
    for units, step in itertools.product(range(1, 41), (0, 7)):
        layers = [Dropout(0.4), Dense(1, initializer="zeros", use_bias=False)]
        net = MLP(units, layers, loss="squared_error", optimizer="sgd", reduction="sum",
                  dtype=kernels.DTYPE, seed=units)  # fmt: skip
        net._state.take(dataclasses.replace(net._state.snapshot(), step=step))
        rate = net.dropout_rates[0]
        expected = reference.dropout_mask(net.dropout_seed, step, 0, rows, units, rate)
        for r in range(rows):
            X, t = np.ones((rows, units)), -np.ones(rows)
            _, (dW,) = net.loss_and_gradients(X, t, np.arange(rows) == r, training=True)
            assert np.allclose(dW[:, 0], expected[r] / (1 - rate), rtol=1e-6, atol=0)


# ---- values that are not finite -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_first_nonfinite(kernels, bad):
    for n in (*REMAINDERS, 1000):
        x = guarded(kernels, np.full(n, 3e38))
        assert kernels.first_nonfinite(x) == -1
        for at in {0, n // 2, n - 1}:
            x[at:] = bad
            assert kernels.first_nonfinite(x) == at
            x[at:] = 3e38
