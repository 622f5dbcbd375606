"""How long an agent waits before it dials again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from agent.backoff import Backoff, ReconnectTimes

fractions = st.floats(0, 1, exclude_max=True)


def longest(tries: int) -> list[float]:
    """Return the waits when each is the longest it can be."""
    backoff = Backoff(random=lambda: 1.0)
    return [backoff.next() for _ in range(tries)]


def test_the_bound_doubles_up_to_the_cap() -> None:
    assert longest(9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_bounds_are_as_eager_as_was_asked() -> None:
    backoff = Backoff(ReconnectTimes(delay=0.1, max_delay=0.3), random=lambda: 1.0)
    assert [backoff.next() for _ in range(4)] == [0.1, 0.2, 0.3, 0.3]


def test_the_bound_holds_for_ever() -> None:
    assert longest(10_000)[-1] == 30


def test_a_wait_may_be_nothing_at_all() -> None:
    assert Backoff(random=lambda: 0.0).next() == 0.0


@given(draws=st.lists(fractions, min_size=1, max_size=50), at_least=st.floats(0, 86_400))
def test_a_wait_lies_between_what_was_asked_and_the_bound_above_it(
    draws: list[float], at_least: float
) -> None:
    backoff = Backoff(random=iter(draws).__next__)
    for tries in range(len(draws)):
        wait = backoff.next(at_least=at_least)
        assert at_least <= wait <= at_least + min(30.0, 0.5 * 2**tries)


@given(tries=st.integers(0, 100))
def test_a_reset_starts_over(tries: int) -> None:
    backoff = Backoff(random=lambda: 1.0)
    for _ in range(tries):
        backoff.next()
    backoff.reset()
    assert [backoff.next() for _ in range(3)] == [0.5, 1, 2]


def test_a_thousand_agents_that_were_asked_to_wait_do_not_come_back_at_once() -> None:
    source = random.Random(1)
    waits = [Backoff(random=source.random).next(at_least=5.0) for _ in range(1000)]
    tenths = [int((wait - 5.0) * 20) for wait in waits]
    assert min(waits) >= 5.0
    assert all(50 < tenths.count(tenth) < 200 for tenth in range(10))
