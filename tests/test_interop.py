"""Networks from and to scikit-learn and PyTorch give the same predictions.

Tests that every kind of estimator and module that can be converted gives the same outputs to
rounding and can continue its training, and that an error names what cannot be converted.

Not here: ONNX (test_onnx.py), fastnn's own estimators (test_sklearn.py).
"""

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler, scale

import fastnn
from fastnn import MLP, SGD, Activation, Adam, BinaryCrossEntropy, Dense, Dropout, Standardize
from fastnn import sklearn as ours
from fastnn.layers import Activate, LayerNorm, Residual

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    # What scikit-learn before 1.8 asks of SciPy.
    pytest.mark.filterwarnings("ignore:.*`disp` and `iprint` options:DeprecationWarning"),
]

FLOWERS, KIND = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[KIND]
PATIENTS, COURSE = (scale(array) for array in load_diabetes(return_X_y=True))
SEVERAL, LABELS = make_multilabel_classification(n_classes=4, random_state=0)
POISSON = "loss" in inspect.signature(theirs.MLPRegressor).parameters  # 1.7 and newer

CASES = {
    "classes": ("MLPClassifier", {}, FLOWERS, NAMES),
    "two classes": ("MLPClassifier", {}, FLOWERS[:100], NAMES[:100]),
    "labels": ("MLPClassifier", {}, SEVERAL, LABELS),
    "one target": ("MLPRegressor", {}, PATIENTS, COURSE),
    "two targets": ("MLPRegressor", {}, PATIENTS, np.c_[COURSE, COURSE**2]),
    "counts": ("MLPRegressor", {"loss": "poisson"}, PATIENTS, np.round(np.exp(COURSE))),
}
LIBRARIES = {"sklearn": theirs, "fastnn": ours}


def outputs(est, X):
    """Return an estimator's outputs (n, n_out), of two classes the second's."""
    found = est.predict_proba(X) if hasattr(est, "predict_proba") else est.predict(X)
    found = found.reshape(len(X), -1)
    binary = hasattr(est, "predict_proba") and est.n_outputs_ == 1
    return found[:, 1:] if binary else found


def fitted(library, case, **options):
    name, more, X, y = CASES[case]
    if case == "counts" and not POISSON and library == "sklearn":
        pytest.skip("scikit-learn before 1.7 has no loss='poisson'")
    kind = getattr(LIBRARIES[library], name)
    options = {"hidden_layer_sizes": (9, 5), "max_iter": 20, "random_state": 0} | more | options
    return kind(**options).fit(X, y), X, y


def assert_close(found, expected, tolerance=1e-12):
    assert found.shape == expected.shape
    np.testing.assert_array_less(np.abs(found - expected) / (1 + np.abs(expected)), tolerance)


# ---- from scikit-learn --------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_an_estimators_network_has_its_outputs(case, library):
    est, X, _ = fitted(library, case)
    net = fastnn.from_sklearn(est)
    assert net.dtype == np.float64
    assert_close(net.predict(X), outputs(est, X))
    if "classes" in case:
        assert net.classes == tuple(est.classes_.tolist())


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("sizes", [(), (7,), (6, 5, 4)], ids=str)
def test_every_activation_and_depth_goes_there_and_back(activation, sizes):
    est, X, y = fitted("sklearn", "classes", activation=activation, hidden_layer_sizes=sizes)
    net = fastnn.from_sklearn(est)
    back = fastnn.to_sklearn(net)
    assert_close(net.predict(X), est.predict_proba(X))
    assert_close(back.predict_proba(X), est.predict_proba(X))
    np.testing.assert_array_equal(back.predict(X), est.predict(X))
    assert back.score(X, y) == est.score(X, y)


def test_float32_stays_float32():
    est = theirs.MLPClassifier(5, max_iter=5, random_state=0).fit(FLOWERS.astype("f4"), KIND)
    net = fastnn.from_sklearn(est)
    assert net.dtype == np.float32
    assert_close(net.predict(FLOWERS), est.predict_proba(FLOWERS.astype("f4")), 1e-6)


@pytest.mark.parametrize(
    ("options", "optimizer"),
    [
        ({"solver": "lbfgs"}, Adam(epsilon_hat=True)),
        ({"beta_1": 0.8, "epsilon": 1e-6}, Adam(beta_1=0.8, epsilon=1e-6, epsilon_hat=True)),
        ({"solver": "sgd", "learning_rate_init": 0.1}, SGD(0.1, 0.9, nesterov=True)),
        ({"solver": "sgd", "momentum": 0.0}, SGD(0.001)),
        ({"epsilon": 1e-300}, Adam(epsilon=2.0**-126, epsilon_hat=True)),
        ({"solver": "lbfgs", "epsilon": 1e-300}, Adam(epsilon=2.0**-126, epsilon_hat=True)),
        (
            {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 10**30},
            SGD(0.001, 0.9, nesterov=True),
        ),
    ],
)
def test_training_goes_on_with_the_estimators_rule(options, optimizer):
    est, X, _ = fitted("sklearn", "classes", alpha=0.25, **options)
    net = fastnn.from_sklearn(est, seed=0)
    assert net.optimizer == optimizer
    assert (net.scale_penalties, [layer.l2 for layer in net.dense]) == (True, [0.125] * 3)
    assert net.loss.name == "cross_entropy"
    losses = net.fit(X, NAMES, epochs=50).history["loss"]  # with penalties
    assert min(losses[1:]) < losses[0]


def test_the_same_updates_follow_as_in_scikit_learn():
    """Penalties, rate and rule together: three steps of plain gradient descent."""
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.5, "learning_rate_init": 0.1}
    est, X, y = fitted("sklearn", "classes", shuffle=False, batch_size=len(FLOWERS), **options)
    net = fastnn.from_sklearn(est)
    for _ in range(3):
        net.train_on_batch(X, NAMES)
        est.partial_fit(X, y)
    assert_close(net.predict(X), est.predict_proba(X), 1e-10)


