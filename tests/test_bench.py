"""The figures in the READMEs are those of bench/results; the roofline model is correct."""

import doctest
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from fastnn.benchmarking import cells, limits

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


@pytest.fixture
def bench(monkeypatch):
    """Return a function that imports a script of bench/."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    return importlib.import_module


@pytest.mark.parametrize("name", ["README.md", "bench/README.md"])
def test_marked_sections_of_the_readmes_are_up_to_date(bench, name):
    text = (ROOT / name).read_text()
    assert "<!-- begin " in text
    assert bench("report").fill(text) == text


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_table_is_up_to_date_with_its_json_file(bench, path):
    table = bench("report").results_section(json.loads(path.read_text()))
    assert path.with_suffix(".md").read_text().strip() == table.strip()


def test_a_section_without_results_says_not_measured_yet(bench, tmp_path):
    text = "a\n<!-- begin imports -->\n| 1 |\n<!-- end imports -->\nb"
    assert bench("report").fill(text, tmp_path).splitlines()[2] == "Not measured yet."


def test_a_wrong_or_failed_result_shows_no_time(bench):
    results = {
        "fastnn": {"median_us": 10.0},
        "jax": {"disagreement": 1.0},
        "torch": {"failed": "RuntimeError: no compiler"},
        "scikit-learn": {"median_us": 90.0},
        "numpy": {"median_us": 40.0},
    }
    record = {"cell": "c", "batch": 5, "flops": 10**5, "peak_gflops": 100.0, "limit_us": 8.0}
    report = bench("report")
    table = report.results_section({"cells": [record | {"results": results}]})
    line = "| c | 10.0 | disagrees | fails | 90.0 | 40.0 | 4.00 | 500,000 | 10% | 80% |"
    assert table.splitlines()[2] == line
    assert "best peer / fastnn 4.00 over 1 cells; scikit-learn / fastnn 9.00" in table
    assert "torch fails: `RuntimeError: no compiler`" in table


@pytest.mark.parametrize(("score", "shown"), [(0.92, "3.0"), (0.88, "disagrees")])
def test_an_estimator_that_scores_worse_shows_no_time(bench, score, shown):
    times = {"fit_median_s": 1.0, "predict_median_s": 1e-6}
    record = {"data": "letters", "dtype": "float64", "fit_ratio": 3.0, "predict_ratio": 30.0}
    record["fastnn"] = {"score_mean": score, "score_sd": 0.02, **times}
    record["scikit-learn"] = {"score_mean": 0.93, "score_sd": 0.02, **times}
    line = bench("report").estimators_table({"estimators": [record]}).splitlines()[2]
    assert shown in line
    assert ("30.0" in line) == (shown == "3.0")


# Two cores of a Zen 3 server: a model worked out by hand for tanh throughout; seconds of a step.
CACHES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 32 << 20}
READS = {"L1": 328e9, "L2": 204e9, "L3": 114e9, "memory": 38e9}
ATTAINABLE = [
    ((2, 3, 1), 1, "sgd", 45e-9),
    ((16, 64, 64, 1), 1, "sgd", 0.47e-6),
    ((16, 64, 64, 1), 1, "adam", 2.4e-6),
    ((16, 64, 64, 1), 32, "sgd", 7.8e-6),
    ((16, 64, 64, 1), 256, "sgd", 48e-6),
    ((64, 128, 10), 1, "adam", 3.2e-6),
    ((64, 128, 10), 32, "adam", 11e-6),
    ((784, 256, 128, 10), 1, "adam", 67e-6),
    ((784, 256, 128, 10), 32, "sgd", 188e-6),
    ((784, 256, 128, 10), 4096, "sgd", 21.5e-3),
    ((784, 1024, 1024, 10), 32, "adam", 2.1e-3),
    ((784, 1024, 1024, 10), 256, "sgd", 12.7e-3),
    ((1024, 4096, 1024), 1, "sgd", 2.8e-3),
    ((1024, 4096, 1024), 256, "sgd", 55e-3),
]


@pytest.mark.parametrize(("sizes", "batch", "optimizer", "seconds"), ATTAINABLE, ids=str)
def test_the_roofline_equals_a_model_worked_out_by_hand(sizes, batch, optimizer, seconds):
    cell = cells.Cell(sizes, "tanh", "identity", cells.SQUARED, batch, optimizer, 1)
    machine = limits.Machine(200e9, READS, CACHES, 2)
    assert limits.limit(cell, "float32", machine) == pytest.approx(seconds, rel=0.25)


def test_float64_takes_twice_as_long_and_a_second_core_never_longer():
    for cell in [*cells.CELLS, *cells.PREDICTIONS]:
        double = limits.Machine(100e9, READS, {n: 2 * size for n, size in CACHES.items()}, 2)
        single = limits.Machine(200e9, READS, CACHES, 2)
        alone = limits.limit(cell, "float32", single.one_core())
        assert limits.limit(cell, "float32", single) <= alone
        ratio = limits.work(cell, "float64", double) / limits.work(cell, "float32", single)
        assert 1 <= ratio <= 2.0001  # 1: a chain of operations that wait for each other


def test_the_examples_in_the_roofline_module_run():
    assert doctest.testmod(limits) == (0, 3)


# ---- tables -------------------------------------------------------------------------------------


def of_set(*errors):
    """Results of a set by contender, LightGBM first."""
    names = ["LightGBM", "b", "c"][: len(errors)]
    return {
        name: {"error": error, "log_loss": None, "seconds": 1.0}
        for name, error in zip(names, errors, strict=True)
    }


def test_ratios_and_mean_ranks_of_errors_on_tables(bench):
    tables = bench("table_errors")
    results = {"one": of_set(0.2, 0.1, 0.2), "two": of_set(0.1, 0.2, 0.1)}
    assert tables.ratio(results, "b", "error") == pytest.approx(1.0)
    assert tables.ratio(results, "LightGBM", "error") == 1.0
    assert [tables.mean_rank(results, name) for name in ("LightGBM", "b", "c")] == [2, 2, 2]
    assert tables.mean_rank({"one": of_set(0.3, 0.1, 0.2)}, "LightGBM") == 3
    lines = tables.table(results).splitlines()
    assert lines[0].split() == ["set", "LightGBM", "b", "c"]
    assert lines[2].split() == ["two", "0.100", "0.200", "0.100"]


def test_error_and_log_loss_of_predictions_on_a_table(bench):
    pytest.importorskip("pandas")
    scores = bench("real_tables").scores
    error, log_loss = scores(np.array([1.0, 3.0]), np.array([1.0, 5.0]), None)
    assert (error, log_loss) == (pytest.approx(2**0.5 / 2), None)
    outputs = np.array([[0.5, 0.5], [0.25, 0.75]])
    error, log_loss = scores(outputs, np.array(["b", "b"]), np.array(["a", "b"]))
    assert error == 0.5
    assert log_loss == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
