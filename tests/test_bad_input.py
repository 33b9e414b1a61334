"""Invalid values in every argument of the public API, and unusual values that are valid.

Tests that an invalid argument raises TypeError or ValueError, that the message names the argument,
the value (or its shape) and a remedy, and that the network is then unchanged: weights, moments,
step and random state, bit by bit. Unusual forms of valid values (lists, NumPy scalars, pandas,
float16, ...) must give the same bits as the usual ones.

Not here: memory layouts and dtypes (test_layouts.py), sizes beyond memory (test_sizes.py).
"""

import copy
import dataclasses
import decimal
import fractions
import functools
import inspect
import os
import pickle
import re
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from comparing import refuses

import fastnn
from fastnn import (
    MLP,
    SGD,
    Activation,
    Adagrad,
    Adam,
    AdamW,
    Adaptive,
    BinaryCrossEntropy,
    Callback,
    CosineDecay,
    CosineDecayRestarts,
    CrossEntropy,
    Dense,
    Dropout,
    ExponentialDecay,
    Huber,
    InverseScaling,
    LinearWarmup,
    Lion,
    NAdam,
    OneCycle,
    PiecewiseConstantDecay,
    Poisson,
    Quantile,
    Residual,
    RMSProp,
    ScheduleFreeAdamW,
    SquaredError,
    Standardize,
    StepDecay,
    _kernels_f32,
    check_gradients,
    kernels,
    losses,
)

NAN, INF, BEYOND_FLOAT = float("nan"), float("inf"), 10**400

X = (np.arange(18, dtype=np.float32).reshape(6, 3) % 5) / 4
Y = np.linspace(0, 1, 12, dtype=np.float32).reshape(6, 2)
LABELS = np.array([0, 1, 1, 0, 1, 0])


def network(output, loss, **options):
    """A network 3-4-2 in the middle of its training, so that moments and step are not 0."""
    layers = [Dense(4, "tanh", l2=1e-3), Dropout(0.25), Dense(2, output)]
    net = MLP(3, layers, loss=loss, **{"optimizer": "adam", "seed": 0, **options})
    net.fit(X, good_y(net), batch_size=2)
    return net


def good_y(net):
    return LABELS if net.loss.targets == "class" else Y


regressor = functools.partial(network, "identity", "squared_error")
classifier = functools.partial(network, "softmax", "cross_entropy")
detector = functools.partial(network, "sigmoid", "binary_cross_entropy")
counter = functools.partial(network, "softplus", "poisson")


def case(id, *values):
    return pytest.param(*values, id=id)


def leaves_as_it_was(net, error, fragments, call):
    """Check in addition that the network is unchanged, bit for bit."""
    before = pickle.dumps(net)
    refuses(error, fragments, lambda: call(net))
    assert pickle.dumps(net) == before


def altered(array, index, value):
    array = np.array(array, np.float64)
    array[index] = value
    return array


class BrokenArray:
    def __array__(self, dtype=None, copy=None):
        raise ValueError("no memory behind this")


class OnAnotherDevice:
    def __dlpack__(self, **kwargs):
        raise BufferError("the memory is on another device")

    def __dlpack_device__(self):
        return 2, 0


# ---- what no array of numbers is: the same for X, y, sample_weight and weights -------------------

NOT_NUMBERS = [
    case("none", None, ["objects", "convert"]),
    case("objects", np.full((6, 3), None), ["objects", "convert"]),
    case("complex", np.full((6, 3), 1j), ["complex", "convert"]),
    case("text", np.full((6, 3), "1"), ["text", "convert"]),
    case("one-text", "0, 1, 2", ["text", "convert"]),
    case("bytes", np.full((6, 3), b"1"), ["bytes", "convert"]),
    case("dates", np.zeros((6, 3), "M8[s]"), ["datetime64[s]", "convert"]),
    case("durations", np.zeros((6, 3), "m8[s]"), ["timedelta64[s]", "convert"]),
    case("records", np.zeros(6, "f4,f4"), ["values of type", "convert"]),
    case("ragged", [[1.0, 2.0, 3.0], [1.0, 2.0]], ["cannot be read as an array", "inhomogeneous"]),
    case("generator", (row for row in X), ["iterable", "pass list("]),
    case("dict", {"a": [1.0, 2.0]}, ["objects", "convert"]),
    case("set", {1.0, 2.0}, ["iterable", "pass list("]),
    case("function", len, ["objects", "convert"]),
    case("broken-array", BrokenArray(), ["cannot be read as an array", "no memory behind this"]),
    case("other-device", OnAnotherDevice(), ["cannot be read as an array", "another device"]),
    case("sparse-matrix", scipy.sparse.csc_matrix(X), ["sparse", ".toarray()"]),
    case("sparse-array", scipy.sparse.coo_array(X), ["sparse", ".toarray()"]),
    case("pandas-text", pd.DataFrame({"a": ["x", "y"]}), ["objects", "convert"]),
    case("pandas-dates", pd.Series(pd.to_datetime(["2020-01-01"])), ["datetime64", "convert"]),
    case("polars-lazy", pl.DataFrame({"a": [1.0]}).lazy(), ["is lazy", ".collect()"]),
]


def test_text_has_a_remedy_for_its_place():
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd")
    frame = pd.DataFrame({0: [1.0, 2.0], 1: ["a", "b"]})
    with pytest.raises(TypeError, match=r"^X must .*\(column 1\).*fastnn\.tables\.prepare"):
        net.fit(frame, [1.0, 2.0])
    with pytest.raises(TypeError, match=r"^y must .* loss for classes, such as 'cross_entropy'"):
        net.fit([[1.0, 2.0], [3.0, 4.0]], ["a", "b"])


@pytest.mark.parametrize("labels", [(1, 2), (-1, 1), (3, 7)])
@pytest.mark.parametrize(
    ("units", "output", "loss"),
    [(2, "softmax", "cross_entropy"), (1, "sigmoid", "binary_cross_entropy")],
)
def test_labels_that_may_be_those_of_classes(units, output, loss, labels):
    net = MLP(1, [Dense(units, output)], loss=loss, optimizer="sgd")
    remedy = re.escape(f"set net.classes = {labels}")
    with pytest.raises(ValueError, match=remedy + "$"):
        net.fit([[1.0], [2.0]], labels)
    net.classes = labels
    net.fit([[1.0], [2.0]], labels)


FIT_LIKE = {
    "fit": lambda net, X, y, w=None: net.fit(X, y, sample_weight=w),
    "validation": lambda net, *data: net.fit(X, good_y(net), validation_data=data),
    "train_on_batch": lambda net, X, y, w=None: net.train_on_batch(X, y, w),
    "evaluate": lambda net, X, y, w=None: net.evaluate(X, y, w),
    "loss_and_gradients": lambda net, X, y, w=None: net.loss_and_gradients(X, y, w),
    "check_gradients": lambda net, X, y, w=None: check_gradients(net, X, y, w, n_samples=1),
}
TAKES_X = {**FIT_LIKE, "predict": lambda net, X, y: net.predict(X)}


@pytest.mark.parametrize(("value", "fragments"), NOT_NUMBERS)
@pytest.mark.parametrize("method", TAKES_X)
def test_x_that_is_not_numeric(method, value, fragments):
    call = TAKES_X[method]
    if hasattr(value, "tocsr"):
        fragments = [*fragments, ".tocsr()"]
    if method == "fit" and isinstance(value, types.GeneratorType):
        fragments = ["iterable", "leave y out"]
    if value is None:
        fragments = ["is None", "pass rows of shape (n, 3)"]
    leaves_as_it_was(regressor(), TypeError, ["X ", *fragments], lambda net: call(net, value, Y))


@pytest.mark.parametrize(("value", "fragments"), NOT_NUMBERS)
@pytest.mark.parametrize("method", FIT_LIKE)
def test_y_that_is_not_numeric(method, value, fragments):
    call = FIT_LIKE[method]
    if value is None:
        fragments = ["is None", "give the targets"]
    leaves_as_it_was(regressor(), TypeError, ["y ", *fragments], lambda net: call(net, X, value))


@pytest.mark.parametrize(("value", "fragments"), NOT_NUMBERS[1:])
@pytest.mark.parametrize("method", FIT_LIKE)
def test_sample_weight_that_is_not_numeric(method, value, fragments):
    call, wanted = FIT_LIKE[method], ["sample_weight ", *fragments]
    leaves_as_it_was(regressor(), TypeError, wanted, lambda net: call(net, X, Y, value))


@pytest.mark.parametrize(("value", "fragments"), NOT_NUMBERS)
def test_weights_that_are_not_numeric(value, fragments):
    def call(net):
        net.set_weights([*net.get_weights()[:2], value, net.get_weights()[3]])

    leaves_as_it_was(regressor(), TypeError, ["weights[2] ", *fragments], call)


# ---- X ------------------------------------------------------------------------------------------

