"""fastnn.sklearn: estimators that replace scikit-learn's MLPs, with the same model for a seed.

Proves that the estimators pass scikit-learn's checks and, in place of its MLPs, scikit-learn's
tests; that weights and losses equal scikit-learn's up to rounding; what the additional parameters
do; and that the estimators work in pipelines, searches and other tools. Runs on scikit-learn 1.6
and newer.

Not here: arithmetic (test_gradients.py, test_optimizers.py) and timing (bench/estimators.py).
"""

import ast
import contextlib
import copy
import importlib
import inspect
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, log_loss, mean_pinball_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils import compute_sample_weight
from sklearn.utils.estimator_checks import check_estimator

import fastnn
from fastnn import Activation, Adagrad, Callback, Huber, Quantile
from fastnn import sklearn as ours
from fastnn.sklearn import MLPClassifier, MLPRegressor, base
from fastnn.sklearn.parameters import REGRESSION_LOSSES

NAMES = ["MLPClassifier", "MLPRegressor"]
DIGITS, DIGIT = load_digits(return_X_y=True)
DIGITS, DIGIT = DIGITS[:400] / 16, DIGIT[:400]
PATIENTS, COURSE = (scale(array) for array in load_diabetes(return_X_y=True))
TUMOURS, BENIGN = scale(load_breast_cancer().data), load_breast_cancer().target
COUNTS = np.random.default_rng(0).poisson(np.exp(0.5 * COURSE))
WEIGHTS = np.random.default_rng(1).uniform(0.1, 1.0, 2000)
MODERN = "sample_weight" in inspect.signature(theirs.MLPRegressor.fit).parameters  # 1.7 and newer

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # What scikit-learn before 1.8 asks of SciPy.
    pytest.mark.filterwarnings("ignore:.*`disp` and `iprint` options:DeprecationWarning"),
]


# ---- scikit-learn's own proofs ------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_scikit_learns_checks_pass(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    assert len(results) > 50
    assert [r for r in results if r["status"] not in ("passed", "skipped")] == []
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= {
        "check_array_api_input",  # needs SCIPY_ARRAY_API
        "check_classifiers_multilabel_output_format_decision_function",  # MLPs have none
    }


#: Tests of scikit-learn's MLPs that reach into its private methods, and how.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs with lists of scikit-learn's own scratch arrays"
}

SWAP = """
import sklearn.neural_network, fastnn.sklearn
sklearn.neural_network.MLPClassifier = fastnn.sklearn.MLPClassifier
sklearn.neural_network.MLPRegressor = fastnn.sklearn.MLPRegressor
"""


def test_scikit_learns_tests_of_its_own_mlps_pass(tmp_path):
    (tmp_path / "swap.py").write_text(SWAP)
    tests = Path(sklearn.__file__).parent / "neural_network" / "tests" / "test_mlp.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "swap", "-p", "no:cacheprovider",
               "-c", os.devnull, "--rootdir", str(tmp_path), "--junit-xml",
               str(tmp_path / "results.xml"), str(tests)]  # fmt: skip
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    cases = ET.parse(tmp_path / "results.xml").getroot().iter("testcase")
    results = {case.get("name"): {child.tag for child in case} for case in cases}
    failed = [name for name, tags in results.items() if tags & {"failure", "error"}]
    assert len(results) > 50, run.stdout
    assert failed == list(PRIVATE), run.stdout
    assert not any("skipped" in tags for tags in results.values())


# ---- the same parameters, the same model --------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_scikit_learns_in_its_order_with_its_defaults(name):
    known = inspect.signature(getattr(theirs, name)).parameters
    mine = inspect.signature(getattr(ours, name)).parameters
    if not MODERN:  # where the regressor has no loss yet
        mine = {key: value for key, value in mine.items() if key in known or key != "loss"}
    for ours_, theirs_ in zip(mine.values(), known.values(), strict=False):
        assert (ours_.name, ours_.default, ours_.kind) == (
            theirs_.name, theirs_.default, theirs_.kind)  # fmt: skip
    more = [mine[key] for key in mine if key not in known]
    assert {p.kind for p in more} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_documented_and_validated_in_the_order_of_the_signature(name):
    estimator = getattr(ours, name)
    parameters = inspect.signature(estimator).parameters
    section = estimator.__doc__.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^(\w+) : .+, (?:default (.+)|optional)$", section, re.MULTILINE)
    assert [entry for entry, _ in entries] == list(parameters)
    for (_, default), parameter in zip(entries, parameters.values(), strict=True):
        assert parameter.default == (ast.literal_eval(default) if default else None)
        assert parameter.annotation is not parameter.empty
    assert list(estimator._parameter_constraints) == list(parameters)
    assert estimator().get_params() == {p.name: p.default for p in parameters.values()}


def test_estimators_are_at_their_public_path():
    for name in ours.__all__:
        estimator = getattr(ours, name)
        assert (estimator.__module__, estimator.__qualname__) == ("fastnn.sklearn", name)
    for estimator in (ours.TableEncoder, *(getattr(ours, name) for name in NAMES)):
        assert type(pickle.loads(pickle.dumps(estimator()))) is estimator


PROBLEMS = {
    "ten classes": ("MLPClassifier", DIGITS, DIGIT, {}),
    "two classes": ("MLPClassifier", DIGITS, np.array(["low", "high"])[(DIGIT > 4) * 1], {}),
    "labels": ("MLPClassifier", DIGITS, np.c_[DIGIT > 4, DIGIT % 2 == 0].astype(int), {}),
    "one target": ("MLPRegressor", PATIENTS, COURSE, {}),
    "two targets": ("MLPRegressor", PATIENTS, np.c_[COURSE, COURSE**2], {}),
    "counts": ("MLPRegressor", PATIENTS, COUNTS, {"loss": "poisson"}),
}
WAYS = [
    {},
    {"solver": "sgd", "learning_rate_init": 0.01},
    {"solver": "sgd", "momentum": 0.0, "power_t": 0.3, "learning_rate": "invscaling"},
    {"solver": "sgd", "nesterovs_momentum": False, "batch_size": 50},
    {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05, "tol": 1e-2,
     "n_iter_no_change": 2},
    {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 3},
    {"early_stopping": True, "solver": "sgd", "tol": 0.1, "learning_rate": "adaptive",
     "n_iter_no_change": 1},
    {"activation": "logistic", "alpha": 0.1, "batch_size": 37, "epsilon": 1e-3},
    {"activation": "tanh", "shuffle": False, "hidden_layer_sizes": (20, 10), "beta_1": 0.5},
    {"activation": "identity", "hidden_layer_sizes": 7, "tol": 0.5, "n_iter_no_change": 1},
    {"activation": "logistic", "hidden_layer_sizes": ()},
    {"solver": "sgd", "momentum": 1, "learning_rate_init": 1e-4, "batch_size": np.int16(50)},
    {"epsilon": 1e-300, "max_iter": np.int64(5)},
    {"solver": "lbfgs", "max_iter": 12, "alpha": 0.1},
]  # fmt: skip


def pair(problem, **options):
    """Return scikit-learn's estimator and ours, and the data."""
    name, X, y, more = PROBLEMS[problem]
    if more and not MODERN:
        pytest.skip("scikit-learn before 1.7 has no such loss")
    if y.dtype.kind == "U" and options.get("early_stopping") and sklearn.__version__ < "1.9":
        y = (y == "high") * 1  # scikit-learn before 1.9 cannot score text
    options = {"max_iter": 15, "random_state": 3, **more, **options}
    return getattr(theirs, name)(**options), getattr(ours, name)(**options), X, y


def parameters(estimator):
    return [*estimator.coefs_, *estimator.intercepts_]


