"""Specifications of optimizers: hyper-parameters, defaults, ranges.

Not here: arithmetic and state. The update rules are in engine/simd/optimizers.h and, in NumPy, in
reference/. ARCHITECTURE.md lists the places where a new optimizer is added.

In the formulas ``w`` is a weight or bias, ``g = dE/dw``, ``lr`` the learning rate; ``t`` counts
updates from 1. Every epsilon is added outside the square root.

Every optimizer takes the keyword arguments of `fastnn.optimizers.Optimizer` in addition to its own.
"""

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastnn import _checks
from fastnn.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The base class of optimizers: the keyword arguments that every optimizer takes.

    Parameters
    ----------
    learning_rate : float or Schedule
        A `Schedule` changes the rate with every step or epoch.
    clipvalue, clipnorm, global_clipnorm : float, optional
        At most one of these may be given. Gradients are clipped before the rule is applied: each
        number to ``[-clipvalue, clipvalue]``; each W and each b to a Euclidean norm of at most
        `clipnorm`; or all arrays together to `global_clipnorm`, with ``g <- g * c / max(norm, c)``
        (Pascanu et al., ICML 2013). Gradients include penalties.
    use_ema : bool, default False
        Whether to keep an exponential moving average of weights and biases: after the first update
        ``average = w``, then ``average <- ema_momentum * average + (1 - ema_momentum) * w``.
        Training and predictions don't use the average; `MLP.averaged` returns a network that does,
        and with the callback `SwapEMAWeights` a fit validates the averages and can restore the best
        ones.
    ema_momentum : float, default 0.99
        Momentum of the moving average, at least 0 and below 1.
    weight_decay : float, default 0.0, in `AdamW` 0.01
        Decoupled weight decay (Loshchilov, Hutter, ICLR 2019): ``w <- w - lr * weight_decay * w``
        for weights, not biases, before the rule is applied. It is not part of the gradient, so it
        does not affect moments or clipping. At least 0.
    maximize : bool, default False
        Whether updates go up the gradient, so that the loss grows: the rule is applied with ``-g``.
        Weight decay still shrinks the weights. Layers with penalties raise an error, since a
        penalty would grow, too. Callbacks that monitor a loss need ``mode="max"``.
    """

    name: ClassVar[str]
    #: Fields that select a rule or initial moments, and are not numbers in the formula of the rule.
    structural: ClassVar[tuple[str, ...]] = ()
    #: Whether the weights of a network, outside of training steps, are an average that the rule
    #: keeps.
    is_average: ClassVar[bool] = False
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    maximize: bool = False
    if TYPE_CHECKING:  # every optimizer defines these fields, as its first and last
        learning_rate: float | Schedule
        weight_decay: float

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (field.name == "learning_rate" and isinstance(value, Schedule)):
                value = _checks.hyper_parameter(field.name, value)
            object.__setattr__(self, field.name, value)
        _checks.one_clip({name: getattr(self, name) for name in _checks.CLIPS})

    def __repr__(self) -> str:
        """Show positional fields, and keyword-only fields that differ from their defaults."""
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if not field.kw_only or getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the learning rate, or None."""
        return self.learning_rate if isinstance(self.learning_rate, Schedule) else None

    @property
    def initial_rate(self) -> float:
        """The learning rate of the first update."""
        rate = self.learning_rate
        return rate(0) if isinstance(rate, Schedule) else rate

    def numbers(self) -> dict[str, float]:
        """Return the numbers in the formula of the rule by name, with the initial learning rate."""
        left_out = _COMMON.union(self.structural)
        found = {k: v for k, v in vars(self).items() if k not in left_out}
        return found | {"learning_rate": self.initial_rate, "maximize": self.maximize}

    @property
    def clip(self) -> tuple[str, float] | None:
        """The kind of clipping, such as "clipvalue", and its bound; None without clipping."""
        given = ((name, getattr(self, name)) for name in _checks.CLIPS)
        return next(((name, bound) for name, bound in given if bound is not None), None)

    @property
    def clips_norms(self) -> bool:
        """Whether a step needs all gradients before its first update."""
        return self.clip is not None and self.clip[0] != "clipvalue"

    @property
    def rule(self) -> str:
        """Name of the update rule selected by the hyper-parameters."""
        return f"{self.step_rule}_decayed" if self.weight_decay > 0 else self.step_rule

    @property
    def step_rule(self) -> str:
        """Name of the rule without weight decay."""
        return self.name

    @property
    def initial_moment(self) -> float:
        """Initial value of the first moment of every parameter."""
        return 0.0


