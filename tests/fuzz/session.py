"""The HTTP/2 session against peers that do not keep to HTTP/2, in both roles, with each engine.

Whatever comes, in whatever reads: events in an order that makes sense for each stream, or `Terminated`, after which
there are none; never an exception. A peer that does not read cannot make the session hold more than its limits say.
And all engines hear the same, and say the same.
"""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, zip_longest

from hpack import Decoder
from hypothesis import strategies as st

from h2s.engine import Limits, Role, Session
from h2s.engine.choice import ENGINES, Factory, load
from h2s.engine.session import Data, Event, Head, Informational, Reset, Terminated, Trailers
from h2s.errors import ErrorCode
from h2s.fields import request_error, response_error, trailer_error
from h2s.wire import H2_PREFACE, parse_frame_header

from .case import Case, Target, damaged, mostly, reads
from .frames import REQUESTS, RESPONSES, any_frame, conversation, frames, settings_frame

__all__ = ["FLOOD", "SESSION"]

VARIANTS = [
    f"{role.value} {kind} {reading}"
    for role in Role
    for kind in ("public", "tunnel")
    for reading in ("read", "unread")
]
LIMITS = {"public": Limits(connect_protocol=True), "tunnel": Limits(connect_protocol=True, resets=None)}
METHODS = (b"GET", b"POST", b"HEAD", b"CONNECT")
MAX_HELD = 2 * 1024 * 1024
"""Bytes that may wait for a peer that reads nothing."""
MAX_GROWTH = 128 * 1024
"""Bytes by which it may grow while it gets the same again and again; an eighth of what is sent."""
FLOOD_READS = 20_000
FLOOD_BYTES = 1024 * 1024
HEADERS, GOAWAY, CONTINUATION, END_HEADERS = 1, 7, 9, 0x4


def one_of(code: int) -> int:
    """Return an error code; the same for both that say that a frame is wrong, which may be so in two ways at once."""
    return ErrorCode.PROTOCOL_ERROR if code == ErrorCode.FRAME_SIZE_ERROR else code


def engines() -> Iterator[Factory]:
    """Return the sessions of every engine that is built here."""
    for name in ENGINES:
        with suppress(ImportError):
            yield load(name)


class Ears:
    """What a session has said, frame by frame, with heads decompressed: engines need not compress alike."""

    def __init__(self) -> None:
        self._decoder = Decoder(1 << 20)
        self._block = b""

    def hear(self, data: bytes) -> list[tuple[object, ...]]:
        """Return the frames in `data`."""
        frames: list[tuple[object, ...]] = []
        data = data.removeprefix(H2_PREFACE)
        while data:
            size, kind, flags, stream_id = parse_frame_header(data)
            payload, data = data[9 : 9 + size], data[9 + size :]
            assert len(payload) == size
            if kind in (HEADERS, CONTINUATION):
                self._block += payload
                if flags & END_HEADERS:
                    head = [tuple(field) for field in self._decoder.decode(self._block, raw=True)]
                    frames.append((kind, flags, stream_id, head))
                    self._block = b""
            else:
                if kind == GOAWAY:
                    payload = payload[:4] + one_of(payload[7]).to_bytes(4, "big") + payload[8:]
                frames.append((kind, flags, stream_id, payload))
        return frames


