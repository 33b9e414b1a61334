"""Networks as chains of operations: the form into which networks of other libraries are read.

A `Chain` is built from affine maps, scalings, activations, dropouts and layer normalizations in
order, with marks at the beginning and the end of residuals. It merges operations where possible,
refuses what no MLP can express, and is converted to an MLP. Its arithmetic is in float64.

A new operation is a subclass of `Operation` that defines its layer. Not here: other libraries and
their names for these operations (onnx_reader.py, pytorch.py, scikit_learn.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn import _checks, activations
from fastnn.activations import Activation
from fastnn.exchange.parts import Array, Part, Refusal, minus, rule_for
from fastnn.layers import (
    Activate,
    BlockDense,
    Dense,
    Dropout,
    Embedding,
    Fork,
    Layer,
    LayerNorm,
    MemberDense,
    MemberScale,
    PeriodicEncoding,
    PiecewiseEncoding,
    Residual,
    Standardize,
    Sum,
    parameters,
)
from fastnn.losses import Loss
from fastnn.mlp import MLP

#: The loss that matches each output activation; all others get the squared error.
LOSSES = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exp": "poisson"}

#: While a scaling waits, _HUGE stands for an infinite scale, of a column that a factor of 0 makes
#: constant: weights divided by it are negligible, and two such scales can be multiplied. A scale of
#: _MOST or more does not become a Standardize, which could not hold it in float32.
_HUGE, _MOST = 1e120, 1e100


@dataclass
class Operation:
    """An operation, usually one layer; ``place`` is its name in messages."""

    place: str

    #: Whether it leaves predictions unchanged.
    is_transparent: ClassVar[bool] = False

    @property
    def n_in(self) -> int | None:
        """The number of inputs, or None if any number fits."""
        return None

    @property
    def n_out(self) -> int | None:
        """The number of outputs, or None if it equals the number of inputs."""
        return None

    def layer(self, l2: float) -> Layer:
        """Return the specification of the layer; weights get the penalty `l2`."""
        raise NotImplementedError

    def put(self, layers: list[list[Layer]], l2: float) -> None:
        """Append the layer to the innermost open residual; `layers` is the stack of these."""
        layers[-1].append(self.layer(l2))

    def arrays(self) -> list[Array]:
        """Return the layer's parameters, in the order of `MLP.set_weights`.

        An array of one number is broadcast to the shape of the parameter.
        """
        return []

    @property
    def takes_scaling(self) -> bool:
        """Whether `scale_outputs` can merge a scaling of the outputs with the operation."""
        return False

    def scale_outputs(self, mean: Array, scale: Array) -> None:
        """Merge ``(z - mean) / scale`` with the operation."""
        raise NotImplementedError


@dataclass
class Affine(Operation):
    """``z = h(z_prev @ W + b)``: W (n_in, n_out), b (n_out,) or None; h is None until it is set."""

    W: Array
    b: Array | None = None
    activation: Activation | None = None
    trainable: bool = True

    @property
    def n_in(self) -> int:
        """The number of inputs."""
        return len(self.W)

    @property
    def n_out(self) -> int:
        """The number of outputs."""
        return int(self.W.shape[1])

    def layer(self, l2: float) -> Dense:
        """Return a Dense."""
        return Dense(
            self.n_out,
            self.activation or "identity",
            self.b is not None,
            l2=l2,
            trainable=self.trainable,
        )

    def arrays(self) -> list[Array]:
        """Return W and, if there is one, b."""
        return [self.W] if self.b is None else [self.W, self.b]

    @property
    def takes_scaling(self) -> bool:
        """Whether there is no activation."""
        return self.activation is None

    def scale_outputs(self, mean: Array, scale: Array) -> None:
        """Merge a scaling with W and b; means of columns are biases to train, even if all are 0."""
        b = minus(self.b, mean.ravel())
        if b is None and mean.ndim:
            b = np.zeros(1)
        self.W = self.W / scale.ravel()
        self.b = None if b is None else np.broadcast_to(b / scale.ravel(), self.n_out)


@dataclass
class Norm(Operation):
    """``z = gain * (z_prev - mean) / sqrt(var + epsilon) + bias``, with mean and var of each row.

    gain and bias are (n,), or (1,) for any n.
    """

    specification: LayerNorm
    gain: Array
    bias: Array

    @property
    def n_in(self) -> int | None:
        """The number of inputs, if gain or bias determine it."""
        n = max(self.gain.size, self.bias.size)
        return n if n > 1 else None

    @property
    def n_out(self) -> int | None:
        """The number of outputs, if gain or bias determine it."""
        return self.n_in

    def layer(self, l2: float) -> LayerNorm:
        """Return the LayerNorm, which has no penalty."""
        return self.specification

    def arrays(self) -> list[Array]:
        """Return gain and bias."""
        return [self.gain, self.bias]

    @property
    def takes_scaling(self) -> bool:
        """Return True: a scaling is merged with gain and bias."""
        return True

    def scale_outputs(self, mean: Array, scale: Array) -> None:
        """Merge a scaling with gain and bias."""
        self.gain, self.bias = self.gain / scale.ravel(), (self.bias - mean.ravel()) / scale.ravel()


@dataclass
class Alone(Operation):
    """An activation that does not follow an affine map."""

    activate: Activate

    def layer(self, l2: float) -> Activate:
        """Return the Activate."""
        return self.activate


@dataclass
class Drop(Operation):
    """Dropout."""

    dropout: Dropout
    is_transparent: ClassVar[bool] = True

    def layer(self, l2: float) -> Dropout:
        """Return the Dropout."""
        return self.dropout


class Split(Operation):
    """The beginning of a residual: operations whose inputs are added to their outputs."""

    def put(self, layers: list[list[Layer]], l2: float) -> None:
        """Begin a residual."""
        layers.append([])


class Join(Operation):
    """The end of a residual."""

    def put(self, layers: list[list[Layer]], l2: float) -> None:
        """Replace the innermost open residual by a Residual layer."""
        block = layers.pop()
        layers[-1].append(_checks.built(self.place, Residual, block))


class Chain:
    """The operations so far, and a scaling that waits to be merged with the next operation."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.standardization: tuple[str, Array, Array] | None = None  # place, mean, scale
        self._waiting: tuple[str, Array, Array] | None = None  # place, mean, scale of a scaling
        self._splits: list[int] = []  # for each open residual, the index of its first operation
        self._logarithm: tuple[str, Activation] | None = None  # place of a log-softmax, its softmax

    def add(self, part: Part[Any]) -> None:
        """Append a layer of an MLP."""
        rule_for(RULES, part, "a chain of operations cannot hold")(self, part)

    # ---- operations -----------------------------------------------------------------------------

    @property
    def _last(self) -> Operation | None:
        """The last operation that changes predictions."""
        found = (operation for operation in reversed(self.operations))
        return next((operation for operation in found if not operation.is_transparent), None)

    @property
    def n_out(self) -> int | None:
        """The number of outputs so far, or None if no operation determines it."""
        sizes = (operation.n_out for operation in reversed(self.operations))
        return next((n for n in sizes if n is not None), None)

    def append(self, operation: Operation) -> None:
        """Append an operation without merging."""
        if not operation.is_transparent:
            self._end_layer(operation.place, operation.n_in)
        self.operations.append(operation)

    def _end_layer(self, place: str, n_in: int | None) -> None:
        """Check that an operation with `n_in` inputs can follow the last operation."""
        self._merge_backwards()
        if self._waiting is not None and not self._becomes_standardization():
            remedy = "fastnn merges a scaling only with a Dense layer next to it"
            _checks.inexpressible(self._waiting[0], f"scales the inputs of {place}", remedy)
        if n_in is not None:
            self._check_units(place, n_in, "inputs")
        last = self._last
        if isinstance(last, Affine):
            last.activation = last.activation or Activation("identity")
            name = last.activation.name
            _checks.expressible(
                place, not last.activation.is_row_wise, f"comes after a {name}",
                f"fastnn has {name} only at the output",
            )  # fmt: skip

    def _check_units(self, place: str, n: int, what: str) -> None:
        """Check that the size of an operation fits the one before it."""
        sized = [operation for operation in self.operations if operation.n_out is not None]
        for before in sized[-1:]:
            problem = f"has {n} {what}, but {before.place} before it has {before.n_out} outputs"
            _checks.expressible(
                place, n == before.n_out, problem, "fix the network, or export it again"
            )

    def affine(
        self,
        place: str,
        W: npt.ArrayLike,
        b: npt.ArrayLike | None = None,
        trainable: bool = True,
    ) -> None:
        """Append ``z @ W + b``."""
        W = np.array(W, np.float64)
        b = None if b is None else np.array(b, np.float64)
        _checks.finite(place, W, b)
        self._check_units(place, len(W), "rows of weights")
        if self._waiting is not None:
            W, b = self._scaled_inputs(W, b)
        self.append(Affine(place, W, b, trainable=trainable))

    def _scaled_inputs(self, W: Array, b: Array | None) -> tuple[Array, Array | None]:
        """Merge the waiting scaling into W and b, unless it becomes the standardization."""
        assert self._waiting is not None
        if self._becomes_standardization():
            return W, b
        mean, scale = self._per_column(*self._waiting, len(W))
        self._waiting = None
        return W / scale[:, None], minus(b, (mean / scale) @ W)

    def _becomes_standardization(self) -> bool:
        """Turn the waiting scaling into the standardization, if possible; return whether it was."""
        assert self._waiting is not None
        _, _, scale = self._waiting
        if self._last is not None or scale.min() <= 0 or scale.max() >= _MOST:
            return False
        self.standardization, self._waiting = self._waiting, None
        return True

    @staticmethod
    def _per_column(place: str, mean: Array, scale: Array, n: int) -> tuple[Array, Array]:
        """Return mean and scale with a number for each of n columns."""
        for array in (mean, scale):
            problem = f"has {_checks.counted(array.size, 'number')}, but {n} inputs follow"
            remedy = "fix the network, or export it again"
            _checks.expressible(place, array.size in (1, n), problem, remedy)
        mean, scale = (np.array(np.broadcast_to(array.ravel(), n)) for array in (mean, scale))
        return mean, scale

    def scale(self, place: str, mean: npt.ArrayLike = 0.0, scale: npt.ArrayLike = 1.0) -> None:
        """Append ``(z - mean) / scale``, of one number or one per column; scale may be infinite."""
        mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
        remedy = "fix the network, or export it again"
        _checks.expressible(place, mean.size and scale.size, "scales by no numbers", remedy)
        _checks.finite(place, mean, 1 / np.where(scale == 0, np.nan, scale))
        last = self.operations[-1] if self.operations else None
        if last is not None and last.takes_scaling:
            self._merge(last, place, mean, scale)
            return
        scale = np.where(np.isinf(scale), _HUGE, scale)
        if self._waiting is None:
            self._waiting = place, mean, scale
        else:
            _, mean_before, scale_before = self._waiting
            sizes = {array.size for array in (mean, scale, mean_before, scale_before)} - {1}
            problem = f"scales {max(sizes, default=1)} columns and {min(sizes, default=1)}"
            remedy = "fix the network, or export it again"
            _checks.expressible(place, len(sizes) < 2, problem, remedy)
            self._waiting = place, mean_before + mean * scale_before, scale_before * scale

    def _merge(self, operation: Operation, place: str, mean: Array, scale: Array) -> None:
        """Merge a scaling with an operation before it."""
        for array in (mean, scale):
            if array.size > 1:
                self._check_units(place, array.size, "numbers")
        operation.scale_outputs(mean, scale)

    def _merge_backwards(self) -> None:
        """Merge a waiting scaling with the operation before the dropouts, if that takes one.

        A scaling after a dropout waits, since merged with the weights of a next layer it keeps its
        place. If no such layer follows, it moves before the dropout: this changes no prediction,
        but in training the dropout then drops the shifted numbers.
        """
        last = self._last
        if self._waiting is not None and last is not None and last.takes_scaling:
            self._merge(last, *self._waiting)
            self._waiting = None

    def normalize(
        self,
        place: str,
        mean: Array,
        variance: Array,
        gamma: Array | None = None,
        beta: Array | None = None,
    ) -> None:
        """Append ``(z - mean) / sqrt(variance) * gamma + beta``: a batch normalization."""
        problem = "has a variance that is not above 0"
        _checks.expressible(place, np.all(variance > 0), problem, "train it again")
        self.scale(place, mean, np.sqrt(variance))
        if gamma is not None:
            with np.errstate(divide="ignore"):
                self.scale(place, 0.0, 1 / np.asarray(gamma, np.float64))
        if beta is not None:
            self.scale(place, -np.asarray(beta, np.float64))

    def norm(
        self,
        place: str,
        epsilon: float,
        gain: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        trainable: bool = True,
    ) -> None:
        """Append a layer normalization; the default gain is 1, the default bias 0."""
        numbers = np.array([1.0] if gain is None else gain, np.float64)
        offsets = np.array([0.0] if bias is None else bias, np.float64)
        _checks.finite(place, numbers, offsets)
        sizes = {numbers.size, offsets.size}
        problem = f"has a gain of {numbers.size} numbers and a bias of {offsets.size}"
        remedy = "fix the network, or export it again"
        _checks.expressible(place, 0 not in sizes and len(sizes - {1}) < 2, problem, remedy)
        layer = _checks.built(place, LayerNorm, epsilon, trainable)
        self.append(Norm(place, layer, numbers, offsets))

    @property
    def _open_affine(self) -> Affine | None:
        """The last affine map, if nothing follows it and it has no activation yet."""
        last = self._last
        return last if isinstance(last, Affine) and last.activation is None else None

    def activate(self, place: str, activation: Activation) -> None:
        """Set the activation of the affine map before, or append the activation as a layer."""
        self._merge_backwards()
        if self._open_affine is not None:
            self._open_affine.activation = activation
        else:
            self.append(Alone(place, _checks.built(place, Activate, activation)))

    def log_softmax(self, place: str) -> None:
        """Append a log-softmax, which is valid only if the user asks for softmax instead of it."""
        softmax = Activation("softmax")
        self.activate(place, softmax)
        self._logarithm = place, softmax

    def drop(self, place: str, rate: float) -> None:
        """Append a dropout."""
        if rate:
            self.append(Drop(place, _checks.built(place, Dropout, rate)))

    def fork(self, place: str) -> None:
        """Begin a residual, which `join` ends."""
        self.append(Split(place))
        self._splits.append(len(self.operations))

    def join(self, place: str) -> None:
        """End the innermost residual: add its inputs to its outputs."""
        block = self.operations[self._splits.pop() :]
        remedy = "put layers between them"
        _checks.expressible(place, block, "adds its inputs to themselves", remedy)
        taken = next((o.n_in for o in block if o.n_in is not None), None)
        given = next((o.n_out for o in reversed(block) if o.n_out is not None), taken)
        problem = f"adds {taken} inputs to {given} outputs"
        remedy = "fastnn's residuals have as many outputs as inputs"
        _checks.expressible(place, given == taken, problem, remedy)
        self.append(Join(place))

    # ---- the network ----------------------------------------------------------------------------

    def network(
        self,
        *,
        output: str | Activation | None = None,
        l2: float = 0.0,
        loss: str | Loss | None = None,
        **options: Any,
    ) -> MLP:
        """Return the MLP; by default its loss is the one that matches the output activation.

        `output` is an activation to append, `l2` the penalty of every layer.
        """
        self._end(output)
        blocks: list[list[Layer]] = [[]]
        for operation in self.operations:
            operation.put(blocks, l2)
        [layers] = blocks
        if self.standardization is not None:
            layers.insert(0, Standardize())
        if loss is None:
            activation = getattr(layers[-1], "activation", Activation("identity"))
            loss = LOSSES.get(activation.name, "squared_error")
        n_in = next(operation.n_in for operation in self.operations if operation.n_in is not None)
        net = MLP(n_in, layers, loss=loss, **options)
        arrays = [array for operation in self.operations for array in operation.arrays()]
        shapes = parameters(layers, n_in).values()
        net.set_weights([np.broadcast_to(a, s) for a, s in zip(arrays, shapes, strict=True)])
        if self.standardization is not None:
            net._state.standardize(*self._per_column(*self.standardization, n_in))
        return net

    def _end(self, output: str | Activation | None) -> None:
        """Append the output activation that was asked for; check that the chain is complete."""
        self._merge_backwards()
        remedy = "pass one with at least one layer"
        _checks.expressible("the network", self._last is not None, "has no weights", remedy)
        wanted = None
        if output is not None:
            wanted = _checks.built(f"output={output!r}", activations.get, output)
        if self._logarithm is not None:
            place, softmax = self._logarithm
            remedy = f"pass output={softmax.name!r} for a network that outputs the probabilities"
            problem = "outputs logarithms of probabilities"
            _checks.expressible(place, wanted == softmax, problem, f"{remedy} themselves")
        elif wanted is not None:
            problem = "follows another activation, or a layer other than Dense"
            remedy = "pass output= only for a network that ends with a Dense layer"
            is_open = self._open_affine is not None
            _checks.expressible(f"output={wanted}", is_open, problem, remedy)
            self.activate(f"output={wanted}", wanted)
        last = self._last
        assert last is not None
        remedy = "fastnn networks end with a Dense layer; append one"
        _checks.expressible(last.place, isinstance(last, Affine), "ends the network", remedy)
        if self._waiting is not None:
            problem = "scales the output of an activation at the end of the network"
            remedy = "leave it out, and scale the predictions"
            _checks.inexpressible(self._waiting[0], problem, remedy)


