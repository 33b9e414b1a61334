"""Prediction intervals: an ensemble of networks, and how many targets its bands really contain.

What it shows: an ensemble of networks trained on bootstrap rows by one call, its standard deviation
and quantiles, out-of-bag predictions, and the difference between two bands. The members' quantiles
show how uncertain the mean of y is. New values of y also scatter around that mean; the residuals of
the out-of-bag predictions measure both. The program counts how many rows that no network was
trained on lie inside each band.

The data are the 442 diabetes patients that ship with scikit-learn: the progression of the disease
within a year from ten measurements.

Run it: python examples/intervals.py [--out FOLDER]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

from fastnn.sklearn import MLPEnsembleRegressor

LEVELS = (0.05, 0.5, 0.95)


def train(X, y, seed=0):
    """Return an ensemble; each network uses the rows that it did not draw for early stopping."""
    ensemble = MLPEnsembleRegressor(
        hidden_layer_sizes=(32,),
        learning_rate_init=0.01,
        max_iter=300,
        early_stopping=True,
        n_members=40,
        bootstrap=True,
        oob_score=True,
        random_state=seed,
    )
    return ensemble.fit(X, y)


def bands(X, y, unseen):
    """Return an ensemble's predictions (n,), their spread (n,) and two bands (3, n) for rows."""
    center, scale = y.mean(), y.std()  # targets of about 1 suit the learning rate
    ensemble = train(X, (y - center) / scale)
    mean, std = ensemble.predict(unseen, return_std=True)
    of_members = ensemble.predict_quantiles(unseen, LEVELS)
    residuals = (y - center) / scale - ensemble.oob_prediction_
    of_residuals = mean + np.nanquantile(residuals, LEVELS)[:, None]
    return (center + scale * mean, scale * std, center + scale * of_members,
            center + scale * of_residuals)  # fmt: skip


def held_out(X, y):
    """Return the result of `bands` for each row, from an ensemble that was not trained on it."""
    n = len(y)
    found = np.empty(n), np.empty(n), np.empty((3, n)), np.empty((3, n))
    for seen, unseen in KFold(5, shuffle=True, random_state=0).split(X):
        for array, part in zip(found, bands(X[seen], y[seen], X[unseen]), strict=True):
            array[..., unseen] = part
    return found


def inside(y, band):
    """Return whether each target lies in a band (3, n)."""
    return (band[0] <= y) & (y <= band[2])


def plot(y, mean, members, residuals, path):
    """Plot the patients in the order of their predictions, with both bands."""
    order = np.argsort(mean)
    place, y, mean = np.arange(len(y)), y[order], mean[order]
    members, residuals = members[:, order], residuals[:, order]
    is_inside = inside(y, residuals)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(place, residuals[0], residuals[2], color="#0072b2", alpha=0.15, linewidth=0,
                      label="out-of-bag residuals, 5 % to 95 %")  # fmt: skip
    axes.fill_between(place, members[0], members[2], color="#0072b2", alpha=0.45, linewidth=0,
                      label="members, 5 % to 95 %")  # fmt: skip
    axes.plot(place, mean, color="black", linewidth=1, label="mean of the members")
    axes.scatter(place[is_inside], y[is_inside], s=8, color="#009e73", label="inside")
    axes.scatter(place[~is_inside], y[~is_inside], s=14, color="#d55e00", marker="x", linewidths=1,
                 label="outside")  # fmt: skip
    axes.set(title="Diabetes within a year, patients held out", ylabel="progression",
             xlabel="patients by their prediction")  # fmt: skip
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train five ensembles, count the rows inside each band, and plot them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    X, y = load_diabetes(return_X_y=True)
    X = X / X.std(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for networks that would need over 300 epochs
        mean, std, members, residuals = held_out(X, y)
    r2 = 1 - ((y - mean) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    print(f"{len(y)} patients, each held out from the ensemble that predicts it")
    print(f"R² of the mean               {r2:.3f}")
    for name, band in [("members", members), ("residuals", residuals)]:
        width = (band[2] - band[0]).mean()
        share = inside(y, band).mean()
        print(f"inside the band of {name:<9} {share:.1%}, expected 90%; {width:.0f} points wide")
    print(f"standard deviation           {std.min():.0f} to {std.max():.0f} points")
    plot(y, mean, members, residuals, folder / "intervals.png")
    print(f"saved {folder / 'intervals.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
