from __future__ import annotations

from edge.census import Census


def test_those_of_an_address_are_counted_apart() -> None:
    census = Census()
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        census.enter(address)
    assert (census.total, census.of("192.0.2.1"), census.of("192.0.2.2"), census.of("192.0.2.3")) == (
        3,
        2,
        1,
        0,
    )


def test_who_has_left_is_forgotten() -> None:
    census = Census()
    census.enter("192.0.2.1")
    census.enter("192.0.2.1")
    census.leave("192.0.2.1")
    assert (census.total, census.of("192.0.2.1")) == (1, 1)
    census.leave("192.0.2.1")
    assert (census.total, census.of("192.0.2.1")) == (0, 0)


def test_a_network_of_ipv6_addresses_is_one_client() -> None:
    census = Census()
    census.enter("2001:db8::1")
    census.enter("2001:db8:0:0:ffff::2")
    assert census.of("2001:db8::3") == 2
    assert census.of("2001:db8:0:1::1") == 0
    assert census.of("not:an:address") == 0
