"""Warnings that are attributed in the same way as those of scikit-learn's MLPs.

Here: the module and the line that a warning is attributed to. Not here: when to warn.
"""

from __future__ import annotations

import sys
import warnings

#: The module to which warnings of scikit-learn's own MLPs are attributed.
_MODULE = "sklearn.neural_network._multilayer_perceptron"

#: Packages whose lines are skipped, since the user has not written them.
_PACKAGES = {"fastnn", "sklearn", "joblib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn so that filters for scikit-learn's module apply, and show the user's line."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _package(frame.f_globals) in _PACKAGES:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    where = frame.f_code.co_filename, frame.f_lineno
    warnings.warn_explicit(message, category, *where, module=_MODULE, registry=registry)


def _package(namespace: dict[str, object]) -> str:
    """Return the first component of a module's name."""
    return str(namespace.get("__name__", "")).partition(".")[0]
