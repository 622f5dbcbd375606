"""The times of the public side over HTTP/2, and its windows, set to something short by the config file."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from .certificate import Certificate
from .rawapp import CLOSE, WAIT, RawApp
from .stage import Edge, Stage
from .wire2 import PREFACE, Outcome, Wire2, encode, head, headers

pytestmark = pytest.mark.e2e

LIMITS = """
public_max_connections_per_address = 8
public_head_timeout = 1.0
public_idle_timeout = 1.0
public_body_timeout = 1.0
public_body_rate = 1000
public_tunnel_timeout = 1.0
public_stall_timeout = 1.0
public_concurrent_streams = 16
"""
PER_ADDRESS, STREAMS = 8, 16
SOON = 10.0
NO_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x7, 0x8
END = "END_STREAM"
POST = head(method=b"POST", path=b"/x")
RAW = head(method=b"CONNECT", protocol=b"raw", path=b"/raw")
LARGE = b"x" * 4_000_000
ACK = SettingsFrame(0, flags=["ACK"]).serialize()


@pytest.fixture(scope="module")
def app() -> Iterator[RawApp]:
    """The application behind the edge."""
    with RawApp.serving() as app:
        app.answers |= {
            "/raw": (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nhello", WAIT, CLOSE),
            "/ends": (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nhello", CLOSE),
            "/begins": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", WAIT, CLOSE),
            "/large": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE),
            "/waits": (WAIT,),
        }
        app.impatient.add("/begins")
        yield app


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the edge shows, and its clients trust."""
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def edge(app: RawApp, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge with short limits, and the agent of `app`."""
    folder: Path = tmp_path_factory.mktemp("limits")
    config = folder / "limits.toml"
    config.write_text(LIMITS)
    with Stage.at(folder) as stage:
        edge = stage.edge("edge", "--config", config, certificate=certificate)
        stage.agent(edges=[edge], services={"web": f"http://{app.address}"})
        yield edge
        app.go_on.set()


@pytest.fixture
def client(edge: Edge, certificate: Certificate) -> Iterator[Wire2]:
    """A connection of its own."""
    with Wire2(edge.public, certificate) as client:
        yield client


GREETING = PREFACE + SettingsFrame(0).serialize() + ACK
UNFINISHED = {
    "nothing": b"",
    "half a preface": PREFACE[:10],
    "nothing behind the preface": PREFACE,
    "no request": GREETING,
    "half a frame": GREETING + headers(1, head(), END).serialize()[:-3],
    "half a head": GREETING + HeadersFrame(1, encode(head()), flags=[END]).serialize(),
}


def test_connections_without_a_request_are_closed(edge: Edge, certificate: Certificate) -> None:
    with contextlib.ExitStack() as stack:
        clients = {
            name: stack.enter_context(Wire2(edge.public, certificate, octets))
            for name, octets in UNFINISHED.items()
        }
        assert {name: client.ends() for name, client in clients.items()} == dict.fromkeys(
            UNFINISHED, NO_ERROR
        )


def test_an_idle_connection_is_closed(client: Wire2) -> None:
    assert client.ask(1).status == 200
    assert client.ends() == NO_ERROR


def test_a_body_that_does_not_come_is_a_408(client: Wire2, app: RawApp) -> None:
    bodies = len(app.bodies)
    client.send(*[headers(stream_id, [*POST, (b"content-length", b"5")]) for stream_id in (1, 3)])
    client.send(DataFrame(3, b"ab"))
    for stream_id in (1, 3):
        one = client.outcome(stream_id)
        assert (one.status, one.ended, client.reset(stream_id)) == (408, True, NO_ERROR)
    assert client.ask(5).status == 200
    assert app.bodies[bodies:] in (b"", b"ab")


def test_a_body_a_byte_at_a_time_is_too_slow(client: Wire2) -> None:
    client.send(headers(1, POST))
    assert trickle(client, 1, b"x").status == 408
    assert client.ask(3).status == 200


def test_a_body_that_keeps_to_the_rate_is_taken(client: Wire2) -> None:
    client.send(headers(1, POST))
    for _ in range(12):
        client.send(DataFrame(1, b"x" * 2000))
        time.sleep(0.2)
    client.send(DataFrame(1, b"", flags=[END]))
    assert client.outcome(1).status == 200


def test_streams_both_ways_are_cut_when_nothing_moves(client: Wire2) -> None:
    begins = head(method=b"POST", path=b"/begins")
    half = head(method=b"CONNECT", protocol=b"raw", path=b"/ends")
    client.send(headers(1, begins), headers(3, RAW), headers(5, half))
    assert [client.reset(stream_id) for stream_id in (1, 3, 5)] == [CANCEL] * 3
    seen = [client.outcome(stream_id) for stream_id in (1, 3, 5)]
    assert [(one.status, one.body, one.ended) for one in seen] == [
        (200, b"hello", False),
        (200, b"hello", False),
        (200, b"hello", True),
    ]
    assert client.ask(7).status == 200


def test_a_tunnel_in_which_something_moves_stays(client: Wire2) -> None:
    client.send(headers(1, RAW))
    for _ in range(12):
        client.send(DataFrame(1, b"x"))
        time.sleep(0.25)
    client.send(headers(3, head(), END))
    assert client.outcome(3).status == 200
    assert not client.outcome_so_far(1).ended
    assert client.outcome_so_far(1).reset is None


def test_answers_behind_windows_that_stay_shut_are_reset(edge: Edge, certificate: Certificate) -> None:
    ids = range(1, 2 * STREAMS, 2)
    with contextlib.ExitStack() as stack:
        clients = []
        for window in (0, 1, 1000):
            greeting = PREFACE + SettingsFrame(0, {4: window}).serialize() + ACK
            client = stack.enter_context(Wire2(edge.public, certificate, greeting))
            client.send(*[headers(stream_id, head(path=b"/large"), END) for stream_id in ids])
            clients.append((client, window))
        with Wire2(edge.public, certificate) as other:
            assert other.ask(1).status == 200
        for client, window in clients:
            assert [client.reset(stream_id) for stream_id in ids] == [CANCEL] * STREAMS
            assert {len(client.outcome(stream_id).body) for stream_id in ids} == {window}


def test_an_answer_taken_by_crumbs_is_reset(edge: Edge, certificate: Certificate) -> None:
    with Wire2(edge.public, certificate, PREFACE + SettingsFrame(0, {4: 0}).serialize() + ACK) as client:
        client.send(headers(1, head(path=b"/large"), END))
        one = client.outcome_so_far(1)
        until = time.monotonic() + SOON
        while one.reset is None and time.monotonic() < until:
            client.send(WindowUpdateFrame(1, 1))
            client.pass_time(0.02)
            time.sleep(0.02)
        assert one.reset == CANCEL


def test_streams_that_are_too_many_are_refused(client: Wire2) -> None:
    client.send(
        *[headers(stream_id, head(path=b"/waits"), END) for stream_id in range(1, 2 * STREAMS + 2, 2)]
    )
    assert client.reset(2 * STREAMS + 1) == REFUSED_STREAM


def test_connections_that_are_too_many_are_closed(edge: Edge, certificate: Certificate) -> None:
    edge.wait_until(lambda: idle(edge), "the connections of other tests are gone")
    with contextlib.ExitStack() as clients:
        for _ in range(PER_ADDRESS):
            client = clients.enter_context(Wire2(edge.public, certificate))
            assert client.ask(1).status == 200
        with pytest.raises((ConnectionError, ssl.SSLError)):
            Wire2(edge.public, certificate)
    edge.wait_until(lambda: idle(edge), "they are gone")
    with Wire2(edge.public, certificate) as client:
        assert client.ask(1).status == 200


def idle(edge: Edge) -> bool:
    """Return whether the edge counts no public connection."""
    metrics = httpx.get(f"{edge.api_url}/metrics", trust_env=False, timeout=5).text
    return "\nbackplane_public_connections 0.0\n" in metrics


def trickle(client: Wire2, stream_id: int, piece: bytes) -> Outcome:
    """Send a piece each 50 ms until the stream is over."""
    one = client.outcome_so_far(stream_id)
    until = time.monotonic() + SOON
    while not one.ended and one.reset is None and time.monotonic() < until:
        client.send(DataFrame(stream_id, piece))
        client.pass_time(0.05)
    return one
