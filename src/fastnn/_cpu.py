"""This machine: the instruction set in use, and the number of threads.

Not here: pinning or other global settings. The engine selects the number of threads for the size of
a network.
"""

import functools
import math
import os
import platform
import sys
from typing import Any, Literal, overload

import numpy as np

from fastnn import _checks, _kernels_f32
from fastnn._precision import POLICIES

#: Instruction sets that this build contains and this CPU can run, best first.
INSTRUCTION_SETS = tuple(_kernels_f32.instruction_sets())

#: The instruction set in use: the best, or the one in the environment variable FASTNN_ISA.
ISA = _checks.instruction_set(os.environ.get("FASTNN_ISA"), INSTRUCTION_SETS)

#: Whether products with zeros in the inputs are skipped where that is faster; the bits are the
#: same. FASTNN_ZEROS=0 computes all products, to measure the difference.
SKIP_ZEROS = _checks.switch("FASTNN_ZEROS", os.environ.get("FASTNN_ZEROS"))


# Seconds of the measurement of latency.
_SECONDS = 0.002


def _words(path: str) -> list[str]:
    """Return the words of a text file."""
    with open(path, encoding="ascii") as file:
        return file.read().split()


@functools.cache  # reading two files takes longer than building a small network
def _cgroup_cpus() -> int | None:
    """Return the number of CPUs that the control group's quota allows, or None without a quota."""
    try:
        quota, period = _words("/sys/fs/cgroup/cpu.max")
    except (OSError, ValueError):
        folder = "/sys/fs/cgroup/cpu"
        try:
            (quota,) = _words(f"{folder}/cpu.cfs_quota_us")
            (period,) = _words(f"{folder}/cpu.cfs_period_us")
        except (OSError, ValueError):
            return None
    try:
        cpus = int(quota) // int(period)
    except ValueError:  # "max": no quota
        return None
    return max(1, cpus) if int(quota) > 0 else None


def available_threads() -> int:
    """Return the number of threads to use.

    It is the minimum of the number of CPUs that this process may run on, the quota of its control
    group, OMP_NUM_THREADS, and the most threads that the engine uses.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    limits = [cpus, _cgroup_cpus(), _checks.MAX_THREADS]
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    limits.append(int(wanted) if wanted.isdecimal() and int(wanted) > 0 else None)
    return min(limit for limit in limits if limit is not None)


def _core_to_core() -> str:
    """Return the one-way latency from one core to another, as text."""
    latency = _kernels_f32.core_latency(_SECONDS) if available_threads() > 1 else math.nan
    return "not measured" if math.isnan(latency) else f"{latency:.0f} ns"


# How products of bfloat16 are computed, by the speed of the instruction set in use.
_BFLOAT16 = {16: "tiles of AMX", 2: "an instruction of its own", 0: "computed in float32"}


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the environment of fastnn: versions, instruction set, threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default "stdout"
        Whether to print the information or return it as a dict.

    Returns
    -------
    dict or None

    Examples
    --------
    >>> import fastnn
    >>> fastnn.show_config("dicts")["precisions"]
    ['float32', 'float64', 'mixed_bfloat16']
    """
    import fastnn

    config: dict[str, Any] = {
        "fastnn": fastnn.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "compiler": _kernels_f32.COMPILER,
        "instruction_set": ISA,
        "instruction_sets": list(INSTRUCTION_SETS),
        "precisions": list(POLICIES),
        "bfloat16": _BFLOAT16[_kernels_f32.bfloat16_speed(ISA)],
        "threads": available_threads(),
        "core_to_core": _core_to_core(),
    }
    if _checks.choice("mode", mode, ("stdout", "dicts")) == "dicts":
        return config
    for name, value in config.items():
        print(f"{name:<18}{', '.join(value) if isinstance(value, list) else value}")
    return None
