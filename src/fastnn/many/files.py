"""Many networks in one safetensors file, and in a record of a checkpoint.

Networks of the same architecture share their tensors, so that the file's header does not grow with
their number:

    stacks.0.weights             (n, n_parameters): rows as MLP.get_flat_weights returns them
    stacks.0.optimizer.0, ...    (n, n_parameters): the moments of the optimizer
    stacks.0.average             the moving averages of the weights, if they are kept
    stacks.0.standardize.mean    (n, n_in), and .scale, of a Standardize layer that has seen data
    histories.values             (n_values,): the losses and metrics of all networks, one network
                                 after the other; NaN and infinite values are stored as 0, and
                                 their places in histories.nan, histories.inf and histories.-inf
    histories.epoch              (n_epochs,): the numbers of the epochs
    index                        everything else, as JSON in UTF-8

The index has "columns", lists with an item for each network. A column with few distinct values has
an entry in "tables" that lists these values; the column then holds positions in that list.

Not here: the container (exchange/safetensors.py), files of one network
(exchange/model_files.py), configurations (exchange/configuration.py).
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn.callbacks import History
from fastnn.exchange import configuration, model_files
from fastnn.exchange.safetensors import ModelFileError
from fastnn.many.outcomes import KINDS, Outcome, Status
from fastnn.training.specification import Specification
from fastnn.training.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastnn.optimizers import Optimizer

    Tensors = dict[str, NDArray[Any]]

FORMAT = model_files.FORMAT_OF_MANY

#: Columns whose values are positions in a table.
_TABLES = ("config", "stack", "feature_names", "classes", "metadata", "status", "history")
_COLUMNS = (*_TABLES, "seed", "learning_rate", "step", "epoch", "dropout_seed", "shuffler",
            "adapted", "best_epoch")  # fmt: skip

_NOT_FINITE = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}

# ---- files --------------------------------------------------------------------------------------


def read(path: str) -> tuple[Tensors, dict[str, str]]:
    """Return the tensors and metadata of a file of many networks."""
    tensors, metadata = model_files.read(path)
    if metadata.get("format") == model_files.FORMAT:
        raise ModelFileError(f"{path!r} has one network; read it with fastnn.load(path)")
    return tensors, metadata


def state_of(outcome: Outcome) -> State:
    """Return the network of an outcome."""
    state = State(outcome.specification)
    _checks.blocks(len(outcome.snapshot.blocks), state.network.n_blocks)
    state.take(outcome.snapshot)
    state.metadata = outcome.metadata
    return state


# ---- writing ------------------------------------------------------------------------------------


def require_finite(number: int, outcome: Outcome) -> None:
    """Check that the weights and moments of a network with this number are finite."""
    names = _names_of_blocks("", _moments(outcome), outcome.specification.optimizer.use_ema)
    arrays = {
        f"{name}.{parameter}": array
        for name, block in zip(names, outcome.snapshot.blocks, strict=True)
        for parameter, array in zip(outcome.specification.shapes, block, strict=True)
    }
    _checks.finite_network(arrays, "saved", f"network {number}")


def encode(outcomes: Sequence[Outcome], others: dict[str, Any]) -> tuple[Tensors, dict[str, str]]:
    """Encode networks as tensors and metadata; the plain data `others` is added to the index."""
    index = _Index()
    tensors: Tensors = {}
    stacks: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        stacks.setdefault(index.add(outcome), []).append(outcome)
    for number, members in stacks.items():
        tensors |= _stacked(f"stacks.{number}.", members)
    tensors |= _histories([outcome.history for outcome in outcomes])
    tensors["index"] = np.frombuffer(index.text(others).encode(), np.uint8)
    return tensors, {"format": FORMAT}


class _Index:
    """The index of a file; the networks added must outlive it, since it keys their parts by id."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self.tables: dict[str, dict[str, int]] = {name: {} for name in _TABLES}  # position by JSON
        self.known: dict[Any, tuple[int, Any, int]] = {}  # `_place` of specifications by parts

    def add(self, outcome: Outcome) -> int:
        """Add a network; return the number of its stack."""
        spec, snapshot, status = outcome.specification, outcome.snapshot, outcome.status
        parts = id(spec.layers), id(spec.loss), id(snapshot.optimizer)
        options = spec.n_in, spec.reduction, spec.scale_penalties, spec.policy, spec.n_threads
        key = parts, options, len(snapshot.blocks), snapshot.standardization is None
        if key not in self.known:
            self.known[key] = self._place(outcome)
        config, rate, stack = self.known[key]
        row = {
            **model_files.plain_state(snapshot),
            "metadata": json.loads(_checks.json_of("net.metadata", outcome.metadata)),
            "status": [status.kind, status.epochs, status.message],
            "history": _layout(outcome.history),
        }
        for name in ("feature_names", "classes", "metadata", "status", "history"):
            row[name] = self._number(name, row[name])
        row |= {"config": config, "learning_rate": rate, "stack": stack, "seed": spec.seed}
        row["best_epoch"] = outcome.best_epoch
        for name, value in row.items():
            self.columns[name].append(value)
        return stack

    def _place(self, outcome: Outcome) -> tuple[int, Any, int]:
        """Return a configuration's position, rate (None for a schedule) and stack number."""
        spec, optimizer = outcome.specification, outcome.snapshot.optimizer
        config = configuration.config_of(dataclasses.replace(spec, optimizer=optimizer))
        del config["seed"]
        rate = config["optimizer"]["learning_rate"]
        if isinstance(rate, dict):
            rate = None  # a schedule, which the configuration keeps
        else:
            del config["optimizer"]["learning_rate"]
        stack = self._number("stack", kind_of_stack(outcome))
        return self._number("config", config), rate, stack

    def _number(self, name: str, value: Any) -> int:
        """Return the position of a value in a table; a new value is appended."""
        table = self.tables[name]
        return table.setdefault(_json(value), len(table))

    def text(self, others: dict[str, Any]) -> str:
        """Return the index as JSON, including the plain data `others`."""
        tables = ",".join(f'"{name}":[{",".join(table)}]' for name, table in self.tables.items())
        columns = _json(self.columns)
        return f'{{"tables":{{{tables}}},"columns":{columns},"others":{_json(others)}}}'


