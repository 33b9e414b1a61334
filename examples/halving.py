"""Successive halving: train many settings for a few epochs, and the best of them for more.

What it shows: a search over learning rates, penalties, sizes and activations of a classifier, in
which one call per rung trains the networks of all candidates on all folds. scikit-learn's
HalvingRandomSearchCV makes the same search for comparison: its candidates, scores and choices must
be the same. The best candidate is compared with the default settings on images that no network of
the search has seen.

The data are the 1,797 digits that ship with scikit-learn, images of 8 x 8 pixels.

Run it: python examples/halving.py [--out FOLDER]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, train_test_split

from fastnn.sklearn import MLPClassifier, MLPSearchCV

SETTINGS = {
    "learning_rate_init": loguniform(1e-4, 1e-1),
    "alpha": loguniform(1e-6, 1e-1),
    "hidden_layer_sizes": [(16,), (64,), (32, 32), (64, 64)],
    "activation": ["relu", "tanh", "gelu"],
}
HALVING = {"factor": 3, "resource": "max_iter", "min_resources": 3, "max_resources": 27}


def search(X, y):
    """Return fastnn's search, scikit-learn's, and how long each took, in seconds.

    Each tries 27 candidates for 3 epochs, 9 of them for 9 epochs, and 3 for 27.
    """
    net = MLPClassifier(dtype="float32", tol=0, n_iter_no_change=100, random_state=0)
    both = {**HALVING, "cv": 3, "random_state": 0}
    ours = MLPSearchCV(net, SETTINGS, strategy="halving", n_iter=27, **both)
    theirs = HalvingRandomSearchCV(net, SETTINGS, n_candidates=27, return_train_score=False, **both)
    times = []
    for each in (ours, theirs):
        began = time.perf_counter()
        each.fit(X, y)
        times.append(time.perf_counter() - began)
    return ours, theirs, times


def plot(results, path):
    """Plot the score of each candidate after its epochs."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    curves = {}
    for params, epochs, score in zip(results["params"], results["n_resources"],
                                     results["mean_test_score"], strict=True):  # fmt: skip
        key = str(sorted((k, v) for k, v in params.items() if k != "max_iter"))
        curves.setdefault(key, []).append((params["learning_rate_init"], epochs, score))
    low, high = np.log10([1e-4, 1e-1])
    for curve in curves.values():
        rate, epochs, scores = zip(*curve, strict=True)
        shade = (np.log10(rate[0]) - low) / (high - low)
        axes.plot(epochs, scores, "o-", color=(shade, 0.35, 1 - shade), linewidth=1, markersize=4)
    axes.set(title="27 candidates, a third of them kept at each rung", xlabel="epochs",
             ylabel="accuracy, mean of 3 folds", xscale="log")  # fmt: skip
    axes.set_xticks([3, 9, 27], ["3", "9", "27"])
    axes.minorticks_off()
    axes.plot([], [], "o", color=(0, 0.35, 1), label="learning rate 0.0001")
    axes.plot([], [], "o", color=(1, 0.35, 0), label="learning rate 0.1")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Search, test the best candidate, and draw the rungs."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, test_size=0.25, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few epochs, which are intended
        found, other, times = search(X, y)
        default = MLPClassifier(dtype="float32", max_iter=27, random_state=0).fit(X, y)
    results = found.cv_results_
    print("rung  candidates  epochs  best accuracy")
    for rung, (n, epochs) in enumerate(zip(found.n_candidates_, found.n_resources_, strict=True)):
        best = results["mean_test_score"][results["iter"] == rung].max()
        print(f"{rung:>4}  {n:>10}  {epochs:>6}  {best:>12.1%}")
    epochs = int(3 * (results["n_resources"]).sum())
    print(f"epochs in all: {epochs}, {3 * 27 * 27} if all candidates had 27")
    for name, value in sorted(found.best_params_.items()):
        print(f"  {name:<20} {value:.3g}" if isinstance(value, float) else f"  {name:<20} {value}")
    is_same = np.array_equal(results["mean_test_score"], other.cv_results_["mean_test_score"])
    print(f"scikit-learn's scores    {'the same' if is_same else 'others'}, "
          f"{times[1]:.2f} s in one process; fastnn {times[0]:.2f} s")  # fmt: skip
    print(f"accuracy on test images  {found.score(X_test, y_test):.1%}")
    print(f"default settings         {default.score(X_test, y_test):.1%}")
    plot(results, folder / "halving.png")
    print(f"saved {folder / 'halving.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
