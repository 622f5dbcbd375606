"""`/v1/routes`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from sqlalchemy import select

from app.database.models import RoutePolicy, RouteRow
from app.management.access import Editor, Viewer
from app.management.answers import created, ok, problems
from app.management.context import WorkOf
from app.management.live import page_of
from app.management.names import NameInPath
from app.management.pages import PagingQuery, cursor_of
from app.management.versions import IfMatch, IfNoneMatch, tag, tag_new
from edge.explain import Explanation, Question

from .discovered import discovered_routes
from .schemas import Route, RouteInput, RoutePage, RoutePatch, RouteReplacement, Weights
from .service import RouteService

__all__ = ["explaining", "router"]

router = APIRouter(prefix="/v1/routes", tags=["routes"])
explaining = APIRouter()


@router.get("", summary="List routes", responses=problems())
async def list_routes(
    work: WorkOf,
    _: Viewer,
    paging: PagingQuery,
    source: Annotated[
        Literal["configured", "discovered"],
        Query(description="Routes that somebody made, or those of published services."),
    ] = "configured",
    host: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9.*_\[\]:-]{1,256}$", description="Only those with this host.")
    ] = None,
    policy: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Only those that use this policy.")
    ] = None,
) -> RoutePage:
    """Answer with routes in the order of their names."""
    service = RouteService(work)
    if source == "discovered":
        found = discovered_routes(work.management.state, domain=work.management.domain)
        routes = [one for one in found if host in (None, one.host) and not policy]
        shown, cursor = page_of(routes, paging, lambda one: one.name)
        return RoutePage(items=shown, next_cursor=cursor)
    conditions = []
    if host is not None:
        conditions.append(RouteRow.host == host.lower())
    if policy is not None:
        conditions.append(RouteRow.name.in_(select(RoutePolicy.route).where(RoutePolicy.policy == policy)))
    rows, more = await service.list(paging, *conditions)
    return RoutePage(
        items=[service.view(row) for row in rows], next_cursor=cursor_of(more.name) if more else None
    )


@router.post(
    "",
    summary="Create a route",
    status_code=status.HTTP_201_CREATED,
    responses=created(Route) | problems(409, 413, kind="route"),
)
async def create_route(work: WorkOf, _: Editor, body: RouteInput, response: Response) -> Route:
    """Add a route. It is in effect when the answer comes."""
    service = RouteService(work)
    row = await service.create(body.spec())
    tag_new(response, row.version, path=f"/v1/routes/{row.name}")
    return service.view(row, warn=True)


@router.get("/{name:name}", summary="Get a route", responses=ok() | problems(404, kind="route"))
async def get_route(work: WorkOf, _: Viewer, name: NameInPath, response: Response) -> Route:
    """Answer with a route and its ETag."""
    service = RouteService(work)
    row = await service.get(name)
    tag(response, row.version)
    return service.view(row, warn=True)


@router.put(
    "/{name:name}",
    summary="Create or replace a route",
    responses=ok() | created(Route) | problems(412, 413, kind="route"),
)
async def replace_route(
    work: WorkOf,
    _: Editor,
    name: NameInPath,
    body: RouteReplacement,
    response: Response,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Route:
    """Put a route under its name. Doing it again changes nothing."""
    service = RouteService(work)
    row, created = await service.replace(
        service.named(name, body), if_match=if_match, if_none_match=if_none_match
    )
    if created:
        tag_new(response, row.version, path=f"/v1/routes/{row.name}")
    else:
        tag(response, row.version)
    return service.view(row, warn=True)


@router.patch(
    "/{name:name}", summary="Change parts of a route", responses=ok() | problems(404, 412, 413, kind="route")
)
async def patch_route(
    work: WorkOf, _: Editor, name: NameInPath, body: RoutePatch, response: Response, if_match: IfMatch = None
) -> Route:
    """Apply a JSON merge patch: what is not named stays as it is."""
    service = RouteService(work)
    row = await service.patch(name, body.model_dump(exclude_unset=True), if_match=if_match)
    tag(response, row.version)
    return service.view(row, warn=True)


@router.patch(
    "/{name:name}/weights", summary="Shift traffic", responses=ok() | problems(404, 412, 413, kind="route")
)
async def set_weights(
    work: WorkOf, _: Editor, name: NameInPath, body: Weights, response: Response, if_match: IfMatch = None
) -> Route:
    """Set the weights of a route's targets in one step, for a canary or a blue/green switch."""
    service = RouteService(work)
    row = await service.set_weights(name, body, if_match=if_match)
    tag(response, row.version)
    return service.view(row, warn=True)


@router.delete(
    "/{name:name}",
    summary="Delete a route",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 412, kind="route"),
)
async def delete_route(work: WorkOf, _: Editor, name: NameInPath, if_match: IfMatch = None) -> None:
    """Take a route away."""
    await RouteService(work).delete(name, if_match=if_match)


@explaining.post(
    "/v1/routes:explain",
    summary="Explain where a request would go",
    tags=["routes"],
    responses=problems(413),
)
async def explain_request(work: WorkOf, _: Viewer, body: Question) -> Explanation:
    """Say for a method, host, path and headers which route, target and instances would serve it, and why.

    Nothing is sent. What is said of instances is true at this moment.
    """
    return await work.management.planes.explain(body)
