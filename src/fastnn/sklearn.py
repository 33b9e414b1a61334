"""MLPClassifier and MLPRegressor for scikit-learn, drop-in for its own of these names.

Parameters, defaults, attributes, warnings and errors are scikit-learn 1.9's; from the same
``random_state`` follow the same initial weights, the same split and the same order of rows, hence
the same model, to rounding. Needs scikit-learn 1.6 or newer: ``pip install 'fastnn[sklearn]'``.

Here: what the estimators' parameters mean for an `MLP`, and scikit-learn's way to end a training.
Not here: the training (`MLP.fit`). Everything stands on fastnn's public API.
"""

import dataclasses
import inspect
import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import ClassVar

import numpy as np

try:
    import scipy.optimize
    import scipy.sparse
    import scipy.special
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, _fit_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_random_state, column_or_1d, compute_sample_weight
    from sklearn.utils._param_validation import Interval, Options, StrOptions
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import (
        _check_partial_fit_first_call,
        type_of_target,
        unique_labels,
    )
    from sklearn.utils.optimize import _check_optimize_result
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"fastnn.sklearn needs scikit-learn 1.6 or newer ({error}); install it by pip install "
        "'fastnn[sklearn]'"
    ) from error

from fastnn import activations, losses, optimizers
from fastnn.activations import Activation
from fastnn.callbacks import Callback
from fastnn.layers import Dense, Dropout
from fastnn.losses import Loss
from fastnn.metrics import R2
from fastnn.mlp import MLP
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer

__all__ = ["MLPClassifier", "MLPRegressor"]

#: Rows whose gradients L-BFGS adds up at a time, where they are sparse.
_SPARSE_ROWS = 8192

_PARAMETERS = """hidden_layer_sizes : int or array-like of int, default (100,)
        Units of each hidden layer.
    activation : str, Activation or list of these, default "relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu" or any other of fastnn's; a
        list gives each layer its own.
    solver : {"adam", "sgd", "lbfgs"}, default "adam"
        How to minimize the loss: two kinds of stochastic gradient descent, or L-BFGS on all rows
        at once (`scipy.optimize`), for small data sets.
    alpha : float, default 0.0001
        Strength of the L2 penalty ``alpha / 2 * sum(W**2)``, which is divided by the rows (or the
        sum of sample weights) of each batch as their losses are.
    batch_size : int or "auto", default "auto"
        Rows of an update; "auto" is ``min(200, n_samples)``. Not for "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        For "sgd": the rate is `learning_rate_init`; or ``learning_rate_init / (t + 1)**power_t``
        after an epoch, of t rows trained so far; or it is divided by 5 each time training would
        else end.
    learning_rate_init : float, default 0.001
        For "sgd" and "adam".
    power_t : float, default 0.5
        For "invscaling".
    max_iter : int, default 200
        Epochs at most, or iterations of "lbfgs".
    shuffle : bool, default True
        Whether each epoch takes the rows in a new random order.
    random_state : int, RandomState or None, default None
        Of initial weights, validation split and order of rows.
    tol : float, default 1e-4
        Training ends when loss (or score, with early stopping) hasn't improved by `tol` for
        `n_iter_no_change` epochs; for "lbfgs" the least gradient.
    verbose : bool or int, default False
        Whether to print losses and scores.
    warm_start : bool, default False
        Whether `fit` goes on with the weights there are: of the last `fit`, or set by hand.
    momentum : float, default 0.9
        For "sgd", from 0 to 1.
    nesterovs_momentum : bool, default True
        Whether that momentum is Nesterov's.
    early_stopping : bool, default False
        Whether to hold out `validation_fraction` of the rows, end when their score stops improving,
        and keep the best weights.
    validation_fraction : float, default 0.1
        Not used where `fit` is given X_val and y_val.
    beta_1, beta_2 : float, default 0.9 and 0.999
        For "adam".
    epsilon : float, default 1e-8
        For "adam": added to the root of the second moment.
    n_iter_no_change : int, default 10
        Epochs without improvement that are put up with.
    max_fun : int, default 15000
        Evaluations of the loss at most, for "lbfgs".
    optimizer : str or Optimizer, optional
        Any of fastnn's, instead of what `solver` says; of a name with `learning_rate_init`.
    dropout : float or list of float, default 0.0
        Rate at which outputs of hidden layers are dropped in training; a list gives each its own.
    weight_decay : float, default 0.0
        Decoupled weight decay, with solver "adam" (which makes it AdamW).
    clipnorm : float, optional
        The gradient of each W and each b is scaled down to this Euclidean norm at most.
    callbacks : list of Callback, optional
        fastnn's callbacks, or your own. Logs have "loss", and "val_loss" with validation rows.
    dtype : {"float32", "float64"}, optional
        Precision of weights and arithmetic; by default that of X. float32 is twice as fast.
    n_threads : int, optional
        Threads of a training; by default the CPUs this process may use. The result is the same to
        the bit. Small networks stay on one."""

