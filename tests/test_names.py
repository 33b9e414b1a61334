"""Names of other libraries: aliases, and hints that say what fastnn has instead.

The tables are in _checks/names.py and _checks/arguments.py. Tests go through the public names of
Keras, PyTorch and scikit-learn where these are installed: each is accepted, or its error ends with
a hint that no similarity of letters has found. Not here: typing errors of fastnn's own names
(test_bad_input.py).
"""

import ast
import importlib
import inspect
import os
import re

import numpy as np
import pytest

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activation,
    Adam,
    Callback,
    CosineDecay,
    CrossEntropy,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    ModelCheckpoint,
    OneCycle,
    ReduceLROnPlateau,
    RMSProp,
    Standardize,
    activations,
    initializers,
    losses,
    metrics,
    optimizers,
)
from fastnn._checks import arguments, names

os.environ.setdefault("KERAS_BACKEND", "torch")

LAST = {"cross_entropy": Dense(2, "softmax"), "binary_cross_entropy": Dense(1, "sigmoid")}


def network(loss="squared_error", optimizer="sgd", **options):
    return MLP(3, [LAST.get(loss, Dense(1))], loss=loss, optimizer=optimizer, seed=0, **options)


def message(call, *kinds):
    """Return the message of the error that a call raises."""
    with pytest.raises(kinds or (TypeError, ValueError, AttributeError)) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- the commonest names, and what they are to say -----------------------------------------------

X, Y = np.zeros((4, 3)), np.zeros(4)

COMMON = {
    "loss": (
        lambda name: network(loss=name),
        {
            "mse": "use 'squared_error', which is half the sum",
            "mean_squared_error": "use 'squared_error', which is half the sum",
            "MSELoss": "use 'squared_error', which is half the sum",
            "mae": "use 'absolute_error', which is the sum",
            "L1Loss": "use 'absolute_error', which is the sum",
            "binary_crossentropy": "use 'binary_cross_entropy', which is summed",
            "BCELoss": "use 'binary_cross_entropy', which is summed",
            "BCEWithLogitsLoss": "Dense(n, 'sigmoid')",
            "CrossEntropyLoss": "Dense(n, 'softmax')",
            "NLLLoss": "Dense(n, 'softmax')",
            "log_loss": "use 'cross_entropy' with a softmax output",
            "SmoothL1Loss": "use 'huber'",
            "hinge": "for classes use 'cross_entropy'",
            "KLDivergence": "use 'cross_entropy' with rows of probabilities",
            "pinball": "use 'quantile'",
            None: "for numbers use 'squared_error'",
        },
    ),
    "activation": (
        lambda name: Dense(4, name),
        {
            "ReLU": "did you mean 'relu'?",
            "LeakyReLU": "did you mean 'leaky_relu'?",
            "SiLU": "did you mean 'silu'?",
            "softsign": "use 'tanh'",
            "Hardsigmoid": "did you mean 'hard_sigmoid'?",
            "ReLU6": "did you mean 'relu6'?",
            "quick_gelu": "or 'gelu_tanh'",
            "log_softmax": "use 'softmax' with loss 'cross_entropy'",
            None: "use 'identity'",
            128: "such as Dense(10, 'relu')",
            np.tanh: "did you mean 'tanh'?",
        },
    ),
    "optimizer": (
        lambda name: network(optimizer=name),
        {
            "Adam": "did you mean 'adam'?",
            "RMSprop": "did you mean 'rmsprop'?",
            "radam": "use 'adam' or 'adamw'",
            "lbfgs": "solver='lbfgs'",
            "momentum": "momentum=0.9, nesterov=True",
            "adadelta": "use 'rmsprop' or 'adam'",
            "sdg": "did you mean 'sgd'?",
            Adam: "pass an object, such as Adam()",
        },
    ),
    "initializer": (
        lambda name: Dense(4, initializer=name),
        {
            "xavier_uniform": "use 'glorot_uniform'",
            "kaiming_normal_": "use 'he_normal'",
            "HeNormal": "did you mean 'he_normal'?",
            "random_normal": "MLP.set_weights",
        },
    ),
    "metrics": (
        lambda name: network().evaluate(X, Y, metrics=[name]),
        {
            "rmse": "use 'mse' and take the root",
            "auc": "use 'roc_auc'",
            "f1_score": "use 'f1'",
            "jaccard": "pass a function f(y_true, y_pred)",
            "sparse_categorical_accuracy": "use 'accuracy'",
            "neg_mean_squared_error": "use 'mse'",
            "loss": "the loss is always among the results",
            metrics.Accuracy: "pass an object",
        },
    ),
    "learning_rate": (
        SGD,
        {
            "invscaling": "use InverseScaling(0.01)",
            "adaptive": "use Adaptive(0.01)",
            "constant": "pass the number itself",
        },
    ),
    "layers": (
        lambda layer: MLP(3, [layer, Dense(1)], loss="squared_error", optimizer="sgd"),
        {
            "relu": "such as Dense(64, 'relu')",
            64: "is Dense(64, 'relu')",
            Activation("relu"): "such as Dense(64, 'relu')",
            Dense: "pass an object, such as Dense(...)",
        },
    ),
}


