from __future__ import annotations

from app.restarts import FIRST_DELAY, MOST_DELAY, STEADY, Restarts


def test_each_short_life_doubles_the_wait_up_to_a_bound() -> None:
    restarts = Restarts()
    delays = [restarts.delay_after(0.5) for _ in range(20)]
    assert delays[:4] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY, 8 * FIRST_DELAY]
    assert delays[-1] == MOST_DELAY
    assert delays == sorted(delays)


def test_after_a_long_life_the_next_comes_at_once() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.delay_after(1.0)
    assert restarts.delay_after(STEADY) == FIRST_DELAY
    assert restarts.delay_after(1.0) == 2 * FIRST_DELAY
