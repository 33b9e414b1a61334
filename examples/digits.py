"""Handwritten digits: train a classifier on real data and measure its accuracy and its speed.

What it shows: validation rows that decide when to stop, test rows for the reported accuracy, a
progress bar, saving and loading a network. The program then repeats the training in plain NumPy,
with the same initial weights and the same order of rows, to measure how much faster fastnn is.

The data are the 1,797 scanned digits (8 x 8 pixels) that ship with scikit-learn.

Run it: python examples/digits.py [--out FOLDER]
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import fastnn
from fastnn import MLP, Adam, Dense, Dropout, EarlyStopping, ProgressBar, reference

EPOCHS, BATCH = 100, 32


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
        [
            Dense(256, "relu"),
            Dropout(0.3),
            Dense(64, "relu"),
            Dropout(0.3),
            Dense(10, "softmax"),
        ],
        loss="cross_entropy",
        optimizer=Adam(learning_rate=1e-3),
        seed=0,
    )


def train(net, X, y):
    """Train until the validation loss has not improved for 20 epochs; return history and callback.

    The last tenth of the rows, which `load` has shuffled, is for validation.
    """
    stop = EarlyStopping("val_loss", patience=20, restore_best_weights=True)
    history = net.fit(
        X,
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_split=0.1,
        metrics=["accuracy"],
        callbacks=[stop, ProgressBar()],  # the bar is shown on a terminal only
    )
    return history, stop


def show_predictions(net, X, y, n=8):
    """Print a few digits with the network's predictions."""
    print(f"\n{'digit':>7}{'predicted':>11}{'probability':>13}")
    for label, row in zip(y, net.predict(X[:n]), strict=False):
        print(f"{label:>7}{row.argmax():>11}{row.max():>13.1%}")


def speed_against_numpy(X, y, epochs=10):
    """Return samples/s of fastnn and of NumPy on one thread: the best of several epochs."""
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


def main(folder="out"):
    """Train, test, compare, save."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    X_train, X_test, y_train, y_test = load()
    net = build()
    net.summary()
    print()
    history, stop = train(net, X_train, y_train)
    print(f"trained {len(history.epoch)} epochs; kept the weights of epoch {stop.best_epoch}")
    for name, values in history.history.items():
        print(f"  {name:<14}{values[stop.best_epoch]:.4f}")
    accuracy = net.evaluate(X_test, y_test, metrics=["accuracy"])["accuracy"]
    show_predictions(net, X_test, y_test)
    ours, numpys = speed_against_numpy(X_train, y_train)
    print(f"\ntest accuracy        {accuracy:.2%} of {len(y_test)} digits never seen in training")
    print(f"training throughput  {ours:,.0f} samples/s on one thread")
    print(f"NumPy, same work     {numpys:,.0f} samples/s")
    print(f"speed-up             {ours / numpys:.1f} times NumPy")

    model, plot = folder / "digits.safetensors", folder / "digits.png"
    net.save(model)
    if not np.array_equal(fastnn.load(model).predict(X_test), net.predict(X_test)):
        raise ArithmeticError("the saved model predicts something else")
    history.plot(plot)
    print(f"saved                {model} and {plot}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for model and plot")
    main(parser.parse_args().out)
