"""Where the programs under test listen.

Ports are taken from below the range from which the kernel gives outgoing connections theirs. From within that range a
port could be gone when a program is started again, and a client that dials one where nobody listens can even end up
connected to itself.
"""

from __future__ import annotations

import random
import socket
from typing import NamedTuple

__all__ = ["Address", "free_address"]

LOWEST, HIGHEST = 20000, 32000


class Address(NamedTuple):
    """A host and a port, as socket functions take them."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


_taken: set[int] = set()


def free_address() -> Address:
    """Return an address on 127.0.0.1 that nobody listens on and that was not returned before."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        if port in _taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return Address("127.0.0.1", port)
