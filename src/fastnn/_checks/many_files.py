"""Checks of the contents of files of many networks and of checkpoints of `fit_many`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.files import fields, plain_list
from fastnn._checks.values import counted, integer, reading, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Lists = dict[str, list[Any]]


def index_text(tensor: NDArray[Any]) -> str:
    """Return the text stored in a tensor of bytes."""
    if tensor.dtype != np.uint8 or tensor.ndim != 1:
        raise ValueError(f"tensor 'index' is {tensor.dtype} {tensor.shape}; it must be bytes")
    return tensor.tobytes().decode()


def columns(
    tables: Any, values: Any, names_of_tables: Sequence[str], names: Sequence[str]
) -> tuple[Lists, Lists]:
    """Return the tables of an index and its columns: equally long lists of indices into them."""
    tables = fields("tables", tables, names_of_tables)
    values = fields("columns", values, names)
    for place, lists in (("tables", tables), ("columns", values)):
        for name, found in lists.items():
            plain_list(f"{place}[{name!r}]", found)
    lengths = {name: len(found) for name, found in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns have different lengths: {lengths}")
    for name in names_of_tables:
        most = len(tables[name]) - 1
        for i, number in enumerate(values[name]):
            if type(number) is not int or not 0 <= number <= most:
                raise ValueError(f"columns[{name!r}][{i}] must be from 0 to {most}; got {number}")
    return tables, values


def one_rate(rate: Any, has_schedule: bool) -> None:
    """Check that a network has either a learning rate or a schedule."""
    if (rate is None) != has_schedule:
        raise ValueError(
            "a network must have either a learning rate or a schedule; it has both or neither"
        )


def stack(name: str, tensor: NDArray[Any], n: int) -> NDArray[Any]:
    """Return a tensor with a row for each of n networks."""
    if tensor.ndim != 2 or len(tensor) != n:
        raise ValueError(
            f"tensor {name!r} has shape {tensor.shape}; it must have {counted(n, 'row')}"
        )
    return tensor


def same_stack(theirs: Any, ours: Any) -> None:
    """Check that a network has the same tensors as the other networks of its stack."""
    if theirs != ours:
        raise ValueError(f"a network has tensors {shown(ours)}, but its stack has {shown(theirs)}")


def blocks(theirs: int, ours: int) -> None:
    """Check how many blocks of parameters (weights, moments, averages) a network has."""
    if theirs != ours:
        raise ValueError(f"a network has {theirs} blocks of weights and moments instead of {ours}")


# ---- histories ----------------------------------------------------------------------------------


def history_values(found: list[Any]) -> NDArray[np.float64]:
    """Return the values of histories; any float is allowed, NaN too."""
    try:
        values = np.asarray(found, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"fits.histories must have numbers: {error}") from error
    if values.ndim != 1:
        raise ValueError("fits.histories must have a number for each epoch")
    return values


def history_epochs(found: list[Any]) -> NDArray[np.int64]:
    """Return the epoch numbers of histories."""
    for epoch in found:
        integer("an epoch of fits.histories", epoch, low=0, high=2**62)
    return np.array(found, np.int64)


def history_tensors(layouts: Sequence[Any], epochs: NDArray[Any], values: NDArray[Any]) -> None:
    """Check that the tensors of histories have the lengths that their layouts imply."""
    n_epochs = n_values = 0
    for layout in layouts:
        fields("history", layout, ("epochs", "values"))
        n_epochs += integer("epochs", layout["epochs"], low=0)
        n_values += sum(integer(name, n, 0) for name, n in fields("v", layout["values"]).items())
    for name, tensor, n, dtype in (
        ("epoch", epochs, n_epochs, np.int64),
        ("values", values, n_values, np.float64),
    ):
        if tensor.shape != (n,) or tensor.dtype != dtype:
            raise ValueError(
                f"tensor 'histories.{name}' is {tensor.dtype} {tensor.shape}, but the histories "
                f"have {n} entries"
            )


def history_places(places: NDArray[Any], n: int) -> NDArray[Any]:
    """Return indices into an array of n values."""
    if places.dtype != np.int64 or places.ndim != 1:
        raise ValueError(f"places of values are {places.dtype} {places.shape}; they must be int64")
    if places.size and not (places.min() >= 0 and places.max() < n):
        raise ValueError(
            f"places of values are {places.min()} to {places.max()}; there are {n} values"
        )
    return places


def epoch_of(best: Any, epochs: Sequence[int]) -> int | None:
    """Return an epoch of a history, or None."""
    if best is not None and (type(best) is not int or best not in epochs):
        raise ValueError(
            f"the best epoch, {shown(best)}, is not among the {counted(len(epochs), 'epoch')}"
        )
    return best


# ---- parameters and groups ----------------------------------------------------------------------


def numbers_of_items(name: str, found: Any, n: int, n_items: int) -> list[list[int]]:
    """Return n lists of indices into n_items items."""
    if len(plain_list(name, found)) != n:
        raise ValueError(f"{name} has {counted(len(found), 'item')} for {counted(n, 'network')}")
    for numbers in found:
        for number in plain_list(name, numbers):
            integer(name, number, low=0, high=n_items - 1)
    return list(found)


_KINDS_OF_LABELS = "buifUmMO"


def labels_of_groups(value: Any) -> NDArray[Any]:
    """Return group labels, of a type that a file can hold."""
    with reading("fits.groups"):
        labels = np.asarray(value)
    plain = labels.dtype.kind != "O" or all(
        label is None or type(label) in (str, int, bool) for label in labels.reshape(-1)
    )
    if labels.ndim != 1 or labels.dtype.kind not in _KINDS_OF_LABELS or not plain:
        raise TypeError(
            "fits.groups must be a list of text, numbers or NumPy dates, which a file can hold; "
            f"got {shown(value)}: set fits.groups = fits.groups.astype(str)"
        )
    return labels


def dtype_of_labels(value: Any) -> np.dtype[Any]:
    """Return the dtype of the labels in a file."""
    dtype = np.dtype(value) if isinstance(value, str) else np.dtype(complex)
    if dtype.kind not in _KINDS_OF_LABELS:
        raise ValueError(f"labels of groups cannot have dtype {shown(value)}")
    return dtype


def a_label_for_each(labels: NDArray[Any], n: int) -> None:
    """Check that there is one label for each of n groups."""
    if labels.shape != (n,):
        raise ValueError(f"groups has labels of shape {labels.shape} for {counted(n, 'network')}")


# ---- checkpoints --------------------------------------------------------------------------------


def digests(found: NDArray[Any], n: int, size: int) -> None:
    """Check the tensor that holds the digests of n networks."""
    if found.dtype != np.uint8 or found.ndim != 2 or found.shape[1] != size:
        raise ValueError(f"tensor 'networks' is {found.dtype} {found.shape}; it must be bytes")
    if len(found) != n:
        raise ValueError(
            f"it was written by a call with {counted(len(found), 'network')}, not {n:,}"
        )


def same_call(path: str, theirs: dict[str, Any], ours: dict[str, str]) -> None:
    """Check, by digests, that a checkpoint was made by a call with the same arguments."""
    others = [name for name, digest in ours.items() if theirs.get(name) != digest]
    if others:
        raise ValueError(
            f"checkpoint={path!r} is of a call with different {', '.join(others)}; pass the same "
            "arguments, or remove the file to start over"
        )


def same_network(path: str, number: int, is_same: bool) -> None:
    """Check that a network is in its initial state or in the state stored in a checkpoint."""
    if not is_same:
        raise ValueError(
            f"checkpoint={path!r} is of a different call: nets[{number}] had different layers, "
            "options or weights; build the same networks (with seeds), or remove the file to "
            "start over"
        )
