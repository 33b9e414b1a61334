"""Checks of the arguments of `fit_many`, `networks` and the methods of `Fits`."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnn import _conversion, _files
from fastnn._checks.arrays import as_array, no_masked_values
from fastnn._checks.callbacks import kinds_of
from fastnn._checks.fitting import rows_to_train, shuffle, validation_data
from fastnn._checks.targets import given_targets
from fastnn._checks.values import (
    choice,
    counted,
    integer,
    is_bool,
    items,
    number,
    reading,
    shown,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.callbacks import Callback
    from fastnn.splits import StratifiedSplit

    _Kind = TypeVar("_Kind")
    _Value = TypeVar("_Value")
    Indices = NDArray[np.int64]


def members(value: Any, kind: type[_Kind]) -> list[_Kind]:
    """Return the networks to fit: at least one, and none of them twice."""
    found = items(value) if not isinstance(value, kind) else None
    if found is None:
        raise TypeError(
            f"nets must be a list of MLP objects, or what networks() returns; got {shown(value)}"
        )
    if not found:
        raise ValueError("nets is empty; pass at least one network")
    places: dict[int, int] = {}
    for i, net in enumerate(found):
        if not isinstance(net, kind):
            raise TypeError(f"nets[{i}] must be an MLP; got {shown(net)}")
        if places.setdefault(id(net), i) != i:
            raise ValueError(
                f"nets[{i}] is the same object as nets[{places[id(net)]}]; fit a copy of it, "
                "net.copy()"
            )
    return found


def shared_rows(X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Return inputs, targets and weights as arrays that can be indexed by row number."""
    if not _conversion.is_csr(X):
        X = as_array("X", X, takes_csr=True)
    given_targets("y", y)
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, (n, n_in); got shape {X.shape}")
    n, arrays = X.shape[0], []
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        no_masked_values(name, value)
        with reading(name):
            found = None if value is None else np.asarray(_conversion.decoded(value))
        if found is not None and found.shape[:1] != (n,):
            raise ValueError(f"{name} must have the {n} rows of X; got shape {found.shape}")
        arrays.append(found)
    return X, *arrays


def one_recipe(are_same: bool) -> None:
    """Check that networks that encode the same data frame have the same recipe."""
    if not are_same:
        raise ValueError(
            "nets have different recipes for data frames, or some have none; pass the networks' "
            "inputs as X, such as recipe.inputs(frame)"
        )


