"""From rows to what the data planes serve from: read once whole, and then only what events say has changed.

Every write of configuration appends events that carry its version `n`; the feed asks for the events after its own.
It does so when a write of this edge tells it to, when PostgreSQL notifies it of another edge's, and in any case every
few seconds. While the database is gone the data planes keep what they have, and API tokens stay as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from edge.policies import PolicySpec
from edge.route import RouteSpec
from edge.snapshot import JoinGrant

from .database import Database, DatabaseUnavailable, SchemaMismatch
from .database.models import (
    ApiTokenRow,
    ConfigState,
    DrainRow,
    EventRow,
    JoinTokenRow,
    JoinTokenUse,
    PolicyRow,
    RouteRow,
    SettingRow,
)
from .management.context import CHANNEL
from .management.credentials import ApiCredential, Role

__all__ = ["Config", "ConfigFeed", "Update", "events_after"]

log: Any = structlog.get_logger("feed")

POLL_INTERVAL = 5.0
RETRY_INTERVAL = 1.0
MAX_EVENTS = 20_000
"""More events than this at once are not followed: everything is read anew."""


@dataclass(slots=True)
class Config:
    """The configuration at one version."""

    fleet: str = ""
    epoch: int = 0
    n: int = 0
    routes: dict[str, RouteSpec] = field(default_factory=dict)
    policies: dict[str, PolicySpec] = field(default_factory=dict)
    default_policies: tuple[str, ...] = ()
    grants: tuple[JoinGrant, ...] = ()
    credentials: tuple[ApiCredential, ...] = ()
    revoked: frozenset[str] = frozenset()
    """Ids of tokens of either kind that are good no more."""
    closed_tokens: tuple[str, ...] = ()
    """Those of them whose agents have to go."""
    drained: tuple[str, ...] = ()
    """Ids of instances that are to get no new requests."""


@dataclass(slots=True, kw_only=True)
class Update:
    """What has changed between two versions. None stands for a part that has not."""

    whole: bool = False
    """Everything is new."""
    before: int = 0
    config: Config
    routes_set: list[RouteSpec] = field(default_factory=list)
    routes_removed: list[str] = field(default_factory=list)
    policies_set: list[PolicySpec] = field(default_factory=list)
    policies_removed: list[str] = field(default_factory=list)
    defaults_changed: bool = False
    tokens_changed: bool = False
    drains_changed: bool = False
    disconnected: list[EventRow] = field(default_factory=list)
    """Events of instances that somebody wanted to be disconnected."""


class ConfigFeed:
    """Keeps a `Config` up to date, and says what has changed."""

    def __init__(
        self,
        database: Database,
        *,
        on_update: Callable[[Update], None],
        on_events: Callable[[Sequence[EventRow]], None] = lambda _: None,
        prepare: Callable[[], Any] | None = None,
        kept: Config | None = None,
    ) -> None:
        """`on_update` hears of each version; `prepare` is awaited before the whole is read for the first time.

        `kept` is what to begin with while the database cannot be read.
        """
        self.config = kept or Config()
        self.error: str | None = "the configuration has not been read yet"
        """Why the configuration is not known to be the newest, if so."""
        self._database = database
        self._on_update = on_update
        self._on_events = on_events
        self._prepare = prepare
        self.listening = asyncio.Event()
        """Set while PostgreSQL notifies of other edges' changes."""
        self._loaded = False
        self._wake = asyncio.Event()
        self._advanced = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read everything, if that is possible now, and go on by itself. Raises SchemaMismatch."""
        try:
            await self._pull()
        except DatabaseUnavailable as error:
            self._fail(error)
        self._tasks.append(asyncio.create_task(self._run(), name="configuration feed"))
        if not self._database.url.is_sqlite:
            self._tasks.append(asyncio.create_task(self._listen(), name="configuration notices"))

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def advance(self, n: int) -> None:
        """Wait until version `n` has been handed on."""
        self._wake.set()
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.config.n >= n)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            interval = RETRY_INTERVAL if self.error is not None else POLL_INTERVAL
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._pull()
            except DatabaseUnavailable as error:
                self._fail(error)
            except SchemaMismatch as error:
                self._fail(DatabaseUnavailable(str(error)))
            except Exception:
                log.exception("the configuration could not be read")
                self.error = "the configuration could not be read: see the edge's log"

    def _fail(self, error: DatabaseUnavailable) -> None:
        if self.error != error.reason:
            log.warning("the database is not available: traffic is served on", reason=error.reason)
        self.error = error.reason

    async def _listen(self) -> None:
        while True:
            try:
                connection = await self._database.listen()
            except DatabaseUnavailable:
                await asyncio.sleep(RETRY_INTERVAL)
                continue
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
                self._wake.set()
                self.listening.set()
                await lost.wait()
            except Exception as error:
                log.debug("notices are lost", reason=str(error))
                await asyncio.sleep(RETRY_INTERVAL)
            finally:
                self.listening.clear()
                connection.terminate()

    async def _pull(self) -> None:
        if not self._loaded and self._prepare is not None:
            await self._prepare()
        async with self._database.read() as session:
            state = (await session.execute(select(ConfigState))).scalar_one()
            config = self.config
            known = self._loaded and state.fleet == config.fleet and state.epoch == config.epoch
            if known and state.n == config.n:
                update = None
                events: list[EventRow] = []
            else:
                events = await self._events(session) if known and state.n > config.n else []
                complete = known and state.n > config.n and _is_complete(events, config.n, state.n)
                update = await (self._delta(session, events) if complete else self._whole(session))
                update.config.fleet, update.config.epoch, update.config.n = state.fleet, state.epoch, state.n
        if self.error is not None:
            if self._loaded:
                log.info("the database is back")
            self.error = None
        self._loaded = True
        if update is None:
            return
        if update.whole:
            log.info("configuration read", version=state.n, routes=len(update.config.routes))
        self.config = update.config
        self._on_update(update)
        self._on_events(events)
        async with self._advanced:
            self._advanced.notify_all()

    async def _events(self, session: AsyncSession) -> list[EventRow]:
        query = events_after(self.config.n).limit(MAX_EVENTS + 1)
        return list((await session.scalars(query)).all())

    async def _whole(self, session: AsyncSession) -> Update:
        config = Config()
        rows = await session.execute(select(RouteRow.name, RouteRow.spec))
        config.routes = {name: RouteSpec.model_validate(spec) for name, spec in rows}
        rows = await session.execute(select(PolicyRow.name, PolicyRow.spec))
        config.policies = {name: PolicySpec.model_validate(spec) for name, spec in rows}
        await self._read_settings(session, config)
        await _read_tokens(session, config)
        await _read_drains(session, config)
        return Update(
            whole=True,
            config=config,
            before=self.config.n,
            routes_set=list(config.routes.values()),
            policies_set=list(config.policies.values()),
            defaults_changed=True,
            tokens_changed=True,
            drains_changed=True,
        )

    async def _delta(self, session: AsyncSession, events: Sequence[EventRow]) -> Update:
        before = self.config
        names: dict[str, set[str]] = {}
        for event in events:
            names.setdefault(event.kind, set()).add(event.name)
        config = replace(before)
        update = Update(config=config, before=before.n)
        if "route" in names:
            specs = await _specs(session, RouteRow, sorted(names["route"]))
            update.routes_set = [RouteSpec.model_validate(spec) for spec in specs.values()]
            update.routes_removed = sorted(names["route"] - specs.keys())
        if "policy" in names:
            config.policies = dict(before.policies)
            specs = await _specs(session, PolicyRow, sorted(names["policy"]))
            update.policies_set = [PolicySpec.model_validate(spec) for spec in specs.values()]
            update.policies_removed = sorted(names["policy"] - specs.keys())
            _apply(config.policies, update.policies_set, update.policies_removed)
        if "setting" in names:
            await self._read_settings(session, config)
            update.defaults_changed = True
        if "join_token" in names or "api_token" in names:
            await _read_tokens(session, config)
            update.tokens_changed = True
        if "instance" in names:
            await _read_drains(session, config)
            update.drains_changed = True
            update.disconnected = [event for event in events if event.action == "disconnect"]
        # Changed where it is: a copy of 100,000 routes takes 19 ms. From here on nothing can fail or be waited for.
        _apply(config.routes, update.routes_set, update.routes_removed)
        return update

    @staticmethod
    async def _read_settings(session: AsyncSession, config: Config) -> None:
        row = await session.get(SettingRow, "default_policies")
        config.default_policies = () if row is None else tuple(row.value)


def events_after(n: int) -> Select[EventRow]:
    """Return the query of events after a version. In this order an index has them: the audit may be of any length."""
    return select(EventRow).where(EventRow.n > n).order_by(EventRow.n, EventRow.id)


def _is_complete(events: Sequence[EventRow], n: int, target: int) -> bool:
    """Whether events tell everything between two versions: old ones may have been removed."""
    numbers = {event.n for event in events}
    return len(events) <= MAX_EVENTS and len(numbers) == target - n


def _apply(known: dict[str, Any], specs: Iterable[Any], removed: Iterable[str]) -> None:
    for name in removed:
        known.pop(name, None)
    for spec in specs:
        known[spec.name] = spec


async def _specs(session: AsyncSession, table: Any, names: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for start in range(0, len(names), 500):
        query = select(table.name, table.spec).where(table.name.in_(names[start : start + 500]))
        for name, spec in await session.execute(query):
            found[name] = spec
    return found


async def _read_tokens(session: AsyncSession, config: Config) -> None:
    now = datetime.now(UTC)
    join = (await session.scalars(select(JoinTokenRow))).all()
    api = (await session.scalars(select(ApiTokenRow))).all()
    config.revoked = frozenset(
        [row.id for row in join if row.revoked is not None]
        + [row.id for row in api if row.revoked is not None]
    )
    agents: dict[str, set[str]] = {}
    for token, agent in await session.execute(select(JoinTokenUse.token, JoinTokenUse.agent)):
        agents.setdefault(token, set()).add(agent)
    config.closed_tokens = tuple(
        sorted(row.id for row in join if row.revoked is not None and row.close_tunnels)
    )
    config.grants = tuple(
        JoinGrant(
            token_id=row.id,
            secret_sha256=row.sha256,
            services=tuple(row.services),
            labels=row.labels,
            publish=row.publish,
            expires=row.expires.timestamp() if row.expires else None,
            max_agents=row.max_agents,
            agents=frozenset(agents.get(row.id, ())),
        )
        for row in join
        if row.revoked is None
    )
    config.credentials = tuple(
        ApiCredential(id=row.id, sha256=row.sha256, role=Role(row.role), expires=row.expires)
        for row in api
        if row.revoked is None and (row.expires is None or row.expires > now)
    )


async def _read_drains(session: AsyncSession, config: Config) -> None:
    config.drained = tuple(
        (await session.scalars(select(DrainRow.instance).order_by(DrainRow.instance))).all()
    )
