"""Convert networks, including weights, from and to PyTorch.

Only `to_torch` imports PyTorch; `from_torch` gets objects of PyTorch.

Here: PyTorch modules as operations of a chain, and each kind of layer and activation as a module.
Not here: which chains an MLP can express (chain.py).
"""

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnn import _checks, activations
from fastnn.activations import Activation
from fastnn.exchange import torch_embeddings, torch_members
from fastnn.exchange.chain import Chain
from fastnn.exchange.parts import Array, Part, Refusal, parts, rule_for
from fastnn.exchange.scikit_learn import Estimator, network_of
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
from fastnn.losses import Loss
from fastnn.mlp import MLP
from fastnn.optimizers import Optimizer

_Reader = Callable[[Chain, str, Any], None]  # takes the chain, the place and the module

# ---- from PyTorch --------------------------------------------------------------------------------


def from_torch(
    module: Any,
    *,
    output: str | Activation | None = None,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer = "adam",
    seed: int | None = None,
) -> MLP:
    """Convert a PyTorch module to a network.

    Parameters
    ----------
    module : torch.nn.Sequential
        A sequence of Linear, BatchNorm1d, LayerNorm, Dropout, Flatten, Identity, Softmax,
        LogSoftmax, ReLU, ReLU6, LeakyReLU, PReLU and RReLU (with one slope), Threshold (at 0),
        Tanh, Sigmoid, ELU, CELU, SELU, GELU, SiLU, Mish, Softplus, Hardtanh (from -1 to 1, or 0 to
        6), Hardsigmoid, Hardswish, the Residual and Standardization that `to_torch` makes, and
        Sequential of these; or a single one of these modules. AlphaDropout and Dropout1d are left
        out, since they act only in training. Modules may have parametrizations, such as those of
        ``torch.nn.utils.parametrizations``, but no hooks that run in a forward pass and no
        `forward` that was set on an object.
    output : str or Activation, optional
        An activation to append to a module that ends with logits: "softmax" if it was trained with
        CrossEntropyLoss (or, after LogSoftmax, with NLLLoss), "sigmoid" for BCEWithLogitsLoss,
        "exp" for PoissonNLLLoss.
    loss : str or Loss, optional
        By default the loss that matches the output activation: cross-entropy for softmax, binary
        cross-entropy for sigmoid, the Poisson loss for exp, and otherwise the squared error.
    optimizer : str or Optimizer, default "adam"
    seed : int, optional
        Seed of the order of rows and the dropout masks in further training.

    Returns
    -------
    MLP
        The network, in float64 if the weights are, otherwise in float32. It predicts as the module
        does in evaluation mode: a BatchNorm1d is merged into the weights next to it, or becomes a
        Standardize at the beginning. An activation, or a BatchNorm1d before it, that follows a
        Linear and a Dropout is moved before the Dropout. A Linear or LayerNorm has
        ``trainable=False`` if none of its parameters requires gradients.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid, or the module contains a part that an MLP cannot express; the
        message names the part.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> net = fastnn.from_torch(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)),
    ...                         output="softmax")  # doctest: +SKIP
    """
    torch: Any = sys.modules.get("torch")  # if None, no object of PyTorch can exist
    kinds = () if torch is None else (torch.nn.Module,)
    _checks.one_of_these("module", module, kinds, "a torch.nn.Sequential")
    chain = Chain()
    _read(torch.nn, _readers(torch.nn), chain, "", module)
    is_double = any(p.dtype == torch.float64 for p in module.parameters())
    dtype = "float64" if is_double else "float32"
    return chain.network(output=output, loss=loss, optimizer=optimizer, dtype=dtype, seed=seed)


