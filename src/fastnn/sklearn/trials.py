"""Trials of a search: each candidate on each fold, trained by `fit_many` and scored.

A trial gives the same scores as the estimator's own fit on the rows of the fold. Here: the data
that trials share (rows, classes, fitted steps of a pipeline), the grouping of trials into calls,
and errors. Not here: the candidates, the results and their ranks (search.py).
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from traceback import format_exc
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.metrics._scorer import _MultimetricScorer, _PassthroughScorer, _Scorer
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _check_sample_weight

from fastnn.sklearn.base import BaseMLP, copy_learned_attributes
from fastnn.sklearn.classifier import MLPClassifier
from fastnn.sklearn.descent import Descent, run_all
from fastnn.sklearn.rows import LabelledRows, validated, weights_by_class

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from fastnn.training.specification import Specification

    Split = tuple[NDArray[Any], NDArray[Any]]


#: Trials per call of `fit_many`; the first call has fewer, because nothing trains while its trials
#: are built.
_TOGETHER, _FIRST = 200, 32


def network_of(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def require_mlp(estimator: Any) -> None:
    """Check that an estimator is fastnn's, or a pipeline that ends in one of fastnn's."""
    if not isinstance(network_of(estimator), BaseMLP):
        raise TypeError(
            "estimator must be an MLPClassifier or MLPRegressor of fastnn.sklearn, or a pipeline "
            f"that ends in one; got {estimator!r}. Use scikit-learn's GridSearchCV for "
            "other estimators"
        )


def twin(estimator: Any) -> Any:
    """Return what scikit-learn's clone returns for an estimator that has not been fitted."""
    parameters = vars(estimator)
    if not isinstance(estimator, BaseMLP) or not all(map(_is_plain, parameters.values())):
        return clone(estimator)
    found = object.__new__(type(estimator))
    found.__dict__.update(parameters)
    return found


def _is_plain(value: Any) -> bool:
    """Return whether a value is immutable."""
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def counts_correct(scorer: Any, estimator: Any) -> bool:
    """Return whether a scorer is scikit-learn's plain accuracy of an MLPClassifier."""
    kind = type(estimator)
    if not isinstance(estimator, MLPClassifier) or kind.predict is not MLPClassifier.predict:
        return False
    if isinstance(scorer, _PassthroughScorer):
        return bool(kind.score is MLPClassifier.score)
    return (
        type(scorer) is _Scorer
        and scorer._score_func is accuracy_score
        and (scorer._sign, scorer._kwargs, scorer._response_method) == (1, {}, "predict")
    )


def fraction_correct(classifier: MLPClassifier, X: Any, y: Any) -> float | None:
    """Return the accuracy for labels (n,); None for other targets, and if predicting fails.

    scikit-learn takes longer to determine the type of y than a small network takes to predict.
    """
    if type(y) is not np.ndarray or y.ndim != 1 or classifier._kind.startswith("multilabel"):
        return None
    try:
        predicted = classifier.predict(X)
    except Exception:
        return None  # the scorer raises the error
    return float(np.average(predicted == y))


def _have_same_outputs(a: Any, b: Any) -> bool:
    """Return whether two estimators have learned the same number of outputs and equal classes."""
    if a.n_outputs_ != b.n_outputs_:
        return False
    return not hasattr(a, "classes_") or np.array_equal(a.classes_, b.classes_)


