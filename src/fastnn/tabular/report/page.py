"""The page: all sections in order, with the style sheet, in one file without links.

A new section needs a module with a function `section(subject)` and a line in `SECTIONS`. Not here:
writing the file (__init__.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastnn.tabular.report import (
    calibration,
    columns,
    confusion,
    curves,
    importance,
    residuals,
    roc,
    spread,
    summary,
)
from fastnn.tabular.report.html import Html, element, joined, shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn.tabular.report.subject import Subject

_STYLE = Path(__file__).with_name("style.css")


class Section(NamedTuple):
    """A section of the page: its id, its title, the function that makes it, and its task."""

    name: str
    title: str
    make: Callable[[Subject], Html | None]
    task: str | None = None


SECTIONS = (
    Section("scores", "Scores", summary.how_good),
    Section("trained", "Training", summary.trained),
    Section("curves", "Learning curves", curves.section),
    Section("confusion-matrix", "Confusion matrix", confusion.section, "classification"),
    Section("roc-curve", "ROC curve", roc.section, "classification"),
    Section("reliability", "Calibration", calibration.section,
            "classification"),
    Section("errors", "Residuals", residuals.section, "regression"),
    Section("ensemble", "Spread of the networks", spread.section),
    Section("permutation", "Permutation importance", importance.section),
    Section("columns", "Encoding of the columns", columns.section),
)  # fmt: skip


def render(subject: Subject) -> str:
    """Return a report as one HTML page, which needs no other files and no network access."""
    made = []
    for section in SECTIONS:
        if section.task in (None, subject.recipe.task):
            body = section.make(subject)
            if body is not None:
                made.append((section, body))
    title = f"Predicting {subject.target}"
    head = [
        shape("meta", charset="utf-8"),
        shape("meta", name="viewport", content="width=device-width, initial-scale=1"),
        shape("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(_STYLE.read_text(encoding="utf-8"))),
    ]
    links = [
        element("li", element("a", section.title, href=f"#{section.name}")) for section, _ in made
    ]
    parts = [
        element("header", element("h1", title), summary.in_short(subject), _warnings(subject)),
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *(_section(*each) for each in made)),
    ]
    whole = element("html", element("head", *head), element("body", *parts), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def _section(section: Section, body: Html) -> Html:
    """Return a section with its title."""
    title = element("h2", section.title, id=f"{section.name}-heading")
    return element(
        "section", title, body, id=section.name, aria_labelledby=f"{section.name}-heading"
    )


def _warnings(subject: Subject) -> Html:
    """Return the warnings about the scores, or an empty text if there are none."""
    if not subject.warnings:
        return Html()
    items = [element("li", f"Warning: {text}") for text in subject.warnings]
    return joined([element("ul", *items, class_="warnings")])
