"""The rules of tokens."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Sequence
from typing import Any

import h2s.token
from app.database.models import ApiTokenRow, JoinTokenRow
from app.identity.records import hash_admin_token, new_admin_token
from app.management.context import Change, Work
from app.management.credentials import Role
from app.management.pages import Paging
from app.management.problem import Conflict, Invalid, NotFound
from app.management.versions import check_match

from .repository import TokenRepository, TokenRow
from .schemas import ApiToken, ApiTokenInput, JoinToken, JoinTokenInput, Token, TokenPatch

__all__ = ["TokenService"]


class TokenService:
    """Tokens of both kinds."""

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    async def list(
        self, paging: Paging, *, kind: str | None, revoked: bool
    ) -> tuple[builtins.list[Token], Token | None]:
        """Return a page of tokens, and the last one if another page follows."""
        async with self.work.read() as session:
            tokens = TokenRepository(session)
            rows = await tokens.page(paging.after, paging.limit + 1, kind=kind, revoked=revoked)
            return paging.split(await _views(tokens, rows))

    async def get(self, token_id: str) -> Token:
        """Return a token. Raises NotFound."""
        async with self.work.read() as session:
            tokens = TokenRepository(session)
            row = await tokens.get(token_id)
            if row is None:
                raise _absent(token_id)
            [found] = await _views(tokens, [row])
        return found

    async def create(self, body: JoinTokenInput | ApiTokenInput) -> tuple[Token, str]:
        """Make a token; return it, and the secret that nobody will see again."""
        async with self.work.change() as change:
            row, secret = self._join(body, change) if isinstance(body, JoinTokenInput) else _api(body, change)
            change.session.add(row)
            await change.session.flush()
            change.record("create", _kind(row), row.id, after=shown(row))
            return view(row), secret

    async def patch(self, token_id: str, patch: TokenPatch, *, if_match: str | None) -> Token:
        """Change what is said of a token, or when it ends."""
        async with self.work.change() as change:
            row = await self._required(change, token_id, if_match)
            if row.revoked is not None:
                raise Conflict(
                    f"The token {token_id!r} is revoked for good.",
                    code="token_revoked",
                    hint="Make a new one.",
                )
            before = shown(row)
            if "description" in patch.model_fields_set:
                row.description = patch.description or ""
            if "expires" in patch.model_fields_set:
                if patch.expires is not None:
                    await _keep_an_admin(row, change)
                row.expires = patch.expires
            if shown(row) != before:
                row.version = change.n
                await change.session.flush()
                change.record("update", _kind(row), row.id, before=before, after=shown(row))
            [found] = await _views(TokenRepository(change.session), [row])
            return found

    async def revoke(self, token_id: str, *, close_tunnels: bool, if_match: str | None) -> None:
        """Let a token be good for nothing, from now on and for good."""
        async with self.work.change() as change:
            row = await self._required(change, token_id, if_match)
            if close_tunnels and not isinstance(row, JoinTokenRow):
                raise Invalid.of("query.close_tunnels", "no agent comes with an API token")
            before = shown(row)
            if isinstance(row, JoinTokenRow):
                row.close_tunnels = row.close_tunnels or close_tunnels
            if row.revoked is not None:
                if shown(row) != before:
                    row.version = change.n
                    change.record("update", _kind(row), row.id, before=before, after=shown(row))
                return
            await _keep_an_admin(row, change)
            row.revoked, row.version = change.now, change.n
            await change.session.flush()
            change.record("revoke", _kind(row), row.id, before=before, after=shown(row))

    async def _required(self, change: Change, token_id: str, if_match: str | None) -> TokenRow:
        row = await TokenRepository(change.session).get(token_id)
        if row is None:
            raise _absent(token_id)
        check_match(if_match, row.version, what=f"The token {token_id!r}")
        return row

    def _join(self, body: JoinTokenInput, change: Change) -> tuple[JoinTokenRow, str]:
        secret = secrets.token_bytes(h2s.token.SECRET_SIZE)
        token = h2s.token.JoinToken(self.work.management.authority_der, secret)
        row = JoinTokenRow(
            id=f"token-{secrets.token_hex(4)}",
            description=body.description,
            sha256=token.secret_hash,
            services=list(body.services),
            labels=body.labels,
            publish=body.publish,
            max_agents=body.max_agents,
            expires=body.expires,
            revoked=None,
            version=change.n,
            created=change.now,
        )
        return row, token.encode()


async def _keep_an_admin(row: TokenRow, change: Change) -> None:
    """See that a token can go, or end, without leaving the edge without an admin some day. Raises Conflict."""
    if not isinstance(row, ApiTokenRow) or row.role != Role.ADMIN or row.expires is not None:
        return
    if not await TokenRepository(change.session).other_admins(row.id):
        raise Conflict(
            f"The token {row.id!r} is the last one with the role admin that does not expire.",
            code="last_admin_token",
            hint="Make another one that does not expire first.",
        )


def _api(body: ApiTokenInput, change: Change) -> tuple[ApiTokenRow, str]:
    secret = new_admin_token()
    row = ApiTokenRow(
        id=f"api-{secrets.token_hex(4)}",
        description=body.description,
        sha256=hash_admin_token(secret),
        role=body.role.value,
        expires=body.expires,
        revoked=None,
        version=change.n,
        created=change.now,
    )
    return row, secret


async def _views(tokens: TokenRepository, rows: Sequence[TokenRow]) -> list[Token]:
    limited = [row.id for row in rows if isinstance(row, JoinTokenRow) and row.max_agents is not None]
    agents = await tokens.agents(limited) if limited else {}
    return [view(row, agents.get(row.id, 0)) for row in rows]


def view(row: TokenRow, agents: int = 0) -> Token:
    """Return a token as the API shows it: without its hash. It has let in `agents`, if their number is limited."""
    common: dict[str, Any] = {
        "id": row.id,
        "description": row.description,
        "expires": row.expires,
        "revoked": row.revoked,
        "version": row.version,
        "created": row.created,
    }
    if isinstance(row, JoinTokenRow):
        return JoinToken(
            **common,
            services=row.services,
            labels=row.labels,
            publish=row.publish,
            max_agents=row.max_agents,
            agents=agents,
        )
    return ApiToken(**common, role=Role(row.role))


def shown(row: TokenRow) -> dict[str, Any]:
    """Return what the audit keeps of a token."""
    content = view(row).model_dump(mode="json", exclude={"id", "version", "created", "kind", "agents"})
    if isinstance(row, JoinTokenRow) and row.close_tunnels:
        content["close_tunnels"] = True
    return content


def _kind(row: TokenRow) -> str:
    return "join_token" if isinstance(row, JoinTokenRow) else "api_token"


def _absent(token_id: str) -> NotFound:
    return NotFound(f"There is no token {token_id!r}.", code="token_not_found")
