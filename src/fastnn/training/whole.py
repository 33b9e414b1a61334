"""Fits that the engine carries out as a whole, without Python between epochs.

This is possible if all callbacks are rules that the engine knows and all metrics are fastnn's own.
Not here: the rules (rules.py); the loop over epochs for other callbacks and metrics (loop.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _precision
from fastnn.callbacks import ReduceLROnPlateau, SwapEMAWeights
from fastnn.training.calls import Divergence, divergence_of_fit
from fastnn.training.orders import RowOrder
from fastnn.training.rules import EngineCallback, engine_rules, is_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastnn._kernels_f32 import WholeFit
    from fastnn.callbacks import Callback
    from fastnn.metrics import Resolved
    from fastnn.training.rows import Rows
    from fastnn.training.specification import Specification
    from fastnn.training.state import State

    Logs = dict[str, NDArray[Any]]

#: The metrics of a fit without metrics.
_NONE: Mapping[str, Resolved] = {}


def is_possible(
    spec: Specification, callbacks: Sequence[Callback], metrics: Mapping[str, Resolved] = _NONE
) -> bool:
    """Whether the engine can carry out a whole fit of a network with these callbacks."""
    known = (type(c) is SwapEMAWeights or is_rule(c, metrics) for c in callbacks)
    return spec.needs_no_python and all(known)


def can_compute_metrics(metrics: Mapping[str, Resolved], *sources: Rows | None) -> bool:
    """Whether the engine can compute these metrics on the given sources (None: no rows)."""
    weights = [rows.used(rows.sample_weight) for rows in sources if rows is not None and metrics]
    return all(metric.kernel is not None for metric in metrics.values()) and all(
        w is None or (w.ndim == 1 and w.min() > 0) for w in weights
    )


def can_draw_orders(shuffle: Any) -> bool:
    """Whether the engine can draw the orders of rows of a fit with this `shuffle`."""
    return isinstance(shuffle, bool) or type(shuffle) is RowOrder


def generator_of(state: State, shuffle: Any) -> Any:
    """Return the bit generator that draws the orders of rows, or None without shuffling."""
    if shuffle is False:
        return None
    if shuffle is True:
        return state.shuffler
    return getattr(shuffle, "bit_generator", None) or shuffle._bit_generator


def judges_averages(callbacks: Sequence[Callback]) -> bool:
    """Whether validation uses the moving averages of the weights."""
    return any(isinstance(each, SwapEMAWeights) for each in callbacks)


def rules_of(callbacks: Sequence[Callback]) -> list[Any]:
    """Return the callbacks that are rules of the engine, in the engine's order."""
    return [callback for callback in callbacks if not isinstance(callback, SwapEMAWeights)]


def logs_rate(spec: Specification, callbacks: Sequence[Callback]) -> bool:
    """Whether the logs of epochs include the learning rate."""
    if spec.optimizer.schedule is not None:
        return True
    return any(isinstance(each, ReduceLROnPlateau) for each in callbacks)


class WholeFits:
    """Makes fits for the engine, of networks with the same specification, rows and callbacks."""

    def __init__(
        self,
        spec: Specification,
        source: Rows,
        validation: Rows | None,
        callbacks: Sequence[Callback],
        metrics: Mapping[str, Resolved] = _NONE,
    ) -> None:
        rules, added = engine_rules(rules_of(callbacks), metrics)
        judge = [{"name": name, **(metric.kernel or {})} for name, metric in metrics.items()]
        weights = validation.sample_weight if judge and validation is not None else None
        self.kernels: Any = _precision.KERNELS[spec.dtype]
        self.rows = source.for_loss()
        self.validation = None if validation is None else validation.for_loss()
        self.options = {
            "judge": (judge, source.sample_weight if judge else None),
            "validation_judge": (judge + added, weights),
            "rules": rules,
            "logs_rate": logs_rate(spec, callbacks),
            "tries_each_epoch": bool(callbacks),
            "judges_averages": judges_averages(callbacks),
            "first_moment": spec.optimizer.initial_moment,
        }

    def make(
        self,
        state: State,
        generator: Any,
        shuffle: Any,
        *,
        batch: int,
        epochs: int,
        numbers: NDArray[Any] | None = None,
        validation_numbers: NDArray[Any] | None = None,
    ) -> WholeFit:
        """Return the fit of a network, with the generator of its orders of rows.

        `numbers` selects rows of the source, None takes all rows; so does `validation_numbers`.
        """
        is_ordered = isinstance(shuffle, RowOrder)
        fit: WholeFit = self.kernels.WholeFit(
            state.network,
            (*self.rows, numbers),
            generator=generator,
            compounds=is_ordered,
            lock=shuffle.lock if is_ordered else None,
            validation=None if self.validation is None else (*self.validation, validation_numbers),
            batch=batch,
            epochs=epochs,
            **self.options,
        )
        return fit


def keep_rate(state: State) -> None:
    """Copy the learning rate, which rules may have changed in the engine, to the specification."""
    optimizer: Any = state.specification.optimizer
    if optimizer.schedule is None and optimizer.learning_rate != state.network.rate:
        state.set_learning_rate(state.network.rate)


def update_callbacks(callbacks: Sequence[Any], fit: WholeFit) -> None:
    """Set the state of the callbacks as if their hooks had been called."""
    pairs = zip(rules_of(callbacks), fit.state_of_rules(), strict=True)
    for number, (callback, found) in enumerate(pairs):
        if isinstance(callback, EngineCallback):
            pass_epochs(callback, fit, found)
            callback.keep_best(fit.best_parameters(number))
            continue
        for name in callback._kept:
            if name == "best_weights":
                callback.best_weights = fit.best_parameters(number)
            else:
                setattr(callback, name, found[name])


def pass_epochs(callback: EngineCallback, fit: WholeFit, found: Mapping[str, Any]) -> None:
    """Pass the epochs trained last to a callback; `found` is the engine's state of its rule."""
    logs, score = fit.logs(), found["score"]
    if found["by_rows"]:
        logs["loss"] = fit.losses_by_rows()
    callback.take_epochs(logs, fit.scores(score) if score >= 0 else None)


def divergence(state: State, fit: WholeFit, *, steps: int, is_weighted: bool) -> FloatingPointError:
    """Restore the last good weights of a fit that diverged; return the error that reports it.

    `steps` is the number of steps in an epoch.
    """
    found = divergence_in(fit)
    dropped = state.network.restore(state.specification.optimizer.initial_moment)
    state.network.epoch -= fit.epoch - kept_epochs(fit, steps, dropped)
    return divergence_of_fit(state, found, is_weighted=is_weighted, dropped=dropped)


def kept_epochs(fit: WholeFit, steps: int, dropped: int | None) -> int:
    """Return how many epochs of a diverged fit are complete without the `dropped` last updates.

    `steps` is the number of steps in an epoch.
    """
    made = steps  # updates since the last epoch that was counted
    if fit.ended == "diverged":
        _, overflowed, step, _ = fit.failure
        made = step - (not overflowed)
    return fit.epoch + min(0, (made - (dropped or 0)) // steps)


def divergence_in(fit: WholeFit) -> Divergence:
    """Return the loss that was no longer finite in a fit that diverged, and when."""
    loss, overflowed, step, rate = fit.failure
    when = f"after epoch {fit.epoch + 1}"
    if fit.ended == "diverged":
        when = f"in epoch {fit.epoch + 1}, step {step}"
    return Divergence(loss, overflowed, when, rate)