@contextlib.contextmanager
def _in_evaluation_mode(module: Any) -> Iterator[None]:
    """Put a module into evaluation mode: in training, reading a spectral_norm changes it."""
    modes = {part: part.training for part in module.modules()}
    try:
        for part in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _read(nn: Any, readers: dict[Any, _Reader], chain: Chain, name: str, module: Any) -> None:
    """Append a module, or the modules it contains, to a chain; `name` is its path in the model."""
    # Statically, since TorchScript's classes have a forward that only their objects can get.
    forward, kind = inspect.getattr_static(type(module), "forward"), type(module).__name__
    place = f"module {name!r} ({kind})" if name else kind
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        _check_tensor(nn, place, tensor)
    is_residual = forward is _residual(nn).forward
    is_sequence = is_residual or forward is nn.Sequential.forward
    read = next((read for kind, read in readers.items() if forward is kind.forward), None)
    remedy = (
        f"pass a Sequential of {', '.join(kind.__name__ for kind in readers)}, or export the "
        "module by torch.onnx and use from_onnx"
    )
    is_known = is_sequence or read is not None
    _checks.expressible(place, is_known, "is a module that fastnn cannot read", remedy)
    _check_no_hooks(place, module)
    if is_residual:
        chain.fork(place)
    if is_sequence:
        for key, part in module._modules.items():  # named_children leaves out repeated modules
            _read(nn, readers, chain, f"{name}.{key}" if name else key, part)
    else:
        assert read is not None
        with _in_evaluation_mode(module):
            read(chain, place, module)
    if is_residual:
        chain.join(place)


def _check_no_hooks(place: str, module: Any) -> None:
    """Check that a forward pass runs no hooks, which can change weights, inputs and outputs.

    A function that an object has instead of its class's `forward` is such a hook, too.
    """
    problem = "has a forward of its own, which replaces that of its class"
    remedy = "delete this attribute, or export the module by torch.onnx and use from_onnx"
    _checks.expressible(place, "forward" not in vars(module), problem, remedy)
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    names = ", ".join(getattr(hook, "__name__", type(hook).__name__) for hook in hooks)
    remedy = (
        "remove them: those of torch.nn.utils by remove_weight_norm, remove_spectral_norm or "
        "prune.remove; or use torch.nn.utils.parametrizations, which fastnn reads"
    )
    _checks.expressible(place, not hooks, f"has hooks of its forward pass ({names})", remedy)


def _check_tensor(nn: Any, place: str, tensor: Any) -> None:
    """Check that a parameter or buffer holds real numbers."""
    if nn.parameter.is_lazy(tensor):
        remedy = "call the model with a batch of rows first"
        _checks.inexpressible(place, "has parameters without a shape", remedy)
    problem = "has tensors on the device 'meta', which hold no numbers"
    _checks.expressible(place, not tensor.is_meta, problem, "load its weights first")
    remedy = "fastnn's networks are real: train the module with real parameters"
    _checks.expressible(place, not tensor.is_complex(), "has complex numbers", remedy)


def _readers(nn: Any) -> dict[Any, _Reader]:
    """Return {class: function that appends a module of this class to a chain}."""

    def activation(name: str, parameter: str | None = None) -> _Reader:
        def read(chain: Chain, place: str, part: Any) -> None:
            alpha = None if parameter is None else float(getattr(part, parameter))
            chain.activate(place, _checks.built(place, Activation, name, alpha))

        return read

    return {
        nn.Linear: lambda chain, place, part: chain.affine(
            place,
            _array(part.weight).T,
            None if part.bias is None else _array(part.bias),
            _is_trained(part),
        ),
        nn.BatchNorm1d: _batch_norm,
        _standardization(nn): lambda chain, place, part: chain.scale(
            place, _array(part.mean), _array(part.scale)
        ),
        nn.LayerNorm: _layer_norm,
        nn.ReLU: activation("relu"),
        nn.Hardtanh: _hard_tanh,  # and its subclass ReLU6
        nn.PReLU: _prelu,
        nn.RReLU: lambda chain, place, part: chain.activate(
            place, _checks.built(place, Activation, "leaky_relu", (part.lower + part.upper) / 2)
        ),
        nn.Threshold: _threshold,
        nn.CELU: _celu,
        nn.Mish: activation("mish"),
        nn.Hardsigmoid: activation("hard_sigmoid"),
        nn.Hardswish: activation("hard_silu"),
        nn.LeakyReLU: activation("leaky_relu", "negative_slope"),
        nn.Tanh: activation("tanh"),
        nn.Sigmoid: activation("sigmoid"),
        nn.ELU: activation("elu", "alpha"),
        nn.SELU: activation("selu"),
        nn.GELU: _gelu,
        nn.SiLU: activation("silu"),
        nn.Softplus: _softplus,
        nn.Softmax: _softmax,
        nn.LogSoftmax: _log_softmax,
        nn.Dropout: lambda chain, place, part: chain.drop(place, part.p),
        nn.Identity: _nothing,
        nn.AlphaDropout: _nothing,
        nn.FeatureAlphaDropout: _nothing,
        nn.Dropout1d: _nothing,
        nn.Flatten: _flatten,
    }


