"""The request's head and trailers as they go into a tunnel.

What the edge says about the client (its address, the host it asked for, the request's id) is deleted from what the
client sent, then set. So are all names that begin with `X-Forwarded`, for apps take the word of a proxy for whatever
stands in them: `X-Forwarded-User` logs in. An app behind CGI or WSGI cannot tell `X_Real_IP` from `X-Real-IP`, so every
spelling goes.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from h2s.engine.session import Fields
from h2s.wire import INTERNAL_PREFIX, SERVICE_FIELD

from .message import Request

__all__ = ["is_edge_field", "tunnel_fields", "tunnel_trailers", "without_internal"]


def _spellings(name: str) -> set[bytes]:
    """Return a field's name with each of its hyphens either kept or turned into an underscore."""
    first, *rest = name.split("-")
    return {
        (first + "".join(sign + part for sign, part in zip(signs, rest, strict=True))).encode()
        for signs in product("-_", repeat=len(rest))
    }


_NAMES: Final = frozenset(
    spelling for name in ("forwarded", "x-real-ip", "x-request-id") for spelling in _spellings(name)
)
_BEGINNINGS: Final = frozenset(_spellings("x-forwarded"))
_BEGINNING: Final = len("x-forwarded")


def is_edge_field(name: bytes) -> bool:
    """Say whether a field, named in lower case, is the edge's alone to set; what a client sent in it is deleted."""
    return name in _NAMES or name[:_BEGINNING] in _BEGINNINGS


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
    fields += [
        field
        for field in request.fields
        if field[0] not in _NAMES and field[0][:_BEGINNING] not in _BEGINNINGS
    ]
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
    return [field for field in without_internal(fields) if not is_edge_field(field[0])]


def without_internal(fields: Fields) -> Fields:
    """Return the fields without those that edge and agent keep to themselves."""
    return [field for field in fields if not field[0].startswith(INTERNAL_PREFIX)]


def _forwarded(peer: bytes, request: Request) -> bytes:
    """Return the value of Forwarded (RFC 7239 §4, §6)."""
    node = b'"[%b]"' % peer if b":" in peer else peer or b"unknown"
    host = b'host="%b";' % request.authority if request.authority else b""
    return b"for=%b;%bproto=%b" % (node, host, request.scheme)
