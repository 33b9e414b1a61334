"""Ctrl-C while a call of `fit_many` ends: what must be done before the call returns is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


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
