"""The agent's end of one tunnel: requests go to upstreams, control calls are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from pydantic import ValidationError

from h2s.connection import Connection, Stream
from h2s.control import Channel, Code, ControlError, accept_channel, control_nonce, refuse_call
from h2s.engine.session import Fields, Goaway
from h2s.errors import ConnectionLost, ErrorCode
from h2s.messages import AgentMessage, ConfigAck, Drain, Draining, EdgeMessage, Report, Welcome
from h2s.wire import CONTROL_PATH, ERROR_FIELD, SERVICE_FIELD

from .forward import Forward
from .upstream import Service

__all__ = ["AgentTunnel"]

log: Any = structlog.get_logger("agent.tunnel")

SYNC_PATH = CONTROL_PATH + b"Sync"


class AgentTunnel:
    """One swapped connection; an `h2s.connection.Owner`."""

    def __init__(
        self,
        welcome: Callable[[], Welcome],
        *,
        services: Mapping[bytes, Service],
        report: Callable[[], Report],
        on_drain: Callable[[Drain], None],
    ) -> None:
        """Make the owner of a connection that is about to be; `welcome` gives the edge's answer once it is there."""
        loop = asyncio.get_running_loop()
        self.connection: Connection | None = None
        self.closed: asyncio.Future[Exception] = loop.create_future()
        """Why the tunnel ended, once it has."""
        self._welcome = welcome
        self._services = services
        self._report = report
        self._tell_drain = on_drain
        self._sync: Channel | None = None
        self._acked: asyncio.Future[None] = loop.create_future()
        self._running: set[Forward] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """Requests that are running."""
        return len(self._running)

    def send_report(self) -> None:
        """Tell the edge how the instances are now."""
        if self._sync is not None:
            self._sync.send(AgentMessage(report=self._report()))

    async def drain(self, reason: str) -> None:
        """Finish: have the edge open no more streams, let the running ones end, then close.

        Cancelling closes the tunnel at once.
        """
        try:
            if self._sync is not None:
                self._sync.send(AgentMessage(draining=Draining(reason=reason)))
                await asyncio.wait((self._acked, self.closed), return_when=asyncio.FIRST_COMPLETED)
            idle = asyncio.ensure_future(self._idle.wait())
            await asyncio.wait((idle, self.closed), return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
        finally:
            if self.connection is not None:
                self.connection.close(ErrorCode.NO_ERROR, b"the agent is stopping")

    # -- h2s.connection.Owner ----------------------------------------------------------------------------------------

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """A control call, or a request for one of the services."""
        self.connection = connection
        if control_nonce(fields) is not None:
            return self._on_call(connection, stream_id, fields)
        service = self._services.get(_service_of(fields))
        if service is None:
            head = [(b":status", b"502"), (ERROR_FIELD, b"no-such-service")]
            connection.send_head(stream_id, head, end_stream=True)
            if not end_stream:
                connection.reset(stream_id, ErrorCode.NO_ERROR)
            return None
        self._idle.clear()
        forward = Forward.begin(connection, stream_id, fields, end_stream, service, on_done=self._on_done)
        self._running.add(forward)
        return forward

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """The edge's SETTINGS: nothing to decide."""
        self.connection = connection

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """The edge will close the tunnel when what runs is over."""
        log.debug("edge sent GOAWAY", code=event.code, reason=event.debug.decode("utf-8", "replace"))
        connection.close()

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """The tunnel is gone; every `Forward` has heard of it."""
        if not self.closed.done():
            self.closed.set_result(error or ConnectionLost("closed"))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _on_call(self, connection: Connection, stream_id: int, fields: Fields) -> Stream | None:
        path = dict(fields).get(b":path")
        nonce = self._welcome().control_nonce
        channel = accept_channel(
            connection,
            stream_id,
            fields,
            nonce=nonce,
            on_message=self._on_message,
            on_end=self._on_sync_end,
        )
        if channel is None:
            log.warning("a request with a wrong control nonce was reset")
            return None
        if path != SYNC_PATH or self._sync is not None:
            channel.finish(Code.UNIMPLEMENTED, "no such method")
            return None
        self._sync = channel
        self.send_report()
        return channel

    def _on_message(self, payload: bytes) -> None:
        try:
            message = EdgeMessage.model_validate_json(payload)
        except ValidationError as error:
            raise ControlError(Code.INVALID_ARGUMENT, f"not an edge's message: {error.error_count()} errors") from None
        if message.drain is not None:
            self._tell_drain(message.drain)
        elif message.drain_ack is not None:
            if not self._acked.done():
                self._acked.set_result(None)
        elif message.config is not None and self._sync is not None:
            self._sync.send(AgentMessage(config_ack=ConfigAck(version=message.config.version)))

    def _on_sync_end(self, code: Code, message: str) -> None:
        self._sync = None

    def _on_done(self, forward: Forward) -> None:
        self._running.discard(forward)
        if not self._running:
            self._idle.set()


def _service_of(fields: Fields) -> bytes:
    for name, value in fields:
        if name == SERVICE_FIELD:
            return value
    return b""
