"""Running a server: its event loop, and the signals that stop it.

The first SIGTERM or SIGINT asks the server to stop by setting an event; the second ends it at once.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from .exit import CommandError

__all__ = ["run_until_stopped"]

T = TypeVar("T")

Main = Callable[[asyncio.Event], Coroutine[Any, Any, T]]


def run_until_stopped(main: Main[T]) -> T:
    """Run `main(stop)` to its end on uvloop, or on asyncio's loop where uvloop is not installed.

    Raises:
        CommandError: a second signal ended it before it had finished.
    """
    _allow_descriptors()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_with_signals(main))


def _allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: each connection takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _with_signals(main: Main[T]) -> T:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    task = asyncio.ensure_future(main(stop))

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        raise CommandError("stopped at once by a second signal") from None
