from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.balancing import Balancing
from edge.exchange import Exchange
from edge.route import RouteSpec
from edge.routes import Route
from edge.waiting import WaitingRoom
from h2s.engine.session import Fields
from h2s.messages import InstanceReport, Report

from .fakes import FakeDownstream, FakeTunnel, World, make_agent, make_offer, make_report, make_request

OK: Fields = [(b":status", b"200")]
QUEUE = Balancing(slow_start=0.0, reconnect_grace=0.0, queue_size=3, queue_timeout=5.0)


class Waiting(World):
    """One instance that takes one request at once, and it has one."""

    def __init__(self, balancing: Balancing = QUEUE, *, capacity: int | None = 1, **more: Any) -> None:
        super().__init__(balancing=balancing, **more)
        [self.tunnel] = self.add(capacity=capacity, free=100 if capacity else 1)
        self.first, self.client = self.begin()
        assert self.first.instance is not None

    def begin(self, **changes: Any) -> tuple[Exchange, FakeDownstream]:
        request = make_request(started=self.clock, **changes)
        downstream = FakeDownstream(upgrade=request.upgrade is not None)
        exchange = self.gateway.begin(request, downstream)
        return exchange, downstream

    def answer(self, exchange: Exchange) -> None:
        """End an exchange, and the turn."""
        self.end(exchange)
        self.turn()

    def end(self, exchange: Exchange) -> None:
        assert exchange._tunnel is not None
        assert isinstance(exchange._tunnel, FakeTunnel)
        exchange._tunnel.fake.known[exchange._stream_id].agent_ended = True
        exchange.on_head(OK, True)


def test_an_instance_never_gets_more_than_its_capacity_and_the_next_gets_its_turn() -> None:
    world = Waiting()
    second, client = world.begin()
    assert (second.instance, world.room.size) == (None, 1)
    assert world.tunnel.in_flight == 1
    world.end(world.first)
    assert second.instance is None, "not in the middle of another one's end"
    world.turn()
    assert second.instance is not None
    world.answer(second)
    assert client.status == 200
    world.assert_at_rest()


def test_first_in_is_first_out_and_who_comes_later_does_not_jump_the_line() -> None:
    world = Waiting()
    second, _ = world.begin()
    third, _ = world.begin()
    world.end(world.first)
    late, _ = world.begin()
    assert late.instance is None, "there is room, but others were first"
    world.turn()
    order = []
    for exchange in (second, third, late):
        assert exchange.instance is not None
        order.append(exchange)
        world.answer(exchange)
    assert order == [second, third, late]
    world.assert_at_rest()


def test_who_waits_too_long_gets_503_with_retry_after() -> None:
    world = Waiting()
    exchange, client = world.begin()
    world.wait(4.9)
    assert client.status == 0
    world.wait(0.1)
    assert (client.status, exchange.error) == (503, "queue_timeout")
    assert (b"retry-after", b"1") in client.fields
    assert json.loads(client.body)["code"] == "queue_timeout"
    assert world.room.due is None
    world.answer(world.first)
    world.assert_at_rest()


@pytest.mark.parametrize("places", [0, 3])
def test_more_than_there_are_places_get_503_at_once(places: int) -> None:
    world = Waiting(Balancing(slow_start=0.0, queue_size=places))
    waiting = [world.begin()[0] for _ in range(places)]
    exchange, client = world.begin()
    assert (client.status, exchange.error) == (503, "at_capacity")
    assert (b"retry-after", b"1") in client.fields
    for one in (world.first, *waiting):
        world.answer(one)
    world.assert_at_rest()


def test_a_client_that_goes_leaves_the_line() -> None:
    world = Waiting()
    gone, client = world.begin()
    stays, _ = world.begin()
    client.gone = True
    gone.on_client_gone()
    assert (gone.status, gone.error, world.room.size) == (499, "client_gone", 1)
    world.answer(world.first)
    assert stays.instance is not None
    world.answer(stays)
    world.assert_at_rest()


def test_full_tunnels_make_requests_wait_too() -> None:
    world = Waiting(capacity=None)
    exchange, _ = world.begin()
    assert world.room.size == 1
    world.answer(world.first)
    assert exchange.instance is not None


def test_without_a_healthy_instance_nobody_waits() -> None:
    world = Waiting()
    waiting, _ = world.begin()
    world.registry.report(world.registry.agents["a"], make_report(0), 0.0)
    exchange, client = world.begin()
    assert (client.status, exchange.error) == (503, "no_healthy_instance")
    world.wait(5.0)
    assert waiting.error == "queue_timeout"


