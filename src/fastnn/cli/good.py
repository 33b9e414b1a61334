"""`--preset good`: the networks of tabular/ensemble.py, with the settings of the options.

Here: the options as settings of the recipe, and one training of its networks. Not here: the recipe
(tabular/ensemble.py), when and on which rows it is trained (train.py), and networks that the
options describe in full (fitting.py, several.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._precision import POLICIES
from fastnn.cli.objectives import row_weights
from fastnn.cli.several import course_of, unnumbered
from fastnn.tabular import ensemble
from fastnn.tabular.models import Model

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from fastnn.cli.objectives import Objective
    from fastnn.tables import Recipe, Rows


def fit(
    options: argparse.Namespace,
    recipe: Recipe,
    encoded: Rows,
    y: NDArray[Any],
    rows: NDArray[np.intp],
    objective: Objective,
) -> tuple[Model, dict[str, Any], bool]:
    """Train the networks on the given rows of a table; `encoded` and `y` (n,) have all its rows.

    Return the model, a summary of the training, and whether Ctrl-C interrupted it; the model then
    has only the networks that were trained to the end.
    """
    settings = ensemble.Settings(
        hidden=options.hidden,
        activation=options.activation,
        dropout=options.dropout,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation=options.validation,
        dtype=options.dtype,
    )
    targets = y[rows]
    end: dict[str, Any] = {}  # the default is for classes
    if recipe.classes is None:
        end = {"output": objective.output, "loss": objective.loss}
    with unnumbered():
        trained = ensemble.train(
            settings,
            encoded.inputs(rows, POLICIES[options.dtype]),
            targets,
            n_classes=None if recipe.classes is None else len(recipe.classes),
            seeds=range(options.seed, options.seed + options.ensemble),
            sample_weight=row_weights(options.class_weight, recipe.classes, targets),
            n_threads=options.threads,
            verbose=not options.quiet,
            **end,
        )
    course: dict[str, Any] = course_of(trained.fits)
    if len(trained.fits) > 1:
        course["ensemble"] = len(trained.fits)
    return Model(trained.fits), course, trained.fits.interrupted
