"""Members that the engine trains by itself: whole fits without the GIL, one a thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._precision import KERNELS
from fastnn.callbacks import EarlyStopping, ReduceLROnPlateau
from fastnn.many.results import DIVERGED, FINISHED, STOPPED, Status
from fastnn.training import plan, sources, whole
from fastnn.training.calls import divergence_of_fit
from fastnn.training.rows import Rows
from fastnn.training.standardizing import mean_and_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._checks.many import Indices
    from fastnn._kernels_f32 import WholeFit
    from fastnn.callbacks import Callback
    from fastnn.many.members import Members
    from fastnn.many.progress import Progress
    from fastnn.many.results import Fits
    from fastnn.training.state import State

#: Members that are prepared before the first of them is trained.
_TOGETHER = 1024

#: Members of more epochs would need too much room for their losses.
_MOST_EPOCHS = 1 << 20


@dataclass(eq=False, repr=False)
class _Prepared:
    """A member as the engine takes it, and what it is restored from if it is given up."""

    number: int
    state: State
    fit: WholeFit
    callbacks: list[Callback]
    is_weighted: bool
    generator: Any
    before: Any


class Unattended:
    """Trains those of the members that the engine can train by itself.

    Sources of rows are made once for all members that take rows and targets alike.
    """

    def __init__(self, members: Members, fits: Fits, raises: bool, progress: Progress) -> None:
        self.members, self.fits, self.raises, self.progress = members, fits, raises, progress
        self._sources: dict[Any, Rows | None] = {}
        self._callbacks: list[Callback] | None = None
        if not callable(members.callbacks):
            self._callbacks = list(members.callbacks)
        self._tail: dict[Any, Indices] = {}

    # ---- which members --------------------------------------------------------------------------

    def takes(self, number: int) -> bool:
        """Whether the engine can train a member by itself."""
        members, state = self.members, self.members.nets[number]._state
        return (
            self._callbacks is not None
            and not members.metrics_given
            and not isinstance(members.class_weight, str)  # "balanced" differs from rows to rows
            and members.epochs[number] <= _MOST_EPOCHS
            and _generator_of(state, members.shuffle[number]) is not _OTHER
            and whole.is_possible(state.specification, self._callbacks)
            and all(map(self._is_followed, self._callbacks, [state] * len(self._callbacks)))
            and self._source(state, "") is not None
            and self._validation_source(state) is not _OTHER
        )

    def _is_followed(self, callback: Any, state: State) -> bool:
        """Whether nothing is wrong with a callback, which its own fit would say."""
        validated = self.members.is_validated or callback.monitor != "val_loss"
        scheduled = state.specification.optimizer.schedule is not None
        return validated and not (scheduled and isinstance(callback, ReduceLROnPlateau))

    # ---- rows -----------------------------------------------------------------------------------

    def _source(self, state: State, where: str) -> Rows | None:
        """Return the rows of X, or those for validation, for networks like this one.

        None if rows are converted block by block.
        """
        members, spec = self.members, state.specification
        classes = self._classes(state)
        key = where, repr(spec.loss), spec.n_in, spec.n_out, spec.dtype, classes
        if key not in self._sources:
            arrays = members.X, members.targets, members.sample_weight
            if where:
                arrays = members.validation
            found = sources.source(state, *arrays, where=where, classes=classes)
            by_class = plan.weights_of_classes(state, members.class_weight, classes, None)
            found = sources.weighed(found, by_class, spec.dtype)
            self._sources[key] = found if type(found) is Rows else None
        return self._sources[key]

    def _classes(self, state: State) -> Any:
        return self.members.classes_of(state) if state.classes is None else state.classes

    def _validation_source(self, state: State) -> Any:
        """Return the rows that contain those for validation, None without any."""
        if not self.members.is_validated:
            return None
        found = self._source(state, "validation " * isinstance(self.members.validation, tuple))
        return _OTHER if found is None else found

    def _numbers(self, number: int) -> tuple[Indices | None, Indices | None]:
        """Return the numbers of the member's rows, and of those for validation; None for all."""
        members = self.members
        rows, split = members.rows[number], members.validation
        if isinstance(split, float):
            n = members.n_rows if rows is None else len(rows)
            kept = _checks.rows_to_train(n, split)
            if rows is None:
                rows = self._tail.setdefault(n, np.arange(n))
            return rows[:kept], rows[kept:]
        return rows, members.validation_numbers(number)

    # ---- training -------------------------------------------------------------------------------

    def train(self, numbers: Sequence[int], n_threads: int) -> None:
        """Train these members, in this order."""
        for first in range(0, len(numbers), _TOGETHER):
            some = [self._prepare(number) for number in numbers[first : first + _TOGETHER]]
            for kernels in KERNELS.values():
                alike = [each for each in some if isinstance(each.fit, kernels.WholeFit)]
                if alike:
                    self._train(kernels, alike, n_threads)

    def _prepare(self, number: int) -> _Prepared:
        """Return a member as the engine takes it; its network is checked as by its own fit."""
        members, state = self.members, self.members.nets[number]._state
        _checks.idle(state.fit)
        _checks.trainable(state.specification.trained)
        callbacks: list[Any] = members.callbacks_of(number)
        for callback in callbacks:
            callback._reset()
        source, validation = self._source(state, ""), self._validation_source(state)
        assert source is not None
        rows, judged = self._numbers(number)
        if isinstance(members.validation, float) and source.weights is not None:
            _checks.split_weights(source.weights[rows], source.weights[judged])
        if not state.is_ready:
            some = source if rows is None else Rows(source.X[rows])
            state.standardize(*mean_and_scale(some, "X", state.specification.dtype))
        n = source.n if rows is None else len(rows)
        generator = _generator_of(state, members.shuffle[number])
        state.stop_training = False
        state.classes = self._classes(state)
        fit = whole.make(
            state,
            source,
            rows,
            validation,
            judged,
            batch=min(members.batch_size[number] or n, n),
            epochs=members.epochs[number],
            generator=generator,
            callbacks=callbacks,
        )
        before = None if generator is None else generator.state
        weighted = source.weights is not None
        return _Prepared(number, state, fit, callbacks, weighted, generator, before)

    def _train(self, kernels: Any, some: list[_Prepared], n_threads: int) -> None:
        def report(places: list[int]) -> None:
            for place in places:
                self._finish(some[place])
            self.progress.show()

        fits = [each.fit for each in some]
        try:
            kernels.train_members(fits, report, n_threads, self.raises)
        finally:
            for each in some:
                if each.fit.ended == "interrupted" and each.generator is not None:
                    each.generator.state = each.before
                whole.keep_rate(each.state)
        if self.raises:
            for each in some:
                if each.fit.ended in whole.DIVERGED:
                    raise FloatingPointError(f"nets[{each.number}]: {self._message(each)}")

    def _finish(self, member: _Prepared) -> None:
        """Keep what became of a member that has ended."""
        fit, number, fits = member.fit, member.number, self.fits
        if fit.ended == "no memory":
            raise MemoryError(f"nets[{number}] needs more memory than there is")
        if fit.ended == "interrupted":
            return
        fits.histories.keep(number, fit.logs())
        if fit.ended in whole.DIVERGED:
            fits.statuses[number] = Status(DIVERGED, fit.epoch, self._message(member))
        else:
            ended = fit.epoch < self.members.epochs[number]
            fits.statuses[number] = Status(STOPPED if ended else FINISHED, fit.epoch)
            for callback, state in zip(member.callbacks, fit.state_of_rules(), strict=True):
                if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
                    fits.best_epochs[number] = state["best_epoch"]
                    break
        self.progress.count(fits.statuses[number])

    def _message(self, member: _Prepared) -> str:
        loss, overflowed, _, rate = member.fit.failure
        return str(
            divergence_of_fit(
                member.state,
                loss,
                overflowed,
                whole.when(member.fit),
                member.is_weighted,
                member.fit.dropped,
                rate,
            )
        )


#: What the engine cannot use.
_OTHER: Any = object()


def _generator_of(state: State, shuffle: Any) -> Any:
    """Return the bit generator that draws a member's orders, None where they aren't drawn.

    The engine draws as `Generator.permutation` and `RandomState.permutation` do.
    """
    if shuffle is False:
        return None
    if shuffle is True:
        return state.shuffler.bit_generator
    if type(shuffle) is np.random.Generator:
        return shuffle.bit_generator
    if type(shuffle) is np.random.RandomState:
        return shuffle._bit_generator
    return _OTHER
