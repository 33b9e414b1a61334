"""The networks of a model file, as the commands use them: one, an ensemble, or one for each group.

Here: what they predict together, and their files. Not here: how several are trained (several.py),
and the recipe for the table (tabular/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.many import Fits
from fastnn.tabular.errors import TableError, listed, suggestion
from fastnn.tabular.spelling import Lookup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.mlp import MLP
    from fastnn.tabular.recipe import Recipe
    from fastnn.tabular.table import Column


@dataclass
class Model:
    """Networks that predict together.

    Parameters
    ----------
    fits : Fits
        The networks, all of them trained.
    by : str, optional
        The column whose texts, ``fits.groups``, have a network each; without it, several networks
        are an ensemble.
    """

    fits: Fits
    by: str | None = None

    @classmethod
    def of(cls, net: MLP) -> Model:
        """Return the model of one network."""
        return cls(Fits([net]))

    @property
    def net(self) -> MLP:
        """The first network: all of them have its layers."""
        return self.fits[0]

    @property
    def is_ensemble(self) -> bool:
        """Whether each row is predicted by several networks."""
        return self.by is None and len(self.fits) > 1

    @property
    def texts(self) -> list[str]:
        """The texts of the column `by` that have a network."""
        return [] if self.fits.groups is None else list(self.fits.groups)

    def predict(
        self, X: NDArray[Any], groups: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return outputs (n, n_out), and the standard deviations of an ensemble's.

        `groups` (n,) are the numbers of the rows' networks, with `by`.
        """
        if groups is not None:
            outputs = np.empty((len(X), self.net.n_out), self.net.dtype)
            for number in np.unique(groups):
                rows = groups == number
                outputs[rows] = self.fits[number].predict(X[rows])
            return outputs, None
        if not self.is_ensemble:
            return self.net.predict(X), None
        found = np.stack([net.predict(X) for net in self.fits]).astype(np.float64)
        return found.mean(axis=0), found.std(axis=0)

    def groups_of(self, path: str, column: Column) -> NDArray[np.intp]:
        """Return the number of each row's network from the column that decides it."""
        texts = self.texts
        index = Lookup(texts)
        numbers = [index(text) for text in column.texts]
        found: NDArray[np.intp]
        found = np.array([*(-1 if i is None else i for i in numbers), -1])[column.values]
        if (found < 0).any():
            row = int((found < 0).argmax())
            place = column.values[row]
            text = "" if place < 0 else column.texts[place]
            raise TableError(
                f"{path}: column {column.name!r} holds {text!r} in row {row + 1}, for which there "
                f"is no network; {suggestion(text, texts)}there is one for {listed(texts)}; leave "
                "these rows out, or train with rows of all values"
            )
        return found

    def on(self, groups: NDArray[np.intp] | None) -> Predictor:
        """Return what predicts rows of these groups."""
        return Predictor(self, groups)

    def attach(self, recipe: Recipe, record: dict[str, Any]) -> None:
        """Keep a recipe and the record of the training with the networks."""
        for net in self.fits:
            recipe.attach(net)
            net.metadata = {**net.metadata, "training": record}

    def save(self, path: str) -> None:
        """Write the networks to a file: several as `Fits.save` does."""
        if len(self.fits) == 1 and self.by is None:
            self.net.save(path)
        else:
            self.fits.save(path)


@dataclass
class Predictor:
    """A model that predicts rows of known groups, as a network predicts them."""

    model: Model
    groups: NDArray[np.intp] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision of the inputs."""
        return self.model.net.dtype

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self.model.net.n_out

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return outputs (n, n_out) for rows X (n, n_in)."""
        return self.model.predict(X, self.groups)[0]


def of_fits(path: str, fits: Fits) -> Model:
    """Return the model of a file of many networks, which `fastnn train` wrote."""
    if not len(fits):
        raise ValueError(f"{path} has no networks; train them again")
    by = fits[0].metadata.get("training", {}).get("by")
    same = [(net.n_in, net.n_out, net.dtype, net.metadata) for net in fits]
    are_texts = by is None or (fits.groups is not None and fits.groups.dtype == object)
    if any(each != same[0] for each in same) or not are_texts or not isinstance(by, str | None):
        raise ValueError(
            f"{path} has networks that fastnn train did not make; use them from Python: "
            "fastnn.load_many(path)"
        )
    return Model(fits, by)
