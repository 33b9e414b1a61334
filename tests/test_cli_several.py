"""The command line with several networks: ensembles, a network for each value, searches.

Tests their files, `predict` and `info` with these files, errors, and Ctrl-C. Not here: single
networks (test_cli.py).
"""

import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import fastnn
from fastnn import tables
from fastnn.cli import main, several
from fastnn.cli.splitting import split
from fastnn.many.outcomes import NOT_STARTED, Status, with_number
from fastnn.sklearn import TabularRegressor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table of flats, and a model of each kind."""
    folder = tmp_path_factory.mktemp("several")
    rng = np.random.default_rng(0)
    area, city = rng.uniform(20, 140, 400), rng.choice(["Bonn", "Köln", "Trier"], 400)
    price = np.array([{"Bonn": 13, "Köln": 15, "Trier": 11}[name] for name in city])
    rent = area * price + rng.normal(100, 20, 400)
    frame = pl.DataFrame({"area": area, "city": city, "rent": rent})
    frame.write_csv(folder / "flats.csv")
    frame[:9].write_csv(folder / "new.csv")
    for name, options in {
        "ensemble": ["--target", "rent", "--ensemble", "3"],
        "classes": ["--target", "city", "--ensemble", "3"],
        "cities": ["--target", "rent", "--by", "city"],
        "search": ["--target", "rent", "--search", "20"],
    }.items():
        train = ["train", folder / "flats.csv", *options, "--hidden", "8", "--epochs", "15",
                 "--preset", "plain", "--quiet", "--out", folder / name]  # fmt: skip
        assert main([str(word) for word in train]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


PLAIN = ("--preset", "plain", "--hidden", "8")
TRAIN = ("train", "flats.csv", "--target", "rent", *PLAIN, "--epochs", "5", "--out", "x")

# ---- ensembles ----------------------------------------------------------------------------------


def test_an_ensemble_predicts_its_mean_and_its_spread(here, output_of):
    fits = fastnn.load_many("ensemble")
    X = tables.recipe_of(fits[0]).inputs("new.csv")
    mean, std = fits.predict(X, "mean")[:, 0], fits.predict(X, "std")[:, 0]
    found = pl.read_csv(output_of("predict", "ensemble", "new.csv").encode())
    assert found.columns == ["rent", "rent_std"]
    np.testing.assert_allclose(found["rent"], mean, rtol=1e-12)
    np.testing.assert_allclose(found["rent_std"], std, rtol=1e-9)
    lines = output_of("predict", "ensemble", "new.csv", "--json").splitlines()
    assert [json.loads(line) for line in lines] == found.to_dicts()
    output_of("predict", "ensemble", "new.csv", "--out", "p.parquet")
    assert pl.read_parquet("p.parquet").to_dicts() == found.to_dicts()
    output_of("predict", "ensemble", "new.csv", "--out", "p.npy")
    np.testing.assert_array_equal(np.load("p.npy"), found["rent"])


def test_the_networks_of_an_ensemble_have_consecutive_seeds(here):
    fits = fastnn.load_many("ensemble")
    assert [net.seed for net in fits] == [0, 1, 2]
    assert fits.is_trained.all()
    assert len({net.get_flat_weights().tobytes() for net in fits}) == 3
    assert fits[0].metadata == fits[2].metadata


def test_the_first_network_of_an_ensemble_equals_one_trained_alone(here, output_of):
    output_of(*TRAIN, "--quiet", "--seed", "1")
    output_of(*TRAIN[:-1], "y", "--quiet", "--ensemble", "2", "--seed", "1")
    one, first = fastnn.load("x"), fastnn.load_many("y")[0]
    for a, b in zip(one.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_same_command_writes_the_same_file(here, output_of):
    contents = []
    for threads in (1, 2):
        output_of(*TRAIN, "--quiet", "--ensemble", "3", "--threads", threads)
        contents.append((here / "x").read_bytes())
    assert contents[0] == contents[1]


def test_an_ensemble_of_classifiers_predicts_by_its_mean_probabilities(here, output_of):
    fits = fastnn.load_many("classes")
    X = tables.recipe_of(fits[0]).inputs("new.csv")
    mean, std = fits.predict(X, "mean"), fits.predict(X, "std")
    cities = ["Bonn", "Köln", "Trier"]
    found = pl.read_csv(output_of("predict", "classes", "new.csv", "--proba").encode())
    names = [f"city={city}" for city in cities]
    assert found.columns == ["city", *names, *(f"{name}_std" for name in names)]
    assert found["city"].to_list() == [cities[i] for i in mean.argmax(axis=1)]
    np.testing.assert_allclose(found[:, 1:4].to_numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(found[:, 4:].to_numpy(), std, rtol=1e-9, atol=1e-15)
    assert pl.read_csv(output_of("predict", "classes", "new.csv").encode()).columns == ["city"]
    line = json.loads(
        output_of("predict", "classes", "new.csv", "--proba", "--json").splitlines()[0]
    )
    assert list(line) == ["city", "probabilities", "probabilities_std"]
    assert list(line["probabilities_std"]) == cities


def test_the_scores_of_an_ensemble_are_those_of_its_mean(here, output_of):
    report = json.loads(output_of(*TRAIN, "--quiet", "--json", "--ensemble", "4"))
    assert (report["n_networks"], report["ensemble"]) == (4, 4)
    fits = fastnn.load_many("x")
    assert fits[0].metadata["training"]["test"] == report["test"]
    text = output_of(*TRAIN, "--quiet", "--ensemble", "4")
    assert "networks    4 of " in text


@pytest.mark.parametrize("words", ["--preset plain", "--preset plain --ensemble 2", "--by city"])
def test_moments_that_overflow_have_a_remedy_of_the_command_line(words, here, run):
    """The loss stays finite, but the squares of Adam's gradients do not."""
    train = ("train", "flats.csv", "--target", "rent", "--hidden", "4", "--epochs", "2", "--quiet")
    (here / "x").unlink(missing_ok=True)
    code, _, err = run(*train, *words.split(), "--l2", "1e30", "--out", "x")
    assert code == 1
    message = r"layers\.0\.W of (the )?network( 0)? holds inf, so nothing was saved"
    assert re.search(rf"{message}; lower --learning-rate or --l2\n$", err)
    assert not (here / "x").exists()


