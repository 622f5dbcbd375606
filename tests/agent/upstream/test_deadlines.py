"""One timer for many deadlines."""

from __future__ import annotations

import asyncio

import pytest

from agent.upstream.deadlines import DeadlineQueue


def test_items_expire_in_the_order_in_which_they_were_added() -> None:
    async def run() -> None:
        expired: list[str] = []
        done = asyncio.Event()

        def on_expired(item: str) -> None:
            expired.append(item)
            if item == "last":
                done.set()

        queue = DeadlineQueue(0.01, on_expired)
        for item in ("first", "again", "gone", "last"):
            queue.add(item)
        queue.discard("gone")
        queue.add("again")
        queue.discard("last")
        queue.add("last")
        await asyncio.wait_for(done.wait(), 5)
        assert expired == ["first", "again", "last"]
        assert len(queue) == 0

    asyncio.run(run())


def test_newest_is_taken_first() -> None:
    async def run() -> None:
        queue = DeadlineQueue[str](60, lambda item: None)
        queue.add("old")
        queue.add("new")
        assert queue.pop_newest() == "new"
        assert queue.pop_newest() == "old"
        with pytest.raises(KeyError):
            queue.pop_newest()
        queue.close()

    asyncio.run(run())


def test_closed_queue_expires_nothing() -> None:
    async def run() -> None:
        expired: list[str] = []
        queue = DeadlineQueue(0.0, expired.append)
        queue.add("item")
        queue.close()
        other = asyncio.Event()
        sentinel = DeadlineQueue[str](0.0, lambda item: other.set())
        sentinel.add("later")
        await asyncio.wait_for(other.wait(), 5)
        assert expired == []

    asyncio.run(run())