# ---- layers of an MLP ----------------------------------------------------------------------------


def _dense(chain: Chain, part: Part[Dense]) -> None:
    chain.affine(part.place, part.arrays["W"], part.arrays.get("b"), part.layer.trainable)
    chain.activate(part.place, activations.get(part.layer.activation))


def _dropout(chain: Chain, part: Part[Dropout]) -> None:
    chain.drop(part.place, part.layer.rate)


def _standardize(chain: Chain, part: Part[Standardize]) -> None:
    chain.scale(part.place, part.arrays["mean"], part.arrays["scale"])


def _layer_norm(chain: Chain, part: Part[LayerNorm]) -> None:
    layer, arrays = part.layer, part.arrays
    chain.norm(part.place, layer.epsilon, arrays["gain"], arrays["bias"], layer.trainable)


def _activate(chain: Chain, part: Part[Activate]) -> None:
    chain.activate(part.place, activations.get(part.layer.activation))


def _fork(chain: Chain, part: Part[Fork]) -> None:
    chain.fork(part.place)


def _sum(chain: Chain, part: Part[Sum]) -> None:
    chain.join(part.place)


_NO_EMBEDDINGS = Refusal("it has no embeddings; use the network by itself")
_NO_MEMBERS = Refusal("it has no ensembles; use the network by itself")

#: For each kind of layer, the function that appends it to a chain.
RULES: dict[type[Layer], Callable[[Chain, Part[Any]], None] | Refusal] = {
    Dense: _dense,
    Dropout: _dropout,
    Standardize: _standardize,
    LayerNorm: _layer_norm,
    Activate: _activate,
    Fork: _fork,
    Sum: _sum,
    Embedding: _NO_EMBEDDINGS,
    PiecewiseEncoding: _NO_EMBEDDINGS,
    PeriodicEncoding: _NO_EMBEDDINGS,
    BlockDense: _NO_EMBEDDINGS,
    MemberScale: _NO_MEMBERS,
    MemberDense: _NO_MEMBERS,
}
