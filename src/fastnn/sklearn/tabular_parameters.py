"""The parameters of the estimators for tables: types, defaults, constraints, documentation.

Here: the only list of these parameters. The defaults are those of the recipe (tabular/ensemble.py);
`settings_of` converts an estimator's parameters to its settings. Not here: how scikit-learn's
constraints and the docstrings are derived (parameters.py), and the effect of a parameter
(tabular_base.py).
"""

# ruff: noqa: RUF009 - `parameter` returns a field, as dataclasses.field does.

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from fastnn import tables
from fastnn._precision import POLICIES
from fastnn.activations import Activation
from fastnn.losses import Loss
from fastnn.sklearn.parameters import (
    ABOVE_0,
    AT_LEAST_0,
    COUNT,
    FROM_0_BELOW_1,
    REGRESSION_LOSSES,
    parameter,
)
from fastnn.tabular.ensemble import N_NETS, Settings

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
        [COUNT],
        """int
        Number of networks. Each has its own seed and its own validation rows; their outputs are
        averaged.""",
    )
    _: KW_ONLY
    hidden_layer_sizes: Sequence[int] = parameter(
        tuple(Settings.hidden),
        ["array-like"],
        """sequence of int
        Number of units of each hidden layer.""",
    )
    activation: str | Activation = parameter(
        Settings.activation,
        [str, Activation],
        """str or Activation
        Activation of the hidden layers.""",
    )
    dropout: float = parameter(
        Settings.dropout,
        [FROM_0_BELOW_1],
        """float
        Dropout rate of the outputs of each hidden layer.""",
    )
    learning_rate_init: float = parameter(
        Settings.learning_rate,
        [ABOVE_0],
        """float
        The peak learning rate of AdamW. The rate rises to this value during the first 5 % of the
        updates (warm-up) and then decays to 0 along a cosine. The learning rate of the first layer
        is four times as large.""",
    )
    weight_decay: float = parameter(
        Settings.weight_decay,
        [AT_LEAST_0],
        """float
        Decoupled weight decay.""",
    )
    batch_size: int = parameter(
        Settings.batch_size,
        [COUNT],
        """int
        Number of rows per update.""",
    )
    max_iter: int | None = parameter(
        Settings.epochs,
        [COUNT, None],
        """int
        Maximum number of epochs. The default is 50, raised or lowered so that a network makes 3,000
        to 8,000 updates, but at least 4 and at most 150. The training of a network stops when its
        validation loss has not decreased for 15 % of this number of epochs, and for at least 5.""",
    )
    validation_fraction: float = parameter(
        Settings.validation,
        [FROM_0_BELOW_1],
        """float
        The fraction of the rows (in classification, of each class, but never all rows of a class)
        that are held out to validate a network after each epoch; at least one row. The network
        keeps the moving average of its weights from the epoch with the lowest validation loss. With
        0, all rows are used for training, and the network keeps the last moving average.""",
    )
    kinds: Mapping[str, str] | None = parameter(
        None,
        [Mapping, None],
        """dict of str to str
        The kinds of columns, by column name: "number", "category", "date", "day-first date"
        (31/1/2020) or "month-first date" (1/31/2020). By default, the kind is inferred from a
        column's type and texts. If no date of a column has a number above 12 before its year,
        1/2/2020 is read with the month first, but 1.2.2020 and 1-2-2020 with the day first.""",
    )
    drop: Sequence[str] = parameter(
        (),
        ["array-like"],
        """list of str
        Columns to leave out.""",
    )
    missing: Sequence[str | float] = parameter(
        (),
        ["array-like"],
        """list of str or number
        Texts that represent a missing value, in addition to "", "NA", "NaN", "null", "None" and
        similar texts. A number represents its text: -99 represents "-99".""",
    )
    max_categories: int = parameter(
        tables.MAX_CATEGORIES,
        [COUNT],
        """int
        Maximum number of categories of a column that have an input of their own, the most frequent
        ones first. All other categories share one further input.""",
    )
    dtype: str = parameter(
        Settings.dtype,
        [StrOptions(set(POLICIES))],
        """{"float32", "float64", "mixed_bfloat16"}
        Precision of weights and arithmetic. For "mixed_bfloat16", see `MLP`.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        """int or RandomState
        Seed or generator for the initial weights, the validation rows and the order of the rows.
        The same seed gives the same result.""",
    )
    n_threads: int | None = parameter(
        None,
        [COUNT, None],
        """int
        Number of networks that are trained at the same time; by default, the number of CPUs that
        this process may use. The result does not depend on this number.""",
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
        [FROM_0_BELOW_1],
        """float
        Smoothing of the class labels in training, as in `CrossEntropy`. Smoothing increases the
        accuracy but makes the probabilities underconfident. Therefore they are calibrated after
        training by temperature scaling: all logits are multiplied by the one factor from 1/4 to 16
        that minimizes the log loss of the validation rows, and of one more row with a random label.
        Without validation rows (``validation_fraction=0``) nothing is calibrated.""",
    )
    class_weight: dict[Any, float] | str | None = parameter(
        None,
        [dict, StrOptions({"balanced"}), None],
        """dict of class to float, or "balanced"
        Weight of each class in the loss.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class TabularRegressorParameters(TabularParameters):
    """The parameters of the regressor."""

    _: KW_ONLY
    loss: str | Loss = parameter(
        "squared_error",
        [StrOptions(set(REGRESSION_LOSSES)), Loss],
        """str or Loss
        The loss, by name ("squared_error", "absolute_error", "huber", "poisson") or as an object
        such as ``Quantile(0.9)``. Parameters of a loss that are in units of the target are given in
        standard deviations of the target.""",
    )


def settings_of(parameters: TabularParameters) -> Settings:
    """Return the settings of the recipe from an estimator's parameters."""
    found = {
        setting: getattr(parameters, name)
        for name, setting in _OF_RECIPE.items()
        if hasattr(parameters, name)
    }
    return Settings(**{**found, "hidden": tuple(found["hidden"])})
