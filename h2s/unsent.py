"""How much a socket takes that it cannot send yet.

By itself the kernel takes megabytes for a peer that does not read. Nobody counts that memory, a thousand such peers use
up what all of TCP may have on a machine, and a window that grows for readers who keep up grows for one who does not.
With a low mark for what is unsent (TCP_NOTSENT_LOWAT) the rest stays with us. What is on its way is not limited, so
neither is the speed of a long line.
"""

from __future__ import annotations

import socket
import sys

__all__ = ["MAX_UNSENT", "bound_unsent"]

MAX_UNSENT = 64 * 1024
"""Bytes that a socket takes beyond what is on its way."""


def bound_unsent(sock: socket.socket) -> None:
    """Have `sock`, a TCP one, take no more than about `MAX_UNSENT`, where the system knows how."""
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
