"""Tables with wide one-hot columns: their inputs are sparse rows, and every bit is that of arrays.

The command line and the estimators for tables are trained twice, with sparse rows and with
arrays, and the digests of what they write or predict are compared. Not here: codes
(test_table_codes.py), sparse rows in the engine (test_csr.py).
"""

import hashlib

import numpy as np
import pytest

from fastnn import MLP, Dense, SparseRows, tables
from fastnn.sklearn import TabularClassifier, TabularRegressor
from fastnn.tabular import encoding

N = 2400
RNG = np.random.default_rng(0)
WEIGHT = RNG.random(N).round(3)
FRAME = {
    "place": [f"p{i}" for i in RNG.integers(0, 200, N)],
    "brand": [None if i == 0 else f"b{i}" for i in RNG.integers(0, 200, N)],
    "store": [f"s{i}" for i in RNG.integers(0, 200, N)],
    "colour": [f"c{i}" for i in RNG.integers(0, 3, N)],
    "weight": [None if w < 0.05 else float(w) for w in WEIGHT],
    "price": WEIGHT + RNG.integers(0, 3, N),
    "kind": [f"k{i}" for i in RNG.integers(0, 3, N)],
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    pytest.importorskip("polars")
    file = tmp_path_factory.mktemp("wide") / "table.csv"
    rows = zip(*FRAME.values(), strict=True)
    lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
    file.write_text("\n".join([",".join(FRAME), *lines]) + "\n")
    return file


def use(form, monkeypatch):
    """Use one form of the inputs; making the other one raises."""

    def refuse(*_):
        raise AssertionError(form)

    if form == "dense":
        monkeypatch.setattr(encoding, "_WIDE", 10**9)
    monkeypatch.setattr(encoding.Rows, "matrix" if form == "sparse" else "sparse", refuse)


@pytest.mark.parametrize("codes", ["plain", "rich"])
def test_sparse_inputs_are_those_of_the_array(codes):
    recipe = tables.learn(tables.read(FRAME), codes=codes)
    rows = recipe.encode(FRAME)
    for some in (slice(None), slice(0, 0), np.array([5, 5, 2])):
        found, expected = rows.sparse(some), rows.matrix(some)
        assert isinstance(found, SparseRows)
        assert found.toarray().tobytes() == expected.tobytes()
        assert found.canonical() is found
        assert (found.data != 0).all()


def test_unknown_texts_and_rare_ones():
    recipe = tables.learn(tables.read(FRAME), max_categories=20)
    rows = recipe.encode({**FRAME, "place": ["new"] * N}, unknown="missing")
    assert rows.sparse().toarray().tobytes() == rows.matrix().tobytes()


def test_inputs_are_sparse_where_these_are_wide_with_few_nonzeros():
    recipe = tables.learn(tables.read(FRAME))
    rows = recipe.encode(FRAME)
    assert rows.are_sparse
    assert isinstance(rows.inputs(), SparseRows)
    narrow = {name: FRAME[name] for name in ("colour", "weight", "kind")}
    rows = tables.learn(tables.read(narrow)).encode(narrow)
    assert isinstance(rows.inputs(), np.ndarray)
    numbers = {f"x{i}": RNG.random(N) for i in range(300)}
    rows = tables.learn(tables.read(numbers)).encode(numbers)
    assert isinstance(rows.inputs(), np.ndarray)


def test_sparse_inputs_are_made_block_by_block(monkeypatch):
    rows = tables.learn(tables.read(FRAME)).encode(FRAME)
    expected = rows.matrix()
    monkeypatch.setattr(encoding, "_BLOCK", 500)
    assert rows.sparse().toarray().tobytes() == expected.tobytes()
    blocks = [block.toarray() for block in rows.blocks()]
    assert len(blocks) == 5
    assert np.concatenate(blocks).tobytes() == expected.tobytes()


def test_a_network_takes_frames_as_sparse_rows(monkeypatch):
    recipe, X, _ = tables.prepare(FRAME, "kind")
    net = MLP(X.shape[1], [Dense(9, "relu"), Dense(3, "softmax")], loss="cross_entropy",
              optimizer="adam", seed=0)  # fmt: skip
    expected = net.predict(X)
    recipe.attach(net)
    use("sparse", monkeypatch)
    assert net.predict(FRAME).tobytes() == expected.tobytes()


TRAININGS = {
    "numbers": ["--target", "price", "--drop", "kind"],
    "classes": ["--target", "kind", "--l2", "0.001"],
    "categories alone": ["--target", "kind", "--drop", "weight,price"],
    "plain": ["--target", "kind", "--preset", "plain"],
    "several": ["--target", "price", "--ensemble", "2", "--drop", "kind", "--preset", "plain"],
    "bfloat16": ["--target", "price", "--dtype", "mixed_bfloat16"],
}


@pytest.mark.parametrize("training", TRAININGS)
def test_the_command_line_gives_the_bits_of_arrays(training, path, tmp_path, run, monkeypatch):
    found = []
    for form in ("sparse", "dense"):
        out = tmp_path / f"{form}.safetensors"
        with monkeypatch.context() as patch:
            use(form, patch)
            options = [*TRAININGS[training], "--hidden", "20", "--epochs", "2", "--quiet"]
            trained = run("train", path, *options, "--json", "--out", out, "--seed", "1")
            assert trained[0] == 0, trained
            predicted = run("predict", out, path)
            assert predicted[0] == 0, predicted
        found.append(
            [hashlib.sha256(data).hexdigest() for data in (out.read_bytes(), predicted[1].encode())]
        )
    assert found[0] == found[1]


@pytest.mark.parametrize("estimator", [TabularClassifier, TabularRegressor])
def test_estimators_for_tables_give_the_bits_of_arrays(estimator, monkeypatch):
    target = "kind" if estimator is TabularClassifier else "price"
    X = {name: FRAME[name] for name in FRAME if name not in ("kind", "price")}
    found = []
    for form in ("sparse", "dense"):
        with monkeypatch.context() as patch:
            use(form, patch)
            model = estimator(n_nets=2, max_iter=2, hidden_layer_sizes=(20,), random_state=0)
            model.fit(X, FRAME[target], sample_weight=1 + WEIGHT)
            predicted = model.predict(X), model.score(X, FRAME[target])
            weights = [w.tobytes() for net in model.fits_ for w in net.get_weights()]
        found.append((weights, np.asarray(predicted[0]).tolist(), predicted[1]))
    assert found[0] == found[1]