#: The fields of all optimizers, which are not specific to the formula of a rule.
_COMMON = frozenset(field.name for field in dataclasses.fields(Optimizer))


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

    ``w <- w - lr * g``. With momentum ``v <- momentum * v - lr * g``, ``w <- w + v`` (Polyak 1964);
    with Nesterov momentum ``w <- w + momentum * v - lr * g`` (Sutskever et al., ICML 2013).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    momentum : float, default 0.0
        From 0 to 1.
    nesterov : bool, default False

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "sgd"
    structural: ClassVar[tuple[str, ...]] = ("nesterov",)

    @property
    def step_rule(self) -> str:
        """Name of the rule without weight decay."""
        if self.momentum == 0.0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"


@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Adagrad: steps shrink with the sum of squared gradients (Duchi et al., JMLR 2011).

    ``s <- s + g**2``, ``w <- w - lr * g / (sqrt(s) + epsilon)``.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    initial_accumulator_value : float, default 0.0
        Initial value of s; at least 0.
    epsilon : float, default 1e-10

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 0.01
    initial_accumulator_value: float = 0.0
    epsilon: float = 1e-10
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "adagrad"
    structural: ClassVar[tuple[str, ...]] = ("initial_accumulator_value",)

    @property
    def initial_moment(self) -> float:
        """Initial value of s."""
        return self.initial_accumulator_value


