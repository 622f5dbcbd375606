from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge import registry as registry_module
from edge.balancing import Balancing
from edge.registry import Agent, Conflict, Registry, Superseded

from .fakes import FakeTunnel, World, make_agent, make_offer, make_report

OFFERS = [make_offer()]


def test_an_instance_is_routable_once_it_has_reported_healthy() -> None:
    registry = Registry()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    service = registry.services["web"]
    assert service.all == []
    [change] = registry.report(agent, make_report(), 5.0)
    assert (change.kind, change.service, change.agent_id) == ("instance_up", "web", "a")
    assert service.all == list(agent.instances.values())
    [change] = registry.report(agent, make_report(0), 6.0)
    assert change.kind == "instance_down"
    assert service.all == []


def test_a_report_that_says_nothing_new_changes_nothing() -> None:
    registry = Registry()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    registry.report(agent, make_report(), 5.0)
    assert registry.report(agent, make_report(), 6.0) == []
    assert agent.instances["web"].since == 5.0


def test_a_report_without_capacity_leaves_the_one_offered() -> None:
    registry = Registry()
    offer = registry_module.Offer(service="web", labels={}, publish=True, capacity=7, token_id="t")
    agent, _ = registry.add_tunnel(make_agent(), [offer], FakeTunnel())
    registry.report(agent, make_report(), 0.0)
    assert agent.instances["web"].capacity == 7
    registry.report(agent, make_report(capacity=9), 0.0)
    assert agent.instances["web"].capacity == 9


def test_a_service_that_was_not_granted_cannot_be_reported() -> None:
    registry = Registry()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    assert registry.report(agent, make_report(service="admin"), 0.0) == []
    assert set(registry.services) == {"web"}


def test_an_agent_with_two_tunnels_is_one_instance_until_both_are_gone() -> None:
    registry = Registry()
    first, second = FakeTunnel(), FakeTunnel()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, first)
    again, _ = registry.add_tunnel(make_agent(), OFFERS, second)
    assert again is agent
    registry.report(agent, make_report(), 0.0)
    assert registry.remove_tunnel(agent, first) == []
    assert len(registry.services["web"].all) == 1
    [change] = registry.remove_tunnel(agent, second)
    assert change.kind == "instance_down"
    assert registry.services == registry.agents == {}


def test_an_agent_whose_tunnels_all_drain_gets_nothing_new() -> None:
    registry = Registry()
    tunnel = FakeTunnel()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, tunnel)
    registry.report(agent, make_report(), 0.0)
    registry.drain_tunnel(agent, tunnel)
    registry.drain_tunnel(agent, tunnel)
    assert registry.services["web"].all == []
    assert agent.draining == [tunnel]


def test_a_drained_instance_gets_nothing_new_until_it_is_resumed_whatever_its_agent_does() -> None:
    registry = Registry()
    tunnel = FakeTunnel()
    offers = [make_offer(), make_offer("api")]
    agent, _ = registry.add_tunnel(make_agent(), offers, tunnel)
    for service in ("web", "api"):
        registry.report(agent, make_report(service=service), 0.0)
    registry.changed.clear()
    assert registry.drain(["web.a", "web.nobody"])
    assert registry.changed == {"a"}
    assert registry.services["web"].all == []
    assert len(registry.services["api"].all) == 1
    registry.report(agent, make_report(0), 1.0)
    registry.report(agent, make_report(), 2.0)
    assert registry.services["web"].all == []
    registry.remove_tunnel(agent, tunnel)
    again, _ = registry.add_tunnel(make_agent(generation=2), offers, FakeTunnel())
    registry.report(again, make_report(), 3.0)
    assert again.instances["web"].drained
    assert registry.services["web"].all == []
    assert not registry.drain(["web.a"])
    assert registry.drain([])
    assert registry.services["web"].all == [again.instances["web"]]


def test_a_newer_generation_takes_over_and_the_older_is_refused_and_ignored() -> None:
    registry = Registry()
    old_tunnel = FakeTunnel()
    old, _ = registry.add_tunnel(make_agent(), [make_offer("old")], old_tunnel)
    new, outdated = registry.add_tunnel(make_agent(generation=2), OFFERS, FakeTunnel())
    assert outdated == [old_tunnel]
    assert registry.agents == {"a": new}
    with pytest.raises(Superseded):
        registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    assert registry.report(old, make_report(service="old"), 0.0) == []
    registry.drain_tunnel(old, old_tunnel)
    assert registry.remove_tunnel(old, old_tunnel) == []
    assert registry.agents == {"a": new}


