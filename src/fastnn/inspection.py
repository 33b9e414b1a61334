"""Inspect a network: outputs of its layers, derivatives of its outputs, its cost.

The results for a network that has diverged contain NaN and inf, as those of `MLP.predict` do. The
functions are documented in the methods of MLP that call them. Not here: training, plots
(plotting.py) and profiles (profiling.py).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._precision import rounds_operands
from fastnn.layers import Dense, with_widths
from fastnn.training import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from fastnn.layers import Layer
    from fastnn.mlp import MLP, Inputs

_FEW = 8  # number of names that are shown
_ROUND = 1024  # maximum number of rows in the buffers: ROUND in engine/net.pxd


def classes(net: MLP, outputs: NDArray[Any]) -> NDArray[Any]:
    """Return the classes (n,), or labels (n, n_out), of outputs (n, n_out)."""
    n_out = outputs.shape[1]
    if net.loss.takes.are_classes:
        numbers: NDArray[Any] = outputs.argmax(axis=1)
    else:
        numbers = (outputs[:, 0] if n_out == 1 else outputs) > 0.5
    numbers = numbers.astype(np.int64)
    found: NDArray[Any] = numbers if net.classes is None else np.array(net.classes)[numbers]
    return found


def activations(net: MLP, X: Inputs) -> list[NDArray[Any]]:
    """Return the outputs (n, units) of each layer for rows X (n, n_in): `MLP.activations`."""
    found: list[NDArray[Any]] = net._network.activations(sources.inputs(net._state, "X", X))
    return found


def jacobian(net: MLP, X: Inputs) -> NDArray[Any]:
    """Return dy_k/dx_i (n, n_out, n_in) for rows X (n, n_in): `MLP.jacobian`."""
    rows = sources.inputs(net._state, "X", X)
    found = np.empty((len(rows), net.n_out, net.n_in), net.dtype)
    for k in range(net.n_out):
        found[:, k] = _derivatives(net, rows, np.full(len(rows), k))
    return found


def input_gradients(net: MLP, X: Inputs, output: int | None = None) -> NDArray[Any]:
    """Return dy_k/dx (n, n_in) for one output, or for the largest: `MLP.input_gradients`."""
    if output is not None:
        output = _checks.number_of_output(output, net.n_out)
    rows = sources.inputs(net._state, "X", X)
    largest = net.predict(rows).argmax(axis=1) if output is None else np.full(len(rows), output)
    return _derivatives(net, rows, largest)


def _derivatives(net: MLP, rows: NDArray[Any], outputs: NDArray[np.int64]) -> NDArray[Any]:
    """Return dy_k/dx (n, n_in); `outputs` (n,) has the index k for each row."""
    found = np.empty((len(rows), net.n_in), net.dtype)
    net._network.input_gradients(rows, outputs, found)
    return found


# ---- summary ------------------------------------------------------------------------------------


def summary(net: MLP, batch_size: int = 32) -> str:
    """Return the table that `MLP.summary` prints."""
    batch_size = _checks.integer("batch_size", batch_size, low=1)
    head, *rows = _table([("layer", "output", "parameters", "flops per row"), *_rows(net)])
    rule = "-" * len(head)
    return "\n".join([head, rule, *rows, rule, *_totals(net, batch_size)])


def html(net: MLP) -> str:
    """Return the summary of a network as an HTML table for a notebook, in the page's colours."""
    from html import escape  # slow to import, and rarely needed

    head, *rows = [("layer", "output", "parameters", "flops per row"), *_rows(net)]
    rule = "border-bottom: 1px solid currentColor"
    lines = [
        f"<p><b>{escape(repr(net).strip('<>'))}</b></p>",
        '<table style="border-collapse: collapse; margin: 0">',
        _html_row(head, "th", rule),
        *(_html_row(map(escape, row), "td", "") for row in rows),
        "</table>",
        f"<p>{'<br>'.join(map(escape, [*_totals(net, 32), *_learned(net)]))}</p>",
    ]
    return "\n".join(lines)


def _html_row(cells: Iterable[str], tag: str, style: str) -> str:
    """Return a row of a table; names are on the left, numbers on the right."""
    found = []
    for i, cell in enumerate(cells):
        side = "right" if i else "left"
        css = f"text-align: {side}; padding: 0.1em 0.8em; background: none; {style}"
        found.append(f'<{tag} style="{css.strip()}">{cell}</{tag}>')
    return f"<tr>{''.join(found)}</tr>"


