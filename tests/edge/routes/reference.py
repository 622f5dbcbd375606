"""What routing means, in the plainest words: every route is looked at, and the most specific that matches wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from edge.message import Request
from edge.route import HeaderMatch, QueryMatch, RouteSpec


def serves(routes: Iterable[RouteSpec], request: Request, path: str, host: str) -> str | None:
    """Return the name of the route that serves a request, read as one for `path`."""
    matching = [route for route in routes if matches(route, request, path, host)]
    return max(matching, key=specificity).name if matching else None


def matches(route: RouteSpec, request: Request, path: str, host: str) -> bool:
    if not route.enabled:
        return False
    host_fits = host.endswith(route.host[1:]) if route.host.startswith("*.") else host == route.host
    wanted = [] if route.path == "/" else route.path.split("/")[1:]
    method = "GET" if request.upgrade else request.method.decode()
    return (
        host_fits
        and path.split("/")[1:][: len(wanted)] == wanted
        and (not route.methods or method in route.methods)
        and all(header_fits(match, request) for match in route.headers)
        and all(query_fits(match, request) for match in route.query)
    )


def header_fits(match: HeaderMatch, request: Request) -> bool:
    values = [value.decode() for name, value in request.fields if name.decode() == match.name]
    return value_fits(match, values)


def query_fits(match: QueryMatch, request: Request) -> bool:
    query = request.path.decode().partition("?")[2]
    values = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == match.name]
    return value_fits(match, values)


def value_fits(match: HeaderMatch | QueryMatch, values: list[str]) -> bool:
    if match.present is not None:
        return bool(values) is match.present
    return any(
        value == match.exact if match.exact is not None else value.startswith(str(match.prefix))
        for value in values
    )


def specificity(route: RouteSpec) -> Any:
    conditions = len(route.headers) + len(route.query) + bool(route.methods)
    backwards = tuple(-ord(character) for character in route.name)
    return (
        not route.host.startswith("*."),
        len(route.host),
        0 if route.path == "/" else route.path.count("/"),
        route.priority,
        conditions,
        backwards,
    )
