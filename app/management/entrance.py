"""What every request passes on its way in: a number, an owner, a size; and every answer on its way out.

A host that is not this one is refused first. A web page can have its own name resolve to an address of this machine
(DNS rebinding), and then read here what needs no token; the browser sends the page's name as the host. Addresses
and `localhost` cannot be had in this way. Where TLS is spoken the certificate says what is right.

Closed by default: a path that is not listed as open wants a token before anything else looks at the request, so that
an endpoint cannot be forgotten. Whether the token's role is enough is then said by each endpoint (`access`).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .attempts import Attempts
from .credentials import Credentials, Principal
from .problem import (
    ApiError,
    SlowBody,
    TooLarge,
    TooManyAttempts,
    Unauthenticated,
    UnknownHost,
    problem_response,
)

__all__ = ["DEFAULT_BODY", "Entrance"]

log: Any = structlog.get_logger("api")

DEFAULT_BODY = 1024 * 1024
"""Bytes of a body."""
BODY_TIMEOUT = 20.0
"""Seconds for a body to come, and for each `BODY_RATE` bytes of it one more."""
BODY_RATE = 64 * 1024
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
        hosts: Collection[str] | None = None,
    ) -> None:
        """Let requests in to `app`.

        Args:
            is_open: tells paths that need no token.
            bodies: the paths whose bodies may be larger.
            hosts: names that the API has beside its addresses and `localhost`; None: whatever a client says.
        """
        self._app = app
        self._credentials = credentials
        self._is_open = is_open
        self._attempts = attempts
        self._bodies = bodies
        self._hosts = None if hosts is None else frozenset(name.lower() for name in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            return  # no WebSockets, and no lifespan: what the API needs is opened before it
        request_id = secrets.token_hex(8)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = False
        is_head = scope["method"] == "HEAD"

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                await send(message)
                if is_head:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not is_head:
                await send(message)

        def is_started() -> bool:
            return started

        if is_head:  # it is answered as GET would be, up to where the content begins
            scope = {**scope, "method": "GET"}
        try:
            self._check_host(scope)
            if not self._is_open(scope["path"]):
                state["principal"] = self._authenticate(scope)
            limit = self._bodies.get(scope["path"], DEFAULT_BODY)
            await self._app(scope, _limited(scope, receive, limit, is_started), send_marked)
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

    def _check_host(self, scope: Scope) -> None:
        if self._hosts is None:
            return
        host = Headers(scope=scope).get("host", "")
        name = _name_of(host)
        if name and name not in self._hosts and name != "localhost" and not _is_address(name):
            raise UnknownHost(
                f"This is not the host {host[:200]!r}.",
                hint="Use its address, or start the edge with --api-name NAME.",
            )

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


def _name_of(host: str) -> str:
    """Return a host without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.partition(":")[0].removesuffix(".").lower()


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _limited(scope: Scope, receive: Receive, limit: int, is_started: Callable[[], bool]) -> Receive:
    """Return a `receive` that reads no more than `limit` bytes of body, and waits for them only so long."""
    close = {"Connection": "close"}
    too_large = TooLarge(f"The body is larger than {limit} bytes.", headers=close)
    length = Headers(scope=scope).get("content-length", "0")
    if length.isdigit() and int(length) > limit:
        raise too_large
    received = 0
    complete = False
    begun = asyncio.get_running_loop().time()

    async def limited() -> Message:
        nonlocal received, complete
        deadline = None if complete else begun + BODY_TIMEOUT + received / BODY_RATE
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            if is_started():
                return {"type": "http.disconnect"}
            raise SlowBody("The body comes too slowly.", headers=close) from None
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:
                raise too_large
        return message

    return limited
