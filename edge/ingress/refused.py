"""A request that is refused before the gateway sees it, as far as its head can be made out: for the access log."""

from __future__ import annotations

from edge.message import Request
from h2s.engine.session import Fields

__all__ = ["LOGGED_LINE", "guess_request", "refused_request"]

LOGGED_LINE = 1024
"""Bytes of an unreadable head that are looked at."""
UNKNOWN = b"-"


def guess_request(head: bytes, *, scheme: bytes, peer: str, started: float) -> Request:
    """Make what can be made of the beginning of an HTTP/1 head: its first line's words, whatever they are."""
    method, _, rest = head.partition(b"\n")[0].rstrip(b"\r").partition(b" ")
    path = rest.partition(b" ")[0]
    return _request(method, b"", path, scheme=scheme, version="1.1", peer=peer, started=started)


def refused_request(fields: Fields, *, scheme: bytes, peer: str, started: float) -> Request:
    """Make what the log needs of an HTTP/2 head."""
    head = dict(fields)
    method, authority, path = (head.get(name, b"") for name in (b":method", b":authority", b":path"))
    return _request(method, authority, path, scheme=scheme, version="2", peer=peer, started=started)


def _request(
    method: bytes, authority: bytes, path: bytes, *, scheme: bytes, version: str, peer: str, started: float
) -> Request:
    return Request(
        method=method[:LOGGED_LINE] or UNKNOWN,
        scheme=scheme,
        authority=authority[:LOGGED_LINE],
        path=path[:LOGGED_LINE] or UNKNOWN,
        fields=[],
        upgrade=None,
        version=version,
        peer=peer,
        started=started,
        end_stream=True,
    )
