"""Members that share weights (Ensemble) in the recipe for tables, on real tables.

    python bench/ensemble_tables.py

The networks of fastnn's recipe for tables (tabular/ensemble.py) are trained on the sets and splits
of real_tables.py: a single network, five networks, and an `Ensemble` of the recipe's layers in
place of each. Everything else is as in the recipe, and test rows decide nothing.

Not here: learned embeddings (embedded_tables.py), other libraries, except LightGBM as the reference
(real_tables.py).
"""

import dataclasses
import warnings

import numpy as np
import real_tables

from fastnn import MLP, Ensemble
from fastnn.benchmarking import machine
from fastnn.sklearn import TableEncoder
from fastnn.tabular import ensemble


@dataclasses.dataclass(frozen=True)
class Settings(ensemble.Settings):
    """The settings of the recipe, and the number of members of each network; 0 for no Ensemble."""

    members: int = 0
    adapters: str = "first"

    def network(self, *arguments):
        """Return the recipe's network, with its layers in an Ensemble."""
        net = super().network(*arguments)
        if not self.members:
            return net
        return MLP(
            arguments[0],
            [Ensemble(self.members, net.layers, self.adapters)],
            loss=net.loss,
            optimizer=net.optimizer,
            dtype=self.dtype,
            seed=arguments[-1],
        )


def contender(n_nets, members=0, units=None, adapters="first"):
    """Return a contender for real_tables.py: `n_nets` networks with `members` members each.

    Hidden layers have the recipe's units, or `units`.
    """
    settings = Settings(members=members, adapters=adapters)
    if units is not None:
        settings = dataclasses.replace(settings, hidden=(units,) * len(settings.hidden))

    def fit(frame, y, is_class, seed):
        encoder = TableEncoder(codes="rich").fit(frame)
        labels = np.unique(y, return_inverse=True)[1] if is_class else np.asarray(y, np.float64)
        seeds = np.random.RandomState(seed).randint(2**31 - 1, size=n_nets).tolist()
        ends = {} if is_class else {"output": "identity", "loss": "squared_error"}
        trained = ensemble.train(
            settings,
            encoder.transform(frame).astype(np.float32),
            labels,
            n_classes=len(np.unique(y)) if is_class else None,
            seeds=seeds,
            **ends,
        )

        def predict(new):
            found = trained.fits.predict(encoder.transform(new).astype(np.float32), "mean")
            return found if is_class else found[:, 0]

        return predict

    return fit


#: The contenders by name: networks, members of each, units of a hidden layer.
CONTENDERS = {
    "one net": contender(1),
    "five nets": contender(5),
    "Ensemble(16) of 128": contender(1, 16, 128),
    "Ensemble(16) of 128, all": contender(1, 16, 128, "all"),
    "Ensemble(4)": contender(1, 4),
    "five Ensemble(4) of 128": contender(5, 4, 128),
    "LightGBM": real_tables.CONTENDERS["LightGBM"],
}


def main():
    """Run the contenders on the sets, print the table and, if requested, write it."""
    options = real_tables.arguments(__doc__, CONTENDERS).parse_args()
    machine.pin(1)
    warnings.simplefilter("ignore")
    real_tables.compare({name: CONTENDERS[name] for name in options.contenders}, options)


if __name__ == "__main__":
    main()
