"""Lists, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Protocol, TypeVar

from ..call import Call, Query, Repeat, one_of
from ..errors import UnexpectedAnswer
from ..models.shared import Model, Page

__all__ = ["AsyncSend", "Send", "iterate", "iterate_async", "page"]

T = TypeVar("T")
M = TypeVar("M", bound=Model)

PageOf = Callable[[str | None], Call[Page[M]]]
"""Makes the call for the page that begins at a cursor."""


class Send(Protocol):
    """Carries out calls."""

    def __call__(self, call: Call[T], /) -> T:
        """Return the result of a call."""


class AsyncSend(Protocol):
    """Carries out calls, for coroutines."""

    def __call__(self, call: Call[T], /) -> Awaitable[T]:
        """Return the result of a call."""


def page(path: str, answer: type[Page[M]], query: Query) -> PageOf[M]:
    """Return what makes the calls for the pages of a list."""

    def at(cursor: str | None) -> Call[Page[M]]:
        return Call(
            method="GET",
            path=path,
            query={**query, "cursor": cursor},
            understand=one_of(answer),
            repeat=Repeat.SAFELY,
        )

    return at


def iterate(send: Send, pages: PageOf[M]) -> Iterator[M]:
    """Yield the items of all pages; each page is asked for when its first item is."""
    cursor: str | None = None
    while True:
        found = send(pages(cursor))
        yield from found.items
        if found.next_cursor is None:
            return
        cursor = _next(cursor, found.next_cursor)


async def iterate_async(send: AsyncSend, pages: PageOf[M]) -> AsyncIterator[M]:
    """Yield the items of all pages, as `iterate` does."""
    cursor: str | None = None
    while True:
        found = await send(pages(cursor))
        for item in found.items:
            yield item
        if found.next_cursor is None:
            return
        cursor = _next(cursor, found.next_cursor)


def _next(before: str | None, cursor: str) -> str:
    if cursor == before:
        raise UnexpectedAnswer("the list does not go on: a page names itself as the next")
    return cursor