def _array(tensor: Any) -> Array:
    """Return a tensor as a float64 array."""
    found: Array = tensor.detach().cpu().double().numpy()
    return found


def _is_trained(part: Any) -> bool:
    """Return whether a parameter of a module requires gradients; False if it has none."""
    return any(parameter.requires_grad for parameter in part.parameters())


def _batch_norm(chain: Chain, place: str, part: Any) -> None:
    remedy = "make it with track_running_stats=True and train it"
    _checks.expressible(place, part.running_var is not None, "keeps no statistics", remedy)
    chain.normalize(
        place,
        _array(part.running_mean),
        _array(part.running_var) + part.eps,
        None if part.weight is None else _array(part.weight),
        None if part.bias is None else _array(part.bias),
    )


def _layer_norm(chain: Chain, place: str, part: Any) -> None:
    shape = tuple(part.normalized_shape)
    problem = f"normalizes over the shape {shape}"
    _checks.expressible(place, len(shape) == 1, problem, "fastnn takes rows: use one size")
    gain = np.ones(shape) if part.weight is None else _array(part.weight)
    bias = None if part.bias is None else _array(part.bias)
    chain.norm(place, part.eps, gain, bias, _is_trained(part))


def _nothing(chain: Chain, place: str, part: Any) -> None:
    """Append nothing, for modules without effect in evaluation mode."""


def _gelu(chain: Chain, place: str, part: Any) -> None:
    name = {"none": "gelu", "tanh": "gelu_tanh"}[part.approximate]
    chain.activate(place, Activation(name))


def _hard_tanh(chain: Chain, place: str, part: Any) -> None:
    names = {(0, 6): "relu6", (-1, 1): "hard_tanh"}
    bounds = part.min_val, part.max_val
    problem = f"has the bounds {bounds[0]:g} and {bounds[1]:g}"
    remedy = "fastnn has -1 and 1, or 0 and 6: train it with one of these pairs"
    _checks.expressible(place, bounds in names, problem, remedy)
    chain.activate(place, Activation(names[bounds]))


def _prelu(chain: Chain, place: str, part: Any) -> None:
    slopes = _array(part.weight)
    remedy = "fastnn's leaky_relu has one slope: train it with PReLU()"
    _checks.expressible(place, (slopes == slopes[0]).all(), "has several slopes", remedy)
    chain.activate(place, _checks.built(place, Activation, "leaky_relu", float(slopes[0])))


def _threshold(chain: Chain, place: str, part: Any) -> None:
    problem = f"has threshold={part.threshold:g} and value={part.value:g}"
    usual = part.threshold == 0 and part.value == 0
    _checks.expressible(place, usual, problem, "fastnn only has relu, where both are 0")
    chain.activate(place, Activation("relu"))


def _softplus(chain: Chain, place: str, part: Any) -> None:
    problem = f"has threshold={part.threshold:g}, but fastnn's softplus has none"
    usual = part.threshold >= 20  # e^-20 = 2e-9
    _checks.expressible(place, usual, problem, "train it with threshold=20 or more")
    _checks.expressible(place, part.beta, "has beta=0 and divides by it", "use another beta")
    _scaled(chain, place, "softplus", 1 / part.beta)


def _celu(chain: Chain, place: str, part: Any) -> None:
    problem = f"has alpha={part.alpha:g}"
    remedy = "fastnn scales an elu, which needs an alpha above 0: train it with one"
    _checks.expressible(place, part.alpha > 0, problem, remedy)
    _scaled(chain, place, "elu", part.alpha)


def _scaled(chain: Chain, place: str, name: str, scale: float) -> None:
    """Append ``scale h(z / scale)``; the scalings are merged into the adjacent weights."""
    if scale != 1:
        chain.scale(place, 0.0, scale)
    chain.activate(place, Activation(name))
    if scale != 1:
        chain.scale(place, 0.0, 1 / scale)


def _check_columns(place: str, part: Any) -> None:
    """Check that a softmax is over the columns."""
    problem = f"has dim={part.dim}"
    _checks.expressible(place, part.dim in (1, -1, None), problem, "train it with dim=1")


def _softmax(chain: Chain, place: str, part: Any) -> None:
    _check_columns(place, part)
    chain.activate(place, Activation("softmax"))


def _log_softmax(chain: Chain, place: str, part: Any) -> None:
    _check_columns(place, part)
    chain.log_softmax(place)


