"""`fastnn bench`: what this machine can do, what fastnn does on it, and its peers beside it.

The command measures nothing itself: it starts `session` with the environment and on the CPUs of as
many threads, and shows its progress on stderr and what it found on stdout. Not here: tables
(tables.py), what is said beneath them (notes.py), which cells (cells.py).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _checks, _cpu
from fastnn.benchmarking import cells, machine, tables
from fastnn.benchmarking.notes import PACKAGES, notes

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

_MODULES = {"scikit-learn": "sklearn"}  # where a package's is not of its name
_USUAL = [name for name in PACKAGES if name != "torch.compile"]


def add_arguments(parser: ArgumentParser) -> None:
    """Give a parser the options of `fastnn bench`.

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
        help=f"'none', 'all' (the default), or some of {known}, torch.compile; the last, whose "
        "compiling takes minutes, has to be named",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="of every library; by default the CPUs to be had"
    )
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="what has this in its name, such as 'predict'"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="of each contender (default: 3)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.1, metavar="S", help="least time of a round (0.1)"
    )
    parser.add_argument("--json", action="store_true", help="all that was measured, as JSON")


def run(arguments: Namespace) -> int:
    """Measure this machine, and print what was found.

    Parameters
    ----------
    arguments : argparse.Namespace
        As `add_arguments` has them parsed.

    Returns
    -------
    int
        0; 1 if measuring failed, or fastnn disagreed with the reference; 2 if an argument is unfit.
    """
    try:
        settings, found = _settings(arguments)
    except (TypeError, ValueError) as error:
        print(f"fastnn bench: {error}", file=sys.stderr)
        return 2
    code = _measure(settings, found)
    if code:
        print(
            f"fastnn bench: the process that measures ended with exit code {code}; if a peer is at "
            "fault, leave it out with --peers",
            file=sys.stderr,
        )
        return 1
    found["notes"] = list(notes(found))
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(tables.report(found)))
    right = all("median_us" in record["results"]["fastnn"] for record in found["cells"])
    return 0 if right else 1


def _settings(arguments: Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `session.measure` takes, and what is known before: threads, peers, load."""
    asked = arguments.threads
    asked = _cpu.available_threads() if asked is None else _checks.integer("threads", asked, low=1)
    peers = _peers(arguments.peers)
    missing = [name for name in peers if not _installed(name)]
    names = [tables.label(regime, cell) for regime, cell in cells.telling()]
    settings = {
        "dtype": arguments.dtype,
        "threads": min(asked, machine.to_be_had()),
        "rounds": _checks.integer("rounds", arguments.rounds, low=1),
        "seconds": _checks.number("seconds", arguments.seconds, above=0.0),
        "only": _checks.part("only", arguments.only, names),
        "peers": [name for name in peers if name not in missing],
    }
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return settings, {"asked": asked, "load": load, "missing": missing}


def _peers(names: Sequence[str]) -> list[str]:
    """Return the peers that are meant."""
    for name in names:
        _checks.choice("peers", name, ["none", "all", *PACKAGES])
    every = _USUAL if "all" in names else []
    return list(dict.fromkeys([*every, *(name for name in names if name in PACKAGES)]))


def _installed(name: str) -> bool:
    """Return whether all that a peer needs is there; nothing is imported."""
    modules = (_MODULES.get(package, package) for package in PACKAGES[name])
    return all(importlib.util.find_spec(module) for module in modules)


def _measure(settings: dict[str, Any], found: dict[str, Any]) -> int:
    """Run a session; put what it tells into `found`, and return its exit code."""
    threads, before = settings["threads"], set(machine.allowed())
    command = [sys.executable, "-P", "-m", "fastnn.benchmarking.session", json.dumps(settings)]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    machine.stay_on(machine.cpus(threads))  # a process starts where its parent is
    try:
        process = subprocess.Popen(command, env=machine.environment(threads), **options)
    finally:
        machine.stay_on(before)
    assert process.stdout is not None  # it is a pipe
    with process:
        try:
            for line in process.stdout:
                told = json.loads(line)
                if "progress" in told:
                    print(told["progress"], file=sys.stderr, flush=True)
                else:
                    found |= told
        except BaseException:
            process.kill()
            raise
    return process.returncode
