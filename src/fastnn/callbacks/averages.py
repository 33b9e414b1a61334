"""SwapEMAWeights: a fit that judges the moving averages of the weights.

Not here: the averages, which the optimizer keeps (optimizers.py), and the passes over validation
rows that take them (training/, engine/tasks.pxd).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    from fastnn.callbacks.base import Logs


@_checks.explaining
class SwapEMAWeights(Callback):
    """Let validation judge the moving averages of the weights, which the optimizer keeps.

    The losses and metrics of validation rows, such as "val_loss", are then those of `MLP.averaged`.
    `EarlyStopping` with ``restore_best_weights=True`` restores the averages of the best epoch.
    `ModelCheckpoint` with ``save_best_only=True`` saves at their best value; the file has weights
    and averages, and ``fastnn.load(path).averaged()`` is the network that was judged. Updates and
    the losses of training take the weights themselves.

    Raises
    ------
    ValueError
        In `fit`, if the optimizer keeps no average (``use_ema=True``).

    Notes
    -----
    A fit whose callbacks are this one, `EarlyStopping` and `ReduceLROnPlateau` is one call of the
    engine. Keras' callback of this name exchanges the weights with the averages during evaluation;
    here they stay where they are.

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
