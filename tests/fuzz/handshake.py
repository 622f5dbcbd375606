"""Registration and swap against peers that say anything at any moment, on both sides and in every state.

Whatever comes: the handshake goes on, or ends with one of its errors and, where it may still speak, with last words.
It never speaks behind its own SWAP, says at most once that phase 2 begins, and holds no more than it has promised.
"""

from __future__ import annotations

from hypothesis import strategies as st

from h2s.engine import Role
from h2s.errors import HandshakeError, RemoteProtocolError
from h2s.handshake import Handshake, HelloReceived, Swapped
from h2s.swap import State
from h2s.wire import H2_PREFACE, SETTINGS_H2S, SWAP
from tests.h2s.handshakes import REACHABLE, frames, reach
from tests.h2s.said import REFUSAL, WELCOME

from .case import Case, Target, damaged, mostly, reads
from .frames import DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, settings_frame, swap
from .frames import frames as any_frames
from .messages import HELLOS, REFUSALS, WELCOMES

__all__ = ["HANDSHAKE"]

STATES = [(role, state) for role, state in REACHABLE if state is not State.SWAPPED]
ANSWERS = ("accept", "refuse", "ignore")
MAX_SAID = 256 * 1024
"""Bytes that a handshake may write in answer to whatever it reads."""
MAX_REASON = 2000
"""Characters of an error, which goes into logs."""
REGISTER = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/h2s.v1.Registration/Register")]


def check(case: Case) -> None:
    """Bring a handshake into a state, and feed it."""
    role, state, answer = case.variant.split()
    handshake = reach(Role(role), State[state])
    said = 0
    silent = handshake.state in (State.SWAPPING, State.SILENT)
    for read in case.reads:
        events, over = take(handshake, read, answer)
        words = handshake.pull()
        said += len(words)
        assert said <= MAX_SAID
        assert not (silent and words), "words behind SWAP"
        kinds = [frame[0] for frame in frames(words)]
        assert SWAP not in kinds[:-1]
        silent = silent or SWAP in kinds
        if over or any(isinstance(event, Swapped) for event in events):
            break
    assert handshake.pull() == b""


def take(handshake: Handshake, read: bytes, answer: str) -> tuple[list[object], bool]:
    """Feed a read, and answer a Hello; say whether that was the end."""
    events: list[object] = []
    try:
        for event in handshake.receive(read):
            assert not any(isinstance(before, Swapped) for before in events)
            events.append(event)
            if isinstance(event, HelloReceived):
                if answer == "accept":
                    handshake.accept(WELCOME)
                elif answer == "refuse":
                    handshake.refuse(REFUSAL)
    except (HandshakeError, RemoteProtocolError) as error:
        reason = str(error)
    else:
        return events, False
    assert 0 < len(reason) < MAX_REASON
    return events, True


NEXT = {State.GREETING: 0, State.REGISTERING: 1}
"""Which part of what a peer says is due; in the other states it is SWAP."""


@st.composite
def transcripts(draw: st.DrawFn, role: Role, state: State) -> bytes:
    """What a handshake of this role waits for in this state, or something like it."""
    versions = draw(mostly([0x0001_0001], [0, 0x0002_0005, 0xFFFF_FFFF, 0x0005_0001]))
    greeting = draw(mostly([settings_frame((SETTINGS_H2S, versions))], [settings_frame(), b""], weight=8))
    if role is Role.SERVER:
        greeting = draw(mostly([H2_PREFACE], [b"", b"GET / HTTP/1.1\r\n\r\n"], weight=8)) + greeting
        head, body = REGISTER, draw(HELLOS)
    else:
        status = draw(mostly([b"200", b"401"], [b"204", b"302", b"999", b"103"]))
        head, body = [(b":status", status)], draw(WELCOMES | REFUSALS)
    message = frame(HEADERS, block(head), flags=END_HEADERS, stream_id=1)
    for start in range(0, len(body), 16_384):
        piece = body[start : start + 16_384]
        last = END_STREAM if start + 16_384 >= len(body) else 0
        message += frame(DATA, piece, flags=last, stream_id=1)
    parts = [greeting, message, draw(swap()), draw(any_frames(with_swap=True))]
    start = draw(mostly([NEXT.get(state, 2)], range(4)))
    return b"".join(parts[start : draw(st.integers(start + 1, 4))])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A state, the decision on a Hello, and what the peer says from there on."""
    role, state = draw(st.sampled_from(STATES))
    good = transcripts(role, state)
    said = good | damaged(good) | any_frames(with_swap=True)
    return Case(f"{role.value} {state.name} {draw(st.sampled_from(ANSWERS))}", draw(reads(said)))


HANDSHAKE = Target("handshake", cases(), check)