@dataclass(eq=False)
class Fold:
    """The rows that trials are trained on, and data that the trials of a fold share.

    `numbers` are the row numbers in X and y, None for all. `targets`, `weights` and
    `validation_rows` are computed once for all estimators that need the same.
    """

    X: Any
    y: NDArray[Any]
    prototype: BaseMLP  # has learned the columns and classes
    sample_weight: NDArray[Any] | None
    validation: tuple[Any, Any] | None
    numbers: NDArray[Any] | None = None
    targets: dict[Hashable, NDArray[Any]] = field(default_factory=dict)
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    validation_rows: dict[Hashable, LabelledRows] = field(default_factory=dict)

    def prepare(self, est: BaseMLP, candidate: Candidate) -> Descent:
        """Check an estimator's parameters and build its network for training on these rows."""
        if not candidate.is_valid:
            est._validate_params()
            candidate.is_valid = True
        est.n_iter_ = 0
        copy_learned_attributes(self.prototype, to=est)
        weights = self._weights_of(est)
        if getattr(est, "standardize_target", False):
            some = slice(None) if self.numbers is None else self.numbers
            own = None if weights is None else weights[some]
            est._learn_scaling(self.y[some], own, self.X.dtype)
        key, validation = est._encoding(), None
        if key not in self.targets:
            self.targets[key] = est._encoded(self.y)
        if self.validation is not None:
            if key not in self.validation_rows:
                self.validation_rows[key] = est._validation_rows(*self.validation)
            validation = self.validation_rows[key]
        rows = LabelledRows(self.X, self.targets[key], weights, self.numbers)
        est._prepare(rows, made=candidate.made)
        return Descent(est, rows, validation)

    def _weights_of(self, est: BaseMLP) -> NDArray[Any] | None:
        """Return the weights of all rows of X; "balanced" weights are computed from the fold."""
        by_class, weights = getattr(est, "class_weight", None), self.sample_weight
        if by_class is None:
            return weights
        key = repr(by_class)
        if key not in self.weights:
            some = slice(None) if self.numbers is None else self.numbers
            own = weights_by_class(by_class, self.y[some])
            self.weights[key] = np.ones(len(self.y))
            self.weights[key][some] = own if weights is None else weights[some] * own
        return self.weights[key]


@dataclass(eq=False)
class Candidate:
    """Data that the trials of a candidate share."""

    is_valid: bool = False  # whether its parameters have been validated
    made: dict[Any, Specification] = field(default_factory=dict)  # by shape, dtype, ...


@dataclass(eq=False)
class Trial:
    """A candidate on a fold, and its outcome."""

    estimator: Any
    fold: int
    number: int  # index in the results
    candidate: Candidate
    descent: Descent | None = None
    error: str | None = None
    seconds: float = 0.0  # duration of the fit


