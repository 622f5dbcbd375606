"""The HTTP/2 connections to one upstream that speaks it with prior knowledge (h2c).

A `Line` is one such connection. It is ready once the upstream's SETTINGS have come: they say how many streams it takes,
and that it speaks HTTP/2 at all. A `Trunk` has as many lines as its callers need streams: mostly one. Callers wait only
while the next line is made. A line that nobody uses is closed after a while; one that says GOAWAY is replaced, and
closed when its streams have ended.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import Protocol

from h2s.connection import Connection, Stream
from h2s.engine import create_session
from h2s.engine.session import Fields, Goaway, Limits, Role
from h2s.errors import RemoteProtocolError
from h2s.unsent import bound_unsent

from ..address import Upstream
from .deadlines import DeadlineQueue
from .dialing import connect
from .errors import UpstreamClosed, UpstreamConnectTimeout, UpstreamError, UpstreamInvalid, UpstreamRefused
from .settings import UpstreamTimes

__all__ = ["Caller", "Line", "Trunk"]

LIMITS = Limits(resets=None, overhead=None)
"""The upstream is the user's own: what it asks of us is bounded by what it is asked."""
GONE = getattr(select, "POLLRDHUP", 0)
"""What poll says of a connection that the other side has ended, where it can."""


class Caller(Protocol):
    """Somebody who wants a stream."""

    def on_line(self, line: Line) -> None:
        """A connection is there, with a free stream: open it now."""

    def on_upstream_error(self, error: UpstreamError) -> None:
        """None came about."""

    def expire(self) -> None:
        """The response's head did not come in time (`Trunk.awaiting_head`)."""


class Line:
    """One connection; an `h2s.connection.Owner`."""

    def __init__(self, trunk: Trunk) -> None:
        self.connection = Connection(create_session(Role.CLIENT, LIMITS), self)
        self.used = False
        """It has carried a stream before the present one."""
        self.ready: asyncio.Future[UpstreamError | None] = asyncio.get_running_loop().create_future()
        self._trunk = trunk
        self._poll = select.poll()

    @property
    def free(self) -> int:
        """Streams that may be opened now."""
        if not self.ready.done() or self.ready.result() is not None:
            return 0
        if not self.connection.streams and self._poll.poll(0):
            return 0
        return self.connection.free_streams

    def start(self) -> None:
        """Set up the connection, which has been made."""
        transport = self.connection.transport
        if transport is not None and not transport.is_closing():
            sock = transport.get_extra_info("socket")
            bound_unsent(sock)
            self._poll.register(sock.fileno(), GONE)

    def open(self, fields: Fields, stream: Stream, *, end_stream: bool) -> int:
        """Open a stream. Raises NoFreeStream."""
        self._trunk.idle.discard(self)
        return self.connection.open(fields, stream, end_stream=end_stream)

    def done(self, stream_id: int) -> None:
        """Let go of a stream that has ended."""
        self.connection.forget(stream_id)
        self.used = True
        self._trunk.released(self)

    def retire(self) -> None:
        """Close: nobody uses it."""
        self.connection.close()

    # -- h2s.connection.Owner --------------------------------------------------------------------------------------

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """Never happens: a server opens no streams, for it may not push."""
        return None

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """The first SETTINGS make it ready."""
        if not self.ready.done():
            self.ready.set_result(None)

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """Take no more streams; those that run go on."""
        self._trunk.leaving(self)

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """The connection is gone; its streams have heard of it."""
        if not self.ready.done():
            self.ready.set_result(_not_ready(error))
        self._trunk.lost(self)


def _not_ready(error: Exception | None) -> UpstreamError:
    if isinstance(error, RemoteProtocolError):
        return UpstreamInvalid(f"the upstream does not speak HTTP/2 with prior knowledge: {error}")
    return UpstreamClosed(f"the upstream closed the connection before its SETTINGS came: {error or 'closed'}")


