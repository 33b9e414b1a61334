"""fastnn.sklearn: estimators of many networks, each of which is what its own fit gives.

Proves that members of ensembles, candidates of searches and networks of groups have the bits of an
estimator fitted by itself, what is made of their predictions, and scikit-learn's conventions. Not
here: one estimator (test_sklearn.py), `fit_many` itself (test_many.py).
"""

import _thread
import copy
import inspect
import pickle
import re
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale
from sklearn.utils.estimator_checks import check_estimator

from fastnn import Callback, CSVLogger, Status
from fastnn import sklearn as ours
from fastnn.sklearn import (
    MLPByGroup,
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    MLPSearchCV,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PATIENTS, COURSE = (scale(array) for array in load_diabetes(return_X_y=True))
FLOWERS, KIND = load_iris(return_X_y=True)
FLOWERS = scale(FLOWERS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KIND]
SEVERAL, LABELS = make_multilabel_classification(n_samples=90, n_classes=4, random_state=0)
WEIGHTS = np.random.default_rng(1).uniform(0.1, 1.0, 500)


def bits(estimator):
    return [array.tobytes() for array in estimator.net_.get_weights()]


def check(estimator):
    """Run scikit-learn's checks; return the names of those that neither pass nor are skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None)
    assert len(results) > 50
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= {
        "check_array_api_input",  # needs SCIPY_ARRAY_API
        "check_classifiers_multilabel_output_format_decision_function",  # MLPs have none
    }
    return [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")]


# ---- ensembles ----------------------------------------------------------------------------------

ENSEMBLES = {
    "numbers": (MLPEnsembleRegressor, {}, PATIENTS, COURSE),
    "two targets": (MLPEnsembleRegressor, {}, PATIENTS, np.c_[COURSE, COURSE**2]),
    "counts": (MLPEnsembleRegressor, {"loss": "poisson"}, PATIENTS, np.round(np.exp(COURSE))),
    "ten classes": (MLPEnsembleClassifier, {}, FLOWERS, NAMES),
    "two classes": (MLPEnsembleClassifier, {"class_weight": "balanced"}, FLOWERS, KIND == 1),
    "labels": (MLPEnsembleClassifier, {}, SEVERAL, LABELS),
    "squared": (MLPEnsembleClassifier, {"loss": "squared_error"}, FLOWERS, KIND),
}
WAYS = [
    {},
    {"early_stopping": True},
    {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.01, "n_iter_no_change": 2},
    {"dropout": 0.2, "shuffle": False, "dtype": "float32", "optimizer": "rmsprop"},
]
SMALL = {"n_members": 3, "hidden_layer_sizes": (9, 5), "max_iter": 25, "learning_rate_init": 0.01,
         "random_state": 3}  # fmt: skip


@pytest.mark.parametrize("kind", [MLPEnsembleClassifier, MLPEnsembleRegressor])
def test_scikit_learns_checks_pass(kind):
    assert check(kind(n_members=2, max_iter=50)) == []


@pytest.mark.parametrize("name", ["Classifier", "Regressor"])
def test_an_ensemble_has_the_parameters_of_its_members_first(name):
    of_member = inspect.signature(getattr(ours, f"MLP{name}")).parameters
    of_ensemble = inspect.signature(getattr(ours, f"MLPEnsemble{name}")).parameters
    n = len(of_member)
    assert list(of_ensemble.values())[:n] == list(of_member.values())
    more = list(of_ensemble.values())[n:]
    assert [p.name for p in more] == ["n_members", "bootstrap", "oob_score"]
    assert {p.kind for p in more} == {inspect.Parameter.KEYWORD_ONLY}
    doc = getattr(ours, f"MLPEnsemble{name}").__doc__
    section = doc.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^(\w+) : .+, (?:default (.+)|optional)$", section, re.MULTILINE)
    of_lbfgs = {"max_fun"}  # the solver "lbfgs" is not available
    assert [entry for entry, _ in entries] == [p for p in of_ensemble if p not in of_lbfgs]
    assert '"lbfgs"' not in section


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("problem", ENSEMBLES)
def test_a_member_is_what_its_own_fit_gives(problem, options):
    kind, more, X, y = ENSEMBLES[problem]
    ensemble = kind(**{**SMALL, **options, **more}).fit(X, y)
    seeds = [member.random_state for member in ensemble.estimators_]
    assert len(set(seeds)) == len(ensemble.fits_) == 3
    for member, net in zip(ensemble.estimators_, ensemble.fits_, strict=True):
        alone = clone(member).fit(X, y)
        assert type(member) in (MLPClassifier, MLPRegressor)
        assert bits(member) == bits(alone)
        assert member.net_ is net
        for name in ("loss_curve_", "validation_scores_", "n_iter_", "best_loss_", "t_"):
            assert getattr(member, name) == getattr(alone, name)
    assert ensemble.n_iter_ == max(member.n_iter_ for member in ensemble.estimators_)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("problem", ["numbers", "two targets", "ten classes"])
def test_members_of_bootstrap_rows_stop_by_the_rows_they_did_not_draw(problem, options, weights):
    kind, more, X, y = ENSEMBLES[problem]
    weights = None if weights is None else weights[: len(X)]
    ensemble = kind(bootstrap=True, **{**SMALL, **options, **more}).fit(X, y, weights)
    drawn = ensemble.estimators_samples_
    assert len({rows.tobytes() for rows in drawn}) == 3
    for member, rows in zip(ensemble.estimators_, drawn, strict=True):
        left = np.setdiff1d(np.arange(len(X)), rows)
        validation = {"X_val": X[left], "y_val": y[left]} if options else {}
        part = None if weights is None else weights[rows]
        alone = clone(member).fit(X[rows], y[rows], part, **validation)
        assert member.loss_curve_ == alone.loss_curve_
        if weights is None:  # otherwise the score of the rows left has their weights
            assert bits(member) == bits(alone)
            assert member.validation_scores_ == alone.validation_scores_


def test_members_may_share_validation_rows():
    kind, _, X, y = ENSEMBLES["numbers"]
    ensemble = kind(early_stopping=True, **SMALL).fit(
        X[:300], y[:300], X_val=X[300:], y_val=y[300:]
    )
    alone = clone(ensemble.estimators_[1]).fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:])
    assert bits(ensemble.estimators_[1]) == bits(alone)


@pytest.mark.parametrize("problem", ENSEMBLES)
def test_predictions_are_the_mean_of_the_members(problem):
    kind, more, X, y = ENSEMBLES[problem]
    ensemble = kind(**SMALL, **more).fit(X, y)
    if kind is MLPEnsembleRegressor:
        each = np.stack([member.predict(X) for member in ensemble.estimators_])
        assert np.allclose(ensemble.predict(X), each.mean(axis=0), rtol=1e-14)
        mean, std = ensemble.predict(X, return_std=True)
        assert np.array_equal(mean, ensemble.predict(X))
        assert np.allclose(std, each.std(axis=0), rtol=1e-9)
        quantiles = ensemble.predict_quantiles(X, [0, 0.3, 1])
        assert np.array_equal(quantiles, np.quantile(each, [0, 0.3, 1], axis=0))
        assert ensemble.score(X, y) == r2_score(y, ensemble.predict(X))
    else:
        each = np.stack([member.predict_proba(X) for member in ensemble.estimators_])
        mean = each.mean(axis=0)
        assert np.allclose(ensemble.predict_proba(X), mean, rtol=1e-12)
        if problem != "labels":
            assert np.array_equal(ensemble.predict(X), ensemble.classes_[mean.argmax(axis=1)])
        else:
            assert np.array_equal(ensemble.predict(X), mean > 0.5)


@pytest.mark.parametrize("problem", ENSEMBLES)
def test_predictions_of_a_row_do_not_depend_on_other_rows(problem):
    kind, more, X, y = ENSEMBLES[problem]
    ensemble = kind(**{**SMALL, "n_members": 12, "max_iter": 2}, **more).fit(X, y)
    if kind is MLPEnsembleRegressor:
        methods = [ensemble.predict, lambda rows: ensemble.predict(rows, return_std=True)[1]]
    else:
        methods = [ensemble.predict_proba]
    for method in methods:
        alone = np.concatenate([method(X[i : i + 1]) for i in range(20)])
        assert np.array_equal(method(X[:20]), alone)


def test_long_tables_are_predicted_in_parts():
    kind, _, X, y = ENSEMBLES["numbers"]
    ensemble = kind(**SMALL).fit(X, y)
    many = np.tile(X, (12, 1))
    mean, std = ensemble.predict(many, return_std=True)
    one = ensemble.predict(X, return_std=True)
    assert np.array_equal(mean, np.tile(one[0], 12))
    assert np.array_equal(std, np.tile(one[1], 12))
    assert ensemble.predict_quantiles(many).shape == (3, len(many))


@pytest.mark.filterwarnings("ignore:.*rows were drawn by every network")
@pytest.mark.parametrize("problem", ENSEMBLES)
def test_out_of_bag_predictions_are_those_of_members_that_did_not_see_the_row(problem):
    kind, more, X, y = ENSEMBLES[problem]
    ensemble = kind(bootstrap=True, oob_score=True, **{**SMALL, "n_members": 12}, **more).fit(X, y)
    is_regressor = kind is MLPEnsembleRegressor
    found = ensemble.oob_prediction_ if is_regressor else ensemble.oob_decision_function_
    predict = "predict" if is_regressor else "predict_proba"
    expected = []
    for i in range(len(X)):
        own = [getattr(member, predict)(X[i : i + 1])[0]
               for member, rows in zip(ensemble.estimators_, ensemble.estimators_samples_,
                                       strict=True) if i not in rows]  # fmt: skip
        expected.append(np.mean(own, axis=0) if own else np.full(found.shape[1:], np.nan))
    assert np.allclose(found, expected, rtol=1e-9, equal_nan=True)
    known = ~np.isnan(found).reshape(len(X), -1).any(axis=1)
    if is_regressor:
        assert ensemble.oob_score_ == pytest.approx(r2_score(y[known], found[known]))
    elif problem != "labels":
        labels = ensemble.classes_[found[known].argmax(axis=1)]
        assert ensemble.oob_score_ == accuracy_score(y[known], labels)


@pytest.mark.filterwarnings("ignore:.*rows were drawn by every network")
def test_the_out_of_bag_score_counts_sample_weights():
    options = {"bootstrap": True, "oob_score": True, **SMALL, "n_members": 12}
    weight = WEIGHTS[: len(COURSE)] * (np.arange(len(COURSE)) % 3 > 0)
    y = np.where(weight > 0, COURSE, 1e3)
    ensemble = MLPEnsembleRegressor(**options).fit(PATIENTS, y, weight)
    known = ~np.isnan(ensemble.oob_prediction_)
    expected = r2_score(y[known], ensemble.oob_prediction_[known], sample_weight=weight[known])
    assert ensemble.oob_score_ == pytest.approx(expected)
    weight = WEIGHTS[: len(KIND)]
    for class_weight in (None, {0: 9.0}):
        classifier = MLPEnsembleClassifier(class_weight=class_weight, **options)
        classifier.fit(FLOWERS, KIND, weight)
        found = classifier.oob_decision_function_
        known = ~np.isnan(found[:, 0])
        right = found[known].argmax(axis=1) == KIND[known]
        assert 0 < right.mean() < 1
        assert classifier.oob_score_ == pytest.approx(np.average(right, weights=weight[known]))


def test_without_weight_on_rows_out_of_bag_there_is_no_score():
    options = {"bootstrap": True, "oob_score": True, **SMALL, "n_members": 1}
    alone = MLPEnsembleRegressor(**options)
    with pytest.warns(UserWarning, match="rows were drawn by every network"):
        (drawn,) = alone.fit(PATIENTS, COURSE).estimators_samples_
    weight = np.isin(np.arange(len(COURSE)), drawn).astype(float)
    with pytest.warns(UserWarning, match="rows were drawn by every network"):
        alone.fit(PATIENTS, COURSE, weight)
    assert np.isnan(alone.oob_score_)


def test_rows_that_every_member_drew_have_no_out_of_bag_prediction():
    with pytest.warns(UserWarning, match="rows were drawn by every network"):
        ensemble = MLPEnsembleRegressor(bootstrap=True, oob_score=True, **SMALL).fit(
            PATIENTS, COURSE
        )
    drawn_by_all = set.intersection(*(set(rows) for rows in ensemble.estimators_samples_))
    assert set(np.flatnonzero(np.isnan(ensemble.oob_prediction_))) == drawn_by_all


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs' trains one network at a time.*sklearn's BaggingReg"),
        ({"oob_score": True}, "oob_score=True needs bootstrap=True"),
        ({"n_members": 0}, "n_members"),
        ({"bootstrap": 1}, "bootstrap"),
        ({"loss": "binary_cross_entropy"}, "loss"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes must be > 0"),
        ({"learning_rate_init": 1e9, "solver": "sgd", "loss": "squared_error"}, "non-finite"),
    ],
)
def test_bad_arguments_leave_an_ensemble_as_it_was(options, message):
    ensemble = MLPEnsembleRegressor(**SMALL).fit(PATIENTS, COURSE)
    before = ensemble.predict(PATIENTS)
    ensemble.set_params(**options)
    with pytest.raises(ValueError, match=message):
        ensemble.fit(PATIENTS[:, :5], COURSE)
    assert np.array_equal(ensemble.predict(PATIENTS), before)


def test_too_few_rows_to_stop_by_are_named():
    ensemble = MLPEnsembleRegressor(bootstrap=True, early_stopping=True)
    with pytest.raises(ValueError, match=r"bootstrap=True leaves . of 2 rows for the early"):
        ensemble.fit(PATIENTS[:2], COURSE[:2])


def test_ensembles_are_refused_until_they_are_fitted():
    for call in ("predict", "predict_quantiles"):
        with pytest.raises(NotFittedError):
            getattr(MLPEnsembleRegressor(), call)(PATIENTS)
    ensemble = MLPEnsembleRegressor(**SMALL).fit(PATIENTS, COURSE)
    with pytest.raises(ValueError, match="quantiles must be numbers from 0 to 1"):
        ensemble.predict_quantiles(PATIENTS, [0.5, 50])


@pytest.mark.parametrize("problem", ["numbers", "ten classes"])
def test_warm_starts_train_members_further_and_add_new_ones(problem):
    kind, _, X, y = ENSEMBLES[problem]
    options = {**SMALL, "max_iter": 5, "tol": 0, "n_iter_no_change": 99}
    ensemble = kind(warm_start=True, **options).fit(X, y)
    first = [(clone(member), bits(member)) for member in ensemble.estimators_]
    ensemble.set_params(n_members=5).fit(X, y)
    assert len(ensemble.estimators_) == len(ensemble.fits_) == 5
    for i, member in enumerate(ensemble.estimators_):
        alone = clone(member).fit(X, y)
        if i < 3:
            assert bits(alone) == first[i][1]
            alone.fit(X, y)
        assert bits(member) == bits(alone)
        assert len(member.loss_curve_) == (10 if i < 3 else 5)


@pytest.mark.parametrize("seed", [1, None])
def test_warm_starts_draw_the_same_rows_again(seed):
    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(60, 30)), rng.integers(0, 2, 60)
    options = {**SMALL, "n_members": 20, "bootstrap": True, "oob_score": True, "warm_start": True}
    ensemble = MLPEnsembleClassifier(**{**options, "learning_rate_init": 0.05}).fit(X, noise)
    drawn = ensemble.estimators_samples_
    ensemble.set_params(random_state=seed).fit(X, noise)
    assert np.array_equal(ensemble.estimators_samples_, drawn)
    assert ensemble.oob_score_ < 0.75  # 1 if the members were trained on other rows before


def test_members_that_are_missing_are_added_with_their_seeds_and_rows():
    """As after Ctrl-C, when the members that were finished need not have the first seeds."""
    ensemble = MLPEnsembleRegressor(**SMALL, bootstrap=True, warm_start=True).fit(PATIENTS, COURSE)
    seeds = [member.random_state for member in ensemble.estimators_]
    drawn = ensemble.estimators_samples_
    ensemble.estimators_ = ensemble.estimators_[1:]
    ensemble.fit(PATIENTS, COURSE)
    assert [member.random_state for member in ensemble.estimators_] == [*seeds[1:], seeds[0]]
    assert np.array_equal(ensemble.estimators_samples_, [*drawn[1:], drawn[0]])
    assert [len(member.loss_curve_) for member in ensemble.estimators_] == [50, 50, 25]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kept", [2, 12])
def test_bootstrap_rows_are_drawn_again_until_some_have_weight(kept, early_stopping):
    X, y = PATIENTS[:12], COURSE[:12]
    weights = (np.arange(12) < kept) * 1.0
    options = {**SMALL, "n_members": 40, "max_iter": 2, "early_stopping": early_stopping}
    ensemble = MLPEnsembleRegressor(bootstrap=True, **options).fit(X, y, weights)
    drawn, redrawn = ensemble.estimators_samples_, 0
    for member, rows in zip(ensemble.estimators_, drawn, strict=True):
        left = np.setdiff1d(np.arange(12), rows)
        assert weights[rows].any()
        assert weights[left].any() or not early_stopping
        first = np.random.default_rng(member.random_state).integers(0, 12, 12)
        redrawn += not np.array_equal(rows, first)
        if not early_stopping:
            alone = clone(member).fit(X[rows], y[rows], weights[rows])
            assert member.loss_curve_ == alone.loss_curve_
    assert (redrawn > 0) == (kept == 2)
    twin = pickle.loads(pickle.dumps(ensemble))
    assert np.array_equal(twin.estimators_samples_, drawn)


def test_too_few_rows_with_weight_to_stop_by_are_named():
    ensemble = MLPEnsembleRegressor(bootstrap=True, early_stopping=True)
    with pytest.raises(ValueError, match="needs at least 2 rows with a weight above 0"):
        ensemble.fit(PATIENTS[:12], COURSE[:12], np.eye(12)[3])


def test_threads_and_seeds_do_not_change_a_bit():
    runs = [MLPEnsembleRegressor(**SMALL, n_threads=n).fit(PATIENTS, COURSE) for n in (1, 2)]
    assert np.array_equal(runs[0].predict(PATIENTS), runs[1].predict(PATIENTS))
    np.random.seed(5)  # noqa: NPY002 - what random_state=None draws from
    first = MLPEnsembleRegressor(**{**SMALL, "random_state": None}).fit(PATIENTS, COURSE)
    np.random.seed(5)  # noqa: NPY002
    second = MLPEnsembleRegressor(**{**SMALL, "random_state": None}).fit(PATIENTS, COURSE)
    assert np.array_equal(first.predict(PATIENTS), second.predict(PATIENTS))


@pytest.mark.parametrize("problem", ["numbers", "labels"])
def test_pickles_and_copies(problem):
    kind, more, X, y = ENSEMBLES[problem]
    ensemble = kind(**SMALL, **more).fit(X, y)
    for twin in (pickle.loads(pickle.dumps(ensemble)), copy.deepcopy(ensemble)):
        assert np.array_equal(twin.predict(X), ensemble.predict(X))
        assert twin.fits_.nets == [member.net_ for member in twin.estimators_]
        assert twin.fits_.statuses == ensemble.fits_.statuses
    assert ensemble.fits_.nets == [member.net_ for member in ensemble.estimators_]


def test_weights_of_a_member_can_be_set():
    ensemble = MLPEnsembleRegressor(**SMALL).fit(PATIENTS, COURSE)
    for member in ensemble.estimators_:
        member.coefs_ = [np.zeros_like(w) for w in member.coefs_]
        member.intercepts_ = [np.full_like(b, 0.5) for b in member.intercepts_]
    assert np.array_equal(ensemble.predict(PATIENTS), np.full(len(PATIENTS), 0.5))


def test_members_may_be_removed_and_fitted_again():
    ensemble = MLPEnsembleRegressor(**SMALL).fit(PATIENTS, COURSE)
    ensemble.estimators_ = ensemble.estimators_[:2]
    ensemble.estimators_[0].fit(PATIENTS, -COURSE)
    for one in (ensemble, pickle.loads(pickle.dumps(ensemble))):
        mean = np.mean([member.predict(PATIENTS) for member in one.estimators_], axis=0)
        assert np.array_equal(one.predict(PATIENTS), mean)
        assert len(one.fits_) == 3


def test_a_fit_to_an_array_forgets_the_names_of_columns():
    ensemble = MLPEnsembleClassifier(**SMALL)
    ensemble.fit(pd.DataFrame(FLOWERS, columns=list("abcd")), NAMES).fit(FLOWERS, NAMES)
    assert not hasattr(ensemble, "feature_names_in_")


def test_frames_and_sparse_rows():
    frame = pd.DataFrame(FLOWERS, columns=list("abcd"))
    ensemble = MLPEnsembleClassifier(**SMALL).fit(frame, NAMES)
    assert list(ensemble.feature_names_in_) == list("abcd")
    assert ensemble.estimators_[0].net_.feature_names == tuple("abcd")
    assert ensemble.estimators_[0].net_.classes == tuple(ensemble.classes_)
    with pytest.raises(ValueError, match="feature names"):
        ensemble.predict(frame[["b", "a", "c", "d"]])
    rows = np.where(FLOWERS > 0, FLOWERS, 0)
    options = {**SMALL, "bootstrap": True, "early_stopping": True}
    dense = MLPEnsembleClassifier(**options).fit(rows, NAMES)
    for make in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        sparse = MLPEnsembleClassifier(**options).fit(make(rows), NAMES)
        assert np.array_equal(sparse.predict_proba(make(rows)), dense.predict_proba(rows))


class Epochs(Callback):
    """Counts epochs of a network."""

    def __init__(self):
        self.seen = 0

    def on_epoch_end(self, epoch, logs):
        self.seen += 1


def test_members_have_copies_of_callbacks():
    counts = Epochs()
    ensemble = MLPEnsembleRegressor(**SMALL, callbacks=[counts]).fit(PATIENTS, COURSE)
    assert [member.callbacks[0].seen for member in ensemble.estimators_] == [25] * 3
    assert counts.seen == 0


def test_members_share_no_file(tmp_path):
    path = tmp_path / "log.csv"
    options = {**SMALL, "callbacks": [CSVLogger(path)]}
    with pytest.raises(ValueError, match=r"several networks write to .*log\.csv'.*fit_many"):
        MLPEnsembleRegressor(**options).fit(PATIENTS, COURSE)
    assert not path.exists()
    MLPEnsembleRegressor(**{**options, "n_members": 1}).fit(PATIENTS, COURSE)
    assert len(path.read_text().splitlines()) == 26


def test_unconverged_members_are_counted_in_one_warning():
    with pytest.warns(ConvergenceWarning, match="reached by 3 of 3 networks") as caught:
        MLPEnsembleRegressor(**SMALL).fit(PATIENTS, COURSE)
    assert len(caught) == 1
    assert caught[0].filename == __file__


class Interrupt(Callback):
    """Ctrl-C in the second network that is trained."""

    begun = 0

    def on_train_begin(self, logs):
        Interrupt.begun += 1

    def on_epoch_end(self, epoch, logs):
        if Interrupt.begun == 2:
            _thread.interrupt_main()
            while not self.model.stop_training:
                time.sleep(0.001)


def test_ctrl_c_keeps_the_members_that_are_trained():
    Interrupt.begun = 0
    ensemble = MLPEnsembleRegressor(**SMALL, callbacks=[Interrupt()], n_threads=1)
    with pytest.warns(UserWarning, match="interrupted by user: 1 network"):
        ensemble.fit(PATIENTS, COURSE)
    assert len(ensemble.estimators_) == 1
    assert ensemble.fits_.statuses == [Status("finished", 25)]
    alone = clone(ensemble.estimators_[0]).set_params(callbacks=None).fit(PATIENTS, COURSE)
    assert np.array_equal(ensemble.predict(PATIENTS), alone.predict(PATIENTS))
    Interrupt.begun = 1
    with pytest.raises(KeyboardInterrupt):
        clone(ensemble).fit(PATIENTS, COURSE)


# ---- searches -----------------------------------------------------------------------------------

CLASSIFIER = MLPClassifier((9,), max_iter=12, random_state=0, learning_rate_init=0.01)
REGRESSOR = MLPRegressor(
    hidden_layer_sizes=(9,), max_iter=12, random_state=0, learning_rate_init=0.01
)
SCALED = make_pipeline(StandardScaler(), CLASSIFIER)
ALPHAS = {"alpha": [1e-4, 0.1], "learning_rate_init": [0.001, 0.01, 0.1]}
LOSSES = {"loss": ["squared_error", "poisson", "huber"]}  # COURSE has negative numbers
DRAWN = {"alpha": scipy.stats.loguniform(1e-5, 1), "hidden_layer_sizes": [(5,), (9, 4)]}
OF_SCALED = {"mlpclassifier__alpha": [1e-4, 0.1], "standardscaler__with_mean": [True, False]}
TWO = {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}
ROUNDS = {"resource": "max_iter", "max_resources": 9}
SORTED = {"cv": KFold(3)}  # of flowers sorted by kind: each fold lacks a class
OF_HALVING = ["n_resources_", "n_candidates_", "n_remaining_candidates_", "min_resources_",
              "max_resources_", "n_iterations_", "n_required_iterations_",
              "n_possible_iterations_"]  # fmt: skip

#: Our strategy and its options, scikit-learn's search, and options of both.
SEARCHES = {
    "a grid": (CLASSIFIER, ALPHAS, {}, GridSearchCV, {"return_train_score": True}),
    "several grids": (REGRESSOR, [LOSSES, {"alpha": [0, 1]}], {}, GridSearchCV, {}),
    "early stopping": (CLASSIFIER, {"early_stopping": [False, True]}, {}, GridSearchCV, {}),
    "class weights": (CLASSIFIER, {"class_weight": [None, "balanced", {1: 2}]}, {},
                      GridSearchCV, {}),
    "losses": (CLASSIFIER, {"loss": ["log_loss", "squared_error"]}, {}, GridSearchCV, TWO),
    "solvers": (CLASSIFIER, {"solver": ["lbfgs", "sgd", "adam"]}, {}, GridSearchCV, {}),
    "folds without a class": (CLASSIFIER, ALPHAS, {}, GridSearchCV, SORTED),
    "a pipeline": (SCALED, OF_SCALED, {}, GridSearchCV, {}),
    "a pipeline of one step": (make_pipeline(CLASSIFIER), {"mlpclassifier__alpha": [0, 1]}, {},
                               GridSearchCV, {}),
    "a pipeline without a class": (SCALED, OF_SCALED, {}, GridSearchCV, SORTED),
    "no refit": (CLASSIFIER, ALPHAS, {}, GridSearchCV, {"refit": False}),
    "a refit of ones own": (CLASSIFIER, ALPHAS, {}, GridSearchCV, {"refit": lambda results: 1}),
    "drawn": (CLASSIFIER, DRAWN, {"strategy": "random", "n_iter": 4}, RandomizedSearchCV,
              {"n_iter": 4, "random_state": 1, "cv": ShuffleSplit(2, random_state=0)}),
    "halved rows": (CLASSIFIER, ALPHAS, {"strategy": "halving"}, HalvingGridSearchCV,
                    {"random_state": 0, "factor": 2}),
    "halved rows of folds": (CLASSIFIER, ALPHAS, {"strategy": "halving"}, HalvingGridSearchCV,
                             {"random_state": 0, "min_resources": "smallest", "cv": 3,
                              "aggressive_elimination": True, "max_resources": 40}),
    "halved epochs": (CLASSIFIER, ALPHAS, {"strategy": "halving"}, HalvingGridSearchCV, ROUNDS),
    "halved drawn": (REGRESSOR, DRAWN, {"strategy": "halving", "n_iter": 5}, HalvingRandomSearchCV,
                     {"n_candidates": 5, "random_state": 2, "min_resources": "smallest"}),
}  # fmt: skip


def assert_same_results(ours_, theirs):
    assert ours_.keys() == theirs.keys()
    for name, values in ours_.items():
        if name == "params":
            assert list(values) == list(theirs[name])
        elif name.startswith("param_"):  # masked arrays
            assert values.tolist() == theirs[name].tolist()
        elif "time" in name:
            assert values.shape == theirs[name].shape
            assert (values >= 0).all()
        else:
            assert np.array_equal(values, theirs[name], equal_nan="score" in name)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:One or more of the")
@pytest.mark.parametrize("case", SEARCHES)
def test_a_search_gives_scikit_learns_results_bit_for_bit(case):
    estimator, params, options, kind, both = SEARCHES[case]
    X, y = (PATIENTS[:150], COURSE[:150]) if estimator is REGRESSOR else (FLOWERS, NAMES)
    if "class_weight" in params:
        y = KIND
    mine = {name: value for name, value in both.items() if name not in ("n_iter", "n_candidates")}
    search = MLPSearchCV(estimator, params, **options, **mine).fit(X, y)
    halves = options.get("strategy") == "halving"
    other = kind(estimator, params, **both, **({"return_train_score": False} if halves else {}))
    other.fit(X, y)
    assert_same_results(search.cv_results_, other.cv_results_)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_",
                 *OF_HALVING):  # fmt: skip
        assert getattr(search, name, None) == getattr(other, name, None), name
    assert hasattr(search, "best_estimator_") == hasattr(other, "best_estimator_")
    if hasattr(other, "best_estimator_"):
        assert np.array_equal(search.predict(X), other.predict(X))
        assert search.score(X, y) == other.score(X, y)


def test_the_networks_of_a_search_are_trained_by_one_call(monkeypatch):
    from fastnn.sklearn import descent

    sizes = []
    fit_many = descent.fit_many
    monkeypatch.setattr(descent, "fit_many", lambda nets, *args, **options: (
        sizes.append(len(nets)), fit_many(nets, *args, **options))[1])  # fmt: skip
    MLPSearchCV(CLASSIFIER, ALPHAS, refit=False).fit(FLOWERS, KIND)
    assert sizes == [30]
    sizes.clear()
    MLPSearchCV(SCALED, {"mlpclassifier__alpha": [0, 0.1, 1]}, refit=False).fit(FLOWERS, KIND)
    assert sizes == [3] * 5
    sizes.clear()
    MLPSearchCV(CLASSIFIER, ALPHAS, strategy="halving", random_state=0).fit(FLOWERS, KIND)
    assert sizes == [30, 10]


def test_steps_before_the_network_are_fitted_once_for_each_fold():
    calls = []
    count = FunctionTransformer(lambda X: (calls.append(len(X)), X)[1])
    model = make_pipeline(count, CLASSIFIER)
    search = MLPSearchCV(model, {"mlpclassifier__alpha": [0, 0.1, 1]}, refit=False, cv=2)
    search.fit(FLOWERS, KIND)
    assert calls == [75] * 8  # for each fold: once to train, and for the scores of 3 candidates


def test_steps_with_equal_reprs_are_fitted_separately():
    X = np.zeros((150, 40))
    X[:, 36:] = FLOWERS
    uses = [
        ColumnTransformer([("some", "passthrough", [*range(30), last])]) for last in range(30, 40)
    ]
    assert repr(uses[0]) == repr(uses[-1])
    model, params = Pipeline([("use", None), ("mlp", CLASSIFIER)]), {"use": [uses[0], uses[-1]]}
    search, other = (kind(model, params, cv=3).fit(X, KIND) for kind in (MLPSearchCV, GridSearchCV))
    assert_same_results(search.cv_results_, other.cv_results_)
    assert search.best_index_ == 1


@pytest.mark.parametrize("requests", [True, False, "importance"])
@pytest.mark.parametrize("steps", [0, 1])
def test_metadata_is_routed_to_the_steps_that_request_it(requests, steps):
    with config_context(enable_metadata_routing=True):
        net = clone(CLASSIFIER).set_fit_request(sample_weight=requests)
        scorer = get_scorer("neg_log_loss").set_score_request(sample_weight=False)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        model = make_pipeline(*[scaler] * steps, net)
        weights = {"sample_weight": WEIGHTS[:150]} if steps or requests is True else {}
        weights |= {"importance": WEIGHTS[150:300]} if requests == "importance" else {}
        results = [
            kind(model, {"mlpclassifier__alpha": [0, 1]}, scoring=scorer, error_score="raise")
            .fit(FLOWERS, KIND, **weights)
            .cv_results_
            for kind in (MLPSearchCV, GridSearchCV)
        ]
    assert_same_results(*results)


def test_splits_may_be_masks():
    is_test = np.arange(150) % 3 == 0
    params, cv, y = {"early_stopping": [False, True]}, [(~is_test, is_test)], FLOWERS[:, 1] > 0
    search, other = (
        kind(CLASSIFIER, params, cv=cv, scoring="neg_log_loss").fit(FLOWERS, y)
        for kind in (MLPSearchCV, GridSearchCV)
    )
    assert_same_results(search.cv_results_, other.cv_results_)


@pytest.mark.parametrize(
    "estimator",
    [CLASSIFIER, SCALED, make_pipeline(CLASSIFIER)],
    ids=["alone", "pipeline", "a pipeline of one step"],
)
def test_weights_groups_and_validation_rows_are_passed_on(estimator):
    prefix = "" if estimator is CLASSIFIER else "mlpclassifier__"
    params, groups = {f"{prefix}alpha": [0, 1]}, np.arange(150) % 7
    weights = {f"{prefix}sample_weight": WEIGHTS[:150]}
    options = {"cv": GroupKFold(3), "scoring": "accuracy"}
    search = MLPSearchCV(estimator, params, **options).fit(FLOWERS, KIND, groups=groups, **weights)
    other = GridSearchCV(estimator, params, **options).fit(FLOWERS, KIND, groups=groups, **weights)
    assert_same_results(search.cv_results_, other.cv_results_)
    judges = {f"{prefix}X_val": FLOWERS[:20], f"{prefix}y_val": KIND[:20]}
    search = MLPSearchCV(estimator, params).fit(FLOWERS, KIND, **judges)
    other = GridSearchCV(estimator, params).fit(FLOWERS, KIND, **judges)
    assert_same_results(search.cv_results_, other.cv_results_)


def test_frames_and_sparse_rows_are_searched():
    frame = pd.DataFrame(FLOWERS, columns=list("abcd"))
    sparse = scipy.sparse.csr_array(np.where(FLOWERS > 0, FLOWERS, 0))
    for X in (frame, sparse):
        search = MLPSearchCV(CLASSIFIER, ALPHAS, cv=2).fit(X, NAMES)
        other = GridSearchCV(CLASSIFIER, ALPHAS, cv=2).fit(X, NAMES)
        assert_same_results(search.cv_results_, other.cv_results_)
        assert list(search.classes_) == list(other.classes_)
    assert list(MLPSearchCV(CLASSIFIER, ALPHAS).fit(frame, NAMES).feature_names_in_) == list("abcd")


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_scikit_learns_checks_of_a_search_pass(estimator):
    small = clone(estimator).set_params(max_iter=150)
    assert check(MLPSearchCV(small, {"alpha": [0, 1]}, cv=2, error_score="raise")) == []


class Raise(Callback):
    """An error in training."""

    def on_epoch_end(self, epoch, logs):
        raise RuntimeError("out of paper")


class RaiseOne(Callback):
    def __init__(self, error):
        self.error = error

    def __deepcopy__(self, memory):
        return RaiseOne(self.error)

    def on_epoch_end(self, epoch, logs):
        raise self.error


class OnlyOfAll(Callback):
    """An error in the training of a network on n rows."""

    def __init__(self, n):
        self.n = n

    def on_epoch_end(self, epoch, logs):
        if self.params["samples"] == self.n:
            raise RuntimeError("out of paper")


def test_a_fit_that_fails_has_the_error_score_and_the_others_their_own():
    params = {"callbacks": [None, [Raise()]], "batch_size": [32, -1]}
    with pytest.warns(FitFailedWarning, match="15 fits failed out of a total of 20") as caught:
        search = MLPSearchCV(CLASSIFIER, params, error_score=-1.0).fit(FLOWERS, KIND)
    texts = [str(one.message) for one in caught]
    assert any("out of paper" in text and "batch_size" in text for text in texts)
    assert np.array_equal(search.cv_results_["mean_test_score"] == -1, [False, True, True, True])
    alone = GridSearchCV(CLASSIFIER, {"batch_size": [32]}).fit(FLOWERS, KIND)
    assert search.best_score_ == alone.best_score_
    with pytest.raises(RuntimeError, match="out of paper"):
        MLPSearchCV(CLASSIFIER, {"callbacks": [[Raise()]]}, error_score="raise").fit(FLOWERS, KIND)
    with pytest.raises(ValueError, match="All the 5 fits failed"):
        MLPSearchCV(CLASSIFIER, {"batch_size": [-1]}).fit(FLOWERS, KIND)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning")
@pytest.mark.filterwarnings("ignore:Scoring failed", "ignore:One or more of the")
def test_rows_that_are_not_valid_fail_where_they_are_used():
    rows = FLOWERS.copy()
    rows[3, 1] = np.nan
    options = {"refit": False, "cv": 3, "return_train_score": True}
    found = [kind(CLASSIFIER, {"alpha": [0, 1]}, **options).fit(rows, KIND).cv_results_
             for kind in (MLPSearchCV, GridSearchCV)]  # fmt: skip
    assert_same_results(*found)
    assert np.isfinite(found[0]["split1_train_score"]).sum() == 0
    assert np.isfinite(found[0]["split0_train_score"]).all()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        MLPSearchCV(CLASSIFIER, {"alpha": [0, 1]}, error_score="raise").fit(rows, KIND)


@pytest.mark.parametrize(
    ("estimator", "params", "options", "message"),
    [
        (LogisticRegression(), {}, {}, "estimator must be an MLPClassifier or MLPRegressor"),
        (SCALED, {"mlpclassifier": [LogisticRegression()]}, {}, "estimator must be an MLPClass"),
        (CLASSIFIER, {"alpha": [0]}, {"n_iter": 3}, "n_iter=3 is the number of candidates to draw"),
        (CLASSIFIER, {"alpha": [0]}, {"strategy": "best"}, "strategy"),
        (CLASSIFIER, {"beta": [0]}, {}, "Invalid parameter 'beta'"),
        (CLASSIFIER, DRAWN, {}, "alpha"),
        (
            CLASSIFIER,
            {"alpha": [0]},
            {"strategy": "halving", "scoring": ["accuracy"]},
            "a single score",
        ),
        (
            CLASSIFIER,
            {"alpha": [0]},
            {"strategy": "halving", "resource": "epochs"},
            "not a param",
        ),
        (CLASSIFIER, {"alpha": [0]}, {"strategy": "halving", "resource": "max_iter"}, "'auto' is"),
        (CLASSIFIER, {"max_iter": [9]}, {"strategy": "halving", **ROUNDS}, "is among params"),
        (CLASSIFIER, {"alpha": [0]}, {"strategy": "halving", "max_resources": 9}, "min_resources="),
        (CLASSIFIER, {"alpha": [0]}, {"cv": []}, "there are no candidates, or no folds"),
    ],
)
def test_searches_that_cannot_be_are_named(estimator, params, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MLPSearchCV(estimator, params, **options).fit(FLOWERS, KIND)


def test_searches_pickle_and_clone():
    search = MLPSearchCV(CLASSIFIER, ALPHAS, cv=2).fit(FLOWERS, KIND)
    twin = pickle.loads(pickle.dumps(search))
    assert np.array_equal(twin.predict_proba(FLOWERS), search.predict_proba(FLOWERS))
    assert clone(search).get_params(deep=False).keys() == search.get_params(deep=False).keys()


def test_ctrl_c_ends_a_search():
    Interrupt.begun = 0
    search = MLPSearchCV(REGRESSOR, {"callbacks": [[Interrupt()]]}, n_threads=1)
    with pytest.raises(KeyboardInterrupt):
        search.fit(PATIENTS, COURSE)
    assert not hasattr(search, "cv_results_")


# ---- a network for each group -------------------------------------------------------------------

STORES = np.array(["north", "south", "west"])[np.arange(442) % 3]
SHOPS = pd.DataFrame(PATIENTS, columns=[f"x{i}" for i in range(10)]).assign(store=STORES)


@pytest.mark.parametrize("weights", [None, WEIGHTS[:442]])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_the_network_of_a_group_is_what_its_own_fit_gives(options, weights):
    net = clone(REGRESSOR).set_params(**options)
    model = MLPByGroup("store", net).fit(SHOPS, COURSE, weights)
    assert list(model.groups_) == list(model.estimators_) == ["north", "south", "west"]
    predicted = model.predict(SHOPS)
    for store, member in model.estimators_.items():
        rows = store == STORES
        part = None if weights is None else weights[rows]
        alone = clone(net).fit(SHOPS.drop(columns="store")[rows], COURSE[rows], part)
        assert bits(member) == bits(alone)
        assert member.loss_curve_ == alone.loss_curve_
        assert np.array_equal(predicted[rows], alone.predict(SHOPS.drop(columns="store")[rows]))
    assert model.score(SHOPS, COURSE) == r2_score(COURSE, predicted)


def test_groups_are_a_column_by_number_or_an_argument():
    named = MLPByGroup("store", REGRESSOR).fit(SHOPS, COURSE).predict(SHOPS)
    numbers = np.arange(442) % 3
    for X, key in ((np.c_[numbers, PATIENTS], 0), (np.c_[PATIENTS, numbers], -1),
                   (scipy.sparse.csr_array(np.c_[PATIENTS, numbers]), 10)):  # fmt: skip
        assert np.array_equal(MLPByGroup(key, REGRESSOR).fit(X, COURSE).predict(X), named)
    model = MLPByGroup(None, REGRESSOR).fit(PATIENTS, COURSE, groups=STORES)
    assert np.array_equal(model.predict(PATIENTS, groups=STORES), named)
    assert model.score(PATIENTS, COURSE, groups=STORES) == r2_score(COURSE, named)


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
@pytest.mark.parametrize("kind", ["datetime64", "timedelta64"])
def test_times_of_any_resolution_are_the_same_groups(kind, unit):
    times = (np.arange(442) % 3).astype(f"{kind}[D]")
    model = MLPByGroup(None, REGRESSOR).fit(
        PATIENTS, COURSE, groups=times.astype(f"{kind}[{unit}]")
    )
    assert list(model.estimators_) == times[:3].astype(f"{kind}[us]").tolist()
    expected = model.predict(PATIENTS, times.astype(f"{kind}[{unit}]"))
    for other in ("ms", "us", "ns"):
        assert np.array_equal(model.predict(PATIENTS, times.astype(f"{kind}[{other}]")), expected)
    with pytest.raises(ValueError, match="groups that were not in fit"):
        model.predict(PATIENTS, times + np.timedelta64(1, "ns"))


@pytest.mark.parametrize("y", [NAMES, KIND == 1], ids=["three", "two"])
def test_classifiers_of_groups_know_the_classes_of_all(y):
    groups = np.repeat(["a", "b"], [110, 40])  # "b" has one class alone
    model = MLPByGroup(None, CLASSIFIER).fit(FLOWERS, y, groups=groups)
    assert list(model.classes_) == sorted(set(y))
    probabilities = model.predict_proba(FLOWERS, groups=groups)
    assert probabilities.shape == (150, len(model.classes_))
    assert np.allclose(probabilities.sum(axis=1), 1)
    labels = model.predict(FLOWERS, groups=groups)
    assert np.array_equal(labels, model.classes_[probabilities.argmax(axis=1)])
    assert model.score(FLOWERS, y, groups=groups) == accuracy_score(y, labels)
    assert not hasattr(MLPByGroup(None, REGRESSOR), "predict_proba")


def test_rows_of_unknown_groups_are_an_error_or_those_of_a_network_of_all_rows():
    more = SHOPS.assign(store=["east", *STORES[1:]])
    model = MLPByGroup("store", REGRESSOR).fit(SHOPS, COURSE)
    with pytest.raises(
        ValueError, match="groups that were not in fit: 'east'; fit these groups, too, or"
    ):
        model.predict(more)
    with_default = MLPByGroup("store", REGRESSOR, handle_unknown="default").fit(SHOPS, COURSE)
    all_rows = clone(REGRESSOR).fit(SHOPS.drop(columns="store"), COURSE)
    assert bits(with_default.default_) == bits(all_rows)
    predicted = with_default.predict(more)
    assert predicted[0] == all_rows.predict(SHOPS.drop(columns="store"))[0]
    assert np.array_equal(predicted[1:], model.predict(SHOPS)[1:])
    assert len(with_default.fits_) == 4
    with pytest.raises(ValueError, match=r"handle_unknown='default' needs .*; call fit again"):
        model.set_params(handle_unknown="default").predict(more)
    again = with_default.set_params(handle_unknown="error").fit(SHOPS, COURSE)
    assert not hasattr(again, "default_")


@pytest.mark.parametrize(
    ("key", "estimator", "X", "groups", "message"),
    [
        ("shop", REGRESSOR, SHOPS, None, "X has no column 'shop'"),
        (12, REGRESSOR, PATIENTS, None, "key=12 is not a column of X, which has 10"),
        (None, REGRESSOR, PATIENTS, None, "groups must have a label for each row"),
        ("store", REGRESSOR, SHOPS, STORES, "both groups and key are given"),
        (None, REGRESSOR, PATIENTS, STORES[:3], "groups must have a label for each of the 442"),
        (None, REGRESSOR, PATIENTS, np.full(442, np.nan), "the group of 442 rows is missing"),
        (None, REGRESSOR, PATIENTS, ["a", np.nan] * 221, "the group of 221 rows is missing"),
        (None, REGRESSOR, PATIENTS, np.array(["a", None] * 221), "group of 221 rows is missing"),
        (None, REGRESSOR, PATIENTS, pd.array(["a", "b", None] * 147 + ["a"]), "group of 147 rows"),
        ("store", REGRESSOR, SHOPS.assign(store=[None, "a"] * 221), None, "group of 221 rows is"),
        (None, LogisticRegression(), PATIENTS, STORES, "estimator must be an MLPClassifier"),
        (None, MLPRegressor(solver="lbfgs"), PATIENTS, STORES, "solver='lbfgs' trains one network"),
        (
            None,
            MLPRegressor(early_stopping=True),
            PATIENTS,
            np.arange(442) // 5,
            "group 0: The val",
        ),
        (0, REGRESSOR, PATIENTS[:, :1], None, "a minimum of 2 is required"),
    ],
)
def test_groups_that_cannot_be_are_named(key, estimator, X, groups, message):
    model = MLPByGroup(key, estimator)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, COURSE, groups=groups)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR], ids=["classifier", "regressor"])
def test_scikit_learns_checks_of_networks_of_groups_pass(estimator):
    small = clone(estimator).set_params(max_iter=100)
    failed = check(MLPByGroup(0, small, handle_unknown="default"))
    # This one asks for the message about an input that is a dict, and it is one of the groups.
    assert set(failed) <= {"check_dtype_object"}


def test_groups_without_weight_have_no_network():
    weights = (STORES != "south") * 1.0
    model = MLPByGroup("store", REGRESSOR).fit(SHOPS, COURSE, weights)
    assert list(model.groups_) == list(model.estimators_) == ["north", "west"]
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        MLPByGroup("store", REGRESSOR).fit(SHOPS, COURSE, 0 * weights)


def test_errors_in_training_have_the_name_of_the_group():
    course = np.where(STORES == "south", 1e200, 1.0) * COURSE
    with pytest.raises(ValueError, match=r"^group 'south': y holds numbers up to"):
        MLPByGroup("store", clone(REGRESSOR).set_params(batch_size=5)).fit(SHOPS, course)
    failing = clone(REGRESSOR).set_params(callbacks=[Raise()])
    with pytest.raises(RuntimeError, match=r"^group '(north|south|west)': out of paper"):
        MLPByGroup("store", failing).fit(SHOPS, COURSE)
    error = UnicodeDecodeError("ascii", b"x", 0, 1, "no more")  # cannot be made of a message
    failing.set_params(callbacks=[RaiseOne(error)])
    with pytest.raises(UnicodeDecodeError) as caught:
        MLPByGroup("store", failing, n_threads=1).fit(SHOPS, COURSE)
    assert re.fullmatch(r"raised in the training of group '\w+'", caught.value.__notes__[0])


def test_an_error_of_the_network_of_all_rows_says_so():
    model = MLPByGroup("store", clone(REGRESSOR), handle_unknown="default")
    model.estimator.set_params(callbacks=[OnlyOfAll(len(SHOPS))])
    with pytest.raises(RuntimeError, match=r"^the network of all rows: out of paper"):
        model.fit(SHOPS, COURSE)


def test_numbers_after_classes_leave_no_classes():
    model = MLPByGroup("store", clone(CLASSIFIER)).fit(SHOPS, COURSE > 0)
    model.set_params(estimator=clone(REGRESSOR)).fit(SHOPS, COURSE)
    assert not hasattr(model, "classes_")


def test_networks_of_groups_pickle_and_clone():
    model = MLPByGroup("store", REGRESSOR, handle_unknown="default").fit(SHOPS, COURSE)
    twin = pickle.loads(pickle.dumps(model))
    assert np.array_equal(twin.predict(SHOPS), model.predict(SHOPS))
    assert twin.fits_.nets == [member.net_ for member in twin._members()]
    assert clone(model).key == "store"


def test_seeds_of_groups_are_drawn_before_threads_begin():
    net = clone(REGRESSOR).set_params(random_state=None)
    models = []
    for _ in range(2):
        np.random.seed(3)  # noqa: NPY002 - what random_state=None draws from
        models.append(MLPByGroup("store", net).fit(SHOPS, COURSE))
    assert np.array_equal(models[0].predict(SHOPS), models[1].predict(SHOPS))
    assert len({member.random_state for member in models[0].estimators_.values()}) == 3
