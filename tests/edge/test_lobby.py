from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge.lobby import Lobby, LobbyLimits

CROWD, AGENT, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def make_lobby(*, most: int = 100, per_address: int = 100) -> Lobby[str]:
    return Lobby(LobbyLimits(max_unregistered=most, max_unregistered_per_address=per_address))


def test_whoever_finds_a_place_drives_nobody_out() -> None:
    lobby = make_lobby(most=3, per_address=2)
    assert [lobby.enter(*one) for one in (("a", CROWD), ("b", CROWD), ("c", AGENT))] == [None, None, None]
    assert len(lobby) == 3


def test_one_too_many_of_an_address_takes_the_place_of_its_oldest() -> None:
    lobby = make_lobby(per_address=2)
    lobby.enter("agent", AGENT)
    assert [lobby.enter(one, CROWD) for one in "abcd"] == [None, None, "a", "b"]
    assert len(lobby) == 3
    assert "agent" in lobby
    assert "b" not in lobby


def test_one_too_many_in_all_takes_the_place_of_the_oldest_of_the_address_that_has_most() -> None:
    lobby = make_lobby(most=4)
    lobby.enter("agent", AGENT)
    for one in "abc":
        lobby.enter(one, CROWD)
    assert lobby.enter("x", OTHER) == "a"
    assert lobby.enter("y", OTHER) == "b"
    assert "agent" in lobby


def test_when_all_have_one_place_the_one_that_came_first_goes() -> None:
    lobby = make_lobby(most=2)
    lobby.enter("a", CROWD)
    lobby.enter("b", AGENT)
    assert lobby.enter("c", OTHER) == "a"


def test_a_network_of_ipv6_addresses_is_one_address() -> None:
    lobby = make_lobby(per_address=1)
    lobby.enter("a", "2001:db8::1")
    assert lobby.enter("b", "2001:db8::ffff") == "a"
    assert lobby.enter("c", "2001:db8:0:1::1") is None


def test_a_place_is_free_once_left() -> None:
    lobby = make_lobby(per_address=1)
    lobby.enter("a", CROWD)
    assert lobby.leave("a")
    assert not lobby.leave("a")
    assert lobby.enter("b", CROWD) is None
    assert lobby.empty() == ["b"]
    assert len(lobby) == 0


def test_each_is_called_once_one_of_each_address_in_turn_and_the_newest_first() -> None:
    lobby = make_lobby()
    for one in "abc":
        lobby.enter(one, CROWD)
    lobby.enter("agent", AGENT)
    assert [lobby.call() for _ in range(3)] == ["c", "agent", "b"]
    lobby.enter("other", OTHER)
    assert [lobby.call() for _ in range(3)] == ["a", "other", None]
    assert len(lobby) == 5


def test_who_has_left_is_not_called() -> None:
    lobby = make_lobby(per_address=1)
    lobby.enter("a", CROWD)
    lobby.enter("b", CROWD)
    lobby.enter("agent", AGENT)
    lobby.leave("agent")
    assert [lobby.call(), lobby.call()] == ["b", None]
    lobby.enter("c", CROWD)
    lobby.empty()
    assert lobby.call() is None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([CROWD, AGENT, OTHER]), st.integers(0, 30))))
def test_there_are_never_more_than_the_limits_let_in(moves: list[tuple[bool, str, int]]) -> None:
    lobby: Lobby[int] = Lobby(LobbyLimits(max_unregistered=6, max_unregistered_per_address=4))
    waiting: dict[int, str] = {}
    for enters, address, who in moves:
        if enters and who not in waiting:
            goes = lobby.enter(who, address)
            assert goes != who
            if goes is not None:
                del waiting[goes]
            waiting[who] = address
        elif not enters:
            assert lobby.leave(who) == (waiting.pop(who, None) is not None)
        assert len(lobby) == len(waiting) <= 6
        assert max(Counter(waiting.values()).values(), default=0) <= 4
        assert all(one in lobby for one in waiting)
    called = [lobby.call() for _ in waiting]
    assert sorted(called) == sorted(waiting)  # type: ignore[type-var]
    assert lobby.call() is None
