"""Fits that the engine carries out by itself, without Python between epochs.

It can if nobody listens but callbacks that it knows as rules. Not here: the loop over epochs with
listeners of other kinds (loop.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _precision
from fastnn.callbacks import EarlyStopping, ReduceLROnPlateau, SwapEMAWeights
from fastnn.metrics import higher_is_better
from fastnn.training.calls import divergence_of_fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fastnn._kernels_f32 import WholeFit
    from fastnn.callbacks import Callback
    from fastnn.training.rows import Rows
    from fastnn.training.specification import Specification
    from fastnn.training.state import State

    Logs = dict[str, NDArray[Any]]

#: The losses that rules can follow.
_FOLLOWED = ("loss", "val_loss")


def is_possible(spec: Specification, callbacks: Sequence[Callback]) -> bool:
    """Whether the engine can carry out a fit of such a network with these callbacks."""
    known = (type(c) is SwapEMAWeights or _is_rule(c) for c in callbacks)
    return spec.is_whole and all(known)


def judges_averages(callbacks: Sequence[Callback]) -> bool:
    """Whether validation takes the moving averages of the weights."""
    return any(isinstance(callback, SwapEMAWeights) for callback in callbacks)


def rules_of(callbacks: Sequence[Callback]) -> list[Any]:
    """Return those callbacks that the engine has as rules, in the order in which it has them."""
    return [callback for callback in callbacks if not isinstance(callback, SwapEMAWeights)]


def _is_rule(callback: Any) -> bool:
    """Whether a callback is one that the engine knows, with nothing of a user's in it."""
    return (
        type(callback) in (EarlyStopping, ReduceLROnPlateau)
        and callback.monitor in _FOLLOWED
        and not vars(callback).keys() & _HOOKS
        and not callback._resumed
    )


#: How a fit has ended whose loss isn't finite: in a step, or after an epoch.
DIVERGED = ("diverged", "diverged after")

#: Hooks, which may be set on an object, too.
_HOOKS = {name for name in dir(EarlyStopping) if name.startswith("on_")}


def rule_of(callback: Any) -> dict[str, Any]:
    """Return a callback as the engine takes it."""
    mode = callback.mode
    rule: dict[str, Any] = {
        "on_validation": callback.monitor == "val_loss",
        "higher": higher_is_better(callback.monitor) if mode == "auto" else mode == "max",
        "min_delta": callback.min_delta,
        "patience": callback.patience,
    }
    if isinstance(callback, EarlyStopping):
        return rule | {
            "kind": "stops",
            "start_from": callback.start_from_epoch,
            "baseline": callback.baseline,
            "restores": callback.restore_best_weights,
        }
    return rule | {
        "kind": "lowers",
        "factor": callback.factor,
        "least": callback.min_lr,
        "cooldown": callback.cooldown,
    }


def logs_rate(spec: Specification, callbacks: Sequence[Callback]) -> bool:
    """Whether the logs of epochs have the learning rate."""
    lowers = any(isinstance(callback, ReduceLROnPlateau) for callback in callbacks)
    return lowers or spec.optimizer.schedule is not None


def make(
    state: State,
    source: Rows,
    numbers: NDArray[Any] | None,
    validation: Rows | None,
    validation_numbers: NDArray[Any] | None,
    *,
    batch: int,
    epochs: int,
    generator: np.random.BitGenerator | None,
    callbacks: Sequence[Callback],
) -> WholeFit:
    """Return a fit for the engine, of rows of a source: those of these numbers, None for all.

    `generator` draws the orders of epochs; None where rows are not shuffled.
    """
    spec = state.specification
    judged = None
    if validation is not None:
        judged = (*validation.arrays()[:4], validation_numbers)
    kernels: Any = _precision.KERNELS[spec.dtype]
    whole: WholeFit = kernels.WholeFit(
        state.network,
        (*source.arrays()[:4], numbers),
        generator=generator,
        validation=judged,
        batch=batch,
        epochs=epochs,
        rules=[rule_of(callback) for callback in rules_of(callbacks)],
        logs_rate=logs_rate(spec, callbacks),
        tries_each_epoch=bool(callbacks),
        judges_averages=judges_averages(callbacks),
        first_moment=spec.optimizer.initial_moment,
    )
    return whole


def keep_rate(state: State) -> None:
    """Let the specification have the learning rate that rules have set in the engine."""
    optimizer: Any = state.specification.optimizer
    if optimizer.schedule is None and optimizer.learning_rate != state.network.rate:
        state.set_learning_rate(state.network.rate)


def tell(callbacks: Sequence[Any], whole: WholeFit) -> None:
    """Give callbacks the state that they would have, had they been called."""
    pairs = zip(rules_of(callbacks), whole.state_of_rules(), strict=True)
    for number, (callback, found) in enumerate(pairs):
        for name in callback._kept:
            if name == "best_weights":
                callback.best_weights = whole.best_parameters(number)
            else:
                setattr(callback, name, found[name])


def divergence(state: State, whole: WholeFit, is_weighted: bool) -> FloatingPointError:
    """Go back to the last good weights of a fit that diverged; return the error that says so."""
    loss, overflowed, _, rate = whole.failure
    dropped = state.network.restore(state.specification.optimizer.initial_moment)
    return divergence_of_fit(state, loss, overflowed, when(whole), is_weighted, dropped, rate)


def when(whole: WholeFit) -> str:
    """Return when the loss of a fit was no longer finite, as a message says it."""
    if whole.ended == "diverged":
        return f"in epoch {whole.epoch + 1}, step {whole.failure[2]}"
    return f"after epoch {whole.epoch + 1}"
