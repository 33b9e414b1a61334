"""Specifications of learning-rate schedules: parameters, defaults, ranges.

A schedule is the ``learning_rate`` of an optimizer: ``Adam(CosineDecay(1e-3, 10_000))``.

Not here: the formulas. They are in engine/schedules.h, so that the rate can change with every step
inside the compiled loop over an epoch, and in reference/. A new schedule needs a line in each of
the three. `Adaptive` is an exception: it depends on losses, not on time, and is computed here.

The time ``t`` is the number of steps before the current step, or with ``per="epoch"`` the number of
epochs before the current epoch; it starts from 0. Both are counted over all fits of a network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from fastnn import _checks
from fastnn._precision import KERNELS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Base class of schedules: an object that is called with a time and returns the learning rate.

    Attributes
    ----------
    name : str
        The name in a model file.
    per : str
        The unit of time: "step" or "epoch".
    """

    name: ClassVar[str]
    #: Fields that select a formula or its unit of time, and are not numbers in the formula.
    structural: ClassVar[tuple[str, ...]] = ("per",)
    per: str = "step"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _checks.schedule_parameter(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    @property
    def rule(self) -> str:
        """Name of the formula."""
        return self.name

    def parameters(self) -> list[float]:
        """Return the numbers in the formula, in the order that the kernels expect."""
        fields = [f.name for f in dataclasses.fields(self) if f.name not in self.structural]
        return [getattr(self, name) for name in fields]

    def kernel(self) -> dict[str, Any]:
        """Return the schedule in the form that the kernels take."""
        return {
            "name": self.rule,
            "parameters": self.parameters(),
            "warmup": 0.0,
            "start": 0.0,
            "per_epoch": self.per == "epoch",
        }

    @overload
    def __call__(self, t: float) -> float: ...
    @overload
    def __call__(self, t: ArrayLike) -> float | NDArray[np.float64]: ...
    def __call__(self, t: ArrayLike) -> float | NDArray[np.float64]:
        """Return the rate after t steps (epochs): a float, or an array if t is an array."""
        steps = _checks.times("t", t)
        rates = np.empty(steps.size)
        KERNELS[np.dtype(np.float64)].scheduled_rates(self.kernel(), steps.ravel(), rates)
        return float(rates[0]) if steps.ndim == 0 else rates.reshape(steps.shape)


@dataclass(frozen=True)
class Constant(Schedule):
    """``rate = learning_rate``; for use after `LinearWarmup`.

    Parameters
    ----------
    learning_rate : float, default 0.001
    per : {"step", "epoch"}, default "step"
        The unit of time of the warm-up before it.
    """

    learning_rate: float = 1e-3
    name: ClassVar[str] = "constant"


@dataclass(frozen=True)
class StepDecay(Schedule):
    """``rate = initial_learning_rate * decay_rate**floor(t / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Steps (epochs) between two drops.
    decay_rate : float, default 0.1
        The factor by which the rate changes at each drop.
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import StepDecay
    >>> StepDecay(0.1, decay_steps=30, per="epoch")([0, 29, 30, 60]).round(6)
    array([0.1  , 0.1  , 0.01 , 0.001])
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float = 0.1
    name: ClassVar[str] = "step_decay"


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``rate = initial_learning_rate * decay_rate**(t / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Steps (epochs) after which the rate has changed by the factor `decay_rate`.
    decay_rate : float
    staircase : bool, default False
        Whether the exponent is ``floor(t / decay_steps)``, so that the rate changes only every
        `decay_steps`, as with `StepDecay`.
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import ExponentialDecay
    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5)(20)
    0.25
    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.5, staircase=True)([9, 10, 19, 20])
    array([1.  , 0.5 , 0.5 , 0.25])
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: ClassVar[str] = "exponential_decay"
    structural: ClassVar[tuple[str, ...]] = ("per", "staircase")

    @property
    def rule(self) -> str:
        """Name of the formula."""
        return StepDecay.name if self.staircase else self.name


@dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """``rate = values[i]``, where i is the number of boundaries below t.

    The rate is ``values[0]`` up to and including ``t = boundaries[0]``, as in Keras. For a change
    at t, such as a milestone of PyTorch's MultiStepLR, use the boundary ``t - 1``.

    Parameters
    ----------
    boundaries : sequence of float
        Steps (epochs) after which the rate changes, increasing; at least one.
    values : sequence of float
        The rates, one more than there are boundaries; at least 0.
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import PiecewiseConstantDecay
    >>> PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])([0, 10, 11, 20, 21])
    array([1. , 1. , 0.5, 0.5, 0.1])
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: ClassVar[str] = "piecewise_constant_decay"

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.one_more_value(self.boundaries, self.values)

    def parameters(self) -> list[float]:
        """Return the number of boundaries, the boundaries, and the values."""
        return [float(len(self.boundaries)), *self.boundaries, *self.values]


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine down to ``alpha * initial_learning_rate``, then constant.

    ``rate = initial_learning_rate * ((1 - alpha) * (1 + cos(pi t / decay_steps)) / 2 + alpha)`` for
    ``t <= decay_steps`` (Loshchilov, Hutter, ICLR 2017).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Number of steps (epochs) of the decay. For a whole fit this is ``epochs * ceil(rows /
        batch_size)`` steps, minus the steps of a warm-up.
    alpha : float, default 0.0
        The final rate, as a fraction of the initial rate.
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import CosineDecay
    >>> CosineDecay(1.0, decay_steps=100)([0, 50, 100, 200]).round(3)
    array([1. , 0.5, 0. , 0. ])
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: ClassVar[str] = "cosine_decay"


