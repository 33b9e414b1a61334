"""Portions: the members that are trained together in one task of an executor.

Members with the most work come first. A portion takes about two seconds, and less when little work
is left, so that all workers end at about the same time. The portion of a lost worker is trained
again in halves. Since one member may cost an executor all of its workers, a member that was alone
in a lost portion several times is suspected: it is trained at the end, when no other member can be
the cause.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Seconds that a portion should take.
_SECONDS = 2.0

#: Losses of a portion of one member after which the member is suspected, and after which an error
#: is raised.
SUSPECT = 3
MOST_LOSSES = 10


@dataclass(frozen=True)
class Portion:
    """The numbers of members, and how often a worker with this single member was lost."""

    numbers: tuple[int, ...]
    losses: int = 0


class Portions:
    """The members that are left, given out in portions; thread-safe."""

    def __init__(
        self, numbers: Sequence[int], cost: Callable[[int], float], n_workers: int
    ) -> None:
        self.left = deque((number, cost(number)) for number in numbers)
        self.n_workers = n_workers
        self.work_left = sum(cost for _, cost in self.left)
        self.first = self.work_left / (16 * n_workers)  # work per portion until a rate is known
        self.rate: float | None = None  # work per second of a worker
        self.again: list[Portion] = []
        self.suspects: list[Portion] = []
        self.costs = dict(self.left)
        self.lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether all members have been taken."""
        return not (self.left or self.again or self.suspects)

    def take(self, n_in_flight: int) -> Portion | None:
        """Return the next portion, or None for now; the loss of a worker may add portions later."""
        with self.lock:
            if self.again:
                return self.again.pop()
            if not self.left:
                return self.suspects.pop() if self.suspects and n_in_flight == 0 else None
            numbers: list[int] = []
            work = 0.0
            known = self.first if self.rate is None else self.rate * _SECONDS
            most = min(known, self.work_left / (4 * self.n_workers))
            while self.left and (not numbers or work + self.left[0][1] <= most):
                number, cost = self.left.popleft()
                numbers.append(number)
                work += cost
            self.work_left -= work
            return Portion(tuple(numbers))

    def time(self, portion: Portion, seconds: float) -> None:
        """Update the rate with the seconds that a portion took."""
        with self.lock:
            work = sum(self.costs[number] for number in portion.numbers)
            rate = work / max(seconds, 1e-3)
            self.rate = rate if self.rate is None else 0.7 * self.rate + 0.3 * rate

    def put_back(self, numbers: Sequence[int]) -> None:
        """Return members that a worker did not train."""
        with self.lock:
            self.again.append(Portion(tuple(numbers)))

    def lose(self, portion: Portion) -> None:
        """Return the portion of a lost worker, in halves; raise an error after too many losses."""
        with self.lock:
            numbers, half = portion.numbers, len(portion.numbers) // 2
            if half:
                self.again += [Portion(numbers[half:]), Portion(numbers[:half])]
                return
            losses = portion.losses + 1
            (self.again if losses < SUSPECT else self.suspects).append(Portion(numbers, losses))
        if losses > MOST_LOSSES:
            raise RuntimeError(
                f"nets[{numbers[0]}] lost its worker {losses} times; the system may have ended it "
                "for lack of memory: give workers more memory, or use fewer workers"
            )
