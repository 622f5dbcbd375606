"""What a route asks of a request beyond host and path, compiled to functions that say yes or no.

A route without conditions has no function to call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from ..message import Request
from ..route import HeaderMatch, QueryMatch, ValueMatch

__all__ = ["Check", "header_check", "method_of", "parameters", "query_check"]

Check = Callable[[Request], bool]
Values = Callable[[bytes], bool]


def method_of(request: Request) -> bytes:
    """Return the method that a route sees: an upgrade is a GET in every HTTP version."""
    return b"GET" if request.upgrade is not None else request.method


def header_check(match: HeaderMatch) -> Check:
    """Return what says whether a request has such a header field."""
    name = match.name.encode("ascii")
    fits = _value_check(match)

    def check(request: Request) -> bool:
        return any(field[0] == name and fits(field[1]) for field in request.fields)

    return check if match.present is not False else lambda request: not check(request)


def query_check(match: QueryMatch) -> Check:
    """Return what says whether a request has such a parameter in its query."""
    name = match.name.encode()
    fits = _value_check(match)

    def check(request: Request) -> bool:
        return any(key == name and fits(value) for key, value in parameters(request.path))

    return check if match.present is not False else lambda request: not check(request)


def parameters(target: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Yield the parameters of a target's query, decoded as forms are (`+` is a blank)."""
    for part in target.partition(b"?")[2].split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            yield _decode(name), _decode(value)


def _decode(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _value_check(match: ValueMatch) -> Values:
    if match.exact is not None:
        exact = match.exact.encode()
        return lambda value: value == exact
    if match.prefix is not None:
        prefix = match.prefix.encode()
        return lambda value: value.startswith(prefix)
    return lambda value: True
