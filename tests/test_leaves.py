"""Every C leaf alone, between guards: compiles leaves/*.c with the leaves and runs it.

The leaves are compiled for both precisions and for each instruction set that this CPU has, with the
flags of the build. The program compares each leaf of each table with plain loops in
doubles, for sizes around every remainder, on guarded buffers. That it finds wrong leaves is tested,
too. Not here: the engine's use of the leaves (test_kernels.py), every float of a function
(test_vmath.py), the bits of trainings (test_digests.py).
"""

import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conditions import LONG
from recipe import STRICT, list_of_the_build, set_macro

from fastnn import _cpu

ROOT = Path(__file__).parent.parent
SIMD = ROOT / "src/fastnn/engine/simd"
CHECKS = sorted(ROOT.glob("tests/leaves/*.c"))
COMPILER = shlex.split(os.environ.get("CC", "cc"))

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None,
    reason=f"no C compiler {COMPILER[0]!r} to build the leaves with; set CC",
)


#: Vectors of the width of AVX-512 in registers of AVX2: its logic runs on CPUs without it, too.
WIDE = ["wide", "x86_64", ["-mavx2", "-mfma", "-DFASTNN_VECTOR_BYTES=64"]]


def instruction_sets():
    """Return the name and the flags of each set that can be run here: the build's, and WIDE."""
    machine = {"AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    rows = [row for row in list_of_the_build("instruction_sets") if row[0] in _cpu.INSTRUCTION_SETS]
    rows += [WIDE] if "avx2" in _cpu.INSTRUCTION_SETS else []
    return [(isa, flags) for isa, family, flags in rows if family in (machine, "any")]


def compilations(bits, system="posix"):
    """Return the names of the object files of a precision, with the arguments that make each, for
    a system of engine/platform."""
    here, sets = [f"-DFASTNN_BITS={bits}", "-ffp-contract=off", "-I", SIMD], instruction_sets()
    macros = "".join(set_macro(*row) for row in sets)
    ours = [*here, "-O1"]
    jobs = {f"{source.stem}.o": [*ours, source] for source in CHECKS}
    jobs["platform.o"] = [*ours, SIMD.parent / f"platform/{system}.c"]
    jobs["dispatch.o"] = [*ours, f"-DFASTNN_INSTRUCTION_SETS={macros}", SIMD / "dispatch.c"]
    for isa, flags in sets:
        leaf_flags = [*list_of_the_build("leaf_flags"), *flags, f"-DFASTNN_ISA={isa}"]
        for name in ("ops", "tiny"):
            jobs[f"{name}_{isa}.o"] = [*here, "-O3", *leaf_flags, SIMD / f"{name}.c"]
    return jobs


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The program for each precision."""
    folder, jobs, linked = tmp_path_factory.mktemp("leaves"), [], {}
    for bits in (32, 64):
        (folder / f"{bits}").mkdir()
        objects = {folder / f"{bits}" / name: args for name, args in compilations(bits).items()}
        jobs += [[*args, "-c", "-o", path] for path, args in objects.items()]
        linked[bits] = [*objects, "-o", folder / f"check_leaves_{bits}", "-lm", "-pthread"]

    def compile_with(arguments):
        command = [*COMPILER, *STRICT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_with, jobs))
        list(pool.map(compile_with, linked.values()))
    return {bits: folder / f"check_leaves_{bits}" for bits in linked}


@pytest.fixture(params=[32, 64], ids=["float32", "float64"])
def program(request, programs):
    return programs[request.param]


@functools.cache
def run(program, *arguments):
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=LONG, check=False
    )


def counts(result):
    """Return how many cases failed and how many there were, by leaf and instruction set."""
    lines = re.findall(r"^(\w+) (\w+) float\d+: (\d+) of (\d+) cases failed$", result.stdout, re.M)
    assert len(lines) == result.stdout.count("\n")
    return {(leaf, isa): (int(failed), int(cases)) for leaf, isa, failed, cases in lines}


def test_every_leaf_computes_what_it_says_and_keeps_to_its_buffers(program):
    result = run(program)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    names = [name for name, _ in instruction_sets()]
    assert {*_cpu.INSTRUCTION_SETS} <= {*names}
    assert [*dict.fromkeys(isa for _, isa in counts(result))] == names


@pytest.mark.parametrize("plant", ["value", "guard"])
def test_damage_is_found_in_every_case(program, plant):
    """A result that is off by three bounds, or a byte written beside a buffer."""
    result = run(program, "--plant", plant)
    assert result.returncode == 1
    found = counts(result)
    assert found.keys() == counts(run(program)).keys()
    missed = {where: seen for where, seen in found.items() if not 0 < seen[0] == seen[1]}
    assert not missed


@pytest.mark.parametrize(
    ("leaf", "symptom"),
    [
        ("product", r"rows=1 depth=3 .*: c\[0\] is .*, not"),
        ("outer", r"rows=1 width=3 .*: g: byte 192 of 192 was changed"),
        ("first_nonfinite", r"n=1 .*at the end: reads or writes byte \d of x"),
    ],
)
def test_a_wrong_leaf_is_found(program, leaf, symptom):
    """And named, with the instruction set, the precision and the sizes."""
    result = run(program, "--plant", leaf)
    assert result.returncode == 1
    bits = program.name.rpartition("_")[2]
    best = _cpu.INSTRUCTION_SETS[0]
    assert re.search(rf"^{leaf} {best} float{bits} {symptom}", result.stderr, re.MULTILINE)


#: Read number by number, never as a vector.
READ_BY_NUMBER = {
    "real values[PANEL][SLICE + PANEL];",
    "real values[BLOCK_ROWS * BLOCK_COLUMNS + PANEL];",
}


def test_arrays_of_numbers_say_where_they_begin():
    """A vector that is loaded from the stack must begin at a multiple of its size there."""
    lines = [line.strip() for path in SIMD.glob("*.[ch]") for line in path.read_text().split("\n")]
    arrays = {line for line in lines if re.match(r"(_Alignas\(\d+\) )?real \w+\[", line)}
    assert {line for line in arrays if not re.search(r"_Alignas|aligned\(", line)} == READ_BY_NUMBER
