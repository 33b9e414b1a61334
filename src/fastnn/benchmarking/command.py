"""`fastnn bench`: the peak of this machine, fastnn's times on it, and those of other libraries.

The command itself measures nothing. It starts `session` with the environment and the CPUs for a
given number of threads, and prints its progress on stderr and its results on stdout. Not here:
tables (tables.py), the notes below them (notes.py), the cells (cells.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _checks, _cpu
from fastnn.benchmarking import cells, machine, modes, tables
from fastnn.benchmarking.notes import PACKAGES, notes

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

_MODULES = {"scikit-learn": "sklearn"}  # modules with another name than their package
_USUAL = [name for name in PACKAGES if name != "torch.compile"]


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of `fastnn bench` to a parser.

    Parameters
    ----------
    parser : argparse.ArgumentParser

    Examples
    --------
    >>> import argparse
    >>> from fastnn.benchmarking import command
    >>> parser = argparse.ArgumentParser()
    >>> command.add_arguments(parser)
    >>> parser.parse_args(["--threads", "1", "--peers", "numpy", "jax"]).peers
    ['numpy', 'jax']
    """
    known = ", ".join(_USUAL)
    parser.add_argument(
        "--peers",
        nargs="+",
        default=["all"],
        metavar="NAME",
        help=f"libraries to compare with fastnn: 'none', 'all' (the default), or some of {known} "
        "and torch.compile; 'all' leaves out torch.compile, whose compilation takes minutes",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of each library (default: available CPUs)"
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="precision of all libraries (default: float32)",
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="measure only cases whose name contains TEXT"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds for each library (default: 3)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=0.1,
        metavar="S",
        help="duration of a round in seconds (default: 0.1)",
    )
    parser.add_argument("--json", action="store_true", help="print all measurements as JSON")


def run(arguments: Namespace) -> int:
    """Measure this machine and print the results.

    Parameters
    ----------
    arguments : argparse.Namespace
        The result of a parser with the options of `add_arguments`.

    Returns
    -------
    int
        0 on success; 1 if measuring failed or fastnn disagrees with the reference; 2 for an invalid
        argument.
    """
    try:
        settings, found = _settings(arguments)
    except (TypeError, ValueError) as error:
        print(f"fastnn: error: {error}", file=sys.stderr)
        return 2
    code = _measure(settings, found)
    if code:
        print(
            f"fastnn: error: the measuring process ended with exit code {code}; if another library "
            "crashed, leave it out with --peers",
            file=sys.stderr,
        )
        return 1
    found["notes"] = list(notes(found))
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(tables.report(found)))
    results = [*(record["results"]["fastnn"] for record in found["cells"]), *found["modes"]]
    right = all("median_us" in result for result in results)
    return 0 if right else 1


def _settings(arguments: Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of `session.measure`, and known facts: threads, peers, load."""
    asked = arguments.threads
    asked = (
        _cpu.available_threads() if asked is None else _checks.integer("--threads", asked, low=1)
    )
    peers = _peers(arguments.peers)
    missing = [name for name in peers if not _installed(name)]
    names = [tables.label(regime, cell) for regime, cell in cells.telling()]
    names += map(str, modes.chosen("", arguments.dtype))
    settings = {
        "dtype": arguments.dtype,
        "threads": min(asked, machine.available_cpus()),
        "rounds": _checks.integer("--rounds", arguments.rounds, low=1),
        "seconds": _checks.number("--seconds", arguments.seconds, above=0.0),
        "only": _checks.part("--only", arguments.only, names),
        "peers": [name for name in peers if name not in missing],
    }
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return settings, {"asked": asked, "load": load, "missing": missing}


def _peers(names: Sequence[str]) -> list[str]:
    """Return the names of the requested peers."""
    for name in names:
        _checks.choice("--peers", name, ["none", "all", *PACKAGES])
    every = _USUAL if "all" in names else []
    return list(dict.fromkeys([*every, *(name for name in names if name in PACKAGES)]))


def _installed(name: str) -> bool:
    """Return whether the packages that a peer needs are installed, without importing them."""
    modules = (_MODULES.get(package, package) for package in PACKAGES[name])
    return all(importlib.util.find_spec(module) for module in modules)


def _measure(settings: dict[str, Any], found: dict[str, Any]) -> int:
    """Run a session; store its results in `found`, and return its exit code."""
    threads, before = settings["threads"], set(machine.allowed())
    command = [sys.executable, "-P", "-m", "fastnn.benchmarking.session", json.dumps(settings)]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    machine.stay_on(machine.cpus(threads))  # a child process inherits the CPUs
    try:
        process = subprocess.Popen(command, env=machine.environment(threads), **options)
    finally:
        machine.stay_on(before)
    assert process.stdout is not None  # since it is a pipe
    with process:
        try:
            for line in process.stdout:
                message = json.loads(line)
                if "progress" in message:
                    print(message["progress"], file=sys.stderr, flush=True)
                else:
                    found |= message
        except BaseException:
            process.kill()
            raise
    return process.returncode
