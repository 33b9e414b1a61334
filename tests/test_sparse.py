"""Sparse matrices whose arrays are not what SciPy would have built.

SciPy checks them only when a matrix is made, reads and writes out of bounds where they are wrong,
and takes some wrong indices in silence. Here every call refuses them, before anything changes, and
legal ones of any order give the bits of dense rows. Not here: sparse rows as one of the sources
of rows (test_data.py), and as scikit-learn's users pass them (test_sklearn.py).
"""

import itertools

import numpy as np
import pytest
import scipy.sparse

from fastnn import MLP, Callback, Dense, NumericEmbedding, SparseRows, kernels
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.training import rows

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((40, 3)) < 0.6, RNG.standard_normal((40, 3)), 0)
Y = RNG.random((40, 2))


def network():
    return MLP(3, [Dense(4, "tanh"), Dense(2)], loss="squared_error", optimizer="sgd", seed=0)


def damaged(part, change, kind=scipy.sparse.csr_array):
    """Return a matrix one of whose arrays was changed after SciPy had checked it."""
    X = kind(DENSE)
    setattr(X, part, change(getattr(X, part).copy()))
    return X


def put(at, value):
    def change(array):
        array[at] = value
        return array

    return change


DAMAGES = {
    "one beyond": ("indices", put(5, 3), r"but .*s run from 0 to \d+"),
    "far beyond": ("indices", put(5, 10**6), "has a value in .* 1000000, but"),
    "negative": ("indices", put(5, -5), r"has a value in .* -5, but .*s run from 0 to \d+"),
    "too few indices": ("indices", lambda array: array[:-3], "indices has .* entries, but indptr"),
    "too few values": ("data", lambda array: array[:-3], "data has .* entries, but indptr"),
    "indices of floats": ("indices", lambda array: array * 1.0, "indices must be an array of int"),
    "too short": ("indptr", lambda array: array[:-1], "indptr has .* entries, but .* need"),
    "too long": (
        "indptr",
        lambda array: np.append(array, array[-1]),
        "indptr has .* entries, but .* need",
    ),
    "not from 0": ("indptr", put(0, 1), "indptr must begin with 0"),
    "decreasing": ("indptr", put(2, 10**6), "must not decrease"),
    "negative counts": ("indptr", put(2, -1), "must not decrease"),
    "counting too many": ("indptr", put(-1, 10**6), "has .* entries, but indptr counts 1000000"),
    "unsigned": ("indptr", lambda array: put(2, 10**6)(array.astype("u4")), "must not decrease"),
    "beyond int64": ("indptr", lambda array: put(2, 2**64 - 1)(array.astype("u8")), "not decrease"),
}

CALLS = {
    "fit": lambda net, X: net.fit(X, Y),
    "validation": lambda net, X: net.fit(DENSE, Y, validation_data=(X, Y)),
    "batches": lambda net, X: net.fit([(X, Y)]),
    "predict": lambda net, X: net.predict(X),
    "evaluate": lambda net, X: net.evaluate(X, Y),
    "train_on_batch": lambda net, X: net.train_on_batch(X, Y),
    "loss_and_gradients": lambda net, X: net.loss_and_gradients(X, Y),
    "activations": lambda net, X: net.activations(X),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_matrix_is_refused(damage, call, large, monkeypatch):
    if large:
        monkeypatch.setattr(rows, "LARGE_BYTES", 10)
    part, change, message = DAMAGES[damage]
    net = network()
    before = [w.tobytes() for w in net.get_weights()]
    with pytest.raises(ValueError, match=rf"X is a damaged CSR matrix: .*{message}.*; rebuild it"):
        CALLS[call](net, damaged(part, change))
    assert [w.tobytes() for w in net.get_weights()] == before


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csc_array])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_matrix_is_refused_by_estimators(damage, kind):
    part, change, message = DAMAGES[damage]
    if damage == "one beyond" and kind is scipy.sparse.csc_array:
        change = put(5, 40)
    said = rf"X is a damaged CS[RC] matrix: .*{message}"
    fitted = MLPRegressor(hidden_layer_sizes=4).partial_fit(DENSE, Y)
    broken = damaged(part, change, kind)
    for estimator, y in (
        (MLPRegressor(hidden_layer_sizes=4), Y),
        (MLPClassifier(4), np.arange(40) % 2),
    ):
        with pytest.raises(ValueError, match=said):
            estimator.fit(broken, y)
        with pytest.raises(ValueError, match=said):
            estimator.partial_fit(broken, y, **({"classes": [0, 1]} if y.ndim == 1 else {}))
    with pytest.raises(ValueError, match=said):
        fitted.predict(broken)


