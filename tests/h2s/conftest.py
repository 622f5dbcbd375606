"""What driver tests share: both event loops, and someone to trust."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

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
