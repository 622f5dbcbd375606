"""Large bodies in flat memory, and slow clients that cost nothing.

What is allowed to grow is what DESIGN promises to bound: stream windows, sockets' write buffers, the allocator's slack.
`GROWTH` is far above these and far below the 256 MiB that pass.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .client import Client, fetch, request
from .conftest import Site, Tunnelled
from .origin.routes import BLOCK
from .programs import Program, eventually

pytestmark = pytest.mark.e2e

MEBIBYTE = 1024 * 1024
SIZE = 256 * MEBIBYTE
GROWTH = 48 * MEBIBYTE


@contextmanager
def memory_stays_flat(*programs: Program) -> Iterator[None]:
    """Assert that no program's resident memory grows by more than `GROWTH` meanwhile."""
    before = [program.memory for program in programs]
    peaks = list(before)
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            for index, program in enumerate(programs):
                peaks[index] = max(peaks[index], program.memory)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
    grown = {
        p.name: (peak - start) // MEBIBYTE for p, start, peak in zip(programs, before, peaks, strict=True)
    }
    assert max(grown.values()) * MEBIBYTE <= GROWTH, f"MiB grown: {grown}"


@pytest.mark.parametrize("framing", ["bytes", "chunked"])
def test_a_large_download_arrives_whole_in_flat_memory(
    site: Site, tunnelled: Tunnelled, framing: str
) -> None:
    size, digest = 0, hashlib.sha256()
    with Client(site.address) as client, memory_stays_flat(tunnelled.plain, tunnelled.agent):
        client.send(request(f"/{framing}/{SIZE}"))
        for piece in client.pieces(client.read_head()):
            size += len(piece)
            digest.update(piece)
    assert size == SIZE
    assert digest.hexdigest() == digest_of_blocks()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_arrives_whole_in_flat_memory(site: Site, tunnelled: Tunnelled, framing: str) -> None:
    chunked = framing == "chunked"
    field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    piece = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK
    with Client(site.address) as client, memory_stays_flat(tunnelled.plain, tunnelled.agent):
        client.send(request("/echo", field, method="POST"))
        for _ in range(SIZE // len(BLOCK)):
            client.send(piece)
        client.send(b"0\r\n\r\n" if chunked else b"")
        seen = client.read_response().json()
    assert seen["size"] == SIZE
    assert seen["sha256"] == digest_of_blocks()


def digest_of_blocks() -> str:
    """Return the digest of the body that is `SIZE` bytes of the origin's block."""
    digest = hashlib.sha256()
    for _ in range(SIZE // len(BLOCK)):
        digest.update(BLOCK)
    return digest.hexdigest()


def test_a_client_that_reads_nothing_holds_up_the_app_and_nobody_else(
    site: Site, tunnelled: Tunnelled
) -> None:
    with Client(site.address) as client, memory_stays_flat(tunnelled.plain, tunnelled.agent):
        client.send(request(f"/bytes/{SIZE}/stalled"))
        client.read_head()
        sent = eventually(lambda: stalled_at(site), within=20, what="the app is held up")
        assert sent < GROWTH
        for _ in range(20):
            assert fetch(site.address, request("/")).body == b"hello from origin\n"


def stalled_at(site: Site) -> int:
    """Return how much the app has sent, or 0 while that still grows."""
    once: int = site.origin.ask("/sent/stalled")
    fetch(site.address, request("/bytes/1000000"))
    again: int = site.origin.ask("/sent/stalled")
    return once if once == again else 0


def test_an_app_that_reads_nothing_holds_up_its_client_and_nobody_else(
    site: Site, tunnelled: Tunnelled
) -> None:
    with Client(site.address) as client, memory_stays_flat(tunnelled.plain, tunnelled.agent):
        client.send(request("/hold/unread", f"Content-Length: {SIZE}", method="POST"))
        client.socket.settimeout(1)
        assert send_until_held_up(client) < GROWTH
        for _ in range(20):
            assert fetch(site.address, request("/")).body == b"hello from origin\n"
    site.origin.ask("/hold/unread/release")


def send_until_held_up(client: Client) -> int:
    """Send until nothing is taken for as long as the socket's timeout, and return how much was."""
    for blocks in range(SIZE // len(BLOCK)):
        try:
            client.send(BLOCK)
        except TimeoutError:
            return blocks * len(BLOCK)
    return SIZE