@pytest.mark.parametrize("library", LIBRARIES)
def test_loss_optimizer_and_seed_can_be_others(library):
    est, X, _ = fitted(library, "one target")
    net = fastnn.from_sklearn(est, loss="huber", optimizer="sgd", seed=5)
    assert (net.loss.name, net.optimizer, net.seed) == ("huber", SGD(), 5)
    assert_close(net.predict(X), outputs(est, X))


def test_the_network_of_an_estimator_is_a_copy():
    est, X, _ = fitted("fastnn", "classes")
    before = est.predict_proba(X)
    net = fastnn.from_sklearn(est)
    assert net.step == est.net_.step
    net.fit(X, NAMES, epochs=3)
    np.testing.assert_array_equal(est.predict_proba(X), before)
    est.coefs_[0] = est.coefs_[0] * 2  # weights set by hand count, too
    assert_close(fastnn.from_sklearn(est).predict(X), est.predict_proba(X))


@pytest.mark.parametrize("library", LIBRARIES)
def test_names_of_columns_are_kept(library):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLOWERS, columns=list("abcd"))
    kind = LIBRARIES[library].MLPClassifier
    est = kind(4, max_iter=3, random_state=0).fit(frame, KIND)
    net = fastnn.from_sklearn(est)
    assert net.feature_names == tuple("abcd")
    back = fastnn.to_sklearn(net)
    assert back.feature_names_in_.tolist() == list("abcd")
    assert_close(back.predict_proba(frame), est.predict_proba(frame))
    with pytest.raises(ValueError, match="feature names"):
        back.predict(frame[list("bacd")])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "scalers",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MinMaxScaler((-1, 2))],
        [MaxAbsScaler(), "passthrough", RobustScaler()],
        [RobustScaler(with_scaling=False)],
    ],
    ids=str,
)
def test_scalers_before_it_become_a_standardize(scalers, library):
    est = LIBRARIES[library].MLPClassifier((6, 5), activation="tanh", max_iter=10, random_state=0)
    pipeline = make_pipeline(*scalers, est).fit(FLOWERS, NAMES)
    net = fastnn.from_sklearn(pipeline)
    assert isinstance(net.layers[0], Standardize)
    assert_close(net.predict(FLOWERS), pipeline.predict_proba(FLOWERS))
    assert net.classes == tuple(est.classes_.tolist())
    assert (net.loss.name, net.optimizer) == ("cross_entropy", Adam(epsilon_hat=True))
    assert_close(fastnn.to_sklearn(net).predict_proba(FLOWERS), pipeline.predict_proba(FLOWERS))


@pytest.mark.parametrize(
    ("scaler", "name"),
    [
        (StandardScaler(), "with_mean"),
        (StandardScaler(), "with_std"),
        (RobustScaler(), "with_centering"),
        (RobustScaler(), "with_scaling"),
    ],
    ids=str,
)
def test_parameters_of_a_scaler_that_are_set_after_its_fit(scaler, name):
    est = theirs.MLPClassifier((6, 5), activation="tanh", max_iter=10, random_state=0)
    pipeline = make_pipeline(scaler, est).fit(FLOWERS, NAMES)
    before = pipeline.predict_proba(FLOWERS)
    pipeline[0].set_params(**{name: False})
    expected = pipeline.predict_proba(FLOWERS)
    assert np.abs(expected - before).max() > 0.01
    assert_close(fastnn.from_sklearn(pipeline).predict(FLOWERS), expected)


def test_the_columns_of_a_pipeline_are_those_of_its_first_step():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(FLOWERS, columns=list("abcd"))
    pipeline = make_pipeline(StandardScaler(), ours.MLPClassifier(5, max_iter=3)).fit(frame, KIND)
    assert fastnn.from_sklearn(pipeline).feature_names == tuple("abcd")


def test_options_that_only_fastnns_estimators_have_stay_behind_scalers():
    options = {"dropout": 0.25, "loss": "huber", "optimizer": "rmsprop", "max_iter": 3}
    est = ours.MLPRegressor(activation="gelu", random_state=0, **options)
    pipeline = make_pipeline(StandardScaler(), est).fit(PATIENTS, COURSE)
    net = fastnn.from_sklearn(pipeline)
    assert net.layers[2] == Dropout(0.25)
    assert (net.loss.name, net.optimizer.name) == ("huber", "rmsprop")
    assert_close(net.predict(PATIENTS).ravel(), pipeline.predict(PATIENTS))


def test_other_steps_of_a_pipeline_are_refused_by_their_names():
    est = theirs.MLPRegressor(max_iter=3)
    pipeline = make_pipeline(PCA(), est).fit(PATIENTS, COURSE)
    with pytest.raises(TypeError, match=r"step 'pca' \(PCA\) before est must be one of Standard"):
        fastnn.from_sklearn(pipeline)
    pipeline = make_pipeline(MinMaxScaler(clip=True), est).fit(PATIENTS, COURSE)
    with pytest.raises(ValueError, match=r"step 'minmaxscaler' \(MinMaxScaler\) clips"):
        fastnn.from_sklearn(pipeline)
    with pytest.raises(TypeError, match="est must be a fitted MLPClassifier or MLPRegressor, or"):
        fastnn.from_sklearn(make_pipeline(StandardScaler()))
    with pytest.raises(ValueError, match=r"est is not fitted; call fit first"):
        fastnn.from_sklearn(make_pipeline(StandardScaler(), theirs.MLPRegressor()))


@pytest.mark.parametrize("library", LIBRARIES)
def test_anything_but_a_fitted_estimator_is_refused(library):
    with pytest.raises(ValueError, match="est is not fitted; call fit first"):
        fastnn.from_sklearn(LIBRARIES[library].MLPRegressor())
    with pytest.raises(
        TypeError,
        match=r"est must be a fitted MLPClassifier or MLPRegressor, .*; got 'mlp'",
    ):
        fastnn.from_sklearn("mlp")


