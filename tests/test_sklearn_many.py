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
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import scale
from sklearn.utils.estimator_checks import check_estimator

from fastnn import Callback, Status
from fastnn import sklearn as ours
from fastnn.sklearn import (
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
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
    assert [entry for entry, _ in entries] == list(of_ensemble)


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
    with pytest.raises(ValueError, match=r"bootstrap=True leaves . of 2 rows to stop"):
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
    with pytest.warns(UserWarning, match="interrupted by user: 1 networks"):
        ensemble.fit(PATIENTS, COURSE)
    assert len(ensemble.estimators_) == 1
    assert ensemble.fits_.statuses == [Status("finished", 25)]
    alone = clone(ensemble.estimators_[0]).set_params(callbacks=None).fit(PATIENTS, COURSE)
    assert np.array_equal(ensemble.predict(PATIENTS), alone.predict(PATIENTS))
    Interrupt.begun = 1
    with pytest.raises(KeyboardInterrupt):
        clone(ensemble).fit(PATIENTS, COURSE)
