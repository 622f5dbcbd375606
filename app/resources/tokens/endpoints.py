"""`/v1/tokens`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Query, Response, status

from app.management.access import Admin
from app.management.answers import created, ok, problems
from app.management.context import WorkOf
from app.management.names import Identifier
from app.management.pages import PagingQuery, cursor_of
from app.management.versions import IfMatch, tag, tag_new

from .schemas import CreatedToken, Token, TokenInput, TokenPage, TokenPatch
from .service import TokenService

__all__ = ["router"]

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

_REVOKED = ("token_revoked", "The token 'api-1f2e3d4c' is revoked for good.", "Make a new one.")
_LAST = (
    "last_admin_token",
    "The token 'admin-1f2e3d4c' is the last one with the role admin that does not expire.",
    "Make another one first.",
)


@router.get("", summary="List tokens", responses=problems())
async def list_tokens(
    work: WorkOf,
    _: Admin,
    paging: PagingQuery,
    kind: Annotated[
        Literal["join", "api"] | None, Query(description="Only those for agents, or for this API.")
    ] = None,
    revoked: Annotated[bool, Query(description="Also those that are revoked.")] = False,
) -> TokenPage:
    """Answer with tokens in the order of their ids, without their secrets."""
    tokens, more = await TokenService(work).list(paging, kind=kind, revoked=revoked)
    return TokenPage(items=tokens, next_cursor=cursor_of(more.id) if more else None)


@router.post(
    "",
    summary="Create a token",
    status_code=status.HTTP_201_CREATED,
    responses=created(CreatedToken) | problems(413),
)
async def create_token(
    work: WorkOf,
    _: Admin,
    body: Annotated[
        TokenInput,
        Body(
            openapi_examples={
                "agents": {
                    "summary": "For agents of one service",
                    "value": {"kind": "join", "description": "The web team", "services": ["web"]},
                },
                "api": {
                    "summary": "For a program that changes routes",
                    "value": {"kind": "api", "description": "CI", "role": "editor"},
                },
            }
        ),
    ],
    response: Response,
) -> CreatedToken:
    """Make a token. Its secret is in this answer alone: it is kept as a hash."""
    token, secret = await TokenService(work).create(body)
    tag_new(response, token.version, path=f"/v1/tokens/{token.id}")
    return CreatedToken(token=token, secret=secret)


@router.get("/{token_id:name}", summary="Get a token", responses=ok() | problems(404, kind="token"))
async def get_token(work: WorkOf, _: Admin, token_id: Identifier, response: Response) -> Token:
    """Answer with a token, without its secret; also with one that is revoked."""
    token = await TokenService(work).get(token_id)
    tag(response, token.version)
    return token


@router.patch(
    "/{token_id:name}",
    summary="Change a token",
    responses=ok() | problems(404, 409, 412, 413, kind="token", conflict=_REVOKED),
)
async def patch_token(
    work: WorkOf,
    _: Admin,
    token_id: Identifier,
    body: TokenPatch,
    response: Response,
    if_match: IfMatch = None,
) -> Token:
    """Change what is said of a token, or when it ends. What it is good for never changes."""
    token = await TokenService(work).patch(token_id, body, if_match=if_match)
    tag(response, token.version)
    return token


@router.delete(
    "/{token_id:name}",
    summary="Revoke a token",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412, kind="token", conflict=_LAST),
)
async def revoke_token(
    work: WorkOf,
    _: Admin,
    token_id: Identifier,
    close_tunnels: Annotated[
        bool, Query(description="Also close the tunnels of agents that came with it, at every edge, at once.")
    ] = False,
    if_match: IfMatch = None,
) -> None:
    """Let a token be good for nothing, from now on and for good.

    Without `close_tunnels` those of agents that came with it stand until they end; none comes anew. They can also be
    closed later, by revoking it again.
    """
    await TokenService(work).revoke(token_id, close_tunnels=close_tunnels, if_match=if_match)
