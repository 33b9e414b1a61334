"""Base class of classifier and regressor: weights as lists, fitting, and the outputs for rows.

Here: the order in which an estimator validates, prepares and trains. Not here: the parameters
(parameters.py), the network (network.py), the two ways of training (descent.py, lbfgs.py), targets
and predictions (classifier.py, regressor.py).
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn import _checks
from fastnn.exchange import model_files
from fastnn.mlp import MLP
from fastnn.sklearn import lbfgs
from fastnn.sklearn.descent import Descent
from fastnn.sklearn.epochs import LearningRate
from fastnn.sklearn.network import draw_weights, hidden_sizes, network, use_alpha
from fastnn.sklearn.parameters import Parameters
from fastnn.sklearn.rows import (
    LabelledRows,
    TakesSparseRows,
    checked_inputs,
    require_weight,
    validated,
    weights_by_class,
)
from fastnn.training.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from fastnn.losses import Loss
    from fastnn.training.specification import Specification

    Weights = Sequence[NDArray[Any]]

Method = TypeVar("Method", bound="Callable[..., Any]")


def with_valid_parameters(method: Method) -> Method:
    """Decorate a method that fits: scikit-learn validates the parameters first."""
    return cast(Method, _fit_context(prefer_skip_nested_validation=True)(method))


def all_or_nothing(method: Method) -> Method:
    """Decorate a method to restore all attributes if it raises, as those of a fit go together."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *args, **options)
        except BaseException:
            self.__dict__ = before
            raise

    return cast(Method, call)


def if_stochastic(method: Method) -> Method:
    """Decorate a method so that it exists only for solvers that train on batches."""
    return cast(Method, available_if(lambda estimator: estimator._is_stochastic())(method))


#: Attributes that an estimator learns from its rows before training.
_LEARNED = (
    "n_features_in_", "feature_names_in_", "n_outputs_", "classes_", "_label_binarizer",
    "target_mean_", "target_scale_",
)  # fmt: skip


def copy_learned_attributes(source: Any, *, to: Any) -> None:
    """Replace what an estimator learned from its rows by what another one learned."""
    for name in _LEARNED:
        vars(to).pop(name, None)
        if hasattr(source, name):
            setattr(to, name, getattr(source, name))


