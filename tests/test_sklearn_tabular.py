"""TabularClassifier and TabularRegressor: frames of all kinds, one seed and one result, files.

Not here: which codes columns get (test_tables.py), frames in general (test_table_frames.py), and
how good the predictions are beside other libraries' (bench/real_tables.py).
"""

import io
import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import fastnn
from fastnn.cli import main
from fastnn.sklearn import TableEncoder, TabularClassifier, TabularRegressor
from fastnn.sklearn.tabular_parameters import settings_of
from fastnn.tabular import ensemble
from fastnn.tabular.ensemble import Settings

RNG = np.random.default_rng(0)
N = 240
FRAME = pd.DataFrame(
    {
        "area": RNG.normal(size=N),
        "wealth": RNG.exponential(size=N) ** 2,
        "city": RNG.choice(["Bonn", "Köln", "Trier"], N),
        "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 700, N), "D"),
        "is_new": RNG.random(N) > 0.5,
    }
)
FRAME.loc[::9, "area"] = np.nan
FRAME.loc[::11, "city"] = None
FRAME["size"] = pd.Categorical(RNG.choice(["small", "large"], N), ["small", "large"], ordered=True)
PRICE = 2 * FRAME["wealth"] + 3 * (FRAME["city"] == "Köln") + FRAME["area"].fillna(0.0)
SORT = np.where(PRICE > 4, "high", np.where(PRICE > 1, "middle", "low"))

SMALL = {"n_nets": 3, "hidden_layer_sizes": (24, 16), "max_iter": 150, "random_state": 0}

FRAMES = {
    "pandas": lambda frame: frame,
    "polars": lambda frame: pl.from_pandas(frame).cast({"size": pl.Enum(["small", "large"])}),
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "dict": lambda frame: {**{n: list(frame[n]) for n in frame}, "size": frame["size"].array},
}


def regressor(**options):
    return TabularRegressor(**{**SMALL, **options})


def classifier(**options):
    return TabularClassifier(**{**SMALL, **options})


@pytest.fixture(scope="module")
def prices():
    return regressor().fit(FRAME, PRICE)


@pytest.fixture(scope="module")
def sorts():
    return classifier().fit(FRAME, SORT)


# ---- fitting and predicting ---------------------------------------------------------------------


def test_a_regressor_learns(prices):
    assert prices.score(FRAME, PRICE) > 0.8
    assert 0.5 < prices.validation_score_ < 1
    assert prices.predict(FRAME).shape == (N,)
    assert len(prices.fits_) == 3
    assert 100 < prices.n_iter_ <= 150


def test_a_classifier_learns(sorts):
    assert sorts.score(FRAME, SORT) > 0.85
    assert sorts.classes_.tolist() == ["high", "low", "middle"]
    probabilities = sorts.predict_proba(FRAME)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    expected = sorts.classes_[probabilities.argmax(axis=1)]
    assert sorts.predict(FRAME).tolist() == expected.tolist()


def test_predictions_are_the_mean_of_the_networks(prices, sorts):
    inputs = prices.recipe_.inputs(FRAME, "missing")
    each = np.stack([net.predict(inputs)[:, 0] for net in prices.fits_]).astype(float)
    mean, std = prices.predict(FRAME, return_std=True)
    np.testing.assert_array_equal(mean, each.mean(axis=0))
    np.testing.assert_array_equal(std, each.std(axis=0))
    inputs = sorts.recipe_.inputs(FRAME, "missing")
    each = np.stack([net.predict(inputs) for net in sorts.fits_]).astype(float)
    np.testing.assert_array_equal(sorts.predict_proba(FRAME), each.mean(axis=0))


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_all_kinds_give_the_same_bits(kind, prices):
    frame = FRAMES[kind](FRAME)
    found = regressor().fit(frame, PRICE)
    assert found.predict(frame).tobytes() == prices.predict(FRAME).tobytes()
    assert list(found.feature_names_in_) == list(FRAME)


