"""Whether a call that failed is sent once more, and when: a decision without I/O.

Waits are drawn by lot up to a bound that doubles (full jitter), so that many clients which fail together do not come
back together. What the edge says in Retry-After is the least wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from .call import Repeat
from .errors import ApiError, BackplaneError, EdgeUnreachable, EdgeUntrusted, RateLimited, ServerError

__all__ = ["RetryPolicy"]

PASSING = frozenset({502, 503, 504})
"""Statuses that say it may work later."""
WRONG_TOKENS = "too_many_attempts"
"""The code of a limit that more of the same makes no better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long. `RetryPolicy(attempts=1)` never tries again."""

    attempts: int = 4
    """How often a call is sent at the most."""
    delay: float = 0.2
    """Seconds; the bound of the first wait."""
    longest_delay: float = 5.0
    """Seconds; the bound of any wait that the edge says nothing about."""
    patience: float = 30.0
    """Seconds; a Retry-After beyond that is not waited for."""

    def wait(self, error: BackplaneError, *, repeat: Repeat, attempt: int, draw: float) -> float | None:
        """Return after how many seconds to try again, or None to give up.

        Args:
            error: what went wrong.
            repeat: when the call may be repeated.
            attempt: how often it was sent, from 1.
            draw: a random number from 0 to 1.
        """
        if attempt >= self.attempts or not _may_repeat(error, repeat):
            return None
        wait = draw * min(self.longest_delay, self.delay * 2.0 ** (attempt - 1))
        asked = error.retry_after if isinstance(error, ApiError) else None
        if asked is None:
            return wait
        return asked + wait if asked <= self.patience else None


def _may_repeat(error: BackplaneError, repeat: Repeat) -> bool:
    if isinstance(error, EdgeUntrusted):
        return False
    if isinstance(error, RateLimited):
        return error.code != WRONG_TOKENS
    if isinstance(error, EdgeUnreachable):
        return repeat is Repeat.SAFELY or not error.sent
    return isinstance(error, ServerError) and error.status in PASSING and repeat is Repeat.SAFELY
