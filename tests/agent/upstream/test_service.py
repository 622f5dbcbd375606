"""The choice between upstreams."""

from __future__ import annotations

import pytest

from agent.upstream import Service, Upstream


def service(count: int) -> Service:
    return Service("web", [Upstream(f"http://127.0.0.1:{3000 + n}") for n in range(count)])


def test_service_without_upstream_is_refused() -> None:
    with pytest.raises(ValueError, match="no upstream"):
        Service("web", [])


def test_least_busy_upstream_is_picked() -> None:
    balanced = service(3)
    for pool, in_flight in zip(balanced.pools, (2, 1, 3), strict=True):
        pool.in_flight = in_flight
    assert balanced.pick() is balanced.pools[1]
    assert balanced.in_flight == 6


def test_equally_busy_upstreams_take_turns() -> None:
    balanced = service(3)
    picked = [balanced.pick() for _ in range(6)]
    assert {picked.count(pool) for pool in balanced.pools} == {2}


def test_unhealthy_upstream_is_passed_over_while_another_is_healthy() -> None:
    balanced = service(2)
    balanced.pools[0].healthy = False
    assert [balanced.pick() for _ in range(3)] == [balanced.pools[1]] * 3
    balanced.pools[1].healthy = False
    assert {balanced.pick(), balanced.pick()} == set(balanced.pools)