def test_the_order_of_columns_does_not_matter(prices):
    assert np.array_equal(prices.predict(FRAME[list(FRAME)[::-1]]), prices.predict(FRAME))


def test_new_texts_and_new_missing_values_are_predicted(prices):
    frame = FRAME.head(3).copy()
    frame["city"] = ["Aachen", None, "Bonn"]
    frame["wealth"] = [np.nan, 1e9, -1e9]
    frame["since"] = pd.NaT
    assert np.isfinite(prices.predict(frame)).all()


@pytest.mark.parametrize("labels", [[0, 1, 1], [7, -3, 2], [True, False, True]])
def test_labels_of_all_kinds(labels):
    y = np.resize(labels, N)
    found = classifier(n_nets=1, max_iter=1).fit(FRAME, y)
    assert found.classes_.tolist() == sorted(set(labels))
    assert found.predict(FRAME).dtype == y.dtype


def test_arrays_are_tables_too():
    X = RNG.normal(size=(N, 3))
    found = regressor().fit(X, X[:, 0] * X[:, 1])
    assert found.score(X, X[:, 0] * X[:, 1]) > 0.6
    with pytest.raises(ValueError, match="3 features"):
        found.predict(X[:, :2])


def test_a_fit_to_an_array_forgets_the_names_of_columns():
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = TabularRegressor(**{**SMALL, "max_iter": 3}).fit(
        pd.DataFrame(X, columns=["a", "b"]), X[:, 0]
    )
    assert not hasattr(model.fit(X, X[:, 0]), "feature_names_in_")


def test_counts_have_a_loss_of_their_own():
    counts = RNG.poisson(np.exp(1 + 0.5 * FRAME["area"].fillna(0.0)))
    found = regressor(loss="poisson").fit(FRAME, counts)
    assert (found.predict(FRAME) > 0).all()
    assert found.fits_[0].loss.name == "poisson"


def test_a_target_far_from_zero_is_scaled():
    y = 1e6 + 1e3 * PRICE
    found = regressor().fit(FRAME, y)
    assert r2_score(y, found.predict(FRAME)) > 0.8


def test_a_target_that_float32_rounds_away_is_refused():
    y = 1e8 + PRICE
    for dtype in ("float32", "mixed_bfloat16"):
        with pytest.raises(ValueError, match=r'^y has mean 1e\+08 and .*use dtype="float64"'):
            regressor(dtype=dtype).fit(FRAME, y)
    found = regressor(dtype="float64", n_nets=1).fit(FRAME, y)
    assert r2_score(y, found.predict(FRAME)) > 0.8
    constant = regressor(max_iter=2).fit(FRAME, np.full(N, 1e8))
    np.testing.assert_allclose(constant.predict(FRAME), 1e8)


def test_a_target_too_large_for_a_network_is_refused():
    for dtype, factor in (("float32", 1e38), ("mixed_bfloat16", 1e100), ("float64", 1e200)):
        with pytest.raises(ValueError, match=r"^y holds numbers up to .*divide them by a constant"):
            regressor(dtype=dtype).fit(FRAME, PRICE * factor)
    large = regressor(n_nets=1).fit(FRAME, PRICE / np.abs(PRICE).max() * 1e34)
    assert np.isfinite(large.predict(FRAME)).all()


def test_negative_counts_are_refused():
    for least in (-1e6, -0.02):
        counts = RNG.poisson(3, N).astype(float)
        counts[5] = least
        message = f"y must be 0 or more for loss 'poisson'; it holds {least}"
        with pytest.raises(ValueError, match=re.escape(message)):
            regressor(loss="poisson").fit(FRAME, counts)


# ---- one seed, one result -----------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_result_does_not_depend_on_the_threads(n_threads, prices):
    twin = regressor(n_threads=n_threads).fit(FRAME, PRICE)
    assert twin.predict(FRAME).tobytes() == prices.predict(FRAME).tobytes()
    assert twin.validation_score_ == prices.validation_score_


