"""The report on networks for tables: its numbers, its sections, its HTML, and where it is written.

Numbers in the page are compared with those computed here from predictions. Not here: how it looks,
which a person judges in a browser, and what `fastnn train` does otherwise (test_cli_good.py).
"""

import dataclasses
import errno
import json
import os
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score, roc_curve

from fastnn import tables
from fastnn.sklearn import TabularClassifier, TabularRegressor
from fastnn.tabular import codes, report, scores
from fastnn.tabular.ensemble import pick
from fastnn.tabular.models import Model
from fastnn.tabular.report import (
    calibration,
    confusion,
    curves,
    html,
    importance,
    page,
    residuals,
    roc,
    summary,
    svg,
)
from fastnn.tabular.report.groups import equal_groups
from fastnn.tabular.report.html import Html, element, escaped, fixed, number, table
from fastnn.tabular.report.widths import fitted, width_of

EVIL = "<script>alert('x')</script>"
RNG = np.random.default_rng(0)
N, SEEN = 300, 200
FRAME = pd.DataFrame(
    {
        "area": RNG.normal(size=N),
        "noise": RNG.normal(size=N),
        EVIL: RNG.choice(["Bonn", EVIL, "Köln & Trier"], N),
        "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 700, N), "D"),
    }
)
FRAME.loc[::9, "area"] = np.nan
FRAME.loc[N - 3, EVIL] = "new"
PRICE = 100 + 20 * FRAME["area"].fillna(1.0) + 10 * (FRAME[EVIL] == EVIL) + RNG.normal(size=N)
PRICE.name = "price"
TWO = np.where(PRICE + 8 * RNG.normal(size=N) > 105, "dear", EVIL)
THREE = np.digitize(PRICE + 5 * RNG.normal(size=N), [95, 110])
SMALL = {"n_nets": 3, "hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0}
TASKS = {"two": TWO, "three": THREE, "numbers": PRICE.to_numpy()}


@pytest.fixture(scope="module")
def models():
    """A fitted estimator of each task."""
    kinds = {"two": TabularClassifier, "three": TabularClassifier, "numbers": TabularRegressor}
    return {name: kinds[name](**SMALL).fit(FRAME[:SEEN], y[:SEEN]) for name, y in TASKS.items()}


@pytest.fixture(scope="module")
def pages(models, tmp_path_factory):
    """The report of each."""
    folder, found = tmp_path_factory.mktemp("reports"), {}
    for name, y in TASKS.items():
        path = folder / f"{name}.html"
        models[name].report(FRAME[SEEN:], y[SEEN:], path)
        found[name] = path.read_text(encoding="utf-8")
    return found


def subject_of(model, y, **options):
    """Return what a report of held-out rows is about."""
    held_out = model.recipe_.read(FRAME[SEEN:])
    return report.Subject(Model(model.fits_), model.recipe_, held_out, y, "note", **options)


# ---- HTML ---------------------------------------------------------------------------------------

#: Elements that may be closed where they are opened.
VOID = {"meta", "path", "rect", "circle"}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and keeps tables, ids, references and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.tables = [], [], [], [], {}
        self.row, self.cell = None, None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID
        self.tags.append(tag)

    def handle_starttag(self, tag, attributes):
        assert tag not in ("meta", "path")  # which have no content
        self.tags.append(tag)
        self.open.append(tag)
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        for name in ("aria-labelledby", "href"):
            self.references += found.get(name, "").replace("#", "").split()
        if tag == "table":
            self.rows = []
        if tag == "tr":
            self.row = []
        if tag in ("td", "th", "caption"):
            self.cell = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.row.append(self.cell)
        if tag == "caption":
            self.caption = self.cell
        if tag == "tr":
            self.rows.append(self.row)
        if tag == "table":
            self.tables[self.caption] = self.rows
        if tag in ("td", "th", "caption"):
            self.cell = None

    def handle_data(self, text):
        if self.cell is not None:
            self.cell += text


@pytest.mark.parametrize("name", TASKS)
def test_pages_are_html_with_balanced_tags(pages, name):
    found = Reader(pages[name])
    assert pages[name].startswith('<!DOCTYPE html>\n<html lang="en">')
    assert len(found.ids) == len(set(found.ids))
    assert set(found.references) <= set(found.ids)
    assert found.tags.count("h1") == found.tags.count("main") == 1


@pytest.mark.parametrize("name", TASKS)
def test_pages_need_nothing_else(pages, name):
    """No script, no link to another file, no address of a network."""
    tags = set(Reader(pages[name]).tags)
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not re.search(r"https?:|url\(|@import|src=|javascript:| on\w+=", pages[name])


@pytest.mark.parametrize("name", TASKS)
def test_texts_of_users_are_escaped(pages, name):
    assert "<script" not in pages[name].lower()
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in pages[name]


@pytest.mark.parametrize("name", TASKS)
def test_drawings_have_names_and_descriptions(pages, name):
    drawn = re.findall(r"<svg [^>]*role=\"img\"[^>]*>(.{0,80})", pages[name])
    assert len(drawn) >= 6
    assert all(re.match(r'<title id="[\w-]+">[^<]', text) for text in drawn)


def test_anything_but_html_is_escaped():
    assert (
        element("p", "<b>", Html("<b></b>"), 3, a_b='"&')
        == '<p a-b="&quot;&amp;">&lt;b&gt;<b></b>3</p>'
    )
    assert escaped("a\x00\ud800b") == "a\ufffd\ufffdb"
    assert "<x>" not in table("<x>", ["<x>"], [["<x>", "<x>"]])


def test_long_tables_say_so():
    made = table("t", ["a"], [[i] for i in range(1000)])
    assert made.count("<tr>") == 201
    assert "The first 200 of 1,000 are shown." in made


def test_numbers_are_short():
    assert [number(v) for v in (0.0, -0.0, 12345.6, -0.012345, float("nan"), None)] == [
        "0", "0", "12,346", "\u22120.01235", "\u2013", "\u2013"]  # fmt: skip
    assert [fixed(0.0336)(v) for v in (0.0336, -0.00001, 1.5)] == ["0.0336", "0.0000", "1.5000"]
    assert fixed(2450.0)(-3.2) == "\u22123"
    assert [fixed(2e-30)(v) for v in (1.234e-30, -0.0)] == ["1.23e\u221230", "0.00e+00"]
    assert [number(1.2345e20), fixed(3e20)(1.2345e20)] == ["1.234e+20", "1.23e+20"]
    assert fixed(3e-10)(3e-10) == "0.000000000300"


# ---- sections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_every_section_of_the_task_is_there(pages, name):
    task = "regression" if name == "numbers" else "classification"
    for section in page.SECTIONS:
        assert (f'<section id="{section.name}"' in pages[name]) == (section.task in (None, task))


def test_one_network_has_no_spread(tmp_path):
    model = TabularRegressor(**{**SMALL, "n_nets": 1}).fit(FRAME[:SEEN], PRICE[:SEEN])
    model.report(FRAME[SEEN:], PRICE[SEEN:], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="ensemble"' not in text
    assert "Each network alone" not in text


@pytest.mark.parametrize("name", TASKS)
def test_scores_and_baselines(models, pages, name):
    model, y = models[name], TASKS[name][SEEN:]
    shown = {row[0]: row for row in Reader(pages[name]).tables["Scores of 100 held-out rows"]}
    if name == "numbers":
        errors, around = model.predict(FRAME[SEEN:]) - y, y - y.mean()
        r2 = 1 - (errors**2).sum() / (around**2).sum()
        assert shown["R²"][1:3] == [f"{r2:.4f}", "0.0000"]
        rmse = [number(np.sqrt((each**2).mean())) for each in (errors, around)]
        assert shown["Root mean squared error"][1:3] == rmse
        return
    share = max(np.unique(y, return_counts=True)[1]) / len(y)
    right = (model.predict(FRAME[SEEN:]) == y).mean()
    assert shown["Accuracy"][1:3] == [f"{100 * v:.1f}\u202f%" for v in (right, share)]
    proba = model.predict_proba(FRAME[SEEN:])
    proba /= proba.sum(axis=1, keepdims=True)  # which float32 misses by an ulp
    expected = log_loss(y, proba, labels=model.classes_)
    assert shown["Log loss"][1] == f"{expected:.4f}"


@pytest.mark.parametrize("name", TASKS)
def test_curves_have_the_kept_epochs(models, pages, name):
    rows = Reader(pages[name]).tables["Epochs and losses of each network"][1:]
    fits = models[name].fits_
    assert len(rows) == len(fits) == pages[name].count('id="curve-') // 2
    for i, row in enumerate(rows):
        losses, best = fits.histories[i].history["val_loss"], fits.best_epochs[i]
        assert row[1:4] == [str(len(losses)), str(best + 1), number(min(losses))]


def test_losses_are_those_of_the_kept_epoch(models):
    subject = subject_of(models["numbers"], PRICE.to_numpy()[SEEN:])
    subject.model = Model(models["numbers"].fits_.some([0, 1, 2]))
    subject.model.fits.best_epochs[1] = 4
    [_, *rows] = Reader(curves.section(subject)).tables["Epochs and losses of each network"]
    history = subject.model.fits.histories[1].history
    assert rows[1][2:5] == ["5", number(history["val_loss"][4]), number(history["loss"][4])]
    assert f"epoch 5 are kept, validation loss {rows[1][3]}" in curves.section(subject)


def test_curves_without_validation_do_not_speak_of_it():
    options = {"n_nets": 2, "hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
    pages = {}
    for fraction in (0.0, 0.15):
        model = TabularRegressor(validation_fraction=fraction, **options)
        subject = subject_of(model.fit(FRAME, PRICE), PRICE.to_numpy()[SEEN:])
        pages[fraction] = curves.section(subject)
        kept = "the moving average of the weights after the last epoch is kept"
        assert (kept in summary.trained(subject)) == (fraction == 0)
    for phrase in ("the validation loss after it", "lowest validation loss are kept",
                   "kept epoch</li>", "validation</li>"):  # fmt: skip
        assert phrase in pages[0.15]
        assert phrase not in pages[0.0]
    assert "during the epoch, with dropout. Losses are those of the scaled" in pages[0.0]


@pytest.mark.parametrize("name", ["two", "three"])
def test_the_confusion_matrix(models, pages, name):
    model, y = models[name], TASKS[name][SEEN:]
    truth = confusion_matrix(y, model.predict(FRAME[SEEN:]), labels=model.classes_)
    rows = Reader(pages[name]).tables["Rows by true and predicted class"][1:]
    assert [row[0] for row in rows] == [str(label) for label in model.classes_]
    np.testing.assert_array_equal([[int(cell) for cell in row[1:]] for row in rows], truth)
    recall = Reader(pages[name]).tables["Each class"][1][2]
    assert recall == f"{100 * truth[0, 0] / truth[0].sum():.1f}\u202f%"


def test_counts_of_the_confusion_matrix():
    counts = confusion.counts_of(np.array([0, 0, 2, 1]), np.array([0, 1, 2, 1]), 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("levels", [3, 1000])
def test_roc_curves_are_those_of_scikit_learn(levels):
    """Also with many equal values."""
    rng = np.random.default_rng(levels)
    values, is_class = rng.integers(0, levels, 500) / levels, rng.random(500) < 0.3
    false, true = roc.curve_of(is_class, values)
    theirs = roc_curve(is_class, values, drop_intermediate=False)
    np.testing.assert_allclose([false, true], theirs[:2], rtol=0, atol=1e-15)
    assert roc.area(false, true) == pytest.approx(roc_auc_score(is_class, values), abs=1e-14)


def test_the_area_is_in_the_page(models, pages):
    y, p = (
        TASKS["two"][SEEN:] == models["two"].classes_[1],
        models["two"].predict_proba(FRAME[SEEN:]),
    )
    assert "(the true positive rate)" in pages["two"]
    assert f"{roc_auc_score(y, p[:, 1]):.4f}, is the chance" in pages["two"]


def test_one_class_alone_has_no_roc_curve(models, tmp_path):
    rows = np.flatnonzero(TWO == "dear")[-20:]
    models["two"].report(FRAME.iloc[rows], TWO[rows], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    Reader(text)
    assert "All held-out rows are of one class" in text


@pytest.mark.filterwarnings("error")
def test_classes_without_rows_have_no_roc_curve(models, tmp_path):
    path = tmp_path / "r.html"
    of_each = [np.flatnonzero(np.equal(THREE, k))[-10:] for k in range(3)]
    models["three"].report(FRAME.iloc[of_each[1]], THREE[of_each[1]], path)
    text = path.read_text(encoding="utf-8")
    Reader(text)
    assert "All held-out rows are of one class: there is no curve." in text
    assert "Each class against all others" not in text
    assert "nan" not in text
    rows = np.concatenate(of_each[:2])
    models["three"].report(FRAME.iloc[rows], THREE[rows], path)
    text = path.read_text(encoding="utf-8")
    areas = Reader(text).tables["Each class against all others"]
    assert [row[2] == html.NOTHING for row in areas[1:]] == [False, False, True]
    assert "Classes without a held-out row have no curve: 2." in text
    assert "Curves of 2 classes; the smallest area is 0." in text or "smallest area is 1." in text
    assert "all other classes" not in text
    assert "nan" not in text


@pytest.mark.parametrize("name", ["two", "three"])
def test_the_calibration_error(models, pages, name):
    y, proba = TASKS[name][SEEN:], models[name].predict_proba(FRAME[SEEN:])
    is_right = models[name].predict(FRAME[SEEN:]) == y
    p, is_so = (
        (proba[:, 1], y == models[name].classes_[1]) if name == "two" else (proba.max(1), is_right)
    )
    error = 0.0
    for k in range(10):
        some = (p >= k / 10) & ((p < (k + 1) / 10) | (k == 9))
        error += abs(is_so[some].sum() - p[some].sum()) / len(p)
    assert f"(ECE), the mean difference between the two, is {error:.3f};" in pages[name]


def test_calibration_of_exact_probabilities():
    """The error by chance is about the error that exact probabilities have."""
    rng = np.random.default_rng(1)
    p = rng.random(400)
    found = [calibration.Reliability.of(p, rng.random(400) < p) for _ in range(300)]
    chance = np.mean([each.error_by_chance for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(chance, rel=0.05)
    low, high = found[0].interval()
    assert (low >= -1e-15).all()
    assert (high <= 1 + 1e-15).all()
    assert ((low <= found[0].share) & (found[0].share <= high)).all()


def test_probabilities_of_one_and_bins_without_rows():
    found = calibration.Reliability.of(np.array([1.0, 1.0, 0.0]), np.array([True, True, True]))
    assert found.n.tolist() == [1, 2]
    assert found.error == pytest.approx(1 / 3)


def test_residuals(models, pages):
    found = PRICE.to_numpy()[SEEN:] - models["numbers"].predict(FRAME[SEEN:])
    rows = dict(Reader(pages["numbers"]).tables["Quantiles of the residuals"][1:])
    assert rows["5.0\u202f%"] == number(np.quantile(found, 0.05))
    assert f"within ±{number(np.quantile(abs(found), 0.5))}, 90\u202f%" in pages["numbers"]


def test_the_spread_of_numbers(models, pages):
    mean, std = models["numbers"].predict(FRAME[SEEN:], return_std=True)
    rows = Reader(pages["numbers"]).tables["Error by the spread of the networks"][1:]
    groups = equal_groups(std, 10)
    assert [int(row[1]) for row in rows] == [len(group) for group in groups]
    assert rows[0][0] == number(std[groups[0]].mean())
    within = (abs(PRICE.to_numpy()[SEEN:] - mean) <= 2 * std).mean()
    assert f"{100 * within:.1f}\u202f% within two" in pages["numbers"]


def test_the_agreement_of_networks(models, pages):
    model, rows = models["three"], Reader(pages["three"]).tables["Agreement of the networks"][1:]
    inputs = model.recipe_.inputs(FRAME[SEEN:], "missing")
    labels = model.fits_.predict(inputs).argmax(axis=2)
    agree = (labels == model.fits_.predict(inputs, "mean").argmax(axis=1)).sum(axis=0)
    assert rows[0][:2] == ["3 of 3", str((agree == 3).sum())]
    assert sum(int(row[1]) for row in rows) == N - SEEN


def test_sentences_on_all_networks_are_computed_from_all(tmp_path):
    model = TabularClassifier(15, hidden_layer_sizes=(8,), max_iter=3, random_state=0)
    model.fit(FRAME[:SEEN], THREE[:SEEN]).report(FRAME[SEEN:], THREE[SEEN:], tmp_path / "r.html")
    X = model.recipe_.inputs(FRAME[SEEN:], "missing")
    labels = np.stack([net.predict(X).argmax(axis=1) for net in model.fits_])
    share = (labels == model.predict_proba(FRAME[SEEN:]).argmax(axis=1)).all(axis=0).mean()
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"For {html.percent(share)} of the rows, each of the 15 networks alone" in text
    of_nets = subject_of(model, THREE).of_nets
    accuracies = [(each.argmax(axis=1) == THREE[SEEN:]).mean() for each in of_nets]
    low, high = map(html.percent, (min(accuracies), max(accuracies)))
    assert len(accuracies) == 15
    assert f"{low} to {high}" in text


def test_a_few_rows_are_one_group(tmp_path):
    model = TabularRegressor(2, hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    model.fit(FRAME, PRICE).report(FRAME[:12], PRICE[:12], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "1 group of rows, ordered by" in text
    assert "Residuals of 1 group of rows" in text


def test_groups_are_equal_and_ordered():
    values = np.random.default_rng(0).normal(size=105)
    groups = equal_groups(values, 10)
    assert {len(group) for group in groups} == {10, 11}
    assert all(values[a].max() <= values[b].min() for a, b in pairwise(groups))
    assert [len(group) for group in equal_groups(np.zeros(7), 10)] == [7]


# ---- permutation importance ---------------------------------------------------------------------


def test_importance_is_the_loss_of_shuffled_columns(models):
    model, y = models["numbers"], PRICE.to_numpy()[SEEN:]
    subject = subject_of(model, y, seed=3, n_repeats=2)
    found = importance.of_columns(subject)
    rng = np.random.default_rng([3, 2])
    orders = [rng.permutation(N - SEEN) for _ in range(2)]

    def rmse(frame):
        return np.sqrt(((model.predict(frame) - y) ** 2).mean())

    for j, name in enumerate(found.names):
        for k, order in enumerate(orders):
            mixed = FRAME[SEEN:].reset_index(drop=True)
            mixed[name] = mixed[name].to_numpy()[order]
            gained = rmse(mixed) - rmse(FRAME[SEEN:])
            assert found.losses["rmse"][j, k] == pytest.approx(gained, abs=1e-9)
    means = dict(zip(found.names, found.losses["rmse"].mean(axis=1), strict=True))
    assert means["area"] > means[EVIL] > means["noise"]


def test_importance_takes_some_of_many_rows(models, tmp_path):
    subject = subject_of(models["numbers"], PRICE.to_numpy()[SEEN:], max_rows=40)
    found = importance.of_columns(subject)
    assert len(found.rows) == 40
    assert (np.diff(found.rows) > 0).all()
    models["numbers"].report(FRAME[SEEN:], PRICE[SEEN:], tmp_path / "r.html", max_samples=40)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "among 40 of the 100 held-out rows, drawn at random with seed 0" in text


# ---- columns ------------------------------------------------------------------------------------


def test_columns_say_what_they_became(models, pages):
    rows = {row[0]: row for row in Reader(pages["numbers"]).tables["Columns that are used"]}
    recipe = models["numbers"].recipe_
    assert set(rows) == {"Column", *FRAME}
    for entry in recipe.columns:
        assert rows[entry.name][1:3] == [entry.kind, str(len(entry.inputs))]
        assert all(code.described() in rows[entry.name][3] for code in entry.codes)
    missing = int(FRAME["area"][SEEN:].isna().sum())
    assert rows["area"][4].startswith(f"{missing} (")
    assert rows[EVIL][5] == "1 row with 1 text, as missing"
    assert rows["noise"][4] == "none"


def test_columns_that_are_not_used_say_why(tmp_path):
    frame = FRAME.assign(same=1.0)
    model = TabularRegressor(**SMALL).fit(frame[:SEEN], PRICE[:SEEN])
    model.report(frame[SEEN:], PRICE[SEEN:], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    left = Reader(text).tables["Columns that are not used"][1:]
    assert left == [["same", model.recipe_.ignored["same"]]]


def test_every_code_is_described():
    made = {"fill": 0.0, "shift": 1.0, "scale": 2.0, "low": 0.0, "high": 3.0, "other": True,
            "edges": [0.0, 1.0, 2.0],
            "texts": [f"t{i}" for i in range(20)], "known": ["t0", "t9"]}  # fmt: skip
    for code in codes.CODES.values():
        fields = {field.name: made[field.name] for field in dataclasses.fields(code)}
        assert code(**fields).described()
    assert "t7 and 12 more; another input for all rarer texts" in codes.OneHot(
        made["texts"], True).described()  # fmt: skip


# ---- drawings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "is_log"),
    [(0, 1, False), (-3.7, 12, False), *((*ends, is_log) for is_log in (False, True)
     for ends in ((1e-9, 3e-9), (0.2, 2.1), (5e6, 7e8), (1e-12, 1e12)))],
)  # fmt: skip
def test_ticks_are_within_the_axis(low, high, is_log):
    found = svg.Axis("", low, high, is_log).ticks()
    assert 1 <= len(found) <= 7
    room = 1e-9 * (high - low)
    assert all(low - room <= tick <= high + room for tick in found)


def test_values_that_are_not_finite_leave_gaps():
    chart = svg.Chart("c", "t", "d", svg.Axis("", 0, 4), svg.Axis("", 0, 1))
    chart.line([0, 1, 2, 3], [0.5, np.nan, 0.5, np.inf], "one")
    [path] = re.findall(r'd="(M[^"]*)" class="line one"', chart.svg())
    assert "nan" not in path
    assert path.count("M") == 2


def test_an_axis_spans_equal_and_no_values():
    for values in ([3.0, 3.0], [0.0], [], [np.nan]):
        axis = svg.spanning("", values)
        assert axis.low < axis.high


# ---- writing ------------------------------------------------------------------------------------


def test_the_same_rows_give_the_same_page(models, pages, tmp_path):
    y = TASKS["two"]
    models["two"].save(tmp_path / "m.safetensors")
    loaded = TabularClassifier.load(tmp_path / "m.safetensors")
    loaded.report(pl.from_pandas(FRAME[SEEN:]), y[SEEN:], tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == pages["two"]
    models["two"].report(FRAME[SEEN:], y[SEEN:], tmp_path / "a.html", random_state=1)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") != pages["two"]


def test_a_report_knows_the_class_weights_of_the_training(tmp_path):
    model = TabularClassifier(**SMALL, class_weight="balanced").fit(FRAME[:SEEN], TWO[:SEEN])
    model.save(tmp_path / "m.safetensors")
    loaded = TabularClassifier.load(tmp_path / "m.safetensors")
    loaded.save(tmp_path / "m.safetensors")
    loaded_again = TabularClassifier.load(tmp_path / "m.safetensors")
    found = []
    for each in (model, loaded, loaded_again, model.set_params(class_weight=None)):
        each.report(FRAME[SEEN:], TWO[SEEN:], tmp_path / "a.html")
        found.append((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "Class weights in training shift the probabilities" in found[0]
    assert len(set(found)) == 1


REFUSED = {
    "another ending": (lambda m, p: m.report(FRAME, TWO, p / "r.csv"), "must end with '.html'"),
    "a model": (lambda m, p: m.report(FRAME, TWO, p / "m.html"), "holds a network"),
    "no folder": (lambda m, p: m.report(FRAME, TWO, p / "no/r.html"), "does not exist"),
    "an unknown class": (
        lambda m, p: m.report(FRAME, np.where(TWO == "dear", "cheap", TWO), p / "r.html"),
        r"is 'cheap', which is not among",
    ),
    "lengths": (lambda m, p: m.report(FRAME, TWO[:-1], p / "r.html"), "inconsistent numbers"),
    "a column is lacking": (lambda m, p: m.report(FRAME[["area"]], TWO, p / "r.html"), "column"),
    "no repetition": (lambda m, p: m.report(FRAME, TWO, p / "r.html", n_repeats=0), "n_repeats"),
    "no sample": (lambda m, p: m.report(FRAME, TWO, p / "r.html", max_samples=0), "max_samples"),
    "a seed": (lambda m, p: m.report(FRAME, TWO, p / "r.html", random_state=-1), "random_state"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_leave_old_files(models, tmp_path, name):
    models["two"].save(tmp_path / "m.safetensors")
    os.rename(tmp_path / "m.safetensors", tmp_path / "m.html")
    (tmp_path / "r.html").write_text("old")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call(models["two"], tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_mapped_file_is_not_replaced(tmp_path):
    values = np.lib.format.open_memmap(tmp_path / "x.html", "w+", shape=(N, 2))
    values[:] = FRAME[["area", "noise"]].fillna(0.0)
    model = TabularRegressor(**SMALL).fit(values[:SEEN], PRICE[:SEEN])
    with pytest.raises(ValueError, match="is read and would be lost"):
        model.report(values[SEEN:], PRICE[SEEN:], tmp_path / "x.html")


def test_an_estimator_must_be_fitted(tmp_path):
    with pytest.raises(NotFittedError):
        TabularRegressor().report(FRAME, PRICE, tmp_path / "r.html")


# ---- the command line ---------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = FRAME.assign(price=PRICE, sort=TWO).replace({EVIL: "new"}, "Bonn")
    frame.to_csv("flats.csv", index=False)
    return tmp_path


TRAIN = ("train", "flats.csv", "--drop", "sort", "--target", "price", "--quiet", "--out", "m",
         "--hidden", "16")  # fmt: skip


def test_the_report_of_a_training(here, output_of):
    """Its scores are those of the command: of networks that have not seen the test rows."""
    line = json.loads(output_of(*TRAIN, "--epochs", "30", "--json", "--report", "r.html"))
    assert line["report"] == "r.html"
    found = Reader((here / "r.html").read_text(encoding="utf-8"))
    shown = {row[0]: row for row in found.tables["Scores of 60 held-out rows"]}
    assert line["rows"]["test"] == 60
    for name in ("mae", "rmse"):
        for place, which in ((1, "test"), (2, "baseline")):
            row = shown[scores.SCORES[name].capitalize()]
            assert row[place] == number(line[which][name])
    text = output_of(*TRAIN, "--epochs", "2", "--no-refit", "--report", "r.html")
    assert text.endswith("wrote the report r.html\n")


FORMS = {
    "plain": ("--preset", "plain"),
    "by": ("--by", EVIL, "--validation", "0.2"),
    "search": ("--search", "2"),
    "quantile": ("--loss", "quantile:0.9"),
    "no validation": ("--preset", "plain", "--validation", "0"),
    "classes": ("--drop", "price", "--target", "sort", "--class-weight", "balanced"),
}


@pytest.mark.parametrize("name", FORMS)
def test_reports_of_all_forms_of_training(here, output_of, name):
    output_of(*TRAIN, "--epochs", "3", "--report", "r.html", *FORMS[name])
    text = (here / "r.html").read_text(encoding="utf-8")
    assert len(Reader(text).tables) >= 4
    assert "<script" not in text


def test_no_report_without_a_request(here, output_of):
    assert "report" not in json.loads(output_of(*TRAIN, "--epochs", "1", "--json"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--report", "flats.csv"), 2, "is read and would be lost"),
        (("--report", "link.html"), 2, "is read and would be lost"),
        (("--report", "m"), 2, "both write 'm'"),
        (("--report", "r.txt"), 2, "must end with '.html'"),
        (("--report", "no/r.html"), 1, "does not exist"),
        (("--report", "r.html", "--test", "0"), 2, "leave out --test 0"),
    ],
)  # fmt: skip
def test_refusals_before_training(here, run, words, code, message):
    os.symlink("flats.csv", "link.html")
    before = (here / "flats.csv").read_bytes()
    found, out, err = run(*TRAIN, *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.startswith("fastnn: error: ")
    assert (here / "flats.csv").read_bytes() == before
    assert not (here / "m").exists()


def test_a_network_that_is_refused_has_a_report(here, run):
    code, _, err = run(*TRAIN, "--epochs", "1", "--report", "r.html", "--require", "r2>=0.999")
    assert (code, (here / "m").exists(), (here / "r.html").exists()) == (3, False, True)
    assert "no network was saved" in err


def test_old_reports_are_replaced_as_a_whole(here, run, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    def render(subject):
        monkeypatch.setattr(os, "fsync", full)
        return "new"

    monkeypatch.setattr(report, "render", render)
    (here / "r.html").write_text("old")
    code, _, err = run(*TRAIN, "--epochs", "1", "--report", "r.html")
    assert code == 1
    assert "\nfastnn: error: r.html: No space left on device; make room" in err
    assert (here / "r.html").read_text() == "old"
    assert not [name for name in os.listdir(here) if name.endswith(".tmp")]


def test_warnings_are_in_the_report(here, output_of):
    """A column that gives the target away."""
    FRAME.assign(price=PRICE, twin=PRICE * 2).to_csv("flats.csv", index=False)
    words = [word for word in TRAIN if word not in ("--drop", "sort")]
    output_of(*words, "--epochs", "1", "--report", "r.html")
    assert "Warning: column &#x27;twin&#x27; alone determines" in (here / "r.html").read_text()


def test_tables_has_the_recipe_of_the_model(here, output_of):
    output_of(*TRAIN, "--epochs", "1", "--report", "r.html", "--no-refit")
    model, recipe = Model.load("m")
    rows = Reader((here / "r.html").read_text(encoding="utf-8")).tables["Columns that are used"][1:]
    assert [row[0] for row in rows] == list(tables.recipe_of(model.net).kinds) == [*recipe.kinds]


# ---- at the extremes ----------------------------------------------------------------------------


def texts_of(chart):
    """Return the texts of a drawing: (x, y, text-anchor, text) of those that are not rotated."""
    found = re.findall(
        r'<text x="([-\d.]+)" y="([-\d.]+)"(?: text-anchor="(\w+)")?>([^<]*)<', chart
    )
    return [(float(x), float(y), anchor, text) for x, y, anchor, text in found]


AXES = {
    "an offset": (1000.05, 1000.33, False),
    "a large offset": (123456789.0, 123456789.4, False),
    "an offset in steps of 2.5": (1995.0, 2005.0, False),
    "millions": (-1.3e6, 2.6e6, False),
    "billions": (7.2e9, 1.2e10, False),
    "very large": (7.2e30, 7.9e30, False),
    "small": (-3e-4, 5e-4, False),
    "very small": (1.01e-9, 1.02e-9, False),
    "decades": (1e-12, 1e12, True),
    "few counts": (0.0, 2.0, False),
}


@pytest.mark.parametrize("name", AXES)
def test_numbers_of_an_axis_differ_and_are_those_of_its_ticks(name):
    low, high, is_log = AXES[name]
    axis = svg.Axis("", low, high, is_log)
    size, unit = axis.unit
    found = axis.numbered(5, size)
    assert len({text for _, text in found}) == len(found) >= 1
    shown = [float(text.replace(",", "").replace("\u2212", "-")) * size for _, text in found]
    room = 1e-9 * max(abs(low), abs(high)) if is_log else 1e-3 * (high - low)
    np.testing.assert_allclose(shown, [tick for tick, _ in found], rtol=1e-9, atol=room)
    assert (unit != "") == (name in ("millions", "billions", "a large offset"))


@pytest.mark.parametrize("name", AXES)
def test_texts_stay_inside_a_drawing_and_apart(name):
    axis = svg.Axis("predicted " + "W" * 300, *AXES[name])
    drawn = svg.Chart("c", "t", "d", axis, axis, 330).svg()
    numbers = [each for each in texts_of(drawn) if each[2] is not None]
    ends = []
    for x, y, anchor, text in numbers:
        width = width_of(text)
        left = x - width if anchor == "end" else x - width / 2
        assert left >= 0
        assert left + width <= svg.WIDTH
        ends.append((y, left, left + width))
    across = sorted(ends)[-len([each for each in numbers if each[2] == "middle"]) :]
    assert all(a[2] < b[1] for a, b in pairwise(sorted(across)) if a[0] == b[0])
    [x, y] = re.findall(r'class="label">([^<]*)<', drawn)
    assert x.startswith("predicted WW")
    assert width_of(x) <= svg.WIDTH
    assert width_of(y) <= 330


def test_bars_leave_room_for_their_numbers():
    rows = [("name " * 60, 123456789.0, 1e6, "says"), ("b", -9e8, 0.0, "says")]
    drawn = svg.bars("i", "t", "d", rows, "increase", fixed(9e8))
    for x, _, anchor, text in texts_of(drawn):
        width = width_of(text)
        left = x - width / 2 if anchor == "middle" else x
        assert 0 <= left <= left + width <= svg.WIDTH, text


def test_counts_have_whole_ticks():
    for high in (1.06, 2.0, 3.0, 53.0, 4.4e5):
        ticks = svg.Axis("rows", 0.0, high, is_count=True).ticks()
        assert all(tick == int(tick) for tick in ticks)
        assert ticks[0] == 0.0


def test_shortened_names_keep_their_ends():
    assert fitted("short", 100) == "short"
    names = [fitted(f"column number {i}", 78) for i in range(30)]
    assert len(set(names)) == 30
    assert all(width_of(name) <= 78 for name in names)
    assert fitted("漢字" * 20, 60) == "漢字…字"
    assert fitted("a", 0) == "…"


def test_a_line_of_one_point_is_a_dot():
    chart = svg.Chart("c", "t", "d", svg.Axis("", 0, 4), svg.Axis("", 0, 1))
    chart.line([0, 1, 2, 3], [0.5, np.nan, 0.5, 0.5], "one")
    [path] = re.findall(r'd="(M[^"]*)" class="line one"', chart.svg())
    assert re.fullmatch(r"M[\d. ]+h0M[\d. ]+L[\d. ]+", path)


def numbers_subject(models, y):
    """Return the subject of the regression, with other true values."""
    return subject_of(models["numbers"], np.asarray(y, np.float64))


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e6])
def test_the_line_at_0_stays_inside(models, shift):
    """Also if all residuals are far from 0, as after a change of units."""
    text = residuals.section(numbers_subject(models, PRICE.to_numpy()[SEEN:] + shift))
    for path in re.findall(r'd="(M[^"]*)" class="line ink dotted"', text):
        for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path):
            assert 0 <= float(x) <= svg.WIDTH
            assert 0 <= float(y) <= 330
    side = {1e6: "left", -1e6: "right"}.get(shift)
    assert ("The dotted line is 0." in text) == (side is None)
    assert side is None or f"0 is outside of the drawing, on the {side}." in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("y", [1e20, -1e-20, 5.0])
def test_a_single_row_is_drawn(models, y):
    held_out = models["numbers"].recipe_.read(FRAME[:1])
    model = Model(models["numbers"].fits_)
    subject = report.Subject(model, models["numbers"].recipe_, held_out, np.array([y]), "note")
    text = page.render(subject)
    Reader(text)
    assert "nan" not in text
    assert "A single row gives no interval" in text
    assert "1 held-out row, 5 times" in text


def test_the_interval_for_a_new_row_has_its_probability(models):
    """It contains the residual of a new row as often as it says, also after few rows."""
    rng, counts = np.random.default_rng(0), {5: "67", 18: "89", 19: "90", 40: "90"}
    for n, share in counts.items():
        hits = []
        for _ in range(1500):
            *known, new = rng.normal(size=n + 1)
            level, low, high = residuals.interval_of(np.array(known))
            hits.append(low <= new <= high)
        assert f"{100 * level:.0f}" == share
        assert np.mean(hits) == pytest.approx(level, abs=4 * np.sqrt(0.25 / 1500))
    found = residuals.section(numbers_subject(models, PRICE.to_numpy()[SEEN:]))
    all_of = PRICE.to_numpy()[SEEN:] - models["numbers"].predict(FRAME[SEEN:])
    low, high = map(number, np.quantile(all_of, [0.05, 0.95], method="weibull"))
    assert f"between {low} and {high} with a probability of 90\u202f%" in found


def test_counts_of_one_are_singular(tmp_path):
    model = TabularRegressor(1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.fit(FRAME[["area"]], PRICE)
    model.report(FRAME[["area"]][:1], PRICE[:1], tmp_path / "r.html", n_repeats=1)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for phrase in ("computed from 1 held-out row.", "1, which becomes ", "network 1: 1 epoch;",
                   "shuffled among 1 held-out row, once, and"):  # fmt: skip
        assert phrase in text
    model = TabularClassifier(1, hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.fit(FRAME[["area"]], TWO)
    rows = [np.flatnonzero(np.equal(TWO, name))[0] for name in ("dear", EVIL)]
    model.report(FRAME[["area"]].iloc[rows], TWO[rows], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "1 row of dear, 1 other." in text
    one = calibration.Reliability.of(np.array([0.5]), np.array([True]))
    assert len(one.n) == 1
    assert not re.search(r"\b1 (groups|rows|others|epochs|times|inputs)\b", text)


def test_intervals_of_shares_stay_within_0_and_1():
    for n in range(1, 500):
        for share in (False, True):
            found = calibration.Reliability.of(np.full(n, 0.05), np.full(n, share))
            low, high = found.interval()
            assert not html.percent(float(low[0])).startswith("-")
            assert 0 <= low[0] < high[0] <= 1


def test_a_very_low_r2_is_short():
    assert summary.shown("r2", -1234567.891) == "\u22121,234,568"
    assert summary.shown("r2", -1.5e20) == "\u22121.5e+20"
    assert summary.shown("r2", -12.34567) == "\u221212.3457"


def test_captions_end_their_figures(pages):
    """In HTML, a caption is the first or the last part of its figure."""
    for text in pages.values():
        assert "<figure>" in text
        assert text.count("</figcaption></figure>") == text.count("<figcaption>")


def test_names_from_right_to_left_do_not_turn_their_sentence():
    assert html.as_text("plain, naïve 漢字 1") == "plain, naïve 漢字 1"
    for name in ("שלום", "مرحبا", "\u202eevil"):
        assert html.as_text(name) == f"\u2068{name}\u2069"


def test_no_column_is_most_important_if_none_matters(models):
    subject = subject_of(models["numbers"], PRICE.to_numpy()[SEEN:])
    assert "The most important column is area" in importance.section(subject)
    held_out = report.Subject(
        Model(models["numbers"].fits_), models["numbers"].recipe_,
        models["numbers"].recipe_.read(FRAME[:1]), PRICE.to_numpy()[:1], "note")  # fmt: skip
    assert "No column increases the root mean squared error" in importance.section(held_out)


@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_cells_of_a_matrix_have_room(n):
    counts = np.full((n, n), 12345)
    classes = [f"class number {i}" for i in range(n)]
    drawn = confusion._matrix(counts, classes)
    places = [float(x) for x in re.findall(r'<text x="([\d.]+)"[^>]*class="count"', drawn)][:n]
    if n <= 10:
        assert min(np.diff(places)) > width_of("12,345")
    rows = sorted(float(y) for y in re.findall(r'<text x="96.0" y="([\d.]+)"', drawn))
    assert min(np.diff(rows)) >= 13.9


NOISE = pd.DataFrame({"x": RNG.normal(size=60), "y": RNG.normal(size=60)})


@pytest.mark.parametrize("n", [1, 2])
def test_texts_on_one_and_on_several_networks(tmp_path, monkeypatch, run, n):
    """In the page, the warning, the note on scores, and the error about --require."""
    monkeypatch.chdir(tmp_path)
    NOISE.to_csv("noise.csv", index=False)
    words = ("train", "noise.csv", "--target", "y", "--out", "m", "--epochs", "2", "--hidden", "4",
             "--ensemble", str(n), "--quiet", "--report", "r.html")  # fmt: skip
    code, out, err = run(*words)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert code == 0
    assert ("scores are of a network trained on 48 rows; the one in the file was" in out) == (
        n == 1
    )
    assert ("scores are of networks trained on 48 rows; those in the file were" in out) == (n == 2)
    better = "the network is no better than its baseline", "the networks are no better than their"
    again = ("A new network was then trained on all 60 rows for the model file, so no row is left "
             "to score it."), "New networks were then trained on all 60 rows"  # fmt: skip
    assert [phrase in text for phrase in again] == [n == 1, n == 2]
    if "warning" in err:
        assert [phrase in err for phrase in better] == [n == 1, n == 2]
    code, _, err = run(*words, "--require", "r2>=0.999")
    assert code == 3
    assert f"the {'network does' if n == 1 else 'networks do'} not meet --require" in err


def test_scores_that_no_network_has(models):
    """R² of a single row is undefined for each network."""
    subject = report.Subject(
        Model(models["numbers"].fits_), models["numbers"].recipe_,
        models["numbers"].recipe_.read(FRAME[:1]), PRICE.to_numpy()[:1], "note")  # fmt: skip
    rows = Reader(summary.how_good(subject)).tables["Scores of 1 held-out row"]
    assert rows[1] == ["R²", html.NOTHING, html.NOTHING, "higher", html.NOTHING]
    model = Model(models["numbers"].fits_.some([0, 1, 2]))
    for kept, text in (([3, 3, 3], "epoch 4"), ([0, 2, 3], "epochs 1 to 4")):
        model.fits.best_epochs[:] = kept
        shown = report.Subject(model, subject.recipe, subject.table, subject.targets, "note")
        assert f"the weights of {text} are kept" in summary.trained(shown)


def test_names_of_columns_are_whole_on_screen():
    """A table shrinks a name that may be broken anywhere, so that its other columns are wider."""
    style = page._STYLE.read_text(encoding="utf-8")
    on_screen, in_print = style.split("@media print")
    assert "tr > th:first-child" in on_screen
    rule = on_screen[on_screen.index("tr > th:first-child") :].partition("}")[0]
    assert "overflow-wrap" not in rule  # so it is break-word, that of the body
    assert "tr > th:first-child { overflow-wrap: anywhere; }" in in_print


def test_tables_below_figures_have_the_whole_width_in_print(pages):
    """A table of many columns would overlap the next figure, which is beside it."""
    style = page._STYLE.read_text(encoding="utf-8")
    in_print = style[style.index("@media print") :]
    assert ".with-table { display: contents; }" in in_print
    assert ".grid details { grid-column: 1 / -1; }" in in_print
    for text in pages.values():
        assert '<div class="with-table"><figure>' in text
        assert "</figure><details>" in text
    assert '<table class="matrix"><caption>Rows by true and predicted class' in pages["three"]


def test_rare_texts_of_an_ordered_category_are_counted(tmp_path):
    """They have no input of their own, but that of the next lower text."""
    levels = ["poor", "fair", "good"]
    grades = np.array(levels)[[1, 2] * (N // 2)]
    grades[[0, SEEN, SEEN + 1]] = "poor"
    frame = pd.DataFrame(
        {"grade": pd.Categorical(grades, levels, ordered=True), "x": FRAME["noise"]}
    )
    model = TabularRegressor(**SMALL).fit(frame[:SEEN], PRICE[:SEEN])
    assert model.recipe_.columns[0].category.known == ["fair", "good"]
    model.report(frame[SEEN:], PRICE[SEEN:], tmp_path / "r.html")
    rows = Reader((tmp_path / "r.html").read_text(encoding="utf-8")).tables["Columns that are used"]
    assert rows[1][5] == "2 rows with 1 text, as a neighbour in the order"


@pytest.mark.filterwarnings("error")
def test_a_huge_true_value_has_a_report(models, tmp_path):
    """The square of its error is not finite. Beyond 1e300, its distance from others may not be."""
    y = PRICE.to_numpy()[SEEN:].copy()
    y[3] = -1e300
    models["numbers"].report(FRAME[SEEN:], y, tmp_path / "r.html")
    found = Reader((tmp_path / "r.html").read_text(encoding="utf-8")).tables
    assert found["Scores of 100 held-out rows"][3][:2] == ["Root mean squared error", "1e+299"]
    errors = [row[2] for row in found["Error by the spread of the networks"][1:]]
    assert sum(error.endswith("e+299") for error in errors) == 1
    before = (tmp_path / "r.html").read_bytes()
    y[3] = np.finfo(float).max
    with pytest.raises(ValueError, match=r"'y' of a held-out row is 1.798e\+308, too large for"):
        models["numbers"].report(FRAME[SEEN:], y, tmp_path / "r.html")
    assert (tmp_path / "r.html").read_bytes() == before


@pytest.mark.parametrize("target", ["price", "sort"])
def test_predictions_that_are_not_finite_have_no_report(here, run, target):
    """A plain network does not limit its inputs, so a test row may be too far from training."""
    y = None if target == "price" else np.equal(TWO, "dear").astype(int)
    row = np.flatnonzero(pick(np.random.default_rng(0), y, N, 0.2))[0]
    frame = FRAME[["area", "noise"]].assign(price=PRICE, sort=TWO)
    frame.loc[row, "noise"] = 3e38
    frame.to_csv("flats.csv", index=False)
    code, _, err = run("train", "flats.csv", "--target", target, "--drop",
                       "sort" if target == "price" else "price", "--out", "m", "--quiet",
                       "--preset", "plain", "--epochs", "2", "--report", "r.html")  # fmt: skip
    assert code == 1
    assert "\nfastnn: error: no report can be written, since predictions of 1 held-out" in err
    assert not (here / "r.html").exists()


def test_importances_that_are_undefined(models, monkeypatch):
    """Shuffling may join numbers in a row whose prediction is not finite."""
    names = ["area", "noise", "since"]
    losses = np.array([[1.5, 1.7], [np.nan, 0.1], [0.2, 0.4]])
    for some in (losses, np.full((3, 2), np.nan)):
        found = importance.Importance(names, np.arange(9), {"rmse": some, "r2": some})
        monkeypatch.setattr(importance, "of_columns", lambda subject, found=found: found)
        text = importance.section(subject_of(models["numbers"], PRICE.to_numpy()[SEEN:]))
        assert "nan" not in text
        [table] = Reader(text).tables.values()
        if some is losses:
            assert [row[:2] for row in table[1:3]] == [["area", "1.60"], ["since", "0.30"]]
        assert table[3][1:] == [html.NOTHING] * 3


def test_numbers_of_nearly_the_same_size_are_told_apart():
    """Such as the predicted years of songs, which head the rows of a table."""
    assert html.told_apart([12.5, 1234.5, 0.001]) == ["12.5", "1,234", "0.001"]
    assert html.told_apart([1995.25, 1995.31, 1996.02]) == ["1,995.250", "1,995.310", "1,996.020"]
    assert html.told_apart([-101325.01, -101324.87]) == ["\u2212101,325.010", "\u2212101,324.870"]
    assert html.told_apart([3.0, 3.0]) == ["3", "3"]
    assert html.told_apart([7.0]) == ["7"]
