"""`/v1/tunnels`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from fastapi import APIRouter

from app.management.access import Viewer
from app.management.answers import problems
from app.management.context import Management, WorkOf
from app.management.live import SelectorQuery, page_of, selected
from app.management.names import Identifier
from app.management.pages import PagingQuery
from app.management.problem import NotFound
from edge.port import TunnelState

from .schemas import Tunnel, TunnelPage

__all__ = ["router"]

router = APIRouter(prefix="/v1/tunnels", tags=["live"])


@router.get("", summary="List tunnels", responses=problems())
async def list_tunnels(
    work: WorkOf, _: Viewer, paging: PagingQuery, selector: SelectorQuery = None
) -> TunnelPage:
    """Answer with the tunnels of agents, in the order of their ids.

    With a selector those of agents that have an instance which it picks.
    """
    state = work.management.state
    found: Iterable[TunnelState] = state.standing
    if selector is not None:
        agents = {one.agent_id for one in selected(state.instances, selector)}
        found = [one for one in found if one.agent_id in agents]
    tunnels, cursor = page_of(found, paging, lambda one: one.tunnel_id)
    return TunnelPage(items=await _shown(work.management, tunnels), next_cursor=cursor)


@router.get("/{tunnel_id:name}", summary="Get a tunnel", responses=problems(404, kind="tunnel"))
async def get_tunnel(work: WorkOf, _: Viewer, tunnel_id: Identifier) -> Tunnel:
    """Answer with a tunnel."""
    tunnels = [one for one in work.management.state.standing if one.tunnel_id == tunnel_id]
    for found in await _shown(work.management, tunnels):
        return found
    raise NotFound(f"There is no tunnel {tunnel_id!r} at this edge.", code="tunnel_not_found")


async def _shown(management: Management, tunnels: list[TunnelState]) -> list[Tunnel]:
    if not tunnels:
        return []
    load = await management.planes.load(agents=(one.agent_id for one in tunnels))
    found = []
    for one in tunnels:
        agent = management.state.agent(one.agent_id)
        if agent is None or not agent.instances:
            continue  # it went while the data plane was asked
        first = agent.instances[0]
        found.append(
            Tunnel(
                id=one.tunnel_id,
                agent=one.agent_id,
                services=sorted(instance.service for instance in agent.instances),
                zone=first.zone,
                address=one.address,
                agent_version=first.version,
                token=first.token_id,
                opened=datetime.fromtimestamp(one.opened, UTC),
                draining=one.draining,
                in_flight=load.tunnels.get(one.tunnel_id, 0),
            )
        )
    return found
