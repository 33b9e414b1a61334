"""Quantiles: predict a band that should contain 90 % of the targets, and check that it does.

What it shows: a network with three outputs and the pinball loss, Quantile((0.05, 0.5, 0.95)), where
each output learns its own quantile, and counting how many held-out rows fall into the band. There
are few data, so five networks are trained by cross-validation and every row is held out once.

The data are the 442 diabetes patients that ship with scikit-learn: the progression of the disease
within a year against the body-mass index. The progression is larger and varies more for heavier
patients, and the band widens accordingly.

Run it: python examples/quantiles.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

from fastnn import MLP, Adam, CosineDecay, Dense, Quantile, Standardize

Q = np.array([0.05, 0.5, 0.95])
EPOCHS, BATCH = 200, 32
SCALE = 100.0  # targets in hundreds of points are about 1, which suits the learning rate


def load():
    """Return body-mass index (n, 1) and progression (n,)."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return X[:, [2]], y


def train(X, y, seed=0):
    """Return a network that predicts the quantiles Q of y / SCALE."""
    net = MLP(
        X.shape[1],
        [Standardize(), Dense(16, "tanh"), Dense(len(Q))],
        loss=Quantile(Q),
        optimizer=Adam(CosineDecay(1e-2, decay_steps=EPOCHS, per="epoch")),
        seed=seed,
    )
    net.fit(X, y / SCALE, batch_size=BATCH, epochs=EPOCHS)
    return net


def held_out(X, y):
    """Return each row's quantiles (n, 3), from a network that was not trained on the row."""
    quantiles = np.empty((len(y), len(Q)))
    for seen, unseen in KFold(5, shuffle=True, random_state=0).split(X):
        quantiles[unseen] = train(X[seen], y[seen]).predict(X[unseen]) * SCALE
    return quantiles


def pinball(y, quantiles):
    """Return the mean loss of quantiles (n, 3), or of the same quantiles (3,) for all rows."""
    u = y[:, None] - quantiles
    return np.maximum(Q * u, (Q - 1) * u).sum(axis=1).mean()


def plot(X, y, inside, path):
    """Plot the patients, and the band of a network that was trained on all of them."""
    grid = np.linspace(X.min(), X.max(), 200)[:, None]
    low, middle, high = (train(X, y).predict(grid) * SCALE).T
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(grid[:, 0], low, high, color="#0072b2", alpha=0.2, linewidth=0,
                      label="5 % to 95 %")  # fmt: skip
    axes.plot(grid[:, 0], middle, color="#0072b2", label="median")
    axes.scatter(X[inside, 0], y[inside], s=10, color="#0072b2", label="held out, inside its band")
    axes.scatter(X[~inside, 0], y[~inside], s=14, color="#d55e00", marker="x", linewidths=1,
                 label="held out, outside")  # fmt: skip
    axes.set(title="Diabetes within a year", xlabel="body-mass index", ylabel="progression")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train five networks, count the rows inside the band, and plot it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    X, y = load()
    quantiles = held_out(X, y)
    low, _, high = quantiles.T
    inside = (low <= y) & (y <= high)
    heavy = X[:, 0] > np.median(X)
    print(f"{len(y)} patients, each held out from the network that predicts its band")
    for q, column in zip(Q, quantiles.T, strict=True):
        print(f"  below the {q:.0%} quantile  {(y < column).mean():.1%}")
    print(f"inside the band   {inside.mean():.1%}, expected {Q[-1] - Q[0]:.0%}")
    for name, rows in [("lighter half", ~heavy), ("heavier half", heavy)]:
        width = (high - low)[rows].mean()
        print(f"  {name}    {inside[rows].mean():.1%}, band {width:.0f} points wide")
    ours, alike = pinball(y, quantiles), pinball(y, np.quantile(y, Q))
    print(f"pinball loss      {ours:.1f}; {alike:.1f} with the same quantiles for all patients")
    print(f"crossing quantiles: {(np.diff(quantiles) < 0).any(axis=1).sum()} rows")
    plot(X, y, inside, folder / "quantiles.png")
    print(f"saved {folder / 'quantiles.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
