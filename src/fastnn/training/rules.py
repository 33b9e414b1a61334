"""Rules: callbacks that the engine carries out by itself, as it takes them.

Not here: which fits it carries out (whole.py), and what the rules do (engine/watch.pxd).
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


class Followed(Callback):
    """A callback of fastnn's own that the engine can carry out, and that sees its epochs later.

    Its hooks do the same where the engine cannot.
    """

    def rule(self) -> dict[str, Any] | None:
        """Return it as the engine takes it, None if it has to be called.

        "metric" is a metric of the validation rows that it follows, None for none; "squares" the
        name of one that there is already, or None.
        """
        raise NotImplementedError

    def begin(self, model: MLP, samples: int) -> None:
        """Begin a training of so many rows whose hooks are not called."""
        raise NotImplementedError

    def see(self, logs: Logs, scores: NDArray[np.float64] | None) -> None:
        """See the values of epochs that the engine has trained, and its own metric's of them."""
        raise NotImplementedError

    def keep_best(self, weights: list[NDArray[Any]] | None) -> None:
        """Keep the best weights so far, if the rule has any."""
        raise NotImplementedError

    def end(self, seconds: float) -> None:
        """End such a training, which took so long."""
        raise NotImplementedError


#: Hooks, which may be set on an object, too.
_HOOKS = {name for name in dir(EarlyStopping) if name.startswith("on_")}


def is_rule(callback: Any, metrics: Mapping[str, Resolved]) -> bool:
    """Whether a callback is one that the engine knows, with nothing of a user's in it."""
    if isinstance(callback, Followed):
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
    """Return callbacks as the engine takes them, and the metrics of validation rows that they add.

    These come after `metrics`, those that the logs have.
    """
    rules: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    for callback in callbacks:
        if isinstance(callback, Followed):
            rule = dict(callback.rule() or {})
            metric, squares = rule.pop("metric"), rule["squares"]
            rule["score"] = -1 if metric is None else len(metrics) + len(added)
            rule["squares"] = -1 if squares is None else list(metrics).index(squares)
            added += [] if metric is None else [{"name": None, **metric}]
        else:
            rule = _rule_of(callback, metrics)
        rules.append(rule)
    return rules, added


def _rule_of(callback: Any, metrics: Mapping[str, Resolved]) -> dict[str, Any]:
    """Return EarlyStopping or ReduceLROnPlateau as the engine takes it."""
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
