"""A look at an upstream: a connection of its own, and on it perhaps a request."""

from __future__ import annotations

import asyncio

from h2s.engine.session import Fields
from h2s.errors import NoFreeStream
from h2s.messages import HealthCheck

from ..upstream import Channel, Pool, Trunk, UpstreamError
from ..upstream.errors import UpstreamClosed, UpstreamInvalid
from ..upstream.response import Event, Head, ResponseReader
from .grpc import ask_grpc

__all__ = ["probe"]

USER_AGENT = b"backplane-agent"


async def probe(pool: Pool, check: HealthCheck) -> str | None:
    """Check an upstream once. Returns why it did not pass, or None; takes no longer than the check may."""
    try:
        async with asyncio.timeout(check.timeout):
            return await _probe(pool, check)
    except TimeoutError:
        return f"no answer to a check within {check.timeout:g} s"


async def _probe(pool: Pool, check: HealthCheck) -> str | None:
    if check.kind == "grpc":
        if pool.trunk is None:
            return "a check by gRPC needs an upstream of h2c"
        return await ask_grpc(pool, pool.trunk, check)
    result = await (_ask_http1(pool, check) if pool.trunk is None else _ask_http2(pool, pool.trunk, check))
    if isinstance(result, UpstreamError):
        return str(result)
    if result is None or check.expects(result):
        return None
    return f"{check.path} was answered with {result}"


async def _ask_http1(pool: Pool, check: HealthCheck) -> int | UpstreamError | None:
    """Return the status of an answer, or None if the check wants none."""
    channel = await pool.connect()
    if isinstance(channel, UpstreamError):
        return channel
    try:
        if check.kind == "tcp":
            return None
        answer = _Answer()
        channel.begin(answer, ResponseReader(method=b"GET", upgrade=None))
        path, host = check.path.encode("ascii"), check.host.encode("ascii") or pool.upstream.authority
        head = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        channel.write([head % (path, host, USER_AGENT)])
        return await answer.result
    finally:
        channel.drop()


async def _ask_http2(pool: Pool, trunk: Trunk, check: HealthCheck) -> int | UpstreamError | None:
    """Do the same where HTTP/2 is spoken; a connection is one when SETTINGS have come."""
    line = await trunk.connect()
    if isinstance(line, UpstreamError):
        return line
    try:
        if check.kind == "tcp":
            return None
        answer = _Answer()
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", check.host.encode("ascii") or pool.upstream.authority),
            (b":path", check.path.encode("ascii")),
            (b"user-agent", USER_AGENT),
        ]
        line.open(fields, answer, end_stream=True)
        return await answer.result
    except NoFreeStream as error:
        return UpstreamInvalid(str(error))
    finally:
        line.retire()


class _Answer:
    """What is heard of a check, an `Exchange` and a `Stream`: it waits for a status."""

    def __init__(self) -> None:
        self.result: asyncio.Future[int | UpstreamError] = asyncio.get_running_loop().create_future()

    def on_channel(self, channel: Channel) -> None:
        """Never happens: the connection was made for it."""

    def on_upstream_events(self, events: list[Event]) -> None:
        """Take the final head; 1xx and the body say nothing."""
        for event in events:
            if isinstance(event, Head):
                self._set(int(event.fields[0][1]))

    def on_upstream_writable(self) -> None:
        """Nothing more is written."""

    def on_upstream_error(self, error: UpstreamError) -> None:
        """Take the error, if it comes before the head."""
        self._set(error)

    def on_informational(self, fields: Fields) -> None:
        """1xx says nothing."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Take the final head."""
        self._set(int(fields[0][1]))

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """The body says nothing."""

    def on_trailers(self, fields: Fields) -> None:
        """Nor do trailers."""

    def on_reset(self, code: int, processed: bool) -> None:
        """Take it for an error, if it comes before the head."""
        self._set(UpstreamClosed("the upstream ended the stream of a check before it answered"))

    def on_drained(self) -> None:
        """Nothing was sent that could wait."""

    def _set(self, result: int | UpstreamError) -> None:
        if not self.result.done():
            self.result.set_result(result)
