from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.route import RouteSpec


def make(**changes: Any) -> RouteSpec:
    values: dict[str, Any] = {"name": "r", "host": "example.com", "targets": [{"selector": "service=web"}]}
    return RouteSpec.model_validate(values | changes)


def test_a_route_needs_a_name_a_host_and_a_target() -> None:
    route = make()
    assert (route.path, route.priority, route.enabled) == ("/", 0, True)
    assert (route.targets[0].name, route.targets[0].weight) == ("service=web", 1)


def test_it_survives_its_journey_as_json() -> None:
    route = make(headers=[{"name": "X-Canary", "present": False}], query=[{"name": "ä b", "prefix": "1"}])
    assert RouteSpec.model_validate_json(route.model_dump_json()) == route
    assert RouteSpec.model_validate(route.model_dump(mode="json")) == route


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("Example.COM.", "example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::0001]", "[2001:db8::1]"),
        ("_acme.example.com", "_acme.example.com"),
    ],
)
def test_a_host_has_one_form(host: str, kept: str) -> None:
    assert make(host=host).host == kept


@pytest.mark.parametrize(("path", "kept"), [("/", "/"), ("/api/", "/api"), ("/a%20b/@c*", "/a%20b/@c*")])
def test_a_path_has_one_form(path: str, kept: str) -> None:
    assert make(path=path).path == kept


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"host": ""}, "not a host name"),
        ({"host": "example.com:80"}, "no port: write 'example.com'"),
        ({"host": "http://example.com"}, "no scheme"),
        ({"host": "a.*.com"}, "whole first label"),
        ({"host": "*"}, "whole first label"),
        ({"host": "[::1"}, "IPv6"),
        ({"host": "[::g]"}, "IPv6"),
        ({"host": "exa mple.com"}, "not a host name"),
        ({"host": ".".join(["a" * 60] * 5)}, ""),
        ({"path": "api"}, "starts with"),
        ({"path": "/a?b"}, "query"),
        ({"path": "/a//b"}, "empty segment"),
        ({"path": "/a/../b"}, "'..'"),
        ({"path": "/a/%2e"}, "%2E"),
        ({"path": "/a/%2E"}, "stands for"),
        ({"path": "/a%2Fb"}, "stands for"),
        ({"path": "/a%2Cb"}, "stands for"),
        ({"path": "/a;b"}, "%XX"),
        ({"path": "/a/*"}, "no wildcard"),
        ({"path": "/%zz"}, "two hexadecimal"),
        ({"path": "/ä"}, "%XX"),
        ({"targets": []}, "at least one target"),
        ({"targets": [{"selector": "service=web", "weight": 0}]}, "sum to zero"),
        ({"targets": [{"selector": "service=web"}] * 2}, "two are called"),
        ({"targets": [{"selector": "service=="}]}, "at position 7"),
        ({"targets": [{"selector": "service=web", "weight": -1}]}, "greater than or equal to 0"),
        ({"methods": ["get"]}, "write GET"),
        ({"methods": ["G T"]}, "not a method"),
        ({"headers": [{"name": "host", "exact": "x"}]}, "matched by 'host'"),
        ({"headers": [{"name": "X-Forwarded-For", "present": True}]}, "an edge sets it"),
        ({"headers": [{"name": "h2s-service", "present": True}]}, "an edge sets it"),
        ({"headers": [{"name": "x_y", "present": True}]}, "underscore"),
        ({"headers": [{"name": "x"}]}, "exactly one"),
        ({"query": [{"name": "x", "exact": "", "present": True}]}, "exactly one"),
        ({"policies": ["p", "p"]}, "twice"),
        ({"name": "a b"}, "pattern"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused_with_a_way_out(changes: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**changes)
    assert hint in str(caught.value)


def test_the_order_of_conditions_does_not_tell_routes_apart() -> None:
    headers = [{"name": "a", "exact": "1"}, {"name": "b", "present": True}]
    one = make(headers=headers, methods=["POST", "GET"])
    other = make(name="other", headers=headers[::-1], methods=["GET", "POST", "GET"], path="/")
    assert one.key == other.key
    assert one.key != make(headers=headers, methods=["GET"]).key
