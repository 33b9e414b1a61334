"""Calls with arrays that the kernels can read as they are: no conversion, no allocation.

They give the same bits as calls with conversion. Other arrays are converted or raise the errors in
test_bad_input.py.
"""

import tracemalloc

import numpy as np
import pytest
from comparing import sha256

from fastnn import MLP, Dense, losses

ROWS, INPUTS, OUTPUTS = 5, 3, 2
OUTPUT = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid", "poisson": "exp"}


def network(loss="squared_error", dtype="float32", units=OUTPUTS):
    layers = [Dense(20, "tanh"), Dense(units, OUTPUT.get(loss, "identity"))]
    return MLP(INPUTS, layers, loss=loss, optimizer="adam", dtype=dtype, seed=0)


def data(rng, targets, loss, units=OUTPUTS, rows=ROWS):
    X = rng.standard_normal((rows, INPUTS))
    return X, targets(loss, np.zeros((rows, losses.get(loss).n_targets(units))), rng)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", losses.NAMES)
def test_steps_are_those_of_converted_arrays(loss, dtype, rng, targets):
    """Plain arrays, and lists with the same numbers, train to the same bits."""
    X, y = data(rng, targets, loss)
    X, y = X.astype(dtype), y.astype(dtype)
    if loss == "cross_entropy":
        y = y.argmax(axis=1)
    plain, converted = network(loss, dtype), network(loss, dtype)
    for _ in range(3):
        assert plain.train_on_batch(X, y) == converted.train_on_batch(X.tolist(), y.tolist())
    assert sha256(plain) == sha256(converted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_predictions_are_those_of_converted_arrays(rows, dtype, rng):
    X = rng.standard_normal((rows, INPUTS)).astype(dtype)
    net, out = network(dtype=dtype), np.full((rows, OUTPUTS), np.nan, dtype)
    assert net.predict(X, out=out) is out
    np.testing.assert_array_equal(out, net.predict(X.tolist()))
    np.testing.assert_array_equal(out, net.predict(X))


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1)], ids=str)
def test_a_single_output_takes_targets_of_either_shape(shape, rng):
    X, y = rng.standard_normal((ROWS, INPUTS), "float32"), rng.standard_normal(ROWS, "float32")
    net, twin = network(units=1), network(units=1)
    assert net.train_on_batch(X, y.reshape(shape)) == twin.train_on_batch(X, y.tolist())
    assert sha256(net) == sha256(twin)


def unfit_targets():
    """Targets that a loss cannot take, in arrays that need no conversion."""
    fine = np.full((ROWS, OUTPUTS), 0.5, "float32")

    def spoilt(value):
        y = fine.copy()
        y[3, 1] = value
        return y

    yield "squared_error", spoilt(np.nan)
    yield "squared_error", spoilt(-np.inf)
    yield "squared_error", fine[:-1]
    yield "squared_error", fine[:, :1].copy()
    yield "poisson", spoilt(-1e-6)
    yield "binary_cross_entropy", spoilt(1.01)
    yield "binary_cross_entropy", spoilt(np.nan)
    yield "cross_entropy", np.array([0, 1, 0, 1, OUTPUTS])
    yield "cross_entropy", np.array([0, 1, 0, 1, -1])
    yield "cross_entropy", np.array([0, 1, 0, 1])


@pytest.mark.parametrize(("loss", "y"), list(unfit_targets()))
def test_invalid_targets_change_nothing(loss, y):
    net = network(loss)
    before = sha256(net)
    with pytest.raises(ValueError, match="y"):
        net.train_on_batch(np.ones((ROWS, INPUTS), "float32"), y)
    assert sha256(net) == before
    assert net.step == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_invalid_rows_change_nothing(value):
    net, X, y = network(), np.ones((ROWS, INPUTS), "float32"), np.ones((ROWS, OUTPUTS), "float32")
    before, out = sha256(net), np.full((ROWS, OUTPUTS), 7, "float32")
    X[4, 2] = value
    for call in (lambda: net.train_on_batch(X, y), lambda: net.predict(X, out=out)):
        with pytest.raises(ValueError, match=r"X\[4, 2\] is"):
            call()
    assert sha256(net) == before
    assert (out == 7).all()


def test_out_may_not_share_memory_with_rows():
    both = np.zeros((ROWS, INPUTS), "float32")
    net = network(units=INPUTS)
    with pytest.raises(ValueError, match="out overlaps X"):
        net.predict(both, out=both)
    halves = np.zeros((2 * ROWS, INPUTS), "float32")  # neighbours share nothing
    net.predict(halves[:ROWS], out=halves[ROWS:])


def test_subclasses_of_arrays_are_converted(rng):
    X = rng.standard_normal((ROWS, INPUTS), "float32")
    expected = network().predict(X)
    np.testing.assert_array_equal(network().predict(X.view(np.matrix)), expected)
    np.testing.assert_array_equal(network().predict(np.ma.masked_array(X)), expected)


def test_predicting_into_out_allocates_nothing(rng):
    net, out = network(), np.empty((1, OUTPUTS), "float32")
    x = rng.standard_normal((1, INPUTS), "float32")
    net.predict(x, out=out)
    tracemalloc.start()
    try:
        for _ in range(100):
            net.predict(x, out=out)
        assert tracemalloc.get_traced_memory()[1] < 1000  # its own frames', not an array's
    finally:
        tracemalloc.stop()
