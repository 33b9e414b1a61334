"""Convert networks, including weights, from and to scikit-learn.

Only `to_sklearn` imports scikit-learn; `from_sklearn` gets objects of scikit-learn.

Here: estimators and scalers of scikit-learn as operations of a chain, and which networks its MLPs
can express. Not here: which chains an MLP can express (chain.py), fastnn's own estimators
(fastnn.sklearn).
"""

import copy
import inspect
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fastnn import _checks, activations, losses, optimizers
from fastnn.activations import Activation
from fastnn.exchange.chain import Affine, Chain
from fastnn.exchange.parts import Part, Refusal, folded, parts, rule_for
from fastnn.layers import (
    Activate,
    BlockDense,
    Dense,
    Dropout,
    Embedding,
    Fork,
    Layer,
    LayerNorm,
    MemberDense,
    MemberScale,
    PeriodicEncoding,
    PiecewiseEncoding,
    Standardize,
    Sum,
)
from fastnn.losses import Loss
from fastnn.mlp import MLP
from fastnn.optimizers import SGD, Adam, Optimizer
from fastnn.schedules import Adaptive, Schedule

_MLPS = "MLPClassifier", "MLPRegressor"
_SCALERS = "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"


class Estimator(Protocol):
    """The methods of an estimator, for type checkers; scikit-learn has no types."""

    def get_params(self, deep: bool = True) -> Any:
        """Return the parameters by name."""

    def predict(self, X: Any) -> Any:
        """Return predictions."""


# ---- from scikit-learn --------------------------------------------------------------------------


def from_sklearn(
    est: Any,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | None = None,
    seed: int | None = None,
) -> MLP:
    """Convert a fitted estimator to a network.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor, or Pipeline
        An estimator of `sklearn.neural_network`, or of ``fastnn.sklearn``, whose network is copied.
        Before the estimator a pipeline may have StandardScaler, MinMaxScaler, MaxAbsScaler or
        RobustScaler, which become a Standardize layer.
    loss : str or Loss, optional
        By default the estimator's loss.
    optimizer : str or Optimizer, optional
        By default the optimizer for the estimator's `solver` and its parameters, Adam for "lbfgs";
        for an estimator of ``fastnn.sklearn`` that of its network.
    seed : int, optional
        Seed of the order of rows in further training.

    Returns
    -------
    MLP
        A network with the dtype of `coefs_`. Its `classes` are the labels of a classifier: column k
        of the predictions is the probability of the k-th label. With two classes there is one
        column, the probability of the second class.

    Raises
    ------
    TypeError
        If `est` is not such an estimator, or the pipeline has a step of another kind.
    ValueError
        If the estimator is not fitted or has a single class, or an argument is invalid.

    Warns
    -----
    UserWarning
        If the estimator has ``learning_rate="invscaling"``: the network gets the rate that the
        estimator had reached, as a constant. "adaptive" becomes the schedule `Adaptive`.

    Notes
    -----
    With several outputs scikit-learn's squared error is the mean over the outputs, and fastnn's is
    the sum: in further training the gradients are larger by a factor, the number of outputs.

    Examples
    --------
    >>> import fastnn
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> est = MLPClassifier(10, tol=0.1, random_state=0).fit(X, y)
    >>> net = fastnn.from_sklearn(est)
    >>> net
    <MLP 4-10-3, cross_entropy, adam, float64>
    >>> bool(abs(net.predict(X) - est.predict_proba(X)).max() < 1e-12)
    True
    """
    last = _steps(est)[-1]
    falls = hasattr(last, "solver") and _kind_of_rate(last) is _reached
    net = _converted(est, loss, optimizer, seed)
    _checks.several_classes("est", getattr(last, "classes_", None))
    if falls and optimizer is None:
        warnings.warn(
            "est has learning_rate='invscaling', which lowers the rate with the number of rows; no "
            "schedule of fastnn does, so the network continues with the rate reached so far, "
            f"{net.optimizer.initial_rate:.3g}. Pass optimizer=SGD(InverseScaling(...)) for a rate "
            "that falls with the number of steps or epochs",
            stacklevel=2,
        )
    return net