# ---- a network for each value -------------------------------------------------------------------


def test_each_value_is_predicted_by_its_own_network(here, output_of):
    fits = fastnn.load_many("cities")
    assert fits.groups.tolist() == ["Bonn", "Köln", "Trier"]
    recipe = tables.recipe_of(fits[0])
    assert list(recipe.kinds) == ["area"]
    frame = pl.read_csv("new.csv")
    X = recipe.inputs("new.csv")
    want = [fits[["Bonn", "Köln", "Trier"].index(city)].predict(X[i : i + 1])[0, 0]
            for i, city in enumerate(frame["city"])]  # fmt: skip
    found = pl.read_csv(output_of("predict", "cities", "new.csv").encode())
    assert found.columns == ["rent"]
    np.testing.assert_allclose(found["rent"].to_numpy(), want, rtol=1e-6)


def test_a_value_without_a_network_is_an_error(here, run):
    (here / "bad.csv").write_text("area,city\n50,Bonn\n50,Berlin\n")
    code, out, err = run("predict", "cities", "bad.csv", "--unknown", "missing")
    assert (code, out) == (1, "")
    assert err.startswith(
        "fastnn: error: bad.csv: column 'city' holds 'Berlin' in row 2, for which"
    )
    (here / "bad.csv").write_text("area,city\n50,\n")
    assert "holds '' in row 1" in run("predict", "cities", "bad.csv")[2]
    (here / "bad.csv").write_text("area\n50\n")
    assert "has no column 'city'" in run("predict", "cities", "bad.csv")[2]


