"""What is known of one upstream, and what follows from it. No I/O, and no clock: `now` is given, in seconds.

Two kinds of evidence change whether an upstream is healthy:

* Checks. `unhealthy` failed ones in a row take it down, `healthy` good ones bring it back; at the very start one good
  check is enough. A request that could not be connected counts as a failed check, and asks for one.
* Requests that ended badly though there was a connection. `passive` in a row take it down, unless nothing else is
  healthy: then they only ask for a check, since one upstream that fails some requests is better than none. What went
  down this way is left alone for `interval`, twice as long each time it comes soon again, for a check may well pass
  where requests fail.

Within `grace` of the start nothing takes down what has been healthy.
"""

from __future__ import annotations

import math

from h2s.messages import HealthCheck

__all__ = ["Standing"]

MAX_DOUBLINGS = 5
"""How often the time that an upstream is left alone is doubled."""


class Standing:
    """The judge of one upstream. What takes evidence returns whether `healthy` has changed."""

    __slots__ = (
        "_bad",
        "_check",
        "_checked_at",
        "_ever",
        "_good",
        "_grace_until",
        "_held_until",
        "_holds",
        "_requested",
        "healthy",
    )

    def __init__(self, check: HealthCheck, now: float) -> None:
        self.healthy = check.kind == "none"
        self._check = check
        self._grace_until = now + check.grace
        self._ever = False
        """It has been healthy."""
        self._good = 0
        self._bad = 0
        """Checks in a row."""
        self._checked_at = -math.inf
        self._requested = False
        self._held_until = -math.inf
        self._holds = 0
        """Times it was left alone, one soon after the other."""

    def configure(self, check: HealthCheck) -> bool:
        """Judge by other rules from now on; what was counted counts anew."""
        self._check = check
        self._good = self._bad = 0
        self._held_until = -math.inf
        self._requested = True
        return self._set(True) if check.kind == "none" else False

    @property
    def due(self) -> float:
        """When the next check is due: in the past for at once, infinity for never."""
        check = self._check
        if check.kind == "none":
            return math.inf
        if self._requested:
            return -math.inf
        wait = check.interval if self.healthy and not self._bad else min(check.retry, check.interval)
        return max(self._checked_at + wait, self._held_until)

    def checking(self) -> None:
        """A check begins: what asks for one from now on asks for another."""
        self._requested = False

    def checked(self, *, good: bool, now: float) -> bool:
        """Take the result of a check."""
        self._checked_at = now
        if self._check.kind == "none":
            return False
        if good:
            self._bad = 0
            self._good += 1
            enough = self._good >= self._check.healthy or not self._ever
            return enough and self._set(True)
        return self._on_bad(now)

    def unreachable(self, now: float) -> bool:
        """Take note of a request that could not be connected."""
        if self._check.kind == "none" or not self.healthy:
            return False
        changed = self._on_bad(now)
        self._requested = not changed
        if changed:
            self._checked_at = now
        return changed

    def failing(self, failures: int, now: float, *, last: bool) -> bool:
        """Take note of so many requests in a row that ended badly; `last`: no other upstream is healthy."""
        check = self._check
        if check.kind == "none" or not self.healthy or not check.passive or failures < check.passive:
            return False
        if last or now < self._grace_until:
            self._requested = True
            return False
        soon = now - self._held_until < 2 * check.interval
        self._holds = min(self._holds + 1, MAX_DOUBLINGS) if soon else 0
        self._held_until = now + check.interval * 2**self._holds
        return self._set(False)

    def _on_bad(self, now: float) -> bool:
        self._good = 0
        self._bad += 1
        if self._bad < self._check.unhealthy or now < self._grace_until:
            return False
        return self._set(False)

    def _set(self, healthy: bool) -> bool:
        changed = healthy != self.healthy
        self.healthy = healthy
        self._ever = self._ever or healthy
        if changed and not healthy:
            self._good = 0
        return changed
