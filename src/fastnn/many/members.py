"""Members: the checked arguments of `fit_many`; each of its networks is a member."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.callbacks import Callback, LearningRateScheduler, ReduceLROnPlateau
from fastnn.many.outcomes import with_number
from fastnn.metrics import resolve
from fastnn.splits import StratifiedSplit
from fastnn.training import sources, weights
from fastnn.training.mapped import files_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fastnn._checks.classes import Classes
    from fastnn._checks.many import Indices
    from fastnn.mlp import MLP
    from fastnn.training.state import State


class CallbacksOfEach:
    """A function of a member's number that returns its callbacks from given lists."""

    def __init__(self, lists: list[list[Callback]]) -> None:
        self.lists = lists

    def __call__(self, number: int) -> list[Callback]:
        """Return the callbacks of a member."""
        return self.lists[number]


@dataclass(eq=False, repr=False)
class Members:
    """The arguments of `fit_many`; arguments that may differ are lists with an item per network.

    X, y and sample_weight are arrays that can be indexed by row numbers.
    """

    nets: list[MLP]
    X: Any
    y: Any
    targets: Any  # y as the user gave it: a categorical has an order that an array lacks
    sample_weight: Any
    rows: list[Indices | None]
    groups: NDArray[Any] | None
    validation: Any  # None, a fraction, a StratifiedSplit, "rest" or (X, y, sample_weight)
    validation_rows: list[Indices | None] | None  # numbers of rows of X, if given
    epochs: list[int]
    batch_size: list[int | None]
    shuffle: list[Any]
    class_weight: Any
    metrics: Any
    callbacks: list[Callback] | Callable[[int], list[Callback]]
    feature_names: tuple[str, ...] | None = None  # columns of X, if it was a data frame of inputs
    _classes: dict[Any, Classes | None] = field(default_factory=dict)
    _made: dict[int, list[Callback]] = field(default_factory=dict)  # by the user's function
    _strata: dict[Any, NDArray[np.int64]] = field(default_factory=dict)
    _of_all_rows: dict[Any, tuple[Indices, Indices]] = field(default_factory=dict)  # stratified

    @cached_property
    def _all_rows(self) -> Indices:
        """The numbers of all rows of X; one array for all members."""
        return np.arange(self.n_rows)

    @property
    def n_rows(self) -> int:
        """Number of rows of X."""
        return int(self.X.shape[0])

    @property
    def inputs(self) -> list[str]:
        """Paths of the mapped files that rows are read from."""
        validation = self.validation if isinstance(self.validation, tuple) else ()
        return files_of(self.X, self.y, self.sample_weight, *validation)

    def options(self, number: int) -> dict[str, Any]:
        """Return the arguments of `MLP.fit` for a member."""
        rows = self.rows[number]
        options: dict[str, Any] = {
            "X": self.X,
            "y": self.y,
            "sample_weight": self.sample_weight,
            "epochs": self.epochs[number],
            "batch_size": self.batch_size[number],
            "shuffle": self.shuffle[number],
            "class_weight": self.class_weight,
            "metrics": self.metrics,
            "callbacks": self.callbacks_of(number),
        }
        if rows is not None:
            for name in ("X", "y", "sample_weight"):
                if options[name] is not None:
                    options[name] = options[name][rows]
        if isinstance(self.validation, float | StratifiedSplit):
            options["validation_split"] = self.validation
        elif self.validation is not None or self.validation_rows is not None:
            options["validation_data"] = self.validation_data(number)
        return options

    def numbers(self, number: int) -> tuple[Indices | None, Indices | None]:
        """Return the numbers of a member's training and validation rows; None means all rows."""
        rows, split = self.rows[number], self.validation
        if isinstance(split, float):
            n = self.n_rows if rows is None else len(rows)
            kept = _checks.rows_to_train(n, split, "validation")
            rows = self._all_rows if rows is None else rows
            return rows[:kept], rows[kept:]
        if isinstance(split, StratifiedSplit):
            return self._stratified(number, split)
        return rows, self.validation_numbers(number)

    def _stratified(self, number: int, split: StratifiedSplit) -> tuple[Indices, Indices]:
        """Return the numbers of a member's training and validation rows by a stratified split."""
        state, rows = self.nets[number]._state, self.rows[number]
        classes = state.classes if state.classes is not None else self.classes_of(state)
        spec = state.specification
        key = type(spec.loss), spec.n_out, classes
        if rows is None and key in self._of_all_rows:
            return self._of_all_rows[key]
        _checks.strata_of_loss("validation", split, spec.loss, spec.n_out)
        if key not in self._strata:
            T, labels, _ = sources.targets(
                state, self.n_rows, self.targets, self.sample_weight, classes=classes
            )
            self._strata[key] = weights.classes_of(T, labels)
        if rows is not None:
            training, validation = split.rows(self._strata[key][rows])
            return rows[training], rows[validation]
        self._of_all_rows[key] = split.rows(self._strata[key])
        return self._of_all_rows[key]

    @property
    def has_own_validation_rows(self) -> bool:
        """Whether each member is validated on rows of X of its own."""
        return self.is_validated and not isinstance(self.validation, tuple)

    @property
    def is_validated(self) -> bool:
        """Whether there are rows for validation."""
        return self.validation is not None or self.validation_rows is not None

    def validation_numbers(self, number: int) -> Indices | None:
        """Return the numbers of the rows of X that the member is validated on.

        None if these are all rows of X, or no rows of X.
        """
        if self.validation_rows is not None:
            return self.validation_rows[number]
        if self.validation == "rest":
            return _checks.rest_of_rows(number, self.rows[number], self.n_rows)
        return None

    def validation_data(self, number: int) -> tuple[Any, ...]:
        """Return (X, y, sample_weight or None) that the member is validated on."""
        if isinstance(self.validation, tuple):
            return self.validation
        rows = self.validation_numbers(number)
        some = slice(None) if rows is None else rows
        weights = self.sample_weight
        return self.X[some], self.y[some], None if weights is None else weights[some]

    def classes_of(self, state: State) -> Classes | None:
        """Return the labels of the classes in all of y, even if a member's rows lack some."""
        spec = state.specification
        key = type(spec.loss), spec.n_out
        if key not in self._classes:
            self._classes[key] = _checks.classes_of("y", self.targets, spec.loss, spec.n_out)
        return self._classes[key]

    def make_callbacks(self, numbers: Sequence[int]) -> None:
        """Call the user's function of callbacks, if there is one, for each of these members.

        The lists are checked, so that no member is trained if those of a later one are wrong.
        """
        if not callable(self.callbacks) or isinstance(self.callbacks, CallbacksOfEach):
            return
        owners: dict[Any, int] = {}
        kinds = _checks.kinds_of_one_network(Callback)
        for number in numbers:
            try:
                made = _checks.callback_list(self.callbacks(number), Callback)
                _checks.files_written(made, self.inputs)
                _checks.not_shared(number, made, kinds, owners)
                self._check_rates_and_monitors(number, made)
            except Exception as error:
                raise with_number(error, number) from error
            self._made[number] = made

    def _check_rates_and_monitors(self, number: int, callbacks: list[Callback]) -> None:
        """Check that callbacks can set a member's rate, and that its logs have what they monitor.

        The hook of a user's class may add names to the logs, which only the fit itself finds out.
        """
        hooks = [callback.on_train_begin for callback in callbacks]
        if not all(getattr(h, "__module__", "").startswith("fastnn.callbacks.") for h in hooks):
            return
        spec = self.nets[number]._state.specification
        names = ["loss", *resolve(self.metrics, spec.loss, spec.n_out)]
        if self.is_validated:
            names += [f"val_{name}" for name in names]
        setters = [c for c in callbacks if isinstance(c, LearningRateScheduler | ReduceLROnPlateau)]
        for setter in setters:
            _checks.constant_rate(type(setter).__name__, spec.optimizer.learning_rate)
        if setters or spec.optimizer.schedule:
            names.append("learning_rate")
        for callback in callbacks:
            callback._check_names(names)

    def callbacks_of(self, number: int) -> list[Callback]:
        """Return the callbacks of a member: copies, or the list from the user's function."""
        if number in self._made:
            return self._made.pop(number)
        if isinstance(self.callbacks, CallbacksOfEach):  # the estimators have checked them
            return self.callbacks(number)
        if callable(self.callbacks):
            return _checks.callback_list(self.callbacks(number), Callback)
        return list(map(copy.deepcopy, self.callbacks))

    def cost(self, number: int) -> float:
        """Return an estimate of a member's work; members with the most work are started first."""
        rows = self.rows[number]
        n = self.n_rows if rows is None else len(rows)
        network = self.nets[number]._network
        return float(n) * self.epochs[number] * (network.n_parameters + 50)