def _converted(
    est: Any,
    loss: str | Loss | None,
    optimizer: str | Optimizer | None,
    seed: int | None,
    name: str = "est",
) -> MLP:
    """Return the network of a fitted estimator or pipeline; `name` is its name in messages."""
    *scalers, est = _steps(est)
    ours, theirs = (_kinds(name, *_MLPS) for name in ("fastnn.sklearn", "sklearn.neural_network"))
    wanted = f"a fitted {' or '.join(_MLPS)}, or a pipeline that ends with one"
    _checks.one_of_these(name, est, ours + theirs, wanted)
    is_ours = isinstance(est, ours)
    _checks.fitted(name, est, "net_" if is_ours else "coefs_")
    if is_ours and optimizer is None:
        optimizer = _schedule_of(est)
    if is_ours and not scalers:
        return _rebuilt(est._synced(), loss, optimizer, seed)
    chain = Chain()
    for name, scaler in scalers:
        _scale(chain, name, scaler)
    if is_ours:
        for part in parts(est._synced()):
            chain.add(part)
        loss = est.net_.loss if loss is None else loss
        optimizer = est.net_.optimizer if optimizer is None else optimizer
    else:
        _add_layers(chain, est)
    net = chain.network(
        loss=loss,
        optimizer=_optimizer_of(est) if optimizer is None else optimizer,
        dtype=est.coefs_[0].dtype,
        seed=seed,
        l2=est.alpha / 2,
        scale_penalties=True,
    )
    names = getattr(scalers[0][1] if scalers else est, "feature_names_in_", None)
    net.feature_names = None if names is None else tuple(map(str, names))
    net.classes = _checks.kept_labels(getattr(est, "classes_", None), net.loss, net.n_out)
    return net


def network_of(net: Any) -> MLP:
    """Return a network as it is, or convert a fitted estimator or pipeline."""
    if isinstance(net, MLP):
        return net
    estimators = _kinds("sklearn.base", "BaseEstimator")
    _checks.one_of_these("net", net, estimators, "an MLP or a fitted estimator")
    _checks.one_network("net", net)
    return _converted(net, None, None, None, name="net")


def _steps(est: Any) -> list[Any]:
    """Return the (name, step) pairs of a pipeline, then its last step; or just the estimator."""
    if not isinstance(est, _kinds("sklearn.pipeline", "Pipeline")):
        return [est]
    pipeline: Any = est
    steps = [(name, step) for name, step in pipeline.steps if step not in (None, "passthrough")]
    return [*steps[:-1], steps[-1][1]] if steps else [None]


def _scale(chain: Chain, name: str, scaler: Any) -> None:
    """Append a scaler of scikit-learn to a chain."""
    place = f"step {name!r} ({type(scaler).__name__})"
    kinds = _kinds("sklearn.preprocessing", *_SCALERS)
    _checks.one_of_these(f"{place} before est", scaler, kinds, f"one of {', '.join(_SCALERS)}")
    _checks.fitted(place, scaler, "scale_")
    clips = getattr(scaler, "clip", False)
    _checks.expressible(place, not clips, "clips its outputs", "make it with clip=False")
    if hasattr(scaler, "min_"):  # MinMaxScaler
        chain.scale(place, 0.0, 1 / scaler.scale_)
        chain.scale(place, -scaler.min_)
    else:  # its parameters may say that it ignores what it has learned
        centers = getattr(scaler, "with_mean", False) or getattr(scaler, "with_centering", False)
        scales = getattr(scaler, "with_std", True) and getattr(scaler, "with_scaling", True)
        mean = getattr(scaler, "mean_", getattr(scaler, "center_", 0.0))
        chain.scale(place, mean if centers else 0.0, scaler.scale_ if scales else 1.0)


def _add_layers(chain: Chain, est: Any) -> None:
    """Append the layers of an MLP of scikit-learn to a chain."""
    names = [est.activation] * (len(est.coefs_) - 1) + [est.out_activation_]
    for i, (W, b, name) in enumerate(zip(est.coefs_, est.intercepts_, names, strict=True)):
        place = f"layer {i} of est"
        chain.affine(place, W, b)
        chain.activate(place, _checks.built(place, Activation, name))


