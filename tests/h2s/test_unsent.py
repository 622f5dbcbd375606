from __future__ import annotations

import contextlib
import socket
import sys

import pytest

from h2s.unsent import MAX_UNSENT, bound_unsent

LARGE = 16 * 1024 * 1024


def taken(*, bounded: bool) -> int:
    """Return how much a connection takes for a peer that does not read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(server.getsockname()) as sender, server.accept()[0]:
            if bounded:
                bound_unsent(sender)
            sender.setblocking(False)
            total = 0
            with contextlib.suppress(BlockingIOError):
                while total < LARGE:
                    total += sender.send(bytes(MAX_UNSENT))
            return total


@pytest.mark.skipif(sys.platform != "linux", reason="the option is one of Linux")
def test_a_bounded_socket_takes_little_for_a_peer_that_does_not_read() -> None:
    assert taken(bounded=True) <= 4 * MAX_UNSENT < taken(bounded=False)
