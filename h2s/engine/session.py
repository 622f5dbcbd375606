"""The seam between Backplane and an HTTP/2 implementation.

A `Session` is one end of one HTTP/2 connection (RFC 9113) without any I/O. Bytes from the peer go into
`receive`, which answers with events in the order in which they happened; bytes for the peer come out of `pull`.
Everything in between is bookkeeping on streams.

Sending. `send_data` always takes everything: what flow control does not allow yet is queued in the session, per
stream. The caller looks at `queued` and pauses its source above `Limits.queue_high`; when `pull` has brought such a
queue down to `Limits.queue_low`, the stream is listed by `drained`. DATA frames are made only inside `pull`, so what
waits for a slow socket waits here, where urgent streams can still overtake it. Streams take turns, a frame each;
streams marked urgent go first.

Receiving. The session gives the connection's window back by itself as soon as DATA arrives, so that no slow stream
stalls the others. A stream's own window is given back by the caller with `credit`, once it has passed the bytes on.

Races. A stream may be ended by the peer while events that lie before that end are still being handled. So sending,
crediting or resetting on a stream that is no longer open is ignored, not an error; its end is among the events the
caller has not seen yet.

Heads are lists of (name, value) in bytes, pseudo-header fields first, names in lower case. The session checks what
arrives (`h2s.fields`): a malformed head ends its stream with PROTOCOL_ERROR and never reaches the caller. It does not
check what is sent: the sender normalises first.

Floods. A peer that goes beyond `Limits` has its connection ended with ENHANCE_YOUR_CALM. Five things are counted,
each where it costs us more than the peer:

* Resets: streams that the peer cancels (rapid reset, CVE-2023-44487) or makes this side reset by what it sends on them
  (CVE-2025-8671). A head above `max_header_list_size`, which was decompressed in vain, counts once for each 2 KB.
* Overhead: frames that bring no head and no body, whatever they are (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty
  DATA, what comes late for a stream that is gone, what is unknown, heads above the limit of streams or with hundreds
  of fields). Longer ones count more. Useful frames pay for them: a stream that begins, and a DATA frame sent, each for
  `EARNED` others, unless it is small because the peer opens its windows by crumbs. So an honest peer's WINDOW_UPDATEs
  cost it nothing.
* DATA for streams that this side has reset: as much as their windows let the peer have on its way, and 64 KB; a frame
  counts as 64 bytes at the least.
* Replies (acknowledgements, resets) that wait for the peer to read them; and all that waits besides bodies: while this
  is more than `max_backlog`, no stream is opened or taken.
* The parts of a head: CONTINUATION frames, and 1xx heads before the final one, which end only their stream.

Rates need a time. It is given to `receive`, by the driver; a session has no clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

__all__ = [
    "EARNED",
    "Data",
    "Event",
    "Field",
    "Fields",
    "Goaway",
    "Head",
    "Informational",
    "Limits",
    "Octets",
    "PingAck",
    "Rate",
    "Reset",
    "Role",
    "Session",
    "Settings",
    "Terminated",
    "Trailers",
]

Octets = bytes | bytearray | memoryview
Field = tuple[bytes, bytes]
Fields = list[Field]

EARNED = 10
"""Frames of overhead that one useful frame pays for."""


class Role(Enum):
    """Which end of an HTTP/2 connection a session is."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in one go, and so many a second in the long run."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one end allows its peer, and how much it queues. Sizes are in bytes."""

    max_concurrent_streams: int = 128
    """Streams the peer may have open at once."""
    stream_window: int = 256 * 1024
    """Flow-control window of each stream at its start."""
    connection_window: int = 16 * 1024 * 1024
    """Flow-control window of the connection; given back on receipt."""
    max_frame_size: int = 16 * 1024
    """Largest frame payload accepted (SETTINGS_MAX_FRAME_SIZE)."""
    max_header_list_size: int = 64 * 1024
    """Largest head accepted, counted as RFC 9113 §6.5.2 says."""
    connect_protocol: bool = False
    """A server announces SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441)."""
    queue_high: int = 256 * 1024
    """A sender pauses its source when a stream has more than this queued."""
    queue_low: int = 64 * 1024
    """A paused source goes on when the stream's queue is down to this."""
    extra_settings: Mapping[int, int] = field(default_factory=dict)
    """Further settings of the first SETTINGS frame, by id; ids above 0xff allowed."""
    resets: Rate | None = Rate(1000, 33.0)
    """Streams that the peer may cancel or make this side reset; None in a tunnel, whose peer resets for others."""
    overhead: Rate | None = Rate(1000, 100.0)
    """Frames without use that the peer may send beyond those that useful ones pay for."""
    max_replies: int = 1000
    """Replies that may wait for a peer that does not read."""
    max_backlog: int = 1024 * 1024
    """Bytes of heads and replies that may wait before no stream is opened or taken."""
    max_continuations: int = 32
    """CONTINUATION frames of one head (RFC 9113 §10.5.1)."""
    max_informational: int = 100
    """1xx heads before the final one (client); one more ends the stream."""


# Events are plain slotted classes rather than frozen dataclasses: one is made for each thing that happens on the
# hot path, and a frozen dataclass takes three times as long to make.


@dataclass(slots=True)
class Head:
    """A request's head (server), or a final response's (client)."""

    stream_id: int
    fields: Fields
    end_stream: bool


