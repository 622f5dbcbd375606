"""What the tests of the control process share: a database of each kind.

PostgreSQL's programs come from Debian (`apt-get install postgresql`); without them those tests are skipped, except
where CI=true promises that they are there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.database import Database, DatabaseUrl

from .console import Console
from .postgres import PostgresServer, find_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    programs = find_postgres()
    if programs is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("PostgreSQL is not installed")
    assert programs is not None
    with PostgresServer.at(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseUrl:
    """The place of a new, empty database of either kind."""
    if request.param == "sqlite":
        return DatabaseUrl.sqlite(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return DatabaseUrl.parse(server.create())


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with its schema, to be copied."""
    url = DatabaseUrl.sqlite(tmp_path_factory.mktemp("migrated"))
    asyncio.run(_migrate(url))
    assert url.path is not None
    return url.path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with its schema, to be copied."""
    url = postgres.create()
    asyncio.run(_migrate(DatabaseUrl.parse(url)))
    return url.rpartition("/")[2]


async def _migrate(url: DatabaseUrl) -> None:
    database = Database(url)
    await database.open(upgrade=True)
    await database.close()


def _copied(migrated: Path, folder: Path) -> DatabaseUrl:
    url = DatabaseUrl.sqlite(folder)
    assert url.path is not None
    shutil.copy(migrated, url.path)
    return url


@pytest.fixture
def console(tmp_path: Path, migrated: Path) -> Iterator[Console]:
    """The management API on SQLite."""
    with Console(_copied(migrated, tmp_path)) as console:
        yield console


@pytest.fixture(params=["sqlite", "postgresql"])
def any_console(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Console]:
    """The management API on either database."""
    if request.param == "sqlite":
        url = _copied(request.getfixturevalue("migrated"), tmp_path)
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = DatabaseUrl.parse(server.create(template=request.getfixturevalue("migrated_postgres")))
    with Console(url) as console:
        yield console
