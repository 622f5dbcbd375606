"""The managing half of the control process: database, tokens and configuration, and what the data planes get of them.

The identity directory holds the first tokens (`tokens.json`), so that an edge lets its first operator and its agents
in while the database is not there. The database has them too, from the first start on: there they are listed and
revoked. A token that is revoked there is also taken out of the file, so that it does not come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import select

from edge.port import NewAgent, PortMessage
from edge.snapshot import JoinGrant, Snapshot, SnapshotChange
from h2s.messages import ConfigVersion, EdgeAddress

from .config import EdgeSettings
from .config_cache import ConfigCache
from .database import Database, DatabaseUnavailable
from .database.models import ApiTokenRow, EventRow, JoinTokenRow
from .feed import Config, ConfigFeed, Update
from .happenings import Happening
from .identity import Identity
from .management.context import Change, Management, Work
from .management.credentials import ApiCredential, Credentials, Principal, Role
from .management.hub import Told
from .planes import Planes
from .resources.events.service import told
from .state import EdgeState
from .token_uses import TokenUses

__all__ = ["Manager"]

log: Any = structlog.get_logger("manager")

APPLY_TIMEOUT = 1.0
"""Seconds that the answer to a change waits for it to be in effect."""


class Manager:
    """Made with settings and identity; `start` before the API serves and data planes begin, `close` at the end."""

    def __init__(
        self,
        settings: EdgeSettings,
        identity: Identity,
        state: EdgeState,
        *,
        send: Callable[[PortMessage], None],
        cache: ConfigCache | None = None,
    ) -> None:
        """`send` takes a message to the data planes."""
        self._settings = settings
        self._identity = identity
        self._cache = cache
        self._sent: tuple[JoinGrant, ...] = ()
        self.planes = Planes(send, self.snapshot)
        self.database = Database(settings.database)
        self.feed = ConfigFeed(
            self.database,
            kept=cache.load() if cache is not None else None,
            on_update=self._on_update,
            on_events=self._on_events,
            prepare=self._adopt_tokens,
        )
        self.management = Management(
            database=self.database,
            credentials=Credentials(),
            state=state,
            feed=self,
            planes=self.planes,
            authority_der=identity.authority_der,
            edge_id=identity.edge_id,
            domain=settings.domain,
            zone=settings.zone,
        )
        self._set_credentials(self.feed.config)
        self._work = Work(self.management, Principal(identity.edge_id, Role.ADMIN), "")
        self._token_uses = TokenUses(self._work, send)
        state.on_happening = self._on_happening

    async def start(self) -> None:
        """Read the configuration, if the database lets us. Raises SchemaMismatch."""
        try:
            await self.database.open()
        except DatabaseUnavailable as error:
            log.warning(
                "the edge starts without its database", database=str(self.database.url), reason=error.reason
            )
        await self.feed.start()

    async def close(self) -> None:
        """Stop, and let go of the database."""
        self.management.hub.close()
        await self._token_uses.close()
        await self.feed.close()
        if self._cache is not None:
            await self._cache.close()
        await self.database.close()

    def on_notice(self, notice: PortMessage) -> None:
        """Hear a data plane."""
        self.management.state.on_notice(notice)
        if isinstance(notice, NewAgent):
            self._token_uses.on_notice(notice)
        else:
            self.planes.on_notice(notice)

    def on_plane_gone(self) -> None:
        """There is no data plane any more, until another one comes."""
        self.management.state.on_plane_gone()
        self.planes.on_gone()

    async def advance(self, n: int) -> None:
        """Wait until version `n` is in effect here, or for a second: the change is durable in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(APPLY_TIMEOUT):
                await self.feed.advance(n)
                await self.planes.in_force(n)

    def snapshot(self) -> Snapshot:
        """Return what data planes serve from."""
        settings, edge_id, config = self._settings, self._identity.edge_id, self.feed.config
        advertise = settings.advertise
        self._sent = self.grants
        return Snapshot(
            version=self.version,
            edge_id=edge_id,
            zone=settings.zone,
            domain=settings.domain,
            default_service=settings.default_service,
            edges=(EdgeAddress(edge_id=edge_id, address=str(advertise)),) if advertise else (),
            grants=self._sent,
            routes=tuple(config.routes.values()),
            policies=tuple(config.policies.values()),
            default_policies=config.default_policies,
            drained=config.drained,
            closed_tokens=config.closed_tokens,
        )

    @property
    def database_error(self) -> str | None:
        """Why the configuration is not known to be the newest, if so."""
        return self.feed.error

    @property
    def version(self) -> ConfigVersion:
        """The version of what the data planes get."""
        config = self.feed.config
        return ConfigVersion(
            fleet=config.fleet or self._identity.edge_id, epoch=max(1, config.epoch), n=config.n
        )

    @property
    def grants(self) -> tuple[JoinGrant, ...]:
        """Whom the data planes let in."""
        config = self.feed.config
        known = {grant.token_id for grant in config.grants} | config.revoked
        first = (
            JoinGrant(
                token_id=record.id,
                secret_sha256=record.sha256,
                services=record.services,
                labels=record.labels,
                publish=record.publish,
                expires=record.expires.timestamp() if record.expires else None,
            )
            for record in self._identity.tokens.join
            if record.id not in known
        )
        return (*config.grants, *first)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _on_update(self, update: Update) -> None:
        """Hand a version on. The feed has it already."""
        if update.tokens_changed:
            self._set_credentials(update.config)
            self._identity.forget(update.config.revoked)
        if self._cache is not None:
            self._cache.keep(update.config)
        if update.whole:
            self.planes.configure()
        else:
            self.planes.change(self._change(update))
        for event in update.disconnected:
            self.planes.disconnect([event.name.partition(".")[2]], event.after["grace"])

    def _on_events(self, rows: Sequence[EventRow]) -> None:
        if self.management.hub.has_listeners:
            for row in rows:
                self.management.hub.tell(told(row))

    def _on_happening(self, happening: Happening) -> None:
        hub = self.management.hub
        if hub.has_listeners:
            where = {"time": datetime.now(UTC).isoformat(), "edge": self._identity.edge_id}
            hub.tell(Told(happening.kind, where | happening.data))

    def _change(self, update: Update) -> SnapshotChange:
        version = self.version
        before = {grant.token_id: grant for grant in self._sent}
        self._sent = self.grants
        now = {grant.token_id: grant for grant in self._sent}
        return SnapshotChange(
            base=version.model_copy(update={"n": update.before}),
            version=version,
            routes=tuple(update.routes_set),
            routes_removed=tuple(update.routes_removed),
            policies=tuple(update.policies_set),
            policies_removed=tuple(update.policies_removed),
            default_policies=update.config.default_policies if update.defaults_changed else None,
            drained=update.config.drained if update.drains_changed else None,
            closed_tokens=update.config.closed_tokens if update.tokens_changed else None,
            grants=tuple(grant for grant in self._sent if before.get(grant.token_id) != grant),
            grants_removed=tuple(sorted(before.keys() - now.keys())),
        )

    def _set_credentials(self, config: Config) -> None:
        known = {one.id for one in config.credentials} | config.revoked
        first = (
            ApiCredential(id=record.id, sha256=record.sha256, role=Role.ADMIN)
            for record in self._identity.tokens.admin
            if record.id not in known
        )
        self.management.credentials.replace((*config.credentials, *first))

    async def _adopt_tokens(self) -> None:
        """Put the first tokens into the database, if it does not have them."""
        tokens = self._identity.tokens
        async with self.database.read() as session:
            there = set((await session.scalars(select(JoinTokenRow.id))).all())
            there |= set((await session.scalars(select(ApiTokenRow.id))).all())
        if tokens.ids <= there:
            return
        async with self._work.change(wait=False) as change:
            await self._adopt(change)

    async def _adopt(self, change: Change) -> None:
        for record in self._identity.tokens.join:
            if await change.session.get(JoinTokenRow, record.id) is None:
                change.session.add(
                    JoinTokenRow(
                        id=record.id,
                        description="The first join token of the edge.",
                        sha256=record.sha256,
                        services=list(record.services),
                        labels=record.labels,
                        publish=record.publish,
                        expires=record.expires,
                        created=record.created,
                        version=change.n,
                    )
                )
                change.record("create", "join_token", record.id)
        for admin in self._identity.tokens.admin:
            if await change.session.get(ApiTokenRow, admin.id) is None:
                change.session.add(
                    ApiTokenRow(
                        id=admin.id,
                        description="The first token of the management API.",
                        sha256=admin.sha256,
                        role=Role.ADMIN,
                        created=admin.created,
                        version=change.n,
                    )
                )
                change.record("create", "api_token", admin.id)
        await change.session.flush()
