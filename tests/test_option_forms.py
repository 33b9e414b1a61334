"""Options that are names, and numbers and flags, in every form that Python and numpy have of them.

Tests that an option may be a str, numpy's str_ or a member of a str enum, and that the plain str is
kept; that numbers and flags may be numpy's; and that the tables below have every such parameter of
the public API. Not here: values out of range (test_bad_input.py).
"""

import enum
import inspect
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from conditions import LONG

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activation,
    Adam,
    CSVLogger,
    CustomLoss,
    Dense,
    Dropout,
    EarlyStopping,
    Ensemble,
    F1Score,
    Huber,
    LayerNorm,
    ModelCheckpoint,
    OneCycle,
    ProgressBar,
    Quantile,
    ReduceLROnPlateau,
    TopKAccuracy,
    activations,
    callbacks,
    initializers,
    kernels,
    losses,
    metrics,
    optimizers,
    schedules,
    tables,
)

X = np.linspace(-1, 1, 24).reshape(8, 3)
LABELS = np.arange(8) % 2
ONES = np.ones((1, 2), np.float32)
TARGET = {"cross_entropy": [0], "gaussian_nll": ONES[:, :1]}  # of one row of two outputs


def in_forms(name):
    """Return a name as numpy's string, and as a member of both kinds of str enums."""
    mixed = enum.Enum("Mixed", {"MEMBER": name}, type=str)
    return [np.str_(name), mixed.MEMBER, enum.StrEnum("Plain", {"MEMBER": name}).MEMBER]


def network(output="identity", **options):
    settings = {"loss": "squared_error", "optimizer": "sgd", "seed": 0, **options}
    return MLP(3, [Dense(4, "tanh"), Dense(2, output)], **settings)


def output_of(loss):
    return (losses.get(loss).outputs or ["identity"])[0]


def classifier(**options):
    """Return the history of a classifier and its weights."""
    net = network("softmax", loss="cross_entropy")
    history = net.fit(X, LABELS, epochs=2, **options).history
    return history, [w.tolist() for w in net.get_weights()]


def many(**options):
    """Return two networks that were trained in one call."""
    return fastnn.fit_many(fastnn.networks(network(), n=2), X, X[:, :2], **options)


def recipe(**options):
    table = tables.Table("here", 8, {"a": tables.Column("a", "number", X[:, 0]),
                                     "y": tables.Column("y", "number", X[:, 1])})  # fmt: skip
    return tables.learn(table, "y", "regression", None, np.arange(8), **options)


def first_column(**form):
    """Return the first column of a small text file that is read with these options."""
    pytest.importorskip("polars")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "table.csv")
        path.write_text("a;b\n1;2\n3;4\n")
        return tables.read(path, **form).columns["a"].values.tolist()


def updated(name):
    W = ONES.copy()
    kernels.update(W, None, ONES[:, :1], ONES, name)
    return W.tolist()


def converted_layers(**options):
    torch = pytest.importorskip("torch")
    net = fastnn.from_torch(torch.nn.Sequential(torch.nn.Linear(3, 2)), **options)
    return net.get_config()


# ---- names --------------------------------------------------------------------------------------

