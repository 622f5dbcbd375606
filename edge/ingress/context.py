"""What all public connections of one ingress share."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Protocol

from edge.message import Gateway

from .limits import IngressLimits

__all__ = ["Context", "PublicConnection"]


class PublicConnection(Protocol):
    """What the listener asks of a connection, whatever it speaks."""

    @property
    def idle(self) -> bool:
        """No request is being read or answered."""

    def begin_drain(self) -> None:
        """The ingress stops: take what is under way to its end, then close."""

    def close_idle(self) -> None:
        """Close now if no request is under way."""

    def abort(self) -> None:
        """Close now whatever is under way."""


class Context:
    """The gateway, the limits, the open connections, and the clock of the Date field."""

    __slots__ = ("_date", "_second", "connections", "draining", "gateway", "limits")

    def __init__(self, gateway: Gateway, limits: IngressLimits) -> None:
        self.gateway = gateway
        self.limits = limits
        self.draining = False
        self.connections: set[PublicConnection] = set()
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
