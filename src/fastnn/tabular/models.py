"""The networks of a model file for tables: one, an ensemble, or one for each text of a column.

Here: their joint predictions and their file, which the commands and the estimators for tables
share. Not here: training (ensemble.py, cli/several.py), the encoding of columns (recipe.py), and
the container format (exchange/, many/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, load
from fastnn.exchange import model_files
from fastnn.many import Fits, averages, load_many
from fastnn.many.outcomes import FINISHED, Status
from fastnn.tabular.errors import TableError, listed, suggestion
from fastnn.tabular.recipe import Recipe, recipe_of
from fastnn.tabular.spelling import Lookup

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from fastnn.callbacks import History
    from fastnn.mlp import MLP
    from fastnn.sparse_rows import SparseRows
    from fastnn.tabular.encoding import EncodedRows
    from fastnn.tabular.table import Column


@dataclass
class Model:
    """Networks that predict rows together.

    Parameters
    ----------
    fits : Fits
        The networks, all of them trained.
    by : str, optional
        The column that selects a row's network: each of its texts, ``fits.groups``, has one.
        Without it, several networks are an ensemble.
    """

    fits: Fits
    by: str | None = None

    @classmethod
    def of(cls, net: MLP, history: History | None = None, best_epoch: int | None = None) -> Model:
        """Return the model of one trained network, with its history and best epoch if known."""
        fits = Fits([net])
        fits.statuses, fits.best_epochs = [Status(FINISHED, net.epoch)], [best_epoch]
        if history is not None:
            fits.histories[0] = history
        return cls(fits)

    @property
    def net(self) -> MLP:
        """The first network; all networks have the same layers."""
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
        self, X: NDArray[Any] | SparseRows, groups: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return outputs (n, n_out), and the standard deviations of an ensemble's outputs or None.

        With `by`, `groups` (n,) are the numbers of the networks that predict the rows.
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
        with np.errstate(all="ignore"):  # for rows far from those of training, outputs may be inf
            return averages.mean(found), averages.std(found)

    def predict_encoded(
        self, rows: EncodedRows, groups: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return what `predict` does for encoded rows, block by block."""
        parts, first = [], 0
        for X in rows.blocks(self.net.dtype):
            some = None if groups is None else groups[first : first + len(X)]
            parts.append(self.predict(X, some))
            first += len(X)
        means, spreads = zip(*parts, strict=True)
        found = [each for each in spreads if each is not None]
        return np.concatenate(means), np.concatenate(found) if found else None

    def knows(self, column: Column) -> NDArray[np.bool_]:
        """Return whether there is a network for each row's text in the column `by`."""
        found: NDArray[np.bool_]
        found = np.isin(column.values, [column.texts.index(text) for text in self.texts])
        return found

    def groups_of(self, path: str, column: Column) -> NDArray[np.intp]:
        """Return the number of each row's network, from the column `by`."""
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
        """Return a predictor of rows whose networks have these numbers."""
        return Predictor(self, groups)

    # ---- files ----------------------------------------------------------------------------------

    def attach(self, recipe: Recipe, **kept: Any) -> None:
        """Keep a recipe, and other data by name, in the metadata of all networks."""
        for net in self.fits:
            recipe.attach(net)
            net.metadata = {**net.metadata, **kept}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the networks to a file: one as `MLP.save` does, several as `Fits.save` does."""
        if len(self.fits) == 1 and self.by is None:
            self.net.save(path)
        else:
            self.fits.save(path)

    @classmethod
    def load(cls, path: str) -> tuple[Model, Recipe]:
        """Read the networks of a file, one or several, and their recipe.

        For a file without networks for tables, a ModelFileError or ValueError says what the file
        is.
        """
        if model_files.has_many(path):
            fits = load_many(path)
            _checks.some_networks(path, len(fits))
            record = fits[0].metadata.get("training")
            by = record.get("by") if isinstance(record, dict) else None
        else:
            fits, by = cls.of(load(path)).fits, None
        try:
            recipe = recipe_of(fits[0])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from error
        _require_one_recipe(path, fits, by)
        return cls(fits, by), recipe


def sizes(net: MLP, n: int = 1) -> str:
    """Return the sizes of a network, or n of them: "4-8-1 relu, 49 parameters, float32, adam"."""
    units = "-".join(str(n) for n in [net.n_in, *(layer.units for layer in net.dense)])
    hidden = f" {net.dense[0].activation}" if len(net.dense) > 1 else ""
    each = f"{units}{hidden}, {_checks.counted(net.n_parameters, 'parameter')}"
    several = f"{n} of {each} each" if n > 1 else each
    return f"{several}, {net.dtype_policy}, {net.optimizer.name}"


def _require_one_recipe(path: str, fits: Fits, by: Any) -> None:
    """Check that all networks have the same recipe, and that groups are texts."""
    same = [(net.n_in, net.n_out, net.dtype, net.metadata) for net in fits]
    are_texts = by is None or (fits.groups is not None and fits.groups.dtype == object)
    if any(each != same[0] for each in same) or not are_texts or not isinstance(by, str | None):
        raise ValueError(
            f"{path} has networks that were not trained together on a table; use them from Python: "
            "fastnn.load_many(path)"
        )


@dataclass
class Predictor:
    """A model with the groups of its rows fixed, so that it predicts as a network does."""

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

    def predict(self, X: NDArray[Any] | SparseRows) -> NDArray[Any]:
        """Return outputs (n, n_out) for rows X (n, n_in)."""
        return self.model.predict(X, self.groups)[0]
