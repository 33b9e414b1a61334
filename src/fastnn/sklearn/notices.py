"""Warnings, attributed as those of scikit-learn's MLPs are.

Here: whose warning it is and which line it shows. Not here: when to warn.
"""

from __future__ import annotations

import sys
import warnings

#: The module that scikit-learn's own MLPs warn from.
_MODULE = "sklearn.neural_network._multilayer_perceptron"

#: Packages whose lines are not shown, since a user has not written them.
_PACKAGES = {"fastnn", "sklearn", "joblib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn; filters for scikit-learn's modules apply, and the line shown is the user's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _PACKAGES:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    where = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, category, *where, module=_MODULE, registry=registry)


def _package(namespace: dict[str, object]) -> str:
    """Return the first part of a module's name."""
    return str(namespace.get("__name__", "")).partition(".")[0]
