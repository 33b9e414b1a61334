"""The work of an estimator after each epoch, as in scikit-learn.

Here: loss curves and scores, the learning rate of "sgd", and the end of training; the engine
applies the same rules where no hook is called. Not here: the epochs themselves (`MLP.fit`).
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._kernels_f64 import ADAPTIVE_DIVISOR, ADAPTIVE_LEAST_RATE
from fastnn.schedules import InverseScaling
from fastnn.training.rules import EngineCallback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fastnn.mlp import MLP
    from fastnn.sklearn.base import BaseMLP
    from fastnn.sklearn.parameters import Parameters
    from fastnn.sklearn.rows import LabelledRows
    from fastnn.training.orders import RowOrder
    from fastnn.training.rules import Logs


class LearningRate:
    """The learning rate of a training; for "sgd" it follows the parameter `learning_rate`.

    For the other solvers the rate is constant, and an optimizer in place of a solver has its own.
    """

    def __init__(self, parameters: Parameters) -> None:
        is_sgd = parameters.solver == "sgd" and parameters.optimizer is None
        self.kind = parameters.learning_rate if is_sgd else "constant"
        self.initial, self.power = float(parameters.learning_rate_init), parameters.power_t
        self.learning_rate = self.initial

    def after_epoch(self, t: int) -> None:
        """Update the rate after t rows trained so far."""
        if self.kind == "invscaling":
            self.learning_rate = self._scaled(t)

    def _scaled(self, t: int) -> float:
        """Return the rate of scikit-learn's "invscaling" after t rows, with the engine's powers."""
        return InverseScaling(self.initial, float(self.power))(t)

    def rule(self, t: int, most: int) -> dict[str, Any] | None:
        """Return the rate as a rule of the engine, after t rows and before `most` more rows.

        Return None if the engine cannot compute it.
        """
        power = float(self.power) if self.kind == "invscaling" else 0.0
        if power and not 0 < self._scaled(t + most) < np.inf:
            return None
        return {"adapts": self.kind == "adaptive", "power": power, "rows": t,
                "first_rate": self.initial, "rate": self.learning_rate}  # fmt: skip

    def ends_training(self, message: str, verbose: bool | int) -> bool:
        """Return whether training ends after a lack of improvement; otherwise lower the rate."""
        lowers = self.kind == "adaptive" and self.learning_rate > ADAPTIVE_LEAST_RATE
        if lowers:
            self.learning_rate /= ADAPTIVE_DIVISOR
            what = f"Setting learning rate to {self.learning_rate:f}"
        else:
            what = "Learning rate too small. Stopping." if self.kind == "adaptive" else "Stopping."
        if verbose:
            print(f"{message} {what}")
        return not lowers


#: The attributes of an estimator that epochs change.
_RECORDED = (
    "t_",
    "n_iter_",
    "loss_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_loss_",
    "best_validation_score_",
    "_no_improvement_count",
)

#: A number of epochs that is never reached.
_FOREVER = 1 << 62


class EpochRecorder(EngineCallback):
    """The callback of an estimator, which records each epoch and decides when training ends.

    Parameters
    ----------
    estimator : BaseMLP
        Its attributes (`loss_curve_`, `n_iter_`, ...) are updated.
    training : LabelledRows
    validation : LabelledRows or None

    Attributes
    ----------
    converged : bool
        Whether training ended because it no longer improved.
    best_weights : list of ndarray or None
        With early stopping, the weights with the best score.
    seconds : float
        Duration of the training.
    """

    def __init__(
        self, estimator: BaseMLP, training: LabelledRows, validation: LabelledRows | None
    ) -> None:
        self.estimator, self.training, self.validation = estimator, training, validation
        #: What is added to the losses in the logs, by the prefix of their names.
        self.offsets: dict[str, float] = {}
        self.rate = estimator._optimizer.learning_rate
        self.began = self.seconds = 0.0
        self.converged = False
        self.best_weights: list[NDArray[Any]] | None = None
        self.before: dict[str, Any] = {}  # the estimator's attributes before a run without hooks

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Take the initial weights as the best, until a score is better."""
        self.began = time.perf_counter()
        self._set_offsets()
        if self.estimator.early_stopping:
            self.best_weights = self.model.get_weights()

    def _set_offsets(self) -> None:
        """Compute the differences between scikit-learn's losses and those of fastnn."""
        for prefix, rows in {"": self.training, "val_": self.validation}.items():
            if rows is not None:
                offsets = self.estimator._loss_offsets(rows.y)
                if offsets is not None and rows.numbers is not None:
                    offsets = offsets[rows.numbers]
                is_same = offsets is None
                self.offsets[prefix] = 0.0 if is_same else rows.without_inputs().mean(offsets)

    def close(self) -> None:
        """Drop the rows, whose memory other networks may need, and note the time."""
        vars(self).pop("training", None)
        vars(self).pop("validation", None)
        self.seconds = time.perf_counter() - self.began

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Record the epoch; end training or change the learning rate as scikit-learn would."""
        self._take_epoch(logs, None)
        if self.converged:
            self.model.stop_training = True
        rate = self.estimator._optimizer.learning_rate
        if rate != self.rate:
            self.rate = self.model.learning_rate = rate

    def _take_epoch(self, logs: Mapping[str, float], score: float | None) -> None:
        """Record an epoch; `score` is that of the validation rows, None if it is not known yet."""
        est = self.estimator
        est.t_ += self.params["samples"]
        self._record({prefix: self._loss(logs, prefix) for prefix in self.offsets}, score)
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

    def on_nonfinite_loss(self, error: FloatingPointError) -> bool:
        """Record the epoch and end training; the estimator then raises its own error, if any."""
        self._record(dict.fromkeys(self.offsets, float("nan")))
        self.estimator._divergence = error
        return True

    def _loss(self, logs: Mapping[str, float], prefix: str) -> float:
        """Return the loss of an epoch or of the validation rows as scikit-learn defines it.

        scikit-learn's squared error is ``mse / 2``, the mean over outputs; that of fastnn is the
        sum over outputs, ``n_outputs * mse / 2``. The logs contain "mse" where the two differ.
        """
        loss = logs[f"{prefix}loss"] + self.offsets[prefix]
        if f"{prefix}mse" in logs:
            loss -= (self.estimator.n_outputs_ - 1) / 2 * logs[f"{prefix}mse"]
        return loss

    def _record(self, found: Mapping[str, float], score: float | None = None) -> None:
        """Append an epoch's losses to the curves, and count epochs without improvement."""
        est, loss = self.estimator, found[""]
        est.n_iter_ += 1
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        if "val_" in found and est.validation_loss_curve_ is not None:
            est.validation_loss_curve_.append(found["val_"])
        if est.early_stopping:
            is_known = score is not None
            score = self._score(found["val_"], score)
            is_worse = score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                if not is_known:  # otherwise the engine keeps them
                    self.best_weights = self._judged().get_weights()
        else:
            is_worse = loss > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, loss)
        est._no_improvement_count = est._no_improvement_count + 1 if is_worse else 0

    def _judged(self) -> MLP:
        """Return the network that validation evaluates: with SwapEMAWeights, of the averages."""
        return self.model.averaged() if self.params.get("judges_averages") else self.model

    def _score(self, loss: float, known: float | None) -> float:
        """Return the score of the validation rows and append it; NaN if their loss is NaN."""
        est = self.estimator
        score = float("nan")
        if self.validation is not None and not np.isnan(loss):
            if known is None:
                rows = self.validation = self.validation.picked()
                known = est._score_of(self._judged().predict(rows.X), rows.y, rows.sample_weight)
            score = float(known)
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        return score

    # ---- as the engine carries it out -----------------------------------------------------------

    def rule(self) -> dict[str, Any] | None:
        """Return the callback as a rule of the engine, None if its hooks must be called."""
        est, validation, n = self.estimator, self.validation, len(self.training)
        rate = est._optimizer.rule(est.t_, n * int(est.max_iter))
        if est.verbose or rate is None:
            return None
        if validation is not None and validation.sample_weight is not None:
            return None
        prefix = "val_" if est.early_stopping else ""
        best = est.best_validation_score_ if est.early_stopping else est.best_loss_
        metric = None
        if est.early_stopping and validation is not None:
            metric = est._metric(validation.y)
            if metric is None:
                return None
        return {
            "kind": "converges",
            "value": (est.early_stopping, -1),
            "higher": False,
            "min_delta": est.tol,
            "patience": int(min(est.n_iter_no_change, _FOREVER)),
            "wait": est._no_improvement_count,
            "best": best,
            "restores": est.early_stopping,
            "metric": metric,
            "offset": self.offsets.get(prefix, 0.0),
            "squares_factor": (est.n_outputs_ - 1) / 2,
            "squares": "mse" if est._averages_outputs() else None,
            "by_rows": False,
            **rate,
        }

    def begin(self, model: MLP, samples: int) -> None:
        """Begin a training on `samples` rows whose hooks are not called."""
        self.model, self.params = model, {"samples": samples}
        self._set_offsets()
        est = vars(self.estimator)
        self.before = {name: copy.copy(est[name]) for name in _RECORDED if name in est}

    def take_epochs(self, logs: Logs, scores: NDArray[np.float64] | None) -> None:
        """Record all epochs that the engine has trained since `begin`, also after Ctrl-C."""
        if self.before:
            self.estimator.__dict__.update(copy.deepcopy(self.before))
            self.estimator._optimizer.learning_rate, self.converged = self.rate, False
        columns = [values.tolist() for values in logs.values()]
        known = [None] * len(columns[0]) if scores is None else scores.tolist()
        for *values, score in zip(*columns, known, strict=True):
            self._take_epoch(dict(zip(logs, values, strict=True)), score)

    def keep_best(self, weights: list[NDArray[Any]] | None) -> None:
        """Store the weights of the best score so far."""
        self.best_weights = weights

    def end(self, seconds: float) -> None:
        """End a training without hooks, which took this many seconds."""
        self.close()
        self.seconds = seconds