@pytest.mark.parametrize(
    ("call", "name", "hint"),
    [
        pytest.param(call, name, hint, id=f"{what}-{name}")
        for what, (call, rows) in COMMON.items()
        for name, hint in rows.items()
    ],
)
def test_a_common_name_gets_the_right_hint(call, name, hint):
    assert hint in message(lambda: call(name))


@pytest.mark.parametrize("name", sorted(losses.ALIASES))
def test_aliases_of_losses(name):
    net = MLP(3, [Dense(2, "softmax")], loss=name, optimizer="sgd")
    assert net.loss == losses.get(losses.ALIASES[name])
    assert net.get_config()["loss"]["name"] == losses.ALIASES[name]


@pytest.mark.parametrize(
    ("name", "ours"),
    [("linear", "identity"), ("swish", "silu"), ("exponential", "exp"), ("logistic", "sigmoid")],
)
def test_aliases_of_activations(name, ours):
    assert Dense(2, name) == Dense(2, ours)


def test_aliases_of_metrics_keep_their_names_in_the_logs():
    net = network("cross_entropy")
    history = net.fit(X, [0, 1, 0, 1], metrics=["acc"], validation_data=(X, [0, 1, 0, 1]))
    assert list(history.history) == ["loss", "acc", "val_loss", "val_acc"]
    found = network().evaluate(X, Y, metrics=["mean_squared_error", "mean_absolute_error", "mse"])
    assert list(found) == ["loss", "mean_squared_error", "mean_absolute_error", "mse"]
    assert found["mean_squared_error"] == found["mse"]


def test_aliases_have_the_values_of_keras():
    keras = pytest.importorskip("keras", exc_type=ImportError)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 3))
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    t = np.eye(3)[rng.integers(0, 3, 50)]
    ours = MLP(3, [Dense(3, "softmax")], loss="categorical_crossentropy", optimizer="sgd",
               dtype="float64")  # fmt: skip
    ours.set_weights([np.eye(3), np.zeros(3)])
    theirs = np.mean(keras.losses.categorical_crossentropy(t, p).tolist())
    assert ours.evaluate(y, t) == pytest.approx(theirs, rel=1e-6)
    for name, alias in metrics.ALIASES.items():
        if name != "acc":
            value = np.mean(getattr(keras.losses, name)(t, y).tolist())
            assert metrics.get(alias)(t, y) == pytest.approx(value, rel=1e-6)
    for name in ("linear", "swish", "exponential"):
        a = getattr(keras.activations, name)(keras.ops.array(y)).tolist()
        net = MLP(3, [Dense(3, name)], loss="squared_error", optimizer="sgd", dtype="float64")
        net.set_weights([np.eye(3), np.zeros(3)])
        np.testing.assert_allclose(net.predict(y), a, rtol=1e-5)


# ---- arguments ----------------------------------------------------------------------------------

