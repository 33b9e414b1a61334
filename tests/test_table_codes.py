"""Rich codes of columns: clipped and piecewise linear copies of numbers, texts that share an input.

Not here: plain codes, reading and recipes in general (test_tables.py), the estimators that use rich
codes (test_sklearn_tabular.py).
"""

import itertools
import json
import time

import numpy as np
import polars as pl
import pytest

from fastnn import tables
from fastnn.sklearn import TableEncoder
from fastnn.tables import Recipe
from fastnn.tabular.codes import Clipped, PiecewiseLinear

RNG = np.random.default_rng(0)
SKEWED = RNG.exponential(size=400) ** 3


def rich(**columns):
    """The recipe of columns, and their inputs in float64 by name."""
    recipe, X, _ = tables.prepare(columns, codes="rich", dtype="float64")
    return recipe, dict(zip(recipe.names, X.T, strict=True))


def test_intervals_may_be_tiny():
    out = np.zeros((3, 2))
    PiecewiseLinear(0.0, [0.0, 5e-324, 1.0]).write(np.array([-1.0, 0.5, 2.0]), out)
    np.testing.assert_array_equal(out, [[0, 0], [1, 0.5], [1, 1]])


def test_a_number_has_three_codes():
    recipe, inputs = rich(a=SKEWED)
    assert recipe.names == ["a", "a=(clipped)", *(f"a=({i} of 16)" for i in range(1, 17))]
    np.testing.assert_allclose(inputs["a"], (SKEWED - SKEWED.mean()) / SKEWED.std(), rtol=1e-12)
    low, median, high = np.quantile(SKEWED, [0.25, 0.5, 0.75])
    u = (SKEWED - median) / (high - low)
    np.testing.assert_allclose(inputs["a=(clipped)"], u / np.sqrt(1 + (u / 3) ** 2), rtol=1e-12)
    assert np.abs(inputs["a=(clipped)"]).max() < 3
    edges = np.quantile(SKEWED, np.linspace(0, 1, 17), method="inverted_cdf")
    for i in range(16):
        expected = np.interp(SKEWED, edges[i : i + 2], [0, 1])
        np.testing.assert_allclose(inputs[f"a=({i + 1} of 16)"], expected, atol=1e-12)
    # Together the intervals keep the order.
    ranks = sum(inputs[f"a=({i} of 16)"] for i in range(1, 17))
    assert np.array_equal(np.argsort(ranks, kind="stable"), np.argsort(SKEWED, kind="stable"))


def test_values_beyond_the_edges_stay_at_0_and_1():
    recipe, _ = rich(a=SKEWED)
    X = recipe.inputs({"a": [-1e30, 1e30]})
    assert (X[0, 2:] == 0).all()
    assert (X[1, 2:] == 1).all()
    assert np.isfinite(X).all()


@pytest.mark.parametrize("x", [-np.inf, -1e308, 1e200, np.inf])
def test_the_clipped_code_of_values_of_any_size_is_finite(x):
    out = np.zeros((1, 1))
    Clipped(0.0, 0.0, 1e-300).write(np.array([x]), out)
    assert out[0, 0] == np.copysign(3.0, x)


def test_a_missing_number_is_the_median_in_every_code():
    values = np.where(np.arange(400) % 7 == 0, np.nan, SKEWED)
    recipe, _ = rich(a=values)
    median = float(np.nanmedian(values))
    missing, known = recipe.inputs({"a": [np.nan, median]}, dtype="float64")
    assert recipe.names[-1] == "a=(missing)"
    assert (missing[-1], known[-1]) == (1, 0)
    np.testing.assert_array_equal(missing[:-1], known[:-1])


@pytest.mark.parametrize(("n", "intervals"), [(2, 0), (3, 2), (9, 8), (400, 16)])
def test_equal_edges_are_one(n, intervals):
    values = np.resize(np.arange(n), 400).astype(float)
    recipe, _ = rich(a=values)
    codes = [code for code in recipe.columns[0].codes if isinstance(code, PiecewiseLinear)]
    assert sum(len(code.names("a")) for code in codes) == intervals


