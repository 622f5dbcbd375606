"""Contract of every engine: it does not matter how bytes are cut up, and no bytes raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h2s.engine.session import Event, Limits, Role, Session, Terminated
from h2s.errors import ErrorCode

if TYPE_CHECKING:
    from .conftest import Engine

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

fixtures_are_factories = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)


def recorded(engine: Engine) -> bytes:
    """What a client sends in a life with a bit of everything."""
    pair = engine.pair()
    client = engine.session(Role.CLIENT, Limits(extra_settings={0xF5C1: 1}))
    data = client.pull(65_536)
    client.receive(engine.session(Role.SERVER, Limits()).pull(65_536))
    first = client.open([*POST, (b"x-long", b"y" * 20_000)], end_stream=False)
    client.send_data(first, b"hello" * 5000, end_stream=False)
    client.send_trailers(first, [(b"x", b"y")])
    second = client.open([*POST, (b"connection", b"malformed")], end_stream=False)
    client.send_data(second, b"ignored", end_stream=True)
    third = client.open(POST, end_stream=False)
    data += client.pull(1 << 20)
    client.reset(third, ErrorCode.CANCEL)
    client.ping(b"12345678")
    client.goaway(ErrorCode.NO_ERROR)
    assert pair.server.open_streams == 0
    return data + client.pull(1 << 20) + b"\x00\x00\x01\x03\x00\x00\x00\x00\x01\x00"


def heard(session: Session, data: bytes, cuts: list[int]) -> list[Event]:
    events: list[Event] = []
    start = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        events += session.receive(data[start:cut])
        start = cut
    return events


@fixtures_are_factories
@given(cuts=st.lists(st.integers(0, 1 << 17), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_events(engine: Engine, cuts: list[int]) -> None:
    data = recorded(engine)
    whole = heard(engine.session(Role.SERVER, Limits()), data, [])
    assert isinstance(whole[-1], Terminated)
    assert len(whole) > 8
    assert heard(engine.session(Role.SERVER, Limits()), data, cuts) == whole


def test_bytes_may_come_one_by_one(engine: Engine) -> None:
    data = recorded(engine)
    whole = heard(engine.session(Role.SERVER, Limits()), data, [])
    assert heard(engine.session(Role.SERVER, Limits()), data, list(range(len(data)))) == whole


@fixtures_are_factories
@given(data=st.binary(max_size=400))
def test_random_bytes_never_raise(engine: Engine, role: Role, data: bytes) -> None:
    session = engine.session(role, Limits())
    session.receive((PREFACE if role is Role.SERVER else b"") + SETTINGS)
    events = session.receive(data)
    assert not any(isinstance(event, Terminated) for event in events[:-1])
    session.pull(65_536)


frame = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    ),
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 255]),
    st.sampled_from([0, 1, 2, 3, 5, 7, 2**31 - 1, 2**32 - 1]),
    st.one_of(
        st.binary(max_size=20), st.sampled_from([b"\x82\x87\x84\x41\x01a", b"\x88", bytes(4), bytes(8)])
    ),
)


@fixtures_are_factories
@given(frames=st.lists(frame, max_size=12))
def test_random_frames_never_raise(engine: Engine, role: Role, frames: list[bytes]) -> None:
    session = engine.session(role, Limits(max_concurrent_streams=2))
    session.receive((PREFACE if role is Role.SERVER else b"") + SETTINGS)
    if role is Role.CLIENT:
        stream_id = session.open(POST, end_stream=False)
        session.send_data(stream_id, b"x" * 100, end_stream=True)
    terminated = False
    for data in frames:
        events = session.receive(data)
        assert not (terminated and events)
        terminated = terminated or any(isinstance(event, Terminated) for event in events)
        session.pull(65_536)