WITH_NONE = {"a": [1, None], "b": [0, 1], "c": [1, 1]}
BAD_X = [
    case("nan", altered(X, (1, 2), NAN), ["X[1, 2] is nan", "replace or drop"]),
    case("inf", altered(X, (5, 0), INF), ["X[5, 0] is inf", "replace or drop"]),
    case("minus-inf", altered(X, (0, 1), -INF), ["X[0, 1] is -inf", "replace or drop"]),
    case("nan-list", [[0.0, NAN, 1.0]] * 6, ["X[0, 1] is nan", "replace or drop"]),
    case("nan-pandas", pd.DataFrame(altered(X, (2, 2), NAN)), ["X[2, 2] is nan", "drop"]),
    case("missing-pandas", pd.DataFrame(WITH_NONE, dtype="Int64"), ["X[1, 0] is nan", "drop"]),
    case("missing-polars", pl.DataFrame(WITH_NONE), ["X[1, 0] is nan", "drop"]),
    case("beyond-float64", np.full((6, 3), np.longdouble("1e400")), ["X[0, 0] is 1e+400", "scale"]),
    case("no-rows", X[:0], ["X has no rows", "at least one"]),
    case("no-columns", X[:, :0], ["X has 0 columns", "takes 3", "reshape"]),
    case("few-columns", X[:, :2], ["X has 2 columns", "takes 3", "MLP(2, ...)"]),
    case("more-columns", np.ones((6, 784)), ["X has 784 columns", "takes 3", "MLP(784, ...)"]),
    case("transposed", X.T, ["X has 6 columns", "takes 3", "MLP(6, ...)"]),
    case("0-d", 1.5, ["X has 0 dimensions (shape ())", "must have 2", "reshape(1, -1)"]),
    case("1-d", X[0], ["X has 1 dimension (shape (3,))", "reshape(1, -1)", "reshape(-1, 1)"]),
    case("1-d-long", X.ravel(), ["X has 1 dimension (shape (18,))", "reshape(1, -1)"]),
    case("3-d", X[None], ["X has 3 dimensions (shape (1, 6, 3))", "must have 2", "MLP(18, ...)"]),
    case("images", np.zeros((6, 1, 3)), ["X has 3 dimensions", "X.reshape(len(X), -1) makes a"]),
    case("one-image", np.zeros((1, 3, 1)), ["shape (1, 3, 1)", "X.reshape(len(X), -1)"]),
    case("a-row-in-columns", X[:3, :1], ["X has 1 column", "X.reshape(1, -1) is one row"]),
    case("empty-list", [], ["X has 1 dimension (shape (0,))", "must have 2"]),
    case("one-number", np.float32(1), ["X has 0 dimensions", "must have 2"]),
    case("masked", np.ma.masked_equal(X, 0), ["X has masked values", "fill them or drop"]),
]


@pytest.mark.parametrize(("value", "fragments"), BAD_X)
@pytest.mark.parametrize("method", TAKES_X)
def test_x(method, value, fragments):
    call = TAKES_X[method]
    leaves_as_it_was(regressor(), ValueError, fragments, lambda net: call(net, value, Y))


@pytest.mark.parametrize("method", sorted(TAKES_X.keys() - {"check_gradients"}))
def test_x_and_y_beyond_float32(method):
    wide, call = np.full((6, 3), 1e39), TAKES_X[method]
    wanted = ["X[0, 0] is 1e+39", "float32", "scale ", "dtype='float64'"]
    leaves_as_it_was(regressor(), ValueError, wanted, lambda net: call(net, wide, Y))
    if method != "predict":
        wanted = ["y[0, 0] is 1e+39", "float32", "scale ", "dtype='float64'"]
        leaves_as_it_was(regressor(), ValueError, wanted, lambda net: call(net, X, wide[:, :2]))


# ---- y ------------------------------------------------------------------------------------------

BAD_Y = [
    case("nan", regressor, altered(Y, (1, 1), NAN), ["y[1, 1] is nan", "replace or drop"]),
    case("inf", regressor, altered(Y, (5, 0), INF), ["y[5, 0] is inf", "replace or drop"]),
    case("minus-inf", regressor, altered(Y, (0, 0), -INF), ["y[0, 0] is -inf", "drop"]),
    case("few-rows", regressor, Y[:5], ["y has 5 rows", "X has 6", "pass a target for each"]),
    case("more-rows", regressor, np.ones((7, 2)), ["y has 7 rows", "X has 6", "pass a target"]),
    case("no-rows", regressor, Y[:0], ["y has 0 rows", "X has 6", "pass a target for each"]),
    case("few-columns", regressor, Y[:, :1], ["y has shape (6, 1)", "2 outputs", "Dense(1)"]),
    case("more-columns", regressor, np.ones((6, 3)), ["y has shape (6, 3)", "Dense(3)"]),
    case("no-columns", regressor, Y[:, :0], ["y has shape (6, 0)", "2 outputs", "(6, 2)"]),
    case("0-d", regressor, 1.0, ["y has 0 dimensions (shape ())", "(6, 2)"]),
    case("1-d", regressor, Y[:, 0], ["y has shape (6,)", "2 outputs", "(6, 2)", "Dense(1)"]),
    case("3-d", regressor, Y[:, :, None], ["y has 3 dimensions (shape (6, 2, 1))", "(6, 2)"]),
    case("masked", regressor, np.ma.masked_equal(Y, 0), ["y has masked values", "drop"]),
    case("label-too-high", classifier, LABELS + 1, ["y[1] is class 2", "2 outputs", "0 to 1"]),
    case("label-negative", classifier, -LABELS, ["y[1] is class -1", "2 outputs", "0 to 1"]),
    case("label-fraction", classifier, LABELS / 2, ["y[1] is 0.5", "integers 0 to 1"]),
    case("label-huge", classifier, LABELS * 1e300, ["y[1] is class 1e+300", "0 to 1"]),
    case("label-uint64", classifier, np.full(6, 2**64 - 1, "u8"), [f"y[0] is class {2**64 - 1}"]),
    case("label-nan", classifier, altered(LABELS, 3, NAN), ["y[3] is nan", "replace or drop"]),
    case("label-inf", classifier, altered(LABELS, 3, INF), ["y[3] is inf", "replace or drop"]),
    case("labels-few", classifier, LABELS[:5], ["y has 5 rows", "X has 6", "pass a target"]),
    case("labels-3-d", classifier, LABELS[:, None, None], ["y has 3 dimensions", "(6,)"]),
    case("one-hot-wide", classifier, np.eye(6), ["y has shape (6, 6)", "2 outputs", "Dense(6)"]),
    case("one-hot-empty", classifier, np.zeros((6, 2)), ["y[0] sums to 0", "classes or none"]),
    case("one-hot-two", classifier, np.ones((6, 2)), ["y[0] sums to 2", "Dense(2, 'sigmoid')"]),
    case("one-hot-part", classifier, np.full((6, 2), 0.75), ["y[0] sums to 1.5", "divide each"]),
    case("one-hot-negative", classifier, [[-1.0, 2.0]] * 6, ["y must be from 0 to 1", "-1.0"]),
    case("binary-minus", detector, Y * 2 - 1, ["y must be from 0 to 1", "-1.0"]),
    case("binary-two", detector, Y * 2, ["y must be from 0 to 1", "it holds 2.0"]),
    case("binary-nan", detector, altered(Y, (0, 1), NAN), ["y[0, 1] is nan", "replace or drop"]),
    case("count-negative", counter, Y - 2, ["y must be 0 or more", "'poisson'", "-2.0"]),
]


@pytest.mark.parametrize(("build", "value", "fragments"), BAD_Y)
@pytest.mark.parametrize("method", FIT_LIKE)
def test_y(method, build, value, fragments):
    call = FIT_LIKE[method]
    leaves_as_it_was(build(), ValueError, fragments, lambda net: call(net, X, value))


TAGS = [[], ["a", "b"], ["b"], ["a"], ("a",), ["b", "a"]]


@pytest.mark.parametrize(
    "value",
    [
        case("lists", TAGS),
        case("sets", [set(tags) for tags in TAGS]),
        case("column", pd.Series(TAGS)),
        case("parquet", pd.Series([np.array(tags) for tags in TAGS])),
        case("text", np.where(Y > 0, "yes", "no")),
    ],
)
@pytest.mark.parametrize("method", FIT_LIKE)
def test_labels_of_several_outputs(method, value):
    call, wanted = FIT_LIKE[method], ["y holds labels", "2 outputs", "(n, 2)", "MultiLabelBin"]
    leaves_as_it_was(detector(), TypeError, wanted, lambda net: call(net, X, value))


def test_text_in_the_targets_of_several_outputs_is_named():
    frame = pd.DataFrame(Y > 0, columns=["a", "b"]).astype({"b": str})
    with pytest.raises(TypeError, match=r"^y must hold real numbers; .*\(column 'b'\)"):
        detector().fit(X, frame)


# ---- sample_weight ------------------------------------------------------------------------------

BAD_WEIGHTS = [
    case("nan", altered(np.ones(6), 2, NAN), ["sample_weight[2] is nan", "replace or drop"]),
    case("inf", altered(np.ones(6), 5, INF), ["sample_weight[5] is inf", "replace or drop"]),
    case("negative", altered(np.ones(6), 4, -0.5), ["sample_weight[4] is -0.5", "0 or more"]),
    case("all-zero", np.zeros(6), ["sample_weight is 0 for every row", "leave it out"]),
    case("few", np.ones(5), ["sample_weight has shape (5,)", "6 rows", "pass shape (6,)"]),
    case("column", np.ones((6, 1)), ["sample_weight has shape (6, 1)", "pass shape (6,)"]),
    case("one-number", 1.0, ["sample_weight has shape ()", "pass shape (6,)"]),
    case(
        "outputs", np.ones((6, 3)), ["sample_weight has shape (6, 3)", "pass shape (6,)", "(6, 2)"]
    ),
]


@pytest.mark.parametrize(("value", "fragments"), BAD_WEIGHTS)
@pytest.mark.parametrize("method", FIT_LIKE)
def test_sample_weight(method, value, fragments):
    call = FIT_LIKE[method]
    leaves_as_it_was(regressor(), ValueError, fragments, lambda net: call(net, X, Y, value))


@pytest.mark.parametrize("value", [np.ones((6, 1, 1)), np.ones((6, 3))])
@pytest.mark.parametrize("method", FIT_LIKE)
def test_weights_of_outputs_are_not_advised_where_the_loss_refuses_them(method, value):
    with pytest.raises(ValueError, match=r"sample_weight has shape .*; pass shape \(6,\)$"):
        FIT_LIKE[method](classifier(), X, LABELS, value)


