"""Fits: many networks after their training, with predictions and values of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnn import _checks, inspection
from fastnn import metrics as metric_kinds
from fastnn.callbacks import History
from fastnn.exchange import model_files, safetensors
from fastnn.losses import CustomLoss
from fastnn.many import averages, files, plain
from fastnn.many.outcomes import KINDS, NOT_STARTED, Outcome, Status
from fastnn.mlp import MLP
from fastnn.training import sources
from fastnn.training.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

    from fastnn.mlp import Inputs, Metrics, Path

#: Outputs, of all networks for some rows, that a statistic is computed from at a time.
_TOGETHER = 1 << 22

REDUCTIONS = ("mean", "std", "quantiles")


class Histories(Sequence[History]):
    """A History for each network, made at its first access from arrays of its values."""

    def __init__(self, n: int) -> None:
        self._kept: list[Any] = [{}] * n

    def keep(self, number: int, logs: dict[str, NDArray[np.float64]]) -> None:
        """Keep the values of all epochs of a network, by name."""
        self._kept[number] = logs

    def logs(self, number: int) -> dict[str, NDArray[np.float64]]:
        """Return the values of all epochs of a network, by name."""
        kept = self._kept[number]
        if isinstance(kept, History):
            return {name: np.array(values) for name, values in kept.history.items()}
        logs: dict[str, NDArray[np.float64]] = kept
        return logs

    def some(self, numbers: Iterable[int]) -> Histories:
        """Return the histories of some networks."""
        kept = [self._kept[i] for i in numbers]
        found = Histories(len(kept))
        found._kept = kept
        return found

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, number: int) -> History: ...
    @overload
    def __getitem__(self, number: slice) -> list[History]: ...
    def __getitem__(self, number: int | slice) -> History | list[History]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not isinstance(self._kept[number], History):
            history, logs = History(), self._kept[number]
            history.take(logs)
            self._kept[number] = history
        found: History = self._kept[number]
        return found

    def __setitem__(self, number: int, history: History) -> None:
        self._kept[number] = history

    def __repr__(self) -> str:
        return f"<Histories of {_checks.counted(len(self), 'network')}>"


class Fits:
    """Many networks after their training, as `fit_many` returns them.

    Attributes
    ----------
    nets : list of MLP
    histories : sequence of History
    statuses : list of Status
    best_epochs : list of int or None
        The epoch whose weights EarlyStopping restored, None where it did not.
    parameters : list of dict, or None
        The values that `networks` gave each of them.
    groups : ndarray or None
        The label of each network's group of rows.
    interrupted : bool
        Whether Ctrl-C ended the call before all networks were trained.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLP, Dense, fit_many, networks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = X[:, 0] - X[:, 1] * X[:, 2]
    >>> base = MLP(3, [Dense(16, "relu"), Dense(1)], loss="squared_error", optimizer="adam", seed=0)
    >>> fits = fit_many(networks(base, n=5), X, y, epochs=20, validation=0.2)
    >>> fits.predict(X).shape, fits.predict(X, reduce="std").shape
    ((5, 200, 1), (200, 1))
    """

    def __init__(
        self,
        nets: list[MLP],
        parameters: list[dict[str, Any]] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> None:
        self.nets = nets
        self.histories = Histories(len(nets))
        self.statuses = [Status(NOT_STARTED, 0) for _ in nets]
        self.best_epochs: list[int | None] = [None] * len(nets)
        self.parameters, self.groups = parameters, groups
        self.interrupted = False
        self._modes: dict[str, str] = {}  # "min" or "max", by the name of a metric in the histories

    def __len__(self) -> int:
        return len(self.nets)

    @overload
    def __getitem__(self, number: int) -> MLP: ...
    @overload
    def __getitem__(self, number: slice) -> list[MLP]: ...
    def __getitem__(self, number: int | slice) -> MLP | list[MLP]:
        if isinstance(number, slice):
            return self.nets[number]
        return self.nets[_checks.place_of_network(number, len(self))]

    def __iter__(self) -> Iterator[MLP]:
        return iter(self.nets)

    @property
    def is_trained(self) -> NDArray[np.bool_]:
        """Whether each network was trained to its end: (n_nets,)."""
        return np.array([status.is_trained for status in self.statuses], bool)

    def some(self, numbers: Iterable[int]) -> Fits:
        """Return some of the networks, with their histories and statuses.

        Parameters
        ----------
        numbers : iterable of int, or array of bool of shape (n_nets,)
            Numbers of networks, or for each network whether to return it, such as `is_trained`.

        Returns
        -------
        Fits
            It shares the networks with this object.

        Raises
        ------
        IndexError
            If there is no network with one of the numbers.
        TypeError, ValueError
            If `numbers` are not numbers, or are booleans that are more or fewer than the networks.
        """
        chosen = _checks.chosen_members("numbers", numbers, len(self))
        parameters = None if self.parameters is None else [self.parameters[i] for i in chosen]
        groups = None if self.groups is None else self.groups[chosen]
        found = Fits([self.nets[i] for i in chosen], parameters, groups)
        found.histories = self.histories.some(chosen)
        found.statuses = [self.statuses[i] for i in chosen]
        found.best_epochs = [self.best_epochs[i] for i in chosen]
        found.interrupted, found._modes = self.interrupted, self._modes
        return found

    # ---- files ----------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write all networks, histories and statuses to a file that `load_many` reads.

        The file is a safetensors file without code. Networks of the same architecture share tensors
        (n_networks, n_parameters), so the header does not grow with their number. The data is
        written to a temporary file in the same folder, which then replaces `path`.

        Parameters
        ----------
        path : str or path
            As for `MLP.save`.

        Raises
        ------
        TypeError, ValueError
            If the path cannot be that of a file, or is that of a checkpoint of `fit_many`; or if
            `parameters`, `groups` or metadata have values that the file cannot hold; or if weights
            of a network, or the state of its optimizer, are not finite. An old file is left
            unchanged.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile, fastnn
        >>> from fastnn import MLP, Dense, fit_many, networks
        >>> base = MLP(1, [Dense(1)], loss="squared_error", optimizer="adam", seed=0)
        >>> fits = fit_many(networks(base, n=3), [[0.0], [1.0]], [1.0, 3.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fits.save(f"{folder}/many.safetensors")
        ...     twins = fastnn.load_many(f"{folder}/many.safetensors")
        >>> twins, twins.parameters[2]
        (<Fits of 3 networks: 3 finished>, {'seeds': 2})
        """
        path = _checks.model_path("path", path)
        _checks.not_read("path", path, [file for net in self.nets for file in net._state.inputs])
        _checks.no_checkpoint("path", path)
        others = {
            "parameters": plain.of_parameters(self.parameters),
            "groups": plain.of_groups(self.groups),
            "interrupted": _checks.flag("fits.interrupted", self.interrupted),
            "modes": self._modes,
        }
        outcomes = [self.outcome(i) for i in range(len(self))]
        for number, outcome in enumerate(outcomes):
            files.require_finite(number, outcome)
        tensors, metadata = files.encode(outcomes, others)
        _parsed(dict(tensors), metadata)  # raises the errors that load_many would raise
        safetensors.write(path, tensors, metadata)

    def outcome(self, number: int) -> Outcome:
        """Return the outcome of a network as it is now; for fastnn's own modules."""
        status, history = self.statuses[number], self.histories[number]
        best_epoch = self.best_epochs[number]
        return Outcome.of(self.nets[number]._state, status, history, best_epoch)

    def note_metrics(self, metrics: Any) -> None:
        """Remember which values of these metrics are better; for fastnn's own modules."""
        kinds = {(type(net.loss), net.n_out): net for net in self.nets} if metrics else {}
        for net in kinds.values():
            found = metric_kinds.resolve(metrics, net.loss, net.n_out)
            self._modes |= {name: metric.best for name, metric in found.items()}

    def take(self, number: int, outcome: Outcome) -> None:
        """Set a network, its status and its history from an outcome; for fastnn's own modules."""
        state = self.nets[number]._state
        state.take(outcome.snapshot)
        state.metadata = outcome.metadata
        self.histories[number], self.best_epochs[number] = outcome.history, outcome.best_epoch
        self.statuses[number] = outcome.status

    # ---- predictions ----------------------------------------------------------------------------

    def predict(
        self,
        X: Inputs,
        reduce: Literal["mean", "std", "quantiles"] | None = None,
        *,
        quantiles: ArrayLike = (0.05, 0.5, 0.95),
    ) -> NDArray[Any]:
        """Return the outputs of all networks for rows X, or a statistic over the networks.

        Parameters
        ----------
        X : array-like of shape (n, n_in)
        reduce : {"mean", "std", "quantiles"}, optional
            The mean, the standard deviation or quantiles over the networks that were trained to
            their end, computed in float64. By default the outputs of each network are returned.
        quantiles : array-like of numbers from 0 to 1, default (0.05, 0.5, 0.95)
            Levels for ``reduce="quantiles"``, interpolated linearly as numpy.quantile does.

        Returns
        -------
        ndarray
            (n_nets, n, n_out), NaN for networks that are not trained; (n, n_out); or
            (n_quantiles, n, n_out).

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, no network is trained, or they have different numbers of
            outputs.
        """
        way = _checks.reduction_of_members(reduce, REDUCTIONS)
        levels = _checks.levels(quantiles)
        trained = [net for net, done in zip(self.nets, self.is_trained, strict=True) if done]
        _checks.some_trained(len(trained))
        _checks.same_outputs([net.n_out for net in trained])
        one_of = {net.dtype: net for net in trained}
        rows = {dtype: sources.matrix(net._state, "X", X) for dtype, net in one_of.items()}
        n, dtype = rows[trained[0].dtype].shape[0], np.result_type(*rows)
        if way is None:
            out = np.full((len(self), n, trained[0].n_out), np.nan, dtype)
            for i in np.flatnonzero(self.is_trained):
                out[i] = self.nets[i].predict(rows[self.nets[i].dtype])
            return out
        parts, size = [], max(1, _TOGETHER // (len(trained) * trained[0].n_out))
        for start in range(0, n, size):
            some = {kind: X[start : start + size] for kind, X in rows.items()}
            outputs = np.empty((len(trained), min(size, n - start), trained[0].n_out))
            for net, found in zip(trained, outputs, strict=True):
                found[:] = net.predict(some[net.dtype])
            parts.append(_reduced(outputs, way, levels))
        return np.concatenate(parts, axis=-2)

    def predict_classes(self, X: Inputs) -> NDArray[Any]:
        """Return the class of each row by the mean of the outputs of the trained networks.

        Parameters
        ----------
        X : array-like of shape (n, n_in)

        Returns
        -------
        ndarray of shape (n,) or (n, n_out)
            Labels or numbers of classes, as `MLP.predict_classes` returns them for one network.

        Raises
        ------
        TypeError, ValueError
            If X is invalid, no network is trained, or the networks are not for the same classes.
        """
        _checks.some_trained(int(self.is_trained.sum()))
        kinds = [(net.loss.name, net.n_out, net.classes) for net in self.some(self.is_trained)]
        _checks.same_classes(kinds)
        net = self.nets[int(self.is_trained.argmax())]
        _checks.classifies(net.loss, net.n_out)
        return inspection.classes(net, self.predict(X, "mean"))

    def evaluate(
        self,
        X: Inputs,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        metrics: Metrics = (),
    ) -> dict[str, NDArray[np.float64]]:
        """Return the loss and the metrics of each network for rows.

        Parameters
        ----------
        X, y, sample_weight, metrics
            As for `MLP.evaluate`.

        Returns
        -------
        dict of str to ndarray of shape (n_nets,)
            "loss" and the metrics by name; NaN for networks that are not trained.

        Raises
        ------
        TypeError, ValueError
            If an argument is invalid, or no network is trained.
        """
        trained = np.flatnonzero(self.is_trained)
        _checks.some_trained(len(trained))
        listed = _checks.items(metrics)  # an iterator would be exhausted after one network
        found: dict[str, NDArray[np.float64]] = {}
        for i in trained:
            values = self.nets[i].evaluate(
                X, y, sample_weight, metrics=metrics if listed is None else listed
            )
            by_name = values if isinstance(values, dict) else {"loss": values}
            for name, value in by_name.items():
                found.setdefault(name, np.full(len(self), np.nan))[i] = value
        return found

    # ---- the best -------------------------------------------------------------------------------

    def values(self, by: str = "val_loss") -> NDArray[np.float64]:
        """Return a value of each network's history: (n_nets,), NaN for networks not trained.

        The value is that of the last epoch, or of the epoch whose weights EarlyStopping restored.
        If a callback recorded the name in some epochs only, it is the last one recorded, or NaN if
        an epoch was restored, since a history doesn't store the epochs of these values.

        Parameters
        ----------
        by : str, default "val_loss"
            A name in the histories.

        Raises
        ------
        ValueError
            If the histories lack the name, or no network is trained.
        """
        is_trained = self.is_trained
        _checks.some_trained(int(is_trained.sum()))
        known = {name: None for i in range(len(self)) for name in self.histories.logs(i)}
        by = _checks.history_name(by, list(known))
        found = np.full(len(self), np.nan)
        for i in np.flatnonzero(is_trained):
            logs, best = self.histories.logs(int(i)), self.best_epochs[i]
            values = logs.get(by)
            if values is None or not len(values):
                continue
            if best is None:
                found[i] = values[-1]
            elif len(values) == max(map(len, logs.values())):
                found[i] = values[best]
        return found

    def best(self, by: str = "val_loss") -> int:
        """Return the number of the network with the best finite value that `values` returns.

        Parameters
        ----------
        by : str, default "val_loss"
            A name in the histories. Lower is better, except for metrics such as "val_accuracy",
            also under a name of your own.

        Returns
        -------
        int
            The first of equal networks; ``fits[fits.best()]`` is the network.

        Raises
        ------
        ValueError
            If the histories lack the name, no network is trained, or no value is finite.
        """
        values = self.values(by)
        values[np.isinf(values)] = np.nan
        _checks.some_finite(by, int(np.isfinite(values).sum()))
        mode = self._modes.get(by.removeprefix("val_"))
        higher = metric_kinds.higher_is_better(by) if mode is None else mode == "max"
        return int(np.nanargmax(values) if higher else np.nanargmin(values))

    def __repr__(self) -> str:
        kinds = [status.kind for status in self.statuses]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)
        return f"<Fits of {_checks.counted(len(self), 'network')}{counts and f': {counts}'}>"


