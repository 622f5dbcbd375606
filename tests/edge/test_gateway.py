from __future__ import annotations

import pytest

from edge import gateway
from edge.port import DURATION_BOUNDS

from .fakes import FakeDownstream, World, make_request


def answer_after(world: World, seconds: float) -> None:
    exchange = world.gateway.begin(make_request(started=world.clock), FakeDownstream())
    world.clock += seconds
    exchange.on_head([(b":status", b"200")], True)


def test_durations_fall_into_their_buckets() -> None:
    world = World()
    world.add()
    for seconds in (0.0, DURATION_BOUNDS[0], DURATION_BOUNDS[0] + 1e-6, 1e9):
        world.clock = 0.0
        answer_after(world, seconds)
    buckets = world.gateway.counters.duration_buckets
    assert (buckets[0], buckets[1], buckets[-1], sum(buckets)) == (2, 1, 1, 4)
    assert world.gateway.counters.duration_sum == pytest.approx(1e9)


def test_bytes_and_status_classes_are_counted() -> None:
    world = World()
    world.add()
    exchange = world.gateway.begin(make_request(method=b"POST", end_stream=False), FakeDownstream())
    exchange.on_request_data(b"abc", end_stream=True)
    exchange.on_head([(b":status", b"503")], False)
    exchange.on_data(b"no", 2, True)
    counters = world.gateway.counters
    assert (counters.bytes_in, counters.bytes_out, counters.requests) == (3, 2, {("web", 5): 1})


def test_request_ids_are_unique() -> None:
    world = World()
    ids = {world.gateway.begin(make_request(), FakeDownstream()).request_id for _ in range(100)}
    assert len(ids) == 100


def test_services_that_come_and_go_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "MAX_SERIES", 3)
    counters = gateway.PlaneCounters()
    for number in range(10):
        counters.count(f"s{number}", 2)
    counters.count("s0", 2)
    assert counters.requests == {("s0", 2): 2, ("s1", 2): 1, ("s2", 2): 1, (gateway.OTHER_SERVICES, 2): 7}


def test_the_clock_is_finer_than_a_loops() -> None:
    world = World()
    real = gateway.EdgeGateway(world.gateway.router, budget=world.budget, access_log=None)
    first = real.time()
    while (second := real.time()) == first:
        pass
    assert second - first < 0.0005


def test_a_refused_request_is_counted_and_has_an_id() -> None:
    world = World()
    request_id = world.gateway.refused(make_request(), 400, "bad_request")
    assert world.gateway.counters.requests == {("", 4): 1}
    assert world.gateway.in_flight == 0
    assert request_id not in (b"", world.gateway.refused(make_request(), 400, "bad_request"))
