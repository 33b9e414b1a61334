"""The parameters of the estimators: the type, default, constraints and documentation of each.

Here: the only list of parameters. It is a dataclass, so the signatures of the estimators, with
types and defaults, are visible to `inspect`, scikit-learn, editors and type checkers. `constraints`
and `documented` derive scikit-learn's validation and the section Parameters of the docstrings from
it. Not here: the effect of a parameter (network.py, epochs.py, lbfgs.py).
"""

# ruff: noqa: RUF009 - `parameter` returns a field, as dataclasses.field does.

import dataclasses
import inspect
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

_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_ABOVE_0 = Interval(Real, 0, None, closed="neither")
_FROM_0_BELOW_1 = Interval(Real, 0, 1, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")


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
        ["array-like", _COUNT],
        """int or array-like of int
        Units of each hidden layer.""",
    )
    activation: str | Activation | Sequence[str | Activation] = parameter(
        "relu",
        [StrOptions({*activations.HIDDEN, "logistic"}), Activation, "array-like"],
        """str, Activation or list of these
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu" or another one of
        fastnn; a list has one for each layer.""",
    )
    _: KW_ONLY
    solver: str = parameter(
        "adam",
        [StrOptions({"lbfgs", "sgd", "adam"})],
        """{"adam", "sgd", "lbfgs"}
        How to minimize the loss: by one of two kinds of stochastic gradient descent, or by L-BFGS
        on all rows at once (`scipy.optimize`), which suits small data sets.""",
    )
    alpha: float = parameter(
        0.0001,
        [_AT_LEAST_0],
        """float
        Strength of the L2 penalty ``alpha / 2 * sum(W**2)``, which is divided by the number of
        rows (or the sum of sample weights) of a batch, as the losses of its rows are.""",
    )
    batch_size: int | str = parameter(
        "auto",
        [StrOptions({"auto"}), _COUNT],
        """int or "auto"
        Rows of an update; "auto" is ``min(200, n_samples)``. "lbfgs" ignores it.""",
    )
    learning_rate: str = parameter(
        "constant",
        [StrOptions({"constant", "invscaling", "adaptive"})],
        """{"constant", "invscaling", "adaptive"}
        The learning rate of "sgd". "constant": `learning_rate_init`. "invscaling":
        ``learning_rate_init / (t + 1)**power_t`` after an epoch, where t is the number of rows
        trained so far. "adaptive": divided by 5 each time training would otherwise end.""",
    )
    learning_rate_init: float = parameter(
        0.001,
        [_ABOVE_0],
        """float
        The initial learning rate of "sgd" and "adam".""",
    )
    power_t: float = parameter(
        0.5,
        [_AT_LEAST_0],
        """float
        The exponent of the learning rate "invscaling".""",
    )
    max_iter: int = parameter(
        200,
        [_COUNT],
        """int
        The largest number of epochs, or of iterations of "lbfgs".""",
    )
    shuffle: bool = parameter(
        True,
        ["boolean"],
        """bool
        Whether each epoch takes the rows in a new random order.""",
    )
    random_state: int | np.random.RandomState | None = parameter(
        None,
        ["random_state"],
        """int or RandomState
        The source of initial weights, of the validation split and of the order of rows.""",
    )
    tol: float = parameter(
        1e-4,
        [_AT_LEAST_0],
        """float
        Training ends when the loss (with early stopping the score) has not improved by `tol` for
        `n_iter_no_change` epochs. For "lbfgs": training ends at a smaller gradient.""",
    )
    verbose: bool | int = parameter(
        False,
        ["verbose"],
        """bool or int
        Whether to print losses and scores.""",
    )
    warm_start: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether `fit` starts from the present weights, of the last `fit` or set by hand.""",
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
        Whether the momentum is Nesterov's.""",
    )
    early_stopping: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether to hold out `validation_fraction` of the rows, to end when their score stops
        improving, and to keep the best weights.""",
    )
    validation_fraction: float = parameter(
        0.1,
        [_FROM_0_BELOW_1],
        """float
        The fraction of the rows held out for early stopping, unless `fit` is given X_val and
        y_val.""",
    )
    beta_1: float = parameter(
        0.9,
        [_FROM_0_BELOW_1],
        """float
        The decay rate of the first moment of "adam".""",
    )
    beta_2: float = parameter(
        0.999,
        [_FROM_0_BELOW_1],
        """float
        The decay rate of the second moment of "adam".""",
    )
    epsilon: float = parameter(
        1e-8,
        [_ABOVE_0],
        """float
        For "adam": added to the root of the second moment.""",
    )
    n_iter_no_change: float = parameter(
        10,
        [_COUNT, Options(Real, {np.inf})],
        """int or inf
        Training ends after this many epochs without improvement.""",
    )
    max_fun: int = parameter(
        15000,
        [_COUNT],
        """int
        The largest number of evaluations of the loss by "lbfgs".""",
    )
    optimizer: str | Optimizer | None = parameter(
        None,
        [StrOptions(set(optimizers.NAMES)), Optimizer, None],
        """str or Optimizer
        An optimizer of fastnn that replaces `solver`; one given by name has the learning rate
        `learning_rate_init`.""",
    )
    dropout: float | Sequence[float] = parameter(
        0.0,
        [_FROM_0_BELOW_1, "array-like"],
        """float or list of float
        The rate at which outputs of hidden layers are dropped in training; a list has one for each
        layer.""",
    )
    weight_decay: float = parameter(
        0.0,
        [_AT_LEAST_0],
        """float
        Decoupled weight decay of weights, not biases, with any optimizer; it makes the solver
        "adam" AdamW. Not with solver "lbfgs".""",
    )
    clipnorm: float | None = parameter(
        None,
        [_ABOVE_0, None],
        """float
        The largest Euclidean norm of the gradient of each W and each b; a larger gradient is
        scaled down to it.""",
    )
    callbacks: Sequence[Callback] | None = parameter(
        None,
        [list, tuple, None],
        """list of Callback
        Callbacks of fastnn, or your own. Logs have "loss", with validation rows "val_loss".""",
    )
    dtype: Any = parameter(
        None,
        [StrOptions({"float32", "float64", "mixed_bfloat16"}), type, np.dtype, None],
        """{"float32", "float64", "mixed_bfloat16"}
        The precision of weights and arithmetic; by default that of X. float32 is twice as fast as
        float64; for "mixed_bfloat16" see `MLP`.""",
    )
    n_threads: int | None = parameter(
        None,
        [_COUNT, None],
        """int
        Threads of a training; by default the CPUs that this process may use. The result is the
        same to the bit. Small networks are trained on one thread.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class ClassifierParameters(Parameters):
    """The parameters of the classifier."""

    _: KW_ONLY
    loss: str | Loss = parameter(
        "log_loss",
        [StrOptions({"log_loss", *losses.NAMES}), Loss],
        """str or Loss
        Binary or categorical cross-entropy, or another loss of fastnn that suits sigmoid or softmax
        outputs, such as "squared_error".""",
    )
    class_weight: dict[Any, float] | str | None = parameter(
        None,
        [dict, StrOptions({"balanced"}), None],
        """dict or "balanced"
        Weights of the classes by label, multiplied by sample_weight; "balanced" is ``n_samples /
        (n_classes * count)``, and is not possible with `partial_fit`.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class _RegressionLoss:
    """The loss, in a class of its own so that it can be the first parameter."""

    loss: str | Loss = parameter(
        "squared_error",
        [StrOptions(set(REGRESSION_LOSSES)), Loss],
        """str or Loss
        Half the squared error (the mean over outputs); half the deviance "poisson", for targets of
        0 or more, with an exponential output; or another loss of fastnn for regression, such as
        "huber" or ``Quantile(0.9)``.""",
    )


@dataclass(eq=False, repr=False, match_args=False)
class RegressorParameters(Parameters, _RegressionLoss):
    """The parameters of the regressor; fields of the last base class come first."""


@dataclass(eq=False, repr=False, match_args=False)
class _Ensemble:
    """The parameters of an ensemble in addition to those of its members."""

    _: KW_ONLY
    n_members: int = parameter(
        10,
        [_COUNT],
        """int
        Number of networks. They differ in their seeds, which `random_state` draws.""",
    )
    bootstrap: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether each network is trained on as many rows as there are, drawn with replacement, rather
        than on all rows. With early stopping, the rows that it did not draw are then held out in
        place of `validation_fraction` of the rows.""",
    )
    oob_score: bool = parameter(
        False,
        ["boolean"],
        """bool
        Whether to predict each row by the networks that were not trained on it, and to score that.
        Needs ``bootstrap=True``.""",
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
    The loss of each epoch, before its updates; not with "lbfgs". With sample weights it is the
    weighted mean.
validation_loss_curve_ : list of float or None
    The loss of the validation rows after each epoch, if there are any.
validation_scores_ : list of float or None
    With early stopping, the score of the validation rows after each epoch.
best_validation_score_ : float or None
    The best of these scores.
coefs_, intercepts_ : list of ndarray
    Weights (n_in, n_out) and biases (n_out,) of each layer; the arrays are read-only. To change
    them, assign a new list, or a new array to an item, also before a first `fit` with `warm_start`.
n_features_in_ : int
    Number of columns of X.
feature_names_in_ : ndarray of str
    Names of the columns of X, if all are strings.
n_iter_ : int
    Number of epochs (or iterations) of the last `fit`.
t_ : int
    Number of rows trained on so far.
n_layers_ : int
    Number of layers, with the input and the output.
n_outputs_ : int
    Number of outputs.
out_activation_ : str
    The activation of the last layer, by scikit-learn's name.
net_ : MLP
    The network, with everything that fastnn can do with it: save, summary, jacobian ...
"""


def constraints(kind: type[Parameters]) -> dict[str, list[Any]]:
    """Return scikit-learn's constraints: the values that each parameter may have."""
    return {field.name: field.metadata["constraints"] for field in dataclasses.fields(kind)}


def documented(cls: type[T], attributes: str = ATTRIBUTES) -> type[T]:
    """Insert parameters and attributes into a docstring, for <parameters> and <attributes>."""
    # Python removes the indentation of docstrings from 3.13 on, but not that of the inserted text.
    text = inspect.cleandoc(cls.__doc__ or "").replace("<parameters>", _numpydoc(cls))
    cls.__doc__ = text.replace("<attributes>", attributes.strip())
    return cls


def _numpydoc(kind: Any) -> str:
    """Return the entries of the numpydoc section Parameters."""
    entries = []
    for field in dataclasses.fields(kind):
        type_, _, text = field.metadata["doc"].partition("\n")
        default = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
        ending = "optional" if field.default is None else f"default {default}"
        entries.append(f"{field.name} : {type_}, {ending}\n{textwrap.indent(text, '    ')}")
    return "\n".join(entries)
