"""How long to wait before dialling again: exponential backoff with full jitter.

See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/: each wait is drawn uniformly from zero
to a bound that doubles, which spreads a thousand agents that lost an edge at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """The waits of one link. `reset` only when a tunnel has stood for a while, not when a connection stands."""

    def __init__(self, *, base: float = 0.5, cap: float = 30.0, random: Callable[[], float]) -> None:
        """Start at `base` seconds and never wait longer than `cap`; `random` returns floats in [0, 1)."""
        self._base = base
        self._cap = cap
        self._random = random
        self._failures = 0

    def next(self, *, at_least: float = 0.0) -> float:
        """Return the seconds to wait before the next try; `at_least` is what the edge asked for."""
        bound = min(self._cap, self._base * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        return at_least + self._random() * bound

    def reset(self) -> None:
        """Start over: the last try led to a tunnel that was of use."""
        self._failures = 0