#: By parameter: the names that it takes, and a function that returns what becomes of one.
NAMES = {
    "activation": (activations.HIDDEN, lambda a: [Dense(4, a), Activation(a).config()]),
    "activation of kernels": (
        activations.HIDDEN,
        lambda a: [kernels.forward(ONES, ONES.T, None, a)[1].tolist(),
                   kernels.delta(ONES, a, ONES.T, ONES[:, :1]).tolist()]),
    "by": (["loss"], lambda b: [many().best(b), many().values(b).tolist()]),
    "on_error": (["raise", "record"], lambda e: many(on_error=e).statuses),
    "reduce": (["mean", "std"], lambda r: many().predict(X, r).tolist()),
    "class_weight": (["balanced"], lambda c: classifier(class_weight=c)),
    "dtype": (["float32", "float64"], lambda d: network(dtype=d).get_config()),
    "adapters": (["first", "all"], lambda a: Ensemble(2, [Dense(2)], adapters=a)),
    "bias_initializer": (
        initializers.OF_BIASES, lambda i: Dense(4, bias_initializer=i)),
    "initializer": (initializers.NAMES, lambda i: Dense(4, initializer=i)),
    "loss": (losses.NAMES, lambda n: network(output_of(n), loss=n).get_config()),
    "loss of kernels": (
        losses.NAMES,
        lambda n: kernels.output_delta(
            ONES, TARGET.get(n, ONES), n, output_of(n))[1].tolist()),
    "average": (["binary", "macro"], lambda a: [F1Score(a), classifier(metrics=F1Score("macro"))]),
    "metric": (metrics.NAMES, lambda m: metrics.get(m).name),
    "metrics": (["accuracy"], lambda m: classifier(metrics=[m])),
    "metrics by name": (["mine"], lambda m: classifier(metrics={m: "accuracy"})),
    "mode": (["auto", "min", "max"], lambda m: [EarlyStopping(mode=m).mode,
                                                ModelCheckpoint("net", mode=m).mode,
                                                ReduceLROnPlateau(mode=m).mode]),
    "mode of show_config": (["dicts"], lambda m: sorted(fastnn.show_config(m))),
    "monitor": (["loss", "val_loss"], lambda m: [EarlyStopping(m).monitor,
                                                 ModelCheckpoint("net", m).monitor,
                                                 ReduceLROnPlateau(m).monitor]),
    "optimizer": (optimizers.NAMES, lambda o: network(optimizer=o).get_config()),
    "optimizer of kernels": (optimizers.NAMES, updated),
    "output": (["identity", "sigmoid"], lambda o: converted_layers(output=o)),
    "per": (["step", "epoch"], lambda p: [schedules.StepDecay(0.1, 2, per=p),
                                          schedules.LinearWarmup(0.1, 2, per=p),
                                          OneCycle(0.1, 9, per=p)]),
    "targets": (["real", "any"], lambda t: CustomLoss(divmod, targets=t).config()),
    "reduction": (["mean", "sum"], lambda r: network(reduction=r).get_config()),
    "separator": ([",", ";"], lambda s: CSVLogger("log", s).separator),
    "path": (["net"], lambda p: [ModelCheckpoint(p).path, CSVLogger(p).path]),
    "feature_names": (["a"], lambda n: named([n, "b", "c"])),
    "metadata": (["a"], lambda n: named(None, {"name": [n]})),
    "unknown": (["error", "missing"], lambda u: recipe().encode(
        tables.Table("here", 1, {"a": tables.Column("a", "number", X[:1, 0])}), u)
        .matrix(None, np.float32).tolist()),
    "codes": (["plain", "rich"], lambda c: str(recipe(codes=c).columns)),
    "decimal": ([".", ","], lambda d: first_column(decimal=d)),
    "encoding": (["utf-8", "latin-1"], lambda e: first_column(encoding=e)),
    "separator of tables": ([";"], lambda s: first_column(separator=s)),
    "log_name": (["val_accuracy", "loss"], metrics.higher_is_better),
}  # fmt: skip


def named(names, metadata=None):
    """Return what a network has of names and of data, in itself and as its file has it."""
    net = network()
    net.feature_names, net.metadata = names, metadata or {}
    return net.feature_names, json.loads(json.dumps(net.metadata))


CASES = [(parameter, name) for parameter, (names, _) in NAMES.items() for name in names]


def is_plain(value):
    """Whether every text in a result is a str, of no other class."""
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if hasattr(value, "__dataclass_fields__"):
        return all(is_plain(getattr(value, name)) for name in value.__dataclass_fields__)
    return not isinstance(value, str) or type(value) is str


@pytest.mark.parametrize(("parameter", "name"), CASES)
def test_a_name_in_any_form_is_the_plain_name(parameter, name):
    call = NAMES[parameter][1]
    expected = call(name)
    for form in in_forms(name):
        found = call(form)
        assert found == expected
        assert is_plain(found)


@pytest.mark.parametrize("form", range(3))
def test_a_network_of_such_names_trains_to_the_same_bits_and_is_saved(form, tmp_path):
    """And so every grid made of numpy's arrays works."""

    def built(name):
        layers = [Dense(4, name("relu"), initializer=name("he_uniform")), Dense(2, name("softmax"))]
        optimizer = SGD(schedules.StepDecay(0.1, 2, per=name("epoch")))
        net = MLP(3, layers, loss=name("cross_entropy"), optimizer=optimizer,
                  reduction=name("sum"), dtype=name("float64"), seed=0)  # fmt: skip
        net.fit(X, LABELS, epochs=3, metrics=[name("accuracy")], class_weight=name("balanced"),
                callbacks=[EarlyStopping(name("loss"), mode=name("min"))])  # fmt: skip
        return net

    plain, net = built(str), built(lambda name: in_forms(name)[form])
    net.save(tmp_path / "net")
    for twin in (net, fastnn.load(tmp_path / "net")):
        assert twin.get_config() == plain.get_config()
        assert all(map(np.array_equal, twin.get_weights(), plain.get_weights()))


def test_estimators_take_such_names():
    from fastnn.sklearn import MLPClassifier

    options = {"activation": "tanh", "solver": "adam", "learning_rate": "constant"}
    plain = MLPClassifier(random_state=0, max_iter=300, **options).fit(X, LABELS)
    for forms in zip(*map(in_forms, options.values()), strict=True):
        named = dict(zip(options, forms, strict=True))
        found = MLPClassifier(random_state=0, max_iter=300, **named).fit(X, LABELS)
        assert all(map(np.array_equal, found.coefs_, plain.coefs_))


# ---- numbers and flags --------------------------------------------------------------------------

INTEGERS, FLOATS = [np.int8, np.int64, np.uint16, np.intp], [np.float16, np.float32, np.longdouble]

