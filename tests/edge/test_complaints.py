from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge import complaints
from edge.complaints import IN_FULL, Complaints

from .agents import eventually


class Log:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


def test_the_first_few_are_written_as_they_come() -> None:
    async def run() -> None:
        log = Log()
        told = Complaints(log, "info", "no")
        for number in range(IN_FULL):
            told.tell(peer=number)
        told.close()
        assert log.lines == [("no", {"peer": number}) for number in range(IN_FULL)]

    asyncio.run(run())


def test_the_rest_of_an_interval_is_one_line_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "INTERVAL", 0.05)

    async def run() -> None:
        log = Log()
        told = Complaints(log, "info", "no")
        for number in range(1000):
            told.tell(peer=number)
        assert len(log.lines) == IN_FULL
        await eventually(lambda: len(log.lines) > IN_FULL, "the summary")
        assert log.lines[IN_FULL:] == [("no", {"more": 1000 - IN_FULL, "peer": 999})]
        told.close()

    asyncio.run(run())


def test_what_goes_on_is_only_summed_up_until_an_interval_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "INTERVAL", 0.05)

    async def run() -> None:
        log = Log()
        told = Complaints(log, "info", "no")
        for _ in range(IN_FULL + 1):
            told.tell()
        await eventually(lambda: len(log.lines) == IN_FULL + 1, "the first summary")
        told.tell(peer="late")
        assert len(log.lines) == IN_FULL + 1
        await eventually(lambda: log.lines[-1] == ("no", {"more": 1, "peer": "late"}), "the second summary")
        await eventually(lambda: told._timer is None, "a quiet interval")
        told.tell(peer="new")
        assert log.lines[-1] == ("no", {"peer": "new"})
        told.close()

    asyncio.run(run())


def test_what_was_only_counted_is_written_at_the_end() -> None:
    async def run() -> None:
        log = Log()
        told = Complaints(log, "info", "no")
        for _ in range(IN_FULL + 2):
            told.tell()
        told.close()
        assert log.lines[-1] == ("no", {"more": 2})

    asyncio.run(run())
