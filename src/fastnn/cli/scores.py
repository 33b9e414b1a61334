"""Scores on the test rows, of a network and of a baseline that ignores the inputs.

Not here: printing scores (result_text.py), and their arithmetic (tabular/scores.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.tabular.scores import constant, frequencies, of_classes, of_numbers, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.losses import Loss
    from fastnn.sparse_rows import SparseRows
    from fastnn.tabular.encoding import EncodedRows


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
    encoded: EncodedRows,
    y: NDArray[Any],
    rows: dict[str, NDArray[np.intp]],
    loss: Loss,
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
    if loss.takes.are_classes:
        guess = np.tile(frequencies(training, net.n_out), (len(test), 1))
        found = [of_classes(out, y[test], is_weighted) for out in (outputs, guess)]
    else:
        guess = np.full((len(test), 1), constant(loss, training))
        found = [of_numbers(out[:, 0], y[test], loss) for out in (outputs, guess)]
    return dict(zip(("test", "baseline"), map(plain, found), strict=True))


def names_of(loss: Loss, n_classes: int, is_weighted: bool) -> list[str]:
    """Return the names of the scores of networks that are trained with a loss."""
    if not loss.takes.are_classes:
        return [*of_numbers(np.zeros(2), np.arange(2), loss)]
    return [*of_classes(np.full((2, n_classes), 0.5), np.arange(2), is_weighted)]
