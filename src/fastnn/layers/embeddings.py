"""Embeddings: layers that replace columns of a row, each by a learned vector.

`Embedding` is for columns of categories, `NumericEmbedding` for columns of numbers; the latter
consists of an encoding and a dense layer for each column. All of them copy other columns to the
outputs, and the outputs have the order of the columns they come from.

Not here: arithmetic (engine/stages/, reference/embeddings.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _checks, activations
from fastnn.layers.base import RELU, ActivationField, Draw, Layer, update_options

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: The most categories of a column: a float32 holds all integers up to this one.
MOST_CATEGORIES = 2**24


def _width(n_in: int, columns: Sequence[int] | None, widths: Sequence[int] | int, what: str) -> int:
    """Return the number of outputs if columns are replaced by `widths` columns each."""
    _checks.columns_exist(what, columns, n_in, None if isinstance(widths, int) else len(widths))
    n = n_in if columns is None else len(columns)
    return n_in - n + (widths * n if isinstance(widths, int) else sum(widths))


# ---- categories ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Embedding(Layer):
    """A learned vector for each category: columns of category numbers become rows of a table.

    The categories of a column are the numbers 0, 1, ..., stored as floats in X. Category ``c`` is
    replaced by the ``dim`` numbers in row ``c`` of the column's table; other columns are copied.
    The outputs have the order of the columns: with ``dim=2`` and ``columns=[1]``, the row
    ``[x0, c, x2]`` becomes ``[x0, W[c, 0], W[c, 1], x2]``.

    An Embedding is the first layer of a network, or follows a Standardize, which does not change
    its columns. All methods check the categories of their rows.

    Parameters
    ----------
    n_categories : int or list of int
        The number of categories of each column, or one number for all columns.
    dim : int
        Length of each vector.
    columns : list of int, optional
        The columns that hold categories, ascending; by default all.
    trainable : bool, default True
        Whether updates change the vectors.
    learning_rate_multiplier : float, default 1.0
        As in `Dense`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range. Whether the columns exist is checked when a network is
        built.

    See Also
    --------
    NumericEmbedding : for columns of numbers.

    Notes
    -----
    The parameter ``W``, of shape (sum of n_categories, dim), holds the tables of the columns one
    after the other. It is drawn uniformly between ``-1 / sqrt(dim)`` and ``1 / sqrt(dim)``. A
    category that is not in a batch has gradient 0, but moments and weight decay still change its
    vector. A fit postpones such updates until a batch reads the vector again, with the same bits.

    Examples
    --------
    >>> from fastnn import MLP, Dense, Embedding
    >>> layers = [Embedding([3, 2], 4, columns=[1, 2]), Dense(8, "relu"), Dense(1)]
    >>> net = MLP(3, layers, loss="squared_error", optimizer="adam", seed=0)
    >>> X = [[0.5, 2, 0], [-1.5, 0, 1]]
    >>> net.activations(X)[0].shape
    (2, 9)
    >>> net.get_weights()[0].shape
    (5, 4)
    """

    n_categories: int | Sequence[int]
    dim: int
    columns: Sequence[int] | None = None
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "embedding"
    takes_categories: ClassVar[bool] = True

    def __post_init__(self) -> None:
        columns = _checks.ascending_columns("columns", self.columns)
        n = None if columns is None else len(columns)
        for name, value in (
            ("n_categories", _checks.sizes("n_categories", self.n_categories, n, MOST_CATEGORIES)),
            ("dim", _checks.integer("dim", self.dim, low=1, high=2**31 - 1)),
            ("columns", columns),
            *update_options(self),
        ):
            object.__setattr__(self, name, value)

    def categories(self, n_in: int) -> dict[int, int]:
        """Return the number of categories of each of the layer's columns."""
        columns = range(n_in) if self.columns is None else self.columns
        return dict(zip(columns, self._sizes(n_in), strict=True))

    def _sizes(self, n_in: int) -> list[int]:
        """Return the number of categories of each column."""
        given: Any = self.n_categories
        if isinstance(given, int):
            return [given] * (n_in if self.columns is None else len(self.columns))
        return list(given)

    def width(self, n_in: int) -> int:
        """Return the number of outputs."""
        given: Any = self.n_categories
        widths = self.dim if isinstance(given, int) else [self.dim] * len(given)
        return _width(n_in, self.columns, widths, "n_categories")

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of W."""
        return {"W": (sum(self._sizes(n_in)), self.dim)}

    def draws(self, n_in: int) -> Iterator[Draw]:
        """Yield how W is drawn."""
        shape = sum(self._sizes(n_in)), self.dim
        yield Draw("W", 0, ("uniform", 1 / math.sqrt(self.dim)), shape)

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        given: Any = self.n_categories
        return [
            {
                "kind": self.name,
                "columns": self.columns,
                "categories": [given] if isinstance(given, int) else list(given),
                "units": self.dim,
                "frozen": not self.trainable,
                "rate_multiplier": self.learning_rate_multiplier,
            }
        ]


# ---- numbers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NumericEmbedding(Layer):
    """A learned vector for each number: columns become vectors that are functions of their values.

    Each number is encoded, and a dense layer for each column maps the encoding to ``dim`` numbers
    (Gorishniy, Rubachev, Babenko, On embeddings for numerical features, NeurIPS 2022). There are
    two encodings:

    - ``kind="piecewise"``: a number for each of the column's bins, 0 below the bin, 1 above it and
      linear within it; the first bin is unbounded below and the last bin unbounded above.
    - ``kind="periodic"``: ``sin(2 pi c x)`` and ``cos(2 pi c x)`` with learned frequencies ``c``.

    Columns that are not in `columns` are copied. The outputs have the order of the columns: with
    ``dim=2`` and ``columns=[1]``, the row ``[x0, x1, x2]`` becomes ``[x0, e0, e1, x2]``.

    Parameters
    ----------
    dim : int
        Length of each vector.
    kind : {"piecewise", "periodic"}, default "piecewise"
        The encoding.
    bins : list of lists of float, optional
        Required for "piecewise": the edges of the bins of each column, ascending, one more than
        bins. `NumericEmbedding.edges` computes them from rows. They are in the units of the layer's
        inputs: after a Standardize, in those of standardized rows.
    columns : list of int, optional
        The columns to embed, ascending; by default all.
    activation : str or Activation, default "relu"
        Activation of the vectors, other than "softmax"; "identity" for none.
    n_frequencies : int, default 16
        For "periodic": number of frequencies of each column.
    sigma : float, default 0.1
        For "periodic": standard deviation of the normal distribution from which frequencies are
        drawn. The default suits standardized columns; with a larger value, outputs change faster
        with the inputs.
    trainable : bool, default True
        Whether updates change the parameters.
    learning_rate_multiplier : float, default 1.0
        As in `Dense`, for all parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range. Whether the columns exist, and whether the bins are wide
        enough for the network's dtype, is checked when a network is built.

    See Also
    --------
    Embedding : for columns of categories.

    Notes
    -----
    "piecewise" has the parameters ``W``, of shape (bins of all columns, dim), with the weights of
    the columns one after the other, and ``b``, of shape (columns, dim). "periodic" has the
    frequencies, of shape (columns, n_frequencies), and then ``W`` and ``b``; ``W`` has two rows for
    each frequency of a column, first those for the sines. ``W`` and ``b`` are drawn uniformly
    between ``-1 / sqrt(k)`` and ``1 / sqrt(k)``, where ``k`` is the number of encoded numbers of a
    column. Weight decay acts only on ``W``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, NumericEmbedding
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> embedding = NumericEmbedding(8, bins=NumericEmbedding.edges(X, 16))
    >>> net = MLP(2, [embedding, Dense(32, "relu"), Dense(1)], loss="squared_error",
    ...           optimizer="adam", seed=0)
    >>> [array.shape for array in net.get_weights()[:2]]
    [(32, 8), (2, 8)]
    >>> net = MLP(2, [NumericEmbedding(8, "periodic"), Dense(1)], loss="squared_error",
    ...           optimizer="adam", seed=0)
    >>> [array.shape for array in net.get_weights()[:3]]
    [(2, 16), (64, 8), (2, 8)]
    """

    dim: int
    kind: str = "piecewise"
    bins: Sequence[Sequence[float]] | None = None
    columns: Sequence[int] | None = None
    activation: ActivationField = RELU
    n_frequencies: int = 16
    sigma: float = 0.1
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "numeric_embedding"

    def __post_init__(self) -> None:
        kind = _checks.choice("kind", self.kind, ("piecewise", "periodic"))
        columns = _checks.ascending_columns("columns", self.columns)
        n = None if columns is None else len(columns)
        bins = _checks.bins("bins", self.bins, n, is_needed=kind == "piecewise")
        for name, value in (
            ("dim", _checks.integer("dim", self.dim, low=1, high=2**31 - 1)),
            ("bins", bins),
            ("columns", columns),
            ("activation", _checks.pointwise(activations.get(self.activation))),
            (
                "n_frequencies",
                _checks.integer("n_frequencies", self.n_frequencies, low=1, high=2**20),
            ),
            ("sigma", _checks.number("sigma", self.sigma, above=0.0)),
            *update_options(self),
        ):
            object.__setattr__(self, name, value)

    @staticmethod
    def edges(
        X: ArrayLike, n_bins: int = 16, columns: Sequence[int] | None = None
    ) -> list[list[float]]:
        """Return edges of bins with about equally many rows in each, for the argument `bins`.

        Parameters
        ----------
        X : array_like of shape (n, n_in)
            Training rows in the form of the layer's inputs.
        n_bins : int, default 16
            Maximum number of bins of a column. Quantiles that are equal but for rounding errors
            become one edge, so a column with few distinct values has fewer bins.
        columns : list of int, optional
            The columns, ascending; by default all.

        Returns
        -------
        list of lists of float
            The edges of each column, ascending, at least two.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, or a column has a single value.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import NumericEmbedding
        >>> NumericEmbedding.edges(np.arange(9.0)[:, None], 4)
        [[0.0, 2.0, 4.0, 6.0, 8.0]]
        """
        rows = _checks.rows_of_quantiles("X", X)
        n_bins = _checks.integer("n_bins", n_bins, low=1)
        chosen = _checks.ascending_columns("columns", columns)
        _checks.columns_exist("columns", chosen, rows.shape[1])
        found = []
        for i in range(rows.shape[1]) if chosen is None else chosen:
            quantiles = _distinct(np.quantile(rows[:, i], np.linspace(0, 1, n_bins + 1)))
            _checks.varies("X", i, quantiles)
            found.append(quantiles.tolist())
        return found

    def pieces(self) -> Iterator[Layer]:
        """Yield the encoding, and the dense layers of the columns."""
        options: dict[str, Any] = {
            "units": self.dim,
            "activation": self.activation,
            "trainable": self.trainable,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
        if self.bins is None:
            yield PeriodicEncoding(
                columns=self.columns,
                n_frequencies=self.n_frequencies,
                sigma=self.sigma,
                trainable=self.trainable,
                learning_rate_multiplier=self.learning_rate_multiplier,
            )
            n = 1 if self.columns is None else len(self.columns)
            widths = [2 * self.n_frequencies] * n
            starts = None if self.columns is None else _starts(self.columns, widths)
        else:
            yield PiecewiseEncoding(self.columns, self.bins)
            widths = [len(edges) - 1 for edges in self.bins]
            columns = range(len(widths)) if self.columns is None else self.columns
            starts = _starts(columns, widths)
        yield BlockDense(starts, tuple(widths), **options)

    def width(self, n_in: int) -> int:
        """Return the number of outputs."""
        widths = self.dim if self.bins is None else [self.dim] * len(self.bins)
        return _width(n_in, self.columns, widths, "bins")


def _distinct(quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ascending quantiles without those that rounding errors alone tell from the one below.

    A bin between two of these would make values outside of it enormous.
    """
    spacing = np.maximum(
        np.spacing(np.abs(quantiles).astype(np.float32)).astype(np.float64),
        np.finfo(np.float64).eps * (quantiles[-1] - quantiles[0]),
    )
    found = [quantiles[0]]
    for value, step in zip(quantiles[1:], spacing[1:], strict=True):
        if value - found[-1] > 2 * step:
            found.append(value)
    return np.array(found)


