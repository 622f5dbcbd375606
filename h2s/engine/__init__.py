"""HTTP/2 engines: one small interface (`session`), and the implementations behind it."""

from __future__ import annotations

from .portable import PortableSession
from .session import Limits, Role, Session

__all__ = ["Limits", "Role", "Session", "create_session", "engine_name"]


def engine_name() -> str:
    """Return the name of the engine that `create_session` uses."""
    return "portable"


def create_session(role: Role, limits: Limits) -> Session:
    """Return a session of the default engine."""
    return PortableSession(role, limits)
