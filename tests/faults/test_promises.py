from __future__ import annotations

from .faults import Fault, Promise, broken_promises
from .load import KINDS, Trouble

CLIENTS = 8
BEGAN = 100.0


def fault(promise: Promise) -> Fault:
    return Fault("a fault", lambda site: None, promise, reaction=0.5)


def failures(*began: float) -> list[Trouble]:
    return [Trouble(KINDS[0], one, one + 0.1, "500") for one in began]


def broken(promise: Promise, *began: float) -> list[str]:
    return list(broken_promises(fault(promise), failures(*began), began=BEGAN, clients=CLIENTS))


def test_one_failure_breaks_the_promise_of_none() -> None:
    assert broken(Promise.NOTHING) == []
    assert len(broken(Promise.NOTHING, BEGAN)) == 1


def test_what_was_in_flight_may_fail_and_what_came_later_may_not() -> None:
    assert broken(Promise.IN_FLIGHT, BEGAN - 1, BEGAN + 0.4) == []
    [reason] = broken(Promise.IN_FLIGHT, BEGAN, BEGAN + 0.6)
    assert "begun late" in reason


def test_no_more_may_fail_than_there_are_clients() -> None:
    assert broken(Promise.IN_FLIGHT, *[BEGAN] * CLIENTS) == []
    assert broken(Promise.IN_FLIGHT, *[BEGAN] * (CLIENTS + 1)) == ["9 failures of 8 clients"]


def test_a_hung_app_may_cost_what_it_was_given() -> None:
    assert broken(Promise.HUNG, *[BEGAN + 1] * 20) == []