def _learned(net: MLP) -> Iterator[str]:
    """Yield lines about training: counts, and the names of classes and columns."""
    if net.step:
        epochs, updates = _checks.counted(net.epoch, "epoch"), _checks.counted(net.step, "update")
        yield f"trained for {epochs}, {updates}"
    for what, names in (("classes", net.classes), ("columns", net.feature_names)):
        if names is not None:
            more = ", ..." if len(names) > _FEW else ""
            yield f"{what}: {', '.join(map(str, names[:_FEW]))}{more}"


def _rows(net: MLP) -> Iterator[tuple[str, str, str, str]]:
    """Yield the cells of each layer's row, empty for missing parameters or products."""
    yield "input", f"{net.n_in:,}", "", ""
    layers = _pieces(net)
    members = _members(layers)
    for layer, n_in in layers:
        count, flops = _size(layer.parameters(n_in)), members * layer.flops(n_in)
        cells = f"{count:,}" if count else "", f"{flops:,}" if flops else ""
        yield layer.label, f"{layer.width(n_in):,}", *cells


def _pieces(net: MLP) -> list[tuple[Layer, int]]:
    """Return every piece of the layers and the number of its inputs."""
    return list(with_widths(net.layers, net.n_in))


def _members(layers: list[tuple[Layer, int]]) -> int:
    """Return how many copies of each row pass through the pieces: one, unless in an Ensemble."""
    return max(getattr(layer, "members", 1) for layer, _ in layers)


def _size(shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the total number of elements of parameters."""
    return sum(math.prod(shape) for shape in shapes.values())


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Return lines of aligned cells, in columns of fixed width unless a cell is longer."""
    columns = zip((15, 8, 10, 11), *rows, strict=True)
    widths = [max(least, *map(len, cells)) for least, *cells in columns]
    lines = []
    for name, *numbers in rows:
        cells = [f"{cell:>{w}}" for cell, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]).rstrip())
    return lines


def flops_of_a_row(net: MLP) -> dict[str, int]:
    """Return the number of operations of the matrix products in each phase for one row.

    Frozen layers have no gradients, and no delta is computed below the lowest layer that is
    updated, which may have no products: an Embedding, a LayerNorm, the factors of an Ensemble.
    """
    layers = _pieces(net)
    members = _members(layers)
    flops = [members * layer.flops(k) for layer, k in layers]
    updated = [layer.trainable and bool(layer.parameters(k)) for layer, k in layers]
    lowest = updated.index(True) if any(updated) else len(layers)
    update = sum(itertools.compress(flops, updated))
    return {"forward": sum(flops), "delta": sum(flops[lowest + 1 :]), "update": update}


def _totals(net: MLP, batch_size: int) -> Iterator[str]:
    """Yield the lines below the table."""
    layers = _pieces(net)
    trainable = sum(_size(layer.parameters(k)) for layer, k in layers if layer.trainable)
    some = "" if trainable == net.n_parameters else f" ({trainable:,} trainable)"
    names = f"{net.dtype_policy}, {net.loss.name}, {net.optimizer.name}"
    yield f"{_checks.counted(net.n_parameters, 'parameter')}{some}, {names}"
    flops = flops_of_a_row(net)
    yield f"flops per row: {flops['forward']:,} forward, {sum(flops.values()):,} in a training step"
    used = _memory(net, layers, batch_size)
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in used.items())
    yield f"memory: {parts} (batch of {batch_size:,})"


def _memory(net: MLP, layers: list[tuple[Layer, int]], batch_size: int) -> dict[str, int]:
    """Return the bytes that a fit takes, by what they hold."""
    members = _members(layers)
    most = max(2, _ROUND // members // 2 * 2)
    rows = members * min(batch_size, most)
    weights = net.n_parameters * net.dtype.itemsize
    columns = net.n_in + sum(layer.arrays * layer.width(k) for layer, k in layers)
    state = weights * (net._network.n_blocks - 1)
    used = {"weights and copy": 2 * weights, "optimizer state": state}
    operands = sum(
        2 * k * layer.units * (1 + net.optimizer.use_ema)  # weights
        + 4 * rows * (k + layer.units)  # inputs and deltas, in two forms
        for layer, k in layers
        if isinstance(layer, Dense) and rounds_operands(net.dtype_policy, layer.units)
    )
    if operands:
        used["bfloat16 operands"] = operands
    if batch_size > most or net.optimizer.clips_norms:
        used["gradients"] = weights
    used["activations"] = rows * columns * net.dtype.itemsize
    return used


def _bytes(size: int) -> str:
    """Return a number of bytes as text, in the largest unit that gives at least 1."""
    if size < 1024:
        return f"{size} bytes"
    power = min(3, (size.bit_length() - 1) // 10)
    return f"{size / 1024**power:,.1f} {('KB', 'MB', 'GB')[power - 1]}"
