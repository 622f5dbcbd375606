"""Brings a database to the schema of this version, or says that it is of another.

`SCHEMA` is the newest step in `migrations/`, named here so that an edge need not load Alembic to see that its database
is as it should be.
"""

from __future__ import annotations

import logging
from importlib.resources import files
from io import StringIO
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from .errors import SchemaMismatch

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["SCHEMA", "alembic_config", "check_schema", "upgrade_schema"]

SCHEMA = "0002"


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the steps that come with this package."""
    from alembic.config import Config

    config = Config(stdout=StringIO())  # what it prints is for its own command
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["connection"] = connection
    return config


def current_schema(connection: Connection) -> str | None:
    """Return the step that the database stands at, or None for an empty one. Raises SchemaMismatch."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise SchemaMismatch(
                "the database belongs to another program: it has tables, but not Backplane's"
            )
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def check_schema(connection: Connection, *, upgrade: bool) -> None:
    """See that the database is as this version needs it; an empty or older one is upgraded if `upgrade`.

    Raises SchemaMismatch.
    """
    found = current_schema(connection)
    if found == SCHEMA:
        return
    if found is not None and not _is_known(found):
        raise SchemaMismatch(
            f"the database has schema {found}, which is newer than this version of Backplane ({SCHEMA}):"
            " upgrade backplane-server, or restore the database from a backup"
        )
    if not upgrade:
        what = "has no schema yet" if found is None else f"has schema {found}, this version needs {SCHEMA}"
        raise SchemaMismatch(f"the database {what}: run `backplane db upgrade`")
    upgrade_schema(connection)


def upgrade_schema(connection: Connection) -> None:
    """Run the steps that are missing, in the connection's transaction."""
    from alembic import command

    logging.getLogger("alembic").setLevel(logging.WARNING)
    command.upgrade(alembic_config(connection), "head")


def _is_known(revision: str) -> bool:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        return ScriptDirectory.from_config(alembic_config()).get_revision(revision) is not None
    except CommandError:
        return False