def assert_same_weights(one, other, tolerance=1e-10):
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_same_seed_gives_scikit_learns_model(problem, options):
    known, mine, X, y = pair(problem, **options)
    known.fit(X, y)
    mine.fit(X, y)
    if problem == "two targets" and options.get("solver") == "lbfgs":
        # There scikit-learn minimizes one function by the gradient of another, twice as large.
        assert mine.loss_ <= known.loss_ * 1.01
        return
    assert_same_weights(known, mine)
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_",
                 "best_validation_score_"):  # fmt: skip
        expected = getattr(known, name, None)
        if expected is None:
            assert getattr(mine, name, None) is None
        else:
            assert getattr(mine, name) == pytest.approx(expected, rel=0, abs=1e-10)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(known, name)
    if isinstance(mine, MLPRegressor):
        np.testing.assert_allclose(mine.predict(X), known.predict(X), rtol=0, atol=1e-9)
    else:
        assert mine.predict(X).tolist() == known.predict(X).tolist()
        np.testing.assert_allclose(mine.predict_proba(X), known.predict_proba(X), atol=1e-10)
        np.testing.assert_allclose(mine.predict_log_proba(X), known.predict_log_proba(X), rtol=1e-9)
        assert mine.classes_.tolist() == known.classes_.tolist()
    public = {name for name in vars(known) if name.endswith("_") and not name.startswith("_")}
    assert {name for name in public if not hasattr(mine, name)} == set()


@pytest.mark.skipif(not MODERN, reason="scikit-learn before 1.7 knows no weights here")
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_weighted_rows_give_scikit_learns_model(problem, solver):
    known, mine, X, y = pair(problem, solver=solver, tol=0, n_iter_no_change=100, alpha=0.1)
    known.fit(X, y, sample_weight=WEIGHTS[: len(y)])
    mine.fit(X, y, sample_weight=WEIGHTS[: len(y)])
    if problem != "two targets" or solver != "lbfgs":
        assert_same_weights(known, mine)


@pytest.mark.skipif(not MODERN, reason="scikit-learn before 1.7 knows no weights here")
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_weighted_rows_end_a_training_where_scikit_learn_does(problem, options):
    known, mine, X, y = pair(problem, max_iter=300, batch_size=37, alpha=0.1, tol=1e-3, **options)
    weight = np.random.default_rng(0).exponential(1.0, len(y)) ** 2
    for estimator in (known, mine):
        estimator.fit(X, y, sample_weight=weight)
    assert mine.n_iter_ == known.n_iter_
    assert mine.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-9)
    assert_same_weights(known, mine, 1e-7)  # rounding grows over hundreds of epochs


@pytest.mark.parametrize("problem", ["two targets", "counts", "ten classes"])
def test_batches_whose_rows_have_no_weight_teach_nothing(problem):
    _, mine, X, y = pair(problem, shuffle=False, batch_size=100, solver="sgd", max_iter=1)
    weight = np.r_[np.zeros(100), np.linspace(1, 2, len(y) - 100)]
    without = clone(mine).fit(X[100:], y[100:], sample_weight=weight[100:])
    mine.fit(X, y, sample_weight=weight)
    assert_same_weights(mine, without)
    assert mine.loss_ == pytest.approx(without.loss_ * (len(y) - 100) / len(y))


#: Values that scikit-learn takes, at the ends of their ranges and of unusual types.
TAKEN = {
    "momentum": [0, 1, np.float32(0.5)],
    "alpha": [0, 5e-324],
    "learning_rate_init": [1e-300, np.float32(0.01)],
    "power_t": [0, 3],
    "tol": [0, 1e300],
    "beta_1": [0, np.nextafter(1, 0)],
    "beta_2": [0, np.nextafter(1, 0)],
    "epsilon": [5e-324, 1e300, 1],
    "n_iter_no_change": [1, 10**30, np.inf, True],
    "max_iter": [True, np.int8(2)],
    "batch_size": [1, True, 10**30],
    "hidden_layer_sizes": [[], 5, np.int64(5), np.array([5, 4]), range(3, 5), (np.int8(4),)],
    "shuffle": [np.bool_(False)],
    "warm_start": [np.bool_(True)],
    "nesterovs_momentum": [np.bool_(False)],
    "early_stopping": [np.bool_(True)],
    "random_state": [np.int64(3), 2**32 - 1],
}


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("name", TAKEN)
def test_every_value_that_scikit_learn_takes(name, solver):
    for value in TAKEN[name]:
        options = {"max_iter": 3, "random_state": 0, "learning_rate": "invscaling", name: value}
        known, mine = (
            module.MLPClassifier(solver=solver, **options).fit(DIGITS[:99], DIGIT[:99])
            for module in (theirs, ours)
        )
        assert_same_weights(known, mine, 1e-8)
        assert mine.n_iter_ == known.n_iter_


@pytest.mark.parametrize("sizes", [[5.0], [[3, 4]], True, [True], np.array([5.0])], ids=str)
def test_units_that_are_not_integers(sizes):
    with pytest.raises(TypeError, match="hidden_layer_sizes must be integers, got "):
        MLPClassifier(hidden_layer_sizes=sizes).fit(DIGITS, DIGIT)


@pytest.mark.parametrize("name", ["alpha", "learning_rate_init"])
def test_numbers_beyond_float32_are_named(name):
    with pytest.raises(ValueError, match=rf"{name} must be at most 3\.4e\+38, got 1e\+300"):
        MLPClassifier(**{name: 1e300}).fit(DIGITS, DIGIT)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_partial_fits_and_warm_starts_go_on_as_scikit_learns(problem):
    known, mine, X, y = pair(problem, solver="sgd", learning_rate="invscaling")
    classes = {"classes": np.unique(y)} if isinstance(mine, MLPClassifier) else {}
    for rows in (slice(0, 200), slice(200, None), slice(100, 300)):
        for estimator in (known, mine):
            estimator.partial_fit(X[rows], y[rows], **classes)
        assert mine.t_ == known.t_
        assert mine.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-10)
    assert_same_weights(known, mine)
    known, mine, X, y = pair(problem, warm_start=True, max_iter=4)
    for _ in range(3):
        for estimator in (known, mine):
            estimator.fit(X, y)
        assert mine.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-10)
        assert (mine.n_iter_, mine.t_) == (known.n_iter_, known.t_)
    assert_same_weights(known, mine)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("problem", ["two targets", "ten classes"])
def test_partial_fits_use_the_current_alpha(problem, solver):
    known, mine, X, y = pair(problem, solver=solver)
    classes = {"classes": np.unique(y)} if isinstance(mine, MLPClassifier) else {}
    net = mine.partial_fit(X, y, **classes).net_
    known.partial_fit(X, y, **classes)
    for alpha in (30.0, 0.0, 3.0):
        for estimator in (known, mine):
            estimator.set_params(alpha=alpha).partial_fit(X, y)
    assert mine.net_ is net
    assert mine.loss_curve_ == pytest.approx(known.loss_curve_, rel=1e-10)
    assert_same_weights(known, mine)


WARM_STARTS = [
    ({"early_stopping": True}, {"early_stopping": False}),
    ({}, {"early_stopping": True}),
    ({"solver": "lbfgs"}, {"solver": "adam"}),
    ({"solver": "lbfgs"}, {"solver": "sgd", "early_stopping": True}),
    ({"early_stopping": True}, {"solver": "lbfgs"}),
]


@pytest.mark.parametrize(("first", "second"), WARM_STARTS, ids=str)
def test_warm_starts_may_change_how_a_training_ends(first, second):
    """scikit-learn fails at most of these."""
    mine = MLPClassifier(warm_start=True, max_iter=4, random_state=0, **first).fit(DIGITS, DIGIT)
    scores = len(mine.validation_scores_ or ()) if "early_stopping" in first else 0
    mine.set_params(**second).fit(DIGITS, DIGIT)
    assert mine.n_iter_ == 4
    if mine.solver != "lbfgs":
        assert len(mine.validation_scores_ or ()) == (4 if mine.early_stopping else 0)
        assert (mine.best_loss_ is None) == mine.early_stopping
    else:
        assert scores == 4


