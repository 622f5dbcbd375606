"""The tables.

`config_state` has one row. Every write of configuration begins by raising its `n`, which locks the row: so writers
queue up, and `n` orders the changes without a gap. A row of configuration carries as `version` the `n` of its last
change (its ETag), and so does the event that tells of the change: an edge asks the events since its own `n` which
rows to read again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .columns import BigSerial, Moment

__all__ = [
    "ApiTokenRow",
    "Base",
    "ConfigState",
    "DrainRow",
    "EdgeRow",
    "EventRow",
    "JoinTokenRow",
    "JoinTokenUse",
    "PolicyRow",
    "RoutePolicy",
    "RouteRow",
    "SettingRow",
]


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: Moment}  # noqa: RUF012


class ConfigState(Base):
    """How far the configuration has come: one row."""

    __tablename__ = "config_state"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    fleet: Mapped[str] = mapped_column(String(64))
    """The name of all edges on this database."""
    epoch: Mapped[int] = mapped_column(BigInteger)
    n: Mapped[int] = mapped_column(BigInteger)


class RouteRow(Base):
    """A route; its spec is a document."""

    __tablename__ = "routes"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    host: Mapped[str] = mapped_column(String(256), index=True)
    match_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    """A hash of what the route matches, if it is enabled: no two may be alike."""
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]
    updated: Mapped[datetime]


class PolicyRow(Base):
    """A policy; its spec is a document."""

    __tablename__ = "policies"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]
    updated: Mapped[datetime]


class RoutePolicy(Base):
    """Which route uses which policy: one that is used cannot go."""

    __tablename__ = "route_policies"

    route: Mapped[str] = mapped_column(ForeignKey("routes.name", ondelete="CASCADE"), primary_key=True)
    policy: Mapped[str] = mapped_column(
        ForeignKey("policies.name", ondelete="RESTRICT"), primary_key=True, index=True
    )


class SettingRow(Base):
    """A setting of the whole fleet that is changed through the API."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(BigInteger)
    updated: Mapped[datetime]


class JoinTokenRow(Base):
    """A join token that agents register with. Using it writes nothing here."""

    __tablename__ = "join_tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    description: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    services: Mapped[list[str]] = mapped_column(JSON)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    publish: Mapped[bool] = mapped_column(Boolean)
    max_agents: Mapped[int | None] = mapped_column(Integer)
    """How many agent ids it is good for; NULL: any number."""
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]
    close_tunnels: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Whether agents that came with it have to go, once it is revoked."""
    version: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]


class JoinTokenUse(Base):
    """An agent id that a join token of limited use has let in."""

    __tablename__ = "join_token_uses"

    token: Mapped[str] = mapped_column(ForeignKey("join_tokens.id", ondelete="CASCADE"), primary_key=True)
    agent: Mapped[str] = mapped_column(String(128), primary_key=True)
    since: Mapped[datetime]


class DrainRow(Base):
    """An instance that is to get no new requests, at whatever edge, until it is resumed."""

    __tablename__ = "drains"

    instance: Mapped[str] = mapped_column(String(256), primary_key=True)
    actor: Mapped[str] = mapped_column(String(128))
    since: Mapped[datetime]


class ApiTokenRow(Base):
    """A token of the management API. Using it writes nothing here."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    description: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    expires: Mapped[datetime | None]
    revoked: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime]


class EventRow(Base):
    """What somebody did: appended, never changed."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_subject", "kind", "name"),)

    id: Mapped[int] = mapped_column(BigSerial, primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger, index=True)
    """The version of the configuration that this made."""
    time: Mapped[datetime] = mapped_column(Moment, index=True)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(256))
    before: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    after: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    request_id: Mapped[str] = mapped_column(String(64))
    edge: Mapped[str] = mapped_column(String(64))


class EdgeRow(Base):
    """An edge of the fleet, as it last said it was."""

    __tablename__ = "edges"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    zone: Mapped[str] = mapped_column(String(64))
    tunnel: Mapped[str] = mapped_column(String(300))
    """Where agents dial."""
    api: Mapped[str] = mapped_column(String(300))
    software: Mapped[str] = mapped_column(String(64))
    started: Mapped[datetime]
    seen: Mapped[datetime]