#: By parameters: numbers or flags that both forms can hold, numpy's types, and what becomes of one.
NUMBERS = {
    "units, n_in, n_threads, seed": (
        2, INTEGERS, lambda n: MLP(n, [Dense(n)], loss="squared_error", optimizer="sgd", seed=n,
                                   n_threads=n).get_config()),
    "batch_size, verbose, n_threads": (
        1, INTEGERS, lambda n: classifier(batch_size=n, verbose=0 * n, n_threads=n)),
    "steps_per_epoch": (
        2, INTEGERS, lambda n: network().fit([(X, X[:, :2])] * 4, steps_per_epoch=n).history),
    "patience, period": (2, INTEGERS, lambda n: [
        EarlyStopping(patience=n).patience, ReduceLROnPlateau(patience=n, cooldown=n).cooldown,
        ModelCheckpoint("net", period=n).period]),
    "k": (2, INTEGERS, lambda n: [TopKAccuracy(n), classifier(metrics=TopKAccuracy(n))]),
    "hyper-parameters": (0.5, FLOATS, lambda x: [
        SGD(x, momentum=x), Adam(x, beta_1=x, beta_2=x, epsilon=x, clipnorm=x),
        Dense(2, l1=x, l2=x), Dropout(x), LayerNorm(x), Huber(x), Quantile(x), Quantile([x, x]),
        Activation("elu", x)]),
    "parameters of schedules": (0.5, FLOATS, lambda x: [
        schedules.ExponentialDecay(x, 2, x), schedules.CosineDecay(x, 2, alpha=x),
        schedules.InverseScaling(x, x), schedules.LinearWarmup(x, 2)]),
    "validation_split, class_weight": (0.5, FLOATS, lambda x: classifier(
        validation_split=x, class_weight={0: x, 1: 1.0}, batch_size=2)),
    "learning_rate": (0.5, FLOATS, lambda x: with_attribute("learning_rate", x).get_config()),
    "flags": (True, [np.bool_], lambda b: [
        Dense(2, use_bias=b, trainable=b), SGD(nesterov=b, momentum=0.5),
        Adam(amsgrad=b, use_ema=b),
        CSVLogger("log", append=b).append, ModelCheckpoint("net", save_best_only=b).save_best_only,
        EarlyStopping(restore_best_weights=b).restore_best_weights, ProgressBar(b).show,
        network(scale_penalties=b).scale_penalties, classifier(shuffle=b)]),
    "stop_training": (True, [np.bool_], lambda b: with_attribute("stop_training", b).stop_training),
    "output": (1, INTEGERS, lambda n: network().input_gradients(X, output=n).tolist()),
}  # fmt: skip


def with_attribute(name, value):
    net = network()
    setattr(net, name, value)
    return net


@pytest.mark.parametrize("parameters", NUMBERS)
def test_numbers_and_flags_may_be_numpys(parameters):
    value, kinds, call = NUMBERS[parameters]
    expected = call(value)
    for kind in kinds:
        found = call(kind(value))
        assert found == expected
        assert "np." not in repr(found)


# ---- the tables are complete --------------------------------------------------------------------

#: Parameters whose texts are no names of options: data, paths that other tests are about, ...
OTHERS = {"function", "columns", "config", "drop", "endings", "ignored", "kinds", "levels",
          "missing", "only", "others",
          "replaced", "resolved", "state", "target", "text", "texts", "name", "kind", "task",
          "input_name", "output_name", "value", "names", "notes", "message", "axes", "parameters",
          "logs", "place", "thousands"}  # fmt: skip


def parameters_of_texts(module):
    """Yield the name of each parameter of a module's functions that may be a str, but no path."""
    for name, public in vars(module).items():
        if name.startswith("_") or not getattr(public, "__module__", "").startswith("fastnn"):
            continue
        methods = vars(public).items() if inspect.isclass(public) else ()
        functions = [public, *(getattr(m, "__func__", m) for n, m in methods if n[0] != "_")]
        is_error = inspect.isclass(public) and issubclass(public, Exception)
        for function in () if is_error else filter(callable, functions):
            for parameter in inspect.signature(function).parameters.values():
                if "str" in (kind := str(parameter.annotation)) and "PathLike" not in kind:
                    yield parameter.name


@pytest.mark.parametrize("module", [fastnn, callbacks, kernels, metrics, tables], ids=str)
def test_every_option_that_is_a_name_has_a_case(module):
    known = {parameter.partition(" ")[0] for parameter in NAMES} | OTHERS
    assert set(parameters_of_texts(module)) - known == set()


# ---- without docstrings -------------------------------------------------------------------------

MODULES = """
import importlib, pkgutil, fastnn
for found in pkgutil.walk_packages(fastnn.__path__, "fastnn."):
    if not found.name.endswith(("__main__", "_peer")):
        importlib.import_module(found.name)
from fastnn.sklearn import MLPRegressor
model = MLPRegressor(max_iter=1).fit([[0.0], [1.0]], [0.0, 1.0])
print(model, model.predict([[0.0]]).shape)
"""


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_every_module_works_without_assertions_and_docstrings(option):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", option, "-c", MODULES],
        capture_output=True, encoding="utf-8", timeout=LONG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "MLPRegressor(max_iter=1) (1,)\n"
