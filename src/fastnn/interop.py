"""Networks from and to scikit-learn and PyTorch, weights and all.

Neither is imported before it is needed: what converts to a library imports it, what converts from
one is handed its objects.

Here: what their estimators and modules are in a chain of operations. Not here: which chains an MLP
can express (_chain.py), ONNX (onnx.py), estimators of our own (sklearn.py).
"""

import copy
import inspect
import sys

import numpy as np

from fastnn import _chain, _checks
from fastnn.activations import Activation
from fastnn.layers import Dropout
from fastnn.mlp import MLP
from fastnn.optimizers import SGD, Adam

# ---- scikit-learn -------------------------------------------------------------------------------

_MLPS = "MLPClassifier", "MLPRegressor"
_SCALERS = "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler"

#: Hidden activations that scikit-learn has, by fastnn's name.
_SKLEARN = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}


def from_sklearn(est, *, loss=None, optimizer=None, seed=None):
    """Return a fitted estimator's network.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor, or Pipeline
        Of `sklearn.neural_network`; or of ``fastnn.sklearn``, whose network is copied then. Before
        it a pipeline may have StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler, which
        become a Standardize layer.
    loss : str or Loss, optional
        By default the estimator's.
    optimizer : str or Optimizer, optional
        By default what the estimator's `solver` and its parameters say; Adam for "lbfgs".
    seed : int, optional
        Of the order of rows when it is trained on.

    Returns
    -------
    MLP
        Its dtype is that of `coefs_`. A classifier's labels are in ``metadata["classes"]``: column
        k of the predictions is the probability of the k-th; of two classes there is one column, for
        the second one.

    Raises
    ------
    TypeError
        If it is no such estimator, or the pipeline has another step.
    ValueError
        If it isn't fitted, or an argument is unfit.

    Notes
    -----
    A squared error of several outputs is their mean in scikit-learn and their sum here: where
    training goes on, its gradients are as many times larger.

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
    *scalers, est = _steps(est)
    ours, theirs = (_kinds(name, *_MLPS) for name in ("fastnn.sklearn", "sklearn.neural_network"))
    _checks.one_of_these("est", est, ours + theirs, " or ".join(_MLPS))
    is_ours = isinstance(est, ours)
    _checks.fitted("est", est, "net_" if is_ours else "coefs_")
    if is_ours and not scalers:
        return _rebuilt(est._synced(), loss, optimizer, seed)
    chain = _chain.Chain()
    for name, scaler in scalers:
        _scaled(chain, name, scaler)
    for layer in _chain.layers(est._synced(), fold=False) if is_ours else _affines(est):
        chain.add(layer)
    if is_ours:
        loss = est.net_.loss if loss is None else loss
        optimizer = est.net_.optimizer if optimizer is None else optimizer
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
    if hasattr(est, "classes_"):
        net.metadata["classes"] = est.classes_.tolist()
    return net


def _steps(est):
    """Return the steps of a pipeline with their names, and what it ends with; or only that."""
    if not isinstance(est, _kinds("sklearn.pipeline", "Pipeline")):
        return [est]
    steps = [(name, step) for name, step in est.steps if step not in (None, "passthrough")]
    return [*steps[:-1], steps[-1][1]] if steps else [None]


def _scaled(chain, name, scaler):
    """Put a scaler of scikit-learn's preprocessing into a chain."""
    place = f"step {name!r} ({type(scaler).__name__})"
    kinds = _kinds("sklearn.preprocessing", *_SCALERS)
    _checks.one_of_these(f"{place} before est", scaler, kinds, f"one of {', '.join(_SCALERS)}")
    _checks.fitted(place, scaler, "scale_")
    clips = getattr(scaler, "clip", False)
    _checks.expressible(place, not clips, "clips its outputs", "make it with clip=False")
    if hasattr(scaler, "min_"):  # MinMaxScaler
        chain.scale(place, 0.0, 1 / scaler.scale_)
        chain.scale(place, -scaler.min_)
    else:
        mean, scale = getattr(scaler, "center_", None), scaler.scale_
        if getattr(scaler, "with_mean", False):  # else it may know the mean, but doesn't use it
            mean = scaler.mean_
        chain.scale(place, 0.0 if mean is None else mean, 1.0 if scale is None else scale)


def _affines(est):
    """Return the layers of one of scikit-learn's own MLPs."""
    activations = [est.activation] * (len(est.coefs_) - 1) + [est.out_activation_]
    return [
        _chain.Affine(f"layer {i} of est", W, b, Activation(activation))
        for i, (W, b, activation) in enumerate(
            zip(est.coefs_, est.intercepts_, activations, strict=True)
        )
    ]


def _kinds(module, *names):
    """Return classes of a module; none if it isn't imported, since then no object has them."""
    found = (getattr(sys.modules.get(module), name, None) for name in names)
    return tuple(kind for kind in found if kind is not None)


