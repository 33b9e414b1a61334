"""Fits of the estimators that the engine carries out by itself: they are those of its epoch loop.

Proves that everything an estimator has afterwards, weights, moments, curves and counts, is the same
bit for bit where a callback in Python follows the epochs. Not here: that this is what scikit-learn
does (test_sklearn.py), members of ensembles and searches (test_sklearn_many.py).
"""

import warnings

import numpy as np
import pytest
from comparing import digest
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning

from fastnn import SGD, Adam, Callback, CosineDecay, InverseScaling, SwapEMAWeights
from fastnn.sklearn import (
    MLPByGroup,
    MLPClassifier,
    MLPEnsembleClassifier,
    MLPEnsembleRegressor,
    MLPRegressor,
    MLPSearchCV,
)
from fastnn.sklearn.epochs import EpochRecorder
from fastnn.training import whole

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Got `batch_size`"),
]

rng = np.random.default_rng(0)
X = rng.normal(size=(150, 5))
Y = X[:, 0] - X[:, 1] ** 2
PROBLEMS = {
    "two classes": (MLPClassifier, (Y > 0).astype(int)),
    "three classes": (MLPClassifier, np.array(["a", "b", "c"])[np.digitize(Y, [-1, 0.3])]),
    "several labels": (MLPClassifier, make_multilabel_classification(150, n_classes=3)[1]),
    "numbers": (MLPRegressor, Y),
    "several numbers": (MLPRegressor, np.stack([Y, X[:, 2]], axis=1)),
}
COUNTED = ("loss_", "best_loss_", "loss_curve_", "validation_loss_curve_", "validation_scores_",
           "best_validation_score_", "n_iter_", "t_", "_no_improvement_count")  # fmt: skip


def known(estimator):
    """Everything that a fit leaves behind."""
    net, now = estimator.net_, estimator.net_._state.snapshot()
    counts = {name: repr(getattr(estimator, name)) for name in COUNTED}
    rates = vars(estimator._optimizer), net.learning_rate, net.optimizer
    return counts, rates, (net.step, net.epoch), [digest(block) for block in now.blocks]


@pytest.fixture
def fits(monkeypatch):
    """The fits that the engine has carried out."""
    made, make = [], whole.WholeFits.make

    def counted(*args, **options):
        made.append(make(*args, **options))
        return made[-1]

    monkeypatch.setattr(whole.WholeFits, "make", counted)
    return made


def compare(
    fits, monkeypatch, problem, methods=("fit",), dtype=np.float64, weights=None, **options
):
    """Fit by the engine, and by its epoch loop."""
    kind, y = PROBLEMS[problem]
    found = []
    for is_whole in (True, False):
        fits.clear()
        with monkeypatch.context() as patch:
            if not is_whole:
                patch.setattr(EpochRecorder, "rule", lambda self: None)
            estimator = kind(hidden_layer_sizes=(6,), random_state=3, **options)
            for method in methods:
                classes = range(y.shape[1]) if y.ndim == 2 else np.unique(y)
                is_first = kind is MLPClassifier and method == "partial_fit"
                more = {"classes": list(classes)} if is_first else {}
                more |= {} if weights is None else {"sample_weight": weights}
                getattr(estimator, method)(X.astype(dtype), y, **more)
        assert bool(fits) is is_whole
        found.append(known(estimator))
    assert found[0] == found[1]


AVERAGES = Adam(0.01, use_ema=True, ema_momentum=0.9)
OPTIONS = {
    "adam": {},
    "float32": {"dtype": "float32"},
    "on line": {"batch_size": 1, "max_iter": 8},
    "in order": {"shuffle": False, "solver": "sgd"},
    "dropout": {"dropout": 0.2},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.3},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "forever": {"n_iter_no_change": np.inf},
    "averages": {"optimizer": AVERAGES, "callbacks": [SwapEMAWeights()]},
}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_one_fit(options, problem, early_stopping, fits, monkeypatch):
    options = {"max_iter": 30, "tol": 1e-2, "n_iter_no_change": 3, **options}
    compare(fits, monkeypatch, problem, early_stopping=early_stopping, **options)


def test_rules_end_trainings_and_lower_rates(fits):
    """Otherwise the comparison above would mean little."""
    options = {"tol": 1e-2, "n_iter_no_change": 3, "random_state": 3, "max_iter": 200}
    options["hidden_layer_sizes"] = (6,)
    first = MLPRegressor(**options).fit(X, Y)
    second = MLPClassifier(early_stopping=True, **options).fit(X, Y > 0)
    third = MLPRegressor(solver="sgd", learning_rate="adaptive", **options).fit(X, Y)
    assert len(fits) == 3
    assert all(3 < fitted.n_iter_ < 200 for fitted in (first, second, third))
    assert third._optimizer.learning_rate <= 1e-6


