"""Members that the engine trains without Python: whole fits without the GIL, one per thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._precision import KERNELS
from fastnn.callbacks import EarlyStopping, ReduceLROnPlateau, SwapEMAWeights
from fastnn.many.interrupts import despite_ctrl_c, without_collections
from fastnn.many.members import CallbacksOfEach
from fastnn.many.outcomes import DIVERGED, FINISHED, NOT_STARTED, STOPPED, Status, with_number
from fastnn.metrics import resolve
from fastnn.training import plan, sources, whole
from fastnn.training.calls import divergence_of_fit
from fastnn.training.orders import RowOrder
from fastnn.training.rows import Rows
from fastnn.training.rules import EngineCallback
from fastnn.training.standardizing import mean_and_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._checks.classes import Classes
    from fastnn._checks.many import Indices
    from fastnn._kernels_f32 import WholeFit
    from fastnn.many.members import Members
    from fastnn.many.progress import Progress
    from fastnn.many.results import Fits
    from fastnn.metrics import Resolved
    from fastnn.training.specification import Specification
    from fastnn.training.state import State

#: Members that are prepared and trained in one call of the engine.
_TOGETHER = 1024

#: The losses of members with more epochs would need too much memory.
_MOST_EPOCHS = 1 << 20


@dataclass(eq=False, repr=False)
class _SharedData:
    """The data shared by members that are built alike except for their seeds."""

    is_possible: bool  # the engine can train them by itself
    classes: Classes | None = None
    source: Rows | None = None
    validation: Rows | None = None
    metrics: dict[str, Resolved] = field(default_factory=dict)
    fits: whole.WholeFits | None = None  # None if each member has its own callbacks

    @property
    def is_weighted(self) -> bool:
        """Whether the rows have weights in the loss."""
        return self.source is not None and self.source.weights is not None

    @cached_property
    def has_zero_weights(self) -> bool:
        """Whether a row has weight 0 in the loss of training or validation."""
        found = [rows.weights for rows in (self.source, self.validation) if rows is not None]
        return any(weights is not None and not weights.all() for weights in found)


@dataclass(eq=False, repr=False, slots=True)
class _Prepared:
    """A member prepared for the engine, with the state to restore if its training is abandoned."""

    number: int
    state: State
    shared: _SharedData
    fit: WholeFit
    epoch: int  # of the network before training
    steps: int  # in an epoch
    generator: Any  # of orders of rows; None without shuffling
    before: Any  # state of the generator before training; None if it is not restored
    scaling: tuple[Any, Any] | None  # mean and scale of inputs; None if the network has them
    classes: Classes | None  # labels of classes before training
    feature_names: tuple[str, ...] | None  # names of columns before training

    def begin(self, feature_names: tuple[str, ...] | None) -> None:
        """Change the network as a fit does before its first step.

        `feature_names` are the names of the columns of X.
        """
        if self.feature_names is None:
            self.state.feature_names = feature_names
        self.state.stop_training = False
        if self.scaling is not None:
            self.state.standardize(*self.scaling)
        if self.classes is None:
            self.state.classes = self.shared.classes

    def undo(self) -> None:
        """Restore the network to before `_prepare`; the engine has restored its weights."""
        state = self.state
        if self.before is _NOT_DRAWN_YET:
            state.forget_shuffler()  # a new one will draw the same orders
        elif self.before is not None:
            self.generator.state = self.before
        if self.scaling is not None:
            state.forget_standardization()
        state.classes, state.feature_names = self.classes, self.feature_names


class Unattended:
    """Trains the members that the engine can train without Python.

    Members that take rows and targets in the same form share one source of rows.
    """

    def __init__(self, members: Members, fits: Fits, raises: bool, progress: Progress) -> None:
        self.members, self.fits, self.raises, self.progress = members, fits, raises, progress
        self._shared: dict[Any, _SharedData] = {}  # by specification and classes
        self._shared_by_member: dict[int, _SharedData] = {}  # filled by `can_train`
        self._sources: dict[Any, Rows | None] = {}
        callbacks = members.callbacks
        self._shared_callbacks: list[Any] | None = None if callable(callbacks) else list(callbacks)
        self._have_own_callbacks = isinstance(callbacks, CallbacksOfEach)
        self.error: tuple[int, BaseException] | None = None  # number and error of the first failure

    # ---- which members --------------------------------------------------------------------------

    def can_train(self, number: int) -> bool:
        """Whether the engine can train a member without Python."""
        members = self.members
        shuffle = members.shuffle[number]
        if members.epochs[number] > _MOST_EPOCHS:
            return False
        if not whole.can_draw_orders(shuffle) and type(shuffle) not in _DRAWS:
            return False
        try:
            shared = self._shared_data(members.nets[number]._state)
        except ValueError as error:  # the network does not take these rows
            raise with_number(error, number) from error
        self._shared_by_member[number] = shared
        if not shared.is_possible:
            return False
        return not self._have_own_callbacks or self._has_engine_rules(number)

    def _has_engine_rules(self, number: int) -> bool:
        """Whether the engine can carry out all callbacks of a member that has its own."""
        return all(
            isinstance(callback, EngineCallback) and callback.rule() is not None
            for callback in self._callbacks_of(number)
        )

    def _callbacks_of(self, number: int) -> list[Any]:
        """Return the callbacks of a member: its own, or those that all members share."""
        if self._shared_callbacks is None:
            return self.members.callbacks_of(number)
        return self._shared_callbacks

    def _shared_data(self, state: State) -> _SharedData:
        """Return the shared data of members that are built like this one."""
        spec = state.specification
        parts = spec.layers, spec.loss, spec.optimizer
        key = *map(id, parts), spec.n_in, spec.policy, spec.reduction, state.classes, state.is_ready
        if key not in self._shared:
            self._shared[key] = self._make_shared_data(state)
        return self._shared[key]

    def _make_shared_data(self, state: State) -> _SharedData:
        members, spec = self.members, state.specification
        if self._shared_callbacks is None and not self._have_own_callbacks:
            return _SharedData(False)
        callbacks = self._shared_callbacks or []
        metrics = self._metrics(spec)
        if (
            metrics is None
            or isinstance(members.class_weight, str)  # "balanced" depends on the rows of a member
            or not whole.is_possible(spec, callbacks, metrics)
            or not all(self._is_valid_here(callback, spec) for callback in callbacks)
        ):
            return _SharedData(False)
        classes = members.classes_of(state) if state.classes is None else state.classes
        _checks.trainable(spec.with_parameters)
        source, validation = self._source(state, classes, ""), None
        if members.is_validated:
            where = "validation " if isinstance(members.validation, tuple) else ""
            validation = self._source(state, classes, where)
        possible = source is not None and (
            not members.is_validated or (validation is not None and validation.is_like(source))
        )
        possible = possible and self._can_compute(metrics, source, validation)
        shared = _SharedData(possible, classes, source, validation, metrics)
        if possible and not self._have_own_callbacks:
            shared.fits = self._fits(spec, shared, callbacks)
        return shared

    def _fits(
        self, spec: Specification, shared: _SharedData, callbacks: list[Any]
    ) -> whole.WholeFits:
        """Return what makes the fits of the members with these callbacks."""
        assert shared.source is not None
        return whole.WholeFits(spec, shared.source, shared.validation, callbacks, shared.metrics)

    def _metrics(self, spec: Specification) -> dict[str, Resolved] | None:
        """Return the metrics of networks of this specification; None if a metric is invalid."""
        try:
            return resolve(self.members.metrics, spec.loss, spec.n_out)
        except (TypeError, ValueError):
            return None  # the member's own fit raises the error

    def _can_compute(self, metrics: dict[str, Resolved], *all_rows: Rows | None) -> bool:
        """Whether the engine can compute the metrics on these rows, and all checks pass."""
        try:
            for rows in all_rows:
                if rows is not None:
                    sources.check_metrics(metrics.values(), rows)
        except ValueError:
            return False
        return whole.can_compute_metrics(metrics, *all_rows)

    def _is_valid_here(self, callback: Any, spec: Specification) -> bool:
        """Whether a callback is valid for this fit; otherwise the member's own fit says why not."""
        if isinstance(callback, SwapEMAWeights):
            return spec.optimizer.use_ema
        if spec.optimizer.schedule and isinstance(callback, ReduceLROnPlateau):
            return False
        return self.members.is_validated or not callback.monitor.startswith("val_")

    # ---- rows -----------------------------------------------------------------------------------

    def _source(self, state: State, classes: Classes | None, where: str) -> Rows | None:
        """Return the rows of X, or the rows for validation, as a source for networks like this one.

        None if the rows have to be converted block by block.
        """
        members, spec = self.members, state.specification
        checked_for = tuple(spec.categories.items()), state.is_ready
        key = where, repr(spec.loss), spec.n_in, spec.n_out, spec.dtype, classes, *checked_for
        if key not in self._sources:
            arrays = members.X, members.targets, members.sample_weight
            if where:
                arrays = members.validation
            found = sources.source(state, *arrays, where=where, classes=classes)
            by_class = plan.weights_of_classes(state, members.class_weight, classes, None)
            found = sources.with_class_weights(found, by_class, spec.dtype)
            self._sources[key] = found if type(found) is Rows else None
        return self._sources[key]

    # ---- training -------------------------------------------------------------------------------

    def train(self, numbers: Sequence[int], n_threads: int) -> None:
        """Train these members in this order; the first error of a member ends the training."""
        for first in range(0, len(numbers), _TOGETHER):
            some: list[_Prepared] = []
            try:
                with without_collections():
                    self._prepare_all(numbers[first : first + _TOGETHER], some)
                for kernels in KERNELS.values():
                    alike = [each for each in some if isinstance(each.fit, kernels.WholeFit)]
                    if alike and self.error is None:
                        self._train(kernels, alike, n_threads)
            finally:
                with without_collections():  # end without delay after Ctrl-C
                    despite_ctrl_c(self._settle, some)
            if self.error is not None:
                return

    def _prepare_all(self, numbers: Sequence[int], some: list[_Prepared]) -> None:
        """Append prepared members to a list, up to the first error."""
        for number in numbers:
            try:
                prepared = self._prepare(number)
            except Exception as error:
                self.error = number, error
                break
            some.append(prepared)  # before `begin`: Ctrl-C in between must undo it
            prepared.begin(self.members.feature_names)

    def _prepare(self, number: int) -> _Prepared:
        """Return a member prepared for the engine; its network is not yet changed."""
        state, shared = self.members.nets[number]._state, self._shared_by_member[number]
        _checks.idle(state.fit)
        source = shared.source
        assert source is not None
        rows, validation_rows = self.members.numbers(number)
        if shared.has_zero_weights:
            self._check_weights(shared, rows, validation_rows)
        scaling = None
        if not state.is_ready:
            seen = source if rows is None else Rows(source.X[rows])
            scaling = mean_and_scale(seen, "X", state.specification.dtype)
        generator, before = self._generator(number)
        n = self.members.n_rows if rows is None else len(rows)
        batch = min(self.members.batch_size[number] or n, n)
        fit = self._whole_fit(number, generator, batch, rows, validation_rows)
        found = state.classes, state.feature_names
        counts = state.network.epoch, -(-n // batch)
        return _Prepared(number, state, shared, fit, *counts, generator, before, scaling, *found)

    def _check_weights(
        self, shared: _SharedData, rows: Indices | None, validation_rows: Indices | None
    ) -> None:
        """Check that rows with weights other than 0 are among a member's rows.

        The weights of rows include those of their classes.
        """
        source, validation = shared.source, shared.validation
        assert source is not None
        assert source.weights is not None
        training = source.weights if rows is None else source.weights[rows]
        others = None
        if validation is not None and validation.weights is not None:
            others = validation.weights
            others = others if validation_rows is None else others[validation_rows]
        cause = "sample_weight is"
        if self.members.class_weight is not None:
            cause = "class_weight and sample_weight make the weights"
        _checks.weights_of_member("", training, others, cause)

    def _generator(self, number: int) -> tuple[Any, Any]:
        """Return the generator of a member's orders of rows, and its state before training.

        The state is None if there is nothing to restore.
        """
        state, shuffle = self.members.nets[number]._state, self.members.shuffle[number]
        is_new = shuffle is True and not state.has_shuffler
        generator = whole.generator_of(state, shuffle)  # made here if it is new
        if generator is None or type(shuffle) is RowOrder:
            return generator, None
        return generator, _NOT_DRAWN_YET if is_new else generator.state

    def _whole_fit(
        self,
        number: int,
        generator: Any,
        batch: int,
        rows: Indices | None,
        validation_rows: Indices | None,
    ) -> WholeFit:
        """Return the fit of a member for the engine, after telling its own callbacks to begin."""
        members, shared = self.members, self._shared_by_member[number]
        state = members.nets[number]._state
        fits = shared.fits
        if fits is None:
            callbacks = self._callbacks_of(number)
            for callback in callbacks:
                callback.begin(members.nets[number], members.n_rows if rows is None else len(rows))
            fits = self._fits(state.specification, shared, callbacks)
        return fits.make(
            state,
            generator,
            members.shuffle[number],
            batch=batch,
            epochs=members.epochs[number],
            numbers=rows,
            validation_numbers=validation_rows,
        )

    def _train(self, kernels: Any, some: list[_Prepared], n_threads: int) -> None:
        def report(indices: list[int]) -> None:
            for i in indices:
                self._finish(some[i])
            self.progress.show()

        kernels.train_members([each.fit for each in some], report, n_threads, self.raises)
        if self.raises:
            for each in some:
                if each.fit.has_diverged and not self._have_own_callbacks:
                    self.error = each.number, FloatingPointError(self._message(each))
                    return

    def _settle(self, some: list[_Prepared]) -> None:
        """Record the results of members that have ended, and undo the others; can be repeated."""
        for each in some:
            if each.fit.is_over:
                self._finish(each)
            else:
                each.undo()
            if self._shared_callbacks or self._have_own_callbacks:
                whole.keep_rate(each.state)

    def _finish(self, member: _Prepared) -> None:
        """Record the results of a member that has ended; do nothing if that was done before."""
        fit, number, fits = member.fit, member.number, self.fits
        if fit.ran_out_of_memory:
            raise MemoryError(f"nets[{number}] needs more memory than there is")
        if not fit.is_over or fits.statuses[number].kind != NOT_STARTED:
            return
        fits.histories.keep(number, fit.logs())
        if fit.has_diverged:
            kept = whole.kept_epochs(fit, member.steps, fit.dropped)
            member.state.network.epoch = member.epoch + kept
        if fit.ended == "stopped":
            member.state.stop_training = True
        if self._have_own_callbacks:
            self._pass_epochs(member)
        if fit.has_diverged and not self._have_own_callbacks:
            fits.statuses[number] = Status(DIVERGED, fit.epoch, self._message(member))
        else:
            fits.best_epochs[number] = self._restored_epoch(fit)
            ended = fit.epoch < self.members.epochs[number]
            # Last, since a checkpoint may read statuses at any time and save what has ended.
            fits.statuses[number] = Status(STOPPED if ended else FINISHED, fit.epoch)
        self.progress.count(fits.statuses[number])

    def _pass_epochs(self, member: _Prepared) -> None:
        """Pass the epochs of a member to its own callbacks."""
        fit, callbacks = member.fit, self._callbacks_of(member.number)
        for callback, found in zip(callbacks, fit.state_of_rules(), strict=True):
            whole.pass_epochs(callback, fit, found)
            if fit.has_diverged:
                callback.on_nonfinite_loss(FloatingPointError(self._message(member)))
            callback.end(fit.seconds)

    def _restored_epoch(self, fit: WholeFit) -> int | None:
        """Return the epoch whose weights the network has, if a rule restored one."""
        for i, callback in enumerate(whole.rules_of(self._shared_callbacks or ())):
            if isinstance(callback, EarlyStopping) and callback.restore_best_weights:
                best: int | None = fit.state_of_rules()[i]["best_epoch"]
                return best
        return None

    def _message(self, member: _Prepared) -> str:
        error = divergence_of_fit(
            member.state,
            whole.divergence_in(member.fit),
            is_weighted=member.shared.is_weighted,
            dropped=member.fit.dropped,
        )
        return str(error)


#: Types of generators for which the engine draws the orders that their `permutation` would draw.
_DRAWS = (np.random.Generator, np.random.RandomState)

#: Stands for the state of a generator that has not drawn any order yet.
_NOT_DRAWN_YET: Any = object()
