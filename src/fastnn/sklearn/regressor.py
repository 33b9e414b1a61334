"""The regressor: numeric targets, and outputs of the network as predictions.

Not here: fitting (base.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.special
from sklearn.base import RegressorMixin

from fastnn import _checks, losses
from fastnn.losses import Poisson, SquaredError
from fastnn.metrics import R2
from fastnn.sklearn.base import BaseMLP, if_stochastic, with_valid_parameters
from fastnn.sklearn.parameters import RegressorParameters, constraints, documented

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss


class RegressorOutputs(RegressorMixin):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers as targets of networks, and their outputs as predictions.

    A mixin for estimators that have the regressor's parameters and `_outputs`.
    """

    loss: str | Loss
    n_outputs_: int
    _outputs: Callable[[Any], NDArray[Any]]

    _validation: ClassVar[dict[str, Any]] = {"y_numeric": True}

    def _learn(self, y: NDArray[Any], incremental: bool = False) -> None:
        """Learn the number of outputs."""
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]

    def _output_and_loss(self) -> tuple[str, str | Loss]:
        """Return the activation of the last layer, and the loss."""
        is_poisson = isinstance(losses.get(self.loss), Poisson)
        return "exp" if is_poisson else "identity", self.loss

    def _averages_outputs(self) -> bool:
        """Return whether scikit-learn's loss is the mean over outputs and fastnn's is the sum."""
        return self.n_outputs_ > 1 and isinstance(losses.get(self.loss), SquaredError)

    def _loss_offsets(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return t log t - t for each row: scikit-learn's deviance minus y - t log y."""
        if not isinstance(losses.get(self.loss), Poisson):
            return None
        t = np.asarray(y, np.float64).reshape(len(y), -1)
        constants: NDArray[np.float64] = (scipy.special.xlogy(t, t) - t).sum(axis=1)
        return constants

    def _score_of(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        """Return R²."""
        return float(R2()(y, outputs, weight))

    def _metric(self, y: NDArray[Any]) -> dict[str, Any]:
        """Return R² as the engine's metric, on the targets in their own precision."""
        targets = np.ascontiguousarray(y.reshape(len(y), -1), np.float64)
        return {"kind": "r2", "are_classes": False, "targets": targets}

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the outputs of the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        NotFittedError, ValueError
            If the estimator is not fitted, or X is invalid.
        """
        return self._predicted(self._outputs(X))

    def _predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return outputs (n, n_outputs) as predictions."""
        return outputs.ravel() if outputs.shape[1] == 1 else outputs


@_checks.explaining
@documented
class MLPRegressor(RegressorOutputs, RegressorParameters, BaseMLP):
    """Multi-layer perceptron regressor, with scikit-learn's interface.

    Handles one target or several. The parameters up to `max_fun` are those of
    `sklearn.neural_network.MLPRegressor`; the others are specific to fastnn.

    Parameters
    ----------
    <parameters>

    Attributes
    ----------
    <attributes>

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = MLPRegressor("huber", 50, early_stopping=True, random_state=0, max_iter=500)
    >>> bool(regressor.fit(X, scale(y)).score(X, scale(y)) > 0.4)
    True
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = constraints(RegressorParameters)

    @if_stochastic
    @with_valid_parameters
    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch on these rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the loss is no longer finite.
        """
        return self._fit(X, y, sample_weight, incremental=True)
