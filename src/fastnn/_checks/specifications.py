"""Checks of the arguments of layers, losses, optimizers and schedules, and of whole networks."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnn._checks.names import LAYERS, LOSSES, OPTIMIZERS, SCHEDULES
from fastnn._checks.values import (
    SMALLEST,
    choice,
    counted,
    did_you_mean,
    flag,
    instead_of,
    integer,
    items,
    number,
    quoted,
    shown,
)

if TYPE_CHECKING:
    from fastnn.activations import Activation
    from fastnn.layers import Dense, Layer
    from fastnn.losses import Loss
    from fastnn.optimizers import Optimizer
    from fastnn.schedules import Schedule

_Kind = TypeVar("_Kind")


def n_in(value: object) -> int:
    """Return the number of inputs of a network."""
    if isinstance(value, list | tuple):
        is_shape = isinstance(value, tuple) and all(isinstance(n, int) for n in value)
        here = f", here {math.prod(value)}" if is_shape else ""
        raise TypeError(
            f"n_in must be an integer; got {shown(value)} ({type(value).__name__}): pass the "
            f"number of inputs{here}, and the list of layers after it"
        )
    return integer("n_in", value, low=1, high=2**31 - 1)


def activation_parameter(
    activation: str, given: Mapping[str, object], name: str | None, default: float | None
) -> float | None:
    """Return the value of an activation's parameter `name`; None if it has no parameter."""
    for other, value in given.items():
        if other != name:
            has = "no parameter" if name is None else f"the parameter {name!r} only"
            raise ValueError(f"activation {activation!r} has {has}; got {other}={shown(value)}")
    if name is None or name not in given:
        return default
    return number(name, given[name], low=0.0)


#: Ways to clip gradients; an optimizer uses at most one.
CLIPS = ("clipvalue", "clipnorm", "global_clipnorm")


def _rate(name: str, value: object) -> float:
    """Return a constant learning rate."""
    if not isinstance(value, float | numbers.Real):
        _no_schedule(value)
    return number(name, value, above=0.0)


def _bound(name: str, value: object) -> float | None:
    """Return the bound of a way of clipping, or None."""
    return None if value is None else number(name, value, low=SMALLEST)


_below_one = partial(number, low=0.0, below=1.0)
_not_negative = partial(number, low=0.0)

#: The check of each hyper-parameter.
_HYPER_PARAMETERS: dict[str, Callable[[str, object], Any]] = {
    "learning_rate": _rate,
    "momentum": partial(number, low=0.0, high=1.0),
    "rho": _below_one,
    "beta_1": _below_one,
    "beta_2": _below_one,
    "epsilon": partial(number, low=SMALLEST),
    "initial_accumulator_value": _not_negative,
    "momentum_decay": _not_negative,
    "weight_decay": _not_negative,
    "ema_momentum": _below_one,
    "warmup_steps": partial(integer, low=0),
    "nesterov": flag,
    "centered": flag,
    "amsgrad": flag,
    "epsilon_hat": flag,
    "use_ema": flag,
    "maximize": flag,
    **dict.fromkeys(CLIPS, _bound),
}


def hyper_parameter(name: str, value: object) -> Any:
    """Return an optimizer's hyper-parameter: a number in its range, a flag, or None."""
    return _HYPER_PARAMETERS[name](name, value)


def one_clip(clips: Mapping[str, float | None]) -> None:
    """Check that gradients are clipped in at most one way; `clips` maps each way to its bound."""
    given = [f"{name}={value:g}" for name, value in clips.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} cannot both clip the gradients; give one of them")


def schedule_free(optimizer: Optimizer) -> None:
    """Check that an optimizer that averages the weights itself has no option that conflicts."""
    kind = type(optimizer).__name__
    if optimizer.schedule is not None:
        raise ValueError(
            f"{kind} takes no schedule as learning_rate; got {shown(optimizer.learning_rate)}: "
            "give a number, and warmup_steps for a slow start"
        )
    if optimizer.use_ema:
        raise ValueError(
            f"use_ema=True and {kind} cannot both average the weights; leave use_ema out: the "
            "network's weights are an average already"
        )