def test_another_seed_is_another_result(prices):
    twin = regressor(random_state=1).fit(FRAME, PRICE)
    assert not np.array_equal(twin.predict(FRAME), prices.predict(FRAME))


def test_each_network_has_its_own_seed_and_validation_rows(prices):
    nets = list(prices.fits_)
    assert len({net.seed for net in nets}) == 3
    losses = [tuple(history.history["val_loss"]) for history in prices.fits_.histories]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("n", "epochs"),
    [(10, 150), (640, 150), (2560, 75), (3825, 50), (10000, 50), (20000, 25), (10**6, 4)],
)
def test_the_number_of_epochs_follows_from_that_of_rows(n, epochs):
    assert Settings().n_epochs(n) == epochs
    assert Settings(epochs=7).n_epochs(n) == 7


# ---- weights ------------------------------------------------------------------------------------


def test_rows_of_weight_0_are_left_out():
    weight = (np.arange(N) % 3 > 0).astype(float)
    y = np.where(weight > 0, PRICE, 1e6)
    found = regressor().fit(FRAME, y, weight)
    assert r2_score(PRICE[weight > 0], found.predict(FRAME)[weight > 0]) > 0.8


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_nothing_is_learned_from_rows_of_weight_0(kind):
    options = {**SMALL, "max_iter": 3}
    other = FRAME.assign(area=1e6, wealth=np.nan, city=[f"city {i}" for i in range(N)])
    y, wrong = (SORT, SORT) if kind is TabularClassifier else (PRICE - PRICE.min(), PRICE - 1e4)
    options |= {} if kind is TabularClassifier else {"loss": "poisson"}
    expected = kind(**options).fit(FRAME, y, np.ones(N))
    both = pd.concat([FRAME, other]), np.r_[y, wrong]
    found = kind(**options).fit(*both, np.repeat([1.0, 0.0], N))
    assert found.recipe_.columns == expected.recipe_.columns
    assert np.array_equal(found._outputs(FRAME), expected._outputs(FRAME))


def test_weights_of_classes_are_those_of_rows():
    weight = np.select([SORT == "high", SORT == "low"], [3.0, 0.5], 1.0)
    by_row = classifier().fit(FRAME, SORT, weight)
    by_class = classifier(class_weight={"high": 3.0, "low": 0.5}).fit(FRAME, SORT)
    assert np.array_equal(by_row.predict_proba(FRAME), by_class.predict_proba(FRAME))
    balanced = classifier(class_weight="balanced").fit(FRAME, SORT)
    assert not np.array_equal(balanced.predict_proba(FRAME), by_row.predict_proba(FRAME))


