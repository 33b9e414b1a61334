"""What listens to `fit`: the hooks, and the history that every `fit` returns.

Not here: the training loop (mlp.py calls the hooks).
"""


class Callback:
    """Base of callbacks: override the hooks you need; `model` is the MLP in training.

    Setting ``self.model.stop_training = True`` in a hook ends `fit` after the epoch. Hooks get a
    dict of logs: ``{"loss": ..., "val_loss": ...}`` at the end of an epoch, else an empty one.

    Examples
    --------
    >>> from fastnn import Callback
    >>> class StopWhenGood(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         if logs["loss"] < 0.1:
    ...             self.model.stop_training = True
    """

    model = None

    def on_train_begin(self, logs):
        """Called before the first epoch."""

    def on_train_end(self, logs):
        """Called after the last epoch."""

    def on_epoch_begin(self, epoch, logs):
        """Called before an epoch; the first is epoch 0."""

    def on_epoch_end(self, epoch, logs):
        """Called after an epoch, with its losses."""


class History(Callback):
    """The course of a training, as `fit` returns it.

    Attributes
    ----------
    epoch : list of int
        The epochs that were run: 0, 1, ...
    history : dict of str to list of float
        "loss" and, with validation data, "val_loss": one value an epoch. The loss is the average
        (or sum) over the epoch of the losses before each update.
    """

    def __init__(self):
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch, logs):
        """Append the epoch's losses."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.6g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs: {last}>"
