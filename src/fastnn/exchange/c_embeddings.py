"""Embeddings as C source: the stages of c_stages.py that replace columns of a row.

Not here: other stages (c_stages.py), the class `Stage` (c_base.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from fastnn import activations
from fastnn.exchange.c_base import Lines, Member, Precision, Stage, Values
from fastnn.exchange.parts import Part
from fastnn.layers import (
    Activate,
    BlockDense,
    Embedding,
    PeriodicEncoding,
    PiecewiseEncoding,
)


@dataclass(frozen=True)
class Block:
    """The columns from `first` to ``first + n`` of a row, and the columns that replace them."""

    first: int
    n: int
    to: int
    n_out: int


def blocks_of(columns: Iterable[int], widths: list[int], widths_out: list[int]) -> list[Block]:
    """Return the blocks that begin at these columns, in the order of the outputs."""
    found, more = [], 0
    for first, n, n_out in zip(columns, widths, widths_out, strict=True):
        found.append(Block(first, n, first + more, n_out))
        more += n_out - n
    return found


def copied(n_in: int, blocks: list[Block], source: str, target: str, *, back: bool) -> list[str]:
    """Return the lines that copy the columns outside of blocks to the outputs, or `back`."""
    lines, column, to = [], 0, 0
    for block in [*blocks, Block(n_in, 0, 0, 0)]:
        n = block.first - column
        one, other = (column, to) if back else (to, column)
        if n > 0:
            lines.append(f"for (int j = 0; j < {n}; j++)")
            lines.append(f"    {target}[{one} + j] = {source}[{other} + j];")
        column, to = block.first + block.n, block.to + block.n_out
    return lines


class InBlocks(Stage):
    """A stage that replaces the columns in `blocks` and copies the others."""

    def __init__(self, part: Part[Any], precision: Precision, blocks: list[Block]) -> None:
        super().__init__(part, precision)
        self.blocks, self.z_prev, self.out = blocks, Values("", 0), ""

    def begin(self, z: Values, lines: Lines) -> str:
        """Append the array of the outputs, with the copied columns; return its name."""
        self.z_prev, self.out = z, f"{z.name}_{self.part.layer.name}"
        lines.append(f"real {self.out}[{self.precision.padded(self.part.n_out)}];")
        lines += copied(self.part.n_in, self.blocks, z.name, self.out, back=False)
        lines += self.precision.zeros(self.out, self.part.n_out)
        return self.out

    def begin_back(self, delta: str, lines: Lines) -> str:
        """Append the array of the inputs' delta: that of the copied columns, 0 elsewhere."""
        below = f"{self.out}_below"
        lines.append(f"real {below}[{self.precision.padded(self.part.n_in)}] = {{0}};")
        lines += copied(self.part.n_in, self.blocks, delta, below, back=True)
        return below


class Table(InBlocks):
    """An Embedding: rows of a table. An input that is not a category gives NaN."""

    def __init__(self, part: Part[Embedding], precision: Precision) -> None:
        self.sizes = part.layer.categories(part.n_in)
        n, dim = len(self.sizes), part.layer.dim
        super().__init__(part, precision, blocks_of(list(self.sizes), [1] * n, [dim] * n))

    def members(self) -> list[Member]:
        """Return W."""
        W = self.part.arrays["W"]
        shape = f"({W.shape[0]}, {W.shape[1]})"
        return [Member(f"W{self.number}", shape, W.astype(self.precision.dtype))]

    def _rows(self) -> Iterator[tuple[Block, str]]:
        """Yield each block and the numbers of its row of W in C."""
        first, dim = 0, self.part.layer.dim
        for k, (block, size) in enumerate(zip(self.blocks, self.sizes.values(), strict=True)):
            yield block, f"weights->W{self.number}[({first} + row{self.number}_{k}) * {dim} + j]"
            first += size

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that look up the rows."""
        out, dim = self.begin(z, lines), self.part.layer.dim
        none = f"none{self.number}"
        lines.append(f"real {none}[LANES];")
        lines.append(f"store({none}, real_of(splat_bits((ureal)-1)));")
        for k, (block, row) in enumerate(self._rows()):
            x, size = f"{z.name}[{block.first}]", self.sizes[block.first]
            number = f"row{self.number}_{k}"
            lines.append(f"int {number} = {x} >= 0 && {x} < {size} ? (int){x} : -1;")
            lines.append(f"if ((real){number} != {x}) {number} = -1;")
            lines.append(f"for (int j = 0; j < {dim}; j++)")
            lines.append(f"    {out}[{block.to} + j] = {number} < 0 ? {none}[0] : {row};")
        return Values(out, self.part.n_out)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that update the rows."""
        for k, (block, row) in enumerate(self._rows()):
            lines.append(f"for (int j = 0; j < {block.n_out} && row{self.number}_{k} >= 0; j++)")
            lines.append(f"    {row} -= learning_rate * {delta}[{block.to} + j];")
        return "" if is_lowest else self.begin_back(delta, lines)


