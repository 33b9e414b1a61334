"""Clean-up at the end of a call of `fit_many`, completed without delay in spite of Ctrl-C."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def despite_ctrl_c(function: Callable[..., None], *args: Any) -> None:
    """Call a function again until no Ctrl-C interrupts it; then raise the KeyboardInterrupt."""
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            function(*args)
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Disable the garbage collector, which takes a second for the objects of 100,000 networks."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
