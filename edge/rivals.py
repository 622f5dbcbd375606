"""Two processes with one agent id, which take it from each other.

The newer of two processes takes over, and the older is told to go and does. Once is a restart. But where something
starts each of them again, the one that was told to go comes back as the newer, and so on without end, and each time
requests are cut. When an id has been taken from a living process `FIGHT` times within `WINDOW`, it is contested: it
stays with whoever has it for `HOLD` seconds, and the others are told to come back later.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Rivals"]

FIGHT = 3
WINDOW = 300.0
HOLD = 60.0
MOST_KNOWN = 1000
"""Ids that are kept in mind."""


class Rivals:
    """Remembers who was pushed out, and when."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def took_over(self, agent_id: str, now: float) -> bool:
        """Note that a living process was pushed out; say whether the id is contested from now on."""
        times = self._times.pop(agent_id, None) or deque(maxlen=FIGHT)
        times.append(now)
        self._times[agent_id] = times
        if len(self._times) > MOST_KNOWN:
            del self._times[next(iter(self._times))]
        return self.contested(agent_id, now)

    def contested(self, agent_id: str, now: float) -> bool:
        """Say whether the id has to stay with whoever has it."""
        times = self._times.get(agent_id)
        if times is None or len(times) < FIGHT:
            return False
        return times[-1] - times[0] <= WINDOW and now - times[-1] < HOLD
