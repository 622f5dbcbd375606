"""What goes wrong between a client and an edge.

BackplaneError
├── TokenUnusable        a token or its file cannot be used: nothing was sent
├── EdgeUnreachable      no answer came
│   └── EdgeUntrusted    the edge's certificate is not one to trust
├── UnexpectedAnswer     an answer came that no edge gives
└── ApiError             the edge answered with a problem (RFC 9457)
    ├── BadRequest          400  what was sent cannot be read
    ├── Unauthorized        401  no token, or one that is not good
    ├── Forbidden           403  the token's role is not enough
    ├── NotFound            404
    ├── Conflict            409  it is there already, or something else uses it
    ├── PreconditionFailed  412  it is not the version that was asked for
    ├── TooLarge            413
    ├── UnsupportedMedia    415
    ├── Invalid             422  a field cannot be as it is
    ├── RateLimited         429
    └── ServerError         5xx
        └── Unavailable     503  the database, or the part that would have to answer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "ApiError",
    "BackplaneError",
    "BadRequest",
    "Conflict",
    "EdgeUnreachable",
    "EdgeUntrusted",
    "FieldError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "PreconditionFailed",
    "RateLimited",
    "ServerError",
    "TokenUnusable",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnsupportedMedia",
    "error_class",
]


class BackplaneError(Exception):
    """Base of everything that a client raises."""


class TokenUnusable(BackplaneError):
    """A token cannot be used: its file is not there, is empty, or it would go over the network in the clear."""


class EdgeUnreachable(BackplaneError):
    """No answer came. `sent` says whether the request may have reached the edge all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class EdgeUntrusted(EdgeUnreachable):
    """The edge's certificate is not one to trust, so that nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class UnexpectedAnswer(BackplaneError):
    """An answer came that no edge gives: something else is at this address, or a proxy is in between."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field."""

    field: str
    """Its path, as `targets[0].selector` or `query.limit`; empty for the whole body."""
    detail: str


class ApiError(BackplaneError):
    """The edge answered with a problem. Programs tell problems apart by the class, or finer by `code`."""

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str,
        title: str = "",
        hint: str | None = None,
        fields: tuple[FieldError, ...] = (),
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        """What went wrong, for programs; never changes."""
        self.title = title
        self.detail = detail
        """What went wrong, for people."""
        self.hint = hint
        """The way out, if there is one to name."""
        self.fields = fields
        """The fields that are wrong."""
        self.request_id = request_id
        """The request, as the edge's log and its events name it."""
        self.retry_after = retry_after
        """Seconds after which it may work, if the edge said so."""

    def __str__(self) -> str:
        return self.detail


class BadRequest(ApiError):
    """What was sent cannot be read at all."""


class Unauthorized(ApiError):
    """The edge does not know who is asking."""


class Forbidden(ApiError):
    """The token's role is not enough."""


class NotFound(ApiError):
    """There is no such thing."""


class Conflict(ApiError):
    """It is there already, or something else uses it."""


class PreconditionFailed(ApiError):
    """It is not the version that was asked for: somebody else was faster."""


class TooLarge(ApiError):
    """What was sent is more than the edge takes."""


class UnsupportedMedia(ApiError):
    """What was sent is of a type that the edge does not read."""


class Invalid(ApiError):
    """A field cannot be as it is; `fields` says which and why."""


class RateLimited(ApiError):
    """Too many requests, or too many with a wrong token."""


class ServerError(ApiError):
    """The edge could not answer, for a reason of its own."""


class Unavailable(ServerError):
    """It cannot be done just now; traffic is served meanwhile."""


_CLASSES: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    415: UnsupportedMedia,
    422: Invalid,
    429: RateLimited,
    503: Unavailable,
}


def error_class(status: int) -> type[ApiError]:
    """Return the class of a status's errors."""
    return _CLASSES.get(status, ServerError if status >= 500 else ApiError)
