"""Portions: which members are trained together by a task on an executor.

Members with most work come first. A portion is about two seconds of work, less where there is
little left, so that workers end at about the same time. The portion of a lost worker is done again
in halves. An executor may lose all of its workers because of one: a member that was alone in its
portion several times is suspected, and done at the end, when no other one can be the cause.
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

#: Losses of a member that is alone in its portion: until it is suspected, and until it is an error.
SUSPECT = 3
MOST_LOSSES = 10


@dataclass(frozen=True)
class Portion:
    """Members, by their numbers, and how often they have lost a worker that had them alone."""

    numbers: tuple[int, ...]
    losses: int = 0


class Portions:
    """The members that are left, in portions; any thread may take one."""

    def __init__(
        self, numbers: Sequence[int], cost: Callable[[int], float], n_workers: int
    ) -> None:
        self.left = deque((number, cost(number)) for number in numbers)
        self.n_workers = n_workers
        self.work_left = sum(cost for _, cost in self.left)
        self.first = self.work_left / (16 * n_workers)  # work of a portion before a rate is known
        self.rate: float | None = None  # work of a worker in a second
        self.again: list[Portion] = []
        self.suspects: list[Portion] = []
        self.costs = dict(self.left)
        self.lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        """Whether no member is left, but for those in flight."""
        return not (self.left or self.again or self.suspects)

    def take(self, n_in_flight: int) -> Portion | None:
        """Return the next portion, None if there is none now; a lost one may follow."""
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
        """Learn how long a portion took."""
        with self.lock:
            work = sum(self.costs[number] for number in portion.numbers)
            rate = work / max(seconds, 1e-3)
            self.rate = rate if self.rate is None else 0.7 * self.rate + 0.3 * rate

    def put_back(self, numbers: Sequence[int]) -> None:
        """Let members that a worker did not begin be done again."""
        with self.lock:
            self.again.append(Portion(tuple(numbers)))

    def lose(self, portion: Portion) -> None:
        """Let the portion of a lost worker be done again, in halves."""
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
                "for want of memory: give workers more, or use fewer"
            )