ARGUMENTS = [
    (Adam, {"lr": 0.1}, "the argument is learning_rate"),
    (Adam, {"betas": (0.9, 0.99)}, "beta_1 and beta_2"),
    (Adam, {"eps": 1e-7}, "the argument is epsilon"),
    (RMSProp, {"alpha": 0.9}, "rho"),
    (SGD, {"nesterovs_momentum": True}, "the argument is nesterov"),
    (SGD, {"decay": 1e-3}, "schedule"),
    (SGD, {"momentun": 0.9}, "did you mean 'momentum'?"),
    (Dense, {"kernel_regularizer": "l2"}, "l2=1e-4"),
    (Dense, {"in_features": 3, "out_features": 4}, "first argument of MLP"),
    (Dense, {"input_shape": (3,), "units": 3}, "first argument of MLP"),
    (Dense, {"units": 3, "kernel_initializer": "zeros"}, "the argument is initializer"),
    (Dense, {"units": 3, "lr_mult": 2.0}, "the argument is learning_rate_multiplier"),
    (Dense, {"units": 3, "bias": False}, "the argument is use_bias"),
    (Dense, {}, "Dense(64, 'relu')"),
    (Dropout, {"p": 0.5}, "the argument is rate"),
    (Dropout, {}, "Dropout(0.2)"),
    (LayerNorm, {"eps": 1e-3}, "the argument is epsilon"),
    (Standardize, {"axis": -1}, "leave it out"),
    (lambda **options: Activation("leaky_relu", **options), {"negative_slope": 0.2}, "alpha"),
    (CrossEntropy, {"from_logits": True}, "pre-activations"),
    (fastnn.Huber, {"label_smoothing": 0.1}, "CrossEntropy(label_smoothing=0.1)"),
    (CosineDecay, {"T_max": 3}, "decay_steps"),
    (OneCycle, {"max_lr": 3}, "max_learning_rate"),
    (EarlyStopping, {"verbose": 1}, "prints nothing"),
    (ModelCheckpoint, {"filepath": "a"}, "the argument is path"),
    (ModelCheckpoint, {"path": "a", "save_weights_only": True}, "whole network"),
    (ReduceLROnPlateau, {"threshold": 1e-3}, "min_delta"),
    (MLP, {"hidden_layer_sizes": (100,)}, "layers=[Dense(100, 'relu'), Dense(1)]"),
    (MLP, {"n_in": 3, "layers": [Dense(1)]}, "loss='squared_error'"),
    (MLP, {"n_in": 3, "layers": [Dense(1)], "loss": "huber"}, "optimizer='adam'"),
    (network, {"lr": 0.1}, "learning_rate=0.001"),
    (network, {"random_state": 0}, "seed"),
    (network, {"solver": "adam"}, "optimizer"),
    (network, {"alpha": 1e-4}, "l2"),
    (network, {"weight_decay": 1e-4}, "l2"),
    (network, {"max_iter": 100}, "fit"),
    (network, {"batch_size": 100}, "fit"),
    (network, {"early_stopping": True}, "EarlyStopping(patience=10)"),
    (network, {"metrics": ["accuracy"]}, "fit"),
    (network, {"dropout": 0.1}, "Dropout(0.2)"),
    (network, {"n_jobs": -1}, "n_threads"),
    (network, {"device": "cpu"}, "leave it out"),
    (network, {"input_dim": 3}, "MLP(n_in, layers, ...)"),
    (network, {"n_threads": -1}, "None means all CPUs"),
]  # fmt: skip
FIT_ARGUMENTS = [
    ({"n_epochs": 3}, "the argument is epochs"),
    ({"max_iter": 3}, "the argument is epochs"),
    ({"class_weights": {}}, "the argument is class_weight"),
    ({"eval_set": ()}, "the argument is validation_data"),
    ({"initial_epoch": 3}, "net.epoch"),
    ({"lr": 0.1}, "net.learning_rate"),
    ({"early_stopping": True}, "EarlyStopping(patience=10)"),
    ({"epoch": 3}, "did you mean 'epochs'?"),
    ({"verbose": 2}, "1 prints one line per epoch"),
    ({"verbose": "auto"}, "1 prints one line per epoch"),
    ({"batch_size": "auto"}, "None for all rows"),
    ({"callbacks": ["early_stopping"]}, "did you mean 'EarlyStopping'?"),
    ({"callbacks": [EarlyStopping]}, "pass an object of this class"),
]


