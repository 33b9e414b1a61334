"""fastnn's estimators for tables and its command line against other libraries, on real tables.

    make bench-tables

Every set has three splits into 75 % of the rows for training and 25 % for the test, the same for
all contenders; classes are stratified. Each contender sees only the training rows and is run with
its defaults: test rows decide nothing. The error is the root mean squared error divided by the
standard deviation of the test targets, or the misclassification rate; the log loss treats
probabilities below 1e-15 as 1e-15. CPU seconds are those of the process during fit, which has one
CPU and one thread for every library. The table shows means over the splits; its last rows are
geometric means relative to LightGBM, and the mean rank.

With --json, results are added to the file as they arrive. An interrupted run continues where it
stopped, and contenders that need other environments may be run one after another.

Not here: the contenders (table_contenders.py), the sets (table_sets.py), single networks compared
with scikit-learn's (estimators.py).
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import table_errors
import table_sets
from table_contenders import CONTENDERS

from fastnn.benchmarking import machine

SPLITS = 3

VALUES = ("error", "log_loss", "seconds")

#: Libraries whose versions are stored with the results.
LIBRARIES = ("lightgbm", "xgboost", "catboost", "pytabkit")


# ---- scores -------------------------------------------------------------------------------------


def scores(outputs, y, classes):
    """Return the error and, for classes, the log loss of outputs for test targets (n,)."""
    if classes is None:
        return float(np.sqrt(np.mean((outputs - y) ** 2)) / np.std(y)), None
    labels = np.searchsorted(classes, y)
    right = np.maximum(outputs[np.arange(len(y)), labels], 1e-15)
    return float((outputs.argmax(axis=1) != labels).mean()), float(-np.log(right).mean())


def measure(rows, fit, split):
    """Return error, log loss (None without classes) and CPU seconds of a contender on a split."""
    from sklearn.model_selection import train_test_split

    frame, y, is_class = rows
    train, test = train_test_split(
        np.arange(len(y)), random_state=split, stratify=y if is_class else None
    )
    classes = np.unique(y[train]) if is_class else None
    began = time.process_time()
    predict = fit(frame.iloc[train], y[train], is_class, split)
    seconds = time.process_time() - began
    outputs = np.asarray(predict(frame.iloc[test]))
    return *scores(outputs, y[test], classes), seconds


def run(folder, name, contenders, splits, before=()):
    """Yield the name and the result of `measure` for each contender and split.

    Splits in `before`, which has their values by contender, are skipped.
    """
    rows = table_sets.load(folder, name)
    for contender, fit in contenders.items():
        done = len(before[contender]) if contender in before else 0
        for split in range(done, splits):
            yield contender, measure(rows, fit, split)


def means(splits):
    """Return the means over the splits by name; None for a log loss that is undefined."""
    columns = zip(*splits, strict=True)
    return {
        name: None if column[0] is None else float(np.mean(column))
        for name, column in zip(VALUES, columns, strict=True)
    }


def finished(values, splits):
    """Return the means of the contenders that were measured on every split of every set."""
    known = dict.fromkeys((*CONTENDERS, *next(iter(values.values()))))  # in this order
    names = [
        name
        for name in known
        if all(len(of_set.get(name, ())) >= splits for of_set in values.values())
    ]
    return {
        set_name: {name: means(of_set[name][:splits]) for name in names}
        for set_name, of_set in values.items()
    }


def compare(contenders, options):
    """Measure contenders on sets, store every value in the chosen file, and print the table."""
    table_sets.download(options.data)
    file = Path(options.json) if options.json else None
    values = json.loads(file.read_text())["values"] if file and file.exists() else {}
    here = machine.describe(1, "float32", (*machine.VERSIONS, *LIBRARIES))
    for name in options.sets:
        of_set = values.setdefault(name, {})
        for contender, found in run(options.data, name, contenders, options.splits, of_set):
            of_set.setdefault(contender, []).append(found)
            print(f"{name}, {contender}:", *found, flush=True)
            if file:
                kept = {"machine": here, "splits": options.splits, "values": values}
                kept["sets"] = finished(values, options.splits)
                file.write_text(json.dumps(kept, indent=1) + "\n")
    print(table_errors.table(finished(values, options.splits)))


def arguments(description, contenders):
    """Return the parser of the arguments of `compare`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    known = [*table_sets.SETS, *table_sets.FURTHER]
    sets = parser.add_mutually_exclusive_group()
    sets.add_argument("--sets", nargs="+", choices=known, default=[*table_sets.SETS])
    sets.add_argument(
        "--further", action="store_const", dest="sets", const=[*table_sets.FURTHER],
        help="the further sets, which the recipe was not tuned on",
    )  # fmt: skip
    parser.add_argument("--contenders", nargs="+", choices=contenders, default=[*contenders])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--data", default="build/tables", help="folder for the downloads")
    parser.add_argument("--json", metavar="FILE", help="add the results to those of a file")
    return parser


def main():
    """Run the contenders on the sets, print the table and, if requested, write it."""
    options = arguments(__doc__, CONTENDERS).parse_args()
    machine.pin(1)
    warnings.simplefilter("ignore")
    compare({name: CONTENDERS[name] for name in options.contenders}, options)


if __name__ == "__main__":
    main()