def test_a_number_whose_quartiles_are_equal_is_scaled_by_its_deviation():
    values = np.where(np.arange(400) % 9 == 0, SKEWED, 0.0)
    recipe, inputs = rich(a=values)
    [clipped] = [code for code in recipe.columns[0].codes if isinstance(code, Clipped)]
    assert clipped.scale == pytest.approx(values.std())
    assert np.isfinite(inputs["a=(clipped)"]).all()


def test_inputs_have_different_names():
    columns = {
        "c": [None] * 4 + ["(missing)", "u", "c", "(missing) (2)"] * 4,
        "c=u": np.arange(20.0),
    }
    recipe, _, _ = tables.prepare(columns)
    assert recipe.names == ["c=(missing)", "c=(missing) (2)", "c=c", "c=u", "c=(missing) (3)",
                            "c=u (2)"]  # fmt: skip
    encoder = TableEncoder().set_output(transform="polars")
    assert encoder.fit_transform(pl.DataFrame(columns)).columns == recipe.names


def test_rare_texts_share_an_input():
    texts = np.array(["usual"] * 200 + ["also"] * 190 + ["few"] * 4 + ["one"] + ["five"] * 5)
    recipe, inputs = rich(c=texts)
    assert recipe.names == ["c=also", "c=five", "c=usual", "c=(other)"]
    assert inputs["c=(other)"].sum() == 5
    assert recipe.inputs({"c": ["never seen"]})[0].tolist() == [0, 0, 0, 1]
    plain, _, _ = tables.prepare({"c": texts})
    assert len(plain.names) == 5


def test_one_text_at_least_is_kept():
    texts = np.array([f"t{i % 150}" for i in range(400)])
    recipe, _ = rich(c=texts)
    assert len(recipe.names) > 1
    assert recipe.names[-1] == "c=(other)"


def test_dates_are_numbers_too():
    days = np.datetime64("2020-01-01") + RNG.integers(0, 900, 400)
    recipe, _ = rich(d=days)
    assert "d=(clipped)" in recipe.names
    assert "d=(16 of 16)" in recipe.names
    assert "d=Mar" in recipe.names


def test_wide_tables_have_no_intervals():
    columns = {f"a{i}": RNG.normal(size=60) for i in range(100)}
    assert len(rich(**columns)[0].names) == 200
    few = dict(list(columns.items())[:80])
    assert len(rich(**few)[0].names) == 18 * 80


def test_rich_codes_are_plain_data():
    recipe, _ = rich(a=SKEWED, c=np.resize(["x", "y"], 400))
    text = json.dumps(recipe.to_plain(), allow_nan=False)
    twin = Recipe.from_plain(json.loads(text))
    assert twin == recipe
    frame = {"a": SKEWED, "c": np.resize(["x", "y"], 400)}
    assert np.array_equal(twin.inputs(frame), recipe.inputs(frame))


def formulas(code, x, is_missing):
    """The inputs of a code for values x (n,), by the formulas of docs/how-to/tables.rst."""
    kind = code["code"]
    texts = code.get("known", code.get("texts", []))
    each = [np.array([value == text for value in x], float) for text in texts]
    if kind == "missing":
        return [is_missing.astype(float)]
    if kind == "one_hot":
        return each + [1 - np.sum(each, axis=0) - is_missing] * code["other"]
    if kind == "ordered":
        return each + [np.sum(each[i:], axis=0) for i in range(1, len(each))]
    if kind in ("month", "weekday"):
        parts = [-1 if missing else time.gmtime(v)[1 if kind == "month" else 6]
                 for v, missing in zip(x, is_missing, strict=True)]  # fmt: skip
        return [
            (np.array(parts) == i) * 1.0 for i in (range(1, 13) if kind == "month" else range(7))
        ]
    if kind == "time_of_day":
        angles = 2 * np.pi * (x % 86400) / 86400
        return [np.where(is_missing, 0, of(angles)) for of in (np.sin, np.cos)]
    x = np.where(is_missing, code["fill"], x)
    if kind == "piecewise_linear":
        edges = code["edges"]
        return [np.clip((x - a) / (b - a), 0, 1) for a, b in itertools.pairwise(edges)]
    if kind == "bounded":
        x = np.clip(x, code["low"], code["high"])
    u = (x - code["shift"]) / code["scale"]
    return [u / np.sqrt(1 + (u / 3) ** 2) if kind == "clipped" else u]