def one_for_each(
    name: str, value: Any, n: int, check: Callable[[str, Any], _Value]
) -> list[_Value]:
    """Return n checked values, from a list of n or from one value for all members."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        if len(value) != n:
            raise ValueError(
                f"{name} has {counted(len(value), 'value')} for {counted(n, 'network')}; give one "
                "for each, or one for all"
            )
        return [check(f"{name}[{i}]", one) for i, one in enumerate(value)]
    return [check(name, value)] * n


def epochs_of_member(name: str, value: Any) -> int:
    """Return a number of epochs."""
    return integer(name, value, low=0)


def batch_of_member(name: str, value: Any) -> int | None:
    """Return a number of rows, or None for all rows."""
    return None if value is None else integer(name, value, low=1)


def shuffle_of_members(value: Any, n: int) -> list[Any]:
    """Return, for each member, whether its rows are shuffled or the object that draws their order.

    Members may not share such an object: their draws would depend on the timing of the threads. Nor
    may Generators share a bit generator.
    """
    found = one_for_each("shuffle", value, n, lambda name, one: shuffle(one, name))
    objects = [one for one in found if not isinstance(one, bool)]
    for what, sources in (("object", objects), ("bit generator", map(_bit_generator, objects))):
        numbers = [id(source) for source in sources]
        if len(set(numbers)) < len(numbers):
            raise ValueError(
                f"shuffle has the same {what} for several networks; give each network its own, "
                "such as shuffle=numpy.random.default_rng(0).spawn(len(nets))"
            )
    return found


def _bit_generator(source: Any) -> Any:
    """Return the bit generator of a Generator or RandomState; other objects are returned."""
    name = {np.random.Generator: "bit_generator", np.random.RandomState: "_bit_generator"}
    return getattr(source, name.get(type(source), ""), source)


def rows_of_members(name: str, value: Any, n: int, n_rows: int) -> list[Indices | None]:
    """Return the row numbers of each member, None for all rows."""
    if value is None:
        return [None] * n
    found = list(value) if isinstance(value, np.ndarray) and value.ndim == 2 else items(value)
    if found is None:
        raise TypeError(
            f"{name} must be a list with an array of row numbers for each network, or None for all "
            f"rows; got {shown(value)}"
        )
    if len(found) != n:
        raise ValueError(
            f"{name} has {counted(len(found), 'item')} for {counted(n, 'network')}; give one for "
            "each"
        )
    return [row_numbers(f"{name}[{i}]", one, n_rows) for i, one in enumerate(found)]


def row_numbers(name: str, value: Any, n_rows: int) -> Indices | None:
    """Return a copy of row numbers, given as numbers, a mask (n_rows,) or a slice; None for all."""
    if value is None:
        return None
    if isinstance(value, slice):
        chosen = np.arange(n_rows)[value]
    else:
        no_masked_values(name, value)
        with reading(name):
            chosen = np.asarray(value)
        if chosen.dtype == bool and chosen.shape == (n_rows,):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.dtype.kind not in "iu" and chosen.size):
            raise TypeError(
                f"{name} must be row numbers, a mask of {counted(n_rows, 'boolean')} or a slice; "
                f"got {shown(value)}"
            )
    if not chosen.size:
        raise ValueError(f"{name} has no rows; give at least one, or None for all")
    low, high = int(chosen.min()), int(chosen.max())  # as int64, 2**64 - 1 would be -1
    if low < -n_rows or high >= n_rows:
        wrong = low if low < -n_rows else high
        raise ValueError(f"{name} has row {wrong}, but X has rows 0 to {n_rows - 1}")
    found = _conversion.in_dtype(chosen, np.int64, own=True)
    found[found < 0] += n_rows
    return found


def groups(value: Any, n_rows: int) -> tuple[NDArray[Any], Indices]:
    """Return the distinct group labels, sorted, and the index of each row's label among them."""
    no_masked_values("groups", value)
    with reading("groups"):
        labels = np.asarray(_conversion.decoded(value))
    if labels.shape != (n_rows,):
        raise ValueError(
            f"groups must have a label for each of the {n_rows} rows of X; got shape {labels.shape}"
        )
    if count := _missing_labels(value, labels):
        raise ValueError(
            f"the group of {counted(count, 'row')} is missing (None or NaN); give such rows a "
            "label of their own, or leave them out"
        )
    try:
        if isinstance(value, list | tuple) and _are_converted(value, labels):
            raise TypeError
        found, numbers = np.unique(labels, return_inverse=True)
    except TypeError:  # labels of several types
        raise TypeError(
            "groups must have labels that can be sorted, such as all text or all numbers; got "
            f"{shown(value)}"
        ) from None
    return found, numbers.reshape(-1)


def keys_of_labels(labels: NDArray[Any]) -> list[Any]:
    """Return labels as keys of a dict: equal times have equal keys, whatever their resolution."""
    if labels.dtype.kind not in "mM":
        found: list[Any] = labels.tolist()
        return found
    times = labels.astype(f"{labels.dtype.kind}8[us]")  # as datetime and timedelta of Python
    return [
        time.item() if time == label else label for time, label in zip(times, labels, strict=True)
    ]


def _missing_labels(value: Any, labels: NDArray[Any]) -> int:
    """Return how many labels are missing: None, NaN, NaT."""
    if isinstance(value, list | tuple):  # an array of a list with texts has the text "nan"
        return sum(map(_conversion.is_missing, value))
    if labels.dtype.kind == "O":
        return sum(map(_conversion.is_missing, labels.tolist()))
    return int(np.count_nonzero(labels != labels))


def _are_converted(value: Sequence[Any], labels: NDArray[Any]) -> bool:
    """Whether NumPy has made labels a text that were none, because others are: 1 and "a"."""
    kind = {"U": str, "S": bytes}.get(labels.dtype.kind)
    return kind is not None and not all(isinstance(label, kind) for label in value)


def groups_or_rows(groups_given: object, rows_given: object) -> None:
    """Check that not both groups and rows are given."""
    if groups_given is not None and rows_given is not None:
        raise ValueError("rows and groups are both given; give one of them")