def _flatten(chain: Chain, place: str, part: Any) -> None:
    whole = part.start_dim == 1 and part.end_dim == -1
    problem = f"has start_dim={part.start_dim} and end_dim={part.end_dim}"
    _checks.expressible(place, whole, problem, "fastnn takes rows: make it Flatten()")


# ---- to PyTorch ----------------------------------------------------------------------------------

_Modules = list[list[Any]]  # a stack: modules of the network, then of each open Residual


def to_torch(net: MLP | Estimator) -> Any:
    """Convert a network to a PyTorch module.

    Parameters
    ----------
    net : MLP, or fitted MLPClassifier, MLPRegressor or Pipeline
        An estimator of ``fastnn.sklearn`` or scikit-learn, or a pipeline of scalers and such an
        estimator, is converted by `from_sklearn`.

    Returns
    -------
    torch.nn.Sequential
        A module with copies of the weights, in the network's dtype and in evaluation mode; call
        ``train()`` to activate Dropout.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `net` is neither an MLP nor such an estimator.
    ValueError
        If the estimator is not fitted, the network has the activation "exp", for which PyTorch has
        no module, or its Standardize has seen no data.

    Notes
    -----
    PyTorch has no modules for some layers, which become modules of new classes; unpickling these
    requires fastnn. They are ``Standardization``, with the buffers ``mean`` and ``scale``;
    ``Residual``, whose ``block`` is a Sequential; those of embeddings; and those of an Ensemble.

    The last module of an Ensemble is the mean of its members' outputs. fastnn trains each member on
    its own loss; to do so in PyTorch, train ``module[:-1]``, whose outputs are (k, n, n_out).

    Examples
    --------
    >>> fastnn.to_torch(net)  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
    )
    """
    torch = _checks.package("torch", "to_torch")
    net = network_of(net)
    blocks: _Modules = [[]]
    for part in parts(net):
        rule_for(RULES, part, "to_torch cannot write")(torch, blocks, part)
    [modules] = blocks
    return torch.nn.Sequential(*modules).to(getattr(torch, net.dtype.name)).eval()


def _dense(torch: Any, blocks: _Modules, part: Part[Dense]) -> None:
    """Append a Linear, made without drawing initial weights, and its activation."""
    W, b = torch.from_numpy(np.ascontiguousarray(part.arrays["W"].T)), part.arrays.get("b")
    linear = torch.nn.utils.skip_init(
        torch.nn.Linear, part.n_in, part.n_out, bias=b is not None, dtype=W.dtype
    )
    with torch.no_grad():
        linear.weight.copy_(W)
        if b is not None:
            linear.bias.copy_(torch.from_numpy(b))
    blocks[-1].append(linear.requires_grad_(part.layer.trainable))
    _activate(torch, blocks, part)


def _activate(torch: Any, blocks: _Modules, part: Part[Any]) -> None:
    _activated(torch, blocks, part.place, part.layer.activation)


def _activated(torch: Any, blocks: _Modules, place: str, activation: str | Activation) -> None:
    """Append an activation's module."""
    activation = activations.get(activation)
    if activation.is_linear:
        return
    make = ACTIVATIONS.get(activation.name)
    remedy = f"give a network with identity there, and insert a module of torch.{activation.name}"
    problem = f"has {activation}, for which PyTorch has no module"
    _checks.expressible(place, make is not None, problem, remedy)
    assert make is not None
    blocks[-1].append(make(torch.nn, activation.parameter))


def _dropout(torch: Any, blocks: _Modules, part: Part[Dropout]) -> None:
    blocks[-1].append(torch.nn.Dropout(part.layer.rate))


def _standardize(torch: Any, blocks: _Modules, part: Part[Standardize]) -> None:
    """Append a module: folded into float32 weights, large means would cost digits."""
    mean, scale = (torch.from_numpy(np.array(a)) for a in part.arrays.values())  # writable
    blocks[-1].append(_standardization(torch.nn)(mean, scale))


def _norm(torch: Any, blocks: _Modules, part: Part[LayerNorm]) -> None:
    gain, bias = (torch.from_numpy(array) for array in part.arrays.values())
    norm = torch.nn.LayerNorm(part.n_in, part.layer.epsilon, dtype=gain.dtype)
    with torch.no_grad():
        norm.weight.copy_(gain)
        norm.bias.copy_(bias)
    blocks[-1].append(norm.requires_grad_(part.layer.trainable))


def _fork(torch: Any, blocks: _Modules, part: Part[Fork]) -> None:
    blocks.append([])


