"""What becomes of targets and fields on their way to the app and back."""

from __future__ import annotations

import pytest

from .client import fetch, request
from .client2 import Client2
from .conftest import Secure, Site

pytestmark = pytest.mark.e2e

TARGETS = [
    "/echo/a%2Fb%20c//d/",
    "/echo/%7euser/~user;v=1,2",
    "/echo/caf%C3%A9/%e9",
    "/echo/a/./b/../c/%2e%2e/d",
    "/echo?",
    "/echo?q=1&q=2&&=&a+b=%20%26#".rstrip("#"),
    "/echo?url=http://example.com:80/?x=y",
    "/echo/{}|^`\"[]'()*!$@:",
    "/echo/" + "x" * 8000,
]


def seen_by_app(
    site: Site, *lines: str, target: str = "/echo", host: str = "web.localhost"
) -> list[list[str]]:
    """Return the fields with which a request reaches the app, names in lower case."""
    fields = fetch(site.address, request(target, *lines, host=host)).json()["fields"]
    return [[name.lower(), value] for name, value in fields]


def values(fields: list[list[str]], name: str) -> list[str]:
    """Return the values of one field."""
    return [value for key, value in fields if key == name]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_arrives_byte_for_byte(site: Site, target: str) -> None:
    assert fetch(site.address, request(target)).json()["target"] == target


@pytest.mark.parametrize("host", ["web.localhost", "web.localhost:8080", "WEB.LocalHost"])
def test_the_host_arrives_as_the_client_wrote_it(site: Site, host: str) -> None:
    assert values(seen_by_app(site, host=host), "host") == [host]


def test_an_absolute_target_names_the_host(site: Site, tunnelled: object) -> None:
    seen = fetch(site.address, request("http://web.localhost:99/echo?x", host="other.example")).json()
    assert seen["target"] == "/echo?x"
    assert [value for name, value in seen["fields"] if name.lower() == "host"] == ["web.localhost:99"]


def test_fields_arrive_in_order_with_their_octets(site: Site) -> None:
    lines = [
        "X-One: 1",
        "X-Two:",
        "X-One:   spaced  out\t",
        "X-Three: caf\xe9 \x80\xff",
        "x-one: 3, 4",
    ]
    fields = [field for field in seen_by_app(site, *lines) if field[0].startswith("x-")]
    kept = [field for field in fields if not field[0].startswith(("x-forwarded", "x-request"))]
    assert kept == [
        ["x-one", "1"],
        ["x-two", ""],
        ["x-one", "spaced  out"],
        ["x-three", "caf\xe9 \x80\xff"],
        ["x-one", "3, 4"],
    ]


def test_cookies_of_an_http1_client_arrive_as_one_field(site: Site) -> None:
    assert values(seen_by_app(site, "Cookie: a=1; b=2"), "cookie") == ["a=1; b=2"]


def test_two_set_cookie_fields_stay_two_and_in_order(site: Site) -> None:
    head = fetch(site.address, request("/cookies")).head
    assert head.values(b"set-cookie") == [b"a=1; Path=/", b"b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT"]
    assert head.value(b"x-between") == b"caf\xe9"


def test_fields_of_the_clients_connection_stay_behind(site: Site, tunnelled: object) -> None:
    lines = [
        "Connection: keep-alive, X-Private",
        "Keep-Alive: timeout=5",
        "X-Private: 1",
        "Proxy-Connection: close",
    ]
    names = [name for name, _ in seen_by_app(site, *lines)]
    assert not {"keep-alive", "x-private", "proxy-connection"} & set(names)


def test_internal_fields_of_the_tunnel_cannot_be_sent_by_a_client(site: Site, tunnelled: object) -> None:
    fields = seen_by_app(site, "h2s-control: 00", "H2S-Service: other", "h2s-anything: x")
    assert [name for name, _ in fields if name.startswith("h2s-")] == []


def test_the_app_is_told_where_the_request_came_from(site: Site, tunnelled: object) -> None:
    fields = seen_by_app(site, host="web.localhost:8080")
    assert values(fields, "x-forwarded-for") == ["127.0.0.1"]
    assert values(fields, "x-forwarded-proto") == ["http"]
    assert values(fields, "x-forwarded-host") == ["web.localhost:8080"]
    assert forwarded(fields) == {"for": "127.0.0.1", "proto": "http", "host": "web.localhost:8080"}


def test_the_app_is_told_that_the_client_used_tls(secure: Secure) -> None:
    with Client2(secure.address, secure.certificate) as client:
        seen = client.response(client.request("/echo")).json()
        fields = [[name.lower(), value] for name, value in seen["fields"]]
        assert values(fields, "x-forwarded-proto") == ["https"]
        assert forwarded(fields)["proto"] == "https"


def test_a_client_cannot_forge_where_it_came_from(site: Site, tunnelled: object) -> None:
    forged = [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: forged.example",
        "Forwarded: for=203.0.113.9;proto=gopher;host=forged.example",
        "X-Request-Id: forged",
        "X-Forwarded-For: 203.0.113.10",
    ]
    fields = seen_by_app(site, *forged, "Connection: X-Forwarded-For, Forwarded, X-Request-Id")
    assert values(fields, "x-forwarded-for") == ["127.0.0.1"]
    assert values(fields, "x-forwarded-proto") == ["http"]
    assert values(fields, "x-forwarded-host") == ["web.localhost"]
    assert forwarded(fields)["for"] == "127.0.0.1"
    assert "forged" not in values(fields, "x-request-id")


def test_every_request_has_an_id_of_its_own(site: Site, tunnelled: object) -> None:
    ids = [values(seen_by_app(site), "x-request-id") for _ in range(3)]
    assert all(len(one) == 1 and one[0] for one in ids)
    assert len({one[0] for one in ids}) == 3


def forwarded(fields: list[list[str]]) -> dict[str, str]:
    """Return the parameters of the only element of the only Forwarded field (RFC 7239)."""
    [value] = values(fields, "forwarded")
    pairs = (pair.partition("=") for pair in value.split(";"))
    return {name.strip().lower(): text.strip('"') for name, _, text in pairs}