def a_network_for_each_group(n: int, labels: NDArray[Any]) -> None:
    """Check that there are as many networks as groups."""
    if n != len(labels):
        raise ValueError(
            f"groups has {counted(len(labels), 'label')}, but nets has {counted(n, 'network')}; "
            f"give one for each label: networks(net, n={len(labels)})"
        )


def validation(value: Any, stratified: type[StratifiedSplit]) -> Any:
    """Return None, a fraction, "rest", (X, y, sample_weight or None), a split, or row numbers.

    The row numbers are checked by `rows_of_members`.
    """
    if value is None or isinstance(value, list | np.ndarray | stratified):
        return value
    if isinstance(value, str):
        if value != "rest":
            raise ValueError(
                f'validation must be "rest", a fraction, (X, y) or a list of rows; got {value!r}'
            )
        return "rest"
    if isinstance(value, tuple):
        return validation_data(value, "validation")
    if is_bool(value) or not isinstance(value, int | float | np.number):
        raise TypeError(
            'validation must be None, a fraction, a StratifiedSplit, (X, y), "rest" or a list with '
            f"an array of row numbers for each network; got {shown(value)}"
        )
    return number("validation", value, above=0.0, below=1.0)


def rest_of_rows(number_of_member: int, rows: Indices | None, n_rows: int) -> Indices:
    """Return the rows that a member is not trained on; there must be at least one."""
    found = np.zeros(0, np.int64)
    if rows is not None:
        is_left = np.ones(n_rows, bool)
        is_left[rows] = False
        found = np.flatnonzero(is_left)
    if not found.size:
        raise ValueError(
            f'validation="rest" leaves none of the {n_rows} rows of X for nets[{number_of_member}]'
            "; give rows=, or another validation"
        )
    return found


def name_of_member(number: int, groups: NDArray[Any] | None) -> str:
    """Return the name of a network for a message, with the label of its group if it has one."""
    if groups is None:
        return f"nets[{number}]"
    label = groups[number : number + 1].tolist()[0]  # a number or text of Python
    return f"nets[{number}] (group {shown(label)})"


def split_of_members(
    split: float, rows: Sequence[Indices | None], n_rows: int, groups: NDArray[Any] | None
) -> None:
    """Check that the fraction `split` for validation leaves each member rows to train on."""
    first: dict[int, int] = {}  # the first member with this number of rows
    for i, one in enumerate(rows):
        first.setdefault(n_rows if one is None else len(one), i)
    for n, i in first.items():
        rows_to_train(n, split, "validation", f" of {name_of_member(i, groups)}")


def rests_of_members(rows: Sequence[Indices | None], n_rows: int) -> None:
    """Check that at least one row of X is left for each member that is validated on the rest."""
    for i, one in enumerate(rows):
        if one is None or len(one) >= n_rows:
            rest_of_rows(i, one, n_rows)