def _kinds(module: str, *names: str) -> tuple[type, ...]:
    """Return classes of a module; () if it isn't imported, since then it has no instances."""
    found = (getattr(sys.modules.get(module), name, None) for name in names)
    return tuple(kind for kind in found if kind is not None)


def _rebuilt(
    net: MLP, loss: str | Loss | None, optimizer: str | Optimizer | None, seed: int | None
) -> MLP:
    """Return a copy of the network, with another loss, optimizer or seed if one is given."""
    if loss is None and optimizer is None and seed is None:
        twin: MLP = net.copy()
        return twin
    twin = MLP(
        net.n_in,
        net.layers,
        loss=net.loss if loss is None else loss,
        optimizer=net.optimizer if optimizer is None else optimizer,
        scale_penalties=net.scale_penalties,
        dtype=net.dtype_policy,
        seed=seed,
    )
    twin.set_weights(net.get_weights())
    twin.feature_names, twin.metadata = net.feature_names, copy.deepcopy(net.metadata)
    if twin.loss.n_classes(twin.n_out) == net.loss.n_classes(net.n_out):
        twin.classes = net.classes
    return twin


def _sgd_of(est: Any) -> Optimizer:
    rate = _SCHEDULES.get(est.learning_rate, _constant)(est)
    return SGD(rate, est.momentum, est.nesterovs_momentum and est.momentum > 0)


def _adam_of(est: Any) -> Optimizer:
    rate = float(est.learning_rate_init)
    epsilon = _checks.epsilon_in_range(est.epsilon)
    return Adam(rate, est.beta_1, est.beta_2, epsilon, epsilon_hat=True)


def _constant(est: Any) -> float:
    return float(est.learning_rate_init)


def _reached(est: Any) -> float:
    """Return the rate that training has reached, for a rate that changes between epochs."""
    return float(est._optimizer.learning_rate) if hasattr(est, "_optimizer") else _constant(est)


def _adaptive(est: Any) -> Schedule | float:
    patience = est.n_iter_no_change + 1  # epochs without improvement after which the rate drops
    rate = _reached(est)
    return rate if patience > sys.maxsize else Adaptive(rate, patience=patience, tol=est.tol)


def _schedule_of(est: Any) -> Optimizer | None:
    """Return an optimizer for a fastnn estimator whose network does not have its schedule."""
    if est.optimizer is not None or _kind_of_rate(est) is not _adaptive:
        return None
    optimizer: Optimizer = est.net_.optimizer
    return replace(optimizer, learning_rate=_adaptive(est))


#: For each `learning_rate` of scikit-learn's "sgd", the function that returns fastnn's.
_SCHEDULES: dict[str, Callable[[Any], Schedule | float]] = {
    "constant": _constant,
    "adaptive": _adaptive,
    "invscaling": _reached,  # from_sklearn warns
}


def _kind_of_rate(est: Any) -> Callable[[Any], Schedule | float] | None:
    """Return the function for an estimator's `learning_rate`; None if its solver ignores that."""
    return _SCHEDULES[est.learning_rate] if _SOLVERS[est.solver] is _sgd_of else None


#: fastnn's optimizer for each of scikit-learn's solvers.
_SOLVERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": _sgd_of,
    "adam": _adam_of,
    "lbfgs": _adam_of,
}


def _optimizer_of(est: Any) -> Optimizer:
    """Return fastnn's optimizer for an estimator's parameters."""
    known = est.solver in _SOLVERS
    problem = f"has the solver {est.solver!r}, which fastnn lacks"
    _checks.expressible("est", known, problem, "pass the optimizer to continue with as optimizer=")
    return _SOLVERS[est.solver](est)


# ---- to scikit-learn ----------------------------------------------------------------------------


