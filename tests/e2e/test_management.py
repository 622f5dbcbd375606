"""The management API of real edges: what it is told is what the public sees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from .client import fetch, request
from .programs import backplane, eventually
from .stage import Edge, Stage

SHOP: dict[str, Any] = {"name": "shop", "host": "shop.example", "targets": [{"selector": "service=web"}]}


@contextmanager
def console(edge: Edge, *, identity: Edge | None = None) -> Iterator[httpx.Client]:
    """Give a client of an edge's API with the first token, which may be that of the edge whose identity it shares."""
    token = ((identity or edge).data_dir / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=edge.api_url, headers=headers, trust_env=False, timeout=10) as client:
        yield client


def status(edge: Edge, host: str, path: str = "/") -> int:
    """Return the status that the public gets."""
    return fetch(edge.public, request(path, host=host)).status


def test_a_route_is_in_effect_when_the_answer_comes(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent(edges=[edge], services={"web": stage.origin().url})
    assert status(edge, "shop.example") == 404
    with console(edge) as api:
        for round_ in range(20):
            assert api.post("/v1/routes", json=SHOP).status_code == 201
            assert status(edge, "shop.example") == 200, round_
            assert api.delete("/v1/routes/shop").status_code == 204
            assert status(edge, "shop.example") == 404, round_


def test_a_request_is_explained_as_it_would_go(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent(edges=[edge], services={"web": stage.origin().url})
    with console(edge) as api:
        api.post("/v1/routes", json=SHOP)
        explained = api.post("/v1/routes:explain", json={"host": "shop.example", "path": "/cart"}).json()
        nowhere = api.post("/v1/routes:explain", json={"host": "other.example"}).json()
    assert (explained["route"], explained["targets"][0]["instances"]) == ("shop", 1)
    assert (nowhere["route"], nowhere["status"]) == (None, 404)


def test_routes_and_tokens_survive_a_start_without_the_database(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent(edges=[edge], services={"web": stage.origin().url})
    with console(edge) as api:
        api.post("/v1/routes", json=SHOP)
    edge.stop()
    (edge.data_dir / "backplane.sqlite").write_bytes(b"rubbish " * 1000)
    for name in ("backplane.sqlite-wal", "backplane.sqlite-shm"):
        (edge.data_dir / name).unlink(missing_ok=True)
    again = stage.edge("again", "--default-service", "none", data_dir=edge.data_dir, addresses=edge.addresses)
    eventually(lambda: status(again, "shop.example") == 200, within=20, what="the route is served again")
    with console(again) as api:
        answer = api.get("/v1/routes")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "not a database" in answer.json()["detail"]
    assert "Traceback" not in again.stderr


def test_an_edge_does_not_start_on_a_newer_schema(stage: Stage) -> None:
    import sqlite3

    edge = stage.edge()
    edge.stop()
    database = sqlite3.connect(edge.data_dir / "backplane.sqlite")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    result = subprocess.run(
        backplane("edge", "--data-dir", edge.data_dir),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert "schema 9999, which is newer than this version" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("open_metrics", [False, True])
def test_metrics_want_a_token_unless_they_are_opened(stage: Stage, open_metrics: bool) -> None:
    edge = stage.edge(open_metrics=open_metrics)
    code = httpx.get(f"{edge.api_url}/metrics", trust_env=False).status_code
    assert code == (200 if open_metrics else 401)
