"""Data frames and tensors as rows: the same values, and the columns of the first fit.

Tests that pandas, polars and Arrow frames, nullable and mixed columns, DLPack tensors and lists
give the same bits as plain arrays; and that column names are kept and compared. Not here: names in
files (test_files.py), layouts of arrays (test_layouts.py).
"""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastnn import MLP, Callback, Dense, ModelCheckpoint, Standardize

RNG = np.random.default_rng(0)
NAMES = ["a", "b", "c"]
X = RNG.integers(-9, 9, (30, 3)).astype(np.float32)
Y = X.sum(axis=1)


class Tensor:
    """An object with no protocol but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Raising(Callback):
    def on_train_batch_begin(self, batch, logs):
        assert self.model.feature_names == tuple(NAMES)
        raise ZeroDivisionError


FRAMES = {
    "pandas": lambda array: pd.DataFrame(array, columns=NAMES),
    "pandas, nullable": lambda array: pd.DataFrame(array, columns=NAMES).convert_dtypes(),
    "pandas, Arrow": lambda array: pd.DataFrame(array, columns=NAMES).astype("float[pyarrow]"),
    "pandas, mixed": lambda array: pd.DataFrame(array, columns=NAMES).astype({"a": int, "b": "f8"}),
    "polars": lambda array: pl.DataFrame(array, schema=NAMES),
    "polars, mixed": lambda array: pl.DataFrame(array, schema=NAMES).with_columns(
        pl.col("a").cast(pl.Int8), pl.col("b").cast(pl.Float64)
    ),
    "Arrow": lambda array: pa.table(dict(zip(NAMES, array.T, strict=True))),
    "Arrow, dictionary": lambda array: pa.table(
        {"a": pa.array(array[:, 0]).dictionary_encode(), "b": array[:, 1], "c": array[:, 2]}
    ),
}
NAMELESS = {
    "DLPack": Tensor,
    "lists": np.ndarray.tolist,
    "pandas, numbered": pd.DataFrame,
}
SERIES = {"pandas": pd.Series, "polars": pl.Series, "DLPack": Tensor, "list": list}


def network():
    layers = [Standardize(), Dense(4, "tanh"), Dense(1)]
    return MLP(3, layers, loss="squared_error", optimizer="adam", seed=0)


def everything(X, y):
    """Return the results of all methods that take rows."""
    net = network()
    history = net.fit(X, y, epochs=2, validation_data=(X, y), metrics=["mae"])
    results = [history.history, net.evaluate(X, y), net.predict(X).tobytes()]
    results += [net.train_on_batch(X, y), net.input_gradients(X).tobytes()]
    return [*results, *(w.tobytes() for w in net.get_weights())]


@pytest.mark.parametrize("kind", [*FRAMES, *NAMELESS])
def test_frames_and_tensors_give_the_bits_of_arrays(kind):
    make = (FRAMES | NAMELESS)[kind]
    assert everything(make(X), Y) == everything(X, Y)


@pytest.mark.parametrize("kind", SERIES)
def test_series_give_the_bits_of_arrays(kind):
    assert everything(X, SERIES[kind](Y)) == everything(X, Y)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    assert everything(torch.from_numpy(X), torch.from_numpy(Y)) == everything(X, Y)


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_are_those_of_the_fit(kind):
    net, make = network(), FRAMES[kind]
    frame = make(X)
    net.fit(frame, Y)
    assert net.feature_names == tuple(NAMES)
    before = [w.tobytes() for w in net.get_weights()]
    other = pd.DataFrame(X, columns=NAMES)
    for bad, message in (
        (other[["c", "b", "a"]], "has its columns in a different order than in fit"),
        (other[["a", "b"]], "is missing column 'c'"),
        (other.rename(columns={"a": "z", "c": "y"}), "is missing column 'a' and 1 more"),
        (other.assign(z=1, y=2), "has column 'z' and 1 more, which the MLP was not fitted with"),
    ):
        for frame in (bad, pl.DataFrame(bad), pa.table(bad)):
            for call in (net.predict, lambda X: net.evaluate(X, Y), lambda X: net.fit(X, Y),
                         lambda X: net.train_on_batch(X, Y), net.adapt, net.activations,
                         lambda X: net.fit(other, Y, validation_data=(X, Y))):  # fmt: skip
                with pytest.raises(ValueError, match=message) as caught:
                    call(frame)
                assert "list(net.feature_names)" in str(caught.value)
    assert before == [w.tobytes() for w in net.get_weights()]


def test_names_can_be_dropped_and_arrays_have_none():
    net, frame = network(), pd.DataFrame(X, columns=NAMES)
    net.fit(X, Y)
    assert net.feature_names is None
    net.predict(frame)
    net.fit(frame, Y)
    net.predict(X)  # an array has no names to be wrong
    net.feature_names = None
    net.fit(frame.rename(columns=str.upper), Y)
    assert net.feature_names == ("A", "B", "C")


def test_a_fit_that_fails_learns_no_names():
    net, frame = network(), pd.DataFrame(X, columns=NAMES)
    with pytest.raises(ValueError, match="y has 29 rows"):
        net.fit(frame, Y[1:])
    assert net.feature_names is None


@pytest.mark.parametrize("kind", ["pandas", "polars", "Arrow"])
def test_an_iterable_of_frames_has_column_names(kind, tmp_path):
    frame, other = FRAMES[kind](X), pd.DataFrame(X, columns=NAMES[::-1])
    net = MLP(3, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    with pytest.raises(ValueError, match="batch 0 y has 29 rows"):
        net.fit([(frame, Y[1:])])
    with pytest.raises(ValueError, match=r"batch 0 X.* is nan"):
        net.fit([(FRAMES[kind](X * np.nan), Y)])
    with pytest.raises(ZeroDivisionError):  # before the first step
        net.fit([(frame, Y)], callbacks=[Raising()])
    net.fit([(X, Y)], validation_data=(frame, Y))
    assert net.feature_names is None
    path = tmp_path / "checkpoint"
    net.fit([(X, Y), (frame, Y)], callbacks=[ModelCheckpoint(path)])
    assert net.feature_names == tuple(NAMES)
    with pytest.raises(ValueError, match="X has its columns in a different order than in fit"):
        net.predict(other)
    twin = MLP(3, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    for one, resume in ((net, None), (twin, path)):
        with pytest.raises(ValueError, match=r"batch 0 X .* a different order than in fit"):
            one.fit([(other, Y)], epochs=2, callbacks=[ModelCheckpoint(path)], resume=resume)
    assert twin.feature_names is None
    twin.fit([(X, Y), (frame, Y)], epochs=2, callbacks=[ModelCheckpoint(path)], resume=path)
    assert twin.feature_names == tuple(NAMES)


@pytest.mark.parametrize("kind", ["pandas", "polars", "Arrow"])
def test_all_frames_of_a_first_fit_have_the_same_columns(kind, tmp_path):
    frame = FRAMES[kind](X)
    other = frame.select(NAMES[::-1]) if kind != "pandas" else frame[NAMES[::-1]]
    plain = MLP(3, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    order = "has its columns in a different order than"
    with pytest.raises(ValueError, match=f"validation X {order} X"):
        plain.fit(frame, Y, validation_data=(other, Y))
    with pytest.raises(ValueError, match=f"batch 1 X {order} batch 0"):
        plain.fit([(frame, Y), (other, Y)])
    plain.feature_names = None  # it was trained with batch 0
    with pytest.raises(ValueError, match=f"batch 0 X {order} validation X"):
        plain.fit([(frame, Y)], validation_data=(other, Y))
    plain.fit([(frame, Y), (X, Y)], validation_data=(frame, Y))
    path = tmp_path / "checkpoint"
    plain.fit(frame, Y, callbacks=[ModelCheckpoint(path)])
    twin = MLP(3, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    with pytest.raises(ValueError, match=r"its columns\[0\] is 'a', not 'c'; fit the same columns"):
        twin.fit(other, Y, epochs=2, callbacks=[ModelCheckpoint(path)], resume=path)
    assert twin.feature_names is None
    twin.fit(frame, Y, epochs=2, callbacks=[ModelCheckpoint(path)], resume=path)
    assert twin.feature_names == tuple(NAMES)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_of_text_are_named(frame):
    bad = frame({"a": [1.0, 2.0], "b": ["x", "y"], "c": [1, 2]})
    with pytest.raises(TypeError, match=r"X must hold real numbers; .*column 'b'\)"):
        network().fit(bad, [0, 1])


def test_missing_values_of_frames_are_seen():
    for bad in (
        pd.DataFrame({"a": [1, None], "b": [1, 2], "c": [1, 2]}).convert_dtypes(),
        pl.DataFrame({"a": [1, None], "b": [1, 2], "c": [1, 2]}),
        pa.table({"a": pa.array([1, None]).dictionary_encode(), "b": [1, 2], "c": [1, 2]}),
    ):
        with pytest.raises(ValueError, match=r"X\[1, 0\] is nan"):
            network().fit(bad, [0, 1])
