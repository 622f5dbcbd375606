from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.dialects import sqlite

from app.database import Database, DatabaseUrl
from app.database.models import EventRow
from app.feed import Config, ConfigFeed, Update, events_after
from app.management.context import Management, Work
from app.management.credentials import Credentials, Principal, Role
from app.resources.policies.service import DefaultPolicyService, PolicyService
from app.resources.routes.service import RouteService
from app.state import EdgeState
from edge.policies import PolicySpec
from edge.route import RouteSpec

from .console import FeedFake, PlanesFake
from .postgres import PostgresServer


def route(name: str, **changes: Any) -> RouteSpec:
    return RouteSpec.model_validate(
        {"name": name, "host": f"{name}.example", "targets": [{"selector": "service=web"}]} | changes
    )


class Edge:
    """An edge's database, its feed, and what the feed has said."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.database = Database(url)
        self.updates: list[Update] = []
        self.feed = ConfigFeed(self.database, on_update=self.updates.append)
        management = Management(
            database=self.database,
            credentials=Credentials(),
            state=EdgeState(),
            feed=FeedFake(),
            planes=PlanesFake(EdgeState()),
        )
        self.work = Work(management, Principal("tester", Role.ADMIN), "1")
        self.routes = RouteService(self.work)
        self.policies = PolicyService(self.work)
        self.defaults = DefaultPolicyService(self.work)

    async def pull(self) -> Update:
        """Follow what was changed, and return what the feed says of it."""
        self.updates.clear()
        await self.feed._pull()
        [update] = self.updates
        return update


def run(url: DatabaseUrl, act: Callable[[Edge], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        edge = Edge(url)
        await edge.database.open(upgrade=True)
        try:
            await act(edge)
        finally:
            await edge.feed.close()
            await edge.database.close()

    asyncio.run(main())


def test_the_first_word_is_everything_and_later_ones_are_changes(database_url: DatabaseUrl) -> None:
    async def act(edge: Edge) -> None:
        await edge.policies.create(PolicySpec(name="inside"))
        await edge.routes.create(route("a", policies=["inside"]))
        first = await edge.pull()
        assert (first.whole, first.config.n, sorted(first.config.routes)) == (True, 2, ["a"])
        await edge.routes.create(route("b"))
        await edge.routes.patch("a", {"priority": 1}, if_match=None)
        await edge.routes.create(route("c"))
        await edge.routes.delete("c", if_match=None)
        second = await edge.pull()
        assert (second.whole, second.before, second.config.n) == (False, 2, 6)
        assert sorted(one.name for one in second.routes_set) == ["a", "b"]
        assert second.routes_removed == ["c"]
        assert second.config.routes["a"].priority == 1
        assert not second.policies_set
        assert not second.tokens_changed

    run(database_url, act)


def test_policies_and_their_defaults_follow(database_url: DatabaseUrl) -> None:
    async def act(edge: Edge) -> None:
        await edge.pull()
        await edge.policies.create(PolicySpec(name="inside"))
        await edge.defaults.replace(["inside"], if_match=None)
        update = await edge.pull()
        assert [one.name for one in update.policies_set] == ["inside"]
        assert update.defaults_changed
        assert update.config.default_policies == ("inside",)

    run(database_url, act)


def test_events_that_are_gone_make_the_feed_read_everything(database_url: DatabaseUrl) -> None:
    async def act(edge: Edge) -> None:
        await edge.pull()
        await edge.routes.create(route("a"))
        await edge.routes.create(route("b"))
        async with edge.database.write() as session:
            await session.execute(delete(EventRow).where(EventRow.name == "a"))
        update = await edge.pull()
        assert update.whole
        assert sorted(update.config.routes) == ["a", "b"]

    run(database_url, act)


def test_a_database_from_a_backup_is_read_anew(database_url: DatabaseUrl) -> None:
    async def act(edge: Edge) -> None:
        await edge.routes.create(route("a"))
        await edge.pull()
        edge.feed.config.n += 5
        assert (await edge.pull()).whole

    run(database_url, act)


def test_waiting_for_a_version_ends_when_it_is_handed_on(database_url: DatabaseUrl) -> None:
    async def act(edge: Edge) -> None:
        await edge.feed.start()
        await edge.routes.create(route("a"))
        await asyncio.wait_for(edge.feed.advance(1), 10)
        assert edge.feed.config.routes.keys() == {"a"}

    run(database_url, act)


def test_without_a_database_the_feed_begins_with_what_was_kept() -> None:
    kept = Config(fleet="f", epoch=1, n=7, routes={"a": route("a")})

    async def main() -> None:
        database = Database(DatabaseUrl.parse("postgresql://nobody@127.0.0.1:1/none"))
        updates: list[Update] = []
        feed = ConfigFeed(database, on_update=updates.append, kept=kept)
        await feed.start()
        try:
            assert feed.error
            assert feed.config is kept
            assert updates == []
        finally:
            await feed.close()
            await database.close()

    asyncio.run(main())


@asynccontextmanager
async def two_edges(url: DatabaseUrl) -> AsyncIterator[tuple[Edge, Edge]]:
    """Give two edges of a fleet."""
    edges = Edge(url), Edge(url)
    await edges[0].database.open(upgrade=True)
    try:
        for edge in edges:
            await edge.feed.start()
        yield edges
    finally:
        for edge in edges:
            await edge.feed.close()
            await edge.database.close()


def test_an_edge_of_a_fleet_hears_of_the_others_changes_at_once(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.feed.POLL_INTERVAL", 3600.0)
    url = DatabaseUrl.parse(postgres.create())

    async def main() -> None:
        async with two_edges(url) as (one, other), asyncio.timeout(20):
            await other.feed.listening.wait()
            await one.routes.create(route("a"))
            async with other.feed._advanced:
                await other.feed._advanced.wait_for(lambda: other.feed.config.n == 1)
            assert other.feed.config.routes.keys() == {"a"}

    asyncio.run(main())


def test_a_notice_that_is_lost_is_made_up_for(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.feed.POLL_INTERVAL", 0.05)
    monkeypatch.setattr("app.management.context.CHANNEL", "nobody_listens")
    url = DatabaseUrl.parse(postgres.create())

    async def main() -> None:
        async with two_edges(url) as (one, other), asyncio.timeout(20):
            await one.routes.create(route("a"))
            async with other.feed._advanced:
                await other.feed._advanced.wait_for(lambda: other.feed.config.n == 1)

    asyncio.run(main())


def test_a_database_that_comes_back_is_followed_again(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.feed.POLL_INTERVAL", 0.05)
    monkeypatch.setattr("app.feed.RETRY_INTERVAL", 0.05)
    url = DatabaseUrl.parse(postgres.create())

    async def main() -> None:
        async with two_edges(url) as (one, other), asyncio.timeout(30):
            failed = asyncio.Event()
            told = other.feed._fail
            monkeypatch.setattr(other.feed, "_fail", lambda error: (told(error), failed.set()))
            await asyncio.to_thread(postgres.stop)
            await failed.wait()
            assert other.feed.error
            await asyncio.to_thread(postgres.start)
            await one.routes.create(route("a"))
            async with other.feed._advanced:
                await other.feed._advanced.wait_for(lambda: other.feed.config.n == 1)
            assert other.feed.error is None

    asyncio.run(main())


def test_the_length_of_the_audit_does_not_matter_to_a_change(migrated: Path) -> None:
    query = (
        events_after(7).limit(1000).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    )
    database = sqlite3.connect(migrated)
    try:
        plan = str(database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
    finally:
        database.close()
    assert "USING INDEX ix_events_n" in plan
    assert "SCAN" not in plan