class Trunk:
    """Makes, lends, keeps and closes the connections to `upstream`."""

    def __init__(self, upstream: Upstream, times: UpstreamTimes) -> None:
        self.upstream = upstream
        self.idle: DeadlineQueue[Line] = DeadlineQueue(times.idle, Line.retire)
        self.awaiting_head: DeadlineQueue[Caller] = DeadlineQueue(times.head, lambda caller: caller.expire())
        self._times = times
        self._lines: list[Line] = []
        """Those that take streams."""
        self._open: set[Line] = set()
        """Those that have not been lost."""
        self._waiting: deque[Caller] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._open)

    async def connect(self) -> Line | UpstreamError:
        """Make a connection for whoever `retire`s it, or say why there is none."""
        return await self._make()

    def acquire(self, caller: Caller) -> None:
        """Find a stream for `caller`: on a connection that is there at once, or later on a new one.

        It hears `on_line` or `on_upstream_error`, unless it calls `cancel` before.
        """
        loop = asyncio.get_running_loop()
        if self._closed:
            loop.call_soon(caller.on_upstream_error, UpstreamRefused("the agent is stopping"))
            return
        line = None if self._waiting else self._find()
        if line is not None:
            caller.on_line(line)
            return
        self._waiting.append(caller)
        if self._connecting is None:
            self._connecting = loop.create_task(self._connect())

    def cancel(self, caller: Caller) -> None:
        """Forget `caller`, who waits."""
        if caller in self._waiting:
            self._waiting.remove(caller)

    async def close(self) -> None:
        """Abort every connection and wait until they are gone. Streams that still run fail."""
        self._closed = True
        task = self._connecting
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self._fail(UpstreamRefused("the agent is stopping"))
        self.idle.close()
        self.awaiting_head.close()
        if self._open:
            self._empty = asyncio.get_running_loop().create_future()
            for line in tuple(self._open):
                line.connection.abort()
            await self._empty

    # -- for lines -------------------------------------------------------------------------------------------------

    def released(self, line: Line) -> None:
        """See what becomes of a connection of which a stream has ended."""
        if line.connection.streams or line not in self._open:
            return
        if line in self._lines:
            self.idle.add(line)
        else:
            line.connection.close_when_sent()

    def leaving(self, line: Line) -> None:
        """Open no more streams on a connection; close it when those that run have ended."""
        if line in self._lines:
            self._lines.remove(line)
            self.idle.discard(line)
        self.released(line)

    def lost(self, line: Line) -> None:
        """Forget a connection that is gone."""
        self._open.discard(line)
        self.idle.discard(line)
        if line in self._lines:
            self._lines.remove(line)
        if not self._open and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _find(self) -> Line | None:
        """Return the connection with the most free streams, or None when none has one."""
        best, most = None, 0
        for line in self._lines:
            free = line.free
            if free > most:
                best, most = line, free
        return best

    async def _connect(self) -> None:
        """Make connections as long as somebody waits for one."""
        try:
            while self._waiting:
                result = await self._make()
                if isinstance(result, UpstreamError):
                    self._fail(result)
                    continue
                if not result.free:
                    result.connection.close()
                    self._fail(UpstreamInvalid("the upstream allows no streams"))
                    continue
                self._lines.append(result)
                self.idle.add(result)
                while self._waiting and (line := self._find()) is not None:
                    self._waiting.popleft().on_line(line)
        finally:
            self._connecting = None

    async def _make(self) -> Line | UpstreamError:
        loop = asyncio.get_running_loop()
        line = Line(self)
        deadline = loop.time() + self._times.connect
        error = await connect(self.upstream, lambda: line.connection, timeout=self._times.connect, tls=None)
        if error is not None:
            return error
        self._open.add(line)
        if line.connection.closed:
            self.lost(line)
        line.start()
        try:
            async with asyncio.timeout_at(deadline):
                error = await asyncio.shield(line.ready)
        except TimeoutError:
            error = UpstreamConnectTimeout("the upstream sent no SETTINGS in time: does it speak HTTP/2?")
        finally:
            if not line.ready.done() or line.ready.result() is not None:
                line.connection.abort()
        return error or line

    def _fail(self, error: UpstreamError) -> None:
        waiting, self._waiting = self._waiting, deque()
        for caller in waiting:
            caller.on_upstream_error(error)
