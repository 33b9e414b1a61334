"""The parameters of the estimators: the type, default, constraints and documentation of each.

Here: the only list of parameters. It is a dataclass, so the signatures of the estimators, with
types and defaults, are visible to `inspect`, scikit-learn, editors and type checkers. `constraints`
and `documented` derive scikit-learn's validation and the section Parameters of the docstrings from
it. Not here: the effect of a parameter (network.py, epochs.py, lbfgs.py).
"""

# ruff: noqa: RUF009 - `parameter` returns a field, as dataclasses.field does.

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn import activations, losses, optimizers
from fastnn.activations import Activation
from fastnn.callbacks import Callback
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer

T = TypeVar("T")


#: Losses of numeric targets, by name.
REGRESSION_LOSSES = [
    name
    for name in losses.NAMES
    if losses.KINDS[name].targets in ("real", "positive") and losses.KINDS[name].predicts_targets
]

#: Ranges of numbers, for constraints.
AT_LEAST_0 = Interval(Real, 0, None, closed="left")
ABOVE_0 = Interval(Real, 0, None, closed="neither")
FROM_0_BELOW_1 = Interval(Real, 0, 1, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")


def parameter(default: T, constraints: list[Any], doc: str) -> T:
    """Return the dataclass field of a parameter; type checkers see the default value.

    The first line of `doc` is the type in numpydoc's form; the default is appended to it.
    """
    metadata = {"constraints": constraints, "doc": inspect.cleandoc(doc)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(eq=False, repr=False, match_args=False)
class Parameters(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The parameters that both estimators share."""

    hidden_layer_sizes: int | Sequence[int] = parameter(
        (100,),
        ["array-like", COUNT],
        """int or array-like of int
        Number of units of each hidden layer.""",
    )
    activation: str | Activation | Sequence[str | Activation] = parameter(
        "relu",
        [StrOptions({*activations.HIDDEN, "logistic"}), Activation, "array-like"],
        """str, Activation or list of these
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu" or another
        activation of fastnn. A list has one activation for each layer.""",
    )
    _: KW_ONLY
    solver: str = parameter(
        "adam",
        [StrOptions({"lbfgs", "sgd", "adam"})],
        """{"adam", "sgd", "lbfgs"}
        The algorithm that minimizes the loss. "adam" and "sgd" are stochastic gradient descent.
        "lbfgs" is L-BFGS on all rows at once (`scipy.optimize`), which suits small data sets.""",
    )
    alpha: float = parameter(
        0.0001,
        [AT_LEAST_0],
        """float
        Strength of the L2 penalty ``alpha / 2 * sum(W**2)``. Like the sum of the losses of a
        batch, the penalty is divided by the number of rows of the batch, or by the sum of their
        sample weights.""",
    )
    batch_size: int | str = parameter(
        "auto",
        [StrOptions({"auto"}), COUNT],
        """int or "auto"
        Number of rows per update; "auto" is ``min(200, n_samples)``. Ignored by "lbfgs".""",
    )
    learning_rate: str = parameter(
        "constant",
        [StrOptions({"constant", "invscaling", "adaptive"})],
        """{"constant", "invscaling", "adaptive"}
        Schedule of the learning rate of "sgd". "constant": always `learning_rate_init`.
        "invscaling": set to ``learning_rate_init / (t + 1)**power_t`` after each epoch, where t is
        the number of rows trained on so far. "adaptive": starts at `learning_rate_init`, and is
        divided by 5 each time training would otherwise end for lack of improvement. Ignored with
        `optimizer`, which may have a schedule of its own, such as `InverseScaling`.""",
    )
    learning_rate_init: float = parameter(
        0.001,
        [ABOVE_0],
        """float
        The initial learning rate of "sgd" and "adam".""",
    )
    power_t: float = parameter(
        0.5,
        [AT_LEAST_0],
        """float
        The exponent of the learning rate schedule "invscaling".""",
    )
    max_iter: int = parameter(
        200,
        [COUNT],
        """int
        Maximum number of epochs, or of iterations for "lbfgs".""",
    )
    shuffle: bool = parameter(
        True,
        ["boolean"],
        """bool
        Whether to shuffle the rows before each epoch.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        """int or RandomState
        Seed or generator for the initial weights, the validation split, the order of the rows and
        dropout.""",
    )
    tol: float = parameter(
        1e-4,
        [AT_LEAST_0],
        """float
        Training ends when the loss (with early stopping, the validation score) has not improved by
        at least `tol` for `n_iter_no_change` epochs. With "lbfgs", training ends when no component
        of the gradient is larger than `tol` in absolute value.""",
    )
    verbose: bool | int = parameter(
        False,
        ["verbose"],
        """bool or int
        Whether to print losses and validation scores.""",
    )
    warm_start: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether `fit` starts from the current weights instead of new ones. The current weights are
        those of the last `fit`, or those assigned to `coefs_` and `intercepts_`.""",
    )
    momentum: float = parameter(
        0.9,
        [Interval(Real, 0, 1, closed="both")],
        """float
        The momentum of "sgd", from 0 to 1.""",
    )
    nesterovs_momentum: bool = parameter(
        True,
        ["boolean"],
        """bool
        Whether "sgd" uses Nesterov's momentum.""",
    )
    early_stopping: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether to hold out `validation_fraction` of the rows, to end training when the score on
        these rows stops improving, and to keep the weights with the best score.""",
    )
    validation_fraction: float = parameter(
        0.1,
        [FROM_0_BELOW_1],
        """float
        The fraction of the rows held out for early stopping, unless X_val and y_val are passed to
        `fit`.""",
    )
    beta_1: float = parameter(
        0.9,
        [FROM_0_BELOW_1],
        """float
        The decay rate of the first moment of "adam".""",
    )
    beta_2: float = parameter(
        0.999,
        [FROM_0_BELOW_1],
        """float
        The decay rate of the second moment of "adam".""",
    )
    epsilon: float = parameter(
        1e-8,
        [ABOVE_0],
        """float
        Constant that "adam" adds to the square root of the second moment.""",
    )
    n_iter_no_change: float = parameter(
        10,
        [COUNT, Options(Real, {np.inf})],
        """int or inf
        Number of epochs without an improvement by `tol` after which training ends.""",
    )
    max_fun: int = parameter(
        15000,
        [COUNT],
        """int
        Maximum number of evaluations of the loss by "lbfgs".""",
    )
    optimizer: str | Optimizer | None = parameter(
        None,
        [StrOptions(set(optimizers.NAMES)), Optimizer, None],
        """str or Optimizer
        An optimizer of fastnn to use instead of `solver`. Its learning rate is its own, and follows
        its own schedule if it has one; an optimizer given by name has the constant rate
        `learning_rate_init`.""",
    )
    dropout: float | Sequence[float] = parameter(
        0.0,
        [FROM_0_BELOW_1, "array-like"],
        """float or list of float
        Dropout rate of the outputs of the hidden layers in training. A list has one rate for each
        layer.""",
    )
    weight_decay: float = parameter(
        0.0,
        [AT_LEAST_0],
        """float
        Decoupled weight decay, applied to weights but not to biases, with any optimizer. The solver
        "adam" becomes AdamW. Not available for the solver "lbfgs".""",
    )
    clipnorm: float | None = parameter(
        None,
        [ABOVE_0, None],
        """float
        Maximum Euclidean norm of the gradient of each W and each b. A gradient with a larger norm
        is scaled down to this norm.""",
    )
    callbacks: Sequence[Callback] | None = parameter(
        None,
        [list, tuple, None],
        """list of Callback
        Callbacks of fastnn, or your own. Their logs contain "loss" and, with validation rows,
        "val_loss".""",
    )
    dtype: Any = parameter(
        None,
        [StrOptions({"float32", "float64", "mixed_bfloat16"}), type, np.dtype, None],
        """{"float32", "float64", "mixed_bfloat16"}
        The precision of weights and arithmetic; by default, the precision of X. float32 is about
        twice as fast as float64. For "mixed_bfloat16", see `MLP`.""",
    )
    n_threads: int | None = parameter(
        None,
        [COUNT, None],
        """int
        Number of threads used for training; by default, the number of CPUs that this process may
        use. The result has the same bits for any number of threads. Small networks are trained
        on one thread.""",
    )

    def _is_minimized(self) -> bool:
        """Return whether L-BFGS trains, instead of stochastic gradient descent."""
        return self.solver == "lbfgs" and self.optimizer is None


@dataclass(eq=False, repr=False, match_args=False)
class ClassifierParameters(Parameters):
    """The parameters of the classifier."""

    _: KW_ONLY
    loss: str | Loss = parameter(
        "log_loss",
        [StrOptions({"log_loss", *losses.NAMES}), Loss],
        """str or Loss
        "log_loss" is binary or categorical cross-entropy. Any other loss of fastnn that accepts
        sigmoid or softmax outputs is possible, such as "squared_error".""",
    )
    class_weight: dict[Any, float] | str | None = parameter(
        None,
        [dict, StrOptions({"balanced"}), None],
        """dict or "balanced"
        Weight of each class in the loss, by label; a class that the dict lacks has the weight 1.
        The weight of a row is multiplied by its `sample_weight`. "balanced" gives a class of
        ``count`` rows the weight ``n_samples / (n_classes * count)``, and is not supported by
        `partial_fit`.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class _RegressionLoss:
    """The loss, in a class of its own so that it can be the first parameter."""

    loss: str | Loss = parameter(
        "squared_error",
        [StrOptions(set(REGRESSION_LOSSES)), Loss],
        """str or Loss
        "squared_error" is half the squared error, averaged over outputs. "poisson" is half the
        Poisson deviance, for targets of 0 or more, with an exponential output. Any other loss of
        fastnn for regression is possible, such as "huber" or ``Quantile(0.9)``.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class RegressorParameters(Parameters, _RegressionLoss):
    """The parameters of the regressor; fields of the last base class come first."""

    _: KW_ONLY
    standardize_target: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether to train on ``(y - target_mean_) / target_scale_``. Losses, `alpha`, `tol` and
        parameters of `loss` then refer to this standardized target, and so do the outputs of the
        network in callbacks. When training ends, the output layer undoes the scaling: predictions,
        `coefs_`, `intercepts_` and `net_` are for y itself. With `warm_start`, and in
        `partial_fit`, mean and scale are those of the first call; `partial_fit` trains a copy of
        `net_` and replaces it. Not available for the loss "poisson".""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class _Ensemble:
    """The parameters of an ensemble in addition to those of its members."""

    _: KW_ONLY
    n_members: int = parameter(
        10,
        [COUNT],
        """int
        Number of networks. Each has its own seed, which is drawn from `random_state`.""",
    )
    bootstrap: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether each network is trained on a bootstrap sample, ``n_samples`` rows drawn with
        replacement, instead of on all rows. With early stopping, the rows that are not in a
        network's sample are then held out, instead of `validation_fraction` of the rows.""",
    )
    oob_score: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether to predict each row by the networks that were not trained on it, and to score these
        predictions. Requires ``bootstrap=True``.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class EnsembleClassifierParameters(_Ensemble, ClassifierParameters):
    """The parameters of an ensemble of classifiers."""


@dataclass(eq=False, repr=False, match_args=False)
class EnsembleRegressorParameters(_Ensemble, RegressorParameters):
    """The parameters of an ensemble of regressors."""


#: The names of the parameters that only an ensemble has, not its members.
OF_ENSEMBLES = tuple(field.name for field in dataclasses.fields(_Ensemble))


#: The attributes that both estimators share, for the section Attributes.
ATTRIBUTES = """
loss_ : float
    The loss of the last epoch.
best_loss_ : float or None
    The lowest loss of an epoch; None with early stopping.
loss_curve_ : list of float
    The training loss of each epoch, where the loss of a batch is computed before its update; not
    available for "lbfgs". With sample weights, the loss of a batch is the weighted mean over its
    rows.
validation_loss_curve_ : list of float or None
    The loss of the validation rows after each epoch; None without validation rows.
validation_scores_ : list of float or None
    The score of the validation rows after each epoch; None without early stopping.
best_validation_score_ : float or None
    The best of the validation scores; None without early stopping.
coefs_, intercepts_ : list of ndarray
    Weights (n_in, n_out) and biases (n_out,) of each layer. The arrays are read-only; to change
    weights, assign a new list, or assign a new array to an item of the list. With `warm_start`,
    both lists may also be assigned before the first `fit`.
n_features_in_ : int
    Number of columns of X.
feature_names_in_ : ndarray of str
    Names of the columns of X, if all are strings.
n_iter_ : int
    Number of epochs (or iterations) of the last `fit`.
t_ : int
    Number of rows trained on so far.
n_layers_ : int
    Number of layers, including the input layer and the output layer.
n_outputs_ : int
    Number of outputs.
out_activation_ : str
    The activation of the last layer, as scikit-learn names it.
net_ : MLP
    The network, with all methods of `MLP`, such as ``save``, ``summary`` and ``jacobian``, and with
    weights that were assigned to `coefs_` and `intercepts_`.
"""


def constraints(kind: type[Parameters]) -> dict[str, list[Any]]:
    """Return scikit-learn's constraints: the values that each parameter may have."""
    return {field.name: field.metadata["constraints"] for field in dataclasses.fields(kind)}


def documented(
    cls: type[T], attributes: str = ATTRIBUTES, *, is_stochastic: bool = False
) -> type[T]:
    """Insert parameters and attributes into a docstring, for <parameters> and <attributes>.

    `is_stochastic` says that the solver "lbfgs" is not available.
    """
    # Python removes the indentation of docstrings from 3.13 on, but not that of the inserted text.
    text = inspect.cleandoc(cls.__doc__ or "")
    text = text.replace("<parameters>", _numpydoc(cls, is_stochastic))
    cls.__doc__ = text.replace("<attributes>", attributes.strip())
    return cls


def _numpydoc(kind: Any, is_stochastic: bool) -> str:
    """Return the entries of the numpydoc section Parameters."""
    entries = []
    for field in dataclasses.fields(kind):
        type_, _, text = field.metadata["doc"].partition("\n")
        if is_stochastic:
            type_, text = type_.replace(', "lbfgs"', ""), _without_lbfgs(text)
        if not text:
            continue
        default = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
        ending = "optional" if field.default is None else f"default {default}"
        entries.append(f"{field.name} : {type_}, {ending}\n{textwrap.indent(text, '    ')}")
    return "\n".join(entries)


def _without_lbfgs(text: str) -> str:
    """Return the description of a parameter without what it says about the solver "lbfgs"."""
    if '"lbfgs"' not in text:
        return text
    text = text.replace(', or of iterations for "lbfgs"', "")
    sentences = re.split(r'(?<=\.)\s+(?=["A-Z])', text)
    return textwrap.fill(" ".join(each for each in sentences if '"lbfgs"' not in each), 92)
