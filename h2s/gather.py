"""DATA that came in many small frames, handed on in few pieces.

What a piece of a body costs is mostly the handing on, whatever its size, so a peer that cuts a body into single bytes
makes everybody wait. Of what one read has brought, the DATA of each stream is put together, up to the next event of
another kind. Streams keep their order within, and need none between them.
"""

from __future__ import annotations

from .engine.session import Data, Event

__all__ = ["gather_data"]

FEW = 32
"""Events that are not worth the trouble: a read brings so many of full frames."""


def gather_data(events: list[Event]) -> list[Event]:
    """Return the events with each stream's DATA in one piece as far as that may be; they are used up."""
    if len(events) <= FEW:
        return events
    out: list[Event] = []
    pieces: dict[int, tuple[Data, list[bytes]]] = {}
    for event in events:
        if type(event) is Data:
            found = pieces.get(event.stream_id)
            if found is None:
                pieces[event.stream_id] = event, [event.data]
                out.append(event)
                continue
            first, parts = found
            parts.append(event.data)
            first.flow += event.flow
            first.end_stream = event.end_stream
        else:
            _join(pieces)
            out.append(event)
    _join(pieces)
    return out


def _join(pieces: dict[int, tuple[Data, list[bytes]]]) -> None:
    for first, parts in pieces.values():
        if len(parts) > 1:
            first.data = b"".join(parts)
    pieces.clear()
