from __future__ import annotations

import pytest

from backplane.cli.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:80", "localhost", 80),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:7443", "::1", 7443),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535),
    ],
)
def test_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "port is missing"),
        ("host", "port is missing"),
        ("host:", "port is missing"),
        ("host:http", "not a number"),
        ("host:-1", "not a number"),
        ("host:65536", "above 65535"),
        ("host:99999999999", "above 65535"),
        (":80", "has no host"),
        ("::1:80", "brackets"),
        ("[::1", "closing bracket"),
        ("[nope]:80", "no IPv6 address"),
        ("http://host:80", "not HOST:PORT"),
        ("a b:80", "not HOST:PORT"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Address.parse(text)


def test_default_port_is_used_only_without_a_port() -> None:
    assert Address.parse("host", default_port=80) == Address("host", 80)
    assert Address.parse("[::1]", default_port=80) == Address("::1", 80)
    assert Address.parse("host:81", default_port=80) == Address("host", 81)


@pytest.mark.parametrize(
    ("text", "wildcard"), [("0.0.0.0:1", True), ("[::]:1", True), ("127.0.0.1:1", False), ("host:1", False)]
)
def test_wildcard_is_told_from_an_address(text: str, wildcard: bool) -> None:
    assert Address.parse(text).is_wildcard is wildcard
