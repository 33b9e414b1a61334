"""Checks of the options of `fit` and related calls, and of the networks they are called on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _conversion
from fastnn._checks.values import counted, integer, is_bool, items, number, reading, seed, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.layers import Layer
    from fastnn.losses import Loss
    from fastnn.optimizers import Optimizer
    from fastnn.splits import StratifiedSplit


# ---- options ------------------------------------------------------------------------------------


#: What a fit shows with verbose=1.
_LINES = "prints one line per epoch, as 2 does in Keras; the callback ProgressBar() shows a bar"


def verbosity(value: object, effect: str = _LINES) -> int:
    """Return 0 or 1; True and False are accepted as these. `effect` says what 1 does."""
    if is_bool(value):
        return int(bool(value))
    if isinstance(value, str) or (isinstance(value, int) and value == 2):
        kind = TypeError if isinstance(value, str) else ValueError
        raise kind(f"verbose must be an integer from 0 to 1; got {shown(value)}: 1 {effect}")
    return integer("verbose", value, low=0, high=1)


def batch_size(value: object) -> int | None:
    """Return a number of rows, or None for all rows."""
    if isinstance(value, str):
        raise TypeError(f"batch_size must be an integer, or None for all rows; got {shown(value)}")
    if isinstance(value, int) and value == -1:
        raise ValueError("batch_size must be at least 1, or None for all rows; got -1")
    return None if value is None else integer("batch_size", value, low=1, high=math.inf)


def shuffle(value: Any, name: str = "shuffle") -> Any:
    """Return whether rows are shuffled, or the object that draws their order."""
    if is_bool(value):
        return bool(value)
    if not callable(getattr(value, "permutation", None)):
        raise TypeError(
            f"{name} must be True or False, or an object with a method permutation(n), such as a "
            f"numpy Generator; got {shown(value)}"
        )
    return value


def order(value: object, n: int) -> NDArray[np.int64]:
    """Return a copy of the order of n rows that a user's `shuffle` object drew."""
    with reading(f"shuffle's permutation({n})"):
        drawn = np.asarray(value)
    if drawn.shape != (n,) or drawn.dtype.kind not in "iu":
        raise ValueError(
            f"shuffle's permutation({n}) must return {counted(n, 'integer')}, the row numbers; it "
            f"returned {shown(value)}"
        )
    found = _conversion.in_dtype(drawn, np.int64, own=True)
    if found.min() < 0 or found.max() >= n:
        raise ValueError(
            f"shuffle's permutation({n}) must return row numbers from 0 to {n - 1}; it returned "
            f"numbers from {found.min()} to {found.max()}"
        )
    return found


def resumable(resume: object, shuffle: object) -> None:
    """Check that a fit to be resumed draws its orders from the network, whose state is saved."""
    if resume is not None and not isinstance(shuffle, bool):
        raise ValueError(
            "resume needs shuffle=True or False: a checkpoint does not store the state of "
            f"shuffle={shown(shuffle)}"
        )