def test_warm_starts_keep_the_best_weights_of_the_fit_before():
    """scikit-learn's own updates change the arrays that it keeps as the best ones."""
    mine = MLPClassifier(warm_start=True, early_stopping=True, max_iter=60, random_state=0)
    best = mine.fit(DIGITS, DIGIT).coefs_
    mine.set_params(learning_rate_init=0.3, max_iter=4).fit(DIGITS, DIGIT)
    assert mine.validation_scores_[-1] < mine.best_validation_score_
    for a, b in zip(mine.coefs_, best, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(("sizes", "y"), [((7,), COURSE), ((100,), np.c_[COURSE, COURSE])], ids=str)
def test_warm_starts_need_weights_of_the_same_shapes(sizes, y):
    mine = MLPRegressor(warm_start=True, max_iter=2).fit(PATIENTS, COURSE)
    before = mine.predict(PATIENTS)
    with pytest.raises(ValueError, match=r"warm_start=True would start from weights of .* need"):
        mine.set_params(hidden_layer_sizes=sizes).fit(PATIENTS, y)
    assert np.array_equal(mine.predict(PATIENTS).ravel(), before)


def test_labels_of_one_class_and_of_many_kinds():
    names = DIGIT.astype(str)
    for y in (np.full(400, "only"), names, names.astype(object), DIGIT + 0.0, (DIGIT > 4),
              np.where(DIGIT > 4, 3, -1)):  # fmt: skip
        known, mine = (
            module.MLPClassifier(max_iter=3, random_state=0).fit(DIGITS, y)
            for module in (theirs, ours)
        )
        assert mine.predict(DIGITS).tolist() == known.predict(DIGITS).tolist()
        assert mine.predict(DIGITS).dtype == known.predict(DIGITS).dtype
        assert mine.predict_proba(DIGITS).shape == known.predict_proba(DIGITS).shape


@pytest.mark.parametrize("dtype", ["M8[D]", "M8[ns]", "m8[s]", "longdouble"])
def test_labels_that_no_network_keeps_stay_with_the_estimator(dtype):
    y = DIGIT.astype(dtype)
    options = {"hidden_layer_sizes": 4, "max_iter": 2, "random_state": 0}
    known, mine = (module.MLPClassifier(**options).fit(DIGITS, y) for module in (theirs, ours))
    assert np.array_equal(mine.predict(DIGITS), known.predict(DIGITS))
    assert mine.predict(DIGITS).dtype == y.dtype
    if y.dtype.kind in "mM":  # on some platforms a longdouble is a float64
        assert mine.net_.classes is None
        assert fastnn.from_sklearn(known).classes is None
    ensemble = ours.MLPEnsembleClassifier(n_members=2, **options).fit(DIGITS, y)
    assert ensemble.predict(DIGITS).dtype == y.dtype
    mine = ours.MLPClassifier(**options).partial_fit(DIGITS, y, classes=np.unique(y))
    assert mine.predict(DIGITS).dtype == y.dtype


def test_a_missing_label_is_named():
    y = np.where(DIGIT > 4, "high", "low").astype(object)
    y[3] = None
    with pytest.raises(ValueError, match=r"^y\[3\] is None, which is not a label"):
        ours.MLPClassifier(4).fit(DIGITS, y)


def test_scores_of_one_class_are_those_of_predictions():
    y = np.full(400, 7)  # scikit-learn before 1.7 can't stop early on labels that are strings
    options = {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 9, "random_state": 0}
    known, mine = (module.MLPClassifier(4, **options).fit(DIGITS, y) for module in (theirs, ours))
    assert mine.validation_scores_ == known.validation_scores_
    assert mine.n_iter_ == known.n_iter_
    options = {"hidden_layer_sizes": 4, "max_iter": 1, "random_state": 0}
    ensemble = ours.MLPEnsembleClassifier(n_members=30, bootstrap=True, oob_score=True, **options)
    assert ensemble.fit(DIGITS, np.full(400, "only")).oob_score_ == 1.0


def test_an_error_of_a_callback_leaves_a_partial_fit_undone():
    class Fail(Callback):
        def on_train_batch_end(self, batch, logs):
            if batch == 2:
                raise RuntimeError("the callback failed")

    mine = ours.MLPClassifier(4, batch_size=20, random_state=0)
    mine.partial_fit(DIGITS, DIGIT, classes=range(10))
    before, weights = mine.predict_proba(DIGITS), mine.coefs_
    mine.set_params(callbacks=[Fail()])
    with pytest.raises(RuntimeError, match="the callback failed"):
        mine.partial_fit(DIGITS, DIGIT)
    assert np.array_equal(mine.predict_proba(DIGITS), before)
    for shown, of_net, old in zip(mine.coefs_, mine.net_.get_weights()[::2], weights, strict=True):
        assert np.array_equal(shown, of_net)
        assert np.array_equal(shown, old)


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_first_partial_fit_that_fails_keeps_no_classes(warm_start):
    mine = ours.MLPClassifier(4, warm_start=warm_start, max_iter=2)
    with pytest.raises(ValueError, match="NaN"):
        mine.partial_fit(np.full((2, 3), np.nan), [0, 1], classes=[0, 1, 2])
    assert not hasattr(mine, "classes_")
    mine.partial_fit(DIGITS, DIGIT > 4, classes=[False, True])
    assert mine.classes_.tolist() == [False, True]


def output_of(module, options, capsys, **fit):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.MLPClassifier(random_state=0, **options).fit(DIGITS, DIGIT, **fit)
    return capsys.readouterr().out, [(w.category, str(w.message)) for w in caught]


@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 3, "verbose": True},
        {"max_iter": 9, "verbose": True, "tol": 1.0, "n_iter_no_change": 2},
        {"max_iter": 9, "verbose": 10, "early_stopping": True, "tol": 1.0, "n_iter_no_change": 1},
        {"max_iter": 40, "verbose": True, "solver": "sgd", "learning_rate": "adaptive",
         "learning_rate_init": 1e-5, "tol": 9.0, "n_iter_no_change": 1},
        {"max_iter": 2, "batch_size": 10**6},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_printed_and_warned_is_scikit_learns(options, capsys):
    assert output_of(ours, options, capsys) == output_of(theirs, options, capsys)


UNFIT = {
    "a parameter": ({"alpha": -1.0}, {}),
    "a solver": ({"solver": "newton"}, {}),
    "units": ({"hidden_layer_sizes": (10, 0)}, {}),
    "no rows": ({}, {"X": np.empty((0, 64)), "y": []}),
    "NaN": ({}, {"X": np.full((4, 64), np.nan), "y": [0, 1, 0, 1]}),
    "lengths": ({}, {"X": DIGITS[:5], "y": DIGIT[:4]}),
    "text": ({}, {"X": [["a"]], "y": [1]}),
    "validation": ({"early_stopping": True}, {"X": DIGITS[:3], "y": [0, 1, 1]}),
    "real classes": ({}, {"X": DIGITS[:3], "y": [0.1, 0.2, 0.3]}),
}


@pytest.mark.parametrize("case", UNFIT)
def test_errors_are_scikit_learns(case):
    options, data = UNFIT[case]
    messages = []
    for module in (theirs, ours):
        with pytest.raises((ValueError, TypeError)) as caught:
            module.MLPClassifier(**options).fit(**{"X": DIGITS, "y": DIGIT, **data})
        message = re.sub(r"\{.*\}", "", str(caught.value))  # sets, in any order
        messages.append((type(caught.value).__name__, message))
    assert messages[0] == messages[1]


