"""`/v1/events`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from app.management.access import Viewer
from app.management.answers import problems
from app.management.context import WorkOf
from app.management.moment import Moment
from app.management.pages import PagingQuery, cursor_of

from .schemas import EventPage
from .service import EventService, view

__all__ = ["router"]

router = APIRouter(prefix="/v1/events", tags=["events"])

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, without end.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event; `data` is JSON.",
                    "properties": {
                        "event": {"type": "string", "description": "What it is."},
                        "id": {"type": "string", "description": "The number of a change, for Last-Event-ID."},
                        "data": {"type": "string", "description": "What happened, as JSON."},
                    },
                    "required": ["event", "data"],
                },
                "example": 'id: 12\nevent: audit\ndata: {"id": 12, "kind": "route", "name": "shop"}\n\n',
            }
        },
    }
}
Word = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9._-]{1,128}$", description="Only those with this.")]


@router.get("", summary="List events", responses=problems())
async def list_events(
    work: WorkOf,
    _: Viewer,
    paging: PagingQuery,
    kind: Word = None,
    name: Word = None,
    action: Word = None,
    actor: Word = None,
    since: Annotated[Moment | None, Query(description="Only those at this time or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only those before this time.")] = None,
) -> EventPage:
    """Answer with what was changed, the newest first."""
    equal = {"kind": kind, "name": name, "action": action, "actor": actor}
    rows, more = await EventService(work).list(paging, equal=equal, since=since, until=until)
    return EventPage(items=[view(row) for row in rows], next_cursor=cursor_of(more.id) if more else None)


@router.get(
    "/stream",
    summary="Follow events",
    response_class=StreamingResponse,
    responses=_STREAM | problems(),
)
async def follow_events(
    work: WorkOf,
    _: Viewer,
    last_event_id: Annotated[
        str | None,
        Header(
            pattern=r"^[0-9]{1,18}$", description="The last event that was seen: what was missed comes first."
        ),
    ] = None,
) -> Response:
    """Answer with server-sent events as they happen, without end.

    `audit` is a change that somebody made, with its number as `id`; after a break those that were missed are told.
    The others are of this edge and told as they happen: `tunnel_opened`, `tunnel_closed`, `instance_up`,
    `instance_down`, `instance_health`, `instance_drained`, `instance_resumed`, `instance_reconnecting`,
    `instance_reconnected`, `instance_ejected`, `instance_returned`, `data_plane_up` and
    `data_plane_down`. `lost` is the last to one who does not keep up.
    """
    after = None if last_event_id is None else int(last_event_id)
    return StreamingResponse(await EventService(work).follow(after), media_type="text/event-stream")
