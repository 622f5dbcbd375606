"""Peers of the tunnel port that do not keep to the protocol.

They are made of h2s's own parts, which do no I/O, on a blocking socket: whatever step comes next can be left out, done
twice, or replaced by any bytes. `RogueAgent` dials an edge, `FakeEdge` waits for agents.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from h2s.engine import Limits, Role, Session, create_session
from h2s.engine.session import Event, Fields, Goaway, Head
from h2s.handshake import Handshake, HelloReceived, Swapped
from h2s.messages import ConfigVersion, Credentials, Hello, ServiceOffer, TunnelLimits, Welcome
from h2s.token import JoinToken
from h2s.tunnel import AGENT_LIMITS, agent_ssl_context, edge_ssl_context
from h2s.wire import ALPN, EDGE_NAME, parse_frame_header

from .address import Address, free_address
from .stage import Edge

__all__ = ["FakeEdge", "RogueAgent", "Wire", "dial", "goaway_code", "hello"]

TIMEOUT = 20.0
GOAWAY = 7


class Wire:
    """A blocking socket, perhaps with TLS on it."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self.opened = time.monotonic()
        plain.settimeout(TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes, as far as the other end takes them."""
        try:
            self.socket.sendall(data)
        except OSError:
            return

    def read(self) -> bytes:
        """Return what comes next; nothing at the end of the connection, however it ends."""
        try:
            return self.socket.recv(65_536)
        except (ConnectionError, ssl.SSLError):
            return b""

    def until_closed(self) -> bytes:
        """Return all that comes before the other end closes."""
        received = b""
        while data := self.read():
            received += data
        return received


def dial(edge: Edge, *protocols: str) -> Wire:
    """Connect to an edge's tunnel port with TLS, and offer these protocols."""
    context = agent_ssl_context(JoinToken.parse(edge.token_file.read_text()).ca_pem)
    context.set_alpn_protocols(list(protocols))
    wire = Wire(socket.create_connection(edge.tunnel, TIMEOUT))
    wire.socket = context.wrap_socket(wire.socket, server_hostname=EDGE_NAME)
    return wire


def goaway_code(data: bytes) -> int | None:
    """Return the code of the last GOAWAY in the frames of `data`, or None."""
    code = None
    while len(data) >= 9:
        length, kind, _, _ = parse_frame_header(data)
        if kind == GOAWAY:
            code = int.from_bytes(data[13:17], "big")
        data = data[9 + length :]
    return code


def hello(token_file: Path, service: str = "rogue") -> Hello:
    """Return what an agent with this token says of itself; its id is its own."""
    return Hello(
        agent_id=f"rogue-{secrets.token_hex(4)}",
        generation=1,
        version="0",
        services=[ServiceOffer(name=service)],
        credentials=Credentials(join_secret=JoinToken.parse(token_file.read_text()).secret.hex()),
    )


class RogueAgent(Wire):
    """A connection to an edge that begins like an agent's."""

    def __init__(self, edge: Edge, said: Hello | None = None) -> None:
        wire = dial(edge, ALPN)
        super().__init__(wire.socket)
        self.handshake = Handshake(Role.CLIENT, hello=said or hello(edge.token_file))
        self.session: Session = create_session(Role.SERVER, AGENT_LIMITS)
        self.sync = 0
        """The stream of the Sync call, once it is open."""

    def register(self) -> bytes:
        """Go on to the edge's SWAP and return the agent's own, which is not sent. Raises Refused."""
        self.send(self.handshake.pull())
        while self.handshake.welcome is None or self.handshake.state.name != "SILENT":
            data = self.read()
            assert data, "the edge closed the connection"
            self.handshake.receive(data)
            if self.handshake.state.name != "SILENT":
                self.send(self.handshake.pull())
        return self.handshake.pull()

    def become_tunnel(self, limits: Limits = AGENT_LIMITS) -> Self:
        """Register, swap roles, and go on until the edge has opened Sync."""
        self.session = create_session(Role.SERVER, limits)
        self.send(self.register())
        while not self.sync:
            for event in self.hear():
                if isinstance(event, Head):
                    self.sync = event.stream_id
        return self

    def hear(self) -> list[Event]:
        """Read once in phase 2, answer as HTTP/2 asks for, and return what came."""
        data = self.read()
        assert data, "the edge closed the connection"
        events = self.session.receive(data)
        self.flush()
        return events

    def until_closed(self) -> bytes:
        """Return all that comes before the edge closes; in phase 2 PINGs are answered meanwhile."""
        received = b""
        while data := self.read():
            received += data
            if self.sync:
                self.session.receive(data)
                self.flush()
        return received

    def flush(self) -> None:
        """Send what the session has to say."""
        while data := self.session.pull(65_536):
            self.send(data)

    def answer_sync(self, payload: bytes) -> None:
        """Take the call, and send these bytes in it."""
        self.session.send_head(
            self.sync, [(b":status", b"200"), (b"content-type", b"application/grpc+json")], end_stream=False
        )
        self.session.send_data(self.sync, payload, end_stream=False)
        self.flush()


class FakeEdge:
    """A tunnel port with an edge's certificate, which lets any agent in."""

    def __init__(self, edge: Edge) -> None:
        self.address: Address = free_address()
        self.nonce = secrets.token_hex(16)
        self._context = edge_ssl_context(str(edge.data_dir / "edge.crt"), str(edge.data_dir / "edge.key"))
        self._listener = socket.create_server(self.address)
        self._listener.settimeout(TIMEOUT)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def accept(self) -> FakeTunnel:
        """Wait for an agent, let it in and swap roles."""
        plain, _ = self._listener.accept()
        wire = Wire(plain)
        wire.socket = self._context.wrap_socket(plain, server_side=True)
        handshake = Handshake(Role.SERVER)
        while True:
            events = handshake.receive(wire.read())
            for event in events:
                if isinstance(event, HelloReceived):
                    handshake.accept(self._welcome())
                elif isinstance(event, Swapped):
                    return FakeTunnel(wire.socket)
            wire.send(handshake.pull())

    def _welcome(self) -> Welcome:
        return Welcome(
            edge_id="fake",
            tunnel_id="t-fake",
            control_nonce=self.nonce,
            config_version=ConfigVersion(fleet="fake", epoch=0, n=0),
            limits=TunnelLimits(max_message=1024),
        )


class FakeTunnel(Wire):
    """The fake edge's end of a tunnel."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(plain)
        self.session = create_session(Role.CLIENT, Limits())

    def ask(self, fields: Fields, *, end_stream: bool = True) -> list[Event]:
        """Open a stream, and return what the agent says on it, up to its end or to a message of a call."""
        while not self.session.free_streams or not self.session.peer_connect_protocol:
            self._turn()
        stream_id = self.session.open(fields, end_stream=end_stream)
        heard: list[Event] = []
        while not heard or not self._over(heard[-1]):
            heard += [event for event in self._turn() if getattr(event, "stream_id", 0) == stream_id]
        return heard

    @staticmethod
    def _over(event: Event) -> bool:
        return not isinstance(event, Head) or event.end_stream

    def _turn(self) -> list[Event]:
        while data := self.session.pull(65_536):
            self.send(data)
        data = self.read()
        assert data, "the agent closed the connection"
        events = self.session.receive(data)
        assert not any(isinstance(event, Goaway) for event in events), events
        return events
