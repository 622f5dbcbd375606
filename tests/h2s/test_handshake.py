"""The handshake on bytes: any split, any version, any rubbish."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from h2s.engine import Limits, Role, Session, create_session
from h2s.errors import ErrorCode, Refused, RemoteProtocolError, VersionMismatch
from h2s.handshake import Handshake, HelloReceived, Swapped
from h2s.messages import Hello, Refusal, Welcome
from h2s.swap import State
from h2s.wire import H2_PREFACE, frame_header

from .handshakes import REACHABLE, REGISTER, frames, goaway_codes, greeted_edge, raw_agent, reach, swap_bytes
from .said import HELLO, REFUSAL, WELCOME

AGENT, EDGE = Role.CLIENT, Role.SERVER
REQUEST = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
SETTINGS, PING, GOAWAY, SWAP = 4, 6, 7, 0xF5


def new_agent(hello: Hello = HELLO) -> Handshake:
    return Handshake(AGENT, hello=hello)


class Wire:
    """Two handshakes and their phase-2 sessions, with the bytes that are between them."""

    def __init__(self, agent: Handshake, edge: Handshake, answer: Welcome | Refusal = WELCOME) -> None:
        self.ends = {AGENT: agent, EDGE: edge}
        self.answer = answer
        self.sessions: dict[Role, Session] = {}
        self.heard: dict[Role, list[object]] = {AGENT: [], EDGE: []}
        self.to = {AGENT: bytearray(), EDGE: bytearray(agent.pull())}

    def carry(self, to: Role, size: int) -> None:
        """Let `to` read at most `size` bytes of what is on its way to it."""
        data = bytes(self.to[to][:size])
        del self.to[to][:size]
        if data:
            self._feed(to, data)
            self._pull(to)

    def settle(self, sizes: Iterator[tuple[Role, int]]) -> None:
        """Carry pieces of these sizes until nothing is on its way."""
        while self.to[AGENT] or self.to[EDGE]:
            to, size = next(sizes)
            self.carry(to, size)

    def _feed(self, to: Role, data: bytes) -> None:
        if to in self.sessions:
            self.heard[to].extend(self.sessions[to].receive(data))
            return
        for event in self.ends[to].receive(data):
            if isinstance(event, HelloReceived):
                self.heard[to].append(event.hello)
                self._decide()
            else:
                limits = Limits(max_concurrent_streams=8 if to is AGENT else 0)
                self.sessions[to] = create_session(EDGE if to is AGENT else AGENT, limits)
                if event.data:
                    self._feed(to, event.data)

    def _decide(self) -> None:
        edge = self.ends[EDGE]
        if isinstance(self.answer, Welcome):
            edge.accept(self.answer)
        else:
            edge.refuse(self.answer)

    def _pull(self, role: Role) -> None:
        other = EDGE if role is AGENT else AGENT
        session = self.sessions.get(role)
        self.to[other] += self.ends[role].pull() if session is None else session.pull(1 << 20)


pieces = st.lists(st.tuples(st.sampled_from([AGENT, EDGE]), st.integers(1, 300)), min_size=1, max_size=60)


def endless(sizes: list[tuple[Role, int]]) -> Iterator[tuple[Role, int]]:
    """Repeat these pieces for ever, with a turn for both sides in each round."""
    return itertools.cycle([*sizes, (AGENT, 7), (EDGE, 7)])


# -- the whole way ----------------------------------------------------------------------------------------------------


@given(sizes=pieces)
@example(sizes=[(AGENT, 1), (EDGE, 1)])
@example(sizes=[(AGENT, 1 << 20), (EDGE, 1 << 20)])
def test_any_split_of_the_bytes_leads_to_a_fresh_swapped_connection(sizes: list[tuple[Role, int]]) -> None:
    wire = Wire(new_agent(), Handshake(EDGE))
    wire.settle(endless(sizes))
    assert [wire.ends[role].state for role in Role] == [State.SWAPPED] * 2
    assert wire.ends[AGENT].welcome == WELCOME
    assert wire.heard[EDGE][0] == HELLO

    assert wire.sessions[EDGE].open(REQUEST, end_stream=True) == 1
    wire._pull(EDGE)
    wire.settle(endless(sizes))
    head = wire.heard[AGENT][-1]
    assert (head.stream_id, head.fields) == (1, REQUEST)  # type: ignore[attr-defined]


@given(sizes=pieces)
def test_a_refusal_arrives_typed_however_it_is_split(sizes: list[tuple[Role, int]]) -> None:
    wire = Wire(new_agent(), Handshake(EDGE), REFUSAL)
    with pytest.raises(Refused) as raised:
        wire.settle(endless(sizes))
    refused = raised.value
    assert (refused.code, refused.status, str(refused)) == ("draining", 503, REFUSAL.detail)
    assert (refused.permanent, refused.retry_after) == (False, 2.5)
    assert [wire.ends[role].state for role in Role] == [State.REFUSED] * 2


def test_a_permanent_refusal_says_so() -> None:
    wire = Wire(new_agent(), Handshake(EDGE), REFUSAL.model_copy(update={"permanent": True}))
    with pytest.raises(Refused) as raised:
        wire.settle(endless([(AGENT, 1000), (EDGE, 1000)]))
    assert raised.value.permanent


def test_refusal_goes_before_the_goaway() -> None:
    edge = reach(EDGE, State.DECIDING)
    edge.refuse(REFUSAL)
    kinds = [kind for kind, *_ in frames(edge.pull())]
    assert kinds == [1, 0, GOAWAY]


# -- the exact bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_first_settings_announce_h2s(role: Role) -> None:
    handshake = new_agent() if role is AGENT else Handshake(EDGE)
    kind, flags, stream_id, payload = frames(handshake.pull())[0]
    assert (kind, flags, stream_id) == (SETTINGS, 0, 0)
    assert bytes.fromhex("f5c2 00010001") in [payload[n : n + 6] for n in range(0, len(payload), 6)]


def test_the_edge_writes_nothing_behind_its_swap() -> None:
    edge = reach(EDGE, State.DECIDING)
    edge.accept(WELCOME)
    assert edge.pull().endswith(swap_bytes())
    edge.receive(frame_header(8, PING, 0, 0) + b"12345678")
    assert edge.pull() == b""
    assert edge.state is State.SWAPPING


def test_the_agent_answers_with_swap_and_writes_nothing_more() -> None:
    agent = reach(AGENT, State.WELCOMED)
    assert agent.receive(swap_bytes()) == []
    assert agent.pull().endswith(swap_bytes())
    assert agent.pull() == b""
    assert agent.receive(b"anything") == [Swapped(b"anything")]


def test_no_bytes_are_not_the_first_byte_of_phase_2() -> None:
    agent = reach(AGENT, State.SILENT)
    assert agent.receive(b"") == []
    assert agent.state is State.SILENT


# -- SWAP out of place ------------------------------------------------------------------------------------------------

TAKES_SWAP = {(AGENT, State.WELCOMED), (EDGE, State.SWAPPING)}
READS_FRAMES = [case for case in REACHABLE if case[1] not in (State.SILENT, State.SWAPPED)]


@pytest.mark.parametrize(("role", "state"), [case for case in READS_FRAMES if case not in TAKES_SWAP])
def test_swap_at_the_wrong_moment_is_a_protocol_error_with_goaway(role: Role, state: State) -> None:
    handshake = reach(role, state)
    preface = H2_PREFACE if (role, state) == (EDGE, State.GREETING) else b""
    with pytest.raises(RemoteProtocolError) as raised:
        handshake.receive(preface + swap_bytes())
    assert raised.value.code == ErrorCode.PROTOCOL_ERROR
    assert goaway_codes(handshake.pull()) == [ErrorCode.PROTOCOL_ERROR]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (frame_header(5, SWAP, 0, 0) + b"\0\0\0\1\0", ErrorCode.FRAME_SIZE_ERROR),
        (frame_header(0, SWAP, 0, 0), ErrorCode.FRAME_SIZE_ERROR),
        (frame_header(4, SWAP, 0, 1) + b"\0\0\0\1", ErrorCode.PROTOCOL_ERROR),
        (swap_bytes(2), ErrorCode.PROTOCOL_ERROR),
        (swap_bytes() + b"P", ErrorCode.PROTOCOL_ERROR),
    ],
    ids=["too long", "too short", "on a stream", "another version", "with bytes of phase 2"],
)
@pytest.mark.parametrize(("role", "state"), sorted(TAKES_SWAP, key=str))
def test_a_wrong_swap_closes(role: Role, state: State, frame: bytes, code: ErrorCode) -> None:
    handshake = reach(role, state)
    with pytest.raises(RemoteProtocolError) as raised:
        handshake.receive(frame)
    assert raised.value.code == code
    silent = role is EDGE
    assert goaway_codes(handshake.pull()) == ([] if silent else [code])


def test_swap_in_the_read_of_the_hello_is_an_error() -> None:
    edge = reach(EDGE, State.REGISTERING)
    agent = reach(AGENT, State.GREETING)
    agent.receive(Handshake(EDGE).pull())
    with pytest.raises(RemoteProtocolError):
        edge.receive(agent.pull() + swap_bytes())


# -- versions ---------------------------------------------------------------------------------------------------------


def test_peers_that_speak_more_versions_agree_on_the_highest_common_one() -> None:
    agent, edge = Handshake(AGENT, hello=HELLO, versions=(1, 3)), Handshake(EDGE, versions=(2, 5))
    wire = Wire(agent, edge)
    wire.settle(endless([(AGENT, 1000), (EDGE, 1000)]))
    assert agent.version == edge.version == 3


def test_an_agent_that_shares_no_version_gives_up_for_good_and_says_goaway() -> None:
    agent = Handshake(AGENT, hello=HELLO, versions=(2, 3))
    agent.pull()
    with pytest.raises(VersionMismatch) as raised:
        agent.receive(Handshake(EDGE).pull())
    assert raised.value.permanent
    written = agent.pull()
    assert goaway_codes(written) == [ErrorCode.NO_ERROR]
    assert b"ab" * 32 not in written


def test_an_edge_refuses_an_agent_that_shares_no_version_but_registers_all_the_same() -> None:
    agent = raw_agent(versions=0x0002_0003)
    edge = greeted_edge(agent)
    stream_id = agent.open(REGISTER, end_stream=False)
    agent.send_data(stream_id, HELLO.model_dump_json().encode(), end_stream=True)
    with pytest.raises(Refused) as raised:
        edge.receive(agent.pull(1 << 20))
    assert (raised.value.code, raised.value.permanent) == ("version_unsupported", True)


@pytest.mark.parametrize("role", Role)
def test_http2_without_h2s_is_turned_away(role: Role) -> None:
    handshake = new_agent() if role is AGENT else Handshake(EDGE)
    handshake.pull()
    other = create_session(EDGE if role is AGENT else AGENT, Limits())
    with pytest.raises(RemoteProtocolError, match="not h2s"):
        handshake.receive(other.pull(1 << 20))
    assert goaway_codes(handshake.pull()) == [ErrorCode.PROTOCOL_ERROR]