def make(
    nets: list[MLP],
    X: Any,
    y: Any,
    *,
    rows: Any,
    groups: Any,
    validation: Any,
    epochs: Any,
    batch_size: Any,
    shuffle: Any,
    sample_weight: Any,
    class_weight: Any,
    metrics: Any,
    callbacks: Any,
) -> Members:
    """Return the members that the arguments of `fit_many` describe."""
    targets = y
    names = _same_columns(nets, X, validation)
    X, y, sample_weight = _checks.shared_rows(_encoded(nets, X), y, sample_weight)
    n, n_rows = len(nets), int(X.shape[0])  # sparse rows have no len
    labels, found = _rows_of_members(groups, rows, n, n_rows)
    validation, validation_rows = _checks.validation(validation, StratifiedSplit), None
    if isinstance(validation, list | np.ndarray):
        validation_rows = _checks.rows_of_members("validation", validation, n, n_rows)
        validation = None
    if isinstance(validation, float):
        _checks.split_of_members(validation, found, n_rows, labels)
    elif isinstance(validation, str):
        _checks.rests_of_members(found, n_rows)
    members = Members(
        nets=nets,
        X=X,
        y=y,
        targets=targets,
        sample_weight=sample_weight,
        rows=found,
        groups=labels,
        validation=validation,
        validation_rows=validation_rows,
        epochs=_checks.one_for_each("epochs", epochs, n, _checks.epochs_of_member),
        batch_size=_checks.one_for_each("batch_size", batch_size, n, _checks.batch_of_member),
        shuffle=_checks.shuffle_of_members(shuffle, n),
        class_weight=class_weight,
        metrics=metrics,
        callbacks=_callbacks(callbacks),
        feature_names=names,
    )
    _check_weights(members)
    return members


