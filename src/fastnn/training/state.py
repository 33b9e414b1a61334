"""State: a network with everything that its next step depends on.

`MLP` is a façade over a State. Training changes it; copies, pickles and files hold it. Not here:
rows (sources.py), the state of a fit, such as its history (loop.py), the format of files
(exchange/model_files.py).
"""

from __future__ import annotations

import copy
import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn import _checks, _cpu, initializers
from fastnn._precision import KERNELS
from fastnn.layers import with_widths
from fastnn.schedules import Adaptive, Schedule
from fastnn.training import binding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastnn._checks.classes import Classes
    from fastnn._kernels_f32 import Network, Shuffler
    from fastnn.callbacks import History
    from fastnn.optimizers import Optimizer
    from fastnn.training.binding import Adapted
    from fastnn.training.specification import Specification

    Scaling = tuple[NDArray[np.float64], NDArray[np.float64]]  # mean and scale of each column


#: Spawn keys of the children of a network's SeedSequence: for initial weights, orders of rows and
#: dropout masks.
_WEIGHTS, _ORDERS, _MASKS = range(3)


class Resumable(Protocol):
    """The interface of a fit in progress that a checkpoint uses."""

    history: History

    @property
    def inputs(self) -> Sequence[str]:
        """Paths of the files that rows are read from."""

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The names of the columns of the rows, or None."""

    def get_state(self) -> dict[str, Any]:
        """Return the state of the fit, for a checkpoint."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""


@dataclass(eq=False, repr=False)
class Snapshot:
    """A copy, as plain data, of everything in a `State` that training changes.

    `blocks` holds the weights, each moment of the optimizer and the moving average if there is one;
    each block is a list of arrays in the order of `MLP.get_weights`.
    """

    optimizer: Optimizer
    step: int
    epoch: int
    dropout_seed: int
    shuffler: dict[str, Any]
    adapted: Adapted | None
    standardization: Scaling | None
    feature_names: tuple[str, ...] | None
    classes: Classes | None
    blocks: list[list[NDArray[Any]]]


