from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app import api as api_module
from app.database import DatabaseUrl
from app.documentation import OPEN_PAGES
from app.management.credentials import Role
from edge.port import PlaneReady

from .console import TOKENS, Console, instance

READY = PlaneReady(public="a:1", tunnel="b:2", pid=1)
OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs", "/redoc", "/", "/docs/start.js", "/docs/redoc.css"}
SCRIPTS = {"/docs/swagger-ui.js", "/docs/swagger-ui.css", "/docs/redoc.js", "/redoc/logo-mini.svg"}
"""What answers without a token."""


def test_the_process_is_alive_before_it_is_ready(console: Console) -> None:
    assert console.get("/healthz", role=None).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("notices", "draining", "code", "status"),
    [((), False, 503, "starting"), ((READY,), False, 200, "ok"), ((READY,), True, 503, "draining")],
)
def test_readiness_follows_the_edges_life(
    console: Console, notices: Any, draining: bool, code: int, status: str
) -> None:
    for notice in notices:
        console.state.on_notice(notice)
    console.state.draining = draining
    answer = console.get("/readyz", role=None)
    assert (answer.status_code, answer.json()["status"]) == (code, status)


def test_readiness_counts_instances_that_take_requests(console: Console) -> None:
    console.state.on_notice(READY)
    console.connect(
        instance(), instance("api", healthy=0), instance("old", tunnels=0), instance("new", drained=True)
    )
    assert console.get("/readyz", role=None).json() == {"status": "ok", "instances": 1, "tunnels": 4}


def test_metrics_are_prometheus_text_for_those_who_may_read(console: Console) -> None:
    assert console.get("/metrics", role=None).status_code == 401
    answer = console.get("/metrics", role=Role.VIEWER)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "backplane_tunnels 0.0" in answer.text


def test_metrics_can_be_opened(tmp_path: Path) -> None:
    with Console(DatabaseUrl.sqlite(tmp_path), open_metrics=True) as console:
        assert console.get("/metrics", role=None).status_code == 200


def operations(console: Console) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every operation of the OpenAPI document: method, path, description."""
    paths = console.get("/openapi.json", role=None).json()["paths"]
    return [(method.upper(), path, one) for path, item in paths.items() for method, one in item.items()]


def test_every_endpoint_is_described(console: Console) -> None:
    for method, path, operation in operations(console):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{where} {parameter['name']}"


def test_every_schema_that_is_sent_has_an_example(console: Console) -> None:
    document = console.get("/openapi.json", role=None).json()
    for method, path, operation in operations(console):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            assert named.get("examples") or content.get("examples"), f"{method} {path}"


def test_nothing_but_the_open_pages_answers_without_a_token(console: Console) -> None:
    closed = 0
    for method, path, operation in operations(console):
        if path in OPEN:
            continue
        closed += 1
        assert operation["security"] == [{"token": []}], f"{method} {path}"
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKENS[Role.ADMIN]}"},
        ):
            answer = console.request(
                method, path.replace("{", "").replace("}", ""), role=None, headers=headers
            )
            assert answer.status_code in (401, 429), f"{method} {path}"
    assert closed > 10
    assert api_module.OPEN | OPEN_PAGES == OPEN | SCRIPTS
    for path in OPEN | SCRIPTS:
        assert console.get(path, role=None).status_code not in (401, 404, 429), path


def test_no_operation_that_changes_something_is_for_viewers(console: Console) -> None:
    for method, path, _ in operations(console):
        if method == "GET" or path.endswith(":explain"):
            continue
        answer = console.request(method, path.replace("{", "").replace("}", ""), role=Role.VIEWER, json={})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{method} {path}"


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/metrics/", "/docs/", "//healthz"])
def test_a_path_that_is_not_there_is_closed_too(console: Console, path: str) -> None:
    assert console.get(f"http://api{path}", role=None).status_code == 401
