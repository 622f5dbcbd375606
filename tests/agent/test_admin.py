"""The agent's health endpoint."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, cast

import pytest

import agent.admin
from agent.admin import AdminServer
from agent.agent import Agent
from h2s.messages import InstanceReport, Report

from ..h2s.loops import until
from .conftest import Drive


class FakeAgent:
    """What the endpoint asks of an agent."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready
        self.tunnels = [object(), object()] if ready else []

    def report(self) -> Report:
        return Report(instances=[InstanceReport(service="web", healthy=int(self.ready), total=1)])


async def start(**how: bool) -> tuple[AdminServer, int]:
    """Start an endpoint; return its port too."""
    admin = AdminServer(cast(Agent, FakeAgent(**how)))
    await admin.start("127.0.0.1", 0)
    assert admin._server is not None
    return admin, admin._server.sockets[0].getsockname()[1]


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Send a request; return the answer's status line and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.partition(b"\r\n")[0], body


def answers(drive: Drive, request: bytes, **how: bool) -> tuple[bytes, Any]:
    """Return the status line and the JSON with which a fresh endpoint answers."""
    found: list[tuple[bytes, bytes]] = []

    async def main() -> None:
        admin, port = await start(**how)
        found.append(await ask(port, request))
        await admin.close()

    drive(main)
    status, body = found[0]
    return status, json.loads(body) if body else None


def test_a_ready_agent_says_so(drive: Drive) -> None:
    status, body = answers(drive, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert status == b"HTTP/1.1 200 OK"
    assert body == {
        "status": "ok",
        "tunnels": 2,
        "instances": [{"service": "web", "healthy": 1, "total": 1}],
    }


def test_an_agent_that_is_not_ready_lives_all_the_same(drive: Drive) -> None:
    ready, body = answers(drive, b"GET /readyz?verbose HTTP/1.1\r\nHost: a\r\n\r\n", ready=False)
    assert ready == b"HTTP/1.1 503 Service Unavailable"
    assert (body["status"], body["tunnels"]) == ("not ready", 0)
    assert answers(drive, b"GET /healthz HTTP/1.1\r\n\r\n", ready=False)[0] == b"HTTP/1.1 200 OK"


def test_head_is_answered_without_a_body(drive: Drive) -> None:
    assert answers(drive, b"HEAD /healthz HTTP/1.1\r\n\r\n") == (b"HTTP/1.1 200 OK", None)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"GET / HTTP/1.1", b"404 Not Found"), (b"POST /healthz HTTP/1.1", b"405 Method Not Allowed")],
)
def test_anything_else_is_refused(drive: Drive, request_line: bytes, status: bytes) -> None:
    assert answers(drive, request_line + b"\r\n\r\n")[0] == b"HTTP/1.1 " + status


@pytest.mark.parametrize("rubbish", [b"\r\n\r\n", b"\0" * 20_000, b"GET"])
def test_rubbish_costs_its_connection_only(drive: Drive, rubbish: bytes) -> None:
    async def main() -> None:
        admin, port = await start()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(rubbish)
        writer.write_eof()
        assert (await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 200 OK"
        writer.close()
        await admin.close()

    drive(main)


def test_a_probe_that_is_silent_is_dropped(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.admin, "TIMEOUT", 0.05)

    async def main() -> None:
        admin, port = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await admin.close()

    drive(main)


def test_closing_ends_the_probes_that_run(drive: Drive) -> None:
    async def main() -> None:
        admin, port = await start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: admin._probes)
        await admin.close()
        assert not admin._probes
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    drive(main)


def test_an_endpoint_that_was_never_started_can_be_closed(drive: Drive) -> None:
    drive(AdminServer(cast(Agent, FakeAgent())).close)
