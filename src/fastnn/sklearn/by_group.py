"""MLPByGroup: one network for each group of rows, all trained by one `fit_many`.

Here: which rows belong to a group, and which network predicts a row. Not here: the networks
(classifier.py, regressor.py), their training (descent.py).
"""

from __future__ import annotations

import re
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import _safe_indexing, check_random_state, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _num_samples, check_is_fitted, validate_data

from fastnn import _checks
from fastnn.many.members import rows_of_groups
from fastnn.sklearn.base import (
    BaseMLP,
    all_or_nothing,
    copy_learned_attributes,
    with_valid_parameters,
)
from fastnn.sklearn.descent import Descent, run_all
from fastnn.sklearn.members import HasMembers
from fastnn.sklearn.parameters import COUNT
from fastnn.sklearn.rows import check_indices, checked_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.mlp import MLP
    from fastnn.sklearn.rows import LabelledRows


def _of_classifiers(by_group: Any) -> bool:
    """Return whether the networks are classifiers."""
    return bool(is_classifier(by_group.estimator))


def _with_groups(error: Exception, names: Sequence[str]) -> Exception:
    """Return an error of `fit_many` that has the names of groups in place of "nets[3]"."""

    def named(text: str) -> str:
        return re.sub(r"nets\[(\d+)\]", lambda found: names[int(found[1])], text)

    if hasattr(error, "__notes__"):
        error.__notes__ = list(map(named, error.__notes__))
    if type(error) in (FloatingPointError, RuntimeError, TypeError, ValueError):
        return type(error)(named(str(error)))
    return error


