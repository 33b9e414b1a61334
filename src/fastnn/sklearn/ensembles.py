"""Ensembles: networks with the same parameters that differ in their seeds and, optionally, rows.

Here: the members' rows and seeds, their training by one `fit_many`, their joint predictions, and
out-of-bag predictions. Not here: a member (classifier.py, regressor.py), its training (descent.py).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn import _checks
from fastnn.many import averages
from fastnn.sklearn.base import (
    BaseMLP,
    all_or_nothing,
    copy_learned_attributes,
    with_valid_parameters,
)
from fastnn.sklearn.classifier import ClassifierOutputs, MLPClassifier
from fastnn.sklearn.descent import Descent, run_all
from fastnn.sklearn.members import HasMembers
from fastnn.sklearn.notices import warn
from fastnn.sklearn.parameters import (
    OF_ENSEMBLES,
    EnsembleClassifierParameters,
    EnsembleRegressorParameters,
    Parameters,
    constraints,
    documented,
)
from fastnn.sklearn.regressor import MLPRegressor, RegressorOutputs
from fastnn.sklearn.rows import LabelledRows, TakesSparseRows, checked_inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, Self

    from numpy.typing import ArrayLike, NDArray

T = TypeVar("T")

#: Number of rows that all networks predict at a time, which bounds the memory.
_TOGETHER = 4096


class BaseEnsemble(HasMembers, TakesSparseRows, Parameters):
    """Base of the ensembles: fitting, and the outputs of all members for rows.

    A subclass defines its members and the score of outputs (n, n_outputs), `_score_of`.
    """

    n_members: int
    bootstrap: bool
    oob_score: bool
    estimators_: list[Any]
    oob_score_: float
    n_iter_: int
    n_outputs_: int
    _n_rows: int
    _redraws: dict[int, int]  # by seed; only of members whose first draw had no weight above 0

    _member: ClassVar[type[BaseMLP]]

    def _score_of(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        raise NotImplementedError

    def _set_out_of_bag(self, outputs: NDArray[Any]) -> None:
        """Store the outputs (n, n_outputs) for rows by members that were not trained on them."""
        raise NotImplementedError

    # ---- fitting --------------------------------------------------------------------------------

    @with_valid_parameters
    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train all networks, by one call of `fastnn.fit_many`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows' losses, 0 or more.
        X_val, y_val : array-like, optional
            Validation rows of all networks, instead of rows held out from X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the loss of a network is no longer finite.
        """
        self._refuse_unsupported()
        self._fit(X, y, sample_weight, X_val, y_val)
        return self

    def _refuse_unsupported(self) -> None:
        """Check parameters that depend on each other, and those that members do not support."""
        if self._is_minimized():
            raise ValueError(
                "solver='lbfgs' trains one network at a time, and an ensemble trains many; use "
                f"solver='adam' or 'sgd', or {self._member.__name__} within sklearn's Bagging"
                f"{'Classifier' if is_classifier(self) else 'Regressor'}"
            )
        if self.oob_score and not self.bootstrap:
            raise ValueError("oob_score=True needs bootstrap=True: without it no row is out of bag")

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any) -> None:
        """Train the members; with `warm_start`, continue the training of existing ones."""
        there = list(getattr(self, "estimators_", ())) if self.warm_start else []
        there = there[: self.n_members]
        first = self._new_member(0)
        if there:
            copy_learned_attributes(there[0], to=first)
        rows, validation = first._rows(X, y, sample_weight, X_val, y_val, from_scratch=not there)
        self._n_rows = len(rows)
        self._redraws = {}
        members = [copy.deepcopy(member) for member in there]
        members += [self._new_member(seed) for seed in self._seeds(there)]
        descents = []
        for i, member in enumerate(members):
            # A member keeps its seed, so that it draws the rows that it knows already.
            member.set_params(**self._member_parameters(member.random_state))
            copy_learned_attributes(first, to=member)
            member._prepare(rows, from_scratch=i >= len(there))
            member.n_iter_ = 0
            descents.append(Descent(member, *self._rows_of_member(member, rows, validation)))
        self._train(members, descents)
        copy_learned_attributes(first, to=self)
        if self.oob_score:
            weight = None
            if sample_weight is not None:  # without the class weights of `rows`
                weight = _check_sample_weight(sample_weight, np.empty(len(rows)))
            self._score_out_of_bag(rows, weight)

    def _seeds(self, there: list[BaseMLP]) -> list[int]:
        """Return the seeds of the new members: the first that no existing member has.

        After Ctrl-C, the existing members are not those with the first seeds.
        """
        random_state = check_random_state(self.random_state)
        seeds = random_state.randint(np.iinfo(np.int32).max, size=self.n_members).tolist()
        for member in there:
            if member.random_state in seeds:
                seeds.remove(member.random_state)
        found: list[int] = seeds[: self.n_members - len(there)]
        return found

    def _new_member(self, seed: int) -> BaseMLP:
        return self._member(**self._member_parameters(seed))

    def _member_parameters(self, seed: Any) -> dict[str, Any]:
        """Return the parameters of the member with this seed."""
        of_all = {k: v for k, v in self.get_params(deep=False).items() if k not in OF_ENSEMBLES}
        callbacks = copy.deepcopy(self.callbacks)
        return of_all | {"random_state": seed, "callbacks": callbacks, "verbose": False}

    def _rows_of_member(
        self, member: BaseMLP, rows: LabelledRows, validation: LabelledRows | None
    ) -> tuple[LabelledRows, LabelledRows | None]:
        """Return the rows to train a member on, and the rows to validate it on."""
        if not self.bootstrap:
            return rows, validation
        stops_by_others = self.early_stopping and validation is None
        drawn = self._draw(member.random_state, rows, stops_by_others)
        if stops_by_others:
            left = np.setdiff1d(np.arange(len(rows)), drawn)
            if len(left) < 2:
                raise ValueError(
                    f"bootstrap=True leaves {len(left)} of {len(rows)} rows for the early "
                    "stopping of a network; use bootstrap=False, or pass X_val and y_val"
                )
            validation = rows.some(left)
        return rows.some(drawn), validation

    def _draw(self, seed: Any, rows: LabelledRows, stops_by_others: bool) -> NDArray[np.int64]:
        """Return the numbers of a member's rows: the first draw with a weight above 0.

        With `stops_by_others`, the rows that are not drawn need such a weight, too.
        """
        drawn, weight = _drawn(seed, len(rows)), rows.sample_weight
        if weight is None or weight.all() or not weight.any():
            return drawn
        if stops_by_others and np.count_nonzero(weight) < 2:
            raise ValueError(
                "bootstrap=True with early_stopping=True needs at least 2 rows with a weight above "
                "0, one to train on and one to stop by; pass X_val and y_val, or use "
                "bootstrap=False"
            )
        is_left = np.ones(len(rows), bool)
        is_left[drawn] = False
        while not weight[drawn].any() or (stops_by_others and not weight[is_left].any()):
            self._redraws[seed] = self._redraws.get(seed, 0) + 1
            drawn = _drawn(seed, len(rows), self._redraws[seed])
            is_left[:] = True
            is_left[drawn] = False
        return drawn

    def _train(self, members: list[BaseMLP], descents: list[Descent]) -> None:
        """Train the members; keep those that were finished before Ctrl-C."""
        (fits,) = run_all(descents, n_threads=self.n_threads, verbose=bool(self.verbose))
        if fits.interrupted:
            if not fits.is_trained.any():
                raise KeyboardInterrupt
            trained = np.flatnonzero(fits.is_trained)
            n = _checks.counted(len(trained), "network")
            warn(
                f"Training interrupted by user: {n} {'is' if len(trained) == 1 else 'are'} trained."
            )
            members, descents = [members[i] for i in trained], [descents[i] for i in trained]
            fits = fits.some(trained)
        for member, descent in zip(members, descents, strict=True):
            descent.finish()
            member._complete()
        self.fits_, self.estimators_ = fits, members
        self.n_iter_ = max(member.n_iter_ for member in members)
        unconverged = sum(descent.is_unconverged for descent in descents)
        if unconverged:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached by "
                f"{unconverged} of {len(members)} networks, whose optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
            )

    @property
    def estimators_samples_(self) -> list[NDArray[np.int64]]:
        """The numbers of the rows that each network was trained on, with repetitions."""
        check_is_fitted(self)
        if not self.bootstrap:
            return [np.arange(self._n_rows) for _ in self.estimators_]
        seeds = [member.random_state for member in self.estimators_]
        return [_drawn(seed, self._n_rows, self._redraws.get(seed, 0)) for seed in seeds]

    def _score_out_of_bag(self, rows: LabelledRows, weight: NDArray[Any] | None) -> None:
        """Predict each row by the members that were not trained on it, and score the result.

        `weight` (n,) are the weights of the rows in the score.
        """
        total = np.zeros((len(rows), self.n_outputs_))
        counts = np.zeros((len(rows), 1))
        for member, drawn in zip(self.estimators_, self.estimators_samples_, strict=True):
            left = np.setdiff1d(np.arange(len(rows)), drawn)
            if len(left):
                total[left] += member.net_.predict(rows.X[left])
                counts[left] += 1
        is_known = counts[:, 0] > 0
        outputs = np.full_like(total, np.nan)
        np.divide(total, counts, out=outputs, where=counts > 0)
        if not is_known.all():
            warn(
                f"{np.count_nonzero(~is_known)} of {len(rows)} rows were drawn by every network, "
                "so they have no out-of-bag prediction; use a larger n_members"
            )
        self._set_out_of_bag(outputs)
        if weight is not None:
            is_known &= weight > 0
            weight = weight[is_known]
        known, y = outputs[is_known], rows.y[is_known]
        self.oob_score_ = self._score_of(known, y, weight) if len(known) else float("nan")

    # ---- predicting -----------------------------------------------------------------------------

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Return the mean of the members' outputs (n, n_outputs)."""
        (mean,) = self._over_members(X, averages.mean)
        return mean

    def _over_members(
        self, X: Any, *functions: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> list[NDArray[np.float64]]:
        """Apply functions to the members' outputs: (n_members, n, n_outputs) to (..., n, k).

        They are computed in float64, for a limited number of rows at a time.
        """
        nets = self._averaged()  # raises an error if the ensemble is not fitted
        X = checked_inputs(self, X)
        parts = []
        for start in range(0, X.shape[0], _TOGETHER):
            rows = X[start : start + _TOGETHER]
            outputs = np.stack([net.predict(rows) for net in nets]).astype(np.float64)
            parts.append([function(outputs) for function in functions])
        return [np.concatenate(part, axis=-2) for part in zip(*parts, strict=True)]

    # ---- scikit-learn's conventions -------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimators_")

    def _members(self) -> list[BaseMLP]:
        return self.estimators_


def _drawn(seed: Any, n: int, redraws: int = 0) -> NDArray[np.int64]:
    """Return n row numbers drawn with replacement, by the seed of a member, after some redraws."""
    generator = np.random.default_rng(seed)
    for _ in range(redraws):
        generator.integers(0, n, n)
    return generator.integers(0, n, n)


#: The attributes of both ensembles, for the section Attributes.
_ATTRIBUTES = """
estimators_ : list of {member}
    The members. Each is fitted exactly as it would be alone, with its own random_state and rows,
    except that "balanced" class weights, and the mean and scale of a standardized target, are those
    of all rows.
estimators_samples_ : list of ndarray
    For each member, the indices of the rows that it was trained on. With early stopping and
    ``bootstrap=False``, the indices of the held-out rows are included. Bootstrap rows are drawn
    again if all of them have weight 0, or with early stopping all others.
fits_ : Fits
    The networks of all members, with their histories and statuses.
n_iter_ : int
    The largest number of epochs that a member was trained for.
n_features_in_ : int
    Number of columns of X.
feature_names_in_ : ndarray of str
    Names of the columns of X, if all are strings.
n_outputs_ : int
    Number of outputs.
oob_score_ : float
    With `oob_score`, the score of the out-of-bag predictions: accuracy or R², in which rows count
    with their `sample_weight`, without class weights.
"""


def _described(cls: type[T]) -> type[T]:
    """Insert parameters and attributes into the docstring of an ensemble."""
    attributes = _ATTRIBUTES.replace("{member}", cls._member.__name__)  # type: ignore[attr-defined]
    return documented(cls, attributes, is_stochastic=True)


@_checks.explaining
@_described
class MLPEnsembleClassifier(ClassifierOutputs, EnsembleClassifierParameters, BaseEnsemble):
    """Ensemble of MLP classifiers that differ in their seeds and, optionally, in their rows.

    The predicted probabilities are the mean over the members. All members are trained by one call
    of `fastnn.fit_many`, one thread each. The parameters are those of `MLPClassifier`, except that
    the solver "lbfgs" is not available, followed by those of the ensemble.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    classes_ : ndarray
        Class labels, sorted.
    <attributes>
    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        With `oob_score`, the probabilities of each row by the members that were not trained on it;
        NaN if there are none.

    See Also
    --------
    MLPClassifier : One network.
    fastnn.fit_many : Many networks without scikit-learn.

    Notes
    -----
    With `warm_start`, `fit` continues the training of the members, and adds new members if
    `n_members` has grown or Ctrl-C has left fewer. A member keeps its random_state, and thus the
    rows that it draws, so the out-of-bag predictions and score are valid if X and y are those of
    the earlier fits.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.sklearn import MLPEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> ensemble = MLPEnsembleClassifier(
    ...     n_members=20, bootstrap=True, oob_score=True, early_stopping=True,
    ...     learning_rate_init=0.01, random_state=0)
    >>> bool(ensemble.fit(X, y).oob_score_ > 0.9)
    True
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(
        EnsembleClassifierParameters
    )
    _member = MLPClassifier
    oob_decision_function_: NDArray[np.float64]

    def _set_out_of_bag(self, outputs: NDArray[Any]) -> None:
        """Store the probabilities of rows by members that were not trained on them."""
        self.oob_decision_function_ = self._probabilities(outputs)


@_checks.explaining
@_described
class MLPEnsembleRegressor(RegressorOutputs, EnsembleRegressorParameters, BaseEnsemble):
    """Ensemble of MLP regressors that differ in their seeds and, optionally, in their rows.

    The prediction is the mean over the members; their spread indicates how certain it is. All
    members are trained by one call of `fastnn.fit_many`, one thread each. The parameters are those
    of `MLPRegressor`, except that the solver "lbfgs" is not available, followed by those of the
    ensemble.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    <attributes>
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        With `standardize_target`, the mean and the standard deviation of each column of y, with the
        weights of the rows; the scale of a constant column is 1.
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        With `oob_score`, the predictions of each row by the members that were not trained on it;
        NaN if there are none.

    See Also
    --------
    MLPRegressor : One network.
    fastnn.fit_many : Many networks without scikit-learn.

    Notes
    -----
    With `warm_start`, `fit` continues the training of the members, and adds new members if
    `n_members` has grown or Ctrl-C has left fewer. A member keeps its random_state, and thus the
    rows that it draws, so the out-of-bag predictions and score are valid if X and y are those of
    the earlier fits.

    The spread of the members estimates the uncertainty of the mean of y at X; it does not include
    the noise of y. The residuals of `oob_prediction_` include both, and so give intervals for new
    values of y.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn.sklearn import MLPEnsembleRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> ensemble = MLPEnsembleRegressor(
    ...     n_members=5, early_stopping=True, learning_rate_init=0.01, random_state=0)
    >>> mean, std = ensemble.fit(X, scale(y)).predict(X[:3], return_std=True)
    >>> low, median, high = ensemble.predict_quantiles(X[:3])
    >>> mean.shape, bool((low <= median).all() and (median <= high).all())
    ((3,), True)
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(
        EnsembleRegressorParameters
    )
    _member = MLPRegressor
    oob_prediction_: NDArray[np.float64]

    def _score_of(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        """Return R² of outputs in the units of the user's y; y is as networks are trained on it."""
        return super()._score_of(self._encoded(outputs), y, weight)

    def _set_out_of_bag(self, outputs: NDArray[Any]) -> None:
        """Store the predictions of rows by members that were not trained on them."""
        self.oob_prediction_ = _flat(outputs)

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> NDArray[Any]: ...
    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def predict(
        self, X: Any, return_std: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
        """Return the mean of the members' predictions and, optionally, their standard deviation.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default False

        Returns
        -------
        mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the same shape
            Only with `return_std`.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X is invalid.
        """
        if not _checks.flag("return_std", return_std):
            return super().predict(X)
        mean, std = self._over_members(X, averages.mean, averages.std)
        return _flat(mean), _flat(std)

    def predict_quantiles(
        self, X: Any, quantiles: ArrayLike = (0.05, 0.5, 0.95)
    ) -> NDArray[np.float64]:
        """Return quantiles of the members' predictions.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        quantiles : array-like of numbers from 0 to 1, default (0.05, 0.5, 0.95)
            Quantile levels; values between members are interpolated as by numpy.quantile.

        Returns
        -------
        ndarray of shape (n_quantiles, n_samples) or (n_quantiles, n_samples, n_outputs)

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or an argument is invalid.
        """
        levels = _checks.levels(quantiles)
        (found,) = self._over_members(X, lambda outputs: np.quantile(outputs, levels, axis=0))
        return _flat(found)


def _flat(outputs: NDArray[Any]) -> NDArray[Any]:
    """Return outputs (..., n_outputs), without the last axis if there is only one output."""
    return outputs[..., 0] if outputs.shape[-1] == 1 else outputs