def to_sklearn(
    net: MLP | Estimator,
    *,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | None = None,
) -> Any:
    """Convert a network to a fitted scikit-learn estimator with the same predictions.

    Parameters
    ----------
    net : MLP, or fitted MLPClassifier, MLPRegressor or Pipeline
        A network with softmax or sigmoid outputs becomes a classifier with the labels in
        ``net.classes``, or 0, 1, ...; with several sigmoid outputs it predicts several labels per
        row. With identity or exp outputs it becomes a regressor. For an estimator of
        ``fastnn.sklearn``, or a pipeline of scalers and such an estimator, the parameters that
        scikit-learn shares and the curves of losses and scores are kept.
    loss : str or Loss, optional
        The loss for further training of the estimator, by default the network's. scikit-learn has
        "cross_entropy" for softmax, "binary_cross_entropy" for sigmoid, "squared_error" for
        identity and "poisson" for exp, all without label smoothing; for a network with another loss
        this must be given.
    optimizer : str or Optimizer, optional
        The optimizer for further training of the estimator, by default the network's. scikit-learn
        has "sgd" and "adam", without amsgrad, weight decay and maximize; for a network with another
        optimizer this must be given.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        `predict_proba`, or `predict` of a regressor, returns the network's outputs up to rounding.
        `partial_fit` continues from the network's weights, with its learning rate but without its
        moments.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        If `net` is neither an MLP nor such an estimator.
    ValueError
        If the estimator is not fitted, if scikit-learn lacks the loss or the optimizer, or if its
        estimators cannot express the network; the message names the layer. They have one activation
        for all hidden layers: identity, sigmoid, tanh or relu.

    Notes
    -----
    A Standardize layer is folded into the weights of the first layer. In float32 this costs
    precision if means are large compared with standard deviations; convert
    ``net.copy(dtype="float64")`` to avoid that. Dropout is left out, missing biases become 0, and
    softmax over two outputs becomes one sigmoid. `alpha` is twice the l2 of the layers if all have
    the same l2, otherwise 0; it is the same penalty only with ``scale_penalties=True``. Adam's
    epsilon is used as with ``epsilon_hat=True``. l1 penalties, clipping, moving averages of the
    weights, schedules, frozen layers, learning rates of layers and `reduction` are not kept.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import MLP, Dense
    >>> net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="adam")
    >>> net.set_weights([[[1, 2, 3], [4, 5, 6]], [0, 0, 0], [[1], [1], [1]], [0.5]])
    >>> fastnn.to_sklearn(net).predict([[0.0, 0.0]])
    array([0.5])
    """
    neural = _checks.package("sklearn.neural_network", "to_sklearn", "scikit-learn")
    source: Any = _steps(net)[-1]
    net = network_of(net)
    layers: list[Affine] = []
    for part in folded(parts(net), "to_sklearn"):
        rule_for(RULES, part, "to_sklearn cannot write")(layers, part)
    *hidden, last = layers
    options = {
        "hidden_layer_sizes": tuple(layer.n_out for layer in hidden),
        "activation": _hidden_activation(hidden),
        "alpha": 2 * net.dense[0].l2 if len({layer.l2 for layer in net.dense}) == 1 else 0.0,
        **_solver_of(net.optimizer if optimizer is None else optimizers.get(optimizer)),
    }
    loss = net.loss if loss is None else losses.get(loss)
    est = _output(neural, last, loss)(neural, net, last, options)
    est.coefs_ = [layer.W for layer in (*hidden, last)]
    est.intercepts_ = [
        np.zeros(layer.n_out, net.dtype) if layer.b is None else layer.b
        for layer in (*hidden, last)
    ]
    if net.feature_names is not None:
        est.feature_names_in_ = np.array(net.feature_names, dtype=object)
    is_ours = isinstance(source, _kinds("fastnn.sklearn", *_MLPS))
    if is_ours:
        _resemble(est, source, keeps_solver=optimizer is None and source.optimizer is None)
    return est


# ---- layers --------------------------------------------------------------------------------------


def _dense(layers: list[Affine], part: Part[Dense]) -> None:
    activation = activations.get(part.layer.activation)
    layers.append(Affine(part.place, part.arrays["W"], part.arrays.get("b"), activation))


def _dropout(layers: list[Affine], part: Part[Dropout]) -> None:
    """Append nothing: dropout has no effect in predictions."""


