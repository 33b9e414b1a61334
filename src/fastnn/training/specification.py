"""Specification: the checked arguments that define a network.

Not here: weights and other state (state.py), the form in which the kernels take a specification
(binding.py), plain data (exchange/configuration.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastnn import _checks, activations, initializers, losses, optimizers
from fastnn._precision import POLICIES
from fastnn.layers import (
    KINDS,
    Dense,
    Dropout,
    MemberDense,
    parameters,
    with_widths,
)
from fastnn.schedules import Adaptive, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import DTypeLike

    from fastnn.layers import Draw, Layer
    from fastnn.losses import Loss
    from fastnn.optimizers import Optimizer


@dataclass(frozen=True, eq=False, repr=False)
class Specification:
    """The checked arguments of `MLP`; `policy` is its `dtype`.

    `checked` makes one from a user's arguments. Two fields can change afterwards: the learning rate
    in `optimizer`, and `policy` in a copy of the network.
    """

    n_in: int
    layers: tuple[Layer, ...]
    loss: Loss
    optimizer: Optimizer
    reduction: str
    scale_penalties: bool
    policy: str
    seed: int | None
    n_threads: int | None

    @classmethod
    def checked(
        cls,
        n_in: int,
        layers: Iterable[Layer],
        *,
        loss: str | Loss | Callable[..., Any],
        optimizer: str | Optimizer,
        reduction: str,
        scale_penalties: bool,
        dtype: DTypeLike,
        seed: int | None,
        n_threads: int | None,
    ) -> Specification:
        """Return the specification that a user's arguments describe."""
        found = cls(
            n_in=_checks.n_in(n_in),
            layers=tuple(_checks.layers(layers, KINDS)),
            loss=losses.get(loss),
            optimizer=optimizers.get(
                _checks.specification(
                    "optimizer", optimizer, optimizers.Optimizer, optimizers.NAMES
                )
            ),
            reduction=_checks.choice("reduction", reduction, ("mean", "sum")),
            scale_penalties=_checks.flag("scale_penalties", scale_penalties),
            policy=_checks.policy(dtype),
            n_threads=_checks.n_threads(n_threads, None),
            seed=_checks.seed(seed),
        )
        _checks.pair(found.loss, activations.get(found.dense[-1].activation), found.n_out)
        _checks.ascent(found.optimizer, found.dense)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the fields, without the cached properties."""
        return Specification, tuple(getattr(self, field.name) for field in fields(self))

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Precision of weights, inputs and outputs."""
        return POLICIES[self.policy]

    @cached_property
    def n_out(self) -> int:
        """Number of outputs."""
        n = self.n_in
        for layer, n_in in with_widths(self.layers, self.n_in):
            n = layer.width(n_in)
        return n

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters by the names of their tensors, in the order of `get_weights`."""
        return parameters(self.layers, self.n_in)

    @cached_property
    def draws(self) -> tuple[tuple[int, Draw], ...]:
        """The draws of initial weights, each with the number of its layer with parameters."""
        found, number = [], 0
        for layer, n_in in with_widths(self.layers, self.n_in):
            found += [(number, draw) for draw in layer.draws(n_in)]
            number += bool(layer.parameters(n_in))
        return tuple(found)

    @cached_property
    def uniform_draws(self) -> tuple[tuple[int, int, int, float], ...] | None:
        """The draws if all are uniform: (number of the layer, rows, columns, bound) for each.

        None if a parameter has another distribution. Parameters that begin at 0 are not drawn.
        """
        found = []
        for number, (name, first, initializer, shape) in self.draws:
            bound = initializers.bound(initializer, shape)
            if bound is not None and name == "W" and first == 0:
                found.append((number, *shape, bound))
            elif initializer != "zeros":
                return None
        return tuple(found)

    @cached_property
    def has_dropout(self) -> bool:
        """Whether a layer drops inputs, so that dropout masks are drawn."""
        return any(isinstance(layer, Dropout) for layer in self._pieces)

    @cached_property
    def with_parameters(self) -> tuple[Layer, ...]:
        """The layers that have parameters, including frozen layers."""
        layers = with_widths(self.layers, self.n_in)
        return tuple(layer for layer, n_in in layers if layer.parameters(n_in))

    @cached_property
    def needs_no_python(self) -> bool:
        """Whether the engine can carry out a whole fit: loss and schedule need no Python code."""
        is_own = isinstance(self.loss, losses.CustomLoss)
        return not (is_own or isinstance(self.optimizer.schedule, Adaptive))

    @cached_property
    def has_short_path(self) -> bool:
        """Whether a fit can take the short path: it logs losses only, and some layer is trained."""
        is_trained = any(layer.trainable for layer in self.with_parameters)
        return self.needs_no_python and self.optimizer.schedule is None and is_trained

    @property
    def _pieces(self) -> list[Layer]:
        """The pieces of all layers."""
        return [piece for layer in self.layers for piece in layer.pieces()]

    @cached_property
    def dense(self) -> tuple[Dense, ...]:
        """The Dense layers, including those within other layers; the output layers of an Ensemble's
        members count as one."""
        found = (_dense_of(layer) for layer in self._pieces)
        return tuple(layer for layer in found if layer is not None)

    @cached_property
    def dropout_rates(self) -> tuple[float, ...]:
        """For each Dense, the rate at which its input is dropped in training."""
        rates, kept = [], 1.0
        for layer in self._pieces:
            if isinstance(layer, Dropout):
                kept *= 1.0 - layer.rate  # two masks in a row keep what both of them keep
                continue
            if _dense_of(layer) is not None:
                rates.append(1.0 - kept)
            kept = 1.0
        return tuple(rates)

    def with_trainable(self, numbers: Iterable[int], trainable: bool) -> Specification:
        """Return a specification in which the layers of these numbers are trained or frozen."""
        layers = list(self.layers)
        for i in numbers:
            layers[i] = layers[i].with_trainable(trainable)
        return replace(self, layers=tuple(layers))

    def with_seed(self, seed: int | None) -> Specification:
        """Return a specification with another seed, which shares the cached properties."""
        twin = object.__new__(Specification)
        vars(twin).update(vars(self), seed=seed)
        return twin

    def with_threads(self, n_threads: int | None) -> Specification:
        """Return a specification with another number of threads, or this one if it is None."""
        return self if n_threads is None else replace(self, n_threads=n_threads)

    def with_rate(self, rate: float | Schedule) -> Specification:
        """Return a specification with another learning rate."""
        rule: Any = self.optimizer
        return replace(self, optimizer=replace(rule, learning_rate=rate))

    @cached_property
    def categories(self) -> dict[int, int]:
        """The number of categories of each column of the inputs that holds categories."""
        found = (layer for layer in self.layers if layer.takes_categories)
        return next((layer.categories(self.n_in) for layer in found), {})

    @cached_property
    def standardizes(self) -> bool:
        """Whether inputs are standardized."""
        return any(layer.standardizes for layer in self.layers)


def _dense_of(layer: Layer) -> Dense | None:
    """Return a piece if it is a Dense, the Dense of a MemberDense, or None."""
    if isinstance(layer, MemberDense):
        return layer.dense
    return layer if isinstance(layer, Dense) else None
