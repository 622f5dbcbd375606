"""Calls for what has a name and is kept as a document: routes and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from ..call import Call, Query, Repeat, json_body, nothing, one_of, path, preconditions
from ..models.shared import Model, Page
from .pages import PageOf, page

__all__ = ["Content", "Documents"]

M = TypeVar("M", bound=Model)

Content = Mapping[str, Any]
"""A document as JSON would have it."""


class Documents(Generic[M]):
    """The calls for one kind of documents."""

    def __init__(self, collection: str, model: type[M]) -> None:
        self.collection = collection
        self.model = model

    def list(self, query: Query) -> PageOf[M]:
        """All of them, in the order of their names."""
        answer: type[Page[M]] = Page[self.model]  # type: ignore[name-defined]
        return page(path(self.collection), answer, query)

    def get(self, name: str) -> Call[M]:
        """One of them."""
        return Call(
            method="GET",
            path=path(self.collection, name),
            understand=one_of(self.model),
            repeat=Repeat.SAFELY,
        )

    def create(self, content: M | Content) -> Call[M]:
        """A new one."""
        return Call(
            method="POST",
            path=path(self.collection),
            understand=one_of(self.model),
            **json_body(_sent(content)),
        )

    def replace(
        self, content: M | Content, *, name: str | None, if_version: int | None, only_new: bool
    ) -> Call[M]:
        """The whole of one that is there, or a new one of this name."""
        sent = _sent(content)
        target = name if name is not None else str(sent.get("name", ""))
        if not target:
            raise ValueError("what is to be put has no name")
        return self._change("PUT", target, sent, preconditions(if_version=if_version, only_new=only_new))

    def update(self, name: str, changes: Content, *, if_version: int | None) -> Call[M]:
        """Parts of one (a JSON merge patch)."""
        return self._change("PATCH", name, changes, preconditions(if_version=if_version))

    def delete(self, name: str, *, if_version: int | None) -> Call[None]:
        """One that goes."""
        return Call(
            method="DELETE",
            path=path(self.collection, name),
            headers=preconditions(if_version=if_version),
            understand=nothing,
        )

    def _change(self, method: str, name: str, content: Content, conditions: Mapping[str, str]) -> Call[M]:
        body = json_body(content)
        body["headers"] |= conditions
        # A repeated PUT finds what it has put, unless it asks for what was there before.
        again = method == "PUT" and not conditions
        return Call(
            method=method,
            path=path(self.collection, name),
            understand=one_of(self.model),
            repeat=Repeat.SAFELY if again else Repeat.UNDONE,
            **body,
        )


def _sent(content: Model | Content) -> dict[str, Any]:
    return content.sent() if isinstance(content, Model) else dict(content)