def validation_data(value: Any, name: str = "validation_data") -> tuple[Any, Any, Any]:
    """Return (X, y, sample_weight or None)."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(f"{name} must be (X, y) or (X, y, sample_weight); got {shown(value)}")
    X, y, weight = (*value, None)[:3]
    return X, y, weight


def validation_split(
    value: object, data: object, stratified: type[StratifiedSplit]
) -> float | StratifiedSplit:
    """Return the fraction of rows for validation, or a `stratified` split; 0 for neither."""
    if isinstance(value, stratified):
        split: float | StratifiedSplit = value
    else:
        split = number("validation_split", value, low=0.0, below=1.0)
    if data is not None and split:
        raise ValueError(
            f"validation_data and validation_split={_shown_split(split)} are both given; give one "
            "of them"
        )
    return split


def _shown_split(split: object) -> str:
    """Return a checked split as text of a message."""
    return f"{split:g}" if isinstance(split, float) else repr(split)


def seed_of_split(value: object) -> int:
    """Return the seed of a split, which is not drawn."""
    found = seed(value)
    if found is None:
        raise TypeError("seed must be an int of 0 or more; got None")
    return found


def strata(name: str, value: Any) -> NDArray[Any]:
    """Return the class (n,) of each row, numbers or text."""
    with reading(name):
        found = np.asarray(value)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name} must have the shape (n,), with n above 0; got {found.shape}")
    if found.dtype.kind not in "biufSU":
        kinds = {type(label) for label in found.tolist()}
        if not kinds <= {str}:
            raise TypeError(f"{name} must be numbers or text; it holds {shown(found.tolist()[0])}")
    return found


def some_held_out(is_held_out: NDArray[np.bool_], split: object) -> None:
    """Check that a stratified split holds out a row."""
    n = len(is_held_out)
    if not is_held_out.any():
        rows = "the only row" if n == 1 else f"any of the {n} rows, each the only one of its class"
        raise ValueError(f"{split!r} cannot hold out {rows}; add rows, or pass rows for validation")


def strata_of_loss(argument: str, split: object, loss: Loss, n_out: int) -> None:
    """Check that the targets of a network have classes, by which a split can be stratified."""
    if loss.n_classes(n_out) is None:
        raise ValueError(
            f"{argument}={split!r} needs classes, or one output with targets 0 and 1; this network "
            f"has loss {loss.name!r} and {counted(n_out, 'output')}: pass rows for validation, or "
            f"{argument}={getattr(split, 'fraction', 0.2):g} for the last rows"
        )


def rows_to_train(n: int, split: float, argument: str = "validation_split", place: str = "") -> int:
    """Return how many of n rows remain for training when the fraction `split` is for validation.

    `argument` is the name of the argument of the fraction; `place` says which rows these are.
    """
    kept = n - max(1, round(n * split))
    if kept < 1 and n == 1:
        data = "validation_data" if argument == "validation_split" else argument
        raise ValueError(
            f"{argument}={split:g} cannot split the only row{place}; give at least two rows, or "
            f"{data}=(X, y) with other rows"
        )
    if kept < 1:
        raise ValueError(
            f"{argument}={split:g} leaves none of {n} rows{place} to train on; lower it"
        )
    return kept


# ---- iterables of batches -----------------------------------------------------------------------


def steps(value: object) -> int | None:
    """Return the number of batches per epoch, or None for all batches of the iterable."""
    return None if value is None else integer("steps_per_epoch", value, low=1)


def no_steps(value: object) -> None:
    """Check that no number of batches is given together with arrays."""
    if value is not None:
        raise ValueError(
            f"steps_per_epoch={shown(value)} is for an iterable of batches; for arrays X and y "
            "give batch_size"
        )


def for_batches(sample_weight: object, split: object, class_weight: object) -> None:
    """Check that no option is given that does not apply to an iterable of batches."""
    if sample_weight is not None:
        raise ValueError(
            "sample_weight cannot be given for an iterable; let it yield (X, y, sample_weight)"
        )
    if split:
        raise ValueError(
            f"validation_split={_shown_split(split)} cannot split an iterable; pass validation_data"
        )
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} needs all labels at once, which an iterable does not "
            "have; pass a dict"
        )


def are_batches(value: Any) -> bool:
    """Whether a value passed without targets is an iterable of batches, not an array."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview | set):
        return False
    if not isinstance(value, Iterable):
        return False
    arrays = ("__array__", "__dlpack__", "dtypes", "tocsr")
    if any(hasattr(value, name) for name in arrays):
        return False
    if isinstance(value, Sequence):
        first = value[0] if len(value) else None
        with reading("X"):
            return isinstance(first, tuple | list) and np.ndim(first[0] if first else 0) > 1
    return True


def no_batches(X: Any, y: object) -> None:
    """Check that X is not an iterable of batches if targets are given, and no data set or function.

    `y` is None if no targets are given, and X is then not an iterable of batches.
    """
    if y is None:
        _no_data_set(X)
        return
    if not are_batches(X):
        return
    yields = isinstance(X[0], tuple) if isinstance(X, Sequence) else not hasattr(X, "__getitem__")
    if yields:
        raise TypeError(
            f"X is the iterable {shown(X)}, from which fit takes batches (X, y) with their own "
            "targets; leave y out, or pass an array of rows"
        )


def _no_data_set(value: Any) -> None:
    """Refuse a data set without `__iter__`, and a function, where batches are expected."""
    if _conversion.is_indexed_only(value):
        raise TypeError(
            f"X is {shown(value)}, whose items can only be read by their index; pass an iterable "
            "of batches: [X[i] for i in range(len(X))] if its items are batches, or a DataLoader "
            "if they are rows"
        )
    if callable(value) and not hasattr(value, "__array__"):
        raise TypeError(f"X is {shown(value)}; call it, and pass the iterable that it returns")


