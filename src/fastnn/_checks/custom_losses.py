"""Checks of a user's loss function, of its results, and of where it cannot be used."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnn._checks.arrays import array_like, as_array
from fastnn._checks.values import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.losses import Loss

    _Loss = TypeVar("_Loss", bound=Loss)


def loss_function(name: str, value: Any) -> None:
    """Check that a value can be called as function(y_true, y_pred)."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} must be a function f(y_true, y_pred); got {shown(value)}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(
            f"{name} is called as f(y_true, y_pred), but the signature of {shown(value)} is "
            f"{signature}: {error}; change it, or wrap it in a def"
        ) from error


def name_of_absent_loss(name: str, value: object) -> str:
    """Return the name of a loss function, which a file stores instead of the function."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be the name of a function; got {shown(value)}")
    return value


def absent_loss(function: str) -> ValueError:
    """Return the error for a loss function of which a file has only the name."""
    return ValueError(
        f"the network's loss is the function {function!r}, which files do not store; load the "
        f"network with fastnn.load(path, loss={function}) to train or evaluate it"
    )


def loss_result(
    value: Any, shape: tuple[int, int], dtype: np.dtype[Any]
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return the result of a loss function: losses (n,) and gradients (n, n_out).

    Losses may be NaN or infinite, which ends training; the gradients are then returned as zeros.
    """
    what = "the loss function"
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(
            f"{what} must return (losses, gradients), arrays of shapes ({shape[0]},) and {shape}; "
            f"it returned {shown(value)}"
        )
    losses = as_array(f"losses of {what}", value[0])
    if losses.shape != shape[:1]:
        raise ValueError(
            f"{what} returned losses of shape {losses.shape} for {shape[0]} rows; return one loss "
            f"for each row, shape ({shape[0]},)"
        )
    losses = losses.astype(np.float64)
    if not np.isfinite(losses).all():
        return losses, np.zeros(shape, dtype)
    return losses, array_like(f"gradients of {what}", value[1], shape, dtype)


def in_kernels(what: str, loss: Loss, remedy: str) -> None:
    """Check that the kernels compute a loss, not a function of the user."""
    if loss.rule != loss.name:
        raise ValueError(f"{what} needs a built-in loss, not a function; {remedy}")


def loss_for_file(value: object, saved: Loss, kind: type[_Loss]) -> _Loss:
    """Return the loss stored in a file; a loss may be passed for it only if it is a function."""
    if not isinstance(saved, kind):
        raise ValueError(
            f"loss={shown(value)} is for a file whose loss is a function; this file has "
            f"{saved.name!r}: leave loss out"
        )
    if not isinstance(value, kind):
        loss_function("loss", value)
    return saved


def loss_for_networks(value: object, n: int) -> None:
    """Check that a file whose loss is passed has networks."""
    if n == 0:
        raise ValueError(
            f"loss={shown(value)} is for a file whose loss is a function; this file has no "
            "networks: leave loss out"
        )
