"""Lists a page at a time: `{"items": [...], "next_cursor": null}`.

A cursor says after which item the next page begins, so that items that come and go meanwhile neither repeat others
nor hide them.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from .problem import Invalid

__all__ = ["MAX_LIMIT", "Page", "Paging", "PagingQuery"]

MAX_LIMIT = 1000
_KEY = re.compile(r"[^\x00\ud800-\udfff]*")
"""What a database can be asked about: no half of a surrogate pair, which JSON's escapes can write."""

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    items: list[T] = Field(description="What is on this page.")
    next_cursor: str | None = Field(
        default=None, description="Send it as `cursor` for the next page; null: this was the last."
    )


class Paging:
    """Which page is asked for."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items a page.", examples=[100])] = 100,
        cursor: Annotated[
            str | None, Query(max_length=512, description="`next_cursor` of the page before.")
        ] = None,
    ) -> None:
        self.limit = limit
        self._cursor = cursor

    @property
    def after(self) -> str | None:
        """The key of the last item of the page before. Raises Invalid."""
        if self._cursor is None:
            return None
        try:
            padded = self._cursor + "=" * (-len(self._cursor) % 4)
            key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (ValueError, binascii.Error):
            key = None
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise Invalid.of("query.cursor", "this is not a cursor that a list gave")
        return key

    @property
    def after_number(self) -> int | None:
        """The same for lists in the order of a number. Raises Invalid."""
        after = self.after
        if after is None:
            return None
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise Invalid.of("query.cursor", "this is not a cursor that this list gave")
        return int(after)

    def split(self, rows: list[T]) -> tuple[list[T], T | None]:
        """Return the items of this page of `limit + 1` rows, and the last one if another page follows."""
        if len(rows) <= self.limit:
            return rows, None
        return rows[: self.limit], rows[self.limit - 1]


def cursor_of(key: str | int) -> str:
    """Return the cursor that begins after an item."""
    return base64.urlsafe_b64encode(json.dumps(str(key)).encode()).rstrip(b"=").decode()


PagingQuery = Annotated[Paging, Depends()]
