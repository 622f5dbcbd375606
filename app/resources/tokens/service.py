"""The rules of tokens."""

from __future__ import annotations

import secrets
from typing import Any

import h2s.token
from app.database.models import ApiTokenRow, JoinTokenRow
from app.identity.records import hash_admin_token, new_admin_token
from app.management.context import Change, Work
from app.management.credentials import Role
from app.management.pages import Paging
from app.management.problem import Conflict, NotFound
from app.management.versions import check_match

from .repository import TokenRepository, TokenRow
from .schemas import ApiToken, ApiTokenInput, JoinToken, JoinTokenInput, TokenPatch

__all__ = ["TokenService", "view"]


class TokenService:
    """Tokens of both kinds."""

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    async def list(
        self, paging: Paging, *, kind: str | None, revoked: bool
    ) -> tuple[list[TokenRow], TokenRow | None]:
        """Return a page of rows, and the last one if another page follows."""
        async with self.work.read() as session:
            rows = await TokenRepository(session).page(
                paging.after, paging.limit + 1, kind=kind, revoked=revoked
            )
        return paging.split(rows)

    async def get(self, token_id: str) -> TokenRow:
        """Return a row. Raises NotFound."""
        async with self.work.read() as session:
            row = await TokenRepository(session).get(token_id)
        if row is None:
            raise _absent(token_id)
        return row

    async def create(self, body: JoinTokenInput | ApiTokenInput) -> tuple[TokenRow, str]:
        """Make a token; return its row, and the secret that nobody will see again."""
        async with self.work.change() as change:
            row, secret = self._join(body, change) if isinstance(body, JoinTokenInput) else _api(body, change)
            change.session.add(row)
            await change.session.flush()
            change.record("create", _kind(row), row.id, after=shown(row))
            return row, secret

    async def patch(self, token_id: str, patch: TokenPatch, *, if_match: str | None) -> TokenRow:
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
                row.expires = patch.expires
            if shown(row) != before:
                row.version = change.n
                await change.session.flush()
                change.record("update", _kind(row), row.id, before=before, after=shown(row))
            return row

    async def revoke(self, token_id: str, *, if_match: str | None) -> None:
        """Let a token be good for nothing, from now on and for good."""
        async with self.work.change() as change:
            row = await self._required(change, token_id, if_match)
            if row.revoked is not None:
                return
            if isinstance(row, ApiTokenRow) and row.role == Role.ADMIN:
                others = await TokenRepository(change.session).other_admins(row.id, change.now)
                if not others:
                    raise Conflict(
                        f"The token {token_id!r} is the last with the role admin.",
                        code="last_admin_token",
                        hint="Make another one first.",
                    )
            before = shown(row)
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
            max_agents=None,
            expires=body.expires,
            revoked=None,
            version=change.n,
            created=change.now,
        )
        return row, token.encode()


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


def view(row: TokenRow) -> JoinToken | ApiToken:
    """Return a token as the API shows it: without its hash."""
    common: dict[str, Any] = {
        "id": row.id,
        "description": row.description,
        "expires": row.expires,
        "revoked": row.revoked,
        "version": row.version,
        "created": row.created,
    }
    if isinstance(row, JoinTokenRow):
        return JoinToken(**common, services=row.services, labels=row.labels, publish=row.publish)
    return ApiToken(**common, role=Role(row.role))


def shown(row: TokenRow) -> dict[str, Any]:
    """Return what the audit keeps of a token."""
    return view(row).model_dump(mode="json", exclude={"id", "version", "created", "kind"})


def _kind(row: TokenRow) -> str:
    return "join_token" if isinstance(row, JoinTokenRow) else "api_token"


def _absent(token_id: str) -> NotFound:
    return NotFound(f"There is no token {token_id!r}.", code="token_not_found")
