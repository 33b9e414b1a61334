"""fastnn.onnx.export of networks for tables: the columns are the inputs, encoded as in Python.

Proves that each code has the bits of `Code.write` in ONNX Runtime, in values of all sizes, dates of
all years and texts of all spellings; that estimators and networks predict the same from frames of
pandas and polars; that such models are read back; and what is refused.

Not here: the graph of a network (test_onnx.py), the command (test_cli.py, test_cli_good.py).
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from onnx_graphs import assert_close, onnx, onnxruntime

import fastnn
from fastnn import MLP, Dense, tables
from fastnn.layers import LayerNorm
from fastnn.sklearn import TabularClassifier, TabularRegressor
from fastnn.tables import Recipe
from fastnn.tabular import codes
from fastnn.tabular.codes import MISSING, UNKNOWN
from fastnn.tabular.encoding import EncodedRows, Entry
from fastnn.tabular.onnx_columns import FORMS

DTYPES = ["float32", "float64"]


def network(recipe, layers=None, dtype="float32"):
    """A network with a recipe."""
    layers = layers or [Dense(2, "tanh")]
    net = MLP(len(recipe.names), layers, loss="squared_error", optimizer="adam", dtype=dtype)
    recipe.attach(net)
    return net


def outputs(model, columns):
    """The runtime's outputs of a model for columns (n,) by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    given = {name: np.asarray(column)[:, None] for name, column in columns.items()}
    return session.run(None, given)


def encoded(model, columns):
    """The encoded columns (n, n_in) that a model computes."""
    [name] = [entry.value for entry in model.metadata_props if entry.key == "encoded"]
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    twin.graph.output.extend(value for value in model.graph.value_info if value.name == name)
    return outputs(twin, columns)[1]


def of_one(kind, *of_column, missing=(), dtype="float32"):
    """The model of a network for one column x with these codes."""
    entry = Entry("x", kind, of_column)
    recipe = Recipe(None, None, None, [entry], missing=list(missing))
    model = fastnn.onnx.export(network(recipe, dtype=dtype))
    onnx.checker.check_model(model, full_check=True)
    return entry, model


# ---- each code ----------------------------------------------------------------------------------

EDGES = [-1e38, -2.5, 0.1, 0.1 + 2e-17, 0.3, np.nextafter(0.3, 1), 7.0, 1e38]
SIZES = np.array([0.0, 5e-324, 1e-310, 1e-3, 0.1, 0.3, 1 / 3, 2.5, 1e16, 1e154, 1e300, np.inf])
NUMBERS = np.concatenate(
    [[np.nan], SIZES, -SIZES, EDGES, np.random.default_rng(0).normal(0, 2, 999)]
)
CODES_OF_NUMBERS = [
    codes.Value(0.7, 0.1, 0.3),
    codes.Bounded(9.0, 0.1, 0.3, -2.0, 3.0),  # also of a fill that is out of bounds
    codes.Bounded(0.1, -1e38, 1e-300, -1e38, 1e38),
    codes.Clipped(0.7, 0.1, 0.3),
    codes.Clipped(0.0, 0.0, 1e-300),
    codes.PiecewiseLinear(0.2, sorted(set(EDGES))),
    codes.PiecewiseLinear(0.0, [0.0, 5e-324, 1.0]),
    codes.Missing(),
]

DAY = 86400.0
EVERY_DAY = np.arange(np.datetime64("1699-12-31"), np.datetime64("2101-01-02")).astype(float) * DAY
MOMENTS = np.concatenate([
    [np.nan], EVERY_DAY, EVERY_DAY - 1, np.arange(-3, 3, 0.25), np.arange(-3, 3, 0.25) * DAY,
    np.nextafter(EVERY_DAY[::7], -np.inf), np.random.default_rng(0).uniform(-6e10, 2.5e11, 999),
])  # fmt: skip
CODES_OF_DATES = [codes.Month(), codes.Weekday(), codes.TimeOfDay(), codes.Missing()]

TEXTS = ["", "b", "a", "Köln", "tab\there"]
CODES_OF_TEXTS = [
    codes.OneHot(TEXTS[1:], other=False),
    codes.OneHot(TEXTS[1:], other=True),
    codes.OneHot(["a"], other=False),
    codes.Ordered(TEXTS[1:], TEXTS[1:]),
    codes.Ordered(TEXTS[1:], ["a", "tab\there"]),
    codes.Ordered(TEXTS[1:], ["Köln"]),
]


def test_every_code_has_a_form_and_a_case_here():
    assert set(FORMS) == set(codes.CODES.values())
    assert set(FORMS) == set(map(type, CODES_OF_NUMBERS + CODES_OF_DATES + CODES_OF_TEXTS))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", CODES_OF_NUMBERS, ids=str)
