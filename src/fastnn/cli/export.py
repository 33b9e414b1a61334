"""`fastnn export`: a network as ONNX, as C source or as JSON.

Here: the JSON form. Not here: ONNX and C (exchange/).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn
from fastnn import _checks, tables
from fastnn.cli.loading import networks
from fastnn.cli.options import UsageError
from fastnn.cli.output import print_now, protect, require_ending, writing

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from fastnn.cli.options import Commands
    from fastnn.many import Fits
    from fastnn.mlp import MLP


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="export a network for use by other programs",
        description="Export a saved network for use by other programs. An ONNX model of a network "
        "for a table takes the columns; other exported networks take the inputs that `fastnn info "
        "--json` lists, in this order. Several networks are exported as one that outputs their "
        "mean.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="a model file")
    forms = parser.add_mutually_exclusive_group(required=True)
    forms.add_argument("--onnx", metavar="FILE", help="write an ONNX model to a .onnx file")
    forms.add_argument(
        "--c", metavar="FILE", help="write C source to a .c file, with a header beside it"
    )
    forms.add_argument("--json", metavar="FILE", nargs="?", const="-",
                       help="write the configuration, the weights and the encoding of the columns "
                       "as JSON to a .json file, or to standard output")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Write a network in another form; return the exit code."""
    protect([options.model], _outputs(options))
    for option, path in _outputs(options).items():
        if option.startswith("--"):  # so that no table is replaced
            require_ending(option, path, (f".{option[2:]}",))
    if options.c is not None:
        _require_identifier(options.c)
    nets = networks(options.model)
    if nets.groups is not None and options.json is None:
        form = "--c" if options.onnx is None else "--onnx"
        raise UsageError(
            f"{form} writes one network, but {options.model} has a network for each group of rows; "
            "use --json, which writes them all"
        )
    if options.onnx is not None:
        with writing(options.onnx):
            tables.check_place(options.onnx, ())
            from fastnn import onnx  # slow to import

            onnx.export(nets, options.onnx)
        return 0
    if options.c is not None:
        with writing(options.c):
            tables.check_place(options.c, ())
            fastnn.to_c(nets, options.c)
        return 0
    text = json.dumps(_plain(nets)) + "\n"
    if options.json == "-":
        print_now(text)
        return 0
    with writing(options.json):
        tables.write_text(options.json, text)
    return 0


def _require_identifier(path: str) -> None:
    """Check that the name of a C file, from which the names in C are made, is fit for them."""
    try:
        _checks.c_name("name", Path(path).stem, by_path=True)
    except ValueError as error:
        raise UsageError(
            f"--c {path}: the names in C begin with the file's name, so it must be a C identifier "
            "other than fastnn, such as net in net.c; choose another name"
        ) from error


def _outputs(options: argparse.Namespace) -> dict[str, str]:
    """Return the paths of the output files by option name."""
    found = {"--onnx": options.onnx, "--c": options.c, "--json": options.json}
    if options.c is not None:
        found["the header of --c"] = f"{os.path.splitext(options.c)[0]}.h"
    return {name: path for name, path in found.items() if path not in (None, "-")}


def _plain(nets: Fits) -> dict[str, Any]:
    """Return all data that predictions depend on, as plain data.

    The weights of several networks are in a list, "networks". If they predict different rows,
    "groups" has the label of each; otherwise predictions are their mean.
    """
    net = nets[0]
    found = {
        "fastnn": fastnn.__version__,
        **(_weights_of(net) if len(nets) == 1 else {"networks": [*map(_weights_of, nets)]}),
        "inputs": None if net.feature_names is None else list(net.feature_names),
        "metadata": net.metadata,
    }
    if nets.groups is not None:
        found["groups"] = nets.groups.tolist()
    return found


def _weights_of(net: MLP) -> dict[str, Any]:
    """Return a network as plain data."""
    mean_and_scale = net.standardization
    return {
        "config": net.get_config(),
        "weights": [_shortest(array) for array in net.get_weights()],
        "standardization": mean_and_scale and [array.tolist() for array in mean_and_scale],
    }


def _shortest(array: NDArray[Any]) -> Any:
    """Return numbers as lists of floats, with no more digits than their precision has."""
    return array.astype(str).astype(np.float64).tolist()
