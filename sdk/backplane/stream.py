"""Following events: server-sent events out of bytes, and a stream that goes on after it breaks off. Without I/O.

A `Follower` is what both clients drive: it says what to ask for, takes the bytes that come and gives events, and says
how long to wait before the next try. What was changed meanwhile comes first then (Last-Event-ID); what happened to
instances meanwhile is not told again.
"""

from __future__ import annotations

import json

from .call import Call
from .calls.events import follow
from .errors import BackplaneError, EdgeUnreachable, UnexpectedAnswer
from .models.events import StreamedEvent
from .retry import RetryPolicy

__all__ = ["EventDecoder", "Follower"]

MAX_EVENT = 16 * 1024 * 1024
"""Bytes of one event."""


class EventDecoder:
    """Server-sent events (the WHATWG's HTML standard, 9.2), as far as an edge sends them."""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0
        self._kind = ""
        self._id: int | None = None
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[StreamedEvent]:
        """Return the events that end in these bytes. Raises UnexpectedAnswer."""
        events: list[StreamedEvent] = []
        self._size += len(chunk)
        if self._size > MAX_EVENT:
            raise UnexpectedAnswer("the stream has an event that is too large")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode("utf-8", "replace")
            if text:
                self._take(text)
                continue
            if self._data:
                events.append(self._event())
            self._kind, self._id, self._data, self._size = "", None, [], len(self._rest)
        return events

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and value.isascii() and value.isdigit():
            self._id = int(value)

    def _event(self) -> StreamedEvent:
        try:
            data = json.loads("\n".join(self._data))
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise UnexpectedAnswer(
                "the stream has an event that is not understood: this is not an edge's API"
            )
        return StreamedEvent(self._kind or "message", data, self._id)


class Follower:
    """One that follows events, over as many streams as it takes."""

    def __init__(self, *, after: int | None, retry: RetryPolicy) -> None:
        self._after = after
        self._retry = retry
        self._failures = 0
        self._decoder = EventDecoder()

    def begin(self) -> Call[None]:
        """Return the call for the next stream."""
        self._decoder = EventDecoder()
        return follow(self._after)

    def feed(self, chunk: bytes) -> list[StreamedEvent]:
        """Return the events that end in these bytes. Raises UnexpectedAnswer."""
        self._failures = 0
        events = self._decoder.feed(chunk)
        for event in events:
            if event.id is not None:
                self._after = event.id
        return events

    def wait(self, error: BackplaneError | None, draw: float) -> float:
        """Return after how many seconds to begin anew; `error` None is a stream that ended by itself.

        Raises the error when it is no use.
        """
        self._failures += 1
        lost = error or EdgeUnreachable("the stream of events ended again and again", sent=True)
        call = follow(self._after)
        wait = self._retry.wait(lost, repeat=call.repeat, attempt=self._failures, draw=draw)
        if wait is None:
            raise lost
        return wait
