"""A stream that drifts: train online while rows arrive, one or a few at a time.

What it shows: `fit` on an endless generator (steps_per_epoch is the length of an epoch),
`train_on_batch` on each arriving row, and the prequential error: every row is predicted before the
network trains on it, so the whole stream is a test. A frozen copy of the network shows the cost of
the drift. Before the drift the frozen copy is the most accurate, because a constant learning rate
adds noise to the weights of the other two.

The targets are Friedman's function of 10 inputs, 5 of which matter (MARS, Annals of Statistics
1991), plus noise of variance 1, which is the least squared error that any network can reach. The
inputs exchange their roles twice: first at once, later gradually (as in Ikonomovska et al., DMKD
2011).

Run it: python examples/stream.py [--out FOLDER]
"""

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastnn import MLP, Adam, Dense, Standardize

ROWS = 60_000
ABRUPT, GRADUAL = 20_000, (35_000, 45_000)
ROLES = np.array([[0, 1, 2, 3, 4], [7, 5, 8, 9, 6], [3, 8, 0, 5, 2]])  # one line per concept
FEW = 16  # rows that arrive together in the third run


def friedman(x):
    """Return the function of the five inputs that matter: x is (n, 5)."""
    x0, x1, x2, x3, x4 = x.T
    return 10 * np.sin(np.pi * x0 * x1) + 20 * (x2 - 0.5) ** 2 + 10 * x3 + 5 * x4


def source(seed, n, drifts=True):
    """Yield batches X (n, 10), y (n, 1) of float32 without end."""
    rng, t = np.random.default_rng(seed), 0
    while True:
        X = rng.random((n, 10), np.float32)
        times, chance = np.arange(t, t + n), rng.random(n)
        late = (times - GRADUAL[0]) / (GRADUAL[1] - GRADUAL[0])
        concept = np.where(chance < late, 2, times >= ABRUPT) if drifts else np.zeros(n, int)
        y = friedman(np.take_along_axis(X, ROLES[concept], axis=1)) + rng.standard_normal(n)
        yield X, y.astype(np.float32)[:, None]
        t += n


def follow(net, n, learns=True):
    """Feed a network the stream, n rows at a time; return each row's squared error (ROWS,)."""
    errors = []
    for X, y in islice(source(1, n), ROWS // n):
        errors.append((net.predict(X) - y) ** 2)
        if learns:
            net.train_on_batch(X, y)
    return np.concatenate(errors).ravel()


def smooth(errors, window=500):
    """Return the moving average of the errors over a window that ends at each row."""
    total = np.cumsum(np.concatenate([[0.0], errors]))
    return (total[window:] - total[:-window]) / window


def plot(errors, path):
    """Plot the errors over time, with the drift marked."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for (name, each), color in zip(errors.items(), ["#777777", "#d55e00", "#0072b2"], strict=True):
        mean = smooth(each)
        axes.plot(np.arange(ROWS - len(mean), ROWS), mean, label=name, color=color, linewidth=1.2)
    axes.axvline(ABRUPT, color="black", linestyle=":", label="sudden drift")
    axes.axvspan(*GRADUAL, color="black", alpha=0.1, linewidth=0, label="gradual drift")
    axes.axhline(1.0, color="#009e73", linestyle="--", label="noise")
    axes.set(title="Prequential error, mean of 500 rows", xlabel="row", ylabel="squared error")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=6)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train before the stream begins, follow it in three ways, and print the errors of each."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    net = MLP(
        10,
        [Standardize(), Dense(64, "silu"), Dense(64, "silu"), Dense(1)],
        loss="squared_error",
        optimizer=Adam(learning_rate=1e-3),  # constant: the training must never stop
        seed=0,
    )
    earlier = source(0, 32, drifts=False)
    net.adapt(next(earlier)[0])  # a Standardize layer needs some rows before the first update
    history = net.fit(earlier, epochs=20, steps_per_epoch=500)
    error = 2 * history.history["loss"][-1]  # the loss is one half of the squared error
    print(f"before the stream: {net.step:,} updates, squared error {error:.2f}\n")

    alone, together = net.copy(), net.copy()
    together.learning_rate = 3e-3  # fewer updates with less noise allow a larger rate
    errors = {
        "frozen": follow(net, FEW, learns=False),
        "row by row": follow(alone, 1),
        f"{FEW} rows at a time": follow(together, FEW),
    }
    parts = {
        "before": slice(0, ABRUPT),
        "just after": slice(ABRUPT, ABRUPT + 1000),
        "until next": slice(ABRUPT + 1000, GRADUAL[0]),
        "drifting": slice(*GRADUAL),
        "at the end": slice(ROWS - 5000, ROWS),
    }
    print(f"{'squared error':<20}" + "".join(f"{part:>12}" for part in parts))
    for name, each in errors.items():
        print(f"{name:<20}" + "".join(f"{each[rows].mean():>12.2f}" for rows in parts.values()))
    plot(errors, folder / "stream.png")
    print(f"\nsaved {folder / 'stream.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
