"""Checks of callbacks, of the values they monitor and the files they write, and of histories."""

from __future__ import annotations

import importlib
import inspect
import numbers
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from fastnn._checks.names import CALLBACKS, HOOKS
from fastnn._checks.paths import file_path, not_read, separate_outputs
from fastnn._checks.values import (
    counted,
    did_you_mean,
    instead_of,
    is_bool,
    items,
    quoted,
    shown,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType
    from typing import TextIO

    from fastnn.callbacks import Callback, History

_Kind = TypeVar("_Kind")


def callback_list(value: object, base: type[_Kind]) -> list[_Kind]:
    """Return a list of callbacks."""
    found = items(value)
    if found is None:
        raise TypeError(f"callbacks must be a list of Callback objects; got {shown(value)}")
    for i, callback in enumerate(found):
        if not isinstance(callback, base):
            is_class = isinstance(callback, type) and issubclass(callback, base)
            if is_class:
                hint = "; pass an object of this class"
            else:
                known = [kind.__name__ for kind in kinds_of(base)]
                if isinstance(callback, str):
                    hint = "" if callback in known else did_you_mean(callback, known, CALLBACKS)
                    hint = hint or "; pass an object, such as EarlyStopping(patience=5)"
                else:
                    hint = instead_of(callback, known, CALLBACKS)
                hint = hint or "; derive its class from fastnn.Callback"
            raise TypeError(f"callbacks[{i}] must be a Callback; got {shown(callback)}{hint}")
        _known_hooks(f"callbacks[{i}]", type(callback), base)
        first = next(j for j, other in enumerate(found) if other is callback)
        if first != i:
            raise ValueError(
                f"callbacks[{i}] and callbacks[{first}] are the same {type(callback).__name__}, "
                "whose hooks would be called twice; pass each object once"
            )
    return found


def _known_hooks(name: str, kind: type, base: type) -> None:
    """Check that no method has the name of another library's hook, or a misspelt one.

    Other methods whose names begin with "on_" are the user's own.
    """
    hooks = [hook for hook in vars(base) if hook.startswith("on_")]
    for each in kind.__mro__[: kind.__mro__.index(base)]:
        for method in vars(each):
            if method.startswith("on_") and method not in hooks:
                hint = did_you_mean(method, hooks, HOOKS)
                if hint:
                    raise TypeError(
                        f"{name} ({kind.__name__}) has a method {method}, which fit never calls"
                        + hint
                    )


def files_written(callbacks: Sequence[Callback], inputs: Sequence[str]) -> None:
    """Check that no callback writes to an input file or to the file of another callback."""
    outputs = [
        (f"callbacks[{i}] ({type(callback).__name__})", path)
        for i, callback in enumerate(callbacks)
        for path in callback.files_written
    ]
    for name, path in outputs:
        not_read(f"path of {name}:", path, inputs)
    separate_outputs(outputs)


def kinds_of(base: type) -> list[type]:
    """Return the classes of the callbacks that come with fastnn."""
    derived: list[type] = base.__subclasses__()
    found = [base, *(kind for sub in derived for kind in kinds_of(sub))]
    return [kind for kind in found if kind.__module__.startswith("fastnn.callbacks.")]


def history(value: History, empty: bool = False, of_numbers: bool = False) -> None:
    """Check that every column of a history has one value per epoch, or one number.

    `empty` allows no epochs.
    """
    if not (hasattr(value, "epoch") and isinstance(getattr(value, "history", None), Mapping)):
        raise TypeError(
            f"history must be a History, which fit returns; got {shown(value)} "
            f"({type(value).__name__})"
        )
    if not (value.epoch and value.history) and not empty:
        raise ValueError("history has no epochs to show; fit with epochs=1 or more")
    for name, values in value.history.items():
        if len(values) != len(value.epoch):
            raise ValueError(
                f"history[{name!r}] has {counted(len(values), 'value')} for "
                f"{counted(len(value.epoch), 'epoch')}; log a value in every epoch, nan if there "
                "is none"
            )
        for each in values if of_numbers else ():
            if not isinstance(each, numbers.Real):
                raise TypeError(
                    f"history[{name!r}] has the value {shown(each)}, which is not a number; log "
                    "numbers, nan in epochs without one"
                )


def installed(module: str, purpose: str) -> ModuleType:
    """Import a module of an optional package and return it."""
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs {package}; install it with pip install {package}"
        ) from error


