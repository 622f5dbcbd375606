"""Handshakes with peers that are wrong, hostile, or no h2s peers at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2s.engine import Limits, Role, Session, create_session
from h2s.engine.session import Fields
from h2s.errors import ErrorCode, H2SError, HandshakeError, Refused, RemoteProtocolError
from h2s.handshake import MAX_HELLO, Handshake, HelloReceived, Swapped
from h2s.messages import EdgeAddress, ServiceOffer
from h2s.swap import State
from h2s.wire import H2_PREFACE, frame_header

from .handshakes import REACHABLE, REGISTER, frames, goaway_codes, greeted_edge, raw_agent, reach
from .said import HELLO, WELCOME

AGENT, EDGE = Role.CLIENT, Role.SERVER
RST_STREAM, SETTINGS, GOAWAY, SWAP = 3, 4, 7, 0xF5
PING_FRAME = frame_header(8, 6, 0, 0) + b"\0" * 8
UNKNOWN_FRAME = frame_header(1000, 0xAA, 0, 0) + b"\0" * 1000

# -- registrations that do not parse ----------------------------------------------------------------------------------


def register(body: bytes, fields: Fields = REGISTER) -> tuple[Session, Handshake]:
    """Return an agent that has this registration to send, and an edge that has not read it."""
    agent = raw_agent()
    edge = greeted_edge(agent)
    stream_id = agent.open(fields, end_stream=False)
    agent.send_data(stream_id, body, end_stream=True)
    return agent, edge


def converse(agent: Session, edge: Handshake) -> list[HelloReceived | Swapped]:
    """Carry bytes both ways until the agent has nothing more to send."""
    events = []
    while data := agent.pull(1 << 20):
        events += edge.receive(data)
        agent.receive(edge.pull())
    return events


def refusal(body: bytes, fields: Fields = REGISTER) -> tuple[int, str]:
    """Return status and code with which an edge refuses this registration for good."""
    agent, edge = register(body, fields)
    with pytest.raises(Refused) as raised:
        converse(agent, edge)
    assert edge.state is State.REFUSED
    assert raised.value.permanent
    assert goaway_codes(edge.pull()) == [ErrorCode.NO_ERROR]
    return raised.value.status, raised.value.code


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"null", b"{}", b"[" * 60_000, b'{"agent_id": "\\ud800"}']
)
def test_a_hello_that_cannot_be_read_is_refused_for_good(body: bytes) -> None:
    assert refusal(body) == (400, "hello_invalid")


def test_the_reason_quotes_only_a_little_of_what_came() -> None:
    body = HELLO.model_dump_json().replace('"release"', f'"{"x" * 50_000}"').encode()
    assert refusal(body) == (400, "hello_invalid")


def test_another_request_is_not_a_registration() -> None:
    assert refusal(b"{}", fields=[*REGISTER[:3], (b":path", b"/")]) == (404, "not_registration")


def test_ten_megabytes_of_hello_are_refused_as_soon_as_they_are_announced() -> None:
    size = 10 * 1024 * 1024
    fields = [*REGISTER, (b"content-length", str(size).encode())]
    assert refusal(b"x" * size, fields=fields) == (413, "hello_too_large")


def test_ten_megabytes_of_hello_without_a_length_are_refused_at_the_limit() -> None:
    assert refusal(b"x" * 10 * 1024 * 1024) == (413, "hello_too_large")


def test_an_agent_hears_that_its_hello_is_too_large() -> None:
    labels = {f"key-{n}": "v" * 60 for n in range(60)}
    services = [ServiceOffer(name=f"s{n}", labels=labels) for n in range(250)]
    agent, edge = Handshake(AGENT, hello=HELLO.model_copy(update={"services": services})), Handshake(EDGE)
    edge.receive(agent.pull())
    agent.receive(edge.pull())
    with pytest.raises(Refused):
        edge.receive(agent.pull())
    with pytest.raises(Refused) as raised:
        agent.receive(edge.pull())
    assert (raised.value.code, raised.value.permanent) == ("hello_too_large", True)


def test_the_largest_hello_is_taken() -> None:
    body = HELLO.model_dump_json().encode()
    agent, edge = register(body + b" " * (MAX_HELLO - len(body)))
    assert converse(agent, edge) == [HelloReceived(HELLO)]


def test_a_hello_may_end_with_trailers() -> None:
    agent = raw_agent()
    edge = greeted_edge(agent)
    stream_id = agent.open(REGISTER, end_stream=False)
    agent.send_data(stream_id, HELLO.model_dump_json().encode(), end_stream=False)
    agent.send_trailers(stream_id, [(b"x-sum", b"1")])
    assert edge.receive(agent.pull(1 << 20)) == [HelloReceived(HELLO)]


# -- peers that misbehave as HTTP/2 -----------------------------------------------------------------------------------


def fails(handshake: Handshake, data: bytes) -> ErrorCode:
    """Return the code with which `handshake` ends over `data`, which its GOAWAY names too."""
    with pytest.raises(RemoteProtocolError) as raised:
        handshake.receive(data)
    code = ErrorCode(raised.value.code)
    assert set(goaway_codes(handshake.pull())) == {code}
    return code


def test_another_protocol_is_known_by_its_first_byte() -> None:
    assert fails(Handshake(EDGE), b"G") == ErrorCode.PROTOCOL_ERROR
    assert fails(Handshake(EDGE), b"PRI * HTTP/1.1") == ErrorCode.PROTOCOL_ERROR


def test_a_second_request_beside_the_first_is_refused() -> None:
    agent, edge = raw_agent(), Handshake(EDGE)
    agent.open(REGISTER, end_stream=False)
    second = agent.open(REGISTER, end_stream=False)
    edge.receive(agent.pull(1 << 20))
    assert frames(edge.pull())[-1] == (RST_STREAM, 0, second, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))


@pytest.mark.parametrize("role", Role)
def test_a_reset_registration_is_the_end(role: Role) -> None:
    handshake = reach(role, State.REGISTERING)
    if role is AGENT:
        assert fails(handshake, frame_header(4, 3, 0, 1) + b"\0\0\0\7") == ErrorCode.PROTOCOL_ERROR
        return
    agent = raw_agent()
    edge = greeted_edge(agent)
    stream_id = agent.open(REGISTER, end_stream=False)
    agent.reset(stream_id, ErrorCode.CANCEL)
    assert fails(edge, agent.pull(1 << 20)) == ErrorCode.PROTOCOL_ERROR


def test_a_registration_with_a_malformed_head_is_the_end() -> None:
    agent = raw_agent()
    edge = greeted_edge(agent)
    agent.open([*REGISTER, (b"connection", b"close")], end_stream=True)
    assert fails(edge, agent.pull(1 << 20)) == ErrorCode.PROTOCOL_ERROR


def test_a_frame_that_is_too_large_is_refused_by_its_header() -> None:
    assert fails(reach(EDGE, State.REGISTERING), frame_header(16_385, 0, 0, 1)) == ErrorCode.FRAME_SIZE_ERROR


def flood(handshake: Handshake, frame: bytes) -> int:
    """Send a frame again and again until it is an error; return how much was written meanwhile."""
    written = 0
    while written < 1 << 20:
        handshake.receive(frame)
        written += len(handshake.pull())
    return written


@pytest.mark.parametrize("frame", [PING_FRAME, UNKNOWN_FRAME], ids=["PING", "unknown"])
@pytest.mark.parametrize("role", Role)
def test_a_flood_before_the_swap_is_stopped(role: Role, frame: bytes) -> None:
    handshake = reach(role, State.REGISTERING)
    with pytest.raises(RemoteProtocolError) as raised:
        flood(handshake, frame)
    assert raised.value.code == ErrorCode.ENHANCE_YOUR_CALM
    assert ErrorCode.ENHANCE_YOUR_CALM in goaway_codes(handshake.pull())


def test_frames_without_end_after_the_edges_swap_are_stopped() -> None:
    edge = reach(EDGE, State.SWAPPING)
    frame = frame_header(1000, 0, 0, 1) + b"\0" * 1000
    for _ in range(128):
        edge.receive(frame)
    with pytest.raises(RemoteProtocolError):
        edge.receive(frame * 10)
    assert edge.pull() == b""


@pytest.mark.parametrize("role", Role)
def test_goaway_ends_the_handshake_and_says_why(role: Role) -> None:
    handshake = reach(role, State.REGISTERING)
    with pytest.raises(HandshakeError, match="go home") as raised:
        handshake.receive(frame_header(15, GOAWAY, 0, 0) + b"\0" * 8 + b"go home")
    assert not raised.value.permanent


def test_a_window_too_small_for_the_welcome_is_an_error_and_no_swap_is_sent() -> None:
    agent = raw_agent(stream_window=10)
    edge = greeted_edge(agent)
    stream_id = agent.open(REGISTER, end_stream=False)
    agent.send_data(stream_id, HELLO.model_dump_json().encode(), end_stream=True)
    edge.receive(agent.pull(1 << 20))
    with pytest.raises(RemoteProtocolError) as raised:
        edge.accept(WELCOME)
    assert raised.value.code == ErrorCode.FLOW_CONTROL_ERROR
    assert SWAP not in [kind for kind, *_ in frames(edge.pull())]


def test_an_edge_never_sends_a_welcome_that_agents_do_not_take() -> None:
    edge = reach(EDGE, State.DECIDING)
    edges = [EdgeAddress(edge_id=f"e{n}", address="a" * 256) for n in range(1024)]
    with pytest.raises(H2SError, match="a Welcome of"):
        edge.accept(WELCOME.model_copy(update={"edges": edges}))
    assert edge.state is State.DECIDING


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"\xff"])
@pytest.mark.parametrize("status", [b"200", b"302", b"502"])
def test_an_answer_that_no_edge_gives_is_a_protocol_error(status: bytes, body: bytes) -> None:
    agent = reach(AGENT, State.GREETING)
    edge = create_session(EDGE, Limits(extra_settings={0xF5C2: 0x0001_0001}))
    edge.receive(H2_PREFACE + frame_header(0, SETTINGS, 0, 0))
    agent.receive(edge.pull(1 << 20))
    edge.receive(agent.pull())
    edge.send_head(1, [(b":status", status)], end_stream=False)
    edge.send_data(1, body, end_stream=True)
    assert fails(agent, edge.pull(1 << 20)) == ErrorCode.PROTOCOL_ERROR


# -- rubbish ----------------------------------------------------------------------------------------------------------

some_frame = st.builds(
    lambda kind, flags, stream_id, payload: frame_header(len(payload), kind, flags, stream_id) + payload,
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xF5, 0xAA]),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 2**31 - 1]),
    st.binary(max_size=40),
)
rubbish = st.lists(st.one_of(st.binary(max_size=40), some_frame), min_size=1, max_size=12)


@pytest.mark.parametrize(("role", "state"), REACHABLE, ids=lambda value: value.name)
@settings(max_examples=60)
@given(chunks=rubbish)
def test_rubbish_in_any_state_leads_to_a_state_or_a_typed_error(
    role: Role, state: State, chunks: list[bytes]
) -> None:
    handshake = reach(role, state)
    try:
        for chunk in chunks:
            for event in handshake.receive(chunk):
                if isinstance(event, Swapped):
                    return
            handshake.pull()
    except H2SError:
        handshake.pull()
    assert isinstance(handshake.state, State)


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_handshake_ends_in_a_typed_error_or_not_at_all(data: st.DataObject) -> None:
    agent = Handshake(AGENT, hello=HELLO)
    agent.receive(Handshake(EDGE).pull())
    wire = bytearray(agent.pull())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    edge = Handshake(EDGE)
    try:
        edge.receive(bytes(wire))
    except H2SError:
        edge.pull()


def test_what_a_peer_says_when_it_leaves_is_quoted_in_part() -> None:
    edge = reach(EDGE, State.REGISTERING)
    with pytest.raises(HandshakeError, match=r"x{100}") as raised:
        edge.receive(frame_header(8008, GOAWAY, 0, 0) + bytes(8) + b"x" * 8000)
    assert len(str(raised.value)) < 400