# ---- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("class_weight", ["balanced", {"high": 9.0, "low": 2.0}])
def test_rows_of_weight_0_do_not_change_class_weights(class_weight):
    weight, labels = np.ones(N), SORT.copy()
    weight[N // 2 :], labels[N // 2 :] = 0, "low"
    options = {"class_weight": class_weight, "max_iter": 2}
    all_rows = classifier(**options).fit(FRAME, labels, sample_weight=weight)
    some = FRAME[: N // 2], labels[: N // 2], weight[: N // 2]
    found = classifier(**options).fit(*some).predict_proba(FRAME)
    np.testing.assert_array_equal(all_rows.predict_proba(FRAME), found)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"high": 9.0}])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_validation_score_counts_sample_weights_only(monkeypatch, class_weight, is_weighted):
    seen = {}

    def score(self, outputs, targets, weight):
        seen.update(right=outputs.argmax(axis=1) == targets, weight=weight)
        return scored(self, outputs, targets, weight)

    scored = TabularClassifier._score_of
    monkeypatch.setattr(TabularClassifier, "_score_of", score)
    given = np.random.default_rng(1).uniform(0.1, 9, N) if is_weighted else None
    model = classifier(class_weight=class_weight, max_iter=2, validation_fraction=0.9)
    model.fit(FRAME, SORT, given)
    if given is None:
        assert seen["weight"] is None
    else:
        assert set(seen["weight"]) <= set(given)
    expected = np.average(seen["right"], weights=seen["weight"])
    assert model.validation_score_ == pytest.approx(expected)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_the_validation_score_is_of_rows_that_a_network_was_not_trained_on(monkeypatch, kind):
    seen = []

    def train(*args, **options):
        seen.append(networks(*args, **options))
        return seen[-1]

    networks = ensemble.train
    monkeypatch.setattr(ensemble, "train", train)
    y = SORT if kind is TabularClassifier else PRICE.to_numpy()
    model = kind(**{**SMALL, "max_iter": 30}).fit(FRAME, y)
    outputs = [net.predict(FRAME) for net in model.fits_]
    true, found = [], []
    for row in range(N):
        held_out = [out[row] for out, rows in zip(outputs, seen[0].validation, strict=True)
                    if row in rows]  # fmt: skip
        if held_out:
            true.append(y[row])
            found.append(np.mean(held_out, axis=0))
    assert 0.15 * N < len(true) < N
    if kind is TabularClassifier:
        expected = np.mean(model.classes_[np.argmax(found, axis=1)] == true)
    else:
        expected = r2_score(true, np.ravel(found))
    assert model.validation_score_ == pytest.approx(expected)


def test_without_validation_rows_all_are_trained_on():
    found = regressor(validation_fraction=0.0).fit(FRAME, PRICE)
    assert np.isnan(found.validation_score_)
    assert list(found.fits_.histories[0].history) == ["loss", "learning_rate"]
    assert found.score(FRAME, PRICE) > 0.8


# ---- files and pickles --------------------------------------------------------------------------


@pytest.mark.parametrize("n_nets", [1, 3])
def test_a_file_has_all_that_predictions_need(tmp_path, n_nets):
    path = tmp_path / "prices.safetensors"
    found = regressor(n_nets=n_nets).fit(FRAME, PRICE)
    found.save(path)
    twin = TabularRegressor.load(path)
    assert np.array_equal(twin.predict(FRAME), found.predict(FRAME))
    assert twin.n_nets == n_nets
    assert list(twin.feature_names_in_) == list(FRAME)
    with pytest.raises(ValueError, match=r"for regression, .* use TabularRegressor\.load"):
        TabularClassifier.load(path)


@pytest.mark.parametrize(
    "y",
    [
        SORT,
        np.arange(N) % 3,
        np.arange(N) % 2 == 0,
        np.array([5, 2**63 + 5], np.uint64)[np.arange(N) % 2],
    ],
    ids=lambda y: y.dtype,
)
def test_a_file_has_the_classes(tmp_path, y):
    path = tmp_path / "sorts.safetensors"
    found = classifier(max_iter=3).fit(FRAME, y)
    found.save(path)
    twin = TabularClassifier.load(path)
    assert twin.predict(FRAME).tolist() == found.predict(FRAME).tolist()
    assert twin.classes_.tolist() == found.classes_.tolist()


def test_arrays_are_checked_after_a_file_as_before(tmp_path):
    X = RNG.normal(size=(N, 3))
    found = regressor(max_iter=2).fit(X, X[:, 0])
    found.save(tmp_path / "net.safetensors")
    twin = TabularRegressor.load(tmp_path / "net.safetensors")
    assert np.array_equal(twin.predict(X), found.predict(X))
    with pytest.raises(ValueError, match="3 features"):
        twin.predict(X[:, :2])