_ATTRIBUTES = """loss_ : float
        The loss of the last epoch.
    best_loss_ : float or None
        The least of all epochs; None with early stopping.
    loss_curve_ : list of float
        The loss of every epoch, as it was before each update; not with "lbfgs". Of rows with
        weights it is their weighted mean.
    validation_loss_curve_ : list of float or None
        The loss of the validation rows after every epoch, where there are such.
    validation_scores_ : list of float or None
        With early stopping, the score of the validation rows after every epoch.
    best_validation_score_ : float or None
        The best of these.
    coefs_, intercepts_ : list of ndarray
        Weights (n_in, n_out) and biases (n_out,) of every layer, read-only. Assign lists of new
        ones, or items of these lists, to change them, also before a first `fit` with `warm_start`.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of str
        Their names, where X had names that are text.
    n_iter_ : int
        Epochs (or iterations) of the last `fit`.
    t_ : int
        Rows trained on so far.
    n_layers_ : int
        Layers, input and output among them.
    n_outputs_ : int
        Outputs.
    out_activation_ : str
        The last layer's activation, in scikit-learn's name.
    net_ : MLP
        The network itself, with all that fastnn can do with it: save, summary, jacobian ..."""


def _documented(cls):
    """Put the parameters and attributes that both estimators have into a class's docstring."""
    # Without indentation, which Python drops by itself from 3.13 on, but not from what is put in.
    text = inspect.cleandoc(cls.__doc__).replace("<parameters>", inspect.cleandoc(_PARAMETERS))
    cls.__doc__ = text.replace("<attributes>", inspect.cleandoc(_ATTRIBUTES))
    return cls


class _Order:
    """Orders of rows as scikit-learn draws them: each is the one before, shuffled."""

    def __init__(self, n, random_state):
        self.rows, self.random_state = np.arange(n), random_state

    def permutation(self, n):
        """Return the next order of the n rows."""
        self.rows = self.rows[self.random_state.permutation(n)]
        return self.rows


class _Rate:
    """The learning rate of "sgd" as it follows epochs, and what is done when they don't improve."""

    def __init__(self, estimator):
        self.kind = estimator.learning_rate if estimator.solver == "sgd" else "constant"
        self.initial, self.power = float(estimator.learning_rate_init), estimator.power_t
        self.learning_rate = self.initial

    def after_epoch(self, t):
        """Follow the number of rows trained so far."""
        if self.kind == "invscaling":
            self.learning_rate = self.initial / (t + 1) ** self.power

    def gives_up(self, message, verbose):
        """Return whether training ends now that it doesn't improve; else lower the rate."""
        lowers = self.kind == "adaptive" and self.learning_rate > 1e-6
        if lowers:
            self.learning_rate /= 5.0
            what = f"Setting learning rate to {self.learning_rate:f}"
        else:
            what = "Learning rate too small. Stopping." if self.kind == "adaptive" else "Stopping."
        if verbose:
            print(f"{message} {what}")
        return not lowers