@pytest.mark.parametrize("codes", ["plain", "rich"])
def test_other_programs_compute_inputs_by_the_documented_formulas(codes):
    n = 200
    is_missing = RNG.random(n) < 0.1
    seconds = RNG.integers(-(10**7), 10**8, n).astype(float)
    columns = {
        "a": np.where(is_missing, np.nan, RNG.normal(size=n)),
        "c": [None if out else text
              for out, text in zip(is_missing, RNG.choice([*"xxyyz", "rare"], n), strict=True)],
        "o": RNG.choice(["low", "mid", "high"], n),
        "d": np.where(is_missing, np.datetime64("NaT"), seconds.astype("M8[s]")),
    }  # fmt: skip
    frame = {**columns, "o": pl.Series(columns["o"], dtype=pl.Enum(["low", "mid", "high"]))}
    recipe, X, _ = tables.prepare(frame, codes=codes, dtype="float64", max_categories=3)
    found = []
    for entry in recipe.to_plain()["columns"]:
        x = seconds if entry["kind"] == "date" else np.asarray(columns[entry["name"]])
        missing = np.zeros(n, bool) if entry["name"] == "o" else is_missing
        found += [column for code in entry["codes"] for column in formulas(code, x, missing)]
    np.testing.assert_allclose(np.transpose(found), X, rtol=1e-14)


def test_numbers_far_outside_of_the_training_rows_are_bounded():
    recipe, _ = rich(a=np.linspace(10, 30, 41))
    bound, beyond, far = recipe.inputs({"a": [40.0, 40.1, 1e30]}, dtype="float64")
    assert bound[0] == beyond[0] == far[0] == (40 - 20) / np.linspace(10, 30, 41).std()
    assert recipe.inputs({"a": [-1e30]}, dtype="float64")[0, 0] == -bound[0]
    inside, edge = recipe.inputs({"a": [39.9, 40.0]}, dtype="float64")
    assert inside[0] < edge[0]


@pytest.mark.parametrize("common", [-9.0, 0.0, 7.0])
def test_intervals_of_a_column_that_is_mostly_one_value_are_of_the_others(common):
    others = np.linspace(-5, 5, 40)
    x = np.append(np.full(60, common), others)
    recipe = tables.learn(tables.read({"x": x}), codes="rich")
    (code,) = [code for code in recipe.columns[0].codes if isinstance(code, PiecewiseLinear)]
    quantiles = np.quantile(others, np.linspace(0, 1, 17), method="inverted_cdf")
    neighbours = [others[others < common][-1:], [common], others[others > common][:1]]
    expected = np.unique(np.concatenate([quantiles, *neighbours]))
    np.testing.assert_array_equal(code.edges, expected)


@pytest.mark.parametrize("edges", [[1.0], [1.0, 1.0], [2.0, 1.0], [0.0, float("inf")], "ab", 3])
def test_edges_that_do_not_increase_are_refused(edges):
    recipe, _ = rich(a=SKEWED)
    plain = recipe.to_plain()
    plain["columns"][0]["codes"][2]["edges"] = edges
    with pytest.raises((ValueError, TypeError), match="edges"):
        Recipe.from_plain(plain)


def test_the_encoder_has_the_same_codes():
    frame = {"a": SKEWED, "c": np.resize(["x", "y", "z"], 400)}
    encoder = TableEncoder(codes="rich").fit(frame)
    recipe, X, _ = tables.prepare(frame, codes="rich")
    assert np.array_equal(encoder.transform(frame), X)
    assert encoder.get_feature_names_out().tolist() == recipe.names


def test_codes_have_names():
    with pytest.raises(ValueError, match="codes must be one of 'plain', 'rich'; got 'good'"):
        tables.prepare({"a": SKEWED}, codes="good")
    with pytest.raises(ValueError, match="codes must be one of"):
        TableEncoder(codes="good").fit({"a": SKEWED})
