from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.message import Request
from edge.policies import Chain, IpRule
from edge.policies.ip import Networks, parse_address
from edge.problem import Refusal

from ..fakes import make_request

NETWORKS = st.one_of(
    st.builds(
        lambda n, p: str(ip_network((n, p), strict=False)), st.integers(0, 2**32 - 1), st.integers(0, 32)
    ),
    st.builds(
        lambda n, p: str(ip_network((n, p), strict=False)),
        st.integers(2**32, 2**128 - 1),
        st.integers(0, 128),
    ),
)


def enter(request: Request, **rule: Any) -> Request:
    Chain([IpRule(type="ip", **rule).compile()]).enter(request)
    return request


def refused(peer: str, **rule: Any) -> bool:
    try:
        enter(make_request(peer=peer), **rule)
    except Refusal as refusal:
        return (refusal.status, refusal.code) == (403, "address_denied")
    return False


@given(st.lists(NETWORKS, max_size=8), st.ip_addresses())
def test_a_set_of_networks_has_the_addresses_of_each(networks: list[str], address: Any) -> None:
    assert (address in Networks(networks)) == any(address in ip_network(network) for network in networks)


def test_only_allowed_addresses_come_in_and_deny_wins() -> None:
    rule = {"allow": ("192.0.2.0/24", "2001:db8::/32"), "deny": ("192.0.2.7",)}
    assert not refused("192.0.2.1", **rule)
    assert not refused("2001:db8::1", **rule)
    assert not refused("::ffff:192.0.2.1", **rule)
    assert refused("192.0.2.7", **rule)
    assert refused("198.51.100.1", **rule)
    assert refused("::ffff:198.51.100.1", **rule)
    assert not refused("198.51.100.1", deny=("192.0.2.7",))


def test_ipv4_networks_that_are_mapped_into_ipv6_are_ipv4() -> None:
    for peer in ("192.0.2.7", "::ffff:192.0.2.7"):
        assert refused(peer, deny=("::ffff:192.0.2.0/120",))
        assert not refused(peer, allow=("::ffff:192.0.2.7",))
    assert IpRule(type="ip", deny=("::ffff:0:0/96",)).deny == ("0.0.0.0/0",)


def test_a_client_without_an_address_does_not_come_in() -> None:
    assert refused("", allow=("0.0.0.0/0",))
    assert refused("", deny=("192.0.2.7",))


def test_a_scoped_address_is_the_address() -> None:
    assert parse_address("fe80::1%eth0") == ip_address("fe80::1")


PROXIES = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", ["203.0.113.5"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.2.2.2"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.0.0.1", ["203.0.113.5, rubbish, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["[2001:db9::5]:4711"], "2001:db9::5"),
        ("2001:db8::1", ["2001:db9::5"], "2001:db9::5"),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
    ],
)
def test_the_client_is_the_last_who_is_not_trusted(peer: str, forwarded: list[str], client: str) -> None:
    fields = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    request = enter(make_request(peer=peer, fields=fields), trusted_proxies=PROXIES)
    assert request.peer == client


def test_a_trusted_proxy_says_how_the_client_came() -> None:
    fields = [(b"x-forwarded-proto", b"https")]
    assert enter(make_request(peer="10.0.0.1", fields=fields), trusted_proxies=PROXIES).scheme == b"https"
    assert enter(make_request(peer="192.0.2.1", fields=fields), trusted_proxies=PROXIES).scheme == b"http"
    fields = [(b"x-forwarded-proto", b"gopher")]
    assert enter(make_request(peer="10.0.0.1", fields=fields), trusted_proxies=PROXIES).scheme == b"http"


def test_the_client_behind_a_proxy_is_the_one_that_is_checked() -> None:
    fields = [(b"x-forwarded-for", b"203.0.113.5")]
    with pytest.raises(Refusal):
        enter(make_request(peer="10.0.0.1", fields=fields), trusted_proxies=PROXIES, allow=("10.0.0.0/8",))


def test_a_rule_that_says_nothing_costs_nothing() -> None:
    assert Chain([IpRule(type="ip").compile()]).is_empty


@pytest.mark.parametrize(
    ("network", "hint"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("10.0.0.0/33", "not an address"),
        ("example.com", "not an address"),
    ],
)
def test_a_network_that_is_none_is_refused(network: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        IpRule(type="ip", allow=(network,))