@pytest.mark.parametrize("axis", ["row", "col"])
@pytest.mark.parametrize("place", [-1, 10**6])
def test_a_damaged_list_of_places_is_refused_by_estimators(axis, place):
    X = scipy.sparse.coo_matrix(DENSE)
    setattr(X, axis, put(3, place)(getattr(X, axis).copy()))
    with pytest.raises(ValueError, match=f"X is a damaged COO matrix: .* {axis}.* {place}, but"):
        MLPRegressor(hidden_layer_sizes=4).fit(X, Y)


@pytest.mark.parametrize("index", [np.int32, np.int64, np.uint32, np.uint64])
@pytest.mark.parametrize("large", [False, True])
def test_indices_in_any_order_and_values_that_add_up_are_the_dense_rows(large, index, monkeypatch):
    """TfidfVectorizer's are in no order; SciPy defines a place's value as the sum of all there."""
    X = scipy.sparse.csr_array(DENSE)
    order = np.concatenate([np.arange(b - 1, a - 1, -1) for a, b in itertools.pairwise(X.indptr)])
    indices, values = np.repeat(X.indices[order], 2), np.repeat(X.data[order] / 2, 2)
    X = scipy.sparse.csr_array((values, indices.astype(index), X.indptr * 2), shape=X.shape)
    assert not X.has_canonical_format
    net, twin = network(), network()
    twin.fit(DENSE, Y)
    expected = twin.predict(DENSE)
    if large:
        monkeypatch.setattr(rows, "LARGE_BYTES", 10)
    net.fit(X, Y)
    assert net.predict(X).tobytes() == expected.tobytes()
    assert len(X.indices) == len(indices)  # the user's matrix stays as it was


def test_what_is_stored_behind_the_last_row_does_not_count():
    X = scipy.sparse.csr_array(DENSE)
    X.indices, X.data = np.append(X.indices, [77]), np.append(X.data, [np.nan])
    assert network().predict(X).tobytes() == network().predict(DENSE).tobytes()


@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_a_callback_cannot_damage_a_matrix_in_use(part, monkeypatch):
    class Damage(Callback):
        def on_train_batch_begin(self, batch, logs):
            getattr(X, part)[...] = 10**6

    monkeypatch.setattr(rows, "LARGE_BYTES", 10)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 4 * 3 * 5)
    X, net, twin = scipy.sparse.csr_array(DENSE), network(), network()
    net.fit(X, Y, batch_size=5, epochs=3, callbacks=[Damage()])
    twin.fit(DENSE, Y, batch_size=5, epochs=3, callbacks=[Callback()])
    assert [w.tobytes() for w in net.get_weights()] == [w.tobytes() for w in twin.get_weights()]


def test_a_matrix_of_zeros():
    X = scipy.sparse.csr_array((40, 3))
    assert network().predict(X).tobytes() == network().predict(X.toarray()).tobytes()


def test_a_sparse_matrix_is_converted_to_a_form_that_is_taken():
    with pytest.raises(TypeError, match=r"X is a sparse matrix; pass X.toarray\(\)$"):
        NumericEmbedding.edges(scipy.sparse.csr_array(np.eye(4)), 2)
    with pytest.raises(
        TypeError, match=r"X is a sparse matrix; pass X.tocsr\(\) or X.toarray\(\)$"
    ):
        network().predict(scipy.sparse.csc_array(np.eye(4)))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("y", lambda rows: network().fit(DENSE, rows)),
        ("sample_weight", lambda rows: network().evaluate(DENSE, Y, sample_weight=rows)),
        ("z_prev", lambda rows: kernels.forward(rows, np.ones((3, 2)))),
        ("X", NumericEmbedding.edges),
    ],
)
def test_sparse_rows_where_only_arrays_are_taken(name, call):
    """The error was NumPy's: object of type 'numpy.int64' has no len()."""
    X = scipy.sparse.csr_array(DENSE)
    rows = SparseRows(X.data, X.indices, X.indptr, X.shape)
    for sparse in (rows, X):
        with pytest.raises(TypeError, match=rf"^{name} is a sparse matrix; .*{name}.toarray\(\)$"):
            call(sparse)
