"""Data frames of mixed columns: the recipe of the command line from Python.

Tests that a frame of pandas, polars or Arrow gives the inputs that its file gives, by `prepare`, by
a network that has a recipe, and by the step of a pipeline. Not here: frames of numbers alone
(test_frames.py), text files (test_table_forms.py).
"""

import collections
import datetime
import decimal
import pickle
import tracemalloc
import types

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import fastnn
from fastnn import MLP, Dense, tables
from fastnn.cli import main
from fastnn.sklearn import MLPClassifier, MLPRegressor, TableEncoder, TabularRegressor
from fastnn.tables import TableError

RNG = np.random.default_rng(0)
N = 200
FRAME = pd.DataFrame(
    {
        "size": np.where(RNG.random(N) < 0.1, np.nan, RNG.normal(size=N)),
        "count": RNG.integers(0, 9, N),
        "town": RNG.choice(["Bonn", "Köln", None], N),
        "member": RNG.random(N) < 0.5,
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 9e6, N), "s"),
    }
)
PRICE = FRAME["count"] + FRAME["member"] + RNG.normal(size=N) / 10

FRAMES = {
    "pandas": lambda frame: frame,
    "pandas, nullable": pd.DataFrame.convert_dtypes,
    "pandas, Arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas, categories": lambda frame: frame.astype({"town": "category", "count": float}),
    "pandas, objects": lambda frame: frame.astype(object),
    "pandas, time zone": lambda frame: frame.assign(since=frame["since"].dt.tz_localize("UTC")),
    "polars": pl.from_pandas,
    "polars, categories": lambda frame: pl.from_pandas(frame).with_columns(
        pl.col("town").cast(pl.Categorical), pl.col("count").cast(pl.UInt8)
    ),
    "Arrow": lambda frame: pa.Table.from_pandas(frame),
    "Arrow, batch": lambda frame: pa.RecordBatch.from_pandas(frame),
    "Arrow, categories": lambda frame: pa.Table.from_pandas(frame.astype({"town": "category"})),
    "Arrow, time zone": lambda frame: pa.Table.from_pandas(
        frame.assign(since=frame["since"].dt.tz_localize("Asia/Kolkata"))
    ),
    "polars to Arrow": lambda frame: pl.from_pandas(frame).with_columns(
        pl.col("town").cast(pl.Categorical),
        pl.col("since").dt.replace_time_zone("Asia/Kolkata"),
    ).to_arrow(),
    "dict": lambda frame: {name: frame[name].tolist() for name in frame.columns},
    "other order": lambda frame: frame[frame.columns[::-1]],
    "one more column": lambda frame: frame.assign(more="x"),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared():
    return tables.prepare(FRAME.assign(price=PRICE), "price", standardize=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that the command line has trained on the frame as a CSV file, and the file."""
    folder = tmp_path_factory.mktemp("frames")
    data, out = folder / "data.csv", folder / "net.safetensors"
    FRAME.assign(price=PRICE).to_csv(data, index=False)
    assert main(["train", str(data), "--target", "price", "--hidden", "8", "--epochs", "3",
                 "--preset", "plain", "--quiet", "--out", str(out)]) == 0  # fmt: skip
    return out, data


# ---- frames are tables --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_gives_the_same_inputs(prepared, kind):
    found = prepared.recipe.inputs(FRAMES[kind](FRAME))
    np.testing.assert_array_equal(found, prepared.X)


def test_inputs_are_those_of_a_file(prepared, model):
    np.testing.assert_array_equal(prepared.recipe.inputs(model[1]), prepared.X)


def test_objects_are_what_they_hold():
    day = datetime.date(2020, 1, 2)
    frame = pd.DataFrame(
        {
            "number": [1, None, decimal.Decimal("2.5")],
            "bool": [True, None, False],
            "day": [day, None, datetime.datetime(2020, 1, 2, 12, tzinfo=datetime.UTC)],
            "mixed": ["a", 1, 2.5],
            "span": pd.to_timedelta([1, 2, None], "s"),
            "list": [[1], [2], [3]],
        },
        dtype=object,
    ).astype({"span": "m8[ns]"})
    table = tables.read(frame)
    kinds = {name: column.kind for name, column in table.columns.items()}
    assert kinds == {"number": "number", "bool": "category", "day": "date", "mixed": "category",
                     "span": "number", "list": "object"}  # fmt: skip
    np.testing.assert_array_equal(table.columns["number"].values, [1, np.nan, 2.5])
    assert table.columns["bool"].texts == ["false", "true"]
    assert table.columns["mixed"].texts == ["1", "2.5", "a"]
    np.testing.assert_array_equal(table.columns["span"].values, [1, 2, np.nan])
    assert np.diff(table.columns["day"].values[[0, 2]]) == 43200
    with pytest.raises(TableError, match=r"column 'list' \(object\) cannot be inputs"):
        tables.learn(table)


@pytest.mark.parametrize(
    "values",
    [[0, 1, 0, 2], [0.5, np.nan, 0.0, 2.0], [True, False, False, True], ["a", "b", "a", "a"]],
)
def test_sparse_columns_of_pandas_are_dense_ones(values):
    dense = pd.DataFrame({"a": values})
    sparse = pd.DataFrame({"a": pd.arrays.SparseArray(values)})
    want, found = (tables.read(frame).columns["a"] for frame in (dense, sparse))
    assert (found.kind, found.texts) == (want.kind, want.texts)
    np.testing.assert_array_equal(found.values, want.values)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("values", [[1, None, 3], [1.5, None, 2.0], [None, None, 7]], ids=str)
def test_numbers_of_arrow_may_be_missing(values, chunked):
    expected = np.array(values, np.float64)
    known = sorted(str(value) for value in values if value is not None)
    column = pa.chunked_array([values]) if chunked else pa.array(values)
    text = pa.array(["a", None, "b"]).cast(pa.string_view())
    text = pa.chunked_array([text]) if chunked else text
    for frame in (
        {"x": column, "s": text},
        {"x": column.dictionary_encode(), "s": text.dictionary_encode()},
    ):
        table = tables.read(frame, kinds={"x": "number"})
        np.testing.assert_array_equal(table.columns["x"].values, expected)
        assert table.columns["s"].texts == ["a", "b"]
        assert table.columns["s"].values.tolist() == [0, -1, 1]
    assert tables.read(frame).columns["x"].texts == known  # a dictionary, as pandas' category


CATEGORIES = {
    "large integers": [9007199254740993, 9007199254740992, None],
    "bools": [True, False, None],
    "fractions": [0.5, 0.25, None],
    "days": [datetime.datetime(2020, 1, 31), datetime.datetime(2021, 1, 31, 12), None],
    "spans": [datetime.timedelta(1), datetime.timedelta(seconds=1), None],
}


@pytest.mark.parametrize("is_ordered", [False, True])
@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_of_pandas_and_arrow_are_the_same(name, is_ordered):
    values = CATEGORIES[name]
    whole = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None]), pa.array(values[:2]), ordered=is_ordered
    )
    expected = tables.read({"a": values}).columns["a"]
    if expected.kind == "number" and name != "spans":
        expected = tables.read({"a": values}, kinds={"a": "category"}).columns["a"]
    kinds = "datetime64[ns]", "datetime64[us]", "timedelta64[ns]", "object"
    dtypes = {"days": kinds[:2], "spans": kinds[2:3]}.get(name, kinds[3:])
    pandas = [pd.Index(values[:2], dtype=dtype) for dtype in dtypes]
    for column in (
        *(pd.Categorical.from_codes([0, 1, -1], index, ordered=is_ordered) for index in pandas),
        pa.chunked_array([whole[:1], whole[1:]]),
        whole,
        pd.array(whole, dtype=pd.ArrowDtype(whole.type)),
    ):
        for frame in ({"a": column}, pd.DataFrame({"a": column})):
            if isinstance(column, pa.Array | pa.ChunkedArray):
                frame = pa.table({"a": column})
            found = tables.read(frame).columns["a"]
            assert (found.kind, found.texts) == (expected.kind, expected.texts)
            np.testing.assert_array_equal(found.values, expected.values)
            assert bool(found.levels) == (is_ordered and expected.kind == "category")


def test_a_missing_row_does_not_change_the_category_of_another():
    ids = [9007199254740992, 9007199254740993, 9007199254740994]
    codes = np.arange(90) % 3
    frame = pd.DataFrame({"id": pd.Categorical.from_codes(codes, ids), "v": np.arange(90.0)})
    recipe = tables.prepare(frame).recipe
    assert [name for name in recipe.names if name.startswith("id")] == [f"id={i}" for i in ids]
    new = frame.assign(id=pd.Categorical.from_codes([*codes[:-1], -1], ids))
    np.testing.assert_array_equal(recipe.inputs(new)[:-1], recipe.inputs(frame)[:-1])


def test_times_of_day_and_spans_are_seconds_in_every_frame():
    times = [datetime.time(1, 2, 3, 500000), None, datetime.time(23)]
    spans = [datetime.timedelta(1), None, datetime.timedelta(seconds=5)]
    for frame in (
        {"time": times, "span": spans},
        pd.DataFrame({"time": times, "span": spans}, dtype=object),
        pd.DataFrame({"time": pd.array(times, pd.ArrowDtype(pa.time64("us"))), "span": spans}),
        pl.DataFrame({"time": times, "span": spans}),
        pa.table({"time": times, "span": spans}),
    ):
        columns = tables.read(frame).columns
        assert {column.kind for column in columns.values()} == {"number"}
        np.testing.assert_array_equal(columns["time"].values, [3723.5, np.nan, 82800])
        np.testing.assert_array_equal(columns["span"].values, [86400, np.nan, 5])


@pytest.mark.parametrize("mark", ["?", "NA"])
def test_a_mark_of_a_missing_value_does_not_make_numbers_texts(mark):
    day = datetime.date(2020, 1, 2)
    objects = pd.DataFrame({"n": [1.5, f" {mark}", 2], "i": [1, 2, mark], "d": [mark, day, day]})
    for frame in (objects, {name: objects[name].tolist() for name in objects}):
        table = tables.read(frame, missing=["?"])
        kinds = [column.kind for column in table.columns.values()]
        assert kinds == ["number", "number", "date"]
        np.testing.assert_array_equal(table.columns["n"].values, [1.5, np.nan, 2])
        np.testing.assert_array_equal(table.columns["i"].values, [1, 2, np.nan])
    assert (
        tables.read(objects, missing=["2"]).columns["n"].kind == ("number", "category")[mark == "?"]
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_short_floats_are_found_and_named_as_they_are_shown(dtype, tmp_path):
    values = np.array([-99.9, 0.1, 0.2, 3], dtype)
    polars = pl.DataFrame({"v": pl.Series(values.astype("float32"), dtype=pl.Float32)})
    polars.write_parquet(tmp_path / "v.parquet")
    frames = [pd.DataFrame({"v": values}), {"v": values}, pa.table({"v": values}), values[:, None]]
    if dtype == "float32":
        frames += [polars, tmp_path / "v.parquet", pd.DataFrame({"v": values}).convert_dtypes(),
                   pd.DataFrame({"v": pd.array([*values, None], "Float32")})]  # fmt: skip
    for frame in frames:
        (column,) = tables.read(frame, missing=[-99.9]).columns.values()
        assert np.isnan(column.values[0])
        np.testing.assert_array_equal(column.values[1:4], values[1:].astype(float))
        (column,) = tables.read(frame, kinds={column.name: "category"}).columns.values()
        assert column.texts == ["-99.9", "0.1", "0.2", "3"]


def test_a_mark_that_float32_cannot_hold_is_not_infinity():
    with pytest.raises(TableError, match="holds inf in row 2"):
        tables.read({"v": np.array([1, np.inf], "float32")}, missing=[1e300])


def test_only_the_columns_that_are_used_are_converted():
    class Untouchable:
        def __array__(self, *_, **__):
            raise AssertionError("was converted")

    frame = {"v": [1.0, 2.0], "t": Untouchable()}
    table = tables.read(frame, drop=["t"])
    assert (list(table.columns), table.others) == (["v"], ["t"])
    assert tables.learn(table).read(frame).others == ["t"]


def test_texts_take_no_more_memory_for_one_that_is_long():
    texts = [f"text {i % 50}" for i in range(5000)]
    texts[0] = "x" * 20000  # an array of texts would take 400 MB
    frames = [pd.DataFrame({"t": texts}), pa.table({"t": texts}), {"t": texts},
              pd.DataFrame({"t": pd.Categorical(texts)})]  # fmt: skip
    for frame in frames:
        tracemalloc.start()
        column = tables.read(frame).columns["t"]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(column.texts) == 51
        assert peak < 10e6


NOTHING = {
    "None": [None],
    "nan": [np.nan],
    "NaT": [pd.NaT],
    "pandas, times": pd.Series([pd.NaT]),
    "polars, times": pl.Series([None], dtype=pl.Datetime),
    "polars, bools": pl.Series([None], dtype=pl.Boolean),
    "Arrow": pa.nulls(1),
    "Arrow, times": pa.nulls(1, pa.timestamp("us", "UTC")),
    "Arrow, texts": pa.nulls(1, pa.string()),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_a_column_of_missing_values_has_any_type(kind, prepared):
    row = {"size": [1.5], "count": [3], "town": ["Bonn"], "member": [True],
           "since": ["2020-02-01"]}  # fmt: skip
    names, X = prepared.recipe.names, prepared.recipe.inputs(row)
    for name in row:
        found = prepared.recipe.inputs({**row, name: NOTHING[kind]})
        own = np.array([each.startswith(name) for each in names])
        np.testing.assert_array_equal(found[:, ~own], X[:, ~own])
        filled = {"count": FRAME["count"], "size": FRAME["size"]}.get(name)
        if filled is not None:
            assert found[0, names.index(name)] == np.float32(filled.median())
        elif name == "town":
            assert found[0, names.index("town=(missing)")] == found[:, own].sum() == 1


def test_what_is_no_frame_is_refused():
    for value, message in (
        (pl.LazyFrame({"a": [1]}), "the data frame is lazy; pass"),
        (3, "must be a data frame, a dict of columns, an array of rows or a path; got int"),
        (np.zeros(3), "has 1 dimension but must have 2"),
        ({"a": [1], "b": [1, 2]}, "columns of different lengths: {'a': 1, 'b': 2}; make"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "has two columns 'a'; rename one"),
        (pd.DataFrame({"a": []}), "the data frame has no rows"),
    ):
        with pytest.raises(TableError, match=message):
            tables.read(value)


# ---- prepare ------------------------------------------------------------------------------------


def test_prepared_numbers_are_standardized():
    recipe, X, y = tables.prepare(FRAME.assign(price=PRICE), "price")
    assert X.dtype == y.dtype == np.float32
    np.testing.assert_allclose(X[:, recipe.is_measured].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(X[:, recipe.names.index("size")].std(), 1, rtol=1e-6)
    np.testing.assert_allclose(y, PRICE, rtol=1e-6)
    assert recipe.task == "regression"


@pytest.mark.parametrize("codes", ["plain", "rich"])
def test_a_number_that_never_varies_is_not_scaled_by_rounding_errors(codes):
    """The mean of six times 0.1 is rounded, so that their deviation from it is 1e-17."""
    recipe, X, _ = tables.prepare({"a": [0.1] * 6 + [None], "b": range(7)}, codes=codes)
    assert np.abs(X[:, 0]).max() < 1e-15
    assert np.abs(recipe.inputs({"a": [0.2], "b": [1]})).max() <= 1


@pytest.mark.parametrize("size", [1e-35, 1e-47, 1e-170, 1e-300])
def test_numbers_near_0_are_not_lost(size):
    frame = {"a": size * np.arange(8.0), "b": np.arange(8.0)}
    for options in ({}, {"codes": "rich"}, {"dtype": "float64"}):
        X = tables.prepare(frame, **options).X
        np.testing.assert_allclose(X[:, 0], X[:, X.shape[1] // 2], rtol=1e-6)
    X = tables.prepare(frame, standardize=False).X  # for a Standardize layer, in float32
    np.testing.assert_allclose(X[:, 0] / X[-1, 0], np.arange(8) / 7, rtol=1e-6)
    assert X[:, 0].std() == pytest.approx(1)


def test_rows_without_a_target_are_left_out():
    town = FRAME["town"].where(FRAME.index > 3, "Bonn")
    recipe, X, y = tables.prepare(FRAME.assign(town=town), "town", dtype="float64")
    assert recipe.classes == ["Bonn", "Köln"]
    assert len(X) == len(y) == town.notna().sum()
    assert [recipe.classes[i] for i in y] == town.dropna().tolist()
    assert X.dtype == np.float64


def test_a_recipe_of_inputs_alone():
    recipe, X, y = tables.prepare(FRAME, drop=["since"], kinds={"count": "category"})
    assert (y, recipe.target, recipe.task) == (None, None, None)
    assert {"count=0", "count=8"} <= set(recipe.names)
    assert len(recipe.names) == X.shape[1]
    assert tables.Recipe.from_plain(recipe.to_plain()) == recipe


# ---- networks that take frames ------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_a_network_of_the_command_line_takes_frames(model, kind, tmp_path):
    net = fastnn.load(model[0])
    expected = net.predict(tables.recipe_of(net).inputs(model[1]))
    assert main(["predict", *map(str, model), "--quiet", "--out", str(tmp_path / "p.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), expected[:, 0])
    np.testing.assert_array_equal(net.predict(FRAMES[kind](FRAME)), expected)


def test_all_methods_take_frames(model):
    net = fastnn.load(model[0])
    X = tables.recipe_of(net).inputs(FRAME)
    assert net.evaluate(FRAME, PRICE) == net.evaluate(X, PRICE)
    np.testing.assert_array_equal(net.jacobian(FRAME), net.jacobian(X))
    twin = net.copy()
    assert twin.train_on_batch(FRAME, PRICE) == net.copy().train_on_batch(X, PRICE)
    twin, other = net.copy(), net.copy()
    twin.fit(FRAME, PRICE, epochs=2, validation_data=(FRAME, PRICE))
    other.fit(X, PRICE, epochs=2)
    for a, b in zip(twin.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert twin.feature_names == net.feature_names


def test_frames_of_the_inputs_themselves_are_taken_as_they_are(model):
    net = fastnn.load(model[0])
    X = tables.recipe_of(net).inputs(FRAME)
    named = pd.DataFrame(X, columns=net.feature_names)
    np.testing.assert_array_equal(net.predict(named), net.predict(X))


def test_what_a_frame_lacks_is_named(model):
    net = fastnn.load(model[0])
    with pytest.raises(TableError, match="the data frame has no column 'town'; its columns are"):
        net.predict(FRAME.drop(columns="town"))
    with pytest.raises(TableError, match=r"holds 'Rom' .*tables.recipe_of\(net\).inputs\(data, u"):
        net.predict(FRAME.fillna({"town": "Rom"}))
    X = tables.recipe_of(net).inputs(FRAME.fillna({"town": "Rom"}), unknown="missing")
    np.testing.assert_array_equal(net.predict(X), net.predict(FRAME))


def test_a_recipe_is_kept_with_a_network(prepared, tmp_path):
    recipe, X, _ = prepared
    net = MLP(X.shape[1], [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    with pytest.raises(TypeError, match="X must hold real numbers"):
        net.predict(FRAME)
    net.metadata["mine"] = 1
    recipe.attach(net)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.metadata["mine"] == 1
    np.testing.assert_array_equal(twin.predict(FRAME), net.predict(X))
    other = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd")
    with pytest.raises(ValueError, match=f"gives {X.shape[1]} inputs and 1 output, but the netw"):
        recipe.attach(other)
    assert other.metadata == {}


def test_classes_of_a_recipe_are_those_of_the_network():
    town = FRAME["town"].fillna("Trier")
    recipe, X, y = tables.prepare(FRAME.assign(town=town), "town")
    net = MLP(X.shape[1], [Dense(3, "softmax")], loss="cross_entropy", optimizer="adam", seed=0)
    net.fit(X, y)
    recipe.attach(net)
    assert net.classes == ("Bonn", "Köln", "Trier")
    found = net.predict_classes(FRAME)
    assert found.tolist() == recipe.decode(net.predict(X)).tolist()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (1.0, "is the single value 1.0; give lists: {'a': [1.0], ...}"),
        (np.float32(3), "is the single value 3.0; give lists: {'a': [3.0], ...}"),
        ("Bonn", "is the single value 'Bonn'; give lists: {'a': ['Bonn'], ...}"),
        (None, "is the single value None; give lists"),
        (pd.Timestamp("2020-01-01"), "is the single value Timestamp('2020-01-01 00:00:00'); give"),
        ({1, 2}, "is a set; give a list with one value for each row"),
        (iter([1, 2]), "is a list_iterator; give a list with one value for each row"),
        ([[1], [2]], "has shape (2, 1); give one value for each row: shape (n,)"),
        ([[1], None], "(object) cannot be inputs of a network; convert it, or leave it out: drop="),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_column_must_be_a_list(column, message):
    for frame in ({"a": column}, {"b": [1, 2], "a": column}):
        with pytest.raises(TableError) as caught:
            tables.prepare(frame)
        assert f"the data frame: column 'a' {message}" in str(caught.value)


def test_a_target_must_be_a_str():
    X = RNG.normal(size=(9, 3))
    table = tables.read(X)
    message = "{} must be the name of a column as a str; got 2; the columns of the data frame are"
    for data, names in ((X, "'x0', 'x1', 'x2'"), (pd.DataFrame(X), "'0', '1', '2'")):
        with pytest.raises(TypeError, match=f"{message.format('target')} {names}$"):
            tables.prepare(data, 2)
    with pytest.raises(TypeError, match=message.format("target")):
        tables.learn(table, 2)
    for name_it in (table.column, lambda name: tables.target_of(table, name)):
        with pytest.raises(TypeError, match=message.format("name")):
            name_it(2)
    assert tables.prepare(pd.DataFrame(X), "2").recipe.target == "2"


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_array_in_place_of_a_frame_and_the_reverse():
    frame = pd.DataFrame(RNG.normal(size=(9, 3)), columns=[*"acd"])
    array = frame.to_numpy()
    named, unnamed = TableEncoder().fit(frame), TableEncoder().fit(array)
    message = "the data are an array, whose columns have no names, but columns 'a', 'c', 'd' are "
    with pytest.raises(TableError, match=f"{message}needed; pass a data frame with these"):
        named.recipe_.inputs(array)
    message = (
        "the data frame has no columns 'x0', 'x1', 'x2', the names of an array's columns; its "
        "columns are 'a', 'c', 'd'; if training used an array, pass an array to the estimator, or "
        "rename the columns, in the order of that array: 'x0' for the first"
    )
    for encode in (unnamed.transform, unnamed.recipe_.inputs):
        with pytest.raises(TableError, match=message):
            encode(frame)
    renamed = frame.set_axis(["x0", "x1", "x2"], axis=1)  # as the message recommends
    np.testing.assert_array_equal(unnamed.transform(renamed), unnamed.transform(array))
    with pytest.raises(TableError, match="the data frame has no column 'x1'; its columns are 'x0'"):
        unnamed.recipe_.inputs(renamed[["x0", "x2"]])
    with pytest.raises(TableError, match="the data frame has no column 'x2'; its columns are 'x0'"):
        unnamed.recipe_.inputs(array[:, :2])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("names", [["f2", "f1", "f0"], ["x1", "x0", "x2"], ["f1", "f2", "f3"],
                                   ["v1", "v0", "kind"]], ids=str)  # fmt: skip
def test_the_columns_of_an_array_are_those_of_the_frame_by_position(names):
    frame = pd.DataFrame(RNG.normal(size=(30, 3)), columns=names)
    frame[names[1]] = 1.0  # constant, so no input
    encoder = TableEncoder().fit(frame)
    expected = encoder.transform(frame)
    for array in (frame.to_numpy(), frame.to_numpy().tolist()):
        np.testing.assert_array_equal(encoder.transform(array), expected)
    with pytest.raises(ValueError, match="X has 2 features, but TableEncoder is expecting 3"):
        encoder.transform(frame.to_numpy()[:, :2])
    digits = [f"f{3 - j}" for j in range(4)]
    recipe = tables.prepare(pd.DataFrame(RNG.normal(size=(9, 4)), columns=digits)).recipe
    with pytest.raises(TableError, match="the data are an array, whose columns have no names"):
        recipe.inputs(RNG.normal(size=(9, 4)))


def test_an_encoder_takes_every_mapping_of_columns():
    columns = {"area": [50.0, 80.0, 65.0], "city": ["Bonn", "Trier", "Bonn"]}
    expected = TableEncoder().fit_transform(columns)
    for rows in (types.MappingProxyType(columns), collections.UserDict(columns)):
        encoder = TableEncoder().fit(rows)
        assert encoder.feature_names_in_.tolist() == ["area", "city"]
        assert np.array_equal(encoder.transform(rows), expected)
    kinds = types.MappingProxyType({"area": "category"})
    model = TabularRegressor(n_nets=1, max_iter=1, kinds=kinds).fit(columns, [1.0, 2.0, 3.0])
    assert model.recipe_.kinds == {"area": "category", "city": "category"}


def test_a_list_of_rows_keeps_its_numbers():
    rows = [[number, "ab"[i % 2]] for i, number in enumerate(RNG.normal(size=40))]
    encoder = TableEncoder().fit(rows)
    assert encoder.recipe_.kinds == {"x0": "number", "x1": "category"}
    expected = TableEncoder().fit_transform(np.array(rows, object))
    np.testing.assert_array_equal(encoder.transform(rows), expected)


def test_a_lazy_frame_is_refused_with_the_remedy():
    encoder = TableEncoder().fit(FRAME)
    for call in (encoder.fit, encoder.transform, tables.read):
        with pytest.raises(TableError, match=r" is lazy; pass .*\.collect\(\)"):
            call(pl.from_pandas(FRAME).lazy())


# ---- the step of a pipeline ---------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"keep_constant": True}], ids=str)
def test_scikit_learns_own_checks(options):
    results = check_estimator(TableEncoder(**options), on_fail=None, on_skip=None)
    assert [r["check_name"] for r in results if r["status"] in ("failed", "xfail")] == []
    assert len(results) > 40


@pytest.mark.parametrize("kind", FRAMES)
def test_the_step_gives_the_inputs_of_the_recipe(kind):
    encoder = TableEncoder().fit(FRAME)
    expected = tables.prepare(FRAME).X
    np.testing.assert_array_equal(encoder.transform(FRAMES[kind](FRAME)), expected)
    again = TableEncoder().fit(FRAMES[kind](FRAME)) if kind != "one more column" else encoder
    assert set(again.get_feature_names_out()) == set(encoder.get_feature_names_out())
    assert again.n_features_in_ == len(again.feature_names_in_) == 5


def test_the_step_follows_scikit_learns_conventions():
    encoder = TableEncoder(drop=["since"], max_categories=1, missing=["Köln"], dtype="float64")
    twin = clone(encoder).fit(FRAME)
    assert twin.get_params() == encoder.get_params()
    assert twin.transform(FRAME).dtype == np.float64
    with sklearn.config_context(transform_output="pandas"):
        frame = twin.transform(FRAME)
    assert frame.columns.tolist() == twin.get_feature_names_out(FRAME.columns).tolist()
    assert frame.columns.tolist() == twin.recipe_.names
    assert isinstance(TableEncoder().set_output(transform="polars").fit_transform(FRAME),
                      pl.DataFrame)  # fmt: skip
    with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
        twin.get_feature_names_out(["a"] * 5)
    copy = pickle.loads(pickle.dumps(twin))
    np.testing.assert_array_equal(copy.transform(FRAME), twin.transform(FRAME))


def test_the_step_says_what_is_wrong():
    fitted = TableEncoder(unknown="error").fit(FRAME)
    with pytest.raises(TableError, match="holds 'Rom' in row"):
        fitted.transform(FRAME.fillna({"town": "Rom"}))
    with pytest.raises(TableError, match="has no column 'town'"):
        fitted.transform(FRAME.drop(columns="town"))
    for options, message in (
        ({"unknown": "ignore"}, "unknown must be one of 'missing', 'error'; got 'ignore'"),
        ({"max_categories": 0}, "max_categories must be at least 1; got 0"),
        ({"standardize": 1}, "standardize must be True or False; got 1"),
        ({"drop": ["x"]}, "has no column 'x'"),
        ({"drop": "town"}, "drop must be a list of texts; got 'town'; pass \\['town'\\]"),
        ({"missing": "-99"}, "missing must be a list of texts; got '-99'; pass \\['-99'\\]"),
        ({"kinds": {"Town": "category"}}, "has no column 'Town'; did you mean 'town'"),
        ({"kinds": {"town": "text"}}, "kinds\\['town'\\] must be one of"),
        ({"dtype": "int"}, "dtype must be"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            TableEncoder(**options).fit(FRAME)


def test_pipelines_and_searches_take_mixed_frames():
    net = MLPRegressor(hidden_layer_sizes=(8,), max_iter=2000, learning_rate_init=0.01)
    model = make_pipeline(TableEncoder(), net.set_params(random_state=0, tol=1e-3))
    assert model.fit(FRAME, PRICE).score(FRAME, PRICE) > 0.9
    assert len(model[:-1].get_feature_names_out()) == model[-1].n_features_in_
    classes = np.where(PRICE > 4, "dear", "cheap")
    net = MLPClassifier(hidden_layer_sizes=(8,), max_iter=2000, learning_rate_init=0.01)
    search = GridSearchCV(
        make_pipeline(TableEncoder(), net.set_params(random_state=0, tol=1e-3)),
        {"tableencoder__standardize": [True, False], "tableencoder__max_categories": [1, 256]},
        cv=3,
    ).fit(pl.from_pandas(FRAME), classes)
    assert search.best_score_ > 0.8
