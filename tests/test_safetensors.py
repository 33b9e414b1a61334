"""Model files: safe to read with any contents, and safe to write when interrupted.

Tests that what is written can be read, here and by the official package; that every malformed file
raises a ModelFileError before anything large is allocated; and that a file that is being replaced
is always either the old file or the new one.

Not here: what networks write into their files.
"""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import tracemalloc

import numpy as np
import pytest
from conditions import LONG, call_at
from mutating import (
    DATA,
    HEADER,
    KINDS,
    Scratch,
    equal,
    fuzz_containers,
    in_bytes,
    joined,
    some_tensors,
    split,
)

from fastnn import _files
from fastnn.exchange.safetensors import ModelFileError, encode, read, seal, write

DTYPES = ["f4", "f8", "i8", "u8"]
SCRIPT = pathlib.Path(__file__).with_name("saving.py")


def refused(path, *fragments):
    """Check that a file is refused; the message names the file, the reason and the remedy."""
    with pytest.raises(ModelFileError) as caught:
        read(path)
    is_other = any("does not begin" in fragment for fragment in fragments)
    remedy = "pass a file that MLP.save wrote" if is_other else "save it again"
    for fragment in (str(path), remedy, *fragments):
        assert fragment in str(caught.value)
    return True


# ---- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1, 1), (3, 5)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_and_shape_is_read_into_new_arrays(dtype, shape, tmp_path):
    tensor = (np.random.default_rng(0).normal(size=shape) * 1e3).astype("i8").astype(dtype)
    write(tmp_path / "net", {"W": tensor}, {})
    tensors, metadata = read(tmp_path / "net")
    assert equal(tensors, {"W": tensor})
    assert metadata == {}
    assert tensors["W"].flags.carray
    assert tensors["W"].flags.owndata


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_extremes_of_every_dtype_are_read_unchanged(dtype, tmp_path):
    limits = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    extremes = [limits.min, limits.max, 0]
    extremes += [-0.0, limits.smallest_subnormal, limits.tiny] if dtype[0] == "f" else [1]
    tensors = {"x": np.array(extremes, dtype)}
    write(tmp_path / "net", tensors, {})
    assert equal(read(tmp_path / "net")[0], tensors)


@pytest.mark.parametrize(
    "metadata",
    [{}, {"": ""}, {"ключ": "値 \U0001f600 \0\n\"\\ \u2028"}, {"long": "x" * 10**6},
     {'x"sha256': "0" * 64, "y": '"sha256":"' + "0" * 64 + '"'}],
    ids=["none", "empty", "unicode", "long", "like a checksum"],
)  # fmt: skip
def test_metadata_are_read_unchanged(metadata, tmp_path):
    write(tmp_path / "net", some_tensors(), metadata)
    tensors, found = read(tmp_path / "net")
    assert found == metadata
    assert list(found) == list(metadata)
    assert equal(tensors, some_tensors())


def test_a_file_of_no_tensors_is_a_file(tmp_path):
    write(tmp_path / "net", {}, {"format": "1"})
    assert read(tmp_path / "net") == ({}, {"format": "1"})


def test_several_chunks_are_read_unchanged(tmp_path):
    tensors = {"x": np.arange(2**18 + 1.0), "y": np.arange(2**19 + 3, dtype="f4")}
    write(tmp_path / "net", tensors, {})
    assert equal(read(tmp_path / "net")[0], tensors)


def test_any_layout_and_byte_order_is_stored_as_a_plain_copy():
    plain = np.arange(12.0).reshape(3, 4)
    wanted = in_bytes({"x": plain}, {})
    misaligned = np.zeros(plain.nbytes + 1, "u1")[1:].view("f8").reshape(3, 4)
    misaligned[...] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    laid = [np.asfortranarray(plain), plain[::-1].copy()[::-1], np.repeat(plain, 2, 1)[:, ::2]]
    for array in [*laid, misaligned, read_only, plain.astype(">f8"), plain.tolist()]:
        assert in_bytes({"x": array}, {}) == wanted


def test_the_same_content_is_the_same_bytes():
    assert in_bytes(some_tensors(), {"a": "b"}) == in_bytes(some_tensors(), {"a": "b"})


def test_writing_does_not_copy_the_tensors():
    x = np.zeros((300, 400), "f4")
    _, memory = encode({"x": x}, {})
    assert np.shares_memory(memory, x)


