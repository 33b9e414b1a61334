"""Arrays in every layout and dtype, from every library.

Tests that X, targets, labels, sample weights and weights in any memory layout and any real dtype,
and from pandas, polars or through DLPack, give the bits of a contiguous copy in the network's
dtype; and that no byte of them is written, read-only or not.

Not here: values that are refused (test_bad_input.py).
"""

import functools

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from numpy.lib.stride_tricks import as_strided

from fastnn import MLP, Adam, Dense, Standardize, kernels
from fastnn.training import rows

DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
N, N_IN, N_OUT = 101, 5, 3  # a chunk of rows and a bit, part of a panel of columns


# ---- layouts: each takes an array and returns (the same values laid out, the memory below) -------


def c_order(array, path):
    array = np.array(array, order="C")
    return array, array


def fortran_order(array, path):
    array = np.array(array, order="F")
    return array, array


def strided(array, path):
    memory = np.ones([2 * n + 1 for n in array.shape], array.dtype)
    view = memory[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view, memory


def negative_stride(array, path):
    backwards = (slice(None, None, -1),) * array.ndim
    memory = array[backwards].copy()
    return memory[backwards], memory


def broadcast(array, path):
    """Not the same values, but the first row again and again, with a stride of 0."""
    memory = array[:1].copy()
    return np.broadcast_to(memory, array.shape), memory


def overlapping(array, path):
    """Not the same values, but rows that overlap: windows over a sequence."""
    memory = np.resize(array, len(array) + 8)
    step = memory.itemsize
    return as_strided(memory, array.shape, (step,) * array.ndim, writeable=False), memory


def read_only(array, path):
    array = array.copy()
    array.flags.writeable = False
    return array, array


def read_only_memmap(array, path):
    array.tofile(path)
    mapped = np.memmap(path, array.dtype, "r", shape=array.shape)
    return mapped, mapped


def misaligned(array, path):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view, memory


def big_endian(array, path):
    array = array.astype(array.dtype.newbyteorder(">"))
    return array, array


LAYOUTS = [c_order, fortran_order, strided, negative_stride, broadcast, overlapping, read_only,
           read_only_memmap, misaligned, big_endian]  # fmt: skip


# ---- what is compared ---------------------------------------------------------------------------


def regressor(dtype):
    layers = [Dense(7, "tanh"), Dense(N_OUT)]
    return MLP(N_IN, layers, loss="squared_error", optimizer="adam", dtype=dtype, seed=0)


def classifier(dtype):
    layers = [Dense(7, "tanh"), Dense(N_OUT, "softmax")]
    return MLP(N_IN, layers, loss="cross_entropy", optimizer="adam", dtype=dtype, seed=0)


def everything(build, X, y, weights):
    """Return all results of all methods that take data, as bytes."""
    net = build()
    out = np.empty((N, N_OUT), net.dtype)
    results = [net.evaluate(X, y, weights), net.loss_and_gradients(X, y, weights)]
    results += [net.train_on_batch(X, y, weights), net.predict(X), net.predict(X, out=out)]
    history = net.fit(X, y, batch_size=16, epochs=2, sample_weight=weights,
                      validation_data=(X, y, weights))  # fmt: skip
    results += [history.history, net.get_weights(), net.predict(X)]
    return [in_bytes(result) for result in results]


def in_bytes(result):
    if isinstance(result, np.ndarray):
        return result.tobytes()
    if isinstance(result, list | tuple):
        return [in_bytes(item) for item in result]
    return result


def data(dtype="f8"):
    """X, targets, labels, weights of small whole numbers: every dtype holds them."""
    rng, top = np.random.default_rng(0), 2 if dtype == "?" else N_OUT
    shapes = (N, N_IN), (N, N_OUT), (N,), (N,)
    X, Y, labels, weights = (rng.integers(0, top, shape).astype(dtype) for shape in shapes)
    Y[0], labels[0], weights[0] = 1, 1, 1  # the row that `broadcast` repeats weighs something
    return X, Y, labels, weights


def plain(array, dtype):
    """Return a contiguous, native, writeable copy in the network's dtype."""
    return np.array(np.asarray(array), dtype=dtype, order="C")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lay_out", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layout(lay_out, dtype, precision, tmp_path):
    laid = [lay_out(array, tmp_path / str(i)) for i, array in enumerate(data(dtype))]
    before = [memory.tobytes() for _, memory in laid]
    X, Y, labels, weights = (view for view, _ in laid)
    pX, pY, _, p_weights = (plain(view, precision) for view, _ in laid)
    p_labels = plain(labels, np.int64)

    regress = functools.partial(regressor, precision)
    assert everything(regress, X, Y, weights) == everything(regress, pX, pY, p_weights)
    classify = functools.partial(classifier, precision)
    assert everything(classify, X, labels, weights) == everything(classify, pX, p_labels, p_weights)
    assert [memory.tobytes() for _, memory in laid] == before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lay_out", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layout_of_weights_and_of_the_kernels_arrays(lay_out, dtype, tmp_path):
    X, Y, _, _ = data(dtype)
    wanted = [np.ones((N_IN, 7), dtype), np.ones(7, dtype), Y[:7], Y[7]]
    laid = [lay_out(array, tmp_path / str(i)) for i, array in enumerate([X, Y, *wanted])]
    before = [memory.tobytes() for _, memory in laid]
    X, Y, *weights = (view for view, _ in laid)

    net, same = regressor("float32"), regressor("float32")
    net.set_weights(weights)
    same.set_weights([plain(w, "f4") for w in weights])
    assert in_bytes(net.get_weights()) == in_bytes(same.get_weights())
    assert in_bytes(net.get_weights()) == [plain(w, "f4").tobytes() for w in weights]

    def by_hand(X, Y, W0, b0, W1, b1):
        a0, z0 = kernels.forward(X, W0, b0, "tanh")
        a1, _ = kernels.forward(z0, W1, b1)
        rows, above = kernels.output_delta(a1, Y, "squared_error", "identity")
        below = kernels.delta(a0, "tanh", W1, above)
        W, b = np.ones((N_IN, 7)), np.ones(7)
        kernels.update(W, b, X, below, "adam")
        return in_bytes([a0, z0, a1, rows, above, below, W, b])

    # Float32 only if all arrays are, so 64 bits throughout but for one dtype.
    width = "f4" if np.dtype(dtype) == np.float32 and lay_out is not big_endian else "f8"
    copies = [plain(array, width) for array in (X, Y, *weights)]
    assert by_hand(X, Y, *weights) == by_hand(*copies)
    assert [memory.tobytes() for _, memory in laid] == before


# ---- other libraries ----------------------------------------------------------------------------


class OnlyDLPack:
    """An array of another library that numpy knows nothing about but its DLPack."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **kwargs):
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def dlpack(array):
    return OnlyDLPack(array.copy())


def dlpack_read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return OnlyDLPack(array)


def dlpack_strided(array):
    return OnlyDLPack(np.repeat(array, 2, axis=0)[::-2])


def pandas(array):
    index = np.arange(len(array))[::-1] * 3
    return (pd.Series if array.ndim == 1 else pd.DataFrame)(array, index=index)


def pandas_by_column(array):
    if array.ndim == 1:
        return pd.Series(array, name="y", index=[f"row {i}" for i in range(len(array))])
    return pd.DataFrame({f"column {i}": column for i, column in enumerate(array.T)})


def polars(array):
    return pl.Series(array) if array.ndim == 1 else pl.DataFrame(array)


def lists(array):
    return array.tolist()


def memory(array):
    return memoryview(array.copy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "container",
    [dlpack, dlpack_read_only, dlpack_strided, pandas, pandas_by_column, polars, lists, memory],
    ids=lambda container: container.__name__,
)
def test_container(container, dtype):
    if container is polars and dtype == "f2" and not hasattr(pl, "Float16"):
        pytest.skip("this version of polars has no half floats")
    arrays = data(dtype)
    X, Y, labels, weights = (container(array) for array in arrays)
    if container is dlpack_strided:
        arrays = [array[::-1] for array in arrays]
    before = [np.array(view_of(held)).tobytes() for held in (X, Y, labels, weights)]
    pX, pY, _, p_weights = (plain(array, "f4") for array in arrays)
    regress = functools.partial(regressor, "float32")
    assert everything(regress, X, Y, weights) == everything(regress, pX, pY, p_weights)
    classify = functools.partial(classifier, "float32")
    assert everything(classify, X, labels, weights) == everything(
        classify, pX, plain(arrays[2], "i8"), p_weights
    )
    assert [np.array(view_of(held)).tobytes() for held in (X, Y, labels, weights)] == before


def view_of(held):
    return held._array if isinstance(held, OnlyDLPack) else held


MIXTURES = [
    {0: "i1", 1: "u2", 2: "f4", 3: "u8"},
    {0: "bool", 1: "bool", 2: "f4", 3: "i8"},  # what get_dummies adds is bool
    {0: "Int64", 1: "boolean", 2: "Float32", 3: "bool"},
    dict.fromkeys(range(N_IN), "Int8"),
]


@pytest.mark.parametrize("dtypes", MIXTURES, ids=lambda dtypes: "-".join(dtypes.values()))
def test_frame_of_mixed_and_nullable_numbers(dtypes):
    X = data("?")[0]
    frame = pd.DataFrame(X.astype(float)).astype(dtypes)
    assert regressor("f4").predict(frame).tobytes() == regressor("f4").predict(X).tobytes()


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "Float64", "boolean"])
def test_nullable_series_of_targets_labels_and_weights(dtype):
    X, Y, labels, weights = data("?")
    y, w = (pd.Series(array.astype(float)).astype(dtype) for array in (labels, weights))
    classify, plain_labels = functools.partial(classifier, "float32"), labels.astype(int)
    assert everything(classify, X, y, w) == everything(classify, X, plain_labels, weights)
    regress, frame = functools.partial(regressor, "float32"), pd.DataFrame(Y.astype(float))
    assert everything(regress, X, frame.astype(dtype), w) == everything(regress, X, Y, weights)


# ---- predictions and inputs of the network's own dtype, which are not copied ---------------------


def test_contiguous_data_of_the_network_s_dtype_is_taken_as_it_is():
    """Whatever is read in place must be as safe as a copy: read-only, the same before and after."""
    X, Y, labels, weights = data("f4")
    labels = labels.astype(np.int64)
    for array in (X, Y, labels, weights):
        array.flags.writeable = False
    copies = [array.copy() for array in (X, Y, labels, weights)]
    everything(functools.partial(regressor, "float32"), X, Y, weights)
    everything(functools.partial(classifier, "float32"), X, labels, weights)
    for array, copy in zip((X, Y, labels, weights), copies, strict=True):
        assert array.tobytes() == copy.tobytes()


def test_a_row_at_a_time_from_a_strided_view_predicts_the_same():
    X, *_ = data("f4")
    net = regressor("float32")
    whole = net.predict(X)
    rows = [net.predict(X.T[:, i : i + 1].T) for i in range(N)]
    assert np.concatenate(rows).tobytes() == whole.tobytes()


def test_predictions_go_into_a_memmap(tmp_path):
    X, *_ = data("f4")
    net = regressor("float32")
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(N, N_OUT))
    assert net.predict(X, out=out) is out
    assert out.tobytes() == net.predict(X).tobytes()


# ---- numpy's handling of floating-point errors --------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpys_floating_point_errors_are_left_to_the_user(dtype):
    """What is rounded to 0 or to a subnormal is no error, however np.seterr is set."""
    rng = np.random.default_rng(0)
    X, y, w = rng.standard_normal((40, 3)), rng.integers(0, 3, 40), rng.random(40)
    X[3, 1], w[4] = 1e-60, 1e-50

    def trained():
        net = MLP(3, [Standardize(), Dense(8, "tanh"), Dense(3, "softmax")], loss="cross_entropy",
                  optimizer=Adam(use_ema=True), dtype=dtype, seed=0)  # fmt: skip
        net.fit(X, y, sample_weight=w, class_weight={0: 1e-10}, epochs=2, validation_split=0.2,
                metrics=["accuracy", "roc_auc"])  # fmt: skip
        net.fit([(X, np.eye(3)[y], w)], validation_data=(X, y, w))
        net.train_on_batch(X, y, w)
        net.set_weights([array.astype("f8") * 1e-45 for array in net.get_weights()])
        losses = net.evaluate(X, y, w), net.loss_and_gradients(X, y, w)[0]
        return [*losses, net.predict(X).tobytes(), net.jacobian(X).tobytes()]

    expected = trained()
    with np.errstate(all="raise"):
        assert trained() == expected


@pytest.mark.parametrize("kind", ["f2", "sparse"])
def test_rows_that_are_converted_on_the_way_raise_no_underflow(kind, monkeypatch):
    monkeypatch.setattr(rows, "LARGE_BYTES", 100)
    X = np.full((50, 4), 1e-60)
    X = X.astype("f2") if kind == "f2" else scipy.sparse.csr_array(X)
    with np.errstate(all="raise"):
        net = MLP(4, [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
        net.fit(X, np.ones(50))
        assert np.isfinite(net.predict(X)).all()