class Trials:
    """The trials of a search.

    Parameters
    ----------
    search : SearchCV
        Has the estimator and the options.
    X, y : as passed by the user
    fit_params, score_params : dict
        Arguments of `fit` and of the scorer; arrays with a value for each row are split.
    scorer : callable
    """

    def __init__(
        self,
        search: Any,
        X: Any,
        y: Any,
        fit_params: Mapping[str, Any],
        score_params: Mapping[str, Any],
        scorer: Any,
    ) -> None:
        self.search, self.X, self.y = search, X, y
        self.fit_params, self.score_params, self.scorer = fit_params, score_params, scorer
        self.estimator = clone(search.estimator)
        self.whole: Fold | None = None  # all rows, after their validation
        self.splits: Sequence[Split] = ()

    def run(
        self, candidates: Sequence[Mapping[str, Any]], splits: Sequence[Split]
    ) -> list[dict[str, Any]]:
        """Return the results of each candidate on each fold, sorted by candidate."""
        self.splits = splits
        trials: list[Trial] = []
        for parameters in candidates:
            candidate = Candidate()
            first = clone(self.estimator).set_params(**clone(parameters, safe=False))
            for j in range(len(splits)):
                estimator = twin(first) if j else first
                trials.append(Trial(estimator, j, len(trials), candidate))
        for trial in trials:  # a parameter may replace the whole step
            require_mlp(trial.estimator)
        results: list[dict[str, Any]] = [{} for _ in trials]
        is_pipeline = isinstance(self.estimator, Pipeline)
        if is_pipeline and self.fit_params and get_config()["enable_metadata_routing"]:
            for trial in trials:  # their steps request the arguments of fit, perhaps by other names
                self._fit_alone(trial)
            self._score_all(trials, results)
        elif is_pipeline and len(self.estimator.steps) > 1:
            self._run_pipelines(candidates, trials, results)
        else:
            self._run_networks(trials, results)
        return results

    def _run_networks(self, trials: Sequence[Trial], results: list[dict[str, Any]]) -> None:
        """Train the networks of all folds, on rows that are validated once."""
        try:
            folds = [self._fold(train) for train, _ in self.splits]
        except ValueError:  # some rows are not valid; a fold may lack them
            for trial in trials:
                self._fit_alone(trial)
        else:
            self._train(trials, folds, results)
        self._score_all(trials, results)

    # ---- rows -----------------------------------------------------------------------------------

    def _fold(self, train: NDArray[Any]) -> Fold:
        """Return the rows of a fold; folds whose rows have all classes share the arrays."""
        if self.whole is None:
            own, others = self._fit_params_of_network()
            self.whole = self._rows(network_of(self.estimator), self.X, self.y, own | others)
        whole, prototype = self.whole, clone(network_of(self.estimator))
        copy_learned_attributes(whole.prototype, to=prototype)
        if hasattr(prototype, "classes_"):
            del prototype.classes_
        some = whole.y[train]
        prototype._learn(some)
        if _have_same_outputs(prototype, whole.prototype):
            numbers, weights = np.asarray(train), whole.sample_weight
            shared = Fold(whole.X, whole.y, prototype, weights, whole.validation, numbers)
            shared.targets = whole.targets
            return shared
        weights = whole.sample_weight
        weights = None if weights is None else weights[train]
        return Fold(whole.X[train], some, prototype, weights, whole.validation)

    def _rows(self, est: BaseMLP, X: Any, y: Any, fit_params: Mapping[str, Any]) -> Fold:
        """Return all rows, validated as in the `fit` of an estimator."""
        options = dict(fit_params)
        weights, X_val, y_val = (options.pop(k, None) for k in ("sample_weight", "X_val", "y_val"))
        for name in options:
            raise TypeError(
                f"{type(est).__name__}.fit() got an unexpected keyword argument {name!r}"
            )
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together; give both or neither")
        prototype = clone(est)
        X, y = validated(prototype, X, y, reset=True, **prototype._validation)
        prototype._learn(y)
        if weights is not None:
            weights = _check_sample_weight(weights, X, ensure_non_negative=True)
        return Fold(X, y, prototype, weights, None if X_val is None else (X_val, y_val))

    # ---- pipelines ------------------------------------------------------------------------------

    def _run_pipelines(
        self,
        candidates: Sequence[Mapping[str, Any]],
        trials: Sequence[Trial],
        results: list[dict[str, Any]],
    ) -> None:
        """Fit the steps before the network once per fold, and train the networks of the fold."""
        last = self.estimator.steps[-1][0]
        own, others = self._fit_params_of_network()
        portions: dict[Any, list[Trial]] = {}  # trials whose steps before the network are equal
        for trial in trials:
            candidate = candidates[trial.number // len(self.splits)]
            before = [  # different arrays, or estimators with long lists, may have equal reprs
                (name, repr(value) if _is_plain(value) else id(value))
                for name, value in sorted(candidate.items())
                if name.partition("__")[0] != last
            ]
            portions.setdefault((trial.fold, *before), []).append(trial)
        for (j, *_), together in portions.items():
            train = self.splits[j][0]
            X, y = _safe_split(self.estimator, self.X, self.y, train)
            steps, began = together[0].estimator[:-1], time.perf_counter()
            try:
                X = steps.fit_transform(X, y, **_check_method_params(self.X, others, train))
                rows = _check_method_params(self.X, own, train)
                fold = self._rows(network_of(together[0].estimator), X, y, rows)
            except Exception as error:
                for trial in together:
                    self._fail(trial, error)
            else:
                seconds = time.perf_counter() - began
                for trial in together:
                    trial.estimator.steps[:-1] = steps.steps
                self._train(together, {j: fold}, results)
                for trial in together:
                    trial.seconds += seconds
            self._score_all(together, results)

    def _fit_params_of_network(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the arguments of `fit` for the network, without prefix, and all others."""
        if not isinstance(self.estimator, Pipeline):
            return dict(self.fit_params), {}
        prefix = f"{self.estimator.steps[-1][0]}__"
        own, others = {}, {}
        for name, value in self.fit_params.items():
            if name.startswith(prefix):
                own[name.removeprefix(prefix)] = value
            else:
                others[name] = value
        return own, others

    # ---- training -------------------------------------------------------------------------------

    def _train(self, trials: Sequence[Trial], folds: Any, results: list[dict[str, Any]]) -> None:
        """Train the networks of trials, each on its fold.

        While one portion is trained, without the GIL, the next portion is prepared and the previous
        one is scored, unless the scorer is a user's.
        """
        portions, scored = self._portions(trials), []
        with ThreadPoolExecutor(1, thread_name_prefix="fastnn-trials") as executor:
            ahead = executor.submit(self._prepare, portions[0], folds)
            for after in [*portions[1:], None]:
                prepared = ahead.result()
                if after is not None:
                    ahead = executor.submit(self._prepare, after, folds)
                self._train_together(prepared)
                plain = [t for t in prepared if counts_correct(self.scorer, t.estimator)]
                scored.append(executor.submit(self._score_all, plain, results))
            for each in scored:
                each.result()
        for trial in trials:
            if trial.estimator is not None and network_of(trial.estimator)._is_minimized():
                self._fit_alone(trial)

    def _portions(self, trials: Sequence[Trial]) -> list[Sequence[Trial]]:
        """Return trials in portions; trials that may share a random state form a single portion."""
        states = {type(network_of(trial.estimator).random_state) for trial in trials}
        if self.search.verbose > 0 or not states <= {int}:
            return [trials]
        starts = [0, *range(_FIRST, len(trials), _TOGETHER)]
        return [trials[i:j] for i, j in itertools.pairwise([*starts, len(trials)])]

    def _prepare(self, trials: Sequence[Trial], folds: Any) -> list[Trial]:
        """Build the networks of trials; return the trials without an error."""
        prepared = []
        for trial in trials:
            est = network_of(trial.estimator)
            try:
                if not est._is_minimized():
                    trial.descent = folds[trial.fold].prepare(est, trial.candidate)
                    prepared.append(trial)
            except Exception as error:
                self._fail(trial, error)
        return prepared

    def _train_together(self, prepared: Sequence[Trial]) -> None:
        """Train networks that have been built."""
        descents = [trial.descent for trial in prepared if trial.descent is not None]
        verbose = self.search.verbose > 0
        try:
            calls = run_all(descents, n_threads=self.search.n_threads, verbose=verbose)
        except Exception:  # raised by one network, by its loss or a callback
            for trial in prepared:
                self._fit_alone(trial)
            return
        if any(fits.interrupted for fits in calls):
            raise KeyboardInterrupt
        for trial, descent in zip(prepared, descents, strict=True):
            trial.seconds = descent.recorder.seconds
            try:
                descent.finish()
                descent.warn_if_unconverged()
                if not counts_correct(self.scorer, trial.estimator):
                    descent.estimator._complete()  # a user's scorer sees the network
            except ValueError as error:
                self._fail(trial, error)

    def _fit_alone(self, trial: Trial) -> None:
        """Fit the estimator of a trial on its own, or record its error."""
        began, train = time.perf_counter(), self.splits[trial.fold][0]
        try:
            trial.estimator = clone(trial.estimator)
            X, y = _safe_split(trial.estimator, self.X, self.y, train)
            trial.estimator.fit(X, y, **_check_method_params(self.X, self.fit_params, train))
        except Exception as error:
            self._fail(trial, error)
        trial.seconds = time.perf_counter() - began

    def _fail(self, trial: Trial, error: Exception) -> None:
        """Record the error of a trial, or raise it if `error_score` is "raise"."""
        if self.search.error_score == "raise":
            raise error
        trial.error = format_exc()

    # ---- scores ---------------------------------------------------------------------------------

    def _score_all(self, trials: Sequence[Trial], results: list[dict[str, Any]]) -> None:
        """Score the trials that still have an estimator, and drop it."""
        for j in range(len(self.splits)):
            some = [trial for trial in trials if trial.fold == j and trial.estimator is not None]
            if not some:
                continue
            train, test = self.splits[j]
            parts = {"test": (*_safe_split(self.estimator, self.X, self.y, test, train), test)}
            if self.search.return_train_score:
                parts["train"] = (*_safe_split(self.estimator, self.X, self.y, train), train)
            for trial in some:
                results[trial.number] = self._result(trial, parts)
                trial.estimator = trial.descent = None

    def _result(self, trial: Trial, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the results that scikit-learn records for a trial."""
        began, found = time.perf_counter(), {"fit_error": trial.error, "fit_time": trial.seconds}
        for name, (X, y, rows) in parts.items():
            found[f"{name}_scores"] = self._scores(trial, X, y, rows)
            if name == "test":
                found["score_time"] = 0.0 if trial.error else time.perf_counter() - began
                found["n_test_samples"] = len(rows)
        return found

    def _scores(self, trial: Trial, X: Any, y: Any, rows: NDArray[Any]) -> Any:
        """Return the score of rows, or a dict of scores by name."""
        failed = self.search.error_score
        is_plain = trial.error is None and not self.score_params
        if is_plain and counts_correct(self.scorer, trial.estimator):
            found = fraction_correct(trial.estimator, X, y)
            if found is not None:
                return found
        if trial.error is None:
            params = _check_method_params(self.X, self.score_params, rows)
            return _score(trial.estimator, X, y, self.scorer, params, failed)
        if isinstance(self.scorer, _MultimetricScorer):
            return dict.fromkeys(self.scorer._scorers, failed)
        return failed