def test_reading_takes_one_copy_of_the_tensors(tmp_path):
    write(tmp_path / "net", {"x": np.ones(10**6, "f8")}, {})
    assert 8e6 < peak_of(lambda: read(tmp_path / "net")) < 9.5e6


def test_data_begin_aligned_and_leave_no_holes():
    data = in_bytes(some_tensors(), {"a": "b"})
    header, rest = split(data)
    start, at = len(data) - len(rest), 0
    assert next(iter(header)) == "__metadata__"
    for name, entry in itertools.islice(header.items(), 1, None):
        begin, end = entry["data_offsets"]
        assert begin == at
        assert (start + begin) % some_tensors()[name].itemsize == 0
        at = end
    assert at == len(rest)


# ---- the official package -----------------------------------------------------------------------


def test_the_official_package_reads_what_we_write(tmp_path):
    official = pytest.importorskip("safetensors.numpy")
    tensors, metadata = some_tensors(), {"format": "1", "größe": "\n\u2028"}
    path = tmp_path / "net.safetensors"
    write(path, tensors, metadata)
    assert equal(official.load_file(path), tensors)
    with official.safe_open(path, framework="np") as file:
        found = file.metadata()
        assert len(found.pop("sha256")) == 64
        assert found == metadata
        assert sorted(file.keys()) == sorted(tensors)


def test_the_official_package_reads_a_file_of_no_tensors():
    official = pytest.importorskip("safetensors.numpy")
    assert official.load(in_bytes({}, {})) == {}


def test_a_file_of_the_official_package_is_read_if_a_checksum_is_added(tmp_path):
    official = pytest.importorskip("safetensors.numpy")
    data = official.save(some_tensors(), {"a": "b", "sha256": "0" * 64})
    (tmp_path / "net").write_bytes(seal(data))
    tensors, metadata = read(tmp_path / "net")
    assert equal(tensors, some_tensors())
    assert metadata == {"a": "b"}


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}], ids=str)
def test_the_error_about_a_file_of_another_program_says_so(metadata, tmp_path):
    official = pytest.importorskip("safetensors.numpy")
    official.save_file({"x": np.ones(3, "f2")}, tmp_path / "net", metadata)
    refused(tmp_path / "net", "no checksum", "another program", "safetensors.numpy.load_file")


# ---- malformed files, their checksum right ------------------------------------------------------


