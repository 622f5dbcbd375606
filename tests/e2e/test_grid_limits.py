"""Every limit of the public side, set to something short by the config file, one row a case."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .address import Address
from .client import TIMEOUT, Client, fetch, request
from .rawapp import CLOSE, RawApp
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

LIMITS = """
public_max_connections = 12
public_max_connections_per_address = 8
public_request_line = 1000
public_header_bytes = 4000
public_header_fields = 20
public_head_timeout = 1.0
public_idle_timeout = 1.0
public_body_timeout = 1.0
public_body_rate = 1000
public_tunnel_timeout = 1.0
public_linger_timeout = 1.0
public_stall_timeout = 1.0
"""
PER_ADDRESS, IN_ALL = 8, 12
SOON = 10.0
HEAD = b"Host: web.localhost\r\n"
POST = b"POST /x HTTP/1.1\r\n" + HEAD
PIECE = b"x" * 65536


@pytest.fixture(scope="module")
def app() -> Iterator[RawApp]:
    """The application behind the edge."""
    with RawApp.serving() as app:
        app.answers |= {
            "/raw": (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nhello", "wait", CLOSE),
            "/large": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (512 * len(PIECE)), *[PIECE] * 512),
            "/small": (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 * len(PIECE)), *[PIECE] * 16),
        }
        yield app


@pytest.fixture(scope="module")
def edge(app: RawApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge with short limits, and the agent of `app`."""
    folder: Path = tmp_path_factory.mktemp("limits")
    config = folder / "limits.toml"
    config.write_text(LIMITS)
    with Stage.at(folder) as stage:
        edge = stage.edge("edge", "--config", config)
        stage.agent(edges=[edge], services={"web": f"http://{app.address}"})
        yield edge
        app.go_on.set()


TOO_MUCH = {
    "request line": (b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
    "request line without an end": (b"GET /" + b"x" * 1100, 414),
    "head": (b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"x" * 4000 + b"\r\n\r\n", 431),
    "head without an end": (b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"x" * 4000, 431),
    "fields": (b"GET / HTTP/1.1\r\n" + HEAD + b"A: b\r\n" * 20 + b"\r\n", 431),
    "trailer section": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 4000, 431),
    "half a request line": (b"GET /", 408),
    "half a head": (b"GET / HTTP/1.1\r\n" + HEAD, 408),
    "no body": (POST + b"Content-Length: 5\r\n\r\n", 408),
    "half a body": (POST + b"Content-Length: 5\r\n\r\nab", 408),
    "half a chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 408),
    "no trailers": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", 408),
}