class BaseMLP(TakesSparseRows, Parameters):
    """Base of classifier and regressor.

    A subclass defines the targets of the network (`_learn`, `_encoded`), the activation and the
    loss of its last layer (`_output_and_loss`), and the score of its outputs (`_score_of`).
    """

    loss_: float
    best_loss_: Any  # attributes of ATTRIBUTES that may be None
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: Any
    best_validation_score_: Any
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    _random_state: np.random.RandomState
    _optimizer: LearningRate  # a name that tests of scikit-learn read
    _no_improvement_count: int
    _divergence: FloatingPointError | None
    _lists: tuple[Weights, Weights] | None  # coefs_ and intercepts_ as the user sees them
    _read: Weights  # the arrays in these lists when they were made

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the parameters' names; scikit-learn would inspect a signature at each call."""
        if "_parameter_names" not in vars(cls):  # not those of a base class
            cls._parameter_names = super()._get_param_names()
        return list(cls._parameter_names)

    # ---- for subclasses -------------------------------------------------------------------------

    _parameter_names: ClassVar[list[str]]
    _validation: ClassVar[dict[str, Any]] = {}  # options for scikit-learn's validation of y

    def _learn(self, y: NDArray[Any], incremental: bool = False) -> None:
        """Learn classes and the number of outputs from validated y, or check known classes."""
        raise NotImplementedError

    def _require_known(self, y: NDArray[Any]) -> None:
        """Check that validated y of validation rows has no new classes."""

    def _learn_scaling(
        self, y: NDArray[Any], weight: NDArray[Any] | None, dtype: Any, incremental: bool = False
    ) -> None:
        """Learn how a network for inputs of a dtype scales its targets, from validated y."""

    def _encoding(self) -> Hashable:
        """Return a key; estimators with the same classes and the same key encode y alike."""
        return None

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return validated y as targets of the network."""
        return y

    def _output_and_loss(self) -> tuple[str, str | Loss]:
        """Return the activation of the last layer, and the loss."""
        raise NotImplementedError

    def _score_of(
        self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None
    ) -> float:
        """Return the score of outputs (n, n_outputs)."""
        raise NotImplementedError

    def _metric(self, y: NDArray[Any]) -> dict[str, Any] | None:
        """Return the same score as the engine's metric, for validation targets without weights.

        None if the engine has no such metric.
        """
        raise NotImplementedError

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return the groups (n,) that a validation split keeps in proportion, or None."""
        return None

    def _averages_outputs(self) -> bool:
        """Return whether scikit-learn's loss is the mean over outputs and fastnn's is the sum."""
        return False

    def _loss_offsets(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return scikit-learn's loss of each row minus fastnn's, for targets y; None for 0."""
        return None

    def _begin_scaled(self, has_new_weights: bool) -> None:
        """Make the network predict scaled targets, as in training, if the estimator scales them.

        New weights are drawn for scaled targets already.
        """

    # ---- weights --------------------------------------------------------------------------------

    @property
    def coefs_(self) -> Weights:
        """The weights (n_in, n_out) of each layer."""
        return self._weight_lists()[0]

    @coefs_.setter
    def coefs_(self, value: Weights) -> None:
        self._lists = value, self._lists_or_empty()[1]

    @property
    def intercepts_(self) -> Weights:
        """The biases (n_out,) of each layer."""
        return self._weight_lists()[1]

    @intercepts_.setter
    def intercepts_(self, value: Weights) -> None:
        self._lists = self._lists_or_empty()[0], value

    def _has_weights(self) -> bool:
        """Return whether there are weights, trained or assigned by hand."""
        return self._has_network() or getattr(self, "_lists", None) is not None

    def _has_network(self) -> bool:
        """Return whether there is a network, even one that cannot take the weights assigned."""
        return "net_" in vars(self)

    def _lists_or_empty(self) -> tuple[Weights, Weights]:
        return self._weight_lists() if self._has_weights() else ([], [])

    def _weight_lists(self) -> tuple[Weights, Weights]:
        """Return weights and biases as assigned by hand, otherwise those of the network."""
        lists = getattr(self, "_lists", None)
        if lists is not None and (not self._has_network() or self._are_assigned(lists)):
            return cast("tuple[Weights, Weights]", lists)
        if not self._has_network():
            raise AttributeError(f"this {type(self).__name__} has no weights yet; fit it")
        weights = vars(self)["net_"].get_weights()
        if lists is None or not all(map(np.array_equal, weights, self._read)):  # trained since
            for w in weights:
                w.flags.writeable = False  # changing the copy would not change the network
            lists = weights[::2], weights[1::2]
            self._lists, self._read = lists, weights
        return cast("tuple[Weights, Weights]", lists)

    def _are_assigned(self, lists: tuple[Weights, Weights]) -> bool:
        """Return whether a list or an item was assigned since the lists were read."""
        read = getattr(self, "_read", ())
        ours, theirs = [*lists[0], *lists[1]], [*read[::2], *read[1::2]]
        return len(ours) != len(theirs) or any(map(operator.is_not, ours, theirs))

    @property
    def net_(self) -> MLP:
        """The network, with the weights that were assigned by hand."""
        if not self._has_network():
            raise AttributeError(f"this {type(self).__name__} has no network yet; fit it")
        return self._synced()

    @net_.setter
    def net_(self, value: MLP) -> None:
        self.__dict__["net_"] = value

    def _synced(self) -> MLP:
        """Return the network, after copying weights that were assigned by hand to it."""
        net: MLP = vars(self)["net_"]
        lists = getattr(self, "_lists", None)
        if lists is not None and self._are_assigned(lists):
            net.set_weights(_interleaved(lists))
            self._lists = None
        return net

    def __getstate__(self) -> dict[str, Any]:
        saved = {**super().__getstate__(), "_divergence": None}
        if "net_" in saved:
            saved |= {"_lists": None, "_read": ()}  # the network has the same weights
            plain = model_files.to_plain(self._synced()._state)
            if plain is not None:  # plain data, so unpickling needs fewer trusted classes
                saved["net_"] = plain
            saved["_optimizer"] = dict(vars(self._optimizer))
        return saved

    def __setstate__(self, saved: dict[str, Any]) -> None:
        super().__setstate__(saved)
        if isinstance(saved.get("net_"), dict):
            self.net_ = MLP._of(model_files.from_plain(saved["net_"]))
        if isinstance(saved.get("_optimizer"), dict):
            self._optimizer = LearningRate(self)
            vars(self._optimizer).update(saved["_optimizer"])

    def __sklearn_is_fitted__(self) -> bool:
        return self._has_network()

    # ---- fitting --------------------------------------------------------------------------------

    @with_valid_parameters
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network from new weights, or from the current ones with `warm_start`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Sparse rows are not converted to dense.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels or numbers.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the rows' losses, 0 or more.
        X_val, y_val : array-like, optional
            Validation rows. Their loss is recorded in `validation_loss_curve_`; with early
            stopping, their score replaces that of rows held out from X. The solver "lbfgs" does not
            support them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data are invalid, or the loss is no longer finite. The attributes
            are then those from before the call.
        """
        return self._fit(X, y, sample_weight, X_val, y_val)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any = None,
        y_val: Any = None,
        incremental: bool = False,
    ) -> Self:
        """Train for up to `max_iter` epochs, or for one epoch if incremental.

        An error before the end of the first epoch leaves every attribute unchanged, and so does a
        loss that is no longer finite, unless the training is incremental. Ctrl-C keeps the updates
        of an incremental network that were made before it.
        """
        net = self.net_ if incremental and self._has_network() else None  # trained in place
        before = dict(vars(self))
        step = None if net is None else net.step
        snapshot = net._state.snapshot() if net is not None and self.callbacks else None
        self.n_iter_, self._divergence = 0, None
        try:
            self._train(X, y, sample_weight, X_val, y_val, incremental)
        except BaseException:
            has_diverged = self._divergence is not None and not incremental
            if self.n_iter_ == 0 or has_diverged:  # classes_ etc. may not match the network
                self.__dict__ = before
                if net is not None and snapshot is not None:  # a callback may have raised
                    net._state.take(snapshot)
                elif net is not None and net.step != step:
                    self._lists = None  # they are from before the updates
            raise
        return self

    def _train(
        self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, incremental: bool
    ) -> None:
        """Check all arguments, build or keep the network, and train it."""
        from_scratch = not (incremental or self.warm_start) or not self._has_weights()
        hidden_sizes(self)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        rows, validation = self._rows(
            X, y, sample_weight, X_val, y_val, incremental=incremental, from_scratch=from_scratch
        )
        self._prepare(rows, from_scratch, incremental)
        try:
            if self._is_minimized():
                self._minimize(rows, validation)
            else:
                Descent(self, rows, validation, incremental).run()
        finally:
            self._complete()

    def _rows(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any = None,
        y_val: Any = None,
        *,
        incremental: bool = False,
        from_scratch: bool = True,
    ) -> tuple[LabelledRows, LabelledRows | None]:
        """Return the checked rows of training and validation; learn columns and classes."""
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together; give both or neither")
        original = y
        is_new = from_scratch or not hasattr(self, "n_features_in_")  # weights may be set by hand
        X, y = validated(self, X, y, reset=is_new, **self._validation)
        self._learn(y, incremental)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        class_weight = getattr(self, "class_weight", None)
        if class_weight is not None:
            by_class = weights_by_class(class_weight, original, self.classes_)
            sample_weight = by_class if sample_weight is None else sample_weight * by_class
        require_weight(sample_weight)
        self._learn_scaling(y, sample_weight, X.dtype, incremental)
        validation = None if X_val is None else self._validation_rows(X_val, y_val)
        return LabelledRows(X, self._encoded(y), sample_weight), validation

    def _validation_rows(self, X: Any, y: Any) -> LabelledRows:
        """Return validation rows, checked to have the columns and classes of the training rows."""
        X, y = validated(self, X, y, reset=False, **self._validation)
        self._require_known(y)
        return LabelledRows(X, self._encoded(y))

    def _prepare(
        self,
        rows: LabelledRows,
        from_scratch: bool = True,
        incremental: bool = False,
        made: dict[Any, Specification] | None = None,
    ) -> None:
        """Build the network, and the attributes that epochs extend.

        `made` caches specifications of networks with these parameters, for use with other rows.
        """
        self._random_state = check_random_state(self.random_state)
        self.out_activation_ = self._output_and_loss()[0].replace("sigmoid", "logistic")
        self.n_layers_ = len(hidden_sizes(self)) + 2
        if incremental and self._has_network():
            use_alpha(self, self.net_)
        else:
            net = self._network_for(rows, {} if made is None else made)
            if from_scratch:
                draw_weights(net, self, self._random_state)
            else:
                self._require_weights_of(net)
                net.set_weights(_interleaved(self._weight_lists()))
            self.net_, self._optimizer = net, LearningRate(self)
        self._lists = None  # those assigned by hand are in the network, or not to be used
        self.net_.classes = None  # targets are already numbers of classes
        if from_scratch or not hasattr(self, "t_"):
            self.n_iter_ = self.t_ = 0
        if not self._is_minimized():
            self._prepare_curves(from_scratch or not hasattr(self, "loss_curve_"))
        self._begin_scaled(from_scratch)

    def _network_for(self, rows: LabelledRows, made: dict[Any, Specification]) -> MLP:
        """Return a network without weights; `made` caches its specification."""
        shape, dtype = (rows.X.shape[1], self.n_outputs_), rows.X.dtype
        output, loss = self._output_and_loss()
        key = shape, dtype, output, repr(loss)
        if key in made:
            return MLP._of(State(made[key]))
        net = network(self, shape, output, loss, dtype, self._random_state)
        if not net._state.specification.has_dropout:  # not with dropout: its seeds differ
            made[key] = net._state.specification
        return net

    def _require_weights_of(self, net: MLP) -> None:
        """Check that the shapes of the weights to start from are those of a network."""
        have = [tuple(np.shape(w)) for w in self._weight_lists()[0]]
        need = [w.shape for w in net.get_weights()[::2]]
        if have != need:
            raise ValueError(
                f"warm_start=True would start from weights of the shapes {have}, but "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} and the data need {need}; use "
                "warm_start=False, or assign coefs_ and intercepts_ of these shapes"
            )

    def _prepare_curves(self, from_scratch: bool) -> None:
        """Start the curves of losses and scores, or continue them."""
        if from_scratch:
            self._no_improvement_count, self.loss_curve_ = 0, []
            self.validation_loss_curve_ = None
        has_scores = getattr(self, "validation_scores_", None) is not None
        if from_scratch or self.early_stopping != has_scores:
            self.best_loss_ = None if self.early_stopping else np.inf
            self.validation_scores_ = [] if self.early_stopping else None
            self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _complete(self) -> None:
        """Give the network the names of columns and classes, for its use without the estimator."""
        net = self.net_
        names = getattr(self, "feature_names_in_", None)
        net.feature_names = None if names is None else tuple(map(str, names))
        net.classes = _checks.kept_labels(getattr(self, "classes_", None), net.loss, net.n_out)

    def _minimize(self, rows: LabelledRows, validation: LabelledRows | None) -> None:
        """Train by L-BFGS, on all rows at once."""
        lbfgs.refuse_options_of_descent(self, has_validation=validation is not None)
        net, state = self.net_, self._random_state
        shape, last = (net.n_in, net.n_out), self._output_and_loss()
        work = network(self, shape, *last, net.dtype_policy, state, for_lbfgs=True)
        try:
            self.n_iter_, loss, penalty = lbfgs.minimize(self, net, work, rows)
        except FloatingPointError as error:
            raise self._divergence_error(rows.y) from error
        loss /= self.n_outputs_ if self._averages_outputs() else 1
        self.loss_ = float(loss + penalty + rows.mean(self._loss_offsets(rows.y)))

    def _divergence_error(self, y: NDArray[Any]) -> ValueError:
        """Return the error for a training on targets y whose loss is no longer finite."""
        largest, dtype = float(np.abs(y).max()), self.net_.dtype
        if largest > np.sqrt(np.finfo(dtype).max):
            return ValueError(
                f"y holds numbers up to {largest:.3g}, whose squares are too large for {dtype}; "
                "scale y, for example by standardize_target=True"
            )
        return ValueError(  # scikit-learn's words
            "Solver produced non-finite parameter weights. The input data may contain large values "
            "and need to be preprocessed."
        )

    def _is_stochastic(self) -> bool:
        """Return True, or raise scikit-learn's AttributeError: "lbfgs" has no partial_fit."""
        if self._is_minimized():
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    # ---- predicting -----------------------------------------------------------------------------

    def _outputs(self, X: Any) -> NDArray[Any]:
        """Return the outputs (n, n_outputs) of the network for rows as the user passes them."""
        if not self._has_network():
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
                pass  # scikit-learn's validation below raises the error
        return net.predict(checked_inputs(self, X))


def _interleaved(lists: tuple[Weights, Weights]) -> list[NDArray[Any]]:
    """Return [W0, b0, W1, b1, ...] from a list of weights and a list of biases."""
    return [array for pair in zip(*lists, strict=True) for array in pair]
