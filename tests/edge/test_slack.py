from __future__ import annotations

import asyncio

import pytest

from edge import slack
from edge.slack import MANY, Slack


async def turns() -> None:
    """Let a timer that is due ring."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
def given_back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often memory was given back, as a list that grows."""
    times: list[int] = []
    monkeypatch.setattr(slack, "MOMENT", 0.0)
    monkeypatch.setattr(slack, "give_back", lambda: times.append(1))
    return times


@pytest.mark.parametrize(("lost", "times"), [(1, 0), (MANY - 1, 0), (MANY, 1), (10 * MANY, 1)])
def test_memory_is_given_back_once_where_many_are_lost_together(
    given_back: list[int], lost: int, times: int
) -> None:
    async def main() -> None:
        counted = Slack()
        for _ in range(lost):
            counted.lost()
        await turns()

    asyncio.run(main())
    assert len(given_back) == times


def test_those_that_are_lost_one_after_another_are_no_crowd(given_back: list[int]) -> None:
    async def main() -> None:
        counted = Slack()
        for _ in range(2 * MANY):
            counted.lost()
            await turns()

    asyncio.run(main())
    assert given_back == []


def test_giving_back_does_no_harm() -> None:
    slack.give_back()
