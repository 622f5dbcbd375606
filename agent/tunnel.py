"""The agent's end of one tunnel: requests go to upstreams, control calls are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from h2s.connection import Connection, Stream
from h2s.control import INSPECT, POLL, SYNC, CallServer, Channel, Code, Duplex, Unary
from h2s.engine.session import Fields, Goaway
from h2s.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from h2s.messages import (
    AgentMessage,
    ConfigAck,
    Drain,
    Draining,
    EdgeMessage,
    Inspection,
    InspectRequest,
    PollRequest,
    Report,
    Welcome,
)
from h2s.wire import CONTROL_FIELD, ERROR_FIELD, SERVICE_FIELD

from .forward import Forward
from .load import is_noticeable
from .relay import Relay
from .upstream import Service

__all__ = ["AgentTunnel"]

log: Any = structlog.get_logger("agent.tunnel")

SYNC_TIMEOUT = 10.0
"""Seconds after the swap in which the edge must open Sync: before, it routes nothing through the tunnel."""
REPORT_PAUSE = 0.03
"""Seconds after a Report in which changes are gathered for the next one."""


class AgentTunnel:
    """One swapped connection; an `h2s.connection.Owner`."""

    def __init__(
        self,
        welcome: Callable[[], Welcome],
        *,
        services: Mapping[bytes, Service],
        report: Callable[[], Report],
        inspect: Callable[[], Inspection],
        on_drain: Callable[[Drain], None],
    ) -> None:
        """Make the owner of a connection that is about to be; `welcome` gives the edge's answer once it is there."""
        self._loop = asyncio.get_running_loop()
        self.connection: Connection | None = None
        self.closed: asyncio.Future[Exception] = self._loop.create_future()
        """Why the tunnel ended, once it has."""
        self.welcome = welcome
        """What the edge has said at the registration."""
        self._began_at = self._loop.time()
        self._services = services
        self._report = report
        self._inspect = inspect
        self._tell_drain = on_drain
        self._sync: Channel | None = None
        self._sync_timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._reported_at = -REPORT_PAUSE
        self._reported: Report | None = None
        self._acked: asyncio.Future[None] | None = None
        self._running: set[Forward | Relay] = set()
        self._leaving = False
        self._calls = CallServer(
            (
                Duplex(SYNC, self._on_sync, self._on_message, self._on_sync_end),
                Unary(POLL, self._on_poll),
                Unary(INSPECT, self._on_inspect),
            ),
            max_sent=self._max_sent,
            on_stranger=self._on_stranger,
        )

    @property
    def uptime(self) -> float:
        """Seconds since the edge was dialled."""
        return self._loop.time() - self._began_at

    @property
    def in_flight(self) -> int:
        """Requests that are running."""
        return len(self._running)

    def start(self, connection: Connection) -> None:
        """The swap is done: the edge is to open Sync within `SYNC_TIMEOUT`."""
        self.connection = connection
        if self._sync is None and not connection.closed:
            self._sync_timer = self._loop.call_later(SYNC_TIMEOUT, self._on_no_sync)

    def send_report(self) -> None:
        """Tell the edge how the instances are now: at once, or with what else changes within `REPORT_PAUSE`."""
        due = self._reported_at + REPORT_PAUSE
        if self._report_timer is None and due > self._loop.time():
            self._report_timer = self._loop.call_at(due, self._send_report)
        elif self._report_timer is None:
            self._send_report()

    def refresh_report(self, report: Report, max_age: float) -> None:
        """Send one if `report`, which is how things are now, differs noticeably from the last, or that is older."""
        last = self._reported
        if last is None or self._report_timer is not None:
            return
        if is_noticeable(last, report) or self._loop.time() - self._reported_at >= max_age:
            self.send_report()

    def _send_report(self) -> None:
        self._report_timer = None
        if self._sync is not None:
            self._reported_at = self._loop.time()
            self._reported = report = self._report()
            self._sync.send(AgentMessage(report=report))

    async def drain(self, reason: str) -> None:
        """Finish: have the edge open no more streams, let the running ones end, close, and wait until it is closed.

        Takes as long as the longest request; cancelling closes the tunnel at once.
        """
        try:
            if self._sync is not None:
                self._acked = self._loop.create_future()
                self._sync.send(AgentMessage(draining=Draining(reason=reason)))
                await asyncio.wait((self._acked, self.closed), return_when=asyncio.FIRST_COMPLETED)
            self._leave()
            await asyncio.wait((self.closed,))
        finally:
            if self.connection is not None:
                self.connection.close(ErrorCode.NO_ERROR, b"the agent is stopping")

    # -- h2s.connection.Owner ----------------------------------------------------------------------------------------

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """A control call, or a request for one of the services."""
        self.connection = connection
        name, is_call = _addressee(fields)
        if is_call:
            return self._on_call(connection, stream_id, fields, end_stream)
        service = self._services.get(name)
        if service is None:
            head = [(b":status", b"502"), (ERROR_FIELD, b"no-such-service")]
            connection.send_head(stream_id, head, end_stream=True)
            if not end_stream:
                connection.reset(stream_id, ErrorCode.NO_ERROR)
            return None
        if service.http2:
            relay = Relay.begin(connection, stream_id, fields, end_stream, service, on_done=self._on_done)
            self._running.add(relay)
            return relay
        forward = Forward.begin(connection, stream_id, fields, end_stream, service, on_done=self._on_done)
        self._running.add(forward)
        return forward

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """The edge's SETTINGS: nothing to decide."""
        self.connection = connection

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """The edge opens no more streams: what runs is finished."""
        log.debug("edge sent GOAWAY", code=event.code, reason=event.debug.decode("utf-8", "replace"))
        self._leave()

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """The tunnel is gone; every `Forward` has heard of it."""
        for timer in (self._sync_timer, self._report_timer):
            if timer is not None:
                timer.cancel()
        if not self.closed.done():
            self.closed.set_result(error or ConnectionLost("closed"))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _on_call(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        nonce = self.welcome().control_nonce
        return self._calls.take(connection, stream_id, fields, end_stream, nonce=nonce)

    def _max_sent(self) -> int:
        return self.welcome().limits.max_message

    def _on_stranger(self) -> None:
        log.warning("a request with a wrong control nonce was reset")

    def _on_sync(self, channel: Channel) -> None:
        if self._sync_timer is not None:
            self._sync_timer.cancel()
        self._sync = channel
        self.send_report()

    def _on_message(self, message: EdgeMessage) -> None:
        if message.drain is not None:
            self._tell_drain(message.drain)
        elif message.drain_ack is not None:
            if self._acked is not None and not self._acked.done():
                self._acked.set_result(None)
        elif message.config is not None and self._sync is not None:
            self._sync.send(AgentMessage(config_ack=ConfigAck(version=message.config.version)))

    def _on_poll(self, request: PollRequest) -> Report:
        return self._report()

    def _on_inspect(self, request: InspectRequest) -> Inspection:
        return self._inspect()

    def _on_sync_end(self, code: Code, message: str) -> None:
        """Without Sync the tunnel is of no use."""
        self._sync = None
        if self.connection is not None and not self.connection.closed:
            too_much = code is Code.RESOURCE_EXHAUSTED
            reason = ErrorCode.ENHANCE_YOUR_CALM if too_much else ErrorCode.PROTOCOL_ERROR
            self.connection.fail(RemoteProtocolError(f"Sync ended with {code.name}: {message}", reason))

    def _on_no_sync(self) -> None:
        assert self.connection is not None
        self.connection.fail(RemoteProtocolError(f"the edge opened no Sync within {SYNC_TIMEOUT:g} s"))

    def _on_done(self, forward: Forward | Relay) -> None:
        self._running.discard(forward)
        if self._leaving:
            self._leave()

    def _leave(self) -> None:
        """Close as soon as no request runs and every answer has been sent."""
        self._leaving = True
        if not self._running and self.connection is not None:
            self.connection.close_when_sent(ErrorCode.NO_ERROR, b"the agent is leaving")


def _addressee(fields: Fields) -> tuple[bytes, bool]:
    """Return the service that a request is for, and whether it claims to be a control call."""
    service = b""
    is_call = False
    for name, value in fields:
        if name == SERVICE_FIELD:
            service = service or value
        elif name == CONTROL_FIELD:
            is_call = True
    return service, is_call
