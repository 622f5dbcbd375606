"""The client for programs that wait for each answer."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from .call import Call
from .endpoint import Endpoint, answer, request, translated
from .errors import BackplaneError, UnexpectedAnswer
from .resources.config import Configuration
from .resources.events import Events
from .resources.live import Edges, Instances, Services, Tunnels
from .resources.policies import DefaultPolicies, Policies
from .resources.routes import Routes
from .resources.tokens import Tokens
from .retry import RetryPolicy

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """An edge's management API. Close it, or use it in a `with` block; threads may share it.

    Args:
        url: where the API is, `https://edge.example.com:7000`.
        token: a token of this API.
        ca_file: certificates (PEM) to trust in place of the system's.
        verify: False trusts any certificate.
        timeout: seconds for the edge to say something.
        retry: how often a call is sent where repeating it is safe.

    Raises:
        ValueError: the URL is none.
        TokenUnusable: the token is none, or would go over a network in the clear.
    """

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
        """Return a client of an edge on this machine: its data directory has all that is needed.

        Raises:
            TokenUnusable: there is no such directory, or no token in it.
        """
        return cls.at(Endpoint.local(Path(data_dir), url=url), retry=retry)

    def _open(self, endpoint: Endpoint, retry: RetryPolicy | None) -> None:
        self.endpoint = endpoint
        self._retry = retry or RetryPolicy()
        self._http = httpx.Client(**endpoint.options())
        self.routes = Routes(self.send)
        self.policies = Policies(self.send)
        self.default_policies = DefaultPolicies(self.send)
        self.tokens = Tokens(self.send)
        self.services = Services(self.send)
        self.instances = Instances(self.send)
        self.tunnels = Tunnels(self.send)
        self.edges = Edges(self.send)
        self.events = Events(self.send, self._stream)
        self.config = Configuration(self.send)

    def send(self, call: Call[T]) -> T:
        """Carry out a call and return its result. Raises BackplaneError."""
        attempt = 1
        while True:
            try:
                return self._try(call)
            except BackplaneError as error:
                wait = self._retry.wait(error, repeat=call.repeat, attempt=attempt, draw=random.random())  # noqa: S311
                if wait is None:
                    raise
            time.sleep(wait)
            attempt += 1

    def _try(self, call: Call[T]) -> T:
        with translated(self.endpoint.url):
            response = self._http.send(request(self._http, call))
        return call.result(answer(response))

    @contextmanager
    def _stream(self, call: Call[None]) -> Iterator[Iterator[bytes]]:
        """Give the bytes of an answer as they come. Raises BackplaneError, as what iterates over them does."""
        with translated(self.endpoint.url):
            response = self._http.send(request(self._http, call), stream=True)
            try:
                if response.status_code != 200:
                    response.read()
                    call.result(answer(response))
                    raise UnexpectedAnswer("the stream of events has no content: this is not an edge's API")
                yield response.iter_bytes()
            finally:
                response.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
