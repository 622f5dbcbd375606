"""What an edge stores of the credentials it accepts: hashes, and what each is good for (`tokens.json`)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from h2s.token import JoinToken

__all__ = [
    "ADMIN_TOKEN",
    "AdminRecord",
    "EdgeRecord",
    "TokenRecord",
    "Tokens",
    "hash_admin_token",
    "new_admin_token",
]

SHA256_HEX = r"^[0-9a-f]{64}$"
ADMIN_PREFIX = "bpa_"
ADMIN_TOKEN = re.compile(ADMIN_PREFIX + r"[A-Za-z0-9_-]{43}")
"""The form of what `new_admin_token` makes."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenRecord(_Record):
    """A join token that agents may register with, and what they may then serve."""

    id: str
    sha256: str = Field(pattern=SHA256_HEX)
    """The hash of the secret's bytes (`JoinToken.secret_hash`)."""
    services: tuple[str, ...] = ("*",)
    """Names of services; `*` is every one."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels that instances get whatever the agent says."""
    publish: bool = True
    """Whether discovery makes the services public."""
    created: datetime
    expires: datetime | None = None

    @classmethod
    def of(cls, token: JoinToken, *, now: datetime) -> TokenRecord:
        """Make the record of a token that is good for everything."""
        return cls(id=f"token-{secrets.token_hex(4)}", sha256=token.secret_hash, created=now)


class AdminRecord(_Record):
    """A token of the management API that may do everything."""

    id: str
    sha256: str = Field(pattern=SHA256_HEX)
    """The hash of the token's text (`hash_admin_token`)."""
    created: datetime

    @classmethod
    def of(cls, text: str, *, now: datetime) -> AdminRecord:
        """Make the record of an admin token."""
        return cls(id=f"admin-{secrets.token_hex(4)}", sha256=hash_admin_token(text), created=now)


class Tokens(_Record):
    """The content of `tokens.json`."""

    join: tuple[TokenRecord, ...] = ()
    admin: tuple[AdminRecord, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all tokens."""
        return frozenset([*(record.id for record in self.join), *(record.id for record in self.admin)])

    def has_any(self, ids: Collection[str]) -> bool:
        """Whether a token of these ids is among them."""
        return not self.ids.isdisjoint(ids)

    def without(self, ids: Collection[str]) -> Tokens:
        """Return the tokens of other ids."""
        return Tokens(
            join=tuple(record for record in self.join if record.id not in ids),
            admin=tuple(record for record in self.admin if record.id not in ids),
        )


class EdgeRecord(_Record):
    """The content of `edge.json`: what tells this edge from the others."""

    edge_id: str = Field(pattern=r"^edge-[0-9a-f]{8}$")

    @classmethod
    def create(cls) -> EdgeRecord:
        """Make a new edge's record."""
        return cls(edge_id=f"edge-{secrets.token_hex(4)}")


def new_admin_token() -> str:
    """Make the text of an admin token: 32 random bytes behind a prefix that secret scanners can look for."""
    return ADMIN_PREFIX + secrets.token_urlsafe(32)


def hash_admin_token(text: str) -> str:
    """Return the SHA-256 of an admin token's text in hex: what the edge stores."""
    return hashlib.sha256(text.encode()).hexdigest()
