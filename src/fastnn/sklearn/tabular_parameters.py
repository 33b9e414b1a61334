"""The parameters of the estimators for tables: types, defaults, constraints, documentation.

Here: the only list of these parameters. The defaults are those of the recipe (tabular/ensemble.py);
`settings_of` converts an estimator's parameters to its settings. Not here: how scikit-learn's
constraints and the docstrings are derived (parameters.py), and the effect of a parameter
(tabular_base.py).
"""

# ruff: noqa: RUF009 - `parameter` returns a field, as dataclasses.field does.

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from fastnn import tables
from fastnn._precision import POLICIES
from fastnn.activations import Activation
from fastnn.losses import Loss
from fastnn.sklearn.parameters import parameter
from fastnn.tabular.ensemble import N_NETS, Settings

_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_ABOVE_0 = Interval(Real, 0, None, closed="neither")
_FROM_0_BELOW_1 = Interval(Real, 0, 1, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")

#: The parameters that are settings of the recipe, with their names in `Settings`.
_OF_RECIPE = {
    "hidden_layer_sizes": "hidden",
    "activation": "activation",
    "dropout": "dropout",
    "learning_rate_init": "learning_rate",
    "weight_decay": "weight_decay",
    "batch_size": "batch_size",
    "max_iter": "epochs",
    "validation_fraction": "validation",
    "dtype": "dtype",
    "label_smoothing": "label_smoothing",
}


@dataclass(eq=False, repr=False, match_args=False)
class TabularParameters(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The parameters that both estimators share."""

    n_nets: int = parameter(
        N_NETS,
        [_COUNT],
        """int
        Networks, each with its own seed and its own validation rows; their outputs are
        averaged.""",
    )
    _: KW_ONLY
    hidden_layer_sizes: Sequence[int] = parameter(
        tuple(Settings.hidden),
        ["array-like"],
        """sequence of int
        Units of the hidden layers.""",
    )
    activation: str | Activation = parameter(
        Settings.activation,
        [str, Activation],
        """str or Activation
        Of the hidden layers.""",
    )
    dropout: float = parameter(
        Settings.dropout,
        [_FROM_0_BELOW_1],
        """float
        Rate of the dropout behind each hidden layer.""",
    )
    learning_rate_init: float = parameter(
        Settings.learning_rate,
        [_ABOVE_0],
        """float
        The largest learning rate of AdamW: after a warm-up of 5 % of the updates it falls to 0
        along a cosine. That of the first layer is four times as large.""",
    )
    weight_decay: float = parameter(
        Settings.weight_decay,
        [_AT_LEAST_0],
        """float
        Decoupled weight decay.""",
    )
    batch_size: int = parameter(
        Settings.batch_size,
        [_COUNT],
        """int
        Rows of an update.""",
    )
    max_iter: int | None = parameter(
        Settings.epochs,
        [_COUNT, None],
        """int
        Largest number of epochs; by default 50, or as many as make 3,000 to 8,000 updates, within
        4 to 150. A network stops after 15 % of them, 5 or more, without a lower validation
        loss.""",
    )
    validation_fraction: float = parameter(
        Settings.validation,
        [_FROM_0_BELOW_1],
        """float
        The fraction of the rows, of each class in a classification, on which a network is validated
        after each epoch. It keeps the moving average of its weights from the epoch of the least
        loss. 0 trains on all rows and keeps the last average.""",
    )
    kinds: Mapping[str, str] | None = parameter(
        None,
        [dict, None],
        """dict of str to str
        The kind of some columns: "number", "category", "date" or "day-first date" (31/1/2020). By
        default it follows from a column's type and texts.""",
    )
    drop: Sequence[str] = parameter(
        (),
        ["array-like"],
        """list of str
        Columns to leave out.""",
    )
    missing: Sequence[str] = parameter(
        (),
        ["array-like"],
        """list of str
        Texts that stand for a missing value, besides "", "NA", "NaN", "null", "None" and the
        like.""",
    )
    max_categories: int = parameter(
        tables.MAX_CATEGORIES,
        [_COUNT],
        """int
        The most texts of a column that have an input each; another input is for all rarer ones.""",
    )
    dtype: str = parameter(
        Settings.dtype,
        [StrOptions(set(POLICIES))],
        """{"float32", "float64", "mixed_bfloat16"}
        Precision of weights and arithmetic; for the last, see `MLP`.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        """int or RandomState
        Determines weights, validation rows and orders of rows: one seed, one result.""",
    )
    n_threads: int | None = parameter(
        None,
        [_COUNT, None],
        """int
        Networks that are trained at the same time; by default the CPUs that this process may use.
        The result does not depend on it.""",
    )
    verbose: bool | int = parameter(
        False,
        ["verbose"],
        """bool or int
        Whether to show progress.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class TabularClassifierParameters(TabularParameters):
    """The parameters of the classifier."""

    _: KW_ONLY
    label_smoothing: float = parameter(
        Settings.label_smoothing,
        [_FROM_0_BELOW_1],
        """float
        How far the labels that are learned are from certain, as in `CrossEntropy`. With it more
        rows are predicted right; the probabilities are sharpened afterwards by one factor of all
        logits, of which the log-loss of the validation rows is least.""",
    )
    class_weight: Mapping[Any, float] | str | None = parameter(
        None,
        [dict, StrOptions({"balanced"}), None],
        """dict of class to float, or "balanced"
        Weights of the classes in the loss.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class TabularRegressorParameters(TabularParameters):
    """The parameters of the regressor."""

    _: KW_ONLY
    loss: str | Loss = parameter(
        "squared_error",
        [str, Loss],
        """str or Loss
        Also "absolute_error", "huber" or "poisson", or an object such as ``Quantile(0.9)``. Its
        parameters are in standard deviations of the target.""",
    )


def settings_of(parameters: TabularParameters) -> Settings:
    """Return the settings of the recipe from an estimator's parameters."""
    found = {
        setting: getattr(parameters, name)
        for name, setting in _OF_RECIPE.items()
        if hasattr(parameters, name)
    }
    return Settings(**{**found, "hidden": tuple(found["hidden"])})