@pytest.mark.parametrize("method", FIT_LIKE)
def test_sample_weight_whose_sum_is_beyond_float64(method):
    call, wanted = FIT_LIKE[method], ["sample_weight has a sum too large for float64", "scale"]
    net = regressor(dtype="float64")
    leaves_as_it_was(net, ValueError, wanted, lambda net: call(net, X, Y, np.full(6, 1e308)))


# ---- options of fit and its kin -----------------------------------------------------------------

overlapping = np.zeros(18, np.float32)


def read_only(array):
    array.flags.writeable = False
    return array


BAD_OPTIONS = [
    *[
        case(f"{name}-{value!s:.12}", method, {name: value}, error, [name, repr(value), remedy])
        for method, name, error, remedy, values in [
            ("fit", "batch_size", ValueError, "at least 1", [0, -1]),
            ("fit", "batch_size", TypeError, "integer", [2.5, 32.0, NAN, True, "32", [32], 1j]),
            ("fit", "epochs", ValueError, "at least 0", [-1]),
            ("fit", "epochs", TypeError, "integer", [None, 1.0, INF, True, "1", [1]]),
            ("fit", "shuffle", TypeError, "True or False", [None, 0, 1, "batch", 1.0]),
            ("fit", "verbose", ValueError, "from 0 to 1", [2, -1]),
            ("fit", "verbose", TypeError, "integer", [None, "auto", 0.5]),
            ("fit", "n_threads", ValueError, "from 1 to 256", [0, -1, 257, 2**63]),
            ("fit", "n_threads", TypeError, "integer", [1.0, "all", True]),
            ("fit", "callbacks", TypeError, "list of Callback", [None, 1, "tqdm", {"a": 1}, len]),
            ("fit", "validation_data", TypeError, "(X, y)", [0.1, True, "X", {"X": 1}, (1,), len]),
            ("fit", "validation_split", ValueError, "below 1", [1.0, 1, -0.1, NAN, INF]),
            ("fit", "validation_split", TypeError, "number", [None, True, "0.2", [0.2]]),
            ("fit", "metrics", ValueError, "'r2'", ["R2", "mean", ""]),
            ("fit", "metrics", TypeError, "functions", [None, 3, 0.5]),
            ("fit", "class_weight", TypeError, "'balanced'", [1, 2.0, [1, 2], len]),
            ("fit", "steps_per_epoch", ValueError, "batch_size", [0, 1, 10, "all", 2.5]),
            ("fit", "resume", TypeError, "str or a path", [0, True, 1.5, b"x", ["x"], len]),
            ("gradients", "training", TypeError, "True or False", [None, 0, 1, "yes"]),
            ("predict", "out", TypeError, "numpy array", [[[0.0]]]),
            ("copy", "dtype", ValueError, "'float64'", ["float16", "int", "f4,,f4", int, ">f4"]),
            ("copy", "dtype", ValueError, "'float64'", [32, "double precision", object, {}]),
            ("set_weights", "weights", TypeError, "[W0, b0", [None, 1.0, "W0", {}, np.ones(3)]),
        ]
        for value in values
    ],
    case("callbacks-0-d", "fit", {"callbacks": np.array(0)}, TypeError, ["callbacks", "list"]),
    case("callbacks-function", "fit", {"callbacks": [Callback(), len]}, TypeError,
         ["callbacks[1]", "<built-in function len>", "derive its class from fastnn.Callback"]),
    case("callbacks-class", "fit", {"callbacks": [Callback]}, TypeError,
         ["callbacks[0]", "<class 'fastnn.callbacks.base.Callback'>", "pass an object"]),
    case("callbacks-one", "fit", {"callbacks": fastnn.History()}, TypeError, ["callbacks", "list"]),
    case("both-validations", "fit", {"validation_data": (X, Y), "validation_split": 0.5},
         ValueError, ["validation_data", "validation_split=0.5", "one of them"]),
    case("split-leaves-none", "fit", {"validation_split": 0.99}, ValueError,
         ["validation_split=0.99", "none of 6 rows", "lower it"]),
    case("class-weight-of-numbers", "fit", {"class_weight": {0: 1.0}}, ValueError,
         ["class_weight", "'squared_error'", "2 outputs", "sample_weight"]),
    case("metric-of-classes", "fit", {"metrics": ["accuracy"]}, ValueError,
         ["'accuracy'", "'cross_entropy'", "'squared_error'", "use"]),
    case("metric-twice", "fit", {"metrics": ["mae", "mae"]}, ValueError, ["metrics[1]", "'mae'"]),
    case("metric-unnamed", "fit", {"metrics": [lambda y, p: 0.0]}, ValueError,
         ["metrics[0]", "no name", "dict"]),
    case("metrics-of-evaluate", "evaluate", {"metrics": ["maee"]}, ValueError,
         ["'maee'", "did you mean 'mae'?"]),
    case("monitor", "fit", {"callbacks": [fastnn.EarlyStopping()]}, ValueError,
         ["no 'val_loss', only 'loss'", "pass validation_data"]),
    case("validation-X", "fit", {"validation_data": X}, TypeError, ["validation_data", "(X, y)"]),
    case("validation-four", "fit", {"validation_data": (X, Y, None, None)}, TypeError,
         ["validation_data", "(X, y, sample_weight)"]),
    case("validation-swapped", "fit", {"validation_data": (Y, X)}, ValueError,
         ["validation X has 2 columns", "takes 3"]),
    case("validation-rows", "fit", {"validation_data": (X, Y[:3])}, ValueError,
         ["validation y has 3 rows", "validation X has 6", "pass a target for each"]),
    case("validation-nan", "fit", {"validation_data": (X, Y * NAN)}, ValueError,
         ["validation y[0, 0] is nan", "replace or drop"]),
    case("validation-weight", "fit", {"validation_data": (X, Y, np.ones(5))}, ValueError,
         ["validation sample_weight has shape (5,)", "pass shape (6,)"]),
    case("out-rows", "predict", {"out": np.zeros((5, 2), "f4")}, ValueError,
         ["out has shape (5, 2)", "(6, 2)"]),
    case("out-columns", "predict", {"out": np.zeros((6, 3), "f4")}, ValueError,
         ["out has shape (6, 3)", "(6, 2)"]),
    case("out-1-d", "predict", {"out": np.zeros(12, "f4")}, ValueError,
         ["out has shape (12,)", "(6, 2)"]),
    case("out-float64", "predict", {"out": np.zeros((6, 2))}, ValueError,
         ["out ", "dtype float64", "dtype float32"]),
    case("out-big-endian", "predict", {"out": np.zeros((6, 2), ">f4")}, ValueError,
         ["out ", "dtype >f4", "dtype float32"]),
    case("out-read-only", "predict", {"out": read_only(np.zeros((6, 2), "f4"))}, ValueError,
         ["out must be writeable", "np.empty((6, 2), 'float32')"]),
    case("out-fortran", "predict", {"out": np.zeros((6, 2), "f4", order="F")}, ValueError,
         ["out must be", "C-contiguous", "np.empty"]),
    case("out-strided", "predict", {"out": np.zeros((12, 2), "f4")[::2]}, ValueError,
         ["out must be", "C-contiguous", "np.empty"]),
    case("out-misaligned", "predict",
         {"out": np.zeros(49, "u1")[1:].view("f4").reshape(6, 2)}, ValueError,
         ["out must be", "aligned", "np.empty"]),
    case("out-overlaps", "predict",
         {"X": overlapping.reshape(6, 3), "out": overlapping[:12].reshape(6, 2)}, ValueError,
         ["out overlaps X", "pass another array"]),
    case("out-pandas", "predict", {"out": pd.DataFrame(Y)}, TypeError, ["out", "numpy array"]),
]  # fmt: skip

OPTION_CALLS = {
    "fit": lambda net, **options: net.fit(X, Y, **options),
    "gradients": lambda net, **options: net.loss_and_gradients(X, Y, **options),
    "predict": lambda net, **options: net.predict(**{"X": X, **options}),
    "copy": lambda net, **options: net.copy(**options),
    "evaluate": lambda net, **options: net.evaluate(X, Y, **options),
    "set_weights": lambda net, **options: net.set_weights(**options),
}


@pytest.mark.parametrize(("method", "options", "error", "fragments"), BAD_OPTIONS)
def test_options(method, options, error, fragments):
    call = OPTION_CALLS[method]
    leaves_as_it_was(regressor(), error, fragments, lambda net: call(net, **options))


BAD_CLASS_WEIGHTS = [
    case("name", "balance", ValueError, ["class_weight", "'balance'", "or 'balanced'"]),
    case("label-high", {2: 1.0}, ValueError, ["class_weight's label", "from 0 to 1", "2"]),
    case("label-negative", {-1: 1.0}, ValueError, ["class_weight's label", "from 0 to 1", "-1"]),
    case("label-text", {"0": 1.0}, TypeError, ["class_weight's label", "integer", "'0'"]),
    case("negative", {0: -1.0}, ValueError, ["class_weight[0]", "at least 0", "-1"]),
    case("nan", {1: NAN}, ValueError, ["class_weight[1]", "at least 0", "nan"]),
    case("none", {1: None}, TypeError, ["class_weight[1]", "number", "None"]),
    case("all-zero", {0: 0, 1: 0}, ValueError, ["class_weight", "weigh 0", "no row would count"]),
]


@pytest.mark.parametrize(("value", "error", "fragments"), BAD_CLASS_WEIGHTS)
def test_class_weight(value, error, fragments):
    def call(net):
        net.fit(X, LABELS, class_weight=value)

    leaves_as_it_was(classifier(), error, fragments, call)


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        case("weights", {"sample_weight": np.ones(6)}, ["sample_weight", "iterable", "yield"]),
        case("split", {"validation_split": 0.5}, ["validation_split=0.5", "iterable"]),
        case("balanced", {"class_weight": "balanced"}, ["'balanced'", "iterable", "dict"]),
        case("no-steps", {"steps_per_epoch": 0}, ["steps_per_epoch", "at least 1", "0"]),
    ],
)
def test_options_that_do_not_go_with_an_iterable(options, fragments):
    def call(net):
        net.fit([(X, LABELS)], **options)

    leaves_as_it_was(classifier(), ValueError, fragments, call)


