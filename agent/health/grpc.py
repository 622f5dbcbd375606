"""A check by gRPC's own health service (grpc.health.v1, `Check`).

Its two messages are so small that they are written and read here by hand: the request is field 1, the service's name;
the response is field 1, a number, where 1 says SERVING.
"""

from __future__ import annotations

import asyncio

from h2s.engine.session import Fields
from h2s.errors import NoFreeStream
from h2s.messages import HealthCheck

from ..upstream import Pool, Trunk, UpstreamError

__all__ = ["ask_grpc"]

PATH = b"/grpc.health.v1.Health/Check"
STATES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
MAX_ANSWER = 1024
"""Bytes of an answer that are read."""
STATUS = b"grpc-status"


async def ask_grpc(pool: Pool, trunk: Trunk, check: HealthCheck) -> str | None:
    """Ask on a connection of its own. Returns why it is not serving, or None."""
    line = await trunk.connect()
    if isinstance(line, UpstreamError):
        return str(line)
    answer = _Call()
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", check.host.encode("ascii") or pool.upstream.authority),
        (b":path", PATH),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"backplane-agent"),
    ]
    try:
        stream_id = line.open(fields, answer, end_stream=False)
        line.connection.send_data(stream_id, _request(check.service), end_stream=True)
        return await answer.result
    except NoFreeStream as error:
        return str(error)
    finally:
        line.retire()


def _request(service: str) -> bytes:
    name = service.encode("ascii")
    message = b"\x0a%c%b" % (len(name), name) if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


class _Call:
    """The `Stream` of a check: it waits for a message and a status."""

    def __init__(self) -> None:
        self.result: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._answer = b""

    def on_informational(self, fields: Fields) -> None:
        """1xx says nothing."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Take a status other than 200, or one that comes without a message."""
        status = fields[0][1]
        if status != b"200":
            self._set(f"a check by gRPC was answered with {status.decode()}")
        elif end_stream:
            self.on_trailers(fields)

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Keep the message."""
        self._answer += data[: MAX_ANSWER - len(self._answer)]
        if end_stream:
            self._set("a check by gRPC was answered without a status")

    def on_trailers(self, fields: Fields) -> None:
        """Take the status, and the message with it."""
        code = next((value for name, value in fields if name == STATUS), b"")
        message = self._answer[5:]
        if code != b"0":
            self._set(f"a check by gRPC was answered with the status {code.decode('latin-1')[:20] or 'none'}")
            return
        state = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
        self._set(None if state == 1 else f"the gRPC server says {STATES.get(state, state)}")

    def on_reset(self, code: int, processed: bool) -> None:
        """Take it for an error, if it comes before the status."""
        self._set("the upstream ended the stream of a check before it answered")

    def on_drained(self) -> None:
        """Nothing was sent that could wait."""

    def _set(self, result: str | None) -> None:
        if not self.result.done():
            self.result.set_result(result)
