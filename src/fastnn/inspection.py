"""Looking into a network: outputs of its layers, derivatives of its outputs, its cost.

Rows go through in blocks, so that little memory is needed besides the result and a copy of the
weights. The compiled functions are called directly, without the checks of `fastnn.kernels`: a
network that has diverged shows its NaN and inf here, as it does in `MLP.predict`.

MLP has methods over these functions, where they are documented. Not here: training, pictures
(plotting.py) and time (profiling.py).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _cpu
from fastnn import activations as activation_kinds
from fastnn._precision import KERNELS
from fastnn.activations import Activation
from fastnn.layers import with_widths
from fastnn.training import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastnn.mlp import MLP, Inputs

    Affine = tuple[NDArray[Any], NDArray[Any] | None, Activation]  # W, b or None, h
    Passed = list[tuple[NDArray[Any], NDArray[Any]]]  # a and z of every Dense

_BLOCK = 2**18  # numbers that the activations of a block of rows may take: a megabyte of floats
_FEWEST = 64  # rows in a block at least: with fewer, packing W takes longer than multiplying by it
_ROUND = 1024  # rows that a workspace has room for at most, as in _kernels.pyx


def activations(net: MLP, X: Inputs) -> list[NDArray[Any]]:
    """Return z (n, units) of every Dense for rows X (n, n_in): `MLP.activations`."""
    rows, layers = sources.inputs(net._state, "X", X), _layers(net)
    found = [np.empty((len(rows), W.shape[1]), net.dtype) for W, _, _ in layers]
    for part in _blocks(net, len(rows)):
        passed = _forward(layers, _standardized(net, rows[part]))
        for z_all, (_, z) in zip(found, passed, strict=True):
            z_all[part] = z
    return found


def jacobian(net: MLP, X: Inputs) -> NDArray[Any]:
    """Return dy_k/dx_i (n, n_out, n_in) of rows X (n, n_in): `MLP.jacobian`."""
    rows, layers = sources.inputs(net._state, "X", X), _layers(net)
    found = np.empty((len(rows), net.n_out, net.n_in), net.dtype)
    for part in _blocks(net, len(rows)):
        z = _standardized(net, rows[part])
        passed = list(_forward(layers, z))
        for k in range(net.n_out):
            found[part, k] = _backward(net, layers, z, passed, k)
    return found


def input_gradients(net: MLP, X: Inputs, output: int | None = None) -> NDArray[Any]:
    """Return dy_k/dx (n, n_in) of one output, or of each row's largest: `MLP.input_gradients`."""
    if output is not None:
        output = _checks.integer("output", output, low=0, high=net.n_out - 1)
    rows, layers = sources.inputs(net._state, "X", X), _layers(net)
    found = np.empty((len(rows), net.n_in), net.dtype)
    for part in _blocks(net, len(rows)):
        z = _standardized(net, rows[part])
        passed = list(_forward(layers, z))
        k = passed[-1][1].argmax(axis=1) if output is None else output
        found[part] = _backward(net, layers, z, passed, k)
    return found


# ---- forward and back ---------------------------------------------------------------------------


def _standardized(net: MLP, X: NDArray[Any]) -> NDArray[Any]:
    """Return rows (n, n_in) as the first layer takes them."""
    if net.standardization is None:
        return X
    mean, scale = net.standardization
    return ((X - mean) / scale).astype(net.dtype)  # mean and scale are float64


def _layers(net: MLP) -> list[Affine]:
    """Return W, b and the activation of every Dense."""
    weights = map(np.ascontiguousarray, net.get_weights())
    return [
        (
            next(weights),
            next(weights) if layer.use_bias else None,
            activation_kinds.get(layer.activation),
        )
        for layer in net.dense
    ]