@pytest.mark.parametrize("value", [0, -0.1, NAN, INF, 1e39])
def test_learning_rate_that_is_set(value):
    def call(net):
        net.learning_rate = value

    wanted = ["learning_rate", "above 0", f"{value}"]
    leaves_as_it_was(regressor(), ValueError, wanted, call)
    for other in (None, "0.1", True, SGD):
        with pytest.raises(TypeError, match="learning_rate must be a number"):
            regressor().learning_rate = other


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        case("adapt", lambda net: net.adapt(X), ["no Standardize layer", "layers=["]),
        case("averaged", lambda net: net.averaged(), ["'adam'", "no moving average", "use_ema"]),
        case(
            "output",
            lambda net: net.input_gradients(X, 2),
            ["2 outputs, numbers 0 to 1", "output=2"],
        ),
        case("batch", lambda net: net.summary(0), ["batch_size", "at least 1", "0"]),
        case("json", lambda net: net.from_json("{"), ["text", "not JSON", "to_json"]),
        case("indent", lambda net: net.to_json(BEYOND_FLOAT), ["indent", "from 0 to 100"]),
        case(
            "config",
            lambda net: net.from_config({"n_in": 3}),
            ["config has no 'layers'", "pass what MLP.get_config returned"],
        ),
    ],
)
def test_other_methods(call, fragments):
    leaves_as_it_was(regressor(), ValueError, fragments, call)


def test_methods_that_need_adapt_first():
    net = mlp(layers=[Standardize(), Dense(2)])
    for call in (
        lambda net: net.predict(X),
        lambda net: net.evaluate(X, Y),
        lambda net: net.train_on_batch(X, Y),
        lambda net: net.fit([(X, Y)]),
    ):
        leaves_as_it_was(net, ValueError, ["Standardize", "adapt(X)", "fit with arrays"], call)


# ---- set_weights --------------------------------------------------------------------------------

BAD_LISTS = [
    case(
        "none-left", lambda w: [], ["weights has 0 arrays", "has 4", "(3, 4), (4,), (4, 2), (2,)"]
    ),
    case("too-few", lambda w: w[:3], ["weights has 3 arrays", "has 4", "(4, 2)"]),
    case("too-many", lambda w: [*w, w[0]], ["weights has 5 arrays", "has 4"]),
    case("reversed", lambda w: w[::-1], ["weights[0] has shape (2,)", "pass shape (3, 4)"]),
    case("transposed", lambda w: [w[0].T, *w[1:]], ["weights[0] has shape (4, 3)", "(3, 4)"]),
    case("bias-2-d", lambda w: [w[0], w[1][None], *w[2:]], ["weights[1] has shape (1, 4)"]),
    case("nan", lambda w: [*w[:3], [0.0, NAN]], ["weights[3][1] is nan", "replace or drop"]),
    case("inf", lambda w: [*w[:3], [INF, 0.0]], ["weights[3][0] is inf", "replace or drop"]),
    case("beyond", lambda w: [*w[:3], [1e39, 0.0]], ["weights[3][0] is 1e+39", "float32"]),
    case("masked", lambda w: [*w[:3], np.ma.masked_equal([0, 1], 0)], ["weights[3] has masked"]),
]


@pytest.mark.parametrize(("alter", "fragments"), BAD_LISTS)
def test_set_weights(alter, fragments):
    def call(net):
        net.set_weights(alter(net.get_weights()))

    leaves_as_it_was(regressor(), ValueError, fragments, call)


# ---- MLP ----------------------------------------------------------------------------------------


def mlp(**arguments):
    good = {"n_in": 3, "layers": [Dense(2)], "loss": "squared_error", "optimizer": "sgd"}
    return MLP(**{**good, **arguments})


class OwnLoss(losses.Loss):
    name = "own"


class CallableLoss:
    def __call__(self, y_true, y_pred):
        return np.zeros(len(y_pred)), 0 * y_pred