@dataclass(slots=True)
class Informational:
    """A 1xx response's head (client only)."""

    stream_id: int
    fields: Fields


@dataclass(slots=True)
class Data:
    """A piece of a body. The caller owes the stream's window `flow` bytes (`Session.credit`)."""

    stream_id: int
    data: bytes
    flow: int
    end_stream: bool


@dataclass(slots=True)
class Trailers:
    """The trailer section; it ends the peer's side of the stream."""

    stream_id: int
    fields: Fields


@dataclass(slots=True)
class Reset:
    """The stream is over, in both directions, before its time.

    `processed` is False only when the peer has surely not acted on it (REFUSED_STREAM, or an id above the last one
    named by its GOAWAY). `local` is True when this session ended it because the peer's frames were malformed.
    """

    stream_id: int
    code: int
    processed: bool
    local: bool = False


@dataclass(slots=True)
class Settings:
    """The peer's SETTINGS, as received (the session has applied them already)."""

    values: dict[int, int]


@dataclass(slots=True)
class PingAck:
    """The answer to a ping, with its payload."""

    payload: bytes


@dataclass(slots=True)
class Goaway:
    """The peer opens no more streams and accepts none above `last_stream_id`; the others go on."""

    last_stream_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class Terminated:
    """The peer broke the protocol: always the last event. A GOAWAY with `code` waits in `pull`; then close."""

    code: int
    reason: str


Event = Head | Informational | Data | Trailers | Reset | Settings | PingAck | Goaway | Terminated


class Session(ABC):
    """One end of an HTTP/2 connection, without I/O. The preface and the first SETTINGS wait in `pull` at once."""

    role: Role
    limits: Limits

    @abstractmethod
    def receive(self, data: Octets, now: float = 0.0) -> list[Event]:
        """Take bytes from the peer and return what they mean. Never raises for what a peer sent (`Terminated`).

        None of the events refers to `data`, so a buffer may be used again at once.
        `now` is the time in seconds on any clock that never goes back; without it rates are bursts.
        """

    @abstractmethod
    def pull(self, limit: int) -> bytes:
        """Return the next bytes for the peer: at least one frame if there is one, and not much more than `limit`.

        Empty means that nothing can be sent now.
        """

    @property
    @abstractmethod
    def has_output(self) -> bool:
        """Whether `pull` may have something to return; where it is False it surely has not."""

    @abstractmethod
    def drained(self) -> list[int]:
        """Return, once each, the streams whose queue went above `queue_high` and has come down to `queue_low`."""

    @abstractmethod
    def stalled(self, least: int) -> list[int]:
        """Return the streams of which the peer has taken less than `least` bytes since the last call.

        Only those that had something queued all the time, and for want of a window: their own, or, if the connection
        as a whole moved less than `least`, the connection's or a socket that takes nothing. Call it at an interval.
        """

    @abstractmethod
    def open(self, fields: Fields, *, end_stream: bool, urgent: bool = False) -> int:
        """Open a stream with a request head (client only) and return its id.

        An urgent stream's frames go before those of others. Raises NoFreeStream.
        """

    @abstractmethod
    def make_urgent(self, stream_id: int) -> None:
        """Let what this side sends on the stream from now on go before that of others (either role)."""

    @abstractmethod
    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """Send a 1xx head (server only, before the final head)."""

    @abstractmethod
    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the final response head (server only)."""

    @abstractmethod
    def send_data(self, stream_id: int, data: Octets, *, end_stream: bool) -> None:
        """Queue a piece of a body; `data` may be empty when it only carries the end.

        Bytes are kept as they are; of any other buffer a copy is made, so that it may be used again at once.
        """

    @abstractmethod
    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """Queue the trailer section behind the stream's data and end this side of it."""

    @abstractmethod
    def reset(self, stream_id: int, code: int) -> None:
        """End the stream in both directions at once; what was queued for it is dropped. No event follows."""

    @abstractmethod
    def credit(self, stream_id: int, size: int) -> None:
        """Give `size` bytes of the stream's window back to the peer. May be sent later, with more."""

    @abstractmethod
    def widen(self, stream_id: int, size: int) -> None:
        """Enlarge the stream's window by `size` bytes for good."""

    @abstractmethod
    def queued(self, stream_id: int) -> int:
        """Return how many bytes of body wait in the stream's queue (0 for a stream that is not open)."""

    @abstractmethod
    def ping(self, payload: bytes) -> None:
        """Send a PING with 8 bytes; its answer is a PingAck."""

    @abstractmethod
    def goaway(self, code: int, *, last_stream_id: int | None = None, debug: bytes = b"") -> None:
        """Send GOAWAY; streams up to `last_stream_id` (default: the highest one seen) go on.

        May be called again with a lower id: 2**31-1 first announces the end, as RFC 9113 §6.8 suggests. Streams the
        peer opens above the last id sent are ignored.
        """

    @property
    @abstractmethod
    def open_streams(self) -> int:
        """How many streams are open, of either side."""

    @property
    @abstractmethod
    def free_streams(self) -> int:
        """How many streams this client may open now: the peer's limit less those open, or 0 after its GOAWAY."""

    @property
    @abstractmethod
    def peer_connect_protocol(self) -> bool:
        """Whether the peer's SETTINGS allow extended CONNECT (RFC 8441)."""
