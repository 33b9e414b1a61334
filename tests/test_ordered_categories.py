"""Ordered categories: the steps of their order, from frames of all kinds to files and predictions.

Not here: categories without an order (test_tables.py, test_table_codes.py).
"""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fastnn
from fastnn import MLP, Dense, tables
from fastnn.cli import main
from fastnn.sklearn import TabularRegressor
from fastnn.tables import Recipe
from fastnn.tabular.codes import MISSING, Ordered

LEVELS = ["poor", "fair", "good", "best"]
TEXTS = ["good", "poor", None, "fair", "good", "best", "fair", "poor"] * 20


def ordered(texts=TEXTS, levels=LEVELS):
    return pd.Categorical(texts, levels, ordered=True)


def arrow(texts, levels):
    indices = pa.array([None if text is None else levels.index(text) for text in texts], pa.int8())
    return pa.DictionaryArray.from_arrays(indices, pa.array(levels), ordered=True)


FRAMES = {
    "pandas": lambda: pd.DataFrame({"grade": ordered()}),
    "polars": lambda: pl.DataFrame({"grade": pl.Series(TEXTS, dtype=pl.Enum(LEVELS))}),
    "arrow": lambda: pa.table({"grade": arrow(TEXTS, LEVELS)}),
    "dict of a Categorical": lambda: {"grade": ordered()},
    "dict of a Series": lambda: {"grade": pd.Series(ordered(), index=range(5, 165))},
}
NAMES = [*(f"grade={level}" for level in LEVELS), *(f"grade>={level}" for level in LEVELS[1:]),
         "grade=(missing)"]  # fmt: skip


@pytest.mark.parametrize("codes", ["plain", "rich"])
@pytest.mark.parametrize("kind", FRAMES)
def test_every_text_and_every_step_is_an_input(kind, codes):
    recipe, X, _ = tables.prepare(FRAMES[kind](), codes=codes)
    assert recipe.names == NAMES
    rows = {"poor": [1, 0, 0, 0, 0, 0, 0, 0], "fair": [0, 1, 0, 0, 1, 0, 0, 0],
            "good": [0, 0, 1, 0, 1, 1, 0, 0], "best": [0, 0, 0, 1, 1, 1, 1, 0],
            None: [0, 0, 0, 0, 0, 0, 0, 1]}  # fmt: skip
    assert X.tolist() == [rows[text] for text in TEXTS]


def test_only_a_frame_knows_an_order(tmp_path):
    frame = pd.DataFrame({"grade": pd.Categorical(TEXTS, LEVELS)})
    assert tables.prepare(frame).recipe.names[:2] == ["grade=best", "grade=fair"]
    names = tables.prepare(pl.from_pandas(frame).cast(pl.Categorical)).recipe.names
    assert names[:2] == ["grade=best", "grade=fair"]
    pd.DataFrame({"grade": ordered()}).to_csv(tmp_path / "grades.csv")
    assert "grade=fair" in tables.prepare(tmp_path / "grades.csv").recipe.names


def test_parquet_keeps_the_order(tmp_path):
    FRAMES["polars"]().write_parquet(tmp_path / "grades.parquet")
    assert tables.prepare(tmp_path / "grades.parquet").recipe.names == NAMES


def test_texts_that_did_not_occur_are_as_the_next_lower_ones():
    levels = ["none", *LEVELS[:2], "middling", *LEVELS[2:], "perfect"]
    recipe = tables.prepare({"grade": ordered(levels=levels)}).recipe
    assert recipe.names == NAMES
    X = recipe.inputs({"grade": ["none", "poor", "middling", "fair", "perfect", "best"]})
    for unseen, seen in X.reshape(3, 2, 8):
        assert unseen.tolist() == seen.tolist()
    with pytest.raises(tables.TableError, match=r"'goof'.*did you mean 'good'"):
        recipe.inputs({"grade": ["goof"]})
    assert recipe.inputs({"grade": ["goof"]}, "missing").tolist() == [[0] * 7 + [1]]


def test_the_order_is_that_of_training():
    recipe = tables.prepare({"grade": ordered()}).recipe
    X = recipe.inputs({"grade": ordered(levels=LEVELS[::-1])})
    assert X.tolist() == recipe.inputs({"grade": ordered()}).tolist()


def test_levels_may_be_numbers_and_stand_for_missing():
    values = np.array([10, 9, 2, 10, 2, 9] * 5)
    frame = pd.DataFrame({"size": pd.Categorical(values, [2, 9, 10], ordered=True)})
    assert tables.prepare(frame).recipe.names == [
        "size=2",
        "size=9",
        "size=10",
        "size>=9",
        "size>=10",
    ]
    assert tables.prepare(frame, kinds={"size": "number"}).recipe.names == ["size"]
    frame = {"size": ordered([" big", "NA", "small"] * 9, ["NA", "small", " big"])}
    names = ["size=small", "size=big", "size>=big", "size=(missing)"]
    assert tables.prepare(frame).recipe.names == names