BAD_NETWORKS = [
    *[
        case(f"{name}-{value!s:.12}", {name: value}, error, [name, repr(value)[:57], remedy])
        for name, error, remedy, values in [
            ("n_in", ValueError, "from 1 to 2147483647", [0, -3, 2**31, 2**63]),
            ("n_in", TypeError, "integer", [None, 3.0, NAN, True, "3", (3,), 3j]),
            ("layers", TypeError, "list of Dense", [None, 3, "relu", Dense(2), {1: 2}, Dense, MLP]),
            ("loss", TypeError, "'squared_error'", [None, 3, SquaredError]),
            ("loss", TypeError, "f(y_true, y_pred)", [len]),
            ("loss", ValueError, "'squared_error'", ["mse", "", "SquaredError"]),
            ("optimizer", TypeError, "'adam'", [None, 0.01, Adam, {"lr": 1}]),
            ("optimizer", ValueError, "'adam'", ["lbfgs", "", "SGD"]),
            ("reduction", ValueError, "'mean'", ["none", "average", ""]),
            ("reduction", TypeError, "'mean'", [None, 1, np.mean]),
            ("dtype", ValueError, "'float32'", [None, "float16", "f2", int, 32, ">f8", 1.0]),
            ("seed", ValueError, "at least 0", [-1]),
            ("seed", TypeError, "integer", [1.5, "0", True, NAN, (1, 2)]),
            ("n_threads", ValueError, "from 1 to 256", [0, -1, 10_000]),
            ("n_threads", TypeError, "integer", [2.0, "2", True]),
        ]
        for value in values
    ],
    case("loss-typo", {"loss": "squared_eror"}, ValueError, ["did you mean 'squared_error'?"]),
    case("optimizer-typo", {"optimizer": "adamm"}, ValueError, ["did you mean 'adam'?"]),
    case("reduction-typo", {"reduction": "meen"}, ValueError, ["did you mean 'mean'?"]),
    case("loss-own", {"loss": OwnLoss()}, TypeError, ["loss", "OwnLoss", "'squared_error'"]),
    case("loss-callable", {"loss": CallableLoss()}, TypeError, ["loss", "CustomLoss(object)"]),
    case("loss-base", {"loss": losses.Loss()}, TypeError, ["loss", "Loss", "'squared_error'"]),
    case("seed-generator", {"seed": np.random.default_rng(0)}, TypeError, ["seed", "integer"]),
    case("dtype-of-array", {"dtype": scipy.sparse.eye(2, dtype="f4")}, ValueError, ["dtype"]),
    case("layers-array", {"layers": np.array(3)}, TypeError, ["layers", "array(3)", "list"]),
    case("layers-none", {"layers": []}, ValueError, ["layers", "at least one Dense"]),
    case("layers-sizes", {"layers": (100, 50)}, TypeError, ["layers[0]", "100", "Dense(10, "]),
    case("layers-class", {"layers": [Dense(3), Dense]}, TypeError, ["layers[1]", "Dense(10"]),
    case("layers-name", {"layers": [Dense(3), "relu"]}, TypeError, ["layers[1]", "'relu'"]),
    case("layers-nested", {"layers": [[Dense(3)]]}, TypeError, ["layers[0]", "Dense(units=3"]),
    case("standardize-later", {"layers": [Dense(2), Standardize()]}, ValueError,
         ["layers[1]", "Standardize()", "first layer"]),
    case("dropout-only", {"layers": [Dropout(0.5)]}, ValueError, ["layers", "at least one Dense"]),
    case("dropout-last", {"layers": [Dense(2), Dropout(0.5)]}, ValueError, ["layers", "end with"]),
    case("hidden-softmax", {"layers": [Dense(2, "softmax"), Dense(2)]}, ValueError,
         ["softmax", "output layer only", "layer 0", "'relu'"]),
    case("softmax-of-one", {"layers": [Dense(1, "softmax")], "loss": "cross_entropy"}, ValueError,
         ["softmax over 1 unit", "'sigmoid'", "'binary_cross_entropy'"]),
    case("softmax-of-one-squared", {"layers": [Dense(1, "softmax")]}, ValueError,
         ["softmax over 1 unit", "'sigmoid'"]),
    case("quantiles-few", {"loss": Quantile([0.5])}, ValueError, ["q has 1 value", "2 outputs"]),
    case("quantiles-more", {"loss": Quantile((0.1, 0.5, 0.9))}, ValueError, ["q has 3 values"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "fragments"), BAD_NETWORKS)
def test_mlp(arguments, error, fragments):
    refuses(error, fragments, lambda: mlp(**arguments))


def test_loss_behind_an_activation_that_it_does_not_go_with(illegal_pair):
    loss, activation = illegal_pair
    wanted = [f"loss {loss!r} needs", f"got {activation!r}", "activation of the last layer"]
    refuses(ValueError, wanted, lambda: mlp(layers=[Dense(2, activation)], loss=loss))


# ---- layers, activations, losses, optimizers ----------------------------------------------------

NOT_A_NUMBER = ["0.5", None, True, 1j, [0.5], decimal.Decimal("0.5")]
BAD_SPECIFICATIONS = [
    case(f"{kind.__name__}-{name}-{value!s:.12}", kind, {name: value}, error, [name, remedy])
    for kind, name, error, remedy, values in [
        (Dense, "units", ValueError, "from 1 to 2147483647", [0, -1, 2**31, 2**63]),
        (Dense, "units", TypeError, "integer", [None, 2.0, True, "10", NAN, (3, 4), np.array(3)]),
        (Dense, "activation", ValueError, "'relu'", ["", "Relu", "linearly"]),
        (Dense, "activation", TypeError, "'relu'", [None, 1, np.tanh, Activation]),
        (Dense, "use_bias", TypeError, "True or False", [None, 0, 1, "no"]),
        (Dense, "initializer", ValueError, "'he_normal'", ["xavier", ""]),
        (Dense, "initializer", TypeError, "'he_normal'", [0.1, np.zeros, ()]),
        (Dense, "bias_initializer", ValueError, "'standard_normal'", ["glorot_uniform", ""]),
        (Dense, "bias_initializer", TypeError, "'standard_normal'", [0.1, None, np.zeros]),
        (Dense, "learning_rate_multiplier", ValueError, "above 0", [0, -1, NAN, INF]),
        (Dense, "learning_rate_multiplier", TypeError, "number", NOT_A_NUMBER),
        (CrossEntropy, "label_smoothing", ValueError, "at most 1", [-0.1, 1.1, NAN]),
        (CrossEntropy, "label_smoothing", TypeError, "number", NOT_A_NUMBER),
        (BinaryCrossEntropy, "label_smoothing", ValueError, "at most 1", [-0.1, 2, INF]),
        (Dense, "l1", ValueError, "at least 0", [-1e-9, NAN, INF, -INF, 1e39, BEYOND_FLOAT]),
        (Dense, "l1", TypeError, "number", NOT_A_NUMBER),
        (Dense, "l2", ValueError, "at least 0", [-1, NAN, INF, 1e300]),
        (Dense, "l2", TypeError, "number", NOT_A_NUMBER),
        (Dense, "trainable", TypeError, "True or False", [None, 0, 1, "no"]),
        (ExponentialDecay, "staircase", TypeError, "True or False", [None, 0, 1, "yes"]),
        (PiecewiseConstantDecay, "boundaries", TypeError, "numbers", [None, 5, "12", {1, 2}]),
        (PiecewiseConstantDecay, "boundaries", TypeError, "number", [["1"], [None], [[1, 2]]]),
        (PiecewiseConstantDecay, "values", ValueError, "at least", [[1, -1], [NAN, 1], []]),
        (StepDecay, "initial_learning_rate", ValueError, "above 0", [0, -1, NAN, INF, 1e39]),
        (StepDecay, "initial_learning_rate", TypeError, "number", NOT_A_NUMBER),
        (StepDecay, "decay_steps", ValueError, "above 0", [0, -1, NAN]),
        (StepDecay, "decay_rate", ValueError, "above 0", [0, -0.5]),
        (StepDecay, "per", ValueError, "'epoch'", ["batch", "epochs", ""]),
        (StepDecay, "per", TypeError, "'epoch'", [None, 1, True]),
        (CosineDecay, "alpha", ValueError, "at least 0", [-0.1, NAN]),
        (CosineDecayRestarts, "t_mul", ValueError, "at least 1", [0.5, 0, -1]),
        (OneCycle, "total_steps", ValueError, "at least 2", [1, 0, -5]),
        (OneCycle, "pct_start", ValueError, "below 1", [0, 1, 1.5, -0.1]),
        (InverseScaling, "power", ValueError, "at least 0", [-1, NAN]),
        (Adaptive, "factor", ValueError, "below 1", [0, 1, 2.0]),
        (Adaptive, "patience", ValueError, "at least 1", [0, -1]),
        (Adaptive, "patience", TypeError, "integer", [1.5, None, True]),
        (LinearWarmup, "steps", ValueError, "above 0", [0, -1, NAN]),
        (LinearWarmup, "schedule", TypeError, "number", ["0.1", None, StepDecay, [0.1]]),
        (LinearWarmup, "schedule", ValueError, "give a number", [Adaptive(1), LinearWarmup(1, 2)]),
        (Dropout, "rate", ValueError, "below 1", [1, 1.0, 1.5, -0.1, NAN, INF, 50, BEYOND_FLOAT]),
        (Dropout, "rate", TypeError, "number", NOT_A_NUMBER),
        (Activation, "alpha", ValueError, "at least 0", [-0.1, NAN, INF, 1e39]),
        (Activation, "alpha", TypeError, "number", ["0.1", True, [0.1]]),
        (Huber, "delta", ValueError, "above 0", [0, -1.0, NAN, INF, 1e39]),
        (Huber, "delta", TypeError, "number", NOT_A_NUMBER),
        (Quantile, "q", ValueError, "above 0 and below 1", [0, 1, -0.5, 50, NAN, [0.5, 1.0]]),
        (Quantile, "q", ValueError, "at least one", [[], (), np.zeros(0)]),
        (Quantile, "q", TypeError, "number", ["0.5", None, True, ["0.5"], np.array(0.5), {0.5}]),
        (Quantile, "q", TypeError, "number", [np.full((2, 2), 0.5), [[0.5]], b"5"]),
    ]
    for value in values
]


@pytest.mark.parametrize(("kind", "arguments", "error", "fragments"), BAD_SPECIFICATIONS)
def test_specification(kind, arguments, error, fragments):
    (value,) = arguments.values()
    shown = [] if isinstance(value, list | tuple | np.ndarray) else [repr(value)[:57]]
    rate, steps = {"initial_learning_rate": 0.1}, {"decay_steps": 10}
    good = {
        Dense: {"units": 3},
        Activation: {"name": "leaky_relu"},
        StepDecay: rate | steps,
        ExponentialDecay: rate | steps | {"decay_rate": 0.5},
        PiecewiseConstantDecay: {"boundaries": [5], "values": [1.0, 0.1]},
        CosineDecay: rate | steps,
        CosineDecayRestarts: rate | {"first_decay_steps": 10},
        OneCycle: {"max_learning_rate": 0.1, "total_steps": 10},
        InverseScaling: rate,
        Adaptive: rate,
        LinearWarmup: {"schedule": 0.1, "steps": 5},
    }.get(kind, {})
    refuses(error, [*fragments, *shown], lambda: kind(**{**good, **arguments}))


@pytest.mark.parametrize(
    ("call", "fragments"),
    [
        case("typo", lambda: Dense(3, "rleu"), ["activation", "'rleu'", "did you mean 'relu'?"]),
        case("alias-typo", lambda: Dense(3, "logstic"), ["did you mean 'logistic'?"]),
        case("capitals", lambda: Activation("TanH"), ["activation", "'TanH'", "'tanh'"]),
        case("initializer", lambda: Dense(3, initializer="he_uniforn"), ["mean 'he_uniform'?"]),
        case("no-alpha", lambda: Activation("relu", alpha=0.1), ["'relu' has no", "alpha=0.1"]),
        case(
            "mode", lambda: fastnn.show_config("dict"), ["mode", "'dict'", "did you mean 'dicts'?"]
        ),
    ],
)
def test_name(call, fragments):
    refuses(ValueError, fragments, call)


def test_ways_to_clip_that_exclude_each_other():
    wanted = ["clipvalue=1", "global_clipnorm=2", "one of them"]
    refuses(ValueError, wanted, lambda: SGD(clipvalue=1.0, global_clipnorm=2.0))


def test_an_optimizer_that_maximizes_has_no_penalties():
    for layer in (Dense(2, l1=0.1), Residual([Dense(3, l2=0.1)])):
        layers = [layer, Dense(2)]
        wanted = ["maximize=True", "penalties of Dense(", "weight_decay"]
        refuses(ValueError, wanted, lambda layers=layers: mlp(layers=layers, optimizer=ASCENT))
    assert mlp(layers=[Dense(2)], optimizer=ASCENT).optimizer.maximize


def test_a_warm_up_that_counts_in_another_unit():
    wanted = ["per='step'", "per epoch", "the same"]
    after = StepDecay(0.1, 10, per="epoch")
    refuses(ValueError, wanted, lambda: LinearWarmup(after, 5, per="step"))


@pytest.mark.parametrize("mode", [None, 1, True, ["stdout"]], ids=repr)
def test_mode_of_show_config(mode):
    refuses(TypeError, ["mode", repr(mode), "'stdout'"], lambda: fastnn.show_config(mode))


ASCENT = SGD(0.1, maximize=True, weight_decay=0.1)
HYPER_PARAMETERS = [
    pytest.param(kind, field, id=f"{kind.__name__}-{field.name}")
    for kind in (SGD, Adagrad, RMSProp, Adam, AdamW, NAdam, Lion, ScheduleFreeAdamW)
    for field in dataclasses.fields(kind)
    if field.name != "warmup_steps"  # an integer
]
BELOW_ONE = {"rho", "beta_1", "beta_2", "ema_momentum"}
ABOVE_ZERO = {"learning_rate", "epsilon", "clipvalue", "clipnorm", "global_clipnorm"}


@pytest.mark.parametrize(("kind", "field"), HYPER_PARAMETERS)
def test_hyper_parameter(kind, field):
    name = field.name
    if isinstance(field.default, bool):
        for value in (None, 0, 1, "yes", 0.5):
            wanted = [name, repr(value), "True or False"]
            refuses(TypeError, wanted, lambda value=value: kind(**{name: value}))
        return
    for value in NOT_A_NUMBER:
        if value is None and field.default is None:
            continue
        wanted = [name, repr(value), "number"]
        refuses(TypeError, wanted, lambda value=value: kind(**{name: value}))
    bad = [NAN, INF, -INF, -1, -1e-9, 1e39, BEYOND_FLOAT, fractions.Fraction(BEYOND_FLOAT)]
    bad += [1, 1.0, 2] if name in BELOW_ONE else []
    bad += [0, -0.0] if name in ABOVE_ZERO else []
    bad += [1.001, 2] if name == "momentum" else []
    for value in bad:
        wanted = [f"{name} must be", "a", repr(value)[:57]]
        refuses(ValueError, wanted, lambda value=value: kind(**{name: value}))


@pytest.mark.parametrize("kind", [Adagrad, RMSProp, Adam, AdamW, NAdam, ScheduleFreeAdamW])
def test_epsilon_that_is_0_in_float32(kind):
    """An input that is always 0 has gradients of 0, which would be divided by a root of 0."""
    refuses(ValueError, ["epsilon", "at least", "1e-46"], lambda: kind(epsilon=1e-46))
    net = mlp(optimizer=kind(epsilon=float(np.finfo(np.float32).tiny)))
    net.train_on_batch(X * [0, 1, 1], Y)
    assert all(np.isfinite(w).all() for w in net.get_weights())


# ---- check_gradients ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "fragments"),
    [
        case("net-none", {"net": None}, TypeError, ["net", "None", "MLP"]),
        case("net-class", {"net": MLP}, TypeError, ["net", "class", "MLP"]),
        case("net-array", {"net": X}, TypeError, ["net", "array", "MLP"]),
        case("net-layer", {"net": Dense(2)}, TypeError, ["net", "Dense", "MLP"]),
        case("n_samples-0", {"n_samples": 0}, ValueError, ["n_samples", "0", "at least 1"]),
        case("n_samples-half", {"n_samples": 0.5}, TypeError, ["n_samples", "0.5", "integer"]),
        case("seed-negative", {"seed": -1}, ValueError, ["seed", "-1", "at least 0"]),
        case("seed-text", {"seed": "a"}, TypeError, ["seed", "'a'", "integer"]),
        case("training-1", {"training": 1}, TypeError, ["training", "1", "True or False"]),
    ],
)
def test_check_gradients(arguments, error, fragments):
    def call(net):
        check_gradients(**{"net": net, "X": X, "y": Y, **arguments})

    leaves_as_it_was(regressor(), error, fragments, call)


