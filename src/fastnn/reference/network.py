"""The network, with layers, a loss and an optimizer; and central differences."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.reference.functions import loss_and_delta, one_hot
from fastnn.reference.layers import (
    Layer,
    decay,
    rate_multipliers,
    round_operands,
    trainable,
    twins,
)
from fastnn.reference.rules import OPTIMIZERS, clip, dropout_mask, learning_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[Any]


@dataclasses.dataclass
class Network:
    """A feed-forward network with its loss and its optimizer, in the dtype of its weights.

    Parameters
    ----------
    layers : list of Layer
    loss, optimizer : str
        Names in LOSSES and OPTIMIZERS.
    parameters, hyper : dict
        Parameters of the loss (``delta``, ``q``, ``label_smoothing``) and hyper-parameters of the
        optimizer that differ from the defaults.
    reduction : {"mean", "sum"}
        "mean" divides the loss of a batch by its number of rows, or by the sum of `row_weights`.
    scale_penalties : bool
        Whether "mean" divides the penalties, too.
    seed, step, epoch : int
        Seed of the dropout masks, below 2^64; number of updates and of whole epochs so far.
    schedule : dict or None
        The arguments of `learning_rate` except t, and ``per_epoch``.
    clipping : dict
        The arguments of `clip` except the gradients.
    maximize : bool
        Whether updates go up the gradient.
    momentum : float or None
        Momentum of the moving average of the weights, which is kept in ``average``.
    mean, scale : arrays of shape (n_in,)
        Inputs are standardized to ``(x - mean) / scale``.
    members : int
        Number of copies of each row that pass through the layers; outputs and losses are means over
        the copies.
    """

    layers: list[Any]  # of classes in TWINS
    loss: str = "squared_error"
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    reduction: str = "mean"
    scale_penalties: bool = False
    optimizer: str = "sgd"
    hyper: dict[str, Any] = dataclasses.field(default_factory=dict)
    seed: int = 0
    step: int = 0
    epoch: int = 0
    schedule: dict[str, Any] | None = None
    clipping: dict[str, Any] = dataclasses.field(default_factory=dict)
    maximize: bool = False
    momentum: float | None = None
    mean: Array | float = 0.0
    scale: Array | float = 1.0
    members: int = 1

    def __post_init__(self) -> None:
        """Convert hyper-parameters to Python floats, and create a state for each weight array."""
        self.hyper = {name: float(value) for name, value in self.hyper.items()}
        self.state: list[dict[str, Array]] = [{} for _ in self.get_weights()]
        self.dtype = self.get_weights()[0].dtype
        for index, layer in enumerate(self.layers):
            if isinstance(layer, Layer) and layer.number is None:
                layer.number = index

    @classmethod
    def like(cls, net: Any) -> Network:
        """Return the twin of a fastnn MLP with copies of its weights, but without moments."""
        layers = twins(net.layers, iter(np.array(w, net.dtype) for w in net.get_weights()))
        if net.dtype_policy == "mixed_bfloat16":
            round_operands(layers)
        loss, rule = net.loss, net.optimizer
        parameters = {f.name: getattr(loss, f.name) for f in dataclasses.fields(loss)}
        numbers = {f.name: getattr(rule, f.name) for f in dataclasses.fields(rule)}
        clips = ("clipvalue", "clipnorm", "global_clipnorm")
        clipping = {name: numbers.pop(name) for name in clips}
        maximize = numbers.pop("maximize")
        averages, momentum = numbers.pop("use_ema"), numbers.pop("ema_momentum")
        mean, scale = net.standardization or (0.0, 1.0)
        if rule.schedule:
            numbers["learning_rate"] = rule.initial_rate
        return cls(
            layers,
            loss.name,
            parameters,
            net.reduction,
            net.scale_penalties,
            rule.name,
            numbers,
            seed=int(net.dropout_seed),
            step=int(net.step),
            epoch=int(net.epoch),
            schedule=rule.schedule.kernel() if rule.schedule else None,
            clipping=clipping,
            maximize=maximize,
            momentum=momentum if averages else None,
            mean=mean,
            scale=scale,
            members=max(getattr(layer, "members", 1) for layer in layers),
        )

    @property
    def tape(self) -> list[Any]:
        """The values that each layer has kept from the last forward pass."""
        return [layer.tape for layer in self.layers]

    def get_weights(self) -> list[Array]:
        """[W0, b0, W1, ...], the arrays themselves; an absent bias has no entry."""
        return [w for layer in self.layers for w in layer.arrays()]

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Take arrays in the order of get_weights; they are not copied."""
        rest = iter(weights)
        for layer in self.layers:
            layer.take(rest)

    def forward(self, X: ArrayLike, training: bool = False) -> Array:
        """Return y (B * members, n_out) for X (B, n_in); each layer fills its tape."""

        def drop(rate: float, z: Array, number: int) -> Array | None:
            if not training:
                return None
            mask = dropout_mask(self.seed, self.step, number, z.shape[0], z.shape[1], rate)
            return mask.astype(self.dtype) * (1 / (1 - rate))

        z = ((np.asarray(X, self.dtype) - self.mean) / self.scale).astype(self.dtype)
        z = np.repeat(z, self.members, axis=0)
        for layer in self.layers:
            z = layer.forward(z, drop)
        return z

    def predict(self, X: ArrayLike) -> Array:
        """Return y (B, n_out) for X (B, n_in), without dropout."""
        y = self.forward(X)
        mean: Array = y.reshape(-1, self.members, y.shape[1]).mean(1)
        return mean

    def evaluate(self, X: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the loss of a data set, including penalties, without dropout."""
        self.forward(X)
        return self._loss_and_delta(t, sample_weight)[0]

    def _loss_and_delta(self, t: ArrayLike, sample_weight: ArrayLike | None) -> tuple[float, Array]:
        """Return the loss with penalties and the delta (B * members, n_out), after `forward`."""
        last = self.layers[-1]
        _, _, a, y = last.tape
        t = one_hot(t, y.shape[1]) if self.loss == "cross_entropy" and np.ndim(t) == 1 else t
        n = len(y) // self.members
        t = np.asarray(t, self.dtype).reshape(n, y.shape[1]).repeat(self.members, axis=0)
        output = last.activation, last.alpha
        c = np.asarray(np.ones(n) if sample_weight is None else sample_weight, self.dtype)
        c = c.reshape(n, -1)  # (B, 1), or (B, n_out) for a weight of each output
        self.penalty_scale = 1.0
        if self.reduction == "mean":
            total = row_weights(c).sum()
            if self.scale_penalties:
                self.penalty_scale = 1 / total if total else 0.0
            c = c / (total or 1.0)  # weights that are all 0 stay 0
        c = np.repeat(c / self.members, self.members, axis=0)
        rows, delta = loss_and_delta(self.loss, *output, a, y, t, c, **self.parameters)
        penalty = sum(layer.penalty() for layer in self.layers)
        return float(rows.sum()) + self.penalty_scale * penalty, delta

    def loss_and_gradients(
        self,
        X: ArrayLike,
        t: ArrayLike,
        sample_weight: ArrayLike | None = None,
        training: bool = False,
    ) -> tuple[float, list[Array]]:
        """Return the loss of a batch with penalties, and its gradients in the order of get_weights.

        X is (B, n_in), t is (B, n_out), sample_weight is (B,) or (B, n_out); t may be (B,) for one
        output and for class indices. Dropout is active if `training`.
        """
        self.forward(X, training)
        loss, delta = self._loss_and_delta(t, sample_weight)
        g, gradients = self.layers[-1].backward(delta, self.penalty_scale, is_delta=True)
        for layer in reversed(self.layers[:-1]):
            g, own = layer.backward(g, self.penalty_scale)
            gradients[:0] = own
        return loss, gradients

    def train_on_batch(
        self, X: ArrayLike, t: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Make one update; return the loss before it.

        If the rule keeps an average x of the weights, the network has the weights x before and
        after the update.
        """
        self._take_states("y")
        loss, gradients = self.loss_and_gradients(X, t, sample_weight, training=True)
        trained = [on for layer in self.layers for on in trainable(layer)]
        sign = -1 if self.maximize else 1
        gradients = [sign * on * g for g, on in zip(gradients, trained, strict=True)]
        gradients, hyper = clip(gradients, **self.clipping), self.hyper | self._scheduled()
        self.step += 1
        rule, weights = OPTIMIZERS[self.optimizer], self.get_weights()
        multipliers = [m for layer in self.layers for m in rate_multipliers(layer)]
        decays = [on for layer in self.layers for on in decay(layer)]
        hypers = [
            multiplied(hyper, m) | ({} if on else {"weight_decay": 0.0})
            for m, on in zip(multipliers, decays, strict=True)
        ]
        each = zip(weights, gradients, self.state, trained, hypers, strict=True)
        weights = [rule(w, g, s, self.step, **own) if on else w for w, g, s, on, own in each]
        self.set_weights(weights)
        if self.momentum is not None:
            old, m = getattr(self, "average", weights), self.momentum
            self.average = [m * a + (1 - m) * w for a, w in zip(old, weights, strict=True)]
        self._take_states("x")
        return loss

    def _take_states(self, name: str) -> None:
        """Replace each weight array by the entry `name` of its rule's state, if there is one."""
        weights = zip(self.get_weights(), self.state, strict=True)
        self.set_weights([s.get(name, w) for w, s in weights])

    def _scheduled(self) -> dict[str, float]:
        """Return the learning rate of the next step as a dict; empty without a schedule."""
        if self.schedule is None:
            return {}
        schedule = dict(self.schedule)
        t = self.epoch if schedule.pop("per_epoch") else self.step
        return {"learning_rate": learning_rate(t, **schedule)}

    def fit_epoch(
        self,
        X: ArrayLike,
        t: ArrayLike,
        order: Array,
        batch_size: int | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Train an epoch on the rows X[order] in batches (None: one batch of all); return its loss.

        The loss of the epoch is the mean of the batches' losses, each before its update, weighted
        by the batches' rows or sums of sample weights; with reduction "sum" it is their sum.
        """
        X, t, mean = np.asarray(X, self.dtype), np.asarray(t), self.reduction == "mean"
        w = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
        total = weight = 0.0
        size = batch_size or len(order)
        for batch in np.split(np.asarray(order), range(size, len(order), size)):
            batch_weight = float(row_weights(w[batch]).sum()) if mean else 1.0
            total += batch_weight * self.train_on_batch(X[batch], t[batch], w[batch])
            weight += batch_weight
        self.epoch += 1
        return total / (weight or 1.0) if mean else total


def multiplied(hyper: dict[str, float], multiplier: float) -> dict[str, float]:
    """Return hyper-parameters with the learning rate multiplied by a layer's multiplier."""
    if multiplier == 1:
        return hyper
    return hyper | {"learning_rate": multiplier * hyper["learning_rate"]}


def row_weights(sample_weight: Array) -> Array:
    """Return |c_n| for weights (B,), or the mean of |c_nk| over k for weights (B, n_out)."""
    c = np.abs(sample_weight)
    return c if c.ndim == 1 else c.mean(1)


def central_differences(
    f: Callable[[list[Array]], float], weights: list[Array], eps: float = 1e-5
) -> list[Array]:
    """Return dE/dw for E = f(weights): entries (f(w + eps) - f(w - eps)) / 2 eps, in float64."""
    weights = [np.array(w, np.float64) for w in weights]
    gradients = [np.empty_like(w) for w in weights]
    for w, dw in zip(weights, gradients, strict=True):
        for i in np.ndindex(w.shape):
            here = w[i]
            w[i] = here + eps
            up = f(weights)
            w[i] = here - eps
            dw[i] = (up - f(weights)) / (2 * eps)
            w[i] = here
    return gradients
