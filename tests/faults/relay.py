"""A TCP relay that stands for the network between agents and an edge, and can be made to fail like one.

It passes bytes without looking at them. Each direction has its own condition: open or stalled, a delay, a rate. A
stalled direction passes nothing at all, not even the end of a connection, so both ends believe that the other still
stands: this is what a router that has lost its state, or a cable that is out, looks like from either side. `cut` is
the opposite: every connection is reset at once.

The relay runs in a thread with an event loop of its own; its methods can be called from any other thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.e2e.address import Address

__all__ = ["Relay"]

PIECE = 64 * 1024
PIECES_UNDER_WAY = 64
"""Pieces that a delayed direction holds at the most."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset."""


@dataclass(slots=True)
class Direction:
    """How bytes travel one way, over all connections."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    delay: float = 0.0
    rate: float = 0.0
    """Bytes a second on each connection; 0 is as fast as it goes."""


class Relay:
    """Passes connections on to `target` as long as the `with` block lasts."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.address: Address
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._to_edge = Direction()
        self._to_agent = Direction()
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- what can be done to the network ---------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        self._do(self._reset_all)

    def stall(self, *, to_edge: bool = True, to_agent: bool = True) -> None:
        """Pass nothing more in these directions until `heal`; new connections come about but pass nothing either."""

        def close() -> None:
            if to_edge:
                self._to_edge.open.clear()
            if to_agent:
                self._to_agent.open.clear()

        self._do(close)

    def shape(self, *, delay: float = 0.0, rate: float = 0.0) -> None:
        """Pass bytes `delay` seconds late and no more than `rate` bytes a second, in each direction."""

        def set_both() -> None:
            for direction in (self._to_edge, self._to_agent):
                direction.delay, direction.rate = delay, rate

        self._do(set_both)

    def heal(self) -> None:
        """Pass everything at once again, also what was held back."""
        self._do(self._open_all)

    # -- inside, in the relay's thread -----------------------------------------------------------------------------

    def _do(self, action: Callable[[], None]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            action()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result()

    async def _start(self) -> None:
        self._open_all()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.address = Address(*self._server.sockets[0].getsockname())

    async def _stop(self) -> None:
        self._server.close()
        self._open_all()
        self._reset_all()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _open_all(self) -> None:
        for direction in (self._to_edge, self._to_agent):
            direction.delay = direction.rate = 0.0
            direction.open.set()

    def _reset_all(self) -> None:
        for writer in self._writers:
            sock: socket.socket = writer.get_extra_info("socket")
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, self._to_edge), self._pass(far_reader, writer, self._to_agent)
            )
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        """Pass one direction of one connection, to its end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_UNDER_WAY)
        arriving = asyncio.create_task(self._take(reader, under_way, direction))
        try:
            while True:
                due, data = await under_way.get()
                if (wait := due - self._loop.time()) > 0:
                    await asyncio.sleep(wait)
                await direction.open.wait()
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                if direction.rate:
                    await asyncio.sleep(len(data) / direction.rate)
            writer.write_eof()
        except OSError:
            writer.transport.abort()
        finally:
            arriving.cancel()

    async def _take(
        self,
        reader: asyncio.StreamReader,
        under_way: asyncio.Queue[tuple[float, bytes]],
        direction: Direction,
    ) -> None:
        """Read what arrives; the end is an empty piece. A reset counts as an end."""
        data = b"."
        while data:
            data = b""
            with contextlib.suppress(OSError):
                data = await reader.read(PIECE)
            await under_way.put((self._loop.time() + direction.delay, data))
