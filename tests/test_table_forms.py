"""Text files as programs write them, and values by what they mean: encodings, separators, spelling.

Tests that a file that another program wrote is read as the same table as its plain twin, that what
was assumed is noted, and that a value is recognized whichever way it is spelled in training and in
prediction. Not here: how columns are encoded (test_tables.py), data frames (test_table_frames.py).
"""

import bz2
import csv
import lzma
import re
import zipfile

import numpy as np
import polars as pl
import pytest

from fastnn import tables
from fastnn.tables import Recipe, TableError
from fastnn.tabular import dates, numbers, spelling

PLAIN = "größe,stadt,preis\n1.5,Köln,10\n-2,Bonn,20\n,,30\n1234.5,Trier,40\n"


def values(table):
    """The columns of a table as lists."""
    found = {}
    for name, column in table.columns.items():
        if column.kind == "category":
            found[name] = [None if i < 0 else column.texts[i] for i in column.values.tolist()]
        else:
            found[name] = [None if np.isnan(v) else v for v in column.values.tolist()]
    return found


@pytest.fixture
def read(tmp_path):
    """A function that reads text or bytes as a file of some name."""

    def of(content, name="few.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tables.read(path, **options)

    return of


@pytest.fixture
def expected(read):
    return values(read(PLAIN, "plain.csv"))


# ---- encodings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "read as UTF-16"),
        ("utf-16-le", "read as UTF-16-LE"),
        ("utf-16-be", "read as UTF-16-BE"),
        ("utf-32", "read as UTF-32"),
        ("latin-1", "is not UTF-8 text; it was read as WINDOWS-1252"),
        ("cp1252", "is not UTF-8 text; it was read as WINDOWS-1252"),
    ],
)
def test_the_encoding_is_detected_and_noted(read, expected, encoding, note):
    table = read(PLAIN.encode(encoding))
    assert values(table) == expected
    assert [note in found for found in table.notes] == ([] if note is None else [True])


def test_an_accent_far_from_the_first_line_is_found(read):
    table = read("a,b\n" + "x,1\n" * 40_000 + "é,2\n", only=["b"])
    assert table.n == 40_001
    content = b"a,b\n" + b"x,1\n" * 40_000 + "é,2\n".encode("latin-1")
    table = read(content)
    assert table.columns["a"].texts == ["x", "é"]
    assert len(table.notes) == 1


def test_an_encoding_may_be_stated(read, expected):
    table = read(PLAIN.encode("utf-16-be"), encoding="utf-16-be")
    assert (values(table), table.notes) == (expected, [])
    assert read("a\nж\n".encode("koi8-r"), encoding="koi8-r").columns["a"].texts == ["ж"]
    with pytest.raises(TableError, match="is not ASCII text; name another --encoding, or leave"):
        read(PLAIN, encoding="ascii")
    for content in ("a,b\n1,2\n", "a,b\n1,22\n"):  # the first would be four characters of UTF-16
        with pytest.raises(TableError, match="is not UTF-16 text; name another --encoding, or lea"):
            read(content, encoding="utf-16")
    with pytest.raises(TableError, match="is not UTF-16 text; name its encoding: --encoding NAME"):
        read("\ufeffa\n1\n".encode("utf-16-le") + b"x")  # marked as UTF-16, and damaged
    with pytest.raises(ValueError, match=r"encoding must be a text encoding .*; got 'utf-9'"):
        read(PLAIN, encoding="utf-9")
    with pytest.raises(ValueError, match="must be a text encoding"):
        read(PLAIN, encoding="base64")


def test_a_byte_that_is_not_utf8_below_names_that_are(read):
    content = "größe,b\n".encode() + b"1,x\n" * 40_000 + b"2,\xe9\n"
    message = r"has the byte 0xe9 in line 40002, which is not UTF-8 .*: --encoding NAME"
    with pytest.raises(TableError, match=message):
        read(content)
    assert len(read(content, encoding="latin-1").columns) == 2


# ---- separators and the first line --------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["few.csv", "few.txt", "few.dat", "few.data"])
def test_the_separator_is_detected(read, expected, separator, name):
    assert values(read(PLAIN.replace(",", separator), name)) == expected


def test_columns_that_spaces_separate(read):
    text = "size   town\n 1.5  Köln\n-2\t\tBonn\n 3   'x'\n"
    assert values(read(text, "few.txt")) == {"size": [1.5, -2, 3], "town": ["Köln", "Bonn", "'x'"]}
    quoted = 'size town\n1 "New York"\n2 Bonn\n'
    found = read(quoted, separator="space")
    assert values(found)["town"] == ["New York", "Bonn"]


