"""The management API of one edge: a FastAPI app over what the control process knows."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

from fastapi import FastAPI, Response, status
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from .metrics import EdgeMetrics
from .state import EdgeState

__all__ = ["create_api"]


class Health(BaseModel):
    """The answer of a probe."""

    status: Literal["ok", "starting", "draining"]


class Readiness(Health):
    """The answer of the readiness probe."""

    instances: int
    """Instances with at least one healthy upstream that take requests."""
    tunnels: int


def create_api(state: EdgeState) -> FastAPI:
    """Build the app. It reads `state` at each request and keeps nothing itself."""
    api = FastAPI(
        title="Backplane edge",
        summary="Management API of one edge.",
        version=version("backplane-server"),
        docs_url=None,
        redoc_url=None,
    )
    metrics = EdgeMetrics(state)

    @api.get("/healthz", tags=["probes"], summary="Is the process alive?")
    async def healthz() -> Health:
        """Answer 200 as long as the process runs."""
        return Health(status="ok")

    @api.get(
        "/readyz",
        tags=["probes"],
        summary="Are new requests welcome?",
        responses={503: {"model": Readiness, "description": "Starting or stopping: send traffic elsewhere."}},
    )
    async def readyz() -> JSONResponse:
        """Answer 200 while the edge accepts requests, 503 before that and when it drains."""
        readiness = Readiness(
            status="ok" if state.serving else "draining" if state.draining else "starting",
            instances=sum(1 for instance in state.instances if instance.healthy and instance.tunnels),
            tunnels=state.registry.tunnels,
        )
        code = status.HTTP_200_OK if state.serving else status.HTTP_503_SERVICE_UNAVAILABLE
        return JSONResponse(readiness.model_dump(), status_code=code)

    @api.get(
        "/metrics",
        tags=["probes"],
        summary="Prometheus metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format."}},
    )
    async def prometheus() -> Response:
        """Answer with every metric of this edge."""
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return api