class WeightedEpochRecorder(EpochRecorder):
    """The callback of an estimator whose rows have unequal weights.

    scikit-learn's loss of an epoch is the mean over rows of the loss of their batch, which is a
    weighted mean; fastnn's is the weighted mean over all rows.

    Parameters
    ----------
    estimator : BaseMLP
    training : LabelledRows
    validation : LabelledRows or None
    order : RowOrder or None
        The order of the rows in the current epoch; None if they are not shuffled.
    batch_size : int
    """

    def __init__(
        self,
        estimator: BaseMLP,
        training: LabelledRows,
        validation: LabelledRows | None,
        order: RowOrder | None,
        batch_size: int,
    ) -> None:
        super().__init__(estimator, training, validation)
        self.order, self.batch_size = order, batch_size
        self.row_offsets: NDArray[Any] | None = None
        self.penalty = self.total = 0.0

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Select the rows, and compute the difference of scikit-learn's loss for each."""
        super().on_train_begin(logs)
        self.training = self.training.without_inputs()
        self.row_offsets = self.estimator._loss_offsets(self.training.y)

    def rule(self) -> dict[str, Any] | None:
        """Return the callback as a rule of the engine, None if scikit-learn's loss differs."""
        est, rule = self.estimator, super().rule()
        differs = est._averages_outputs() or est._loss_offsets(self.training.y) is not None
        return None if rule is None or differs else {**rule, "by_rows": True}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any]) -> None:
        """Reset the sum of the batches' losses."""
        self.total = 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any]) -> None:
        """Compute the penalty before the update if the loss must be split into data and penalty."""
        if self.estimator._averages_outputs():
            weights = self.model.get_weights()[::2]
            squares = sum(float(np.vdot(w, w)) for w in weights)
            self.penalty = 0.5 * self.estimator.alpha * squares

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Add the loss of the batch once for each of its rows."""
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

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Set the loss of the epoch to scikit-learn's mean, as the engine's rule does by itself."""
        super().on_epoch_end(epoch, {**logs, "loss": self.total / len(self.training)})

    def _loss(self, logs: Mapping[str, float], prefix: str) -> float:
        """Return the loss of an epoch or of the validation rows as scikit-learn defines it."""
        return super()._loss(logs, prefix) if prefix else float(logs["loss"])