@pytest.mark.parametrize(("octets", "status"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_or_too_late_is_answered_and_closed(edge: Edge, octets: bytes, status: int) -> None:
    began = time.monotonic()
    with Client(edge.public) as client:
        client.send(octets)
        answer = client.received_until_the_end()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close\r\n" in answer
    assert time.monotonic() - began < SOON
    serves(edge)


def test_a_head_a_byte_at_a_time_is_cut_at_the_same_moment(edge: Edge) -> None:
    with Client(edge.public) as client:
        answer = drip(client, b"GET / HTTP/1.1\r\n" + HEAD + b"A: " + b"x" * 2000)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_a_byte_at_a_time_is_too_slow(edge: Edge) -> None:
    with Client(edge.public) as client:
        answer = drip(client, POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 2000)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_keeps_to_the_rate_is_taken(edge: Edge, app: RawApp) -> None:
    bodies = len(app.bodies)
    with Client(edge.public) as client:
        client.send(POST + b"Content-Length: 20000\r\n\r\n")
        for _ in range(10):
            client.send(b"x" * 2000)
            time.sleep(0.1)
        assert client.read_response().status == 200
    assert len(app.bodies) - bodies == 20_000


def test_an_idle_connection_is_closed_without_a_word(edge: Edge) -> None:
    with Client(edge.public) as client:
        client.send(request("/"))
        assert client.read_response().body == b"good"
        assert client.received_until_the_end() == b""


def test_a_connection_that_says_nothing_is_closed_without_a_word(edge: Edge) -> None:
    with Client(edge.public) as client:
        assert client.received_until_the_end() == b""


def test_an_idle_tunnel_is_closed(edge: Edge) -> None:
    with Client(edge.public) as client:
        client.send(request("/raw", "Connection: upgrade", "Upgrade: raw"))
        assert client.read_head().status == 101
        assert client.received_until_the_end() == b"hello"


def test_a_tunnel_in_which_something_moves_stays(edge: Edge) -> None:
    with Client(edge.public) as client:
        client.send(request("/raw", "Connection: upgrade", "Upgrade: raw"))
        assert client.read_head().status == 101
        for _ in range(12):
            client.send(b"x")
            time.sleep(0.2)
        client.socket.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client.received_until_the_end()


def test_a_client_that_does_not_read_its_answer_loses_it(edge: Edge) -> None:
    with ClientFrom(edge.public, room=4096) as client:
        client.send(request("/large"))
        edge.wait_until(lambda: '"/large"' in edge.stdout, "the exchange is over")
        [line] = [line for line in edge.requests_logged() if line["path"] == "/large"]
        assert line["error"] == "client_gone"
        assert len(client.received_until_the_end()) < 512 * len(PIECE)


@pytest.mark.parametrize(
    ("target", "line", "pieces"),
    [("/large", "X: y", 512), ("/small", "Connection: close", 16)],
    ids=["while it is sent", "when all has been sent"],
)
def test_a_client_that_reads_slowly_keeps_its_answer(edge: Edge, target: str, line: str, pieces: int) -> None:
    with ClientFrom(edge.public, room=4096) as client:
        client.send(request(target, line))
        size = 0
        began = time.monotonic()
        for piece in client.pieces(client.read_head()):
            size += len(piece)
            if time.monotonic() - began < 4.0:
                time.sleep(0.05)
    assert size == pieces * len(PIECE)


@pytest.mark.parametrize(
    ("sources", "most"),
    [(["127.0.0.1"] * 11, PER_ADDRESS), ([f"127.0.0.{2 + number}" for number in range(14)], IN_ALL)],
    ids=["of one address", "in all"],
)
def test_connections_that_are_too_many_are_turned_away(edge: Edge, sources: list[str], most: int) -> None:
    edge.wait_until(
        lambda: status(edge.public) == 200 and idle(edge), "the connections of other tests are gone"
    )
    clients = [ClientFrom(edge.public, source) for source in sources]
    try:
        for client in clients:
            client.send(request("/"))
        answers = [client.read_response() for client in clients]
    finally:
        for client in clients:
            client.close()
    assert [answer.status for answer in answers] == [200] * most + [503] * (len(sources) - most)
    assert answers[-1].json()["code"] == "too_many_connections"
    assert answers[-1].head.value(b"retry-after") == b"1"
    edge.wait_until(lambda: status(edge.public) == 200, "there is room again")
    assert "public connections turned away" in edge.stderr


class ClientFrom(Client):
    """A client with an address of its own, and perhaps with little room for what it has not read."""

    def __init__(self, address: Address, source: str = "127.0.0.1", *, room: int = 0) -> None:
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(TIMEOUT)
        self.socket.bind((source, 0))
        self.socket.connect(address)
        self.trailers = []
        self._buffer = bytearray()


def serves(edge: Edge) -> None:
    """Assert that a good request on a new connection is served."""
    assert fetch(edge.public, request("/")).body == b"good"


def status(address: Address) -> int:
    """Return the status that a request gets."""
    return fetch(address, request("/", "Connection: close")).status


def idle(edge: Edge) -> bool:
    """Return whether the edge counts no public connection."""
    metrics = httpx.get(f"{edge.api_url}/metrics", trust_env=False, timeout=5).text
    return "\nbackplane_public_connections 0.0\n" in metrics


def drip(client: Client, octets: bytes) -> bytes:
    """Send a byte each 20 ms until the edge has had enough; return what it said."""
    client.socket.settimeout(0.02)
    for octet in octets:
        client.send(bytes([octet]))
        try:
            return client.received_until_the_end()
        except TimeoutError:
            continue
    raise AssertionError("the edge took it all")