_SCHEDULE_PARAMETERS: dict[str, dict[str, float]] = {
    "learning_rate": {"above": 0.0},
    "schedule": {"above": 0.0},
    "initial_learning_rate": {"above": 0.0},
    "max_learning_rate": {"above": 0.0},
    "min_learning_rate": {"low": 0.0},
    "decay_steps": {"above": 0.0},
    "first_decay_steps": {"above": 0.0},
    "total_steps": {"low": 2.0},
    "steps": {"above": 0.0},
    "decay_rate": {"above": 0.0},
    "alpha": {"low": 0.0},
    "t_mul": {"low": 1.0},
    "m_mul": {"above": 0.0},
    "power": {"low": 0.0},
    "pct_start": {"above": 0.0, "below": 1.0},
    "div_factor": {"above": 0.0},
    "final_div_factor": {"above": 0.0},
    "factor": {"above": 0.0, "below": 1.0},
    "tol": {"low": 0.0},
    "start": {"low": 0.0},
}


def schedule_parameter(name: str, value: object) -> Any:
    """Return a schedule's parameter: a number in its range, or its unit of time."""
    if name == "per":
        return choice("per", value, ("step", "epoch"))
    if name == "patience":
        return integer("patience", value, low=1)
    if name == "staircase":
        return flag("staircase", value)
    if name in ("boundaries", "values"):
        return _several(name, value)
    return number(name, value, **_SCHEDULE_PARAMETERS[name])


def _several(name: str, value: object) -> tuple[float, ...]:
    """Return a non-empty sequence of numbers >= 0 as a tuple."""
    found = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if not isinstance(found, Sequence) or isinstance(found, str | bytes | memoryview):
        raise TypeError(f"{name} must be a sequence of numbers; got {shown(value)}")
    if len(found) == 0:
        raise ValueError(f"{name} must hold at least one number; got an empty sequence")
    return tuple(number(f"{name}[{i}]", item, low=0.0) for i, item in enumerate(found))


def one_more_value(boundaries: Sequence[float], values: Sequence[float]) -> None:
    """Check that boundaries increase and that there is one more value than boundaries."""
    for i, (before, after) in enumerate(pairwise(boundaries)):
        if after <= before:
            raise ValueError(
                f"boundaries must increase; boundaries[{i}] is {before:g} and "
                f"boundaries[{i + 1}] is {after:g}"
            )
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"values has {counted(len(values), 'rate')} but boundaries has "
            f"{counted(len(boundaries), 'number')}; give {len(boundaries) + 1} rates, one before "
            "the first boundary and one after each"
        )


def can_follow_warm_up(
    schedule: Schedule, per: str | None, warmup: type[Schedule], adaptive: type[Schedule]
) -> None:
    """Check that a schedule can follow a warm-up counted in `per` (None: the schedule's unit)."""
    if isinstance(schedule, warmup | adaptive):
        raise ValueError(
            f"schedule is {shown(schedule)}, which cannot follow a warm-up; give a number or "
            "another schedule"
        )
    if per not in (None, schedule.per):
        raise ValueError(
            f"per={per!r} but the schedule after the warm-up counts per {schedule.per}; give both "
            "the same unit"
        )


def learning_rate(value: object, schedule_type: type[_Kind]) -> float | _Kind:
    """Return a learning rate: a number, or a schedule."""
    if isinstance(value, schedule_type):
        return value
    rate: float = hyper_parameter("learning_rate", value)
    return rate


def _no_schedule(value: object) -> None:
    """Check that a learning rate is not a name or an object of another library."""
    if isinstance(value, str):
        hint = did_you_mean(value, (), SCHEDULES) or "; pass a number or a Schedule"
    else:
        hint = instead_of(value, (), SCHEDULES)
    if hint:
        raise TypeError(
            f"learning_rate must be a number or a Schedule of fastnn; got {shown(value)}{hint}"
        )


