"""How much is written ahead of a socket."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import closing
from typing import cast

import pytest

from h2s.ahead import Ahead
from h2s.connection import Connection
from h2s.control import POLL, CallServer, Unary, call_unary, control_nonce
from h2s.engine import Limits, Role, create_session
from h2s.messages import InstanceReport, PollRequest, Report

from .conftest import Drive, drive
from .loops import until
from .memory import RecordingOwner, RecordingStream
from .said import NONCE

__all__ = ["drive"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")

SMALL = 16 * 1024
"""The receive buffer of the far end."""
BOUND = 512 * 1024
"""Bytes taken at the most for a far end that does not read; without a bound it is several megabytes."""
REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=1)])


class Pump(asyncio.Protocol):
    """Writes without end, as far as it may."""

    def __init__(self) -> None:
        self.written = 0
        self.transport: asyncio.Transport
        self.ahead: Ahead

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        ahead = Ahead.of(transport, self.pump)
        assert ahead is not None
        self.ahead = ahead
        self.pump()

    def pump(self) -> None:
        while not self.ahead.full():
            self.transport.write(bytes(self.ahead.piece))
            self.ahead.wrote(self.ahead.piece)
            self.written += self.ahead.piece

    def connection_lost(self, exc: Exception | None) -> None:
        self.ahead.close()


def listening() -> socket.socket:
    """Return a listener whose connections hold little that is not read."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    return listener


def test_little_is_written_for_who_does_not_read_and_all_for_who_does(drive: Drive) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with closing(listening()) as listener:
            _, pump = await loop.create_connection(Pump, *listener.getsockname())
            far, _ = await loop.sock_accept(listener)
            with closing(far):
                await until(lambda: pump.ahead._watched >= 0)
                assert pump.written < BOUND
                read = 0
                while read < 8 * BOUND:
                    read += len(await loop.sock_recv(far, 65_536))
                assert read <= pump.written < read + BOUND
            pump.transport.abort()
            await until(lambda: pump.ahead._watched < 0)

    drive(main)


class Agent(RecordingOwner):
    """Serves Poll, and takes any other stream without reading its body on."""

    def __init__(self) -> None:
        super().__init__()
        self.server = CallServer((Unary(POLL, lambda request: REPORT),))

    def on_stream(self, connection, stream_id, fields, end_stream):  # type: ignore[no-untyped-def]
        if control_nonce(fields) is not None:
            return self.server.take(connection, stream_id, fields, end_stream, nonce=NONCE)
        return super().on_stream(connection, stream_id, fields, end_stream)


def test_a_call_overtakes_what_waits_for_a_socket(drive: Drive) -> None:
    """Of 16 MB that are queued on streams, little is written before a call that is made after them."""
    windows = Limits(stream_window=16 * 1024 * 1024, connection_window=64 * 1024 * 1024)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        edge = Connection(create_session(Role.CLIENT, Limits()), RecordingOwner(), brief=True)
        owner = Agent()
        agent = Connection(create_session(Role.SERVER, windows), owner)
        with closing(listening()) as listener:
            await loop.create_connection(lambda: edge, *listener.getsockname())
            far, _ = await loop.sock_accept(listener)
            await loop.connect_accepted_socket(lambda: agent, far)
            await until(lambda: edge.free_streams > 1)
            fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
            bulk = edge.open(fields, RecordingStream(), end_stream=False)
            await until(lambda: owner.streams)
            assert agent.transport is not None
            agent.transport.pause_reading()
            edge.send_data(bulk, bytes(16 * 1024 * 1024), end_stream=False)
            await until(lambda: edge._ahead is not None and edge._ahead._watched >= 0)
            answers: list[object] = []
            call_unary(edge, POLL, PollRequest(), nonce=NONCE, on_done=answers.append)
            agent.transport.resume_reading()
            await until(lambda: answers)
            assert answers == [REPORT]
            [stream] = owner.streams
            assert isinstance(stream, RecordingStream)
            before = sum(len(event[1]) for event in stream.events if event[0] == "data")
            assert before < 4 * BOUND
            edge.abort()
            agent.abort()
            await until(lambda: edge.closed and agent.closed)

    drive(main)


def test_what_is_no_tcp_socket_is_not_asked() -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with closing(right):
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left)
            assert Ahead.of(transport, lambda: None) is None
            transport.abort()

    asyncio.run(main())
