"""What hostile HTTP/2 clients do costs them their connection, and nobody else anything."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable

import pytest
from hpack import Encoder
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from .certificate import Certificate
from .client import TIMEOUT
from .client2 import Client2
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ENHANCE_YOUR_CALM = 0xB
CANCEL = 0x8
CANCELS_A_CONNECTION = 1000
"""What an edge bears with by default in one go."""


def cancelled(path: str, count: int) -> Iterable[Frame]:
    """Make requests, each cancelled at once."""
    encoder = Encoder()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "web.localhost"), (":path", path)]
    for number in range(count):
        stream_id = 1 + 2 * number
        yield HeadersFrame(stream_id, encoder.encode(fields), flags=["END_HEADERS", "END_STREAM"])
        yield RstStreamFrame(stream_id, CANCEL)


def goaway_code(edge: Edge, certificate: Certificate, frames: Iterable[Frame]) -> int:
    """Send frames on a new connection, read to its end, and return the code of its GOAWAY.

    What ends the connection has to be in the second and last TLS record of the frames (16 to 32 KB): bytes that an
    edge leaves unread would make it reset the connection, and with it the GOAWAY.
    """
    context = ssl.create_default_context(cafile=str(certificate.chain))
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(edge.public, TIMEOUT)
    with context.wrap_socket(plain, server_hostname="web.localhost") as client:
        client.sendall(PREFACE + SettingsFrame(0).serialize())
        client.sendall(b"".join(frame.serialize() for frame in frames))
        received = b""
        while data := client.recv(65536):
            received += data
    return last_frame(received).error_code


def last_frame(data: bytes) -> GoAwayFrame:
    """Return the last of the frames in `data`, which has to be GOAWAY."""
    while True:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]))
        body, data = data[9 : 9 + size], data[9 + size :]
        if not data:
            frame.parse_body(memoryview(body))
            assert isinstance(frame, GoAwayFrame)
            return frame


def test_twenty_thousand_cancelled_requests_cost_nobody_a_tunnel(stage: Stage) -> None:
    certificate = Certificate.make(stage.folder)
    edge = stage.edge(certificate=certificate)
    agent = stage.agent(edges=[edge], services={"web": stage.origin().url})
    with Client2(edge.public, certificate) as bystander:
        for _ in range(20):
            flood = cancelled("/hold/never", CANCELS_A_CONNECTION + 100)
            assert goaway_code(edge, certificate, flood) == ENHANCE_YOUR_CALM
            assert bystander.response(bystander.request("/")).status == 200
    assert "tunnel up" in agent.stderr
    assert "no tunnel" not in agent.stderr


def test_a_flood_of_pings_ends_its_connection_only(stage: Stage) -> None:
    certificate = Certificate.make(stage.folder)
    edge = stage.edge(certificate=certificate)
    stage.agent(edges=[edge], services={"web": stage.origin().url})
    with Client2(edge.public, certificate) as bystander:
        flood = [PingFrame(0, b"12345678")] * 1500
        assert goaway_code(edge, certificate, flood) == ENHANCE_YOUR_CALM
        assert bystander.response(bystander.request("/")).status == 200
