"""Convert parameters of networks and labels of groups to plain data for JSON, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, losses
from fastnn.exchange import configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# ---- parameters ---------------------------------------------------------------------------------


def of_parameters(parameters: Sequence[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Return parameters as plain data: distinct values, and for each network positions in them."""
    if parameters is None:
        return None
    values: dict[str, int] = {}
    members = []
    for i, chosen in enumerate(parameters):
        plain = {name: _plain(name, value) for name, value in chosen.items()}
        # The key is the JSON text, since 1, 1.0 and True are equal but have different texts.
        texts = {name: _checks.json_of(f"fits.parameters[{i}]", {name: value})
                 for name, value in plain.items()}  # fmt: skip
        members.append([values.setdefault(text, len(values)) for text in texts.values()])
    return {"values": [json.loads(text) for text in values], "members": members}


def _plain(name: str, value: Any) -> Any:
    if name == "loss" and callable(value):
        value = losses.get(value)
    return configuration.plain(value)


def parameters_from(plain: Any, n: int) -> list[dict[str, Any]] | None:
    """Return the parameters of n networks from plain data."""
    if plain is None:
        return None
    _checks.fields("parameters", plain, ("values", "members"))
    values = [
        {name: configuration.argument_from(name, value) for name, value in one.items()}
        for one in (_checks.fields("values", one) for one in plain["values"])
    ]
    members = _checks.numbers_of_items("parameters", plain["members"], n, len(values))
    return [{k: v for i in chosen for k, v in values[i].items()} for chosen in members]


# ---- labels of groups ---------------------------------------------------------------------------


def of_groups(labels: NDArray[Any] | None) -> dict[str, Any] | None:
    """Return labels (n,) as plain data: floats in hexadecimal, dates and times as integers."""
    if labels is None:
        return None
    labels = _checks.labels_of_groups(labels)
    dtype = labels.dtype
    found: list[Any]
    if dtype.kind == "f":
        found = [float(label).hex() for label in labels]
    elif dtype.kind in "mM":
        found = labels.astype(np.int64).tolist()
    else:
        found = labels.tolist()
    return {"dtype": "object" if dtype.kind == "O" else dtype.newbyteorder("<").str,
            "labels": found}  # fmt: skip


def groups_from(plain: Any, n: int) -> NDArray[Any] | None:
    """Return the labels of n groups from plain data."""
    if plain is None:
        return None
    _checks.fields("groups", plain, ("dtype", "labels"))
    dtype = _checks.dtype_of_labels(plain["dtype"])
    found = _checks.plain_list("labels", plain["labels"])
    if dtype.kind == "f":
        found = [float.fromhex(label) for label in found]
    if dtype.kind == "O":
        labels = np.empty(len(found), object)
        labels[:] = found
    elif dtype.kind in "mM":
        labels = np.array(found, np.int64).astype(dtype)
    else:
        labels = np.array(found, dtype)
    _checks.a_label_for_each(labels, n)
    return labels