def test_predicting_is_refused_as_scikit_learn_does():
    with pytest.raises(NotFittedError, match="This MLPClassifier instance is not fitted yet"):
        MLPClassifier().predict(DIGITS)
    mine, known = (m.MLPRegressor(max_iter=2).fit(PATIENTS, COURSE) for m in (ours, theirs))
    for X in (PATIENTS[:, :3], PATIENTS[0], np.full((1, 10), np.inf), np.empty((0, 10)), [["a"]]):
        messages = []
        for estimator in (mine, known):
            with pytest.raises((ValueError, TypeError)) as caught:
                estimator.predict(X)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    frame = pd.DataFrame(PATIENTS, columns=[f"c{i}" for i in range(10)])
    mine.fit(frame, COURSE)
    assert mine.feature_names_in_.tolist() == list(frame)
    assert mine.net_.feature_names == tuple(frame)
    with pytest.raises(ValueError, match="feature names should match"):
        mine.predict(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        mine.predict(PATIENTS)


def test_there_is_no_partial_fit_with_lbfgs():
    for estimator in (MLPClassifier(solver="lbfgs"), MLPRegressor(solver="lbfgs")):
        with pytest.raises(AttributeError):
            estimator.partial_fit  # noqa: B018
    assert hasattr(MLPRegressor(solver="lbfgs", optimizer="adam"), "partial_fit")


# ---- weights ------------------------------------------------------------------------------------


def test_weights_can_be_set_before_a_fit():
    known, mine, X, y = pair("one target", warm_start=True, max_iter=5)
    start = theirs.MLPRegressor(random_state=8, max_iter=1).fit(X, y)
    known.fit(X, y)
    mine.coefs_, mine.intercepts_ = copy.deepcopy([start.coefs_, start.intercepts_])
    known.coefs_, known.intercepts_ = start.coefs_, start.intercepts_
    known.random_state = np.random.RandomState(0)
    known.fit(X, y)
    mine.random_state = np.random.RandomState(0)
    mine.fit(X, y)
    assert_same_weights(known, mine)


def test_a_fit_from_weights_that_were_set_learns_the_columns():
    frame = pd.DataFrame(PATIENTS, columns=list("abcdefghij"))
    source = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(frame, COURSE)
    for name in ("fit", "partial_fit"):
        mine = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, warm_start=True)
        mine.coefs_, mine.intercepts_ = source.coefs_, source.intercepts_
        getattr(mine, name)(frame, COURSE)
        assert mine.n_features_in_ == 10
        with pytest.raises(ValueError, match="feature names should match"):
            mine.predict(frame[frame.columns[::-1]])


def test_weights_set_before_a_fit_are_copied():
    source = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(PATIENTS, COURSE)
    mine = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, warm_start=True, random_state=0)
    mine.coefs_, mine.intercepts_ = source.coefs_, source.intercepts_
    twins = [pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine), copy.copy(mine)]
    mine.fit(PATIENTS, COURSE)
    for twin in twins:
        assert_same_weights(mine, twin.fit(PATIENTS, COURSE))


@pytest.mark.parametrize("assigned", ["lists", "item", "before the first fit"])
def test_a_fit_from_new_weights_does_not_use_those_that_were_set(assigned):
    fresh = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    mine = clone(fresh)
    fresh.fit(PATIENTS, COURSE)
    if assigned != "before the first fit":
        mine.fit(PATIENTS, COURSE)
    if assigned == "item":
        mine.intercepts_[0] = np.ones(3)
    else:
        mine.coefs_ = [np.ones((10, 3)), np.ones((3, 1))]
        mine.intercepts_ = [np.ones(3), np.ones(1)]
    mine.fit(PATIENTS, COURSE)
    assert mine.loss_curve_ == fresh.loss_curve_
    assert_same_weights(fresh, mine)
    mine.coefs_ = [w / 2 for w in mine.coefs_]  # of another shape than the next fit needs
    assert mine.set_params(hidden_layer_sizes=(7,)).fit(PATIENTS, COURSE).coefs_[0].shape == (10, 7)


def test_the_network_has_the_weights_that_were_set():
    mine = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(PATIENTS, COURSE)
    mine.coefs_ = [np.zeros_like(w) for w in mine.coefs_]
    assert not any(w.any() for w in mine.net_.get_weights()[::2])
    mine.intercepts_[1] = np.ones(1)
    assert np.array_equal(mine.net_.predict(PATIENTS), np.ones((len(PATIENTS), 1)))
    mine.net_.fit(PATIENTS, COURSE)  # and the other way round
    for shown, of_net in zip(mine.coefs_, mine.net_.get_weights()[::2], strict=True):
        assert np.array_equal(shown, of_net)
    mine.coefs_ = [np.zeros((9, 3)), np.zeros((3, 1))]
    with pytest.raises(ValueError, match=r"weights\[0\] has shape \(9, 3\)"):
        mine.net_  # noqa: B018
    with pytest.raises(AttributeError, match="no network yet"):
        MLPRegressor().net_  # noqa: B018


def test_weights_that_are_set_are_used_and_those_read_cannot_be_changed_in_place():
    mine = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(PATIENTS, COURSE)
    with pytest.raises(ValueError, match="read-only"):
        mine.coefs_[0] *= 2
    before = mine.predict(PATIENTS)
    mine.intercepts_[1] = mine.intercepts_[1] + 1
    np.testing.assert_allclose(mine.predict(PATIENTS), before + 1, atol=1e-12)
    mine.coefs_ = [np.zeros((10, 3)), np.zeros((3, 1))]
    np.testing.assert_allclose(mine.predict(PATIENTS), mine.intercepts_[1].item())
    twin = pickle.loads(pickle.dumps(mine))
    assert np.array_equal(twin.predict(PATIENTS), mine.predict(PATIENTS))
    mine.coefs_ = [np.zeros((9, 3)), np.zeros((3, 1))]
    with pytest.raises(ValueError, match=r"weights\[0\] has shape \(9, 3\)"):
        mine.predict(PATIENTS)
    with pytest.raises(AttributeError, match="no weights yet"):
        MLPRegressor().coefs_  # noqa: B018


# ---- what scikit-learn lacks --------------------------------------------------------------------


def test_validation_rows_of_ones_own():
    half = len(DIGITS) // 2
    mine = MLPClassifier(max_iter=20, random_state=0)
    mine.fit(DIGITS[:half], DIGIT[:half], X_val=DIGITS[half:], y_val=DIGIT[half:])
    assert len(mine.validation_loss_curve_) == mine.n_iter_ == 20
    expected = log_loss(DIGIT[half:], mine.predict_proba(DIGITS[half:]))
    penalty = 0.5 * mine.alpha * sum((w**2).sum() for w in mine.coefs_) / half
    assert mine.validation_loss_curve_[-1] == pytest.approx(expected + penalty, rel=1e-6)
    stopping = MLPClassifier(max_iter=20, random_state=0, early_stopping=True)
    stopping.fit(DIGITS[:half], DIGIT[:half], X_val=DIGITS[half:], y_val=DIGIT[half:])
    scores = stopping.validation_scores_
    assert stopping.score(DIGITS[half:], DIGIT[half:]) == max(scores)
    assert stopping.loss_curve_ == mine.loss_curve_  # no row is held out
    assert MLPClassifier(max_iter=1).fit(DIGITS, DIGIT).validation_loss_curve_ is None
    with pytest.raises(ValueError, match="solver='lbfgs' does not support validation rows"):
        MLPClassifier(solver="lbfgs").fit(DIGITS, DIGIT, X_val=DIGITS, y_val=DIGIT)
    with pytest.raises(ValueError, match="X_val and y_val go together"):
        mine.fit(DIGITS, DIGIT, X_val=DIGITS)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        mine.fit(DIGITS, DIGIT, X_val=DIGITS, y_val=DIGIT + 7)


@pytest.mark.parametrize("kind", [MLPRegressor, ours.MLPEnsembleRegressor])
def test_one_validation_row_has_no_r2_to_stop_by(kind):
    """All scores would be NaN, and the weights the initial ones."""
    rows = {"X_val": PATIENTS[:1], "y_val": COURSE[:1]}
    with pytest.raises(ValueError, match=r"X_val has 1 row, .* needs 2 or more rows"):
        kind(hidden_layer_sizes=4, max_iter=1, early_stopping=True).fit(PATIENTS, COURSE, **rows)
    mine = kind(hidden_layer_sizes=4, max_iter=1).fit(PATIENTS, COURSE, **rows)
    assert np.isfinite(mine.predict(PATIENTS)).all()


