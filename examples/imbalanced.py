"""A rare class: the effect of class weights and of the decision threshold, and how to measure it.

What it shows: why accuracy says little where 2 % of the rows are positive; recall, precision and
ROC AUC instead, two of them computed during training; class_weight="balanced"; and choosing the
threshold on validation rows by the cost of mistakes. Class weights hardly change the
precision-recall curve. They move the point of the threshold 0.5 along the curve, and so does
choosing another threshold.

The task is "is this digit an 8?" on the handwritten digits that ship with scikit-learn. The program
makes 8s rare: one training row in 50. The validation and test rows contain more 8s, so that recall
is measured on enough of them; their sample weights count them as one in 50.

Run it: python examples/imbalanced.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.metrics import precision_recall_curve, precision_score, recall_score

from fastnn import MLP, Adam, Dense

RARE = 0.02  # fraction of the rows that are 8s
EPOCHS = 40
COST = 20  # cost of a missed 8; a false alarm costs 1


def load():
    """Return (X, y, sample_weight) of the rows for training, for the threshold, and for testing."""
    X, digit = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    eights, others = (rng.permutation(np.flatnonzero(mask)) for mask in (digit == 8, digit != 8))
    odds = RARE / (1 - RARE)
    many, few = 1000, round(1000 * odds)
    parts = []
    for no, yes in (
        (others[:many], eights[:few]),
        (others[many::2], eights[few::2]),
        (others[many + 1 :: 2], eights[few + 1 :: 2]),
    ):
        y = np.repeat([0, 1], [len(no), len(yes)])
        weight = np.where(y == 1, odds * len(no) / len(yes), 1.0)
        parts.append((X[np.concatenate([no, yes])] / 16, y, weight))
    return parts


def recall(y_true, y_pred):
    """Return the fraction of the 8s that are found: a custom metric."""
    return (y_pred[y_true == 1] > 0.5).mean()


def train(parts, class_weight):
    """Return a network trained with these class weights, and its history."""
    (X, y, _), validation, _ = parts
    net = MLP(
        64,
        [Dense(32, "relu"), Dense(1, "sigmoid")],
        loss="binary_cross_entropy",
        optimizer=Adam(learning_rate=1e-3),
        seed=0,
    )
    history = net.fit(
        X,
        y,
        epochs=EPOCHS,
        class_weight=class_weight,
        validation_data=validation,
        metrics=["roc_auc", recall],
    )
    return net, history


def cost(p, y, weight, threshold):
    """Return the cost of the mistakes per 1,000 rows."""
    wrong = (p > threshold) != y
    return 1000 * np.average(wrong * np.where(y == 1, COST, 1), weights=weight)


def report(name, net, choose, test):
    """Print a network's test results at two thresholds; return [(recall, precision)] of them."""
    X, y, weight = test
    p, auc = net.predict(X).ravel(), net.evaluate(X, y, metrics=["roc_auc"])["roc_auc"]
    chosen = net.predict(choose[0]).ravel()
    cheapest = min(np.linspace(0.005, 0.995, 199), key=lambda t: cost(chosen, *choose[1:], t))
    points = []
    for threshold in (0.5, cheapest):
        found = recall_score(y, p > threshold)
        right = precision_score(y, p > threshold, sample_weight=weight, zero_division=0)
        points.append((found, right))
        print(
            f"{name:<15}{threshold:>10.3f}{found:>9.1%}{right:>11.1%}{auc:>9.3f}"
            f"{cost(p, y, weight, threshold):>6.0f}"
        )
    return points


def plot(nets, test, path):
    """Plot recall over the epochs, and precision against recall with the thresholds marked."""
    X, y, weight = test
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, (net, history, points)), color in zip(
        nets.items(), ["#d55e00", "#0072b2"], strict=True
    ):
        for key, dashes in [("val_roc_auc", "--"), ("val_recall", "-")]:
            left.plot(
                history.epoch, history.history[key], dashes, color=color, label=f"{key}, {name}"
            )
        p = net.predict(X).ravel()
        curve = precision_recall_curve(y, p, sample_weight=weight)
        right.plot(curve[1], curve[0], color=color, label=name)
        for point, marker, where in zip(points, "os", ["0.5", "the cheapest"], strict=True):
            right.plot(*point, marker, color=color, label=f"{name}, threshold {where}")
    left.set(title="While training, on validation rows", xlabel="epoch", ylim=(0, 1.02))
    right.set(title="Test rows", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    for axes in (left, right):
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(folder="out"):
    """Train with and without class weights, and compare at two thresholds."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = load()
    for use, (_, y, _) in zip(("train", "choose", "test"), parts, strict=True):
        print(f"{len(y):>5,} rows to {use:<7}{y.sum():>3} of them 8s")
    print(f"always saying no would be right for {1 - RARE:.0%}, and cost {1000 * RARE * COST:.0f}")
    print(f"\n{'class weights':<15} threshold   recall  precision  ROC AUC  cost of 1,000 rows")
    nets = {}
    for name, class_weight in [("none", None), ("balanced", "balanced")]:
        net, history = train(parts, class_weight)
        nets[name] = net, history, report(name, net, *parts[1:])
    plot(nets, parts[2], folder / "imbalanced.png")
    print(f"\nsaved {folder / 'imbalanced.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", metavar="FOLDER", default="out", help="folder for the plot")
    main(parser.parse_args().out)
