"""The subject of a report: networks, their recipe, and rows that they were not trained on.

Here: the predictions and scores of these rows, computed once for all sections. Not here: how
sections show them, and which rows are held out (cli/splitting.py, users of the estimators).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.tabular import scores
from fastnn.tabular.report.html import as_text, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastnn.tabular.encoding import EncodedRows
    from fastnn.tabular.models import Model
    from fastnn.tabular.recipe import Recipe
    from fastnn.tabular.table import Table

#: The largest number that can be a target: the ends of axes are a little beyond it.
_MOST = 1e300

#: Most networks that are shown one by one.
MOST_NETS = 12


@dataclass
class Subject:
    """Networks, and held-out rows to evaluate them on.

    Parameters
    ----------
    model : Model
    recipe : Recipe
    table : Table
        The held-out rows.
    targets : ndarray of shape (n,)
        The true values of these rows: numbers, or labels 0, 1, ... of the recipe's classes.
    note : str
        Which rows these are, and how that affects the scores.
    facts : sequence of (str, str)
        Further facts about the training, by name.
    warnings : sequence of str
        Reasons to doubt the scores.
    known : ndarray of shape (n_training,), optional
        The targets that the baseline is computed from; by default those of the held-out rows.
    is_weighted : bool
        Whether training used class weights.
    seed, n_repeats, max_rows : int
        For permutation importance: the seed of the permutations, their number per column, and the
        most rows to use.
    """

    model: Model
    recipe: Recipe
    table: Table
    targets: NDArray[Any]
    note: str
    facts: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    known: NDArray[Any] | None = None
    is_weighted: bool = False
    seed: int = 0
    n_repeats: int = 5
    max_rows: int = 2000

    def __post_init__(self) -> None:
        """Check that differences of numbers are finite."""
        if self.is_regression and (largest := np.abs(self.targets).max()) > _MOST:
            raise ValueError(
                f"the target {self.target!r} of a held-out row is {largest:.4g}, too large for a "
                f"report; leave out rows beyond {_MOST:g}, or divide the target by a constant"
            )

    # ---- names ----------------------------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of held-out rows."""
        return len(self.targets)

    @property
    def target(self) -> str:
        """The name of the target."""
        return as_text(self.recipe.target)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes; None for a regression."""
        found = self.recipe.classes
        return None if found is None else [as_text(value) for value in found]

    @property
    def is_regression(self) -> bool:
        """Whether the task is a regression."""
        return self.recipe.classes is None

    @property
    def predictor(self) -> str:
        """The noun for the predictor: "network" or "networks"."""
        return "network" if len(self.model.fits) == 1 else "networks"

    @property
    def shown_nets(self) -> list[tuple[int, str]]:
        """Numbers and names of the networks to show one by one."""
        texts = self.model.texts or [f"network {i + 1}" for i in range(len(self.model.fits))]
        return list(enumerate(texts))[:MOST_NETS]

    # ---- predictions ----------------------------------------------------------------------------

    @cached_property
    def encoded(self) -> EncodedRows:
        """The held-out rows, encoded."""
        return self.recipe.encode(self.table, unknown="missing")

    @cached_property
    def groups(self) -> NDArray[np.intp] | None:
        """The number of each row's network (n,) if a column selects it, otherwise None."""
        by = self.model.by
        return None if by is None else self.model.groups_of(self.table.path, self.table.column(by))

    @cached_property
    def _predicted(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        outputs, spread = self.model.predict_encoded(self.encoded, self.groups)
        n_infinite = self.n - int(np.isfinite(outputs).all(axis=1).sum())
        if n_infinite:
            raise ValueError(
                f"no report can be written, since predictions of "
                f"{counted(n_infinite, 'held-out row')} are not finite: numbers in them are far "
                "from those of training; correct them, or leave these rows out"
            )
        return outputs.astype(np.float64), spread

    @property
    def outputs(self) -> NDArray[np.float64]:
        """The outputs (n, n_out) for the held-out rows; the mean if there are several networks."""
        return self._predicted[0]

    @property
    def spread(self) -> NDArray[np.float64] | None:
        """The standard deviation of the networks' outputs (n, n_out); None for one network."""
        return self._predicted[1]

    @cached_property
    def of_nets(self) -> list[NDArray[np.float64]]:
        """The outputs (n, n_out) of each network of an ensemble; empty for one network."""
        if not self.model.is_ensemble:
            return []
        nets = list(self.model.fits)
        parts: list[list[NDArray[Any]]] = [[] for _ in nets]
        for X in self.encoded.blocks(self.model.net.dtype):
            for net, mine in zip(nets, parts, strict=True):
                mine.append(net.predict(X))
        return [np.concatenate(mine).astype(np.float64) for mine in parts]

    @property
    def predicted(self) -> NDArray[Any]:
        """The predicted numbers or labels (n,)."""
        found: NDArray[Any]
        found = self.outputs[:, 0] if self.is_regression else self.outputs.argmax(axis=1)
        return found

    # ---- scores ---------------------------------------------------------------------------------

    def score(self, outputs: NDArray[np.float64], targets: NDArray[Any]) -> dict[str, float | None]:
        """Return the scores of outputs (m, n_out) for targets (m,)."""
        if not self.is_regression:
            return scores.plain(scores.of_classes(outputs, targets, self.is_weighted))
        return scores.plain(scores.of_numbers(outputs[:, 0], targets, self.model.net.loss))

    @cached_property
    def scores(self) -> dict[str, float | None]:
        """The scores of the held-out rows."""
        return self.score(self.outputs, self.targets)

    @cached_property
    def baseline(self) -> dict[str, float | None]:
        """The scores of one constant prediction for all rows, which ignores the columns."""
        known = self.targets if self.known is None else self.known
        if self.classes is None:
            guess = np.array([scores.constant(self.model.net.loss, known)])
        else:
            guess = scores.frequencies(known, len(self.classes))
        return self.score(np.tile(guess, (self.n, 1)), self.targets)

    @property
    def baseline_name(self) -> str:
        """The name of the baseline's prediction."""
        return scores.baseline_name(self.model.net.loss, self.is_regression)

    @property
    def main_score(self) -> str:
        """The name of the score that is nearest to what the loss measures; lower is better."""
        return scores.main_score(self.model.net.loss, self.is_regression)
