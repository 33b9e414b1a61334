"""The data that the steps of `fastnn train` share, and how a training ends.

Not here: making a job from the options and the table (train.py).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.tables import EncodedRows, Recipe, Table


class Job(NamedTuple):
    """The data of a training, and the options that describe its networks.

    Attributes
    ----------
    options : argparse.Namespace
        The options of the command line, with the defaults of the preset.
    table : Table
        The table, with the target and all other columns that were read.
    recipe : Recipe
        How the columns are encoded.
    objective : Objective
        The loss.
    encoded : EncodedRows
        The encoded columns of all n rows of the table.
    y : ndarray (n,)
        The targets of all rows.
    rows : dict
        The indices of the "training", "validation" and "test" rows.
    """

    options: argparse.Namespace
    table: Table
    recipe: Recipe
    objective: Objective
    encoded: EncodedRows
    y: NDArray[Any]
    rows: dict[str, NDArray[np.intp]]

    @property
    def target(self) -> str:
        """The name of the target in messages."""
        return f"{self.table.path}: the target {self.recipe.target!r}"


class End(enum.Enum):
    """How a training ended."""

    EPOCHS = "all epochs were done"
    STOPPED = "early stopping, or the rule of the preset good"
    INTERRUPTED = "Ctrl-C"
    INTERRUPTED_AFTER_SCORES = "Ctrl-C while networks were trained again on all rows"
