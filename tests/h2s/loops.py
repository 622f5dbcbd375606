"""Event loops for tests: nothing may be left in them, and no error may go unnoticed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

__all__ = ["LOOPS", "Bug", "in_loop", "live_timers", "run_in", "until"]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
DESCRIPTORS = Path("/proc/self/fd")


class Bug(Exception):
    """What a test raises inside a callback on purpose."""


async def until(probe: Callable[[], object], *, within: float = 10.0) -> None:
    """Ask again and again until `probe` is true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not probe():
        assert loop.time() < deadline, "not in time"
        await asyncio.sleep(0.002)


def live_timers() -> list[asyncio.TimerHandle]:
    """Return the timers of this project that are still scheduled on the running loop, if it is asyncio's own."""
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return [timer for timer in scheduled if not timer.cancelled() and _is_ours(timer)]


def run_in(
    new_loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Run `main`; fail if an error was reported, or if a task, a timer of ours or a file descriptor is left."""
    reported: list[dict[str, Any]] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        async with asyncio.timeout(30):
            await main()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, within=3.0)
        await until(lambda: not live_timers(), within=3.0)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.sleep(0))  # what a first loop opens stays open for the next ones
    before = _descriptors()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(watched())
    gc.collect()
    bugs = [context for context in reported if not isinstance(context.get("exception"), Bug)]
    assert not bugs, f"errors were reported: {bugs}"
    assert _descriptors() <= before, "a file descriptor is left"


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make a test that needs no socket an ordinary function."""

    def run() -> None:
        run_in(asyncio.new_event_loop, test)

    run.__name__ = test.__name__
    return run


def _is_ours(timer: asyncio.TimerHandle) -> bool:
    callback: Any = timer._callback  # type: ignore[attr-defined]
    module = getattr(callback, "__module__", "") or ""
    return module.startswith(("h2s.", "agent."))


def _descriptors() -> int:
    return len(list(DESCRIPTORS.iterdir())) if DESCRIPTORS.exists() else 0
