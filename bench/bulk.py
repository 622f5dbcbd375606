"""One large body each way, over one connection."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from tests.e2e.address import Address
from tests.e2e.client import Client, CutShort, request
from tests.e2e.origin.routes import BLOCK

__all__ = ["Transfer", "download", "upload"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """A body's way through."""

    size: int
    """Bytes that were to pass."""
    passed: int
    """Bytes that did."""
    seconds: float

    @property
    def rate(self) -> float:
        """Megabytes a second."""
        return self.passed / self.seconds / 1e6


def download(address: Address, size: int, *, host: str) -> Transfer:
    """Fetch a body of `size` bytes."""
    started, passed = time.monotonic(), 0
    with Client(address) as client:
        client.send(request(f"/bytes/{size}", host=host))
        try:
            for piece in client.pieces(client.read_head()):
                passed += len(piece)
        except (CutShort, OSError):
            pass
    return Transfer(size, passed, time.monotonic() - started)


def upload(address: Address, size: int, *, host: str) -> Transfer:
    """Send a body of `size` bytes; what counts is what the application says it received."""
    started, passed = time.monotonic(), 0
    with Client(address) as client:
        client.send(request("/echo", f"Content-Length: {size}", method="POST", host=host))
        try:
            for _ in range(size // len(BLOCK)):
                client.send(BLOCK)
            passed = json.loads(client.read_response().body)["size"]
        except (CutShort, OSError, ValueError):
            pass
    return Transfer(size, passed, time.monotonic() - started)
