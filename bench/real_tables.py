"""fastnn's estimators for tables and its command line beside other libraries, on real tables.

    make bench-tables

Every set has three splits into 75 % of the rows for training and 25 % for the test, the same for
all; classes are split in proportion. Each contender sees the training rows alone and is run with
its defaults: nothing is chosen by test rows. Errors are the root of the mean squared error over the
standard deviation of the test targets, or the rate of wrong classes; log-loss counts no probability
as less than 1e-15. CPU seconds are those of the process in fit, on all threads. The table shows
means over the splits; its last rows are geometric means over LightGBM's, and the mean rank.

Not here: the sets (table_sets.py), single networks against scikit-learn's (estimators.py).
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import table_errors
import table_sets

from fastnn.benchmarking import machine

SPLITS = 3

# ---- contenders: fit a frame, and return what predicts outputs (n,) or probabilities -------------


def categorical(frame, like=None):
    """Return a frame whose texts are categories: those of another frame, where it is given."""
    found = frame.copy()
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            kind = "category" if like is None else like[name].dtype
            found[name] = frame[name].astype(kind)
    return found


def of_scikit_learn(make, prepare):
    """Return a contender that follows scikit-learn's conventions."""

    def fit(frame, y, is_class, seed):
        train = prepare(frame)
        model = make(is_class, seed).fit(train, y)
        predict = model.predict_proba if is_class else model.predict
        return lambda new: predict(prepare(new, train))

    return fit


def as_it_is(frame, like=None):
    return frame


def tabular(n_nets):
    def make(is_class, seed):
        from fastnn.sklearn import TabularClassifier, TabularRegressor

        kind = TabularClassifier if is_class else TabularRegressor
        return kind(n_nets, random_state=seed)

    return make


def command_line(preset):
    """Return `fastnn train` with the defaults of a preset, of all rows."""
    return lambda *row_set: by_command_line(*row_set, preset)


def by_command_line(frame, y, is_class, seed, preset):
    """Train by `fastnn train`; return what predicts."""
    from fastnn.cli import main
    from fastnn.tabular.models import Model

    with tempfile.TemporaryDirectory() as folder:
        data, out = f"{folder}/rows.csv", f"{folder}/net.safetensors"
        frame.assign(target=[f"c{v}" for v in y] if is_class else y).to_csv(data, index=False)
        options = ["--test", "0", "--seed", str(seed), "--quiet", "--preset", preset]
        options += ["--task", "classification" if is_class else "regression"]
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            code = main(["train", data, "--target", "target", "--out", out, *options])
        if code:
            raise RuntimeError(f"fastnn train ended with {code}")
        model, recipe = Model.load(out)
    places = [recipe.classes.index(f"c{v}") for v in np.unique(y)] if is_class else 0
    return lambda new: model.predict(recipe.inputs(new, "missing"))[0].astype(float)[:, places]


def lightgbm(is_class, seed):
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if is_class else LGBMRegressor)(random_state=seed, verbose=-1)


def histogram(is_class, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    return kind(random_state=seed, categorical_features="from_dtype")


def scikit_learn(is_class, seed):
    """Its MLP behind a scaler and one-hot columns."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    net = (MLPClassifier if is_class else MLPRegressor)(random_state=seed)
    if is_class:
        return make_pipeline(columns, net)
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(make_pipeline(columns, net), transformer=StandardScaler())


CONTENDERS = {
    "fastnn train": command_line("good"),
    "fastnn train, plain": command_line("plain"),
    "Tabular, 1 network": of_scikit_learn(tabular(1), as_it_is),
    "Tabular, 5 networks": of_scikit_learn(tabular(5), as_it_is),
    "LightGBM": of_scikit_learn(lightgbm, categorical),
    "HistGradientBoosting": of_scikit_learn(histogram, categorical),
    "scikit-learn's MLP": of_scikit_learn(scikit_learn, as_it_is),
}


# ---- scores -------------------------------------------------------------------------------------


def scores(outputs, y, classes):
    """Return the error and, for classes, the log-loss of outputs for test targets (n,)."""
    if classes is None:
        return float(np.sqrt(np.mean((outputs - y) ** 2)) / np.std(y)), None
    labels = np.searchsorted(classes, y)
    right = np.maximum(outputs[np.arange(len(y)), labels], 1e-15)
    return float((outputs.argmax(axis=1) != labels).mean()), float(-np.log(right).mean())


def run(folder, name, contenders, splits):
    """Return for each contender the means over the splits: error, log-loss, CPU seconds."""
    from sklearn.model_selection import train_test_split

    frame, y, is_class = table_sets.load(folder, name)
    found = {contender: [] for contender in contenders}
    for seed in range(splits):
        train, test = train_test_split(
            np.arange(len(y)), random_state=seed, stratify=y if is_class else None
        )
        classes = np.unique(y[train]) if is_class else None
        for contender in contenders:
            began = time.process_time()
            predict = CONTENDERS[contender](frame.iloc[train], y[train], is_class, seed)
            seconds = time.process_time() - began
            outputs = np.asarray(predict(frame.iloc[test]))
            found[contender].append((*scores(outputs, y[test], classes), seconds))
    return {
        contender: {
            "error": float(np.mean([each[0] for each in values])),
            "log_loss": float(np.mean([each[1] for each in values])) if is_class else None,
            "seconds": float(np.mean([each[2] for each in values])),
        }
        for contender, values in found.items()
    }


def main():
    """Run the contenders on the sets, print the table, and perhaps write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=table_sets.SETS, default=[*table_sets.SETS])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=[*CONTENDERS])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--data", default="build/tables", help="folder for the downloads")
    parser.add_argument("--json", metavar="FILE", help="write the results, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table_sets.download(options.data)
    results = {}
    for name in options.sets:
        results[name] = run(options.data, name, options.contenders, options.splits)
        print(table_errors.table({name: results[name]}), "\n", flush=True)
    print(table_errors.table(results))
    if options.json:
        here = machine.describe(machine.available_cpus(), "float32")
        kept = {"machine": here, "splits": options.splits, "sets": results}
        Path(options.json).write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