def test_a_separator_may_be_stated(read):
    assert list(read("a;b,c\n1;2,3\n", separator=";").columns) == ["a", "b,c"]
    assert list(read("a;b,c\n1;2,3\n", separator=",").columns) == ["a;b", "c"]
    assert list(read("a:b\n1:2\n", separator=":").columns) == ["a", "b"]
    assert list(read("a\tb\n1\t2\n", separator="tab").columns) == ["a", "b"]
    with pytest.raises(ValueError, match="separator must be one character"):
        read("a\n", separator=",,")


def test_a_stated_separator_counts_whatever_the_ending_says(read):
    for name in ("a.tsv", "a.tab", "a.tsv.txt"):
        assert values(read("a;b\n1;2\n", name, separator=";")) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_blank_lines_are_no_rows(read, end, name):
    lines = ["", "a,b", "", "1,x", "  ", ",", '3,"y', "", 'z"', "", ""]
    separator = {"a.csv": ",", "a.tsv": "\t", "a.txt": ";"}[name]
    content = end.join(lines).replace(",", separator).encode()
    text = read(content, name)
    assert text.n == 3
    assert values(text)["a"] == [1, None, 3]
    assert [v and v.split() for v in values(text)["b"]] == [["x"], None, ["y", "z"]]
    one = read(content, name, only=["a"])
    assert values(one)["a"] == [1, None, 3]
    new = end.join(["", "1,2", "", "3,4", ""]).replace(",", separator).encode()
    assert values(read(new, name, header=False)) == {"0": [1, 3], "1": [2, 4]}


def test_a_blank_line_of_a_single_column_is_a_missing_value(read):
    assert values(read("a\n1\n\n2\n")) == {"a": [1, None, 2]}
    with pytest.raises(TableError, match="has no rows"):
        read("a,b\n\n\n")


def test_blank_lines_beside_a_long_field_are_no_rows(read):
    limit = csv.field_size_limit()
    assert read(f"a,b\n1,{'x' * 200_000}\n\n2,\n").n == 2
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_line_ends_of_old_macs(read, encoding, expected):
    content = PLAIN.replace("\n", "\r").encode(encoding)
    assert values(read(content)) == expected


def test_a_separator_in_texts_is_not_taken_for_one(read):
    assert list(read("id,genres\n1,a|b\n2,c|d\n").columns) == ["id", "genres"]
    assert list(read('"a;b",c\n"x;y",2\n').columns) == ["a;b", "c"]


def test_row_names_of_r_have_no_name(read):
    table = read('"size" "town"\n"1" 1.5 "Bonn"\n"2" 2 "Köln"\n', "r.txt")
    assert values(table) == {"": [1, 2], "size": [1.5, 2], "town": ["Bonn", "Köln"]}
    assert table.notes[0].endswith("has no name")


def test_a_name_with_a_line_break_is_one_name(read):
    table = read('id,"size\nin cm",y\n1,2,3\n4,5,6\n')
    assert values(table) == {"id": [1, 4], "size\nin cm": [2, 5], "y": [3, 6]}


def test_rows_may_end_with_a_separator(read):
    table = read('a;b;y\n1;"x;\n";2;\n3;z;;\n', "few.txt")
    assert values(table) == {"a": [1, 3], "b": ["x;", "z"], "y": [2, None]}
    assert table.notes[0].startswith("ignored the separator at the end of the rows of ")
    rows = "1,a,2,\n" * 60
    with pytest.raises(TableError, match="has 4 fields in line 62, but 3 names"):
        read(f"a,b,y\n{rows}3,z,4,5\n")


def test_a_name_like_those_that_polars_gives_is_no_repetition(read):
    assert values(read("x,x_duplicated_0\n1,2\n")) == {"x": [1], "x_duplicated_0": [2]}
    with pytest.raises(TableError, match="has two columns 'x'; rename"):
        read("x,x_duplicated_1,x\n1,2,3\n")


def test_a_file_without_names(read):
    table = read("1.5,a\n2.5,b\n", header=False)
    assert values(table) == {"0": [1.5, 2.5], "1": ["a", "b"]}
    found = read("1.5,a\n2.5,b\n3,c\n4,d\n")
    assert list(found.columns) == ["1.5", "a"]
    for rows in ("1.5,2,x\n2.5,4,y\n", "1,x,1\n2,y,2\n"):
        found = read(rows)
        assert (list(found.columns), found.n) == (["0", "1", "2"], 2)
        assert found.notes[0].endswith("is a row of numbers; the columns are called '0', '1', ...")
    (note,) = read("2001,2002,x\n2.5,4,y\n").notes
    assert "holds numbers, which are taken as column names; if it is a row: --no-h" in note