def kind_of_stack(outcome: Outcome) -> dict[str, Any]:
    """Return the properties that all networks of one stack share."""
    is_adapted = outcome.snapshot.standardization is not None
    return _kind(outcome.specification, _moments(outcome), is_adapted)


def kind_of_network(outcome: Outcome) -> dict[str, Any]:
    """Return the properties of its stack that a network has before and after its training."""
    return _kind(outcome.specification, _moments(outcome), True)


def _moments(outcome: Outcome) -> int:
    """Return the number of blocks of moments in a snapshot."""
    return len(outcome.snapshot.blocks) - 1 - outcome.specification.optimizer.use_ema


def _kind(spec: Specification, moments: int, standardized: bool) -> dict[str, Any]:
    return {
        "shapes": {name: list(shape) for name, shape in spec.shapes.items()},
        "dtype": spec.dtype.name,
        "moments": moments,
        "average": spec.optimizer.use_ema,
        "standardized": standardized and spec.standardizes,
    }


def _names_of_blocks(prefix: str, moments: int, average: bool) -> list[str]:
    """Return the names of a stack's tensors, in the order of a snapshot's blocks."""
    names = ["weights", *(f"optimizer.{i}" for i in range(moments)), *(["average"] * average)]
    return [prefix + name for name in names]


