"""Whether a trained network is good enough: against a baseline, and against --require.

Here: the conditions of --require, and the score that decides whether a network beats a baseline
that ignores the inputs. Not here: the scores themselves (scores.py).
"""

from __future__ import annotations

import argparse
import operator
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn.cli.options import UsageError, names
from fastnn.cli.output import score
from fastnn.tabular.scores import RISING, SCORES, main_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fastnn.losses import Loss

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Condition(NamedTuple):
    """A condition on a score, such as ``r2>=0.8``; without a score, to beat the baseline."""

    score: str = ""
    relation: str = ""
    limit: float = 0.0

    def __str__(self) -> str:
        return f"{self.score}{self.relation}{self.limit:g}" if self.score else "baseline"

    def holds(self, record: Mapping[str, Any], loss: Loss) -> bool:
        """Return whether the scores of a training with a loss meet the condition.

        Without scores it is not met: after Ctrl-C, the networks for the test rows may be missing.
        """
        if record["test"] is None:
            return False
        if not self.score:
            return beats_baseline(record, loss)
        value = record["test"][self.score]
        return value is not None and _OPERATORS[self.relation](value, self.limit)

    def score_in(self, record: Mapping[str, Any]) -> str | None:
        """Return what the score is, for a message; None if the condition is on several scores."""
        if not self.score:
            return None
        value = None if record["test"] is None else record["test"][self.score]
        return f"{self.score} is {'undefined' if value is None else score(self.score, value)}"


def conditions(text: str) -> list[Condition]:
    """Return the conditions in an argument, separated by commas: "baseline", "r2>=0.8"."""
    found = []
    for part in names(text):
        match = re.fullmatch(r"(\w+) *(>=|<=|>|<) *([-+.\deE]+)", part.strip())
        try:
            made = Condition() if part == "baseline" else Condition(
                match[1], match[2], float(match[3]))  # type: ignore[index]  # fmt: skip  # None: below
        except (TypeError, ValueError):
            made = None
        if made is None or (made.score and made.score not in SCORES):
            raise argparse.ArgumentTypeError(
                "must be 'baseline' or conditions such as 'r2>=0.8' on one of "
                f"{', '.join(SCORES)}; got {part!r}"
            )
        found.append(made)
    return found


def require_scores(required: Iterable[Condition], scores: Iterable[str], task: str) -> None:
    """Check that a task has the scores that the conditions refer to."""
    known = [*scores]
    for condition in required:
        if condition.score and condition.score not in known:
            raise UsageError(
                f"--require {condition}: a {task} has no {condition.score}; its scores are "
                f"{', '.join(known)}"
            )


def beats_baseline(record: Mapping[str, Any], loss: Loss) -> bool:
    """Return whether a network is better than the baseline in at least one decisive score.

    For numbers, the decisive score is that of the training loss; for classes, it is the accuracy
    or the log loss, with class weights the balanced accuracy.
    """
    if record["test"] is None:
        return True
    if "balanced_accuracy" in record["test"]:
        decisive = ["balanced_accuracy"]
    elif "accuracy" in record["test"]:
        decisive = ["accuracy", main_score(loss, is_regression=False)]
    else:
        decisive = [main_score(loss, is_regression=True)]
    return any(_is_better(record, name) for name in decisive)


def _is_better(record: Mapping[str, Any], name: str) -> bool:
    """Return whether a score is better than that of the baseline, or cannot be compared with it."""
    ours, theirs = record["test"][name], record["baseline"][name]
    if ours is None or theirs is None:
        return True
    return bool(ours > theirs if name in RISING else ours < theirs)