def _blocks(net: MLP, n: int) -> Iterator[slice]:
    """Yield slices that cover n rows."""
    columns = net.n_in + sum(layer.units for layer in net.dense)
    size = max(_FEWEST, _BLOCK // columns)
    for start in range(0, n, size):
        yield slice(start, start + size)


def _forward(
    layers: Iterable[Affine], z: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield a = z_prev @ W + b and z = h(a) of every layer, both (n, units)."""
    for W, b, h in layers:
        z_prev, (a, z) = z, (np.empty((len(z), W.shape[1]), W.dtype) for _ in range(2))
        KERNELS[W.dtype].forward_arrays(z_prev, W, b, h.name, h.parameter or 0.0, a, z, _cpu.ISA)
        yield a, z


def _backward(
    net: MLP,
    layers: Sequence[Affine],
    z0: NDArray[Any],
    passed: Passed,
    k: int | NDArray[np.int64],
) -> NDArray[Any]:
    """Return dy_k/dx (n, n_in); k is one output, or one for each row."""
    module = KERNELS[net.dtype]
    delta = _output_slopes(layers[-1][2], *passed[-1], k)
    # What is beneath each W: the layers but the last, and the inputs as though h(a) = a.
    below = [(z0, Activation("identity"))]
    below += [(a, h) for (a, _), (_, _, h) in zip(passed[:-1], layers[:-1], strict=True)]
    for (a, h), (W, _, _) in zip(reversed(below), reversed(layers), strict=True):
        above, delta = delta, np.empty_like(a)
        module.delta_arrays(a, h.name, h.parameter or 0.0, W, above, delta, _cpu.ISA)
    return delta if net.standardization is None else delta / net.standardization[1]


def _output_slopes(
    h: Activation, a: NDArray[Any], y: NDArray[Any], k: int | NDArray[np.int64]
) -> NDArray[Any]:
    """Return dy_k/da_j (n, n_out): delta of a loss whose slope is 1 at output k, else exactly 0.

    That is absolute error, E = sum_j |y_j - t_j|, with t_k below y_k and t_j = y_j elsewhere.
    """
    t, rows = y.copy(), np.arange(len(y))
    with np.errstate(over="ignore", invalid="ignore"):
        t[rows, k] -= np.maximum(1, np.abs(y[rows, k]))  # differs from y_k however large that is
    losses, delta = np.empty(len(y)), np.empty_like(y)
    KERNELS[y.dtype].output_delta_arrays(
        a, t, "absolute_error", None, h.name, h.parameter or 0.0, losses, delta, _cpu.ISA
    )
    return delta


# ---- summary ------------------------------------------------------------------------------------


def summary(net: MLP, batch_size: int = 32) -> str:
    """Return the table that `MLP.summary` prints."""
    batch_size = _checks.integer("batch_size", batch_size, low=1)
    head, *rows = _table([("layer", "output", "parameters", "flops a row"), *_rows(net)])
    rule = "-" * len(head)
    return "\n".join([head, rule, *rows, rule, *_totals(net, batch_size)])


def _rows(net: MLP) -> Iterator[tuple[str, str, str, str]]:
    """Yield the cells of every layer's row; those without parameters or products stay empty."""
    yield "input", f"{net.n_in:,}", "", ""
    for layer, n_in in with_widths(net.layers, net.n_in):
        count, flops = _size(layer.parameters(n_in)), layer.flops(n_in)
        cells = f"{count:,}" if count else "", f"{flops:,}" if flops else ""
        yield layer.label, f"{layer.width(n_in):,}", *cells


def _size(shapes: dict[str, tuple[int, ...]]) -> int:
    """Return how many numbers parameters have."""
    return sum(math.prod(shape) for shape in shapes.values())


def _table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Return lines of aligned cells; their width differs only where a cell is long."""
    columns = zip((15, 8, 10, 11), *rows, strict=True)
    widths = [max(least, *map(len, cells)) for least, *cells in columns]
    lines = []
    for name, *numbers in rows:
        cells = [f"{cell:>{w}}" for cell, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]).rstrip())
    return lines


def _totals(net: MLP, batch_size: int) -> Iterator[str]:
    """Yield the lines below the table."""
    layers = list(with_widths(net.layers, net.n_in))
    trainable = sum(_size(layer.parameters(k)) for layer, k in layers if layer.trainable)
    some = "" if trainable == net.n_parameters else f" ({trainable:,} trainable)"
    names = f"{net.dtype}, {net.loss.name}, {net.optimizer.name}"
    yield f"{net.n_parameters:,} parameters{some}, {names}"
    flops = [layer.flops(k) for layer, k in layers]
    forward, first = sum(flops), next(n for n in flops if n)
    step = 3 * forward - first  # no delta is needed below the first
    yield f"flops a row: {forward:,} forward, {step:,} in a training step"
    weights = net.n_parameters * net.dtype.itemsize
    columns = net.n_in + 2 * sum(layer.width(k) for layer, k in layers if layer.parameters(k))
    used = {"weights": weights, "optimizer state": weights * (net._network.n_blocks - 1)}
    if batch_size > _ROUND:
        used["gradients"] = weights
    used["activations"] = min(batch_size, _ROUND) * columns * net.dtype.itemsize
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in used.items())
    yield f"memory: {parts} (batch of {batch_size:,})"


def _bytes(size: int) -> str:
    """Return a number of bytes in the largest unit of which it is one at least."""
    if size < 1024:
        return f"{size} bytes"
    power = min(3, (size.bit_length() - 1) // 10)
    return f"{size / 1024**power:,.1f} {('KB', 'MB', 'GB')[power - 1]}"
