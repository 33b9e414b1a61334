"""Specifications of losses: names, parameters, the outputs and the targets that each one takes.

Not here: arithmetic. Values and derivatives are in engine/simd/losses.h and, in NumPy, in
reference/. ARCHITECTURE.md lists the places of a new loss.

A row's loss is the sum over the outputs; ``reduction`` of the MLP says how rows are put together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastnn import _checks


@dataclass(frozen=True)
class Targets:
    """A kind of targets: their range, and whether they are classes."""

    low: float = -math.inf
    high: float = math.inf
    are_classes: bool = False  # labels 0, 1, ... (n,), or rows of probabilities that sum to 1


#: Kinds of targets by the name that `Loss.targets` has.
TARGETS = {
    "real": Targets(),
    "positive": Targets(low=0.0),
    "probability": Targets(low=0.0, high=1.0),
    "class": Targets(low=0.0, high=1.0, are_classes=True),
}


class Loss:
    """The base class of losses.

    Attributes
    ----------
    name : str
        The name that `MLP` accepts.
    outputs : tuple of str or None
        Activations that the output layer may have; None for any.
    targets : str
        The kind of targets: "real", "positive" (0 or more), "probability" (0 to 1) or "class".
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...] | None] = None
    targets: ClassVar[str] = "real"

    @property
    def takes(self) -> Targets:
        """The range of the targets, and whether they are classes."""
        return TARGETS[self.targets]

    @property
    def shares_target(self) -> bool:
        """Whether one target serves all outputs."""
        return False

    def n_classes(self, n_out: int) -> int | None:
        """Return the number of classes of `n_out` outputs, or None in regression."""
        if self.takes.are_classes:
            return n_out
        is_binary = self.targets == "probability" and n_out == 1
        return 2 if is_binary else None

    def parameter(self, n_out: int) -> list[float] | None:
        """Return the loss's parameter for each of `n_out` outputs, or None without one."""
        return None


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error ``E = 1/2 sum_k (y_k - t_k)**2``, with the factor 1/2; for regression."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error ``E = sum_k |y_k - t_k|``; for regression towards the median."""

    name: ClassVar[str] = "absolute_error"


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: squared near the target, absolute far from it (Huber 1964).

    With ``r = y - t``: ``1/2 r**2`` where ``|r| <= delta``, else ``delta * (|r| - delta / 2)``.

    Parameters
    ----------
    delta : float, default 1.0
        The distance at which the two meet, in units of the target.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", _checks.number("delta", self.delta, above=0.0))

    def parameter(self, n_out: int) -> list[float]:
        """Return delta for each output."""
        return [self.delta] * n_out


@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss: the output learns the q-quantile of the target (Koenker, Bassett 1978).

    With ``u = t - y``: ``E = sum_k max(q_k u_k, (q_k - 1) u_k)``.

    Parameters
    ----------
    q : float or sequence of float, default 0.5
        The quantile, between 0 and 1. A sequence has one for each output, and a single column of
        targets serves all of them.
    """

    q: float | Sequence[float] = 0.5
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", _checks.quantiles(self.q))

    @property
    def shares_target(self) -> bool:
        """Whether one target serves all outputs: each output is another quantile of it."""
        return isinstance(self.q, tuple)

    def parameter(self, n_out: int) -> list[float]:
        """Return q for each output; raise a ValueError if their numbers differ."""
        return _checks.one_per_output("q", self.q, n_out)


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson's negative log-likelihood ``E = sum_k (y_k - t_k log y_k)``, for counts and rates.

    The output is the expected count, so its activation is "exp" or "softplus". The term
    ``log(t!)``, which no weight changes, is left out.
    """

    name: ClassVar[str] = "poisson"
    outputs: ClassVar[tuple[str, ...]] = ("exp", "softplus")
    targets: ClassVar[str] = "positive"


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross-entropy ``E = -sum_k [t_k log y_k + (1 - t_k) log(1 - y_k)]``.

    For binary classification and, with several outputs, multi-label classification; the outputs
    have the activation sigmoid. It is computed from the pre-activations, and finite for all of
    them.
    """

    name: ClassVar[str] = "binary_cross_entropy"
    outputs: ClassVar[tuple[str, ...]] = ("sigmoid",)
    targets: ClassVar[str] = "probability"


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy ``E = -sum_g t_g log y_g`` of class labels, one-hot rows or probability rows.

    For multi-class classification; the outputs have the activation softmax. It is computed from the
    pre-activations, and finite for all of them.
    """

    name: ClassVar[str] = "cross_entropy"
    outputs: ClassVar[tuple[str, ...]] = ("softmax",)
    targets: ClassVar[str] = "class"


#: Kinds of losses by name.
KINDS: dict[str, type[Loss]] = {
    loss.name: _checks.explaining(loss)
    for loss in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        Poisson,
        BinaryCrossEntropy,
        CrossEntropy,
    )
}

NAMES = tuple(KINDS)

#: Keras' names of losses that are the same to the letter.
ALIASES = {
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}


def get(loss: str | Loss) -> Loss:
    """Return the specification for a name; return a specification as it is."""
    if isinstance(loss, Loss):
        return loss
    return KINDS[_checks.choice("loss", loss, NAMES, ALIASES, _checks.names.LOSSES)]()


if not TYPE_CHECKING:  # who would let any name pass
    __getattr__ = _checks.names_of_module(__name__, _checks.names.LOSSES)