class State:
    """A network: specification, compiled network, random state, and facts about its training rows.

    Attributes
    ----------
    specification : Specification
    network : Network
        The compiled network, which holds weights, moments and counts.
    default_threads : int
        Number of CPUs that this process may use.
    shuffler : Shuffler
        Draws the orders of rows.
    adapted : dict or None
        State of an Adaptive schedule.
    standardization : (mean, scale) or None
    feature_names : tuple of str or None
    classes : tuple of str or numbers, or None
        The labels of the classes 0, 1, ...
    metadata : dict
    fit : Resumable or None
        The fit in progress.
    """

    def __init__(
        self,
        specification: Specification,
        *,
        initialize: bool = False,
        default_threads: int | None = None,
    ) -> None:
        """Set up a network; with `initialize` its weights are drawn, otherwise they are 0.

        `default_threads` is the number of threads if the specification has none. By default it is
        the number of CPUs, which takes some microseconds to find out.
        """
        entropy: Any = specification.seed
        if entropy is None:
            entropy = int.from_bytes(os.urandom(16))  # 128 bits, as SeedSequence draws
        self.specification = specification
        self._entropy = entropy
        self.standardization: Scaling | None = None
        self.feature_names: tuple[str, ...] | None = None
        self.metadata: dict[str, Any] = {}
        self.fit: Resumable | None = None
        self.inputs_of_call: Sequence[str] = ()  # files that a call around the fits reads
        self.default_threads = default_threads or _cpu.available_threads()
        self._has_dropout_seed = specification.has_dropout
        seed = self._draw_dropout_seed() if specification.has_dropout else 0
        self.network: Network = binding.bind(specification, seed, self.n_threads)
        schedule = specification.optimizer.schedule
        self.adapted = schedule.start() if isinstance(schedule, Adaptive) else None
        binding.set_rate(self.network, specification.optimizer, self.adapted)
        self.classes = None
        if initialize:
            self._draw_weights()

    def _draw_weights(self) -> None:
        """Draw the parameters that have an initializer; all others stay 0."""
        network, dtype = self.network, self.specification.dtype
        uniform = self.specification.uniform_draws
        if uniform is not None:
            network.draw_uniform(self._entropy, uniform)
            return
        seeds = np.random.SeedSequence(self._entropy, spawn_key=(_WEIGHTS,))
        rng = np.random.default_rng(seeds)
        for number, (name, first, initializer, shape) in self.specification.draws:
            write = network.write_biases if name == "b" else network.write_rows
            for row, weights in initializers.draw(initializer, rng, shape):
                write(number, first + row, np.ascontiguousarray(weights, dtype))

    def _draw_dropout_seed(self) -> int:
        seed: int = self._kernels.seed_of_child(self._entropy, _MASKS)
        return seed

    @property
    def _kernels(self) -> Any:
        return KERNELS[self.specification.dtype]

    @property
    def dropout_seed(self) -> int:
        """The seed of the dropout masks; a network without dropout draws it at the first access."""
        if not self._has_dropout_seed:
            self.network.dropout_seed = self._draw_dropout_seed()
            self._has_dropout_seed = True
        return self.network.dropout_seed

    @property
    def shuffler(self) -> Shuffler:
        """The generator of orders of rows, made at the first access."""
        found: Shuffler | None = self.__dict__.get("_shuffler")
        if found is None:  # setdefault is atomic: another thread may make one at the same time
            made = self._kernels.Shuffler(self._entropy, _ORDERS)
            found = self.__dict__.setdefault("_shuffler", made)
        return found

    @property
    def has_shuffler(self) -> bool:
        """Whether the generator of orders of rows has been made."""
        return "_shuffler" in self.__dict__

    def forget_shuffler(self) -> None:
        """Restart the orders of rows from the first one."""
        self.__dict__.pop("_shuffler", None)

    # ---- for calls and fits ---------------------------------------------------------------------

    @property
    def n_threads(self) -> int:
        """Number of threads to train and predict with."""
        given = self.specification.n_threads
        return self.default_threads if given is None else given

    @property
    def is_ready(self) -> bool:
        """Whether inputs can be used: False if a Standardize layer has not seen data."""
        return self.standardization is not None or not self.specification.standardizes

    @property
    def inputs(self) -> Sequence[str]:
        """Paths of the files that a fit in progress reads rows from, which must not be written."""
        fit = self.fit  # read once: another thread's fit may end
        return (*self.inputs_of_call, *(() if fit is None else fit.inputs))

    def require_standardization(self) -> None:
        """Raise a ValueError if a Standardize layer has not seen data."""
        _checks.adapted(self.is_ready)

    def standardize(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        """Set the mean and the scale (n_in,) of Standardize, except for columns of categories."""
        mean, scale = self._scaling(mean, scale)
        self.network.standardize(mean, 1 / scale)
        self.standardization = mean, scale

    def _scaling(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Scaling:
        """Return read-only copies that leave columns of categories unchanged."""
        mean, scale = mean.copy(), scale.copy()
        for column in self.specification.categories:
            mean[column], scale[column] = 0.0, 1.0
        mean.flags.writeable = scale.flags.writeable = False
        return mean, scale

    def forget_standardization(self) -> None:
        """Remove mean and scale, so that the Standardize layer waits for data again."""
        if self.standardization is not None:
            self.network.await_data()
            self.standardization = None

    @property
    def stop_training(self) -> bool:
        """Whether the fit in progress ends after the epoch; the engine reads this flag, too."""
        return bool(self.network.stop_training)

    @stop_training.setter
    def stop_training(self, value: object) -> None:
        """Set the flag."""
        self.network.stop_training = bool(value)

    def draw_order(self, n: int) -> NDArray[np.int64]:
        """Return a random permutation of 0, ..., n - 1, the order of the rows in an epoch."""
        order: NDArray[np.int64]
        order = self.shuffler.permutation(n)
        return order

    # ---- classes --------------------------------------------------------------------------------

    @property
    def classes(self) -> Classes | None:
        """The labels of the classes 0, 1, ..., or None."""
        return self._classes

    @classes.setter
    def classes(self, value: Classes | None) -> None:
        """Set checked labels; targets are then converted by lookup, so the short paths are off."""
        self._classes = value
        n_out, loss = self.network.n_out, self.specification.loss
        self.network.converts_targets = value is not None or loss.n_targets(n_out) != n_out

    # ---- learning rate --------------------------------------------------------------------------

    def set_learning_rate(self, rate: float | Schedule, adapted: Adapted | None = None) -> None:
        """Set the learning rate to a number or a schedule; an Adaptive one begins at `adapted`."""
        rule: Any = self.specification.optimizer
        optimizer = dataclasses.replace(rule, learning_rate=rate)
        if adapted is None and isinstance(rate, Adaptive):
            adapted = rate.start()
        binding.set_rate(self.network, optimizer, adapted)  # raises during another thread's step
        self._set_optimizer(optimizer, adapted)

    def adapt_rate(self, loss: float) -> None:
        """Pass the loss of an epoch to an Adaptive schedule, if the optimizer has one."""
        optimizer = self.specification.optimizer
        if self.adapted is not None and isinstance(optimizer.schedule, Adaptive):
            loss = -loss if optimizer.maximize else loss
            self.adapted = optimizer.schedule.after_epoch(self.adapted, loss)
            binding.set_rate(self.network, optimizer, self.adapted)

    def _set_optimizer(self, optimizer: Optimizer, adapted: Adapted | None) -> None:
        self.specification = dataclasses.replace(self.specification, optimizer=optimizer)
        self.adapted = adapted

    # ---- weights --------------------------------------------------------------------------------

    def averages(self) -> list[NDArray[Any]]:
        """Return the moving averages of the weights, in the order of `MLP.get_weights`.

        For frozen layers, and for all layers before the first update, these are the weights.
        """
        network, spec = self.network, self.specification
        step, _, (weights, averages) = network.read_blocks([0, network.n_blocks - 1])
        if step == 0:
            return weights
        return _where_trained(spec, averages, weights)

    def restart_averages(self) -> None:
        """Set the moving averages, which the optimizer must keep, to the weights."""
        network = self.network
        network.write(network.read(), network.n_blocks - 1)

    # ---- copies ---------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return a snapshot; RuntimeError if another thread is training the network."""
        network = self.network
        step, epoch, blocks = network.read_blocks(list(range(network.n_blocks)))
        found = Snapshot(
            optimizer=self.specification.optimizer,
            step=step,
            epoch=epoch,
            dropout_seed=self.dropout_seed,
            shuffler=self.shuffler.state,
            adapted=self.adapted,
            standardization=self.standardization,
            feature_names=self.feature_names,
            classes=self.classes,
            blocks=blocks,
        )
        self.require_untrained_since(found)
        return found

    def require_untrained_since(self, snapshot: Snapshot) -> None:
        """Raise a RuntimeError if the network has been trained since a snapshot."""
        step, epoch, _ = self.network.read_blocks([])  # raises the error during a step, too
        _checks.not_trained((step, epoch), (snapshot.step, snapshot.epoch))

    def take(self, snapshot: Snapshot) -> None:
        """Restore a snapshot of a network with the same layers and optimizer.

        RuntimeError, before anything changes, if another thread is training the network.
        """
        dtype, scaling = self.specification.dtype, snapshot.standardization
        scaling = scaling and self._scaling(*scaling)
        self.network.write_all(
            [[array.astype(dtype, copy=False) for array in block] for block in snapshot.blocks],
            step=snapshot.step,
            epoch=snapshot.epoch,
            dropout_seed=snapshot.dropout_seed,
            rate=snapshot.optimizer.initial_rate,
            schedule=binding.schedule_of(snapshot.optimizer, snapshot.adapted),
            scaling=scaling and (scaling[0], 1 / scaling[1]),
        )
        self._set_optimizer(snapshot.optimizer, snapshot.adapted)
        self.feature_names, self.classes = snapshot.feature_names, snapshot.classes
        self.shuffler.state = snapshot.shuffler
        self.standardization, self._has_dropout_seed = scaling, True

    def with_trainable(self, numbers: Iterable[int], trainable: bool) -> State:
        """Return a copy of the network in which the layers of these numbers are trained or frozen.

        The moving average of a layer that is trained again starts from its weights, and so do the
        sequences of an optimizer that averages them.
        """
        spec, snapshot = self.specification, self.snapshot()
        new, blocks = spec.with_trainable(numbers, trainable), snapshot.blocks
        if spec.optimizer.use_ema:
            blocks[-1] = self.averages()
        if spec.optimizer.is_average:  # training exchanges weights and average of frozen layers too
            for i in (1, -1):
                blocks[i] = _where_trained(new, blocks[i], blocks[0])
        return State._restored(new, snapshot, self.metadata)

    def copy(self, policy: str | None = None, n_threads: int | None = None) -> State:
        """Return an independent copy, on request with another precision policy or other threads."""
        spec, snapshot = self.specification.with_threads(n_threads), self.snapshot()
        if policy is not None:
            spec = dataclasses.replace(spec, policy=policy)
            if self.standardization is not None:
                scale = self.standardization[1]
                _checks.standardizable("X", scale, np.zeros(spec.n_in), spec.dtype)
            for number, block in enumerate(snapshot.blocks):
                _checks.representable(block, spec.shapes, spec.dtype, are_weights=number == 0)
        return State._restored(spec, snapshot, copy.deepcopy(self.metadata))

    @staticmethod
    def _restored(spec: Specification, snapshot: Snapshot, metadata: dict[str, Any]) -> State:
        """Return a new network in the state of a snapshot."""
        state = State(spec)
        state.take(snapshot)
        state.metadata = metadata
        return state

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle specification, snapshot and metadata, without a fit in progress."""
        return State._restored, (self.specification, self.snapshot(), self.metadata)


def _where_trained(
    spec: Specification, arrays: list[NDArray[Any]], weights: list[NDArray[Any]]
) -> list[NDArray[Any]]:
    """Return the arrays of parameters that are trained, and the weights of the frozen ones."""
    is_trained = [
        layer.trainable
        for layer, n_in in with_widths(spec.layers, spec.n_in)
        for _ in layer.parameters(n_in)
    ]
    found = zip(is_trained, arrays, weights, strict=True)
    return [array if trained else weight for trained, array, weight in found]