@dataclass(frozen=True)
class CosineDecayRestarts(Schedule):
    """`CosineDecay` with restarts at the end of each run, "SGDR" (Loshchilov, Hutter, ICLR 2017).

    Run i = 0, 1, ... takes ``first_decay_steps * t_mul**i`` steps (epochs). In it the rate falls
    from ``initial_learning_rate * (alpha + (1 - alpha) * m_mul**i)`` to ``initial_learning_rate *
    alpha``.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : float
        Steps (epochs) of the first run.
    t_mul : float, default 2.0
        The factor by which the length changes from run to run, at least 1.
    m_mul : float, default 1.0
        The factor by which the amplitude changes from run to run.
    alpha : float, default 0.0
        The lowest rate, as a fraction of the initial rate.
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import CosineDecayRestarts
    >>> CosineDecayRestarts(1.0, first_decay_steps=10)([0, 5, 10, 20, 30]).round(3)
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: ClassVar[str] = "cosine_restarts"


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``rate = initial_learning_rate / (1 + t)**power``, scikit-learn's "invscaling".

    Parameters
    ----------
    initial_learning_rate : float
    power : float, default 0.5
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import InverseScaling
    >>> InverseScaling(1.0)([0, 3, 99])
    array([1. , 0.5, 0.1])
    """

    initial_learning_rate: float
    power: float = 0.5
    name: ClassVar[str] = "inverse_scaling"


@dataclass(frozen=True)
class OneCycle(Schedule):
    """A rise to a peak and a fall, each half a cosine (Smith, Topin 2017).

    The rate rises from ``max_learning_rate / div_factor`` to ``max_learning_rate`` in the first
    `pct_start` of the steps, and falls to ``max_learning_rate / div_factor / final_div_factor`` at
    the last step, then stays constant. Parameters and defaults are those of PyTorch's OneCycleLR.

    Parameters
    ----------
    max_learning_rate : float
    total_steps : float
        Steps (epochs) of the whole cycle, at least 2.
    pct_start : float, default 0.3
        The fraction of the steps in which the rate rises, between 0 and 1.
    div_factor : float, default 25.0
    final_div_factor : float, default 1e4
    per : {"step", "epoch"}, default "step"

    Examples
    --------
    >>> from fastnn import OneCycle
    >>> OneCycle(1.0, total_steps=10)([0, 2, 9]).round(3)
    array([0.04, 1.  , 0.  ])
    """

    max_learning_rate: float
    total_steps: float
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    name: ClassVar[str] = "one_cycle"

    def parameters(self) -> list[float]:
        """Return the peak, the steps, the rising fraction, the first and the last rate."""
        first = self.max_learning_rate / self.div_factor
        last = first / self.final_div_factor
        return [self.max_learning_rate, self.total_steps, self.pct_start, first, last]


