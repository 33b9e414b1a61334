"""The machine of a comparison: pinning to CPUs, versions of libraries, and probes of its peaks.

Libraries, including NumPy, read their number of threads from the environment when they are loaded,
and importing fastnn loads NumPy. A process is therefore pinned by starting it with `environment`,
on `cpus`. Not here: the model of the machine's limits (limits.py).
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

VERSIONS = ("numpy", "jax", "torch", "scikit-learn", "onnxruntime")


def allowed() -> list[int]:
    """Return the CPUs that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def cpus(threads: int) -> set[int]:
    """Return the CPUs for this many threads: one each, or all that are allowed."""
    return set(allowed()[:threads])


def available_cpus() -> int:
    """Return how many CPUs this process may use, limited by the quota of its control group."""
    from fastnn import _cpu

    return min(len(allowed()), _cpu._cgroup_cpus() or len(allowed()))


def stay_on(cpus: Iterable[int]) -> None:
    """Pin this thread, and processes that it starts, to these CPUs where the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)


def environment(threads: int) -> dict[str, str]:
    """Return the environment of this process, but with this number of threads for every library."""
    found = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        found[name] = str(threads)
    # Helper processes of compilers would compete with the timed code; GPUs are not measured.
    found |= {"TORCHINDUCTOR_COMPILE_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    # These variables make OpenBLAS, and so NumPy, slower on CPUs other than the intended ones.
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        found.pop(name, None)
    return found


def pin(threads: int) -> None:
    """Pin the process to this many CPUs, and set the threads of every library.

    Libraries read the environment when they are loaded, so the process restarts if it changes.
    """
    here, wanted = cpus(threads), environment(threads)
    if len(here) < threads:
        sys.exit(f"{threads} threads were requested, but {len(here)} CPUs are available")
    if wanted != dict(os.environ) or here != set(allowed()):
        stay_on(here)
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


def caches() -> dict[str, int]:
    """Return the cache sizes of the first CPU in bytes, by level; usual sizes if they are unknown.

    Linux knows the levels, but not the sizes, of many arm64 machines, above all of virtual ones.
    """
    found = {}
    for index in sorted(CACHES.glob("index*")):
        try:
            level, kind, size = ((index / n).read_text().strip() for n in ("level", "type", "size"))
        except FileNotFoundError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = int(size.removesuffix("K")) << 10
    return found or {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}


def probe(dtype: str, threads: int, seconds: float = 0.05) -> dict[str, Any]:
    """Return the peaks of multiply-adds and of reading from each cache and memory, in 1e9/s."""
    from fastnn import _checks, _cpu
    from fastnn._precision import KERNELS

    kernels = KERNELS[_checks.dtype(dtype)]
    sizes = caches()
    last = max(sizes)
    # Read half of a private cache, a quarter of the shared cache, and four times that cache for
    # memory.
    nbytes = {level: size // 2 for level, size in sizes.items()}
    nbytes[last] = sizes[last] // (4 * threads)
    nbytes["memory"] = min(4 * sizes[last], 1 << 28) // threads
    reads = {
        level: kernels.read_bandwidth(n, seconds, threads, _cpu.ISA) / 1e9
        for level, n in nbytes.items()
    }
    return {"peak_gflops": peak(dtype, threads), "read_gbytes": reads}


def peak(dtype: str, threads: int) -> float:
    """Return the peak of multiply-adds of these threads, in 1e9 operations per second."""
    from fastnn import _checks, _cpu
    from fastnn._precision import KERNELS

    flops: float = KERNELS[_checks.dtype(dtype)].peak_flops(0.15, threads, _cpu.ISA)
    return flops / 1e9


def cpu() -> str:
    """Return the model name of the first CPU; virtual machines often hide it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:  # not on Linux
        return platform.processor() or platform.machine()
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = info.get("model name", "unknown CPU")
    if "cpu family" in info:
        name += f" (family {info['cpu family']}, model {info['model']})"
    return name + (", virtual" if "hypervisor" in info.get("flags", "").split() else "")


def describe(threads: int, dtype: str, libraries: Iterable[str] = VERSIONS) -> dict[str, Any]:
    """Return the machine and library versions that the figures depend on."""
    import fastnn

    versions = {}
    for name in libraries:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "dtype": dtype,
        "python": platform.python_version(),
        "fastnn": fastnn.show_config("dicts"),
        "caches": caches(),
        "versions": versions,
    }
