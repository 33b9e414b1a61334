"""Looking into a trained network: what its layers say, what its outputs depend on, what it costs.

Rows go through in blocks, so that beside the result and a copy of the weights little memory is
needed. The kernels are called beneath `fastnn.kernels`, past its checks: a network that has
diverged shows its NaN and inf here, as it does in `MLP.predict`.

Not here: training, pictures (plotting.py) and time (profiling.py).
"""

import itertools

import numpy as np

from fastnn import _checks, _cpu
from fastnn.activations import Activation

_BLOCK = 2**18  # numbers that the activations of a block of rows may take: a megabyte of floats
_FEWEST = 64  # rows in a block all the same, lest packing W takes longer than multiplying by it
_ROUND = 1024  # rows a workspace holds at most, as in _kernels.pyx


def activations(net, X):
    """Return what every layer makes of rows of inputs.

    Parameters
    ----------
    X : array-like of shape (n, n_in)

    Returns
    -------
    list of ndarray of shape (n, units)
        ``z = h(z_prev @ W + b)`` of each Dense, hidden layers first. The last is the prediction, to
        rounding. Dropout doesn't act.

    Raises
    ------
    TypeError, ValueError
        If X is unfit.

    Examples
    --------
    >>> from fastnn import MLP, Dense, inspection
    >>> net = MLP(1, [Dense(2, "relu"), Dense(1)], loss="squared_error", optimizer="sgd")
    >>> net.set_weights([[[1.0, -1.0]], [0.0, 0.0], [[1.0], [1.0]], [0.5]])
    >>> inspection.activations(net, [[-3.0]])
    [array([[0., 3.]], dtype=float32), array([[3.5]], dtype=float32)]
    """
    X, layers = _inputs(net, X), _layers(net)
    found = [np.empty((len(X), W.shape[1]), net.dtype) for W, _, _ in layers]
    for rows in _blocks(net, len(X)):
        for z_all, (_, z) in zip(found, _forward(layers, _standardized(net, X[rows])), strict=True):
            z_all[rows] = z
    return found


def jacobian(net, X):
    """Return the derivative of every output with respect to every input, for each row.

    Parameters
    ----------
    X : array-like of shape (n, n_in)

    Returns
    -------
    ndarray of shape (n, n_out, n_in)
        ``dy_k/dx_i`` of the prediction y, its activation included (softmax, too). Dropout doesn't
        act. On a kink (of relu, say) the left derivative holds, as in training.

    Raises
    ------
    TypeError, ValueError
        If X is unfit.

    Notes
    -----
    By back-propagation, a pass for each output (Bishop, Pattern Recognition and Machine Learning,
    2006, section 5.3.4): ``dy_k/dx = delta @ W.T`` of the first layer, from
    ``delta_j = dy_k/da_j`` at the output.

    Examples
    --------
    >>> from fastnn import MLP, Dense, inspection
    >>> net = MLP(2, [Dense(1, "exp")], loss="poisson", optimizer="sgd")
    >>> net.set_weights([[[1.0], [-2.0]], [0.0]])
    >>> inspection.jacobian(net, [[0.0, 0.0]])
    array([[[ 1., -2.]]], dtype=float32)
    """
    X, layers = _inputs(net, X), _layers(net)
    found = np.empty((len(X), net.n_out, net.n_in), net.dtype)
    for rows in _blocks(net, len(X)):
        z = _standardized(net, X[rows])
        passed = list(_forward(layers, z))
        for k in range(net.n_out):
            found[rows, k] = _backward(net, layers, z, passed, k)
    return found


def input_gradients(net, X, output=None):
    """Return the gradient of one output with respect to the inputs, for each row.

    What saliency maps show: where its magnitude is large, a small change of the input changes the
    output most (Simonyan et al., Deep Inside Convolutional Networks, ICLR workshop 2014).

    Parameters
    ----------
    X : array-like of shape (n, n_in)
    output : int, optional
        Index of the output, from 0; by default each row's largest.

    Returns
    -------
    ndarray of shape (n, n_in)
        ``dy_k/dx_i``, as in `jacobian`: after the output's activation. Behind softmax or sigmoid
        that is near 0 where the network is sure.

    Raises
    ------
    TypeError, ValueError
        If an argument is unfit.

    Examples
    --------
    >>> from fastnn import MLP, Dense, inspection
    >>> net = MLP(1, [Dense(2)], loss="squared_error", optimizer="sgd")
    >>> net.set_weights([[[3.0, -4.0]], [0.0, 0.0]])
    >>> inspection.input_gradients(net, [[1.0], [-1.0]])
    array([[ 3.],
           [-4.]], dtype=float32)
    >>> inspection.input_gradients(net, [[1.0], [-1.0]], output=0)
    array([[3.],
           [3.]], dtype=float32)
    """
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
    X = _checks.matrix("X", X, net.n_in, net.dtype)
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
        module.forward_arrays(z_prev, W, b, h.name, h.alpha or 0.0, a, z, _cpu.ISA)
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
        module.delta_arrays(a, h.name, h.alpha or 0.0, W, above, delta, _cpu.ISA)
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
        a, t, "absolute_error", None, h.name, h.alpha or 0.0, losses, delta, _cpu.ISA
    )
    return delta


# ---- summary ------------------------------------------------------------------------------------


def summary(net, batch_size=32):
    """Return a table of the layers, with what they cost in arithmetic and memory.

    Parameters
    ----------
    batch_size : int, default 32
        Rows of the training step whose activations are counted.

    Returns
    -------
    str
        For each layer its outputs, parameters, and floating-point operations of a row's forward
        pass; below, those of a training step, and its memory.

    Raises
    ------
    TypeError, ValueError
        If batch_size is unfit.

    Notes
    -----
    Operations are those of the matrix products, a multiplication and an addition each: ``2 k m``
    forward for a Dense of k inputs and m units; in a training step as many again for its gradient
    and, above the first Dense, for the delta beneath it.

    Memory is what the numbers take (1 KB = 1024 bytes), without padding and scratch. Activations
    are the inputs, and z and delta of every layer, of at most 1024 rows: larger batches are worked
    through in rounds, whose gradients are added up in memory as large as the weights.

    Examples
    --------
    >>> from fastnn import MLP, Dense, Dropout, inspection
    >>> net = MLP(64, [Dense(128, "relu"), Dropout(0.1), Dense(10, "softmax")],
    ...           loss="cross_entropy", optimizer="adam")
    >>> print(inspection.summary(net))
    layer              output  parameters  flops a row
    --------------------------------------------------
    input                  64
    Dense relu            128       8,320       16,384
    Dropout 0.1           128
    Dense softmax          10       1,290        2,560
    --------------------------------------------------
    9,610 parameters, float32, cross_entropy, adam
    flops a row: 18,944 forward, 40,448 in a training step
    memory: weights 37.5 KB, optimizer state 75.1 KB, activations 42.5 KB (batch of 32)
    """
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
