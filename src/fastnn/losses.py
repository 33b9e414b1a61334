"""Specifications of losses: names, parameters, and the outputs and targets that each loss allows.

Not here: arithmetic. Values and derivatives are in engine/simd/losses.h and, in NumPy, in
reference/; training/custom_loss.py calls the function of a CustomLoss. ARCHITECTURE.md lists the
places where a new loss is added.

The loss of a row is the sum over the outputs; ``reduction`` of the MLP determines how the losses of
rows are combined.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _checks

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Targets:
    """A kind of targets: their range, and whether they are classes."""

    low: float = -math.inf
    high: float = math.inf
    are_classes: bool = False  # labels 0, 1, ... (n,), or rows of probabilities that sum to 1
    of_any_width: bool = False  # any number of columns; otherwise one for each output


#: Kinds of targets by the name in `Loss.targets`.
TARGETS = {
    "real": Targets(),
    "positive": Targets(low=0.0),
    "probability": Targets(low=0.0, high=1.0),
    "class": Targets(low=0.0, high=1.0, are_classes=True),
    "any": Targets(of_any_width=True),
}


class Loss:
    """The base class of losses.

    Attributes
    ----------
    name : str
        The name that `MLP` accepts.
    outputs : tuple of str or None
        Activations that the output layer may have; None for any.
    by_output : bool
        Whether the loss is a sum over the outputs, so that each of them can have a weight.
    signed_weights : bool
        Whether weights may be negative: the slope of the loss is bounded, so the gradient of a row
        with negative weight is bounded, too.
    predicts_targets : bool
        Whether the outputs are predictions of the targets, so that metrics can compare them.
    targets : str
        The kind of targets: "real", "positive" (0 or more), "probability" (0 to 1), "class", or
        "any" (real numbers in any number of columns).
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...] | None] = None
    targets: ClassVar[str] = "real"
    by_output: ClassVar[bool] = True
    signed_weights: ClassVar[bool] = False
    predicts_targets: ClassVar[bool] = True

    @property
    def rule(self) -> str:
        """The name of the loss in the kernels."""
        return self.name

    @property
    def takes(self) -> Targets:
        """The range of the targets, and whether they are classes."""
        return TARGETS[self.targets]

    @property
    def shares_target(self) -> bool:
        """Whether one target serves all outputs."""
        return False

    def n_targets(self, n_out: int) -> int:
        """Return the number of targets of a row for `n_out` outputs."""
        return n_out

    def n_classes(self, n_out: int) -> int | None:
        """Return the number of classes for `n_out` outputs, or None for regression."""
        if self.takes.are_classes:
            return n_out
        is_binary = self.targets == "probability" and n_out == 1
        return 2 if is_binary else None

    def parameter(self, n_out: int) -> list[float] | None:
        """Return the parameter of the loss for each of `n_out` outputs, or None if it has none."""
        return None


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error ``E = 1/2 sum_k (y_k - t_k)**2``, with the factor 1/2; for regression."""

    name: ClassVar[str] = "squared_error"


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Absolute error ``E = sum_k |y_k - t_k|``; for regression towards the median."""

    name: ClassVar[str] = "absolute_error"
    signed_weights: ClassVar[bool] = True


@dataclass(frozen=True)
class Huber(Loss):
    """Huber's loss: squared near the target, absolute far from it (Huber 1964).

    With ``r = y - t``: ``1/2 r**2`` where ``|r| <= delta``, else ``delta * (|r| - delta / 2)``.

    Parameters
    ----------
    delta : float, default 1.0
        The distance at which the two parts meet, in units of the target.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"
    signed_weights: ClassVar[bool] = True

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
        The quantile, between 0 and 1. A sequence has a quantile for each output, and a single
        column of targets serves all outputs. The how-to guide "Predict a distribution" shows a last
        layer that keeps such outputs in order.
    """

    q: float | Sequence[float] = 0.5
    name: ClassVar[str] = "quantile"
    signed_weights: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", _checks.quantiles(self.q))

    @property
    def shares_target(self) -> bool:
        """Whether one target serves all outputs, each output being another quantile of it."""
        return isinstance(self.q, tuple)

    def parameter(self, n_out: int) -> list[float]:
        """Return q for each output; raise a ValueError if q has another number of items."""
        return _checks.one_per_output("q", self.q, n_out)


@dataclass(frozen=True)
class LinearLoss(Loss):
    """Linear loss ``E = sum_k t_k y_k``: a target is the derivative ``dE/dy`` of that output.

    For training with gradients that are computed elsewhere, such as the policy gradient of
    reinforcement learning or the loss of another program. `fastnn.MLP.train_on_output_gradients`
    makes such a step for a network with any loss. The value of the loss has no lower bound and does
    not measure progress.
    """

    name: ClassVar[str] = "linear"
    signed_weights: ClassVar[bool] = True
    predicts_targets: ClassVar[bool] = False