class Peer:
    """A session, and the caller that a session has: it answers requests, sends bodies, gives windows back."""

    def __init__(self, variant: str, factory: Factory) -> None:
        role, kind, reading = variant.split()
        self.limits = LIMITS[kind]
        self.session: Session = factory(Role(role), self.limits)
        self.story: list[object] = []
        """What the session has heard and said, in words that do not depend on the engine."""
        self._ears = Ears()
        self.is_server = self.session.role is Role.SERVER
        self.reads = reading == "read"
        self.over = False
        self._seen: defaultdict[int, list[Event]] = defaultdict(list)
        if not self.is_server:
            self._ask()

    def _ask(self) -> None:
        for method in METHODS:
            fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
            if method == b"CONNECT":
                fields.append((b":protocol", b"websocket"))
            stream_id = self.session.open(fields, end_stream=method in (b"GET", b"HEAD"))
            if method == b"POST":
                self.session.send_data(stream_id, b"x" * 100_000, end_stream=True)

    def take(self, data: bytes) -> None:
        """Feed the session, and look at what it makes of it."""
        was_over = self.over
        events = self.session.receive(data)
        assert not (was_over and events), events
        for event in events:
            assert not self.over, "an event behind Terminated"
            self._on_event(event)
        self.story += [Terminated(one_of(e.code), "") if isinstance(e, Terminated) else e for e in events]
        self.story.append((self.session.drained(), self.session.stalled(1)))
        self.story.append((self.session.open_streams, self.session.free_streams))
        assert 0 <= self.session.open_streams <= self.limits.max_concurrent_streams + len(METHODS)
        assert self.session.free_streams >= 0
        if self.reads:
            self.read()

    def read(self) -> int:
        """Read all that there is to read; return how many bytes that was."""
        held = b""
        while piece := self.session.pull(65_536):
            held += piece
        self.story += self._ears.hear(held)
        return len(held)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Terminated):
            self.over = True
            assert self.session.open_streams == 0
        elif isinstance(event, Head | Informational | Data | Trailers | Reset):
            seen = self._seen[event.stream_id]
            check_order(seen, event)
            seen.append(event)
            self._react(event)

    def _react(self, event: Event) -> None:
        session = self.session
        match event:
            case Head(stream_id, fields, _):
                assert (request_error if self.is_server else response_error)(fields) is None
                if self.is_server:
                    session.send_head(stream_id, [(b":status", b"200")], end_stream=False)
                    session.send_data(stream_id, b"x" * 1000, end_stream=False)
                    session.send_trailers(stream_id, [(b"x-end", b"1")])
            case Informational(_, fields):
                assert not self.is_server
                assert response_error(fields) is None
            case Trailers(_, fields):
                assert trailer_error(fields) is None
            case Data(stream_id, data, flow, _):
                assert flow >= len(data)
                session.credit(stream_id, flow)


def check_order(seen: list[Event], event: Event) -> None:
    """A stream is interim heads, a head, data, trailers; it ends once, and nothing comes behind its end."""
    last = seen[-1] if seen else None
    assert not isinstance(last, Reset), (seen, event)
    ended = any(isinstance(e, Trailers) or getattr(e, "end_stream", False) for e in seen)
    begun = any(isinstance(e, Head) for e in seen)
    if isinstance(event, Reset):
        return
    assert not ended, (seen, event)
    assert begun != isinstance(event, Head | Informational), (seen, event)


def check(case: Case) -> None:
    """Feed a session of each engine read by read."""
    stories = []
    for factory in engines():
        peer = Peer(case.variant, factory)
        for read in case.reads:
            peer.take(read)
        assert peer.read() <= MAX_HELD
        stories.append(peer.story)
    for chapters in zip_longest(*stories):
        assert all(chapter == chapters[0] for chapter in chapters), chapters


def check_flood(case: Case) -> None:
    """Feed the same frames again and again to sessions that nobody reads from; what they hold stays small."""
    for factory in engines():
        flood(case, factory)


def flood(case: Case, factory: Factory) -> None:
    """Feed a session of one engine."""
    peer = Peer(case.variant.replace(" read", " unread"), factory)
    peer.take(case.reads[0] if case.reads else b"")
    sent = 0
    tracemalloc.start()
    try:
        for _, read in zip(range(FLOOD_READS), cycle(case.reads[1:]), strict=False):
            sent += len(read)
            if peer.over or sent > FLOOD_BYTES:
                break
            peer.session.receive(read)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= MAX_GROWTH, held


GREETINGS = {
    Role.SERVER.value: mostly([H2_PREFACE + settings_frame()], [H2_PREFACE, b"", H2_PREFACE[:10]], weight=12),
    Role.CLIENT.value: mostly([settings_frame((8, 1)), settings_frame((3, 1))], [b""], weight=12),
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A greeting and frames, cut anywhere."""
    variant = draw(st.sampled_from(VARIANTS))
    role = variant.split()[0]
    greeting = draw(GREETINGS[role])
    talk = conversation(REQUESTS if role == Role.SERVER.value else RESPONSES)
    together = (talk | talk | frames()).map(lambda rest: greeting + rest)
    return Case(variant, draw(reads(together | together | damaged(together))))


@st.composite
def floods(draw: st.DrawFn) -> Case:
    """A greeting, and frames to be repeated."""
    variant = draw(st.sampled_from(VARIANTS))
    repeated = draw(st.lists(any_frame, min_size=1, max_size=1) | st.lists(any_frame, min_size=2, max_size=3))
    return Case(variant, (draw(GREETINGS[variant.split()[0]]), *filter(None, repeated)))


SESSION = Target("session", cases(), check)
FLOOD = Target("flood", floods(), check_flood)
