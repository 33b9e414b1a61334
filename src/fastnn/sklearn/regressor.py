"""The regressor: numeric targets and their scaling, outputs of the network as predictions.

The network is trained on a standardized target. Its output layer undoes the scaling when training
ends, so a fitted network and all its exports predict y, and takes it up again when training
continues. Not here: fitting (base.py), the formulas of the scaling (tabular/target_scaling.py).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import scipy.special
from sklearn.base import RegressorMixin

from fastnn import _checks, losses
from fastnn.losses import Poisson, SquaredError
from fastnn.metrics import R2
from fastnn.sklearn.base import BaseMLP, if_stochastic, with_valid_parameters
from fastnn.sklearn.parameters import RegressorParameters, constraints, documented
from fastnn.tabular.target_scaling import TargetScaling

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss
    from fastnn.mlp import MLP


class RegressorOutputs(RegressorMixin):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers as targets of networks, and their outputs as predictions.

    A mixin for estimators that have the regressor's parameters and `_outputs`.
    """

    loss: str | Loss
    n_outputs_: int
    target_mean_: NDArray[np.float64]  # only of standardized targets
    target_scale_: NDArray[np.float64]
    _outputs: Callable[[Any], NDArray[Any]]

    _validation: ClassVar[dict[str, Any]] = {"y_numeric": True}

    def _learn(self, y: NDArray[Any], incremental: bool = False) -> None:
        """Learn the number of outputs."""
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]

    @property
    def _scaling(self) -> TargetScaling | None:
        """The scaling of the targets of networks."""
        if not hasattr(self, "target_mean_"):
            return None
        return TargetScaling(self.target_mean_, self.target_scale_, "identity")

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return validated y as targets of the network, or outputs in units of y likewise."""
        scaling = self._scaling
        is_as_known = (1 if y.ndim == 1 else y.shape[1]) == self.n_outputs_
        return scaling.scaled(y) if scaling is not None and is_as_known else y

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
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        With `standardize_target`, the mean and the standard deviation of each column of y, with the
        weights of the rows; the scale of a constant column is 1.

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

    #: Whether the network predicts standardized targets: only during training.
    _predicts_scaled: bool = False
    #: W and b of the output layer before the scaling was undone, in each of `_blocks_of_weights`.
    #: Training continues from these: W and b computed back would have other rounding errors.
    _scaled_outputs: Sequence[tuple[NDArray[Any], NDArray[Any]]] = ()

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
        RuntimeError
            If another thread or a callback fits the estimator during this call, with
            `standardize_target`.
        """
        if self.standardize_target or self._scaling is not None:
            return self._fit_twin(X, y, sample_weight)
        return self._fit(X, y, sample_weight, incremental=True)

    # ---- the scaling of the target --------------------------------------------------------------

    def _learn_scaling(
        self, y: NDArray[Any], weight: NDArray[Any] | None, dtype: Any, incremental: bool = False
    ) -> None:
        """Learn mean and scale of y, unless the training continues with those of an earlier one."""
        if incremental and self._has_network():
            return
        is_known = len(getattr(self, "target_mean_", ())) == self.n_outputs_
        if self.standardize_target and self.warm_start and is_known:
            return
        for name in ("target_mean_", "target_scale_", "_scaled_outputs"):
            self.__dict__.pop(name, None)
        if not self.standardize_target:
            return
        if losses.get(self.loss).targets == "positive":
            raise ValueError(
                f"standardize_target=True makes targets negative, but loss={self.loss!r} is for "
                "targets of 0 or more; use standardize_target=False, or another loss such as "
                "'squared_error'"
            )
        if weight is not None:
            y, weight = y[weight > 0], weight[weight > 0] / weight.max()
        policy = _checks.policy(dtype if self.dtype is None else self.dtype)
        each = [
            TargetScaling.of("y", column, "identity", policy, weight)
            for column in y.reshape(len(y), -1).astype(np.float64).T
        ]
        self.target_mean_ = np.array([scaling.mean for scaling in each])
        self.target_scale_ = np.array([scaling.scale for scaling in each])

    def _fit_twin(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Train a copy for one epoch, and become the copy at the end.

        During training, the network predicts the standardized target. In other threads and in
        callbacks, this estimator still predicts y.
        """
        net = self._synced() if self._has_network() else None
        twin = object.__new__(type(self))
        for name, value in vars(self).items():
            is_changed = name.endswith("_") or name == "_optimizer"
            twin.__dict__[name] = copy.copy(value) if is_changed and name != "net_" else value
        if net is not None:
            twin.net_ = net.copy()
        twin._fit(X, y, sample_weight, incremental=True)
        if vars(self).get("net_") is not net:
            raise RuntimeError(
                "this estimator was fitted in another thread during partial_fit, whose updates are "
                "dropped; wait for it, or fit a clone"
            )
        self.__dict__ = twin.__dict__
        return self

    def _encoding(self) -> Hashable:
        """Return a key; estimators with the same key encode y alike."""
        if self._scaling is None:
            return None
        return tuple(self.target_mean_), tuple(self.target_scale_)

    def _begin_scaled(self, has_new_weights: bool) -> None:
        """Make the network predict standardized targets; new weights are drawn for these."""
        scaling, net = self._scaling, self.net_
        if scaling is None:
            return
        if not has_new_weights:
            now, before = _output_layers(net), self._scaled_outputs
            undone = [_rounded(net, scaling.undone(W, b)) for W, b in before]
            is_unchanged = len(undone) == len(now) and all(
                np.array_equal(array, other)
                for pair in zip(undone, now, strict=True)
                for array, other in zip(*pair, strict=True)
            )
            _set_output_layers(
                net, before if is_unchanged else [scaling.redone(W, b) for W, b in now]
            )
        self._predicts_scaled = True

    def _complete(self) -> None:
        """Make the output layer undo the scaling, and name the columns."""
        scaling = self._scaling
        if self._predicts_scaled and scaling is not None:
            before = _output_layers(self.net_)
            _set_output_layers(self.net_, [scaling.undone(W, b) for W, b in before])
            self._scaled_outputs, self._predicts_scaled = before, False
        super()._complete()

    def _predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return outputs (n, n_outputs) as predictions, also in a callback."""
        if self._predicts_scaled and self._scaling is not None:
            outputs = self._scaling.unscaled(outputs)
        return super()._predicted(outputs)

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        if self._predicts_scaled:  # a copy that was made in a callback
            self._complete()


def _blocks_of_weights(net: MLP) -> list[int]:
    """Return the blocks of a network that hold weights: the current ones first, then averages."""
    last = net._network.n_blocks - 1
    if net.step > 0 and net.optimizer.is_average:
        return [0, 1, last]
    return [0, last] if net.step > 0 and net.optimizer.use_ema else [0]


def _output_layers(net: MLP) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return W and b of the output layer in each block of weights."""
    _, _, blocks = net._network.read_blocks(_blocks_of_weights(net))
    return [(block[-2], block[-1]) for block in blocks]


def _set_output_layers(net: MLP, pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> None:
    """Replace W and b of the output layer in each block of weights."""
    numbers = _blocks_of_weights(net)
    _, _, blocks = net._network.read_blocks(numbers)  # before block 0 changes, which restarts some
    for number, block, pair in zip(numbers, blocks, pairs, strict=True):
        net._network.write([*block[:-2], *_rounded(net, pair)], number)


def _rounded(net: MLP, arrays: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return arrays in the precision of a network."""
    return [array.astype(net.dtype, copy=False) for array in arrays]
