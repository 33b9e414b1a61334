"""A program as users write it, for type checkers: what the API takes, and what it returns.

`tests/test_types.py` has mypy and pyright check it, each at its strictest, and runs it. A line that
ends with the comment "wrong" must be an error to both; no other line may be one.
"""

import sys
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastnn
from fastnn import (
    MLP,
    SGD,
    Accuracy,
    Activation,
    Adam,
    Callback,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    History,
    Huber,
    LayerNorm,
    LinearWarmup,
    ModelCheckpoint,
    Quantile,
    ReduceLROnPlateau,
    Residual,
    Standardize,
    kernels,
)
from fastnn.layers import Layer
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.schedules import Schedule

Floats = NDArray[np.float32]


def data() -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (n, 4) and their classes (n,)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((64, 4), dtype=np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def build() -> MLP:
    """Return a network of every kind of layer."""
    layers: list[Layer] = [
        Standardize(),
        Dense(8, "relu", l2=1e-4),
        Dropout(0.1),
        Dense(8, Activation("leaky_relu", alpha=0.2), use_bias=False, initializer="he_normal"),
        LayerNorm(),
        Residual([Dense(8, "tanh"), Dropout(0.1), Dense(8)]),
        Dense(2, activation="softmax"),
    ]
    schedule = LinearWarmup(CosineDecay(1e-2, 100), 10)
    assert_type(schedule(3), float)
    net = MLP(
        4,
        layers,
        loss="cross_entropy",
        optimizer=Adam(schedule, clipnorm=1.0),
        dtype="float32",
        seed=0,
    )
    assert_type(net.layers, tuple[Layer, ...])
    assert_type(net.dense[0].activation.name, str)
    assert_type(net.dense[1].activation.alpha, float | None)
    assert_type(net.loss, Loss)
    assert_type(net.optimizer, Optimizer)
    assert_type(net.optimizer.learning_rate, float | Schedule)
    assert_type(net.n_threads, int)
    return net


class StopWhenGood(Callback):
    """A callback of one's own."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Stop at a small loss."""
        if logs["loss"] < 0.01:
            self.model.stop_training = True


def mean_error(y_true: NDArray[Any], y_pred: NDArray[Any]) -> float:
    """Return the mean of the errors: a metric of one's own."""
    return np.count_nonzero(y_pred.argmax(axis=1) != y_true) / len(y_true)


def train(net: MLP, folder: Path) -> None:
    """Fit, evaluate, predict."""
    X, y = data()
    history = net.fit(
        X,
        y,
        epochs=3,
        batch_size=16,
        sample_weight=np.ones(len(X)),
        class_weight={0: 1.0, 1: 2.0},
        validation_data=(X, y),
        metrics=["accuracy", mean_error],
        callbacks=[
            StopWhenGood(),
            EarlyStopping("val_loss", patience=2),
            ModelCheckpoint(folder / "best.safetensors"),
        ],
    )
    assert_type(history, History)
    assert_type(history.epoch, list[int])
    assert_type(history.history, dict[str, list[float]])
    assert_type(net.evaluate(X, y), float)
    assert_type(net.evaluate(X, y, np.ones(len(X))), float)
    assert_type(net.evaluate(X, y, metrics=["accuracy"]), dict[str, float])
    assert_type(net.evaluate(X, y, metrics=Accuracy())["loss"], float)
    assert_type(net.train_on_batch(X[:1], y[:1]), float)
    assert_type(net.loss_and_gradients(X, y), tuple[float, list[NDArray[Any]]])
    outputs = net.predict(X)
    assert_type(outputs, NDArray[Any])
    assert_type(net.predict(X, out=outputs), NDArray[Any])
    assert_type(net.predict([[0.0, 1.0, 2.0, 3.0]]), NDArray[Any])
    assert_type(net.get_weights(), list[NDArray[Any]])
    net.set_weights(net.get_weights())
    net.learning_rate = 1e-3
    assert_type(net.learning_rate, float)
    assert_type(net.copy(dtype=np.float64), MLP)
    assert_type(net.jacobian(X), NDArray[Any])
    assert_type(fastnn.profile(net, X, y, seconds=0.01).phases[0].seconds, float)


def regress() -> None:
    """Losses, optimizers and callbacks with parameters."""
    X = np.linspace(0, 1, 32)[:, None]
    net = MLP(1, (Dense(4, "tanh"), Dense(1)), loss=Huber(0.5), optimizer=SGD(momentum=0.9), seed=1)
    net.fit(X, X, callbacks=[ReduceLROnPlateau("loss")], validation_split=0.25, verbose=0)
    assert_type(Quantile([0.1, 0.9]).name, str)
    assert_type(fastnn.check_gradients(net, X, X), float)


def store(net: MLP, folder: Path) -> None:
    """Save, load, exchange."""
    path = folder / "net.safetensors"
    net.save(path)
    net.save(str(path))
    assert_type(fastnn.load(path), MLP)
    assert_type(MLP.from_json(net.to_json(indent=1)), MLP)
    assert_type(net.get_config(), dict[str, Any])
    net.to_c(folder / "net.c", name="net")
    fastnn.onnx.export(net, folder / "net.onnx", input_name="X")
    assert_type(fastnn.from_onnx(folder / "net.onnx", optimizer="sgd", seed=0), MLP)
    assert_type(fastnn.from_onnx(fastnn.onnx.export(net, inputs="encoded")), MLP)
    assert_type(fastnn.get_include(), str)


def exchange(net: MLP, module: object) -> None:
    """PyTorch's modules and scikit-learn's estimators; not run, since it needs PyTorch."""
    assert_type(fastnn.from_torch(module, output="softmax", loss="cross_entropy"), MLP)
    assert_type(fastnn.to_torch(net), Any)
    assert_type(fastnn.from_sklearn(fastnn.to_sklearn(net), seed=0), MLP)


def estimate() -> None:
    """The estimators in the manner of scikit-learn."""
    from fastnn.sklearn import MLPClassifier, MLPRegressor

    X, y = data()
    classifier = MLPClassifier((8,), early_stopping=True, random_state=0)
    classifier.fit(X, y)
    assert_type(classifier.predict(X), NDArray[Any])
    assert_type(classifier.predict_proba(X), NDArray[Any])
    assert_type(classifier.net_, MLP)
    assert_type(classifier.loss_curve_, list[float])
    regressor = MLPRegressor(hidden_layer_sizes=4, solver="adam", activation="tanh")
    assert_type(regressor.partial_fit(X, X[:, 0]).predict(X), NDArray[Any])


def step() -> None:
    """A step of one's own, out of kernels."""
    X, y = data()
    W, b = np.zeros((4, 2), np.float32), np.zeros(2, np.float32)
    a, z = kernels.forward(X, W, b, "softmax")
    assert_type(z, NDArray[Any])
    losses, delta = kernels.output_delta(a, y, "cross_entropy", "softmax")
    assert_type(losses, NDArray[np.float64])
    state = kernels.update(W, b, X, delta, SGD(0.1))
    state = kernels.update(W, b, X, delta, SGD(0.1), state)
    assert_type(state.step, int)
    assert_type(kernels.delta([[1.0]], "relu", [[1.0]], [[1.0]]), NDArray[Any])


def mistakes(net: MLP) -> None:
    """What type checkers must find; not run."""
    X, y = data()
    Dense("8")  # wrong
    Dense(8, relu=True)  # wrong
    Dense(8, activation=5)  # wrong
    _ = Dense(8).activation.nme  # wrong
    Dense(8).units = 9  # wrong
    Residual(Dense(8))  # wrong
    Residual(["dense"])  # wrong
    MLP(4, Dense(2), loss="cross_entropy", optimizer="adam")  # wrong
    MLP(4, [Dense(2)], "cross_entropy", "adam")  # wrong
    MLP(4, [Dense(2)], loss="cross_entropy", optimizer="adam", reduction="max")  # wrong
    SGD("fast")  # wrong
    Adam(1e-3, 0.9, 0.999, 1e-8, False, False, 1.0)  # wrong
    net.fit(X, y, 32)  # wrong
    net.fit(X, y, epochs="3")  # wrong
    net.fit(X, y, callbacks=EarlyStopping("loss"))  # wrong
    _ = net.fit(X, y, metrics=[Accuracy()]).histroy  # wrong
    net.evaluate(X, y)["loss"]  # wrong
    net.evaluate(X, y, metrics=["accuracy"]) + 1.0  # wrong
    net.predict(X, out=[[0.0]])  # wrong
    net.predict()  # wrong
    net.n_in = 5  # wrong
    net.learning_rate = "slow"  # wrong
    net.save(1)  # wrong
    fastnn.load()  # wrong
    fastnn.Desne(3)  # wrong
    fastnn.from_onnx("net.onnx", "softmax")  # wrong
    fastnn.onnx.export(net, 3)  # wrong
    fastnn.sklearn.MLPClassifer()  # wrong
    fastnn.sklearn.MLPClassifier(max_iter="many")  # wrong
    kernels.forward(X)  # wrong
    kernels.update([[1.0]], None, X, X)  # wrong
    kernels.update(X, None, X, X, state=0)  # wrong


class Wrong(Callback):
    """A hook with other arguments than `fit` gives it."""

    def on_epoch_end(self, epoch: int) -> None:  # wrong
        """Stop."""


if __name__ == "__main__":
    place = Path(sys.argv[1])
    network = build()
    train(network, place)
    regress()
    store(network, place)
    estimate()
    step()
