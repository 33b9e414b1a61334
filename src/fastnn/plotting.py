"""Pictures of a training; matplotlib is needed, and imported, only when one is drawn.

Not here: numbers (callbacks.py keeps a training's, inspection.py a network's).
"""

import math

from fastnn import _checks

_CURVES, _BEST = "#0072b2", "#777777"  # of the colours of Okabe and Ito
_FEW = 30  # epochs that are also shown as dots


def learning_curves(history, path=None, ax=None):
    """Draw the losses of a training and its other metrics, epoch by epoch.

    Parameters
    ----------
    history : History
        What `MLP.fit` returned.
    path : str or path, optional
        Where to save the picture; the ending says in which format.
    ax : matplotlib Axes, optional
        Where to draw the losses; the other metrics are then left out. By default a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        An axes for the losses and below it one for each other metric: training solid, validation
        dashed, on a logarithmic scale the learning rate and what spans two decades. A dotted line
        marks the epoch with the least "val_loss", or "loss" without validation. Values that are not
        finite leave gaps.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the history is empty, or has not a value for each epoch.

    Notes
    -----
    pyplot is not touched, so no window opens and no display is needed. A notebook shows the figure
    that is returned.

    Examples
    --------
    >>> from fastnn import MLP, Dense
    >>> from fastnn.plotting import learning_curves
    >>> net = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam")
    >>> history = net.fit([[0.0], [1.0]], [1.0, 3.0], epochs=100)
    >>> figure = learning_curves(history, "curves.png")  # doctest: +SKIP
    """
    matplotlib_figure = _checks.installed("matplotlib.figure", "plotting")
    ticker = _checks.installed("matplotlib.ticker", "plotting")
    _checks.history(history)
    names = _metrics(history.history)
    if ax is None:
        heights = [3.4, *[1.8] * (len(names) - 1)]
        size = 6.4, 0.8 + sum(heights)
        figure = matplotlib_figure.Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(names), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        first, last = history.epoch[0], history.epoch[-1]
        margin = max(0.5, 0.02 * (last - first))
        axes[0].set_xlim(first - margin, last + margin)  # all of them, NaN at the end or not
    else:
        figure, axes = ax.figure.canvas.figure, [ax]  # the whole one, not a SubFigure
        names = names[:1]
    best = _best_epoch(history)
    for name, each in zip(names, axes, strict=True):
        _draw(each, name, history, best)
    axes[0].set_title("Learning curves")
    axes[-1].set_xlabel("epoch")
    whole = ticker.MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    axes[-1].xaxis.set_major_locator(whole)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _metrics(columns):
    """Return the metrics' names without "val_": the loss first, the learning rate last."""
    order = {"loss": 0, "learning_rate": 2}
    names = dict.fromkeys(name.removeprefix("val_") for name in columns)
    return sorted(names, key=lambda name: order.get(name, 1))


def _best_epoch(history):
    """Return (epoch, loss) where the loss to judge by is least; None where none is finite."""
    losses = history.history.get("val_loss", history.history.get("loss", ()))
    rated = zip(losses, history.epoch, strict=False)
    finite = [(loss, epoch) for loss, epoch in rated if math.isfinite(loss)]
    return min(finite)[::-1] if finite else None


def _spans_decades(name, history):
    """Whether a metric's values are all positive, and the largest 100 times the least."""
    columns = (history.history.get(key, ()) for key in (name, f"val_{name}"))
    values = [value for column in columns for value in column if math.isfinite(value)]
    return bool(values) and 0 < 100 * min(values) <= max(values)


def _draw(ax, name, history, best):
    """Draw one metric, and where the best epoch is."""
    marker = "." if len(history.epoch) <= _FEW else ""
    curves = (name, "-", "training"), (f"val_{name}", "--", "validation")
    for key, dashes, label in curves:
        if key in history.history:
            values = [v if math.isfinite(v) else math.nan for v in history.history[key]]
            style = {"color": _CURVES, "linestyle": dashes, "marker": marker}
            ax.plot(history.epoch, values, label=label, **style)
    if best is not None:
        label = f"best epoch {best[0]}: {best[1]:.3g}" if name == "loss" else None
        ax.axvline(best[0], color=_BEST, linestyle=":", label=label)
    if name == "learning_rate" or _spans_decades(name, history):
        ax.set_yscale("log")
    if name != "learning_rate":
        ax.legend(edgecolor="none")
    ax.set_ylabel(name.replace("_", " "))
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
