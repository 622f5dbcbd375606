"""Handshakes brought into every state they can be in, and what they write cut into frames."""

from __future__ import annotations

from collections.abc import Iterator

from h2s.engine import Limits, Role, Session, create_session
from h2s.engine.session import Fields
from h2s.errors import ErrorCode, HandshakeError
from h2s.handshake import Handshake, HelloReceived
from h2s.swap import State
from h2s.wire import H2_PREFACE, SETTINGS_H2S, parse_frame_header

from .said import HELLO, REFUSAL, WELCOME

__all__ = [
    "REACHABLE",
    "REGISTER",
    "Frame",
    "frames",
    "goaway_codes",
    "greeted_edge",
    "raw_agent",
    "reach",
    "swap_bytes",
]

Frame = tuple[int, int, int, bytes]
GOAWAY = 7
REGISTER: Fields = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"edge.h2s.internal"),
    (b":path", b"/h2s.v1.Registration/Register"),
]
AGENT_STATES = ("GREETING", "REGISTERING", "WELCOMED", "SILENT", "SWAPPED", "REFUSED")
EDGE_STATES = ("GREETING", "REGISTERING", "DECIDING", "SWAPPING", "SWAPPED", "REFUSED")
REACHABLE = [
    *((Role.CLIENT, State[name]) for name in AGENT_STATES),
    *((Role.SERVER, State[name]) for name in EDGE_STATES),
]


def frames(data: bytes) -> list[Frame]:
    """Cut bytes into (type, flags, stream id, payload); a client's preface is left out."""
    data = data.removeprefix(H2_PREFACE)
    found = []
    while data:
        length, kind, flags, stream_id = parse_frame_header(data)
        assert len(data) >= 9 + length
        found.append((kind, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def goaway_codes(data: bytes) -> list[ErrorCode]:
    """Return the codes of the GOAWAY frames in `data`."""
    return [
        ErrorCode(int.from_bytes(payload[4:8], "big"))
        for kind, _, _, payload in frames(data)
        if kind == GOAWAY
    ]


def swap_bytes(version: int = 1) -> bytes:
    """Return a SWAP frame, spelt out."""
    return bytes.fromhex("000004 f5 00 00000000") + version.to_bytes(4, "big")


def raw_agent(*, versions: int = 0x0001_0001, stream_window: int = 65_536) -> Session:
    """Return the HTTP/2 session of an agent that says whatever a test wants."""
    return create_session(
        Role.CLIENT, Limits(stream_window=stream_window, extra_settings={SETTINGS_H2S: versions})
    )


def greeted_edge(agent: Session) -> Handshake:
    """Return an edge that has exchanged SETTINGS with `agent`."""
    edge = Handshake(Role.SERVER)
    edge.receive(agent.pull(1 << 20))
    agent.receive(edge.pull())
    edge.receive(agent.pull(1 << 20))
    return edge


def reach(role: Role, state: State) -> Handshake:
    """Return a handshake in that state; all it had to write so far has been written."""
    agent, edge = Handshake(Role.CLIENT, hello=HELLO), Handshake(Role.SERVER)
    ours = agent if role is Role.CLIENT else edge
    step = _steps(agent, edge, refused=state is State.REFUSED)
    while ours.state is not state:
        next(step)
    ours.pull()
    return ours


def _steps(agent: Handshake, edge: Handshake, *, refused: bool) -> Iterator[None]:
    edge.receive(agent.pull())
    yield
    agent.receive(edge.pull())
    yield
    (event,) = edge.receive(agent.pull())
    assert isinstance(event, HelloReceived)
    yield
    if refused:
        edge.refuse(REFUSAL)
        yield
        try:
            agent.receive(edge.pull())
        except HandshakeError:
            yield
        return
    edge.accept(WELCOME)
    yield
    answer = edge.pull()
    agent.receive(answer[:-13])
    yield
    agent.receive(answer[-13:])
    yield
    edge.receive(agent.pull())
    yield
    agent.receive(b"P")
    yield
