from __future__ import annotations

import pytest

from edge.registry import Conflict
from edge.rivals import MOST_KNOWN, Rivals

from .fakes import FakeTunnel, World, make_agent, make_offer


def take_over(world: World, generation: int) -> None:
    _, outdated = world.registry.add_tunnel(make_agent(generation=generation), [make_offer()], FakeTunnel())
    for tunnel in outdated:
        assert isinstance(tunnel, FakeTunnel)


def test_a_fight_for_an_id_is_told_and_stopped_and_not_for_good() -> None:
    world = World()
    for generation in range(1, 5):
        take_over(world, generation)
        world.clock += 10
    [change] = world.changes
    assert (change.kind, change.agent_id, change.detail) == ("agent_contested", "a", "192.0.2.1")
    with pytest.raises(Conflict, match="give each its own"):
        world.registry.check("a", 5, [make_offer()])
    assert world.registry.agents["a"].generation == 4
    world.registry.check("a", 4, [make_offer()])
    world.clock += 50
    take_over(world, 5)
    with pytest.raises(Conflict, match="give each its own"):
        world.registry.check("a", 6, [make_offer()])


def test_restarts_with_time_between_them_are_no_fight() -> None:
    world = World()
    for generation in range(1, 10):
        take_over(world, generation)
        world.clock += 200
    assert world.changes == []


def test_who_comes_when_the_other_is_gone_or_leaving_takes_nothing_from_it() -> None:
    world = World()
    for generation in range(1, 20, 2):
        gone, leaving = FakeTunnel(), FakeTunnel()
        agent, _ = world.registry.add_tunnel(make_agent(generation=generation), [make_offer()], gone)
        world.registry.remove_tunnel(agent, gone)
        agent, _ = world.registry.add_tunnel(make_agent(generation=generation + 1), [make_offer()], leaving)
        world.registry.drain_tunnel(agent, leaving)
    assert world.changes == []


def test_only_so_many_ids_are_kept_in_mind() -> None:
    rivals = Rivals()
    for _ in range(3):
        rivals.took_over("first", 0.0)
    assert rivals.contested("first", 0.0)
    for number in range(MOST_KNOWN):
        rivals.took_over(f"a{number}", 0.0)
    assert not rivals.contested("first", 0.0)