def test_files_of_weka_and_keel(read):
    text = """% a comment
@RELATION few
@attribute 'the size' real [0, 9]
@attribute town {Bonn, 'New York'}
@inputs size
@data
1.5, Bonn
% another
?, 'New York'
"""
    for name in ("few.arff", "few.dat"):
        assert values(read(text, name)) == {"the size": [1.5, None], "town": ["Bonn", "New York"]}


def test_fields_of_weka(read):
    head = "@relation few\n@attribute size real\n@attribute town string\n@data\n"
    rows = """1,?\n 2 , "Land's End, UK"\n3,'O\\'Hara'\n4,'?'\n5,6" pipe\n"""
    table = read(head + rows, "few.arff")
    assert values(table)["size"] == [1, 2, 3, 4, 5]
    assert values(table)["town"] == [None, "Land's End, UK", "O'Hara", "?", '6" pipe']
    with pytest.raises(TableError, match="is a sparse ARFF file"):
        read(head + "{0 1, 1 x}\n", "few.arff")
    quoted = head.replace("size", r"'Anna\'s \"size\"'").replace("town", r'"a \" b"')
    assert [*read(quoted + "1,x\n", "few.arff").columns] == ['Anna\'s "size"', 'a " b']


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("few.arff", "%\n@relation r\n\n@attribute a real\n@attribute b real\n@data\n\n1,2\n%\n1\n",
         "has 1 field in line 10, but 2 @attributes; correct the line"),
        ("few.dat", "@relation r\r\n@attribute a real\r\n@data\r\n1\r\n1,2\r\n",
         "has 2 fields in line 5, but 1 @attribute; correct the line"),
        ("few.csv", "sep=;\na;b\n1;2\n1;2;3\n", "has 3 fields in line 4, but 2 names in line 2;"),
        ("few.csv", "sep=;\na;b\n1;2\n1\n", "has 1 field in line 4, but 2 names in line 2;"),
        ("few.csv", "\n\n1.5,2.5\n1.5,2,3\n", "has 3 fields in line 4, but 2 in line 3;"),
        ("few.csv", "1.5,2.5\n1.5,2,3\n", "has 3 fields in line 2, but 2 in its first line;"),
        ("few.txt", "a b\n" + "\n1 2\n" * 60 + "1 2 3\n", "has 3 fields in line 122, but 2 names"),
    ],
)  # fmt: skip
def test_lines_are_counted_as_in_the_file(read, name, content, message):
    with pytest.raises(TableError, match=message):
        read(content, name)


@pytest.mark.parametrize("ending", ["bz2", "xz", "zip"])
def test_compressed_files(read, expected, tmp_path, ending):
    if ending == "zip":
        with zipfile.ZipFile(tmp_path / "few.zip", "w") as archive:
            archive.writestr("few.csv", PLAIN)
        content = (tmp_path / "few.zip").read_bytes()
    else:
        content = {"bz2": bz2, "xz": lzma}[ending].compress(PLAIN.encode())
    assert values(read(content, f"few.csv.{ending}")) == expected


def test_files_of_arrow_and_json_lines(expected, tmp_path):
    frame = pl.DataFrame(expected)
    frame.write_ipc(tmp_path / "few.arrow")
    frame.write_ndjson(tmp_path / "few.jsonl")
    (tmp_path / "bom.jsonl").write_text(frame.write_ndjson(), encoding="utf-8-sig")
    for name in ("few.arrow", "few.jsonl", "bom.jsonl"):
        assert values(tables.read(tmp_path / name)) == expected


def test_a_path_is_no_pattern(tmp_path):
    for name, number in (("a[1]", 1), ("a1", 2)):
        frame = pl.DataFrame({"a": [number]})
        with open(tmp_path / f"{name}.arrow", "wb") as file:
            frame.write_ipc(file)
        with open(tmp_path / f"{name}.parquet", "wb") as file:
            frame.write_parquet(file)
        (tmp_path / f"{name}.jsonl").write_text(frame.write_ndjson())
    for ending in ("arrow", "parquet", "jsonl"):
        assert values(tables.read(tmp_path / f"a[1].{ending}")) == {"a": [1]}


