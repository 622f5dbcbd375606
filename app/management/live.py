"""Lists of what is connected now: nothing of it is in the database."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query

from edge.port import InstanceState
from edge.selector import Selector, SelectorError

from .pages import Paging, cursor_of
from .problem import Invalid
from .warning import facts_of

__all__ = ["SelectorQuery", "page_of", "selected"]

T = TypeVar("T")

SelectorQuery = Annotated[
    str | None,
    Query(
        max_length=2048,
        description="Only those that this picks, as in a route's target.",
        examples=["service=web,release in (v1,v2)"],
    ),
]


def selected(instances: Iterable[InstanceState], selector: str | None) -> list[InstanceState]:
    """Return the instances that a selector picks; None picks all. Raises Invalid."""
    if selector is None:
        return list(instances)
    try:
        parsed = Selector.parse(selector)
    except SelectorError as error:
        raise Invalid.of("query.selector", str(error)) from None
    return [one for one in instances if parsed.matches(facts_of(one))]


def page_of(items: Iterable[T], paging: Paging, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """Return a page of items in the order of their keys, and the cursor of the next one."""
    after = paging.after
    rest = items if after is None else (one for one in items if key(one) > after)
    shown, last = paging.split(heapq.nsmallest(paging.limit + 1, rest, key=key))
    return shown, None if last is None else cursor_of(key(last))