def summary_writer() -> Any:
    """Return the class SummaryWriter of tensorboardX or, failing that, of PyTorch."""
    for module in ("tensorboardX", "torch.utils.tensorboard"):
        try:
            return importlib.import_module(module).SummaryWriter
        except ImportError:
            continue
    raise ImportError(
        "TensorBoard needs tensorboardX, or PyTorch with tensorboard; install it with pip install "
        "tensorboardX"
    )


def monitor(value: object) -> str:
    """Return the name of a value to monitor."""
    if not isinstance(value, str):
        raise TypeError(f"monitor must be a name such as 'val_loss'; got {shown(value)}")
    if not value:
        raise ValueError("monitor must be a name such as 'val_loss'; got ''")
    return text(value)


def monitored(value: str, names: Sequence[str], metrics: Mapping[str, str]) -> None:
    """Check that the logs will have the value to monitor.

    `metrics` maps the names that fit takes to the metrics they stand for.
    """
    if value in names:
        return
    metric = value.removeprefix("val_")
    same = value.replace(metric, metrics.get(metric, metric))
    lacks_validation = not any(name.startswith("val_") for name in names)
    another = f"monitor {names[0]!r}" if len(names) == 1 else "monitor one of these"
    if same in names:
        remedy = f"monitor {same!r}"
    elif metric in metrics and metric not in names:
        where = "to MLP.fit or fit_many"
        if lacks_validation and metric != value:
            where = "and validation_data to MLP.fit (validation to fit_many)"
        remedy = f"pass metrics=[{metric!r}] {where}, or {another}"
    elif value in ("lr", "val_lr"):
        remedy = "monitor 'loss' or 'val_loss'; a callback that sets the rate logs 'learning_rate'"
    elif lacks_validation and metric in names:
        remedy = (
            "pass validation_data or validation_split to fit (validation to fit_many, X_val and "
            f"y_val to an estimator), or {another}"
        )
    else:
        logger = f"; a callback that logs {value!r} must be before this one in the list, and append"
        logger += " the name to params['monitors'] in on_train_begin"
        remedy = another + (did_you_mean(value, names) or logger)
    raise ValueError(f"the logs have no {value!r}, only {quoted(names)}; {remedy}")


def logged(owner: str, monitor: str, epoch: int, logs: Mapping[str, Any]) -> float:
    """Return the monitored value in the logs of an epoch."""
    value = logs.get(monitor)
    if is_bool(value) or not isinstance(value, numbers.Real):
        found = f"{monitor}={shown(value)}" if monitor in logs else quoted(logs) or "no values"
        raise ValueError(
            f"{owner} monitors {monitor!r}, but the logs of epoch {epoch + 1} have {found}; a "
            "callback that adds this name must log a number in every epoch"
        )
    return float(value)


def logs_of_hook(hook: Callable[..., Any], epoch: int, logs: dict[str, Any]) -> None:
    """Make the numbers in the logs of an epoch floats after a callback's hook; refuse other values.

    The owner of an array of no dimensions may change it later, and so would change the history.
    """
    owner = type(getattr(hook, "__self__", hook)).__name__
    for name, value in logs.items():
        if not isinstance(name, str):
            raise TypeError(
                f"{owner} has put {shown(name)} into the logs of epoch {epoch + 1}; names must be "
                f"text, such as {str(name)!r}"
            )
        if type(value) is float or is_bool(value):
            continue
        try:
            if isinstance(value, str | bytes | bytearray) or np.ndim(value) > 0:
                raise TypeError
            logs[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(
                f"{owner} has put {name}={shown(value)} into the logs of epoch {epoch + 1}; log a "
                "number, nan if there is none, and keep other values in an attribute"
            ) from None


class _AnyLog(dict[str, float]):
    """Logs of an epoch that contain every name."""

    def __missing__(self, name: str) -> float:
        return 0.5


def path_template(name: str, value: object) -> tuple[str, list[str]]:
    """Return a path that may have fields such as {epoch:03d}, and the names of its fields."""
    import string  # slow to import and rarely needed

    path = file_path(name, value)
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(path) if field is not None]
        if not all(re.fullmatch(r"(?!\d+$)[^.\[\]{}]+", field) for field in fields):
            raise ValueError(
                "a field must be {epoch} or the name of a loss or metric, such as {loss}"
            )
        path.format_map(_AnyLog(epoch=1))
    except ValueError as error:
        raise ValueError(
            f"{name} is not a valid format string: {error}; write it like "
            f"'net-{{epoch:03d}}.safetensors', and {{{{ for a brace; got {path!r}"
        ) from None
    return path, fields


