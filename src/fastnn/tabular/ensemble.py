"""Networks that suit most tables, and how the estimators for tables and `fastnn train` train them.

Wide networks take the rich codes of the columns (learning.py). Hidden biases are drawn from the
standard normal distribution, and the first layer has four times the learning rate. The optimizer is
AdamW with decoupled weight decay, a warm-up, and cosine decay to zero. A moving average of the
weights is validated after each epoch, and the best one is kept. Class labels are smoothed, and the
probabilities are sharpened after training. Several networks, each with its own seed and validation
rows, predict together: their outputs are averaged.

Here: the numbers of this recipe, the rows of each network, and one call of `fit_many`. Not here:
tables and columns (learning.py, recipe.py), the scaling of a target (target_scaling.py), parameters
of the estimators (sklearn/), options (cli/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks import EarlyStopping, SwapEMAWeights
from fastnn.layers import Dense, Dropout
from fastnn.losses import CrossEntropy
from fastnn.many import Fits, fit_many
from fastnn.mlp import MLP
from fastnn.optimizers import AdamW
from fastnn.schedules import CosineDecay, LinearWarmup
from fastnn.splits import pick
from fastnn.tabular.calibration import sharpen, sharpness
from fastnn.tabular.errors import TableError
from fastnn.tabular.target_scaling import TargetScaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.layers import Layer
    from fastnn.sparse_rows import SparseRows

#: Number of networks that predict together.
N_NETS = 5

#: Factor of the first hidden layer's learning rate.
_FIRST_RATE = 4.0

#: The fraction of the updates during which the learning rate warms up.
_WARM_UP = 0.05

_EPOCHS, _MOST_EPOCHS, _LEAST_EPOCHS = 50, 150, 4
_LEAST_UPDATES, _MOST_UPDATES = 3000, 8000

#: Training ends after this fraction of its epochs, or this many, without improvement.
_PATIENCE, _LEAST_PATIENCE = 0.15, 5


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters of the recipe.

    Parameters
    ----------
    hidden : sequence of int
        Units of the hidden layers.
    activation : str or Activation
        Activation of the hidden layers.
    dropout : float
        Dropout rate of the outputs of every hidden layer.
    learning_rate, weight_decay, ema_momentum : float
        Hyper-parameters of AdamW: the peak rate, the decoupled decay, and the momentum of the
        moving average.
    batch_size : int
    epochs : int or None
        None for a number that depends on the number of rows.
    validation : float
        The fraction of the rows used to validate each network; 0 for none.
    label_smoothing : float
        Smoothing of class labels. The probabilities are sharpened after training, by a factor found
        on the validation rows.
    dtype : str
    """

    hidden: Sequence[int] = (192, 192, 192)
    activation: Any = "silu"
    dropout: float = 0.05
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    ema_momentum: float = 0.99
    batch_size: int = 64
    epochs: int | None = None
    validation: float = 0.15
    label_smoothing: float = 0.1
    dtype: str = "float32"

    def n_epochs(self, n: int) -> int:
        """Return the number of epochs of a network that is trained on n rows.

        It is 50, or more or fewer to make at least 3,000 and at most 8,000 updates, from 4 to 150.
        """
        if self.epochs is not None:
            return self.epochs
        updates = math.ceil(n / self.batch_size)
        most = max(_LEAST_EPOCHS, _MOST_UPDATES // updates)
        return min(_MOST_EPOCHS, most, max(_EPOCHS, math.ceil(_LEAST_UPDATES / updates)))

    def stopping(self, n: int) -> EarlyStopping:
        """Return early stopping for n training rows, which keeps the weights of the best epoch."""
        patience = max(_LEAST_PATIENCE, math.ceil(_PATIENCE * self.n_epochs(n)))
        return EarlyStopping(patience=patience, restore_best_weights=True)

    def network(self, n_in: int, n_out: int, output: str, loss: Any, n: int, seed: int) -> MLP:
        """Return an untrained network for n training rows."""
        epochs = self.n_epochs(n)
        updates = max(2, epochs * math.ceil(n / self.batch_size))
        warm_up = max(1, round(_WARM_UP * updates))
        cosine = CosineDecay(self.learning_rate, max(1, updates - warm_up))
        optimizer = AdamW(
            LinearWarmup(cosine, warm_up),
            weight_decay=self.weight_decay,
            use_ema=True,
            ema_momentum=self.ema_momentum,
        )
        layers: list[Layer] = []
        for i, units in enumerate(self.hidden):
            layers.append(
                Dense(
                    units,
                    self.activation,
                    bias_initializer="standard_normal",
                    learning_rate_multiplier=1.0 if i else _FIRST_RATE,
                )
            )
            layers += [Dropout(self.dropout)] if self.dropout else []
        layers.append(Dense(n_out, output))
        return MLP(n_in, layers, loss=loss, optimizer=optimizer, dtype=self.dtype, seed=seed)


@dataclass
class TrainedNetworks:
    """Trained networks, and the rows that validated each of them.

    Parameters
    ----------
    fits : Fits
        The networks; their outputs are in the units of the target.
    validation : list of ndarray of int
        For each network, the numbers of its validation rows.
    """

    fits: Fits
    validation: list[NDArray[np.intp]]


def train(
    settings: Settings,
    X: NDArray[Any] | SparseRows,
    y: NDArray[Any],
    *,
    n_classes: int | None,
    seeds: Sequence[int],
    output: str = "softmax",
    loss: Any = None,
    sample_weight: NDArray[Any] | None = None,
    target: str = "y",
    n_threads: int | None = None,
    verbose: bool = False,
) -> TrainedNetworks:
    """Train one network per seed on rows X (n, n_in).

    Parameters
    ----------
    settings : Settings
    X : ndarray or SparseRows of shape (n, n_in)
    y : ndarray of shape (n,)
        Numbers, or labels 0, 1, ... of classes.
    n_classes : int or None
        None for regression.
    seeds : sequence of int
        Each seed determines a network: its weights, its validation rows and the orders of its rows.
    output, loss : str, Loss, optional
        The output activation and loss of regression networks, whose target is scaled for training
        and scaled back in the last layer. By default those for classes.
    target : str, default "y"
        The name of y in messages.
    sample_weight, n_threads, verbose
        As in `fit_many`.

    Returns
    -------
    TrainedNetworks
    """
    labels = None if n_classes is None else y
    used = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight)
    rows, validation = _split(settings, labels, used, seeds)
    scaling = None
    if labels is None:
        scaling = TargetScaling.of(target, y[used], output, settings.dtype)
    n_out = 1 if n_classes is None else n_classes
    loss = CrossEntropy(settings.label_smoothing) if loss is None else loss
    fits = fit_many(
        [
            settings.network(X.shape[1], n_out, output, loss, len(some), seed)
            for some, seed in zip(rows, seeds, strict=True)
        ],
        X,
        y if scaling is None else scaling.scaled(y),
        rows=rows,
        validation=validation or None,
        epochs=[settings.n_epochs(len(some)) for some in rows],
        batch_size=settings.batch_size,
        sample_weight=sample_weight,
        callbacks=[SwapEMAWeights(), settings.stopping(len(rows[0]))] if validation else [],
        n_threads=n_threads,
        verbose=verbose,
    )
    kept = np.flatnonzero(fits.is_trained).tolist()
    if not kept:
        raise KeyboardInterrupt
    if fits.interrupted:
        fits, validation = fits.some(kept), [validation[i] for i in kept] if validation else []
    for net in fits:
        if not validation:
            net.set_weights(net.get_ema_weights())
        if scaling is not None:
            scaling.undo(net)
    if labels is not None and settings.label_smoothing:
        _sharpen(fits, validation, X, labels, sample_weight)
    for net in fits:  # whose averages are those of the last epoch, without scaling and sharpening
        net._state.restart_averages()
    return TrainedNetworks(fits, validation)