@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson's negative log-likelihood ``E = sum_k (y_k - t_k log y_k)``, for counts and rates.

    The output is the expected count, so its activation is "exp" or "softplus". The term
    ``log(t!)`` is left out, since it does not depend on the weights.
    """

    name: ClassVar[str] = "poisson"
    outputs: ClassVar[tuple[str, ...]] = ("exp", "softplus")
    targets: ClassVar[str] = "positive"


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """Negative log-likelihood of normal distributions: the outputs are a mean and a variance.

    ``E = 1/2 sum_k [s_k + (y_k - t_k)**2 * exp(-s_k)]``, with the mean ``y_k`` and the logarithm
    of the variance, ``s_k``, for each target (Nix, Weigend 1994). The logarithm of a variance can
    be any real number, so the outputs are linear: their activation is "identity". The term
    ``1/2 log(2 pi)`` of each target is left out, since it does not depend on the weights.

    For m targets the last layer is ``Dense(2 * m)``. Columns 0 to m - 1 of its outputs, as of
    `MLP.predict`, are the means, columns m to 2 m - 1 the logarithms of the variances; the standard
    deviations are ``np.exp(y[:, m:] / 2)``. Targets have shape (n, m), or (n,) for m = 1. A metric
    that is a function gets the targets twice, side by side, as ``y_true`` of shape (n, 2 m).

    Standardize the targets, since the initial variances are about 1. In the C interface targets
    have a column for each output, of which the first m are read.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Adam, Dense
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (2000, 1))
    >>> y = X[:, 0] + np.where(X[:, 0] > 0, 0.5, 0.1) * rng.normal(size=2000)
    >>> net = MLP(1, [Dense(32, "silu"), Dense(2)], loss="gaussian_nll", optimizer=Adam(0.003),
    ...           seed=0)
    >>> history = net.fit(X, y, epochs=50)
    >>> mean, log_variance = net.predict([[-0.5], [0.5]]).T
    >>> np.exp(log_variance / 2).round(1)
    array([0.1, 0.5], dtype=float32)
    """

    name: ClassVar[str] = "gaussian_nll"
    outputs: ClassVar[tuple[str, ...]] = ("identity",)
    by_output: ClassVar[bool] = False
    predicts_targets: ClassVar[bool] = False

    def n_targets(self, n_out: int) -> int:
        """Return half the number of outputs; raise a ValueError if that is odd."""
        return _checks.half("gaussian_nll", n_out)

    def parameter(self, n_out: int) -> None:
        """Raise a ValueError if the number of outputs is odd."""
        self.n_targets(n_out)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Binary cross-entropy ``E = -sum_k [t_k log y_k + (1 - t_k) log(1 - y_k)]``.

    For binary classification and, with several outputs, multi-label classification; the outputs
    have the activation sigmoid. The loss is computed from the pre-activations, and is finite for
    all of them.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Targets t become ``t + label_smoothing * (1/2 - t)``, in training and in evaluation (Szegedy
        et al., CVPR 2016); from 0 to 1.
    """

    label_smoothing: float = 0.0
    name: ClassVar[str] = "binary_cross_entropy"
    signed_weights: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...]] = ("sigmoid",)
    targets: ClassVar[str] = "probability"

    def __post_init__(self) -> None:
        _check_smoothing(self)

    def parameter(self, n_out: int) -> list[float] | None:
        """Return the smoothing for each output, None without it."""
        return [self.label_smoothing] * n_out if self.label_smoothing else None


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy ``E = -sum_g t_g log y_g`` of class labels, one-hot rows or probability rows.

    For multi-class classification; the outputs have the activation softmax. The loss is computed
    from the pre-activations, and is finite for all of them.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        Targets t of n classes become ``t + label_smoothing * (1/n - t)``, in training and in
        evaluation (Szegedy et al., CVPR 2016); from 0 to 1.
    """

    label_smoothing: float = 0.0
    name: ClassVar[str] = "cross_entropy"
    by_output: ClassVar[bool] = False
    signed_weights: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...]] = ("softmax",)
    targets: ClassVar[str] = "class"

    def __post_init__(self) -> None:
        _check_smoothing(self)

    def parameter(self, n_out: int) -> list[float] | None:
        """Return the smoothing for each output, None without it."""
        return [self.label_smoothing] * n_out if self.label_smoothing else None


def _check_smoothing(loss: BinaryCrossEntropy | CrossEntropy) -> None:
    """Check the label smoothing of a loss, and make it a float."""
    smoothing = _checks.number("label_smoothing", loss.label_smoothing, low=0.0, high=1.0)
    object.__setattr__(loss, "label_smoothing", smoothing)


@dataclass(frozen=True)
class CustomLoss(Loss):
    """A loss that is a Python function of targets and outputs, called once for each batch.

    ``MLP(..., loss=function)`` is short for ``loss=CustomLoss(function)``; other callable objects
    must be passed as ``CustomLoss(object)``.

    Parameters
    ----------
    function : callable
        ``function(y_true, y_pred)`` returns ``(losses, gradients)`` for the rows of a batch:
        `losses` of shape (n,), and `gradients` of shape (n, n_out), the derivatives of the sum of
        `losses` with respect to `y_pred`. `y_pred` (n, n_out) holds the network's outputs, after
        their activation, and `y_true` (n, n_out) the targets, in the network's dtype.
    targets : {"real", "positive", "probability", "class", "any"}, default "real"
        The kind of targets. "positive" is 0 or more, "probability" 0 to 1. With "class", `y_true`
        is an int64 array of labels (n,) if the user passed labels, or rows (n, n_out) if the user
        passed rows of probabilities. With "any" the targets may have any number of columns, and
        named metrics raise an error.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid. The result of the function is checked at every call.

    Notes
    -----
    Reduction, sample weights, penalties, dropout and clipping are applied by the network. With
    sample weights, the loss of a row must depend only on that row; without them it may depend on
    the other rows of the batch. The function must not train the network that calls it.

    Compared with a built-in loss, a step needs a second forward pass, a call of a Python function
    and a copy of the batch's rows.

    A file keeps the name of the function, not the function: pass it to `fastnn.load` as the
    argument ``loss``. A network loaded without it can predict but not train. In C, the targets of
    such a network are the gradients of its outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, CustomLoss, Dense
    >>> def log_cosh(y_true, y_pred):
    ...     error = y_pred - y_true
    ...     return np.log(np.cosh(error)).sum(axis=1), np.tanh(error)
    >>> net = MLP(1, [Dense(1)], loss=CustomLoss(log_cosh), optimizer="sgd")
    >>> net.set_weights([[[2.0]], [0.0]])
    >>> round(net.evaluate([[1.0]], [1.5]), 4)
    0.1201
    """

    function: Callable[[NDArray[Any], NDArray[Any]], tuple[Any, Any]]
    targets: str = "real"  # type: ignore[misc]  # a field here, a class variable elsewhere
    name: ClassVar[str] = "custom"
    by_output: ClassVar[bool] = False
    signed_weights: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _checks.loss_function("function", self.function)
        object.__setattr__(self, "targets", _checks.choice("targets", self.targets, tuple(TARGETS)))

    @property
    def rule(self) -> str:
        """The linear loss: the kernels get gradients as targets."""
        return LinearLoss.name

    def config(self) -> dict[str, Any]:
        """Return the loss as plain data, with the name of the function in its place."""
        function = self.function
        known = function.name if isinstance(function, Absent) else None
        named = known or getattr(function, "__name__", type(function).__name__)
        return {"name": self.name, "function": named, "targets": self.targets}

    @classmethod
    def without_function(cls, function: str, targets: str) -> CustomLoss:
        """Return the loss that plain data describe, without its function."""
        return cls(Absent(_checks.name_of_absent_loss("function", function)), targets)


@dataclass(frozen=True)
class Absent:
    """Placeholder for a function of which a file holds only the name."""

    name: str

    def __call__(self, y_true: NDArray[Any], y_pred: NDArray[Any]) -> tuple[Any, Any]:
        """Raise a ValueError, since the function is missing."""
        raise _checks.absent_loss(self.name)


#: Kinds of losses by name.
KINDS: dict[str, type[Loss]] = {
    loss.name: _checks.explaining(loss)
    for loss in (
        SquaredError,
        AbsoluteError,
        Huber,
        Quantile,
        LinearLoss,
        Poisson,
        GaussianNLL,
        BinaryCrossEntropy,
        CrossEntropy,
    )
}

NAMES = tuple(KINDS)

#: Keras' names for losses with identical definitions.
ALIASES = {
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}


@functools.cache  # losses are frozen, so all networks can share them
def default(name: str) -> Loss:
    """Return the loss of a name with its default parameter."""
    return KINDS[name]()


def get(loss: str | Loss | Callable[..., Any]) -> Loss:
    """Return the loss for a name or a function; a Loss is returned as it is."""
    if isinstance(loss, str):
        return default(_checks.choice("loss", loss, NAMES, ALIASES, _checks.names.LOSSES))
    if inspect.isroutine(loss) or isinstance(loss, functools.partial):
        _checks.loss_function("loss", loss)
        return CustomLoss(loss)
    found = _checks.specification("loss", loss, Loss, (*NAMES, CustomLoss.name))
    assert isinstance(found, Loss)
    return found


if not TYPE_CHECKING:  # a type checker would accept any name
    __getattr__ = _checks.names_of_module(__name__, _checks.names.LOSSES)
