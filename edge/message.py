"""What a public request is, and how the two halves of an exchange talk to each other.

An *ingress* (`edge.ingress`) speaks HTTP/1.1 or HTTP/2 with a public client. For each request it makes a `Request`
and hands it to a `Gateway` together with itself as the `Downstream`; it gets back an `Inbound`, to which it passes on
the body as it comes. The gateway answers through the `Downstream`. Both directions run at the same time and both can
say "not so fast".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from h2s.engine.session import Fields

from .problem import Refusal

__all__ = ["Downstream", "Gateway", "Inbound", "Request"]


@dataclass(slots=True, init=False)
class Request:
    """A public request's head, free of what belongs to its connection. Bytes stay as they came."""

    method: bytes
    """As sent, for example b"GET"; for an upgrade the method of the HTTP/1.1 request, or b"CONNECT"."""
    scheme: bytes
    """b"http" or b"https": how the client reached this edge."""
    authority: bytes
    """Host and port as the client wrote them; empty when an HTTP/1.0 client sent no Host."""
    path: bytes
    """Origin-form target with its query, byte for byte; b"*" for OPTIONS *."""
    fields: Fields
    """Names in lower case, in order, without pseudo-header, hop-by-hop and Connection-listed fields and without Host;
    split Cookie fields of HTTP/2 joined; `te: trailers` kept."""
    upgrade: bytes | None
    """The protocol of an Upgrade (HTTP/1.1) or of an extended CONNECT (RFC 8441), for example b"websocket"."""
    version: str
    """"1.0", "1.1" or "2"."""
    peer: str
    """The client's address, without port."""
    started: float
    """When the head's first byte came, by `time.monotonic`: the loop's clock may step in milliseconds."""
    end_stream: bool
    """No body follows."""

    def __init__(
        self,
        *,
        method: bytes,
        scheme: bytes,
        authority: bytes,
        path: bytes,
        fields: Fields,
        upgrade: bytes | None,
        version: str,
        peer: str,
        started: float,
        end_stream: bool,
    ) -> None:
        # Written out, since one is made for each request and a dataclass's own constructor cannot be compiled.
        self.method = method
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.fields = fields
        self.upgrade = upgrade
        self.version = version
        self.peer = peer
        self.started = started
        self.end_stream = end_stream


class Downstream:
    """The client's side of one exchange. Nothing may be called after `abort` or after the response's end.

    A class to inherit from, for a call of its heirs costs compiled code less than one of a `Protocol`.
    """

    __slots__ = ()

    @property
    def write_ahead(self) -> int:
        """Bytes that wait for the client already when `send_data` first returns False."""
        raise NotImplementedError

    def send_informational(self, status: int, fields: Fields) -> None:
        """Send a 1xx head other than 101 (dropped for HTTP/1.0 clients)."""
        raise NotImplementedError

    def send_head(self, status: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the final head.

        `fields` have no hop-by-hop fields. The ingress frames the body: Content-Length if there is one, else chunked,
        else until close. For an upgrade, any 2xx status means that it was accepted: over HTTP/1.1 the ingress
        answers 101 with what the protocol asks for, and from then on data are raw bytes both ways.
        """
        raise NotImplementedError

    def send_data(self, data: bytes, *, end_stream: bool) -> bool:
        """Send a piece of the body. False: send no more until `Inbound.on_downstream_drained`."""
        raise NotImplementedError

    def send_trailers(self, fields: Fields) -> None:
        """Send the trailer section (left out where the client cannot take one) and end the response."""
        raise NotImplementedError

    def abort(self) -> None:
        """Cut the response so that the client sees an error: reset the stream or the connection.

        Before a head was sent, use `send_head` with an error status instead.
        """
        raise NotImplementedError

    def pause_request(self) -> None:
        """Take no more of the request's body from the client for now."""
        raise NotImplementedError

    def resume_request(self) -> None:
        """Go on taking the request's body."""
        raise NotImplementedError


class Inbound(Protocol):
    """The gateway's side of one exchange."""

    def on_request_data(self, data: bytes, *, end_stream: bool) -> None:
        """A piece of the request's body (raw bytes after an accepted upgrade)."""

    def on_request_trailers(self, fields: Fields) -> None:
        """The request's trailer section, which ends it. Names in lower case."""

    def on_downstream_drained(self) -> None:
        """What `Downstream.send_data` refused to take more of has gone out: go on."""

    def on_client_gone(self, refused: Refusal | None = None) -> None:
        """The client reset the stream or left before the response's end, or was `refused` the rest of its request by
        the ingress, which then answers by itself unless a response has begun. Nothing may be sent any more."""


class Gateway(Protocol):
    """Takes public requests."""

    draining: bool
    """The edge is stopping: answer with `Connection: close`, and let idle connections go."""

    @property
    def has_room(self) -> bool:
        """Whether windows may grow: memory is not short."""

    def begin(self, request: Request, downstream: Downstream) -> Inbound:
        """Start an exchange. The answer may come before this returns."""

    def refused(self, request: Request, status: int, code: str) -> bytes:
        """Count and log a request that the ingress answers by itself; return the id to answer with.

        Of a head that could not be read, `request` holds what could be guessed of its first line.
        """
