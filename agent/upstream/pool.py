"""The connections to one upstream.

Idle connections are taken newest first, so that the surplus of a busy hour ages and goes. There is no limit on
connections in use: the tunnels' limits of concurrent streams are one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from ..address import Kind, Upstream
from .channel import Channel, Exchange
from .deadlines import DeadlineQueue
from .dialing import connect
from .errors import UNREACHABLE, UpstreamError, UpstreamRefused
from .settings import UpstreamTimes
from .trunk import Trunk

__all__ = ["Pool"]

HALF_CLOSED_TIMEOUT = 10.0
"""Seconds that an upgraded TLS connection stays open for the upstream when the client's direction has ended."""


class Pool:
    """Makes, lends, keeps and closes the connections to `upstream`."""

    def __init__(
        self, upstream: Upstream, times: UpstreamTimes | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` is what https upstreams are checked with; only they need it."""
        times = times or UpstreamTimes()
        self.upstream = upstream
        self.healthy = True
        """Set by whoever checks; the balancer prefers healthy upstreams."""
        self.reason = ""
        """Why it is not healthy, from whoever checks."""
        self.failures = 0
        """Requests in a row that were left unanswered, or answered in the way of a gateway that fails."""
        self.on_failure: Callable[[UpstreamError | None], None] | None = None
        """Called with each of them, and with each that could not be connected; an answer has no error."""
        self.in_flight = 0
        """Exchanges that have begun and are not over; counted by them."""
        self.idle: DeadlineQueue[Channel] = DeadlineQueue(times.idle, Channel.drop)
        self.awaiting_head: DeadlineQueue[Channel] = DeadlineQueue(times.head, Channel.expire)
        self.half_closed: DeadlineQueue[Channel] = DeadlineQueue(HALF_CLOSED_TIMEOUT, Channel.cut)
        self.trunk = Trunk(upstream, times) if upstream.kind is Kind.H2C else None
        """Where the connections are instead, if the upstream speaks HTTP/2."""
        self._times = times
        self._tls = tls
        self._channels: set[Channel] = set()
        self._connecting: dict[Exchange, asyncio.Task[None]] = {}
        self._closed = False
        self._empty: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """Connections that are open, idle or in use."""
        return len(self._channels) + (self.trunk.connections if self.trunk is not None else 0)

    def acquire(self, exchange: Exchange, *, fresh: bool = False) -> None:
        """Find a connection for `exchange`: an idle one at once, or a new one later (`fresh`: always a new one).

        The exchange hears `on_channel` or `on_upstream_error`, unless it calls `cancel` before.
        """
        if self._closed:
            loop = asyncio.get_running_loop()
            loop.call_soon(exchange.on_upstream_error, UpstreamRefused("the agent is stopping"))
            return
        while not fresh and len(self.idle):
            channel = self.idle.pop_newest()
            if channel.fit:
                exchange.on_channel(channel)
                return
            channel.drop()
        self._connecting[exchange] = asyncio.get_running_loop().create_task(self._connect(exchange))

    def cancel(self, exchange: Exchange) -> None:
        """Stop connecting for `exchange`, which hears nothing more of it."""
        task = self._connecting.get(exchange)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Abort every connection and wait until they are gone. Exchanges that still run fail."""
        self._closed = True
        if self.trunk is not None:
            await self.trunk.close()
        connecting = dict(self._connecting)
        for exchange, task in connecting.items():
            task.cancel()
            exchange.on_upstream_error(UpstreamRefused("the agent is stopping"))
        await asyncio.gather(*connecting.values(), return_exceptions=True)
        self.idle.close()
        self.awaiting_head.close()
        self.half_closed.close()
        if self._channels:
            self._empty = asyncio.get_running_loop().create_future()
            for channel in tuple(self._channels):
                channel.transport.abort()
            await self._empty

    # -- for exchanges, of how they end ----------------------------------------------------------------------------

    def failed(self, error: UpstreamError | None) -> None:
        """Count a request that was left unanswered because of `error`, or was answered with a gateway's error."""
        if self._closed:
            return
        if not isinstance(error, UNREACHABLE):
            self.failures += 1
        if self.on_failure is not None:
            self.on_failure(error)

    # -- for channels ----------------------------------------------------------------------------------------------

    def lost(self, channel: Channel) -> None:
        """Forget a connection that is gone."""
        self._channels.discard(channel)
        if not self._channels and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def keep(self, channel: Channel) -> None:
        """Keep a connection for reuse, if there is room."""
        if self._closed or len(self.idle) >= self._times.max_idle:
            channel.drop()
        else:
            self.idle.add(channel)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _connect(self, exchange: Exchange) -> None:
        try:
            result = await self.connect()
        finally:
            del self._connecting[exchange]
        if isinstance(result, Channel):
            exchange.on_channel(result)
        else:
            exchange.on_upstream_error(result)

    async def connect(self) -> Channel | UpstreamError:
        """Make a new connection, for whoever `drop`s or `release`s it, or say why there is none."""
        channel = Channel(self)
        error = await connect(self.upstream, lambda: channel, timeout=self._times.connect, tls=self._tls)
        if error is not None:
            return error
        if channel.transport.is_closing():
            return UpstreamRefused(f"{self.upstream} closed the connection as soon as it was made")
        self._channels.add(channel)
        return channel
