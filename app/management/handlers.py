"""Turns every error that an endpoint can end with into a problem."""

from __future__ import annotations

import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from app.database import DatabaseUnavailable

from .problem import (
    ApiError,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    Unavailable,
    UnsupportedMedia,
    field_problems,
    problem_response,
)

__all__ = ["add_handlers"]

DATABASE_RETRY = "2"
"""Seconds after which a database may be back."""

METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
_JSON = re.compile(r"application/([a-z0-9.!#$&^_-]+\+)?json", re.IGNORECASE)
_NOT_JSON = Malformed("The body is not JSON.")


def add_handlers(api: FastAPI) -> None:
    """Let the app answer with problems alone."""
    api.add_exception_handler(ApiError, _answer)
    api.add_exception_handler(DatabaseUnavailable, _unavailable)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)


def _respond(request: Request, error: ApiError) -> Response:
    return problem_response(error, request.state.request_id)


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _respond(request, error)


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, DatabaseUnavailable)
    answer = Unavailable(
        f"The database is not available: {error.reason}.",
        code="database_unavailable",
        headers={"Retry-After": DATABASE_RETRY},
    )
    return _respond(request, answer)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(one["type"] == "json_invalid" for one in errors):
        return _respond(request, _NOT_JSON)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    of_body = any(tuple(one["loc"]) == ("body",) and one["type"] != "missing" for one in errors)
    if of_body and not _JSON.fullmatch(media_type):
        said = (
            f"A body of the type {media_type[:100]!r}" if media_type else "A body that does not say its type"
        )
        return _respond(request, UnsupportedMedia(f"{said} is not understood here."))
    return _respond(request, Invalid.from_fields(field_problems(errors)))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ApiError):  # raised while the body was read
        return _respond(request, error.__cause__)
    if error.status_code == 400:
        return _respond(request, _NOT_JSON)
    if error.status_code == 404:
        return _respond(
            request, NotFound("There is nothing at this path.", hint="See /docs for what there is.")
        )
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        return _respond(
            request,
            MethodNotAllowed(f"This path has no method {request.method}.", headers={"Allow": allowed}),
        )
    problem = ApiError(str(error.detail), code="refused", headers=error.headers)
    problem.status = error.status_code
    return _respond(request, problem)


def _methods(request: Request) -> list[str]:
    """Return the methods that this path has. Starlette's own `Allow` names those of one endpoint alone."""
    return [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": "GET" if method == "HEAD" else method})[0] is Match.FULL
            for route in request.app.router.routes
        )
    ]
