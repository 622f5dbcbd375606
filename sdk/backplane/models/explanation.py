"""Where a request would go, and why."""

from __future__ import annotations

from pydantic import Field

from .shared import Model

__all__ = ["ExplainedInstance", "ExplainedTarget", "Explanation", "Question"]


class Question(Model):
    """A request, as far as it decides where it goes."""

    method: str = "GET"
    scheme: str = "https"
    host: str
    path: str = Field(default="/", description="With the query.")
    headers: list[tuple[str, str]] = Field(default=[])
    client: str = Field(default="", description="The client's address.")


class ExplainedInstance(Model):
    """An instance that a request may reach."""

    service: str
    agent_id: str
    zone: str
    in_flight: int
    capacity: int


class ExplainedTarget(Model):
    """One of the places a request may go to."""

    name: str
    selector: str
    weight: int
    share: float = Field(description="Of the requests that come now, from 0 to 1.")
    instances: int = Field(description="Healthy instances that its selector picks.")
    some: list[ExplainedInstance] = Field(description="The first of them.")


class Explanation(Model):
    """Where a request would go, and why."""

    route: str | None = None
    service: str | None = Field(default=None, description="The discovered service that serves it.")
    policies: list[str] = Field(default=[])
    targets: list[ExplainedTarget] = Field(default=[])
    status: int | None = Field(default=None, description="What the edge answers itself, if it does.")
    code: str | None = None
    why: list[str] = Field(default=[], description="How it came to this, step by step.")