class Bins(InBlocks):
    """A piecewise linear encoding."""

    def __init__(self, part: Part[PiecewiseEncoding], precision: Precision) -> None:
        bins = part.layer.bins
        columns = range(len(bins)) if part.layer.columns is None else list(part.layer.columns)
        widths = [len(edges) - 1 for edges in bins]
        super().__init__(part, precision, blocks_of(columns, [1] * len(bins), widths))

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the edges, and the lines that encode."""
        out, number = self.begin(z, lines), self.precision.number
        for k, (block, edges) in enumerate(zip(self.blocks, self.part.layer.bins, strict=True)):
            low, inverse, last = f"{out}_low{k}", f"{out}_inverse{k}", block.n_out - 1
            inverses = [1 / (b - a) for a, b in pairwise(edges)]
            for name, values in ((low, edges[:-1]), (inverse, inverses)):
                listed = ", ".join(number(value) for value in values)
                lines.append(f"static const real {name}[{block.n_out}] = {{{listed}}};")
            lines += [
                f"for (int t = 0; t < {block.n_out}; t++) {{",
                f"    real u = ({z.name}[{block.first}] - {low}[t]) * {inverse}[t];",
                f"    {out}[{block.to} + t] = t > 0 && u < 0 ? 0 : t < {last} && u > 1 ? 1 : u;",
                "}",
            ]
        return Values(out, self.part.n_out)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that add up the deltas of the bins, times their slopes."""
        below, out = self.begin_back(delta, lines), self.out
        for k, block in enumerate(self.blocks):
            last, z = block.n_out - 1, f"{out}[{block.to} + t]"
            lines += [
                f"for (int t = 0; t < {block.n_out}; t++)",
                f"    if ((t == 0 || {z} > 0) && (t == {last} || {z} < 1))",
                f"        {below}[{block.first}] += {delta}[{block.to} + t] * {out}_inverse{k}[t];",
            ]
        return below


class Waves(InBlocks):
    """A periodic encoding: sines and cosines of learned frequencies."""

    forward_sections = frozenset({"vsine"})

    def __init__(self, part: Part[PeriodicEncoding], precision: Precision) -> None:
        columns = range(part.n_in) if part.layer.columns is None else list(part.layer.columns)
        n, self.n = len(columns), part.layer.n_frequencies
        super().__init__(part, precision, blocks_of(columns, [1] * n, [2 * self.n] * n))
        self.sine, self.cosine = f"sine{self.number}", f"cosine{self.number}"

    def members(self) -> list[Member]:
        """Return the frequencies."""
        values = self.part.arrays["frequencies"]
        shape = f"({len(values)}, {self.n} padded to {self.precision.padded(self.n)})"
        return [Member(f"frequencies{self.number}", shape, self.precision.pad(values))]

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that compute sines and cosines, one vector at a time, and copy them."""
        out, padded = self.begin(z, lines), self.precision.padded(self.n)
        size = padded * len(self.blocks)
        lines.append(f"real {self.sine}[{size}], {self.cosine}[{size}];")
        for k, block in enumerate(self.blocks):
            at = k * padded
            lines += [
                f"for (int j = {at}; j < {at + padded}; j += LANES) {{",
                f"    vec turns = splat({z.name}[{block.first}]) * "
                f"load(weights->frequencies{self.number} + j), other;",
                f"    store({self.sine} + j, vsine(turns, &other));",
                f"    store({self.cosine} + j, other);",
                "}",
                f"for (int j = 0; j < {self.n}; j++) {{",
                f"    {out}[{block.to} + j] = {self.sine}[{at} + j];",
                f"    {out}[{block.to + self.n} + j] = {self.cosine}[{at} + j];",
                "}",
            ]
        return Values(out, self.part.n_out)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that give the inputs' delta and update the frequencies."""
        below = "" if is_lowest else self.begin_back(delta, lines)
        two_pi = self.precision.number(6.283185307179586)
        for k, block in enumerate(self.blocks):
            at, x = k * self.precision.padded(self.n), f"{self.z_prev.name}[{block.first}]"
            frequency = f"weights->frequencies{self.number}[{at} + j]"
            lines += [
                f"for (int j = 0; j < {self.n}; j++) {{",
                f"    real w = {two_pi} * ({self.cosine}[{at} + j] * {delta}[{block.to} + j]",
                f"        - {self.sine}[{at} + j] * {delta}[{block.to + self.n} + j]);",
                *([] if is_lowest else [f"    {below}[{block.first}] += w * {frequency};"]),
                f"    {frequency} -= learning_rate * w * {x};",
                "}",
            ]
        return below


