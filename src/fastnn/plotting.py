"""Plots of a training. matplotlib is imported when a plot is drawn.

Not here: the data of the plots (`History` in callbacks/history.py).
"""

from __future__ import annotations

import functools
import io
import math
import os
from typing import TYPE_CHECKING, Any

from fastnn import _checks, _files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastnn.callbacks import History

_CURVES, _BEST = "#0072b2", "#777777"  # a blue of Okabe and Ito's palette, grey
_FEW = 30  # up to this many epochs are marked by dots


def learning_curves(
    history: History, path: str | os.PathLike[str] | None = None, ax: Axes | None = None
) -> Figure:
    """Plot the losses and the other metrics of a training against the epoch.

    Parameters
    ----------
    history : History
        The result of `MLP.fit`.
    path : str or path, optional
        A file to save the figure to; its extension determines the format. Without an extension,
        ".png" is added.
    ax : matplotlib Axes, optional
        Axes to plot the losses on; the other metrics are then left out. By default a new figure is
        made.

    Returns
    -------
    matplotlib.figure.Figure
        A figure with axes for the losses, and below them axes for each other metric. Curves of
        training are solid, those of validation dashed. The learning rate, and values that span two
        decades, have a logarithmic scale. A dotted line marks the epoch with the lowest "val_loss",
        or "loss" without validation. Values that are not finite leave gaps.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If the history is empty or lacks a number for an epoch, if `ax` is not an Axes, or if `path`
        is not a path, holds a network or has an extension that matplotlib does not know.
    OSError
        If the figure cannot be saved; an existing file is left unchanged.

    Notes
    -----
    pyplot is not used, so that no window opens and no display is needed. A notebook shows the
    figure if the call is the last line of a cell.

    Examples
    --------
    >>> from fastnn import MLP, Dense
    >>> from fastnn.plotting import learning_curves
    >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
    >>> figure = learning_curves(history, "curves.png")  # doctest: +SKIP
    """
    path = None if path is None else _checks.figure_path("path", path)
    matplotlib_figure = _checks.installed("matplotlib.figure", "plotting")
    ticker = _checks.installed("matplotlib.ticker", "plotting")
    _checks.history(history, of_numbers=True)
    ending = None if path is None else _format_of(path)
    if ax is not None:
        kind = _checks.installed("matplotlib.axes", "plotting").Axes
        _checks.one_of_these("ax", ax, kind, "an Axes of matplotlib, one of those of a figure")
    names = _metrics(history.history)
    figure: Figure
    axes: Any
    if ax is None:
        heights = [3.4, *[1.8] * (len(names) - 1)]
        size = 6.4, 0.8 + sum(heights)
        figure = matplotlib_figure.Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(names), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        first, last = history.epoch[0], history.epoch[-1]
        margin = max(0.5, 0.02 * (last - first))
        axes[0].set_xlim(first - margin, last + margin)  # also shows epochs with NaN at the end
        vars(figure)["_repr_png_"] = functools.partial(_png, figure)  # shown by IPython
    else:
        figure, axes = ax.figure.canvas.figure, [ax]  # the whole figure, not a SubFigure
        names = names[:1]
    best = _best_epoch(history)
    for name, each in zip(names, axes, strict=True):
        _draw(each, name, history, best)
    axes[0].set_title("Learning curves")
    axes[-1].set_xlabel("epoch")
    whole = ticker.MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    axes[-1].xaxis.set_major_locator(whole)
    if path is not None:
        with _files.replacing(path) as file:
            figure.savefig(file, format=ending, dpi=150)
    return figure


def _format_of(path: str) -> str:
    """Return the format of a figure by the extension of its path."""
    base = _checks.installed("matplotlib.backend_bases", "plotting").FigureCanvasBase
    found = os.path.splitext(path)[1][1:].lower()
    _checks.figure_format("path", path, found, sorted(base.get_supported_filetypes()))
    return found


def _png(figure: Figure) -> bytes:
    """Return the PNG image that a notebook shows, whether or not pyplot has been imported."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _metrics(columns: Iterable[str]) -> list[str]:
    """Return the names of metrics without "val_": the loss first, the learning rate last."""
    order = {"loss": 0, "learning_rate": 2}
    names = dict.fromkeys(name.removeprefix("val_") for name in columns)
    return sorted(names, key=lambda name: order.get(name, 1))


def _best_epoch(history: History) -> tuple[int, float] | None:
    """Return (epoch, loss) for the lowest loss of validation, or of training; None if all NaN."""
    losses = history.history.get("val_loss", history.history.get("loss", ()))
    rated = zip(losses, history.epoch, strict=False)
    finite = [(loss, epoch) for loss, epoch in rated if math.isfinite(loss)]
    if not finite:
        return None
    loss, epoch = min(finite)
    return epoch, loss


def _is_logarithmic(name: str, history: History) -> bool:
    """Return whether a metric has a logarithmic scale.

    The learning rate has one if a value is positive; another metric if all values are positive and
    the largest is 100 times another.
    """
    columns = (history.history.get(key, ()) for key in (name, f"val_{name}"))
    values = [value for column in columns for value in column if math.isfinite(value)]
    if name == "learning_rate":
        return max(values, default=0.0) > 0
    return bool(values) and 0 < 100 * min(values) <= max(values)


def _free_corner(name: str, history: History) -> str:
    """Return the corner for the legend: lower right if the curve rises, otherwise upper right.

    Matplotlib's search for the best place takes seconds for a long training, and warns about it.
    """
    values = [v for v in history.history.get(name, ()) if math.isfinite(v)]
    return "lower right" if values and values[-1] > values[0] else "upper right"


def _draw(ax: Axes, name: str, history: History, best: tuple[int, float] | None) -> None:
    """Plot one metric and the best epoch."""
    marker = "." if len(history.epoch) <= _FEW else ""
    curves = (name, "-", "training"), (f"val_{name}", "--", "validation")
    for key, dashes, label in curves:
        if key in history.history:
            values = [v if math.isfinite(v) else math.nan for v in history.history[key]]
            style: dict[str, Any] = {"color": _CURVES, "linestyle": dashes, "marker": marker}
            ax.plot(history.epoch, values, label=label, **style)
    if best is not None:
        text = f"best epoch {best[0]}: {best[1]:.3g}" if name == "loss" else None
        ax.axvline(best[0], color=_BEST, linestyle=":", label=text)
    if _is_logarithmic(name, history):
        ax.set_yscale("log")
    if name != "learning_rate":
        ax.legend(loc=_free_corner(name, history), edgecolor="none")
    ax.set_ylabel(name.replace("_", " "))
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