def quantiles(q: object) -> float | tuple[float, ...]:
    """Return one quantile between 0 and 1, or a tuple of them."""
    if isinstance(q, np.ndarray) and q.ndim == 1:
        q = q.tolist()
    if isinstance(q, Sequence) and not isinstance(q, str | bytes | memoryview):
        if len(q) == 0:
            raise ValueError("q must name at least one quantile; got an empty sequence")
        return tuple(number("q", value, above=0.0, below=1.0) for value in q)
    return number("q", q, above=0.0, below=1.0)


def half(loss: str, n_out: int) -> int:
    """Return half the number of outputs, for a loss that takes two outputs per target."""
    if n_out % 2:
        raise ValueError(
            f"loss {loss!r} takes two outputs for each target, its mean and the logarithm of its "
            f"variance, but the last layer has {n_out}; end the layers with Dense({2 * n_out}) for "
            f"{n_out} target{'s' if n_out > 1 else ''}"
        )
    return n_out // 2


def one_per_output(name: str, value: Any, n_out: int) -> list[float]:
    """Return one number per output; a single number is used for all outputs."""
    if not isinstance(value, tuple):
        return [value] * n_out
    if len(value) != n_out:
        raise ValueError(
            f"{name} has {counted(len(value), 'value')} but the network has "
            f"{counted(n_out, 'output')}; pass one number, or one for each unit of the last layer"
        )
    return list(value)


def layers(value: object, kinds: Mapping[str, type[Layer]]) -> list[Layer]:
    """Return the layers of a network, which must be of these kinds and in a valid order."""
    found = items(value)
    if found is None:
        raise TypeError(f"layers must be a list of Dense and other layers; got {shown(value)}")
    allowed = tuple(kinds.values())
    for i, layer in enumerate(found):
        if not isinstance(layer, allowed):
            raise TypeError(_no_layer(i, layer, kinds, "such as Dense(10, 'relu')"))
        if layer.comes_first and i > 0:
            raise ValueError(f"layers[{i}] is {layer!r}, which must be the first layer")
        if layer.takes_categories and not all(before.comes_first for before in found[:i]):
            raise ValueError(
                f"layers[{i}] is {layer!r}, which takes categories of X: it must be the first "
                "layer, or follow Standardize()"
            )
        if layer.comes_last and i < len(found) - 1:
            raise ValueError(
                f"layers[{i}] is of kind {layer.name!r}, which must be the last layer; move the "
                "layers after it into its layers"
            )
    activated: list[Any] = [layer for layer in found if layer.is_output]
    if not activated:
        raise ValueError("layers must hold at least one Dense; got none")
    last = next(layer for layer in reversed(found) if not layer.is_void)
    if not last.is_output:
        raise ValueError(f"layers must end with a Dense; {last!r} after it would be the output")
    for i, layer in enumerate(activated[:-1]):
        if layer.activation.is_row_wise:
            raise ValueError(
                f"{layer.activation.name} is for the output layer only, but Dense layer {i} of "
                f"{len(activated)} has it; use 'relu', 'tanh', ... there"
            )
    return found


def _no_layer(
    i: int, value: object, kinds: Mapping[str, type[Layer]], example: str | None = None
) -> str:
    """Return the message for an object that is not a layer."""
    classes = [kind.__name__ for kind in kinds.values()]
    listed = ", ".join(
        [f"layers[{i}] must be a layer ({', '.join(classes)})", *filter(None, [example])]
    )
    if isinstance(value, type) and value in kinds.values():
        hint = f"; pass an object, such as {value.__name__}(...)"
    else:
        hint = instead_of(value, classes, LAYERS)
    return f"{listed}; got {shown(value)}{hint}"