# Changes of the header: a part of its text, the replacement, and a fragment of the message.
W_SHAPE, W_OFFSETS, B_OFFSETS = '"shape":[2,3]', "[0,24]", "[24,40]"
EDITS = {
    "a dtype of the format that is not ours": ("F32", "BF16", "'W' has dtype 'BF16'", "F32, F64"),
    "a dtype in lower case": ("F32", "f32", "dtype 'f32'"),
    "a dtype that is a list": ('"F32"', '["F32"]', "dtype ['F32']"),
    "a dtype that is null": ('"F32"', "null", "dtype None"),
    "a negative shape": (W_SHAPE, '"shape":[-2,-3]', "'W' has shape [-2, -3]"),
    "a shape of bools": (W_SHAPE, '"shape":[6,true]', "shape [6, True]"),
    "a shape of floats": (W_SHAPE, '"shape":[2.0,3]', "shape [2.0, 3]"),
    "a shape of 1e400": (W_SHAPE, '"shape":[1e400,3]', "shape [inf, 3]"),
    "a shape of NaN": (W_SHAPE, '"shape":[NaN]', "shape [nan]"),
    "a shape of Infinity": (W_SHAPE, '"shape":[2,-Infinity]', "shape [2, -inf]"),
    "a shape of strings": (W_SHAPE, '"shape":["2",3]', "shape ['2', 3]"),
    "a shape that is a number": (W_SHAPE, '"shape":6', "shape 6"),
    "a shape that is an object": (W_SHAPE, '"shape":{"2":3}', "shape {'2': 3}"),
    "three dimensions": (W_SHAPE, '"shape":[1,2,3]', "shape [1, 2, 3]", "0 to 2 sizes"),
    "a tensor of size zero": (
        '"W":', '"Z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"W":', "'Z' has shape [0]"),
    "a shape that is too large": (W_SHAPE, '"shape":[2,4]', "'W'", "F32", "[2, 4]", "[0, 24]"),
    "a shape whose product is 24 modulo 2**64": (
        W_SHAPE, '"shape":[4611686018427387910]', "'W'", "[4611686018427387910]"),
    "a shape whose product is 0 modulo 2**64": (
        W_SHAPE, '"shape":[4294967296,4294967296]', "[4294967296, 4294967296]"),
    "a shape of 4000 digits": (W_SHAPE, f'"shape":[{"9" * 4000},{"9" * 4000}]', "'W'", "999..."),
    "a number of 5000 digits": (W_SHAPE, f'"shape":[{"9" * 5000}]', "JSON", "digits"),
    "negative offsets": (W_OFFSETS, "[-24,0]", "'W' has data_offsets [-24, 0]"),
    "offsets of bools": (W_OFFSETS, "[false,24]", "data_offsets [False, 24]"),
    "offsets of floats": (W_OFFSETS, "[0,24.0]", "data_offsets [0, 24.0]"),
    "three offsets": (W_OFFSETS, "[0,24,40]", "data_offsets [0, 24, 40]"),
    "offsets that are null": (W_OFFSETS, "null", "data_offsets None"),
    "offsets in reverse": (W_OFFSETS, "[24,0]", "'W'", "[24, 0]"),
    "tensors that overlap": (B_OFFSETS, "[16,32]", "'b' begins at byte 16", "not at 24"),
    "tensors that share their data": (
        '"b":', '"V":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},"b":', "begins at byte 0"),
    "a hole between tensors": (B_OFFSETS, "[32,48]", "'b' begins at byte 32", "not at 24"),
    "a hole before the first": (W_OFFSETS, "[8,32]", "'W' begins at byte 8", "not at 0"),
    "offsets far out of range": (
        B_OFFSETS, f"[{2**70},{2**70 + 16}]", "'b' begins at byte 1180591620717411303424"),
    "offsets of 4000 digits": (B_OFFSETS, f"[{'9' * 4000},0]", "'b'"),
    "a tensor beyond the end": (
        "[2],\"data_offsets\":[24,40]", "[20],\"data_offsets\":[24,184]", "take 184 bytes but 40"),
    "bytes of no tensor": (',"b":{"dtype":"F64","shape":[2],"data_offsets":[24,40]}', "",
                           "take 24 bytes but 40"),
    "the same tensor twice": ('"b":', '"W":', "'W'", "twice"),
    "the same field twice": (W_SHAPE, f"{W_SHAPE},{W_SHAPE}", "'shape'", "twice"),
    "the same metadata twice": ('"k":"v"', '"k":"v","\\u006b":"w"', "'k'", "twice"),
    "metadata twice": ('"b":', '"__metadata__":{},"b":', "'__metadata__'", "twice"),
    "a field that is unknown": (W_SHAPE, f'{W_SHAPE},"strides":[3,1]', "'W'", "'strides'"),
    "a field that is missing": (f",{W_SHAPE}", "", "'W'", "it has ['dtype', 'data_offsets']"),
    "a tensor that is a list": ('"b":{', '"c":[],"b":{', "'c'", "it has []"),
    "a tensor that is null": ('"b":{', '"c":null,"b":{', "'c'", "it has None"),
    "a tensor without a name": ('"b":', '"":', "tensor ''", "must have a name"),
    "metadata that are a list": ('"__metadata__":{', '"__metadata__":[],"x":{', "metadata", "[]"),
    "metadata that are a number": ('"k":"v"', '"k":1', "metadata 'k'", "is 1"),
    "metadata that are null": ('"k":"v"', '"k":null', "metadata 'k'", "None"),
    "metadata that are an object": ('"k":"v"', '"k":{"v":"w"}', "metadata 'k'", "{'v': 'w'}"),
    "metadata that are NaN": ('"k":"v"', '"k":NaN', "metadata 'k'", "nan"),
    "no metadata": ('"__metadata__"', '"metadata"', "no checksum", "another program"),
    "no checksum": ('"sha256"', '"sha512"', "no checksum", "another program"),
    "a checksum that is a number": ('"' + "0" * 64 + '"', "0", "metadata 'sha256'"),
    "a checksum that is cut": ("0" * 64, "0" * 63, "checksum"),
    "a checksum that is empty": ("0" * 64, "", "checksum"),
    "half a surrogate pair in a name": ('"b":', '"\\ud800":', "JSON", "surrogates"),
    "half a surrogate pair in metadata": ('"v"', '"\\udfff"', "JSON", "surrogates"),
    "a comma too many": ('"k":"v"', '"k":"v",', "JSON"),
    "a comment": ('"b":', '/*b*/"b":', "JSON"),
    "a tab in a string": ('"v"', '"\t"', "JSON", "control character"),
    "lists a million deep": ('"v"', "[" * 1_000_000 + "]" * 1_000_000, "nested too deeply"),
    "objects a million deep": (
        '"v"', '{"":' * 1_000_000 + "0" + "}" * 1_000_000, "nested too deeply"),
}  # fmt: skip

