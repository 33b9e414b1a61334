"""`--preset good`: the networks of tabular/ensemble.py, with the settings of the options.

Here: the options as settings of the recipe, and one training of its networks. Not here: the recipe
(tabular/ensemble.py), when and on which rows it is trained (train.py), and networks that the
options describe in full (fitting.py, several.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._precision import POLICIES
from fastnn.cli.objectives import row_weights
from fastnn.cli.several import summary_of, unnumbered
from fastnn.tabular import ensemble
from fastnn.tabular.models import Model

if TYPE_CHECKING:
    from fastnn.cli.job import Job


def fit(job: Job) -> tuple[Model, dict[str, Any], bool]:
    """Train the networks on the training rows.

    Return the model, a summary of the training, and whether Ctrl-C interrupted it; the model then
    has only the networks that were trained to the end.
    """
    options, classes, rows = job.options, job.recipe.classes, job.rows["training"]
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
    targets = job.y[rows]
    with unnumbered():
        trained = ensemble.train(
            settings,
            job.encoded.inputs(rows, POLICIES[options.dtype]),
            targets,
            n_classes=None if classes is None else len(classes),
            seeds=range(options.seed, options.seed + options.ensemble),
            output=job.objective.output,
            loss=job.objective.loss if classes is None else None,  # that of classes is smoothed
            sample_weight=row_weights(options.class_weight, classes, targets),
            target=job.target,
            n_threads=options.threads,
            verbose=not options.quiet,
        )
    summary: dict[str, Any] = summary_of(trained.fits)
    if len(trained.fits) > 1:
        summary["ensemble"] = len(trained.fits)
    return Model(trained.fits), summary, trained.fits.interrupted
