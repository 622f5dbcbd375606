"""One stream of the portable engine: its two windows, the queue of its body, and the length it was promised.

A stream has two sides that end one after the other. Ours goes head, body, end; what the caller has queued is sent by
turns (`Stream.take`). The peer's side goes head, body, end too; `Stream.count` checks it against its content-length.
"""

from __future__ import annotations

from collections import deque

from .session import Fields

__all__ = ["Stream"]


class Stream:
    """The state of one open stream. Sizes are in bytes; windows may be negative (RFC 9113 §6.9.2)."""

    __slots__ = (
        "above_high",
        "bodyless",
        "closed",
        "connect",
        "ending",
        "head_received",
        "head_sent",
        "informational",
        "local_ended",
        "moved",
        "owed",
        "pieces",
        "queued",
        "receive_window",
        "remaining",
        "remote_ended",
        "scheduled",
        "send_window",
        "stream_id",
        "trailers",
        "urgent",
        "waiting",
        "window",
    )

    def __init__(
        self, stream_id: int, *, send_window: int, receive_window: int, window: int, urgent: bool = False
    ) -> None:
        self.stream_id = stream_id
        self.urgent = urgent
        self.closed = False
        """The session has let go of it."""

        self.send_window = send_window
        self.pieces: deque[bytes | memoryview] = deque()
        self.queued = 0
        """Bytes in `pieces`."""
        self.above_high = False
        """The queue went above the high mark and has not come down to the low one since."""
        self.trailers: Fields | None = None
        self.head_sent = False
        self.ending = False
        """The caller has queued the end of our side."""
        self.local_ended = False
        """The end of our side has been sent."""
        self.scheduled = False
        """It waits in one of the session's lines for its turn."""
        self.moved = 0
        """Bytes sent since the last look (`stalls`)."""
        self.waiting = False
        """There was something queued at the last look, and ever since."""

        self.receive_window = receive_window
        """What the peer may still send."""
        self.window = window
        """What `receive_window` is when all is given back."""
        self.owed = 0
        """Given back by the caller, not yet announced to the peer."""
        self.informational = 0
        """1xx heads received."""
        self.head_received = False
        self.remote_ended = False
        self.remaining: int | None = None
        """Bytes of body that the peer's content-length still promises; None if it promised nothing."""
        self.bodyless = False
        """The answer to our request has no body whatever its content-length says (HEAD)."""
        self.connect = False
        """Our request was a CONNECT, so content-length means nothing in its answer."""

    @property
    def sendable(self) -> bool:
        """Whether there is a frame to send as far as this stream's window is concerned."""
        if self.queued:
            return self.send_window > 0
        return self.ending and not self.local_ended

    def take(self, size: int, parts: list[bytes | memoryview]) -> None:
        """Move the first `size` bytes of the queue to `parts`."""
        self.queued -= size
        self.send_window -= size
        self.moved += size
        if not self.queued:
            self.waiting = False
        pieces = self.pieces
        while size:
            piece = pieces.popleft()
            if len(piece) > size:
                view = memoryview(piece)
                parts.append(view[:size])
                pieces.appendleft(view[size:])
                return
            parts.append(piece)
            size -= len(piece)

    def stalls(self, least: int, *, connection_stalls: bool) -> bool:
        """Look whether the peer has left the queue waiting since the last look (`Session.stalled`)."""
        if not self.queued:
            return False
        blocked = connection_stalls or self.send_window <= 0
        stalls = self.waiting and blocked and self.moved < least
        self.waiting = True
        self.moved = 0
        return stalls

    def count(self, size: int, *, end_stream: bool) -> bool:
        """Count `size` bytes of the peer's body; False if they contradict its content-length (RFC 9113 §8.1.1)."""
        if self.remaining is None:
            return True
        self.remaining -= size
        return self.remaining == 0 or (self.remaining > 0 and not end_stream)

    def drop_queue(self) -> None:
        """Forget what waits to be sent."""
        self.closed = True
        self.pieces.clear()
        self.queued = 0
        self.trailers = None
