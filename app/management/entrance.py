"""What every request passes on its way in: a number, an owner, a size; and every answer on its way out.

Closed by default: a path that is not listed as open wants a token before anything else looks at the request, so that
an endpoint cannot be forgotten. Whether the token's role is enough is then said by each endpoint (`access`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .attempts import Attempts
from .credentials import Credentials, Principal
from .problem import ApiError, TooLarge, TooManyAttempts, Unauthenticated, problem_response

__all__ = ["DEFAULT_BODY", "Entrance"]

log: Any = structlog.get_logger("api")

DEFAULT_BODY = 1024 * 1024
"""Bytes of a body."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


class Entrance:
    """ASGI middleware, the outermost."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        credentials: Credentials,
        is_open: Callable[[str], bool],
        attempts: Attempts,
        bodies: dict[str, int],
    ) -> None:
        """`is_open` tells paths that need no token; `bodies` has the paths whose bodies may be larger."""
        self._app = app
        self._credentials = credentials
        self._is_open = is_open
        self._attempts = attempts
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            return  # no WebSockets, and no lifespan: what the API needs is opened before it
        request_id = secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if not self._is_open(scope["path"]):
                state["principal"] = self._authenticate(scope)
            limit = self._bodies.get(scope["path"], DEFAULT_BODY)
            await self._app(scope, _limited(scope, receive, limit), send_marked)
        except ApiError as error:
            if started:
                raise
            await problem_response(error, request_id)(scope, receive, send_marked)
        except Exception as error:
            log.exception("request failed", path=scope["path"], request_id=request_id)
            if started:
                raise
            failure = ApiError("Something went wrong here; the edge's log has it under this request id.")
            failure.__cause__ = error
            await problem_response(failure, request_id)(scope, receive, send_marked)

    def _authenticate(self, scope: Scope) -> Principal:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        challenge = {"WWW-Authenticate": "Bearer"}
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("This needs a token.", headers=challenge)
        principal = self._credentials.check(token.strip(), datetime.now(UTC))
        if principal is not None:
            return principal
        address = (scope.get("client") or ("",))[0]
        wait = self._attempts.failed(address, time.monotonic())
        if wait:
            raise TooManyAttempts(
                "Too many wrong tokens from this address.", headers={"Retry-After": str(int(wait) + 1)}
            )
        log.warning("wrong token", address=address, request_id=scope["state"]["request_id"])
        raise Unauthenticated(
            "The token is not known here, has expired or was revoked.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


def _limited(scope: Scope, receive: Receive, limit: int) -> Receive:
    """Return a `receive` that reads no more than `limit` bytes of body."""
    too_large = TooLarge(f"The body is larger than {limit} bytes.")
    length = Headers(scope=scope).get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise too_large
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large
        return message

    return limited