def _stacked(prefix: str, members: Sequence[Outcome]) -> Tensors:
    """Return the tensors of a stack: networks of one architecture."""
    kind, spec = kind_of_stack(members[0]), members[0].specification
    size = sum(math.prod(shape) for shape in spec.shapes.values())
    tensors: Tensors = {}
    for block, name in enumerate(_names_of_blocks(prefix, kind["moments"], kind["average"])):
        rows = tensors[name] = np.empty((len(members), size), spec.dtype)
        for row, member in zip(rows, members, strict=True):
            np.concatenate([array.reshape(-1) for array in member.snapshot.blocks[block]], out=row)
    if kind["standardized"]:
        pairs = [member.snapshot.standardization for member in members]
        for i, name in enumerate(("mean", "scale")):
            tensors[f"{prefix}standardize.{name}"] = np.stack([pair[i] for pair in pairs if pair])
    return tensors


def _layout(history: History) -> dict[str, Any]:
    """Return the number of epochs of a history, and the number of values of each name."""
    values = {name: len(found) for name, found in history.history.items()}
    return {"epochs": len(history.epoch), "values": values}


def _histories(histories: Sequence[History]) -> Tensors:
    """Return the tensors of all histories; empty tensors are left out."""
    epochs = [epoch for history in histories for epoch in history.epoch]
    lists = [found for history in histories for found in history.history.values()]
    values = _checks.history_values([value for found in lists for value in found])
    tensors = {"histories.epoch": _checks.history_epochs(epochs)}
    for name, value in _NOT_FINITE.items():
        is_such = np.isnan(values) if name == "nan" else values == value
        tensors[f"histories.{name}"] = np.flatnonzero(is_such).astype(np.int64)
    tensors["histories.values"] = np.where(np.isfinite(values), values, 0.0)
    return {name: tensor for name, tensor in tensors.items() if tensor.size}


def _json(value: Any) -> str:
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))  # once, not per call


# ---- reading ------------------------------------------------------------------------------------


def decode(
    tensors: Tensors, metadata: dict[str, str], names: Sequence[str]
) -> tuple[list[Outcome], dict[str, Any]]:
    """Return the networks, and the further plain data, which must have these names.

    Removes all tensors from `tensors`. Raises a ValueError, TypeError or KeyError if the content is
    malformed.
    """
    _checks.fields("metadata", metadata, ("format",))
    _checks.choice("format", metadata["format"], (FORMAT,))
    index = model_files.strict_object(_checks.index_text(tensors.pop("index")), "index")
    _checks.fields("index", index, ("tables", "columns", "others"))
    tables, columns = _checks.columns(index["tables"], index["columns"], _TABLES, _COLUMNS)
    others = _checks.fields("others", index["others"], names)
    specs = _Specifications(tables["config"])
    counts = Counter(columns["stack"])
    stacks = [
        _Stack(f"stacks.{i}.", kind, counts[i], tensors) for i, kind in enumerate(tables["stack"])
    ]
    histories = _read_histories(tensors, [tables["history"][i] for i in columns["history"]])
    _checks.nothing_left(tensors)
    statuses = [_status(status) for status in tables["status"]]
    outcomes = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        spec = specs.get(row["config"], row["seed"], row["learning_rate"])
        standardization, blocks = stacks[row["stack"]].next_row(spec)
        plain = {name: row[name] for name in model_files.STATE}
        for name in ("feature_names", "classes"):
            plain[name] = tables[name][row[name]]
        history = next(histories)
        outcomes.append(
            Outcome(
                spec,
                model_files.snapshot_from(plain, spec, standardization, blocks),
                copy.deepcopy(_checks.fields("metadata", tables["metadata"][row["metadata"]])),
                statuses[row["status"]],
                history,
                _checks.epoch_of(row["best_epoch"], history.epoch),
            )
        )
    return outcomes, others


