"""Layers as C source: for each kind its arrays, its forward lines and, in a step, backward lines.

A `Stage` is a piece of a layer. `RULES` maps each kind of layer to its stages; a new kind of layer
is a class or two here and a line in `RULES`. The names of C variables end with the number of the
layer: ``z1`` are the outputs of layer 1, ``delta1`` is dE/dz1 and then dE/da1.

Here: lines that call the functions of c_sections.py. Not here: the text around them and losses
(c_source.py).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fastnn import _checks, activations
from fastnn.activations import Activation
from fastnn.exchange import c_embeddings
from fastnn.exchange.c_base import Lines, Member, Precision, Stage, Values
from fastnn.exchange.c_sections import sections
from fastnn.exchange.parts import Array, Part, Refusal
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
    Standardize,
    Sum,
)

#: Layers with up to this many outputs are computed as dot products, since padding would waste work.
_FEW = 4


def _padded(z: Values, lines: list[str], precision: Precision) -> Values:
    """Return values with padding; append lines that copy them if they are the network's inputs."""
    if z.is_padded:
        return z
    lines.append(f"real inputs[{precision.padded(z.n)}] = {{0}};")
    lines.append(f"for (int k = 0; k < {z.n}; k++) inputs[k] = {z.name}[k];")
    return Values("inputs", z.n)


class Standardization(Stage):
    """``z = (x - mean) / scale``, for the inputs of the network."""

    forward_sections = frozenset({"standardize"})

    def constants(self) -> dict[str, Array]:
        """Return the means and the inverse scales."""
        arrays = {"mean": self.part.arrays["mean"], "inverse": 1 / self.part.arrays["scale"]}
        return {name: self.precision.pad(array) for name, array in arrays.items()}

    def forward(self, z: Values, lines: list[str], *, step: bool) -> Values:
        """Append the call."""
        lines.append(f"real inputs[{self.precision.padded(z.n)}] = {{0}};")
        lines.append(f"standardize({z.n}, {z.name}, mean, inverse, inputs);")
        return Values("inputs", z.n)


class AffineMap(Stage):
    """``a = z_prev @ W + b``.

    The columns of W are padded. With few outputs W is stored transposed, so that its rows are.
    """

    def __init__(self, part: Part[Any], precision: Precision) -> None:
        super().__init__(part, precision)
        self.n_in, self.n_out = part.n_in, part.n_out
        self.is_few = self.n_out <= _FEW
        name = "dots" if self.is_few else "affine"
        self.forward_sections = frozenset({name})
        self.backward_sections = frozenset({f"{name}_step"})
        self.z_prev = Values("", 0)
        self.W = f"weights->W{self.number}"
        self.b = f"weights->b{self.number}" if "b" in part.arrays else "NULL"

    def members(self) -> list[Member]:
        """Return W and, if there is one, b."""
        W, columns = self.part.arrays["W"], self.precision.padded(self.n_out)
        shape = f"({self.n_in}, {self.n_out} padded to {columns})"
        if self.is_few:
            W, rows = W.T, self.precision.padded(self.n_in)
            shape = f"({self.n_out}, {self.n_in} padded to {rows})"
        found = [Member(f"W{self.number}", shape, self.precision.pad(W))]
        if "b" in self.part.arrays:
            b = self.precision.pad(self.part.arrays["b"])
            found.append(Member(f"b{self.number}", f"({self.n_out} padded)", b))
        return found

    def forward(self, z: Values, lines: list[str], *, step: bool) -> Values:
        """Append the call of `affine`, or of `dots`, which needs padded inputs."""
        padded, a = self.precision.padded, f"z{self.number}"
        if self.is_few:
            z = _padded(z, lines, self.precision)
        self.z_prev = z
        name = "dots" if self.is_few else "affine"
        lines.append(f"real {a}[{padded(self.n_out)}];")
        lines.append(f"{name}({self._sizes()}, {z.name}, {self.W}, {self.b}, {a});")
        if self.is_few:
            lines += self.precision.zeros(a, self.n_out)
        return Values(a, self.n_out)

    def _sizes(self) -> str:
        """Return the first two arguments of these functions."""
        if self.is_few:
            return f"{self.precision.padded(self.n_in)}, {self.n_out}"
        return f"{self.n_in}, {self.precision.padded(self.n_out)}"

    def backward(self, delta: str, lines: list[str], *, is_lowest: bool) -> str:
        """Append the call that updates W and b and computes delta_prev."""
        below = "NULL" if is_lowest else f"below{self.number}"
        if not is_lowest:
            lines.append(f"real {below}[{self.precision.padded(self.n_in)}] = {{0}};")
        name = "dots_step" if self.is_few else "affine_step"
        lines.append(f"{name}({self._sizes()}, learning_rate, {self.z_prev.name}, {delta},")
        lines.append(f"    {self.W}, {self.b}, {below});")
        return below