@pytest.mark.parametrize(("call", "given", "hint"), ARGUMENTS)
def test_an_argument_of_another_library(call, given, hint):
    assert hint in message(lambda: call(**given))


@pytest.mark.parametrize(("given", "hint"), FIT_ARGUMENTS)
def test_an_argument_of_fit(given, hint):
    net = network()
    assert hint in message(lambda: net.fit(X, Y, **given))
    assert net.step == 0


@pytest.mark.parametrize(
    ("estimator", "given", "hint"),
    [
        ("MLPClassifier", "epochs", "the argument is max_iter"),
        ("MLPRegressor", "lr", "the argument is learning_rate_init"),
        ("MLPRegressor", "n_estimators", "it belongs to MLPEnsembleClassifier and"),
        ("MLPClassifier", "dropuot", "did you mean 'dropout'?"),
        ("MLPEnsembleRegressor", "n_estimators", "the argument is n_members"),
        ("MLPEnsembleClassifier", "n_jobs", "the argument is n_threads"),
        ("TabularClassifier", "n_estimators", "the argument is n_nets"),
        ("TabularRegressor", "early_stopping", "the validation rows always decide"),
    ],
)
def test_an_argument_of_other_estimators(estimator, given, hint):
    kind = getattr(pytest.importorskip("fastnn.sklearn"), estimator)
    found = message(lambda: kind(**{given: 1}))
    assert found.startswith(f"{estimator} has no argument {given!r}; ")
    assert hint in found
    assert kind(random_state=3).get_params()["random_state"] == 3


@pytest.mark.parametrize(
    ("estimator", "given", "hint"),
    [
        ("MLPSearchCV", {"param_grid": {}}, "has no argument 'param_grid'; the argument is params"),
        ("MLPSearchCV", {"params": {}, "n_candidates": 9}, "the argument is n_iter"),
        ("MLPSearchCV", {"params": {}, "n_jobs": 2}, "the argument is n_threads"),
        ("MLPSearchCV", {"params": {}, "stategy": "halving"}, "did you mean 'strategy'?"),
        ("MLPSearchCV", {}, "is missing the argument 'params'"),
        ("MLPByGroup", {"key": 0, "n_jobs": 2}, "the argument is n_threads"),
        ("MLPByGroup", {"by": 0}, "the argument is key"),
    ],
)
def test_an_argument_of_searches_and_groups(estimator, given, hint):
    module = pytest.importorskip("fastnn.sklearn")
    kind, net = getattr(module, estimator), module.MLPClassifier()
    found = message(lambda: kind(estimator=net, **given))
    assert found.startswith(f"{estimator} ")
    assert hint in found


def test_x_of_keras_fit():
    assert "the argument is X" in message(lambda: network().fit(x=X, y=Y))
    assert "leave it out" in message(lambda: network().evaluate(X, Y, verbose=0))


@pytest.mark.parametrize(
    ("n_in", "hint"), [((8, 8), "here 64"), ([Dense(1)], "layers after it"), ((), "number of")]
)
def test_a_shape_as_the_number_of_inputs(n_in, hint):
    call = lambda: MLP(n_in, [Dense(1)], loss="squared_error", optimizer="sgd")  # noqa: E731
    assert hint in message(call, TypeError)


def test_errors_from_within_a_call_pass_unchanged():
    """A TypeError that a callback raises in fit is no error of the call of fit."""

    class Wrong(Callback):
        def on_epoch_end(self, epoch, logs):
            len(3)

    with pytest.raises(TypeError, match="has no len"):
        network().fit(X, Y, callbacks=[Wrong()])


def test_signatures_are_those_of_the_functions():
    assert list(inspect.signature(Dense).parameters)[:2] == ["units", "activation"]
    assert "epochs" in inspect.signature(MLP.fit).parameters
    assert list(inspect.signature(MLP).parameters)[:2] == ["n_in", "layers"]


