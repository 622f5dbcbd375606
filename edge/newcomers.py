"""Agents that a join token of limited use has not let in before: each is counted before it is answered.

Counting is the control process's business, since other edges count too. Meanwhile the registration waits, all tunnels
of one agent together, and not for long: without an answer the agent is told to come again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Newcomers"]

COUNT_TIMEOUT = 3.0
"""Seconds that a registration waits; the whole handshake has 5."""

Told = Callable[[str], None]
"""Called with why an agent was not counted, or an empty text."""


class Newcomers:
    """Those who wait."""

    def __init__(self, ask: Callable[[str, str], None]) -> None:
        """`ask` is called with the id of a token and that of an agent, which `counted` answers."""
        self._ask = ask
        self._waiting: dict[tuple[str, str], tuple[list[Told], asyncio.TimerHandle]] = {}

    def wait(self, token_id: str, agent_id: str, told: Told) -> None:
        """Have an agent counted; `told` is called once, later."""
        known = self._waiting.get((token_id, agent_id))
        if known is not None:
            known[0].append(told)
            return
        timer = asyncio.get_running_loop().call_later(
            COUNT_TIMEOUT, self.counted, token_id, agent_id, "unanswered"
        )
        self._waiting[token_id, agent_id] = [told], timer
        self._ask(token_id, agent_id)

    def counted(self, token_id: str, agent_id: str, refused: str) -> None:
        """An agent has been counted, or `refused` says why not."""
        known = self._waiting.pop((token_id, agent_id), None)
        if known is not None:
            known[1].cancel()
            for told in known[0]:
                told(refused)

    def close(self) -> None:
        """Wait for nothing any more; nobody is told."""
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