def are_counted(sample_weight: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    """Return whether each row has a weight other than 0: (n,), or None if all have one."""
    if sample_weight is None or sample_weight.dtype.kind not in "fiub":  # else the fit refuses it
        return None
    found: NDArray[np.bool_] = (sample_weight != 0).reshape(len(sample_weight), -1).any(axis=1)
    return None if found.all() else found


def weights_of_member(
    place: str, training: NDArray[Any], validation: NDArray[Any] | None, cause: str
) -> None:
    """Check that a member has a row with a weight other than 0 in each of its parts.

    `cause` begins the message: "sample_weight is", or the arguments that "make the weights".
    """
    for purpose, weights in (("training", training), ("validation", validation)):
        if weights is not None and not weights.any():
            raise ValueError(
                f"{place}{cause} 0 for every {purpose} row, so no row would count; give the "
                "network other rows or weights, or leave it out"
            )


def callbacks_of_members(value: Any) -> Any:
    """Return a list of callbacks, of which each member gets copies, or a function of its number."""
    found = value if callable(value) else items(value)
    if found is None:
        raise TypeError(
            "callbacks must be a list of Callback objects, copied for each network, or a "
            f"function of the network's number that returns such a list; got {shown(value)}"
        )
    return found


def no_shared_files(paths: Sequence[str]) -> None:
    """Check that callbacks to be copied write no files: all copies would write to the same ones."""
    if paths:
        raise ValueError(
            f"callbacks would let all networks write to {paths[0]!r}; pass a function of the "
            "network's number that returns callbacks with a path for each"
        )


def no_files_of_several(callbacks_of_each: Sequence[Sequence[Callback]]) -> None:
    """Check that the networks of an estimator, which are trained together, share no files."""
    owners: dict[Any, int] = {}
    for i, callbacks in enumerate(callbacks_of_each):
        for path in [path for callback in callbacks for path in callback.files_written]:
            file = _files.identity(path)
            if file is not None and owners.setdefault(file, i) != i:
                raise ValueError(
                    f"callbacks would let several networks write to {path!r}, since each has a "
                    "copy of them; drop the callback, or train the networks by fastnn.fit_many, "
                    "whose argument callbacks may be a function of the network's number"
                )


#: The callbacks of fastnn that several networks may share: they keep nothing, not even the network.
_SHAREABLE = ("Callback", "TerminateOnNaN")


def kinds_of_one_network(base: type) -> tuple[type, ...]:
    """Return the classes of fastnn's callbacks that several networks cannot share."""
    return tuple(kind for kind in kinds_of(base) if kind.__name__ not in _SHAREABLE)


def not_shared(
    number: int, callbacks: Sequence[Callback], kinds: tuple[type, ...], owners: dict[Any, int]
) -> None:
    """Check that no other member has a member's callback of these kinds, or writes to its files.

    `owners` has the first member with each callback (by its id) and each file; those of this member
    are added.
    """
    for callback in callbacks:
        if not isinstance(callback, kinds):
            continue
        other = owners.setdefault(id(callback), number)
        if other != number:
            raise ValueError(
                f"callbacks({number}) returns the same {type(callback).__name__} as "
                f"callbacks({other}); make a new one for each network"
            )
    for path in [path for callback in callbacks for path in callback.files_written]:
        file = _files.identity(path)
        other = number if file is None else owners.setdefault(file, number)
        if other != number:
            raise ValueError(
                f"callbacks({other}) and callbacks({number}) both write to {path!r}; give each "
                "network a file of its own"
            )


# ---- executors ----------------------------------------------------------------------------------


def executor(value: Any) -> Any:
    """Return the executor that trains members: None, "joblib", or an object with `submit`."""
    if value is None:
        return None
    if isinstance(value, str):
        if value == "joblib":
            return "joblib"
        remedy = ": pass the Client" if value == "dask" else ""
        raise ValueError(
            "executor must be an executor object, a Client of Dask or 'joblib'; got "
            f"{shown(value)}{remedy}"
        )
    if isinstance(value, type) or not callable(getattr(value, "submit", None)):
        raise TypeError(
            "executor must be an executor of concurrent.futures or loky, a Client of Dask, or "
            f'"joblib" for its active backend; got {shown(value)}'
        )
    if is_client_of_dask(value):
        if value.asynchronous:
            raise ValueError(
                "executor is a Client with asynchronous=True; make one without it: Client(address)"
            )
        if value.status == "closed":
            raise ValueError(
                "executor is a Client that has been closed; make a new one: Client(address)"
            )
    return value


def is_client_of_dask(value: Any) -> bool:
    """Return whether an executor is a Client of Dask."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(value, distributed.Client)


def picklable(name: str, value: Any, dumps: Callable[[Any], bytes]) -> None:
    """Check that a value can be sent to a worker process."""
    try:
        dumps(value)
    except Exception as error:  # pickle raises errors of many types
        raise TypeError(
            f"{name} cannot be sent to the processes of the executor: {error}; define its function "
            "or class in a module, install cloudpickle, or use threads: "
            "executor=ThreadPoolExecutor()"
        ) from error


# ---- networks() ---------------------------------------------------------------------------------


def seeds_or_n(values: Mapping[str, Any]) -> None:
    """Check that the seeds of networks are given either as seeds or as a number."""
    if "seeds" in values:
        raise ValueError("n and seeds are both given; give one of them")


def axes(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the lists of values that span a grid of networks, by argument of MLP.

    Values that are lists become tuples, which cannot change after they have been checked.
    """
    found = {}
    for name, value in values.items():
        if name not in names:
            raise TypeError(
                f"networks has no argument {name!r}; it takes lists for {', '.join(names)}"
            )
        listed = list(value) if isinstance(value, range | np.ndarray) else items(value)
        if not listed:
            raise ValueError(
                f"{name} must be a list with a value for each network; got {shown(value)}"
            )
        found[name] = [tuple(one) if isinstance(one, list) else one for one in listed]
    return found


# ---- Fits ----------------------------------------------------------------------------------------


def some_trained(n: int) -> None:
    """Check that at least one member has been trained."""
    if n == 0:
        raise ValueError("none of these networks is trained; see fits.statuses")


def some_finite(by: str, n: int) -> None:
    """Check that the values by which the best member is chosen are finite for at least one."""
    if n == 0:
        raise ValueError(
            f"no trained network has a finite {by!r}, so none is the best; choose by= another value"
        )


def chosen_members(name: str, value: Any, n: int) -> list[int]:
    """Return numbers of networks, given as numbers or as a mask of n booleans."""
    listed = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else items(value)
    if listed and all(map(is_bool, listed)):
        if len(listed) != n:
            raise ValueError(
                f"{name} has {counted(len(listed), 'boolean')} for {counted(n, 'network')}"
            )
        return [i for i, is_chosen in enumerate(listed) if is_chosen]
    try:
        if listed is None or any(map(is_bool, listed)):
            raise TypeError
        numbers = [operator.index(i) for i in listed]
    except TypeError:
        raise TypeError(
            f"{name} must be numbers of networks, or a boolean for each; got {shown(value)}"
        ) from None
    for i in numbers:
        if not -n <= i < n:
            verb = "is" if n == 1 else "are"
            raise IndexError(f"{name} has {i}, but there {verb} {counted(n, 'network')}")
    return numbers


def reduction_of_members(value: object, names: Sequence[str]) -> str | None:
    """Return the name of the reduction that combines the members' predictions."""
    hints = {"median": 'use reduce="quantiles", quantiles=[0.5]'}
    return None if value is None else choice("reduce", value, names, hints=hints)


def levels(value: Any) -> NDArray[np.float64]:
    """Return levels from 0 to 1 (n,), at least one."""
    wrong = f"quantiles must be numbers from 0 to 1; got {shown(value)}"
    try:
        found = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError, OverflowError):  # texts, or lists of different lengths
        raise TypeError(wrong) from None
    if found.ndim != 1 or not found.size or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(wrong)
    return found


