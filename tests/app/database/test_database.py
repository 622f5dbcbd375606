from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from app.database import Database, DatabaseUnavailable, DatabaseUrl, SchemaMismatch
from app.database.models import ConfigState, EdgeRow, SettingRow
from tests.app.conftest import PostgresServer
from tests.app.database.samples import NOW, setting

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


def run(database: Database, *keys: str) -> int:
    """Write a setting for each key, in a transaction each, and return how many there are then."""

    async def main() -> int:
        try:
            await database.open(upgrade=True)
            for key in keys:
                async with database.write() as session:
                    session.add(setting(key))
            async with database.read() as session:
                return await session.scalar(select(func.count()).select_from(SettingRow)) or 0
        finally:
            await database.close()

    return asyncio.run(main())


def test_what_was_written_is_there_after_a_restart(database_url: DatabaseUrl) -> None:
    assert run(Database(database_url), "a", "b") == 2
    assert run(Database(database_url)) == 2


def test_a_new_database_has_a_state_and_a_fleet(database_url: DatabaseUrl) -> None:
    async def main() -> ConfigState | None:
        database = Database(database_url)
        await database.open(upgrade=True)
        async with database.read() as session:
            state = await session.get(ConfigState, 1)
        await database.close()
        return state

    state = asyncio.run(main())
    assert state is not None
    assert (state.n, state.epoch) == (0, 1)
    assert state.fleet.startswith("fleet-")


def test_a_write_that_raises_changes_nothing(database_url: DatabaseUrl) -> None:
    async def main() -> int | None:
        database = Database(database_url)
        await database.open(upgrade=True)
        with suppress(RuntimeError):
            async with database.write() as session:
                session.add(setting("a"))
                await session.flush()
                raise RuntimeError
        async with database.read() as session:
            count = await session.scalar(select(func.count()).select_from(SettingRow))
        await database.close()
        return count

    assert asyncio.run(main()) == 0


def test_times_come_back_with_their_zone(database_url: DatabaseUrl) -> None:
    async def main() -> EdgeRow | None:
        database = Database(database_url)
        await database.open(upgrade=True)
        async with database.write() as session:
            await session.execute(
                insert(EdgeRow).values(id="e", zone="", tunnel="", api="", software="", started=NOW, seen=NOW)
            )
        async with database.read() as session:
            row = await session.get(EdgeRow, "e")
        await database.close()
        return row

    row = asyncio.run(main())
    assert row is not None
    assert row.seen == NOW


def test_writers_wait_for_each_other(database_url: DatabaseUrl) -> None:
    async def count_up(database: Database) -> None:
        async with database.write() as session:
            state = await session.get(ConfigState, 1, with_for_update=True)
            assert state is not None
            state.n += 1

    async def main() -> int:
        databases = Database(database_url), Database(database_url)
        await databases[0].open(upgrade=True)
        await asyncio.gather(*(count_up(databases[index % 2]) for index in range(20)))
        async with databases[1].read() as session:
            state = await session.get(ConfigState, 1)
        for database in databases:
            await database.close()
        assert state is not None
        return state.n

    assert asyncio.run(main()) == 20


def test_sqlite_syncs_each_commit_and_keeps_its_file_private(tmp_path: Path) -> None:
    url = DatabaseUrl.sqlite(tmp_path)

    async def main() -> list[object]:
        database = Database(url)
        async with database.read() as session:
            pragmas = ("journal_mode", "synchronous", "foreign_keys")
            values = [await session.scalar(text(f"PRAGMA {name}")) for name in pragmas]
        await database.close()
        return values

    assert asyncio.run(main()) == ["wal", 2, 1]
    assert url.path is not None
    assert url.path.stat().st_mode & 0o777 == 0o600


# -- when it does not work ------------------------------------------------------------------------------------------


def failure(database: Database, *, write: bool) -> DatabaseUnavailable:
    async def main() -> None:
        try:
            if write:
                async with database.write() as session:
                    session.add(setting("late"))
            else:
                async with database.read() as session:
                    await session.scalar(select(func.count()).select_from(SettingRow))
        finally:
            await database.close()

    with pytest.raises(DatabaseUnavailable) as caught:
        asyncio.run(main())
    return caught.value


