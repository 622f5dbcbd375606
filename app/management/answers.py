"""What endpoints say in the OpenAPI document of the answers they give beside the good one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .problem import MEDIA_TYPE, Problem, title

__all__ = ["created", "ok", "problems"]

_TEXTS = {
    400: "The body cannot be read.",
    401: "No token, or one that is not good.",
    403: "The token's role is not enough.",
    404: "There is none of this name.",
    409: "It is there already, or something else uses it.",
    412: "If-Match or If-None-Match does not hold.",
    413: "The body is too large.",
    415: "The body is of a type that is not understood.",
    422: "A field cannot be as it is; `errors` names it.",
    429: "Too many wrong tokens from this address.",
    503: "The database is not available; traffic is served meanwhile.",
}
_EXAMPLES: dict[int, dict[str, Any]] = {
    400: {
        "code": "malformed_body",
        "detail": "The body is not JSON.",
        "hint": "Send a JSON document, in UTF-8.",
    },
    401: {
        "code": "unauthenticated",
        "detail": "This needs a token.",
        "hint": "Send `Authorization: Bearer TOKEN`; the first token is in the file admin-token.",
    },
    403: {
        "code": "forbidden",
        "detail": "This needs the role editor; the token admin-1f2e3d4c has viewer.",
        "hint": "Use a token with the role editor.",
    },
    404: {"code": "not_found", "detail": "There is no {kind} 'shop'.", "hint": None},
    409: {
        "code": "already_exists",
        "detail": "There is a {kind} 'shop' already.",
        "hint": "Replace it with PUT, or choose another name.",
    },
    412: {
        "code": "precondition_failed",
        "detail": "The {kind} 'shop' is not what If-Match asks for: its ETag is now \"8\".",
        "hint": "Read it again, and apply your change to what it is now.",
    },
    413: {
        "code": "body_too_large",
        "detail": "The body is larger than 1048576 bytes.",
        "hint": None,
    },
    415: {
        "code": "unsupported_media_type",
        "detail": "A body of the type 'text/plain' is not understood here.",
        "hint": "Send JSON, with `Content-Type: application/json`.",
    },
    422: {
        "code": "invalid",
        "detail": "query.limit: should be less than or equal to 1000",
        "hint": "Correct the fields named in `errors`.",
        "errors": [{"field": "query.limit", "detail": "should be less than or equal to 1000"}],
    },
    429: {
        "code": "too_many_attempts",
        "detail": "Too many wrong tokens from this address.",
        "hint": "Wait as long as Retry-After says, and check the token.",
    },
    503: {
        "code": "database_unavailable",
        "detail": "The database is not available: database is locked.",
        "hint": "Try again later; traffic is served meanwhile.",
    },
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait before another try.", "schema": {"type": "integer"}}
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {
        "WWW-Authenticate": {"description": "How to say who is asking.", "schema": {"type": "string"}},
    },
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
ALWAYS = (401, 403, 422, 429, 503)


def _example(status: int, kind: str | None, conflict: tuple[str, str, str] | None) -> dict[str, Any]:
    told = {"errors": [], **_EXAMPLES[status]}
    if status == 404 and kind is not None:
        told["code"] = f"{kind}_not_found"
    if status == 409 and conflict is not None:
        told |= dict(zip(("code", "detail", "hint"), conflict, strict=True))
    return {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        **told,
        "detail": told["detail"].replace("{kind}", kind or "resource"),
        "request_id": "9f2c61d0a4b87e35",
    }


def problems(
    *codes: int, kind: str | None = None, conflict: tuple[str, str, str] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint that wants a token and may also fail with `codes`.

    What every endpoint with a body may fail with (400, 413, 415) need not be said: `app.openapi` adds it.

    Args:
        kind: what the endpoint is about, as in the code `route_not_found`.
        conflict: code, detail and hint of the 409, where that is not `already_exists`.
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for code in sorted({*ALWAYS, *codes}):
        answer: dict[str, Any] = {
            "description": _TEXTS[code],
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": f"#/components/schemas/{Problem.__name__}"},
                    "example": _example(code, kind, conflict),
                }
            },
        }
        if code in _HEADERS:
            answer["headers"] = _HEADERS[code]
        answers[code] = answer
    return answers


_ETAG = {"ETag": {"description": "For If-Match.", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}


def ok() -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint that answers 200 with an ETag."""
    return {200: {"headers": _ETAG}}


def created(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint that answers 201 with what it has made."""
    return {
        201: {
            "headers": {**_ETAG, **_LOCATION},
            "description": "It was not there, and now is.",
            "model": model,
        }
    }