def test_a_code_of_numbers_has_the_bits_of_python(code, dtype):
    entry, model = of_one("number", code, dtype=dtype)
    with np.errstate(all="ignore"):
        expected = EncodedRows([entry], [NUMBERS], {}).matrix(dtype=dtype)
    np.testing.assert_array_equal(encoded(model, {"x": NUMBERS}), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("code", CODES_OF_DATES, ids=str)
def test_a_code_of_dates_has_the_bits_of_python(code, dtype):
    entry, model = of_one("date", code, dtype=dtype)
    expected = EncodedRows([entry], [MOMENTS], {}).matrix(dtype=dtype)
    found = encoded(model, {"x": MOMENTS})
    rounding = {"float32": 6e-8, "float64": 2e-15}[dtype]
    is_sine = isinstance(code, codes.TimeOfDay)
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding if is_sine else 0)


@pytest.mark.parametrize("code", CODES_OF_TEXTS, ids=str)
def test_a_code_of_texts_has_the_bits_of_python(code):
    entry, model = of_one("category", code, codes.Missing(), missing=["?"])
    unknown = UNKNOWN if code.other else MISSING
    known = {text: i for i, text in enumerate(code.texts)}
    given = [*code.texts, "", "?", "nan", "None", "new", "b "]
    indices = [*range(len(code.texts)), *[MISSING] * 4, unknown, unknown]
    assert all(known.get(text, i) == i for text, i in zip(given, indices, strict=True))
    expected = EncodedRows([entry], [np.array(indices)], {}).matrix()
    found = encoded(model, {"x": np.array(given, object)})
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("known", "other", "given"),
    [
        (["false", "true"], False, ["True", "TRUE", "true", "False", "yes", "N", "1", "0.0"]),
        (["0", "1"], False, ["0.0", "1.0", "True", "false"]),
        (["no", "yes"], True, ["NO", "Yes", "1", "true"]),  # other texts, since one may be rare
        (["False", "True"], True, ["TRUE", "false", "1", "yes"]),
        (["01067", "53111"], False, ["1067", "01067", "53111.0", "53111"]),
        (["01067", "53111"], True, ["1067", "53111.0"]),
        (["1", "2.0", "2.5"], False, ["1.0", "2", "2.0", "2.5"]),
        (["1", "1.0"], False, ["1", "1.0"]),
    ],
)
def test_texts_have_the_spellings_that_python_knows(known, other, given):
    """An unknown one is missing, as with unknown="missing"."""
    code = codes.OneHot(known, other)
    entry, model = of_one("category", code, codes.Missing())
    recipe = Recipe(None, None, None, [entry])
    expected = np.vstack([recipe.inputs({"x": [text]}, unknown="missing") for text in given])
    np.testing.assert_array_equal(encoded(model, {"x": np.array(given, object)}), expected)


def test_numbers_that_stand_for_missing_ones():
    frame = {"x": [1.0, -99.0, 2.5, 3.0], "y": ["a", "-99", "b", "a"]}
    table = tables.read(frame, missing=[-99, "?"])
    recipe = tables.learn(table, missing=[-99, "?"])
    model = fastnn.onnx.export(network(recipe))
    frame = {"x": np.array([1.0, -99.0, 3.0]), "y": np.array(["b", "?", "-99"])}
    found = encoded(model, frame)
    np.testing.assert_array_equal(found, recipe.inputs(frame))
    assert found[:, recipe.names.index("x=(missing)")].tolist() == [0, 1, 0]


# ---- frames -------------------------------------------------------------------------------------