def place_of_network(value: Any, n: int) -> int:
    """Return the number of one of n networks, counted from the end if it is negative."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"the number of a network must be an integer or a slice; got {shown(value)}"
        ) from None
    if not -n <= number < n:
        verb = "is" if n == 1 else "are"
        raise IndexError(f"there {verb} {counted(n, 'network')}; got number {number}")
    return number % n


def history_name(name: str, known: Sequence[str]) -> str:
    """Return the name of a value recorded in histories."""
    is_validated = any(other.startswith("val_") for other in known)
    if isinstance(name, str) and name.startswith("val_") and not is_validated:
        other = name.removeprefix("val_")
        raise ValueError(
            f"the fits have no {name!r}, since fit_many had no validation; pass validation=, or "
            f"choose by={other if other in known else 'loss'!r}"
        )
    return choice("by", name, known)


def modes(value: Any) -> dict[str, str]:
    """Return whether lower or higher is better, "min" or "max", by the name of a metric."""
    if not isinstance(value, dict):
        raise TypeError(f"modes must be an object; got {shown(value)}")
    return {name: choice("modes", mode, ("min", "max")) for name, mode in value.items()}


def same_classes(kinds: Sequence[Any]) -> None:
    """Check that networks have the same loss, number of outputs and classes."""
    for kind in kinds:
        if kind != kinds[0]:
            raise ValueError(
                "the networks are not for the same classes: loss, outputs and classes are "
                f"{shown(kinds[0])} and {shown(kind)}; call predict_classes of each network"
            )


def same_outputs(numbers: Sequence[int]) -> None:
    """Check that networks have the same number of outputs."""
    if len(set(numbers)) > 1:
        raise ValueError(
            f"the networks have different numbers of outputs, {min(numbers)} to {max(numbers)}; "
            "call fits[i].predict(X) for each"
        )