def _sharpen(
    fits: Fits,
    validation: list[NDArray[np.intp]],
    X: NDArray[Any] | SparseRows,
    labels: NDArray[Any],
    sample_weight: NDArray[Any] | None,
) -> None:
    """Undo the effect of label smoothing on the probabilities, by one factor for all logits."""
    pairs = [
        (net.predict(X[some]), labels[some], None if sample_weight is None else sample_weight[some])
        for net, some in zip(fits, validation, strict=False)
    ]
    factor = sharpness(pairs)
    for net in fits:
        sharpen(net, factor)


def _split(
    settings: Settings, labels: NDArray[Any] | None, used: NDArray[np.intp], seeds: Sequence[int]
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    """Return the training rows and the validation rows of each seed's network.

    At least one row validates each network, unless no validation is wanted.
    """
    if not settings.validation:
        return [used] * len(seeds), []
    n = len(used)
    fraction = max(settings.validation, (1 + 1e-9) / n)  # n times it is at least 1
    validation = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 1])  # a different stream than that of the weights
        some = None if labels is None else labels[used]
        validation.append(used[pick(rng, some, n, fraction)])
    if not all(map(len, validation)):
        why = "is the only one" if n == 1 else "is the only one of its class"
        raise TableError(
            f"the validation fraction {settings.validation:g} needs a row to hold out, but each "
            f"row to train on ({n:,}) {why}; add rows, or train without validation: fraction 0 (on "
            "the command line: --validation 0)"
        )
    return [np.setdiff1d(used, each) for each in validation], validation
