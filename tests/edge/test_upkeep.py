from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge.upkeep import Upkeep


class Errands:
    """Times at which something is to be done."""

    def __init__(self) -> None:
        self.on_due: Callable[[], None] = lambda: None
        self.times: list[float] = []
        self.done: list[float] = []
        self.finished = asyncio.Event()

    def add(self, seconds: float) -> None:
        self.times = sorted([*self.times, time.monotonic() + seconds])
        self.on_due()

    @property
    def due(self) -> float | None:
        return self.times[0] if self.times else None

    def tend(self) -> None:
        now = time.monotonic()
        self.done += [one for one in self.times if one <= now]
        self.times = [one for one in self.times if one > now]
        if self.done and not self.times:
            self.finished.set()


def test_what_is_due_is_done_in_time_and_in_order_and_then_there_is_no_timer() -> None:
    async def main() -> None:
        one, other = Errands(), Errands()
        upkeep = Upkeep((one, other))
        assert upkeep._timer is None
        one.add(0.05)
        one.add(0.01)
        other.add(0.02)
        await asyncio.wait_for(asyncio.gather(one.finished.wait(), other.finished.wait()), 5.0)
        assert one.done == sorted(one.done)
        assert len(one.done) == 2
        assert upkeep._timer is None

    asyncio.run(main())


def test_after_its_end_nothing_is_done() -> None:
    async def main() -> None:
        errands = Errands()
        upkeep = Upkeep((errands,))
        errands.add(0.0)
        upkeep.close()
        assert upkeep._timer is None
        errands.add(0.0)
        assert upkeep._timer is None

    asyncio.run(main())
