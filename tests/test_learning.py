"""Networks learn real data: test scores that a mistake anywhere in training would miss."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from fastnn import MLP, Adam, Dense, Dropout


def split(X, y, **kwargs):
    """Return X_train, X_test, y_train, y_test with inputs scaled by the training set's."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, **kwargs)
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_digits(dtype):
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0, stratify=y)
    net = MLP(
        64,
        [Dense(256, "relu"), Dropout(0.2), Dense(64, "relu"), Dense(10, "softmax")],
        loss="cross_entropy",
        optimizer="adam",
        dtype=dtype,
        seed=0,
    )
    net.fit(X_train, y_train, epochs=40)
    assert accuracy_score(y_test, net.predict(X_test).argmax(axis=1)) >= 0.97


def test_breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    scores = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        scaler = StandardScaler().fit(X[train])
        net = MLP(30, [Dense(16, "tanh"), Dense(1, "sigmoid")], loss="binary_cross_entropy",
                  optimizer=Adam(1e-3), seed=0)  # fmt: skip
        net.fit(scaler.transform(X[train]), y[train], epochs=60)
        says = net.predict(scaler.transform(X[test])).ravel() > 0.5
        scores.append(accuracy_score(y[test], says))
    assert np.mean(scores) >= 0.96


def diabetes():
    """Return X_train, X_test, y_train, y_test, the target scaled too."""
    X, y = load_diabetes(return_X_y=True)
    X_train, X_test, y_train, y_test = split(X, y)
    center, scale = y_train.mean(), y_train.std()
    return X_train, X_test, (y_train - center) / scale, (y_test - center) / scale


def scikit_learns(X, y, seed, epochs, **kwargs):
    """Return its regressor after as many epochs, its stopping rules out of the way."""
    net = MLPRegressor(hidden_layer_sizes=16, activation="tanh", batch_size=32, alpha=0,
                       tol=1e-9, n_iter_no_change=10**6, max_iter=epochs, random_state=seed,
                       **kwargs)  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return net.fit(X, y)


def test_diabetes_from_the_same_weights_as_scikit_learn():
    """Same net, same initial weights, same Adam: scores differ by the order of rows alone."""
    X_train, X_test, y_train, y_test = diabetes()
    ours, theirs = [], []
    for seed in range(10):
        start = scikit_learns(X_train, y_train, seed, epochs=1, learning_rate_init=1e-300)
        net = MLP(10, [Dense(16, "tanh"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
        pairs = zip(start.coefs_, start.intercepts_, strict=True)
        net.set_weights([array for pair in pairs for array in pair])
        net.fit(X_train, y_train, epochs=50)
        ours.append(r2_score(y_test, net.predict(X_test)))
        theirs.append(scikit_learns(X_train, y_train, seed, epochs=50).score(X_test, y_test))
    assert np.mean(ours) >= np.mean(theirs) - 0.005


def test_diabetes_at_least_as_well_as_scikit_learn():
    """With what fastnn adds (here dropout), from its own initial weights."""
    X_train, X_test, y_train, y_test = diabetes()
    ours, theirs = [], []
    for seed in range(5):
        net = MLP(10, [Dense(16, "tanh"), Dropout(0.5), Dense(1)], loss="squared_error",
                  optimizer="adam", seed=seed)  # fmt: skip
        net.fit(X_train, y_train, epochs=100)
        ours.append(r2_score(y_test, net.predict(X_test)))
        theirs.append(scikit_learns(X_train, y_train, seed, epochs=100).score(X_test, y_test))
    assert np.mean(ours) >= np.mean(theirs)
