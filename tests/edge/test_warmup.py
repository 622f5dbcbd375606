from __future__ import annotations

import random

import pytest

from edge.balance import pick
from edge.balancing import Balancing
from edge.registry import Instance

from .fakes import World, make_report

SLOW = Balancing(slow_start=10.0)


def shares(world: World, rounds: int = 4000) -> dict[str, float]:
    """Return the part of many requests, one after the other, that each agent gets."""
    draw = random.Random(7).random
    counts = dict.fromkeys(world.registry.agents, 0)
    for _ in range(rounds):
        picked = pick(world.registry.services["web"], tried=(), random=draw)
        assert picked is not None
        counts[picked[0].agent.agent_id] += 1
    return {name: count / rounds for name, count in counts.items()}


def test_a_new_instance_gets_little_at_first_then_more_then_its_share() -> None:
    world = World(balancing=SLOW)
    world.add("old")
    world.wait(10.0)
    world.add("new")
    seen = [shares(world)["new"]]
    for _ in range(4):
        world.wait(2.5)
        seen.append(shares(world)["new"])
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(0.05, abs=0.02)
    assert seen[-1] == pytest.approx(0.5, abs=0.03)
    assert world.registry.due is None


def test_where_all_are_new_all_are_alike_and_the_only_one_gets_everything() -> None:
    world = World(balancing=SLOW)
    world.add("a")
    assert shares(world, 100) == {"a": 1.0}
    world.add("b")
    assert shares(world)["a"] == pytest.approx(0.5, abs=0.03)


def only(world: World) -> Instance:
    [instance] = world.instances
    return instance


def test_without_a_slow_start_it_is_warm_at_once_and_nothing_is_due() -> None:
    world = World(balancing=Balancing(slow_start=0.0))
    world.add()
    assert only(world).warmth == 1.0
    assert world.registry.due is None


def test_one_that_was_unhealthy_starts_slowly_again_and_one_that_was_drained_does_not() -> None:
    world = World(balancing=SLOW)
    world.add()
    world.wait(10.0)
    instance = only(world)
    world.registry.drain(["web.a"])
    world.registry.drain([])
    assert (instance.listed, instance.warmth) == (True, 1.0)
    world.registry.report(instance.agent, make_report(0), 0.0)
    world.registry.report(instance.agent, make_report(1), 0.0)
    assert instance.warmth < 1.0
    world.registry.report(instance.agent, make_report(0), 0.0)
    world.wait(1.0)
    assert world.registry.due is None
