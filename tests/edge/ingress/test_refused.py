from __future__ import annotations

import asyncio

import pytest

from edge.ingress.limits import IngressLimits
from edge.problem import Refusal

from .harness import site


@pytest.mark.parametrize(
    ("request_bytes", "seen"),
    [
        (b"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", (b"GET", b"/#a", 400)),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", (b"CONNECT", b"x:1", 405)),
        (b"\x16\x03\x01 rubbish\r\n\r\n", (b"\x16\x03\x01", b"rubbish", 400)),
    ],
)
def test_a_refused_request_is_told_to_the_gateway_once(
    request_bytes: bytes, seen: tuple[bytes, bytes, int]
) -> None:
    async def run() -> list[tuple[bytes, bytes, int, str]]:
        async with site() as served:
            await served.ask(request_bytes)
            return served.gateway.refusals

    [(method, path, status, _)] = asyncio.run(run())
    assert (method, path, status) == seen


def test_a_head_that_does_not_come_in_time_is_told_as_far_as_it_came() -> None:
    async def run() -> list[tuple[bytes, bytes, int, str]]:
        async with site(limits=IngressLimits(head_timeout=0.1)) as served:
            await served.ask(b"GET /slow HTTP/1.1\r\nHost:")
            return served.gateway.refusals

    assert asyncio.run(run()) == [(b"GET", b"/slow", 408, "timeout")]


def test_a_body_that_does_not_come_in_time_is_told_with_its_answer() -> None:
    async def run() -> tuple[int, Refusal | None]:
        async with site(limits=IngressLimits(body_timeout=0.1)) as served:
            await served.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
            return served.last.gone, served.last.refused

    gone, refused = asyncio.run(run())
    assert gone == 1
    assert refused is not None
    assert (refused.status, refused.code) == (408, "timeout")