def test_the_command_line_predicts_from_the_file(tmp_path, capsys, sorts):
    path, data = tmp_path / "sorts.safetensors", tmp_path / "new.csv"
    sorts.save(path)
    FRAME.head(20).to_csv(data, index=False)
    assert main(["predict", str(path), str(data), "--quiet"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert found["y"].tolist() == sorts.predict(FRAME.head(20)).tolist()
    assert main(["info", str(path)]) == 0
    assert "wealth" in capsys.readouterr().out


def test_the_networks_take_frames_themselves(prices):
    net = prices.fits_[0]
    inputs = prices.recipe_.inputs(FRAME)
    assert np.array_equal(net.predict(FRAME), net.predict(inputs))


def test_pickles_and_clones(prices):
    twin = pickle.loads(pickle.dumps(prices))
    assert np.array_equal(twin.predict(FRAME), prices.predict(FRAME))
    again = clone(prices).fit(FRAME, PRICE)
    assert np.array_equal(again.predict(FRAME), prices.predict(FRAME))


def test_no_file_of_networks_for_tables(tmp_path):
    net = fastnn.MLP(2, [fastnn.Dense(1)], loss="squared_error", optimizer="adam")
    net.save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="no recipe for tables"):
        TabularRegressor.load(tmp_path / "net.safetensors")


# ---- scikit-learn -------------------------------------------------------------------------------

RANDOM = {
    "check_sample_weight_equivalence_on_dense_data": (
        "validation rows are drawn, so a row that is repeated is not a row of weight 2"
    )
}


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_scikit_learn_agrees(kind):
    net = kind(2, hidden_layer_sizes=(16,), max_iter=40, random_state=0, learning_rate_init=0.01)
    check_estimator(net, expected_failed_checks=RANDOM, on_fail="raise", on_skip=None)


def test_tools_of_scikit_learn():
    grid = {"dropout": [0.0, 0.1], "hidden_layer_sizes": [(8,), (9, 9)]}
    search = GridSearchCV(regressor(n_nets=1, max_iter=2), grid, cv=2).fit(FRAME, PRICE)
    assert set(search.best_params_) == set(grid)
    assert cross_val_score(classifier(n_nets=1, max_iter=2), FRAME, SORT, cv=2).shape == (2,)


# ---- bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_nets": 0}, "n_nets"),
        ({"dropout": 1.0}, "dropout"),
        ({"hidden_layer_sizes": 8}, "hidden_layer_sizes"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"loss": "hinge"}, "loss"),
        ({"loss": "cross_entropy"}, "'loss' parameter of TabularRegressor must be"),
        ({"loss": fastnn.CrossEntropy()}, "needs outputs of softmax.*, or TabularClassifier"),
        (
            {"learning_rate_init": 1e30, "max_iter": 3},
            r"^the loss became .*; lower learning_rate_init=1e\+30$",
        ),
        ({"kinds": {"city": "number"}}, "'city'"),
        ({"drop": ["town"]}, "'town'"),
        ({"drop": "area"}, "drop"),
        ({"kinds": {"City": "category"}}, "no column 'City'; did you mean 'city'"),
        ({"kinds": {"city": "categorical"}}, "did you mean 'category'"),
        ({"dtype": "float16"}, "dtype"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        regressor(**options).fit(FRAME, PRICE)


def test_bad_data(prices):
    with pytest.raises(ValueError, match="1 class, 'low', but"):
        classifier().fit(FRAME, np.full(N, "low"))
    days = np.where(np.arange(N) % 2, np.datetime64("2020-01-01"), np.datetime64("2020-01-02"))
    for y in (days, days.astype("M8[ns]")):  # whose tolist is a list of ints
        with pytest.raises(TypeError, match=r"^y has the class .*; pass y\.astype\(str\)"):
            classifier().fit(FRAME, y)
    with pytest.raises(ValueError, match=r"y\[2\] is None, which is not a label; label every row"):
        classifier().fit(FRAME, [*SORT[:2], None, *SORT[3:]])
    for dtype in ("string", pd.ArrowDtype(pa.string()), object):
        labels = pd.Series([*SORT[:2], pd.NA, *SORT[3:]], dtype=dtype)
        with pytest.raises(ValueError, match=r"y\[2\] is .*, which is not a label; label every"):
            classifier().fit(FRAME, labels)
    for estimator in (regressor(), classifier()):
        with pytest.raises(ValueError, match=r"X is lazy; pass X\.collect\(\)"):
            estimator.fit(pl.from_pandas(FRAME).lazy(), SORT)
    with pytest.raises(ValueError, match="weights of all rows are 0"):
        classifier(class_weight=dict.fromkeys(SORT, 0.0)).fit(FRAME, SORT)
    with pytest.raises(ValueError, match="non-zero"):
        regressor().fit(FRAME, PRICE, np.zeros(N))
    with pytest.raises(ValueError, match="NaN"):
        regressor().fit(FRAME, np.where(np.arange(N) == 3, np.nan, PRICE))
    missing = pa.chunked_array([[1.0, None] * (N // 2)]).dictionary_encode()
    for estimator in (regressor(), classifier()):
        with pytest.raises(ValueError, match="NaN"):
            estimator.fit(FRAME, missing)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        regressor().fit(FRAME, PRICE[:-1])
    with pytest.raises(ValueError, match="'area'"):
        prices.predict(FRAME.drop(columns="area"))
    with pytest.raises(NotFittedError):
        regressor().predict(FRAME)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_array_has_the_columns_of_fit_by_position(tmp_path):
    frame = pd.DataFrame(RNG.normal(size=(60, 4)), columns=["f3", "f2", "f1", "f0"])
    y = 10 * frame["f3"]
    model = regressor(n_nets=1, max_iter=2, drop=["f2"]).fit(frame, y)
    expected = model.predict(frame)
    model.save(tmp_path / "f.safetensors")
    for each in (model, TabularRegressor.load(tmp_path / "f.safetensors")):
        for array in (frame.to_numpy(), frame.to_numpy().tolist()):
            np.testing.assert_array_equal(each.predict(array), expected)
    frame.assign(y=y).to_csv(tmp_path / "f.csv", index=False)
    train = ["train", str(tmp_path / "f.csv"), "--target", "y", "--drop", "f2", "--epochs", "1",
             "--preset", "plain", "--quiet", "--out", str(tmp_path / "c.safetensors")]  # fmt: skip
    assert main(train) == 0
    loaded = TabularRegressor.load(tmp_path / "c.safetensors")  # its file has no order of columns
    with pytest.raises(ValueError, match="the data are an array, whose columns have no names"):
        loaded.predict(frame.to_numpy()[:, 1:])


def test_an_error_leaves_a_fitted_estimator_as_it_was():
    found = regressor(max_iter=2).fit(FRAME, PRICE)
    before = found.predict(FRAME)
    with pytest.raises(ValueError, match="NaN"):
        found.fit(FRAME[["city"]], np.full(N, np.nan))
    assert np.array_equal(found.predict(FRAME), before)


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_an_interrupted_fit_leaves_a_fitted_estimator_as_it_was(kind, monkeypatch):
    found = kind(1, hidden_layer_sizes=(8,), max_iter=2, random_state=0).fit(FRAME, SORT == "low")
    before = dict(vars(found))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "fit_many", interrupt)
    with pytest.raises(KeyboardInterrupt):
        found.fit(FRAME[["city"]], np.arange(N) % 3)
    assert vars(found) == before


def test_an_error_leaves_a_fitted_encoder_as_it_was():
    found = TableEncoder().fit(FRAME)
    before = dict(vars(found))
    with pytest.raises(ValueError, match="cannot be inputs"):
        found.fit(pd.DataFrame({"z": [1j, 2j]}))
    assert vars(found) == before


def test_the_defaults_are_those_of_the_recipe():
    for kind in (TabularClassifier, TabularRegressor):
        assert settings_of(kind()) == Settings()
        assert kind().n_nets == ensemble.N_NETS
