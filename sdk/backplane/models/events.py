"""What was changed and by whom, and what happens now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from .shared import Model

__all__ = ["Event", "StreamedEvent"]

AUDIT = "audit"


class Event(Model):
    """A change that somebody made."""

    id: int
    version: int = Field(description="The version of the configuration that it made.")
    time: datetime
    actor: str = Field(description="The id of the token, or of the edge that did it by itself.")
    action: str = Field(description="`create`, `update`, `delete` or `revoke`.")
    kind: str = Field(description="`route`, `policy`, `setting`, `join_token` or `api_token`.")
    name: str
    before: Any = None
    after: Any = None
    request_id: str
    edge: str = Field(description="The edge that was asked.")


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """What has just happened."""

    kind: str
    """`audit` for a change that somebody made; otherwise what happened to an instance or a tunnel."""
    data: dict[str, Any]
    id: int | None = None
    """The number of a change."""

    @property
    def event(self) -> Event | None:
        """The change that somebody made, if it is one."""
        return Event.model_validate(self.data) if self.kind == AUDIT else None
