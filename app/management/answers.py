"""What endpoints say in the OpenAPI document of the answers they give beside the good one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from .problem import MEDIA_TYPE, Problem

__all__ = ["created", "ok", "problems"]

_TEXTS = {
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
ALWAYS = (401, 403, 422, 429, 503)


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of an endpoint that wants a token and may also fail with `codes`."""
    return {
        code: {
            "description": _TEXTS.get(code, HTTPStatus(code).phrase),
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
        }
        for code in sorted({*ALWAYS, *codes})
    }


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
