"""What a peer may cost this side beyond the work that it is here for (`Limits`; see `session`, Floods).

An `Allowance` is a token bucket without a clock: where no time passes, its burst is all there is. `Conduct` keeps the
accounts of one connection. Its methods raise when an account is overdrawn, which ends the connection.
"""

from __future__ import annotations

import math

from ..errors import ErrorCode, RemoteProtocolError
from .figures import OVERHEAD_UNIT
from .session import EARNED, Limits, Rate

__all__ = ["Allowance", "Conduct"]


class Allowance:
    """What is left of a `Rate`; without a rate there is no end to it."""

    __slots__ = ("_burst", "_left", "_per_second", "_taken_at")

    def __init__(self, rate: Rate | None) -> None:
        self._burst = math.inf if rate is None else float(rate.burst)
        self._per_second = 0.0 if rate is None else rate.per_second
        self._left = self._burst
        self._taken_at = 0.0

    def take(self, cost: int, now: float) -> bool:
        """Take `cost` at time `now` in seconds; False if that is more than is left."""
        if now > self._taken_at:
            self._left = min(self._burst, self._left + (now - self._taken_at) * self._per_second)
            self._taken_at = now
        self._left -= cost
        return self._left >= 0

    def earn(self, gain: int) -> None:
        """Give some back for work that was of use."""
        if self._left < self._burst:
            self._left = min(self._burst, self._left + gain)


class Conduct:
    """The accounts of one peer."""

    __slots__ = ("_max_replies", "_overhead", "_replies", "_resets", "now")

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        """The time at which the frames that are counted came, in seconds."""
        self._overhead = Allowance(limits.overhead)
        self._resets = Allowance(limits.resets)
        self._max_replies = limits.max_replies
        self._replies = 0

    def useful(self) -> None:
        """Count a frame that was of use."""
        self._overhead.earn(EARNED)

    def overhead(self, size: int = 0) -> None:
        """Count a frame that was of none, with `size` bytes of payload."""
        if not self._overhead.take(1 + size // OVERHEAD_UNIT, self.now):
            raise RemoteProtocolError("too many frames without use", ErrorCode.ENHANCE_YOUR_CALM)

    def reset(self, cost: int = 1) -> None:
        """Count a stream that the peer has cancelled, or made us reset."""
        if not self._resets.take(cost, self.now):
            raise RemoteProtocolError("too many streams reset", ErrorCode.ENHANCE_YOUR_CALM)

    def reply(self) -> None:
        """Count a frame that the peer has made us write; it has to read that some time."""
        self._replies += 1
        if self._replies > self._max_replies:
            raise RemoteProtocolError("too many replies that are not read", ErrorCode.ENHANCE_YOUR_CALM)

    def replies_left(self) -> None:
        """All replies have been given to the socket."""
        self._replies = 0
