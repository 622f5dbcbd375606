"""Two connections joined in memory, and owners and streams that write down what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from h2s.connection import Connection, Stream
from h2s.engine import Limits, Role, create_session
from h2s.engine.session import Fields, Goaway
from h2s.liveness import Liveness

from .loops import Bug

__all__ = ["MemoryTransport", "Pair", "RecordingOwner", "RecordingStream", "settle"]


async def settle() -> None:
    """Let the loop turn until what is under way in memory has arrived."""
    for _ in range(50):
        await asyncio.sleep(0)


class MemoryTransport(asyncio.Transport):
    """What is written arrives at `other`'s protocol in a later turn of the loop; the end does too."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.other: MemoryTransport | None = None
        self.written = bytearray()
        self.buffered = 0
        self.aborted = False
        self._loop = asyncio.get_running_loop()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        self.written += data
        if self.other is not None:
            self._loop.call_soon(self.other.arrive, bytes(data))

    def arrive(self, data: bytes) -> None:
        if not self._closing:
            self.protocol.data_received(data)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self.protocol.connection_lost, None)
            if self.other is not None:
                self._loop.call_soon(self.other.close)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self.buffered


class RecordingStream:
    """A `Stream`; `fail` names a callback that raises."""

    def __init__(self, fail: str = "") -> None:
        self.fail = fail
        self.events: list[tuple[Any, ...]] = []

    def _add(self, *event: Any) -> None:
        self.events.append(event)
        if event[0] == self.fail:
            raise Bug(f"{self.fail} failed")

    @property
    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    def on_informational(self, fields: Fields) -> None:
        self._add("informational", fields)

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        self._add("head", fields, end_stream)

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self._add("data", data, flow, end_stream)

    def on_trailers(self, fields: Fields) -> None:
        self._add("trailers", fields)

    def on_reset(self, code: int, processed: bool) -> None:
        self._add("reset", code, processed)

    def on_drained(self) -> None:
        self._add("drained")


class RecordingOwner:
    """An `Owner` that gives each request to a stream of `make_stream`."""

    def __init__(self, make_stream: Callable[[], Stream | None] = RecordingStream) -> None:
        self.make_stream = make_stream
        self.requests: list[tuple[int, Fields, bool]] = []
        self.streams: list[Stream | None] = []
        self.settings: list[dict[int, int]] = []
        self.goaways: list[Goaway] = []
        self.closed: list[Exception | None] = []

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        self.requests.append((stream_id, fields, end_stream))
        self.streams.append(self.make_stream())
        return self.streams[-1]

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        self.settings.append(values)

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        self.goaways.append(event)

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.closed.append(error)


class Pair:
    """A client and a server connection, each with its owner and its transport."""

    def __init__(
        self,
        *,
        client_owner: Any = None,
        server_owner: Any = None,
        client_limits: Limits | None = None,
        server_limits: Limits | None = None,
        client_liveness: Liveness | None = None,
    ) -> None:
        self.client_owner = client_owner or RecordingOwner()
        self.server_owner = server_owner or RecordingOwner()
        client = create_session(Role.CLIENT, client_limits or Limits())
        server = create_session(Role.SERVER, server_limits or Limits())
        self.client = Connection(client, self.client_owner, liveness=client_liveness)
        self.server = Connection(server, self.server_owner)
        self.client_transport = MemoryTransport(self.client)
        self.server_transport = MemoryTransport(self.server)
        self.client_transport.other = self.server_transport
        self.server_transport.other = self.client_transport

    async def start(self) -> Pair:
        """Connect, and let both hear of each other's SETTINGS."""
        self.client.connection_made(self.client_transport)
        self.server.connection_made(self.server_transport)
        await settle()
        return self
