"""Looking into a trained network: what its layers say, what its outputs depend on, what it costs.

Rows go through in blocks, so that beside the result and a copy of the weights little memory is
needed. The kernels are called beneath `fastnn.kernels`, past its checks: a network that has
diverged shows its NaN and inf here, as it does in `MLP.predict`.

MLP has methods over these functions, where they are documented. Not here: training, pictures
(plotting.py) and time (profiling.py).
"""

import itertools

import numpy as np

from fastnn import _checks, _cpu
from fastnn.activations import Activation

_BLOCK = 2**18  # numbers that the activations of a block of rows may take: a megabyte of floats
_FEWEST = 64  # rows in a block all the same, lest packing W takes longer than multiplying by it
_ROUND = 1024  # rows a workspace holds at most, as in _kernels.pyx


def activations(net, X):
    """Return z (n, units) of every Dense for rows X (n, n_in): `MLP.activations`."""
    X, layers = _inputs(net, X), _layers(net)
    found = [np.empty((len(X), W.shape[1]), net.dtype) for W, _, _ in layers]
    for rows in _blocks(net, len(X)):
        for z_all, (_, z) in zip(found, _forward(layers, _standardized(net, X[rows])), strict=True):
            z_all[rows] = z
    return found


def jacobian(net, X):
    """Return dy_k/dx_i (n, n_out, n_in) of rows X (n, n_in): `MLP.jacobian`."""
    X, layers = _inputs(net, X), _layers(net)
    found = np.empty((len(X), net.n_out, net.n_in), net.dtype)
    for rows in _blocks(net, len(X)):
        z = _standardized(net, X[rows])
        passed = list(_forward(layers, z))
        for k in range(net.n_out):
            found[rows, k] = _backward(net, layers, z, passed, k)
    return found


def input_gradients(net, X, output=None):
    """Return dy_k/dx (n, n_in) of one output, or of each row's largest: `MLP.input_gradients`."""
    if output is not None:
        output = _checks.integer("output", output, low=0, high=net.n_out - 1)
    X, layers = _inputs(net, X), _layers(net)
    found = np.empty((len(X), net.n_in), net.dtype)
    for rows in _blocks(net, len(X)):
        z = _standardized(net, X[rows])
        passed = list(_forward(layers, z))
        k = passed[-1][1].argmax(axis=1) if output is None else output
        found[rows] = _backward(net, layers, z, passed, k)
    return found


# ---- forward and back ---------------------------------------------------------------------------


def _inputs(net, X):
    """Return checked rows (n, n_in), as the user has them: not standardized yet."""
    X = net._matrix("X", X)
    net._require_standardization()
    return X


def _standardized(net, X):
    """Return rows (n, n_in) as the first layer takes them."""
    standardization = getattr(net, "standardization", None)
    if standardization is None:
        return X
    mean, scale = standardization
    return ((X - mean) / scale).astype(net.dtype)  # mean and scale are float64


def _layers(net):
    """Return (W, b or None, activation) of every Dense."""
    weights = map(np.ascontiguousarray, net.get_weights())
    return [
        (next(weights), next(weights) if layer.use_bias else None, layer.activation)
        for layer in net.dense
    ]


