"""How long to wait before dialling again: exponential backoff with full jitter.

See https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/: each wait is drawn uniformly from zero
to a bound that doubles, which spreads a thousand agents that lost an edge at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff", "ReconnectTimes"]


@dataclass(frozen=True, slots=True)
class ReconnectTimes:
    """How eagerly a lost tunnel is dialled again, in seconds."""

    delay: float = 0.5
    """Bound of the first wait; it doubles with each further one."""
    max_delay: float = 30.0
    """What the bound does not exceed."""
    stable: float = 5.0
    """How long a tunnel must have stood for its loss to be met like the first: an edge may be one that lets agents in
    and loses them at once."""


class Backoff:
    """The waits of one link. `reset` only when a tunnel has stood for a while, not when a connection stands."""

    def __init__(self, times: ReconnectTimes | None = None, *, random: Callable[[], float]) -> None:
        """Wait as `times` say; `random` returns floats in [0, 1)."""
        self._times = times or ReconnectTimes()
        self._random = random
        self._failures = 0

    def next(self, *, at_least: float = 0.0) -> float:
        """Return the seconds to wait before the next try; `at_least` is what the edge asked for."""
        bound = min(self._times.max_delay, self._times.delay * 2.0**self._failures)
        self._failures = min(self._failures + 1, 30)
        return at_least + self._random() * bound

    def reset(self) -> None:
        """Start over: the last try led to a tunnel that was of use."""
        self._failures = 0
