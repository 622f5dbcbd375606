"""Agents whose last tunnel has broken and who are expected back.

A link that flaps should not make the count of instances jump, so that what hangs on the count (an autoscaler, an alarm)
does not jump with it. For a moment (the grace) such an agent is counted as *reconnecting*. It gets no requests, and
who comes with its id finds it free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instance import Agent

__all__ = ["Absences"]


class Absences:
    """Those that are waited for, in the order in which their time is over."""

    def __init__(self, grace: float) -> None:
        """Wait for each for `grace` seconds; 0: for none."""
        self.grace = grace
        self._until: dict[Agent, float] = {}

    @property
    def due(self) -> float | None:
        """When the next one's time is over."""
        return next(iter(self._until.values()), None)

    def begin(self, agent: Agent, now: float) -> None:
        """Wait for an agent. One that is waited for already gets no more time."""
        self._until.setdefault(agent, now + self.grace)

    def end(self, agent: Agent) -> None:
        """Wait no more: it is back, or another one has its place."""
        self._until.pop(agent, None)

    def over(self, now: float) -> list[Agent]:
        """Return those whose time is over by `now`, and forget them."""
        found = []
        for agent, until in self._until.items():
            if until > now:
                break
            found.append(agent)
        for agent in found:
            del self._until[agent]
        return found