@_checks.explaining
class MLPByGroup(MetaEstimatorMixin, HasMembers):  # type: ignore[misc]  # scikit-learn has no types
    """One MLP for each group of rows, such as each store or each sensor.

    The networks have the same parameters, and each is trained on the rows of its group as its own
    `fit` would do, except that "balanced" class weights, and the mean and scale of a standardized
    target, are those of all rows. All are trained by one call of `fastnn.fit_many`, one thread
    each. A row is predicted by the network of its group.

    Parameters
    ----------
    key : str, int or None
        The column of X that holds each row's group, by name or number; it is not an input of the
        networks. None: the methods take the groups as their argument `groups`.
    estimator : MLPClassifier or MLPRegressor
        Has the parameters of each network. The classes of a classifier are those of all of y, in
        every group.
    handle_unknown : {"error", "default"}, default "error"
        What to do with rows whose group did not occur in `fit`: raise an error, or predict them by
        an additional network that is trained on all rows.
    n_threads : int, optional
        Number of networks that are trained at the same time; by default the number of CPUs that
        this process may use.
    verbose : int, default 0
        1 shows a progress bar over the networks.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        The groups in `fit`, sorted, except those whose rows all have weight 0.
    estimators_ : dict of group to estimator
        The fitted estimator of each group. The key of a datetime64 is a ``datetime.datetime``.
    default_ : estimator
        With ``handle_unknown="default"``, the estimator that was trained on all rows.
    fits_ : Fits
        The networks in the order of `groups_`, then the network of all rows if there is one, with
        their histories and statuses.
    classes_ : ndarray
        Class labels of a classifier, sorted.
    n_outputs_ : int
        Number of outputs.
    n_features_in_ : int
        Number of columns of X, including the column of the group.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if all are strings.

    See Also
    --------
    fastnn.fit_many : Its argument `groups` trains the same without scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from fastnn.sklearn import MLPByGroup, MLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"city": ["Bonn", "Trier"] * 100, "area": rng.uniform(-1, 1, 200)})
    >>> price = np.where(frame["city"] == "Bonn", 2, -1) * frame["area"]
    >>> net = MLPRegressor(max_iter=300, learning_rate_init=0.01, random_state=0)
    >>> model = MLPByGroup("city", net).fit(frame, price)
    >>> sorted(model.estimators_), bool(model.score(frame, price) > 0.99)
    (['Bonn', 'Trier'], True)
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "key": [str, Integral, None],
        "estimator": [HasMethods(["fit"])],
        "handle_unknown": [StrOptions({"error", "default"})],
        "n_threads": [COUNT, None],
        "verbose": ["verbose"],
    }

    groups_: NDArray[Any]
    estimators_: dict[Any, Any]
    default_: Any
    n_outputs_: int
    _prototype: Any  # an estimator that has learned the columns and classes

    def __init__(
        self,
        key: str | int | None,
        estimator: Any,
        *,
        handle_unknown: str = "error",
        n_threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.key = key
        self.estimator = estimator
        self.handle_unknown = handle_unknown
        self.n_threads = n_threads
        self.verbose = verbose

    # ---- fitting --------------------------------------------------------------------------------

    @with_valid_parameters
    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train the network of each group.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows' losses, 0 or more.
        groups : array-like of shape (n_samples,), optional
            The group of each row, if `key` is None.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or the data are invalid, or the loss of a network is no longer finite.
        """
        self._fit(X, y, sample_weight, groups)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> None:
        if not isinstance(self.estimator, BaseMLP):
            raise TypeError(
                "estimator must be an MLPClassifier or MLPRegressor of fastnn.sklearn; got "
                f"{self.estimator!r}"
            )
        if self.estimator._is_minimized():
            raise ValueError(
                "solver='lbfgs' trains one network at a time, and MLPByGroup trains many; use "
                "solver='adam' or 'sgd'"
            )
        inputs, labels = self._divided(X, groups, reset=True)
        self.groups_, numbers = _checks.groups(labels, _num_samples(X))
        self._prototype = clone(self.estimator)
        self._prototype._validate_params()
        rows, _ = self._prototype._rows(inputs, y, sample_weight)
        parts = rows_of_groups(numbers)
        weight = rows.sample_weight
        if weight is not None:  # drop rows of weight 0
            found = [weight[part].any() for part in parts]
            parts = [part for part, is_there in zip(parts, found, strict=True) if is_there]
            self.groups_ = self.groups_[found]
        descents = [
            self._descent(rows.some(part), f"group {label!r}: ")
            for part, label in zip(parts, _checks.keys_of_labels(self.groups_), strict=True)
        ]
        if self.handle_unknown == "default":
            descents.append(self._descent(rows, ""))
        self._train(descents)
        self.n_outputs_ = self._prototype.n_outputs_
        if _of_classifiers(self):
            self.classes_ = self._prototype.classes_
        elif hasattr(self, "classes_"):  # from an earlier fit
            del self.classes_

    def _averaged(self) -> list[MLP]:
        """Refuse an export: the mean of the groups' networks predicts no group."""
        raise ValueError(
            "net has a network for each group of rows, and their mean is the prediction of no "
            "group; export one of them: net.estimators_[label]"
        )

    def _descent(self, rows: LabelledRows, where: str) -> Descent:
        """Return the training, still to be run, of a new network on some rows."""
        member = clone(self.estimator)
        if member.random_state is None:  # one source shared by threads would be a race
            member.random_state = check_random_state(None).randint(np.iinfo(np.int32).max)
        member.n_iter_ = 0
        copy_learned_attributes(self._prototype, to=member)
        try:
            member._prepare(rows)
            return Descent(member, rows, None)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from error

    def _train(self, descents: list[Descent]) -> None:
        """Train all networks and keep them."""
        labels = _checks.keys_of_labels(self.groups_)
        names = [*(f"group {label!r}" for label in labels), "the network of all rows"]
        try:
            calls = run_all(descents, n_threads=self.n_threads, verbose=self.verbose > 0)
        except Exception as error:
            raise _with_groups(error, names) from error.__cause__
        if calls[-1].interrupted:
            raise KeyboardInterrupt
        for descent, name in zip(descents, names, strict=False):
            try:
                descent.finish()
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error.__cause__
            descent.warn_if_unconverged()
            descent.estimator._complete()
        members = [descent.estimator for descent in descents]
        self.fits_ = calls[0]
        self.estimators_ = dict(zip(labels, members, strict=False))
        if self.handle_unknown == "default":
            self.default_ = members[-1]
        elif hasattr(self, "default_"):  # from an earlier fit
            del self.default_

    # ---- rows -----------------------------------------------------------------------------------

    def _divided(self, X: Any, groups: Any, reset: bool) -> tuple[Any, Any]:
        """Return the inputs of the networks and the group of each row."""
        if (groups is None) == (self.key is None):
            raise ValueError(
                "both groups and key are given; give only one of them"
                if self.key is not None
                else "key is None, so groups must have a label for each row; got None"
            )
        check_indices(X)
        if hasattr(X, "columns"):  # columns of any type: the networks check their inputs
            validate_data(self, X, reset=reset, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=reset, dtype=None, accept_sparse=["csr", "csc"])
        if self.key is None:
            return X, groups
        n, names = self.n_features_in_, getattr(self, "feature_names_in_", None)
        if isinstance(self.key, str):
            if names is None or self.key not in names:
                raise ValueError(
                    f"X has no column {self.key!r}; key must be one of its columns, or None with "
                    "groups as an argument"
                )
            place = list(names).index(self.key)
        elif not -n <= self.key < n:
            raise ValueError(
                f"key={self.key} is not a column of X, which has {_checks.counted(n, 'column')}"
            )
        else:
            place = self.key % n
        if n < 2:
            raise ValueError(f"X has {n} feature(s), the groups; a minimum of 2 is required")
        others = [i for i in range(n) if i != place]
        if scipy.sparse.issparse(X):
            columns = X.tocsc()
            return columns[:, others], columns[:, [place]].toarray().ravel()
        return _safe_indexing(X, others, axis=1), _safe_indexing(X, place, axis=1)

    # ---- predicting -----------------------------------------------------------------------------

    def _outputs(self, X: Any, groups: Any) -> NDArray[Any]:
        """Return the outputs (n, n_outputs) for rows, each from the network of its group."""
        check_is_fitted(self)
        inputs, labels = self._divided(X, groups, reset=False)
        found, numbers = _checks.groups(labels, _num_samples(X))
        rows = checked_inputs(self._prototype, inputs)
        known = _checks.keys_of_labels(found)
        unknown = [label for label in known if label not in self.estimators_]
        if unknown and self.handle_unknown == "error":
            shown = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
            raise ValueError(
                f"X has rows of groups that were not in fit: {shown}; fit these groups, too, or "
                "fit with handle_unknown='default'"
            )
        default = getattr(self, "default_", None)
        if unknown and default is None:
            raise ValueError(
                "handle_unknown='default' needs a network trained on all rows, which fit made only "
                "if it had this value; call fit again"
            )
        dtype = next(iter(self.estimators_.values())).net_.dtype
        outputs = np.empty((rows.shape[0], self.n_outputs_), dtype)
        for number, label in enumerate(known):
            of_group = np.flatnonzero(numbers == number)
            member: Any = self.estimators_.get(label, default)
            outputs[of_group] = member._synced().predict(rows[of_group])
        return outputs

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Return the prediction of each row by the network of its group.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        groups : array-like of shape (n_samples,), optional
            The group of each row, if `key` is None.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, X is invalid, or, with ``handle_unknown="error"``, a
            group did not occur in `fit`.
        """
        outputs = self._outputs(X, groups)
        found: NDArray[Any] = self._prototype._predicted(outputs)
        return found

    @available_if(_of_classifiers)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Return the probability of each class for each row; only for classifiers.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        groups : array-like of shape (n_samples,), optional
            The group of each row, if `key` is None.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            As `predict`.
        """
        outputs = self._outputs(X, groups)
        found: NDArray[Any] = self._prototype._probabilities(outputs)
        return found

    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy of a classifier, or R² of a regressor.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
        groups : array-like of shape (n_samples,), optional
            The group of each row, if `key` is None.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, ValueError
            As `predict`.
        """
        score = accuracy_score if _of_classifiers(self) else r2_score
        return float(score(y, self.predict(X, groups), sample_weight=sample_weight))

    # ---- scikit-learn's conventions -------------------------------------------------------------

    def _members(self) -> list[BaseMLP]:
        default = [self.default_] if hasattr(self, "default_") else []
        return [*self.estimators_.values(), *default]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimators_")

    def __sklearn_tags__(self) -> Any:
        tags, of_estimator = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = of_estimator.estimator_type
        tags.classifier_tags = of_estimator.classifier_tags
        tags.regressor_tags = of_estimator.regressor_tags
        tags.target_tags = of_estimator.target_tags
        tags.input_tags.sparse = True
        return tags