def block_layers(value: object, kinds: Mapping[str, type[Layer]]) -> list[Layer]:
    """Return the layers inside a Residual."""
    found = items(value)
    if found is None:
        raise TypeError(f"layers must be a list of Dense and other layers; got {shown(value)}")
    if not found:
        raise ValueError("layers must hold at least one layer; got none")
    for i, layer in enumerate(found):
        is_layer = isinstance(layer, tuple(kinds.values()))
        if not is_layer:
            raise TypeError(_no_layer(i, layer, kinds))
        if layer.comes_first or layer.takes_categories:
            raise ValueError(
                f"layers[{i}] is {layer!r}, which must be the first layer of the network"
            )
        if layer.comes_last:
            raise ValueError(
                f"layers[{i}] is of kind {layer.name!r}, which must be the last layer of the "
                "network"
            )
        if layer.is_output and layer.activation.is_row_wise:
            raise ValueError(
                f"layers[{i}] has {layer.activation.name}, which is for the output layer only; "
                "use 'relu', 'tanh', ... there"
            )
    return found


def layers_of_members(value: object, kinds: Mapping[str, type[Layer]]) -> list[Layer]:
    """Return the layers inside an Ensemble."""
    found = items(value)
    if not found or type(found[-1]) is not kinds["dense"]:
        raise (ValueError if found else TypeError)(
            "layers must be a list of layers that ends with a Dense, the output layer of each "
            f"member, such as [Dense(64, 'relu'), Dense(1)]; got {shown(value)}"
        )
    return [*(block_layers(found[:-1], kinds) if len(found) > 1 else []), found[-1]]


def same_width(n_in: int, n_out: int) -> None:
    """Check that a Residual has as many outputs as inputs."""
    if n_in != n_out:
        raise ValueError(
            f"a Residual takes {counted(n_in, 'input')} here, but its layers give "
            f"{counted(n_out, 'output')}; end them with Dense({n_in}), or put a Dense({n_out}) "
            "before the Residual"
        )


def pair(loss: Loss, activation: Activation, n_out: int, *, of_kernel: bool = False) -> None:
    """Check that the loss can be used with the activation of an output layer of n_out units.

    `of_kernel` says that the activation is an argument, not that of a layer.
    """
    name = activation.name
    if loss.outputs is not None and name not in loss.outputs:
        wanted, first = " or ".join(map(repr, loss.outputs)), loss.outputs[0]
        n = max(2, n_out) if first == "softmax" else n_out
        n += n % 2 if loss.name == "gaussian_nll" else 0  # a mean and a variance for each target
        remedy = f"pass {first!r}" if of_kernel else f"end the layers with Dense({n}, {first!r})"
        raise ValueError(
            f"loss {loss.name!r} needs {wanted} as the activation of the last layer; got {name!r}; "
            f"{remedy}"
        )
    if activation.is_row_wise and n_out == 1:
        raise ValueError(
            f"{name} over 1 unit is always 1; use as many units as there are classes, or one unit "
            "with 'sigmoid' and loss 'binary_cross_entropy'"
        )


def pointwise(activation: Activation) -> Activation:
    """Return an activation that acts on each number alone."""
    if activation.is_row_wise:
        raise ValueError(
            f"activation must be element-wise; got {activation.name!r}, which acts on whole rows: "
            f"give it to the last Dense, such as Dense(n, {activation.name!r})"
        )
    return activation


def ascent(optimizer: Optimizer, layers: Sequence[Dense]) -> None:
    """Check that an optimizer that maximizes is not combined with penalties, which would grow."""
    for layer in layers:
        if optimizer.maximize and (layer.l1 > 0 or layer.l2 > 0):
            raise ValueError(
                f"maximize=True would make the penalties of {layer!r} grow, too; use weight_decay "
                "of the optimizer, which shrinks weights either way"
            )


def hidden(activation: Activation) -> Activation:
    """Return an activation that a hidden layer can have."""
    if activation.is_row_wise:
        raise ValueError(
            f"{activation.name} is for the output layer only; use output_delta for its delta"
        )
    return activation


