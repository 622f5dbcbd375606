"""Resources that are named documents: what routes and policies have in common.

The document is stored whole; columns beside it are there to find it by. Every change compares the document with the
one that is stored: what is the same is no change, makes no event and keeps its ETag.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from .context import Change, Work
from .pages import Paging
from .problem import Conflict, Invalid, NotFound
from .versions import check_match, check_none_match

__all__ = ["DocumentRepository", "DocumentRow", "DocumentService", "NamedSpec", "document", "merge"]


class NamedSpec(Protocol):
    """A document's schema."""

    @property
    def name(self) -> str:
        """Its name."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return it as JSON's types."""


class DocumentRow(Protocol):
    """A document as a table has it."""

    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    version: Mapped[int]
    created: Mapped[datetime]
    updated: Mapped[datetime]


Row = TypeVar("Row", bound=Any)
S = TypeVar("S", bound=BaseModel)


def document(spec: BaseModel) -> dict[str, Any]:
    """Return a spec as it is stored: whole, so that a later version's defaults change nothing."""
    return spec.model_dump(mode="json")


def merge(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396): null takes a member away, everything else replaces it."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


class DocumentRepository(Generic[Row]):
    """The SQL of one kind of document."""

    table: ClassVar[Any]

    def __init__(self, session: AsyncSession) -> None:
        """Work in this session."""
        self.session = session

    async def get(self, name: str) -> Row | None:
        """Return a row, or None."""
        found: Row | None = await self.session.get(self.table, name)
        return found

    async def page(self, after: str | None, limit: int, *conditions: Any) -> list[Row]:
        """Return up to `limit` rows in the order of their names."""
        query = select(self.table).where(*conditions).order_by(self.table.name).limit(limit)
        if after is not None:
            query = query.where(self.table.name > after)
        return list((await self.session.scalars(query)).all())

    async def all(self) -> list[Row]:
        """Return every row."""
        return list((await self.session.scalars(select(self.table).order_by(self.table.name))).all())

    async def named(self, names: Sequence[str]) -> list[Row]:
        """Return the rows of these names that are there."""
        found: list[Row] = []
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            found += (await self.session.scalars(select(self.table).where(self.table.name.in_(part)))).all()
        return found

    async def add(self, row: Row) -> None:
        """Insert a row."""
        self.session.add(row)
        await self.session.flush()

    async def remove(self, name: str) -> None:
        """Delete a row."""
        await self.session.execute(delete(self.table).where(self.table.name == name))


class DocumentService(Generic[S, Row]):
    """The rules of one kind of document."""

    kind: ClassVar[str]
    spec_type: type[S]
    repository: type[DocumentRepository[Row]]

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    # -- what a kind says for itself ---------------------------------------------------------------------------------

    def new_row(self, spec: S, change: Change) -> Row:
        """Make the row of a new document."""
        raise NotImplementedError

    async def check(self, change: Change, spec: S) -> None:
        """Raise Invalid or Conflict if the document does not fit the others."""

    async def stored(self, change: Change, spec: S, row: Row) -> None:
        """Bring what else is kept of a document up to date, after its row."""

    async def check_removal(self, change: Change, name: str) -> None:
        """Raise Conflict if something needs it."""

    # -- what all have -------------------------------------------------------------------------------------------------

    async def list(self, paging: Paging, *conditions: Any) -> tuple[list[Row], Row | None]:
        """Return a page of rows, and the last one if another page follows."""
        async with self.work.read() as session:
            rows = await self.repository(session).page(paging.after, paging.limit + 1, *conditions)
        return paging.split(rows)

    async def get(self, name: str) -> Row:
        """Return a row. Raises NotFound."""
        async with self.work.read() as session:
            row = await self.repository(session).get(name)
        if row is None:
            raise self._absent(name)
        return row

    async def create(self, spec: S) -> Row:
        """Add a document. Raises Conflict if its name is taken."""
        name = self._name(spec)
        async with self.work.change() as change:
            if await self.repository(change.session).get(name) is not None:
                raise Conflict(
                    f"There is a {self.kind} {name!r} already.",
                    code="already_exists",
                    hint="Replace it with PUT, or choose another name.",
                )
            return await self._insert(change, spec)

    async def replace(self, spec: S, *, if_match: str | None, if_none_match: str | None) -> tuple[Row, bool]:
        """Put a document in the place of the one with its name; return it, and whether it is new."""
        async with self.work.change() as change:
            row = await self.repository(change.session).get(self._name(spec))
            what = f"The {self.kind} {self._name(spec)!r}"
            version = None if row is None else row.version
            check_match(if_match, version, what=what)
            check_none_match(if_none_match, version, what=what)
            if row is None:
                return await self._insert(change, spec), True
            await self.update(change, spec, row)
            return row, False

    async def patch(self, name: str, patch: dict[str, Any], *, if_match: str | None) -> Row:
        """Change members of a document (RFC 7396)."""
        async with self.work.change() as change:
            row = await self._required(change, name, if_match)
            await self.update(change, self.validated(merge(row.spec, patch)), row)
            return row

    async def delete(self, name: str, *, if_match: str | None) -> None:
        """Take a document away."""
        async with self.work.change() as change:
            row = await self._required(change, name, if_match)
            await self.check_removal(change, name)
            await self.repository(change.session).remove(name)
            change.record("delete", self.kind, name, before=row.spec)

    def named(self, name: str, body: BaseModel) -> S:
        """Return the spec that is to be put under a name. Raises Invalid, also if it says another one."""
        content = body.model_dump()
        if content.get("name") not in (None, "", name):
            raise Invalid.of("name", f"the path says {name!r}: a {self.kind}'s name never changes")
        return self.validated({**content, "name": name})

    def validated(self, content: dict[str, Any]) -> S:
        """Return the spec of a document. Raises Invalid."""
        try:
            return self.spec_type.model_validate(content)
        except ValidationError as error:
            raise Invalid.from_validation(error) from None

    async def update(self, change: Change, spec: S, row: Row) -> None:
        """Give a row a new document, if it is another one."""
        content, before = document(spec), row.spec
        if content == before:
            return
        await self.check(change, spec)
        row.spec, row.version, row.updated = content, change.n, change.now
        await self.stored(change, spec, row)
        await change.session.flush()
        change.record("update", self.kind, row.name, before=before, after=content)

    async def _insert(self, change: Change, spec: S) -> Row:
        await self.check(change, spec)
        row = self.new_row(spec, change)
        await self.repository(change.session).add(row)
        await self.stored(change, spec, row)
        await change.session.flush()
        change.record("create", self.kind, row.name, after=row.spec)
        return row

    async def _required(self, change: Change, name: str, if_match: str | None) -> Row:
        row = await self.repository(change.session).get(name)
        if row is None:
            raise self._absent(name)
        check_match(if_match, row.version, what=f"The {self.kind} {name!r}")
        return row

    def _absent(self, name: str) -> NotFound:
        return NotFound(f"There is no {self.kind} {name!r}.", code=f"{self.kind}_not_found")

    @staticmethod
    def _name(spec: S) -> str:
        name: str = spec.name  # type: ignore[attr-defined]
        return name
