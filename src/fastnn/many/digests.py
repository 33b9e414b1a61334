"""Digests of the arguments of `fit_many`, by which a checkpoint recognizes its call.

Arrays are compared by their values, networks by configuration, weights and random state, other
objects by class and attributes, or as they are pickled, and functions by name only: a change in the
body of a function is not noticed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _conversion
from fastnn.exchange import configuration, model_files

if TYPE_CHECKING:
    from fastnn.many.members import Members
    from fastnn.optimizers import Optimizer
    from fastnn.training.specification import Specification
    from fastnn.training.state import Snapshot

#: Bytes of a digest.
SIZE = 16


def of_call(members: Members) -> dict[str, str]:
    """Return the hexadecimal digest of each argument, except the networks, by its name.

    The names of the columns of X, and the categories of y, become those of the networks.
    """
    arguments = {
        "X": [members.X, members.feature_names],
        "y": [members.y, _conversion.categories(members.targets)],
        "sample_weight": members.sample_weight,
        "rows or groups": [members.rows, members.groups],
        "validation": [members.validation, members.validation_rows],
        "epochs": members.epochs,
        "batch_size": members.batch_size,
        "shuffle": members.shuffle,
        "class_weight": members.class_weight,
        "metrics": members.metrics,
        "callbacks": members.callbacks,
    }
    return {name: of_value(value).hex() for name, value in arguments.items()}


def of_value(value: Any) -> bytes:
    """Return the digest of an argument."""
    return _digest(value, [])


def _digest(value: Any, above: list[Any]) -> bytes:
    """Return the digest of a value inside of the containers `above`."""
    digest = hashlib.blake2b(digest_size=SIZE)
    _feed(digest, value, above)
    return digest.digest()


class OfNetworks:
    """Digests of networks in a given state, independent of their number of threads.

    The digest of a configuration is computed once for all networks made of the same parts.
    """

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, hashlib.blake2b]] = {}  # keeps parts alive for their ids

    def of(self, spec: Specification, snapshot: Snapshot) -> bytes:
        """Return the digest of a network."""
        parts = spec.layers, spec.loss, snapshot.optimizer
        key = *map(id, parts), spec.n_in, spec.reduction, spec.scale_penalties, spec.policy
        if key not in self._known:
            self._known[key] = parts, _of_configuration(spec, snapshot.optimizer)
        digest = self._known[key][1].copy()
        state = {"seed": spec.seed, **model_files.plain_state(snapshot)}
        digest.update(json.dumps(state).encode())
        for arrays in ([*(snapshot.standardization or ())], *snapshot.blocks):
            for array in arrays:
                digest.update(array if array.flags.c_contiguous else array.tobytes())
        return digest.digest()


def _of_configuration(spec: Specification, optimizer: Optimizer) -> hashlib.blake2b:
    config = configuration.config_of(dataclasses.replace(spec, optimizer=optimizer))
    del config["n_threads"], config["seed"]
    return hashlib.blake2b(json.dumps(config).encode(), digest_size=SIZE)


def _feed(digest: hashlib.blake2b, value: Any, above: list[Any]) -> None:
    """Feed a value to a digest; `above` lists the containers around it, to stop at cycles."""
    kind = type(value)
    _feed_text(digest, f"{kind.__module__}.{kind.__qualname__}")
    if value is None or kind in (bool, int, float, str):
        _feed_text(digest, repr(value))
    elif hasattr(value, "indptr"):
        for part in (value.data, value.indices, value.indptr, value.shape):
            _feed(digest, part, above)
    elif hasattr(value, "__array__") or hasattr(value, "__dlpack__"):
        _feed_array(digest, value)
    elif any(value is one for one in above):
        return
    elif isinstance(value, dict):
        above = [*above, value]
        keys = sorted(value, key=lambda key: _digest(key, above))  # equal dicts differ in order
        _feed(digest, [(key, value[key]) for key in keys], above)
    elif isinstance(value, list | tuple):
        _feed_text(digest, str(len(value)))
        for item in value:
            _feed(digest, item, [*above, value])
    elif isinstance(value, set | frozenset):
        digest.update(b"".join(sorted(_digest(item, [*above, value]) for item in value)))
    elif isinstance(value, np.random.Generator):
        _feed(digest, value.bit_generator.state, above)
    elif isinstance(value, np.random.RandomState):
        _feed(digest, value.get_state(legacy=False), above)
    elif isinstance(value, functools.partial):
        _feed(digest, [value.func, value.args, value.keywords], [*above, value])
    elif hasattr(value, "__qualname__"):
        _feed_text(digest, f"{value.__module__}.{value.__qualname__}")
    elif hasattr(value, "__dict__"):
        _feed(digest, vars(value), [*above, value])
    else:
        _feed_pickled(digest, value)


def _feed_pickled(digest: hashlib.blake2b, value: Any) -> None:
    """Feed an object of a compiled class, such as a date, to a digest.

    What cannot be pickled, such as a lock or an open file, has no value to compare.
    """
    try:
        digest.update(pickle.dumps(value, protocol=4))
    except (TypeError, AttributeError, pickle.PicklingError):
        return


def _feed_array(digest: hashlib.blake2b, value: Any) -> None:
    """Feed an array, or an object that NumPy can read as one, to a digest."""
    array = np.asarray(value if hasattr(value, "__array__") else np.from_dlpack(value))
    _feed_text(digest, f"{array.dtype.str} {array.shape}")
    if array.dtype.kind == "O":
        _feed_text(digest, repr(array.tolist()))
    else:
        step = max(1, (1 << 20) // max(1, array[:1].nbytes)) if array.ndim else 1
        for start in range(0, len(array) if array.ndim else 1, step):
            piece = array[start : start + step] if array.ndim else array
            digest.update(piece.tobytes())


def _feed_text(digest: hashlib.blake2b, text: str) -> None:
    """Feed a text, preceded by its length, to a digest."""
    data = text.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
