"""Tokens of the management API, as they are checked: from memory, in constant time, with nothing written.

Looking a hash up in a table takes a time that tells something about it. The table's keys are therefore made with a
key of this process, so that what could be learnt has nothing to do with any token.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.identity.records import hash_admin_token

__all__ = ["ApiCredential", "Credentials", "Principal", "Role"]

MAX_TOKEN = 256
"""Characters of a token that are looked at."""


class Role(StrEnum):
    """What a token may do: each role also what the ones before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what `other` may."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {Role.VIEWER: 0, Role.EDITOR: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking."""

    id: str
    """The token's id, as the audit names it."""
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCredential:
    """A token that is good, by its hash."""

    id: str
    sha256: str
    role: Role
    expires: datetime | None = None


class Credentials:
    """The tokens that are good now."""

    def __init__(self) -> None:
        """Know none."""
        self._key = secrets.token_bytes(32)
        self._table: dict[bytes, ApiCredential] = {}
        self._by_id: dict[str, ApiCredential] = {}

    def replace(self, credentials: Iterable[ApiCredential]) -> None:
        """Know these and no others, from now on."""
        self._by_id = {one.id: one for one in credentials}
        self._table = {self._blind(one.sha256): one for one in self._by_id.values()}

    def check(self, token: str, now: datetime) -> Principal | None:
        """Return whose token this is, or None if it is nobody's or has expired."""
        digest = hash_admin_token(token[:MAX_TOKEN])
        found = self._table.get(self._blind(digest))
        if found is None or not hmac.compare_digest(found.sha256, digest):
            return None
        if found.expires is not None and found.expires <= now:
            return None
        return Principal(found.id, found.role)

    def is_good(self, token_id: str, now: datetime) -> bool:
        """Whether the token of this id is one of them, and has not expired: for what goes on for long."""
        found = self._by_id.get(token_id)
        return found is not None and (found.expires is None or found.expires > now)

    def _blind(self, sha256: str) -> bytes:
        return hmac.digest(self._key, sha256.encode(), "sha256")
