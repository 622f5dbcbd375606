"""Agents that turn hostile once they have a tunnel: one row a case, with the real programs.

Each loses its tunnel, with the code that HTTP/2 has for what it did, and nobody else notices.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from h2s.control import encode_message
from h2s.engine.session import Reset
from h2s.errors import ErrorCode
from h2s.wire import H2_PREFACE
from tests.fuzz.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PUSH_PROMISE,
    SETTINGS,
    WINDOW_UPDATE,
    block,
    frame,
    settings_frame,
)

from .client import Client, request
from .ground import PROMPT, SLACK, Ground
from .programs import answers, eventually
from .rogue import RogueAgent, goaway_code

pytestmark = pytest.mark.e2e

SYNC = 1
"""The stream of the Sync call: the first that an edge opens."""
OK = [(b":status", b"200"), (b"content-type", b"application/grpc+json")]
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")]
WINDOW = 64 * 1024 * 1024
"""Bytes by which the edge may grow at the most while somebody does not read."""


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


def head(fields: list[tuple[bytes, bytes]], stream_id: int = SYNC, *, flags: int = END_HEADERS) -> bytes:
    """Return a HEADERS frame."""
    return frame(HEADERS, block(fields), flags=flags, stream_id=stream_id)


def word(value: int) -> bytes:
    """Return 32 bits."""
    return value.to_bytes(4, "big")


FRAMES: dict[str, tuple[bytes, ErrorCode]] = {
    "opens a stream": (head(GET, 2), ErrorCode.PROTOCOL_ERROR),
    "opens a stream of the edge's": (head(GET, 5), ErrorCode.PROTOCOL_ERROR),
    "pushes": (frame(PUSH_PROMISE, word(2) + block(GET), flags=4, stream_id=SYNC), ErrorCode.PROTOCOL_ERROR),
    "answers a request that was never made": (head(OK, 99), ErrorCode.PROTOCOL_ERROR),
    "answers one request twice": (head(OK) + head(OK), ErrorCode.PROTOCOL_ERROR),
    "ends what it did not begin": (frame(3, word(8), stream_id=77), ErrorCode.PROTOCOL_ERROR),
    "sends DATA on no stream": (frame(DATA, b"x"), ErrorCode.PROTOCOL_ERROR),
    "sends DATA before a head": (frame(DATA, b"x", stream_id=SYNC), ErrorCode.PROTOCOL_ERROR),
    "sends SETTINGS of 5 bytes": (frame(SETTINGS, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "sends PING of 7 bytes": (frame(PING, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "sends a frame of 16 MB": (b"\xff\xff\xff" + bytes(6), ErrorCode.FRAME_SIZE_ERROR),
    "sends no HPACK": (frame(HEADERS, b"\xff" * 9, flags=4, stream_id=SYNC), ErrorCode.COMPRESSION_ERROR),
    "sends CONTINUATION of nothing": (frame(CONTINUATION, b"", stream_id=SYNC), ErrorCode.PROTOCOL_ERROR),
    "ends no head": (
        head(OK, flags=0) + frame(CONTINUATION, b"", stream_id=SYNC) * 40,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "sends a head of 1 MB": (
        head(OK, flags=0) + frame(CONTINUATION, bytes(16_384), stream_id=SYNC) * 64,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "hints without end": (head([(b":status", b"103")]) * 200, ErrorCode.ENHANCE_YOUR_CALM),
    "opens windows too far": (frame(WINDOW_UPDATE, word(2**31 - 1)) * 2, ErrorCode.FLOW_CONTROL_ERROR),
    "opens a window by nothing": (frame(WINDOW_UPDATE, word(0)), ErrorCode.PROTOCOL_ERROR),
    "has too large a window": (settings_frame((4, 2**31)), ErrorCode.FLOW_CONTROL_ERROR),
    "opens windows by crumbs": (frame(WINDOW_UPDATE, word(1)) * 3000, ErrorCode.ENHANCE_YOUR_CALM),
    "changes windows all the time": (
        (settings_frame((4, 0)) + settings_frame((4, 65_535))) * 1500,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "pings without end": (frame(PING, bytes(8)) * 3000, ErrorCode.ENHANCE_YOUR_CALM),
    "sends empty DATA without end": (
        head(OK) + frame(DATA, b"", stream_id=SYNC) * 3000,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "says nothing that is known": (frame(0xEE, bytes(100)) * 3000, ErrorCode.ENHANCE_YOUR_CALM),
}


@pytest.mark.parametrize("name", FRAMES)
def test_an_agent_loses_its_tunnel_if_it(ground: Ground, name: str) -> None:
    said, code = FRAMES[name]
    with RogueAgent(ground.edge).become_tunnel() as agent:
        sent = time.monotonic()
        agent.send(said)
        assert goaway_code(agent.until_closed()) == code
        assert time.monotonic() - sent < PROMPT + SLACK


def report(*instances: str) -> bytes:
    """Return a Report with these instances, JSON each."""
    return encode_message(b'{"report":{"instances":[%b]}}' % ",".join(instances).encode())


def instance(service: str = "rogue", healthy: object = 1, total: object = 1, more: str = "") -> str:
    """Return an instance of a Report."""
    return f'{{"service":"{service}","healthy":{healthy},"total":{total}{more}}}'


MESSAGES: dict[str, bytes] = {
    "of 100 MB": b"\0" + word(100 * 1024 * 1024) + b" " * 1_000_000,
    "of 4 GB": b"\0" + word(2**32 - 1),
    "compressed": b"\1" + word(4) + b"1234",
    "not JSON": encode_message(b"\xff\xfe"),
    "nested a hundred thousand deep": encode_message(b"[" * 100_000),
    "no object": encode_message(b"[]"),
    "two things at once": encode_message(b'{"report":{"instances":[]},"draining":{}}'),
    "a negative count": report(instance(healthy=-1)),
    "more healthy than there are": report(instance(healthy=2)),
    "a count beyond all": report(instance(healthy=10**9, total=10**9)),
    "a count that is no number": report(instance(healthy="NaN", total="NaN")),
    "a count of a million digits": report(instance(total="9" * 100_000)),
    "a service that is no name": report(instance("Web!")),
    "thousands of instances": report(*[instance()] * 10_000),
    "a capacity of nothing": report(instance(more=',"capacity":0')),
}


TOO_LARGE = ("of 100 MB", "of 4 GB")


@pytest.mark.parametrize("name", MESSAGES)
def test_an_agent_loses_its_tunnel_if_its_message_is(ground: Ground, name: str) -> None:
    memory = ground.edge.memory
    with RogueAgent(ground.edge).become_tunnel() as agent:
        agent.answer_sync(MESSAGES[name])
        code = ErrorCode.ENHANCE_YOUR_CALM if name in TOO_LARGE else ErrorCode.PROTOCOL_ERROR
        assert goaway_code(agent.until_closed()) == code
    assert ground.edge.memory - memory < WINDOW


def test_an_agent_that_takes_no_stream_loses_its_tunnel(ground: Ground) -> None:
    with RogueAgent(ground.edge) as agent:
        agent.send(agent.register())
        assert agent.read().startswith(H2_PREFACE)
        agent.send(settings_frame((3, 0)))
        assert goaway_code(agent.until_closed()) == ErrorCode.PROTOCOL_ERROR


def test_what_an_agent_reports_of_a_service_that_is_not_its_own_counts_for_nothing(ground: Ground) -> None:
    with RogueAgent(ground.edge).become_tunnel() as agent:
        agent.answer_sync(report(instance("web", 0, 5), instance("unheard-of", 7, 7), instance()))
        eventually(lambda: ground.standing == (2, 2), within=PROMPT, what="its own service counts")
        assert answers(ground.edge.url, "web.localhost")
        assert not answers(ground.edge.url, "unheard-of.localhost:1")


def test_an_agent_that_reads_nothing_is_found_dead_whatever_waits_for_it(ground: Ground) -> None:
    memory = ground.edge.memory
    with RogueAgent(ground.edge).become_tunnel() as agent, Client(ground.edge.public) as client:
        agent.answer_sync(report(instance()))
        eventually(lambda: ground.standing == (2, 2), within=PROMPT, what="it counts")
        agent.socket.setblocking(True)
        upload = f"Content-Length: {200 * 1024 * 1024}"
        client.send(request("/", upload, method="POST", host="rogue.localhost") + bytes(1024 * 1024))
        assert client.read_head().status in (502, 503, 504)
        assert ground.edge.memory - memory < WINDOW


def test_an_agent_that_only_talks_and_reads_nothing_loses_its_tunnel(ground: Ground) -> None:
    memory = ground.edge.memory
    with RogueAgent(ground.edge).become_tunnel() as agent:
        deadline = time.monotonic() + 2 * PROMPT
        agent.socket.settimeout(PROMPT)
        while ground.standing != (1, 1):
            assert time.monotonic() < deadline
            agent.send(frame(PING, bytes(8)) * 50)
    assert ground.edge.memory - memory < WINDOW


CHATTER: dict[str, bytes] = {
    "reports that all is as before": report(instance()),
    "reports one thing and then the other": report(instance()) + report(instance(healthy=0)),
    "drains without end": encode_message(b'{"draining":{}}'),
    "says what nobody knows": encode_message(b'{"news":{}}'),
}


@pytest.mark.parametrize("name", CHATTER)
def test_an_agent_that_keeps_to_the_windows_loses_its_tunnel_if_it(ground: Ground, name: str) -> None:
    written = len(ground.edge.stderr.splitlines())
    with RogueAgent(ground.edge).become_tunnel() as agent:
        agent.answer_sync(b"")
        began = time.monotonic()
        heard = b""
        reset = False
        while True:
            while not reset and not agent.session.queued(SYNC):
                agent.session.send_data(SYNC, CHATTER[name] * 200, end_stream=False)
                agent.flush()
            if not (data := agent.read()):
                break
            heard += data
            reset = reset or any(isinstance(event, Reset) for event in agent.session.receive(data))
            agent.flush()
            assert time.monotonic() - began < PROMPT + SLACK
        assert goaway_code(heard) == ErrorCode.ENHANCE_YOUR_CALM
    assert len(ground.edge.stderr.splitlines()) - written < 50
