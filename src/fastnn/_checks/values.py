"""Checks of single values (numbers, flags, names), and how messages show them."""

from __future__ import annotations

import contextlib
import math
import numbers
import sys
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from fastnn._checks.names import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The most threads of a call: FASTNN_MAX_THREADS of engine/pool.h.
MAX_THREADS = 256

_MOST_SEED_BITS = 4096


# Numbers beyond these would be infinite, or 0, in a float32 network.
LARGEST = float(np.finfo(np.float32).max)
SMALLEST = float(np.finfo(np.float32).tiny)


def shown(value: object) -> str:
    """Return a value as short text on one line, for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a user's __repr__; an int of over 4300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_bool(value: object) -> bool:
    """Whether a value is a bool of Python or of numpy."""
    return isinstance(value, bool | np.bool_)


def text(value: str) -> str:
    """Return a text as a plain str; numpy's strings and members of str enums are subclasses."""
    return str.__str__(value)


def items(value: Any) -> list[Any] | None:
    """Return the items of a list or another iterable, or None if the value is not iterable."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview):
        return None
    try:
        return list(value)
    except TypeError:
        return None


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Name the argument in the error of a library that cannot read it as an array."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        raise TypeError(f"{name} cannot be read as an array: {error}") from error


def not_a_set(name: str, value: object) -> None:
    """Check that a value whose order matters is no set."""
    if isinstance(value, Set) and not isinstance(value, KeysView):
        raise TypeError(f"{name} is a {type(value).__name__}, which has no order; pass a list")


def quoted(names: Iterable[object]) -> str:
    """Return names as a list for a message."""
    return ", ".join(map(repr, names))


def counted(n: int, what: str) -> str:
    """Return a count with its noun: "1 row", "2,000 rows"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def either(names: Iterable[object]) -> str:
    """Return names as a choice for a message: 'a', 'b' or 'c'."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last


def integer(name: str, value: object, low: int, high: float = sys.maxsize) -> int:
    """Return an int of at least `low` and at most `high`."""
    if type(value) is int and low <= value <= high:
        return value  # ten times as fast as isinstance with an abstract class below
    if is_bool(value) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {shown(value)} ({type(value).__name__})")
    value = int(value)
    if not low <= value <= high:
        is_low = value < low and high >= sys.maxsize
        limits = f"at least {low}" if is_low else f"from {low} to {high}"
        limits = str(low) if low == high else limits
        raise ValueError(f"{name} must be {limits}; got {shown(value)}")
    return value


def number(
    name: str,
    value: object,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
    high: float = LARGEST,
) -> float:
    """Return a float that float32 can hold: from `low` to `high`, strictly `above` and `below`."""
    if (
        type(value) is float
        and -LARGEST <= value <= high
        and (low is None or value >= low)
        and (above is None or value > above)
        and (below is None or value < below)
    ):
        return value  # avoids isinstance with an abstract class
    if is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {shown(value)} ({type(value).__name__})")
    try:
        found = float(value)
    except OverflowError:  # an int or a fraction too large for a float
        found = math.inf
    limits = [
        *([f"at least {low:g}"] if low is not None else []),
        *([f"above {above:g}"] if above is not None else []),
        *([f"below {below:g}"] if below is not None else [f"at most {high:.2g}"]),
    ]
    if (
        not -LARGEST <= found <= high
        or (low is not None and found < low)
        or (above is not None and found <= above)
        or (below is not None and found >= below)
    ):
        raise ValueError(f"{name} must be {' and '.join(limits)}; got {shown(value)}")
    return found


def times(name: str, value: Any) -> NDArray[np.float64]:
    """Return numbers of steps or epochs, finite and at least 0, as an array."""
    with reading(name):
        found = np.asarray(value)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number or an array of numbers; got {shown(value)}")
    found = found.astype(np.float64)
    if not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(f"{name} must be finite and at least 0; got {shown(value)}")
    return found


def flag(name: str, value: object) -> bool:
    """Return a bool."""
    if value is True or value is False:
        return value
    if not is_bool(value):
        raise TypeError(f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def optional_flag(name: str, value: object, meaning_of_none: str) -> bool | None:
    """Return True, False or None."""
    if value is not None and not is_bool(value):
        raise TypeError(
            f"{name} must be True, False or None ({meaning_of_none}); got {shown(value)}"
        )
    return None if value is None else bool(value)


def choice(
    name: str,
    value: object,
    options: Sequence[str],
    aliases: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> str:
    """Return one of the names in `options`; an alias is replaced by the name that it stands for.

    `hints` is a table from names.py.
    """
    aliases = aliases or {}
    if not isinstance(value, str):
        hint = instead_of(value, [*options, *aliases], hints or {})
        raise TypeError(f"{name} must be {_one_of(options)}; got {shown(value)}{hint}")
    value = text(value)
    if value in aliases:
        return aliases[value]
    if value not in options:
        hint = did_you_mean(value, [*options, *aliases], hints)
        raise ValueError(f"{name} must be {_one_of(options)}; got {value!r}{hint}")
    return value


def _one_of(options: Sequence[str]) -> str:
    """Return what a value must be, if it must be one of these names."""
    return quoted(options) if len(options) == 1 else f"one of {quoted(options)}"


def did_you_mean(value: str, options: Iterable[str], hints: Mapping[str, str] | None = None) -> str:
    """Return the end of an error message: what to use instead of a name.

    This is the hint in a table of names.py, the option with the same letters, or the most similar
    option, if one is similar.
    """
    import difflib  # slow to import and rarely needed

    options = list(options)
    known = _known(value, options, hints or {})
    if known:
        return known
    near = difflib.get_close_matches(value, options, n=1, cutoff=0.65)
    return f"; did you mean {near[0]!r}?" if near else ""


def instead_of(value: object, options: Iterable[str], hints: Mapping[str, str]) -> str:
    """Return what to use instead of another library's object, function or class, if known."""
    name = "None" if value is None else getattr(value, "__name__", None)
    names = [n for n in (name, type(value).__name__) if isinstance(n, str)]
    return next(filter(None, (_known(n, list(options), hints) for n in names)), "")