def test_a_class_of_a_user_keeps_its_own_arguments():
    class Mine(EarlyStopping):
        def __init__(self, level, **options):
            super().__init__(**options)
            self.level = level

    assert Mine(3, patience=2).patience == 2
    assert "prints nothing" in message(lambda: Mine(3, verbose=1))


# ---- attributes ---------------------------------------------------------------------------------

ATTRIBUTES = {
    "compile": "when it is built",
    "forward": "net.predict(X)",
    "predict_proba": "after a softmax or sigmoid",
    "score": "net.evaluate",
    "state_dict": "net.get_weights()",
    "coefs_": "net.get_weights()",
    "classes_": "net.classes",
    "load_weights": "fastnn.load(path)",
    "eval": "leave it out",
    "train": "net.fit(X, y) is the training loop",
    "partial_fit": "net.train_on_batch",
    "to": "stay on the CPU",
    "lr": "net.learning_rate",
    "count_params": "net.n_parameters",
    "history": "history.history",
    "loss_curve_": "history.history",
    "add": "are fixed",
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_another_library(name):
    net = network()
    assert ATTRIBUTES[name] in message(lambda: getattr(net, name), AttributeError)
    assert not hasattr(net, name)


@pytest.mark.parametrize(
    ("name", "hint"), [("lr", "net.learning_rate"), ("trainable", "net.freeze")]
)
def test_an_attribute_that_would_be_ignored_cannot_be_set(name, hint):
    assert hint in message(lambda: setattr(network(), name, 0), AttributeError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("trainable", "net.freeze"), ("learning_rate", "net.learning_rate"), ("units", "another")],
)
def test_a_field_of_a_specification_cannot_be_set(name, hint):
    owner = Adam() if name == "learning_rate" else Dense(3)
    assert hint in message(lambda: setattr(owner, name, 3), AttributeError)


def test_other_attributes_get_pythons_suggestion():
    with pytest.raises(AttributeError) as caught:
        network().predct  # noqa: B018
    assert (caught.value.name, type(caught.value.obj)) == ("predct", MLP)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Sequential", "MLP(n_in"),
        ("Linear", "use Dense"),
        ("BatchNormalization", "LayerNorm()"),
        ("RMSprop", "did you mean 'RMSProp'?"),
        ("Nadam", "did you mean 'NAdam'?"),
        ("MSELoss", "use 'squared_error'"),
        ("StepLR", "StepDecay"),
        ("load_model", "fastnn.load"),
        ("MLPClassifier", "fastnn.sklearn"),
    ],
)
def test_a_name_of_the_package(name, hint):
    assert hint in message(lambda: getattr(fastnn, name), AttributeError)


@pytest.mark.parametrize(
    ("module", "name", "hint"),
    [
        ("losses", "MeanSquaredError", "use 'squared_error'"),
        ("optimizers", "Adamax", "use 'adam'"),
        ("optimizers", "RMSprop", "did you mean 'RMSProp'?"),
        ("layers", "BatchNormalization", "use LayerNorm()"),
        ("metrics", "AUC", "use 'roc_auc'"),
        ("activations", "relu", "did you mean 'relu'?"),
        ("initializers", "XavierUniform", "use 'glorot_uniform'"),
        ("schedules", "StepLR", "use StepDecay"),
        ("schedules", "MultiStepLR", "use PiecewiseConstantDecay"),
        ("callbacks", "LambdaCallback", "derive a class"),
    ],
)
def test_a_name_of_a_module(module, name, hint):
    owner = importlib.import_module(f"fastnn.{module}")
    assert hint in message(lambda: getattr(owner, name), AttributeError)
    assert not hasattr(owner, name)


@pytest.mark.parametrize(
    ("name", "hint"), [("get_weights", "net.get_weights()"), ("out_features", "layer.units")]
)
def test_an_attribute_of_a_layer(name, hint):
    assert hint in message(lambda: getattr(Dense(3), name), AttributeError)
    assert not hasattr(Dropout(0.5), name)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: MLP(3, [Dense(1)], "squared_error", "adam"), "such as loss=..."),
        (lambda: network().fit(X, Y, 10), "MLP.fit takes X and y by position"),
        (lambda: EarlyStopping("loss", 3), "takes monitor by position, but 2"),
    ],
)
def test_too_many_arguments_by_position(call, hint):
    assert hint in message(call, TypeError)