@dataclass(frozen=True, repr=False)
class RMSProp(Optimizer):
    """RMSProp: steps are divided by a running root mean square of gradients (Hinton 2012).

    ``s <- rho * s + (1 - rho) * g**2``, ``w <- w - lr * g / (sqrt(s) + epsilon)``; with momentum
    ``v <- momentum * v - lr * g / (sqrt(s) + epsilon)``, ``w <- w + v``. With centered the root is
    taken of the variance of g, ``s - m**2`` with ``m <- rho * m + (1 - rho) * g`` (Graves 2013,
    section 4.2), or of 0 if rounding makes the variance negative.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    rho : float, default 0.9
        At least 0 and below 1.
    momentum : float, default 0.0
        From 0 to 1.
    epsilon : float, default 1e-8
    centered : bool, default False

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 1e-3
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-8
    centered: bool = False
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "rmsprop"
    structural: ClassVar[tuple[str, ...]] = ("centered",)

    @property
    def step_rule(self) -> str:
        """Name of the rule without weight decay."""
        centered = "_centered" if self.centered else ""
        return f"rmsprop{centered}" if self.momentum == 0.0 else f"rmsprop{centered}_momentum"


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Adam: steps from bias-corrected moments of the gradient (Kingma, Ba, ICLR 2015).

    ``m <- beta_1 * m + (1 - beta_1) * g``, ``v <- beta_2 * v + (1 - beta_2) * g**2``,
    ``w <- w - lr * m^ / (sqrt(v^) + epsilon)`` with ``m^ = m / (1 - beta_1**t)`` and
    ``v^ = v / (1 - beta_2**t)``. With amsgrad, v^ is computed from the largest v so far (Reddi et
    al., ICLR 2018).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1 : float, default 0.9
        At least 0 and below 1.
    beta_2 : float, default 0.999
        At least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the bias-corrected root.
    amsgrad : bool, default False
    epsilon_hat : bool, default False
        Whether epsilon is added to the root before the bias correction instead, as in Keras and
        scikit-learn: ``w <- w - lr * sqrt(1 - beta_2**t) * m^ / (sqrt(v) + epsilon)`` (the paper's
        epsilon hat, at the end of its section 2).

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False
    epsilon_hat: bool = False
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "adam"
    structural: ClassVar[tuple[str, ...]] = ("amsgrad",)

    @property
    def step_rule(self) -> str:
        """Name of the rule without weight decay."""
        return "amsgrad" if self.amsgrad else "adam"


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay by default (Loshchilov, Hutter, ICLR 2019).

    ``w <- w - lr * weight_decay * w`` for weights, not biases, and then the step of `Adam`. The
    only difference from `Adam` is the default of `weight_decay`.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad, epsilon_hat
        As for `Adam`.
    weight_decay : float, default 0.01
        At least 0.

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    weight_decay: float = 0.01
    name: ClassVar[str] = "adamw"


@dataclass(frozen=True, repr=False)
class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, ICLR workshop 2016).

    ``m`` and ``v`` as in `Adam`, ``w <- w - lr * m^ / (sqrt(v^) + epsilon)`` with
    ``v^ = v / (1 - beta_2**t)`` and ``m^ = mu[t + 1] * m / (1 - mu[1] * ... * mu[t + 1]) +
    (1 - mu[t]) * g / (1 - mu[1] * ... * mu[t])``. The momentum rises with the steps:
    ``mu[t] = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)``. The formula and the defaults, except
    the learning rate, are those of ``torch.optim.NAdam``; Keras' Nadam has a momentum_decay of 1.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1 : float, default 0.9
        At least 0 and below 1.
    beta_2 : float, default 0.999
        At least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the bias-corrected root.
    momentum_decay : float, default 0.004
        At least 0. With 0 the momentum is always ``beta_1 / 2``.

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 0.004
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "nadam"


@dataclass(frozen=True, repr=False)
class Lion(Optimizer):
    """Lion: steps of constant size, with the sign of a momentum (Chen et al., NeurIPS 2023).

    ``w <- w - lr * sign(beta_1 * m + (1 - beta_1) * g)``, then
    ``m <- beta_2 * m + (1 - beta_2) * g``; the sign of 0 is 0. Lion keeps one number for each
    parameter, Adam two. The authors use learning rates 3 to 10 times smaller than for `AdamW`, and
    weight decays larger by the same factor.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.0001
    beta_1 : float, default 0.9
        At least 0 and below 1.
    beta_2 : float, default 0.99
        At least 0 and below 1.

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.
    """

    learning_rate: float | Schedule = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "lion"


@dataclass(frozen=True, repr=False)
class ScheduleFreeAdamW(Optimizer):
    """AdamW with an average of the weights in place of a schedule (Defazio et al. 2024).

    Gradients are computed at weights ``y``; the steps update a sequence ``z``, and the network has
    the average ``x`` of the ``z``: ``v <- beta_2 * v + (1 - beta_2) * g**2``, ``z <- z - lr[t] * g
    / (sqrt(v^) + epsilon)`` with ``v^ = v / (1 - beta_2**t)``, ``x <- x + c[t] * (z - x)``,
    ``y <- z + beta_1 * (x - z)``. Initially all three are the initial weights. The rate rises in
    the first steps, ``lr[t] = s[t] * lr`` with ``s[t] = min(1, t / warmup_steps)``, and the average
    gives each z the weight ``s[t]**2``: ``c[t] = s[t]**2 / (s[1]**2 + ... + s[t]**2)``. The formula
    and the defaults are those of the authors' ``AdamWScheduleFree``, as long as the learning rate
    is constant or falls.

    Parameters
    ----------
    learning_rate : float, default 0.0025
        A number; schedules raise an error. The authors use rates 1 to 10 times those of `AdamW`.
    beta_1 : float, default 0.9
        Interpolation between z (0) and the average x (1) of the weights y at which gradients are
        computed; at least 0 and below 1.
    beta_2 : float, default 0.999
        At least 0 and below 1.
    epsilon : float, default 1e-8
        Added to the bias-corrected root.
    warmup_steps : int, default 0
        Number of steps in which the rate rises to `learning_rate`.
    weight_decay : float, default 0.0
        Decoupled weight decay, computed at y: ``z <- z - lr[t] * weight_decay * y`` for weights,
        not biases.

    See Also
    --------
    fastnn.optimizers.Optimizer : the keyword arguments that every optimizer takes.

    Notes
    -----
    Outside of training steps the weights of the network are x: in predictions, validation,
    callbacks, checkpoints, files and exports. Only ``net(X, training=True)`` has the outputs at y,
    for `MLP.train_on_output_gradients`. `MLP.set_weights` restarts all three sequences at the new
    weights, and so does `MLP.freeze` for the layers that it freezes, at their x. Training losses
    are computed at y. x and y are swapped when a fit begins and ends, and around calls of
    callbacks; calls that train one batch, such as `MLP.train_on_batch`, spend time on this in each
    step. Three numbers are kept for each parameter. ``use_ema`` raises an error, since the weights
    are already an average.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, ScheduleFreeAdamW
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> net = MLP(2, [Dense(32, "tanh"), Dense(1)], loss="squared_error",
    ...           optimizer=ScheduleFreeAdamW(0.02, warmup_steps=20), seed=0)
    >>> history = net.fit(X[:400], y[:400], epochs=50, validation_data=(X[400:], y[400:]))
    >>> net.evaluate(X[400:], y[400:]) == history.history["val_loss"][-1]
    True
    """

    learning_rate: float | Schedule = 0.0025
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 0
    weight_decay: float = dataclasses.field(default=0.0, kw_only=True)
    name: ClassVar[str] = "schedule_free_adamw"
    is_average: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.schedule_free(self)

    @property
    def step_rule(self) -> str:
        """Name of the rule without weight decay."""
        return "schedule_free"


#: Kinds of optimizers by name.
KINDS = {
    optimizer.name: _checks.explaining(optimizer)
    for optimizer in (SGD, Adagrad, RMSProp, Adam, AdamW, NAdam, Lion, ScheduleFreeAdamW)
}

NAMES = tuple(KINDS)


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of a name; an Optimizer is returned as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    return _default(_checks.choice("optimizer", optimizer, NAMES, None, _checks.names.OPTIMIZERS))


@functools.cache  # optimizers are frozen, so all networks can share them
def _default(name: str) -> Optimizer:
    """Return the optimizer of a name with its defaults."""
    return KINDS[name]()


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.OPTIMIZERS)