def test_estimators_of_several_networks(tmp_path, rng):
    """Functions that average networks take them; others name the networks to pass."""
    X = rng.normal(size=(60, 3))
    frame = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0, "x", "y")})
    ensemble = ours.MLPEnsembleRegressor(n_members=2, max_iter=2).fit(X, X[:, 0])
    tabular = ours.TabularRegressor(n_nets=2, max_iter=2).fit(frame, X[:, 0])
    for number, estimator in enumerate((ensemble, tabular)):
        path = tmp_path / f"net{number}.c"
        fastnn.to_c(estimator, path, name="net")
        text = path.read_text()
        fastnn.to_c(estimator.fits_, path, name="net")
        assert path.read_text() == text
        with pytest.raises(TypeError, match=r"which has several networks; pass .* fits_\[0\]"):
            fastnn.to_sklearn(estimator)
    with pytest.raises(NotFittedError):
        fastnn.to_c(ours.TabularRegressor(), tmp_path / "net.c")


def test_assigned_weights_are_exported(tmp_path, rng):
    X = rng.normal(size=(60, 3))
    ensemble = ours.MLPEnsembleRegressor(n_members=2, max_iter=2).fit(X, X[:, 0])
    before = fastnn.to_c(ensemble, tmp_path / "net.c") or (tmp_path / "net.c").read_text()
    ensemble.estimators_[0].coefs_[1] = 0 * ensemble.estimators_[0].coefs_[1]
    fastnn.to_c(ensemble, tmp_path / "net.c")
    after = (tmp_path / "net.c").read_text()
    ensemble.predict(X)  # copies the weights to the network
    fastnn.to_c(ensemble.fits_, tmp_path / "net.c")
    assert before != after == (tmp_path / "net.c").read_text()


def test_networks_of_groups_have_no_mean_to_export(tmp_path, rng):
    X = rng.normal(size=(60, 3))
    model = ours.MLPByGroup(None, ours.MLPRegressor(max_iter=2))
    model.fit(X, X[:, 0], groups=np.arange(60) % 2)
    with pytest.raises(ValueError, match=r"each group of rows.*net\.estimators_\[label\]"):
        fastnn.to_c(model, tmp_path / "net.c")
    assert not (tmp_path / "net.c").exists()
    fastnn.to_c(model.estimators_[0], tmp_path / "net.c")


# ---- to scikit-learn ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_an_estimator_comes_back(case):
    est, X, _ = fitted("sklearn", case)
    back = fastnn.to_sklearn(fastnn.from_sklearn(est))
    assert type(back) is type(est)
    assert_close(outputs(back, X), outputs(est, X))
    if hasattr(est, "classes_"):
        np.testing.assert_array_equal(back.predict(X), est.predict(X))
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(back, name) == getattr(est, name)
    for name in ("hidden_layer_sizes", "activation", "solver", "alpha", "learning_rate_init"):
        assert getattr(back, name) == getattr(est, name)


@pytest.mark.parametrize("case", CASES)
def test_it_is_an_estimator_like_any_other(case):
    est, X, y = fitted("sklearn", case)
    back = fastnn.to_sklearn(fastnn.from_sklearn(est))
    for twin in (pickle.loads(pickle.dumps(back)), copy.deepcopy(back)):
        np.testing.assert_array_equal(outputs(twin, X), outputs(back, X))
    assert not hasattr(clone(back), "coefs_")
    loss = type(back)(**back.get_params() | {"max_iter": 40, "random_state": 0}).fit(X, y).loss_
    assert loss < est.loss_ * 1.1
    for _ in range(40):
        back.partial_fit(X, y)
    assert len(back.loss_curve_) == 40
    assert back.loss_curve_[0] == pytest.approx(est.loss_, rel=0.1)
    assert back.loss_curve_[-1] < back.loss_curve_[0]


NOT_KEPT = {"a text": ["only"] * 150, "a number": [7] * 150, "dates": KIND.astype("M8[D]")}


@pytest.mark.parametrize("y", NOT_KEPT.values(), ids=NOT_KEPT)
def test_labels_that_no_network_keeps_stay_with_the_estimator(y):
    mine = ours.MLPClassifier(4, max_iter=3, random_state=0).fit(FLOWERS, y)
    back = fastnn.to_sklearn(mine)
    np.testing.assert_array_equal(back.classes_, mine.classes_)
    np.testing.assert_array_equal(back.predict(FLOWERS), mine.predict(FLOWERS))
    np.testing.assert_allclose(back.predict_proba(FLOWERS), mine.predict_proba(FLOWERS))
    back.partial_fit(FLOWERS, y)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_single_class_is_no_network(library):
    est = LIBRARIES[library].MLPClassifier(4, max_iter=3).fit(FLOWERS, ["only"] * 150)
    for each in (est, make_pipeline(StandardScaler(), est).fit(FLOWERS, ["only"] * 150)):
        with pytest.raises(ValueError, match=r"has the single class 'only'"):
            fastnn.from_sklearn(each)


def test_all_layers_that_only_fastnn_has(rng):
    X = rng.normal(3, 2, (50, 4))
    layers = [Standardize(), Dense(5, "tanh", use_bias=False), Dropout(0.2), Dense(2, "softmax")]
    net = MLP(4, layers, loss="cross_entropy", optimizer="rmsprop", dtype="float64", seed=0)
    net.adapt(X)
    est = fastnn.to_sklearn(net, optimizer="adam")
    assert est.n_outputs_ == 1
    assert est.classes_.tolist() == [0, 1]
    assert_close(est.predict_proba(X), net.predict(X))
    np.testing.assert_array_equal(est.predict(X), net.predict(X).argmax(1))


