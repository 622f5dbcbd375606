"""Counts the agents that join tokens of limited use let in: a row for each new agent, whichever edge it came to.

Agents come in crowds, and each change is a version of the configuration: those that come while one is made are
counted together in the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import structlog
from sqlalchemy import func, select

from edge.port import AgentCounted, NewAgent, PortMessage

from .database import DatabaseUnavailable
from .database.models import JoinTokenRow, JoinTokenUse
from .management.context import Change, Work

__all__ = ["TokenUses"]

log: Any = structlog.get_logger("tokens")

MAX_WAITING = 10_000
"""Agents that wait to be counted; those beyond are told to come again."""
BATCH = 500

Key = tuple[str, str]
"""The id of a token and that of an agent."""


class TokenUses:
    """Answers NewAgent with AgentCounted."""

    def __init__(self, work: Work, send: Callable[[PortMessage], None]) -> None:
        """`work` is that of the edge itself."""
        self._work = work
        self._send = send
        self._waiting: dict[Key, None] = {}
        self._task: asyncio.Task[None] | None = None

    def on_notice(self, notice: NewAgent) -> None:
        """Take an agent that is to be counted."""
        key = notice.token_id, notice.agent_id
        if len(self._waiting) >= MAX_WAITING:
            self._tell(key, "too_many")
            return
        self._waiting[key] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="token uses")

    async def close(self) -> None:
        """Count no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            keys = list(self._waiting)[:BATCH]
            for key in keys:
                del self._waiting[key]
            try:
                async with self._work.change() as change:
                    refused = await count(change, keys)
            except DatabaseUnavailable as error:
                log.warning("agents cannot be counted", agents=len(keys), reason=error.reason)
                refused = dict.fromkeys(keys, "database_unavailable")
            except Exception:
                log.exception("agents could not be counted")
                refused = dict.fromkeys(keys, "internal")
            for key in keys:
                self._tell(key, refused.get(key, ""))

    def _tell(self, key: Key, refused: str) -> None:
        self._send(AgentCounted(token_id=key[0], agent_id=key[1], refused=refused))


async def count(change: Change, keys: Collection[Key]) -> dict[Key, str]:
    """Count agents in a change; return those that are not let in, and why."""
    refused: dict[Key, str] = {}
    session = change.session
    for key in keys:
        token_id, agent_id = key
        token = await session.get(JoinTokenRow, token_id)
        if token is None or token.revoked is not None:
            refused[key] = "token_unknown"
            continue
        if token.max_agents is None or await session.get(JoinTokenUse, key) is not None:
            continue
        query = select(func.count()).select_from(JoinTokenUse).where(JoinTokenUse.token == token_id)
        if (await session.scalar(query) or 0) >= token.max_agents:
            refused[key] = "token_used_up"
            continue
        session.add(JoinTokenUse(token=token_id, agent=agent_id, since=change.now))
        await session.flush()
        change.record("use", "join_token", token_id, after={"agent": agent_id})
    return refused