@pytest.mark.parametrize(
    "offers",
    [
        [make_offer("other")],
        [make_offer(env="prod")],
        [make_offer(publish=False)],
        [*OFFERS, make_offer("x")],
    ],
)
def test_a_tunnel_with_other_rights_cannot_join_an_agent(offers: list[registry_module.Offer]) -> None:
    registry = Registry()
    registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    with pytest.raises(Conflict):
        registry.add_tunnel(make_agent(), offers, FakeTunnel())
    assert len(registry.agents["a"].tunnels) == 1


def test_a_published_service_that_departs_is_remembered_and_an_unpublished_one_is_not() -> None:
    registry = Registry()
    for name, publish in (("web", True), ("db", False)):
        tunnel = FakeTunnel()
        agent, _ = registry.add_tunnel(make_agent(name), [make_offer(name, publish=publish)], tunnel)
        registry.remove_tunnel(agent, tunnel)
    assert list(registry.departed) == ["web"]
    registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    assert registry.departed == {}


def panicky(percent: int, count: int = 4) -> World:
    world = World(balancing=Balancing(slow_start=0.0, reconnect_grace=0.0, panic_threshold=percent))
    for number in range(count):
        world.add(f"a{number}", release="v1" if number % 2 else "v2")
    return world


def sicken(world: World, number: int, healthy: int = 0) -> None:
    world.registry.report(world.registry.agents[f"a{number}"], make_report(healthy), 0.0)


def test_with_only_unhealthy_instances_nothing_is_routable_unless_there_is_a_panic_threshold() -> None:
    for percent, left in ((0, 0), (1, 4)):
        world = panicky(percent)
        for number in range(4):
            sicken(world, number)
        assert len(world.registry.services["web"].all) == left


def test_with_fewer_healthy_instances_than_the_threshold_all_are_used_and_pools_follow() -> None:
    world = panicky(50)
    service = world.registry.services["web"]
    pool = world.pools.get("release=v1")
    candidates = pool.candidates
    sicken(world, 0)
    sicken(world, 1)
    assert len(service.all) == 2
    sicken(world, 2)
    assert (len(service.all), len(candidates.all)) == (4, 2)
    world.registry.drain(["web.a1"])
    assert (len(service.all), len(candidates.all)) == (3, 1)
    world.registry.drain([])
    sicken(world, 2, healthy=1)
    assert (len(service.all), len(pool.candidates.all)) == (2, 1)
    assert not service.panicking


def test_one_that_has_not_reported_or_has_no_tunnel_is_not_used_in_a_panic() -> None:
    world = panicky(100, count=2)
    service = world.registry.services["web"]
    sicken(world, 0)
    world.registry.add_tunnel(make_agent("new"), OFFERS, FakeTunnel())
    assert len(service.all) == 2
    gone = world.registry.agents["a0"]
    world.registry.drain_tunnel(gone, gone.tunnels[0])
    assert {one.agent.agent_id for one in service.all} == {"a1"}


def test_a_change_of_capacity_is_told() -> None:
    registry = Registry()
    agent, _ = registry.add_tunnel(make_agent(), OFFERS, FakeTunnel())
    registry.report(agent, make_report(), 0.0)
    registry.changed.clear()
    assert registry.report(agent, make_report(capacity=7), 0.0) == []
    assert registry.changed == {"a"}
    assert agent.instances["web"].limit == 7


