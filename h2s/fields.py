"""What a head or trailer section of HTTP/2 may hold (RFC 9113 §8).

Pure functions on lists of (name, value) in bytes. Both engines check with them what arrives; the agent and the edge
use them to make HTTP/1.1 fields fit for HTTP/2.

The checks are those of RFC 9113 §8.2 and §8.3, and stricter in three places where every other implementation is too:

* Names are lower-case tokens (RFC 9110 §5.1), not merely free of control octets.
* Values hold no control octets at all but HTAB (RFC 9110 §5.5), where §8.2.1 names only NUL, CR and LF. A value that
  starts or ends with a space or HTAB is malformed (§8.2.1). Octets 0x80 to 0xff pass: they are opaque.
* The octets of `:method`, `:scheme`, `:authority` and `:path` are those that may stand in an HTTP/1.1 request line,
  so that no request can become two on its way through an HTTP/1.1 hop.

Reasons are texts for logs; they never hold a value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine.session import Fields

__all__ = [
    "HOP_BY_HOP",
    "content_length",
    "request_error",
    "response_error",
    "trailer_error",
    "unsendable",
    "without_hop_by_hop",
]

CONNECTION_SPECIFIC = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
"""Fields that make a head of HTTP/2 malformed (RFC 9113 §8.2.2)."""

HOP_BY_HOP = CONNECTION_SPECIFIC | {
    b"http2-settings",
    b"proxy-authenticate",
    b"proxy-authorization",
}
"""Fields that end at this hop (RFC 9110 §7.6.1). `te` does too, unless it says exactly "trailers".

The two proxy fields speak to a proxy that a client chose, which neither an edge nor the app behind it is; a gateway
that passed them on would hand the app a credential that was not meant for it. `trailer` is end to end.
"""

_SPECIAL = CONNECTION_SPECIFIC | {b"te", b"content-length"}
_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_is_name = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_is_value = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
).fullmatch
_is_token = re.compile(_TOKEN).fullmatch
_is_scheme = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*").fullmatch
_is_authority = re.compile(rb"[\x21-\x2e\x30-\x3e\x41-\x7e\x80-\xff]*").fullmatch
_is_path = re.compile(rb"[\x21-\x7e\x80-\xff]+").fullmatch
_is_status = re.compile(rb"[1-9][0-9][0-9]").fullmatch
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch


def without_hop_by_hop(fields: Fields) -> Fields:
    """Return the fields that go on to the next hop; names must be in lower case (RFC 9110 §7.6.1).

    Drops `HOP_BY_HOP` and whatever `connection` lists. `te: trailers` stays even when listed: HTTP/1.1 makes the
    client list it, and this hop does pass trailers on.
    """
    listed: set[bytes] = set()
    for name, value in fields:
        if name == b"connection":
            listed.update(option.strip(b" \t").lower() for option in value.split(b","))
    dropped = HOP_BY_HOP | listed if listed else HOP_BY_HOP
    return [
        field
        for field in fields
        if (field[1] == b"trailers" if field[0] == b"te" else field[0] not in dropped)
    ]


def request_error(fields: Fields) -> str | None:
    """Return why a request's head is malformed, or None (RFC 9113 §8.3.1, §8.5; RFC 8441 §4)."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name not in _REQUEST_PSEUDO:
            return "a pseudo-field unknown in requests"
        if name in pseudo:
            return f"more than one {name.decode()}"
        pseudo[name] = value
    return _target_error(pseudo) or _section_error(fields, len(pseudo)) or _host_error(fields, pseudo)


def response_error(fields: Fields) -> str | None:
    """Return why a response's head, final or 1xx, is malformed, or None (RFC 9113 §8.3.2, §8.6)."""
    if not fields or fields[0][0] != b":status":
        return "no :status"
    status = fields[0][1]
    if _is_status(status) is None:
        return "an invalid :status"
    if status == b"101":
        return "101 does not exist in HTTP/2"
    return _section_error(fields, 1)


def trailer_error(fields: Fields) -> str | None:
    """Return why a trailer section is malformed, or None (RFC 9113 §8.1)."""
    return _section_error(fields, 0)


def unsendable(fields: Fields) -> bytes | None:
    """Return the name of the first regular field that HTTP/2 cannot carry, or None.

    For what an app answered, without `:status`, after `without_hop_by_hop`.
    """
    for name, value in fields:
        if _is_name(name) is None or _is_value(value) is None:
            return name
        if name in _SPECIAL and _special_error(name, value) is not None:
            return name
    return None


def content_length(fields: Fields) -> int | None:
    """Return the content-length of a head that was found well-formed, in bytes."""
    for name, value in fields:
        if name == b"content-length":
            return int(value)
    return None


def _target_error(pseudo: dict[bytes, bytes]) -> str | None:
    method = pseudo.get(b":method")
    if method is None or _is_token(method) is None:
        return "an invalid :method" if method is not None else "no :method"
    authority = pseudo.get(b":authority")
    if authority is not None and _is_authority(authority) is None:
        return "an invalid :authority"
    protocol = pseudo.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        if b":scheme" in pseudo or b":path" in pseudo:
            return "CONNECT with :scheme or :path"
        return None if authority else "CONNECT without :authority"
    if protocol is not None and (method != b"CONNECT" or _is_token(protocol) is None):
        return "an invalid :protocol"
    scheme = pseudo.get(b":scheme")
    if scheme is None or _is_scheme(scheme) is None:
        return "an invalid :scheme" if scheme is not None else "no :scheme"
    path = pseudo.get(b":path")
    if path is None:
        return "no :path"
    if _is_path(path) is None or not (path[0] == 0x2F or (path == b"*" and method == b"OPTIONS")):
        return "an invalid :path"
    return None


def _host_error(fields: Fields, pseudo: dict[bytes, bytes]) -> str | None:
    """Check that a request names one host (RFC 9113 §8.3.1); in a response the field means nothing."""
    hosts = [value for name, value in fields if name == b"host"]
    if not hosts:
        return None
    authority = pseudo.get(b":authority", hosts[0])
    if len(hosts) > 1 or authority.lower() != hosts[0].lower():
        return "more than one host"
    return None


def _section_error(fields: Fields, start: int) -> str | None:
    """Check the regular fields from index `start`; a pseudo-field among them has no valid name."""
    length: bytes | None = None
    for name, value in fields[start:] if start else fields:
        if _is_name(name) is None:
            return "an invalid field name, or a pseudo-field out of its place"
        if _is_value(value) is None:
            return f"an invalid value of {name.decode()}"
        if name in _SPECIAL:
            reason = _special_error(name, value)
            if reason is not None:
                return reason
            if name == b"content-length":
                if length is not None and int(length) != int(value):
                    return "contradicting content-length"
                length = value
    return None


def _special_error(name: bytes, value: bytes) -> str | None:
    """Check a field that has rules of its own."""
    if name in CONNECTION_SPECIFIC:
        return f"the connection-specific field {name.decode()}"
    if name == b"te" and value != b"trailers":
        return "te other than trailers"
    if name == b"content-length" and _is_length(value) is None:
        return "an invalid content-length"
    return None
