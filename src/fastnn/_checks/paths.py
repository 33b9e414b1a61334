"""Checks of file paths, and names derived from paths."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from fastnn import _files
from fastnn._checks.values import shown, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def file_path(name: str, value: object) -> str:
    """Return the path of a file as a str."""
    try:
        path = os.fspath(value)  # type: ignore[call-overload]  # raises for other types
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"{name} must be a str or a path; got {shown(value)}")
    if not os.path.basename(path):
        raise ValueError(f"{name} must end with the name of a file; got {path!r}")
    if "\0" in path:
        raise ValueError(f"{name} must not hold the character '\\0'; got {path!r}")
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} {path!a} has characters that file names cannot contain in the encoding of "
            f"this process, {error.encoding}; set the environment variable PYTHONUTF8=1, or use "
            "other characters"
        ) from None
    return text(path)


# ---- endings ------------------------------------------------------------------------------------

# Endings of other file formats, and how to write a network in each.
_PICKLES = "pickle it with pickle.dump or joblib.dump"
_KERAS = "for Keras, build the same Dense layers and call set_weights(net.get_weights())"
_ARRAYS = "write its arrays with numpy.savez(path, *net.get_weights())"
_FOREIGN = {
    **dict.fromkeys((".pt", ".pth"), "call torch.save with fastnn.to_torch(net)"),
    **dict.fromkeys((".keras", ".h5", ".hdf5"), _KERAS),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), _PICKLES),
    **dict.fromkeys((".npz", ".npy"), _ARRAYS),
    **dict.fromkeys((".c", ".h"), "call to_c"),
    ".onnx": "call fastnn.onnx.export",
    ".json": "write the text of to_json(), which leaves out the weights",
    **dict.fromkeys((".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".gz", ".zip"), ""),
}


def model_path(name: str, value: object) -> str:
    """Return the path to save a network to; its ending must not be that of another format."""
    path = file_path(name, value)
    stem, ending = os.path.splitext(path)
    other = _FOREIGN.get(ending.lower())
    if other is not None:
        stem = stem.removesuffix(".safetensors")
        raise ValueError(
            f"{name} {path!r} ends with {ending!r}, but a network is saved as a safetensors file; "
            f"name it {stem + '.safetensors'!r}{other and ', or '}{other}"
        )
    return path


# ---- what is written ----------------------------------------------------------------------------


def not_read(name: str, file: str | int, inputs: Iterable[str | int]) -> None:
    """Check that an output file is none of the inputs, given as paths or open file descriptors."""
    for other in inputs:
        if _files.are_same(file, other):
            place = name if isinstance(file, int) else f"{name} {file!r}"
            read = repr(other) if isinstance(other, str) else "standard input"
            same = "" if file == other else f" the same file as {read}, which"
            raise ValueError(
                f"{place} is{same or ' a file that'} is read and would be lost; write to another "
                "file"
            )


def no_checkpoint(name: str, path: str) -> None:
    """Check that an output does not replace a checkpoint of `fit_many`."""
    if _files.holds_checkpoint(path):
        raise ValueError(
            f"{name} {path!r} holds a checkpoint of fit_many, which would be lost; write to "
            "another file, or remove that one first"
        )


def output_path(name: str, value: object, inputs: Iterable[str | int] = ()) -> str:
    """Return the path of an output other than a model.

    It may not replace an input, a model or a checkpoint of `fit_many`.
    """
    path = checkpoint_path(name, value, inputs)
    no_checkpoint(name, path)
    return path


def checkpoint_path(name: str, value: object, inputs: Iterable[str | int] = ()) -> str:
    """Return the path of a checkpoint of `fit_many`; it may not replace an input or a model."""
    path = file_path(name, value)
    if path.lower().endswith(".safetensors"):
        raise ValueError(
            f"{name} {path!r} ends with '.safetensors', the ending of saved networks; write to "
            "another file"
        )
    not_read(name, path, inputs)
    if _files.holds_model(path):
        raise ValueError(
            f"{name} {path!r} holds a network that fastnn saved, which would be lost; write to "
            "another file, or remove that one first"
        )
    return path


def figure_path(name: str, value: object) -> str:
    """Return the path of a figure, with the extension that matplotlib would add if it has none."""
    path = file_path(name, value)
    stem, extension = os.path.splitext(path)
    return output_path(name, path if len(extension) > 1 else f"{stem}.png")


def figure_format(name: str, path: str, found: str, known: Sequence[str]) -> None:
    """Check that the extension of a figure's path is a format that matplotlib writes."""
    if found not in known:
        listed = ", ".join(f".{each}" for each in known)
        raise ValueError(f"{name} must end with one of {listed}; got {path!r}")


def separate_outputs(outputs: Sequence[tuple[str, str]]) -> None:
    """Check that output paths differ; each output is (name of the argument or option, path)."""
    for i, (name, path) in enumerate(outputs):
        for other, its_path in outputs[:i]:
            if _files.are_same(path, its_path):
                raise ValueError(
                    f"{other} and {name} both write {path!r}; give each a file of its own"
                )


# ---- C source -----------------------------------------------------------------------------------


# Characters that an #include of C99 cannot hold; two question marks begin a trigraph.
_NOT_INCLUDED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|\?\?')


def c_paths(name: str, value: object, inputs: Sequence[str] = ()) -> tuple[str, str]:
    """Return the paths of a C file and its header; ".c" is added to a path without an ending."""
    path = file_path(name, value)
    stem, ending = os.path.splitext(path)
    if ending not in ("", ".c"):
        raise ValueError(f"{name} must end with '.c' or have no ending; got {path!r}")
    found = _NOT_INCLUDED.search(os.path.basename(path))
    if found:
        raise ValueError(
            f"{name} {path!r} has {found[0]!r} in the file's name, which #include does not allow; "
            "name the file without it"
        )
    source, header = (output_path(name, stem + ending, inputs) for ending in (".c", ".h"))
    separate_outputs([("the source", source), ("the header", header)])
    return source, header


_KEYWORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|"
    "inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef|"
    "union|unsigned|void|volatile|while"
)


def c_name_is_free(name: str, prefix: str, source: str, encodes: bool = False) -> None:
    """Check that no name that will begin with a prefix is that of a function in a source.

    `encodes` says whether the source will encode the rows of a table.
    """
    more = "|row|missing_row|encode" if encodes else ""
    found = re.search(rf"\b{prefix}_(step|predict|predict_with{more})\(", source)
    if found:
        raise ValueError(
            f"{name}={prefix!r} gives a function the name {found[0][:-1]}, which another function "
            "of the source has; pass another name="
        )


def c_name(name: str, value: object, by_path: bool) -> str:
    """Return a prefix for names in C: an identifier, taken from a path if `by_path`."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str; got {shown(value)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) or _KEYWORDS.fullmatch(value):
        remedy = "; pass name=, or rename the file" if by_path else ", such as 'digits'"
        raise ValueError(f"{name} must be a C identifier{remedy}; got {value!r}")
    if value.upper() == "FASTNN":
        remedy = "pass name=, or rename the file" if by_path else "pass another name="
        raise ValueError(
            f"{name}={value!r} gives constants the names FASTNN_N_IN and FASTNN_N_OUT, which "
            f"fastnn.h has; {remedy}"
        )
    return text(value)
