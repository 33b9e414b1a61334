"""Handwritten digits: train a classifier on real data and see how good and how fast it is.

The data are the 1,797 scanned digits (8 x 8 pixels) that ship with scikit-learn, a quarter of them
held out. The same training (same weights, same order of rows) then runs in plain NumPy as well, to
measure how much faster fastnn is.

Run it: python examples/digits.py [folder for the model and the picture]
"""

import pickle
import sys
import time
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from fastnn import MLP, Adam, Dense, reference

EPOCHS, BATCH = 40, 32


def load():
    """Return X_train, X_test, y_train, y_test, pixels scaled to 0 ... 1."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.25, random_state=0, stratify=y
    )


def build():
    """Return the untrained network."""
    return MLP(
        64,
        [Dense(256, "relu"), Dense(64, "relu"), Dense(10, "softmax")],
        loss="cross_entropy",
        optimizer=Adam(learning_rate=1e-3),
        seed=0,
    )


def speed_against_numpy(X, y, epochs=10):
    """Return samples a second of fastnn and of NumPy, one thread each, best of several epochs."""
    net = build()
    twin = reference.Network.like(net)
    rng = np.random.default_rng(0)
    best = [np.inf, np.inf]
    with threadpool_limits(1):
        for _ in range(epochs):
            order = rng.permutation(len(X))
            began = time.perf_counter()
            net.fit(X[order], y[order], batch_size=BATCH, shuffle=False, n_threads=1)
            middle = time.perf_counter()
            twin.fit_epoch(X, y, order, BATCH)
            best = np.minimum(best, [middle - began, time.perf_counter() - middle])
    weights = zip(net.get_weights(), twin.get_weights(), strict=True)
    if not all(np.allclose(ours, theirs, rtol=1e-2, atol=1e-3) for ours, theirs in weights):
        raise ArithmeticError("fastnn and NumPy disagree about the weights")
    return len(X) / best


def show_predictions(net, X, y, n=8):
    """Print a few digits with what the network makes of them."""
    probabilities = net.predict(X[:n])
    print(f"\n{'digit':>7}{'says':>7}{'sure':>8}")
    for label, row in zip(y, probabilities, strict=False):
        print(f"{label:>7}{row.argmax():>7}{row.max():>8.1%}")


def plot(history, path):
    """Save the learning curves as a picture."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, label in [("loss", "training"), ("val_loss", "test")]:
        axes.plot(np.add(history.epoch, 1), history.history[name], label=label)
    axes.set(title="Digits: learning curves", xlabel="epoch", ylabel="cross-entropy", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(folder="out"):
    """Train, test, compare, save."""
    mpl.use("Agg")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    X_train, X_test, y_train, y_test = load()
    net = build()
    net.summary()
    print()
    history = net.fit(
        X_train,
        y_train,
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=(X_test, y_test),
        verbose=1,
    )
    accuracy = (net.predict(X_test).argmax(axis=1) == y_test).mean()
    show_predictions(net, X_test, y_test)
    ours, numpys = speed_against_numpy(X_train, y_train)
    print(f"\ntest accuracy        {accuracy:.2%} of {len(y_test)} digits never seen in training")
    print(f"training throughput  {ours:,.0f} samples/s on one thread")
    print(f"NumPy, same work     {numpys:,.0f} samples/s")
    print(f"speed-up             {ours / numpys:.1f} times NumPy")

    model, picture = folder / "digits.pkl", folder / "digits.png"
    model.write_bytes(pickle.dumps(net))
    again = pickle.loads(model.read_bytes())
    if not np.array_equal(again.predict(X_test), net.predict(X_test)):
        raise ArithmeticError("the saved model predicts something else")
    plot(history, picture)
    print(f"saved                {model} and {picture}")
    return accuracy


if __name__ == "__main__":
    main(*sys.argv[1:2])