def _standardize(layers: list[Affine], part: Part[Standardize]) -> None:
    """Append nothing: mean and scale are folded into the weights of the layer after it."""


_NO_SUCH_LAYER = Refusal(
    "scikit-learn has no such layer; train a network without it, or use to_torch"
)
_NO_RESIDUALS = Refusal(
    "scikit-learn has no residual connections; train a network without them, or use to_torch"
)

#: For each kind of layer, the function that appends it to an estimator's layers, as affine maps.
RULES: dict[type[Layer], Callable[[list[Affine], Part[Any]], None] | Refusal] = {
    Dense: _dense,
    Dropout: _dropout,
    Standardize: _standardize,
    LayerNorm: _NO_SUCH_LAYER,
    Activate: _NO_SUCH_LAYER,
    Fork: _NO_RESIDUALS,
    Sum: _NO_RESIDUALS,
    Embedding: _NO_SUCH_LAYER,
    PiecewiseEncoding: _NO_SUCH_LAYER,
    PeriodicEncoding: _NO_SUCH_LAYER,
    BlockDense: _NO_SUCH_LAYER,
    MemberScale: _NO_SUCH_LAYER,
    MemberDense: _NO_SUCH_LAYER,
}

#: Hidden activations that scikit-learn has, by fastnn's name.
_HIDDEN = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


def _hidden_activation(hidden: list[Affine]) -> str:
    """Return scikit-learn's name of the activation of all hidden layers."""
    names = []
    for layer in hidden:
        activation, first = layer.activation, hidden[0].activation
        assert activation is not None
        remedy = (
            f"scikit-learn only has {', '.join(_HIDDEN)} there; train a network with one of them"
        )
        known = activation.name in _HIDDEN
        _checks.expressible(layer.place, known, f"has {activation}", remedy)
        problem = f"has {activation}, but {hidden[0].place} {first}"
        remedy = "scikit-learn has one activation for all hidden layers; train a network with one"
        _checks.expressible(layer.place, activation == first, problem, remedy)
        names.append(_HIDDEN[activation.name])
    return names[0] if names else "relu"


# ---- estimators ----------------------------------------------------------------------------------

_Estimator = Callable[[Any, MLP, Affine, dict[str, Any]], Any]


def _output(neural: Any, last: Affine, loss: Loss) -> _Estimator:
    """Return the function that makes the estimator for an output activation, after checks."""
    known = dict(_OUTPUTS)
    if "loss" not in inspect.signature(neural.MLPRegressor).parameters:  # before 1.7
        del known["exp"]
    activation = last.activation
    assert activation is not None
    _checks.expressible(
        last.place, activation.name in known, f"has {activation}",
        f"scikit-learn's outputs only have {', '.join(known)}; train a network with one of them",
    )  # fmt: skip
    theirs, make = known[activation.name]
    smoothing = getattr(loss, "label_smoothing", 0.0)
    shown = f"{loss.name!r} with label_smoothing={smoothing:g}" if smoothing else repr(loss.name)
    problem = f"has the loss {shown}, which scikit-learn lacks for {activation} outputs"
    remedy = f"pass loss={theirs!r} for an estimator that continues its training with this loss"
    _checks.expressible("net", loss.name == theirs and not smoothing, problem, remedy)
    return make


def _classifier(neural: Any, net: MLP, last: Affine, options: dict[str, Any]) -> Any:
    """Return a classifier with the attributes of a fitted one; its weights are set later."""
    n, activation = last.n_out, last.activation
    if activation is not None and activation.is_row_wise:
        classes = _checks.labels(net.classes, n)
        if n == 2:  # softmax over a and b is sigmoid of b - a
            last.W = last.W[:, 1:] - last.W[:, :1]
            last.b = None if last.b is None else last.b[1:] - last.b[:1]
    elif n == 1:
        classes = _checks.labels(net.classes, 2)
    else:
        labels = np.zeros((1, n), int)
        return _fitted(neural.MLPClassifier, net, labels, options, classes=np.arange(n))
    return _fitted(neural.MLPClassifier, net, classes[:1], options, classes=classes)


