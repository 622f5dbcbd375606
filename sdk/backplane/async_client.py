"""The client for programs with an event loop of asyncio."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from .call import Call
from .endpoint import Endpoint, answer, request, translated
from .errors import BackplaneError, UnexpectedAnswer
from .resources.config import AsyncConfiguration
from .resources.events import AsyncEvents
from .resources.live import AsyncEdges, AsyncInstances, AsyncServices, AsyncTunnels
from .resources.policies import AsyncDefaultPolicies, AsyncPolicies
from .resources.routes import AsyncRoutes
from .resources.tokens import AsyncTokens
from .retry import RetryPolicy

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient:
    """What `Client` is, for coroutines. Cancelling a call leaves open whether the edge has carried it out."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca_file: Path | None = None,
        verify: bool = True,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        endpoint = Endpoint(url=url, token=token, ca_file=ca_file, verify=verify, timeout=timeout)
        self._open(endpoint, retry)

    @classmethod
    def at(cls, endpoint: Endpoint, *, retry: RetryPolicy | None = None) -> Self:
        """Return a client of this endpoint."""
        client = cls.__new__(cls)
        client._open(endpoint, retry)
        return client

    @classmethod
    def local(
        cls, data_dir: str | Path = "edge-data", *, url: str | None = None, retry: RetryPolicy | None = None
    ) -> Self:
        """Return a client of an edge on this machine: see `Client.local`."""
        return cls.at(Endpoint.local(Path(data_dir), url=url), retry=retry)

    def _open(self, endpoint: Endpoint, retry: RetryPolicy | None) -> None:
        self.endpoint = endpoint
        self._retry = retry or RetryPolicy()
        self._http = httpx.AsyncClient(**endpoint.options())
        self.routes = AsyncRoutes(self.send)
        self.policies = AsyncPolicies(self.send)
        self.default_policies = AsyncDefaultPolicies(self.send)
        self.tokens = AsyncTokens(self.send)
        self.services = AsyncServices(self.send)
        self.instances = AsyncInstances(self.send)
        self.tunnels = AsyncTunnels(self.send)
        self.edges = AsyncEdges(self.send)
        self.events = AsyncEvents(self.send, self._stream)
        self.config = AsyncConfiguration(self.send)

    async def send(self, call: Call[T]) -> T:
        """Carry out a call and return its result. Raises BackplaneError."""
        attempt = 1
        while True:
            try:
                return await self._try(call)
            except BackplaneError as error:
                wait = self._retry.wait(error, repeat=call.repeat, attempt=attempt, draw=random.random())  # noqa: S311
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    async def _try(self, call: Call[T]) -> T:
        with translated(self.endpoint.url):
            response = await self._http.send(request(self._http, call))
        return call.result(answer(response))

    @asynccontextmanager
    async def _stream(self, call: Call[None]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of an answer as they come. Raises BackplaneError, as what iterates over them does."""
        with translated(self.endpoint.url):
            response = await self._http.send(request(self._http, call), stream=True)
            try:
                if response.status_code != 200:
                    await response.aread()
                    call.result(answer(response))
                    raise UnexpectedAnswer("the stream of events has no content: this is not an edge's API")
                yield response.aiter_bytes()
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
