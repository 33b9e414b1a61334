"""`fastnn train` without options: the networks of the preset good, on raw tables.

Tests the networks and their bits, that scores are computed on rows that no network was trained on
while the saved networks are trained on all rows, Ctrl-C, the options of each preset, and `predict`,
`info` and `export` with the saved file. Not here: the preset plain (test_cli.py,
test_cli_several.py), and the estimators with the same recipe (test_sklearn_tabular.py).
"""

import json
import re
import types

import numpy as np
import polars as pl
import pytest
from onnx.reference import ReferenceEvaluator

import fastnn
from fastnn import tables
from fastnn.cli import main, splitting
from fastnn.many.outcomes import NOT_STARTED, Status
from fastnn.sklearn import TabularClassifier, TabularRegressor
from fastnn.tabular import ensemble

#: Small networks, so that tests take no longer than they must.
SMALL = ("--hidden", "16,8", "--epochs", "40")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table of flats, and a model of numbers and one of classes."""
    folder = tmp_path_factory.mktemp("good")
    rng = np.random.default_rng(0)
    n = 400
    area, city = rng.uniform(20, 140, n), rng.choice(["Bonn", "Köln", "Trier"], n)
    price = np.array([{"Bonn": 13, "Köln": 15, "Trier": 11}[name] for name in city])
    rent = (area * price + rng.normal(100, 20, n)).round()
    days = np.datetime64("2020-01-01") + rng.integers(0, 900, n)
    owner = np.where(rng.random(n) > 0.9, [f"person {i % 90}" for i in range(n)], "town")
    frame = pl.DataFrame({"area": area, "city": city, "since": days, "owner": owner, "rent": rent})
    frame = frame.with_columns(pl.when(pl.arange(n) % 25 == 3).then(None).otherwise(pl.col("rent"))
                               .alias("rent"), pl.when(pl.arange(n) % 7 == 3).then(None)
                               .otherwise(pl.col("area")).alias("area"))  # fmt: skip
    frame.write_csv(folder / "flats.csv")
    frame[:9].write_csv(folder / "new.csv")
    for target in ("rent", "city"):
        train = ["train", folder / "flats.csv", "--target", target, *SMALL, "--quiet",
                 "--out", folder / target]  # fmt: skip
        assert main([str(word) for word in train]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


TRAIN = ("train", "flats.csv", "--target", "rent", *SMALL, "--out", "x")


# ---- what is trained ----------------------------------------------------------------------------


def test_the_default_is_the_recipe(here, output_of, monkeypatch):
    seen = []

    def call(nets, *_, **options):
        seen.append((nets, options))
        raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "fit_many", call)
    assert main(["train", "flats.csv", "--target", "rent", "--out", "x", "--quiet"]) == 130
    [(nets, options)] = seen
    assert [net.seed for net in nets] == [0, 1, 2, 3, 4]
    n = len(options["rows"][0])
    mine = ensemble.Settings().network(nets[0].n_in, 1, "identity", "squared_error", n, 0)
    assert mine.get_config() == nets[0].get_config()
    assert set(options["epochs"]) == {ensemble.Settings().n_epochs(n)}


def test_options_change_the_recipe(here, output_of, monkeypatch):
    seen, fit_many = [], ensemble.fit_many

    def call(*args, **options):
        seen.append(options)
        return fit_many(*args, **options)

    monkeypatch.setattr(ensemble, "fit_many", call)
    output_of(*TRAIN, "--quiet", "--ensemble", "2", "--activation", "tanh", "--dropout", "0.25",
              "--learning-rate", "0.01", "--weight-decay", "0.1", "--dtype", "float64",
              "--seed", "7", "--batch-size", "50", "--validation", "0.3",
              "--loss", "huber")  # fmt: skip
    assert [options["batch_size"] for options in seen] == [50, 50]  # scores, then all rows
    for options in seen:
        n_validation, n_training = len(options["validation"][0]), len(options["rows"][0])
        assert n_validation == pytest.approx(0.3 * (n_training + n_validation), abs=1)
    fits = fastnn.load_many("x")
    assert [net.seed for net in fits] == [7, 8]
    net = fits[0]
    dense = [(d.units, d.activation.name) for d in net.dense]
    assert dense == [(16, "tanh"), (8, "tanh"), (1, "identity")]
    assert set(net.dropout_rates) == {0, 0.25}
    assert (net.optimizer.name, net.optimizer.weight_decay) == ("adamw", 0.1)
    assert net.optimizer.learning_rate.schedule.initial_learning_rate == 0.01
    assert (net.dtype, net.loss.name) == (np.float64, "huber")
    assert net.metadata["training"]["preset"] == "good"


def test_a_single_network_is_saved_as_one_network(here, output_of):
    output_of(*TRAIN, "--quiet", "--ensemble", "1")
    net = fastnn.load("x")
    assert net.metadata["training"]["best_epoch"] is not None
    assert pl.read_csv(output_of("predict", "x", "new.csv").encode()).columns == ["rent"]


def test_the_scores_are_of_networks_that_saw_none_of_the_test_rows(here, output_of):
    """--no-refit saves these networks; the estimator trained on the other rows equals them."""
    report = json.loads(output_of(*TRAIN, "--quiet", "--json", "--no-refit"))
    assert report["refit"] is None
    fits = fastnn.load_many("x")
    recipe = tables.recipe_of(fits[0])
    table = tables.read("flats.csv")
    _, classes, y = tables.target_of(table, "rent")
    options = types.SimpleNamespace(seed=0, test=0.2, data="")
    rows = splitting.split(options, y, classes, 0.0)
    test = rows["test"]
    mean = fits.predict(recipe.encode(table, "missing").matrix(test), "mean")[:, 0]
    r2 = 1 - ((mean - y[test]) ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum()
    assert report["test"]["r2"] == pytest.approx(r2, rel=1e-12)
    assert report["rows"] == {"training": len(rows["training"]), "validation": 0, "test": len(test)}
    again = json.loads(output_of(*TRAIN, "--quiet", "--json"))
    assert again["test"] == report["test"]


def test_the_networks_in_the_file_have_seen_all_rows(here, output_of):
    """They equal the networks trained with --test 0, which have no test rows."""
    report = json.loads(output_of(*TRAIN, "--quiet", "--json"))
    assert report["refit"] == sum(report["rows"].values()) == 384
    with_test = fastnn.load_many("x")
    output_of(*TRAIN, "--quiet", "--test", "0")
    without = fastnn.load_many("x")
    assert tables.recipe_of(with_test[0]) == tables.recipe_of(without[0])
    for a, b in zip(with_test, without, strict=True):
        np.testing.assert_array_equal(a.get_flat_weights(), b.get_flat_weights())


def test_the_same_command_writes_the_same_file(here, output_of):
    contents = set()
    for options in (["--threads", "1"], ["--threads", "2", "--quiet"], ["--quiet", "--json"]):
        output_of(*TRAIN, *options)
        contents.add((here / "x").read_bytes())
    assert len(contents) == 1


def test_the_report(here, run):
    code, out, err = run(*TRAIN)
    assert code == 0
    assert "networks    5 of " in out
    assert "training    40 epochs" not in out
    assert "up to 40 epochs, then again on all 384 rows in " in out
    assert "\non 76 test rows " in out
    assert (
        "\nThe scores are of networks trained on 308 rows; those in the file were trained on "
        "all 384.\n" in out
    )
    assert "note: left out 16 rows without 'rent'" in err
    assert "training again on all 384 rows" in err
    assert "5/5 networks" in err


def test_classes_may_be_weighted(here, output_of):
    (here / "rare.csv").write_text(
        "x,y\n"
        + "".join(f"{i % 97 / 97:.3f},{'no' if i % 97 < 85 else 'yes'}\n" for i in range(300))
    )
    train = ("train", "rare.csv", "--target", "y", *SMALL, "--ensemble", "2", "--out", "x")
    shares = []
    for weights in ([], ["--class-weight", "yes=9"], ["--class-weight", "balanced"]):
        found = json.loads(output_of(*train, "--json", "--quiet", *weights))
        assert ("balanced_accuracy" in found["test"]) == bool(weights)
        told = " ".join(output_of("info", "x").split())
        assert ("class weights " + "".join(weights[1:]) in told) == bool(weights)
        assert TabularClassifier.load("x")._is_weighted == bool(weights)
        probabilities = pl.read_csv(output_of("predict", "x", "rare.csv", "--proba").encode())
        shares.append(probabilities["y=yes"].mean())
    assert shares[0] < min(shares[1:])


@pytest.mark.parametrize(
    ("values", "options", "note"),
    [
        (range(3), [], "has 3 different whole numbers, treated as classes; if they are amounts: "
         "--task regression"),
        (range(30), [], "has 30 different whole numbers, treated as amounts; if they are classes: "
         "--task classification"),
        (range(2), [], None),
        (range(80), [], None),
        (np.arange(30) / 4, [], None),
        (range(3), ["--task", "regression"], None),
    ],
)  # fmt: skip
def test_a_target_of_numbers_that_may_be_classes_is_noted(here, run, values, options, note):
    y = np.resize(np.array(values), 300)
    np.savez("numbers.npz", x=np.random.default_rng(0).normal(size=300), y=y)
    train = ("train", "numbers.npz", "--out", "x", "--preset", "plain", "--epochs", "1")
    _, _, err = run(*train, *options)
    notes = [line for line in err.splitlines() if "the target 'y'" in line]
    assert notes == ([] if note is None else [f"note: the target 'y' {note}"])


# ---- which options go with which preset ---------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["--optimizer sgd", "--l2 0", "--patience 3", "--by city", "--search 2"]
)
def test_options_of_plain_select_it(words, here, run):
    code, out, _ = run("train", "flats.csv", "--target", "rent", "--epochs", "2", "--out", "x",
                       "--quiet", "--json", *words.split())  # fmt: skip
    assert code == 0
    assert json.loads(out)["preset"] == "plain"
    code, out, err = run(*TRAIN, "--preset", "good", "--quiet", *words.split())
    assert (code, out) == (2, "")
    assert err.startswith(f"fastnn: error: {words.split()[0]} is for --preset plain; leave it out")


def test_no_refit_is_refused_with_the_preset_plain(here, run):
    code, _, err = run(*TRAIN, "--preset", "plain", "--no-refit")
    assert code == 2
    assert "--no-refit is for --preset good" in err


def test_errors_do_not_name_a_network(here, run):
    code, _, err = run(*TRAIN, "--quiet", "--learning-rate", "1e30")
    assert code == 1
    assert re.fullmatch(r"fastnn: error: the loss .*, so nothing was saved; .*\n", err)
    code, _, err = run("train", "flats.csv", "--target", "city", "--out", "x", "--class-weight",
                       "Bonn=0,Köln=0,Trier=0")  # fmt: skip
    assert code == 2
    assert "the weights of all rows are 0" in err


# ---- Ctrl-C -------------------------------------------------------------------------------------


def interrupted(monkeypatch, call, n):
    """Simulate Ctrl-C after n networks in one call of fit_many; calls are counted from 0."""
    calls = []

    def fit_many(nets, *args, **options):
        fits = fastnn.fit_many(nets, *args, **options)
        if len(calls) == call:
            fits.statuses[n:] = [Status(NOT_STARTED, 0)] * (len(fits) - n)
            fits.interrupted = True
        calls.append(len(nets))
        return fits

    monkeypatch.setattr(ensemble, "fit_many", fit_many)
    return calls


def test_ctrl_c_before_the_scores_keeps_what_is_trained(here, run, monkeypatch):
    calls = interrupted(monkeypatch, 0, 2)
    code, out, err = run(*TRAIN, "--quiet", "--json")
    assert (code, calls) == (130, [5])
    assert err == "fastnn: interrupted; x has the networks whose training was complete\n"
    fits = fastnn.load_many("x")
    assert (len(fits), json.loads(out)["refit"]) == (2, None)
    assert fits.is_trained.all()


@pytest.mark.parametrize("n", [0, 2])
def test_ctrl_c_after_the_scores_keeps_the_networks_that_were_scored(here, run, monkeypatch, n):
    assert run(*TRAIN, "--quiet", "--no-refit")[0] == 0
    scored = (here / "x").read_bytes()
    interrupted(monkeypatch, 1, n)
    code, out, err = run(*TRAIN, "--quiet")
    assert code == 130
    assert err == "fastnn: interrupted; x has the networks that were scored, trained on 308 rows\n"
    assert (here / "x").read_bytes() == scored
    assert "were trained on all" not in out


def test_ctrl_c_while_all_rows_are_encoded_keeps_the_networks_that_were_scored(
    here, run, monkeypatch
):
    learned = []

    def learn(*args, **options):
        if learned:
            raise KeyboardInterrupt
        learned.append(tables_learn(*args, **options))
        return learned[0]

    tables_learn = tables.learn
    monkeypatch.setattr(tables, "learn", learn)
    code, _, err = run(*TRAIN, "--quiet")
    assert code == 130
    assert err == "fastnn: interrupted; x has the networks that were scored, trained on 308 rows\n"
    assert tables.recipe_of(fastnn.load_many("x")[0]) == learned[0]


def test_ctrl_c_before_a_network_is_trained_writes_no_file(here, run, monkeypatch):
    (here / "x").unlink(missing_ok=True)
    interrupted(monkeypatch, 0, 0)
    assert run(*TRAIN, "--quiet") == (130, "", "fastnn: error: interrupted; no file was written\n")
    assert not (here / "x").exists()


def test_an_unmet_requirement_prevents_the_refit(here, run, monkeypatch):
    (here / "x").unlink(missing_ok=True)
    calls = interrupted(monkeypatch, 9, 0)
    code, out, _ = run(*TRAIN, "--quiet", "--require", "r2>=1")
    assert (code, calls) == (3, [5])
    assert not (here / "x").exists()
    assert "saved" not in out


# ---- predict and info ---------------------------------------------------------------------------


def test_predictions_are_the_mean_of_the_networks(here, output_of):
    fits = fastnn.load_many("rent")
    X = tables.recipe_of(fits[0]).inputs("new.csv", "missing")
    found = pl.read_csv(output_of("predict", "rent", "new.csv", "--unknown", "missing").encode())
    assert found.columns == ["rent", "rent_std"]
    np.testing.assert_allclose(found["rent"], fits.predict(X, "mean")[:, 0], rtol=1e-12)
    fits = fastnn.load_many("city")
    X = tables.recipe_of(fits[0]).inputs("new.csv", "missing")
    found = pl.read_csv(output_of("predict", "city", "new.csv", "--proba").encode())
    np.testing.assert_allclose(found[:, 1:4].to_numpy(), fits.predict(X, "mean"), rtol=1e-12)


def test_the_estimators_read_the_file(here, output_of):
    frame = pl.read_csv("new.csv", try_parse_dates=True)
    found = pl.read_csv(output_of("predict", "rent", "new.csv").encode())
    np.testing.assert_allclose(TabularRegressor.load("rent").predict(frame), found["rent"])
    found = pl.read_csv(output_of("predict", "city", "new.csv").encode())
    assert TabularClassifier.load("city").predict(frame).tolist() == found["city"].to_list()


def test_info_says_which_networks_were_scored(here, output_of):
    text = output_of("info", "rent")
    assert text.startswith("networks    5: 5 finished; the first is shown\n")
    assert "then again on all 384 rows, seed 0" in text
    assert (
        "The scores are of networks trained on 308 rows; those in the file were trained on" in text
    )
    found = json.loads(output_of("info", "rent", "--json"))
    assert (found["n_networks"], found["training"]["refit"]) == (5, 384)


# ---- export -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["rent", "city"])
def test_an_onnx_model_is_the_mean_of_the_networks(here, output_of, target):
    fits = fastnn.load_many(target)
    X = tables.recipe_of(fits[0]).inputs("flats.csv", "missing")
    output_of("export", target, "--onnx", "x.onnx")
    evaluator = ReferenceEvaluator("x.onnx")
    frame = pl.read_csv("flats.csv", try_parse_dates=True)
    frame = frame.with_columns(pl.col("since").dt.epoch("s").cast(float))
    columns = {name: frame[name].to_numpy()[:, None] for name in evaluator.input_names}
    (found,) = evaluator.run(None, columns)
    np.testing.assert_allclose(found, fits.predict(X, "mean"), rtol=1e-5, atol=1e-6)


def test_a_c_file_is_the_mean_of_the_networks(here, output_of):
    output_of("export", "city", "--c", "city.c")
    fastnn.to_c(fastnn.load_many("city"), "twin.c", name="city")
    assert (here / "city.c").read_text().replace("city.", "twin.") == (here / "twin.c").read_text()
    assert "the mean of 5 networks" in (here / "city.h").read_text()


def test_an_export_to_json_has_all_networks(here, output_of):
    found = json.loads(output_of("export", "rent", "--json"))
    assert (found["fastnn"], len(found["networks"])) == (fastnn.__version__, 5)
    for plain, net in zip(found["networks"], fastnn.load_many("rent"), strict=True):
        twin = fastnn.MLP.from_config(plain["config"])
        twin.set_weights([np.array(array, np.float32) for array in plain["weights"]])
        np.testing.assert_array_equal(twin.get_flat_weights(), net.get_flat_weights())
    assert found["metadata"]["table"]["target"] == "rent"
