"""The management API of one edge: a FastAPI app over what the control process knows.

Everything is closed but what is listed in `OPEN`: see `app.management.entrance`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Response, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from . import resources
from .documentation import OPEN_PAGES, add_documentation
from .management.access import VIEWER
from .management.answers import problems
from .management.attempts import Attempts
from .management.context import Management
from .management.entrance import Entrance
from .management.handlers import add_handlers
from .metrics import EdgeMetrics
from .openapi import describe

__all__ = ["create_api"]

OPEN = frozenset({"/healthz", "/readyz"})
"""What needs no token, beside the pages of the documentation."""
TAGS = [
    {"name": "routes", "description": "Which requests go to which instances."},
    {"name": "policies", "description": "Named bundles of rules that routes use."},
    {"name": "live", "description": "What is connected now: services, instances, tunnels, edges."},
    {"name": "tokens", "description": "Who may register agents, and who may use this API."},
    {"name": "events", "description": "What was changed, by whom; and what happens now."},
    {"name": "config", "description": "The whole configuration as one document."},
    {"name": "probes", "description": "For load balancers and monitoring."},
]
DESCRIPTION = """
The management API of a Backplane edge. Every request but those to the probes needs a token:
press *Authorize* and paste the content of the file `admin-token` in the edge's data directory.

Errors are `application/problem+json` with a stable `code`, the fields that are wrong, a hint and a request id.
Lists come in pages: `{"items": [...], "next_cursor": null}`. A resource's `ETag` goes into `If-Match`, so that
nobody overwrites what they have not seen.
"""


_METRICS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "backplane_tunnels 6.0\n"}},
        "description": "Prometheus text format.",
    }
}


class Health(BaseModel):
    """The answer of a probe."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok", "starting", "draining"] = Field(description="What the edge is at.")


class Readiness(Health):
    """The answer of the readiness probe."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "ok", "instances": 3, "tunnels": 6}]}
    )

    instances: int = Field(
        description="Instances with at least one healthy upstream that take requests.",
    )
    tunnels: int = Field(description="Tunnels that stand.")


def create_api(
    management: Management, *, open_metrics: bool = False, hosts: Collection[str] | None = None
) -> FastAPI:
    """Build the app. It reads what `management` has at each request and keeps nothing itself.

    `hosts` are the names that it may be asked under, beside its addresses; None: any.
    """
    api = FastAPI(
        title="Backplane edge",
        summary="Management API of one edge.",
        description=DESCRIPTION,
        version=version("backplane-server"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        openapi_tags=TAGS,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    api.state.management = management
    add_handlers(api)
    for router in (*resources.routers(), _probes(management, open_metrics=open_metrics)):
        api.include_router(router)
    add_documentation(api)
    api.openapi = partial(_document, api)  # type: ignore[method-assign]
    opened = OPEN | OPEN_PAGES | ({"/metrics"} if open_metrics else set())
    api.add_middleware(
        Entrance,
        credentials=management.credentials,
        is_open=opened.__contains__,
        attempts=Attempts(),
        bodies=resources.LARGE_BODIES,
        hosts=hosts,
    )
    return api


def _probes(management: Management, *, open_metrics: bool) -> APIRouter:
    router = APIRouter(tags=["probes"])
    state = management.state
    metrics = EdgeMetrics(state)

    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> Health:
        """Answer 200 as long as the process runs."""
        return Health(status="ok")

    @router.get(
        "/readyz",
        summary="Are new requests welcome?",
        responses={
            200: {"model": Readiness},
            503: {"model": Readiness, "description": "Starting or stopping: send traffic elsewhere."},
        },
    )
    async def readyz() -> JSONResponse:
        """Answer 200 while the edge accepts requests, 503 before that and when it drains."""
        readiness = Readiness(
            status="ok" if state.serving else "draining" if state.draining else "starting",
            instances=sum(1 for one in state.instances if one.healthy and one.tunnels and not one.drained),
            tunnels=state.tunnels,
        )
        code = status.HTTP_200_OK if state.serving else status.HTTP_503_SERVICE_UNAVAILABLE
        return JSONResponse(readiness.model_dump(), status_code=code)

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        responses=problems() | _METRICS,
        dependencies=[] if open_metrics else [VIEWER],
    )
    async def prometheus() -> Response:
        """Answer with every metric of this edge. An edge with `--open-metrics` asks for no token."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _document(api: FastAPI) -> dict[str, Any]:
    if api.openapi_schema is None:
        api.openapi_schema = describe(api)
    return api.openapi_schema
