"""The stream of events: what was missed first, then what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from app.database.models import EventRow
from app.management.context import Work
from app.management.hub import Told
from app.management.pages import Paging

from .repository import EventRepository
from .schemas import Event

__all__ = ["EventService", "view"]

HEARTBEAT = 15.0
"""Seconds of silence after which a listener gets a sign of life."""
MAX_MISSED = 1000
"""Events that are told again after a break."""


def view(row: EventRow) -> Event:
    """Return an event as the API shows it."""
    return Event(
        id=row.id,
        version=row.n,
        time=row.time,
        actor=row.actor,
        action=row.action,
        kind=row.kind,
        name=row.name,
        before=row.before,
        after=row.after,
        request_id=row.request_id,
        edge=row.edge,
    )


def told(row: EventRow) -> Told:
    """Return an event as the hub spreads it."""
    return Told("audit", view(row).model_dump(mode="json"), row.id)


class EventService:
    """Events."""

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    async def list(
        self,
        paging: Paging,
        *,
        equal: dict[str, str | None],
        since: datetime | None,
        until: datetime | None,
    ) -> tuple[list[EventRow], EventRow | None]:
        """Return a page of events, the newest first, and the last one if another page follows."""
        conditions = [getattr(EventRow, name) == value for name, value in equal.items() if value is not None]
        if since is not None:
            conditions.append(EventRow.time >= since)
        if until is not None:
            conditions.append(EventRow.time < until)
        async with self.work.read() as session:
            rows = await EventRepository(session).newest(paging.after_number, paging.limit + 1, *conditions)
        return paging.split(rows)

    async def missed(self, after: int) -> Sequence[EventRow]:
        """Return what was changed after an event."""
        async with self.work.read() as session:
            return await EventRepository(session).since(after, MAX_MISSED)

    @property
    def _may_listen(self) -> bool:
        """Whether the token is still good: a stream may go on for longer than its token."""
        work = self.work
        return work.management.credentials.is_good(work.principal.id, datetime.now(UTC))

    async def follow(self, after: int | None) -> AsyncIterator[bytes]:
        """Begin a stream, and return what it is made of. Raises Unavailable and DatabaseUnavailable.

        What keeps a stream from beginning is known before anything of it is returned, so that the answer can say it.
        """
        stream = self.stream(after)
        return _from(await anext(stream), stream)

    async def stream(self, after: int | None) -> AsyncGenerator[bytes, None]:
        """Yield server-sent events: those after `after`, if it is given, and then what happens."""
        with self.work.management.hub.listen(self.work.principal.id) as listener:
            missed = [] if after is None else await self.missed(after)
            yield b": welcome\n\n"
            last = after or 0
            for row in missed:
                last = row.id
                yield _encode(told(row))
            while not (listener.lost and listener.queue.empty()):
                if not self._may_listen:
                    return
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        one = await listener.queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if one is None or not self._may_listen:
                    return
                if one.id is None or one.id > last:
                    yield _encode(one)
            yield _encode(Told("lost", {}))


async def _from(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for part in rest:
            yield part


def _encode(one: Told) -> bytes:
    number = "" if one.id is None else f"id: {one.id}\n"
    data: Any = json.dumps(one.data, separators=(",", ":"))
    return f"{number}event: {one.kind}\ndata: {data}\n\n".encode()
