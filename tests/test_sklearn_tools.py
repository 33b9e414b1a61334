"""fastnn.sklearn beside the tools that scikit-learn's users have: skl2onnx, exporters, skops.

Proves that pipelines with the estimators become ONNX models by skl2onnx with the same labels and
probabilities, that from_onnx reads those of scikit-learn's MLPs, and that fitted estimators and
pipelines stand for their networks in the functions that write other formats. Tests of an optional
package are skipped without it.

Not here: graphs of exporters, node by node (test_onnx_exporters.py).
"""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import fastnn
from fastnn import sklearn as ours
from fastnn import tables
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLOWERS, KIND = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KIND]
PATIENTS, COURSE = (scale(array) for array in load_diabetes(return_X_y=True))
SEVERAL, LABELS = make_multilabel_classification(n_classes=4, random_state=0)

CLASSIFIERS = {
    "numbers": ({"activation": "gelu"}, FLOWERS, KIND),
    "texts": ({"activation": ["tanh", "silu"]}, FLOWERS, NAMES),
    "objects": ({}, FLOWERS, NAMES.astype(object)),
    "two": ({"dropout": 0.1}, FLOWERS[:100], NAMES[:100]),
    "truths": ({}, FLOWERS, KIND == 1),
    "labels": ({}, SEVERAL, LABELS),
    "one": ({}, FLOWERS, np.full(150, 7)),
}
REGRESSORS = {
    "one target": ({"activation": "softplus"}, COURSE),
    "two targets": ({}, np.c_[COURSE, COURSE**2]),
    "counts": ({"loss": "poisson"}, np.round(np.exp(COURSE))),
}


def fitted(kind, options, X, y):
    options = {"hidden_layer_sizes": (9, 5), "max_iter": 30, "random_state": 0, **options}
    return make_pipeline(StandardScaler(), kind(**options)).fit(X, y)


# ---- skl2onnx -----------------------------------------------------------------------------------


