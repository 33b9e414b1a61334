"""SwapEMAWeights: validation with the moving averages of the weights.

Not here: the averages, which the optimizer keeps (optimizers.py), and the passes over validation
rows that use them (training/, engine/evaluation.pxd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    from fastnn.callbacks.base import Logs


@_checks.explaining
class SwapEMAWeights(Callback):
    """Validate the moving averages of the weights, which the optimizer keeps.

    Losses and metrics of validation rows, such as "val_loss", are then those of `MLP.averaged`.
    `EarlyStopping` with ``restore_best_weights=True`` restores the averages of the best epoch.
    `ModelCheckpoint` with ``save_best_only=True`` compares the values of the averages; the file
    holds weights and averages, and ``fastnn.load(path).averaged()`` is the network that was
    validated. Updates and training losses use the weights themselves.

    Raises
    ------
    ValueError
        In `fit`, if the optimizer keeps no average (``use_ema=True``).

    Notes
    -----
    A fit that has no callbacks but this one, `EarlyStopping` and `ReduceLROnPlateau` is carried out
    in one call of the engine. Keras' callback of this name swaps weights and averages for the
    evaluation; here nothing is swapped.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Adam, Dense, EarlyStopping, SwapEMAWeights
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> net = MLP(2, [Dense(8, "tanh"), Dense(1)], loss="squared_error",
    ...           optimizer=Adam(0.01, use_ema=True, ema_momentum=0.9), seed=0)
    >>> stop = EarlyStopping(patience=5, restore_best_weights=True)
    >>> history = net.fit(X[:40], X[:40, 0], epochs=9, validation_data=(X[40:], X[40:, 0]),
    ...                   callbacks=[SwapEMAWeights(), stop])
    >>> net.evaluate(X[40:], X[40:, 0]) == min(history.history["val_loss"])
    True
    """

    def on_train_begin(self, logs: Logs) -> None:
        """Check that the optimizer keeps the averages."""
        _checks.averages(self.model.optimizer)
