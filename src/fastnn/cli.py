"""The command line: `fastnn train`, `predict`, `info`, `export` and `bench`.

What is asked for goes to standard output, what is told meanwhile to standard error: progress, notes
and, in one line that begins with "fastnn: error:", why something cannot be done. Exit codes are 0
where all went well, 1 for data or files that are unfit, 2 for a command that is, 130 after Ctrl-C,
141 where nobody reads the output any more.

Here: options, the order of what is done, and what is shown. Not here: what stands in tables
(tables.py), training (MLP.fit) and measuring (benchmarking/). Whatever takes time to import is
imported by the command that needs it.
"""

import argparse
import contextlib
import csv
import errno
import json
import math
import os
import sys
import time

import numpy as np

import fastnn
from fastnn import _checks, activations, optimizers, tables
from fastnn.callbacks import Callback, EarlyStopping, ProgressBar
from fastnn.layers import Dense, Dropout, Standardize
from fastnn.mlp import MLP

#: What to do about an error of the system.
_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EROFS: "choose another place",
    errno.EISDIR: "name a file",
    errno.ENOSPC: "make room, or choose another place",
    errno.EDQUOT: "make room, or choose another place",
}

#: Names of scores as people read them.
_SCORES = {
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "roc_auc": "area under ROC curve",
}


class UsageError(Exception):
    """A command that cannot be meant; the message says how to put it right."""


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; by default those of this process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from fastnn.cli import main
    >>> main(["info", "nowhere.safetensors"])  # what is wrong goes to stderr
    1
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        options = _parser(argv).parse_args(argv)
        code = options.run(options)
        _print("")  # a full disk shows now at the latest
        return code
    except SystemExit as done:  # argparse has shown its help
        return _said(done)
    except KeyboardInterrupt:
        return _fail("interrupted; no file was written", 130)
    except BrokenPipeError:
        _abandon(sys.stdout)
        return 141
    except UsageError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(_system_complaint(error), 1)
    except MemoryError:
        return _fail("not enough memory; use fewer rows or columns", 1)
    except FloatingPointError as error:
        what = str(error).partition(":")[0]
        return _fail(f"{what}; lower the --learning-rate, nothing was saved", 1)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        return _fail(str(error), 1)


def _said(done):
    """Return the exit code after argparse has printed help or version."""
    try:
        _print("")
    except OSError as error:
        _abandon(sys.stdout)
        return 141 if isinstance(error, BrokenPipeError) else _fail(_system_complaint(error), 1)
    return done.code or 0


def _fail(message, code):
    """Say in one line what is wrong; return the exit code."""
    _tell(f"fastnn: error: {' '.join(message.split())}")
    return code


def _system_complaint(error):
    """Return an OSError as a line."""
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno)
    return f"{where}{what}" + (f"; {remedy}" if remedy else "")


# ---- what is shown ------------------------------------------------------------------------------


def _print(text):
    """Write text to standard output now, as UTF-8."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "is closed")
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:
            sys.stdout.write(text)
        else:
            buffer.write(text.encode(errors="surrogateescape"))  # paths are any bytes
            buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from error


def _tell(text):
    """Write a line to standard error, if there is one."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _abandon(stream):
    """Let what a stream still holds go nowhere, lest Python complain of it at its end."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


@contextlib.contextmanager
def _writing(path):
    """Let an error in writing a file name it, not the one beside it that was to take its place."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def _number(value):
    """Return a number as people read it, with four digits or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _score(name, value):
    """Return a score as people read it: errors are in the target's unit, others about 1."""
    if value is None:
        return "-"
    if name not in ("mae", "rmse"):
        return f"{value:.4f}".replace("-0.0000", "0.0000")
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.4g}"


def _lines(pairs):
    """Return what is said of each name, in two columns."""
    return "".join(f"{name:<11} {text}\n" for name, text in pairs)


def _some(names, most=12):
    """Return names, the first ones of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# ---- options ------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message):
        raise UsageError(f"{message}; see {self.prog} --help")


def _checked(check, name, *args, kind=float, **kwargs):
    """Return what makes a number of an option's text, checked as the library checks it."""

    def parse(text):
        try:
            return check(name, kind(text), *args, **kwargs)
        except (TypeError, ValueError) as error:
            whole = "whole " if kind is int else ""
            limits = str(error).removeprefix(f"{name} ").partition("; got")[0]
            known = limits if limits.startswith("must") else f"must be a {whole}number"
            raise argparse.ArgumentTypeError(f"{known}; got {text!r}") from error

    return parse


