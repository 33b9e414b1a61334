"""What an estimator does after each epoch, as scikit-learn does it.

Here: loss curves and scores, the learning rate of "sgd", and the end of training. Not here: the
epochs themselves (`MLP.fit`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.sklearn.base import BaseMLP
    from fastnn.sklearn.parameters import Parameters
    from fastnn.sklearn.rows import RowOrder, Rows


class LearningRate:
    """The learning rate of a training: for "sgd" it follows the parameter `learning_rate`.

    For the other solvers it is constant.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.kind = parameters.learning_rate if parameters.solver == "sgd" else "constant"
        self.initial, self.power = float(parameters.learning_rate_init), parameters.power_t
        self.learning_rate = self.initial

    def after_epoch(self, t: int) -> None:
        """Follow the number t of rows trained so far."""
        if self.kind == "invscaling":
            self.learning_rate = self.initial / (t + 1) ** self.power

    def ends_training(self, message: str, verbose: bool | int) -> bool:
        """Return whether training ends now that it doesn't improve; otherwise lower the rate."""
        lowers = self.kind == "adaptive" and self.learning_rate > 1e-6
        if lowers:
            self.learning_rate /= 5.0
            what = f"Setting learning rate to {self.learning_rate:f}"
        else:
            what = "Learning rate too small. Stopping." if self.kind == "adaptive" else "Stopping."
        if verbose:
            print(f"{message} {what}")
        return not lowers


class Epochs(Callback):
    """The callback of an estimator: it records each epoch and decides when training ends.

    Parameters
    ----------
    estimator : BaseMLP
        Its attributes (`loss_curve_`, `n_iter_`, ...) are updated.
    training : Rows
    validation : Rows or None

    Attributes
    ----------
    converged : bool
        Whether training ended since it did not improve.
    best_weights : list of ndarray or None
        With early stopping, the weights of the best score.
    seconds : float
        That the training took.
    """

    def __init__(self, estimator: BaseMLP, training: Rows, validation: Rows | None) -> None:
        self.estimator, self.training, self.validation = estimator, training, validation
        #: What is added to the losses in the logs, by the prefix of their names.
        self.offsets: dict[str, float] = {}
        self.rate = estimator._optimizer.learning_rate
        self.began = self.seconds = 0.0
        self.converged = False
        self.best_weights: list[NDArray[Any]] | None = None

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Pick the rows; take the initial weights for the best, until a score is better."""
        self.began = time.perf_counter()
        offsets = self.estimator._loss_offsets
        self.training = self.training.without_inputs()
        self.offsets[""] = self.training.mean(offsets(self.training.y))
        if self.validation is not None:
            self.validation = self.validation.picked()
            self.offsets["val_"] = self.validation.mean(offsets(self.validation.y))
        if self.estimator.early_stopping:
            self.best_weights = self.model.get_weights()

    def close(self) -> None:
        """Drop the rows, whose memory other networks may need; note the time."""
        del self.training, self.validation
        self.seconds = time.perf_counter() - self.began

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Record the epoch; end training or change the learning rate as scikit-learn does."""
        est = self.estimator
        est.t_ += self.params["samples"]
        self._record({prefix: self._loss(logs, prefix) for prefix in self.offsets})
        est._optimizer.after_epoch(est.t_)
        if est._no_improvement_count > est.n_iter_no_change:
            what = "Validation score" if est.early_stopping else "Training loss"
            self.converged = est._optimizer.ends_training(
                f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} "
                "consecutive epochs.",
                est.verbose,
            )
            if not self.converged:
                est._no_improvement_count = 0
        if self.converged:
            self.model.stop_training = True
        if est._optimizer.learning_rate != self.rate:
            self.rate = self.model.learning_rate = est._optimizer.learning_rate

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Record the epoch and end training; the estimator raises its own error, or none."""
        self._record(dict.fromkeys(self.offsets, float("nan")))
        self.estimator._divergence = error
        return True

    def _loss(self, logs: Mapping[str, float], prefix: str) -> float:
        """Return the loss of an epoch or of the validation rows as scikit-learn defines it.

        Its squared error is ``mse / 2``, the mean over outputs; that of fastnn is the sum over
        outputs, ``n_outputs * mse / 2``. The logs have "mse" where that matters.
        """
        loss = logs[f"{prefix}loss"] + self.offsets[prefix]
        if f"{prefix}mse" in logs:
            loss -= (self.estimator.n_outputs_ - 1) / 2 * logs[f"{prefix}mse"]
        return loss

    def _record(self, found: Mapping[str, float]) -> None:
        """Add an epoch's losses to the curves, and count epochs without improvement."""
        est, loss = self.estimator, found[""]
        est.n_iter_ += 1
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        if "val_" in found and est.validation_loss_curve_ is not None:
            est.validation_loss_curve_.append(found["val_"])
        if est.early_stopping:
            score = self._score(found["val_"])
            is_worse = score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                self.best_weights = self.model.get_weights()
        else:
            is_worse = loss > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, loss)
        est._no_improvement_count = est._no_improvement_count + 1 if is_worse else 0

    def _score(self, loss: float) -> float:
        """Return the score of the validation rows, NaN if their loss is; add it to the scores."""
        est, rows = self.estimator, self.validation
        score = float("nan")
        if rows is not None and not np.isnan(loss):
            score = float(est._score_of(self.model.predict(rows.X), rows.y, rows.sample_weight))
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        return score


class WeightedEpochs(Epochs):
    """The callback of an estimator whose rows have different weights.

    scikit-learn's loss of an epoch is the mean over rows of the loss of their batch, which is a
    weighted mean; fastnn's is the weighted mean over all rows.

    Parameters
    ----------
    estimator : BaseMLP
    training : Rows
    validation : Rows or None
    order : RowOrder or None
        The order of the rows in the present epoch; None if they are not shuffled.
    batch_size : int
    """

    def __init__(
        self,
        estimator: BaseMLP,
        training: Rows,
        validation: Rows | None,
        order: RowOrder | None,
        batch_size: int,
    ) -> None:
        super().__init__(estimator, training, validation)
        self.order, self.batch_size = order, batch_size
        self.row_offsets: NDArray[Any] | None = None
        self.penalty = self.total = 0.0

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Pick the rows, and what scikit-learn's loss of each one differs by."""
        super().on_train_begin(logs)
        self.row_offsets = self.estimator._loss_offsets(self.training.y)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any]) -> None:
        """Start the sum of the batches' losses."""
        self.total = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any]) -> None:
        """Compute the penalty with the weights before the update, where the loss is split by it."""
        if self.estimator._averages_outputs():
            weights = self.model.get_weights()[::2]
            squares = sum(float(np.vdot(w, w)) for w in weights)
            self.penalty = 0.5 * self.estimator.alpha * squares

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Add the loss of the batch for each of its rows."""
        rows: Any = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        if self.order is not None:
            rows = self.order.rows[rows]
        part, loss = self.training.part(rows), logs["loss"]
        assert part.sample_weight is not None
        if not part.sample_weight.any():
            return  # no loss, no update
        if self.estimator._averages_outputs():
            penalty = self.penalty / part.sample_weight.sum()
            loss = (loss - penalty) / self.estimator.n_outputs_ + penalty
        if self.row_offsets is not None:
            loss += part.mean(self.row_offsets[rows])
        self.total += len(part) * loss

    def _loss(self, logs: Mapping[str, float], prefix: str) -> float:
        """Return the loss of an epoch or of the validation rows as scikit-learn defines it."""
        return super()._loss(logs, prefix) if prefix else self.total / len(self.training)