@pytest.mark.parametrize(
    "more",
    [{}, {"verbose": True}, {"callbacks": [Callback()]}],
    ids=["engine", "verbose", "callback"],
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_averages_that_are_scored_are_restored(kind, more, capsys):
    options = {"hidden_layer_sizes": (16,), "random_state": 0, "n_iter_no_change": 4}
    callbacks = [SwapEMAWeights(), *more.get("callbacks", ())]
    y = Y if kind is MLPRegressor else Y > 0
    judged = kind(
        optimizer=AVERAGES, early_stopping=True, **options | more | {"callbacks": callbacks}
    )
    judged.fit(X[50:], y[50:], X_val=X[:50], y_val=y[:50])
    assert judged.score(X[:50], y[:50]) == judged.best_validation_score_
    best = int(np.argmax(judged.validation_scores_)) + 1
    plain = kind(optimizer=AVERAGES, **options | {"max_iter": best, "n_iter_no_change": best})
    averages = plain.fit(X[50:], y[50:]).net_.averaged().get_flat_weights()
    assert np.array_equal(judged.net_.get_flat_weights(), averages)
    assert not np.array_equal(averages, plain.net_.get_flat_weights())


@pytest.mark.parametrize("more", [{}, {"callbacks": [Callback()]}], ids=["engine", "python"])
@pytest.mark.parametrize("rate", [0.1, InverseScaling(0.1, 0.5), CosineDecay(0.1, 50)], ids=str)
def test_an_optimizer_in_place_of_a_solver_has_its_own_rate(rate, more):
    found = []
    for learning_rate in ("constant", "invscaling", "adaptive"):
        fitted = MLPRegressor(
            hidden_layer_sizes=(6,), solver="sgd", learning_rate=learning_rate, random_state=0,
            optimizer=SGD(rate), max_iter=20, tol=1, n_iter_no_change=2, **more,
        ).fit(X, Y)  # fmt: skip
        net = fitted.net_
        assert net.optimizer == SGD(rate)
        assert net.learning_rate == pytest.approx(
            rate if isinstance(rate, float) else rate(net.step)
        )
        found.append((fitted.n_iter_, digest(net.get_weights())))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_starts_and_partial_fits(problem, early_stopping, fits, monkeypatch):
    options = {"early_stopping": early_stopping, "max_iter": 9}
    compare(fits, monkeypatch, problem, ["fit", "fit"], warm_start=True, **options)
    if not early_stopping:
        compare(fits, monkeypatch, problem, ["partial_fit"] * 3)
        compare(fits, monkeypatch, problem, ["fit", "partial_fit"], max_iter=4)


def test_targets_in_another_precision_are_scored_as_they_are(fits, monkeypatch):
    options = {"early_stopping": True, "max_iter": 20, "dtype": np.float32}
    compare(fits, monkeypatch, "several numbers", **options)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_loss_that_is_not_finite(early_stopping, fits, monkeypatch):
    options = {"solver": "sgd", "learning_rate_init": 1e30, "random_state": 3, "max_iter": 20,
               "early_stopping": early_stopping, "batch_size": 20}  # fmt: skip
    found = []
    for is_whole in (True, False):
        with monkeypatch.context() as patch:
            if not is_whole:
                patch.setattr(EpochRecorder, "rule", lambda self: None)
            estimator = MLPRegressor(hidden_layer_sizes=(6,), **options)
            if early_stopping:
                with pytest.warns(ConvergenceWarning, match="the loss was no longer finite"):
                    estimator.fit(X, Y)
            else:
                with pytest.raises(ValueError, match="non-finite parameter weights"):
                    estimator.partial_fit(X, Y)
        found.append(known(estimator))
    assert len(fits) == 1
    assert found[0] == found[1]


#: Weights of rows: of all kinds, with batches that have none, and the same for all.
WEIGHTS = {
    "any": np.random.default_rng(2).uniform(0, 2, 150),
    "few": np.arange(150.0) % 50 == 0,
    "same": np.full(150, 0.3),
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("problem", [name for name in PROBLEMS if name != "several numbers"])
def test_weighted_rows(problem, weights, fits, monkeypatch):
    """scikit-learn's loss of an epoch is then the mean over rows of the loss of their batch."""
    options = {"max_iter": 25, "tol": 1e-2, "n_iter_no_change": 3, "batch_size": 20}
    compare(fits, monkeypatch, problem, weights=weights, **options)
    options |= {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05}
    compare(fits, monkeypatch, problem, ["fit", "partial_fit"], "float32", weights, **options)


def test_members_with_weights_are_trained_by_the_engine(fits):
    options = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 1}
    ensemble = MLPEnsembleClassifier(n_members=3, **options)
    ensemble.fit(X, Y > 0, sample_weight=WEIGHTS["any"])
    search = MLPSearchCV(MLPClassifier(**options), {"alpha": [1e-4, 1e-2]}, cv=2, refit=False)
    search.fit(X, Y > 0, sample_weight=WEIGHTS["any"])
    assert len(fits) == 7


LEFT = {
    "weights of several outputs": ({}, np.stack([Y, -Y], axis=1),
                                   {"sample_weight": np.arange(150.0) + 1}),
    "scores with weights": ({"early_stopping": True}, Y, {"sample_weight": np.arange(150.0) + 1}),
    "output": ({"verbose": True}, Y, {}),
}  # fmt: skip


@pytest.mark.parametrize(("options", "y", "more"), LEFT.values(), ids=LEFT)
def test_what_is_left_to_python(options, y, more, fits):
    MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, **options).fit(X, y, **more)
    assert not fits