def test_every_row_of_json_lines_decides_the_columns(tmp_path):
    path = tmp_path / "few.jsonl"
    path.write_text('{"a": 1}\n' * 200 + '{"a": 1.5, "b": "x"}\n')
    table = tables.read(path)
    assert (table.columns["a"].values[-1], table.columns["b"].texts) == (1.5, ["x"])


# ---- numbers ------------------------------------------------------------------------------------


def test_endings_in_capital_letters(read, expected, tmp_path):
    frame = pl.read_csv(PLAIN.encode())
    frame.write_parquet(tmp_path / "A.PARQUET")
    frame.write_ndjson(tmp_path / "A.JSONL")
    with open(tmp_path / "A.NPZ", "wb") as file:
        np.savez(file, a=[1.5])
    for name in ("A.PARQUET", "A.JSONL"):
        assert values(tables.read(tmp_path / name)) == expected
    assert values(tables.read(tmp_path / "A.NPZ")) == {"a": [1.5]}
    with pytest.raises(TableError, match="is a workbook; save the sheet as CSV"):
        read(b"", "A.XLSX")


def test_decimal_commas_are_detected_and_noted(read):
    table = read("a;b;c\n1,5;1.234;x\n-2;2.345,5;y\n.;;z\n")
    assert values(table) == {"a": [1.5, -2, None], "b": [1234, 2345.5, None], "c": ["x", "y", "z"]}
    assert table.notes[0].endswith("few.csv have decimal commas")
    assert values(read('a,b\n"1,5",x\n"2,5",y\n'))["a"] == [1.5, 2.5]
    assert values(read("a;b\n1,5;1.25\n2;3.5\n"))["b"] == [1.25, 3.5]


def test_thousands_are_no_decimals_beside_numbers_with_points(read):
    table = read("price\tweight\n8,840\t0.977\n977\tN/A\n", "few.tsv")
    assert values(table) == {"price": [8840, 977], "weight": [0.977, None]}
    assert values(read("price;cost\n4,321;1,333.33\n"))["price"] == [4321]
    assert values(read("price;cost\n4,321;1.333\n")) == {"price": [4.321], "cost": [1333]}


def test_points_that_can_only_separate_thousands_do_so(read, tmp_path):
    table = read("town;people\nBonn;331.885\nRome;2.761.632\nUlm;900\n")
    assert values(table)["people"] == [331885, 2761632, 900]
    assert (table.decimal, table.thousands) == (",", {"people": True})
    assert table.notes[0].endswith("few.csv have points between thousands")
    recipe = tables.learn(table)
    (tmp_path / "new.csv").write_text("people;town\n331.885;Bonn\n")
    assert recipe.read(tmp_path / "new.csv").columns["people"].values == [331885]
    assert read("town,people\nBonn,331.885\nRome,2.761.632\n").decimal == "."
    text = "a;b\n0.977;1.234.567\n1.5;2.345.678\n"  # a needs its points
    assert values(read(text)) == {"a": [0.977, 1.5], "b": ["1.234.567", "2.345.678"]}
    many = "".join(f"{i / 1000 + 1:.3f};x\n" for i in range(3000)) + "1.234.567;x\n"
    assert values(read("a;b\n" + many))["a"][:1] == [1000]