def test_classes_have_weights():
    rare = np.flatnonzero((BENIGN == 1) | (np.arange(len(BENIGN)) % 12 == 0))
    X, y = TUMOURS[rare], np.array(["bad", "fine"])[BENIGN[rare]]
    by_hand = MLPClassifier(random_state=0, max_iter=20)
    by_hand.fit(X, y, sample_weight=compute_sample_weight("balanced", y))
    weighted = MLPClassifier(random_state=0, max_iter=20, class_weight="balanced").fit(X, y)
    assert_same_weights(by_hand, weighted, 0)
    fixed = MLPClassifier(random_state=0, class_weight={"bad": 9.0})
    fixed.partial_fit(X, y, classes=["bad", "fine"])
    twin = MLPClassifier(random_state=0)
    twin.partial_fit(X, y, np.where(y == "bad", 9.0, 1.0), classes=["bad", "fine"])
    assert_same_weights(fixed, twin, 0)
    with pytest.raises(ValueError, match="not supported for partial_fit"):
        weighted.partial_fit(X, y)


@pytest.mark.parametrize(
    ("weight", "error"), [(-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError),
                          ("2", TypeError), (None, TypeError)]
)  # fmt: skip
def test_a_class_weight_that_is_no_weight_is_named(weight, error):
    options = {"max_iter": 1, "class_weight": {0: 2.0, 1: weight}}
    y = DIGIT % 2
    fits = {
        "fit": lambda: MLPClassifier(4, **options).fit(DIGITS, y),
        "partial_fit": lambda: MLPClassifier(4, **options).partial_fit(DIGITS, y, classes=[0, 1]),
        "lbfgs": lambda: MLPClassifier(4, solver="lbfgs", **options).fit(DIGITS, y),
        "ensemble": lambda: ours.MLPEnsembleClassifier(4, n_members=2, **options).fit(DIGITS, y),
        "table": lambda: ours.TabularClassifier(n_nets=1, **options).fit(DIGITS, y),
        "groups": lambda: ours.MLPByGroup(0, MLPClassifier(4, **options)).fit(DIGITS, y),
        "search": lambda: ours.MLPSearchCV(
            MLPClassifier(4, **options), {"alpha": [0.0]}, cv=2, error_score="raise"
        ).fit(DIGITS, y),
    }
    for fit in fits.values():
        with pytest.raises(error, match=r"class_weight\[1\] must be .*; got"):
            fit()


@pytest.mark.parametrize("labels", [["a", "b", "c"], [0, 1, 2], [-1.0, 0.0, 7.0], [1, 0]], ids=str)
def test_classes_have_weights_in_batches_that_lack_some_of_them(labels):
    classes = np.unique(labels)
    X, y = DIGITS[:150], classes[DIGIT[:150] % len(classes)]
    rare = classes[1].item()
    weighted = MLPClassifier(random_state=0, class_weight={rare: 5.0})
    twin = MLPClassifier(random_state=0)
    for rows in (y == y, y != rare, y == rare):
        weighted.partial_fit(X[rows], list(y[rows]), classes=classes)
        weights = np.where(y[rows] == rare, 5.0, 1.0)
        twin.partial_fit(X[rows], y[rows], weights, classes=classes)
    assert_same_weights(weighted, twin, 0)
    unknown = MLPClassifier(class_weight={"unknown": 5.0})
    with pytest.raises(ValueError, match="not in class_weight"):
        unknown.partial_fit(X, y, classes=classes)


def test_layers_have_activations_and_dropout_of_their_own():
    mine = MLPClassifier((30, 20, 10), ["gelu", "tanh", Activation("elu", 0.5)],
                         dropout=[0.1, 0.0, 0.3], max_iter=30, random_state=0)  # fmt: skip
    mine.fit(DIGITS, DIGIT)
    kinds = [str(layer.activation) for layer in mine.net_.dense]
    assert kinds == ["gelu", "tanh", "elu(0.5)", "softmax"]
    assert mine.net_.dropout_rates == pytest.approx((0.0, 0.1, 0.0, 0.3))
    assert mine.loss_ < 0.8 * mine.loss_curve_[0]
    twin = clone(mine).fit(DIGITS, DIGIT)
    assert_same_weights(mine, twin, 0)
    other = clone(mine).set_params(random_state=1).fit(DIGITS, DIGIT)
    assert other.loss_ != mine.loss_
    for options in ({"activation": ["tanh", "relu"]}, {"dropout": [0.1, 0.2]}):
        with pytest.raises(ValueError, match="has 2 items for 1 hidden layer"):
            MLPClassifier(hidden_layer_sizes=5, **options).fit(DIGITS, DIGIT)
    with pytest.raises(ValueError, match=r"dropout\[1\] must be at least 0 and below 1; got 1"):
        MLPClassifier((5, 5), dropout=[0.1, 1.0]).fit(DIGITS, DIGIT)


@pytest.mark.parametrize("loss", [fastnn.LinearLoss(), fastnn.GaussianNLL()])
@pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
def test_a_loss_whose_outputs_do_not_predict_targets_is_refused(kind, loss):
    with pytest.raises(ValueError, match=r"is not for outputs that predict y.*; use "):
        kind(loss=loss).fit(DIGITS, DIGIT % 2)
    assert not {"linear", "gaussian_nll"} & set(REGRESSION_LOSSES)


def test_an_optimizer_takes_the_place_of_lbfgs():
    mine = MLPClassifier(solver="lbfgs", optimizer="adam", max_iter=5, random_state=0)
    mine.fit(DIGITS, DIGIT)
    assert mine.best_loss_ == min(mine.loss_curve_)
    assert_same_weights(mine, clone(mine).set_params(solver="adam").fit(DIGITS, DIGIT), 0)


@pytest.mark.parametrize("loss", [*REGRESSION_LOSSES, Huber(0.5), Quantile(0.8)], ids=str)
def test_every_loss_for_numbers(loss):
    y = COUNTS if loss == "poisson" else COURSE
    mine = MLPRegressor(loss, 20, max_iter=100, learning_rate_init=0.01, random_state=0)
    mine.fit(PATIENTS, y)
    assert mine.loss_ < 0.8 * mine.loss_curve_[0]
    assert mine.predict(PATIENTS).shape == (442,)
    if isinstance(loss, Quantile):
        below = (mine.predict(PATIENTS) >= COURSE).mean()
        assert 0.7 < below < 0.9
        penalty = 0.5 * mine.alpha * sum((w**2).sum() for w in mine.coefs_) / 442
        now = mean_pinball_loss(COURSE, mine.predict(PATIENTS), alpha=0.8) + penalty
        assert mine.net_.evaluate(PATIENTS, COURSE) == pytest.approx(now, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "huber", "absolute_error"])
@pytest.mark.parametrize("problem", ["ten classes", "two classes", "labels"])
def test_other_losses_for_classes(loss, problem):
    _, X, y, _ = PROBLEMS[problem]
    mine = MLPClassifier(loss=loss, learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, y)
    assert mine.net_.loss.name == loss
    assert accuracy_score(y, mine.predict(X)) > 0.8
    early = clone(mine).set_params(early_stopping=True).fit(X, y)
    assert early.best_validation_score_ > 0.6


@pytest.mark.parametrize("optimizer", [*fastnn.optimizers.NAMES, fastnn.RMSProp(0.003, 0.8)],
                         ids=str)  # fmt: skip
def test_every_optimizer(optimizer):
    mine = MLPClassifier(optimizer=optimizer, learning_rate_init=0.003, max_iter=40, random_state=0)
    mine.fit(DIGITS, DIGIT)
    assert mine.loss_ < 0.95 * mine.loss_curve_[0]
    name = optimizer if isinstance(optimizer, str) else optimizer.name
    assert (mine.net_.optimizer.name, mine.net_.learning_rate) == (name, 0.003)


UNSUITED = {
    "two classes": ("cross_entropy", DIGIT > 4, "sigmoid for this y; use 'log_loss'"),
    "more classes": ("binary_cross_entropy", DIGIT, "softmax for this y; use 'log_loss'"),
    "counts": (fastnn.Poisson(), DIGIT, "softmax for this y; use 'log_loss'"),
    "numbers": (
        fastnn.CrossEntropy(),
        DIGIT + 0.5,
        "use a regression loss such as 'squared_error'",
    ),
}


