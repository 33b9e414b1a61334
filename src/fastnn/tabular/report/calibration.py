"""Calibration: whether about 70 % of the rows with a probability of 70 % belong to the class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular.report.html import (
    Html,
    capitalized,
    counted,
    figure,
    grid,
    joined,
    legend,
    paragraph,
    percent,
    table,
)
from fastnn.tabular.report.svg import Axis, Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.tabular.report.subject import Subject

_BINS, _Z = 10, 1.96


@dataclass(frozen=True)
class Reliability:
    """Rows in bins of equal width by their predicted probability; empty bins are left out.

    Parameters
    ----------
    low, high : ndarray of shape (k,)
        The ends of the bins.
    n : ndarray of int of shape (k,)
        Number of rows in each bin.
    mean : ndarray of shape (k,)
        Mean predicted probability of these rows.
    share : ndarray of shape (k,)
        Share of these rows for which the prediction is true.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.intp]
    mean: NDArray[np.float64]
    share: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: NDArray[Any], is_true: NDArray[np.bool_]) -> Reliability:
        """Return the bins of probabilities (n,), given whether each prediction is true (n,)."""
        place = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
        n = np.bincount(place, minlength=_BINS)
        kept = np.flatnonzero(n)
        sums = [np.bincount(place, each, _BINS)[kept] for each in (probabilities, is_true)]
        mean, share = (each / n[kept] for each in sums)
        return cls(kept / _BINS, (kept + 1) / _BINS, n[kept], mean, share)

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance between shares and mean probabilities.

        Bins are weighted by their rows (Naeini, Cooper, Hauskrecht, AAAI 2015).
        """
        return float((self.n * np.abs(self.share - self.mean)).sum() / self.n.sum())

    @property
    def error_by_chance(self) -> float:
        """The expected error of exact probabilities on so few rows, approximately.

        A share of n rows with probability p has standard deviation sqrt(p (1 - p) / n), and the
        mean distance of a normal variable from its mean is sqrt(2 / pi) times its standard
        deviation.
        """
        spread = np.sqrt(self.mean * (1 - self.mean) / self.n)
        return float((self.n * spread).sum() / self.n.sum() * math.sqrt(2 / math.pi))

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends of the 95 % intervals of the shares (Wilson, 1927)."""
        n, share, z = self.n, self.share, _Z
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        room = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        # Rounded, the interval of a share of 0 or 1 may end just outside of [0, 1].
        return np.maximum(middle - room, 0.0), np.minimum(middle + room, 1.0)


def section(subject: Subject) -> Html:
    """Return the reliability curve, and the number of rows at each probability."""
    classes, outputs, labels = subject.classes or [], subject.outputs, subject.targets
    if len(classes) == 2:
        what, is_true = f"{classes[1]}", labels == 1
        found = Reliability.of(outputs[:, 1], is_true)
        of, share = f"probability of {what}", f"share of {what}"
    else:
        is_true = labels == outputs.argmax(axis=1)
        found = Reliability.of(outputs.max(axis=1), is_true)
        of, share = "probability of the most probable class", "share of correct predictions"
    text = (
        f"Rows are grouped by the {of}. If probabilities are well calibrated, the {share} "
        "in each group equals its mean probability. The expected calibration error (ECE), the mean "
        f"difference between the two, is {found.error:.3f}; with {counted(subject.n, 'row')}, even "
        f"exact probabilities give about {found.error_by_chance:.3f} by chance."
    )
    if subject.is_weighted:
        text += " Class weights in training shift the probabilities on purpose."
    key = legend([("dot one", "a group, with its 95 % interval"), ("line muted dotted", "ideal")])
    low, high = found.interval()
    head = [capitalized(of), "Rows", "Mean probability", capitalized(share), "95 % interval"]
    rows = [
        [f"{found.low[i]:.1f} to {found.high[i]:.1f}", f"{found.n[i]:,}", percent(found.mean[i]),
         percent(found.share[i]), f"{percent(low[i])} to {percent(high[i])}"]
        for i in range(len(found.n))
    ]  # fmt: skip
    numbers = table("Groups by probability", head, rows)
    caption = (
        f"Expected calibration error: {found.error:.3f}, over {counted(len(found.n), 'group')}."
    )
    return joined([
        paragraph(text),
        grid(
            figure(_curve(found, of, share), caption, numbers, key),
            figure(_counts(found, of), f"{counted(subject.n, 'row')} by their probability."),
        ),
    ])  # fmt: skip


def _curve(found: Reliability, of: str, share: str) -> Html:
    """Return the drawing of shares against mean probabilities."""
    says = f"The expected calibration error is {found.error:.3f}"
    x, y = Axis(of, 0.0, 1.0), Axis(share, 0.0, 1.0)
    chart = Chart("calibration", "Reliability curve", says, x, y, 330)
    chart.line([0, 1], [0, 1], "muted dotted")
    low, high = found.interval()
    for i, mean in enumerate(found.mean.tolist()):
        chart.whisker((mean, mean), (float(low[i]), float(high[i])))
    chart.line(found.mean, found.share, "one thin")
    for n, mean, rate in zip(found.n, found.mean.tolist(), found.share.tolist(), strict=True):
        chart.dot(
            mean, rate, "one", f"{counted(n, 'row')}: {percent(mean)}, observed {percent(rate)}"
        )
    return chart.svg()


def _counts(found: Reliability, of: str) -> Html:
    """Return the drawing of the number of rows by probability."""
    y = Axis("rows", 0.0, 1.06 * float(found.n.max()), is_count=True)
    title = "Rows by probability"
    says = f"The largest group has {counted(int(found.n.max()), 'row')}"
    chart = Chart("probabilities", title, says, Axis(of, 0.0, 1.0), y, 330)
    for low, high, n in zip(found.low.tolist(), found.high.tolist(), found.n.tolist(), strict=True):
        chart.bar((low, high), (0.0, n), "one", f"{low:.1f} to {high:.1f}: {counted(n, 'row')}")
    return chart.svg()
