"""Running a server: its event loop, and how it ends.

`run_until_stopped` is for a server of one process: the first SIGTERM or SIGINT asks it to stop by setting an event; the
second ends it at once. `run_on_loop` and `exit_with` are for processes of a server that are told otherwise.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from .exit import CommandError

__all__ = ["exit_with", "run_on_loop", "run_until_stopped"]

M_MMAP_THRESHOLD = -3
"""See mallopt(3). Setting it also stops glibc from raising it."""
LARGE_BLOCK = 128 * 1024
"""Bytes; what glibc begins with."""

T = TypeVar("T")

Main = Callable[[asyncio.Event], Coroutine[Any, Any, T]]


def run_until_stopped(main: Main[T]) -> T:
    """Run `main(stop)` to its end, as `run_on_loop` does.

    Raises:
        CommandError: a second signal ended it before it had finished.
    """
    return run_on_loop(_with_signals(main))


def run_on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on uvloop, or on asyncio's loop where uvloop is not installed."""
    _allow_descriptors()
    _keep_large_blocks_apart()
    gc.freeze()  # what is loaded at the start stays
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run `main` and exit with its code, or with that of a CommandError, which is one line on stderr."""
    try:
        sys.exit(main())
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)


def _allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: each connection takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_large_blocks_apart() -> None:
    """Have glibc map each large block by itself for good, where glibc is what there is.

    uvloop gives each TLS connection a buffer of 256 KB and touches a small part of it. By default glibc takes such
    buffers from its heap as soon as one has been freed, at ever other places, so that as connections come and go page
    after page is touched and none given back: the process grows, though it holds no more.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


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
