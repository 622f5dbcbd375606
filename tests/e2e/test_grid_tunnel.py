"""The tunnel port against everything that may dial it: one row a case, with the real programs.

Each row says what the peer gets: a typed refusal, the right HTTP/2 code, or an end without a word where none may be
said. After each row a good agent still has its one tunnel, with a request on it that was there from the beginning, and
the edge has no connection, no instance and no file descriptor more than before.
"""

from __future__ import annotations

import json
import secrets
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from h2s.errors import ErrorCode, Refused
from h2s.messages import Hello
from h2s.token import JoinToken
from h2s.wire import ALPN, H2_PREFACE, REGISTER_PATH, SETTINGS_H2S, swap_frame
from tests.fuzz.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    block,
    frame,
    settings_frame,
)

from .client import TIMEOUT, Client, request
from .ground import PROMPT, SLACK, Ground
from .rogue import RogueAgent, Wire, dial, goaway_code, hello
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

V1 = (SETTINGS_H2S, 0x0001_0001)
GREETING = H2_PREFACE + settings_frame(V1)
POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"edge.h2s.internal")]
REGISTER = [*POST, (b":path", REGISTER_PATH)]
OK = [(b":status", b"200"), (b"content-type", b"application/grpc+json")]


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


def ended_with(wire: Wire) -> int | None:
    """Read to the end, which has to come soon, and return the code of the last GOAWAY."""
    asked = time.monotonic()
    with wire:
        code = goaway_code(wire.until_closed())
    assert time.monotonic() - asked < PROMPT + SLACK
    return code


# -- not even h2s ------------------------------------------------------------------------------------------------


def test_a_client_without_tls_gets_no_http(ground: Ground) -> None:
    with Client(ground.edge.tunnel) as client:
        client.send(request("/"))
        assert not client.received_until_the_end().startswith(b"HTTP/")


@pytest.mark.parametrize("protocols", [(), ("h2", "http/1.1")], ids=["no ALPN", "a browser's"])
def test_a_tls_client_without_h2s_is_hung_up_on(ground: Ground, protocols: tuple[str, ...]) -> None:
    with dial(ground.edge, *protocols) as browser:
        browser.send(request("/"))
        assert browser.until_closed() == b""


def test_tls_1_2_is_not_spoken(ground: Ground) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(ground.edge.tunnel, TIMEOUT) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


# -- those that keep one waiting: all at once, since each takes its time ---------------------------------------------


def silent_plain(edge: Edge) -> Wire:
    """Connect and say nothing."""
    return Wire(socket.create_connection(edge.tunnel, TIMEOUT))


def silent_tls(edge: Edge, said: bytes = b"") -> Wire:
    """Shake hands, say a little, and nothing more."""
    wire = dial(edge, ALPN)
    wire.send(said)
    return wire


def dripping(edge: Edge) -> Wire:
    """Say what an agent says, a byte each fifth of a second."""
    wire = dial(edge, ALPN)

    def drip() -> None:
        for octet in GREETING:
            wire.send(bytes((octet,)))
            time.sleep(0.2)

    threading.Thread(target=drip, daemon=True).start()
    return wire


def never_swapping(edge: Edge) -> Wire:
    """Register, and keep the SWAP."""
    agent = RogueAgent(edge)
    agent.register()
    return agent


SILENT: dict[str, tuple[Callable[[Edge], Wire], float]] = {
    "says nothing without TLS": (silent_plain, 5.0),
    "says nothing within TLS": (silent_tls, 5.0),
    "says half a preface": (lambda edge: silent_tls(edge, H2_PREFACE[:12]), 5.0),
    "never registers": (lambda edge: silent_tls(edge, GREETING), 5.0),
    "registers a byte at a time": (dripping, 5.0),
    "never swaps": (never_swapping, 5.0),
    "reports nothing": (lambda edge: RogueAgent(edge).become_tunnel(), 10.0),
}