def batch(place: str, value: Any) -> tuple[Any, Any, Any]:
    """Return (X, y, sample_weight or None) from one item of an iterable."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise TypeError(
            f"{place} of the iterable must be (X, y) or (X, y, sample_weight); it is {shown(value)}"
        )
    X, y, weight = (*value, None)[:3]
    return X, y, weight


def iterator_of_this_process(is_lost: bool) -> None:
    """Check that no thread of the parent was reading the iterator when this process was forked."""
    if is_lost:
        raise RuntimeError(
            "this process was forked while a thread of its parent was reading the iterable; end "
            "the child by os._exit, or call fit there with an iterable created in the child"
        )


def some_batches(rows: int, epoch: int) -> None:
    """Check that an epoch had any rows."""
    if rows == 0:
        raise ValueError(
            f"the iterable gave no batch in epoch {epoch + 1}; pass one that can be iterated over "
            "again, such as a list or an object with __iter__, or steps_per_epoch"
        )


def some_weight(total: float, epoch: int) -> None:
    """Check that the weights of all rows of an epoch, whose sum is `total`, are not 0."""
    if total == 0:
        raise ValueError(
            f"all rows of epoch {epoch + 1} have weight 0, so no row would count; drop "
            "sample_weight or class_weight"
        )


# ---- what a network must have -------------------------------------------------------------------


def network(name: str, value: object, kind: type) -> None:
    """Check that a value is an instance of the network class `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be an MLP; got {shown(value)}")


def trainable(layers: Iterable[Layer]) -> None:
    """Check that at least one layer with parameters is trainable."""
    if not any(layer.trainable for layer in layers):
        raise ValueError(
            "every layer with weights has trainable=False, so nothing would be learned; call "
            "net.unfreeze()"
        )


def numbers_of_layers(value: Any, n: int) -> list[int]:
    """Return layer indices from 0; None means all layers, negative indices count from the end."""
    if value is None:
        return list(range(n))
    found = [value] if isinstance(value, int | np.integer) else items(value)
    if found is None or not all(isinstance(i, int | np.integer) for i in found):
        raise TypeError(
            "layers must be the index of a layer in net.layers, a list of them, or None for all; "
            f"got {shown(value)}"
        )
    return [integer("layers", i, low=-n, high=n - 1) % n for i in found]


def number_of_output(value: object, n_out: int) -> int:
    """Return the number of one of n_out outputs."""
    try:
        return integer("output", value, low=0, high=n_out - 1)
    except ValueError:
        numbers = "number 0" if n_out == 1 else f"numbers 0 to {n_out - 1}"
        raise ValueError(
            f"this network has {counted(n_out, 'output')}, {numbers}; got output={shown(value)}"
        ) from None


def idle(fit: object, remedy: str = "wait, or fit a copy of it") -> None:
    """Check that no fit of the network is in progress."""
    if fit is not None:
        raise RuntimeError(f"this network is being fitted already; {remedy}")


def not_trained(now: tuple[int, int], before: tuple[int, int]) -> None:
    """Check that counts (updates, epochs) are as before: no other thread trained the network."""
    if now != before:
        raise RuntimeError(
            "this model is being trained in another thread; wait for it, or save and copy it in a "
            "callback of the fit"
        )


def adapted(ready: bool) -> None:
    """Check that a Standardize layer has seen data."""
    if not ready:
        raise ValueError(
            "the Standardize layer has not seen data, so X cannot be standardized; call adapt(X) "
            "with some rows first, or fit with arrays, not batches"
        )


def standardizes(does: bool) -> None:
    """Check that the network has a Standardize layer."""
    if not does:
        raise ValueError(
            "this MLP has no Standardize layer to adapt; build it with layers=[Standardize(), ...]"
        )


def averages(optimizer: Optimizer) -> None:
    """Check that an optimizer keeps a moving average of the weights."""
    if optimizer.is_average:
        raise ValueError(
            f"optimizer {optimizer.name!r} keeps no moving average of the weights, which are an "
            "average already; use the network as it is"
        )
    if not optimizer.use_ema:
        raise ValueError(
            f"optimizer {optimizer.name!r} keeps no moving average of the weights; build it with "
            "use_ema=True"
        )