class _Specifications:
    """Specifications from checked configurations, which lack seeds and constant learning rates."""

    def __init__(self, configs: list[Any]) -> None:
        self.made: list[Specification] = []
        self.has_schedule: list[bool] = []
        self.optimizers: dict[tuple[int, Any], Optimizer] = {}
        for config in configs:
            config = {**_checks.fields("config", config), "seed": None}
            optimizer = config["optimizer"] = {**_checks.fields("optimizer", config["optimizer"])}
            self.has_schedule.append("learning_rate" in optimizer)
            optimizer.setdefault("learning_rate", 1.0)
            arguments = configuration.arguments_of(config)
            self.made.append(Specification.checked(**arguments))

    def get(self, number: int, seed: Any, rate: Any) -> Specification:
        """Return a specification with a seed and, unless it has a schedule, a learning rate."""
        spec = self.made[number]
        _checks.one_rate(rate, self.has_schedule[number])
        key = number, rate
        if key not in self.optimizers:
            changes = {} if rate is None else {"learning_rate": rate}
            self.optimizers[key] = dataclasses.replace(spec.optimizer, **changes)
        seed, optimizer = _checks.seed(seed), self.optimizers[key]
        return dataclasses.replace(spec, seed=seed, optimizer=optimizer)


class _Stack:
    """The tensors of a stack, which are read row by row."""

    def __init__(self, prefix: str, kind: Any, n: int, tensors: Tensors) -> None:
        known = ("shapes", "dtype", "moments", "average", "standardized")
        self.kind = _checks.fields("stack", kind, known)
        moments = _checks.integer("moments", kind["moments"], low=0, high=len(tensors))
        names = _names_of_blocks(prefix, moments, _checks.flag("average", kind["average"]))
        self.blocks = {name: _checks.stack(name, tensors.pop(name), n) for name in names}
        names = [f"{prefix}standardize.{name}" for name in ("mean", "scale")]
        is_standardized = _checks.flag("standardized", kind["standardized"])
        self.pair = [tensors.pop(name) for name in names] if is_standardized else []
        for name, tensor in zip(names, self.pair, strict=False):
            _checks.stack(name, tensor, n)
        self.row = 0

    def next_row(self, spec: Specification) -> tuple[Any, list[list[NDArray[Any]]]]:
        """Return the standardization and the blocks of the next network."""
        row, standardization, blocks = self.row, None, []
        self.row += 1
        _checks.same_stack(self.kind, _kind(spec, self.kind["moments"], bool(self.pair)))
        if self.pair:
            standardization = self.pair[0][row], self.pair[1][row]
            _checks.standardization(*standardization, spec.n_in)
        sizes = [math.prod(shape) for shape in spec.shapes.values()]
        shapes = {name: (sum(sizes),) for name in self.blocks}
        rows = {name: block[row] for name, block in self.blocks.items()}
        _checks.tensors(rows, shapes, spec.dtype)
        for values in rows.values():
            block, at = [], 0
            for size, shape in zip(sizes, spec.shapes.values(), strict=True):
                block.append(values[at : at + size].reshape(shape))
                at += size
            blocks.append(block)
        return standardization, blocks


def _read_histories(tensors: Tensors, layouts: list[Any]) -> Iterator[History]:
    """Remove the tensors of histories from `tensors`; return an iterator over the histories."""
    epochs = tensors.pop("histories.epoch", np.zeros(0, np.int64))
    values = tensors.pop("histories.values", np.zeros(0))
    _checks.history_tensors(layouts, epochs, values)
    values = values.copy()
    for name, value in _NOT_FINITE.items():
        places = tensors.pop(f"histories.{name}", np.zeros(0, np.int64))
        values[_checks.history_places(places, len(values))] = value
    return _histories_of(layouts, epochs.tolist(), values.tolist())


def _histories_of(layouts: list[Any], epochs: list[int], values: list[float]) -> Iterator[History]:
    at = in_epochs = 0
    for layout in layouts:
        history, end = History(), in_epochs + layout["epochs"]
        history.epoch, in_epochs = epochs[in_epochs:end], end
        for name, n in layout["values"].items():
            history.history[name] = values[at : at + n]
            at += n
        yield history


def _status(plain: Any) -> Status:
    """Return a Status from its plain form."""
    kind, epochs, message = _checks.plain_list("status", plain)
    if not isinstance(message, str):
        raise TypeError(f"the message of a status is {message!r:.60}, not text")
    return Status(
        _checks.choice("status", kind, KINDS),
        _checks.integer("epochs of a status", epochs, low=0),
        message,
    )
