"""`fastnn bench`: its results and notes, and no time for a wrong answer.

No test asserts a time. The roofline and the tables of bench/ are in test_bench.py.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conditions import LONG

from fastnn.benchmarking import cells, command, machine, modes, notes, protocol, session, tables
from fastnn.benchmarking import contenders as every

BENCH = Path(__file__).parent.parent / "bench"
QUICK = ["--rounds", "1", "--seconds", "0.001", "--threads", "1"]
TINY = "2-3-1 sigmoid, batch 1, sgd"


def python(*arguments, **options):
    """Run another Python process; return the completed process."""
    options = {"capture_output": True, "text": True, "timeout": 300} | options
    return subprocess.run([sys.executable, *arguments], **options)


def bench(*arguments):
    """Run the command in another process, as users do."""
    return python("-m", "fastnn.benchmarking", *QUICK, *arguments)


def parsed(*arguments):
    """Return the command's arguments."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([*QUICK, *arguments])


def measure_here(monkeypatch):
    """Let the command measure in this process."""

    def measure(settings, found):
        session.measure(found.update, **settings)
        return 0

    monkeypatch.setattr(command, "_measure", measure)


# ---- the command --------------------------------------------------------------------------------


def test_the_output_has_the_machine_the_peaks_fastnn_and_a_peer():
    done = bench("--only", "2-3-1", "--peers", "numpy")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"1/1 fit: {TINY}\n"
    parts = [part.splitlines() for part in done.stdout.split("\n\n")]
    assert "1 of" in parts[0][0]
    assert [line.split()[0] for line in parts[1]] == ["peak", "float32", "float64"]
    assert parts[2][0].startswith("fastnn, float32, 1 thread")
    assert parts[2][1].startswith(f"fit: {TINY}")
    assert parts[2][1].count("%") == 2
    assert parts[3][0].split()[-6:] == ["fastnn", "NumPy", "best", "peer", "/", "fastnn"]
    assert parts[3][2].startswith("geometric mean of best peer / fastnn: ")