def _starts(columns: Sequence[int], widths: Sequence[int]) -> tuple[int, ...]:
    """Return the first output of each column if columns are replaced by `widths` columns each."""
    found, more = [], 0
    for column, width in zip(columns, widths, strict=True):
        found.append(column + more)
        more += width - 1
    return tuple(found)


@dataclass(frozen=True)
class PiecewiseEncoding(Layer):
    """The piecewise linear encoding of a NumericEmbedding, which has no parameters."""

    columns: Sequence[int] | None
    bins: Sequence[Sequence[float]]
    name: ClassVar[str] = "piecewise"
    piece_of: ClassVar[str] = "a NumericEmbedding"

    def width(self, n_in: int) -> int:
        """Return the number of outputs."""
        return _width(n_in, self.columns, [len(edges) - 1 for edges in self.bins], "bins")

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        return [{"kind": self.name, "columns": self.columns, "bins": self.bins}]


@dataclass(frozen=True)
class PeriodicEncoding(Layer):
    """The periodic encoding of a NumericEmbedding, with frequencies (columns, n_frequencies)."""

    columns: Sequence[int] | None
    n_frequencies: int
    sigma: float
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "periodic"
    piece_of: ClassVar[str] = "a NumericEmbedding"

    def width(self, n_in: int) -> int:
        """Return the number of outputs."""
        return _width(n_in, self.columns, 2 * self.n_frequencies, "columns")

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of the frequencies."""
        n = n_in if self.columns is None else len(self.columns)
        return {"frequencies": (n, self.n_frequencies)}

    def draws(self, n_in: int) -> Iterator[Draw]:
        """Yield how the frequencies are drawn."""
        n = n_in if self.columns is None else len(self.columns)
        yield Draw("frequencies", 0, ("normal", self.sigma), (n, self.n_frequencies))

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        return [
            {
                "kind": self.name,
                "columns": self.columns,
                "frequencies": self.n_frequencies,
                "frozen": not self.trainable,
                "rate_multiplier": self.learning_rate_multiplier,
            }
        ]


@dataclass(frozen=True)
class BlockDense(Layer):
    """The dense layers of a NumericEmbedding, one for each block of columns.

    ``starts`` are the first columns of the blocks, ``widths`` their numbers of columns. If
    ``starts`` is None, all columns are divided into blocks of one width.
    """

    starts: Sequence[int] | None
    widths: Sequence[int]
    units: int
    activation: ActivationField = RELU
    trainable: bool = True
    learning_rate_multiplier: float = 1.0
    name: ClassVar[str] = "block_dense"
    piece_of: ClassVar[str] = "a NumericEmbedding"

    def blocks(self, n_in: int) -> list[tuple[int, int]]:
        """Return the first column and the number of columns of each block."""
        if self.starts is None:
            [width] = self.widths
            return [(start, width) for start in range(0, n_in, width)]
        return list(zip(self.starts, self.widths, strict=True))

    def width(self, n_in: int) -> int:
        """Return the number of outputs."""
        return n_in + sum(self.units - width for _, width in self.blocks(n_in))

    def parameters(self, n_in: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of W and b."""
        blocks = self.blocks(n_in)
        return {
            "W": (sum(width for _, width in blocks), self.units),
            "b": (len(blocks), self.units),
        }

    def draws(self, n_in: int) -> Iterator[Draw]:
        """Yield how W and b are drawn, block by block."""
        row = 0
        for number, (_, width) in enumerate(self.blocks(n_in)):
            initializer = "uniform", 1 / math.sqrt(width)
            yield Draw("W", row, initializer, (width, self.units))
            yield Draw("b", number, initializer, (1, self.units))
            row += width

    def flops(self, n_in: int) -> int:
        """Return the number of operations: a multiplication and an addition for each weight."""
        return 2 * self.parameters(n_in)["W"][0] * self.units

    def stages(self, number: int) -> list[dict[str, object]]:
        """Return one stage."""
        activation: Any = self.activation
        return [
            {
                "kind": self.name,
                "starts": self.starts,
                "widths": list(self.widths),
                "units": self.units,
                "activation": activation.name,
                "parameter": activation.parameter or 0.0,
                "frozen": not self.trainable,
                "rate_multiplier": self.learning_rate_multiplier,
            }
        ]

    @property
    def label(self) -> str:
        """The name of the layer in a summary."""
        return f"BlockDense {self.activation}"
