"""One kind of pressure on an edge and an agent with a single tunnel, and what it cost.

Small GETs are timed three times: alone; at the onset, when the programs fill what they may hold as fast as the machine
can; and under the pressure once it lasts, which is what others have to live with.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.e2e.address import free_address
from tests.e2e.programs import Program
from tests.e2e.stage import Stage

from .pressure import Latency, Pressure, measure, pressing
from .site import Gauge

__all__ = ["Ordeal", "ordeal"]

EVERY = 0.01
"""Seconds between two small GETs."""
LOOK = 0.05
"""Seconds between two looks at the memory."""
QUIET = 1.0
"""Seconds without a change of memory after which a pressure lasts."""
NOTHING = 1_000_000
"""Bytes that are no change."""
PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Ordeal:
    """What a pressure did. Memory is the largest that was seen, in bytes."""

    pressure: Pressure
    alone: Latency
    onset: Latency
    under: Latency
    edge_memory: int
    agent_memory: int
    cut: int
    """Connections that the edge ended to save memory."""
    edge_before: int
    """File descriptors of the edge before."""
    edge_left: int
    """File descriptors of the edge at the end; 0 if it has not seen the clients go."""


class Peak:
    """The largest memory of a program that was seen.

    A look must cost next to nothing, since requests are timed in the same thread: so who belongs to the program, and
    how much its processes share, is found once. At rest they share least, so nothing looks smaller than it is.
    """

    def __init__(self, program: Program) -> None:
        self._processes = program.tree()
        self._shared = self._resident() - program.memory
        self.now = 0
        self.largest = 0

    def look(self) -> None:
        """Look once more."""
        self.now = self._resident() - self._shared
        self.largest = max(self.largest, self.now)

    def _resident(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)


async def ordeal(pressure: Pressure, stage: Stage, *, requests: int, chances: int = 1) -> Ordeal:
    """Put programs under pressure; `requests` small GETs are timed each time.

    Of `chances` times under the pressure the best one counts, on a machine that has other things to do.
    """
    app, bulk = stage.origin(), free_address()
    stage.run("bulk", [sys.executable, "-m", "tests.faults.app", "--port", str(bulk.port)])
    edge = stage.edge("edge", "--access-log", "none", "--drain-timeout", 1)
    services = {"web": app.url, "bulk": f"http://{bulk}"}
    agent = stage.agent("agent", "--tunnels", 1, "--drain-timeout", 1, edges=[edge], services=services)
    await measure(edge.public, requests=requests, every=EVERY)
    alone = await measure(edge.public, requests=requests, every=EVERY)
    before = Gauge.of(edge)
    peaks = Peak(edge), Peak(agent)
    async with watching(*peaks):
        async with pressing(pressure, edge.public):
            onset = await measure(edge.public, requests=requests, every=EVERY)
            await until_it_lasts(*peaks)
            connections = Gauge.of(edge).descriptors - before.descriptors
            times = [await measure(edge.public, requests=requests, every=EVERY) for _ in range(chances)]
        left = 0 if pressure.unseen else await settled(edge, before.descriptors)
    return Ordeal(
        pressure=pressure,
        alone=alone,
        onset=onset,
        under=min(times, key=lambda latency: latency.p99),
        edge_memory=peaks[0].largest,
        agent_memory=peaks[1].largest,
        cut=max(0, pressure.clients - connections),
        edge_before=before.descriptors,
        edge_left=left,
    )


@contextlib.asynccontextmanager
async def watching(*peaks: Peak) -> AsyncIterator[None]:
    """Look at the memory of programs again and again as long as the block lasts."""

    async def look() -> None:
        while True:
            for peak in peaks:
                peak.look()
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


async def until_it_lasts(*peaks: Peak) -> None:
    """Wait until the programs take no more memory, for a time that is bounded."""
    loop = asyncio.get_running_loop()
    started = quiet_since = loop.time()
    sizes = [peak.now for peak in peaks]
    while loop.time() - quiet_since < QUIET and loop.time() - started < PATIENCE:
        await asyncio.sleep(LOOK)
        now = [peak.now for peak in peaks]
        if any(abs(one - other) > NOTHING for one, other in zip(now, sizes, strict=True)):
            sizes, quiet_since = now, loop.time()


async def settled(program: Program, descriptors: int) -> int:
    """Wait, but not for ever, until a program has no more than so many descriptors; return how many it has."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while loop.time() < deadline:
        if Gauge.of(program).descriptors <= descriptors:
            break
        await asyncio.sleep(LOOK)
    return Gauge.of(program).descriptors
