"""The relay fails as it says: a test bed that does not break what it should break proves nothing."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.e2e.address import Address

from .relay import Relay

TIMEOUT = 10.0
A_WHILE = 0.1


@contextlib.contextmanager
def through_a_relay() -> Iterator[tuple[Relay, socket.socket, socket.socket]]:
    """Give a relay and both ends of a connection through it, the agent's and the edge's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as edge,
        Relay(Address(*edge.getsockname())) as relay,
        socket.create_connection(relay.address, TIMEOUT) as near,
        edge.accept()[0] as far,
    ):
        far.settimeout(TIMEOUT)
        near.sendall(b"hello")
        assert far.recv(5) == b"hello"
        yield relay, near, far


def hears(sock: socket.socket, *, within: float) -> bool:
    """Return whether anything comes, be it the end."""
    sock.settimeout(within)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return False
    finally:
        sock.settimeout(TIMEOUT)
    return True


def test_bytes_and_ends_pass_both_ways() -> None:
    with through_a_relay() as (_, near, far):
        near.sendall(b"there")
        assert far.recv(10) == b"there"
        far.sendall(b"and back")
        assert near.recv(10) == b"and back"
        near.shutdown(socket.SHUT_WR)
        assert far.recv(10) == b""


def test_a_stalled_direction_passes_nothing_until_it_is_healed() -> None:
    with through_a_relay() as (relay, near, far):
        relay.stall(to_agent=False)
        near.sendall(b"late")
        far.sendall(b"in time")
        assert near.recv(10) == b"in time"
        assert not hears(far, within=A_WHILE)
        relay.heal()
        assert far.recv(10) == b"late"


def test_a_stalled_link_hides_that_the_other_end_is_gone() -> None:
    with through_a_relay() as (relay, near, far):
        relay.stall()
        near.close()
        assert not hears(far, within=A_WHILE)


def test_a_cut_resets_both_ends() -> None:
    with through_a_relay() as (relay, near, far):
        relay.cut()
        for end in (near, far):
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def test_bytes_come_late_and_few_at_a_time_on_a_slow_link() -> None:
    with through_a_relay() as (relay, near, far):
        relay.shape(delay=A_WHILE)
        began = time.monotonic()
        near.sendall(b"x")
        assert far.recv(1) == b"x"
        assert time.monotonic() - began >= A_WHILE
        relay.shape(rate=1_000_000)
        near.sendall(bytes(200_000))
        began, left = time.monotonic(), 200_000
        while left:
            left -= len(far.recv(left))
        assert time.monotonic() - began >= A_WHILE