@dataclasses.dataclass
class _Rows:
    """Rows as `MLP.fit` takes them: X, targets, weights or None."""

    X: object
    y: np.ndarray
    sample_weight: np.ndarray | None = None

    def part(self, rows):
        """Return some of the rows."""
        weight = self.sample_weight
        return _Rows(self.X[rows], self.y[rows], None if weight is None else weight[rows])

    def blocks(self):
        """Return the rows in parts that are dense, each with its part in the whole's weight."""
        n, step = self.X.shape[0], _SPARSE_ROWS if scipy.sparse.issparse(self.X) else None
        weight = np.ones(n) if self.sample_weight is None else self.sample_weight
        for first in range(0, n, step or n):
            rows = slice(first, first + (step or n))
            yield self if step is None else self.part(rows), weight[rows].sum() / weight.sum()


class _Epochs(Callback):
    """What an estimator does after each epoch: curves, learning rate, the end of training."""

    def __init__(self, estimator, training, validation):
        self.estimator, self.validation = estimator, validation
        self.offsets = {"": estimator._loss_offset(training)}
        if validation is not None:
            self.offsets["val_"] = estimator._loss_offset(validation)
        self.rate = estimator._optimizer.learning_rate
        self.converged = False
        self.best_weights = None

    def on_train_begin(self, logs):
        """Until a score is better, the weights are the best."""
        if self.estimator.early_stopping:
            self.best_weights = self.model.get_weights()

    def on_epoch_end(self, epoch, logs):
        """Take note of the epoch; end training, or change its rate, as scikit-learn does."""
        est = self.estimator
        est.t_ += self.params["samples"]
        self.take_note({key: self.loss_of(logs, key) for key in self.offsets})
        est._optimizer.after_epoch(est.t_)
        if est._no_improvement_count > est.n_iter_no_change:
            what = "Validation score" if est.early_stopping else "Training loss"
            self.converged = est._optimizer.gives_up(
                f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} "
                "consecutive epochs.",
                est.verbose,
            )
            if not self.converged:
                est._no_improvement_count = 0
        if self.converged:
            self.model.stop_training = True
        if est._optimizer.learning_rate != self.rate:
            self.rate = self.model.learning_rate = est._optimizer.learning_rate

    def on_nonfinite_loss(self, error):
        """Count the epoch; what becomes of it is for the estimator to say."""
        self.take_note(dict.fromkeys(self.offsets, float("nan")))
        self.estimator._divergence = error
        return True

    def loss_of(self, logs, key):
        """Return a loss as scikit-learn has it: of squares, the mean over the outputs."""
        loss = logs[f"{key}loss"] + self.offsets[key]
        if f"{key}mse" in logs:
            loss -= (self.estimator.n_outputs_ - 1) / 2 * logs[f"{key}mse"]
        return loss

    def take_note(self, found):
        """Add an epoch to the curves; see whether it improved on those before."""
        est, loss = self.estimator, found[""]
        est.n_iter_ += 1
        est.loss_ = loss
        est.loss_curve_.append(loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        if "val_" in found:
            est.validation_loss_curve_.append(found["val_"])
        if est.early_stopping:
            score = self.score(found["val_"])
            worse = score < est.best_validation_score_ + est.tol
            if score > est.best_validation_score_:
                est.best_validation_score_ = score
                self.best_weights = self.model.get_weights()
        else:
            worse = loss > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, loss)
        est._no_improvement_count = est._no_improvement_count + 1 if worse else 0

    def score(self, loss):
        """Return the score of the validation rows; NaN where their loss is."""
        est, rows = self.estimator, self.validation
        score = float("nan")
        if not np.isnan(loss):
            score = float(est._score_of(self.model.predict(rows.X), rows.y, rows.sample_weight))
        est.validation_scores_.append(score)
        if est.verbose:
            print(f"Validation score: {score:f}")
        return score


