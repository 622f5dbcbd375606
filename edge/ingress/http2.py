"""A public HTTP/2 connection: the owner of its streams, its idle time and its end.

Draining takes two steps (RFC 9113 §6.8): a GOAWAY that names the highest possible stream tells the client to open no
more; a moment later, when what the client had sent before it knew has arrived, a second one names the last stream
taken. When no stream is left the connection closes.

Floods are the session's to find (`h2s.engine.session`): cancelling, which is cheap for a client and dear for what is
behind the edge, and frames without use. Clients that keep others waiting are found here, by patrols of the connection
that look at all its streams:

* each `stall_timeout` for responses of which the client has taken less than `stall_bytes`;
* each `body_timeout` for requests of which less has come than `body_rate` asks;
* each `tunnel_timeout`, or `idle_timeout` for the last half of one, for tunnels in which nothing has moved.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import cast

from edge.problem import Refusal
from h2s.connection import Connection, Stream
from h2s.engine import Limits, Role, create_session
from h2s.engine.session import Fields, Goaway, Rate
from h2s.errors import ErrorCode
from h2s.liveness import Liveness, LivenessTimes

from .context import Context
from .deadline import Deadline
from .http2_exchange import Http2Exchange, Waits
from .http2_head import HEAD_ALLOWANCE, understand
from .patrol import Patrol
from .refused import refused_request

__all__ = ["Http2Connection"]

GOAWAY_MOMENT = 0.5
"""Seconds between the two GOAWAYs of a drain."""
DRAIN_POLL = 0.05
"""Seconds between looks at a draining connection for streams that are left."""
QUEUE_HIGH, QUEUE_LOW = 64 * 1024, 16 * 1024
"""Bytes queued for a stream at which the gateway is told to wait, and to go on: one client may have many streams."""
_NO_MORE_STREAMS = 2**31 - 1


class Http2Connection:
    """One public connection that speaks HTTP/2."""

    def __init__(self, context: Context, transport: asyncio.Transport) -> None:
        limits = context.limits
        self.context = context
        self.loop = asyncio.get_running_loop()
        self.scheme = b"http" if transport.get_extra_info("ssl_object") is None else b"https"
        peername = transport.get_extra_info("peername")
        self.peer = str(peername[0]) if isinstance(peername, tuple) else ""
        session = create_session(
            Role.SERVER,
            Limits(
                max_concurrent_streams=limits.concurrent_streams,
                max_header_list_size=limits.header_bytes * HEAD_ALLOWANCE,
                connect_protocol=True,
                queue_high=QUEUE_HIGH,
                queue_low=QUEUE_LOW,
                resets=Rate(limits.reset_burst, limits.resets_per_second),
                overhead=Rate(limits.overhead_burst, limits.overhead_per_second),
            ),
        )
        liveness = Liveness(LivenessTimes(idle=limits.idle_timeout), now=self.loop.time())
        self.connection = Connection(session, self, liveness=liveness)
        self._transport = transport
        self._deadline = Deadline(self.loop, self._on_deadline)
        self._draining = False
        self._stalls = Patrol(self.loop, limits.stall_timeout, self._look_for_stalls)
        self._patrols = {
            waits: Patrol(self.loop, interval, partial(self._look_after, waits, least))
            for waits, interval, least in (
                (Waits.BODY, limits.body_timeout, max(1, limits.body_rate * limits.body_timeout)),
                (Waits.BOTH_WAYS, limits.tunnel_timeout, 1),
                (Waits.LAST_WAY, limits.idle_timeout, 1),
            )
        }

    def start(self) -> None:
        """Take over the transport; the client has `head_timeout` for its first request."""
        self.context.connections.add(self)
        self._deadline.set(self.loop.time() + self.context.limits.head_timeout)
        self._transport.set_protocol(cast(asyncio.BaseProtocol, self.connection))
        self.connection.connection_made(self._transport)

    # -- what the listener uses -----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No request is being read or answered."""
        return self.connection.session.open_streams == 0

    def begin_drain(self) -> None:
        """Announce the end; a moment later name the last stream, and close when none is left."""
        if not self._draining and not self.connection.closed:
            self._draining = True
            self.connection.session.goaway(ErrorCode.NO_ERROR, last_stream_id=_NO_MORE_STREAMS)
            self.connection.flush_soon()
            self._deadline.set(self.loop.time() + GOAWAY_MOMENT)

    def close_idle(self) -> None:
        """Close if no request is under way."""
        if self.idle:
            self.connection.close()

    def abort(self) -> None:
        """Close now whatever is under way."""
        self.connection.abort()

    # -- what the streams use -------------------------------------------------------------------------------------

    @property
    def written(self) -> bool:
        """All that could be written has been."""
        return self._transport.get_write_buffer_size() == 0

    def active(self) -> None:
        """Put the end of the idle time off."""
        if not self._draining:
            self._deadline.set(self.loop.time() + self.context.limits.idle_timeout)

    def watch(self, waits: Waits) -> None:
        """See to it that somebody looks after what a stream waits for."""
        self._patrols[waits].start()

    # -- h2s.connection.Owner -------------------------------------------------------------------------------------

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """Hand a request to the gateway."""
        self.active()
        self._stalls.start()
        exchange = Http2Exchange(self, stream_id, request_done=end_stream)
        try:
            request = understand(
                fields,
                limits=self.context.limits,
                scheme=self.scheme,
                peer=self.peer,
                started=time.monotonic(),
                end_stream=end_stream,
            )
        except Refusal as refusal:
            now = time.monotonic()
            refused = refused_request(fields, scheme=self.scheme, peer=self.peer, started=now)
            request_id = self.context.gateway.refused(refused, refusal.status, refusal.code)
            exchange.head_only = (b":method", b"HEAD") in fields
            exchange.answer(refusal, request_id)
        else:
            exchange.head_only = request.method == b"HEAD"
            exchange.upgrade = request.upgrade is not None
            exchange.inbound = self.context.gateway.begin(request, exchange)
            if not end_stream:
                self.watch(Waits.BODY)
        return None if exchange.done else exchange

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """Nothing hangs on a client's SETTINGS but what the session does with them."""

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """A client that leaves closes by itself, or becomes idle."""

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """Forget the connection."""
        self._deadline.cancel()
        self._stalls.cancel()
        for patrol in self._patrols.values():
            patrol.cancel()
        self.context.connections.discard(self)

    # -- time -----------------------------------------------------------------------------------------------------

    def _on_deadline(self) -> None:
        if self._draining:
            self._drain()
            return
        if self.idle:
            self.connection.close()
        else:
            self.active()

    def _look_for_stalls(self) -> bool:
        """Reset the responses that the client leaves waiting; look again as long as there are streams."""
        connection = self.connection
        for stream_id in connection.session.stalled(self.context.limits.stall_bytes):
            exchange = connection.streams.get(stream_id)
            connection.reset(stream_id, ErrorCode.CANCEL)
            if exchange is not None:
                exchange.on_reset(ErrorCode.CANCEL, True)
        return connection.session.open_streams > 0

    def _look_after(self, waits: Waits, least: float) -> bool:
        """Look at the streams that wait for this; again as long as there are any."""
        waiting = False
        for stream in tuple(self.connection.streams.values()):
            exchange = cast(Http2Exchange, stream)
            if exchange.waits is waits:
                waiting = True
                exchange.look(waits, least)
        return waiting

    def _drain(self) -> None:
        connection = self.connection
        connection.session.goaway(ErrorCode.NO_ERROR)
        connection.flush_soon()
        self._await_last_stream()

    def _await_last_stream(self) -> None:
        connection = self.connection
        if connection.closed:
            return
        if self.idle and self.written:
            connection.close()
        else:
            self.loop.call_later(DRAIN_POLL, self._await_last_stream)
