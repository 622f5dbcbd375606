"""What all models share."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Model", "Page", "Warned"]

T = TypeVar("T")


class Model(BaseModel):
    """Base of all models. What a newer edge says beside the fields here is kept, and sent back."""

    model_config = ConfigDict(extra="allow")

    read_only: ClassVar[frozenset[str]] = frozenset()
    """Fields that only the edge sets."""

    def sent(self) -> dict[str, Any]:
        """Return it as JSON that an edge takes."""
        return self.model_dump(mode="json", exclude=set(self.read_only), exclude_none=True)


class Warned(Model):
    """Something that works, but may not be meant so."""

    code: str = Field(description="What it is, for programs.")
    field: str = Field(description="The path of the field.")
    detail: str = Field(description="What it is, for people.")


class Page(Model, Generic[T]):
    """A part of a list."""

    items: list[T]
    next_cursor: str | None = None