def _reduced(outputs: NDArray[np.float64], reduce: str, levels: NDArray[Any]) -> NDArray[Any]:
    """Return a statistic over the networks of outputs (n_nets, n, n_out)."""
    found: NDArray[Any]
    if reduce == "quantiles":
        found = np.quantile(outputs, levels, axis=0)
    else:
        found = averages.mean(outputs) if reduce == "mean" else averages.std(outputs)
    return found


def load_many(path: Path, *, loss: Callable[..., Any] | CustomLoss | None = None) -> Fits:
    """Read networks from a file that `Fits.save` wrote.

    Nothing in the file is executed. Training the networks further gives the same bits as training
    the saved networks further.

    Parameters
    ----------
    path : str or path
    loss : callable, optional
        The loss function of networks that have a `CustomLoss`, as for `load`.

    Returns
    -------
    Fits

    Raises
    ------
    TypeError, ValueError
        If `loss` is not a function, or no network has a `CustomLoss`.
    ModelFileError
        If the file was not written by `Fits.save`, or is damaged.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> import fastnn
    >>> fits = fastnn.load_many("stores.safetensors")  # doctest: +SKIP
    >>> fits.predict(X, reduce="mean")  # doctest: +SKIP
    """
    path = _checks.file_path("path", path)
    tensors, metadata = files.read(path)
    try:
        outcomes, parameters, groups, interrupted, modes = _parsed(tensors, metadata)
        states = [files.state_of(outcome) for outcome in outcomes]
    except model_files.MALFORMED as error:
        raise model_files.not_readable(path, error) from error
    if loss is not None:
        states = _with_function(states, loss)
    fits = Fits([MLP._of(state) for state in states], parameters, groups)
    for number, outcome in enumerate(outcomes):
        fits.histories[number] = outcome.history
    fits.statuses = [outcome.status for outcome in outcomes]
    fits.best_epochs = [outcome.best_epoch for outcome in outcomes]
    fits.interrupted, fits._modes = interrupted, modes
    return fits


def _parsed(tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> tuple[Any, ...]:
    """Return outcomes, parameters, groups, interrupted and modes, as in `Fits`, from a file."""
    names = "parameters", "groups", "interrupted", "modes"
    outcomes, others = files.decode(tensors, metadata, names)
    n = len(outcomes)
    return (
        outcomes,
        plain.parameters_from(others["parameters"], n),
        plain.groups_from(others["groups"], n),
        _checks.flag("interrupted", others["interrupted"]),
        _checks.modes(others["modes"]),
    )


def _with_function(states: list[State], loss: Callable[..., Any] | CustomLoss) -> list[State]:
    """Return the networks with the function of each CustomLoss set; at least one must have it."""
    _checks.loss_for_networks(loss, len(states))
    found = list(states)
    own = [i for i, state in enumerate(states) if isinstance(state.specification.loss, CustomLoss)]
    for i in own or [0]:
        spec = model_files.with_function(states[i].specification, loss)
        found[i] = State._restored(spec, states[i].snapshot(), states[i].metadata)
    return found
