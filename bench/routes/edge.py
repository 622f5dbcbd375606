"""An edge with so many routes, told by its management API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import httpx

from bench.origin import Origin
from tests.e2e.programs import answers, eventually
from tests.e2e.stage import Stage

__all__ = ["SUFFIX", "RoutedEdge", "document", "host", "route"]

SUFFIX = ".routes.test"
PATIENCE = 600.0


def host(number: int) -> str:
    """Return the host of a route."""
    return f"h{number}{SUFFIX}"


def route(name: str, served: str) -> dict[str, Any]:
    """Return a route to the service `web`."""
    return {"name": name, "host": served, "targets": [{"selector": "service=web"}]}


def document(count: int, *others: dict[str, Any]) -> bytes:
    """Return a configuration with so many routes, and some others.

    One of them is for every host, so that any number of hosts can be served by few routes.
    """
    routes = [route(f"h{number}", host(number)) for number in range(count - 1)]
    return json.dumps({"routes": [*routes, route("any", f"*{SUFFIX}"), *others]}).encode()


class RoutedEdge:
    """The edge, its agent, and a client of its API."""

    def __init__(self, stage: Stage, origin: Origin, count: int) -> None:
        """Start it and apply the routes."""
        log = stage.folder / f"access-{count}.log"
        edge = stage.edge(f"edge-{count}", "--default-service", "none", "--access-log", log)
        token = (edge.data_dir / "admin-token").read_text().strip()
        self.count = count
        self.public = edge.public
        self.client = httpx.Client(
            base_url=edge.api_url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=PATIENCE,
        )
        self._edge = edge
        stage.agent(f"agent-{count}", edges=[edge], services={"web": f"http://{origin.clear}"}, ready=False)
        began = time.monotonic()
        self.apply(document(count))
        eventually(lambda: answers(f"{edge.url}/", host(0)), within=PATIENCE, what="the edge serves")
        self.load_time = time.monotonic() - began
        """Seconds that applying all of them took, until a client saw it."""

    @property
    def cpu(self) -> float:
        """Seconds of processor time of the data plane so far."""
        times = self._edge.part("edge.main").cpu_times()
        return times.user + times.system

    @property
    def memory(self) -> dict[str, int]:
        """Resident bytes of control process and data plane."""
        parts = {"control process": "app.control", "data plane": "edge.main"}
        return {name: int(self._edge.part(module).memory_info().rss) for name, module in parts.items()}

    def apply(self, content: bytes) -> float:
        """Apply a configuration, and return the seconds until it was acknowledged."""
        began = time.monotonic()
        answer = self.client.put("/v1/config", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text[:500]
        return time.monotonic() - began

    def add(self, new: dict[str, Any]) -> None:
        """Create a route; it is acknowledged when this returns."""
        answer = self.client.post("/v1/routes", json=new)
        assert answer.status_code == 201, answer.text[:500]

    def remove(self, names: Iterable[str]) -> None:
        """Delete routes."""
        for name in names:
            assert self.client.delete(f"/v1/routes/{name}").status_code == 204
