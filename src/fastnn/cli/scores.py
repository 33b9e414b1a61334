"""Scores on the test rows, of a network and of a baseline that ignores the inputs.

Not here: printing scores (result_text.py), and their arithmetic (tabular/scores.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.tabular.scores import frequencies, of_classes, of_numbers, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.sparse_rows import SparseRows
    from fastnn.tabular.encoding import Rows


class Predictor(Protocol):
    """An object that predicts outputs (n, n_out) from inputs: one network, or several."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the inputs."""

    @property
    def n_out(self) -> int:
        """Number of outputs."""

    def predict(self, X: NDArray[Any] | SparseRows) -> NDArray[Any]:
        """Return outputs (n, n_out) for rows X (n, n_in)."""


def scores(
    net: Predictor,
    encoded: Rows,
    y: NDArray[Any],
    rows: dict[str, NDArray[np.intp]],
    objective: Objective,
    is_weighted: bool,
) -> dict[str, dict[str, float | None] | None]:
    """Return the scores on the test rows by name: "test" for the network, "baseline".

    The baseline predicts, for all rows, the constant that minimizes the loss on the training rows,
    or the frequencies of their classes. Without test rows both are None. A score that is undefined
    is None. `is_weighted` says whether training used class weights.
    """
    test = rows["test"]
    if len(test) == 0:
        return {"test": None, "baseline": None}
    outputs = net.predict(encoded.inputs(test, net.dtype)).astype(np.float64)
    training = y[rows["training"]]
    if objective.name == "cross_entropy":
        guess = np.tile(frequencies(training, net.n_out), (len(test), 1))
        found = [of_classes(out, y[test], is_weighted) for out in (outputs, guess)]
    else:
        guess = np.full((len(test), 1), objective.constant(training))
        level = _quantile_of(objective)
        found = [of_numbers(out[:, 0], y[test], level) for out in (outputs, guess)]
    return dict(zip(("test", "baseline"), map(plain, found), strict=True))


def names_of(objective: Objective, n_classes: int, is_weighted: bool) -> list[str]:
    """Return the names of the scores of a task."""
    if objective.name != "cross_entropy":
        return [*of_numbers(np.zeros(2), np.arange(2), _quantile_of(objective))]
    return [*of_classes(np.full((2, n_classes), 0.5), np.arange(2), is_weighted)]


def _quantile_of(objective: Objective) -> float | None:
    """Return the quantile that is predicted, None for other objectives."""
    return objective.value if objective.name == "quantile" else None