# ---- kernels ------------------------------------------------------------------------------------

W, B = np.ones((3, 2)), np.zeros(2)
GOOD_KERNEL_ARGUMENTS = {
    "forward": {"z_prev": X, "W": W, "b": B, "activation": "tanh"},
    "output_delta": {"a": Y, "t": Y, "loss": "squared_error", "activation": "tanh"},
    "delta": {"a": X, "activation": "tanh", "W_next": W, "delta_next": Y},
    "update": {"W": W, "b": B, "z_prev": X, "delta": Y, "optimizer": "adam", "state": None},
}
ARRAYS = [
    (kernel, name)
    for kernel, names in [
        ("forward", ["z_prev", "W", "b"]),
        ("output_delta", ["a", "t"]),
        ("delta", ["a", "W_next", "delta_next"]),
        ("update", ["z_prev", "delta"]),
    ]
    for name in names
]


def run_kernel(kernel, **changes):
    """Call a kernel with copies of good arguments but for the changes; return those copies."""
    good = {n: np.copy(v) if isinstance(v, np.ndarray) else v
            for n, v in GOOD_KERNEL_ARGUMENTS[kernel].items()}  # fmt: skip
    getattr(kernels, kernel)(**{**good, **changes})


@pytest.mark.parametrize(("value", "fragments"), NOT_NUMBERS[1:])
@pytest.mark.parametrize(("kernel", "name"), ARRAYS)
def test_kernel_of_arrays_that_are_not_numeric(kernel, name, value, fragments):
    wanted = [f"{name} ", *(f.replace("X", name) for f in fragments)]
    refuses(TypeError, wanted, lambda: run_kernel(kernel, **{name: value}))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize(("kernel", "name"), ARRAYS)
def test_kernel_of_values_that_are_not_finite(kernel, name, value):
    array = np.copy(GOOD_KERNEL_ARGUMENTS[kernel][name])
    array.flat[1] = value
    place = "[1]" if array.ndim == 1 else "[0, 1]"
    wanted = [f"{name}{place} is {value}", "replace or drop"]
    refuses(ValueError, wanted, lambda: run_kernel(kernel, **{name: array}))


BAD_KERNEL_ARGUMENTS = [
    case(f"{kernel}-{label}", kernel, {name: value}, error, fragments)
    for kernel, label, name, value, error, fragments in [
        ("forward", "z-1-d", "z_prev", X[0], ValueError, ["z_prev has shape (3,)", "(n, 3)"]),
        ("forward", "z-columns", "z_prev", Y, ValueError, ["z_prev has shape (6, 2)", "(n, 3)"]),
        ("forward", "z-no-rows", "z_prev", X[:0], ValueError, ["z_prev has shape (0, 3)", "pass"]),
        ("forward", "W-3-d", "W", W[None], ValueError, ["W has shape (1, 3, 2)", "(n, n)"]),
        ("forward", "W-empty", "W", W[:, :0], ValueError, ["W has shape (3, 0)", "at least one"]),
        ("forward", "b-long", "b", np.ones(3), ValueError, ["b has shape (3,)", "(2,)"]),
        ("forward", "b-2-d", "b", B[None], ValueError, ["b has shape (1, 2)", "(2,)"]),
        ("forward", "h", "activation", "tahn", ValueError, ["'tahn'", "did you mean 'tanh'?"]),
        ("forward", "h-none", "activation", None, TypeError, ["activation", "None", "'tanh'"]),
        ("output_delta", "a-1-d", "a", Y[0], ValueError, ["a has shape (2,)", "(n, n)"]),
        ("output_delta", "a-empty", "a", Y[:0], ValueError, ["a has shape (0, 2)", "at least one"]),
        ("output_delta", "t-rows", "t", Y[:3], ValueError, ["t has 3 rows", "a has 6"]),
        ("output_delta", "t-columns", "t", X, ValueError, ["t has shape (6, 3)", "2 outputs"]),
        ("output_delta", "loss", "loss", "hubert", ValueError, ["loss", "did you mean 'huber'?"]),
        ("output_delta", "loss-class", "loss", Huber, TypeError, ["loss", "Huber", "'huber'"]),
        ("output_delta", "loss-base", "loss", losses.Loss(), TypeError, ["loss", "'huber'"]),
        ("output_delta", "pair", "loss", "cross_entropy", ValueError, ["'softmax'", "'tanh'"]),
        ("output_delta", "poisson", "loss", Poisson(), ValueError, ["'exp' or 'softplus'"]),
        ("output_delta", "q", "loss", Quantile([0.5]), ValueError, ["q has 1", "2 outputs"]),
        ("delta", "a-rows", "a", X[:2], ValueError, ["delta_next has shape (6, 2)", "(2, 2)"]),
        ("delta", "a-columns", "a", Y, ValueError, ["W_next has shape (3, 2)", "(2, n)"]),
        ("delta", "W-transposed", "W_next", W.T, ValueError, ["W_next has shape (2, 3)", "(3, n)"]),
        ("delta", "above", "delta_next", X, ValueError, ["delta_next has shape (6, 3)", "(6, 2)"]),
        ("delta", "softmax", "activation", "softmax", ValueError, ["softmax", "use output_delta"]),
        ("update", "W-list", "W", [[1.0, 2.0]] * 3, TypeError, ["W is", "pass a numpy array"]),
        ("update", "W-ints", "W", np.ones((3, 2), int), TypeError, ["W", "float64", "int64"]),
        ("update", "W-half", "W", np.ones((3, 2), "f2"), TypeError, ["W", "float32", "float16"]),
        ("update", "W-swapped", "W", np.ones((3, 2), ">f8"), TypeError, ["W", "float64", ">f8"]),
        ("update", "W-F", "W", np.ones((2, 3)).T, ValueError,
         ["W", "C-contiguous", "W = np.array(W, order='C')"]),
        ("update", "W-read-only", "W", read_only(np.ones((3, 2))), ValueError, ["W", "writeable"]),
        ("update", "W-nan", "W", np.full((3, 2), NAN), ValueError, ["W[0, 0] is nan", "replace"]),
        ("update", "W-1-d", "W", np.ones(3), ValueError, ["W has shape (3,)", "(n, n)"]),
        ("update", "W-empty", "W", np.ones((3, 0)), ValueError, ["W has shape (3, 0)", "at least"]),
        ("update", "b-list", "b", [0.0, 0.0], TypeError, ["b is", "pass a numpy array"]),
        ("update", "b-float32", "b", B.astype("f4"), TypeError, ["b ", "float64", "float32"]),
        ("update", "b-long", "b", np.ones(3), ValueError, ["b has shape (3,)", "(2,)"]),
        ("update", "b-strided", "b", np.ones(4)[::2], ValueError, ["b ", "C-contiguous"]),
        ("update", "b-inf", "b", np.full(2, INF), ValueError, ["b[0] is inf", "replace"]),
        ("update", "z-columns", "z_prev", Y, ValueError, ["z_prev has shape (6, 2)", "(n, 3)"]),
        ("update", "delta-rows", "delta", Y[:4], ValueError, ["delta has shape (4, 2)", "(6, 2)"]),
        ("update", "rule", "optimizer", "adamw2", ValueError, ["optimizer", "mean 'adamw'?"]),
        ("update", "rule-none", "optimizer", None, TypeError, ["optimizer", "None", "'adam'"]),
        ("update", "rule-class", "optimizer", SGD, TypeError, ["optimizer", "SGD", "'sgd'"]),
        ("update", "state-text", "state", "new", TypeError, ["state", "'new'", "what update ret"]),
        ("update", "state-zero", "state", 0, TypeError, ["state", "0", "what update returned"]),
    ]
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "changes", "error", "fragments"), BAD_KERNEL_ARGUMENTS)
def test_kernel(kernel, changes, error, fragments):
    refuses(error, fragments, lambda: run_kernel(kernel, **changes))


def fresh_state(shape, dtype=np.float64, optimizer="adam"):
    return kernels.update(
        np.ones(shape, dtype), None, np.ones((1, shape[0])), np.ones((1, shape[1])), optimizer
    )


