"""Clients that make both programs hold bytes, and one that measures how others fare meanwhile.

All of them are HTTP/1.1 clients of one event loop. What presses is one of `Pressure`:

* slow readers take a large answer at a trickle; the programs hold what the tunnel's window lets through,
* slow writers send a large body at a trickle,
* stalled readers take nothing of their answer at all,
* refused writers send as fast as they can to an app that does not read.

Their sockets' buffers are kept small, so that bytes wait in the programs and not in the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from tests.e2e.address import Address
from tests.e2e.client import request

__all__ = ["PRESSURES", "Latency", "Pressure", "measure", "pressing"]

SIZE = 100_000_000
TRICKLE = 8 * 1024
TRICKLE_PAUSE = 0.25
"""Seconds between two trickles: 32 KB/s."""
BULK = "bulk.localhost"
"""The service that is pressed; small GETs go to `web`, another app behind the same tunnel."""
BUFFER = 16 * 1024
PIECE = bytes(64 * 1024)
SOURCES = itertools.cycle(f"127.0.0.{number}" for number in range(2, 34))
"""Where clients come from, in turn: an edge lets each address have some connections only."""

Client = Callable[[Address], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pressure:
    """So many clients of one kind."""

    name: str
    clients: int
    client: Client
    unseen: bool = False
    """The edge does not read from them, so it learns that they have left only when the app's time is up."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long small GETs took, in seconds."""

    median: float
    p99: float
    failed: int


async def slow_reader(address: Address) -> None:
    """Take a large answer at a trickle."""
    async with _sending(address, request(f"/bytes/{SIZE}", host=BULK)) as sock:
        loop = asyncio.get_running_loop()
        for _ in range(SIZE // TRICKLE):
            await loop.sock_recv(sock, TRICKLE)
            await asyncio.sleep(TRICKLE_PAUSE)


async def slow_writer(address: Address) -> None:
    """Send a large body at a trickle."""
    head = request("/echo", f"Content-Length: {SIZE}", method="POST", host=BULK)
    async with _sending(address, head) as sock:
        loop = asyncio.get_running_loop()
        for _ in range(SIZE // TRICKLE):
            await loop.sock_sendall(sock, PIECE[:TRICKLE])
            await asyncio.sleep(TRICKLE_PAUSE)


async def stalled_reader(address: Address) -> None:
    """Take nothing of a large answer."""
    async with _sending(address, request(f"/bytes/{SIZE}", host=BULK)):
        await asyncio.Event().wait()


async def refused_writer(address: Address) -> None:
    """Send a large body to an app that does not read it."""
    head = request("/hold/pressure", f"Content-Length: {SIZE}", method="POST", host=BULK)
    async with _sending(address, head) as sock:
        loop = asyncio.get_running_loop()
        for _ in range(SIZE // len(PIECE)):
            await loop.sock_sendall(sock, PIECE)


PRESSURES = (
    Pressure("64 slow readers of 100 MB", 64, slow_reader),
    Pressure("64 slow writers of 100 MB", 64, slow_writer),
    Pressure("64 uploads of 100 MB that the app does not read", 64, refused_writer, unseen=True),
    Pressure("1,000 stalled readers of 100 MB", 1000, stalled_reader),
)


@contextlib.asynccontextmanager
async def _sending(address: Address, octets: bytes) -> AsyncIterator[socket.socket]:
    """Give a connection with small buffers on which these octets have been sent."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        sock.bind((next(SOURCES), 0))
        await loop.sock_connect(sock, address)
        await loop.sock_sendall(sock, octets)
        yield sock


@contextlib.asynccontextmanager
async def pressing(pressure: Pressure, address: Address) -> AsyncIterator[None]:
    """Press as long as the block lasts. Clients whose connection is ended do not come back."""

    async def run() -> None:
        with contextlib.suppress(OSError):
            await pressure.client(address)

    tasks = [asyncio.create_task(run()) for _ in range(pressure.clients)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(address: Address, *, requests: int, every: float) -> Latency:
    """Send small GETs at a pace, each on time whatever the one before did, and say how long they took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    results = await asyncio.gather(*(_timed(address, started + number * every) for number in range(requests)))
    took = sorted(result for result in results if result is not None)
    assert took, "no small GET was answered"
    return Latency(took[len(took) // 2], took[int(len(took) * 0.99)], requests - len(took))


async def _timed(address: Address, due: float) -> float | None:
    """Fetch `/` at the time `due`; return the seconds that it took, or None if it was not answered."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(due - loop.time())
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request("/", "Connection: close"))
        answer = await reader.read()
        writer.close()
    except OSError:
        return None
    return time.perf_counter() - began if answer.startswith(b"HTTP/1.1 200 ") else None
