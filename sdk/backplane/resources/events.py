"""`client.events`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime

from ..call import Call
from ..calls.events import list_events
from ..calls.pages import AsyncSend, Send, iterate, iterate_async
from ..errors import BackplaneError
from ..models.events import Event, StreamedEvent
from ..retry import RetryPolicy
from ..stream import Follower

__all__ = ["AsyncEvents", "Events"]

FOLLOWING = RetryPolicy(attempts=10)
"""How often a stream is begun anew, in a row and without a byte."""


class Events:
    """What was changed, by whom; and what happens now."""

    def __init__(
        self, send: Send, stream: Callable[[Call[None]], AbstractContextManager[Iterator[bytes]]]
    ) -> None:
        self._send = send
        self._stream = stream

    def list(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[Event]:
        """Yield what was changed, the newest first.

        Args:
            kind: only what happened to a `route`, `policy`, `setting`, `join_token` or `api_token`.
            name: only what happened to things of this name.
            action: only `create`, `update`, `delete` or `revoke`.
            actor: only what this token did.
            since: only what happened then or later; with a time zone.
            until: only what happened before.
            page_size: how many are asked for at once.
        """
        query = {"kind": kind, "name": name, "action": action, "actor": actor, "limit": page_size}
        return iterate(self._send, list_events(query | {"since": _iso(since), "until": _iso(until)}))

    def follow(
        self, *, after: int | None = None, retry: RetryPolicy = FOLLOWING
    ) -> Generator[StreamedEvent, None, None]:
        """Yield what happens, without end; close the iterator to stop.

        A stream that breaks off is begun anew: changes that were missed come first then, what happened to instances
        meanwhile does not.

        Args:
            after: begin with the changes after this event.
            retry: when to give up.

        Raises:
            BackplaneError: it was given up.
        """
        follower = Follower(after=after, retry=retry)
        while True:
            error: BackplaneError | None = None
            try:
                with self._stream(follower.begin()) as chunks:
                    for chunk in chunks:
                        yield from follower.feed(chunk)
            except BackplaneError as caught:
                error = caught
            time.sleep(follower.wait(error, random.random()))  # noqa: S311


class AsyncEvents:
    """What was changed, by whom; and what happens now: see `Events`."""

    def __init__(
        self,
        send: AsyncSend,
        stream: Callable[[Call[None]], AbstractAsyncContextManager[AsyncIterator[bytes]]],
    ) -> None:
        self._send = send
        self._stream = stream

    def list(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        action: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[Event]:
        """Yield what was changed, the newest first: see `Events.list`."""
        query = {"kind": kind, "name": name, "action": action, "actor": actor, "limit": page_size}
        return iterate_async(self._send, list_events(query | {"since": _iso(since), "until": _iso(until)}))

    async def follow(
        self, *, after: int | None = None, retry: RetryPolicy = FOLLOWING
    ) -> AsyncGenerator[StreamedEvent, None]:
        """Yield what happens, without end: see `Events.follow`. Close it (`aclose`) to stop."""
        follower = Follower(after=after, retry=retry)
        while True:
            error: BackplaneError | None = None
            try:
                async with self._stream(follower.begin()) as chunks:
                    async for chunk in chunks:
                        for event in follower.feed(chunk):
                            yield event
            except BackplaneError as caught:
                error = caught
            await asyncio.sleep(follower.wait(error, random.random()))  # noqa: S311


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
