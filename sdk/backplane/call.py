"""A call to the management API as data: what is sent, how its answer is understood, and whether it may be repeated.

Nothing here does I/O: the clients carry a `Call` to an edge and bring an `Answer` back, `understand` does the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from .errors import ApiError, FieldError, UnexpectedAnswer, error_class

__all__ = ["Answer", "Call", "Query", "Repeat", "json_body", "nothing", "one_of", "path", "preconditions"]

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Query = Mapping[str, str | float | bool | Sequence[str] | None]
"""Parameters of a query; those that are None are left out, those that are several are repeated."""
JSON = "application/json"
SHOWN = 200
"""Characters that are quoted of an answer that is not understood."""


class Repeat(Enum):
    """When a call may be sent once more."""

    SAFELY = "safely"
    """Twice is as good as once: whenever no good answer came."""
    UNDONE = "undone"
    """Twice may be too much: only if the edge has certainly not done it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One call."""

    method: str
    path: str
    understand: Callable[[Answer], T]
    """Makes the result of an answer with a status below 400."""
    query: Query = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeat: Repeat = Repeat.UNDONE
    patience: float | None = None
    """Seconds for the edge to say something, if that may take longer than usual."""

    def parameters(self) -> list[tuple[str, str]]:
        """Return the query as it is sent."""
        parameters = []
        for name, value in self.query.items():
            several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
            parameters += [(name, _text(one)) for one in several if one is not None]
        return parameters

    def result(self, answer: Answer) -> T:
        """Return what an answer means. Raises ApiError or UnexpectedAnswer."""
        if answer.status >= 400:
            raise problem(answer)
        if answer.status >= 300:
            raise UnexpectedAnswer(
                f"{self.method} {self.path} was answered with {answer.status}: this is not an edge's API"
            )
        try:
            return self.understand(answer)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise UnexpectedAnswer(
                f"the answer to {self.method} {self.path} is not understood: {where}: {first['msg']}"
            ) from None


def path(*segments: str) -> str:
    """Return the path below `/v1` of these segments."""
    return "/v1/" + "/".join(quote(segment, safe=":", errors="replace") for segment in segments)


def json_body(content: Any) -> dict[str, Any]:
    """Return the arguments of a Call that sends JSON."""
    return {"body": json.dumps(content).encode(), "headers": {"Content-Type": JSON}}


def preconditions(*, if_version: int | None = None, only_new: bool = False) -> dict[str, str]:
    """Return the fields that ask for a version of what is there, or for nothing to be there."""
    fields = {}
    if if_version is not None:
        fields["If-Match"] = f'"{if_version}"'
    if only_new:
        fields["If-None-Match"] = "*"
    return fields


def one_of(model: type[M]) -> Callable[[Answer], M]:
    """Understand an answer as one of these."""
    return lambda answer: model.model_validate_json(answer.body)


def nothing(answer: Answer) -> None:
    """Understand an answer as done."""


def problem(answer: Answer) -> ApiError:
    """Return the error that an answer stands for."""
    retry_after = _seconds(answer.headers.get("retry-after"))
    request_id = answer.headers.get("x-request-id", "")
    cls = error_class(answer.status)
    try:
        told = json.loads(answer.body)
        errors = [FieldError(one["field"], one["detail"]) for one in told.get("errors", ())]
        return cls(
            told["detail"],
            status=answer.status,
            code=told["code"],
            title=told.get("title", ""),
            hint=told.get("hint"),
            fields=tuple(errors),
            request_id=told.get("request_id") or request_id,
            retry_after=retry_after,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        text = " ".join(answer.body.decode("utf-8", "replace").split())[:SHOWN]
        return cls(
            f"answered with {answer.status}" + (f": {text}" if text else ""),
            status=answer.status,
            code="unknown",
            request_id=request_id,
            retry_after=retry_after,
        )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
