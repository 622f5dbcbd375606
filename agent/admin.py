"""The agent's health endpoint: `GET /healthz` says it lives, `GET /readyz` that requests can reach an app."""

from __future__ import annotations

import asyncio
import json
from typing import cast

from .agent import Agent

__all__ = ["AdminServer"]

TIMEOUT = 5.0
"""Seconds that a request may take to arrive."""
MAX_HEAD = 8 * 1024


class AdminServer:
    """A small HTTP/1.1 server, one request a connection, made for probes."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._server: asyncio.Server | None = None
        self._probes: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_HEAD)

    async def close(self) -> None:
        """Stop listening, and end the probes that run."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._probes.values():
            writer.transport.abort()
        await asyncio.gather(*self._probes)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._probes[task] = writer
        try:
            async with asyncio.timeout(TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = self._answer(head)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                if not head.startswith(b"HEAD "):
                    writer.write(body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            del self._probes[task]
            writer.close()

    def _answer(self, head: bytes) -> tuple[str, bytes]:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path not in (b"/healthz", b"/readyz"):
            return "404 Not Found", b'{"status":"not found"}\n'
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b'{"status":"GET only"}\n'
        tunnels = len(self._agent.tunnels)
        if path == b"/readyz" and not self._agent.ready:
            body = {"status": "not ready", "tunnels": tunnels, "instances": self._instances()}
            return "503 Service Unavailable", json.dumps(body).encode() + b"\n"
        body = {"status": "ok", "tunnels": tunnels, "instances": self._instances()}
        return "200 OK", json.dumps(body).encode() + b"\n"

    def _instances(self) -> list[dict[str, object]]:
        return [
            {"service": item.service, "healthy": item.healthy, "total": item.total}
            for item in self._agent.report().instances
        ]
