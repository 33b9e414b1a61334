"""Networks as chains of operations: what networks of other libraries are read into, and back.

A `Chain` takes affine maps, scalings, activations and dropouts one after the other, merges what can
be merged, refuses what no MLP expresses, and becomes an MLP. Its arithmetic is in float64.

Not here: other libraries and their names for these operations (onnx.py, interop.py).
"""

from dataclasses import dataclass

import numpy as np

from fastnn import _checks, activations
from fastnn.activations import Activation
from fastnn.layers import Dense, Dropout, Standardize
from fastnn.mlp import MLP

#: The loss for which each activation of the output is meant; the others get the squared error.
LOSSES = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exp": "poisson"}


@dataclass
class Affine:
    """``z = h(z_prev @ W + b)``: W (n_in, n_out), b (n_out,) or None, h None until it is known."""

    place: str
    W: np.ndarray
    b: np.ndarray | None
    activation: Activation | None = None


class Chain:
    """Operations that were read so far, and what of them is still to be merged with the next."""

    def __init__(self):
        self.layers = []  # Affine and Dropout
        self.standardization = None  # (mean, scale) of a first layer
        self._logs = None  # place of a log-softmax
        self._waiting = None  # (place, mean, scale) of a scaling to be merged with the next affine

    @property
    def _affines(self):
        return [layer for layer in self.layers if isinstance(layer, Affine)]

    def add(self, layer):
        """Append an Affine with its activation, or a Dropout."""
        if isinstance(layer, Dropout):
            self.layers.append(layer)
        else:
            self.affine(layer.place, layer.W, layer.b)
            self.activate(layer.place, layer.activation)

    def affine(self, place, W, b=None):
        """Append ``z @ W + b``."""
        W, b = (None if array is None else np.array(array, np.float64) for array in (W, b))
        _checks.finite(place, W, b)
        self._check_units(place, len(W), "rows of weights")
        if self._waiting is not None:
            W, b = self._scaled_inputs(W, b)
        for before in self._affines[-1:]:
            softmax = before.activation is not None and before.activation.name == "softmax"
            _checks.expressible(
                place, not softmax, "comes after a softmax", "fastnn has softmax at the output only"
            )
            before.activation = before.activation or Activation("identity")
        self.layers.append(Affine(place, W, b))

    def _check_units(self, place, n, what):
        """Check that an operation fits what comes before it."""
        for before in self._affines[-1:]:
            units = before.W.shape[1]
            problem = f"has {n} {what}, but {before.place} before it has {units} outputs"
            _checks.expressible(place, n == units, problem, "mend or export the network anew")

    def _scaled_inputs(self, W, b):
        """Return W and b after the scaling that waits for them, which may become a layer itself."""
        place, *scaling = self._waiting
        self._waiting = None
        for array in scaling:
            problem = f"has {array.size} numbers, but {len(W)} inputs follow"
            remedy = "mend or export the network anew"
            _checks.expressible(place, array.size in (1, len(W)), problem, remedy)
        mean, scale = (np.array(np.broadcast_to(array.ravel(), len(W))) for array in scaling)
        if not self._affines and scale.min() > 0:
            self.standardization = mean, scale
            return W, b
        return W / scale[:, None], _less(b, (mean / scale) @ W)

    def scale(self, place, mean=0.0, scale=1.0):
        """Append ``(z - mean) / scale``, of one number or one a column; scale may be infinite."""
        mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
        _checks.finite(place, mean, 1 / np.where(scale == 0, np.nan, scale))
        last = self.layers[-1] if self.layers else None
        if isinstance(last, Affine) and last.activation is None:
            for array in (mean, scale):
                if array.size > 1:
                    self._check_units(place, array.size, "numbers")
            last.W, b = last.W / scale.ravel(), _less(last.b, mean.ravel())
            last.b = None if b is None else np.broadcast_to(b / scale.ravel(), last.W.shape[1])
            return
        _checks.finite(place, scale)
        if self._waiting is None:
            self._waiting = place, mean, scale
        else:
            _, mean_before, scale_before = self._waiting
            sizes = {array.size for array in (mean, scale, mean_before, scale_before)} - {1}
            problem = f"scales {max(sizes, default=1)} columns and {min(sizes, default=1)}"
            _checks.expressible(place, len(sizes) < 2, problem, "mend or export the network anew")
            self._waiting = place, mean_before + mean * scale_before, scale_before * scale

    def normalize(self, place, mean, variance, gamma=None, beta=None):
        """Append ``(z - mean) / sqrt(variance) * gamma + beta``: a batch normalization."""
        problem = "has a variance that is not above 0"
        _checks.expressible(place, np.all(variance > 0), problem, "train it anew")
        self.scale(place, mean, np.sqrt(variance))
        if gamma is not None:
            with np.errstate(divide="ignore"):
                self.scale(place, 0.0, 1 / np.asarray(gamma, np.float64))
        if beta is not None:
            self.scale(place, -np.asarray(beta, np.float64))

    def activate(self, place, activation):
        """Append an activation, given by specification."""
        last = self._affines[-1] if self._affines else None
        remedy = "an activation of fastnn's belongs to the Dense layer right before it"
        problem = "acts on the inputs"
        _checks.expressible(place, last is not None, problem, remedy)
        free = last.activation is None and self._waiting is None
        _checks.expressible(place, free, "follows another activation", remedy)
        last.activation = activation

    def log_softmax(self, place):
        """Append a log-softmax, which can only stand for the softmax that is asked for instead."""
        self.activate(place, Activation("softmax"))
        self._logs = place

    def drop(self, place, rate):
        """Append a dropout."""
        if rate:
            self.layers.append(_checks.built(place, Dropout, rate))

    def network(self, *, output=None, l2=0.0, loss=None, **options):
        """Return the MLP; the loss is by default the one its output activation is meant for.

        `output` is an activation to be appended, `l2` the penalty of every layer.
        """
        self._end(output)
        layers, weights = [] if self.standardization is None else [Standardize()], []
        for layer in self.layers:
            if isinstance(layer, Affine):
                weights += [layer.W] if layer.b is None else [layer.W, layer.b]
                activation = layer.activation or "identity"
                layer = Dense(layer.W.shape[1], activation, layer.b is not None, l2=l2)
            layers.append(layer)
        if loss is None:
            loss = LOSSES.get(self._affines[-1].activation.name, "squared_error")
        net = MLP(len(self._affines[0].W), layers, loss=loss, **options)
        net.set_weights(weights)
        if self.standardization is not None:
            net.standardization = self.standardization
            net._set_standardization(net._network)
        return net

    def _end(self, output):
        """Append the activation of the output that was asked for; check that it is the end."""
        remedy = "pass one with at least one layer"
        _checks.expressible("the network", self._affines, "has no weights", remedy)
        output = None if output is None else activations.get(output)
        if self._logs is not None:
            wants = output is not None and output.name == "softmax"
            remedy = "pass output='softmax' for a network that makes the probabilities themselves"
            _checks.expressible(self._logs, wants, "makes logarithms of probabilities", remedy)
        elif output is not None:
            self.activate(f"output={output}", output)
        if self._waiting is not None:
            problem = "scales what an activation made, at the end of the network"
            remedy = "leave it out, and scale the predictions"
            _checks.expressible(self._waiting[0], False, problem, remedy)
        last = self._affines[-1]
        last.activation = last.activation or Activation("identity")


def _less(b, change):
    """Return b - change; None, which stands for zeros, stays so if nothing changes."""
    if b is None:
        return -change if np.any(change) else None
    return b - change


def layers(net, fold):
    """Return the Affines and Dropouts of an MLP, a Standardize folded into the first if wanted."""
    found, rest = [], iter(affines(net, fold))
    for layer in net.layers:
        if isinstance(layer, Dropout):
            found.append(layer)
        elif isinstance(layer, Dense):
            found.append(next(rest))
    return found


def affines(net, fold):
    """Return the Affines of an MLP, a Standardize folded into the first one if wanted."""
    net._require_standardization()
    arrays, found = iter(net.get_weights()), []
    for i, layer in enumerate(net.dense):
        b = (next(arrays), next(arrays)) if layer.use_bias else (next(arrays), None)
        found.append(Affine(f"Dense layer {i} of {len(net.dense)}", *b, layer.activation))
    if fold and net.standardization is not None:
        (mean, scale), first = net.standardization, found[0]
        W = first.W.astype(np.float64)
        b = _less(first.b, (mean / scale) @ W)
        first.W = (W / scale[:, None]).astype(net.dtype)
        first.b = None if b is None else b.astype(net.dtype)
    return found
