"""The measures that are saturations: small requests, and bodies that are larger."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence

from ..sample import Sample
from .case import Case
from .saturation import Saturation

__all__ = ["SIZES", "SIZES_HTTP2", "SMALL", "SMALL_HTTP2", "Requests"]


class Requests:
    """Saturations by one client."""

    def __init__(self, name: str, title: str, client: str, *, rounds: int, cases: Sequence[Case]) -> None:
        self.name = name
        self.title = title
        self.client = client
        self.rounds = rounds
        self._cases = cases
        costs = ("edge + agent µs/request", "edge µs/request", "agent µs/request")
        self.figures = ("requests/s", "MB/s", *costs, "p50 ms", "p99 ms")
        self.plotted = ("edge + agent µs/request",)

    def missing(self) -> str | None:
        """Look for the client."""
        return None if shutil.which(self.client) else f"there is no {self.client} on the path"

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """Return the same cases every time."""
        return self._cases


SMALL = Requests(
    "small",
    "Small GET over HTTP/1.1, saturation",
    "wrk",
    rounds=100,
    cases=[
        Saturation("1 connection", 1),
        Saturation("32 connections", 32),
        Saturation("256 connections", 256),
    ],
)
SMALL_HTTP2 = Requests(
    "http2",
    "Small GET over TLS and HTTP/2, saturation",
    "h2load",
    rounds=100,
    cases=[
        Saturation("1 connection, 32 streams", 1, http2=True, streams=32),
        Saturation("32 connections", 32, http2=True),
        Saturation("256 connections", 256, http2=True),
    ],
)
SIZES = Requests(
    "sizes",
    "Larger bodies over HTTP/1.1, 32 connections, saturation",
    "wrk",
    rounds=2,
    cases=[
        Saturation("GET 10 KB", 32, body="10k", brief=True),
        Saturation("PUT 10 KB", 32, body="10k", brief=True, upload=True),
        Saturation("GET 1 MB", 32, body="1m", brief=True),
        Saturation("PUT 1 MB", 32, body="1m", brief=True, upload=True),
    ],
)
SIZES_HTTP2 = Requests(
    "sizes-http2",
    "Larger bodies over TLS and HTTP/2, 32 connections, saturation",
    "h2load",
    rounds=2,
    cases=[
        Saturation("GET 10 KB", 32, http2=True, body="10k", brief=True),
        Saturation("GET 1 MB", 32, http2=True, body="1m", brief=True),
        Saturation("PUT 1 MB", 32, http2=True, body="1m", brief=True, upload=True),
    ],
)
