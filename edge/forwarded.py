"""The request's head and trailers as they go into a tunnel.

What the edge says about the client (its address, the host it asked for, the request's id) is deleted from what the
client sent, then set. An app behind CGI or WSGI cannot tell `X_Real_IP` from `X-Real-IP`, so every spelling goes.
"""

from __future__ import annotations

from itertools import product

from h2s.engine.session import Fields
from h2s.wire import INTERNAL_PREFIX, SERVICE_FIELD

from .message import Request

__all__ = ["EDGE_FIELDS", "tunnel_fields", "tunnel_trailers", "without_internal"]


def _spellings(name: str) -> set[bytes]:
    """Return a field's name with each of its hyphens either kept or turned into an underscore."""
    first, *rest = name.split("-")
    return {
        (first + "".join(sign + part for sign, part in zip(signs, rest, strict=True))).encode()
        for signs in product("-_", repeat=len(rest))
    }


EDGE_FIELDS = frozenset(
    spelling
    for name in (
        "forwarded",
        "x-forwarded-by",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-real-ip",
        "x-request-id",
    )
    for spelling in _spellings(name)
)
"""Fields that say who the client is; whatever the client sent in them is deleted."""


def tunnel_fields(request: Request, *, service: bytes, request_id: bytes) -> Fields:
    """Return the head with which `request` is opened in a tunnel, for `service` (RFC 9113 §8.3.1, RFC 8441 §4)."""
    fields: Fields
    if request.upgrade is not None:
        fields = [(b":method", b"CONNECT"), (b":protocol", request.upgrade)]
    else:
        fields = [(b":method", request.method)]
    fields.append((b":scheme", request.scheme))
    if request.authority:
        fields.append((b":authority", request.authority))
    fields.append((b":path", request.path))
    fields += [field for field in request.fields if field[0] not in EDGE_FIELDS]
    peer = request.peer.encode()
    if request.authority:
        fields.append((b"x-forwarded-host", request.authority))
    fields += (
        (b"x-forwarded-for", peer),
        (b"x-forwarded-proto", request.scheme),
        (b"forwarded", _forwarded(peer, request)),
        (b"x-request-id", request_id),
        (SERVICE_FIELD, service),
    )
    return fields


def tunnel_trailers(fields: Fields) -> Fields:
    """Return what goes on of a request's trailer section: nothing that speaks in the edge's name."""
    return [field for field in without_internal(fields) if field[0] not in EDGE_FIELDS]


def without_internal(fields: Fields) -> Fields:
    """Return the fields without those that edge and agent keep to themselves."""
    return [field for field in fields if not field[0].startswith(INTERNAL_PREFIX)]


def _forwarded(peer: bytes, request: Request) -> bytes:
    """Return the value of Forwarded (RFC 7239 §4, §6)."""
    node = b'"[%b]"' % peer if b":" in peer else peer or b"unknown"
    host = b'host="%b";' % request.authority if request.authority else b""
    return b"for=%b;%bproto=%b" % (node, host, request.scheme)