@pytest.fixture(scope="module")
def silent(standing_ground: Ground) -> dict[str, float]:
    """Keep the edge waiting in every way at once, and return how long it bore each."""
    lasted: dict[str, float] = {}

    def wait(name: str, open_wire: Callable[[Edge], Wire]) -> None:
        with open_wire(standing_ground.edge) as wire:
            wire.until_closed()
            lasted[name] = time.monotonic() - wire.opened

    threads = [threading.Thread(target=wait, args=(name, made[0])) for name, made in SILENT.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return lasted


@pytest.mark.parametrize("name", SILENT)
def test_a_peer_does_not_keep_an_edge_waiting_if_it(
    ground: Ground, silent: dict[str, float], name: str
) -> None:
    assert silent[name] < SILENT[name][1] + SLACK


# -- registration and swap -------------------------------------------------------------------------------------------


def registering(body: bytes, *fields: tuple[bytes, bytes], stream_id: int = 1) -> bytes:
    """Return a registration with this body, left open."""
    head = frame(HEADERS, block([*REGISTER, *fields]), flags=END_HEADERS, stream_id=stream_id)
    pieces = [body[start : start + 16_384] for start in range(0, len(body), 16_384)]
    return head + b"".join(frame(DATA, piece, stream_id=stream_id) for piece in pieces)


PHASE_1: dict[str, tuple[bytes, ErrorCode | None]] = {
    "HTTP/1.1": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "no h2s in SETTINGS": (H2_PREFACE + settings_frame(), ErrorCode.PROTOCOL_ERROR),
    "no SETTINGS at first": (H2_PREFACE + frame(PING, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "SWAP before SETTINGS": (H2_PREFACE + swap_frame(1), ErrorCode.PROTOCOL_ERROR),
    "SWAP before Hello": (GREETING + swap_frame(1), ErrorCode.PROTOCOL_ERROR),
    "SWAP within Hello": (GREETING + registering(b"{") + swap_frame(1), ErrorCode.PROTOCOL_ERROR),
    "SWAP of 5 bytes": (GREETING + frame(0xF5, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
    "SWAP on a stream": (GREETING + frame(0xF5, bytes(4), stream_id=1), ErrorCode.PROTOCOL_ERROR),
    "a frame of 16 MB": (GREETING + b"\xff\xff\xff" + bytes(6), ErrorCode.FRAME_SIZE_ERROR),
    "10 MB, whatever the windows": (GREETING + registering(b" " * 10_000_000), None),
    "10 MB, announced": (GREETING + registering(b"", (b"content-length", b"10000000")), ErrorCode.NO_ERROR),
    "an endless head": (
        GREETING + frame(HEADERS, block(REGISTER), stream_id=1) + frame(CONTINUATION, b"", stream_id=1) * 40,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a head that is no HPACK": (
        GREETING + frame(HEADERS, b"\xff" * 9, flags=END_HEADERS, stream_id=1),
        ErrorCode.COMPRESSION_ERROR,
    ),
}


TOO_MUCH = (ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.ENHANCE_YOUR_CALM, ErrorCode.NO_ERROR)
"""What the code is for too much of a body depends on how much comes in one read; the last follows a refusal."""


@pytest.mark.parametrize("name", PHASE_1)
def test_before_the_swap_a_peer_is_told_by_its_code(ground: Ground, name: str) -> None:
    said, code = PHASE_1[name]
    wire = dial(ground.edge, ALPN)
    wire.send(said)
    given = ended_with(wire)
    assert given == code or (code is None and given in TOO_MUCH)


BEHIND_THE_EDGES_SWAP = {
    "SWAP with bytes behind it": swap_frame(1) + b"P",
    "SWAP twice": swap_frame(1) * 2,
    "SWAP of another version": swap_frame(2),
    "SWAP of 3 bytes": frame(0xF5, bytes(3)),
    "SWAP on a stream": frame(0xF5, bytes(4), stream_id=1),
}


@pytest.mark.parametrize("name", BEHIND_THE_EDGES_SWAP)
def test_behind_its_swap_the_edge_closes_without_a_word(ground: Ground, name: str) -> None:
    with RogueAgent(ground.edge) as agent:
        agent.register()
        agent.send(BEHIND_THE_EDGES_SWAP[name])
        assert agent.until_closed() == b""


def refusal(edge: Edge, said: Hello | None = None) -> tuple[str, int, bool]:
    """Register in vain, and return the refusal's code, its status, and whether it is for good."""
    with RogueAgent(edge, said) as agent, pytest.raises(Refused) as refused:
        agent.register()
    return refused.value.code, refused.value.status, refused.value.permanent


def test_an_unknown_version_is_refused_by_name(ground: Ground) -> None:
    with dial(ground.edge, ALPN) as wire:
        body = hello(ground.edge.token_file).model_dump_json().encode()
        message = frame(HEADERS, block(REGISTER), flags=END_HEADERS, stream_id=1)
        wire.send(H2_PREFACE + settings_frame((SETTINGS_H2S, 0x0002_0005)) + message)
        wire.send(frame(DATA, body, flags=1, stream_id=1))
        received = wire.until_closed()
    assert b'"code":"version_unsupported"' in received
    assert goaway_code(received) == ErrorCode.NO_ERROR


def test_an_unknown_token_is_refused(ground: Ground) -> None:
    said = hello(ground.edge.token_file)
    unknown = said.credentials.model_copy(update={"join_secret": "00" * 32})
    said = said.model_copy(update={"credentials": unknown})
    assert refusal(ground.edge, said) == ("token_unknown", 401, True)


def test_a_token_is_good_for_its_services_only_and_until_it_expires_or_is_revoked(stage: Stage) -> None:
    edge = stage.edge()
    made = JoinToken.parse(edge.token_file.read_text())
    now = datetime.now(UTC)
    grants: dict[str, dict[str, Any]] = {
        "revoked": {},
        "expired": {"expires": (now - timedelta(seconds=1)).isoformat()},
        "limited": {"services": ["web"]},
    }
    said: dict[str, Hello] = {}
    records = []
    for name, grant in grants.items():
        token = JoinToken(made.ca_der, secrets.token_bytes(32))
        path = stage.folder / name
        path.write_text(token.encode())
        said[name] = hello(path)
        records.append({"id": name, "sha256": token.secret_hash, "created": now.isoformat(), **grant})
    edge = restarted(stage, edge, lambda join: join + records)
    with RogueAgent(edge, said["revoked"]) as agent:
        agent.become_tunnel()
    edge.stop()
    with closing(sqlite3.connect(edge.data_dir / "backplane.sqlite")) as database, database:
        database.execute("UPDATE join_tokens SET revoked = created WHERE id = 'revoked'")
    edge = stage.edge(data_dir=edge.data_dir, addresses=edge.addresses)
    assert refusal(edge, said["revoked"]) == ("token_unknown", 401, True)
    assert refusal(edge, said["expired"]) == ("token_expired", 401, True)
    assert refusal(edge, said["limited"]) == ("service_not_allowed", 403, True)
    with RogueAgent(edge, hello(stage.folder / "limited", "web")) as agent:
        agent.become_tunnel()


def restarted(stage: Stage, edge: Edge, change: Callable[[list[Any]], list[Any]]) -> Edge:
    """Stop an edge, change the first join tokens, which it takes into its database, and start it again."""
    edge.stop()
    path = edge.data_dir / "tokens.json"
    tokens = json.loads(path.read_text())
    path.write_text(json.dumps({**tokens, "join": change(tokens["join"])}))
    return stage.edge(data_dir=edge.data_dir, addresses=edge.addresses)