def test_a_column_of_numbers_may_select_the_network(here, run, output_of):
    rng = np.random.default_rng(1)
    lines = [
        f"{x:.3f},{i % 2 + 7},{x * (i % 2 + 1):.3f}" for i, x in enumerate(rng.normal(size=200))
    ]
    (here / "numbers.csv").write_text("x,shop,sales\n1,,2\n" + "\n".join(lines) + "\n")
    train = ("train", "numbers.csv", "--target", "sales", "--by", "shop", "--epochs", "5", "--out",
             "shops", "--task", "regression")  # fmt: skip
    code, _, err = run(*train)
    assert code == 0
    assert "note: left out 1 row without 'sales' or 'shop'" in err
    assert fastnn.load_many("shops").groups.tolist() == ["7", "8"]
    (here / "shop.csv").write_text("x,shop\n1,7\n1,8.0\n")
    assert output_of("predict", "shops", "shop.csv", "--quiet").count("\n") == 3


def test_a_test_row_whose_value_has_no_network_is_noted(here, run):
    """The last test rows have a city of their own, which no network is trained on."""
    frame = pl.read_csv("flats.csv")
    test = split(SimpleNamespace(test=0.2, seed=0, data="x"), frame["rent"].to_numpy(), None, 0.1)
    city = frame["city"].to_list()

    def train(n, *words):
        """Train on the flats, where n of the 80 test rows are in Ulm."""
        changed = [*city]
        for i in test["test"][80 - n :]:
            changed[i] = "Ulm"
        frame.with_columns(city=pl.Series(changed)).write_csv("ulm.csv")
        return run("train", "ulm.csv", "--target", "rent", "--by", "city", "--epochs", "2",
                   "--hidden", "8", "--out", "x", "--json", *words)  # fmt: skip

    code, out, err = train(3)
    assert (code, json.loads(out)["rows"]["test"]) == (0, 77)
    assert "note: left out 3 test rows, whose 'city' occurs in no training row and so has" in err
    assert "without 'rent'" not in err
    (here / "x").unlink()
    code, _, err = train(80, "--require", "r2>=0.5")
    assert code == 1
    assert "no test row has a value of 'city', the column of --by, that occurs in the" in err
    assert not (here / "x").exists()
    assert train(80, "--test", "0")[0] == 0


def test_a_column_without_values_selects_no_network(here, run):
    (here / "none.csv").write_text("area,city,rent\n" + "50,,700\n60,,800\n,Bonn,\n" * 20)
    code, _, err = run("train", "none.csv", "--target", "rent", "--by", "city", "--out", "x")
    assert code == 1
    assert err.endswith("no row with a target has a value in 'city', the column of --by; name "
                        "another column\n")  # fmt: skip


def test_a_value_in_too_few_rows_is_an_error_before_training(here, run):
    text = (here / "flats.csv").read_text()
    (here / "rare.csv").write_text(text + "50,Ulm,700\n")
    code, _, err = run("train", "rare.csv", "--target", "rent", "--by", "city", "--out", "rare")
    assert code == 1
    assert re.search(
        r"--by city gives 'Ulm' (only 1|no) training row and (only 1|no) validation row; remove "
        r"such rows, choose a column with fewer values, or use --validation 0$",
        err.splitlines()[-1],
    )
    assert not (here / "rare").exists()
    words = ("--validation", "0", "--report", "rare.html", "--epochs", "1")
    for seed in range(3):  # the row may be among the test rows; then Ulm has no network
        code, _, err = run("train", "rare.csv", "--target", "rent", "--by", "city", "--out", "rare",
                           "--seed", str(seed), *words)  # fmt: skip
        assert code == 0, err


def test_an_export_has_each_values_network(here, run, output_of):
    found = json.loads(output_of("export", "cities", "--json"))
    assert found["groups"] == ["Bonn", "Köln", "Trier"]
    assert len(found["networks"]) == 3
    for form in ("--onnx", "--c"):
        code, _, err = run("export", "cities", form, f"cities.{form[2:]}")
        assert code == 2
        assert (
            f"{form} writes one network, but cities has a network for each group of rows; " in err
        )
        assert "use --json, which writes them all" in err
    assert not (here / "cities.c").exists()


def test_the_estimators_refuse_a_network_for_each_value(here):
    with pytest.raises(ValueError, match="a network for each value of 'city'"):
        TabularRegressor.load(here / "cities")