def test_a_new_instance_a_healthy_one_and_a_higher_capacity_serve_who_waits() -> None:
    world = Waiting()
    exchanges = [world.begin()[0] for _ in range(3)]
    world.add("b", capacity=1)
    world.turn()
    assert exchanges[0].instance is world.registry.agents["b"].instances["web"]
    agent = world.registry.agents["a"]
    world.registry.report(agent, make_report(capacity=2), 0.0)
    world.turn()
    assert exchanges[1].instance is agent.instances["web"]
    world.registry.report(agent, make_report(capacity=1), 0.0)
    world.answer(exchanges[0])
    assert exchanges[2].instance is world.registry.agents["b"].instances["web"]


def test_another_tunnel_makes_room_where_streams_are_short() -> None:
    world = Waiting(capacity=None)
    exchange, _ = world.begin()
    world.registry.add_tunnel(make_agent(), [make_offer()], FakeTunnel())
    world.turn()
    assert exchange.instance is not None


def test_a_stream_freed_by_one_service_serves_another_of_the_agent() -> None:
    world = World(balancing=QUEUE)
    offers = [make_offer(), make_offer("api")]
    agent, _ = world.registry.add_tunnel(make_agent(), offers, FakeTunnel(1))
    reports = [InstanceReport(service=name, healthy=1, total=1) for name in ("web", "api")]
    world.registry.report(agent, Report(instances=reports), 0.0)
    first = world.gateway.begin(make_request(), FakeDownstream())
    second = world.gateway.begin(make_request(authority=b"api.localhost"), FakeDownstream())
    assert world.room.size == 1
    agent.tunnels[0].fake.last.agent_ended = True  # type: ignore[attr-defined]
    first.on_head(OK, True)
    world.turn()
    assert second.instance is agent.instances["api"]


# -- bodies ---------------------------------------------------------------------------------------------------------


def test_a_body_waits_with_its_request_in_the_budget_and_goes_out_in_order() -> None:
    world = Waiting()
    exchange, client = world.begin(method=b"POST", end_stream=False)
    assert client.paused
    exchange.on_request_data(b"what was ", end_stream=False)
    exchange.on_request_data(b"on its way", end_stream=False)
    assert world.budget.total == 19
    world.answer(world.first)
    assert world.tunnel.fake.last.sent == [b"what was ", b"on its way"]
    assert world.budget.total == 0
    assert not client.paused
    exchange.on_request_data(b"!", end_stream=True)
    world.answer(exchange)
    assert exchange.bytes_in == 20
    world.assert_at_rest()


@pytest.mark.parametrize("trailers", [False, True])
def test_a_body_that_ends_while_it_waits_ends_when_it_is_sent(trailers: bool) -> None:
    world = Waiting()
    exchange, _ = world.begin(method=b"POST", end_stream=False)
    exchange.on_request_data(b"all", end_stream=not trailers)
    if trailers:
        exchange.on_request_trailers([(b"x-sum", b"1"), (b"h2s-x", b"2")])
    world.answer(world.first)
    stream = world.tunnel.fake.last
    assert (stream.sent, stream.edge_ended) == ([b"all"], True)
    assert stream.trailers == ([(b"x-sum", b"1")] if trailers else None)
    world.answer(exchange)
    world.assert_at_rest()


def test_a_body_that_the_agent_takes_slowly_keeps_its_client_waiting() -> None:
    world = Waiting()
    exchange, client = world.begin(method=b"POST", end_stream=False)
    exchange.on_request_data(b"some", end_stream=False)
    world.tunnel.fake.takes = False
    world.answer(world.first)
    assert client.paused
    exchange.on_drained()
    assert not client.paused


def test_who_holds_too_much_while_it_waits_is_cut() -> None:
    world = Waiting(limit=10)
    exchange, client = world.begin(method=b"POST", end_stream=False)
    exchange.on_request_data(b"eleven byte", end_stream=False)
    assert (client.status, exchange.error) == (503, "memory_limit")
    assert world.room.size == 0
    world.answer(world.first)
    world.assert_at_rest()


# -- retries --------------------------------------------------------------------------------------------------------


def test_a_refused_request_waits_for_another_instance_when_that_is_full() -> None:
    world = Waiting()
    [other] = world.add("b", capacity=1)
    second, _ = world.begin()
    assert second.instance is world.registry.agents["b"].instances["web"]
    other.fake.lose(processed=False)
    assert world.room.size == 1
    world.turn()
    assert second.instance is None or world.room.size == 1, "the one that refused it is not asked again"
    world.answer(world.first)
    assert second.instance is world.registry.agents["a"].instances["web"]
    assert second.retries == 1
    world.answer(second)
    world.assert_at_rest()


def test_the_other_tunnel_of_a_full_instance_is_no_way_round_its_capacity() -> None:
    world = World(balancing=QUEUE)
    one, two = world.add(tunnels=2, capacity=1)
    exchange = world.gateway.begin(make_request(), FakeDownstream())
    lost = one if one.in_flight else two
    agent = world.registry.agents["a"]
    agent.instances["web"].in_flight += 1
    lost.fake.lose(processed=False)
    agent.instances["web"].in_flight -= 1
    assert exchange.error == "refused"
    world.assert_at_rest()


