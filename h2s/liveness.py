"""Finding a dead peer: any byte is life, silence asks for a PING, unanswered PINGs mean death.

A plain state machine: it is told when bytes arrived, and says at which moment it wants to be asked again. With the
defaults a peer is asked after 25 s of silence (jittered by the caller, so that ten thousand tunnels do not ask at
once) and given up after two unanswered PINGs of 10 s each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["AGENT_JITTER", "EDGE_JITTER", "Liveness", "LivenessTimes", "Verdict"]

EDGE_JITTER = (0.8, 0.9)
AGENT_JITTER = (0.9, 0.99)
"""The range of the jitter of either side. Edges ask first: one with many agents asks many of them in one go, where each
of these would ask at a moment of its own."""


class Verdict(Enum):
    """What to do now."""

    WAIT = "wait"
    PING = "ping"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessTimes:
    """How long silence is taken for life, in seconds."""

    idle: float = 25.0
    """Silence before the first PING."""
    timeout: float = 10.0
    """How long each PING may stay unanswered."""
    attempts: int = 2
    """PINGs without an answer before the peer is dead."""

    @property
    def worst_case(self) -> float:
        """Seconds from the last byte to the verdict."""
        return self.idle + self.timeout * self.attempts


class Liveness:
    """Watches one connection. All times are seconds of one monotonic clock."""

    def __init__(self, times: LivenessTimes, *, now: float, jitter: float = 1.0) -> None:
        """Start watching; `jitter` (`EDGE_JITTER`, `AGENT_JITTER`) scales the idle time of this connection."""
        self._times = times
        self._idle = times.idle * jitter
        self._heard = now
        self._sent: float | None = None
        self._unanswered = 0
        self._counter = 0
        self.round_trip: float | None = None
        """Seconds the last answered PING took."""

    @property
    def deadline(self) -> float:
        """When to call `check` next."""
        if self._sent is None:
            return self._heard + self._idle
        return self._sent + self._times.timeout

    @property
    def payload(self) -> bytes:
        """The eight bytes of the PING that is due."""
        return self._counter.to_bytes(8, "big")

    def heard(self, now: float) -> None:
        """Bytes arrived at `now`; older news changes nothing."""
        if now > self._heard:
            self._heard = now
        if self._sent is not None and self._heard > self._sent:
            self._sent = None
            self._unanswered = 0

    def acked(self, payload: bytes, now: float) -> None:
        """A PING was answered; only the answer to the last one measures the round trip."""
        if self._sent is not None and payload == self.payload:
            self.round_trip = now - self._sent
            # On a coarse clock the answer may bear the time of the question, which `heard` takes for older news.
            self._sent = None
            self._unanswered = 0
        self.heard(now)

    def check(self, now: float) -> Verdict:
        """Say what is to be done at `now`. After PING, send one with `payload`."""
        if now < self.deadline:
            return Verdict.WAIT
        if self._sent is not None and self._unanswered >= self._times.attempts:
            return Verdict.DEAD
        self._unanswered += 1
        self._counter += 1
        self._sent = now
        return Verdict.PING