class _BaseMLP(BaseEstimator):
    """What classifier and regressor have in common.

    A subclass says how targets become those of the network (`_validated`), what it ends with
    (`_end`), and how its outputs are scored (`_score_of`).
    """

    _activation = StrOptions({*activations.NAMES, "logistic"} - {"softmax"})
    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [_activation, Activation, "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [StrOptions(set(optimizers.NAMES)), Optimizer, None],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "clipnorm": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, tuple, None],
        "dtype": [StrOptions({"float32", "float64"}), type, np.dtype, None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _store(self, given):
        """Keep the arguments of __init__ unchanged under their names, as scikit-learn wants it."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # ---- weights --------------------------------------------------------------------------------

    @property
    def coefs_(self):
        """The weights (n_in, n_out) of every layer."""
        return self._weight_lists()[0]

    @coefs_.setter
    def coefs_(self, value):
        self._lists = value, self._lists_or_empty()[1]

    @property
    def intercepts_(self):
        """The biases (n_out,) of every layer."""
        return self._weight_lists()[1]

    @intercepts_.setter
    def intercepts_(self, value):
        self._lists = self._lists_or_empty()[0], value

    def _lists_or_empty(self):
        fitted = getattr(self, "_lists", None) is not None or hasattr(self, "net_")
        return self._weight_lists() if fitted else ([], [])

    def _weight_lists(self):
        """Return weights and biases, as they were set or else as the network has them."""
        if getattr(self, "_lists", None) is None:
            if not hasattr(self, "net_"):
                raise AttributeError(f"this {type(self).__name__} has no weights yet; fit it")
            weights = self.net_.get_weights()
            for w in weights:
                w.flags.writeable = False  # a change of the copy would not reach the network
            self._lists, self._read = (weights[::2], weights[1::2]), weights
        return self._lists

    def _synced(self):
        """Return the network, with weights that were set by hand since."""
        if getattr(self, "_lists", None) is not None:
            weights = _interleaved(self._lists)
            read = getattr(self, "_read", ())
            if len(weights) != len(read) or any(
                ours is not theirs for ours, theirs in zip(weights, read, strict=True)
            ):
                self.net_.set_weights(weights)
                self._lists = None
        return self.net_

    def __getstate__(self):
        if hasattr(self, "net_"):
            self._synced()
        return {**super().__getstate__(), "_lists": None, "_read": ()}

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    # ---- building the network -------------------------------------------------------------------

    def _sizes(self):
        """Return the units of the hidden layers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        if any(units <= 0 for units in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _each(self, name, single):
        """Return a parameter for each hidden layer, of which there may be one for all."""
        value, n = getattr(self, name), len(self._sizes())
        if isinstance(value, single):
            return [value] * n
        if len(value) != n:
            raise ValueError(
                f"{name} has {len(value)} items but there are {n} hidden layers; give one for each"
            )
        return list(value)

    def _rule(self):
        """Return fastnn's optimizer."""
        rate = self.learning_rate_init
        if self.weight_decay and (self.optimizer is not None or self.solver != "adam"):
            raise ValueError(
                f"weight_decay={self.weight_decay!r} goes with solver='adam' alone; use alpha, or "
                "an optimizer with a weight_decay of its own"
            )
        if isinstance(self.optimizer, Optimizer):
            rule = self.optimizer
        elif self.optimizer is not None:
            rule = optimizers.KINDS[self.optimizer](rate)
        elif self.solver == "sgd":
            rule = SGD(rate, self.momentum, self.nesterovs_momentum and self.momentum > 0)
        elif self.solver == "adam":
            options = {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
            kind = AdamW if self.weight_decay else Adam
            options |= {"weight_decay": self.weight_decay} if self.weight_decay else {}
            rule = kind(rate, epsilon_hat=True, **options)
        else:
            rule = SGD(rate)  # for whoever goes on with the network after L-BFGS
        return dataclasses.replace(rule, clipnorm=self.clipnorm) if self.clipnorm else rule

    def _network(self, n_features, dtype, alpha, dropout=True):
        """Return an untrained network for the parameters."""
        rates = self._each("dropout", Real) if dropout else [0.0] * len(self._sizes())
        layers = []
        each = zip(self._sizes(), self._each("activation", str | Activation), rates, strict=True)
        for units, activation, rate in each:
            layers.append(Dense(units, activation, l2=alpha / 2, initializer="zeros"))
            layers += [Dropout(rate)] if rate else []
        activation, loss = self._end()
        layers.append(Dense(self.n_outputs_, activation, l2=alpha / 2, initializer="zeros"))
        drops = any(isinstance(layer, Dropout) for layer in layers)
        return MLP(
            n_features,
            layers,
            loss=loss,
            optimizer=self._rule(),
            scale_penalties=True,
            dtype=dtype if self.dtype is None else self.dtype,
            seed=self._random_state.randint(2**31) if drops else 0,
            n_threads=self.n_threads,
        )

    def _draw(self, net):
        """Draw initial weights and biases as scikit-learn does, in its order."""
        hidden = [str(activations.get(a)) for a in self._each("activation", str | Activation)]
        weights, k = [], net.n_in
        for layer, activation in zip(net.dense, [*hidden, *(hidden[-1:] or [None])], strict=True):
            factor = 2.0 if activation == "sigmoid" else 6.0
            bound = np.sqrt(factor / (k + layer.units))
            for shape in ((k, layer.units), layer.units):
                weights.append(self._random_state.uniform(-bound, bound, shape))
            k = layer.units
        net.set_weights(weights)

    # ---- fitting --------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train the network anew, or on with `warm_start`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Large sparse rows are made dense a few at a time.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows' losses, 0 or more.
        X_val, y_val : array-like, optional
            Validation rows: their loss goes to `validation_loss_curve_`, and with early stopping
            their score decides, in place of that of a part of X.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters or data are unfit, or the loss is no longer finite.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

    def _fit(self, X, y, sample_weight, X_val=None, y_val=None, incremental=False):
        anew = not (incremental or self.warm_start) or not self._has_weights()
        self._sizes()
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together; give both or none")
        original = y
        X, y = self._validated(X, y, incremental, anew)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        if getattr(self, "class_weight", None) is not None:
            by_class = compute_sample_weight(self.class_weight, original)
            sample_weight = by_class if sample_weight is None else sample_weight * by_class
        validation = None if X_val is None else _Rows(*self._validated_more(X_val, y_val))
        self._random_state = check_random_state(self.random_state)
        self._prepare(X, anew, incremental)
        rows = _Rows(X, y, sample_weight)
        if self.solver == "lbfgs" and self.optimizer is None:
            self._minimize(rows)
        else:
            self._descend(rows, validation, incremental)
        return self

    def _has_weights(self):
        """Whether there are weights to go on with, learnt or set by hand."""
        return hasattr(self, "net_") or getattr(self, "_lists", None) is not None

    def _prepare(self, X, anew, incremental):
        """Make ready the network and the attributes that epochs add to."""
        self.out_activation_ = self._end()[0].replace("sigmoid", "logistic")
        self.n_layers_ = len(self._sizes()) + 2
        goes_on = incremental and hasattr(self, "net_")
        weights = None if anew else self._weight_lists()
        if not goes_on:
            net = self._network(X.shape[1], X.dtype, self.alpha)
            if anew:
                self._draw(net)
            else:
                net.set_weights(_interleaved(weights))
            self._name(net)
            self.net_, self._optimizer = net, _Rate(self)
        self._synced()
        self._lists = None
        if anew or not hasattr(self, "t_"):
            self.n_iter_ = self.t_ = 0
        if self.solver != "lbfgs" and (anew or not hasattr(self, "_no_improvement_count")):
            self._no_improvement_count, self.loss_curve_ = 0, []
            self.best_loss_ = None if self.early_stopping else np.inf
            self.validation_scores_ = [] if self.early_stopping else None
            self.best_validation_score_ = -np.inf if self.early_stopping else None
            self.validation_loss_curve_ = None

    def _name(self, net):
        """Let the network know names of columns and classes, for those who take it from here."""
        names = getattr(self, "feature_names_in_", None)
        net.feature_names = None if names is None else tuple(map(str, names))
        if hasattr(self, "classes_"):
            net.metadata["classes"] = self.classes_.tolist()

    def _descend(self, rows, validation, incremental):
        """Train by stochastic gradient descent."""
        if self.early_stopping and validation is None:
            rows, validation = self._divided(rows)
        if validation is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = []
        n, self._divergence = rows.X.shape[0], None
        epochs = _Epochs(self, rows, validation)
        self.n_iter_ = 0
        try:
            self.net_.fit(
                rows.X,
                rows.y,
                sample_weight=rows.sample_weight,
                batch_size=self._rows_a_batch(n),
                epochs=1 if incremental else self.max_iter,
                shuffle=_Order(n, self._random_state) if self.shuffle else False,
                validation_data=dataclasses.astuple(validation) if validation else None,
                metrics=["mse"] if self._averages_outputs() else (),
                callbacks=[epochs, *(self.callbacks or ())],
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if self.early_stopping:
            self.net_.set_weights(epochs.best_weights)
        elif self._divergence is not None:
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            ) from self._divergence
        if not incremental and not epochs.converged and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _rows_a_batch(self, n):
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=6,
            )
        return min(self.batch_size, n)

    def _divided(self, rows):
        """Return the rows to train on, and those held out, as scikit-learn divides them."""
        training, validation = train_test_split(
            np.arange(rows.X.shape[0]),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=self._strata(rows.y),
        )
        if len(validation) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return rows.part(training), rows.part(validation)

    def _strata(self, y):
        """Return what parts are to have equal shares of, or None."""

    def _minimize(self, rows):
        """Train by L-BFGS, on all rows at once."""
        for name in ("dropout", "clipnorm", "callbacks"):
            if np.any(getattr(self, name)):
                raise ValueError(
                    f"solver='lbfgs' knows no {name}, but {name}={getattr(self, name)!r}; use "
                    "solver='adam' or 'sgd'"
                )
        work = self._network(rows.X.shape[1], self.net_.dtype, alpha=0.0, dropout=False)
        if not scipy.sparse.issparse(rows.X):
            rows.X = np.ascontiguousarray(rows.X, work.dtype)
        weights = self.net_.get_weights()
        shapes, penalized = (
            [w.shape for w in weights],
            [np.full(w.shape, w.ndim > 1) for w in weights],
        )
        share = self.alpha / (rows.X.shape[0] if rows.sample_weight is None else
                              rows.sample_weight.sum()) * _packed(penalized)  # fmt: skip

        def parts(packed):
            """Return the rows' loss, the penalty, and the gradient of both."""
            work.set_weights(_unpacked(packed, shapes))
            loss, gradient = 0.0, share * packed
            penalty = 0.5 * np.dot(gradient, packed)
            for part, weight in rows.blocks():
                more = work.loss_and_gradients(part.X, part.y, part.sample_weight)
                loss += weight * more[0]
                gradient += weight * _packed(more[1])
            return loss, penalty, gradient

        def objective(packed):
            loss, penalty, gradient = parts(packed)
            return loss + penalty, gradient

        found = scipy.optimize.minimize(
            objective,
            _packed(weights),
            method="L-BFGS-B",
            jac=True,
            callback=_tell if self.verbose else None,
            options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
        )
        self.n_iter_ = _check_optimize_result("lbfgs", found, self.max_iter)
        loss, penalty, _ = parts(found.x)
        loss /= self.n_outputs_ if self._averages_outputs() else 1
        self.loss_ = float(loss + penalty + self._loss_offset(rows))
        self.net_.set_weights(_unpacked(found.x, shapes))

    def _is_stochastic(self):
        """Say, as scikit-learn does, that there is no partial_fit with L-BFGS."""
        if self.solver == "lbfgs" and self.optimizer is None:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    def _averages_outputs(self):
        """Whether scikit-learn's loss is the mean over outputs of what is a sum here."""
        return False

    def _loss_offset(self, rows):
        """Return what scikit-learn's loss has besides fastnn's, whatever the weights are."""
        return 0.0

    # ---- using ----------------------------------------------------------------------------------

    def _outputs(self, X):
        """Return the network's outputs (n, n_outputs) for rows that a user passed."""
        if not hasattr(self, "net_"):
            check_is_fitted(self)
        net = self._synced()
        if (
            type(X) is np.ndarray
            and X.dtype == net.dtype
            and not hasattr(self, "feature_names_in_")
        ):
            try:
                return net.predict(X)
            except ValueError:
                pass  # what is wrong with X is said below, in scikit-learn's words
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return net.predict(X.tocsr() if scipy.sparse.issparse(X) else X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _interleaved(lists):
    """Return [W0, b0, W1, ...] of lists of weights and of biases."""
    return [array for pair in zip(*lists, strict=True) for array in pair]


def _packed(arrays):
    """Return arrays as one vector, in float64."""
    return np.concatenate([a.ravel() for a in arrays]).astype(np.float64)


def _unpacked(vector, shapes):
    """Return such a vector as arrays again."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    return [
        part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)
    ]


def _tell(intermediate_result):
    """Print what an iteration of L-BFGS has come to."""
    print(f"loss = {intermediate_result.fun:.8f}")


@_documented
class MLPClassifier(ClassifierMixin, _BaseMLP):
    """Multi-layer perceptron classifier: scikit-learn's, on fastnn.

    Two classes, more, or several labels a row (an indicator matrix). The parameters up to `max_fun`
    are those of `sklearn.neural_network.MLPClassifier`; the others are fastnn's.

    Parameters
    ----------
    <parameters>
    loss : str or Loss, default "log_loss"
        Binary or categorical cross-entropy, or another of fastnn's that goes with sigmoid or
        softmax outputs, such as "squared_error".
    class_weight : dict, "balanced" or None, default None
        Weights of the classes by label, times sample_weight; "balanced" is ``n_samples /
        (n_classes * count)``, and not for `partial_fit`.

    Attributes
    ----------
    classes_ : ndarray
        Class labels, sorted.
    <attributes>

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastnn.sklearn import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    >>> classifier = MLPClassifier(early_stopping=True, learning_rate_init=0.01, random_state=0)
    >>> classifier = classifier.fit(X, y)
    >>> classifier.predict(X_test[:5])
    array([2, 8, 2, 6, 6])
    >>> bool(classifier.score(X_test, y_test) > 0.96)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **_BaseMLP._parameter_constraints,
        "loss": [StrOptions({"log_loss", *losses.NAMES}), Loss],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        loss="log_loss",
        optimizer=None,
        dropout=0.0,
        class_weight=None,
        weight_decay=0.0,
        clipnorm=None,
        callbacks=None,
        dtype=None,
        n_threads=None,
    ):
        self._store(locals())

    @available_if(lambda est: est._is_stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train for one epoch on these rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array-like of shape (n_samples,), optional
        classes : array-like of shape (n_classes,), optional
            All class labels there will be, at the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters or data are unfit, or the loss is no longer finite.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which doesn't know the "
                "rows to come; pass a dict of weights, such as those of "
                "sklearn.utils.compute_class_weight('balanced', classes=..., y=...)"
            )
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def _validated(self, X, y, incremental, anew):
        """Return X and targets, after learning classes or comparing them with those known."""
        X, y = _checked(self, X, y, reset=anew)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y)
            if self.warm_start and set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
            self._require_known(classes)
        y = self._encoded(y)
        self.n_outputs_ = self._n_outputs()
        return X, y

    def _validated_more(self, X, y):
        """Return validation rows and their targets, of the same classes."""
        X, y = _checked(self, X, y, reset=False)
        self._require_known(unique_labels(y))
        return X, self._encoded(y)

    def _require_known(self, classes):
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    @property
    def _kind(self):
        """What the targets are: "binary", "multiclass" or "multilabel-indicator"."""
        return self._label_binarizer.y_type_

    def _n_outputs(self):
        return 1 if self._kind == "binary" else len(self.classes_)

    def _encoded(self, y):
        """Return labels as the network's targets."""
        if self._kind == "multiclass":
            labels = np.searchsorted(self.classes_, y)
            takes_labels = losses.get(self._end()[1]).targets == "class"
            return labels if takes_labels else np.eye(len(self.classes_))[labels]
        if self._kind == "binary":
            return (y == self.classes_[1]) * 1.0 if len(self.classes_) > 1 else np.zeros(len(y))
        return self._label_binarizer.transform(y).astype(np.float64)

    def _end(self):
        """Return the last layer's activation, and the loss."""
        kinds = {"multiclass": ("softmax", "cross_entropy")}
        activation, usual = kinds.get(self._kind, ("sigmoid", "binary_cross_entropy"))
        return activation, usual if self.loss == "log_loss" else self.loss

    def _strata(self, y):
        return y.astype(bool).reshape(-1, 1) if self._kind == "binary" else None

    def _score_of(self, outputs, y, weight):
        """Return the accuracy."""
        if self._kind == "multiclass":
            right = outputs.argmax(axis=1) == (y if y.ndim == 1 else y.argmax(axis=1))
        else:
            right = ((outputs > 0.5) == (y.reshape(outputs.shape) > 0.5)).all(axis=1)
        return np.average(right, weights=weight)

    def predict(self, X):
        """Return the likeliest class of every row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) of several labels a row

        Raises
        ------
        NotFittedError, ValueError
            If there was no fit, or X is unfit.
        """
        outputs = self._outputs(X)
        if self._kind == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        if self._kind == "binary" and len(self.classes_) == 2:
            return self.classes_[(outputs[:, 0] > 0.5).view(np.int8)]
        return self._label_binarizer.inverse_transform(
            outputs.ravel() if self.n_outputs_ == 1 else outputs
        )

    def predict_proba(self, X):
        """Return the probability of every class for every row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.

        Raises
        ------
        NotFittedError, ValueError
            If there was no fit, or X is unfit.
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X):
        """Return the logarithms of these probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)

        Raises
        ------
        NotFittedError, ValueError
            If there was no fit, or X is unfit.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_documented
class MLPRegressor(RegressorMixin, _BaseMLP):
    """Multi-layer perceptron regressor: scikit-learn's, on fastnn.

    One target or several. The parameters up to `max_fun` are those of
    `sklearn.neural_network.MLPRegressor`; the others are fastnn's.

    Parameters
    ----------
    loss : str or Loss, default "squared_error"
        Half the squared error (the mean over outputs); half the deviance "poisson", for targets of
        0 or more, with an exponential output; or another of fastnn's for regression, such as
        "huber" or ``Quantile(0.9)``.
    <parameters>

    Attributes
    ----------
    <attributes>

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastnn.sklearn import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = MLPRegressor("huber", 50, early_stopping=True, random_state=0, max_iter=500)
    >>> bool(regressor.fit(X, scale(y)).score(X, scale(y)) > 0.4)
    True
    """

    _losses: ClassVar[list] = [name for name in losses.NAMES if not name.endswith("cross_entropy")]
    _parameter_constraints: ClassVar[dict] = {
        **_BaseMLP._parameter_constraints,
        "loss": [StrOptions(set(_losses)), Loss],
    }

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        optimizer=None,
        dropout=0.0,
        weight_decay=0.0,
        clipnorm=None,
        callbacks=None,
        dtype=None,
        n_threads=None,
    ):
        self._store(locals())

    @available_if(lambda est: est._is_stochastic())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on these rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters or data are unfit, or the loss is no longer finite.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _validated(self, X, y, incremental, anew):
        """Return X and targets."""
        X, y = _checked(self, X, y, reset=anew, y_numeric=True)
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        return X, y

    def _validated_more(self, X, y):
        """Return validation rows and their targets."""
        return _checked(self, X, y, reset=False, y_numeric=True)

    def _end(self):
        """Return the last layer's activation, and the loss."""
        is_poisson = losses.get(self.loss).name == "poisson"
        return "exp" if is_poisson else "identity", self.loss

    def _averages_outputs(self):
        return self.n_outputs_ > 1 and losses.get(self.loss).name == "squared_error"

    def _loss_offset(self, rows):
        """Return the mean of t log t - t, which scikit-learn's deviance has besides y - t log y."""
        if losses.get(self.loss).name != "poisson":
            return 0.0
        t = np.asarray(rows.y, np.float64).reshape(len(rows.y), -1)
        constant = (scipy.special.xlogy(t, t) - t).sum(axis=1)
        return float(np.average(constant, weights=rows.sample_weight))

    def _score_of(self, outputs, y, weight):
        """Return R²."""
        return R2()(y, outputs, weight)

    def predict(self, X):
        """Return the network's outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)

        Raises
        ------
        NotFittedError, ValueError
            If there was no fit, or X is unfit.
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs


def _checked(estimator, X, y, reset, **options):
    """Return X as an array or in CSR form, and y, as scikit-learn checks them."""
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=["csr", "csc"],
        multi_output=True,
        dtype=(np.float64, np.float32),
        reset=reset,
        **options,
    )
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    return X.tocsr() if scipy.sparse.issparse(X) else X, y