def table(n=300):
    """A frame with a column of each kind, all of which have missing values."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({
        "the area": rng.exponential(50, n).round(1),
        "rooms": rng.integers(1, 6, n).astype(float),
        "city": rng.choice(["Bonn", "Köln", "Trier", "Ulm"], n, p=[0.5, 0.3, 0.19, 0.01]),
        "lift": rng.choice([True, False], n).astype(object),
        "grade": pd.Categorical(rng.choice(["poor", "fair", "good"], n),
                                ["poor", "fair", "good", "best"], ordered=True),
        "built": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 2**31, n), "s"),
        "constant": 1.0,
    })  # fmt: skip
    for i, name in enumerate(frame.columns[:-1]):
        frame.loc[7 + i :: 20 + i, name] = None
    rent = 9 * frame["the area"].fillna(40) + 150 * (frame["city"] == "Köln")
    return frame, rent + rng.normal(0, 30, n)


FRAME, RENT = table()
WANTED = ["the area", "rooms", "city", "lift", "grade", "built"]

#: Rows unlike those of the training.
STRANGE = FRAME[:9].assign(
    **{"the area": [-1e30, 1e30, 1e-300, -0.0, np.nan, 3, 4, 5, 6]},
    city=["Berlin", "Ulm", "", "NA", None, "Köln", "Bonn", "new", "Trier"],
    grade=pd.Categorical(["best", "good", None, "poor", *["best"] * 5],
                         FRAME["grade"].dtype.categories, ordered=True),
    built=pd.to_datetime(["1850-03-01", "2200-12-31", None, "1969-12-31 23:59:59.75", "1970-01-01",
                          "2000-02-29", "1999-12-31 23:59:59.999999", "2100-03-01", "1900-02-28"],
                         format="ISO8601"),
)  # fmt: skip


def of_pandas(frame):
    """The inputs of a model from a frame of pandas, as docs/how-to/tables.rst has them."""
    built = (frame["built"] - pd.Timestamp(0)).dt.total_seconds()
    texts = {name: frame[name].astype(str) for name in ("city", "lift", "grade")}
    return {name: {**texts, "built": built}.get(name, frame[name]) for name in WANTED}


def of_polars(frame):
    """The inputs of a model from a frame of polars."""
    seconds = (pl.col("built").dt.epoch("us") / 1e6).fill_null(np.nan)
    texts = pl.col("city", "lift", "grade").cast(pl.String).fill_null("")
    numbers = pl.col("the area", "rooms").fill_null(np.nan)
    return {name: column.to_numpy() for name, column in
            frame.with_columns(seconds, texts, numbers)[WANTED].to_dict().items()}  # fmt: skip


def in_polars(frame):
    levels = pl.Enum(list(frame["grade"].dtype.categories))
    return pl.from_pandas(
        frame.astype({"grade": str}).replace({"grade": {"nan": None}})
    ).with_columns(pl.col("grade").cast(levels))


@pytest.fixture(scope="module")
def regressor():
    return TabularRegressor(n_nets=2, max_iter=8, hidden_layer_sizes=(16,)).fit(FRAME, RENT)


@pytest.fixture(scope="module")
def classifier():
    labels = np.where(RENT > 500, "dear", "cheap")
    return TabularClassifier(n_nets=2, max_iter=8, hidden_layer_sizes=(16,)).fit(FRAME, labels)


@pytest.mark.parametrize("rows", [FRAME, STRANGE, FRAME[:1]], ids=["all", "strange", "one"])
def test_estimators_predict_the_same_from_frames(regressor, classifier, rows):
    for estimator in (regressor, classifier):
        model = fastnn.onnx.export(estimator)
        onnx.checker.check_model(model, full_check=True)
        assert [given.name for given in model.graph.input] == WANTED
        frame = in_polars(rows)
        for columns in (of_pandas(rows), of_polars(frame)):
            for each in (rows, frame):
                expected = estimator.recipe_.inputs(each, unknown="missing")
                np.testing.assert_allclose(encoded(model, columns), expected, rtol=0, atol=6e-8)
            is_exact = ["time)" not in name for name in estimator.recipe_.names]
            found = encoded(model, columns)[:, is_exact]
            np.testing.assert_array_equal(found, expected[:, is_exact])
            (found,) = outputs(model, columns)
            predicted = estimator.fits_.predict(expected, "mean")
            np.testing.assert_allclose(found, predicted, rtol=0, atol=1e-6 * np.ptp(RENT))


def test_the_network_after_the_encoding_is_that_of_encoded_columns(regressor):
    (found,) = outputs(fastnn.onnx.export(regressor), of_pandas(FRAME))
    session = onnxruntime.InferenceSession(
        fastnn.onnx.export(regressor, inputs="encoded").SerializeToString()
    )
    [given] = session.get_inputs()
    assert (given.name, given.shape) == ("input", ["n", len(regressor.recipe_.names)])
    X = regressor.recipe_.inputs(FRAME, unknown="missing")
    np.testing.assert_allclose(session.run(None, {"input": X})[0], found, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_of_ones_own_takes_columns(dtype):
    recipe, _, _ = tables.prepare(FRAME[["the area", "city"]])
    net = network(recipe, [LayerNorm(), Dense(3, "gelu"), Dense(2)], dtype)
    model = fastnn.onnx.export(net, output_name="rent")
    columns = {name: of_pandas(FRAME)[name] for name in ("the area", "city")}
    (found,) = outputs(model, columns)
    assert_close(found, net.predict(FRAME), 1e-5 if dtype == "float32" else 1e-12)
    assert [rows.name for rows in model.graph.output] == ["rent"]


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_columns_of_a_kind_may_stand_anywhere(kind):
    """Those of numbers are encoded together."""
    rng = np.random.default_rng(2)
    columns = {}
    for i in range(3):
        columns[f"d{i}"] = rng.integers(-(10**9), 10**9, 90).astype("M8[s]")
        columns[f"a{i}"] = np.where(rng.random(90) < 0.1, np.nan, rng.normal(i, 5, 90))
        columns[f"c{i}"] = rng.choice(list("xyz"[: i + 1] + "u"), 90)
        columns[f"b{i}"] = rng.integers(0, 3 + i, 90)
    recipe, X, _ = tables.prepare(columns, codes=kind)
    model = fastnn.onnx.export(network(recipe))
    found = encoded(model, {n: c if n[0] == "c" else c.astype(float) for n, c in columns.items()})
    np.testing.assert_allclose(found, X, rtol=0, atol=6e-8)


def test_the_columns_of_an_array_are_inputs_too():
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = TabularRegressor(n_nets=1, max_iter=3, hidden_layer_sizes=(4,)).fit(X, X[:, 0])
    (found,) = outputs(fastnn.onnx.export(model), {"x0": X[:, 0], "x1": X[:, 1]})
    np.testing.assert_allclose(found[:, 0], model.predict(X), rtol=1e-4, atol=1e-6)


def test_a_column_may_have_the_name_of_a_node_or_a_constant():
    frame = {name: np.arange(9.0) for name in ("Concat_0", "Cast_3", "number_nan", "low")}
    recipe, X, _ = tables.prepare(frame, codes="rich")
    model = fastnn.onnx.export(network(recipe))
    np.testing.assert_array_equal(encoded(model, frame), X)


def test_a_model_needs_operators_for_texts_only_if_it_has_texts():
    found = []
    for frame in ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0], "c": ["x", "y"]}):
        model = fastnn.onnx.export(network(tables.prepare(frame)[0]))
        found.append({opset.domain: opset.version for opset in model.opset_import})
    assert found == [{"": 13}, {"": 13, "ai.onnx.ml": 2}]


def test_inputs_say_how_values_are_given(regressor):
    model = fastnn.onnx.export(regressor)
    about = {given.name: given.doc_string for given in model.graph.input}
    assert about["rooms"] == "number; NaN is missing"
    assert about["city"] == "text; '' is missing"
    assert about["built"] == "date, in seconds since 1970 of local time; NaN is missing"


# ---- reading ------------------------------------------------------------------------------------


def test_the_network_of_a_model_of_columns_is_read(regressor, tmp_path):
    net = regressor.fits_[0]
    path = tmp_path / "net.onnx"
    fastnn.onnx.export(net, path)
    twin = fastnn.from_onnx(path)
    assert (twin.feature_names, twin.metadata) == (net.feature_names, net.metadata)
    known = FRAME[FRAME["city"] != "Ulm"]
    np.testing.assert_allclose(twin.predict(known), net.predict(known), rtol=1e-6)


def test_a_model_in_memory_is_left_unchanged(regressor):
    model = fastnn.onnx.export(regressor.fits_[0])
    before = model.SerializeToString()
    fastnn.from_onnx(model)
    assert model.SerializeToString() == before


# ---- refusals -----------------------------------------------------------------------------------


def refused(message, net, **options):
    with pytest.raises(ValueError, match=message):
        fastnn.onnx.export(net, **options)


def test_a_network_without_a_recipe_takes_no_columns():
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="adam")
    net.metadata = {"table": "a name"}
    assert fastnn.onnx.export(net).graph.input[0].name == "input"
    assert fastnn.onnx.export(net, inputs="encoded").graph.input[0].name == "input"
    refused("^inputs='columns' needs networks with a recipe", net, inputs="columns")
    refused("^inputs must be one of 'columns', 'encoded'; got 'rows'", net, inputs="rows")


def test_networks_with_different_recipes_take_encoded_columns_only():
    frames = {"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}
    nets = [network(tables.prepare(frame, codes="rich")[0]) for frame in frames]
    message = r"^net\[1\] encodes columns differently from net\[0\], or not at all.*'encoded'$"
    refused(message, nets)
    plain = nets[0].copy()
    plain.metadata = {}
    refused(message, [nets[0], plain])
    refused(message, [plain, nets[0]])
    assert len(fastnn.onnx.export(nets, inputs="encoded").graph.input) == 1


def test_names_that_no_input_can_have():
    def of(name):
        return network(tables.prepare({name: [1.5, 2.5], "b": [1.0, 3.0]})[0])

    refused("^a column is named 'output', like the model's output; pass another", of("output"))
    assert fastnn.onnx.export(of("output"), output_name="y").graph.input[0].name == "output"
    refused("^an input of an ONNX model cannot have the name of column ''; rename it", of(""))
    refused("^input_name='rows' names the input for encoded columns", of("a"), input_name="rows")