class Activated(Stage):
    """``z = h(a)``, in place: an activation, by the kernels' functions of its name."""

    def __init__(self, part: Part[Any], precision: Precision, activation: Activation) -> None:
        super().__init__(part, precision)
        self.activation, self.name, self.z = activation, activation.name, f"z{self.number}"
        section = sections().get(self.name)
        problem = f"has {activation}, which has no section in engine/simd/activations.h"
        remedy = "mark its functions there"
        _checks.expressible(part.place, section is not None, problem, remedy)
        assert section is not None
        self.forward_sections = frozenset({self.name})
        if activation.is_row_wise:
            self.backward_sections = frozenset({f"{self.name}_backward"})
        self.keeps_slope = f"vec {self.name}_slope(" not in section.text
        self.alpha = f"splat({precision.number(activation.parameter or 0.0)})"

    def forward(self, z: Values, lines: list[str], *, step: bool) -> Values:
        """Append the lines that turn a into z; a step keeps a slope that z does not determine."""
        padded = self.precision.padded(z.n)
        if self.activation.is_row_wise:  # one row of panels, which follow each other
            lines.append(f"{self.name}_forward(1, {z.n}, PANEL, {z.name});")
            return z
        keep = self.keeps_slope and step
        if keep:
            lines.append(f"real slope{self.number}[{padded}];")
        lines.append(f"for (int j = 0; j < {padded}; j += LANES) {{")
        argument = self.alpha
        if self.keeps_slope:
            lines.append("    vec slope;")
            argument = "&slope"
        lines.append(f"    vec value = {self.name}_value(load({z.name} + j), {argument});")
        if keep:
            lines.append(f"    store(slope{self.number} + j, slope);")
        lines += [f"    store({z.name} + j, value);", "}", *self.precision.zeros(z.name, z.n)]
        return z

    def backward(self, delta: str, lines: list[str], *, is_lowest: bool) -> str:
        """Append the lines that turn dE/dz into dE/da."""
        if self.activation.is_row_wise:
            lines.append(f"{self.name}_backward(1, {self.part.n_out}, PANEL, {self.z}, {delta});")
            return delta
        slope = f"{self.name}_slope(load({self.z} + j), {self.alpha})"
        if self.keeps_slope:
            slope = f"load(slope{self.number} + j)"
        lines.append(f"for (int j = 0; j < {self.precision.padded(self.part.n_out)}; j += LANES)")
        lines.append(f"    store({delta} + j, load({delta} + j) * {slope});")
        return delta


class Alone(Activated):
    """``z = h(z_prev)`` in a new array: a layer that is only an activation."""

    def forward(self, z: Values, lines: list[str], *, step: bool) -> Values:
        """Append the lines that copy z_prev, and those of the activation."""
        z, padded = _padded(z, lines, self.precision), self.precision.padded(z.n)
        self.z = self.number = f"{z.name}_{self.name}"
        lines.append(f"real {self.z}[{padded}];")
        lines.append(f"for (int j = 0; j < {padded}; j++) {self.z}[j] = {z.name}[j];")
        return super().forward(Values(self.z, z.n), lines, step=step)


