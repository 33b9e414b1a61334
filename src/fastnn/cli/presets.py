"""The presets of `fastnn train`: the defaults of its options.

`good` is the recipe of tabular/ensemble.py, several networks that need no tuning, trained by
preset_good.py. `plain` is one network whose options are set by hand, trained by fitting.py, or
several of them, trained by several.py. Here: the defaults of both presets, and which options belong
to which. Not here: the options themselves (train_options.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.cli.options import UsageError
from fastnn.tabular.ensemble import N_NETS, Settings

if TYPE_CHECKING:
    import argparse

#: Defaults of the options. None means a rule, or that there is no value.
DEFAULTS: dict[str, dict[str, Any]] = {
    "good": {
        "hidden": [*Settings.hidden],
        "activation": Settings.activation,
        "dropout": Settings.dropout,
        "learning_rate": Settings.learning_rate,
        "weight_decay": Settings.weight_decay,
        "batch_size": Settings.batch_size,
        "epochs": Settings.epochs,
        "validation": Settings.validation,
        "ensemble": N_NETS,
        "refit": True,
    },
    "plain": {
        "hidden": [128, 64],
        "activation": "relu",
        "dropout": 0.0,
        "learning_rate": None,
        "weight_decay": None,
        "batch_size": 64,
        "epochs": 200,
        "validation": 0.1,
        "ensemble": 1,
        "refit": False,
        "l2": 0.0,
        "optimizer": None,
        "patience": 10,
        "by": None,
        "search": None,
    },
}

NAMES = tuple(DEFAULTS)

#: The options that `good` does not have; stating one of them selects `plain`.
_OF_PLAIN = [name for name in DEFAULTS["plain"] if name not in DEFAULTS["good"]]


def settle(options: argparse.Namespace) -> None:
    """Choose the preset if none is stated, and set the options that are not stated."""
    stated = [name for name in _OF_PLAIN if getattr(options, name) is not None]
    if options.preset is None:
        options.preset = "plain" if stated else "good"
    elif options.preset == "good" and stated:
        raise UsageError(
            f"--{stated[0].replace('_', '-')} is for --preset plain; leave it out, or --preset good"
        )
    elif options.preset == "plain" and options.refit is not None:
        raise UsageError(
            "--no-refit is for --preset good; --preset plain trains once: leave it out"
        )
    for name, value in DEFAULTS["plain"].items():
        if getattr(options, name) is None:
            setattr(options, name, DEFAULTS[options.preset].get(name, value))


def shown(name: str) -> str:
    """Return the defaults of an option as text for --help."""
    good, plain = (_text(DEFAULTS[preset][name]) for preset in NAMES)
    return f"default: {good}" if good == plain else f"default: {good}; plain: {plain}"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else f"{value}"
