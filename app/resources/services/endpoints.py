"""`/v1/services`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from app.management.access import Viewer
from app.management.answers import problems
from app.management.context import WorkOf
from app.management.live import SelectorQuery, page_of, selected
from app.management.pages import PagingQuery
from app.management.problem import NotFound

from .schemas import Service, ServicePage
from .service import by_service, shown

__all__ = ["router"]

router = APIRouter(prefix="/v1/services", tags=["live"])


@router.get("", summary="List services", responses=problems())
async def list_services(
    work: WorkOf, _: Viewer, paging: PagingQuery, selector: SelectorQuery = None
) -> ServicePage:
    """Answer with the services that have instances at this edge, in the order of their names.

    With a selector only the instances that it picks are counted; what is in flight and over is of the whole service.
    """
    services = by_service(selected(work.management.state.instances, selector))
    names, cursor = page_of(services, paging, str)
    items = await shown(work.management, {name: services[name] for name in names})
    return ServicePage(items=items, next_cursor=cursor)


@router.get("/{name:name}", summary="Get a service", responses=problems(404, kind="service"))
async def get_service(
    work: WorkOf,
    _: Viewer,
    name: Annotated[
        str, Path(pattern=r"^[a-z0-9-]{1,63}$", description="The service's name.", examples=["web"])
    ],
) -> Service:
    """Answer with a service that has instances at this edge."""
    instances = [one for one in work.management.state.instances if one.service == name]
    if not instances:
        raise NotFound(f"No instance of {name!r} is connected to this edge.", code="service_not_found")
    [found] = await shown(work.management, {name: instances})
    return found
