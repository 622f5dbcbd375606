from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from app.database import Database, DatabaseUnavailable, DatabaseUrl, SchemaMismatch
from app.database.schema import SCHEMA, alembic_config
from tests.app.conftest import PostgresServer


def on(url: DatabaseUrl, act: Callable[[Connection], object]) -> None:
    """Open a database with its schema, and do something to it."""

    async def main() -> None:
        database = Database(url)
        try:
            await database.open(upgrade=True)
            async with database.write() as session:
                await (await session.connection()).run_sync(act)
        finally:
            await database.close()

    asyncio.run(main())


def open_and_close(url: DatabaseUrl, *, upgrade: bool | None = None) -> None:
    async def main() -> None:
        database = Database(url)
        try:
            await database.open(upgrade=upgrade)
        finally:
            await database.close()

    asyncio.run(main())


def test_the_schema_named_in_the_code_is_the_newest_step() -> None:
    from alembic.script import ScriptDirectory

    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [SCHEMA]


def test_the_steps_lead_to_the_tables_of_the_code(database_url: DatabaseUrl) -> None:
    from alembic import command

    def check(connection: Connection) -> None:
        command.check(alembic_config(connection))

    on(database_url, check)


def test_the_steps_lead_back(database_url: DatabaseUrl) -> None:
    from alembic import command

    def back_and_forth(connection: Connection) -> None:
        command.downgrade(alembic_config(connection), "base")
        command.upgrade(alembic_config(connection), "head")

    on(database_url, back_and_forth)


def test_a_step_keeps_what_is_there(database_url: DatabaseUrl) -> None:
    """Tables that are made anew on SQLite take nothing with them that refers to them."""
    from alembic import command

    rows = (
        "INSERT INTO join_tokens (id, description, sha256, services, labels, publish, max_agents, version, created)"
        " VALUES ('t', '', 'hash', '[]', '{}', true, 2, 1, '2031-02-03 04:05:06')",
        "INSERT INTO join_token_uses VALUES ('t', 'a', '2031-02-03 04:05:06')",
        "INSERT INTO events (n, time, actor, action, kind, name, before, request_id, edge)"
        " VALUES (1, '2031-02-03 04:05:06', 'me', 'create', 'route', 'r', '{\"a\": 1}', '1', 'e')",
    )
    found: list[object] = []

    def forth(connection: Connection) -> None:
        command.downgrade(alembic_config(connection), "0001")
        for row in rows:
            connection.exec_driver_sql(row)
        command.upgrade(alembic_config(connection), "head")
        for query in (
            "SELECT id, close_tunnels FROM join_tokens",
            "SELECT token, agent FROM join_token_uses",
            "SELECT id, name, after FROM events",
        ):
            found.extend(tuple(row) for row in connection.exec_driver_sql(query))

    on(database_url, forth)
    assert found == [("t", False), ("t", "a"), (1, "r", None)]


def test_a_newer_schema_is_refused(database_url: DatabaseUrl) -> None:
    on(
        database_url,
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num='9999'")),
    )
    with pytest.raises(SchemaMismatch, match="schema 9999, which is newer than this version"):
        open_and_close(database_url, upgrade=True)


def test_a_server_without_a_schema_is_refused_until_it_is_upgraded(postgres: PostgresServer) -> None:
    url = DatabaseUrl.parse(postgres.create())
    with pytest.raises(SchemaMismatch, match="no schema yet: run `backplane db upgrade`"):
        open_and_close(url)
    open_and_close(url, upgrade=True)
    open_and_close(url)


def test_a_schema_that_changed_meanwhile_is_a_reason_of_unavailability(postgres: PostgresServer) -> None:
    url = postgres.create()

    async def main() -> None:
        database = Database(DatabaseUrl.parse(url))
        async with database.read():
            raise AssertionError

    with pytest.raises(DatabaseUnavailable, match="backplane db upgrade"):
        asyncio.run(main())
