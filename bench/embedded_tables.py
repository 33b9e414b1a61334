"""Learned embeddings of numbers and categories in the recipe for tables, on real tables.

    python bench/embedded_tables.py

The networks of fastnn's recipe for tables (tabular/ensemble.py) are trained on the sets and splits
of real_tables.py. The inputs of the recipe are a standardized copy, a clipped copy and piecewise
linear codes of each number, and one-hot codes of categories. Each contender replaces some of these
inputs: learned piecewise linear or periodic embeddings replace the piecewise linear codes, or are
added to them ("codes, periodic"); learned vectors replace the one-hot codes. Everything else is as
in the recipe, and test rows decide nothing.

Not here: other libraries, except LightGBM as the reference (real_tables.py).
"""

import dataclasses
import warnings
from typing import Any

import numpy as np
import real_tables
import table_contenders

from fastnn import MLP, Embedding, NumericEmbedding
from fastnn.benchmarking import machine
from fastnn.sklearn import TableEncoder
from fastnn.tabular import ensemble
from fastnn.tabular.codes import OneHot, PiecewiseLinear, Value

#: Width of a learned vector.
DIM = 8


@dataclasses.dataclass(frozen=True)
class Settings(ensemble.Settings):
    """The settings of the recipe, and layers to insert before its own."""

    before: tuple[Any, ...] = ()

    def network(self, *arguments):
        """Return the recipe's network with these layers inserted before it."""
        net = super().network(*arguments)
        return MLP(
            arguments[0],
            [*self.before, *net.layers],
            loss=net.loss,
            optimizer=net.optimizer,
            dtype=self.dtype,
            seed=arguments[-1],
        )


class Inputs:
    """The inputs of a contender: the recipe's inputs that it keeps, and those to be embedded."""

    def __init__(self, frame, kind, tables, keeps_codes):
        self.encoder = TableEncoder(codes="rich").fit(frame)
        X = self.encoder.transform(frame)
        self.kept, self.numbers, self.one_hot = [], [], []
        at = 0
        for entry in self.encoder.recipe_.columns:
            number = None
            for code in entry.codes:
                places = list(range(at, at + len(code.names(entry.name))))
                at += len(places)
                if isinstance(code, Value):
                    number = places[0]
                if tables and isinstance(code, OneHot) and len(places) > 2:
                    self.one_hot.append(places)
                elif kind and isinstance(code, PiecewiseLinear):
                    self.numbers.append(number)
                    self.kept += places if keeps_codes else []
                else:
                    self.kept += places
        self.before = []
        n, first = len(self.kept), len(self.kept) + len(self.numbers)
        if self.one_hot:
            sizes = [len(places) + 1 for places in self.one_hot]
            columns = range(first, first + len(sizes))
            self.before.append(Embedding(sizes, DIM, columns=columns))
        if self.numbers:
            bins = NumericEmbedding.edges(X, 16, self.numbers) if kind == "piecewise" else None
            columns = range(n, first)
            self.before.append(NumericEmbedding(DIM, kind, bins=bins, columns=columns))

    def of(self, frame):
        """Return the inputs (n, n_in) of a frame's rows."""
        X = self.encoder.transform(frame)
        numbers = [X[:, self.kept], X[:, self.numbers]]
        for places in self.one_hot:  # a missing category gets the last number
            one_hot = np.hstack([X[:, places], 1 - X[:, places].sum(axis=1, keepdims=True)])
            numbers.append(one_hot.argmax(axis=1)[:, None])
        return np.hstack(numbers).astype(np.float32)


def contender(n_nets, kind=None, tables=False, keeps_codes=False):
    """Return a contender, of the form described in table_contenders.py."""

    def fit(frame, y, is_class, seed):
        inputs = Inputs(frame, kind, tables, keeps_codes)
        labels = np.unique(y, return_inverse=True)[1] if is_class else np.asarray(y, np.float64)
        seeds = np.random.RandomState(seed).randint(2**31 - 1, size=n_nets).tolist()
        ends = {} if is_class else {"output": "identity", "loss": "squared_error"}
        trained = ensemble.train(
            Settings(before=tuple(inputs.before)),
            inputs.of(frame),
            labels,
            n_classes=len(np.unique(y)) if is_class else None,
            seeds=seeds,
            **ends,
        )

        def predict(new):
            found = trained.fits.predict(inputs.of(new), "mean")
            return found if is_class else found[:, 0]

        return predict

    return fit


def contenders(n_nets):
    """Return the contenders with this many networks, and LightGBM."""
    return {
        "codes": contender(n_nets),
        "piecewise": contender(n_nets, "piecewise"),
        "periodic": contender(n_nets, "periodic"),
        "codes, periodic": contender(n_nets, "periodic", keeps_codes=True),
        "tables": contender(n_nets, None, True),
        "piecewise, tables": contender(n_nets, "piecewise", True),
        "LightGBM": table_contenders.CONTENDERS["LightGBM"],
    }


def main():
    """Run the contenders on the sets, print the table and, if requested, write it."""
    parser = real_tables.arguments(__doc__, contenders(1))
    parser.add_argument("--nets", type=int, default=5, help="networks of each contender")
    options = parser.parse_args()
    machine.pin(1)
    warnings.simplefilter("ignore")
    made = contenders(options.nets)
    real_tables.compare({name: made[name] for name in options.contenders}, options)


if __name__ == "__main__":
    main()
