"""Heads and trailers between a tunnel and an upstream that speak HTTP/2 both: what ends at the agent is left out."""

from __future__ import annotations

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP

from .request import INTERNAL_PREFIX

__all__ = ["request_for_upstream", "response_for_edge", "trailers_onward"]

_REQUEST_DROPPED = HOP_BY_HOP | {b"host", b":scheme", b":authority"}
_RESPONSE_DROPPED = HOP_BY_HOP | {b"te"}
_TRAILERS_DROPPED = HOP_BY_HOP | {b"te", b"host", b"content-length"}


def request_for_upstream(fields: Fields, authority: bytes) -> Fields:
    """Return a request's head from the tunnel for an upstream; `authority` stands in where it names none."""
    named = b""
    for name, value in fields:
        if name == b":authority" or (name == b"host" and not named):
            named = value
    at = sum(name[:1] == b":" for name, _ in fields)
    pseudo = [field for field in fields[:at] if field[0] not in _REQUEST_DROPPED]
    pseudo += [(b":scheme", b"http"), (b":authority", named or authority)]
    return pseudo + _kept(fields[at:], _REQUEST_DROPPED)


def response_for_edge(fields: Fields) -> Fields:
    """Return a response's head, final or 1xx, from an upstream for the tunnel."""
    status = fields[0][1]
    if status == b"204" or status < b"200":
        return _kept(fields, _RESPONSE_DROPPED | {b"content-length"})
    return _kept(fields, _RESPONSE_DROPPED)


def trailers_onward(fields: Fields) -> Fields:
    """Return a trailer section, of either direction."""
    return _kept(fields, _TRAILERS_DROPPED)


def _kept(fields: Fields, dropped: frozenset[bytes]) -> Fields:
    return [field for field in fields if field[0] not in dropped and field[0][:4] != INTERNAL_PREFIX]
