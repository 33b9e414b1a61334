"""History: the losses and metrics of each epoch of a training."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from fastnn import _checks, plotting
from fastnn.callbacks.base import Callback

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy as np
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fastnn.callbacks.base import Logs


def shown(value: Any) -> str:
    """Return a value of the logs as text: a number with six digits, as a rule."""
    return f"{value:.6g}" if isinstance(value, numbers.Real) else str(value)


class History(Callback):
    """The losses and metrics of each epoch of a training, as `fit` returns them.

    Attributes
    ----------
    epoch : list of int
        The epochs that were run: 0, 1, ...
    history : dict of str to list of float
        "loss", metrics and, with validation data, "val_loss", ...: one value per epoch. The loss is
        the average (or sum) over the epoch of the losses of the batches, each before its update.
        With a schedule also "learning_rate": the rate of the epoch, or of the update after it if
        the schedule counts steps.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Append the epoch's losses and metrics."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def take(self, logs: Mapping[str, NDArray[np.float64]]) -> None:
        """Append the values (n_epochs,), by name, of the next epochs of a fit."""
        n = len(next(iter(logs.values()), ()))
        if n == 0:  # without an epoch a history has no names
            return
        first = len(self.epoch)
        self.epoch.extend(range(first, first + n))
        for name, values in logs.items():
            self.history.setdefault(name, []).extend(values.tolist())

    def get_state(self) -> dict[str, Any]:
        """Return epochs and values; NaN and infinities, which JSON lacks, as "nan" and "inf"."""
        history = {
            name: [float(v) if math.isfinite(v) else str(float(v)) for v in values]
            for name, values in self.history.items()
        }
        return {"epoch": list(self.epoch), "history": history}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue with these epochs and values."""
        state = _checks.callback_state("History", state, ("epoch", "history"))
        self.epoch = list(state["epoch"])
        self.history = {name: list(map(float, v)) for name, v in state["history"].items()}

    def plot(self, path: str | os.PathLike[str] | None = None, ax: Axes | None = None) -> Figure:
        """Draw the learning curves: losses, and other metrics below them; needs matplotlib.

        Parameters
        ----------
        path : str or path, optional
            Where to save the figure; the file extension determines the format.
        ax : matplotlib Axes, optional
            Axes to draw only the losses on. By default a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure
            As `fastnn.plotting.learning_curves` describes it.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the history is empty, or a column lacks a value for some epoch.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
        >>> figure = history.plot("curves.png")  # doctest: +SKIP
        """
        figure: Figure = plotting.learning_curves(self, path, ax)
        return figure

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the history as a table; needs pandas.

        Returns
        -------
        pandas.DataFrame
            One row per epoch, with "epoch" as the index, and columns "loss", "val_loss", ...

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If a column lacks a value for some epoch.

        Examples
        --------
        >>> from fastnn import MLP, Dense
        >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
        >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
        >>> history.to_dataframe().loc[99, "loss"]  # doctest: +SKIP
        2.196
        """
        module = _checks.installed("pandas", "to_dataframe")
        _checks.history(self, empty=True)
        index = module.Index(self.epoch, dtype="int64", name="epoch")
        frame: pandas.DataFrame = module.DataFrame(self.history, index=index)
        return frame

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={shown(values[-1])}" for name, values in self.history.items())
        return f"<History of {_checks.counted(len(self.epoch), 'epoch')}: {last}>"
