"""Errors of the management API, as RFC 9457 problems.

ApiError
├── Malformed          400  the body cannot be read
├── Unauthenticated    401  no token, or one that is not good
├── Forbidden          403  the token's role is not enough
├── NotFound           404
├── MethodNotAllowed   405
├── SlowBody           408  the body comes too slowly
├── Conflict           409  it is there already, or something else uses it
├── PreconditionFailed 412  If-Match or If-None-Match does not hold
├── TooLarge           413
├── UnsupportedMedia   415
├── UnknownHost        421  the request is for another host
├── Invalid            422  a field cannot be as it is
├── TooManyAttempts    429
└── Unavailable        503  the database, or the part that would have to answer

`code` is for programs and never changes; `detail` is for people; `hint` is the way out; `errors` name fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "ApiError",
    "Conflict",
    "FieldProblem",
    "Forbidden",
    "Invalid",
    "Malformed",
    "MethodNotAllowed",
    "NotFound",
    "PreconditionFailed",
    "Problem",
    "SlowBody",
    "TooLarge",
    "TooManyAttempts",
    "Unauthenticated",
    "Unavailable",
    "UnknownHost",
    "UnsupportedMedia",
    "field_problems",
    "problem_response",
    "title",
]

MEDIA_TYPE = "application/problem+json"
MAX_FIELDS = 100
"""Fields named in one answer."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"field": "targets[0].weight", "detail": "..."}]}
    )

    field: str = Field(
        description="Its path in the body, as `targets[0].selector`; `query.limit`, `header.if-match` and"
        " `path.name` are outside of the body. Empty: the whole body."
    )
    detail: str = Field(description="What is wrong, and what would do.")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "code": "invalid",
                    "detail": "targets: the weights sum to zero, so that no request could go anywhere",
                    "hint": "Correct the fields named in `errors`.",
                    "errors": [{"field": "targets", "detail": "the weights sum to zero"}],
                    "request_id": "9f2c61d0a4b87e35",
                }
            ]
        }
    )

    type: str = Field(default="about:blank", description="Always about:blank: `code` tells problems apart.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="What went wrong, for programs; never changes.")
    detail: str = Field(description="What went wrong, for people.")
    hint: str | None = Field(default=None, description="What to do about it.")
    errors: list[FieldProblem] = Field(default=[], description="The fields that are wrong.")
    request_id: str = Field(description="The request, as the edge's log and the audit name it.")


class ApiError(Exception):
    """A request that is answered with a problem."""

    status: int = 500
    default_code: ClassVar[str] = "internal"
    default_hint: ClassVar[str | None] = None

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.hint = hint or self.default_hint
        self.errors = list(errors)
        self.headers = dict(headers or {})


class Malformed(ApiError):
    """The body cannot be read."""

    status = 400
    default_code = "malformed_body"
    default_hint = "Send a JSON document, in UTF-8."


class Unauthenticated(ApiError):
    """Who is asking is not known."""

    status = 401
    default_code = "unauthenticated"
    default_hint = "Send `Authorization: Bearer TOKEN`; the first token is in the file admin-token."


class Forbidden(ApiError):
    """Who is asking may not do this."""

    status = 403
    default_code = "forbidden"


class NotFound(ApiError):
    """There is no such thing."""

    status = 404
    default_code = "not_found"


class MethodNotAllowed(ApiError):
    """What is there does not have this method."""

    status = 405
    default_code = "method_not_allowed"
    default_hint = "`Allow` says which it has."


class SlowBody(ApiError):
    """The body comes too slowly."""

    status = 408
    default_code = "slow_body"


class Conflict(ApiError):
    """It cannot be done as things are."""

    status = 409
    default_code = "conflict"


class PreconditionFailed(ApiError):
    """Somebody else was faster."""

    status = 412
    default_code = "precondition_failed"
    default_hint = "Read it again, and apply your change to what it is now."


class TooLarge(ApiError):
    """The body is larger than what this resource takes."""

    status = 413
    default_code = "body_too_large"


class UnsupportedMedia(ApiError):
    """The body is not of a type that is understood."""

    status = 415
    default_code = "unsupported_media_type"
    default_hint = "Send JSON, with `Content-Type: application/json`."


class Invalid(ApiError):
    """A field cannot be as it is."""

    status = 422
    default_code = "invalid"
    default_hint = "Correct the fields named in `errors`."

    @classmethod
    def of(cls, field: str, detail: str, *, code: str | None = None, hint: str | None = None) -> Invalid:
        """Return the error of one field."""
        where = f"{field}: {detail}" if field else detail
        return cls(where, code=code, hint=hint, errors=[FieldProblem(field=field, detail=detail)])

    @classmethod
    def from_validation(cls, error: ValidationError, *, within: str = "") -> Invalid:
        """Return what pydantic found; `within` is the path of the part that was validated."""
        return cls.from_fields(field_problems(error.errors(include_url=False), within=within))

    @classmethod
    def from_fields(cls, problems: Sequence[FieldProblem]) -> Invalid:
        """Return the error of several fields."""
        first = problems[0]
        where = f"{first.field}: {first.detail}" if first.field else first.detail
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return cls(f"{where}{more}", errors=problems[:MAX_FIELDS])


class UnknownHost(ApiError):
    """The request is for a host that this API is not."""

    status = 421
    default_code = "unknown_host"


class TooManyAttempts(ApiError):
    """Too many wrong tokens from one address."""

    status = 429
    default_code = "too_many_attempts"
    default_hint = "Wait as long as Retry-After says, and check the token."


class Unavailable(ApiError):
    """It cannot be done just now."""

    status = 503
    default_code = "unavailable"
    default_hint = "Try again later; traffic is served meanwhile."


_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Where older versions of Python still say what RFC 9110 has renamed."""


def title(status: int) -> str:
    """Return a status in words."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    """Build the answer."""
    problem = Problem(
        title=title(error.status),
        status=error.status,
        code=error.code,
        detail=error.detail,
        hint=error.hint,
        errors=error.errors,
        request_id=request_id,
    )
    return JSONResponse(
        problem.model_dump(), status_code=error.status, media_type=MEDIA_TYPE, headers=error.headers
    )


_NAMED = re.compile(r"([a-z_]+): (.+)", re.DOTALL)
"""A validator of a whole model names the field that it means at the beginning."""


def field_problems(errors: Iterable[ErrorDetails | Any], *, within: str = "") -> list[FieldProblem]:
    """Put what pydantic says into our words: where, and what is wrong."""
    return [_field_problem(error, within) for error in errors] or [FieldProblem(field=within, detail="wrong")]


def _field_problem(error: Any, within: str) -> FieldProblem:
    path = list(error["loc"])
    prefix = within
    if path and path[0] in ("query", "header", "path", "cookie"):
        prefix = str(path.pop(0))
    elif path and path[0] == "body":
        path.pop(0)
    detail = str(error["msg"])
    if error["type"] in ("value_error", "assertion_error"):
        detail = detail.partition(", ")[2]
        named = _NAMED.fullmatch(detail)
        if named is not None:
            path.append(named[1])
            detail = named[2]
    elif error["type"] == "extra_forbidden":
        detail = "there is no such field"
    elif error["type"] == "missing":
        detail = "it is required"
    else:
        detail = detail.removeprefix("Input ")
    return FieldProblem(field=_join(prefix, path), detail=detail[:1000])


def _join(prefix: str, path: Sequence[object]) -> str:
    text = prefix
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text[:500]
