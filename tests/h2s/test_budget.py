from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from h2s.budget import Budget


class Holder:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.held = 0
        self.sheds = 0

    def hold(self, size: int) -> None:
        self.held = size
        self.budget.update(self, size)

    def shed(self) -> None:
        self.sheds += 1
        self.hold(0)


def test_the_largest_goes_first_and_only_as_many_as_needed() -> None:
    budget = Budget(100)
    small, large, new = (Holder(budget) for _ in range(3))
    small.hold(20)
    large.hold(60)
    new.hold(40)
    assert [holder.sheds for holder in (small, large, new)] == [0, 1, 0]
    assert (budget.total, budget.shed_count) == (60, 1)


def test_one_that_is_too_large_by_itself_goes() -> None:
    budget = Budget(100)
    holder = Holder(budget)
    holder.hold(101)
    assert (holder.sheds, budget.total) == (1, 0)


def test_shedding_thousands_does_not_recurse() -> None:
    budget = Budget(1 << 30)
    holders = [Holder(budget) for _ in range(3000)]
    for holder in holders:
        holder.hold(2)
    budget.limit = 1
    holders[0].hold(3)
    assert budget.total == 0


def test_a_holder_that_lets_go_of_nothing_is_forgotten_rather_than_asked_forever() -> None:
    class Stubborn(Holder):
        def shed(self) -> None:
            self.sheds += 1

    budget = Budget(10)
    stubborn = Stubborn(budget)
    stubborn.hold(11)
    assert (stubborn.sheds, budget.total) == (1, 0)


def test_windows_may_grow_up_to_half_of_the_limit() -> None:
    budget = Budget(100)
    holder = Holder(budget)
    holder.hold(49)
    assert budget.has_room
    holder.hold(50)
    assert not budget.has_room


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60))))
def test_the_total_is_what_is_held_and_never_above_the_limit(steps: list[tuple[int, int]]) -> None:
    budget = Budget(100)
    holders = [Holder(budget) for _ in range(6)]
    for index, size in steps:
        holders[index].hold(size)
        assert budget.total == sum(holder.held for holder in holders) <= 100
