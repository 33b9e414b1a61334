"""MLPSearchCV: select the best of many candidates by cross-validation, trained by `fit_many`.

Here: the candidates, the rungs of successive halving, and scikit-learn's results. Not here:
training and scoring a candidate on a fold (trials.py).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import _fit_context, clone, is_classifier
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import indexable, resample
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_method_params, _num_samples

from fastnn import _checks
from fastnn.sklearn.parameters import COUNT
from fastnn.sklearn.trials import Trials, require_mlp

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from fastnn.sklearn.trials import Split

    Candidates = list[dict[str, Any]]

#: Default number of candidates drawn for the strategy "random".
_N_ITER = 10


@_checks.explaining
class MLPSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no types
    """Search for the best parameters of an MLP by cross-validation, without worker processes.

    Scores and results are those of `sklearn.model_selection.GridSearchCV`, `RandomizedSearchCV`,
    `HalvingGridSearchCV` and `HalvingRandomSearchCV` for the same estimator, bit for bit. The
    networks of all candidates on all folds are trained by `fastnn.fit_many`, 200 per call (those
    of pipelines and "balanced" class weights fold by fold), one thread each, without copies of
    the data. The next networks are built during a call.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor or Pipeline
        The last step of a pipeline is one of these; its other steps are fitted once per fold,
        unless `params` has parameters of these steps.
    params : dict or list of dict
        The values of each parameter by name: lists or, for candidates that are drawn,
        distributions, as in scikit-learn's searches.
    strategy : {"grid", "random", "halving"}, default "grid"
        Try all combinations; `n_iter` random ones; or successive halving, which gives all
        candidates few resources and then repeatedly gives the best of them more.
    n_iter : int, optional
        Number of candidates to draw; by default 10 for "random", and all combinations for
        "halving".
    factor : float, default 3
        For "halving": each rung has ``1 / factor`` of the candidates of the rung before, and
        `factor` times its resources.
    resource : str, default "n_samples"
        For "halving": rows, or a parameter of the estimator that is a number, such as "max_iter".
    min_resources : int, "exhaust" or "smallest", default "exhaust"
        For "halving": the resources of each candidate in the first rung. "exhaust": as many as make
        the last rung use `max_resources`; "smallest", the default of scikit-learn's
        HalvingRandomSearchCV: 1, or for rows twice the number of folds (times the number of
        classes).
    max_resources : int or "auto", default "auto"
        For "halving": the maximum resources of a candidate; "auto" means all rows.
    aggressive_elimination : bool, default False
        For "halving": whether to repeat the first rung until few enough candidates are left for the
        resources.
    scoring : str, callable, list, tuple or dict, optional
        The score or scores; by default the estimator's own.
    n_threads : int, optional
        Number of networks that are trained at the same time; by default the number of CPUs that
        this process may use.
    refit : bool, str or callable, default True
        Whether to fit the best candidate to all rows; or, of several scores, the name of the one
        that decides; or a function of `cv_results_` that returns the index of the best candidate.
    cv : int, splitter or iterable, optional
        The folds; by default 5.
    verbose : int, default 0
        1 shows the number of fits, and a progress bar over the networks.
    random_state : int or RandomState, optional
        Draws the candidates and, for "halving", the rows.
    error_score : "raise" or float, default nan
        The score of a candidate whose fit fails.
    return_train_score : bool, default False
        Whether the results include scores on the training rows.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        Scores, ranks and times of each candidate, as in scikit-learn's searches. For "halving" also
        "iter" and "n_resources". The time of a fit is that of its own thread.
    best_estimator_ : estimator
        The best candidate, fitted to all rows.
    best_score_ : float
        Its mean score over the folds.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its index in `cv_results_`; for "halving", the best of the last rung.
    scorer_ : callable or dict of str to callable
        The scorer or scorers.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Duration of the final fit, in seconds.
    multimetric_ : bool
        Whether there are several scores.
    n_resources_, n_candidates_ : list of int
        For "halving": resources and candidates of each rung.
    n_iterations_, n_required_iterations_, n_possible_iterations_ : int
        For "halving": the number of rungs; the number that leaves at most `factor` candidates in
        the last one; and the number that the resources suffice for.
    min_resources_, max_resources_ : int
        For "halving": the resources of each candidate in the first rung, and the maximum.
    n_remaining_candidates_ : int
        For "halving": how many candidates would be in another rung.
    classes_ : ndarray
        Class labels of the best classifier.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if all are strings.

    See Also
    --------
    fastnn.fit_many : Many networks without scikit-learn.

    Notes
    -----
    Candidates with the solver "lbfgs" are fitted one after the other, and so are pipelines if
    scikit-learn's metadata routing is enabled and `fit` gets arguments for their steps.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import MLPClassifier, MLPSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier(early_stopping=True, random_state=0)
    >>> grid = {"learning_rate_init": [1e-5, 1e-2], "hidden_layer_sizes": [(10,), (40, 20)]}
    >>> search = MLPSearchCV(net, grid, cv=3).fit(X, y)
    >>> search.best_params_["learning_rate_init"]
    0.01
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit"])],
        "params": [dict, list],
        "strategy": [StrOptions({"grid", "random", "halving"})],
        "n_iter": [COUNT, None],
        "factor": [Interval(Real, 1, None, closed="neither")],
        "resource": [str],
        "min_resources": [COUNT, StrOptions({"exhaust", "smallest"})],
        "max_resources": [COUNT, StrOptions({"auto"})],
        "aggressive_elimination": ["boolean"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, list, tuple, dict, None],
        "n_threads": [COUNT, None],
        "refit": ["boolean", str, callable],
        "cv": ["cv_object"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "error_score": [StrOptions({"raise"}), Real],
        "return_train_score": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        strategy: str = "grid",
        n_iter: int | None = None,
        factor: float = 3,
        resource: str = "n_samples",
        min_resources: int | str = "exhaust",
        max_resources: int | str = "auto",
        aggressive_elimination: bool = False,
        scoring: Any = None,
        n_threads: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
        error_score: float | str = np.nan,
        return_train_score: bool = False,
    ) -> None:
        self.estimator = estimator
        self.params = params
        self.strategy = strategy
        self.n_iter = n_iter
        self.factor = factor
        self.resource = resource
        self.min_resources = min_resources
        self.max_resources = max_resources
        self.aggressive_elimination = aggressive_elimination
        self.scoring = scoring
        self.n_threads = n_threads
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.random_state = random_state
        self.error_score = error_score
        self.return_train_score = return_train_score

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Evaluate all candidates, and fit the best one to all rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.
        **params : dict
            Passed to `fit` of the estimator (sample_weight, X_val, y_val), to the splitter (groups)
            and to the scorer (sample_weight), as scikit-learn's searches do.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or all fits fail.
        """
        require_mlp(self.estimator)
        self._refuse_combinations()
        scorer, metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        self.n_splits_ = cv.get_n_splits(X, y, **routed.splitter.split)
        fitting, scoring = routed.estimator.fit, routed.scorer.score
        numbers = np.arange(_num_samples(X))  # a splitter may give masks
        splits = [
            (numbers[train], numbers[test])
            for train, test in cv.split(X, y, **routed.splitter.split)
        ]
        evaluation = _Evaluation(self, Trials(self, X, y, fitting, scoring, scorer), splits)
        if self.strategy == "halving":
            self._halve(evaluation)
        else:
            evaluation.add(self._candidates())
        results = evaluation.results
        first = evaluation.out[0]["test_scores"]
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first)
            metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._index_of_best(metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        if self.refit:
            self._refit(X, y, fitting)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        self.cv_results_ = results
        return self

    def _refuse_combinations(self) -> None:
        """Check parameters that depend on each other."""
        if self.strategy == "grid" and self.n_iter is not None:
            raise ValueError(
                f"n_iter={self.n_iter} is the number of candidates to draw, but strategy='grid' "
                "tries all; use strategy='random', or leave n_iter out"
            )
        if self.strategy != "halving":
            return
        if not (self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring)):
            raise ValueError(
                "strategy='halving' needs a single score; pass for instance scoring='accuracy'"
            )
        if self.resource == "n_samples":
            return
        if self.resource not in self.estimator.get_params():
            raise ValueError(
                f"resource={self.resource!r} is not a parameter of "
                f"{type(self.estimator).__name__}; use 'n_samples', or a number such as 'max_iter' "
                "('mlpclassifier__max_iter' of a pipeline)"
            )
        if self.max_resources == "auto":
            raise ValueError(
                f"max_resources='auto' is the number of rows, but resource={self.resource!r}; pass "
                "the largest value of the parameter as max_resources"
            )

    def _candidates(self) -> Candidates:
        """Return the parameters of each candidate."""
        n = self.n_iter or (_N_ITER if self.strategy == "random" else None)
        if n is None:
            return list(ParameterGrid(self.params))
        return list(ParameterSampler(self.params, n, random_state=self.random_state))

    def _index_of_best(self, metric: str, results: dict[str, Any]) -> int:
        """Return the index of the best candidate, for "halving" among those of the last rung."""
        if callable(self.refit) or self.strategy != "halving":
            return int(self._select_best_index(self.refit, metric, results))
        last = np.flatnonzero(results["iter"] == results["iter"].max())
        scores = results["mean_test_score"][last]
        return int(last[0 if np.isnan(scores).all() else np.nanargmax(scores)])

    def _refit(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        """Fit the best candidate to all rows."""
        best = clone(self.best_params_, safe=False)
        self.best_estimator_ = clone(clone(self.estimator).set_params(**best))
        began = time.time()
        self.best_estimator_.fit(X, y, **params)
        self.refit_time_ = time.time() - began
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _run_search(self, evaluate_candidates: Any) -> None:
        """Evaluate all candidates; scikit-learn calls this for searches without rungs."""
        evaluate_candidates(self._candidates())

    # ---- successive halving ---------------------------------------------------------------------

    def _halve(self, evaluation: _Evaluation) -> None:
        """Evaluate candidates rung by rung."""
        candidates = self._candidates()
        if any(self.resource in candidate for candidate in candidates):
            raise ValueError(
                f"resource={self.resource!r} is among params, but halving sets it; leave it out of "
                "params"
            )
        n = len(candidates)
        self.min_resources_, self.max_resources_ = low, high = self._resources(evaluation, n)
        needed, possible = _n_rungs(n, self.factor), _n_rungs(high // low, self.factor)
        rungs = needed if self.aggressive_elimination else min(needed, possible)
        self.n_required_iterations_, self.n_possible_iterations_ = needed, possible
        self.n_iterations_ = rungs
        self.n_resources_, self.n_candidates_ = [], []
        for rung in range(rungs):
            power = max(0, rung - needed + possible) if self.aggressive_elimination else rung
            amount = min(int(self.factor**power * low), high)
            self.n_resources_.append(amount)
            self.n_candidates_.append(len(candidates))
            fraction = None
            if self.resource == "n_samples":
                fraction = amount / evaluation.n_rows
            else:
                candidates = [{**candidate, self.resource: amount} for candidate in candidates]
            more = {"iter": rung, "n_resources": amount}
            evaluation.add(candidates, more, fraction)
            candidates = evaluation.best(math.ceil(len(candidates) / self.factor))
        self.n_remaining_candidates_ = len(candidates)

    def _resources(self, evaluation: _Evaluation, n_candidates: int) -> tuple[int, int]:
        """Return the minimum and the maximum resources of a candidate."""
        n_rows = evaluation.n_rows
        high = n_rows if self.max_resources == "auto" else int(self.max_resources)
        low = self.min_resources
        if isinstance(low, str):
            low = 1
            if self.resource == "n_samples":
                low = 2 * self.n_splits_ * evaluation.n_classes
            if self.min_resources == "exhaust":
                last = _n_rungs(n_candidates, self.factor) - 1
                low = max(low, int(high // self.factor**last))
        if low > high:
            raise ValueError(
                f"min_resources={low} is more than max_resources={high}; lower min_resources, or "
                "use fewer folds"
            )
        return int(low), high


def _n_rungs(ratio: float, factor: float) -> int:
    """Return how many rungs fit between 1 and a ratio, each `factor` times the one before."""
    return 1 + math.floor(math.log(ratio, factor))


class _Evaluation:
    """The results of a search so far."""

    def __init__(self, search: MLPSearchCV, trials: Trials, splits: Sequence[Split]) -> None:
        if len(splits) != search.n_splits_:
            raise ValueError(
                f"cv.get_n_splits gives {search.n_splits_} folds, but cv.split made {len(splits)}"
            )
        self.search, self.trials, self.splits = search, trials, splits
        self.n_rows = _num_samples(trials.X)
        self.candidates: Candidates = []
        self.out: list[dict[str, Any]] = []
        self.more: dict[str, list[Any]] = defaultdict(list)
        self.results: dict[str, Any] = {}
        self.added = 0  # number of candidates in the last rung

    @property
    def n_classes(self) -> int:
        """The number of classes of a classifier's y, otherwise 1."""
        return len(np.unique(self.trials.y)) if is_classifier(self.search.estimator) else 1

    def add(
        self,
        candidates: Iterable[dict[str, Any]],
        more: Mapping[str, Any] | None = None,
        fraction: float | None = None,
    ) -> None:
        """Evaluate candidates on a fraction of the rows of each fold, and store the results."""
        search, candidates = self.search, list(candidates)
        splits = self.splits
        if fraction is not None:
            state = search.random_state
            splits = [(_some(a, fraction, state), _some(b, fraction, state)) for a, b in splits]
        if not candidates or not splits:
            raise ValueError("there are no candidates, or no folds; check params and cv")
        if search.verbose > 0:
            fits = len(candidates) * len(splits)
            of = f"each of {len(candidates)} candidates"
            print(f"Fitting {len(splits)} folds for {of}, totalling {fits} fits")
        out = self.trials.run(candidates, splits)
        _warn_or_raise_about_fit_failures(out, search.error_score)
        if callable(search.scoring):
            _insert_error_scores(out, search.error_score)
        self.candidates += candidates
        self.out += out
        for name, value in (more or {}).items():
            self.more[name] += [value] * len(candidates)
        self.added = len(candidates)
        self.results = search._format_results(
            self.candidates, search.n_splits_, self.out, self.more
        )

    def best(self, n: int) -> Candidates:
        """Return the n best candidates of the last rung, the worst of them first."""
        scores = self.results["mean_test_score"][-self.added :]
        order = np.roll(np.argsort(scores), np.count_nonzero(np.isnan(scores)))
        added = self.candidates[-self.added :]
        return [added[i] for i in order[-n:]]


def _some(rows: NDArray[Any], fraction: float, random_state: Any) -> NDArray[Any]:
    """Return a random fraction of the rows."""
    n = int(fraction * len(rows))
    found: NDArray[Any] = resample(rows, replace=False, random_state=random_state, n_samples=n)
    return found
