"""Binding: make the compiled network of a specification.

If the loss is a user's function, the network is one that calls this function in each step
(custom_loss.py).

Not here: the memory and the loops of the compiled network (_kernels.pyx).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _checks, _cpu, losses
from fastnn._precision import KERNELS, rounds_operands
from fastnn.layers import stages
from fastnn.training import custom_loss

if TYPE_CHECKING:
    from fastnn._kernels_f32 import Network
    from fastnn.optimizers import Optimizer
    from fastnn.training.specification import Specification

    Adapted = dict[str, Any]


def bind(specification: Specification, dropout_seed: int, n_threads: int) -> Network:
    """Return a compiled network whose weights are 0 and whose moments have their initial values."""
    spec, loss = specification, specification.loss
    prepare(spec)
    specs, common = vars(spec)[_BOUND]
    options = {**common, "seed": dropout_seed, "n_threads": n_threads}
    kind: Any = KERNELS[spec.dtype].Network
    if isinstance(loss, losses.CustomLoss):
        kind, options["function"] = custom_loss.KINDS[spec.dtype], loss.function
    network: Network = kind(spec.n_in, specs, **options)
    if network.n_moments > 0 and spec.optimizer.initial_moment != 0:
        network.fill_moment(1, spec.optimizer.initial_moment)
    return network


#: Attribute in which `prepare` caches its result; copies of the specification made afterwards
#: with another seed share it.
_BOUND = "_bound"


def prepare(spec: Specification) -> None:
    """Cache in a specification the stages and options, which do not depend on its seed."""
    if _BOUND not in vars(spec):
        vars(spec)[_BOUND] = _stages(spec), _options(spec)


#: For a kind of stage, the kind that computes the same with operands rounded to bfloat16.
ROUNDING = {"dense": "dense_bfloat16"}


def _stages(spec: Specification) -> list[dict[str, Any]]:
    """Return the specifications of the stages, of the kinds that the precision policy asks for."""
    found: list[dict[str, Any]] = stages(spec.layers)
    for stage in found:
        if "bins" in stage:
            _checks.wide_bins(stage, spec.dtype)
        if stage["kind"] in ROUNDING and rounds_operands(spec.policy, stage["units"]):
            stage["kind"] = ROUNDING[stage["kind"]]
    return found


def _options(spec: Specification) -> dict[str, Any]:
    """Return the arguments of the compiled network, except its stages, seed and threads."""
    optimizer, loss = spec.optimizer, spec.loss
    takes = losses.default(loss.rule).takes
    return {
        "loss": loss.rule,
        "loss_parameter": loss.parameter(spec.n_out),
        "targets": (takes.are_classes, takes.low, takes.high),
        "mean": spec.reduction == "mean",
        "optimizer": optimizer.rule,
        "hyper": optimizer.numbers(),
        "clip": optimizer.clip,
        "scale_penalties": spec.scale_penalties,
        "average": optimizer.ema_momentum if optimizer.use_ema else None,
        "isa": _cpu.ISA,
        "zeros": _cpu.SKIP_ZEROS,
    }


def set_rate(network: Network, optimizer: Optimizer, adapted: Adapted | None) -> None:
    """Set the learning rate or its schedule; `adapted` is the state of an Adaptive schedule."""
    network.set_rate(optimizer.initial_rate, schedule_of(optimizer, adapted))


def schedule_of(optimizer: Optimizer, adapted: Adapted | None) -> dict[str, Any] | None:
    """Return the schedule as the compiled network takes it, or None."""
    schedule = optimizer.schedule
    kernel = schedule.kernel() if schedule else None
    if kernel is not None and adapted is not None:
        kernel["parameters"] = [adapted["rate"]]
    return kernel
