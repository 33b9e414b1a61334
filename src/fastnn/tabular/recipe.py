"""The recipe: how a table's columns are encoded, as plain data in the metadata of a model file.

Here: Recipe, and its way into a file and back. Not here: how it is learned from training rows
(learning.py), and the arithmetic of encoding (encoding.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.tabular.encoding import Entry, Rows, encode, input_names
from fastnn.tabular.reading import read

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from fastnn.mlp import MLP
    from fastnn.tabular.table import Table

_FORMAT = 1


@dataclass
class Recipe:
    """How a table's columns are encoded as a network's inputs, and what its outputs mean.

    Parameters
    ----------
    task : {"classification", "regression"}
    target : str
        Name of the column that is predicted.
    classes : list or None
        For classification, the class of each output.
    columns : list of dict
        How each column is encoded, in the order of the inputs; each has "name" and "kind". A
        "number" has the "median" that replaces missing values, a "shift" that is subtracted (0
        unless a column is so far from 0 that float32 would lose its digits), and "missing",
        whether a further input tells that a value is missing. A "category" has "texts", each of
        which is an input that is 1 in the rows with this text, and "missing", whether missing
        values have an input, too; without it all inputs are 0 there.
    ignored : dict of str to str
        Columns that are not used, and why.
    missing : list of str
        Texts that stand for a missing value, besides those of `MISSING`.

    See Also
    --------
    learn, recipe_of
    """

    task: str
    target: str
    classes: list[Any] | None
    columns: list[Entry]
    ignored: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column by name, as `read` takes them."""
        return {column["name"]: column["kind"] for column in self.columns}

    @property
    def names(self) -> list[str]:
        """Names of the network's inputs: "carat", "cut=Ideal", "age=(missing)"."""
        return [name for column in self.columns for name in input_names(column)]

    @property
    def is_measured(self) -> NDArray[np.bool_]:
        """Whether each input is a number to be standardized: (n_in,). All others are 0 or 1."""
        return np.array([
            column["kind"] == "number" and i == 0
            for column in self.columns
            for i, _ in enumerate(input_names(column))
        ])  # fmt: skip

    def read(self, path: str | os.PathLike[str]) -> Table:
        """Read the columns that the network needs from a file; see `read`."""
        return read(path, kinds=self.kinds, only=list(self.kinds), missing=self.missing)

    def encode(self, table: Table, unknown: str = "error") -> Rows:
        """Return the rows of a table as inputs for the network.

        Parameters
        ----------
        table : Table
        unknown : {"error", "missing"}, default "error"
            Whether a text that is not a category of its column is an error or counts as missing.

        Returns
        -------
        Rows

        Raises
        ------
        TableError
            If the table lacks a column, or holds an unknown text.
        """
        _checks.choice("unknown", unknown, ("error", "missing"))
        return encode(self.columns, table, unknown)

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return predictions (n,), numbers or classes, for outputs (n, n_out) of the network."""
        predicted: NDArray[Any]
        if self.classes is None:
            predicted = outputs[:, 0]
        else:
            predicted = np.array(self.classes)[outputs.argmax(axis=1)]
        return predicted

    def to_plain(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_plain(cls, plain: Any) -> Recipe:
        """Return the recipe from what `to_plain` returned; a ValueError names what is wrong."""
        names = ("task", "target", "classes", "columns", "ignored", "missing")
        plain = _checks.fields("the recipe", plain, ("format", *names))
        found = plain.pop("format")
        if found != _FORMAT:
            raise ValueError(
                f"the recipe has format {found!r:.60} but must have {_FORMAT}; train the network "
                "again with this version of fastnn"
            )
        for i, column in enumerate(_checks.plain_list("columns", plain["columns"])):
            _check_entry(f"column {i}", column)
        for name, kind in (("ignored", dict), ("missing", list), ("classes", list | None)):
            if not isinstance(plain[name], kind):
                raise TypeError(
                    f"the recipe's {name} is {plain[name]!r:.60}; train the network again"
                )
        return cls(**plain)


def _check_entry(place: str, entry: Any) -> None:
    """Check how a column is encoded, from a file."""
    kind = _checks.fields(place, entry).get("kind")
    if _checks.choice(f"{place}'s kind", kind, ("number", "category")) == "number":
        _checks.fields(place, entry, ("name", "kind", "missing", "median", "shift"))
        _checks.number(f"{place}'s median", entry["median"])
        _checks.number(f"{place}'s shift", entry["shift"])
    else:
        _checks.fields(place, entry, ("name", "kind", "missing", "texts"))
        _checks.plain_list(f"{place}'s texts", entry["texts"])
    _checks.flag(f"{place}'s missing", entry["missing"])


def recipe_of(net: MLP) -> Recipe:
    """Return the recipe of a network that `fastnn train` made.

    Parameters
    ----------
    net : MLP
        A network from a file.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        If the network has no recipe, or one that does not fit its inputs and outputs.

    Examples
    --------
    >>> net = fastnn.load("prices.safetensors")  # doctest: +SKIP
    >>> recipe = tables.recipe_of(net)  # doctest: +SKIP
    >>> rows = recipe.encode(recipe.read("new.csv"))  # doctest: +SKIP
    >>> net.predict(rows.matrix())  # doctest: +SKIP
    """
    if "table" not in net.metadata:
        raise ValueError(
            "the network was not made by fastnn train, so it has no recipe for tables; use it from "
            "Python: fastnn.load(path).predict(X)"
        )
    recipe = Recipe.from_plain(net.metadata["table"])
    n_out = 1 if recipe.classes is None else len(recipe.classes)
    if (len(recipe.names), n_out) != (net.n_in, net.n_out):
        raise ValueError(
            f"the network's recipe gives {len(recipe.names)} inputs and {n_out} outputs, but the "
            f"network has {net.n_in} and {net.n_out}; train the network again"
        )
    return recipe