class RegistryMachine(RuleBasedStateMachine):
    """Agents come, report, drain, are replaced and go, in any order."""

    ids = st.sampled_from("abc")
    names = st.sampled_from(["web", "api", "db"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        balancing = Balancing(panic_threshold=40, reconnect_grace=5.0, slow_start=3.0)
        self.registry = Registry(zone="z1", balancing=balancing, clock=lambda: self.clock)
        self.most_departed = registry_module.MAX_DEPARTED
        registry_module.MAX_DEPARTED = 2
        self.tunnels: list[tuple[Agent, FakeTunnel]] = []
        """Every tunnel that stands, those of superseded agents among them."""

    def teardown(self) -> None:
        for agent, tunnel in self.tunnels:
            self.registry.remove_tunnel(agent, tunnel)
        self.pass_time(40.0)
        assert self.registry.agents == self.registry.services == {}
        assert self.registry.due is None
        assert self.registry.published == []
        registry_module.MAX_DEPARTED = self.most_departed

    @rule(
        agent_id=ids,
        generation=st.integers(1, 3),
        services=st.sets(names, min_size=1),
        publish=st.booleans(),
        zone=st.sampled_from(["z1", "z2"]),
    )
    def connect(self, agent_id: str, generation: int, services: set[str], publish: bool, zone: str) -> None:
        tunnel = FakeTunnel()
        offers = [make_offer(name, publish=publish) for name in services]
        before = set(self.registry.agents.values())
        try:
            agent, outdated = self.registry.add_tunnel(make_agent(agent_id, generation, zone), offers, tunnel)
        except (Superseded, Conflict):
            assert set(self.registry.agents.values()) == before
            return
        assert set(map(id, outdated)) == {
            id(tunnel)
            for other, tunnel in self.tunnels
            if other in before and other.agent_id == agent_id and other is not agent
        }
        assert agent.reconnecting == (agent in before and agent.reconnecting)
        self.tunnels.append((agent, tunnel))

    @precondition(lambda self: self.tunnels)
    @rule(data=st.data(), service=names, healthy=st.integers(0, 2))
    def report(self, data: st.DataObject, service: str, healthy: int) -> None:
        agent, _ = data.draw(st.sampled_from(self.tunnels))
        self.registry.report(agent, make_report(healthy, service), 0.0)

    @precondition(lambda self: self.tunnels)
    @rule(data=st.data())
    def drain(self, data: st.DataObject) -> None:
        self.registry.drain_tunnel(*data.draw(st.sampled_from(self.tunnels)))

    @precondition(lambda self: self.tunnels)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.tunnels))
        self.tunnels.remove(one)
        changes = self.registry.remove_tunnel(*one)
        assert all(change.kind in ("instance_down", "instance_reconnecting") for change in changes)

    @precondition(lambda self: self.tunnels)
    @rule(data=st.data(), service=names, times=st.integers(1, 6))
    def fail(self, data: st.DataObject, service: str, times: int) -> None:
        agent, _ = data.draw(st.sampled_from(self.tunnels))
        for _ in range(times):
            if service in agent.instances:
                self.registry.failed(agent.instances[service])

    @rule(seconds=st.sampled_from([1.0, 5.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock += seconds
        self.registry.tend()

    @invariant()
    def agents_are_those_with_tunnels_and_those_that_are_waited_for(self) -> None:
        live = {agent for agent, _ in self.tunnels if self.registry.agents.get(agent.agent_id) is agent}
        known = set(self.registry.agents.values())
        assert live <= known
        assert all(agent.reconnecting and not agent.tunnels for agent in known - live)
        for agent in live:
            known = {id(tunnel) for other, tunnel in self.tunnels if other is agent}
            assert known == {id(tunnel) for tunnel in (*agent.tunnels, *agent.draining)}
            assert not {id(tunnel) for tunnel in agent.tunnels} & {id(tunnel) for tunnel in agent.draining}

    @invariant()
    def services_are_those_of_the_agents(self) -> None:
        registry = self.registry
        instances = [one for agent in registry.agents.values() for one in agent.instances.values()]
        assert set(registry.services) == {one.service for one in instances}
        for name, service in registry.services.items():
            mine = [one for one in instances if one.service == name]
            able = [one for one in mine if one.total and one.agent.tunnels and not one.agent.reconnecting]
            fit = [one for one in able if one.healthy]
            assert all(one in fit for one in mine if one.ejected)
            good = [one for one in fit if not one.ejected]
            assert 2 * (len(fit) - len(good)) <= len(fit)
            routable = able if 100 * len(good) < 40 * len(able) else good
            assert (service.able, service.fit) == (len(able), len(fit))
            assert service.ejected == len(fit) - len(good)
            assert same(service.instances, mine)
            assert same(service.all, routable)
            assert same(service.local, [one for one in routable if one.agent.zone == "z1"])
            assert service.published == any(one.publish for one in mine)
        assert same(registry.published, [one for one in registry.services.values() if one.published])

    @invariant()
    def departed_services_are_gone_published_and_few(self) -> None:
        departed = self.registry.departed
        assert len(departed) <= 2
        assert not set(departed) & set(self.registry.services)
        assert all(one.published and not one.instances and not one.all for one in departed.values())


def same(found: list, expected: list) -> bool:
    """Whether the same objects are in both, once each."""
    return sorted(map(id, found)) == sorted(map(id, expected))


TestRegistryMachine = RegistryMachine.TestCase


def test_another_token_cannot_push_an_agent_out_whatever_its_generation() -> None:
    registry = Registry()
    registry.add_tunnel(make_agent(), [make_offer()], FakeTunnel())
    with pytest.raises(Conflict, match="another join token"):
        registry.check("a", 2**62, [make_offer("other", token="thief")])
    registry.check("a", 2, [make_offer()])


def test_an_agent_id_is_free_again_once_its_holder_is_gone() -> None:
    registry = Registry()
    tunnel = FakeTunnel()
    agent, _ = registry.add_tunnel(make_agent(), [make_offer()], tunnel)
    registry.remove_tunnel(agent, tunnel)
    registry.check("a", 1, [make_offer(token="successor")])
