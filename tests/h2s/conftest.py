"""What driver tests share: both event loops, and someone to trust."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import h2s.tunnel

from .loops import LOOPS, run_in
from .trust import Trust

Drive = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=LOOPS)
def drive(request: pytest.FixtureRequest) -> Drive:
    """Run a coroutine function on asyncio's own loop and on uvloop, and see that nothing is left."""
    return partial(run_in, LOOPS[request.param])


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """A CA and what it signs."""
    return Trust(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the deadline of handshakes one that a test can wait for."""
    monkeypatch.setattr(h2s.tunnel, "HANDSHAKE_TIMEOUT", 0.2)
    monkeypatch.setattr(h2s.tunnel, "CLOSE_TIMEOUT", 0.1)
