"""Tables: reading files, encoding columns by a recipe, and writing predictions.

Tests that a column has the right kind in every form of file, that missing values, categories and
numbers are encoded as documented, in training as in prediction, and that a column that no network
can use is refused in one line that names the place and the remedy. Not here: the commands
(test_cli.py).
"""

import csv
import gzip
import io
import json

import numpy as np
import polars as pl
import pytest

from fastnn import MLP, Dense, tables
from fastnn.tables import Recipe, TableError
from fastnn.tabular import encoding, writing

FEW = """age,town,member,zip,since
31,Rome,true,01,2020-01-31
,Oslo,false,02,2021-02-28
47.5,,true,01,2022-03-31
-2e1," Bern ",NA,03,2023-04-30
"""


@pytest.fixture
def put(tmp_path):
    """A function that writes a file of text or bytes, and returns its path."""

    def write(content, name="few.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def learned(table, target="y", rows=None, **options):
    task, classes, _ = tables.target_of(table, target)
    rows = np.arange(table.n) if rows is None else np.asarray(rows)
    return tables.learn(table, target, task, classes, rows, **options)


def contents(table):
    """Each column as (kind, values): numbers, None where missing, or texts."""
    found = {}
    for name, column in table.columns.items():
        if column.kind == "number":
            values = [None if np.isnan(v) else v for v in column.values.tolist()]
        else:
            values = [None if i < 0 else column.texts[i] for i in column.values.tolist()]
        found[name] = column.kind, values
    return found


# ---- reading ------------------------------------------------------------------------------------


def test_columns_of_csv_are_numbers_or_texts(put):
    table = tables.read(put(FEW), drop=["since"])
    assert contents(table) == {
        "age": ("number", [31, None, 47.5, -20]),
        "town": ("category", ["Rome", "Oslo", None, "Bern"]),
        "member": ("category", ["true", "false", "true", None]),
        "zip": ("number", [1, 2, 1, 3]),
    }
    assert table.columns["town"].texts == ["Bern", "Oslo", "Rome"]
    assert (table.n, table.others) == (4, ["since"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("few.csv", b"\xef\xbb\xbf" + FEW.encode()),
        ("few.csv", FEW.replace("\n", "\r\n").encode()),
        ("few.csv", FEW.replace(",", ";").encode()),
        ("few.csv", FEW.replace(",", "\t").encode()),
        ("few.CSV", FEW.encode()),
        ("few.tsv", FEW.replace(",", "\t").encode()),
        ("few.csv.gz", gzip.compress(FEW.encode(), mtime=0)),
        ("few.tsv.gz", gzip.compress(FEW.replace(",", "\t").encode(), mtime=0)),
    ],
)
def test_variants_of_csv_give_the_same_columns(put, name, content):
    expected = tables.read(put(FEW, "plain.csv"), drop=["since"])
    found = tables.read(put(content, name), drop=["since"])
    assert contents(found) == contents(expected)


def test_csv_from_standard_input(put, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(FEW.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert contents(tables.read("-", only=["age"])) == {"age": ("number", [31, None, 47.5, -20])}


def test_special_characters_in_column_names_and_file_names(put, tmp_path):
    assert list(tables.read(put(' a ,"b,c",d\n1,2,3\n', "x[1]*.csv")).columns) == ["a", "b,c", "d"]
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "x[1]*.parquet")
    assert list(tables.read(tmp_path / "x[1]*.parquet").columns) == ["a"]


def test_quotes_in_column_names(put, tmp_path):
    rows = "".join(f"{i},{i % 3},x\n" for i in range(60))
    header = '"a ""x"", b","price ""net""",c\n'
    for text in (header, "\ufeff" + header, "\n" + header):
        table = tables.read(put(text + rows))
        assert list(table.columns) == ['a "x", b', 'price "net"', "c"]
        np.testing.assert_array_equal(table.columns['a "x", b'].values, np.arange(60))
    with pytest.raises(TableError, match="has two columns 'a\"b'"):
        tables.read(put('"a""b",a"b\n1,2\n'))
    recipe = tables.prepare(put(header + rows), 'price "net"').recipe
    same = {'a "x", b': [1], "c": ["x"]}
    assert recipe.names == ['a "x", b']
    assert recipe.inputs(same).shape == (1, 1)
    writing.write(str(tmp_path / "p.csv"), recipe, np.zeros((3, 1)))
    assert list(tables.read(tmp_path / "p.csv").columns) == ['price "net"']


def test_columns_of_parquet_are_what_their_types_say(tmp_path):
    frame = pl.DataFrame(
        {
            "i": [1, 2, None],
            "u8": pl.Series([1, 2, 3], dtype=pl.UInt8),
            "f": [0.5, float("nan"), None],
            "d": pl.Series(["1.5", "2.5", None]).cast(pl.Decimal(9, 2)),
            "s": ["1", "2", None],
            "b": [True, False, None],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "none": [None] * 3,
        }
    )
    frame.write_parquet(tmp_path / "few.parquet")
    assert contents(tables.read(tmp_path / "few.parquet")) == {
        "i": ("number", [1, 2, None]),
        "u8": ("number", [1, 2, 3]),
        "f": ("number", [0.5, None, None]),
        "d": ("number", [1.5, 2.5, None]),
        "s": ("category", ["1", "2", None]),
        "b": ("category", ["true", "false", None]),
        "c": ("category", ["x", "y", "x"]),
        "none": ("number", [None] * 3),
    }


def test_columns_of_numpys_files(tmp_path):
    X = np.array([[1, 2], [3, 4], [5, 6]], np.float16)
    np.savez(
        tmp_path / "a.npz", X=X, y=[0, 1, 0], s=["a", "", "b"], b=[True, False, True], k=X[:, :1]
    )
    assert contents(tables.read(tmp_path / "a.npz")) == {
        "X0": ("number", [1, 3, 5]),
        "X1": ("number", [2, 4, 6]),
        "y": ("number", [0, 1, 0]),
        "s": ("category", ["a", None, "b"]),
        "b": ("category", ["true", "false", "true"]),
        "k": ("number", [1, 3, 5]),
    }
    np.save(tmp_path / "a.npy", X)
    expected = {"0": ("number", [1, 3, 5]), "1": ("number", [2, 4, 6])}
    assert contents(tables.read(tmp_path / "a.npy")) == expected
    np.save(tmp_path / "a.npy", np.array([(1, "x"), (2, "y")], [("n", int), ("t", "U1")]))
    expected = {"n": ("number", [1, 2]), "t": ("category", ["x", "y"])}
    assert contents(tables.read(tmp_path / "a.npy")) == expected


def test_the_kinds_of_columns_may_be_stated(put, tmp_path):
    table = tables.read(put(FEW), kinds={"zip": "category"}, only=["zip"])
    assert contents(table) == {"zip": ("category", ["01", "02", "01", "03"])}
    np.savez(tmp_path / "a.npz", zip=[10, 9, 2], size=["1", " 2.5", ""], x=[0.5, np.nan, 2.0])
    table = tables.read(tmp_path / "a.npz", kinds={"zip": "category", "size": "number",
                                                   "x": "category"})  # fmt: skip
    assert contents(table) == {
        "zip": ("category", ["10", "9", "2"]),
        "size": ("number", [1, 2.5, None]),
        "x": ("category", ["0.5", None, "2"]),
    }
    assert table.columns["zip"].texts == ["10", "2", "9"]


def test_integers_as_categories_keep_all_digits(put, tmp_path):
    first = 2**53
    ids = [first, first + 1, first + 2, None]
    expected = ("category", [*map(str, ids[:3]), None])
    pl.DataFrame({"id": ids}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ids}).write_ndjson(tmp_path / "a.jsonl")
    np.savez(tmp_path / "a.npz", id=np.array(ids[:3]))
    kinds = {"id": "category"}
    csv = put("id\n" + "".join(f"{i or ''}\n" for i in ids))
    files = (tmp_path / "a.parquet", tmp_path / "a.jsonl", csv)
    for data in (*files, {"id": ids}, pl.DataFrame({"id": ids})):
        assert contents(tables.read(data, kinds=kinds)) == {"id": expected}
        missing = contents(tables.read(data, kinds=kinds, missing=[first + 1]))
        assert missing == {"id": ("category", [str(first), None, str(first + 2), None])}
        assert tables.read(data).columns["id"].kind == "number"
    assert contents(tables.read(tmp_path / "a.npz", kinds=kinds))["id"][1] == expected[1][:3]
    for pair in ([2**64, 2**64 + 1], [2**63, -1]):
        for data in ({"id": pair}, pl.DataFrame({"id": pl.Series(pair, dtype=pl.Int128)})):
            assert contents(tables.read(data, kinds=kinds))["id"][1] == [*map(str, pair)]
            assert contents(tables.read(data))["id"][1] == [*map(float, pair)]


def test_more_texts_for_missing_values(put, tmp_path):
    table = tables.read(put("a,b\n?,-99\n1,2\n3,?\n"), missing=["?", "-99"])
    assert contents(table) == {"a": ("number", [None, 1, 3]), "b": ("number", [None, 2, None])}
    np.savez(tmp_path / "a.npz", a=[-99.0, 1], b=["?", "x"])
    table = tables.read(tmp_path / "a.npz", missing=["?", "-99"])
    assert contents(table) == {"a": ("number", [None, 1]), "b": ("category", [None, "x"])}


def test_dates_are_recognized_in_every_format(put, tmp_path):
    dates = "a,b,c,d\n2020-01-31,1/31/2020,31.1.20,2020-01-31T10:00:00Z\n2020-02-01,,1.2.20,NA\n"
    for path in (put(dates), tmp_path / "dates.parquet"):
        if path == tmp_path / "dates.parquet":
            pl.read_csv(put(dates), try_parse_dates=True)[:, :1].write_parquet(path)
        kinds = {name: column.kind for name, column in tables.read(path).columns.items()}
        assert kinds.pop("b", "month-first date") == "month-first date"
        assert kinds.pop("c", "day-first date") == "day-first date"
        assert set(kinds.values()) == {"date"}
    assert tables.read(put("a\n2020-01-31\nnever\n")).columns["a"].kind == "category"


NUMBERS = "".join(f"{i}\n" for i in range(20))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "", "is empty; it needs a line of column names"),
        ("x.csv", "a,b\n", "has no rows"),
        ("x.csv", "a,b,a\n1,2,3\n", "has two columns 'a'; rename one"),
        ("x.csv", "a, a\n1,2\n", "has two columns 'a'; rename one"),
        ("x.csv", "a,b\n1,2\n3,4,5\n", "has 3 fields in line 3, but 2 names in its first"),
        ("x.csv", "a,b,c\n1,2,3\n4,5", "has 2 fields in line 3, but 3 names .* may be cut off"),
        ("x.csv", "a,b\n1,2\n3\n", "has 1 field in line 3, but 2 names in its first line"),
        ("x.csv", "Report\na,b,c\n1,2,3\n",
         "has 3 fields in line 2, but 1 name in its first line; remove the lines above the names"),
        ("x.csv", 'a,b,c\n1,"x\ny",3\n4,5\n6,7,8\n', "has 2 fields in line 4, but 3 names"),
        ("x.tsv", "a\tb\n1\t2\n3\n", "has 1 field in line 3, but 2 names in its first line"),
        ("x.csv.gz", gzip.compress(b"a;b;c\n1;2;3\n4;5", mtime=0),
         "has 2 fields in line 3, but 3 names"),
        ("x.csv", b"a,b\n\0\0\0\0,2\n", "is not UTF-16-"),
        ("x.csv", 'a,b\n"x,2\n', "look for a quote"),
        ("x.csv", "a\n1e300\n", "column 'a' holds 1e\\+300 in row 1; numbers must be between"),
        ("x.csv", "a\n1\ninf\n", "column 'a' holds inf in row 2"),
        ("x.csv", f"a\n{NUMBERS}!\n", r"numbers except '!' in row 21; correct .*--missing '!'"),
        ("x.csv", f"a\n?\n{NUMBERS}x\n", "'\\?' in row 1 and 1 more; .*--categorical a"),
        ("x.csv", "a\n2020-01-31\n2020-02-30\n", "dates except '2020-02-30' in row 2; correct"),
        ("x.csv.gz", b"a,b\n1,2\n", "cannot be read as a compressed file: Not a gzipped file"),
        ("x.csv.gz", gzip.compress(FEW.encode())[:-12], "cannot be read as a compressed file"),
        ("x.csv", b'\x40\1\0\0\0\0\0\0{"__metadata__":{}}', "is not a text file but a model file"),
        ("x.csv", b"PK\x03\x04", "is not a text file but an Excel workbook or another zip"),
        ("x.parquet", b"PAR1", "cannot be read as Parquet"),
        ("x.npy", b"\x93NUMPY", "is not a file of NumPy arrays"),
        ("x.npz", b"PK\x03\x04", "is not a file of NumPy arrays"),
        ("x.xlsx", b"", "is a workbook; save the sheet as CSV"),
        ("x.npz.gz", b"", "must end with .csv, .tsv"),
        ("x", b"", "must end with .csv, .tsv"),
    ],
)  # fmt: skip
def test_files_that_are_no_tables(put, name, content, message):
    with pytest.raises(TableError, match=message) as caught:
        tables.read(put(content, name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["a,b\n1,\n2,3\n", "a,b\n1,\n\n2,3", 'a,b\n1,""\n2,"x,y"\n'])
def test_rows_may_end_with_an_empty_field(put, content):
    assert tables.read(put(content, "x.csv")).columns["a"].values[0] == 1


def test_a_short_row_is_an_error_even_if_the_missing_columns_are_not_read(put):
    with pytest.raises(TableError, match="has 2 fields in line 3, but 3 names"):
        tables.read(put("a,b,c\n1,2,3\n4,5\n", "x.csv"), only=["a"])


def test_arrays_that_are_no_columns(tmp_path):
    path = tmp_path / "x.npz"
    for arrays, message in (
        ({"a": [1, 2], "b": [1, 2, 3]}, "different lengths: 'a' 2, 'b' 3; make them equal"),
        ({"a": np.zeros((2, 2, 2))}, "'a' has shape \\(2, 2, 2\\); it must be \\(n, columns\\)"),
        ({"a": 3.0}, "'a' has shape \\(\\)"),
        ({"a": [np.inf]}, "column 'a' holds inf in row 1"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(TableError, match=message):
            tables.read(path)
    np.savez(path, X=np.zeros((9, 3)), X0=np.ones(9))
    with pytest.raises(TableError, match="has two columns 'X0', as the columns of a matrix 'X' "):
        tables.read(path)
    np.savez(path, a=np.array([{}], object))
    with pytest.raises(TableError, match="or holds Python objects"):
        tables.read(path)
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(TableError, match="its array has shape \\(3,\\)"):
        tables.read(tmp_path / "x.npy")


def test_columns_that_are_not_there(put):
    path = put(FEW)
    with pytest.raises(TableError, match="no column 'twon'; did you mean 'town'\\? its columns"):
        tables.read(path, only=["twon"])
    with pytest.raises(TableError, match="no columns 'a', 'b'; its columns are 'age'"):
        tables.read(path, drop=["a", "b"])
    with pytest.raises(TableError, match="no column 'price'; its columns are"):
        tables.read(path).column("price")


def test_lists_of_names_and_texts(put):
    path = put(FEW)
    for name in ("drop", "missing", "only"):
        with pytest.raises(
            TypeError, match=f"{name} must be a list of texts; .* pass \\['town'\\]"
        ):
            tables.read(path, **{name: "town"})
    with pytest.raises(TypeError, match="missing must be a list of texts; got -99; pass \\[-99\\]"):
        tables.read(path, missing=-99)
    with pytest.raises(TypeError, match="missing must hold texts or numbers; got None"):
        tables.read(path, missing=[None])
    table = tables.read(put("a,b\n-99,x\n1,-99\n0.5,y\n"), missing=[-99.0, np.float32(0.5)])
    assert contents(table) == {
        "a": ("number", [None, 1, None]),
        "b": ("category", ["x", None, "y"]),
    }
    recipe = tables.prepare({"a": [1, -99, 2, 3]}, missing=[-99]).recipe
    assert recipe.missing == ["-99"]
    assert recipe.names == ["a", "a=(missing)"]


def test_kinds_of_columns_are_checked(put):
    path = put(FEW)
    for kinds, message in (
        ({"zip": "categorical"}, "kinds\\['zip'\\] must be one of .*; did you mean 'category'"),
        ({"zip": None}, "kinds\\['zip'\\] must be one of 'number', 'category'"),
        ({"Zip": "category"}, "no column 'Zip'; did you mean 'zip'?"),
        (["zip"], "kinds must be a dict of column names and kinds, such as .*; got \\['zip'\\]"),
    ):
        for read in (tables.read, tables.prepare):
            with pytest.raises((ValueError, TypeError), match=message):
                read(path, kinds=kinds)
    for name, value in (("kinds", {"zip": "category"}), ("drop", ["zip"])):
        with pytest.raises(ValueError, match=f"so {name} has no effect; pass {name} to"):
            tables.prepare(tables.read(path), **{name: value})


def test_values_that_are_no_numbers(put, tmp_path):
    message = "column 'town' holds 'Rome' in row 1 but must hold numbers; correct the"
    with pytest.raises(TableError, match=message):
        tables.read(put(FEW), kinds={"town": "number"})
    np.savez(tmp_path / "x.npz", town=["", "1", "x"], when=np.array(["2020-01-01"] * 3, "M8[D]"))
    with pytest.raises(TableError, match="column 'town' holds 'x' in row 3"):
        tables.read(tmp_path / "x.npz", kinds={"town": "number"})
    with pytest.raises(TableError, match="column 'when' is of type date but must be a number"):
        tables.read(tmp_path / "x.npz", kinds={"when": "number"})


def test_a_damaged_file_is_read_or_raises_an_expected_error(tmp_path, rng):
    frame = pl.DataFrame({"a": range(100), "s": [f"t{i % 7}" for i in range(100)]})
    frame.write_parquet(tmp_path / "x.parquet")
    frame.write_csv(tmp_path / "x.csv")
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(100), s=["t"] * 100)
    np.save(tmp_path / "x.npy", np.ones((9, 4)))
    outcomes = set()
    for name in ("x.parquet", "x.csv", "x.npz", "x.npy"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            some = bytearray(whole[: rng.integers(len(whole) + 1)] if rng.random() < 0.5 else whole)
            for _ in range(rng.integers(4) if some else 0):
                some[rng.integers(len(some))] = rng.integers(256)
            (tmp_path / name).write_bytes(some)
            try:
                tables.read(tmp_path / name)
                outcomes.add("read")
            except (TableError, OSError, MemoryError) as error:
                outcomes.add(type(error))
    assert {"read", TableError} <= outcomes


def test_reading_a_csv_file_needs_polars(put, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match="needs polars, which is not installed; pip install"):
        tables.read(put(FEW))
    np.savez(tmp_path / "x.npz", a=[1, 2], s=["a", "b"])
    assert tables.read(tmp_path / "x.npz").n == 2


# ---- targets ------------------------------------------------------------------------------------


def column_table(tmp_path, **columns):
    np.savez(tmp_path / "t.npz", **columns)
    return tables.read(tmp_path / "t.npz")


def test_the_task_is_inferred_from_the_target(tmp_path):
    table = column_table(
        tmp_path,
        few=np.arange(200) % 20,
        many=np.arange(200) % 21,
        halves=np.arange(200) % 4 / 2,
        texts=np.where(np.arange(200) % 2, "yes", "no"),
        flags=np.arange(200) % 2 == 0,
        gaps=np.where(np.arange(200) % 5, np.arange(200) % 3, np.nan),
    )
    tasks = {name: tables.target_of(table, name)[:2] for name in table.columns}
    assert tasks == {
        "few": ("classification", list(range(20))),
        "many": ("regression", None),
        "halves": ("regression", None),
        "texts": ("classification", ["no", "yes"]),
        "flags": ("classification", ["false", "true"]),
        "gaps": ("classification", [0, 1, 2]),
    }
    labels = tables.target_of(table, "gaps")[2]
    assert labels[:6].tolist() == [-1, 1, 2, 0, 1, -1]
    assert tables.target_of(table, "few", "regression")[0] == "regression"
    task, classes, labels = tables.target_of(table, "halves", "classification")
    assert (task, classes) == ("classification", [0, 0.5, 1, 1.5])
    assert all(type(c) is int for c in (classes[0], classes[2]))
    assert labels[:5].tolist() == [0, 1, 2, 3, 0]


def test_few_rows_for_each_number_are_a_regression(tmp_path):
    table = column_table(tmp_path, y=np.arange(59) % 6, z=np.arange(59) % 5)
    assert tables.target_of(table, "y")[0] == "regression"
    assert tables.target_of(table, "z")[0] == "classification"


def test_targets_that_suit_no_task(tmp_path):
    table = column_table(tmp_path, one=np.ones(30), texts=["a", "b"] * 15, none=np.full(30, np.nan),
                         when=np.array(["2020-01-01"] * 30, "M8[D]"))  # fmt: skip
    for name, task, message in (
        ("one", None, "'one' has the same value in all rows; choose another"),
        ("none", None, "'none' has no value in any row; choose another"),
        ("texts", "regression", "'texts' holds texts \\('a', 'b'\\) but regression needs numbers"),
        ("when", None, "'when' is of type date; convert it to numbers or texts"),
    ):
        with pytest.raises(TableError, match=message):
            tables.target_of(table, name, task)
    no_text = tables.read({"none": ["", ""]}, kinds={"none": "category"})
    with pytest.raises(TableError, match="'none' has no value in any row"):
        tables.target_of(no_text, "none")
    many = column_table(tmp_path, y=np.arange(5000))
    with pytest.raises(TableError, match="has 5,000 classes but at most 4,096 are possible"):
        tables.target_of(many, "y", "classification")


def test_classes_that_float64_does_not_tell_apart(put):
    first = 2**53
    csv = put("y\n" + f"{first}\n{first + 1}\n" * 20)
    for data, remedy in (
        (csv, "--categorical y"),
        ({"y": [first, first + 1] * 20}, "kinds=\\{'y': 'category'\\}"),
        ({"y": [-first - 1, 0] * 20}, "kinds=\\{'y': 'category'\\}"),
    ):
        with pytest.raises(TableError, match=f"are rounded, .*; treat them as texts: {remedy}"):
            tables.target_of(tables.read(data), "y")
        classes = tables.target_of(tables.read(data, kinds={"y": "category"}), "y")[1]
        assert len(classes) == 2
        assert str(first) in classes[0] or str(first + 1) in classes[0]
    assert tables.target_of(tables.read({"y": [first - 1, 0] * 20}), "y")[1] == [0, first - 1]


# ---- recipes ------------------------------------------------------------------------------------

TRAINED = """size,colour,weight,year,y
1,red,5,2000,1
2,blue,,2000,2.5
4,red,7,2000,3.5
9,green,9,2000,4
,blue,100,2000,5.25
1,violet,50,2001,6.5
"""


def test_inputs_are_what_the_recipe_says(put):
    table = tables.read(put(TRAINED))
    recipe = learned(table, rows=[0, 1, 2, 3])
    assert [entry.to_plain() for entry in recipe.columns] == [
        {"name": "size", "kind": "number",
         "codes": [{"code": "value", "fill": 3.0, "shift": 0.0, "scale": 1.0}]},
        {"name": "colour", "kind": "category",
         "codes": [{"code": "one_hot", "texts": ["blue", "green", "red"], "other": False}]},
        {"name": "weight", "kind": "number",
         "codes": [{"code": "value", "fill": 7.0, "shift": 0.0, "scale": 1.0},
                   {"code": "missing"}]},
    ]  # fmt: skip
    assert recipe.ignored == {"year": "constant in the training rows"}
    names = ["size", "colour=blue", "colour=green", "colour=red", "weight", "weight=(missing)"]
    assert recipe.names == names
    assert recipe.is_measured.tolist() == [True, False, False, False, True, False]
    rows = recipe.encode(table, unknown="missing")
    assert rows.replaced == {"colour": 1}
    assert rows.n_missing() == {"size": 1, "weight": 1}
    expected = [
        [1, 0, 0, 1, 5, 0],
        [2, 1, 0, 0, 7, 1],
        [4, 0, 0, 1, 7, 0],
        [9, 0, 1, 0, 9, 0],
        [3, 1, 0, 0, 100, 0],  # the median of the rows trained on
        [1, 0, 0, 0, 50, 0],  # no category
    ]
    X = rows.matrix()
    assert X.dtype == np.float32
    assert X.tolist() == expected
    assert rows.matrix(np.array([5, 0]), "float64").tolist() == [expected[5], expected[0]]
    assert np.concatenate(list(rows.blocks())).tolist() == expected


def test_a_missing_text_is_a_category_of_its_own(put):
    recipe = learned(tables.read(put("c,y\na,1\n,2\nb,3\n")))
    assert recipe.names == ["c=a", "c=b", "c=(missing)"]
    rows = recipe.encode(recipe.read(put("c\nb\n\nc\n")), unknown="missing")
    assert rows.matrix().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert (rows.replaced, rows.n_missing()) == ({"c": 1}, {"c": 1})


def test_the_blocks_together_are_all_rows(monkeypatch, put):
    monkeypatch.setattr(encoding, "_BLOCK", 2)
    table = tables.read(put(TRAINED))
    rows = learned(table).encode(table)
    blocks = list(rows.blocks())
    assert [len(block) for block in blocks] == [2, 2, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), rows.matrix())


def test_an_unknown_text_is_named(put):
    recipe = learned(tables.read(put(TRAINED)))
    new = put(
        "weight,size,colour,year,extra\n1,1,red,1,1\n1,1,greem,2,2\n1,1,greem,2,2\n", "new.csv"
    )
    with pytest.raises(TableError) as caught:
        recipe.encode(recipe.read(new))
    assert str(caught.value) == (
        f"{new}: column 'colour' holds 'greem' in row 2 (2 such rows), which does not occur in "
        "the training rows; did you mean 'green'? known texts are 'blue', 'green', 'red', "
        "'violet'; correct the value, or treat it as missing: --unknown missing"
    )


def test_a_rare_text_is_not_taken_for_one_that_resembles_it(put):
    codes = ["1"] * 9 + ["2"] * 9 + ["01"]
    flags = ["t"] * 9 + ["f"] * 9 + ["y"]
    rows = zip(codes, flags, range(19), strict=True)
    path = put("code,flag,v\n" + "".join(f"{c}x,{f},{v}\n" for c, f, v in rows))
    frame = {"code": codes, "flag": flags, "v": range(19)}
    for data in (path, frame):
        recipe = tables.prepare(data, codes="rich", missing=["?"]).recipe
        texts = {e.name: e.category.texts for e in recipe.columns if e.category}
        assert texts["flag"] == ["f", "t"]
        new = {"code": ["01", "1"], "flag": ["y", "true"], "v": [1, 2]}
        rows = recipe.encode(new)
        X = rows.matrix()[:, [recipe.names.index(f"flag={t}") for t in ("t", "(other)")]]
        assert X.tolist() == [[0, 1], [0, 1]]
        assert rows.others["flag"] == 2
    assert texts["code"] == ["1", "2"]
    X = rows.matrix()[:, [recipe.names.index(f"code={t}") for t in ("1", "(other)")]]
    assert X.tolist() == [[0, 1], [1, 0]]


def test_the_order_of_columns_and_additional_columns_make_no_difference(put):
    table = tables.read(put(TRAINED))
    recipe = learned(table)
    frame = pl.read_csv(put(TRAINED))
    other = frame.select("year", pl.lit("x").alias("new"), "colour", "weight", "size")
    other.write_csv(put("", "other.csv"))
    found = recipe.read(put((other.write_csv()), "other.csv"))
    assert found.others == ["new"]
    np.testing.assert_array_equal(recipe.encode(found).matrix(), recipe.encode(table).matrix())
    with pytest.raises(TableError, match="has no columns 'colour', 'weight'; its columns are"):
        recipe.read(put("size,year\n1,2\n", "lacking.csv"))


def test_the_same_rows_of_any_file_are_the_same_inputs(put, tmp_path):
    table = tables.read(put(TRAINED), kinds={"year": "category"})
    recipe = learned(table)
    expected = recipe.encode(table).matrix()
    frame = pl.read_csv(put(TRAINED))
    frame.write_parquet(tmp_path / "t.parquet")
    arrays = {name: frame[name].to_numpy() for name in ("size", "weight", "year")}
    np.savez(tmp_path / "t.npz", colour=frame["colour"].to_list(), **arrays)
    texts = frame.with_columns(pl.all().cast(pl.String).fill_null("NaN"))
    np.savez(tmp_path / "s.npz", **{name: texts[name].to_list() for name in frame.columns})
    for name in ("t.parquet", "t.npz", "s.npz"):
        found = recipe.encode(recipe.read(tmp_path / name)).matrix()
        np.testing.assert_array_equal(found, expected)


def test_kinds_at_prediction_are_those_of_training(put):
    recipe = learned(
        tables.read(put("zip,size,y\n01,1,1\n1,2,2\nx,3,3\n"), kinds={"zip": "category"})
    )
    table = recipe.read(put("zip,size\n01,1\n01,2\n", "new.csv"))  # numbers all
    assert recipe.encode(table).matrix()[:, :3].tolist() == [[1, 0, 0], [1, 0, 0]]
    with pytest.raises(TableError, match="column 'size' holds 'big' in row 2"):
        recipe.read(put("zip,size\n01,1\n01,big\n", "new.csv"))


@pytest.mark.parametrize(
    ("name", "kind", "was", "new"),
    [
        ("size", "category", "number", "size,zip,day\nbig,x,31/1/2020\n"),
        ("zip", "number", "category", "size,zip,day\n1,2,31/1/2020\n"),
        ("day", "category", "day-first date", "size,zip,day\n1,x,today\n"),
        ("day", "month-first date", "day-first date", "size,zip,day\n1,x,3/1/2020\n"),
    ],
)
def test_a_table_whose_kinds_are_others_than_in_training_is_refused(put, name, kind, was, new):
    recipe = tables.learn(tables.read(put("size,zip,day\n1,x,31/1/2020\n2,y,1/2/2020\n")))
    message = f"column '{name}' was read as a {kind} but was a {was} in training; let the recipe"
    with pytest.raises(TableError, match=message):
        recipe.encode(tables.read(put(new, "new.csv")))
    day = recipe.encode(recipe.read(put("size,zip,day\n1,x,3/1/2020\n", "new.csv"))).matrix()
    iso = tables.read(put("size,zip,day\n1,x,2020-01-03\n", "new.csv"))
    np.testing.assert_array_equal(recipe.encode(iso).matrix(), day)


def test_numbers_far_from_0_keep_their_digits(tmp_path):
    when = 1.7e9 + np.arange(100.0) % 7
    table = column_table(tmp_path, when=when, y=np.arange(100.0))
    recipe = learned(table)
    assert recipe.columns[0].codes[0].shift == np.median(when)
    np.testing.assert_array_equal(recipe.encode(table).matrix()[:, 0], when - np.median(when))


def test_a_recipe_is_plain_data(put):
    recipe = learned(tables.read(put(TRAINED)), missing=["?"])
    text = json.dumps(recipe.to_plain(), allow_nan=False)
    assert Recipe.from_plain(json.loads(text)) == recipe


VALUE = {"code": "value", "fill": 1, "shift": 0, "scale": 1}
ONE_HOT = {"code": "one_hot", "texts": ["a"], "other": False}
NUMBER = {"kind": "number", "name": "a", "codes": [VALUE]}


def test_what_is_no_recipe_is_refused(put):
    plain = learned(tables.read(put(TRAINED))).to_plain()
    for change, message in (
        ({"format": 1}, "has format 1 but must have 2"),
        ({"columns": 3}, "columns must be a list"),
        ({"columns": [{"kind": "date"}]}, "column 0 is missing 'name'"),
        ({"columns": [NUMBER | {"kind": "bool"}]}, "kind must be one of 'number', 'category'"),
        ({"columns": [NUMBER | {"codes": [{"code": "x"}]}]}, "code must be one of 'value', "),
        ({"columns": [NUMBER | {"codes": [{"code": "value", "fill": 1}]}]}, "is missing 'shift'"),
        ({"columns": [NUMBER | {"codes": [VALUE | {"scale": 0}]}]}, "scale must be above 0"),
        ({"columns": [NUMBER | {"codes": [ONE_HOT]}]}, "is a number, but its codes are for"),
        ({"columns": [NUMBER | {"codes": [ONE_HOT | {"texts": [1]}]}]}, "must hold strings; got 1"),
        ({"extra": 1}, "has 'extra'"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            Recipe.from_plain(plain | change)
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd")
    with pytest.raises(ValueError, match="was not made by fastnn train"):
        tables.recipe_of(net)
    net.metadata = {"table": plain}
    with pytest.raises(
        ValueError, match="gives 9 inputs and 1 output, but the network has 2 and 1"
    ):
        tables.recipe_of(net)


def test_columns_that_no_network_takes(put, tmp_path):
    pl.DataFrame({"l": [[1], [2]], "y": [1.5, 2.5]}).write_parquet(tmp_path / "l.parquet")
    with pytest.raises(
        TableError, match=r"'l' \(List\(Int64\)\) cannot be .*; convert it, .* --drop l"
    ):
        learned(tables.read(tmp_path / "l.parquet"))
    with pytest.raises(
        TableError, match="no column to predict 'y' from; ignored columns: 'a' \\(const"
    ):
        learned(tables.read(put("a,y\n1,1\n1,2\n")))
    with pytest.raises(TableError, match="no column to predict 'y' from; ignored columns: none"):
        learned(tables.read(put("y\n1\n2\n")))


def test_remedies_for_data_frames_are_arguments():
    lists = {"x": [1, 2], "l, m": [[1], [2]]}
    with pytest.raises(TableError, match="or leave it out: drop=\\['l, m'\\]"):
        tables.prepare(pl.DataFrame(lists))
    assert tables.prepare(pl.DataFrame(lists), drop=["l, m"]).recipe.kinds == {"x": "number"}


def test_columns_without_information_are_ignored(put):
    text = ",a,empty,day,id,y\n1,x,,2020-01-01,0,1\n2,x,,2020-01-02,1,2\n3,x,,2020-01-03,2,3\n"
    recipe = learned(tables.read(put(text)))
    same = "constant in the training rows"
    none = "no value in the training rows"
    assert recipe.ignored == {"": "row numbers", "a": same, "empty": none}
    weekdays = [f"day={name}" for name in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    assert recipe.names == ["day", *weekdays, "id"]
    big = f"x,kind,big,y\n1,,{2**63},1\n2,,{2**63 + 1},2\n3,,{2**63},3\n"
    ignored = learned(tables.read(put(big), kinds={"kind": "category"})).ignored
    assert ignored == {"kind": none, "big": f"{same}, as rounded to float64"}
    gaps = ",x,y\n3,1,1\n7,2,2\n8,5,1\n"
    assert learned(tables.read(put(gaps))).names == ["x"]
    assert learned(tables.read(put(gaps.replace("7", "2")))).names == ["x"]  # shuffled rows
    for other in (gaps.replace("7", "3"), gaps.replace("7", "7.5"), gaps.replace("7", "")):
        assert "" in learned(tables.read(put(other))).names


# ---- writing ------------------------------------------------------------------------------------

CLASSES = ["plain", 'with "quotes", and a comma', "", " spaced", "two\nlines", "ünï"]
OUTPUTS = np.eye(6, dtype=np.float32)[[1, 0, 2, 3, 4, 5]] * np.float32(0.7) + np.float32(0.1) / 3


@pytest.mark.parametrize("proba", [False, True])
def test_csv_and_json_hold_the_predictions(proba, monkeypatch):
    monkeypatch.setattr(writing, "_BLOCK", 4)
    recipe = Recipe("classification", "a,b", CLASSES, [])
    expected = [CLASSES[i] for i in (1, 0, 2, 3, 4, 5)]
    text = "".join(tables.csv_text(recipe, OUTPUTS, proba))
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["a,b", *(f"a,b={c}" for c in CLASSES if proba)]
    assert [row[0] for row in rows] == expected
    lines = [
        json.loads(line) for line in "".join(tables.json_text(recipe, OUTPUTS, proba)).splitlines()
    ]
    assert [line["a,b"] for line in lines] == expected
    if proba:
        found = np.array([row[1:] for row in rows], np.float32)
        np.testing.assert_array_equal(found, OUTPUTS)
        found = [[line["probabilities"][c] for c in CLASSES] for line in lines]
        np.testing.assert_array_equal(np.array(found, np.float32), OUTPUTS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_written_to_the_last_bit(dtype, rng, tmp_path):
    recipe = Recipe("regression", "y", None, [])
    outputs = (rng.normal(size=(500, 1)) * 10.0 ** rng.integers(-30, 30, (500, 1))).astype(dtype)
    for name in ("p.csv", "p.npy", "p.parquet"):
        tables.write(str(tmp_path / name), recipe, outputs)
    texts = (tmp_path / "p.csv").read_text().splitlines()[1:]
    lines = [
        json.loads(line)["y"] for line in "".join(tables.json_text(recipe, outputs)).splitlines()
    ]
    parquet = pl.read_parquet(tmp_path / "p.parquet")["y"].to_numpy()
    for found in (
        np.array(texts, dtype),
        np.array(lines, dtype),
        np.load(tmp_path / "p.npy"),
        parquet,
    ):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, outputs[:, 0])


def test_classes_in_binary_files(tmp_path):
    outputs = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    for classes, kind in ((["no", "yes"], "U"), ([0, 1], "i"), ([0.5, 2], "f")):
        recipe = Recipe("classification", "y", classes, [])
        tables.write(str(tmp_path / "p.npy"), recipe, outputs)
        found = np.load(tmp_path / "p.npy")
        assert (found.dtype.kind, found.tolist()) == (kind, [classes[1], classes[0]])
    tables.write(str(tmp_path / "p.npy"), recipe, outputs, proba=True)
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), outputs)
    tables.write(str(tmp_path / "p.parquet"), recipe, outputs, proba=True)
    assert pl.read_parquet(tmp_path / "p.parquet").to_dict(as_series=False) == {
        "y": [2, 0.5], "y=0.5": [0.25, 0.5], "y=2": [0.75, 0.5]
    }  # fmt: skip


def test_deviations_have_names_of_their_own(tmp_path):
    recipe, outputs = Recipe("classification", "y", ["a", "a_std"], []), np.eye(2)
    text = "".join(writing.csv_text(recipe, outputs, True, outputs))
    names = ["y", "y=a", "y=a_std", "y=a__std", "y=a_std__std"]
    assert text.splitlines()[0].split(",") == names
    tables.write(str(tmp_path / "p.parquet"), recipe, outputs, True, outputs)
    assert pl.read_parquet(tmp_path / "p.parquet").columns == names


@pytest.mark.parametrize("target", ["probabilities", "probabilities_std"])
def test_a_target_named_like_a_key_of_json_keeps_its_key(target):
    recipe, outputs = Recipe("classification", target, ["a", "b"], []), np.eye(2)
    for line in "".join(tables.json_text(recipe, outputs, True, outputs)).splitlines():
        (first, found), *others = json.loads(line, object_pairs_hook=list)
        assert (first, found in ("a", "b")) == (target, True)
        assert [key for key, _ in others] == ["_probabilities", "_probabilities_std"]


def test_paths_that_cannot_be_written(tmp_path):
    for path, kind, message in (
        ("p.txt", TableError, "must end with '.csv', '.parquet' or '.npy'"),
        ("no/p.csv", TableError, "does not exist; create it"),
        ("folder.csv", OSError, "Not a regular file"),
    ):
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        with pytest.raises(kind, match=message):
            tables.check_place(str(tmp_path / path), tables.WRITTEN)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]
