"""Spreads events to whoever listens: each listener has a bounded queue, and one that does not keep up is let go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .problem import Unavailable

__all__ = ["Hub", "Listener", "Told"]

MAX_LISTENERS = 100
MAX_OF_ONE_TOKEN = 25
"""Of these; so nobody can keep all others out."""
QUEUE = 10_000
"""Events that a listener may be behind: a crowd of agents comes at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that has happened."""

    kind: str
    """`audit` for a change of configuration; otherwise what happened to a tunnel or an instance."""
    data: dict[str, Any]
    id: int | None = None
    """The event's number in the audit."""


@dataclass(slots=True, eq=False)
class Listener:
    """One that listens."""

    token: str
    """The id of the token that it listens with."""
    queue: asyncio.Queue[Told | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    """None is the end."""
    lost: bool = False

    def put(self, told: Told | None) -> None:
        """Have it told, if it keeps up."""
        if self.lost:
            return
        try:
            self.queue.put_nowait(told)
        except asyncio.QueueFull:
            self.lost = True


class Hub:
    """Everyone who listens."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._listeners: set[Listener] = set()
        self._closed = False

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def tell(self, told: Told) -> None:
        """Tell everybody."""
        for listener in self._listeners:
            listener.put(told)

    def close(self) -> None:
        """End every stream, so that the API can stop."""
        self._closed = True
        for listener in self._listeners:
            listener.put(None)

    @contextmanager
    def listen(self, token: str) -> Iterator[Listener]:
        """Give a listener. Raises Unavailable when there are too many, in all or with this token."""
        if self._closed or len(self._listeners) >= MAX_LISTENERS:
            raise Unavailable("Too many listen to events.", code="too_many_listeners")
        if sum(listener.token == token for listener in self._listeners) >= MAX_OF_ONE_TOKEN:
            raise Unavailable("Too many listen to events with this token.", code="too_many_listeners")
        listener = Listener(token)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