@pytest.mark.parametrize(
    ("state", "error", "fragments"),
    [
        case("shape", fresh_state((2, 2)), ValueError, ["(2, 2)", "(3, 2)", "each layer its own"]),
        case(
            "dtype", fresh_state((3, 2), np.float32), TypeError, ["state", "weights of this dtype"]
        ),
        case(
            "rule", fresh_state((3, 2), optimizer="sgd"), ValueError, ["'sgd'", "'adam'", "=None"]
        ),
    ],
)
def test_state_of_another_layer_or_rule(state, error, fragments):
    refuses(error, fragments, lambda: run_kernel("update", state=state))


def test_update_takes_each_call_s_learning_rate():
    W = np.zeros((1, 1))
    state = kernels.update(W, None, [[1.0]], [[-1.0]], SGD(learning_rate=1.0))
    kernels.update(W, None, [[1.0]], [[-1.0]], SGD(learning_rate=0.25), state)
    assert W == 1.25


def test_b_that_overlaps_w():
    W = np.ones((3, 2))
    wanted = ["b overlaps W", "pass a copy"]
    refuses(ValueError, wanted, lambda: run_kernel("update", W=W, b=W[0]))


def test_the_state_of_updates_is_neither_pickled_nor_copied():
    state = kernels.update(np.ones((1, 1)), None, [[1.0]], [[-1.0]], "adam")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"the state of kernels\.update can be neither pickled"):
            copied(state)


def test_a_refused_update_leaves_weights_and_state():
    W, b = np.ones((3, 2)), np.zeros(2)
    state = kernels.update(W, b, X, Y, "adam")
    before = W.tobytes(), b.tobytes(), state.step
    for bad in ({"z_prev": X * NAN}, {"delta": Y[:2]}, {"optimizer": "nadam"}, {"b": B[:1]}):
        with pytest.raises(ValueError, match=r"z_prev|delta|optimizer|b"):
            run_kernel("update", **{"W": W, "b": b, "state": state, **bad})
        assert (W.tobytes(), b.tobytes(), state.step) == before


# ---- environment --------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx2,avx512", "1", " "])
def test_isa_of_the_environment(isa):
    command = [sys.executable, "-c", "import fastnn"]
    environment = {**os.environ, "FASTNN_ISA": isa}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 1
    message = ended.stderr.splitlines()[-1]
    for fragment in ("ValueError", f"FASTNN_ISA={isa!r}", "set it to one of portable", "unset it"):
        assert fragment in message


# ---- every argument, whatever comes -------------------------------------------------------------

GOOD = {
    **{f"kernels.{name}": (getattr(kernels, name), good)
       for name, good in GOOD_KERNEL_ARGUMENTS.items()},
    **{f"MLP.{name}": (getattr(MLP, name), {"self": None, "X": X, "y": Y})
       for name in ("fit", "train_on_batch", "evaluate", "loss_and_gradients")},
    "MLP.predict": (MLP.predict, {"self": None, "X": X}),
    "MLP.set_weights": (MLP.set_weights, {"self": None}),
    "MLP.copy": (MLP.copy, {"self": None}),
    **{f"MLP.{name}": (getattr(MLP, name), {"self": None, "X": X})
       for name in ("activations", "jacobian", "input_gradients")},
    "MLP.summary": (MLP.summary, {"self": None}),
    "MLP.save": (MLP.save, {"self": None}),
    "MLP.from_config": (MLP.from_config, {}),
    "MLP.from_json": (MLP.from_json, {}),
    "MLP": (MLP, {"n_in": 3, "layers": [Dense(2)], "loss": "squared_error", "optimizer": "sgd"}),
    "check_gradients": (check_gradients, {"net": None, "X": X, "y": Y}),
    "show_config": (fastnn.show_config, {}),
    **{kind.__name__: (kind, {"units": 2} if kind is Dense else {"name": "elu"}
                       if kind is Activation else {})
       for kind in (Dense, Dropout, Activation, Huber, Quantile, SGD, Adagrad, RMSProp, Adam,
                    AdamW, NAdam, Lion, ScheduleFreeAdamW)},
    "PiecewiseConstantDecay": (PiecewiseConstantDecay, {"boundaries": [5], "values": [1.0, 0.1]}),
    "StepDecay": (StepDecay, {"initial_learning_rate": 0.1, "decay_steps": 5}),
    "OneCycle": (OneCycle, {"max_learning_rate": 0.1, "total_steps": 5}),
    "Adaptive": (Adaptive, {"initial_learning_rate": 0.1}),
    "LinearWarmup": (LinearWarmup, {"schedule": 0.1, "steps": 5}),
    **{kind.__name__: (kind, {})
       for kind in (fastnn.EarlyStopping, fastnn.ReduceLROnPlateau, fastnn.ProgressBar)},
    **{kind.__name__: (kind, {"path": "x"}) for kind in (fastnn.ModelCheckpoint, fastnn.CSVLogger)},
    "LearningRateScheduler": (fastnn.LearningRateScheduler, {}),
}  # fmt: skip
PARAMETERS = [
    pytest.param(function, good, name, id=f"{label}-{name}")
    for label, (function, good) in GOOD.items()
    for name in inspect.signature(function).parameters
    if name not in ("self", "net")
]
ANYTHING = [
    None, True, 0, 1, -1, 2.5, NAN, INF, 1e300, 1e-320, 2**63, BEYOND_FLOAT, 1j, "", "x", b"x",
    "\udcff", [], [None], [[]], (), {}, {1}, object(), len, Dense, Ellipsis, np.array(3),
    np.array(None), np.zeros(0), np.zeros((0, 3)), np.zeros((1, 1, 1)), np.full((6, 3), NAN),
    np.full((6, 2), 1e39), np.full(6, np.longdouble("1e400")), np.zeros(6, "f4,f4"), X[::-1],
    np.zeros((6, 3), "M8[s]"), np.float16(0.5), np.longdouble("1e400"), memoryview(X),
    scipy.sparse.eye(3), pd.DataFrame({"dtype": [1.0]}), pd.Series(["a"]), pl.Series([None]),
    pl.DataFrame({"a": ["x"]}), fractions.Fraction(1, 3), decimal.Decimal("nan"), range(6),
    np.ma.masked_all((6, 3)), np.random.default_rng(0), lambda: 1, BrokenArray(), OnAnotherDevice(),
]  # fmt: skip


def error_of(function, **arguments):
    """Return the TypeError or ValueError that the call ends with, or None."""
    try:
        function(**arguments)
    except (TypeError, ValueError) as error:
        return error
    return None