# ---- all public names of the libraries -----------------------------------------------------------

#: Names in the modules of libraries that are no losses, activations, ...
OTHERS = {
    "deserialize", "get", "serialize", "Loss", "Metric", "Optimizer", "Initializer", "legacy",
    "schedules", "LearningRateSchedule", "OptimizerMap", "Callback", "History", "TensorBoard",
    "Module", "F", "Parameter", "Tensor", "NonDynamicallyQuantizableLinear", "torch", "warnings",
    "constant_", "xavier_normal_", "xavier_uniform_", "LRScheduler", "T_destination",
}  # fmt: skip


def public(module, suffix=""):
    """Return the public names of a module that end with the suffix."""
    found = (name for name in dir(module) if not name.startswith("_") and name.endswith(suffix))
    return sorted(set(found) - OTHERS)


def unhelpful(found, call):
    """Return the names that neither are accepted nor get a hint from the tables."""
    bad = []
    for name in found:
        try:
            call(name)
        except (TypeError, ValueError, AttributeError) as error:
            if not re.search(r"; (?!did you mean)|needs|Python", str(error).split("got ", 1)[-1]):
                same = re.search(r"did you mean '(\w+)'", str(error))
                if not same or names.plain(same[1]) != names.plain(name).removesuffix("loss"):
                    bad.append(name)
    return bad


def loss(name):
    losses.get(name)


def optimizer(name):
    network(optimizer=name)


def initializer(name):
    Dense(2, initializer=name)


def metric(name):
    metrics.get(name)


def attribute(name):
    getattr(network(), name)


def test_every_name_of_keras():
    keras = pytest.importorskip("keras", exc_type=ImportError)
    assert unhelpful(public(keras.losses), loss) == []
    assert unhelpful(public(keras.activations), activations.get) == []
    assert unhelpful(public(keras.optimizers), optimizer) == []
    assert unhelpful(public(keras.optimizers.schedules), SGD) == []
    assert unhelpful(public(keras.initializers), initializer) == []
    assert unhelpful(public(keras.metrics), metric) == []
    known = [n for n in public(keras.callbacks) if not hasattr(fastnn, n)]
    assert [name for name in known if names.plain(name) not in names.CALLBACKS] == []


def test_every_name_of_torch():
    torch = pytest.importorskip("torch")
    assert unhelpful(public(torch.nn, "Loss"), loss) == []
    assert unhelpful(public(torch.nn.modules.activation), activations.get) == []
    rules = [n for n in public(torch.optim) if inspect.isclass(getattr(torch.optim, n))]
    assert unhelpful(rules, optimizer) == []
    assert unhelpful(public(torch.optim.lr_scheduler, "LR"), SGD) == []
    assert unhelpful(public(torch.nn.init, "_"), initializer) == []


def test_every_name_of_scikit_learn():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    neural = pytest.importorskip("sklearn.neural_network")
    assert unhelpful(sklearn_metrics.get_scorer_names(), metric) == []
    known = {*arguments.ARGUMENTS["MLP"], *map(names.plain, inspect.signature(MLP).parameters)}
    wanted = inspect.signature(neural.MLPClassifier).parameters
    assert [name for name in wanted if names.plain(name) not in known] == []
    missing = {"fit", "predict", "get_metadata_routing"}
    attributes = [n for n in public(neural.MLPClassifier) if not n.startswith("set_")]
    assert unhelpful({*attributes} - missing, attribute) == []