def test_a_server_that_is_not_there_is_unavailable() -> None:
    error = failure(Database(DatabaseUrl.parse(UNREACHABLE)), write=False)
    assert error.reason


def test_a_server_that_comes_back_is_used_again(postgres: PostgresServer) -> None:
    url = DatabaseUrl.parse(postgres.create())

    async def main() -> list[str]:
        database = Database(url)
        await database.open(upgrade=True)
        heard = []
        await asyncio.to_thread(postgres.stop)
        try:
            async with database.write() as session:
                session.add(setting("a"))
        except DatabaseUnavailable as error:
            heard.append(error.reason)
        await asyncio.to_thread(postgres.start)
        async with database.write() as session:
            session.add(setting("b"))
        await database.close()
        return heard

    assert len(asyncio.run(main())) == 1


def test_a_wrong_password_is_unavailable_and_not_shown(postgres: PostgresServer) -> None:
    url = DatabaseUrl.parse(f"postgresql://nobody:swordfish@127.0.0.1:{postgres.port}/postgres")
    error = failure(Database(url), write=False)
    assert "swordfish" not in f"{error} {url} {url!r}"
    assert 'role "nobody" does not exist' in error.reason


def test_a_locked_file_is_unavailable_for_writers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.database.SQLITE_BUSY_TIMEOUT", 0.05)
    url = DatabaseUrl.sqlite(tmp_path)
    run(Database(url), "a")
    assert url.path is not None
    other = sqlite3.connect(url.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert failure(Database(url), write=True).reason == "database is locked"
    finally:
        other.close()
    assert run(Database(url), "b") == 2


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    async def main() -> None:
        database = Database(DatabaseUrl.sqlite(tmp_path))
        async with database.read() as session:
            pages = await session.scalar(text("PRAGMA page_count"))
        try:
            async with database.write() as session:
                await session.execute(text(f"PRAGMA max_page_count={pages}"))
                session.add(setting("a", value="x" * 100_000))
        finally:
            await database.close()

    with pytest.raises(DatabaseUnavailable, match="database or disk is full"):
        asyncio.run(main())


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_removed_is_unavailable_and_not_made_anew(tmp_path: Path, write: bool) -> None:
    url = DatabaseUrl.sqlite(tmp_path)
    assert url.path is not None

    async def main() -> list[str]:
        database = Database(url)
        await database.open()
        assert url.path is not None
        aside = url.path.with_suffix(".aside")
        url.path.rename(aside)
        heard = []
        for _ in range(2):
            try:
                async with database.write() if write else database.read() as session:
                    await session.scalar(select(func.count()).select_from(SettingRow))
            except DatabaseUnavailable as error:
                heard.append(error.reason)
        assert not url.path.exists()
        aside.rename(url.path)
        async with database.write() as session:
            session.add(setting("a"))
        await database.close()
        return heard

    gone, absent = asyncio.run(main())
    assert "is gone" in gone
    assert absent == "unable to open database file"


def test_a_file_removed_during_a_write_is_not_acknowledged(tmp_path: Path) -> None:
    url = DatabaseUrl.sqlite(tmp_path)

    async def main() -> None:
        database = Database(url)
        await database.open()
        assert url.path is not None
        try:
            async with database.write() as session:
                session.add(setting("a"))
                url.path.unlink()
        finally:
            await database.close()

    with pytest.raises(DatabaseUnavailable, match="is gone"):
        asyncio.run(main())


def test_rubbish_in_the_file_is_unavailable(tmp_path: Path) -> None:
    url = DatabaseUrl.sqlite(tmp_path)
    assert url.path is not None
    url.path.write_bytes(b"rubbish " * 1000)
    assert failure(Database(url), write=False).reason == "file is not a database"


def test_a_mistake_in_a_statement_is_not_taken_for_a_failure(database_url: DatabaseUrl) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError):
        run(Database(database_url), "a", "a")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    url = DatabaseUrl.sqlite(tmp_path)
    assert url.path is not None
    other = sqlite3.connect(url.path)
    other.execute("CREATE TABLE somebody_elses (id INTEGER)")
    other.close()
    with pytest.raises(SchemaMismatch, match="belongs to another program"):
        run(Database(url))