@pytest.mark.parametrize(("function", "good", "name"), PARAMETERS)
def test_anything_for_any_argument_works_or_is_a_type_or_value_error(
    function, good, name, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # some write files
    names = [*inspect.signature(function).parameters, "activation"]
    for value in ANYTHING:
        if name == "epochs" and isinstance(value, int) and value > 1:
            continue  # legal, and long
        net = regressor()
        before = pickle.dumps(net)
        arguments = {n: net if n in ("self", "net") else v for n, v in good.items()}
        error = error_of(function, **{**arguments, name: value})
        if error is not None:
            assert any(n in str(error) for n in names), f"{value!r}: {error}"
            assert pickle.dumps(net) == before, value
        assert all(np.isfinite(w).all() for w in net.get_weights()), value


# ---- odd, but legal -----------------------------------------------------------------------------

WHOLE = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
TARGET = np.array([0, 1, 0, 0, 1, 1])


def trained(X, y, *, output=(1, "identity"), loss="squared_error", **options):
    """Return the bits of the weights and predictions of a network 3-4-1 after two epochs."""
    net = MLP(3, [Dense(4, "tanh"), Dense(*output)], loss=loss, optimizer="adam", seed=0)
    net.fit(X, y, **{"batch_size": 4, "epochs": 2, **options})
    return pickle.dumps(net.get_weights()), net.predict(X).tobytes()


ODD_ROWS = [
    case("lists", WHOLE.tolist()),
    case("tuples", tuple(map(tuple, WHOLE.tolist()))),
    case("rows-of-arrays", list(WHOLE)),
    case("bools", WHOLE.astype(bool)),
    case("float16", WHOLE.astype(np.float16)),
    case("longdouble", WHOLE.astype(np.longdouble)),
    case("uint8", WHOLE.astype(np.uint8)),
    case("np.matrix", np.asmatrix(WHOLE)),
    case("memoryview", memoryview(WHOLE.astype(np.float64))),
    case("masked-nowhere", np.ma.MaskedArray(WHOLE)),
    case("pandas", pd.DataFrame(WHOLE, columns=list("abc"), index=[7, 7, 3, 2, 1, 0])),
    case("polars", pl.DataFrame(WHOLE, schema=["a", "b", "c"], orient="row")),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("rows", ODD_ROWS)
def test_odd_rows(rows):
    assert trained(rows, TARGET) == trained(WHOLE.astype(np.float32), TARGET)


ODD_TARGETS = [
    case("list", TARGET.tolist()),
    case("column", TARGET[:, None]),
    case("column-list", TARGET[:, None].tolist()),
    case("bools", TARGET.astype(bool)),
    case("float16", TARGET.astype(np.float16)),
    case("float64-column", TARGET[:, None].astype(np.float64)),
    case("uint64", TARGET.astype(np.uint64)),
    case("pandas", pd.Series(TARGET, index=[5, 4, 3, 2, 1, 0])),
    case("pandas-frame", pd.DataFrame({"t": TARGET}, index=list("fedcba"))),
    case("polars", pl.Series(TARGET)),
]


@pytest.mark.parametrize("targets", ODD_TARGETS)
def test_odd_targets_labels_and_weights(targets):
    plain = TARGET.astype(np.float32)
    assert trained(WHOLE, targets) == trained(WHOLE, plain)
    classes = {"output": (2, "softmax"), "loss": "cross_entropy"}
    assert trained(WHOLE, targets, **classes) == trained(WHOLE, TARGET, **classes)
    if np.ndim(targets) == 1:
        weighted = trained(WHOLE, TARGET, sample_weight=targets)
        assert weighted == trained(WHOLE, TARGET, sample_weight=plain)


def test_labels_of_one_class_and_one_hot_rows():
    classes = {"output": (2, "softmax"), "loss": "cross_entropy"}
    zeros = np.zeros(6, int)
    assert trained(WHOLE, np.eye(2)[zeros], **classes) == trained(WHOLE, zeros, **classes)


def test_numpy_scalars_and_fractions_as_numbers():
    def build(integer, real, flag):
        layers = [Dense(integer(4), "tanh", flag(1), l2=real(0.5)), Dropout(real(0.25)), Dense(2)]
        rule = RMSProp(learning_rate=real(0.125), momentum=real(0.5))
        net = MLP(integer(3), layers, loss=Huber(real(0.5)), optimizer=rule, seed=integer(5),
                  n_threads=integer(1))  # fmt: skip
        net.fit(X, Y, batch_size=integer(4), epochs=integer(2), shuffle=flag(1),
                verbose=integer(0), n_threads=integer(2))  # fmt: skip
        return pickle.dumps(net.get_weights())

    plain = build(int, float, bool)
    assert build(np.uint8, np.float16, np.bool_) == plain
    assert build(np.int64, np.longdouble, np.bool_) == plain
    assert build(int, fractions.Fraction, bool) == plain


@pytest.mark.parametrize("batch_size", [6, 7, 1_000_000, 2**31, 2**63, 2**70])
def test_batch_size_of_n_or_more_is_the_full_batch(batch_size):
    options = {"batch_size": batch_size}
    assert trained(WHOLE, TARGET, **options) == trained(WHOLE, TARGET, batch_size=None)


def test_no_epochs():
    net = regressor()
    before = pickle.dumps(net)
    history = net.fit(X, Y, epochs=0)
    assert (history.epoch, history.history) == ([], {})
    assert pickle.dumps(net) == before


def test_lists_may_be_tuples_generators_and_empty():
    layers = [Dense(4), Dense(1)]
    built = [mlp(layers=form, seed=0) for form in (layers, tuple(layers), (x for x in layers))]
    for net in built:
        net.fit(X, Y[:, 0], callbacks=(c for c in [Callback()]), validation_data=[X, Y[:, 0]])
        net.fit(X, Y[:, 0], callbacks=(), validation_data=(X, Y[:, 0], None))
        net.set_weights(w for w in net.get_weights())
    assert len({pickle.dumps(net.get_weights()) for net in built}) == 1


@pytest.mark.parametrize("dtype", ["f4", np.float32, np.dtype("f4"), "single", "float64", float])
def test_dtypes(dtype):
    assert mlp(dtype=dtype).predict(X).dtype == np.dtype(dtype)


def test_weights_of_0_drop_rows():
    kept = [0, 2, 3, 5]
    weights = np.isin(np.arange(6), kept)
    net = regressor()
    assert net.evaluate(X, Y, weights) == pytest.approx(net.evaluate(X[kept], Y[kept]), rel=1e-6)


@pytest.mark.parametrize("least", [5e-324, 1e-320, 1e-300])
def test_tiny_weights_weigh_like_ones(least):
    plain, weighted = regressor(dtype="float64"), regressor(dtype="float64")
    plain.train_on_batch(X, Y)
    weighted.train_on_batch(X, Y, np.full(6, least))
    for w, expected in zip(weighted.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(w, expected, rtol=1e-12)


def test_errors_leave_no_trace_in_later_training():
    undisturbed, disturbed = regressor(), regressor()
    for bad in ({"batch_size": 0}, {"epochs": -1}, {"callbacks": [1]}, {"sample_weight": [1.0]}):
        with pytest.raises((TypeError, ValueError)):
            disturbed.fit(X, Y, **bad)
    for net in (undisturbed, disturbed):
        net.fit(X, Y, batch_size=2, epochs=3)
    assert pickle.dumps(undisturbed) == pickle.dumps(disturbed)


# ---- lists of rows of different lengths, which NumPy refuses without the name of the argument ----

RAGGED = [[1, 2, 3], [4, 5]]


class Drawing:
    def permutation(self, n):
        return RAGGED


def fit_both(X=X, y=Y, **options):
    return fastnn.fit_many([regressor(), regressor()], X, y, **options)


def fit_named(y):
    net = classifier()
    net.classes = ("no", "yes")
    return net.fit(X, y)


UNREADABLE = [
    case("y of many", "y cannot be read", lambda: fit_both(y=RAGGED)),
    case("weights of many", "sample_weight cannot be", lambda: fit_both(sample_weight=RAGGED)),
    case("rows of many", "rows[0] cannot be read", lambda: fit_both(rows=[RAGGED, None])),
    case("groups", "groups cannot be read", lambda: fit_both(groups=RAGGED)),
    case("epochs", "epochs[1] must be an integer", lambda: fit_both(epochs=[1, [2]])),
    case("batch_size", "batch_size[1] must be", lambda: fit_both(batch_size=[None, [2]])),
    case("shuffle", "shuffle[1] must be", lambda: fit_both(shuffle=[True, [2]])),
    case("an order", "permutation(6) cannot be", lambda: regressor().fit(X, Y, shuffle=Drawing())),
    case("labels", "y cannot be read", lambda: fit_named([["no", "yes"], ["no"]])),
    case("numbers", "y cannot be read", lambda: fit_named(RAGGED)),
    case("batches", "X cannot be read", lambda: regressor().fit([(RAGGED, Y)])),
    case("steps", "t cannot be read", lambda: CosineDecay(0.1, 9)(RAGGED)),
]


@pytest.mark.parametrize(("fragment", "call"), UNREADABLE)
def test_lists_that_cannot_become_arrays_are_named(fragment, call):
    refuses(TypeError, [fragment], call)


# ---- calls of the kernels that bypass _checks -------------------------------------------

UNFIT = {
    "columns of X": lambda n, a: n.predict(a(5, 4), a(5, 2), 1),
    "no rows": lambda n, a: n.predict(a(0, 3), a(0, 2), 1),
    "rows of out": lambda n, a: n.predict(a(5, 3), a(4, 2), 1),
    "columns of out": lambda n, a: n.predict(a(5, 3), a(5, 1), 1),
    "rows of T": lambda n, a: n.gradients(a(5, 3), a(4, 2), None, None, False, 1),
    "columns of T": lambda n, a: n.gradients(a(5, 3), a(5, 3), None, None, False, 1),
    "weights of rows": lambda n, a: n.gradients(a(5, 3), a(5, 2), None, a(4), False, 1),
    "stop": lambda n, a: n.train(a(5, 3), a(5, 2), None, None, None, 2, 1, n.tally(), 0, 6),
    "first": lambda n, a: n.train(a(5, 3), a(5, 2), None, None, None, 2, 1, n.tally(), -1, 5),
    "batch": lambda n, a: n.train(a(5, 3), a(5, 2), None, None, None, 0, 1, n.tally(), 0, 5),
    "order": lambda n, a: n.train(
        a(5, 3), a(5, 2), None, None, np.arange(4), 2, 1, n.tally(), 0, 5
    ),
    "labels": lambda n, a: n.gradients(a(5, 3), None, np.arange(4), None, False, 1),
    "outputs": lambda n, a: n.train(
        a(5, 3), a(5, 2), None, None, None, 2, 1, n.tally(), 0, 5, a(4, 2)
    ),
    "a block": lambda n, a: n.read(9),
    "a block below 0": lambda n, a: n.fill_moment(-1, 0.0),
    "weights": lambda n, a: n.write([a(3, 3), a(2)]),
    "biases": lambda n, a: n.write([a(3, 2), a(3)]),
    "a layer": lambda n, a: n.write_rows(1, 0, a(1, 2)),
    "rows of weights": lambda n, a: n.write_rows(0, 2, a(2, 2)),
    "means without a layer": lambda n, a: n.standardize(np.ones(3), np.ones(3)),
}


@pytest.mark.parametrize("name", UNFIT)
def test_kernels_refuse_arrays_that_do_not_fit(name):
    net = MLP(3, [Dense(2)], loss="squared_error", optimizer="adam", seed=0)
    before = net.get_weights()
    with pytest.raises(ValueError, match="doesn't fit the network"):
        UNFIT[name](net._network, lambda *shape: np.ones(shape, np.float32))
    for one, other in zip(before, net.get_weights(), strict=True):
        assert (one == other).all()
    assert net.step == 0


FUNCTIONS = {
    "columns of W": lambda a: _kernels_f32.forward_arrays(
        a(2, 3), a(4, 5), None, "tanh", 0, a(2, 5), a(2, 5)
    ),
    "b": lambda a: _kernels_f32.forward_arrays(a(2, 3), a(3, 5), a(4), "tanh", 0, a(2, 5), a(2, 5)),
    "z": lambda a: _kernels_f32.forward_arrays(a(2, 3), a(3, 5), a(5), "tanh", 0, a(2, 5), a(1, 5)),
    "t": lambda a: _kernels_f32.output_delta_arrays(
        a(2, 3), a(2, 2), "squared_error", None, "tanh", 0, np.ones(2), a(2, 3)
    ),
    "losses": lambda a: _kernels_f32.output_delta_arrays(
        a(2, 3), a(2, 3), "squared_error", None, "tanh", 0, np.ones(1), a(2, 3)
    ),
    "delta": lambda a: _kernels_f32.delta_arrays(a(2, 3), "tanh", 0, a(3, 4), a(2, 4), a(2, 2)),
    "out": lambda a: _kernels_f32.evaluate_function("exp", a(5), a(4)),
    "rates": lambda a: _kernels_f32.scheduled_rates(
        fastnn.CosineDecay(0.1, 10).kernel(), np.ones(3), np.ones(2)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_arrays_refuse_those_that_do_not_fit(name):
    with pytest.raises(ValueError, match="doesn't fit"):
        FUNCTIONS[name](lambda *shape: np.ones(shape, np.float32))
