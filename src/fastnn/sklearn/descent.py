"""Training by stochastic gradient descent: of one estimator, or of many by one `fit_many`.

Here: the arguments of `MLP.fit`, and the use of its result. Not here: the work after each epoch
(epochs.py), the network and its initial weights (network.py, base.py).
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastnn import _checks
from fastnn.callbacks import Callback
from fastnn.many import fit_many
from fastnn.many.members import CallbacksOfEach
from fastnn.sklearn.epochs import EpochRecorder, WeightedEpochRecorder
from fastnn.sklearn.notices import warn
from fastnn.sklearn.rows import LabelledRows
from fastnn.training.mapped import files_of
from fastnn.training.orders import RowOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.many import Fits
    from fastnn.sklearn.base import BaseMLP


class Descent:
    """The training of an estimator's network, which has been built already.

    Parameters
    ----------
    estimator : BaseMLP
        Its random state draws the rows to hold out, and then the orders of rows.
    rows : LabelledRows
    validation : LabelledRows or None
        If None, early stopping holds out some of the rows.
    incremental : bool, default False
        Whether to train one epoch, as `partial_fit` does.
    """

    def __init__(
        self,
        estimator: BaseMLP,
        rows: LabelledRows,
        validation: LabelledRows | None,
        incremental: bool = False,
    ) -> None:
        est = self.estimator = estimator
        # Here, where the list is the user's: the recorder will be in front of it.
        self.given = _checks.callback_list(est.callbacks or (), Callback)
        _checks.files_written(self.given, files_of(rows.X, rows.y))
        if est.early_stopping and validation is None:
            rows, validation = _held_out(est, rows)
        if validation is not None:
            if est.early_stopping and is_regressor(est) and len(validation) < 2:
                raise ValueError(
                    "X_val has 1 row, but early_stopping=True scores by R², which needs 2 or more "
                    "rows; pass more rows, or leave out X_val and y_val"
                )
            if est.validation_loss_curve_ is None:
                est.validation_loss_curve_ = []
        est._divergence = None
        self.rows, self.validation, self.incremental = rows, validation, incremental
        self.epochs = 1 if incremental else int(est.max_iter)
        self.batch_size = _rows_of_a_batch(est, len(rows))
        is_own = isinstance(est.random_state, Integral)  # others may share a RandomState
        self.order = RowOrder(len(rows), est._random_state, is_own) if est.shuffle else None
        self.metrics = ["mse"] if est._averages_outputs() else []
        self.recorder = (
            WeightedEpochRecorder(est, rows, validation, self.order, self.batch_size)
            if rows.are_weighted
            else EpochRecorder(est, rows, validation)
        )

    @property
    def shuffle(self) -> Any:
        """The object that draws the orders of rows; False for no shuffling."""
        return False if self.order is None else self.order

    @property
    def callbacks(self) -> list[Callback]:
        """The callbacks of the training."""
        return [self.recorder, *self.given]

    def run(self) -> None:
        """Train the network."""
        rows, validation = self.rows.picked(), self.validation
        if validation is not None:
            validation = validation.picked()
        self.recorder.training, self.recorder.validation = rows, validation
        net = self.estimator.net_
        net._state.network.is_disposable = self._drops_diverged_network
        try:
            net.fit(
                rows.X,
                rows.y,
                sample_weight=rows.sample_weight,
                batch_size=self.batch_size,
                epochs=self.epochs,
                shuffle=self.shuffle,
                validation_data=None if validation is None else validation.as_arguments(),
                metrics=self.metrics,
                callbacks=self.callbacks,
            )
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        finally:
            net._state.network.is_disposable = False
        self.finish()
        self.warn_if_unconverged()

    @property
    def _drops_diverged_network(self) -> bool:
        """Whether nothing uses the network if its loss is no longer finite.

        Training then takes less memory: no copy of the parameters is kept to go back to.
        """
        est = self.estimator
        return not (self.incremental or est.early_stopping or est.callbacks)

    def finish(self) -> None:
        """Set the network to its best weights, unless the engine has done so.

        If the loss became non-finite, raise an error; with `early_stopping`, warn instead.
        """
        est, best = self.estimator, self.recorder.best_weights
        if best is not None:
            est.net_.set_weights(best)
        if est._divergence is None:
            return
        if not est.early_stopping:
            raise est._divergence_error(self.rows.without_inputs().y) from est._divergence
        has_score = est.best_validation_score_ > -np.inf
        kept = "those of the best validation score" if has_score else "the initial ones"
        warn(
            f"Training stopped in epoch {est.n_iter_}, in which the loss was no longer finite. The "
            f"weights are {kept}. Use a lower learning rate, or scale X and y.",
            ConvergenceWarning,
        )

    def warn_if_unconverged(self) -> None:
        """Warn if `max_iter` ended the training before it converged."""
        if self.is_unconverged:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({self.estimator.max_iter}) reached and "
                "the optimization hasn't converged yet.",
                ConvergenceWarning,
            )

    @property
    def is_unconverged(self) -> bool:
        """Whether the training ended because of `max_iter`, before it converged."""
        est = self.estimator
        is_last = est.n_iter_ == est.max_iter and est._divergence is None
        return is_last and not (self.incremental or self.recorder.converged)

    @property
    def _shared(self) -> tuple[Any, ...]:
        """The key of trainings that one call can do: the ids of their arrays, and their metrics."""
        rows, validation = self.rows, self.validation
        arrays = [rows.X, rows.y, rows.sample_weight]
        if validation is not None:
            arrays += [None] if validation.X is rows.X else [validation.X, validation.y]
        return (*map(id, arrays), *self.metrics)


def _held_out(est: BaseMLP, rows: LabelledRows) -> tuple[LabelledRows, LabelledRows]:
    """Return the rows to train on and the rows held out, by scikit-learn's split."""
    training, validation = train_test_split(
        np.arange(len(rows)),
        random_state=est._random_state,
        test_size=est.validation_fraction,
        stratify=est._strata(rows.without_inputs().y),
    )
    if len(validation) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return rows.some(training), rows.some(validation)


