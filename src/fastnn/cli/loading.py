"""Model files of `fastnn train`: the network and its recipe, for the commands that need both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fastnn
from fastnn import tables

if TYPE_CHECKING:
    from fastnn.mlp import MLP
    from fastnn.tables import Recipe


def loaded(path: str) -> tuple[MLP, Recipe]:
    """Return the network and the recipe of a model file."""
    net = fastnn.load(path)
    try:
        return net, tables.recipe_of(net)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