def path_fields(name: str, path: str, fields: Iterable[str], names: Sequence[str]) -> None:
    """Check that the logs will have a value for every field of a path."""
    for field in fields:
        if field not in ("epoch", *names):
            raise ValueError(
                f"{name} {path!r} has the field {field!r}, which is not among "
                f"{quoted(['epoch', *names])}; use one of these"
            )


def separator(value: object) -> str:
    """Return the character that separates the columns of a file."""
    if not isinstance(value, str):
        raise TypeError(f"separator must be one character such as ',' or ';'; got {shown(value)}")
    if len(value) != 1 or value.isalnum() or value in '+-._"\r\n\0':
        raise ValueError(
            "separator must be one character that does not occur in numbers and names, such as "
            f"',' or ';'; got {shown(value)}"
        )
    return text(value)


def log_columns(path: str, columns: Sequence[str], names: Sequence[str]) -> None:
    """Check that a log file can be appended to: its columns include the epoch and these names."""
    missing = [name for name in ("epoch", *names) if name not in columns]
    if missing:
        raise ValueError(
            f"path {path!r} has the columns {quoted(columns)} but not {quoted(missing)}; pass "
            "another path, the file's separator, or append=False to replace the file"
        )


def not_a_log(path: str, error: Exception) -> NoReturn:
    """Raise the error for a file to append to that is not UTF-8 text."""
    raise ValueError(
        f"path {path!r} is not a CSV file of UTF-8 text ({error}); pass another path, or "
        "append=False to replace the file"
    ) from error


def text_stream(name: str, value: Any) -> TextIO | None:
    """Return a stream to write text to, or None."""
    if value is not None and not callable(getattr(value, "write", None)):
        raise TypeError(f"{name} must be a text stream such as sys.stdout; got {shown(value)}")
    stream: TextIO | None = value
    return stream


def rate_schedule(value: Any) -> tuple[Callable[..., Any], bool]:
    """Return a function of the epoch or of (epoch, rate), and whether it takes the rate."""
    wanted = "schedule must be a function of the epoch, or of the epoch and the learning rate"
    if not callable(value):
        raise TypeError(f"{wanted}; got {shown(value)}")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # some built-ins have no signature
        return value, False
    for example in ((0, 0.1), (0,)):
        try:
            signature.bind(*example)
        except TypeError:
            continue
        return value, len(example) == 2
    raise TypeError(f"{wanted}; got {shown(value)}, which takes {signature}")


def constant_rate(owner: str, value: object) -> None:
    """Check that an optimizer's learning rate is a number, so that a callback can set it."""
    if not isinstance(value, numbers.Real):
        raise ValueError(
            f"{owner} sets the learning rate, but that of the optimizer follows {shown(value)}; "
            "drop the callback, or give the optimizer a number as its learning_rate"
        )


def callback_state(owner: str, value: Any, names: Iterable[str]) -> Mapping[str, Any]:
    """Check that a callback's state has an entry for each of these names."""
    if not isinstance(value, Mapping):
        raise TypeError(f"state must be what {owner}.get_state() returned; got {shown(value)}")
    missing = [name for name in names if name not in value]
    if missing:
        raise ValueError(f"state has no {quoted(missing)}; pass what {owner}.get_state() returned")
    return value