def _rows_of_a_batch(est: BaseMLP, n: int) -> int:
    """Return the batch size for n rows."""
    if isinstance(est.batch_size, str):
        return min(200, n)
    if est.batch_size > n:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return min(int(est.batch_size), n)


def run_all(
    descents: Sequence[Descent], *, n_threads: int | None = None, verbose: bool = False
) -> list[Fits]:
    """Train the networks of many estimators; return the result of each call of `fit_many`.

    After Ctrl-C, the last result is marked as interrupted, and no further calls are made.

    Networks that share the arrays of their rows and weights, and their validation, are trained by
    one call. Each network gets the same bits as by `Descent.run`. `Descent.finish` is left to the
    caller.
    """
    _checks.no_files_of_several([descent.given for descent in descents])
    calls: dict[Any, list[Descent]] = {}
    for descent in descents:
        calls.setdefault(descent._shared, []).append(descent)
    found = []
    for some in calls.values():
        found.append(_run_together(some, n_threads, verbose))
        if found[-1].interrupted:
            break
    return found


def _run_together(descents: Sequence[Descent], n_threads: int | None, verbose: bool) -> Fits:
    """Train networks that share their arrays."""
    first = descents[0]
    rows, validation_rows = first.rows, [descent.validation for descent in descents]
    validation: Any = None
    if first.validation is not None and first.validation.X is rows.X:
        validation = [each.numbers for each in validation_rows if each is not None]
    elif first.validation is not None:
        validation = first.validation.as_arguments()
    return fit_many(
        [descent.estimator.net_ for descent in descents],
        rows.X,
        rows.y,
        sample_weight=rows.sample_weight,
        rows=[descent.rows.numbers for descent in descents],
        validation=validation,
        epochs=[descent.epochs for descent in descents],
        batch_size=[descent.batch_size for descent in descents],
        shuffle=[descent.shuffle for descent in descents],
        metrics=first.metrics,
        callbacks=CallbacksOfEach([descent.callbacks for descent in descents]),
        n_threads=n_threads,
        verbose=int(verbose),
    )
