from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from h2s.window import MAX_WINDOW, WindowGrowth

START = 256 * 1024


def test_window_doubles_each_time_a_whole_one_has_passed() -> None:
    growth = WindowGrowth(START)
    assert growth.passed(START - 1) == 0
    assert growth.passed(1) == START
    assert growth.passed(START) == 0
    assert growth.passed(START) == 2 * START
    assert growth.window == 4 * START


def test_window_stops_at_its_maximum() -> None:
    growth = WindowGrowth(START)
    for _ in range(100):
        growth.passed(MAX_WINDOW)
    assert growth.window == MAX_WINDOW


def test_stalled_reader_ends_growth_for_good() -> None:
    growth = WindowGrowth(START)
    growth.stalled()
    assert [growth.passed(MAX_WINDOW) for _ in range(100)] == [0] * 100


@given(st.lists(st.integers(0, 2 * MAX_WINDOW), max_size=50))
def test_sum_of_what_is_granted_is_what_the_window_grew_by(sizes: list[int]) -> None:
    growth = WindowGrowth(START)
    assert START + sum(growth.passed(size) for size in sizes) == growth.window <= MAX_WINDOW
