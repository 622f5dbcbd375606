"""`/v1/instances` and `/v1/drains`."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from app.management.access import Editor, Viewer
from app.management.answers import problems
from app.management.context import WorkOf
from app.management.live import SelectorQuery, page_of, selected
from app.management.pages import PagingQuery, cursor_of
from h2s.messages import LabelKey

from .repository import DrainRepository
from .schemas import (
    Drain,
    DrainPage,
    Health,
    Instance,
    InstanceCount,
    InstanceCountPage,
    InstancePage,
    health_of,
)
from .service import InstanceService, counted

__all__ = ["drains", "router"]

router = APIRouter(tags=["live"])
drains = APIRouter(prefix="/v1/drains", tags=["live"])

_TOO_MANY = (
    "too_many_drains",
    "1000 instances are drained, which is the most there can be.",
    "Resume some: /v1/drains lists them, also those that are long gone.",
)
InstanceId = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9-]{1,63}\.[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
        description="The id: `<service>.<agent>`.",
        examples=["web.host1-4f2a"],
    ),
]


@router.get("/v1/instances", summary="List instances", responses=problems())
async def list_instances(
    work: WorkOf,
    _: Viewer,
    paging: PagingQuery,
    selector: SelectorQuery = None,
    health: Annotated[Health | None, Query(description="Only those that are so.")] = None,
) -> InstancePage:
    """Answer with the instances that are connected to this edge, in the order of their ids."""
    management = work.management
    found = selected(management.state.instances, selector)
    if health is not None:
        found = [one for one in found if health_of(one) == health]
    shown, cursor = page_of(found, paging, lambda one: one.instance_id)
    if not shown:
        return InstancePage(items=[])
    load = await management.planes.load(agents=(one.agent_id for one in shown))
    items = [Instance.of(one, load.instances.get(one.instance_id, 0)) for one in shown]
    return InstancePage(items=items, next_cursor=cursor)


@router.get("/v1/instances:count", summary="Count instances", responses=problems())
async def count_instances(
    work: WorkOf,
    _: Viewer,
    paging: PagingQuery,
    by: Annotated[
        list[LabelKey],
        Query(
            min_length=1,
            max_length=4,
            description="`service`, `zone`, `agent` or a label; repeat it for combinations.",
            examples=[["service", "release"]],
        ),
    ],
    selector: SelectorQuery = None,
) -> InstanceCountPage:
    """Say how many instances there are of each service, zone or value of a label."""
    found = counted(selected(work.management.state.instances, selector), list(dict.fromkeys(by)))

    def key(one: InstanceCount) -> str:
        return json.dumps(list(one.by.values()))

    shown, cursor = page_of(found, paging, key)
    return InstanceCountPage(items=shown, next_cursor=cursor)


@router.get(
    "/v1/instances/{instance_id:name}", summary="Get an instance", responses=problems(404, kind="instance")
)
async def get_instance(work: WorkOf, _: Viewer, instance_id: InstanceId) -> Instance:
    """Answer with an instance that is connected to this edge."""
    one = InstanceService(work).get(instance_id)
    load = await work.management.planes.load(agents=(one.agent_id,))
    return Instance.of(one, load.instances.get(instance_id, 0))


@router.post(
    "/v1/instances/{instance_id:name}:drain",
    summary="Drain an instance",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, kind="instance", conflict=_TOO_MANY),
)
async def drain_instance(work: WorkOf, _: Editor, instance_id: InstanceId) -> None:
    """Send an instance no new requests; what runs is finished.

    It holds until the instance is resumed: over reconnects and restarts, at every edge of the fleet.
    """
    await InstanceService(work).drain(instance_id)


@router.post(
    "/v1/instances/{instance_id:name}:resume",
    summary="Resume an instance",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, kind="instance"),
)
async def resume_instance(work: WorkOf, _: Editor, instance_id: InstanceId) -> None:
    """Send a drained instance requests again. It need not be connected."""
    await InstanceService(work).resume(instance_id)


@router.post(
    "/v1/instances/{instance_id:name}:disconnect",
    summary="Disconnect an instance",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, kind="instance"),
)
async def disconnect_instance(
    work: WorkOf,
    _: Editor,
    instance_id: InstanceId,
    grace: Annotated[
        float, Query(ge=0, le=300, description="Seconds that running requests have; 0 cuts them.")
    ] = 30.0,
) -> None:
    """Close the tunnels of an instance's agent, and so of all its services. It comes back by itself.

    To keep it away, drain it, or revoke its token.
    """
    await InstanceService(work).disconnect(instance_id, grace)


@drains.get("", summary="List drains", responses=problems())
async def list_drains(work: WorkOf, _: Viewer, paging: PagingQuery) -> DrainPage:
    """Answer with the instances that an operator wants to get no new requests, connected or not."""
    async with work.read() as session:
        rows = await DrainRepository(session).page(paging.after, paging.limit + 1)
    shown, more = paging.split(rows)
    items = [Drain(instance=row.instance, actor=row.actor, since=row.since) for row in shown]
    return DrainPage(items=items, next_cursor=cursor_of(more.instance) if more else None)