class Normalization(Stage):
    """``z = gain * x^ + bias``: a layer normalization. A step keeps x^ (`unit`) and the scale."""

    forward_sections = frozenset({"normalized_row", "layer_norm_forward"})
    backward_sections = frozenset({"layer_norm_backward", "layer_norm_step"})

    def members(self) -> list[Member]:
        """Return gain and bias."""
        return [
            Member(f"{name}{self.number}", f"({self.part.n_in} padded)", self.precision.pad(array))
            for name, array in self.part.arrays.items()
        ]

    def forward(self, z: Values, lines: list[str], *, step: bool) -> Values:
        """Append the arrays, and the call that fills them."""
        z, number, padded = _padded(z, lines, self.precision), self.number, self._padded()
        unit, scale = (f"unit{number}", f"&scale{number}") if step else ("NULL", "NULL")
        if step:
            lines.append(f"real {unit}[{padded}], scale{number};")
        lines += [
            f"real z{number}[{padded}];",
            f"fastnn_layer_norm_args norm{number} = normalized_row({z.n}, "
            f"{self.precision.number(self.part.layer.epsilon)},",
            f"    weights->gain{number}, weights->bias{number}, {unit}, {scale});",
            f"layer_norm_forward(&norm{number}, {z.name}, z{number});",
        ]
        return Values(f"z{number}", z.n)

    def backward(self, delta: str, lines: list[str], *, is_lowest: bool) -> str:
        """Append the calls that compute delta_prev, with the old gain, and then update."""
        number, padded, below = self.number, self._padded(), f"below{self.number}"
        if not is_lowest:
            lines.append(f"real {below}[{padded}];")
            lines.append(f"layer_norm_backward(&norm{number}, {delta}, {below});")
        lines.append(f"layer_norm_step({padded}, learning_rate, unit{number}, {delta},")
        lines.append(f"    weights->gain{number}, weights->bias{number});")
        return below

    def _padded(self) -> int:
        return self.precision.padded(self.part.n_in)


class Split(Stage):
    """The beginning of a residual: keeps its inputs."""

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Keep z, with padding."""
        z = _padded(z, lines, self.precision)
        lines.inputs.append(z)
        return z

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the line that adds the delta of the residual's outputs."""
        lines.append(f"for (int j = 0; j < {self.precision.padded(self.part.n_in)}; j++)")
        lines.append(f"    {delta}[j] += {lines.deltas.pop()}[j];")
        return delta


class Join(Stage):
    """The end of a residual: ``z = z_prev + inputs``."""

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that add into a new array, since the backward pass needs z_prev."""
        name, padded = f"{z.name}_sum", self.precision.padded(z.n)
        lines.append(f"real {name}[{padded}];")
        lines.append(f"for (int j = 0; j < {padded}; j++)")
        lines.append(f"    {name}[j] = {z.name}[j] + {lines.inputs.pop().name}[j];")
        return Values(name, z.n)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that copy delta for the layers within, which change it in place."""
        name, padded = f"{delta}_inside", self.precision.padded(self.part.n_in)
        lines.append(f"real {name}[{padded}];")
        lines.append(f"for (int j = 0; j < {padded}; j++) {name}[j] = {delta}[j];")
        lines.deltas.append(delta)
        return name


# A row passes through an Ensemble in a loop over the members m. The first Factors begin its lines;
# the last stage, Mean, writes the loop around them. `to_c` refuses steps of these stages.


