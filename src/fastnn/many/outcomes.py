"""Outcome: a network of `fit_many` after its training, with its status and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.callbacks import History
    from fastnn.training.specification import Specification
    from fastnn.training.state import Snapshot, State

#: Values of `Status.kind`.
NOT_STARTED, FINISHED, STOPPED, DIVERGED = KINDS = (
    "not started",
    "finished",
    "stopped early",
    "diverged",
)


@dataclass(frozen=True)
class Status:
    """How the training of a network ended.

    Attributes
    ----------
    kind : {"not started", "finished", "stopped early", "diverged"}
        A network whose training was interrupted is restored, and "not started".
    epochs : int
        Number of whole epochs that were trained.
    message : str
        The error of a network that diverged, with epoch and step; otherwise empty.
    """

    kind: str
    epochs: int
    message: str = ""

    @property
    def is_trained(self) -> bool:
        """Whether the network was trained to its end, "finished" or "stopped early"."""
        return self.kind in (FINISHED, STOPPED)


def with_number(error: BaseException, number: int) -> BaseException:
    """Return an error with the number of its network in the message, or else in a note.

    An error of a few types is replaced by one with another message. The constructors of other types
    may need other arguments, so these errors get a note.
    """
    if type(error) in (FloatingPointError, RuntimeError, TypeError, ValueError):
        found = type(error)(f"nets[{number}]: {error}")
        found.__cause__ = error
        return found
    error.add_note(f"raised in the training of nets[{number}]")
    return error


@dataclass(eq=False, repr=False)
class Outcome:
    """A snapshot of a network with its status and history, for files and executors."""

    specification: Specification
    snapshot: Snapshot
    metadata: dict[str, Any]
    status: Status
    history: History
    best_epoch: int | None

    @classmethod
    def of(cls, state: State, status: Status, history: History, best_epoch: int | None) -> Outcome:
        """Return the outcome of the network `state`."""
        metadata = state.metadata
        return cls(state.specification, state.snapshot(), metadata, status, history, best_epoch)