def _sum(torch: Any, blocks: _Modules, part: Part[Sum]) -> None:
    block = torch.nn.Sequential(*blocks.pop())
    blocks[-1].append(_residual(torch.nn)(block))


@functools.cache
def _residual(nn: Any) -> Any:
    """Return the module class of a Residual, made on demand since PyTorch may be missing."""

    class Residual(nn.Module):  # type: ignore[misc]  # nn is an argument
        """The inputs of a block of modules added to its outputs."""

        __qualname__ = "Residual"

        def __init__(self, block: Any) -> None:
            super().__init__()
            self.block = block

        def forward(self, z: Any) -> Any:
            return z + self.block(z)

    return Residual


@functools.cache
def _standardization(nn: Any) -> Any:
    """Return the module class of a Standardize."""

    class Standardization(nn.Module):  # type: ignore[misc]  # nn is an argument
        """``(x - mean) / scale`` of each column."""

        __qualname__ = "Standardization"

        def __init__(self, mean: Any, scale: Any) -> None:
            super().__init__()
            self.register_buffer("mean", mean)
            self.register_buffer("scale", scale)

        def forward(self, x: Any) -> Any:
            return (x - self.mean) / self.scale

    return Standardization


_CLASSES = {"Residual": _residual, "Standardization": _standardization}


def __getattr__(name: str) -> Any:
    """Return a class of modules, which pickle looks up in this module."""
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _CLASSES[name](_checks.package("torch", f"a {name} of to_torch").nn)


def _embedding(torch: Any, blocks: _Modules, part: Part[Embedding]) -> None:
    blocks[-1].append(torch_embeddings.embedding(torch, part))


def _piecewise(torch: Any, blocks: _Modules, part: Part[PiecewiseEncoding]) -> None:
    blocks[-1].append(torch_embeddings.piecewise(torch, part))


def _periodic(torch: Any, blocks: _Modules, part: Part[PeriodicEncoding]) -> None:
    blocks[-1].append(torch_embeddings.periodic(torch, part))


def _block_dense(torch: Any, blocks: _Modules, part: Part[BlockDense]) -> None:
    """Append one module, which includes the activation."""
    within: _Modules = [[]]
    _activate(torch, within, part)
    [activation] = within[0] or [torch.nn.Identity()]
    blocks[-1].append(torch_embeddings.block_dense(torch, part, activation))


def _member_scale(torch: Any, blocks: _Modules, part: Part[MemberScale]) -> None:
    blocks[-1].append(torch_members.member_scale(torch, part))


def _member_dense(torch: Any, blocks: _Modules, part: Part[MemberDense]) -> None:
    """Append the linear maps, the activation, and the mean of the members' outputs."""
    blocks[-1].append(torch_members.member_dense(torch, part))
    _activated(torch, blocks, part.place, part.layer.dense.activation)
    blocks[-1].append(torch_members.mean(torch))


#: For each kind of layer, the function that appends its modules.
RULES: dict[type[Layer], Callable[[Any, _Modules, Part[Any]], None] | Refusal] = {
    Dense: _dense,
    Dropout: _dropout,
    Standardize: _standardize,
    LayerNorm: _norm,
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

#: Functions that make the module of an activation, by fastnn's name: each takes torch.nn and the
#: activation's parameter. PyTorch has no module for exp.
ACTIVATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sigmoid": lambda nn, _: nn.Sigmoid(),
    "tanh": lambda nn, _: nn.Tanh(),
    "relu": lambda nn, _: nn.ReLU(),
    "leaky_relu": lambda nn, alpha: nn.LeakyReLU(alpha),
    "softmax": lambda nn, _: nn.Softmax(-1),
    "elu": lambda nn, alpha: nn.ELU(alpha),
    "selu": lambda nn, _: nn.SELU(),
    "gelu": lambda nn, _: nn.GELU(),
    "silu": lambda nn, _: nn.SiLU(),
    "softplus": lambda nn, _: nn.Softplus(),
    "gelu_tanh": lambda nn, _: nn.GELU(approximate="tanh"),
    "mish": lambda nn, _: nn.Mish(),
    "relu6": lambda nn, _: nn.ReLU6(),
    "hard_tanh": lambda nn, _: nn.Hardtanh(),
    "hard_sigmoid": lambda nn, _: nn.Hardsigmoid(),
    "hard_silu": lambda nn, _: nn.Hardswish(),
}
