"""TableEncoder: the recipe of `fastnn train` as a step of a pipeline.

Here: scikit-learn's interface to a `fastnn.tables.Recipe`. Not here: how columns are encoded
(tabular/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn import _checks, tables
from fastnn.sklearn.base import all_or_nothing
from fastnn.tabular.errors import FRAME
from fastnn.tabular.frames import is_frame, keys_of, require_loaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.sparse_rows import SparseRows
    from fastnn.tables import Recipe, Table


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode a data frame as a network's inputs: numbers, categories, dates, missing values.

    Numbers are standardized; the median replaces a missing number, and another input marks it as
    missing. Each text of a category has an input, and so do missing texts; an ordered category also
    has an input for each step of its order. A date becomes the time since 1970, the month, the
    weekday and the time of day. The kind and the encoding of each column are learned in `fit` and
    stored as plain data in `recipe_`.

    Parameters
    ----------
    kinds : dict of str to str, optional
        The kind of some columns: "number", "category", "date", "day-first date" (31/1/2020) or
        "month-first date" (1/31/2020). By default it is inferred from a column's type and texts.
        If no date of a column has a number above 12 before its year, 1/2/2020 is read with the
        month first, but 1.2.2020 and 1-2-2020 with the day first.
    drop : list of str, default ()
        Columns to leave out.
    missing : list of str or number, default ()
        Texts that stand for a missing value, besides "", "NA", "NaN", "null", "None" and the like.
        A number stands for its text: -99 for "-99".
    unknown : {"missing", "error"}, default "missing"
        Whether a text that did not occur in `fit` counts as missing or is an error. In a column
        whose rare texts share an input, such a text sets that input instead.
    max_categories : int, default 256
        The maximum number of texts of a column that get an input each; all rarer texts share
        another input.
    codes : {"plain", "rich"}, default "plain"
        "rich" adds inputs to each number, a clipped copy and 16 intervals between its quantiles,
        and lets texts of fewer than 5 rows share an input; see `fastnn.tables.learn`.
    standardize : bool, default True
        Whether numbers are scaled to mean 0 and standard deviation 1.
    keep_constant : bool, default False
        Whether columns with a single value in `fit`, row numbers, and names (texts that differ in
        nearly every row) become inputs, too.
    dtype : {"float32", "float64"}, default "float32"
        Type of the inputs.

    Attributes
    ----------
    recipe_ : fastnn.tables.Recipe
        How each column is encoded; `Recipe.attach` stores it with a network.
    n_features_in_ : int
        Number of columns in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if all are text.

    See Also
    --------
    fastnn.tables.prepare : The same encoding as a function.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastnn.sklearn import MLPRegressor, TableEncoder
    >>> from sklearn.pipeline import make_pipeline
    >>> frame = pd.DataFrame({"area": [50, 80, None, 120], "city": ["Bonn", "Trier", "Bonn", None]})
    >>> encoder = TableEncoder().set_output(transform="pandas")
    >>> encoder.fit_transform(frame).columns.tolist()
    ['area', 'area=(missing)', 'city=Bonn', 'city=Trier', 'city=(missing)']
    >>> model = make_pipeline(TableEncoder(), MLPRegressor(max_iter=5, tol=0))
    >>> model = model.fit(frame, [0.7, 0.9, 0.6, 1.5])  # doctest: +SKIP
    """

    __module__ = "fastnn.sklearn"  # the public path, for pickles and documentation

    recipe_: Recipe
    n_features_in_: int
    _knows_order: bool = True  # whether feature_names_in_ has the order of the columns in `fit`

    def __init__(
        self,
        *,
        kinds: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        missing: Sequence[str | float] = (),
        unknown: str = "missing",
        max_categories: int = tables.MAX_CATEGORIES,
        codes: str = "plain",
        standardize: bool = True,
        keep_constant: bool = False,
        dtype: str = "float32",
    ) -> None:
        self.kinds = kinds
        self.drop = drop
        self.missing = missing
        self.unknown = unknown
        self.max_categories = max_categories
        self.codes = codes
        self.standardize = standardize
        self.keep_constant = keep_constant
        self.dtype = dtype

    @all_or_nothing
    def fit(self, X: Any, y: ArrayLike | None = None) -> Self:
        """Learn from rows how each column is encoded.

        Parameters
        ----------
        X : data frame, dict of columns or array-like of shape (n, n_columns)
            A frame of pandas, polars or Arrow; the columns of an array are named "x0", "x1", ...
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is invalid, or a column has a type that no network can take.
        """
        _checks.choice("unknown", self.unknown, ("missing", "error"))
        _checks.dtype(self.dtype)
        self._learn(self._table(X, reset=True))
        return self

    def _learn(self, table: Table, rows: NDArray[Any] | None = None) -> None:
        """Learn the recipe from a table, or from those of its rows with these numbers."""
        self.recipe_ = tables.learn(
            table,
            rows=rows,
            missing=self.missing,
            standardize=_checks.flag("standardize", self.standardize),
            max_categories=self.max_categories,
            codes=self.codes,
            keep_constant=_checks.flag("keep_constant", self.keep_constant),
        )

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the inputs for rows.

        Parameters
        ----------
        X : as in `fit`
            Must have the columns of `fit`, in any order if they have names; those of an array in
            the order of `fit`.

        Returns
        -------
        ndarray of shape (n, n_inputs)

        Raises
        ------
        NotFittedError, ValueError
            If the encoder is not fitted, a column is missing, a date does not show its order of day
            and month and those of `fit` do not either, or, with ``unknown="error"``, a text did not
            occur in `fit`.
        """
        check_is_fitted(self)
        return self.recipe_.inputs(self._table(X, reset=False), self.unknown, self.dtype)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the inputs, as `Recipe.names`: "area", "area=(missing)", "city=Bonn".

        Parameters
        ----------
        input_features : array-like of str, optional
            The names of the columns in `fit`.

        Returns
        -------
        ndarray of shape (n_inputs,)

        Raises
        ------
        NotFittedError, ValueError
            If the encoder is not fitted, or the names are not those of the columns in `fit`.
        """
        check_is_fitted(self)
        if input_features is not None:
            OneToOneFeatureMixin.get_feature_names_out(self, input_features)  # checks the names
        return np.array(self.recipe_.names, dtype=object)

    def _inputs(self, X: Any) -> NDArray[Any] | SparseRows:
        """Return the result of `transform`, as sparse rows where these are worthwhile."""
        return self._encoded(self._table(X, reset=False))

    def _encoded(self, table: Table) -> NDArray[Any] | SparseRows:
        """Return the inputs for a table."""
        return self.recipe_.encode(table, self.unknown).inputs(dtype=self.dtype)

    def _table(self, X: Any, reset: bool) -> Table:
        """Return rows as a table; learn its columns, or check them against the known ones."""
        require_loaded(X, "X")
        if not is_frame(X):
            if isinstance(X, list | tuple):  # NumPy would make numbers beside texts texts, too
                X = np.array(X, dtype=object)
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
            names = getattr(self, "feature_names_in_", None)
            if names is not None and self._knows_order:  # the columns of a frame, by position
                X = {str(name): column for name, column in zip(names, X.T, strict=True)}
        elif reset:
            self._learn_columns(X)
        if not reset:
            return self.recipe_.read(X)
        table = tables.read(X, kinds=self.kinds, drop=self.drop, missing=self.missing)
        if table.n == 1 and not self.keep_constant:
            raise ValueError("X has 1 sample, in which no column varies; pass 2 or more rows")
        return table

    def _learn_columns(self, X: Any) -> None:
        """Store the names and the number of a frame's columns."""
        names = list(keys_of(X, FRAME).values())
        self.n_features_in_ = len(names)
        self.feature_names_in_ = np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags
