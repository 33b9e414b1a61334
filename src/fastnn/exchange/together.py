"""Several networks that are exported as one, the mean of their outputs.

Here: the networks that an argument of an exporter stands for. Not here: the export of several
networks (c_source.py, onnx_writer.py).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn.exchange.scikit_learn import Estimator, network_of
from fastnn.many import Fits
from fastnn.mlp import MLP

#: The type of an argument for a network, or for several whose outputs are averaged.
Networks: TypeAlias = MLP | Estimator | Fits | Sequence[MLP]


def networks_of(net: Networks) -> list[MLP]:
    """Return the networks whose outputs are averaged: one, or several of a `Fits` or a list.

    These are the networks of a `Fits` that were trained to their end, and all networks of a list.
    An estimator of several networks says which they are.
    """
    if hasattr(net, "_averaged"):
        averaged: list[MLP] = net._averaged()
        return averaged
    if not isinstance(net, Fits | list | tuple):
        return [network_of(net)]
    _checks.not_of_groups("net", isinstance(net, Fits) and net.groups is not None)
    nets: dict[int, MLP] = dict(enumerate(net))
    if isinstance(net, Fits):
        nets = {i: nets[i] for i in np.flatnonzero(net.is_trained).tolist()}
        _checks.some_trained(len(nets))
    for number, each in nets.items():
        _checks.one_of_these(f"net[{number}]", each, MLP, "an MLP")
    names = "n_in", "layers", "dtype", "classes", "feature_names"
    described = {i: {name: getattr(each, name) for name in names} for i, each in nets.items()}
    _checks.alike("net", described)
    return list(nets.values())


def inputs_of(nets: Sequence[MLP]) -> list[Any]:
    """Return the files that fits of these networks read, which must not be overwritten."""
    return [file for net in nets for file in net._state.inputs]
