"""The database of one edge: sessions to read and to write in, and one kind of error for all that can go wrong with it.

SQLite runs with a write-ahead log and `synchronous=FULL`: what a write has answered is on the disk. Its file is
watched: a process keeps writing to a file that somebody has removed, and would acknowledge what nobody will find
again; so a file that is gone or replaced is an error until it can be opened anew.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.database_url import DatabaseUrl

from .errors import DatabaseError, DatabaseUnavailable, SchemaMismatch, unavailable
from .schema import check_schema

__all__ = ["Database"]

CONNECT_TIMEOUT = 5.0
STATEMENT_TIMEOUT = 30.0
LOCK_TIMEOUT = 10.0
"""Seconds that PostgreSQL waits for somebody else's lock: writers queue up for the row with the version."""
POOL_TIMEOUT = 5.0
SQLITE_BUSY_TIMEOUT = 2.0
"""Seconds that a write waits for another program's lock on the file."""


class Database:
    """A database, opened when it is first needed and again after it was gone."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Keep the place; nothing is touched before `open`."""
        self.url = url
        self._engine: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None
        self._file: tuple[int, int] | None = None
        self._was_open = False
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()

    async def open(
        self, *, upgrade: bool | None = None, look: Callable[[Connection], None] | None = None
    ) -> None:
        """Connect and check the schema. SQLite is created and upgraded; `upgrade` does the same for PostgreSQL.

        `look` is called with the connection before.

        Raises:
            DatabaseUnavailable: it cannot be reached or used now; `read` and `write` try again.
            SchemaMismatch: it is of another version.
        """
        async with self._opening:
            if self._sessions is not None:
                return
            with _translated():
                engine = self._make_engine()
                try:
                    async with engine.connect() as connection:
                        allowed = self.url.is_sqlite if upgrade is None else upgrade
                        await connection.execution_options(writes=True)
                        if look is not None:
                            await connection.run_sync(look)
                        await connection.run_sync(_check, upgrade=allowed)
                        await connection.commit()
                except BaseException:
                    await engine.dispose()
                    raise
            self._file = self._identify()
            self._engine = engine
            self._sessions = async_sessionmaker(engine, expire_on_commit=False)
            self._was_open = True

    async def close(self) -> None:
        """Give all connections back."""
        engine, self._engine, self._sessions = self._engine, None, None
        if engine is not None:
            await engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Give a session that sees one state of the database. Raises DatabaseUnavailable."""
        async with self._session(writes=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Give a session whose changes are durable when the block has ended, or not made at all if it raises.

        Raises DatabaseUnavailable. When that comes at the end of the block, the changes may have been made.
        """
        async with self._writing, self._session(writes=True) as session:
            yield session
            self._check_file()
            await session.commit()

    async def listen(self) -> asyncpg.Connection[asyncpg.Record]:
        """Return a PostgreSQL connection of one's own, to be closed by the caller. Raises DatabaseUnavailable."""
        with _translated():
            return await self._connect()

    @asynccontextmanager
    async def _session(self, *, writes: bool) -> AsyncIterator[AsyncSession]:
        await self._reopen()
        engine, sessions = self._engine, self._sessions
        assert sessions is not None
        with _translated():
            async with sessions() as session:
                try:
                    await session.connection(execution_options={"writes": writes})
                    yield session
                finally:
                    if engine is not self._engine:
                        await session.invalidate()  # its pool is gone and would not close it

    async def _reopen(self) -> None:
        try:
            self._check_file()
        except DatabaseUnavailable:
            await self.close()
            raise
        try:
            await self.open()
        except SchemaMismatch as error:
            raise DatabaseUnavailable(str(error)) from None

    def _check_file(self) -> None:
        if self._sessions is not None and self._identify() != self._file:
            raise DatabaseUnavailable(f"its file {self.url.path} is gone, or another one is in its place")

    def _identify(self) -> tuple[int, int] | None:
        if self.url.path is None:
            return None
        try:
            status = self.url.path.stat()
        except OSError:
            return (0, 0)
        return status.st_dev, status.st_ino

    def _make_engine(self) -> AsyncEngine:
        if self.url.path is None:
            return create_async_engine(
                "postgresql+asyncpg://",
                async_creator=self._connect,
                pool_size=10,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        return _sqlite_engine(self.url.path, create=not self._was_open)

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        options: dict[str, Any] = {} if self.url.password is None else {"password": self.url.password}
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self.url.dsn,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={"application_name": "backplane", "lock_timeout": str(int(LOCK_TIMEOUT * 1000))},
            **options,
        )
        return connection


def _check(connection: Connection, *, upgrade: bool) -> None:
    check_schema(connection, upgrade=upgrade)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DatabaseError:
        raise
    except Exception as error:
        found = unavailable(error)
        if found is None:
            raise
        raise found from error


def _sqlite_engine(path: Path, *, create: bool) -> AsyncEngine:
    if create and not path.exists():
        # Made by us, so that nobody else may read it: SQLite would leave that to the umask.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR))
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{_quoted(path)}?mode=rw&uri=true",
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT},
        pool_timeout=POOL_TIMEOUT,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.absolute()))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()  # nobody else knows of it yet
        raise


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
