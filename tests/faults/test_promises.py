"""What may fail is judged as promised: a check that cannot fail is none."""

from __future__ import annotations

from .load import KINDS, Kind, Trouble
from .site import Gauge
from .trial import DESCRIPTORS, FIRST_TIMES, MANY, MEMORY, Fault, Promise, Trial, broken_promises

CLIENTS = 8
BEGAN = 100.0
NOTICED = 100.5
POST = next(kind for kind in KINDS if not kind.safe)
GET = next(kind for kind in KINDS if kind.safe)


def fault(promise: Promise) -> Fault:
    return Fault("a fault", lambda site: None, promise)


def failures(*began: float, kind: Kind = POST, status: int = 502) -> list[Trouble]:
    return [Trouble(kind, one, one + 0.1, str(status), status) for one in began]


def broken(promise: Promise, failed: list[Trouble]) -> list[str]:
    return list(broken_promises(fault(promise), failed, noticed=NOTICED, clients=CLIENTS))


def test_one_failure_breaks_the_promise_of_none() -> None:
    assert broken(Promise.NOTHING, []) == []
    assert len(broken(Promise.NOTHING, failures(BEGAN))) == 1


def test_what_was_in_flight_may_fail_and_what_came_later_may_not() -> None:
    assert broken(Promise.IN_FLIGHT, failures(BEGAN - 1, BEGAN + 0.4)) == []
    [reason] = broken(Promise.IN_FLIGHT, failures(BEGAN, BEGAN + 0.6))
    assert "begun 0.100 s after it was noticed" in reason


def test_no_more_may_fail_than_there_are_clients() -> None:
    assert broken(Promise.IN_FLIGHT, failures(*[BEGAN] * CLIENTS)) == []
    assert broken(Promise.IN_FLIGHT, failures(*[BEGAN] * (CLIENTS + 1))) == ["9 failures of 8 clients"]


def test_a_get_may_be_cut_short_but_not_be_answered_with_an_error() -> None:
    assert broken(Promise.IN_FLIGHT, failures(BEGAN, kind=GET, status=0)) == []
    [reason] = broken(Promise.IN_FLIGHT, failures(BEGAN, kind=GET))
    assert "could have been tried again" in reason


def test_a_hung_app_may_cost_what_it_was_given_and_only_by_its_time() -> None:
    assert broken(Promise.HUNG, failures(*[BEGAN + 0.3] * 20, kind=GET, status=504)) == []
    assert len(broken(Promise.HUNG, failures(BEGAN + 0.3, status=502))) == 1
    assert len(broken(Promise.HUNG, failures(BEGAN + 0.6, status=504))) == 1
    assert len(broken(Promise.HUNG, failures(*[BEGAN] * 25, status=504))) == 1


def grown(*held: tuple[int, int], rounds: int) -> list[str]:
    account = Trial(fault(Promise.NOTHING), rounds)
    account.gauges = [{"edge": Gauge(1, *one)} for one in held]
    return list(account.leaks())


def test_a_program_may_take_its_usual_size_and_no_more() -> None:
    assert grown((20, 0), (30, MEMORY), (30, 2 * MEMORY), rounds=MANY) == []
    assert len(grown((20, 0), (20, 0), (20, MEMORY + 1), rounds=MANY)) == 1
    assert len(grown((20, 0), (20, 0), (21 + DESCRIPTORS, 0), rounds=MANY)) == 1


def test_one_round_says_little_of_memory_but_something() -> None:
    assert grown((20, 0), (20, 0), (20, MEMORY + 1), rounds=1) == []
    assert len(grown((20, 0), (20, 0), (20, FIRST_TIMES + 1), rounds=1)) == 1


def test_of_a_program_that_was_started_again_nothing_is_said() -> None:
    account = Trial(fault(Promise.NOTHING), MANY)
    account.gauges = [{"edge": Gauge(pid, 20, pid * 10**9)} for pid in (1, 2, 3)]
    assert list(account.leaks()) == []
