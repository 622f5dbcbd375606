"""What the tests of the control process share: a database of each kind.

PostgreSQL's programs come from Debian (`apt-get install postgresql`); without them those tests are skipped, except
where CI=true promises that they are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.database import DatabaseUrl

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