def test_random_states_that_others_draw_from(fits, monkeypatch):
    """One that is passed, and NumPy's own: others draw from these, too, at any time."""
    found = []
    for is_whole in (True, False):
        with monkeypatch.context() as patch:
            if not is_whole:
                patch.setattr(EpochRecorder, "rule", lambda self: None)
            states = np.random.RandomState(5), np.random.mtrand._rand
            np.random.seed(3)  # noqa: NPY002 - it is what is tested
            made = [MLPRegressor(max_iter=5, random_state=states[0]), MLPRegressor(max_iter=5)]
            grid = {"alpha": [1e-4, 1e-3]}
            search = MLPSearchCV(MLPRegressor(max_iter=3), grid, cv=2, n_threads=1, refit=False)
            known_fits = [known(estimator.fit(X, Y)) for estimator in made]
            scores = search.fit(X, Y).cv_results_["mean_test_score"].tolist()
            found.append((known_fits, scores, [state.random_sample() for state in states]))
    assert len(fits) == 6
    assert found[0] == found[1]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_members_are_trained_by_the_engine(n_threads, early_stopping, fits):
    options = {"max_iter": 8, "early_stopping": early_stopping, "tol": 0.05, "n_iter_no_change": 2}
    sizes = {"hidden_layer_sizes": (5,)}
    several = {"n_members": 3, "random_state": 1, "n_threads": n_threads, **options}
    ensembles = [MLPEnsembleRegressor(**sizes, **several).fit(X, Y),
                 MLPEnsembleClassifier(**sizes, **several).fit(X, Y > 0)]  # fmt: skip
    assert len(fits) == 6
    for ensemble in ensembles:
        for member, history in zip(ensemble.estimators_, ensemble.fits_.histories, strict=True):
            assert member.n_iter_ == len(history.history["loss"]) == len(member.loss_curve_)
            assert set(history.history) <= {"loss", "val_loss"}
    each = MLPRegressor(**sizes, **options, random_state=0)
    groups = MLPByGroup(0, each, n_threads=n_threads)
    groups.fit(np.column_stack([np.arange(150) % 4, X]), Y)
    assert len(fits) == 10


def test_members_that_diverge_have_their_best_weights_or_none(fits):
    """One member's loss is no longer finite; the others go on."""
    rates = {"learning_rate_init": [1e30, 1e-2, 1e31]}
    for early_stopping in (False, True):
        net = MLPRegressor(solver="sgd", max_iter=5, early_stopping=early_stopping, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = MLPSearchCV(net, rates, cv=3, refit=False).fit(X, Y)
        scores = search.cv_results_["mean_test_score"]
        assert np.isfinite(scores).tolist() == [early_stopping, True, early_stopping]
    assert len(fits) == 18


def test_ctrl_c_during_the_record_of_a_member(monkeypatch):
    """The record is made again, from the beginning."""
    options = {"max_iter": 8, "random_state": 1, "n_members": 1, "hidden_layer_sizes": (5,)}
    twin = MLPEnsembleRegressor(early_stopping=True, **options).fit(X, Y)
    record, calls = EpochRecorder._record, []

    def interrupted(self, *args):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        record(self, *args)

    monkeypatch.setattr(EpochRecorder, "_record", interrupted)
    with pytest.warns(UserWarning, match="1 network is trained"):
        ensemble = MLPEnsembleRegressor(early_stopping=True, **options).fit(X, Y)
    assert len(calls) == 3 + 8
    assert known(ensemble.estimators_[0]) == known(twin.estimators_[0])


def test_the_last_epoch_warns_as_before():
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, Y)
