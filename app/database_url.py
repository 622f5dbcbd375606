"""Which database: a file of the data directory, or a PostgreSQL server, whose password nobody gets to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

__all__ = ["SQLITE_FILE", "DatabaseUrl"]

SQLITE_FILE = "backplane.sqlite"
"""The database's name in the data directory."""
SCHEMES = frozenset({"postgresql", "postgres"})


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A database's place. Either `path` or `dsn` is set; the password is apart and never shown."""

    path: Path | None = None
    """The file of an SQLite database."""
    dsn: str | None = None
    """A PostgreSQL URL as libpq knows it, without the password."""
    password: str | None = field(default=None, repr=False)

    @classmethod
    def sqlite(cls, directory: Path) -> DatabaseUrl:
        """Return the place of the database in a data directory."""
        return cls(path=directory / SQLITE_FILE)

    @classmethod
    def parse(cls, text: str, *, password: str | None = None) -> DatabaseUrl:
        """Read `postgresql://user:password@host:port/name?sslmode=...`; `password` is one from elsewhere.

        Raises ValueError with a reason that repeats nothing of the text, for it may hold a password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("the database URL cannot be read: postgresql://USER@HOST:PORT/NAME") from None
        if parts.scheme not in SCHEMES:
            raise ValueError("a database URL begins with postgresql:// (without one, SQLite is used)")
        if not parts.path.strip("/"):
            raise ValueError("the database URL names no database: postgresql://USER@HOST:PORT/NAME")
        netloc = parts.netloc
        user, at, host = netloc.rpartition("@")
        name, _, _ = user.partition(":")
        plain = urlunsplit(("postgresql", f"{name}{at}{host}", parts.path, parts.query, ""))
        _ = port
        return cls(dsn=plain, password=password if password is not None else _unquoted(parts.password))

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.path is not None

    def __str__(self) -> str:
        """Return the place for people: without the password."""
        if self.path is not None:
            return str(self.path)
        parts = urlsplit(self.dsn or "")
        return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _unquoted(password: str | None) -> str | None:
    from urllib.parse import unquote

    return None if password is None else unquote(password)