def _rows_of_members(
    groups: Any, rows: Any, n: int, n_rows: int
) -> tuple[NDArray[Any] | None, list[Indices | None]]:
    """Return the labels of the groups, None without groups, and the rows of each of n members."""
    _checks.groups_or_rows(groups, rows)
    if groups is None:
        return None, _checks.rows_of_members("rows", rows, n, n_rows)
    labels, numbers = _checks.groups(groups, n_rows)
    _checks.a_network_for_each_group(n, labels)
    return labels, list(rows_of_groups(numbers))


def rows_of_groups(numbers: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the numbers of the rows of each group, from the number of each row's group (n,)."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])


def _callbacks(callbacks: Any) -> Any:
    """Return the callbacks that all members copy, or the function that makes those of each."""
    callbacks = _checks.callbacks_of_members(callbacks)
    if not callable(callbacks):
        callbacks = _checks.callback_list(callbacks, Callback)
        _checks.no_shared_files([path for each in callbacks for path in each.files_written])
    return callbacks


def _encoded(nets: list[MLP], X: Any) -> Any:
    """Return X; a data frame that the networks encode by their recipe is encoded, for all at once.

    Inputs in the widest dtype are rounded by each network to those it would encode itself.
    """
    states = [net._state for net in nets] if type(X) is not np.ndarray else []
    having = [state for state in states if sources.is_encoded_by(state, X)]
    if not having:
        return X
    recipe = having[0].metadata["table"]
    _checks.one_recipe(all(state.metadata.get("table") == recipe for state in states))
    widest = max(having, key=lambda state: state.specification.dtype.itemsize)
    return sources.encoded(widest, X)


def _same_columns(nets: list[MLP], X: Any, validation: Any) -> tuple[str, ...] | None:
    """Check the columns of data frames; return the names of those of X, if it is one of inputs."""
    V = validation[0] if isinstance(validation, tuple) and validation else None
    if type(X) is np.ndarray and (V is None or type(V) is np.ndarray):
        return None
    first = nets[0]._state
    names, others = (sources.column_names(first, rows) for rows in (X, V))
    known: dict[Any, int] = {}  # the first network that was fitted with these columns
    for i, net in enumerate(nets):
        known.setdefault(net._state.feature_names, i)
    for fitted, i in known.items():
        for name, rows, found in (("X", X, names), ("validation X", V, others)):
            if found is not None:
                _checks.same_columns(name, rows, fitted, net=f"nets[{i}]")
    if names is not None and others is not None:
        _checks.same_columns("validation X", V, names, "X")
    return names


def _check_weights(members: Members) -> None:
    """Check that each member has rows with weights other than 0, for training and validation."""
    counted = _checks.are_counted(members.sample_weight)
    if counted is None:
        return
    for i in range(len(members.nets)):
        rows, validation_rows = members.numbers(i)
        validation = None
        if members.has_own_validation_rows:
            validation = counted if validation_rows is None else counted[validation_rows]
        place = f"{_checks.name_of_member(i, members.groups)}: "
        training = counted if rows is None else counted[rows]
        _checks.weights_of_member(place, training, validation, "sample_weight is")
