"""A look at an upstream: a connection of its own, and on it perhaps a request."""

from __future__ import annotations

import asyncio

from h2s.messages import HealthCheck

from ..upstream import Channel, Pool, UpstreamError
from ..upstream.response import Event, Head, ResponseReader

__all__ = ["probe"]


async def probe(pool: Pool, check: HealthCheck) -> str | None:
    """Check an upstream once. Returns why it did not pass, or None; takes no longer than the check may."""
    try:
        async with asyncio.timeout(check.timeout):
            return await _probe(pool, check)
    except TimeoutError:
        return f"no answer to a check within {check.timeout:g} s"


async def _probe(pool: Pool, check: HealthCheck) -> str | None:
    channel = await pool.connect()
    if isinstance(channel, UpstreamError):
        return str(channel)
    try:
        if check.kind == "tcp":
            return None
        answer = _Answer()
        channel.begin(answer, ResponseReader(method=b"GET", upgrade=None))
        channel.write([_request(check, pool.upstream.authority)])
        result = await answer.result
        if isinstance(result, UpstreamError):
            return str(result)
        return None if check.expects(result) else f"{check.path} was answered with {result}"
    finally:
        channel.drop()


def _request(check: HealthCheck, authority: bytes) -> bytes:
    host = check.host.encode("ascii") or authority
    return (
        b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: backplane-agent\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        % (check.path.encode("ascii"), host)
    )


class _Answer:
    """The `Exchange` of a check: it waits for a status."""

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

    def _set(self, result: int | UpstreamError) -> None:
        if not self.result.done():
            self.result.set_result(result)
