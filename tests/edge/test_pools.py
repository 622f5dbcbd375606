from __future__ import annotations

import random as randomness

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from edge.pools import Pool, Pools
from edge.registry import Agent, Registry
from edge.selector import Selector, facts

from .fakes import FakeTunnel, make_agent, make_offer, make_report

SELECTORS = st.sampled_from(
    [
        "service=web",
        "service=web,release=v1",
        "release=v1,service=web",
        "service=web,release!=v1",
        "service in (web,api)",
        "release",
        "!release",
        "zone=a",
        "zone=b,service=api",
        "agent=agent-1",
    ]
)


class PoolMachine(RuleBasedStateMachine):
    """Instances come, go and change their health; routes take pools and let go of them."""

    agents = Bundle("agents")
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(zone="a")
        self.pools = Pools(self.registry)
        self.number = 0
        self.alive: list[Pool] = []

    @rule(
        target=agents,
        service=st.sampled_from(["web", "api"]),
        release=st.sampled_from(["", "v1", "v2"]),
        zone=st.sampled_from(["", "a", "b"]),
    )
    def connect(self, service: str, release: str, zone: str) -> Agent:
        self.number += 1
        labels = {"release": release} if release else {}
        agent, _ = self.registry.add_tunnel(
            make_agent(f"agent-{self.number}", zone=zone), [make_offer(service, **labels)], FakeTunnel()
        )
        return agent

    @rule(agent=agents, healthy=st.integers(0, 2))
    def report(self, agent: Agent, healthy: int) -> None:
        [service] = agent.instances
        self.registry.report(agent, make_report(healthy, service), 0.0)

    @rule(agent=consumes(agents))
    def leave(self, agent: Agent) -> None:
        self.registry.remove_tunnel(agent, agent.tunnels[0])

    @rule(target=held, text=SELECTORS, use=st.booleans())
    def take(self, text: str, use: bool) -> str:
        pool = self.pools.get(text)
        if use:
            assert pool.candidates is pool.candidates
        self.alive.append(pool)
        return text

    @rule(text=consumes(held))
    def let_go(self, text: str) -> None:
        self.alive.remove(
            next(pool for pool in self.alive if str(pool.selector) == str(Selector.parse(text)))
        )

    @invariant()
    def every_pool_holds_what_its_selector_picks(self) -> None:
        known = [instance for agent in self.registry.agents.values() for instance in agent.instances.values()]
        for pool in self.alive:
            wanted = {
                instance
                for instance in known
                if instance.routable
                and pool.selector.matches(
                    facts(
                        service=instance.service,
                        zone=instance.agent.zone,
                        agent=instance.agent.agent_id,
                        labels=instance.labels,
                    )
                )
            }
            candidates = pool.candidates
            assert len(candidates.all) == len(wanted)
            assert set(candidates.all) == wanted
            assert set(candidates.local) == {one for one in wanted if one.agent.zone == "a"}
            assert len(candidates.local) == len(set(candidates.local))

    def teardown(self) -> None:
        self.alive.clear()
        self.pools.get("service=web").candidates  # noqa: B018 - looks after those that are gone
        assert not list(self.pools.in_use)


TestPools = PoolMachine.TestCase


def test_equal_selectors_share_a_pool_and_one_that_nobody_holds_is_forgotten() -> None:
    pools = Pools(Registry())
    one = pools.get("service=web,release=v1")
    assert pools.get("release=v1, service=web") is one
    assert list(pools.in_use) == []
    assert one.candidates.all == []
    assert list(pools.in_use) == ["service=web,release=v1"]
    del one
    assert list(pools.in_use) == []


def test_pools_made_late_know_who_is_there() -> None:
    registry = Registry()
    agent, _ = registry.add_tunnel(make_agent(), [make_offer()], FakeTunnel())
    registry.report(agent, make_report(), 0.0)
    assert len(Pools(registry).get("service=web").candidates.all) == 1


@given(st.integers(0, 2**32))
def test_an_instance_meets_only_the_pools_that_may_want_it(seed: int) -> None:
    """A thousand tenants of one service: a new instance is compared with its own, not with a thousand."""
    registry = Registry()
    pools = Pools(registry)
    held = [pools.get(f"service=web,tenant=t{number}") for number in range(50)]
    randomness.Random(seed).shuffle(held)
    for pool in held:
        assert pool.candidates.all == []
    asked = max(len(filed) for filed in pools._filled.values())
    assert asked <= 2