def test_the_decimal_point_is_that_of_training(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = read("a;b\n1,5;x\n2,25;y\n")
    recipe = tables.learn(table)
    assert (table.decimal, recipe.decimal) == (",", ",")
    assert Recipe.from_plain(recipe.to_plain()) == recipe
    read("a;b\n1.234;x\n", "new.csv")
    for options, number in (({}, 1234), ({"decimal": "."}, 1.234)):
        assert recipe.read("new.csv", **options).columns["a"].values.tolist() == [number]
    recipe = tables.learn(read("a;b\n1.5;x\n2;y\n"))
    read("a;b\n1,5;x\n", "new.csv")
    with pytest.raises(TableError, match=r"state the decimal point of this file: --decimal ,$"):
        recipe.read("new.csv")
    plain = recipe.to_plain()
    with pytest.raises(ValueError, match="decimal must be one of"):
        Recipe.from_plain(plain | {"decimal": ";"})
    del plain["decimal"]  # as in older files
    assert Recipe.from_plain(plain).read("new.csv").columns["a"].values.tolist() == [1.5]


def test_whether_points_separate_thousands_is_as_in_training(read):
    """A row has the same numbers alone in a file as among others."""
    rows = ["47.5;20,5;1.000", "48.075;121,7;2.500.000", "50.963;73,9;3.000,5", "51.123;8;4.000"]
    header = "lat;area;many\n"
    table = read(header + "\n".join(rows) + "\n")
    recipe = tables.learn(table)
    assert recipe.thousands == {"lat": False, "area": True, "many": True}
    assert Recipe.from_plain(recipe.to_plain()) == recipe
    for i, row in enumerate(rows):
        one = read(header + row + "\n", "one.csv", decimal=",").path
        np.testing.assert_array_equal(recipe.inputs(one), recipe.inputs(table)[[i]])
    one = read(header + "48.075;1.234;5.5\n", "one.csv", decimal=",").path
    assert values(recipe.read(one)) == {"lat": [48.075], "area": [1234], "many": [5.5]}
    plain = recipe.to_plain()
    del plain["thousands"]  # as in older files: the texts of each file decide
    assert values(Recipe.from_plain(plain).read(one))["lat"] == [48075]
    for bad in ([], {"lat": 1}):
        with pytest.raises(TypeError, match=r"the recipe's thousands.* must be"):
            Recipe.from_plain(plain | {"thousands": bad})


def test_a_decimal_comma_may_be_stated(read):
    text = "a;b\n1.234;1\n5.678;2\n"
    assert values(read(text))["a"] == [1.234, 5.678]
    assert values(read(text, decimal=","))["a"] == [1234, 5678]
    with pytest.raises(ValueError, match=r"decimal must be one of '\.', ','; got ';'"):
        read(text, decimal=";")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234", 1234), ("1,234,567.5", 1234567.5), ("$1,200", 1200), ("-5 €", -5), ("12%", 12),
     ("1 234", 1234), ("1'234.5", 1234.5), ("1e3", 1000), ("+.5", 0.5), ("0,123", None),
     ("1\u202f234", 1234), ("1\u00a0234", 1234), ("1\u2009234", 1234), ("1\u2019234", 1234),
     ("\u22120.5", -0.5), ("(0.09)", -0.09), ("($1,234.50)", -1234.5), ("(-5)", None),
     ("-$5", -5), ("$-5", -5), ("€ -1,200.5", -1200.5), ("$+5", 5), ("-$-5", None), ("($-5)", None),
     ("1,23", None), ("1_000", None), ("12 kg", None), ("", None), ("1-2", None)],
)  # fmt: skip
def test_numbers_with_separators_units_and_signs(text, number):
    (found,) = numbers.numbers_of([text], ".")
    assert found == number if number is not None else np.isnan(found)


def test_texts_among_numbers_count_as_missing_and_are_noted(read):
    table = read("a,b\n1,x\n?,?\n3,y\n")
    assert values(table) == {"a": [1, None, 3], "b": ["x", "?", "y"]}
    assert table.notes == ["read '?' as missing in column 'a'"]
    table = read("a,b,c\n1,-,1\n?,2,?\n3,4,3\n")
    assert table.notes == ["read '?' as missing in columns 'a', 'c'",
                           "read '-' as missing in column 'b'"]  # fmt: skip
    assert values(read("a\n-\nUnknown\n2\n"))["a"] == [None, None, 2]


# ---- spelling -----------------------------------------------------------------------------------


def test_a_column_of_marks_is_missing_where_numbers_are_wanted(read):
    table = read("a,b\n?,1\n?,2\n", kinds={"a": "number"})
    assert values(table)["a"] == [None, None]


def test_texts_that_spell_one_value_are_one(read):
    table = read("a,b,c\nTRUE,1.0,Yes\ntrue,1,yes\nfalse,2.50,no\nFalse,2.5,no\n",
                 kinds={"b": "category"})  # fmt: skip
    assert values(table) == {
        "a": ["true", "true", "false", "false"],
        "b": ["1", "1", "2.5", "2.5"],
        "c": ["Yes", "yes", "no", "no"],
    }
    assert values(read("a\nTrue\nFalse\n"))["a"] == ["True", "False"]
    assert values(read("a\n01\n1\n", kinds={"a": "category"}))["a"] == ["01", "1"]


@pytest.mark.parametrize(
    ("known", "new", "index"),
    [
        (["false", "true"], ["True", "TRUE", "1", "1.0", "yes", "t"], 1),
        (["0", "1"], ["true", "1.0", "True", "+1"], 1),
        (["no", "yes"], ["True", "1", "Y"], 1),
        (["1.0", "2.0"], ["2", "2.00", "2."], 1),
        (["01", "02"], ["2", "2.0", "02"], 1),
        (["a", "b"], ["B", "1", "true"], None),
        (["0", "1", "2"], ["true"], None),
        (["01", "1"], ["1"], 1),
        (["1", "1.0"], ["1.00"], None),
        (["-0"], ["0"], 0),
    ],
)
def test_a_known_value_is_recognized_in_any_spelling(known, new, index):
    lookup = spelling.Lookup(known)
    assert [lookup(text) for text in new] == [index] * len(new)


