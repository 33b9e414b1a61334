"""Tables in Python: public functions for the encoding of columns by `fastnn train` and `predict`.

`read` reads a file or a data frame into columns of numbers, texts and dates. `prepare` and `learn`
determine from training rows how each column is encoded. They return a `Recipe`, which is stored as
plain data in the metadata of a model file; `Recipe.inputs` encodes new rows in the same way.
`write` writes predictions to a file. `fastnn.sklearn.TableEncoder` does the same as a step of a
pipeline.

Not here: the implementation (tabular/).
"""

from fastnn.tabular.encoding import EncodedRows, Entry
from fastnn.tabular.errors import TableError
from fastnn.tabular.leaks import giving_away
from fastnn.tabular.learning import MAX_CATEGORIES, Prepared, learn, prepare
from fastnn.tabular.reading import MISSING, read
from fastnn.tabular.recipe import Recipe, recipe_of
from fastnn.tabular.table import Column, Table, counts_rows
from fastnn.tabular.targets import FEW_NUMBERS, MAX_CLASSES, ROWS_PER_NUMBER, target_of
from fastnn.tabular.writing import (
    WRITTEN,
    check_place,
    csv_text,
    json_text,
    write,
    write_text,
)

__all__ = [
    "FEW_NUMBERS",
    "MAX_CATEGORIES",
    "MAX_CLASSES",
    "MISSING",
    "ROWS_PER_NUMBER",
    "WRITTEN",
    "Column",
    "EncodedRows",
    "Entry",
    "Prepared",
    "Recipe",
    "Table",
    "TableError",
    "check_place",
    "counts_rows",
    "csv_text",
    "giving_away",
    "json_text",
    "learn",
    "prepare",
    "read",
    "recipe_of",
    "target_of",
    "write",
    "write_text",
]
