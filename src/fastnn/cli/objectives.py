"""What training minimizes: the loss named by --loss, and the weights of --class-weight.

Here: the loss and the output activation for a task. Not here: the formulas (losses.py), the scores
and the baseline of a loss (tabular/scores.py).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastnn import losses
from fastnn.cli.options import UsageError, names
from fastnn.tabular.errors import TableError, listed, suggestion
from fastnn.tabular.spelling import Lookup
from fastnn.training import weights as weights_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.losses import Loss

#: The losses of a regression that --loss accepts.
LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson")


class Objective(NamedTuple):
    """A loss as given by --loss: its name, its parameter or None, and the text of the option."""

    name: str
    value: float | None = None
    typed: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value:g}"

    @property
    def loss(self) -> Loss:
        """The loss that `MLP` takes."""
        parameters = [] if self.value is None else [self.value]
        return losses.KINDS[self.name](*parameters)

    @property
    def output(self) -> str:
        """The activation of the last layer: the first that the loss allows."""
        return (self.loss.outputs or ("identity",))[0]


def objective(text: str) -> Objective:
    """Return the objective that an argument names: "huber", "quantile:0.9"."""
    name, has_value, value = text.partition(":")
    if name not in LOSSES:
        hint = suggestion(name, LOSSES)
        raise argparse.ArgumentTypeError(f"{hint}must be one of {', '.join(LOSSES)}; got {text!r}")
    defaults = losses.default(name).parameter(1) or []  # of one output
    try:
        if has_value and not defaults:
            raise ValueError(f"{name} has no parameter")
        parameter, *_ = [float(value)] if has_value else [*defaults, None]
        made = Objective(name, parameter, text)
        made.loss  # noqa: B018  its check of the parameter
    except (TypeError, ValueError) as error:
        problem = str(error).partition("; got")[0]
        raise argparse.ArgumentTypeError(f"{problem}; got {text!r}") from error
    return made


def objective_of(stated: Objective | None, task: str, of_texts: bool) -> Objective:
    """Return the objective of a task: the stated one, or the default of the task.

    `of_texts` is whether the classes are texts, which have no regression.
    """
    if task == "classification":
        if stated is not None:
            what = "the target holds texts" if of_texts else "this is a classification"
            remedy = "" if of_texts else ", or use --task regression"
            raise UsageError(
                f"--loss {stated.typed or stated} is for regression, but {what}; leave it out"
                + remedy
            )
        return Objective("cross_entropy")
    return stated or Objective("squared_error")


def check_target(objective: Objective, path: str, name: str, y: NDArray[Any]) -> None:
    """Check that the loss accepts the targets (n,)."""
    low = objective.loss.takes.low
    if (y < low).any():
        raise TableError(
            f"{path}: the target {name!r} holds {y.min():g}, but --loss {objective} needs numbers "
            f"of {low:g} or more; use another loss"
        )


def class_weights(text: str) -> dict[str, float] | str:
    """Return the weights in an argument: "balanced", or a dict for "yes=5,no=1"."""
    if text == "balanced":
        return text
    found = {}
    for part in names(text):
        name, _, weight = part.rpartition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            found[name] = -1.0
        if not name or not 0 <= found[name] < np.inf:
            raise argparse.ArgumentTypeError(
                f"must be 'balanced', or weights of classes such as yes=5,no=1; got {part!r}"
            )
    return found


def weights_of(
    stated: dict[str, float] | str | None, classes: list[Any] | None
) -> dict[int, float] | Literal["balanced"] | None:
    """Return class weights as `MLP.fit` takes them, by the index of the class."""
    if stated is not None and classes is None:
        raise UsageError(
            "--class-weight is for classification, but this is a regression; leave it out"
        )
    if stated is None or isinstance(stated, str) or classes is None:
        return "balanced" if isinstance(stated, str) else None
    texts = [str(value) for value in classes]
    index = Lookup(texts)
    unknown = [name for name in stated if index(name) is None]
    if unknown:
        raise UsageError(
            f"--class-weight: {unknown[0]!r} is not a class; {suggestion(unknown[0], texts)}the "
            f"classes are {listed(texts)}"
        )
    return {i: weight for name, weight in stated.items() if (i := index(name)) is not None}


def row_weights(
    stated: dict[str, float] | str | None, classes: list[Any] | None, labels: NDArray[Any]
) -> NDArray[np.float64] | None:
    """Return the weights (n,) of rows with these labels from class weights; None without any."""
    weights = weights_of(stated, classes)
    if weights is None or classes is None:
        return None
    if isinstance(weights, str):
        by_class = weights_of_rows.balanced(labels, len(classes))
    else:
        by_class = weights_of_rows.given(weights, len(classes))
    found: NDArray[np.float64] = by_class[labels]
    if not found.any():
        raise UsageError(
            "--class-weight: the weights of all rows are 0; give a class a weight above 0"
        )
    return found