def _blocks(net, n):
    """Yield slices that cover n rows."""
    columns = net.n_in + sum(layer.units for layer in net.dense)
    size = max(_FEWEST, _BLOCK // columns)
    for start in range(0, n, size):
        yield slice(start, start + size)


def _forward(layers, z):
    """Yield a = z_prev @ W + b and z = h(a) of every layer, both (n, units)."""
    for W, b, h in layers:
        z_prev, (a, z) = z, (np.empty((len(z), W.shape[1]), W.dtype) for _ in range(2))
        module = _checks.KERNELS[W.dtype]
        module.forward_arrays(z_prev, W, b, h.name, h.parameter or 0.0, a, z, _cpu.ISA)
        yield a, z


def _backward(net, layers, z0, passed, k):
    """Return dy_k/dx (n, n_in); k is one output, or one for each row."""
    module = _checks.KERNELS[net.dtype]
    delta = _output_slopes(layers[-1][2], *passed[-1], k)
    # What is beneath each W: the layers but the last, and the inputs as though h(a) = a.
    below = [(z0, Activation("identity"))]
    below += [(a, h) for (a, _), (_, _, h) in zip(passed[:-1], layers[:-1], strict=True)]
    for (a, h), (W, _, _) in zip(reversed(below), reversed(layers), strict=True):
        above, delta = delta, np.empty_like(a)
        module.delta_arrays(a, h.name, h.parameter or 0.0, W, above, delta, _cpu.ISA)
    standardization = getattr(net, "standardization", None)
    return delta if standardization is None else delta / standardization[1]


def _output_slopes(h, a, y, k):
    """Return dy_k/da_j (n, n_out): delta of a loss whose slope is 1 at output k, else exactly 0.

    That is absolute error, E = sum_j |y_j - t_j|, with t_k below y_k and t_j = y_j elsewhere.
    """
    t, rows = y.copy(), np.arange(len(y))
    with np.errstate(over="ignore", invalid="ignore"):
        t[rows, k] -= np.maximum(1, np.abs(y[rows, k]))  # differs from y_k however large that is
    losses, delta = np.empty(len(y)), np.empty_like(y)
    _checks.KERNELS[y.dtype].output_delta_arrays(
        a, t, "absolute_error", None, h.name, h.parameter or 0.0, losses, delta, _cpu.ISA
    )
    return delta


# ---- summary ------------------------------------------------------------------------------------


def summary(net, batch_size=32):
    """Return the table that `MLP.summary` prints."""
    batch_size = _checks.integer("batch_size", batch_size, low=1)
    head, *rows = _table([("layer", "output", "parameters", "flops a row"), *_rows(net)])
    rule = "-" * len(head)
    return "\n".join([head, rule, *rows, rule, *_totals(net, batch_size)])


def _rows(net):
    """Yield the cells of every layer's row."""
    yield "input", f"{net.n_in:,}", "", ""
    if getattr(net, "standardization", None) is not None:
        yield "Standardize", f"{net.n_in:,}", "", ""
    for layer, rate, (k, m) in zip(net.dense, net.dropout_rates, _sizes(net), strict=True):
        if rate > 0:
            yield f"Dropout {rate:g}", f"{k:,}", "", ""
        count = (k + layer.use_bias) * m
        yield f"Dense {layer.activation}", f"{m:,}", f"{count:,}", f"{2 * k * m:,}"


def _table(rows):
    """Return lines of aligned cells; their width differs only where a cell is long."""
    columns = zip((15, 8, 10, 11), *rows, strict=True)
    widths = [max(least, *map(len, cells)) for least, *cells in columns]
    lines = []
    for name, *numbers in rows:
        cells = [f"{cell:>{w}}" for cell, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *cells]).rstrip())
    return lines


def _totals(net, batch_size):
    """Yield the lines below the table."""
    sizes = list(_sizes(net))
    trainable = sum(
        (k + layer.use_bias) * m
        for layer, (k, m) in zip(net.dense, sizes, strict=True)
        if getattr(layer, "trainable", True)
    )
    some = "" if trainable == net.n_parameters else f" ({trainable:,} trainable)"
    names = f"{net.dtype}, {net.loss.name}, {net.optimizer.name}"
    yield f"{net.n_parameters:,} parameters{some}, {names}"
    forward = sum(2 * k * m for k, m in sizes)
    step = 3 * forward - 2 * sizes[0][0] * sizes[0][1]  # no delta is needed below the first
    yield f"flops a row: {forward:,} forward, {step:,} in a training step"
    weights = net.n_parameters * net.dtype.itemsize
    columns = net.n_in + 2 * sum(m for _, m in sizes)
    used = {"weights": weights, "optimizer state": weights * (net._network.n_blocks - 1)}
    if batch_size > _ROUND:
        used["gradients"] = weights
    used["activations"] = min(batch_size, _ROUND) * columns * net.dtype.itemsize
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in used.items())
    yield f"memory: {parts} (batch of {batch_size:,})"


def _sizes(net):
    """Return (inputs, units) of every Dense."""
    return itertools.pairwise([net.n_in, *(layer.units for layer in net.dense)])


def _bytes(size):
    """Return a number of bytes as people read it."""
    if size < 1024:
        return f"{size} bytes"
    power = min(3, (size.bit_length() - 1) // 10)
    return f"{size / 1024**power:,.1f} {('KB', 'MB', 'GB')[power - 1]}"