# -- several destinations -------------------------------------------------------------------------------------------


def make_route(world: World, name: str, *selectors: tuple[str, int]) -> Route:
    targets = [{"selector": selector, "weight": weight} for selector, weight in selectors]
    spec = RouteSpec.model_validate({"name": name, "host": f"{name}.example", "targets": targets})
    return Route(spec, world.pools)


def test_a_route_holds_what_its_targets_with_a_weight_pick() -> None:
    world = World(balancing=QUEUE)
    for release in ("v1", "v2"):
        world.add(release, capacity=1, release=release)
    v1, v2 = world.instances
    route = make_route(world, "r", ("release=v1", 1), ("release=v2", 0))
    assert route.holds(v1)
    assert not route.holds(v2)
    assert route.has_others(())
    assert route.has_others((v2,))
    assert not route.has_others((v1,))


def test_of_two_lines_for_one_instance_the_longer_wait_is_first() -> None:
    world = Waiting()
    route = make_route(world, "r", ("service=web", 1))
    by_route = Exchange(world.gateway, make_request(), FakeDownstream(), b"1")
    world.gateway.in_flight += 1
    by_route.start(route, None)
    by_service, _ = world.begin()
    world.answer(world.first)
    assert by_route.instance is not None
    assert by_service.instance is None
    world.answer(by_route)
    assert by_service.instance is not None


# -- any order ------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(
    capacities=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["begin", "end", "reset", "refuse", "gone", "lose", "wait", "unhealthy", "healthy"]
            ),
            st.integers(0, 20),
        ),
        max_size=60,
    ),
)
def test_no_instance_is_ever_above_its_capacity_and_in_the_end_nothing_is_left(
    capacities: list[int], steps: list[tuple[str, int]]
) -> None:
    world = World(balancing=Balancing(slow_start=0.0, reconnect_grace=0.0, queue_size=4, queue_timeout=5.0))
    tunnels = [
        tunnel
        for number, capacity in enumerate(capacities)
        for tunnel in world.add(f"a{number}", tunnels=2, capacity=capacity)
    ]
    agents = list(world.registry.agents.values())
    instances = world.instances
    running: list[tuple[Exchange, FakeDownstream]] = []
    begun = 0

    def end(exchange: Exchange) -> None:
        if exchange._tunnel is not None:
            assert isinstance(exchange._tunnel, FakeTunnel)
            exchange._tunnel.fake.known[exchange._stream_id].agent_ended = True
            exchange.on_head(OK, True)

    def act(what: str, number: int) -> None:
        nonlocal begun
        live = [pair for pair in running if not pair[0]._finished]
        if what == "begin":
            client = FakeDownstream()
            method = b"GET" if number % 2 else b"POST"
            running.append((world.gateway.begin(make_request(method=method), client), client))
            begun += 1
        elif what == "wait":
            world.wait(number / 4)
        elif what in ("lose", "refuse"):
            tunnels[number % len(tunnels)].fake.lose(processed=what == "lose")
        elif what in ("unhealthy", "healthy"):
            agent = agents[number % len(agents)]
            world.registry.report(agent, make_report(what == "healthy"), 0.0)
        elif live:
            exchange, client = live[number % len(live)]
            if what == "end":
                end(exchange)
            elif what == "gone":
                client.gone = True
                exchange.on_client_gone()
            elif exchange._tunnel is not None:
                assert isinstance(exchange._tunnel, FakeTunnel)
                fake = exchange._tunnel.fake
                fake.streams.pop(exchange._stream_id, None)
                fake.known[exchange._stream_id].reset_code = 8
                exchange.on_reset(8, True)

    for index, (what, number) in enumerate(steps):
        act(what, number)
        if index % 2:
            world.turn()
        for instance, capacity in zip(instances, capacities, strict=True):
            assert 0 <= instance.in_flight <= capacity
            assert instance.in_flight == sum(tunnel.in_flight for tunnel in instance.agent.tunnels)
        assert world.room.size == sum(one._held is not None for one, _ in running)
        assert world.room.size <= 4
    while any(not one._finished for one, _ in running):
        for exchange, _ in running:
            end(exchange)
        world.turn()
        world.wait(5.0)
    assert world.finished == begun
    world.assert_at_rest()


def test_the_end_of_the_turn_is_the_loops() -> None:
    async def main() -> None:
        done = asyncio.Event()
        room = WaitingRoom(limit=1, timeout=1.0)
        room._soon(done.set)
        assert not done.is_set()
        await asyncio.wait_for(done.wait(), 1.0)

    asyncio.run(main())
