"""Numbers, flags, names and other single values, and how messages show them."""

import math
import numbers
from collections.abc import Mapping

import numpy as np

_MAX_THREADS = 256


# Numbers become float32 where the network is: beyond these they would be infinite, or 0.
_LARGEST = float(np.finfo(np.float32).max)


SMALLEST = float(np.finfo(np.float32).tiny)


def shown(value):
    """Return a value as a message shows it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_bool(value):
    return isinstance(value, bool | np.bool_)


def items(value):
    """Return the items of a list or other iterable of objects, or None for what is neither."""
    if isinstance(value, str | bytes | Mapping | np.ndarray | memoryview):
        return None
    try:
        return list(value)
    except TypeError:
        return None


def quoted(names):
    """Return names as a message lists them."""
    return ", ".join(map(repr, names))


def either(names):
    """Return names as a message lists a choice: 'a', 'b' or 'c'."""
    *most, last = map(repr, names)
    return f"{', '.join(most)} or {last}" if most else last


def integer(name, value, low, high=None):
    """Return an int of at least `low`, at most `high`."""
    if is_bool(value) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer; got {shown(value)} ({type(value).__name__})")
    value = int(value)
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limits}; got {shown(value)}")
    return value


def number(name, value, low=None, above=None, below=None):
    """Return a float that float32 can hold: at least `low`, strictly `above` and `below`."""
    if is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number; got {shown(value)} ({type(value).__name__})")
    try:
        found = float(value)
    except OverflowError:  # an int or a fraction beyond every float
        found = math.inf
    limits = [
        *([f"at least {low:g}"] if low is not None else []),
        *([f"above {above:g}"] if above is not None else []),
        *([f"below {below:g}"] if below is not None else [f"at most {_LARGEST:.2g}"]),
    ]
    if (
        not abs(found) <= _LARGEST
        or (low is not None and found < low)
        or (above is not None and found <= above)
        or (below is not None and found >= below)
    ):
        raise ValueError(f"{name} must be {' and '.join(limits)}; got {shown(value)}")
    return found


def flag(name, value):
    """Return a bool."""
    if not is_bool(value):
        raise TypeError(f"{name} must be True or False; got {shown(value)}")
    return bool(value)


def optional_flag(name, value, meaning_of_none):
    """Return True, False or None."""
    if value is not None and not is_bool(value):
        raise TypeError(
            f"{name} must be True, False or None ({meaning_of_none}); got {shown(value)}"
        )
    return None if value is None else bool(value)


def choice(name, value, options, aliases=None):
    """Return one of the names in `options`, or what it is an alias of."""
    aliases = aliases or {}
    if not isinstance(value, str):
        listed = ", ".join(map(repr, options))
        raise TypeError(f"{name} must be one of {listed}; got {shown(value)}")
    if value in aliases:
        return aliases[value]
    if value not in options:
        listed = ", ".join(map(repr, options))
        hint = did_you_mean(value, [*options, *aliases])
        raise ValueError(f"{name} must be one of {listed}; got {value!r}{hint}")
    return value


def did_you_mean(value, options):
    """Return the end of an error message: the option that is most like a text, if one is."""
    import difflib  # slow to import, and rarely needed

    near = difflib.get_close_matches(value, options, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def part(name, value, wholes):
    """Return a text that occurs in one of `wholes`."""
    if not any(value in whole for whole in wholes):
        raise ValueError(f"{name} must be part of one of {quoted(wholes)}; got {shown(value)}")
    return value


def seed(value):
    """Return a seed: None or an int of 0 or more."""
    return None if value is None else integer("seed", value, low=0)


def n_threads(value, default):
    """Return a number of threads; None means `default`."""
    return default if value is None else integer("n_threads", value, low=1, high=_MAX_THREADS)


def instruction_set(wanted, available):
    """Return the instruction set to use: the best one, unless FASTNN_ISA names another."""
    if not wanted:
        return available[0]
    if wanted not in available:
        listed = ", ".join(reversed(available))
        raise ValueError(
            f"FASTNN_ISA={wanted!r} names no instruction set that this build and this CPU have; "
            f"set it to one of {listed}, or unset it"
        )
    return wanted
