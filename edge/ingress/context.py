"""What all public connections of one ingress share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Protocol

from edge.census import Census
from edge.message import Gateway

from .limits import IngressLimits
from .turn import Turn

__all__ = ["Context", "PublicConnection", "PublicConnections"]


class PublicConnection(Protocol):
    """What the listener asks of a connection, whatever it speaks."""

    peer: str
    """The client's address."""

    @property
    def idle(self) -> bool:
        """No request is being read or answered."""

    def begin_drain(self) -> None:
        """The ingress stops: take what is under way to its end, then close."""

    def close_idle(self) -> None:
        """Close now if no request is under way."""

    def abort(self) -> None:
        """Close now whatever is under way."""


class PublicConnections:
    """The connections that are open; `census` counts them."""

    __slots__ = ("_open", "census")

    def __init__(self) -> None:
        self.census = Census()
        self._open: set[PublicConnection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[PublicConnection]:
        """Go through those that are open now; they may close meanwhile."""
        return iter(tuple(self._open))

    def add(self, connection: PublicConnection) -> None:
        """Take a connection up."""
        if connection not in self._open:
            self._open.add(connection)
            self.census.enter(connection.peer)

    def discard(self, connection: PublicConnection) -> None:
        """Forget a connection, if it is there."""
        if connection in self._open:
            self._open.remove(connection)
            self.census.leave(connection.peer)


class Context:
    """The gateway, the limits, the open connections, and the clock of the Date field."""

    __slots__ = ("_date", "_second", "connections", "draining", "gateway", "limits", "turn")

    def __init__(self, gateway: Gateway, limits: IngressLimits) -> None:
        self.gateway = gateway
        self.limits = limits
        self.draining = False
        self.connections = PublicConnections()
        self.turn = Turn()
        self._second = 0
        self._date = b""

    @property
    def stopping(self) -> bool:
        """Whether connections should end after the response in flight."""
        return self.draining or self.gateway.draining

    def date(self) -> bytes:
        """Return the Date field's value for now (RFC 9110 §6.6.1)."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True).encode()
        return self._date