def _regressor(neural: Any, net: MLP, last: Affine, options: dict[str, Any]) -> Any:
    """Return a regressor with the attributes of a fitted one; its weights are set later."""
    y = np.ones(1 if last.n_out == 1 else (1, last.n_out))
    return _fitted(neural.MLPRegressor, net, y, options)


def _poisson_regressor(neural: Any, net: MLP, last: Affine, options: dict[str, Any]) -> Any:
    return _regressor(neural, net, last, options | {"loss": "poisson"})


#: For each output activation, the loss that scikit-learn has for it, and the estimator.
_OUTPUTS: dict[str, tuple[str, _Estimator]] = {
    "softmax": ("cross_entropy", _classifier),
    "sigmoid": ("binary_cross_entropy", _classifier),
    "identity": ("squared_error", _regressor),
    "exp": ("poisson", _poisson_regressor),
}


def _fitted(kind: Any, net: MLP, y: Any, options: dict[str, Any], **arguments: Any) -> Any:
    """Return an estimator fitted to one row, so that it has all attributes of its version."""
    est = kind(random_state=0, **options)
    est.partial_fit(np.zeros((1, net.n_in), net.dtype), y, **arguments)
    del est._optimizer  # its moments come from that row
    est.set_params(random_state=None)
    est.n_iter_, est.t_, est.loss_, est.loss_curve_, est.best_loss_ = (
        net.epoch, 0, float("nan"), [], np.inf,
    )  # fmt: skip
    return est


#: Parameters of an estimator that describe its network, and those that describe its optimizer.
_OF_NETWORK = {"hidden_layer_sizes", "activation", "loss"}
_OF_SOLVER = {
    "solver", "learning_rate_init", "learning_rate", "power_t", "momentum", "nesterovs_momentum",
    "beta_1", "beta_2", "epsilon",
}  # fmt: skip

#: Attributes that both libraries' estimators have: the results of training, and the classes, which
#: a network may not keep (a single one, or dates).
_OF_TRAINING = (
    "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_",
    "best_validation_score_", "classes_", "_label_binarizer",
)  # fmt: skip


def _resemble(est: Any, source: Any, keeps_solver: bool) -> None:
    """Copy the shared parameters, training curves and classes from an estimator of fastnn."""
    given = _OF_NETWORK if keeps_solver else _OF_NETWORK | _OF_SOLVER
    shared = est.get_params().keys() - given
    est.set_params(**{name: value for name, value in source.get_params().items() if name in shared})
    for name in _OF_TRAINING:
        if hasattr(source, name):
            setattr(est, name, copy.copy(getattr(source, name)))


# ---- optimizers ----------------------------------------------------------------------------------


def _sgd(optimizer: Any) -> dict[str, Any]:
    return {"momentum": optimizer.momentum, "nesterovs_momentum": optimizer.nesterov}


def _adam(optimizer: Any) -> dict[str, Any]:
    return {name: getattr(optimizer, name) for name in ("beta_1", "beta_2", "epsilon")}


#: For each optimizer that scikit-learn has as a solver, the function that returns its parameters.
OPTIMIZERS: dict[str, Callable[[Any], dict[str, Any]]] = {"sgd": _sgd, "adam": _adam}


def _solver_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return the estimators' parameters for an optimizer."""
    name = optimizer.name
    remedy = (
        f"pass optimizer={' or '.join(map(repr, OPTIMIZERS))} for an estimator that would continue "
        "its training with that"
    )
    problem = f"has the optimizer {name!r}, which scikit-learn lacks"
    _checks.expressible("net", name in OPTIMIZERS, problem, remedy)
    options = {o: getattr(optimizer, o, False) for o in ("amsgrad", "maximize", "weight_decay")}
    given = ", ".join(f"{option}={value}" for option, value in options.items() if value)
    problem = f"has the optimizer {name!r} with {given}, which scikit-learn lacks"
    _checks.expressible("net", not given, problem, remedy)
    parameters = OPTIMIZERS[name](optimizer)
    return {"solver": name, "learning_rate_init": optimizer.initial_rate, **parameters}