# ---- searches -----------------------------------------------------------------------------------


def test_a_search_saves_the_best_network(here, output_of):
    net = fastnn.load("search")
    found = net.metadata["training"]["search"]
    assert found["trials"] == 20
    assert [layer.units for layer in net.dense[:-1]] == found["hidden"]
    assert "best of 20 trials" in output_of("info", "search")
    report = json.loads(output_of(*TRAIN, "--quiet", "--json", "--search", "1"))
    assert report["search"]["hidden"] == [8]
    single = json.loads(output_of(*TRAIN, "--quiet", "--json"))
    assert report["test"] == single["test"]


def test_a_search_begins_no_round_after_its_time_limit(here, output_of, monkeypatch):
    clock = iter([0.0, 0.0, 1.0, 50.0, 61.0])  # the beginning, and before each round
    monkeypatch.setattr(several, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(several, "_ROUND", 3)
    words = "--quiet", "--json", "--threads", "2", "--search", "1min"
    assert json.loads(output_of(*TRAIN, *words))["search"]["trials"] == 2 + 3 + 2


@pytest.mark.parametrize(
    ("n_done", "elapsed", "n"),
    [
        (0, 0.0, 2),  # one for each thread
        (2, 0.2, 16),
        (40, 40.0, 10),  # at this pace the last of 20 trials would begin late
        (2, 50.0, 2),  # all at once
        (50, 60.0, 0),
    ],
)
def test_the_trials_of_a_round_begin_before_the_time_limit(n_done, elapsed, n):
    assert several._n_of_round((None, 60.0), n_done, elapsed, threads=2) == n


def test_a_search_continues_after_trials_that_diverge(here, output_of, monkeypatch):
    draw, rates = several._trial, iter([0.1, 1e30, 1e30, 0.1])  # the first is not used

    def draw_with_rate(*args):
        return draw(*args) | {"learning_rate": next(rates)}

    monkeypatch.setattr(several, "_trial", draw_with_rate)
    monkeypatch.setattr(several, "_ROUND", 2)
    report = json.loads(output_of(*TRAIN, "--quiet", "--json", "--search", "2"))
    assert report["search"]["trials"] == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [("50", (50, np.inf)), ("30s", (None, 30.0)), ("10min", (None, 600.0)), ("2h", (None, 7200.0))],
)
def test_budgets(text, found):
    assert several.budget(text) == found


# ---- info, errors, Ctrl-C -----------------------------------------------------------------------


def test_info_describes_many_networks(here, output_of):
    text = output_of("info", "cities")
    assert text.startswith("networks    3: 3 finished; the first is shown\ngroups      Bonn, Köln,")
    found = json.loads(output_of("info", "ensemble", "--json"))
    assert found["n_networks"] == 3
    assert found["groups"] is None
    assert found["training"]["ensemble"] == 3


