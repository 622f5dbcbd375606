"""`/v1/config`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import JSONResponse

from app.management.access import Editor, Viewer
from app.management.answers import ok, problems
from app.management.context import WorkOf
from app.management.versions import IfMatch, etag, tag

from .schemas import EXAMPLE, ConfigDocument, ConfigResult
from .service import ConfigService
from .text import JSON_TYPE, YAML_TYPE, parse, to_yaml, wants_yaml

__all__ = ["router"]

router = APIRouter(prefix="/v1/config", tags=["config"])

_SCHEMA = {"$ref": f"#/components/schemas/{ConfigDocument.__name__}"}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON_TYPE: {"schema": _SCHEMA, "example": EXAMPLE},
            YAML_TYPE: {"schema": _SCHEMA, "example": to_yaml(EXAMPLE)},
        },
    }
}
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {**ok()[200], "model": ConfigDocument, "content": {YAML_TYPE: {"schema": _SCHEMA}}}
}


@router.get("", summary="Export the configuration", responses=_EXPORT | problems())
async def export_config(
    work: WorkOf,
    _: Viewer,
    format_: Annotated[
        Literal["json", "yaml"] | None,
        Query(alias="format", description="What to answer with; without it, what Accept asks for."),
    ] = None,
    accept: Annotated[str, Header(description="application/yaml for YAML.")] = "",
) -> Response:
    """Answer with all routes and policies as one document, without what is as by default.

    It has no tokens and no secrets. Applying it changes nothing.
    """
    content, version = await ConfigService(work).export()
    headers = {"ETag": etag(version), "Vary": "Accept"}
    if format_ == "yaml" or (format_ is None and wants_yaml(accept)):
        text = await asyncio.to_thread(to_yaml, content)
        return Response(text, media_type=YAML_TYPE, headers=headers)
    return JSONResponse(content, headers=headers)


@router.put(
    "", summary="Apply a configuration", responses=ok() | problems(412, 413, 415), openapi_extra=_BODY
)
async def apply_config(
    work: WorkOf,
    _: Editor,
    request: Request,
    response: Response,
    dry_run: Annotated[bool, Query(description="Change nothing; say what would be changed.")] = False,
    if_match: IfMatch = None,
) -> ConfigResult:
    """Make routes and policies what a document says, all in one step, and answer with what was changed.

    A part that the document has is then exactly as it says: a route that it does not name is deleted. A part that it
    does not have stays as it is. Tokens are no part of it.
    """
    body = await request.body()
    content = await asyncio.to_thread(parse, body, request.headers.get("content-type", ""))
    result = await ConfigService(work).apply(content, dry_run=dry_run, if_match=if_match)
    tag(response, result.version)
    return result
