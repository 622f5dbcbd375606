"""Turns every error that an endpoint can end with into a problem."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.database import DatabaseUnavailable

from .problem import ApiError, Invalid, Unavailable, field_problems, problem_response

__all__ = ["add_handlers"]

DATABASE_RETRY = "2"
"""Seconds after which a database may be back."""

_MALFORMED = Invalid("The body is not JSON.", code="malformed_body", hint="Send a JSON document.")


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
        return _respond(request, _MALFORMED)
    return _respond(request, Invalid.from_fields(field_problems(errors)))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, ApiError):  # raised while the body was read
        return _respond(request, error.__cause__)
    if error.status_code == 400:
        return _respond(request, _MALFORMED)
    texts = {
        404: ("not_found", "There is nothing at this path.", "See /docs for what there is."),
        405: ("method_not_allowed", "This path has no such method.", "See /docs for what there is."),
    }
    code, detail, hint = texts.get(error.status_code, ("refused", str(error.detail), ""))
    problem = ApiError(detail, code=code, hint=hint or None, headers=error.headers)
    problem.status = error.status_code
    return _respond(request, problem)
