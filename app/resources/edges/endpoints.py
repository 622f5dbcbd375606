"""`/v1/edges`."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version

from fastapi import APIRouter

from app.management.access import Viewer
from app.management.answers import problems
from app.management.context import Management, WorkOf
from app.management.live import page_of
from app.management.names import Identifier
from app.management.pages import PagingQuery
from app.management.problem import NotFound
from app.resources.instances.schemas import is_healthy

from .schemas import Edge, EdgePage, SnapshotVersion

__all__ = ["router"]

router = APIRouter(prefix="/v1/edges", tags=["live"])


@router.get("", summary="List edges", responses=problems())
async def list_edges(work: WorkOf, _: Viewer, paging: PagingQuery) -> EdgePage:
    """Answer with the edge that is asked."""
    shown, cursor = page_of([_shown(work.management)], paging, lambda one: one.id)
    return EdgePage(items=shown, next_cursor=cursor)


@router.get("/{edge_id:name}", summary="Get an edge", responses=problems(404, kind="edge"))
async def get_edge(work: WorkOf, _: Viewer, edge_id: Identifier) -> Edge:
    """Answer with the edge that is asked, if it has this name."""
    found = _shown(work.management)
    if found.id != edge_id:
        raise NotFound(f"This edge is {found.id!r}, not {edge_id!r}.", code="edge_not_found")
    return found


def _shown(management: Management) -> Edge:
    state = management.state
    snapshot = management.planes.version
    ready, counters, instances = state.ready, state.counters, state.instances
    return Edge(
        id=management.edge_id,
        zone=management.zone,
        domain=management.domain,
        version=version("backplane-server"),
        engine=ready.engine if ready else None,
        status="ok" if state.serving else "draining" if state.draining else "starting",
        database=management.feed.database_error,
        started=datetime.fromtimestamp(ready.started, UTC) if ready else None,
        public=ready.public if ready else None,
        tunnel=ready.tunnel if ready else None,
        snapshot=SnapshotVersion(**snapshot.model_dump()) if ready and snapshot else None,
        services=len({one.service for one in instances}),
        instances=len(instances),
        healthy=sum(1 for one in instances if is_healthy(one)),
        agents=state.agents,
        tunnels=state.tunnels,
        in_flight=counters.in_flight if counters else 0,
        public_connections=counters.public_connections if counters else 0,
        requests=sum(one.count for one in counters.requests) if counters else 0,
        requests_per_second=state.rates.of(),
    )
