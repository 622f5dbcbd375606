"""What endpoints work with: the database, who is asking, and the one way to change configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.database.models import ConfigState, EventRow
from app.state import EdgeState
from edge.explain import Explanation, Question
from edge.port import Load
from h2s.messages import ConfigVersion

from .credentials import Credentials, Principal
from .hub import Hub
from .problem import Unauthenticated

__all__ = ["CHANNEL", "Change", "Feed", "Management", "Work", "WorkOf"]

CHANNEL = "backplane_config"
"""PostgreSQL's channel for the edges of a fleet."""


class Feed(Protocol):
    """Carries configuration to the data planes."""

    async def advance(self, n: int) -> None:
        """Wait, within bounds, until version `n` is in effect here."""

    @property
    def database_error(self) -> str | None:
        """Why the configuration is not known to be the newest, if so."""


class PlaneQuestions(Protocol):
    """Answers what only a data plane knows."""

    @property
    def version(self) -> ConfigVersion | None:
        """What it serves from."""

    async def explain(self, question: Question) -> Explanation:
        """Say what would become of a request. Raises Unavailable."""

    async def load(self, *, agents: Iterable[str] = (), services: Iterable[str] = ()) -> Load:
        """Say what is in flight on agents and services. Raises Unavailable."""


@dataclass(slots=True, kw_only=True)
class Management:
    """What the management API of an edge is made of."""

    database: Database
    credentials: Credentials
    state: EdgeState
    feed: Feed
    planes: PlaneQuestions
    hub: Hub = field(default_factory=Hub)
    authority_der: bytes = b""
    """The CA's certificate, which join tokens carry."""
    edge_id: str = ""
    domain: str = "localhost"
    zone: str = ""


@dataclass(slots=True)
class Change:
    """A change of configuration that is being made."""

    session: AsyncSession
    n: int
    """The version that it makes."""
    now: datetime
    _common: dict[str, Any]
    _events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been changed."""
        return not self._events

    def record(self, action: str, kind: str, name: str, *, before: Any = None, after: Any = None) -> None:
        """Say what was changed: in the same transaction as the change itself. Secrets have no place in it."""
        self._events.append(
            {
                **self._common,
                "n": self.n,
                "time": self.now,
                "action": action,
                "kind": kind,
                "name": name,
                "before": before,
                "after": after,
            }
        )

    async def finish(self, state: ConfigState) -> None:
        """Write the events and raise the version."""
        if self._events:
            state.n = self.n
            await self.session.execute(insert(EventRow), self._events)


@dataclass(slots=True, frozen=True)
class Work:
    """One request's dealings with the database."""

    management: Management
    principal: Principal
    request_id: str

    def read(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Give a session to read in. Raises DatabaseUnavailable."""
        return self.management.database.read()

    @asynccontextmanager
    async def change(self, *, wait: bool = True) -> AsyncIterator[Change]:
        """Give a change; at the end of the block it is durable and, unless `wait` is False, as a rule in effect.

        If the block raises, nothing is changed. Raises DatabaseUnavailable.
        """
        management = self.management
        async with management.database.write() as session:
            state = (await session.execute(select(ConfigState).with_for_update())).scalar_one()
            common = {"actor": self.principal.id, "request_id": self.request_id, "edge": management.edge_id}
            change = Change(session, state.n + 1, datetime.now(UTC), common)
            yield change
            await change.finish(state)
            if not change.is_empty and not management.database.url.is_sqlite:
                await session.execute(text(f"SELECT pg_notify('{CHANNEL}', :n)"), {"n": str(change.n)})
        if wait and not change.is_empty:
            await management.feed.advance(change.n)


def management_of(request: Request) -> Management:
    """Return what the app was made with."""
    found: Management = request.app.state.management
    return found


def _work_of(request: Request, management: Annotated[Management, Depends(management_of)]) -> Work:
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise Unauthenticated("This needs a token.")
    return Work(management, principal, request.state.request_id)


WorkOf = Annotated[Work, Depends(_work_of)]
