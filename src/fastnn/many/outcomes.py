"""Outcome: a network of a `fit_many` after its training, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.callbacks import History
    from fastnn.training.specification import Specification
    from fastnn.training.state import Snapshot, State

#: What can become of a network.
NOT_STARTED, FINISHED, STOPPED, DIVERGED = KINDS = (
    "not started",
    "finished",
    "stopped early",
    "diverged",
)


@dataclass(frozen=True)
class Status:
    """What became of a network.

    Attributes
    ----------
    kind : {"not started", "finished", "stopped early", "diverged"}
        A network that was interrupted is back at its beginning, "not started".
    epochs : int
        Whole epochs that were trained.
    message : str
        The error of a network that diverged, with epoch and step; otherwise empty.
    """

    kind: str
    epochs: int
    message: str = ""

    @property
    def is_trained(self) -> bool:
        """Whether it was trained to its end."""
        return self.kind in (FINISHED, STOPPED)


def with_number(error: BaseException, number: int) -> BaseException:
    """Return the error of a network with its number in the message, or in a note.

    Errors of other kinds may need other arguments than a message, and are returned themselves.
    """
    if type(error) in (FloatingPointError, RuntimeError, TypeError, ValueError):
        found = type(error)(f"nets[{number}]: {error}")
        found.__cause__ = error
        return found
    error.add_note(f"raised in the training of nets[{number}]")
    return error


@dataclass(eq=False, repr=False)
class Outcome:
    """A network at one moment, and what became of it: what files and executors pass on."""

    specification: Specification
    snapshot: Snapshot
    metadata: dict[str, Any]
    status: Status
    history: History
    best_epoch: int | None

    @classmethod
    def of(cls, state: State, status: Status, history: History, best_epoch: int | None) -> Outcome:
        """Return the outcome of a network that has a state."""
        metadata = state.metadata
        return cls(state.specification, state.snapshot(), metadata, status, history, best_epoch)