def test_bools_and_whole_numbers_agree_between_kinds_of_files(read, tmp_path):
    text = "member,zip,x,y\nTrue,1.0,0,1\nFalse,2.0,1,2\nTrue,2.0,1,4\n"
    recipe = tables.prepare(read(text, kinds={"zip": "category"}), "y").recipe
    expected = recipe.inputs(tmp_path / "few.csv")
    member, x = [True, False, True], [False, True, True]
    frame = pl.DataFrame({"member": member, "zip": [1, 2, 2], "x": x})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.with_columns(pl.col("member").cast(int), pl.col("x").cast(str)).write_csv(
        tmp_path / "t.csv"
    )
    np.savez(tmp_path / "t.npz", **{name: frame[name].to_numpy() for name in frame.columns})
    for name in ("t.parquet", "t.csv", "t.npz"):
        np.testing.assert_array_equal(recipe.inputs(tmp_path / name), expected)
    np.testing.assert_array_equal(recipe.inputs(frame), expected)


# ---- dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2020-01-31", "2020-01-31"),
        ("2020/1/31 7:05", "2020-01-31T07:05"),
        ("2020-01-31T10:00:00.5Z", "2020-01-31T10:00:00.5"),
        ("2020-01-31 10:00:00+02:00", "2020-01-31T10:00"),
        ("1/31/2020", "2020-01-31"),
        ("1/31/20 11:59 PM", "2020-01-31T23:59"),
        ("31.1.1999", "1999-01-31"),
        ("31-Jan-69", "1969-01-31"),
        ("31 January 2020", "2020-01-31"),
        ("Jan 31, 2020", "2020-01-31"),
        ("2020-02-30", None),
        ("31-Foo-2020", None),
        ("2020-01-01 24:00", "2020-01-02"),
        ("2016-12-31 23:59:60", "2017-01-01"),
        ("2020-01-01 24:01", None),
        ("2020-01-01 25:00", None),
        ("2020-01-01 10:60", None),
        ("2020-01-01 10:00:61", None),
        ("1/31/2020 13:00 PM", None),
        ("1/31/2020 0:30 AM", None),
        ("1/31/2020 12:30 AM", "2020-01-31T00:30"),
    ],
)
def test_dates_in_many_forms(text, iso):
    matches = dates.matched([text])
    (found,) = dates.seconds_of(matches, dates.is_day_first(matches))
    if iso is None:
        assert np.isnan(found)
    else:
        assert found == np.datetime64(iso, "ms").astype(float) / 1000


def test_the_order_of_day_and_month_is_that_of_training(read):
    assert read("d\n1/2/2020\n13/2/2020\n").columns["d"].kind == "day-first date"
    assert read("d\n1/2/2020\n2/13/2020\n").columns["d"].kind == "month-first date"
    assert read("d\n1.2.2020\n").columns["d"].kind == "day-first date"
    recipe = tables.prepare(read("d,y\n1/2/2020,1\n13/2/2020,2\n"), "y", standardize=False).recipe
    day = recipe.inputs(read("d\n2/2/2020\n", kinds=recipe.kinds))
    first = recipe.inputs({"d": ["1/2/2020"]})
    assert day[0, 0] - first[0, 0] == 1
    with pytest.raises(TableError, match="'d' holds '1/13/2020' in row 1 but must hold dates"):
        recipe.inputs({"d": ["1/13/2020"]})


def test_a_guessed_order_of_day_and_month_is_a_note(read):
    (note,) = read("d,e\n2/2/2020,x\n08/02/2020,y\n").notes
    assert note == (
        "column 'd' holds dates such as '08/02/2020', and no value shows whether the day or the "
        "month is first; they were read with the month first; if the day is first, state it in "
        "training: --day-first d"
    )
    (note,) = tables.read({"d": ["2/2/2020"]}).notes
    assert note.endswith(
        "; if the day is first, state it in training: kinds={'d': 'day-first date'}"
    )
    for text in ("1.2.2020", "1-2-2020", "1/2/2020\n1/13/2020", "1/2/2020\n13/1/2020",
                 "2020-02-01", "2020/02/01", "Feb 1 2020"):  # fmt: skip
        assert read(f"d\n{text}\n").notes == []
    for kind in ("day-first date", "month-first date"):
        assert read("d\n1/2/2020\n", kinds={"d": kind}).notes == []