def layer_state(value: Any, kind: Any, shape: tuple[int, ...], rule: str) -> None:
    """Check that a state was returned by `kernels.update` for the same layer and rule."""
    if not isinstance(value, kind):
        raise TypeError(
            f"state must be what update returned for weights of this dtype; got {shown(value)}"
        )
    if (value.n_in, value.n_out) != shape:
        raise ValueError(
            f"state belongs to a layer of shape {(value.n_in, value.n_out)} but W has shape "
            f"{shape}; pass each layer its own state"
        )
    if value.rule != rule:
        raise ValueError(
            f"state belongs to optimizer rule {value.rule!r} but optimizer has {rule!r}; pass the "
            "same optimizer, or state=None to start over"
        )


def specification(name: str, value: object, base: type[_Kind], names: Sequence[str]) -> str | _Kind:
    """Return a name, or an object of the class `base`; the caller looks up names."""
    if isinstance(value, str):
        return value
    if not isinstance(value, base) or getattr(value, "name", None) not in names:
        hint = _instead(value, base, names, LOSSES if name == "loss" else OPTIMIZERS)
        raise TypeError(
            f"{name} must be one of {quoted(names)} or an object of these classes; got "
            f"{shown(value)}{hint}"
        )
    return value


def _instead(value: object, base: type, names: Sequence[str], hints: Mapping[str, str]) -> str:
    """Return the end of a message: what to pass instead of this object."""
    if isinstance(value, type) and issubclass(value, base):
        return f"; pass an object, such as {value.__name__}()"
    known = instead_of(value, names, hints)
    is_function = hints is LOSSES and callable(value) and not isinstance(value, type)
    return known or "; if it computes a loss, pass it as CustomLoss(object)" * is_function


def plain_descent(
    layers: Sequence[Layer], dropout: type[Layer], ensemble: type[Layer], within: str = "layers"
) -> None:
    """Check that layers, and the layers inside them, are trained by plain gradient descent."""
    for i, layer in enumerate(layers):
        place = f"{within}[{i}] ({layer!r})"
        if isinstance(layer, ensemble):
            problem = "has members that share weights"
        elif isinstance(layer, dropout) and not layer.is_void:
            problem = "is dropout"
        elif getattr(layer, "l1", 0) or getattr(layer, "l2", 0):
            problem = "has a penalty"
        elif not getattr(layer, "trainable", True):
            problem = "is frozen"
        elif getattr(layer, "learning_rate_multiplier", 1) != 1:
            problem = "has a learning rate of its own"
        else:
            inside: Sequence[Layer] = getattr(layer, "layers", ())
            plain_descent(inside, dropout, ensemble, f"{within}[{i}].layers")
            continue
        raise ValueError(
            f"{place} {problem}, which training in C does not support; write the network "
            "for predictions, training=False, or build it without"
        )


# Attributes that only methods of a network change, and what to do instead of setting them.
_FOLLOWING = {
    "step": "it counts the updates; a network starts at 0 when it is built",
    "epoch": "it counts the epochs; a network starts at 0 when it is built",
    "dropout_seed": "it is drawn from the seed; build another MLP with another seed",
    "standardization": "call adapt(X), which computes it from rows",
    "n_parameters": "it follows from the layers; build another MLP",
    "c_model": "it refers to this network",
}


def settable(name: str, is_bound: bool) -> None:
    """Check that an attribute of a network may be set."""
    if name in _FOLLOWING:
        raise AttributeError(f"the {name} of an MLP cannot be set: {_FOLLOWING[name]}")
    if is_bound:
        other = "build another MLP, and give it the weights by set_weights"
        remedies = {
            "optimizer": f"set learning_rate, or {other}",
            "n_threads": "net.copy(n_threads=1) returns a network with another number",
        }
        raise AttributeError(
            f"an MLP keeps the {name} that it was built with; {remedies.get(name, other)}"
        )