# The whole file, and what the message says.
FILES = {
    "no byte": (b"", "0 bytes"),
    "seven bytes": (b"\x10" + bytes(6), "7 bytes"),
    "a length alone": (joined("", length=2), "2 bytes of 0"),
    "a length of 0": (joined(HEADER, DATA, length=0), "begins with b''"),
    "a length beyond the file": (joined(HEADER, length=len(HEADER) + 1), f"of {len(HEADER)}"),
    "a length of 2**60": (joined(HEADER, DATA, length=2**60), str(2**60)),
    "a length of 2**64 - 1": (joined(HEADER, DATA, length=2**64 - 1), str(2**64 - 1)),
    "a length in big-endian": (
        len(HEADER).to_bytes(8, "big") + HEADER.encode() + DATA, "header would take"),
    "a length too short": (joined(HEADER, DATA, length=len(HEADER) - 1), "JSON"),
    "a length too long": (joined(HEADER, DATA, length=len(HEADER) + 4), "JSON"),
    "a space before the header": (joined(" " + HEADER, DATA), "begins with b' '"),
    "a byte order mark": (joined("\ufeff" + HEADER, DATA), "begins with b'\\xef'"),
    "a list as header": (joined("[" + HEADER + "]", DATA), "begins with b'['"),
    "UTF-16": (joined(HEADER.encode("utf-16-le"), DATA), "JSON"),
    "Latin-1": (joined(HEADER.replace("v", "ä").encode("latin-1"), DATA), "JSON", "utf-8"),
    "zeros behind the header": (joined(HEADER + "\0" * 8, DATA), "JSON"),
    "two headers": (joined(HEADER + HEADER, DATA), "JSON"),
    "data that are missing": (joined(HEADER), "take 40 bytes but 0"),
    "data that are short": (joined(HEADER, DATA[:-1]), "take 40 bytes but 39"),
    "bytes behind the data": (joined(HEADER, DATA + b"\0"), "take 40 bytes but 41"),
    "a checksum of other bytes": (joined(HEADER, DATA)[:-1] + b"\1", "checksum", "have changed"),
    "a checksum in capitals": (joined(HEADER, DATA).replace(
        seal(joined(HEADER, DATA))[35:99], joined(HEADER, DATA)[35:99].upper()), "checksum"),
    "a pickle": (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x07", "does not begin with the header"),
    "a zip": (b"PK\x03\x04" + bytes(60), "does not begin with the header"),
    "text": (b"# Nothing but words", "does not begin with the header"),
}  # fmt: skip
for name, dtype, value in [("NaN", "f4", "nan"), ("infinity", "f4", "inf"), ("NaN", "f8", "nan"),
                           ("minus infinity", "f8", "-inf")]:  # fmt: skip
    x = np.array([1, value], dtype).tobytes()
    bad = DATA[:16] + x + DATA[24:] if dtype == "f4" else DATA[:24] + x
    tensor = "'W'" if dtype == "f4" else "'b'"
    FILES[f"{name} in {dtype}"] = joined(HEADER, bad), tensor, f"holds {value}", "must be finite"


def test_the_file_that_the_cases_below_alter_is_read(tmp_path):
    (tmp_path / "net").write_bytes(joined(HEADER, DATA))
    tensors, metadata = read(tmp_path / "net")
    assert tensors["W"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tensors["b"].tolist() == [0, 1]
    assert metadata == {"k": "v"}


@pytest.mark.parametrize("case", EDITS)
def test_malformed_header(case, tmp_path):
    old, new, *fragments = EDITS[case]
    assert old in HEADER
    (tmp_path / "net").write_bytes(joined(HEADER.replace(old, new, 1), DATA))
    refused(tmp_path / "net", *fragments)


@pytest.mark.parametrize("case", FILES)
def test_malformed_file(case, tmp_path):
    data, *fragments = FILES[case]
    (tmp_path / "net").write_bytes(data)
    refused(tmp_path / "net", *fragments)


def test_a_message_is_short_whatever_the_file(tmp_path):
    with Scratch(tmp_path / "net") as scratch:
        for old, new, *_ in EDITS.values():
            scratch.put(joined(HEADER.replace(old, new, 1), DATA))
            with pytest.raises(ModelFileError) as caught:
                read(scratch.path)
            assert len(str(caught.value)) < 500 + len(str(scratch.path))
            assert "\n" not in str(caught.value)


def test_any_order_of_keys_and_any_spacing_is_read(tmp_path):
    header = {key: json.loads(HEADER)[key] for key in ("b", "__metadata__", "W")}
    header["W"] = dict(reversed(header["W"].items()))
    text = json.dumps(header, indent=1).replace('"sha256": "', '"sha256":"')
    (tmp_path / "net").write_bytes(joined(text, DATA))
    assert list(read(tmp_path / "net")[0]) == ["W", "b"]


def test_a_cut_anywhere_is_found(tmp_path):
    data = file_of_4_kilobytes()
    with Scratch(tmp_path / "net") as scratch:
        for n in range(len(data)):
            scratch.put(data[:n])
            assert refused(scratch.path)


def test_a_flip_of_any_bit_is_found(tmp_path):
    data = file_of_4_kilobytes()
    with Scratch(tmp_path / "net") as scratch:
        scratch.put(data)
        for at, bit in itertools.product(range(len(data)), range(8)):
            os.pwrite(scratch.file.fileno(), bytes([data[at] ^ 1 << bit]), at)
            with pytest.raises(ModelFileError):
                read(scratch.path)
            os.pwrite(scratch.file.fileno(), data[at : at + 1], at)
        assert equal(read(scratch.path)[0], {**some_tensors(), "x": np.arange(350.0)})


def file_of_4_kilobytes():
    data = in_bytes({**some_tensors(), "x": np.arange(350.0)}, {"a": "b", "notes": "c" * 700})
    assert 4000 < len(data) < 4300
    return data


# ---- memory -------------------------------------------------------------------------------------


def peak_of(work):
    """Return how many bytes were allocated at most, by Python or numpy, in a call."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ONE_TENSOR = '{"__metadata__":{"sha256":"' + "0" * 64 + '"},"x":{"dtype":"F64","shape":[%d],' \
             '"data_offsets":[0,%d]}}'  # fmt: skip


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (joined(b"{" + b" " * 91, length=2**60), 100),
        (joined(b"{", length=2**32), 2**34),  # there are as many, all of them zeros
        (joined(ONE_TENSOR % (2**57, 2**60)), 200),
        (joined(ONE_TENSOR % (2**30, 2**33)), 2**33),
        (joined(ONE_TENSOR % (2**30, 2**33 - 8)), 2**34),
    ],
    ids=["header", "header of a large file", "tensor", "tensor that is cut", "tensor too small"],
)
def test_sizes_are_checked_before_anything_is_allocated(data, size, tmp_path):
    with open(tmp_path / "net", "wb") as file:
        file.write(data)
        file.truncate(size)
    assert peak_of(lambda: refused(tmp_path / "net")) < 1_000_000  # a buffer of a file, not more


# ---- what is no file ----------------------------------------------------------------------------


def test_errors_of_the_system_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "net")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "no" / "net", {}, {})
    with pytest.raises(NotADirectoryError):
        read("/dev/null/net")
    with pytest.raises(IsADirectoryError):
        write(tmp_path, {}, {})
    assert os.listdir(tmp_path) == []


def test_a_pipe_or_a_device_is_neither_waited_for_nor_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a device or a pipe")
    refused("/dev/zero", "a device or a pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        write(tmp_path / "pipe", {}, {})
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


def test_paths_of_any_kind_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ["net", b"net", pathlib.Path("net"), os.fsdecode(b"\xff"), "n" * 255, "é" * 127]:
        write(path, {}, {"path": ascii(path)})
        assert read(path) == ({}, {"path": ascii(path)})
    assert len(os.listdir(tmp_path)) == 4


# ---- mutated files ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_valid_or_refused(n, tmp_path):
    outcomes = fuzz_containers(tmp_path / "net", n, seed=n)
    print(dict(outcomes.most_common()))
    assert outcomes.total() == n
    assert outcomes["valid"] > n / 50  # and so the mutations reach the depth of the reader,
    assert len(outcomes) > len(KINDS) - 2  # nearly all of it: nothing here nests deep


# ---- what is not written ------------------------------------------------------------------------

ONE = np.ones(1)
UNWRITABLE = {
    "NaN": ({"W": np.array([1, np.nan])}, {}, ValueError, "tensor 'W' holds nan"),
    "infinity": ({"W": np.array([[-np.inf]], "f4")}, {}, ValueError, "tensor 'W' holds -inf"),
    "half precision": ({"W": np.ones(2, "f2")}, {}, TypeError, "'W' has dtype float16"),
    "int32": ({"W": np.ones(2, "i4")}, {}, TypeError, "'W' has dtype int32"),
    "bool": ({"W": np.ones(2, "?")}, {}, TypeError, "'W' has dtype bool"),
    "objects": ({"W": np.array([None])}, {}, TypeError, "'W' has dtype object"),
    "words": ({"W": np.array(["a"])}, {}, TypeError, "'W' has dtype <U1"),
    "size zero": ({"W": np.ones((2, 0))}, {}, ValueError, "'W' has shape [2, 0]"),
    "three dimensions": ({"W": np.ones((1, 2, 3))}, {}, ValueError, "'W' has shape [1, 2, 3]"),
    "no name": ({"": ONE}, {}, ValueError, "must have a name"),
    "a number as name": ({1: ONE}, {}, ValueError, "tensor 1 must have a name"),
    "a reserved name": ({"__metadata__": ONE}, {}, ValueError, "__metadata__"),
    "a name of half a surrogate pair": ({"\ud800": ONE}, {}, ValueError, "surrogates"),
    "a checksum of one's own": ({}, {"sha256": "0"}, ValueError, "'sha256'"),
    "metadata of a number": ({}, {"k": 1}, ValueError, "metadata 'k' must be a string; it is 1"),
    "metadata by a number": ({}, {1: "v"}, ValueError, "metadata 1 must be a string"),
    "metadata of half a surrogate pair": ({}, {"k": "\udfff"}, ValueError, "surrogates"),
    "metadata too large": ({}, {"k": "x" * 2**24}, ValueError, "shorten the metadata"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_content_that_could_not_be_read_is_not_written(case, tmp_path):
    *content, error, fragment = UNWRITABLE[case]
    write(tmp_path / "net", *OLD)
    with pytest.raises(error) as caught:
        write(tmp_path / "net", *content)
    assert fragment in str(caught.value)
    assert not isinstance(caught.value, ModelFileError)
    assert holds(tmp_path / "net", OLD)


# ---- replacing a file ---------------------------------------------------------------------------

OLD = {"x": np.arange(10_000.0)}, {"content": "old"}
NEW = {"x": np.arange(90_000.0)}, {"content": "new"}


def holds(path, content):
    """Return whether a file has these tensors and metadata, and is alone in its folder."""
    assert os.listdir(path.parent) == [path.name]
    tensors, metadata = read(path)
    return metadata == content[1] and equal(tensors, content[0])


def test_a_file_is_on_the_disk_before_it_takes_the_name_and_then_the_name(tmp_path, monkeypatch):
    events, path = [], tmp_path / "net"
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        status = os.fstat(descriptor)
        events.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        fsync(descriptor)

    def record_replace(temporary, target):
        events.append((os.path.dirname(temporary), target))
        replace(temporary, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write(path, some_tensors(), {})
    assert events == [len(in_bytes(some_tensors(), {})), (str(tmp_path), str(path)), "folder"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(call, error, tmp_path, monkeypatch):
    write(tmp_path / "net", *OLD)

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(error):
            write(tmp_path / "net", *NEW)
    assert holds(tmp_path / "net", OLD)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO], ids=errno.errorcode.get)
def test_a_folder_that_cannot_be_synced_is_no_error_but_a_broken_disk_is(
    number, tmp_path, monkeypatch
):
    fsync = os.fsync

    def fail_on_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "of the folder")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    expected = contextlib.nullcontext() if number == errno.EINVAL else pytest.raises(OSError)  # noqa: PT011
    with expected:
        write(tmp_path / "net", *NEW)
    assert holds(tmp_path / "net", NEW)


def interrupted_at_each_moment(path):
    """Interrupt a write at each moment in turn; return for each whether the new file exists."""

    def interrupt():
        raise KeyboardInterrupt

    found, fine = [], (_files.__file__, contextlib.__file__)
    for moment in itertools.count(1):
        write(path, *OLD)
        with contextlib.suppress(KeyboardInterrupt):
            call_at(moment, interrupt, lambda: write(path, *NEW), fine)
            break
        found.append(holds(path, NEW))
        assert found[-1] or holds(path, OLD)
    return found


def test_ctrl_c_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    """Before each line of Python in turn; where files are opened and moved, before each opcode.

    In a process of its own: an interrupt is lost in a finalizer, and there is none of other tests.
    """
    code = (
        "import json, pathlib, sys; sys.path.insert(0, sys.argv[1]);"
        "import test_safetensors as here;"
        "print(json.dumps(here.interrupted_at_each_moment(pathlib.Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, os.path.dirname(__file__)]
    done = subprocess.run([*command, str(tmp_path / "net")], capture_output=True, text=True,
                          check=True, timeout=5 * LONG)  # fmt: skip
    found = json.loads(done.stdout)
    assert found == sorted(found)  # the old file up to some moment, from then on the new one
    assert 100 < sum(not new for new in found) < len(found)


def kills(path, times):
    """Return the outcomes of this many kills at random moments; 0 means at each moment in turn."""
    command = [sys.executable, SCRIPT, path, str(times), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5 * LONG)
    print(done.stdout)
    return json.loads(done.stdout)


def test_kills_at_each_moment_leave_a_complete_file(tmp_path):
    result = kills(tmp_path / "net", 0)
    assert sum(result["found"]) > 100
    assert min(*result["found"], result["left"]) > 0  # some before the file's move, some after


@pytest.mark.parametrize("times", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_moments_leave_a_complete_file(times, tmp_path):
    """A kill may also arrive in the middle of a system call."""
    result = kills(tmp_path / "net", times)
    assert sum(result["found"]) == times
    if times == 200:
        assert min(*result["found"], result["left"]) > 0  # the kills struck while it wrote


@contextlib.contextmanager
def files_of_at_most(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, len(in_bytes(*NEW)) - 1])
def test_a_file_too_large_for_the_system_leaves_the_old_one(size, tmp_path):
    write(tmp_path / "net", *OLD)
    with files_of_at_most(size), pytest.raises(OSError, match="File too large"):
        write(tmp_path / "net", *NEW)
    assert holds(tmp_path / "net", OLD)


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 512 KiB."""
    (tmp_path / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", tmp_path / "disk"]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


def test_a_full_disk_leaves_the_old_file(small_disk):
    write(small_disk / "net", *OLD)
    with pytest.raises(OSError, match="No space left"):
        write(small_disk / "net", *NEW)
    assert holds(small_disk / "net", OLD)
    write(small_disk / "net", *OLD)


@pytest.fixture
def ordinary_user():
    """Let root be nobody in a test, for whom permissions count."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.fixture
def shared_folder():
    """A folder that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


def test_without_permission_nothing_changes(shared_folder, request):
    write(shared_folder / "net", *OLD)
    write(shared_folder / "secret", *OLD)
    (shared_folder / "secret").chmod(0o000)
    shared_folder.chmod(0o555)
    request.getfixturevalue("ordinary_user")
    if not os.access(shared_folder, os.R_OK, effective_ids=True):
        pytest.skip("nobody reaches the folder for temporary files")
    with pytest.raises(PermissionError):
        write(shared_folder / "net", *NEW)
    with pytest.raises(PermissionError):
        read(shared_folder / "secret")
    assert equal(read(shared_folder / "net")[0], OLD[0])
    assert sorted(os.listdir(shared_folder)) == ["net", "secret"]


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_symbolic_link_stays_and_its_target_is_replaced(there, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to("../far/net")
    if there:
        write(tmp_path / "far" / "net", *OLD)
    write(tmp_path / "near" / "link", *NEW)
    assert os.readlink(tmp_path / "near" / "link") == "../far/net"
    assert holds(tmp_path / "far" / "net", NEW)
    assert holds(tmp_path / "near" / "link", NEW)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_permissions_follow_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        write(tmp_path / "net", *OLD)
        write(tmp_path / "net", *NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "net").st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o440], ids=oct)
def test_a_file_that_is_replaced_keeps_its_permissions(mode, tmp_path):
    write(tmp_path / "net", *OLD)
    (tmp_path / "net").chmod(mode)
    write(tmp_path / "net", *NEW)
    assert stat.S_IMODE(os.stat(tmp_path / "net").st_mode) == mode
    assert holds(tmp_path / "net", NEW)