def test_a_date_in_the_other_order_says_how_to_state_that_order(read):
    for first, other, text in (("month", "day", "25/12/2020"), ("day", "month", "12/25/2020")):
        kinds = {"d": f"{first}-first date"}
        holds = f": column 'd' holds '{text}' in row 2 but must hold dates with the {first} first; "
        remedy = f"correct the value, or, if the {other} is first, state it in training: "
        with pytest.raises(TableError, match=re.escape(f"{holds}{remedy}--{other}-first d")):
            read(f"d\n1/2/2020\n{text}\n", kinds=kinds)
        stated = f"kinds={ {'d': f'{other}-first date'} }"
        with pytest.raises(TableError, match=re.escape(f"{holds}{remedy}{stated}")):
            tables.read({"d": ["1/2/2020", text]}, kinds=kinds)
        with pytest.raises(TableError, match=f"the {first} first; correct the value, or leave it "):
            read("d\n32/32/2020\n", kinds=kinds)


def test_a_column_that_was_not_read_is_no_target():
    frame = {"a": [1.0, 2.0], "y": [1.0, 2.0]}
    with pytest.raises(TableError, match="column 'y' was not read; remove it from drop, or add"):
        tables.prepare(frame, "y", drop=["y"])


def test_new_dates_say_themselves_which_order_they_have_if_training_left_it_open(read):
    iso = tables.prepare(read("d,y\n2020-02-05,1\n2020-12-31,2\n"), "y").recipe
    typed = tables.prepare({"d": np.array(["2020-02-05", "2020-12-31"], "M8[D]"), "y": [1, 2]}, "y")
    message = re.escape(
        "holds '2/5/2020' in row 1, but neither this date nor the training rows show whether the "
        "day or the month is first; write it with the year first, as in 2020-01-31, or, if the day "
        "is first, state it in training: kinds={'d': 'day-first date'}"
    )
    for recipe in (iso, typed.recipe):
        assert recipe.kinds == {"d": "date"}
        expected = recipe.inputs({"d": ["2020-02-05", "2020-12-31", "2020-03-03"]})
        for new in (
            ["05.02.2020", "31.12.2020", "3/3/20"],
            ["Feb 5, 2020", "12/31/2020", "3.3.20"],
        ):
            np.testing.assert_array_equal(recipe.inputs({"d": new}), expected)
        for new in (["2/5/2020"], ["2/5/2020", "12/31/2020"], ["2/5/2020", "31/12/2020"]):
            with pytest.raises(TableError, match=message):
                recipe.inputs({"d": new})
    american = tables.prepare(read("d,y\n02-05-2020,1\n12-31-2020,2\n"), "y").recipe
    new = american.inputs({"d": ["02-05-2020"]})  # German by itself, but training was American
    np.testing.assert_array_equal(new, american.inputs({"d": ["2020-02-05"]}))
    for kind, iso_date in (("day-first date", "2020-02-01"), ("month-first date", "2020-01-02")):
        (stated,) = tables.read({"d": ["1/2/2020"]}, kinds={"d": kind}).columns["d"].values
        assert stated == np.datetime64(iso_date, "s").astype(float)


