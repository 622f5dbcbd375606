"""WebSocket through the tunnel, with a real WebSocket library at both ends."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from .client import Client
from .conftest import Site
from .programs import eventually

pytestmark = pytest.mark.e2e

TIMEOUT = 10
MAX_SIZE = 4 * 1024 * 1024


def open_websocket(
    site: Site,
    path: str = "/ws",
    *,
    subprotocols: Sequence[Subprotocol] | None = None,
    compression: str | None = None,
    origin: Origin | None = None,
) -> ClientConnection:
    """Connect to a path of the site; use it in a `with` block."""
    uri = f"ws://127.0.0.1:{site.address.port}{path}"
    return connect(
        uri, subprotocols=subprotocols, compression=compression, origin=origin, max_size=MAX_SIZE, proxy=None
    )


def test_text_and_binary_messages_come_back_as_they_were(site: Site) -> None:
    with open_websocket(site) as websocket:
        for message in ("caf\xe9 \U0001f600", b"\x00\x01\xff", "", b""):
            websocket.send(message)
            assert websocket.recv(TIMEOUT) == message


def test_messages_of_a_megabyte_pass(site: Site) -> None:
    message = os.urandom(1024 * 1024)
    with open_websocket(site) as websocket:
        for _ in range(3):
            websocket.send(message)
            assert websocket.recv(TIMEOUT) == message


def test_many_messages_keep_their_order(site: Site) -> None:
    with open_websocket(site) as websocket:
        for number in range(200):
            websocket.send(str(number))
        assert [websocket.recv(TIMEOUT) for _ in range(200)] == [str(number) for number in range(200)]


def test_a_clients_ping_is_answered(site: Site) -> None:
    with open_websocket(site) as websocket:
        assert websocket.ping(b"hello").wait(TIMEOUT)


def test_a_servers_ping_is_answered(site: Site) -> None:
    with open_websocket(site) as websocket:
        websocket.send("!ping")
        assert websocket.recv(TIMEOUT) == "pong"


def test_a_servers_close_code_and_reason_reach_the_client(site: Site) -> None:
    with open_websocket(site) as websocket:
        websocket.send("!close 4002")
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(TIMEOUT)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "as you wish")


def test_a_clients_close_code_reaches_the_server_and_comes_back(site: Site) -> None:
    with open_websocket(site) as websocket:
        websocket.close(4001, "enough")
        answered = websocket.protocol.close_rcvd
        assert answered is not None
        assert (answered.code, answered.reason) == (4001, "enough")


def test_a_subprotocol_is_negotiated_with_the_app(site: Site) -> None:
    offered = [Subprotocol("other"), Subprotocol("echo")]
    with open_websocket(site, subprotocols=offered) as websocket:
        assert websocket.subprotocol == "echo"


def test_compression_is_negotiated_with_the_app(site: Site) -> None:
    with open_websocket(site, compression="deflate") as websocket:
        assert [extension.name for extension in websocket.protocol.extensions] == ["permessage-deflate"]
        websocket.send("x" * 10_000)
        assert websocket.recv(TIMEOUT) == "x" * 10_000


def test_an_app_that_refuses_the_upgrade_is_heard(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_websocket(site, "/refuse/403")
    assert refused.value.response.status_code == 403


def test_the_app_sees_who_opens_a_websocket_and_where(site: Site, tunnelled: object) -> None:
    key = uuid.uuid4().hex
    with open_websocket(site, f"/ws/{key}?x=%20", origin=Origin("http://example.com")):
        seen = site.origin.ask(f"/handshake/{key}")
    fields = {name.lower(): value for name, value in seen["fields"]}
    assert (seen["method"], seen["target"]) == ("GET", f"/ws/{key}?x=%20")
    assert fields["host"] == str(site.address)
    assert fields["upgrade"].lower() == "websocket"
    assert fields["connection"].lower() == "upgrade"
    assert fields["origin"] == "http://example.com"
    assert fields["x-forwarded-for"] == "127.0.0.1"


def test_the_handshake_is_completed_with_the_clients_own_key(site: Site) -> None:
    """With the example of RFC 6455 §1.3."""
    upgrade = ["Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    with Client(site.address) as client:
        client.send("\r\n".join(["GET /ws HTTP/1.1", "Host: web.localhost", *upgrade, key, "", ""]).encode())
        head = client.read_head()
        assert head.status == 101
        assert head.value(b"upgrade") == b"websocket"
        assert head.value(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_app_sees_within_a_second_that_a_websocket_client_vanished(site: Site) -> None:
    key = uuid.uuid4().hex
    with open_websocket(site, f"/ws/{key}") as websocket:
        websocket.send("hello")
        assert websocket.recv(TIMEOUT) == "hello"
        assert site.origin.ask(f"/gone/{key}/report") is False
        websocket.socket.shutdown(socket.SHUT_RDWR)
        eventually(
            lambda: site.origin.ask(f"/gone/{key}/report"), within=1, what="the app sees the client gone"
        )