def test_json_has_the_time_of_every_round_and_derived_figures():
    arguments = ["--only", "16-64", "--peers", "numpy", "scikit-learn", "--dtype", "float64"]
    done = bench(*arguments, "--json", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["threads"] == 1
    assert found["machine"]["dtype"] == "float64"
    assert [record["regime"] for record in found["cells"]] == ["epochs", "calls", "predict"]
    peak = found["peaks"]["float64"]["1"]
    for record in found["cells"]:
        assert set(record["results"]) == {"fastnn", "numpy", "scikit-learn"}
        ours = record["results"]["fastnn"]
        assert len(ours["times_us"]) == 2
        assert ours["disagreement"] < 1e-10
        rate = record["flops"] / ours["median_us"] / 1e3
        assert record["gflops"] == pytest.approx(rate)
        assert record["rows_per_s"] == pytest.approx(1e6 * record["batch"] / ours["median_us"])
        assert record["of_peak"] == pytest.approx(rate / peak)
        assert record["of_limit"] == pytest.approx(record["limit_us"] / ours["median_us"])
        assert record["peak_gflops"] <= peak


def test_without_peers_the_output_has_no_ratio():
    done = bench("--only", "predict", "--peers", "none")
    assert done.returncode == 0, done.stderr
    assert "predict: 16-64-64-1 tanh, 1 row" in done.stdout
    assert "best peer" not in done.stdout
    assert "not installed" not in done.stdout


def test_an_unknown_peer_is_an_error_of_one_line_with_exit_code_2():
    done = bench("--peers", "tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("fastnn: error: --peers must be one of 'none', 'all', 'numpy'")
    assert "'tensorflow'" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "torchh"], "did you mean 'torch'?"),
        (["--threads", "0"], "fastnn: error: --threads must be at least 1; got 0"),
        (["--rounds", "0"], "fastnn: error: --rounds must be at least 1; got 0"),
        (["--seconds", "0"], "fastnn: error: --seconds must be above 0"),
        (["--seconds", "nan"], "fastnn: error: --seconds must be above 0"),
        (
            ["--only", "3-4-5"],
            "fastnn: error: --only: no case has '3-4-5' in its name; the cases are 'fit: 2-3-1",
        ),
    ],
)
def test_invalid_options_are_refused_before_anything_is_measured(
    arguments, message, capsys, monkeypatch
):
    monkeypatch.setattr(command, "_measure", None)
    assert command.run(parsed(*arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_the_exit_code_is_1_if_a_measuring_process_fails(monkeypatch, capfd):
    monkeypatch.setenv("FASTNN_ISA", "abacus")  # read by the process that measures
    assert command.run(parsed("--peers", "none")) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "fastnn: error: the measuring process ended with exit code 1" in err


def test_ctrl_c_leaves_no_process_behind():
    arguments = ["--peers", "none", "--rounds", "1000", "--seconds", "1", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastnn.benchmarking", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr.readline().startswith("1/7 ")
        process.send_signal(signal.SIGINT)  # to the command alone
        out, err = process.communicate(timeout=LONG)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_missing_peers_are_named_with_the_packages_to_install(monkeypatch):
    find = command.importlib.util.find_spec
    gone = {"jax", "onnx", "torch"}
    monkeypatch.setattr(
        command.importlib.util, "find_spec", lambda name: None if name in gone else find(name)
    )
    settings, found = command._settings(parsed("--peers", "all", "torch.compile"))
    assert settings["peers"] == ["numpy", "scikit-learn"]
    (line,) = notes._missing(found["missing"])
    assert line == (
        "not installed: torch, jax, onnxruntime, torch.compile; "
        "pip install torch jax onnxruntime onnx"
    )


def test_all_peers_except_torch_compile_are_measured_by_default():
    assert command._peers(["all"]) == ["numpy", "scikit-learn", "torch", "jax", "onnxruntime"]
    assert command._peers(["torch.compile", "numpy"]) == ["torch.compile", "numpy"]
    assert command._peers(["none"]) == []
    known = {kind.name for kinds in every.CONTENDERS.values() for kind in kinds}
    assert known == {"fastnn", "fastnn, all products", *notes.PACKAGES} == set(tables.ORDER)


def test_cells_on_real_rows_skip_zeros_without_changing_bits(monkeypatch):
    """The contender that computes all products has the same weights as the one that skips zeros."""
    pixels = np.array([[0, 0, 1.5, 0], [0.25, 0, 0, 0]]).repeat(200, axis=1)[:, :784]
    monkeypatch.setattr(cells.real_rows, "mnist", lambda: (pixels, np.array([3, 9])))
    cell = cells.RealCell((784, 40, 10), "relu", "softmax", cells.CROSS, 32, "adam", 2)
    assert str(cell).endswith(", MNIST")
    X, labels = cell.data()
    assert X.shape == (64, 784)
    assert set(labels) == {3, 9}
    assert (X == 0).mean() > 0.5
    answers = []
    for kind in (every.Fastnn, every.FastnnAllProducts):
        contender = kind(cell, "float32", 1)
        contender.reset()
        assert contender.net._network.skips_zeros(X, 32) == (kind is every.Fastnn)
        contender.run(2)
        answers.append([w.tobytes() for w in contender.answer()])
    assert answers[0] == answers[1]


def test_output_that_a_library_prints_does_not_mix_with_results():
    code = """if True:
        from fastnn.benchmarking import session
        session.measure = lambda tell, **_: (print("noise"), tell({"cells": []}))
        session.main()"""
    done = python("-c", code, "{}")
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"cells": []}\n', "noise\n")


# ---- modes --------------------------------------------------------------------------------------


def test_each_mode_is_shown_beside_its_base():
    done = bench("--only", "CSR", "--peers", "none", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "fit: array with 99 % zeros, CSR with 99 % zeros\n"
    base, csr = json.loads(done.stdout)["modes"]
    assert base["base"] is None
    assert csr["base"] == "array with 99 % zeros"
    assert base["times_as_fast"] == 1
    assert csr["times_as_fast"] > 0 < csr["median_us"]


def test_modes_are_of_float32():
    assert len(modes.chosen("", "float32")) == len(modes.MODES)
    assert modes.chosen("", "float64") == []


@pytest.mark.parametrize("mode", modes.MODES, ids=lambda mode: mode.name)
def test_the_rows_of_a_mode_have_the_stated_density(mode):
    rows, labels = mode.arrays()
    if mode.is_csr:
        assert modes.csr(rows).toarray().tobytes() == rows.tobytes()
    assert len(rows) == len(labels) == modes.BATCH * modes.STEPS
    assert np.count_nonzero(rows) / rows.size == pytest.approx(mode.density, rel=0.02)
    assert sorted(set(labels)) == list(range(10))


@pytest.mark.parametrize("mode", modes.MODES, ids=lambda mode: mode.name)
def test_a_mode_agrees_with_its_base_and_a_wrong_result_does_not(mode, monkeypatch):
    runs = {
        each.name: modes.Run(each, 1) for each in (mode, *modes.MODES) if each.n_in == mode.n_in
    }
    run, base = runs[mode.name], runs[mode.base or mode.name]
    assert run.agrees(base)
    run.loss *= 1.06
    run.weights = run.weights[:-1] + bytes([run.weights[-1] ^ 1])
    monkeypatch.setattr(modes, "distance", lambda *arrays: 2e-4)
    assert not run.agrees(base)


def test_a_mode_that_disagrees_shows_no_time(monkeypatch, capsys):
    monkeypatch.setattr(modes.Run, "agrees", lambda self, base: self is base)
    measure_here(monkeypatch)
    assert command.run(parsed("--only", "bfloat16", "--peers", "none")) == 1
    lines = capsys.readouterr().out.splitlines()
    assert ["disagrees" in line for line in lines if "adam, " in line] == [False, True]


# ---- no time for a wrong answer -----------------------------------------------------------------


def skewed(kind, factor):
    """Return a contender whose answers are off by a factor."""

    class Skewed(kind):
        def answer(self):
            return [w * np.asarray(factor, w.dtype) for w in super().answer()]

    return Skewed


def measured(monkeypatch, *kinds):
    """Run the command on the tiny network with these contenders; return its exit code."""
    monkeypatch.setitem(every.CONTENDERS, "epochs", list(kinds))
    measure_here(monkeypatch)
    return command.run(parsed("--only", "2-3-1", "--peers", "numpy"))


def test_a_contender_that_is_right_shows_its_time(monkeypatch, capsys):
    assert measured(monkeypatch, every.Fastnn, skewed(every.NumPy, 1 + 1e-6)) == 0
    assert "geometric mean of best peer / fastnn" in capsys.readouterr().out


def test_a_contender_that_disagrees_shows_no_time(monkeypatch, capsys):
    assert measured(monkeypatch, every.Fastnn, skewed(every.NumPy, 1 + 2e-4)) == 0
    out = capsys.readouterr().out
    assert out.count(" disagrees\n") == 1
    assert "geometric mean" not in out
    note = "- numpy differs from the float64 reference by 2.0e-04: no time is shown (fit: 2-3-1"
    assert note in out


def test_a_contender_with_nan_shows_no_time(monkeypatch, capsys):
    assert measured(monkeypatch, every.Fastnn, skewed(every.NumPy, np.nan)) == 0
    out = capsys.readouterr().out
    assert out.count(" fails\n") == 1
    assert "- numpy fails: its results are not finite" in out


def test_fastnn_shows_no_time_if_it_disagrees_and_the_exit_code_is_1(monkeypatch, capsys):
    assert measured(monkeypatch, skewed(every.Fastnn, 1.001), every.NumPy) == 1
    out = capsys.readouterr().out
    assert "- fastnn differs from the float64 reference by 1.0e-03" in out
    assert "GFLOP/s  of peak  of limit\nfit: 2-3-1 sigmoid, batch 1, sgd  disagrees\n" in out


def test_a_library_that_raises_is_left_out(monkeypatch, capsys):
    class Broken(every.NumPy):
        def run(self, steps):
            raise RuntimeError("no\ncompiler")

    assert measured(monkeypatch, every.Fastnn, Broken) == 0
    assert "- numpy fails: RuntimeError: no\n" in capsys.readouterr().out


def test_rounds_are_interleaved(monkeypatch):
    order = []

    def recording(kind):
        class Recording(kind):
            def run(self, steps):
                order.append(self.name)
                super().run(1)

        return Recording(cells.CELLS[0], "float32", 1)

    ready = [recording(every.Fastnn), recording(every.NumPy)]
    for contender in ready:
        contender.reset()
    monkeypatch.setattr(protocol, "warm_up", lambda contender, seconds: 1)
    times, cpus = protocol.time_rounds(ready, 3, 0.0)
    assert order == ["fastnn", "numpy"] * 3
    assert [len(times["numpy"]), len(cpus["fastnn"])] == [3, 3]


# ---- threads ------------------------------------------------------------------------------------


def test_only_the_measuring_process_is_pinned(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    before, seen = os.sched_getaffinity(0), {}

    def start(arguments, env, **_):
        seen.update(env=env, cpus=os.sched_getaffinity(0))
        raise FileNotFoundError(arguments[0])

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(FileNotFoundError):
        command._measure({"threads": 1}, {})
    assert os.sched_getaffinity(0) == before
    assert len(seen["cpus"]) == 1
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    assert {seen["env"][name] for name in pools} == {"1"}
    assert "OPENBLAS_CORETYPE" not in seen["env"]


def test_a_script_restarts_itself_to_be_pinned():
    code = """if True:
        import os, sys
        from fastnn.benchmarking import machine
        print("started")
        machine.pin(1)
        print(os.environ["OPENBLAS_NUM_THREADS"], len(os.sched_getaffinity(0)), sys.argv[1:])"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "7", "OPENBLAS_CORETYPE": "Prescott"}
    done = python("-c", code, "--only", "a b", env=environment)
    assert done.stdout == "started\nstarted\n1 1 ['--only', 'a b']\n", done.stderr


def test_a_script_that_needs_more_threads_than_cpus_ends_with_an_error():
    done = python("-c", "from fastnn.benchmarking import machine; machine.pin(10**4)")
    assert done.returncode == 1
    assert done.stderr.startswith("10000 threads were requested, ")


def test_a_note_says_that_there_are_fewer_cpus_than_threads(monkeypatch):
    monkeypatch.setattr(machine, "available_cpus", lambda: 2)
    settings, found = command._settings(parsed("--threads", "64"))
    assert (settings["threads"], found["asked"]) == (2, 64)
    assert list(notes._threads(64, 2)) == [
        "64 threads requested, but 2 CPUs are available: measured on 2",
    ]
    assert list(notes._threads(2, 2)) == []


@pytest.mark.parametrize("sizes", [{}, {"0": "48K", "1": "32K", "2": "2048K"}])
def test_caches_whose_sizes_are_unknown_have_usual_sizes(monkeypatch, tmp_path, sizes):
    """Linux leaves out the file `size` if it does not know the size, as on many arm64 machines."""
    kinds = {"0": ("1", "Data"), "1": ("1", "Instruction"), "2": ("2", "Unified")}
    for number, (level, kind) in kinds.items():
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        (folder / "level").write_text(f"{level}\n")
        (folder / "type").write_text(f"{kind}\n")
        if number in sizes:
            (folder / "size").write_text(f"{sizes[number]}\n")
    monkeypatch.setattr(machine, "CACHES", tmp_path)
    usual = {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}
    assert machine.caches() == ({"L1": 48 << 10, "L2": 2 << 20} if sizes else usual)


# ---- notes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "threads", "said"),
    [(0.1, 2, False), (0.9, 1, False), (1.0, 2, True), (None, 2, False)],
)
def test_a_note_says_that_the_machine_is_not_idle(load, threads, said):
    found = list(notes._idle(load, {"threads": threads, "cpus": 2}))
    assert bool(found) is said
    assert not found or "load average 1.0 before the start" in found[0]


def test_notes_on_a_process_that_waited_and_on_rounds_that_differ():
    def record(cpus, spread):
        ours = {"median_us": 1.0, "cpus": cpus, "spread": spread}
        return {"regime": "calls", "cell": "c", "results": {"fastnn": ours}}

    assert list(notes._disturbed([record(1.0, 0.1), record(1.9, 0.2)])) == []
    assert list(notes._disturbed([record(0.62, 0.1), record(1.0, 0.45)])) == [
        "train_on_batch: c: fastnn got 0.62 of a CPU: another program used it",
        "fastnn's rounds differ by up to 45% (train_on_batch: c): the machine's speed varied",
    ]


def test_a_note_says_that_two_threads_share_a_core():
    assert list(notes._peaks({"float32": {"1": 100.0, "2": 190.0}})) == []
    (line,) = notes._peaks({"float32": {"1": 100.0, "2": 110.0}})
    assert "2 threads reach 1.1 times the peak of one" in line


# ---- one copy of the code -----------------------------------------------------------------------


def test_benchmarking_and_the_peers_are_imported_only_when_needed():
    code = """if True:
        import sys
        import fastnn
        assert not any(name.startswith("fastnn.benchmarking") for name in sys.modules)
        assert "fastnn.reference" not in sys.modules
        from fastnn.benchmarking import command, session
        print({"sklearn", "torch", "jax", "onnx", "onnxruntime"} & sys.modules.keys())"""
    done = python("-c", code)
    assert done.stdout == "set()\n", done.stderr


def test_the_scripts_of_bench_import():
    names = sorted(path.stem for path in BENCH.glob("*.py"))
    assert {"compare", "report", "extras", "instructions", "bench_training"} < set(names)
    done = python("-c", f"import {', '.join(names)}", cwd=BENCH)
    assert done.returncode == 0, done.stderr


def test_compare_writes_a_row():
    script = [str(BENCH / "compare.py"), "--regime", "calls", "--only", "2-3-1"]
    done = python(*script, *QUICK, "--without", "torch", "torch.compile", "jax")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"| {TINY} | ")


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("compare.py", ["--only", "2-4-1"], "--only: no cell of epochs has '2-4-1' in its name"),
        ("compare.py", ["--without", "pytorch"], "invalid choice: 'pytorch'"),
        ("neighbours.py", ["--beside", "torch"], "invalid choice: 'torch'"),
    ],
)
def test_a_script_refuses_names_that_do_not_exist(script, arguments, words):
    """The first of them measured nothing, the other two something else than was asked for."""
    done = python(str(BENCH / script), *arguments)
    assert done.returncode == 2
    assert words in done.stderr
