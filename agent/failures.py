"""The last warnings and errors of the log, for whoever inspects the agent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from h2s.messages import Failure

__all__ = ["Failures"]

KEPT = 20
"""Lines that are kept."""
MAX_TEXT = 256
"""Characters of a line."""
LEVELS = ("warning", "error", "critical")
APART = ("event", "level", "time", "exc_info", "exception", "stack_info")
"""What is not one of a line's own fields."""


class Failures:
    """Keeps the last few lines that say that something is wrong."""

    def __init__(self) -> None:
        self._lines: deque[Failure] = deque(maxlen=KEPT)

    def __call__(self) -> Sequence[Failure]:
        """Return them, oldest first."""
        return tuple(self._lines)

    def note(self, line: Mapping[str, object]) -> None:
        """See a line of the log, and keep it if it is of that kind."""
        level = str(line.get("level", ""))
        if level in LEVELS:
            words = [str(line.get("event", ""))]
            words += [f"{name}={value}" for name, value in line.items() if name not in APART]
            self._lines.append(Failure(at=time.time(), level=level, text=" ".join(words)[:MAX_TEXT]))
