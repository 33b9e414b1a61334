"""Base class of the estimators for tables: columns, training, files.

Not here: targets, scores and predictions (tabular.py), the encoding of columns
(tabular/learning.py), and the networks and their training (tabular/ensemble.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import (
    check_random_state,
    compute_sample_weight,
)
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from fastnn import _checks, _conversion
from fastnn._precision import POLICIES
from fastnn.many import Fits
from fastnn.sklearn.base import all_or_nothing, with_valid_parameters
from fastnn.sklearn.rows import require_class_weights, require_weight
from fastnn.sklearn.table_encoder import TableEncoder
from fastnn.sklearn.tabular_parameters import TabularParameters, settings_of
from fastnn.tabular import ensemble, report
from fastnn.tabular.models import Model
from fastnn.training.mapped import files_of

if TYPE_CHECKING:
    import os
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss
    from fastnn.mlp import MLP
    from fastnn.sparse_rows import SparseRows
    from fastnn.tables import Recipe

#: Attributes that the estimators store in the metadata of a model file besides the recipe.
_KEPT = ("n_features_in", "feature_names_in", "is_weighted")


class BaseTabular(TabularParameters):
    """Base of the estimators for tables: columns, training, files.

    A subclass defines the targets (`_targets`), the activation and the loss of the last layer
    (`_output_and_loss`), and the score of outputs (`_score_of`).
    """

    fits_: Fits
    recipe_: Recipe
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    validation_score_: float
    n_iter_: int
    class_weight: Any = None
    _is_weighted = False  # whether the networks were trained with class weights
    _encoder: TableEncoder

    # ---- for subclasses -------------------------------------------------------------------------

    def _targets(self, y: Any) -> NDArray[Any]:
        """Return y (n,) as targets of networks: numbers, or labels of classes, learned here."""
        raise NotImplementedError

    def _require_in_range(self, targets: NDArray[Any]) -> None:
        """Check that targets of rows to train on or to score are in the range of the loss."""

    def _held_out(self, y: Any) -> NDArray[Any]:
        """Return y (n,) of held-out rows as targets: numbers or labels."""
        targets = self._targets(y)
        self._require_in_range(targets)
        return targets

    def _output_and_loss(self) -> tuple[str, Loss]:
        """Return the activation of the last layer, and the loss."""
        raise NotImplementedError

    def _with_target(self, recipe: Recipe, target: str) -> Recipe:
        """Return a recipe of inputs with the task and target added."""
        raise NotImplementedError

    def _take(self, recipe: Recipe) -> None:
        """Set the attributes for targets from a recipe."""

    def _score_of(
        self, outputs: NDArray[Any], targets: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        """Return the score of outputs (n, n_out)."""
        raise NotImplementedError

    # ---- fitting --------------------------------------------------------------------------------

    @with_valid_parameters
    @all_or_nothing
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn how to encode the columns, and train the networks.

        Parameters
        ----------
        X : data frame, dict of columns or array-like of shape (n, n_columns)
            A frame of pandas, polars or Arrow, with numbers, categories, texts, bools, dates and
            missing values.
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
            Weights of the rows' losses, 0 or more. Neither the codes of the columns nor the
            networks learn from rows of weight 0, and such rows do not count for
            ``class_weight="balanced"``. They do count when the table is read: the kind of a column
            is inferred from all rows, and a class that occurs only in such rows is still one of the
            classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the loss of a network is no longer finite.
        """
        self._fit(X, y, sample_weight)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        self._encoder = TableEncoder(
            kinds=self.kinds,
            drop=self.drop,
            missing=self.missing,
            max_categories=self.max_categories,
            codes="rich",
            dtype=POLICIES[self.dtype].name,
        )
        table = self._encoder._table(X, reset=True)
        y = _conversion.decoded(y)
        targets = self._targets(y)
        check_consistent_length(np.empty(table.n), targets)
        own_weight = None
        if sample_weight is not None:
            own_weight = _check_sample_weight(
                sample_weight, np.empty(table.n), ensure_non_negative=True
            )
        weight = self._weights(y, own_weight)
        used = np.arange(table.n) if weight is None else np.flatnonzero(weight)
        self._require_in_range(targets[used])
        self._encoder._learn(table, used)
        inputs = self._encoder._encoded(table)
        classes = getattr(self, "classes_", None)
        output, loss = self._output_and_loss()
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=self.n_nets).tolist()
        try:
            trained = ensemble.train(
                settings_of(self),
                inputs,
                targets,
                n_classes=None if classes is None else len(classes),
                seeds=seeds,
                output=output,
                loss=loss,
                sample_weight=weight,
                n_threads=self.n_threads,
                verbose=bool(self.verbose),
            )
        except FloatingPointError as error:
            what = str(error.__cause__ or error).partition(":")[0]  # without the network's number
            raise ValueError(
                f"{what}; lower learning_rate_init={self.learning_rate_init!r}"
            ) from error
        self.fits_, self._is_weighted = trained.fits, self.class_weight is not None
        self.validation_score_ = self._score_out_of_sample(trained, inputs, targets, own_weight)
        self._keep(self._with_target(self._encoder.recipe_, str(getattr(y, "name", None) or "y")))

    def _weights(self, y: Any, weight: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return the weights (n,) of rows, multiplied by class weights; None without any."""
        if self.class_weight is not None:
            require_class_weights(self.class_weight)
            labels, by_class = np.asarray(y), np.zeros(len(y))
            # Only the rows that are learned from, of which "balanced" counts those of each class.
            used = np.ones(len(y), bool) if weight is None else weight > 0
            by_class[used] = compute_sample_weight(self.class_weight, labels[used])
            weight = by_class if weight is None else weight * by_class
        require_weight(weight)
        return weight

    def _score_out_of_sample(
        self,
        trained: ensemble.TrainedNetworks,
        inputs: NDArray[Any] | SparseRows,
        targets: NDArray[Any],
        weight: NDArray[Any] | None,
    ) -> float:
        """Return the score of rows by the networks that were not trained on them.

        `weight` (n,) lacks class weights: these tell networks what to learn, not what to score.
        """
        total = np.zeros((len(inputs), trained.fits[0].n_out))
        counts = np.zeros(len(inputs), int)
        for net, rows in zip(trained.fits, trained.validation, strict=False):
            total[rows] += net.predict(inputs[rows])
            counts[rows] += 1
        known = counts > 0
        if not known.any():
            return float("nan")
        outputs = total[known] / counts[known, None]
        return self._score_of(outputs, targets[known], None if weight is None else weight[known])

    def _keep(self, recipe: Recipe) -> None:
        """Store the recipe, and what the encoder has learned of the columns, with the networks."""
        self.recipe_ = self._encoder.recipe_ = recipe
        self.n_iter_ = max(status.epochs for status in self.fits_.statuses)
        self.n_features_in_ = self._encoder.n_features_in_
        found = getattr(self._encoder, "feature_names_in_", None)
        if found is not None:
            self.feature_names_in_ = found
        elif hasattr(self, "feature_names_in_"):  # from an earlier fit
            del self.feature_names_in_
        names = None if found is None else [str(name) for name in found]
        values = int(self.n_features_in_), names, self._is_weighted
        kept = dict(zip(_KEPT, values, strict=True))
        Model(self.fits_).attach(recipe, estimator=kept)

    # ---- predicting -----------------------------------------------------------------------------

    def _averaged(self) -> list[MLP]:
        """Return the networks whose mean outputs are predicted, for exporters."""
        check_is_fitted(self)
        return list(self.fits_)

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """Return the mean of the networks' outputs (n, n_out)."""
        inputs = self._inputs(X)
        return self.fits_.predict(inputs, "mean")

    def _inputs(self, X: Any) -> NDArray[Any] | SparseRows:
        """Return rows as the networks take them; unknown texts count as missing."""
        check_is_fitted(self)
        return self._encoder._inputs(X)

    # ---- reports --------------------------------------------------------------------------------

    def report(
        self,
        X: Any,
        y: ArrayLike,
        path: str | os.PathLike[str],
        *,
        n_repeats: int = 5,
        max_samples: int = 2000,
        random_state: int = 0,
    ) -> None:
        """Write a report on the networks, scored on held-out rows, to an HTML file.

        The page compares the scores with those of a baseline. It shows the learning curves, the
        confusion matrix with ROC and reliability curves or the residuals, the spread of the
        networks, the permutation importance of each column, and how each column is encoded. It is
        one file without scripts that needs no network access. The same networks and rows give the
        same page.

        Parameters
        ----------
        X : as in `predict`
            Rows that the networks were not trained on; otherwise the scores are too optimistic.
        y : array-like of shape (n,)
            Their true values.
        path : str or path
            A name with the ending ".html" or ".htm". An old report is replaced as a whole.
        n_repeats : int, default 5
            How often each column is shuffled for its permutation importance.
        max_samples : int, default 2000
            The most rows that are used for it, drawn at random from X; fewer if there are more than
            50 columns. The page states the number.
        random_state : int, default 0
            Seed of the permutations and of the choice of rows.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or y are invalid, y has a class that does not occur in `fit`, or the path has
            another ending or is that of a model file.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> model.fit(frame[:800], y[:800])  # doctest: +SKIP
        >>> model.report(frame[800:], y[800:], "report.html")  # doctest: +SKIP
        """
        check_is_fitted(self)
        path = report.check_path("path", path, files_of(X, y))
        n_repeats = _checks.integer("n_repeats", n_repeats, low=1)
        max_samples = _checks.integer("max_samples", max_samples, low=1)
        table = self._encoder._table(X, reset=False)
        targets = self._held_out(_conversion.decoded(y))
        check_consistent_length(np.empty(table.n), targets)
        subject = report.Subject(
            Model(self.fits_),
            self.recipe_,
            table,
            targets,
            f"All figures on this page, except the learning curves, are computed from "
            f"{_checks.counted(len(targets), 'held-out row')}. They estimate the quality on new "
            "rows only if no network was trained on a held-out row.",
            facts=[("Made by", type(self).__name__)],
            is_weighted=self._is_weighted,
            seed=_checks.integer("random_state", random_state, low=0),
            n_repeats=n_repeats,
            max_rows=max_samples,
        )
        report.write(path, subject)

    # ---- files ----------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the networks and their recipe to a model file, which contains no code.

        ``fastnn predict`` and ``fastnn info`` read the file, too, and so do `fastnn.load_many` and,
        for a single network, `fastnn.load`.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        Model(self.fits_).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Load an estimator from a file that `save` or ``fastnn train`` wrote.

        Parameters
        ----------
        path : str or path

        Returns
        -------
        estimator
            Its predictions are those of the saved one. Of its parameters, only `n_nets` is taken
            from the file.

        Raises
        ------
        ModelFileError, ValueError
            If the file has no networks for tables, or its networks are for the other task.
        OSError
            If it cannot be read.
        """
        path = _checks.file_path("path", path)
        model, recipe = Model.load(path)
        _checks.no_groups(path, model.by)
        fits = model.fits
        estimator = cls(n_nets=len(fits))
        estimator._take(recipe)
        estimator.fits_ = fits
        kept = fits[0].metadata.get("estimator")
        if kept is not None:
            kept = _checks.fields("the estimator's attributes", kept, _KEPT, _KEPT[:2])
            estimator._is_weighted = kept.get("is_weighted", False) is True  # older files lack it
        record = fits[0].metadata.get("training")  # of `fastnn train`
        if isinstance(record, dict) and record.get("class_weight") is not None:
            estimator._is_weighted = True
        estimator._encoder = _encoder_of(recipe, kept, fits[0].dtype)
        estimator._keep(recipe)
        return estimator

    # ---- scikit-learn's conventions -------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fits_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.target_tags.required = True
        return tags


def _encoder_of(recipe: Recipe, kept: Any, dtype: np.dtype[Any]) -> TableEncoder:
    """Return a fitted encoder from a file's recipe and the attributes stored with it."""
    encoder = TableEncoder(codes="rich", dtype=dtype.name)
    encoder.recipe_ = recipe
    names: Any = [*recipe.kinds, *recipe.ignored]
    encoder.n_features_in_ = len(names)
    if kept is not None:
        encoder.n_features_in_, names = kept["n_features_in"], kept["feature_names_in"]
    else:  # `fastnn train` stores no order of the columns that are not used
        encoder._knows_order = False
    if names is not None:
        encoder.feature_names_in_ = np.array(names, dtype=object)
    return encoder
