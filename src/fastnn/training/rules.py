"""Rules: callbacks in the form in which the engine carries them out.

Not here: which fits the engine carries out as a whole (whole.py), and what the rules do
(engine/watch.pxd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from fastnn.metrics import higher_is_better

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastnn.metrics import Resolved
    from fastnn.mlp import MLP

    Logs = Mapping[str, NDArray[np.float64]]


class EngineCallback(Callback):
    """A callback of fastnn that the engine can carry out as a rule; it gets the epochs afterwards.

    Its hooks do the same in fits that the engine cannot carry out as a whole.
    """

    def rule(self) -> dict[str, Any] | None:
        """Return the rule for the engine, or None if the callback has to be called.

        "metric" is a further metric of the validation rows that the rule follows, or None;
        "squares" is the name of a metric of the fit, or None; the engine subtracts the metric times
        "squares_factor" from the loss.
        """
        raise NotImplementedError

    def begin(self, model: MLP, samples: int) -> None:
        """Begin a training, of `samples` rows, in which no hooks are called."""
        raise NotImplementedError

    def take_epochs(self, logs: Logs, scores: NDArray[np.float64] | None) -> None:
        """Take the logs of epochs that the engine has trained, and the values of the rule's metric.

        `scores` is None if the rule has no metric of its own.
        """
        raise NotImplementedError

    def keep_best(self, weights: list[NDArray[Any]] | None) -> None:
        """Keep the best weights so far; None if the rule keeps none."""
        raise NotImplementedError

    def end(self, seconds: float) -> None:
        """End a training that `begin` began and that took this many seconds."""
        raise NotImplementedError


#: Names of hooks; a user may also set one on an instance.
_HOOKS = {name for name in dir(EarlyStopping) if name.startswith("on_")}


def is_rule(callback: Any, metrics: Mapping[str, Resolved]) -> bool:
    """Whether the engine can carry out a callback: its class and hooks are fastnn's, unchanged."""
    if isinstance(callback, EngineCallback):
        return callback.rule() is not None
    return (
        type(callback) in (EarlyStopping, ReduceLROnPlateau)
        and callback.monitor.removeprefix("val_") in ("loss", *metrics)
        and not vars(callback).keys() & _HOOKS
        and not callback._resumed
    )


def engine_rules(
    callbacks: list[Any], metrics: Mapping[str, Resolved]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rules of callbacks, and the metrics of validation rows that these rules add.

    The engine numbers the added metrics after `metrics`, the metrics in the logs.
    """
    rules: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    for callback in callbacks:
        if isinstance(callback, EngineCallback):
            rule = dict(callback.rule() or {})
            metric, subtracted = rule.pop("metric"), rule["squares"]
            rule["score"] = -1 if metric is None else len(metrics) + len(added)
            rule["squares"] = -1 if subtracted is None else list(metrics).index(subtracted)
            added += [] if metric is None else [{"name": None, **metric}]
        else:
            rule = _rule_of(callback, metrics)
        rules.append(rule)
    return rules, added


def _rule_of(callback: Any, metrics: Mapping[str, Resolved]) -> dict[str, Any]:
    """Return the rule of an EarlyStopping or a ReduceLROnPlateau."""
    mode, monitor = callback.mode, callback.monitor
    name = monitor.removeprefix("val_")
    higher = mode == "max"
    if mode == "auto":
        higher = higher_is_better(monitor, metrics)
    rule: dict[str, Any] = {
        "value": (name != monitor, -1 if name == "loss" else list(metrics).index(name)),
        "higher": higher,
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
