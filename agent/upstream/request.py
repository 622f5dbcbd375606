"""A request as HTTP/1.1 bytes (RFC 9112).

The head comes from the tunnel, checked as HTTP/2 but not as HTTP/1.1, where a space in a path or a second length
would let one request become two. So the request line is matched here, and a body is held to the length its head
announced: `Framing` turns pieces of the body into pieces of the connection and raises when they do not add up.
"""

from __future__ import annotations

import re
from typing import Final

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP, without_hop_by_hop
from h2s.http1 import MalformedMessage, join_fields

from .errors import MalformedRequest
from .upgrade import Upgrade

__all__ = ["Framing", "INTERNAL_PREFIX", "RequestHead", "encode_request"]

INTERNAL_PREFIX: Final = b"h2s-"
"""Fields that edge and agent say to each other, and to nobody else."""

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2."""
EXPECTS_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Methods whose lack of a body is said with a length of 0 (RFC 9110 §8.6)."""

_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_FRAMING = frozenset({b"host", b"content-length", b"te"})
_SPECIAL: Final = _PSEUDO | _FRAMING | HOP_BY_HOP | {b"cookie"}
_NEVER_UPGRADED = frozenset((b"h2c", b"h2"))
"""Protocols in which an edge's rules for requests would end."""
_NOT_OF_UPGRADE: Final = (b"content-length", b"sec-websocket-key")
_is_start: Final = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~\x80-\xff]+ HTTP/1\.1\r\nHost: [!-~\x80-\xff]+\r\n"
).fullmatch
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z/-]+")


class Framing:
    """How the end of a request's body is found: a length, chunks, or neither (no body, or an upgrade's raw bytes)."""

    __slots__ = ("_chunked", "_left")

    def __init__(self, *, length: int | None, chunked: bool) -> None:
        self._left = length
        self._chunked = chunked

    def data(self, data: bytes) -> tuple[bytes, ...]:
        """Frame a piece of the body. Raises MalformedRequest beyond the announced length."""
        if not data:
            return ()
        if self._chunked:
            return (b"%x\r\n" % len(data), data, b"\r\n")
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise MalformedRequest("the body is longer than its content-length")
        return (data,)

    def end(self, trailers: Fields) -> tuple[bytes, ...]:
        """Frame the end of the body. Only chunks can carry trailers, otherwise they are discarded (RFC 9110 §6.5.1).

        Raises MalformedRequest short of the announced length.
        """
        if self._left:
            raise MalformedRequest("the body is shorter than its content-length")
        if not self._chunked:
            return ()
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, value in without_hop_by_hop(trailers)
            if name not in _FRAMING and not name.startswith(INTERNAL_PREFIX)
        ]
        return (b"0\r\n", *lines, b"\r\n")


class RequestHead:
    """A request's head as bytes, and what the rest of the exchange needs to know of it."""

    __slots__ = ("_length", "data", "method", "upgrade")

    def __init__(self, data: bytes, *, method: bytes, length: int | None, upgrade: Upgrade | None) -> None:
        self.data = data
        self.method = method
        self.upgrade = upgrade
        self._length = length

    @property
    def idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in IDEMPOTENT and self.upgrade is None

    def framing(self, *, end_stream: bool) -> Framing:
        """Return the framing of the body that follows."""
        chunked = self._length is None and not end_stream and self.upgrade is None
        return Framing(length=self._length, chunked=chunked)


def encode_request(fields: Fields, *, end_stream: bool, host: bytes) -> RequestHead:
    """Write a request head from the tunnel as HTTP/1.1; `host` stands in where it names no authority.

    Raises MalformedRequest when it would not be exactly one well-framed request.
    """
    kept: Fields = []
    special: dict[bytes, bytes] = {}
    cookies: list[bytes] = []
    cookie_at = 0
    for field in fields:
        name, value = field
        if name not in _SPECIAL:
            if name[:4] != INTERNAL_PREFIX:
                kept.append(field)
        elif name == b"cookie":
            cookies.append(value)
            if len(cookies) == 1:
                cookie_at = len(kept)
                kept.append(field)
        else:
            if name == b"content-length":
                if name in special:
                    if special[name] != value:
                        raise MalformedRequest("more than one content-length")
                    continue
                kept.append(field)
            special[name] = value
    if len(cookies) > 1:
        kept[cookie_at] = b"cookie", b"; ".join(cookies)
    more = b""
    upgrade = _upgrade(special)
    if upgrade is not None:
        kept = [field for field in kept if field[0] not in _NOT_OF_UPGRADE]
        more = upgrade.lines
    elif special.get(b"te", b"").lower() == b"trailers":
        more = b"TE: trailers\r\nConnection: TE\r\n"
    method = b"GET" if upgrade is not None else special.get(b":method", b"")
    length = None if upgrade is not None else _length(special, end_stream=end_stream)
    start = _start(special, method=method, host=host)
    if upgrade is None and b"content-length" not in special:
        if not end_stream:
            more += b"Transfer-Encoding: chunked\r\n"
        elif method in EXPECTS_BODY:
            more += b"Content-Length: 0\r\n"
    try:
        data = b"".join((start, join_fields(kept), more, b"\r\n"))
    except MalformedMessage as error:
        raise MalformedRequest(str(error)) from None
    return RequestHead(data, method=method, length=length, upgrade=upgrade)


def _start(special: dict[bytes, bytes], *, method: bytes, host: bytes) -> bytes:
    target = special.get(b":path", b"")
    authority = special.get(b":authority") or special.get(b"host") or host
    start = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, authority)
    if _is_start(start) is None:
        raise MalformedRequest("the method, path or authority is not one of HTTP/1.1")
    return start


def _upgrade(special: dict[bytes, bytes]) -> Upgrade | None:
    if special.get(b":method") != b"CONNECT":
        return None
    protocol = special.get(b":protocol", b"")
    if _TOKEN.fullmatch(protocol) is None or protocol.lower() in _NEVER_UPGRADED:
        raise MalformedRequest("CONNECT without a protocol to upgrade to")
    return Upgrade(protocol)


def _length(special: dict[bytes, bytes], *, end_stream: bool) -> int | None:
    value = special.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise MalformedRequest("the content-length is not a length")
    length = int(value)
    if end_stream and length:
        raise MalformedRequest("a content-length, but no body")
    return length
