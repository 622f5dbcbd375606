"""How an upstream is judged by what is seen of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.health.standing import Standing
from h2s.messages import HealthCheck


def standing(*, up: bool = True, **rules: object) -> Standing:
    """Make one at time 0, which a good check has found healthy."""
    made = Standing(HealthCheck.model_validate(rules), 0.0)
    if up:
        assert made.checked(good=True, now=0.0)
    return made


def test_nothing_is_healthy_before_it_was_checked_and_that_is_due_at_once() -> None:
    judge = standing(up=False)
    assert not judge.healthy
    assert judge.due == -math.inf


def test_one_good_check_is_enough_at_the_start_whatever_is_asked_for_later() -> None:
    judge = standing(healthy=3)
    assert judge.healthy


def test_failed_checks_in_a_row_take_it_down() -> None:
    judge = standing(unhealthy=3)
    assert not judge.checked(good=False, now=1.0)
    assert not judge.checked(good=False, now=2.0)
    assert not judge.checked(good=True, now=3.0)
    assert [judge.checked(good=False, now=now) for now in (4.0, 5.0, 6.0)] == [False, False, True]
    assert not judge.healthy


def test_good_checks_in_a_row_bring_it_back() -> None:
    judge = standing(unhealthy=1, healthy=2)
    assert judge.checked(good=False, now=1.0)
    assert not judge.checked(good=True, now=2.0)
    assert not judge.checked(good=False, now=3.0)
    assert [judge.checked(good=True, now=now) for now in (4.0, 5.0)] == [False, True]


def test_checks_are_closer_together_while_something_is_wrong() -> None:
    judge = standing(interval=10, retry=1, unhealthy=2)
    assert judge.due == 10.0
    judge.checked(good=False, now=10.0)
    assert judge.due == 11.0
    judge.checked(good=False, now=11.0)
    assert judge.due == 12.0
    judge.checked(good=True, now=12.0)
    assert judge.due == 22.0


def test_retry_is_never_longer_than_the_interval() -> None:
    judge = standing(up=False, interval=0.5, retry=5)
    judge.checked(good=False, now=0.0)
    assert judge.due == 0.5


def test_request_that_could_not_be_connected_counts_as_a_failed_check_and_asks_for_one() -> None:
    judge = standing(unhealthy=2)
    assert not judge.unreachable(1.0)
    assert judge.due == -math.inf
    judge.checking()
    assert judge.checked(good=False, now=1.0)
    assert not judge.healthy


def test_check_that_is_asked_for_while_one_runs_is_another() -> None:
    judge = standing(passive=1)
    judge.checking()
    judge.failing(1, 1.0, last=True)
    judge.checked(good=True, now=1.0)
    assert judge.due == -math.inf


def test_requests_that_cannot_be_connected_take_it_down_before_a_check_does() -> None:
    judge = standing(unhealthy=2)
    assert [judge.unreachable(1.0), judge.unreachable(1.0)] == [False, True]
    assert judge.due == 2.0


def test_what_is_down_cannot_fall_further() -> None:
    judge = standing(unhealthy=1)
    judge.checked(good=False, now=1.0)
    assert not judge.unreachable(1.5)
    assert not judge.failing(100, 1.5, last=False)
    assert judge.due == 2.0


def test_requests_that_fail_in_a_row_take_it_down_and_it_is_left_alone_for_a_while() -> None:
    judge = standing(passive=3, interval=10)
    assert not judge.failing(2, 1.0, last=False)
    assert judge.failing(3, 1.0, last=False)
    assert judge.due == 11.0
    assert judge.checked(good=True, now=11.0)
    assert judge.due == 21.0


def test_it_is_left_alone_twice_as_long_each_time_it_comes_soon_again() -> None:
    judge = standing(passive=3, interval=10)
    now, waits = 1.0, []
    for _ in range(8):
        judge.failing(3, now, last=False)
        waits.append(judge.due - now)
        now = judge.due
        judge.checked(good=True, now=now)
    assert waits == [10, 20, 40, 80, 160, 320, 320, 320]
    now += 100.0
    judge.failing(3, now, last=False)
    assert judge.due - now == 10


def test_the_last_healthy_one_is_checked_at_once_instead() -> None:
    judge = standing(passive=3)
    assert not judge.failing(3, 1.0, last=True)
    assert judge.healthy
    assert judge.due == -math.inf


def test_requests_that_fail_do_not_count_where_that_is_switched_off() -> None:
    judge = standing(passive=0)
    assert not judge.failing(1000, 1.0, last=False)
    assert judge.due == 10.0


def test_nothing_takes_it_down_within_the_grace() -> None:
    judge = standing(grace=30, unhealthy=1, passive=1)
    assert not judge.checked(good=False, now=29.0)
    assert not judge.unreachable(29.0)
    assert not judge.failing(9, 29.0, last=False)
    assert judge.healthy
    assert judge.checked(good=False, now=30.0)


def test_without_checks_it_is_always_healthy() -> None:
    judge = standing(up=False, kind="none")
    assert judge.healthy
    assert judge.due == math.inf
    assert not judge.checked(good=False, now=1.0)
    assert not judge.unreachable(1.0)
    assert not judge.failing(9, 1.0, last=False)


def test_other_rules_hold_at_once() -> None:
    judge = standing(unhealthy=3)
    judge.checked(good=False, now=1.0)
    assert not judge.configure(HealthCheck(unhealthy=1))
    assert judge.due == -math.inf
    assert judge.checked(good=False, now=2.0)
    assert judge.configure(HealthCheck(kind="none"))
    assert judge.healthy
    assert not judge.configure(HealthCheck())
    assert judge.healthy


SEEN = st.sampled_from(["good", "bad", "unreachable", "failing", "last"])


@given(
    seen=st.lists(st.tuples(SEEN, st.floats(0, 20)), max_size=60),
    healthy=st.integers(1, 4),
    unhealthy=st.integers(1, 4),
    passive=st.integers(0, 4),
    grace=st.sampled_from([0.0, 15.0]),
)
@pytest.mark.parametrize("interval", [0.5, 10.0])
def test_whatever_is_seen_good_checks_bring_it_back_and_changes_are_told(
    interval: float,
    seen: list[tuple[str, float]],
    healthy: int,
    unhealthy: int,
    passive: int,
    grace: float,
) -> None:
    judge = standing(
        up=False, interval=interval, healthy=healthy, unhealthy=unhealthy, passive=passive, grace=grace
    )
    now, was = 0.0, False
    for what, after in seen:
        now += after
        match what:
            case "good" | "bad":
                changed = judge.checked(good=what == "good", now=now)
            case "unreachable":
                changed = judge.unreachable(now)
            case _:
                changed = judge.failing(passive, now, last=what == "last")
        assert changed == (judge.healthy != was)
        was = judge.healthy
        assert judge.due <= now + interval * 2**5
    for _ in range(healthy):
        judge.checked(good=True, now=now)
    assert judge.healthy