class Factors(Stage):
    """``z = z_prev * W_m + b_m``, by columns: the factors of a member, and perhaps biases."""

    def members(self) -> list[Member]:
        """Return W and, if there is one, b."""
        n, padded = self.part.n_in, self.precision.padded(self.part.n_in)
        shape = f"({self.part.layer.members}, {n} padded to {padded})"
        return [
            Member(f"{name}{self.number}", shape, self.precision.pad(array))
            for name, array in self.part.arrays.items()
        ]

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that compute z; the first ones of an Ensemble begin the loop."""
        z, padded = _padded(z, lines, self.precision), self.precision.padded(z.n)
        if self.part.copies == 1:
            lines.before_members = len(lines)
        name, at = f"z{self.number}", f"[m * {padded} + j]"
        lines.append(f"real {name}[{padded}];")
        lines.append(f"for (int j = 0; j < {padded}; j++)")
        bias = f" + weights->b{self.number}{at}" if "b" in self.part.arrays else ""
        lines.append(f"    {name}[j] = {z.name}[j] * weights->W{self.number}{at}{bias};")
        return Values(name, z.n)


class MemberMap(AffineMap):
    """``a = z_prev @ W_m + b_m``; the arrays of all members follow each other."""

    def __init__(self, part: Part[MemberDense], precision: Precision) -> None:
        super().__init__(part, precision)
        W, *b = self.members()
        self.W += f" + m * {W.values[0].size}"
        for biases in b:
            self.b += f" + m * {biases.values[0].size}"

    def members(self) -> list[Member]:
        """Return the W of all members and, if there are biases, their b."""
        k = self.part.layer.members
        split = {name: np.split(array, k) for name, array in self.part.arrays.items()}
        alone = []
        for m in range(k):
            part = replace(self.part, arrays={name: each[m] for name, each in split.items()})
            alone.append(AffineMap(part, self.precision).members())
        return [
            Member(one[0].name, f"{k} times {one[0].shape}", np.stack([a.values for a in one]))
            for one in zip(*alone, strict=True)
        ]


class Mean(Stage):
    """The end of an Ensemble: the mean of its members' outputs."""

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Write the loop over the members, which adds up their outputs, and the division."""
        k, first = self.part.layer.members, lines.before_members
        lines[first:] = [
            f"real outputs[{self.precision.padded(z.n)}] = {{0}};",
            f"for (int m = 0; m < {k}; m++) {{",
            *(f"    {line}" for line in lines[first:]),
            f"    for (int j = 0; j < {z.n}; j++) outputs[j] += {z.name}[j];",
            "}",
            f"for (int j = 0; j < {z.n}; j++) outputs[j] /= {k};",
        ]
        return Values("outputs", z.n)


# ---- kinds of layers -----------------------------------------------------------------------------


def _dense(part: Part[Dense], precision: Precision) -> list[Stage]:
    activation = activations.get(part.layer.activation)
    stages: list[Stage] = [AffineMap(part, precision)]
    return stages if activation.is_linear else [*stages, Activated(part, precision, activation)]


def _dropout(part: Part[Dropout], precision: Precision) -> list[Stage]:
    """Return no stages: dropout has no effect in predictions, and `to_c` refuses steps with it."""
    return []


def _standardize(part: Part[Standardize], precision: Precision) -> list[Stage]:
    return [Standardization(part, precision)]


def _layer_norm(part: Part[LayerNorm], precision: Precision) -> list[Stage]:
    return [Normalization(part, precision)]


def _activate(part: Part[Activate], precision: Precision) -> list[Stage]:
    activation = activations.get(part.layer.activation)
    return [] if activation.is_linear else [Alone(part, precision, activation)]


def _fork(part: Part[Fork], precision: Precision) -> list[Stage]:
    return [Split(part, precision)]


def _sum(part: Part[Sum], precision: Precision) -> list[Stage]:
    return [Join(part, precision)]


def _member_scale(part: Part[MemberScale], precision: Precision) -> list[Stage]:
    return [Factors(part, precision)]


def _member_dense(part: Part[MemberDense], precision: Precision) -> list[Stage]:
    activation = activations.get(part.layer.dense.activation)
    stages: list[Stage] = [MemberMap(part, precision)]
    if not activation.is_linear:
        stages.append(Activated(part, precision, activation))
    return [*stages, Mean(part, precision)]


def _embedding(part: Part[Embedding], precision: Precision) -> list[Stage]:
    return [c_embeddings.Table(part, precision)]


def _piecewise(part: Part[PiecewiseEncoding], precision: Precision) -> list[Stage]:
    return [c_embeddings.Bins(part, precision)]


def _periodic(part: Part[PeriodicEncoding], precision: Precision) -> list[Stage]:
    return [c_embeddings.Waves(part, precision)]


def _block_dense(part: Part[BlockDense], precision: Precision) -> list[Stage]:
    return c_embeddings.block_dense(part, precision, Activated)


#: For each kind of layer, the function that returns its stages.
RULES: dict[type[Layer], Callable[[Part[Any], Precision], list[Stage]] | Refusal] = {
    Dense: _dense,
    Dropout: _dropout,
    Standardize: _standardize,
    LayerNorm: _layer_norm,
    Activate: _activate,
    Fork: _fork,
    Sum: _sum,
    Embedding: _embedding,
    PiecewiseEncoding: _piecewise,
    PeriodicEncoding: _periodic,
    BlockDense: _block_dense,
    MemberScale: _member_scale,
    MemberDense: _member_dense,
}
