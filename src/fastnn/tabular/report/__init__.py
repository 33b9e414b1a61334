"""The report on networks for tables: one HTML page on the data, the training and the scores.

`write` renders the page of a `Subject` and replaces a file by it. The page is self-contained: it
includes its style and its drawings and has no scripts. The same networks and rows give the same
page, byte for byte.

- `html`: escaping, tables, figures
- `svg`, `widths`, `style.css`: drawings, the widths of texts in them, and the style of the page in
  light and dark colour schemes
- `subject`: the networks and the held-out rows, their predictions and scores
- `page`: the sections in order; each of the following modules has one or more of them
- `summary`, `curves`, `confusion`, `roc`, `calibration`, `residuals`, `spread`, `importance`,
  `columns`
- `groups`: division of rows into groups of equal size

Not here: the scores (tabular/scores.py), and the choice of the held-out rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _checks, _files
from fastnn.tabular.report.page import render
from fastnn.tabular.report.subject import Subject
from fastnn.tabular.writing import check_place

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Endings that the file name of a report may have.
ENDINGS = (".html", ".htm")

__all__ = ["ENDINGS", "Subject", "check_path", "render", "write"]


def check_path(name: str, path: object, inputs: Sequence[str | int] = ()) -> str:
    """Check that a report can be written to a path: it ends with .html and is none of the inputs.

    Errors call the path `name`. The check leaves no file behind.
    """
    return check_place(_checks.output_path(name, path, inputs), ENDINGS)


def write(path: str, subject: Subject) -> None:
    """Write a report to a file, which is replaced as a whole."""
    place = check_path("path", path)
    text = render(subject).encode()
    with _files.replacing(place) as file:
        file.write(text)
