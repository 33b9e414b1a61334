"""Standardize on columns of extreme scales, and as the rows come from other sources.

Every column gets mean 0 and deviation 1, or an error that names it and leaves the network as it
was. Columns of usual scales, and the layer's place in training, are in test_gradient_options.py.
"""

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLP, Dense, Standardize
from fastnn.training import rows

RNG = np.random.default_rng(0)
COLUMNS = RNG.standard_normal((300, 3))


def network(dtype):
    return MLP(3, [Standardize(), Dense(2)], loss="squared_error", optimizer="sgd", dtype=dtype,
               seed=0)  # fmt: skip


def with_scale(exponent, offset=0.0):
    """Return rows whose column 1 has a deviation near 10 to the power of `exponent`."""
    X = COLUMNS.copy()
    half = 10.0 ** (exponent / 2)
    X[:, 1] = (X[:, 1] + offset) * half * half
    return X


SCALES = {"float64": [-300, -200, -150, -100, 0, 100, 150, 200, 300, 307],
          "float32": [-31, -20, 0, 20, 30, 37]}  # fmt: skip


@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize(
    ("dtype", "exponent"),
    [(dtype, exponent) for dtype, some in SCALES.items() for exponent in some],
)
def test_columns_are_standardized_at_every_scale(dtype, exponent, offset):
    if exponent == 307:
        offset = 0.0
    net, twin = network(dtype), network(dtype)
    net.fit(with_scale(exponent, offset), COLUMNS[:, :2], epochs=2)
    twin.fit(with_scale(0, offset), COLUMNS[:, :2], epochs=2)
    eps = float(np.finfo(dtype).eps)
    factor = float(net.standardization[1][1]) / float(twin.standardization[1][1])
    assert factor == pytest.approx(10.0**exponent, rel=10 * eps)
    ours, theirs = net.predict(with_scale(exponent, offset)), twin.predict(with_scale(0, offset))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize(
    ("dtype", "exponent", "message"),
    [
        ("float64", -320, "a standard deviation of 9.* too small for float64; multiply"),
        ("float64", -306, "a standard deviation of 9.* too small for float64; multiply"),
        ("float32", -200, "numbers up to 3.*e-200, which are 0 in float32; multiply"),
        ("float32", -60, "numbers up to 3.*, or build the MLP with dtype='float64'$"),
        ("float32", -40, "a standard deviation of 9.* too small for float32.* dtype='float64'$"),
        ("float32", -33, "a standard deviation of 9.* too small for float32.* dtype='float64'$"),
    ],
)
@pytest.mark.parametrize("call", ["fit", "adapt"])
def test_a_column_that_cannot_be_standardized_is_named(dtype, exponent, message, call):
    net, X = network(dtype), with_scale(exponent)
    before = [w.tobytes() for w in net.get_weights()]
    with pytest.raises(ValueError, match=rf"^column 1 of X has {message}"):
        net.fit(X, COLUMNS[:, :2]) if call == "fit" else net.adapt(X)
    assert [w.tobytes() for w in net.get_weights()] == before
    assert (net.standardization, net.step) == (None, 0)
    net.fit(COLUMNS, COLUMNS[:, :2])


def test_a_distance_from_the_mean_that_overflows_is_named():
    """The deviation of one number among many is small; its distance is beyond float32."""
    X = np.full((300, 3), -3e38)
    X[7, 1] = 3e38
    with pytest.raises(
        ValueError, match=r"column 1 of X has a standard deviation of 3.* too large"
    ):
        network("float32").adapt(X)


@pytest.mark.parametrize("kind", ["mapped", "sparse"])
def test_columns_that_are_0_once_converted_are_named(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LARGE_BYTES", 100)
    X = with_scale(-200)
    if kind == "mapped":
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        X = scipy.sparse.csr_array(X)
    with pytest.raises(
        ValueError, match=r"column 1 of X has numbers up to .*, which are 0 in float"
    ):
        network("float32").adapt(X)
    net = network("float64")
    net.adapt(X)
    assert net.standardization[1][1] == pytest.approx(1e-200, rel=0.2)


def test_columns_of_zeros_stay_columns_of_zeros(monkeypatch):
    X = COLUMNS.copy()
    X[:, 2] = 0
    for large in (2**30, 100):
        monkeypatch.setattr(rows, "LARGE_BYTES", large)
        net = network("float32")
        net.fit(scipy.sparse.csr_array(X), COLUMNS[:, :2])
        assert net.standardization[1][2] == 1


def test_a_copy_in_single_precision_is_refused_where_it_could_not_standardize():
    net = network("float64")
    net.adapt(with_scale(-200))
    with pytest.raises(ValueError, match=r"column 1 of X .* too small for float32"):
        net.copy(dtype="float32")
