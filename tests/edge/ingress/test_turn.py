"""Connections that are written to at the end of a turn, by one callback."""

from __future__ import annotations

import asyncio
from typing import Any

from edge.ingress.turn import Turn


class Flushed:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.count = 0

    def flush(self) -> None:
        self.count += 1
        if self.error is not None:
            raise self.error


def test_each_is_flushed_once_at_the_end_of_the_turn_and_again_only_if_it_asks() -> None:
    async def main() -> None:
        turn = Turn()
        first, second = Flushed(), Flushed()
        turn.flush_soon(first)
        turn.flush_soon(second)
        assert (first.count, second.count) == (0, 0)
        await asyncio.sleep(0)
        assert (first.count, second.count) == (1, 1)
        turn.flush_soon(second)
        await asyncio.sleep(0)
        assert (first.count, second.count) == (1, 2)

    asyncio.run(main())


def test_one_that_fails_keeps_no_other_from_being_flushed() -> None:
    async def main() -> None:
        failures: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        turn = Turn()
        broken, sound = Flushed(ValueError("no")), Flushed()
        turn.flush_soon(broken)
        turn.flush_soon(sound)
        await asyncio.sleep(0)
        assert sound.count == 1
        assert [str(failure["exception"]) for failure in failures] == ["no"]

    asyncio.run(main())