def test_a_float32_network_gives_float32_outputs(rng):
    X = rng.normal(size=(50, 4)).astype("f4")
    net = MLP(4, [Dense(5, "relu"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    est = fastnn.to_sklearn(net)
    assert est.predict(X).dtype == np.float32
    assert_close(est.predict(X), net.predict(X).ravel(), 1e-6)
    est.partial_fit(X, X[:, 0])


def test_the_global_generator_is_left_alone():
    net = MLP(4, [Dense(5, "relu"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fastnn.to_sklearn(net)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [Dense(3, "relu"), Dense(3, "gelu"), Dense(1)],
            "Dense layer 1 of 3 has gelu; scikit-learn only has identity, sigmoid, tanh, relu",
        ),
        (
            [Dense(3, "relu"), Dense(3, "tanh"), Dense(1)],
            "Dense layer 1 of 3 has tanh, but Dense layer 0 of 3 relu; scikit-learn has one",
        ),
        ([Dense(3, "relu"), Dense(1, "tanh")], "Dense layer 1 of 2 has tanh; scikit-learn's out"),
        (
            [Dense(3, "relu"), LayerNorm(), Dense(1)],
            "to_sklearn cannot write LayerNorm layer 0 of 1; scikit-learn has no such layer",
        ),
        (
            [Dense(3, "relu"), Residual([Dense(3)]), Dense(1)],
            "to_sklearn cannot write a Residual; scikit-learn has no residual connections",
        ),
    ],
)
def test_what_scikit_learn_lacks_is_refused_by_its_layer(layers, message):
    net = MLP(2, layers, loss="squared_error", optimizer="sgd")
    with pytest.raises(ValueError, match=message):
        fastnn.to_sklearn(net)


@pytest.mark.parametrize(
    ("last", "loss", "optimizer", "message"),
    [
        ("identity", "huber", "sgd", "loss 'huber', which scikit-learn lacks for identity outputs; "
         "pass loss='squared_error'"),
        ("sigmoid", "squared_error", "sgd", "pass loss='binary_cross_entropy'"),
        ("identity", "squared_error", "adamw", "optimizer 'adamw', which scikit-learn lacks; pass "
         "optimizer='sgd' or 'adam'"),
        ("exp", "poisson", "rmsprop", "optimizer 'rmsprop', which scikit-learn lacks"),
        ("sigmoid", BinaryCrossEntropy(0.25), "sgd", "loss 'binary_cross_entropy' with "
         "label_smoothing=0.25, which scikit-learn lacks for sigmoid outputs; pass loss='binary_"),
        ("identity", "squared_error", SGD(maximize=True), "optimizer 'sgd' with maximize=True, "
         "which scikit-learn lacks; pass optimizer='sgd' or 'adam'"),
        ("identity", "squared_error", Adam(amsgrad=True, weight_decay=0.5), "optimizer 'adam' with "
         "amsgrad=True, weight_decay=0.5, which scikit-learn lacks; pass optimizer="),
    ],
)  # fmt: skip
def test_a_loss_or_an_optimizer_that_scikit_learn_lacks_is_refused(last, loss, optimizer, message):
    """Unless another one is given: the predictions are the same."""
    net = MLP(2, [Dense(3, "relu"), Dense(1, last)], loss=loss, optimizer=optimizer)
    with pytest.raises(ValueError, match=f"^net has the .*{message}"):
        fastnn.to_sklearn(net)
    if last == "exp" and not POISSON:
        return
    theirs = {"identity": "squared_error", "sigmoid": "binary_cross_entropy", "exp": "poisson"}
    est = fastnn.to_sklearn(net, loss=theirs[last], optimizer=SGD(0.25))
    assert (est.solver, est.learning_rate_init) == ("sgd", 0.25)
    X = np.array([[1, 2], [3, -4]], "f4")
    assert_close(outputs(est, X), net.predict(X), 1e-6)


def test_alpha_is_the_same_penalty_if_penalties_are_scaled(rng):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    layers = [Dense(4, "tanh", l2=0.5), Dense(1, l2=0.5)]
    options = {"optimizer": SGD(0.125), "dtype": "float64", "seed": 0, "scale_penalties": True}
    net = MLP(3, layers, loss="squared_error", **options)
    est = fastnn.to_sklearn(net).set_params(batch_size=60)
    est.partial_fit(X, y)
    net.train_on_batch(X, y)
    assert_close(est.coefs_[0], net.get_weights()[0])
    assert_close(est.coefs_[1], net.get_weights()[2])


def test_only_networks_become_estimators():
    with pytest.raises(
        TypeError,
        match=r"^net must be a fitted MLPClassifier or MLPRegressor, .*; got PCA\(\)",
    ):
        fastnn.to_sklearn(PCA())


def test_classes_that_scikit_learn_could_not_have_are_refused():
    net = MLP(2, [Dense(3, "softmax")], loss="cross_entropy", optimizer="sgd")
    net.classes = ["c", "b", "a"]
    with pytest.raises(ValueError, match=r"^net\.classes must be sorted, .* \('c', 'b', 'a'\)"):
        fastnn.to_sklearn(net)
    net.classes = [0.1, 1, 2]
    with pytest.raises(ValueError, match=r"^net\.classes must be text or whole numbers, .*0\.1, "):
        fastnn.to_sklearn(net)
    net.classes = [0.0, 1, 2]
    assert fastnn.to_sklearn(net).classes_.tolist() == [0, 1, 2]


def test_without_scikit_learn(monkeypatch):
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="sgd")
    for name in ("sklearn", "sklearn.neural_network"):
        monkeypatch.setitem(sys.modules, name, None)
    message = "^to_sklearn needs scikit-learn; install it with pip install scikit-learn$"
    with pytest.raises(ImportError, match=message):
        fastnn.to_sklearn(net)
    monkeypatch.setitem(sys.modules, "torch", None)
    message = "^to_torch needs torch; install it with pip install torch$"
    with pytest.raises(ImportError, match=message):
        fastnn.to_torch(net)
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Sequential; got 1 \(int\)"):
        fastnn.from_torch(1)


def test_nothing_is_imported_to_be_handed_an_object():
    code = """
import sys, fastnn
for convert in (fastnn.from_sklearn, fastnn.from_torch):
    try:
        convert(1)
    except TypeError as error:
        print(error)
assert not sys.modules.keys() & {"sklearn", "torch", "fastnn.sklearn"}
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.count("got 1 (int)") == 2


# ---- PyTorch ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def nn(torch):
    torch.manual_seed(0)
    return torch.nn


def predicted(torch, module, X):
    with torch.no_grad():
        return module.eval()(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_goes_there_and_back_again(torch, activation, dtype, rng):
    if activation.name == "exp":
        pytest.skip("PyTorch has no such module")
    layers = [Standardize(), Dense(6, "silu"), Dropout(0.5), Dense(3, activation, use_bias=False)]
    net = MLP(4, layers, loss="squared_error", optimizer="adam", dtype=dtype, seed=0)
    X = rng.normal(2, 3, (50, 4)).astype(dtype)
    net.adapt(X)
    module = fastnn.to_torch(net)
    assert not module.training
    assert_close(predicted(torch, module, X), net.predict(X), 64 * np.finfo(dtype).eps)
    back = fastnn.from_torch(module)
    assert back.dtype == net.dtype
    assert [str(layer.activation) for layer in back.dense] == ["silu", str(activation)]
    assert back.layers[0::2] == (Standardize(), Dropout(0.5))
    assert_close(back.predict(X), net.predict(X), 64 * np.finfo(dtype).eps)


@pytest.mark.parametrize("layers", [[Dense(8, "tanh")], [Residual([Dense(3, "tanh")])]], ids=str)
@pytest.mark.parametrize("mean", [1e3, 1e7])
def test_columns_of_large_means_keep_their_digits(torch, layers, mean, tmp_path, rng):
    X = (mean + rng.normal(size=(500, 3))).astype("f4")
    net = MLP(3, [Standardize(), *layers, Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    net.adapt(X)
    module = fastnn.to_torch(net)
    torch.save(module, tmp_path / "module.pt")
    for twin in (module, torch.load(tmp_path / "module.pt", weights_only=False)):
        assert_close(predicted(torch, twin, X), net.predict(X), 1e-5)
        back = fastnn.from_torch(twin)
        assert back.layers == net.layers
        assert_close(back.predict(X), net.predict(X), 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_norm_goes_there_and_back_again(torch, dtype, rng):
    layers = (LayerNorm(), Dense(6, "tanh"), LayerNorm(0.1, trainable=False), Dense(3))
    net = MLP(4, layers, loss="squared_error", optimizer="adam", dtype=dtype, seed=0)
    net.set_weights([rng.normal(1, 0.5, w.shape) for w in net.get_weights()])
    X = rng.normal(2, 3, (50, 4)).astype(dtype)
    module = fastnn.to_torch(net)
    assert [module[i].weight.requires_grad for i in (0, 3)] == [True, False]
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    assert_close(predicted(torch, module, X), net.predict(X), tolerance)
    back = fastnn.from_torch(module)
    assert back.layers == layers
    for one, other in zip(back.get_weights(), net.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


NESTED = [
    Residual([LayerNorm(), Dense(9, "gelu"), Residual([Dense(9, "tanh")]), Dropout(0.5), Dense(4)]),
    Residual([Residual([Dense(4, "relu")])]),
    Dense(3),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_residuals_go_there_and_back_again(torch, dtype, tmp_path, rng):
    net = MLP(4, NESTED, loss="squared_error", optimizer="adam", dtype=dtype, seed=0)
    X = rng.normal(2, 3, (50, 4)).astype(dtype)
    module = fastnn.to_torch(net)
    assert not any(part.training for part in module.modules())
    assert str(module[1].block[0].block[0]) == "Linear(in_features=4, out_features=4, bias=True)"
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    assert_close(predicted(torch, module, X), net.predict(X), tolerance)
    torch.save(module, tmp_path / "module.pt")
    for twin in (
        module,
        copy.deepcopy(module),
        torch.load(tmp_path / "module.pt", weights_only=False),
    ):
        back = fastnn.from_torch(twin)
        assert back.layers == tuple(NESTED)
        for one, other in zip(back.get_weights(), net.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_residual_is_unpickled_by_another_process(torch, tmp_path):
    net = MLP(4, NESTED, loss="squared_error", optimizer="adam", seed=0)
    torch.save(fastnn.to_torch(net), tmp_path / "module.pt")
    code = "import torch, sys; print(torch.load(sys.argv[1], weights_only=False)[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "module.pt")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Residual(")


@pytest.mark.parametrize("opset", [11, 17])
def test_residuals_as_pytorch_exports_them_to_onnx(torch, opset, tmp_path, rng):
    pytest.importorskip("onnx")
    net = MLP(4, NESTED, loss="squared_error", optimizer="adam", seed=0)
    net.set_weights([rng.normal(0, 0.5, w.shape) for w in net.get_weights()])
    module, path = fastnn.to_torch(net), str(tmp_path / "net.onnx")
    X = rng.normal(size=(20, 4)).astype("f4")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (torch.from_numpy(X),), path, dynamo=False, opset_version=opset)
    back = fastnn.from_onnx(path)
    first = Residual([layer for layer in NESTED[0].layers if not isinstance(layer, Dropout)])
    assert back.layers == (first, *NESTED[1:])
    assert_close(back.predict(X), net.predict(X), 1e-6)


@pytest.mark.parametrize("options", [{"elementwise_affine": False}, {"bias": False}], ids=str)
def test_a_layer_norm_without_gain_or_bias(torch, nn, options, rng):
    module = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5, **options), nn.Linear(5, 2)).double()
    net = fastnn.from_torch(module)
    X = rng.normal(2, 3, (50, 4))
    assert_close(net.predict(X), predicted(torch, module, X))
    np.testing.assert_array_equal(net.get_weights()[2:4], [np.ones(5), np.zeros(5)])
    assert net.layers[1].trainable is ("bias" in options)


def test_modules_without_gradients_are_frozen(nn, rng):
    module = nn.Sequential(
        nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 4),
        nn.Linear(4, 2),
    ).double()  # fmt: skip
    for part in (module[0], module[3], module[4].weight):
        part.requires_grad_(False)
    net = fastnn.from_torch(module)
    assert [layer.trainable for layer in net.layers] == [False, False, True, True]
    before = net.get_weights()
    net.fit(rng.normal(size=(50, 4)), rng.normal(size=(50, 2)))
    is_same = list(map(np.array_equal, net.get_weights(), before))
    assert is_same == [True] * 4 + [False] * 4
    layers = [Residual([Dense(4, trainable=False)]), LayerNorm(trainable=False), Dense(1)]
    frozen = MLP(4, layers, loss="squared_error", optimizer="sgd")
    assert fastnn.from_torch(fastnn.to_torch(frozen)).layers == frozen.layers


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("options", [{}, {"elementwise_affine": False}], ids=str)
def test_a_layer_norm_as_pytorch_exports_it_to_onnx(torch, nn, options, opset, tmp_path, rng):
    pytest.importorskip("onnx")
    norms = nn.LayerNorm(4, **options), nn.LayerNorm(8, eps=0.25, **options)
    module = nn.Sequential(norms[0], nn.Linear(4, 8), norms[1], nn.Linear(8, 2)).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    X = rng.normal(size=(20, 4)).astype("f4")
    path = str(tmp_path / "net.onnx")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (torch.from_numpy(X),), path, dynamo=False, opset_version=opset)
    net = fastnn.from_onnx(path)
    assert net.layers == (LayerNorm(), Dense(8), LayerNorm(0.25), Dense(2))
    assert_close(net.predict(X), predicted(torch, module, X), 1e-5)


def test_to_torch_copies_weights_and_draws_none(torch, rng):
    net = MLP(3, [Dense(2, "relu", trainable=False), Dense(1)], loss="huber", optimizer="sgd")
    before = torch.get_rng_state()
    module = fastnn.to_torch(net)
    assert torch.equal(torch.get_rng_state(), before)
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]
    weights = net.get_weights()
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(net.get_weights()[0], weights[0])
    np.testing.assert_array_equal(module[2].weight.detach().numpy().T, weights[2])


def test_modules_in_modules_with_normalizations(torch, nn, rng):
    X = rng.normal(3, 2, (60, 4))
    module = nn.Sequential(
        nn.Flatten(),
        nn.BatchNorm1d(4, affine=False),
        nn.Linear(4, 6, bias=False),
        nn.BatchNorm1d(6),
        nn.SiLU(),
        nn.BatchNorm1d(6),
        nn.Sequential(nn.Dropout(0.25), nn.Sequential(nn.Linear(6, 5), nn.GELU())),
        nn.Identity(),
        nn.Linear(5, 3),
        nn.Softmax(dim=1),
    ).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    for _ in range(20):
        module(torch.from_numpy(X))
    net = fastnn.from_torch(module)
    assert_close(net.predict(X), predicted(torch, module, X))
    kinds = [Standardize, Dense, Dropout, Dense, Dense]
    assert [type(layer) for layer in net.layers] == kinds
    assert (net.loss.name, net.optimizer.name) == ("cross_entropy", "adam")


def shifted(norm):
    """Return a BatchNorm1d whose statistics and parameters all have an effect."""
    for number, values in enumerate((*norm.buffers(), *norm.parameters())):
        if values.ndim:
            values.data.uniform_(0.5, 2.0).mul_(1 - 2 * (number == 0))
    return norm


BEHIND = {  # a Linear of 6 units: modules, and the layers that they become with it
    "ReLU6": (lambda nn: [nn.ReLU6()], [Dense(6, "relu6")]),
    "Hardtanh": (lambda nn: [nn.Hardtanh()], [Dense(6, "hard_tanh")]),
    "Hardtanh(0, 6)": (lambda nn: [nn.Hardtanh(0, 6)], [Dense(6, "relu6")]),
    "Hardsigmoid": (lambda nn: [nn.Hardsigmoid()], [Dense(6, "hard_sigmoid")]),
    "Hardswish": (lambda nn: [nn.Hardswish()], [Dense(6, "hard_silu")]),
    "Mish": (lambda nn: [nn.Mish()], [Dense(6, "mish")]),
    "GELU by tanh": (lambda nn: [nn.GELU(approximate="tanh")], [Dense(6, "gelu_tanh")]),
    "CELU": (lambda nn: [nn.CELU(2.0)], [Dense(6, "elu")]),
    "Softplus": (lambda nn: [nn.Softplus(beta=3.0)], [Dense(6, "softplus")]),
    "Threshold": (lambda nn: [nn.Threshold(0, 0)], [Dense(6, "relu")]),
    "PReLU": (lambda nn: [nn.PReLU(6)], [Dense(6, Activation("leaky_relu", 0.25))]),
    "RReLU": (lambda nn: [nn.RReLU(0.1, 0.3)], [Dense(6, Activation("leaky_relu", 0.2))]),
    "AlphaDropout": (lambda nn: [nn.SELU(), nn.AlphaDropout(0.5)], [Dense(6, "selu")]),
    "Dropout, BatchNorm1d, ReLU": (
        lambda nn: [nn.Dropout(0.25), shifted(nn.BatchNorm1d(6)), nn.ReLU()],
        [Dense(6, "relu"), Dropout(0.25)],
    ),
    "LayerNorm, ReLU": (
        lambda nn: [nn.LayerNorm(6), nn.ReLU()], [Dense(6), LayerNorm(), Activate("relu")],
    ),
    "LayerNorm, GELU, Dropout": (
        lambda nn: [nn.LayerNorm(6), nn.GELU(), nn.Dropout(0.25)],
        [Dense(6), LayerNorm(), Activate("gelu"), Dropout(0.25)],
    ),
    "two activations": (
        lambda nn: [nn.ReLU(), nn.Tanh()], [Dense(6, "relu"), Activate("tanh")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
def test_what_may_follow_a_linear_module(name, torch, nn, rng):
    make, expected = BEHIND[name]
    module = nn.Sequential(nn.Linear(4, 6), *make(nn), nn.Linear(6, 2)).double()
    net = fastnn.from_torch(module)
    assert net.layers == (*expected, Dense(2))
    X = rng.normal(0, 2, (200, 4))
    assert_close(net.predict(X), predicted(torch, module, X))
    back = fastnn.from_torch(fastnn.to_torch(net))
    assert back.layers == net.layers
    assert_close(predicted(torch, fastnn.to_torch(net), X), net.predict(X))


def test_activations_of_inputs_and_of_sums(torch, nn, rng):
    layers = [Activate("tanh"), Residual([Dense(4), Activate("silu")]), Activate("relu"), Dense(2)]
    net = MLP(4, layers, loss="squared_error", optimizer="sgd", dtype="float64", seed=0)
    module = fastnn.to_torch(net)
    X = rng.normal(size=(20, 4))
    assert_close(predicted(torch, module, X), net.predict(X))
    assert fastnn.from_torch(module).layers[2:] == tuple(layers[2:])


def test_half_precision_becomes_float32(torch, nn, rng):
    module = nn.Sequential(nn.Linear(4, 3), nn.LeakyReLU(0.2)).bfloat16()
    net = fastnn.from_torch(module)
    assert net.dtype == np.float32
    assert net.dense[0].activation == Activation("leaky_relu", 0.2)
    X = rng.normal(size=(5, 4)).astype("f4")
    assert_close(net.predict(X), predicted(torch, module.float(), X), 1e-6)


def test_an_activation_for_logits(torch, nn, rng):
    X = rng.normal(size=(20, 4)).astype("f4")
    module = nn.Sequential(nn.Linear(4, 3))
    net = fastnn.from_torch(module, output="softmax", loss="squared_error", optimizer="sgd", seed=1)
    expected = predicted(torch, nn.Sequential(module, nn.Softmax(1)), X)
    assert_close(net.predict(X), expected, 1e-6)
    assert (net.loss.name, net.optimizer.name, net.seed) == ("squared_error", "sgd", 1)
    logarithms = nn.Sequential(module, nn.LogSoftmax(1))
    assert_close(fastnn.from_torch(logarithms, output="softmax").predict(X), expected, 1e-6)
    with pytest.raises(ValueError, match=r"module '1' \(LogSoftmax\) outputs logarithms"):
        fastnn.from_torch(logarithms)


def test_a_lone_layer_and_a_module_used_twice(torch, nn, rng):
    X = rng.normal(size=(20, 4))
    layer = nn.Linear(4, 4).double()
    assert_close(fastnn.from_torch(layer).predict(X), predicted(torch, layer, X))
    twice = nn.Sequential(layer, nn.Tanh(), layer)
    assert_close(fastnn.from_torch(twice).predict(X), predicted(torch, twice, X))


def test_a_module_as_pytorch_exports_it_to_onnx(torch, nn, tmp_path, rng):
    pytest.importorskip("onnx")
    module = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ELU(0.3), nn.Linear(8, 8, bias=False), nn.SiLU(),
        nn.Dropout(), nn.Linear(8, 5), nn.GELU(), nn.Linear(5, 2), nn.Sigmoid(),
    ).eval()  # fmt: skip
    X = rng.normal(size=(20, 4)).astype("f4")
    path = str(tmp_path / "net.onnx")
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs a package more
        torch.onnx.export(module, (torch.from_numpy(X),), path, dynamo=False)
    net = fastnn.from_onnx(path)
    assert [str(layer.activation) for layer in net.dense] == ["elu(0.3)", "silu", "gelu", "sigmoid"]
    assert_close(net.predict(X), predicted(torch, module, X), 1e-5)


CONSTANT = {
    "at the beginning": lambda nn: [nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Tanh()],
    "after a Linear": lambda nn: [nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()],
    "after an activation": lambda nn: [nn.Linear(6, 6), nn.Tanh(), nn.BatchNorm1d(6)],
    "twice": lambda nn: [nn.Tanh(), nn.Dropout(0.2), nn.BatchNorm1d(6), nn.BatchNorm1d(6)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CONSTANT)
def test_a_batch_norm_that_makes_columns_constant(case, dtype, torch, nn, rng):
    """Some of its weights are 0, as after pruning or at the start of a residual branch."""
    module = nn.Sequential(*CONSTANT[case](nn), nn.Linear(6, 2)).to(getattr(torch, dtype))
    for part in module:
        if isinstance(part, nn.BatchNorm1d):
            shifted(part).weight.data[:2] = 0
    X = rng.normal(size=(20, 6)).astype(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert_close(fastnn.from_torch(module).predict(X), predicted(torch, module, X), tolerance)


def slopes(module):
    """Return a PReLU with slopes that differ."""
    module.weight.data = module.weight.data.cumsum(0)
    return module


REFUSED = {
    r"module '0' \(LazyLinear\) has parameters without a shape; call the model": (
        lambda nn: nn.Sequential(nn.LazyLinear(3))
    ),
    r"module '0' \(Linear\) has tensors on the device 'meta'": (
        lambda nn: nn.Sequential(nn.Linear(4, 3, device="meta"))
    ),
    r"module '0' \(Linear\) has complex numbers": (
        lambda nn: nn.Sequential(nn.Linear(4, 3, dtype=nn.Linear(1, 1).weight.cfloat().dtype))
    ),
    r"module '1' \(Softplus\) has beta=0": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Softplus(0.0))
    ),
    r"module '1' \(CELU\) has alpha=-1; fastnn scales an elu": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.CELU(-1.0))
    ),
    r"module '1\.0' \(Conv1d\) is a module that fastnn cannot read; pass a Sequential of Linear": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Conv1d(1, 1, 1)))
    ),
    r"^LSTM is a module that fastnn cannot read": lambda nn: nn.LSTM(4, 3),
    r"module '0' \(ReLU\) ends the network; fastnn networks end with a Dense layer": (
        lambda nn: nn.Sequential(nn.ReLU())
    ),
    r"module '2' \(Tanh\) ends the network": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.ReLU(), nn.Tanh()
    ),
    r"module '2' \(Softmax\): activation must be element-wise": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.ReLU(), nn.Softmax(1)
    ),
    r"module '1' \(Softplus\) has threshold=5, but fastnn's softplus has none": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Softplus(1, 5))
    ),
    r"module '1' \(Hardtanh\) has the bounds -2 and 2; fastnn has -1 and 1, or 0 and 6": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(-2, 2))
    ),
    r"module '1' \(Threshold\) has threshold=1 and value=0": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.Threshold(1, 0)
    ),
    r"module '1' \(PReLU\) has several slopes": lambda nn: nn.Sequential(
        nn.Linear(4, 3), slopes(nn.PReLU(3))
    ),
    r"module '1' \(PReLU\): alpha must be at least 0": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.PReLU(init=-0.5)
    ),
    r"module '1' \(Softmax\) has dim=0": lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Softmax(0)),
    r"module '2' \(Linear\) comes after a softmax": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.Softmax(1), nn.Linear(3, 3)
    ),
    r"module '1' \(Linear\) has 5 rows of weights, but module '0' \(Linear\) before it has 3": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.Linear(5, 3))
    ),
    r"module '0' \(BatchNorm1d\) has 3 numbers, but 4 inputs follow": lambda nn: nn.Sequential(
        nn.BatchNorm1d(3), nn.Linear(4, 3)
    ),
    r"module '0' \(BatchNorm1d\) keeps no statistics": lambda nn: nn.Sequential(
        nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3)
    ),
    r"module '2' \(BatchNorm1d\) scales the output of an activation at the end": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3))
    ),
    r"module '0' \(Dropout\): rate must be": lambda nn: nn.Sequential(
        nn.Dropout(1.0), nn.Linear(4, 3)
    ),
    r"module '0' \(Flatten\) has start_dim=0": lambda nn: nn.Sequential(
        nn.Flatten(0), nn.Linear(4, 3)
    ),
    r"the network has no weights": lambda nn: nn.Sequential(),
    r"module '0' \(LayerNorm\) normalizes over the shape \(3, 4\)": (
        lambda nn: nn.Sequential(nn.LayerNorm((3, 4)), nn.Linear(4, 3))
    ),
    r"module '1' \(LayerNorm\) has 4 inputs, but module '0' \(Linear\) before it has 3 outputs": (
        lambda nn: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(4), nn.Linear(4, 3))
    ),
    r"module '1' \(LayerNorm\) ends the network": lambda nn: nn.Sequential(
        nn.Linear(4, 3), nn.LayerNorm(3)
    ),
    r"module '2' \(BatchNorm1d\) scales the inputs of module '3' \(LayerNorm\)": (
        lambda nn: nn.Sequential(
            nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.LayerNorm(3), nn.Linear(3, 3)
        )
    ),
}


def test_a_module_in_a_residual_that_no_mlp_expresses_is_refused_by_its_name(torch, nn):
    net = MLP(4, [Residual([Dense(4)]), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    module = fastnn.to_torch(net)
    module[0].block.append(nn.Conv1d(1, 1, 1))
    with pytest.raises(ValueError, match=r"^module '0\.block\.1' \(Conv1d\) is a module that"):
        fastnn.from_torch(module)
    module[0].block[1] = nn.Linear(4, 5)
    with pytest.raises(ValueError, match=r"^module '0' \(Residual\) adds 4 inputs to 5 outputs"):
        fastnn.from_torch(module)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("message", REFUSED)
def test_a_module_that_no_mlp_expresses_is_refused_by_its_name(message, nn):
    with pytest.raises(ValueError, match=message):
        fastnn.from_torch(REFUSED[message](nn))


OLD_STYLE = {
    "weight_norm": lambda nn, linear: nn.utils.weight_norm(linear),
    "spectral_norm": lambda nn, linear: nn.utils.spectral_norm(linear),
    "prune": lambda nn, linear: nn.utils.prune.l1_unstructured(linear, "weight", 0.5),
    "a hook": lambda nn, linear: linear.register_forward_hook(lambda module, x, out: 2 * out),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*weight_norm:DeprecationWarning")
@pytest.mark.parametrize("name", OLD_STYLE)
def test_modules_with_hooks_are_refused(name, nn):
    importlib.import_module("torch.nn.utils.prune")
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
    OLD_STYLE[name](nn, module[0])
    message = r"^module '0' \(Linear\) has hooks of its forward pass .*remove_weight_norm"
    with pytest.raises(ValueError, match=message):
        fastnn.from_torch(module)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_parametrized_modules_are_read(name, torch, nn, rng):
    """As in evaluation mode, also if they are in training mode, and without changing them."""
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    getattr(nn.utils.parametrizations, name)(module[0])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    X = rng.normal(size=(20, 4))
    expected = predicted(torch, copy.deepcopy(module), X)
    module[1].eval()
    before = copy.deepcopy(module.state_dict())
    assert_close(fastnn.from_torch(module).predict(X), expected)
    assert [part.training for part in module.children()] == [True, False, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("convert", ["script", "trace", "freeze"])
def test_torchscript_is_refused_by_its_name(convert, torch, nn):
    module, row = nn.Sequential(nn.Linear(4, 3)).eval(), torch.zeros(1, 4)
    found = torch.jit.trace(module, row) if convert == "trace" else torch.jit.script(module)
    if convert == "freeze":
        found = torch.jit.freeze(found)
    with pytest.raises(ValueError, match=r"^\w+Module is a module that fastnn cannot read"):
        fastnn.from_torch(found)


def test_a_forward_that_was_set_on_an_object_is_refused(nn):
    """As libraries do that move weights between devices."""
    module = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))
    own = module[2].forward
    module[2].forward = lambda x: 2 * own(x)
    with pytest.raises(ValueError, match=r"^module '2' \(Linear\) has a forward of its own"):
        fastnn.from_torch(module)
    del module[2].forward
    assert fastnn.from_torch(module).n_in == 4


def test_an_unknown_output_is_refused_by_its_name(nn):
    message = r"^output='sofmax': activation must be one of .*did you mean 'softmax'"
    with pytest.raises(ValueError, match=message):
        fastnn.from_torch(nn.Linear(4, 3), output="sofmax")


def test_weights_that_are_not_finite_are_refused(torch, nn):
    module = nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():
        module[0].bias[1] = torch.nan
    with pytest.raises(ValueError, match=r"module '0' \(Linear\) has numbers that are not finite"):
        fastnn.from_torch(module)


def test_only_networks_become_modules(torch, rng):
    X = rng.normal(size=(60, 3))
    ensemble = ours.MLPEnsembleRegressor(n_members=2, max_iter=2).fit(X, X[:, 0])
    with pytest.raises(TypeError, match=r"which has several networks; pass .* fits_\[0\]"):
        fastnn.to_torch(ensemble)
    with pytest.raises(
        TypeError,
        match=r"^net must be a fitted MLPClassifier or MLPRegressor, .*; got PCA\(\)",
    ):
        fastnn.to_torch(PCA())


def test_exp_is_refused_for_pytorch_by_its_layer(torch):
    net = MLP(4, [Dense(3, "relu"), Dense(1, "exp")], loss="poisson", optimizer="sgd")
    with pytest.raises(ValueError, match="Dense layer 1 of 2 has exp, for which PyTorch has no"):
        fastnn.to_torch(net)
