"""The tunnel port under strangers: who has a place, for how long, and what the log says of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import pytest
import structlog

from app.identity import Identity
from edge.lobby import LobbyLimits
from h2s.tunnel import agent_ssl_context
from h2s.wire import ALPN, EDGE_NAME
from tests.h2s.loops import LOOPS, run_in

from .agents import eventually, load_identity
from .test_plane import Edge, running

STRANGER = "127.0.0.2"
"""Agents dial from 127.0.0.1."""
NARROW = LobbyLimits(max_unregistered=12, max_unregistered_per_address=8)


Scene = Callable[[Edge], Coroutine[Any, Any, None]]


class Play(Protocol):
    """Plays a scene."""

    def __call__(self, scene: Scene, **settings: Any) -> None: ...


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return load_identity(tmp_path_factory.mktemp("edge") / "data")


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest, identity: Identity) -> Play:
    """Play a scene on asyncio's own loop and on uvloop, and see that nothing is left."""

    def play(scene: Scene, **settings: Any) -> None:
        async def main() -> None:
            async with running(identity, **settings) as edge:
                await scene(edge)

        run_in(LOOPS[request.param], main)

    return play


async def dial(edge: Edge, source: str = STRANGER) -> socket.socket:
    """Connect to the tunnel port and say nothing."""
    host, _, port = (await edge.ready()).tunnel.rpartition(":")
    return socket.create_connection((host, int(port)), 10.0, source_address=(source, 0))


def waiting(edge: Edge) -> int:
    """How many connections have a place."""
    return edge.plane._tunnels.unregistered


async def gone(sock: socket.socket) -> None:
    """Wait until the edge has closed a connection."""

    def read() -> bool:
        with sock:
            sock.settimeout(10.0)
            try:
                return sock.recv(65_536) == b""
            except ConnectionError:
                return True

    assert await asyncio.to_thread(read)


def reset(sock: socket.socket) -> None:
    """Leave without a goodbye."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["closes", "resets"])
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00"], ids=["silent", "in its ClientHello"])
def test_who_goes_away_before_tls_stands_has_no_place_any_more(play: Play, leave, said: bytes) -> None:  # type: ignore[no-untyped-def]
    async def scene(edge: Edge) -> None:
        stranger = await dial(edge)
        stranger.send(said)
        await eventually(lambda: waiting(edge) == 1, "a place")
        asked = asyncio.get_running_loop().time()
        leave(stranger)
        await eventually(lambda: waiting(edge) == 0, "no place")
        assert asyncio.get_running_loop().time() - asked < 2.0

    play(scene)


def test_a_crowd_has_the_places_of_one_address_and_the_oldest_makes_room(play: Play) -> None:
    async def scene(edge: Edge) -> None:
        crowd = []
        for number in range(20):
            crowd.append(await dial(edge))
            await eventually(lambda number=number: waiting(edge) == min(number + 1, 8), "a place")  # type: ignore[misc]
        for early in crowd[:12]:
            await gone(early)
        agent = await edge.agent()
        assert not agent.closed
        assert waiting(edge) == 8
        for late in crowd[12:]:
            late.close()
        await eventually(lambda: waiting(edge) == 0, "no place")

    play(scene, lobby_limits=NARROW)


def test_those_who_come_in_one_turn_leave_nothing_behind(play: Play) -> None:
    async def scene(edge: Edge) -> None:
        crowd = [await dial(edge) for _ in range(15)]
        for early in crowd[:-1]:
            await gone(early)
        assert waiting(edge) == 1
        crowd[-1].close()
        await eventually(lambda: waiting(edge) == 0, "no place")

    play(scene, lobby_limits=LobbyLimits(max_unregistered_per_address=1))


def test_one_that_speaks_tls_makes_room_as_well(play: Play, identity: Identity) -> None:
    context = agent_ssl_context(identity.ca_certificate.read_text())

    async def scene(edge: Edge) -> None:
        plain = await dial(edge)
        secured = await asyncio.to_thread(context.wrap_socket, plain, server_hostname=EDGE_NAME)
        assert secured.selected_alpn_protocol() == ALPN
        await eventually(lambda: waiting(edge) == 1, "a place")
        later = await dial(edge)

        def read_to_the_end() -> None:
            with secured:
                try:
                    while secured.recv(65_536):
                        pass
                except (ConnectionError, ssl.SSLError):
                    return

        await asyncio.to_thread(read_to_the_end)
        assert waiting(edge) == 1
        later.close()

    play(scene, lobby_limits=LobbyLimits(max_unregistered_per_address=1))


def test_the_log_has_a_few_lines_of_a_flood_and_their_number(play: Play) -> None:
    with structlog.testing.capture_logs() as lines:

        async def scene(edge: Edge) -> None:
            for _ in range(100):
                stranger = await dial(edge)
                stranger.send(b"GET / HTTP/1.1\r\n\r\n")
                await gone(stranger)

        play(scene)
    failed = [line for line in lines if line["event"] == "no tunnel"]
    assert len(failed) < 10
    assert len(failed) + sum(line.get("more", 1) - 1 for line in failed) == 100
    assert failed[0]["peer"] == STRANGER
    assert failed[0]["reason"] == "TLS failed: http request"


def test_who_only_looks_whether_the_port_is_open_is_no_line_of_the_log(play: Play) -> None:
    with structlog.testing.capture_logs() as lines:

        async def scene(edge: Edge) -> None:
            for leave in (socket.socket.close, reset):
                visitor = await dial(edge)
                await eventually(lambda: waiting(edge) == 1, "a place")
                leave(visitor)
                await eventually(lambda: waiting(edge) == 0, "no place")

        play(scene)
    assert [line for line in lines if line["event"] == "no tunnel"] == []
