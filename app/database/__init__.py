"""What an edge keeps: routes, policies, tokens and events, in SQLite or PostgreSQL.

`Database` is the face: `read` and `write` give a session, and every failure of the database itself comes out as
`DatabaseUnavailable` with a reason. The tables are in `models`; `schema` brings a database to them.
"""

from __future__ import annotations

from app.database_url import DatabaseUrl

from .database import Database
from .errors import DatabaseError, DatabaseUnavailable, SchemaMismatch

__all__ = ["Database", "DatabaseError", "DatabaseUnavailable", "DatabaseUrl", "SchemaMismatch"]
