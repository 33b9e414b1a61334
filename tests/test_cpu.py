"""The machine: choice of the instruction set, the number of threads, show_config."""

import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipe import list_of_the_build

import fastnn
from fastnn import _cpu, _kernels_f32, _kernels_f64

#: The names that Linux has for features, where they are not those of the compiler's flags.
IN_CPUINFO = {
    "-mavx512bf16": "avx512_bf16",
    "-mamx-tile": "amx_tile",
    "-mamx-bf16": "amx_bf16",
}


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("isa", _cpu.INSTRUCTION_SETS)
def test_an_instruction_set_can_be_chosen(isa):
    code = (
        "import fastnn, numpy as np;"
        "net = fastnn.MLP(3, [fastnn.Dense(2)], loss='huber', optimizer='sgd');"
        "net.predict(np.ones((1, 3)));"
        "print(fastnn.show_config('dicts')['instruction_set'], net._network.instruction_set)"
    )
    assert run(code, FASTNN_ISA=isa).stdout.split() == [isa, isa]


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "neon!"])
def test_an_unknown_instruction_set_raises(isa):
    result = run("import fastnn", FASTNN_ISA=isa)
    assert result.returncode != 0
    assert f"FASTNN_ISA={isa!r}" in result.stderr
    assert "portable" in result.stderr


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other CPUs have one set of instructions"
)
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no /proc/cpuinfo on this system")
def test_detected_instruction_sets_agree_with_proc_cpuinfo():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    known = next(line for line in lines if line.startswith("flags")).split()
    fit = [
        isa
        for isa, family, flags in list_of_the_build("instruction_sets")
        if family in ("x86_64", "any")
        and all(IN_CPUINFO.get(flag, flag[2:]) in known for flag in flags if flag.startswith("-m"))
    ]
    assert fit == list(_cpu.INSTRUCTION_SETS)


@pytest.mark.parametrize("isa", _cpu.INSTRUCTION_SETS)
def test_every_instruction_set_except_baseline_fuses_multiply_and_add(isa):
    assert _kernels_f32.fuses(isa) == (isa != "baseline")


def test_a_probe_of_latency_ends_at_its_time_limit():
    """The limit may be reached while the other thread is between reading and writing."""
    for _ in range(20_000):
        latency = _kernels_f32.core_latency(2e-6)
        assert math.isnan(latency) or latency > 0


def test_show_config_prints(capsys):
    assert fastnn.show_config() is None
    output = capsys.readouterr().out
    assert fastnn.__version__ in output
    assert "portable" in output


def test_omp_num_threads_is_respected():
    assert run("from fastnn import _cpu; print(_cpu.available_threads())", OMP_NUM_THREADS="1",
               ).stdout.strip() == "1"  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this system")
def test_affinity_is_respected():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    assert run(f"{code} from fastnn import _cpu; print(_cpu.available_threads())").stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "RTLD_GLOBAL"), reason="no dlopen on this system")
def test_each_precision_uses_its_own_kernels_with_rtld_global():
    """Both modules define the same symbols, and RTLD_GLOBAL makes symbols global."""
    code = (
        "import os, sys; sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL);"
        "from fastnn import kernels; import numpy as np;"
        "x = np.full((1, 1), 1 / 3), np.full((1, 1), 3.0);"
        "print(*(kernels.forward(*(a.astype(t) for a in x), None, 'identity')[0].item()"
        " - 3 * t(1 / 3) for t in (np.float32, np.float64)))"
    )
    assert run(code).stdout == "0.0 0.0\n"


def test_numpy_is_the_only_dependency():
    code = (
        "import sys, numpy; before = {m.split('.')[0] for m in sys.modules}; import fastnn;"
        "print(*{m.split('.')[0] for m in sys.modules} - before - set(sys.stdlib_module_names))"
    )
    extra = set(run(code).stdout.split()) - {"fastnn", "cython_runtime"}
    assert not [name for name in extra if not name.startswith("_cython")]


def test_slow_modules_are_imported_only_when_needed():
    code = (
        "import sys, numpy; before = set(sys.modules); import fastnn;"
        "late = {'difflib', 'hashlib', 'pathlib', 'shutil', 'string', 'urllib.parse'};"
        "late |= {'fastnn.sklearn', 'fastnn.benchmarking', 'fastnn.reference'};"
        "print(*late & (set(sys.modules) - before))"
    )
    assert run(code).stdout.split() == []


@pytest.mark.parametrize("cpus", [200, 256, 257, 512])
def test_the_default_number_of_threads_can_be_passed_as_an_argument(monkeypatch, cpus):
    """The engine uses up to 256 threads, however many CPUs there are."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_cpu, "_cgroup_cpus", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cpus)), raising=False)
    net = fastnn.MLP(1, [fastnn.Dense(1)], loss="squared_error", optimizer="sgd")
    assert net.n_threads == min(cpus, 256)
    assert net.copy(n_threads=net.n_threads).n_threads == net.n_threads


def test_a_control_groups_quota_counts(monkeypatch):
    files = {}
    monkeypatch.setattr(_cpu, "_words", lambda path: files[path.rpartition("/")[2]].split())

    def cpus(**found):
        files.clear()
        files.update({name.replace("_", ".", 1): text for name, text in found.items()})
        return _cpu._cgroup_cpus.__wrapped__()  # which is asked once in a process

    assert cpus(cpu_max="150000 100000") == 1
    assert cpus(cpu_max="400000 100000") == 4
    assert cpus(cpu_max="50000 100000") == 1
    assert cpus(cpu_max="max 100000") is None
    assert cpus(cpu_max="", cpu_cfs_quota_us="300000", cpu_cfs_period_us="100000") == 3
    assert cpus(cpu_max="", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000") is None


@pytest.mark.parametrize("isa", _cpu.INSTRUCTION_SETS)
@pytest.mark.parametrize("kernels", [_kernels_f32, _kernels_f64], ids=["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("nbytes", [0, 1, 16 << 10, 1 << 20])
def test_the_read_bandwidth_is_plausible(kernels, isa, n_threads, nbytes):
    """At least the bytes read over the time of the whole call; at most 100 TB/s."""
    began = time.perf_counter()
    bandwidth = kernels.read_bandwidth(nbytes, 0.0, n_threads, isa)
    assert n_threads * 8e6 / (time.perf_counter() - began) < bandwidth < 1e14


@pytest.mark.parametrize("isa", _cpu.INSTRUCTION_SETS)
@pytest.mark.parametrize("kernels", [_kernels_f32, _kernels_f64], ids=["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_peak_of_multiply_adds_is_plausible(kernels, isa, n_threads):
    """At least one multiply-add a round over the time of the whole call; at most 20 TFLOP/s."""
    began = time.perf_counter()
    peak = kernels.peak_flops(0.0, n_threads, isa)
    assert n_threads * 2 * 2**17 / (time.perf_counter() - began) < peak < 2e13 * n_threads


def test_a_buffer_too_large_for_memory_raises():
    with pytest.raises(MemoryError):
        _kernels_f32.read_bandwidth(1 << 60, 0.0, 1)
