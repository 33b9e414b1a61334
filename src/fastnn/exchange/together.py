"""Networks that are written as one: the mean of their outputs.

Here: which networks an exporter is given. Not here: what a module writes for several (c_source.py,
onnx_writer.py).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from fastnn import _checks
from fastnn.exchange.scikit_learn import Estimator, network_of
from fastnn.many import Fits
from fastnn.mlp import MLP

#: What stands for a network, or for several whose outputs are averaged.
Networks: TypeAlias = MLP | Estimator | Fits | Sequence[MLP]


def networks_of(net: Networks) -> list[MLP]:
    """Return the networks whose outputs are averaged: one, or those of a `Fits` or a list."""
    if not isinstance(net, Fits | list | tuple):
        return [network_of(net)]
    _checks.not_of_groups("net", isinstance(net, Fits) and net.groups is not None)
    nets: list[MLP] = list(net)
    for number, each in enumerate(nets):
        _checks.one_of_these(f"net[{number}]", each, MLP, "an MLP")
    _checks.alike("net", [(each.n_in, each.layers, each.dtype) for each in nets])
    return nets


def inputs_of(nets: Sequence[MLP]) -> list[Any]:
    """Return the files that networks read, which nothing may be written over."""
    return [file for net in nets for file in net._state.inputs]