class BlockAffine(InBlocks):
    """The products of a BlockDense, in one array in which each block has its own padded columns."""

    forward_sections = frozenset({"affine"})
    backward_sections = frozenset({"affine_step"})

    def __init__(self, part: Part[BlockDense], precision: Precision) -> None:
        found = part.layer.blocks(part.n_in)
        units = [part.layer.units] * len(found)
        blocks = blocks_of([first for first, _ in found], [n for _, n in found], units)
        super().__init__(part, precision, blocks)
        self.padded = precision.padded(part.layer.units)

    def members(self) -> list[Member]:
        """Return W and b."""
        more = f"{self.part.layer.units} padded to {self.padded}"
        return [
            Member(f"{name}{self.number}", f"({len(array)}, {more})", self.precision.pad(array))
            for name, array in self.part.arrays.items()
        ]

    def _calls(self) -> Iterator[tuple[Block, str, str, int]]:
        """Yield each block, its W and b in C, and where it is in the array."""
        row = 0
        for k, block in enumerate(self.blocks):
            at = k * self.padded
            yield (
                block,
                f"weights->W{self.number} + {row * self.padded}",
                f"weights->b{self.number} + {at}",
                at,
            )
            row += block.n

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append a call for each block; the inputs are kept, since Spread copies some columns."""
        self.z_prev, size = z, self.padded * len(self.blocks)
        lines.inputs.append(z)
        lines.append(f"real z{self.number}[{size}];")
        for block, W, b, at in self._calls():
            sizes = f"{block.n}, {self.padded}, {z.name} + {block.first}"
            lines.append(f"affine({sizes}, {W}, {b}, z{self.number} + {at});")
        return Values(f"z{self.number}", size)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append a call for each block that updates it and gives delta_prev."""
        self.out, passed_on = f"z{self.number}", lines.deltas.pop()
        below = "" if is_lowest else self.begin_back(passed_on, lines)
        for block, W, b, at in self._calls():
            x = f"{self.z_prev.name} + {block.first}"
            to = "NULL" if is_lowest else f"{below} + {block.first}"
            lines.append(f"affine_step({block.n}, {self.padded}, learning_rate, {x},")
            lines.append(f"    {delta} + {at}, {W}, {b}, {to});")
        return below


class Spread(InBlocks):
    """The end of a BlockDense: puts its outputs in place among the copied columns."""

    def __init__(self, affine: BlockAffine) -> None:
        super().__init__(affine.part, affine.precision, affine.blocks)
        self.padded = affine.padded

    def forward(self, z: Values, lines: Lines, *, step: bool) -> Values:
        """Append the lines that copy the outputs of all blocks."""
        out = self.begin(lines.inputs.pop(), lines)
        for k, block in enumerate(self.blocks):
            lines.append(f"for (int j = 0; j < {block.n_out}; j++)")
            lines.append(f"    {out}[{block.to} + j] = {z.name}[{k * self.padded} + j];")
        return Values(out, self.part.n_out)

    def backward(self, delta: str, lines: Lines, *, is_lowest: bool) -> str:
        """Append the lines that copy the deltas of all blocks; keep `delta` for other columns."""
        lines.deltas.append(delta)
        name = f"delta{self.number}"
        lines.append(f"real {name}[{self.padded * len(self.blocks)}] = {{0}};")
        for k, block in enumerate(self.blocks):
            lines.append(f"for (int j = 0; j < {block.n_out}; j++)")
            lines.append(f"    {name}[{k * self.padded} + j] = {delta}[{block.to} + j];")
        return name


def block_dense(part: Part[BlockDense], precision: Precision, activated: Any) -> list[Stage]:
    """Return the stages of a BlockDense; `activated` makes the stage of an activation."""
    affine = BlockAffine(part, precision)
    activation = activations.get(part.layer.activation)
    if activation.is_linear:
        return [affine, Spread(affine)]
    layer: Any = Activate(activation)
    whole = replace(part, layer=layer, n_in=affine.padded * len(affine.blocks))
    return [affine, activated(whole, precision, activation), Spread(affine)]