@dataclass(frozen=True)
class Adaptive(Schedule):
    """Constant while the training loss falls, then lower: scikit-learn's "adaptive".

    After `patience` consecutive epochs whose loss is not at least `tol` below the lowest loss
    before, the rate is multiplied by `factor`; it does not fall below `min_learning_rate`.

    Parameters
    ----------
    initial_learning_rate : float
    factor : float, default 0.2
        Above 0 and below 1.
    patience : int, default 2
        At least 1.
    tol : float, default 1e-4
    min_learning_rate : float, default 1e-6

    Examples
    --------
    >>> from fastnn import SGD, Adaptive
    >>> rule = SGD(learning_rate=Adaptive(0.1))
    """

    initial_learning_rate: float
    factor: float = 0.2
    patience: int = 2
    tol: float = 1e-4
    min_learning_rate: float = 1e-6
    per: str = dataclasses.field(default="epoch", init=False, repr=False)
    name: ClassVar[str] = "adaptive"

    @property
    def rule(self) -> str:
        """Name of the formula: the rate is constant between two changes."""
        return "constant"

    def parameters(self) -> list[float]:
        """Return the initial rate."""
        return [self.initial_learning_rate]

    def start(self) -> dict[str, Any]:
        """Return the state before the first epoch.

        "rate" is the rate, "best" the lowest loss, "wait" the number of epochs since it improved.
        """
        return {"rate": self.initial_learning_rate, "best": None, "wait": 0}

    def after_epoch(self, state: dict[str, Any], loss: float) -> dict[str, Any]:
        """Return the state after an epoch with this loss."""
        rate, best, wait = state["rate"], state["best"], state["wait"]
        wait = 0 if best is None or loss <= best - self.tol else wait + 1
        if wait >= self.patience:
            rate, wait = max(rate * self.factor, min(rate, self.min_learning_rate)), 0
        return {"rate": rate, "best": loss if best is None else min(loss, best), "wait": wait}


@dataclass(frozen=True)
class LinearWarmup(Schedule):
    """A linear rise from `start` to the first rate of another schedule, then that schedule.

    Parameters
    ----------
    schedule : Schedule or float
        The schedule after the warm-up, which starts from its time 0; a number is a constant rate.
    steps : float
        Length of the warm-up, in the unit of time of `schedule`.
    start : float, default 0.0
        The rate of the first step.
    per : {"step", "epoch"}, optional
        The unit of time; by default that of `schedule`, or steps if `schedule` is a number.

    Examples
    --------
    >>> from fastnn import CosineDecay, LinearWarmup
    >>> LinearWarmup(CosineDecay(1.0, decay_steps=100), steps=10)([0, 5, 10, 60, 110]).round(3)
    array([0. , 0.5, 1. , 0.5, 0. ])
    """

    schedule: Schedule | float
    steps: float
    start: float = 0.0
    per: str = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]  # set below
    name: ClassVar[str] = "linear_warmup"

    def __post_init__(self) -> None:
        per = "step" if self.per is None else _checks.schedule_parameter("per", self.per)
        schedule = self.schedule
        if not isinstance(schedule, Schedule):
            schedule = Constant(_checks.schedule_parameter("schedule", schedule), per=per)
        _checks.can_follow_warm_up(schedule, self.per, LinearWarmup, Adaptive)
        for name, value in (
            ("schedule", schedule),
            ("steps", _checks.schedule_parameter("steps", self.steps)),
            ("start", _checks.schedule_parameter("start", self.start)),
            ("per", schedule.per),
        ):
            object.__setattr__(self, name, value)

    def kernel(self) -> dict[str, Any]:
        """Return the schedule in the form that the kernels take."""
        assert isinstance(self.schedule, Schedule)  # __post_init__ replaces a number
        return {**self.schedule.kernel(), "warmup": self.steps, "start": self.start}


#: Kinds of schedules by name.
KINDS: dict[str, type[Schedule]] = {
    schedule.name: _checks.explaining(schedule)
    for schedule in (
        Constant,
        StepDecay,
        ExponentialDecay,
        PiecewiseConstantDecay,
        CosineDecay,
        CosineDecayRestarts,
        InverseScaling,
        OneCycle,
        Adaptive,
        LinearWarmup,
    )
}

NAMES = tuple(KINDS)


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.SCHEDULES)