def test_arguments_of_keras_and_torch():
    """Every argument of their layers, optimizers, callbacks and fit is ours, too, or has a hint."""
    keras, torch = pytest.importorskip("keras", exc_type=ImportError), pytest.importorskip("torch")
    pairs = [
        (Dense, keras.layers.Dense), (Dense, torch.nn.Linear),
        (Dropout, keras.layers.Dropout), (Dropout, torch.nn.Dropout),
        (EarlyStopping, keras.callbacks.EarlyStopping),
        (ModelCheckpoint, keras.callbacks.ModelCheckpoint),
        (fastnn.CSVLogger, keras.callbacks.CSVLogger),
        (ReduceLROnPlateau, keras.callbacks.ReduceLROnPlateau),
        (MLP.fit, keras.Model.fit), (MLP.evaluate, keras.Model.evaluate),
        (CrossEntropy, keras.losses.CategoricalCrossentropy),
        (CrossEntropy, torch.nn.CrossEntropyLoss),
    ]  # fmt: skip
    missing = []
    for ours, theirs in pairs:
        owners = [base.__name__ for base in getattr(ours, "__mro__", ())] or [ours.__qualname__]
        known = {names.plain(n) for n in inspect.signature(ours).parameters}
        for owner in owners:
            known |= arguments.ARGUMENTS.get(owner, {}).keys()
        wanted = {*inspect.signature(theirs).parameters} - {"self", "kwargs", "device", "dtype"}
        missing += [(owners[0], n) for n in wanted if names.plain(n) not in known]
    assert missing == []


# ---- the tables themselves -----------------------------------------------------------------------

TABLES = {
    **{k: v for k, v in vars(names).items() if k.isupper() and isinstance(v, dict)},
    "ATTRIBUTES": arguments.ATTRIBUTES,
    "LAYER_ATTRIBUTES": arguments.LAYER_ATTRIBUTES,
    "PACKAGE": arguments.PACKAGE,
    **{f"ARGUMENTS-{k}": v for k, v in arguments.ARGUMENTS.items()},
    **{f"NEEDED-{k}": v for k, v in arguments.NEEDED.items()},
}
CALL = re.compile(r"\b((?:MLP|net|fastnn)\.[\w.]+|[A-Z]\w+)(?=\()")


@pytest.mark.parametrize("owner", arguments.NEEDED)
def test_what_to_pass_is_known_for_arguments_that_exist(owner):
    known = inspect.signature(getattr(fastnn, owner)).parameters
    assert [name for name in arguments.NEEDED[owner] if name not in known] == []


@pytest.mark.parametrize("table", TABLES)
def test_hints_name_what_exists(table):
    net = network()
    for hint in TABLES[table].values():
        for found in CALL.findall(hint):
            root, *path = found.split(".")
            owner = {"MLP": MLP, "net": net, "fastnn": fastnn}.get(root) or getattr(fastnn, root)
            for name in path:
                owner = getattr(owner, name)


@pytest.mark.parametrize("table", TABLES)
def test_hints_have_the_form_of_the_end_of_a_sentence(table):
    for hint in TABLES[table].values():
        assert not hint.endswith((".", ";")), hint
        assert hint.count("(") == hint.count(")"), hint


def test_calls_in_hints_run():
    """Hints with a whole specification, such as Adam(beta_1=0.9, beta_2=0.999)."""
    own = {name: getattr(fastnn, name) for name in fastnn.__all__}
    count = 0
    for table in TABLES.values():
        for hint in table.values():
            for found in re.findall(r"(?<![\w.])[A-Z]\w+\([^()]*\)", hint):
                free = {n.id for n in ast.walk(ast.parse(found)) if isinstance(n, ast.Name)}
                if free <= own.keys() and "..." not in found:
                    eval(found, dict(own))
                    count += 1
    assert count > 50


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (names.LOSSES, losses.NAMES),
        (names.ACTIVATIONS, activations.NAMES),
        (names.OPTIMIZERS, optimizers.NAMES),
        (names.INITIALIZERS, initializers.NAMES),
        (names.INITIALIZERS_OF_BIASES, initializers.OF_BIASES),
        (names.METRICS, metrics.NAMES),
    ],
)
def test_no_hint_is_for_a_name_of_our_own(table, options):
    assert [
        name for name in options if names.plain(name) in table and name != "binary_cross_entropy"
    ] == []  # which Keras spells in the same letters
