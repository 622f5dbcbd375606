"""What can be wrong with the database.

CommandError
└── DatabaseError
    ├── DatabaseUnavailable    it is gone, locked, full, read-only or damaged: it may come back, traffic flows on
    └── SchemaMismatch         it is of another version of Backplane: an edge does not start on it
"""

from __future__ import annotations

import asyncio
import sqlite3

import asyncpg
from sqlalchemy import exc

from backplane.cli.exit import CommandError, ExitCode

__all__ = ["DatabaseError", "DatabaseUnavailable", "SchemaMismatch", "unavailable"]


class DatabaseError(CommandError):
    """The database cannot be used; the message is one line without a secret."""

    exit_code = ExitCode.FAILURE


class DatabaseUnavailable(DatabaseError):
    """The database does not do what it should just now. `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database is not available: {reason}")
        self.reason = reason


class SchemaMismatch(DatabaseError):
    """The database's schema is older or newer than this version of Backplane works with."""


_OURS = (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError)
"""Errors of a statement, not of the database: they are bugs, or the caller knows what they mean."""


def unavailable(error: BaseException) -> DatabaseUnavailable | None:
    """Return `error` as a failure of the database itself, or None if it is something else."""
    if isinstance(error, exc.DBAPIError):
        original = error.orig if error.orig is not None else error
        cause = original.__cause__ or original
        if isinstance(error, _OURS) and not _is_state(cause):
            return None
        return DatabaseUnavailable(_words(cause))
    if isinstance(error, exc.TimeoutError):
        return DatabaseUnavailable("every connection to it is busy")
    if isinstance(error, (sqlite3.OperationalError, sqlite3.DatabaseError, asyncpg.PostgresError)):
        return DatabaseUnavailable(_words(error))
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return DatabaseUnavailable(_words(error))
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return DatabaseUnavailable("it does not answer in time")
    if isinstance(error, OSError):
        return DatabaseUnavailable(error.strerror or _words(error))
    return None


def _is_state(cause: BaseException) -> bool:
    """Whether PostgreSQL reports a state of its own under the class of a statement's error."""
    code = getattr(cause, "sqlstate", None) or ""
    return code in {"25006", "55P03"} or code[:2] in {"08", "28", "53", "57", "58", "3D"}


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()).partition(" [SQL")[0].rstrip(".")
    return text[:300] or type(error).__name__
