"""The recipe: how a table's columns are encoded, as plain data in the metadata of a model file.

Here: Recipe, and how it is stored in a file or a network. Not here: learning it from training rows
(learning.py), and the arithmetic of encoding (encoding.py, codes.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.tabular.encoding import EncodedRows, Entry, encode
from fastnn.tabular.naming import distinct
from fastnn.tabular.reading import read_as
from fastnn.tabular.table import Table
from fastnn.tabular.text_files import DECIMALS, Form

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from fastnn.mlp import MLP

_FORMAT = 2


@dataclass
class Recipe:
    """How a table's columns are encoded as a network's inputs, and what its outputs mean.

    Parameters
    ----------
    task : {"classification", "regression", None}
        None for a recipe that describes inputs only.
    target : str or None
        Name of the column to predict.
    classes : list or None
        For classification, the class of each output.
    columns : list of Entry
        How each column is encoded, in the order of the inputs: its name, its kind and its codes.
        With plain codes, a number becomes one input, ``(x - shift) / scale``, in which the median
        replaces a missing x, and another input marks that x is missing; rich codes add inputs (see
        `learn`). A category has an input for each text. A date has one input for the time since
        1970 and others for its month, weekday and time of day.
    ignored : dict of str to str
        Columns that are not used, each with the reason.
    missing : list of str
        Texts that stand for a missing value, besides those of ``MISSING``.
    decimal : {".", ","}, optional
        The decimal point of the training file, with which `read` reads further text files; None if
        it is found from the values of each file.
    thousands : dict of str to bool
        For each column of numbers of a training file with decimal commas, whether points separate
        thousands. Without it, the texts of each file decide, so that 1.234 may be a different
        number in another file.
    by_position : bool, default False
        Whether the training table was an array, or a file of arrays or without names. The columns
        of an array are then those of the same positions. An array without names cannot replace
        another kind of table.

    See Also
    --------
    prepare, learn, recipe_of
    """

    task: str | None
    target: str | None
    classes: list[Any] | None
    columns: list[Entry]
    ignored: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    decimal: str | None = None
    thousands: dict[str, bool] = field(default_factory=dict)
    by_position: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column by name, in the form that `read` takes."""
        return {entry.name: entry.kind for entry in self.columns}

    @property
    def names(self) -> list[str]:
        """Names of the network's inputs: "carat", "cut=Ideal", "age=(missing)".

        A name that occurs again, since a text or a column looks like another input, has a number
        added: "cut=(missing) (2)".
        """
        return distinct([name for entry in self.columns for name in entry.inputs])

    @property
    def is_measured(self) -> NDArray[np.bool_]:
        """Whether each input is a number to be standardized: (n_in,). All others are 0 or 1."""
        return np.array([flag for entry in self.columns for flag in entry.is_measured], bool)

    def read(
        self,
        data: Any,
        *,
        by: str | None = None,
        separator: str | None = None,
        decimal: str | None = None,
        encoding: str | None = None,
        header: bool = True,
    ) -> Table:
        """Read the columns that the network needs from a file or a data frame.

        Parameters
        ----------
        data : data frame, path, dict of columns or ndarray
            As in `read`.
        by : str, optional
            A further column of categories to read.
        separator, decimal, encoding, header
            As in `read`; by default, `decimal` is that of the training file.

        Returns
        -------
        Table

        Raises
        ------
        TableError
            If the table cannot be read, or lacks a column.

        Notes
        -----
        Points in the numbers of a column separate thousands if they do so in the training file. The
        order of day and month is that of the training rows. If it is unknown, because all training
        rows have the year first or the name of the month, each date must show it: 13/11/2020 or
        3.11.2020, but not 3/11/2020.
        """
        kinds = self.kinds if by is None else {**self.kinds, by: "category"}
        decimal = self.decimal if decimal is None else decimal
        form = Form(separator, decimal, encoding, header, self.thousands)
        return read_as(data, form, kinds, list(kinds), missing=self.missing, is_learned=True,
                       of_matrix=self.by_position)  # fmt: skip

    def encode(self, table: Any, unknown: str = "error") -> EncodedRows:
        """Return the rows of a table as inputs for the network.

        Parameters
        ----------
        table : Table, or an argument of `read`
            A table, or a data frame or file path, which is read first.
        unknown : {"error", "missing"}, default "error"
            Whether a text that did not occur in training is an error or counts as missing. If rare
            texts of the column share an input, such a text sets that input instead.

        Returns
        -------
        EncodedRows

        Raises
        ------
        TableError
            If the table lacks a column, holds an unknown text, or has a column of a different kind
            than in training, because `tables.read` inferred its kind from other rows.
        """
        _checks.choice("unknown", unknown, ("error", "missing"))
        table = table if isinstance(table, Table) else self.read(table)
        return encode(self.columns, table, unknown)

    def inputs(
        self, data: Any, unknown: str = "error", dtype: DTypeLike = "float32"
    ) -> NDArray[Any]:
        """Return the inputs X (n, n_in) of a table's rows, for `MLP.predict` and similar methods.

        Parameters
        ----------
        data, unknown
            As in `encode`.
        dtype : {"float32", "float64"}, default "float32"

        Returns
        -------
        ndarray of shape (n, n_in)

        Raises
        ------
        TableError
            If the table lacks a column, or holds an unknown text.
        """
        return self.encode(data, unknown).matrix(dtype=_checks.dtype(dtype))

    def attach(self, net: MLP) -> None:
        """Attach the recipe to a network, so that it accepts data frames with the table's columns.

        `MLP.predict` and the other methods then encode a frame of pandas, polars or Arrow by the
        recipe, which is also saved in a model file. Arrays are still taken as inputs. The classes
        become ``net.classes``, which `MLP.predict_classes` returns.

        Parameters
        ----------
        net : MLP

        Raises
        ------
        ValueError
            If the inputs or outputs of the network differ from those of the recipe.
        """
        check_fit(self, net)
        net.feature_names = tuple(self.names)
        net.metadata = {**net.metadata, "table": self.to_plain()}
        if self.classes is not None and net.loss.n_classes(net.n_out) is not None:
            net.classes = tuple(self.classes)

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the prediction of each row.

        Parameters
        ----------
        outputs : ndarray of shape (n, n_out)
            Outputs of the network.

        Returns
        -------
        ndarray of shape (n,)
            Numbers, or classes of a classification.
        """
        predicted: NDArray[Any]
        if self.classes is None:
            predicted = outputs[:, 0]
        else:
            predicted = np.array(self.classes)[outputs.argmax(axis=1)]
        return predicted

    def to_plain(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        return {
            "format": _FORMAT,
            "task": self.task,
            "target": self.target,
            "classes": self.classes,
            "columns": [entry.to_plain() for entry in self.columns],
            "ignored": dict(self.ignored),
            "missing": list(self.missing),
            "decimal": self.decimal,
            "thousands": dict(self.thousands),
            "by_position": self.by_position,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Recipe:
        """Return a recipe from plain data.

        Parameters
        ----------
        plain : dict
            As `to_plain` returns it.

        Returns
        -------
        Recipe

        Raises
        ------
        TypeError, ValueError
            If an item of the dict is unknown, missing or malformed.
        """
        names = ("task", "target", "classes", "columns", "ignored", "missing")
        added = ("decimal", "thousands", "by_position")  # older files lack them
        plain = _checks.fields("the recipe", plain, None, ("format",))
        found = plain.pop("format")
        if found != _FORMAT:
            raise ValueError(
                f"the recipe has format {found!r:.60} but must have {_FORMAT}, that of this version"
            )
        plain = _checks.fields("the recipe", plain, (*names, *added), names)
        listed = _checks.plain_list("columns", plain["columns"])
        plain["columns"] = [Entry.from_plain(f"column {i}", c) for i, c in enumerate(listed)]
        if plain["target"] is not None:
            _checks.plain_text("the recipe's target", plain["target"])
        if plain["task"] is not None:
            _checks.choice("the recipe's task", plain["task"], ("classification", "regression"))
        plain["classes"] = _checks.labels_of_file("the recipe's classes", plain["classes"])
        plain["missing"] = _checks.recipe_texts("the recipe's missing", plain["missing"])
        for name, why in _checks.fields("the recipe's ignored", plain["ignored"]).items():
            _checks.plain_text(f"the recipe's ignored[{name!r}]", why)
        if plain.get("decimal") is not None:
            _checks.choice("the recipe's decimal", plain["decimal"], DECIMALS)
        place = "the recipe's thousands"
        thousands = _checks.fields(place, plain.get("thousands", {}))
        plain["thousands"] = {n: _checks.flag(f"{place}[{n!r}]", v) for n, v in thousands.items()}
        by_position = plain.get("by_position", False)
        plain["by_position"] = _checks.flag("the recipe's by_position", by_position)
        return cls(**plain)


def check_fit(recipe: Recipe, net: MLP) -> None:
    """Check that a network has the inputs and outputs of a recipe."""
    n_out = net.n_out if recipe.task is None else len(recipe.classes or [None])
    if (len(recipe.names), n_out) != (net.n_in, net.n_out):
        raise ValueError(
            f"the network's recipe gives {_checks.counted(len(recipe.names), 'input')} and "
            f"{_checks.counted(n_out, 'output')}, but the network has {net.n_in} and {net.n_out}; "
            "train the network again"
        )


def recipe_of(net: MLP) -> Recipe:
    """Return the recipe attached to a network, by `fastnn train` or by ``Recipe.attach``.

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
    >>> fits = fastnn.load_many("prices.safetensors")  # doctest: +SKIP
    >>> recipe = tables.recipe_of(fits[0])  # doctest: +SKIP
    >>> fits.predict(recipe.inputs("new.csv", unknown="missing"), "mean")  # doctest: +SKIP
    """
    if not _checks.is_recipe(net.metadata.get("table")):
        raise ValueError(
            "the network was not made by fastnn train, so it has no recipe for tables; use it from "
            "Python: fastnn.load(path).predict(X)"
        )
    try:
        recipe = Recipe.from_plain(net.metadata["table"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{error}; {_checks.RESTORE}") from error
    check_fit(recipe, net)
    return recipe
