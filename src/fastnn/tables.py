"""Tables from Python: what `fastnn train` and `fastnn predict` do with columns, by public names.

`read` turns a file into columns of numbers and of texts. `learn` decides from training rows how
each column is encoded; the `Recipe` that it returns is plain data in the metadata of a model file,
and `Recipe.encode` turns new rows into the same inputs. `write` puts predictions into a file.

Not here: how any of it is done (tabular/).
"""

from fastnn.tabular.encoding import Rows
from fastnn.tabular.errors import TableError
from fastnn.tabular.learning import MAX_CATEGORIES, learn
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
    "Recipe",
    "Rows",
    "Table",
    "TableError",
    "check_place",
    "counts_rows",
    "csv_text",
    "json_text",
    "learn",
    "read",
    "recipe_of",
    "target_of",
    "write",
    "write_text",
]