def test_many_levels_are_steps_though_most_texts_occur_once():
    levels = [f"level {i:02}" for i in range(30)]
    recipe = tables.prepare({"grade": ordered(levels[1:], levels)}).recipe
    assert recipe.names[29:] == [f"grade>={level}" for level in levels[2:]]
    with_few = tables.prepare({"grade": ordered(levels, levels)}, max_categories=8).recipe
    assert with_few.names[-1] == "grade=(other)"


def test_rare_texts_are_as_the_next_lower_ones():
    few = [None if text == "best" else text for text in TEXTS[:-4]] + ["best"] * 4
    recipe = tables.prepare({"grade": ordered(few)}, codes="rich").recipe
    assert recipe.names == [name for name in NAMES if "best" not in name]
    X = recipe.inputs({"grade": ["best", "good"]})
    assert X[0].tolist() == X[1].tolist()


def test_a_single_level_has_no_steps():
    recipe = tables.learn(tables.read({"grade": ordered(["fair"] * 9)}), keep_constant=True)
    assert recipe.names == ["grade=fair"]


def test_an_ordered_target_has_sorted_classes():
    recipe, _, y = tables.prepare({"x": np.arange(160) % 7.5, "grade": ordered()}, "grade")
    assert recipe.classes == sorted(LEVELS)
    assert y.tolist() == [sorted(LEVELS).index(text) for text in TEXTS if text]


def test_the_code_is_plain_data():
    recipe = tables.prepare({"grade": ordered()}, codes="rich").recipe
    twin = Recipe.from_plain(json.loads(json.dumps(recipe.to_plain(), allow_nan=False)))
    assert twin == recipe
    plain = recipe.to_plain()
    assert plain["columns"][0]["codes"][0] == {
        "code": "ordered", "texts": LEVELS, "known": LEVELS}  # fmt: skip


@pytest.mark.parametrize("known", [["good", "fair"], ["fair", "fair"], ["worst"], []])
def test_known_texts_that_are_not_in_order_are_refused(known):
    plain = tables.prepare({"grade": ordered()}).recipe.to_plain()
    plain["columns"][0]["codes"][0]["known"] = known
    with pytest.raises(ValueError, match="must be some of the texts"):
        Recipe.from_plain(plain)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nonzeros_are_those_of_the_matrix(dtype):
    code = Ordered(LEVELS, LEVELS)
    values = np.array([0, 3, MISSING, 1, 2])
    out = np.zeros((5, 7), dtype)
    code.write(values, out)
    rows, inputs, found = code.nonzeros(values, 7, dtype)
    again = np.zeros((5, 7), dtype)
    again[rows, inputs] = found
    assert again.tolist() == out.tolist()
    assert found.dtype == dtype


def test_estimators_and_files_keep_the_order(tmp_path, capsys):
    frame = pd.DataFrame({"grade": ordered(), "x": np.linspace(0, 1, 160)})
    y = np.array([0.0 if text is None else LEVELS.index(text) for text in TEXTS])
    options = {"n_nets": 2, "hidden_layer_sizes": (16,), "max_iter": 60, "random_state": 0}
    model = TabularRegressor(**options).fit(frame, y)
    of_polars = pl.DataFrame({"grade": pl.Series(TEXTS, dtype=pl.Enum(LEVELS)), "x": frame["x"]})
    again = TabularRegressor(**options).fit(of_polars, y)
    assert again.predict(of_polars).tobytes() == model.predict(frame).tobytes()
    path = tmp_path / "grades.safetensors"
    model.save(path)
    twin = TabularRegressor.load(path)
    assert twin.predict(frame).tobytes() == model.predict(frame).tobytes()
    as_texts = frame.assign(grade=frame["grade"].astype(object))
    assert twin.predict(as_texts).tobytes() == model.predict(frame).tobytes()
    assert main(["info", str(path)]) == 0
    assert "one of poor, fair, good, best, in this order; or missing" in capsys.readouterr().out


def test_networks_take_frames_and_name_their_inputs(tmp_path):
    recipe, X, _ = tables.prepare({"grade": ordered()})
    net = MLP(8, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    recipe.attach(net)
    net.save(tmp_path / "net.safetensors")
    twin = fastnn.load(tmp_path / "net.safetensors")
    assert twin.feature_names == tuple(NAMES)
    assert twin.predict({"grade": TEXTS}).tobytes() == net.predict(X).tobytes()
