"""The tunnel port while a crowd dials it: agents get in, whoever holds a tunnel keeps it, and the log stays short.

The crowd connects as fast as one thread can, and keeps its last few hundred connections open.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .ground import PROMPT, SLACK, Ground
from .programs import eventually
from .rogue import RogueAgent
from .stage import Edge

pytestmark = pytest.mark.e2e

ELSEWHERE = "127.0.0.2"
"""Agents dial from 127.0.0.1."""
KEPT = 400
PLACES = 256
PERSISTENCE = 60
"""Seconds in which an agent that shares its address with a crowd gets in: each try is a matter of luck."""
"""How many of one address the edge lets wait by default."""


@pytest.fixture(scope="module")
def standing_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """An edge and its agent for all rows."""
    with Ground.at(tmp_path_factory.mktemp("grid")) as ground:
        yield ground


@pytest.fixture
def ground(standing_ground: Ground) -> Iterator[Ground]:
    """The ground before a row; it has to be the same afterwards."""
    yield standing_ground
    standing_ground.check()


class Crowd(threading.Thread):
    """Connects from one address until it is told to stop."""

    def __init__(self, edge: Edge, source: str, said: bytes, *, stays: bool) -> None:
        super().__init__()
        self._edge = edge
        self._source = source
        self._said = said
        self._kept = KEPT if stays else 0
        self._over = threading.Event()
        self.dialled = 0

    def run(self) -> None:
        open_ones: list[socket.socket] = []
        while not self._over.is_set():
            try:
                open_ones.append(self._dial())
                open_ones[-1].send(self._said)
            except OSError:
                continue
            self.dialled += 1
            if len(open_ones) > self._kept:
                _reset(open_ones.pop(0))
        for one in open_ones:
            _reset(one)

    def _dial(self) -> socket.socket:
        return socket.create_connection(self._edge.tunnel, PROMPT, source_address=(self._source, 0))

    def stop(self) -> None:
        self._over.set()
        self.join()


def _reset(sock: socket.socket) -> None:
    """Close without a goodbye: a port that waits for the last packets cannot be used again for a minute."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextmanager
def crowding(edge: Edge, source: str, said: bytes = b"", *, stays: bool = True) -> Iterator[Crowd]:
    """Have a crowd dial for the time of the block."""
    crowd = Crowd(edge, source, said, stays=stays)
    crowd.start()
    try:
        eventually(lambda: crowd.dialled > 2 * KEPT, within=PROMPT, what="a crowd")
        yield crowd
    finally:
        crowd.stop()


CROWDS: dict[str, tuple[bytes, bool]] = {
    "says nothing": (b"", True),
    "leaves at once": (b"", False),
    "speaks HTTP": (b"GET / HTTP/1.1\r\n\r\n", True),
    "begins with TLS": (b"\x16\x03\x01\x02\x00\x01", True),
}


@pytest.mark.parametrize("name", CROWDS)
def test_an_agent_of_another_address_gets_in_while_a_crowd(ground: Ground, name: str) -> None:
    said, stays = CROWDS[name]
    with crowding(ground.edge, ELSEWHERE, said, stays=stays):
        for _ in range(5):
            with RogueAgent(ground.edge) as agent:
                agent.become_tunnel()


def registers(edge: Edge) -> bool:
    """Dial once; say whether that was enough."""
    try:
        with RogueAgent(edge) as agent:
            agent.become_tunnel()
    except (OSError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("name", CROWDS)
def test_an_agent_of_the_same_address_gets_in_by_trying_again_while_a_crowd(
    ground: Ground, name: str
) -> None:
    said, stays = CROWDS[name]
    with crowding(ground.edge, "127.0.0.1", said, stays=stays):
        eventually(lambda: registers(ground.edge), within=PERSISTENCE, what="the agent gets in")


SLACK_OF_DESCRIPTORS = 150
"""Those that were just accepted, and those that are being closed."""


def test_a_crowd_has_the_places_of_its_address_and_no_more(ground: Ground) -> None:
    before = ground.descriptors
    with crowding(ground.edge, ELSEWHERE):
        eventually(lambda: ground.descriptors > before + PLACES // 2, within=PROMPT, what="places are taken")
        assert ground.descriptors < before + PLACES + SLACK_OF_DESCRIPTORS
    eventually(ground.is_as_before, within=SLACK, what="places are free at once")


def test_of_thousands_the_log_has_a_few_lines_and_their_number(ground: Ground) -> None:
    written = len(ground.edge.stderr.splitlines())
    with crowding(ground.edge, ELSEWHERE, b"GET / HTTP/1.1\r\n\r\n") as crowd:
        eventually(lambda: crowd.dialled > 3000, within=4 * PROMPT, what="thousands")
    lines = [json.loads(line) for line in ground.edge.stderr.splitlines()[written:]]
    assert len(lines) < 20, lines
