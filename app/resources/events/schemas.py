"""Events as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.management.pages import Page

__all__ = ["Event", "EventPage"]


class Event(BaseModel):
    """A change that somebody made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 12,
                    "version": 7,
                    "time": "2031-02-03T04:05:06Z",
                    "actor": "admin-1f2e3d4c",
                    "action": "update",
                    "kind": "route",
                    "name": "shop",
                    "before": {"priority": 0},
                    "after": {"priority": 1},
                    "request_id": "9f2c61d0a4b87e35",
                    "edge": "edge-0a1b2c3d",
                }
            ]
        }
    )

    id: int = Field(description="Its number.")
    version: int = Field(description="The version of the configuration that it made.")
    time: datetime = Field(description="When.")
    actor: str = Field(description="The id of the token, or of the edge that did it by itself.")
    action: str = Field(
        description="`create`, `update`, `delete`, `revoke`, `use`, `drain`, `resume` or `disconnect`."
    )
    kind: str = Field(description="`route`, `policy`, `setting`, `join_token`, `api_token` or `instance`.")
    name: str = Field(description="Its name or id.")
    before: Any = Field(description="What it was, without secrets; null if it was not there.")
    after: Any = Field(description="What it is, without secrets; null if it is not there.")
    request_id: str = Field(description="The request that did it.")
    edge: str = Field(description="The edge that was asked.")


class EventPage(Page[Event]):
    """A page of events."""
