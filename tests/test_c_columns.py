"""Tables in C source: rows that are encoded in C have the inputs that the recipe gives in Python.

Inputs are compared bit by bit, the sine and the cosine of the time of day to 2 units in the last
place, since NumPy's may be off by one. Not here: the network in C source (test_c_source.py).
"""

import ctypes
import datetime
import re
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_c_source import COMPILERS, STRICT, close

import fastnn
from fastnn import MLP, Dense, tables, to_c
from fastnn.cli import main
from fastnn.exchange import c_sections
from fastnn.sklearn import TabularClassifier, TabularRegressor
from fastnn.tables import Recipe
from fastnn.tabular import c_columns, codes, spelling
from fastnn.tabular.encoding import Entry

pytestmark = pytest.mark.skipif(not COMPILERS, reason="no C compiler")

RNG = np.random.default_rng(0)
N = 200
EPOCH = datetime.datetime(1970, 1, 1)


def network(recipe, dtype="float32", n_out=1, **options):
    """Return an untrained network with a recipe."""
    net = MLP(len(recipe.names), [Dense(5, "tanh"), Dense(n_out)], loss="squared_error",
              optimizer="sgd", seed=0, dtype=dtype, **options)  # fmt: skip
    recipe.attach(net)
    return net


def compiled(folder, command=(COMPILERS + [None])[0], options=STRICT):  # noqa: RUF005
    """Return the library of net.c in a folder."""
    command = [command, *options, "net.c", "-o", "net.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(folder / "net.so")


def row_type(recipe):
    """Return the struct of a row for ctypes."""
    names = c_columns.identifiers([entry.name for entry in recipe.columns])
    types = [ctypes.c_double if e.category is None else ctypes.c_char_p for e in recipe.columns]
    return type("Row", (ctypes.Structure,), {"_fields_": list(zip(names, types, strict=True))})


def c_value(entry, value):
    """Return a value of a data frame as it is given to C."""
    if entry.category is None:
        if isinstance(value, datetime.datetime) and value is not pd.NaT:
            return (value - EPOCH) / datetime.timedelta(seconds=1)
        return np.nan if pd.isna(value) else float(value)
    if isinstance(value, bool | np.bool_):
        return b"true" if value else b"false"
    return None if pd.isna(value) else value.encode("utf-8", "surrogatepass")


def encoded(library, recipe, frame, dtype):
    """Return the inputs of a frame's rows from C, and how many values it replaced in each row."""
    Row = row_type(recipe)
    X = np.full((len(frame) + 1, len(recipe.names)), 7, dtype)
    columns = [
        [c_value(entry, value) for value in frame[entry.name].tolist()] for entry in recipe.columns
    ]
    counts = [
        library.net_encode(ctypes.byref(Row(*values)), ctypes.c_void_p(x.ctypes.data))
        for values, x in zip(zip(*columns, strict=True), X, strict=False)
    ]
    assert (X[-1] == 7).all()
    return X[:-1], counts


def assert_same_inputs(found, recipe, frame, dtype):
    """Check that inputs are those of the recipe, bit by bit but for the time of day."""
    expected = recipe.inputs(frame, unknown="missing", dtype=dtype)
    is_time = np.array([name.endswith(("=sin(time)", "=cos(time)")) for name in recipe.names])
    np.testing.assert_array_equal(found[:, ~is_time], expected[:, ~is_time])
    np.testing.assert_array_max_ulp(found[:, is_time], expected[:, is_time], 2, dtype)


def missing_at(values, step):
    """Return values as objects, some of them missing."""
    return [None if i % step == 0 else value for i, value in enumerate(values)]


NAMES = {
    "number": 'a "quoted" */ \\ name', "plain": "Größe (m²)", "text": "int", "rare": "2nd",
    "flag": "", "dates": "// ??/", "days": "größe_m2", "size": "名前", "truth": "\u202eabc\n",
    "code": "x" * 300,
}  # fmt: skip


def training(n=N):
    """Return a frame with columns of all kinds."""
    seconds = RNG.integers(-4 * 10**9, 4 * 10**9, n) + RNG.random(n)
    moments = [EPOCH + datetime.timedelta(seconds=s) for s in seconds.tolist()]
    texts = ["café", 'a "b"', "??=", "*/ x", "line\nbreak", "\x7fé1", "tab\there", "7up"]
    columns = {
        "number": missing_at((RNG.exponential(size=n) ** 4).tolist(), 9),
        "plain": RNG.normal(1e6, 3, n),
        "text": missing_at(RNG.choice(texts, n).tolist(), 11),
        "rare": [f"t{i}" if i < 20 else "usual" if i % 2 else "1.0" for i in range(n)],
        "flag": RNG.random(n) < 0.5,
        "dates": missing_at(moments, 13),
        "days": pd.to_datetime(
            [d.replace(hour=0, minute=0, second=0, microsecond=0) for d in moments]
        ),
        "size": pd.Categorical(RNG.choice(["S", "L"], n), ["XS", "S", "M", "L", "XL"], True),
        "truth": RNG.choice(["yes", "no"], n),
        "code": missing_at(RNG.choice(["01", "02", "10"], n).tolist(), 17),
    }
    return pd.DataFrame({NAMES[name]: values for name, values in columns.items()})


def other_rows():
    """Return rows with values that no training row has."""
    n = 12
    moments = [
        EPOCH + datetime.timedelta(seconds=s)
        for s in (0, -1, -0.5, 43200, 21600, 64800, 86399.999999, -86400, -86401, 951782400,
                  -62135596800, 253402300799)
    ]  # fmt: skip
    columns = {
        "number": [0.0, -0.0, 1e300 / 1e270, -3e38, 3e38, 1e-310, np.nan, 5, 1e9, 2, -1, 0.5],
        "plain": [1e6, np.nan, -3e38, 3e38, 0, 0, 1, 1, 1, 1, 1, 1],
        "text": ["café", " café\u00a0", "\u2003*/ x\u3000", "cafe", "CAFÉ", None, "", "NA",
                 " null ", "café\x85", "a\u200bb", "💡"],
        "rare": ["1", "1.00", "+1", "t3", "never", "USUAL", "usual ", "", None, "01", "-1", "1."],
        "flag": [True, False] * 6,
        "dates": moments,
        "days": moments[::-1],
        "size": pd.Categorical(["XS", "M", "XL", None, "S", "L"] * 2, ["XS", "S", "M", "L", "XL"],
                               ordered=True),
        "truth": ["true", "False", "1", "0", "Y", "n", "yes", " no", "perhaps", "01", "1.0", "T"],
        "code": ["1", "01", "1.0", "001", "10", "010", "2", "02 ", "3", "-1", "0\u0661", "1e1"],
    }  # fmt: skip
    assert all(len(values) == n for values in columns.values())
    return pd.DataFrame({NAMES[name]: values for name, values in columns.items()})


FRAME, OTHERS = training(), other_rows()
RECIPES = {
    kind: tables.prepare(FRAME, codes=kind, missing=["7up", -99])[0] for kind in ("plain", "rich")
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", RECIPES)
def test_rows_are_encoded_as_in_python(tmp_path, kind, dtype):
    recipe = RECIPES[kind]
    net = network(recipe, dtype)
    net.to_c(tmp_path / "net.c")
    library = compiled(tmp_path)
    for frame in (FRAME, OTHERS):
        X, _ = encoded(library, recipe, frame, dtype)
        assert_same_inputs(X, recipe, frame, dtype)
        y = np.empty((len(X), 1), dtype)
        for x, out in zip(X, y, strict=True):
            library.net_predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        close(y, net.predict(recipe.inputs(frame, "missing", dtype)), dtype)


WAYS = {
    "c99": ["-x", "c", "-std=c99", "-O0"],
    "c11": ["-x", "c", "-std=c11", "-O2"],
    "fused": ["-x", "c", "-std=gnu17", "-O3", "-march=native", "-ffp-contract=fast"],
    "scalar": ["-x", "c", "-std=c99", "-O2", "-DFASTNN_SCALAR"],
    "c++11": ["-x", "c++", "-std=c++11", "-O2"],
    "c++17": ["-x", "c++", "-std=c++17", "-O2"],
}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("way", WAYS)
def test_compilers_and_languages(tmp_path, way, compiler):
    recipe = RECIPES["rich"]
    network(recipe, "float64").to_c(tmp_path / "net.c", training=True)
    library = compiled(tmp_path, compiler, [*WAYS[way], *STRICT[1:]])
    for frame in (FRAME, OTHERS):
        assert_same_inputs(encoded(library, recipe, frame, "float64")[0], recipe, frame, "float64")


def test_every_code_has_a_function_in_c():
    assert set(c_columns.FORMS) == set(codes.CODES.values())
    assert {f"code_{kind}" for kind in codes.CODES} <= c_sections.sections().keys()


# ---- numbers and dates ---------------------------------------------------------------------------


def with_codes(tmp_path, kind, *some, name="a", missing=()):
    """Return a recipe of one column with these codes, and its library."""
    recipe = Recipe(None, None, None, [Entry(name, kind, some)], missing=list(missing))
    network(recipe, "float64").to_c(tmp_path / "net.c")
    return recipe, compiled(tmp_path)


def test_numbers_of_all_sizes(tmp_path):
    """The square root of the clipped code is rounded correctly, the limits are NumPy's."""
    some = [
        codes.Clipped(1.0, 0.3, 1e-300),
        codes.Clipped(1.0, 0.3, 7.0),
        codes.Bounded(0.5, -1.0, 3.0, -2.0, 1e6),
        codes.PiecewiseLinear(0.0, [-1e6, -1.0, 0.0, 5e-324, 0.1, 7e7]),
        codes.PiecewiseLinear(0.0, [0.0, 1.0]),
        codes.Missing(),
    ]
    recipe, library = with_codes(tmp_path, "number", *some)
    sizes = RNG.uniform(-320, 38, 4000)
    values = np.concatenate([RNG.choice([-1, 1], 4000) * 10**sizes, RNG.normal(0, 20, 4000),
                             [0.0, -0.0, np.nan, 3.4028234663852886e38]])  # fmt: skip
    frame = pd.DataFrame({"a": values})
    X, counts = encoded(library, recipe, frame, "float64")
    assert X.tobytes() == recipe.inputs(frame, dtype="float64").tobytes()
    assert not any(counts)


def test_numbers_that_stand_for_missing_ones_or_are_too_large(tmp_path):
    missing = ["-99", "1e5", "no number", "0.1", "inf"]
    some = codes.Value(2.0, 1.0, 4.0), codes.Missing()
    recipe, library = with_codes(tmp_path, "number", *some, missing=missing)
    frame = pd.DataFrame({"a": [-99.0, 1e5, 0.1, 99.0, np.float32(0.1), np.nan]})
    X, counts = encoded(library, recipe, frame, "float64")
    np.testing.assert_array_equal(X, recipe.inputs(frame, dtype="float64"))
    assert X[:, 1].tolist() == [1, 1, 1, 0, 0, 1]
    assert not any(counts)
    frame = pd.DataFrame({"a": [3.5e38, -1e300, np.inf, -np.inf]})  # errors in Python
    X, counts = encoded(library, recipe, frame, "float64")
    assert X.tolist() == [[0.25, 1]] * 4
    assert counts == [1] * 4


def test_dates_of_many_millennia(tmp_path):
    some = codes.Month(), codes.Weekday(), codes.TimeOfDay()
    recipe, library = with_codes(tmp_path, "date", *some)
    whole = RNG.integers(-9 * 10**12, 9 * 10**12, 3000).astype(float)
    days = RNG.integers(-20000, 20000, 3000) * 86400.0
    values = np.concatenate([
        whole, RNG.uniform(-1e10, 1e10, 3000), days, np.nextafter(days, -np.inf),
        np.nextafter(days, np.inf), RNG.integers(-5, 5, 50) * 21600.0, [-1e-20, -0.0, np.nan],
    ])  # fmt: skip
    X = np.zeros((len(values), len(recipe.names)))
    for code, columns in zip(some, (slice(12), slice(12, 19), slice(19, 21)), strict=True):
        code.write(values, X[:, columns])
    found, counts = encoded(library, recipe, pd.DataFrame({"a": values}), "float64")
    np.testing.assert_array_equal(found[:, :19], X[:, :19])
    np.testing.assert_array_max_ulp(found[:, 19:], X[:, 19:], 2)
    assert not any(counts)
    found, counts = encoded(library, recipe, pd.DataFrame({"a": [1e13, -np.inf]}), "float64")
    assert not found.any()
    assert counts == [1, 1]


# ---- texts ---------------------------------------------------------------------------------------

KNOWN = [
    ["1", "2.5", "-3", "010", "x"], ["01", "1"], ["1", "1.0", "01"], ["true", "no"], ["0", "1"],
    ["T", "f"], ["yes", "no", "maybe"], ["", "a"], ["-0", "10", "9", "a\0b", "a"],
    ["é" * 3000, "\ud800", "??/", "\x011", "ab"],
    ["1\u0663", "\u0663", "5"],
]  # fmt: skip
PIECES = [
    "0",
    "1",
    "2",
    "5",
    "9",
    ".",
    "-",
    "+",
    " ",
    "\u2009",
    "true",
    "T",
    "no",
    "YES",
    "a",
    "é",
    "\u0663",
]


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_texts_are_found_as_in_python(tmp_path_factory, known, other):
    folder = tmp_path_factory.mktemp("texts")
    recipe, library = with_codes(folder, "category", codes.OneHot(known, other), codes.Missing())
    lookup, Row = spelling.Lookup(known, are_all=not other), row_type(recipe)

    @given(st.sampled_from(known) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
    def check(text):
        x = np.empty(len(recipe.names))
        row = Row(text.encode("utf-8", "surrogatepass"))
        count = library.net_encode(ctypes.byref(row), ctypes.c_void_p(x.ctypes.data))
        text = text.partition("\0")[0].strip()
        index = codes.UNKNOWN if lookup(text) is None else lookup(text)
        values = np.array([index if text else codes.MISSING])
        assert count == (values[0] == codes.UNKNOWN and not other)
        if count:
            values[0] = codes.MISSING
        expected = np.zeros((1, len(x)))
        codes.OneHot(known, other).write(values, expected[:, :-1])
        codes.Missing().write(values, expected[:, -1:])
        np.testing.assert_array_equal(x, expected[0])

    check()


def test_texts_that_stand_for_missing_ones(tmp_path):
    code = codes.OneHot(["a", "-99", "NA"], True)
    recipe, library = with_codes(tmp_path, "category", code, codes.Missing(), missing=["-99", "?"])
    frame = pd.DataFrame({"a": ["a", "NA", " ? ", "-99", "-99.0", "<NA>", "nan", "Nan", None, ""]})
    X, counts = encoded(library, recipe, frame, "float64")
    np.testing.assert_array_equal(X, recipe.inputs(frame, dtype="float64"))
    assert not any(counts)


def test_white_space_is_that_of_python(tmp_path):
    recipe, library = with_codes(tmp_path, "category", codes.OneHot(["a"], False))
    spaces = [chr(i) for i in range(1, 0x3100) if chr(i).isspace()]
    others = ["\u200b", "\x7f", "\x86", "\u180e", "\u2060", "\ufeff", "\u20a0", "\u3001", "."]
    texts = [before + "a" + after for c in spaces for before, after in ((c, ""), ("", c), (c, c))]
    X, _ = encoded(library, recipe, pd.DataFrame({"a": texts}), "float64")
    assert X.all()
    X, _ = encoded(library, recipe, pd.DataFrame({"a": [f"a{c}" for c in others]}), "float64")
    assert not X.any()


def test_ordered_categories_of_which_some_are_known(tmp_path):
    order = ["XS", "S", "M", "L", "XL"]
    for known in (order, ["S", "L"], ["L"], ["XS", "XL"]):
        folder = tmp_path / "-".join(known)
        folder.mkdir()
        recipe, library = with_codes(folder, "category", codes.Ordered(order, known))
        frame = pd.DataFrame({"a": [*order, "XXL", None]})
        X, counts = encoded(library, recipe, frame, "float64")
        np.testing.assert_array_equal(X, recipe.inputs(frame, "missing", "float64"))
        assert counts == [0] * 5 + [1, 0]


# ---- files ---------------------------------------------------------------------------------------


def test_names_of_fields():
    names = [
        "a b",
        "A-B",
        "a_b_2",
        "2019",
        "",
        "größe",
        "int",
        "INT",
        "名前",
        "_x_",
        "new",
        "errno",
    ]
    found = c_columns.identifiers(names)
    assert found == ["a_b", "a_b_2", "a_b_2_2", "column_2019", "column", "grosse", "int_", "int_2",
                     "column_2", "x", "new_", "errno_"]  # fmt: skip
    assert len(set(c_columns.identifiers(["x" * 300, "x" * 301]))) == 2


@pytest.mark.parametrize("way", ["-x c -std=gnu17", "-x c++ -std=gnu++17"])
def test_fields_are_neither_keywords_nor_macros(tmp_path, way):
    names = ["typename", "net row", "NULL", "EOF", "BYTES", "real", "_Bool", "linux", "stdin",
             "errno", "far", "and", "class", "double", "text", "value", "row", "x"]  # fmt: skip
    frame = {name: ["a", "b"] * 5 if i % 2 else np.arange(10.0) for i, name in enumerate(names)}
    network(tables.prepare(frame)[0]).to_c(tmp_path / "net.c")
    headers = ("errno", "stdio", "stdbool", "math", "signal", "iso646", "sys/types", "sys/stat")
    included = "".join(f"#include <{name}.h>\n" for name in headers)
    (tmp_path / "main.c").write_text(f'{included}#include "net.h"\n')
    command = [COMPILERS[0], *way.split(), *STRICT[2:5], "-fsyntax-only", "main.c", "net.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", RECIPES)
def test_the_example_of_the_header_is_a_program(tmp_path, kind):
    net = network(RECIPES[kind])
    net.to_c(tmp_path / "net.c")
    header = (tmp_path / "net.h").read_text(encoding="utf-8")
    example = "\n".join(re.findall(r"^ \*     (.*)$", header, re.MULTILINE))
    program = f'#include "net.h"\n#include <stdio.h>\nint main(void) {{\n{example}\n'
    (tmp_path / "main.c").write_text(f'{program}printf("%.9g", y[0]);\nreturn 0;\n}}\n')
    command = [COMPILERS[0], *STRICT[:5], "main.c", "net.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    output = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    entries = RECIPES[kind].columns
    row = {entry.name: [None] for entry in entries}
    for entry in entries[:4]:
        first = next((code.fill for code in entry.codes if hasattr(code, "fill")), None)
        row[entry.name] = [first if entry.category is None else entry.category.texts[0]]
    frame = {name: pd.Series(values, dtype=object) for name, values in row.items()}
    X = RECIPES[kind].inputs(pd.DataFrame(frame))
    close(float(output), net.predict(X)[0, 0], "float32")


def test_the_example_of_the_guide_is_a_program(tmp_path):
    guide = Path(__file__).parent.parent / "docs/how-to/tables.rst"
    [block] = re.findall(r"code-block:: c\n\n((?:   .*\n|\n)*)", guide.read_text(encoding="utf-8"))
    include, statements = textwrap.dedent(block).split("\n", 1)
    frame = pd.DataFrame({"area": np.arange(60.0), "city": ["Bonn", "Köln", "Trier"] * 20,
                          "built": pd.date_range("1970-01-01", periods=60)})  # fmt: skip
    network(tables.prepare(frame)[0]).to_c(tmp_path / "rent.c")
    program = f"{include}\nint main(void) {{\n{statements}return y[0] != y[0];\n}}\n"
    (tmp_path / "main.c").write_text(program)
    command = [COMPILERS[0], *STRICT[:5], "main.c", "rent.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "main"], check=True)


def test_the_header_says_what_the_columns_and_outputs_are(tmp_path):
    frame = pd.DataFrame({"größe": np.arange(60.0), "stadt": ["Köln", "Trier", "Bonn"] * 20,
                          "art": ["*/", "/*"] * 30})  # fmt: skip
    model = TabularClassifier(max_iter=1, n_nets=1).fit(frame[["größe", "stadt"]], frame["art"])
    to_c(model, tmp_path / "flats.c")
    header = (tmp_path / "flats.h").read_text(encoding="utf-8")
    assert 'double grosse; /* "größe": a number */' in header
    assert 'const char *stadt; /* "stadt": a text, "Bonn", "Köln", "Trier" */' in header
    assert ' * y has an output for each class of "art": "* /", "/ *".' in header


def test_a_mean_of_networks_predicts_a_table(tmp_path):
    model = TabularRegressor(max_iter=2, n_nets=3).fit(FRAME, RNG.normal(size=N))
    to_c(model, tmp_path / "net.c")
    library, recipe = compiled(tmp_path), model.recipe_
    X, counts = encoded(library, recipe, OTHERS, "float32")
    assert_same_inputs(X, recipe, OTHERS, "float32")
    assert sum(counts) == sum(recipe.encode(OTHERS, unknown="missing").replaced.values())
    y = np.empty((len(X), 1), np.float32)
    for x, out in zip(X, y, strict=True):
        library.net_predict(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(out.ctypes.data))
    close(y[:, 0], model.predict(OTHERS), "float32")


def test_a_network_without_a_recipe_has_no_columns(tmp_path):
    net = network(RECIPES["plain"])
    net.metadata = {"table": "a note of my own"}
    net.to_c(tmp_path / "net.c")
    text = (tmp_path / "net.h").read_text() + (tmp_path / "net.c").read_text()
    assert "net_row" not in text
    assert "column" not in text.partition("#define FASTNN_BITS")[2].partition("enum {")[0]


def test_networks_with_other_recipes_are_refused(tmp_path):
    nets = [network(RECIPES["plain"]) for _ in range(2)]
    to_c(nets, tmp_path / "net.c")
    table = nets[1].metadata["table"]
    nets[1].metadata = {"table": {**table, "missing": ["?"]}}
    (tmp_path / "net.c").unlink()
    with pytest.raises(ValueError, match="the networks' recipes encode tables differently"):
        to_c(nets, tmp_path / "net.c")
    nets[0].metadata = {"table": {**table, "columns": table["columns"][1:]}}
    with pytest.raises(ValueError, match="the network's recipe gives"):
        nets[0].to_c(tmp_path / "net.c")
    assert not (tmp_path / "net.c").exists()


def test_a_name_that_a_function_has_is_refused(tmp_path):
    net = network(RECIPES["plain"])
    net.to_c(tmp_path / "net.c", name="one")
    with pytest.raises(ValueError, match="name='one' gives a function the name one_row"):
        net.to_c(tmp_path / "net.c", name="one", training=True)


def test_the_command_exports_columns(tmp_path):
    frame = pd.DataFrame({"area": np.arange(60.0), "city": ["Bonn", "Köln", "Trier"] * 20,
                          "rent": np.arange(60.0) % 7})  # fmt: skip
    frame.to_csv(tmp_path / "flats.csv", index=False)
    model, source = str(tmp_path / "rent.safetensors"), str(tmp_path / "net.c")
    options = ["--target", "rent", "--epochs", "2", "--quiet", "--out", model]
    assert main(["train", str(tmp_path / "flats.csv"), *options]) == 0
    assert main(["export", model, "--c", source]) == 0
    recipe = tables.recipe_of(fastnn.load_many(model)[0])
    assert_same_inputs(encoded(compiled(tmp_path), recipe, frame, "float32")[0], recipe, frame,
                       "float32")  # fmt: skip
