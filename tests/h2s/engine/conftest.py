"""What the contract suite stands on: an engine to test, two sessions joined in memory, and an independent peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

from h2s.engine.choice import ENGINES, load
from h2s.engine.session import Event, Fields, Limits, Role, Session

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST: Fields = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"a.example"),
    (b":path", b"/"),
]
RESPONSE: Fields = [(b":status", b"200")]


class Pair:
    """A client and a server session, and the wire between them."""

    def __init__(self, client: Session, server: Session) -> None:
        self.client = client
        self.server = server

    def pump(self, limit: int = 65_536) -> tuple[list[Event], list[Event]]:
        """Carry bytes until both are silent; return what the client and what the server heard meanwhile."""
        heard: tuple[list[Event], list[Event]] = ([], [])
        while True:
            to_server, to_client = self.client.pull(limit), self.server.pull(limit)
            if not to_server and not to_client:
                return heard
            if to_server:
                heard[1].extend(self.server.receive(to_server))
            if to_client:
                heard[0].extend(self.client.receive(to_client))

    def heard(self) -> list[Event]:
        """Carry bytes until both are silent; return what either heard."""
        client_events, server_events = self.pump()
        return client_events + server_events

    def request(self, fields: Fields = REQUEST, *, end_stream: bool = False, urgent: bool = False) -> int:
        """Open a stream and let the server hear of it."""
        stream_id = self.client.open(fields, end_stream=end_stream, urgent=urgent)
        self.pump()
        return stream_id

    def ends(self, sender: Role) -> tuple[Session, Session]:
        """Return the session of that role and the other."""
        return (self.client, self.server) if sender is Role.CLIENT else (self.server, self.client)


class Peer:
    """A peer made of hyperframe and hpack alone, opposite a session under test."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.encoder = Encoder()
        self.decoder = Decoder()
        self._rest = b""

    def greet(self, settings: dict[int, int] | None = None) -> list[Event]:
        """Send what a connection starts with."""
        preface = PREFACE if self.session.role is Role.SERVER else b""
        return self.session.receive(preface + SettingsFrame(0, settings=settings or {}).serialize())

    def send(self, *frames: Frame) -> list[Event]:
        """Send frames and return what the session made of them."""
        return self.session.receive(b"".join(frame.serialize() for frame in frames))

    def head(self, stream_id: int, fields: Fields = REQUEST, *, end_stream: bool = False) -> HeadersFrame:
        """Return a HEADERS frame, compressed for this connection."""
        frame = HeadersFrame(stream_id, self.encoder.encode(fields), flags=["END_HEADERS"])
        if end_stream:
            frame.flags.add("END_STREAM")
        return frame

    def data(self, stream_id: int, data: bytes = b"", *, end_stream: bool = False) -> DataFrame:
        """Return a DATA frame."""
        return DataFrame(stream_id, data, flags=["END_STREAM"] if end_stream else [])

    def received(self, limit: int = 1 << 20) -> list[Any]:
        """Return all frames that the session has for us now; it says so before (`has_output`)."""
        data = b""
        while True:
            expected = self.session.has_output
            piece = self.session.pull(limit)
            assert expected or not piece
            if not piece:
                assert not self.session.has_output
                return self.parse(data)
            data += piece

    def parse(self, data: bytes) -> list[Any]:
        """Return the frames in `data`."""
        data = data.removeprefix(PREFACE)
        frames = []
        while data:
            frame, size = Frame.parse_frame_header(memoryview(data[:9]))
            frame.parse_body(memoryview(data[9 : 9 + size]))
            frames.append(frame)
            data = data[9 + size :]
        return frames


class Engine:
    """An engine under test."""

    def __init__(self, factory: Callable[[Role, Limits], Session]) -> None:
        self.session = factory

    def pair(self, *, client: Limits | None = None, server: Limits | None = None) -> Pair:
        """Return two joined sessions that have exchanged SETTINGS."""
        default = Limits(connect_protocol=True)
        pair = Pair(
            self.session(Role.CLIENT, client or default), self.session(Role.SERVER, server or default)
        )
        pair.pump()
        return pair

    def peer(
        self, role: Role, limits: Limits | None = None, *, settings: dict[int, int] | None = None
    ) -> Peer:
        """Return an independent peer of a session of `role`; SETTINGS have been exchanged."""
        peer = Peer(self.session(role, limits or Limits()))
        peer.greet(settings)
        peer.received()
        peer.send(SettingsFrame(0, flags=["ACK"]))
        return peer


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    try:
        return Engine(load(request.param))
    except ImportError as error:
        pytest.skip(f"the {request.param} engine is not built: {error}")


@pytest.fixture(params=list(Role), ids=lambda role: role.value)
def role(request: pytest.FixtureRequest) -> Role:
    """Each role in turn."""
    return request.param


@pytest.fixture
def pair(engine: Engine) -> Pair:
    """Return two joined sessions with default limits, extended CONNECT allowed."""
    return engine.pair()