def test_info_describes_any_file_of_many_networks(here, output_of, run):
    net = fastnn.MLP(2, [fastnn.Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    fits = fastnn.fit_many(fastnn.networks(net, n=2), np.eye(2), [1.0, 2.0])
    fits.save("own")
    assert output_of("info", "own").startswith("networks    2: 2 finished; the first is shown\n")
    code, _, err = run("predict", "own", "new.csv")
    assert code == 1
    assert "no recipe for tables" in err
    assert len(json.loads(output_of("export", "own", "--json"))["networks"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--ensemble 0", 2, "argument --ensemble: must be from 1 to 10000"),
        ("--ensemble 3 --by city", 2, "argument --by: not allowed with argument --ensemble"),
        ("--by nowhere", 1, "has no column 'nowhere'"),
        ("--by rent", 2, "--by rent: the column is the target; name another one"),
        ("--by city --drop city", 2, "--by city: the column is dropped; name another one"),
        ("--search 5x", 2, "must be a number of trials such as 50, or a time such as 30s"),
        ("--search 0", 2, "must be a number of trials such as 50, or a time such as 30s"),
        ("--search 5 --validation 0", 2, "leave out --validation 0"),
        ("--ensemble 2 --learning-rate 1e30", 1, "so nothing was saved; lower --learning-rate"),
    ],
)
def test_errors_are_one_line(words, code, message, here, run):
    (here / "x").unlink(missing_ok=True)
    found, out, err = run(*TRAIN, "--quiet", *words.split())
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err
    assert "nets[" not in err
    assert not (here / "x").exists()


def test_errors_do_not_name_the_number_of_a_network():
    original = FloatingPointError("the loss became nan: lower the learning rate")
    for error in (original, with_number(original, 3)):
        with pytest.raises(FloatingPointError) as raised, several.unnumbered():
            raise error
        assert str(raised.value) == str(original)


def interrupted(n):
    """Return a fit_many that behaves as if Ctrl-C arrived after n networks."""

    def call(nets, *args, **options):
        fits = fastnn.fit_many(nets, *args, **options)
        fits.statuses[n:] = [Status(NOT_STARTED, 0)] * (len(fits) - n)
        fits.interrupted = True
        return fits

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--ensemble 5", "x has the networks whose training was complete"),
        ("--by city", "x has the networks whose training was complete"),
        ("--search 10", "x has the best network of 2 trials"),
    ],
)
def test_ctrl_c_keeps_what_is_trained(words, message, here, run, monkeypatch):
    monkeypatch.setattr(several, "fit_many", interrupted(2))
    code, _, err = run(*TRAIN, "--quiet", *words.split())
    assert code == 130
    assert err.splitlines()[-1] == f"fastnn: interrupted; {message}"
    if "--search" in words:
        assert fastnn.load("x").metadata["training"]["search"]["trials"] == 2
    else:
        fits = fastnn.load_many("x")
        assert len(fits) == 2
        assert fits.is_trained.all()
        assert fits.interrupted
        (here / "some.csv").write_text("area,city\n50,Bonn\n50,Köln\n")
        assert run("predict", "x", "some.csv")[0] == 0


def test_ctrl_c_may_leave_no_test_row_with_a_network(here, run, monkeypatch):
    """The network of Bonn is trained first; none of the test rows is in Bonn."""
    frame = pl.read_csv("flats.csv")
    test = split(SimpleNamespace(test=0.2, seed=0, data="x"), frame["rent"].to_numpy(), None, 0.1)
    is_test = pl.Series(np.isin(np.arange(400), test["test"]))
    frame.with_columns(
        city=pl.when(is_test & (pl.col("city") == "Bonn")).then(pl.lit("Trier")).otherwise("city")
    ).write_csv("cities.csv")
    monkeypatch.setattr(several, "fit_many", interrupted(1))
    train = ("train", "cities.csv", "--target", "rent", "--by", "city", *PLAIN, "--quiet")
    (here / "y").unlink(missing_ok=True)
    code, _, err = run(*train, "--out", "y", "--require", "r2>=0.5,baseline")
    assert (code, err) == (
        3,
        "fastnn: error: the networks do not meet --require r2>=0.5, baseline: r2 is undefined; no "
        "file was written\n",
    )
    assert not (here / "y").exists()
    code, _, err = run(*train, "--out", "y", "--report", "y.html")
    assert code == 130
    assert err.endswith("y has the networks whose training was complete; no report was written\n")
    assert (here / "y").exists()
    assert not (here / "y.html").exists()


@pytest.mark.parametrize("words", ["--ensemble 5", "--by city", "--search 10"])
def test_ctrl_c_before_a_network_is_trained_writes_no_file(words, here, run, monkeypatch):
    (here / "x").unlink(missing_ok=True)
    monkeypatch.setattr(several, "fit_many", interrupted(0))
    code, out, err = run(*TRAIN, "--quiet", *words.split())
    assert (code, out, err) == (130, "", "fastnn: error: interrupted; no file was written\n")
    assert not (here / "x").exists()


def test_progress_is_shown_unless_quiet(here, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert "3/3 networks" in run(*TRAIN, "--ensemble", "3")[2]
    assert "/3 networks" not in run(*TRAIN, "--ensemble", "3", "--quiet")[2]