def _known(name: str, options: list[str], hints: Mapping[str, str]) -> str:
    """Return the end of a message for a name with a hint or equal letters, else an empty string."""
    key = plain(name)
    same = [option for option in options if plain(option) == key]
    for found in (
        hints.get(key),
        f"did you mean {same[0]!r}?" if same else None,
        hints.get(key.removesuffix("loss")),
    ):
        if found:
            return f"; {found}"
    return ""


def part(name: str, value: str, wholes: Sequence[str]) -> str:
    """Return a text that occurs in the name of one of some cases."""
    if not any(value in whole for whole in wholes):
        raise ValueError(
            f"{name}: no case has {shown(value)} in its name; the cases are {quoted(wholes)}"
        )
    return value


def seed(value: object) -> int | None:
    """Return a seed: None, or an int of at least 0 that JSON can hold."""
    found = None if value is None else integer("seed", value, low=0, high=math.inf)
    if found is not None and found.bit_length() > _MOST_SEED_BITS:
        raise ValueError(
            f"seed must have at most {_MOST_SEED_BITS} bits; got {shown(found)} of "
            f"{found.bit_length()} bits"
        )
    return found


def epsilon_in_range(value: Any) -> float:
    """Return an epsilon limited to the range of float32, beyond which it has no other effect."""
    return min(max(float(value), SMALLEST), LARGEST)


@overload
def n_threads(value: object, default: int) -> int: ...
@overload
def n_threads(value: object, default: None) -> int | None: ...
def n_threads(value: object, default: int | None) -> int | None:
    """Return a number of threads; None means `default`."""
    if value is None:
        return default
    if isinstance(value, int) and value == -1:
        raise ValueError("n_threads must be from 1 to 256; got -1: None means all CPUs")
    return integer("n_threads", value, low=1, high=MAX_THREADS)


def switch(name: str, value: str | None) -> bool:
    """Return whether a switch is on; the value "0" of its environment variable turns it off."""
    if value not in (None, "", "0", "1"):
        raise ValueError(f"{name}={value!r} is neither 0 nor 1; set it to one of them, or unset it")
    return value != "0"


def instruction_set(wanted: str | None, available: Sequence[str]) -> str:
    """Return the instruction set to use: the best one, unless FASTNN_ISA names another."""
    if not wanted:
        return available[0]
    if wanted not in available:
        listed = ", ".join(reversed(available))
        raise ValueError(
            f"FASTNN_ISA={wanted!r} is not an instruction set of this build and this CPU; "
            f"set it to one of {listed}, or unset it"
        )
    return wanted
