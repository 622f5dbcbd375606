from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from app import renewal
from app.identity import DataDirectory, Identity
from app.renewal import keep_certificate

START = datetime.now(UTC)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again and again."""
    monkeypatch.setattr(renewal, "INTERVAL", 0.001)


async def looks(data: DataDirectory, days: list[int], before_look: dict[int, Path] | None = None) -> int:
    """Look once on each of these days; return how often the certificate was renewed."""
    identity = Identity.load_or_create(data, now=START)
    renewed = 0
    left = list(days)
    over = asyncio.Event()

    def now() -> datetime:
        if not left:
            over.set()
            return START
        day = left.pop(0)
        if before_look and day in before_look:
            before_look[day].unlink()
        return START + timedelta(days=day)

    def on_renewed() -> None:
        nonlocal renewed
        renewed += 1

    task = asyncio.create_task(keep_certificate(identity, data, None, on_renewed=on_renewed, now=now))
    await asyncio.wait_for(over.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return renewed


def test_a_certificate_is_renewed_once_each_time_it_comes_to_its_end(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path / "data") as data, structlog.testing.capture_logs() as lines:
        assert asyncio.run(looks(data, [0, 30, 59, 60, 61, 100, 119, 120, 121])) == 2
    assert [line["event"] for line in lines] == ["the edge's certificate is renewed"] * 2
    assert lines[0]["expires"] == (START + timedelta(days=150)).replace(microsecond=0).isoformat()


def test_what_fails_is_logged_and_tried_again(tmp_path: Path) -> None:
    with DataDirectory.open(tmp_path / "data") as data, structlog.testing.capture_logs() as lines:
        assert asyncio.run(looks(data, [60, 61], {60: data.file("ca.key")})) == 0
    assert len(lines) == 2
    assert all(line["log_level"] == "error" and "ca.key is missing" in line["reason"] for line in lines)