@pytest.mark.parametrize("case", UNSUITED)
def test_losses_that_the_targets_rule_out_are_named_with_those_they_allow(case):
    loss, y, remedy = UNSUITED[case]
    estimator = MLPRegressor if case == "numbers" else MLPClassifier
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'loss={loss!r} needs outputs of')}.*{remedy}"
    ):
        estimator(loss=loss).fit(DIGITS, y)


#: Fits that end in an error, of which some learn the classes or make a network first.
FAILING = {
    "NaN": ({}, DIGITS * np.nan, DIGIT, "Input X contains NaN"),
    "a parameter": ({"activation": ["relu", "tanh"]}, DIGITS, DIGIT % 2, "activation has 2 items"),
    "class weights": ({"class_weight": {77: 2.0}}, DIGITS, DIGIT % 2, "not in class_weight"),
    "class weights of labels": (
        {"class_weight": {0: 1.0, 1: 2.0}},
        DIGITS,
        np.eye(3)[DIGIT % 3],
        "rows of y have several labels.*use class_weight='balanced'",
    ),
    "lbfgs": ({"solver": "lbfgs", "dropout": 0.5}, DIGITS, DIGIT % 2, "does not support dropout"),
    "rows to hold out": ({"early_stopping": True}, DIGITS[:3], DIGIT[:3], "set is too small"),
    "weights": ({}, DIGITS, DIGIT % 2, "Input sample_weight contains NaN"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_fit_that_fails_at_once_leaves_the_estimator_as_it_was(case):
    options, X, y, message = FAILING[case]
    weight = np.full(len(y), np.nan) if case == "weights" else None
    mine = MLPClassifier(9, max_iter=3, random_state=0).fit(DIGITS, DIGIT)
    before, expected = dict(vars(mine)), mine.predict_proba(DIGITS)
    known = {name: getattr(mine, name) for name in ("classes_", "n_iter_", "t_", "loss_curve_")}
    known = copy.deepcopy(known)
    mine.set_params(**options)
    with pytest.raises(ValueError, match=message):
        mine.fit(X, y, sample_weight=weight)
    assert vars(mine).keys() == before.keys()
    assert np.array_equal(mine.predict_proba(DIGITS), expected)
    for name, value in known.items():
        assert np.array_equal(getattr(mine, name), value)


def test_targets_that_the_loss_refuses_leave_the_estimator_as_it_was():
    mine = MLPRegressor(max_iter=3, random_state=0).fit(PATIENTS, COURSE)
    expected = mine.predict(PATIENTS)
    with pytest.raises(ValueError, match="y must be 0 or more for loss 'poisson'"):
        mine.set_params(loss="poisson").fit(PATIENTS, COURSE)
    assert np.array_equal(mine.predict(PATIENTS), expected)
    assert mine.out_activation_ == "identity"
    assert not hasattr(clone(mine), "n_iter_")


def test_decay_and_clipping():
    decayed = MLPClassifier(weight_decay=1.0, clipnorm=0.5, max_iter=5).fit(DIGITS, DIGIT)
    rule = decayed.net_.optimizer
    assert (rule.name, rule.weight_decay, rule.clipnorm) == ("adamw", 1.0, 0.5)
    for name, value in (("dropout", 0.5), ("clipnorm", 1.0),
                        ("callbacks", [Callback()])):  # fmt: skip
        with pytest.raises(ValueError, match=f"solver='lbfgs' does not support {name}"):
            MLPClassifier(solver="lbfgs", **{name: value}).fit(DIGITS, DIGIT)
    with pytest.raises(ValueError, match=r"weight_decay=0\.1 needs a stochastic solver"):
        MLPClassifier(solver="lbfgs", weight_decay=0.1).fit(DIGITS, DIGIT)


@pytest.mark.parametrize("options", [{"solver": "sgd"}, {"optimizer": Adagrad(0.01)}])
def test_weight_decay_of_any_optimizer(options):
    plain, decayed = (
        MLPRegressor(weight_decay=decay, max_iter=5, random_state=0, **options).fit(DIGITS, DIGIT)
        for decay in (0.0, 10.0)
    )
    assert decayed.net_.optimizer.weight_decay == 10.0
    assert np.linalg.norm(decayed.coefs_[0]) < np.linalg.norm(plain.coefs_[0])


def test_callbacks_hear_of_epochs_and_may_end_them():
    class Ends(Callback):
        heard = ()

        def on_epoch_end(self, epoch, logs):
            Ends.heard = (*Ends.heard, sorted(logs))
            self.model.stop_training = epoch == 2

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a callback that ends a fit causes no ConvergenceWarning
        mine = MLPClassifier(callbacks=[Ends()], early_stopping=True).fit(DIGITS, DIGIT)
    assert mine.n_iter_ == len(mine.loss_curve_) == 3
    assert Ends.heard == (["loss", "val_loss"],) * 3
    with pytest.raises(TypeError, match=r"callbacks\[0\] must be a Callback; got 1"):
        MLPClassifier(callbacks=[1]).fit(DIGITS, DIGIT)


def test_callbacks_are_numbered_as_in_the_list(tmp_path):
    logs = [fastnn.CSVLogger(tmp_path / "log") for _ in range(2)]
    with pytest.raises(ValueError, match=r"callbacks\[0\] \(CSVLogger\) and callbacks\[1\]"):
        MLPClassifier(callbacks=logs).fit(DIGITS, DIGIT)


@pytest.mark.parametrize("name", NAMES)
def test_precision_is_that_of_the_rows_or_the_one_asked_for(name):
    for given, asked, used in (("f4", None, "f4"), ("f8", None, "f8"), ("f8", "float32", "f4"),
                               ("f4", np.float64, "f8"), ("i8", None, "f8")):  # fmt: skip
        X = DIGITS.astype(given)
        mine = getattr(ours, name)(max_iter=2, dtype=asked).fit(X, DIGIT)
        assert {w.dtype for w in parameters(mine)} == {np.dtype(used)}
        if name == "MLPRegressor":
            assert mine.predict(X).dtype == used


def test_threads_do_not_change_a_bit():
    found = [
        MLPClassifier((200, 100), max_iter=3, random_state=0, n_threads=n).fit(DIGITS, DIGIT)
        for n in (1, 2, None)
    ]
    for other in found[1:]:
        assert_same_weights(found[0], other, 0)


def test_ctrl_c_keeps_what_was_learned():
    class Interrupted(Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 3:
                raise KeyboardInterrupt

    mine = MLPClassifier(callbacks=[Interrupted()], random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        mine.fit(DIGITS, DIGIT)
    assert mine.n_iter_ == 4
    assert mine.predict(DIGITS).shape == (400,)


def test_a_loss_that_is_not_finite():
    mine = MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity")
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights") as caught:
        mine.fit(PATIENTS, COURSE)
    assert "the loss became" in str(caught.value.__cause__)
    assert "the network is dropped" in str(caught.value.__cause__)
    mine.set_params(early_stopping=True, max_iter=1, learning_rate_init=1e30, batch_size=20)
    with pytest.warns(ConvergenceWarning, match="in epoch 1, .* are the initial ones") as caught:
        mine.fit(PATIENTS, COURSE)
    assert len(caught) == 1  # none on max_iter
    assert np.isnan(mine.validation_scores_[-1])
    assert np.isfinite(mine.predict(PATIENTS)).all()
    mine.set_params(warm_start=True, learning_rate_init=1e-5).fit(PATIENTS, COURSE / 100)
    mine.set_params(learning_rate_init=1e30)
    with pytest.warns(ConvergenceWarning, match="those of the best validation score"):
        mine.fit(PATIENTS, COURSE / 100)


def test_targets_whose_loss_is_infinite():
    """All weights are finite, so scikit-learn's message would be wrong."""
    with pytest.raises(ValueError, match=r"y holds numbers up to .*e\+20., whose squares are too"):
        MLPRegressor(random_state=0).fit(PATIENTS, 1e200 * COURSE)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("callbacks", [None, [Callback()]])
def test_a_fit_whose_loss_is_not_finite_changes_no_attribute(warm_start, callbacks):
    options = {"max_iter": 2, "random_state": 0, "batch_size": 50}
    mine = MLPRegressor(solver="sgd", warm_start=warm_start, callbacks=callbacks, **options)
    mine.fit(PATIENTS, COURSE / 100)
    mine.set_params(learning_rate_init=1e20, max_iter=20)
    before, predicted = dict(vars(mine)), mine.predict(PATIENTS)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        mine.fit(PATIENTS, COURSE / 100)
    assert vars(mine).keys() == before.keys()
    assert all(vars(mine)[name] is before[name] for name in before)
    assert np.array_equal(mine.predict(PATIENTS), predicted)
    mine.set_params(learning_rate_init=1e-3).fit(PATIENTS, COURSE / 100)


# ---- sparse rows --------------------------------------------------------------------------------


def test_lbfgs_on_sparse_rows_of_which_many_have_no_weight(rng):
    """Sparse rows are made dense in blocks, and here the first block has no weight."""
    X = scipy.sparse.random_array((9000, 5), density=0.3, format="csr", rng=rng)
    weight, y = np.ones(9000), np.asarray(X.sum(axis=1)).ravel()
    weight[:8192] = 0
    options = {"hidden_layer_sizes": (4,), "solver": "lbfgs", "max_iter": 20, "random_state": 0}
    sparse = MLPRegressor(**options).fit(X, y, weight)
    dense = MLPRegressor(**options).fit(X.toarray(), y, weight)
    assert_same_weights(dense, sparse, 1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_class_weights_that_leave_no_row_are_named(solver):
    """The message was about sample_weight, and L-BFGS had divided by 0 before."""
    mine = MLPClassifier(5, solver=solver, max_iter=3, class_weight={0: 0, 1: 0})
    with pytest.raises(ValueError, match="weights of all rows are 0; give some classes or rows"):
        mine.fit(DIGITS, DIGIT % 2)
    several = ours.MLPByGroup(None, mine.set_params(solver="adam"))
    with pytest.raises(ValueError, match="weights of all rows are 0"):
        several.fit(DIGITS, DIGIT % 2, groups=DIGIT % 3)


@pytest.mark.parametrize(("scale", "words"), [
    ((1e30, 1), "Solver produced non-finite parameter weights"),
    ((1, 1e25), "y holds numbers up to .*, whose squares are too large for float32; scale y"),
    ((1e18, 1e25), "y holds numbers up to"),
])  # fmt: skip
def test_lbfgs_on_too_large_numbers_raises_the_error_of_the_other_solvers(rng, scale, words):
    """The loss was infinite without an error, or the error was about an argument `weights`."""
    X = rng.normal(size=(200, 5)).astype(np.float32)
    mine = MLPRegressor(hidden_layer_sizes=10, solver="lbfgs", max_iter=30, random_state=0)
    mine.fit(X, X[:, 0])
    before = dict(vars(mine))
    with pytest.raises(ValueError, match=words), np.errstate(all="ignore"):
        mine.fit(X * np.float32(scale[0]), X[:, 0] * np.float32(scale[1]))
    assert all(vars(mine)[name] is before[name] for name in before)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_rows_give_the_model_of_dense_ones(kind, solver):
    dense, sparse = (MLPClassifier(solver=solver, max_iter=5, random_state=0, early_stopping=True)
                     for _ in range(2))  # fmt: skip
    dense.fit(DIGITS, DIGIT, sample_weight=WEIGHTS[:400])
    sparse.fit(kind(DIGITS), DIGIT, sample_weight=WEIGHTS[:400])
    assert_same_weights(dense, sparse, 1e-12 if solver == "lbfgs" else 0)
    assert np.array_equal(dense.predict_proba(DIGITS), sparse.predict_proba(kind(DIGITS)))


@pytest.mark.parametrize("alpha", [0.0, 1e-2])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_wide_sparse_rows_give_the_bits_of_dense_ones(solver, alpha):
    """Few of their columns are used by a batch, and with a penalty all weights change."""
    X = scipy.sparse.random_array((90, 900), density=5e-3, format="csr", rng=0)
    y = np.arange(90) % 3
    models = [MLPClassifier((9,), solver=solver, alpha=alpha, batch_size=8, max_iter=3, tol=0,
                            random_state=0) for _ in range(2)]  # fmt: skip
    for model, rows in zip(models, (X, X.toarray()), strict=True):
        model.fit(rows, y)
        model.partial_fit(rows[:20], y[:20])
    assert_same_weights(*models, 0)
    assert models[0].loss_curve_ == models[1].loss_curve_


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_rows_are_never_all_dense(solver):
    """60,000 x 2,000 numbers would take 960 MB if they were dense."""
    X = scipy.sparse.random_array((60_000, 2_000), density=1e-3, format="csr", rng=0)
    y = (X @ np.ones(2_000) > 1).astype(int)
    mine = MLPClassifier(5, solver=solver, max_iter=1, early_stopping=solver == "adam")
    tracemalloc.start()
    mine.fit(X, y)
    mine.predict(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300e6


# ---- where its users put them -------------------------------------------------------------------


def test_in_pipelines_and_searches():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MLPClassifier(max_iter=60, random_state=0)),
        {"mlpclassifier__hidden_layer_sizes": [(5,), (40,)], "mlpclassifier__dropout": [0.0, 0.2]},
        cv=3,
    ).fit(DIGITS, DIGIT)
    assert search.best_score_ > 0.8
    assert search.best_params_["mlpclassifier__hidden_layer_sizes"] == (40,)


#: Options as grids made with NumPy hold them: scalars of np.str_, np.int64, np.float64, np.bool_.
OPTIONS = {
    "activation": np.array(["logistic", "tanh", "gelu"]),
    "solver": np.array(["sgd", "adam", "lbfgs"]),
    "learning_rate": np.array(["constant", "invscaling", "adaptive"]),
    "loss": np.array(["log_loss", "squared_error"]),
    "class_weight": np.array(["balanced"]),
    "dtype": np.array(["float32", "float64"]),
    "hidden_layer_sizes": np.arange(3, 6),
    "batch_size": np.arange(20, 60, 20),
    "max_iter": np.arange(2, 4),
    "n_threads": np.array([1, 2]),
    "random_state": np.arange(3),
    "alpha": np.logspace(-4, -1, 3),
    "learning_rate_init": np.logspace(-3, -2, 3),
    "momentum": np.linspace(0, 1, 3),
    "dropout": np.array([0.0, 0.2]),
    "clipnorm": np.array([0.5, 5.0]),
    "weight_decay": np.array([0.0, 0.1]),
    "nesterovs_momentum": np.array([True, False]),
    "shuffle": np.array([True, False]),
    "early_stopping": np.array([True, False]),
}


def assert_plain_values_give_the_same_model(estimator):
    """Compare a fit by NumPy's scalars with one by Python's, which `item` returns."""
    options = estimator.get_params()
    scalars = {name: value for name, value in options.items() if isinstance(value, np.generic)}
    plain = type(estimator)(**{**options, **{name: v.item() for name, v in scalars.items()}})
    assert len(scalars) > 0
    assert_same_weights(plain.fit(DIGITS[:99], DIGIT[:99]), estimator, 0)


@pytest.mark.parametrize("name", OPTIONS)
def test_grids_of_numpy_arrays(name):
    """Stands for grids written with NumPy and for TPOT, whose options are NumPy's scalars."""
    search = GridSearchCV(MLPClassifier(4, max_iter=2, random_state=0), {name: OPTIONS[name]},
                          cv=2, error_score="raise").fit(DIGITS[:99], DIGIT[:99])  # fmt: skip
    assert type(search.best_params_[name]) is type(OPTIONS[name][0])
    assert_plain_values_give_the_same_model(search.best_estimator_)


def test_randomized_searches_of_numpy_arrays():
    """Stands for TPOT, which draws all options of a model at once from arrays of NumPy."""
    options = {**OPTIONS, "solver": np.array(["sgd", "adam"]), "weight_decay": np.zeros(1)}
    search = RandomizedSearchCV(MLPClassifier(), options, n_iter=8, cv=2, random_state=0,
                                error_score="raise").fit(DIGITS[:99], DIGIT[:99])  # fmt: skip
    assert_plain_values_give_the_same_model(search.best_estimator_)
    optimizers = {
        "optimizer": np.array(fastnn.optimizers.NAMES),
        "loss": np.array(REGRESSION_LOSSES),
    }
    search = RandomizedSearchCV(MLPRegressor(4, max_iter=2, random_state=0), optimizers, n_iter=8,
                                cv=2, random_state=0, error_score="raise")  # fmt: skip
    search.fit(DIGITS[:99], DIGIT[:99])
    assert_plain_values_give_the_same_model(search.best_estimator_)


def test_in_halving_searches_of_epochs():
    search = HalvingGridSearchCV(
        MLPClassifier(random_state=0),
        {"learning_rate_init": [1e-5, 1e-2], "alpha": [1e-4, 1e-2]},
        resource="max_iter", min_resources=3, max_resources=30, cv=3, random_state=0,
    ).fit(DIGITS, DIGIT)  # fmt: skip
    assert search.best_params_["learning_rate_init"] == 1e-2


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_in_parallel(backend):
    joblib = importlib.import_module("joblib")
    mine = MLPClassifier(max_iter=10, random_state=0)
    expected = cross_val_score(mine, DIGITS, DIGIT, cv=4)
    with joblib.parallel_config(backend):
        found = cross_val_score(mine, DIGITS, DIGIT, cv=4, n_jobs=2)
    assert found.tolist() == expected.tolist()


@pytest.fixture
def threads_of_jobs(monkeypatch):
    """A function that runs a search of two jobs and returns the numbers of threads of its fits."""
    loky = importlib.import_module("joblib").externals.loky
    for name in [name for name in os.environ if name.endswith("_NUM_THREADS")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # whatever this machine has

    def threads(estimator, X, y):
        """Return the number of threads that fit in this process: the caller and fastnn's own."""
        names = []
        for path in Path("/proc/self/task").glob("*/comm"):
            with contextlib.suppress(OSError):  # some thread has just ended
                names.append(path.read_text())
        return 1 + names.count("fastnn\n")

    def process(estimator, X, y):
        return os.getpid()

    def run(**options):
        X = np.random.default_rng(0).standard_normal((400, 200))
        mine = MLPClassifier((256, 256), max_iter=2, random_state=0, **options)
        search = GridSearchCV(mine, {"alpha": [1e-4, 1e-3, 1e-2]}, n_jobs=2, cv=4, refit=False,
                              scoring={"threads": threads, "process": process})  # fmt: skip
        loky.get_reusable_executor().shutdown()  # other tests' processes have threads
        search.fit(X, (X[:, :3] > 0).sum(axis=1))
        results = search.cv_results_
        counts, processes = (np.stack([results[f"split{i}_test_{name}"] for i in range(4)])
                             for name in ("threads", "process"))  # fmt: skip
        assert len(set(processes.ravel())) <= 2
        return set(counts.ravel())

    yield run
    loky.get_reusable_executor().shutdown()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_search_of_two_jobs_keeps_two_threads_busy(threads_of_jobs):
    """On two CPUs each job takes one thread, though a fit may take two."""
    assert threads_of_jobs() == {1}
    assert threads_of_jobs(n_threads=2) == {2}


def test_calibrated_and_inspected():
    mine = MLPClassifier(max_iter=30, random_state=0)
    calibrated = CalibratedClassifierCV(mine, cv=3).fit(TUMOURS, BENIGN)
    assert calibrated.score(TUMOURS, BENIGN) > 0.95
    found = permutation_importance(mine.fit(PATIENTS, COURSE > 0), PATIENTS, COURSE > 0,
                                   n_repeats=2, random_state=0)  # fmt: skip
    assert found.importances_mean.argmax() in (2, 8)  # body mass index, a blood value


def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        mine = MLPRegressor(max_iter=5, random_state=0).set_fit_request(sample_weight=True)
        mine.set_score_request(sample_weight=False)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), mine)
        pipeline.fit(PATIENTS, COURSE, sample_weight=WEIGHTS[:442])
        search = GridSearchCV(mine, {"alpha": [0.1]}, cv=2)
        search.fit(PATIENTS, COURSE, sample_weight=WEIGHTS[:442])
    expected = MLPRegressor(max_iter=5, random_state=0)
    expected.fit(StandardScaler().fit_transform(PATIENTS), COURSE, sample_weight=WEIGHTS[:442])
    assert_same_weights(pipeline[-1], expected, 0)


def test_clones_and_pickles():
    mine = MLPClassifier(max_iter=5, random_state=0, optimizer=fastnn.Adam(0.01), dropout=0.1)
    mine.fit(DIGITS, DIGIT)
    twin = pickle.loads(pickle.dumps(mine))
    for estimator in (mine, twin):
        estimator.partial_fit(DIGITS, DIGIT)
    assert_same_weights(mine, twin, 0)
    assert repr(clone(mine)) == repr(mine)
    assert not hasattr(clone(mine), "net_")


def test_the_network_is_there_to_be_saved(tmp_path):
    mine = MLPClassifier(max_iter=5).fit(DIGITS, DIGIT.astype(str))
    mine.net_.save(tmp_path / "net")
    net = fastnn.load(tmp_path / "net")
    assert np.array_equal(net.predict(DIGITS), mine.predict_proba(DIGITS))
    assert net.classes == tuple(mine.classes_.tolist())


def test_one_row_is_predicted_without_slow_checks(monkeypatch):
    mine = MLPClassifier(max_iter=2).fit(DIGITS, DIGIT)
    expected = mine.predict(DIGITS)
    monkeypatch.setattr(base, "checked_inputs", None)
    assert mine.predict(DIGITS[:1]) == expected[:1]


def test_a_missing_scikit_learn_is_named():
    code = "import sys; sys.modules['sklearn.base'] = None; import fastnn.sklearn"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: fastnn.sklearn needs scikit-learn 1.6 or newer" in run.stderr
    assert "pip install 'scikit-learn>=1.6'" in run.stderr


WARNINGS = {
    "epochs": ({"max_iter": 2}, COURSE, ConvergenceWarning, r"Maximum iterations \(2\) reached"),
    "iterations": ({"solver": "lbfgs", "max_iter": 2}, COURSE, ConvergenceWarning,
                   r"lbfgs failed to converge after 2 iteration\(s\) \(status=1\)"),
    "rows": ({"batch_size": 999, "tol": 9, "n_iter_no_change": 1}, COURSE, UserWarning,
             "Got `batch_size` less than 1"),
    "a column": ({"tol": 9, "n_iter_no_change": 1}, COURSE[:, None], DataConversionWarning,
                 "A column-vector y was passed when a 1d array was expected"),
}  # fmt: skip


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", WARNINGS)
def test_warnings_show_the_users_line_and_belong_to_scikit_learn(case):
    """Filters that a program has for scikit-learn's MLPs apply to ours, too."""
    options, y, category, message = WARNINGS[case]
    pipeline = make_pipeline(StandardScaler(), MLPRegressor(**options))
    with pytest.warns(category, match=message) as caught:
        pipeline.fit(PATIENTS, y)
    assert [Path(warning.filename) for warning in caught] == [Path(__file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=category, module="sklearn")
        pipeline.fit(PATIENTS, y)


def test_parameters_of_a_subclass_are_those_of_its_own_signature():
    class Short(MLPRegressor):
        def __init__(self, alpha=0.5):
            super().__init__(alpha=alpha)

    assert set(MLPRegressor().get_params()) == set(inspect.signature(MLPRegressor).parameters)
    assert Short().get_params() == {"alpha": 0.5}
    assert clone(Short(0.25)).alpha == 0.25
    assert len(MLPRegressor().get_params()) > 1
