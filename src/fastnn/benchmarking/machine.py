"""The machine of a comparison: what the figures depend on, the probes, the libraries' import times.

Not here: the model of what such a machine could do (limits.py). NumPy is imported by nothing in
this file before `pin` has set its threads.
"""

import os
import platform
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = {
    "numpy": "numpy",
    "fastnn": "fastnn",
    "onnxruntime": "onnxruntime",
    "jax": "jax",
    "torch": "torch",
    "scikit-learn": "sklearn.neural_network",
}


def pin(threads):
    """Keep the process, and every pool that a library will size by it, on that many CPUs."""
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    if len(cpus) < threads:
        sys.exit(f"compare.py: {threads} threads asked for, {len(cpus)} CPUs to be had")
    os.sched_setaffinity(0, cpus)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Compilers' helper processes would compete with what is timed.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"


def leave_openblas_alone():
    """Drop settings that make OpenBLAS, hence NumPy, slower on CPUs they weren't meant for.

    OpenBLAS reads them as it is loaded: if something has loaded NumPy already, start again.
    """
    names = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    found = [os.environ.pop(name) for name in names if name in os.environ]
    if found and "numpy" in sys.modules:
        os.execv(sys.executable, [sys.executable, *sys.argv])


def caches():
    """Return the bytes of the caches that the first CPU sees, by level."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / n).read_text().strip() for n in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size.removesuffix("K")) << 10
    return found or {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}


def probe(dtype, threads, seconds=0.05):
    """Return the peaks of multiply-adds and of reading from each cache and memory, in 1e9/s."""
    from fastnn import _checks, _cpu

    kernels = _checks.KERNELS[_checks.dtype(dtype)]
    sizes = caches()
    last = max(sizes)
    # Half of a core's own cache, a quarter of the shared one, four times it for memory.
    nbytes = {level: size // 2 for level, size in sizes.items()}
    nbytes[last] = sizes[last] // (4 * threads)
    nbytes["memory"] = min(4 * sizes[last], 1 << 28) // threads
    reads = {
        level: kernels.read_bandwidth(n, seconds, threads, _cpu.ISA) / 1e9
        for level, n in nbytes.items()
    }
    peak = kernels.peak_flops(0.15, threads, _cpu.ISA)
    return {"peak_gflops": peak / 1e9, "read_gbytes": reads}


def cpu():
    """Return what the first CPU calls itself; virtual ones often hide their name."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = told.get("model name", "unknown CPU")
    if "cpu family" in told:
        name += f" (family {told['cpu family']}, model {told['model']})"
    return name + (", virtual" if "hypervisor" in told.get("flags", "").split() else "")


def describe(threads, dtype):
    """Return what the figures depend on."""
    import fastnn

    versions = {}
    for name in ("numpy", "jax", "torch", "scikit-learn", "onnxruntime"):
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


def import_times(rounds):
    """Return, for each library, the seconds of importing it in processes of their own, in turn."""
    times = {name: [] for name in LIBRARIES}
    for _ in range(rounds + 1):  # the first brings the files into memory
        for name, module in LIBRARIES.items():
            code = f"from time import perf_counter as t; a = t(); import {module}; print(t() - a)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode == 0:
                times[name].append(float(done.stdout.split()[-1]))
    return {
        name: {"times_s": seconds[1:], "median_s": statistics.median(seconds[1:])}
        for name, seconds in times.items()
        if seconds
    }