def _count(name, low=1, high=None):
    return _checked(_checks.integer, name, low, high, kind=int)


def _fraction(name):
    return _checked(_checks.number, name, low=0.0, below=1.0)


def _names(text):
    """Return names separated by commas; one that holds a comma stands in double quotes."""
    return next(csv.reader([text], skipinitialspace=True)) or [""]


def _units(text):
    """Return the units of hidden layers, "none" being none."""
    if text == "none":
        return []
    try:
        return [_checks.integer("hidden", int(part), 1, 2**20) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"units of layers such as 256,128, or none, are wanted; got {text!r}"
        ) from None


def _parser(argv):
    """Return the parser of all commands; that of `bench` is filled in if it is asked for."""
    parser = _Parser(
        prog="fastnn",
        description="Neural networks for tables, on CPUs: train one, let it predict, look into it.",
        epilog="`fastnn COMMAND --help` says more. Exit codes: 0 all went well, 1 data or files "
        "are unfit, 2 the command is, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"fastnn {fastnn.__version__}")
    parser.set_defaults(run=_help_out)
    commands = parser.add_subparsers(metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    _add_info(commands)
    _add_export(commands)
    bench = commands.add_parser(
        "bench", help="measure this machine, and fastnn on it",
        description="Measure this machine, and fastnn and its peers on it."
    )  # fmt: skip
    if argv[:1] == ["bench"]:
        from fastnn.benchmarking import command

        command.add_arguments(bench)
        bench.set_defaults(run=command.run)
    return parser


def _help_out(options):
    """Complain of a command line without a command."""
    raise UsageError("name a command: train, predict, info, export or bench; see fastnn --help")


def _add_train(commands):
    parser = commands.add_parser(
        "train",
        help="train a network on a table, and save it",
        description="Train a network to predict a column of a table from the others. Numbers are "
        "standardized; a missing one becomes the median, and an input says so; texts become "
        "categories, a missing one its own. All of this is saved with the network, so that "
        "`fastnn predict` does the same.",
        epilog=f"Texts that stand for missing values: {', '.join(tables.MISSING[1:])}, and nothing "
        "at all. Example: fastnn train data.csv --target price --out model.safetensors",
    )
    parser.set_defaults(run=_train)
    parser.add_argument("data", metavar="DATA", help="a file: .csv, .tsv, also with .gz; "
                        ".parquet, .npz, .npy; or - for CSV from standard input")  # fmt: skip
    parser.add_argument("--target", metavar="COLUMN",
                        help="the column to predict; of .npz 'y' by default")  # fmt: skip
    parser.add_argument("--out", metavar="FILE", required=True, help="where to save the network")
    _add_table_options(parser.add_argument_group("the table"))
    _add_network_options(parser.add_argument_group("the network"))
    _add_training_options(parser.add_argument_group("the training"))
    _add_output_options(parser)


def _add_table_options(group):
    group.add_argument(
        "--task", choices=["classification", "regression"],
        help="by default regression of numbers and classification of texts; of whole numbers, too, "
        f"if at most {tables.FEW_NUMBERS} different ones have {tables.ROWS_PER_NUMBER} rows or "
        "more each, on average",
    )  # fmt: skip
    group.add_argument("--drop", metavar="COLUMNS", type=_names, default=[],
                       help="columns to leave out, such as id,name")  # fmt: skip
    group.add_argument("--categorical", metavar="COLUMNS", type=_names, default=[],
                       help="columns of numbers that are categories")  # fmt: skip
    group.add_argument("--missing", metavar="TEXTS", type=_names, default=[],
                       help="more texts that stand for missing values, such as ?,-99")  # fmt: skip
    group.add_argument("--test", metavar="FRACTION", type=_fraction("test"), default=0.2,
                       help="of the rows, held out for the score (0.2); 0: none")  # fmt: skip
    group.add_argument("--validation", metavar="FRACTION", type=_fraction("validation"),
                       default=0.1, help="of the others, to stop in time (0.1); 0: none, all "
                       "epochs are trained")  # fmt: skip


def _add_network_options(group):
    hidden = [name for name in activations.NAMES if name != "softmax"]
    group.add_argument("--hidden", metavar="UNITS", type=_units, default=[128, 64],
                       help="of each hidden layer (128,64); none: a linear model")  # fmt: skip
    group.add_argument("--activation", choices=hidden, default="relu", metavar="NAME",
                       help=f"of hidden layers (relu): {', '.join(hidden)}")  # fmt: skip
    group.add_argument("--dropout", metavar="RATE", type=_fraction("dropout"), default=0.0,
                       help="of hidden layers' outputs (0)")  # fmt: skip
    group.add_argument("--l2", metavar="STRENGTH", default=0.0,
                       type=_checked(_checks.number, "l2", low=0.0),
                       help="of the penalty on the squares of weights (0)")  # fmt: skip
    group.add_argument("--dtype", choices=["float32", "float64"], default="float32")


def _add_training_options(group):
    group.add_argument("--epochs", metavar="N", type=_count("epochs"), default=200,
                       help="at most (200)")  # fmt: skip
    group.add_argument("--patience", metavar="N", type=_count("patience", 0), default=10,
                       help="epochs without a better validation loss that are put up with (10); "
                       "the weights of the best are kept")  # fmt: skip
    group.add_argument("--batch-size", metavar="N", type=_count("batch size"), default=64,
                       help="rows of an update (64)")  # fmt: skip
    group.add_argument("--optimizer", choices=optimizers.NAMES, default=None,
                       help="adam by default, adamw with --weight-decay")  # fmt: skip
    group.add_argument("--learning-rate", metavar="RATE", default=None,
                       type=_checked(_checks.number, "learning rate", above=0.0),
                       help="by default the optimizer's own, of adam 0.001")  # fmt: skip
    group.add_argument("--weight-decay", metavar="RATE", default=None,
                       type=_checked(_checks.number, "weight decay", low=0.0),
                       help="of adamw")  # fmt: skip
    group.add_argument("--seed", metavar="N", type=_count("seed", 0), default=0,
                       help="the same one gives the same file (0)")  # fmt: skip
    group.add_argument("--threads", metavar="N", type=_count("threads", 1, 256), default=None,
                       help="by default the CPUs there are")  # fmt: skip


def _add_output_options(parser):
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress, no notes")


def _add_predict(commands):
    parser = commands.add_parser(
        "predict",
        help="let a network predict the rows of a table",
        description="Let a network from `fastnn train` predict the rows of a table: a column named "
        "as its target, in the order of the rows.",
        epilog="Example: fastnn predict model.safetensors new.csv > predictions.csv",
    )
    parser.set_defaults(run=_predict)
    parser.add_argument("model", metavar="MODEL", help="a file that `fastnn train` saved")
    parser.add_argument("data", metavar="DATA", help="a table, as for `fastnn train`; it needs the "
                        "columns trained on, in any order")  # fmt: skip
    parser.add_argument("--out", metavar="FILE",
                        help="instead of standard output: .csv, .parquet or .npy")  # fmt: skip
    parser.add_argument("--proba", action="store_true", help="the classes' probabilities, too")
    parser.add_argument("--unknown", choices=["error", "missing"], default="error",
                        help="what becomes of texts that were not trained on (error)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="a JSON object and a line for each row")
    parser.add_argument("--quiet", action="store_true", help="no notes")


def _add_info(commands):
    parser = commands.add_parser(
        "info", help="say what a network is and takes",
        description="Say what a saved network predicts, from which columns, how well, and of "
        "which layers it consists.",
    )  # fmt: skip
    parser.set_defaults(run=_info)
    parser.add_argument("model", metavar="MODEL", help="a file of a network")
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _add_export(commands):
    parser = commands.add_parser(
        "export", help="write a network for other programs",
        description="Write a saved network for other programs. What they give it are the inputs "
        "that `fastnn info` lists, in this order.",
    )  # fmt: skip
    parser.set_defaults(run=_export)
    parser.add_argument("model", metavar="MODEL", help="a file of a network")
    forms = parser.add_mutually_exclusive_group(required=True)
    forms.add_argument("--onnx", metavar="FILE", help="as an ONNX model")
    forms.add_argument("--c", metavar="FILE", help="as C source, with a header beside it")
    forms.add_argument("--json", metavar="FILE", nargs="?", const="-",
                       help="as JSON: configuration, weights, what becomes of a table's columns; "
                       "to standard output unless a file is named")  # fmt: skip


# ---- train --------------------------------------------------------------------------------------


def _train(options):
    """Train a network on a table: `fastnn train`."""
    optimizer = _optimizer(options)
    target = _target(options)
    with _writing(options.out):
        tables.check_place(options.out, ())
    kinds = dict.fromkeys(options.categorical, "category")
    table = tables.read(options.data, kinds=kinds, drop=options.drop, missing=options.missing)
    if options.data.endswith(".npy") and target.startswith("-"):
        target = str(len(table.columns) + len(options.drop) + int(target))
    for name in options.categorical:
        table.column(name)
    task, classes, y = tables.target_of(table, target, options.task)
    rows = _divided(options, y, classes)
    recipe = tables.learn(table, target, task, classes, rows["training"], options.missing)
    encoded = recipe.encode(table, unknown="missing")
    if not options.quiet:
        _tell_notes(table, recipe, rows, encoded)
    net = _network(options, recipe, optimizer)
    began = time.perf_counter()
    course = _fit(net, options, encoded, y, rows)
    seconds = time.perf_counter() - began
    found = {
        "fastnn": fastnn.__version__,
        "data": os.path.basename(options.data),
        "rows": {name: len(some) for name, some in rows.items()},
        **course,
        "seed": options.seed,
        **_scores(net, encoded, y, rows),
    }
    net.metadata = {"table": recipe.to_plain(), "training": found}
    net.feature_names = tuple(recipe.names)
    with _writing(options.out):
        net.save(options.out)
    _report(options, net, recipe, found, seconds)
    return 0


def _optimizer(options):
    """Return the optimizer that is asked for."""
    name = options.optimizer or ("adam" if options.weight_decay is None else "adamw")
    settings = {}
    if options.learning_rate is not None:
        settings["learning_rate"] = options.learning_rate
    if options.weight_decay is not None:
        if name != "adamw":
            raise UsageError(f"--weight-decay is adamw's, not {name}'s; use --optimizer adamw, "
                             "or --l2")  # fmt: skip
        settings["weight_decay"] = options.weight_decay
    return optimizers.KINDS[name](**settings)


def _target(options):
    """Return the name of the target."""
    if options.target is None and not options.data.endswith(".npz"):
        raise UsageError("which column is to be predicted? name it: --target COLUMN")
    target = "y" if options.target is None else options.target
    if target in options.drop:
        raise UsageError(f"the target {target!r} cannot be dropped; take it from --drop")
    return target


def _divided(options, y, classes):
    """Return the rows to train on, to stop in time by, and held out: sorted arrays of numbers."""
    known = np.flatnonzero(~np.isnan(y) if classes is None else y >= 0)
    rng = np.random.default_rng(options.seed)
    rows = {}
    for name, fraction in (("test", options.test), ("validation", options.validation)):
        picked = _picked(rng, None if classes is None else y[known], len(known), fraction)
        if fraction and not picked.any():
            raise tables.TableError(
                f"{options.data} has too few rows with a target for --{name} {fraction:g} "
                f"({len(known):,}); add rows, or leave that out: --{name} 0"
            )
        rows[name], known = known[picked], known[~picked]
    return {"training": known, **rows}


def _picked(rng, labels, n, fraction):
    """Return which of n rows are picked, (n,) bool: of each class the same fraction, never all."""
    order = rng.permutation(n)
    places = np.arange(n)
    picked = np.floor((places + 1) * fraction) > np.floor(places * fraction)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
        in_order = labels[order]
        picked[1:] &= in_order[1:] == in_order[:-1]
    picked[:1] = False
    found = np.zeros(n, bool)
    found[order] = picked
    return found


def _tell_notes(table, recipe, rows, encoded):
    """Say what was left out, and what may not be meant."""
    without = table.n - sum(map(len, rows.values()))
    if without:
        _tell(f"note: left out {without:,} rows without {recipe.target!r}")
    for name, why in recipe.ignored.items():
        remedy = "; make numbers of them, such as year and month, to use them"
        _tell(f"note: ignored column {name!r}: {why}{remedy if why == 'dates' else ''}")
    for name, count in encoded.replaced.items():
        _tell(f"note: column {name!r}: {count:,} rows hold texts that those to train on don't; "
              "they count as missing")  # fmt: skip
    for name in recipe.kinds:
        if tables.counts_rows(table.columns[name]):
            _tell(f"note: column {name!r} counts the rows; if it is no more than that, leave it "
                  f"out: --drop {name}")  # fmt: skip


def _network(options, recipe, optimizer):
    """Return the untrained network."""
    layers = [Standardize()] if recipe.is_measured.any() else []
    for units in options.hidden:
        layers.append(Dense(units, options.activation, l2=options.l2))
        layers += [Dropout(options.dropout)] if options.dropout else []
    is_class = recipe.classes is not None
    units, output = (len(recipe.classes), "softmax") if is_class else (1, "identity")
    return MLP(
        len(recipe.names),
        [*layers, Dense(units, output, l2=options.l2)],
        loss="cross_entropy" if is_class else "squared_error",
        optimizer=optimizer,
        dtype=options.dtype,
        seed=options.seed,
    )


def _fit(net, options, encoded, y, rows):
    """Train; return how long it took, in epochs."""
    X = encoded.matrix(rows["training"], net.dtype)
    is_class = encoded.recipe.classes is not None
    mean, scale = (0, 1) if is_class else _mean_and_scale(y[rows["training"]])
    y = y if is_class else (y - mean) / scale
    is_measured = encoded.recipe.is_measured
    if is_measured.any():
        # Inputs of categories are 0 and 1 and stay so: a column that doesn't vary has scale 1.
        net.adapt(np.where(is_measured, X, net.dtype.type(0)))
    callbacks = [] if options.quiet else [_progress()]
    stop = EarlyStopping(patience=options.patience, restore_best_weights=True)
    validation = None
    if len(rows["validation"]):
        callbacks.append(stop)
        validation = encoded.matrix(rows["validation"], net.dtype), y[rows["validation"]]
    history = net.fit(
        X,
        y[rows["training"]],
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=validation,
        metrics=["accuracy"] if is_class else ["r2"],
        callbacks=callbacks,
        n_threads=options.threads,
    )
    if not is_class:
        _put_scale_into(net, mean, scale)
    best = None if stop.best_epoch is None else stop.best_epoch + 1
    return {"epochs": len(history.epoch), "best_epoch": best}


def _mean_and_scale(y):
    """Return a target's mean and standard deviation, by which it is scaled while it is learned."""
    return float(y.mean()), float(y.std()) or 1.0


def _put_scale_into(net, mean, scale):
    """Let the output layer undo the scaling of its target: y = z W + b becomes mean + scale y."""
    *others, W, b = net.get_weights()
    W, b = (W.astype(np.float64) * scale), (b.astype(np.float64) * scale + mean)
    net.set_weights([*others, W, b])


def _progress():
    """Return a callback that shows progress on standard error."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return ProgressBar() if is_terminal else _Lines()


class _Lines(Callback):
    """A line about an epoch, at most one a second, for standard error that is no terminal."""

    def on_train_begin(self, logs):
        self._told, self._line = -math.inf, None

    def on_epoch_end(self, epoch, logs):
        values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        self._line = f"epoch {epoch + 1}/{self.params['epochs']}  {values}"
        if time.monotonic() - self._told >= 1:
            self._tell_now()

    def on_train_end(self, logs):
        if self._line:
            self._tell_now()

    def _tell_now(self):
        _tell(self._line)
        self._told, self._line = time.monotonic(), None


def _scores(net, encoded, y, rows):
    """Return scores on the rows held out, of the network and of the simplest guess."""
    test = rows["test"]
    if len(test) == 0:
        return {"test": None, "baseline": None}
    outputs = net.predict(encoded.matrix(test, net.dtype)).astype(np.float64)
    if encoded.recipe.classes is None:
        guess = np.full((len(test), 1), y[rows["training"]].mean())
        found = [_errors(out[:, 0], y[test]) for out in (outputs, guess)]
    else:
        counts = np.bincount(y[rows["training"]], minlength=net.n_out)
        guess = np.tile(counts / counts.sum(), (len(test), 1))
        found = [_hits(out, y[test]) for out in (outputs, guess)]
    test, baseline = ({name: float(v) if math.isfinite(v) else None for name, v in scores.items()}
                      for scores in found)  # fmt: skip
    return {"test": test, "baseline": baseline}


def _errors(predicted, y):
    """Return the scores of a regression."""
    errors = predicted - y
    spread = ((y - y.mean()) ** 2).sum()
    return {
        "r2": 1 - (errors**2).sum() / spread if spread else math.nan,
        "mae": np.abs(errors).mean(),
        "rmse": np.sqrt((errors**2).mean()),
    }


def _hits(probabilities, labels):
    """Return the scores of a classification; no probability counts as less than 1e-15."""
    own = probabilities[np.arange(len(labels)), labels]
    found = {
        "accuracy": (probabilities.argmax(axis=1) == labels).mean(),
        "log_loss": -np.log(np.maximum(own, 1e-15)).mean(),
    }
    if probabilities.shape[1] == 2:
        found["roc_auc"] = fastnn.ROCAUC()(labels, probabilities)
    return found


def _report(options, net, recipe, found, seconds):
    """Show what was trained, and how well it does."""
    if options.json:
        described = {
            "model": options.out,
            "task": recipe.task,
            "target": recipe.target,
            "classes": recipe.classes,
            "columns": recipe.kinds,
            "ignored": recipe.ignored,
            "n_inputs": net.n_in,
            "n_parameters": net.n_parameters,
            **found,
            "seconds": round(seconds, 3),
        }
        _print(json.dumps(described) + "\n")
        return
    new = "-" if options.data == "-" else f"NEW{os.path.splitext(options.data)[1]}"
    kept = "" if found["best_epoch"] is None else f"; kept the best, number {found['best_epoch']}"
    _print(
        _lines([
            *_of_task(recipe, found),
            ("network", _sizes(net)),
            ("training", f"{_epochs(found)} in {seconds:.2f} s{kept}"),
        ])
        + _score_table(recipe, found)
        + f"\nsaved {options.out}; to use it: fastnn predict {options.out} {new}\n"
    )  # fmt: skip


def _of_task(recipe, found):
    """Yield what was learned, from which rows and which columns."""
    classes = "" if recipe.classes is None else f", {len(recipe.classes)} classes"
    yield "task", f"{recipe.task} of {recipe.target}{classes}"
    n = found["rows"]
    parts = [f"{n['training']:,} to train"]
    parts += [f"{n['validation']:,} to stop in time"] if n["validation"] else []
    parts += [f"{n['test']:,} to test"] if n["test"] else []
    yield "rows", f"{sum(n.values()):,} of {found['data']}: {', '.join(parts)}"
    columns = [
        (column["name"] or "''")
        + (f" ({len(column['texts'])})" if column["kind"] == "category" else "")
        for column in recipe.columns
    ]
    yield "columns", f"{len(columns)}, {len(recipe.names)} inputs: {_some(columns)}"


def _epochs(found):
    return f"{found['epochs']:,} epoch{'' if found['epochs'] == 1 else 's'}"


def _sizes(net):
    sizes = "-".join(str(n) for n in [net.n_in, *(layer.units for layer in net.dense)])
    hidden = f" {net.dense[0].activation}" if len(net.dense) > 1 else ""
    return f"{sizes}{hidden}, {net.n_parameters:,} parameters, {net.dtype}, {net.optimizer.name}"


def _score_table(recipe, found):
    """Return the scores of network and guess side by side."""
    if found["test"] is None:
        return ""
    guess = "mean" if recipe.classes is None else "most frequent class"
    rows = [
        (_SCORES[name], *(_score(name, found[which][name]) for which in ("test", "baseline")))
        for name in found["test"]
    ]
    rows = [(f"on {found['rows']['test']:,} rows held out", "network", guess), *rows]
    left, middle, right = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n" + "".join(
        f"{name:<{left}}  {ours:>{middle}}  {theirs:>{right}}\n" for name, ours, theirs in rows
    )


# ---- predict ------------------------------------------------------------------------------------


def _predict(options):
    """Let a network predict: `fastnn predict`."""
    if options.out is not None and options.json:
        raise UsageError("--json goes to standard output; leave out --out, or redirect it: > FILE")
    net, recipe = _loaded(options.model)
    if options.proba and recipe.classes is None:
        raise UsageError(f"--proba is for classes, but {options.model} predicts numbers; drop it")
    if options.out is not None:
        with _writing(options.out):
            tables.check_place(options.out, tables.WRITTEN)
    table = recipe.read(options.data)
    rows = recipe.encode(table, options.unknown)
    if not options.quiet:
        _tell_of_columns(table, recipe, rows)
    outputs = np.concatenate([net.predict(X) for X in rows.blocks(net.dtype)])
    if options.out is not None:
        with _writing(options.out):
            tables.write(options.out, recipe, outputs, options.proba)
        return 0
    text = tables.json_text if options.json else tables.csv_text
    for block in text(recipe, outputs, options.proba):
        _print(block)
    return 0


def _loaded(path):
    """Return a network, and what it makes of tables."""
    net = fastnn.load(path)
    try:
        return net, tables.recipe_of(net)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _tell_of_columns(table, recipe, rows):
    """Say which columns are not used, and what is missing where nothing was in training."""
    extra = [name for name in table.others if name != recipe.target and name not in recipe.ignored]
    if extra:
        plural = "s" if len(extra) > 1 else ""
        _tell(f"note: ignored column{plural} {_some([*map(repr, extra)])}: not trained on")
    for name, count in rows.replaced.items():
        _tell(f"note: column {name!r}: took {count:,} unknown texts for missing values")
    had = {column["name"] for column in recipe.columns if column["missing"]}
    for name, count in rows.n_missing().items():
        if name not in had:
            _tell(f"note: column {name!r}: {count:,} missing, but none were in training")


# ---- info and export ----------------------------------------------------------------------------


def _info(options):
    """Say what a network is: `fastnn info`."""
    net = fastnn.load(options.model)
    recipe = _loaded(options.model)[1] if "table" in net.metadata else None
    found = None if recipe is None else _course(options.model, net)
    if options.json:
        described = {
            "model": options.model,
            "task": recipe and recipe.task,
            "n_inputs": net.n_in,
            "n_outputs": net.n_out,
            "n_parameters": net.n_parameters,
            "epochs": net.epoch,
            "inputs": None if net.feature_names is None else list(net.feature_names),
            "table": recipe and recipe.to_plain(),
            "training": found,
            "config": net.get_config(),
        }
        _print(json.dumps(described) + "\n")
        return 0
    text = "" if recipe is None else _of_recipe(recipe, found) + "\n"
    _print(text + fastnn.inspection.summary(net) + "\n")
    return 0


def _course(path, net):
    """Return what `fastnn train` keeps of a training."""
    known = ("fastnn", "data", "rows", "epochs", "best_epoch", "seed", "test", "baseline")
    try:
        return _checks.fields("the account of its training", net.metadata.get("training"), known)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _of_recipe(recipe, found):
    """Return what a network predicts, from what, and how well."""
    pairs = list(_of_task(recipe, found))
    if recipe.classes is not None:
        pairs.insert(1, ("classes", _some([*map(str, recipe.classes)])))
    kept = f", kept number {found['best_epoch']}" if found["best_epoch"] else ""
    how = f"{_epochs(found)}{kept}, seed {found['seed']}, fastnn {found['fastnn']}"
    pairs.append(("training", how))
    if recipe.ignored:
        left_out = [f"{name or repr(name)} ({why})" for name, why in recipe.ignored.items()]
        pairs.append(("ignored", _some(left_out)))
    width = max(len(column["name"]) for column in recipe.columns)
    rows = (f"{column['name']:<{width}}  {_of_column(column)}\n" for column in recipe.columns)
    return _lines(pairs) + _score_table(recipe, found) + "\n" + "".join(rows)


def _of_column(column):
    """Return what a column takes."""
    if column["kind"] == "category":
        missing = "; or missing" if column["missing"] else ""
        return f"one of {_some(column['texts'], 8)}{missing}"
    missing = " and an input that says so" if column["missing"] else ""
    return f"a number; where missing, {_number(column['median'])}{missing}"


def _export(options):
    """Write a network for other programs: `fastnn export`."""
    net = fastnn.load(options.model)
    if options.onnx is not None:
        with _writing(options.onnx):
            tables.check_place(options.onnx, ())
            from fastnn import onnx

            onnx.export(net, options.onnx)
        return 0
    if options.c is not None:
        with _writing(options.c):
            tables.check_place(options.c, (".c",))
            net.to_c(options.c)
        return 0
    text = json.dumps(_plain(net)) + "\n"
    if options.json == "-":
        _print(text)
        return 0
    with _writing(options.json):
        tables.write_text(options.json, text)
    return 0


def _plain(net):
    """Return all that predictions follow from, as plain data."""
    mean_and_scale = net.standardization
    return {
        "fastnn": fastnn.__version__,
        "config": net.get_config(),
        "weights": [_shortest(array) for array in net.get_weights()],
        "standardization": mean_and_scale and [array.tolist() for array in mean_and_scale],
        "inputs": None if net.feature_names is None else list(net.feature_names),
        "metadata": net.metadata,
    }


def _shortest(array):
    """Return numbers as lists of floats with no more digits than their precision has."""
    return array.astype(str).astype(np.float64).tolist()
