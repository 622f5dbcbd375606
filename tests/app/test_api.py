from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from app.api import create_api
from app.state import EdgeState
from edge.port import PlaneReady, RegistryState

from .test_state import make_instance

READY = PlaneReady(public="a:1", tunnel="b:2")


def get(path: str, *notices: Any, draining: bool = False) -> httpx.Response:
    async def main() -> httpx.Response:
        state = EdgeState()
        for notice in notices:
            state.on_notice(notice)
        state.draining = draining
        transport = httpx.ASGITransport(app=create_api(state))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get(path)

    return asyncio.run(main())


def test_the_process_is_alive_before_it_is_ready() -> None:
    assert get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("notices", "draining", "code", "status"),
    [((), False, 503, "starting"), ((READY,), False, 200, "ok"), ((READY,), True, 503, "draining")],
)
def test_readiness_follows_the_edges_life(notices: Any, draining: bool, code: int, status: str) -> None:
    answer = get("/readyz", *notices, draining=draining)
    assert (answer.status_code, answer.json()["status"]) == (code, status)


def test_readiness_counts_instances_that_take_requests() -> None:
    instances = (make_instance(), make_instance(healthy=0), make_instance(tunnels=0))
    answer = get("/readyz", READY, RegistryState(instances=instances, tunnels=2))
    assert answer.json() == {"status": "ok", "instances": 1, "tunnels": 2}


def test_metrics_are_prometheus_text() -> None:
    answer = get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "backplane_tunnels 0.0" in answer.text


def test_every_endpoint_is_described() -> None:
    paths = get("/openapi.json").json()["paths"]
    assert set(paths) == {"/healthz", "/readyz", "/metrics"}
    assert all(operation["get"]["summary"] for operation in paths.values())