def test_inputs_of_a_date(read):
    text = "d,y\n2024-01-01 06:00,1\n2024-02-06 12:00,2\n2024-03-13 18:00,3\n,4\n"
    recipe, X, _ = tables.prepare(read(text), "y", standardize=False)
    months = [f"d={m}" for m in ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
                                 "Oct", "Nov", "Dec")]  # fmt: skip
    days = [f"d={d}" for d in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    assert recipe.names == ["d", *months, *days, "d=sin(time)", "d=cos(time)", "d=(missing)"]
    assert X[:, 0].tolist() == [-36.25, 0, 36.25, 0]
    assert X[:, 1:13].argmax(axis=1).tolist()[:3] == [0, 1, 2]
    assert X[:, 13:20].argmax(axis=1).tolist()[:3] == [0, 1, 2]
    np.testing.assert_allclose(X[:, 20], [1, 0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(X[:, 21], [0, -1, 0, 0], atol=1e-6)
    assert X[3, 1:].tolist() == [0] * 21 + [1]
    assert recipe.is_measured.tolist() == [True] + [False] * 22


# ---- names of columns ---------------------------------------------------------------------------


def test_column_names_match_regardless_of_case_and_punctuation(read):
    recipe = tables.prepare(read("Living Area,town,y\n1,a,1\n2,b,2\n"), "y").recipe
    table = recipe.read({"living_area": [1], "TOWN": ["a"], "town2": ["b"]})
    assert table.notes == ["took column 'living_area' for 'Living Area'",
                           "took column 'TOWN' for 'town'"]  # fmt: skip
    assert table.others == ["town2"]
    four = tables.prepare({name: [1, 2] for name in "abcd"}).recipe
    assert four.read({name: [1] for name in "DCBA"}).notes == [
        "took columns regardless of case, spaces and punctuation: 'A' for 'a' and so on"
    ]
    with pytest.raises(TableError, match="no column 'town'; did you mean 'Town'"):
        recipe.read({"living_area": [1], "TOWN": ["a"], "Town": ["b"]})
    with pytest.raises(TableError, match="did you mean 'livin area' for 'Living Area', 'tonw' for"):
        recipe.read({"livin area": [1], "tonw": ["a"]})


def test_many_numbers_before_it_do_not_hide_a_decimal_comma(read):
    thousands = [f"{1 + i // 1000}.{i % 1000:03}" for i in range(1500)]
    rest = ["1,5", "2.345,75"]
    for texts in (thousands + rest, rest + thousands):
        table = read("a;b\n" + "".join(f"{text};x\n" for text in texts))
        assert table.decimal == ","
        found = dict(zip(texts, table.columns["a"].values.tolist(), strict=True))
        assert (found["1,5"], found["2.345,75"], found["1.001"]) == (1.5, 2345.75, 1001)
    whole = [str(i) for i in range(1500)]
    for texts in (["1,5", *whole], [*whole, "1,5"]):
        table = read("a;b\n" + "".join(f"{text};x\n" for text in texts))
        assert sorted(table.columns["a"].values)[:3] == [0, 1, 1.5]
    names = [*(f"name {i}" for i in range(1500)), "1,5"]  # no column of numbers
    assert read("a;b\n" + "".join(f"{text};1.5\n" for text in names)).decimal == "."


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [*",;\t|"])
def test_a_first_line_for_excel_states_the_separator(read, separator, end):
    lines = [f"sep={separator}", *(separator.join(row) for row in ("ab", "1x", "2y"))]
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        table = read((end.join(lines) + end).encode(encoding))
        assert values(table) == {"a": [1, 2], "b": ["x", "y"]}


def test_almost_numbers_may_have_the_other_decimal_point(read):
    text = "a,b\n" + "".join(f"{i},{i}.25\n" for i in range(30)) + '1,"1,25"\n'
    for options in ({"decimal": "."}, {"decimal": ".", "kinds": {"b": "number"}}):
        with pytest.raises(TableError, match=r"'1,25' in row 31.*of this file: --decimal ,$"):
            read(text, **options)


def test_columns_of_a_matrix_are_matched_by_position(tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 12))
    X[:, 3] = 1  # constant, so no input
    np.savez(tmp_path / "t.npz", X=X, y=X[:, 0])
    np.save(tmp_path / "t.npy", X)
    np.savez(tmp_path / "u.npz", data=X)
    recipe = tables.prepare(tmp_path / "t.npz", "y").recipe
    expected = recipe.inputs(tmp_path / "t.npz")
    for new in (tmp_path / "t.npy", tmp_path / "u.npz", X):
        np.testing.assert_array_equal(recipe.inputs(new), expected)
    assert recipe.read(X).notes == ["took columns by position: 'x0' for 'X0' and so on"]
    np.save(tmp_path / "t.npy", X[:, :11])
    with pytest.raises(TableError, match="has no columns 'X0'"):
        recipe.inputs(tmp_path / "t.npy")
    with pytest.raises(TableError, match="has no columns 'X0'"):  # names, not places
        recipe.inputs({f"v{j}": X[:, j] for j in range(12)})


# ---- many texts ---------------------------------------------------------------------------------


def test_rare_texts_share_an_input_and_names_are_left_out(read):
    rows = "".join(f"n{i},i{i % 40 if i < 500 else i % 7},{i % 2}\n" for i in range(1000))
    table = read("name,item,y\n" + rows)
    recipe = tables.learn(table, "y", max_categories=7)
    assert recipe.ignored == {"name": "names: most texts occur once"}
    assert recipe.names == [*(f"item=i{j}" for j in range(7)), "item=(other)"]
    X = recipe.inputs({"item": ["i3", "i39", "never"]})
    assert X.argmax(axis=1).tolist() == [3, 7, 7]
    assert X.sum(axis=1).tolist() == [1, 1, 1]