def run(model, X):
    """Return the outputs of an ONNX model for rows."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {model.graph.input[0].name: X})


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_skl2onnx_writes_a_pipeline_with_a_classifier(case, dtype):
    skl2onnx = pytest.importorskip("skl2onnx")
    options, X, y = CLASSIFIERS[case]
    pipeline, X = fitted(MLPClassifier, options, X, y), (3 * X).astype(dtype)
    model = skl2onnx.to_onnx(pipeline, X[:1], options={id(pipeline): {"zipmap": False}})
    labels, probabilities = run(model, X)
    assert labels.tolist() == pipeline.predict(X).tolist()
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=tolerance)


def test_skl2onnx_takes_the_options_of_scikit_learns_classifiers():
    skl2onnx = pytest.importorskip("skl2onnx")
    X = FLOWERS.astype("f4")
    pipeline = fitted(MLPClassifier, {}, FLOWERS, NAMES)
    expected = pipeline.predict_proba(X)
    labels, mapped = run(skl2onnx.to_onnx(pipeline, X[:1]), X)  # a dict of each row
    assert labels.tolist() == pipeline.predict(X).tolist()
    found = [[row[name] for name in pipeline.classes_] for row in mapped]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    options = {"zipmap": False, "output_class_labels": True}
    *_, names = run(skl2onnx.to_onnx(pipeline, X[:1], options={id(pipeline): options}), X)
    assert names.tolist() == pipeline.classes_.tolist()
    options = {"zipmap": False, "nocl": True}
    numbers, _ = run(skl2onnx.to_onnx(pipeline[1:], X[:1], options={id(pipeline[-1]): options}), X)
    assert set(numbers.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", REGRESSORS)
def test_skl2onnx_writes_a_pipeline_with_a_regressor(case, dtype):
    skl2onnx = pytest.importorskip("skl2onnx")
    options, y = REGRESSORS[case]
    pipeline, X = fitted(MLPRegressor, options, PATIENTS, y), PATIENTS.astype(dtype)
    (found,) = run(skl2onnx.to_onnx(pipeline, X[:1]), X)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(found, pipeline.predict(X).reshape(found.shape), atol=tolerance)


def test_skl2onnx_writes_the_inputs_of_a_network_with_a_recipe():
    skl2onnx = pytest.importorskip("skl2onnx")
    recipe, X, _ = tables.prepare({"a": PATIENTS[:, 0], "b": PATIENTS[:, 1]})
    regressor = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)
    regressor.fit(X, PATIENTS[:, 2])
    recipe.attach(regressor.net_)
    (found,) = run(skl2onnx.to_onnx(regressor, X[:1]), X)
    np.testing.assert_allclose(found[:, 0], regressor.predict(X), atol=1e-4)


@pytest.mark.parametrize("order", [("skl2onnx", "fastnn.sklearn"), ("fastnn.sklearn", "skl2onnx")])
def test_converters_are_registered_whichever_is_imported_first(order):
    pytest.importorskip("skl2onnx")
    code = f"import {order[0]}, {order[1]}, sys; from skl2onnx._supported_operators import "
    code += "sklearn_operator_name_map as known; from fastnn.sklearn import MLPClassifier; "
    code += "assert MLPClassifier in known; assert not [f for f in sys.meta_path if hasattr(f, "
    code += "'package')]; print('registered')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "registered\n", done.stderr


def test_a_package_that_is_watched_and_missing_is_missing_as_before():
    code = (
        "from fastnn.sklearn.hooks import when_imported; when_imported('no_such', print)\n"
        "import importlib.util; assert importlib.util.find_spec('no_such') is None\n"
        "import no_such"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'no_such'" in done.stderr


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("case", ["numbers", "texts", "two", "one target"])
def test_from_onnx_reads_what_skl2onnx_writes_of_scikit_learns_mlps(case, zipmap):
    skl2onnx = pytest.importorskip("skl2onnx")
    is_classifier = case in CLASSIFIERS
    X, y = CLASSIFIERS[case][1:] if is_classifier else (PATIENTS, COURSE)
    kind = theirs.MLPClassifier if is_classifier else theirs.MLPRegressor
    pipeline = fitted(kind, {}, X, y)
    options = {"options": {id(pipeline): {"zipmap": zipmap}}} if is_classifier else {}
    net = fastnn.from_onnx(skl2onnx.to_onnx(pipeline, X[:1].astype("f4"), **options))
    expected = pipeline.predict_proba(X) if is_classifier else pipeline.predict(X)[:, None]
    found = net.predict(X)
    if found.shape != expected.shape:  # one output for two classes
        expected = expected[:, 1:]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("case", ["numbers", "texts", "objects", "two", "truths", "one"])
def test_from_onnx_reads_what_skl2onnx_writes_of_fastnns_classifiers(case, zipmap):
    skl2onnx = pytest.importorskip("skl2onnx")
    options, X, y = CLASSIFIERS[case]
    pipeline = fitted(MLPClassifier, options, X, y)
    options = {id(pipeline): {"zipmap": zipmap}}
    net = fastnn.from_onnx(skl2onnx.to_onnx(pipeline, X[:1].astype("f4"), options=options))
    expected = pipeline.predict_proba(X)[:, -net.n_out :]
    np.testing.assert_allclose(net.predict(X), expected, rtol=0, atol=1e-4)
    classes = tuple(pipeline.classes_.tolist())
    assert net.classes == (None if case == "one" else classes)


# ---- estimators in the place of their networks ---------------------------------------------------


ESTIMATORS = {
    "ours": lambda: MLPClassifier(9, max_iter=30, tol=1e-3, alpha=0.1, random_state=3),
    "ours by sgd": lambda: MLPClassifier(9, solver="sgd", momentum=0.5, early_stopping=True),
    "ours by lbfgs": lambda: MLPClassifier(9, solver="lbfgs", max_iter=20),
    "ours by an optimizer": lambda: MLPClassifier(9, optimizer="sgd", learning_rate_init=0.1),
    "a pipeline": lambda: make_pipeline(StandardScaler(), MLPClassifier(9, max_iter=30)),
    "scikit-learn's": lambda: theirs.MLPClassifier(9, max_iter=30),
}


@pytest.mark.parametrize("case", ESTIMATORS)
def test_an_estimator_stands_for_its_network(case, tmp_path):
    est = ESTIMATORS[case]().fit(FLOWERS, NAMES)
    expected = est.predict_proba(FLOWERS)
    twin = fastnn.to_sklearn(est)
    assert type(twin) is theirs.MLPClassifier
    np.testing.assert_allclose(twin.predict_proba(FLOWERS), expected, rtol=0, atol=1e-12)
    assert twin.predict(FLOWERS).tolist() == est.predict(FLOWERS).tolist()
    fastnn.to_c(est, tmp_path / "flowers.c")
    assert "flowers_predict" in (tmp_path / "flowers.h").read_text()
    pytest.importorskip("onnx")
    (found,) = run(fastnn.onnx.export(est), FLOWERS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_an_estimator_becomes_a_module():
    torch = pytest.importorskip("torch")
    est = MLPClassifier(9, max_iter=30).fit(FLOWERS, NAMES)
    found = fastnn.to_torch(est)(torch.from_numpy(FLOWERS)).detach().numpy()
    np.testing.assert_allclose(found, est.predict_proba(FLOWERS), rtol=0, atol=1e-12)


def test_scikit_learns_estimator_keeps_parameters_and_curves():
    mine = MLPClassifier(9, solver="sgd", momentum=0.5, early_stopping=True, max_iter=30,
                         tol=1e-3, random_state=3, batch_size=20).fit(FLOWERS, NAMES)  # fmt: skip
    twin = fastnn.to_sklearn(mine)
    shared = {"hidden_layer_sizes": (9,), "activation": "relu"}
    for name, value in twin.get_params().items():
        assert value == {**mine.get_params(), **shared}[name]
    for name in ("n_iter_", "t_", "loss_", "loss_curve_", "validation_scores_"):
        assert getattr(twin, name) == getattr(mine, name)
    other = fastnn.to_sklearn(mine, optimizer="adam")
    assert (other.solver, other.tol, other.momentum) == ("adam", 1e-3, 0.9)


@pytest.mark.parametrize("write", ["to_sklearn", "to_torch", "to_c", "export"])
def test_what_has_no_network_is_named(write, tmp_path):
    def call(net):
        if write == "to_c":
            fastnn.to_c(net, tmp_path / "net.c")
        elif write == "export":
            pytest.importorskip("onnx")
            fastnn.onnx.export(net, tmp_path / "net.onnx")
        else:
            if write == "to_torch":
                pytest.importorskip("torch")
            getattr(fastnn, write)(net)

    for value in (3, None, MLPClassifier):
        with pytest.raises(TypeError, match="net must be an MLP or a fitted estimator; got"):
            call(value)
    with pytest.raises(
        TypeError,
        match=r"net must be a fitted MLPClassifier or MLPRegressor, .*; got Linear",
    ):
        call(LinearRegression())
    with pytest.raises(ValueError, match="net is not fitted; call fit first"):
        call(MLPClassifier())
    assert list(tmp_path.iterdir()) == []


# ---- the learning rate of an estimator's network -------------------------------------------------


@pytest.mark.parametrize("library", [ours, theirs], ids=["fastnn", "sklearn"])
def test_rates_that_change_go_on_or_are_warned_of(library):
    options = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 30, "random_state": 0,
               "n_iter_no_change": 40}  # fmt: skip
    est = library.MLPClassifier(9, learning_rate="adaptive", tol=0.01, **options)
    rate = fastnn.from_sklearn(est.fit(FLOWERS, KIND)).optimizer.learning_rate
    assert rate == fastnn.Adaptive(est._optimizer.learning_rate, patience=41, tol=0.01)
    est = library.MLPClassifier(9, learning_rate="invscaling", **options).fit(FLOWERS, KIND)
    with pytest.warns(UserWarning, match="the rate reached so far, 0.00149") as caught:
        net = fastnn.from_sklearn(est)
    assert caught[0].filename == __file__
    assert net.optimizer.learning_rate == pytest.approx(0.1 / (30 * 150 + 1) ** 0.5)
    fastnn.to_sklearn(est)  # no warning: no training is meant
    fastnn.from_sklearn(est, optimizer="sgd")


# ---- skops --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["numbers", "two", "labels"])
def test_skops_needs_to_trust_the_estimator_alone(case):
    skops = pytest.importorskip("skops.io")
    options, X, y = CLASSIFIERS[case]
    pipeline = fitted(MLPClassifier, {"solver": "sgd", **options}, X, y)
    content = skops.dumps(pipeline)
    trusted = skops.get_untrusted_types(data=content)
    assert trusted == ["fastnn.sklearn.MLPClassifier"]
    twin = skops.loads(content, trusted=trusted)
    assert np.array_equal(twin.predict_proba(X), pipeline.predict_proba(X))
    for model in (twin, pipeline):  # training goes on with the same bits
        model[-1].partial_fit(X, y)
    assert np.array_equal(twin.predict_proba(X), pipeline.predict_proba(X))