def _rebuilt(net, loss, optimizer, seed):
    """Return a copy of the network; built anew, with its weights, if something is to change."""
    if loss is optimizer is seed is None:
        return net.copy()
    twin = MLP(
        net.n_in,
        net.layers,
        loss=net.loss if loss is None else loss,
        optimizer=net.optimizer if optimizer is None else optimizer,
        scale_penalties=net.scale_penalties,
        dtype=net.dtype,
        seed=seed,
    )
    twin.set_weights(net.get_weights())
    twin.feature_names, twin.metadata = net.feature_names, copy.deepcopy(net.metadata)
    return twin


def _optimizer_of(est):
    """Return fastnn's optimizer for an estimator's parameters."""
    rate = float(est.learning_rate_init)
    if est.solver == "sgd":
        return SGD(rate, est.momentum, est.nesterovs_momentum and est.momentum > 0)
    return Adam(rate, est.beta_1, est.beta_2, est.epsilon, epsilon_hat=True)


def to_sklearn(net):
    """Return a fitted scikit-learn estimator that predicts what a network does.

    Parameters
    ----------
    net : MLP
        With softmax or sigmoid outputs it becomes a classifier, of the labels in
        ``net.metadata["classes"]`` or of 0, 1, ...; several sigmoid outputs are several labels a
        row. With identity or exp outputs it becomes a regressor.

    Returns
    -------
    sklearn.neural_network.MLPClassifier or MLPRegressor
        `predict_proba`, or `predict` of a regressor, gives the network's outputs to rounding.
        `partial_fit` goes on from its weights, with its rate and without its moments.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    TypeError
        If it is no MLP.
    ValueError
        If scikit-learn's networks cannot be that; the message names the layer. They have one
        activation for all hidden layers: identity, sigmoid, tanh or relu.

    Notes
    -----
    A Standardize layer is folded into the weights of the first one: in float32 that costs digits
    where means are large beside deviations, which ``net.copy(dtype="float64")`` saves. Dropout is
    left out, biases that a layer lacks are 0, and softmax over two outputs becomes one sigmoid.

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
    _checks.one_of_these("net", net, MLP, "an MLP")
    *hidden, last = _chain.affines(net, fold=True)
    for layer in hidden:
        known = layer.activation.name in _SKLEARN
        remedy = f"scikit-learn has {', '.join(_SKLEARN)} there; train a network with one of them"
        _checks.expressible(layer.place, known, f"has {layer.activation}", remedy)
        problem = f"has {layer.activation}, but {hidden[0].place} {hidden[0].activation}"
        remedy = "scikit-learn has one activation for all hidden layers; train a network with one"
        _checks.expressible(layer.place, layer.activation == hidden[0].activation, problem, remedy)
    options = {
        "hidden_layer_sizes": tuple(layer.W.shape[1] for layer in hidden),
        "activation": _SKLEARN[hidden[0].activation.name] if hidden else "relu",
        "alpha": 2 * net.dense[0].l2 if len({layer.l2 for layer in net.dense}) == 1 else 0.0,
        **_solver_of(net.optimizer),
    }
    if last.activation.name in ("softmax", "sigmoid"):
        est = _classifier(neural, net, last, options)
    else:
        est = _regressor(neural, net, last, options)
    est.coefs_ = [layer.W for layer in (*hidden, last)]
    est.intercepts_ = [
        np.zeros(layer.W.shape[1], net.dtype) if layer.b is None else layer.b
        for layer in (*hidden, last)
    ]
    if net.feature_names is not None:
        est.feature_names_in_ = np.array(net.feature_names, dtype=object)
    return est


def _classifier(neural, net, last, options):
    """Return a classifier with the attributes of a fitted one, weights of its own."""
    n = last.W.shape[1]
    if last.activation.name == "sigmoid" and n > 1:
        labels = np.zeros((1, n), int)
        return _fitted(neural.MLPClassifier, net, labels, options, classes=np.arange(n))
    classes = _checks.labels(net.metadata.get("classes"), max(n, 2))
    if n == 2:  # softmax over a and b is sigmoid of b - a
        last.W = last.W[:, 1:] - last.W[:, :1]
        last.b = None if last.b is None else last.b[1:] - last.b[:1]
    return _fitted(neural.MLPClassifier, net, classes[:1], options, classes=classes)


def _regressor(neural, net, last, options):
    """Return a regressor with the attributes of a fitted one, weights of its own."""
    has_poisson = "loss" in inspect.signature(neural.MLPRegressor).parameters
    known = {"identity"} | ({"exp"} if has_poisson else set())
    _checks.expressible(
        last.place, last.activation.name in known, f"has {last.activation}",
        f"scikit-learn's outputs have softmax, sigmoid, {' or '.join(sorted(known))}; "
        "train a network with one of them",
    )  # fmt: skip
    if last.activation.name == "exp":
        options["loss"] = "poisson"
    n = last.W.shape[1]
    return _fitted(neural.MLPRegressor, net, np.ones(1 if n == 1 else (1, n)), options)


def _fitted(kind, net, y, options, **arguments):
    """Return an estimator that was fitted to one row, so that it has all its version keeps."""
    est = kind(random_state=0, **options)
    est.partial_fit(np.zeros((1, net.n_in), net.dtype), y, **arguments)
    del est._optimizer  # whose moments are that row's
    est.set_params(random_state=None)
    est.n_iter_, est.t_, est.loss_, est.loss_curve_, est.best_loss_ = (
        net.epoch, 0, float("nan"), [], np.inf,
    )  # fmt: skip
    return est


def _solver_of(optimizer):
    """Return the estimators' parameters for fastnn's optimizer, as far as they have it."""
    options = {"learning_rate_init": optimizer.initial_rate}
    if isinstance(optimizer, SGD):
        options |= {"solver": "sgd", "momentum": optimizer.momentum}
        options |= {"nesterovs_momentum": optimizer.nesterov}
    elif isinstance(optimizer, Adam):
        options |= {name: getattr(optimizer, name) for name in ("beta_1", "beta_2", "epsilon")}
    return options


# ---- PyTorch ------------------------------------------------------------------------------------


def from_torch(module, *, output=None, loss=None, optimizer="adam", seed=None):
    """Return a PyTorch module's network.

    Parameters
    ----------
    module : torch.nn.Sequential
        Of Linear, BatchNorm1d, Dropout, Flatten, Identity, Softmax, LogSoftmax, ReLU, LeakyReLU,
        Tanh, Sigmoid, ELU, SELU, GELU (exact), SiLU, Softplus, and Sequential of these; or one
        of them alone.
    output : str or Activation, optional
        An activation to put behind a module that ends with logits: "softmax" for one trained with
        CrossEntropyLoss (or, after LogSoftmax, with NLLLoss), "sigmoid" for BCEWithLogitsLoss,
        "exp" for PoissonNLLLoss.
    loss : str or Loss, optional
        By default the one that the activation of the output is meant for: cross-entropy behind
        softmax, binary cross-entropy behind sigmoid, Poisson's behind an exponential, the squared
        error behind any other.
    optimizer : str or Optimizer, default "adam"
    seed : int, optional
        Of the order of rows and the dropout masks when it is trained.

    Returns
    -------
    MLP
        Of float64 if the weights are, else of float32. It predicts what the module does in
        evaluation: BatchNorm1d goes into the weights next to it, or becomes a Standardize in front.

    Raises
    ------
    TypeError, ValueError
        If an argument is unfit, or the module holds what an MLP cannot express; the message names
        the part.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> net = fastnn.from_torch(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)),
    ...                         output="softmax")  # doctest: +SKIP
    """
    torch = sys.modules.get("torch")  # None if no object of its can have been made
    kinds = () if torch is None else (torch.nn.Module,)
    _checks.one_of_these("module", module, kinds, "a torch.nn.Sequential")
    chain, readers, dtype = _chain.Chain(), _readers(torch.nn), "float32"
    for name, part in _parts(torch.nn, module):
        place = f"module {name!r} ({type(part).__name__})" if name else type(part).__name__
        read = next((r for kind, r in readers.items() if type(part).forward is kind.forward), None)
        remedy = (
            f"pass a Sequential of {', '.join(kind.__name__ for kind in readers)}, or export the "
            "module by torch.onnx and use from_onnx"
        )
        _checks.expressible(place, read, "is a module that fastnn cannot read", remedy)
        read(chain, place, part)
        if any(p.dtype == torch.float64 for p in part.parameters()):
            dtype = "float64"
    return chain.network(output=output, loss=loss, optimizer=optimizer, dtype=dtype, seed=seed)


def _parts(nn, module, name=""):
    """Yield the names and the modules that nested Sequentials consist of, in order."""
    if type(module).forward is not nn.Sequential.forward:
        yield name, module
        return
    for key, part in module._modules.items():  # named_children leaves out repetitions
        yield from _parts(nn, part, f"{name}.{key}" if name else key)


def _readers(nn):
    """Return {class: function that puts such a module into a chain}."""

    def activation(name, parameter=None):
        def read(chain, place, part):
            alpha = None if parameter is None else float(getattr(part, parameter))
            chain.activate(place, _checks.built(place, Activation, name, alpha))

        return read

    return {
        nn.Linear: lambda chain, place, part: chain.affine(
            place, _array(part.weight).T, _array(part.bias)
        ),
        nn.BatchNorm1d: _batch_norm,
        nn.ReLU: activation("relu"),
        nn.LeakyReLU: activation("leaky_relu", "negative_slope"),
        nn.Tanh: activation("tanh"),
        nn.Sigmoid: activation("sigmoid"),
        nn.ELU: activation("elu", "alpha"),
        nn.SELU: activation("selu"),
        nn.GELU: _gelu,
        nn.SiLU: activation("silu"),
        nn.Softplus: _softplus,
        nn.Softmax: _softmax,
        nn.LogSoftmax: _softmax,
        nn.Dropout: lambda chain, place, part: chain.drop(place, part.p),
        nn.Identity: lambda chain, place, part: None,
        nn.Flatten: _flatten,
    }


def _array(tensor):
    """Return a tensor as a float64 array; None stays None."""
    return None if tensor is None else tensor.detach().cpu().double().numpy()


def _batch_norm(chain, place, part):
    remedy = "make it with track_running_stats=True and train it"
    _checks.expressible(place, part.running_var is not None, "keeps no statistics", remedy)
    chain.normalize(
        place,
        _array(part.running_mean),
        _array(part.running_var) + part.eps,
        _array(part.weight),
        _array(part.bias),
    )


def _gelu(chain, place, part):
    problem = f"has approximate={part.approximate!r}, but fastnn's gelu is exact"
    _checks.expressible(place, part.approximate == "none", problem, "train it with 'none'")
    chain.activate(place, Activation("gelu"))


def _softplus(chain, place, part):
    problem = f"has beta={part.beta:g} and threshold={part.threshold:g}, but fastnn's softplus none"
    usual = part.beta == 1 and part.threshold >= 20  # e^-20 = 2e-9
    _checks.expressible(place, usual, problem, "train it with beta=1 and threshold=20 or more")
    chain.activate(place, Activation("softplus"))


def _softmax(chain, place, part):
    problem = f"has dim={part.dim}"
    _checks.expressible(place, part.dim in (1, -1, None), problem, "train it with dim=1")
    if type(part).__name__ == "LogSoftmax":
        chain.log_softmax(place)
    else:
        chain.activate(place, Activation("softmax"))


def _flatten(chain, place, part):
    whole = part.start_dim == 1 and part.end_dim == -1
    problem = f"has start_dim={part.start_dim} and end_dim={part.end_dim}"
    _checks.expressible(place, whole, problem, "fastnn takes rows: make it Flatten()")


def to_torch(net):
    """Return a network as a PyTorch module.

    Parameters
    ----------
    net : MLP

    Returns
    -------
    torch.nn.Sequential
        With copies of the weights, in the network's dtype, in evaluation: ``train()`` makes
        Dropout act.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If it is no MLP.
    ValueError
        If the network has "exp", for which PyTorch has no module, or its Standardize has seen no
        data.

    Notes
    -----
    A Standardize layer is folded into the weights of the first Linear.

    Examples
    --------
    >>> fastnn.to_torch(net)  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
    )
    """
    torch = _checks.package("torch", "to_torch")
    _checks.one_of_these("net", net, MLP, "an MLP")
    modules, trainable = [], iter(layer.trainable for layer in net.dense)
    for layer in _chain.layers(net, fold=True):
        if isinstance(layer, Dropout):
            modules.append(torch.nn.Dropout(layer.rate))
        else:
            linear = _linear(torch, layer).requires_grad_(next(trainable))
            modules += [linear, *_activation_modules(torch.nn, layer)]
    return torch.nn.Sequential(*modules).eval()


def _linear(torch, affine):
    """Return a Linear; PyTorch draws no weights for it."""
    W = torch.from_numpy(np.ascontiguousarray(affine.W.T))
    linear = torch.nn.utils.skip_init(
        torch.nn.Linear, *affine.W.shape, bias=affine.b is not None, dtype=W.dtype
    )
    with torch.no_grad():
        linear.weight.copy_(W)
        if affine.b is not None:
            linear.bias.copy_(torch.from_numpy(affine.b))
    return linear


def _activation_modules(nn, affine):
    """Return the module of a layer's activation, in a list; none for the identity."""
    name, alpha = affine.activation.name, affine.activation.alpha
    if name == "identity":
        return []
    modules = {
        "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU,
        "softmax": nn.Softmax, "elu": nn.ELU, "selu": nn.SELU, "gelu": nn.GELU, "silu": nn.SiLU,
        "softplus": nn.Softplus,
    }  # fmt: skip
    _checks.expressible(
        affine.place, name in modules, f"has {name}, for which PyTorch has no module",
        "give a network with identity there, and put torch.exp behind it",
    )  # fmt: skip
    first = 1 if name == "softmax" else alpha  # dim, or alpha
    return [modules[name]() if first is None else modules[name](first)]
